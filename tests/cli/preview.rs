//! `foldlog preview` and `foldlog rollback`: what they print, what they refuse, and how they watch a file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::Value;

use super::{Shell, json};

const SQL: &str = "-- projection: stock
-- topic: moves
-- type: $.type

CREATE TABLE item (id TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;

-- on: In
INSERT INTO item VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET count = count + excluded.count;

-- on: Out
UPDATE item SET count = count - :n WHERE id = :id;
";

const LOG: &str = r#"{"type":"In","id":"a","n":5}
{"type":"In","id":"b","n":2}
{"type":"Out","id":"a","n":3}
{"type":"Out","id":"a","n":1}
"#;

/// The read model of the file, which then says that twice as much goes out, and that there is a column more.
fn shell() -> (Shell, String) {
    let shell = Shell::new();
    let file = shell.data.path().join("stock.sql");
    let path = file.to_str().unwrap().to_owned();
    fs::write(&file, SQL).unwrap();
    shell.ok(&["topics", "create", "moves"], "");
    shell.ok(&["produce", "moves"], LOG);
    shell.ok(&["rebuild", &path], "");
    fs::write(&file, changed()).unwrap();
    (shell, path)
}

fn changed() -> String {
    SQL.replace("count - :n", "count - 2 * :n")
        .replace("NOT NULL)", "NOT NULL, seen INTEGER)")
        .replace("(:id, :n)", "(:id, :n, @timestamp)")
}

fn count(shell: &Shell) -> i64 {
    json(&shell.ok(&["--json", "query", "SELECT count FROM stock.item WHERE id = 'a'"], ""))[0]["count"]
        .as_i64()
        .unwrap()
}

#[test]
fn a_file_is_previewed_accepted_and_taken_back() {
    let (shell, file) = shell();
    let said = shell.run(&["preview", &file]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = "+ column item.seen
item
  ~ id 'a': count 1 → -3
  0 added, 0 removed, 1 changed, 1 equal
the first event after which they part: moves[0] offset 2 (";
    assert!(said.out.starts_with(expected), "{}", said.out);
    assert!(said.out.contains("\n  ~ item id 'a': count 2 → -1\n"), "{}", said.out);
    assert!(said.err.contains("--accept"), "{}", said.err);
    assert_eq!(count(&shell), 1);
    let lines = json(&shell.ok(&["--json", "preview", &file], ""));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["equal"], &last["changed"], &last["first"]["event"]["offset"]),
        (&false.into(), &1.into(), &2.into())
    );
    assert_eq!(last["first"]["row"]["after"]["count"], -1);
    assert_eq!(last["events"]["after"]["applied"], 4);
    let listed = || json(&shell.ok(&["--json", "projections"], "")).remove(0);
    assert_eq!(
        (&listed()["preview"], &listed()["previous"]),
        (&true.into(), &false.into())
    );
    assert!(shell.ok(&["projections"], "").contains("a preview of "));
    let run = shell.run(&["diff", "stock", "stock@preview"]);
    assert_eq!(
        (run.code, run.out),
        (Some(1), said.out.split("the first event").next().unwrap().to_owned())
    );

    // What has come since is taken first.
    shell.ok(&["produce", "moves"], "{\"type\":\"Out\",\"id\":\"a\",\"n\":10}\n");
    let out = shell.ok(&["preview", &file, "--accept"], "");
    assert!(
        out.starts_with(&format!("stock is now what {file} makes of 5 records;")),
        "{out}"
    );
    assert_eq!(count(&shell), -23);
    assert_eq!(
        (&listed()["preview"], &listed()["previous"]),
        (&false.into(), &true.into())
    );
    assert_eq!(shell.run(&["diff", "stock@previous", "stock"]).code, Some(1));

    let said = shell.run(&["rollback", "stock"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.starts_with("back in use: stock after 4 records"),
        "{}",
        said.out
    );
    assert!(said.err.contains("foldlog projections --source stock"), "{}", said.err);
    assert_eq!(count(&shell), 1);
    assert_eq!(shell.ok(&["projections", "--source", "stock"], ""), SQL);
    shell.ok(&["rollback", "stock"], "");
    assert_eq!(count(&shell), -23);
    shell.ok(&["rollback", "stock", "--drop"], "");
    assert_eq!(count(&shell), -23);
    assert!(
        shell
            .fails(&["rollback", "stock"], "")
            .contains("no build of `stock` before the one in use")
    );
    assert!(
        shell
            .fails(&["rollback", "stock", "--drop"], "")
            .contains("no build of `stock`")
    );
}

#[test]
fn what_cannot_be_previewed_or_put_in_use_is_told() {
    let (shell, file) = shell();
    assert!(
        shell
            .fails(&["preview", &file, "--accept"], "")
            .contains("there is no preview of `stock`")
    );
    assert!(
        shell
            .fails(&["preview", &file, "--drop"], "")
            .contains("there is no preview of `stock`")
    );
    let told = shell.fails(&["diff", "stock", "stock@preview"], "");
    assert!(told.contains("there is no preview of `stock`"), "{told}");
    assert!(!told.contains("- stock after"), "nothing was compared: {told}");
    assert!(
        shell
            .fails(&["diff", "stock@previous", "stock"], "")
            .contains("no build of `stock` before")
    );
    shell.ok(&["preview", &file], "");
    fs::write(&file, SQL.replace("count - :n", "count - 3 * :n")).unwrap();
    let said = shell.fails(&["preview", &file, "--accept"], "");
    assert!(
        said.contains("was built from another version of") && said.contains("foldlog preview"),
        "{said}"
    );
    shell.ok(&["preview", &file, "--drop"], "");
    // A table that the events do not fit: nothing is left, and nothing changes.
    fs::write(
        &file,
        SQL.replace("count INTEGER NOT NULL", "count INTEGER NOT NULL CHECK (count > 1)"),
    )
    .unwrap();
    let said = shell.fails(&["preview", &file], "");
    assert!(
        said.contains("moves[0] offset 3") && said.contains("--skip-poison"),
        "{said}"
    );
    assert!(
        shell
            .fails(&["preview", &file, "--accept"], "")
            .contains("there is no preview")
    );
    let skipped = shell.ok(&["preview", &file, "--skip-poison"], "");
    assert!(
        skipped.contains("events: 4 → 3 applied, 0 ignored, 0 → 1 not applicable"),
        "{skipped}"
    );
    let other = shell.data.path().join("other.sql");
    fs::write(&other, SQL.replace("projection: stock", "projection: others")).unwrap();
    let said = shell.fails(&["preview", other.to_str().unwrap()], "");
    assert!(said.contains("there is no read model `others`"), "{said}");
    fs::write(&file, "-- projection: stock\n-- on: In\n").unwrap();
    assert!(shell.fails(&["preview", &file], "").contains("stock.sql"));
    assert_eq!(count(&shell), 1);
}

/// A copy of the same projection under the same name does not slip into its place.
#[test]
fn another_file_of_the_same_name_needs_to_be_wanted() {
    let (shell, _) = shell();
    let other = shell.data.path().join("other.sql");
    let path = other.to_str().unwrap();
    fs::write(&other, SQL.replace("count - :n", "count - 5 * :n")).unwrap();
    shell.ok(&["preview", path], "");
    assert!(shell.fails(&["preview", path, "--accept"], "").contains("--replace"));
    shell.ok(&["preview", path, "--accept", "--replace"], "");
    assert_eq!(count(&shell), -15);
}

#[test]
fn a_save_builds_the_preview_anew() {
    let (shell, file) = shell();
    let mut child = shell.spawn(&["preview", "--watch", "--json", &file]);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || loop {
        let line: Value = serde_json::from_str(&out.next().unwrap().unwrap()).unwrap();
        if line.get("equal").is_some() {
            return line;
        }
    };
    assert_eq!(next()["first"]["row"]["after"]["count"], -1);
    let save = |text: &str| {
        let new = shell.data.path().join("new.sql");
        fs::write(&new, text).unwrap();
        fs::rename(new, &file).unwrap();
    };
    save(&SQL.replace("count - :n", "count - 3 * :n"));
    assert_eq!(next()["first"]["row"]["after"]["count"], -4);
    // A file that makes no sense is told, and waited for.
    save("-- projection: stock\n-- on: In\n");
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        errors.any(|line| line.unwrap().contains("stock.sql:2")),
        "its line is told"
    );
    save(SQL);
    assert_eq!(next()["equal"], true);
    assert_eq!(count(&shell), 1);
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signalled.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

//! `foldlog rebuild` and `follow`: which file a read model belongs to.

use std::path::Path;

use super::{Shell, json};

fn projection(name: &str, column: &str) -> String {
    format!(
        "-- projection: {name}\n-- topic: t\n-- type: $.type\n
         CREATE TABLE item ({column} INTEGER PRIMARY KEY) STRICT;
         -- on: A\nINSERT INTO item VALUES (:id);\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn another_file_does_not_take_a_read_models_name_unasked() {
    let shell = Shell::new();
    shell.ok(
        &["produce", "--envelope"],
        r#"{"topic":"t","value":{"type":"A","id":1}}"#,
    );
    let one = write(shell.data.path(), "one.sql", &projection("item_view", "id"));
    let two = write(shell.data.path(), "two.sql", &projection("ITEM_view", "number"));
    let copy = write(shell.data.path(), "copy.sql", &projection("item_view", "id"));
    shell.ok(&["rebuild", &one], "");
    // The same file by another way, and a file that says the same, are no other projection.
    let around = shell
        .data
        .path()
        .join("../")
        .join(shell.data.path().file_name().unwrap())
        .join("one.sql");
    for file in [&one, around.to_str().unwrap(), &copy, &one] {
        let said = shell.run(&["rebuild", file]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{file}");
    }

    let refused = shell.fails(&["rebuild", &two], "");
    assert!(
        refused.contains("one.sql has the projection `ITEM_view` too"),
        "{refused}"
    );
    assert!(refused.contains("--replace"), "{refused}");
    let follow = shell.fails(&["follow", &two], "");
    assert!(follow.contains("one.sql, which says something else than"), "{follow}");
    assert!(
        shell.ok(&["dump", "item_view"], "").contains("table item [\"id\"]"),
        "the first is untouched"
    );

    let said = shell.run(&["--json", "rebuild", &two, "--replace"]);
    assert!(
        said.err.contains("note: `ITEM_view` was built from ") && said.err.contains("one.sql before"),
        "{}",
        said.err
    );
    assert!(
        json(&said.out)[0]["notes"][0].as_str().unwrap().contains("two.sql"),
        "{}",
        said.out
    );

    // What was moved away needs no flag, and is said.
    std::fs::remove_file(&two).unwrap();
    let said = shell.run(&["rebuild", &one]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("note: ") && said.err.contains("two.sql before"),
        "{}",
        said.err
    );
}

#[test]
fn a_field_that_no_event_has_is_noted_once() {
    let shell = Shell::new();
    let events: String = (0..1_200)
        .map(|n| format!("{{\"topic\":\"t\",\"value\":{{\"type\":\"A\",\"id\":{n},\"amount\":1}}}}\n"))
        .collect();
    shell.ok(&["produce", "--envelope"], &events);
    let text = "-- projection: item_view\n-- topic: t\n-- type: $.type\n
        CREATE TABLE item (id INTEGER PRIMARY KEY, amount INTEGER) STRICT;
        -- on: A\n        INSERT INTO item VALUES (:id,\n          :amuont);\n";
    let file = write(shell.data.path(), "items.sql", text);
    let said = shell.run(&["--json", "rebuild", &file]);
    let note = "`:amuont` (line 8) was missing or null in all 1,200 events of type A";
    assert_eq!(said.err.matches(note).count(), 1, "{}", said.err);
    let line = &json(&said.out)[0];
    assert!(line["notes"][0].as_str().unwrap().contains(note), "{line}");
    assert_eq!(
        line["missing_fields"],
        serde_json::json!([{"field": ":amuont", "line": 8, "on": "A", "events": 1200}])
    );
    let right = write(shell.data.path(), "items.sql", &text.replace("amuont", "amount"));
    let said = shell.run(&["rebuild", &right]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}

#[test]
fn what_is_folded_in_memory_is_explained_without_a_log() {
    let shell = Shell::new();
    let text = "-- projection: item_view\n-- topic: t\n-- type: $.type\n
        CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER) STRICT;
        CREATE TABLE sums (id INTEGER PRIMARY KEY, n INTEGER) STRICT;
        -- on: A\n        INSERT INTO item VALUES (:id, 1) ON CONFLICT DO UPDATE SET n = n + 1;
        -- on: B\n        INSERT INTO sums SELECT :id, 1;\n";
    let file = write(shell.data.path(), "items.sql", text);
    let said = shell.ok(&["rebuild", "--explain", &file], "");
    assert!(said.contains("it inserts what a SELECT returns"), "{said}");
    assert!(said.contains("1 of 2 statements in memory"), "{said}");
    let lines = json(&shell.ok(&["--json", "rebuild", &file, "--explain"], ""));
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["line"].as_u64(), line["on"].as_str(), line["in_memory"].as_bool()))
        .collect();
    assert_eq!(
        told,
        [(Some(8), Some("A"), Some(true)), (Some(10), Some("B"), Some(false))],
        "{lines:?}"
    );
    assert!(
        !shell.ok(&["projections"], "").contains("item_view"),
        "nothing was built"
    );
    let history = write(
        shell.data.path(),
        "items.sql",
        &text.replace("-- type", "-- history: on\n-- type"),
    );
    assert!(shell.ok(&["rebuild", "--explain", &history], "").contains("0 of 2"));
}

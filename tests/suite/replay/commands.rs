//! The commands over read models as processes: what they print, what they refuse, and how they end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::{accounts, event, write};
use crate::common::cluster::{Cluster, scratch};

/// The program with a data directory, a cluster and a projection's file.
pub struct Commands {
    bootstrap: String,
    data: PathBuf,
    pub file: PathBuf,
}

impl Commands {
    pub fn new(cluster: &Cluster, data: &Path, text: &str) -> Self {
        let file = data.join("accounts.sql");
        std::fs::write(&file, text).unwrap();
        Self {
            bootstrap: cluster.bootstrap.clone(),
            data: data.to_owned(),
            file,
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foldlog"));
        command
            .arg("--data")
            .arg(&self.data)
            .args(["-b", &self.bootstrap])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn start(&self, verb: &str) -> Child {
        let file = self.file.to_str().unwrap();
        self.command(&[verb, file]).spawn().unwrap()
    }

    pub fn applied(&self) -> u64 {
        let line = self.output(&["--json", "projections"]);
        let value: serde_json::Value = serde_json::from_str(line.lines().next().unwrap_or("{}")).unwrap();
        value["applied"].as_u64().unwrap_or(0)
    }

    pub fn dump(&self) -> String {
        self.output(&["dump", "accounts"])
    }
}

/// What a command that must fail writes to stderr, on one line.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.split_whitespace()
        .filter(|word| *word != "│")
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn rebuild_query_dump_and_projections() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n)))),
    );
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    let said = commands.output(&["rebuild", &file]);
    assert!(said.starts_with("rebuilt accounts from 70 records in "), "{said}");
    assert!(said.ends_with(": 70 applied, 0 ignored\n"), "{said}");

    let sql = "SELECT id, balance, n FROM accounts.account ORDER BY id LIMIT 2";
    assert_eq!(
        commands.output(&["query", "-o", "csv", sql]),
        "id,balance,n\na0,315,10\na1,325,10\n"
    );
    assert_eq!(
        commands.output(&["--json", "query", sql]),
        "{\"id\":\"a0\",\"balance\":315,\"n\":10}\n{\"id\":\"a1\",\"balance\":325,\"n\":10}\n"
    );
    assert!(commands.output(&["query", sql]).contains("a0"), "a table for people");

    let dump = commands.output(&["dump", "accounts"]);
    let json = commands.output(&["--json", "dump", "accounts"]);
    assert!(
        dump.starts_with("table account [\"id\",\"balance\",\"n\"]\n[\"a0\", 315, 10]\n"),
        "{dump}"
    );
    let sum = dump.lines().last().unwrap().strip_prefix("sha256 ").unwrap();
    assert!(json.ends_with(&format!("{{\"sha256\":\"{sum}\"}}\n")), "{json}");
    assert!(
        json.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{json}"
    );

    let line = commands.output(&["--json", "projections"]);
    let model: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&model["lag"], &model["applied"], &model["state"]),
        (&0.into(), &70.into(), &"ready".into())
    );
    assert_eq!(model["position"][&*topic], serde_json::json!({"0": 35, "1": 35}));
    assert_eq!(model["file_changed"], false);
}

#[test]
fn what_cannot_be_done_is_an_error_that_says_so() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    write(
        &cluster.client(),
        [(&*topic, 0, 1_700_000_000_000, Some("no json".to_owned()))],
    );
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| refused(&commands.command(arguments).output().unwrap());

    let poison = run(&["rebuild", &file]);
    assert!(
        poison.contains("1 record cannot be applied by `accounts`; the new read model was not put in use"),
        "{poison}"
    );
    assert!(poison.contains("--skip-poison"), "{poison}");
    let first = run(&["follow", &file]);
    assert_eq!(first.matches("cannot be applied").count(), 1, "{first}");
    assert!(
        !first.contains("accounts failed") && !first.contains("accounts done"),
        "{first}"
    );
    assert!(first.contains("the new read model was not put in use"), "{first}");
    assert!(run(&["dump", "accounts"]).contains("there are none yet: `foldlog rebuild FILE.sql`"));
    assert!(run(&["rebuild", &file, "--until", "0:7"]).contains("has no offset 7 help: it holds 0 to 1"));
    assert!(run(&["follow", &file, &file]).contains("two files define the projection `accounts`"));
    assert!(run(&["rebuild", "missing.sql"]).contains("cannot read the projection file missing.sql"));

    commands.output(&["rebuild", &file, "--skip-poison"]);
    assert!(run(&["query", "DELETE FROM accounts.account"]).contains("a query may only read"));
    assert!(run(&["query", "SELECT nonsense"]).contains("no such column: nonsense"));
    let mut follower = commands.start("follow");
    // Not before it says that it is live: a rebuild that runs when the follower wants the lock would refuse the follower.
    let mut said = BufReader::new(follower.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("live")), "the follower ended");
    let holder = format!("is being written by process {}", follower.id());
    assert!(run(&["rebuild", &file]).contains(&holder));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_moment_is_looked_at_beside_the_read_model_in_use() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n)))),
    );
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    let now = commands.dump();
    let rows = commands.output(&[
        "--json",
        "at",
        "accounts",
        "1700000000010",
        "-q",
        "SELECT sum(n) AS n FROM account",
    ]);
    assert_eq!(rows, "{\"n\":10}\n");
    let named = commands.output(&[
        "at",
        "accounts",
        "0:4,1:1",
        "-q",
        "SELECT count(*) FROM accounts.entry",
        "-o",
        "csv",
    ]);
    assert_eq!(named, "count(*)\n5\n");
    let then = commands.output(&["at", "accounts", "1700000000030"]);
    assert_eq!(commands.dump(), now);
    let other = scratch();
    let rebuilt = Commands::new(&cluster, other.path(), &accounts(&[&topic]));
    let file = rebuilt.file.to_str().unwrap();
    let output = rebuilt
        .command(&["rebuild", file, "--until", "1700000000030"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("what is in use now ends where --until says"), "{said}");
    assert_eq!(then, rebuilt.dump());
    let refused = refused(&commands.command(&["at", "accounts", "5:1"]).output().unwrap());
    assert!(refused.contains("there is no partition 5"), "{refused}");
}

#[test]
fn two_moments_and_two_read_models_are_compared_row_by_row() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n)))),
    );
    let folder = scratch();
    let text = accounts(&[&topic]);
    let commands = Commands::new(&cluster, folder.path(), &text);
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    assert!(
        commands
            .output(&["diff", "accounts", "accounts@2030-01-01"])
            .ends_with("\nequal\n")
    );

    let different = |arguments: &[&str]| {
        let output = commands.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let (out, errors) = (output.stdout.clone(), output.stderr.clone());
        (String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap())
    };
    let (out, errors) = different(&["diff", "accounts@0:2,1:2", "accounts@0:3,1:2"]);
    let expected = format!(
        "account
  + id 'a4': balance 4, n 1
  1 added, 0 removed, 0 changed, 4 equal
entry
  + topic '{topic}', part 0, at 2: amount 4
  1 added, 0 removed, 0 changed, 4 equal
"
    );
    assert_eq!(out, expected);
    assert!(errors.contains("- accounts after 4 records"), "{errors}");
    assert!(
        errors.contains("accounts@0:2,1:2 and accounts@0:3,1:2 differ in 2 rows"),
        "{errors}"
    );
    let (out, _) = different(&["diff", "accounts@0:2,1:2", "accounts", "--limit", "1"]);
    assert!(
        out.starts_with("account\n  ~ id 'a0': balance 0 → 315, n 1 → 10\n  … and 6 more;"),
        "{out}"
    );

    let (out, _) = different(&["--json", "diff", "accounts@0:2,1:2", "accounts@0:3,1:2"]);
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let row = serde_json::json!({"id": "a4", "balance": 4, "n": 1});
    let expected =
        serde_json::json!({"table": "account", "key": {"id": "a4"}, "change": "added", "before": null, "after": row});
    assert_eq!(first, expected);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["equal"], &last["added"]), (&false.into(), &2.into()));

    // Another projection of the same topic, with another table and another column.
    let other = text
        .replace("projection: accounts", "projection: other")
        .replace("entry", "line");
    std::fs::write(&commands.file, other).unwrap();
    commands.output(&["rebuild", &file]);
    let (out, errors) = different(&["diff", "accounts", "other"]);
    assert!(
        out.contains("account: equal, 7 rows\n- table entry: 70 rows\n+ table line: 70 rows\n"),
        "{out}"
    );
    assert!(errors.contains("differ, though no row does"), "{errors}");
    let missing = commands.command(&["diff", "accounts", "nothing"]).output().unwrap();
    assert!(refused(&missing).contains("there is no read model `nothing`"));
}

#[test]
fn a_read_model_is_verified_while_it_is_followed_and_drift_is_found() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n)))),
    );
    let folder = scratch();
    let text = accounts(&[&topic]);
    let commands = Commands::new(&cluster, folder.path(), &text);
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    let mut follower = commands.start("follow");
    let mut said = BufReader::new(follower.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("live")), "the follower ended");
    let out = commands.output(&["verify", "accounts", "--twice", "--shuffle", "--crash", "--seed", "5"]);
    follower.kill().unwrap();
    follower.wait().unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[0],
        "accounts is what its log says: 77 rows after 70 records, at [0] 35, [1] 35"
    );
    assert_eq!(
        lines[1],
        "accounts is idempotent: each record applied twice leaves the rows as once"
    );
    assert!(
        lines[2].starts_with(&format!(
            "  70 records refused the second time, the first {topic}[0] offset 0 "
        )),
        "{out}"
    );
    assert_eq!(
        lines[3],
        "accounts is the same in another order between partitions (--seed 5)"
    );
    assert!(
        lines[4].starts_with("accounts is the same after ") && lines.len() == 5,
        "{out}"
    );

    let path = std::fs::read_dir(folder.path().join("read-models"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let edit = |sql: &str| {
        let connection = rusqlite::Connection::open(path.path().join("accounts.1.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    let different = |arguments: &[&str]| {
        let output = commands.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // What the row was before the last event of its account, which is the 68th.
    edit("UPDATE account SET balance = balance - 67, n = n - 1 WHERE id = 'a4'");
    let (out, errors) = different(&["verify", "accounts"]);
    let expected = format!(
        "account
  ~ id 'a4': balance 288 → 355, n 9 → 10
  0 added, 0 removed, 1 changed, 6 equal
entry: equal, 70 rows
the first event after which they differ: {topic}[1] offset 33 (2023-11-14 22:13:20Z, type In, key key)
  before it account id 'a4' was in the log, too, what it is in the read model
"
    );
    assert_eq!(out, expected);
    assert!(
        errors.contains("`accounts` is not what its log says: 1 row differs"),
        "{errors}"
    );
    assert!(errors.contains("foldlog rebuild"), "{errors}");
    let (out, _) = different(&["--json", "verify", "accounts"]);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["good"], &last["equal"], &last["changed"]),
        (&false.into(), &false.into(), &1.into())
    );
    assert_eq!(
        (&last["first"]["event"]["offset"], &last["first"]["held"]),
        (&33.into(), &true.into())
    );

    // A projection without the guard of a second table: the first record shows it, and the read model is not to blame.
    let start = text.find("INSERT INTO entry").unwrap();
    let end = start + text[start..].find('\n').unwrap() + 1;
    std::fs::write(&commands.file, text.replace(&text[start..end], "")).unwrap();
    commands.output(&["rebuild", &file]);
    let (out, errors) = different(&["verify", "accounts", "--twice"]);
    let expected = format!(
        "accounts is not idempotent: applying {topic}[0] offset 0 (2023-11-14 22:13:20Z, type In, key key) \
        twice changes account id 'a0': n 1 → 2\n"
    );
    assert!(out.ends_with(&expected), "{out}");
    assert!(
        errors.contains("`accounts` is what its log says, but a fault was found"),
        "{errors}"
    );
}

//! `foldlog test`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use super::Shell;

const ACCOUNTS: &str = r#"-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0), at INTEGER, by TEXT) STRICT;

-- on: Deposited
INSERT INTO account VALUES (:id, :amount, @timestamp, @key || @offset || (@headers ->> '$[0][1]'))
ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, at = excluded.at;

-- on: Withdrawn
UPDATE account SET balance = balance - :amount WHERE id = :id;

-- on: tombstone
DELETE FROM account WHERE id = @key;

-- given: {"type": "Deposited", "id": "a", "amount": 10}
-- given: {"type": "Deposited", "id": "a", "amount": 5}
-- expect: SELECT balance, at FROM account WHERE id = 'a'
-- = [15, 1000]

-- test: an overdraft is refused
-- given: {"type": "Deposited", "id": "a", "amount": 10}
-- given: {"type": "Withdrawn", "id": "a", "amount": 11}
-- expect poison: CHECK constraint
-- expect: SELECT balance = 10 FROM account
-- given envelope: {"key": "a", "value": null}
-- expect: SELECT * FROM account
-- = no rows

-- test: a record is what it says
-- given envelope: {"key": "k", "offset": 7, "timestamp": "1970-01-01T00:01:00Z", "headers": {"h": "v"}, "value": {"type": "Deposited", "id": "b", "amount": 1}}
-- expect: SELECT id, at, by FROM account
-- = ["b", 60000, "k7v"]
"#;

fn file(shell: &Shell, name: &str, text: &str) -> String {
    let path: PathBuf = shell.home.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn tests_that_pass_are_named_and_need_no_broker() {
    let shell = Shell::new();
    let path = file(&shell, "accounts.sql", ACCOUNTS);
    let out = shell.ok(&["test", &path], "");
    insta::assert_snapshot!(out.replace(&path, "accounts.sql"), @"
    accounts.sql
      ok      the test at line 17
      ok      an overdraft is refused
      ok      a record is what it says
    3 tests: 3 ok, 0 failed
    ");
    let left: Vec<_> = fs::read_dir(shell.data.path())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().contains("read-models")),
        "{left:?}"
    );
}

/// Every way to fail, row by row, with the line.
const FAILING: &str = r#"
-- test: what differs is shown
-- given: {"type": "Deposited", "id": "a", "amount": 10}
-- given: {"type": "Deposited", "id": "b\u001b[31m", "amount": 20}
-- given: {"type": "Unheard"}
-- expect: SELECT id,   balance FROM account
-- = ["a", 11]
-- = ["b\u001b[31m", 20]
-- expect: SELECT balance = 11 FROM account WHERE id = 'a'
-- expect: SELECT 1 FROM account WHERE id = 'c'
-- expect: SELECT id FROM account ORDER BY balance DESC
-- = "a"
-- = "b\u001b[31m"
-- expect: SELECT id -> '$[' FROM account

-- test: poison
-- given: {"type": "Withdrawn", "id": "a", "amount": 1}
-- expect poison: CHECK
-- given: {"type": "Deposited", "id": "a"}
-- given: {"type": "Deposited", "id": "a", "amount": -1}
-- expect poison: NOT NULL
-- given: {"amount": 1}
-- given: {"type": "Unheard"}
-- expect poison:
"#;

#[test]
fn tests_that_fail_show_row_by_row_what_differs() {
    let shell = Shell::new();
    let path = file(&shell, "accounts.sql", &(ACCOUNTS.to_owned() + FAILING));
    let said = shell.run(&["test", &path]);
    assert_eq!(said.code, Some(1));
    assert!(!said.out.contains('\u{1b}'), "{}", said.out);
    insta::assert_snapshot!(said.out.replace(&path, "accounts.sql"), @r#"
    accounts.sql
      ok      the test at line 17
      ok      an overdraft is refused
      ok      a record is what it says
      FAILED  what differs is shown
              line 40: SELECT id, balance FROM account
                - ["a", 11]
                + ["a", 10]
              line 43: SELECT balance = 11 FROM account WHERE id = 'a'
                0 and NULL are not true; if they are right, expect them with `-- =`
                + [0]
              line 44: SELECT 1 FROM account WHERE id = 'c'
                no row was found, and at least one is expected
              line 45: SELECT id FROM account ORDER BY balance DESC
                the same rows in another order
                - ["a"]
                - ["b\u001b[31m"]
                + ["b\u001b[31m"]
                + ["a"]
              line 48: SELECT id -> '$[' FROM account: malformed JSON
              note: the event at line 39 was ignored: no handler is for its type
      FAILED  poison
              line 51: the event is not poison: it was applied
              line 53: the event is poison: NOT NULL constraint failed: account.balance (the statement at line 8)
              line 54: the event is poison for another reason than `NOT NULL`: CHECK constraint failed: balance >= 0 (the statement at line 8)
              line 56: the event is poison: no event type: `$.type` is missing or null
              line 57: the event is not poison: it was ignored, no handler is for its type
    5 tests: 3 ok, 2 failed
    "#);
    assert!(said.err.contains("2 of 5 tests failed"), "{}", said.err);

    let said = shell.run(&["test", "--json", &path]);
    assert_eq!(said.code, Some(1));
    let lines: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.iter().map(|line| line["ok"] == true).collect::<Vec<_>>(),
        [true, true, true, false, false]
    );
    assert_eq!(lines[3]["failures"][0]["missing"], serde_json::json!([["a", 11]]));
    assert_eq!(lines[3]["failures"][0]["unexpected"], serde_json::json!([["a", 10]]));
    assert_eq!(
        (&lines[3]["test"], &lines[3]["line"]),
        (&"what differs is shown".into(), &36.into())
    );
}

#[test]
fn a_file_that_cannot_be_tested_is_shown_with_the_line_and_the_others_run() {
    let shell = Shell::new();
    let good = file(&shell, "good.sql", ACCOUNTS);
    let bad = |name: &str, test: &str| file(&shell, name, &(ACCOUNTS.to_owned() + test));
    let columns = bad("columns.sql", "-- expect: SELECT id, balance FROM account\n-- = 1\n");
    let table = bad("table.sql", "-- expect: SELECT id FROM acount\n");
    let json = bad("json.sql", "-- given: {\"type\": }\n-- expect: SELECT 1\n");
    let topic = bad(
        "topic.sql",
        "-- given envelope: {\"topic\": \"other\", \"value\": {}}\n-- expect: SELECT 1\n",
    );
    let none = file(&shell, "none.sql", ACCOUNTS.split_once("-- given").unwrap().0);
    let report = shell.home.path().join("report.xml");
    let said = shell.run(&[
        "test",
        &columns,
        &table,
        &json,
        &topic,
        &none,
        &good,
        "--junit",
        report.to_str().unwrap(),
    ]);
    assert_eq!(said.code, Some(1));
    for words in [
        "the row has 1 value, and the SELECT returns 2 columns",
        "no such table: acount",
        "expected value",
        "the projection does not read the topic `other`",
        ".sql:35:",
        "4 files could not be tested",
    ] {
        assert!(said.err.contains(words), "{words}\n{}", said.err);
    }
    assert!(
        said.out.contains("no tests") && said.out.contains("3 tests: 3 ok, 0 failed"),
        "{}",
        said.out
    );
    let xml = fs::read_to_string(report).unwrap();
    assert!(
        xml.contains("<testsuites name=\"foldlog\" tests=\"7\" failures=\"0\" errors=\"4\""),
        "{xml}"
    );
    assert!(xml.contains("<testcase name=\"an overdraft is refused\""), "{xml}");

    assert!(shell.fails(&["test", "--json", &none], "").contains("there is no test"));
    assert!(shell.run(&["test", "/nowhere.sql"]).err.contains("cannot read"));
}

#[test]
fn a_change_runs_them_again_until_interrupted() {
    let shell = Shell::new();
    let path = file(&shell, "accounts.sql", ACCOUNTS);
    let mut child = shell.spawn(&["test", "--watch", "--json", &path]);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<serde_json::Value>(&out.next().unwrap().unwrap()).unwrap()["ok"] == true;
    assert_eq!([next(), next(), next()], [true, true, true]);
    // Renamed into place, as editors do it: a file half written is another change.
    let changed = file(&shell, "changed.sql", &ACCOUNTS.replace("[15, 1000]", "[16, 1000]"));
    fs::rename(changed, &path).unwrap();
    assert_eq!([next(), next(), next()], [false, true, true]);
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signalled.unwrap().success());
    assert!(out.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

const TELLS: &str = r#"-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: Changed
INSERT INTO account VALUES (:id, :by) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- emit: overdrafts
SELECT id AS key, json_object('by', CASE WHEN :whole THEN balance ELSE abs(-9223372036854775807 - 1) END) AS value, json_object('h', :id) AS headers
FROM account WHERE id = :id AND balance < 0;

-- alert: overdrawn
SELECT id, balance FROM account WHERE id = :id AND balance < 0;

-- alert: nobody has anything
SELECT count(*) FROM account HAVING max(balance) <= 0;

-- test: what is told of
-- given: {"type": "Changed", "id": "a", "by": 10, "whole": 1}
-- expect: SELECT * FROM emit.record
-- = no rows
-- given: {"type": "Changed", "id": "a", "by": -15, "whole": 1}
-- given: {"type": "Changed", "id": "a", "by": -2, "whole": 1}
-- expect: SELECT topic, key, value ->> 'by', headers ->> '$[0][1]' FROM emit.record ORDER BY seq
-- = ["overdrafts", "a", -5, "a"]
-- = ["overdrafts", "a", -7, "a"]
-- expect: SELECT name, row ->> 'balance', state FROM alert.alert
-- = ["overdrawn", -7, "raised"]
-- = ["nobody has anything", null, "raised"]
-- given: {"type": "Changed", "id": "a", "by": 20}
-- expect: SELECT DISTINCT state FROM alert.alert
-- = "resolved"

-- test: an emit that fails is poison
-- given: {"type": "Changed", "id": "a", "by": -1, "whole": 0}
-- expect poison: integer overflow
"#;

#[test]
fn tests_ask_what_was_published_and_alerted_of() {
    let shell = Shell::new();
    let path = file(&shell, "tells.sql", TELLS);
    let out = shell.run(&["test", &path]);
    assert!(out.out.contains("ok      what is told of"), "{}{}", out.out, out.err);
}

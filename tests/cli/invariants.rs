//! What `rebuild`, `follow` and `projections` say of an invariant that does not hold.

use std::fs;

use super::Shell;

const ACCOUNTS: &str = r#"-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: Deposited
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- on: Withdrawn
UPDATE account SET balance = balance - :amount WHERE id = :id;

-- invariant: no account is overdrawn
SELECT id, balance FROM account WHERE balance < 0;

-- test: the invariant finds what it should
-- given: {"type": "Deposited", "id": "a", "amount": 10}
-- given: {"type": "Withdrawn", "id": "a", "amount": 11}
-- expect broken: no account is overdrawn

-- test: nobody expected this
-- given: {"type": "Deposited", "id": "a", "amount": -1}
-- expect: SELECT 1

-- test: nor that
-- given: {"type": "Deposited", "id": "a", "amount": 1}
-- expect broken: no account is overdrawn
"#;

const EVENTS: &str = r#"{"topic":"events","timestamp":1700000000000,"value":{"type":"Deposited","id":"a","amount":10}}
{"topic":"events","timestamp":1700000001000,"key":"a\u001b","value":{"type":"Withdrawn","id":"a","amount":15}}
{"topic":"events","timestamp":1700000002000,"value":{"type":"Withdrawn","id":"a","amount":15}}
"#;

#[test]
fn the_first_event_is_told_and_can_be_queried() {
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    shell.ok(&["produce", "--envelope"], EVENTS);

    let said = shell.run(&["rebuild", "--strict", path]);
    let told = "the invariant `no account is overdrawn` broke at events[0] offset 1 (type Withdrawn, key a␛, 2023-11-14 22:13:21Z): [\"a\", -5]";
    assert!(said.code == Some(1) && said.err.contains(told), "{}", said.err);
    assert!(
        said.err.contains("not put in use") && said.err.contains("without --strict"),
        "{}",
        said.err
    );
    assert!(shell.run(&["projections"]).err.contains("no read models yet"));

    let said = shell.run(&["rebuild", path]);
    assert!(
        said.code == Some(0) && said.out.contains("3 applied"),
        "{}{}",
        said.out,
        said.err
    );
    assert!(said.err.contains(&format!("note: {told}")), "{}", said.err);

    let json: serde_json::Value = serde_json::from_str(&shell.ok(&["rebuild", "--json", path], "")).unwrap();
    let first = &json["broken"][0];
    assert_eq!(
        (&first["offset"], &first["rows"]),
        (&1.into(), &serde_json::json!([["a", -5]]))
    );
    assert!(shell.ok(&["projections"], "").contains("no account is overdrawn"));
    let rows = shell.ok(
        &[
            "query",
            "-o",
            "csv",
            "SELECT name, \"offset\", key, rows FROM accounts._foldlog_invariant",
        ],
        "",
    );
    assert!(rows.contains("no account is overdrawn,1,a\u{1b},"), "{rows}");

    // A condition need not be a whole SELECT: of the rows, and of the event.
    for (condition, offset) in [
        ("balance < 0", 1),
        ("SELECT count(*) FROM account WHERE balance < 0", 1),
        (":amount = 15 AND @offset = 2", 2),
    ] {
        let step = shell.ok(&["step", "accounts", "--first", condition], "");
        assert!(
            step.starts_with(&format!("events[0] offset {offset} ")),
            "{condition}: {step}"
        );
        let step = shell.ok(&["step", "accounts", "--until", condition], "");
        assert!(
            step.starts_with(&format!("events[0] offset {offset} ")),
            "{condition}: {step}"
        );
    }
    for way in [&["--first"][..], &["--until"], &["2030-01-01", "--until"]] {
        let wrong = shell.fails(&[&["step", "accounts"], way, &["blance < 0"]].concat(), "");
        assert!(wrong.contains("no such column: blance"), "{way:?}: {wrong}");
    }

    // What cannot be read was written nobody knows when.
    let folders = fs::read_dir(shell.data.path().join("read-models")).unwrap();
    for file in folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "db") {
            fs::write(path, "no database").unwrap();
        }
    }
    let table = shell.ok(&["projections"], "");
    assert!(table.contains("unreadable") && !table.contains("1970"), "{table}");
}

#[test]
fn a_test_can_expect_it() {
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    let said = shell.run(&["test", path]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!(said.out.replace(path, "accounts.sql"), @r#"
    accounts.sql
      ok      the invariant finds what it should
      FAILED  nobody expected this
              line 22: the invariant `no account is overdrawn` broke at events[0] offset 0 (type Deposited, 1970-01-01 00:00:00Z): ["a", -1]
      FAILED  nor that
              line 27: the invariant `no account is overdrawn` is not broken
    3 tests: 1 ok, 2 failed
    "#);
}

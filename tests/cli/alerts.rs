//! What `alerts` lists and what `follow` says of a webhook.

use std::fs;

use serde_json::json;

use super::{Shell, json as lines};

const ACCOUNTS: &str = r#"-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: Changed
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- alert: overdrawn
SELECT id, balance FROM account WHERE id = :id AND balance < 0;

-- alert: more than one
SELECT count(*) AS n FROM account HAVING count(*) > 1;

-- test: an alert does not disturb a test
-- given: {"type": "Changed", "id": "a", "amount": -1}
-- expect: SELECT balance FROM account
-- = -1
"#;

const EVENTS: &str = r#"{"topic":"events","timestamp":1700000000000,"value":{"type":"Changed","id":"a\u001b","amount":-5}}
{"topic":"events","timestamp":1700000001000,"value":{"type":"Changed","id":"b","amount":-7}}
{"topic":"events","timestamp":1700000002000,"value":{"type":"Changed","id":"b","amount":8}}
"#;

#[test]
fn alerts_are_listed_with_their_rows_and_the_events_that_raised_and_resolved_them() {
    let shell = Shell::new();
    let said = shell.run(&["alerts"]);
    assert!(
        said.code == Some(0) && said.err.contains("no read model has alerts"),
        "{}",
        said.err
    );
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    assert!(shell.ok(&["test", path], "").contains("1 ok"));
    shell.ok(&["produce", "--envelope"], EVENTS);
    shell.ok(&["rebuild", path], "");

    let open = lines(&shell.ok(&["alerts", "accounts", "--json"], ""));
    let at = |offset: i64, time: i64| json!({ "topic": "events", "partition": 0, "offset": offset, "timestamp": time });
    let overdrawn = json!({
        "projection": "accounts",
        "alert": "overdrawn",
        "state": "raised",
        "key": "a\u{1b}",
        "row": { "id": "a\u{1b}", "balance": -5 },
        "raised": at(0, 1_700_000_000_000),
        "resolved": null,
    });
    assert_eq!(open[0], overdrawn);
    // One that binds nothing is asked at the end of a rebuild.
    assert_eq!(
        (&open[1]["alert"], &open[1]["raised"]),
        (&json!("more than one"), &at(2, 1_700_000_002_000))
    );
    assert_eq!(open.len(), 2);
    let all = lines(&shell.ok(&["alerts", "--all", "--json"], ""));
    let gone = all.iter().find(|alert| alert["key"] == "b").unwrap();
    assert_eq!(
        (&gone["state"], &gone["resolved"]),
        (&json!("resolved"), &at(2, 1_700_000_002_000))
    );
    assert_eq!(all.len(), 3);

    let table = shell.ok(&["alerts"], "");
    assert!(
        table.contains("overdrawn") && table.contains("2023-11-14 22:13:20Z") && table.contains("open"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "{table}");
    let model = &lines(&shell.ok(&["projections", "--json"], ""))[0];
    assert_eq!(
        (&model["emitted"], &model["notified"]["waiting"]),
        (&json!(null), &json!(0))
    );
    assert!(shell.fails(&["alerts", "acounts"], "").contains("accounts"));
}

#[test]
fn a_webhook_that_is_none_is_told_without_repeating_it() {
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    let error = shell.fails(&["follow", path, "--webhook", "hooks.example.com/hunter2"], "");
    assert!(
        error.contains("https://HOST/PATH") && !error.contains("hunter2"),
        "{error}"
    );
    let error = shell.fails(
        &["follow", path, "--webhook", "http://h/x", "--webhook-header", "hunter2"],
        "",
    );
    assert!(error.contains("Name: value") && !error.contains("hunter2"), "{error}");
    // The file is asked where nothing else says one, and not where something does.
    shell.config("[webhook]\nurl = 'hooks.example.com/hunter2'\n");
    let error = shell.fails(&["follow", path], "");
    assert!(
        error.contains("config.toml, [webhook]") && error.contains("https://HOST/PATH") && !error.contains("hunter2"),
        "{error}"
    );
    let error = shell.fails(
        &[
            "-b",
            "no-host:1",
            "follow",
            path,
            "--webhook",
            "http://h/x",
            "--webhook-header",
            "hunter2",
        ],
        "",
    );
    assert!(error.contains("Name: value"), "{error}");
}

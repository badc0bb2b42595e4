//! `--in`: the handlers of a file run in PostgreSQL.

use std::fs;

use crate::common::cluster::scratch;
use crate::common::eventually;
use crate::common::process::BrokerProcess;
use crate::common::stores::PostgresServer;

use super::{Shell, json};

const ACCOUNTS: &str = "-- projection: accounts
-- topic: events

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: *
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;
";

fn events(from: u64, to: u64) -> String {
    let event = |n: u64| format!("{{\"id\":\"a{}\",\"amount\":{n}}}\n", n % 7);
    (from..to).map(event).collect()
}

/// A shell with the projection in its home.
fn place(text: &str) -> (Shell, String) {
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (shell, path)
}

#[test]
fn what_cannot_be_combined_with_another_database_is_refused() {
    let (shell, path) = place(ACCOUNTS);
    let url = "postgres://me:hunter2@nowhere.invalid/db";
    for args in [
        &["rebuild", &path, "--in", url, "--strict"][..],
        &["verify", &path, "--in", url, "--twice"],
    ] {
        let run = shell.run(args);
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(
            run.err.contains("cannot be used with") && !run.err.contains("hunter2"),
            "{}",
            run.err
        );
    }
    for (option, value) in [("--sink", "lake:/x"), ("--webhook", "http://x")] {
        let said = shell.fails(&["follow", &path, "--in", url, option, value], "");
        assert!(said.contains(&format!("{option} cannot be used with --in")), "{said}");
    }
    let said = shell.fails(
        &["rebuild", &path, "--in", "postgres://me@nowhere.invalid/db?schema="],
        "",
    );
    assert!(said.contains("?schema= wants a name"), "{said}");
    let said = shell.fails(&["rebuild", &path, "--in", "redis://:hunter2@cache"], "");
    assert!(
        said.contains("they run in PostgreSQL") && !said.contains("hunter2"),
        "{said}"
    );
    let said = shell.fails(&["rebuild", &path, "--in", "nothing:hunter2"], "");
    assert!(
        said.contains("no address of a store") && !said.contains("hunter2"),
        "{said}"
    );
    let other = shell.home.path().join("other.sql");
    fs::write(&other, ACCOUNTS.replace("projection: accounts", "projection: other")).unwrap();
    let both = [
        "follow",
        &path,
        other.to_str().unwrap(),
        "--in",
        "postgres://me@h/db?schema=one",
    ];
    assert!(
        shell
            .fails(&both, "")
            .contains("2 projections cannot share the schema one")
    );
}

/// Killed at any moment, a follow goes on where it stood: no event counts twice, and none is missing.
#[test]
fn a_killed_follow_counts_each_event_once() {
    let Some(server) = PostgresServer::start() else { return };
    let (data, (shell, path)) = (scratch(), place(ACCOUNTS));
    let broker = BrokerProcess::start(data.path(), "127.0.0.1:0");
    let (at, url) = (broker.address.as_str(), server.url("?schema=money"));
    shell.ok(&["-b", at, "topics", "create", "events", "-p", "2"], "");
    let applied = || {
        let sql = "SELECT applied FROM money._foldlog_fold";
        server.try_psql(sql).ok()?.parse::<u64>().ok()
    };
    for part in 0..4 {
        let (from, to) = (part * 5000, part * 5000 + 5000);
        shell.ok(&["-b", at, "produce", "events", "--key-field", "id"], &events(from, to));
        let mut follow = shell.spawn(&["-b", at, "follow", &path, "--in", &url]);
        // In the middle of it, and the last time when it is through.
        let enough = if part < 3 { from + 1 } else { to };
        eventually("events to be applied", || {
            applied().filter(|applied| *applied >= enough)
        });
        follow.kill().unwrap();
        follow.wait().unwrap();
    }
    let sum = (0..20_000_u64).sum::<u64>().to_string();
    assert_eq!(server.psql("SELECT sum(balance) FROM money.account"), sum);
    let equal = shell.ok(&["-b", at, "verify", &path, "--in", &url], "");
    assert!(
        equal.contains("is what its log makes in SQLite: 7 rows after 20,000 records"),
        "{equal}"
    );
    // Somebody writes there.
    server.psql("UPDATE money.account SET balance = 5 WHERE id = 'a3'; DELETE FROM money.account WHERE id = 'a4'");
    let other = shell.run(&["-b", at, "verify", &path, "--in", &url]);
    assert_eq!(other.code, Some(1), "{}{}", other.out, other.err);
    assert!(other.out.contains("~ account a3: balance is 5 there"), "{}", other.out);
    assert!(other.out.contains("- account a4"), "{}", other.out);
    assert!(other.err.contains("1 missing, 1 other, 0 more"), "{}", other.err);
    let told = json(&shell.run(&["-b", at, "verify", &path, "--in", &url, "--json"]).out);
    let last = told.last().unwrap();
    assert_eq!((&last["good"], &last["records"]), (&false.into(), &20_000.into()));
    // A rebuild mends it.
    let built = shell.ok(&["-b", at, "rebuild", &path, "--in", &url], "");
    assert!(built.contains("rebuilt accounts from 20,000 records"), "{built}");
    assert_eq!(server.psql("SELECT sum(balance) FROM money.account"), sum);
    // What PostgreSQL does not take is shown with its line.
    fs::write(
        &path,
        ACCOUNTS.replace("balance + excluded", "typeof(balance) + excluded"),
    )
    .unwrap();
    let said = shell.fails(&["-b", at, "rebuild", &path, "--in", &url], "");
    for part in [
        "PostgreSQL: function typeof(bigint) does not exist",
        "accounts.sql:7",
        "values of one type",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

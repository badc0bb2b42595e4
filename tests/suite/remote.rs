//! Handlers that run in PostgreSQL, a real one: what they make is what SQLite makes, whatever comes between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldlog::broker::client::Client;
use foldlog::readmodel::store::{Counts, ReadModelInfo};
use foldlog::replay::error::ReplayError;
use foldlog::replay::progress::Phase;
use foldlog::replay::rebuild::RebuildReport;
use foldlog::replay::remote::{RemoteOptions, There, follow, rebuild, verify};
use foldlog::replay::task::Task;
use foldlog::sink::address::Address;

use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;
use crate::common::stores::PostgresServer;
use crate::replay::{accounts, event, projection, rebuilt, store, write};

fn there(url: &str) -> There {
    let (server, schema) = Address::parse(url).unwrap().for_handlers("accounts").unwrap();
    There { server, schema }
}

fn skipping() -> RemoteOptions {
    RemoteOptions {
        skip_poison: true,
        ..RemoteOptions::default()
    }
}

fn rebuilt_there(client: &Client, text: &str, url: &str, options: RemoteOptions) -> Result<RebuildReport, ReplayError> {
    rebuild(client.clone(), projection(text), there(url), options).wait()
}

fn following(client: &Client, text: &str, url: &str, options: RemoteOptions) -> Task<ReadModelInfo> {
    follow(client.clone(), projection(text), there(url), options)
}

/// Compares every row with what the log makes in SQLite; what differs is in the message.
fn equal(client: &Client, text: &str, url: &str) -> u64 {
    let (folder, rows) = (scratch(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&rows);
    let take = move |row| {
        let mut rows = kept.lock().unwrap();
        rows.push(row);
        rows.len() < 5
    };
    let verified = verify(client.clone(), store(folder.path()), projection(text), there(url), take).wait();
    let checked = verified.unwrap().checked;
    assert_eq!(checked.differ(), 0, "{:?}", rows.lock().unwrap());
    checked.same
}

/// Waits until so many records are committed there; a follow that ended instead says why.
fn committed(server: &PostgresServer, task: &Task<ReadModelInfo>, records: u64) {
    let sql = "SELECT applied + ignored + skipped FROM accounts._foldlog_fold";
    eventually("the records to be committed", || {
        assert!(
            !task.is_finished(),
            "the follow ended: {:?}",
            task.progress().borrow().notices
        );
        let counted = server.try_psql(sql).ok()?;
        (counted == records.to_string()).then_some(())
    });
}

/// Deposits into seven accounts, and a tombstone here and there.
fn some(client: &Client, topic: &str, from: i64, to: i64) {
    let value = |n: i64| (n % 13 != 5).then(|| event(n));
    write(
        client,
        (from..to).map(|n| (topic, (n % 2) as i32, 1_700_000_000_000 + n, value(n))),
    );
}

/// Types of every kind, keys of several columns, constraints, a unique index, a view, and statements of most kinds.
fn everything(topic: &str) -> String {
    format!(
        "-- projection: accounts
-- topic: {topic}
-- type: $.type
-- version: $.v

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance < 4000000000000), share REAL, note TEXT DEFAULT 'none',
  photo BLOB, updatedAt INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE entry (partition INTEGER NOT NULL, offset INTEGER NOT NULL, user TEXT, price NUMERIC, PRIMARY KEY (partition, offset DESC));
CREATE INDEX entry_by_user ON entry (user);
CREATE VIEW rich AS SELECT id FROM account WHERE balance > 100;

-- upcast: In v1
SELECT json_set(@value, '$.v', 2, '$.amount', $old::amount);

-- on: In
INSERT INTO account (id, balance, share, updatedAt) VALUES (:id, :amount, :share, @timestamp)
ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, share = ifnull(excluded.share, share), updatedat = max(updatedAt, @timestamp);
INSERT INTO entry (partition, offset, user, price) SELECT @partition, @offset, id, CAST(balance AS REAL) * 1.5 FROM account WHERE id = :id;

-- on: Note
UPDATE account SET note = coalesce(:text, note) || '.' WHERE id = :id AND id IN (SELECT id FROM rich);

-- on: Photo
UPDATE account SET photo = x'00ff' WHERE id = $who::id;

-- on: Out
DELETE FROM account WHERE id = :id AND coalesce(:flag, 0) <> 0;
DELETE FROM entry WHERE user = :id AND NOT EXISTS (SELECT 1 FROM account WHERE account.id = :id);

-- on: tombstone
UPDATE account SET note = 'gone' WHERE balance > 50;
"
    )
}

/// A log that a seed decides: good events of each kind, and each kind of what is wrong.
fn mixed(seed: u64, records: u64) -> Vec<Option<String>> {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..records)
        .map(|_| {
            let (id, n) = (next(6), next(1000));
            Some(match next(14) {
                0..=3 => format!(
                    r#"{{"type": "In", "id": "a{id}", "amount": {n}, "share": {}.5}}"#,
                    n % 9
                ),
                4 => format!(r#"{{"type": "In", "id": {id}, "amount": {n}.0, "share": 3}}"#),
                5 => format!(r#"{{"type": "In", "v": "v1", "id": "a{id}", "old": {{"amount": {n}}}}}"#),
                // Poison to both: nothing, text, a fraction, too much, and a check.
                6 => [
                    format!(r#"{{"type": "In", "id": "a{id}"}}"#),
                    format!(r#"{{"type": "In", "id": "a{id}", "amount": "much"}}"#),
                    format!(r#"{{"type": "In", "id": "a{id}", "amount": {n}.25}}"#),
                    format!(r#"{{"type": "In", "id": "a{id}", "amount": 123456789012345678901234567890}}"#),
                    format!(r#"{{"type": "In", "id": "a{id}", "amount": 9000000000000}}"#),
                    "{".to_owned(),
                    r#"{"id": 1}"#.to_owned(),
                ][(n % 7) as usize]
                    .clone(),
                7 => format!(r#"{{"type": "In", "id": "é\"{id}", "amount": "{n}", "share": {n}}}"#),
                8 => format!(r#"{{"type": "Note", "id": "a{id}", "text": "it's \\ {n}"}}"#),
                9 => format!(r#"{{"type": "Note", "id": "a{id}", "text": null}}"#),
                10 => format!(r#"{{"type": "Photo", "who": {{"id": "a{id}"}}}}"#),
                11 => format!(r#"{{"type": "Out", "id": "a{id}", "flag": {}}}"#, n % 2 == 0),
                12 => r#"{"type": "Nobody"}"#.to_owned(),
                _ => return None,
            })
        })
        .collect()
}

#[test]
fn rows_and_counts_are_those_of_sqlite_whatever_the_events() {
    let Some(server) = PostgresServer::start() else { return };
    let (cluster, url) = (Cluster::shared(), server.url(""));
    let client = cluster.client();
    for seed in 1..=3 {
        let (topic, folder) = (cluster.topic(2), scratch());
        let text = everything(&topic);
        let records = mixed(seed, 400);
        write(
            &client,
            records
                .iter()
                .zip(0..)
                .map(|(value, n)| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, value.clone())),
        );
        let here = rebuilt(
            &client,
            folder.path(),
            &text,
            foldlog::replay::rebuild::RebuildOptions {
                skip_poison: true,
                ..Default::default()
            },
        )
        .unwrap();
        let report = rebuilt_there(&client, &text, &url, skipping()).unwrap();
        assert_eq!(report.info.counts, here.info.counts, "seed {seed}");
        assert_eq!(report.info.position, here.info.position);
        assert!(report.info.counts.skipped > 0 && report.info.counts.ignored > 0);
        assert!(equal(&client, &text, &url) > 100);
        let listed = server.psql("SELECT count(*) FROM accounts._foldlog_dead_letter WHERE reason <> ''");
        assert_eq!(listed, report.info.counts.skipped.to_string());
    }
    // What somebody changes there is found.
    server.psql("UPDATE accounts.account SET balance = balance + 1 WHERE id = (SELECT min(id) FROM accounts.account)");
    let rows = server.psql("SELECT count(*) FROM accounts__old.account");
    assert_ne!(rows, "0", "the build before is kept");
    let index = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'accounts' AND indexname = 'entry_by_user'";
    assert_eq!(server.psql(index), "1");
}

#[test]
fn a_follow_goes_on_whatever_ends_its_connection() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let (cluster, url) = (Cluster::shared(), server.url(""));
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = accounts(&[&topic]);
    some(&client, &topic, 0, 100);
    let task = following(&client, &text, &url, RemoteOptions::default());
    committed(&server, &task, 100);
    // What ends a build before it is in use ends the follow.
    eventually("it to follow", || {
        (task.progress().borrow().phase == Phase::Live).then_some(())
    });
    // Its connection is cut while it works.
    for part in 1..=5 {
        some(&client, &topic, part * 100, part * 100 + 100);
        server.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'foldlog' AND pid <> pg_backend_pid()",
        );
    }
    committed(&server, &task, 600);
    assert_eq!(equal(&client, &text, &url), 8 + 554);
    // The server goes away, and comes back.
    let missed = || {
        let notices = Arc::clone(&task.progress().borrow().notices);
        notices.iter().filter(|notice| notice.contains("trying on")).count()
    };
    let before = missed();
    server.stop();
    some(&client, &topic, 600, 700);
    eventually("the server to be missed", || (missed() > before).then_some(()));
    server.again();
    committed(&server, &task, 700);
    equal(&client, &text, &url);
    // A second one is refused, and so is a rebuild.
    let at_once = RemoteOptions {
        turn: Some(Duration::ZERO),
        ..RemoteOptions::default()
    };
    let second = following(&client, &text, &url, at_once).wait();
    assert!(
        second
            .unwrap_err()
            .to_string()
            .contains("something else folds into the schema accounts")
    );
    task.cancel();
    let info = task.wait().unwrap();
    assert_eq!(info.counts.total(), 700);
    // Who has it no longer leaves it to others.
    let report = rebuilt_there(&client, &text, &url, RemoteOptions::default()).unwrap();
    assert_eq!(report.info.counts, info.counts);
    equal(&client, &text, &url);
}

#[test]
fn a_record_that_cannot_be_applied_pauses_it_or_is_listed() {
    let Some(server) = PostgresServer::start() else { return };
    let (cluster, url) = (Cluster::shared(), server.url(""));
    let (client, topic) = (cluster.client(), cluster.topic(1));
    let text = accounts(&[&topic]);
    let at = |n: i64, value: String| (&*topic, 0, n, Some(value));
    write(&client, (0..20).map(|n| at(n, event(n))));
    let task = following(&client, &text, &url, RemoteOptions::default());
    committed(&server, &task, 20);
    let wrong = [
        r#"{"type": "In", "id": "a1", "amount": "much"}"#,
        r#"{"type": "In", "id": "a\u0000b", "amount": 1}"#,
        r#"{"type": "In", "amount": 1}"#,
    ];
    let mut records: Vec<_> = (20..30).map(|n| at(n, event(n))).collect();
    records.extend(wrong.iter().zip(30..).map(|(value, n)| at(n, (*value).to_owned())));
    records.extend((33..40).map(|n| at(n, event(n))));
    write(&client, records);
    // What its two statements did before the failed one is undone, too.
    let info = task.wait().unwrap();
    let expected = Counts {
        applied: 30,
        poisoned: 1,
        ..Counts::default()
    };
    assert_eq!(info.counts, expected);
    let paused = "SELECT paused FROM accounts._foldlog_fold";
    assert!(
        server
            .psql(paused)
            .contains("offset 30: text that is no number cannot be stored as int8"),
        "{}",
        server.psql(paused)
    );
    assert_eq!(server.psql("SELECT count(*) FROM accounts.entry"), "30");
    assert_eq!(server.psql("SELECT state FROM accounts._foldlog_dead_letter"), "paused");
    // It is tried again, and stands there again.
    let info = following(&client, &text, &url, RemoteOptions::default())
        .wait()
        .unwrap();
    assert_eq!(info.counts, expected);
    // Skipped, it goes on.
    let task = following(&client, &text, &url, skipping());
    committed(&server, &task, 40);
    let listed = "SELECT string_agg(\"offset\" || ' ' || kind || ' ' || state, ', ' ORDER BY \"offset\") FROM accounts._foldlog_dead_letter";
    assert_eq!(
        server.psql(listed),
        "30 handler skipped, 31 handler skipped, 32 handler skipped"
    );
    let reason = "SELECT reason FROM accounts._foldlog_dead_letter WHERE \"offset\" = 31";
    assert!(server.psql(reason).contains("NUL character"));
    assert_eq!(server.psql("SELECT count(*) FROM accounts.entry"), "37");
    task.cancel();
    task.wait().unwrap();
    // A rebuild lists them all and leaves what is in use.
    let error = rebuilt_there(&client, &text, &url, RemoteOptions::default()).unwrap_err();
    let ReplayError::PoisonThere { letters, all: true, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        letters.iter().map(|letter| letter.record.offset).collect::<Vec<_>>(),
        [30, 31, 32]
    );
    assert_eq!(server.psql("SELECT applied FROM accounts._foldlog_fold"), "37");
}

#[test]
fn what_cannot_run_there_is_said_before_a_record_is_read() {
    let Some(server) = PostgresServer::start() else { return };
    let (cluster, url) = (Cluster::shared(), server.url(""));
    let (client, topic) = (cluster.client(), cluster.topic(1));
    write(&client, [(&*topic, 0, 1, Some(event(1)))]);
    let refused = |text: &str| match rebuilt_there(&client, text, &url, RemoteOptions::default()) {
        Err(ReplayError::Projection(error)) => (
            error.line(),
            error.message.clone(),
            error.help.clone().unwrap_or_default(),
        ),
        other => panic!("{other:?}"),
    };
    let good = accounts(&[&topic]);
    let lines = |before: &str| good.lines().position(|line| line.contains(before)).unwrap() + 1;
    let bad = good.replace("INSERT INTO entry", "INSERT OR IGNORE INTO entry");
    let (line, message, help) = refused(&bad);
    assert_eq!(line, lines("INSERT INTO entry"));
    assert!(message.starts_with("PostgreSQL: syntax error"), "{message}");
    assert!(help.contains("ON CONFLICT DO NOTHING"), "{help}");
    let bad = good.replace("n = n + 1;\n\n-- on", "n = typeof(n);\n\n-- on");
    let (line, message, help) = refused(&bad);
    assert_eq!(line, lines("ON CONFLICT (id) DO UPDATE SET balance"));
    assert!(message.contains("function typeof(bigint) does not exist"), "{message}");
    assert!(help.contains("values of one type"), "{help}");
    let bad = good.replace("id TEXT PRIMARY KEY", "id TEXT COLLATE NOCASE PRIMARY KEY");
    assert!(refused(&bad).1.contains("no collation NOCASE"));
    let emitting = format!("{good}\n-- emit: elsewhere\nSELECT id AS key, id AS value FROM account WHERE id = :id;\n");
    let error = following(&client, &emitting, &url, RemoteOptions::default())
        .wait()
        .unwrap_err();
    assert!(error.to_string().contains("nothing is published"), "{error}");
    // Nothing was left of any of it.
    assert_eq!(
        server.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'accounts'"),
        "0"
    );
    // Somebody else's schema, and one that is fed, are left alone.
    server.psql("CREATE SCHEMA accounts; CREATE TABLE accounts.mine (n int)");
    let error = rebuilt_there(&client, &good, &url, RemoteOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the table accounts.mine, which Foldlog did not write"),
        "{error}"
    );
    assert_eq!(server.psql("SELECT count(*) FROM accounts.mine"), "0");
}

#[test]
fn a_rebuild_takes_the_place_of_what_was_there_with_its_readers() {
    let Some(server) = PostgresServer::start() else { return };
    let (cluster, url) = (Cluster::shared(), server.url(""));
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = accounts(&[&topic]);
    some(&client, &topic, 0, 50);
    rebuilt_there(&client, &text, &url, RemoteOptions::default()).unwrap();
    server.psql(
        "CREATE ROLE reader; GRANT USAGE ON SCHEMA accounts TO reader; GRANT SELECT ON accounts.account TO reader;
         GRANT SELECT (amount) ON accounts.entry TO reader",
    );
    // Another projection takes its place only where that is asked for.
    let alien = text.replace("-- projection: accounts", "-- projection: others");
    let place = server.url("?schema=accounts");
    let error = rebuilt_there(&client, &alien, &place, RemoteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("has the read model `accounts`"), "{error}");
    let replacing = RemoteOptions {
        replace: true,
        ..RemoteOptions::default()
    };
    rebuilt_there(&client, &alien, &place, replacing.clone()).unwrap();
    rebuilt_there(&client, &text, &url, replacing).unwrap();
    // Another definition is said to be one, and then built.
    let other = text.replace("n = n + 1;\n\n-- on", "n = n + 2;\n\n-- on");
    let error = following(&client, &other, &url, RemoteOptions::default())
        .wait()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("was built by another version of accounts.sql"),
        "{error}"
    );
    rebuilt_there(&client, &other, &url, RemoteOptions::default()).unwrap();
    equal(&client, &other, &url);
    let twice = "SELECT (SELECT sum(n) FROM accounts.account) > (SELECT sum(n) FROM accounts__old.account)";
    assert_eq!(server.psql(twice), "t");
    let may = "SET ROLE reader; SELECT count(*) FROM accounts.account WHERE EXISTS (SELECT amount FROM accounts.entry)";
    assert_eq!(server.psql(may), "8");
    // What somebody made of the build in use stays with it, which is said, and keeps it from going afterwards.
    server.psql("CREATE VIEW public.mine AS SELECT * FROM accounts.account");
    let task = rebuild(
        client.clone(),
        projection(&other),
        there(&url),
        RemoteOptions::default(),
    );
    let progress = task.progress();
    task.wait().unwrap();
    let said = progress
        .borrow()
        .notices
        .iter()
        .any(|notice| notice.contains("mine stays with the build before"));
    assert!(said);
    let error = rebuilt_there(&client, &other, &url, RemoteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("cannot drop"), "{error}");
    server.psql("DROP VIEW public.mine");
    rebuilt_there(&client, &other, &url, RemoteOptions::default()).unwrap();
    // Nor is anything taken along that somebody made beside its tables, which a follow does not mind.
    server.psql("CREATE VIEW accounts.theirs AS SELECT 1");
    let error = rebuilt_there(&client, &other, &url, RemoteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("has accounts.theirs, which"), "{error}");
    let task = following(&client, &other, &url, RemoteOptions::default());
    some(&client, &topic, 50, 60);
    committed(&server, &task, 60);
    task.cancel();
    task.wait().unwrap();
    // A topic that was made anew is another log.
    let id = format!("UPDATE accounts._foldlog_fold SET topics = '{{\"{topic}\": \"another\"}}'");
    server.psql(&id);
    let error = following(&client, &other, &url, RemoteOptions::default())
        .wait()
        .unwrap_err();
    assert!(error.to_string().contains("was deleted and created again"), "{error}");
}

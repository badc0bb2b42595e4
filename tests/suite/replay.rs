//! Rebuilding and following over a cluster: what the log says is what the read model holds, however often it is killed.

mod commands;
mod emit;
mod follow;
mod group;
mod kill;
mod past;
mod preview;
mod rebuild;
mod webhook;
mod whatif;

use std::path::Path;

use foldlog::broker::client::Client;
use foldlog::broker::producer::NewRecord;
use foldlog::projection::Projection;
use foldlog::projection::parse::parse;
use foldlog::readmodel::dump::dump;
use foldlog::readmodel::query::{Cell, Session};
use foldlog::readmodel::store::Store;
use foldlog::record::Timestamp;
use foldlog::replay::error::ReplayError;
use foldlog::replay::rebuild::{RebuildOptions, RebuildReport, rebuild};

use crate::common::PATIENCE;

/// A fold that does not depend on the order between partitions, with a handler of two statements and a constraint.
pub fn accounts(topics: &[&str]) -> String {
    let topics: String = topics.iter().map(|topic| format!("-- topic: {topic}\n")).collect();
    format!(
        "-- projection: accounts
{topics}-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entry (topic TEXT, part INTEGER, at INTEGER, amount INTEGER, PRIMARY KEY (topic, part, at)) STRICT, WITHOUT ROWID;

-- on: In
INSERT INTO entry VALUES (@topic, @partition, @offset, :amount);
INSERT INTO account VALUES (:id, :amount, 1)
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, n = n + 1;

-- on: tombstone
INSERT INTO account VALUES (@key, 0, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1;
"
    )
}

pub fn projection(text: &str) -> Projection {
    parse(text, "accounts.sql").expect("the projection is good")
}

pub fn store(folder: &Path) -> Store {
    Store::open(folder, "test").expect("the store opens")
}

/// The event number `n`: one of seven accounts.
pub fn event(n: i64) -> String {
    format!(r#"{{"type": "In", "id": "a{}", "amount": {n}}}"#, n % 7)
}

/// A handler of [`accounts`] that never gets past an event of this type, so that no kill is too late.
pub fn endless(kind: &str) -> String {
    format!(
        "\n-- on: {kind}\nINSERT INTO entry WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT @topic, @partition, @offset, 0 FROM n WHERE i < 0;\n"
    )
}

/// Writes records and waits until they are acknowledged: topic, partition, time, value.
pub fn write<'a>(client: &Client, records: impl IntoIterator<Item = (&'a str, i32, i64, Option<String>)>) {
    let producer = client.producer().expect("a producer");
    for (topic, partition, time, value) in records {
        let record = NewRecord {
            topic,
            partition: Some(partition),
            timestamp: Some(Timestamp(time)),
            key: Some(b"key"),
            value: value.as_deref().map(str::as_bytes),
            headers: &[],
        };
        producer.send(record).expect("the record is taken");
    }
    producer.flush(PATIENCE).expect("the records are written");
}

pub fn rebuilt(
    client: &Client,
    folder: &Path,
    text: &str,
    options: RebuildOptions,
) -> Result<RebuildReport, ReplayError> {
    rebuild(client.clone(), store(folder), projection(text), options).wait()
}

pub fn dumped(store: &Store) -> String {
    let mut text = Vec::new();
    dump(store, "accounts", &mut text).expect("the dump is written");
    String::from_utf8(text).expect("a dump is text")
}

/// The one integer that a query gives.
pub fn number(store: &Store, sql: &str) -> i64 {
    let rows = Session::open(store).and_then(|session| session.query(sql, 1));
    match rows.expect("the query runs").rows[0][0] {
        Cell::Integer(number) => number,
        ref other => panic!("{other:?}"),
    }
}

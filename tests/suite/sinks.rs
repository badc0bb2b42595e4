//! Stores outside, the real ones: what they hold after follows, crashes, and their own absence.

mod elastic;
mod lake;
mod opensearch;
mod postgres;
mod redis;

use std::path::Path;

use foldlog::broker::client::Client;
use foldlog::readmodel::feed::SinkInfo;
use foldlog::readmodel::store::ReadModelInfo;
use foldlog::replay::follow::{FollowOptions, follow};
use foldlog::replay::sinks::{Checked, check};
use foldlog::replay::task::Task;
use foldlog::sink::address::Address;

use crate::common::eventually;
use crate::replay::{event, projection, store, write};

/// Text, numbers of each kind, bytes, nothing, and keys of several columns that need escaping.
fn everything(topic: &str) -> String {
    format!(
        "-- projection: accounts
-- topic: {topic}
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, share REAL, note ANY, photo BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE entry (day TEXT NOT NULL, \"of\" TEXT NOT NULL, n INTEGER NOT NULL, price NUMERIC, PRIMARY KEY (day, \"of\"));

-- on: In
INSERT INTO account VALUES (:id, :amount, :amount / 4.0, nullif(:amount % 3, 0), unhex(printf('%04x', :amount % 1000)))
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, share = excluded.share, note = excluded.note, photo = excluded.photo;
INSERT INTO entry VALUES ('d:' || (:amount % 5), '%' || :id, 1, :amount * 1.5) ON CONFLICT DO UPDATE SET n = n + 1, price = excluded.price;

-- on: Out
DELETE FROM account WHERE id = :id;
UPDATE OR REPLACE entry SET day = 'gone:' || day WHERE \"of\" = '%' || :id AND day NOT LIKE 'gone%';
"
    )
}

fn address(url: &str) -> Address {
    Address::parse(url).unwrap()
}

fn following(client: &Client, folder: &Path, text: &str, urls: &[&str]) -> Task<ReadModelInfo> {
    let options = FollowOptions {
        sinks: urls.iter().map(|url| address(url)).collect(),
        ..FollowOptions::default()
    };
    follow(client.clone(), store(folder), projection(text), options)
}

/// Waits until a store is as it is wanted; a follow that ended instead says why.
fn until(
    task: &Task<ReadModelInfo>,
    folder: &Path,
    what: &str,
    wanted: impl Fn(&ReadModelInfo, &SinkInfo) -> bool,
) -> SinkInfo {
    let store = store(folder);
    eventually(what, || {
        assert!(
            !task.is_finished(),
            "the follow ended: {:?}",
            task.progress().borrow().notices
        );
        let info = store.find("accounts").unwrap()?;
        let sink = info.sinks.first()?.clone();
        wanted(&info, &sink).then_some(sink)
    })
}

/// Waits until the store has everything of so many records.
fn in_step(task: &Task<ReadModelInfo>, folder: &Path, records: u64) -> SinkInfo {
    until(task, folder, "the store to be in step", |info, sink| {
        info.counts.total() == records && sink.whole && sink.waiting == 0 && sink.trouble.is_none()
    })
}

fn some(client: &Client, topic: &str, from: i64, to: i64) {
    let each = |n: i64| match n % 11 {
        7 => format!(r#"{{"type": "Out", "id": "a{}"}}"#, n % 7),
        _ => event(n),
    };
    write(
        client,
        (from..to).map(|n| (topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(each(n)))),
    );
}

/// Compares every row; what differs is in the message.
fn equal(folder: &Path, url: &str) -> Checked {
    let mut rows = Vec::new();
    let checked = check(&store(folder), "accounts", &address(url), &mut |row| {
        rows.push(row);
        rows.len() < 5
    })
    .unwrap();
    assert_eq!(checked.differ(), 0, "{rows:?}");
    assert!(checked.same > 0);
    checked
}

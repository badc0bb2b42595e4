//! What a projection emits is published once, over kills and failures, by transactions where the broker has them.

use std::collections::BTreeMap;

use foldlog::broker::producer::NewRecord;
use foldlog::record::{Record, Timestamp};
use foldlog::replay::follow::FollowOptions;
use foldlog::replay::follow::follow;

use super::commands::Commands;
use super::{event, projection, store, write};
use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::raw::{Admin, read_all};
use crate::common::{PATIENCE, eventually};
use crate::contract::differences::TRANSACTIONS;

/// Sums per account; every sum is emitted, large ones to a topic of their own, and what is deleted as a tombstone.
fn emitting(name: &str, topic: &str, sums: &str) -> String {
    format!(
        "-- projection: {name}
-- topic: {topic}
-- type: $.type

CREATE TABLE account (part INTEGER, id TEXT, balance INTEGER NOT NULL, PRIMARY KEY (part, id)) STRICT, WITHOUT ROWID;

-- on: In
INSERT INTO account VALUES (@partition, :id, :amount)
ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- on: Closed
DELETE FROM account WHERE id = :id;

-- emit: {sums} on In
SELECT id AS key, json_object('id', id, 'balance', balance) AS value, json_object('at', @offset) AS headers
FROM account WHERE part = @partition AND id = :id;

-- emit: {sums} on Closed
SELECT :id AS key, NULL AS value, 1700000000123 AS timestamp;
"
    )
}

/// A projection's name that no other test on this cluster has.
fn name() -> String {
    let unique = unique("p");
    let parts: Vec<&str> = unique.rsplit('-').take(3).collect();
    format!("p_{}", parts.join("_"))
}

/// A topic's records by partition.
fn records(cluster: &Cluster, topic: &str) -> Vec<Vec<Record>> {
    let partitions = Admin::new(cluster).partitions(topic).unwrap_or_default();
    partitions
        .into_iter()
        .map(|partition| read_all(cluster, topic, partition))
        .collect()
}

fn id(record: &Record) -> String {
    let header = record
        .headers
        .iter()
        .find(|header| header.key == "foldlog-id")
        .expect("an id");
    String::from_utf8(header.value.clone().expect("a value")).unwrap()
}

fn published(commands: &Commands) -> (u64, u64) {
    let line = commands.output(&["--json", "projections"]);
    let value: serde_json::Value = serde_json::from_str(line.lines().next().unwrap_or("{}")).unwrap();
    let number = |name: &str| value["emitted"][name].as_u64().unwrap_or(0);
    (number("published"), number("waiting"))
}

fn more(cluster: &Cluster, topic: &str, from: i64, to: i64) {
    let events = (from..to).map(|n| (topic, (n % 3) as i32, 1_700_000_000_000 + n, Some(event(n))));
    write(&cluster.client(), events);
}

#[test]
fn what_is_applied_live_is_published_and_what_a_rebuild_applies_is_not() {
    let cluster = Cluster::shared();
    let (topic, sums, name) = (cluster.topic(3), unique("sums"), name());
    let client = cluster.client();
    let folder = scratch();
    let text = emitting(&name, &topic, &sums);
    more(&cluster, &topic, 0, 30);
    let task = follow(
        client.clone(),
        store(folder.path()),
        projection(&text),
        FollowOptions::default(),
    );
    // Built and then live: the topic is made before anything is emitted.
    eventually("the topic to be made", || Admin::new(&cluster).partitions(&sums).ok());
    more(&cluster, &topic, 30, 33);
    let closed = r#"{"type": "Closed", "id": "a3"}"#.to_owned();
    write(&client, [(&*topic, 0, 1_700_000_000_050, Some(closed))]);
    let all = eventually("the records", || {
        let all: Vec<Record> = records(&cluster, &sums).into_iter().flatten().collect();
        (all.len() >= 4).then_some(all)
    });
    // Written down after they are there; an end waits for that only a moment.
    eventually("what was published to be written down", || {
        let emitted = store(folder.path()).info(&name).unwrap().emitted?;
        (emitted.published >= 4 && emitted.waiting == 0).then_some(())
    });
    task.cancel();
    let info = task.wait().unwrap();
    let emitted = info.emitted.unwrap();
    assert_eq!(
        (all.len(), emitted.published, emitted.waiting, emitted.trouble),
        (4, 4, 0, None)
    );
    let by_id: BTreeMap<String, &Record> = all.iter().map(|record| (id(record), record)).collect();
    let first = by_id[&format!("{name}/{topic}/0/10/0")];
    // Account a2 in partition 0: 9 and 30 of what was written.
    assert_eq!(first.key.as_deref(), Some(b"a2".as_slice()));
    assert_eq!(first.value.as_deref(), Some(br#"{"id":"a2","balance":39}"#.as_slice()));
    assert_eq!(first.timestamp, Some(Timestamp(1_700_000_000_030)));
    assert_eq!(
        (first.headers[0].key.as_str(), first.headers[0].value.as_deref()),
        ("at", Some(b"10".as_slice()))
    );
    let last = by_id[&format!("{name}/{topic}/0/11/0")];
    assert_eq!(
        (last.key.as_deref(), &last.value, last.timestamp),
        (Some(b"a3".as_slice()), &None, Some(Timestamp(1_700_000_000_123)))
    );
}

#[test]
fn a_follow_killed_while_it_emits_publishes_everything_once_and_in_order() {
    let cluster = Cluster::shared();
    let (topic, name) = (cluster.topic(3), name());
    let sums = cluster.topic(2);
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &emitting(&name, &topic, &sums));
    commands.output(&["rebuild", commands.file.to_str().unwrap()]);
    let mut written = 0;
    for _ in 0..4 {
        let (before, _) = published(&commands);
        let mut child = commands.start("follow");
        more(&cluster, &topic, written, written + 6_000);
        written += 6_000;
        eventually("some of it to be published", || {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            (published(&commands).0 > before).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = commands.start("follow");
    eventually("all of it to be published", || {
        (published(&commands) == (written as u64, 0)).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let mut next: BTreeMap<(usize, String), i64> = BTreeMap::new();
    let mut count = 0;
    for (partition, records) in records(&cluster, &sums).iter().enumerate() {
        for record in records {
            let id = id(record);
            let parts: Vec<&str> = id.split('/').collect();
            let offset: i64 = parts[3].parse().unwrap();
            let last = next.entry((partition, parts[2].to_owned())).or_insert(-1);
            assert!(offset > *last, "{id} after offset {last}");
            *last = offset;
            count += 1;
        }
    }
    assert_eq!(count, written);
}

#[test]
fn what_the_broker_does_not_take_is_told_and_holds_up_what_comes_after_until_it_is_skipped() {
    let cluster = Cluster::shared();
    let (topic, name) = (cluster.topic(3), name());
    let sums = cluster.topic_with(1, &[("max.message.bytes", "2000")]);
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &emitting(&name, &topic, &sums));
    let file = commands.file.to_str().unwrap();
    commands.output(&["rebuild", file]);
    // Nothing that can be squeezed into the limit.
    let large: String = (0..2_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let large = format!(r#"{{"type": "In", "id": "{large}", "amount": 1}}"#);
    let values = [event(1), large, event(2)];
    write(
        &cluster.client(),
        values
            .into_iter()
            .map(|value| (&*topic, 0, 1_700_000_000_000, Some(value))),
    );
    let mut child = commands.start("follow");
    let trouble = eventually("the trouble to be told", || {
        let line = commands.output(&["--json", "projections"]);
        let value: serde_json::Value = serde_json::from_str(line.lines().next()?).ok()?;
        Some(value["emitted"]["trouble"].as_str()?.to_owned())
    });
    assert!(trouble.contains("max.message.bytes"), "{trouble}");
    // What comes after may still be on its way in.
    eventually("the others to wait", || (published(&commands) == (1, 2)).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = commands.command(&["follow", file, "--skip-poison"]).spawn().unwrap();
    eventually("the other to be published", || {
        (published(&commands) == (2, 0)).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(records(&cluster, &sums)[0].len(), 2);
    let said = commands.output(&["projections"]);
    assert!(said.contains("1 record not published, the last because"), "{said}");
}

#[test]
fn whoever_begins_under_a_name_shuts_out_the_one_before_where_the_broker_has_transactions() {
    let cluster = Cluster::shared();
    let (topic, name) = (cluster.topic(1), unique("tx"));
    let client = cluster.client();
    let record = |value: &'static str| NewRecord {
        topic: &topic,
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    };
    let first = client.transactional(&name).unwrap();
    assert_eq!(first.has_transactions(), TRANSACTIONS.holds(&cluster));
    first.write([record("a"), record("b")], PATIENCE).unwrap();
    let second = client.transactional(&name).unwrap();
    let late = first.write([record("late")], PATIENCE);
    assert_eq!(late.is_err(), first.has_transactions(), "{late:?}");
    second.write([record("c")], PATIENCE).unwrap();
    let values: Vec<_> = read_all(&cluster, &topic, 0)
        .into_iter()
        .filter_map(|record| record.value)
        .collect();
    let expected: &[&[u8]] = if first.has_transactions() {
        &[b"a", b"b", b"c"]
    } else {
        &[b"a", b"b", b"late", b"c"]
    };
    assert_eq!(values, expected);
}

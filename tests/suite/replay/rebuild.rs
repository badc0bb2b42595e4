use foldlog::broker::error::BrokerError;
use foldlog::record::{Timestamp, TopicPartition};
use foldlog::replay::error::ReplayError;
use foldlog::replay::progress::Phase;
use foldlog::replay::rebuild::{At, RebuildOptions, Until};

use super::{accounts, dumped, event, number, rebuilt, store, write};
use crate::common::cluster::{Cluster, scratch, unique};

#[test]
fn every_partition_of_every_topic_is_folded_once() {
    let cluster = Cluster::shared();
    let (one, two) = (cluster.topic(3), cluster.topic(1));
    let client = cluster.client();
    let events = (0..5_000).map(|n| {
        let (topic, partition) = if n % 5 == 0 {
            (&*two, 0)
        } else {
            (&*one, (n % 3) as i32)
        };
        (topic, partition, 1_700_000_000_000 + n, Some(event(n)))
    });
    write(&client, events);
    write(&client, [(&*one, 2, 1_700_000_009_000, None)]);
    let text = accounts(&[&one, &two]);
    let folder = scratch();
    let report = rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    assert_eq!((report.records, report.info.counts.applied), (5_001, 5_001));
    let store = store(folder.path());
    assert_eq!(
        number(&store, "SELECT sum(balance) FROM accounts.account"),
        (0..5_000).sum::<i64>()
    );
    assert_eq!(number(&store, "SELECT count(*) FROM accounts.entry"), 5_000);
    assert_eq!(number(&store, "SELECT n FROM accounts.account WHERE id = 'key'"), 1);
    let marks = client.watermarks(&client.topic(&one).unwrap()).unwrap();
    for mark in marks {
        let at = TopicPartition::new(one.as_str(), mark.partition);
        assert_eq!(report.info.position.next(&at), Some(mark.high));
    }
    // Again, from the same log: the same, byte for byte.
    let first = dumped(&store);
    rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    assert_eq!(dumped(&store), first);
}

/// Where the order between partitions shows, it is that of time, then topic, partition and offset.
#[test]
fn partitions_are_merged_by_time() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(3);
    let client = cluster.client();
    // Times that interleave, with equal ones among them.
    let events: Vec<_> = (0..600_i64)
        .map(|n| ((n % 3) as i32, 1_700_000_000_000 + n * 7 % 50 + n / 100 * 50))
        .collect();
    let numbered = events.iter().zip(0_i64..);
    write(
        &client,
        numbered.map(|((partition, time), n)| (&*topic, *partition, *time, Some(event(n)))),
    );
    let text = format!(
        "-- projection: accounts\n-- topic: {topic}\n-- type: $.type\n
         CREATE TABLE seen (n INTEGER PRIMARY KEY, time INTEGER, part INTEGER, at INTEGER) STRICT;
         -- on: In
         INSERT INTO seen VALUES ((SELECT count(*) FROM seen), @timestamp, @partition, @offset);"
    );
    let folder = scratch();
    rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    // The heads are merged: a partition's own order is kept even where its times go back.
    let mut queues: Vec<std::collections::VecDeque<(i64, i32, i64)>> = vec![Default::default(); 3];
    for (partition, time) in events {
        let queue = &mut queues[partition as usize];
        let at = queue.len() as i64;
        queue.push_back((time, partition, at));
    }
    let mut expected = Vec::new();
    while let Some(next) = queues.iter_mut().filter(|q| !q.is_empty()).min_by_key(|q| q[0]) {
        expected.extend(next.pop_front());
    }
    let session = foldlog::readmodel::query::Session::open(&store(folder.path())).unwrap();
    let rows = session
        .query("SELECT time, part, at FROM accounts.seen ORDER BY n", 1_000)
        .unwrap()
        .rows;
    let found: Vec<_> = rows
        .iter()
        .map(|row| row.iter().map(integer).collect::<Vec<_>>())
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(time, part, at)| vec![*time, i64::from(*part), *at])
        .collect();
    assert_eq!(found, expected);
}

fn integer(cell: &foldlog::readmodel::query::Cell) -> i64 {
    match cell {
        foldlog::readmodel::query::Cell::Integer(value) => *value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn until_stops_before_a_time_or_an_offset() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let client = cluster.client();
    write(
        &client,
        (0..20).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n * 1_000, Some(event(n)))),
    );
    let text = accounts(&[&topic]);
    let folder = scratch();
    let until = |until| RebuildOptions {
        until: Some(until),
        ..RebuildOptions::default()
    };
    let before = |offset| At {
        topic: None,
        partition: 0,
        offset,
    };
    let time = Until::Time(Timestamp(1_700_000_000_000 + 5_000));
    let report = rebuilt(&client, folder.path(), &text, until(time)).unwrap();
    assert_eq!(
        number(&store(folder.path()), "SELECT sum(balance) FROM accounts.account"),
        1 + 2 + 3 + 4
    );
    assert_eq!(report.records, 5);
    let report = rebuilt(&client, folder.path(), &text, until(Until::Offsets(vec![before(3)]))).unwrap();
    assert_eq!(report.records, 3 + 10);
    assert_eq!(report.info.position.next(&TopicPartition::new(&*topic, 0)), Some(3));
    let built = dumped(&store(folder.path()));
    let error = rebuilt(&client, folder.path(), &text, until(Until::Offsets(vec![before(11)]))).unwrap_err();
    assert_eq!(error.to_string(), format!("{topic}[0] has no offset 11"));
    assert_eq!(dumped(&store(folder.path())), built);
}

#[test]
fn empty_topics_work_and_unknown_ones_do_not() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let client = cluster.client();
    let folder = scratch();
    let report = rebuilt(&client, folder.path(), &accounts(&[&topic]), RebuildOptions::default()).unwrap();
    assert_eq!((report.records, report.info.position.len()), (0, 2));
    let missing = unique("nowhere");
    let error = rebuilt(
        &client,
        folder.path(),
        &accounts(&[&missing]),
        RebuildOptions::default(),
    )
    .unwrap_err();
    let unknown = matches!(&error, ReplayError::Broker(BrokerError::UnknownTopic { name, .. }) if *name == missing);
    assert!(unknown, "{error}");
    // Looking for it did not make it.
    assert!(client.topics().unwrap().iter().all(|known| known.name != missing));
}

#[test]
fn poison_is_listed_or_skipped_and_large_and_odd_values_are_neither_lost_nor_harmful() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &[("max.message.bytes", "20000000")]);
    let client = cluster.client();
    let large = format!(
        r#"{{"pad": "{}", "type": "In", "id": "large", "amount": 5}}"#,
        "x".repeat(900_000)
    );
    let deep = format!(
        r#"{{"deep": {}{}, "type": "In", "id": "deep", "amount": 6}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let values = [
        event(1),
        "not json".to_owned(),
        large,
        String::new(),
        deep,
        r#"{"type": "In", "id": "x", "amount": "many"}"#.to_owned(),
        r#"{"type": "In", "id": 7, "amount": 1}"#.to_owned(),
        r#"{"type": "Other"}"#.to_owned(),
    ];
    write(
        &client,
        values
            .into_iter()
            .map(|value| (&*topic, 0, 1_700_000_000_000, Some(value))),
    );
    let text = accounts(&[&topic]);
    let folder = scratch();
    match rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap_err() {
        ReplayError::Poison { letters, all, .. } => {
            let offsets: Vec<_> = letters.iter().map(|letter| letter.record.offset).collect();
            assert_eq!((offsets, all), (vec![1, 3, 5], true), "{letters:?}");
        }
        error => panic!("{error}"),
    }
    let skip = RebuildOptions {
        skip_poison: true,
        ..RebuildOptions::default()
    };
    let report = rebuilt(&client, folder.path(), &text, skip).unwrap();
    let counts = report.info.counts;
    assert_eq!(
        (counts.applied, counts.ignored, counts.skipped, counts.poisoned),
        (4, 1, 3, 0)
    );
    let store = store(folder.path());
    assert_eq!(
        number(&store, "SELECT balance FROM accounts.account WHERE id = 'large'"),
        5
    );
    assert_eq!(
        number(&store, "SELECT balance FROM accounts.account WHERE id = 'deep'"),
        6
    );
    assert_eq!(
        store.dead_letters("accounts", 10).unwrap()[0].record.value.as_deref(),
        Some(b"not json".as_slice())
    );
}

#[test]
fn a_cancelled_rebuild_leaves_the_old_read_model() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    write(
        &client,
        (0..10).map(|n| (&*topic, 0, 1_700_000_000_000, Some(event(n)))),
    );
    let text = accounts(&[&topic]);
    let folder = scratch();
    rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    let before = dumped(&store(folder.path()));
    // A handler that would take for ever, so that the cancel meets it in the middle of a statement.
    let endless = text.replace(
        "INSERT INTO entry VALUES (@topic, @partition, @offset, :amount);",
        "INSERT INTO entry WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT @topic, @partition, @offset, :amount FROM n WHERE i < 0;",
    );
    let task = foldlog::replay::rebuild::rebuild(
        client,
        store(folder.path()),
        super::projection(&endless),
        RebuildOptions::default(),
    );
    let mut progress = task.progress();
    while progress.borrow_and_update().phase != Phase::Rebuilding {
        std::thread::yield_now();
    }
    task.cancel();
    assert!(matches!(task.wait(), Err(ReplayError::Cancelled)));
    assert_eq!(dumped(&store(folder.path())), before);
}

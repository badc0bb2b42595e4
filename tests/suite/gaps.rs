//! Offsets without a record: transaction markers, aborted records, compaction. A reader passes them, comes to the end, and
//! its position says how far it has come; what it hands out is what was committed.

use std::time::{Duration, Instant};

use foldlog::broker::reader::{Order, Poll, Range, ReadPlan};
use foldlog::record::{Record, TopicPartition};
use rdkafka::producer::Producer;

use crate::common::cluster::{Cluster, unique};
use crate::common::raw::{New, Writer, read_all, settled, write_values};
use crate::common::{PATIENCE, eventually};
use crate::contract::differences::TRANSACTIONS;

const ORDERS: [Order; 2] = [Order::Arrival, Order::Merged];

/// Everything that a reader hands out for `0..high` of every partition, after checking that it comes to the end there.
fn read_to_end(cluster: &Cluster, topic: &str, order: Order) -> Vec<Record> {
    let client = cluster.client();
    let info = client.topic(topic).unwrap();
    let watermarks = client.watermarks(&info).unwrap();
    let ranges: Vec<Range> = watermarks
        .iter()
        .map(|marks| Range {
            topic: topic.into(),
            partition: marks.partition,
            start: marks.low,
            end: Some(marks.high),
        })
        .collect();
    let mut reader = client.reader(ReadPlan { ranges, order }).unwrap();
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(
            Instant::now() < deadline,
            "{topic}: stalled at {:?} with {} records",
            reader.position(),
            records.len()
        );
        match reader.poll(Duration::from_millis(200)).unwrap() {
            Poll::Batch(batch) => records.extend(batch.iter().map(|record| record.to_record())),
            Poll::Idle => {}
            Poll::End => break,
        }
    }
    for marks in &watermarks {
        assert_eq!(
            reader.position().next(&TopicPartition::new(topic, marks.partition)),
            Some(marks.high),
            "{order:?}"
        );
    }
    records
}

fn values(records: &[Record]) -> Vec<String> {
    crate::common::raw::texts(records)
}

/// A producer that has begun nothing yet, where the broker has transactions.
fn transactional(cluster: &Cluster) -> Option<Writer> {
    if !TRANSACTIONS.holds(cluster) {
        return None;
    }
    let writer = Writer::new(cluster, &[("transactional.id", &unique("tx"))]);
    writer.producer().init_transactions(PATIENCE).unwrap();
    Some(writer)
}

fn transaction(writer: &mut Writer, topic: &str, partition: i32, values: &[&str], commit: bool) {
    writer.producer().begin_transaction().unwrap();
    for value in values {
        let partition = Some(partition);
        writer.send(
            topic,
            New {
                partition,
                ..New::value(value.as_bytes())
            },
        );
    }
    writer.producer().flush(PATIENCE).unwrap();
    if commit {
        writer.producer().commit_transaction(PATIENCE).unwrap();
    } else {
        writer.producer().abort_transaction(PATIENCE).unwrap();
    }
}

#[test]
fn markers_and_aborted_records_are_passed() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let Some(mut writer) = transactional(&cluster) else {
        return;
    };
    write_values(&cluster, &topic, 0, &["plain"]);
    transaction(&mut writer, &topic, 0, &["a", "b"], true);
    transaction(&mut writer, &topic, 0, &["never", "never"], false);
    transaction(&mut writer, &topic, 0, &["c"], true);
    // 1 + (2 + marker) + (2 + marker) + (1 + marker): the last offset is a marker.
    settled(&cluster, &topic, 0);
    for order in ORDERS {
        let records = read_to_end(&cluster, &topic, order);
        assert_eq!(values(&records), ["plain", "a", "b", "c"], "{order:?}");
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [0, 1, 2, 7], "{order:?}");
    }
}

#[test]
fn a_partition_that_holds_nothing_but_an_aborted_transaction_comes_to_its_end() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let Some(mut writer) = transactional(&cluster) else {
        return;
    };
    transaction(&mut writer, &topic, 0, &["never", "never"], false);
    transaction(&mut writer, &topic, 1, &["always"], true);
    (0..2).for_each(|partition| settled(&cluster, &topic, partition));
    for order in ORDERS {
        assert_eq!(values(&read_to_end(&cluster, &topic, order)), ["always"], "{order:?}");
    }
}

#[test]
fn an_open_transaction_is_not_read_and_not_waited_for() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let Some(mut writer) = transactional(&cluster) else {
        return;
    };
    write_values(&cluster, &topic, 0, &["before"]);
    writer.producer().begin_transaction().unwrap();
    writer.send(&topic, New::value(b"open"));
    writer.producer().flush(PATIENCE).unwrap();
    let client = cluster.client();
    let info = client.topic(&topic).unwrap();
    // The end is where a reader of committed records can come to: the last stable offset.
    assert_eq!(client.watermarks(&info).unwrap()[0].high, 1);
    for order in ORDERS {
        assert_eq!(values(&read_to_end(&cluster, &topic, order)), ["before"], "{order:?}");
    }
    writer.producer().commit_transaction(PATIENCE).unwrap();
    settled(&cluster, &topic, 0);
    for order in ORDERS {
        assert_eq!(
            values(&read_to_end(&cluster, &topic, order)),
            ["before", "open"],
            "{order:?}"
        );
    }
}

#[test]
fn a_compacted_topic_is_read_past_its_gaps() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.001"),
        ],
    );
    let mut writer = Writer::new(&cluster, &[("batch.num.messages", "10")]);
    let mut write = |rounds: i32| {
        for n in 0..rounds * 10 {
            let (key, value) = (format!("k{}", n % 10), n.to_string());
            writer.send(
                &topic,
                New {
                    key: Some(key.as_bytes()),
                    ..New::value(value.as_bytes())
                },
            );
        }
        writer.acknowledged().len()
    };
    write(50);
    // A segment is closed by the first write after its time, and compacted some time after that.
    let written = eventually("the compaction", || {
        let written = write(1);
        (read_all(&cluster, &topic, 0).len() < written / 2).then_some(written)
    });
    for order in ORDERS {
        let records = read_to_end(&cluster, &topic, order);
        assert!(records.len() < written, "{} of {written}", records.len());
        assert!(records.is_sorted_by_key(|record| record.offset));
        let last: Vec<String> = records[records.len() - 10..]
            .iter()
            .map(|record| String::from_utf8_lossy(record.key.as_deref().unwrap()).into_owned())
            .collect();
        let expected: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
        assert_eq!(last, expected, "{order:?}");
    }
}

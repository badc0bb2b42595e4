//! What is written comes back: whole, in order, and no more than was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use foldlog::broker::producer::NewRecord;
use foldlog::broker::reader::{Order, Poll, Range, ReadPlan};
use foldlog::record::{Header, Timestamp};

use super::{NOON, drain, whole, write};
use crate::common::PATIENCE;
use crate::common::cluster::Cluster;

#[test]
fn every_part_of_a_record_comes_back() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    let headers = [
        Header {
            key: "a".into(),
            value: Some(b"1".to_vec()),
        },
        Header {
            key: "a".into(),
            value: Some(Vec::new()),
        },
        Header {
            key: "ü".into(),
            value: None,
        },
        Header {
            key: "raw".into(),
            value: Some(vec![0, 255, 0]),
        },
    ];
    let base = NewRecord {
        topic: &topic,
        partition: Some(0),
        timestamp: Some(Timestamp(NOON)),
        ..NewRecord::default()
    };
    let written = [
        NewRecord {
            key: None,
            value: Some(b"no key"),
            ..base
        },
        NewRecord {
            key: Some(b""),
            value: Some(b"empty key"),
            ..base
        },
        NewRecord {
            key: Some(b"tombstone"),
            value: None,
            ..base
        },
        NewRecord {
            key: Some(b"empty"),
            value: Some(b""),
            ..base
        },
        NewRecord {
            key: Some(&[0xff, 0x00]),
            value: Some(&[0xfe, 0x00, 0x01]),
            headers: &headers,
            ..base
        },
        NewRecord {
            key: None,
            value: None,
            ..base
        },
        NewRecord {
            value: Some(b"1970"),
            timestamp: Some(Timestamp(1)),
            ..base
        },
    ];
    let producer = client.producer().unwrap();
    for record in written {
        producer.send(record).unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).unwrap(), written.len() as u64);
    for order in [Order::Arrival, Order::Merged] {
        let mut reader = client.reader(whole(&client, &topic, order)).unwrap();
        let read = drain(&mut reader);
        assert_eq!(read.len(), written.len());
        for (at, (read, written)) in read.iter().zip(&written).enumerate() {
            assert_eq!(read.offset, at as i64);
            assert_eq!(&*read.topic, topic);
            assert_eq!(read.key.as_deref(), written.key, "key of {at}");
            assert_eq!(read.value.as_deref(), written.value, "value of {at}");
            assert_eq!(read.timestamp, written.timestamp, "timestamp of {at}");
            assert_eq!(read.headers, written.headers, "headers of {at}");
        }
    }
}

#[test]
fn partitions_merge_by_time_however_they_were_written() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(4);
    let producer = client.producer().unwrap();
    // Partition by partition, so that they arrive in the opposite of the order that their times ask for; with ties.
    for partition in (0..4).rev() {
        for number in 0..3000_i64 {
            let value = format!("{partition}/{number}");
            producer
                .send(NewRecord {
                    topic: &topic,
                    partition: Some(partition),
                    value: Some(value.as_bytes()),
                    timestamp: Some(Timestamp(NOON + number / 2 * 7 % 100_000)),
                    ..NewRecord::default()
                })
                .unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
    let mut reader = client.reader(whole(&client, &topic, Order::Merged)).unwrap();
    let records = drain(&mut reader);
    assert_eq!(records.len(), 12_000);
    let keys: Vec<_> = records.iter().map(|r| (r.timestamp, r.partition, r.offset)).collect();
    assert!(keys.is_sorted(), "times, then partitions, then offsets");
    let again = drain(&mut client.reader(whole(&client, &topic, Order::Merged)).unwrap());
    assert!(records == again);
    for (partition, next) in reader.position().iter() {
        assert_eq!(next, 3000, "{partition}");
    }
}

#[test]
fn a_range_gives_its_records_and_no_others() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(2);
    write(&client, &topic, 2, 10_000, NOON);
    for order in [Order::Arrival, Order::Merged] {
        let range = |partition, start, end| Range {
            topic: topic.as_str().into(),
            partition,
            start,
            end: Some(end),
        };
        let plan = ReadPlan {
            ranges: vec![range(1, 4990, 5000), range(0, 17, 23)],
            order,
        };
        let mut reader = client.reader(plan).unwrap();
        let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for record in drain(&mut reader) {
            by_partition.entry(record.partition).or_default().push(record.offset);
        }
        assert_eq!(by_partition[&0], (17..23).collect::<Vec<_>>());
        assert_eq!(by_partition[&1], (4990..5000).collect::<Vec<_>>());
        let ends: Vec<i64> = reader.position().iter().map(|(_, next)| next).collect();
        assert_eq!(ends, [23, 5000]);
        assert!(matches!(reader.poll(Duration::ZERO).unwrap(), Poll::End));
    }
}

#[test]
fn nothing_to_read_ends_at_once() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(3);
    for order in [Order::Arrival, Order::Merged] {
        let mut reader = client.reader(whole(&client, &topic, order)).unwrap();
        assert!(matches!(reader.poll(PATIENCE).unwrap(), Poll::End));
        assert_eq!(reader.position().len(), 3);
    }
    let nothing = ReadPlan {
        ranges: Vec::new(),
        order: Order::Merged,
    };
    assert!(matches!(
        client.reader(nothing).unwrap().poll(PATIENCE).unwrap(),
        Poll::End
    ));
}

#[test]
fn a_reader_without_an_end_waits_for_more() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 3, NOON);
    let plan = ReadPlan {
        ranges: vec![Range {
            topic: topic.as_str().into(),
            partition: 0,
            start: 2,
            end: None,
        }],
        order: Order::Arrival,
    };
    let mut reader = client.reader(plan).unwrap();
    let mut next = || loop {
        match reader.poll(PATIENCE).unwrap() {
            Poll::Batch(batch) => break batch.iter().map(|r| r.to_record()).collect::<Vec<_>>(),
            Poll::Idle => {}
            Poll::End => panic!("there is no end"),
        }
    };
    assert_eq!(next()[0].offset, 2);
    write(&client, &topic, 1, 1, NOON);
    assert_eq!(next()[0].offset, 3);
}

#[test]
fn large_records_pass() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic_with(1, &[("max.message.bytes", "20000000")]);
    let large: Vec<u8> = (0..10_485_760_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let producer = client.producer().unwrap();
    for value in [&b"before"[..], &large, b"after"] {
        producer
            .send(NewRecord {
                topic: &topic,
                value: Some(value),
                ..NewRecord::default()
            })
            .unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).unwrap(), 3);
    for order in [Order::Arrival, Order::Merged] {
        let read = drain(&mut client.reader(whole(&client, &topic, order)).unwrap());
        let sizes: Vec<_> = read.iter().map(|record| record.value.as_ref().unwrap().len()).collect();
        assert_eq!(sizes, [6, large.len(), 5]);
        assert!(read[1].value.as_ref().unwrap() == &large);
    }
}

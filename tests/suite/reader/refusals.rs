//! What cannot be read or written is told, and nothing is created by asking.

use std::time::{Duration, Instant};

use foldlog::broker::error::BrokerError;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::reader::{Order, Poll, Range, ReadPlan};

use super::{NOON, drain, whole, write};
use crate::common::PATIENCE;
use crate::common::cluster::Cluster;

#[test]
fn an_offset_that_is_not_there_is_told_with_those_that_are() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 5, NOON);
    let open = |partition, start| {
        client.reader(ReadPlan {
            ranges: vec![Range {
                topic: topic.as_str().into(),
                partition,
                start,
                end: None,
            }],
            order: Order::Arrival,
        })
    };
    let error = open(0, 6).unwrap_err();
    assert!(
        matches!(
            error,
            BrokerError::OffsetOutOfRange {
                low: 0,
                high: 5,
                offset: 6,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("it holds 0 to 4"), "{error}");
    assert!(open(0, 5).is_ok(), "the end is where a live reader starts");
    let error = open(7, 0).unwrap_err();
    assert!(
        matches!(
            error,
            BrokerError::UnknownPartition {
                partition: 7,
                count: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn looking_creates_nothing() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    let missing = format!("{topic}x");
    let error = client.topic(&missing).unwrap_err();
    match &error {
        BrokerError::UnknownTopic { similar, .. } => assert!(similar.contains(&topic), "{similar:?}"),
        other => panic!("{other}"),
    }
    let range = Range {
        topic: missing.as_str().into(),
        partition: 0,
        start: 0,
        end: None,
    };
    let plan = ReadPlan {
        ranges: vec![range],
        order: Order::Arrival,
    };
    assert!(matches!(client.reader(plan), Err(BrokerError::UnknownTopic { .. })));
    let producer = client.producer().unwrap();
    let record = NewRecord {
        topic: &missing,
        ..NewRecord::default()
    };
    assert!(matches!(producer.send(record), Err(BrokerError::UnknownTopic { .. })));
    assert!(client.topics().unwrap().iter().all(|known| known.name != missing));
    write(&client, &topic, 1, 10, NOON);
    drain(&mut client.reader(whole(&client, &topic, Order::Merged)).unwrap());
    assert!(
        client
            .groups()
            .unwrap()
            .iter()
            .all(|group| !group.id.contains("foldlog"))
    );
}

#[test]
fn a_topic_that_is_deleted_while_it_is_read_is_told() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 3, NOON);
    let plan = ReadPlan {
        ranges: vec![Range {
            topic: topic.as_str().into(),
            partition: 0,
            start: 0,
            end: None,
        }],
        order: Order::Arrival,
    };
    let mut reader = client.reader(plan).unwrap();
    assert!(matches!(reader.poll(PATIENCE).unwrap(), Poll::Batch(_)));
    client.delete_topic(&topic).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody said that the topic is gone");
        match reader.poll(Duration::from_millis(200)) {
            Err(error) => break error,
            // The first batch need not have had all three records.
            Ok(Poll::Idle | Poll::Batch(_)) => {}
            Ok(Poll::End) => panic!("there is no end"),
        }
    };
    assert!(matches!(error, BrokerError::TopicGone { .. }), "{error}");
}

#[test]
fn a_record_that_the_topic_does_not_take_is_an_error_that_says_so() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic_with(1, &[("max.message.bytes", "1000")]);
    let producer = client.producer().unwrap();
    // Not compressible, so that no codec makes it small enough.
    let value: Vec<u8> = (0..50_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let record = NewRecord {
        topic: &topic,
        value: Some(&value),
        ..NewRecord::default()
    };
    let error = producer
        .send(record)
        .and_then(|()| producer.flush(PATIENCE))
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("max.message.bytes") && text.contains(&topic), "{text}");
    assert!(text.starts_with("1 record could not be written"), "{text}");
}

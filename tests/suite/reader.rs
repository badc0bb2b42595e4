//! Foldlog's own client: what it writes it reads back, in every order, with exact positions, and nothing is left behind.

mod outage;
mod records;
mod refusals;
mod threads;
mod topics;

use std::time::{Duration, Instant};

use foldlog::broker::client::Client;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::reader::{Order, Poll, Range, ReadPlan, Reader};
use foldlog::record::{Record, Timestamp, TopicPartition};

use crate::common::PATIENCE;

/// Every partition of a topic from its first offset to its end.
pub fn whole(client: &Client, topic: &str, order: Order) -> ReadPlan {
    let info = client.topic(topic).unwrap();
    let ranges = client.watermarks(&info).unwrap().into_iter().map(|mark| Range {
        topic: topic.into(),
        partition: mark.partition,
        start: mark.low,
        end: Some(mark.high),
    });
    ReadPlan {
        ranges: ranges.collect(),
        order,
    }
}

/// Reads to the end, checking on the way that the position is always one past what was handed out.
pub fn drain(reader: &mut Reader) -> Vec<Record> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "no end after {} records", records.len());
        match reader.poll(Duration::from_millis(200)).unwrap() {
            Poll::End => return records,
            Poll::Idle => {}
            Poll::Batch(batch) => {
                assert!(!batch.is_empty());
                for record in batch.iter() {
                    let partition = TopicPartition::new(record.topic, record.partition);
                    assert!(reader.position().next(&partition).unwrap() > record.offset);
                    records.push(record.to_record());
                }
            }
        }
    }
}

/// Writes `count` records, the number as key and value, one millisecond apart from `start` on, to the partitions in turn.
fn write(client: &Client, topic: &str, partitions: i32, count: i64, start: i64) {
    let producer = client.producer().unwrap();
    for number in 0..count {
        let text = number.to_string();
        producer
            .send(NewRecord {
                topic,
                partition: Some((number % i64::from(partitions)) as i32),
                key: Some(text.as_bytes()),
                value: Some(text.as_bytes()),
                timestamp: Some(Timestamp(start + number)),
                headers: &[],
            })
            .unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).unwrap(), count as u64);
}

const NOON: i64 = 1_700_000_000_000;

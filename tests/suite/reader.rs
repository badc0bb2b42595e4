//! Foldlog's own client: what it writes it reads back, in every order, with exact positions, and nothing is left behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldlog::broker::client::Client;
use foldlog::broker::error::BrokerError;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::reader::{Order, Poll, Range, ReadPlan, Reader};
use foldlog::record::{Header, Record, Timestamp, TopicPartition};

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::process::BrokerProcess;
use crate::common::{PATIENCE, eventually};

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
            Ok(Poll::Idle) => {}
            Ok(other) => panic!("{other:?}"),
        }
    };
    assert!(matches!(error, BrokerError::TopicGone { .. }), "{error}");
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

#[test]
fn many_readers_on_their_own_threads_end_in_any_order() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(2);
    write(&client, &topic, 2, 20_000, NOON);
    let topic: Arc<str> = topic.into();
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let (client, topic) = (client.clone(), Arc::clone(&topic));
            std::thread::spawn(move || {
                let order = if number % 2 == 0 { Order::Merged } else { Order::Arrival };
                let mut reader = client.reader(whole(&client, &topic, order)).unwrap();
                if number < 3 {
                    return drain(&mut reader).len();
                }
                // Some are dropped in the middle, one batch outliving its reader.
                let batch = loop {
                    if let Poll::Batch(batch) = reader.poll(PATIENCE).unwrap() {
                        break batch;
                    }
                };
                drop(reader);
                assert!(batch.iter().all(|record| record.value.is_some()));
                20_000
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 20_000);
    }
}

#[test]
fn a_batch_may_be_used_and_dropped_on_another_thread() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 10_000, NOON);
    let mut reader = client.reader(whole(&client, &topic, Order::Arrival)).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    let other = std::thread::spawn(move || {
        receiver
            .iter()
            .map(|batch: foldlog::broker::reader::Batch| batch.iter().filter(|r| r.key == r.value).count())
            .sum::<usize>()
    });
    loop {
        match reader.poll(PATIENCE).unwrap() {
            Poll::Batch(batch) => sender.send(batch).unwrap(),
            Poll::Idle => {}
            Poll::End => break,
        }
    }
    drop((reader, sender));
    assert_eq!(other.join().unwrap(), 10_000);
}

#[test]
fn offsets_by_time_and_watermarks() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(2);
    write(&client, &topic, 2, 100, NOON);
    let info = client.topic(&topic).unwrap();
    let marks: Vec<_> = client
        .watermarks(&info)
        .unwrap()
        .iter()
        .map(|m| (m.partition, m.low, m.high))
        .collect();
    assert_eq!(marks, [(0, 0, 50), (1, 0, 50)]);
    let at = |time| client.offsets_at(&info, Timestamp(time)).unwrap();
    assert_eq!(at(0), [(0, 0), (1, 0)]);
    assert_eq!(at(NOON + 50), [(0, 25), (1, 25)]);
    assert_eq!(at(NOON + 51), [(0, 26), (1, 25)]);
    assert_eq!(at(NOON + 1_000_000), [(0, 50), (1, 50)], "a time to come is the end");
}

#[test]
fn topics_are_created_configured_and_deleted() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let name = unique("made");
    let topic = foldlog::broker::topics::NewTopic {
        name: name.clone(),
        partitions: Some(3),
        replication: None,
        config: vec![("cleanup.policy".into(), "compact".into())],
    };
    client.create_topic(&topic).unwrap();
    assert_eq!(client.topic(&name).unwrap().partitions, [0, 1, 2]);
    let config = client.topic_config(&name).unwrap();
    let policy = config.iter().find(|entry| entry.name == "cleanup.policy").unwrap();
    assert_eq!((policy.value.as_deref(), policy.is_default), (Some("compact"), false));
    let retention = config.iter().find(|entry| entry.name == "retention.ms").unwrap();
    assert!(retention.is_default);
    assert!(matches!(
        client.create_topic(&topic),
        Err(BrokerError::TopicExists { .. })
    ));
    client.delete_topic(&name).unwrap();
    assert!(matches!(client.topic(&name), Err(BrokerError::UnknownTopic { .. })));
    assert!(matches!(
        client.delete_topic(&name),
        Err(BrokerError::UnknownTopic { .. })
    ));
    let bad = foldlog::broker::topics::NewTopic {
        name: "a/b".into(),
        ..Default::default()
    };
    let error = client.create_topic(&bad).unwrap_err().to_string();
    assert!(error.contains("a/b"), "{error}");
}

#[test]
fn a_broker_that_dies_ends_a_bounded_read_and_not_a_live_one() {
    let data = scratch();
    let mut broker = BrokerProcess::start(data.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    let client = cluster.client().with_deadline(Duration::from_secs(2));
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 3, NOON);
    let open = |end, order| {
        let range = Range {
            topic: topic.as_str().into(),
            partition: 0,
            start: 0,
            end,
        };
        let ranges = vec![range];
        client.reader(ReadPlan { ranges, order }).unwrap()
    };
    let mut bounded = open(Some(10), Order::Merged);
    let mut live = open(None, Order::Arrival);
    for reader in [&mut bounded, &mut live] {
        assert!(matches!(reader.poll(PATIENCE).unwrap(), Poll::Batch(_)));
    }
    let listen = broker.address.clone();
    broker.kill();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody said that the broker is gone");
        match bounded.poll(Duration::from_millis(100)) {
            Err(error) => break error.to_string(),
            Ok(Poll::Idle) => {}
            Ok(other) => panic!("{other:?}"),
        }
    };
    assert!(error.contains("cannot reach") && error.contains(&listen), "{error}");
    let trouble = eventually("the live reader to know", || {
        assert!(matches!(live.poll(Duration::from_millis(50)).unwrap(), Poll::Idle));
        live.trouble()
    });
    assert!(!trouble.is_empty());
    // Where it comes back on the same address, the live reader goes on where it was.
    let _again = BrokerProcess::start(data.path(), &listen);
    // The trouble is over when the broker is back, though nothing is written yet.
    eventually("the trouble to be over", || {
        assert!(matches!(live.poll(Duration::from_millis(50)).unwrap(), Poll::Idle));
        live.trouble().is_none().then_some(())
    });
    write(&client, &topic, 1, 1, NOON);
    let record = eventually("the record that was written after", || {
        match live.poll(Duration::from_millis(100)).unwrap() {
            Poll::Batch(batch) => batch.get(0).map(|record| record.to_record()),
            _ => None,
        }
    });
    assert_eq!(record.offset, 3);
    assert_eq!(live.trouble(), None);
}

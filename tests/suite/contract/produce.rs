//! Produce: what is acknowledged is in the log, once, in order, byte for byte.

use foldlog::record::{Header, Timestamp};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use crate::common::cluster::{Cluster, unique};
use crate::common::raw::{Admin, New, Writer, read_all, texts, write_values};
use crate::common::{PATIENCE, eventually};

#[test]
fn every_codec_with_every_acks() {
    let cluster = Cluster::shared();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let topic = cluster.topic(1);
            let values: Vec<String> = (0..300)
                .map(|n| format!("{{\"codec\":\"{codec}\",\"n\":{n}}}"))
                .collect();
            let mut writer = Writer::new(&cluster, &[("compression.codec", codec), ("acks", acks)]);
            for value in &values {
                writer.send(&topic, New::value(value.as_bytes()));
            }
            let deliveries = writer.finish();
            assert!(deliveries.iter().all(Result::is_ok), "{codec} {acks}: {deliveries:?}");
            if acks == "0" {
                // Nobody said that they arrived.
                eventually("the records", || {
                    (read_all(&cluster, &topic, 0).len() >= 300).then_some(())
                });
            }
            assert_eq!(texts(&read_all(&cluster, &topic, 0)), values, "{codec} {acks}");
        }
    }
}

#[test]
fn an_acknowledgement_names_the_offset_where_the_record_lies() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(3);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "1")]);
    let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    for (n, value) in values.iter().enumerate() {
        let partition = Some(i32::try_from(n % 3).unwrap());
        writer.send(
            &topic,
            New {
                partition,
                ..New::value(value.as_bytes())
            },
        );
    }
    let sent = writer.acknowledged();
    let logs: Vec<_> = (0..3).map(|partition| read_all(&cluster, &topic, partition)).collect();
    for (value, at) in values.iter().zip(sent) {
        let record = &logs[usize::try_from(at.partition).unwrap()][usize::try_from(at.offset).unwrap()];
        assert_eq!(record.offset, at.offset);
        assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn an_idempotent_producer_writes_each_record_once_and_in_order() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let mut writer = Writer::new(
        &cluster,
        &[
            ("enable.idempotence", "true"),
            ("max.in.flight.requests.per.connection", "5"),
            ("batch.num.messages", "7"),
            ("linger.ms", "0"),
        ],
    );
    let values: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    for value in &values {
        for partition in 0..2 {
            let partition = Some(partition);
            writer.send(
                &topic,
                New {
                    partition,
                    ..New::value(value.as_bytes())
                },
            );
        }
    }
    writer.acknowledged();
    for partition in 0..2 {
        assert_eq!(texts(&read_all(&cluster, &topic, partition)), values);
    }
}

#[test]
fn producers_side_by_side_lose_and_double_nothing() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let threads: Vec<_> = (0..3)
        .map(|producer| {
            let (cluster, topic) = (cluster.clone(), topic.clone());
            std::thread::spawn(move || {
                let values: Vec<String> = (0..2000).map(|n| format!("{producer}:{n}")).collect();
                write_values(&cluster, &topic, 0, &values);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let records = read_all(&cluster, &topic, 0);
    assert!(records.iter().zip(0..).all(|(record, offset)| record.offset == offset));
    let values = texts(&records);
    assert_eq!(values.len(), 6000);
    for producer in 0..3 {
        let prefix = format!("{producer}:");
        let own: Vec<&str> = values.iter().filter_map(|value| value.strip_prefix(&prefix)).collect();
        let expected: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
        assert_eq!(own, expected, "the order of producer {producer}");
    }
}

#[test]
fn nothing_about_a_record_is_changed() {
    let cluster = Cluster::shared();
    let bytes: Vec<u8> = (0..=255).collect();
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("trace", Some(b"1")),
        ("trace", Some(b"2")),
        ("null", None),
        ("empty", Some(b"")),
        ("", Some(b"a header without a name")),
        ("trace", Some(&bytes)),
        ("\u{1b}[31mred", Some(b"\x1b[0m")),
    ];
    let new = [
        New {
            key: Some(b"k"),
            ..New::value(b"v")
        },
        New {
            key: Some(b"k"),
            ..New::default()
        },
        New {
            key: Some(b""),
            ..New::value(b"")
        },
        New::value(b""),
        New::default(),
        New {
            key: Some(&bytes),
            ..New::value(&bytes)
        },
        New {
            headers,
            ..New::value(b"with headers")
        },
        New {
            headers,
            key: Some(b"tombstone with headers"),
            ..New::default()
        },
        New {
            timestamp: Some(1),
            ..New::value(b"1970")
        },
        New {
            timestamp: Some(1_000_000_000_123),
            ..New::value(b"2001")
        },
    ];
    for codec in ["none", "zstd"] {
        let topic = cluster.topic(1);
        let mut writer = Writer::new(&cluster, &[("compression.codec", codec)]);
        for record in new {
            writer.send(
                &topic,
                New {
                    partition: Some(0),
                    ..record
                },
            );
        }
        writer.acknowledged();
        let records = read_all(&cluster, &topic, 0);
        assert_eq!(records.len(), new.len());
        for (record, new) in records.iter().zip(&new) {
            assert_eq!(record.key.as_deref(), new.key);
            assert_eq!(record.value.as_deref(), new.value);
            let expected: Vec<Header> = new
                .headers
                .iter()
                .map(|(key, value)| Header {
                    key: (*key).to_owned(),
                    value: value.map(<[u8]>::to_vec),
                })
                .collect();
            assert_eq!(record.headers, expected);
            match new.timestamp {
                Some(time) => assert_eq!(record.timestamp, Some(Timestamp(time))),
                None => assert!(record.timestamp.is_some_and(|time| time.0 > 1_600_000_000_000)),
            }
        }
    }
}

#[test]
fn ten_megabytes_in_one_record() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &[("max.message.bytes", "16777216")]);
    // Not all the same, so that compression cannot make it small.
    let mut state = 1_u64;
    let value: Vec<u8> = (0..10 * 1024 * 1024)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    write_values(&cluster, &topic, 0, &[b"before".as_slice(), &value, b"after"]);
    let records = read_all(&cluster, &topic, 0);
    assert_eq!(records.len(), 3);
    assert!(
        records[1].value.as_deref() == Some(&value[..]),
        "the large value came back as it was"
    );
    assert_eq!(records[2].value.as_deref(), Some(&b"after"[..]));
}

#[test]
fn a_record_larger_than_the_topic_allows_is_refused() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &[("max.message.bytes", "5000")]);
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(&topic, New::value(&[b'x'; 4000]));
    assert!(writer.finish()[0].is_ok());
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(&topic, New::value(&[b'x'; 6000]));
    assert_eq!(writer.finish(), [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
    assert_eq!(read_all(&cluster, &topic, 0).len(), 1);
}

#[test]
fn a_partition_that_does_not_exist_is_refused() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(
        &topic,
        New {
            partition: Some(2),
            ..New::value(b"x")
        },
    );
    assert_eq!(writer.finish(), [Err(RDKafkaErrorCode::UnknownPartition)]);
}

#[test]
fn a_name_that_is_no_topic_name_is_refused_and_not_created() {
    let cluster = Cluster::shared();
    let bad = unique("bad");
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(&format!("{bad}/../x"), New::value(b"x"));
    assert_eq!(writer.finish(), [Err(RDKafkaErrorCode::InvalidTopic)]);
    let topics = Admin::new(&cluster).topics();
    assert!(!topics.iter().any(|topic| topic.contains(&bad)), "{topics:?}");
}

#[test]
fn the_broker_stamps_the_time_where_the_topic_says_so() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(
        &topic,
        New {
            timestamp: Some(1),
            ..New::value(b"x")
        },
    );
    writer.acknowledged();
    let records = read_all(&cluster, &topic, 0);
    assert!(
        records[0].timestamp.is_some_and(|time| time.0 > 1_600_000_000_000),
        "{records:?}"
    );
}

#[test]
fn transactions_are_carried_out_or_refused_at_once() {
    let cluster = Cluster::shared();
    let writer = Writer::new(&cluster, &[("transactional.id", &unique("tx"))]);
    let begun = writer.producer().init_transactions(PATIENCE);
    if crate::contract::differences::TRANSACTIONS.holds(&cluster) {
        assert!(begun.is_ok(), "{begun:?}");
        return;
    }
    let error = begun.expect_err("refused");
    let code = error.rdkafka_error_code();
    assert!(
        code == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed),
        "refused by the broker and not given up by the client: {error}"
    );
}

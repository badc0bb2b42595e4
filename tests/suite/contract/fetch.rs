//! Fetch and list offsets: where records are found, and what a reader sees where there are none.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::common::PATIENCE;
use crate::common::cluster::{Cluster, unique};
use crate::common::raw::{
    Admin, New, Writer, assign, consumer, read_all, read_from, read_with, record, texts, write_values,
};

fn numbers(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// The next record, with the ends of partitions passed over.
fn next(consumer: &BaseConsumer) -> foldlog::record::Record {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => return record(&message),
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
        assert!(Instant::now() < deadline, "no record came");
    }
}

#[test]
fn an_empty_partition_is_at_its_end_at_once() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write_values(&cluster, &topic, 1, &["x"]);
    assert_eq!(read_all(&cluster, &topic, 0), []);
    assert_eq!(read_from(&cluster, &topic, 0, Offset::End), []);
    let consumer = consumer(&cluster, &[]);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (0, 0));
    assert_eq!(consumer.fetch_watermarks(&topic, 1, PATIENCE).unwrap(), (0, 1));
}

#[test]
fn reading_begins_where_it_is_asked_to() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    write_values(&cluster, &topic, 0, &numbers(0..100));
    for (offset, expected) in [
        (Offset::Beginning, 0..100),
        (Offset::Offset(0), 0..100),
        // In the middle of a batch: the client drops what is before.
        (Offset::Offset(42), 42..100),
        (Offset::Offset(99), 99..100),
        (Offset::Offset(100), 100..100),
        (Offset::End, 100..100),
        (Offset::OffsetTail(10), 90..100),
    ] {
        assert_eq!(
            texts(&read_from(&cluster, &topic, 0, offset)),
            numbers(expected),
            "{offset:?}"
        );
    }
}

#[test]
fn an_offset_out_of_range_is_an_error_that_says_so() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    write_values(&cluster, &topic, 0, &numbers(0..10));
    let strict = consumer(&cluster, &[]);
    assert_eq!(
        read_with(&strict, &topic, 0, Offset::Offset(11)),
        Err(RDKafkaErrorCode::AutoOffsetReset)
    );
    let lenient = consumer(&cluster, &[("auto.offset.reset", "earliest")]);
    let records = read_with(&lenient, &topic, 0, Offset::Offset(1_000_000)).unwrap();
    assert_eq!(texts(&records), numbers(0..10));
}

#[test]
fn a_partition_or_topic_that_does_not_exist_is_an_error() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    // How long the client hopes that what it does not find is only new.
    let consumer = consumer(&cluster, &[("topic.metadata.propagation.max.ms", "500")]);
    assert_eq!(
        read_with(&consumer, &topic, 5, Offset::Beginning),
        Err(RDKafkaErrorCode::UnknownPartition)
    );
    let unknown = unique("unknown");
    assert_eq!(
        read_with(&consumer, &unknown, 0, Offset::Beginning),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
    assert!(!Admin::new(&cluster).topics().contains(&unknown));
}

#[test]
fn offsets_are_found_by_time() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        find_by_time(codec);
    }
}

fn find_by_time(codec: &str) {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    // Several batches, and within one batch times that go back, as the clocks of several producers do.
    let times: [&[i64]; 3] = [&[1000, 2000, 1500], &[3000, 3000], &[2500, 5000]];
    for batch in times {
        let mut writer = Writer::new(&cluster, &[("compression.codec", codec)]);
        for time in batch {
            let (partition, timestamp) = (Some(0), Some(*time));
            writer.send(
                &topic,
                New {
                    partition,
                    timestamp,
                    // Long enough that compression is worth it: clients send a batch that it makes larger as it is.
                    ..New::value(&[b'x'; 500])
                },
            );
        }
        writer.acknowledged();
    }
    let consumer = consumer(&cluster, &[]);
    let at = |partition, time| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition, Offset::Offset(time))
            .unwrap();
        let found = consumer.offsets_for_times(list, PATIENCE).unwrap();
        found.elements()[0].offset()
    };
    for (time, offset) in [
        (0, Offset::Offset(0)),
        (1000, Offset::Offset(0)),
        (1001, Offset::Offset(1)),
        (2000, Offset::Offset(1)),
        (2001, Offset::Offset(3)),
        (3000, Offset::Offset(3)),
        (3001, Offset::Offset(6)),
        (5000, Offset::Offset(6)),
        // Nothing is that late: the end, not the beginning.
        (5001, Offset::End),
    ] {
        assert_eq!(at(0, time), offset, "{codec}: {time}");
    }
    assert_eq!(at(1, 1000), Offset::End, "an empty partition");
}

#[test]
fn a_waiting_fetch_is_woken_by_a_record() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    // Longer than the patience of the test: only being woken gets the record through in time.
    let consumer = consumer(
        &cluster,
        &[("fetch.wait.max.ms", "300000"), ("socket.timeout.ms", "300000")],
    );
    let mut list = TopicPartitionList::new();
    for partition in 0..2 {
        list.add_partition_offset(&topic, partition, Offset::Offset(0)).unwrap();
    }
    consumer.assign(&list).unwrap();
    // The next fetch is on its way when a record is handed over, so that all rounds but the first find one waiting.
    for round in 0..10 {
        let value = round.to_string();
        write_values(&cluster, &topic, round % 2, &[&value]);
        assert_eq!(next(&consumer).value, Some(value.into_bytes()));
    }
}

#[test]
fn a_fetch_that_wants_more_than_there_is_is_answered_when_its_time_is_up() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    write_values(&cluster, &topic, 0, &numbers(0..10));
    let patient = consumer(&cluster, &[("fetch.min.bytes", "100000"), ("fetch.wait.max.ms", "300")]);
    let records = read_with(&patient, &topic, 0, Offset::Beginning).unwrap();
    assert_eq!(texts(&records), numbers(0..10));
}

#[test]
fn a_reader_that_follows_sees_every_record_in_order() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let consumer = consumer(&cluster, &[]);
    assign(&consumer, &topic, 0, Offset::Beginning);
    let writer = {
        let (cluster, topic) = (cluster.clone(), topic.clone());
        std::thread::spawn(move || {
            for start in (0..2000).step_by(100) {
                write_values(&cluster, &topic, 0, &numbers(start..start + 100));
            }
        })
    };
    for n in 0..2000 {
        let record = next(&consumer);
        assert_eq!((record.offset, record.value), (n, Some(n.to_string().into_bytes())));
    }
    writer.join().unwrap();
}

#[test]
fn a_record_larger_than_the_fetch_allows_still_comes() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let large = vec![b'x'; 1_000_000];
    write_values(&cluster, &topic, 0, &[b"a".as_slice(), &large, b"b"]);
    let narrow = consumer(
        &cluster,
        &[
            ("fetch.message.max.bytes", "1000"),
            ("fetch.max.bytes", "2000"),
            ("message.max.bytes", "2000"),
        ],
    );
    let sizes: Vec<usize> = read_with(&narrow, &topic, 0, Offset::Beginning)
        .unwrap()
        .iter()
        .map(|record| record.value.as_ref().map_or(0, Vec::len))
        .collect();
    assert_eq!(sizes, [1, 1_000_000, 1]);
}

#[test]
fn checksums_hold_and_both_isolation_levels_see_the_same() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    write_values(&cluster, &topic, 0, &numbers(0..1000));
    for isolation in ["read_committed", "read_uncommitted"] {
        let checking = consumer(&cluster, &[("check.crcs", "true"), ("isolation.level", isolation)]);
        let records = read_with(&checking, &topic, 0, Offset::Beginning).unwrap();
        assert_eq!(texts(&records), numbers(0..1000), "{isolation}");
    }
}

#[test]
fn many_partitions_are_read_through_one_assignment() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(64);
    let mut writer = Writer::new(&cluster, &[]);
    for n in 0..6400_i32 {
        let value = n.to_string();
        writer.send(
            &topic,
            New {
                partition: Some(n % 64),
                ..New::value(value.as_bytes())
            },
        );
    }
    writer.acknowledged();
    let consumer = consumer(&cluster, &[]);
    let mut list = TopicPartitionList::new();
    for partition in 0..64 {
        list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut next_of = [0_i32; 64];
    for _ in 0..6400 {
        let record = next(&consumer);
        let partition = usize::try_from(record.partition).unwrap();
        let expected = (next_of[partition] * 64 + record.partition).to_string();
        assert_eq!(record.value, Some(expected.into_bytes()));
        next_of[partition] += 1;
    }
    assert_eq!(next_of, [100; 64]);
}

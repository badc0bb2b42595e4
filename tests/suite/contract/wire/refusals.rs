//! What is refused and how, and what a connection may rely on.

use super::*;

#[test]
fn a_version_of_the_future_is_answered_with_the_versions_there_are() {
    let cluster = Cluster::shared();
    let mut wire = Wire::new(&cluster);
    // ApiVersions 99 with correlation id 7: nothing after this can be understood, and nothing need be.
    wire.send_frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0]);
    let mut frame = wire.frame().expect("an answer");
    let correlation = i32::from_be_bytes(frame.split_to(4).as_ref().try_into().unwrap());
    // In version 0, which every client understands.
    let response = ApiVersionsResponse::decode(&mut frame, 0).unwrap();
    assert_eq!(correlation, 7);
    assert_eq!(error(response.error_code), Some(ResponseError::UnsupportedVersion));
    assert!(response.api_keys.iter().any(|api| api.api_key == 18));
}

#[test]
fn what_is_not_served_ends_the_connection_and_nothing_else() {
    let cluster = Cluster::shared();
    let mut other = Wire::new(&cluster);
    for frame in [
        // An API that does not exist, a version of Metadata that does not, and no header at all.
        &[0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff][..],
        &[0, 3, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff][..],
        &[0][..],
    ] {
        let mut wire = Wire::new(&cluster);
        wire.send_frame(frame);
        assert_eq!(wire.frame(), None, "{frame:?}");
    }
    other.versions::<MetadataRequest>();
}

#[test]
fn sequences_are_watched_over() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut wire = Wire::new(&cluster);
    let producer = producer_id(&mut wire, 4);
    let mut write = |values: &[&str], epoch, sequence| {
        let response = produce(
            &mut wire,
            &topic,
            0,
            batch(
                values,
                Writing {
                    producer,
                    epoch,
                    sequence,
                },
            ),
        );
        (error(response.error_code), response.base_offset)
    };
    assert_eq!(write(&["a", "b"], 0, 0), (None, 0));
    assert_eq!(write(&["c"], 0, 2), (None, 2));
    assert_eq!(write(&["d"], 0, 3), (None, 3));
    // Sent again because an acknowledgement was lost: acknowledged again at the same place.
    assert_eq!(write(&["c"], 0, 2), (None, 2));
    assert_eq!(write(&["a", "b"], 0, 0), (None, 0));
    // A gap means that something was lost.
    assert_eq!(write(&["f"], 0, 5).0, Some(ResponseError::OutOfOrderSequenceNumber));
    // A new epoch begins again at 0; the old one is fenced.
    assert_eq!(write(&["e"], 1, 3).0, Some(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(write(&["e"], 1, 0), (None, 4));
    assert_eq!(write(&["x"], 0, 4).0, Some(ResponseError::InvalidProducerEpoch));
    assert_eq!(texts(&read_all(&cluster, &topic, 0)), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_compacted_topic_names_the_records_without_a_key() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &[("cleanup.policy", "compact")]);
    let mut wire = Wire::new(&cluster);
    let response = produce(&mut wire, &topic, 0, batch(&["a", "b"], ANYBODY));
    assert_eq!(error(response.error_code), Some(ResponseError::InvalidRecord));
    let named: Vec<i32> = response.record_errors.iter().map(|named| named.batch_index).collect();
    assert_eq!(named, [0, 1]);
    assert!(read_all(&cluster, &topic, 0).is_empty());
}

#[test]
fn broken_batches_are_refused_and_not_stored() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut wire = Wire::new(&cluster);
    let good = batch(&["value"], ANYBODY);
    let broken = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] ^= byte;
        bytes::Bytes::from(bytes)
    };
    let last = good.len() - 2;
    let mut wrong = |records| error(produce(&mut wire, &topic, 0, records).error_code);
    assert_eq!(
        wrong(broken(last, 1)),
        Some(ResponseError::CorruptMessage),
        "a byte of the value"
    );
    assert_eq!(
        wrong(broken(17, 1)),
        Some(ResponseError::CorruptMessage),
        "the checksum"
    );
    for (what, records) in [
        ("cut short", good.slice(..good.len() - 3)),
        ("only a head", good.slice(..20)),
        ("no bytes", bytes::Bytes::new()),
        ("an older format", broken(16, 2 ^ 1)),
        ("two batches", [&good[..], &good[..]].concat().into()),
    ] {
        assert!(wrong(records).is_some(), "{what}");
    }
    assert_eq!(wrong(good.clone()), None);
    assert_eq!(texts(&read_all(&cluster, &topic, 0)), ["value"]);
}

#[test]
fn unknown_partitions_are_refused_by_name() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut wire = Wire::new(&cluster);
    for (topic, partition) in [(topic.as_str(), 1), (topic.as_str(), -1), (&unique("unknown"), 0)] {
        let response = produce(&mut wire, topic, partition, batch(&["x"], ANYBODY));
        let code = error(response.error_code);
        assert_eq!(
            code,
            Some(ResponseError::UnknownTopicOrPartition),
            "{topic}[{partition}]"
        );
    }
}

#[test]
fn answers_come_in_the_order_of_the_questions() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut wire = Wire::new(&cluster);
    // The first waits for records that never come; the second could be answered at once; the third gets no answer at all.
    let fetch = fetch_request(&mut wire, 11, &topic, 0, 0)
        .with_max_wait_ms(500)
        .with_min_bytes(1);
    let silent = produce_request(&mut wire, 9, &topic, 0, batch(&["x"], ANYBODY)).with_acks(0);
    let first = wire.send(&fetch, 11);
    let second = wire.send(&MetadataRequest::default().with_topics(Some(vec![])), 9);
    wire.send(&silent, 9);
    let third = wire.send(&MetadataRequest::default().with_topics(Some(vec![])), 9);
    assert_eq!(wire.receive::<FetchRequest>(11).0, first);
    assert_eq!(wire.receive::<MetadataRequest>(9).0, second);
    assert_eq!(wire.receive::<MetadataRequest>(9).0, third);
    assert_eq!(read_all(&cluster, &topic, 0).len(), 1);
}

#[test]
fn a_fetch_stays_within_its_bytes_but_always_gets_on() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    for _ in 0..20 {
        write_values(&cluster, &topic, 0, &["x".repeat(1000)]);
    }
    let mut wire = Wire::new(&cluster);
    let mut size = |max_bytes: i32| {
        let mut request = fetch_request(&mut wire, 11, &topic, 0, 0).with_max_bytes(max_bytes);
        request.topics[0].partitions[0].partition_max_bytes = max_bytes;
        let response = wire.ask(&request, 11);
        response.responses[0].partitions[0]
            .records
            .as_ref()
            .map_or(0, |records| records.len())
    };
    let all = size(1 << 20);
    assert!(all > 20_000);
    let some = size(5000);
    assert!((1000..=5000).contains(&some), "{some}");
    let one = size(1);
    assert!(
        one > 0 && one < 3000,
        "{one}: at least one batch, however small the limit"
    );
}

//! A disk that takes no more: what was acknowledged stays, what was refused is told, and all goes on once there is room.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

use crate::common::cluster::scratch;
use crate::common::process::BrokerProcess;
use crate::common::raw::{Admin, read_all, texts};
use crate::common::wire::{Wire, Writing, batch, topic_name};

/// Writes one record as an idempotent producer does and answers with its offset.
fn produce(wire: &mut Wire, topic: &str, sequence: i32, value: &str) -> Result<i64, ResponseError> {
    let writing = Writing {
        producer: 7,
        epoch: 0,
        sequence,
    };
    let data = PartitionProduceData::default().with_records(Some(batch(&[value], writing)));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let response = wire.ask(&request, 9).responses[0].partition_responses[0].clone();
    ResponseError::try_from_code(response.error_code).map_or(Ok(response.base_offset), Err)
}

/// A limit on the size of files stands for the disk: the write that reaches it is done in part, as the last one on a full disk.
#[test]
fn what_does_not_fit_is_refused_and_nothing_acknowledged_is_lost() {
    let data = scratch();
    let mut broker = BrokerProcess::start_with_small_files(data.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    let admin = Admin::new(&cluster);
    admin.create_topic("full", 1, &[]).unwrap();
    admin.create_topic("other", 1, &[]).unwrap();
    let mut wire = Wire::new(&cluster);
    let value = |n: i64| format!("{n} {}", "x".repeat(10_000));
    let mut count = 0;
    let refusal = loop {
        match produce(&mut wire, "full", count as i32, &value(count)) {
            Ok(offset) => assert_eq!(offset, count),
            Err(refusal) => break refusal,
        }
        count += 1;
    };
    // Not an error that clients try again: nobody else takes the write over, and the disk stays full.
    assert_eq!(refusal, ResponseError::UnknownServerError);
    assert!(count > 3, "{count} records fit");
    assert_eq!(produce(&mut wire, "full", count as i32, &value(count)), Err(refusal));
    // What is small enough still fits, there and elsewhere.
    assert_eq!(produce(&mut wire, "full", count as i32, "small"), Ok(count));
    assert_eq!(produce(&mut wire, "other", 0, "small"), Ok(0));
    let mut expected: Vec<String> = (0..count).map(value).collect();
    expected.push("small".to_owned());
    assert_eq!(texts(&read_all(&cluster, "full", 0)), expected);

    broker.kill();
    let broker = BrokerProcess::start(data.path(), "127.0.0.1:0");

    let cluster = broker.cluster();
    let mut wire = Wire::new(&cluster);
    assert_eq!(texts(&read_all(&cluster, "full", 0)), expected);
    // The producer's sequence goes on behind what was acknowledged, and a retry of that is recognised.
    assert_eq!(produce(&mut wire, "full", count as i32, "small"), Ok(count));
    assert_eq!(
        produce(&mut wire, "full", count as i32 + 1, &value(count)),
        Ok(count + 1)
    );
    expected.push(value(count));
    assert_eq!(texts(&read_all(&cluster, "full", 0)), expected);
}

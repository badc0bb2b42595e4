//! The protocol itself, where client libraries hide it: every version that the broker says it speaks, and exact error codes.

mod groups;
mod refusals;
mod versions;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, FetchRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest, ListGroupsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::common::cluster::{Cluster, unique};
use crate::common::eventually;
use crate::common::raw::{read_all, texts, write_values};
use crate::common::wire::{ANYBODY, Wire, Writing, batch, topic_name};

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(super) fn error(code: i16) -> Option<ResponseError> {
    ResponseError::try_from_code(code)
}

/// A topic as the metadata has it, with the id that newer versions use in place of its name.
pub(super) fn described(wire: &mut Wire, topic: &str) -> MetadataResponseTopic {
    let request = MetadataRequest::default()
        .with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(topic_name(topic))),
        ]))
        .with_allow_auto_topic_creation(false);
    wire.ask(&request, 10).topics[0].clone()
}

pub(super) fn produce_request(
    wire: &mut Wire,
    version: i16,
    topic: &str,
    partition: i32,
    records: bytes::Bytes,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let mut topic_data = TopicProduceData::default().with_partition_data(vec![data]);
    topic_data = if version >= 13 {
        topic_data.with_topic_id(described(wire, topic).topic_id)
    } else {
        topic_data.with_name(topic_name(topic))
    };
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic_data])
}

pub(super) fn produce(wire: &mut Wire, topic: &str, partition: i32, records: bytes::Bytes) -> PartitionProduceResponse {
    let request = produce_request(wire, 9, topic, partition, records);
    wire.ask(&request, 9).responses[0].partition_responses[0].clone()
}

pub(super) fn fetch_request(wire: &mut Wire, version: i16, topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let mut wanted = FetchTopic::default().with_partitions(vec![wanted]);
    wanted = if version >= 13 {
        wanted.with_topic_id(described(wire, topic).topic_id)
    } else {
        wanted.with_topic(topic_name(topic))
    };
    let mut request = FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![wanted]);
    if version >= 7 {
        // No session: everything that is wanted is said each time.
        request = request.with_session_epoch(-1);
    }
    request
}

pub(super) fn fetch(wire: &mut Wire, version: i16, topic: &str, partition: i32, offset: i64) -> PartitionData {
    let request = fetch_request(wire, version, topic, partition, offset);
    let response = wire.ask(&request, version);
    assert_eq!(error(response.error_code), None);
    response.responses[0].partitions[0].clone()
}

pub(super) fn offset_at(
    wire: &mut Wire,
    version: i16,
    topic: &str,
    partition: i32,
    timestamp: i64,
) -> (Option<ResponseError>, i64, i64) {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let wanted = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![wanted]);
    let response = wire.ask(
        &ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![wanted]),
        version,
    );
    let found = &response.topics[0].partitions[0];
    (error(found.error_code), found.offset, found.timestamp)
}

/// A producer id that is good for idempotence alone.
pub(super) fn producer_id(wire: &mut Wire, version: i16) -> i64 {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    // A cluster that has just started hands them out a little later.
    let response = eventually("a producer id", || {
        let response = wire.ask(&request, version);
        (error(response.error_code) != Some(ResponseError::CoordinatorLoadInProgress)).then_some(response)
    });
    assert_eq!(error(response.error_code), None, "{version}");
    assert_eq!(response.producer_epoch, 0, "{version}");
    response.producer_id.into()
}

/// Waits until the group's coordinator is there: a cluster makes it when the first one asks.
pub(super) fn wait_for_coordinator(wire: &mut Wire, group: &str) {
    eventually("the coordinator", || {
        let found = wire.ask(&FindCoordinatorRequest::default().with_key(text(group)), 3);
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let described = wire.ask(&request, 3);
        (found.error_code == 0 && described.groups[0].error_code == 0).then_some(())
    });
}

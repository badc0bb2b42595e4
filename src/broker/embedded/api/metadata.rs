//! `Metadata` and `DescribeCluster`: who serves which partition. It is always the same node.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::embedded::config::TopicConfig;
use crate::broker::embedded::log::batch::LEADER_EPOCH;
use crate::broker::embedded::store::{Topic, TopicError, refuse_name};

use super::{Call, NODE};

/// "Not asked for", in fields of authorised operations.
const NO_OPERATIONS: i32 = i32::MIN;

pub(super) async fn handle(call: &Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let topics = match request.topics {
        // In version 0 an empty list means every topic; from 1 on that is null.
        None => all(call),
        Some(topics) if topics.is_empty() && call.version == 0 => all(call),
        Some(topics) => asked(call, topics, request.allow_auto_topic_creation),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE))
        .with_host(host(call))
        .with_port(i32::from(call.local.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(call.broker.store.cluster_id().to_owned())))
        .with_controller_id(BrokerId(NODE))
        .with_cluster_authorized_operations(NO_OPERATIONS)
        .with_topics(topics)
}

pub(super) async fn cluster(call: &Call<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(call.broker.store.cluster_id().to_owned()))
        .with_controller_id(BrokerId(NODE))
        .with_cluster_authorized_operations(NO_OPERATIONS);
    if request.endpoint_type != 1 {
        return response
            .with_endpoint_type(request.endpoint_type)
            .with_error_code(ResponseError::UnsupportedEndpointType.code())
            .with_error_message(super::text("there are no controllers apart from the broker"));
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE))
        .with_host(host(call))
        .with_port(i32::from(call.local.port()));
    response.with_brokers(vec![broker])
}

fn host(call: &Call<'_>) -> StrBytes {
    StrBytes::from_string(call.local.ip().to_string())
}

fn all(call: &Call<'_>) -> Vec<MetadataResponseTopic> {
    call.broker.store.topics().iter().map(|topic| describe(topic)).collect()
}

fn asked(call: &Call<'_>, topics: Vec<MetadataRequestTopic>, create: bool) -> Vec<MetadataResponseTopic> {
    // A topic that is asked for twice is answered once: a short request must not ask for a response without end.
    let mut seen = BTreeSet::new();
    topics
        .into_iter()
        .filter(|topic| seen.insert((topic.name.clone(), topic.topic_id)))
        .map(|topic| one(call, topic, create))
        .collect()
}

fn one(call: &Call<'_>, asked: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let Some(name) = asked.name else {
        return match call.broker.store.topic_by_id(asked.topic_id) {
            Some(topic) => describe(&topic),
            None => failed(None, asked.topic_id, ResponseError::UnknownTopicId),
        };
    };
    if let Some(topic) = call.broker.store.topic(&name) {
        return describe(&topic);
    }
    if refuse_name(&name).is_some() {
        return failed(Some(name), Uuid::nil(), ResponseError::InvalidTopicException);
    }
    if !create {
        return failed(Some(name), Uuid::nil(), ResponseError::UnknownTopicOrPartition);
    }
    match call.broker.store.create(&name, 1, TopicConfig::default()) {
        Ok(topic) => describe(&topic),
        // Another connection was faster.
        Err(TopicError::Exists) => match call.broker.store.topic(&name) {
            Some(topic) => describe(&topic),
            None => failed(Some(name), Uuid::nil(), ResponseError::UnknownTopicOrPartition),
        },
        Err(TopicError::Storage(error)) => {
            super::storage(&error);
            failed(Some(name), Uuid::nil(), ResponseError::KafkaStorageError)
        }
        Err(_) => failed(Some(name), Uuid::nil(), ResponseError::InvalidPartitions),
    }
}

fn failed(name: Option<TopicName>, id: Uuid, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name.unwrap_or_default()))
        .with_topic_id(id)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let node = || vec![BrokerId(NODE)];
    let partitions = (0..topic.partition_count())
        .map(|number| {
            MetadataResponsePartition::default()
                .with_partition_index(number)
                .with_leader_id(BrokerId(NODE))
                .with_leader_epoch(LEADER_EPOCH)
                .with_replica_nodes(node())
                .with_isr_nodes(node())
        })
        .collect();
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

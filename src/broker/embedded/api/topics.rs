//! `CreateTopics`, `DeleteTopics` and `CreatePartitions`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::embedded::config::{ENTRIES, TopicConfig};
use crate::broker::embedded::store::TopicError;

use super::{Call, NODE, text};

type Failure = (i16, Option<StrBytes>);

/// What `num.partitions` is: how many a topic gets where nobody says.
pub(super) const DEFAULT_PARTITIONS: i32 = 1;

fn failure(error: TopicError) -> Failure {
    let (code, message) = match error {
        TopicError::Exists => (ResponseError::TopicAlreadyExists, "the topic exists already".to_owned()),
        TopicError::Unknown => (
            ResponseError::UnknownTopicOrPartition,
            "there is no such topic".to_owned(),
        ),
        TopicError::InvalidName(why) => (ResponseError::InvalidTopicException, why),
        TopicError::InvalidPartitions(why) => (ResponseError::InvalidPartitions, why),
        TopicError::InvalidConfig(why) => (ResponseError::InvalidConfig, why),
        TopicError::Storage(error) => return super::storage(&error),
    };
    (code.code(), text(message))
}

fn refused(error: ResponseError, message: &str) -> Failure {
    (error.code(), text(message))
}

pub(super) async fn create(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times: BTreeMap<TopicName, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(times.len());
    for topic in &request.topics {
        match times.remove(&topic.name) {
            Some(1) => results.push(create_one(call, topic, request.validate_only)),
            Some(_) => {
                let why = refused(
                    ResponseError::InvalidRequest,
                    "the request names the topic more than once",
                );
                results.push(not_created(topic, why));
            }
            None => {}
        }
    }
    CreateTopicsResponse::default().with_topics(results)
}

fn not_created(topic: &CreatableTopic, (code, message): Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_error_code(code)
        .with_error_message(message)
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(None)
}

fn create_one(call: &Call<'_>, topic: &CreatableTopic, validate_only: bool) -> CreatableTopicResult {
    match try_create(call, topic, validate_only) {
        Ok((id, partitions, config)) => {
            let result = CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_topic_id(id)
                .with_error_message(None)
                .with_num_partitions(partitions)
                .with_replication_factor(1);
            if call.version >= 5 {
                result.with_configs(Some(configs(&config)))
            } else {
                result
            }
        }
        Err(failure) => not_created(topic, failure),
    }
}

fn configs(config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    ENTRIES
        .iter()
        .map(|entry| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(entry.name))
                .with_value(text(config.get(entry.name)))
                .with_config_source(super::configs::source(config, entry.name))
        })
        .collect()
}

fn try_create(
    call: &Call<'_>,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, TopicConfig), Failure> {
    let entries = topic.configs.iter().map(|c| (&*c.name, c.value.as_deref()));
    let config = TopicConfig::new(entries).map_err(|why| failure(TopicError::InvalidConfig(why)))?;
    let partitions = count_partitions(topic)?;
    if validate_only {
        let checked = call.broker.store.check_create(&topic.name, partitions);
        return checked.map(|()| (Uuid::nil(), partitions, config)).map_err(failure);
    }
    let created = call.broker.store.create(&topic.name, partitions, config.clone());
    created.map(|made| (made.id, partitions, config)).map_err(failure)
}

fn count_partitions(topic: &CreatableTopic) -> Result<i32, Failure> {
    if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            return Err(refused(
                ResponseError::InvalidReplicationFactor,
                "the embedded broker is one node, so the replication factor is 1 (or -1 for the default)",
            ));
        }
        return Ok(if topic.num_partitions == -1 {
            DEFAULT_PARTITIONS
        } else {
            topic.num_partitions
        });
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err(refused(
            ResponseError::InvalidRequest,
            "both an assignment and a number of partitions or replicas are given",
        ));
    }
    let mut numbers: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
    numbers.sort_unstable();
    let here = topic
        .assignments
        .iter()
        .all(|a| a.broker_ids.len() == 1 && a.broker_ids[0].0 == NODE);
    if !here || numbers.iter().zip(0..).any(|(number, expected)| *number != expected) {
        return Err(refused(
            ResponseError::InvalidReplicaAssignment,
            "partitions must be numbered from 0 on and each assigned to node 1 alone",
        ));
    }
    Ok(i32::try_from(numbers.len()).unwrap_or(i32::MAX))
}

pub(super) async fn delete(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState::default().with_name(Some(name)));
    let results = request
        .topics
        .into_iter()
        .chain(by_name)
        .map(|topic| delete_one(call, topic))
        .collect();
    DeleteTopicsResponse::default().with_responses(results)
}

fn delete_one(call: &Call<'_>, asked: DeleteTopicState) -> DeletableTopicResult {
    let result = DeletableTopicResult::default().with_topic_id(asked.topic_id);
    let name = match asked.name {
        Some(name) => name,
        None => match call.broker.store.topic_by_id(asked.topic_id) {
            Some(topic) => TopicName(StrBytes::from_string(topic.name.clone())),
            None => {
                return result
                    .with_name(None)
                    .with_error_code(ResponseError::UnknownTopicId.code());
            }
        },
    };
    let id = call.broker.store.topic(&name).map(|topic| topic.id);
    let result = result
        .with_topic_id(id.unwrap_or(asked.topic_id))
        .with_name(Some(name.clone()));
    match call.broker.store.delete(&name) {
        Ok(()) => {
            // Offsets of a topic that is created again under this name would point into other records.
            call.broker.groups.topic_deleted(&name);
            result
        }
        Err(error) => {
            let (code, message) = failure(error);
            let result = result.with_error_code(code);
            if call.version >= 5 {
                result.with_error_message(message)
            } else {
                result
            }
        }
    }
}

pub(super) async fn grow(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request
        .topics
        .iter()
        .map(|topic| {
            let (code, message) = match grow_one(call, topic, request.validate_only) {
                Ok(()) => (0, None),
                Err(failure) => failure,
            };
            CreatePartitionsTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(code)
                .with_error_message(message)
        })
        .collect();
    CreatePartitionsResponse::default().with_results(results)
}

fn grow_one(call: &Call<'_>, topic: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Failure> {
    if let Some(assignments) = &topic.assignments {
        let here = assignments
            .iter()
            .all(|a| a.broker_ids.len() == 1 && a.broker_ids[0].0 == NODE);
        if !here {
            return Err(refused(
                ResponseError::InvalidReplicaAssignment,
                "each partition must be assigned to node 1 alone",
            ));
        }
    }
    let store = &call.broker.store;
    if validate_only {
        store.check_add_partitions(&topic.name, topic.count).map(drop)
    } else {
        store.add_partitions(&topic.name, topic.count)
    }
    .map_err(failure)
}

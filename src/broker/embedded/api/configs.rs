//! `DescribeConfigs` and `IncrementalAlterConfigs`, for topics and the broker.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::embedded::config::{ENTRIES, Entry, Kind, TopicConfig};
use crate::broker::embedded::store::TopicError;

use super::{Call, NODE, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// `ConfigSource` of the protocol.
const FROM_TOPIC: i8 = 1;
const FROM_STATIC: i8 = 4;
const FROM_DEFAULT: i8 = 5;

/// What an alteration does, as `AlterConfigOp.OpType` numbers it.
const SET: i8 = 0;
const DELETE: i8 = 1;

type Failure = (ResponseError, String);

/// Where a value comes from.
pub(super) fn source(config: &TopicConfig, name: &str) -> i8 {
    if config.own(name).is_some() {
        FROM_TOPIC
    } else {
        FROM_DEFAULT
    }
}

pub(super) async fn describe(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    // What is asked for twice is answered once: a short request must not ask for a response without end.
    let mut seen = BTreeSet::new();
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request
        .resources
        .iter()
        .filter(|resource| seen.insert((resource.resource_type, resource.resource_name.clone())))
        .map(|resource| {
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match describe_one(call, resource, wanted) {
                Ok(configs) => result.with_error_message(None).with_configs(configs),
                Err((error, message)) => result.with_error_code(error.code()).with_error_message(text(message)),
            }
        })
        .collect();
    DescribeConfigsResponse::default().with_results(results)
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

fn describe_one(
    call: &Call<'_>,
    resource: &DescribeConfigsResource,
    wanted: Wanted,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    let keys = resource.configuration_keys.as_ref();
    let asked = |name: &str| keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| &**key == name));
    match resource.resource_type {
        TOPIC => {
            let topic = call.broker.store.topic(&resource.resource_name).ok_or_else(no_topic)?;
            let config = topic.config();
            let entries = ENTRIES.iter().filter(|entry| asked(entry.name));
            Ok(entries.map(|entry| of_topic(&config, entry, wanted)).collect())
        }
        BROKER => {
            check_node(&resource.resource_name)?;
            let entries = of_broker(call).into_iter().filter(|(name, _, _)| asked(name));
            Ok(entries
                .map(|(name, value, kind)| broker_entry(name, value, kind))
                .collect())
        }
        other => Err((
            ResponseError::InvalidRequest,
            format!("resources of type {other} have no configuration here: ask for topics (2) or the broker (4)"),
        )),
    }
}

fn no_topic() -> Failure {
    (
        ResponseError::UnknownTopicOrPartition,
        "there is no such topic".to_owned(),
    )
}

fn check_node(name: &str) -> Result<(), Failure> {
    if name.parse() == Ok(NODE) || name.is_empty() {
        return Ok(());
    }
    Err((
        ResponseError::InvalidRequest,
        format!("there is one node, and its id is {NODE}, not {name}"),
    ))
}

fn of_topic(config: &TopicConfig, entry: &Entry, wanted: Wanted) -> DescribeConfigsResourceResult {
    let source = source(config, entry.name);
    let synonym = |value: &str, source: i8| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(entry.name))
            .with_value(text(value))
            .with_source(source)
    };
    let mut synonyms = Vec::new();
    if wanted.synonyms {
        synonyms.extend(config.own(entry.name).map(|own| synonym(own, FROM_TOPIC)));
        synonyms.push(synonym(entry.default, FROM_DEFAULT));
    }
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.name))
        .with_value(text(config.get(entry.name)))
        .with_config_source(source)
        .with_synonyms(synonyms)
        .with_config_type(entry.kind as i8)
        .with_documentation(
            wanted
                .documentation
                .then(|| StrBytes::from_static_str(entry.documentation)),
        )
}

/// What can be asked of the broker itself; nothing of it can be changed while it runs.
fn of_broker(call: &Call<'_>) -> Vec<(&'static str, String, Kind)> {
    let mut entries = vec![
        (
            "advertised.listeners",
            format!("PLAINTEXT://{}", call.local),
            Kind::Text,
        ),
        ("auto.create.topics.enable", "true".to_owned(), Kind::Boolean),
        ("default.replication.factor", "1".to_owned(), Kind::Int),
        ("log.flush.interval.ms", "1000".to_owned(), Kind::Long),
        ("node.id", NODE.to_string(), Kind::Int),
        (
            "num.partitions",
            super::topics::DEFAULT_PARTITIONS.to_string(),
            Kind::Int,
        ),
        ("offsets.topic.replication.factor", "1".to_owned(), Kind::Int),
    ];
    // The broker's defaults for topics, under the names that Apache Kafka gives them.
    for (broker, topic) in [
        ("compression.type", "compression.type"),
        ("log.cleaner.delete.retention.ms", "delete.retention.ms"),
        ("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms"),
        ("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio"),
        ("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms"),
        ("log.cleanup.policy", "cleanup.policy"),
        ("log.message.timestamp.type", "message.timestamp.type"),
        ("log.retention.bytes", "retention.bytes"),
        ("log.retention.ms", "retention.ms"),
        ("log.roll.ms", "segment.ms"),
        ("log.segment.bytes", "segment.bytes"),
        ("message.max.bytes", "max.message.bytes"),
        ("min.insync.replicas", "min.insync.replicas"),
    ] {
        if let Some(entry) = ENTRIES.iter().find(|entry| entry.name == topic) {
            entries.push((broker, entry.default.to_owned(), entry.kind));
        }
    }
    entries
}

fn broker_entry(name: &'static str, value: String, kind: Kind) -> DescribeConfigsResourceResult {
    let is_given = matches!(name, "advertised.listeners" | "node.id");
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(text(value))
        .with_read_only(true)
        .with_config_source(if is_given { FROM_STATIC } else { FROM_DEFAULT })
        .with_config_type(kind as i8)
        .with_documentation(None)
}

pub(super) async fn alter(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let results = request
        .resources
        .iter()
        .map(|resource| {
            let (code, message) = match alter_one(call, resource, request.validate_only) {
                Ok(()) => (0, None),
                Err((error, message)) => (error.code(), text(message)),
            };
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
                .with_error_code(code)
                .with_error_message(message)
        })
        .collect();
    IncrementalAlterConfigsResponse::default().with_responses(results)
}

fn alter_one(call: &Call<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Failure> {
    if resource.resource_type != TOPIC {
        return Err((
            ResponseError::InvalidRequest,
            "only the configuration of topics can be changed".to_owned(),
        ));
    }
    let changed = call
        .broker
        .store
        .configure(&resource.resource_name, validate_only, |config| {
            for change in &resource.configs {
                match (change.config_operation, &change.value) {
                    (SET, Some(value)) => config.set(&change.name, value)?,
                    (SET, None) => return Err(format!("Null value not supported for topic configs: {}.", change.name)),
                    (DELETE, _) => config.unset(&change.name)?,
                    (operation, _) => {
                        return Err(format!(
                            "operation {operation} on {} is not supported: set (0) or delete (1) the entry",
                            change.name
                        ));
                    }
                }
            }
            Ok(())
        });
    changed.map_err(|error| match error {
        TopicError::InvalidConfig(why) => (ResponseError::InvalidConfig, why),
        TopicError::Storage(error) => {
            super::storage(&error);
            (ResponseError::KafkaStorageError, error.to_string())
        }
        _ => no_topic(),
    })
}

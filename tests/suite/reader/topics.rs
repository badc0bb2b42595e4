//! Topics: offsets by time, created, configured and deleted.

use foldlog::broker::error::BrokerError;
use foldlog::record::Timestamp;

use super::{NOON, write};
use crate::common::cluster::{Cluster, unique};

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

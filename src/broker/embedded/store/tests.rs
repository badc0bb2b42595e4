//! The broker's state over restarts, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::{ID_BLOCK, MAX_PARTITIONS, Store, TopicError, refuse_name, topic_dir};
use crate::broker::embedded::config::TopicConfig;
use crate::broker::embedded::log::Roll;
use crate::broker::embedded::log::batch::{self, BatchHeader};

const ROLL: Roll = Roll {
    bytes: 1 << 20,
    age: std::time::Duration::MAX,
};

fn store(dir: &Path) -> Store {
    Store::open(dir).unwrap()
}

#[test]
fn names_are_judged_as_apache_kafka_does() {
    for good in ["a", "orders-v2", "A_b.c", "...", "__consumer_offsets", &"x".repeat(249)] {
        assert_eq!(refuse_name(good), None, "{good}");
    }
    for bad in ["", ".", "..", "../x", "a/b", "a b", "é", "a\0", "a\n", &"x".repeat(250)] {
        assert!(refuse_name(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn topics_outlive_the_broker_with_id_partitions_and_config() {
    let dir = tempfile::tempdir().unwrap();
    let config = TopicConfig::new([("retention.ms", Some("5"))]).unwrap();
    let before = store(dir.path());
    let id = before.create("orders", 3, config.clone()).unwrap().id;
    before.add_partitions("orders", 5).unwrap();
    let change = |config: &mut TopicConfig| config.set("segment.bytes", "1000");
    before.configure("orders", false, change).unwrap();
    let after = store(dir.path());
    let topic = after.topic("orders").unwrap();
    assert_eq!((topic.id, topic.partition_count()), (id, 5));
    assert_eq!(topic.config().own("retention.ms"), Some("5"));
    assert_eq!(topic.config().roll().bytes, 1000);
    assert_eq!(after.cluster_id(), before.cluster_id());
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.create("a", 1, TopicConfig::default()).unwrap();
    let create = |name: &str, partitions| store.create(name, partitions, TopicConfig::default());
    assert!(matches!(create("a", 1), Err(TopicError::Exists)));
    assert!(matches!(create("../x", 1), Err(TopicError::InvalidName(_))));
    for partitions in [i32::MIN, -1, 0, MAX_PARTITIONS + 1, i32::MAX] {
        assert!(matches!(create("b", partitions), Err(TopicError::InvalidPartitions(_))));
    }
    for count in [i32::MIN, 0, 1, MAX_PARTITIONS + 1] {
        assert!(matches!(
            store.add_partitions("a", count),
            Err(TopicError::InvalidPartitions(_))
        ));
    }
    assert!(matches!(store.delete("b"), Err(TopicError::Unknown)));
    assert!(matches!(store.add_partitions("b", 2), Err(TopicError::Unknown)));
    assert_eq!(store.topics().len(), 1);
}

#[test]
fn a_topic_that_is_created_again_is_another_one_and_its_records_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let first = store.create("a", 1, TopicConfig::default()).unwrap().id;
    fs::create_dir_all(topic_dir(dir.path(), first).join("0")).unwrap();
    store.delete("a").unwrap();
    let second = store.create("a", 1, TopicConfig::default()).unwrap().id;
    assert_ne!(first, second);
    assert!(!topic_dir(dir.path(), first).exists());
}

#[test]
fn who_still_holds_a_deleted_topic_cannot_bring_its_folder_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let topic = store.create("a", 1, TopicConfig::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let bytes = batch::tests::batch(1, b"", 0, (-1, -1, -1));
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!(partition.append(&bytes, &header, ROLL).unwrap().0, 0);
    store.delete("a").unwrap();
    assert!(partition.is_gone() && partition.append(&bytes, &header, ROLL).is_err());
    assert!(partition.slice(0).is_err());
    assert!(!topic_dir(dir.path(), topic.id).exists());
}

#[test]
fn folders_of_topics_that_are_gone_are_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let id = store(dir.path()).create("a", 1, TopicConfig::default()).unwrap().id;
    let orphan = topic_dir(dir.path(), Uuid::new_v4());
    let foreign = dir.path().join("log/notes");
    for path in [&orphan, &foreign, &topic_dir(dir.path(), id)] {
        fs::create_dir_all(path).unwrap();
    }
    store(dir.path());
    assert!(!orphan.exists() && foreign.exists() && topic_dir(dir.path(), id).exists());
}

#[test]
fn a_producer_id_is_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = BTreeSet::new();
    for _ in 0..3 {
        let store = store(dir.path());
        for _ in 0..ID_BLOCK + 1 {
            assert!(given.insert(store.new_producer_id().unwrap()));
        }
    }
}

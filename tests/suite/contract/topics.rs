//! Metadata, and topics made, grown, configured and removed.

use rdkafka::error::RDKafkaErrorCode;

use crate::common::cluster::{Cluster, unique};
use crate::common::eventually;
use crate::common::raw::{Admin, read_all, write_values};

#[test]
fn the_cluster_has_an_id_that_stays() {
    let cluster = Cluster::shared();
    let first = Admin::new(&cluster).cluster_id().expect("an id");
    assert!(!first.is_empty());
    assert_eq!(Admin::new(&cluster).cluster_id(), Some(first));
}

#[test]
fn a_created_topic_is_there_with_its_partitions() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(7);
    let admin = Admin::new(&cluster);
    assert_eq!(admin.partitions(&topic), Ok((0..7).collect()));
    assert!(admin.topics().contains(&topic));
}

#[test]
fn a_topic_cannot_be_created_twice() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    assert_eq!(
        Admin::new(&cluster).create_topic(&topic, 1, &[]),
        Err(RDKafkaErrorCode::TopicAlreadyExists)
    );
}

#[test]
fn names_that_are_no_topic_names_are_refused() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    let long = "x".repeat(250);
    for name in ["..", ".", "../x", "a/b", "a b", "ä", "a\nb", long.as_str()] {
        assert_eq!(
            admin.create_topic(name, 1, &[]),
            Err(RDKafkaErrorCode::InvalidTopic),
            "{name:?}"
        );
    }
    let longest = unique("x") + &"x".repeat(249);
    assert_eq!(admin.create_topic(&longest[..249], 1, &[]), Ok(()));
}

#[test]
fn a_topic_needs_a_partition() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    assert_eq!(
        admin.create_topic(&unique("t"), 0, &[]),
        Err(RDKafkaErrorCode::InvalidPartitions)
    );
}

#[test]
fn a_configuration_that_does_not_exist_is_refused() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    for config in [
        ("no.such.thing", "1"),
        ("cleanup.policy", "shred"),
        ("retention.ms", "soon"),
    ] {
        assert_eq!(
            admin.create_topic(&unique("t"), 1, &[config]),
            Err(RDKafkaErrorCode::InvalidConfig),
            "{config:?}"
        );
    }
}

#[test]
fn a_deleted_topic_is_gone_and_can_be_made_again_empty() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    let topic = cluster.topic(2);
    write_values(&cluster, &topic, 1, &["before"]);
    assert_eq!(admin.delete_topic(&topic), Ok(()));
    assert_eq!(
        admin.delete_topic(&topic),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
    assert!(!Admin::new(&cluster).topics().contains(&topic));
    assert_eq!(admin.create_topic(&topic, 2, &[]), Ok(()));
    assert_eq!(read_all(&cluster, &topic, 1), []);
    write_values(&cluster, &topic, 1, &["after"]);
    let records = read_all(&cluster, &topic, 1);
    assert_eq!((records.len(), records[0].offset), (1, 0));
}

#[test]
fn an_unknown_topic_is_said_to_be_unknown_and_not_created_by_looking() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    let topic = unique("unknown");
    assert_eq!(admin.partitions(&topic), Err(RDKafkaErrorCode::UnknownTopicOrPartition));
    assert!(!admin.topics().contains(&topic));
}

#[test]
fn producing_to_an_unknown_topic_creates_it() {
    let cluster = Cluster::shared();
    let topic = unique("auto");
    write_values(&cluster, &topic, 0, &["first"]);
    assert_eq!(read_all(&cluster, &topic, 0).len(), 1);
    assert_eq!(Admin::new(&cluster).partitions(&topic), Ok(vec![0]));
}

#[test]
fn partitions_can_be_added_and_not_taken_away() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    let topic = cluster.topic(2);
    write_values(&cluster, &topic, 1, &["kept"]);
    assert_eq!(admin.grow(&topic, 5), Ok(()));
    eventually("the new partitions", || {
        (admin.partitions(&topic) == Ok((0..5).collect())).then_some(())
    });
    write_values(&cluster, &topic, 4, &["new"]);
    assert_eq!(read_all(&cluster, &topic, 4).len(), 1);
    assert_eq!(read_all(&cluster, &topic, 1).len(), 1);
    for count in [5, 2] {
        assert_eq!(
            admin.grow(&topic, count),
            Err(RDKafkaErrorCode::InvalidPartitions),
            "{count}"
        );
    }
    assert_eq!(
        admin.grow(&unique("unknown"), 3),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
}

#[test]
fn the_configuration_tells_what_was_set_and_what_is_the_default() {
    let cluster = Cluster::shared();
    let admin = Admin::new(&cluster);
    let topic = cluster.topic_with(1, &[("cleanup.policy", "compact"), ("retention.ms", "1234567")]);
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        admin.topic_config(&topic, "cleanup.policy"),
        Some((text("compact"), false))
    );
    assert_eq!(
        admin.topic_config(&topic, "retention.ms"),
        Some((text("1234567"), false))
    );
    assert_eq!(
        admin.topic_config(&topic, "message.timestamp.type"),
        Some((text("CreateTime"), true))
    );
    assert_eq!(admin.topic_config(&unique("unknown"), "retention.ms"), None);
}

#[test]
fn many_partitions() {
    let cluster = Cluster::shared();
    let count = 500;
    let topic = cluster.topic(count);
    let admin = Admin::new(&cluster);
    eventually("all partitions to have a leader", || {
        (admin.partitions(&topic) == Ok((0..count).collect())).then_some(())
    });
    for partition in [0, 1, 250, 499] {
        write_values(&cluster, &topic, partition, &["x"]);
        assert_eq!(read_all(&cluster, &topic, partition).len(), 1);
    }
    assert_eq!(admin.delete_topic(&topic), Ok(()));
}

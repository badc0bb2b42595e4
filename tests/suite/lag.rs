//! Consumer groups as Foldlog shows them: members, what they committed, and how far behind they are.

use std::time::Duration;

use foldlog::broker::error::BrokerError;
use foldlog::broker::groups::GroupDetail;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::cluster::{Cluster, unique};
use crate::common::eventually;
use crate::common::raw::{config_with, write_values};

/// Partition, committed offset, end and lag.
type At = (i32, Option<i64>, Option<i64>, Option<i64>);

fn offsets(group: &GroupDetail) -> Vec<At> {
    let offsets = group.offsets.iter();
    offsets.map(|at| (at.partition, at.committed, at.end, at.lag)).collect()
}

#[test]
fn a_group_shows_its_members_offsets_and_lag() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(2);
    write_values(&cluster, &topic, 0, &["a", "b", "c"]);
    write_values(&cluster, &topic, 1, &["d"]);
    let id = unique("g");
    let error = client.group(&id).unwrap_err();
    assert!(matches!(error, BrokerError::UnknownGroup { .. }), "{error}");

    let properties = [
        ("group.id", id.as_str()),
        ("client.id", "reader-1"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ];
    let consumer: BaseConsumer = config_with(&cluster, &properties).create().unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    eventually("the assignment", || {
        let _ = consumer.poll(Duration::from_millis(50));
        (consumer.assignment().unwrap().count() == 2).then_some(())
    });
    // It has committed nothing: nobody knows how far behind it is.
    assert_eq!(client.group(&id).unwrap().lag(), None);
    let mut commits = TopicPartitionList::new();
    commits.add_partition_offset(&topic, 0, Offset::Offset(2)).unwrap();
    consumer.commit(&commits, CommitMode::Sync).unwrap();

    let group = client.group(&id).unwrap();
    assert_eq!(group.summary.id, id);
    assert_eq!((group.summary.state.as_str(), group.summary.members), ("Stable", 1));
    assert_eq!(group.members[0].client_id, "reader-1");
    let mut assignment = group.members[0].assignment.clone();
    assignment.sort();
    assert_eq!(assignment, [(topic.clone(), 0), (topic.clone(), 1)]);
    assert_eq!(
        offsets(&group),
        [(0, Some(2), Some(3), Some(1)), (1, None, Some(1), None)]
    );
    assert_eq!(group.lag(), Some(1));
    let listed = client.groups().unwrap();
    let listed = listed.iter().find(|listed| listed.id == id).unwrap();
    assert_eq!(listed, &group.summary);

    drop(consumer);
    let group = eventually("the member to be gone", || {
        let group = client.group(&id).unwrap();
        group.members.is_empty().then_some(group)
    });
    assert_eq!(group.summary.state, "Empty");
    assert_eq!(offsets(&group), [(0, Some(2), Some(3), Some(1))]);

    client.delete_topic(&topic).unwrap();
    // A broker may forget the offsets of a topic with it; what is still there has no end and no lag.
    match client.group(&id) {
        Ok(group) => assert!(group.offsets.iter().all(|at| at.end.is_none() && at.lag.is_none())),
        Err(error) => assert!(matches!(error, BrokerError::UnknownGroup { .. }), "{error}"),
    }
}

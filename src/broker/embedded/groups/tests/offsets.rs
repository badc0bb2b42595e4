//! Committed offsets: who may commit, what is fetched, and what outlives a restart.

use super::*;

#[tokio::test]
async fn commits_are_fenced_by_membership() {
    let (_dir, coordinator) = coordinator();
    let simple = commit_request("g", "orders", 0, 5);
    assert_eq!(commit(&coordinator, &simple), 0);
    let joined = settle(&coordinator, "g").await;
    assert_eq!(commit(&coordinator, &simple), ResponseError::UnknownMemberId.code());
    let member = simple
        .clone()
        .with_member_id(joined.member_id.clone())
        .with_generation_id_or_member_epoch(joined.generation_id);
    assert_eq!(commit(&coordinator, &member), 0);
    let stale = member.with_generation_id_or_member_epoch(joined.generation_id + 1);
    assert_eq!(commit(&coordinator, &stale), ResponseError::IllegalGeneration.code());
    let unknown = commit_request("other", "orders", 0, 5).with_generation_id_or_member_epoch(1);
    assert_eq!(commit(&coordinator, &unknown), ResponseError::IllegalGeneration.code());
}

#[test]
fn offsets_are_fetched_by_partition_and_whole_in_every_version() {
    let (_dir, coordinator) = coordinator();
    assert_eq!(commit(&coordinator, &commit_request("g", "orders", 1, 7)), 0);
    for (topic, partition) in [("orders", 2), ("orders", -1), ("../orders", 0)] {
        let code = commit(&coordinator, &commit_request("g", topic, partition, 7));
        assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
    }
    let mut long = commit_request("g", "orders", 0, 7);
    long.topics[0].partitions[0].committed_metadata = Some(text("x".repeat(5000)));
    assert_eq!(
        commit(&coordinator, &long),
        ResponseError::OffsetMetadataTooLarge.code()
    );
    let topic = |indexes: &[i32]| {
        OffsetFetchRequestTopic::default()
            .with_name(text("orders").into())
            .with_partition_indexes(indexes.to_vec())
    };
    for version in 1..=7 {
        let request = OffsetFetchRequest::default().with_group_id(group("g"));
        let some = coordinator.offset_fetch(&request.clone().with_topics(Some(vec![topic(&[0, 1])])), version);
        encoded(&some, version);
        let offsets: Vec<i64> = some.topics[0]
            .partitions
            .iter()
            .map(|one| one.committed_offset)
            .collect();
        assert_eq!(offsets, [-1, 7]);
        let all = coordinator.offset_fetch(&request.with_topics(None), version);
        encoded(&all, version);
        assert_eq!(all.topics[0].partitions.len(), 1);
        assert_eq!(all.topics[0].partitions[0].metadata.as_deref(), Some("noted"));
    }
    for version in 8..=9 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(text("orders").into())
            .with_partition_indexes(vec![1]);
        let of = |name, topics| {
            OffsetFetchRequestGroup::default()
                .with_group_id(group(name))
                .with_topics(topics)
        };
        assert_eq!(commit(&coordinator, &commit_request("h", "orders", 1, 7)), 0);
        let groups = vec![of("g", None), of("h", Some(vec![topic])), of("nobody", None)];
        let response = coordinator.offset_fetch(&OffsetFetchRequest::default().with_groups(groups), version);
        encoded(&response, version);
        for found in &response.groups[..2] {
            assert_eq!(found.topics[0].partitions[0].committed_offset, 7);
        }
        assert!(response.groups[2].topics.is_empty());
    }
    for version in OffsetCommitRequest::VERSIONS.min..=OffsetCommitRequest::VERSIONS.max {
        let response = coordinator.offset_commit(&commit_request("g", "orders", 1, 7));
        encoded(&response, version);
    }
}

#[tokio::test]
async fn offsets_outlive_the_coordinator_and_go_with_group_and_topic() {
    let (dir, coordinator) = coordinator();
    let joined = settle(&coordinator, "members").await;
    for name in ["g", "h", "i"] {
        assert_eq!(commit(&coordinator, &commit_request(name, "orders", 0, 5)), 0);
    }
    let member = commit_request("members", "orders", 0, 6)
        .with_member_id(joined.member_id)
        .with_generation_id_or_member_epoch(joined.generation_id);
    assert_eq!(commit(&coordinator, &member), 0);
    drop(coordinator);
    let coordinator = open(&dir);
    assert_eq!(
        (committed(&coordinator, "g"), committed(&coordinator, "members")),
        (5, 6)
    );
    let names = |coordinator: &Coordinator| {
        let response = coordinator.list_groups(&ListGroupsRequest::default());
        let ids = response.groups.iter().map(|found| found.group_id.to_string());
        ids.collect::<Vec<String>>()
    };
    assert_eq!(names(&coordinator), ["g", "h", "i", "members"]);
    assert_eq!(
        settle(&coordinator, "members").await.generation_id,
        joined.generation_id + 1
    );

    let delete = DeleteGroupsRequest::default().with_groups_names(["g", "members", "nobody"].map(group).to_vec());
    let response = coordinator.delete_groups(&delete);
    (0..=DeleteGroupsRequest::VERSIONS.max).for_each(|version| encoded(&response, version));
    let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
    let refused = [ResponseError::NonEmptyGroup, ResponseError::GroupIdNotFound].map(|error| error.code());
    assert_eq!(codes, [0, refused[0], refused[1]]);

    let topic = OffsetDeleteRequestTopic::default()
        .with_name(text("orders").into())
        .with_partitions(vec![OffsetDeleteRequestPartition::default().with_partition_index(0)]);
    let forget = |name| {
        let request = OffsetDeleteRequest::default()
            .with_group_id(group(name))
            .with_topics(vec![topic.clone()]);
        let response = coordinator.offset_delete(&request);
        encoded(&response, 0);
        response
            .topics
            .first()
            .map_or(response.error_code, |topic| topic.partitions[0].error_code)
    };
    assert_eq!(forget("h"), 0);
    assert_eq!(forget("members"), ResponseError::GroupSubscribedToTopic.code());
    assert_eq!(forget("nobody"), ResponseError::GroupIdNotFound.code());
    drop(coordinator);

    let coordinator = open(&dir);
    let now = ["g", "h", "i", "members"].map(|name| committed(&coordinator, name));
    assert_eq!(now, [-1, -1, 5, 6]);
    coordinator.topic_deleted("orders");
    drop(coordinator);
    let coordinator = open(&dir);
    assert_eq!(committed(&coordinator, "i"), -1);
    assert!(names(&coordinator).is_empty());
}

//! The coordinator as the dispatcher calls it: requests in, responses out, in every version.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, Message, StrBytes};
use tempfile::TempDir;

use super::{Caller, Coordinator, Node, text};

const CALLER: Caller<'_> = Caller {
    client_id: "tester",
    host: "127.0.0.1",
};

/// A coordinator over a folder of its own; the topic `orders` has two partitions.
fn coordinator() -> (TempDir, Coordinator) {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = open(&dir);
    (dir, coordinator)
}

fn open(dir: &TempDir) -> Coordinator {
    let topics = |topic: &str, partition: i32| topic == "orders" && (0..2).contains(&partition);
    Coordinator::open(dir.path(), Arc::new(topics)).unwrap()
}

/// Encodes a response as the server would: setting a field that the version does not have is an error.
fn encoded<R: Encodable>(response: &R, version: i16) {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).unwrap();
}

fn group(name: &str) -> GroupId {
    text(name).into()
}

fn join_request(name: &str, member: &StrBytes) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[
            0, 0, 0, 0, 0, 1, 0, 6, b'o', b'r', b'd', b'e', b'r', b's',
        ]));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(member.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins, with a second request where the first one only brought an id.
async fn join(coordinator: &Coordinator, name: &str, member: &StrBytes, version: i16) -> JoinGroupResponse {
    let request = join_request(name, member);
    let response = coordinator.join_group(request.clone(), version, CALLER).await;
    encoded(&response, version);
    if response.error_code != ResponseError::MemberIdRequired.code() {
        return response;
    }
    let request = request.with_member_id(response.member_id);
    let response = coordinator.join_group(request, version, CALLER).await;
    encoded(&response, version);
    response
}

fn sync_request(name: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assign = |member: &join_group_response::JoinGroupResponseMember| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.member_id.clone())
            .with_assignment(member.member_id.clone().into_bytes())
    };
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(joined.members.iter().map(assign).collect())
}

/// Joins a group of one and takes the assignment.
async fn settle(coordinator: &Coordinator, name: &str) -> JoinGroupResponse {
    let joined = join(coordinator, name, &StrBytes::new(), 9).await;
    assert_eq!(joined.error_code, 0);
    let synced = coordinator.sync_group(sync_request(name, &joined)).await;
    assert_eq!(synced.error_code, 0);
    joined
}

fn commit_request(name: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("noted")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text(topic).into())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn commit(coordinator: &Coordinator, request: &OffsetCommitRequest) -> i16 {
    coordinator.offset_commit(request).topics[0].partitions[0].error_code
}

/// What the group committed for partition 0 of `orders`.
fn committed(coordinator: &Coordinator, name: &str) -> i64 {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("orders").into())
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(group(name))
        .with_topics(Some(vec![topic]));
    coordinator.offset_fetch(&request, 7).topics[0].partitions[0].committed_offset
}

#[tokio::test]
async fn two_members_of_any_version_share_the_work() {
    let (_dir, coordinator) = coordinator();
    for version in 0..=JoinGroupRequest::VERSIONS.max {
        let name = format!("group {version}");
        let first = join(&coordinator, &name, &StrBytes::new(), version).await;
        assert_eq!((first.error_code, &first.leader), (0, &first.member_id));
        let unborn = StrBytes::new();
        let beat = |joined: &JoinGroupResponse| {
            let request = HeartbeatRequest::default()
                .with_group_id(group(&name))
                .with_generation_id(joined.generation_id)
                .with_member_id(joined.member_id.clone());
            let response = coordinator.heartbeat(&request);
            encoded(&response, version.min(HeartbeatRequest::VERSIONS.max));
            response.error_code
        };
        // The newcomer waits for the one that is there already, which comes again.
        let (second, first) = tokio::join!(
            join(&coordinator, &name, &unborn, version),
            join(&coordinator, &name, &first.member_id, version)
        );
        assert_eq!((first.error_code, second.error_code), (0, 0), "version {version}");
        assert_eq!(first.generation_id, second.generation_id);
        assert_eq!((first.members.len(), second.members.len()), (2, 0));
        let sync_version = version.min(SyncGroupRequest::VERSIONS.max);
        // The follower asks first and waits for the leader.
        let (of_second, of_first) = tokio::join!(
            coordinator.sync_group(sync_request(&name, &second)),
            coordinator.sync_group(sync_request(&name, &first))
        );
        encoded(&of_first, sync_version);
        assert_eq!(of_first.assignment, first.member_id.clone().into_bytes());
        assert_eq!(of_second.assignment, second.member_id.clone().into_bytes());
        assert_eq!((beat(&first), beat(&second)), (0, 0));
    }
}

#[tokio::test]
async fn a_member_that_dies_is_missed_after_its_session() {
    let (_dir, coordinator) = coordinator();
    let dies = join_request("g", &StrBytes::new()).with_session_timeout_ms(100);
    let dead = coordinator.join_group(dies, 3, CALLER).await;
    assert_eq!(dead.error_code, 0);
    let lives = join(&coordinator, "g", &StrBytes::new(), 3).await;
    assert_eq!((lives.error_code, lives.members.len()), (0, 1));
    assert_eq!(lives.leader, lives.member_id);
}

#[tokio::test]
async fn impossible_joins_are_refused() {
    let (_dir, coordinator) = coordinator();
    let good = join_request("g", &StrBytes::new());
    let unknown = text("who");
    for (request, error) in [
        (good.clone().with_group_id(group("")), ResponseError::InvalidGroupId),
        (
            good.clone().with_group_id(group(&"g".repeat(2000))),
            ResponseError::InvalidGroupId,
        ),
        (
            good.clone().with_session_timeout_ms(-1),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_session_timeout_ms(i32::MAX),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_protocols(Vec::new()),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            good.clone().with_protocol_type(StrBytes::new()),
            ResponseError::InconsistentGroupProtocol,
        ),
        (good.clone().with_member_id(unknown), ResponseError::UnknownMemberId),
    ] {
        let response = coordinator.join_group(request, 9, CALLER).await;
        encoded(&response, 9);
        assert_eq!(response.error_code, error.code(), "{error}");
    }
    assert!(coordinator.list_groups(&ListGroupsRequest::default()).groups.is_empty());
}

#[tokio::test]
async fn memory_is_bounded_whatever_joins() {
    let (_dir, coordinator) = coordinator();
    let mut request = join_request("g", &StrBytes::new());
    request.protocols[0].metadata = vec![0; 1 << 20].into();
    let mut refused = 0;
    for number in 0..100 {
        let request = request.clone().with_group_id(group(&number.to_string()));
        let response = coordinator.join_group(request, 3, CALLER).await;
        refused += usize::from(response.error_code == ResponseError::GroupMaxSizeReached.code());
    }
    assert!((30..40).contains(&refused), "{refused} of 100 MiB were refused");
    // Ids that are only asked for take room too.
    let (_dir, coordinator) = self::coordinator();
    let request = join_request("g", &StrBytes::new());
    let mut codes = Vec::new();
    for _ in 0..=super::join::MAX_MEMBERS {
        codes.push(coordinator.join_group(request.clone(), 9, CALLER).await.error_code);
    }
    assert_eq!(codes.first(), Some(&ResponseError::MemberIdRequired.code()));
    assert_eq!(codes.last(), Some(&ResponseError::GroupMaxSizeReached.code()));
}

#[tokio::test]
async fn groups_that_nobody_is_in_make_room() {
    let (_dir, coordinator) = coordinator();
    assert_eq!(commit(&coordinator, &commit_request("kept", "orders", 0, 5)), 0);
    for number in 0..3 * super::MAX_GROUPS {
        let name = number.to_string();
        let joined = join(&coordinator, &name, &StrBytes::new(), 3).await;
        assert_eq!(joined.error_code, 0);
        let leave = LeaveGroupRequest::default()
            .with_group_id(group(&name))
            .with_member_id(joined.member_id);
        assert_eq!(coordinator.leave_group(&leave, 0).error_code, 0);
    }
    {
        let inner = coordinator.lock();
        assert!(inner.groups.len() <= super::MAX_GROUPS);
        assert!(inner.journal.groups().len() <= super::MAX_GROUPS);
        assert!(inner.groups.contains_key("kept"));
    }
    // Groups with members do not.
    let mut codes = Vec::new();
    for number in 0..=super::MAX_GROUPS {
        let name = format!("stays {number}");
        codes.push(join(&coordinator, &name, &StrBytes::new(), 3).await.error_code);
    }
    assert_eq!(
        (codes[0], *codes.last().unwrap()),
        (0, ResponseError::GroupMaxSizeReached.code())
    );
}

#[tokio::test]
async fn leaving_works_alone_and_in_company() {
    let (_dir, coordinator) = coordinator();
    for version in 0..=LeaveGroupRequest::VERSIONS.max {
        let joined = settle(&coordinator, "g").await;
        let leave = |member: &StrBytes| {
            let identity = MemberIdentity::default().with_member_id(member.clone());
            let request = LeaveGroupRequest::default().with_group_id(group("g"));
            let request = match version {
                0..=2 => request.with_member_id(member.clone()),
                _ => request.with_members(vec![identity]),
            };
            let response = coordinator.leave_group(&request, version);
            encoded(&response, version);
            response
                .members
                .first()
                .map_or(response.error_code, |member| member.error_code)
        };
        assert_eq!(leave(&joined.member_id), 0);
        assert_eq!(leave(&joined.member_id), ResponseError::UnknownMemberId.code());
    }
}

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

#[test]
fn asking_twice_is_answered_once() {
    let (_dir, coordinator) = coordinator();
    assert_eq!(commit(&coordinator, &commit_request("g", "orders", 0, 5)), 0);
    let groups = vec![
        OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_topics(None);
        1000
    ];
    let response = coordinator.offset_fetch(&OffsetFetchRequest::default().with_groups(groups), 9);
    assert_eq!(response.groups.len(), 1);
    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("orders").into())
        .with_partition_indexes(vec![0; 1000]);
    let request = OffsetFetchRequest::default()
        .with_group_id(group("g"))
        .with_topics(Some(vec![topic.clone(), topic]));
    let response = coordinator.offset_fetch(&request, 7);
    let partitions = response.topics.iter().map(|topic| topic.partitions.len());
    assert_eq!(partitions.sum::<usize>(), 1);
    let request = DescribeGroupsRequest::default().with_groups(vec![group("g"); 1000]);
    assert_eq!(coordinator.describe_groups(&request, 5).groups.len(), 1);
}

#[tokio::test]
async fn groups_are_listed_by_state_and_described() {
    let (_dir, coordinator) = coordinator();
    let joined = settle(&coordinator, "stable").await;
    assert_eq!(commit(&coordinator, &commit_request("empty", "orders", 0, 5)), 0);
    let listed = |states: &[&str], types: &[&str]| {
        let filter = |names: &[&str]| names.iter().map(|name| text(*name)).collect::<Vec<StrBytes>>();
        let request = ListGroupsRequest::default()
            .with_states_filter(filter(states))
            .with_types_filter(filter(types));
        let response = coordinator.list_groups(&request);
        (0..=ListGroupsRequest::VERSIONS.max).for_each(|version| encoded(&response, version));
        let ids = response.groups.iter().map(|found| found.group_id.to_string());
        ids.collect::<Vec<String>>()
    };
    assert_eq!(listed(&[], &[]), ["empty", "stable"]);
    assert_eq!(listed(&["stable", "Dead"], &[]), ["stable"]);
    assert_eq!(listed(&["Empty"], &["Classic"]), ["empty"]);
    assert!(listed(&[], &["consumer"]).is_empty());

    for version in 0..=DescribeGroupsRequest::VERSIONS.max {
        let request = DescribeGroupsRequest::default().with_groups(["stable", "empty", "nobody"].map(group).to_vec());
        let response = coordinator.describe_groups(&request, version);
        encoded(&response, version);
        let states: Vec<&str> = response.groups.iter().map(|found| found.group_state.as_str()).collect();
        assert_eq!(states, ["Stable", "Empty", "Dead"]);
        let stable = &response.groups[0];
        assert_eq!((&*stable.protocol_type, &*stable.protocol_data), ("consumer", "range"));
        let member = &stable.members[0];
        assert_eq!((&member.member_id, &*member.client_id), (&joined.member_id, "tester"));
        assert_eq!(&*member.client_host, "/127.0.0.1");
        assert_eq!(member.member_assignment, joined.member_id.clone().into_bytes());
        let expected = if version >= 6 {
            ResponseError::GroupIdNotFound.code()
        } else {
            0
        };
        assert_eq!(response.groups[2].error_code, expected);
    }
}

#[test]
fn the_broker_coordinates_every_group_and_no_transaction() {
    let (_dir, coordinator) = coordinator();
    let node = Node {
        id: 1,
        host: "127.0.0.1".to_owned(),
        port: 9092,
    };
    for version in 0..=FindCoordinatorRequest::VERSIONS.max {
        for key_type in [0, 1, 2] {
            let request = FindCoordinatorRequest::default()
                .with_key(text("g"))
                .with_key_type(key_type)
                .with_coordinator_keys(vec![text("g"), text("h")]);
            let response = coordinator.find_coordinator(&request, version, &node);
            encoded(&response, version);
            let (found, error, port) = match version {
                0..=3 => (1, response.error_code, response.port),
                _ => {
                    let first = &response.coordinators[0];
                    (response.coordinators.len(), first.error_code, first.port)
                }
            };
            assert_eq!(found, if version < 4 { 1 } else { 2 });
            assert_eq!((error == 0, port == 9092), (key_type == 0, key_type == 0));
        }
    }
}

//! The coordinator as the dispatcher calls it: requests in, responses out, in every version.

mod membership;
mod offsets;

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

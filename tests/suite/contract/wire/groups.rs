//! Classic groups on the wire: who must join again, who is fenced, and with which code a member learns of it.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
};

use super::*;

const JOIN: i16 = 7;
const SYNC: i16 = 4;
const BEAT: i16 = 4;
const LEAVE: i16 = 4;

/// A consumer's subscription: version 0, no topic, no user data. Apache Kafka reads it, and never answers where it cannot.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

/// One member on a connection of its own, because a join may wait for others.
struct Member {
    wire: Wire,
    group: String,
    id: String,
    instance: Option<String>,
    generation: i32,
}

impl Member {
    fn new(cluster: &Cluster, group: &str) -> Self {
        let mut wire = Wire::new(cluster);
        wait_for_coordinator(&mut wire, group);
        Self {
            wire,
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
        }
    }

    fn named(cluster: &Cluster, group: &str, instance: &str) -> Self {
        Self {
            instance: Some(instance.to_owned()),
            ..Self::new(cluster, group)
        }
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("contract"))
            .with_metadata(SUBSCRIPTION.into());
        JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(20_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    }

    fn remember(&mut self, response: &JoinGroupResponse) -> Option<ResponseError> {
        self.id = response.member_id.to_string();
        self.generation = response.generation_id;
        error(response.error_code)
    }

    /// Begins to join; a member without an id is given one first, as clients do.
    fn start_joining(&mut self) {
        if self.id.is_empty() && self.instance.is_none() {
            let first = self.wire.ask(&self.join_request(), JOIN);
            assert_eq!(self.remember(&first), Some(ResponseError::MemberIdRequired));
            assert!(!self.id.is_empty());
        }
        self.wire.send(&self.join_request(), JOIN);
    }

    fn joined(&mut self) -> JoinGroupResponse {
        let (_, response) = self.wire.receive::<JoinGroupRequest>(JOIN);
        assert_eq!(self.remember(&response), None);
        response
    }

    fn join(&mut self) -> JoinGroupResponse {
        self.start_joining();
        self.joined()
    }

    fn sync_request(&self, assignments: &[(&str, &str)]) -> SyncGroupRequest {
        let assignments = assignments
            .iter()
            .map(|(member, assignment)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(member))
                    .with_assignment(assignment.as_bytes().to_vec().into())
            })
            .collect();
        SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("contract")))
            .with_assignments(assignments)
    }

    fn sync(&mut self, assignments: &[(&str, &str)]) -> (Option<ResponseError>, String) {
        let request = older(self.sync_request(assignments));
        result(&self.wire.ask(&request, SYNC))
    }

    fn heartbeat(&mut self) -> Option<ResponseError> {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        error(self.wire.ask(&request, BEAT).error_code)
    }

    fn commit(&mut self, topic: &str, offset: i64) -> Option<ResponseError> {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("")));
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_topics(vec![
                OffsetCommitRequestTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(vec![partition]),
            ]);
        error(self.wire.ask(&request, 7).topics[0].partitions[0].error_code)
    }

    fn leave(&mut self) -> Option<ResponseError> {
        let member = MemberIdentity::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_members(vec![member]);
        let response = self.wire.ask(&request, LEAVE);
        error(response.error_code).or(error(response.members[0].error_code))
    }
}

/// Before version 5 the protocol was not said again.
fn older(request: SyncGroupRequest) -> SyncGroupRequest {
    request.with_protocol_type(None).with_protocol_name(None)
}

fn result(response: &SyncGroupResponse) -> (Option<ResponseError>, String) {
    let assignment = String::from_utf8_lossy(&response.assignment).into_owned();
    (error(response.error_code), assignment)
}

#[test]
fn one_member_through_its_life_in_every_version() {
    let cluster = Cluster::shared();
    let mut wire = Wire::new(&cluster);
    let joins = wire.versions::<JoinGroupRequest>();
    for version in joins {
        let mut member = Member::new(&cluster, &unique("wire"));
        let response = loop {
            let response = member.wire.ask(&member.join_request(), version);
            if member.remember(&response) != Some(ResponseError::MemberIdRequired) {
                break response;
            }
            assert!(version >= 4, "{version}: old clients do not know this answer");
        };
        assert_eq!(error(response.error_code), None, "{version}");
        assert_eq!((response.generation_id, response.members.len()), (1, 1), "{version}");
        assert_eq!(response.leader, response.member_id, "{version}");
        assert_eq!(response.protocol_name, Some(text("contract")), "{version}");
        assert_eq!(response.members[0].metadata, SUBSCRIPTION, "{version}");
        let id = member.id.clone();
        assert_eq!(
            member.sync(&[(&id, "all of it")]),
            (None, "all of it".to_owned()),
            "{version}"
        );
        assert_eq!(member.heartbeat(), None, "{version}");
        assert_eq!(member.leave(), None, "{version}");
        assert_eq!(member.heartbeat(), Some(ResponseError::UnknownMemberId), "{version}");
    }
    for version in wire.versions::<SyncGroupRequest>() {
        let mut member = Member::new(&cluster, &unique("wire"));
        member.join();
        let id = member.id.clone();
        let request = member.sync_request(&[(&id, "mine")]);
        let request = if version >= 5 { request } else { older(request) };
        assert_eq!(
            result(&member.wire.ask(&request, version)),
            (None, "mine".to_owned()),
            "{version}"
        );
    }
    for version in wire.versions::<HeartbeatRequest>() {
        let mut member = Member::new(&cluster, &unique("wire"));
        member.join();
        let id = member.id.clone();
        member.sync(&[(&id, "mine")]);
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&member.group)))
            .with_generation_id(member.generation)
            .with_member_id(text(&member.id));
        assert_eq!(error(member.wire.ask(&request, version).error_code), None, "{version}");
    }
    for version in wire.versions::<LeaveGroupRequest>() {
        let mut member = Member::new(&cluster, &unique("wire"));
        member.join();
        let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&member.group)));
        let request = if version >= 3 {
            request.with_members(vec![
                MemberIdentity::default()
                    .with_member_id(text(&member.id))
                    .with_group_instance_id(None),
            ])
        } else {
            request.with_member_id(text(&member.id))
        };
        assert_eq!(error(member.wire.ask(&request, version).error_code), None, "{version}");
        assert_eq!(member.heartbeat(), Some(ResponseError::UnknownMemberId), "{version}");
    }
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let cluster = Cluster::shared();
    let group = unique("wire");
    let (mut first, mut second) = (Member::new(&cluster, &group), Member::new(&cluster, &group));
    first.join();
    let id = first.id.clone();
    first.sync(&[(&id, "all")]);

    second.start_joining();
    assert_eq!(
        crate::common::eventually("the rebalance", || first.heartbeat()),
        ResponseError::RebalanceInProgress
    );
    let to_first = first.join();
    let to_second = second.joined();
    assert_eq!((to_first.generation_id, to_second.generation_id), (2, 2));
    assert_eq!(to_first.leader, to_second.leader);
    assert_eq!(to_first.leader.as_str(), first.id, "the leader stays");
    let mut members: Vec<&str> = to_first
        .members
        .iter()
        .map(|member| member.member_id.as_str())
        .collect();
    let mut expected = [first.id.as_str(), second.id.as_str()];
    members.sort_unstable();
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert!(to_second.members.is_empty(), "only the leader assigns");

    // The follower's sync waits for what the leader decides.
    let request = older(second.sync_request(&[]));
    second.wire.send(&request, SYNC);
    let (one, two) = (first.id.clone(), second.id.clone());
    assert_eq!(
        first.sync(&[(&one, "left"), (&two, "right")]),
        (None, "left".to_owned())
    );
    let (_, response) = second.wire.receive::<SyncGroupRequest>(SYNC);
    assert_eq!(result(&response), (None, "right".to_owned()));

    assert_eq!(second.leave(), None);
    assert_eq!(
        crate::common::eventually("the rebalance", || first.heartbeat()),
        ResponseError::RebalanceInProgress
    );
    assert_eq!(first.join().members.len(), 1);
}

#[test]
fn a_member_of_the_past_is_fenced() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut member = Member::new(&cluster, &unique("wire"));
    member.join();
    let id = member.id.clone();
    member.sync(&[(&id, "all")]);
    assert_eq!(member.commit(&topic, 5), None);

    member.generation += 1;
    assert_eq!(member.heartbeat(), Some(ResponseError::IllegalGeneration));
    assert_eq!(member.commit(&topic, 6), Some(ResponseError::IllegalGeneration));
    assert_eq!(member.sync(&[]).0, Some(ResponseError::IllegalGeneration));
    member.generation -= 1;
    member.id = "somebody-else".to_owned();
    assert_eq!(member.heartbeat(), Some(ResponseError::UnknownMemberId));
    assert_eq!(member.commit(&topic, 7), Some(ResponseError::UnknownMemberId));
    assert_eq!(member.sync(&[]).0, Some(ResponseError::UnknownMemberId));
    assert_eq!(member.leave(), Some(ResponseError::UnknownMemberId));
    // Nor may anybody commit from outside while the group has members.
    let (generation, id) = (member.generation, id);
    member.generation = -1;
    member.id = String::new();
    assert_eq!(member.commit(&topic, 8), Some(ResponseError::UnknownMemberId));
    member.generation = generation;
    member.id = id;
    assert_eq!(member.heartbeat(), None);
}

#[test]
fn a_member_that_cannot_take_part_is_refused() {
    let cluster = Cluster::shared();
    let group = unique("wire");
    let mut member = Member::new(&cluster, &group);
    member.join();
    let id = member.id.clone();
    member.sync(&[(&id, "all")]);
    let mut other = Member::new(&cluster, &group);
    let mut join = |request: JoinGroupRequest| error(other.wire.ask(&request, 3).error_code);
    let good = Member::new(&cluster, &group).join_request();
    let protocols = |name| vec![JoinGroupRequestProtocol::default().with_name(text(name))];
    for (request, code) in [
        (
            good.clone().with_group_id(GroupId(text(""))),
            ResponseError::InvalidGroupId,
        ),
        (
            good.clone().with_session_timeout_ms(1),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_session_timeout_ms(i32::MAX),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_protocols(protocols("another")),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            good.clone().with_protocol_type(text("connect")),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            good.clone().with_protocols(vec![]),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            good.clone().with_member_id(text("nobody")),
            ResponseError::UnknownMemberId,
        ),
    ] {
        assert_eq!(join(request.clone()), Some(code), "{request:?}");
    }
    assert_eq!(member.heartbeat(), None, "the group was not disturbed");
}

#[test]
fn a_member_that_falls_silent_is_taken_out() {
    let cluster = Cluster::shared();
    let group = unique("wire");
    let (mut lives, mut dies) = (Member::new(&cluster, &group), Member::new(&cluster, &group));
    dies.wire.ask(&dies.join_request(), 3);
    lives.start_joining();
    // The first one never joins again; the round ends when its session does, at the latest with the rebalance timeout.
    let response = lives.joined();
    assert_eq!(response.members.len(), 1);
    let id = lives.id.clone();
    assert_eq!(lives.sync(&[(&id, "all")]), (None, "all".to_owned()));
}

#[test]
fn a_static_member_that_comes_back_takes_its_own_place() {
    let cluster = Cluster::shared();
    let group = unique("wire");
    let mut before = Member::named(&cluster, &group, "station-1");
    before.join();
    let id = before.id.clone();
    before.sync(&[(&id, "its part")]);
    assert_eq!(before.heartbeat(), None);

    let mut after = Member::named(&cluster, &group, "station-1");
    let response = after.join();
    assert_ne!(after.id, before.id);
    assert_eq!(response.generation_id, before.generation, "no rebalance");
    assert_eq!(after.sync(&[]), (None, "its part".to_owned()));
    assert_eq!(before.heartbeat(), Some(ResponseError::FencedInstanceId));
    assert_eq!(after.heartbeat(), None);
}

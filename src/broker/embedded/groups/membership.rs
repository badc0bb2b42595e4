//! The requests of members: find the coordinator, join, sync, heartbeat, leave.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator as Found;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::member::{Identity, Join, Joined, Millis, Protocol, Refused, Sync, Synced};
use super::{Caller, Coordinator, MAX_WEIGHT, Node, Waiter, code, random_id, text};

/// Apache Kafka's smallest session timeout is 6 s; a lesson that shows what happens when a consumer dies need not wait for it.
const SESSION: std::ops::RangeInclusive<i32> = 100..=1_800_000;

/// The key type of a group in FindCoordinator; 1 is a transaction, 2 a share group.
const KEY_TYPE_GROUP: i8 = 0;

fn instance(id: &Option<StrBytes>) -> Option<&str> {
    // Version 0-4 of JoinGroup decodes as null, and an empty name is no name.
    id.as_deref().filter(|id| !id.is_empty())
}

impl Coordinator {
    /// One broker coordinates everything.
    pub(crate) fn find_coordinator(
        &self,
        request: &FindCoordinatorRequest,
        version: i16,
        node: &Node,
    ) -> FindCoordinatorResponse {
        let refusal = match request.key_type {
            KEY_TYPE_GROUP => None,
            1 => Some("the embedded broker has no transactions; use Apache Kafka for them"),
            _ => Some("the embedded broker coordinates consumer groups only"),
        };
        let (id, host, port) = match refusal {
            None => (node.id, text(&*node.host), i32::from(node.port)),
            Some(_) => (-1, text(""), -1),
        };
        // Clients give up on this one at once, and ask again until a timeout on most others.
        let refused = match request.key_type {
            1 => ResponseError::TransactionalIdAuthorizationFailed,
            _ => ResponseError::InvalidRequest,
        };
        let error = refusal.map_or(0, |_| refused.code());
        let message = refusal.map(StrBytes::from_static_str);
        if version < 4 {
            return FindCoordinatorResponse::default()
                .with_error_code(error)
                .with_error_message(message)
                .with_node_id(id.into())
                .with_host(host)
                .with_port(port);
        }
        let found = |key: &StrBytes| {
            Found::default()
                .with_key(key.clone())
                .with_error_code(error)
                .with_error_message(message.clone())
                .with_node_id(id.into())
                .with_host(host.clone())
                .with_port(port)
        };
        FindCoordinatorResponse::default().with_coordinators(request.coordinator_keys.iter().map(found).collect())
    }

    /// Waits for the group's next generation, as long as the slowest member may take to join it.
    pub(crate) async fn join_group(
        &self,
        request: JoinGroupRequest,
        version: i16,
        caller: Caller<'_>,
    ) -> JoinGroupResponse {
        let group = request.group_id.to_string();
        let given_id = request.member_id.to_string();
        let result = match self.begin_join(&group, request, version, caller) {
            Ok(receiver) => self.wait(&group, receiver).await,
            Err(error) => Some(Err(Refused {
                error,
                member_id: given_id,
            })),
        };
        let none = Refused {
            error: ResponseError::CoordinatorNotAvailable,
            member_id: String::new(),
        };
        match result.unwrap_or(Err(none)) {
            Ok(joined) => join_response(joined, version),
            Err(refused) => JoinGroupResponse::default()
                .with_error_code(refused.error.code())
                .with_generation_id(-1)
                .with_protocol_name((version < 7).then(StrBytes::new))
                .with_member_id(text(refused.member_id)),
        }
    }

    fn begin_join(
        &self,
        group: &str,
        request: JoinGroupRequest,
        version: i16,
        caller: Caller<'_>,
    ) -> Result<oneshot::Receiver<Result<Joined, Refused>>, ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        if !SESSION.contains(&request.session_timeout_ms) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let join = to_join(&request, version, caller);
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.lock();
            let now = self.now();
            inner.ensure(group, now)?;
            let asked: usize = join.protocols.iter().map(|p| p.name.len() + p.metadata.len()).sum();
            if inner.weight() + asked > MAX_WEIGHT {
                inner.prune(group);
                return Err(ResponseError::GroupMaxSizeReached);
            }
            let ticket = inner.ticket(Waiter::Join(sender));
            inner.with(group, |group, out| group.join(join, ticket, now, out));
            inner.prune(group);
        }
        self.changed.notify_waiters();
        Ok(receiver)
    }

    /// Waits for the leader's assignment.
    pub(crate) async fn sync_group(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        let group = request.group_id.to_string();
        let result = match self.begin_sync(&group, &request) {
            Ok(receiver) => self.wait(&group, receiver).await,
            Err(error) => Some(Err(error)),
        };
        match result.unwrap_or(Err(ResponseError::CoordinatorNotAvailable)) {
            Ok(Synced {
                protocol_type,
                protocol,
                assignment,
            }) => SyncGroupResponse::default()
                .with_protocol_type(Some(text(protocol_type)))
                .with_protocol_name(Some(text(protocol)))
                .with_assignment(assignment),
            Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        }
    }

    fn begin_sync(
        &self,
        group: &str,
        request: &SyncGroupRequest,
    ) -> Result<oneshot::Receiver<Result<Synced, ResponseError>>, ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let sync = Sync {
            member_id: request.member_id.to_string(),
            instance_id: instance(&request.group_instance_id).map(str::to_owned),
            generation: request.generation_id,
            protocol_type: request.protocol_type.as_ref().map(ToString::to_string),
            protocol: request.protocol_name.as_ref().map(ToString::to_string),
            assignments: request
                .assignments
                .iter()
                .map(|one| (one.member_id.to_string(), Bytes::copy_from_slice(&one.assignment)))
                .collect(),
        };
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.lock();
            let now = self.now();
            if !inner.groups.contains_key(group) {
                return Err(ResponseError::UnknownMemberId);
            }
            let asked: usize = sync.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
            if inner.weight() + asked > MAX_WEIGHT {
                return Err(ResponseError::GroupMaxSizeReached);
            }
            let ticket = inner.ticket(Waiter::Sync(sender));
            inner.with(group, |group, out| group.sync(sync, ticket, now, out));
        }
        self.changed.notify_waiters();
        Ok(receiver)
    }

    /// A sign of life, and where a member hears of a rebalance.
    pub(crate) fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let who = Identity {
            member: &request.member_id,
            instance: instance(&request.group_instance_id),
        };
        let now = self.now();
        let beat = self.lock().with(&request.group_id, |group, out| {
            group.heartbeat(who, request.generation_id, now, out)
        });
        let result = match beat {
            _ if request.group_id.is_empty() => Err(ResponseError::InvalidGroupId),
            Some(result) => result,
            None => Err(ResponseError::UnknownMemberId),
        };
        HeartbeatResponse::default().with_error_code(code(&result))
    }

    /// Members leave; from version 3 on several at once, static ones by their instance id too.
    pub(crate) fn leave_group(&self, request: &LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
        if request.group_id.is_empty() {
            return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
        }
        let leave = |member: &str, instance: Option<&str>| {
            let now = self.now();
            let who = Identity { member, instance };
            let left = self
                .lock()
                .with(&request.group_id, |group, out| group.leave(who, now, out));
            code(&left.unwrap_or(Err(ResponseError::UnknownMemberId)))
        };
        let response = if version < 3 {
            LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None))
        } else {
            let one = |identity: &MemberIdentity| {
                MemberResponse::default()
                    .with_member_id(identity.member_id.clone())
                    .with_group_instance_id(identity.group_instance_id.clone())
                    .with_error_code(leave(&identity.member_id, instance(&identity.group_instance_id)))
            };
            LeaveGroupResponse::default().with_members(request.members.iter().map(one).collect())
        };
        self.changed.notify_waiters();
        response
    }
}

fn to_join(request: &JoinGroupRequest, version: i16, caller: Caller<'_>) -> Join {
    let instance_id = instance(&request.group_instance_id).map(str::to_owned);
    // Version 0 has no rebalance timeout of its own. The default of the field is -1.
    let rebalance = if version >= 1 {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    let client_id = shortened(caller.client_id);
    Join {
        member_id: request.member_id.to_string(),
        fresh_id: format!("{}-{}", instance_id.as_deref().unwrap_or(client_id), random_id()),
        client_id: client_id.to_owned(),
        // With the slash that Java puts before an address without a name, as Apache Kafka shows it.
        client_host: format!("/{}", caller.host),
        session_timeout: Millis::from(request.session_timeout_ms.unsigned_abs()),
        rebalance_timeout: Millis::from(rebalance.clamp(*SESSION.start(), *SESSION.end()).unsigned_abs()),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| Protocol {
                name: protocol.name.to_string(),
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect(),
        id_required: version >= 4,
        may_skip_assignment: version >= 9,
        instance_id,
    }
}

/// A client's name as it goes into member ids; the longest that the protocol carries is 32 KiB.
fn shortened(client_id: &str) -> &str {
    match client_id.char_indices().nth(255) {
        Some((end, _)) => &client_id[..end],
        None => client_id,
    }
}

fn join_response(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|peer| {
        JoinGroupResponseMember::default()
            .with_member_id(text(peer.member_id))
            .with_group_instance_id(peer.instance_id.map(text))
            .with_metadata(peer.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then(|| text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

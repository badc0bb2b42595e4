//! Consumer groups: each request goes to the coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};

use crate::broker::embedded::groups::{Caller, Node};

use super::{Call, NODE, text};

pub(super) async fn find(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let node = Node {
        id: NODE,
        host: call.local.ip().to_string(),
        port: call.local.port(),
    };
    call.broker.groups.find_coordinator(&request, call.version, &node)
}

pub(super) async fn join(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let host = call.peer.ip().to_string();
    let caller = Caller {
        client_id: call.client_id.as_deref().unwrap_or_default(),
        host: &host,
    };
    call.broker.groups.join_group(request, call.version, caller).await
}

pub(super) async fn sync(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    call.broker.groups.sync_group(request).await
}

pub(super) async fn heartbeat(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    call.broker.groups.heartbeat(&request)
}

pub(super) async fn leave(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    call.broker.groups.leave_group(&request, call.version)
}

pub(super) async fn commit(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    call.broker.groups.offset_commit(&request)
}

pub(super) async fn committed(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    call.broker.groups.offset_fetch(&request, call.version)
}

pub(super) async fn forget_offsets(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    call.broker.groups.offset_delete(&request)
}

pub(super) async fn list(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    call.broker.groups.list_groups(&request)
}

pub(super) async fn describe(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    call.broker.groups.describe_groups(&request, call.version)
}

pub(super) async fn delete(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    call.broker.groups.delete_groups(&request)
}

/// Clients that were told to use KIP-848's protocol learn here that it is not served, as Apache Kafka 3.7 told them where it was
/// switched off. Not to offer the request at all leaves librdkafka looking for a coordinator for ever, without a word.
pub(super) async fn refuse_new_protocol(
    _call: &Call<'_>,
    _request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_error_message(text(
            "the embedded broker serves classic consumer groups: set group.protocol=classic",
        ))
}

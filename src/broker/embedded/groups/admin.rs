//! The requests of those who look at groups from outside: list, describe, delete.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::journal::Entry;
use super::machine::Group;
use super::member::{Member, State};
use super::{Coordinator, Inner, code, text};

/// The type of every group here, in KIP-848's words.
const TYPE: &str = "classic";
/// READ, DELETE and DESCRIBE as bits: without an authorizer everybody may do everything.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// Nobody asked which operations are allowed.
const OPERATIONS_UNKNOWN: i32 = i32::MIN;

impl Coordinator {
    /// Every group, or those in the states and of the types that are asked for.
    pub(crate) fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let mut inner = self.lock();
        inner.advance_all(self.now());
        let wanted = |filter: &[StrBytes], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let listed = |(name, group): (&String, &Group)| {
            ListedGroup::default()
                .with_group_id(text(name).into())
                .with_protocol_type(text(&group.protocol_type))
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_group_type(StrBytes::from_static_str(TYPE))
        };
        let groups = inner
            .groups
            .iter()
            .filter(|(_, group)| wanted(&request.states_filter, group.state.name()))
            .filter(|_| wanted(&request.types_filter, TYPE));
        ListGroupsResponse::default().with_groups(groups.map(listed).collect())
    }

    /// Groups with their members. One that is not there is `Dead`, and from version 6 on an error too.
    pub(crate) fn describe_groups(&self, request: &DescribeGroupsRequest, version: i16) -> DescribeGroupsResponse {
        let operations = if request.include_authorized_operations {
            ALL_OPERATIONS
        } else {
            OPERATIONS_UNKNOWN
        };
        let now = self.now();
        let mut inner = self.lock();
        let mut describe = |id: &GroupId| {
            inner.next_deadline(id, now);
            let described = match inner.groups.get(id.as_str()) {
                Some(group) => describe(group),
                None if version >= 6 => dead()
                    .with_error_code(ResponseError::GroupIdNotFound.code())
                    .with_error_message(Some(text(format!("Group {} not found.", id.as_str())))),
                None => dead(),
            };
            described
                .with_group_id(id.clone())
                .with_authorized_operations(operations)
        };
        // A group that is named twice is described once: a short request must not ask for a response without end.
        let mut seen = BTreeSet::new();
        let groups = request.groups.iter().filter(|id| seen.insert(id.as_str()));
        let groups = groups.map(&mut describe).collect();
        DescribeGroupsResponse::default().with_groups(groups)
    }

    /// Removes groups without members, and their offsets.
    pub(crate) fn delete_groups(&self, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
        let now = self.now();
        let mut inner = self.lock();
        let mut delete = |id: &GroupId| {
            DeletableGroupResult::default()
                .with_group_id(id.clone())
                .with_error_code(code(&inner.delete(id, now)))
        };
        let results = request.groups_names.iter().map(&mut delete).collect();
        DeleteGroupsResponse::default().with_results(results)
    }
}

impl Inner {
    fn delete(&mut self, name: &str, now: super::Millis) -> Result<(), ResponseError> {
        self.next_deadline(name, now);
        let group = self.groups.get(name).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state != State::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.journal
            .append(&[Entry::Delete(name.to_owned())])
            .map_err(|error| {
                tracing::error!("group {name:?} was not deleted: {error}");
                ResponseError::KafkaStorageError
            })?;
        self.groups.remove(name);
        Ok(())
    }
}

fn dead() -> DescribedGroup {
    DescribedGroup::default().with_group_state(StrBytes::from_static_str("Dead"))
}

fn describe(group: &Group) -> DescribedGroup {
    // Between generations there is no protocol that metadata and assignment would belong to.
    let protocol = group.protocol.as_deref().filter(|_| group.state == State::Stable);
    let member = |(id, member): (&String, &Member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default())
            .with_member_assignment(member.assignment.clone())
    };
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(text(&group.protocol_type))
        .with_protocol_data(text(protocol.unwrap_or_default()))
        .with_members(group.members.iter().map(member).collect())
}

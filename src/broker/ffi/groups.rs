//! The admin calls about consumer groups.

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use super::admin::Options;
use super::codes::rd_kafka_error_code;
use super::{E, Fault, Native, PartitionOffset, Queue, c_string, entries, items, sys, text};

/// A group as its coordinator describes it.
#[derive(Debug, Clone)]
pub(in crate::broker) struct GroupDescription {
    pub id: String,
    pub state: String,
    pub assignor: String,
    /// `Classic`, `Consumer` (the protocol of KIP-848), or `Unknown`.
    pub kind: String,
    pub members: Vec<MemberDescription>,
    pub error: Option<Fault>,
}

/// A member as its coordinator describes it.
#[derive(Debug, Clone)]
pub(in crate::broker) struct MemberDescription {
    pub id: String,
    pub client_id: String,
    pub host: String,
    pub assignment: Vec<(String, i32)>,
}

impl Native {
    /// The ids of every group, with why some brokers could not be asked.
    pub(in crate::broker) fn group_ids(&self, deadline: Duration) -> Result<(Vec<String>, Option<Fault>), Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
            deadline,
        );
        // SAFETY: handle, options and queue are live for the call; the result lives as long as the event.
        unsafe {
            sys::rd_kafka_ListConsumerGroups(self.rk, options.0, queue.pointer);
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_ListConsumerGroups_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let errors = sys::rd_kafka_ListConsumerGroups_result_errors(result, &mut count);
            let fault = items(errors.cast_const(), count).first().map(|&error| fault_of(error));
            let groups = sys::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
            let ids = items(groups.cast_const(), count)
                .iter()
                .filter_map(|&group| text(sys::rd_kafka_ConsumerGroupListing_group_id(group)))
                .collect();
            Ok((ids, fault))
        }
    }

    /// Each of these groups with its members.
    pub(in crate::broker) fn describe_groups(
        &self,
        ids: &[&str],
        deadline: Duration,
    ) -> Result<Vec<GroupDescription>, Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            deadline,
        );
        let ids: Vec<CString> = ids.iter().map(|id| c_string(id)).collect::<Result<_, _>>()?;
        let mut pointers: Vec<_> = ids.iter().map(|id| id.as_ptr()).collect();
        // SAFETY: all pointers are live for the call, which copies the ids; the result lives as long as the event.
        unsafe {
            sys::rd_kafka_DescribeConsumerGroups(
                self.rk,
                pointers.as_mut_ptr(),
                pointers.len(),
                options.0,
                queue.pointer,
            );
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            Ok(items(groups.cast_const(), count)
                .iter()
                .map(|&group| group_of(group))
                .collect())
        }
    }

    /// What a group committed, of every partition where it ever did; an offset below zero means that it did not.
    pub(in crate::broker) fn committed(&self, id: &str, deadline: Duration) -> Result<Vec<PartitionOffset>, Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
            deadline,
        );
        let id = c_string(id)?;
        // SAFETY: all pointers are live for the call, which copies the request; a null list asks for every partition; the
        // result lives as long as the event.
        unsafe {
            let mut request = sys::rd_kafka_ListConsumerGroupOffsets_new(id.as_ptr(), ptr::null());
            sys::rd_kafka_ListConsumerGroupOffsets(self.rk, &mut request, 1, options.0, queue.pointer);
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
            let mut offsets = Vec::new();
            for &group in items(groups.cast_const(), count) {
                let error = sys::rd_kafka_group_result_error(group);
                if !error.is_null() {
                    return Err(fault_of(error));
                }
                offsets.extend(entries(sys::rd_kafka_group_result_partitions(group)));
            }
            Ok(offsets)
        }
    }
}

impl Native {
    /// Deletes a group that has no members.
    pub(in crate::broker) fn delete_group(&self, id: &str, deadline: Duration) -> Result<(), Fault> {
        let queue = Queue::new(self);
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETEGROUPS, deadline);
        let id = c_string(id)?;
        // SAFETY: all pointers are live for the call, which copies the request; the result lives as long as the event.
        unsafe {
            let mut request = sys::rd_kafka_DeleteGroup_new(id.as_ptr());
            sys::rd_kafka_DeleteGroups(self.rk, &mut request, 1, options.0, queue.pointer);
            sys::rd_kafka_DeleteGroup_destroy(request);
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_DeleteGroups_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let groups = sys::rd_kafka_DeleteGroups_result_groups(result, &mut count);
            for &group in items(groups.cast_const(), count) {
                let error = sys::rd_kafka_group_result_error(group);
                if !error.is_null() {
                    return Err(fault_of(error));
                }
            }
            Ok(())
        }
    }
}

/// # Safety
/// The error is live.
unsafe fn fault_of(error: *const sys::rd_kafka_error_t) -> Fault {
    // SAFETY: by the caller's promise.
    unsafe {
        let code = rd_kafka_error_code(error);
        Fault::with(code, text(sys::rd_kafka_error_string(error)))
    }
}

/// # Safety
/// The description is live.
unsafe fn group_of(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> GroupDescription {
    // SAFETY: by the caller's promise; everything that it points to lives as long.
    unsafe {
        let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
        let state = sys::rd_kafka_ConsumerGroupDescription_state(group);
        let kind = sys::rd_kafka_ConsumerGroupDescription_type(group);
        let members = 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        GroupDescription {
            id: text(sys::rd_kafka_ConsumerGroupDescription_group_id(group)).unwrap_or_default(),
            state: text(sys::rd_kafka_consumer_group_state_name(state)).unwrap_or_default(),
            assignor: text(sys::rd_kafka_ConsumerGroupDescription_partition_assignor(group)).unwrap_or_default(),
            kind: text(sys::rd_kafka_consumer_group_type_name(kind)).unwrap_or_default(),
            members: members
                .map(|at| member_of(sys::rd_kafka_ConsumerGroupDescription_member(group, at)))
                .collect(),
            error: (!error.is_null() && rd_kafka_error_code(error) != 0).then(|| fault_of(error)),
        }
    }
}

/// # Safety
/// The description is live.
unsafe fn member_of(member: *const sys::rd_kafka_MemberDescription_t) -> MemberDescription {
    // SAFETY: by the caller's promise; everything that it points to lives as long.
    unsafe {
        let assignment = sys::rd_kafka_MemberDescription_assignment(member);
        let partitions = if assignment.is_null() {
            Vec::new()
        } else {
            entries(sys::rd_kafka_MemberAssignment_partitions(assignment))
        };
        MemberDescription {
            id: text(sys::rd_kafka_MemberDescription_consumer_id(member)).unwrap_or_default(),
            client_id: text(sys::rd_kafka_MemberDescription_client_id(member)).unwrap_or_default(),
            host: text(sys::rd_kafka_MemberDescription_host(member)).unwrap_or_default(),
            assignment: partitions
                .into_iter()
                .map(|entry| (entry.topic, entry.partition))
                .collect(),
        }
    }
}

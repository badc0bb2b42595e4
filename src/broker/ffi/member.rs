//! A member of a consumer group: librdkafka's high-level consumer, by its events. Rebalances come as events and not as
//! callbacks, so that what a member does about one happens on its own thread, where errors can be told.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Header, Record, Timestamp};

use super::codes::{code_at, rd_kafka_event_error};
use super::queue::Event;
use super::{E, Fault, Native, PartitionList, PartitionOffset, entries, entry_of, items, millis, sys, text};

/// What a group's member hears.
#[derive(Debug)]
pub(in crate::broker) enum Heard {
    /// A record of a partition that is its own.
    Record(Record),
    /// A partition holds nothing more for now: everything before this offset was handed out, or is no record.
    End(PartitionOffset),
    /// These partitions are its own now; nothing comes before [`Membership::assign`].
    Assigned(Vec<PartitionOffset>),
    /// Its partitions are its own no longer; the group waits for [`Membership::unassign`].
    Revoked,
    /// Something is wrong with the connection, the group or a partition.
    Fault(Fault),
    /// Something that needs no answer.
    Other,
}

/// A consumer that is in a group. Dropped without [`Membership::close`] it leaves without a word, as a killed process does.
#[derive(Debug)]
pub(in crate::broker) struct Membership {
    queue: *mut sys::rd_kafka_queue_t,
    /// Where the answers to commits come.
    answers: *mut sys::rd_kafka_queue_t,
    native: Arc<Native>,
}

// SAFETY: queues are librdkafka objects that it documents as usable from any thread; the type gives them out to `&mut self`.
unsafe impl Send for Membership {}

impl Membership {
    /// Subscribes to the topics; the group's id is a property of the handle.
    pub(in crate::broker) fn subscribe(native: Arc<Native>, topics: &[&str]) -> Result<Self, Fault> {
        let list = PartitionList::new(topics.iter().map(|topic| (*topic, -1, 0)))?;
        // SAFETY: the handle is live; both queues are released in `drop`, before the handle, which `native` keeps.
        let this = unsafe {
            sys::rd_kafka_poll_set_consumer(native.rk);
            Self {
                queue: sys::rd_kafka_queue_get_consumer(native.rk),
                answers: sys::rd_kafka_queue_new(native.rk),
                native,
            }
        };
        // SAFETY: handle and list are live; the list is copied.
        let code = unsafe { sys::rd_kafka_subscribe(this.native.rk, list.0) } as i32;
        checked(code).map(|()| this)
    }

    pub(in crate::broker) fn native(&self) -> &Native {
        &self.native
    }

    /// The next thing that happens, within `wait`.
    pub(in crate::broker) fn poll(&mut self, wait: Duration) -> Option<Heard> {
        // SAFETY: the queue is live; the event belongs to us.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, millis(wait)) };
        if event.is_null() {
            return None;
        }
        let event = Event(event);
        // SAFETY: the event is live.
        let kind = unsafe { sys::rd_kafka_event_type(event.0) };
        Some(match kind {
            sys::RD_KAFKA_EVENT_FETCH => fetched(&event),
            sys::RD_KAFKA_EVENT_REBALANCE => rebalanced(&event),
            sys::RD_KAFKA_EVENT_ERROR => {
                let fault = fault_of(&event);
                if fault.is(E::RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                    return Some(ended(&event));
                }
                self.native.note(&fault);
                Heard::Fault(fault)
            }
            _ => Heard::Other,
        })
    }

    /// Takes the partitions, each from its offset on.
    pub(in crate::broker) fn assign(&mut self, partitions: &[(&str, i32, i64)]) -> Result<(), Fault> {
        let list = PartitionList::new(partitions.iter().copied())?;
        // SAFETY: handle and list are live; the list is copied.
        checked(unsafe { sys::rd_kafka_assign(self.native.rk, list.0) } as i32)
    }

    /// Gives its partitions back.
    pub(in crate::broker) fn unassign(&mut self) -> Result<(), Fault> {
        // SAFETY: the handle is live; a null list stands for none.
        checked(unsafe { sys::rd_kafka_assign(self.native.rk, ptr::null()) } as i32)
    }

    /// Sends the group's next offsets; [`Membership::answer`] has what became of it.
    pub(in crate::broker) fn commit(&mut self, offsets: &[(&str, i32, i64)]) -> Result<(), Fault> {
        let list = PartitionList::new(offsets.iter().copied())?;
        // SAFETY: handle, list and queue are live; the list is copied. Without a callback the answer comes as an event.
        let code =
            unsafe { sys::rd_kafka_commit_queue(self.native.rk, list.0, self.answers, None, ptr::null_mut()) } as i32;
        checked(code)
    }

    /// What became of a commit, if the answer has come.
    pub(in crate::broker) fn answer(&mut self, wait: Duration) -> Option<Result<(), Fault>> {
        // SAFETY: the queue is live; the event belongs to us.
        let event = unsafe { sys::rd_kafka_queue_poll(self.answers, millis(wait)) };
        if event.is_null() {
            return None;
        }
        let event = Event(event);
        let fault = fault_of(&event);
        Some(if fault.code == 0 { Ok(()) } else { Err(fault) })
    }

    /// Begins to leave the group; [`Membership::poll`] goes on until [`Membership::is_closed`].
    pub(in crate::broker) fn close(&mut self) {
        // SAFETY: handle and queue are live; the error is null or ours to destroy, and says that it is closed already.
        unsafe {
            let error = sys::rd_kafka_consumer_close_queue(self.native.rk, self.queue);
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
    }

    /// Whether it has left.
    pub(in crate::broker) fn is_closed(&self) -> bool {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_consumer_closed(self.native.rk) != 0 }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: both queues are live and this is their last use; the handle goes after them.
        unsafe {
            sys::rd_kafka_queue_destroy(self.answers);
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

fn checked(code: i32) -> Result<(), Fault> {
    if code == 0 { Ok(()) } else { Err(Fault::of(code)) }
}

fn fault_of(event: &Event) -> Fault {
    // SAFETY: the event is live, and so is its text.
    unsafe {
        Fault::with(
            rd_kafka_event_error(event.0),
            text(sys::rd_kafka_event_error_string(event.0)),
        )
    }
}

fn rebalanced(event: &Event) -> Heard {
    let fault = fault_of(event);
    if !fault.is(E::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        return Heard::Revoked;
    }
    // SAFETY: the list lives as long as the event, and is copied.
    Heard::Assigned(unsafe { entries(sys::rd_kafka_event_topic_partition_list(event.0)) })
}

fn ended(event: &Event) -> Heard {
    // SAFETY: the event is live; the partition that it names is ours to destroy, and is copied before.
    unsafe {
        let partition = sys::rd_kafka_event_topic_partition(event.0);
        if partition.is_null() {
            return Heard::Other;
        }
        let end = entry_of(partition);
        sys::rd_kafka_topic_partition_destroy(partition);
        Heard::End(end)
    }
}

fn fetched(event: &Event) -> Heard {
    // SAFETY: the message is the event's and lives as long; everything of it is copied. Its code is read as a number. Headers
    // are parsed lazily by librdkafka, which the message being ours alone allows.
    unsafe {
        let message = sys::rd_kafka_event_message_next(event.0);
        if message.is_null() {
            return Heard::Other;
        }
        let code = code_at(&raw const (*message).err);
        if code != 0 {
            return Heard::Fault(Fault::with(code, text(sys::rd_kafka_message_errstr(message))));
        }
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let time = sys::rd_kafka_message_timestamp(message, &mut kind);
        let bytes = |data: *mut std::ffi::c_void, len: usize| {
            (!data.is_null()).then(|| items(data.cast_const().cast::<u8>(), len).to_vec())
        };
        Heard::Record(Record {
            topic: text(sys::rd_kafka_topic_name((*message).rkt))
                .unwrap_or_default()
                .into(),
            partition: (*message).partition,
            offset: (*message).offset,
            timestamp: (time >= 0).then_some(Timestamp(time)),
            key: bytes((*message).key, (*message).key_len),
            value: bytes((*message).payload, (*message).len),
            headers: headers(message),
        })
    }
}

/// # Safety
/// The message is live, and nobody else uses it.
unsafe fn headers(message: *const sys::rd_kafka_message_t) -> Vec<Header> {
    let mut out = Vec::new();
    // SAFETY: by the caller's promise; names and values live as long as the message and are copied.
    unsafe {
        let mut headers = ptr::null_mut();
        if sys::rd_kafka_message_headers(message, &mut headers) as i32 != 0 {
            return out;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null::<std::ffi::c_void>(), 0);
        while sys::rd_kafka_header_get_all(headers, out.len(), &mut name, &mut value, &mut size) as i32 == 0 {
            out.push(Header {
                key: text(name).unwrap_or_default(),
                value: (!value.is_null()).then(|| items(value.cast::<u8>(), size).to_vec()),
            });
        }
    }
    out
}

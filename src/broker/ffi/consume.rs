//! Reading: librdkafka's simple consumer, which assigns partitions at absolute offsets and knows no group at all. With
//! `rd_kafka_assign` a `group.id` would be needed, and librdkafka would look for that group's coordinator, which makes a
//! fresh cluster create `__consumer_offsets`: looking would leave a trace.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Header, Timestamp};

use super::codes::{code_at, rd_kafka_last_error};
use super::{E, Fault, Native, PartitionList, c_string, items, millis, sys, text};

/// A topic from which partitions are read.
#[derive(Debug)]
struct TopicHandle {
    pointer: *mut sys::rd_kafka_topic_t,
}

/// A queue to which partitions deliver.
#[derive(Debug)]
struct QueueHandle {
    pointer: *mut sys::rd_kafka_queue_t,
}

/// Partitions being read, each delivering to one of the queues.
#[derive(Debug)]
pub(in crate::broker) struct Consumption {
    native: Arc<Native>,
    topics: Vec<TopicHandle>,
    queues: Vec<QueueHandle>,
    /// Topic index and partition of everything that was started.
    started: Vec<(usize, i32)>,
}

// SAFETY: topics and queues are librdkafka objects that it documents as usable from any thread; the type gives them out to
// `&mut self` only where order matters.
unsafe impl Send for Consumption {}

impl Consumption {
    pub(in crate::broker) fn new(native: Arc<Native>, topics: &[Arc<str>], queues: usize) -> Result<Self, Fault> {
        let mut this = Self {
            native,
            topics: Vec::new(),
            queues: Vec::new(),
            started: Vec::new(),
        };
        for name in topics {
            let name = c_string(name)?;
            // SAFETY: handle and name are live; a null configuration means the default.
            let pointer = unsafe { sys::rd_kafka_topic_new(this.native.rk, name.as_ptr(), ptr::null_mut()) };
            if pointer.is_null() {
                return Err(last_error());
            }
            this.topics.push(TopicHandle { pointer });
        }
        for _ in 0..queues {
            // SAFETY: the handle is live.
            let pointer = unsafe { sys::rd_kafka_queue_new(this.native.rk) };
            this.queues.push(QueueHandle { pointer });
        }
        Ok(this)
    }

    /// Starts a partition of the topic at an absolute offset, delivering to the queue.
    pub(in crate::broker) fn start(
        &mut self,
        topic: usize,
        partition: i32,
        offset: i64,
        queue: usize,
    ) -> Result<(), Fault> {
        // SAFETY: topic and queue are live.
        let code = unsafe {
            sys::rd_kafka_consume_start_queue(
                self.topics[topic].pointer,
                partition,
                offset,
                self.queues[queue].pointer,
            )
        };
        if code != 0 {
            return Err(last_error());
        }
        self.started.push((topic, partition));
        Ok(())
    }

    /// Stops fetching a partition of which nothing more is wanted, without waiting for it.
    pub(in crate::broker) fn pause(&self, topic: &str, partition: i32) {
        if let Ok(list) = PartitionList::new([(topic, partition, 0)]) {
            // SAFETY: handle and list are live.
            unsafe { sys::rd_kafka_pause_partitions(self.native.rk, list.0) };
        }
    }

    /// What identifies the topic in the messages.
    pub(in crate::broker) fn topic_id(&self, topic: usize) -> TopicId {
        TopicId(self.topics[topic].pointer as usize)
    }

    pub(in crate::broker) fn native(&self) -> &Arc<Native> {
        &self.native
    }

    /// An empty chunk of this consumption.
    pub(in crate::broker) fn chunk(&self) -> Chunk {
        Chunk {
            first: 0,
            messages: Vec::new(),
            native: Arc::clone(&self.native),
        }
    }

    /// Adds up to `max` messages of a queue to the chunk, waiting at most `wait` for the first of them; returns how many.
    pub(in crate::broker) fn fill(&mut self, queue: usize, chunk: &mut Chunk, max: usize, wait: Duration) -> usize {
        let before = chunk.messages.len();
        // A batch call waits until the batch is full or the time is over, so it is only ever called without waiting; the
        // first message is waited for by itself.
        self.fill_at_once(queue, chunk, max);
        if chunk.messages.len() == before && !wait.is_zero() {
            // SAFETY: the queue is live; the message becomes the chunk's.
            let message = unsafe { sys::rd_kafka_consume_queue(self.queues[queue].pointer, millis(wait)) };
            if !message.is_null() {
                chunk.messages.push(message);
                self.fill_at_once(queue, chunk, max - 1);
            }
        }
        chunk.messages.len() - before
    }

    fn fill_at_once(&mut self, queue: usize, chunk: &mut Chunk, max: usize) {
        if max == 0 {
            return;
        }
        let before = chunk.messages.len();
        chunk.messages.reserve(max);
        // SAFETY: there is room for `max` pointers behind the last; librdkafka writes as many as it returns, and each becomes
        // the chunk's.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queues[queue].pointer,
                0,
                chunk.messages.as_mut_ptr().add(before),
                max,
            );
            chunk.messages.set_len(before + usize::try_from(count).unwrap_or(0));
        }
    }
}

impl Drop for Consumption {
    fn drop(&mut self) {
        // SAFETY: everything is live. Partitions are stopped first, as librdkafka asks; messages that are still out hold
        // what they need, and the handle itself outlives them by their `Arc`.
        unsafe {
            for (topic, partition) in &self.started {
                sys::rd_kafka_consume_stop(self.topics[*topic].pointer, *partition);
            }
            for queue in &self.queues {
                sys::rd_kafka_queue_destroy(queue.pointer);
            }
            for topic in &self.topics {
                sys::rd_kafka_topic_destroy(topic.pointer);
            }
        }
    }
}

fn last_error() -> Fault {
    // SAFETY: reads a number of this thread.
    Fault::of(unsafe { rd_kafka_last_error() })
}

/// Identifies a topic among the messages of one consumption, cheaper to compare than its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct TopicId(usize);

/// Messages in librdkafka's memory, in order; given back when they are dropped.
#[derive(Debug)]
pub(in crate::broker) struct Chunk {
    /// How many of `messages` were moved out at the front.
    first: usize,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Declared last and so dropped last: the messages need the handle.
    native: Arc<Native>,
}

// SAFETY: a message belongs to whoever holds it; librdkafka lets any thread read and destroy it. Reading through `&Chunk`
// changes nothing: the one lazy change that librdkafka makes, parsing headers, needs `&mut` here.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    pub(in crate::broker) fn len(&self) -> usize {
        self.messages.len() - self.first
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(in crate::broker) fn get(&self, index: usize) -> Option<Message<'_>> {
        let pointer = *self.messages.get(self.first + index)?;
        Some(Message {
            pointer,
            chunk: PhantomData,
        })
    }

    pub(in crate::broker) fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.messages[self.first..].iter().map(|&pointer| Message {
            pointer,
            chunk: PhantomData,
        })
    }

    /// Moves the first message to the end of another chunk of the same consumption.
    pub(in crate::broker) fn move_first(&mut self, to: &mut Chunk) {
        debug_assert!(Arc::ptr_eq(&self.native, &to.native));
        if let Some(message) = self.messages.get(self.first) {
            to.messages.push(*message);
            self.first += 1;
            if self.first == self.messages.len() {
                self.first = 0;
                self.messages.clear();
            }
        }
    }

    /// Keeps the messages from `from` on for which `keep` says so, and destroys the others.
    pub(in crate::broker) fn retain(&mut self, from: usize, mut keep: impl FnMut(Message<'_>) -> bool) {
        let start = self.first + from;
        let mut kept = start;
        for at in start..self.messages.len() {
            let pointer = self.messages[at];
            let message = Message {
                pointer,
                chunk: PhantomData,
            };
            if keep(message) {
                // A swap, not a copy: should `keep` panic, every pointer is still in the list exactly once.
                self.messages.swap(kept, at);
                kept += 1;
            }
        }
        for pointer in self.messages.drain(kept..) {
            // SAFETY: the message is live, and the list held it only once.
            unsafe { sys::rd_kafka_message_destroy(pointer) };
        }
    }

    /// Parses the headers of message `index` into `out`; says how many there were.
    pub(in crate::broker) fn headers(&mut self, index: usize, out: &mut Vec<Header>) -> usize {
        let Some(&message) = self.messages.get(self.first + index) else {
            return 0;
        };
        // SAFETY: the message is live and, by `&mut self`, ours alone; names and values live as long as it and are copied.
        unsafe {
            let mut headers = ptr::null_mut();
            if sys::rd_kafka_message_headers(message, &mut headers) as i32 != 0 {
                return 0;
            }
            let before = out.len();
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null::<c_void>(), 0);
            while sys::rd_kafka_header_get_all(headers, out.len() - before, &mut name, &mut value, &mut size) as i32
                == 0
            {
                out.push(Header {
                    key: text(name).unwrap_or_default(),
                    value: (!value.is_null()).then(|| items(value.cast::<u8>(), size).to_vec()),
                });
            }
            out.len() - before
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        for pointer in mem::take(&mut self.messages).into_iter().skip(self.first) {
            // SAFETY: the message is live, held once, and not used after this.
            unsafe { sys::rd_kafka_message_destroy(pointer) };
        }
    }
}

/// A message of a chunk: a record, or an event in its place.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Message<'a> {
    pointer: *const sys::rd_kafka_message_t,
    chunk: PhantomData<&'a Chunk>,
}

impl<'a> Message<'a> {
    /// Zero for a record.
    pub(in crate::broker) fn code(self) -> i32 {
        // SAFETY: the chunk holds the message for as long as `'a`.
        unsafe { code_at(&raw const (*self.pointer).err) }
    }

    pub(in crate::broker) fn is_end(self) -> bool {
        self.code() == E::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32
    }

    /// What an event that is no record says.
    pub(in crate::broker) fn fault(self) -> Fault {
        // SAFETY: the message is live, and so is its text.
        let words = unsafe { text(sys::rd_kafka_message_errstr(self.pointer)) };
        Fault::with(self.code(), words)
    }

    pub(in crate::broker) fn topic(self) -> TopicId {
        // SAFETY: as in `code`; so it is below. No reference to the message is made: its code may be no value of the enum.
        TopicId(unsafe { (*self.pointer).rkt } as usize)
    }

    pub(in crate::broker) fn partition(self) -> i32 {
        // SAFETY: the message is live.
        unsafe { (*self.pointer).partition }
    }

    pub(in crate::broker) fn offset(self) -> i64 {
        // SAFETY: the message is live.
        unsafe { (*self.pointer).offset }
    }

    pub(in crate::broker) fn timestamp(self) -> Option<Timestamp> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live.
        let time = unsafe { sys::rd_kafka_message_timestamp(self.pointer, &mut kind) };
        (time >= 0).then_some(Timestamp(time))
    }

    pub(in crate::broker) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: the message is live; a key that is not null has `key_len` bytes, which live as long as it.
        unsafe {
            let (data, len) = ((*self.pointer).key.cast_const(), (*self.pointer).key_len);
            (!data.is_null()).then(|| items(data.cast::<u8>(), len))
        }
    }

    pub(in crate::broker) fn value(self) -> Option<&'a [u8]> {
        // SAFETY: the message is live; a value that is not null has `len` bytes, which live as long as it.
        unsafe {
            let (data, len) = ((*self.pointer).payload.cast_const(), (*self.pointer).len);
            (!data.is_null()).then(|| items(data.cast::<u8>(), len))
        }
    }
}

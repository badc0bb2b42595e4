//! Reading: partitions are assigned at absolute offsets, so nothing is committed and no group is joined by looking.
//!
//! A reader belongs to one thread; drop it to stop. What is queued is bounded, whatever the topic's size. A merged read keeps
//! some of every partition: what one fetch brought of it, unpacked, and that is one batch at least. [`open`] divides the memory.

mod open;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::record::{Header, Position, RecordRef, Timestamp, TopicPartition};

use super::client::{Client, plain};
use super::error::BrokerError;
use super::ffi::consume::{Chunk, Consumption, Message, TopicId};
use super::ffi::probe::Probe;
use super::ffi::{Fault, is_out_of_range, is_unknown_topic};
use super::merge::{Merge, Step};

/// What to read of one partition: offsets `start..end`, or from `start` on without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first offset to read.
    pub start: i64,
    /// The offset to stop before; `None` to wait for more. Where the log does not reach it yet, the reader waits for it.
    pub end: Option<i64>,
}

/// In which order records of several partitions come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they arrive; each partition's own order holds.
    Arrival,
    /// The partitions' heads merged by (timestamp, topic, partition, offset): the log alone decides, so two replays agree.
    /// A record without a timestamp comes first. Every range needs an end.
    Merged,
}

/// What to read, and in which order.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The partitions.
    pub ranges: Vec<Range>,
    /// The order between them.
    pub order: Order,
}

/// Records that came together, in memory that librdkafka owns until the batch is dropped. It may be sent to another thread.
#[derive(Debug)]
pub struct Batch {
    chunk: Chunk,
    topics: Arc<[(TopicId, Arc<str>)]>,
    headers: Vec<Header>,
    /// For each record where its headers begin and end in `headers`; empty where no record has any.
    spans: Vec<(u32, u32)>,
}

impl Batch {
    fn new(mut chunk: Chunk, topics: Arc<[(TopicId, Arc<str>)]>) -> Self {
        let (mut headers, mut spans) = (Vec::new(), Vec::new());
        for index in 0..chunk.len() {
            let before = headers.len() as u32;
            if chunk.headers(index, &mut headers) > 0 {
                spans.resize(index, (0, 0));
                spans.push((before, headers.len() as u32));
            }
        }
        Self {
            chunk,
            topics,
            headers,
            spans,
        }
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.chunk.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty()
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        self.chunk
            .iter()
            .enumerate()
            .map(|(index, message)| self.record(index, message))
    }

    /// One record, counted from 0.
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        self.chunk.get(index).map(|message| self.record(index, message))
    }

    fn record<'a>(&'a self, index: usize, message: Message<'a>) -> RecordRef<'a> {
        let id = message.topic();
        let topic = self.topics.iter().find(|(known, _)| *known == id);
        let (from, to) = self.spans.get(index).copied().unwrap_or_default();
        RecordRef {
            topic: topic.map_or("", |(_, name)| name),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: message.key(),
            value: message.value(),
            headers: self.headers.get(from as usize..to as usize).unwrap_or_default(),
        }
    }
}

/// What a poll brought.
#[derive(Debug)]
pub enum Poll {
    /// Records.
    Batch(Batch),
    /// Nothing within the wait; there may be more later.
    Idle,
    /// Every range has been read to its end.
    End,
}

/// A range while it is read.
#[derive(Debug)]
struct Part {
    partition: TopicPartition,
    /// The next offset to come from the broker.
    next: i64,
    end: Option<i64>,
    /// Whether nothing more is wanted from the broker.
    finished: bool,
}

/// The ranges with the way from a message to its range.
#[derive(Debug)]
struct Parts {
    parts: Vec<Part>,
    topics: Arc<[(TopicId, Arc<str>)]>,
    /// For each topic and partition the index in `parts`.
    index: Vec<Vec<Option<usize>>>,
    /// How many are not finished.
    open: usize,
    /// The first event that says that something is wrong, until a poll tells it.
    fault: Option<(usize, Fault)>,
    /// Parts that were finished since somebody last looked.
    ended: Vec<usize>,
}

impl Parts {
    /// Notes what a message says about its range. Says whether it is a record that was asked for.
    fn observe(&mut self, message: Message<'_>) -> bool {
        let id = message.topic();
        let topic = self.topics.iter().position(|(known, _)| *known == id);
        let at = topic
            .and_then(|topic| {
                self.index
                    .get(topic)?
                    .get(usize::try_from(message.partition()).ok()?)
                    .copied()
            })
            .flatten();
        let Some(at) = at else { return false };
        let part = &mut self.parts[at];
        if part.finished {
            return false;
        }
        let offset = message.offset();
        let is_record = message.code() == 0;
        if !is_record && !message.is_end() {
            self.fault.get_or_insert((at, message.fault()));
            return false;
        }
        let wanted = is_record && offset >= part.next && part.end.is_none_or(|end| offset < end);
        let reached = offset + i64::from(wanted);
        part.next = part.next.max(reached);
        if let Some(end) = part.end.filter(|end| part.next >= *end) {
            part.next = end;
            part.finished = true;
            self.open -= 1;
            self.ended.push(at);
        }
        wanted
    }
}

/// How the records of several partitions come together.
#[derive(Debug)]
enum Mode {
    Arrival,
    /// One buffer for each part; what is not needed yet stays in librdkafka's bounded queue of that partition.
    Merged {
        merge: Merge<i64>,
        buffers: Vec<Chunk>,
        /// Records taken at once from one partition's queue.
        portion: usize,
    },
}

/// Reads the ranges of a plan.
#[derive(Debug)]
pub struct Reader {
    parts: Parts,
    mode: Mode,
    position: Position,
    /// When the broker last sent something.
    heard: Instant,
    client: Client,
    /// What is asked during an outage.
    probe: Option<Probe>,
    // Last: the buffers' messages go before what they point into.
    consumption: Consumption,
}

/// Records in one batch at most: enough that the cost of a batch disappears, few enough that one is soon handled.
const BATCH: usize = 4096;

impl Reader {
    /// The next records, waiting at most `wait` for the first of them.
    pub fn poll(&mut self, wait: Duration) -> Result<Poll, BrokerError> {
        let until = Instant::now() + wait;
        if let Some((at, fault)) = self.parts.fault.take() {
            return Err(self.fault(at, &fault));
        }
        let chunk = match self.mode {
            Mode::Arrival => self.poll_arrival(until),
            Mode::Merged { .. } => self.poll_merged(until),
        };
        for at in self.parts.ended.drain(..) {
            let partition = &self.parts.parts[at].partition;
            self.consumption.pause(&partition.topic, partition.partition);
        }
        self.note_position();
        if !chunk.is_empty() {
            self.heard = Instant::now();
            self.note_outage();
            return Ok(Poll::Batch(Batch::new(chunk, Arc::clone(&self.parts.topics))));
        }
        if let Some((at, fault)) = self.parts.fault.take() {
            return Err(self.fault(at, &fault));
        }
        if self.parts.open == 0 {
            return Ok(Poll::End);
        }
        self.idle()
    }

    /// The next offset of each partition, after everything handed out so far and past transaction markers and compaction
    /// gaps that were passed on the way; at the end it is the ranges' ends.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// What keeps the broker from answering, if something did at the last poll: a reader without an end goes on trying.
    pub fn trouble(&self) -> Option<String> {
        let native = self.consumption.native();
        let reason = || native.trouble().map(|fault| plain(&fault.reason));
        native
            .all_down()
            .then(|| reason().unwrap_or_else(|| "no broker can be reached".to_owned()))
    }

    fn poll_arrival(&mut self, until: Instant) -> Chunk {
        let mut chunk = self.consumption.chunk();
        while self.parts.open > 0 && self.parts.fault.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if self.consumption.fill(0, &mut chunk, BATCH, left) == 0 {
                break;
            }
            self.heard = Instant::now();
            chunk.retain(0, |message| self.parts.observe(message));
            if !chunk.is_empty() {
                break;
            }
        }
        chunk
    }

    fn poll_merged(&mut self, until: Instant) -> Chunk {
        let mut out = self.consumption.chunk();
        let Mode::Merged {
            merge,
            buffers,
            portion,
        } = &mut self.mode
        else {
            return out;
        };
        while out.len() < BATCH {
            match merge.step() {
                Step::Done => break,
                Step::Need(source) => {
                    let buffer = &mut buffers[source];
                    if buffer.is_empty() && !self.parts.parts[source].finished {
                        // What is merged already is not held back for a partition that is slow.
                        let left = until.saturating_duration_since(Instant::now());
                        let left = if out.is_empty() { left } else { Duration::ZERO };
                        let came = self.consumption.fill(source, buffer, *portion, left);
                        buffer.retain(0, |message| self.parts.observe(message));
                        if came > 0 {
                            self.heard = Instant::now();
                        }
                        if buffer.is_empty() && !self.parts.parts[source].finished {
                            merge.missing(source);
                            if came == 0 || self.parts.fault.is_some() {
                                break;
                            }
                            continue;
                        }
                    }
                    if let Some(message) = buffer.get(0) {
                        merge.head(source, sort_key(message));
                    }
                }
                Step::Take(source) => {
                    let buffer = &mut buffers[source];
                    loop {
                        buffer.move_first(&mut out);
                        match buffer.get(0).map(sort_key) {
                            Some(key) if out.len() < BATCH && merge.is_next(source, &key) => {}
                            Some(key) => break merge.head(source, key),
                            None => break merge.missing(source),
                        }
                    }
                }
            }
        }
        out
    }

    fn note_position(&mut self) {
        for (at, part) in self.parts.parts.iter().enumerate() {
            let waiting = match &self.mode {
                Mode::Arrival => None,
                Mode::Merged { buffers, .. } => buffers[at].get(0).map(Message::offset),
            };
            let next = waiting.unwrap_or(part.next);
            if self.position.next(&part.partition) != Some(next) {
                self.position.set(part.partition.clone(), next);
            }
        }
    }

    /// Looks whether an outage began or is over. Records that come do not end one: they may have been on the way when it began.
    fn note_outage(&mut self) {
        let native = self.consumption.native();
        native.serve();
        if self.probe.as_ref().is_some_and(Probe::is_done) {
            self.probe = None;
        }
        if self.probe.is_none() && native.all_down() {
            self.probe = Some(Probe::ask(native));
        }
    }

    /// Nothing came: all is well, unless everything that is wanted has an end and nobody is there to send it.
    fn idle(&mut self) -> Result<Poll, BrokerError> {
        self.note_outage();
        let native = self.consumption.native();
        if let Some(fault) = native.take_refusal() {
            // The words begin with `topic [partition]: `.
            let named = |part: &Part| {
                let TopicPartition { topic, partition } = &part.partition;
                fault.reason.starts_with(&format!("{topic} [{partition}]:"))
            };
            let at = self.parts.parts.iter().position(named).unwrap_or(0);
            return Err(self.fault(at, &fault));
        }
        let waited = self.heard.elapsed();
        let bounded = self.parts.parts.iter().all(|part| part.end.is_some());
        if bounded && native.all_down() && waited >= self.client.deadline() {
            return Err(self.client.error_of(native, "reading", &Fault::silence(), waited));
        }
        Ok(Poll::Idle)
    }

    fn fault(&self, at: usize, fault: &Fault) -> BrokerError {
        let part = &self.parts.parts[at];
        let partition = part.partition.clone();
        if is_out_of_range(fault) {
            let (low, high) = self.client.log_range(&partition).unwrap_or((part.next, part.next));
            return BrokerError::OffsetOutOfRange {
                partition,
                offset: part.next,
                low,
                high,
            };
        }
        if is_unknown_topic(fault) {
            return BrokerError::TopicGone {
                partition,
                reason: fault.reason.clone(),
            };
        }
        let what = format!("reading {partition} at offset {}", part.next);
        self.client
            .error_of(self.consumption.native(), &what, fault, self.heard.elapsed())
    }
}

/// The time that decides between heads; a record without one comes first.
fn sort_key(message: Message<'_>) -> i64 {
    message.timestamp().map_or(i64::MIN, |Timestamp(time)| time)
}

//! Opening a reader: the plan is checked against what is there, and memory is divided between its partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::record::{Position, TopicPartition};

use super::super::client::{Client, Role};
use super::super::error::BrokerError;
use super::super::ffi::Fault;
use super::super::ffi::consume::Consumption;
use super::super::merge::Merge;
use super::super::topics::TopicInfo;
use super::{Mode, Order, Part, Parts, Range, ReadPlan, Reader};

/// What the partitions of a reader may hold, divided between them.
///
/// What was fetched for a partition is unpacked at once and kept until it is read, and a merge keeps some of every partition. So
/// it is the fetches and not the queues that count: compressed ten to one, a fetch of 160 KiB for each of 100 partitions took
/// 400 MB of a topic of 480 MB. A single batch may still be larger than all of these: it comes whole.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Records that wait in librdkafka's queue before it stops asking for more: each costs about 400 bytes beside its own.
    records: usize,
    /// The same in KiB.
    kbytes: usize,
    /// Bytes that are asked for at once, as they were written. A broker sends a batch that is larger only alone in its response,
    /// so that a small share costs a request for each batch.
    fetch: usize,
    /// Records that a merge takes at once: those that it leaves in the queue hold back the next fetch.
    portion: usize,
}

/// Partitions that a merge reads with shares as great as if they were not merged.
const FEW: usize = 8;

impl Share {
    /// The share of each of `partitions` that are delivered to `queues`.
    fn of(queues: usize, partitions: usize) -> Self {
        let (queues, partitions) = (queues.max(1), partitions.max(1));
        if queues <= FEW {
            return Self {
                records: (64_000 / queues).max(1000),
                kbytes: (24 * 1024 / queues).max(256),
                fetch: (RESPONSE / partitions).clamp(64 * 1024, 1024 * 1024),
                portion: 2048,
            };
        }
        Self {
            records: (25_600 / queues).max(64),
            kbytes: (12 * 1024 / queues).max(128),
            fetch: (6 * 1024 * 1024 / partitions).max(64 * 1024),
            portion: (8192 / queues).max(64),
        }
    }
}

/// What one request asks for over all partitions.
const RESPONSE: usize = 16 * 1024 * 1024;

impl Client {
    /// Opens a reader. A start below the log's first offset or past its end is an error that says which offsets there are.
    pub fn reader(&self, plan: ReadPlan) -> Result<Reader, BrokerError> {
        let mut ranges = plan.ranges;
        ranges.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.check(&ranges, plan.order)?;
        // One partition's records arrive in the order that a merge of one would give them.
        let merged = plan.order == Order::Merged && ranges.len() > 1;
        let queues = if merged { ranges.len() } else { 1 };
        let bounded = ranges.iter().all(|range| range.end.is_some());
        let share = Share::of(queues, ranges.len());
        let native = self.handle(Role::Reader, &reader_properties(share, bounded))?;

        let mut names: Vec<Arc<str>> = ranges.iter().map(|range| Arc::clone(&range.topic)).collect();
        names.dedup();
        let wrong = |fault: Fault| self.error_of_reader(&fault);
        let mut consumption = Consumption::new(native, &names, queues).map_err(wrong)?;
        let topics: Arc<[_]> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (consumption.topic_id(at), Arc::clone(name)))
            .collect();
        let mut parts = Parts {
            parts: Vec::with_capacity(ranges.len()),
            index: vec![Vec::new(); names.len()],
            topics,
            open: 0,
            fault: None,
            ended: Vec::new(),
        };
        for (at, range) in ranges.into_iter().enumerate() {
            let topic = names.iter().position(|name| *name == range.topic).unwrap_or(0);
            let finished = range.end.is_some_and(|end| range.start >= end);
            if !finished {
                parts.open += 1;
                consumption
                    .start(topic, range.partition, range.start, if merged { at } else { 0 })
                    .map_err(wrong)?;
            }
            let slot = usize::try_from(range.partition).unwrap_or(0);
            let row = &mut parts.index[topic];
            row.resize(row.len().max(slot + 1), None);
            row[slot] = Some(at);
            parts.parts.push(Part {
                partition: TopicPartition::new(range.topic, range.partition),
                next: range.start,
                end: range.end,
                finished,
            });
        }
        let mode = if merged {
            Mode::Merged {
                merge: Merge::new(parts.parts.len()),
                buffers: parts.parts.iter().map(|_| consumption.chunk()).collect(),
                portion: share.portion,
            }
        } else {
            Mode::Arrival
        };
        let mut reader = Reader {
            parts,
            mode,
            position: Position::new(),
            heard: Instant::now(),
            client: self.clone(),
            probe: None,
            consumption,
        };
        reader.note_position();
        Ok(reader)
    }

    fn error_of_reader(&self, fault: &Fault) -> BrokerError {
        self.error("opening the reader", fault, Duration::ZERO)
    }

    /// Refuses a plan that cannot be read: topics, partitions or offsets that are not there, a merge without ends.
    fn check(&self, ranges: &[Range], order: Order) -> Result<(), BrokerError> {
        let invalid = |text: String| Err(BrokerError::Invalid(text));
        for pair in ranges.windows(2) {
            if pair[0].topic == pair[1].topic && pair[0].partition == pair[1].partition {
                return invalid(format!("{}[{}] is in the plan twice", pair[0].topic, pair[0].partition));
            }
        }
        if order == Order::Merged
            && let Some(range) = ranges.iter().find(|range| range.end.is_none())
        {
            return invalid(format!(
                "{}[{}] has no end: partitions can be merged by time only up to an end",
                range.topic, range.partition
            ));
        }
        let mut topics: BTreeMap<&str, TopicInfo> = BTreeMap::new();
        for range in ranges {
            if !topics.contains_key(&*range.topic) {
                topics.insert(&range.topic, self.topic(&range.topic)?);
            }
            let topic = &topics[&*range.topic];
            if !topic.partitions.contains(&range.partition) {
                return Err(BrokerError::UnknownPartition {
                    topic: topic.name.clone(),
                    partition: range.partition,
                    count: topic.partitions.len(),
                });
            }
        }
        let topics: Vec<TopicInfo> = topics.into_values().collect();
        let mut marks = self.watermarks_of(&topics)?;
        for range in ranges {
            let found = match marks.get(&*range.topic) {
                Some(Ok(found)) => found,
                _ => match marks.remove(&*range.topic) {
                    Some(Err(error)) => return Err(error),
                    _ => return Err(self.unknown_topic(&range.topic)),
                },
            };
            let Some(mark) = found.iter().find(|mark| mark.partition == range.partition) else {
                continue;
            };
            if (mark.low..=mark.high).contains(&range.start) {
                continue;
            }
            let partition = TopicPartition::new(Arc::clone(&range.topic), range.partition);
            // Past the last committed record there may be open transactions; only the log's own end is an end.
            let (low, high) = self.log_range(&partition)?;
            if !(low..=high).contains(&range.start) {
                return Err(BrokerError::OffsetOutOfRange {
                    partition,
                    offset: range.start,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }

    /// The log's first offset and its end, open transactions included.
    pub(super) fn log_range(&self, partition: &TopicPartition) -> Result<(i64, i64), BrokerError> {
        let asked = [
            vec![(&*partition.topic, partition.partition, -2)],
            vec![(&*partition.topic, partition.partition, -1)],
        ];
        let what = format!("asking how far {partition} reaches");
        let answers = self.ask(&what, |native, deadline| native.list_offsets(&asked, false, deadline))?;
        let offsets: Vec<i64> = answers.into_iter().flatten().map(|entry| entry.offset).collect();
        match offsets[..] {
            [low, high] => Ok((low, high)),
            _ => Err(BrokerError::Other("the client library lost an answer".to_owned())),
        }
    }
}

/// The properties of a reader with this share for each partition.
fn reader_properties(share: Share, bounded: bool) -> Vec<(&'static str, String)> {
    vec![
        ("queued.min.messages", share.records.to_string()),
        ("queued.max.messages.kbytes", share.kbytes.to_string()),
        ("fetch.message.max.bytes", share.fetch.to_string()),
        ("fetch.max.bytes", RESPONSE.to_string()),
        // A limit of what is accepted, not of what is asked for: one record may be as large as a broker lets it be.
        ("receive.message.max.bytes", "1000000000".to_owned()),
        // With the default of 1000 ms a queue that was full once idles that long.
        ("fetch.queue.backoff.ms", "5".to_owned()),
        // One request holds all partitions of a broker. Where one of them is at its end, the others wait as long as the broker
        // waits for it, so a bounded read asks it to wait only shortly.
        ("fetch.wait.max.ms", if bounded { "20" } else { "250" }.to_owned()),
        ("fetch.error.backoff.ms", "100".to_owned()),
        ("socket.timeout.ms", "20000".to_owned()),
        // A topic that is deleted while it is read: librdkafka believes it only when metadata says so, and only if the topic
        // was there for this long; otherwise it looks again at the next refresh.
        ("topic.metadata.propagation.max.ms", "3000".to_owned()),
        ("topic.metadata.refresh.interval.ms", "5000".to_owned()),
    ]
}

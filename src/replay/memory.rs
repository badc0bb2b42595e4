//! A log in memory, for tests: records of any topic and partition, handed out in batches of any size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::reader::Range;
use crate::broker::topics::Watermarks;
use crate::record::{Position, Record, RecordRef, Timestamp, TopicPartition};

use super::error::ReplayError;
use super::log::{self, Log, Topic};
use super::source::{Polled, Records, Source};

/// A log.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    partitions: BTreeMap<TopicPartition, Vec<Record>>,
    /// Offsets that compaction took or that are transaction markers follow each record.
    pub(super) gap: i64,
    pub(super) low: i64,
}

impl Memory {
    /// A log with one empty partition after another.
    pub(super) fn new(topic: &str, partitions: i32) -> Self {
        let mut memory = Self::default();
        memory.add(topic, partitions);
        memory
    }

    pub(super) fn add(&mut self, topic: &str, partitions: i32) {
        for partition in 0..partitions {
            self.partitions
                .entry(TopicPartition::new(topic, partition))
                .or_default();
        }
    }

    /// Appends a record, at the time given.
    pub(super) fn push(&mut self, topic: &str, partition: i32, time: i64, value: Option<&str>) {
        let value = value.map(|value| value.as_bytes().to_vec());
        self.push_bytes(topic, partition, time, value);
    }

    /// Appends a record of any bytes, to be furnished further.
    pub(super) fn push_bytes(&mut self, topic: &str, partition: i32, time: i64, value: Option<Vec<u8>>) -> &mut Record {
        let at = TopicPartition::new(topic, partition);
        let offset = self.high(&at);
        let records = self.partitions.entry(at.clone()).or_default();
        records.push(Record {
            topic: at.topic,
            partition,
            offset,
            timestamp: Some(Timestamp(time)),
            key: Some(b"k".to_vec()),
            value,
            headers: Vec::new(),
        });
        records.last_mut().unwrap()
    }

    /// The record that was appended to a partition last.
    pub(super) fn last(&mut self, topic: &str, partition: i32) -> &mut Record {
        let records = self.partitions.get_mut(&TopicPartition::new(topic, partition));
        records.unwrap().last_mut().unwrap()
    }

    fn high(&self, at: &TopicPartition) -> i64 {
        let last = self.partitions.get(at).and_then(|records| records.last());
        last.map_or(self.low, |record| record.offset + 1 + self.gap)
    }

    /// The log as a survey finds it.
    pub(super) fn log(&self) -> Log {
        let mut topics: Vec<Topic> = Vec::new();
        for at in self.partitions.keys() {
            if topics.last().is_none_or(|topic| topic.name != at.topic) {
                topics.push(Topic {
                    name: at.topic.clone(),
                    id: Some(format!("id-of-{}", at.topic)),
                    partitions: Vec::new(),
                });
            }
            topics.last_mut().unwrap().partitions.push(Watermarks {
                partition: at.partition,
                low: self.low,
                high: self.high(at),
            });
        }
        Log {
            cluster_id: "memory".to_owned(),
            topics,
            amendments: Default::default(),
        }
    }

    pub(super) fn ranges(&self) -> Vec<Range> {
        let ranges = self.log().topics.into_iter().flat_map(|topic| {
            let name = topic.name.clone();
            topic.partitions.into_iter().map(move |marks| Range {
                topic: name.clone(),
                partition: marks.partition,
                start: marks.low,
                end: Some(marks.high),
            })
        });
        ranges.collect()
    }

    /// Every record, merged.
    pub(super) fn all(&self) -> Vec<Record> {
        self.merged(&self.ranges(), &[1]).batches.flatten().collect()
    }

    /// The records of `ranges`, merged by (timestamp, topic, partition, offset), in batches of the sizes of `sizes` by turns.
    pub(super) fn merged(&self, ranges: &[Range], sizes: &[usize]) -> MemorySource {
        let mut heads: Vec<std::collections::VecDeque<&Record>> =
            ranges.iter().map(|range| self.records(range).collect()).collect();
        let mut records = Vec::new();
        loop {
            let next = heads.iter_mut().filter(|queue| !queue.is_empty()).min_by_key(|queue| {
                queue
                    .front()
                    .map(|r| (r.timestamp, r.topic.clone(), r.partition, r.offset))
            });
            match next.and_then(|queue| queue.pop_front()) {
                Some(record) => records.push(record.clone()),
                None => break,
            }
        }
        MemorySource::new(records, ranges, sizes)
    }

    /// The records of `ranges` in an order that `turn` decides, each partition in its own order, as a live reader has them.
    pub(super) fn arrival(&self, ranges: &[Range], sizes: &[usize], turn: &[usize]) -> MemorySource {
        let mut queues: Vec<std::collections::VecDeque<&Record>> =
            ranges.iter().map(|range| self.records(range).collect()).collect();
        let mut records = Vec::new();
        let mut turns = turn.iter().cycle();
        while queues.iter().any(|queue| !queue.is_empty()) {
            queues.retain(|queue| !queue.is_empty());
            let at = turns.next().copied().unwrap_or(0) % queues.len();
            records.extend(queues[at].pop_front().cloned());
        }
        MemorySource::new(records, ranges, sizes)
    }

    fn records<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = &'a Record> {
        let at = TopicPartition::new(range.topic.clone(), range.partition);
        let records = self.partitions.get(&at).into_iter().flatten();
        records.filter(|r| r.offset >= range.start && range.end.is_none_or(|end| r.offset < end))
    }
}

/// A batch in memory.
#[derive(Debug)]
pub(super) struct MemoryBatch(Vec<Record>);

impl Records for MemoryBatch {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.0.iter().map(Record::view)
    }
}

/// Hands out batches, now and then nothing.
#[derive(Debug)]
pub(super) struct MemorySource {
    batches: std::vec::IntoIter<Vec<Record>>,
    position: Position,
    ends: Position,
    /// Called before each batch; a test blocks or cancels in it.
    pub(super) before: Option<Hook>,
}

/// What a test does before a batch is handed out.
pub(super) struct Hook(pub(super) Arc<dyn Fn(usize) + Send + Sync>, pub(super) usize);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl MemorySource {
    pub(super) fn new(records: Vec<Record>, ranges: &[Range], sizes: &[usize]) -> Self {
        let mut batches = Vec::new();
        let mut sizes = sizes.iter().cycle();
        let mut rest = records.into_iter().peekable();
        while rest.peek().is_some() {
            let size = sizes.next().copied().unwrap_or(1);
            batches.push(rest.by_ref().take(size.max(1)).collect::<Vec<_>>());
            if size == 0 {
                batches.push(Vec::new());
            }
        }
        Self {
            batches: batches.into_iter(),
            position: log::starts(ranges),
            ends: log::ends(ranges),
            before: None,
        }
    }

    /// Every record that is left.
    pub(super) fn rest(self) -> Vec<Record> {
        self.batches.flatten().collect()
    }
}

impl Source for MemorySource {
    type Batch = MemoryBatch;

    fn poll(&mut self, _wait: Duration) -> Result<Polled<MemoryBatch>, ReplayError> {
        if let Some(Hook(hook, calls)) = &mut self.before {
            hook(*calls);
            *calls += 1;
        }
        match self.batches.next() {
            Some(batch) if batch.is_empty() => Ok(Polled::Idle),
            Some(batch) => {
                for record in &batch {
                    let at = TopicPartition::new(record.topic.clone(), record.partition);
                    self.position.set(at, record.offset + 1);
                }
                Ok(Polled::Batch(MemoryBatch(batch)))
            }
            None => {
                self.position = self.ends.clone();
                Ok(Polled::End)
            }
        }
    }

    fn position(&self) -> Position {
        self.position.clone()
    }
}

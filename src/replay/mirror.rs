//! A mirror: the records of topics written to a second cluster as they come, each once, to the same partitions with the same
//! keys, values, headers and times.
//!
//! Offsets differ there, because a mirror may begin anywhere and compaction leaves gaps. So before a batch is written, the
//! target is told which source offsets it will hold from which of its own on ([`ledger`]). After a crash the end of the
//! target's partition says how much of that came: nothing is read twice to find out, and nothing is written twice. A target
//! with transactions takes both in one.

pub mod compare;
mod ledger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::NewRecord;
use crate::broker::reader::{Batch, Order, Poll, Range, ReadPlan, Reader};
use crate::broker::topics::{NewTopic, TopicInfo};
use crate::broker::transaction::TransactionalProducer;
use crate::readmodel::store::Counts;
use crate::record::{Position, TopicPartition};

use super::error::ReplayError;
use super::log::Log;
use super::progress::Phase;
use super::task::{Control, Task};
use ledger::{Entry, Ledger};

/// How long a poll waits: a cancel is noticed within this.
const WAIT: Duration = Duration::from_millis(100);
/// How long the target may take to acknowledge a batch.
const WRITE: Duration = Duration::from_secs(40);
/// How often the source's topics are looked at: how far they reach, and whether they have more partitions.
const LOOK: Duration = Duration::from_secs(1);
/// How long is waited after an outage before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How soon is looked again whether what was written can be read: the markers of a transaction follow at once.
const SOON: Duration = Duration::from_millis(5);

/// What is mirrored, and until when.
#[derive(Debug, Clone, Default)]
pub struct MirrorOptions {
    /// The topics.
    pub topics: Vec<String>,
    /// End where the topics ended at the start, instead of waiting for more.
    pub once: bool,
}

/// What a mirror did until it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Records that were written.
    pub records: u64,
    /// The next offset of each partition of the source.
    pub position: Position,
}

/// Mirrors topics of `source` to `target`; what was mirrored before is gone on from. A cancel is no error.
pub fn mirror(source: Client, target: Client, options: MirrorOptions) -> Task<Mirrored> {
    Task::start("mirror", move |control| {
        let mut work = Work {
            source,
            target,
            options,
            done: Mirrored::default(),
            waits: false,
        };
        work.run(control)?;
        Ok(work.done)
    })
}

/// Why a round of mirroring ended.
enum End {
    Cancelled,
    /// Everything that was there at the start is mirrored.
    Complete,
    /// A topic has more partitions than it had.
    Grown,
}

/// What a mirror works with.
struct Work {
    source: Client,
    target: Client,
    options: MirrorOptions,
    done: Mirrored,
    /// An outage was told, and is not over.
    waits: bool,
}

/// A partition on its way.
#[derive(Debug, Clone)]
struct Line {
    /// What the ledger calls it.
    key: String,
    /// The id of the source's topic, where it has one.
    topic_id: Option<String>,
    /// The target's end, as it must be when the next batch is written; unknown where transactions leave markers.
    end: i64,
}

/// A round: everything is looked up, and then records are passed on until something ends it.
struct Round {
    reader: Reader,
    producer: TransactionalProducer,
    lines: BTreeMap<TopicPartition, Line>,
    partitions: usize,
}

impl Work {
    fn run(&mut self, control: &mut Control) -> Result<(), ReplayError> {
        self.target.check_write("mirroring")?;
        loop {
            match self.round(control) {
                Ok(End::Grown) => {}
                Ok(End::Cancelled | End::Complete) => return Ok(()),
                Err(ReplayError::Broker(error)) if is_outage(&error) && !self.options.once => {
                    // Once for each outage: it may last for days.
                    if !std::mem::replace(&mut self.waits, true) {
                        control.meter.notice(format!("the mirror waits: {error}"));
                    }
                    if pause(control)? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn round(&mut self, control: &mut Control) -> Result<End, ReplayError> {
        if control.cancel.is_cancelled() {
            return Ok(End::Cancelled);
        }
        let log = Log::survey(&self.source, &self.options.topics)?;
        if self.target.cluster()?.id == log.cluster_id {
            return Err(refused(
                "the target is the source itself".to_owned(),
                "a mirror needs another cluster: say where it is with --to",
            ));
        }
        let targets = self.make_topics(&log)?;
        let mut round = self.begin(&log, &targets, control)?;
        self.waits = false;
        control.meter.phase(Phase::Live);
        let mut looked: Option<Instant> = None;
        let mut ends = total(&log);
        loop {
            if control.cancel.is_cancelled() {
                return Ok(End::Cancelled);
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                let now = Log::survey(&self.source, &self.options.topics)?;
                if now.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() != round.partitions {
                    return Ok(End::Grown);
                }
                ends = total(&now);
                self.say(control, &round, ends);
            }
            match round.reader.poll(WAIT)? {
                Poll::Batch(batch) => {
                    self.pass_on(&mut round, &batch)?;
                    self.say(control, &round, ends);
                }
                Poll::Idle => {}
                Poll::End => {
                    self.say(control, &round, ends);
                    self.settle(&targets, control)?;
                    return Ok(End::Complete);
                }
            }
        }
    }

    fn say(&mut self, control: &mut Control, round: &Round, ends: i64) {
        self.done.position = round.reader.position().clone();
        let done: i64 = self.done.position.iter().map(|(_, next)| next).sum();
        let counts = Counts {
            applied: self.done.records,
            ..Counts::default()
        };
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        let position = self.done.position.clone();
        control.meter.say(whole(done), whole(ends), counts, position);
    }

    /// The topics of the target, made as the source's are where they are not there.
    fn make_topics(&self, log: &Log) -> Result<Vec<TopicInfo>, ReplayError> {
        let mut infos = Vec::new();
        for topic in &log.topics {
            let found = self
                .target
                .topics()?
                .into_iter()
                .find(|known| known.name == *topic.name);
            let wanted = topic.partitions.len();
            match found {
                Some(known) if known.partitions.len() > wanted => {
                    let (there, name) = (known.partitions.len(), &topic.name);
                    return Err(refused(
                        format!("the target's topic {name} has {there} partitions, and the source's has {wanted}"),
                        "records go to the partition that they come from: mirror to another cluster, or delete the topic there",
                    ));
                }
                Some(known) if known.partitions.len() < wanted => self.target.add_partitions(&topic.name, wanted)?,
                Some(_) => {}
                None => {
                    let own = self.source.topic_config(&topic.name)?.into_iter();
                    let own = own.filter(|entry| !entry.is_default);
                    self.target.create_topic(&NewTopic {
                        name: topic.name.to_string(),
                        partitions: i32::try_from(wanted).ok(),
                        replication: None,
                        config: own.filter_map(|entry| Some((entry.name, entry.value?))).collect(),
                    })?;
                }
            }
            infos.push(self.target.topic(&topic.name)?);
        }
        Ok(infos)
    }

    /// Finds out how far the target is, and begins to read there.
    fn begin(&self, log: &Log, targets: &[TopicInfo], control: &mut Control) -> Result<Round, ReplayError> {
        // Whoever wrote under this name before can write no more, where the broker sees to that.
        let name = format!("foldlog-mirror-{}", log.cluster_id);
        let producer = self.target.transactional(&name)?;
        let ledger = Ledger::open(&self.target)?;
        let mut ranges = Vec::new();
        let mut lines = BTreeMap::new();
        for (topic, info) in log.topics.iter().zip(targets) {
            let marks = self.target.watermarks(info)?;
            for source in &topic.partitions {
                let at = TopicPartition::new(topic.name.clone(), source.partition);
                let end = marks
                    .iter()
                    .find(|mark| mark.partition == source.partition)
                    .map_or(0, |mark| mark.high);
                let key = format!("{}/{}/{}", log.cluster_id, topic.name, source.partition);
                let start = match ledger.get(&key) {
                    None if end > 0 => {
                        return Err(refused(
                            format!("{at} of the target holds records, and nothing of {at} was mirrored to it"),
                            "a mirror is written by the mirror alone: delete the topic there, or mirror to another cluster",
                        ));
                    }
                    None => source.low,
                    Some(entry) => resume(entry, &at, topic.id.as_deref(), end)?,
                };
                if start < source.low {
                    let gone = source.low - start;
                    control
                        .meter
                        .notice(format!("{at}: {gone} offsets were gone before they were mirrored"));
                }
                if start > source.high {
                    return Err(refused(
                        format!(
                            "{at} of the source ends at {}, and {start} is mirrored by now",
                            source.high
                        ),
                        "the source lost records that the mirror has: compare the two before you go on",
                    ));
                }
                ranges.push(Range {
                    topic: topic.name.clone(),
                    partition: source.partition,
                    start: start.max(source.low),
                    end: self.options.once.then_some(source.high),
                });
                let topic_id = topic.id.clone();
                lines.insert(at, Line { key, topic_id, end });
            }
        }
        let partitions = ranges.len();
        let plan = ReadPlan {
            ranges,
            order: Order::Arrival,
        };
        Ok(Round {
            reader: self.source.reader(plan)?,
            producer,
            lines,
            partitions,
        })
    }

    /// Writes a batch, after the ledger knows what is to come.
    fn pass_on(&mut self, round: &mut Round, batch: &Batch) -> Result<(), ReplayError> {
        let whole = round.producer.has_transactions();
        let mut entries: BTreeMap<TopicPartition, Entry> = BTreeMap::new();
        for record in batch.iter() {
            let at = TopicPartition::new(Arc::from(record.topic), record.partition);
            let line = round.lines.get(&at);
            let entry = entries.entry(at).or_insert_with(|| Entry {
                target: line.map_or(0, |line| line.end),
                topic: line.and_then(|line| line.topic_id.clone()),
                whole,
                ranges: Vec::new(),
            });
            entry.add(record.offset);
        }
        if !whole {
            self.check_ends(round, &entries)?;
        }
        let told: Vec<(&str, Vec<u8>)> = entries
            .iter()
            .filter_map(|(at, entry)| Some((round.lines.get(at)?.key.as_str(), entry.bytes())))
            .collect();
        let ledger = told.iter().map(|(key, value)| ledger::record(key, value));
        let records = batch.iter().map(|record| NewRecord {
            topic: record.topic,
            partition: Some(record.partition),
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: record.headers,
        });
        if whole {
            round.producer.write(ledger.chain(records), WRITE)?;
        } else {
            round.producer.write(ledger, WRITE)?;
            round.producer.write(records, WRITE)?;
        }
        for (at, entry) in &entries {
            if let Some(line) = round.lines.get_mut(at) {
                line.end += entry.len();
            }
        }
        self.done.records += batch.len() as u64;
        Ok(())
    }

    /// Waits until whoever reads the mirror sees what was written to it.
    fn settle(&self, targets: &[TopicInfo], control: &Control) -> Result<(), ReplayError> {
        let began = Instant::now();
        while !self.target.is_settled(targets)? {
            // It is written all the same; somebody else's transaction may be open there.
            if control.cancel.is_cancelled() || began.elapsed() >= WRITE {
                break;
            }
            thread::sleep(SOON);
        }
        Ok(())
    }

    /// Where somebody else writes to the mirror, its offsets are no longer what the ledger says.
    fn check_ends(&self, round: &Round, entries: &BTreeMap<TopicPartition, Entry>) -> Result<(), ReplayError> {
        let mut topics: Vec<&str> = entries.keys().map(|at| &*at.topic).collect();
        topics.dedup();
        for topic in topics {
            for mark in self.target.watermarks(&self.target.topic(topic)?)? {
                let at = TopicPartition::new(Arc::from(topic), mark.partition);
                let expected = round
                    .lines
                    .get(&at)
                    .filter(|_| entries.contains_key(&at))
                    .map(|line| line.end);
                if expected.is_some_and(|expected| expected != mark.high) {
                    return Err(foreign(&at));
                }
            }
        }
        Ok(())
    }
}

/// The source's offset to go on with.
fn resume(entry: &Entry, at: &TopicPartition, topic: Option<&str>, end: i64) -> Result<i64, ReplayError> {
    if entry.topic.as_deref() != topic {
        return Err(refused(
            format!(
                "the topic {} of the source was deleted and created again since it was mirrored",
                at.topic
            ),
            "its offsets mean something else now: delete the topic on the target, and mirror it anew",
        ));
    }
    entry.next(end).ok_or_else(|| foreign(at))
}

fn foreign(at: &TopicPartition) -> ReplayError {
    refused(
        format!("somebody else has written to {at} of the target, or removed records there"),
        "a mirror is written by the mirror alone: delete the topic there and mirror it anew, or mirror to another cluster",
    )
}

fn refused(message: String, help: &str) -> ReplayError {
    ReplayError::Mirror {
        message,
        help: help.to_owned(),
    }
}

fn total(log: &Log) -> i64 {
    let partitions = log.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|marks| marks.high).sum()
}

/// Whether the error may be over some time, so that waiting helps.
fn is_outage(error: &BrokerError) -> bool {
    match error {
        BrokerError::Unreachable { .. } | BrokerError::NotAcknowledged { .. } => true,
        BrokerError::Write { of_record, .. } => !of_record,
        _ => false,
    }
}

/// Waits a little; answers whether it was cancelled meanwhile.
fn pause(control: &Control) -> Result<bool, ReplayError> {
    let clock = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| ReplayError::Crashed(format!("no clock to wait by: {error}")))?;
    let cancelled = control.cancel.cancelled();
    Ok(clock
        .block_on(async { tokio::time::timeout(AGAIN, cancelled).await })
        .is_ok())
}

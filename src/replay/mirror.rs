//! A mirror: the records of topics written to a second cluster as they come, each once, to the same partitions with the same
//! keys, values, headers and times.
//!
//! Offsets differ there, because a mirror may begin anywhere and compaction leaves gaps. So before a batch is written, the
//! target is told which source offsets it will hold from which of its own on ([`ledger`]). After a crash the end of the
//! target's partition says how much of that came: nothing is read twice to find out, and nothing is written twice. A target
//! with transactions takes both in one; there the end counts markers, too, and the last batch is read to tell them from records
//! of somebody else ([`target`]).

pub mod compare;
mod ledger;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::producer::NewRecord;
use crate::broker::reader::{Batch, Order, Poll, Range, ReadPlan, Reader};
use crate::broker::topics::{NewTopic, TopicInfo};
use crate::broker::transaction::TransactionalProducer;
use crate::readmodel::store::Counts;
use crate::record::{Position, Timestamp, TopicPartition};

use super::aside::{Aside, Gone};
use super::error::ReplayError;
use super::log::Log;
use super::outage::{is_outage, pause};
use super::progress::Phase;
use super::task::{Control, Task};
use ledger::{Entry, Ledger};
use target::{ends, foreign, holds_others};

/// How long a poll waits: a cancel is noticed within this.
const WAIT: Duration = Duration::from_millis(100);
/// How long the target may take to acknowledge a batch.
const WRITE: Duration = Duration::from_secs(40);
/// How often the source's topics are looked at: how far they reach, and whether they have more partitions.
const LOOK: Duration = Duration::from_secs(1);
/// The one time that cannot be written.
const EPOCH: Timestamp = Timestamp(0);
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
            moved: 0,
            told_moved: false,
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
    /// A topic has more partitions than it had, or was created anew.
    Another,
}

/// What a mirror works with.
struct Work {
    source: Client,
    target: Client,
    options: MirrorOptions,
    done: Mirrored,
    /// An outage was told, and is not over.
    waits: bool,
    /// Records that cannot be written with their own time, and whether that was said.
    moved: u64,
    told_moved: bool,
}

/// A partition on its way.
#[derive(Debug, Clone)]
struct Line {
    /// What the ledger calls it.
    key: String,
    /// The id of the source's topic, where it has one.
    topic_id: Option<String>,
    /// The id of the target's.
    there: Option<String>,
    /// The target's end, as it is when the next batch is written. The marker that a transaction leaves is counted.
    end: i64,
    /// The batch before.
    last: Entry,
}

/// A round: everything is looked up, and then records are passed on until something ends it.
struct Round {
    reader: Reader,
    producer: TransactionalProducer,
    lines: BTreeMap<TopicPartition, Line>,
    /// The topics that it reads.
    log: Log,
}

impl Work {
    fn run(&mut self, control: &mut Control) -> Result<(), ReplayError> {
        self.target.check_write("mirroring")?;
        loop {
            match self.round(control) {
                Ok(End::Another) => {}
                Ok(End::Cancelled | End::Complete) | Err(ReplayError::Cancelled) => return Ok(()),
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
        // Whoever wrote these topics under this name before can write no more, where the broker sees to that. Mirrors of other topics
        // have other names: they would shut each other out.
        let name = ledger::name(&log.cluster_id, &self.options.topics);
        let producer = self.target.transactional(&name)?;
        let mut ledger = Ledger::open(&self.target, &|| control.cancel.is_cancelled())?;
        // Once more: a predecessor may have come further than the log that was looked at before it was shut out.
        let log = Log::survey(&self.source, &self.options.topics)?;
        let targets = self.make_topics(&log, &mut ledger, &producer, control)?;
        let mut round = self.begin(&log, &targets, (&ledger, producer), control)?;
        self.waits = false;
        control.meter.phase(Phase::Live);
        let (source, topics) = (self.source.clone(), self.options.topics.clone());
        // Beside the mirroring, which would stand still as long as the source takes to answer.
        let surveys = Aside::start("look-out", move |()| Log::survey(&source, &topics))?;
        surveys.give(());
        let mut answered: Option<Instant> = None;
        let mut ends = total(&log);
        loop {
            if control.cancel.is_cancelled() {
                return Ok(End::Cancelled);
            }
            if answered.is_some_and(|at| at.elapsed() >= LOOK) {
                surveys.give(());
                answered = None;
            }
            if let Some(answer) = surveys.answer(Duration::ZERO) {
                answered = Some(Instant::now());
                let gone = |Gone| {
                    Err(ReplayError::Crashed(
                        "looking at the source ended in a panic".to_owned(),
                    ))
                };
                let now = answer.unwrap_or_else(gone)?;
                // The next round says what became of them.
                if now.is_another(&round.log) {
                    return Ok(End::Another);
                }
                ends = total(&now);
                self.say(control, &round, ends);
            }
            match round.reader.poll(WAIT)? {
                Poll::Batch(batch) => {
                    self.pass_on(&mut round, &batch, control)?;
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
    fn make_topics(
        &self,
        log: &Log,
        ledger: &mut Ledger,
        producer: &TransactionalProducer,
        control: &mut Control,
    ) -> Result<Vec<TopicInfo>, ReplayError> {
        let there = self.target.topics()?;
        let mut infos = Vec::new();
        for topic in &log.topics {
            let wanted = topic.partitions.len();
            match there.iter().find(|known| known.name == *topic.name) {
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
                    // First, so that a crash in between leaves an empty topic of which nothing was ever mirrored.
                    if ledger.forget(&format!("{}/{}/", log.cluster_id, topic.name), producer)? {
                        control.meter.notice(format!(
                            "the target has no topic {} any more: it is mirrored anew, from its first record on",
                            topic.name
                        ));
                    }
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
    fn begin(
        &self,
        log: &Log,
        targets: &[TopicInfo],
        (ledger, producer): (&Ledger, TransactionalProducer),
        control: &mut Control,
    ) -> Result<Round, ReplayError> {
        let mut ranges = Vec::new();
        let mut lines = BTreeMap::new();
        let names: Vec<&str> = log.topics.iter().map(|topic| &*topic.name).collect();
        let mut ids = self.target.topic_ids(&names)?;
        for (topic, info) in log.topics.iter().zip(targets) {
            let ends = ends(&self.target, info)?;
            let there = ids.remove(&*topic.name);
            for source in &topic.partitions {
                let at = TopicPartition::new(topic.name.clone(), source.partition);
                let end = ends.get(&source.partition).copied().unwrap_or(0);
                let key = format!("{}/{}/{}", log.cluster_id, topic.name, source.partition);
                let entry = ledger.get(&key);
                let start = match entry {
                    None if end > 0 => {
                        return Err(refused(
                            format!("{at} of the target holds records, and nothing of {at} was mirrored to it"),
                            "a mirror is written by the mirror alone: delete the topic there, or mirror to another cluster",
                        ));
                    }
                    None => source.low,
                    Some(entry) => {
                        let ids = (topic.id.as_deref(), there.as_deref());
                        let next = resume(entry, &at, ids, end)?;
                        let give_up = || control.cancel.is_cancelled();
                        if entry.whole && holds_others(&self.target, &at, entry, end, &give_up)? {
                            return Err(foreign(&at));
                        }
                        next
                    }
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
                let line = Line {
                    key,
                    topic_id: topic.id.clone(),
                    there: there.clone(),
                    end,
                    last: entry.cloned().unwrap_or_else(|| Entry::nothing(end)),
                };
                lines.insert(at, line);
            }
        }
        let plan = ReadPlan {
            ranges,
            order: Order::Arrival,
        };
        Ok(Round {
            reader: self.source.reader(plan)?,
            producer,
            lines,
            log: log.clone(),
        })
    }

    /// Writes a batch, after the ledger knows what is to come.
    fn pass_on(&mut self, round: &mut Round, batch: &Batch, control: &mut Control) -> Result<(), ReplayError> {
        let whole = round.producer.has_transactions();
        let mut runs: Vec<((&str, i32), Vec<i64>)> = Vec::new();
        for record in batch.iter() {
            let at = (record.topic, record.partition);
            match runs.last_mut() {
                Some((of, offsets)) if *of == at => offsets.push(record.offset),
                _ => runs.push((at, vec![record.offset])),
            }
            if record.timestamp == Some(EPOCH) {
                self.moved += 1;
            }
        }
        let mut counts: BTreeMap<TopicPartition, Vec<i64>> = BTreeMap::new();
        for ((topic, partition), offsets) in runs {
            let at = TopicPartition::new(Arc::from(topic), partition);
            counts.entry(at).or_default().extend(offsets);
        }
        self.check_ends(round, &counts, control)?;
        let entries: BTreeMap<TopicPartition, Entry> = counts
            .into_iter()
            .map(|(at, offsets)| {
                let line = round.lines.get(&at);
                let mut entry = Entry {
                    target: line.map_or(0, |line| line.end),
                    topic: line.and_then(|line| line.topic_id.clone()),
                    there: line.and_then(|line| line.there.clone()),
                    whole,
                    ranges: Vec::new(),
                };
                offsets.into_iter().for_each(|offset| entry.add(offset));
                (at, entry)
            })
            .collect();
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
            timestamp: Some(written_time(record.timestamp)),
            headers: record.headers,
        });
        if whole {
            round.producer.write(ledger.chain(records), WRITE)?;
        } else {
            round.producer.write(ledger, WRITE)?;
            round.producer.write(records, WRITE)?;
        }
        for (at, entry) in entries {
            if let Some(line) = round.lines.get_mut(&at) {
                line.end += entry.len() + i64::from(whole);
                line.last = entry;
            }
        }
        self.done.records += batch.len() as u64;
        if self.moved > 0 && !std::mem::replace(&mut self.told_moved, true) {
            control.meter.notice(
                "records of 1970-01-01T00:00:00.000Z are written with the millisecond after it: Kafka's client library takes that time \
                 for now"
                    .to_owned(),
            );
        }
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
    fn check_ends(
        &self,
        round: &mut Round,
        batch: &BTreeMap<TopicPartition, Vec<i64>>,
        control: &Control,
    ) -> Result<(), ReplayError> {
        let whole = round.producer.has_transactions();
        let mut topics: Vec<&str> = batch.keys().map(|at| &*at.topic).collect();
        topics.dedup();
        for topic in topics {
            for (partition, end) in ends(&self.target, &self.target.topic(topic)?)? {
                let at = TopicPartition::new(Arc::from(topic), partition);
                let Some(line) = round.lines.get_mut(&at).filter(|_| batch.contains_key(&at)) else {
                    continue;
                };
                // The marker of the last transaction may still be on its way.
                if end == line.end || whole && end + 1 == line.end {
                    continue;
                }
                let give_up = || control.cancel.is_cancelled();
                if !whole || end < line.end || holds_others(&self.target, &at, &line.last, end, &give_up)? {
                    return Err(foreign(&at));
                }
                // What takes place there is no record: the marker of a transaction that somebody gave up.
                line.end = end;
            }
        }
        Ok(())
    }
}

/// The time with which a record is written. Kafka's client library takes 0 for the time of the call, and -1, as the protocol does, for
/// none.
fn written_time(time: Option<Timestamp>) -> Timestamp {
    match time {
        Some(EPOCH) => Timestamp(1),
        Some(time) => time,
        None => Timestamp(-1),
    }
}

/// The source's offset to go on with. `ids` are those of the two topics as they are now, the source's first.
fn resume(
    entry: &Entry,
    at: &TopicPartition,
    (source, target): (Option<&str>, Option<&str>),
    end: i64,
) -> Result<i64, ReplayError> {
    if entry.topic.as_deref() != source {
        return Err(refused(
            format!(
                "the topic {} of the source was deleted and created again since it was mirrored",
                at.topic
            ),
            "its offsets mean something else now: delete the topic on the target, and mirror it anew",
        ));
    }
    if let Some((then, now)) = entry.there.as_deref().zip(target)
        && then != now
    {
        return Err(refused(
            format!(
                "the topic {} of the target was deleted and created again since it was mirrored",
                at.topic
            ),
            "what was mirrored is not in it: delete the topic there, and the next mirror makes it with every record",
        ));
    }
    entry.next(end).ok_or_else(|| foreign(at))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_written_is_the_one_after_it_and_none_stays_none() {
        let written = |time: Option<i64>| written_time(time.map(Timestamp)).0;
        assert_eq!(
            [Some(0), Some(1), Some(1_600_000_000_000), None].map(written),
            [1, 1, 1_600_000_000_000, -1]
        );
    }
}

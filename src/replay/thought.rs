//! Changes of a log, held against what it has and put together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::broker::client::Client;
use crate::broker::reader::Range;
use crate::projection::Projection;
use crate::readmodel::compile::compile;
use crate::readmodel::decision::Amendments;
use crate::readmodel::filter::RecordFilter;
use crate::record::{Record, Timestamp, TopicPartition};

use super::at::{Past, ask};
use super::changed::{Action, Met, Plan};
use super::error::ReplayError;
use super::log;
use super::rebuild::{Until, WAIT};
use super::source::{Polled, Records, Source};
use super::task::Control;
use super::verify::Open;
use super::whatif::{At, Change, Draft, Fate, Place, Spot, WhatIfOptions};

/// Every change, checked.
pub(super) struct Thought {
    pub(super) plan: Plan,
    /// Which change made the record at a place.
    pub(super) changed: HashMap<Place, usize>,
    /// Records about which nothing counts any more that was decided: they are left out, or say something else.
    anew: HashSet<Place>,
}

/// The log as the rules of another file read it: to the same moment where both read a topic.
pub(super) fn other(
    past: &Past,
    client: &Client,
    with: &Projection,
    until: Option<Until>,
    control: &Control,
) -> Result<Past, ReplayError> {
    let definition = compile(with)?;
    let (mut log, ranges) = ask(client, with.topics.clone(), until, control)?;
    log.amendments = past.log.amendments.clone();
    let (mut starts, mut ends) = (log::starts(&ranges), log::ends(&ranges));
    for (of, from) in [(&mut starts, &past.starts), (&mut ends, &past.ends)] {
        for (partition, next) in from
            .iter()
            .filter(|(at, _)| with.topics.iter().any(|topic| **topic == *at.topic))
        {
            of.set(partition.clone(), next);
        }
    }
    Ok(Past {
        store: past.store.clone(),
        definition,
        snapshots: past.snapshots.clone(),
        log,
        starts,
        ends,
    })
}

impl Thought {
    /// Checks the changes. Records that are moved, or beside which another is put, are read.
    pub(super) fn of<S: Source>(
        past: &Past,
        options: &WhatIfOptions,
        open: &Open<'_, S>,
        control: &Control,
    ) -> Result<Self, ReplayError> {
        let mut making = Making {
            past,
            until: options.until.as_ref(),
            open,
            control,
            named: HashMap::new(),
            inserted: HashMap::new(),
            thought: Self {
                plan: Plan::new(&past.definition.projection().type_path),
                changed: HashMap::new(),
                anew: HashSet::new(),
            },
        };
        for (number, change) in options.changes.iter().enumerate() {
            making.change(number, change)?;
        }
        // Whatever is moved must not be what tells where another one is put.
        for change in &options.changes {
            if let Change::Insert(_, Spot::Before(beside) | Spot::After(beside))
            | Change::Move(_, Spot::Before(beside) | Spot::After(beside)) = change
            {
                let (at, offset) = making.place(beside)?;
                if making.named.get(&(at.clone(), offset)) == Some(&true) {
                    let message = format!("{at} offset {offset} is moved, so that nothing can be put beside it");
                    return Err(wrong(message, "name a record that stays where it is"));
                }
            }
        }
        Ok(making.thought)
    }

    /// What was decided about records of the log, as far as it counts for the changed one.
    pub(super) fn amendments(&self, of_log: &Amendments) -> Result<Amendments, ReplayError> {
        let mut gone = HashSet::new();
        for decision in of_log.iter() {
            let record = &decision.record;
            let place = (record.topic.clone(), record.partition, record.offset);
            if self.anew.contains(&place) || self.plan.selected(&record.view())?.is_some() {
                gone.insert(decision.place());
            }
        }
        Ok(of_log.only(|decision| !gone.contains(&decision.place())))
    }

    /// Adds what was left out to what became of the others. A record that was named and never came is an error.
    pub(super) fn left_out(&self, met: &Met, fates: &mut Vec<(usize, Fate)>) -> Result<(), ReplayError> {
        if let Some((at, offset)) = met.missing.first() {
            return Err(no_record(at, *offset));
        }
        if let Some((_, at, offset)) = &met.twice {
            return Err(several(at, *offset));
        }
        let one = met.left_out.iter();
        fates.extend(one.map(|(change, event)| (*change, Fate::LeftOut(event.clone()))));
        let of_many = self.plan.keys.iter().map(|(change, key)| (change, "key", text(key)));
        let of_types = self
            .plan
            .types
            .iter()
            .map(|(change, event)| (change, "type", event.clone()));
        for (change, what, name) in of_many.chain(of_types) {
            let Some(count) = met.selected.get(change) else {
                return Err(wrong(
                    format!("no record has the {what} {}", name.escape_debug()),
                    "upper and lower case count; `foldlog read` shows keys and values",
                ));
            };
            fates.push((*change, Fate::AllLeftOut(*count)));
        }
        for (change, _) in &self.plan.filters {
            let Some(count) = met.selected.get(change) else {
                return Err(wrong(
                    "no record is chosen by the condition, or another change left each of them out".to_owned(),
                    "`foldlog read -o json` shows records as they are; `type` is what the projection's `-- type:` says, `:name` a field",
                ));
            };
            fates.push((*change, Fate::AllLeftOut(*count)));
        }
        Ok(())
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn wrong(message: String, help: impl Into<String>) -> ReplayError {
    let help = help.into();
    ReplayError::WhatIf { message, help }
}

fn no_record(at: &TopicPartition, offset: i64) -> ReplayError {
    wrong(
        format!("{at} has no record at offset {offset}"),
        "compaction took it, or a transaction's marker stands there; `foldlog read` shows the offsets that have records",
    )
}

fn several(at: &TopicPartition, offset: i64) -> ReplayError {
    wrong(
        format!("{at} offset {offset} is changed twice"),
        "a record can be left out, edited or moved once; an edit can change all of a record",
    )
}

/// Puts the changes together.
struct Making<'a, 'o, S> {
    past: &'a Past,
    until: Option<&'a Until>,
    open: &'a Open<'o, S>,
    control: &'a Control,
    /// Records that are changed, and whether each is moved.
    named: HashMap<(TopicPartition, i64), bool>,
    /// How many records were put into a partition.
    inserted: HashMap<TopicPartition, i64>,
    thought: Thought,
}

impl<S: Source> Making<'_, '_, S> {
    fn change(&mut self, number: usize, change: &Change) -> Result<(), ReplayError> {
        match change {
            Change::WithoutKey(key) => self.thought.plan.keys.push((number, key.clone())),
            Change::WithoutType(event) => self.thought.plan.types.push((number, event.clone())),
            Change::WithoutWhere(condition) => {
                let mut filter = RecordFilter::new(condition, &self.past.definition.projection().type_path)?;
                let cancel = self.control.cancel.clone();
                filter.interrupt_when(move || cancel.is_cancelled())?;
                self.thought.plan.filters.push((number, Arc::new(Mutex::new(filter))));
            }
            Change::Without(at) => {
                let (at, offset) = self.name(at, false)?;
                self.thought.plan.point(&at, offset).action = Action::LeaveOut(number);
                self.thought.anew.insert((at.topic, at.partition, offset));
            }
            Change::Edit(at, edited) => {
                let (at, offset) = self.name(at, false)?;
                self.thought.plan.point(&at, offset).action = Action::Replace(edited.clone());
                self.thought.anew.insert((at.topic.clone(), at.partition, offset));
                self.thought.changed.insert((at.topic, at.partition, offset), number);
            }
            Change::Move(at, spot) => {
                let (at, offset) = self.name(at, true)?;
                let record = self.read(&at, offset)?;
                self.thought.plan.point(&at, offset).action = Action::Moved;
                self.thought.changed.insert((at.topic, at.partition, offset), number);
                self.put(record, spot)?;
            }
            Change::Insert(draft, spot) => {
                let record = self.draft(draft, spot)?;
                let place = (record.topic.clone(), record.partition, record.offset);
                self.thought.changed.insert(place, number);
                self.put(record, spot)?;
            }
        }
        Ok(())
    }

    /// A record that a change is about, which it can be of one change alone.
    fn name(&mut self, at: &At, moved: bool) -> Result<(TopicPartition, i64), ReplayError> {
        let (at, offset) = self.place(at)?;
        match self.named.insert((at.clone(), offset), moved) {
            None => Ok((at, offset)),
            Some(_) => Err(several(&at, offset)),
        }
    }

    /// The place of a record that the log may have.
    fn place(&self, at: &At) -> Result<(TopicPartition, i64), ReplayError> {
        let offset = at.offset;
        let (at, low, high) = self.partition(at.topic.as_deref(), at.partition)?;
        if offset < low || offset >= high {
            let help = match high - low {
                0 => "it holds no record".to_owned(),
                _ => format!("it holds {low} to {}", high - 1),
            };
            return Err(wrong(format!("{at} has no offset {offset}"), help));
        }
        if self.past.ends.next(&at).is_none_or(|end| offset >= end) {
            let message = format!("{at} offset {offset} comes after the moment that is looked at");
            return Err(wrong(message, "go on to a later moment, or to the end of the log"));
        }
        Ok((at, offset))
    }

    /// A partition that the projection reads, with its first offset and its end.
    fn partition(&self, topic: Option<&str>, partition: i32) -> Result<(TopicPartition, i64, i64), ReplayError> {
        let projection = self.past.definition.projection();
        let topics = &self.past.log.topics;
        let known = || projection.topics.join(", ");
        let topic = match (topic, topics.as_slice()) {
            (None, [topic]) => topic,
            (None, _) => {
                let message = format!(
                    "`{}` reads several topics, and which one is meant is not said",
                    projection.name
                );
                return Err(wrong(
                    message,
                    format!("write TOPIC:PARTITION:OFFSET; it reads {}", known()),
                ));
            }
            (Some(name), topics) => topics.iter().find(|topic| *topic.name == *name).ok_or_else(|| {
                let message = format!("`{}` does not read the topic {}", projection.name, name.escape_debug());
                wrong(message, format!("it reads {}", known()))
            })?,
        };
        let marks = topic.partitions.iter().find(|marks| marks.partition == partition);
        let Some(marks) = marks else {
            let message = format!("{} has no partition {partition}", topic.name);
            let count = topic.partitions.len();
            return Err(wrong(message, format!("it has {count}, which count from 0")));
        };
        Ok((
            TopicPartition::new(topic.name.clone(), partition),
            marks.low,
            marks.high,
        ))
    }

    /// A new record, at an offset that no record has.
    fn draft(&mut self, draft: &Draft, spot: &Spot) -> Result<Record, ReplayError> {
        let beside = match spot {
            Spot::Before(at) | Spot::After(at) => {
                let (at, offset) = self.place(at)?;
                Some(self.read(&at, offset)?)
            }
            Spot::Time(_) => None,
        };
        let topic = draft.topic.as_deref().or(beside.as_ref().map(|record| &*record.topic));
        let partition = draft.partition.or(beside.as_ref().map(|record| record.partition));
        let (at, _, high) = self.partition(topic, partition.unwrap_or(0))?;
        let count = self.inserted.entry(at.clone()).or_default();
        let offset = high + *count;
        *count += 1;
        Ok(Record {
            topic: at.topic,
            partition: at.partition,
            offset,
            timestamp: draft.timestamp.or(beside.and_then(|record| record.timestamp)),
            key: draft.key.clone(),
            value: draft.value.clone(),
            headers: draft.headers.clone(),
        })
    }

    fn put(&mut self, mut record: Record, spot: &Spot) -> Result<(), ReplayError> {
        match spot {
            Spot::Time(time) => {
                self.check_time(*time)?;
                record.timestamp = Some(*time);
                self.thought.plan.put(record);
            }
            Spot::Before(beside) => {
                let (at, offset) = self.place(beside)?;
                self.thought.plan.point(&at, offset).before.push(record);
            }
            Spot::After(beside) => {
                let (at, offset) = self.place(beside)?;
                self.thought.plan.point(&at, offset).after.push(record);
            }
        }
        Ok(())
    }

    fn check_time(&self, time: Timestamp) -> Result<(), ReplayError> {
        match self.until {
            Some(Until::Time(until)) if time >= *until => Err(wrong(
                "the time at which a record is put comes after the moment that is looked at".to_owned(),
                "go on to a later moment, or to the end of the log",
            )),
            _ => Ok(()),
        }
    }

    /// Reads one record of the log.
    fn read(&self, at: &TopicPartition, offset: i64) -> Result<Record, ReplayError> {
        let mut source = (self.open)(vec![Range {
            topic: at.topic.clone(),
            partition: at.partition,
            start: offset,
            end: Some(offset + 1),
        }])?;
        while !self.control.cancel.is_cancelled() {
            match source.poll(WAIT)? {
                Polled::Batch(batch) => {
                    if let Some(record) = batch.records().find(|record| record.offset == offset) {
                        return Ok(record.to_record());
                    }
                }
                Polled::Idle => {}
                Polled::End => return Err(no_record(at, offset)),
            }
        }
        Err(ReplayError::Cancelled)
    }
}

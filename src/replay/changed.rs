//! The log as it might have been: the records of a source with some left out, edited, moved, or put in between.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::decode::fields::{FieldPath, FieldSet, Scalar};
use crate::readmodel::error::ReadModelError;
use crate::readmodel::filter::RecordFilter;
use crate::record::{Position, Record, RecordRef, Timestamp, TopicPartition};

use super::error::ReplayError;
use super::source::{Polled, Records, Source};
use super::verify::Event;
use super::whatif::Edited;

/// What becomes of a record that the log has.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Nothing: others stand before or after it.
    Keep,
    /// It is left out, by this change.
    LeaveOut(usize),
    /// It stands elsewhere.
    Moved,
    /// Another one stands in its place.
    Replace(Edited),
}

/// A record of the log that a change names.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) at: TopicPartition,
    pub(super) action: Action,
    pub(super) before: Vec<Record>,
    pub(super) after: Vec<Record>,
}

/// A condition. It is asked by one thread at a time: the one that makes the plan, then the one that reads.
pub(super) type SharedFilter = Arc<Mutex<RecordFilter>>;

/// Everything that is changed.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// By offset, of whichever partition.
    points: HashMap<i64, Vec<Point>>,
    /// Keys of which every record is left out, each with its change.
    pub(super) keys: Vec<(usize, Vec<u8>)>,
    /// Types of which every record is left out.
    pub(super) types: Vec<(usize, String)>,
    /// Conditions that leave out every record that they choose.
    pub(super) filters: Vec<(usize, SharedFilter)>,
    /// What has a time instead of a place, in the order of a replay.
    timed: VecDeque<Record>,
    event: FieldSet,
}

impl Plan {
    /// Nothing yet. `event` says where an event's type stands.
    pub(super) fn new(event: &FieldPath) -> Self {
        Self {
            points: HashMap::new(),
            keys: Vec::new(),
            types: Vec::new(),
            filters: Vec::new(),
            timed: VecDeque::new(),
            event: FieldSet::new(std::slice::from_ref(event)),
        }
    }

    /// What is changed at a record.
    pub(super) fn point(&mut self, at: &TopicPartition, offset: i64) -> &mut Point {
        let points = self.points.entry(offset).or_default();
        let known = points.iter().position(|point| point.at == *at);
        let known = known.unwrap_or_else(|| {
            points.push(Point {
                at: at.clone(),
                action: Action::Keep,
                before: Vec::new(),
                after: Vec::new(),
            });
            points.len() - 1
        });
        &mut points[known]
    }

    /// Where there is a point: partition and offset.
    pub(super) fn places(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        let all = self.points.iter();
        all.flat_map(|(offset, points)| points.iter().map(|point| (&point.at, *offset)))
    }

    /// Puts a record where its time, topic, partition and offset say.
    pub(super) fn put(&mut self, record: Record) {
        let place = |known: &Record| order(&known.view()) <= order(&record.view());
        let after = self.timed.partition_point(place);
        self.timed.insert(after, record);
    }

    /// What has a time instead of a place.
    pub(super) fn timed(&self) -> impl Iterator<Item = &Record> {
        self.timed.iter()
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Option<Point> {
        let points = self.points.get_mut(&record.offset)?;
        let at = points.iter().position(|point| is_of(&point.at, record))?;
        let point = points.swap_remove(at);
        if points.is_empty() {
            self.points.remove(&record.offset);
        }
        Some(point)
    }

    /// The change that leaves every record like this out.
    pub(super) fn selected(&self, record: &RecordRef<'_>) -> Result<Option<usize>, ReplayError> {
        let by_key = self.keys.iter().find(|(_, key)| record.key == Some(key));
        if let Some((change, _)) = by_key {
            return Ok(Some(*change));
        }
        if !self.types.is_empty()
            && let Some(event) = self.event(record)
            && let Some((change, _)) = self.types.iter().find(|(_, name)| *name == event)
        {
            return Ok(Some(*change));
        }
        for (change, filter) in &self.filters {
            let filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
            if filter.chooses(record).map_err(|error| unasked(record, &error))? {
                return Ok(Some(*change));
            }
        }
        Ok(None)
    }

    /// Whether records are left out by what they are, and not by their place.
    pub(super) fn selects(&self) -> bool {
        !self.keys.is_empty() || !self.types.is_empty() || !self.filters.is_empty()
    }

    fn event(&self, record: &RecordRef<'_>) -> Option<String> {
        let mut slots = Vec::new();
        self.event.extract(record.value?, &mut slots).ok()?;
        match slots.first()? {
            Scalar::Text(event) => Some(event.to_string()),
            Scalar::Integer(event) => Some(event.to_string()),
            Scalar::Real(event) => Some(event.to_string()),
            Scalar::Null | Scalar::Blob(_) => None,
        }
    }

    /// Whether anything happens at this record.
    fn touches(&self, record: &RecordRef<'_>) -> Result<bool, ReplayError> {
        let points = self.points.get(&record.offset);
        let named = points.is_some_and(|points| points.iter().any(|point| is_of(&point.at, record)));
        Ok(named || self.is_due(record) || self.selected(record)?.is_some())
    }

    /// Whether something with a time comes before this record.
    fn is_due(&self, record: &RecordRef<'_>) -> bool {
        let first = self.timed.front();
        first.is_some_and(|first| order(&first.view()) < order(record))
    }
}

fn is_of(at: &TopicPartition, record: &RecordRef<'_>) -> bool {
    at.partition == record.partition && *at.topic == *record.topic
}

/// A condition that cannot be answered for a record.
fn unasked(record: &RecordRef<'_>, error: &ReadModelError) -> ReplayError {
    ReplayError::WhatIf {
        message: format!(
            "{}[{}] offset {}: {error}",
            record.topic, record.partition, record.offset
        ),
        help: "`:name` is NULL where the value is no JSON or lacks the field; `json_valid(value) AND ...` asks of JSON alone".to_owned(),
    }
}

/// The rule of a replay.
fn order<'r>(record: &RecordRef<'r>) -> (Option<Timestamp>, &'r str, i32, i64) {
    (record.timestamp, record.topic, record.partition, record.offset)
}

/// What came of the changes on the way.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Records that were left out by their place.
    pub(super) left_out: Vec<(usize, Arc<Event>)>,
    /// How many each change by key, type or condition left out.
    pub(super) selected: HashMap<usize, u64>,
    /// Records that the log turned out not to have.
    pub(super) missing: Vec<(TopicPartition, i64)>,
    /// A record that a change names, and another leaves out by what it is.
    pub(super) twice: Option<(usize, TopicPartition, i64)>,
}

/// Shared with whoever asks when the source is gone.
pub(super) type SharedMet = Arc<Mutex<Met>>;

pub(super) fn lock(met: &SharedMet) -> MutexGuard<'_, Met> {
    met.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records that came together: as they came, or what is left of them.
pub(super) enum Batch<B> {
    /// Nothing of them is changed.
    Log(B),
    /// Records around a change.
    Around(Vec<Record>),
    /// A record that a change made.
    Made(Vec<Record>),
}

impl<B: Records> Records for Batch<B> {
    fn len(&self) -> usize {
        match self {
            Self::Log(batch) => batch.len(),
            Self::Around(records) | Self::Made(records) => records.len(),
        }
    }

    fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let (log, own) = match self {
            Self::Log(batch) => (Some(batch.records()), None),
            Self::Around(records) | Self::Made(records) => (None, Some(records.iter().map(Record::view))),
        };
        log.into_iter().flatten().chain(own.into_iter().flatten())
    }

    fn are_told(&self) -> bool {
        matches!(self, Self::Made(_))
    }
}

/// Hands out the records of another source, changed.
pub(super) struct Changed<S: Source> {
    /// `None` where the log has none.
    inner: Option<S>,
    plan: Plan,
    met: SharedMet,
    ready: VecDeque<Batch<S::Batch>>,
    ended: bool,
}

impl<S: Source> Changed<S> {
    pub(super) fn new(inner: Option<S>, plan: Plan, met: SharedMet) -> Self {
        Self {
            inner,
            plan,
            met,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn touches(&self, batch: &S::Batch) -> Result<bool, ReplayError> {
        for record in batch.records() {
            if self.plan.touches(&record)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn split(&mut self, batch: &S::Batch) -> Result<(), ReplayError> {
        let mut around = Vec::new();
        for record in batch.records() {
            while self.plan.is_due(&record) {
                if let Some(due) = self.plan.timed.pop_front() {
                    self.make(&mut around, due);
                }
            }
            let selected = self.plan.selected(&record)?;
            let Some(point) = self.plan.take(&record) else {
                match selected {
                    Some(change) => *lock(&self.met).selected.entry(change).or_default() += 1,
                    None => around.push(record.to_record()),
                }
                continue;
            };
            for made in point.before {
                self.make(&mut around, made);
            }
            self.act(&mut around, &record, point.action, selected);
            for made in point.after {
                self.make(&mut around, made);
            }
        }
        self.flush(&mut around);
        Ok(())
    }

    fn act(&mut self, around: &mut Vec<Record>, record: &RecordRef<'_>, action: Action, selected: Option<usize>) {
        if let (Some(change), false) = (selected, matches!(action, Action::Keep)) {
            let at = TopicPartition::new(record.topic, record.partition);
            lock(&self.met).twice = Some((change, at, record.offset));
        }
        match action {
            Action::Keep => match selected {
                Some(change) => *lock(&self.met).selected.entry(change).or_default() += 1,
                None => around.push(record.to_record()),
            },
            Action::LeaveOut(change) => {
                let event = Event::named(record, self.plan.event(record));
                lock(&self.met).left_out.push((change, event));
            }
            Action::Moved => {}
            Action::Replace(edited) => self.make(around, edited.of(record)),
        }
    }

    fn make(&mut self, around: &mut Vec<Record>, record: Record) {
        self.flush(around);
        self.ready.push_back(Batch::Made(vec![record]));
    }

    fn flush(&mut self, around: &mut Vec<Record>) {
        if !around.is_empty() {
            self.ready.push_back(Batch::Around(std::mem::take(around)));
        }
    }

    /// What comes after the last record, and what never came.
    fn end(&mut self) {
        self.ended = true;
        let rest = std::mem::take(&mut self.plan.timed);
        self.ready
            .extend(rest.into_iter().map(|record| Batch::Made(vec![record])));
        let missing = self.plan.places().map(|(at, offset)| (at.clone(), offset));
        lock(&self.met).missing = missing.collect();
    }
}

impl<S: Source> Source for Changed<S> {
    type Batch = Batch<S::Batch>;

    fn poll(&mut self, wait: Duration) -> Result<Polled<Self::Batch>, ReplayError> {
        if let Some(batch) = self.ready.pop_front() {
            return Ok(Polled::Batch(batch));
        }
        if self.ended {
            return Ok(Polled::End);
        }
        let polled = match &mut self.inner {
            Some(inner) => inner.poll(wait)?,
            None => Polled::End,
        };
        match polled {
            Polled::Batch(batch) if !self.touches(&batch)? => return Ok(Polled::Batch(Batch::Log(batch))),
            Polled::Batch(batch) => self.split(&batch)?,
            Polled::Idle => {}
            Polled::End => self.end(),
        }
        Ok(self.ready.pop_front().map_or(Polled::Idle, Polled::Batch))
    }

    fn position(&self) -> Position {
        self.inner.as_ref().map(Source::position).unwrap_or_default()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.as_ref().and_then(Source::trouble)
    }
}

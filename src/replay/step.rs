//! One event at a time, forward and back: what came, which statements ran, what they did to the rows.
//!
//! Forward applies the next record of the log in the order of a replay. Back undoes the last one exactly. What was undone lies
//! ready to be applied again; what is further back than is remembered is replayed from the snapshot before it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::reader::Range;
use crate::readmodel::changes::{Change, Row, Watched, key_text};
use crate::readmodel::query::{Cell, Session};
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::store::ReadModelInfo;
use crate::record::{Position, Record, RecordRef};

use super::at::{Past, Way, is_empty};
use super::error::ReplayError;
use super::rebuild::WAIT;
use super::source::{Polled, Records, Source};
use super::task::Control;

/// Events that can be undone without a replay; beyond it the oldest are forgotten.
const REMEMBERED: usize = 20_000;
/// What they may weigh together.
const REMEMBERED_BYTES: usize = 64 * 1024 * 1024;
/// What a row costs beside its values, roughly.
const ROW_BYTES: usize = 256;
/// Events of a long walk between two commits.
const COMMIT_EVERY: usize = 1_000;

/// An event that was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The event.
    pub record: Record,
    /// What it did.
    pub effect: Effect,
}

/// Where a walk stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// After this many events.
    Count(u64),
    /// At the event at this offset of this partition, or the next that there is.
    Offset(i32, i64),
    /// At an event of this key.
    Key(Vec<u8>),
    /// At an event of this type.
    Type(String),
    /// At an event that wrote this row, or this cell of it.
    Row(RowGoal),
    /// Where this SELECT returns a row whose first value is neither 0 nor NULL. It may bind the event as a handler does.
    Condition(String),
}

/// A row, or one cell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGoal {
    /// The table.
    pub table: String,
    /// The values of its primary key, in the key's order, as text shows them.
    pub key: Vec<String>,
    /// Only where this column changes.
    pub column: Option<String>,
}

impl RowGoal {
    /// Any change of the row of this table with this primary key.
    pub fn row(table: &str, key: &[Cell]) -> Self {
        Self {
            table: table.to_owned(),
            key: key.iter().map(key_text).collect(),
            column: None,
        }
    }

    /// Whether a change is one of this row, and of this column of it.
    pub fn is_met(&self, tables: &[Watched], change: &Change) -> bool {
        let Some(table) = tables.get(change.table) else {
            return false;
        };
        let key_of = |row: &Row| table.key.iter().map(|at| key_text(&row.cell(*at))).collect::<Vec<_>>();
        let images = [change.before.as_ref(), change.after.as_ref()];
        let of_row = images.into_iter().flatten().any(|row| key_of(row) == self.key);
        if !table.name.eq_ignore_ascii_case(&self.table) || !of_row {
            return false;
        }
        let Some(column) = &self.column else { return true };
        let at = table.columns.iter().position(|name| name.eq_ignore_ascii_case(column));
        let [before, after] = images.map(|row| Some(row?.cell(at?)));
        before != after
    }
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// At its goal.
    There,
    /// At the end of the log, or at its beginning.
    Edge,
    /// Somebody cancelled it; it stands where it had come to.
    Cancelled,
}

/// Opens the log between two positions.
type Open<S> = Box<dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Send + Sync>;

/// Is told of every event of a walk.
pub(super) type Each<'e> = dyn FnMut(&Step) + 'e;

/// A read model that is walked through its past. Belongs to one thread.
pub(super) struct Steps<S: Source> {
    pub(super) past: Past,
    scratch: Scratch,
    tables: Arc<[Watched]>,
    open: Open<S>,
    done: Done,
    ahead: Ahead<S>,
}

impl<S: Source> Steps<S> {
    /// Goes to the moment of `past`, ready to walk on from there.
    pub(super) fn new(past: Past, open: Open<S>, control: &mut Control) -> Result<Self, ReplayError> {
        let mut done = Done::default();
        let (scratch, tables) = there(&past, &past.ends, None, &open, &mut done, control)?;
        Ok(Self {
            past,
            scratch,
            tables,
            open,
            done,
            ahead: Ahead::default(),
        })
    }

    /// Where it stands.
    pub(super) fn info(&self) -> Result<ReadModelInfo, ReplayError> {
        Ok(self.scratch.info()?)
    }

    /// The event that was applied last, as far as it is remembered.
    pub(super) fn last(&self) -> Option<&Step> {
        self.done.steps.back()
    }

    /// The tables, as changes count them.
    pub(super) fn tables(&self) -> Arc<[Watched]> {
        Arc::clone(&self.tables)
    }

    /// A session in which this moment is the only read model.
    pub(super) fn session(&self) -> Result<Session, ReplayError> {
        Ok(self.scratch.session()?)
    }

    /// Goes to another moment of the same log.
    pub(super) fn jump(&mut self, moment: &Position, control: &mut Control) -> Result<(), ReplayError> {
        let mut done = Done::default();
        let (scratch, tables) = there(&self.past, moment, None, &self.open, &mut done, control)?;
        (self.scratch, self.tables, self.done) = (scratch, tables, done);
        self.ahead = Ahead::default();
        Ok(())
    }

    /// Walks forward until `goal`.
    pub(super) fn forward(
        &mut self,
        goal: &Goal,
        each: &mut Each<'_>,
        control: &Control,
    ) -> Result<Walked, ReplayError> {
        let mut count = 0;
        loop {
            match self.stretch(goal, &mut count, each, control) {
                Ok(None) => {}
                Ok(Some(walked)) => return Ok(walked),
                Err(error) => {
                    // The transaction is gone, and with it what stood in it: everything is read again from where it began.
                    self.done = Done::default();
                    self.ahead = Ahead::default();
                    return match error {
                        ReplayError::Cancelled => Ok(Walked::Cancelled),
                        error => Err(error),
                    };
                }
            }
        }
    }

    /// A part of a walk, in one transaction.
    fn stretch(
        &mut self,
        goal: &Goal,
        count: &mut u64,
        each: &mut Each<'_>,
        control: &Control,
    ) -> Result<Option<Walked>, ReplayError> {
        let mut fold = self.scratch.recorded()?;
        let mut ended = None;
        for _ in 0..COMMIT_EVERY {
            if control.cancel.is_cancelled() {
                ended = Some(Walked::Cancelled);
                break;
            }
            let Some(record) = self.ahead.next(&self.past, &fold.position(), &self.open, control)? else {
                ended = Some(Walked::Edge);
                break;
            };
            let effect = fold.step(&record.view())?;
            *count += 1;
            let step = Step { record, effect };
            each(&step);
            let there = match goal {
                Goal::Condition(sql) => fold.holds_after(sql, &step.record.view())?,
                goal => goal.is_met(*count, &self.tables, &step),
            };
            self.done.push(step);
            if there {
                ended = Some(Walked::There);
                break;
            }
        }
        fold.commit()?;
        Ok(ended)
    }

    /// Walks back until the event before is one that meets `goal`, telling `each` of every event that is undone.
    pub(super) fn back(
        &mut self,
        goal: &Goal,
        each: &mut Each<'_>,
        control: &mut Control,
    ) -> Result<Walked, ReplayError> {
        let mut count = 0;
        loop {
            if control.cancel.is_cancelled() {
                return Ok(Walked::Cancelled);
            }
            if !self.remember(control)? {
                return Ok(Walked::Edge);
            }
            let Some(step) = self.done.steps.back() else {
                return Ok(Walked::Edge);
            };
            self.scratch.undo(&step.record.view(), &step.effect)?;
            each(step);
            if let Some(step) = self.done.pop() {
                self.ahead.records.push_front(step.record);
            }
            count += 1;
            let there = match goal {
                Goal::Count(goal) => count >= *goal,
                Goal::Condition(sql) => {
                    self.remember(control)?;
                    let fold = self.scratch.fold()?;
                    match self.done.steps.back() {
                        Some(step) => fold.holds_after(sql, &step.record.view())?,
                        None => fold.holds(sql)?,
                    }
                }
                goal => {
                    self.remember(control)? && self.last().is_some_and(|step| goal.is_met(count, &self.tables, step))
                }
            };
            if there {
                return Ok(Walked::There);
            }
        }
    }

    /// Makes sure that the last event is remembered; `false` at the beginning of the log. Where all that was remembered is
    /// undone, the way from the snapshot before is replayed.
    pub(super) fn remember(&mut self, control: &mut Control) -> Result<bool, ReplayError> {
        if !self.done.steps.is_empty() {
            return Ok(true);
        }
        let info = self.scratch.info()?;
        let records = info.counts.total();
        if records == 0 {
            return Ok(false);
        }
        let (scratch, tables) = there(
            &self.past,
            &info.position,
            Some(records),
            &self.open,
            &mut self.done,
            control,
        )?;
        (self.scratch, self.tables) = (scratch, tables);
        Ok(!self.done.steps.is_empty())
    }
}

impl Goal {
    fn is_met(&self, count: u64, tables: &[Watched], step: &Step) -> bool {
        match self {
            Self::Count(goal) => count >= *goal,
            Self::Offset(partition, offset) => step.record.partition == *partition && step.record.offset >= *offset,
            Self::Key(key) => step.record.key.as_ref() == Some(key),
            Self::Type(event) => step.effect.event.as_ref() == Some(event),
            Self::Row(row) => step.effect.changes.iter().any(|change| row.is_met(tables, change)),
            Self::Condition(_) => false,
        }
    }
}

/// A copy at a moment, and in `done` the last events before it.
fn there<S: Source>(
    past: &Past,
    moment: &Position,
    below: Option<u64>,
    open: &Open<S>,
    done: &mut Done,
    control: &mut Control,
) -> Result<(Scratch, Arc<[Watched]>), ReplayError> {
    let mut each = |record: &RecordRef<'_>, effect: Effect| {
        done.push(Step {
            record: record.to_record(),
            effect,
        });
    };
    let way = Way {
        below,
        each: Some(&mut each),
    };
    let mut scratch = past.go(moment, way, open, control)?;
    let tables = scratch.tables()?;
    Ok((scratch, tables))
}

/// What was applied last, oldest first.
#[derive(Debug, Default)]
struct Done {
    steps: VecDeque<Step>,
    bytes: usize,
}

impl Done {
    fn push(&mut self, step: Step) {
        self.bytes += weight(&step);
        self.steps.push_back(step);
        while self.steps.len() > REMEMBERED || (self.bytes > REMEMBERED_BYTES && self.steps.len() > 1) {
            if let Some(forgotten) = self.steps.pop_front() {
                self.bytes -= weight(&forgotten);
            }
        }
    }

    fn pop(&mut self) -> Option<Step> {
        let step = self.steps.pop_back()?;
        self.bytes -= weight(&step);
        Some(step)
    }
}

fn weight(step: &Step) -> usize {
    step.record.view().size() + ROW_BYTES * (1 + step.effect.changes.len())
}

/// What comes next: what was undone or read already, then the rest of the log.
struct Ahead<S> {
    records: VecDeque<Record>,
    source: Option<S>,
}

impl<S> Default for Ahead<S> {
    fn default() -> Self {
        Self {
            records: VecDeque::new(),
            source: None,
        }
    }
}

impl<S: Source> Ahead<S> {
    /// The next record; `None` at the end of the log as it was when `past` was opened.
    fn next(
        &mut self,
        past: &Past,
        position: &Position,
        open: &Open<S>,
        control: &Control,
    ) -> Result<Option<Record>, ReplayError> {
        while self.records.is_empty() {
            let source = match &mut self.source {
                Some(source) => source,
                None => {
                    let mut rest = past.ranges(position, &past.log.ends());
                    rest.retain(|range| !is_empty(range));
                    if rest.is_empty() {
                        return Ok(None);
                    }
                    self.source.insert(open(rest)?)
                }
            };
            match source.poll(WAIT)? {
                Polled::Batch(batch) => self.records.extend(batch.records().map(|record| record.to_record())),
                Polled::Idle if control.cancel.is_cancelled() => return Err(ReplayError::Cancelled),
                Polled::Idle => {}
                Polled::End => return Ok(None),
            }
        }
        Ok(self.records.pop_front())
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;

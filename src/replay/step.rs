//! One event at a time, forward and back: what came, which statements ran, what they did to the rows.
//!
//! Forward applies the next record of the log in the order of a replay. Back undoes the last one exactly. What was undone lies
//! ready to be applied again. What is further back than is remembered is replayed from the snapshot before it, and what is further on
//! is opened, both before anybody needs it: a step takes the time of a step however long the log is.

mod ahead;
mod done;

use std::sync::Arc;

use crate::broker::reader::Range;
use crate::readmodel::changes::{Change, Row, Watched, key_text};
use crate::readmodel::query::{Cell, Session};
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::store::ReadModelInfo;
use crate::record::{Position, Record, TopicPartition};

use super::at::Past;
use super::error::ReplayError;
use super::first::first;
use super::log::Span;
use super::source::Source;
use super::task::Control;
use ahead::Ahead;
use done::{Before, Done, there};

/// So many events at least can be undone when a walk has come to a moment: as many as a person undoes while those before them are replayed.
const AT_HAND: u64 = if cfg!(test) { 5 } else { 5_000 };
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

/// The SELECT that asks whether what people write as a condition holds: a SELECT as it stands, or what could stand behind the WHERE of
/// one over `table`, whose name is as SQL writes it, or on the event alone.
pub fn condition(text: &str, table: Option<&str>) -> String {
    let text = text.trim().trim_end_matches(';').trim_end();
    let first = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    let whole = ["select", "with", "values"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    match table {
        _ if whole => text.to_owned(),
        // Joined so that a condition on the event alone can hold while the table has no row.
        Some(table) => format!("SELECT EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN {table} WHERE {text})"),
        None => format!("SELECT {text}"),
    }
}

/// Where a walk stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// After this many events.
    Count(u64),
    /// At the event at this offset of this partition, or the next that there is.
    Offset(TopicPartition, i64),
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
pub(super) type Open<S> = Arc<dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Send + Sync>;

/// Is told of every event of a walk.
pub(super) type Each<'e> = dyn FnMut(&Step) + 'e;

/// A read model that is walked through its past. Belongs to one thread.
pub(super) struct Steps<S: Source> {
    pub(super) past: Past,
    scratch: Scratch,
    tables: Arc<[Watched]>,
    open: Open<S>,
    done: Done,
    before: Before,
    ahead: Ahead,
}

impl<S: Source + Send + 'static> Steps<S> {
    /// Goes to the moment of `past`, ready to walk on from there.
    pub(super) fn new(past: Past, open: Open<S>, control: &mut Control) -> Result<Self, ReplayError> {
        let (scratch, tables, done) = there(&past, &past.ends, below(&past, &past.ends), &open, control)?;
        Ok(Self {
            past,
            scratch,
            tables,
            open,
            done,
            before: Before::default(),
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
        let below = below(&self.past, moment);
        let (scratch, tables, done) = there(&self.past, moment, below, &self.open, control)?;
        (self.scratch, self.tables, self.done) = (scratch, tables, done);
        (self.before, self.ahead) = (Before::default(), Ahead::default());
        Ok(())
    }

    /// Goes to the first event of the whole log after which a condition holds: [`first`](super::first).
    pub(super) fn first(&mut self, condition: &str, lasts: bool, control: &mut Control) -> Result<Walked, ReplayError> {
        let open = Arc::clone(&self.open);
        let Some(found) = first(&self.past, condition, lasts, &*open, control)? else {
            return Ok(Walked::Edge);
        };
        self.jump(&found.from, control)?;
        self.forward(&Goal::Count(found.count), &mut |_| {}, control)
    }

    /// Has what a step in either direction may need made ready meanwhile.
    pub(super) fn prepare(&mut self, control: &Control) -> Result<(), ReplayError> {
        let info = self.scratch.info()?;
        self.ask_before(info.counts.total(), control);
        self.ahead.prepare(&self.past, || Ok(info.position), &self.open)
    }

    /// Has the events before asked for while enough are left to go back by.
    fn keep_at_hand(&mut self, control: &Control) -> Result<(), ReplayError> {
        let few = self.done.steps.len() as u64 <= AT_HAND;
        if few && matches!(self.before, Before::Unasked) && !self.done.is_all(&self.past) {
            self.ask_before(self.scratch.info()?.counts.total(), control);
        }
        Ok(())
    }

    /// `records` is how many lie behind the walk.
    fn ask_before(&mut self, records: u64, control: &Control) {
        let before = records.saturating_sub(self.done.steps.len() as u64);
        self.before.look();
        self.before.ask(&self.past, &self.done, before, &self.open, control);
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
                    self.done = Done::before(self.scratch.info()?.position);
                    self.before = Before::default();
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
            if self.done.push(step) {
                // The piece before no longer ends where this one begins.
                self.before = Before::default();
            }
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
                self.ahead.undone(step.record);
            }
            count += 1;
            self.keep_at_hand(control)?;
            let there = match goal {
                Goal::Count(goal) => count >= *goal,
                Goal::Condition(sql) => {
                    self.remember(control)?;
                    let mut fold = self.scratch.fold()?;
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

    /// Makes sure that the last event is remembered; `false` at the beginning of the log.
    pub(super) fn remember(&mut self, control: &Control) -> Result<bool, ReplayError> {
        if !self.done.steps.is_empty() {
            return Ok(true);
        }
        let info = self.scratch.info()?;
        if info.counts.total() == 0 {
            return Ok(false);
        }
        if let Before::Unasked = self.before {
            self.done = Done::before(info.position);
            self.ask_before(info.counts.total(), control);
        }
        if let Some(done) = self.before.wait(control)? {
            self.done = done;
        }
        // The next piece is on its way while this one is walked through.
        self.ask_before(info.counts.total(), control);
        Ok(!self.done.steps.is_empty())
    }
}

/// How many records there may be where the way to `moment` begins, so that enough of them lie on it.
fn below(past: &Past, moment: &Position) -> Option<u64> {
    let span = Span::of(&past.ranges(&past.starts, moment));
    Some(span.total().saturating_sub(AT_HAND))
}

impl Goal {
    fn is_met(&self, count: u64, tables: &[Watched], step: &Step) -> bool {
        match self {
            Self::Count(goal) => count >= *goal,
            Self::Offset(at, offset) => {
                let record = &step.record;
                record.topic == at.topic && record.partition == at.partition && record.offset >= *offset
            }
            Self::Key(key) => step.record.key.as_ref() == Some(key),
            Self::Type(event) => step.effect.event.as_ref() == Some(event),
            Self::Row(row) => step.effect.changes.iter().any(|change| row.is_met(tables, change)),
            Self::Condition(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "step/fulltext_tests.rs"]
mod fulltext_tests;

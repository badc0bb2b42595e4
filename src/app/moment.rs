//! A read model at one moment of its past, as the studio shows it, and the ways to go to another.

use crate::readmodel::query::Cell;
use crate::readmodel::remembered::Remembered;
use crate::readmodel::store::Counts;
use crate::record::{Position, Record, Timestamp};
use crate::replay::step::{Goal, Walked};

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Go {
    /// Before the first event.
    Begin,
    /// After the last event that the log has now.
    End,
    /// This many events before the end.
    BeforeEnd(u64),
    /// Before the first event at or after this time.
    Time(Timestamp),
    /// After the event at this offset of this partition, whose topic may be left out where one topic alone has it.
    Offset(Option<String>, i32, i64),
    /// After this event.
    Event(EventAt),
    /// Forward from where one stands.
    Forward(Goal),
    /// Back from where one stands.
    Back(Goal),
    /// To the first event of the whole log that reaches a goal.
    First(Goal),
    /// To the first after which this condition holds for good, by bisection over the snapshots.
    FirstLasting(String),
}

/// Where one stood when a way began: a way that was given up is gone again from there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stood {
    /// The read model.
    pub read_model: String,
    /// The next offset of each partition; `None` for the end of the log.
    pub position: Option<Position>,
}

/// A read model at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The next offset of each partition.
    pub position: Position,
    /// What became of the events before.
    pub counts: Counts,
    /// The latest time that any of them has.
    pub latest: Option<Timestamp>,
    /// The event that was applied last; `None` before the first.
    pub event: Option<Applied>,
    /// The tables, as changes count them.
    pub tables: Vec<Shape>,
    /// How the way here ended; `None` after a jump.
    pub walked: Option<Walked>,
    /// What the projection says must always hold: names, and SELECTs that must return no row.
    pub invariants: Vec<(String, String)>,
    /// Conditions that were run to in earlier sessions, the last one last.
    pub remembered: Vec<Remembered>,
}

/// An event and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The event.
    pub record: Record,
    /// Its type, where its value has one.
    pub event: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The statements that ran, in order.
    pub ran: Vec<Ran>,
    /// The first of the rows that they wrote, in order.
    pub changes: Vec<RowChange>,
    /// How many rows they wrote in all.
    pub written: usize,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its handlers ran.
    Applied,
    /// No handler is for it.
    Ignored,
    /// It cannot be applied, for this reason, and left nothing behind.
    Refused(String),
}

/// A statement that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The line of the projection's file on which it begins, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

/// A row that an event wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Which of [`Moment::tables`].
    pub table: usize,
    /// The line of the statement that wrote it.
    pub line: usize,
    /// The row before; `None` where there was none.
    pub before: Option<Vec<Cell>>,
    /// The row after; `None` where there is none any more.
    pub after: Option<Vec<Cell>>,
}

impl RowChange {
    /// The values of the primary key: of the row as it is, or as it was.
    pub fn key(&self, table: &Shape) -> Vec<Cell> {
        let row = self.after.as_ref().or(self.before.as_ref());
        row.map_or(Vec::new(), |row| table.key_of(row))
    }
}

/// A table of the read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its columns in their order.
    pub columns: Vec<String>,
    /// Which columns are the primary key, in the key's order.
    pub key: Vec<usize>,
}

impl Shape {
    /// The values of the primary key of a row.
    pub fn key_of(&self, row: &[Cell]) -> Vec<Cell> {
        self.key.iter().filter_map(|at| row.get(*at).cloned()).collect()
    }
}

/// How far a way is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Underway {
    /// Events passed.
    pub events: u64,
    /// The part of the log that is covered, from 0 to 1, where that is known.
    pub share: Option<f64>,
}

/// Where an event stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventAt {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time, by which the log is searched.
    pub time: Option<Timestamp>,
}

impl EventAt {
    /// Where a record stands.
    pub fn of(record: &Record) -> Self {
        Self {
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            time: record.timestamp,
        }
    }
}

/// Events that wrote a row, in the order of the log, as a search for them goes on.
#[derive(Debug, Clone, Default)]
pub struct Wrote {
    /// The row's table, which is the only one of the changes; `None` before there is one.
    pub shape: Option<Shape>,
    /// The events found since the last such answer.
    pub events: Vec<Applied>,
    /// How far the search is.
    pub underway: Underway,
    /// Whether it is over.
    pub over: bool,
    /// Where the events were found, once it is over.
    pub found_by: Option<FoundBy>,
}

/// Where the events that wrote a row were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// In the history that the read model keeps.
    History,
    /// In the log, which was replayed.
    Replay,
}

/// How the events of a log lie in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The time of the first.
    pub begin: Timestamp,
    /// The time of the last; after the first.
    pub end: Timestamp,
    /// How many there are in each of as many equal parts of the time between.
    pub events: Vec<u64>,
}

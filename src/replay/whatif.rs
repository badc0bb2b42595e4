//! What if: the log with some of its events left out, edited, put in or moved, or folded by another file's rules, beside what it
//! is.
//!
//! Both sides are replayed in private copies from the same snapshot, which lies before the first change, so that whatever the
//! log has lost since is in both or in neither. The log itself is only read.

use std::collections::HashSet;
use std::sync::Arc;

use crate::broker::client::Client;
use crate::broker::reader::Range;
use crate::projection::Projection;
use crate::readmodel::apply::Outcome;
use crate::readmodel::compare::{Page, Side, TakeDifference, Tally, compare, page};
use crate::readmodel::latest::Latest;
use crate::readmodel::query::Cell;
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::snapshot::Snapshot;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::record::{Header, Record, RecordRef, Timestamp};

use super::at::{Past, Way, is_empty, merged};
use super::changed::{Changed, SharedMet, lock};
use super::error::ReplayError;
use super::keeper::Keeper;
use super::log::{self, Span};
use super::progress::Phase;
pub use super::rebuild::At;
use super::rebuild::{Until, read};
use super::source::Source;
use super::task::{Control, Task};
use super::thought;
use super::verify::{Event, Open};

/// Records that cannot be applied of which each side is asked, to say which are new.
const REFUSED: usize = 10_000;

/// Where a record is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// Right before a record of the log, whether or not that one is left out.
    Before(At),
    /// Right after it.
    After(At),
    /// Where a replay would take a record of this time; it gets the time too.
    Time(Timestamp),
}

/// A record that is put in, or all of one that is edited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its topic. What is left out is that of the record beside it, else the projection's only one.
    pub topic: Option<String>,
    /// Its partition; that of the record beside it, else 0.
    pub partition: Option<i32>,
    /// Its time; that of the record beside it, or in whose place it stands.
    pub timestamp: Option<Timestamp>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<Header>,
}

/// What stands in place of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The same with another value; `None` is a tombstone.
    Value(Option<Vec<u8>>),
    /// Another record, at the same place; topic and partition of the draft do not count.
    Record(Draft),
}

impl Edited {
    pub(super) fn of(&self, record: &RecordRef<'_>) -> Record {
        let mut edited = record.to_record();
        match self {
            Self::Value(value) => edited.value.clone_from(value),
            Self::Record(draft) => {
                edited.timestamp = draft.timestamp.or(edited.timestamp);
                edited.key.clone_from(&draft.key);
                edited.value.clone_from(&draft.value);
                edited.headers.clone_from(&draft.headers);
            }
        }
        edited
    }
}

/// A change of the log. A record can be left out, edited or moved once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A record was never there.
    Without(At),
    /// No record of this key was.
    WithoutKey(Vec<u8>),
    /// No event of this type was.
    WithoutType(String),
    /// No record that this condition chooses was: what stands behind a WHERE, over a record's parts and fields.
    WithoutWhere(String),
    /// A record said something else.
    Edit(At, Edited),
    /// Another one was there. Its offset is the next after its partition's end, which no record of the log has.
    Insert(Draft, Spot),
    /// A record came at another place; it keeps all that it is, but for its time where it is put at one.
    Move(At, Spot),
}

/// How to think it up.
#[derive(Debug, Clone, Default)]
pub struct WhatIfOptions {
    /// What is changed about the log. What is put at the same place comes in this order.
    pub changes: Vec<Change>,
    /// The rules to fold the changed log by; `None` for those that the read model was built by.
    pub with: Option<Projection>,
    /// Up to which moment; `None` for the end of the log as it is.
    pub until: Option<Until>,
}

/// What became of the records of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// The record was left out.
    LeftOut(Arc<Event>),
    /// So many were left out, by their key, type or a condition.
    AllLeftOut(u64),
    /// The record as it would have been was applied, ignored or refused.
    Was(Arc<Event>, Outcome),
}

/// A record that is applied on one side only, with the reason why the other cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it cannot be applied there.
    pub reason: String,
}

/// The read model as it is by the log, and as it would have been.
#[derive(Debug)]
pub struct WhatIf {
    /// What the log says.
    pub truth: Scratch,
    /// What it would have been.
    pub model: Scratch,
    /// What is known of the first.
    pub before: ReadModelInfo,
    /// What is known of the second.
    pub after: ReadModelInfo,
    /// What became of the records of each change, in the order of the changes.
    pub fates: Vec<Fate>,
    /// Records that cannot be applied now and could before; not those of the changes.
    pub refused: Vec<Refused>,
    /// Records that could not be applied before and can now, or are left out.
    pub mended: Vec<Refused>,
    /// How many records lie behind the snapshot from which both were replayed.
    pub skipped: u64,
}

impl WhatIf {
    /// Compares the two: first what the log says, then what would have been.
    pub fn compare(&self, take: &mut TakeDifference<'_>) -> Result<Tally, ReplayError> {
        Ok(compare(&Side::past(&self.truth)?, &Side::past(&self.model)?, take)?)
    }

    /// A page of what differs.
    pub fn page(&self, from: usize, count: usize) -> Result<Page, ReplayError> {
        Ok(page(&Side::past(&self.truth)?, &Side::past(&self.model)?, from, count)?)
    }
}

/// Starts thinking it up. The log and the read model in use are only read.
pub fn what_if(client: Client, store: Store, name: String, options: WhatIfOptions) -> Task<WhatIf> {
    Task::start("what-if", move |control| {
        let topics = store.info(&name)?.topics;
        let with = options.with.as_ref();
        // A place in a topic that only the other file reads says nothing about the read model as it is.
        let only_with = |topic: &str| {
            let reads = |topics: &[String]| topics.iter().any(|name| name == topic);
            with.is_some_and(|with| reads(&with.topics)) && !reads(&topics)
        };
        let (until, until_with) = options.until.as_ref().map(|until| until.split(only_with)).unzip();
        let past = Past::open(&client, &store, &name, until, control)?;
        let other = match with {
            None => None,
            Some(with) => Some(thought::other(&past, &client, with, until_with, control)?),
        };
        run(&past, other.as_ref(), &options, &merged(&client), control)
    })
}

/// The same over any log. `other` is where the rules are those of another file.
pub(super) fn run<S: Source>(
    past: &Past,
    other: Option<&Past>,
    options: &WhatIfOptions,
    open: &Open<'_, S>,
    control: &mut Control,
) -> Result<WhatIf, ReplayError> {
    let mut ground = other.unwrap_or(past).clone();
    let thought = thought::Thought::of(&ground, options, open, control)?;
    ground.log.amendments = thought.amendments(&ground.log.amendments)?;
    let base = match other {
        // Its snapshots were made by other rules.
        Some(_) => None,
        None => base(past, &thought, open, control)?,
    };
    let (model, mut fates) = replay(&ground, base.as_ref(), &thought, open, control)?;
    let truth = past.go_from(base.as_ref(), &past.ends, Way::default(), open, control)?;
    control.meter.phase(Phase::Finishing);
    let (before, after) = (refused(&truth)?, refused(&model)?);
    let changed: HashSet<Place> = thought.changed.keys().cloned().collect();
    let only = |these: &[Refused], those: &[Refused]| {
        let known: HashSet<Place> = those.iter().map(Refused::place).collect();
        let new = these.iter().filter(|one| !known.contains(&one.place()));
        new.cloned().collect::<Vec<_>>()
    };
    let mut new = only(&after, &before);
    new.retain(|one| !changed.contains(&one.place()));
    fates.sort_by_key(|(change, _)| *change);
    Ok(WhatIf {
        before: truth.info()?,
        after: model.info()?,
        fates: fates.into_iter().map(|(_, fate)| fate).collect(),
        refused: new,
        mended: only(&before, &after),
        skipped: base.map_or(0, |base| base.info.counts.total()),
        truth,
        model,
    })
}

/// Topic, partition and offset.
pub(super) type Place = (Arc<str>, i32, i64);

impl Refused {
    fn place(&self) -> Place {
        (self.topic.as_str().into(), self.partition, self.offset)
    }
}

/// The last snapshot before everything that is changed.
fn base<S: Source>(
    past: &Past,
    thought: &thought::Thought,
    open: &Open<'_, S>,
    control: &Control,
) -> Result<Option<Snapshot>, ReplayError> {
    let plan = &thought.plan;
    if plan.selects() {
        return Ok(None);
    }
    let mut before = past.ends.clone();
    for (at, offset) in plan.places() {
        if before.next(at).is_some_and(|next| offset < next) {
            before.set(at.clone(), offset);
        }
    }
    for snapshot in past.snapshots.before(&before) {
        let latest = Latest::of(&snapshot.info);
        let after_all = plan.timed().all(|record| latest.is_before(&record.view()));
        let agrees = snapshot.amendments.agree(&past.log.amendments, &snapshot.info.position);
        if after_all && agrees && past.holds(&snapshot, &past.ends, open, control)? {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// Replays the changed log.
fn replay<S: Source>(
    past: &Past,
    base: Option<&Snapshot>,
    thought: &thought::Thought,
    open: &Open<'_, S>,
    control: &mut Control,
) -> Result<(Scratch, Vec<(usize, Fate)>), ReplayError> {
    let mut scratch = Scratch::new(&past.store, &past.definition, &past.log.origin(), base)?;
    let cancel = control.cancel.clone();
    scratch.interrupt_when(move || cancel.is_cancelled())?;
    let ranges = past.ranges(&scratch.info()?.position, &past.ends);
    let filled: Vec<Range> = ranges.iter().filter(|range| !is_empty(range)).cloned().collect();
    control.meter.phase(Phase::Rebuilding);
    let mut fold = scratch.fold_many()?;
    fold.advance(&log::starts(&ranges));
    let met = SharedMet::default();
    let changed = || {
        let inner = if filled.is_empty() { None } else { Some(open(filled)?) };
        Ok(Changed::new(inner, thought.plan.clone(), met.clone()))
    };
    let mut fates = Vec::new();
    let mut each = |record: &RecordRef<'_>, effect: Effect| {
        let place = (record.topic.into(), record.partition, record.offset);
        if let Some(change) = thought.changed.get(&place) {
            let event = Event::of(record, &effect);
            fates.push((*change, Fate::Was(event, effect.outcome)));
        }
    };
    let span = Span::of(&ranges);
    read(&mut fold, changed, &span, control, &mut Keeper::none(), Some(&mut each))?;
    fold.advance(&past.ends);
    fold.commit()?;
    drop(fold);
    thought.left_out(&lock(&met), &mut fates)?;
    Ok((scratch, fates))
}

/// The records that a copy could not apply, as many as are asked for.
fn refused(scratch: &Scratch) -> Result<Vec<Refused>, ReplayError> {
    let sql = "SELECT topic, partition, \"offset\", reason FROM _foldlog_dead_letter ORDER BY id";
    let rows = scratch.session()?.query(sql, REFUSED)?.rows;
    let letter = |row: Vec<Cell>| match <[Cell; 4]>::try_from(row) {
        Ok(
            [
                Cell::Text(topic),
                Cell::Integer(partition),
                Cell::Integer(offset),
                Cell::Text(reason),
            ],
        ) => Some(Refused {
            topic,
            partition: i32::try_from(partition).ok()?,
            offset,
            reason,
        }),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(letter).collect())
}

#[cfg(test)]
#[path = "whatif_tests.rs"]
mod tests;

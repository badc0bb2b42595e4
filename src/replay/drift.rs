//! Rows that are not what the log says: since which event, and whether the order between partitions can be why.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::readmodel::compare::RowDifference;
use crate::readmodel::net::{Net, name};
use crate::readmodel::query::Cell;
use crate::readmodel::scratch::Scratch;

use super::error::ReplayError;
use super::interleave::{Slices, shuffled};
use super::source::Source;
use super::task::Control;
use super::verify::{Event, Replays, compared};

/// Rows that are looked into; more are still counted and shown.
const TRACKED: usize = 10_000;
/// What decides the one order of several tries that is neither first to last nor last to first.
const SEED: u64 = 1;

/// The first event after which the read model and the log differ, as far as the rows tell.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// A row that differs since: the read model's and the log's.
    pub row: RowDifference,
    /// The event; `None` where no event ever wrote a row that differs.
    pub event: Option<Arc<Event>>,
    /// Whether the columns that differ were before that event as the read model still has them. Else no event ever made them
    /// what they are there, and the event is the last that wrote one of them.
    pub held: bool,
}

/// What a replay in another order between partitions says about the rows that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interleaved {
    /// Whether one such order made exactly the read model in use.
    pub exactly: bool,
    /// How many of the rows came out otherwise in one of the orders.
    pub rows: u64,
    /// How many rows were looked into.
    pub of: u64,
}

impl Interleaved {
    /// Whether every row that differs depends on the order.
    pub fn is_likely(&self) -> bool {
        self.exactly || (self.rows == self.of && self.of > 0)
    }
}

/// The rows that differ.
#[derive(Default)]
pub(super) struct Drifted {
    rows: HashMap<Key, Track>,
}

/// The table, and the key as text.
pub(super) type Key = (String, String);

/// A row on its way through the log.
struct Track {
    row: RowDifference,
    /// Whether it was at some moment what the read model has.
    held: bool,
    now: Option<Vec<Cell>>,
    /// The first event after which it was not that any more, with its number.
    since: Option<(u64, Arc<Event>)>,
    /// The last event that wrote a column that differs.
    last: Option<(u64, Arc<Event>)>,
}

/// Which row it is.
pub(super) fn key(row: &RowDifference) -> Key {
    (row.shape.table.clone(), name(row.key()))
}

impl Drifted {
    /// Takes a row: what the read model has, and what the log says.
    pub(super) fn take(&mut self, row: RowDifference) {
        if self.rows.len() == TRACKED {
            return;
        }
        let track = Track {
            held: row.before.is_none(),
            now: None,
            since: None,
            last: None,
            row,
        };
        self.rows.insert(key(&track.row), track);
    }

    /// How many are looked into.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The first event after which a row is not what the read model has, up to the end of the replay.
    pub(super) fn first<S: Source>(
        &mut self,
        log: &Replays<'_, S>,
        control: &mut Control,
    ) -> Result<Option<First>, ReplayError> {
        let net = Net::new(&log.empty(control)?.tables()?);
        let mut number = 0;
        log.plain(
            control,
            Some(&mut |record, effect| {
                number += 1;
                for written in net.rows(&effect.changes) {
                    if let Some(track) = self.rows.get_mut(&key(&written)) {
                        track.write(written.after, number, Event::of(record, &effect));
                    }
                }
            }),
        )?;
        let at = |track: &Track| track.event().map_or(u64::MAX, |(number, _)| number);
        let earliest = self.rows.values().min_by_key(|track| (at(track), key(&track.row)));
        Ok(earliest.map(|track| First {
            row: track.row.clone(),
            event: track.event().map(|(_, event)| event),
            held: track.held,
        }))
    }

    /// Whether these rows come out otherwise when the partitions are read in another order. `None` where there is no other.
    pub(super) fn order<S: Source>(
        &self,
        log: &Replays<'_, S>,
        model: &Scratch,
        shadow: &Scratch,
        control: &mut Control,
    ) -> Result<Option<Interleaved>, ReplayError> {
        let ranges = log.filled();
        if ranges.len() < 2 {
            return Ok(None);
        }
        let mut moved = HashSet::new();
        let backward = ranges.iter().rev().cloned().collect();
        for plan in [ranges.clone(), backward, shuffled(&ranges, SEED)] {
            let other = log.replay(plan, |plan| Ok(Slices::new(plan, log.open)), control, None)?;
            let exactly = compared(model, &other, control, &mut |_| false)?.is_equal();
            if !exactly {
                compared(shadow, &other, control, &mut |row| {
                    let key = key(&row);
                    if self.rows.contains_key(&key) {
                        moved.insert(key);
                    }
                    moved.len() < self.rows.len()
                })?;
            }
            if exactly || moved.len() == self.rows.len() {
                return Ok(Some(self.interleaved(exactly, moved.len())));
            }
        }
        Ok(Some(self.interleaved(false, moved.len())))
    }

    fn interleaved(&self, exactly: bool, rows: usize) -> Interleaved {
        Interleaved {
            exactly,
            rows: rows as u64,
            of: self.rows.len() as u64,
        }
    }
}

impl Track {
    fn write(&mut self, now: Option<Vec<Cell>>, number: u64, event: Arc<Event>) {
        let written = !self.alike(&now, &self.now);
        self.now = now;
        if self.alike(&self.now, &self.row.before) {
            self.held = true;
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some((number, event.clone()));
        }
        if written {
            self.last = Some((number, event));
        }
    }

    /// Whether the row is the same in the columns that differ in the end: what else an event wrote is no matter.
    fn alike(&self, one: &Option<Vec<Cell>>, two: &Option<Vec<Cell>>) -> bool {
        match (one, two) {
            (Some(one), Some(two)) if !self.row.changed.is_empty() => {
                self.row.changed.iter().all(|at| one.get(*at) == two.get(*at))
            }
            _ => one == two,
        }
    }

    fn event(&self) -> Option<(u64, Arc<Event>)> {
        if self.held {
            self.since.clone()
        } else {
            self.last.clone()
        }
    }
}

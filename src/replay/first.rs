//! The first event of the whole log after which a condition holds.
//!
//! A condition may hold for a while and then no longer, between any two moments. So the log is gone through from its first event and the
//! condition is asked after each, without anything being recorded. Whoever says that the condition lasts, that it holds on once it
//! holds, gets the same answer by bisection: over the snapshots, and from the last of them before which it did not hold by asking
//! after a thousand events at a time.

use std::collections::VecDeque;

use crate::broker::reader::Range;
use crate::readmodel::fold::Folded;
use crate::readmodel::scratch::Scratch;
use crate::readmodel::snapshot::Snapshot;
use crate::record::{Position, Record};

use super::at::{Past, is_empty};
use super::error::ReplayError;
use super::log::{self, Span};
use super::progress::Phase;
use super::rebuild::WAIT;
use super::source::{Polled, Records, Source};
use super::task::Control;

/// Events between two looks at a condition that lasts.
const STRIDE: usize = if cfg!(test) { 8 } else { 1_000 };
/// So many events are gone over again at most to stand at the one that was found.
const AGAIN: u64 = 10_000;

/// Where the event is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct First {
    /// A position before it.
    pub(super) from: Position,
    /// How many events from there it is.
    pub(super) count: u64,
}

type Open<'o, S> = dyn Fn(Vec<Range>) -> Result<S, ReplayError> + 'o;

/// Finds it; `None` where the condition holds after no event.
pub(super) fn first<S: Source>(
    past: &Past,
    condition: &str,
    lasts: bool,
    open: &Open<'_, S>,
    control: &mut Control,
) -> Result<Option<First>, ReplayError> {
    let probe = past.empty()?;
    let binds = probe.binds_event(condition)?;
    drop(probe);
    if lasts && binds {
        return Err(ReplayError::Until {
            message: "a condition on the event itself does not last".to_owned(),
            help: "without --lasting, and with F in the studio, it is asked after every event".to_owned(),
        });
    }
    let snapshot = if lasts {
        before(past, condition, open, control)?
    } else {
        None
    };
    let mut scratch = Scratch::new(&past.store, &past.definition, &past.log.origin(), snapshot.as_ref())?;
    let cancel = control.cancel.clone();
    scratch.interrupt_when(move || cancel.is_cancelled())?;
    let mut search = Search {
        scratch,
        condition,
        lasts,
        binds,
        since: Position::new(),
        count: 0,
    };
    search.run(past, open, control)
}

/// The last snapshot at which a condition that lasts did not hold yet.
fn before<S: Source>(
    past: &Past,
    condition: &str,
    open: &Open<'_, S>,
    control: &Control,
) -> Result<Option<Snapshot>, ReplayError> {
    let ends = past.log.ends();
    // The one with the most records comes first.
    let all: Vec<Snapshot> = past.snapshots.before(&ends).collect();
    let (mut from, mut to) = (0, all.len());
    while from < to {
        let middle = usize::midpoint(from, to);
        match all.get(middle) {
            Some(snapshot) if snapshot.holds(condition)? => from = middle + 1,
            _ => to = middle,
        }
    }
    for snapshot in all.into_iter().skip(from) {
        if past.holds(&snapshot, &ends, open, control)? {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

struct Search<'s> {
    scratch: Scratch,
    condition: &'s str,
    lasts: bool,
    /// Whether the condition is about the event too.
    binds: bool,
    /// A position that was passed, and how many events ago.
    since: Position,
    count: u64,
}

impl Search<'_> {
    fn run<S: Source>(
        &mut self,
        past: &Past,
        open: &Open<'_, S>,
        control: &mut Control,
    ) -> Result<Option<First>, ReplayError> {
        let ranges = past.ranges(&self.scratch.info()?.position, &past.log.ends());
        let span = Span::of(&ranges);
        {
            let mut fold = self.scratch.fold()?;
            fold.advance(&log::starts(&ranges));
            self.since = fold.position();
            fold.commit()?;
        }
        let filled: Vec<Range> = ranges.into_iter().filter(|range| !is_empty(range)).collect();
        if filled.is_empty() {
            return Ok(None);
        }
        control.meter.phase(Phase::Rebuilding);
        let mut source = open(filled)?;
        let mut waiting = VecDeque::new();
        loop {
            let over = match source.poll(WAIT)? {
                Polled::Batch(batch) => {
                    waiting.extend(batch.records().map(|record| record.to_record()));
                    false
                }
                Polled::Idle => false,
                Polled::End => true,
            };
            while waiting.len() >= STRIDE || (over && !waiting.is_empty()) {
                if control.cancel.is_cancelled() {
                    return Err(ReplayError::Cancelled);
                }
                let stride: Vec<Record> = waiting.drain(..waiting.len().min(STRIDE)).collect();
                if let Some(found) = self.stride(&stride, control)? {
                    return Ok(Some(found));
                }
                if control.meter.is_due() {
                    let info = self.scratch.info()?;
                    let covered = span.covered(&info.position);
                    control.meter.say(covered, span.total(), info.counts, info.position);
                }
            }
            if over {
                return Ok(None);
            }
            if control.cancel.is_cancelled() {
                return Err(ReplayError::Cancelled);
            }
        }
    }

    /// Goes on by some events.
    fn stride(&mut self, records: &[Record], control: &Control) -> Result<Option<First>, ReplayError> {
        let stop = || control.cancel.is_cancelled();
        if self.lasts {
            let mut fold = self.scratch.fold()?;
            if fold.apply(records.iter().map(Record::view), &stop)? == Folded::Stopped {
                return Err(ReplayError::Cancelled);
            }
            if !fold.holds(self.condition)? {
                fold.commit()?;
                (self.since, self.count) = (fold.position(), 0);
                return Ok(None);
            }
            // It is in here: what was applied is given up, and done again one by one.
        }
        let mut fold = self.scratch.fold()?;
        for record in records {
            let applied = fold.counts().applied;
            if fold.apply(std::iter::once(record.view()), &stop)? == Folded::Stopped {
                return Err(ReplayError::Cancelled);
            }
            self.count += 1;
            // What changed no row made nothing true that was not, unless it is the event that is asked about.
            let asked = self.binds || fold.counts().applied > applied;
            if asked && fold.holds_after(self.condition, &record.view())? {
                return Ok(Some(First {
                    from: std::mem::take(&mut self.since),
                    count: self.count,
                }));
            }
        }
        fold.commit()?;
        if self.count >= AGAIN {
            (self.since, self.count) = (fold.position(), 0);
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "first_tests.rs"]
mod tests;

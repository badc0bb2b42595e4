//! Keeping stores outside in step with a read model that is followed.
//!
//! Each store has a courier on a thread of its own, which reads what changed from the read model's file and pushes it. The fold
//! alone writes the read model: how far a store was fed comes back as a report and is written down with the next commit. A store
//! that is slow or away delays nothing; what it lacks waits in the read model's file.

mod check;
mod courier;

use std::time::Duration;

use crate::readmodel::error::ReadModelError;
use crate::readmodel::fold::Fold;
use crate::readmodel::writer::Live;
use crate::sink::address::{Address, each_once};
use crate::sink::{Model, row_store};

use super::error::ReplayError;
use super::progress::{Meter, SinkProgress};
pub(super) use check::compare;
pub use check::{Checked, Differs, check};
use courier::{Courier, Report, Threaded};

/// Feeds the stores of a read model.
#[derive(Default)]
pub(super) struct Feeder {
    sinks: Vec<Fed>,
    /// Stores that were fed before and are not any more.
    gone: Vec<String>,
}

struct Fed {
    thread: Threaded,
    progress: SinkProgress,
    said: usize,
}

/// Rows that a store refuses and that are said one by one; the list of read models counts the others.
const SAID: usize = 20;

impl Feeder {
    /// Begins to feed these stores with the rows of a read model; those that take records are left to others.
    pub(super) fn start(live: &mut Live, addresses: &[Address]) -> Result<Self, ReplayError> {
        let rows = each_once(addresses).filter(|address| !address.takes_records());
        let rows: Vec<&Address> = rows.collect();
        let names: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let gone = live.forget_sinks(&names)?;
        if rows.is_empty() {
            return Ok(Self {
                sinks: Vec::new(),
                gone,
            });
        }
        let marks = live.capture(&names)?;
        let mut sinks = Vec::new();
        for ((address, name), mark) in rows.into_iter().zip(names).zip(marks) {
            let feed = live.feed()?;
            let model = Model {
                name: live.definition().projection().name.clone(),
                tables: feed.tables().to_vec(),
            };
            let Some(store) = row_store(address, &model) else {
                continue;
            };
            let progress = SinkProgress {
                name: name.clone(),
                in_step: false,
                rows: 0,
                trouble: None,
            };
            let thread = Threaded::start(Courier::new(name, feed, store, mark))?;
            sinks.push(Fed {
                thread,
                progress,
                said: 0,
            });
        }
        Ok(Self { sinks, gone })
    }

    /// Does what can be done now, without waiting.
    pub(super) fn step(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        for name in self.gone.drain(..) {
            meter.notice(format!("{name} was fed before and is not any more"));
        }
        if self.sinks.is_empty() {
            return Ok(());
        }
        if fold.take_news() {
            for sink in &mut self.sinks {
                sink.progress.in_step = false;
                sink.thread.wake();
            }
        }
        for sink in &mut self.sinks {
            while let Some(report) = sink.thread.report(Duration::ZERO) {
                sink.settle(report, fold, meter)?;
            }
        }
        Ok(())
    }

    /// Feeds what waits, until every store is in step or cannot be fed, or `stop` says so.
    pub(super) fn drain(
        &mut self,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), ReadModelError> {
        loop {
            self.step(fold, meter)?;
            let waits = |sink: &Fed| !sink.progress.in_step && sink.progress.trouble.is_none();
            if stop() || !self.sinks.iter().any(waits) {
                return Ok(());
            }
            self.hear(Duration::from_millis(10), fold, meter)?;
        }
    }

    /// Waits for a report of each, but not for long.
    pub(super) fn hear(
        &mut self,
        wait: Duration,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
    ) -> Result<(), ReadModelError> {
        for sink in &mut self.sinks {
            if !sink.progress.in_step
                && let Some(report) = sink.thread.report(wait)
            {
                sink.settle(report, fold, meter)?;
            }
        }
        Ok(())
    }
}

impl Fed {
    fn settle(&mut self, report: Report, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        let name = &self.progress.name;
        match report {
            Report::Notice(notice) => meter.notice(format!("{name} {notice}")),
            Report::InStep(through) => self.progress.in_step = through >= fold.last_change(),
            Report::Fed(fed) => {
                self.progress.rows += fed.rows;
                for (table, key, reason) in fed.refused.iter().take(SAID.saturating_sub(self.said)) {
                    self.said += 1;
                    meter.notice(format!("{name} does not take the row {table} {key}: {reason}"));
                }
                if self.progress.trouble != fed.trouble {
                    match &fed.trouble {
                        Some(trouble) => meter.notice(format!("{trouble}; what changes waits, and it is tried on")),
                        None => meter.notice(format!("{name} is fed again")),
                    }
                    self.progress.trouble.clone_from(&fed.trouble);
                }
                fold.settle_sink(name, &fed)?;
            }
        }
        meter.sink(self.progress.clone());
        Ok(())
    }
}

#[cfg(test)]
#[path = "sinks_tests.rs"]
mod tests;

//! The loop between a source of records and the server.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use crate::readmodel::fold::Folded;

use super::super::error::ReplayError;
use super::super::log::Span;
use super::super::lookout::Look;
use super::super::rebuild::WAIT;
use super::super::source::{AHEAD, Fed, Records, Source, feed};
use super::super::task::{Control, crashed};
use super::Away;
use super::fold::Folding;

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The source had an end.
    End,
    /// A poison record, or too many of them.
    Poisoned,
    /// The log is no longer the one that reading began with.
    Changed,
    /// It was cancelled.
    Cancelled,
}

/// Reads on one thread and applies on this one. `look` knows the log where it is followed live.
pub(super) fn run<S: Source>(
    folding: &mut Folding<'_>,
    open: impl FnOnce() -> Result<S, ReplayError> + Send,
    span: &Span,
    look: Option<&dyn Look>,
    away: &mut Away,
    control: &mut Control,
) -> Result<Ended, ReplayError> {
    let cancel = control.cancel.clone();
    let stop = move || cancel.is_cancelled();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (done, used) = sync_channel(AHEAD);
        let reading = scope.spawn(move || feed(open, &sender, &used, &stop));
        let mut running = Running {
            folding,
            span,
            look,
            troubled: false,
            away,
            control,
        };
        running.say();
        let result = loop {
            if running.control.cancel.is_cancelled() {
                break Ok(Ended::Cancelled);
            }
            let fed = match receiver.recv_timeout(WAIT) {
                Ok(fed) => fed,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) if running.control.cancel.is_cancelled() => {
                    break Ok(Ended::Cancelled);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(ReplayError::Crashed("the reading thread ended".to_owned()));
                }
            };
            match running.take(&fed) {
                Ok(None) => {}
                Ok(Some(ended)) => break Ok(ended),
                Err(error) => break Err(error),
            }
            match fed {
                // Freed by the reading thread where that has time.
                Fed::Batch(batch, _) => drop(done.try_send(batch)),
                Fed::Failed(error) => break Err(error),
                Fed::Idle(..) | Fed::End(_) => {}
            }
        };
        // The reading thread ends when it finds that nobody listens.
        drop(receiver);
        match reading.join() {
            Ok(()) => result,
            Err(panic) => Err(crashed(&*panic)),
        }
    })
}

struct Running<'a, 'c> {
    folding: &'a mut Folding<'c>,
    span: &'a Span,
    look: Option<&'a dyn Look>,
    /// Whether it was said that records cannot come.
    troubled: bool,
    away: &'a mut Away,
    control: &'a mut Control,
}

impl Running<'_, '_> {
    fn take<B: Records>(&mut self, fed: &Fed<B>) -> Result<Option<Ended>, ReplayError> {
        match fed {
            Fed::Batch(batch, position) => {
                let (meter, span, look) = (&mut self.control.meter, self.span, self.look);
                let folded = self.folding.apply(batch.records(), &mut |info| {
                    if meter.is_due() {
                        let (done, total) = covered(span, look, &info.position);
                        meter.say(done, total, info.counts, info.position.clone());
                    }
                })?;
                if folded == Folded::Poisoned {
                    self.say();
                    return Ok(Some(Ended::Poisoned));
                }
                self.folding.advance(position)?;
                self.away.back(&self.folding.session.name(), self.control);
            }
            Fed::Idle(position, trouble) => {
                self.folding.advance(position)?;
                self.away.back(&self.folding.session.name(), self.control);
                self.tell(trouble.as_deref());
                self.say();
            }
            Fed::End(position) => {
                self.folding.advance(position)?;
                self.say();
                return Ok(Some(Ended::End));
            }
            Fed::Failed(_) => {}
        }
        let changed = self.look.is_some_and(|look| look.seen().changed);
        Ok(changed.then_some(Ended::Changed))
    }

    /// Says once that records cannot come, and once that they can again.
    fn tell(&mut self, trouble: Option<&str>) {
        match (trouble, self.troubled) {
            (Some(reason), false) => self.control.meter.notice(format!("{reason}; trying on")),
            (None, true) => self.control.meter.notice("the broker answers again".to_owned()),
            _ => {}
        }
        if self.troubled != trouble.is_some() {
            self.troubled = trouble.is_some();
            if let Some(look) = self.look {
                look.keep_quiet(self.troubled);
            }
        }
    }

    fn say(&mut self) {
        let info = self.folding.info();
        let (done, total) = covered(self.span, self.look, &info.position);
        self.control.meter.say(done, total, info.counts, info.position.clone());
    }
}

fn covered(span: &Span, look: Option<&dyn Look>, position: &crate::record::Position) -> (u64, u64) {
    let total = match look {
        Some(look) => span.covered(&look.seen().ends),
        None => span.total(),
    };
    (span.covered(position), total)
}

//! How far a replay has come, as a snapshot that a screen or a command line shows.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::readmodel::store::Counts;
use crate::record::Position;

/// A snapshot at most this often: ten a second are smooth to the eye and cost nothing.
const EVERY: Duration = Duration::from_millis(100);
/// The rate is that of this long.
const WINDOW: Duration = Duration::from_secs(1);

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Asking the broker for watermarks, opening files.
    #[default]
    Starting,
    /// Folding the log up to the end that was there at the start.
    Rebuilding,
    /// Building indexes, making the file durable, putting it in place.
    Finishing,
    /// Applying records as they arrive.
    Live,
    /// Stopped at a poison record.
    Paused,
    /// Over: it did what it was to do, or was told to stop.
    Done,
    /// Over, with an error.
    Failed,
}

/// A snapshot of a replay.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Offsets covered so far, transaction markers and compaction gaps included.
    pub done: u64,
    /// Offsets to cover in all; grows when live.
    pub total: u64,
    /// What became of the records.
    pub counts: Counts,
    /// Records a second over the last second or so.
    pub rate: f64,
    /// Time left at that rate; `None` when live or not yet known.
    pub eta: Option<Duration>,
    /// Where it stands.
    pub position: Position,
    /// The stores that it feeds.
    pub sinks: Arc<Vec<SinkProgress>>,
    /// What must be said out loud, such as partitions that were added; oldest first.
    pub notices: Arc<Notices>,
}

/// Notices that are kept at least; whoever reads them does so as they come.
const KEPT: usize = 1_000;

/// The latest of what was said out loud, as a slice, and how much was said before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    latest: Vec<String>,
    before: usize,
}

impl Notices {
    /// How many there were in all.
    pub fn said(&self) -> usize {
        self.before + self.latest.len()
    }

    /// Those after the first `heard` ones, as far as they are kept.
    pub fn since(&self, heard: usize) -> &[String] {
        self.latest.get(heard.saturating_sub(self.before)..).unwrap_or_default()
    }

    fn push(&mut self, notice: String) {
        if self.latest.len() >= 2 * KEPT {
            self.latest.drain(..KEPT);
            self.before += KEPT;
        }
        self.latest.push(notice);
    }
}

impl Deref for Notices {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.latest
    }
}

impl From<Vec<String>> for Notices {
    fn from(latest: Vec<String>) -> Self {
        Self { latest, before: 0 }
    }
}

/// How a store is fed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// Its address without what is secret.
    pub name: String,
    /// Whether it has everything that is committed.
    pub in_step: bool,
    /// Rows that it was given since this began.
    pub rows: u64,
    /// Why it is not fed.
    pub trouble: Option<String>,
}

impl Progress {
    /// Offsets that are left.
    pub fn lag(&self) -> u64 {
        self.total.saturating_sub(self.done)
    }
}

/// Makes snapshots out of counts, at a rate that nobody drowns in.
#[derive(Debug)]
pub(super) struct Meter {
    sender: watch::Sender<Progress>,
    /// When it was, how many records and offsets were done.
    samples: VecDeque<(Instant, u64, u64)>,
    sent: Option<Instant>,
}

impl Meter {
    pub(super) fn new() -> (Self, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(Progress::default());
        let meter = Self {
            sender,
            samples: VecDeque::new(),
            sent: None,
        };
        (meter, receiver)
    }

    /// Whether a snapshot is due; making one costs more than asking.
    pub(super) fn is_due(&self) -> bool {
        self.sent.is_none_or(|sent| sent.elapsed() >= EVERY)
    }

    /// Says what is done now, at once.
    pub(super) fn phase(&mut self, phase: Phase) {
        if phase == Phase::Paused {
            self.samples.clear();
        }
        self.sender.send_modify(|progress| {
            progress.phase = phase;
            if phase == Phase::Paused {
                progress.rate = 0.0;
                progress.eta = None;
            }
        });
    }

    /// Another voice that says things in the same place.
    pub(super) fn another(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            samples: VecDeque::new(),
            sent: None,
        }
    }

    /// Says how a store is fed, at once.
    pub(super) fn sink(&mut self, sink: SinkProgress) {
        self.sender.send_modify(|progress| {
            let sinks = Arc::make_mut(&mut progress.sinks);
            match sinks.iter_mut().find(|known| known.name == sink.name) {
                Some(known) => *known = sink,
                None => sinks.push(sink),
            }
        });
    }

    /// Says what became of records, at once.
    pub(super) fn count(&mut self, counts: Counts) {
        self.sender.send_modify(|progress| progress.counts = counts);
    }

    /// Says something out loud, at once.
    pub(super) fn notice(&mut self, notice: String) {
        tracing::warn!("{notice}");
        self.sender
            .send_modify(|progress| Arc::make_mut(&mut progress.notices).push(notice));
    }

    /// What was said out loud so far.
    #[cfg(test)]
    pub(super) fn notices(&self) -> Vec<String> {
        self.sender.borrow().notices.to_vec()
    }

    /// Says how far it is, at once.
    pub(super) fn say(&mut self, done: u64, total: u64, counts: Counts, position: Position) {
        let now = Instant::now();
        // Who waits for the first sign of life is told at once.
        self.sent = (done > 0).then_some(now);
        let records = counts.total();
        self.samples.push_back((now, records, done));
        // The oldest sample that is kept is at least a window old, so that the rate is over a whole one.
        while self.samples.get(1).is_some_and(|(at, ..)| now - *at >= WINDOW) {
            self.samples.pop_front();
        }
        let (rate, pace) = match self.samples.front() {
            Some((at, then, done_then)) if now > *at => {
                let seconds = (now - *at).as_secs_f64();
                let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
                (per_second(records, *then), per_second(done, *done_then))
            }
            _ => (0.0, 0.0),
        };
        self.sender.send_modify(|progress| {
            progress.done = done;
            progress.total = total.max(done);
            progress.counts = counts;
            progress.position = position;
            progress.rate = rate;
            let left = progress.lag();
            progress.eta = (progress.phase == Phase::Rebuilding && pace > 0.0)
                .then(|| Duration::try_from_secs_f64(left as f64 / pace).ok())
                .flatten();
        });
    }

    /// Says that it is over, and whether it failed; unless it is paused, which is also an end.
    pub(super) fn finish(&mut self, failed: bool) {
        self.sender.send_modify(|progress| {
            progress.rate = 0.0;
            progress.eta = None;
            if progress.phase != Phase::Paused {
                progress.phase = if failed { Phase::Failed } else { Phase::Done };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_said_the_latest_is_kept() {
        let (mut meter, progress) = Meter::new();
        let mut heard = 0;
        for n in 0..5 * KEPT {
            meter.notice(n.to_string());
            let now = progress.borrow().clone();
            assert_eq!(now.notices.since(heard), [n.to_string()]);
            heard = now.notices.said();
            assert!(now.notices.len() <= 2 * KEPT);
        }
        let notices = Arc::clone(&progress.borrow().notices);
        assert_eq!((notices.said(), notices.since(heard).len()), (5 * KEPT, 0));
        assert_eq!(notices.since(0).len(), notices.len());
    }

    #[test]
    fn what_stands_still_has_no_rate() {
        let (mut meter, progress) = Meter::new();
        meter.say(0, 10, Counts::default(), Position::new());
        std::thread::sleep(Duration::from_millis(1));
        let counts = Counts {
            applied: 5,
            ..Counts::default()
        };
        meter.say(5, 10, counts, Position::new());
        assert!(progress.borrow().rate > 0.0);
        meter.phase(Phase::Paused);
        assert_eq!(progress.borrow().rate, 0.0);
    }
}

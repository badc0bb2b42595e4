//! Takes snapshots while a replay runs, so that later no moment of it is far.

use std::time::{Duration, Instant};

use crate::readmodel::fold::Fold;
use crate::readmodel::snapshot::Snapshots;

use super::progress::Meter;

/// How much replay lies between two snapshots: what whoever asks for a moment waits at most.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Snapshots take at most one part in this many of the time of a replay.
const SHARE: u32 = 10;

/// What is copied in a second, at least; the first snapshot of a large read model waits until it is worth that.
const COPIED: u64 = 100_000_000;
/// A copy of so many bytes is no matter.
const SMALL: u64 = 8_000_000;

/// Decides when the next one is due.
#[derive(Debug)]
pub(super) struct Keeper {
    snapshots: Option<Snapshots>,
    every: Duration,
    since: Instant,
}

impl Keeper {
    pub(super) fn new(snapshots: Snapshots, every: Duration) -> Self {
        Self {
            snapshots: Some(snapshots),
            every,
            since: Instant::now(),
        }
    }

    /// Takes none.
    pub(super) fn none() -> Self {
        Self {
            snapshots: None,
            every: EVERY,
            since: Instant::now(),
        }
    }

    /// Takes one if it is due. A replay does not fail for the want of one: it is said, and no more are taken.
    pub(super) fn look(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) {
        let Some(snapshots) = &self.snapshots else { return };
        if self.since.elapsed() < self.every {
            return;
        }
        let weight = fold.weight();
        if weight > SMALL && self.since.elapsed() < Duration::from_millis(weight * 1000 / COPIED) * SHARE {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = fold.snapshot(snapshots) {
            meter.notice(format!("no more snapshots of this replay are taken: {error}"));
            self.snapshots = None;
        }
        self.every = self.every.max(begun.elapsed() * SHARE);
        self.since = Instant::now();
    }
}

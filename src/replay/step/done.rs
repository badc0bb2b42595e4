//! What lies behind a walk: the events that can be undone, and those before them, which are replayed ahead of need.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::readmodel::changes::Watched;
use crate::readmodel::scratch::{Effect, Scratch};
use crate::record::{Position, RecordRef, TopicPartition};

use super::super::at::{Past, Way};
use super::super::error::ReplayError;
use super::super::progress::Meter;
use super::super::rebuild::WAIT;
use super::super::source::Source;
use super::super::task::{Control, crashed};
use super::{Open, Step};

/// Events that are remembered in one piece. Two pieces are: the one that a walk is in, and the one before it.
const PIECE: usize = if cfg!(test) { 40 } else { 50_000 };
/// What a piece may weigh.
const PIECE_BYTES: usize = 64 * 1024 * 1024;
/// What a row costs beside its values, roughly.
const ROW_BYTES: usize = 256;

/// What was applied last, oldest first.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) steps: VecDeque<Step>,
    bytes: usize,
    /// The position before the oldest.
    start: Position,
}

impl Done {
    /// Adds the newest; whether the oldest was forgotten for it.
    pub(super) fn push(&mut self, step: Step) -> bool {
        self.bytes += weight(&step);
        self.steps.push_back(step);
        let mut forgot = false;
        while self.steps.len() > PIECE || (self.bytes > PIECE_BYTES && self.steps.len() > 1) {
            if let Some(forgotten) = self.steps.pop_front() {
                self.bytes -= weight(&forgotten);
                let record = &forgotten.record;
                let at = TopicPartition::new(record.topic.clone(), record.partition);
                self.start.set(at, record.offset + 1);
                forgot = true;
            }
        }
        forgot
    }

    pub(super) fn pop(&mut self) -> Option<Step> {
        let step = self.steps.pop_back()?;
        self.bytes -= weight(&step);
        Some(step)
    }

    /// Nothing, up to a position.
    pub(super) fn before(start: Position) -> Self {
        Self {
            start,
            ..Self::default()
        }
    }

    /// Whether nothing lies before the oldest.
    pub(super) fn is_all(&self, past: &Past) -> bool {
        let begins = |(partition, next)| past.starts.next(partition).is_none_or(|start| next <= start);
        self.start.iter().all(begins)
    }

    /// Finds out where the oldest begins, when the newest ended `at`.
    fn begin(&mut self, at: Position) {
        self.start = at;
        for step in self.steps.iter().rev() {
            if let Some(next) = step.effect.next() {
                let at = TopicPartition::new(step.record.topic.clone(), step.record.partition);
                self.start.set(at, next);
            }
        }
    }
}

fn weight(step: &Step) -> usize {
    step.record.view().size() + ROW_BYTES * (1 + step.effect.changes.len())
}

/// A copy at a moment, with its tables, and the last events before it. `below` is a number of records, of which the way there begins
/// before.
pub(super) fn there<S: Source>(
    past: &Past,
    moment: &Position,
    below: Option<u64>,
    open: &Open<S>,
    control: &mut Control,
) -> Result<(Scratch, Arc<[Watched]>, Done), ReplayError> {
    let mut done = Done::default();
    let mut each = |record: &RecordRef<'_>, effect: Effect| {
        done.push(Step {
            record: record.to_record(),
            effect,
        });
    };
    let way = Way {
        below,
        each: Some(&mut each),
        last: PIECE as u64,
    };
    let mut scratch = past.go(moment, way, &**open, control)?;
    let tables = scratch.tables()?;
    done.begin(scratch.info()?.position);
    Ok((scratch, tables, done))
}

/// The piece before the one that a walk is in.
#[derive(Debug, Default)]
pub(super) enum Before {
    /// Nobody asked for it yet.
    #[default]
    Unasked,
    /// On its way. Dropping it cancels it.
    Coming(Receiver<Result<Done, ReplayError>>, DropGuard),
    /// Here.
    Here(Done),
}

impl Before {
    /// Has the piece replayed that ends where `done` begins, with `records` before it; on a thread, so that no step waits for it.
    pub(super) fn ask<S: Source + 'static>(
        &mut self,
        past: &Past,
        done: &Done,
        records: u64,
        open: &Open<S>,
        control: &Control,
    ) {
        if records == 0 || !matches!(self, Self::Unasked) {
            return;
        }
        let (past, moment, open) = (past.clone(), done.start.clone(), Arc::clone(open));
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let mut control = Control {
            cancel,
            meter: Meter::new().0,
            snapshot_every: control.snapshot_every,
            strict: false,
            group: None,
        };
        let (send, receive) = sync_channel(1);
        let work = move || {
            let done = there(&past, &moment, Some(records), &open, &mut control).map(|(.., done)| done);
            // Nobody waits for it any more where this fails.
            let _ = send.send(done);
        };
        match thread::Builder::new().name("steps before".to_owned()).spawn(work) {
            Ok(_) => *self = Self::Coming(receive, guard),
            // It is replayed when it is needed.
            Err(error) => tracing::warn!(%error, "no thread for the steps before"),
        }
    }

    /// Takes it in if it has come.
    pub(super) fn look(&mut self) {
        if let Self::Coming(receive, _) = self {
            match receive.try_recv() {
                Ok(Ok(done)) => *self = Self::Here(done),
                Err(TryRecvError::Empty) => {}
                // Whoever needs it asks again, and hears why.
                Ok(Err(_)) | Err(TryRecvError::Disconnected) => *self = Self::Unasked,
            }
        }
    }

    /// Waits for it, and hands it over; `None` where nobody asked.
    pub(super) fn wait(&mut self, control: &Control) -> Result<Option<Done>, ReplayError> {
        match std::mem::take(self) {
            Self::Unasked => Ok(None),
            Self::Here(done) => Ok(Some(done)),
            Self::Coming(receive, guard) => loop {
                match receive.recv_timeout(WAIT) {
                    Ok(done) => return done.map(Some),
                    Err(RecvTimeoutError::Timeout) if control.cancel.is_cancelled() => {
                        *self = Self::Coming(receive, guard);
                        return Err(ReplayError::Cancelled);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(crashed(&"the thread of the steps before ended"));
                    }
                }
            },
        }
    }
}

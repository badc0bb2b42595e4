//! What lies before a walk: what was undone or read already, then the rest of the log, read ahead of need.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::record::{Position, Record, TopicPartition};

use super::super::at::{Past, is_empty};
use super::super::error::ReplayError;
use super::super::rebuild::WAIT;
use super::super::source::{Polled, Records, Source};
use super::super::task::{Control, crashed};
use super::Open;

/// Events that wait to be applied again; beyond it those that are furthest are read again when their turn comes.
const KEPT: usize = if cfg!(test) { 60 } else { 100_000 };
/// What they may weigh.
const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// So few are left when the log is read behind them.
const FEW: usize = if cfg!(test) { 10 } else { 5_000 };

/// What comes next.
#[derive(Default)]
pub(super) struct Ahead {
    records: VecDeque<Record>,
    bytes: usize,
    coming: Option<Coming>,
}

/// What a thread reads meanwhile, a batch ahead. Dropping it cancels that.
struct Coming {
    /// `None` is the end of the log.
    batches: Receiver<Result<Option<Vec<Record>>, ReplayError>>,
    _guard: DropGuard,
}

impl Ahead {
    /// Puts back what was undone.
    pub(super) fn undone(&mut self, record: Record) {
        self.bytes += record.view().size();
        self.records.push_front(record);
        while self.records.len() > KEPT || (self.bytes > KEPT_BYTES && self.records.len() > 1) {
            if let Some(far) = self.records.pop_back() {
                self.bytes -= far.view().size();
            }
            // What it reads is no longer what comes after them.
            self.coming = None;
        }
    }

    /// Has the log read behind what is known, on a thread, so that no step waits for it. `position` is that of the walk.
    pub(super) fn prepare<S: Source + 'static>(
        &mut self,
        past: &Past,
        position: impl FnOnce() -> Result<Position, ReplayError>,
        open: &Open<S>,
    ) -> Result<(), ReplayError> {
        if self.coming.is_some() || self.records.len() > FEW {
            return Ok(());
        }
        let mut from = position()?;
        for record in &self.records {
            let at = TopicPartition::new(record.topic.clone(), record.partition);
            from.set(at, record.offset + 1);
        }
        let (past, open) = (past.clone(), Arc::clone(open));
        // One batch that waits and one on its way.
        let (send, batches) = sync_channel(1);
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let work = move || {
            let ended = read(&past, &from, &open, &send, &cancel);
            // Nobody waits for it any more where this fails.
            let _ = send.send(ended.map(|()| None));
        };
        let thread = thread::Builder::new().name("steps ahead".to_owned()).spawn(work);
        thread.map_err(|error| crashed(&format!("no thread for the steps ahead: {error}")))?;
        self.coming = Some(Coming { batches, _guard: guard });
        Ok(())
    }

    /// The next record; `None` at the end of the log as it was when `past` was opened.
    pub(super) fn next<S: Source + 'static>(
        &mut self,
        past: &Past,
        position: &Position,
        open: &Open<S>,
        control: &Control,
    ) -> Result<Option<Record>, ReplayError> {
        while self.records.is_empty() {
            self.prepare(past, || Ok(position.clone()), open)?;
            let Some(coming) = &self.coming else { return Ok(None) };
            match coming.batches.recv_timeout(WAIT) {
                Ok(Ok(Some(batch))) => {
                    self.bytes += batch.iter().map(|record| record.view().size()).sum::<usize>();
                    self.records.extend(batch);
                }
                Ok(ended) => {
                    self.coming = None;
                    return ended.map(|_| None);
                }
                Err(RecvTimeoutError::Timeout) if control.cancel.is_cancelled() => return Err(ReplayError::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.coming = None;
                    return Err(crashed(&"the thread of the steps ahead ended"));
                }
            }
        }
        let next = self.records.pop_front();
        self.bytes -= next.as_ref().map_or(0, |record| record.view().size());
        Ok(next)
    }
}

/// Reads the rest of the log until its end, or until nobody wants more.
fn read<S: Source>(
    past: &Past,
    from: &Position,
    open: &Open<S>,
    to: &SyncSender<Result<Option<Vec<Record>>, ReplayError>>,
    cancel: &CancellationToken,
) -> Result<(), ReplayError> {
    let mut rest = past.ranges(from, &past.log.ends());
    rest.retain(|range| !is_empty(range));
    if rest.is_empty() {
        return Ok(());
    }
    let mut source = open(rest)?;
    while !cancel.is_cancelled() {
        match source.poll(WAIT)? {
            Polled::Batch(batch) => {
                let records = batch.records().map(|record| record.to_record()).collect();
                if to.send(Ok(Some(records))).is_err() {
                    break;
                }
            }
            Polled::Idle => {}
            Polled::End => break,
        }
    }
    Ok(())
}

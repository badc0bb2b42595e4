//! What lies before a walk: what was undone or read already, then the rest of the log, opened ahead of need.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

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
/// So few are left when the log is opened behind them.
const FEW: usize = if cfg!(test) { 10 } else { 5_000 };

/// What comes next.
pub(super) struct Ahead<S> {
    records: VecDeque<Record>,
    bytes: usize,
    source: Option<S>,
    opening: Option<Receiver<Result<Option<S>, ReplayError>>>,
}

impl<S> Default for Ahead<S> {
    fn default() -> Self {
        Self {
            records: VecDeque::new(),
            bytes: 0,
            source: None,
            opening: None,
        }
    }
}

impl<S: Source + Send + 'static> Ahead<S> {
    /// Puts back what was undone.
    pub(super) fn undone(&mut self, record: Record) {
        self.bytes += record.view().size();
        self.records.push_front(record);
        while self.records.len() > KEPT || (self.bytes > KEPT_BYTES && self.records.len() > 1) {
            if let Some(far) = self.records.pop_back() {
                self.bytes -= far.view().size();
            }
            // What it reads is no longer what comes after them.
            (self.source, self.opening) = (None, None);
        }
    }

    /// Opens the log behind what is known, on a thread, so that no step waits for it. `position` is that of the walk.
    pub(super) fn prepare(&mut self, past: &Past, position: impl FnOnce() -> Option<Position>, open: &Open<S>) {
        if self.source.is_some() || self.opening.is_some() || self.records.len() > FEW {
            return;
        }
        let Some(mut from) = position() else { return };
        for record in &self.records {
            let at = TopicPartition::new(record.topic.clone(), record.partition);
            from.set(at, record.offset + 1);
        }
        let (past, open) = (past.clone(), Arc::clone(open));
        let (send, receive) = sync_channel(1);
        let work = move || {
            // Nobody waits for it any more where this fails.
            let _ = send.send(opened(&past, &from, &open));
        };
        if thread::Builder::new()
            .name("steps ahead".to_owned())
            .spawn(work)
            .is_ok()
        {
            self.opening = Some(receive);
        }
    }

    /// The next record; `None` at the end of the log as it was when `past` was opened.
    pub(super) fn next(
        &mut self,
        past: &Past,
        position: &Position,
        open: &Open<S>,
        control: &Control,
    ) -> Result<Option<Record>, ReplayError> {
        while self.records.is_empty() {
            if self.source.is_none() {
                self.source = match self.opening.take() {
                    Some(opening) => wait(&opening, control)?,
                    None => opened(past, position, open)?,
                };
            }
            let Some(source) = &mut self.source else {
                return Ok(None);
            };
            match source.poll(WAIT)? {
                Polled::Batch(batch) => {
                    for record in batch.records() {
                        self.bytes += record.size();
                        self.records.push_back(record.to_record());
                    }
                }
                Polled::Idle if control.cancel.is_cancelled() => return Err(ReplayError::Cancelled),
                Polled::Idle => {}
                Polled::End => return Ok(None),
            }
        }
        let next = self.records.pop_front();
        self.bytes -= next.as_ref().map_or(0, |record| record.view().size());
        Ok(next)
    }
}

/// The rest of the log; `None` where there is none.
fn opened<S>(past: &Past, from: &Position, open: &Open<S>) -> Result<Option<S>, ReplayError> {
    let mut rest = past.ranges(from, &past.log.ends());
    rest.retain(|range| !is_empty(range));
    if rest.is_empty() {
        return Ok(None);
    }
    open(rest).map(Some)
}

fn wait<S>(opening: &Receiver<Result<Option<S>, ReplayError>>, control: &Control) -> Result<Option<S>, ReplayError> {
    loop {
        match opening.recv_timeout(WAIT) {
            Ok(opened) => return opened,
            Err(RecvTimeoutError::Timeout) if control.cancel.is_cancelled() => return Err(ReplayError::Cancelled),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(crashed(&"the thread of the steps ahead ended")),
        }
    }
}

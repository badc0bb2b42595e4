//! Where a replay's records come from: a reader of a cluster, or a log in memory where a test wants one.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use crate::broker::reader::{Batch, Poll, Reader};
use crate::record::{Position, RecordRef};

use super::error::ReplayError;

/// How long the reading thread waits for records before it looks whether somebody still wants them.
const WAIT: Duration = Duration::from_millis(50);
/// Batches between reading and applying: one that waits and one on its way keep both threads busy; more would only take memory.
pub(super) const AHEAD: usize = 2;

/// Records that came together.
pub(super) trait Records {
    /// How many.
    fn len(&self) -> usize;
    /// The records in order.
    fn records(&self) -> impl Iterator<Item = RecordRef<'_>>;
    /// Whether somebody who wants to be told what events did wants to be told of these.
    fn are_told(&self) -> bool {
        true
    }
}

impl Records for Batch {
    fn len(&self) -> usize {
        Batch::len(self)
    }

    fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.iter()
    }
}

/// What a source has to say.
pub(super) enum Polled<B> {
    Batch(B),
    Idle,
    End,
}

/// Hands out records in an order that the log decides.
pub(super) trait Source {
    /// What it hands out.
    type Batch: Records + Send;
    /// The next records, waiting at most `wait`.
    fn poll(&mut self, wait: Duration) -> Result<Polled<Self::Batch>, ReplayError>;
    /// The next offset of each partition, after everything handed out.
    fn position(&self) -> Position;
    /// What keeps records from coming, where the source goes on trying.
    fn trouble(&self) -> Option<String> {
        None
    }
}

impl Source for Reader {
    type Batch = Batch;

    fn poll(&mut self, wait: Duration) -> Result<Polled<Batch>, ReplayError> {
        Ok(match Reader::poll(self, wait)? {
            Poll::Batch(batch) => Polled::Batch(batch),
            Poll::Idle => Polled::Idle,
            Poll::End => Polled::End,
        })
    }

    fn position(&self) -> Position {
        Reader::position(self).clone()
    }

    fn trouble(&self) -> Option<String> {
        Reader::trouble(self)
    }
}

/// What the reading thread hands to the applying one. The position is that of the source after what it comes with.
pub(super) enum Fed<B> {
    Batch(B, Position),
    /// Nothing came, and why if it is known.
    Idle(Position, Option<String>),
    End(Position),
    Failed(ReplayError),
}

/// Reads until the end, an error, or until nobody wants more. Batches that were applied come back through `used`, to be freed
/// here: the applying thread is the busier one, and freeing a record costs a tenth of applying it.
pub(super) fn feed<S: Source>(
    open: impl FnOnce() -> Result<S, ReplayError>,
    to: &SyncSender<Fed<S::Batch>>,
    used: &Receiver<S::Batch>,
    stop: &dyn Fn() -> bool,
) {
    let mut source = match open() {
        Ok(source) => source,
        Err(error) => {
            let _ = to.send(Fed::Failed(error));
            return;
        }
    };
    while !stop() {
        used.try_iter().for_each(drop);
        let fed = match source.poll(WAIT) {
            Ok(Polled::Batch(batch)) => Fed::Batch(batch, source.position()),
            Ok(Polled::Idle) => Fed::Idle(source.position(), source.trouble()),
            Ok(Polled::End) => Fed::End(source.position()),
            Err(error) => Fed::Failed(error),
        };
        let last = matches!(fed, Fed::End(_) | Fed::Failed(_));
        // An error means that the applying side has gone.
        if to.send(fed).is_err() || last {
            return;
        }
    }
}

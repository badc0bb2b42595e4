//! Questions to the broker beside the fold, so that a broker that does not answer delays neither a commit nor a cancel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::record::Position;

use super::aside::spawn;
use super::error::ReplayError;
use super::log::Log;
use super::rebuild::WAIT;

/// How often the log is looked at: for partitions that were added, topics that were created anew, and how far it reaches.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Asks `question` on a thread of its own and waits for the answer until `cancel`: a request to a broker cannot be called back. The
/// thread ends at the request's own time limit.
pub(super) fn ask<T: Send + 'static>(
    cancel: &CancellationToken,
    question: impl FnOnce() -> Result<T, ReplayError> + Send + 'static,
) -> Result<T, ReplayError> {
    let (sender, answer) = sync_channel(1);
    spawn("ask", move || {
        // Nobody listens any more after a cancel.
        let _ = sender.send(question());
    })?;
    while !cancel.is_cancelled() {
        match answer.recv_timeout(WAIT) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(ReplayError::Crashed(
                    "a question to the broker ended in a panic".to_owned(),
                ));
            }
        }
    }
    Err(ReplayError::Cancelled)
}

/// What is known of a log that somebody follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where each partition ends.
    pub(super) ends: Position,
    /// Whether it is no longer the log that reading began with: it has other partitions, or a topic was created anew.
    pub(super) changed: bool,
}

/// Who knows the log that is followed.
pub(super) trait Look {
    /// The newest that is known; never waits for an answer.
    fn seen(&self) -> Seen;
    /// Told when the reader begins and ends to wait for a broker to come back.
    fn keep_quiet(&self, quiet: bool);
}

/// Looks at the log every two seconds, until dropped. Errors are the reader's to report, which meets them too.
pub(super) struct Lookout {
    seen: Arc<Mutex<Seen>>,
    quiet: Arc<AtomicBool>,
    _over: SyncSender<()>,
}

impl Lookout {
    pub(super) fn start(client: Client, topics: Vec<String>, log: Log) -> Result<Self, ReplayError> {
        let seen = Arc::new(Mutex::new(Seen {
            ends: log.ends(),
            changed: false,
        }));
        let newest = Arc::clone(&seen);
        let quiet = Arc::new(AtomicBool::new(false));
        let is_quiet = Arc::clone(&quiet);
        let (over, is_over) = sync_channel::<()>(0);
        spawn("look-out", move || {
            while is_over.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if is_quiet.load(Ordering::Relaxed) {
                    continue;
                }
                if let Ok(now) = Log::survey(&client, &topics) {
                    *newest.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
                        ends: now.ends(),
                        changed: now.is_another(&log),
                    };
                }
            }
        })?;
        Ok(Self {
            seen,
            quiet,
            _over: over,
        })
    }
}

impl Look for Lookout {
    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request that waits for a broker too would keep librdkafka's threads busy all that time.
    fn keep_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }
}

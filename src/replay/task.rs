//! A running replay: whoever holds the task can watch it, cancel it and wait for it; dropping it cancels.

use std::any::Any;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::ReplayError;
use super::group::Group;
use super::keeper::EVERY;
use super::progress::{Meter, Progress};

/// A replay that runs on threads of its own.
#[derive(Debug)]
pub struct Task<T> {
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<Result<T, ReplayError>>>,
}

/// What the thread of a task works with.
pub(super) struct Control {
    /// Cancelled when somebody wants it to stop.
    pub(super) cancel: CancellationToken,
    /// Where it says how far it is.
    pub(super) meter: Meter,
    /// How much replay lies between two snapshots.
    pub(super) snapshot_every: Duration,
    /// Whether a broken invariant keeps a new build from being put in use.
    pub(super) strict: bool,
    /// The consumer group that a follow is in.
    pub(super) group: Option<Arc<Group>>,
}

impl<T: Send + 'static> Task<T> {
    /// Starts `work` on a thread named `name`.
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(&mut Control) -> Result<T, ReplayError> + Send + 'static,
    ) -> Self {
        let (meter, progress) = Meter::new();
        let cancel = CancellationToken::new();
        let mut control = Control {
            cancel: cancel.clone(),
            meter,
            snapshot_every: EVERY,
            strict: false,
            group: None,
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = work(&mut control);
            let failed = matches!(&result, Err(error) if !matches!(error, ReplayError::Cancelled));
            control.meter.finish(failed);
            result
        });
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                tracing::error!(%error, "no thread for a replay");
                None
            }
        };
        Self {
            progress,
            cancel,
            thread,
        }
    }
}

impl<T> Task<T> {
    /// Snapshots of how far it is; the newest replaces the one before. The sender is gone when the task is over.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Asks it to stop, which it does at its next look, leaving what was committed. Looks are 200 ms apart at most while the brokers
    /// answer. A request that nobody answers is given up after its deadline: 10 s, or 40 s where a mirror waits for its target.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A token that cancels it, to be handed to a signal handler.
    pub fn token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Whether it is over, so that [`Task::wait`] returns at once.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end on this thread.
    pub fn wait(mut self) -> Result<T, ReplayError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => Err(crashed(&*panic)),
            None => Err(ReplayError::Crashed("the system gave no thread".to_owned())),
        }
    }
}

impl<T> Task<T> {
    /// Waits for its end on this thread, and cancels it when `cancel` is.
    pub fn wait_unless(self, cancel: &CancellationToken) -> Result<T, ReplayError> {
        let clock = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| ReplayError::Crashed(format!("nothing to wait with: {error}")))?;
        let mut progress = self.progress();
        let ended = async { while progress.changed().await.is_ok() {} };
        clock.block_on(async {
            tokio::select! {
                () = cancel.cancelled() => self.cancel(),
                () = ended => {}
            }
        });
        self.wait()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a thread's panic said.
pub(super) fn crashed(panic: &(dyn Any + Send)) -> ReplayError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    ReplayError::Crashed(text.unwrap_or_else(|| "no reason given".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_can_be_cancelled_and_the_task_with_it() {
        let cancel = CancellationToken::new();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let task = Task::start("test", move |control| {
            begun.send(()).unwrap();
            while !control.cancel.is_cancelled() {
                thread::yield_now();
            }
            Err::<(), _>(ReplayError::Cancelled)
        });
        let token = cancel.clone();
        let waiting = thread::spawn(move || task.wait_unless(&token));
        has_begun.recv().unwrap();
        cancel.cancel();
        assert!(matches!(waiting.join().unwrap(), Err(ReplayError::Cancelled)));
        assert_eq!(
            Task::start("test", |_| Ok(7))
                .wait_unless(&CancellationToken::new())
                .unwrap(),
            7
        );
    }
}

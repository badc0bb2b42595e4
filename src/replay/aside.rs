//! Work on a thread beside the fold, so that whoever is slow to answer delays neither a commit nor a cancel; and how long is waited
//! after a failure.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::ReplayError;

/// The thread has gone without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// A thread that carries out one order at a time. When this is dropped, it ends after what it is doing.
pub(super) struct Aside<O, R> {
    orders: SyncSender<O>,
    replies: Receiver<R>,
}

impl<O: Send + 'static, R: Send + 'static> Aside<O, R> {
    /// Starts it.
    pub(super) fn start(name: &str, mut carry_out: impl FnMut(O) -> R + Send + 'static) -> Result<Self, ReplayError> {
        // One order at a time, and one reply to it.
        let (orders, taken) = sync_channel::<O>(1);
        let (answers, replies) = sync_channel(1);
        spawn(name, move || {
            for order in taken {
                if answers.send(carry_out(order)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { orders, replies })
    }

    /// Hands it an order; never while another is under way.
    pub(super) fn give(&self, order: O) {
        // A thread that has gone shows in that no reply comes.
        let _ = self.orders.try_send(order);
    }

    /// The reply to the last order, waiting for it at most this long.
    pub(super) fn answer(&self, wait: Duration) -> Option<Result<R, Gone>> {
        match self.replies.recv_timeout(wait) {
            Ok(reply) => Some(Ok(reply)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(Gone)),
        }
    }
}

/// Starts a thread that nobody waits for.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), ReplayError> {
    match thread::Builder::new().name(name.to_owned()).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(ReplayError::Crashed(format!("the system gave no thread: {error}"))),
    }
}

/// How long is waited after a failure: twice as long after each, until something went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to wait after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        self.at_least(Duration::ZERO)
    }

    /// The same, and at least so long, as far as the longest is not shorter.
    pub(super) fn at_least(&mut self, wanted: Duration) -> Duration {
        let pause = wanted.clamp(self.next, self.longest);
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    /// Something went well.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again() {
        let second = Duration::from_secs;
        let mut pauses = Pauses::new(second(1), second(5));
        let four: Vec<u64> = (0..4).map(|_| pauses.after_failure().as_secs()).collect();
        assert_eq!(four, [1, 2, 4, 5]);
        pauses.reset();
        assert_eq!(pauses.at_least(second(3)), second(3));
        assert_eq!(pauses.at_least(second(9)), second(5));
    }

    #[test]
    fn a_thread_that_panics_is_gone_and_nobody_waits_for_it() {
        let aside: Aside<u32, u32> = Aside::start("test", |n| 10 / n).unwrap();
        aside.give(5);
        let patience = Duration::from_secs(60);
        assert_eq!(aside.answer(patience), Some(Ok(2)));
        aside.give(0);
        assert_eq!(aside.answer(patience), Some(Err(Gone)));
    }
}

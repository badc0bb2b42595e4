//! A courier on a thread of its own, so that a broker that is slow to answer delays neither a commit nor a cancel.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::super::error::ReplayError;
use super::{Courier, Order, Reply, Trouble};

/// What a courier's thread works with.
pub(in crate::replay) trait Outlet: Send + 'static {
    /// Carries an order out.
    fn carry_out(&mut self, order: Order) -> Result<Reply, Trouble>;
}

/// Hands orders to an [`Outlet`]. When this is dropped, its thread ends after what it is doing.
pub(in crate::replay) struct Threaded {
    orders: SyncSender<Order>,
    replies: Receiver<Reply>,
}

impl Threaded {
    pub(in crate::replay) fn start(mut outlet: impl Outlet) -> Result<Self, ReplayError> {
        // One order at a time, and one reply to it.
        let (orders, taken) = sync_channel::<Order>(1);
        let (answers, replies) = sync_channel(1);
        let work = move || {
            for order in taken {
                let reply = outlet.carry_out(order).unwrap_or_else(Reply::Failed);
                if answers.send(reply).is_err() {
                    return;
                }
            }
        };
        match thread::Builder::new().name("publish".to_owned()).spawn(work) {
            Ok(_) => Ok(Self { orders, replies }),
            Err(error) => Err(ReplayError::Crashed(format!("the system gave no thread: {error}"))),
        }
    }
}

impl Courier for Threaded {
    fn give(&mut self, order: Order) {
        // A thread that has gone shows in that no reply comes.
        let _ = self.orders.try_send(order);
    }

    fn answer(&mut self, wait: Duration) -> Option<Reply> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.replies.recv_timeout(wait) {
            Ok(reply) => Some(reply),
            Err(Timeout) => None,
            Err(Disconnected) => Some(Reply::Failed(Trouble {
                reason: "the publishing thread ended unexpectedly; start again".to_owned(),
                of_record: false,
            })),
        }
    }
}

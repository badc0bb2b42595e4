//! Waiting for the answer to a request, as an event in a queue.

use std::time::{Duration, Instant};

use super::codes::rd_kafka_event_error;
use super::{E, Fault, Native, millis, sys, text};

/// A queue of events that one caller waits at.
pub(super) struct Queue<'a> {
    pub(super) pointer: *mut sys::rd_kafka_queue_t,
    _native: &'a Native,
}

impl<'a> Queue<'a> {
    pub(super) fn new(native: &'a Native) -> Self {
        Self {
            // SAFETY: the handle is live and outlives the queue by the borrow.
            pointer: unsafe { sys::rd_kafka_queue_new(native.rk) },
            _native: native,
        }
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: the queue is live and this is its last use.
        unsafe { sys::rd_kafka_queue_destroy(self.pointer) };
    }
}

/// An event that was taken from a queue.
pub(super) struct Event(pub(super) *mut sys::rd_kafka_event_t);

impl Event {
    /// The event, unless it says that its whole request failed.
    fn checked(self) -> Result<Self, Fault> {
        // SAFETY: the event is live.
        let (code, words) = unsafe {
            (
                rd_kafka_event_error(self.0),
                text(sys::rd_kafka_event_error_string(self.0)),
            )
        };
        if code == 0 {
            Ok(self)
        } else {
            Err(Fault::with(code, words))
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is live and this is its last use.
        unsafe { sys::rd_kafka_event_destroy(self.0) };
    }
}

impl Native {
    /// Waits until an event comes to `queue`, the deadline passes, or it is certain that no broker can be reached.
    pub(super) fn wait(&self, queue: &Queue<'_>, deadline: Duration) -> Result<Event, Fault> {
        let start = Instant::now();
        loop {
            let left = deadline.saturating_sub(start.elapsed());
            // SAFETY: the queue is live; the event belongs to the caller.
            let event = unsafe { sys::rd_kafka_queue_poll(queue.pointer, millis(left.min(SLICE))) };
            if !event.is_null() {
                self.serve();
                return Event(event).checked();
            }
            self.serve();
            if left.is_zero() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__TIMED_OUT as i32));
            }
            if self.all_down() && self.is_hopeless(start.elapsed()) {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32));
            }
        }
    }

    /// Whether waiting longer makes no sense: a name that does not resolve and a refused login stay so, a refused connection
    /// may be a broker that is just starting.
    fn is_hopeless(&self, waited: Duration) -> bool {
        let lasting = self.trouble().is_some_and(|fault| {
            [
                E::RD_KAFKA_RESP_ERR__RESOLVE,
                E::RD_KAFKA_RESP_ERR__AUTHENTICATION,
                E::RD_KAFKA_RESP_ERR__SSL,
            ]
            .into_iter()
            .any(|code| fault.is(code))
        });
        waited >= if lasting { LASTING_GRACE } else { REFUSED_GRACE }
    }
}

/// How often a wait looks for connection troubles; an answer ends it at once.
const SLICE: Duration = Duration::from_millis(50);
/// How long refused connections are tried again before they count as an answer.
const REFUSED_GRACE: Duration = Duration::from_millis(1500);
/// The same for names that do not resolve and logins that are refused.
const LASTING_GRACE: Duration = Duration::from_millis(300);

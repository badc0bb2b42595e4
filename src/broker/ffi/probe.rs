//! Finding out that an outage is over. librdkafka says that no broker is left, once, and never that one came back.

use std::sync::Arc;
use std::time::Duration;

use super::admin::Options;
use super::codes::rd_kafka_event_error;
use super::queue::Event;
use super::{Native, sys};

/// How long a question may wait for a broker before it is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A question that is on its way since an outage was told; its answer ends the outage.
#[derive(Debug)]
pub(in crate::broker) struct Probe {
    queue: *mut sys::rd_kafka_queue_t,
    /// The outages that had been told when it was asked: its answer says nothing about a later one.
    outages: u64,
    native: Arc<Native>,
}

// SAFETY: librdkafka documents queues as usable from any thread.
unsafe impl Send for Probe {}

impl Probe {
    /// Asks, without waiting. librdkafka keeps the question until a broker is there.
    pub(in crate::broker) fn ask(native: &Arc<Native>) -> Self {
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER;
        let options = Options::new(native, operation, PATIENCE);
        let outages = native.outages();
        // SAFETY: handle and options are live for the call, which copies the options; the queue is ours until the drop.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_new(native.rk);
            sys::rd_kafka_DescribeCluster(native.rk, options.0, queue);
            queue
        };
        Self {
            queue,
            outages,
            native: Arc::clone(native),
        }
    }

    /// Whether the question is done with; if a broker answered it, the outage is over.
    pub(in crate::broker) fn is_done(&self) -> bool {
        // SAFETY: the queue is live; the event becomes ours.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue, 0) };
        if event.is_null() {
            return false;
        }
        let event = Event(event);
        // SAFETY: the event is live.
        if unsafe { rd_kafka_event_error(event.0) } == 0 && self.native.outages() == self.outages {
            self.native.answered();
        }
        true
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: the queue is live and this is its last use; the handle outlives it by the `Arc`.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

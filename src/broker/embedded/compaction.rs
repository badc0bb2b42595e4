//! The thread that compacts: one partition at a time, so that memory and disk have one round to bear.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Broker;
use super::api::now;
use super::store::Topic;

/// How often logs are looked at. Apache Kafka's `log.cleaner.backoff.ms` is 15 s; here people wait for it.
const LOOK: Duration = Duration::from_millis(500);
/// How long a partition is left alone after an error, such as a full disk.
const PAUSE: Duration = Duration::from_secs(60);

/// A thread that compacts until this is dropped, which ends a round between two batches.
#[derive(Debug)]
pub(crate) struct Compactor {
    cancelled: Arc<AtomicBool>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    pub fn start(broker: Arc<Broker>) -> std::io::Result<Self> {
        // Nothing is ever sent: that the sender is gone is the signal.
        let (stop, stopped) = sync_channel(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&cancelled);
        let thread = thread::Builder::new()
            .name("foldlog-compact".to_owned())
            .spawn(move || run(&broker, &stopped, &seen))?;
        Ok(Self {
            cancelled,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that compacts panicked");
        }
    }
}

/// The partitions that are left alone, and since when.
type Paused = HashMap<(Uuid, usize), Instant>;

fn run(broker: &Broker, stopped: &Receiver<()>, cancelled: &AtomicBool) {
    let mut paused = Paused::new();
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        paused.retain(|_, since| since.elapsed() < PAUSE);
        for topic in broker.store.topics() {
            compact(&topic, &mut paused, cancelled);
        }
    }
}

fn compact(topic: &Topic, paused: &mut Paused, cancelled: &AtomicBool) {
    let config = topic.config();
    let Some(policy) = config.compaction() else {
        return;
    };
    for (number, partition) in topic.partitions().iter().enumerate() {
        if cancelled.load(Ordering::Acquire) {
            return;
        }
        if paused.contains_key(&(topic.id, number)) {
            continue;
        }
        let compacted = partition.compact(policy, config.roll(), now(), cancelled);
        if let Err(error) = compacted
            && !partition.is_gone()
        {
            tracing::warn!(topic = topic.name, number, %error, "a partition was not compacted; it is tried again in a minute");
            paused.insert((topic.id, number), Instant::now());
        }
    }
}

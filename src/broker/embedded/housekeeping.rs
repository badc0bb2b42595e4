//! What happens beside the requests: syncing the log every second, and retention.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Broker;
use super::api::now;

/// How much a power loss may cost at most.
const SYNC: Duration = Duration::from_secs(1);
const RETAIN: Duration = Duration::from_secs(10);

/// A thread that syncs and retains until this is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeper {
    pub fn start(broker: Arc<Broker>) -> std::io::Result<Self> {
        // Nothing is ever sent: that the sender is gone is the signal.
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("foldlog-log".to_owned())
            .spawn(move || run(&broker, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log panicked");
        }
    }
}

fn run(broker: &Broker, stopped: &Receiver<()>) {
    open_all(broker, stopped);
    let mut retained = Instant::now();
    while stopped.recv_timeout(SYNC) == Err(RecvTimeoutError::Timeout) {
        sync(broker);
        if retained.elapsed() >= RETAIN {
            retain(broker);
            retained = Instant::now();
        }
    }
}

/// Opens every log, so that what a crash left is mended soon and not when somebody asks.
fn open_all(broker: &Broker, stopped: &Receiver<()>) {
    for topic in broker.store.topics() {
        for (number, partition) in topic.partitions().iter().enumerate() {
            if stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                return;
            }
            if let Err(error) = partition.open() {
                tracing::error!(topic = topic.name, number, %error, "a partition cannot be opened");
            }
        }
    }
}

fn sync(broker: &Broker) {
    for topic in broker.store.topics() {
        for (number, partition) in topic.partitions().iter().enumerate() {
            if let Err(error) = partition.sync() {
                tracing::error!(topic = topic.name, number, %error, "the log was not synced");
            }
        }
    }
    if let Err(error) = broker.groups.sync() {
        tracing::error!(%error, "the committed offsets were not synced");
    }
}

fn retain(broker: &Broker) {
    for topic in broker.store.topics() {
        let limits = topic.config().limits();
        for (number, partition) in topic.partitions().iter().enumerate() {
            if let Err(error) = partition.retain(&limits, now()) {
                tracing::warn!(topic = topic.name, number, %error, "old records were not removed");
            }
        }
    }
}

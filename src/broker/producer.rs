//! Writing records: idempotent, acknowledged by all replicas, batched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::{Header, Timestamp};

use super::client::{Client, Role, plain};
use super::error::BrokerError;
use super::ffi::produce::{Payload, Target};
use super::ffi::{Fault, Native};

/// A record to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` lets the key decide (murmur2, as Java clients do), or spreads records without a key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` writes a tombstone.
    pub value: Option<&'a [u8]>,
    /// The time; `None` for now. Kafka has no times before 1970.
    pub timestamp: Option<Timestamp>,
    /// The headers.
    pub headers: &'a [Header],
}

/// Writes records in the background; `flush` waits for the acknowledgements and tells of the first that failed.
///
/// Records of one partition are written in the order of `send`, each once, even where a connection breaks in between
/// (librdkafka's idempotent producer). Dropping it without `flush` throws away what is still queued.
#[derive(Debug)]
pub struct Producer {
    // Before the handle, which they need.
    targets: Mutex<HashMap<String, Arc<Target>>>,
    pub(super) native: Arc<Native>,
    pub(super) client: Client,
    sent: AtomicU64,
}

/// How long `send` waits for room in the queue before it looks again whether deliveries failed.
const ROOM: Duration = Duration::from_millis(2);

impl Producer {
    /// Queues a record, waiting while the bounded queue is full. An error if the record cannot be written (its topic or
    /// partition does not exist, it is too large) or if an earlier one failed: then nothing more is taken.
    pub fn send(&self, record: NewRecord<'_>) -> Result<(), BrokerError> {
        let target = self.target(record.topic)?;
        let payload = Payload {
            partition: record.partition,
            key: record.key,
            value: record.value,
            timestamp: record.timestamp.map(|time| time.0),
            headers: record.headers,
        };
        loop {
            match target.send(&payload) {
                Ok(()) => {
                    let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
                    // Failed deliveries wait to be noticed; looking at every record would cost more than writing it.
                    if sent.is_multiple_of(1024) {
                        self.native.serve();
                        self.check()?;
                    }
                    return Ok(());
                }
                Err(fault) if fault.is_full() => {
                    self.native.poll(ROOM);
                    self.check()?;
                }
                Err(fault) => return Err(self.write_error(1, record.topic, &fault)),
            }
        }
    }

    /// Waits until every record is acknowledged; returns how many were since the producer was made.
    /// An error says how many failed and why the first did.
    pub fn flush(&self, deadline: Duration) -> Result<u64, BrokerError> {
        let start = Instant::now();
        let empty = self.native.flush(deadline);
        self.native.serve();
        self.check()?;
        if !empty {
            return Err(BrokerError::NotAcknowledged {
                pending: self.native.pending() as u64,
                reason: self.native.trouble().map_or_else(
                    || "the broker is slow to answer".to_owned(),
                    |fault| plain(&fault.reason),
                ),
                waited: start.elapsed(),
            });
        }
        Ok(self.acknowledged())
    }

    /// How many records were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        let pending = self.native.pending() as u64 + self.native.failed();
        self.sent.load(Ordering::Relaxed).saturating_sub(pending)
    }

    /// An error if a delivery failed.
    fn check(&self) -> Result<(), BrokerError> {
        match self.native.first_failure() {
            None => Ok(()),
            Some((topic, fault)) => Err(self.write_error(self.native.failed(), &topic, &fault)),
        }
    }

    fn write_error(&self, failed: u64, topic: &str, fault: &Fault) -> BrokerError {
        let mut reason = fault.reason.clone();
        if let Some(trouble) = self.native.trouble().filter(|_| fault.is_silence()) {
            reason = format!("{reason} ({})", plain(&trouble.reason));
        }
        BrokerError::Write {
            failed,
            topic: topic.to_owned(),
            of_record: fault.is_of_the_record(),
            hint: if fault.is_too_large() {
                "Raise the topic's `max.message.bytes`, or write smaller records"
            } else if fault.is_invalid_record() {
                "If the topic is compacted (`cleanup.policy=compact`), give every record a key"
            } else if fault.is_unexplained() {
                // What the broker adds in words cannot be had: librdkafka 2.12 frees it before the report is delivered.
                "Foldlog's own broker answers so when its disk is full: free space and write again; `foldlog.log` in its data \
                 directory says more. Of another broker, see its log"
            } else {
                ""
            },
            reason,
        }
    }

    /// The handle of a topic. The first time its existence is checked, because librdkafka would only tell after a long wait,
    /// and asking the broker to write could make it create the topic.
    fn target(&self, name: &str) -> Result<Arc<Target>, BrokerError> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(name) {
            return Ok(Arc::clone(target));
        }
        self.client.topic(name)?;
        let target = Target::new(&self.native, name).map_err(|fault| self.write_error(1, name, &fault))?;
        let target = Arc::new(target);
        targets.insert(name.to_owned(), Arc::clone(&target));
        Ok(target)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.native.pending() > 0 {
            self.native.purge();
        }
    }
}

impl Client {
    /// A producer. Refused where the profile forbids writing.
    ///
    /// Its defaults can be overridden by the profile's properties: idempotence, `acks=all`, `linger.ms=5`, a queue of 64 MB
    /// or 200,000 records, lz4, and 30 s (`delivery.timeout.ms`) before a record that nobody acknowledges counts as failed.
    pub fn producer(&self) -> Result<Producer, BrokerError> {
        self.producer_with(&[])
    }

    pub(super) fn producer_with(&self, more: &[(&'static str, String)]) -> Result<Producer, BrokerError> {
        self.allow_write("writing records")?;
        let defaults = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("linger.ms", "5"),
            ("queue.buffering.max.kbytes", "65536"),
            ("queue.buffering.max.messages", "200000"),
            ("batch.size", "1000000"),
            ("batch.num.messages", "10000"),
            ("compression.codec", "lz4"),
            // As large as the protocol's limit allows a topic to be told; what a broker refuses it says itself.
            ("message.max.bytes", "128000000"),
            ("message.timeout.ms", "30000"),
            // Java's default partitioner for keys, so that both put a key into the same partition.
            ("partitioner", "murmur2_random"),
            // Successes are counted by what remains, so that nothing is called for each record.
            ("delivery.report.only.error", "true"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let properties: Vec<(&str, String)> = defaults.into_iter().chain(more.iter().cloned()).collect();
        Ok(Producer {
            targets: Mutex::default(),
            native: self.handle(Role::Producer, &properties)?,
            client: self.clone(),
            sent: AtomicU64::new(0),
        })
    }
}

//! Writing in transactions where the broker has them: what is committed is there as a whole, and whoever wrote under the same
//! name before is shut out.

use std::time::{Duration, Instant};

use super::client::Client;
use super::error::BrokerError;
use super::ffi::Fault;
use super::producer::{NewRecord, Producer};

/// How long the broker may take to settle what a predecessor left open; it answers that it is busy until then.
const BEGIN: Duration = Duration::from_secs(60);
/// How long giving up may take: whoever comes next gives up for us.
const ABORT: Duration = Duration::from_secs(2);

/// Writes records by transactions. On a broker without them it is a [`Producer`], whose records are there one by one.
#[derive(Debug)]
pub struct TransactionalProducer {
    producer: Producer,
    transactions: bool,
    name: String,
}

impl Client {
    /// A producer under a name that only one has at a time. Refused where the profile forbids writing.
    ///
    /// When this returns, nothing that a predecessor of this name sent can come any more, and its transaction, if one was open, is
    /// committed or given up. A broker without transactions, or where the user may not have any, promises neither.
    pub fn transactional(&self, name: &str) -> Result<TransactionalProducer, BrokerError> {
        let producer = self.producer_with(&[("transactional.id", name.to_owned())])?;
        let start = Instant::now();
        loop {
            match producer.native.init_transactions(BEGIN.saturating_sub(start.elapsed())) {
                Ok(()) => {
                    return Ok(TransactionalProducer {
                        producer,
                        transactions: true,
                        name: name.to_owned(),
                    });
                }
                Err(fault) if fault.is_without_transactions() => {
                    tracing::info!(reason = fault.reason, "no transactions here");
                    return Ok(TransactionalProducer {
                        // A record that cannot be written must not be overtaken by those behind it.
                        producer: self.producer_with(&[("enable.gapless.guarantee", "true".to_owned())])?,
                        transactions: false,
                        name: name.to_owned(),
                    });
                }
                Err(fault) if fault.is_busy() && start.elapsed() < BEGIN => {
                    std::thread::sleep(Duration::from_millis(50))
                }
                Err(fault) => {
                    return Err(self.error_of(
                        &producer.native,
                        "beginning to write in transactions",
                        &fault,
                        start.elapsed(),
                    ));
                }
            }
        }
    }
}

impl TransactionalProducer {
    /// Whether the broker has transactions.
    pub fn has_transactions(&self) -> bool {
        self.transactions
    }

    /// Writes records: all of them are there when this returns. After an error some may be there, where the broker has no
    /// transactions or nobody knows how the last one ended; the producer is then of no more use. Where another producer has begun under
    /// its name the error is [`BrokerError::Fenced`].
    pub fn write<'r>(
        &self,
        records: impl IntoIterator<Item = NewRecord<'r>>,
        deadline: Duration,
    ) -> Result<(), BrokerError> {
        let start = Instant::now();
        if self.transactions {
            self.producer
                .native
                .begin_transaction()
                .map_err(|fault| self.failed(&fault, start))?;
        }
        let sent = records.into_iter().try_for_each(|record| self.producer.send(record));
        let written = sent.and_then(|()| self.producer.flush(deadline).map(drop));
        if !self.transactions {
            return written;
        }
        let committed = written.and_then(|()| {
            let left = deadline.saturating_sub(start.elapsed());
            self.producer
                .native
                .commit_transaction(left)
                .map_err(|fault| self.failed(&fault, start))
        });
        if committed.is_err() {
            // Whoever begins under this name next does the same if this does not succeed.
            let _ = self.producer.native.abort_transaction(ABORT);
            if self.producer.native.is_fenced() {
                return Err(self.fenced());
            }
        }
        committed
    }

    fn fenced(&self) -> BrokerError {
        BrokerError::Fenced {
            name: self.name.clone(),
        }
    }

    fn failed(&self, fault: &Fault, start: Instant) -> BrokerError {
        if fault.is_fenced() {
            return self.fenced();
        }
        let client = &self.producer.client;
        client.error_of(&self.producer.native, "writing a transaction", fault, start.elapsed())
    }
}

//! Publishing what a projection emits: record by record in the order of the outbox, each once.
//!
//! The fold alone writes the outbox. What is to be sent goes to a courier, which knows the broker and may wait for it; what became of
//! it comes back and is written down with the next commit. Whatever ends in between, the next start looks behind the place that the
//! topics are known to have reached for the ids of what is still in the outbox: what is found has arrived.

mod kafka;

use std::time::{Duration, Instant};

use crate::readmodel::error::ReadModelError;
use crate::readmodel::fold::Fold;
use crate::readmodel::outbox::{Emission, Settlement};
use crate::record::Position;

pub(super) use kafka::Kafka;

use super::aside::{Aside, Gone, Pauses};
use super::progress::Meter;

/// Records in one go: what is sent again after a crash, and what a transaction holds.
const BATCH: usize = 5_000;
/// Bytes in one go.
const BYTES: usize = 8 * 1024 * 1024;
/// What is waited after failures.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(30));

/// What a courier is told to do; one thing at a time.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// Begin: shut out whoever published before, make topics that are missing, and find what arrived.
    Look {
        /// The topics.
        topics: Vec<String>,
        /// How far they are known to have reached behind what was published.
        since: Position,
    },
    /// Send these in order.
    Send(Vec<Emission>),
}

/// What became of it.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// It was looked.
    Looked {
        /// The ids that are there.
        found: Vec<String>,
        /// How far the topics reach.
        ends: Position,
        /// What has to be said, such as that a topic was made.
        notices: Vec<String>,
    },
    /// All of them are there, and the topics reach as far as this, where that is known.
    Sent(Position),
    /// It failed; of what was to be sent some may be there.
    Failed(Trouble),
}

/// Why something could not be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// For people.
    pub(super) reason: String,
    /// Whether it is about a record, which trying again does not mend.
    pub(super) of_record: bool,
}

/// Carries out orders, one after the other.
pub(super) trait Courier: Send {
    /// Takes an order; never while another is under way.
    fn give(&mut self, order: Order);
    /// What became of the last one, waiting for it at most this long.
    fn answer(&mut self, wait: Duration) -> Option<Reply>;
}

impl Courier for Aside<Order, Reply> {
    fn give(&mut self, order: Order) {
        Aside::give(self, order);
    }

    fn answer(&mut self, wait: Duration) -> Option<Reply> {
        let gone = |Gone| {
            Reply::Failed(Trouble {
                reason: "the publishing thread ended unexpectedly; start again".to_owned(),
                of_record: false,
            })
        };
        Some(Aside::answer(self, wait)?.unwrap_or_else(gone))
    }
}

/// What is under way.
#[derive(Debug)]
enum Doing {
    /// It is not known what arrived.
    Unsure,
    Looking,
    /// Everything that was sent is settled.
    Ready,
    /// The numbers of what is being sent, and the id of the first.
    Sending(Vec<i64>, String),
    /// After a failure.
    Resting(Instant),
}

/// Publishes what a fold emits.
pub(super) struct Publisher {
    courier: Box<dyn Courier>,
    topics: Vec<String>,
    /// Whether a record that the broker does not take is gone on past.
    go_on: bool,
    doing: Doing,
    /// Whether nothing new is sent for now.
    held: bool,
    pauses: Pauses,
    /// Records that are sent one by one, to find the one that cannot be.
    alone: usize,
    trouble: Option<String>,
}

impl Publisher {
    /// Publishes to these topics.
    pub(super) fn new(courier: impl Courier + 'static, topics: Vec<String>, go_on: bool) -> Self {
        Self {
            courier: Box::new(courier),
            topics,
            go_on,
            doing: Doing::Unsure,
            held: false,
            pauses: PAUSES,
            alone: 0,
            trouble: None,
        }
    }

    /// Whether an event whose emit fails, and a record that the broker does not take, are gone on past.
    pub(super) fn goes_on(&self) -> bool {
        self.go_on
    }

    /// Sends nothing new as long as this is true; what is on its way is still heard of.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether an answer is awaited.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.doing, Doing::Looking | Doing::Sending(..))
    }

    /// Does what can be done now, without waiting.
    pub(super) fn step(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        for refused in fold.take_refused() {
            meter.notice(format!("{} is not published: {}", refused.id, refused.reason));
        }
        loop {
            match &self.doing {
                Doing::Unsure | Doing::Ready if self.held => return Ok(()),
                Doing::Resting(until) if Instant::now() < *until => return Ok(()),
                Doing::Resting(_) => self.doing = Doing::Unsure,
                Doing::Unsure => self.look(fold)?,
                Doing::Ready => {
                    let most = if self.alone > 0 { 1 } else { BATCH };
                    let next = fold.waiting(most, BYTES)?;
                    let Some(first) = next.first() else { return Ok(()) };
                    let first = first.emission.id.clone();
                    self.doing = Doing::Sending(next.iter().map(|waiting| waiting.seq).collect(), first);
                    let records = next.into_iter().map(|waiting| waiting.emission).collect();
                    self.courier.give(Order::Send(records));
                }
                Doing::Looking | Doing::Sending(..) => match self.courier.answer(Duration::ZERO) {
                    Some(reply) => self.settle(reply, fold, meter)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Publishes what waits, until nothing does, something fails, or `stop` says so.
    pub(super) fn drain(
        &mut self,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), ReadModelError> {
        loop {
            self.step(fold, meter)?;
            if !self.is_busy() || stop() {
                return Ok(());
            }
            self.await_answer(Duration::from_millis(10), fold, meter)?;
        }
    }

    /// Waits for the answer that is under way, if there is one, but not for long.
    pub(super) fn await_answer(
        &mut self,
        wait: Duration,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
    ) -> Result<(), ReadModelError> {
        if self.is_busy()
            && let Some(reply) = self.courier.answer(wait)
        {
            self.settle(reply, fold, meter)?;
        }
        Ok(())
    }

    fn look(&mut self, fold: &Fold<'_>) -> Result<(), ReadModelError> {
        let mut topics = self.topics.clone();
        topics.extend(fold.waiting_topics()?);
        topics.sort();
        topics.dedup();
        let since = fold.emit_ends()?;
        self.courier.give(Order::Look { topics, since });
        self.doing = Doing::Looking;
        Ok(())
    }

    fn settle(&mut self, reply: Reply, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        let doing = std::mem::replace(&mut self.doing, Doing::Unsure);
        match reply {
            Reply::Looked { found, ends, notices } => {
                notices.into_iter().for_each(|notice| meter.notice(notice));
                let news = Settlement {
                    found,
                    ends,
                    // That it can be looked does not mean that it can be sent.
                    trouble: self.trouble.clone(),
                    ..Settlement::default()
                };
                fold.settle(&news)?;
                self.doing = Doing::Ready;
            }
            Reply::Sent(ends) => {
                let sent = match doing {
                    Doing::Sending(sent, _) => sent,
                    _ => Vec::new(),
                };
                self.alone = self.alone.saturating_sub(sent.len());
                let news = Settlement {
                    sent,
                    ends,
                    ..Settlement::default()
                };
                fold.settle(&news)?;
                self.pauses.reset();
                if self.trouble.take().is_some() {
                    meter.notice("what it emits is published again".to_owned());
                }
                self.doing = Doing::Ready;
            }
            Reply::Failed(trouble) => self.failed(&doing, trouble, fold, meter)?,
        }
        Ok(())
    }

    fn failed(
        &mut self,
        doing: &Doing,
        mut trouble: Trouble,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
    ) -> Result<(), ReadModelError> {
        if let (Doing::Sending(sent, first), true) = (doing, trouble.of_record) {
            if sent.len() > 1 {
                self.alone = sent.len();
                return Ok(());
            }
            trouble.reason = format!("{first}: {}", trouble.reason);
            if let (Some(seq), true) = (sent.first(), self.go_on) {
                self.alone = self.alone.saturating_sub(1);
                meter.notice(format!("a record is not published: {}", trouble.reason));
                let news = Settlement {
                    refused: Some((*seq, trouble.reason)),
                    ..Settlement::default()
                };
                return fold.settle(&news);
            }
        }
        if self.trouble.as_ref() != Some(&trouble.reason) {
            let help = if trouble.of_record {
                "; --skip-poison goes on past such a record"
            } else {
                ""
            };
            meter.notice(format!("what it emits waits: {}{help}; trying on", trouble.reason));
            let news = Settlement {
                trouble: Some(trouble.reason.clone()),
                ..Settlement::default()
            };
            fold.settle(&news)?;
            self.trouble = Some(trouble.reason);
        }
        self.doing = Doing::Resting(Instant::now() + self.pauses.after_failure());
        Ok(())
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;

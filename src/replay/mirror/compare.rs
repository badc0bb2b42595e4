//! Whether a mirror holds what its source holds, record by record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::reader::{Batch, Order, Poll, Range, ReadPlan, Reader};
use crate::broker::topics::Watermarks;
use crate::record::RecordRef;
use crate::replay::error::ReplayError;
use crate::replay::log::Log;

const WAIT: Duration = Duration::from_millis(50);
/// How long the next record may stay away.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Records that are the same on both sides, at the same place in their partition's order.
    pub equal: u64,
    /// Places at which the two have different records.
    pub different: u64,
    /// Records at the source's end that the mirror does not have.
    pub missing: u64,
    /// Records at the mirror's end that the source does not have.
    pub extra: u64,
    /// The first place that is not equal, in words.
    pub first: Option<String>,
}

impl Comparison {
    /// Everything that is not equal.
    pub fn unequal(&self) -> u64 {
        self.different + self.missing + self.extra
    }

    fn note(&mut self, at: impl FnOnce() -> String) {
        if self.first.is_none() {
            self.first = Some(at());
        }
    }
}

/// Compares topics of two clusters as they are now. Two batches are in memory at a time. `give_up` is asked between records.
pub fn compare(
    source: &Client,
    mirror: &Client,
    topics: &[String],
    give_up: &dyn Fn() -> bool,
) -> Result<Comparison, ReplayError> {
    let ours = Log::survey(source, topics)?;
    let theirs = Log::survey(mirror, topics)?;
    let mut result = Comparison::default();
    for (here, there) in ours.topics.iter().zip(&theirs.topics) {
        for marks in &here.partitions {
            let other = there.partitions.iter().find(|other| other.partition == marks.partition);
            let mut left = Side::open(source, &here.name, Some(marks))?;
            let mut right = Side::open(mirror, &there.name, other)?;
            loop {
                if give_up() {
                    return Err(ReplayError::Cancelled);
                }
                if !step(&mut left, &mut right, &mut result)? {
                    break;
                }
            }
        }
    }
    Ok(result)
}

/// Compares the next record of both; `false` at the end of both.
fn step(left: &mut Side, right: &mut Side, result: &mut Comparison) -> Result<bool, ReplayError> {
    let (more_left, more_right) = (left.fill()?, right.fill()?);
    match (left.record(), right.record()) {
        (Some(here), Some(there)) if is_equal(&here, &there) => result.equal += 1,
        (Some(here), Some(there)) => {
            result.different += 1;
            let (topic, partition) = (here.topic, here.partition);
            result.note(|| {
                format!(
                    "{topic}[{partition}]: offset {} is not what the mirror has at its offset {}",
                    here.offset, there.offset
                )
            });
        }
        (Some(here), None) => {
            result.missing += 1;
            result.note(|| {
                format!(
                    "{}[{}]: offset {} is not in the mirror",
                    here.topic, here.partition, here.offset
                )
            });
        }
        (None, Some(there)) => {
            result.extra += 1;
            result.note(|| {
                format!(
                    "{}[{}]: the mirror's record at offset {} is not in the source",
                    there.topic, there.partition, there.offset
                )
            });
        }
        (None, None) => {}
    }
    left.at += 1;
    right.at += 1;
    Ok(more_left || more_right)
}

/// Where a time cannot be written, the record is the same with the one that is written for it.
fn is_equal(here: &RecordRef<'_>, there: &RecordRef<'_>) -> bool {
    let time = |record: &RecordRef<'_>| super::written_time(record.timestamp);
    here.key == there.key && here.value == there.value && time(here) == time(there) && here.headers == there.headers
}

/// One partition of one side, a batch at a time.
struct Side {
    reader: Option<Reader>,
    batch: Option<Batch>,
    at: usize,
}

impl Side {
    fn open(client: &Client, topic: &Arc<str>, marks: Option<&Watermarks>) -> Result<Self, BrokerError> {
        let marks = marks.filter(|marks| marks.high > marks.low);
        let plan = marks.map(|marks| ReadPlan {
            ranges: vec![Range {
                topic: topic.clone(),
                partition: marks.partition,
                start: marks.low,
                end: Some(marks.high),
            }],
            order: Order::Arrival,
        });
        Ok(Self {
            reader: plan.map(|plan| client.reader(plan)).transpose()?,
            batch: None,
            at: 0,
        })
    }

    /// Sees to it that the next record is at hand; `false` at the end.
    fn fill(&mut self) -> Result<bool, BrokerError> {
        if self.record().is_some() {
            return Ok(true);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        let began = Instant::now();
        loop {
            match reader.poll(WAIT)? {
                Poll::Batch(batch) if batch.is_empty() => {}
                Poll::Batch(batch) => {
                    self.batch = Some(batch);
                    self.at = 0;
                    return Ok(true);
                }
                Poll::End => {
                    self.reader = None;
                    self.batch = None;
                    return Ok(false);
                }
                Poll::Idle if began.elapsed() < PATIENCE => {}
                Poll::Idle => {
                    let message = format!(
                        "no record came for {} s while a mirror was compared",
                        PATIENCE.as_secs()
                    );
                    return Err(BrokerError::Other(reader.trouble().unwrap_or(message)));
                }
            }
        }
    }

    fn record(&self) -> Option<RecordRef<'_>> {
        self.batch.as_ref()?.get(self.at)
    }
}

//! What stands in the target's partitions: how far they reach, and whether somebody else wrote there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::broker::topics::TopicInfo;
use crate::record::TopicPartition;
use crate::replay::error::ReplayError;

use super::ledger::Entry;

const WAIT: Duration = Duration::from_millis(50);
/// How long what was written may stay out of reach of readers: longer than a transaction that its writer left open.
pub(super) const LOOK: Duration = Duration::from_secs(90);

/// Where each partition of a topic ends, transactions that are still open included.
pub(super) fn ends(target: &Client, info: &TopicInfo) -> Result<BTreeMap<i32, i64>, BrokerError> {
    let marks = target.reading(false).watermarks(info)?;
    Ok(marks.into_iter().map(|mark| (mark.partition, mark.high)).collect())
}

/// Whether there are records between the beginning of the last batch, which came in a transaction, and `end` that are not of it.
///
/// How many offsets lie there does not tell: markers take some, and so do the records of transactions that were given up. How many
/// records are left does not tell either, because retention and compaction may have taken some. So both are looked at: no more records
/// than were written, and none behind where the last was written.
pub(super) fn holds_others(
    target: &Client,
    at: &TopicPartition,
    last: &Entry,
    end: i64,
    give_up: &dyn Fn() -> bool,
) -> Result<bool, ReplayError> {
    let info = target.topic(&at.topic)?;
    let marks = target.reading(false).watermarks(&info)?;
    let low = marks
        .iter()
        .find(|mark| mark.partition == at.partition)
        .map_or(0, |mark| mark.low);
    let start = last.target.max(low);
    if start >= end {
        return Ok(false);
    }
    let plan = ReadPlan {
        ranges: vec![Range {
            topic: at.topic.clone(),
            partition: at.partition,
            start,
            end: Some(end),
        }],
        order: Order::Arrival,
    };
    let mut reader = target.reading(true).reader(plan)?;
    let (began, mut count) = (Instant::now(), 0);
    loop {
        match reader.poll(WAIT)? {
            Poll::Batch(batch) => {
                for record in batch.iter() {
                    count += 1;
                    // A marker of the transaction before may have come in between.
                    if count > last.len() || record.offset > last.target + last.len() {
                        return Ok(true);
                    }
                }
            }
            Poll::End => return Ok(false),
            Poll::Idle if give_up() => return Err(ReplayError::Cancelled),
            Poll::Idle if began.elapsed() < LOOK => {}
            Poll::Idle => {
                let message = format!("the end of {at} of the target cannot be read: a transaction is open there");
                return Err(BrokerError::Other(message).into());
            }
        }
    }
}

/// That records stand there that the mirror did not write, or are gone that it did.
pub(super) fn foreign(at: &TopicPartition) -> ReplayError {
    super::refused(
        format!("somebody else has written to {at} of the target, or removed records there"),
        "a mirror is written by the mirror alone: delete the topic there and mirror it anew, or mirror to another cluster",
    )
}

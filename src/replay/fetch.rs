//! Single records of the log, found again by where they stand.

use std::collections::{BTreeMap, VecDeque};

use crate::broker::reader::Range;
use crate::record::{Position, TopicPartition};

use super::error::ReplayError;
use super::log::Log;
use super::rebuild::WAIT;
use super::source::{Polled, Records, Source};
use super::step::Step;
use super::task::Control;

/// Offsets between two records that are read over: less than another look for the next one costs.
const NEAR: i64 = 1_000;

/// Puts values and headers into the records of `steps`. Returns how many are no longer in the log; they stay without.
pub(super) fn fetch<S: Source>(
    steps: &mut [Step],
    log: &Log,
    open: &dyn Fn(Vec<Range>) -> Result<S, ReplayError>,
    control: &Control,
) -> Result<u64, ReplayError> {
    let mut wanted: BTreeMap<(TopicPartition, i64), usize> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let at = TopicPartition::new(step.record.topic.clone(), step.record.partition);
        wanted.insert((at, step.record.offset), number);
    }
    let mut spans = spans(wanted.keys(), &log.starts(), &log.ends());
    while !spans.is_empty() {
        // One span of each partition at a time: a reader goes through a partition once.
        let round: Vec<Range> = spans.values_mut().filter_map(VecDeque::pop_front).collect();
        spans.retain(|_, left| !left.is_empty());
        let mut source = open(round)?;
        loop {
            match source.poll(WAIT)? {
                Polled::Batch(batch) => {
                    for record in batch.records() {
                        let at = TopicPartition::new(record.topic, record.partition);
                        let number = wanted.remove(&(at, record.offset));
                        if let Some(step) = number.and_then(|number| steps.get_mut(number)) {
                            step.record = record.to_record();
                        }
                    }
                }
                Polled::Idle if control.cancel.is_cancelled() => return Err(ReplayError::Cancelled),
                Polled::Idle => {}
                Polled::End => break,
            }
        }
    }
    Ok(wanted.len() as u64)
}

/// The stretches of each partition that hold the wanted records, as far as the log still has them.
fn spans<'w>(
    wanted: impl Iterator<Item = &'w (TopicPartition, i64)>,
    starts: &Position,
    ends: &Position,
) -> BTreeMap<TopicPartition, VecDeque<Range>> {
    let mut spans: BTreeMap<TopicPartition, VecDeque<Range>> = BTreeMap::new();
    for (at, offset) in wanted {
        let there =
            starts.next(at).is_some_and(|start| start <= *offset) && ends.next(at).is_some_and(|end| *offset < end);
        if !there {
            continue;
        }
        let of_partition = spans.entry(at.clone()).or_default();
        match of_partition.back_mut() {
            Some(last) if last.end.is_some_and(|end| offset - end < NEAR) => last.end = Some(offset + 1),
            _ => of_partition.push_back(Range {
                topic: at.topic.clone(),
                partition: at.partition,
                start: *offset,
                end: Some(offset + 1),
            }),
        }
    }
    spans
}

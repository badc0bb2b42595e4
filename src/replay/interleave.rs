//! The log in another order between its partitions: each partition keeps its own, and what decides is a number, not chance.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::broker::reader::Range;
use crate::record::{Position, TopicPartition};

use super::at::is_empty;
use super::error::ReplayError;
use super::log;
use super::source::{Polled, Source};

/// Slices in all: each is a reader of its own, which takes a moment to open.
const SLICES: usize = 64;
/// Slices of one partition at most.
const EACH: u64 = 8;

/// Draws evenly, always the same from one seed.
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// From `0..n`; 0 where that is empty.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

/// The ranges cut into slices that are read one after the other. No slice of a partition comes before an earlier one of it.
pub(super) fn shuffled(ranges: &[Range], seed: u64) -> Vec<Range> {
    let mut chance = Chance::new(seed);
    let each = (SLICES / ranges.len().max(1)).clamp(1, EACH as usize);
    let mut queues: Vec<Vec<Range>> = ranges.iter().map(|range| sliced(range, each, &mut chance)).collect();
    let mut plan = Vec::new();
    loop {
        queues.retain(|queue| !queue.is_empty());
        let at = chance.below(queues.len() as u64) as usize;
        match queues.get_mut(at) {
            Some(queue) => plan.extend(queue.pop()),
            None => return plan,
        }
    }
}

/// The slices of one partition, the last one first.
fn sliced(range: &Range, count: usize, chance: &mut Chance) -> Vec<Range> {
    let end = range.end.unwrap_or(range.start);
    let length = u64::try_from(end - range.start).unwrap_or(0);
    let mut cuts: Vec<i64> = (1..count)
        .map(|_| range.start + chance.below(length + 1) as i64)
        .chain([range.start, end])
        .collect();
    cuts.sort_unstable();
    let slices = cuts.iter().zip(cuts.iter().skip(1)).map(|(start, end)| Range {
        start: *start,
        end: Some(*end),
        ..range.clone()
    });
    slices.filter(|slice| !is_empty(slice)).rev().collect()
}

/// What of the slices lies before a position.
pub(super) fn before(plan: &[Range], position: &Position) -> Vec<Range> {
    let cut = |slice: &Range| {
        let next = position.next(&TopicPartition::new(slice.topic.clone(), slice.partition))?;
        let end = slice.end.map_or(next, |end| end.min(next));
        Some(Range {
            end: Some(end),
            ..slice.clone()
        })
    };
    plan.iter().filter_map(cut).filter(|slice| !is_empty(slice)).collect()
}

/// Reads one slice after the other.
pub(super) struct Slices<'o, S> {
    rest: std::vec::IntoIter<Range>,
    open: &'o (dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync),
    current: Option<S>,
    position: Position,
}

impl<'o, S: Source> Slices<'o, S> {
    pub(super) fn new(plan: Vec<Range>, open: &'o (dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync)) -> Self {
        Self {
            rest: plan.into_iter(),
            open,
            current: None,
            position: Position::new(),
        }
    }

    fn reached(&mut self, position: &Position) {
        for (partition, next) in position.iter() {
            self.position.set(partition.clone(), next);
        }
    }
}

impl<S: Source> Source for Slices<'_, S> {
    type Batch = S::Batch;

    fn poll(&mut self, wait: Duration) -> Result<Polled<S::Batch>, ReplayError> {
        let Some(current) = &mut self.current else {
            let Some(slice) = self.rest.next() else {
                return Ok(Polled::End);
            };
            self.reached(&log::starts(std::slice::from_ref(&slice)));
            self.current = Some((self.open)(vec![slice])?);
            return Ok(Polled::Idle);
        };
        let polled = current.poll(wait)?;
        let position = current.position();
        self.reached(&position);
        if let Polled::End = polled {
            self.current = None;
            return Ok(Polled::Idle);
        }
        Ok(polled)
    }

    fn position(&self) -> Position {
        self.position.clone()
    }

    fn trouble(&self) -> Option<String> {
        self.current.as_ref().and_then(Source::trouble)
    }
}

//! Verify: a shadow rebuild to exactly the position of the read model in use, compared with it row by row.
//!
//! The read model in use is copied in one read transaction, and neither written nor kept from being written. The shadow begins
//! with the log's first record: a snapshot would carry along what went wrong before it.

use std::sync::Arc;

use crate::broker::client::Client;
use crate::broker::reader::Range;
use crate::readmodel::compare::{Difference, RowDifference, Side, Tally, compare};
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::store::{Counts, ReadModelInfo, Store};
use crate::record::{Position, RecordRef, Timestamp};

use super::at::{Past, Told, is_empty, merged};
use super::drift::{self, First, Interleaved};
use super::error::ReplayError;
use super::faults::{self, Verdict};
use super::keeper::Keeper;
use super::log::{self, Span};
use super::progress::Phase;
use super::rebuild::read;
use super::source::Source;
use super::task::{Control, Task};

/// How to verify: which faults of the projection itself are hunted for besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// Apply each record twice in a row.
    pub twice: bool,
    /// Read the partitions in another order between them, which this number decides.
    pub shuffle: Option<u64>,
    /// Cut the replay at commits that this number decides, and resume it.
    pub crash: Option<u64>,
}

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The read model in use, as it was when it was copied.
    pub info: ReadModelInfo,
    /// The copy.
    pub model: Scratch,
    /// What the log says that it should be.
    pub shadow: Scratch,
    /// How the two compare.
    pub tally: Tally,
    /// Records behind the shadow, without those that wait to be tried again.
    pub records: u64,
    /// Partitions of which the log no longer has the beginning: topic, partition, first offset.
    pub cut: Vec<Range>,
    /// How many of the rows that differ were looked into for what follows.
    pub looked: u64,
    /// Where they differ: the first event after which they do.
    pub first: Option<First>,
    /// Where they differ and the log has several partitions: whether the order between them can be why.
    pub order: Option<Interleaved>,
    /// What the hunts for faults of the projection found, in their order.
    pub verdicts: Vec<Verdict>,
}

impl Verified {
    /// Whether the read model is what the log says, and no fault was found in the projection.
    pub fn is_good(&self) -> bool {
        self.tally.is_equal() && self.verdicts.iter().all(Verdict::is_good)
    }

    /// Records behind the read model, without one that waits to be tried again.
    pub fn model_records(&self) -> u64 {
        behind(&self.info.counts)
    }
}

fn behind(counts: &Counts) -> u64 {
    counts.applied + counts.ignored + counts.skipped + counts.held
}

/// An event, as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub timestamp: Option<Timestamp>,
    /// Its type, where its value has one.
    pub event: Option<String>,
    /// Its key.
    pub key: Option<Vec<u8>>,
}

impl Event {
    pub(super) fn of(record: &RecordRef<'_>, effect: &Effect) -> Arc<Self> {
        Self::named(record, effect.event.clone())
    }

    /// A record whose type is known.
    pub(super) fn named(record: &RecordRef<'_>, event: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            topic: record.topic.to_owned(),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            event,
            key: record.key.map(<[u8]>::to_vec),
        })
    }
}

/// Starts verifying the read model in use, by the rules of the file that it was built from.
pub fn verify(client: Client, store: Store, name: String, options: VerifyOptions) -> Task<Verified> {
    Task::start("verify", move |control| {
        let past = Past::open(&client, &store, &name, None, control)?;
        run(&past, &merged(&client), options, control)
    })
}

/// Verifies against any log.
pub(super) fn run<S: Source>(
    past: &Past,
    open: &Open<'_, S>,
    options: VerifyOptions,
    control: &mut Control,
) -> Result<Verified, ReplayError> {
    let cancel = control.cancel.clone();
    let model = Scratch::copy(&past.store, &past.definition, move || cancel.is_cancelled())?;
    let info = model.info()?;
    let projection = past.definition.projection();
    if info.hash != projection.hash {
        // Another build was put in use just now.
        return Err(ReplayError::DefinitionChanged {
            name: info.name,
            file: projection.file.clone(),
            built: info.file,
        });
    }
    // What was decided since `past` was opened is in the copy, and belongs to it.
    let mut past = past.clone();
    past.log.amendments = model.amendments()?;
    let log = Replays {
        past: &past,
        to: &info.position,
        open,
    };
    let shadow = log.plain(control, None)?;
    control.meter.phase(Phase::Finishing);
    let mut drifted = drift::Drifted::default();
    let tally = compared(&model, &shadow, control, &mut |row| {
        drifted.take(row);
        true
    })?;
    let (mut first, mut order) = (None, None);
    if tally.rows() > 0 {
        first = drifted.first(&log, control)?;
        order = drifted.order(&log, &model, &shadow, control)?;
    }
    let mut verdicts = Vec::new();
    if options.twice {
        verdicts.push(faults::twice(&log, control)?);
    }
    if let Some(seed) = options.shuffle {
        verdicts.push(faults::shuffle(&log, &shadow, seed, control)?);
    }
    if let Some(seed) = options.crash {
        verdicts.push(faults::crash(&log, &shadow, seed, control)?);
    }
    let records = behind(&shadow.info()?.counts);
    Ok(Verified {
        info: info.clone(),
        model,
        shadow,
        tally,
        records,
        cut: log.ranges().into_iter().filter(|range| range.start > 0).collect(),
        looked: drifted.len() as u64,
        first,
        order,
        verdicts,
    })
}

/// Opens the log, merged.
pub(super) type Open<'o, S> = dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync + 'o;

/// Replays of the log from its first record to one position, each into a read model of its own.
pub(super) struct Replays<'a, S> {
    pub(super) past: &'a Past,
    pub(super) to: &'a Position,
    pub(super) open: &'a Open<'a, S>,
}

impl<S: Source> Replays<'_, S> {
    /// What is replayed, partitions without a record included.
    pub(super) fn ranges(&self) -> Vec<Range> {
        self.past.ranges(&Position::new(), self.to)
    }

    /// What has records.
    pub(super) fn filled(&self) -> Vec<Range> {
        let mut ranges = self.ranges();
        ranges.retain(|range| !is_empty(range));
        ranges
    }

    /// In the order of a rebuild.
    pub(super) fn plain(&self, control: &mut Control, each: Option<&mut Told<'_>>) -> Result<Scratch, ReplayError> {
        self.replay(self.filled(), |ranges| (self.open)(ranges), control, each)
    }

    /// In any order. `each` is told what each event did.
    pub(super) fn replay<T: Source>(
        &self,
        ranges: Vec<Range>,
        open: impl FnOnce(Vec<Range>) -> Result<T, ReplayError> + Send,
        control: &mut Control,
        each: Option<&mut Told<'_>>,
    ) -> Result<Scratch, ReplayError> {
        let mut scratch = self.empty(control)?;
        control.meter.phase(Phase::Rebuilding);
        let mut fold = match each {
            Some(_) => scratch.recorded()?,
            None => scratch.fold()?,
        };
        if !ranges.is_empty() {
            let span = Span::of(&ranges);
            read(&mut fold, || open(ranges), &span, control, &mut Keeper::none(), each)?;
        }
        fold.advance(self.to);
        fold.commit()?;
        drop(fold);
        Ok(scratch)
    }

    /// A read model without a record.
    pub(super) fn empty(&self, control: &Control) -> Result<Scratch, ReplayError> {
        let past = self.past;
        let mut scratch = Scratch::new(&past.store, &past.definition, &past.log.origin(), None)?;
        let cancel = control.cancel.clone();
        scratch.interrupt_when(move || cancel.is_cancelled())?;
        let mut fold = scratch.fold()?;
        fold.advance(&log::starts(&self.ranges()));
        fold.commit()?;
        drop(fold);
        Ok(scratch)
    }
}

/// Compares two copies, and hands out the rows that differ until `take` says that it has enough.
pub(super) fn compared(
    before: &Scratch,
    after: &Scratch,
    control: &Control,
    take: &mut dyn FnMut(RowDifference) -> bool,
) -> Result<Tally, ReplayError> {
    let (mut before, mut after) = (Side::past(before)?, Side::past(after)?);
    for side in [&mut before, &mut after] {
        let cancel = control.cancel.clone();
        side.interrupt_when(move || cancel.is_cancelled())?;
    }
    Ok(compare(&before, &after, &mut |difference| match difference {
        Difference::Row(row) => take(row),
        _ => true,
    })?)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;

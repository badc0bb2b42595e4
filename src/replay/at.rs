//! The read model as it was at any moment: from the nearest snapshot forward.

use crate::broker::client::Client;
use crate::broker::reader::{Order, Range, ReadPlan, Reader};
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::fold::Fold;
use crate::readmodel::latest::Latest;
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::snapshot::{Snapshot, Snapshots};
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::record::{Position, RecordRef, TopicPartition};

use super::error::ReplayError;
use super::follow;
use super::keeper::Keeper;
use super::log::{self, Log, Span};
use super::lookout;
use super::progress::Phase;
use super::rebuild::{Ended, Until, WAIT, read};
use super::source::{Polled, Records, Source};
use super::task::{Control, Task};

/// A read model at a moment.
#[derive(Debug)]
pub struct Moment {
    /// The private copy that holds it.
    pub scratch: Scratch,
    /// Where it stands.
    pub info: ReadModelInfo,
}

/// Starts going to a moment of a read model that was built; the rules are those of the file that it was built from. Where the
/// way there takes long, snapshots are left on it.
pub fn at(client: Client, store: Store, name: String, moment: Option<Until>) -> Task<Moment> {
    Task::start("at", move |control| {
        let past = Past::open(&client, &store, &name, moment, control)?;
        let scratch = past.go(&past.ends, Way::default(), &merged(&client), control)?;
        Ok(Moment {
            info: scratch.info()?,
            scratch,
        })
    })
}

/// Reads a cluster's log in the order of a replay.
pub(super) fn merged(client: &Client) -> impl Fn(Vec<Range>) -> Result<Reader, ReplayError> + Sync {
    |ranges| {
        let order = Order::Merged;
        Ok(client.reader(ReadPlan { ranges, order })?)
    }
}

/// How to go to a moment.
#[derive(Default)]
pub(super) struct Way<'e> {
    /// Begin before there are so many records, so that something lies on the way.
    pub(super) below: Option<u64>,
    /// Is told of events on the way: the last of them, each by itself.
    pub(super) each: Option<&'e mut Told<'e>>,
    /// How many offsets these are; the events before them are folded faster.
    pub(super) last: u64,
}

/// Is told what an event did.
pub(super) type Told<'e> = dyn FnMut(&RecordRef<'_>, Effect) + 'e;

/// What a look into the past needs: the rules that the read model was built by, and the log.
#[derive(Clone)]
pub(super) struct Past {
    pub(super) store: Store,
    pub(super) definition: Definition,
    pub(super) snapshots: Snapshots,
    pub(super) log: Log,
    /// Where the log begins.
    pub(super) starts: Position,
    /// The moment: the next offset of each partition.
    pub(super) ends: Position,
}

impl Past {
    /// Asks the store and the cluster. A log that is no longer the one that the read model folds is an error that says so.
    pub(super) fn open(
        client: &Client,
        store: &Store,
        name: &str,
        moment: Option<Until>,
        control: &Control,
    ) -> Result<Self, ReplayError> {
        let info = store.info(name)?;
        let definition = compile(&store.projection(name)??)?;
        let (mut log, ranges) = ask(client, definition.projection().topics.clone(), moment, control)?;
        // Those that the read model in use was folded with, whatever was decided since.
        log.amendments = store.amendments(name)?;
        follow::start(definition.projection(), &info, &store.topics(name)?, &log)?;
        Ok(Self {
            store: store.clone(),
            definition,
            snapshots: store.snapshots(name)?,
            log,
            starts: log::starts(&ranges),
            ends: log::ends(&ranges),
        })
    }

    /// A read model of this definition before any event.
    pub(super) fn empty(&self) -> Result<Scratch, ReplayError> {
        Ok(Scratch::new(&self.store, &self.definition, &self.log.origin(), None)?)
    }

    /// Where another moment is, with what came to the log since.
    pub(super) fn moment(
        &mut self,
        client: &Client,
        moment: Option<Until>,
        control: &Control,
    ) -> Result<Position, ReplayError> {
        let topics = self.definition.projection().topics.clone();
        let (mut log, ranges) = ask(client, topics, moment, control)?;
        log.amendments = std::mem::take(&mut self.log.amendments);
        self.log = log;
        Ok(log::ends(&ranges))
    }

    /// Goes to `moment`, of which every partition must lie between the log's beginning and its end.
    pub(super) fn go<S: Source>(
        &self,
        moment: &Position,
        way: Way<'_>,
        open: &(dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync),
        control: &mut Control,
    ) -> Result<Scratch, ReplayError> {
        let snapshot = self.nearest(moment, way.below, open, control)?;
        self.go_from(snapshot.as_ref(), moment, way, open, control)
    }

    /// The same from a snapshot that a replay to `moment` begins with, or from the beginning.
    pub(super) fn go_from<S: Source>(
        &self,
        snapshot: Option<&Snapshot>,
        moment: &Position,
        way: Way<'_>,
        open: &(dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync),
        control: &mut Control,
    ) -> Result<Scratch, ReplayError> {
        let mut scratch = Scratch::new(&self.store, &self.definition, &self.log.origin(), snapshot)?;
        let cancel = control.cancel.clone();
        scratch.interrupt_when(move || cancel.is_cancelled())?;
        let span = Span::of(&self.ranges(&scratch.info()?.position, moment)).but(way.last);
        let mut keeper = Keeper::new(self.snapshots.clone(), control.snapshot_every);
        control.meter.phase(Phase::Rebuilding);
        if way.last < span.total() || way.each.is_none() {
            self.leg(scratch.fold_many()?, moment, &span, &mut keeper, None, open, control)?;
        }
        if way.each.is_some() {
            let fold = scratch.recorded()?;
            self.leg(fold, moment, &span.but(0), &mut keeper, way.each, open, control)?;
        }
        Ok(scratch)
    }

    /// A part of the way, from where `fold` stands to the end of the span.
    #[expect(clippy::too_many_arguments, reason = "the two parts of a way differ in these")]
    fn leg<S: Source>(
        &self,
        mut fold: Fold<'_>,
        moment: &Position,
        span: &Span,
        keeper: &mut Keeper,
        each: Option<&mut Told<'_>>,
        open: &(dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync),
        control: &mut Control,
    ) -> Result<(), ReplayError> {
        let mut ranges = self.ranges(&fold.position(), moment);
        fold.advance(&log::starts(&ranges));
        ranges.retain(|range| !is_empty(range));
        let mut ended = Ended::End;
        if !ranges.is_empty() {
            ended = read(&mut fold, || open(ranges), span, control, keeper, each)?;
        }
        if let Ended::End = ended {
            fold.advance(moment);
        }
        Ok(fold.commit()?)
    }

    /// The nearest snapshot that is still what a replay of the log begins with.
    pub(super) fn nearest<S: Source>(
        &self,
        moment: &Position,
        below: Option<u64>,
        open: &dyn Fn(Vec<Range>) -> Result<S, ReplayError>,
        control: &Control,
    ) -> Result<Option<Snapshot>, ReplayError> {
        for snapshot in self.snapshots.before(moment) {
            let near = below.is_none_or(|records| snapshot.info.counts.total() < records);
            let agrees = snapshot.amendments.agree(&self.log.amendments, &snapshot.info.position);
            if near && agrees && self.holds(&snapshot, moment, open, control)? {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// Whether a replay to `moment` begins with what the snapshot holds. It does where all that is still to come belongs after every
    /// record that is in it: the first to come is asked. One partition has one order.
    pub(super) fn holds<S: Source>(
        &self,
        snapshot: &Snapshot,
        moment: &Position,
        open: &dyn Fn(Vec<Range>) -> Result<S, ReplayError>,
        control: &Control,
    ) -> Result<bool, ReplayError> {
        let mut rest = self.ranges(&snapshot.info.position, moment);
        if rest.len() <= 1 {
            return Ok(true);
        }
        rest.retain(|range| !is_empty(range));
        if rest.is_empty() {
            return Ok(true);
        }
        let mut source = open(rest)?;
        while !control.cancel.is_cancelled() {
            match source.poll(WAIT)? {
                Polled::Batch(batch) => {
                    if let Some(first) = batch.records().next() {
                        return Ok(Latest::of(&snapshot.info).is_before(&first));
                    }
                }
                Polled::Idle => {}
                Polled::End => return Ok(true),
            }
        }
        Err(ReplayError::Cancelled)
    }

    /// What lies between two positions of the log.
    pub(super) fn ranges(&self, from: &Position, to: &Position) -> Vec<Range> {
        let range = |(partition, end): (&TopicPartition, i64)| {
            let low = self.starts.next(partition).unwrap_or(0);
            Range {
                topic: partition.topic.clone(),
                partition: partition.partition,
                // Retention may have moved the log's beginning past what a snapshot needs next.
                start: from.next(partition).unwrap_or(low).max(low),
                end: Some(end),
            }
        };
        to.iter().map(range).collect()
    }
}

pub(super) fn ask(
    client: &Client,
    topics: Vec<String>,
    moment: Option<Until>,
    control: &Control,
) -> Result<(Log, Vec<Range>), ReplayError> {
    let client = client.clone();
    lookout::ask(&control.cancel, move || {
        let log = Log::survey(&client, &topics)?;
        let ranges = log.ranges(&client, moment.as_ref())?;
        Ok((log, ranges))
    })
}

pub(super) fn is_empty(range: &Range) -> bool {
    range.end.is_some_and(|end| end <= range.start)
}

#[cfg(test)]
#[path = "at_tests.rs"]
pub(in crate::replay) mod tests;

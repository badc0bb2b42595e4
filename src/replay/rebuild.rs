//! Rebuild: the whole log through the projection into a new file beside the old one, then swapped in.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::reader::{Order, Range, ReadPlan};
use crate::projection::Projection;
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::fold::{Fold, Folded, OnPoison};
use crate::readmodel::missing::MissingField;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::readmodel::writer::Building;
#[cfg(test)]
use crate::readmodel::writer::Origin;
use crate::record::{Position, RecordRef, Timestamp};

use super::at::{Told, is_empty};
use super::decide;
use super::error::ReplayError;
use super::keeper::Keeper;
use super::log::{self, Log, Span};
use super::lookout;
use super::progress::Phase;
use super::source::{AHEAD, Fed, Records, Source, feed};
use super::task::{Control, Task, crashed};

/// Poison records that are listed before a rebuild gives up: enough to see what is wrong with a log in one go.
pub(super) const LISTED: usize = 100;
/// Records between two looks at the clock; also bounds how long a cancel waits for slow handlers.
pub(super) const CHUNK: usize = 256;
/// How long the applying thread waits before it looks whether it was cancelled.
pub(super) const WAIT: Duration = Duration::from_millis(50);

/// A place in the log, as whoever means it names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct At {
    /// Its topic; may be left out where the projection has one.
    pub topic: Option<String>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Where a rebuild stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Before the first record at or after this time, in each partition.
    Time(Timestamp),
    /// Before these offsets; partitions that are not named are read to their end. A topic may also be left out where no other
    /// has a partition of that number.
    Offsets(Vec<At>),
    /// At this position; partitions that it does not name are at their beginning.
    Position(Position),
}

impl Until {
    /// The same for two logs: places in a topic that only the second has are for that one, all others for the first.
    pub(super) fn split(&self, of_second: impl Fn(&str) -> bool) -> (Self, Self) {
        match self {
            Self::Offsets(places) => {
                let (second, first) = places
                    .iter()
                    .cloned()
                    .partition(|place| place.topic.as_deref().is_some_and(&of_second));
                (Self::Offsets(first), Self::Offsets(second))
            }
            until => (until.clone(), until.clone()),
        }
    }
}

/// How to rebuild.
#[derive(Debug, Clone, Default)]
pub struct RebuildOptions {
    /// Where to stop; `None` for the end of the log as it is at the start.
    pub until: Option<Until>,
    /// Go on past poison records, listing them, instead of stopping with the list.
    pub skip_poison: bool,
    /// Leave the read model in use as it is when an invariant breaks, instead of putting the new one in use and saying so.
    pub strict: bool,
    /// Take back everything that was decided about single records; with who does it.
    pub forget_decisions: Option<String>,
}

/// What a rebuild did.
#[derive(Debug, Clone)]
pub struct RebuildReport {
    /// The read model that is now in place.
    pub info: ReadModelInfo,
    /// Records read.
    pub records: u64,
    /// How long it took.
    pub took: Duration,
    /// Fields that handlers bind and that were missing in every event of theirs.
    pub missing: Vec<MissingField>,
}

/// Starts a rebuild.
pub fn rebuild(client: Client, store: Store, projection: Projection, options: RebuildOptions) -> Task<RebuildReport> {
    Task::start("rebuild", move |control| {
        let definition = compile(&projection)?;
        control.strict = options.strict;
        run(&client, &store, &definition, &options, control)
    })
}

/// Rebuilds from a cluster, on this thread.
pub(super) fn run(
    client: &Client,
    store: &Store,
    definition: &Definition,
    options: &RebuildOptions,
    control: &mut Control,
) -> Result<RebuildReport, ReplayError> {
    let (asked, topics, until) = (
        client.clone(),
        definition.projection().topics.clone(),
        options.until.clone(),
    );
    let (mut log, ranges) = lookout::ask(&control.cancel, move || {
        let log = Log::survey(&asked, &topics)?;
        let ranges = log.ranges(&asked, until.as_ref())?;
        Ok((log, ranges))
    })?;
    let name = &definition.projection().name;
    let mut forgotten = Vec::new();
    match &options.forget_decisions {
        None => log.amendments = decide::standing(store, name, &log, control)?,
        Some(who) => forgotten = decide::taken_back(&store.standing(name, &log.topic_ids())?, who),
    }
    let open = |ranges| {
        let order = Order::Merged;
        Ok(client.reader(ReadPlan { ranges, order })?)
    };
    let check = |building: &mut Building| {
        building.decide(forgotten);
        Ok(())
    };
    let building = Building::start(store, definition, &log.origin())?;
    fill(building, &ranges, open, options.skip_poison, check, control)
}

/// Rebuilds from any source.
#[cfg(test)]
pub(super) fn build<S: Source>(
    store: &Store,
    definition: &Definition,
    origin: &Origin,
    ranges: &[Range],
    open: impl FnOnce(Vec<Range>) -> Result<S, ReplayError> + Send,
    skip_poison: bool,
    control: &mut Control,
) -> Result<RebuildReport, ReplayError> {
    fill(
        Building::start(store, definition, origin)?,
        ranges,
        open,
        skip_poison,
        |_| Ok(()),
        control,
    )
}

/// Fills a build, lets `check` look at it, and finishes it.
pub(super) fn fill<S: Source>(
    mut building: Building,
    ranges: &[Range],
    open: impl FnOnce(Vec<Range>) -> Result<S, ReplayError> + Send,
    skip_poison: bool,
    check: impl FnOnce(&mut Building) -> Result<(), ReplayError>,
    control: &mut Control,
) -> Result<RebuildReport, ReplayError> {
    let started = Instant::now();
    let name = building.name().to_owned();
    let cancel = control.cancel.clone();
    building.interrupt_when(move || cancel.is_cancelled())?;
    let on_poison = if skip_poison {
        OnPoison::Skip
    } else {
        OnPoison::Collect(LISTED)
    };
    let mut fold = building.fold(on_poison)?;
    control.meter.phase(Phase::Rebuilding);
    let span = Span::of(ranges);
    control.meter.say(0, span.total(), fold.counts(), log::starts(ranges));
    let filled: Vec<Range> = ranges.iter().filter(|range| !is_empty(range)).cloned().collect();
    let mut ended = Ended::End;
    if !filled.is_empty() {
        let mut keeper = Keeper::new(building.snapshots(), control.snapshot_every);
        ended = read(&mut fold, || open(filled), &span, control, &mut keeper, None)?;
    }
    control.meter.say(
        span.covered(&fold.position()),
        span.total(),
        fold.counts(),
        fold.position(),
    );
    // Only a replay from the beginning has seen every event of a handler.
    let missing = if building.is_filled() {
        Vec::new()
    } else {
        fold.missing()
    };
    for field in &missing {
        control.meter.notice(field.to_string());
    }
    if !fold.letters().is_empty() {
        return Err(ReplayError::Poison {
            name,
            letters: fold.take_letters(),
            all: matches!(ended, Ended::End),
        });
    }
    let broken = fold.take_broken();
    if control.strict && !broken.is_empty() {
        return Err(ReplayError::Broken { name, broken });
    }
    for broken in broken {
        control.meter.notice(broken.to_string());
    }
    let ends = whole(ranges, &fold.position())?;
    let closed = fold.close()?;
    check(&mut building)?;
    control.meter.phase(Phase::Finishing);
    let info = building.finish(&closed, &ends)?;
    Ok(RebuildReport {
        info,
        records: closed.counts.total(),
        took: started.elapsed(),
        missing,
    })
}

/// Where ranges end, which a build must have reached.
pub(super) fn whole(ranges: &[Range], reached: &Position) -> Result<Position, ReplayError> {
    let ends = log::ends(ranges);
    if let Some((partition, end)) = ends
        .iter()
        .find(|(partition, end)| reached.next(partition).is_some_and(|next| next < *end))
    {
        return Err(ReplayError::Crashed(format!(
            "the reader ended before offset {end} of {partition}"
        )));
    }
    Ok(ends)
}

/// Why a fold of ranges ended.
pub(super) enum Ended {
    /// Everything was read.
    End,
    /// The rest of the span is somebody else's.
    Left,
    /// Too many poison records.
    GaveUp,
}

/// Reads on one thread and applies on this one.
pub(super) fn read<S: Source>(
    fold: &mut Fold<'_>,
    open: impl FnOnce() -> Result<S, ReplayError> + Send,
    span: &Span,
    control: &mut Control,
    keeper: &mut Keeper,
    each: Option<&mut Told<'_>>,
) -> Result<Ended, ReplayError> {
    let cancel = control.cancel.clone();
    let stop = move || cancel.is_cancelled();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (done, used) = sync_channel(AHEAD);
        let reading = scope.spawn(move || feed(open, &sender, &used, &stop));
        let result = apply(&receiver, &done, fold, span, control, keeper, each);
        // The reading thread ends when it finds that nobody listens.
        drop(receiver);
        match reading.join() {
            Ok(()) => result,
            Err(panic) => Err(crashed(&*panic)),
        }
    })
}

fn apply<B: Records>(
    from: &Receiver<Fed<B>>,
    done: &SyncSender<B>,
    fold: &mut Fold<'_>,
    span: &Span,
    control: &mut Control,
    keeper: &mut Keeper,
    mut each: Option<&mut Told<'_>>,
) -> Result<Ended, ReplayError> {
    let cancel = control.cancel.clone();
    let stop = || cancel.is_cancelled();
    let meter = &mut control.meter;
    while !stop() {
        match from.recv_timeout(WAIT) {
            Ok(Fed::Batch(batch, position)) => {
                let mut records = batch.records();
                let mut left = batch.len();
                while left > 0 {
                    let chunk = left.min(CHUNK);
                    let chunked = records.by_ref().take(chunk);
                    let folded = match &mut each {
                        Some(each) if batch.are_told() => told(fold, chunked, *each)?,
                        _ => fold.apply(chunked, &stop)?,
                    };
                    match folded {
                        Folded::All => left -= chunk,
                        Folded::Stopped => return Err(ReplayError::Cancelled),
                        Folded::Poisoned => return Ok(Ended::GaveUp),
                    }
                    if meter.is_due() {
                        let position = fold.position();
                        meter.say(span.covered(&position), span.total(), fold.counts(), position);
                    }
                    if span.is_done(|| fold.position()) {
                        return Ok(Ended::Left);
                    }
                }
                drop(records);
                // Where the reading thread is busy it is freed here.
                let _ = done.try_send(batch);
                fold.advance(&position);
                keeper.look(fold, meter);
            }
            Ok(Fed::Idle(position, _)) => {
                fold.advance(&position);
                meter.say(span.covered(&position), span.total(), fold.counts(), fold.position());
            }
            Ok(Fed::End(position)) => {
                fold.advance(&position);
                return Ok(Ended::End);
            }
            Ok(Fed::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {
                if meter.is_due() {
                    let position = fold.position();
                    meter.say(span.covered(&position), span.total(), fold.counts(), position);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                if stop() {
                    break;
                }
                return Err(ReplayError::Crashed("the reading thread ended".to_owned()));
            }
        }
    }
    Err(ReplayError::Cancelled)
}

/// Applies records one by one and tells what each did.
fn told<'r>(
    fold: &mut Fold<'_>,
    records: impl Iterator<Item = RecordRef<'r>>,
    each: &mut Told<'_>,
) -> Result<Folded, ReplayError> {
    for record in records {
        let effect = fold.step(&record)?;
        each(&record, effect);
    }
    Ok(Folded::All)
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
pub(in crate::replay) mod tests;

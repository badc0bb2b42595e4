//! Hunts for a projection's own faults: what comes out when records come twice, in another order, or after a crash.
//!
//! Each is a replay of its own beside the read model. The first two say something about the projection, the third about us.

use std::sync::Arc;

use crate::broker::reader::Range;
use crate::readmodel::apply::Outcome;
use crate::readmodel::compare::{RowDifference, Tally};
use crate::readmodel::net::Net;
use crate::readmodel::scratch::{Effect, Scratch};
use crate::readmodel::store::Counts;
use crate::record::{Position, RecordRef};

use super::at::{Told, is_empty};
use super::drift::key;
use super::error::ReplayError;
use super::interleave::{Chance, Slices, before, shuffled};
use super::log::Span;
use super::progress::Phase;
use super::rebuild::WAIT;
use super::source::{Polled, Records, Source};
use super::task::Control;
use super::verify::{Event, Open, Replays, compared};

/// Records between two commits of a replay that nobody waits for.
const COMMIT_EVERY: u64 = 1_000;
/// How often a crash cuts the replay, roughly.
const CUTS: u64 = 16;
/// Where the search for the first event begins: most orders that matter do so soon.
const FIRST_LOOK: u64 = 64;

/// What a hunt found.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every record applied twice in a row leaves what it leaves once.
    Idempotent {
        /// How many were refused the second time, which leaves the rows as they were.
        refused: u64,
        /// The first of them, and why.
        first: Option<(Arc<Event>, String)>,
    },
    /// One did not.
    NotIdempotent {
        /// The first.
        event: Arc<Event>,
        /// A row after one time and after two.
        row: RowDifference,
    },
    /// The order between partitions does not matter to these rows.
    OrderFree {
        /// What decided the other order.
        seed: u64,
    },
    /// Records lie in one partition at most: there is no other order.
    OneOrder,
    /// The order between partitions matters.
    OrderDependent {
        /// What decided the other order.
        seed: u64,
        /// The rows are equal in both orders without this event and those after it, and not with it.
        event: Arc<Event>,
        /// A row in the order of a rebuild and in the other.
        row: RowDifference,
        /// Who wrote that row last in the order of a rebuild, and who in the other.
        last: [Option<Arc<Event>>; 2],
    },
    /// A replay that was cut and resumed made the same rows.
    CrashSafe {
        /// How often it was cut.
        cuts: u64,
    },
    /// It did not.
    CrashUnsafe {
        /// How often it was cut.
        cuts: u64,
        /// How the rows compare.
        tally: Tally,
        /// The first row that differs: without the crashes, and with them.
        row: Option<RowDifference>,
    },
}

impl Verdict {
    /// Whether no fault was found.
    pub fn is_good(&self) -> bool {
        match self {
            Self::Idempotent { .. } | Self::OrderFree { .. } | Self::OneOrder | Self::CrashSafe { .. } => true,
            Self::NotIdempotent { .. } | Self::OrderDependent { .. } | Self::CrashUnsafe { .. } => false,
        }
    }
}

/// Applies each record twice in a row, up to the first that shows it.
pub(super) fn twice<S: Source>(log: &Replays<'_, S>, control: &mut Control) -> Result<Verdict, ReplayError> {
    let mut scratch = log.empty(control)?;
    let net = Net::new(&scratch.tables()?);
    let mut fold = scratch.recorded()?;
    let (mut refused, mut first, mut found) = (0, None, None);
    control.meter.phase(Phase::Rebuilding);
    walk(log.filled(), log.open, control, &mut |record| {
        let once = fold.step(record)?;
        let again = fold.step(record)?;
        if let (Outcome::Applied, Outcome::Poison(poison)) = (&once.outcome, &again.outcome) {
            refused += 1;
            first.get_or_insert_with(|| (Event::of(record, &again), poison.reason.clone()));
        }
        if let Some(row) = net.rows(&again.changes).into_iter().next() {
            found = Some((Event::of(record, &again), row));
        }
        if fold.uncommitted() >= COMMIT_EVERY {
            // What is refused the second time is no dead letter of anybody.
            fold.forget_letters()?;
            fold.commit()?;
        }
        Ok(found.is_none())
    })?;
    Ok(match found {
        Some((event, row)) => Verdict::NotIdempotent { event, row },
        None => Verdict::Idempotent { refused, first },
    })
}

/// Replays the log in another order between its partitions.
pub(super) fn shuffle<S: Source>(
    log: &Replays<'_, S>,
    shadow: &Scratch,
    seed: u64,
    control: &mut Control,
) -> Result<Verdict, ReplayError> {
    let ranges = log.filled();
    if ranges.len() < 2 {
        return Ok(Verdict::OneOrder);
    }
    let plan = shuffled(&ranges, seed);
    let other = log.replay(plan.clone(), |plan| Ok(Slices::new(plan, log.open)), control, None)?;
    if compared(shadow, &other, control, &mut |_| false)?.is_equal() {
        return Ok(Verdict::OrderFree { seed });
    }
    drop(other);
    let all = shadow.info()?.counts.total();
    let search = Search { log, plan: &plan };
    // From the front in growing strides, then halving the last one: a fault that shows soon is found soon.
    let (mut equal, mut differs, mut stride) = (0, None, FIRST_LOOK.min(all));
    while differs.is_none() && equal < all {
        differs = search.differs(stride, control)?.map(|found| (stride, found));
        if differs.is_none() {
            equal = stride;
            stride = stride.saturating_mul(4).min(all);
        }
    }
    let Some((mut count, mut found)) = differs else {
        return Ok(Verdict::OrderFree { seed });
    };
    while count - equal > 1 {
        let middle = equal + (count - equal) / 2;
        match search.differs(middle, control)? {
            Some(earlier) => (count, found) = (middle, earlier),
            None => equal = middle,
        }
    }
    let last = search.last_writers(&found, control)?;
    Ok(Verdict::OrderDependent {
        seed,
        event: found.event,
        row: found.row,
        last,
    })
}

/// Looks for the shortest beginning of the log whose rows depend on the order.
struct Search<'a, 'l, S> {
    log: &'a Replays<'l, S>,
    plan: &'a [Range],
}

/// A beginning of the log whose rows differ.
struct Found {
    /// Where it ends.
    end: Position,
    /// Its last event.
    event: Arc<Event>,
    row: RowDifference,
}

impl<S: Source> Search<'_, '_, S> {
    /// Compares the first `count` events in both orders.
    fn differs(&self, count: u64, control: &mut Control) -> Result<Option<Found>, ReplayError> {
        let plain = self.log.empty(control)?;
        let mut fold = plain.fold()?;
        let (mut done, mut last) = (0, None);
        control.meter.phase(Phase::Rebuilding);
        walk(self.log.filled(), self.log.open, control, &mut |record| {
            let effect = fold.step(record)?;
            done += 1;
            if done == count {
                last = Some(Event::of(record, &effect));
            }
            Ok(done < count)
        })?;
        let end = fold.position();
        fold.commit()?;
        drop(fold);
        let Some(event) = last else { return Ok(None) };
        let other = self.other(&end, control, None)?;
        let mut found = None;
        compared(&plain, &other, control, &mut |row| {
            found = Some(row);
            false
        })?;
        Ok(found.map(|row| Found { end, event, row }))
    }

    /// A beginning of the log in the other order.
    fn other(
        &self,
        end: &Position,
        control: &mut Control,
        each: Option<&mut Told<'_>>,
    ) -> Result<Scratch, ReplayError> {
        let log = Replays {
            to: end,
            past: self.log.past,
            open: self.log.open,
        };
        let plan = before(self.plan, end);
        log.replay(plan, |plan| Ok(Slices::new(plan, self.log.open)), control, each)
    }

    /// Who wrote the row last in either order.
    fn last_writers(&self, found: &Found, control: &mut Control) -> Result<[Option<Arc<Event>>; 2], ReplayError> {
        let net = Net::new(&self.log.empty(control)?.tables()?);
        let wanted = key(&found.row);
        let mut writers = [None, None];
        let look = |record: &RecordRef<'_>, effect: Effect, writer: &mut Option<Arc<Event>>| {
            if net.rows(&effect.changes).iter().any(|row| key(row) == wanted) {
                *writer = Some(Event::of(record, &effect));
            }
        };
        let [plain, other] = &mut writers;
        let log = Replays {
            to: &found.end,
            past: self.log.past,
            open: self.log.open,
        };
        log.plain(control, Some(&mut |record, effect| look(record, effect, plain)))?;
        self.other(
            &found.end,
            control,
            Some(&mut |record, effect| look(record, effect, other)),
        )?;
        Ok(writers)
    }
}

/// Cuts the replay after some commit, with records applied that were not committed, and resumes it from what the file says.
pub(super) fn crash<S: Source>(
    log: &Replays<'_, S>,
    shadow: &Scratch,
    seed: u64,
    control: &mut Control,
) -> Result<Verdict, ReplayError> {
    let mut chance = Chance::new(seed);
    let most = shadow.info()?.counts.total() * 2 / CUTS + 1;
    let mut scratch = log.empty(control)?;
    let mut cuts = 0;
    control.meter.phase(Phase::Rebuilding);
    loop {
        let kept = 1 + chance.below(most);
        let lost = chance.below(kept + 1);
        let ranges = log.past.ranges(&scratch.info()?.position, log.to);
        let ranges = ranges.into_iter().filter(|range| !is_empty(range)).collect();
        let mut fold = scratch.fold()?;
        let mut done = 0;
        let ended = walk(ranges, log.open, control, &mut |record| {
            fold.apply(std::iter::once(RecordRef { ..*record }), &|| false)?;
            done += 1;
            if done == kept {
                fold.commit()?;
            }
            Ok(done < kept + lost)
        })?;
        if ended {
            fold.advance(log.to);
            fold.commit()?;
            break;
        }
        drop(fold);
        scratch.reopen()?;
        cuts += 1;
    }
    let mut row = None;
    let tally = compared(shadow, &scratch, control, &mut |found| {
        row.get_or_insert(found);
        true
    })?;
    let (one, two) = (shadow.info()?, scratch.info()?);
    let same = tally.is_equal() && one.counts == two.counts && one.position == two.position;
    Ok(if same {
        Verdict::CrashSafe { cuts }
    } else {
        Verdict::CrashUnsafe { cuts, tally, row }
    })
}

/// Hands out records one by one on this thread, until `each` has enough; whether the end was reached.
pub(super) fn walk<S: Source>(
    ranges: Vec<Range>,
    open: &Open<'_, S>,
    control: &mut Control,
    each: &mut dyn FnMut(&RecordRef<'_>) -> Result<bool, ReplayError>,
) -> Result<bool, ReplayError> {
    if ranges.is_empty() {
        return Ok(true);
    }
    let span = Span::of(&ranges);
    let mut source = open(ranges)?;
    let mut counts = Counts::default();
    while !control.cancel.is_cancelled() {
        match source.poll(WAIT)? {
            Polled::Batch(batch) => {
                for record in batch.records() {
                    if control.cancel.is_cancelled() {
                        return Err(ReplayError::Cancelled);
                    }
                    counts.applied += 1;
                    if !each(&record)? {
                        return Ok(false);
                    }
                }
            }
            Polled::Idle => {}
            Polled::End => return Ok(true),
        }
        if control.meter.is_due() {
            let position = source.position();
            control
                .meter
                .say(span.covered(&position), span.total(), counts, position);
        }
    }
    Err(ReplayError::Cancelled)
}

//! What PostgreSQL has against what the same log makes in SQLite.

use crate::broker::client::Client;
use crate::broker::reader::{Order, Range};
use crate::projection::Projection;
use crate::readmodel::scratch::Scratch;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::sink::postgres::look::{self, Look};

use super::super::at::is_empty;
use super::super::keeper::Keeper;
use super::super::log::Span;
use super::super::progress::Phase;
use super::super::rebuild::{Until, read};
use super::super::sinks::{Checked, Differs, compare};
use super::super::task::Task;
use super::{Rules, There, opener, start, survey};

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The read model there, as it was when it was looked at.
    pub info: ReadModelInfo,
    /// How the rows compare.
    pub checked: Checked,
    /// Records that the log has up to its position.
    pub records: u64,
    /// Partitions of which the log no longer has the beginning.
    pub cut: Vec<Range>,
}

/// Starts comparing: the log is folded in SQLite to the position of the read model there, which is looked at in one transaction and
/// neither written nor kept from being written. `take` is told of each row that differs, until it wants no more.
pub fn verify(
    client: Client,
    store: Store,
    projection: Projection,
    there: There,
    mut take: impl FnMut(Differs) -> bool + Send + 'static,
) -> Task<Verified> {
    Task::start("verify", move |control| {
        let rules = Rules::of(&projection, control)?;
        let mut connection = look::connect(&there.server)?;
        let mut look = Look::begin(&mut connection, &there.server, &there.schema)?;
        let ledger = look.ledger()?;
        let log = survey(&client, &projection, control)?;
        start(&projection, &ledger.info, &ledger.topics, &log)?;
        let ranges = log.ranges(&client, Some(&Until::Position(ledger.info.position.clone())))?;
        let mut shadow = Scratch::new(&store, &rules.definition, &log.origin(), None)?;
        let cancel = control.cancel.clone();
        shadow.interrupt_when(move || cancel.is_cancelled())?;
        control.meter.phase(Phase::Rebuilding);
        let filled: Vec<Range> = ranges.iter().filter(|range| !is_empty(range)).cloned().collect();
        let mut fold = shadow.fold()?;
        if !filled.is_empty() {
            let open = opener(&client, Order::Merged);
            let span = Span::of(&filled);
            read(&mut fold, || open(filled), &span, control, &mut Keeper::none(), None)?;
        }
        fold.advance(&ledger.info.position);
        fold.commit()?;
        let counts = fold.counts();
        drop(fold);
        control.meter.phase(Phase::Finishing);
        look.at(&rules.tables);
        look.still(&ledger)?;
        let mut checked = Checked::default();
        compare(&shadow.feed()?, &mut look, &mut checked, &mut take)?;
        look.still(&ledger)?;
        Ok(Verified {
            info: ledger.info,
            checked,
            records: counts.applied + counts.ignored + counts.skipped,
            cut: ranges.into_iter().filter(|range| range.start > 0).collect(),
        })
    })
}

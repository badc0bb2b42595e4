//! Preview: what another version of a projection's file would make of the log, built beside the read model in use and compared
//! with it, before anybody has to decide.
//!
//! The shadow is built to exactly the position of the read model in use, which serves meanwhile and can be followed on. Accepting
//! it takes what has come to the log since, by the rule of a rebuild, and swaps; dropping it leaves nothing behind.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::client::Client;
use crate::projection::Projection;
use crate::readmodel::compare::{Page, RowDifference, Shape, Side, TakeDifference, Tally, compare, page};
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::error::ReadModelError;
use crate::readmodel::missing::MissingField;
use crate::readmodel::net::{Net, name};
use crate::readmodel::query::Cell;
use crate::readmodel::scratch::Scratch;
use crate::readmodel::snapshot::Snapshot;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::readmodel::writer::Building;
use crate::record::Position;

use super::at::{Past, ask, is_empty, merged};
use super::decide;
use super::drift::Key;
use super::error::ReplayError;
use super::faults::walk;
use super::follow;
use super::log;
use super::rebuild::{self, RebuildOptions, RebuildReport, fill};
use super::source::Source;
use super::task::{Control, Task};
use super::thought;
use super::verify::{Event, Open};

/// Records between two commits of a replay that nobody waits for.
const COMMIT_EVERY: u64 = 1_000;

/// How to build a preview, and what comes to the log until it is accepted.
#[derive(Debug, Clone, Default)]
pub struct PreviewOptions {
    /// Go on past poison records, listing them, instead of stopping with the list.
    pub skip_poison: bool,
}

/// A preview that was built. Dropping this keeps it: [`accept`] finds it by the projection's name.
#[derive(Debug)]
pub struct Preview {
    /// The read model in use, as it was when the preview was begun.
    pub before: ReadModelInfo,
    /// The preview, at the same position.
    pub after: ReadModelInfo,
    /// How the two compare: first the one in use.
    pub tally: Tally,
    /// Fields that handlers bind and that were missing in every event of theirs.
    pub missing: Vec<MissingField>,
    /// A copy of the read model in use at that moment.
    model: Scratch,
    store: Store,
    definition: Definition,
}

impl Preview {
    /// Compares again, and hands out what differs.
    pub fn compare(&self, take: &mut TakeDifference<'_>) -> Result<Tally, ReplayError> {
        let (before, after) = self.sides()?;
        Ok(compare(&before, &after, take)?)
    }

    /// A page of what differs.
    pub fn page(&self, from: usize, count: usize) -> Result<Page, ReplayError> {
        let (before, after) = self.sides()?;
        Ok(page(&before, &after, from, count)?)
    }

    /// The read model in use as it was, and the preview, to be compared. A preview that was dropped or accepted is an error.
    pub fn sides(&self) -> Result<(Side, Side), ReplayError> {
        let name = &self.definition.projection().name;
        Ok((Side::past(&self.model)?, Side::preview(&self.store, name)?))
    }

    /// Starts looking for the first event after which the two part. The log is replayed by both files, up to that event.
    pub fn parting(&self, client: Client) -> Task<Option<Parting>> {
        let (store, definition, to) = (
            self.store.clone(),
            self.definition.clone(),
            self.before.position.clone(),
        );
        Task::start("parting", move |control| {
            let name = definition.projection().name.clone();
            let old = Past::open(&client, &store, &name, None, control)?;
            let (old, new) = both(old, &to, &client, definition.projection(), control)?;
            parting(&old, &new, &merged(&client), control)
        })
    }
}

/// The first event that the two files fold otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Parting {
    /// The event.
    pub event: Arc<Event>,
    /// A row after it: by the file of the read model in use, and by the other. In the columns that both have.
    pub row: RowDifference,
}

/// Starts building a preview of what `projection` would make of the log, in place of the one before. There must be a read model
/// of its name.
pub fn preview(client: Client, store: Store, projection: Projection, options: PreviewOptions) -> Task<Preview> {
    Task::start("preview", move |control| {
        let definition = compile(&projection)?;
        let old = Past::open(&client, &store, &projection.name, None, control)?;
        let cancel = control.cancel.clone();
        let model = Scratch::copy(&store, &old.definition, move || cancel.is_cancelled())?;
        let before = model.info()?;
        let (_, new) = both(old, &before.position, &client, &projection, control)?;
        log::tell_cuts(&new.starts, control);
        shadow(&definition, &new, model, options.skip_poison, &merged(&client), control)
    })
}

/// Builds the shadow and compares it with a copy of the read model in use.
pub(super) fn shadow<S: Source>(
    definition: &Definition,
    new: &Past,
    model: Scratch,
    skip_poison: bool,
    open: &Open<'_, S>,
    control: &mut Control,
) -> Result<Preview, ReplayError> {
    let building = Building::preview(&new.store, definition, &new.log.origin())?;
    let ranges = new.ranges(&Position::new(), &new.ends);
    let report = fill(building, &ranges, open, skip_poison, |_| Ok(()), control)?;
    let mut found = Preview {
        before: model.info()?,
        after: report.info,
        tally: Tally::default(),
        missing: report.missing,
        model,
        store: new.store.clone(),
        definition: definition.clone(),
    };
    let (mut before, mut after) = found.sides()?;
    for side in [&mut before, &mut after] {
        let cancel = control.cancel.clone();
        side.interrupt_when(move || cancel.is_cancelled())?;
    }
    found.tally = compare(&before, &after, &mut |_| true)?;
    Ok(found)
}

/// The log up to a position of the read model in use, as either file reads it. A topic that only the new one reads is taken to
/// its end.
fn both(
    mut old: Past,
    to: &Position,
    client: &Client,
    projection: &Projection,
    control: &Control,
) -> Result<(Past, Past), ReplayError> {
    for (partition, start) in old.starts.clone().iter() {
        // A partition that was added since is at its beginning.
        old.ends
            .set(partition.clone(), to.next(partition).unwrap_or(start).max(start));
    }
    let new = thought::other(&old, client, projection, None, control)?;
    Ok((old, new))
}

/// Starts putting the preview of this file in use. What has come to the log since is taken first; where it belongs before what
/// the preview has by the rule of a replay, all is built anew. The build that was in use is kept, as at a rebuild.
pub fn accept(client: Client, store: Store, projection: Projection, options: PreviewOptions) -> Task<RebuildReport> {
    Task::start("accept", move |control| {
        let definition = compile(&projection)?;
        let (mut log, ranges) = ask(&client, projection.topics.clone(), None, control)?;
        log.amendments = decide::standing(&store, &projection.name, &log, control)?;
        log::tell_cuts(&log::starts(&ranges), control);
        let past = Past {
            snapshots: store.snapshots(&projection.name)?,
            definition: definition.clone(),
            log,
            starts: log::starts(&ranges),
            ends: log::ends(&ranges),
            store: store.clone(),
        };
        let anew = |control: &mut Control| {
            let options = RebuildOptions {
                skip_poison: options.skip_poison,
                ..RebuildOptions::default()
            };
            rebuild::run(&client, &store, &definition, &options, control)
        };
        swap(&past, options.skip_poison, &merged(&client), anew, control)
    })
}

/// Catches up and swaps, on any log; `anew` rebuilds.
pub(super) fn swap<S: Source>(
    past: &Past,
    skip_poison: bool,
    open: &Open<'_, S>,
    anew: impl FnOnce(&mut Control) -> Result<RebuildReport, ReplayError>,
    control: &mut Control,
) -> Result<RebuildReport, ReplayError> {
    let projection = past.definition.projection();
    let (store, name) = (&past.store, projection.name.as_str());
    let Some(preview) = store.preview(name)? else {
        return Err(ReadModelError::NoPreview { name: name.to_owned() }.into());
    };
    if preview.info.hash != projection.hash {
        return Err(ReplayError::PreviewChanged {
            name: name.to_owned(),
            file: projection.file.clone(),
        });
    }
    follow::start(projection, &preview.info, &store.preview_topics(name)?, &past.log)?;
    let amendments = &past.log.amendments;
    let agrees = preview.amendments.agree(amendments, &preview.info.position);
    let publishes = !projection.emits.is_empty() && store.preview_overtakes(name)?;
    if agrees && !publishes && past.holds(&preview, &past.ends, open, control)? {
        let building = Building::from_preview(store, &past.definition)?;
        // Nobody else makes one from here on, and what was looked at was looked at before.
        let same = |now: Snapshot| now.info == preview.info && now.amendments == preview.amendments;
        if !store.preview(name)?.is_some_and(same) {
            return Err(ReplayError::PreviewChanged {
                name: name.to_owned(),
                file: projection.file.clone(),
            });
        }
        building.amend(amendments)?;
        let ranges = past.ranges(&preview.info.position, &past.ends);
        return fill(building, &ranges, open, skip_poison, |_| Ok(()), control);
    }
    let why = if publishes {
        "the preview has events of which the build in use has not published what they emit"
    } else if agrees {
        "records have come that belong before what the preview has, as their times say"
    } else {
        "something else was decided about records that the preview has"
    };
    control.meter.notice(format!("{why}: all was built anew"));
    let report = anew(control)?;
    store.drop_preview(name)?;
    Ok(report)
}

/// Replays the log by both rules side by side, until an event leaves a row that differs in the columns that both have.
pub(super) fn parting<S: Source>(
    old: &Past,
    new: &Past,
    open: &Open<'_, S>,
    control: &mut Control,
) -> Result<Option<Parting>, ReplayError> {
    let mut ranges = old.ranges(&Position::new(), &old.ends);
    for range in new.ranges(&Position::new(), &new.ends) {
        let known = ranges
            .iter()
            .any(|known| known.topic == range.topic && known.partition == range.partition);
        if !known {
            ranges.push(range);
        }
    }
    ranges.retain(|range| !is_empty(range));
    let (mut before, mut after) = (old.empty()?, new.empty()?);
    for scratch in [&mut before, &mut after] {
        let cancel = control.cancel.clone();
        scratch.interrupt_when(move || cancel.is_cancelled())?;
    }
    let (one, two) = (before.tables()?, after.tables()?);
    let nets = [Net::new(&one), Net::new(&two)];
    let shared = Shared::of(&nets);
    let mut folds = [before.recorded()?, after.recorded()?];
    let read = [old, new].map(|past| past.definition.projection().topics.clone());
    let mut found = None;
    walk(ranges, open, control, &mut |record| {
        let mut rows = [Vec::new(), Vec::new()];
        let mut event = None;
        for (((fold, topics), net), rows) in folds.iter_mut().zip(&read).zip(&nets).zip(&mut rows) {
            if topics.iter().any(|topic| **topic == *record.topic) {
                let effect = fold.step(record)?;
                *rows = net.rows(&effect.changes);
                event = event.or(effect.event);
                if fold.uncommitted() >= COMMIT_EVERY {
                    fold.commit()?;
                }
            }
        }
        found = shared.parted(rows).map(|row| Parting {
            event: Event::named(record, event),
            row,
        });
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// The tables that both read models have with the same key, in the columns that both have.
struct Shared {
    tables: HashMap<String, (Arc<Shape>, [Vec<usize>; 2])>,
}

/// A row that an event wrote: as it was, and as it is.
type Written = (Option<Vec<Cell>>, Option<Vec<Cell>>);

impl Shared {
    fn of(nets: &[Net; 2]) -> Self {
        let [old, new] = nets;
        let mut tables = HashMap::new();
        for one in old.shapes() {
            let same_name = |shape: &&Arc<Shape>| shape.table.eq_ignore_ascii_case(&one.table);
            let Some(two) = new.shapes().find(same_name) else {
                continue;
            };
            let find = |name: &String| two.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
            let both: Vec<(usize, usize)> = one
                .columns
                .iter()
                .enumerate()
                .filter_map(|(at, name)| Some((at, find(name)?)))
                .collect();
            let keys = (0..one.key).map(|at| (at, at)).collect::<Vec<_>>();
            if one.key != two.key || !both.starts_with(&keys) {
                continue;
            }
            let shape = Arc::new(Shape {
                table: one.table.clone(),
                columns: both
                    .iter()
                    .filter_map(|(at, _)| one.columns.get(*at).cloned())
                    .collect(),
                key: one.key,
            });
            let (ones, twos) = both.into_iter().unzip();
            tables.insert(one.table.to_ascii_lowercase(), (shape, [ones, twos]));
        }
        Self { tables }
    }

    /// The first row that is not the same after an event, where all were the same before it.
    fn parted(&self, rows: [Vec<RowDifference>; 2]) -> Option<RowDifference> {
        let mut order = Vec::new();
        let mut written: HashMap<Key, (Arc<Shape>, [Option<Written>; 2])> = HashMap::new();
        for (side, rows) in rows.into_iter().enumerate() {
            for row in rows {
                let table = row.shape.table.to_ascii_lowercase();
                let Some((shape, columns)) = self.tables.get(&table) else {
                    continue;
                };
                let of = |cells: Option<Vec<Cell>>| cells.map(|cells| pick(&cells, &columns[side]));
                let place = (table, name(row.key()));
                let known = written.entry(place.clone()).or_insert_with(|| {
                    order.push(place);
                    (shape.clone(), [None, None])
                });
                known.1[side] = Some((of(row.before), of(row.after)));
            }
        }
        order.into_iter().find_map(|place| {
            let (shape, sides) = written.remove(&place)?;
            let was = sides.iter().flatten().next()?.0.clone();
            let [before, after] = sides.map(|side| side.map_or(was.clone(), |(_, after)| after));
            if before == after {
                return None;
            }
            let changed = match (&before, &after) {
                (Some(one), Some(two)) => (0..one.len()).filter(|at| one.get(*at) != two.get(*at)).collect(),
                _ => Vec::new(),
            };
            Some(RowDifference {
                shape,
                before,
                after,
                changed,
            })
        })
    }
}

fn pick(cells: &[Cell], columns: &[usize]) -> Vec<Cell> {
    columns.iter().filter_map(|at| cells.get(*at).cloned()).collect()
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;

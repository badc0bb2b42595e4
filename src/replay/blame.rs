//! Blame: every event that wrote a row, or a cell of it, as far as the read model has come.
//!
//! A read model that keeps its history is asked; any other log is replayed. The two tell the same, but for partitions that a follow
//! mixed in another order than a replay does: the history has the order in which events were applied to this read model.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use miette::Diagnostic;

use crate::broker::client::Client;
use crate::readmodel::changes::Watched;
use crate::readmodel::history::{History, HistoryInfo};
use crate::readmodel::scratch::Effect;
use crate::readmodel::store::{Counts, Store};
use crate::record::{Position, RecordRef, TopicPartition};

use super::at::{Past, Way, merged};
use super::error::ReplayError;
use super::fetch::fetch;
use super::log::Log;
use super::lookout;
use super::rebuild::Until;
use super::step::{RowGoal, Step};
use super::task::{Control, Task};

/// Events whose values are fetched together.
const FETCHED: usize = 32;

/// How to ask.
#[derive(Debug, Clone, Default)]
pub struct BlameOptions {
    /// Only events before this; `None` for all, as far as the read model has come.
    pub until: Option<Until>,
    /// Tell the values and headers of the records too, which a history has to fetch from the log.
    pub values: bool,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// From the history that the read model keeps.
    History(HistoryInfo),
    /// By a replay of the log.
    Replay,
}

/// What a blame went through.
#[derive(Debug, Clone, Copy)]
pub struct BlameReport {
    /// What became of the records that it is about.
    pub counts: Counts,
    /// How many of them wrote the row.
    pub found: u64,
    /// Where the answer came from.
    pub from: Answered,
    /// How many records' values were asked for and are no longer in the log.
    pub gone: u64,
}

/// Starts a blame: hands out, oldest first, each event that wrote the row, with nothing but what it did to that row. It waits for
/// whoever takes them, and ends when nobody does.
pub fn blame(
    client: Client,
    store: Store,
    name: String,
    row: RowGoal,
    options: BlameOptions,
    tell: SyncSender<Blamed>,
) -> Task<BlameReport> {
    Task::start("blame", move |control| {
        let info = store.info(&name)?;
        let until = match &options.until {
            None => None,
            Some(until) => Some(Past::open(&client, &store, &name, Some(until.clone()), control)?.ends),
        };
        // An end that lies further than the read model has come can only be replayed to.
        let mut ends = info.position.clone();
        for (partition, end) in until.iter().flat_map(Position::iter) {
            ends.set(partition.clone(), end.max(ends.next(partition).unwrap_or(end)));
        }
        let mut asking = Asking {
            row: &row,
            until: until.as_ref(),
            values: options.values,
            tell: &tell,
            found: 0,
        };
        match store.history(&name)? {
            Some(history) if ends == info.position => {
                let log = || {
                    let (client, topics) = (client.clone(), history.info().topics.clone());
                    lookout::ask(&control.cancel, move || Log::survey(&client, &topics))
                };
                let log = options.values.then(log).transpose()?;
                let open = merged(&client);
                let mut fill = |steps: &mut [Step]| match &log {
                    Some(log) => fetch(steps, log, &open, control),
                    None => Ok(0),
                };
                asking.history(&history, &mut fill)
            }
            _ => {
                let past = Past::open(&client, &store, &name, Some(Until::Position(ends)), control)?;
                asking.replay(&past, &merged(&client), control)
            }
        }
    })
}

/// A question that is being answered.
pub(super) struct Asking<'a> {
    pub(super) row: &'a RowGoal,
    /// Only what lies before is told. The row is what all events made of it: a part of each partition is seldom a beginning.
    pub(super) until: Option<&'a Position>,
    pub(super) values: bool,
    pub(super) tell: &'a SyncSender<Blamed>,
    pub(super) found: u64,
}

/// Puts the values of the log's records where they belong, and says how many are gone.
type Fill<'f> = dyn FnMut(&mut [Step]) -> Result<u64, ReplayError> + 'f;

impl Asking<'_> {
    /// From the history.
    pub(super) fn history(&mut self, history: &History, fill: &mut Fill<'_>) -> Result<BlameReport, ReplayError> {
        let tables = history.tables();
        let table = check(&history.info().name, self.row, &tables)?;
        let (mut waiting, mut gone, mut failed) = (Vec::new(), 0, None);
        history.of_row(table, &self.row.key, &mut |wrote| {
            let mut changes = wrote.changes;
            changes.retain(|change| self.row.is_met(&tables, change));
            if changes.is_empty() || !self.is_inside(&wrote.record.view()) {
                return true;
            }
            waiting.push(Step {
                record: wrote.record,
                effect: Effect::told(wrote.event, wrote.edited, wrote.lines, changes),
            });
            if waiting.len() < FETCHED {
                return true;
            }
            match fill(&mut waiting) {
                Ok(missing) => gone += missing,
                Err(error) => failed = Some(error),
            }
            failed.is_none() && self.say(&tables, waiting.drain(..))
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        gone += fill(&mut waiting)?;
        self.say(&tables, waiting.drain(..));
        let info = history.info();
        Ok(BlameReport {
            counts: info.counts,
            found: self.found,
            from: info.history.map_or(Answered::Replay, Answered::History),
            gone,
        })
    }

    fn is_inside(&self, record: &RecordRef<'_>) -> bool {
        let at = || TopicPartition::new(record.topic, record.partition);
        self.until
            .is_none_or(|until| until.next(&at()).is_some_and(|end| record.offset < end))
    }

    /// Hands out events; whether somebody wants more.
    fn say(&mut self, tables: &Arc<[Watched]>, steps: impl Iterator<Item = Step>) -> bool {
        for step in steps {
            self.found += 1;
            let tables = Arc::clone(tables);
            if self.tell.send(Blamed { tables, step }).is_err() {
                return false;
            }
        }
        true
    }

    /// By a replay to where `past` ends.
    pub(super) fn replay<S: super::source::Source>(
        &mut self,
        past: &Past,
        open: &(dyn Fn(Vec<crate::broker::reader::Range>) -> Result<S, ReplayError> + Sync),
        control: &mut Control,
    ) -> Result<BlameReport, ReplayError> {
        let tables = past.empty()?.tables()?;
        check(&past.definition.projection().name, self.row, &tables)?;
        let cancel = control.cancel.clone();
        let mut each = |record: &RecordRef<'_>, mut effect: Effect| {
            effect.changes.retain(|change| self.row.is_met(&tables, change));
            if effect.changes.is_empty() || !self.is_inside(record) {
                return;
            }
            let mut record = record.to_record();
            if !self.values {
                (record.value, record.headers) = (None, Vec::new());
            }
            if !self.say(&tables, std::iter::once(Step { record, effect })) {
                cancel.cancel();
            }
        };
        let way = Way {
            // No snapshot is before the first record.
            below: Some(0),
            each: Some(&mut each),
            last: u64::MAX,
        };
        let scratch = past.go(&past.ends, way, open, control)?;
        Ok(BlameReport {
            counts: scratch.info()?.counts,
            found: self.found,
            from: Answered::Replay,
            gone: 0,
        })
    }
}

/// An event that wrote the row.
#[derive(Debug, Clone)]
pub struct Blamed {
    /// The tables, as changes count them.
    pub tables: Arc<[Watched]>,
    /// The event, with what it did to the row. It cannot be undone.
    pub step: Step,
}

/// Whether there is such a table with such a key and column; which it is.
pub(super) fn check(name: &str, row: &RowGoal, tables: &[Watched]) -> Result<usize, ReplayError> {
    let no = |message: String, help: String| Err(ReplayError::NoRow(NoRow { message, help }));
    let found = tables
        .iter()
        .position(|table| table.name.eq_ignore_ascii_case(&row.table));
    let Some((number, table)) = found.and_then(|number| Some((number, tables.get(number)?))) else {
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        return no(
            format!("`{name}` has no table `{}`", row.table),
            format!("its tables are: {}", names.join(", ")),
        );
    };
    let key: Vec<_> = table.key.iter().map(|at| table.columns[*at].as_str()).collect();
    if key.len() != row.key.len() {
        let example: Vec<_> = key.iter().map(|column| format!("\"{column}\"")).collect();
        return no(
            format!(
                "a row of `{}` is found by its primary key: {}",
                table.name,
                key.join(", ")
            ),
            match key.len() {
                1 => "give its one value".to_owned(),
                _ => format!("give its values as a JSON array: '[{}]'", example.join(", ")),
            },
        );
    }
    match &row.column {
        Some(column) if !table.columns.iter().any(|name| name.eq_ignore_ascii_case(column)) => no(
            format!("`{}` has no column `{column}`", table.name),
            format!("its columns are: {}", table.columns.join(", ")),
        ),
        _ => Ok(number),
    }
}

/// A row that cannot be asked for.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct NoRow {
    /// What is wrong.
    message: String,
    /// What there is.
    #[help]
    help: String,
}

#[cfg(test)]
#[path = "blame_tests.rs"]
mod tests;

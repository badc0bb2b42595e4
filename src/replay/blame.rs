//! Blame: every event that wrote a row, or a cell of it.

use std::sync::mpsc::SyncSender;

use miette::Diagnostic;

use crate::broker::client::Client;
use crate::readmodel::changes::Watched;
use crate::readmodel::scratch::Effect;
use crate::readmodel::store::{Counts, Store};
use crate::record::RecordRef;

use super::at::{Past, Way, merged};
use super::error::ReplayError;
use super::rebuild::Until;
use super::step::{RowGoal, Step};
use super::task::Task;

/// What a blame went through.
#[derive(Debug, Clone, Copy)]
pub struct BlameReport {
    /// What became of the records.
    pub counts: Counts,
    /// How many of them wrote the row.
    pub found: u64,
}

/// Starts a blame: replays the log up to `until` and hands out, oldest first, each event that wrote the row, with nothing but what
/// it did to that row. It waits for whoever takes them, and ends when nobody does.
pub fn blame(
    client: Client,
    store: Store,
    name: String,
    row: RowGoal,
    until: Option<Until>,
    tell: SyncSender<Blamed>,
) -> Task<BlameReport> {
    Task::start("blame", move |control| {
        let past = Past::open(&client, &store, &name, until, control)?;
        let tables = past.empty()?.tables()?;
        check(&name, &row, &tables)?;
        let mut found = 0;
        let cancel = control.cancel.clone();
        let mut each = |record: &RecordRef<'_>, mut effect: Effect| {
            effect.changes.retain(|change| row.is_met(&tables, change));
            if effect.changes.is_empty() {
                return;
            }
            found += 1;
            let step = Step {
                record: record.to_record(),
                effect,
            };
            let tables = std::sync::Arc::clone(&tables);
            if tell.send(Blamed { tables, step }).is_err() {
                cancel.cancel();
            }
        };
        let way = Way {
            // No snapshot is before the first record.
            below: Some(0),
            each: Some(&mut each),
        };
        let scratch = past.go(&past.ends, way, &merged(&client), control)?;
        let counts = scratch.info()?.counts;
        Ok(BlameReport { counts, found })
    })
}

/// An event that wrote the row.
#[derive(Debug, Clone)]
pub struct Blamed {
    /// The tables, as changes count them.
    pub tables: std::sync::Arc<[Watched]>,
    /// The event, with what it did to the row.
    pub step: Step,
}

/// Whether there is such a table with such a key and column.
pub(super) fn check(name: &str, row: &RowGoal, tables: &[Watched]) -> Result<(), ReplayError> {
    let no = |message: String, help: String| Err(ReplayError::NoRow(NoRow { message, help }));
    let Some(table) = tables.iter().find(|table| table.name.eq_ignore_ascii_case(&row.table)) else {
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
        _ => Ok(()),
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

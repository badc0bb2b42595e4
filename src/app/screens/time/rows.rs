//! The rows of a table at the moment in view, page by page, and the way to the one that changed.

use crate::readmodel::query::{Cell, Rows};

use super::super::super::job::{Failure, Job};
use super::super::super::message::Effect;
use super::super::super::model::{Model, Pane};
use super::super::super::moment::Shape;
use super::super::readmodel::{all_of, quoted};

/// How many rows a page of a table has.
pub const PAGE_ROWS: u64 = 200;

/// A row that is to come into view.
#[derive(Debug, Clone)]
pub(super) struct Seek {
    key: Vec<Cell>,
    /// What the rows that are on their way are.
    asks: Asks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// The page that was in view, where it may well be.
    Here,
    /// How many rows come before it.
    Rank,
    /// The page on which it must be, if there is such a row.
    Page,
}

/// Shows the rows of the next table.
pub fn next_table(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    let tables = time.moment.value.as_ref().map_or(0, |moment| moment.tables.len());
    time.seek = None;
    time.table = (time.table + 1) % tables.max(1);
    (time.skip, time.row, time.column) = (0, 0, 0);
    ask(model, fx);
}

/// Asks for the rows, and brings the one into view that the change under the cursor wrote.
pub fn seek(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.seek = None;
    if model.pane != Pane::Third
        && let Some(moment) = &time.moment.value
        && let Some(change) = moment.event.as_ref().and_then(|event| event.changes.get(time.change))
        && let Some(shape) = moment.tables.get(change.table)
    {
        if time.table != change.table {
            time.table = change.table;
            (time.skip, time.column) = (0, 0);
        }
        let key = change.key(shape);
        time.seek = Some(Seek { key, asks: Asks::Here });
    }
    ask(model, fx);
}

/// Goes on looking for a row in what an answer brought; false where the answer is to be shown.
fn sought(model: &mut Model, rows: &Rows, fx: &mut Vec<Effect>) -> bool {
    let Some(time) = &mut model.time else { return false };
    let (Some(seek), Some(shape)) = (time.seek.take(), time.shape().cloned()) else {
        return false;
    };
    if seek.asks == Asks::Rank {
        if let Some(Cell::Integer(before)) = rows.rows.first().and_then(|row| row.first()) {
            // Pages begin where they would if one had scrolled there.
            time.skip = u64::try_from(*before).unwrap_or(0) / PAGE_ROWS * PAGE_ROWS;
        }
        time.seek = Some(Seek {
            asks: Asks::Page,
            ..seek
        });
        ask(model, fx);
        return true;
    }
    if let Some(at) = rows.rows.iter().position(|row| shape.key_of(row) == seek.key) {
        time.row = at;
        return false;
    }
    let Some(sql) = rank(&shape, &seek.key).filter(|_| seek.asks == Asks::Here) else {
        return false;
    };
    time.seek = Some(Seek {
        asks: Asks::Rank,
        ..seek
    });
    ask_past(model, sql, fx);
    true
}

/// How many rows come before a key; `None` where SQL cannot say it.
fn rank(shape: &Shape, key: &[Cell]) -> Option<String> {
    let columns: Vec<String> = shape.key.iter().map(|at| quoted(&shape.columns[*at])).collect();
    let values = key.iter().map(literal).collect::<Option<Vec<_>>>()?;
    if columns.is_empty() || columns.len() != values.len() {
        return None;
    }
    let (table, columns, values) = (quoted(&shape.name), columns.join(", "), values.join(", "));
    Some(format!("SELECT count(*) FROM {table} WHERE ({columns}) < ({values})"))
}

fn literal(value: &Cell) -> Option<String> {
    match value {
        Cell::Integer(value) => Some(value.to_string()),
        Cell::Real(value) if value.is_finite() => Some(format!("{value:?}")),
        Cell::Text(text) if !text.contains('\0') => Some(format!("'{}'", text.replace('\'', "''"))),
        Cell::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("x'{hex}'"))
        }
        _ => None,
    }
}

/// Asks for the page in view.
pub(super) fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    fx.extend(time.rows.task.take().map(Effect::Cancel));
    let Some(shape) = time.shape() else { return };
    let all = all_of(shape.columns.iter().map(String::as_str));
    let mut sql = format!("SELECT {all} FROM {}", quoted(&shape.name));
    if !shape.key.is_empty() {
        let key: Vec<String> = shape.key.iter().map(|at| quoted(&shape.columns[*at])).collect();
        sql = format!("{sql} ORDER BY {}", key.join(", "));
    }
    sql = format!("{sql} LIMIT {PAGE_ROWS} OFFSET {}", time.skip);
    ask_past(model, sql, fx);
}

fn ask_past(model: &mut Model, sql: String, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    fx.extend(time.rows.task.take().map(Effect::Cancel));
    let stood = time.stood();
    let limit = PAGE_ROWS as usize;
    let task = model.start(Job::PastRows { stood, sql, limit }, fx);
    if let Some(time) = &mut model.time {
        time.rows.task = Some(task);
    }
}

/// Takes the rows.
pub fn answer(model: &mut Model, rows: Rows, fx: &mut Vec<Effect>) {
    if let Some(time) = &mut model.time {
        time.rows.task = None;
    }
    if sought(model, &rows, fx) {
        return;
    }
    let Some(time) = &mut model.time else { return };
    time.rows.answer(rows);
    if time.is_empty() && time.skip > 0 {
        // The table had more rows at another moment, or ends with the page before.
        time.skip = time.skip.saturating_sub(PAGE_ROWS);
        time.row = PAGE_ROWS as usize - 1;
        return ask(model, fx);
    }
    time.row = time.row.min(time.len().saturating_sub(1));
}

/// Takes the failure of the rows: those of another moment are none of this.
pub fn failed(model: &mut Model, failure: Failure) {
    let Some(time) = &mut model.time else { return };
    time.rows.value = None;
    time.rows.fail(failure);
}

/// Moves the cursor of the rows; past a page's end the next is read.
pub fn step(model: &mut Model, by: isize, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.seek = None;
    let last = time.len().saturating_sub(1);
    if time.rows.task.is_none() && by > 0 && time.row == last && time.len() as u64 == PAGE_ROWS {
        time.skip += PAGE_ROWS;
        time.row = 0;
        return ask(model, fx);
    }
    if time.rows.task.is_none() && by < 0 && time.row == 0 && time.skip > 0 {
        time.skip = time.skip.saturating_sub(PAGE_ROWS);
        time.row = PAGE_ROWS as usize - 1;
        return ask(model, fx);
    }
    time.row = time.row.saturating_add_signed(by).min(last);
}

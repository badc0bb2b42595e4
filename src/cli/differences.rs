//! How the commands show what differs between two read models.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use miette::miette;
use serde_json::{Map, Value, json};

use crate::decode::printable::printable;
use crate::readmodel::compare::{Difference, RowDifference, Shape, Side, Tally, Which, compare};
use crate::readmodel::query::Cell;

use super::show;

/// Rows of a table that people are shown unless they want more.
const SHOWN: usize = 20;
/// Characters of a name: whoever wrote the projection chose it.
const NAME: usize = 200;

/// How printing ended.
pub(super) enum Printed {
    /// Everything was compared.
    Whole(Tally),
    /// Whoever reads it has enough.
    Enough,
}

/// Compares two read models and prints what differs, at most `limit` rows of a table.
pub(super) fn print(as_json: bool, limit: Option<usize>, before: &Side, after: &Side) -> miette::Result<Printed> {
    let mut out = BufWriter::new(io::stdout().lock());
    let limit = limit.unwrap_or(if as_json { usize::MAX } else { SHOWN });
    let mut written = Ok(());
    let mut shown = 0;
    let tally = compare(before, after, &mut |difference| {
        let row = matches!(difference, Difference::Row(_));
        let head = !as_json && shown == 0 && row;
        if row {
            shown += 1;
        }
        let text = if row && shown > limit {
            String::new()
        } else if as_json {
            json_line(&difference)
        } else {
            lines(&difference, head, shown.saturating_sub(limit))
        };
        if !row {
            shown = 0;
        }
        written = out.write_all(text.as_bytes());
        written.is_ok()
    })?;
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(Printed::Whole(tally)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::Enough),
        Err(error) => Err(miette!("cannot write to standard output: {error}")),
    }
}

fn lines(difference: &Difference, head: bool, hidden: usize) -> String {
    match difference {
        Difference::Table { table, only, rows } => {
            let (sign, table, rows) = (sign(*only), name(table), show::counted(*rows, "row"));
            format!("{sign} table {table}: {rows}\n")
        }
        Difference::Column { table, column, only } => {
            format!("{} column {}.{}\n", sign(*only), name(table), name(column))
        }
        Difference::Key { table } => {
            let table = name(table);
            format!("! table {table}: its primary keys are of other columns, so no row can be matched with another\n")
        }
        Difference::Row(row) if head => format!("{}\n{}", name(&row.shape.table), row_line(row)),
        Difference::Row(row) => row_line(row),
        Difference::Compared { table, counts } if counts.is_equal() => {
            format!("{}: equal, {}\n", name(table), show::counted(counts.same, "row"))
        }
        Difference::Compared { counts, .. } => {
            let more = match hidden {
                0 => String::new(),
                hidden => format!("  … and {} more; all with --limit N\n", show::count(hidden as u64)),
            };
            let [added, removed, changed, same] =
                [counts.added, counts.removed, counts.changed, counts.same].map(show::count);
            format!("{more}  {added} added, {removed} removed, {changed} changed, {same} equal\n")
        }
    }
}

fn sign(only: Which) -> char {
    match only {
        Which::Before => '-',
        Which::After => '+',
    }
}

/// `  ~ id 'a1': balance 10 → 20`.
pub(super) fn row_line(row: &RowDifference) -> String {
    let sign = match (&row.before, &row.after) {
        (Some(_), Some(_)) => '~',
        (Some(_), None) => '-',
        _ => '+',
    };
    let mut text = format!("  {sign} {}", pairs(&row.shape.columns, row.key()));
    let rest = what_differs(row);
    if !rest.is_empty() {
        let _ = write!(text, ": {rest}");
    }
    text + "\n"
}

/// The columns that differ as old → new, or all of a row that only one side has; without the key.
pub(super) fn what_differs(row: &RowDifference) -> String {
    let Shape { columns, key, .. } = &*row.shape;
    match (&row.before, &row.after) {
        (Some(before), Some(after)) => {
            let change = |at: &usize| {
                let (column, before, after) = (columns.get(*at)?, before.get(*at)?, after.get(*at)?);
                Some(format!("{} {} → {}", name(column), literal(before), literal(after)))
            };
            row.changed.iter().filter_map(change).collect::<Vec<_>>().join(", ")
        }
        (Some(row), None) | (None, Some(row)) => pairs(&columns[*key..], &row[*key..]),
        (None, None) => String::new(),
    }
}

/// `id 'a1', part 3`.
pub(super) fn pairs(columns: &[String], cells: &[Cell]) -> String {
    let pairs = columns.iter().zip(cells);
    let pairs: Vec<_> = pairs
        .map(|(column, cell)| format!("{} {}", name(column), literal(cell)))
        .collect();
    pairs.join(", ")
}

fn name(text: &str) -> String {
    printable(text.as_bytes(), NAME).text
}

/// A value as SQL writes it, so that '1', 1 and 1.0 are told apart.
fn literal(cell: &Cell) -> String {
    match cell {
        Cell::Text(_) => format!("'{}'", show::cell(cell)),
        _ => show::cell(cell),
    }
}

fn json_line(difference: &Difference) -> String {
    let which = |only: &Which| match only {
        Which::Before => "removed",
        Which::After => "added",
    };
    let line = match difference {
        Difference::Table { table, only, rows } => {
            json!({ "table": table, "change": format!("table {}", which(only)), "rows": rows })
        }
        Difference::Column { table, column, only } => {
            json!({ "table": table, "column": column, "change": format!("column {}", which(only)) })
        }
        Difference::Key { table } => json!({ "table": table, "change": "key" }),
        Difference::Row(row) => row_json(row),
        Difference::Compared { .. } => return String::new(),
    };
    format!("{line}\n")
}

/// A row that differs as JSON: its key, and the whole row of either side.
pub(super) fn row_json(row: &RowDifference) -> Value {
    let change = match (&row.before, &row.after) {
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "removed",
        _ => "added",
    };
    json!({
        "table": row.shape.table,
        "key": object(&row.shape.columns, row.key()),
        "change": change,
        "before": row.before.as_ref().map(|cells| object(&row.shape.columns, cells)),
        "after": row.after.as_ref().map(|cells| object(&row.shape.columns, cells)),
    })
}

fn object(columns: &[String], cells: &[Cell]) -> Value {
    let pairs = columns.iter().cloned().zip(cells.iter().cloned().map(show::cell_json));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// How the rows compare in all, as JSON.
pub(super) fn total(tally: &Tally) -> Value {
    json!({
        "equal": tally.is_equal(),
        "added": tally.added,
        "removed": tally.removed,
        "changed": tally.changed,
        "same": tally.same,
    })
}

//! Which chart rows that nobody made for one would be.

use std::collections::BTreeSet;

use crate::readmodel::query::{Cell, Rows};

use super::Kind;
use super::data::number;

/// Rows that are looked at.
const LOOKED: usize = 200;
/// From so many bars on the largest come first.
const MANY: usize = 12;

/// The kind of chart that these rows make, and the rows with the columns that it takes; `None` where no column has numbers.
pub fn guess(rows: &Rows) -> Option<(Kind, Rows)> {
    let looked = &rows.rows[..rows.rows.len().min(LOOKED)];
    let is_number = |at: usize| {
        let mut some = looked.iter().filter(|row| row[at] != Cell::Null).peekable();
        some.peek().is_some() && some.all(|row| matches!(row[at], Cell::Integer(_) | Cell::Real(_)))
    };
    let numeric: Vec<bool> = (0..rows.columns.len()).map(is_number).collect();
    let first = |wanted: bool| numeric.iter().position(|is| *is == wanted);
    let value = first(true)?;
    let (kind, columns) = match (numeric.as_slice(), first(false)) {
        ([true] | [true, true] | [true, true, false], _) if looked.len() == 1 => {
            (Kind::Gauge, (0..numeric.len()).collect())
        }
        ([true], _) => (Kind::Histogram, vec![0]),
        ([true, true] | [true, true, false], _) => (Kind::Line, (0..numeric.len()).collect()),
        // Of numbers alone the first is most often a key or a time, and what is beside it measured.
        ([first, second, true], _) if !(*first && *second) && is_grid(looked) => (Kind::Heat, vec![0, 1, 2]),
        (_, Some(label)) => (bars(rows), vec![label, value]),
        ([_, second, ..], None) if *second => (Kind::Line, vec![0, 1]),
        _ => (Kind::Histogram, vec![value]),
    };
    let taken = Rows {
        columns: columns.iter().map(|at| rows.columns[*at].clone()).collect(),
        rows: rows
            .rows
            .iter()
            .map(|row| columns.iter().map(|at| row[*at].clone()).collect())
            .collect(),
        truncated: rows.truncated,
    };
    Some((kind, taken))
}

fn bars(rows: &Rows) -> Kind {
    if rows.rows.len() > MANY { Kind::Top } else { Kind::Bar }
}

/// Whether the first two columns span a table of which at least a third is there.
fn is_grid(rows: &[Vec<Cell>]) -> bool {
    let names = |at: usize| {
        let names: BTreeSet<String> = rows.iter().map(|row| format!("{:?}", row[at])).collect();
        names.len()
    };
    let (down, across) = (names(0), names(1));
    let numbers = rows.iter().filter(|row| number(&row[2]).is_some()).count();
    down > 1 && across > 1 && numbers * 3 >= down * across
}

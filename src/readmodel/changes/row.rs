//! A row as it was, in few bytes: an undo must bring back the very same, and a history keeps millions of them.

use std::io::Write;

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::super::query::{Cell, cell};

/// What stands before each value.
mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const INTEGER: u8 = 1;
    pub(super) const REAL: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const BLOB: u8 = 4;
}

/// A row's values in the order of the table's columns. Two are equal where every byte is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row(pub(in super::super) Vec<u8>);

impl Row {
    /// Room for a row of a few values, which most are.
    pub(super) fn with_room() -> Self {
        Self(Vec::with_capacity(64))
    }

    /// Its values as a query shows them.
    pub fn cells(&self) -> Vec<Cell> {
        self.values().map(cell).collect()
    }

    /// Its value in one column.
    pub fn cell(&self, column: usize) -> Cell {
        self.values().nth(column).map_or(Cell::Null, cell)
    }

    pub(in super::super) fn push(&mut self, value: ValueRef<'_>) {
        put_value(&mut self.0, value);
    }

    pub(in super::super) fn values(&self) -> Values<'_> {
        Values(&self.0)
    }

    /// The values of some columns, to be bound.
    pub(super) fn at<'r>(&'r self, columns: &'r [usize]) -> impl Iterator<Item = ToSqlOutput<'r>> {
        let all: Vec<_> = self.values().collect();
        columns
            .iter()
            .filter_map(move |at| all.get(*at).copied().map(ToSqlOutput::Borrowed))
    }
}

/// Reads values one after the other; bytes that are none end it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Values<'v>(pub(in super::super) &'v [u8]);

impl<'v> Iterator for Values<'v> {
    type Item = ValueRef<'v>;

    fn next(&mut self) -> Option<ValueRef<'v>> {
        let (tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match *tag {
            tag::NULL => ValueRef::Null,
            tag::INTEGER => ValueRef::Integer(unzigzag(take_number(&mut self.0)?)),
            tag::REAL => {
                let (bytes, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                ValueRef::Real(f64::from_le_bytes(*bytes))
            }
            tag::TEXT => ValueRef::Text(take_bytes(&mut self.0)?),
            tag::BLOB => ValueRef::Blob(take_bytes(&mut self.0)?),
            _ => return None,
        })
    }
}

/// Appends a value, so that [`Values`] reads it.
pub(in super::super) fn put_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push(tag::NULL),
        ValueRef::Integer(value) => {
            out.push(tag::INTEGER);
            put_number(out, zigzag(value));
        }
        ValueRef::Real(value) => {
            out.push(tag::REAL);
            out.extend_from_slice(&value.to_le_bytes());
        }
        ValueRef::Text(bytes) => {
            out.push(tag::TEXT);
            put_bytes(out, bytes);
        }
        ValueRef::Blob(bytes) => {
            out.push(tag::BLOB);
            put_bytes(out, bytes);
        }
    }
}

/// Appends bytes with their length before them.
pub(in super::super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes off the front; `None` where they are not all there.
pub(in super::super) fn take_bytes<'b>(from: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(take_number(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(bytes)
}

/// Appends a number in as few bytes as it needs, seven bits in each.
pub(in super::super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front; `None` where there is none.
pub(in super::super) fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for (at, byte) in from.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *from = from.get(at + 1..)?;
            return Some(number);
        }
    }
    None
}

/// A signed number as one that is small where its amount is.
pub(in super::super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(in super::super) fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

/// A value of a key as it is written on a command line: text bare, bytes in hex, NULL as `null`.
pub fn key_text(cell: &Cell) -> String {
    let mut text = Vec::new();
    put_key_text(
        &mut text,
        match cell {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(*value),
            Cell::Real(value) => ValueRef::Real(*value),
            Cell::Text(value) => ValueRef::Text(value.as_bytes()),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        },
    );
    String::from_utf8_lossy(&text).into_owned()
}

/// The same, appended.
pub(in super::super) fn put_key_text(out: &mut Vec<u8>, value: ValueRef<'_>) {
    // Writing to memory does not fail.
    let _ = match value {
        ValueRef::Null => out.write_all(b"null"),
        ValueRef::Integer(value) => write!(out, "{value}"),
        ValueRef::Real(value) => write!(out, "{value}"),
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => out.write_all(bytes),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Vec<Cell>> {
        let one = prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Integer),
            any::<f64>()
                .prop_filter("SQLite has no NaN", |n| !n.is_nan())
                .prop_map(Cell::Real),
            ".{0,20}".prop_map(Cell::Text),
            // What is no UTF-8 stays bytes.
            prop::collection::vec(128..=255u8, 1..200).prop_map(Cell::Blob),
        ];
        prop::collection::vec(one, 0..12)
    }

    fn row(cells: &[Cell]) -> Row {
        let mut row = Row::default();
        for cell in cells {
            row.push(match cell {
                Cell::Null => ValueRef::Null,
                Cell::Integer(value) => ValueRef::Integer(*value),
                Cell::Real(value) => ValueRef::Real(*value),
                Cell::Text(value) => ValueRef::Text(value.as_bytes()),
                Cell::Blob(bytes) => ValueRef::Blob(bytes),
            });
        }
        row
    }

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(cells in values()) {
            prop_assert_eq!(row(&cells).cells(), cells);
        }

        /// Whatever is in a file that was damaged, reading ends.
        #[test]
        fn bytes_that_are_no_row_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Row(bytes.clone()).cells().len() <= bytes.len());
        }
    }
}

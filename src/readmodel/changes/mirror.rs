//! Rows as SQLite will store them, where the hook tells them as a statement gives them.
//!
//! The hook is told an update's values before their columns' affinity has been applied, and nothing of generated columns that are
//! not stored. Both are rare; such a row is put through a table of the same definition in memory, so that the rules are SQLite's own.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::super::dates;
use super::super::dump::quoted;
use super::Watched;
use super::row::Row;

/// The same tables, empty, in memory.
#[derive(Debug)]
pub(super) struct Mirror {
    connection: Connection,
}

impl Mirror {
    /// Of the tables that a connection has.
    pub(super) fn of(connection: &Connection, tables: &[Watched]) -> rusqlite::Result<Self> {
        let mirror = Connection::open_in_memory()?;
        dates::install(&mirror)?;
        mirror.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")?;
        for table in tables {
            let find = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?";
            let sql: String = connection.query_row(find, [&table.name], |row| row.get(0))?;
            mirror.execute_batch(&sql)?;
        }
        Ok(Self { connection: mirror })
    }

    /// What becomes of a row that is written.
    pub(super) fn settle(&self, table: &Watched, row: &Row) -> rusqlite::Result<Row> {
        let name = quoted(&table.name);
        let list = |at: &[usize]| {
            let names: Vec<_> = at.iter().map(|at| quoted(&table.columns[*at])).collect();
            names.join(", ")
        };
        let marks = vec!["?"; table.stored.len()].join(", ");
        let insert = format!("INSERT INTO {name} ({}) VALUES ({marks})", list(&table.stored));
        self.connection
            .prepare_cached(&insert)?
            .execute(params_from_iter(row.at(&table.stored)))?;
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let select = format!("SELECT {} FROM {name}", list(&all));
        let settled = self.connection.prepare_cached(&select)?.query_row([], |found| {
            let mut settled = Row::default();
            for at in all {
                settled.push(found.get_ref(at)?);
            }
            Ok(settled)
        });
        self.connection
            .prepare_cached(&format!("DELETE FROM {name}"))?
            .execute([])?;
        settled
    }
}

/// What a column does to the values that are written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    None,
    Text,
    Real,
    /// INTEGER and NUMERIC, which store the same.
    Numeric,
}

impl Affinity {
    /// By SQLite's rules for the declared type.
    pub(super) fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if strict && declared == "ANY" {
            Self::None
        } else if has(&["INT"]) {
            Self::Numeric
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::None
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Whether a value is stored as it is, for certain.
    pub(super) fn keeps(self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::None, _) | (_, ValueRef::Null | ValueRef::Blob(_)) => true,
            (Self::Text, ValueRef::Text(_))
            | (Self::Real, ValueRef::Real(_))
            | (Self::Numeric, ValueRef::Integer(_)) => true,
            // 5.0 becomes 5, where nothing is lost by it.
            (Self::Numeric, ValueRef::Real(value)) => value.fract() != 0.0,
            _ => false,
        }
    }
}

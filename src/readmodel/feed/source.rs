//! Reading a read model for a store that is fed: what changed, and all rows page by page.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::super::changes::row::Values;
use super::super::changes::{Watched, watched_tables};
use super::super::compile::columns;
use super::super::dump::quoted;
use super::super::error::ReadModelError;
use super::super::query::{Cell, cell};
use super::super::store;

/// Bytes of rows that are handed out together, about.
const BYTES: usize = 8 * 1024 * 1024;

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 64-bit integers.
    Integer,
    /// Doubles.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// Numbers, whole or not.
    Numeric,
    /// Anything.
    Any,
}

impl Type {
    /// By SQLite's rules for a declared type.
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else if has(&["NUMERIC", "DECIMAL"]) {
            Self::Numeric
        } else {
            // Dates and booleans are numbers to SQLite, and are mostly kept as text.
            Self::Any
        }
    }
}

/// A column of a table that stores are fed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FedColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Type,
}

/// A table that stores are fed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FedTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<FedColumn>,
    /// Which of them are the primary key, in its order.
    pub key: Vec<usize>,
}

impl FedTable {
    /// The key of a row.
    pub fn key_of(&self, row: &[Cell]) -> Vec<Cell> {
        self.key.iter().filter_map(|at| row.get(*at).cloned()).collect()
    }
}

/// A row as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct FedRow {
    /// Which of the tables.
    pub table: usize,
    /// Its key.
    pub key: Vec<Cell>,
    /// Its values; `None` where it is gone.
    pub values: Option<Vec<Cell>>,
}

/// Rows that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The rows as they are now, each once.
    pub rows: Vec<FedRow>,
    /// The number of the last of these changes.
    pub through: i64,
}

/// Reads a read model while it is written.
#[derive(Debug)]
pub struct Feed {
    connection: Connection,
    watched: std::sync::Arc<[Watched]>,
    tables: Vec<FedTable>,
}

impl Feed {
    /// Of a read model's file.
    pub(in super::super) fn open(path: &Path) -> Result<Self, ReadModelError> {
        let connection = store::open_read_only(path)?;
        let read = || {
            // What a store had is remembered outside of memory where it is much.
            connection
                .execute_batch("CREATE TEMP TABLE had (tab INTEGER, key TEXT, PRIMARY KEY (tab, key)) WITHOUT ROWID")?;
            Ok((watched_tables(&connection)?, tables(&connection)?))
        };
        let (watched, tables) =
            read().map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))?;
        Ok(Self {
            connection,
            watched,
            tables,
        })
    }

    /// The tables.
    pub fn tables(&self) -> &[FedTable] {
        &self.tables
    }

    /// The number of the last change that is committed.
    pub fn head(&self) -> Result<i64, ReadModelError> {
        super::head(&self.connection).map_err(failed)
    }

    /// How far a store was fed as the read model has it; `None` where it does not know it.
    pub fn mark(&self, sink: &str) -> Result<Option<super::Mark>, ReadModelError> {
        self.connection
            .prepare_cached("SELECT epoch, through, whole FROM _foldlog_sink WHERE name = ?")
            .and_then(|mut select| {
                let read = |row: &Row<'_>| {
                    Ok(super::Mark {
                        epoch: row.get(0)?,
                        through: row.get(1)?,
                        whole: row.get(2)?,
                    })
                };
                select.query_row([sink], read).optional()
            })
            .map_err(failed)
    }

    /// Whether a store refuses any row.
    pub fn has_refused(&self, sink: &str) -> Result<bool, ReadModelError> {
        self.connection
            .prepare_cached("SELECT 1 FROM _foldlog_sink_refused WHERE sink = ? LIMIT 1")
            .and_then(|mut select| select.exists([sink]))
            .map_err(failed)
    }

    /// Rows that changed after the change of this number, `most` at most; `None` where none did.
    pub fn changes(&self, after: i64, most: usize) -> Result<Option<Changes>, ReadModelError> {
        self.read_changes(after, most).map_err(failed)
    }

    fn read_changes(&self, after: i64, most: usize) -> rusqlite::Result<Option<Changes>> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut select = transaction
            .prepare_cached("SELECT seq, tab, key FROM _foldlog_change WHERE seq > ? ORDER BY seq LIMIT ?")?;
        let mut found = select.query([after, i64::try_from(most).unwrap_or(i64::MAX)])?;
        let (mut rows, mut through, mut bytes) = (Vec::<FedRow>::new(), None, 0);
        let mut seen = std::collections::HashSet::new();
        while let Some(row) = found.next()? {
            through = Some(row.get(0)?);
            let name = row.get_ref(1)?.as_str()?;
            let Some(table) = self.tables.iter().position(|table| table.name == name) else {
                continue;
            };
            let key = row.get_ref(2)?.as_blob()?;
            if let Some(row) = self.row(table, key)? {
                // A key may be written down as a statement gave it and as it is stored.
                if seen.insert((table, super::super::net::name(&row.key))) {
                    bytes += size(&row);
                    rows.push(row);
                }
            }
            if bytes >= BYTES {
                break;
            }
        }
        drop(found);
        Ok(through.map(|through| Changes { rows, through }))
    }

    /// The row of a key as it is now, with its key as it is stored. A key has no NULL: projections are held to that.
    fn row(&self, table: usize, key: &[u8]) -> rusqlite::Result<Option<FedRow>> {
        let (Some(fed), Some(watched)) = (self.tables.get(table), self.watched.get(table)) else {
            return Ok(None);
        };
        let key: Vec<Cell> = Values(key).map(cell).collect();
        let found: Vec<String> = watched
            .key
            .iter()
            .map(|at| format!("{} = ?", quoted(&watched.columns[*at])))
            .collect();
        let sql = format!("{} WHERE {}", select(fed), found.join(" AND "));
        let values = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(key.iter().map(bound)), |row| {
                cells(row, fed.columns.len())
            })
            .optional()?;
        Ok(Some(FedRow {
            table,
            key: values.as_ref().map_or(key, |values| fed.key_of(values)),
            values,
        }))
    }

    /// The next rows of a table in the order of its key.
    pub fn page(&self, table: usize, after: Option<&[Cell]>, most: usize) -> Result<Vec<FedRow>, ReadModelError> {
        self.read_page(table, after, most).map_err(failed)
    }

    fn read_page(&self, table: usize, after: Option<&[Cell]>, most: usize) -> rusqlite::Result<Vec<FedRow>> {
        let Some(fed) = self.tables.get(table) else {
            return Ok(Vec::new());
        };
        let key: Vec<String> = fed.key.iter().map(|at| quoted(&fed.columns[*at].name)).collect();
        let mut sql = select(fed);
        if after.is_some() {
            let marks = vec!["?"; key.len()].join(", ");
            sql.push_str(&format!(" WHERE ({}) > ({marks})", key.join(", ")));
        }
        sql.push_str(&format!(" ORDER BY {} LIMIT {most}", key.join(", ")));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut found = statement.query(params_from_iter(after.unwrap_or_default().iter().map(bound)))?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            let values = cells(row, fed.columns.len())?;
            let row = FedRow {
                table,
                key: fed.key_of(&values),
                values: Some(values),
            };
            bytes += size(&row);
            rows.push(row);
            if bytes >= BYTES {
                break;
            }
        }
        Ok(rows)
    }

    /// How many rows there are in all.
    pub fn count(&self) -> Result<u64, ReadModelError> {
        let count = |table: &FedTable| {
            let sql = format!("SELECT count(*) FROM main.{}", quoted(&table.name));
            let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        };
        self.tables
            .iter()
            .map(count)
            .sum::<rusqlite::Result<u64>>()
            .map_err(failed)
    }

    /// Remembers rows by the names that they have in a store.
    pub fn remember<'n>(&self, names: impl Iterator<Item = (usize, &'n str)>) -> Result<(), ReadModelError> {
        let write = || {
            self.connection.execute_batch("BEGIN")?;
            let mut insert = self
                .connection
                .prepare_cached("INSERT OR IGNORE INTO temp.had VALUES (?, ?)")?;
            for (table, name) in names {
                insert.execute((i64::try_from(table).unwrap_or(i64::MAX), name))?;
            }
            self.connection.execute_batch("COMMIT")
        };
        let written = write();
        if written.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        written.map_err(failed)
    }

    /// Whether a row is remembered.
    pub fn remembers(&self, table: usize, name: &str) -> Result<bool, ReadModelError> {
        self.connection
            .prepare_cached("SELECT 1 FROM temp.had WHERE tab = ? AND key = ?")
            .and_then(|mut select| select.exists((i64::try_from(table).unwrap_or(i64::MAX), name)))
            .map_err(failed)
    }

    /// Forgets them all.
    pub fn forget(&self) -> Result<(), ReadModelError> {
        self.connection.execute_batch("DELETE FROM temp.had").map_err(failed)
    }
}

fn failed(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot read the rows that a store is fed with", error)
}

/// The tables of a read model that a connection has open.
pub(in super::super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<FedTable>> {
    let watched = watched_tables(connection)?;
    watched.iter().map(|table| fed_table(connection, table)).collect()
}

fn fed_table(connection: &Connection, table: &Watched) -> rusqlite::Result<FedTable> {
    let declared = columns(connection, "main", &table.name)?;
    Ok(FedTable {
        name: table.name.clone(),
        columns: declared
            .into_iter()
            .map(|column| FedColumn {
                kind: Type::of(&column.declared),
                name: column.name,
            })
            .collect(),
        key: table.key.clone(),
    })
}

fn select(table: &FedTable) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    format!("SELECT {} FROM main.{}", names.join(", "), quoted(&table.name))
}

fn cells(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<Cell>> {
    (0..columns).map(|at| row.get_ref(at).map(cell)).collect()
}

fn bound(cell: &Cell) -> ToSqlOutput<'_> {
    use rusqlite::types::ValueRef;
    match cell {
        Cell::Null => ToSqlOutput::Owned(Value::Null),
        Cell::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
        Cell::Real(value) => ToSqlOutput::Owned(Value::Real(*value)),
        Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Cell::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}

fn size(row: &FedRow) -> usize {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => bytes.len(),
        _ => 8,
    };
    row.key.iter().chain(row.values.iter().flatten()).map(cell).sum()
}

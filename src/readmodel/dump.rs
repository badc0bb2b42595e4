//! A read model as text: every row in primary-key order, then the SHA-256 of what was printed. Equal dumps are equal read models.
//!
//! The text is what the projection made and nothing else: no position, no times, no order of insertion.

use std::io::Write;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};

use super::bookkeeping::hex;
use super::compile::{Column, columns};
use super::error::ReadModelError;
use super::guard::RESERVED;
use super::store::{Store, open_read_only};

/// Writes the dump of a read model and returns its SHA-256 as hex.
///
/// Each table begins with `table NAME ["column", ...]`; each row is a JSON array on a line of its own. A double always has a
/// point or an exponent; bytes are `{"blob": "hex"}`, a double that JSON has no word for is `{"real": "inf"}`.
pub fn dump(store: &Store, name: &str, out: &mut dyn Write) -> Result<String, ReadModelError> {
    let path = store.current(name)?.path;
    of(&open_read_only(&path)?, &path, out)
}

/// The dump of the read model that a connection has open.
pub(super) fn of(connection: &Connection, path: &Path, out: &mut dyn Write) -> Result<String, ReadModelError> {
    let failed = |error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error);
    // One transaction, so that a writer's commit does not fall between two tables.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let mut sink = Sink {
        out,
        hash: Sha256::new(),
        line: String::new(),
    };
    for table in tables(&transaction, "main").map_err(failed)? {
        dump_table(&transaction, &table, &mut sink).map_err(|error| match error {
            DumpError::Sqlite(error) => failed(error),
            DumpError::Io(error) => ReadModelError::io("cannot write the dump of", path, error),
        })?;
    }
    Ok(hex(&sink.hash.finalize()))
}

/// The projection's own tables of a schema, by name.
pub(super) fn tables(connection: &Connection, schema: &str) -> rusqlite::Result<Vec<String>> {
    let all: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_list WHERE schema = ? AND type IN ('table', 'virtual') ORDER BY name")?
        .query_map([schema], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|name| is_own(name)).collect())
}

/// Whether a table is the projection's own.
fn is_own(name: &str) -> bool {
    !name.starts_with(RESERVED) && !name.starts_with("sqlite_")
}

/// The names of a schema's tables and views, those of its bookkeeping left out.
pub(super) fn readable(connection: &Connection, schema: &str) -> rusqlite::Result<Vec<String>> {
    let all: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_list WHERE schema = ? AND type IN ('table', 'virtual', 'view') ORDER BY name")?
        .query_map([schema], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|name| is_own(name)).collect())
}

/// The names of a table's key columns, in the key's order.
pub(super) fn key_of(columns: &[Column]) -> Vec<String> {
    let mut key: Vec<_> = columns.iter().filter(|column| column.key > 0).collect();
    key.sort_by_key(|column| column.key);
    key.into_iter().map(|column| column.name.clone()).collect()
}

/// A name as SQL writes it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

enum DumpError {
    Sqlite(rusqlite::Error),
    Io(std::io::Error),
}

impl From<rusqlite::Error> for DumpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

struct Sink<'o> {
    out: &'o mut dyn Write,
    hash: Sha256,
    line: String,
}

impl Sink<'_> {
    fn end_line(&mut self) -> Result<(), DumpError> {
        self.line.push('\n');
        self.hash.update(self.line.as_bytes());
        self.out.write_all(self.line.as_bytes()).map_err(DumpError::Io)?;
        self.line.clear();
        Ok(())
    }
}

fn dump_table(connection: &Connection, table: &str, sink: &mut Sink<'_>) -> Result<(), DumpError> {
    let columns = columns(connection, "main", table)?;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    sink.line
        .push_str(&format!("table {table} {}", serde_json::json!(names)));
    sink.end_line()?;
    let list = |names: &mut dyn Iterator<Item = &str>| names.map(quoted).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {} FROM main.{} ORDER BY {}",
        list(&mut names.iter().copied()),
        quoted(table),
        list(&mut key_of(&columns).iter().map(String::as_str))
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        push_row(&mut sink.line, row, names.len())?;
        sink.end_line()?;
    }
    Ok(())
}

/// Appends a row as a JSON array.
pub(super) fn push_row(line: &mut String, row: &Row<'_>, columns: usize) -> rusqlite::Result<()> {
    line.push('[');
    for at in 0..columns {
        if at > 0 {
            line.push_str(", ");
        }
        push_value(line, row.get_ref(at)?);
    }
    line.push(']');
    Ok(())
}

fn push_value(line: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => line.push_str("null"),
        ValueRef::Integer(value) => line.push_str(&value.to_string()),
        ValueRef::Real(value) if value.is_finite() => line.push_str(&format!("{value:?}")),
        ValueRef::Real(value) => line.push_str(&format!("{{\"real\": \"{value}\"}}")),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => line.push_str(&serde_json::Value::from(text).to_string()),
            // SQL can cast any bytes to TEXT.
            Err(_) => line.push_str(&format!("{{\"text\": \"{}\"}}", hex(bytes))),
        },
        ValueRef::Blob(bytes) => line.push_str(&format!("{{\"blob\": \"{}\"}}", hex(bytes))),
    }
}

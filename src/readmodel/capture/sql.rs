//! The SQL of a capture: its tables, its triggers, and a row as JSON.

use rusqlite::{Connection, Transaction};

use crate::record::Timestamp;

use super::super::dump::quoted;
use super::{SourceColumn, SourceTable, table_name, text};

/// What the names of its triggers begin with.
const TRIGGER: &str = "_foldlog_capture_";
/// Now, in milliseconds since 1970.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_change (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL,
  tbl    TEXT NOT NULL,
  op     TEXT NOT NULL,
  before TEXT,
  after  TEXT
);
CREATE TABLE IF NOT EXISTS _foldlog_capture (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  position INTEGER,
  -- PRAGMA schema_version when the triggers were last held against the tables.
  seen     INTEGER,
  -- Whose capture it is.
  name     TEXT
);
INSERT OR IGNORE INTO _foldlog_capture (one) VALUES (1);
";

/// Makes the tables of the capture and the triggers of the `found` tables, and says whether any was not as it should be. Where the
/// rows that were there first are handed on already, those of a table with new triggers are written down to be read once more.
pub(super) fn install(
    transaction: &mut Transaction<'_>,
    found: &[SourceTable],
    known: &[SourceTable],
) -> rusqlite::Result<bool> {
    transaction.execute_batch(TABLES)?;
    let begun: bool = transaction.query_row("SELECT position IS NOT NULL FROM _foldlog_capture", [], |row| {
        row.get(0)
    })?;
    let mut changed = false;
    for table in found {
        let mut is_new = false;
        for (name, sql) in triggers(table) {
            let there: Option<String> = transaction.query_row(
                "SELECT max(sql) FROM sqlite_schema WHERE type = 'trigger' AND name = ?",
                [&name],
                |row| row.get(0),
            )?;
            if there.as_deref() != Some(sql.as_str()) {
                transaction.execute_batch(&format!("DROP TRIGGER IF EXISTS {}; {sql};", quoted(&name)))?;
                is_new = true;
            }
        }
        if is_new && begun {
            let row = row("t", &table.columns);
            let (name, from, key) = (text(&table.name), table_name(table), key(table));
            transaction.execute_batch(&format!(
                "INSERT INTO _foldlog_change (at, tbl, op, after) SELECT {NOW}, {name}, 'r', {row} FROM {from} AS t ORDER BY {key};"
            ))?;
        }
        changed |= is_new;
    }
    // A table that is gone took its triggers with it.
    Ok(changed || known.len() > found.len())
}

/// Takes everything away that `install` made.
pub(super) fn remove(transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
    let triggers: Vec<String> = transaction
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND instr(name, ?) = 1")?
        .query_map([TRIGGER], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in triggers {
        transaction.execute_batch(&format!("DROP TRIGGER {}", quoted(&name)))?;
    }
    transaction.execute_batch("DROP TABLE IF EXISTS _foldlog_change; DROP TABLE IF EXISTS _foldlog_capture;")
}

/// The number of the last change.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '_foldlog_change'",
        [],
        |row| row.get(0),
    )
}

/// The database's clock.
pub(super) fn now(connection: &Connection) -> rusqlite::Result<Timestamp> {
    connection
        .query_row(&format!("SELECT {NOW}"), [], |row| row.get(0))
        .map(Timestamp)
}

/// Every row of a table as JSON, in the order of its key.
pub(super) fn select(table: &SourceTable) -> String {
    let (row, from, key) = (row("t", &table.columns), table_name(table), key(table));
    format!("SELECT {row} FROM {from} AS t ORDER BY {key}")
}

fn key(table: &SourceTable) -> String {
    let names: Vec<String> = table.key.iter().map(|name| format!("t.{}", quoted(name))).collect();
    names.join(", ")
}

/// The triggers of a table, each with its name.
fn triggers(table: &SourceTable) -> Vec<(String, String)> {
    let (old, new) = (row("OLD", &table.columns), row("NEW", &table.columns));
    let (name, of) = (text(&table.name), table_name(table));
    [
        ("c", "INSERT", "NULL", &*new),
        ("u", "UPDATE", &*old, &*new),
        ("d", "DELETE", &*old, "NULL"),
    ]
    .into_iter()
    .map(|(op, event, before, after)| {
        let trigger = format!("{TRIGGER}{op}_{}", table.name);
        let sql = format!(
            "CREATE TRIGGER {} AFTER {event} ON {of} BEGIN INSERT INTO _foldlog_change (at, tbl, op, before, after) \
                 VALUES ({NOW}, {name}, '{op}', {before}, {after}); END",
            quoted(&trigger)
        );
        (trigger, sql)
    })
    .collect()
}

/// A row as a JSON object: `{"id":1,"name":"x"}`. A function of SQLite that takes the columns as arguments would have an end at some
/// number of columns; and its doubles have 15 digits, where some need 17.
fn row(of: &str, columns: &[SourceColumn]) -> String {
    let mut out = String::from("'{'");
    for (at, column) in columns.iter().enumerate() {
        let name = serde_json::Value::from(column.name.as_str()).to_string();
        let comma = if at == 0 { "" } else { "," };
        let value = format!("{of}.{}", quoted(&column.name));
        out += &format!(" || {} || {}", text(&format!("{comma}{name}:")), json(&value));
    }
    out + " || '}'"
}

/// A value as JSON: bytes as hexadecimal text, and a double that is no number as text.
fn json(value: &str) -> String {
    format!(
        "CASE typeof({value}) WHEN 'blob' THEN json_quote(hex({value})) WHEN 'real' THEN \
         CASE WHEN abs({value}) > 1.7976931348623157e308 THEN json_quote(printf('%g', {value})) \
         WHEN CAST(printf('%!.15g', {value}) AS REAL) = {value} THEN printf('%!.15g', {value}) \
         ELSE printf('%!.17g', {value}) END ELSE json_quote({value}) END"
    )
}

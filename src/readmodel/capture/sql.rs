//! The SQL of a capture: its tables, its triggers, and a row as they note it.
//!
//! Triggers run in the library of whoever writes, which may be ten years old, or built without its JSON functions: what one does not
//! know would make that program's own writes fail. So they use what SQLite has had since 3.8.3, and text is noted as SQL writes it
//! (`'it''s'`), which is made JSON where it is read ([`as_json`]).

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction};

use crate::record::Timestamp;

use super::super::dump::quoted;
use super::{SourceColumn, SourceTable, table_name, text};

/// What the names of its triggers begin with.
const TRIGGER: &str = "_foldlog_capture_";
/// Now, in milliseconds since 1970.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)";

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_change (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Whatever a clock says, it refuses nobody's row.
  at     INTEGER,
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
-- Every table that was captured, so that one is known again that lost its triggers.
CREATE TABLE IF NOT EXISTS _foldlog_captured (tbl TEXT PRIMARY KEY);
";

/// What became of the tables since it was last looked.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whether any trigger was not as it should be.
    pub(super) changed: bool,
    /// Tables that were captured before, and whose triggers were gone: made anew, or left out for a while.
    pub(super) unwatched: Vec<String>,
    /// Tables that are captured no more.
    pub(super) left_out: Vec<String>,
    /// Tables with another name: the old one and the new one.
    pub(super) renamed: Vec<(String, String)>,
    /// Tables that are gone.
    pub(super) gone: Vec<String>,
}

/// Makes the tables of the capture.
pub(super) fn prepare(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)
}

/// Takes the capture for the one of this name where it has none, and says whose it is.
pub(super) fn claim(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<String> {
    transaction.execute("UPDATE _foldlog_capture SET name = ? WHERE name IS NULL", [name])?;
    transaction.query_row("SELECT name FROM _foldlog_capture", [], |row| row.get(0))
}

/// Whether the rows that were there first are handed on.
pub(super) fn begun(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT position IS NOT NULL FROM _foldlog_capture", [], |row| {
        row.get(0)
    })
}

/// Makes the triggers of the tables that are to be captured, takes those of others away, and says what it found. Where the rows that
/// were there first are handed on already, those of a table with new triggers are written down to be read once more.
pub(super) fn install(
    transaction: &Transaction<'_>,
    captured: &[SourceTable],
    all: &[String],
) -> rusqlite::Result<Found> {
    let begun = begun(transaction)?;
    let mut found = Found::default();
    take_down(transaction, captured, &mut found)?;
    let before: BTreeSet<String> = transaction
        .prepare("SELECT tbl FROM _foldlog_captured")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for table in captured {
        let mut new = 0;
        let mut missing = 0;
        for (name, sql) in triggers(table) {
            let there: Option<String> = transaction.query_row(
                "SELECT max(sql) FROM sqlite_schema WHERE type = 'trigger' AND name = ?",
                [&name],
                |row| row.get(0),
            )?;
            if there.as_deref() != Some(sql.as_str()) {
                transaction.execute_batch(&format!("DROP TRIGGER IF EXISTS {}; {sql};", quoted(&name)))?;
                new += 1;
                missing += usize::from(there.is_none());
            }
        }
        if new > 0 && begun {
            let row = row("t", &table.columns);
            let (name, from, key) = (text(&table.name), table_name(table), key(table));
            transaction.execute_batch(&format!(
                "INSERT INTO _foldlog_change (at, tbl, op, after) SELECT {NOW}, {name}, 'r', {row} FROM {from} AS t ORDER BY {key};"
            ))?;
            if missing > 0 && before.contains(&table.name) {
                found.unwatched.push(table.name.clone());
            }
        }
        transaction.execute("INSERT OR IGNORE INTO _foldlog_captured VALUES (?)", [&table.name])?;
        found.changed |= new > 0;
    }
    for name in before.iter().filter(|name| !all.contains(name)) {
        transaction.execute("DELETE FROM _foldlog_captured WHERE tbl = ?", [name])?;
        found.changed = true;
        if !found.renamed.iter().any(|(old, _)| old == name) {
            found.gone.push(name.clone());
        }
    }
    Ok(found)
}

/// Takes the triggers away that no captured table has: those of tables that are left out, and those that went with a table when it got
/// another name, whose old one they note.
fn take_down(transaction: &Transaction<'_>, captured: &[SourceTable], found: &mut Found) -> rusqlite::Result<()> {
    let wanted: BTreeSet<String> = captured.iter().flat_map(triggers).map(|(name, _)| name).collect();
    for (name, of) in own_triggers(transaction)? {
        if wanted.contains(&name) {
            continue;
        }
        transaction.execute_batch(&format!("DROP TRIGGER {}", quoted(&name)))?;
        found.changed = true;
        // Behind the letter of the change stands the name that the table had.
        let had = name.get(TRIGGER.len() + 2..).unwrap_or_default();
        let renamed = (had.to_owned(), of.clone());
        if had == of {
            if !found.left_out.contains(&of) {
                found.left_out.push(of);
            }
        } else if !found.renamed.contains(&renamed) {
            found.renamed.push(renamed);
        }
    }
    Ok(())
}

/// The triggers of the capture, with the tables that they are on.
fn own_triggers(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(String, String)>> {
    transaction
        .prepare(
            "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' AND instr(name, ?) = 1 ORDER BY name",
        )?
        .query_map([TRIGGER], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Takes everything away that was made.
pub(super) fn remove(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for (name, _) in own_triggers(transaction)? {
        transaction.execute_batch(&format!("DROP TRIGGER {}", quoted(&name)))?;
    }
    transaction.execute_batch(
        "DROP TABLE IF EXISTS _foldlog_change; DROP TABLE IF EXISTS _foldlog_capture; DROP TABLE IF EXISTS _foldlog_captured;",
    )
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

/// Every row of a table as it is noted, in the order of its key.
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

/// A row as it is noted: `{"id":1,"name":'it''s'}`. A function of SQLite that takes the columns as arguments would have an end at some
/// number of columns; and its doubles have 15 digits, where some need 17.
fn row(of: &str, columns: &[SourceColumn]) -> String {
    let mut out = String::from("'{'");
    for (at, column) in columns.iter().enumerate() {
        let name = serde_json::Value::from(column.name.as_str()).to_string();
        let comma = if at == 0 { "" } else { "," };
        let value = format!("{of}.{}", quoted(&column.name));
        out += &format!(" || {} || {}", text(&format!("{comma}{name}:")), noted(&value));
    }
    out + " || '}'"
}

/// A value as it is noted: text as SQL writes it, anything else as JSON, with bytes as hexadecimal text, and a double that is no number
/// as text. SQLite's `quote` would end at a NUL.
fn noted(value: &str) -> String {
    format!(
        "CASE typeof({value}) WHEN 'text' THEN '''' || replace({value}, '''', '''''') || '''' \
         WHEN 'blob' THEN '\"' || hex({value}) || '\"' WHEN 'null' THEN 'null' WHEN 'real' THEN \
         CASE WHEN abs({value}) > 1.7976931348623157e308 THEN '\"' || printf('%g', {value}) || '\"' \
         WHEN CAST(printf('%!.15g', {value}) AS REAL) = {value} THEN printf('%!.15g', {value}) \
         ELSE printf('%!.17g', {value}) END ELSE {value} END"
    )
}

/// A noted row as JSON.
pub(super) fn as_json(noted: &str) -> String {
    let mut out = String::with_capacity(noted.len());
    let mut rest = noted;
    while let Some(at) = rest.find(['"', '\'']) {
        out += &rest[..at];
        rest = &rest[at..];
        let end = if rest.starts_with('"') {
            let end = end_of_json(rest);
            out += &rest[..end];
            end
        } else {
            let (text, end) = text_of(rest);
            out += &serde_json::Value::from(text).to_string();
            end
        };
        rest = &rest[end..];
    }
    out + rest
}

/// Where the JSON string ends that stands first.
fn end_of_json(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The text that stands first as SQL writes it, and where it ends.
fn text_of(sql: &str) -> (String, usize) {
    let mut out = String::new();
    let mut at = 1;
    while let Some(next) = sql[at..].find('\'') {
        out += &sql[at..at + next];
        at += next + 1;
        if !sql[at..].starts_with('\'') {
            return (out, at);
        }
        out.push('\'');
        at += 1;
    }
    (out, sql.len())
}

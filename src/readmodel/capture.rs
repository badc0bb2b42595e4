//! The changes of somebody's SQLite database, as triggers write them down.
//!
//! The triggers write into a table of the database itself, in the transaction that makes the change: what is rolled back was never
//! there, and whoever writes, with whichever program, is captured. SQLite's preupdate hook was the other choice; it sees one
//! connection's changes alone. What a capture has handed on stands in the database too, so that it goes where the data goes.

pub mod hold;
mod spool;
mod sql;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::record::Timestamp;

use super::dump::{quoted, tables};
use super::error::ReadModelError;
use hold::{hold, lock_of};

/// How many changes that were handed on are kept, so that the last can be handed on once more.
const KEPT: i64 = 10_000;

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A row was there when the capture first looked, or when its table got other columns.
    Read,
    /// A row was inserted.
    Create,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
}

impl Op {
    /// The letter for it, as change events have it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }

    fn of(letter: &str) -> Self {
        match letter {
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            _ => Self::Read,
        }
    }
}

/// A column of a captured table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type, as it was declared.
    pub declared: String,
    /// Whether it may be NULL.
    pub optional: bool,
}

/// A captured table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<SourceColumn>,
    /// The columns of its primary key.
    pub key: Vec<String>,
}

/// A change of one row. Rows are JSON objects; what is no text, number or NULL is hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Its number: changes are numbered in the order in which they were made. 0 for a row that was there before the first.
    pub number: i64,
    /// When it was made.
    pub at: Timestamp,
    /// The table.
    pub table: String,
    /// What it did.
    pub op: Op,
    /// The row before it.
    pub before: Option<String>,
    /// The row after it.
    pub after: Option<String>,
}

/// What a table is called by whoever hands its rows on.
pub type Called = fn(&str) -> String;

/// A database whose changes are captured. Belongs to one thread.
#[derive(Debug)]
pub struct Source {
    connection: Connection,
    path: PathBuf,
    only: Vec<String>,
    called: Option<Called>,
    tables: Vec<SourceTable>,
    /// Tables that are not captured, of which changes may wait that were noted when they were.
    others: Vec<SourceTable>,
    /// Tables without a key that were told of.
    keyless: Vec<String>,
    notices: Vec<String>,
    schema_version: i64,
}

impl Source {
    /// Opens the database at `path` and begins to capture the tables named `only`, or all; nothing of its data is changed. What is
    /// captured already stays so; a table that is not among them is captured no more.
    pub fn open(path: &Path, only: &[String]) -> Result<Self, ReadModelError> {
        Self::begun(path, only, None, None)
    }

    /// Opens it as the capture of this name, once and for all. Nothing is changed where it is that of another: that one would find the
    /// rows handed on that it never had.
    /// The same holds where two of the tables are `called` alike by whoever hands their rows on, if that tells them apart by what it calls
    /// them.
    pub fn open_as(path: &Path, only: &[String], name: &str, called: Option<Called>) -> Result<Self, ReadModelError> {
        Self::begun(path, only, Some(name), called)
    }

    fn begun(path: &Path, only: &[String], name: Option<&str>, called: Option<Called>) -> Result<Self, ReadModelError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(path, flags)?;
        let mut source = Self {
            connection,
            path: path.to_owned(),
            only: only.to_vec(),
            called,
            tables: Vec::new(),
            others: Vec::new(),
            keyless: Vec::new(),
            notices: Vec::new(),
            schema_version: -1,
        };
        source.look(name)?;
        Ok(source)
    }

    /// The captured tables, by name.
    pub fn tables(&self) -> &[SourceTable] {
        &self.tables
    }

    /// The table of this name, captured or not.
    pub fn table(&self, name: &str) -> Option<&SourceTable> {
        self.tables.iter().chain(&self.others).find(|table| table.name == name)
    }

    /// What people must be told since the last call.
    pub fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Takes note of tables and columns that are new since it last looked, and says whether there were any. Rows of a table with
    /// other columns are read once more: a row that was written between the change and this look was written down without them.
    pub fn refresh(&mut self) -> Result<bool, ReadModelError> {
        self.look(None)
    }

    fn look(&mut self, name: Option<&str>) -> Result<bool, ReadModelError> {
        let version =
            |connection: &Connection| connection.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
        let seen = self.sql("look at", |source| version(&source.connection))?;
        if seen == self.schema_version {
            return Ok(false);
        }
        let (only, path, called) = (self.only.clone(), self.path.clone(), self.called);
        let transaction = self.begin()?;
        let all = tables(&transaction, "main").map_err(|error| failed(&path, "read", error))?;
        let run = || {
            sql::prepare(&transaction)?;
            let owner = name.map(|name| sql::claim(&transaction, name)).transpose()?;
            Ok((owner, sql::begun(&transaction)?))
        };
        let (owner, begun) = run().map_err(|error| failed(&path, "capture", error))?;
        if let Some((owner, name)) = owner.as_deref().zip(name)
            && owner != name
        {
            return Err(not_ours(&path, owner, name));
        }
        let split = tables::captured(&transaction, &all, &only, &path, begun)?;
        if let Some(called) = called {
            tables::told_apart(&split.tables, called, &path)?;
        }
        let run = || {
            let found = sql::install(&transaction, &split.tables, &all)?;
            let after = version(&transaction)?;
            transaction.execute("UPDATE _foldlog_capture SET seen = ? WHERE seen IS NOT ?1", [after])?;
            transaction.commit()?;
            Ok((found, after))
        };
        let (found, after) = run().map_err(|error| failed(&path, "capture", error))?;
        self.say(&found, &split.keyless);
        (self.tables, self.others) = (split.tables, split.others);
        self.schema_version = after;
        Ok(found.changed)
    }

    fn say(&mut self, found: &sql::Found, keyless: &[String]) {
        let out = &mut self.notices;
        for table in &found.left_out {
            out.push(format!(
                "{table} is captured no more: what is changed in it from now on is not written"
            ));
        }
        for (old, new) in &found.renamed {
            out.push(format!("{old} is called {new} now"));
        }
        for table in &found.gone {
            out.push(format!("{table} is gone: the rows that it had are not told as deleted"));
        }
        for table in &found.unwatched {
            out.push(format!(
                "{table} was made anew, or was left out for a while: its rows are read once more, but which were deleted meanwhile nobody \
                 noted"
            ));
        }
        for table in keyless.iter().filter(|table| !self.keyless.contains(table)) {
            out.push(format!(
                "{table} is not captured: it has no primary key, by which its rows could be told apart"
            ));
        }
        self.keyless = keyless.to_vec();
    }

    /// The number of the last change that was handed on; `None` before the rows that were there first are.
    pub fn position(&self) -> Result<Option<i64>, ReadModelError> {
        self.sql("read", |source| {
            let position = "SELECT position FROM _foldlog_capture";
            source.connection.query_row(position, [], |row| row.get(0))
        })
    }

    /// Hands out every row as it is at one moment, table by table in the order of their keys, and says which change was the last
    /// before that moment. `take` says whether it wants more; where a reader would keep writers away, which it does but in WAL mode, the
    /// rows are read into a file first, so that they wait no longer than that takes.
    pub fn rows(&mut self, take: &mut dyn FnMut(RowChange) -> bool) -> Result<i64, ReadModelError> {
        let path = self.path.clone();
        let mode = |source: &Self| {
            source
                .connection
                .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
        };
        if self.sql("read", mode)? == "wal" {
            return self.read_rows(&mut |row| Ok(take(row)));
        }
        let mut spool = spool::Spool::beside(&path)?;
        let number = self.read_rows(&mut |row| spool.put(&row).map(|()| true))?;
        spool.read(take)?;
        Ok(number)
    }

    fn read_rows(
        &mut self,
        take: &mut dyn FnMut(RowChange) -> Result<bool, ReadModelError>,
    ) -> Result<i64, ReadModelError> {
        let path = self.path.clone();
        let tables = self.tables.clone();
        let mut refused = None;
        let mut run = || {
            // One transaction: what is written meanwhile has a higher number and comes after.
            let transaction = self.connection.transaction()?;
            let number = sql::last(&transaction)?;
            let at = sql::now(&transaction)?;
            for table in &tables {
                let mut statement = transaction.prepare(&sql::select(table))?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let change = RowChange {
                        number: 0,
                        at,
                        table: table.name.clone(),
                        op: Op::Read,
                        before: None,
                        after: noted(row, 0)?,
                    };
                    match take(change) {
                        Ok(true) => {}
                        Ok(false) => return Ok(number),
                        Err(error) => {
                            refused = Some(error);
                            return Ok(number);
                        }
                    }
                }
            }
            Ok(number)
        };
        let number = run().map_err(|error| failed(&path, "read", error))?;
        refused.map_or(Ok(number), Err)
    }

    /// The next changes after the one of this number, at most `limit`.
    pub fn changes(&self, after: i64, limit: usize) -> Result<Vec<RowChange>, ReadModelError> {
        self.sql("read", |source| {
            let mut statement = source.connection.prepare_cached(
                "SELECT number, at, tbl, op, before, after FROM _foldlog_change WHERE number > ? ORDER BY number LIMIT ?",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map([after, limit], |row| {
                Ok(RowChange {
                    number: row.get(0)?,
                    at: Timestamp(row.get::<_, Option<i64>>(1)?.unwrap_or(0)),
                    table: row.get(2)?,
                    op: Op::of(&row.get::<_, String>(3)?),
                    before: noted(row, 4)?,
                    after: noted(row, 5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Writes down that everything up to the change of this number was handed on. It never goes back.
    pub fn handed_on(&mut self, number: i64) -> Result<(), ReadModelError> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let run = || {
            transaction.execute(
                "UPDATE _foldlog_capture SET position = max(coalesce(position, 0), ?)",
                [number],
            )?;
            transaction.execute("DELETE FROM _foldlog_change WHERE number <= ?", [number - KEPT])?;
            transaction.commit()
        };
        run().map_err(|error| failed(&path, "write to", error))
    }

    /// Forgets that the last `changes` were handed on, as a capture does that is killed before it has written it down. Says how many
    /// those are.
    pub fn forget(&mut self, changes: u64) -> Result<u64, ReadModelError> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let run = || {
            let place = "SELECT number FROM _foldlog_change WHERE number <= (SELECT position FROM _foldlog_capture) \
                         ORDER BY number DESC LIMIT 1 OFFSET ?";
            let changes = i64::try_from(changes).unwrap_or(i64::MAX);
            let before: Option<i64> = transaction.query_row(place, [changes], |row| row.get(0)).optional()?;
            let count = "SELECT count(*) FROM _foldlog_change WHERE number > ? \
                         AND number <= (SELECT position FROM _foldlog_capture)";
            let count: i64 = transaction.query_row(count, [before.unwrap_or(0)], |row| row.get(0))?;
            transaction.execute(
                "UPDATE _foldlog_capture SET position = ? WHERE position IS NOT NULL",
                [before.unwrap_or(0)],
            )?;
            transaction.commit()?;
            Ok(u64::try_from(count).unwrap_or(0))
        };
        run().map_err(|error| failed(&path, "write to", error))
    }

    fn begin(&mut self) -> Result<Transaction<'_>, ReadModelError> {
        let path = self.path.clone();
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(&path, "write to", error))
    }

    fn sql<T>(&self, what: &str, run: impl FnOnce(&Self) -> rusqlite::Result<T>) -> Result<T, ReadModelError> {
        run(self).map_err(|error| failed(&self.path, what, error))
    }
}

/// Ends the capture of the database at `path`: the triggers go, and with them the changes and the position.
pub fn release(path: &Path) -> Result<(), ReadModelError> {
    let held = hold(path)?;
    let mut connection = connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let mut run = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sql::remove(&transaction)?;
        transaction.commit()
    };
    run().map_err(|error| failed(path, "write to", error))?;
    if let Ok(real) = fs::canonicalize(path) {
        // Where it stays, it is empty and in nobody's way.
        let _ = fs::remove_file(lock_of(&real));
    }
    drop(held);
    Ok(())
}

/// How many changes were not handed on yet; `None` where nobody has looked at the tables as they are now.
pub fn waiting(path: &Path) -> Result<Option<u64>, ReadModelError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let run = || {
        // One transaction: a commit may fall between two statements.
        let transaction = connection.unchecked_transaction()?;
        let begun = "SELECT count(*) FROM sqlite_schema WHERE name = '_foldlog_capture'";
        if transaction.query_row(begun, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let version: i64 = transaction.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
        let position = "SELECT position FROM _foldlog_capture WHERE seen = ? AND position IS NOT NULL";
        let position: Option<i64> = transaction
            .query_row(position, [version], |row| row.get(0))
            .optional()?;
        let count = "SELECT count(*) FROM _foldlog_change WHERE number > ?";
        let Some(position) = position else { return Ok(None) };
        let count: i64 = transaction.query_row(count, [position], |row| row.get(0))?;
        Ok(Some(u64::try_from(count).unwrap_or(0)))
    };
    run().map_err(|error| failed(path, "read", error))
}

/// Runs statements on the database at `path`, which is made if it is not there, in one transaction. They reach no other file.
pub fn execute(path: &Path, statements: &str) -> Result<(), ReadModelError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags)?;
    let mut run = || {
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A row that REPLACE deletes is a change as well.
        connection.pragma_update(None, "recursive_triggers", true)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(statements)?;
        transaction.commit()
    };
    run().map_err(|error| failed(path, "change", error))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, ReadModelError> {
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(super::BUSY)?;
            Ok(connection)
        })
        .map_err(|error| failed(path, "open", error))
}

fn not_ours(path: &Path, owner: &str, name: &str) -> ReadModelError {
    // Of one cluster only the two names differ.
    let name = match (
        owner.split_once(" on the cluster "),
        name.split_once(" on the cluster "),
    ) {
        (Some((_, there)), Some((name, here))) if there == here => name,
        _ => name,
    };
    ReadModelError::Capture {
        reason: format!("it is captured as {owner} already, and not as {name}"),
        help: format!(
            "`foldlog capture {} --release` ends that; the next capture begins with every row",
            path.display()
        ),
        path: path.to_owned(),
    }
}

/// A noted row, as JSON.
fn noted(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.map(sql::as_json))
}

fn failed(path: &Path, what: &str, error: rusqlite::Error) -> ReadModelError {
    match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked,
        ) => ReadModelError::sqlite(format!("cannot {what} {}", path.display()), error),
        _ => ReadModelError::Capture {
            path: path.to_owned(),
            reason: format!("cannot {what} it: {error}"),
            help: "the database must be a SQLite file that can be written to: its changes are written down in it"
                .to_owned(),
        },
    }
}

/// A name as SQL writes text, whatever is in it.
fn text(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// A table's name as SQL writes it.
fn table_name(table: &SourceTable) -> String {
    quoted(&table.name)
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;

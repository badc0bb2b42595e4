//! What each event did to the rows, and how it is undone.
//!
//! Temporary triggers of ours hand the old and new values of every row to a function of this connection. SQLite's preupdate
//! hook would cost less, but the bindings have it only where libclang generates them; and triggers see `WITHOUT ROWID` tables,
//! which the update hook does not. A projection has no triggers of its own: they are refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::dump::{quoted, tables};
use super::query::Cell;

/// The function that the triggers call.
const FUNCTION: &str = "_foldlog_row";
/// Values in one call of it: SQLite takes 127 arguments as it is built.
const VALUES: usize = 100;
/// The columns before the values: table, what happened, which part of the row, rowid.
const LEADING: usize = 4;

/// A row that an event wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which of [`Recorder::tables`].
    pub table: usize,
    /// The line of the statement that wrote it.
    pub line: usize,
    /// The rowid before, where the table has one that is not a column.
    old_rowid: Option<i64>,
    /// The rowid after.
    new_rowid: Option<i64>,
    /// The row before; `None` where there was none.
    pub before: Option<Row>,
    /// The row after; `None` where there is none any more.
    pub after: Option<Row>,
}

/// A row's values in the order of the table's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Stored>);

impl Row {
    /// Its values as a query shows them.
    pub fn cells(&self) -> Vec<Cell> {
        self.0.iter().map(Stored::cell).collect()
    }

    fn at<'r>(&'r self, columns: &'r [usize]) -> impl Iterator<Item = &'r dyn ToSql> {
        columns.iter().filter_map(|at| Some(self.0.get(*at)? as &dyn ToSql))
    }

    /// Its value in one column.
    pub fn cell(&self, column: usize) -> Cell {
        self.0.get(column).map_or(Cell::Null, Stored::cell)
    }
}

/// A value as SQLite holds it, text that is not UTF-8 included: an undo must bring back the very bytes.
#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl Stored {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    fn cell(&self) -> Cell {
        super::query::cell(self.value())
    }
}

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// A table whose rows are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its name.
    pub name: String,
    /// Its columns in their order, generated ones included.
    pub columns: Vec<String>,
    /// Which columns are the primary key, in the key's order.
    pub key: Vec<usize>,
    /// Which columns can be written.
    stored: Vec<usize>,
    /// What the rowid is called, where there is one that is not a column.
    rowid: Option<&'static str>,
}

impl Watched {
    /// What an INSERT or UPDATE writes, the rowid first, as SQL writes it.
    pub(super) fn written(&self) -> Vec<String> {
        let stored = self.stored.iter().map(|at| quoted(&self.columns[*at]));
        self.rowid.map(str::to_owned).into_iter().chain(stored).collect()
    }
}

/// Records what the statements of a connection do to rows. Clones share what was recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    tables: Arc<[Watched]>,
    /// Whether there is what AUTOINCREMENT has given out, which no trigger sees.
    pub(super) sequences: bool,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    quiet: bool,
    line: usize,
    lines: Vec<usize>,
    changes: Vec<Change>,
}

impl Recorder {
    /// Begins to record on a connection whose tables are there.
    pub(super) fn install(connection: &Connection) -> rusqlite::Result<Self> {
        let watched = tables(connection, "main")?
            .into_iter()
            .map(|name| watched(connection, name))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let recorder = Self {
            tables: watched.into(),
            sequences: super::scratch::has_sequences(connection)?,
            seen: Arc::default(),
        };
        let seen = Arc::clone(&recorder.seen);
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function(FUNCTION, -1, flags, move |context| {
            lock(&seen).take(context)?;
            Ok(0)
        })?;
        // A row that OR REPLACE takes away is told to DELETE triggers only where they are recursive.
        connection.execute_batch("PRAGMA recursive_triggers = ON")?;
        for (number, table) in recorder.tables.iter().enumerate() {
            connection.execute_batch(&triggers(number, table))?;
        }
        Ok(recorder)
    }

    /// The tables, as [`Change::table`] counts them.
    pub fn tables(&self) -> Arc<[Watched]> {
        Arc::clone(&self.tables)
    }

    /// What is recorded from here on was done by the statement on this line.
    pub(super) fn begin(&self, line: usize) {
        let mut seen = lock(&self.seen);
        seen.line = line;
        seen.lines.push(line);
    }

    /// The lines of the statements that ran since the last call, and what they did.
    pub(super) fn take(&self) -> (Vec<usize>, Vec<Change>) {
        let mut seen = lock(&self.seen);
        (std::mem::take(&mut seen.lines), std::mem::take(&mut seen.changes))
    }

    /// Takes changes back, the last one first. Foreign keys must be off: what a cascade did is among the changes.
    pub(super) fn undo(&self, connection: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
        lock(&self.seen).quiet = true;
        let undone = changes.iter().rev().try_for_each(|change| {
            let table = self.tables.get(change.table).ok_or(rusqlite::Error::InvalidQuery)?;
            undo(connection, table, change)
        });
        lock(&self.seen).quiet = false;
        undone
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a call of the function is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Inserted = 0,
    Deleted = 1,
    /// The row before an update; its row after follows.
    Replaced = 2,
    Replacing = 3,
}

impl Seen {
    fn take(&mut self, context: &Context<'_>) -> rusqlite::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let values = (LEADING..context.len()).map(|at| Stored::from(context.get_raw(at)));
        let (table, image, part): (i64, i64, i64) = (context.get(0)?, context.get(1)?, context.get(2)?);
        let rowid: Option<i64> = context.get(3)?;
        let after = image == Image::Inserted as i64 || image == Image::Replacing as i64;
        if part == 0 && image != Image::Replacing as i64 {
            self.changes.push(Change {
                table: usize::try_from(table).unwrap_or(usize::MAX),
                line: self.line,
                old_rowid: None,
                new_rowid: None,
                before: None,
                after: None,
            });
        }
        let Some(change) = self.changes.last_mut() else {
            return Ok(());
        };
        let row = if after {
            change.new_rowid = rowid;
            &mut change.after
        } else {
            change.old_rowid = rowid;
            &mut change.before
        };
        row.get_or_insert_with(|| Row(Vec::new())).0.extend(values);
        Ok(())
    }
}

pub(super) fn watched(connection: &Connection, name: String) -> rusqlite::Result<Watched> {
    let mut columns = Vec::new();
    let mut stored = Vec::new();
    let mut key = Vec::new();
    let mut declared = Vec::new();
    let mut list = connection
        .prepare("SELECT name, hidden, pk, type FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid")?;
    let mut rows = list.query([&name])?;
    while let Some(row) = rows.next()? {
        let at = columns.len();
        columns.push(row.get::<_, String>(0)?);
        declared.push(row.get::<_, String>(3)?);
        if row.get::<_, i64>(1)? == 0 {
            stored.push(at);
        }
        let place: i64 = row.get(2)?;
        if place > 0 {
            key.push((place, at));
        }
    }
    key.sort_unstable();
    let without_rowid: bool = connection.query_row(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?",
        [&name],
        |row| row.get(0),
    )?;
    let key_index: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk')",
        [&name],
        |row| row.get(0),
    )?;
    let alias = matches!(key.as_slice(), [(_, at)] if declared[*at].eq_ignore_ascii_case("INTEGER") && !key_index);
    // A column may have taken the name.
    let free = |name: &&str| !columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(free);
    Ok(Watched {
        name,
        key: key.into_iter().map(|(_, at)| at).collect(),
        stored,
        rowid: rowid.filter(|_| !without_rowid && !alias),
        columns,
    })
}

/// The triggers of one table: a call for each part of a row.
fn triggers(number: usize, table: &Watched) -> String {
    let calls = |image: Image, row: &str| {
        let parts = table.columns.chunks(VALUES).enumerate().map(|(part, columns)| {
            let rowid = table.rowid.map_or("NULL".to_owned(), |name| format!("{row}.{name}"));
            let values: Vec<_> = columns
                .iter()
                .map(|column| format!("{row}.{}", quoted(column)))
                .collect();
            let values = values.join(", ");
            format!(
                "SELECT {FUNCTION}({number}, {}, {part}, {rowid}, {values});",
                image as i64
            )
        });
        parts.collect::<String>()
    };
    let inserted = calls(Image::Inserted, "new");
    let deleted = calls(Image::Deleted, "old");
    let updated = calls(Image::Replaced, "old") + &calls(Image::Replacing, "new");
    [("INSERT", inserted), ("DELETE", deleted), ("UPDATE", updated)]
        .into_iter()
        .map(|(event, body)| {
            let (name, on) = (quoted(&format!("_foldlog_{number}_{event}")), quoted(&table.name));
            format!("CREATE TEMP TRIGGER {name} AFTER {event} ON main.{on} BEGIN {body} END;")
        })
        .collect()
}

fn undo(connection: &Connection, table: &Watched, change: &Change) -> rusqlite::Result<()> {
    let name = quoted(&table.name);
    let columns = table.written();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    if let Some(before) = &change.before {
        if table.rowid.is_some() {
            values.push(&change.old_rowid);
        }
        values.extend(before.at(&table.stored));
    }
    // Which row: the one that the event left.
    let found = match table.rowid {
        Some(rowid) => format!("{rowid} = ?"),
        None => {
            let key = table
                .key
                .iter()
                .map(|at| format!("{} IS ?", quoted(&table.columns[*at])));
            key.collect::<Vec<_>>().join(" AND ")
        }
    };
    if let Some(after) = &change.after {
        match table.rowid {
            Some(_) => values.push(&change.new_rowid),
            None => values.extend(after.at(&table.key)),
        }
    }
    let sql = match (&change.before, &change.after) {
        (Some(_), Some(_)) => {
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = ?")).collect();
            format!("UPDATE main.{name} SET {} WHERE {found}", set.join(", "))
        }
        (Some(_), None) => {
            let marks = vec!["?"; columns.len()].join(", ");
            format!("INSERT INTO main.{name} ({}) VALUES ({marks})", columns.join(", "))
        }
        (None, Some(_)) => format!("DELETE FROM main.{name} WHERE {found}"),
        (None, None) => return Ok(()),
    };
    connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(())
}

//! What each event did to the rows, and how it is undone.
//!
//! SQLite tells of every row before a statement writes it: what a conflict, a foreign key or a REPLACE takes away too, in tables
//! with rowids and without. A projection has no triggers: they are refused.

mod ffi;
pub(super) mod keys;
mod mirror;
pub(super) mod row;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::dump::{quoted, tables};
use super::fulltext;
use ffi::{Deed, Touched};
use keys::Keys;
use mirror::{Affinity, Mirror};
pub use row::{Row, key_text};

/// What `pragma_table_xinfo` calls a generated column that is not stored.
const VIRTUAL: i64 = 2;

/// A row that an event wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which of [`Recorder::tables`].
    pub table: usize,
    /// The line of the statement that wrote it.
    pub line: usize,
    /// The rowid before, where the table has one that is not a column.
    pub(super) old_rowid: Option<i64>,
    /// The rowid after.
    pub(super) new_rowid: Option<i64>,
    /// The row before; `None` where there was none.
    pub before: Option<Row>,
    /// The row after; `None` where there is none any more.
    pub after: Option<Row>,
}

impl Change {
    /// One of which is known what a row was and became, and nothing of rowids: it cannot be undone.
    pub(super) fn told(table: usize, line: usize, before: Option<Row>, after: Option<Row>) -> Self {
        Self {
            table,
            line,
            old_rowid: None,
            new_rowid: None,
            before,
            after,
        }
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
    /// Which columns are computed when they are read.
    computed: Vec<usize>,
    affinities: Vec<Affinity>,
    /// What the rowid is called, where there is one that is not a column.
    rowid: Option<&'static str>,
    /// Of a full-text index the table that has its texts, by which is heard what happens to it.
    content: Option<String>,
}

impl Watched {
    /// The name under which SQLite tells of its rows.
    fn heard_as(&self) -> &str {
        self.content.as_deref().unwrap_or(&self.name)
    }

    /// What an INSERT or UPDATE writes, the rowid first, as SQL writes it.
    pub(super) fn written(&self) -> Vec<String> {
        let stored = self.stored.iter().map(|at| quoted(&self.columns[*at]));
        self.rowid.map(str::to_owned).into_iter().chain(stored).collect()
    }

    /// The row before or after; `settled` is unset where a value of it may be stored as another. What is computed is NULL.
    fn image(&self, touched: &Touched<'_>, after: bool, settled: &mut bool) -> Result<Row, i32> {
        let mut row = Row::with_room();
        for (at, affinity) in self.affinities.iter().enumerate() {
            if self.computed.contains(&at) {
                row.push(ValueRef::Null);
                continue;
            }
            let value = if after { touched.after(at)? } else { touched.before(at)? };
            *settled &= affinity.keeps(value);
            row.push(value);
        }
        Ok(row)
    }
}

/// Records what the statements of a connection do to rows. Clones share what was recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    tables: Arc<[Watched]>,
    /// Whether there is what AUTOINCREMENT has given out, of which SQLite tells nothing.
    pub(super) sequences: bool,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    quiet: bool,
    /// Whether the rows themselves are left out: keys are all that anybody asks for.
    keys_only: bool,
    keys: Option<Keys>,
    line: usize,
    lines: Vec<usize>,
    changes: Vec<Change>,
    /// Which of the changes have a row that is not yet as it is stored.
    unsettled: Vec<usize>,
    mirror: Option<Mirror>,
    /// SQLite's code for what could not be read.
    failed: Option<i32>,
}

impl Recorder {
    /// Begins to record on a connection whose tables are there. What was prepared on it before may not be told whole.
    pub(super) fn install(connection: &Connection) -> rusqlite::Result<Self> {
        let recorder = Self {
            tables: watched_tables(connection)?,
            sequences: super::scratch::has_sequences(connection)?,
            seen: Arc::default(),
        };
        connection.flush_prepared_statement_cache();
        let (tables, seen) = (Arc::clone(&recorder.tables), Arc::clone(&recorder.seen));
        ffi::listen(connection, move |touched| lock(&seen).take(&tables, touched))?;
        Ok(recorder)
    }

    /// Begins to take down the keys of rows that are written, and nothing else of them.
    pub(super) fn of_keys(connection: &Connection) -> rusqlite::Result<Self> {
        let recorder = Self::install(connection)?;
        lock(&recorder.seen).keys_only = true;
        recorder.tell_keys();
        Ok(recorder)
    }

    /// From here on the keys of rows that are written are taken down as well.
    pub(super) fn tell_keys(&self) {
        lock(&self.seen).keys = Some(Keys::of(&self.tables));
    }

    /// How many keys are taken down that nobody has taken yet.
    pub(super) fn keys_waiting(&self) -> usize {
        lock(&self.seen).keys.as_ref().map_or(0, Keys::len)
    }

    /// Hands over the keys; what is rolled back stays among them.
    pub(super) fn take_keys(&self) -> Option<Keys> {
        let mut seen = lock(&self.seen);
        seen.keys
            .as_mut()
            .map(|keys| std::mem::replace(keys, Keys::of(&self.tables)))
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

    /// Hands `take` the lines of the statements that ran since the last call, and what they did, and forgets both.
    pub(super) fn drain<T>(
        &self,
        connection: &Connection,
        take: impl FnOnce(&mut Vec<usize>, &mut Vec<Change>) -> T,
    ) -> rusqlite::Result<T> {
        let mut seen = lock(&self.seen);
        let seen = &mut *seen;
        if let Some(code) = seen.failed.take() {
            let error = rusqlite::ffi::Error::new(code);
            return Err(rusqlite::Error::SqliteFailure(
                error,
                Some("cannot read a row that an event writes".to_owned()),
            ));
        }
        if !seen.unsettled.is_empty() {
            seen.settle(connection, &self.tables)?;
        }
        let taken = take(&mut seen.lines, &mut seen.changes);
        seen.forget();
        Ok(taken)
    }

    /// Forgets what was recorded: it was rolled back.
    pub(super) fn forget(&self) {
        lock(&self.seen).forget();
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

/// Whether a row that is put into a full-text index is the one that was just taken out, with other texts: FTS5 updates a row so.
fn is_rest_of(taken_out: &Change, put_in: &Change) -> bool {
    let key = |row: &Option<Row>| row.as_ref().map(|row| row.cell(0));
    taken_out.after.is_none()
        && put_in.before.is_none()
        && (taken_out.table, taken_out.line) == (put_in.table, put_in.line)
        && key(&taken_out.before) == key(&put_in.after)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// Takes down a row that is about to be written.
    fn take(&mut self, tables: &[Watched], touched: &Touched<'_>) {
        if self.quiet || !touched.main {
            return;
        }
        let table = tables
            .iter()
            .position(|table| table.heard_as().as_bytes() == touched.table);
        let Some((number, table)) = table.and_then(|number| Some((number, tables.get(number)?))) else {
            return;
        };
        if let Some(keys) = &mut self.keys {
            keys.take(number, table, touched);
        }
        if self.keys_only {
            return;
        }
        let mut settled = table.computed.is_empty();
        let mut image = |there: bool, after: bool| match there {
            true => table.image(touched, after, &mut settled).map(Some),
            false => Ok(None),
        };
        let images = image(touched.deed != Deed::Insert, false)
            .and_then(|before| Ok((before, image(touched.deed != Deed::Delete, true)?)));
        let (before, after) = match images {
            Ok(images) => images,
            Err(code) => {
                self.failed = Some(code);
                return;
            }
        };
        if !settled {
            self.unsettled.push(self.changes.len());
        }
        let rowid = table.rowid.is_some();
        let change = Change {
            table: number,
            line: self.line,
            old_rowid: (rowid && before.is_some()).then_some(touched.old_rowid),
            new_rowid: (rowid && after.is_some()).then_some(touched.new_rowid),
            before,
            after,
        };
        match self.changes.last_mut() {
            Some(last) if table.content.is_some() && is_rest_of(last, &change) => last.after = change.after,
            _ => self.changes.push(change),
        }
    }

    fn settle(&mut self, connection: &Connection, tables: &[Watched]) -> rusqlite::Result<()> {
        let mirror = match self.mirror.take() {
            Some(mirror) => mirror,
            None => Mirror::of(connection, tables)?,
        };
        let mirror = self.mirror.insert(mirror);
        for at in self.unsettled.drain(..) {
            let Some(change) = self.changes.get_mut(at) else {
                continue;
            };
            let table = tables.get(change.table).ok_or(rusqlite::Error::InvalidQuery)?;
            for row in [&mut change.before, &mut change.after].into_iter().flatten() {
                *row = mirror.settle(table, row)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.lines.clear();
        self.changes.clear();
        self.unsettled.clear();
        self.failed = None;
    }
}

/// The projection's own tables of a connection, in the order in which [`Change::table`] counts them.
pub(super) fn watched_tables(connection: &Connection) -> rusqlite::Result<Arc<[Watched]>> {
    let names = tables(connection, "main")?.into_iter();
    names.map(|name| watched(connection, name)).collect()
}

pub(super) fn watched(connection: &Connection, name: String) -> rusqlite::Result<Watched> {
    let mut columns = Vec::new();
    let (mut stored, mut computed) = (Vec::new(), Vec::new());
    let mut key = Vec::new();
    let mut declared = Vec::new();
    let index = fulltext::is_index(connection, "main", &name)?;
    if index {
        columns.push(fulltext::ROWID.to_owned());
        declared.push("INTEGER".to_owned());
        stored.push(0);
        key.push((1, 0));
    }
    let mut list = connection
        .prepare("SELECT name, hidden, pk, type FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid")?;
    let mut rows = list.query([&name])?;
    while let Some(row) = rows.next()? {
        let at = columns.len();
        columns.push(row.get::<_, String>(0)?);
        declared.push(row.get::<_, String>(3)?);
        match row.get::<_, i64>(1)? {
            0 => stored.push(at),
            VIRTUAL => computed.push(at),
            _ => {}
        }
        let place: i64 = row.get(2)?;
        if place > 0 {
            key.push((place, at));
        }
    }
    key.sort_unstable();
    let (without_rowid, strict): (bool, bool) = connection.query_row(
        "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?",
        [&name],
        |row| Ok((row.get(0)?, row.get(1)?)),
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
        key: key.into_iter().map(|(_, at)| at).collect(),
        stored,
        computed,
        affinities: declared.iter().map(|declared| Affinity::of(declared, strict)).collect(),
        rowid: rowid.filter(|_| !without_rowid && !alias),
        content: index.then(|| fulltext::content_of(&name)),
        columns,
        name,
    })
}

fn undo(connection: &Connection, table: &Watched, change: &Change) -> rusqlite::Result<()> {
    let name = quoted(&table.name);
    let columns = table.written();
    let mut values: Vec<ToSqlOutput<'_>> = Vec::new();
    if let Some(before) = &change.before {
        if table.rowid.is_some() {
            values.push(change.old_rowid.to_sql()?);
        }
        values.extend(before.at(&table.stored));
    }
    // Which row: the one that the event left.
    let found = match table.rowid {
        Some(rowid) => format!("{rowid} = ?"),
        None => {
            // An index of texts finds a rowid by `=` alone; no other key is without NULL for certain.
            let is = if table.content.is_some() { "=" } else { "IS" };
            let key = table
                .key
                .iter()
                .map(|at| format!("{} {is} ?", quoted(&table.columns[*at])));
            key.collect::<Vec<_>>().join(" AND ")
        }
    };
    if let Some(after) = &change.after {
        match table.rowid {
            Some(_) => values.push(change.new_rowid.to_sql()?),
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

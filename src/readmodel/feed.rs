//! Keeping stores outside in step with a read model: which rows changed that they do not have yet.
//!
//! A row's change is its key with a number, written in the transaction of the row; a later change of the row takes its place. A
//! store is fed with rows as they are and not with what happened to them, so that feeding it twice does no harm, and it is known
//! by one number how far it was fed. What every store has is forgotten.

mod source;

use rusqlite::{Connection, OptionalExtension, params};

use super::changes::Recorder;
use super::error::ReadModelError;
use super::fold::Fold;

pub(super) use source::tables;
pub use source::{Changes, FedColumn, FedRow, FedTable, Feed, Type};

/// Keys that are kept in memory at most before they are written down.
const ROOM: usize = 50_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_change (
  seq INTEGER PRIMARY KEY,
  tab TEXT NOT NULL,
  key BLOB NOT NULL,
  UNIQUE (tab, key)
) STRICT;
CREATE TABLE IF NOT EXISTS _foldlog_sink (
  name    TEXT PRIMARY KEY,
  epoch   TEXT NOT NULL,
  through INTEGER NOT NULL,
  whole   INTEGER NOT NULL,
  rows    INTEGER NOT NULL,
  trouble TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _foldlog_sink_refused (
  sink   TEXT NOT NULL,
  tab    TEXT NOT NULL,
  key    TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (sink, tab, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _foldlog_capture (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  applied INTEGER NOT NULL
) STRICT;
";

/// How far a store was fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What nothing else is called: whoever finds another in the store knows that it was fed by somebody else.
    pub epoch: String,
    /// The number of the last change that it has.
    pub through: i64,
    /// Whether it has every row that was there at that change.
    pub whole: bool,
}

/// What became of rows on their way to a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// How far it was fed, where that is further.
    pub mark: Option<Mark>,
    /// Rows that it was given.
    pub rows: u64,
    /// Whether it was begun anew, so that nothing is refused by it yet.
    pub anew: bool,
    /// Rows that it does not take: table, key, reason.
    pub refused: Vec<(String, String, String)>,
    /// Rows that it had refused and may have taken now: table and key.
    pub taken: Vec<(String, String)>,
    /// Why it is not fed; `None` where it is.
    pub trouble: Option<String>,
}

/// What is known of a store that is fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkInfo {
    /// Its address without what is secret.
    pub name: String,
    /// Whether it had all rows once, and what changed since is known.
    pub whole: bool,
    /// Changes that it does not have yet.
    pub waiting: u64,
    /// Rows that it was given.
    pub rows: u64,
    /// Rows that it does not take.
    pub refused: u64,
    /// Why it does not take one of them.
    pub reason: Option<String>,
    /// Why it is not fed.
    pub trouble: Option<String>,
}

/// Prepares a read model to feed these stores, and returns how far each was.
pub(super) fn prepare(connection: &Connection, sinks: &[String]) -> rusqlite::Result<Vec<Mark>> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let applied = applied(&transaction)?;
    let captured: Option<i64> = transaction
        .query_row("SELECT applied FROM _foldlog_capture", [], |row| row.get(0))
        .optional()?;
    if captured != Some(applied) {
        // It was followed without taking down what changed, so that nobody knows what the stores lack.
        transaction.execute("DELETE FROM _foldlog_sink", [])?;
        transaction.execute("INSERT OR REPLACE INTO _foldlog_capture VALUES (1, ?)", [applied])?;
    }
    let known = |name: &String| {
        let sql = "SELECT epoch, through, whole FROM _foldlog_sink WHERE name = ?";
        transaction.query_row(sql, [name], |row| {
            Ok(Mark {
                epoch: row.get(0)?,
                through: row.get(1)?,
                whole: row.get(2)?,
            })
        })
    };
    let mut marks = Vec::new();
    for name in sinks {
        marks.push(match known(name).optional()? {
            Some(mark) => mark,
            None => {
                let mark = Mark {
                    epoch: uuid::Uuid::new_v4().to_string(),
                    through: 0,
                    whole: false,
                };
                transaction.execute(
                    "INSERT INTO _foldlog_sink VALUES (?, ?, 0, 0, 0, NULL)",
                    params![name, mark.epoch],
                )?;
                mark
            }
        });
    }
    forget(&transaction)?;
    transaction.commit()?;
    Ok(marks)
}

/// Forgets the stores that are not among these, and returns their names. Where none is left nothing is taken down any more.
pub(super) fn forget_others(connection: &Connection, keep: &[String]) -> rusqlite::Result<Vec<String>> {
    if !is_fed(connection)? {
        return Ok(Vec::new());
    }
    let transaction = connection.unchecked_transaction()?;
    let names = serde_json::to_string(keep).unwrap_or_default();
    let gone = transaction
        .prepare("DELETE FROM _foldlog_sink WHERE name NOT IN (SELECT value FROM json_each(?)) RETURNING name")?
        .query_map([&names], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.execute(
        "DELETE FROM _foldlog_sink_refused WHERE sink NOT IN (SELECT name FROM _foldlog_sink)",
        [],
    )?;
    if keep.is_empty() {
        transaction.execute_batch("DELETE FROM _foldlog_change; DELETE FROM _foldlog_capture;")?;
    }
    transaction.commit()?;
    Ok(gone)
}

/// Whether what changes is taken down, so that whoever applies an event by itself must do so too.
pub(super) fn is_captured(connection: &Connection) -> rusqlite::Result<bool> {
    if !is_fed(connection)? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM _foldlog_capture c JOIN _foldlog_model m ON c.applied = m.applied)";
    connection.query_row(sql, [], |row| row.get(0))
}

fn is_fed(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_sink'")?
        .exists([])
}

fn applied(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT applied FROM _foldlog_model", [], |row| row.get(0))
}

/// Forgets the changes that every store has.
fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM _foldlog_change WHERE seq <= (SELECT coalesce(min(through), 0) FROM _foldlog_sink)",
        )?
        .execute([])?;
    Ok(())
}

/// The number of the last change: what is forgotten by now had one, too.
fn head(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM _foldlog_change), (SELECT coalesce(max(through), 0) FROM _foldlog_sink))",
        )?
        .query_row([], |row| row.get(0))
}

/// What is known of the stores that a read model feeds.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<SinkInfo>> {
    if !is_fed(connection)? {
        return Ok(Vec::new());
    }
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    connection
        .prepare(
            "SELECT name, whole AND (SELECT c.applied = m.applied FROM _foldlog_capture c, _foldlog_model m), rows, trouble,
                    (SELECT count(*) FROM _foldlog_change WHERE seq > through),
                    (SELECT count(*) FROM _foldlog_sink_refused WHERE sink = name),
                    (SELECT tab || ' ' || key || ': ' || reason FROM _foldlog_sink_refused WHERE sink = name LIMIT 1)
             FROM _foldlog_sink ORDER BY name",
        )?
        .query_map([], |row| {
            Ok(SinkInfo {
                name: row.get(0)?,
                whole: row.get(1)?,
                rows: count(row.get(2)?),
                trouble: row.get(3)?,
                waiting: count(row.get(4)?),
                refused: count(row.get(5)?),
                reason: row.get(6)?,
            })
        })?
        .collect()
}

/// How a fold takes down what changes.
#[derive(Debug)]
pub(super) struct Captured {
    recorder: Recorder,
    next: i64,
    /// Whether anything was taken down since somebody asked.
    news: bool,
}

impl Captured {
    pub(super) fn new(connection: &Connection, recorder: Recorder) -> rusqlite::Result<Self> {
        Ok(Self {
            recorder,
            next: head(connection)? + 1,
            news: true,
        })
    }

    /// Whether there is so much in memory that it should be written.
    pub(super) fn is_full(&self) -> bool {
        self.recorder.keys_waiting() >= ROOM
    }

    /// Writes down what changed, in the open transaction.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.recorder.keys_waiting() == 0 {
            return Ok(());
        }
        let Some(keys) = self.recorder.take_keys() else {
            return Ok(());
        };
        self.news = true;
        if keys.lost {
            // Whoever feeds a store finds that what it says is not what is known here, and feeds it anew.
            connection.execute(
                "UPDATE _foldlog_sink SET epoch = lower(hex(randomblob(16))), whole = 0, through = ?",
                [self.next],
            )?;
            connection.execute("DELETE FROM _foldlog_change", [])?;
            self.next += 1;
            return Ok(());
        }
        let tables = self.recorder.tables();
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO _foldlog_change (seq, tab, key) VALUES (?, ?, ?)")?;
        for (table, key) in keys.sorted() {
            let Some(table) = tables.get(table) else { continue };
            insert.execute(params![self.next, table.name, key])?;
            self.next += 1;
        }
        Ok(())
    }

    /// Says up to which event it is complete.
    pub(super) fn write_applied(connection: &Connection, applied: u64) -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE _foldlog_capture SET applied = ?")?
            .execute([i64::try_from(applied).unwrap_or(i64::MAX)])?;
        Ok(())
    }
}

impl Fold<'_> {
    /// Whether rows were changed and committed since the last call that stores do not have yet.
    pub fn take_news(&mut self) -> bool {
        let open = self.open;
        let news = self.captured.as_mut().filter(|_| !open);
        news.is_some_and(|captured| std::mem::take(&mut captured.news))
    }

    /// The number of the last change that was written down.
    pub fn last_change(&self) -> i64 {
        self.captured.as_ref().map_or(0, |captured| captured.next - 1)
    }

    /// Writes down what became of rows on their way to a store, and commits it with whatever was applied.
    pub fn settle_sink(&mut self, name: &str, fed: &Fed) -> Result<(), ReadModelError> {
        self.begin()?;
        settle(self.connection, name, fed)
            .map_err(|error| ReadModelError::sqlite("cannot write down how far a store was fed", error))?;
        self.commit()
    }
}

fn settle(connection: &Connection, name: &str, fed: &Fed) -> rusqlite::Result<()> {
    if fed.anew {
        connection.execute("DELETE FROM _foldlog_sink_refused WHERE sink = ?", [name])?;
    }
    for (table, key) in &fed.taken {
        connection
            .prepare_cached("DELETE FROM _foldlog_sink_refused WHERE sink = ? AND tab = ? AND key = ?")?
            .execute(params![name, table, key])?;
    }
    for (table, key, reason) in &fed.refused {
        connection
            .prepare_cached("INSERT OR REPLACE INTO _foldlog_sink_refused VALUES (?, ?, ?, ?)")?
            .execute(params![name, table, key, reason])?;
    }
    let rows = i64::try_from(fed.rows).unwrap_or(i64::MAX);
    connection
        .prepare_cached("UPDATE _foldlog_sink SET rows = rows + ?, trouble = ? WHERE name = ?")?
        .execute(params![rows, fed.trouble, name])?;
    if let Some(mark) = &fed.mark {
        connection
            .prepare_cached("UPDATE _foldlog_sink SET through = ?, whole = ? WHERE name = ? AND epoch = ?")?
            .execute(params![mark.through, mark.whole, name, mark.epoch])?;
        forget(connection)?;
    }
    Ok(())
}

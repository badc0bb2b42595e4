//! A read model at a moment of its past, or as it might have been: a private copy that nobody else sees and that is gone afterwards.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::record::{RecordRef, Timestamp, TopicPartition};

use super::apply::Outcome;
use super::bookkeeping;
use super::cached;
use super::changes::{Change, Recorder, Watched};
use super::compile::Definition;
use super::condition;
use super::decision::{self, Amendments};
use super::dump;
use super::error::ReadModelError;
use super::feed::Feed;
use super::fold::{self, Fold, OnPoison};
use super::invariant;
use super::latest::Latest;
use super::lock::Lock;
use super::query::Session;
use super::snapshot::Snapshot;
use super::store::{self, Build, Counts, ReadModelInfo, State, Store};
use super::writer::{self, Origin};

/// The folder of the copies, in that of the store.
const FOLDER: &str = "scratch";
/// The file in each of them that says whether somebody uses it.
const LOCK: &str = "lock";
/// Page cache of a copy.
const CACHE_KIB: i32 = 64 * 1024;

/// A private copy. Dropping it deletes it; the room that a killed process left is used by the next.
#[derive(Debug)]
pub struct Scratch {
    connection: Connection,
    definition: Definition,
    recorder: Option<Recorder>,
    folder: PathBuf,
    path: PathBuf,
    _lock: Lock,
}

/// What one event did, and all that it takes to undo it.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Its type, where its value has one.
    pub event: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether somebody decided that it has another value than the log says.
    pub edited: bool,
    /// The lines of the statements that ran, in order.
    pub lines: Vec<usize>,
    /// The rows that they wrote, in order.
    pub changes: Vec<Change>,
    /// The next offset of the event's partition before it.
    pub(super) next: Option<i64>,
    /// Which of the records before it a replay takes last.
    pub(super) latest: Latest,
    /// What AUTOINCREMENT had given out before it.
    pub(super) sequences: Vec<(String, i64)>,
}

impl Effect {
    /// The next offset of the event's partition before it; `None` where nothing of it had been seen.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// One that is told and cannot be undone.
    pub fn told(event: Option<String>, edited: bool, lines: Vec<usize>, changes: Vec<Change>) -> Self {
        Self {
            event,
            outcome: Outcome::Applied,
            edited,
            lines,
            changes,
            next: None,
            latest: Latest::default(),
            sequences: Vec::new(),
        }
    }
}

impl Scratch {
    /// A copy of a snapshot, or an empty read model.
    pub fn new(
        store: &Store,
        definition: &Definition,
        origin: &Origin,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, ReadModelError> {
        let (folder, lock) = folder(store)?;
        let path = folder.join(format!("{}.db", definition.projection().name));
        if let Some(snapshot) = snapshot {
            fs::copy(&snapshot.path, &path)
                .map_err(|error| ReadModelError::io("cannot copy", &snapshot.path, error))?;
        }
        let scratch = Self {
            connection: writer::open(&path)?,
            definition: definition.clone(),
            recorder: None,
            folder,
            path,
            _lock: lock,
        };
        scratch
            .prepare(origin, snapshot.is_some())
            .map_err(|error| scratch.failed("cannot write", error))?;
        Ok(scratch)
    }

    /// A copy of the read model in use at one moment, its position included. Whoever writes it need not wait. Looks at `stop` while
    /// it copies.
    pub fn copy<F>(store: &Store, definition: &Definition, stop: F) -> Result<Self, ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        let from = store.current(&definition.projection().name)?.path;
        let (folder, lock) = folder(store)?;
        let path = folder.join(format!("{}.db", definition.projection().name));
        let mut source = store::open_read_only(&from)?;
        writer::interrupt_when(&mut source, stop)?;
        // One read transaction, and no row is checked again: what was edited against a constraint is copied as it is.
        source
            .execute("VACUUM INTO ?", [path.to_string_lossy()])
            .map_err(|error| ReadModelError::sqlite(format!("cannot copy {}", from.display()), error))?;
        Ok(Self {
            connection: writer::open(&path)?,
            definition: definition.clone(),
            recorder: None,
            folder,
            path,
            _lock: lock,
        })
    }

    /// Reads what is committed, as stores are fed with it.
    pub fn feed(&self) -> Result<Feed, ReadModelError> {
        Feed::open(&self.path)
    }

    /// Drops the connection with whatever was not committed, and opens the file again. No fold can be open.
    pub fn reopen(&mut self) -> Result<(), ReadModelError> {
        self.recorder = None;
        self.connection = writer::open(&self.path)?;
        self.set_up().map_err(|error| self.failed("cannot write", error))
    }

    fn prepare(&self, origin: &Origin, filled: bool) -> rusqlite::Result<()> {
        self.set_up()?;
        self.connection.execute_batch("BEGIN")?;
        if filled {
            decision::write_amendments(&self.connection, &origin.amendments)?;
        } else {
            writer::create(&self.connection, &self.definition, origin)?;
        }
        self.connection.execute_batch("COMMIT")
    }

    fn set_up(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(&format!(
            "PRAGMA page_size = 8192;
             PRAGMA journal_mode = MEMORY;
             PRAGMA synchronous = OFF;
             PRAGMA cache_size = -{CACHE_KIB}"
        ))
    }

    fn failed(&self, what: &str, error: rusqlite::Error) -> ReadModelError {
        ReadModelError::sqlite(format!("{what} {}", self.path.display()), error)
    }

    /// What it is, and how far it has come.
    pub fn info(&self) -> Result<ReadModelInfo, ReadModelError> {
        store::info_of(&self.connection, &self.path)
    }

    /// What was decided about single records, as it was folded with.
    pub fn amendments(&self) -> Result<Amendments, ReadModelError> {
        decision::read_amendments(&self.connection).map_err(|error| self.failed("cannot read", error))
    }

    /// The definition that it folds by.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Looks at `stop` while SQLite works on one statement, so that a cancel need not wait for it.
    pub fn interrupt_when<F>(&mut self, stop: F) -> Result<(), ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        writer::interrupt_when(&mut self.connection, stop)
    }

    /// The fold that goes on from where it stands. A record that cannot be applied is skipped and listed.
    pub fn fold(&self) -> Result<Fold<'_>, ReadModelError> {
        fold::resume(&self.connection, &self.definition, OnPoison::Skip)
    }

    /// The same for many events: rows are kept in memory until the commit where that is known to be the same.
    pub fn fold_many(&self) -> Result<Fold<'_>, ReadModelError> {
        let mut fold = self.fold()?;
        fold.keep_rows(cached::ROOM)?;
        Ok(fold)
    }

    /// The same, which says of each event what it did: [`Fold::step`].
    pub fn recorded(&mut self) -> Result<Fold<'_>, ReadModelError> {
        let recorder = self.recorder()?;
        let mut fold = self.fold()?;
        fold.record(recorder);
        Ok(fold)
    }

    fn recorder(&mut self) -> Result<Recorder, ReadModelError> {
        let recorder = match self.recorder.take() {
            Some(recorder) => recorder,
            None => Recorder::install(&self.connection).map_err(|error| self.failed("cannot watch", error))?,
        };
        self.recorder = Some(recorder.clone());
        Ok(recorder)
    }

    /// Its tables, as [`Change::table`] counts them.
    pub fn tables(&mut self) -> Result<Arc<[Watched]>, ReadModelError> {
        Ok(self.recorder()?.tables())
    }

    /// Takes back what a record did: the last that was applied and not yet undone.
    pub fn undo(&self, record: &RecordRef<'_>, effect: &Effect) -> Result<(), ReadModelError> {
        let undone = self.take_back(record, effect);
        if undone.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let _ = self.connection.execute_batch("PRAGMA foreign_keys = ON");
        undone.map_err(|error| self.failed("cannot undo an event in", error))
    }

    fn take_back(&self, record: &RecordRef<'_>, effect: &Effect) -> rusqlite::Result<()> {
        let connection = &self.connection;
        // What a cascade did was recorded, and is taken back like everything else.
        connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")?;
        if let Some(recorder) = &self.recorder {
            recorder.undo(connection, &effect.changes)?;
        }
        if !effect.sequences.is_empty() || has_sequences(connection)? {
            connection.execute("DELETE FROM sqlite_sequence", [])?;
            for (table, last) in &effect.sequences {
                connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", params![table, last])?;
            }
        }
        let mut counts = bookkeeping::read_info(connection)?.map_or(Counts::default(), |info| info.counts);
        let count = match effect.outcome {
            Outcome::Applied => &mut counts.applied,
            Outcome::Ignored => &mut counts.ignored,
            Outcome::Poison(_) | Outcome::Skipped => &mut counts.skipped,
            Outcome::Held => &mut counts.held,
        };
        *count = count.saturating_sub(1);
        bookkeeping::write_state(connection, &counts, &State::Ready, &effect.latest, Timestamp::now())?;
        bookkeeping::forget_dead_letter(connection, record)?;
        invariant::forget(connection, record)?;
        let partition = TopicPartition::new(record.topic, record.partition);
        bookkeeping::set_next(connection, &partition, effect.next)?;
        connection.execute_batch("COMMIT")
    }

    /// Whether a condition is about the event too; one that is no SELECT over these tables is an error that says why.
    pub fn binds_event(&self, condition: &str) -> Result<bool, ReadModelError> {
        condition::holds(&self.connection, condition, None)?;
        condition::binds_event(&self.connection, condition)
            .map_err(|error| self.failed("cannot ask a condition of", error))
    }

    /// A session in which it is the only read model: its tables are named bare or with the projection's name.
    pub fn session(&self) -> Result<Session, ReadModelError> {
        Session::over(vec![Build {
            stem: self.definition.projection().name.to_ascii_lowercase(),
            number: 0,
            path: self.path.clone(),
        }])
    }

    /// Its dump, as [`dump::dump`] writes it.
    pub fn dump(&self, out: &mut dyn Write) -> Result<String, ReadModelError> {
        dump::of(&self.connection, &self.path, out)
    }

    /// Where its file lies, for as long as it is there.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        empty(&self.folder);
    }
}

pub(super) fn has_sequences(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")?
        .exists([])
}

/// What AUTOINCREMENT has given out: SQLite tells nothing of it.
pub(super) fn sequences(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    connection
        .prepare_cached("SELECT name, seq FROM sqlite_sequence")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// A folder of one's own: the first that nobody holds, emptied. The lock files stay, so that two can never hold one of them.
fn folder(store: &Store) -> Result<(PathBuf, Lock), ReadModelError> {
    let mut number = 0;
    loop {
        let folder = store.root().join(FOLDER).join(number.to_string());
        match Lock::take(&folder.join(LOCK), "scratch", "looking at the past") {
            Ok(lock) => {
                empty(&folder);
                return Ok((folder, lock));
            }
            Err(ReadModelError::Locked { .. }) => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() != LOCK {
            // What cannot be deleted now is deleted by the next that takes the folder.
            let _ = fs::remove_file(entry.path());
        }
    }
}

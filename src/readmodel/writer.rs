//! Where a read model is written: a new build, a preview, or the one in use.
//!
//! [`Building`] makes a new build beside the one in use and swaps it in, or leaves it beside as a preview, from which a later one
//! begins, as one may with a snapshot; [`Live`] goes on with the one in use. Both hand out a [`Fold`], which applies records. Whoever drops any of them before the commit leaves what was committed before.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::record::{Position, Record, Timestamp};

use super::bookkeeping::{self, Identity};
use super::cached;
use super::changes::Recorder;
use super::compile::Definition;
use super::decision::{self, Amendments, Decision};
use super::error::ReadModelError;
use super::feed::{self, Captured, Feed, Mark};
use super::fold::{Closed, Fold, Folded, OnPoison, go_on, resume};
use super::history::{self, Journal};
use super::lock::Lock;
use super::outbox::{self, Since};
use super::snapshot::{Snapshot, Snapshots};
use super::store::{self, DeadLetter, ReadModelInfo, State, Store};

/// Page cache of a rebuild whose events are SQL: what 100,000 keys need.
const BUILD_CACHE_KIB: i32 = 64 * 1024;
/// Page cache of one whose rows are in memory, and written in the order of their keys.
const FOLDED_CACHE_KIB: i32 = 16 * 1024;
/// Page cache while indexes are built: SQLite's sorter takes as much again.
const INDEX_CACHE_KIB: i32 = 16 * 1024;
/// Page cache of a live read model; several may be followed at once.
const LIVE_CACHE_KIB: i32 = 32 * 1024;
/// Steps of SQLite's virtual machine between two looks at whether to stop: a fraction of a millisecond.
const INTERRUPT_STEPS: i32 = 20_000;

/// How often a build that waits for the disk looks whether it was given up.
const LOOK: Duration = Duration::from_millis(20);

/// Which log a read model folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's id.
    pub cluster_id: String,
    /// The topics with the ids that the cluster gave them, where it gives any.
    pub topics: Vec<(String, Option<String>)>,
    /// What was decided about single records, which amends the log.
    pub amendments: Amendments,
}

/// A build in the making, beside the one in use.
#[derive(Debug)]
pub struct Building {
    connection: Connection,
    store: Store,
    definition: Definition,
    aim: Aim,
    path: PathBuf,
    /// Where it is when it is whole.
    target: PathBuf,
    /// What is written down with the swap.
    decided: Vec<Decision>,
    /// The record that the read model stands before when it is put in use, if it is paused then.
    paused: Option<DeadLetter>,
    /// Bytes that rows may take in memory; `None` where every event is SQL.
    rows_room: Option<usize>,
    /// Whether somebody has given it up.
    stop: Option<Stop>,
    /// The events that the build before has left to be published.
    unpublished: Option<Since>,
    _lock: Lock,
    /// That of the preview too, where it begins with one.
    preview: Option<Lock>,
    /// Whether it begins with rows: those of a preview, or of a snapshot.
    filled: bool,
}

/// Asked whether to give up.
#[derive(Clone)]
struct Stop(Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}

/// What becomes of a build when it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// It is put in use under this number.
    InUse(u64),
    /// It waits until somebody wants it.
    Preview,
}

impl Building {
    /// Begins a new build. What a killed one left behind is deleted first.
    pub fn start(store: &Store, definition: &Definition, origin: &Origin) -> Result<Self, ReadModelError> {
        let lock = Self::lock(store, definition, "rebuilding")?;
        let mut building = Self::next(store, definition, lock)?;
        building.begin(|| building.prepare(origin))?;
        building.take_over()?;
        Ok(building)
    }

    /// Begins a preview, in place of the one before. Whoever builds or follows the read model is not kept from it.
    pub fn preview(store: &Store, definition: &Definition, origin: &Origin) -> Result<Self, ReadModelError> {
        let name = definition.projection().name.as_str();
        let lock = store.lock_preview(name, "building it")?;
        let (path, target) = (store.preview_making(name), store.preview_path(name));
        store::remove(&path)?;
        store::remove(&target)?;
        let building = Self::at(store, definition, lock, Aim::Preview, path, target)?;
        building.begin(|| building.prepare(origin))?;
        Ok(building)
    }

    /// Begins a new build with what the preview holds. The preview stays until the build is in use.
    pub fn from_preview(store: &Store, definition: &Definition) -> Result<Self, ReadModelError> {
        let name = definition.projection().name.as_str();
        let lock = Self::lock(store, definition, "putting the preview in use")?;
        let preview = store.lock_preview(name, "putting it in use")?;
        let from = store.preview_path(name);
        if !from.exists() {
            return Err(ReadModelError::NoPreview { name: name.to_owned() });
        }
        store.clean(name)?;
        let (number, path) = Self::numbered(store, name)?;
        // Nobody writes a preview that is whole, so that its file is all of it.
        fs::copy(&from, &path).map_err(|error| ReadModelError::io("cannot copy", &from, error))?;
        store.stepped();
        let target = store.build_path(name, number);
        let mut building = Self::at(store, definition, lock, Aim::InUse(number), path, target)?;
        // Snapshots save time and no more.
        let _ = Snapshots::of(&from).rename(&building.snapshots());
        building.preview = Some(preview);
        building.filled = true;
        store.stepped();
        building.begin(|| building.own())?;
        building.take_over()?;
        Ok(building)
    }

    /// Begins a new build with what a snapshot of the build in use holds, which was made by the same rules. It has no history and
    /// no word of what is published, so it is for read models that have neither.
    pub fn from_snapshot(
        store: &Store,
        definition: &Definition,
        origin: &Origin,
        snapshot: &Snapshot,
    ) -> Result<Self, ReadModelError> {
        let name = definition.projection().name.as_str();
        let lock = Self::lock(store, definition, "rebuilding")?;
        let snapshots = store.snapshots(name)?;
        store.clean(name)?;
        let (number, path) = Self::numbered(store, name)?;
        fs::copy(&snapshot.path, &path).map_err(|error| ReadModelError::io("cannot copy", &snapshot.path, error))?;
        let target = store.build_path(name, number);
        let mut building = Self::at(store, definition, lock, Aim::InUse(number), path, target)?;
        building.filled = true;
        building.begin(|| {
            building.own()?;
            bookkeeping::rewrite_identity(&building.connection, &identity(definition, origin), Timestamp::now())?;
            decision::write_amendments(&building.connection, &origin.amendments)
        })?;
        // They save time and no more.
        let _ = snapshots.share(snapshot, &building.snapshots());
        Ok(building)
    }

    /// Goes on publishing where the build in use stopped, which nobody follows while this one is made.
    fn take_over(&mut self) -> Result<(), ReadModelError> {
        if !self.definition.emits().is_empty() {
            let before = self.before();
            self.unpublished = outbox::take_over(&self.connection, before.as_deref())?;
        }
        Ok(())
    }

    /// The build in use.
    fn before(&self) -> Option<PathBuf> {
        self.store.current(self.name()).ok().map(|build| build.path)
    }

    fn lock(store: &Store, definition: &Definition, doing: &str) -> Result<Lock, ReadModelError> {
        let name = definition.projection().name.as_str();
        Lock::take(&store.lock_path(name), name, doing)
    }

    fn next(store: &Store, definition: &Definition, lock: Lock) -> Result<Self, ReadModelError> {
        let name = definition.projection().name.as_str();
        store.clean(name)?;
        let (number, path) = Self::numbered(store, name)?;
        let target = store.build_path(name, number);
        Self::at(store, definition, lock, Aim::InUse(number), path, target)
    }

    /// The next number, and where that build is made.
    fn numbered(store: &Store, name: &str) -> Result<(u64, PathBuf), ReadModelError> {
        let number = match store.current(name) {
            Ok(build) => build.number + 1,
            Err(ReadModelError::NotFound { .. }) => 1,
            Err(error) => return Err(error),
        };
        Ok((number, store.building_path(name, number)))
    }

    fn at(
        store: &Store,
        definition: &Definition,
        lock: Lock,
        aim: Aim,
        path: PathBuf,
        target: PathBuf,
    ) -> Result<Self, ReadModelError> {
        let building = Self {
            connection: open(&path)?,
            store: store.clone(),
            definition: definition.clone(),
            aim,
            path,
            target,
            decided: Vec::new(),
            paused: None,
            rows_room: Some(cached::ROOM),
            stop: None,
            unpublished: None,
            _lock: lock,
            preview: None,
            filled: false,
        };
        #[cfg(test)]
        store.bound(&building.connection);
        Ok(building)
    }

    fn begin(&self, prepare: impl FnOnce() -> rusqlite::Result<()>) -> Result<(), ReadModelError> {
        prepare().map_err(|error| ReadModelError::sqlite(format!("cannot write {}", self.path.display()), error))
    }

    /// One transaction holds the whole build. All its pages lie past the end that the file had when it began, so SQLite keeps
    /// no journal of them, and yet undoes a failed statement exactly; `journal_mode=OFF` could not. Of one that begins with rows it
    /// keeps the pages as they were, which may be as much as all of it, and belongs on the disk.
    fn prepare(&self, origin: &Origin) -> rusqlite::Result<()> {
        self.own()?;
        create(&self.connection, &self.definition, origin)?;
        if self.definition.projection().history {
            history::create(&self.connection)?;
        }
        Ok(())
    }

    fn own(&self) -> rusqlite::Result<()> {
        let pages = match self.definition.plan().is_whole() && self.has_rows_in_memory() {
            true => FOLDED_CACHE_KIB,
            false => BUILD_CACHE_KIB,
        };
        let journal = if self.filled { "TRUNCATE" } else { "MEMORY" };
        self.connection.execute_batch(&format!(
            "PRAGMA page_size = 8192;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = {journal};
             PRAGMA synchronous = OFF;
             PRAGMA cache_size = -{pages};
             BEGIN EXCLUSIVE"
        ))
    }

    /// The snapshots that are taken of it.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::of(&self.target)
    }

    /// The projection's name.
    pub fn name(&self) -> &str {
        &self.definition.projection().name
    }

    /// Whether it began with rows: those of a preview or of a snapshot.
    pub fn is_filled(&self) -> bool {
        self.filled
    }

    /// Looks at `stop` while SQLite works on one statement, so that a cancel need not wait for it.
    pub fn interrupt_when<F>(&mut self, stop: F) -> Result<(), ReadModelError>
    where
        F: Fn() -> bool + Send + Sync + 'static,
    {
        let stop = Stop(Arc::new(stop));
        self.stop = Some(stop.clone());
        interrupt_when(&mut self.connection, move || (stop.0)())
    }

    /// Rows that it began with are there already, and a history is written as each event is applied: then every event is SQL.
    fn has_rows_in_memory(&self) -> bool {
        self.rows_room.is_some() && !self.is_filled() && !self.definition.projection().history
    }

    /// Keeps rows in memory in this many bytes at most, or in none: then every event is SQL.
    pub fn keep_rows(&mut self, room: Option<usize>) {
        self.rows_room = room;
    }

    /// The fold into this build.
    pub fn fold(&self, on_poison: OnPoison) -> Result<Fold<'_>, ReadModelError> {
        let journal = journal(&self.connection)?;
        let mut fold = if self.is_filled() {
            go_on(&self.connection, &self.definition, on_poison)?
        } else {
            Fold::new(&self.connection, &self.definition, on_poison)?
        };
        fold.keep(journal);
        fold.open = true;
        if let Some(since) = &self.unpublished {
            fold.emit_since(since.clone(), false)?;
        }
        if let (Some(room), true) = (self.rows_room, self.has_rows_in_memory()) {
            fold.keep_rows(room)?;
        }
        if !self.definition.alerts().is_empty() {
            fold.watch_alerts(false)?;
        }
        Ok(fold)
    }

    /// Records that it was folded past or that wait, as they would be listed.
    pub fn each_letter(&self, take: &mut dyn FnMut(DeadLetter) -> bool) -> Result<(), ReadModelError> {
        bookkeeping::each_dead_letter(&self.connection, take)
            .map_err(|error| ReadModelError::sqlite("cannot read the dead letters", error))
    }

    /// Whether a record can be applied after all that was folded; leaves nothing behind. What is against it is returned.
    pub fn attempt(&self, record: &Record) -> Result<Option<DeadLetter>, ReadModelError> {
        let mark = |sql: &str| {
            self.connection
                .execute_batch(sql)
                .map_err(|error| ReadModelError::sqlite("cannot try a record", error))
        };
        mark("SAVEPOINT foldlog_attempt")?;
        let mut fold = Fold::new(&self.connection, &self.definition, OnPoison::Collect(1))?;
        fold.open = true;
        fold.apply(std::iter::once(record.view()), &|| false)?;
        let letter = fold.take_letters().pop();
        drop(fold);
        mark("ROLLBACK TO foldlog_attempt; RELEASE foldlog_attempt")?;
        Ok(letter)
    }

    /// Goes on with these decisions about the records to come.
    pub fn amend(&self, amendments: &Amendments) -> Result<(), ReadModelError> {
        decision::write_amendments(&self.connection, amendments)
            .map_err(|error| ReadModelError::sqlite("cannot write what was decided about records", error))
    }

    /// Choices that are written down when this build is put in use, which was folded with them already.
    pub fn decide(&mut self, decided: Vec<Decision>) {
        self.decided = decided;
    }

    /// Puts it in use as one that is paused before this record, if there is one.
    pub fn stays_paused(&mut self, letter: Option<DeadLetter>) {
        self.paused = letter;
    }

    /// Builds what was left for after the load, checks the file, makes it durable, and puts it in use, or leaves it as a
    /// preview. The build that was in use is kept; the one before that is deleted.
    pub fn finish(mut self, closed: &Closed, position: &Position) -> Result<ReadModelInfo, ReadModelError> {
        let failed = |path: &Path, error| ReadModelError::sqlite(format!("cannot write {}", path.display()), error);
        if let Aim::InUse(_) = self.aim {
            let before = self.before();
            outbox::carry_over(&self.connection, before.as_deref(), self.definition.tells(), position)?;
        }
        self.complete(closed, position)
            .map_err(|error| failed(&self.path, error))?;
        let info = store::info_of(&self.connection, &self.path)?;
        // Closing folds the write-ahead log into the file, which must stand alone when it is renamed.
        let nothing = Connection::open_in_memory().map_err(|error| failed(&self.path, error))?;
        std::mem::replace(&mut self.connection, nothing)
            .close()
            .map_err(|(_, error)| failed(&self.path, error))?;
        self.sync()?;
        self.store.stepped();
        let target = &self.target;
        // Before the swap: what stands and is not in the read model is found and said, what is in it and stands nowhere would be lost
        // with the next build.
        self.store
            .write_decisions(&self.definition.projection().name, &self.decided)?;
        fs::rename(&self.path, target).map_err(|error| ReadModelError::io("cannot put in place", target, error))?;
        // The new build is in use from here on: what fails now must not be told as a rebuild that failed.
        let _ = store::sync(self.store.root());
        self.store.stepped();
        if let Aim::InUse(number) = self.aim {
            self.tidy(number);
        }
        Ok(info)
    }

    /// Makes the file durable, on a thread of its own: a disk may take its time, and whoever cancels does not wait for it.
    fn sync(&self) -> Result<(), ReadModelError> {
        let (sender, done) = sync_channel(1);
        let path = self.path.clone();
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            // Nobody listens any more after a cancel.
            let _ = sender.send(store::sync(&path));
        });
        if thread.is_err() {
            return store::sync(&self.path);
        }
        loop {
            match done.recv_timeout(LOOK) {
                Ok(synced) => return synced,
                Err(RecvTimeoutError::Timeout) if self.stop.as_ref().is_some_and(|stop| (stop.0)()) => {
                    return Err(ReadModelError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return store::sync(&self.path),
            }
        }
    }

    /// Deletes what the new build leaves behind.
    fn tidy(&self, number: u64) {
        let name = &self.definition.projection().name;
        for build in self.store.builds().unwrap_or_default() {
            if build.stem == name.to_ascii_lowercase() && build.number + 1 < number {
                // One that cannot be deleted now is deleted after the next build.
                let _ = store::remove(&build.path);
                self.store.stepped();
            }
        }
        if self.preview.is_some() {
            let _ = store::remove(&self.store.preview_path(name));
            self.store.stepped();
        }
    }

    /// Whether it has one of these indexes: a preview has them all, a snapshot those of the build that it was taken of.
    fn has_one(&self, indexes: &[String]) -> rusqlite::Result<bool> {
        let mut known = self
            .connection
            .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE")?;
        for index in indexes {
            if known.exists([index])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn complete(&self, closed: &Closed, position: &Position) -> rusqlite::Result<()> {
        self.connection
            .execute_batch(&format!("PRAGMA cache_size = -{INDEX_CACHE_KIB}"))?;
        let left = self.definition.schema().iter().filter(|step| step.after_load);
        for step in left {
            if !self.has_one(&step.indexes)? {
                self.connection.execute_batch(&step.sql)?;
            }
        }
        bookkeeping::write_position(&self.connection, position)?;
        let mut counts = closed.counts;
        let mut state = State::Ready;
        if let Some(letter) = &self.paused {
            bookkeeping::write_dead_letter(&self.connection, letter)?;
            counts.poisoned += 1;
            state = State::Paused {
                reason: letter.to_string(),
            };
        }
        bookkeeping::write_state(&self.connection, &counts, &state, &closed.latest, Timestamp::now())?;
        self.connection.flush_prepared_statement_cache();
        self.connection.execute_batch("COMMIT")?;
        let check: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(format!("the new file does not pass SQLite's check: {check}")),
            ));
        }
        // From here on as live writers and readers want it. In exclusive mode the log would stay in memory of this process.
        self.connection.execute_batch(
            "PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL; SELECT 1 FROM sqlite_schema LIMIT 1",
        )
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // After the swap nothing is left under this name. A file that cannot be deleted now is deleted by the next build.
        let _ = store::remove(&self.path);
        if !self.target.exists() {
            let name = &self.definition.projection().name;
            let back = Snapshots::of(&self.store.preview_path(name));
            // A preview that was not put in use after all has its snapshots again.
            if self.preview.is_none() || self.snapshots().rename(&back).is_err() {
                self.snapshots().remove();
            }
        }
    }
}

/// The read model in use, held for writing.
#[derive(Debug)]
pub struct Live {
    connection: Connection,
    store: Store,
    definition: Definition,
    info: ReadModelInfo,
    topics: Vec<(String, Option<String>)>,
    committing: Arc<AtomicBool>,
    /// Whether it takes down which rows change, for stores that are fed.
    captures: bool,
    lock: Arc<Lock>,
}

/// Keeps a read model from being written by anybody else, as long as it is there.
#[derive(Debug, Clone)]
pub struct Held {
    _lock: Arc<Lock>,
}

impl Live {
    /// Takes the read model of this definition for writing. Whether the definition is the one that it was built with is the
    /// caller's question; [`Live::info`] has the hash.
    pub fn open(store: &Store, definition: &Definition) -> Result<Self, ReadModelError> {
        let name = definition.projection().name.as_str();
        let lock = Lock::take(&store.lock_path(name), name, "following")?;
        store.clean(name)?;
        let build = store.current(name)?;
        let connection = open(&build.path)?;
        #[cfg(test)]
        store.bound(&connection);
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = NORMAL;
                 PRAGMA wal_autocheckpoint = 10000;
                 PRAGMA cache_size = -{LIVE_CACHE_KIB}"
            ))
            .map_err(|error| ReadModelError::sqlite(format!("cannot open {}", build.path.display()), error))?;
        let info = store::info_of(&connection, &build.path)?;
        if definition.tells() || info.emitted.is_some() {
            prepare_outbox(&connection, &info.position)
                .map_err(|error| ReadModelError::sqlite(format!("cannot write {}", build.path.display()), error))?;
        }
        let topics = bookkeeping::read_topics(&connection)
            .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", build.path.display()), error))?;
        Ok(Self {
            connection,
            store: store.clone(),
            definition: definition.clone(),
            info,
            topics,
            committing: Arc::default(),
            captures: false,
            lock: Arc::new(lock),
        })
    }

    /// From the next fold on it takes down which rows change, for these stores. Returns how far each of them was fed.
    pub fn capture(&mut self, sinks: &[String]) -> Result<Vec<Mark>, ReadModelError> {
        let marks = feed::prepare(&self.connection, sinks)
            .map_err(|error| ReadModelError::sqlite("cannot prepare what stores are fed with", error))?;
        self.captures = true;
        Ok(marks)
    }

    /// Forgets the stores that are fed no more, all but these. Returns which they were.
    pub fn forget_sinks(&mut self, keep: &[String]) -> Result<Vec<String>, ReadModelError> {
        feed::forget_others(&self.connection, keep)
            .map_err(|error| ReadModelError::sqlite("cannot forget stores that are fed no more", error))
    }

    /// What reads its rows for a store, on another thread and while it is written.
    pub fn feed(&self) -> Result<Feed, ReadModelError> {
        Feed::open(Path::new(self.connection.path().unwrap_or_default()))
    }

    /// Keeps the read model from others, for whoever publishes what it emits and may outlive this.
    pub fn held(&self) -> Held {
        Held {
            _lock: Arc::clone(&self.lock),
        }
    }

    /// Whether it has or makes records to publish.
    pub fn publishes(&self) -> bool {
        !self.definition.emits().is_empty() || self.info.emitted.as_ref().is_some_and(|emitted| emitted.waiting > 0)
    }

    /// The definition that it goes on by.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What the read model was when it was opened.
    pub fn info(&self) -> &ReadModelInfo {
        &self.info
    }

    /// The topics with the ids that they had when it was built.
    pub fn topics(&self) -> &[(String, Option<String>)] {
        &self.topics
    }

    /// What the read model is now.
    pub fn read_info(&self) -> Result<ReadModelInfo, ReadModelError> {
        store::info_of(&self.connection, Path::new(&self.info.name))
    }

    /// Looks at `stop` while SQLite works on a handler's statement, so that a cancel need not wait for it. What was applied
    /// since the last commit is then given up; a commit that has begun is never interrupted.
    pub fn interrupt_when<F>(&mut self, mut stop: F) -> Result<(), ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        let committing = self.committing.clone();
        interrupt_when(&mut self.connection, move || {
            !committing.load(Ordering::Relaxed) && stop()
        })
    }

    /// Takes over what stands by now about records that are still to come. Returns how many records that are folded already stand
    /// otherwise than they were folded: only a rebuild takes that over.
    pub fn adopt(&self, standing: &Amendments) -> Result<usize, ReadModelError> {
        let position = self.read_info()?.position;
        let folded = |decision: &Decision| {
            let place = decision.place();
            position.next(&place.partition).is_some_and(|next| place.offset < next)
        };
        let failed = |error| ReadModelError::sqlite("cannot take over what was decided about records", error);
        let ours = decision::read_amendments(&self.connection).map_err(failed)?;
        let to_come = standing.only(|decision| !folded(decision));
        let adopted = ours.only(folded).with(to_come.iter().cloned());
        if adopted != ours {
            let write = || {
                let transaction = self.connection.unchecked_transaction()?;
                decision::write_amendments(&transaction, &adopted)?;
                transaction.commit()
            };
            write().map_err(failed)?;
        }
        Ok(ours.only(folded).differences(&standing.only(folded)))
    }

    /// Applies the record that a paused read model stands before, as these choices amend it, and goes on past it: rows, position and
    /// choices commit together. One that cannot be applied even so is returned with the reason, and nothing is changed.
    pub fn settle(&mut self, record: &Record, decided: &[Decision]) -> Result<Option<DeadLetter>, ReadModelError> {
        self.captures = feed::is_captured(&self.connection)
            .map_err(|error| ReadModelError::sqlite("cannot read what stores are fed with", error))?;
        let mut fold = self.fold(OnPoison::Pause)?;
        if self.publishes() {
            // Into the outbox, from which the next follow publishes it.
            fold.emit(false)?;
        }
        fold.notify_as_before()?;
        let amendments = fold.amendments().with(decided.iter().cloned());
        fold.amend(&amendments)?;
        if fold.apply(std::iter::once(record.view()), &|| false)? != Folded::All {
            let letter = fold.take_letters().pop();
            drop(fold);
            self.connection
                .execute_batch("ROLLBACK")
                .map_err(|error| ReadModelError::sqlite("cannot roll back", error))?;
            return Ok(letter);
        }
        // Before the rows: see [`Building::finish`]. Whoever follows next finds it and does the same again.
        self.store
            .write_decisions(&self.definition.projection().name, decided)?;
        fold.commit()?;
        Ok(None)
    }

    /// The fold that goes on from the read model's position.
    pub fn fold(&self, on_poison: OnPoison) -> Result<Fold<'_>, ReadModelError> {
        let journal = journal(&self.connection)?;
        // Before the handlers are prepared, which tell everything only from then on.
        let captured = self.captured(journal.as_ref())?;
        let mut fold = resume(&self.connection, &self.definition, on_poison)?;
        fold.keep(journal);
        fold.captured = captured;
        fold.committing = Some(self.committing.clone());
        if !self.definition.alerts().is_empty() {
            fold.watch_alerts(true)?;
        }
        Ok(fold)
    }
}

impl Live {
    /// SQLite has one hook, which a history shares.
    fn captured(&self, journal: Option<&Journal>) -> Result<Option<Captured>, ReadModelError> {
        if !self.captures {
            return Ok(None);
        }
        let recorder = match journal {
            Some(journal) => {
                journal.recorder.tell_keys();
                Ok(journal.recorder.clone())
            }
            None => Recorder::of_keys(&self.connection),
        };
        recorder
            .and_then(|recorder| Captured::new(&self.connection, recorder))
            .map(Some)
            .map_err(|error| ReadModelError::sqlite("cannot take down which rows change", error))
    }
}

/// What is about to be sent must outlive a power loss, so that it is known afterwards; without emits the log has it all.
fn prepare_outbox(connection: &Connection, position: &Position) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE")?;
    let prepared = outbox::prepare(connection, position);
    connection.execute_batch(if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    prepared
}

/// The history that the read model of a connection keeps, if it keeps one.
fn journal(connection: &Connection) -> Result<Option<Journal>, ReadModelError> {
    Journal::of(connection).map_err(|error| ReadModelError::sqlite("cannot go on with the history", error))
}

/// Makes the tables of a definition, and those in which a read model remembers what it is.
pub(super) fn create(connection: &Connection, definition: &Definition, origin: &Origin) -> rusqlite::Result<()> {
    for step in definition.schema().iter().filter(|step| !step.after_load) {
        connection.execute_batch(&step.sql)?;
    }
    let projection = definition.projection();
    bookkeeping::create(connection, &identity(definition, origin), Timestamp::now())?;
    decision::write_amendments(connection, &origin.amendments)?;
    bookkeeping::write_schemas(connection, &projection.schemas)?;
    bookkeeping::write_topics(connection, &origin.topics)
}

fn identity<'a>(definition: &'a Definition, origin: &'a Origin) -> Identity<'a> {
    let projection = definition.projection();
    Identity {
        name: &projection.name,
        file: &projection.file,
        hash: &projection.hash,
        source: &projection.source,
        cluster_id: &origin.cluster_id,
    }
}

pub(super) fn interrupt_when<F>(connection: &mut Connection, stop: F) -> Result<(), ReadModelError>
where
    F: FnMut() -> bool + Send + 'static,
{
    connection
        .progress_handler(INTERRUPT_STEPS, Some(stop))
        .map_err(|error| ReadModelError::sqlite("cannot watch for a cancel", error))
}

pub(super) fn open(path: &Path) -> Result<Connection, ReadModelError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(super::BUSY)?;
            super::dates::install(&connection)?;
            Ok(connection)
        })
        .map_err(|error| ReadModelError::sqlite(format!("cannot open {}", path.display()), error))
}

/// Makes a build's file all of it. Nobody may write it meanwhile; whoever has read it since before its last commit is waited for.
pub(super) fn fold_log_in(path: &Path) -> Result<(), ReadModelError> {
    let failed = |error| ReadModelError::sqlite(format!("cannot write {}", path.display()), error);
    let connection = open(path)?;
    let check = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let deadline = Instant::now() + super::BUSY;
    loop {
        let (written, folded) = connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], check)
            .map_err(failed)?;
        if written == folded {
            break;
        }
        if Instant::now() >= deadline {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(failed(rusqlite::Error::SqliteFailure(
                busy,
                Some("it is being read".to_owned()),
            )));
        }
        thread::sleep(super::BUSY / 100);
    }
    connection.close().map_err(|(_, error)| failed(error))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;

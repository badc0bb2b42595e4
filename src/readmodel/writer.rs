//! Writing a read model: rows, position, counts and dead letters in one transaction.
//!
//! [`Building`] makes a new build beside the one in use and swaps it in; [`Live`] goes on with the one in use. Both hand out
//! a [`Fold`], which applies records. Whoever drops any of them before the commit leaves what was committed before.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use crate::decode::fields::Scalar;
use crate::record::{Position, RecordRef, Timestamp, TopicPartition};

use super::apply::{Applier, Outcome, Poison};
use super::bookkeeping::{self, Identity};
use super::changes::Recorder;
use super::compile::Definition;
use super::error::ReadModelError;
use super::invariant::{self, Broken};
use super::lock::Lock;
use super::missing::MissingField;
use super::query;
use super::scratch::{self, Effect};
use super::snapshot::Snapshots;
use super::store::{self, Counts, DeadLetter, ReadModelInfo, State, Store};

/// Page cache of a rebuild: what 100,000 keys need, and little enough that a replay of any size stays under 200 MB.
const BUILD_CACHE_KIB: i32 = 64 * 1024;
/// Page cache while indexes are built: SQLite's sorter takes as much again.
const INDEX_CACHE_KIB: i32 = 16 * 1024;
/// Page cache of a live read model; several may be followed at once.
const LIVE_CACHE_KIB: i32 = 32 * 1024;
/// Bytes of poison records that are kept for the list of a rebuild that fails: each may have megabytes.
const COLLECTED_BYTES: usize = 16 * 1024 * 1024;
/// A cancelled fold stops within this many records.
const STOP_EVERY: usize = 256;
/// Steps of SQLite's virtual machine between two looks at whether to stop: a fraction of a millisecond.
const INTERRUPT_STEPS: i32 = 20_000;

/// Which log a read model folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's id.
    pub cluster_id: String,
    /// The topics with the ids that the cluster gave them, where it gives any.
    pub topics: Vec<(String, Option<String>)>,
}

/// What to do about a record that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPoison {
    /// Go on, listing it; after this many, stop.
    Collect(usize),
    /// Go on; it is written to the dead letters.
    Skip,
    /// Stop before it; it is written to the dead letters and tried again at the next start.
    Pause,
}

/// How an application of records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// All of them are counted.
    All,
    /// It was asked to stop in between.
    Stopped,
    /// A poison record ended it, as the policy says.
    Poisoned,
}

/// A build in the making, beside the one in use.
#[derive(Debug)]
pub struct Building {
    connection: Connection,
    store: Store,
    definition: Definition,
    number: u64,
    path: PathBuf,
    _lock: Lock,
}

impl Building {
    /// Begins a new build. What a killed one left behind is deleted first.
    pub fn start(store: &Store, definition: &Definition, origin: &Origin) -> Result<Self, ReadModelError> {
        let projection = definition.projection();
        let name = projection.name.as_str();
        let lock = Lock::take(&store.lock_path(name), name, "rebuilding")?;
        store.clean(name)?;
        let number = match store.current(name) {
            Ok(build) => build.number + 1,
            Err(ReadModelError::NotFound { .. }) => 1,
            Err(error) => return Err(error),
        };
        let path = store.building_path(name, number);
        let building = Self {
            connection: open(&path)?,
            store: store.clone(),
            definition: definition.clone(),
            number,
            path,
            _lock: lock,
        };
        #[cfg(test)]
        store.bound(&building.connection);
        building
            .prepare(origin)
            .map_err(|error| ReadModelError::sqlite(format!("cannot write {}", building.path.display()), error))?;
        Ok(building)
    }

    /// One transaction holds the whole build. All its pages lie past the end that the file had when it began, so SQLite keeps
    /// no journal of them, and yet undoes a failed statement exactly; `journal_mode=OFF` could not.
    fn prepare(&self, origin: &Origin) -> rusqlite::Result<()> {
        self.connection.execute_batch(&format!(
            "PRAGMA page_size = 8192;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = MEMORY;
             PRAGMA synchronous = OFF;
             PRAGMA cache_size = -{BUILD_CACHE_KIB};
             BEGIN EXCLUSIVE"
        ))?;
        create(&self.connection, &self.definition, origin)
    }

    /// The snapshots that are taken of it.
    pub fn snapshots(&self) -> Snapshots {
        let name = &self.definition.projection().name;
        Snapshots::of(&self.store.build_path(name, self.number))
    }

    /// Looks at `stop` while SQLite works on one statement, so that a cancel need not wait for it.
    pub fn interrupt_when<F>(&mut self, stop: F) -> Result<(), ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        interrupt_when(&mut self.connection, stop)
    }

    /// The fold into this build.
    pub fn fold(&self, on_poison: OnPoison) -> Result<Fold<'_>, ReadModelError> {
        let mut fold = Fold::new(&self.connection, &self.definition, on_poison)?;
        fold.open = true;
        Ok(fold)
    }

    /// Builds what was left for after the load, checks the file, makes it durable, and puts it in use. The build that was in
    /// use is kept; the one before that is deleted.
    pub fn finish(
        mut self,
        counts: Counts,
        position: &Position,
        latest: Option<Timestamp>,
    ) -> Result<ReadModelInfo, ReadModelError> {
        let failed = |path: &Path, error| ReadModelError::sqlite(format!("cannot write {}", path.display()), error);
        self.complete(counts, position, latest)
            .map_err(|error| failed(&self.path, error))?;
        let info = store::info_of(&self.connection, &self.path)?;
        // Closing folds the write-ahead log into the file, which must stand alone when it is renamed.
        let nothing = Connection::open_in_memory().map_err(|error| failed(&self.path, error))?;
        std::mem::replace(&mut self.connection, nothing)
            .close()
            .map_err(|(_, error)| failed(&self.path, error))?;
        let name = &self.definition.projection().name;
        store::sync(&self.path)?;
        let target = self.store.build_path(name, self.number);
        fs::rename(&self.path, &target).map_err(|error| ReadModelError::io("cannot put in place", &target, error))?;
        // The new build is in use from here on: what fails now must not be told as a rebuild that failed.
        let _ = store::sync(self.store.root());
        for build in self.store.builds().unwrap_or_default() {
            if build.stem == name.to_ascii_lowercase() && build.number + 1 < self.number {
                // One that cannot be deleted now is deleted after the next build.
                let _ = store::remove(&build.path);
            }
        }
        Ok(info)
    }

    fn complete(&self, counts: Counts, position: &Position, latest: Option<Timestamp>) -> rusqlite::Result<()> {
        self.connection
            .execute_batch(&format!("PRAGMA cache_size = -{INDEX_CACHE_KIB}"))?;
        for step in self.definition.schema().iter().filter(|step| step.after_load) {
            self.connection.execute_batch(&step.sql)?;
        }
        bookkeeping::write_position(&self.connection, position)?;
        bookkeeping::write_state(&self.connection, &counts, &State::Ready, latest, now())?;
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
        let target = self.store.build_path(&self.definition.projection().name, self.number);
        if !target.exists() {
            Snapshots::of(&target).remove();
        }
    }
}

/// The read model in use, held for writing.
#[derive(Debug)]
pub struct Live {
    connection: Connection,
    definition: Definition,
    info: ReadModelInfo,
    topics: Vec<(String, Option<String>)>,
    committing: Arc<AtomicBool>,
    _lock: Lock,
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
        let topics = bookkeeping::read_topics(&connection)
            .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", build.path.display()), error))?;
        Ok(Self {
            connection,
            definition: definition.clone(),
            info,
            topics,
            committing: Arc::default(),
            _lock: lock,
        })
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

    /// The fold that goes on from the read model's position.
    pub fn fold(&self, on_poison: OnPoison) -> Result<Fold<'_>, ReadModelError> {
        let mut fold = resume(&self.connection, &self.definition, on_poison)?;
        fold.committing = Some(self.committing.clone());
        Ok(fold)
    }
}

/// Makes the tables of a definition, and those in which a read model remembers what it is.
pub(super) fn create(connection: &Connection, definition: &Definition, origin: &Origin) -> rusqlite::Result<()> {
    for step in definition.schema().iter().filter(|step| !step.after_load) {
        connection.execute_batch(&step.sql)?;
    }
    let projection = definition.projection();
    let identity = Identity {
        name: &projection.name,
        file: &projection.file,
        hash: &projection.hash,
        source: &projection.source,
        cluster_id: &origin.cluster_id,
    };
    bookkeeping::create(connection, &identity, now())?;
    bookkeeping::write_topics(connection, &origin.topics)
}

/// The fold that goes on from the position of the read model that a connection has open.
pub(super) fn resume<'c>(
    connection: &'c Connection,
    definition: &'c Definition,
    on_poison: OnPoison,
) -> Result<Fold<'c>, ReadModelError> {
    if !connection.is_autocommit() {
        // A fold before this one was dropped without its commit.
        connection
            .execute_batch("ROLLBACK")
            .map_err(|error| ReadModelError::sqlite("cannot roll back", error))?;
    }
    let info = store::info_of(connection, Path::new(&definition.projection().name))?;
    let mut fold = Fold::new(connection, definition, on_poison)?;
    fold.counts = info.counts;
    fold.applier.leave_out(&info.broken);
    fold.latest = info.latest;
    fold.advance(&info.position);
    if let State::Paused { .. } = info.state {
        // The record that it stands before is about to be tried again; the list says so from the first commit on.
        fold.retry = true;
        fold.counts.poisoned = 0;
    }
    Ok(fold)
}

pub(super) fn interrupt_when<F>(connection: &mut Connection, stop: F) -> Result<(), ReadModelError>
where
    F: FnMut() -> bool + Send + 'static,
{
    connection
        .progress_handler(INTERRUPT_STEPS, Some(stop))
        .map_err(|error| ReadModelError::sqlite("cannot watch for a cancel", error))
}

/// Applies records and remembers how far it came.
pub struct Fold<'c> {
    connection: &'c Connection,
    applier: Applier<'c>,
    on_poison: OnPoison,
    counts: Counts,
    reached: Reached,
    state: State,
    letters: Vec<DeadLetter>,
    broken: Vec<Broken>,
    collected: usize,
    open: bool,
    retry: bool,
    uncommitted: u64,
    committing: Option<Arc<AtomicBool>>,
    latest: Option<Timestamp>,
    recorder: Option<Recorder>,
}

impl<'c> Fold<'c> {
    fn new(
        connection: &'c Connection,
        definition: &'c Definition,
        on_poison: OnPoison,
    ) -> Result<Self, ReadModelError> {
        let applier = Applier::new(connection, definition)
            .map_err(|error| ReadModelError::sqlite("cannot prepare the handlers", error))?;
        Ok(Self {
            connection,
            applier,
            on_poison,
            counts: Counts::default(),
            reached: Reached::default(),
            state: State::Ready,
            letters: Vec::new(),
            broken: Vec::new(),
            collected: 0,
            open: false,
            retry: false,
            uncommitted: 0,
            committing: None,
            latest: None,
            recorder: None,
        })
    }

    /// Records what events do, for [`Fold::step`].
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.applier.record(recorder.clone());
        self.recorder = Some(recorder);
    }

    /// What became of the records so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many records were applied since the last commit.
    pub fn uncommitted(&self) -> u64 {
        self.uncommitted
    }

    /// The next offset of each partition.
    pub fn position(&self) -> Position {
        self.reached.position()
    }

    /// Poison records that were met, where the policy collects them or pauses.
    pub fn letters(&self) -> &[DeadLetter] {
        &self.letters
    }

    /// The fields that handlers bind and that were missing in every event of theirs so far.
    pub fn missing(&self) -> Vec<MissingField> {
        self.applier.missing()
    }

    /// Hands them over.
    pub fn take_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.letters)
    }

    /// Moves on past offsets that hold no record: transaction markers, and what compaction removed.
    pub fn advance(&mut self, position: &Position) {
        for (partition, next) in position.iter() {
            self.reached.seen(&partition.topic, partition.partition, next);
        }
    }

    /// Applies records in their order. Looks at `stop` in between.
    pub fn apply<'r>(
        &mut self,
        records: impl Iterator<Item = RecordRef<'r>>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Folded, ReadModelError> {
        let mut slots: Vec<Scalar<'r>> = Vec::new();
        for (count, record) in records.enumerate() {
            if count % STOP_EVERY == 0 && stop() {
                return Ok(Folded::Stopped);
            }
            self.begin()?;
            let outcome = self.applier.apply(&record, &mut slots)?;
            if self.counted(&record, outcome)? {
                return Ok(Folded::Poisoned);
            }
        }
        Ok(Folded::All)
    }

    /// Counts what became of a record; whether to stop before it.
    fn counted(&mut self, record: &RecordRef<'_>, outcome: Outcome) -> Result<bool, ReadModelError> {
        match outcome {
            Outcome::Applied => {
                self.counts.applied += 1;
                self.keep_broken()?;
            }
            Outcome::Ignored => self.counts.ignored += 1,
            Outcome::Poison(poison) => {
                if self.poisoned(record, poison)? {
                    return Ok(true);
                }
            }
        }
        self.uncommitted += 1;
        self.latest = self.latest.max(record.timestamp);
        self.reached.seen(record.topic, record.partition, record.offset + 1);
        Ok(false)
    }

    /// Whether a SELECT over what was applied so far, committed or not, returns a row whose first value is neither 0 nor NULL.
    pub fn holds(&self, sql: &str) -> Result<bool, ReadModelError> {
        query::holds(self.connection, sql)
    }

    /// Applies one record and says what it did, which only the fold of [`Scratch::recorded`](super::scratch::Scratch::recorded)
    /// knows.
    pub fn step(&mut self, record: &RecordRef<'_>) -> Result<Effect, ReadModelError> {
        self.begin()?;
        let sequences = scratch::sequences(self.connection)
            .map_err(|error| ReadModelError::sqlite("cannot read what AUTOINCREMENT has given out", error))?;
        let (next, latest) = (self.reached.next(record.topic, record.partition), self.latest);
        let mut slots = Vec::new();
        let outcome = self.applier.apply(record, &mut slots)?;
        let (lines, mut changes) = self.recorder.as_ref().map(Recorder::take).unwrap_or_default();
        if let Outcome::Poison(_) = outcome {
            // What the statements before the failed one did has been rolled back.
            changes.clear();
        }
        let event = match slots.first() {
            Some(Scalar::Text(event)) => Some(event.to_string()),
            Some(Scalar::Integer(event)) => Some(event.to_string()),
            Some(Scalar::Real(event)) => Some(event.to_string()),
            Some(Scalar::Null | Scalar::Blob(_)) | None => None,
        };
        self.counted(record, outcome.clone())?;
        Ok(Effect {
            event,
            outcome,
            lines,
            changes,
            next,
            latest,
            sequences,
        })
    }

    /// The latest time that any record so far has.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// Takes a snapshot of what was applied so far, whether or not it is committed. `ended` are the partitions of which that is
    /// everything.
    pub fn snapshot(&mut self, snapshots: &Snapshots, ended: &[TopicPartition]) -> Result<(), ReadModelError> {
        self.begin()?;
        bookkeeping::write_position(self.connection, &self.position())
            .and_then(|()| bookkeeping::write_state(self.connection, &self.counts, &self.state, self.latest, now()))
            .map_err(|error| ReadModelError::sqlite("cannot write the position", error))?;
        snapshots.save(self.connection, self.counts.total(), ended)
    }

    /// Keeps the invariants that the last event broke, in the transaction of its rows.
    fn keep_broken(&mut self) -> Result<(), ReadModelError> {
        for broken in self.applier.take_broken() {
            invariant::write(self.connection, &broken)
                .map_err(|error| ReadModelError::sqlite("cannot write down the broken invariant", error))?;
            self.broken.push(broken);
        }
        Ok(())
    }

    /// Hands over the invariants that broke since the last call.
    pub fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.broken)
    }

    /// Deals with a poison record as the policy says; whether to stop.
    fn poisoned(&mut self, record: &RecordRef<'_>, poison: Poison) -> Result<bool, ReadModelError> {
        let letter = DeadLetter {
            record: record.to_record(),
            reason: poison.reason,
            line: poison.line,
            held: self.on_poison == OnPoison::Pause,
        };
        match self.on_poison {
            OnPoison::Skip => {
                self.counts.skipped += 1;
                self.list(&letter)?;
                Ok(false)
            }
            OnPoison::Collect(limit) => {
                self.counts.poisoned += 1;
                let record = letter.record.view().size();
                self.collected += record;
                self.letters.push(letter);
                Ok(self.letters.len() >= limit || self.collected >= COLLECTED_BYTES)
            }
            OnPoison::Pause => {
                self.counts.poisoned += 1;
                self.list(&letter)?;
                self.state = State::Paused {
                    reason: format!(
                        "{}[{}] offset {}: {}",
                        record.topic, record.partition, record.offset, letter.reason
                    ),
                };
                self.letters.push(letter);
                Ok(true)
            }
        }
    }

    fn list(&self, letter: &DeadLetter) -> Result<(), ReadModelError> {
        bookkeeping::write_dead_letter(self.connection, letter)
            .map_err(|error| ReadModelError::sqlite("cannot write the dead letter", error))
    }

    fn begin(&mut self) -> Result<(), ReadModelError> {
        if self.open {
            return Ok(());
        }
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut begin| begin.execute([]))
            .map_err(|error| ReadModelError::sqlite("cannot begin a transaction", error))?;
        self.open = true;
        if self.retry {
            bookkeeping::release_held(self.connection)
                .map_err(|error| ReadModelError::sqlite("cannot take the held record up again", error))?;
            self.retry = false;
        }
        Ok(())
    }

    /// Commits rows, position, counts, state and dead letters together.
    pub fn commit(&mut self) -> Result<(), ReadModelError> {
        self.shield(true);
        let written = self.begin().and_then(|()| {
            self.write()
                .map_err(|error| ReadModelError::sqlite("cannot commit", error))
        });
        self.shield(false);
        written?;
        self.open = false;
        self.uncommitted = 0;
        Ok(())
    }

    fn shield(&self, on: bool) {
        if let Some(committing) = &self.committing {
            committing.store(on, Ordering::Relaxed);
        }
    }

    fn write(&self) -> rusqlite::Result<()> {
        bookkeeping::write_position(self.connection, &self.position())?;
        bookkeeping::write_state(self.connection, &self.counts, &self.state, self.latest, now())?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// The next offset of each partition, kept so that a record costs a comparison and a store.
#[derive(Debug, Default)]
struct Reached {
    topics: Vec<(String, Vec<i64>)>,
    last: usize,
}

/// A partition of which nothing was seen.
const UNSEEN: i64 = -1;

impl Reached {
    fn seen(&mut self, topic: &str, partition: i32, next: i64) {
        if self.topics.get(self.last).is_none_or(|(name, _)| name != topic) {
            self.last = match self.topics.iter().position(|(name, _)| name == topic) {
                Some(at) => at,
                None => {
                    self.topics.push((topic.to_owned(), Vec::new()));
                    self.topics.len() - 1
                }
            };
        }
        let Ok(partition) = usize::try_from(partition) else {
            return;
        };
        if let Some((_, offsets)) = self.topics.get_mut(self.last) {
            if offsets.len() <= partition {
                offsets.resize(partition + 1, UNSEEN);
            }
            // Never back: a reader's position may lag behind the record that it has handed out.
            offsets[partition] = offsets[partition].max(next);
        }
    }

    fn next(&self, topic: &str, partition: i32) -> Option<i64> {
        let (_, offsets) = self.topics.iter().find(|(name, _)| name == topic)?;
        let next = offsets.get(usize::try_from(partition).ok()?)?;
        (*next != UNSEEN).then_some(*next)
    }

    fn position(&self) -> Position {
        let mut position = Position::new();
        for (topic, offsets) in &self.topics {
            let topic: Arc<str> = topic.as_str().into();
            for (partition, next) in (0..).zip(offsets) {
                if *next != UNSEEN {
                    position.set(TopicPartition::new(topic.clone(), partition), *next);
                }
            }
        }
        position
    }
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

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

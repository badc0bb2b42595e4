//! The fold: records through the handlers, counted, and committed with the position that they lead to.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::decode::fields::Scalar;
use crate::record::{Position, RecordRef, Timestamp, TopicPartition};

use super::apply::{Applier, Outcome, Poison};
use super::bookkeeping;
use super::changes::Recorder;
use super::compile::{Definition, text_of};
use super::condition;
use super::decision::{self, Amendment, Amendments};
use super::error::ReadModelError;
use super::feed::Captured;
use super::history::{Applied, Journal};
use super::invariant::{self, Broken};
use super::latest::Latest;
use super::missing::MissingField;
use super::notice::Watched;
use super::outbox::Outbox;
use super::scratch::{self, Effect};
use super::snapshot::Snapshots;
use super::store::{self, Counts, DeadLetter, LetterState, State};

/// Bytes of poison records that are kept for the list of a rebuild that fails: each may have megabytes.
const COLLECTED_BYTES: usize = 16 * 1024 * 1024;
/// A cancelled fold stops within this many records.
const STOP_EVERY: usize = 256;

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

/// A fold that has ended, with all its rows written.
#[derive(Debug, Clone)]
pub struct Closed {
    /// What became of the records.
    pub counts: Counts,
    /// Which of them a replay takes last.
    pub(super) latest: Latest,
}

/// Applies records and remembers how far it came.
pub struct Fold<'c> {
    pub(super) connection: &'c Connection,
    pub(super) applier: Applier<'c>,
    /// What was decided about single records.
    amendments: Amendments,
    on_poison: OnPoison,
    counts: Counts,
    reached: Reached,
    state: State,
    letters: Vec<DeadLetter>,
    broken: Vec<Broken>,
    collected: usize,
    /// Whether a transaction is open; a whole build is one.
    pub(super) open: bool,
    retry: bool,
    uncommitted: u64,
    /// Whether the disk is to be taken for full.
    full: bool,
    /// Set while it commits, which nobody may interrupt.
    pub(super) committing: Option<Arc<AtomicBool>>,
    latest: Latest,
    recorder: Option<Recorder>,
    /// Where what events emit is kept, where they do.
    pub(super) outbox: Option<Outbox>,
    journal: Option<Journal>,
    /// What is to be told, where that is watched.
    pub(super) alerts: Option<Watched>,
    /// Which rows changed, where stores are fed with them.
    pub(super) captured: Option<Captured>,
}

impl<'c> Fold<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        definition: &'c Definition,
        on_poison: OnPoison,
    ) -> Result<Self, ReadModelError> {
        let applier = Applier::new(connection, definition)
            .map_err(|error| ReadModelError::sqlite("cannot prepare the handlers", error))?;
        let amendments = decision::read_amendments(connection)
            .map_err(|error| ReadModelError::sqlite("cannot read what was decided about records", error))?;
        Ok(Self {
            connection,
            applier,
            amendments,
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
            full: false,
            committing: None,
            latest: Latest::default(),
            recorder: None,
            outbox: None,
            journal: None,
            alerts: None,
            captured: None,
        })
    }

    /// Keeps rows in memory, in `room` bytes at most, where that is known to be the same.
    pub(super) fn keep_rows(&mut self, room: usize) -> Result<(), ReadModelError> {
        self.applier
            .keep_rows(self.connection, room)
            .map_err(|error| ReadModelError::sqlite("cannot keep rows in memory", error))
    }

    /// Ends it without a commit: all rows are in the transaction, for whoever finishes that.
    pub fn close(mut self) -> Result<Closed, ReadModelError> {
        self.applier.flush()?;
        self.ask_alerts()?;
        self.write_history()?;
        Ok(Closed {
            counts: self.counts,
            latest: self.latest,
        })
    }

    /// Records what events do, for [`Fold::step`].
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.applier.record(recorder.clone());
        self.recorder = Some(recorder);
    }

    /// Keeps the history of what events do, from here on. It was made before the fold.
    pub(super) fn keep(&mut self, journal: Option<Journal>) {
        if let Some(journal) = &journal {
            self.applier.record(journal.recorder.clone());
        }
        self.journal = journal;
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
            let mut other = Vec::new();
            let (outcome, event) = match self.amendments.of(&record) {
                None => (self.applier.apply(&record, &mut slots)?, slots.first()),
                Some(amendment) => {
                    let outcome = amended(&mut self.applier, &record, amendment, &mut other)?;
                    (outcome, other.first())
                }
            };
            if let Some(journal) = &mut self.journal {
                match outcome {
                    Outcome::Applied => journal
                        .applied(
                            self.connection,
                            &Applied {
                                record: &record,
                                event: text_of(event).as_deref(),
                                edited: matches!(self.amendments.of(&record), Some(Amendment::Edited(..))),
                            },
                        )
                        .map_err(|error| ReadModelError::sqlite("cannot write the history", error))?,
                    // What the statements before the failed one did has been rolled back.
                    Outcome::Ignored | Outcome::Poison(_) | Outcome::Skipped | Outcome::Held => {
                        journal.recorder.forget()
                    }
                }
            }
            if self.counted(&record, outcome)? {
                return Ok(Folded::Poisoned);
            }
            if self.captured.as_ref().is_some_and(Captured::is_full) {
                self.write_captured()?;
            }
        }
        Ok(Folded::All)
    }

    /// Counts what became of a record; whether to stop before it.
    fn counted(&mut self, record: &RecordRef<'_>, outcome: Outcome) -> Result<bool, ReadModelError> {
        let mut listed = self.amendments.is_empty();
        match outcome {
            Outcome::Applied => {
                self.counts.applied += 1;
                self.keep_broken()?;
                self.keep_emissions()?;
                self.keep_alerts()?;
            }
            Outcome::Ignored => self.counts.ignored += 1,
            Outcome::Skipped => self.counts.skipped += 1,
            Outcome::Held => self.counts.held += 1,
            Outcome::Poison(poison) => {
                if self.poisoned(record, poison)? {
                    return Ok(true);
                }
                listed = true;
            }
        }
        if !listed {
            self.list_amended(record)?;
        }
        self.uncommitted += 1;
        self.latest.see(record);
        self.reached.seen(record.topic, record.partition, record.offset + 1);
        Ok(false)
    }

    /// Whether a SELECT over what was applied so far, committed or not, returns a row whose first value is neither 0 nor NULL.
    pub fn holds(&mut self, sql: &str) -> Result<bool, ReadModelError> {
        self.applier.flush()?;
        condition::holds(self.connection, sql, None)
    }

    /// The same after an event, which the SELECT may bind as a handler does.
    pub fn holds_after(&mut self, sql: &str, event: &RecordRef<'_>) -> Result<bool, ReadModelError> {
        self.applier.flush()?;
        condition::holds(self.connection, sql, Some(event))
    }

    /// Applies one record and says what it did, which only the fold of [`Scratch::recorded`](super::scratch::Scratch::recorded)
    /// knows.
    pub fn step(&mut self, record: &RecordRef<'_>) -> Result<Effect, ReadModelError> {
        self.begin()?;
        let sequences = match &self.recorder {
            Some(recorder) if recorder.sequences => scratch::sequences(self.connection)
                .map_err(|error| ReadModelError::sqlite("cannot read what AUTOINCREMENT has given out", error))?,
            _ => Vec::new(),
        };
        let (next, latest) = (self.reached.next(record.topic, record.partition), self.latest.clone());
        let mut slots = Vec::new();
        let outcome = match self.amendments.of(record) {
            None => self.applier.apply(record, &mut slots)?,
            Some(amendment) => amended(&mut self.applier, record, amendment, &mut slots)?,
        };
        let (lines, mut changes) = match &self.recorder {
            Some(recorder) => recorder
                .drain(self.connection, |lines, changes| {
                    (std::mem::take(lines), std::mem::take(changes))
                })
                .map_err(|error| ReadModelError::sqlite("cannot tell what an event did", error))?,
            None => (Vec::new(), Vec::new()),
        };
        if let Outcome::Poison(_) = outcome {
            // What the statements before the failed one did has been rolled back.
            changes.clear();
        }
        let event = text_of(slots.first()).map(Cow::into_owned);
        let edited = matches!(self.amendments.of(record), Some(Amendment::Edited(..)));
        self.counted(record, outcome.clone())?;
        Ok(Effect {
            event,
            outcome,
            edited,
            lines,
            changes,
            next,
            latest,
            sequences,
        })
    }

    /// Which record so far a replay takes last.
    pub fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Bytes that a snapshot of it would take, about.
    pub fn weight(&self) -> u64 {
        let pages = self
            .connection
            .prepare_cached("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
        let on_disk = pages.and_then(|mut pages| pages.query_row([], |row| row.get::<_, i64>(0)));
        // Where it cannot be told nothing is lost but a better guess.
        u64::try_from(on_disk.unwrap_or(0)).unwrap_or(0) + self.applier.in_memory()
    }

    /// Takes a snapshot of what was applied so far, whether or not it is committed.
    pub fn snapshot(&mut self, snapshots: &Snapshots) -> Result<(), ReadModelError> {
        self.begin()?;
        self.applier.flush()?;
        bookkeeping::write_position(self.connection, &self.position())
            .and_then(|()| {
                bookkeeping::write_state(
                    self.connection,
                    &self.counts,
                    &self.state,
                    &self.latest,
                    Timestamp::now(),
                )
            })
            .map_err(|error| ReadModelError::sqlite("cannot write the position", error))?;
        snapshots.save(self.connection, self.counts.total())
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
            kind: poison.kind,
            reason: poison.reason,
            line: poison.line,
            state: match self.on_poison {
                OnPoison::Pause => LetterState::Paused,
                OnPoison::Skip | OnPoison::Collect(_) => LetterState::Skipped,
            },
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
                    reason: letter.to_string(),
                };
                self.letters.push(letter);
                Ok(true)
            }
        }
    }

    /// Lists a record that somebody decided something about, so that what is not as the log has it can be seen.
    fn list_amended(&self, record: &RecordRef<'_>) -> Result<(), ReadModelError> {
        let Some(amendment) = self.amendments.of(record) else {
            return Ok(());
        };
        let (decision, state) = match amendment {
            Amendment::Skipped(decision) => (decision, LetterState::Skipped),
            Amendment::Held(decision) => (decision, LetterState::Held),
            Amendment::Edited(decision, _) => (decision, LetterState::Edited),
        };
        self.list(&DeadLetter {
            record: record.to_record(),
            kind: decision.poison.kind,
            reason: decision::reason(&amendment),
            line: decision.poison.line,
            state,
        })
    }

    fn list(&self, letter: &DeadLetter) -> Result<(), ReadModelError> {
        bookkeeping::write_dead_letter(self.connection, letter)
            .map_err(|error| ReadModelError::sqlite("cannot write the dead letter", error))
    }

    pub(super) fn begin(&mut self) -> Result<(), ReadModelError> {
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

    /// Goes on with other decisions about the records to come, from the transaction on that is open now or begins with this.
    pub(super) fn amend(&mut self, amendments: &Amendments) -> Result<(), ReadModelError> {
        self.begin()?;
        decision::write_amendments(self.connection, amendments)
            .map_err(|error| ReadModelError::sqlite("cannot write what was decided about records", error))?;
        self.amendments = amendments.clone();
        Ok(())
    }

    /// What was decided about single records.
    pub fn amendments(&self) -> &Amendments {
        &self.amendments
    }

    /// Takes all dead letters off the list, so that a fold that nobody asks for them needs no room for them.
    pub fn forget_letters(&mut self) -> Result<(), ReadModelError> {
        self.begin()?;
        bookkeeping::forget_dead_letters(self.connection)
            .map_err(|error| ReadModelError::sqlite("cannot take the dead letters off the list", error))
    }

    /// Writes what is left of the history, where there is one.
    fn write_history(&mut self) -> Result<(), ReadModelError> {
        let written = self
            .journal
            .as_mut()
            .map_or(Ok(()), |journal| journal.flush(self.connection));
        written.map_err(|error| ReadModelError::sqlite("cannot write the history", error))
    }

    /// Writes down which rows changed, where stores are fed with them.
    fn write_captured(&mut self) -> Result<(), ReadModelError> {
        let written = self
            .captured
            .as_mut()
            .map_or(Ok(()), |captured| captured.write(self.connection));
        written.map_err(|error| ReadModelError::sqlite("cannot write down which rows changed", error))
    }

    /// From here on no commit finds room, as on a disk that is full.
    pub fn fill(&mut self, full: bool) {
        self.full = full;
    }

    /// Asks for more room than there is, so that SQLite says what it says on a full disk, and undoes what it undoes there.
    fn overflow(&self) -> rusqlite::Result<()> {
        // Less than the file has is what it has.
        self.connection.execute_batch("PRAGMA max_page_count = 1")?;
        let sql = "SELECT (freelist_count + 2) * page_size FROM pragma_freelist_count, pragma_page_size";
        let room: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        self.connection
            .execute_batch("CREATE TABLE _foldlog_overflow (bytes)")?;
        let sql = "INSERT INTO _foldlog_overflow VALUES (zeroblob(?1))";
        self.connection.execute(sql, [room]).map(drop)
    }

    /// Commits rows, position, counts, state and dead letters together.
    pub fn commit(&mut self) -> Result<(), ReadModelError> {
        self.applier.flush()?;
        self.shield(true);
        let asked = self.begin().and_then(|()| self.ask_alerts());
        let kept = asked
            .and_then(|()| self.write_history())
            .and_then(|()| self.write_captured());
        let written = kept.and_then(|()| {
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
        if self.full {
            self.overflow()?;
        }
        bookkeeping::write_position(self.connection, &self.position())?;
        bookkeeping::write_state(
            self.connection,
            &self.counts,
            &self.state,
            &self.latest,
            Timestamp::now(),
        )?;
        if self.captured.is_some() {
            Captured::write_applied(self.connection, self.counts.applied)?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// Applies a record as somebody decided. `slots` is empty.
fn amended<'r>(
    applier: &mut Applier<'_>,
    record: &RecordRef<'r>,
    amendment: Amendment<'r>,
    slots: &mut Vec<Scalar<'r>>,
) -> Result<Outcome, ReadModelError> {
    match amendment {
        Amendment::Skipped(_) => Ok(Outcome::Skipped),
        Amendment::Held(_) => Ok(Outcome::Held),
        Amendment::Edited(_, value) => applier.apply(&RecordRef { value, ..*record }, slots),
    }
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
    go_on(connection, definition, on_poison)
}

/// The same in the transaction that is open.
pub(super) fn go_on<'c>(
    connection: &'c Connection,
    definition: &'c Definition,
    on_poison: OnPoison,
) -> Result<Fold<'c>, ReadModelError> {
    let info = store::info_of(connection, Path::new(&definition.projection().name))?;
    let mut fold = Fold::new(connection, definition, on_poison)?;
    fold.counts = info.counts;
    fold.applier.leave_out(&info.broken);
    fold.latest = Latest::of(&info);
    fold.advance(&info.position);
    if let State::Paused { .. } = info.state {
        // The record that it stands before is about to be tried again; the list says so from the first commit on.
        fold.retry = true;
        fold.counts.poisoned = 0;
    }
    Ok(fold)
}

/// The next offset of each partition, kept so that a record costs a comparison and a store.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    topics: Vec<(String, Vec<i64>)>,
    last: usize,
}

/// A partition of which nothing was seen.
const UNSEEN: i64 = -1;

impl Reached {
    /// Moves on to an offset; never back.
    pub fn seen(&mut self, topic: &str, partition: i32, next: i64) {
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

    /// As a position.
    pub fn position(&self) -> Position {
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

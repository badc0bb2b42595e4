//! Where the read models of a cluster lie, what is known of each, and how a new one takes the place of an old one.
//!
//! Each build of a read model is a file of its own, `NAME.3.db`; the highest number is the one in use. A build is made as
//! `NAME.4.building.db` and renamed when it is whole, so that the swap is one atomic step, and nobody who has the old file
//! open notices: a database and its write-ahead log share a name, and two builds never share one. The build before is kept
//! until the next, or until it is dropped; it can be brought back. A preview, `NAME.preview.db`, is a build of which nobody has
//! said yet that it is wanted, with a lock of its own.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::projection::Projection;
use crate::projection::error::ProjectionError;
use crate::projection::parse::parse;
use crate::record::{Position, Timestamp, TopicPartition};

use super::apply::{Poison, PoisonKind};
use super::bookkeeping;
use super::decision::RecordPlace;
use super::error::ReadModelError;
use super::feed::{Feed, SinkInfo};
use super::history::HistoryInfo;
use super::invariant::Broken;
use super::lock::Lock;
use super::notice::Notified;
use super::outbox::{self, Emitted};
use super::snapshot::{self, Snapshot, Snapshots};
use super::writer;

/// The read models of one cluster: a folder with the builds of each projection.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// Pages that a file may have: what a full disk is to SQLite, without filling one.
    #[cfg(test)]
    room: Option<u32>,
    /// Looks at the folder after each step of a swap, as somebody does after a crash.
    #[cfg(test)]
    watch: Watch,
}

/// What a test does after each step.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Watch(Option<std::sync::Arc<dyn Fn() + Send + Sync>>);

#[cfg(test)]
impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// What became of the records that a projection has seen. Every record is in exactly one of `applied`, `ignored`, `skipped`,
/// `held` and `poisoned`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records whose handlers ran.
    pub applied: u64,
    /// Records of a type that no handler is for.
    pub ignored: u64,
    /// Poison records that somebody chose to skip; each is in the dead-letter list.
    pub skipped: u64,
    /// Records that wait for an earlier one of their key, which was skipped; each is in the dead-letter list.
    pub held: u64,
    /// Poison records that stopped the replay; each is in the dead-letter list.
    pub poisoned: u64,
}

impl Counts {
    /// All records together.
    pub fn total(&self) -> u64 {
        self.applied + self.ignored + self.skipped + self.held + self.poisoned
    }
}

/// A record that was not applied as it stands in the log: where it is, why, and its raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record, with its position and raw bytes.
    pub record: crate::record::Record,
    /// What is wrong with it; of one that is held, with the one that it waits for.
    pub kind: PoisonKind,
    /// Why, such as `cannot store TEXT value in INTEGER column account.balance`.
    pub reason: String,
    /// The line of the statement that failed; `None` where the value could not be decoded.
    pub line: Option<usize>,
    /// What became of it.
    pub state: LetterState,
}

/// The dead letters of a read model as a list shows them.
#[derive(Debug, Clone, Default)]
pub struct DeadLetters {
    /// The one that it is paused before, then the others, the last that was met first.
    pub latest: Vec<DeadLetter>,
    /// How many there are, listed or not.
    pub total: u64,
    /// How many of them were left out, listed or not.
    pub skipped: u64,
}

impl DeadLetter {
    /// Where it stands in the log.
    pub fn place(&self) -> RecordPlace {
        RecordPlace::of(&self.record.view())
    }

    /// Why it could not be applied.
    pub fn poison(&self) -> Poison {
        Poison {
            kind: self.kind,
            reason: self.reason.clone(),
            line: self.line,
        }
    }
}

impl fmt::Display for DeadLetter {
    /// Where it is and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        write!(
            f,
            "{}[{}] offset {}: {}",
            record.topic, record.partition, record.offset, self.reason
        )
    }
}

/// What became of a record that was not applied as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterState {
    /// A paused read model stands before it, and tries it again when it is followed.
    Paused,
    /// It was left out.
    Skipped,
    /// It waits for an earlier one of its key, which was left out.
    Held,
    /// It was applied with another value.
    Edited,
}

impl LetterState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Edited => "edited",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        let mut all = [Self::Paused, Self::Held, Self::Edited].into_iter();
        all.find(|state| state.word() == word).unwrap_or(Self::Skipped)
    }
}

/// Whether a read model can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Built, at its position.
    Ready,
    /// A live follow stopped at a poison record.
    Paused {
        /// Why.
        reason: String,
    },
    /// Its file cannot be read; a rebuild makes a new one.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// What is known of a read model without opening its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadModelInfo {
    /// The projection's name, which is also the schema's name in queries.
    pub name: String,
    /// The projection file that it was built from, as it was given.
    pub file: String,
    /// The definition hash that it was built with.
    pub hash: String,
    /// The id of the cluster whose log it folds.
    pub cluster_id: String,
    /// The topics.
    pub topics: Vec<String>,
    /// How far it has come.
    pub position: Position,
    /// What became of the records.
    pub counts: Counts,
    /// How many records could not be applied, by what is wrong with them; none that is 0.
    pub poison: Vec<(PoisonKind, u64)>,
    /// How many decisions about single records it was folded with.
    pub decisions: u64,
    /// The invariants that do not hold, with the first event after which each did not.
    pub broken: Vec<Broken>,
    /// What became of the records that it emits; `None` where it emits none.
    pub emitted: Option<Emitted>,
    /// The history that it keeps; `None` where it keeps none.
    pub history: Option<HistoryInfo>,
    /// What became of what was to be told of its alerts; `None` where it has none.
    pub notified: Option<Notified>,
    /// The stores that it feeds.
    pub sinks: Vec<SinkInfo>,
    /// Whether it can be relied on.
    pub state: State,
    /// When its last transaction committed.
    pub updated_at: Timestamp,
    /// The latest time that any of its records has.
    pub latest: Option<Timestamp>,
    /// The partition of the record of that time that a replay takes last.
    pub latest_of: Option<TopicPartition>,
}

impl ReadModelInfo {
    /// Of a read model of which only the name is known.
    pub fn blank(name: String) -> Self {
        Self {
            name,
            file: String::new(),
            hash: String::new(),
            cluster_id: String::new(),
            topics: Vec::new(),
            position: Position::new(),
            counts: Counts::default(),
            poison: Vec::new(),
            decisions: 0,
            broken: Vec::new(),
            emitted: None,
            history: None,
            notified: None,
            sinks: Vec::new(),
            state: State::Ready,
            updated_at: Timestamp(0),
            latest: None,
            latest_of: None,
        }
    }
}

/// A build on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) stem: String,
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

impl Store {
    /// The read models of the cluster named `cluster` under the data directory. Nothing is created before something is built.
    pub fn open(data: &Path, cluster: &str) -> Result<Self, ReadModelError> {
        Ok(Self {
            root: data.join("read-models").join(folder_name(cluster)),
            #[cfg(test)]
            room: None,
            #[cfg(test)]
            watch: Watch::default(),
        })
    }

    /// The same read models on a disk that is full when a file has this many pages.
    #[cfg(test)]
    pub(crate) fn with_room(&self, pages: u32) -> Self {
        Self {
            room: Some(pages),
            ..self.clone()
        }
    }

    /// The same read models, with somebody who looks at them after each step of a swap.
    #[cfg(test)]
    pub(crate) fn watched(&self, watch: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            watch: Watch(Some(std::sync::Arc::new(watch))),
            ..self.clone()
        }
    }

    /// A step of a swap is done. A crash may come between any two.
    pub(super) fn stepped(&self) {
        #[cfg(test)]
        if let Watch(Some(watch)) = &self.watch {
            watch();
        }
    }

    /// Holds a connection to the room that there is.
    #[cfg(test)]
    pub(super) fn bound(&self, connection: &Connection) {
        if let Some(pages) = self.room {
            let limit = format!("PRAGMA max_page_count = {pages}");
            connection.execute_batch(&limit).expect("SQLite takes a limit");
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every read model, by name. One whose file cannot be read is listed as such.
    pub fn list(&self) -> Result<Vec<ReadModelInfo>, ReadModelError> {
        self.current_builds()?
            .into_iter()
            .map(|build| {
                Ok(read_info(&build.path).unwrap_or_else(|error| ReadModelInfo {
                    state: State::Unreadable {
                        reason: error.to_string(),
                    },
                    ..ReadModelInfo::blank(build.stem)
                }))
            })
            .collect()
    }

    /// One read model; one that is not there is an error that names those that are.
    pub fn info(&self, name: &str) -> Result<ReadModelInfo, ReadModelError> {
        read_info(&self.current(name)?.path)
    }

    /// One read model, if there is one of this name.
    pub fn find(&self, name: &str) -> Result<Option<ReadModelInfo>, ReadModelError> {
        match self.current(name) {
            Ok(build) => read_info(&build.path).map(Some),
            Err(ReadModelError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The text of the file that a read model was built from.
    pub fn source(&self, name: &str) -> Result<String, ReadModelError> {
        let connection = open_read_only(&self.current(name)?.path)?;
        bookkeeping::read_source(&connection)
            .map_err(|error| ReadModelError::sqlite("cannot read the definition", error))
    }

    /// The projection that a read model was built from, with its schemas.
    pub fn projection(&self, name: &str) -> Result<Result<Projection, Box<ProjectionError>>, ReadModelError> {
        let path = self.current(name)?.path;
        let connection = open_read_only(&path)?;
        let read = || -> rusqlite::Result<_> {
            let info = bookkeeping::read_info(&connection)?;
            let file = info.map_or_else(String::new, |info| info.file);
            Ok((
                file,
                bookkeeping::read_source(&connection)?,
                bookkeeping::read_schemas(&connection)?,
            ))
        };
        let (file, source, schemas) =
            read().map_err(|error| ReadModelError::sqlite("cannot read the definition", error))?;
        Ok(parse(&source, &file).and_then(|mut projection| {
            projection.read_schemas(|wanted| {
                let known = schemas.iter().find(|(file, _)| file == wanted);
                known
                    .map(|(_, text)| text.clone())
                    .ok_or_else(|| "the read model does not have it".to_owned())
            })?;
            Ok(projection)
        }))
    }

    /// The topics of a read model with the ids that they had when it was built.
    pub fn topics(&self, name: &str) -> Result<Vec<(String, Option<String>)>, ReadModelError> {
        let connection = open_read_only(&self.current(name)?.path)?;
        bookkeeping::read_topics(&connection).map_err(|error| ReadModelError::sqlite("cannot read the topics", error))
    }

    /// What reads the rows of a read model for a store outside.
    pub fn feed(&self, name: &str) -> Result<Feed, ReadModelError> {
        Feed::open(&self.current(name)?.path)
    }

    /// The dead letters of a read model, oldest first, at most `limit`.
    pub fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, ReadModelError> {
        let mut letters = Vec::new();
        self.each_dead_letter(name, &mut |letter| {
            let wanted = letters.len() < limit;
            if wanted {
                letters.push(letter);
            }
            wanted
        })?;
        Ok(letters)
    }

    /// Hands out the dead letters of a read model one by one, oldest first, until `take` says that it has enough. Memory is
    /// bounded however many there are.
    pub fn each_dead_letter(&self, name: &str, take: &mut dyn FnMut(DeadLetter) -> bool) -> Result<(), ReadModelError> {
        let connection = open_read_only(&self.current(name)?.path)?;
        bookkeeping::each_dead_letter(&connection, take)
            .map_err(|error| ReadModelError::sqlite("cannot read the dead letters", error))
    }

    /// Dead letters of a read model, at most `limit`: the one that it is paused before, then the others, the last that was met first.
    pub fn latest_dead_letters(&self, name: &str, limit: usize) -> Result<DeadLetters, ReadModelError> {
        let connection = open_read_only(&self.current(name)?.path)?;
        bookkeeping::latest_dead_letters(&connection, limit)
            .map_err(|error| ReadModelError::sqlite("cannot read the dead letters", error))
    }

    /// The records of a read model that were left out, oldest first.
    pub fn skipped(&self, name: &str) -> Result<Vec<RecordPlace>, ReadModelError> {
        let mut skipped = Vec::new();
        self.each_dead_letter(name, &mut |letter| {
            if letter.state == LetterState::Skipped {
                skipped.push(letter.place());
            }
            true
        })?;
        Ok(skipped)
    }

    /// Whether the build before the one in use is still there.
    pub fn has_previous(&self, name: &str) -> Result<bool, ReadModelError> {
        Ok(self.builds()?.iter().filter(|build| build.stem == stem(name)).count() > 1)
    }

    /// Deletes the build before the one in use. No lock is taken, because a follow holds it as long as it runs, and does not mind: whoever
    /// reads the file or copies it to bring it back has it open, and whoever comes later is told that there is none.
    pub fn drop_previous(&self, name: &str) -> Result<(), ReadModelError> {
        let current = self.current(name)?;
        for build in self.builds()? {
            if build.stem == current.stem && build.number < current.number {
                remove(&build.path)?;
            }
        }
        Ok(())
    }

    /// The build before the one in use, if it is still there.
    pub fn previous(&self, name: &str) -> Result<Option<ReadModelInfo>, ReadModelError> {
        let build = self.previous_build(name)?;
        build.map(|build| read_info(&build.path)).transpose()
    }

    /// Puts the build before the one in use back in use; the one that was in use is then the one before. One rename decides, so
    /// that at every moment one of the two is in use.
    pub fn bring_back(&self, name: &str) -> Result<ReadModelInfo, ReadModelError> {
        let _lock = Lock::take(&self.lock_path(name), name, "bringing the build before back")?;
        self.clean(name)?;
        let current = self.current(name)?;
        let Some(previous) = self.previous_build(name)? else {
            return Err(ReadModelError::NoPrevious { name: name.to_owned() });
        };
        let info = read_info(&previous.path)?;
        writer::fold_log_in(&previous.path)?;
        let number = current.number + 1;
        let (making, target) = (self.building_path(name, number), self.build_path(name, number));
        // A copy, because whoever still reads it under its old name would not notice what is written under the new one.
        fs::copy(&previous.path, &making).map_err(|error| ReadModelError::io("cannot copy", &previous.path, error))?;
        self.hand_over(&current, &making, &info)?;
        sync(&making)?;
        self.stepped();
        let (from, to) = (Snapshots::of(&previous.path), Snapshots::of(&target));
        // Snapshots save time and no more.
        let _ = from.rename(&to);
        self.stepped();
        if let Err(error) = fs::rename(&making, &target) {
            let _ = to.rename(&from);
            return Err(ReadModelError::io("cannot put in place", &target, error));
        }
        let _ = sync(&self.root);
        self.stepped();
        // It is in use from here on; what cannot be deleted now is deleted after the next build.
        let _ = remove(&previous.path);
        self.stepped();
        Ok(info)
    }

    /// What the build in use has not published yet is published by the one that is brought back, and what it has is not again.
    fn hand_over(&self, current: &Build, making: &Path, info: &ReadModelInfo) -> Result<(), ReadModelError> {
        let failed = |error| ReadModelError::sqlite(format!("cannot write {}", making.display()), error);
        if read_info(&current.path).is_err() {
            // Nothing can be taken over. With the ends that it knew itself, it finds in the topics what was published since.
            return Ok(());
        }
        let connection = writer::open(making)?;
        connection
            .execute_batch("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
            .and_then(|()| outbox::forget(&connection))
            .map_err(failed)?;
        let source = bookkeeping::read_source(&connection).map_err(failed)?;
        let tells = parse(&source, &info.file).is_ok_and(|p| !p.emits.is_empty() || !p.alerts.is_empty());
        let tells = tells || info.emitted.is_some() || info.notified.is_some();
        outbox::carry_over(&connection, Some(&current.path), tells, &info.position)?;
        connection
            .execute_batch("COMMIT; PRAGMA journal_mode = WAL; SELECT 1 FROM sqlite_schema LIMIT 1")
            .map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))
    }

    pub(super) fn previous_build(&self, name: &str) -> Result<Option<Build>, ReadModelError> {
        let current = self.current(name)?;
        let older = |build: &Build| build.stem == current.stem && build.number < current.number;
        let builds = self.builds()?.into_iter().filter(older);
        Ok(builds.max_by_key(|build| build.number))
    }

    /// The preview of a read model, as a snapshot of what it would be.
    pub fn preview(&self, name: &str) -> Result<Option<Snapshot>, ReadModelError> {
        let path = self.preview_path(name);
        match path.try_exists() {
            Ok(true) => snapshot::open(path).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(ReadModelError::io("cannot read", &path, error)),
        }
    }

    /// Whether the preview has folded events that the build in use has left to be published.
    pub fn preview_overtakes(&self, name: &str) -> Result<bool, ReadModelError> {
        let before = self.current(name).ok().map(|build| build.path);
        outbox::overtakes(&self.preview_path(name), before.as_deref())
    }

    /// The topics of a preview with the ids that they had when it was built.
    pub fn preview_topics(&self, name: &str) -> Result<Vec<(String, Option<String>)>, ReadModelError> {
        let connection = open_read_only(&self.preview_path(name))?;
        bookkeeping::read_topics(&connection).map_err(|error| ReadModelError::sqlite("cannot read the topics", error))
    }

    /// Deletes the preview of a read model; whether there was one.
    pub fn drop_preview(&self, name: &str) -> Result<bool, ReadModelError> {
        let _lock = self.lock_preview(name, "dropping it")?;
        let path = self.preview_path(name);
        let there = path.exists();
        remove(&path)?;
        remove(&self.preview_making(name))?;
        Ok(there)
    }

    /// Keeps others from building, accepting or dropping the preview.
    pub(super) fn lock_preview(&self, name: &str, doing: &str) -> Result<Lock, ReadModelError> {
        let path = self.root.join(format!("{}.preview.lock", stem(name)));
        Lock::take(&path, &format!("{name}.preview"), doing)
    }

    pub(super) fn preview_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.preview.db", stem(name)))
    }

    /// Where a preview is made. No rebuild takes it for what a killed one left behind.
    pub(crate) fn preview_making(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.preview.making.db", stem(name)))
    }

    /// Whether somebody holds a read model for writing. It looks by taking it for a moment, in which others are refused.
    pub fn is_held(&self, name: &str) -> Result<bool, ReadModelError> {
        match Lock::take(&self.lock_path(name), name, "looking whether it is free") {
            Ok(_) => Ok(false),
            Err(ReadModelError::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Deletes a read model with all its builds; one that is not there is no error. Refused while somebody writes it.
    pub fn delete(&self, name: &str) -> Result<(), ReadModelError> {
        let builds = self.builds()?;
        if !builds.iter().any(|build| build.stem == stem(name)) {
            return Ok(());
        }
        let _lock = Lock::take(&self.lock_path(name), name, "deleting")?;
        // The one in use goes last: until then it is there.
        let mut ours: Vec<Build> = builds.into_iter().filter(|build| build.stem == stem(name)).collect();
        ours.sort_by_key(|build| build.number);
        ours.iter().try_for_each(|build| remove(&build.path))?;
        self.clean(name)
    }

    /// Writes the read model in use as somebody with an editor would.
    #[cfg(test)]
    pub(crate) fn edit(&self, name: &str, sql: &str) {
        let path = self.current(name).unwrap().path;
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    /// Leaves what somebody leaves who is killed while writing a decision: some of its pages, and the journal that undoes them.
    #[cfg(test)]
    pub(crate) fn half_decide(&self, name: &str) {
        let file = self.root.join(format!("{}.decisions.db", stem(name)));
        let journal = file.with_extension("db-journal");
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE decision SET who = 'nobody'; CREATE TABLE half (n)",
            )
            .unwrap();
        for _ in 0..100 {
            connection
                .execute_batch("INSERT INTO half VALUES (randomblob(4000))")
                .unwrap();
        }
        let killed = [&file, &journal].map(|path| fs::read(path).unwrap());
        connection.execute_batch("ROLLBACK").unwrap();
        drop(connection);
        fs::write(&file, &killed[0]).unwrap();
        fs::write(&journal, &killed[1]).unwrap();
    }

    /// As [`Store::edit`], of its snapshots.
    #[cfg(test)]
    pub(crate) fn edit_snapshots(&self, name: &str, sql: &str) {
        let folder = self.current(name).unwrap().path.with_extension("snapshots");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            Connection::open(path).unwrap().execute_batch(sql).unwrap();
        }
    }

    /// The build in use of every read model, by name.
    pub(super) fn current_builds(&self) -> Result<Vec<Build>, ReadModelError> {
        let mut builds = self.builds()?;
        builds.sort_by(|a, b| (&a.stem, b.number).cmp(&(&b.stem, a.number)));
        builds.dedup_by(|later, first| later.stem == first.stem);
        Ok(builds)
    }

    /// The build in use of one read model.
    pub(super) fn current(&self, name: &str) -> Result<Build, ReadModelError> {
        let builds = self.current_builds()?;
        let names: Vec<_> = builds.iter().map(|build| build.stem.clone()).collect();
        builds
            .into_iter()
            .find(|build| build.stem == stem(name))
            .ok_or_else(|| {
                let help = if names.is_empty() {
                    "there are none yet: `foldlog rebuild FILE.sql` builds one".to_owned()
                } else {
                    format!("there are: {}", names.join(", "))
                };
                ReadModelError::NotFound {
                    name: name.to_owned(),
                    help,
                }
            })
    }

    /// The dead letter of one record, if there is one.
    pub fn dead_letter(&self, name: &str, place: &RecordPlace) -> Result<Option<DeadLetter>, ReadModelError> {
        let mut found = None;
        self.each_dead_letter(name, &mut |letter| {
            let there = RecordPlace::of(&letter.record.view()) == *place;
            if there {
                found = Some(letter);
            }
            !there
        })?;
        Ok(found)
    }

    /// Every build of every read model that is whole.
    pub(super) fn builds(&self) -> Result<Vec<Build>, ReadModelError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ReadModelError::io("cannot read", &self.root, error)),
        };
        let mut builds = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| ReadModelError::io("cannot read", &self.root, error))?;
            let name = entry.file_name();
            let parsed = name
                .to_str()
                .and_then(|name| name.strip_suffix(".db")?.rsplit_once('.'));
            if let Some((stem, number)) = parsed
                && let Ok(number) = number.parse()
            {
                builds.push(Build {
                    stem: stem.to_owned(),
                    number,
                    path: entry.path(),
                });
            }
        }
        Ok(builds)
    }

    pub(super) fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.lock", stem(name)))
    }

    pub(super) fn build_path(&self, name: &str, number: u64) -> PathBuf {
        self.root.join(format!("{}.{number}.db", stem(name)))
    }

    pub(super) fn building_path(&self, name: &str, number: u64) -> PathBuf {
        self.root.join(format!("{}.{number}.building.db", stem(name)))
    }

    /// Deletes what a killed rebuild left behind. Only the holder of the lock may do so.
    pub(super) fn clean(&self, name: &str) -> Result<(), ReadModelError> {
        let prefix = format!("{}.", stem(name));
        let Ok(entries) = fs::read_dir(&self.root) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let Some(rest) = file.to_str().and_then(|file| file.strip_prefix(&prefix)) else {
                continue;
            };
            if rest.contains(".building.db") {
                remove_file(&entry.path())?;
            }
            let beside = ["-wal", "-shm", "-journal"].iter();
            let of = beside.filter_map(|suffix| rest.strip_suffix(suffix)).next();
            // What SQLite keeps beside a file is no use without it, and would be taken for that of the next of its name.
            if let Some(of) = of.filter(|of| of.ends_with(".db"))
                && !self.root.join(format!("{prefix}{of}")).exists()
            {
                remove_file(&entry.path())?;
            }
            let build = entry.path().with_extension("db");
            // Those of a preview in the making are its own affair.
            if rest.ends_with(".snapshots") && rest != "preview.snapshots" && !build.exists() {
                Snapshots::of(&build).remove();
            }
        }
        Ok(())
    }
}

/// Names of schemas are compared without regard to case, so two files must not differ in case alone.
pub(super) fn stem(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A cluster's name as a folder: `localhost:9092` must not become a path of its own.
fn folder_name(cluster: &str) -> String {
    let name: String = cluster
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    if name.trim_matches('.').is_empty() {
        format!("_{name}")
    } else {
        name
    }
}

/// Deletes a build with its write-ahead log and its snapshots.
pub(super) fn remove(path: &Path) -> Result<(), ReadModelError> {
    Snapshots::of(path).remove();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        remove_file(Path::new(&name))?;
    }
    Ok(())
}

/// Makes a file or folder durable.
pub(super) fn sync(path: &Path) -> Result<(), ReadModelError> {
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| ReadModelError::io("cannot make durable", path, error))
}

fn remove_file(path: &Path) -> Result<(), ReadModelError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ReadModelError::io("cannot delete", path, error)),
    }
}

/// Opens a build for reading.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, ReadModelError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(super::BUSY)?;
            Ok(connection)
        })
        .map_err(|error| ReadModelError::sqlite(format!("cannot open {}", path.display()), error))
}

fn read_info(path: &Path) -> Result<ReadModelInfo, ReadModelError> {
    let connection = open_read_only(path)?;
    info_of(&connection, path)
}

/// What a read model says of itself.
pub(super) fn info_of(connection: &Connection, path: &Path) -> Result<ReadModelInfo, ReadModelError> {
    // One transaction: a writer may commit between two of its statements.
    let read = || {
        let transaction = connection.is_autocommit().then(|| connection.unchecked_transaction());
        let info = bookkeeping::read_info(connection);
        if let Some(transaction) = transaction {
            transaction?.commit()?;
        }
        info
    };
    read()
        .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))?
        .ok_or_else(|| ReadModelError::Format {
            path: path.to_owned(),
            reason: "its bookkeeping is missing or of another version".to_owned(),
        })
}

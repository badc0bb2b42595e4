//! What somebody decided about single records: a read model is a fold of the log as these amend it.
//!
//! Every choice is appended to a file beside the builds, `NAME.decisions.db`, with who made it and when; nothing is ever taken
//! out of it. The last choice about a record stands. A build keeps, in its own file, a copy of those that it was folded with: what
//! stands and what a read model is made of can differ for a while, and then both must be known.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use crate::record::{Position, Record, RecordRef, Timestamp, TopicPartition};

use super::apply::{Poison, PoisonKind};
use super::bookkeeping::{self, headers_from_text, headers_to_text};
use super::error::ReadModelError;
use super::store::{self, Store};
use super::writer;

/// The layout of the file.
const VERSION: i64 = 1;

/// What both the file and each build keep of a decision.
const COLUMNS: &str = "
  id        INTEGER PRIMARY KEY,
  at        INTEGER NOT NULL,
  who       TEXT NOT NULL,
  choice    TEXT NOT NULL,
  edited    BLOB,
  topic     TEXT NOT NULL,
  topic_id  TEXT,
  partition INTEGER NOT NULL,
  \"offset\"  INTEGER NOT NULL,
  timestamp INTEGER,
  key       BLOB,
  value     BLOB,
  headers   TEXT NOT NULL,
  kind      TEXT NOT NULL,
  reason    TEXT NOT NULL,
  line      INTEGER
";

/// Where a record stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPlace {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
}

impl RecordPlace {
    /// Where `record` stands.
    pub fn of(record: &RecordRef<'_>) -> Self {
        Self {
            partition: TopicPartition::new(record.topic, record.partition),
            offset: record.offset,
        }
    }
}

impl fmt::Display for RecordPlace {
    /// As commands take it, with nothing that a shell would take for a pattern: `orders:0:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicPartition { topic, partition } = &self.partition;
        write!(f, "{topic}:{partition}:{}", self.offset)
    }
}

/// What is done with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It is applied as the log has it; what was decided before is taken back.
    Retry,
    /// It is left out.
    Skip {
        /// Whether later records of its key, in its partition, are held until something else is decided about this one.
        hold_key: bool,
    },
    /// It is applied with this value in place of its own; `None` is a tombstone.
    Edit(Option<Vec<u8>>),
}

impl Choice {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip { hold_key: false } => "skip",
            Self::Skip { hold_key: true } => "skip and hold key",
            Self::Edit(_) => "edit",
        }
    }

    fn of(word: &str, edited: Option<Vec<u8>>) -> Self {
        match word {
            "skip" => Self::Skip { hold_key: false },
            "skip and hold key" => Self::Skip { hold_key: true },
            "edit" => Self::Edit(edited),
            _ => Self::Retry,
        }
    }
}

/// A choice that somebody made about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What.
    pub choice: Choice,
    /// The record as it was met, for those who look when the log has it no more.
    pub record: Record,
    /// The id that the cluster gave the record's topic: a topic that is created anew has other records at the same offsets.
    pub topic_id: Option<String>,
    /// Why it could not be applied.
    pub poison: Poison,
}

impl Decision {
    /// The record that it is about.
    pub fn place(&self) -> RecordPlace {
        RecordPlace::of(&self.record.view())
    }
}

/// The decisions that amend a log: at most one for a record, and none that only takes another back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amendments {
    list: Vec<Arc<Decision>>,
    partitions: Vec<(TopicPartition, Amended)>,
}

/// Those of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Amended {
    by_offset: BTreeMap<i64, Arc<Decision>>,
    /// The first record of each key that was skipped with its key.
    held: HashMap<Vec<u8>, Arc<Decision>>,
}

/// How a record is amended.
#[derive(Debug, Clone, Copy)]
pub enum Amendment<'a> {
    /// It is left out.
    Skipped(&'a Decision),
    /// It waits for an earlier one of its key.
    Held(&'a Decision),
    /// It has another value.
    Edited(&'a Decision, Option<&'a [u8]>),
}

impl Amendments {
    /// Those that stand after all `decisions`, in the order in which they were made.
    pub fn standing(decisions: impl IntoIterator<Item = Decision>) -> Self {
        let mut last: BTreeMap<RecordPlace, Decision> = BTreeMap::new();
        for decision in decisions {
            last.insert(decision.place(), decision);
        }
        let mut amendments = Self::default();
        for (place, decision) in last {
            if decision.choice != Choice::Retry {
                amendments.push(place, Arc::new(decision));
            }
        }
        amendments
    }

    /// In the order of topic, partition and offset.
    fn push(&mut self, place: RecordPlace, decision: Arc<Decision>) {
        if self.partitions.last().is_none_or(|(at, _)| *at != place.partition) {
            self.partitions.push((place.partition, Amended::default()));
        }
        let Some((_, amended)) = self.partitions.last_mut() else {
            return;
        };
        if let (Choice::Skip { hold_key: true }, Some(key)) = (&decision.choice, &decision.record.key) {
            amended.held.entry(key.clone()).or_insert_with(|| decision.clone());
        }
        amended.by_offset.insert(place.offset, decision.clone());
        self.list.push(decision);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Each, in the order of topic, partition and offset.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.list.iter().map(|decision| &**decision)
    }

    /// These with `decisions` made after them.
    pub fn with(&self, decisions: impl IntoIterator<Item = Decision>) -> Self {
        Self::standing(self.iter().cloned().chain(decisions))
    }

    /// Those that `keep` keeps.
    pub fn only(&self, keep: impl Fn(&Decision) -> bool) -> Self {
        Self::standing(self.iter().filter(|decision| keep(decision)).cloned())
    }

    /// How many records these and `other` say different things about.
    pub fn differences(&self, other: &Self) -> usize {
        let what = |amendments: &Self| -> BTreeMap<RecordPlace, Choice> {
            amendments
                .iter()
                .map(|decision| (decision.place(), decision.choice.clone()))
                .collect()
        };
        let (ours, others) = (what(self), what(other));
        let changed = ours
            .iter()
            .filter(|(place, choice)| others.get(place) != Some(choice))
            .count();
        changed + others.keys().filter(|place| !ours.contains_key(place)).count()
    }

    /// Whether these say the same as `other` about all records before `position`.
    pub fn agree(&self, other: &Self, position: &Position) -> bool {
        let before = |decision: &&Decision| {
            let place = decision.place();
            position.next(&place.partition).is_some_and(|next| place.offset < next)
        };
        let what = |decision: &'_ Decision| (decision.place(), decision.choice.clone());
        let (ours, others) = (self.iter().filter(before), other.iter().filter(before));
        ours.map(what).eq(others.map(what))
    }

    /// How a record is amended, if it is. What was decided about the record itself to leave it out comes first, then what was
    /// decided about an earlier one of its key.
    pub fn of(&self, record: &RecordRef<'_>) -> Option<Amendment<'_>> {
        let amended = self
            .partitions
            .iter()
            .find(|(at, _)| at.partition == record.partition && *at.topic == *record.topic);
        let (_, amended) = amended?;
        let own = amended.by_offset.get(&record.offset);
        if let Some(decision) = own
            && let Choice::Skip { .. } = decision.choice
        {
            return Some(Amendment::Skipped(decision));
        }
        let held = record.key.and_then(|key| amended.held.get(key));
        if let Some(decision) = held
            && decision.record.offset < record.offset
        {
            return Some(Amendment::Held(decision));
        }
        match own.map(|decision| (decision, &decision.choice)) {
            Some((decision, Choice::Edit(value))) => Some(Amendment::Edited(decision, value.as_deref())),
            _ => None,
        }
    }
}

impl Store {
    /// Every choice about records of a projection, oldest first.
    pub fn decisions(&self, name: &str) -> Result<Vec<Decision>, ReadModelError> {
        let path = self.decisions_path(name);
        if !path.exists() {
            return Ok(Vec::new());
        }
        // For writing, because what somebody who was killed left half written is rolled back by whoever opens it, and must be.
        let connection = writer::open(&path)?;
        if check(&connection, &path, &[0, VERSION])? == 0 {
            // Killed before the first of them was written.
            return Ok(Vec::new());
        }
        read(&connection, "decision").map_err(|error| failed("cannot read", &path, error))
    }

    /// What stands of them for these topics, which are named with the ids that they have. What was decided about a topic that was
    /// since created anew is about other records.
    pub fn standing(&self, name: &str, topics: &[(String, Option<String>)]) -> Result<Amendments, ReadModelError> {
        Ok(Amendments::standing(self.decisions(name)?).only(|decision| {
            let now = topics.iter().find(|(topic, _)| **topic == *decision.record.topic);
            now.is_some_and(|(_, now)| match (now, &decision.topic_id) {
                (Some(now), Some(then)) => now == then,
                _ => true,
            })
        }))
    }

    /// What the build in use was folded with.
    pub fn amendments(&self, name: &str) -> Result<Amendments, ReadModelError> {
        let path = self.current(name)?.path;
        let connection = store::open_read_only(&path)?;
        read_amendments(&connection).map_err(|error| failed("cannot read", &path, error))
    }

    /// Writes choices down, durably. What they are about is folded by whoever builds or follows next.
    pub(crate) fn write_decisions(&self, name: &str, decisions: &[Decision]) -> Result<(), ReadModelError> {
        if decisions.is_empty() {
            return Ok(());
        }
        let path = self.decisions_path(name);
        std::fs::create_dir_all(self.root())
            .map_err(|error| ReadModelError::io("cannot create", self.root(), error))?;
        let connection = writer::open(&path)?;
        let write = |connection: &Connection| -> rusqlite::Result<()> {
            connection.execute_batch(&format!(
                "PRAGMA synchronous = FULL; BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS decision ({COLUMNS}) STRICT; PRAGMA user_version = {VERSION}"
            ))?;
            decisions
                .iter()
                .try_for_each(|decision| insert(connection, "decision", decision))?;
            connection.execute_batch("COMMIT")
        };
        check(&connection, &path, &[0, VERSION])?;
        write(&connection).map_err(|error| failed("cannot write", &path, error))
    }

    /// What changes when somebody decides something or another build is put in use. Cheap enough to be asked several times a
    /// second.
    pub fn mark(&self, name: &str) -> Mark {
        let log = std::fs::metadata(self.decisions_path(name)).ok();
        Mark {
            decided: log.and_then(|file| Some((file.modified().ok()?, file.len()))),
            build: self.current(name).ok().map(|build| build.number),
        }
    }

    fn decisions_path(&self, name: &str) -> std::path::PathBuf {
        self.root().join(format!("{}.decisions.db", store::stem(name)))
    }
}

/// See [`Store::mark`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    decided: Option<(std::time::SystemTime, u64)>,
    build: Option<u64>,
}

fn failed(what: &str, path: &Path, error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite(format!("{what} {}", path.display()), error)
}

/// Whether the file is one of the layouts `known`; 0 is a file that nothing was written to.
fn check(connection: &Connection, path: &Path, known: &[i64]) -> Result<i64, ReadModelError> {
    let found: rusqlite::Result<i64> = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let found = found.map_err(|error| failed("cannot read", path, error))?;
    if known.contains(&found) {
        return Ok(found);
    }
    Err(ReadModelError::Decisions { path: path.to_owned() })
}

/// The table of a build in which it keeps what it was folded with.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("CREATE TABLE _foldlog_decision ({COLUMNS}) STRICT"))
}

/// Sets what a build is folded with.
pub(super) fn write_amendments(connection: &Connection, amendments: &Amendments) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM _foldlog_decision", [])?;
    amendments
        .iter()
        .try_for_each(|decision| insert(connection, "_foldlog_decision", decision))
}

/// What a build is folded with.
pub(super) fn read_amendments(connection: &Connection) -> rusqlite::Result<Amendments> {
    Ok(Amendments::standing(read(connection, "_foldlog_decision")?))
}

/// How many of them there are.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT count(*) FROM _foldlog_decision", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn insert(connection: &Connection, table: &str, decision: &Decision) -> rusqlite::Result<()> {
    let record = &decision.record;
    let edited = match &decision.choice {
        Choice::Edit(value) => value.as_deref(),
        Choice::Retry | Choice::Skip { .. } => None,
    };
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?
        .execute(params![
            decision.at.0,
            decision.who,
            decision.choice.word(),
            edited,
            &*record.topic,
            decision.topic_id,
            record.partition,
            record.offset,
            record.timestamp.map(|time| time.0),
            record.key,
            record.value,
            headers_to_text(&record.headers),
            decision.poison.kind.word(),
            decision.poison.reason,
            decision.poison.line.map(bookkeeping::stored_line),
        ])?;
    Ok(())
}

fn read(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Decision>> {
    let mut statement = connection.prepare(&format!(
        "SELECT at, who, choice, edited, topic_id, topic, partition, \"offset\", timestamp, key, value, headers, kind, reason,
                line
         FROM {table} ORDER BY id"
    ))?;
    let rows = statement.query_map([], decision_of)?;
    rows.collect()
}

fn decision_of(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let choice: String = row.get(2)?;
    let kind: String = row.get(12)?;
    Ok(Decision {
        at: Timestamp(row.get(0)?),
        who: row.get(1)?,
        choice: Choice::of(&choice, row.get(3)?),
        topic_id: row.get(4)?,
        record: Record {
            topic: row.get::<_, String>(5)?.into(),
            partition: row.get(6)?,
            offset: row.get(7)?,
            timestamp: row.get::<_, Option<i64>>(8)?.map(Timestamp),
            key: row.get(9)?,
            value: row.get(10)?,
            headers: headers_from_text(&row.get::<_, String>(11)?),
        },
        poison: Poison {
            kind: PoisonKind::of(&kind),
            reason: row.get(13)?,
            line: bookkeeping::read_line(row.get(14)?),
        },
    })
}

/// Why a record is not applied as the log has it.
pub(super) fn reason(amendment: &Amendment<'_>) -> String {
    match amendment {
        Amendment::Skipped(decision) | Amendment::Edited(decision, _) => decision.poison.reason.clone(),
        Amendment::Held(decision) => format!("waits for {}, which has its key", decision.place()),
    }
}

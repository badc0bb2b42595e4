//! The outbox: records that a projection emits, kept in the transaction of the rows that they come from, until they are published.
//!
//! What makes each be published once: its id is made of the event that it comes from, and travels with it as a header. Before
//! records are sent it is known how far their topics reach, and after a crash only what lies past that has to be looked at to
//! know which of them arrived.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{Header, Position, RecordRef, TopicPartition};

use super::bookkeeping::{self, headers_from_text, headers_to_text};
use super::decision::RecordPlace;
use super::error::ReadModelError;
use super::fold::Fold;
use super::notice;
use super::store::LetterState;
use super::writer;

/// The header that carries a record's id.
pub const ID_HEADER: &str = "foldlog-id";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_outbox (
  seq       INTEGER PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,
  topic     TEXT NOT NULL,
  partition INTEGER,
  key       ANY,
  value     ANY,
  timestamp INTEGER,
  headers   TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _foldlog_emit (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  published INTEGER NOT NULL,
  refused   INTEGER NOT NULL,
  reason    TEXT,
  trouble   TEXT,
  live      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS _foldlog_emit_from (
  topic       TEXT NOT NULL,
  partition   INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _foldlog_emit_left (
  topic     TEXT NOT NULL,
  partition INTEGER NOT NULL,
  position  INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _foldlog_emit_end (
  topic       TEXT NOT NULL,
  partition   INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _foldlog_emit_ahead (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO _foldlog_emit VALUES (1, 0, 0, NULL, NULL, 0);
";

/// A record that a projection emits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// `projection/topic/partition/offset/number` of the event that it comes from, and which of that event's records it is.
    pub id: String,
    /// The topic that it is published to.
    pub topic: String,
    /// The partition; `None` lets the key decide.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Its headers, without that of its id.
    pub headers: Vec<Header>,
}

impl Emission {
    /// Bytes of it, about.
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|h| h.key.len() + h.value.as_ref().map_or(0, Vec::len))
            .sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers + self.id.len()
    }
}

/// What an event was to emit and could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The id that its first record would have had.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// A record that waits, with its number in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number; records are published in its order.
    pub seq: i64,
    /// The record.
    pub emission: Emission,
}

/// What is known of records that a projection emits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Records that were published.
    pub published: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Records that could not be made or that the broker would not take, and that somebody chose to go on past.
    pub refused: u64,
    /// Why the last of those was refused.
    pub reason: Option<String>,
    /// Why nothing can be published at present, where it cannot.
    pub trouble: Option<String>,
}

/// News of records on their way, to be written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Numbers of records that were acknowledged.
    pub sent: Vec<i64>,
    /// Ids that were found in their topics.
    pub found: Vec<String>,
    /// A record that the broker does not take, and why.
    pub refused: Option<(i64, String)>,
    /// How far the topics reach behind all of these.
    pub ends: Position,
    /// What keeps records from being published, if anything does.
    pub trouble: Option<String>,
}

/// Makes the tables where there are none yet. What is followed from `from` on is published.
pub(super) fn prepare(connection: &Connection, from: &Position) -> rusqlite::Result<()> {
    if exists(connection)? {
        return Ok(());
    }
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch(notice::SCHEMA)?;
    write_offsets(connection, "_foldlog_emit_from", from)
}

fn exists(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_outbox'")?
        .exists([])
}

fn write_offsets(connection: &Connection, table: &str, offsets: &Position) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset"
    ))?;
    for (at, next) in offsets.iter() {
        statement.execute(params![&*at.topic, at.partition, next])?;
    }
    Ok(())
}

fn read_offsets(connection: &Connection, table: &str) -> rusqlite::Result<Position> {
    connection
        .prepare_cached(&format!("SELECT topic, partition, next_offset FROM {table}"))?
        .query_map([], |row| {
            Ok((TopicPartition::new(row.get::<_, String>(0)?, row.get(1)?), row.get(2)?))
        })?
        .collect()
}

/// Deletes the outbox of a build that is about to take over another one's.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DROP TABLE IF EXISTS _foldlog_outbox; DROP TABLE IF EXISTS _foldlog_emit; DROP TABLE IF EXISTS _foldlog_emit_from;
         DROP TABLE IF EXISTS _foldlog_emit_left; DROP TABLE IF EXISTS _foldlog_emit_end; DROP TABLE IF EXISTS _foldlog_emit_ahead;
         DROP TABLE IF EXISTS _foldlog_notice; DROP TABLE IF EXISTS _foldlog_notify",
    )
}

/// The events from which on a read model tells others anything.
pub(super) fn read_from(connection: &Connection) -> rusqlite::Result<Position> {
    read_offsets(connection, "_foldlog_emit_from")
}

/// What is known of what a read model emits; `None` where it emits nothing.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Emitted>> {
    if !exists(connection)? {
        return Ok(None);
    }
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    // A read model that only raises alerts has the tables too.
    connection
        .query_row(
            "SELECT published, refused, reason, trouble, (SELECT count(*) FROM _foldlog_outbox) AS waiting FROM _foldlog_emit
             WHERE published + refused + waiting > 0 OR trouble IS NOT NULL OR EXISTS (SELECT 1 FROM _foldlog_emit_end)",
            [],
            |row| {
                Ok(Emitted {
                    published: count(row.get(0)?),
                    refused: count(row.get(1)?),
                    reason: row.get(2)?,
                    trouble: row.get(3)?,
                    waiting: count(row.get(4)?),
                })
            },
        )
        .optional()
}

/// Which events publish.
#[derive(Debug, Clone)]
pub(super) struct Since {
    /// What lies before it has published, or never will.
    pub(super) from: Position,
    /// Records before it that were left out when their time came, so that nobody has published what they emit.
    pub(super) left_out: BTreeSet<RecordPlace>,
    /// Only events of these topics, where it says which.
    pub(super) topics: Option<BTreeSet<String>>,
}

impl Since {
    /// Whether what a record emits is still to be published.
    pub(super) fn has(&self, record: &RecordRef<'_>) -> bool {
        self.has_place(&RecordPlace::of(record))
    }

    fn has_place(&self, place: &RecordPlace) -> bool {
        let past = self.from.next(&place.partition).is_none_or(|from| place.offset >= from);
        let of_topic = |topics: &BTreeSet<String>| topics.contains(&*place.partition.topic);
        (past && self.topics.as_ref().is_none_or(of_topic)) || self.left_out.contains(place)
    }
}

/// A build that is about to be folded goes on where the one before stopped: it takes over what that one had not published yet,
/// and publishes what it left to be. `None` where nobody has published from that one or any before it.
pub(super) fn take_over(connection: &Connection, before: Option<&Path>) -> Result<Option<Since>, ReadModelError> {
    let Some(old) = Before::read(before, connection).filter(|old| old.live) else {
        return Ok(None);
    };
    let take = || {
        forget(connection)?;
        prepare(connection, &old.since.from)?;
        copy(&old.connection, connection)
    };
    take().map_err(not_taken)?;
    Ok(Some(old.since))
}

/// Whether a build has folded events that the one before has left to be published.
pub(super) fn overtakes(path: &Path, before: Option<&Path>) -> Result<bool, ReadModelError> {
    let new = writer::open(path)?;
    let Some(old) = Before::read(before, &new).filter(|old| old.live) else {
        return Ok(false);
    };
    let look = || -> rusqlite::Result<bool> {
        let Since { from, left_out, .. } = &old.since;
        let reached = read_offsets(&new, "_foldlog_position")?;
        let past = |(at, next): (&TopicPartition, i64)| old.has_topic(at) && from.next(at).unwrap_or(0) < next;
        let folded = |place: &RecordPlace| reached.next(&place.partition).is_some_and(|next| place.offset < next);
        Ok(reached.iter().any(past) || left_out.iter().any(folded))
    };
    look().map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))
}

/// A build that was folded takes over what the one before had not published yet, if it has not before, and publishes nothing
/// more that comes from events which that one had applied or its own rebuild did.
pub(super) fn carry_over(
    connection: &Connection,
    before: Option<&Path>,
    emits: bool,
    position: &Position,
) -> Result<(), ReadModelError> {
    let old = Before::read(before, connection);
    let carry = || -> rusqlite::Result<()> {
        if !emits && old.as_ref().is_none_or(|old| !old.emits) {
            return Ok(());
        }
        let mut from = position.clone();
        for (at, next) in old.iter().flat_map(|old| old.since.from.iter()) {
            if from.next(at).is_none_or(|here| here < next) {
                from.set(at.clone(), next);
            }
        }
        let taken = exists(connection)?;
        prepare(connection, &from)?;
        write_offsets(connection, "_foldlog_emit_from", &from)?;
        let Some(old) = old.as_ref().filter(|old| old.emits) else {
            return Ok(());
        };
        if !taken {
            copy(&old.connection, connection)?;
        }
        let left = left_out(connection)?.into_iter().filter(|place| match taken {
            true => old.since.has_place(place),
            false => old.since.left_out.contains(place),
        });
        write_left(connection, left)
    };
    carry().map_err(not_taken)
}

fn not_taken(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot take over what the build before had not published yet", error)
}

/// The build before, of the same log.
struct Before {
    connection: Connection,
    emits: bool,
    /// Whether it was followed by somebody who publishes, or one before it was.
    live: bool,
    /// What it has left to be published: events past its position, and records before it that it folded past. Only of topics that are
    /// still the same.
    since: Since,
}

impl Before {
    fn read(path: Option<&Path>, new: &Connection) -> Option<Self> {
        match Self::open(path?, new) {
            Ok(old) => old,
            Err(error) => {
                // A file that cannot be read must not keep its successor from being built.
                tracing::warn!(%error, "what the build before had not published yet cannot be taken over");
                None
            }
        }
    }

    /// `None` where it is of another cluster's log.
    fn open(path: &Path, new: &Connection) -> Result<Option<Self>, ReadModelError> {
        // Nobody else writes it now; a connection that may not write would leave its log and index behind.
        let connection = writer::open(path)?;
        Self::of(connection, new)
            .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))
    }

    fn of(connection: Connection, new: &Connection) -> rusqlite::Result<Option<Self>> {
        let cluster = |of: &Connection| {
            of.query_row("SELECT cluster_id FROM _foldlog_model", [], |row| {
                row.get::<_, String>(0)
            })
        };
        if cluster(&connection)? != cluster(new)? {
            return Ok(None);
        }
        // A topic that was created anew begins again.
        let theirs = bookkeeping::read_topics(&connection)?;
        let same = bookkeeping::read_topics(new)?.into_iter();
        let same: BTreeSet<String> = same
            .filter(|topic| theirs.contains(topic))
            .map(|(topic, _)| topic)
            .collect();
        let emits = exists(&connection)?;
        let mut from = read_offsets(&connection, "_foldlog_position")?;
        let (mut live, mut left) = (false, BTreeSet::new());
        if emits {
            let publishes = read_from(&connection)?;
            let told = |place: &RecordPlace| {
                let from = publishes.next(&place.partition);
                from.is_none_or(|from| place.offset >= from)
            };
            left = read_left(&connection)?;
            left.extend(left_out(&connection)?.into_iter().filter(told));
            for (at, next) in publishes.iter() {
                if from.next(at).is_none_or(|here| here < next) {
                    from.set(at.clone(), next);
                }
            }
            live = connection.query_row("SELECT live FROM _foldlog_emit", [], |row| row.get(0))?;
        }
        let kept = from.iter().filter(|(at, _)| same.contains(&*at.topic));
        let from = kept.map(|(at, next)| (at.clone(), next)).collect();
        left.retain(|place| same.contains(&*place.partition.topic));
        Ok(Some(Self {
            connection,
            emits,
            live,
            since: Since {
                from,
                left_out: left,
                topics: Some(same),
            },
        }))
    }

    fn has_topic(&self, at: &TopicPartition) -> bool {
        self.since
            .topics
            .as_ref()
            .is_none_or(|topics| topics.contains(&*at.topic))
    }
}

/// Records that a read model was folded past.
fn left_out(connection: &Connection) -> rusqlite::Result<BTreeSet<RecordPlace>> {
    let mut places = BTreeSet::new();
    bookkeeping::each_dead_letter(connection, &mut |letter| {
        if let LetterState::Skipped | LetterState::Held = letter.state {
            places.insert(letter.place());
        }
        true
    })?;
    Ok(places)
}

fn read_left(connection: &Connection) -> rusqlite::Result<BTreeSet<RecordPlace>> {
    connection
        .prepare("SELECT topic, partition, position FROM _foldlog_emit_left")?
        .query_map([], |row| {
            Ok(RecordPlace {
                partition: TopicPartition::new(row.get::<_, String>(0)?, row.get(1)?),
                offset: row.get(2)?,
            })
        })?
        .collect()
}

fn write_left(connection: &Connection, places: impl Iterator<Item = RecordPlace>) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM _foldlog_emit_left", [])?;
    let mut insert = connection.prepare("INSERT INTO _foldlog_emit_left VALUES (?, ?, ?)")?;
    for RecordPlace { partition, offset } in places {
        insert.execute(params![&*partition.topic, partition.partition, offset])?;
    }
    Ok(())
}

fn copy(old: &Connection, new: &Connection) -> rusqlite::Result<()> {
    notice::copy(old, new)?;
    write_offsets(new, "_foldlog_emit_end", &read_offsets(old, "_foldlog_emit_end")?)?;
    let mut ahead = new.prepare("INSERT INTO _foldlog_emit_ahead VALUES (?)")?;
    let mut ids = old.prepare("SELECT id FROM _foldlog_emit_ahead")?;
    let mut rows = ids.query([])?;
    while let Some(row) = rows.next()? {
        ahead.execute([row.get::<_, String>(0)?])?;
    }
    let mut insert = new.prepare(INSERT)?;
    let mut select = old.prepare(SELECT)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert_into(&mut insert, &waiting(row)?.emission)?;
    }
    let state = old.query_row(
        "SELECT published, refused, reason, trouble, live FROM _foldlog_emit",
        [],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, bool>(4)?,
            ))
        },
    )?;
    new.execute(
        "UPDATE _foldlog_emit SET published = ?, refused = ?, reason = ?, trouble = ?, live = ?",
        state,
    )?;
    Ok(())
}

const INSERT: &str = "INSERT INTO _foldlog_outbox (id, topic, partition, key, value, timestamp, headers)
                      VALUES (?, ?, ?, coalesce(?, ?), coalesce(?, ?), ?, ?)";
const SELECT: &str = "SELECT seq, id, topic, partition, CAST(key AS BLOB), CAST(value AS BLOB), timestamp, headers
                      FROM _foldlog_outbox ORDER BY seq";

/// Text where it is UTF-8, so that whoever queries the table can read it.
fn insert_into(insert: &mut rusqlite::Statement<'_>, emission: &Emission) -> rusqlite::Result<usize> {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes
            .as_deref()
            .and_then(|bytes| std::str::from_utf8(bytes).ok().map(str::to_owned))
    };
    insert.execute(params![
        emission.id,
        emission.topic,
        emission.partition,
        text(&emission.key),
        emission.key,
        text(&emission.value),
        emission.value,
        emission.timestamp,
        headers_to_text(&emission.headers),
    ])
}

fn waiting(row: &rusqlite::Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        seq: row.get(0)?,
        emission: Emission {
            id: row.get(1)?,
            topic: row.get(2)?,
            partition: row.get(3)?,
            key: row.get(4)?,
            value: row.get(5)?,
            timestamp: row.get(6)?,
            headers: headers_from_text(&row.get::<_, String>(7)?),
        },
    })
}

fn unprepared(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot prepare the emits", error)
}

/// How a fold keeps what its events emit.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Whether records are known that were published before this read model met their events.
    ahead: bool,
    refused: Vec<Refused>,
}

impl Fold<'_> {
    /// From here on events emit. Where `go_on` says so, an event whose emit fails is applied and emits nothing; else it is
    /// poison.
    pub fn emit(&mut self, go_on: bool) -> Result<(), ReadModelError> {
        let begin = || {
            let live = "UPDATE _foldlog_emit SET live = 1 WHERE NOT live";
            self.connection.execute(live, [])?;
            read_from(self.connection)
        };
        let from = begin().map_err(unprepared)?;
        let topics = None;
        let left_out = BTreeSet::new();
        self.emit_since(Since { from, left_out, topics }, go_on)
    }

    /// The same for these events.
    pub(super) fn emit_since(&mut self, since: Since, go_on: bool) -> Result<(), ReadModelError> {
        let connection = self.connection;
        let known = || connection.prepare("SELECT 1 FROM _foldlog_emit_ahead")?.exists([]);
        self.outbox = Some(Outbox {
            ahead: known().map_err(unprepared)?,
            refused: Vec::new(),
        });
        self.applier.emit(connection, since, go_on).map_err(unprepared)
    }

    /// Puts what the last event emits into the outbox.
    pub(super) fn keep_emissions(&mut self) -> Result<(), ReadModelError> {
        let Some(outbox) = &mut self.outbox else { return Ok(()) };
        let (emissions, refused) = self.applier.take_emissions();
        let keep = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached(INSERT)?;
            for emission in &emissions {
                if outbox.ahead {
                    let mut known = self
                        .connection
                        .prepare_cached("DELETE FROM _foldlog_emit_ahead WHERE id = ?")?;
                    if known.execute([&emission.id])? > 0 {
                        continue;
                    }
                }
                insert_into(&mut insert, emission)?;
            }
            for refused in &refused {
                self.connection
                    .prepare_cached("UPDATE _foldlog_emit SET refused = refused + 1, reason = ?")?
                    .execute([format!("{}: {}", refused.id, refused.reason)])?;
            }
            Ok(())
        };
        keep().map_err(|error| ReadModelError::sqlite("cannot write to the outbox", error))?;
        outbox.refused.extend(refused);
        Ok(())
    }

    /// Hands over what could not be emitted since the last call.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        self.outbox
            .as_mut()
            .map(|outbox| std::mem::take(&mut outbox.refused))
            .unwrap_or_default()
    }

    /// The next records to publish, in order: at most `most`, of about `bytes` together, and at least one. None while a transaction
    /// is open, because what is not committed must not be seen.
    pub fn waiting(&self, most: usize, bytes: usize) -> Result<Vec<Waiting>, ReadModelError> {
        if self.open {
            return Ok(Vec::new());
        }
        let read = || -> rusqlite::Result<Vec<Waiting>> {
            let mut select = self.connection.prepare_cached(SELECT)?;
            let mut rows = select.query([])?;
            let (mut all, mut size) = (Vec::new(), 0);
            while all.len() < most && size < bytes {
                let Some(row) = rows.next()? else { break };
                let next = waiting(row)?;
                size += next.emission.size();
                all.push(next);
            }
            Ok(all)
        };
        read().map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// Whether a transaction is open, which [`Fold::commit`] ends.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The topics of records that wait.
    pub fn waiting_topics(&self) -> Result<Vec<String>, ReadModelError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection
                .prepare("SELECT DISTINCT topic FROM _foldlog_outbox ORDER BY topic")?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        read().map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// How far the topics reached behind the last record that is known to be published.
    pub fn emit_ends(&self) -> Result<Position, ReadModelError> {
        read_offsets(self.connection, "_foldlog_emit_end")
            .map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// Writes down what became of records, and commits it with whatever was applied. Says how many were found that had been
    /// published.
    pub fn settle(&mut self, news: &Settlement) -> Result<(), ReadModelError> {
        self.begin()?;
        let position = self.position();
        let connection = self.connection;
        let write = || -> rusqlite::Result<bool> {
            let mut published = news.sent.len();
            let mut by_number = connection.prepare_cached("DELETE FROM _foldlog_outbox WHERE seq = ?")?;
            for seq in &news.sent {
                by_number.execute([seq])?;
            }
            let mut by_id = connection.prepare_cached("DELETE FROM _foldlog_outbox WHERE id = ?")?;
            let mut ahead = connection.prepare_cached("INSERT OR IGNORE INTO _foldlog_emit_ahead VALUES (?)")?;
            let mut met = false;
            for id in &news.found {
                match by_id.execute([id])? {
                    0 if is_ahead(id, &position) => met |= ahead.execute([id])? > 0,
                    0 => {}
                    _ => published += 1,
                }
            }
            if let Some((seq, reason)) = &news.refused {
                by_number.execute([seq])?;
                connection.execute("UPDATE _foldlog_emit SET refused = refused + 1, reason = ?", [reason])?;
            }
            write_offsets(connection, "_foldlog_emit_end", &news.ends)?;
            connection
                .prepare_cached("UPDATE _foldlog_emit SET published = published + ?, trouble = ?")?
                .execute(params![i64::try_from(published).unwrap_or(i64::MAX), news.trouble])?;
            Ok(met)
        };
        let met = write().map_err(|error| ReadModelError::sqlite("cannot write to the outbox", error))?;
        if let Some(outbox) = &mut self.outbox {
            outbox.ahead |= met;
        }
        self.commit()
    }
}

/// Whether a record comes from an event that lies past a position: it was published by a later state of this read model, of which
/// this one is an older copy.
fn is_ahead(id: &str, position: &Position) -> bool {
    let mut parts = id.rsplitn(4, '/').skip(1);
    let (Some(offset), Some(partition), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(offset), Ok(partition), Some((_, topic))) =
        (offset.parse::<i64>(), partition.parse(), rest.split_once('/'))
    else {
        return false;
    };
    position
        .next(&TopicPartition::new(topic, partition))
        .is_none_or(|next| offset >= next)
}

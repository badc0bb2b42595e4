//! The tables in which a read model remembers what it is and how far it has come, beside the rows of the projection.

use rusqlite::{Connection, OptionalExtension, params};

use crate::projection::TypeSchema;
use crate::record::{Header, Position, Record, RecordRef, Timestamp, TopicPartition};

use super::apply::PoisonKind;
use super::decision;
use super::feed;
use super::history;
use super::invariant;
use super::latest::Latest;
use super::notice;
use super::outbox;
use super::store::{Counts, DeadLetter, DeadLetters, LetterState, ReadModelInfo, State};

/// The layout of these tables; a file with another number is not read.
pub(super) const VERSION: i64 = 4;

pub(super) const SCHEMA: &str = "
CREATE TABLE _foldlog_model (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  version    INTEGER NOT NULL,
  name       TEXT NOT NULL,
  file       TEXT NOT NULL,
  hash       TEXT NOT NULL,
  source     TEXT NOT NULL,
  cluster_id TEXT NOT NULL,
  built_at   INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  applied    INTEGER NOT NULL,
  ignored    INTEGER NOT NULL,
  skipped    INTEGER NOT NULL,
  held       INTEGER NOT NULL,
  poisoned   INTEGER NOT NULL,
  paused     TEXT,
  latest     INTEGER,
  latest_topic     TEXT,
  latest_partition INTEGER
) STRICT;
CREATE TABLE _foldlog_topic (
  topic    TEXT PRIMARY KEY,
  topic_id TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE _foldlog_position (
  topic       TEXT NOT NULL,
  partition   INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE _foldlog_dead_letter (
  id        INTEGER PRIMARY KEY,
  topic     TEXT NOT NULL,
  partition INTEGER NOT NULL,
  \"offset\"  INTEGER NOT NULL,
  timestamp INTEGER,
  key       BLOB,
  value     BLOB,
  headers   TEXT NOT NULL,
  kind      TEXT NOT NULL,
  reason    TEXT NOT NULL,
  line      INTEGER,
  state     TEXT NOT NULL
) STRICT;
CREATE TABLE _foldlog_schema (
  file TEXT PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX _foldlog_dead_letter_kind ON _foldlog_dead_letter (state, kind);
";

/// What a read model is, as it is written down when it is made.
#[derive(Debug, Clone)]
pub(super) struct Identity<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a str,
    pub(super) hash: &'a str,
    pub(super) source: &'a str,
    pub(super) cluster_id: &'a str,
}

pub(super) fn create(connection: &Connection, identity: &Identity<'_>, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch(invariant::SCHEMA)?;
    decision::create(connection)?;
    connection.execute(
        "INSERT INTO _foldlog_model VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL)",
        params![
            VERSION,
            identity.name,
            identity.file,
            identity.hash,
            identity.source,
            identity.cluster_id,
            now.0,
            now.0
        ],
    )?;
    Ok(())
}

/// Says which file a build was made from that began with a copy of another one.
pub(super) fn rewrite_identity(
    connection: &Connection,
    identity: &Identity<'_>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE _foldlog_model SET file = ?, hash = ?, source = ?, built_at = ?",
        params![identity.file, identity.hash, identity.source, now.0],
    )?;
    Ok(())
}

/// Writes counts, state, the newest record's time, and when this was written.
pub(super) fn write_state(
    connection: &Connection,
    counts: &Counts,
    state: &State,
    latest: &Latest,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let paused = match state {
        State::Paused { reason } => Some(reason.as_str()),
        State::Ready | State::Unreadable { .. } => None,
    };
    connection
        .prepare_cached(
            "UPDATE _foldlog_model
             SET updated_at = ?, applied = ?, ignored = ?, skipped = ?, held = ?, poisoned = ?, paused = ?,
                 latest = ?, latest_topic = ?, latest_partition = ?",
        )?
        .execute(params![
            now.0,
            stored(counts.applied),
            stored(counts.ignored),
            stored(counts.skipped),
            stored(counts.held),
            stored(counts.poisoned),
            paused,
            latest.time.map(|time| time.0),
            latest.of.as_ref().map(|of| &*of.topic),
            latest.of.as_ref().map(|of| of.partition)
        ])?;
    Ok(())
}

/// Writes the next offset of each partition.
pub(super) fn write_position(connection: &Connection, position: &Position) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO _foldlog_position VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset WHERE next_offset <> excluded.next_offset",
    )?;
    for (partition, next) in position.iter() {
        statement.execute(params![&*partition.topic, partition.partition, next])?;
    }
    Ok(())
}

/// Writes the topics with their ids, where the cluster gives topics an id.
pub(super) fn write_topics(connection: &Connection, topics: &[(String, Option<String>)]) -> rusqlite::Result<()> {
    for (topic, id) in topics {
        connection.execute(
            "INSERT INTO _foldlog_topic VALUES (?, ?) ON CONFLICT DO UPDATE SET topic_id = excluded.topic_id",
            params![topic, id],
        )?;
    }
    Ok(())
}

/// Lists a record that could not be applied.
pub(super) fn write_dead_letter(connection: &Connection, letter: &DeadLetter) -> rusqlite::Result<()> {
    let record = &letter.record;
    connection
        .prepare_cached(
            "INSERT INTO _foldlog_dead_letter
               (topic, partition, \"offset\", timestamp, key, value, headers, kind, reason, line, state)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            &*record.topic,
            record.partition,
            record.offset,
            record.timestamp.map(|t| t.0),
            record.key,
            record.value,
            headers_to_text(&record.headers),
            letter.kind.word(),
            letter.reason,
            letter.line.map(stored_line),
            letter.state.word()
        ])?;
    Ok(())
}

/// Takes the record that a paused read model stood before off the list: it is about to be tried again.
pub(super) fn release_held(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM _foldlog_dead_letter WHERE state = 'paused'", [])
}

/// Takes the record off the list of those that could not be applied.
pub(super) fn forget_dead_letter(connection: &Connection, record: &RecordRef<'_>) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM _foldlog_dead_letter WHERE topic = ? AND partition = ? AND \"offset\" = ?")?
        .execute(params![record.topic, record.partition, record.offset])?;
    Ok(())
}

/// Takes all records off that list.
pub(super) fn forget_dead_letters(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM _foldlog_dead_letter", []).map(drop)
}

/// Sets the next offset of one partition, back if need be; `None` where nothing of it had been seen.
pub(super) fn set_next(connection: &Connection, at: &TopicPartition, next: Option<i64>) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM _foldlog_position WHERE topic = ? AND partition = ?")?
        .execute(params![&*at.topic, at.partition])?;
    match next {
        Some(next) => write_position(connection, &[(at.clone(), next)].into_iter().collect()),
        None => Ok(()),
    }
}

/// Reads what a read model is. `None` where the file holds none, or one of another layout.
pub(super) fn read_info(connection: &Connection) -> rusqlite::Result<Option<ReadModelInfo>> {
    let known = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_model'")?
        .exists([])?;
    if !known {
        return Ok(None);
    }
    // Asked first: another layout may not have the columns.
    let ours = connection
        .prepare("SELECT 1 FROM _foldlog_model WHERE version = ?")?
        .exists([VERSION])?;
    if !ours {
        return Ok(None);
    }
    let info = connection
        .query_row(
            "SELECT name, file, hash, cluster_id, updated_at, applied, ignored, skipped, poisoned, paused, latest,
                    latest_topic, latest_partition, held
             FROM _foldlog_model",
            [],
            |row| {
                Ok(ReadModelInfo {
                    name: row.get(0)?,
                    file: row.get(1)?,
                    hash: row.get(2)?,
                    cluster_id: row.get(3)?,
                    topics: Vec::new(),
                    position: Position::new(),
                    broken: Vec::new(),
                    emitted: None,
                    history: None,
                    poison: Vec::new(),
                    decisions: 0,
                    notified: None,
                    sinks: Vec::new(),
                    counts: Counts {
                        applied: counted(row.get(5)?),
                        ignored: counted(row.get(6)?),
                        skipped: counted(row.get(7)?),
                        held: counted(row.get(13)?),
                        poisoned: counted(row.get(8)?),
                    },
                    state: match row.get(9)? {
                        Some(reason) => State::Paused { reason },
                        None => State::Ready,
                    },
                    updated_at: Timestamp(row.get(4)?),
                    latest: row.get::<_, Option<i64>>(10)?.map(Timestamp),
                    latest_of: match (row.get::<_, Option<String>>(11)?, row.get(12)?) {
                        (Some(topic), Some(partition)) => Some(TopicPartition::new(topic, partition)),
                        _ => None,
                    },
                })
            },
        )
        .optional()?;
    let Some(mut info) = info else { return Ok(None) };
    info.broken = invariant::read(connection)?;
    info.emitted = outbox::read(connection)?;
    info.history = history::info(connection)?;
    info.poison = poison_by_kind(connection)?;
    info.decisions = decision::count(connection)?;
    info.notified = notice::read(connection)?;
    info.sinks = feed::read(connection)?;
    info.topics = read_topics(connection)?.into_iter().map(|(topic, _)| topic).collect();
    let mut statement = connection.prepare("SELECT topic, partition, next_offset FROM _foldlog_position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let partition = TopicPartition::new(row.get::<_, String>(0)?, row.get(1)?);
        info.position.set(partition, row.get(2)?);
    }
    Ok(Some(info))
}

/// How many records could not be applied, by what is wrong with them.
fn poison_by_kind(connection: &Connection) -> rusqlite::Result<Vec<(PoisonKind, u64)>> {
    let mut statement = connection.prepare(
        "SELECT kind, count(*) FROM _foldlog_dead_letter WHERE state IN ('paused', 'skipped') GROUP BY kind",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((PoisonKind::of(&row.get::<_, String>(0)?), counted(row.get(1)?)))
    })?;
    let mut kinds: Vec<_> = rows.collect::<Result<_, _>>()?;
    kinds.sort();
    Ok(kinds)
}

/// Reads the topics with their ids.
pub(super) fn read_topics(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    connection
        .prepare("SELECT topic, topic_id FROM _foldlog_topic ORDER BY topic")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Reads the text of the file that the read model was built from.
pub(super) fn read_source(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT source FROM _foldlog_model", [], |row| row.get(0))
}

/// Writes the schemas that the file names, so that the read model can be replayed wherever they are by then.
pub(super) fn write_schemas(connection: &Connection, schemas: &[TypeSchema]) -> rusqlite::Result<()> {
    for schema in schemas {
        connection.execute(
            "INSERT OR IGNORE INTO _foldlog_schema VALUES (?, ?)",
            params![schema.file, schema.text],
        )?;
    }
    Ok(())
}

/// Reads them: file and text.
pub(super) fn read_schemas(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT file, text FROM _foldlog_schema")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Reads the dead letters in the order they were met, until `take` says that it has enough.
pub(super) fn each_dead_letter(
    connection: &Connection,
    take: &mut dyn FnMut(DeadLetter) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("{LETTERS} ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !take(read_letter(row)?) {
            break;
        }
    }
    Ok(())
}

/// Reads the record that a paused read model stands before, then the others, the last that was met first; at most `limit`.
pub(super) fn latest_dead_letters(connection: &Connection, limit: usize) -> rusqlite::Result<DeadLetters> {
    let mut found = DeadLetters::default();
    // Two questions: an order by state would sort every value that there is.
    for which in ["state = 'paused'", "state <> 'paused'"] {
        let left = i64::try_from(limit - found.latest.len()).unwrap_or(i64::MAX);
        let mut statement = connection.prepare(&format!("{LETTERS} WHERE {which} ORDER BY id DESC LIMIT ?"))?;
        for letter in statement.query_map([left], read_letter)? {
            found.latest.push(letter?);
        }
    }
    let count = |which: &str| {
        let sql = format!("SELECT count(*) FROM _foldlog_dead_letter WHERE {which}");
        connection.query_row(&sql, [], |row| row.get(0)).map(counted)
    };
    found.total = count("true")?;
    found.skipped = count("state = 'skipped'")?;
    Ok(found)
}

const LETTERS: &str = "SELECT topic, partition, \"offset\", timestamp, key, value, headers, kind, reason, line, state
  FROM _foldlog_dead_letter";

fn read_letter(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        record: Record {
            topic: row.get::<_, String>(0)?.into(),
            partition: row.get(1)?,
            offset: row.get(2)?,
            timestamp: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            key: row.get(4)?,
            value: row.get(5)?,
            headers: headers_from_text(&row.get::<_, String>(6)?),
        },
        kind: PoisonKind::of(&row.get::<_, String>(7)?),
        reason: row.get(8)?,
        line: read_line(row.get(9)?),
        state: LetterState::of(&row.get::<_, String>(10)?),
    })
}

/// A line's number as it is stored.
pub(super) fn stored_line(line: usize) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}

/// A line's number as it was stored.
pub(super) fn read_line(stored: Option<i64>) -> Option<usize> {
    stored.and_then(|line| usize::try_from(line).ok())
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counted(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// Headers as a JSON array of `[key, value in hex or null]`, so that any bytes survive.
pub(super) fn headers_to_text(headers: &[Header]) -> String {
    let list: Vec<_> = headers
        .iter()
        .map(|header| (&header.key, header.value.as_deref().map(hex)))
        .collect();
    serde_json::to_string(&list).unwrap_or_default()
}

pub(super) fn headers_from_text(text: &str) -> Vec<Header> {
    let list: Vec<(String, Option<String>)> = serde_json::from_str(text).unwrap_or_default();
    list.into_iter()
        .map(|(key, value)| Header {
            key,
            value: value.map(|value| unhex(&value)),
        })
        .collect()
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

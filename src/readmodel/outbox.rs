//! The outbox: records that a projection emits, kept in the transaction of the rows that they come from, until they are published.
//!
//! What makes each be published once: its id is made of the event that it comes from, and travels with it as a header. Before
//! records are sent it is known how far their topics reach, and after a crash only what lies past that has to be looked at to
//! know which of them arrived.

mod builds;
mod filling;

use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{Header, Position, TopicPartition};

use super::bookkeeping::{headers_from_text, headers_to_text};
use super::notice;

pub(super) use builds::{Since, carry_over, overtakes, take_over};
pub(super) use filling::Outbox;

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
    )?;
    connection.execute_batch(notice::UNWANTED)
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

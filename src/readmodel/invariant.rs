//! Invariants that broke: the first event after which each did, kept in the read model beside its rows.

use std::fmt;

use rusqlite::{Connection, params};

use crate::decode::printable::printable;
use crate::record::{RecordRef, Timestamp};

/// The table in which they are kept. Whoever queries it sees a key as text where it is text.
pub(super) const SCHEMA: &str = "
CREATE TABLE _foldlog_invariant (
  name      TEXT PRIMARY KEY,
  line      INTEGER NOT NULL,
  topic     TEXT NOT NULL,
  partition INTEGER NOT NULL,
  \"offset\"  INTEGER NOT NULL,
  timestamp INTEGER,
  type      TEXT,
  key       ANY,
  rows      TEXT NOT NULL,
  more      INTEGER NOT NULL,
  error     TEXT
) STRICT, WITHOUT ROWID;
";

/// Rows of an invariant that are kept: enough to see what is wrong, however many there are.
pub(super) const ROWS: usize = 5;
/// Characters of what is told of an event or a row.
const WIDTH: usize = 200;

/// An invariant that does not hold, with the first event after which it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The invariant's name.
    pub name: String,
    /// The line of its header in the file, from 1.
    pub line: usize,
    /// The event's topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub timestamp: Option<Timestamp>,
    /// Its type, where it has one.
    pub event: Option<String>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// The first rows that the SELECT returned, each a JSON array as in a dump.
    pub rows: Vec<String>,
    /// Whether it returned more.
    pub more: bool,
    /// Why it could not be asked, where it could not.
    pub error: Option<String>,
}

impl fmt::Display for Broken {
    /// One line, harmless to a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |text: &[u8]| {
            let shown = printable(text, WIDTH);
            if shown.cut { shown.text + "…" } else { shown.text }
        };
        let (name, topic) = (safe(self.name.as_bytes()), safe(self.topic.as_bytes()));
        write!(
            f,
            "the invariant `{name}` broke at {topic}[{}] offset {}",
            self.partition, self.offset
        )?;
        let event = self
            .event
            .as_ref()
            .map(|event| format!("type {}", safe(event.as_bytes())));
        let key = self.key.as_ref().map(|key| format!("key {}", safe(key)));
        let time = self
            .timestamp
            .and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
        let time = time.map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        let told: Vec<String> = event.into_iter().chain(key).chain(time).collect();
        if !told.is_empty() {
            write!(f, " ({})", told.join(", "))?;
        }
        if let Some(error) = &self.error {
            return write!(f, ": it could not be asked: {}", safe(error.as_bytes()));
        }
        write!(f, ": {}", safe(self.rows.join(" ").as_bytes()))?;
        if self.more { f.write_str(" …") } else { Ok(()) }
    }
}

/// Keeps one. Of several events the first is kept.
pub(super) fn write(connection: &Connection, broken: &Broken) -> rusqlite::Result<()> {
    let key = broken.key.as_deref();
    let text = key.and_then(|key| std::str::from_utf8(key).ok());
    connection
        .prepare_cached(
            "INSERT INTO _foldlog_invariant VALUES (?, ?, ?, ?, ?, ?, ?, coalesce(?, ?), ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            broken.name,
            i64::try_from(broken.line).unwrap_or(i64::MAX),
            broken.topic,
            broken.partition,
            broken.offset,
            broken.timestamp.map(|time| time.0),
            broken.event,
            text,
            key,
            broken.rows.join("\n"),
            broken.more,
            broken.error,
        ])?;
    Ok(())
}

/// Takes those that this record broke off the list.
pub(super) fn forget(connection: &Connection, record: &RecordRef<'_>) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM _foldlog_invariant WHERE topic = ? AND partition = ? AND \"offset\" = ?")?
        .execute(params![record.topic, record.partition, record.offset])?;
    Ok(())
}

/// Reads them all in the order of the file. A read model of before there were invariants has none.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Broken>> {
    let known = connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_invariant'")?
        .exists([])?;
    if !known {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(
            "SELECT name, line, topic, partition, \"offset\", timestamp, type, CAST(key AS BLOB), rows, more, error
             FROM _foldlog_invariant ORDER BY line",
        )?
        .query_map([], |row| {
            Ok(Broken {
                name: row.get(0)?,
                line: row.get::<_, i64>(1).map(|line| usize::try_from(line).unwrap_or(0))?,
                topic: row.get(2)?,
                partition: row.get(3)?,
                offset: row.get(4)?,
                timestamp: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                event: row.get(6)?,
                key: row.get(7)?,
                rows: row.get::<_, String>(8)?.lines().map(str::to_owned).collect(),
                more: row.get(9)?,
                error: row.get(10)?,
            })
        })?
        .collect()
}

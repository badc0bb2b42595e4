//! History: every event's effect on the rows, kept beside them, so that what wrote a row is told without a replay.
//!
//! A projection file asks for it with `-- history: on`. What an event did is written in the transaction of its rows and position:
//! first to the end of a list, the tail. When the tail has become long it is packed: blocks of compressed events in the order in
//! which they were applied, and for each row the places of its events. Places are put into buckets by the row's hash, and each
//! packing adds a piece to each bucket: nothing is ever sorted or written again, and one row's places lie together.

mod event;
mod lookup;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::changes::row::{put_bytes, put_number, take_bytes, take_number};
use super::changes::{Change, Recorder, Watched};

pub(super) use event::Applied;
pub use lookup::{History, Wrote};

/// What the names of its tables begin with.
pub(super) const PREFIX: &str = "_foldlog_history";

/// The tables.
const SCHEMA: &str = "
CREATE TABLE _foldlog_history (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  events  INTEGER NOT NULL,
  bytes   INTEGER NOT NULL,
  tail    INTEGER NOT NULL
) STRICT;
INSERT INTO _foldlog_history VALUES (1, 0, 0, 0);
CREATE TABLE _foldlog_history_tail (
  id     INTEGER PRIMARY KEY,
  events BLOB NOT NULL
) STRICT;
CREATE TABLE _foldlog_history_block (
  id     INTEGER PRIMARY KEY,
  events BLOB NOT NULL
) STRICT;
CREATE TABLE _foldlog_history_place (
  bucket INTEGER NOT NULL,
  block  INTEGER NOT NULL,
  places BLOB NOT NULL,
  PRIMARY KEY (bucket, block)
) STRICT, WITHOUT ROWID;
";

/// Bytes of events that are packed together: few enough to be read whole, many enough that a bucket's piece is worth a row.
const PACKED: usize = if cfg!(test) { 4 * 1024 } else { 4 * 1024 * 1024 };
/// Bytes of events that are compressed together: what is read to tell one event.
const BLOCK: usize = if cfg!(test) { 512 } else { 32 * 1024 };
/// Among how many buckets rows are told apart.
const BUCKETS: usize = 256;

/// What a history is: its events and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryInfo {
    /// How many events are in it: those that wrote rows.
    pub events: u64,
    /// Bytes that they take in the read model's file.
    pub bytes: u64,
}

/// Makes the tables.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)
}

/// The history of the read model that a connection has open; `None` where it keeps none.
pub(super) fn info(connection: &Connection) -> rusqlite::Result<Option<HistoryInfo>> {
    if !is_kept(connection)? {
        return Ok(None);
    }
    let read = |row: &rusqlite::Row<'_>| {
        let number = |at| -> rusqlite::Result<u64> { Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0)) };
        Ok(HistoryInfo {
            events: number(0)?,
            bytes: number(1)?,
        })
    };
    connection
        .query_row("SELECT events, bytes + tail FROM _foldlog_history", [], read)
        .optional()
}

fn is_kept(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_history'")?
        .exists([])
}

/// Writes a history along with the rows.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) recorder: Recorder,
    run: Run,
    /// Events and bytes in the tables.
    events: u64,
    bytes: usize,
    /// Bytes in the tail.
    tail: usize,
}

/// Events that are in no table yet, each with the hashes of its rows.
#[derive(Debug)]
struct Run {
    tables: Arc<[Watched]>,
    bytes: Vec<u8>,
    /// How many there are, with those that were packed since the counts were written.
    events: u64,
    buffer: Vec<u8>,
    room: event::Room,
}

impl Run {
    fn put(&mut self, applied: &Applied<'_>, lines: &[usize], changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.buffer.clear();
        event::put(&mut self.buffer, &mut self.room, applied, lines, changes, &self.tables);
        put_bytes(&mut self.bytes, &self.buffer);
        put_number(&mut self.bytes, self.room.hashes.len() as u64);
        for hash in &self.room.hashes {
            self.bytes.extend_from_slice(&hash.to_le_bytes());
        }
        self.events += 1;
    }
}

impl Journal {
    /// That of the read model which a connection has open; `None` where it keeps none. Before its handlers are prepared.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        if !is_kept(connection)? {
            return Ok(None);
        }
        let recorder = Recorder::install(connection)?;
        let (events, bytes, tail): (i64, i64, i64) =
            connection.query_row("SELECT events, bytes, tail FROM _foldlog_history", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        Ok(Some(Self {
            run: Run {
                tables: recorder.tables(),
                bytes: Vec::new(),
                events: 0,
                buffer: Vec::new(),
                room: event::Room::default(),
            },
            recorder,
            events: u64::try_from(events).unwrap_or(0),
            bytes: usize::try_from(bytes).unwrap_or(0),
            tail: usize::try_from(tail).unwrap_or(0),
        }))
    }

    /// Takes down what the event did that was just applied.
    pub(super) fn applied(&mut self, connection: &Connection, applied: &Applied<'_>) -> rusqlite::Result<()> {
        let Self { recorder, run, .. } = self;
        recorder.drain(connection, |lines, changes| run.put(applied, lines, changes))?;
        if self.run.bytes.len() >= PACKED {
            let mut run = std::mem::take(&mut self.run.bytes);
            // What is older comes first.
            self.pack(connection, &[])?;
            self.pack(connection, &run)?;
            run.clear();
            self.run.bytes = run;
        }
        Ok(())
    }

    /// Writes what is in no table yet, before the transaction commits.
    pub(super) fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.run.events == 0 {
            return Ok(());
        }
        if !self.run.bytes.is_empty() {
            connection
                .prepare_cached("INSERT INTO _foldlog_history_tail (events) VALUES (?)")?
                .execute([&self.run.bytes])?;
            self.tail += self.run.bytes.len();
            self.run.bytes.clear();
        }
        if self.tail >= PACKED {
            self.pack(connection, &[])?;
        }
        self.events += std::mem::take(&mut self.run.events);
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let events = i64::try_from(self.events).unwrap_or(i64::MAX);
        connection
            .prepare_cached("UPDATE _foldlog_history SET events = ?, bytes = ?, tail = ?")?
            .execute(params![events, number(self.bytes), number(self.tail)])?;
        Ok(())
    }

    /// Packs the tail, or this run where the tail is empty.
    fn pack(&mut self, connection: &Connection, run: &[u8]) -> rusqlite::Result<()> {
        let mut packing = Packing::begin(connection)?;
        if run.is_empty() {
            if self.tail == 0 {
                return Ok(());
            }
            let mut tail = connection.prepare_cached("SELECT events FROM _foldlog_history_tail ORDER BY id")?;
            let mut rows = tail.query([])?;
            while let Some(row) = rows.next()? {
                packing.add(row.get_ref(0)?.as_blob().unwrap_or_default())?;
            }
            drop(rows);
            connection
                .prepare_cached("DELETE FROM _foldlog_history_tail")?
                .execute([])?;
            self.tail = 0;
        } else {
            packing.add(run)?;
        }
        self.bytes += packing.finish()?;
        Ok(())
    }
}

/// Events on their way into blocks.
struct Packing<'c> {
    connection: &'c Connection,
    first: i64,
    next: i64,
    block: Vec<u8>,
    buckets: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'c> Packing<'c> {
    fn begin(connection: &'c Connection) -> rusqlite::Result<Self> {
        let next = connection
            .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM _foldlog_history_block")?
            .query_row([], |row| row.get(0))?;
        Ok(Self {
            connection,
            first: next,
            next,
            block: Vec::with_capacity(BLOCK + BLOCK / 4),
            buckets: vec![Vec::new(); BUCKETS],
            bytes: 0,
        })
    }

    fn add(&mut self, mut run: &[u8]) -> rusqlite::Result<()> {
        while let Some(kept) = next_of(&mut run) {
            let at = self.block.len();
            self.block.extend_from_slice(kept.event);
            for hash in kept.hashes() {
                let (bucket, rest) = split(hash);
                let Some(bucket) = self.buckets.get_mut(bucket) else {
                    continue;
                };
                bucket.extend_from_slice(&rest.to_le_bytes());
                put_number(bucket, u64::try_from(self.next - self.first).unwrap_or(0));
                put_number(bucket, at as u64);
            }
            if self.block.len() >= BLOCK {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> rusqlite::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed = lz4_flex::block::compress_prepend_size(&self.block);
        self.connection
            .prepare_cached("INSERT INTO _foldlog_history_block (id, events) VALUES (?, ?)")?
            .execute(params![self.next, packed])?;
        self.bytes += packed.len();
        self.block.clear();
        self.next += 1;
        Ok(())
    }

    /// Returns the bytes that were written.
    fn finish(mut self) -> rusqlite::Result<usize> {
        self.close()?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO _foldlog_history_place (bucket, block, places) VALUES (?, ?, ?)")?;
        for (number, places) in (0i64..).zip(&self.buckets) {
            if !places.is_empty() {
                insert.execute(params![number, self.first, places])?;
                self.bytes += places.len();
            }
        }
        Ok(self.bytes)
    }
}

/// Which bucket a hash belongs to, and what tells it apart there.
fn split(hash: u64) -> (usize, u32) {
    ((hash >> 56) as usize % BUCKETS, (hash >> 16) as u32)
}

/// An event of a run.
struct Runs<'r> {
    event: &'r [u8],
    hashes: &'r [u8],
}

impl Runs<'_> {
    fn hashes(&self) -> impl Iterator<Item = u64> {
        let (hashes, _) = self.hashes.as_chunks();
        hashes.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// The next event of a run; `None` at its end.
fn next_of<'r>(run: &mut &'r [u8]) -> Option<Runs<'r>> {
    let event = take_bytes(run)?;
    let hashes = usize::try_from(take_number(run)?).ok()?.checked_mul(8)?;
    let (hashes, rest) = run.split_at_checked(hashes)?;
    *run = rest;
    Some(Runs { event, hashes })
}

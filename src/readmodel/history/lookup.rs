//! What wrote a row, told from its history.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use crate::record::Record;

use super::super::changes::row::{Row, take_number};
use super::super::changes::{Change, Watched, watched_tables};
use super::super::error::ReadModelError;
use super::super::store::{self, ReadModelInfo, Store};
use super::event::{self, Kept, KeptDeed, KeptRow};
use super::{next_of, split};

/// An event that wrote a row, as a history tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrote {
    /// Where it stands in the log, its time and its key. A history does not keep values and headers: the log has them.
    pub record: Record,
    /// Its type, where its value had one.
    pub event: Option<String>,
    /// Whether somebody decided what its value is.
    pub edited: bool,
    /// The lines of the statements that ran.
    pub lines: Vec<usize>,
    /// What they did to the row, in order.
    pub changes: Vec<Change>,
}

/// The history of a read model, opened for reading: all that it says is of one moment.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
    tables: Arc<[Watched]>,
    info: ReadModelInfo,
}

impl Store {
    /// The history of a read model; `None` where it keeps none.
    pub fn history(&self, name: &str) -> Result<Option<History>, ReadModelError> {
        let path = self.current(name)?.path;
        let connection = store::open_read_only(&path)?;
        let failed = |error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error);
        connection.execute_batch("BEGIN").map_err(failed)?;
        let info = store::info_of(&connection, &path)?;
        if info.history.is_none() {
            return Ok(None);
        }
        let tables = watched_tables(&connection).map_err(failed)?;
        Ok(Some(History {
            connection,
            path,
            tables,
            info,
        }))
    }
}

impl History {
    /// The tables, as changes count them.
    pub fn tables(&self) -> Arc<[Watched]> {
        Arc::clone(&self.tables)
    }

    /// What the read model is, and how far it had come.
    pub fn info(&self) -> &ReadModelInfo {
        &self.info
    }

    /// Hands out every event that wrote the row of this key, oldest first, until `take` says that it has enough. The values of the key
    /// are as [`key_text`](super::super::changes::key_text) writes them.
    pub fn of_row(
        &self,
        table: usize,
        key: &[String],
        take: &mut dyn FnMut(Wrote) -> bool,
    ) -> Result<(), ReadModelError> {
        let hash = event::hash_of_texts(table, key);
        let mut telling = Telling {
            tables: &self.tables,
            table,
            key,
            rows: HashMap::new(),
        };
        let mut each = |mut bytes: &[u8]| -> Result<bool, ReadModelError> {
            let kept = event::take(&mut bytes, &self.tables).ok_or_else(|| self.damaged())?;
            let wrote = telling.tell(kept).ok_or_else(|| self.damaged())?;
            Ok(wrote.changes.is_empty() || take(wrote))
        };
        if self.packed(hash, &mut each)? {
            self.tail(hash, &mut each)?;
        }
        Ok(())
    }

    /// Events of the blocks; whether more are wanted.
    fn packed(&self, hash: u64, each: &mut Each<'_>) -> Result<bool, ReadModelError> {
        let (mut number, mut block) = (0, Vec::new());
        for (in_block, at) in self.places(hash).map_err(|error| self.failed(error))? {
            if number != in_block {
                let packed: Vec<u8> = self
                    .connection
                    .prepare_cached("SELECT events FROM _foldlog_history_block WHERE id = ?")
                    .and_then(|mut find| find.query_row([in_block], |row| row.get(0)))
                    .map_err(|error| self.failed(error))?;
                block = lz4_flex::block::decompress_size_prepended(&packed).map_err(|_| self.damaged())?;
                number = in_block;
            }
            if !each(block.get(at..).ok_or_else(|| self.damaged())?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The blocks and places in them of the events of a row, and of a few others whose hashes are like its.
    fn places(&self, hash: u64) -> rusqlite::Result<BTreeSet<(i64, usize)>> {
        let (bucket, wanted) = split(hash);
        let mut found = BTreeSet::new();
        let mut pieces = self
            .connection
            .prepare_cached("SELECT block, places FROM _foldlog_history_place WHERE bucket = ? ORDER BY block")?;
        let mut rows = pieces.query([i64::try_from(bucket).unwrap_or(0)])?;
        while let Some(row) = rows.next()? {
            let first: i64 = row.get(0)?;
            let mut places = row.get_ref(1)?.as_blob().unwrap_or_default();
            while let Some((hash, rest)) = places.split_first_chunk() {
                places = rest;
                let (Some(block), Some(at)) = (take_number(&mut places), take_number(&mut places)) else {
                    break;
                };
                if u32::from_le_bytes(*hash) == wanted {
                    let block = first.saturating_add(i64::try_from(block).unwrap_or(i64::MAX));
                    found.insert((block, usize::try_from(at).unwrap_or(usize::MAX)));
                }
            }
        }
        Ok(found)
    }

    fn tail(&self, hash: u64, each: &mut Each<'_>) -> Result<(), ReadModelError> {
        let failed = |error| self.failed(error);
        let mut tail = self
            .connection
            .prepare_cached("SELECT events FROM _foldlog_history_tail ORDER BY id")
            .map_err(failed)?;
        let mut rows = tail.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let mut run = row.get_ref(0).map_err(failed)?.as_blob().unwrap_or_default();
            while let Some(kept) = next_of(&mut run) {
                if kept.hashes().any(|of| of == hash) && !each(kept.event)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn failed(&self, error: rusqlite::Error) -> ReadModelError {
        ReadModelError::sqlite(format!("cannot read the history in {}", self.path.display()), error)
    }

    fn damaged(&self) -> ReadModelError {
        ReadModelError::Format {
            path: self.path.clone(),
            reason: "its history is damaged".to_owned(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

type Each<'e> = dyn FnMut(&[u8]) -> Result<bool, ReadModelError> + 'e;

/// Tells a row forward from its first event.
struct Telling<'h> {
    tables: &'h [Watched],
    table: usize,
    key: &'h [String],
    /// The rows of this key as they are so far: `5` and `'5'` are written alike and are two.
    rows: HashMap<Vec<u8>, Row>,
}

impl Telling<'_> {
    /// What an event did to the row; `None` where it cannot have done so.
    fn tell(&mut self, kept: Kept<'_>) -> Option<Wrote> {
        let (mut changes, table) = (Vec::new(), self.table);
        for row in kept.rows.into_iter().filter(|row| row.table == table) {
            changes.extend(self.change(row)?);
        }
        Some(Wrote {
            record: Record {
                topic: text(kept.topic).into(),
                partition: kept.partition,
                offset: kept.offset,
                timestamp: kept.timestamp,
                key: kept.key.map(<[u8]>::to_vec),
                value: None,
                headers: Vec::new(),
            },
            event: kept.event.map(text),
            edited: kept.edited,
            lines: kept.lines,
            changes,
        })
    }

    /// What became of one of the rows that an event wrote: nothing where it is another than the one asked for.
    fn change(&mut self, row: KeptRow<'_>) -> Option<Option<Change>> {
        let table = self.tables.get(self.table)?;
        let ours = |key: &[u8]| event::key_texts(key) == self.key;
        let (before, after) = match row.deed {
            KeptDeed::Inserted(after) => {
                let key = event::key_of(&after, table);
                if !ours(&key) {
                    return Some(None);
                }
                self.rows.insert(key, after.clone());
                (None, Some(after))
            }
            KeptDeed::Updated(key, mask, changed) => {
                if !ours(key) {
                    return Some(None);
                }
                let row = self.rows.get_mut(key)?;
                let after = event::patched(row, mask, changed);
                (Some(std::mem::replace(row, after.clone())), Some(after))
            }
            KeptDeed::Deleted(key) => {
                if !ours(key) {
                    return Some(None);
                }
                (Some(self.rows.remove(key)?), None)
            }
            KeptDeed::Moved(before, after) => {
                let (from, to) = (event::key_of(&before, table), event::key_of(&after, table));
                if !ours(&from) && !ours(&to) {
                    return Some(None);
                }
                self.rows.remove(&from);
                if ours(&to) {
                    self.rows.insert(to, after.clone());
                }
                (Some(before), Some(after))
            }
        };
        Some(Some(Change::told(self.table, row.line, before, after)))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

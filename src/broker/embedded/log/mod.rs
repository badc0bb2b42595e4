//! The log of one partition: segments of batches on disk, stored verbatim, with a sparse index each.
//!
//! What survives what:
//! - A batch is handed to the operating system before it is acknowledged, so `kill -9` loses nothing that was acknowledged.
//! - `fsync` runs every second, when a segment is full, and when the broker stops, so a power loss loses at most the last second.
//!   (Apache Kafka leaves that to the operating system and to other replicas, of which there are none here.)
//! - A full segment's index is written after the segment was synced. So on opening, a segment with an index is trusted; the
//!   others, usually the last alone, are verified batch by batch, and the log is cut where a batch is torn.
//! - Compaction ([`compact`]) puts segments in place of others in one step that a crash leaves undone or finds done.

pub(crate) mod batch;
mod codec;
pub(crate) mod compact;
pub(crate) mod files;
pub(crate) mod index;
pub(crate) mod producers;
pub(crate) mod records;
pub(crate) mod recovery;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use batch::BatchHeader;
use files::Files;
use index::Index;
use producers::{Producers, Verdict};
use scan::{SEEK, Scanner};

/// Why a batch was not appended.
#[derive(Debug, Error)]
pub(crate) enum AppendError {
    /// A batch before it is missing.
    #[error("the batch does not follow the producer's last one")]
    OutOfOrder,
    /// A newer instance of the producer has written.
    #[error("a newer instance of the producer has written to this partition")]
    OldEpoch,
    /// The disk refused it; the log is as it was.
    #[error(transparent)]
    Storage(#[from] io::Error),
}

#[derive(Debug)]
pub(crate) struct Segment {
    id: u64,
    base: i64,
    index: Index,
    /// When it was begun, or opened.
    opened: Instant,
    /// It is full, synced, and has an index on the disk, so that compaction may replace it.
    settled: bool,
}

/// What a topic asks of a partition's log; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `retention.ms` and `retention.bytes`.
    pub retention: (i64, i64),
    /// When the active segment is closed.
    pub roll: Roll,
}

/// When a segment is closed and the next one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roll {
    /// `segment.bytes`.
    pub bytes: u64,
    /// How long a segment may take records.
    pub age: Duration,
}

/// Where to read: a file and the range of it that holds whole batches.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub file: Arc<File>,
    pub from: u64,
    pub end: u64,
    /// Bytes of the segments that follow.
    pub beyond: u64,
    /// The first offset of the segment that follows.
    pub next_base: Option<i64>,
}

impl Slice {
    /// Moves to the batch that holds `offset` or, where that was compacted away, to the one after; `None` where the segment
    /// holds no such batch.
    #[cfg(test)]
    pub fn seek(mut self, offset: i64) -> io::Result<Option<Self>> {
        let mut scanner = Scanner::new(&self.file, self.from, self.end, SEEK);
        let found = scanner.seek(|header| header.next_offset() > offset)?;
        let position = scanner.position();
        self.from = position;
        Ok(found.map(|_| self))
    }

    /// Moves to the first batch from `offset` on that holds records. Where there is none, the last of those that compaction has
    /// left empty is there instead, so that somebody can tell how far the segment reaches.
    pub fn seek_records(&self, offset: i64) -> io::Result<Sought> {
        let mut scanner = Scanner::new(&self.file, self.from, self.end, SEEK);
        let mut empty = None;
        while let Some(header) = scanner.seek(|header| header.next_offset() > offset)? {
            let found = Self {
                from: scanner.position(),
                ..self.clone()
            };
            if header.count > 0 {
                return Ok(Sought::Records(found));
            }
            empty = Some(found);
            scanner.advance(&header);
        }
        Ok(empty.map_or(Sought::Nothing, Sought::Empty))
    }
}

/// What there is in a segment from an offset on.
#[derive(Debug)]
pub(crate) enum Sought {
    /// A batch with records.
    Records(Slice),
    /// Batches without records; this is the last.
    Empty(Slice),
    /// No batch.
    Nothing,
}

/// The log of one partition. Not shared: whoever owns it locks it.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    files: Arc<Files>,
    segments: VecDeque<Segment>,
    start: i64,
    /// Compaction has been here: everything before it is clean.
    cleaned: i64,
    producers: Producers,
    /// A write failed half way and the file could not be cut; it is tried again before the next write.
    torn: bool,
    /// Full segments that were not synced yet.
    unsynced: Vec<Unsynced>,
    dirty: bool,
}

/// A file to sync and, for a full segment, the index to write after that.
#[derive(Debug)]
pub(crate) struct Unsynced {
    segment: u64,
    file: Arc<File>,
    is_full: bool,
}

impl Unsynced {
    /// Makes the file survive a power loss. Slow: call it outside of locks.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn segment_path(dir: &Path, base: i64, extension: &str) -> PathBuf {
    dir.join(format!("{base:020}.{extension}"))
}

impl Log {
    /// The first offset that can be read.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record will get.
    pub fn end(&self) -> i64 {
        self.segments.back().map_or(self.start, |s| s.index.next_offset)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|s| s.index.size).sum()
    }

    /// Appends a batch that was verified; answers with its base offset, the old one where the batch is a retry.
    pub fn append(&mut self, bytes: &[u8], header: &BatchHeader, roll: Roll) -> Result<i64, AppendError> {
        match self.producers.check(header) {
            Verdict::Append => {}
            Verdict::Duplicate(offset) => return Ok(offset),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::OldEpoch => return Err(AppendError::OldEpoch),
        }
        let base = self.end();
        self.make_room(header.size as u64, roll)?;
        let file = self.active_file()?;
        let Some(active) = self.segments.back_mut() else {
            return Err(io::Error::other("the partition has no segment").into());
        };
        if self.torn {
            file.set_len(active.index.size)?;
            self.torn = false;
        }
        let head = batch::patched(bytes, base);
        if let Err(error) = write_both(&file, &head, &bytes[batch::PATCHED..header.size]) {
            self.torn = file.set_len(active.index.size).is_err();
            return Err(error.into());
        }
        let mut written = *header;
        written.base_offset = base;
        active.index.add(
            active.base,
            base,
            written.next_offset(),
            header.max_timestamp,
            header.size as u64,
        );
        self.producers.record(&written);
        self.dirty = true;
        Ok(base)
    }

    fn active_file(&self) -> io::Result<Arc<File>> {
        let active = self
            .segments
            .back()
            .ok_or_else(|| io::Error::other("the partition has no segment"))?;
        self.files
            .get(active.id, &segment_path(&self.dir, active.base, "log"), false)
    }

    /// Begins a segment where there is none, or where the active one is full.
    fn make_room(&mut self, size: u64, roll: Roll) -> io::Result<()> {
        match self.segments.back() {
            None => {
                fs::create_dir_all(&self.dir)?;
                self.begin_segment(self.start)
            }
            // Positions in the index are 32 bits wide, and so are offsets relative to the segment's first.
            Some(active)
                if active.index.size > 0
                    && (active.index.size + size > roll.bytes.min(u64::from(u32::MAX))
                        || active.opened.elapsed() >= roll.age
                        || active.index.next_offset - active.base > i64::from(i32::MAX)) =>
            {
                self.roll()
            }
            Some(_) => Ok(()),
        }
    }

    fn begin_segment(&mut self, base: i64) -> io::Result<()> {
        let id = self.files.new_id();
        self.files.get(id, &segment_path(&self.dir, base, "log"), true)?;
        self.segments.push_back(Segment {
            id,
            base,
            index: Index::new(base),
            opened: Instant::now(),
            settled: false,
        });
        Ok(())
    }

    /// Closes the active segment and begins the next one.
    fn roll(&mut self) -> io::Result<()> {
        let file = self.active_file()?;
        let base = self.end();
        let full = self.segments.back().map(|full| full.id);
        self.begin_segment(base)?;
        self.unsynced.extend(full.map(|segment| Unsynced {
            segment,
            file,
            is_full: true,
        }));
        // It is rebuilt from the log where it is missing, so that a full disk stops nothing here.
        if let Err(error) = self.producers.write(&segment_path(&self.dir, base, "producers"), false) {
            tracing::warn!(dir = %self.dir.display(), %error, "the state of the producers was not written");
        }
        Ok(())
    }

    /// Where to read from `offset` on; `None` at the end. The caller has checked that the offset is in range.
    pub fn slice(&self, offset: i64) -> io::Result<Option<Slice>> {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        let at = after.saturating_sub(1);
        self.slice_of(at, |segment| segment.index.position_of_offset(segment.base, offset))
    }

    fn slice_of(&self, at: usize, from: impl Fn(&Segment) -> u64) -> io::Result<Option<Slice>> {
        let Some(segment) = self.segments.get(at) else {
            return Ok(None);
        };
        let path = segment_path(&self.dir, segment.base, "log");
        Ok(Some(Slice {
            file: self.files.get(segment.id, &path, false)?,
            from: from(segment),
            end: segment.index.size,
            beyond: self.segments.iter().skip(at + 1).map(|s| s.index.size).sum(),
            next_base: self.segments.get(at + 1).map(|s| s.base),
        }))
    }

    /// Where to look for the first record at or after `timestamp`; `None` where there is none.
    pub fn slice_of_time(&self, timestamp: i64) -> io::Result<Option<Slice>> {
        let Some(at) = self
            .segments
            .iter()
            .position(|s| s.index.max_timestamp >= timestamp && s.index.next_offset > self.start)
        else {
            return Ok(None);
        };
        self.slice_of(at, |segment| {
            let by_time = segment.index.position_of_time(timestamp);
            by_time.max(segment.index.position_of_offset(segment.base, self.start))
        })
    }

    /// The greatest timestamp of the log; `None` where it is empty.
    pub fn max_timestamp(&self) -> Option<i64> {
        let readable = self.segments.iter().filter(|s| s.index.next_offset > self.start);
        readable.map(|s| s.index.max_timestamp).max().filter(|t| *t != i64::MIN)
    }

    /// Makes `offset` the first that can be read and removes the segments that hold only older ones.
    pub fn delete_before(&mut self, offset: i64) -> io::Result<()> {
        if offset <= self.start {
            return Ok(());
        }
        let offset = offset.min(self.end());
        files::replace(&self.dir.join("start"), offset.to_string().as_bytes(), true)?;
        self.start = offset;
        while self.segments.len() > 1 && self.segments[1].base <= offset {
            if let Some(gone) = self.segments.pop_front() {
                self.files.forget(gone.id);
                for extension in ["log", "index", "producers"] {
                    remove(&segment_path(&self.dir, gone.base, extension))?;
                }
            }
        }
        Ok(())
    }

    /// Closes the active segment where it is old.
    pub fn roll_aged(&mut self, roll: Roll) -> io::Result<()> {
        let aged = |active: &Segment| active.index.size > 0 && active.opened.elapsed() >= roll.age;
        match self.segments.back().is_some_and(aged) {
            true => self.roll(),
            false => Ok(()),
        }
    }

    /// Closes the active segment where it is old, then removes full segments that are too old or too many.
    pub fn retain(&mut self, limits: &Limits, now: i64) -> io::Result<()> {
        let (retention_ms, retention_bytes) = limits.retention;
        let expired = |index: &Index| {
            retention_ms >= 0 && index.size > 0 && index.max_timestamp < now.saturating_sub(retention_ms)
        };
        self.roll_aged(limits.roll)?;
        if self.segments.back().is_some_and(|active| expired(&active.index)) {
            self.roll()?;
        }
        let mut size = self.size();
        let mut before = self.start;
        for (at, segment) in self.segments.iter().enumerate() {
            let too_big = retention_bytes >= 0 && size - segment.index.size >= retention_bytes as u64;
            if at + 1 == self.segments.len() || !(expired(&segment.index) || too_big) {
                break;
            }
            size -= segment.index.size;
            before = segment.index.next_offset;
        }
        self.delete_before(before)
    }

    /// What was written since the last call, oldest first; the caller syncs it in this order, and says what it has synced.
    pub fn take_unsynced(&mut self) -> Vec<Unsynced> {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        if std::mem::take(&mut self.dirty)
            && let (Some(active), Ok(file)) = (self.segments.back(), self.active_file())
        {
            unsynced.push(Unsynced {
                segment: active.id,
                file,
                is_full: false,
            });
        }
        unsynced
    }

    /// Writes the index of a full segment that was synced. Where the disk refuses it, the segment is synced again later.
    pub fn settle(&mut self, synced: Unsynced) -> io::Result<()> {
        // Retention may have removed the segment since it was closed.
        let full = self.segments.iter_mut().find(|segment| segment.id == synced.segment);
        let Some(full) = full.filter(|_| synced.is_full) else {
            return Ok(());
        };
        let written = full.index.write(&segment_path(&self.dir, full.base, "index"), false);
        match written {
            Ok(()) => full.settled = true,
            Err(_) => self.unsynced.push(synced),
        }
        written
    }

    /// Closes its files, so that the disk gets back what a deleted topic took.
    pub fn forget(self) {
        for segment in &self.segments {
            self.files.forget(segment.id);
        }
    }

    /// Writes what lets the log be opened again without reading it.
    pub fn close(&mut self) -> io::Result<()> {
        for unsynced in self.take_unsynced() {
            unsynced.sync()?;
            self.settle(unsynced)?;
        }
        let Some(active) = self.segments.back() else {
            return Ok(());
        };
        let producers = segment_path(&self.dir, self.end(), "producers");
        self.producers.write(&producers, false)?;
        active
            .index
            .write(&segment_path(&self.dir, active.base, "index"), false)?;
        files::sync_dir(&self.dir)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    files::step()?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes both parts with as few calls as the system allows.
fn write_both(mut file: &File, head: &[u8], rest: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => break n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    match written.checked_sub(head.len()) {
        Some(of_rest) => file.write_all(&rest[of_rest..]),
        None => {
            file.write_all(&head[written..])?;
            file.write_all(rest)
        }
    }
}

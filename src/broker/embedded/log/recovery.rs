//! Opening a partition's log: what a clean stop left is trusted, what a crash left is verified.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{self, BatchHeader};
use super::files::{self, Files};
use super::index::Index;
use super::producers::Producers;
use super::scan::{Scanner, WALK};
use super::{Log, Segment, Unsynced, compact, segment_path};

/// Full segments that are synced and indexed after one start: each is an open file until then. The others are verified again.
const SETTLED_AT_ONCE: usize = 64;

/// What a segment was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// It has an index, which was written after it was synced.
    Trusted,
    /// Every batch was looked at, and all are whole.
    Verified,
    /// Its end is missing.
    Torn,
}

impl Log {
    /// Opens the log in `dir`, which need not exist yet: then it is empty and makes its folder with the first batch.
    pub fn open(dir: &Path, files: Arc<Files>) -> io::Result<Self> {
        let exchanged = compact::finish(dir)?;
        let bases = segment_bases(dir)?;
        let start = read_start(dir)?.unwrap_or(0).max(bases.first().copied().unwrap_or(0));
        let mut log = Self {
            dir: dir.to_path_buf(),
            files,
            segments: VecDeque::with_capacity(bases.len()),
            start,
            cleaned: compact::read_cleaned(dir),
            producers: Producers::default(),
            torn: false,
            unsynced: Vec::new(),
            dirty: false,
        };
        let mut changed = exchanged;
        for (at, base) in bases.iter().enumerate() {
            if log
                .segments
                .back()
                .is_some_and(|before| before.index.next_offset > *base)
            {
                return Err(damaged(
                    &segment_path(dir, *base, "log"),
                    "it overlaps the segment before it",
                ));
            }
            let opened = log.open_segment(*base, bases.get(at + 1).copied())?;
            changed |= opened != Opened::Trusted;
            if opened == Opened::Torn {
                // Segments are synced in order: what follows a torn one was never synced either.
                log.drop_segments_after(*base, &bases)?;
                break;
            }
        }
        if log.end() < start && !log.segments.is_empty() {
            // A power loss took the end of the log after records before `start` were deleted: offsets never go back.
            log.begin_segment(start)?;
        }
        if log.cleaned > log.end() {
            super::remove(&dir.join("cleaned"))?;
            log.cleaned = 0;
            changed = true;
        }
        changed |= log.drop_what_lies_beyond()?;
        if changed {
            // Before anything is written: what was removed must not come back beside it.
            files::sync_dir(dir)?;
        }
        log.restore_producers()?;
        log.settle_all()?;
        Ok(log)
    }

    /// Has the full segments that were verified synced and indexed, and takes the last one for the active.
    fn settle_all(&mut self) -> io::Result<()> {
        if let Some(active) = self.segments.back_mut() {
            active.settled = false;
        }
        let full = self.segments.len().saturating_sub(1);
        let unsettled = self.segments.iter().take(full).filter(|segment| !segment.settled);
        for segment in unsettled.take(SETTLED_AT_ONCE) {
            let path = segment_path(&self.dir, segment.base, "log");
            self.unsynced.push(Unsynced {
                segment: segment.id,
                file: self.files.get(segment.id, &path, false)?,
                is_full: true,
            });
        }
        Ok(())
    }

    /// Adds a segment; `next` is where the one after it begins.
    fn open_segment(&mut self, base: i64, next: Option<i64>) -> io::Result<Opened> {
        let path = segment_path(&self.dir, base, "log");
        let index_path = segment_path(&self.dir, base, "index");
        let size = fs::metadata(&path)?.len();
        let (index, opened) = match Index::read(&index_path, size) {
            Some(index) => (index, Opened::Trusted),
            None => {
                // It tells of what the segment was once, and would be believed when that grows to the same size again.
                super::remove(&index_path)?;
                let index = rebuild(&path, base, size)?;
                // A segment begins where the one before it ends, unless what was there has been deleted.
                let short = next.is_some_and(|next| index.next_offset < next && next > self.start);
                let torn = index.size < size || short;
                (index, if torn { Opened::Torn } else { Opened::Verified })
            }
        };
        if index.size < size {
            cut(&path, index.size, size)?;
        }
        let id = self.files.new_id();
        self.segments.push_back(Segment {
            id,
            base,
            index,
            opened: Instant::now(),
            settled: opened == Opened::Trusted,
        });
        Ok(opened)
    }

    fn drop_segments_after(&self, base: i64, bases: &[i64]) -> io::Result<()> {
        for later in bases.iter().filter(|later| **later > base) {
            let path = segment_path(&self.dir, *later, "log");
            tracing::warn!(file = %path.display(), "removed a segment that follows a torn one");
            super::remove(&path)?;
        }
        Ok(())
    }

    /// Removes what tells of records that are not there, and answers whether there was anything: a log that was cut grows
    /// again with other records in their place, and what was known of the lost ones would then be believed.
    fn drop_what_lies_beyond(&self) -> io::Result<bool> {
        let end = self.end();
        let is_segment = |base: &i64| self.segments.iter().any(|segment| segment.base == *base);
        let indexes = names(&self.dir, "index")?.into_iter().filter(|base| !is_segment(base));
        let producers = names(&self.dir, "producers")?
            .into_iter()
            .filter(|offset| *offset > end);
        let beyond = indexes.map(|base| (base, "index"));
        let mut found = false;
        for (offset, extension) in beyond.chain(producers.map(|offset| (offset, "producers"))) {
            super::remove(&segment_path(&self.dir, offset, extension))?;
            found = true;
        }
        Ok(found)
    }

    /// Reads the newest state of the producers that was written and brings it up to the log's end.
    fn restore_producers(&mut self) -> io::Result<()> {
        let snapshots = names(&self.dir, "producers")?;
        let kept = snapshots.iter().rev().find_map(|offset| {
            Some((
                *offset,
                Producers::read(&segment_path(&self.dir, *offset, "producers"))?,
            ))
        });
        let (from, producers) = kept.unwrap_or((self.start, Producers::default()));
        self.producers = producers;
        let segments = self.segments.iter().filter(|s| s.index.next_offset > from);
        for segment in segments {
            let file = self
                .files
                .get(segment.id, &segment_path(&self.dir, segment.base, "log"), false)?;
            let at = segment.index.position_of_offset(segment.base, from);
            let mut scanner = Scanner::new(&file, at, segment.index.size, WALK);
            while let Some(header) = scanner.seek(|header| header.base_offset >= from)? {
                self.producers.record(&header);
                scanner.advance(&header);
            }
        }
        // Those of older segments serve nobody any more: the newest is at or before the active segment's start.
        let keep = self.segments.back().map_or(0, |active| active.base);
        for old in snapshots.iter().filter(|offset| **offset < keep.min(from)) {
            super::remove(&segment_path(&self.dir, *old, "producers"))?;
        }
        Ok(())
    }
}

/// Verifies every batch of a segment and indexes those that stand before the first that is torn.
fn rebuild(path: &Path, base: i64, size: u64) -> io::Result<Index> {
    let file = fs::File::open(path)?;
    let mut index = Index::new(base);
    let mut scanner = Scanner::new(&file, 0, size, WALK);
    while let Some(header) = scanner.header()? {
        let next = index.next_offset;
        let whole = match scanner.batch(&header)? {
            Some(bytes) => is_whole(bytes, &header, next),
            None => false,
        };
        if !whole {
            break;
        }
        index.add(
            base,
            header.base_offset,
            header.next_offset(),
            header.max_timestamp,
            header.size as u64,
        );
        scanner.advance(&header);
    }
    Ok(index)
}

fn is_whole(bytes: &[u8], header: &BatchHeader, next: i64) -> bool {
    header.magic == 2
        && header.base_offset >= next
        && header.last_offset_delta >= 0
        && batch::crc_matches(bytes, header)
}

/// Cuts what follows the last whole batch.
fn cut(path: &Path, keep: u64, size: u64) -> io::Result<()> {
    tracing::warn!(file = %path.display(), keep, cut = size - keep, "cut the torn end of a log");
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(keep)?;
    file.sync_all()
}

fn damaged(path: &Path, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} is damaged: {why}", path.display()),
    )
}

fn read_start(dir: &Path) -> io::Result<Option<i64>> {
    match fs::read_to_string(dir.join("start")) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| damaged(&dir.join("start"), "it holds no offset")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn segment_bases(dir: &Path) -> io::Result<Vec<i64>> {
    names(dir, "log")
}

/// The offsets that files of an extension are named after, ascending.
pub(super) fn names(dir: &Path, extension: &str) -> io::Result<Vec<i64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut offsets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension)
            && let Some(offset) = path.file_stem().and_then(|s| s.to_str()?.parse().ok())
        {
            offsets.push(offset);
        }
    }
    offsets.sort_unstable();
    Ok(offsets)
}

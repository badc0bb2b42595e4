//! Opening a partition's log: what a clean stop left is trusted, what a crash left is verified.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{self, BatchHeader};
use super::files::Files;
use super::index::Index;
use super::producers::Producers;
use super::scan::{Scanner, WALK};
use super::{Log, Segment, segment_path};

impl Log {
    /// Opens the log in `dir`, which need not exist yet: then it is empty and makes its folder with the first batch.
    pub fn open(dir: &Path, files: Arc<Files>) -> io::Result<Self> {
        let bases = segment_bases(dir)?;
        let start = read_start(dir)?.unwrap_or(0).max(bases.first().copied().unwrap_or(0));
        let mut log = Self {
            dir: dir.to_path_buf(),
            files,
            segments: VecDeque::with_capacity(bases.len()),
            start,
            producers: Producers::default(),
            torn: false,
            unsynced: Vec::new(),
            dirty: false,
        };
        for base in &bases {
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
            if !log.open_segment(*base)? {
                // Segments are synced in order: what follows a torn one was never synced either.
                log.drop_segments_after(*base, &bases)?;
                break;
            }
        }
        if log.end() < start && !log.segments.is_empty() {
            // A power loss took the end of the log after records before `start` were deleted: offsets never go back.
            log.begin_segment(start)?;
        }
        log.restore_producers()?;
        Ok(log)
    }

    /// Adds a segment; answers whether it was whole.
    fn open_segment(&mut self, base: i64) -> io::Result<bool> {
        let path = segment_path(&self.dir, base, "log");
        let size = fs::metadata(&path)?.len();
        let kept = Index::read(&segment_path(&self.dir, base, "index"), size);
        let index = match kept {
            Some(index) => index,
            None => rebuild(&path, base, size)?,
        };
        let whole = index.size == size;
        if !whole {
            cut(&path, index.size, size)?;
        }
        let id = self.files.new_id();
        self.segments.push_back(Segment {
            id,
            base,
            index,
            opened: Instant::now(),
        });
        Ok(whole)
    }

    fn drop_segments_after(&self, base: i64, bases: &[i64]) -> io::Result<()> {
        for later in bases.iter().filter(|later| **later > base) {
            let path = segment_path(&self.dir, *later, "log");
            tracing::warn!(file = %path.display(), "removed a segment that follows a torn one");
            super::remove(&path)?;
        }
        Ok(())
    }

    /// Reads the newest state of the producers that was written and brings it up to the log's end.
    fn restore_producers(&mut self) -> io::Result<()> {
        let end = self.end();
        let mut snapshots = names(&self.dir, "producers")?;
        snapshots.retain(|offset| *offset <= end);
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
fn names(dir: &Path, extension: &str) -> io::Result<Vec<i64>> {
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

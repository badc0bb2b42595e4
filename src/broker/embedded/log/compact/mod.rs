//! Compaction: of each key the last record stays, at its offset, as Apache Kafka's cleaner has it.
//!
//! A log has a clean part, which was compacted before, a dirty part, and the active segment, which is never touched. A round
//! notes the last offset of each key of the dirty part ([`latest`]), then writes both parts anew beside the old segments,
//! without what those offsets made obsolete ([`filter`]), and puts them in place ([`swap`]). Reading and writing take no lock,
//! so that records come and go meanwhile; whoever reads an old segment keeps its file.
//!
//! What stays although no record of it does:
//! - the last batch of each producer, empty, so that a retry is told from a new batch when the log is opened again;
//! - the last batch of each segment, empty, so that a segment ends where the next begins. That is how a torn one is told, and
//!   a reader behind the last record comes to the end. (Apache Kafka does without, because it never closes a segment that
//!   no record follows.)

mod filter;
mod latest;
mod swap;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::batch::{self, BatchHeader, HEADER};
use super::files;
use super::index::Index;
use super::records;
use super::scan::{Scanner, WALK};
use super::{Log, segment_path};
use filter::{Filter, Kept};
use latest::{KEYS, Latest};
pub(super) use swap::finish;

/// What a topic asks of compaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    /// `min.cleanable.dirty.ratio`.
    pub dirty_ratio: f64,
    /// `min.compaction.lag.ms` and `max.compaction.lag.ms`.
    pub lag: (i64, i64),
    /// `delete.retention.ms`.
    pub tombstones: i64,
    /// `segment.bytes`.
    pub segment_bytes: u64,
}

/// A closed segment as a round finds it.
#[derive(Debug, Clone, Copy)]
struct Part {
    id: u64,
    base: i64,
    /// Where the next one begins.
    end: i64,
    size: u64,
}

/// What a round is about. Made under the log's lock, carried out without it.
#[derive(Debug)]
pub(crate) struct Plan {
    dir: PathBuf,
    parts: Vec<Part>,
    /// The first offset that was never compacted.
    dirty: i64,
    /// Of each producer the base offset of its last batch.
    producers: HashMap<i64, i64>,
    policy: Policy,
    now: i64,
}

/// New segments in place of old ones that follow each other.
#[derive(Debug)]
pub(crate) struct Made {
    old: Vec<Part>,
    index: Index,
}

/// What came of writing segments anew.
#[derive(Debug)]
enum Written {
    Made(Made),
    /// Everything is kept, so that nothing has to change.
    AsItWas,
    /// The round was cancelled, or retention was quicker.
    Stopped,
}

/// The log as a round reaches it, a moment at a time.
pub(crate) trait Shared {
    /// The file of a segment; `None` where retention has removed it.
    fn file(&self, id: u64) -> io::Result<Option<Arc<File>>>;
    /// Puts a segment in place of old ones; `false` where one of those is gone.
    fn replace(&self, made: &Made) -> io::Result<bool>;
    /// Notes that everything before an offset was compacted.
    fn cleaned(&self, until: i64) -> io::Result<()>;
    /// Whether the round is to end early; what it has put in place stays.
    fn is_cancelled(&self) -> bool;
}

impl Log {
    /// What there is to compact now, if it is worth a round. What an earlier crash or error left half done is finished first.
    pub fn plan(&mut self, policy: Policy, now: i64) -> io::Result<Option<Plan>> {
        let parts = self.compactable(policy, now);
        let dirty = self.cleaned.max(self.start);
        let size_of = |clean: bool| -> u64 {
            let side = parts.iter().filter(|part| (part.end <= dirty) == clean);
            side.map(|part| part.size).sum()
        };
        let (clean_bytes, dirty_bytes) = (size_of(true), size_of(false));
        if dirty_bytes == 0 {
            return Ok(None);
        }
        let ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
        if ratio <= policy.dirty_ratio && !self.is_overdue(&parts, dirty, policy, now)? {
            return Ok(None);
        }
        finish(&self.dir)?;
        Ok(Some(Plan {
            dir: self.dir.clone(),
            parts,
            dirty,
            producers: self.producers.last_batches(),
            policy,
            now,
        }))
    }

    /// The segments that may be compacted: those that are closed and synced, before the first whose records are too young.
    fn compactable(&self, policy: Policy, now: i64) -> Vec<Part> {
        let following = self.segments.iter().skip(1).map(|next| next.base);
        let young = |time: i64| policy.lag.0 > 0 && time > now.saturating_sub(policy.lag.0);
        let closed = self.segments.iter().zip(following);
        closed
            .take_while(|(segment, _)| segment.settled && !young(segment.index.max_timestamp))
            .map(|(segment, end)| Part {
                id: segment.id,
                base: segment.base,
                end,
                size: segment.index.size,
            })
            .collect()
    }

    /// Whether a record of the dirty part has waited for longer than `max.compaction.lag.ms`.
    fn is_overdue(&self, parts: &[Part], dirty: i64, policy: Policy, now: i64) -> io::Result<bool> {
        if policy.lag.1 == i64::MAX {
            return Ok(false);
        }
        let Some(first) = parts.iter().find(|part| part.end > dirty && part.size > 0) else {
            return Ok(false);
        };
        let Some(file) = self.segment_file(first.id)? else {
            return Ok(false);
        };
        let header = Scanner::new(&file, 0, first.size, HEADER).header()?;
        Ok(header.is_some_and(|header| header.max_timestamp < now.saturating_sub(policy.lag.1)))
    }

    /// The file of a segment that is there.
    pub fn segment_file(&self, id: u64) -> io::Result<Option<Arc<File>>> {
        let segment = self.segments.iter().find(|segment| segment.id == id);
        segment
            .map(|segment| self.files.get(id, &segment_path(&self.dir, segment.base, "log"), false))
            .transpose()
    }

    /// Notes that everything before `until` was compacted. Lost with a power loss, it is done again.
    pub fn set_cleaned(&mut self, until: i64) -> io::Result<()> {
        self.cleaned = until;
        files::replace(&self.dir.join("cleaned"), until.to_string().as_bytes(), false)
    }
}

impl Plan {
    /// Carries it out.
    pub fn run(self, log: &impl Shared) -> io::Result<()> {
        self.run_with(log, KEYS)
    }

    fn run_with(&self, log: &impl Shared, keys: usize) -> io::Result<()> {
        let Some(filter) = self.survey(log, keys)? else {
            return Ok(());
        };
        for group in self.groups(filter.until) {
            let written = self.rewrite(group, &filter, log);
            if !matches!(written, Ok(Written::Made(_))) {
                remove_beside(&self.dir, group[0].base)?;
            }
            let goes_on = match written? {
                Written::Made(made) => log.replace(&made)?,
                Written::AsItWas => true,
                Written::Stopped => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
        log.cleaned(filter.until)
    }

    /// Notes the last offset of each key of the dirty part; `None` where the round was cancelled or overtaken by retention.
    fn survey(&self, log: &impl Shared, keys: usize) -> io::Result<Option<Filter>> {
        let mut filter = Filter {
            latest: Latest::new(keys),
            until: self.dirty,
            now: self.now,
            tombstones: self.policy.tombstones,
        };
        for part in self.parts.iter().filter(|part| part.end > self.dirty) {
            let Some(file) = log.file(part.id)? else {
                return Ok(None);
            };
            let mut scanner = Scanner::new(&file, 0, part.size, WALK);
            while let Some(header) = scanner.seek(|header| header.next_offset() > self.dirty)? {
                if log.is_cancelled() {
                    return Ok(None);
                }
                let full = match scanner.batch(&header)? {
                    Some(bytes) => !self.note(bytes, &header, &mut filter.latest),
                    None => false,
                };
                if full && filter.until > self.dirty {
                    // The rest is for the next round. What was noted of this batch does no harm: its records stay.
                    return Ok(Some(filter));
                }
                filter.until = header.next_offset();
                scanner.advance(&header);
                if full {
                    return Ok(Some(filter));
                }
            }
            at_end(&scanner, part)?;
            filter.until = part.end;
        }
        Ok(Some(filter))
    }

    /// Notes the records of a batch; `false` where there was no room for all.
    fn note(&self, bytes: &[u8], header: &BatchHeader, latest: &mut Latest) -> bool {
        if !batch::crc_matches(bytes, header) {
            // What a damaged batch says replaces nothing.
            return true;
        }
        let mut room = true;
        let read = records::each(bytes, header, |record| {
            if let Some(key) = record.key
                && record.offset >= self.dirty
            {
                room &= latest.note(key, record.offset);
            }
        });
        if let Err(error) = read {
            tracing::warn!(offset = header.base_offset, %error, "a batch cannot be compacted");
        }
        room
    }

    /// Segments that become one: as many as fit into `segment.bytes`, so that a log does not end as many small files.
    fn groups(&self, until: i64) -> Vec<&[Part]> {
        let parts = &self.parts[..self.parts.partition_point(|part| part.base < until)];
        let fits = |group: &[Part]| {
            let size: u64 = group.iter().map(|part| part.size).sum();
            let span = group[group.len() - 1].end - group[0].base;
            size <= self.policy.segment_bytes.min(u64::from(u32::MAX)) && span <= i64::from(i32::MAX)
        };
        let mut groups = Vec::new();
        let mut from = 0;
        for at in 1..=parts.len() {
            if at == parts.len() || !fits(&parts[from..=at]) {
                groups.push(&parts[from..at]);
                from = at;
            }
        }
        groups
    }

    /// Writes what is kept of some segments beside them, durably.
    fn rewrite(&self, group: &[Part], filter: &Filter, log: &impl Shared) -> io::Result<Written> {
        let base = group[0].base;
        let path = segment_path(&self.dir, base, "log.cleaned");
        files::step()?;
        let mut out = BufWriter::new(File::create(&path)?);
        let mut index = Index::new(base);
        let mut changed = group.len() > 1;
        for (at, part) in group.iter().enumerate() {
            let Some(file) = log.file(part.id)? else {
                return Ok(Written::Stopped);
            };
            let mut scanner = Scanner::new(&file, 0, part.size, WALK);
            while let Some(header) = scanner.header()? {
                if log.is_cancelled() {
                    return Ok(Written::Stopped);
                }
                let is_end = at + 1 == group.len() && scanner.position() + header.size as u64 == part.size;
                let bytes = scanner.batch(&header)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let must_stay = is_end || self.producers.get(&header.producer_id) == Some(&header.base_offset);
                let kept = kept(bytes, &header, filter, must_stay)?;
                changed |= kept.as_deref() != Some(bytes);
                if let Some(header) = kept.as_deref().and_then(BatchHeader::parse) {
                    out.write_all(kept.as_deref().unwrap_or_default())?;
                    let next = header.next_offset();
                    index.add(base, header.base_offset, next, header.max_timestamp, header.size as u64);
                }
                scanner.advance(&header);
            }
            at_end(&scanner, part)?;
        }
        if !changed {
            return Ok(Written::AsItWas);
        }
        files::step()?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        index.write(&segment_path(&self.dir, base, "index.cleaned"), true)?;
        tracing::debug!(dir = %self.dir.display(), base, segments = group.len(), size = index.size, "compacted");
        let old = group.to_vec();
        Ok(Written::Made(Made { old, index }))
    }
}

/// An error where a walk did not come to the end of its segment. What lies behind a place that cannot be parsed may still be read by
/// the index, so the segment stays as it is.
fn at_end(scanner: &Scanner<'_>, part: &Part) -> io::Result<()> {
    let at = scanner.position();
    if at == part.size {
        return Ok(());
    }
    let reason = format!(
        "byte {at} of the segment that begins at offset {} begins no whole batch: it is damaged, and the partition is not compacted",
        part.base
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// What stands in a batch's place; `None` for nothing. A damaged one stays as it is: made anew, its checksum would say that it is whole.
fn kept<'a>(
    bytes: &'a [u8],
    header: &BatchHeader,
    filter: &Filter,
    must_stay: bool,
) -> io::Result<Option<std::borrow::Cow<'a, [u8]>>> {
    if !batch::crc_matches(bytes, header) {
        tracing::warn!(offset = header.base_offset, "a batch is damaged and stays as it is");
        return Ok(Some(bytes.into()));
    }
    Ok(match filter.judge(bytes, header) {
        Kept::Whole => Some(bytes.into()),
        Kept::Remade(made) => Some(made.into()),
        Kept::Nothing if !must_stay => None,
        Kept::Nothing if header.count == 0 => Some(bytes.into()),
        Kept::Nothing => {
            let original = bytes.first_chunk::<HEADER>().ok_or(io::ErrorKind::UnexpectedEof)?;
            Some(batch::emptied(original, header).into())
        }
    })
}

/// Removes what was written beside a segment and is not wanted.
fn remove_beside(dir: &std::path::Path, base: i64) -> io::Result<()> {
    for extension in ["log.cleaned", "index.cleaned"] {
        super::remove(&segment_path(dir, base, extension))?;
    }
    Ok(())
}

/// How long a segment may take records: a compacted topic's are closed in time for `max.compaction.lag.ms`.
pub(crate) fn segment_age(segment_ms: i64, policy: Option<Policy>) -> Duration {
    let longest = policy.map_or(i64::MAX, |policy| policy.lag.1);
    Duration::from_millis(u64::try_from(segment_ms.min(longest)).unwrap_or(u64::MAX))
}

/// Reads how far a log was compacted; 0 where nobody knows.
pub(super) fn read_cleaned(dir: &std::path::Path) -> i64 {
    let text = fs::read_to_string(dir.join("cleaned")).unwrap_or_default();
    text.trim().parse().unwrap_or(0).max(0)
}

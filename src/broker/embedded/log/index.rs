//! The sparse index of a segment: where batches begin, by offset and by time.
//!
//! The index of the active segment lives in memory and is written when the segment is rolled or the broker stops; after a
//! crash it is rebuilt by the scan that verifies that segment anyway. So the index can never be ahead of the log.

use std::io;
use std::path::Path;

use super::files;

/// Bytes of log between two entries: a lookup reads at most this much beyond the batch it looks for.
const INTERVAL: u64 = 16 * 1024;
const MAGIC: u32 = 0x464c_4958;
const HEADER: usize = 40;
const ENTRY: usize = 16;

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// The batch's base offset less the segment's.
    relative: u32,
    position: u32,
    /// The greatest timestamp of all batches of the segment before this one.
    before: i64,
}

/// Sparse index of one segment, with what is known of the segment as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// Bytes of the log that are indexed.
    pub size: u64,
    /// The offset after the last indexed batch.
    pub next_offset: i64,
    /// The greatest timestamp of all batches; `i64::MIN` where there is none.
    pub max_timestamp: i64,
    indexed_to: u64,
}

impl Index {
    /// The index of an empty segment that begins at `base`.
    pub fn new(base: i64) -> Self {
        Self {
            entries: Vec::new(),
            size: 0,
            next_offset: base,
            max_timestamp: i64::MIN,
            indexed_to: 0,
        }
    }

    /// Adds a batch that was written at the end of the segment.
    pub fn add(&mut self, base: i64, batch_base: i64, next_offset: i64, max_timestamp: i64, size: u64) {
        if (self.entries.is_empty() || self.size >= self.indexed_to + INTERVAL)
            && let (Ok(relative), Ok(position)) = (u32::try_from(batch_base - base), u32::try_from(self.size))
        {
            self.entries.push(Entry {
                relative,
                position,
                before: self.max_timestamp,
            });
            self.indexed_to = self.size;
        }
        self.size += size;
        self.next_offset = next_offset;
        self.max_timestamp = self.max_timestamp.max(max_timestamp);
    }

    /// Where to begin looking for the batch that holds `offset`.
    pub fn position_of_offset(&self, base: i64, offset: i64) -> u64 {
        let after = self
            .entries
            .partition_point(|entry| base + i64::from(entry.relative) <= offset);
        self.position_before(after)
    }

    /// Where to begin looking for the first batch whose greatest timestamp is at least `timestamp`.
    pub fn position_of_time(&self, timestamp: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.before < timestamp);
        self.position_before(after)
    }

    fn position_before(&self, after: usize) -> u64 {
        after
            .checked_sub(1)
            .map_or(0, |at| u64::from(self.entries[at].position))
    }

    /// Writes the index beside its segment.
    pub fn write(&self, path: &Path, durable: bool) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEADER + self.entries.len() * ENTRY);
        bytes.extend_from_slice(&MAGIC.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(&self.next_offset.to_be_bytes());
        bytes.extend_from_slice(&self.max_timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.indexed_to.to_be_bytes());
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.relative.to_be_bytes());
            bytes.extend_from_slice(&entry.position.to_be_bytes());
            bytes.extend_from_slice(&entry.before.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        files::replace(path, &bytes, durable)
    }

    /// Reads an index; `None` where there is none, it is damaged, or it does not describe a log of `size` bytes.
    pub fn read(path: &Path, size: u64) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let word = |at: usize| -> Option<u64> { Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?)) };
        let head = word(0)?;
        let (magic, crc) = ((head >> 32) as u32, head as u32);
        if magic != MAGIC || crc32c::crc32c(bytes.get(8..)?) != crc || !(bytes.len() - HEADER).is_multiple_of(ENTRY) {
            return None;
        }
        let mut entries = Vec::with_capacity((bytes.len() - HEADER) / ENTRY);
        for at in (HEADER..bytes.len()).step_by(ENTRY) {
            let place = word(at)?;
            entries.push(Entry {
                relative: (place >> 32) as u32,
                position: place as u32,
                before: word(at + 8)? as i64,
            });
        }
        let index = Self {
            entries,
            size: word(8)?,
            next_offset: word(16)? as i64,
            max_timestamp: word(24)? as i64,
            indexed_to: word(32)?,
        };
        (index.size == size).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let mut index = Index::new(100);
        for n in 0..50 {
            index.add(100, 100 + n * 10, 110 + n * 10, 1000 + (n % 7) * 100, 10_000);
        }
        index
    }

    #[test]
    fn a_lookup_never_lands_behind_the_batch() {
        let index = sample();
        for n in 0..50 {
            let found = index.position_of_offset(100, 105 + n * 10);
            assert!(found <= n as u64 * 10_000 && found + INTERVAL + 10_000 > n as u64 * 10_000);
        }
        assert_eq!(index.position_of_offset(100, 0), 0);
    }

    #[test]
    fn a_time_lookup_never_lands_behind_the_first_batch_of_that_time() {
        let index = sample();
        for (time, first) in [(0, 0), (1000, 0), (1100, 1), (1600, 6)] {
            assert!(index.position_of_time(time) <= first * 10_000, "{time}");
        }
        assert!(index.position_of_time(1600) > 0);
    }

    #[test]
    fn it_is_read_back_and_a_changed_byte_or_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let index = sample();
        index.write(&path, false).unwrap();
        assert_eq!(Index::read(&path, 500_000), Some(index));
        assert_eq!(Index::read(&path, 499_999), None);
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Index::read(&path, 500_000), None, "byte {at}");
            bytes[at] ^= 0x40;
        }
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(Index::read(&path, 500_000), None, "{len} bytes");
        }
    }
}

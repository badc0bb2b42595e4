//! What compaction keeps of a batch.

use std::io::{self, BufRead, Read};

use super::super::batch::{BatchHeader, HEADER, Remade};
use super::super::codec;
use super::super::records::{self, Head, Seen};
use super::latest::Latest;

/// What is kept of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// All of it, as it is.
    Whole,
    /// This in its place.
    Remade(Vec<u8>),
    /// No record.
    Nothing,
}

/// By what records are kept.
#[derive(Debug)]
pub(super) struct Filter {
    pub latest: Latest,
    /// Records from here on are not compacted now.
    pub until: i64,
    /// Milliseconds since 1970.
    pub now: i64,
    /// `delete.retention.ms`.
    pub tombstones: i64,
}

impl Filter {
    /// The rules are those of Apache Kafka's cleaner: the last record of each key stays, tombstones until the time that was
    /// set for their batch when it was compacted first, and records without a key go.
    fn keeps(&self, header: &BatchHeader, record: &Seen) -> bool {
        let may_be_tombstone = header.delete_horizon().is_none_or(|horizon| self.now < horizon);
        let last = record.key.is_some_and(|key| self.latest.is_last(key, record.offset));
        last && (record.has_value || may_be_tombstone)
    }

    /// Judges a batch. One that cannot be read is kept as it is: whoever reads it will say so.
    pub fn judge(&self, bytes: &[u8], header: &BatchHeader) -> Kept {
        if header.base_offset >= self.until {
            return Kept::Whole;
        }
        self.try_judge(bytes, header).unwrap_or_else(|error| {
            tracing::warn!(offset = header.base_offset, %error, "a batch was not compacted");
            Kept::Whole
        })
    }

    fn try_judge(&self, bytes: &[u8], header: &BatchHeader) -> io::Result<Kept> {
        let mut keep = Vec::new();
        let mut max_timestamp = i64::MIN;
        let mut tombstones = false;
        records::each(bytes, header, |record| {
            let kept = self.keeps(header, &record);
            if kept {
                max_timestamp = max_timestamp.max(record.timestamp);
                tombstones |= !record.has_value;
            }
            keep.push(kept);
        })?;
        let count = keep.iter().filter(|kept| **kept).count();
        let horizon =
            (tombstones && header.delete_horizon().is_none()).then(|| self.now.saturating_add(self.tombstones));
        if count == 0 {
            return Ok(Kept::Nothing);
        }
        if count == keep.len() && horizon.is_none() {
            return Ok(Kept::Whole);
        }
        let remade = Remade {
            count: i32::try_from(count).map_err(io::Error::other)?,
            max_timestamp,
            delete_horizon: horizon,
        };
        remake(bytes, header, &keep, remade).map(Kept::Remade)
    }
}

/// Makes a batch of the records that are kept, and reads it back: what it replaces will be gone.
fn remake(bytes: &[u8], header: &BatchHeader, keep: &[bool], remade: Remade) -> io::Result<Vec<u8>> {
    let mut retained = Retained {
        records: records::unpacked(bytes, header)?,
        keep: keep.iter(),
        // Times are relative to the base timestamp, which a horizon replaces.
        shift: remade
            .delete_horizon
            .map_or(0, |horizon| header.base_timestamp.wrapping_sub(horizon)),
        piece: Vec::new(),
        at: 0,
        crc: 0,
    };
    let packed = codec::pack(header.codec(), &mut retained)?;
    let original = bytes.first_chunk::<HEADER>().ok_or(io::ErrorKind::UnexpectedEof)?;
    let made = remade.batch(original, header, &packed)?;
    if read_back(&made)? != retained.crc {
        return Err(io::Error::other("what was written is not what is read back"));
    }
    Ok(made)
}

/// The CRC of a batch's records as they are unpacked.
fn read_back(made: &[u8]) -> io::Result<u32> {
    let header = BatchHeader::parse(made).ok_or(io::ErrorKind::InvalidData)?;
    let mut records = records::unpacked(made, &header)?;
    let mut crc = 0;
    loop {
        let piece = records.fill_buf()?;
        if piece.is_empty() {
            return Ok(crc);
        }
        crc = crc32c::crc32c_append(crc, piece);
        let length = piece.len();
        records.consume(length);
    }
}

/// The records that are kept, as they stand in a batch before it is compressed. One record is in memory at a time.
struct Retained<'a, R> {
    records: R,
    keep: std::slice::Iter<'a, bool>,
    /// What is added to times.
    shift: i64,
    /// The current record, and how much of it was read.
    piece: Vec<u8>,
    at: usize,
    /// The CRC of what was read.
    crc: u32,
}

impl<R: BufRead> Retained<'_, R> {
    /// Goes on to the next record that is kept; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        for kept in self.keep.by_ref() {
            let (head, mut record) = records::next(&mut self.records)?;
            if !kept {
                records::skip(&mut record)?;
                continue;
            }
            let body = begin(&head, self.shift);
            let length = body.len() as u64 + record.limit();
            self.piece.clear();
            self.at = 0;
            records::put_varint(&mut self.piece, length as i64);
            self.piece.extend_from_slice(&body);
            let whole = self.piece.len() as u64 + record.limit();
            record.read_to_end(&mut self.piece)?;
            if self.piece.len() as u64 != whole {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// What a record begins with after its length.
fn begin(head: &Head, shift: i64) -> Vec<u8> {
    let mut body = vec![head.attributes];
    records::put_varint(&mut body, head.timestamp.wrapping_add(shift));
    body
}

impl<R: BufRead> Read for Retained<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.advance()? {
            return Ok(0);
        }
        let size = out.len().min(self.piece.len() - self.at);
        out[..size].copy_from_slice(&self.piece[self.at..self.at + size]);
        self.at += size;
        self.crc = crc32c::crc32c_append(self.crc, &out[..size]);
        Ok(size)
    }
}

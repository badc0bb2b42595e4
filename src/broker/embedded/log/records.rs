//! Looks into a batch for its records, which only a search by time, a compacted topic and compaction need; the data path
//! never does.
//!
//! Records are read as they are decompressed: what a batch claims to hold costs no memory.

use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest, Sha256};

use super::batch::{BatchHeader, HEADER};
use super::codec;

/// The most that a batch may unpack to: far more than an honest producer compresses, and seconds of work for a hostile one.
pub(crate) const MAX_UNPACKED: u64 = 512 << 20;

/// A key's hash: half of its SHA-256, so that nobody can make two keys that are taken for one.
pub(crate) type KeyHash = u128;

/// What is known of a record without keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub offset: i64,
    pub timestamp: i64,
    /// `None` where the record has no key.
    pub key: Option<KeyHash>,
    /// Whether it is no tombstone.
    pub has_value: bool,
}

/// The timestamp and offset of the first record of a batch that is at or after `time` and not before the offset `start`.
///
/// A batch that cannot be read is answered with its first offset: to begin a little early loses nothing.
pub(crate) fn first_at(batch: &[u8], header: &BatchHeader, time: i64, start: i64) -> Option<(i64, i64)> {
    if header.count == 0 {
        return None;
    }
    if header.is_log_append_time() {
        let first = header.base_offset.max(start);
        return (header.max_timestamp >= time && first < header.next_offset()).then_some((header.max_timestamp, first));
    }
    match search(batch, header, time, start) {
        Ok(found) => found,
        Err(_) => Some((header.max_timestamp, header.base_offset.max(start))),
    }
}

fn search(batch: &[u8], header: &BatchHeader, time: i64, start: i64) -> io::Result<Option<(i64, i64)>> {
    let mut records = unpacked(batch, header)?;
    for _ in 0..header.count {
        let (head, mut record) = next(&mut records)?;
        let timestamp = header.base_timestamp.wrapping_add(head.timestamp);
        let offset = header.base_offset.wrapping_add(varint(&mut record)?);
        if timestamp >= time && offset >= start {
            return Ok(Some((timestamp, offset)));
        }
        skip(&mut record)?;
    }
    Ok(None)
}

/// Walks the records of a batch. An error says that it cannot be read, or is not what its header says.
pub(crate) fn each(batch: &[u8], header: &BatchHeader, mut seen: impl FnMut(Seen)) -> io::Result<()> {
    let mut records = unpacked(batch, header)?;
    let mut before = -1;
    for _ in 0..header.count {
        let (head, mut record) = next(&mut records)?;
        let delta = varint(&mut record)?;
        if delta <= before || delta > i64::from(header.last_offset_delta) {
            return Err(io::Error::other("the records' offsets are not those of the batch"));
        }
        before = delta;
        let key = key(&mut record)?;
        let has_value = varint(&mut record)? >= 0;
        skip(&mut record)?;
        seen(Seen {
            offset: header.base_offset.wrapping_add(delta),
            timestamp: if header.is_log_append_time() {
                header.max_timestamp
            } else {
                header.base_timestamp.wrapping_add(head.timestamp)
            },
            key,
            has_value,
        });
    }
    match records.fill_buf()?.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other("something follows the last record")),
    }
}

/// The records of a batch as they are decompressed; the end comes early where they are more than a batch may hold.
pub(super) fn unpacked<'a>(batch: &'a [u8], header: &BatchHeader) -> io::Result<impl BufRead + use<'a>> {
    let packed = batch.get(HEADER..header.size).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(BufReader::new(
        codec::reader(header.codec(), packed)?.take(MAX_UNPACKED),
    ))
}

/// What a record begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub attributes: u8,
    /// Relative to the batch's base timestamp.
    pub timestamp: i64,
}

/// The next record: its head, and what follows it.
pub(super) fn next<R: Read>(records: &mut R) -> io::Result<(Head, io::Take<&mut R>)> {
    let length = u64::try_from(varint(records)?).map_err(io::Error::other)?;
    let mut record = records.take(length);
    let attributes = byte(&mut record)?;
    let timestamp = varint(&mut record)?;
    Ok((Head { attributes, timestamp }, record))
}

/// Passes the rest of a record.
pub(super) fn skip(record: &mut io::Take<impl Read>) -> io::Result<()> {
    io::copy(record, &mut io::sink())?;
    match record.limit() {
        0 => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Passes a key, and answers with its hash.
fn key(record: &mut impl Read) -> io::Result<Option<KeyHash>> {
    let Ok(length) = u64::try_from(varint(record)?) else {
        return Ok(None);
    };
    let mut hasher = Sha256::new();
    let mut left = length;
    let mut piece = [0; 512];
    while left > 0 {
        let size = left.min(piece.len() as u64) as usize;
        record.read_exact(&mut piece[..size])?;
        hasher.update(&piece[..size]);
        left -= size as u64;
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    Ok(Some(u128::from_be_bytes(half)))
}

fn byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A zigzag-encoded number.
fn varint(reader: &mut impl Read) -> io::Result<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(reader)?;
        value |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(io::Error::other("a number is too long"))
}

/// Writes a number as records have it.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::batch::tests::batch;
    use super::*;

    /// A record as a test writes it: key, value, and its time less the batch's.
    pub(crate) type Plain<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, i64);

    /// A batch of records, compressed by `codec`.
    pub(crate) fn of(records: &[Plain<'_>], codec: i16, timestamp: i64, producer: (i64, i16, i32)) -> Vec<u8> {
        let mut plain = Vec::new();
        for (at, (key, value, time)) in records.iter().enumerate() {
            let mut record = vec![0];
            put_varint(&mut record, *time);
            put_varint(&mut record, at as i64);
            for part in [key, value] {
                put_varint(&mut record, part.map_or(-1, |part| part.len() as i64));
                record.extend_from_slice(part.unwrap_or_default());
            }
            put_varint(&mut record, 0);
            put_varint(&mut plain, record.len() as i64);
            plain.extend_from_slice(&record);
        }
        let packed = codec::pack(codec, &mut &*plain).unwrap();
        let mut bytes = batch(records.len() as i32, &packed, timestamp, producer);
        let greatest = records.iter().map(|(.., time)| *time).max().unwrap_or(0);
        bytes[21..23].copy_from_slice(&codec.to_be_bytes());
        bytes[35..43].copy_from_slice(&(timestamp + greatest).to_be_bytes());
        super::super::batch::seal(&mut bytes);
        bytes
    }

    fn seen(bytes: &[u8]) -> io::Result<Vec<Seen>> {
        let mut all = Vec::new();
        each(bytes, &BatchHeader::parse(bytes).unwrap(), |seen| all.push(seen))?;
        Ok(all)
    }

    #[test]
    fn records_are_seen_with_every_codec() {
        let long = [7; 2000];
        let records: [Plain<'_>; 4] = [
            (Some(b"a"), Some(b"1"), 0),
            (None, Some(b""), 5),
            (Some(&long), None, 1),
            (Some(b"a"), None, 70_000),
        ];
        for codec in 0..=4 {
            let all = seen(&of(&records, codec, 1000, (-1, -1, -1))).unwrap();
            let told: Vec<_> = all
                .iter()
                .map(|s| (s.offset, s.timestamp, s.key.is_some(), s.has_value))
                .collect();
            assert_eq!(
                told,
                [
                    (0, 1000, true, true),
                    (1, 1005, false, true),
                    (2, 1001, true, false),
                    (3, 71_000, true, false)
                ],
                "codec {codec}"
            );
            assert!(all[0].key == all[3].key && all[0].key != all[2].key);
        }
    }

    #[test]
    fn what_is_not_what_its_header_says_is_an_error() {
        let good = of(
            &[(Some(b"a"), Some(b"1"), 0), (Some(b"b"), Some(b"2"), 0)],
            0,
            0,
            (-1, -1, -1),
        );
        assert_eq!(seen(&good).unwrap().len(), 2);
        for (at, value) in [(60, 1), (60, 3), (26, 0), (61, 0x7f), (64, 2), (65, 0x7e)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(seen(&bad).is_err(), "byte {at}");
        }
    }
}

//! Looks into a batch for one record, which only a search by time needs; the data path never does.

use std::io::{self, Read};

use super::batch::{BatchHeader, HEADER};
use super::codec;

/// The timestamp and offset of the first record of a batch that is at or after `time` and not before the offset `start`.
///
/// A batch that cannot be read is answered with its first offset: to begin a little early loses nothing.
pub(crate) fn first_at(batch: &[u8], header: &BatchHeader, time: i64, start: i64) -> Option<(i64, i64)> {
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
    let mut records = codec::reader(header.codec(), &batch[HEADER..header.size])?;
    for _ in 0..header.count {
        let length = u64::try_from(varint(&mut records)?).map_err(io::Error::other)?;
        let mut record = (&mut records).take(length);
        byte(&mut record)?;
        let timestamp = header.base_timestamp.wrapping_add(varint(&mut record)?);
        let offset = header.base_offset.wrapping_add(varint(&mut record)?);
        if timestamp >= time && offset >= start {
            return Ok(Some((timestamp, offset)));
        }
        io::copy(&mut record, &mut io::sink())?;
    }
    Ok(None)
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

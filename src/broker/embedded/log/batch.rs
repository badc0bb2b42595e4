//! The header of a record batch (message format v2): the only part of a batch that the data path looks at.
//!
//! Layout: <https://kafka.apache.org/documentation/#recordbatch>. A batch is stored as the producer sent it; only base offset
//! and partition leader epoch are set here, and both stand outside the CRC. Compaction alone makes batches anew.

use std::io;

/// Bytes of a batch before its records.
pub(crate) const HEADER: usize = 61;
/// Base offset and length: what `length` does not count.
pub(crate) const PREFIX: usize = 12;
/// Base offset, length and leader epoch: what is patched when a batch is stored.
pub(crate) const PATCHED: usize = 16;
/// Where the bytes begin that the CRC covers.
const CRC_FROM: usize = 21;
/// The leader epoch of every batch: there is one node, and it never loses an election.
pub(crate) const LEADER_EPOCH: i32 = 0;

const TIMESTAMP_TYPE: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;
const CODEC: i16 = 0x07;

/// What a batch's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub base_offset: i64,
    /// Bytes of the whole batch, prefix included.
    pub size: usize,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; `None` where they are too few or the length is impossible.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let length = i32::from_be_bytes(array(bytes, 8)?);
        let size = usize::try_from(length).ok()?.checked_add(PREFIX)?;
        if bytes.len() < HEADER || size < HEADER {
            return None;
        }
        Some(Self {
            base_offset: i64::from_be_bytes(array(bytes, 0)?),
            size,
            magic: i8::from_be_bytes(array(bytes, 16)?),
            crc: u32::from_be_bytes(array(bytes, 17)?),
            attributes: i16::from_be_bytes(array(bytes, 21)?),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)?),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)?),
            producer_id: i64::from_be_bytes(array(bytes, 43)?),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)?),
            base_sequence: i32::from_be_bytes(array(bytes, 53)?),
            count: i32::from_be_bytes(array(bytes, 57)?),
        })
    }

    /// The offset after the batch's last record.
    pub fn next_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
            .saturating_add(1)
    }

    /// The codec's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn codec(&self) -> i16 {
        self.attributes & CODEC
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// From when on compaction may remove the batch's tombstones, where it has set that.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether the records' times are the batch's maximum, because the topic says `LogAppendTime`.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }
}

/// Whether the CRC of a whole batch is that of its bytes.
pub(crate) fn crc_matches(batch: &[u8], header: &BatchHeader) -> bool {
    batch
        .get(CRC_FROM..header.size)
        .is_some_and(|covered| crc32c::crc32c(covered) == header.crc)
}

/// Stamps a copy of `batch` with the time of its arrival, as a topic with `message.timestamp.type=LogAppendTime` asks.
pub(crate) fn with_append_time(batch: &[u8], header: &BatchHeader, now: i64) -> Vec<u8> {
    let mut stamped = batch.to_vec();
    stamped[21..23].copy_from_slice(&(header.attributes | TIMESTAMP_TYPE).to_be_bytes());
    stamped[35..43].copy_from_slice(&now.to_be_bytes());
    stamped.truncate(header.size);
    seal(&mut stamped);
    stamped
}

/// A batch of fewer records with the offsets, the codec and the producer's numbers of the one that it was made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remade {
    pub count: i32,
    pub max_timestamp: i64,
    /// What it has in place of the base timestamp, if so.
    pub delete_horizon: Option<i64>,
}

impl Remade {
    /// The batch, with its records as they are compressed.
    pub fn batch(self, original: &[u8; HEADER], header: &BatchHeader, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(HEADER + packed.len());
        bytes.extend_from_slice(original);
        bytes.extend_from_slice(packed);
        let length = i32::try_from(bytes.len() - PREFIX).map_err(io::Error::other)?;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        if let Some(horizon) = self.delete_horizon {
            bytes[21..23].copy_from_slice(&(header.attributes | DELETE_HORIZON).to_be_bytes());
            bytes[27..35].copy_from_slice(&horizon.to_be_bytes());
        }
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.count.to_be_bytes());
        seal(&mut bytes);
        Ok(bytes)
    }
}

/// The batch without any record: what is left to tell where offsets end and what a producer wrote last.
pub(crate) fn emptied(original: &[u8; HEADER], header: &BatchHeader) -> Vec<u8> {
    let mut bytes = original.to_vec();
    bytes[8..12].copy_from_slice(&((HEADER - PREFIX) as i32).to_be_bytes());
    bytes[21..23].copy_from_slice(&(header.attributes & !(CODEC | DELETE_HORIZON)).to_be_bytes());
    // Retention goes by it: what holds no record must not look as if it were the oldest.
    bytes[27..35].copy_from_slice(&header.max_timestamp.to_be_bytes());
    bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
    seal(&mut bytes);
    bytes
}

/// Sets the CRC of a whole batch.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// The first bytes of a batch as they are stored.
pub(crate) fn patched(batch: &[u8], base_offset: i64) -> [u8; PATCHED] {
    let mut head = [0; PATCHED];
    head[..8].copy_from_slice(&base_offset.to_be_bytes());
    head[8..12].copy_from_slice(&batch[8..12]);
    head[12..].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    head
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `count` records with `payload` where the records would stand.
    pub(crate) fn batch(count: i32, payload: &[u8], timestamp: i64, producer: (i64, i16, i32)) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(payload);
        let length = (bytes.len() - PREFIX) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&producer.0.to_be_bytes());
        bytes[51..53].copy_from_slice(&producer.1.to_be_bytes());
        bytes[53..57].copy_from_slice(&producer.2.to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        seal(&mut bytes);
        bytes
    }

    #[test]
    fn a_header_is_read_back() {
        let bytes = batch(3, b"abc", 42, (7, 1, 9));
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.size, header.count, header.next_offset()), (bytes.len(), 3, 3));
        assert_eq!(
            (header.producer_id, header.producer_epoch, header.base_sequence),
            (7, 1, 9)
        );
        assert!(crc_matches(&bytes, &header));
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let mut bytes = batch(1, b"abc", 42, (-1, -1, -1));
        let header = BatchHeader::parse(&bytes).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(!crc_matches(&bytes, &header));
    }

    #[test]
    fn patching_leaves_the_crc_valid() {
        let mut bytes = batch(1, b"abc", 42, (-1, -1, -1));
        let head = patched(&bytes, 99);
        bytes[..PATCHED].copy_from_slice(&head);
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.base_offset, 99);
        assert!(crc_matches(&bytes, &header));
    }

    #[test]
    fn append_time_replaces_the_maximum_and_keeps_the_crc_valid() {
        let bytes = batch(1, b"abc", 42, (-1, -1, -1));
        let stamped = with_append_time(&bytes, &BatchHeader::parse(&bytes).unwrap(), 1000);
        let header = BatchHeader::parse(&stamped).unwrap();
        assert!(header.is_log_append_time() && crc_matches(&stamped, &header));
        assert_eq!(header.max_timestamp, 1000);
    }

    #[test]
    fn impossible_lengths_are_no_header() {
        let mut bytes = batch(1, b"", 0, (-1, -1, -1));
        for length in [-1, 0, 48, i32::MIN] {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            assert_eq!(BatchHeader::parse(&bytes), None);
        }
        assert_eq!(BatchHeader::parse(&bytes[..60]), None);
    }
}

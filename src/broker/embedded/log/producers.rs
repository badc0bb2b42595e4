//! What a partition remembers of idempotent producers: epochs and the last batches, so that a retry is told from a gap.
//!
//! The rules are those of Apache Kafka's `ProducerStateManager`: a batch that equals one of the last five is answered with
//! its offset, a new epoch begins at sequence 0, anything else must follow the last sequence. An unknown producer may begin
//! anywhere, because its state may have been expired or deleted with the records.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use super::batch::BatchHeader;
use super::files;

/// How many batches a producer may have in flight (`max.in.flight.requests.per.connection` of idempotent producers).
const REMEMBERED: usize = 5;
/// Producers that a partition remembers; beyond this the one that wrote least recently is forgotten, as expiry would.
const CAPACITY: usize = 10_000;
const MAGIC: u32 = 0x464c_5052;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    first: i32,
    last: i32,
    base_offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Written>,
}

/// What to do with a batch of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Append,
    /// It was written before, at this offset.
    Duplicate(i64),
    /// A batch before it is missing, or it is an old one that is no longer remembered.
    OutOfOrder,
    /// A newer instance of the producer has written already.
    OldEpoch,
}

/// The idempotent producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
}

/// The sequence number `count` records after `from`; sequences wrap at `i32::MAX` to 0.
fn after(from: i32, count: i32) -> i32 {
    let sum = i64::from(from) + i64::from(count);
    (sum % (i64::from(i32::MAX) + 1)) as i32
}

impl Producers {
    /// Judges a batch; batches of producers without an id are always appended.
    pub fn check(&self, batch: &BatchHeader) -> Verdict {
        let Some(known) = self.known.get(&batch.producer_id) else {
            return Verdict::Append;
        };
        if batch.producer_epoch < known.epoch {
            return Verdict::OldEpoch;
        }
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 {
                Verdict::Append
            } else {
                Verdict::OutOfOrder
            };
        }
        let last = after(batch.base_sequence, batch.last_offset_delta);
        let same = known
            .batches
            .iter()
            .find(|b| b.first == batch.base_sequence && b.last == last);
        match (same, known.batches.back()) {
            (Some(written), _) => Verdict::Duplicate(written.base_offset),
            (None, Some(newest)) if after(newest.last, 1) != batch.base_sequence => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Remembers a batch that was written with its base offset set.
    pub fn record(&mut self, batch: &BatchHeader) {
        if batch.producer_id < 0 {
            return;
        }
        if self.known.len() >= CAPACITY && !self.known.contains_key(&batch.producer_id) {
            self.forget_oldest();
        }
        let producer = self.known.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            batches: VecDeque::with_capacity(REMEMBERED),
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written {
            first: batch.base_sequence,
            last: after(batch.base_sequence, batch.last_offset_delta),
            base_offset: batch.base_offset,
        });
    }

    /// Of each producer the base offset of its last batch.
    pub fn last_batches(&self) -> HashMap<i64, i64> {
        let last = |(id, producer): (&i64, &Producer)| Some((*id, producer.batches.back()?.base_offset));
        self.known.iter().filter_map(last).collect()
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .known
            .iter()
            .min_by_key(|(_, producer)| producer.batches.back().map(|b| b.base_offset))
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.known.remove(&id);
        }
    }

    /// Writes the state, as it is before a segment's first batch or at the log's end.
    pub fn write(&self, path: &Path, durable: bool) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(8 + self.known.len() * 96);
        bytes.extend_from_slice(&MAGIC.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for (id, producer) in &self.known {
            bytes.extend_from_slice(&id.to_be_bytes());
            bytes.extend_from_slice(&producer.epoch.to_be_bytes());
            bytes.push(producer.batches.len() as u8);
            for batch in &producer.batches {
                bytes.extend_from_slice(&batch.first.to_be_bytes());
                bytes.extend_from_slice(&batch.last.to_be_bytes());
                bytes.extend_from_slice(&batch.base_offset.to_be_bytes());
            }
        }
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        files::replace(path, &bytes, durable)
    }

    /// Reads a state; `None` where there is none or it is damaged.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let (head, mut rest) = bytes.split_at_checked(8)?;
        if head[..4] != MAGIC.to_be_bytes() || head[4..] != crc32c::crc32c(rest).to_be_bytes() {
            return None;
        }
        let mut known = HashMap::new();
        while !rest.is_empty() {
            let id = i64::from_be_bytes(take(&mut rest)?);
            let epoch = i16::from_be_bytes(take(&mut rest)?);
            let [count] = take(&mut rest)?;
            let mut batches = VecDeque::with_capacity(REMEMBERED);
            for _ in 0..count {
                batches.push_back(Written {
                    first: i32::from_be_bytes(take(&mut rest)?),
                    last: i32::from_be_bytes(take(&mut rest)?),
                    base_offset: i64::from_be_bytes(take(&mut rest)?),
                });
            }
            known.insert(id, Producer { epoch, batches });
        }
        Some(Self { known })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::batch;
    use super::*;

    fn header(epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchHeader {
        let mut header = BatchHeader::parse(&batch(count, b"", 0, (7, epoch, sequence))).unwrap();
        header.base_offset = offset;
        header
    }

    fn after_three() -> Producers {
        let mut producers = Producers::default();
        producers.record(&header(1, 0, 10, 100));
        producers.record(&header(1, 10, 5, 110));
        producers.record(&header(1, 15, 1, 115));
        producers
    }

    #[test]
    fn a_retry_is_answered_with_its_offset() {
        let producers = after_three();
        assert_eq!(producers.check(&header(1, 0, 10, 0)), Verdict::Duplicate(100));
        assert_eq!(producers.check(&header(1, 15, 1, 0)), Verdict::Duplicate(115));
    }

    #[test]
    fn the_next_one_is_appended_and_a_gap_or_an_overlap_is_refused() {
        let producers = after_three();
        assert_eq!(producers.check(&header(1, 16, 3, 0)), Verdict::Append);
        assert_eq!(producers.check(&header(1, 17, 3, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(1, 0, 4, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(1, 15, 2, 0)), Verdict::OutOfOrder);
    }

    #[test]
    fn epochs_fence() {
        let mut producers = after_three();
        assert_eq!(producers.check(&header(0, 16, 1, 0)), Verdict::OldEpoch);
        assert_eq!(producers.check(&header(2, 16, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(2, 0, 1, 0)), Verdict::Append);
        producers.record(&header(2, 0, 1, 116));
        assert_eq!(producers.check(&header(1, 16, 1, 0)), Verdict::OldEpoch);
        assert_eq!(producers.check(&header(2, 0, 1, 0)), Verdict::Duplicate(116));
    }

    #[test]
    fn only_the_last_five_are_remembered() {
        let mut producers = Producers::default();
        for n in 0..7 {
            producers.record(&header(0, n, 1, i64::from(n)));
        }
        assert_eq!(producers.check(&header(0, 1, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.check(&header(0, 2, 1, 0)), Verdict::Duplicate(2));
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.record(&header(0, i32::MAX - 1, 2, 0));
        assert_eq!(producers.check(&header(0, 0, 1, 0)), Verdict::Append);
        producers.record(&header(0, 0, 1, 2));
        producers.record(&header(0, i32::MAX, 1, 3));
        assert_eq!(producers.check(&header(0, 0, 5, 0)), Verdict::Append);
    }

    #[test]
    fn the_state_is_read_back_and_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        let producers = after_three();
        producers.write(&path, false).unwrap();
        assert_eq!(Producers::read(&path), Some(producers));
        let bytes = std::fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(Producers::read(&path), None, "{len} bytes");
        }
    }
}

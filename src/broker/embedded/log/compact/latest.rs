//! The last offset of each key in the part of a log that is compacted for the first time.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use super::super::records::KeyHash;

/// Keys that are held at once: a table of 2²⁰ places of 32 bytes and one more each, so 33 MiB, and 16 MiB more for as long as
/// it grows. Where a log has more keys, it is compacted in several rounds.
pub(super) const KEYS: usize = (1 << 20) / 8 * 7;

/// Hashes are as good as random already.
#[derive(Debug, Clone, Copy, Default)]
struct AsItIs;

#[derive(Debug, Clone, Copy, Default)]
struct Taken(u64);

impl BuildHasher for AsItIs {
    type Hasher = Taken;

    fn build_hasher(&self) -> Taken {
        Taken(0)
    }
}

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// What Apache Kafka calls the offset map: hashes of keys and offsets, no keys.
#[derive(Debug)]
pub(super) struct Latest {
    offsets: HashMap<KeyHash, i64, AsItIs>,
    keys: usize,
}

impl Latest {
    /// Takes `keys` keys at most.
    pub fn new(keys: usize) -> Self {
        Self {
            offsets: HashMap::default(),
            keys,
        }
    }

    /// Notes a record; `false` where there is no room for another key.
    pub fn note(&mut self, key: KeyHash, offset: i64) -> bool {
        if self.offsets.len() >= self.keys && !self.offsets.contains_key(&key) {
            return false;
        }
        self.offsets.insert(key, offset);
        true
    }

    /// Whether no later record of its key is known.
    pub fn is_last(&self, key: KeyHash, offset: i64) -> bool {
        self.offsets.get(&key).is_none_or(|last| offset >= *last)
    }
}

//! A lake: a topic's records as NDJSON or Parquet files in folders by date, each record once.
//!
//! ```text
//! DIR/orders/dt=2026-01-31/part-00000-00000000000000000120.ndjson      partition and the offset of its first record
//! DIR/orders/_foldlog.json                                             how far each partition is in the files, and what they are
//! ```
//!
//! Records are gathered in files that nobody sees and are put in place together: each file is made durable and renamed, then the
//! offsets are written, in one rename too. What a crash leaves between the two has offsets that are not written yet, and is taken
//! away at the next start, before the same records are read again.

mod folder;
mod parquet;
mod read;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::record::{Position, RecordRef, TopicPartition};

use super::address::LakeAddress;
use super::error::SinkError;

use folder::{Folder, Part};
pub use folder::{count, forget};
pub use read::read;

/// Files that are written at the same time at most: a late record has a folder of its own.
const OPEN: usize = 200;
/// Bytes that are gathered at most.
const BYTES: u64 = 256 * 1024 * 1024;
/// Bytes that are kept in memory at most, where files have columns.
const GROUP: u64 = 32 * 1024 * 1024;

/// A lake that records are written to.
#[derive(Debug)]
pub struct Lake {
    address: LakeAddress,
    topics: BTreeMap<String, Folder>,
    /// The files that are being written, by topic, partition and date.
    parts: BTreeMap<(String, i32, String), Part>,
    next: Position,
    /// Bytes that were gathered, and those of them that may be in memory still.
    bytes: u64,
    kept: u64,
    /// When the first record that is not in place was written.
    since: Option<Instant>,
}

/// What a lake is told of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeTopic {
    /// Its name.
    pub name: String,
    /// The id that the cluster gave it, where it gives any.
    pub id: Option<String>,
}

impl Lake {
    /// Opens it for the topics of a cluster. What a crash left is taken away. A topic that another process writes here, or whose
    /// files are of another topic of that name, is an error.
    pub fn open(address: &LakeAddress, cluster: &str, topics: &[LakeTopic]) -> Result<Self, SinkError> {
        let mut lake = Self {
            address: address.clone(),
            topics: BTreeMap::new(),
            parts: BTreeMap::new(),
            next: Position::new(),
            bytes: 0,
            kept: 0,
            since: None,
        };
        for topic in topics {
            let folder = Folder::open(address, cluster, topic)?;
            for (partition, next) in &folder.state().next {
                lake.next
                    .set(TopicPartition::new(topic.name.as_str(), *partition), *next);
            }
            lake.topics.insert(topic.name.clone(), folder);
        }
        Ok(lake)
    }

    /// The next offset of each partition, after everything that is in place or was written.
    pub fn position(&self) -> &Position {
        &self.next
    }

    /// How many records are in place.
    pub fn records(&self) -> u64 {
        self.topics.values().map(|folder| folder.state().records).sum()
    }

    /// Takes a record. One that it has already is left out.
    pub fn write(&mut self, record: &RecordRef<'_>) -> Result<(), SinkError> {
        let at = TopicPartition::new(record.topic, record.partition);
        if self.next.next(&at).is_some_and(|next| record.offset < next) {
            return Ok(());
        }
        let Some(folder) = self.topics.get(record.topic) else {
            return Ok(());
        };
        let key = (
            record.topic.to_owned(),
            record.partition,
            folder::date(record.timestamp),
        );
        if !self.parts.contains_key(&key) {
            if self.parts.len() >= OPEN {
                self.cut()?;
                return self.write(record);
            }
            let part = folder.part(record.partition, record.offset, &key.2)?;
            self.parts.insert(key.clone(), part);
        }
        if let Some(part) = self.parts.get_mut(&key) {
            let bytes = part.write(record)?;
            self.bytes += bytes;
            self.kept += bytes;
        }
        self.next.set(at, record.offset + 1);
        self.since.get_or_insert_with(Instant::now);
        if self.bytes >= BYTES {
            self.cut()?;
        } else if self.kept >= GROUP {
            self.parts.values_mut().try_for_each(Part::flush)?;
            self.kept = 0;
        }
        Ok(())
    }

    /// Moves on past offsets that hold no record.
    pub fn advance(&mut self, position: &Position) {
        for (at, next) in position.iter() {
            if self.next.next(at).is_none_or(|known| known < next) && self.topics.contains_key(&*at.topic) {
                self.next.set(at.clone(), next);
            }
        }
    }

    /// Whether what was gathered has waited long enough.
    pub fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= self.address.every)
    }

    /// Whether everything that it took is in place.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Puts what was gathered in place. Returns how many records.
    pub fn cut(&mut self) -> Result<u64, SinkError> {
        let mut placed: BTreeMap<String, u64> = BTreeMap::new();
        for ((topic, ..), part) in std::mem::take(&mut self.parts) {
            *placed.entry(topic).or_default() += part.place()?;
        }
        let placed = self
            .topics
            .keys()
            .map(|topic| (topic.clone(), placed.get(topic).copied().unwrap_or(0)));
        let placed: Vec<(String, u64)> = placed.filter(|(_, records)| *records > 0).collect();
        for (topic, records) in &placed {
            let Some(folder) = self.topics.get_mut(topic) else {
                continue;
            };
            let of_topic = self.next.iter().filter(|(at, _)| *at.topic == **topic);
            let next = of_topic.map(|(at, next)| (at.partition, next)).collect();
            folder.commit(next, *records)?;
        }
        (self.bytes, self.kept) = (0, 0);
        self.since = None;
        Ok(placed.iter().map(|(_, records)| records).sum())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.address.dir
    }
}

#[cfg(test)]
#[path = "lake_tests.rs"]
mod tests;

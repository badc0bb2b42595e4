//! A Kafka record as the rest of the program sees it, where it stands in the log, and when it was written.
//!
//! Two shapes of the same thing: [`RecordRef`] borrows from the memory of the client library, so that a replay of
//! millions of records allocates nothing for them; [`Record`] owns its bytes, for a record that outlives its batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z, as Kafka stores them. `-1` in the protocol means "none" and is never built here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time by this machine's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// One header of a record. Keys may repeat and need not be unique; a value may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's key; bytes that are not UTF-8 are replaced, because the client library hands it over as a C string.
    pub key: String,
    /// The value's bytes, or `None` for a null value.
    pub value: Option<Vec<u8>>,
}

/// A record borrowed from the batch that holds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// The topic that the record was read from.
    pub topic: &'a str,
    /// The partition that the record was read from.
    pub partition: i32,
    /// The record's offset in its partition.
    pub offset: i64,
    /// When the record was created, or appended where the topic says so.
    pub timestamp: Option<Timestamp>,
    /// The key's bytes; `None` for a null key, which is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers in the order they were written.
    pub headers: &'a [Header],
}

impl RecordRef<'_> {
    /// Copies the record out of its batch.
    pub fn to_record(&self) -> Record {
        Record {
            topic: self.topic.into(),
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: self.headers.to_vec(),
        }
    }

    /// Bytes of key, value and headers together: what the record weighs on the wire before compression, without framing.
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.key.len() + h.value.as_ref().map_or(0, Vec::len))
            .sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic that the record was read from.
    pub topic: Arc<str>,
    /// The partition that the record was read from.
    pub partition: i32,
    /// The record's offset in its partition.
    pub offset: i64,
    /// When the record was created, or appended where the topic says so.
    pub timestamp: Option<Timestamp>,
    /// The key's bytes; `None` for a null key.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in the order they were written.
    pub headers: Vec<Header>,
}

impl Record {
    /// The record as a view, for code that takes either shape.
    pub fn view(&self) -> RecordRef<'_> {
        RecordRef {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// How far a reader has come: for each partition the offset of the *next* record to read, as Kafka's committed offsets mean it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(BTreeMap<TopicPartition, i64>);

impl Position {
    /// The position before anything was read.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next offset to read of a partition, if the partition is known.
    pub fn next(&self, partition: &TopicPartition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Sets the next offset to read of a partition.
    pub fn set(&mut self, partition: TopicPartition, next: i64) {
        self.0.insert(partition, next);
    }

    /// Every partition with its next offset, in the order of topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.0.iter().map(|(partition, next)| (partition, *next))
    }

    /// How many partitions are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no partition is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(TopicPartition, i64)> for Position {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, i64)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

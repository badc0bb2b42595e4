//! What a mirror knows of itself: for each partition, which offsets of the source stand from which of its own on. It lies in a
//! compacted topic of the target, where it goes with the records.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use serde::{Deserialize, Serialize};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::NewRecord;
use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::broker::topics::{NewTopic, TopicInfo};
use crate::broker::transaction::TransactionalProducer;
use crate::replay::error::ReplayError;

use super::target::LOOK;

/// The topic that holds it.
pub(super) const TOPIC: &str = "foldlog-mirror";
const WAIT: Duration = Duration::from_millis(50);
/// How long the target may take to acknowledge that something is forgotten.
const WRITE: Duration = Duration::from_secs(40);

/// The name under which topics of a cluster are mirrored, of which only one mirror at a time has it.
pub(super) fn name(cluster: &str, topics: &[String]) -> String {
    let mut topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    topics.sort_unstable();
    topics.dedup();
    // A topic's name has no comma.
    let digest = Sha256::digest(topics.join(","));
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("foldlog-mirror-{cluster}-{short}")
}

/// The last batch of a partition: what was written, or was about to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The target's offset of its first record.
    pub(super) target: i64,
    /// The id of the source's topic, where it has one.
    pub(super) topic: Option<String>,
    /// The id of the target's topic, where it has one.
    #[serde(default)]
    pub(super) there: Option<String>,
    /// Whether it came in one transaction with its records, so that all of them are there.
    pub(super) whole: bool,
    /// The source's offsets: where a run of them begins, and how many there are.
    pub(super) ranges: Vec<(i64, i64)>,
}

impl Entry {
    /// That nothing was written yet, at this end of the target.
    pub(super) fn nothing(end: i64) -> Self {
        Self {
            target: end,
            ..Self::default()
        }
    }

    /// Adds the next record.
    pub(super) fn add(&mut self, offset: i64) {
        match self.ranges.last_mut() {
            Some((from, count)) if *from + *count == offset => *count += 1,
            _ => self.ranges.push((offset, 1)),
        }
    }

    /// How many records.
    pub(super) fn len(&self) -> i64 {
        self.ranges.iter().map(|(_, count)| count).sum()
    }

    /// The source's offset after the last record that came, where the target's partition ends at `end`; `None` where that cannot
    /// be. Behind what came in a transaction there are markers.
    pub(super) fn next(&self, end: i64) -> Option<i64> {
        let there = end - self.target;
        let mut came = if self.whole { there.min(self.len()) } else { there };
        if came < 0 || came > self.len() || self.whole && came < self.len() {
            return None;
        }
        let mut next = self.ranges.first().map(|(from, _)| *from)?;
        for (from, count) in &self.ranges {
            if came == 0 {
                break;
            }
            next = from + came.min(*count);
            came -= came.min(*count);
        }
        Some(next)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Numbers and texts always make JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// An entry as a record.
pub(super) fn record<'a>(key: &'a str, value: &'a [u8]) -> NewRecord<'a> {
    NewRecord {
        topic: TOPIC,
        partition: Some(0),
        key: Some(key.as_bytes()),
        value: Some(value),
        timestamp: None,
        headers: &[],
    }
}

/// The ledger's topic; `None` where it was made just now, so that nothing of this mirror can be in it.
fn find_or_make(target: &Client) -> Result<Option<TopicInfo>, BrokerError> {
    if let Some(info) = target.topics()?.into_iter().find(|topic| topic.name == TOPIC) {
        return Ok(Some(info));
    }
    let made = target.create_topic(&NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(1),
        replication: None,
        // A segment is closed soon, so that there is never more than some minutes of it to read.
        config: [("cleanup.policy", "compact"), ("segment.ms", "600000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    });
    match made {
        Ok(()) => Ok(None),
        // By another mirror, in this moment.
        Err(BrokerError::TopicExists { .. }) => target.topic(TOPIC).map(Some),
        Err(error) => Err(error),
    }
}

/// The newest entry of each partition.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<String, Entry>);

impl Ledger {
    /// Reads it, or makes its topic.
    pub(super) fn open(target: &Client, give_up: &dyn Fn() -> bool) -> Result<Self, ReplayError> {
        let Some(info) = find_or_make(target)? else {
            return Ok(Self::default());
        };
        // To its end and not to the first open transaction: behind that of one mirror stands what another has committed.
        let marks = target.reading(false).watermarks(&info)?;
        let ranges = marks.into_iter().map(|marks| Range {
            topic: TOPIC.into(),
            partition: marks.partition,
            start: marks.low,
            end: Some(marks.high),
        });
        let plan = ReadPlan {
            ranges: ranges.collect(),
            order: Order::Arrival,
        };
        let mut ledger = Self::default();
        let mut reader = target.reading(true).reader(plan)?;
        let began = Instant::now();
        loop {
            match reader.poll(WAIT)? {
                Poll::Batch(batch) => batch.iter().for_each(|record| ledger.note(record.key, record.value)),
                Poll::End => return Ok(ledger),
                Poll::Idle if give_up() => return Err(ReplayError::Cancelled),
                Poll::Idle if began.elapsed() < LOOK => {}
                Poll::Idle => {
                    let message = format!(
                        "the topic {TOPIC} of the target, where the mirror notes how far it is, gave no answer"
                    );
                    return Err(BrokerError::Other(message).into());
                }
            }
        }
    }

    fn note(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) else {
            return;
        };
        match value.and_then(|value| serde_json::from_slice(value).ok()) {
            Some(entry) => self.0.insert(key.to_owned(), entry),
            None => self.0.remove(key),
        };
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// Forgets the partitions whose keys begin so, and says whether there were any.
    pub(super) fn forget(&mut self, prefix: &str, producer: &TransactionalProducer) -> Result<bool, ReplayError> {
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        if keys.is_empty() {
            return Ok(false);
        }
        let gone = keys.iter().map(|key| NewRecord {
            value: None,
            ..record(key, &[])
        });
        producer.write(gone, WRITE)?;
        self.0.retain(|key, _| !keys.contains(key));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offsets: &[i64], whole: bool) -> Entry {
        let mut entry = Entry {
            target: 100,
            whole,
            ..Entry::default()
        };
        offsets.iter().for_each(|offset| entry.add(*offset));
        entry
    }

    #[test]
    fn the_end_of_the_target_says_which_record_is_next() {
        let entry = entry(&[5, 6, 7, 20, 31, 32], false);
        assert_eq!(entry.ranges, [(5, 3), (20, 1), (31, 2)]);
        let next: Vec<_> = (99..=107).map(|end| entry.next(end)).collect();
        let of = [
            None,
            Some(5),
            Some(6),
            Some(7),
            Some(8),
            Some(21),
            Some(32),
            Some(33),
            None,
        ];
        assert_eq!(next, of);
    }

    #[test]
    fn what_came_in_a_transaction_is_there_as_a_whole_or_was_taken_away() {
        let entry = entry(&[5, 6, 20], true);
        let next: Vec<_> = [99, 102, 103, 104, 777].map(|end| entry.next(end)).into();
        assert_eq!(next, [None, None, Some(21), Some(21), Some(21)]);
    }

    #[test]
    fn only_mirrors_of_the_same_topics_shut_each_other_out() {
        let name = |topics: &[&str]| name("c", &topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>());
        assert_eq!(name(&["a", "b"]), name(&["b", "a"]));
        assert_ne!(name(&["a", "b"]), name(&["a"]));
        assert_ne!(name(&["a", "b"]), name(&["ab"]));
    }
}

//! A demo's topics made to hold the demo's events and nothing else.
//!
//! Events are the same at every run, so a topic that holds them already is left as it is, one that holds the first of them is
//! filled up, and one that holds anything else is somebody's own: it is not touched unless it was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::NewRecord;
use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::broker::topics::{NewTopic, TopicInfo};
use crate::record::RecordRef;

use super::diary::Diary;
use super::error::DemoError;
use super::events::Event;

/// How long the broker may take to acknowledge everything.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// How long a poll waits: a cancelled demo ends within this.
const WAIT: Duration = Duration::from_millis(100);
/// How long a member that was killed may stay in its group: its session, and the time that the broker takes to notice.
const MISSED: Duration = Duration::from_secs(60);
/// Records between two looks at whether the demo was cancelled.
const BETWEEN: usize = 256;

/// The events of one partition, in its order.
type Expected<'e> = BTreeMap<i32, Vec<&'e Event>>;

/// A topic and how many events each of its partitions holds already.
pub(super) struct Ready<'e> {
    topic: &'e NewTopic,
    expected: Expected<'e>,
    held: BTreeMap<i32, usize>,
}

impl Ready<'_> {
    /// Whether every event is there.
    pub(super) fn missing(&self) -> usize {
        let all: usize = self.expected.values().map(Vec::len).sum();
        all - self.held.values().sum::<usize>()
    }
}

/// What is done to a cluster on behalf of a demo.
pub(super) struct Hands<'a> {
    pub(super) client: &'a Client,
    pub(super) cancel: &'a CancellationToken,
    /// Whether topics are deleted first, whatever they hold.
    pub(super) reset: bool,
}

impl Hands<'_> {
    fn check_cancelled(&self) -> Result<(), DemoError> {
        if self.cancel.is_cancelled() {
            return Err(DemoError::Cancelled);
        }
        Ok(())
    }

    /// Makes a topic, or finds out how many of the demo's events it holds. Says whether it was there.
    pub(super) fn prepare<'e>(&self, topic: &'e NewTopic, events: &'e [Event]) -> Result<(Ready<'e>, bool), DemoError> {
        self.check_cancelled()?;
        let partitions = topic.partitions.unwrap_or(1);
        let mut expected = Expected::new();
        for (nth, event) in events.iter().filter(|event| event.topic == topic.name).enumerate() {
            expected
                .entry(event.partition(partitions, nth))
                .or_default()
                .push(event);
        }
        let there = self.client.topics()?.into_iter().find(|known| known.name == topic.name);
        let held = match there {
            Some(info) if !self.reset => self.held(&info, topic, &expected)?,
            Some(_) => {
                self.client.delete_topic(&topic.name)?;
                self.client.create_topic(topic)?;
                BTreeMap::new()
            }
            None => {
                self.client.create_topic(topic)?;
                return Ok((
                    Ready {
                        topic,
                        expected,
                        held: BTreeMap::new(),
                    },
                    false,
                ));
            }
        };
        Ok((Ready { topic, expected, held }, true))
    }

    /// Makes a topic anew, empty. One that is there must be an earlier run's, or hold nothing.
    pub(super) fn clear_topic(&self, topic: &NewTopic, diary: &Diary) -> Result<(), DemoError> {
        self.check_cancelled()?;
        let name = topic.name.as_str();
        let there = self.client.topics()?.into_iter().find(|known| known.name == name);
        if let Some(info) = there {
            let id = self.client.topic_ids(&[name])?.remove(name);
            let made = id.is_some() && diary.topics.get(name) == id.as_ref();
            let empty = || Ok::<_, DemoError>(self.client.watermarks(&info)?.iter().all(|marks| marks.high == 0));
            if !(self.reset || made || empty()?) {
                return Err(DemoError::NotOurs {
                    reason: format!("the topic {name} is there and holds records that are not this demo's"),
                    help: format!(
                        "it was left as it is. Run the demo on another cluster or data directory, or with --reset, which \
                         deletes the topic {name} and makes it anew"
                    ),
                });
            }
            self.client.delete_topic(name)?;
        }
        Ok(self.client.create_topic(topic)?)
    }

    /// Whether nobody is in a group; members that were killed are missed first.
    pub(super) fn is_idle(&self, group: &str) -> Result<bool, DemoError> {
        let began = Instant::now();
        loop {
            self.check_cancelled()?;
            match self.client.group(group) {
                Err(BrokerError::UnknownGroup { .. }) => return Ok(true),
                Err(error) => return Err(error.into()),
                Ok(detail) if detail.members.is_empty() => return Ok(true),
                Ok(_) if began.elapsed() >= MISSED => return Ok(false),
                Ok(_) => std::thread::sleep(WAIT),
            }
        }
    }

    /// Deletes a group, which must be an earlier run's. Members that were killed are missed first.
    pub(super) fn clear_group(&self, group: &str, diary: &Diary) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            self.check_cancelled()?;
            let detail = match self.client.group(group) {
                Ok(detail) => detail,
                Err(BrokerError::UnknownGroup { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if !(self.reset || diary.groups.contains(group)) {
                return Err(DemoError::NotOurs {
                    reason: format!("the consumer group {group} is there and is not this demo's"),
                    help: "it was left as it is. Run the demo on another cluster, or with --reset, which deletes the group"
                        .to_owned(),
                });
            }
            if detail.members.is_empty() {
                return Ok(self.client.delete_group(group)?);
            }
            if began.elapsed() >= MISSED {
                return Err(DemoError::NotOurs {
                    reason: format!("somebody is in the consumer group {group}"),
                    help: "another run of this demo may be under way: end it first".to_owned(),
                });
            }
            std::thread::sleep(WAIT);
        }
    }

    /// How many of the demo's events each partition holds, which must be the first ones and nothing else.
    fn held(
        &self,
        info: &TopicInfo,
        topic: &NewTopic,
        expected: &Expected<'_>,
    ) -> Result<BTreeMap<i32, usize>, DemoError> {
        let not_ours = |reason: String| DemoError::NotOurs {
            reason: format!(
                "the topic {} holds something else than this demo's events: {reason}",
                topic.name
            ),
            help: format!(
                "it was left as it is. Run the demo on another cluster or data directory, or with --reset, which deletes \
                 the topic {} and makes it anew",
                topic.name
            ),
        };
        let partitions = topic.partitions.unwrap_or(1);
        if info.partitions.len() != usize::try_from(partitions).unwrap_or(0) {
            return Err(not_ours(format!(
                "it has {} partitions and not {partitions}",
                info.partitions.len()
            )));
        }
        let compacted = topic
            .config
            .iter()
            .any(|(name, value)| name == "cleanup.policy" && value.contains("compact"));
        let mut held = BTreeMap::new();
        let mut ranges = Vec::new();
        for marks in self.client.watermarks(info)? {
            let events = expected.get(&marks.partition).map_or(0, Vec::len);
            let high = usize::try_from(marks.high).unwrap_or(0);
            let place = format!("{}[{}]", topic.name, marks.partition);
            if high > events {
                return Err(not_ours(format!(
                    "{place} reaches offset {high}, the demo's events {events}"
                )));
            }
            if marks.low > 0 && !compacted {
                return Err(not_ours(format!(
                    "{place} begins at offset {}, its first records are gone",
                    marks.low
                )));
            }
            held.insert(marks.partition, high);
            if marks.high > marks.low {
                ranges.push(Range {
                    topic: Arc::from(topic.name.as_str()),
                    partition: marks.partition,
                    start: marks.low,
                    end: Some(marks.high),
                });
            }
        }
        let found = self.compare(ranges, expected).map_err(|wrong| match wrong {
            Wrong::Record(place) => not_ours(format!("the record at {place} is another")),
            Wrong::Error(error) => error,
        })?;
        let all: usize = held.values().sum();
        if found < all && !compacted {
            return Err(not_ours(format!("{} of its {all} records are gone", all - found)));
        }
        Ok(held)
    }

    /// Reads the ranges and counts the records, each of which must be the event of its offset.
    fn compare(&self, ranges: Vec<Range>, expected: &Expected<'_>) -> Result<usize, Wrong> {
        if ranges.is_empty() {
            return Ok(0);
        }
        let plan = ReadPlan {
            ranges,
            order: Order::Arrival,
        };
        let mut reader = self.client.reader(plan).map_err(DemoError::from)?;
        let mut found = 0;
        loop {
            self.check_cancelled()?;
            match reader.poll(WAIT).map_err(DemoError::from)? {
                Poll::Batch(batch) => {
                    for record in batch.iter() {
                        found += 1;
                        if !is_expected(&record, expected) {
                            let place = format!("{}[{}] offset {}", record.topic, record.partition, record.offset);
                            return Err(Wrong::Record(place));
                        }
                    }
                }
                Poll::Idle => {}
                Poll::End => return Ok(found),
            }
        }
    }

    /// Writes the events that the topics do not hold yet, in the order in which they happened.
    pub(super) fn produce(
        &self,
        ready: &[Ready<'_>],
        events: &[Event],
        mut say: impl FnMut(usize, usize),
    ) -> Result<usize, DemoError> {
        let total: usize = ready.iter().map(Ready::missing).sum();
        if total == 0 {
            return Ok(0);
        }
        let producer = self.client.producer()?;
        let mut seen: BTreeMap<(&str, i32), usize> = BTreeMap::new();
        let mut nth: BTreeMap<&str, usize> = BTreeMap::new();
        let mut sent = 0;
        for event in events {
            let Some(target) = ready.iter().find(|ready| ready.topic.name == event.topic) else {
                continue;
            };
            let number = nth.entry(&event.topic).or_default();
            let partition = event.partition(target.topic.partitions.unwrap_or(1), *number);
            *number += 1;
            let before = seen.entry((&event.topic, partition)).or_default();
            let there = target.held.get(&partition).is_some_and(|held| *before < *held);
            *before += 1;
            if there {
                continue;
            }
            if sent % BETWEEN == 0 {
                self.check_cancelled()?;
                say(sent, total);
            }
            producer.send(NewRecord {
                topic: &event.topic,
                partition: Some(partition),
                key: event.key.as_deref(),
                value: event.value.as_deref(),
                timestamp: Some(event.timestamp),
                headers: &[],
            })?;
            sent += 1;
        }
        producer.flush(ACKNOWLEDGED)?;
        say(total, total);
        Ok(total)
    }
}

/// Why a topic's records are not the demo's.
enum Wrong {
    Record(String),
    Error(DemoError),
}

impl From<DemoError> for Wrong {
    fn from(error: DemoError) -> Self {
        Self::Error(error)
    }
}

fn is_expected(record: &RecordRef<'_>, expected: &Expected<'_>) -> bool {
    let event = usize::try_from(record.offset)
        .ok()
        .and_then(|at| expected.get(&record.partition)?.get(at));
    event.is_some_and(|event| {
        record.key == event.key.as_deref()
            && record.value == event.value.as_deref()
            && record.timestamp == Some(event.timestamp)
            && record.headers.is_empty()
    })
}

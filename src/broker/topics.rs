//! Topics: what there is, how far each partition reaches, and how topics are made and removed.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::record::Timestamp;

use super::client::Client;
use super::error::{BrokerError, similar};
use super::ffi::admin::TopicMetadata;
use super::ffi::{Fault, PartitionOffset, is_topic_exists, is_unknown_topic};

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: String,
    /// Partition numbers, ascending.
    pub partitions: Vec<i32>,
    /// How many replicas each partition has.
    pub replication: i32,
    /// Whether it is Kafka's own, such as `__consumer_offsets`: by Kafka's custom the name begins with two underscores.
    pub internal: bool,
}

/// How far a partition reaches: offsets `low..high`, of which some may be gone by compaction or be transaction markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The partition's number.
    pub partition: i32,
    /// The first offset that the log still holds.
    pub low: i64,
    /// The offset before which everything can be read: the end of the log, or the first record of a transaction that is
    /// still open (the profile's `isolation.level=read_uncommitted` makes it the end of the log always).
    pub high: i64,
}

/// A topic to create.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// The topic's name.
    pub name: String,
    /// How many partitions; `None` for the cluster's default.
    pub partitions: Option<i32>,
    /// How many replicas; `None` for the cluster's default.
    pub replication: Option<i32>,
    /// Topic configuration, such as `cleanup.policy` = `compact`.
    pub config: Vec<(String, String)>,
}

/// One entry of a topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The name, such as `retention.ms`.
    pub name: String,
    /// The value; `None` where the broker hides it.
    pub value: Option<String>,
    /// Whether it is the default and nobody set it.
    pub is_default: bool,
}

const FIRST: i64 = -2;
const END: i64 = -1;

impl Client {
    /// Every topic of the cluster, by name.
    pub fn topics(&self) -> Result<Vec<TopicInfo>, BrokerError> {
        let mut topics: Vec<TopicInfo> = self
            .ask("listing the topics", |native, deadline| native.metadata(None, deadline))?
            .into_iter()
            .filter(|topic| topic.error.is_none())
            .map(info)
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic; a topic that is not there is an error that names those with a similar name. Asking never creates it.
    pub fn topic(&self, name: &str) -> Result<TopicInfo, BrokerError> {
        if let Ok(topic) = self.find_topic(name)? {
            return Ok(topic);
        }
        // A topic that was just made is known to one broker before another: the list may have it already.
        let known = self.topics()?;
        match known.iter().find(|topic| topic.name == name) {
            Some(topic) => Ok(topic.clone()),
            None => Err(self.unknown_among(name, &known)),
        }
    }

    /// One topic, or that it is not there.
    fn find_topic(&self, name: &str) -> Result<Result<TopicInfo, Fault>, BrokerError> {
        if name.is_empty() {
            return Err(BrokerError::Invalid("a topic's name cannot be empty".to_owned()));
        }
        let what = format!("asking for the topic `{name}`");
        let answer = self.ask(&what, |native, deadline| native.metadata(Some(name), deadline))?;
        let Some(topic) = answer.into_iter().find(|topic| topic.name == name) else {
            return Ok(Err(Fault::unknown_topic()));
        };
        match &topic.error {
            None => Ok(Ok(info(topic))),
            Some(fault) if is_unknown_topic(fault) => Ok(Err(fault.clone())),
            Some(fault) => Err(self.error(&what, fault, Duration::ZERO)),
        }
    }

    pub(super) fn unknown_topic(&self, name: &str) -> BrokerError {
        self.unknown_among(name, &self.topics().unwrap_or_default())
    }

    fn unknown_among(&self, name: &str, known: &[TopicInfo]) -> BrokerError {
        let names = known.iter().filter(|topic| !topic.internal && topic.name != name);
        BrokerError::UnknownTopic {
            name: name.to_owned(),
            similar: similar(name, names.map(|topic| topic.name.as_str())),
            address: self.profile().bootstrap.clone(),
        }
    }

    /// The watermarks of every partition of a topic.
    pub fn watermarks(&self, topic: &TopicInfo) -> Result<Vec<Watermarks>, BrokerError> {
        let mut all = self.watermarks_of(std::slice::from_ref(topic))?;
        match all.remove(&topic.name) {
            Some(found) => found,
            None => Err(self.unknown_topic(&topic.name)),
        }
    }

    /// The watermarks of several topics in one round trip to each broker; a topic that cannot be asked for has its own error.
    pub fn watermarks_of(
        &self,
        topics: &[TopicInfo],
    ) -> Result<BTreeMap<String, Result<Vec<Watermarks>, BrokerError>>, BrokerError> {
        let asked = [partitions_at(topics, FIRST), partitions_at(topics, END)];
        if asked[0].is_empty() {
            return Ok(topics
                .iter()
                .map(|topic| (topic.name.clone(), Ok(Vec::new())))
                .collect());
        }
        let committed = self.reads_committed();
        let answers = self.ask("asking how far the topics reach", |native, deadline| {
            native.list_offsets(&asked, committed, deadline)
        })?;
        let [low, high] = <[_; 2]>::try_from(answers)
            .map_err(|_| BrokerError::Other("the client library lost an answer".to_owned()))?;
        let high: BTreeMap<(&str, i32), &PartitionOffset> = high
            .iter()
            .map(|entry| ((entry.topic.as_str(), entry.partition), entry))
            .collect();
        let mut found: BTreeMap<String, Result<Vec<Watermarks>, BrokerError>> = BTreeMap::new();
        for topic in topics {
            found.insert(topic.name.clone(), Ok(Vec::new()));
        }
        for first in &low {
            let Some(end) = high.get(&(first.topic.as_str(), first.partition)) else {
                continue;
            };
            let Some(entry) = found.get_mut(&first.topic) else {
                continue;
            };
            if let Some(fault) = first.error.as_ref().or(end.error.as_ref()) {
                *entry = Err(self.partition_error(first, fault));
            } else if let Ok(marks) = entry {
                marks.push(Watermarks {
                    partition: first.partition,
                    low: first.offset,
                    // Between two requests records may be deleted; the first is never past the end.
                    high: end.offset.max(first.offset),
                });
            }
        }
        for marks in found.values_mut().flatten() {
            marks.sort_by_key(|mark| mark.partition);
        }
        Ok(found)
    }

    /// Whether readers of committed records can come to the end of these topics. They cannot while a transaction is open, nor for a
    /// moment after it: its coordinator answers a commit before the markers are written that let readers on (KIP-98).
    pub fn is_settled(&self, topics: &[TopicInfo]) -> Result<bool, BrokerError> {
        // In this order: what is written in between makes the two differ.
        let committed = self.reading(true).watermarks_of(topics)?;
        let mut written = self.reading(false).watermarks_of(topics)?;
        for (topic, marks) in committed {
            let ends = |marks: &[Watermarks]| marks.iter().map(|mark| mark.high).collect::<Vec<_>>();
            let all = written.remove(&topic).transpose()?.unwrap_or_default();
            if ends(&marks?) != ends(&all) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// For each partition the first offset whose record is at or after `time`; the end where there is none.
    pub fn offsets_at(&self, topic: &TopicInfo, time: Timestamp) -> Result<Vec<(i32, i64)>, BrokerError> {
        let topics = std::slice::from_ref(topic);
        let asked = [partitions_at(topics, time.0.max(0)), partitions_at(topics, END)];
        let committed = self.reads_committed();
        let what = format!("asking `{}` for offsets by time", topic.name);
        let answers = self.ask(&what, |native, deadline| {
            native.list_offsets(&asked, committed, deadline)
        })?;
        let [at, ends] = <[_; 2]>::try_from(answers)
            .map_err(|_| BrokerError::Other("the client library lost an answer".to_owned()))?;
        let mut offsets = Vec::with_capacity(at.len());
        for entry in &at {
            let end = ends.iter().find(|end| end.partition == entry.partition);
            if let Some(fault) = entry.error.as_ref().or(end.and_then(|end| end.error.as_ref())) {
                return Err(self.partition_error(entry, fault));
            }
            let end = end.map_or(entry.offset, |end| end.offset);
            // -1 means that no record is as late.
            offsets.push((
                entry.partition,
                if entry.offset < 0 { end } else { entry.offset.min(end) },
            ));
        }
        offsets.sort_unstable();
        Ok(offsets)
    }

    fn partition_error(&self, entry: &PartitionOffset, fault: &Fault) -> BrokerError {
        if is_unknown_topic(fault) {
            return self.unknown_topic(&entry.topic);
        }
        let what = format!("asking for the offsets of {}[{}]", entry.topic, entry.partition);
        self.error(&what, fault, self.deadline())
    }

    /// The ids that the cluster gave these topics when they were made, as hex; a topic that was deleted and created again has
    /// another. Topics without one, as on clusters before Apache Kafka 2.8, are left out.
    pub fn topic_ids(&self, topics: &[&str]) -> Result<BTreeMap<String, String>, BrokerError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answer = self.ask("asking for topic ids", |native, deadline| {
            native.topic_ids(topics, deadline)
        })?;
        Ok(answer.into_iter().filter_map(|(name, id)| Some((name, id?))).collect())
    }

    /// The topic's configuration, defaults included.
    pub fn topic_config(&self, topic: &str) -> Result<Vec<ConfigEntry>, BrokerError> {
        self.topic_configs(&[topic])?
            .remove(topic)
            .unwrap_or_else(|| Err(self.unknown_topic(topic)))
    }

    /// The configuration of several topics in one request; a topic that cannot be asked for has its own error.
    pub fn topic_configs(
        &self,
        topics: &[&str],
    ) -> Result<BTreeMap<String, Result<Vec<ConfigEntry>, BrokerError>>, BrokerError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let what = "asking for topic configuration";
        let answer = self.ask(what, |native, deadline| native.topic_configs(topics, deadline))?;
        Ok(answer
            .into_iter()
            .map(|(name, entries)| {
                let entries = entries
                    .map_err(|fault| {
                        if is_unknown_topic(&fault) {
                            self.unknown_topic(&name)
                        } else {
                            self.error(what, &fault, self.deadline())
                        }
                    })
                    .map(|entries| {
                        let mut entries: Vec<_> = entries
                            .into_iter()
                            .map(|entry| ConfigEntry {
                                name: entry.name,
                                value: entry.value,
                                is_default: entry.is_default,
                            })
                            .collect();
                        entries.sort_by(|a, b| a.name.cmp(&b.name));
                        entries
                    });
                (name, entries)
            })
            .collect())
    }

    /// Creates a topic and waits until it can be used. Refused where the profile forbids writing.
    pub fn create_topic(&self, topic: &NewTopic) -> Result<(), BrokerError> {
        self.allow_write("creating a topic")?;
        if topic.partitions.is_some_and(|count| count < 1) {
            return Err(BrokerError::Invalid("a topic needs at least one partition".to_owned()));
        }
        let start = Instant::now();
        let what = format!("creating the topic `{}`", topic.name);
        let partitions = topic.partitions.unwrap_or(-1);
        let replication = topic.replication.unwrap_or(-1);
        let exists = std::cell::Cell::new(false);
        let made = self.ask(&what, |native, deadline| {
            native
                .create_topic(&topic.name, partitions, replication, &topic.config, deadline)
                .inspect_err(|fault| exists.set(is_topic_exists(fault)))
        });
        if exists.get() {
            return Err(BrokerError::TopicExists {
                name: topic.name.clone(),
            });
        }
        made?;
        self.wait_until(&what, start, || {
            let Ok(found) = self.find_topic(&topic.name)? else {
                return Ok(false);
            };
            Ok(!found.partitions.is_empty() && self.watermarks(&found).is_ok())
        })
    }

    /// Gives a topic more partitions, `count` in all, and waits until they can be used. Refused where the profile forbids
    /// writing.
    pub fn add_partitions(&self, name: &str, count: usize) -> Result<(), BrokerError> {
        self.allow_write("adding partitions")?;
        let start = Instant::now();
        let what = format!("adding partitions to the topic `{name}`");
        self.topic(name)?;
        self.ask(&what, |native, deadline| {
            native.create_partitions(name, count, deadline)
        })?;
        self.wait_until(&what, start, || {
            let found = self.topic(name)?;
            Ok(found.partitions.len() == count && self.watermarks(&found).is_ok())
        })
    }

    /// Deletes a topic and waits until it is gone, so that one of its name can be created. Refused where the profile forbids writing.
    pub fn delete_topic(&self, name: &str) -> Result<(), BrokerError> {
        self.allow_write("deleting a topic")?;
        let start = Instant::now();
        let what = format!("deleting the topic `{name}`");
        let unknown = std::cell::Cell::new(false);
        let deleted = self.ask(&what, |native, deadline| {
            native
                .delete_topic(name, deadline)
                .inspect_err(|fault| unknown.set(is_unknown_topic(fault)))
        });
        if unknown.get() {
            return Err(self.unknown_topic(name));
        }
        deleted?;
        self.wait_until(&what, start, || {
            // A cluster with ZooKeeper has the name in use for a while after it has stopped to show the topic.
            Ok(!self.topics()?.iter().any(|topic| topic.name == name) && !self.is_taken(name)?)
        })
    }

    /// Whether no topic of this name could be created because there is one. Who may not create topics is not told.
    fn is_taken(&self, name: &str) -> Result<bool, BrokerError> {
        self.ask("looking for a name", |native, deadline| {
            let checked = native.check_create_topic(name, deadline);
            Ok(checked.is_err_and(|fault| is_topic_exists(&fault)))
        })
    }

    /// Asks again until `done`: brokers answer a change before every one of them knows it, and none tells when.
    fn wait_until(
        &self,
        what: &str,
        start: Instant,
        done: impl Fn() -> Result<bool, BrokerError>,
    ) -> Result<(), BrokerError> {
        while !done()? {
            if start.elapsed() > self.deadline() * 2 {
                return Err(BrokerError::Request {
                    what: what.to_owned(),
                    reason: "the broker accepted it, but does not show it yet".to_owned(),
                    hint: "List the topics to see whether it happened",
                });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn info(topic: TopicMetadata) -> TopicInfo {
    TopicInfo {
        internal: topic.name.starts_with("__"),
        replication: topic
            .partitions
            .iter()
            .map(|(_, replicas, _)| *replicas)
            .max()
            .unwrap_or(0),
        partitions: topic.partitions.iter().map(|(id, ..)| *id).collect(),
        name: topic.name,
    }
}

fn partitions_at(topics: &[TopicInfo], offset: i64) -> Vec<(&str, i32, i64)> {
    topics
        .iter()
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(move |partition| (topic.name.as_str(), *partition, offset))
        })
        .collect()
}

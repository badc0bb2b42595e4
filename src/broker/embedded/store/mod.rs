//! What the broker keeps: its cluster id, topics and their partitions, and the producer ids it gave out.
//!
//! Everything but the records stands in `broker.json`, which is replaced as a whole by a rename, so that a crash leaves the
//! old state or the new one. A topic's folder is named after its id: a topic that is deleted and created again starts empty,
//! and no name can point outside the data directory or differ only in case.

mod saved;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use uuid::Uuid;

use super::config::TopicConfig;
use super::error::EmbeddedError;
use super::log::files::{Files, lock};
use saved::{Saved, SavedTopic};
pub(crate) use topic::{Topic, TopicError, refuse_name};

/// Partitions of one topic, and of all topics together: each costs memory, and a folder once it is written to.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;
const MAX_ALL_PARTITIONS: usize = 100_000;
/// Producer ids are reserved in blocks, so that a restart never gives one out again and not each of them costs a sync.
const ID_BLOCK: i64 = 1000;

#[derive(Debug)]
struct Catalogue {
    saved: Saved,
    given_producer_id: i64,
}

/// The broker's state on disk.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    files: Arc<Files>,
    cluster_id: String,
    /// Held over every change, so that changes are saved one after the other.
    catalogue: Mutex<Catalogue>,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Store {
    /// Opens what is in `dir`, or begins anew where nothing is.
    pub fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        let saved = Saved::open(dir)?;
        let files = Arc::new(Files::default());
        let mut topics = BTreeMap::new();
        for (name, topic) in &saved.topics {
            let config = TopicConfig::new(topic.config.iter().map(|(k, v)| (k.as_str(), Some(v.as_str()))));
            let config = config.map_err(|why| saved::damaged(dir, why))?;
            let opened = Topic::new(name, topic.id, config, topic_dir(dir, topic.id));
            opened.grow(&files, topic.partitions);
            topics.insert(name.clone(), Arc::new(opened));
        }
        let store = Self {
            dir: dir.to_path_buf(),
            files,
            cluster_id: saved.cluster_id.clone(),
            catalogue: Mutex::new(Catalogue {
                given_producer_id: saved.next_producer_id,
                saved,
            }),
            topics: RwLock::new(topics),
        };
        store.remove_orphans().map_err(|error| saved::unusable(dir, error))?;
        Ok(store)
    }

    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().find(|topic| topic.id == id).cloned()
    }

    /// Every topic, by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().cloned().collect()
    }

    /// Checks what `create` would be asked, without doing it.
    pub fn check_create(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        if let Some(why) = refuse_name(name) {
            return Err(TopicError::InvalidName(why));
        }
        if self.topic(name).is_some() {
            return Err(TopicError::Exists);
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(TopicError::InvalidPartitions(format!(
                "Number of partitions must be from 1 to {MAX_PARTITIONS}."
            )));
        }
        self.check_total(partitions)
    }

    fn check_total(&self, more: i32) -> Result<(), TopicError> {
        let now: usize = self.topics().iter().map(|t| t.partition_count() as usize).sum();
        if now + more as usize > MAX_ALL_PARTITIONS {
            return Err(TopicError::InvalidPartitions(format!(
                "The embedded broker holds {MAX_ALL_PARTITIONS} partitions at most; there are {now}."
            )));
        }
        Ok(())
    }

    /// Makes a topic; it is there after a crash once this returns.
    pub fn create(&self, name: &str, partitions: i32, config: TopicConfig) -> Result<Arc<Topic>, TopicError> {
        let mut catalogue = lock(&self.catalogue);
        self.check_create(name, partitions)?;
        let id = Uuid::new_v4();
        let saved = SavedTopic {
            id,
            partitions,
            config: config.entries().clone(),
        };
        self.save(&mut catalogue, |all| {
            all.topics.insert(name.to_owned(), saved);
        })?;
        let topic = Arc::new(Topic::new(name, id, config, topic_dir(&self.dir, id)));
        topic.grow(&self.files, partitions);
        self.topics
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Removes a topic with its records.
    pub fn delete(&self, name: &str) -> Result<(), TopicError> {
        let mut catalogue = lock(&self.catalogue);
        let topic = self.topic(name).ok_or(TopicError::Unknown)?;
        self.save(&mut catalogue, |all| {
            all.topics.remove(name);
        })?;
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        for partition in topic.partitions() {
            partition.discard();
        }
        // The topic is gone by now; what cannot be removed of its folder is removed at the next start.
        if let Err(error) = remove_dir(topic.dir()) {
            tracing::warn!(topic = name, %error, "the records of a deleted topic were not removed");
        }
        Ok(())
    }

    /// Checks what `add_partitions` would be asked, without doing it.
    pub fn check_add_partitions(&self, name: &str, count: i32) -> Result<Arc<Topic>, TopicError> {
        let topic = self.topic(name).ok_or(TopicError::Unknown)?;
        let now = topic.partition_count();
        if count <= now {
            return Err(TopicError::InvalidPartitions(format!(
                "The topic {name} currently has {now} partition(s); {count} would not be an increase."
            )));
        }
        if count > MAX_PARTITIONS {
            return Err(TopicError::InvalidPartitions(format!(
                "Number of partitions must be from 1 to {MAX_PARTITIONS}."
            )));
        }
        self.check_total(count - now)?;
        Ok(topic)
    }

    /// Grows a topic to `count` partitions.
    pub fn add_partitions(&self, name: &str, count: i32) -> Result<(), TopicError> {
        let mut catalogue = lock(&self.catalogue);
        let topic = self.check_add_partitions(name, count)?;
        self.save(&mut catalogue, |all| {
            if let Some(saved) = all.topics.get_mut(name) {
                saved.partitions = count;
            }
        })?;
        topic.grow(&self.files, count);
        Ok(())
    }

    /// Changes a topic's configuration.
    pub fn configure(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&mut TopicConfig) -> Result<(), String>,
    ) -> Result<(), TopicError> {
        let mut catalogue = lock(&self.catalogue);
        let topic = self.topic(name).ok_or(TopicError::Unknown)?;
        let mut config = (*topic.config()).clone();
        change(&mut config).map_err(TopicError::InvalidConfig)?;
        if validate_only {
            return Ok(());
        }
        self.save(&mut catalogue, |all| {
            if let Some(saved) = all.topics.get_mut(name) {
                saved.config = config.entries().clone();
            }
        })?;
        topic.set_config(config);
        Ok(())
    }

    /// A producer id that was never given out.
    pub fn new_producer_id(&self) -> io::Result<i64> {
        let mut catalogue = lock(&self.catalogue);
        if catalogue.given_producer_id >= catalogue.saved.next_producer_id {
            self.save(&mut catalogue, |all| all.next_producer_id += ID_BLOCK)?;
        }
        catalogue.given_producer_id += 1;
        Ok(catalogue.given_producer_id - 1)
    }

    /// Saves a change; where the disk refuses it, nothing has changed.
    fn save(&self, catalogue: &mut Catalogue, change: impl FnOnce(&mut Saved)) -> io::Result<()> {
        let mut next = catalogue.saved.clone();
        change(&mut next);
        next.write(&self.dir)?;
        catalogue.saved = next;
        Ok(())
    }

    /// Removes folders of topics that are not in the catalogue: a crash came between deleting a topic and its records.
    fn remove_orphans(&self) -> io::Result<()> {
        let known: Vec<String> = self.topics().iter().map(|t| t.id.to_string()).collect();
        let entries = match fs::read_dir(self.dir.join("log")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let is_topic = name.to_str().is_some_and(|n| Uuid::try_parse(n).is_ok());
            if is_topic && !known.iter().any(|id| name == id.as_str()) {
                remove_dir(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn topic_dir(dir: &Path, id: Uuid) -> PathBuf {
    dir.join("log").join(id.to_string())
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

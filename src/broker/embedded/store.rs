//! What the broker keeps: its cluster id, topics and their partitions, and the producer ids it gave out.
//!
//! Everything but the records stands in `broker.json`, which is replaced as a whole by a rename, so that a crash leaves the
//! old state or the new one. A topic's folder is named after its id: a topic that is deleted and created again starts empty,
//! and no name can point outside the data directory or differ only in case.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::config::TopicConfig;
use super::error::EmbeddedError;
use super::log::files::{self, Files, lock};
use super::partition::Partition;

/// Partitions of one topic, and of all topics together: each costs memory, and a folder once it is written to.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;
const MAX_ALL_PARTITIONS: usize = 100_000;
const MAX_NAME: usize = 249;
/// Producer ids are reserved in blocks, so that a restart never gives one out again and not each of them costs a sync.
const ID_BLOCK: i64 = 1000;

/// Why a topic cannot be made or changed; the message is for the client.
#[derive(Debug)]
pub(crate) enum TopicError {
    Exists,
    Unknown,
    InvalidName(String),
    InvalidPartitions(String),
    InvalidConfig(String),
    Storage(io::Error),
}

impl From<io::Error> for TopicError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

/// A topic with its partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub id: Uuid,
    config: RwLock<Arc<TopicConfig>>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Topic {
    pub fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn partition(&self, number: i32) -> Option<Arc<Partition>> {
        let at = usize::try_from(number).ok()?;
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(at).cloned()
    }

    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn partition_count(&self) -> i32 {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        i32::try_from(partitions.len()).unwrap_or(i32::MAX)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedTopic {
    id: Uuid,
    partitions: i32,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    format: u32,
    cluster_id: String,
    next_producer_id: i64,
    topics: BTreeMap<String, SavedTopic>,
}

const FORMAT: u32 = 1;

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

/// Why a name is no topic name, by the rules of Apache Kafka.
pub(crate) fn refuse_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some("The topic name is illegal, it can't be empty.".to_owned())
    } else if name == "." || name == ".." {
        Some("The topic name is illegal, it can't be \".\" or \"..\".".to_owned())
    } else if name.len() > MAX_NAME {
        Some(format!(
            "The topic name is illegal, it can't be longer than {MAX_NAME} characters."
        ))
    } else if !name.chars().all(allowed) {
        Some(format!(
            "The topic name {name:?} is illegal, it may hold ASCII letters and digits, '.', '_' and '-'."
        ))
    } else {
        None
    }
}

impl Store {
    /// Opens what is in `dir`, or begins anew where nothing is.
    pub fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        let failed = |cause| EmbeddedError::Directory {
            path: dir.to_path_buf(),
            cause,
        };
        let saved = match fs::read(dir.join("broker.json")) {
            Ok(bytes) => read_saved(&dir.join("broker.json"), &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => begin(dir)?,
            Err(error) => return Err(failed(error)),
        };
        let files = Arc::new(Files::default());
        let mut topics = BTreeMap::new();
        for (name, saved) in &saved.topics {
            let config = TopicConfig::new(saved.config.iter().map(|(k, v)| (k.as_str(), Some(v.as_str()))));
            let config = config.map_err(|why| EmbeddedError::Damaged {
                path: dir.join("broker.json"),
                why,
            })?;
            topics.insert(name.clone(), Arc::new(topic(dir, &files, name, saved, config)));
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
        store.remove_orphans().map_err(failed)?;
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
        let saved = SavedTopic {
            id: Uuid::new_v4(),
            partitions,
            config: config.entries().clone(),
        };
        self.save(&mut catalogue, |all| {
            all.topics.insert(name.to_owned(), saved.clone());
        })?;
        let topic = Arc::new(topic(&self.dir, &self.files, name, &saved, config));
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
        if let Err(error) = remove_dir(&topic_dir(&self.dir, topic.id)) {
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
        let mut partitions = topic.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let dir = topic_dir(&self.dir, topic.id);
        for number in partitions.len()..count as usize {
            partitions.push(Arc::new(Partition::new(
                dir.join(number.to_string()),
                Arc::clone(&self.files),
            )));
        }
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
        *topic.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
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
        write_saved(&self.dir, &next)?;
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

fn topic(dir: &Path, files: &Arc<Files>, name: &str, saved: &SavedTopic, config: TopicConfig) -> Topic {
    let dir = topic_dir(dir, saved.id);
    let partitions = (0..saved.partitions)
        .map(|number| Arc::new(Partition::new(dir.join(number.to_string()), Arc::clone(files))))
        .collect();
    Topic {
        name: name.to_owned(),
        id: saved.id,
        config: RwLock::new(Arc::new(config)),
        partitions: RwLock::new(partitions),
    }
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_saved(dir: &Path, saved: &Saved) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(saved)?;
    files::replace(&dir.join("broker.json"), &bytes, true)
}

fn read_saved(path: &Path, bytes: &[u8]) -> Result<Saved, EmbeddedError> {
    let damaged = |why| EmbeddedError::Damaged {
        path: path.to_path_buf(),
        why,
    };
    let saved: Saved = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if saved.format != FORMAT {
        return Err(damaged(format!(
            "its format is {}, and this version knows {FORMAT}",
            saved.format
        )));
    }
    if let Some((name, why)) = saved.topics.keys().find_map(|name| Some((name, refuse_name(name)?))) {
        return Err(damaged(format!("topic {name:?}: {why}")));
    }
    Ok(saved)
}

/// The state of a new broker. Refused where there are records already: their topics' names are lost, and starting empty would
/// remove them.
fn begin(dir: &Path) -> Result<Saved, EmbeddedError> {
    let path = dir.join("broker.json");
    if dir.join("log").exists() {
        return Err(EmbeddedError::Damaged {
            path,
            why: "it is missing, but there are records beside it".to_owned(),
        });
    }
    let saved = Saved {
        format: FORMAT,
        cluster_id: Uuid::new_v4().simple().to_string(),
        next_producer_id: 0,
        topics: BTreeMap::new(),
    };
    write_saved(dir, &saved).map_err(|cause| EmbeddedError::Directory {
        path: dir.to_path_buf(),
        cause,
    })?;
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> Store {
        Store::open(dir).unwrap()
    }

    #[test]
    fn names_are_judged_as_apache_kafka_does() {
        for good in ["a", "orders-v2", "A_b.c", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(refuse_name(good), None, "{good}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "a b", "é", "a\0", "a\n", &"x".repeat(250)] {
            assert!(refuse_name(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn topics_outlive_the_broker_with_id_partitions_and_config() {
        let dir = tempfile::tempdir().unwrap();
        let config = TopicConfig::new([("retention.ms", Some("5"))]).unwrap();
        let before = store(dir.path());
        let id = before.create("orders", 3, config.clone()).unwrap().id;
        before.add_partitions("orders", 5).unwrap();
        let change = |config: &mut TopicConfig| config.set("segment.bytes", "1000");
        before.configure("orders", false, change).unwrap();
        let after = store(dir.path());
        let topic = after.topic("orders").unwrap();
        assert_eq!((topic.id, topic.partition_count()), (id, 5));
        assert_eq!(topic.config().own("retention.ms"), Some("5"));
        assert_eq!(topic.config().segment_bytes(), 1000);
        assert_eq!(after.cluster_id(), before.cluster_id());
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.create("a", 1, TopicConfig::default()).unwrap();
        let create = |name: &str, partitions| store.create(name, partitions, TopicConfig::default());
        assert!(matches!(create("a", 1), Err(TopicError::Exists)));
        assert!(matches!(create("../x", 1), Err(TopicError::InvalidName(_))));
        for partitions in [i32::MIN, -1, 0, MAX_PARTITIONS + 1, i32::MAX] {
            assert!(matches!(create("b", partitions), Err(TopicError::InvalidPartitions(_))));
        }
        for count in [i32::MIN, 0, 1, MAX_PARTITIONS + 1] {
            assert!(matches!(
                store.add_partitions("a", count),
                Err(TopicError::InvalidPartitions(_))
            ));
        }
        assert!(matches!(store.delete("b"), Err(TopicError::Unknown)));
        assert!(matches!(store.add_partitions("b", 2), Err(TopicError::Unknown)));
        assert_eq!(store.topics().len(), 1);
    }

    #[test]
    fn a_topic_that_is_created_again_is_another_one_and_its_records_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let first = store.create("a", 1, TopicConfig::default()).unwrap().id;
        fs::create_dir_all(topic_dir(dir.path(), first).join("0")).unwrap();
        store.delete("a").unwrap();
        let second = store.create("a", 1, TopicConfig::default()).unwrap().id;
        assert_ne!(first, second);
        assert!(!topic_dir(dir.path(), first).exists());
    }

    #[test]
    fn who_still_holds_a_deleted_topic_cannot_bring_its_folder_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let topic = store.create("a", 1, TopicConfig::default()).unwrap();
        let partition = topic.partition(0).unwrap();
        let bytes = crate::broker::embedded::log::batch::tests::batch(1, b"", 0, (-1, -1, -1));
        let header = crate::broker::embedded::log::batch::BatchHeader::parse(&bytes).unwrap();
        assert_eq!(partition.append(&bytes, &header, 1 << 20).unwrap().0, 0);
        store.delete("a").unwrap();
        assert!(partition.is_gone() && partition.append(&bytes, &header, 1 << 20).is_err());
        assert!(partition.slice(0).is_err());
        assert!(!topic_dir(dir.path(), topic.id).exists());
    }

    #[test]
    fn folders_of_topics_that_are_gone_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let id = store(dir.path()).create("a", 1, TopicConfig::default()).unwrap().id;
        let orphan = topic_dir(dir.path(), Uuid::new_v4());
        let foreign = dir.path().join("log/notes");
        for path in [&orphan, &foreign, &topic_dir(dir.path(), id)] {
            fs::create_dir_all(path).unwrap();
        }
        store(dir.path());
        assert!(!orphan.exists() && foreign.exists() && topic_dir(dir.path(), id).exists());
    }

    #[test]
    fn a_producer_id_is_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut given = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let store = store(dir.path());
            for _ in 0..ID_BLOCK + 1 {
                assert!(given.insert(store.new_producer_id().unwrap()));
            }
        }
    }
}

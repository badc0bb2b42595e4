//! A topic with its partitions, what its name may be, and why one cannot be made or changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::broker::embedded::config::TopicConfig;
use crate::broker::embedded::log::files::Files;
use crate::broker::embedded::partition::Partition;

const MAX_NAME: usize = 249;

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
    dir: PathBuf,
    config: RwLock<Arc<TopicConfig>>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Topic {
    /// A topic without partitions, which will lie in `dir`.
    pub(super) fn new(name: &str, id: Uuid, config: TopicConfig, dir: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            id,
            dir,
            config: RwLock::new(Arc::new(config)),
            partitions: RwLock::default(),
        }
    }

    /// Where its partitions lie.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds partitions until there are `count`; their logs are opened when they are first asked for.
    pub(super) fn grow(&self, files: &Arc<Files>, count: i32) {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        for number in partitions.len()..usize::try_from(count).unwrap_or(0) {
            let dir = self.dir.join(number.to_string());
            partitions.push(Arc::new(Partition::new(dir, Arc::clone(files))));
        }
    }

    pub(super) fn set_config(&self, config: TopicConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

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

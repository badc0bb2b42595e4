//! `broker.json`: everything that the broker keeps but the records.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::broker::embedded::error::EmbeddedError;
use crate::broker::embedded::log::files;

use super::refuse_name;

/// A topic in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SavedTopic {
    pub id: Uuid,
    pub partitions: i32,
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    pub cluster_id: String,
    pub next_producer_id: i64,
    pub topics: BTreeMap<String, SavedTopic>,
}

const FORMAT: u32 = 1;

/// Where the file is.
fn path(dir: &Path) -> PathBuf {
    dir.join("broker.json")
}

impl Saved {
    /// Reads what is in `dir`, or begins anew where nothing is.
    pub fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        match fs::read(path(dir)) {
            Ok(bytes) => Self::parse(&bytes).map_err(|why| damaged(dir, why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::begin(dir),
            Err(error) => Err(unusable(dir, error)),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let saved: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if saved.format != FORMAT {
            return Err(format!(
                "its format is {}, and this version knows {FORMAT}",
                saved.format
            ));
        }
        match saved.topics.keys().find_map(|name| Some((name, refuse_name(name)?))) {
            Some((name, why)) => Err(format!("topic {name:?}: {why}")),
            None => Ok(saved),
        }
    }

    /// The state of a new broker. Refused where there are records already: their topics' names are lost, and starting empty
    /// would remove them.
    fn begin(dir: &Path) -> Result<Self, EmbeddedError> {
        if dir.join("log").exists() {
            return Err(damaged(
                dir,
                "it is missing, but there are records beside it".to_owned(),
            ));
        }
        let saved = Self {
            format: FORMAT,
            cluster_id: Uuid::new_v4().simple().to_string(),
            next_producer_id: 0,
            topics: BTreeMap::new(),
        };
        saved.write(dir).map_err(|error| unusable(dir, error))?;
        Ok(saved)
    }

    /// Puts it in place of what was there; a crash leaves one or the other.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        files::replace(&path(dir), &bytes, true)
    }
}

pub(super) fn damaged(dir: &Path, why: String) -> EmbeddedError {
    EmbeddedError::Damaged { path: path(dir), why }
}

pub(super) fn unusable(dir: &Path, cause: io::Error) -> EmbeddedError {
    EmbeddedError::Directory {
        path: dir.to_path_buf(),
        cause,
    }
}

//! What a run leaves behind, written down beside the read models: which topics and groups it made, so that the next run and a
//! clean-up know them from somebody else's, and whether it was done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::readmodel::store::Store;

use super::error::DemoError;

/// What is known of a demo on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diary {
    /// The topics that it made, with the id that the cluster gave each.
    #[serde(default)]
    pub topics: BTreeMap<String, String>,
    /// The groups that it is in.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The read models that it built.
    #[serde(default)]
    pub read_models: BTreeSet<String>,
    /// The last run that came to its end.
    #[serde(default)]
    pub done: Option<Done>,
}

/// What a demo is about to make.
pub(super) struct Names<'a> {
    pub(super) topics: Vec<&'a str>,
    pub(super) groups: Vec<&'a str>,
    pub(super) read_models: Vec<&'a str>,
}

/// A run that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many of its checks held.
    pub held: usize,
    /// Of how many.
    pub checks: usize,
}

impl Diary {
    /// What is known of the demo; nothing where nothing was written down.
    pub fn read(store: &Store, id: &str) -> Self {
        // One that cannot be read is as good as none: what it would tell apart is then left alone.
        let text = fs::read_to_string(path(store.root(), id)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What is known of every other demo.
    pub(super) fn others(store: &Store, id: &str) -> Vec<(String, Self)> {
        // Where there is no folder there is no diary in it.
        let entries = fs::read_dir(store.root().join("demos")).into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
        let mut ids: Vec<String> = ids.filter(|other| other != id).collect();
        ids.sort();
        ids.into_iter()
            .map(|id| {
                let diary = Self::read(store, &id);
                (id, diary)
            })
            .collect()
    }

    /// Hands over to `heir` what has one of these names; topics only while they are those that were made.
    pub(super) fn hand_over(&mut self, heir: &mut Self, names: &Names<'_>, there: &BTreeMap<String, String>) {
        for name in &names.topics {
            if let Some(made) = self.topics.remove(*name)
                && there.get(*name) == Some(&made)
            {
                heir.topics.insert((*name).to_owned(), made);
            }
        }
        for (ours, theirs, names) in [
            (&mut self.groups, &mut heir.groups, &names.groups),
            (&mut self.read_models, &mut heir.read_models, &names.read_models),
        ] {
            theirs.extend(names.iter().filter_map(|name| ours.take(*name)));
        }
    }

    /// What it has of these names, each once.
    pub(super) fn shared<'n>(&self, names: &Names<'n>) -> Vec<&'n str> {
        let topics = names.topics.iter().filter(|name| self.topics.contains_key(**name));
        let groups = names.groups.iter().filter(|name| self.groups.contains(**name));
        let read_models = names
            .read_models
            .iter()
            .filter(|name| self.read_models.contains(**name));
        let mut shared: Vec<&str> = Vec::new();
        for name in topics.chain(groups).chain(read_models) {
            if !shared.contains(name) {
                shared.push(name);
            }
        }
        shared
    }

    /// Writes it down, in one step.
    pub(super) fn write(&self, store: &Store, id: &str) -> Result<(), DemoError> {
        let path = path(store.root(), id);
        let fail = |error: std::io::Error| DemoError::Write {
            file: path.display().to_string(),
            reason: error.to_string(),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| fail(error.into()))?;
        let new = path.with_extension("new");
        fs::write(&new, text + "\n").map_err(fail)?;
        fs::rename(&new, &path).map_err(fail)
    }

    /// Forgets the demo.
    pub(super) fn forget(store: &Store, id: &str) {
        // One that was never written needs no forgetting.
        let _ = fs::remove_file(path(store.root(), id));
    }
}

fn path(root: &Path, id: &str) -> PathBuf {
    root.join("demos").join(format!("{id}.json"))
}

//! Taking away what a demo left on a cluster: its topics, groups and read models, and nothing of somebody else's.

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::readmodel::store::Store;

use super::agents;
use super::catalog::Demo;
use super::connector;
use super::diary::Diary;
use super::error::DemoError;
use super::folder::BUILT_IN;

/// What was taken away, and what was left and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone, such as `topic orders`.
    pub removed: Vec<String>,
    /// What is still there, each with its reason.
    pub left: Vec<String>,
}

/// Deletes what earlier runs of the demo made. A topic that was made anew since is somebody else's, a read model that was built from
/// another file, and whatever no run wrote down.
pub fn clean(client: &Client, store: &Store, demo: &Demo) -> Result<Cleaned, DemoError> {
    let id = demo.id.as_str();
    let diary = Diary::read(store, id);
    let mut cleaned = Cleaned::default();
    for name in &diary.read_models {
        let Some(info) = store.find(name)? else {
            continue;
        };
        let mut own = demo.read_models().chain(&demo.spares);
        if info.file.starts_with(BUILT_IN) || own.any(|known| known.file == info.file) {
            store.delete(name)?;
            cleaned.removed.push(format!("read model {name}"));
        } else {
            let file = &info.file;
            cleaned
                .left
                .push(format!("read model {name}: it was built from {file} since"));
        }
    }
    if connector::delete(&connector::folder(store, id))? {
        cleaned.removed.push("source databases".to_owned());
    }
    if agents::delete(&agents::folder(store, id))? {
        cleaned.removed.push("log files".to_owned());
    }
    let lakes = super::sinks::folder(store, id);
    if lakes.exists() {
        std::fs::remove_dir_all(&lakes).map_err(|error| DemoError::Write {
            file: lakes.display().to_string(),
            reason: error.to_string(),
        })?;
        cleaned.removed.push(format!("files {}", lakes.display()));
    }
    let there = client.topics()?;
    for (name, made) in &diary.topics {
        if there.iter().all(|topic| topic.name != *name) {
            continue;
        }
        let is = client.topic_ids(&[name])?.remove(name);
        if is.as_ref() == Some(made) {
            client.delete_topic(name)?;
            cleaned.removed.push(format!("topic {name}"));
        } else {
            cleaned
                .left
                .push(format!("topic {name}: it was made anew by somebody else"));
        }
    }
    for group in &diary.groups {
        match client.group(group) {
            Err(BrokerError::UnknownGroup { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(detail) if detail.members.is_empty() => {
                client.delete_group(group)?;
                cleaned.removed.push(format!("group {group}"));
            }
            Ok(_) => cleaned.left.push(format!("group {group}: somebody is in it")),
        }
    }
    if cleaned.left.is_empty() {
        Diary::forget(store, id);
    }
    Ok(cleaned)
}

//! How a read model stands to the log as it is now: how far behind, or why its position means nothing any more.

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::record::{Position, TopicPartition};

use super::error::ReplayError;
use super::follow;
use super::log::Log;

/// How a read model stands to its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can go on: it is this many offsets behind.
    Behind(u64),
    /// Only a rebuild brings it on: its topic is gone or was created again, or the log has lost records that it needs.
    NeedsRebuild(String),
    /// It was built from another cluster, so nothing can be said here.
    Elsewhere(String),
}

/// Compares a read model with the log. What makes its position doubtful is found by the rules of a follow.
pub fn standing(client: &Client, store: &Store, info: &ReadModelInfo) -> Result<Standing, ReplayError> {
    let here = client.cluster()?.id;
    if here != info.cluster_id {
        let built = &info.cluster_id;
        return Ok(Standing::Elsewhere(format!(
            "built from the cluster {built}, and this is {here}"
        )));
    }
    let log = match Log::survey(client, &info.topics) {
        Ok(log) => log,
        Err(ReplayError::Broker(BrokerError::UnknownTopic { name, .. })) => {
            return Ok(Standing::NeedsRebuild(format!("the topic {name} is gone")));
        }
        Err(error) => return Err(error),
    };
    if let Some(reason) = doubt(store, info, &log)? {
        return Ok(Standing::NeedsRebuild(reason));
    }
    Ok(Standing::Behind(behind(&info.position, &log)))
}

/// Why the log is no longer the one that was folded.
fn doubt(store: &Store, info: &ReadModelInfo, log: &Log) -> Result<Option<String>, ReplayError> {
    // The text that it was built from, not what the file says now: whether that changed is another question.
    let Ok(mut projection) = store.projection(&info.name)? else {
        return Ok(None);
    };
    projection.hash.clone_from(&info.hash);
    match follow::start(&projection, info, &store.topics(&info.name)?, log) {
        Err(error @ (ReplayError::TopicRecreated { .. } | ReplayError::LostRecords { .. })) => {
            Ok(Some(error.to_string()))
        }
        _ => Ok(None),
    }
}

fn behind(position: &Position, log: &Log) -> u64 {
    let mut behind = 0;
    for topic in &log.topics {
        for marks in &topic.partitions {
            let at = TopicPartition::new(topic.name.clone(), marks.partition);
            let next = position.next(&at).unwrap_or(marks.low);
            behind += u64::try_from(marks.high - next).unwrap_or(0);
        }
    }
    behind
}

//! The requests about committed offsets: commit, fetch, delete.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};

use super::journal::{Committed, Entry, Offsets};
use super::machine::Group;
use super::member::{Identity, subscribed_topics};
use super::{Coordinator, Inner, code, text};

/// Apache Kafka's default of `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4096;

/// What OffsetFetch says of a partition: offset, leader epoch, metadata. -1 stands for "never committed".
type Answer = (i64, i32, String);

impl Coordinator {
    /// Commits offsets: for a member of the current generation, or for anybody where the group has no members.
    pub(crate) fn offset_commit(&self, request: &OffsetCommitRequest) -> OffsetCommitResponse {
        let group = request.group_id.as_str();
        let who = Identity {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref().filter(|id| !id.is_empty()),
        };
        let generation = request.generation_id_or_member_epoch;
        let mut inner = self.lock();
        let allowed = self.allow_commit(&mut inner, group, who, generation);
        let mut entries = Vec::new();
        let mut check = |topic: &TopicName, partition: &OffsetCommitRequestPartition| {
            allowed?;
            let index = partition.partition_index;
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            if !self.topics.has_partition(topic, index) {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            if metadata.len() > MAX_METADATA {
                return Err(ResponseError::OffsetMetadataTooLarge);
            }
            let committed = Committed {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: metadata.to_owned(),
            };
            entries.push(Entry::Commit(group.to_owned(), (topic.to_string(), index), committed));
            Ok(())
        };
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let answer = |partition: &OffsetCommitRequestPartition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(&check(&topic.name, partition)))
            };
            let partitions = topic.partitions.iter().map(answer).collect();
            let response = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
            topics.push(response.with_partitions(partitions));
        }
        if let Err(error) = inner.store(&entries) {
            let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for partition in partitions.filter(|partition| partition.error_code == 0) {
                partition.error_code = error.code();
            }
        }
        inner.prune(group);
        OffsetCommitResponse::default().with_topics(topics)
    }

    fn allow_commit(
        &self,
        inner: &mut Inner,
        group: &str,
        who: Identity<'_>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let now = self.now();
        if generation < 0 {
            inner.ensure(group, now)?;
        }
        inner
            .with(group, |group, out| group.check_commit(who, generation, now, out))
            .unwrap_or(Err(ResponseError::IllegalGeneration))
    }

    /// Reads committed offsets, whoever asks.
    pub(crate) fn offset_fetch(&self, request: &OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
        let inner = self.lock();
        if version >= 8 {
            // A group that is named twice is answered once: a short request must not ask for a response without end.
            let mut seen = BTreeSet::new();
            let groups = request
                .groups
                .iter()
                .filter(|group| seen.insert(group.group_id.as_str()));
            let groups = groups.map(|group| fetch_group(&inner, group));
            return OffsetFetchResponse::default().with_groups(groups.collect());
        }
        let asked = request.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics.map(|topic| (topic.name.clone(), topic.partition_indexes.as_slice()))
        });
        let partition = |(index, (offset, leader_epoch, metadata)): (i32, Answer)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(text(metadata)))
        };
        let topics = lookup(inner.journal.offsets(&request.group_id), asked)
            .into_iter()
            .map(|(name, partitions)| {
                OffsetFetchResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }

    /// Forgets committed offsets of topics that no member subscribes to.
    pub(crate) fn offset_delete(&self, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
        let name = request.group_id.as_str();
        let now = self.now();
        let mut inner = self.lock();
        inner.next_deadline(name, now);
        let Some(group) = inner.groups.get(name) else {
            return OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code());
        };
        let mut entries = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let subscribed = subscribes(group, topic.name.as_bytes());
            let mut answers = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let result = if subscribed {
                    Err(ResponseError::GroupSubscribedToTopic)
                } else if self.topics.has_partition(&topic.name, index) {
                    entries.push(Entry::Forget(name.to_owned(), (topic.name.to_string(), index)));
                    Ok(())
                } else {
                    Err(ResponseError::UnknownTopicOrPartition)
                };
                answers.push(
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(code(&result)),
                );
            }
            let response = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
            topics.push(response.with_partitions(answers));
        }
        match inner.store(&entries) {
            Ok(()) => OffsetDeleteResponse::default().with_topics(topics),
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        }
    }

    /// A topic was deleted: whoever creates one of the same name must not find offsets of the old one.
    pub(crate) fn topic_deleted(&self, topic: &str) {
        let mut inner = self.lock();
        let mut entries = Vec::new();
        for (group, remains) in inner.journal.groups() {
            let gone = remains.offsets.keys().filter(|(of, _)| of == topic);
            entries.extend(gone.map(|partition| Entry::Forget(group.clone(), partition.clone())));
        }
        if let Err(error) = inner.store(&entries) {
            tracing::warn!("offsets of the deleted topic {topic} were not removed: {error}");
        }
    }
}

impl Inner {
    fn store(&mut self, entries: &[Entry]) -> Result<(), ResponseError> {
        let grows = entries.iter().any(|entry| matches!(entry, Entry::Commit(..)));
        if grows && !self.journal.has_room_for(entries) {
            return Err(ResponseError::InvalidCommitOffsetSize);
        }
        self.journal.append(entries).map_err(|error| {
            tracing::error!("committed offsets were not written: {error}");
            ResponseError::KafkaStorageError
        })
    }
}

fn fetch_group(inner: &Inner, request: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let asked = request.topics.as_ref().map(|topics| {
        let topics = topics.iter();
        topics.map(|topic| (topic.name.clone(), topic.partition_indexes.as_slice()))
    });
    let partition = |(index, (offset, leader_epoch, metadata)): (i32, Answer)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(text(metadata)))
    };
    let topics = lookup(inner.journal.offsets(&request.group_id), asked)
        .into_iter()
        .map(|(name, partitions)| {
            OffsetFetchResponseTopics::default()
                .with_name(name)
                .with_partitions(partitions.into_iter().map(partition).collect())
        });
    OffsetFetchResponseGroup::default()
        .with_group_id(request.group_id.clone())
        .with_topics(topics.collect())
}

/// The offsets that are asked for, or all.
fn lookup<'a>(
    offsets: Option<&Offsets>,
    asked: Option<impl Iterator<Item = (TopicName, &'a [i32])>>,
) -> Vec<(TopicName, Vec<(i32, Answer)>)> {
    let told = |committed: &Committed| (committed.offset, committed.leader_epoch, committed.metadata.clone());
    let Some(asked) = asked else {
        let mut topics: BTreeMap<&str, Vec<(i32, Answer)>> = BTreeMap::new();
        for ((topic, partition), committed) in offsets.into_iter().flatten() {
            topics.entry(topic).or_default().push((*partition, told(committed)));
        }
        let topics = topics.into_iter();
        return topics
            .map(|(topic, partitions)| (text(topic).into(), partitions))
            .collect();
    };
    let find = |topic: &TopicName, index: i32| {
        let found = offsets.and_then(|offsets| offsets.get(&(topic.to_string(), index)));
        (index, found.map_or_else(|| (-1, -1, String::new()), told))
    };
    // Likewise for partitions, which bring up to 4 KiB of metadata for the four bytes that ask for them.
    let mut seen: BTreeSet<(TopicName, i32)> = BTreeSet::new();
    asked
        .map(|(topic, indexes)| {
            let once = indexes.iter().filter(|index| seen.insert((topic.clone(), **index)));
            let partitions = once.map(|index| find(&topic, *index)).collect();
            (topic, partitions)
        })
        .collect()
}

/// Whether a member wants the topic; one whose subscription cannot be read might.
fn subscribes(group: &Group, topic: &[u8]) -> bool {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    group.members.values().any(|member| {
        let metadata = member.metadata(protocol);
        subscribed_topics(&metadata).is_none_or(|topics| topics.contains(topic))
    })
}

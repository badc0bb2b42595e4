//! Consumer groups: who is in them, what they committed, how far behind they are.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::error::{BrokerError, similar};
use super::ffi::groups::GroupDescription;
use super::ffi::{is_coordinator_moving, is_unknown_group};
use super::topics::TopicInfo;

/// How long a coordinator that is only being found is left alone.
const AGAIN: Duration = Duration::from_millis(50);

/// A group in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSummary {
    /// The group's id.
    pub id: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`.
    pub state: String,
    /// `classic`, `consumer` for the protocol of KIP-848, `unknown` where the broker does not say.
    pub protocol: String,
    /// How partitions are assigned, such as `range`; empty where the group has no members.
    pub assignor: String,
    /// How many members.
    pub members: usize,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator gave.
    pub id: String,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Topic and partition, as assigned.
    pub assignment: Vec<(String, i32)>,
}

/// What a group committed for a partition and what remains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that the group will read; `None` where it never committed.
    pub committed: Option<i64>,
    /// The partition's end; `None` where the topic is gone.
    pub end: Option<i64>,
    /// Records between the two; counts offsets, so markers and compacted records are in it.
    pub lag: Option<i64>,
}

/// A group, its members and offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDetail {
    /// The line of the list.
    pub summary: GroupSummary,
    /// The members.
    pub members: Vec<Member>,
    /// One entry for each partition that was committed or is assigned.
    pub offsets: Vec<GroupOffset>,
}

impl GroupDetail {
    /// Records between all that was committed and the ends; `None` where nothing was, as in a group that has only just begun.
    pub fn lag(&self) -> Option<i64> {
        self.offsets
            .iter()
            .filter_map(|offset| offset.lag)
            .reduce(i64::saturating_add)
    }
}

impl Client {
    /// Every group of the cluster, by id. Groups that are no consumers (such as Kafka Connect's workers) are not among them.
    pub fn groups(&self) -> Result<Vec<GroupSummary>, BrokerError> {
        let what = "listing the consumer groups";
        let (mut ids, fault) = self.ask(what, |native, deadline| native.group_ids(deadline))?;
        if let Some(fault) = fault {
            // A list without the groups of one broker would look whole.
            return Err(self.error(what, &fault, self.deadline()));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        ids.sort();
        let groups = self.describe(&ids)?;
        Ok(groups.iter().map(summary).collect())
    }

    /// One group with members, committed offsets and lag; a group that is not there is an error.
    pub fn group(&self, id: &str) -> Result<GroupDetail, BrokerError> {
        let ids = [id.to_owned()];
        let mut found = self.describe(&ids)?;
        // A coordinator describes a group that it does not know as a dead one without members.
        let group = match found.pop() {
            Some(group) if group.state != "Dead" => group,
            _ => return Err(self.unknown_group(id)),
        };
        let what = format!("asking for the offsets of the group `{id}`");
        let committed = self.ask(&what, |native, deadline| native.committed(id, deadline))?;
        let mut partitions: BTreeMap<(String, i32), Option<i64>> = BTreeMap::new();
        for member in &group.members {
            partitions.extend(member.assignment.iter().map(|assigned| (assigned.clone(), None)));
        }
        for entry in committed {
            let offset = (entry.offset >= 0).then_some(entry.offset);
            partitions.insert((entry.topic, entry.partition), offset);
        }
        let ends = self.ends(&partitions)?;
        let offsets = partitions
            .into_iter()
            .map(|((topic, partition), committed)| {
                let end = ends.get(&(topic.clone(), partition)).copied();
                GroupOffset {
                    lag: committed.zip(end).map(|(committed, end)| (end - committed).max(0)),
                    committed,
                    end,
                    topic,
                    partition,
                }
            })
            .collect();
        let summary = summary(&group);
        let members = group
            .members
            .into_iter()
            .map(|member| Member {
                id: member.id,
                client_id: member.client_id,
                host: member.host.trim_start_matches('/').to_owned(),
                assignment: member.assignment,
            })
            .collect();
        Ok(GroupDetail {
            summary,
            members,
            offsets,
        })
    }

    /// Deletes a group with its committed offsets. A group that has members is an error; one that is not there is none.
    /// Refused where the profile forbids writing.
    pub fn delete_group(&self, id: &str) -> Result<(), BrokerError> {
        self.allow_write("deleting a consumer group")?;
        let what = format!("deleting the group `{id}`");
        let unknown = std::cell::Cell::new(false);
        let deleted = self.ask(&what, |native, deadline| {
            native
                .delete_group(id, deadline)
                .inspect_err(|fault| unknown.set(is_unknown_group(fault)))
        });
        if unknown.get() { Ok(()) } else { deleted }
    }

    fn describe(&self, ids: &[String]) -> Result<Vec<GroupDescription>, BrokerError> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let what = "describing consumer groups";
        let start = Instant::now();
        let moving = |group: &GroupDescription| group.error.as_ref().is_some_and(is_coordinator_moving);
        let groups = loop {
            let groups = self.ask(what, |native, deadline| native.describe_groups(&ids, deadline))?;
            if !groups.iter().any(moving) || start.elapsed() + AGAIN >= self.deadline() {
                break groups;
            }
            thread::sleep(AGAIN);
        };
        for group in &groups {
            if let Some(fault) = group.error.as_ref().filter(|fault| !is_unknown_group(fault)) {
                let what = format!("describing the group `{}`", group.id);
                return Err(self.error(&what, fault, self.deadline()));
            }
        }
        Ok(groups.into_iter().filter(|group| group.error.is_none()).collect())
    }

    fn unknown_group(&self, id: &str) -> BrokerError {
        let known = self.groups().unwrap_or_default();
        BrokerError::UnknownGroup {
            name: id.to_owned(),
            similar: similar(id, known.iter().map(|group| group.id.as_str())),
        }
    }

    /// The ends of the partitions that a group knows; what is of a topic that is gone has none.
    fn ends(
        &self,
        partitions: &BTreeMap<(String, i32), Option<i64>>,
    ) -> Result<BTreeMap<(String, i32), i64>, BrokerError> {
        let there = self.topics()?;
        let mut topics: Vec<TopicInfo> = Vec::new();
        for topic in there {
            if partitions.keys().any(|(name, _)| *name == topic.name) {
                topics.push(topic);
            }
        }
        let mut ends = BTreeMap::new();
        for (topic, marks) in self.watermarks_of(&topics)? {
            for mark in marks? {
                ends.insert((topic.clone(), mark.partition), mark.high);
            }
        }
        Ok(ends)
    }
}

fn summary(group: &GroupDescription) -> GroupSummary {
    GroupSummary {
        id: group.id.clone(),
        state: group.state.clone(),
        protocol: group.kind.to_lowercase(),
        assignor: group.assignor.clone(),
        members: group.members.len(),
    }
}

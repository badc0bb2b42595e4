//! A member of a consumer group: who joins it shares the topics' partitions with the group's other members.
//!
//! The reader ([`super::reader`]) joins nothing and leaves no trace; this is for whoever wants to be seen. Where a partition is
//! read from is the caller's to say, because a read model knows its own position; the group's committed offsets follow it, so
//! that every tool sees how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::record::{Position, Record, TopicPartition};

use super::client::{Client, Role, plain};
use super::error::BrokerError;
use super::ffi::Fault;
use super::ffi::member::{Heard, Membership};

/// Where a partition begins of which no position is known.
const FIRST: i64 = -2;
/// Records handed out at once at most.
const BATCH: usize = 500;
/// How long leaving the group may take; a coordinator that does not answer notices by itself that somebody is gone.
const LEAVE: Duration = Duration::from_secs(5);
/// How soon a commit that failed is tried again: a rebalance is over by then, or a broker back.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a member may be silent before the group shares its partitions out to others: the least that Apache Kafka allows
/// unless it is told otherwise, so that a member that was killed is missed soon.
pub const SESSION: Duration = Duration::from_secs(6);

/// What a member hears of its group.
#[derive(Debug)]
pub enum News {
    /// Records of its partitions, each partition's in order; then the offsets up to which partitions were read, where what lies
    /// before them is no record, or nothing came behind.
    Records(Vec<Record>, Position),
    /// These partitions are its own now; it says where it begins with [`Member::begin`].
    Assigned(Vec<TopicPartition>),
    /// None is its own any more.
    Revoked,
    /// Nothing within the wait.
    Nothing,
}

/// A member. It belongs to one thread. [`Member::leave`] tells the group; dropped without it, the group misses the member only
/// when its session is over, as it does where a process was killed.
#[derive(Debug)]
pub struct Member {
    membership: Membership,
    client: Client,
    /// Its partitions.
    own: BTreeSet<TopicPartition>,
    /// What the group is to know, and what it knows.
    wanted: BTreeMap<TopicPartition, i64>,
    committed: BTreeMap<TopicPartition, i64>,
    /// What was sent and not answered yet.
    sent: Option<BTreeMap<TopicPartition, i64>>,
    failed: Option<Instant>,
    /// What was heard behind the records that were handed out.
    held: Option<Heard>,
}

impl Client {
    /// Joins the group `group` as `name`, to share the partitions of `topics`; it is missed after a silence of `session`, which the
    /// broker must allow. Refused where the profile forbids writing: a group is seen by everybody.
    pub fn join(&self, group: &str, name: &str, topics: &[String], session: Duration) -> Result<Member, BrokerError> {
        self.allow_write("joining a consumer group")?;
        for topic in topics {
            self.topic(topic)?;
        }
        let properties = [
            ("group.id", group.to_owned()),
            ("client.id", name.to_owned()),
            ("session.timeout.ms", session.as_millis().to_string()),
            ("heartbeat.interval.ms", (session / 6).as_millis().to_string()),
            ("partition.assignment.strategy", "range".to_owned()),
            // What waits here has been read and not been handled: little, so that partitions change hands soon.
            ("queued.min.messages", "1000".to_owned()),
            ("fetch.wait.max.ms", "100".to_owned()),
            ("fetch.queue.backoff.ms", "5".to_owned()),
            ("fetch.error.backoff.ms", "100".to_owned()),
            ("topic.metadata.refresh.interval.ms", "5000".to_owned()),
        ];
        let native = self.handle(Role::Member, &properties)?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let membership = Membership::subscribe(native, &topics)
            .map_err(|fault| self.error("joining the group", &fault, Duration::ZERO))?;
        Ok(Member {
            membership,
            client: self.clone(),
            own: BTreeSet::new(),
            wanted: BTreeMap::new(),
            committed: BTreeMap::new(),
            sent: None,
            failed: None,
            held: None,
        })
    }
}

impl Member {
    /// What happens next, within `wait`. Connection troubles are no error: it goes on trying, and [`Member::trouble`] says so.
    pub fn poll(&mut self, wait: Duration) -> Result<News, BrokerError> {
        self.serve_commits()?;
        let mut records = Vec::new();
        let mut ends = Position::new();
        let mut wait = wait;
        while records.len() < BATCH {
            let Some(heard) = self.held.take().or_else(|| self.membership.poll(wait)) else {
                break;
            };
            wait = Duration::ZERO;
            match heard {
                Heard::Record(record) => records.push(record),
                Heard::Other => {}
                Heard::Fault(fault) if fault.is_silence() => {}
                Heard::End(end) => ends.set(TopicPartition::new(end.topic, end.partition), end.offset),
                heard if !(records.is_empty() && ends.is_empty()) => {
                    self.held = Some(heard);
                    break;
                }
                Heard::Assigned(partitions) => {
                    let partitions = partitions.into_iter();
                    return Ok(News::Assigned(
                        partitions
                            .map(|entry| TopicPartition::new(entry.topic, entry.partition))
                            .collect(),
                    ));
                }
                Heard::Revoked => {
                    self.give_back()?;
                    return Ok(News::Revoked);
                }
                Heard::Fault(fault) => return Err(self.error("reading in the group", &fault)),
            }
        }
        if records.is_empty() && ends.is_empty() {
            return Ok(News::Nothing);
        }
        self.membership.native().answered();
        Ok(News::Records(records, ends))
    }

    /// Takes partitions that were assigned, each from its next offset on; from its first record where that is not known.
    pub fn begin(&mut self, partitions: Vec<TopicPartition>, position: &Position) -> Result<(), BrokerError> {
        let list: Vec<(&str, i32, i64)> = partitions
            .iter()
            .map(|at| (&*at.topic, at.partition, position.next(at).unwrap_or(FIRST)))
            .collect();
        self.membership
            .assign(&list)
            .map_err(|fault| self.error("taking partitions", &fault))?;
        self.own = partitions.into_iter().collect();
        self.committed.clear();
        self.wanted.clear();
        Ok(())
    }

    /// Tells the group the next offsets of the partitions that are this member's; the others are left out. It is sent by and
    /// by, and again where that failed.
    pub fn commit(&mut self, position: &Position) -> Result<(), BrokerError> {
        for at in &self.own {
            if let Some(next) = position.next(at) {
                self.wanted.insert(at.clone(), next);
            }
        }
        self.serve_commits()
    }

    /// What keeps the broker from answering, if something does.
    pub fn trouble(&self) -> Option<String> {
        let native = self.membership.native();
        let reason = || native.trouble().map(|fault| plain(&fault.reason));
        native
            .all_down()
            .then(|| reason().unwrap_or_else(|| "no broker can be reached".to_owned()))
    }

    /// How many partitions are its own.
    pub fn partitions(&self) -> usize {
        self.own.len()
    }

    /// Commits what is left to commit and leaves the group, so that the others share its partitions at once.
    pub fn leave(mut self) {
        let until = Instant::now() + LEAVE;
        let is_late = || Instant::now() >= until;
        while self.trouble().is_none() && !self.is_settled() && !is_late() {
            if self.serve_commits().is_err() {
                break;
            }
            // A rebalance may be what the commit waits for.
            match self.membership.poll(Duration::from_millis(5)) {
                Some(Heard::Revoked) => break,
                Some(Heard::Assigned(_)) => {
                    let _ = self.membership.unassign();
                    break;
                }
                _ => {}
            }
        }
        self.membership.close();
        while !self.membership.is_closed() && !is_late() {
            if let Some(Heard::Revoked | Heard::Assigned(_)) = self.membership.poll(Duration::from_millis(20)) {
                // It is on its way out: an error changes nothing.
                let _ = self.membership.unassign();
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.sent.is_none() && self.wanted == self.committed
    }

    fn give_back(&mut self) -> Result<(), BrokerError> {
        self.own.clear();
        self.wanted.clear();
        self.committed.clear();
        self.membership
            .unassign()
            .map_err(|fault| self.error("giving partitions back", &fault))
    }

    /// Takes the answer to the last commit, and sends what has changed since.
    fn serve_commits(&mut self) -> Result<(), BrokerError> {
        if self.sent.is_some() {
            match self.membership.answer(Duration::ZERO) {
                None => return Ok(()),
                Some(Ok(())) => self.committed.extend(self.sent.take().unwrap_or_default()),
                Some(Err(_)) => {
                    // A rebalance, or a broker that is away: what is still its own afterwards is sent again.
                    self.sent = None;
                    self.failed = Some(Instant::now());
                }
            }
            self.committed.retain(|at, _| self.own.contains(at));
        }
        if self.wanted == self.committed || self.failed.is_some_and(|at| at.elapsed() < AGAIN) {
            return Ok(());
        }
        let list: Vec<(&str, i32, i64)> = self
            .wanted
            .iter()
            .map(|(at, next)| (&*at.topic, at.partition, *next))
            .collect();
        self.membership
            .commit(&list)
            .map_err(|fault| self.error("committing offsets", &fault))?;
        self.sent = Some(self.wanted.clone());
        self.failed = None;
        Ok(())
    }

    fn error(&self, what: &str, fault: &Fault) -> BrokerError {
        self.client
            .error_of(self.membership.native(), what, fault, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::embedded::Embedded;
    use super::super::topics::NewTopic;
    use super::*;

    #[test]
    fn a_member_is_missed_as_soon_as_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let broker = Embedded::open(folder.path(), None).unwrap();
        let client = broker.client().unwrap();
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: Some(1),
            ..NewTopic::default()
        };
        client.create_topic(&topic).unwrap();
        let start = Instant::now();
        let patience = Duration::from_secs(60);
        for (group, session) in [("soon", Duration::from_millis(300)), ("late", Duration::from_secs(300))] {
            let mut member = client.join(group, "n", &["t".to_owned()], session).unwrap();
            while !matches!(member.poll(Duration::from_millis(10)).unwrap(), News::Assigned(_)) {
                assert!(start.elapsed() < patience, "{group}: no partition");
            }
            // Dropped without a word, as where a process was killed.
        }
        while !client.group("soon").unwrap().members.is_empty() {
            assert!(start.elapsed() < patience, "it is still there");
        }
        assert_eq!(client.group("late").unwrap().members.len(), 1);
    }
}

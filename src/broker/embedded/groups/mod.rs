//! The coordinator of classic consumer groups: who is in a group, who reads what, and how far everybody has come.
//!
//! [`machine`] is one group's life as a pure state machine; [`journal`] is what survives a restart; the rest turns requests of
//! the protocol into calls of the two. Membership does not survive a restart: members are told that they are unknown and join
//! again. Committed offsets do, and are kept until their group or topic is deleted: they do not expire as they do in Apache
//! Kafka after a week, because somebody who comes back to a lesson after a month wants to go on where it stopped.

mod admin;
mod join;
mod journal;
mod machine;
mod member;
mod membership;
mod offsets;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use self::journal::{Entry, Journal, Past};
use self::machine::Group;
use self::member::{Answer, Joined, Millis, Refused, Synced, Ticket};
use super::error::EmbeddedError;
use super::store::Store;

/// Groups with members or known since the start. Those with committed offsets are bounded by the journal's size.
const MAX_GROUPS: usize = if cfg!(test) { 100 } else { 10_000 };
/// A group's name has no limit in Apache Kafka; here it is one of the things that memory is bounded by.
const MAX_GROUP_NAME: usize = 1024;
/// Bytes that all members of all groups may hold on to.
const MAX_WEIGHT: usize = 64 << 20;

/// What the coordinator asks of the broker.
pub(crate) trait Topics: Send + std::marker::Sync {
    /// Whether there is such a partition.
    fn has_partition(&self, topic: &str, partition: i32) -> bool;
}

impl Topics for Store {
    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.topic(topic)
            .is_some_and(|topic| (0..topic.partition_count()).contains(&partition))
    }
}

#[cfg(test)]
impl<F: Fn(&str, i32) -> bool + Send + std::marker::Sync> Topics for F {
    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self(topic, partition)
    }
}

/// Where the broker is reached, as it is told to clients.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The broker's id.
    pub(crate) id: i32,
    /// The advertised host.
    pub(crate) host: String,
    /// The advertised port.
    pub(crate) port: u16,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// `client.id` of the request's header.
    pub(crate) client_id: &'a str,
    /// The address that it came from, without a port.
    pub(crate) host: &'a str,
}

/// All groups of the broker. Shared by all connections.
pub(crate) struct Coordinator {
    inner: Mutex<Inner>,
    topics: Arc<dyn Topics>,
    /// Told when a deadline may have come nearer.
    changed: Notify,
    opened: Instant,
}

struct Inner {
    groups: BTreeMap<String, Group>,
    waiting: HashMap<Ticket, Waiter>,
    next_ticket: u64,
    journal: Journal,
}

enum Waiter {
    Join(oneshot::Sender<Result<Joined, Refused>>),
    Sync(oneshot::Sender<Result<Synced, ResponseError>>),
}

impl Coordinator {
    /// Opens the coordinator whose journal is in `dir`, which exists.
    pub(crate) fn open(dir: &Path, topics: Arc<dyn Topics>) -> Result<Self, EmbeddedError> {
        let journal = Journal::open(dir)?;
        let restored = |(name, remains): (&String, &journal::Remains)| {
            let past = &remains.past;
            (name.clone(), Group::new(past.generation, past.protocol_type.clone()))
        };
        Ok(Self {
            inner: Mutex::new(Inner {
                groups: journal.groups().iter().map(restored).collect(),
                waiting: HashMap::new(),
                next_ticket: 0,
                journal,
            }),
            topics,
            changed: Notify::new(),
            opened: Instant::now(),
        })
    }

    /// Makes what was committed outlive a loss of power too.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Not under the lock: requests go on meanwhile.
        let unsynced = self.lock().journal.unsynced()?;
        unsynced.map_or(Ok(()), |file| file.sync_data())
    }

    fn now(&self) -> Millis {
        // 584 million years of milliseconds fit.
        self.opened.elapsed().as_millis() as Millis
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What panicked elsewhere left a group between two steps at worst, and its timers bring it out of there.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the answer that `receiver` brings, and keeps the group's time meanwhile. It ends, because whatever a group
    /// waits for has a deadline.
    async fn wait<T>(&self, group: &str, mut receiver: oneshot::Receiver<T>) -> Option<T> {
        loop {
            // Before looking at the deadline, so that no change in between is missed.
            let changed = self.changed.notified();
            let deadline = self.lock().next_deadline(group, self.now());
            let deadline = deadline.map(|at| self.opened + Duration::from_millis(at));
            // The group is gone with its waiters, or has nothing to do: the answer is there, or its sender is dropped.
            let deadline = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            tokio::select! {
                answer = &mut receiver => return answer.ok(),
                () = changed => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }
}

impl Inner {
    /// Runs `act` on a group and delivers the answers that come of it.
    fn with<T>(&mut self, name: &str, act: impl FnOnce(&mut Group, &mut Vec<Answer>) -> T) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let generation = group.generation;
        let mut answers = Vec::new();
        let result = act(group, &mut answers);
        if group.generation != generation {
            let past = Past {
                generation: group.generation,
                protocol_type: group.protocol_type.clone(),
            };
            // A generation that is not remembered is counted again after a restart, among members with other ids.
            if let Err(error) = self.journal.append(&[Entry::Generation(name.to_owned(), past)]) {
                tracing::warn!("the generation of group {name:?} was not written: {error}");
            }
        }
        for answer in answers {
            self.deliver(answer);
        }
        Some(result)
    }

    /// Whoever has gone meanwhile does not miss the answer: a client that lost its connection asks again.
    fn deliver(&mut self, answer: Answer) {
        match answer {
            Answer::Join(ticket, result) => {
                if let Some(Waiter::Join(sender)) = self.waiting.remove(&ticket) {
                    let _ = sender.send(result);
                }
            }
            Answer::Sync(ticket, result) => {
                if let Some(Waiter::Sync(sender)) = self.waiting.remove(&ticket) {
                    let _ = sender.send(result);
                }
            }
        }
    }

    fn ticket(&mut self, waiter: Waiter) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, waiter);
        ticket
    }

    fn next_deadline(&mut self, name: &str, now: Millis) -> Option<Millis> {
        let deadline = self.with(name, |group, out| {
            group.advance(now, out);
            group.next_deadline()
        });
        self.prune(name);
        deadline?
    }

    /// Forgets a group that never came to be: nobody ever was in it, and nothing was committed for it.
    fn prune(&mut self, name: &str) {
        let unborn = |group: &Group| group.is_vacant() && group.generation == 0;
        if self.groups.get(name).is_some_and(unborn) && !self.journal.has_offsets(name) {
            self.groups.remove(name);
        }
    }

    fn advance_all(&mut self, now: Millis) {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            self.next_deadline(&name, now);
        }
    }

    /// Makes room for and creates the group unless it is there.
    fn ensure(&mut self, name: &str, now: Millis) -> Result<(), ResponseError> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        if name.len() > MAX_GROUP_NAME {
            return Err(ResponseError::InvalidGroupId);
        }
        if self.groups.len() >= MAX_GROUPS {
            self.advance_all(now);
            self.forget_vacant();
        }
        if self.groups.len() >= MAX_GROUPS {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        self.groups.insert(name.to_owned(), Group::new(0, String::new()));
        Ok(())
    }

    /// Forgets the groups that have neither members nor offsets, and what the journal says of them.
    fn forget_vacant(&mut self) {
        let journal = &self.journal;
        let vacant = |(name, group): &(&String, &Group)| group.is_vacant() && !journal.has_offsets(name);
        let gone: Vec<Entry> = self
            .groups
            .iter()
            .filter(vacant)
            .map(|(name, _)| Entry::Delete(name.clone()))
            .collect();
        if let Err(error) = self.journal.append(&gone) {
            tracing::warn!("groups without members and offsets were not forgotten: {error}");
            return;
        }
        for entry in gone {
            if let Entry::Delete(name) = entry {
                self.groups.remove(&name);
            }
        }
    }

    fn weight(&self) -> usize {
        self.groups.values().map(Group::weight).sum()
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator").finish_non_exhaustive()
    }
}

/// 0 or the error's code.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// 128 random bits as text. The standard library seeds its hashers from the system's randomness, which saves a crate.
fn random_id() -> String {
    let bits = || RandomState::new().build_hasher().finish();
    let (high, low) = (bits(), bits());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

//! What the state machine of a group speaks about: members, what they send, what they are told.
//!
//! Everything here is copied out of the request: a `Bytes` or `StrBytes` of the protocol crate would keep the whole frame alive.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::ResponseError;

/// Milliseconds since the coordinator was opened.
pub(super) type Millis = u64;

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// How long a member that has no id yet may wait for its first generation: it sends no heartbeats, so that nothing else tells
/// whether it is still there. The figure is Apache Kafka's.
pub(super) const NEW_MEMBER_PATIENCE: Millis = 5 * 60 * 1000;

/// Where a group stands between two generations. `Dead`, which clients know too, is a group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No members; offsets may remain.
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Everybody has what the leader assigned.
    Stable,
}

impl State {
    /// The name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A way to share the work that a member knows, with what it wants to tell the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: String,
    pub(super) metadata: Bytes,
}

/// Who asks: a member id, and the instance id of a static member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) member: &'a str,
    pub(super) instance: Option<&'a str>,
}

/// A request to join.
#[derive(Debug, Clone)]
pub(super) struct Join {
    /// Empty for a member that has no id yet.
    pub(super) member_id: String,
    /// The id that a member without one gets.
    pub(super) fresh_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Millis,
    pub(super) rebalance_timeout: Millis,
    pub(super) protocol_type: String,
    pub(super) protocols: Vec<Protocol>,
    /// Whether a dynamic member without an id must come again with the id it is given (KIP-394).
    pub(super) id_required: bool,
    /// Whether the client understands that a leader may be told not to assign (KIP-814).
    pub(super) may_skip_assignment: bool,
}

/// A member as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) metadata: Bytes,
}

/// The generation that a member belongs to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) member_id: String,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) leader: String,
    pub(super) skip_assignment: bool,
    /// All members for the leader, nobody for the others.
    pub(super) members: Vec<Peer>,
}

/// A join that failed, with the id to come again with where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) error: ResponseError,
    pub(super) member_id: String,
}

/// What the leader assigned to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Synced {
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) assignment: Bytes,
}

/// An answer to a request that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Join(Ticket, Result<Joined, Refused>),
    Sync(Ticket, Result<Synced, ResponseError>),
}

/// A request for one's assignment; the leader's carries everybody's.
#[derive(Debug, Clone)]
pub(super) struct Sync {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) assignments: Vec<(String, Bytes)>,
}

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Millis,
    pub(super) rebalance_timeout: Millis,
    /// By preference.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// The request that waits for the next generation.
    pub(super) joining: Option<Ticket>,
    /// The request that waits for the leader's assignment.
    pub(super) syncing: Option<Ticket>,
    /// Whether it was in no generation yet.
    is_new: bool,
    /// When it counts as gone unless it is heard of.
    deadline: Millis,
}

impl Member {
    pub(super) fn new(join: &Join, ticket: Ticket, now: Millis) -> Self {
        let mut member = Self {
            instance_id: join.instance_id.clone(),
            client_id: String::new(),
            client_host: String::new(),
            session_timeout: 0,
            rebalance_timeout: 0,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            is_new: true,
            deadline: now + NEW_MEMBER_PATIENCE,
        };
        member.update(join);
        member
    }

    /// Takes over what a later join says.
    pub(super) fn update(&mut self, join: &Join) {
        self.client_id.clone_from(&join.client_id);
        self.client_host.clone_from(&join.client_host);
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.protocols.clone_from(&join.protocols);
    }

    /// It was heard of.
    pub(super) fn touch(&mut self, now: Millis) {
        self.is_new = false;
        self.deadline = now + self.session_timeout;
    }

    /// When it is to be removed if nothing happens. A member that waits for an answer cannot send heartbeats in older clients.
    pub(super) fn expiry(&self) -> Option<Millis> {
        match (self.joining, self.syncing) {
            (Some(_), _) => self.is_new.then_some(self.deadline),
            (None, Some(_)) => None,
            (None, None) => Some(self.deadline),
        }
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|known| known.name == protocol);
        found.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|known| known.name == protocol)
    }

    /// Bytes that the member holds on to.
    pub(super) fn weight(&self) -> usize {
        let protocols: usize = self.protocols.iter().map(|p| p.name.len() + p.metadata.len()).sum();
        // The rest is the structure itself, its id in three maps and the allocator's share.
        protocols + self.assignment.len() + self.client_id.len() * 4 + 1024
    }
}

/// The topics of a consumer's subscription, the one part of it that says what work it wants. Its other parts (which
/// partitions it owns, the generation it was in) differ after every restart. `None` where the bytes are something else.
pub(super) fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<&[u8]>> {
    let (_version, rest) = metadata.split_at_checked(2)?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut topics = BTreeSet::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (topic, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        topics.insert(topic);
        rest = after;
    }
    Some(topics)
}

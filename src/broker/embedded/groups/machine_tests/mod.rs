//! What must hold of a group whatever its members do, and that members who follow the protocol always come together.

mod examples;
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Group;
use super::member::{Answer, Identity, Join, Joined, Millis, Protocol, State, Sync, Synced, Ticket};
use bytes::Bytes;
use kafka_protocol::ResponseError;

const SESSION: Millis = 10_000;
const REBALANCE: Millis = 30_000;

fn ids(ticket: u64, client: usize) -> String {
    format!("c{client}-{ticket}")
}

/// The client that an id was made for.
fn client_of(id: &str) -> usize {
    id[1..].split('-').next().unwrap().parse().unwrap()
}

fn subscription(topics: &[&str], rest: u8) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend_from_slice(&(topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
    }
    bytes.push(rest);
    bytes.into()
}

fn join(client: usize, member_id: &str, ticket: u64) -> Join {
    Join {
        member_id: member_id.to_owned(),
        fresh_id: ids(ticket, client),
        instance_id: None,
        client_id: format!("client {client}"),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol {
            name: "range".to_owned(),
            metadata: subscription(&["orders"], 0),
        }],
        id_required: false,
        may_skip_assignment: false,
    }
}

fn sync_for(joined: &Joined, instance: Option<&str>) -> Sync {
    let assign = |peer: &super::member::Peer| (peer.member_id.clone(), share(joined.generation, &peer.member_id));
    Sync {
        member_id: joined.member_id.clone(),
        instance_id: instance.map(str::to_owned),
        generation: joined.generation,
        protocol_type: Some("consumer".to_owned()),
        protocol: Some(joined.protocol.clone()),
        assignments: if joined.leader == joined.member_id && !joined.skip_assignment {
            joined.members.iter().map(assign).collect()
        } else {
            Vec::new()
        },
    }
}

/// What the leader of a generation gives to a member: told apart by client, so that a static member's new id inherits it.
fn share(generation: i32, member: &str) -> Bytes {
    format!("g{generation}c{}", client_of(member)).into()
}

/// A group with the requests that wait, holding every answer against what must be so.
struct Watched {
    group: Group,
    now: Millis,
    next_ticket: u64,
    /// Who waits, for how long at most.
    waiting: BTreeMap<Ticket, usize>,
    /// Who was told to assign, by generation.
    leaders: BTreeMap<i32, BTreeSet<String>>,
    newest: i32,
    answers: Vec<Answer>,
}

impl Watched {
    fn new() -> Self {
        Self {
            group: Group::new(0, String::new()),
            now: 0,
            next_ticket: 0,
            waiting: BTreeMap::new(),
            leaders: BTreeMap::new(),
            newest: 0,
            answers: Vec::new(),
        }
    }

    fn ticket(&mut self, client: usize) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, client);
        ticket
    }

    /// Checks answers and the state behind them; returns the answers.
    fn check(&mut self, out: Vec<Answer>) -> Vec<Answer> {
        for answer in &out {
            let ticket = match answer {
                Answer::Join(ticket, _) | Answer::Sync(ticket, _) => *ticket,
            };
            let client = self
                .waiting
                .remove(&ticket)
                .expect("an answer for a request that waits, once");
            match answer {
                Answer::Join(_, Ok(joined)) => {
                    assert!(joined.generation >= self.newest, "generations grow");
                    self.newest = joined.generation;
                    assert_eq!(client_of(&joined.member_id), client, "an answer for somebody else");
                    if joined.leader == joined.member_id && !joined.skip_assignment {
                        assert!(joined.members.iter().any(|peer| peer.member_id == joined.member_id));
                        let leaders = self.leaders.entry(joined.generation).or_default();
                        leaders.insert(joined.member_id.clone());
                        assert_eq!(leaders.len(), 1, "two leaders in a generation: {leaders:?}");
                    } else if !joined.skip_assignment {
                        assert!(joined.members.is_empty(), "only the leader assigns");
                    }
                }
                Answer::Sync(_, Ok(Synced { assignment, .. })) => {
                    assert_eq!(*assignment, format!("g{}c{client}", self.newest));
                }
                Answer::Join(_, Err(_)) | Answer::Sync(_, Err(_)) => {}
            }
        }
        let group = &self.group;
        assert!(group.generation >= self.newest);
        assert_eq!(
            group.state == State::Empty,
            group.members.is_empty() && group.state == State::Empty
        );
        for (id, member) in &group.members {
            if group.state == State::Stable {
                let expected = share(group.generation, id);
                assert_eq!(
                    member.assignment, expected,
                    "everybody in a stable group has one assignment"
                );
                assert!(member.joining.is_none() && member.syncing.is_none());
            }
            if let Some(instance) = &member.instance_id {
                assert_eq!(group.statics.get(instance), Some(id));
            }
        }
        assert!(group.statics.values().all(|id| group.members.contains_key(id)));
        if group.state == State::Stable || group.state == State::CompletingRebalance {
            let leader = group.leader.as_ref().expect("a leader");
            assert!(group.members.contains_key(leader), "the leader is a member");
        }
        let held: usize = group
            .members
            .values()
            .map(|member| usize::from(member.joining.is_some()) + usize::from(member.syncing.is_some()))
            .sum();
        assert_eq!(
            held,
            self.waiting.len(),
            "every request that waits is known to the group"
        );
        if !self.waiting.is_empty() {
            assert!(group.next_deadline().is_some(), "whoever waits has a deadline");
        }
        self.answers.extend(out.iter().cloned());
        out
    }

    fn advance(&mut self, to: Millis) -> Vec<Answer> {
        self.now = to;
        let mut out = Vec::new();
        self.group.advance(to, &mut out);
        self.check(out)
    }

    fn join(&mut self, client: usize, with: impl FnOnce(&mut Join), member_id: &str) -> Vec<Answer> {
        let ticket = self.ticket(client);
        let mut request = join(client, member_id, ticket.0);
        with(&mut request);
        let mut out = Vec::new();
        self.group.join(request, ticket, self.now, &mut out);
        self.check(out)
    }

    fn sync(&mut self, client: usize, request: Sync) -> Vec<Answer> {
        let ticket = self.ticket(client);
        let mut out = Vec::new();
        self.group.sync(request, ticket, self.now, &mut out);
        self.check(out)
    }

    fn heartbeat(&mut self, who: Identity<'_>, generation: i32) -> Result<(), ResponseError> {
        let mut out = Vec::new();
        let result = self.group.heartbeat(who, generation, self.now, &mut out);
        self.check(out);
        result
    }

    fn leave(&mut self, who: Identity<'_>) -> Result<(), ResponseError> {
        let mut out = Vec::new();
        let result = self.group.leave(who, self.now, &mut out);
        self.check(out);
        result
    }
}

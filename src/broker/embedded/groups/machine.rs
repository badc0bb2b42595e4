//! The life of one group as a pure state machine: requests and the time go in, answers and the next deadline come out.
//!
//! It follows what Apache Kafka's classic coordinator does. There is no initial rebalance delay: Kafka waits 3 s for the
//! members of a fleet to come together, because each rebalance of a fleet is dear; here a rebalance takes milliseconds and
//! somebody sits in front of it and waits.
//!
//! Time may be given lazily: [`Group::advance`] fires what fell due in between at the moment it fell due, in order, so that the
//! outcome does not depend on how often it is called.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::member::{Answer, Identity, Member, Millis, Peer, Refused, State, Sync, Synced, Ticket};

/// One consumer group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) state: State,
    pub(super) generation: i32,
    /// `consumer` for consumers; empty where nobody ever joined.
    pub(super) protocol_type: String,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids of the static members by their instance id.
    pub(super) statics: BTreeMap<String, String>,
    /// Ids that were given out and have not come back yet, with the time they are forgotten.
    pub(super) pending: BTreeMap<String, Millis>,
    /// Who has not asked for the assignment of this generation.
    unsynced: BTreeSet<String>,
    /// When the generation is made from those who came.
    join_deadline: Option<Millis>,
    /// When those are removed who did not ask for their assignment.
    sync_deadline: Option<Millis>,
}

impl Group {
    /// A group without members that was at `generation` before.
    pub(super) fn new(generation: i32, protocol_type: String) -> Self {
        Self {
            state: State::Empty,
            generation,
            protocol_type,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            join_deadline: None,
            sync_deadline: None,
        }
    }

    /// Whether nothing would be lost if the group were forgotten.
    pub(super) fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// When [`Group::advance`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let members = self.members.values().filter_map(Member::expiry);
        let pending = self.pending.values().copied();
        members
            .chain(pending)
            .chain(self.join_deadline)
            .chain(self.sync_deadline)
            .min()
    }

    /// Does everything that fell due until `now`.
    pub(super) fn advance(&mut self, now: Millis, out: &mut Vec<Answer>) {
        while let Some(at) = self.next_deadline().filter(|at| *at <= now) {
            self.fire(at, out);
        }
    }

    fn fire(&mut self, at: Millis, out: &mut Vec<Answer>) {
        self.pending.retain(|_, deadline| *deadline > at);
        let is_due = |deadline: Option<Millis>| deadline.is_some_and(|deadline| deadline <= at);
        let mut gone: BTreeSet<String> = self
            .members
            .iter()
            .filter(|(_, member)| is_due(member.expiry()))
            .map(|(id, _)| id.clone())
            .collect();
        if is_due(self.sync_deadline) {
            self.sync_deadline = None;
            gone.append(&mut self.unsynced);
        }
        if !gone.is_empty() {
            self.remove(&gone, at, out);
        }
        if is_due(self.join_deadline) {
            self.complete_join(at, out);
        } else {
            self.complete_join_if_all_came(at, out);
        }
    }

    /// A heartbeat: whether the member is still in the generation, and whether it should join again.
    pub(super) fn heartbeat(
        &mut self,
        who: Identity<'_>,
        generation: i32,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        self.advance(now, out);
        let state = self.state;
        let member = self.checked(who, generation)?;
        member.touch_unless_joining(now);
        match state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether `who` may commit offsets for the group.
    pub(super) fn check_commit(
        &mut self,
        who: Identity<'_>,
        generation: i32,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        self.advance(now, out);
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        let state = self.state;
        let member = self.checked(who, generation)?;
        member.touch_unless_joining(now);
        match state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            // The member learns of the rebalance from its heartbeat, and commits what it has done before it joins again.
            State::PreparingRebalance | State::Stable => Ok(()),
            State::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
        }
    }

    /// Removes a member that leaves, or that somebody removes by its instance id.
    pub(super) fn leave(&mut self, who: Identity<'_>, now: Millis, out: &mut Vec<Answer>) -> Result<(), ResponseError> {
        self.advance(now, out);
        if who.instance.is_none() && self.pending.remove(who.member).is_some() {
            self.complete_join_if_all_came(now, out);
            return Ok(());
        }
        let id = match who.instance {
            Some(instance) => {
                let known = self.statics.get(instance).ok_or(ResponseError::UnknownMemberId)?;
                if !who.member.is_empty() && who.member != known {
                    return Err(ResponseError::FencedInstanceId);
                }
                known.clone()
            }
            None => who.member.to_owned(),
        };
        if !self.members.contains_key(&id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.remove(&BTreeSet::from([id]), now, out);
        Ok(())
    }

    /// Asks for the assignment; the leader brings it. Answered through `out`, at once or later.
    pub(super) fn sync(&mut self, sync: Sync, ticket: Ticket, now: Millis, out: &mut Vec<Answer>) {
        self.advance(now, out);
        if let Err(error) = self.try_sync(sync, ticket, now, out) {
            out.push(Answer::Sync(ticket, Err(error)));
        }
    }

    fn try_sync(
        &mut self,
        sync: Sync,
        ticket: Ticket,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        let state = self.state;
        let agrees = |theirs: &Option<String>, ours: &str| theirs.as_deref().is_none_or(|theirs| theirs == ours);
        let consistent = agrees(&sync.protocol_type, &self.protocol_type)
            && agrees(&sync.protocol, self.protocol.as_deref().unwrap_or_default());
        let who = Identity {
            member: &sync.member_id,
            instance: sync.instance_id.as_deref(),
        };
        let member = self.checked(who, sync.generation)?;
        if !consistent {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match state {
            State::Empty => return Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => return Err(ResponseError::RebalanceInProgress),
            State::Stable => {
                member.touch(now);
                let assignment = member.assignment.clone();
                self.synced(&sync.member_id);
                out.push(Answer::Sync(ticket, Ok(self.share(assignment))));
            }
            State::CompletingRebalance => {
                if let Some(earlier) = member.syncing.replace(ticket) {
                    out.push(Answer::Sync(earlier, Err(ResponseError::RebalanceInProgress)));
                }
                self.synced(&sync.member_id);
                if self.leader.as_ref() == Some(&sync.member_id) {
                    self.assign(sync.assignments, now, out);
                }
            }
        }
        Ok(())
    }

    fn synced(&mut self, id: &str) {
        self.unsynced.remove(id);
        if self.unsynced.is_empty() {
            self.sync_deadline = None;
        }
    }

    fn share(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment,
        }
    }

    /// The leader has decided. Who is not named gets nothing; who is no member is passed over.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Millis, out: &mut Vec<Answer>) {
        let mut assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        self.state = State::Stable;
        let share = self.share(Bytes::new());
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let Some(ticket) = member.syncing.take() {
                member.touch(now);
                let assignment = member.assignment.clone();
                out.push(Answer::Sync(
                    ticket,
                    Ok(Synced {
                        assignment,
                        ..share.clone()
                    }),
                ));
            }
        }
    }

    /// The member that `who` is, if it is one of this generation.
    fn checked(&mut self, who: Identity<'_>, generation: i32) -> Result<&mut Member, ResponseError> {
        if self.is_fenced(who) {
            return Err(ResponseError::FencedInstanceId);
        }
        if who
            .instance
            .is_some_and(|instance| !self.statics.contains_key(instance))
        {
            return Err(ResponseError::UnknownMemberId);
        }
        let member = self.members.get_mut(who.member).ok_or(ResponseError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(member)
    }

    /// Whether another process has taken the instance id over.
    pub(super) fn is_fenced(&self, who: Identity<'_>) -> bool {
        let known = who.instance.and_then(|instance| self.statics.get(instance));
        known.is_some_and(|known| known != who.member)
    }

    fn remove(&mut self, ids: &BTreeSet<String>, now: Millis, out: &mut Vec<Answer>) {
        for id in ids {
            let Some(member) = self.members.remove(id) else {
                continue;
            };
            // Whoever still waits learns that it has to come again as a new member.
            self.dismiss(&member, ResponseError::UnknownMemberId, out);
            if let Some(instance) = &member.instance_id {
                self.statics.remove(instance);
            }
            self.unsynced.remove(id);
            if self.leader.as_ref() == Some(id) {
                self.leader = None;
            }
        }
        match self.state {
            State::Empty => {}
            State::Stable | State::CompletingRebalance => self.rebalance(now, out),
            State::PreparingRebalance => self.complete_join_if_all_came(now, out),
        }
    }

    /// Answers whatever a member waits for with an error.
    pub(super) fn dismiss(&self, member: &Member, error: ResponseError, out: &mut Vec<Answer>) {
        if let Some(ticket) = member.joining {
            let member_id = String::new();
            out.push(Answer::Join(ticket, Err(Refused { error, member_id })));
        }
        if let Some(ticket) = member.syncing {
            out.push(Answer::Sync(ticket, Err(error)));
        }
    }

    /// Begins a rebalance unless one has begun, and ends it if everybody is there.
    pub(super) fn rebalance(&mut self, now: Millis, out: &mut Vec<Answer>) {
        if self.state != State::PreparingRebalance {
            for member in self.members.values_mut() {
                if let Some(ticket) = member.syncing.take() {
                    member.touch(now);
                    out.push(Answer::Sync(ticket, Err(ResponseError::RebalanceInProgress)));
                }
                member.assignment = Bytes::new();
            }
            self.state = State::PreparingRebalance;
            self.unsynced.clear();
            self.sync_deadline = None;
            self.join_deadline = Some(now + self.rebalance_timeout());
        }
        self.complete_join_if_all_came(now, out);
    }

    /// The slowest member's.
    fn rebalance_timeout(&self) -> Millis {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    pub(super) fn complete_join_if_all_came(&mut self, now: Millis, out: &mut Vec<Answer>) {
        let all_came = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if self.state == State::PreparingRebalance && all_came {
            self.complete_join(now, out);
        }
    }

    /// Makes the next generation of those who came. Static members that did not come keep their place until their session
    /// expires; others lose it.
    fn complete_join(&mut self, now: Millis, out: &mut Vec<Answer>) {
        self.members
            .retain(|_, member| member.joining.is_some() || member.instance_id.is_some());
        let came = |member: &Member| member.joining.is_some();
        if !self.members.is_empty() && !self.members.values().any(came) {
            // Nobody could lead; sessions that expire will end this.
            self.join_deadline = Some(now + self.rebalance_timeout().max(1));
            return;
        }
        self.join_deadline = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let leads = self.leader.take().filter(|id| self.members.get(id).is_some_and(came));
        self.leader = leads.or_else(|| {
            let mut who_came = self.members.iter().filter(|(_, member)| came(member));
            who_came.next().map(|(id, _)| id.clone())
        });
        self.protocol = self.select_protocol();
        if self.members.is_empty() {
            self.state = State::Empty;
            return;
        }
        self.state = State::CompletingRebalance;
        self.unsynced = self.members.keys().cloned().collect();
        self.sync_deadline = Some(now + self.rebalance_timeout());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            if let Some(ticket) = member.joining.take() {
                member.touch(now);
                out.push(Answer::Join(ticket, Ok(self.joined(&id))));
            }
        }
    }

    /// The protocol that all know and most prefer; between equals the leader's preference decides.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let known_to_all = |name: &str| self.members.values().all(|member| member.knows(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(first) = member.protocols.iter().find(|protocol| known_to_all(&protocol.name)) {
                *votes.entry(&first.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let preferred = leader.into_iter().flat_map(|leader| &leader.protocols);
        preferred
            .map(|protocol| protocol.name.as_str())
            .chain(votes.keys().copied())
            .find(|name| votes.get(name) == Some(&most))
            .map(str::to_owned)
    }

    /// The current generation as `id` is told of it.
    pub(super) fn joined(&self, id: &str) -> super::member::Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leads = self.leader.as_deref() == Some(id);
        super::member::Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if leads { self.peers(&protocol) } else { Vec::new() },
            protocol,
        }
    }

    pub(super) fn peers(&self, protocol: &str) -> Vec<Peer> {
        let peer = |(id, member): (&String, &Member)| Peer {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(peer).collect()
    }

    /// Replaces the id of a static member in the bookkeeping of the generation.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(new.to_owned());
        }
        if self.unsynced.remove(old) {
            self.unsynced.insert(new.to_owned());
        }
    }

    /// Bytes that the group holds on to.
    pub(super) fn weight(&self) -> usize {
        let members: usize = self.members.values().map(Member::weight).sum();
        let pending: usize = self.pending.keys().map(|id| id.len() + 128).sum();
        members + pending + 512
    }
}

impl Member {
    /// A heartbeat beside a join that waits says nothing new: that one is bounded by itself.
    fn touch_unless_joining(&mut self, now: Millis) {
        if self.joining.is_none() {
            self.touch(now);
        }
    }
}

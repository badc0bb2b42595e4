//! Joining a group: as a new member, as one that was there before, as a static member that has restarted.

use kafka_protocol::ResponseError;

use super::machine::Group;
use super::member::{Answer, Identity, Join, Member, Millis, Refused, State, Ticket, subscribed_topics};

/// Members of one group. Apache Kafka has no limit by default; this is a broker for one machine.
pub(super) const MAX_MEMBERS: usize = 1000;

impl Group {
    /// Asks to be in the next generation. Answered through `out`, at once or later.
    pub(super) fn join(&mut self, join: Join, ticket: Ticket, now: Millis, out: &mut Vec<Answer>) {
        self.advance(now, out);
        let member_id = join.member_id.clone();
        let fresh_id = join.fresh_id.clone();
        if let Err(error) = self.try_join(join, ticket, now, out) {
            let member_id = if error == ResponseError::MemberIdRequired {
                fresh_id
            } else {
                member_id
            };
            out.push(Answer::Join(ticket, Err(Refused { error, member_id })));
        }
    }

    fn try_join(
        &mut self,
        join: Join,
        ticket: Ticket,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        let instance = join.instance_id.as_deref();
        let as_instance = instance.and_then(|instance| self.statics.get(instance)).cloned();
        if !self.accepts(&join, as_instance.as_deref()) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() {
            return match as_instance {
                Some(old_id) => {
                    self.replace(&old_id, join, ticket, now, out);
                    Ok(())
                }
                None => self.join_new(join, ticket, now, out),
            };
        }
        if instance.is_none() && self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            return self.add(id, join, ticket, now, out);
        }
        let who = Identity {
            member: &join.member_id,
            instance,
        };
        if self.is_fenced(who) {
            return Err(ResponseError::FencedInstanceId);
        }
        if instance.is_some() && as_instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.join_again(join, ticket, now, out)
    }

    /// Whether the protocols fit the other members'. The joining member's own earlier ones do not count, so that a lone
    /// consumer may come back with another strategy.
    fn accepts(&self, join: &Join, as_instance: Option<&str>) -> bool {
        let mut others = self
            .members
            .iter()
            .filter(|(id, _)| **id != join.member_id && Some(id.as_str()) != as_instance)
            .map(|(_, member)| member)
            .peekable();
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        if others.peek().is_none() {
            return true;
        }
        let others: Vec<&Member> = others.collect();
        let known_to_all = |name: &str| others.iter().all(|other| other.knows(name));
        join.protocol_type == self.protocol_type && join.protocols.iter().any(|protocol| known_to_all(&protocol.name))
    }

    fn join_new(
        &mut self,
        join: Join,
        ticket: Ticket,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        let id = join.fresh_id.clone();
        if join.id_required && join.instance_id.is_none() {
            self.check_size()?;
            self.pending.insert(id, now + join.session_timeout);
            return Err(ResponseError::MemberIdRequired);
        }
        self.add(id, join, ticket, now, out)
    }

    fn check_size(&self) -> Result<(), ResponseError> {
        if self.members.len() + self.pending.len() < MAX_MEMBERS {
            Ok(())
        } else {
            Err(ResponseError::GroupMaxSizeReached)
        }
    }

    fn add(
        &mut self,
        id: String,
        join: Join,
        ticket: Ticket,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        self.check_size()?;
        if let Some(instance) = &join.instance_id {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        let member = Member::new(&join, ticket, now);
        self.members.insert(id, member);
        self.protocol_type = join.protocol_type;
        self.rebalance(now, out);
        Ok(())
    }

    fn join_again(
        &mut self,
        join: Join,
        ticket: Ticket,
        now: Millis,
        out: &mut Vec<Answer>,
    ) -> Result<(), ResponseError> {
        let id = join.member_id.clone();
        let leads = self.leader.as_ref() == Some(&id);
        let member = self.members.get_mut(&id).ok_or(ResponseError::UnknownMemberId)?;
        let changed = member.protocols != join.protocols || self.protocol_type != join.protocol_type;
        let rebalance = match self.state {
            State::Empty => return Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => true,
            // The answer to its first request was lost.
            State::CompletingRebalance => changed,
            // A leader that joins again has seen that the topics have changed.
            State::Stable => changed || leads,
        };
        member.update(&join);
        self.protocol_type = join.protocol_type;
        if rebalance {
            if let Some(earlier) = member.joining.replace(ticket) {
                let error = ResponseError::RebalanceInProgress;
                out.push(Answer::Join(earlier, Err(Refused { error, member_id: id })));
            }
            self.rebalance(now, out);
        } else {
            member.touch(now);
            out.push(Answer::Join(ticket, Ok(self.joined(&id))));
        }
        Ok(())
    }

    /// A static member that has restarted takes its place again under a new id. In a stable group nobody else notices, as long
    /// as it wants the same work.
    fn replace(&mut self, old_id: &str, join: Join, ticket: Ticket, now: Millis, out: &mut Vec<Answer>) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        self.dismiss(&member, ResponseError::FencedInstanceId, out);
        let id = join.fresh_id.clone();
        if let Some(instance) = &join.instance_id {
            self.statics.insert(instance.clone(), id.clone());
        }
        let led = self.leader.as_deref() == Some(old_id);
        self.rename(old_id, &id);
        let protocol = self.protocol.clone().unwrap_or_default();
        let before = member.metadata(&protocol);
        member.update(&join);
        member.syncing = None;
        member.joining = None;
        member.touch(now);
        let after = member.metadata(&protocol);
        let same_work = match (subscribed_topics(&before), subscribed_topics(&after)) {
            (Some(before), Some(after)) => before == after,
            _ => before == after,
        };
        self.members.insert(id.clone(), member);
        let same_type = self.protocol_type == join.protocol_type;
        self.protocol_type = join.protocol_type;
        if self.state == State::Stable && same_work && same_type && self.select_protocol() == self.protocol {
            let mut joined = self.joined(&id);
            if led && join.may_skip_assignment {
                joined.skip_assignment = true;
            } else if led {
                // An older client would assign anew, and nobody would hear of it; under another leader's name it does not.
                old_id.clone_into(&mut joined.leader);
                joined.members.clear();
            }
            out.push(Answer::Join(ticket, Ok(joined)));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(ticket);
        }
        self.rebalance(now, out);
    }
}

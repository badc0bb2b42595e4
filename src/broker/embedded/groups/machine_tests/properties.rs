//! Arbitrary members, and members that follow the protocol.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::super::member::{Answer, Identity, Join, Joined, Millis, NEW_MEMBER_PATIENCE, Protocol, Refused, State};
use super::{REBALANCE, SESSION, Watched, client_of, subscription, sync_for};

const CLIENTS: usize = 4;

/// What a client may do next, in whatever order, whether or not the protocol would have it so.
#[derive(Debug, Clone)]
enum Act {
    Join {
        client: usize,
        /// Under the id it had, or as if it had none.
        anew: bool,
        is_static: bool,
        id_required: bool,
        may_skip: bool,
        topics: usize,
        strategies: usize,
    },
    Sync {
        client: usize,
        stale: bool,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
    },
    Wait {
        millis: Millis,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), any::<(bool, bool, bool, bool)>(), 0..2usize, 0..3usize).prop_map(
            |(client, (anew, is_static, id_required, may_skip), topics, strategies)| Act::Join {
                client,
                anew,
                is_static: is_static && client < 2,
                id_required,
                may_skip,
                topics,
                strategies,
            }
        ),
        6 => (client.clone(), prop::bool::weighted(0.1)).prop_map(|(client, stale)| Act::Sync { client, stale }),
        3 => client.clone().prop_map(|client| Act::Heartbeat { client }),
        1 => client.prop_map(|client| Act::Leave { client }),
        3 => prop_oneof![0..50u64, 1_000..9_000u64, 10_000..40_000u64].prop_map(|millis| Act::Wait { millis }),
    ]
}

/// Takes the acts, with time given in steps of at most `step`.
fn play(acts: &[Act], step: Millis) -> Watched {
    let mut watched = Watched::new();
    let mut known: Vec<(String, Option<String>, Option<Joined>)> = vec![(String::new(), None, None); CLIENTS];
    for act in acts {
        let answers = match act.clone() {
            Act::Join {
                client,
                anew,
                is_static,
                id_required,
                may_skip,
                topics,
                strategies,
            } => {
                let instance = is_static.then(|| format!("instance {client}"));
                let id = if anew { String::new() } else { known[client].0.clone() };
                known[client].1.clone_from(&instance);
                let with = |join: &mut Join| {
                    join.instance_id = instance;
                    join.id_required = id_required;
                    join.may_skip_assignment = may_skip;
                    let topics = [&["orders"][..], &["orders", "payments"]][topics];
                    let names = [&["range"][..], &["roundrobin", "range"], &["sticky"]][strategies];
                    let metadata = subscription(topics, u8::from(anew));
                    let protocol = |name: &&str| Protocol {
                        name: (*name).to_owned(),
                        metadata: metadata.clone(),
                    };
                    join.protocols = names.iter().map(protocol).collect();
                };
                watched.join(client, with, &id)
            }
            Act::Sync { client, stale } => {
                let (_, instance, Some(joined)) = &known[client] else {
                    continue;
                };
                let mut request = sync_for(joined, instance.as_deref());
                request.generation -= i32::from(stale);
                watched.sync(client, request)
            }
            Act::Heartbeat { client } => {
                let (id, instance, joined) = &known[client];
                let generation = joined.as_ref().map_or(-1, |joined| joined.generation);
                let who = Identity {
                    member: id,
                    instance: instance.as_deref(),
                };
                let _ = watched.heartbeat(who, generation);
                continue;
            }
            Act::Leave { client } => {
                let (id, instance, _) = &known[client];
                let who = Identity {
                    member: id,
                    instance: instance.as_deref(),
                };
                let _ = watched.leave(who);
                continue;
            }
            Act::Wait { millis } => {
                let until = watched.now + millis;
                let mut answers = Vec::new();
                while watched.now < until {
                    let to = (watched.now + step).min(until);
                    answers.extend(watched.advance(to));
                }
                answers
            }
        };
        for answer in answers {
            match answer {
                Answer::Join(_, Ok(joined)) => {
                    let client = client_of(&joined.member_id);
                    known[client].0.clone_from(&joined.member_id);
                    known[client].2 = Some(joined);
                }
                Answer::Join(
                    _,
                    Err(Refused {
                        error: ResponseError::MemberIdRequired,
                        member_id,
                    }),
                ) => {
                    let client = client_of(&member_id);
                    known[client].0 = member_id;
                }
                _ => {}
            }
        }
    }
    watched
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_members_do_nobody_waits_for_ever_and_generations_are_sound(acts in prop::collection::vec(act(), 1..60)) {
        // `Watched` checks after every step.
        let mut watched = play(&acts, Millis::MAX / 4);
        // Everybody falls silent.
        let end = watched.now + 2 * (NEW_MEMBER_PATIENCE + REBALANCE + SESSION);
        watched.advance(end);
        prop_assert!(watched.waiting.is_empty(), "{:?} wait for ever", watched.waiting);
        prop_assert_eq!(watched.group.state, State::Empty);
        prop_assert!(watched.group.is_vacant());
        prop_assert_eq!(watched.group.next_deadline(), None);
    }

    #[test]
    fn it_does_not_matter_how_often_the_time_is_told(acts in prop::collection::vec(act(), 1..40), step in 1..977u64) {
        let lazy = play(&acts, Millis::MAX / 4);
        let eager = play(&acts, step);
        prop_assert_eq!(lazy.answers, eager.answers);
        prop_assert_eq!(lazy.group.state, eager.group.state);
        prop_assert_eq!(lazy.group.generation, eager.group.generation);
    }

    #[test]
    fn members_that_follow_the_protocol_come_together(
        script in prop::collection::vec((0..CLIENTS, 0..6u8, 1..3_000u64), 0..80),
    ) {
        let mut fleet = Fleet::new();
        for (client, what, pause) in script {
            match what {
                0 => fleet.crash(client),
                1 => fleet.leave(client),
                _ => fleet.start(client),
            }
            fleet.step(pause);
        }
        for client in 0..CLIENTS {
            fleet.start(client);
        }
        // Long enough for every crashed member to expire, in steps shorter than a session.
        for _ in 0..(2 * (REBALANCE + SESSION) / 1_000) {
            fleet.step(1_000);
        }
        let group = &fleet.watched.group;
        prop_assert_eq!(group.state, State::Stable);
        prop_assert_eq!(group.members.len(), CLIENTS);
        for client in &fleet.clients {
            let Phase::Working { generation } = client.phase else { panic!("{:?}", client.phase) };
            prop_assert_eq!(generation, group.generation);
        }
    }
}

/// Where a client that follows the protocol stands.
#[derive(Debug, Clone)]
enum Phase {
    Off,
    /// It is about to join.
    Out,
    /// Its request to join waits.
    Joining,
    /// It is about to ask for its assignment.
    Joined(Joined),
    /// Its request for the assignment waits.
    Syncing {
        generation: i32,
    },
    Working {
        generation: i32,
    },
}

#[derive(Debug)]
struct Client {
    id: String,
    phase: Phase,
}

/// Clients as librdkafka and Java write them.
struct Fleet {
    watched: Watched,
    clients: Vec<Client>,
}

impl Fleet {
    fn new() -> Self {
        let off = || Client {
            id: String::new(),
            phase: Phase::Off,
        };
        Self {
            watched: Watched::new(),
            clients: std::iter::repeat_with(off).take(CLIENTS).collect(),
        }
    }

    fn start(&mut self, client: usize) {
        if matches!(self.clients[client].phase, Phase::Off) {
            self.clients[client].phase = Phase::Out;
        }
    }

    /// It is gone without a word; what it waited for is answered to nobody.
    fn crash(&mut self, client: usize) {
        self.clients[client] = Client {
            id: String::new(),
            phase: Phase::Off,
        };
    }

    fn leave(&mut self, client: usize) {
        // A client leaves between requests, not while one waits.
        if matches!(self.clients[client].phase, Phase::Working { .. } | Phase::Joined(_)) {
            let id = std::mem::take(&mut self.clients[client].id);
            let who = Identity {
                member: &id,
                instance: None,
            };
            let _ = self.watched.leave(who);
            self.clients[client].phase = Phase::Off;
            self.hear();
        }
    }

    /// Every client does its next thing, then time passes.
    fn step(&mut self, pause: Millis) {
        for client in 0..CLIENTS {
            match self.clients[client].phase.clone() {
                Phase::Off | Phase::Joining | Phase::Syncing { .. } => {}
                Phase::Out => {
                    let id = self.clients[client].id.clone();
                    self.clients[client].phase = Phase::Joining;
                    self.watched.join(client, |join| join.id_required = true, &id);
                }
                Phase::Joined(joined) => {
                    self.clients[client].phase = Phase::Syncing {
                        generation: joined.generation,
                    };
                    self.watched.sync(client, sync_for(&joined, None));
                }
                Phase::Working { generation } => {
                    let id = self.clients[client].id.clone();
                    let who = Identity {
                        member: &id,
                        instance: None,
                    };
                    match self.watched.heartbeat(who, generation) {
                        Ok(()) => {}
                        Err(ResponseError::RebalanceInProgress) => self.clients[client].phase = Phase::Out,
                        Err(_) => self.lost(client),
                    }
                }
            }
            self.hear();
        }
        let to = self.watched.now + pause;
        self.watched.advance(to);
        self.hear();
    }

    fn lost(&mut self, client: usize) {
        self.clients[client].id.clear();
        self.clients[client].phase = Phase::Out;
    }

    /// Takes the answers that have come.
    fn hear(&mut self) {
        for answer in std::mem::take(&mut self.watched.answers) {
            match answer {
                Answer::Join(_, Ok(joined)) => {
                    let client = client_of(&joined.member_id);
                    if matches!(self.clients[client].phase, Phase::Joining) {
                        self.clients[client].id.clone_from(&joined.member_id);
                        self.clients[client].phase = Phase::Joined(joined);
                    }
                }
                Answer::Join(_, Err(Refused { error, member_id })) => {
                    if error == ResponseError::MemberIdRequired {
                        let client = client_of(&member_id);
                        self.clients[client].id = member_id;
                        self.clients[client].phase = Phase::Out;
                    } else {
                        self.retry_whoever_has_no_answer(|phase| matches!(phase, Phase::Joining));
                    }
                }
                Answer::Sync(_, Ok(synced)) => {
                    let text = String::from_utf8(synced.assignment.to_vec()).unwrap();
                    let (_, client) = text.split_once('c').unwrap();
                    let client: usize = client.parse().unwrap();
                    if let Phase::Syncing { generation } = self.clients[client].phase {
                        self.clients[client].phase = Phase::Working { generation };
                    }
                }
                Answer::Sync(_, Err(_)) => {
                    self.retry_whoever_has_no_answer(|phase| matches!(phase, Phase::Syncing { .. }));
                }
            }
        }
    }

    /// Errors do not name the client; whoever waits for such an answer and is not among those that wait has got it.
    fn retry_whoever_has_no_answer(&mut self, waits: impl Fn(&Phase) -> bool) {
        let waiting: BTreeSet<usize> = self.watched.waiting.values().copied().collect();
        for client in 0..CLIENTS {
            if waits(&self.clients[client].phase) && !waiting.contains(&client) {
                self.lost(client);
            }
        }
    }
}

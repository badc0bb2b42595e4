//! Single situations, each with what has to come of it.

use kafka_protocol::ResponseError;

use super::super::member::{Answer, Identity, Join, Joined, Protocol, Refused, State};
use super::{REBALANCE, SESSION, Watched, client_of, subscription, sync_for};

/// A stable group of the first `members` clients; returns what each was told.
fn stable(watched: &mut Watched, members: usize, with: impl Fn(usize, &mut Join)) -> Vec<Joined> {
    let mut ids = vec![String::new(); members];
    for client in 0..members {
        let answers = watched.join(client, |join| with(client, join), "");
        let earlier = ids.clone();
        take_ids(&answers, &mut ids);
        // Each newcomer starts a rebalance that those before it have to take part in.
        for (other, id) in earlier.iter().enumerate().take(client) {
            let answers = watched.join(other, |join| with(other, join), id);
            take_ids(&answers, &mut ids);
        }
    }
    let joined: Vec<Joined> = ids.iter().map(|id| watched.group.joined(id)).collect();
    for (client, joined) in joined.iter().enumerate().rev() {
        let instance = watched.group.members[&joined.member_id].instance_id.clone();
        watched.sync(client, sync_for(joined, instance.as_deref()));
    }
    assert_eq!(watched.group.state, State::Stable);
    joined
}

fn take_ids(answers: &[Answer], ids: &mut [String]) {
    for answer in answers {
        if let Answer::Join(_, Ok(joined)) = answer {
            ids[client_of(&joined.member_id)].clone_from(&joined.member_id);
        }
    }
}

fn named(client: usize, join: &mut Join) {
    join.instance_id = Some(format!("instance {client}"));
}

fn dynamic(id: &str) -> Identity<'_> {
    Identity {
        member: id,
        instance: None,
    }
}

#[test]
fn a_leader_that_lives_but_never_assigns_is_removed() {
    let mut watched = Watched::new();
    let members = stable(&mut watched, 2, |_, _| {});
    let leader = members
        .iter()
        .position(|joined| joined.leader == joined.member_id)
        .unwrap();
    let follower = 1 - leader;
    let ids: Vec<&str> = members.iter().map(|joined| joined.member_id.as_str()).collect();
    watched.join(leader, |_| {}, ids[leader]);
    watched.join(follower, |_| {}, ids[follower]);
    let joined = watched.group.joined(ids[follower]);
    assert!(watched.sync(follower, sync_for(&joined, None)).is_empty(), "it waits");
    let mut answers = Vec::new();
    for _ in 0..(REBALANCE / 1_000) {
        let now = watched.now + 1_000;
        answers.extend(watched.advance(now));
        let _ = watched.heartbeat(dynamic(ids[leader]), joined.generation);
    }
    assert!(matches!(
        answers[..],
        [Answer::Sync(_, Err(ResponseError::RebalanceInProgress))]
    ));
    assert!(!watched.group.members.contains_key(ids[leader]));
}

#[test]
fn a_static_member_that_restarts_disturbs_nobody_and_fences_its_old_self() {
    for (client, skips) in [(0, true), (0, false), (1, true), (1, false)] {
        let mut watched = Watched::new();
        let members = stable(&mut watched, 2, named);
        let other = &members[1 - client];
        let before = &members[client];
        let with = |join: &mut Join| {
            named(client, join);
            join.may_skip_assignment = skips;
            // The rest of a subscription differs after a restart; what it wants to read does not.
            join.protocols[0].metadata = subscription(&["orders"], 9);
        };
        let answers = watched.join(client, with, "");
        let [Answer::Join(_, Ok(back))] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(back.generation, before.generation);
        assert_ne!(back.member_id, before.member_id);
        let led = before.leader == before.member_id;
        assert_eq!(back.skip_assignment, led && skips);
        assert_eq!(
            back.leader == back.member_id,
            led && skips,
            "an older client must not assign"
        );
        let instance = format!("instance {client}");
        let answers = watched.sync(client, sync_for(back, Some(&instance)));
        assert!(
            matches!(&answers[..], [Answer::Sync(_, Ok(_))]),
            "it gets what it had: {answers:?}"
        );
        let old = Identity {
            member: &before.member_id,
            instance: Some(&instance),
        };
        assert_eq!(
            watched.heartbeat(old, before.generation),
            Err(ResponseError::FencedInstanceId)
        );
        assert_eq!(watched.leave(old), Err(ResponseError::FencedInstanceId));
        assert_eq!(watched.heartbeat(dynamic(&other.member_id), other.generation), Ok(()));
    }
}

#[test]
fn a_static_member_that_comes_back_for_other_topics_starts_a_rebalance() {
    let mut watched = Watched::new();
    let members = stable(&mut watched, 2, named);
    let with = |join: &mut Join| {
        named(1, join);
        join.protocols[0].metadata = subscription(&["payments"], 0);
    };
    assert!(watched.join(1, with, "").is_empty(), "it waits for the other one");
    let beat = watched.heartbeat(dynamic(&members[0].member_id), members[0].generation);
    assert_eq!(beat, Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_static_member_keeps_its_place_until_its_session_ends() {
    let mut watched = Watched::new();
    let members = stable(&mut watched, 2, named);
    let who = |client: usize| Identity {
        member: &members[client].member_id,
        instance: None,
    };
    for _ in 0..(SESSION / 1_000 - 1) {
        let to = watched.now + 1_000;
        watched.advance(to);
        assert_eq!(watched.heartbeat(who(0), members[0].generation), Ok(()));
    }
    let to = watched.now + 1_000;
    watched.advance(to);
    let beat = watched.heartbeat(who(0), members[0].generation);
    assert_eq!(beat, Err(ResponseError::RebalanceInProgress));
    assert_eq!(watched.group.members.len(), 1);
    // An operator may remove one before that by its name alone.
    let by_name = Identity {
        member: "",
        instance: Some("instance 0"),
    };
    assert_eq!(watched.leave(by_name), Ok(()));
    assert_eq!(watched.group.state, State::Empty);
}

#[test]
fn joining_again_unchanged_tells_a_follower_and_makes_a_leader_rebalance() {
    let mut watched = Watched::new();
    let members = stable(&mut watched, 3, |_, _| {});
    let generation = members[0].generation;
    let leader = members
        .iter()
        .position(|joined| joined.leader == joined.member_id)
        .unwrap();
    let follower = (leader + 1) % 3;
    let answers = watched.join(follower, |_| {}, &members[follower].member_id);
    assert!(matches!(&answers[..], [Answer::Join(_, Ok(joined))] if joined.generation == generation));
    assert_eq!(watched.group.state, State::Stable);
    assert!(watched.join(leader, |_| {}, &members[leader].member_id).is_empty());
    assert_eq!(watched.group.state, State::PreparingRebalance);
    // Those who do not come are left out when the time is up.
    let to = watched.now + SESSION;
    let answers = watched.advance(to);
    assert!(matches!(&answers[..], [Answer::Join(_, Ok(joined))] if joined.members.len() == 1));
}

#[test]
fn the_protocol_is_one_that_all_know_and_most_prefer() {
    let names = |join: &mut Join, names: &[&str]| {
        let protocol = |name: &&str| Protocol {
            name: (*name).to_owned(),
            metadata: subscription(&["orders"], 0),
        };
        join.protocols = names.iter().map(protocol).collect();
    };
    let preferences = [
        &["range", "sticky", "roundrobin"][..],
        &["sticky", "roundrobin"],
        &["sticky", "roundrobin", "range"],
    ];
    let mut watched = Watched::new();
    let members = stable(&mut watched, 3, |client, join| names(join, preferences[client]));
    assert_eq!(members[0].protocol, "sticky");
    let answers = watched.join(3, |join| names(join, &["range"]), "");
    let refused = matches!(
        &answers[..],
        [Answer::Join(
            _,
            Err(Refused {
                error: ResponseError::InconsistentGroupProtocol,
                ..
            })
        )]
    );
    assert!(refused, "range is not known to all: {answers:?}");
    assert_eq!(watched.group.state, State::Stable);
}

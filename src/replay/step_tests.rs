use std::time::Duration;

use proptest::prelude::*;

use super::super::log;
use super::super::memory::{Memory, MemorySource};
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, control, definition, events, log_of};
use super::*;
use crate::readmodel::store::Store;

/// A move of a generated walk.
#[derive(Debug, Clone)]
enum Go {
    Forward(u64),
    Back(u64),
    Jump(usize),
    ForwardTo(Goal),
    BackTo(Goal),
}

fn goals() -> impl Strategy<Value = Goal> {
    prop_oneof![
        prop_oneof!["In", "Out", "Closed", "Unheard"].prop_map(Goal::Type),
        (0..5u8, prop::option::of(Just("balance".to_owned()))).prop_map(|(account, column)| {
            let (table, key) = ("ACCOUNT".to_owned(), vec![format!("a{account}")]);
            Goal::Row(RowGoal { table, key, column })
        }),
        (0..300i64).prop_map(|limit| Goal::Condition(format!("SELECT max(balance) > {limit} FROM account"))),
        Just(Goal::Key(b"k".to_vec())),
        Just(Goal::Key(b"nobody".to_vec())),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Go>> {
    let one = prop_oneof![
        (1..30u64).prop_map(Go::Forward),
        (1..30u64).prop_map(Go::Back),
        (0..1000usize).prop_map(Go::Jump),
        goals().prop_map(Go::ForwardTo),
        goals().prop_map(Go::BackTo),
    ];
    prop::collection::vec(one, 1..12)
}

fn steps(folder: &std::path::Path, log: &Memory, kept: bool) -> Steps<MemorySource> {
    steps_of(folder, ACCOUNTS, log, kept)
}

/// The same of any projection.
pub(super) fn steps_of(folder: &std::path::Path, text: &str, log: &Memory, kept: bool) -> Steps<MemorySource> {
    let definition = definition(text);
    let store = Store::open(folder, "lab").unwrap();
    let mut control = control();
    if kept {
        control.snapshot_every = Duration::ZERO;
    }
    let reading = log.clone();
    let open = move |ranges: Vec<Range>| Ok(reading.merged(&ranges, &[3]));
    build(
        &store,
        &definition,
        &log.log().origin(),
        &log.ranges(),
        &open,
        true,
        &mut control,
    )
    .unwrap();
    let past = Past {
        snapshots: store.snapshots(&definition.projection().name).unwrap(),
        definition,
        store,
        log: log.log(),
        starts: log::starts(&log.ranges()),
        ends: log::starts(&log.ranges()),
    };
    Steps::new(past, Arc::new(open), &mut control).unwrap()
}

pub(super) fn dumped<S: Source>(steps: &Steps<S>) -> String {
    let mut text = Vec::new();
    steps.scratch.dump(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The position after so many records of the merged log.
pub(super) fn after(log: &Memory, count: usize) -> Position {
    let mut position = log::starts(&log.ranges());
    for record in log.all().iter().take(count) {
        let at = TopicPartition::new(record.topic.clone(), record.partition);
        position.set(at, record.offset + 1);
    }
    position
}

fn ignore(_: &Step) {}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever way led there, with snapshots or without, the same number of events is the same state, and a goal is where a walk
    /// event by event first meets it.
    #[test]
    fn any_walk_ends_where_a_replay_would(events in events(), moves in moves(), kept in any::<bool>()) {
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let mut steps = steps(folder.path(), &log, kept);
        let mut control = control();
        // What every number of events leads to, and what each of them did.
        let mut states = vec![dumped(&steps)];
        let mut done = Vec::new();
        while steps.forward(&Goal::Count(1), &mut |step: &Step| done.push(step.clone()), &control).unwrap() == Walked::There {
            states.push(dumped(&steps));
        }
        prop_assert_eq!(done.len(), log.all().len());
        let tables = steps.tables();
        let condition = |sql: &str, at: usize, steps: &mut Steps<MemorySource>| {
            steps.jump(&after(&log, at), &mut super::super::rebuild::tests::control()).unwrap();
            steps.scratch.fold().unwrap().holds(sql).unwrap()
        };
        let mut probe = steps_at(&log, kept);
        let mut at = done.len();
        for go in moves {
            let met = |goal: &Goal, number: usize, probe: &mut Steps<MemorySource>| match goal {
                Goal::Condition(sql) => condition(sql, number, probe),
                goal => number > 0 && goal.is_met(0, &tables, &done[number - 1]),
            };
            match &go {
                Go::Forward(count) => {
                    steps.forward(&Goal::Count(*count), &mut ignore, &control).unwrap();
                    at = (at + *count as usize).min(done.len());
                }
                Go::Back(count) => {
                    steps.back(&Goal::Count(*count), &mut ignore, &mut control).unwrap();
                    at = at.saturating_sub(*count as usize);
                }
                Go::Jump(to) => {
                    at = to % (done.len() + 1);
                    steps.jump(&after(&log, at), &mut control).unwrap();
                }
                Go::ForwardTo(goal) => {
                    let walked = steps.forward(goal, &mut ignore, &control).unwrap();
                    let found = (at + 1..=done.len()).find(|number| met(goal, *number, &mut probe.1));
                    prop_assert_eq!(walked == Walked::There, found.is_some());
                    at = found.unwrap_or(done.len());
                }
                Go::BackTo(goal) => {
                    let walked = steps.back(goal, &mut ignore, &mut control).unwrap();
                    let found = (0..at).rev().find(|number| met(goal, *number, &mut probe.1));
                    prop_assert_eq!(walked == Walked::There, found.is_some());
                    at = found.unwrap_or(0);
                }
            }
            prop_assert_eq!(&dumped(&steps), &states[at], "after {:?}", go);
            let info = steps.info().unwrap();
            prop_assert_eq!(info.counts.total(), at as u64);
            if let Some(last) = steps.last() {
                prop_assert_eq!(last, &done[at - 1]);
            }
        }
    }
}

/// A second walker, to ask what holds where.
fn steps_at(log: &Memory, kept: bool) -> (tempfile::TempDir, Steps<MemorySource>) {
    let folder = tempfile::tempdir().unwrap();
    let steps = steps(folder.path(), log, kept);
    (folder, steps)
}

/// Both topics have a partition 0 with this offset: a walk stops at the event of the one that is meant.
#[test]
fn an_offset_is_one_of_its_topic() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for n in 0..3 {
        for (topic, late) in [("events", 0), ("more", 1)] {
            let text = format!(r#"{{"type": "In", "id": "{topic}{n}", "amount": 1}}"#);
            log.push(topic, 0, 2 * n + late, Some(&text));
        }
    }
    let mut steps = steps(folder.path(), &log, false);
    let mut control = control();
    let mut stops = |topic: &str, offset| {
        steps.jump(&log::starts(&log.ranges()), &mut control).unwrap();
        let goal = Goal::Offset(TopicPartition::new(topic, 0), offset);
        assert_eq!(steps.forward(&goal, &mut |_| {}, &control).unwrap(), Walked::There);
        let last = steps.last().unwrap();
        let total = steps.info().unwrap().counts.total();
        (last.record.topic.to_string(), last.record.offset, total)
    };
    assert_eq!(stops("events", 1), ("events".to_owned(), 1, 3));
    assert_eq!(stops("more", 1), ("more".to_owned(), 1, 4));
    assert_eq!(stops("more", 0), ("more".to_owned(), 0, 2));
}

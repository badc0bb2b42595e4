use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::follow::tests::PER_PARTITION;
use super::super::memory::{Memory, MemorySource};
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, Event, control, definition, events, log_of};
use super::super::step::{Goal, Step, Steps, Walked};
use super::*;
use crate::readmodel::store::Store;

/// A read model with snapshots after every chunk, and a walk that stands before its log.
fn steps(folder: &std::path::Path, text: &str, log: &Memory) -> Steps<MemorySource> {
    let store = Store::open(folder, "lab").unwrap();
    let mut control = control();
    control.snapshot_every = Duration::ZERO;
    let reading = log.clone();
    let open = move |ranges: Vec<Range>| Ok(reading.merged(&ranges, &[7]));
    let origin = log.log().origin();
    build(
        &store,
        &definition(text),
        &origin,
        &log.ranges(),
        &open,
        true,
        &mut control,
    )
    .unwrap();
    let past = Past {
        definition: definition(text),
        snapshots: store.snapshots("accounts").unwrap(),
        store,
        log: log.log(),
        starts: log::starts(&log.ranges()),
        ends: log::starts(&log.ranges()),
    };
    Steps::new(past, Arc::new(open), &mut control).unwrap()
}

/// The number of the first event after which a walk event by event finds that the condition holds.
fn walked(steps: &mut Steps<MemorySource>, condition: &str) -> Option<u64> {
    let goal = Goal::Condition(condition.to_owned());
    let walked = steps.forward(&goal, &mut |_: &Step| {}, &control()).unwrap();
    (walked == Walked::There).then(|| steps.info().unwrap().counts.total())
}

/// The number of the event that a search finds, and that the walk then stands at.
fn found(steps: &mut Steps<MemorySource>, condition: &str, lasts: bool) -> Option<u64> {
    let walked = steps.first(condition, lasts, &mut control()).unwrap();
    (walked == Walked::There).then(|| steps.info().unwrap().counts.total())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a search finds is what asking after every event finds, on rows and on events, that are applied, ignored or poison.
    #[test]
    fn the_first_event_is_that_of_a_walk_event_by_event(events in events(), limit in -20..300i64, which in 0..4usize) {
        let condition = [
            format!("SELECT max(balance) > {limit} FROM account"),
            format!("SELECT count(*) > 3 AND min(balance) < {limit} FROM account"),
            format!("SELECT :amount > {limit}"),
            "SELECT :type = 'Unheard' AND EXISTS (SELECT 1 FROM account)".to_owned(),
        ][which].clone();
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let mut walk = steps(folder.path(), ACCOUNTS, &log);
        let expected = walked(&mut walk, &condition);
        prop_assert_eq!(found(&mut walk, &condition, false), expected, "{}", condition);
    }

    /// A condition that lasts is found by bisection where it is found without.
    #[test]
    fn what_lasts_is_bisected(events in events(), limit in 0..140i64) {
        let condition = format!("SELECT sum(n) >= {limit} FROM seen");
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let mut walk = steps(folder.path(), PER_PARTITION, &log);
        let expected = found(&mut walk, &condition, false);
        prop_assert_eq!(found(&mut walk, &condition, true), expected, "{}", condition);
    }
}

/// An account is overdrawn for one event only, long before it is for good.
fn twice_overdrawn() -> Memory {
    let event = |at: i64, kind: u8, amount: i64| -> Event { (false, 0, at, kind, 0, amount) };
    let mut events = vec![event(0, 0, 10), event(1, 10, 15), event(2, 0, 15)];
    events.extend((3..100).map(|at| event(at, 0, 1)));
    events.extend((100..110).map(|at| event(at, 10, 100)));
    log_of(&events, 0)
}

/// The default is the truth about the whole log; who says that the condition lasts is believed.
#[test]
fn a_condition_that_held_for_one_event_is_found_by_default() {
    let log = twice_overdrawn();
    let folder = tempfile::tempdir().unwrap();
    let mut steps = steps(folder.path(), ACCOUNTS, &log);
    let condition = "SELECT count(*) FROM account WHERE balance < 0";
    assert_eq!(found(&mut steps, condition, false), Some(2));
    let step = steps.last().unwrap();
    assert_eq!((step.record.offset, step.effect.event.as_deref()), (1, Some("Out")));
    assert_eq!(found(&mut steps, condition, true), Some(102));
}

#[test]
fn a_condition_that_never_holds_leaves_the_walk_where_it_is() {
    let log = twice_overdrawn();
    let folder = tempfile::tempdir().unwrap();
    let mut steps = steps(folder.path(), ACCOUNTS, &log);
    steps.forward(&Goal::Count(7), &mut |_: &Step| {}, &control()).unwrap();
    for lasts in [false, true] {
        assert_eq!(found(&mut steps, "SELECT count(*) > 99 FROM account", lasts), None);
        assert_eq!(steps.info().unwrap().counts.total(), 7);
    }
    let refused = steps.first("SELECT :amount > 5", true, &mut control()).unwrap_err();
    assert!(refused.to_string().contains("does not last"), "{refused}");
    let wrong = steps
        .first("SELECT blance FROM account", false, &mut control())
        .unwrap_err();
    assert!(wrong.to_string().contains("blance"), "{wrong}");
}

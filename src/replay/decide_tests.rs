use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::super::follow::Ended;
use super::super::follow::tests::{PER_PARTITION, first_build, followed};
use super::super::memory::Memory;
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, Event, control, definition, dumped, events, push};
use super::*;
use crate::readmodel::decision::Amendment;
use crate::readmodel::scratch::Scratch;
use crate::readmodel::store::Counts;
use crate::record::{Record, Timestamp, TopicPartition};

/// The log of these events, keyed by account; one account's have no key.
fn keyed(events: &[Event]) -> Memory {
    let mut log = Memory::new("events", 3);
    log.add("more", 1);
    for event in events {
        push(&mut log, event);
        let (topic, partition) = if event.0 { ("more", 0) } else { ("events", event.1) };
        log.last(topic, partition).key = (event.4 < 4).then(|| format!("a{}", event.4).into_bytes());
    }
    log
}

/// The log with what was decided written into it: an event that nobody handles in place of what is left out or held.
fn amended(log: &Memory, amendments: &Amendments) -> Memory {
    let mut other = Memory::new("events", 3);
    other.add("more", 1);
    for record in log.all() {
        let value = match amendments.of(&record.view()) {
            None => record.value.clone(),
            Some(Amendment::Edited(_, value)) => value.map(<[u8]>::to_vec),
            Some(Amendment::Skipped(_) | Amendment::Held(_)) => Some(br#"{"type": "Unheard"}"#.to_vec()),
        };
        let time = record.timestamp.unwrap().0;
        other.push_bytes(&record.topic, record.partition, time, value).key = record.key;
    }
    other
}

fn whole(store: &Store, text: &str, log: &Memory, amendments: &Amendments) -> Counts {
    let mut origin = log.log().origin();
    origin.amendments = amendments.clone();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    let report = build(
        store,
        &definition(text),
        &origin,
        &log.ranges(),
        open,
        true,
        &mut control(),
    );
    report.unwrap().info.counts
}

/// What the log as it was amended makes, by a fold that knows nothing of decisions.
fn plain(text: &str, log: &Memory, amendments: &Amendments) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    whole(&store, text, &amended(log, amendments), &Amendments::default());
    dumped(&store)
}

fn choice(number: u8, account: u8) -> Choice {
    match number {
        0 => Choice::Skip { hold_key: false },
        1 => Choice::Skip { hold_key: true },
        2 => Choice::Edit(Some(
            format!(r#"{{"type": "In", "id": "a{account}", "amount": 3}}"#).into_bytes(),
        )),
        3 => Choice::Edit(None),
        4 => Choice::Edit(Some(b"{".to_vec())),
        _ => Choice::Retry,
    }
}

pub(in crate::replay) fn decision(record: &Record, choice: Choice) -> Decision {
    Decision {
        at: Timestamp::now(),
        who: "ada@lab".to_owned(),
        choice,
        record: record.clone(),
        topic_id: Some(format!("id-of-{}", record.topic)),
        poison: crate::readmodel::apply::Poison {
            kind: crate::readmodel::apply::PoisonKind::Body,
            reason: "not JSON".to_owned(),
            line: None,
        },
    }
}

fn request(choices: Vec<(RecordPlace, Choice)>, text: &str) -> Request {
    Request {
        name: "accounts".to_owned(),
        projection: Some(definition(text).projection().clone()),
        choices,
        who: "ada@lab".to_owned(),
    }
}

/// Leaves a snapshot of the read model in use after every so many records of the log.
fn snapped(store: &Store, log: &Memory, every: usize) {
    let mut origin = log.log().origin();
    origin.amendments = store.amendments("accounts").unwrap();
    let scratch = Scratch::new(store, &definition(ACCOUNTS), &origin, None).unwrap();
    let snapshots = store.snapshots("accounts").unwrap();
    let mut fold = scratch.fold().unwrap();
    fold.advance(&log::starts(&log.ranges()));
    for (number, record) in (1..).zip(log.all()) {
        fold.step(&record.view()).unwrap();
        if number % every == 0 {
            fold.snapshot(&snapshots).unwrap();
        }
    }
}

/// Carries a request out against a log in memory.
fn decided(store: &Store, log: &Memory, request: &Request) -> Result<Decided, ReplayError> {
    decided_reading(store, log, request).0
}

/// The same; also how many records of the log were read for the rows.
fn decided_reading(store: &Store, log: &Memory, request: &Request) -> (Result<Decided, ReplayError>, u64) {
    let read = AtomicU64::new(0);
    let decided = decided_of(store, log, request, &read);
    (decided, read.into_inner())
}

fn decided_of(store: &Store, log: &Memory, request: &Request, read: &AtomicU64) -> Result<Decided, ReplayError> {
    let plan = Plan::new(store, request)?;
    if let Some(decided) = plan.on_the_spot(store)? {
        return Ok(decided);
    }
    let target = plan.target();
    let mut ranges = log.ranges();
    for range in &mut ranges {
        range.end = target.next(&TopicPartition::new(range.topic.clone(), range.partition));
    }
    let open = |ranges: Vec<Range>| {
        let records = ranges.iter().map(|range| range.end.unwrap() - range.start).sum::<i64>();
        // The last that is opened is what is folded; whether a snapshot still holds is asked before.
        read.store(records.unsigned_abs(), Ordering::Relaxed);
        Ok(log.merged(&ranges, &[2]))
    };
    plan.anew(store, log.log(), &ranges, &open, &mut control())
}

fn standing_of(store: &Store, log: &Memory) -> Amendments {
    store.standing("accounts", &log.log().topic_ids()).unwrap()
}

/// A list of the latest shows the one that the read model is paused before, then the others, newest first, and counts all.
fn assert_latest(store: &Store) {
    let all = store.dead_letters("accounts", 1000).unwrap();
    let (paused, others): (Vec<_>, Vec<_>) = all.iter().rev().partition(|l| l.state == LetterState::Paused);
    let wanted: Vec<_> = paused.into_iter().chain(others).map(|letter| letter.place()).collect();
    let skipped = all.iter().filter(|l| l.state == LetterState::Skipped);
    let skipped: Vec<_> = skipped.map(|letter| letter.place()).collect();
    for limit in [0, 1, 2, 1000] {
        let found = store.latest_dead_letters("accounts", limit).unwrap();
        let places: Vec<_> = found.latest.iter().map(|letter| letter.place()).collect();
        assert_eq!(places, wanted[..limit.min(wanted.len())]);
        assert_eq!((found.total, found.skipped), (all.len() as u64, skipped.len() as u64));
    }
    assert_eq!(store.skipped("accounts").unwrap(), skipped);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever was decided about whatever records: a fold of the log with the decisions is a plain fold of the amended log, every
    /// record is counted once, and steps of it can be undone.
    #[test]
    fn a_fold_with_decisions_is_one_of_the_amended_log(
        events in events(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, 0..5u8), 0..12),
    ) {
        let log = keyed(&events);
        let all = log.all();
        let made = choices.iter().filter(|_| !all.is_empty());
        let made = made.map(|(at, number, account)| decision(at.get(&all), choice(*number, *account)));
        let amendments = Amendments::standing(made);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        let counts = whole(&store, ACCOUNTS, &log, &amendments);
        prop_assert_eq!(dumped(&store), plain(ACCOUNTS, &log, &amendments));
        prop_assert_eq!(counts.total(), all.len() as u64);
        let held = all.iter().filter(|r| matches!(amendments.of(&r.view()), Some(Amendment::Held(_)))).count();
        prop_assert_eq!(counts.held, held as u64);
        prop_assert_eq!(&store.amendments("accounts").unwrap(), &amendments);
        assert_latest(&store);
        let state = |state| store.dead_letters("accounts", 1000).unwrap().iter().filter(|l| l.state == state).count() as u64;
        prop_assert_eq!((state(LetterState::Skipped), state(LetterState::Held)), (counts.skipped, counts.held));

        let mut origin = log.log().origin();
        origin.amendments = amendments;
        let mut scratch = Scratch::new(&store, &definition(ACCOUNTS), &origin, None).unwrap();
        let look = |scratch: &Scratch| {
            let mut text = Vec::new();
            scratch.dump(&mut text).unwrap();
            let letters = scratch.session().unwrap().query("SELECT * FROM _foldlog_dead_letter", 1000).unwrap().rows;
            (String::from_utf8(text).unwrap(), scratch.info().unwrap().counts, letters.len())
        };
        let mut moments = Vec::new();
        let mut effects = Vec::new();
        for record in &all {
            moments.push(look(&scratch));
            let mut fold = scratch.recorded().unwrap();
            effects.push(fold.step(&record.view()).unwrap());
            fold.commit().unwrap();
        }
        prop_assert_eq!(&look(&scratch).0, &dumped(&store));
        prop_assert_eq!(look(&scratch).1, counts);
        for ((record, effect), moment) in all.iter().zip(&effects).zip(&moments).rev() {
            scratch.undo(&record.view(), effect).unwrap();
            prop_assert_eq!(&look(&scratch), moment);
        }
    }

    /// Followed live, with somebody deciding at every pause and dying anywhere in it: the rows are those of a plain fold of the log as
    /// it was amended, and a rebuild with what stands makes the same.
    #[test]
    fn deciding_live_is_folding_the_amended_log(
        events in events(),
        choices in prop::collection::vec((0..6u8, 0..5u8, 0..3u8), 1..8),
        turn in prop::collection::vec(0..4usize, 1..6),
    ) {
        let log = keyed(&events);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        first_build(&store, PER_PARTITION, &keyed(&[]), false);
        let mut choices = choices.iter().cycle();
        while followed(&store, PER_PARTITION, &log, &[4], &turn, false, None).unwrap() == Ended::Paused {
            assert_latest(&store);
            let letter = store.dead_letters("accounts", 1000).unwrap().pop().unwrap();
            prop_assert_eq!(letter.state, LetterState::Paused);
            let (number, account, dies) = choices.next().unwrap();
            let wanted = choice(*number, *account);
            let wanted = match (&wanted, &letter.record.key) {
                (Choice::Skip { .. }, None) => Choice::Skip { hold_key: false },
                _ => wanted,
            };
            let asked = request(vec![(letter.place(), wanted.clone())], PER_PARTITION);
            if *dies == 0 && matches!(wanted, Choice::Skip { .. }) {
                // Written down, and then the power fails before the rows are: whoever follows next takes it over.
                store.write_decisions("accounts", &[decision(&letter.record, wanted)]).unwrap();
                continue;
            }
            let before = (dumped(&store), store.decisions("accounts").unwrap());
            if let Err(error) = decided(&store, &log, &asked) {
                prop_assert!(matches!(error, ReplayError::StillPoison { .. }), "{}", error);
                prop_assert_eq!(&(dumped(&store), store.decisions("accounts").unwrap()), &before);
                decided(&store, &log, &request(vec![(letter.place(), choice(0, 0))], PER_PARTITION)).unwrap();
            }
        }
        let standing = standing_of(&store, &log);
        prop_assert_eq!(&store.amendments("accounts").unwrap(), &standing);
        let (live, counts) = (dumped(&store), store.info("accounts").unwrap().counts);
        prop_assert_eq!(&live, &plain(PER_PARTITION, &log, &standing));
        prop_assert_eq!(counts.poisoned, 0);
        prop_assert_eq!(counts, whole(&store, PER_PARTITION, &log, &standing));
        prop_assert_eq!(live, dumped(&store));
    }

    /// Another choice about any dead letter of a read model: either it is what a plain fold of the amended log makes, or a record could
    /// not be applied, and nothing is changed.
    #[test]
    fn deciding_anew_is_folding_the_amended_log(
        events in events(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, 0..5u8), 1..6),
    ) {
        let log = keyed(&events);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        whole(&store, ACCOUNTS, &log, &Amendments::default());
        for (at, number, account) in choices {
            let letters = store.dead_letters("accounts", 1000).unwrap();
            if letters.is_empty() {
                break;
            }
            let letter = at.get(&letters);
            let asked = request(vec![(letter.place(), choice(number, account))], ACCOUNTS);
            let before = (dumped(&store), store.decisions("accounts").unwrap(), letters.clone());
            match decided(&store, &log, &asked) {
                Ok(_) => {
                    prop_assert_eq!(store.decisions("accounts").unwrap().len(), before.1.len() + 1);
                    prop_assert_eq!(dumped(&store), plain(ACCOUNTS, &log, &standing_of(&store, &log)));
                }
                Err(ReplayError::StillPoison { letters, .. }) => {
                    prop_assert!(!letters.is_empty());
                    let after = (dumped(&store), store.decisions("accounts").unwrap());
                    prop_assert_eq!(after, (before.0, before.1));
                    prop_assert_eq!(store.dead_letters("accounts", 1000).unwrap(), before.2);
                }
                Err(ReplayError::NoLetter { .. }) => {
                    prop_assert!(letter.record.key.is_none() || letter.state == LetterState::Held);
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// With snapshots or none, and however many decisions come one after the other: the same rows, counts, dead letters and refusals.
    #[test]
    fn deciding_from_a_snapshot_is_deciding_from_the_beginning(
        events in events(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, 0..5u8), 1..6),
    ) {
        let log = keyed(&events);
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [kept, plain] = folders.each_ref().map(|folder| Store::open(folder.path(), "lab").unwrap());
        whole(&kept, ACCOUNTS, &log, &Amendments::default());
        whole(&plain, ACCOUNTS, &log, &Amendments::default());
        for (at, number, account) in choices {
            let letters = plain.dead_letters("accounts", 1000).unwrap();
            if letters.is_empty() {
                break;
            }
            let asked = request(vec![(at.get(&letters).place(), choice(number, account))], ACCOUNTS);
            snapped(&kept, &log, 3);
            let (one, short) = decided_reading(&kept, &log, &asked);
            let (two, long) = decided_reading(&plain, &log, &asked);
            prop_assert!(short <= long, "{} of {}", short, long);
            prop_assert_eq!(one.map(drop).map_err(|e| e.to_string()), two.map(drop).map_err(|e| e.to_string()));
            prop_assert_eq!(dumped(&kept), dumped(&plain));
            let (one, two) = (kept.info("accounts").unwrap(), plain.info("accounts").unwrap());
            prop_assert_eq!((one.counts, one.position, one.state, one.latest), (two.counts, two.position, two.state, two.latest));
            prop_assert_eq!(kept.dead_letters("accounts", 1000).unwrap(), plain.dead_letters("accounts", 1000).unwrap());
        }
    }
}

#[test]
fn deciding_about_a_late_record_reads_what_comes_after_the_last_snapshot_before_it() {
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for n in 0..40 {
        let bad = n == 30;
        let value = if bad {
            "{".to_owned()
        } else {
            r#"{"type": "In", "id": "a", "amount": 1}"#.to_owned()
        };
        log.push("events", 0, n, Some(&value));
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    whole(&store, ACCOUNTS, &log, &Amendments::default());
    snapped(&store, &log, 3);
    let place = store.dead_letters("accounts", 9).unwrap()[0].place();
    assert_eq!(place.offset, 30);
    let event = choice(2, 0);
    // A build that began with a snapshot has those before it, for the next.
    for asked in [event, choice(0, 0), choice(2, 1)] {
        let request = request(vec![(place.clone(), asked.clone())], ACCOUNTS);
        let (done, read) = decided_reading(&store, &log, &request);
        assert!(done.unwrap().rebuilt.is_some());
        assert_eq!(read, 10, "{:?}", asked);
        let standing = standing_of(&store, &log);
        assert_eq!(dumped(&store), plain(ACCOUNTS, &log, &standing));
    }
}

/// One good event of each of two accounts, one that is no JSON, and another of each account.
fn five() -> Memory {
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    let event = |account, amount| format!(r#"{{"type": "In", "id": "{account}", "amount": {amount}}}"#);
    for (key, value) in [
        ("a", event("a", 1)),
        ("b", event("b", 1)),
        ("a", "{".to_owned()),
        ("a", event("a", 10)),
        ("b", event("b", 10)),
    ] {
        log.push("events", 0, 1, Some(&value));
        log.last("events", 0).key = Some(key.as_bytes().to_vec());
    }
    log
}

fn paused_at_two() -> (tempfile::TempDir, Store, Memory, RecordPlace) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let mut empty = Memory::new("events", 1);
    empty.add("more", 1);
    first_build(&store, ACCOUNTS, &empty, false);
    let log = five();
    let ended = followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap();
    assert_eq!(ended, Ended::Paused);
    let place = RecordPlace {
        partition: TopicPartition::new("events", 0),
        offset: 2,
    };
    (folder, store, log, place)
}

fn balances(store: &Store) -> String {
    let rows = dumped(store);
    let rows = rows
        .lines()
        .filter(|line| line.starts_with("[\"a\"") || line.starts_with("[\"b\""));
    rows.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_key_that_is_held_is_applied_in_order_when_its_record_is() {
    let (_folder, store, log, place) = paused_at_two();
    let hold = Choice::Skip { hold_key: true };
    let done = decided(&store, &log, &request(vec![(place.clone(), hold)], ACCOUNTS)).unwrap();
    assert!(done.rebuilt.is_none());
    assert_eq!((done.info.state, done.info.decisions), (State::Ready, 1));
    followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap();
    let info = store.info("accounts").unwrap();
    let counts = Counts {
        applied: 3,
        skipped: 1,
        held: 1,
        ..Counts::default()
    };
    assert_eq!(info.counts, counts);
    assert_eq!(balances(&store), r#"["a", 1, "1", 1] ["b", 11, "1", 2]"#);
    let letters = store.dead_letters("accounts", 10).unwrap();
    let states: Vec<_> = letters
        .iter()
        .map(|letter| (letter.record.offset, letter.state))
        .collect();
    assert_eq!(states, [(2, LetterState::Skipped), (3, LetterState::Held)]);
    assert_eq!(letters[1].reason, "waits for events:0:2, which has its key");
    // What waits cannot be applied before what it waits for.
    let third = letters[1].place();
    let error = decided(&store, &log, &request(vec![(third, Choice::Retry)], ACCOUNTS)).unwrap_err();
    assert!(error.to_string().contains("waits for events:0:2"), "{error}");

    let other = r#"{"type": "In", "id": "a", "amount": 100}"#;
    let edit = Choice::Edit(Some(other.as_bytes().to_vec()));
    let done = decided(&store, &log, &request(vec![(place.clone(), edit)], ACCOUNTS)).unwrap();
    assert_eq!(done.rebuilt.unwrap().records, 5);
    assert_eq!(balances(&store), r#"["a", 111, "1", 3] ["b", 11, "1", 2]"#);
    assert_eq!((done.info.counts.applied, done.info.counts.held), (5, 0));
    let letters = store.dead_letters("accounts", 10).unwrap();
    assert_eq!((letters.len(), letters[0].state), (1, LetterState::Edited));
    assert_eq!(letters[0].record.value.as_deref(), Some(b"{".as_slice()));

    let made = store.decisions("accounts").unwrap();
    let words: Vec<_> = made.iter().map(|one| (one.choice.word(), one.who.as_str())).collect();
    assert_eq!(words, [("skip and hold key", "ada@lab"), ("edit", "ada@lab")]);
    assert!(
        made.iter()
            .all(|one| one.place() == place && one.poison.reason.starts_with("not JSON"))
    );
}

#[test]
fn what_cannot_be_applied_even_so_changes_nothing() {
    let (_folder, store, log, place) = paused_at_two();
    let before = dumped(&store);
    for choice in [Choice::Retry, choice(4, 0)] {
        let error = decided(&store, &log, &request(vec![(place.clone(), choice)], ACCOUNTS)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("1 record cannot be applied by `accounts` even so"),
            "{error}"
        );
    }
    assert!(store.decisions("accounts").unwrap().is_empty());
    assert_eq!(dumped(&store), before);
    assert!(matches!(store.info("accounts").unwrap().state, State::Paused { .. }));
    assert_eq!(
        store.dead_letters("accounts", 10).unwrap()[0].state,
        LetterState::Paused
    );
    let nowhere = RecordPlace { offset: 1, ..place };
    let error = decided(&store, &log, &request(vec![(nowhere, Choice::Retry)], ACCOUNTS)).unwrap_err();
    assert!(error.to_string().contains("no dead letter at events:0:1"), "{error}");
}

#[test]
fn a_mended_file_applies_the_record_by_what_it_says_now() {
    let (_folder, store, mut log, _) = paused_at_two();
    decided(
        &store,
        &log,
        &request(
            vec![(store.dead_letters("accounts", 1).unwrap()[0].place(), choice(0, 0))],
            ACCOUNTS,
        ),
    )
    .unwrap();
    log.push("events", 0, 1, Some(r#"{"type": "In", "id": "c"}"#));
    assert_eq!(
        followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap(),
        Ended::Paused
    );
    let last = store.dead_letters("accounts", 10).unwrap().pop().unwrap();
    let mended = ACCOUNTS.replace(
        "VALUES (:id, :amount, @timestamp, 1)",
        "VALUES (:id, coalesce(:amount, 0), @timestamp, 1)",
    );
    let done = decided(&store, &log, &request(vec![(last.place(), Choice::Retry)], &mended)).unwrap();
    assert_eq!((done.info.counts.applied, done.info.counts.skipped), (5, 1));
    assert_eq!(done.info.hash, definition(&mended).projection().hash);
    assert_eq!(done.info.position, log.log().ends());
    let kinds: HashSet<_> = store
        .dead_letters("accounts", 10)
        .unwrap()
        .iter()
        .map(|letter| letter.state)
        .collect();
    assert_eq!(kinds, HashSet::from([LetterState::Skipped]));
}

#[test]
fn another_record_is_decided_about_while_it_is_paused_and_it_stays_so() {
    let (_folder, store, mut log, place) = paused_at_two();
    decided(&store, &log, &request(vec![(place.clone(), choice(0, 0))], ACCOUNTS)).unwrap();
    log.push("events", 0, 1, Some("}"));
    assert_eq!(
        followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap(),
        Ended::Paused
    );
    let before = store.info("accounts").unwrap();
    decided(&store, &log, &request(vec![(place, choice(2, 1))], ACCOUNTS)).unwrap();
    let after = store.info("accounts").unwrap();
    assert_eq!((&after.state, &after.position), (&before.state, &before.position));
    assert_eq!((after.counts.applied, after.counts.poisoned), (5, 1));
    let states: Vec<_> = store
        .dead_letters("accounts", 10)
        .unwrap()
        .iter()
        .map(|letter| letter.state)
        .collect();
    assert_eq!(states, [LetterState::Edited, LetterState::Paused]);
}

#[test]
fn a_decision_is_about_one_topic_and_not_about_one_of_its_name() {
    let (_folder, store, log, place) = paused_at_two();
    decided(&store, &log, &request(vec![(place, choice(0, 0))], ACCOUNTS)).unwrap();
    let mut anew = log.log();
    assert_eq!(standing_of(&store, &log).len(), 1);
    anew.topics[0].id = Some("another".to_owned());
    let mut control = control();
    assert!(standing(&store, "accounts", &anew, &mut control).unwrap().is_empty());
    // A cluster that gives no ids cannot tell.
    anew.topics[0].id = None;
    assert_eq!(standing(&store, "accounts", &anew, &mut control).unwrap().len(), 1);
    let back = taken_back(&standing_of(&store, &log), "bo@lab");
    store.write_decisions("accounts", &back).unwrap();
    assert!(standing_of(&store, &log).is_empty());
    assert_eq!(store.decisions("accounts").unwrap().len(), 2);
}

#[test]
fn a_file_of_decisions_of_another_version_is_left_as_it_is() {
    let (_folder, store, log, place) = paused_at_two();
    std::fs::write(store.root().join("accounts.decisions.db"), "no database").unwrap();
    assert!(store.decisions("accounts").is_err());
    let asked = request(vec![(place, choice(0, 0))], ACCOUNTS);
    decided(&store, &log, &asked).unwrap_err();
    assert!(matches!(store.info("accounts").unwrap().state, State::Paused { .. }));
    assert_eq!(
        std::fs::read_to_string(store.root().join("accounts.decisions.db")).unwrap(),
        "no database"
    );
}

/// Killed before the first choice was written, or in the midst of another: what was written whole counts, and it can be gone on.
#[test]
fn whoever_was_killed_while_deciding_leaves_what_stood_before() {
    let (_folder, store, log, place) = paused_at_two();
    let file = store.root().join("accounts.decisions.db");
    std::fs::write(&file, "").unwrap();
    assert_eq!(store.decisions("accounts").unwrap(), []);
    let asked = request(vec![(place, choice(0, 0))], ACCOUNTS);
    decided(&store, &log, &asked).unwrap();
    let before = store.decisions("accounts").unwrap();
    assert_eq!(before.len(), 1);

    store.half_decide("accounts");
    assert_eq!(store.decisions("accounts").unwrap(), before);
}

/// Rows that the log can no longer make are not given up for the sake of one record.
#[test]
fn a_log_that_has_lost_its_beginning_is_not_folded_anew() {
    let (_folder, store, log, place) = paused_at_two();
    decided(&store, &log, &request(vec![(place.clone(), choice(0, 0))], ACCOUNTS)).unwrap();
    assert_eq!(
        followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap(),
        Ended::End
    );
    let before = dumped(&store);
    let plan = Plan::new(&store, &request(vec![(place, choice(2, 0))], ACCOUNTS)).unwrap();
    let mut ranges = log.ranges();
    ranges[0].start = 1;
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let refused = plan
        .anew(&store, log.log(), &ranges, &open, &mut control())
        .unwrap_err();
    assert!(refused.to_string().contains("has lost 1 of the records"), "{refused}");
    assert_eq!(dumped(&store), before);
    assert_eq!(store.decisions("accounts").unwrap().len(), 1);
}

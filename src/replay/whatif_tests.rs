use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::decide::tests::decision;
use super::super::memory::{Memory, MemorySource};
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, control, definition, dumped, events, log_of, push, with_invariants};
use super::*;
use crate::readmodel::apply::{Poison, PoisonKind};
use crate::readmodel::decision::{Choice, Decision};

fn folded(store: &Store, text: &str, log: &Memory, records: Vec<Record>, sizes: &[usize]) {
    let ranges = log.ranges();
    let open = |ranges: Vec<Range>| Ok(MemorySource::new(records, &ranges, sizes));
    let (definition, origin) = (definition(text), log.log().origin());
    build(store, &definition, &origin, &ranges, open, true, &mut control()).unwrap();
}

/// Leaves a snapshot after every so many records of the log.
fn snapped(store: &Store, log: &Memory, every: usize) {
    let definition = definition(ACCOUNTS);
    let scratch = Scratch::new(store, &definition, &log.log().origin(), None).unwrap();
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

fn past(store: &Store, text: &str, log: &Memory) -> Past {
    Past {
        store: store.clone(),
        definition: definition(text),
        snapshots: store.snapshots("accounts").unwrap(),
        log: log.log(),
        starts: log::starts(&log.ranges()),
        ends: log::ends(&log.ranges()),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    (folder, store)
}

fn text_of(scratch: &Scratch) -> String {
    let mut text = Vec::new();
    scratch.dump(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn at(record: &Record) -> At {
    At {
        topic: Some(record.topic.to_string()),
        partition: record.partition,
        offset: record.offset,
    }
}

fn place(record: &Record) -> Place {
    (record.topic.clone(), record.partition, record.offset)
}

/// What a change is made of: its kind, the record, the record beside it, before or after or at a time, and the event it brings.
type Raw = (u8, Index, Index, u8, (u8, u8, i64), i64);

fn raw() -> impl Strategy<Value = Vec<Raw>> {
    let event = (0..20u8, 0..5u8, -20..120i64);
    prop::collection::vec((0..6u8, any::<Index>(), any::<Index>(), 0..3u8, event, 0..42i64), 1..6)
}

/// The changes that these are of a log, each record changed once and none put beside one that is moved.
fn changes(raw: &[Raw], all: &[Record]) -> Vec<Change> {
    let (mut changed, mut moved, mut beside_of) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut changes = Vec::new();
    for (kind, which, other, side, (event, account, amount), time) in raw {
        let made = {
            let mut log = Memory::new("events", 1);
            push(&mut log, &(false, 0, *time, *event, *account, *amount));
            log.all().remove(0)
        };
        if all.is_empty() {
            let draft = Draft {
                topic: Some("more".to_owned()),
                value: made.value,
                ..Draft::default()
            };
            changes.push(Change::Insert(draft, Spot::Time(Timestamp(*time))));
            continue;
        }
        let (record, beside) = (which.get(all), other.get(all));
        let spot = match side {
            0 => Spot::Before(at(beside)),
            1 => Spot::After(at(beside)),
            _ => Spot::Time(Timestamp(*time)),
        };
        let placed = !matches!(spot, Spot::Time(_));
        if *kind >= 3 && placed && moved.contains(&place(beside)) {
            continue;
        }
        if matches!(kind, 0..=4) {
            let fixed =
                *kind == 4 && (beside_of.contains(&place(record)) || (placed && place(record) == place(beside)));
            if fixed || (*kind != 3 && !changed.insert(place(record))) {
                continue;
            }
        }
        changes.push(match kind {
            0 => Change::Without(at(record)),
            1 => Change::Edit(at(record), Edited::Value(made.value)),
            2 => {
                let draft = Draft {
                    timestamp: made.timestamp,
                    key: None,
                    value: made.value,
                    ..Draft::default()
                };
                Change::Edit(at(record), Edited::Record(draft))
            }
            4 => Change::Move(at(record), spot),
            _ => {
                let topic = (!placed).then(|| "events".to_owned());
                Change::Insert(
                    Draft {
                        topic,
                        partition: None,
                        value: made.value,
                        ..Draft::default()
                    },
                    spot,
                )
            }
        });
        if *kind >= 3 && placed {
            beside_of.insert(place(beside));
        }
        if *kind == 4 {
            moved.insert(place(record));
        }
    }
    changes
}

/// The log as it is changed, and the places of what the changes made; written down without a source, batch or snapshot.
fn changed(log: &Memory, changes: &[Change]) -> (Vec<Record>, Vec<Option<Place>>) {
    let all = log.all();
    let find = |of: &At| all.iter().position(|record| at(record) == *of).unwrap();
    let order = |record: &Record| (record.timestamp, record.topic.clone(), record.partition, record.offset);
    let mut slots: Vec<(Vec<Record>, Option<Record>, Vec<Record>)> = all
        .iter()
        .map(|record| (Vec::new(), Some(record.clone()), Vec::new()))
        .collect();
    let (mut timed, mut made) = (Vec::<Record>::new(), Vec::new());
    for change in changes {
        let (mut record, spot) = match change {
            Change::Without(of) => {
                slots[find(of)].1 = None;
                made.push(None);
                continue;
            }
            Change::WithoutKey(_) | Change::WithoutType(_) | Change::WithoutWhere(_) => unreachable!(),
            Change::Edit(of, edited) => {
                let record = &all[find(of)];
                slots[find(of)].1 = Some(edited.of(&record.view()));
                made.push(Some(place(record)));
                continue;
            }
            Change::Move(of, spot) => {
                slots[find(of)].1 = None;
                (all[find(of)].clone(), spot)
            }
            Change::Insert(draft, spot) => {
                let beside = match spot {
                    Spot::Before(of) | Spot::After(of) => Some(all[find(of)].clone()),
                    Spot::Time(_) => None,
                };
                let topic = draft
                    .topic
                    .clone()
                    .unwrap_or_else(|| beside.as_ref().unwrap().topic.to_string());
                let partition = beside.as_ref().map_or(0, |beside| beside.partition);
                let mut record = log
                    .clone()
                    .push_bytes(&topic, partition, 0, draft.value.clone())
                    .clone();
                record.timestamp = beside.and_then(|beside| beside.timestamp);
                record.key = None;
                (record, spot)
            }
        };
        if let Change::Insert(..) = change {
            let taken = |record: &Record| made.iter().flatten().any(|known| *known == place(record));
            while taken(&record) {
                record.offset += 1;
            }
        }
        made.push(Some(place(&record)));
        match spot {
            Spot::Before(of) => slots[find(of)].0.push(record),
            Spot::After(of) => slots[find(of)].2.push(record),
            Spot::Time(time) => {
                record.timestamp = Some(*time);
                timed.push(record);
            }
        }
    }
    timed.sort_by_key(order);
    let mut timed = timed.into_iter().peekable();
    let mut records = Vec::new();
    for ((before, own, after), record) in slots.into_iter().zip(&all) {
        while let Some(due) = timed.next_if(|due| order(due) < order(record)) {
            records.push(due);
        }
        records.extend(before.into_iter().chain(own).chain(after));
    }
    records.extend(timed);
    (records, made)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What would have been is what a rebuild makes of the log so changed, and what is, what one makes of the log; with snapshots
    /// and without, whatever the batches; and the changed records became what they become there.
    #[test]
    fn what_if_is_a_rebuild_of_the_changed_log(
        events in events(),
        raw in raw(),
        cut in 0.0..=1.0f64,
        sizes in prop::collection::vec(0..50usize, 1..5),
        gap in 0..2i64,
        kept in any::<bool>(),
        other in any::<bool>(),
    ) {
        let (_folder, store) = store();
        let early = log_of(&events[..(events.len() as f64 * cut) as usize], gap);
        folded(&store, ACCOUNTS, &early, early.all(), &[3]);
        if kept {
            snapped(&store, &early, 7);
        }
        let log = log_of(&events, gap);
        let changes = changes(&raw, &log.all());
        let (records, made) = changed(&log, &changes);
        let text = if other { with_invariants().replace("n = n + 1", "n = n + 2") } else { ACCOUNTS.to_owned() };
        let past_of = |text: &str| past(&store, text, &log);
        let (truth, with) = (past_of(ACCOUNTS), other.then(|| past_of(&text)));
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &sizes));
        let options = WhatIfOptions { changes: changes.clone(), ..WhatIfOptions::default() };
        let found = run(&truth, with.as_ref(), &options, &open, &mut control()).unwrap();

        if events.is_empty() {
            // A rebuild of an empty log opens none.
            prop_assert_eq!(found.after.counts.total(), records.len() as u64);
            return Ok(());
        }
        let (_one, expected) = self::store();
        folded(&expected, &text, &log, records.clone(), &[1]);
        prop_assert_eq!(text_of(&found.model), dumped(&expected), "{:?}", changes);
        prop_assert_eq!(found.after.counts, expected.info("accounts").unwrap().counts);
        prop_assert_eq!(&found.after.broken, &expected.info("accounts").unwrap().broken);
        let (_two, plain) = self::store();
        folded(&plain, ACCOUNTS, &log, log.all(), &[1]);
        prop_assert_eq!(text_of(&found.truth), dumped(&plain));
        prop_assert_eq!(found.before.counts, plain.info("accounts").unwrap().counts);

        let scratch = Scratch::new(&expected, &definition(&text), &log.log().origin(), None).unwrap();
        let mut fold = scratch.fold().unwrap();
        let outcomes: Vec<_> =
            records.iter().map(|record| (place(record), fold.step(&record.view()).unwrap().outcome)).collect();
        for (fate, made) in found.fates.iter().zip(&made) {
            match (fate, made) {
                (Fate::LeftOut(_), None) => {}
                (Fate::Was(event, outcome), Some(made)) => {
                    prop_assert_eq!((&*event.topic, event.partition, event.offset), (&*made.0, made.1, made.2));
                    let expected = outcomes.iter().find(|(place, _)| place == made).map(|(_, outcome)| outcome);
                    prop_assert_eq!(Some(outcome), expected);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(found.fates.len(), changes.len());
        let letters = |store: &Store| {
            let letters = store.dead_letters("accounts", 1_000).unwrap();
            letters.iter().map(|letter| place(&letter.record)).collect::<HashSet<_>>()
        };
        let made: HashSet<Place> = made.into_iter().flatten().collect();
        let new: HashSet<Place> = letters(&expected).difference(&letters(&plain)).filter(|one| !made.contains(*one)).cloned().collect();
        prop_assert_eq!(found.refused.iter().map(Refused::place).collect::<HashSet<_>>(), new);
    }

    /// Leaving out a key, a type or what a condition chooses is leaving out each of its records.
    #[test]
    fn a_key_type_or_condition_is_left_out_record_by_record(events in events(), which in any::<Index>(), by in 0..4u8) {
        let (_folder, store) = store();
        let log = keyed(&events);
        folded(&store, ACCOUNTS, &log, log.all(), &[3]);
        let (all, chosen) = (log.all(), which.index(3));
        let by_offset = i64::try_from(chosen).unwrap();
        let key = format!("k{chosen}");
        let name = ["In", "Out", "Closed"][chosen];
        let quoted = format!("\"type\": \"{name}\"").into_bytes();
        let of_type = move |record: &Record| {
            let value = record.value.clone().unwrap_or_default();
            value.windows(quoted.len()).any(|part| part == quoted)
        };
        let (change, gone): (_, Gone) = match by {
            0 => {
                let bytes = key.into_bytes();
                (Change::WithoutKey(bytes.clone()), Box::new(move |record| record.key.as_ref() == Some(&bytes)))
            }
            1 => (Change::WithoutType(name.to_owned()), Box::new(of_type)),
            2 => (Change::WithoutWhere(format!("offset % 3 = {chosen}")), Box::new(move |record| record.offset % 3 == by_offset)),
            _ => {
                let condition = format!("type = '{name}' OR key = '{key}'");
                let of_key = move |record: &Record| record.key.as_ref().is_some_and(|of| *of == key.as_bytes());
                (Change::WithoutWhere(condition), Box::new(move |record| of_type(record) || of_key(record)))
            }
        };
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[4]));
        let options = WhatIfOptions { changes: vec![change], ..WhatIfOptions::default() };
        let found = run(&past(&store, ACCOUNTS, &log), None, &options, &open, &mut control());
        let left: Vec<Record> = all.iter().filter(|record| !gone(record)).cloned().collect();
        if left.len() == all.len() {
            let error = found.unwrap_err();
            prop_assert!(error.to_string().starts_with("no record "), "{}", error);
            return Ok(());
        }
        let found = found.unwrap();
        prop_assert_eq!(&found.fates, &[Fate::AllLeftOut((all.len() - left.len()) as u64)]);
        let (_other, expected) = self::store();
        folded(&expected, ACCOUNTS, &log, left, &[1]);
        prop_assert_eq!(text_of(&found.model), dumped(&expected));
    }
}

type Gone = Box<dyn Fn(&Record) -> bool>;

/// The generated log with a key for each account.
fn keyed(events: &[super::super::rebuild::tests::Event]) -> Memory {
    let mut log = Memory::new("events", 3);
    log.add("more", 1);
    for event in events {
        let mut one = Memory::new("events", 3);
        one.add("more", 1);
        push(&mut one, event);
        let made = one.all().remove(0);
        let pushed = log.push_bytes(&made.topic, made.partition, event.2, made.value);
        pushed.key = Some(format!("k{}", event.4).into_bytes());
    }
    log
}

fn one(kind: &str, id: &str, amount: i64) -> String {
    format!(r#"{{"type": "{kind}", "id": "{id}", "amount": {amount}}}"#)
}

/// Ten records in one partition, with a snapshot after each.
fn ten(store: &Store) -> Memory {
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    (0..10).for_each(|time| log.push("events", 0, time, Some(&one("In", "a", 1))));
    folded(store, ACCOUNTS, &log, log.all(), &[1]);
    snapped(store, &log, 1);
    log
}

fn of(offset: i64) -> At {
    At {
        topic: Some("events".to_owned()),
        partition: 0,
        offset,
    }
}

fn asked(store: &Store, log: &Memory, changes: Vec<Change>) -> Result<WhatIf, ReplayError> {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let options = WhatIfOptions {
        changes,
        ..WhatIfOptions::default()
    };
    run(&past(store, ACCOUNTS, log), None, &options, &open, &mut control())
}

#[test]
fn it_begins_with_the_last_snapshot_before_the_first_change() {
    let (_folder, store) = store();
    let log = ten(&store);
    let draft = || Draft {
        topic: Some("events".to_owned()),
        ..Draft::default()
    };
    for (changes, skipped) in [
        (vec![Change::Without(of(7))], 7),
        (vec![Change::Without(of(7)), Change::Without(of(3))], 3),
        (vec![Change::Move(of(8), Spot::Before(of(5)))], 5),
        (vec![Change::Move(of(2), Spot::Before(of(5)))], 2),
        (vec![Change::Insert(draft(), Spot::Time(Timestamp(6)))], 7),
        (vec![Change::Insert(draft(), Spot::After(of(6)))], 6),
        (vec![Change::WithoutKey(b"k".to_vec())], 0),
    ] {
        let found = asked(&store, &log, changes.clone()).unwrap();
        assert_eq!(found.skipped, skipped, "{changes:?}");
    }
}

/// What the log has lost is in both or in neither, and is no difference.
#[test]
fn what_the_log_has_lost_does_not_differ() {
    let (_folder, store) = store();
    let mut log = ten(&store);
    log.low = 4;
    let found = asked(
        &store,
        &log,
        vec![Change::Edit(of(6), Edited::Value(Some(one("In", "a", 5).into_bytes())))],
    )
    .unwrap();
    let mut rows = Vec::new();
    let tally = found
        .compare(&mut |difference| {
            rows.extend(match difference {
                crate::readmodel::compare::Difference::Row(row) => Some(row),
                _ => None,
            });
            true
        })
        .unwrap();
    assert_eq!((tally.changed, tally.rows()), (1, 1));
    let [before, after] = [&rows[0].before, &rows[0].after].map(|row| row.as_ref().unwrap()[1].clone());
    assert_eq!((before, after), (Cell::Integer(10), Cell::Integer(14)));
    std::fs::remove_dir_all(store.root().join("accounts.1.snapshots")).unwrap();
    let found = asked(&store, &log, vec![Change::Without(of(6))]).unwrap();
    assert_eq!(
        (found.before.counts.applied, found.after.counts.applied, found.skipped),
        (6, 5, 0)
    );
}

#[test]
fn what_cannot_be_thought_up_is_told() {
    let (_folder, store) = store();
    let mut log = ten(&store);
    log.push("events", 0, 20, Some(&one("In", "b", 1)));
    log.gap = 1;
    log.push("events", 0, 21, Some(&one("In", "b", 1)));
    let told = |changes: Vec<Change>| asked(&store, &log, changes).unwrap_err().to_string();
    let nameless = |partition, offset| At {
        topic: None,
        partition,
        offset,
    };
    let draft = |topic: Option<&str>| Draft {
        topic: topic.map(str::to_owned),
        ..Draft::default()
    };
    assert_eq!(told(vec![Change::Without(of(99))]), "events[0] has no offset 99");
    assert_eq!(
        told(vec![Change::Without(nameless(0, 1))]),
        "`accounts` reads several topics, and which one is meant is not said"
    );
    let elsewhere = At {
        topic: Some("others".to_owned()),
        ..of(1)
    };
    assert_eq!(
        told(vec![Change::Edit(elsewhere, Edited::Value(None))]),
        "`accounts` does not read the topic others"
    );
    assert_eq!(
        told(vec![Change::Without(At { partition: 4, ..of(1) })]),
        "events has no partition 4"
    );
    for second in [
        Change::Edit(of(3), Edited::Value(None)),
        Change::Move(of(3), Spot::Before(of(1))),
        Change::Without(of(3)),
    ] {
        assert_eq!(
            told(vec![Change::Without(of(3)), second]),
            "events[0] offset 3 is changed twice"
        );
    }
    let moved = Change::Move(of(3), Spot::Before(of(1)));
    let beside = Change::Insert(draft(None), Spot::After(of(3)));
    assert_eq!(
        told(vec![beside, moved]),
        "events[0] offset 3 is moved, so that nothing can be put beside it"
    );
    assert_eq!(
        told(vec![Change::Insert(draft(Some("others")), Spot::Time(Timestamp(1)))]),
        "`accounts` does not read the topic others"
    );
    let both = vec![
        Change::WithoutKey(b"k".to_vec()),
        Change::Edit(of(3), Edited::Value(None)),
    ];
    assert_eq!(told(both), "events[0] offset 3 is changed twice");
    // A hole that compaction left: before the last record, which a gap follows.
    let gone = log
        .log()
        .ends()
        .next(&crate::record::TopicPartition::new("events", 0))
        .unwrap()
        - 1;
    for changes in [
        vec![Change::Without(of(gone))],
        vec![Change::Move(of(gone), Spot::Before(of(1)))],
        vec![Change::Insert(draft(None), Spot::Before(of(gone)))],
    ] {
        assert_eq!(told(changes), format!("events[0] has no record at offset {gone}"));
    }
    let options = WhatIfOptions {
        changes: vec![Change::Without(of(8))],
        ..WhatIfOptions::default()
    };
    let mut early = past(&store, ACCOUNTS, &log);
    early.ends.set(crate::record::TopicPartition::new("events", 0), 5);
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let error = run(&early, None, &options, &open, &mut control())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "events[0] offset 8 comes after the moment that is looked at");
}

/// The read model in use, its snapshots and the log are as they were.
#[test]
fn nothing_of_it_is_written() {
    let (_folder, store) = store();
    let log = ten(&store);
    let before = (dumped(&store), store.snapshots("accounts").unwrap().count());
    asked(&store, &log, vec![Change::Without(of(2))]).unwrap();
    assert_eq!((dumped(&store), store.snapshots("accounts").unwrap().count()), before);
}

/// What was decided about a record counts on both sides, and no longer about one that is left out or says something else.
#[test]
fn what_was_decided_about_records_counts_on_both_sides() {
    let (_folder, store) = store();
    let log = ten(&store);
    let mut past = past(&store, ACCOUNTS, &log);
    let skip = |offset: usize| Decision {
        at: Timestamp(0),
        who: "ada@lab".to_owned(),
        choice: Choice::Skip { hold_key: false },
        record: log.all()[offset].clone(),
        topic_id: None,
        poison: Poison {
            kind: PoisonKind::Body,
            reason: "not JSON".to_owned(),
            line: None,
        },
    };
    past.log.amendments = past.log.amendments.with([skip(3), skip(8)]);
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let asked = |changes: Vec<Change>| {
        let options = WhatIfOptions {
            changes,
            ..WhatIfOptions::default()
        };
        let found = run(&past, None, &options, &open, &mut control()).unwrap();
        let balance = |scratch: &Scratch| {
            scratch
                .session()
                .unwrap()
                .query("SELECT balance FROM account", 1)
                .unwrap()
                .rows
        };
        let sides = [balance(&found.truth), balance(&found.model)].map(|rows| rows[0][0].clone());
        (
            sides,
            found.before.counts.skipped,
            found.after.counts.skipped,
            found.skipped,
        )
    };
    let balances = |before, after| [Cell::Integer(before), Cell::Integer(after)];
    let edit = |offset| Change::Edit(of(offset), Edited::Value(Some(one("In", "a", 5).into_bytes())));
    assert_eq!(asked(vec![edit(3)]), (balances(8, 13), 2, 1, 3));
    assert_eq!(asked(vec![Change::Without(of(3))]), (balances(8, 8), 2, 1, 3));
    // The snapshots after the third record were taken without that decision, and are of no use.
    assert_eq!(asked(vec![edit(9)]), (balances(8, 12), 2, 2, 3));
}

/// What a record holds of its key is held no longer where records of its type are left out.
#[test]
fn a_key_is_not_held_by_a_record_of_a_type_that_is_left_out() {
    let (_folder, store) = store();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for value in [
        r#"{"type": "Out", "id": "a", "amount": 1}"#.to_owned(),
        one("In", "a", 7),
    ] {
        log.push("events", 0, 1, Some(&value));
        log.last("events", 0).key = Some(b"a".to_vec());
    }
    folded(&store, ACCOUNTS, &log, log.all(), &[1]);
    let mut past = past(&store, ACCOUNTS, &log);
    let mut held = decision(&log.all()[0], Choice::Skip { hold_key: true });
    held.topic_id = None;
    past.log.amendments = past.log.amendments.with([held]);
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let options = WhatIfOptions {
        changes: vec![Change::WithoutType("Out".to_owned())],
        ..WhatIfOptions::default()
    };
    let found = run(&past, None, &options, &open, &mut control()).unwrap();
    assert_eq!((found.before.counts.held, found.after.counts.held), (1, 0));
}

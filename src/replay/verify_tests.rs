use proptest::prelude::*;

use super::super::drift::key;
use super::super::follow::tests::{PER_PARTITION, first_build, followed};
use super::super::interleave::{Slices, shuffled};
use super::super::memory::{Memory, MemorySource};
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, control, definition, events, log_of};
use super::super::source::Polled;
use super::*;
use crate::readmodel::query::Cell;
use crate::record::Record;

/// Names are set, not added to: what comes last in whatever order is what stays.
const NAMES: &str = "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type

CREATE TABLE name (id TEXT PRIMARY KEY, name INTEGER) STRICT;

-- on: In
INSERT INTO name VALUES (:id, :amount) ON CONFLICT DO UPDATE SET name = excluded.name;
";

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

fn verified(store: &Store, text: &str, log: &Memory, options: VerifyOptions) -> Verified {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    run(&past(store, text, log), &open, options, &mut control()).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    (folder, store)
}

/// Every fault is hunted for.
fn all(seed: u64) -> VerifyOptions {
    VerifyOptions {
        twice: true,
        shuffle: Some(seed),
        crash: Some(seed),
    }
}

fn empty(store: &Store, text: &str, log: &Memory) -> Scratch {
    Scratch::new(store, &definition(text), &log.log().origin(), None).unwrap()
}

fn step(scratch: &mut Scratch, record: &Record) -> Effect {
    let mut fold = scratch.recorded().unwrap();
    let effect = fold.step(&record.view()).unwrap();
    fold.commit().unwrap();
    effect
}

fn text_of(scratch: &Scratch) -> String {
    let mut text = Vec::new();
    scratch.dump(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn place(event: &Event) -> (String, i32, i64) {
    (event.topic.clone(), event.partition, event.offset)
}

fn place_of(record: &Record) -> (String, i32, i64) {
    (record.topic.to_string(), record.partition, record.offset)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a rebuild made is what the log says, and so is what a follower made of records in the order of their arrival, where
    /// the projection does not mix partitions; also where the log has gone on since.
    #[test]
    fn what_nobody_touched_is_what_the_log_says(
        events in events(),
        cut in 0.0..=1.0f64,
        turn in prop::collection::vec(0..4usize, 1..8),
        gap in 0..2i64,
    ) {
        let (_folder, store) = store();
        let early = log_of(&events[..(events.len() as f64 * cut) as usize], gap);
        first_build(&store, PER_PARTITION, &early, true);
        let log = log_of(&events, gap);
        let report = verified(&store, PER_PARTITION, &log, VerifyOptions::default());
        prop_assert!(report.is_good(), "{:?}", report.first);
        prop_assert_eq!(report.records, report.model_records());
        followed(&store, PER_PARTITION, &log, &[2], &turn, true, None).unwrap();
        let report = verified(&store, PER_PARTITION, &log, all(turn[0] as u64));
        prop_assert!(report.tally.is_equal(), "{:?}", report.first);
        prop_assert_eq!(report.records, events.len() as u64);
        prop_assert!(report.verdicts[1].is_good(), "{:?}", report.verdicts);
        prop_assert!(report.verdicts[2].is_good(), "{:?}", report.verdicts);
    }

    /// A row that was edited is found, and nothing else; with the event after which the log has it otherwise for good, or, where
    /// no event made it what it is, with the last that wrote it.
    #[test]
    fn a_row_that_was_edited_is_found_with_its_event(events in events(), which in any::<prop::sample::Index>()) {
        let (_folder, store) = store();
        let log = log_of(&events, 0);
        first_build(&store, ACCOUNTS, &log, true);
        let row = "SELECT balance, last, n FROM account WHERE id = 'a1'";
        let mut scratch = empty(&store, ACCOUNTS, &log);
        let look = |scratch: &Scratch| scratch.session().unwrap().query(row, 1).unwrap().rows.pop();
        let mut states = vec![look(&scratch)];
        for record in log.all() {
            step(&mut scratch, &record);
            states.push(look(&scratch));
        }
        let right = states.last().unwrap().clone();
        // As it was at some moment, or as it never was.
        let novel = Some(vec![Cell::Integer(-999), Cell::Text("x".to_owned()), Cell::Integer(1)]);
        let edited = if which.index(3) == 0 { novel } else { states[which.index(states.len())].clone() };
        let edit = match &edited {
            None => "DELETE FROM account WHERE id = 'a1'".to_owned(),
            Some(row) => {
                let values: Vec<_> = row.iter().map(|cell| match cell {
                    Cell::Integer(value) => value.to_string(),
                    Cell::Text(value) => format!("'{value}'"),
                    other => format!("{other:?}"),
                }).collect();
                format!("INSERT OR REPLACE INTO account VALUES ('a1', {})", values.join(", "))
            }
        };
        store.edit("accounts", &edit);
        let report = verified(&store, ACCOUNTS, &log, VerifyOptions::default());
        prop_assert_eq!(report.tally.is_equal(), right == edited);
        prop_assert_eq!(report.tally.rows(), u64::from(right != edited));
        prop_assert_eq!(text_of(&report.shadow), text_of(&scratch));
        let Some(first) = report.first else { return Ok(()) };
        prop_assert_eq!(key(&first.row), ("account".to_owned(), r#"[Text("a1")]"#.to_owned()));
        let without_key = |row: &Option<Vec<Cell>>| row.as_ref().map(|row| row[1..].to_vec());
        prop_assert_eq!((without_key(&first.row.before), without_key(&first.row.after)), (edited.clone(), right.clone()));
        // What the row was in the columns that differ.
        let differs = |at: &usize| match (&edited, states.last().unwrap()) {
            (Some(one), Some(two)) => one[*at] != two[*at],
            _ => true,
        };
        let columns: Vec<usize> = (0..3).filter(differs).collect();
        let seen = |row: &Option<Vec<Cell>>| row.as_ref().map(|row| columns.iter().map(|at| row[*at].clone()).collect::<Vec<_>>());
        let (states, edited): (Vec<_>, _) = (states.iter().map(seen).collect(), seen(&edited));
        let held = states.iter().rposition(|state| *state == edited);
        let written = || (1..states.len()).rfind(|at| states[*at] != states[at - 1]).map(|at| at - 1);
        let expected = held.or_else(written).map(|at| place_of(&log.all()[at]));
        prop_assert_eq!(first.event.map(|event| place(&event)), expected);
        prop_assert_eq!(first.held, held.is_some());
    }

    /// The first record that changes rows when it comes twice, found by folding every beginning of the log both ways.
    #[test]
    fn the_first_record_that_does_harm_twice_is_named(events in events()) {
        let (_folder, store) = store();
        let log = log_of(&events, 0);
        first_build(&store, ACCOUNTS, &log, true);
        let mut scratch = empty(&store, ACCOUNTS, &log);
        let harmful = log.all().into_iter().find(|record| {
            step(&mut scratch, record);
            let once = text_of(&scratch);
            step(&mut scratch, record);
            text_of(&scratch) != once
        });
        let report = verified(&store, ACCOUNTS, &log, VerifyOptions { twice: true, ..VerifyOptions::default() });
        prop_assert_eq!(report.is_good(), harmful.is_none());
        if let Verdict::NotIdempotent { event, row } = &report.verdicts[0] {
            prop_assert_eq!(Some(place(event)), harmful.map(|record| place_of(&record)));
            prop_assert!(row.before.is_some() && row.before != row.after);
        }
        first_build(&store, NAMES, &log, true);
        let report = verified(&store, NAMES, &log, VerifyOptions { twice: true, ..VerifyOptions::default() });
        prop_assert!(report.is_good(), "{:?}", report.verdicts);
    }

    /// The event that is named is the last of the shortest beginning that was found: equal without it, not with it.
    #[test]
    fn an_event_whose_order_matters_is_named(events in events(), seed in 0..50u64) {
        let (_folder, store) = store();
        let log = log_of(&events, 0);
        first_build(&store, NAMES, &log, true);
        let report = verified(&store, NAMES, &log, VerifyOptions { shuffle: Some(seed), ..VerifyOptions::default() });
        let plan = shuffled(&log.ranges().into_iter().filter(|range| !is_empty(range)).collect::<Vec<_>>(), seed);
        // What the first `count` events make in both orders.
        let made = |count: usize| {
            let beginning: Vec<Record> = log.all().into_iter().take(count).collect();
            let other = every(&plan, &log).into_iter().filter(|record| beginning.contains(record)).collect::<Vec<_>>();
            [beginning, other].map(|records| {
                let mut scratch = empty(&store, NAMES, &log);
                records.iter().for_each(|record| drop(step(&mut scratch, record)));
                text_of(&scratch)
            })
        };
        let all = log.all();
        match report.verdicts.first() {
            Some(Verdict::OrderDependent { event, row, last: [Some(one), Some(two)], .. }) => {
                let at = all.iter().position(|record| place_of(record) == place(event)).unwrap();
                let ([equal, too], [differs, otherwise]) = (made(at), made(at + 1));
                prop_assert_eq!(equal, too);
                prop_assert_ne!(differs, otherwise);
                prop_assert_ne!(place(one), place(two));
                prop_assert_ne!(&row.before, &row.after);
            }
            other => {
                prop_assert!(matches!(other, Some(Verdict::OrderFree { .. } | Verdict::OneOrder)), "{:?}", other);
                let [one, two] = made(all.len());
                prop_assert_eq!(one, two);
            }
        }
    }

    /// Crashes change nothing, whatever the projection.
    #[test]
    fn crashes_change_nothing(events in events(), seed in any::<u64>(), gap in 0..2i64) {
        let (_folder, store) = store();
        let log = log_of(&events, gap);
        first_build(&store, ACCOUNTS, &log, true);
        let report = verified(&store, ACCOUNTS, &log, VerifyOptions { crash: Some(seed), ..VerifyOptions::default() });
        prop_assert!(report.is_good(), "{:?}", report.verdicts);
        if let Verdict::CrashSafe { cuts } = report.verdicts[0] {
            prop_assert!(cuts > 0 || events.len() < 40, "{} cuts of {} events", cuts, events.len());
        }
    }

    /// Another order is the same records, each partition's in its own.
    #[test]
    fn another_order_keeps_that_of_each_partition(events in events(), seed in any::<u64>(), gap in 0..3i64) {
        let log = log_of(&events, gap);
        let came = every(&shuffled(&log.ranges(), seed), &log);
        prop_assert_eq!(came.len(), events.len());
        let by_partition = |mut records: Vec<Record>| {
            // A stable sort: within a partition the order stays.
            records.sort_by_key(|record| (record.topic.clone(), record.partition));
            records
        };
        prop_assert_eq!(by_partition(came), by_partition(log.all()));
    }
}

/// The records of slices in their order.
fn every(plan: &[Range], log: &Memory) -> Vec<Record> {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let mut slices: Slices<'_, MemorySource> = Slices::new(plan.to_vec(), &open);
    let mut records = Vec::new();
    loop {
        match slices.poll(std::time::Duration::ZERO).unwrap() {
            Polled::Batch(batch) => {
                use super::super::source::Records;
                records.extend(batch.records().map(|record| record.to_record()));
            }
            Polled::Idle => {}
            Polled::End => return records,
        }
    }
}

/// Two partitions that name one account; the later name stands in the first of them.
fn two_names() -> Memory {
    let mut log = Memory::new("events", 2);
    log.add("more", 1);
    for (partition, time, name) in [(1, 5, 0), (1, 10, 1), (0, 20, 2)] {
        let value = format!(r#"{{"type": "In", "id": "a", "amount": {name}}}"#);
        log.push("events", partition, time, Some(&value));
    }
    log
}

/// A follower that met the records in another order than a replay has another row, and the order is named as the reason.
#[test]
fn the_order_between_partitions_is_named_where_it_explains_the_difference() {
    let (_folder, store) = store();
    let mut before = Memory::new("events", 2);
    before.add("more", 1);
    first_build(&store, NAMES, &before, false);
    let log = two_names();
    followed(&store, NAMES, &log, &[1], &[0], false, None).unwrap();
    let report = verified(&store, NAMES, &log, VerifyOptions::default());
    assert_eq!((report.tally.changed, report.tally.rows()), (1, 1));
    let order = report.order.unwrap();
    assert!(order.exactly && order.is_likely(), "{order:?}");
    // Up to the later name the log has what the follower has.
    let first = report.first.unwrap();
    assert_eq!(
        (place(&first.event.unwrap()), first.held),
        (("events".to_owned(), 0, 0), true)
    );

    // What no order makes has another reason.
    store.edit("accounts", "UPDATE name SET name = 7; INSERT INTO name VALUES ('b', 1)");
    let report = verified(&store, NAMES, &log, VerifyOptions::default());
    let order = report.order.unwrap();
    assert_eq!((order.exactly, order.rows, order.of), (false, 1, 2));
    assert!(!order.is_likely());
}

/// A follower that stands before a poison record has what the log says up to there; an event that is held is none of it.
#[test]
fn a_paused_read_model_is_what_the_log_says_up_to_where_it_stands() {
    let (_folder, store) = store();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    first_build(&store, NAMES, &log, false);
    for value in [
        r#"{"type": "In", "id": "a", "amount": 1}"#,
        "{",
        r#"{"type": "In", "id": "a", "amount": 2}"#,
    ] {
        log.push("events", 0, 1, Some(value));
    }
    followed(&store, NAMES, &log, &[1], &[0], false, None).unwrap();
    let report = verified(&store, NAMES, &log, all(1));
    assert!(report.is_good(), "{:?}", report.verdicts);
    assert_eq!((report.model_records(), report.records, report.tally.same), (1, 1, 1));
}

/// What was wrong when a snapshot was taken is found all the same.
#[test]
fn a_snapshot_is_not_trusted() {
    let (_folder, store) = store();
    let log = two_names();
    let mut keeping = control();
    keeping.snapshot_every = std::time::Duration::ZERO;
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[1]));
    let (names, origin) = (definition(NAMES), log.log().origin());
    build(&store, &names, &origin, &log.ranges(), open, false, &mut keeping).unwrap();
    let edit = "INSERT INTO name VALUES ('b', 1)";
    store.edit("accounts", edit);
    store.edit_snapshots("accounts", edit);
    assert!(store.snapshots("accounts").unwrap().count() > 0);
    let report = verified(&store, NAMES, &log, VerifyOptions::default());
    assert_eq!(report.tally.removed, 1);
}

/// Rows that the log never wrote have no event.
#[test]
fn a_row_that_no_event_wrote_has_none() {
    let (_folder, store) = store();
    let log = two_names();
    first_build(&store, NAMES, &log, false);
    store.edit("accounts", "INSERT INTO name VALUES ('b', 1)");
    let report = verified(&store, NAMES, &log, VerifyOptions::default());
    assert_eq!((report.tally.removed, report.tally.rows()), (1, 1));
    let first = report.first.unwrap();
    assert_eq!((first.event, first.held), (None, false));
}

/// What the log has lost is counted, so that it can be said why rows are missing.
#[test]
fn records_that_the_log_no_longer_has_are_counted() {
    let (_folder, store) = store();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    let value = r#"{"type": "In", "id": "a", "amount": 1}"#;
    (0..5).for_each(|time| log.push("events", 0, time, Some(value)));
    first_build(&store, ACCOUNTS, &log, false);
    log.low = 2;
    let report = verified(&store, ACCOUNTS, &log, VerifyOptions::default());
    assert_eq!((report.model_records(), report.records), (5, 3));
    assert_eq!((&*report.cut[0].topic, report.cut[0].start), ("events", 2));
    assert!(!report.is_good());
}

/// The read model in use can be written while it is verified, and is left as it was.
#[test]
fn the_read_model_in_use_is_neither_written_nor_locked() {
    let (_folder, store) = store();
    let log = two_names();
    first_build(&store, NAMES, &log, false);
    // The file and its write-ahead log; one that is not there is as good as empty.
    let files =
        || ["", "-wal"].map(|end| std::fs::read(store.root().join(format!("accounts.1.db{end}"))).unwrap_or_default());
    let before = files();
    assert!(!before[0].is_empty());
    let open = |ranges: Vec<Range>| {
        store.edit("accounts", "BEGIN IMMEDIATE; UPDATE name SET name = name; ROLLBACK");
        Ok(log.merged(&ranges, &[3]))
    };
    let report = run(&past(&store, NAMES, &log), &open, all(3), &mut control()).unwrap();
    assert!(report.tally.is_equal());
    drop(report);
    assert_eq!(files(), before);
}

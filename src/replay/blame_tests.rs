use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use proptest::prelude::*;

use super::super::at::tests::odd;
use super::super::decide::tests::decision;
use super::super::follow::tests::{PER_PARTITION, first_build, followed};
use super::super::log;
use super::super::memory::Memory;
use super::super::rebuild::tests::{ACCOUNTS, control, definition, events, log_of};
use super::*;
use crate::broker::reader::Range;
use crate::readmodel::changes::{Row, key_text};
use crate::readmodel::decision::{Amendments, Choice};
use crate::readmodel::fold::OnPoison;
use crate::readmodel::query::{Cell, Session};
use crate::readmodel::writer::Live;
use crate::record::Record;

fn with_history(text: &str) -> String {
    text.replacen("-- topic: events", "-- history: on\n-- topic: events", 1)
}

fn past(store: &Store, text: &str, log: &Memory, ends: Position) -> Past {
    Past {
        store: store.clone(),
        definition: definition(text),
        snapshots: store.snapshots("accounts").unwrap(),
        log: log.log(),
        starts: log::starts(&log.ranges()),
        ends,
    }
}

/// What an event did to a row: its line, the row before, the row after.
type Did = (usize, Option<Row>, Option<Row>);
/// All that a blame says of an event.
type Said = (Record, Option<String>, Vec<usize>, Vec<Did>);

/// Asks and collects what is said.
fn asked(row: &RowGoal, until: Option<&Position>, answer: impl FnOnce(&mut Asking<'_>)) -> Vec<Said> {
    let (tell, told) = sync_channel(10_000);
    answer(&mut Asking {
        row,
        until,
        values: true,
        tell: &tell,
        found: 0,
    });
    drop(tell);
    let said = |Blamed { step, .. }: Blamed| {
        let changes = step.effect.changes.into_iter();
        let did = changes
            .map(|change| (change.line, change.before, change.after))
            .collect();
        (step.record, step.effect.event, step.effect.lines, did)
    };
    told.iter().map(said).collect()
}

/// Every row that ever was, and a cell of each.
fn goals(
    past: &Past,
    open: &(dyn Fn(Vec<Range>) -> Result<super::super::memory::MemorySource, ReplayError> + Sync),
) -> Vec<RowGoal> {
    let tables = past.empty().unwrap().tables().unwrap();
    let mut rows = BTreeSet::new();
    let mut each = |_: &RecordRef<'_>, effect: Effect| {
        for change in effect.changes {
            let table = &tables[change.table];
            for row in [&change.before, &change.after].into_iter().flatten() {
                let key: Vec<String> = table.key.iter().map(|at| key_text(&row.cell(*at))).collect();
                rows.insert((table.name.clone(), key));
            }
        }
    };
    let way = Way {
        below: Some(0),
        each: Some(&mut each),
        last: u64::MAX,
    };
    past.go(&past.ends, way, open, &mut control()).unwrap();
    let goal = |(number, (table, key)): (usize, (String, Vec<String>))| {
        let columns = tables.iter().find(|known| known.name == table).unwrap().columns.clone();
        // A column of the first, the next of the second, and so on; now and then none.
        let column = columns.get(number % (columns.len() + 1)).cloned();
        [None, column].map(|column| RowGoal {
            table: table.clone(),
            key: key.clone(),
            column,
        })
    };
    rows.into_iter().enumerate().flat_map(goal).collect()
}

/// What is in the read model under this key, as its query shows it.
fn row_of(store: &Store, goal: &RowGoal, tables: &[Watched]) -> Option<Vec<Cell>> {
    let table = tables.iter().find(|table| table.name == goal.table).unwrap();
    let columns: Vec<String> = table.columns.iter().map(|name| format!("\"{name}\"")).collect();
    let sql = format!("SELECT {} FROM accounts.\"{}\"", columns.join(", "), table.name);
    let rows = Session::open(store).unwrap().query(&sql, 10_000).unwrap().rows;
    let key = |row: &Vec<Cell>| table.key.iter().map(|at| key_text(&row[*at])).collect::<Vec<_>>();
    rows.into_iter().find(|row| key(row) == goal.key)
}

/// The history answers as a replay does, for every row and for cells, up to the read model's position and up to `until`; the last
/// that it tells of a row is the row.
fn holds(store: &Store, text: &str, log: &Memory, until: &Position) -> Result<(), TestCaseError> {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    let whole = past(store, text, log, store.info("accounts").unwrap().position);
    let history = store.history("accounts").unwrap().expect("it keeps one");
    let goals = goals(&whole, &open);
    // Each costs two replays.
    for goal in goals.iter().step_by(goals.len().div_ceil(7).max(1)) {
        for until in [None, Some(until)] {
            let replayed = asked(goal, until, |asking| {
                asking.replay(&whole, &open, &mut control()).unwrap();
            });
            let kept = asked(goal, until, |asking| {
                let mut fill = |steps: &mut [Step]| fetch(steps, &log.log(), &open, &control());
                let report = asking.history(&history, &mut fill).unwrap();
                assert_eq!(report.gone, 0);
            });
            prop_assert_eq!(&kept, &replayed, "{:?} until {:?}", goal, until);
            if until.is_none() && goal.column.is_none() {
                let changes = kept.last().map_or(&[][..], |said| &said.3);
                // What an event gave another key is another row; the row of this one is the last that has it.
                let of_key = |row: &Row, tables: &[Watched]| {
                    let table = tables.iter().find(|table| table.name == goal.table).unwrap();
                    table.key.iter().map(|at| key_text(&row.cell(*at))).collect::<Vec<_>>() == goal.key
                };
                let last = changes.iter().rev().find_map(|(_, before, after)| match after {
                    Some(row) if of_key(row, &history.tables()) => Some(Some(row.cells())),
                    _ if before.as_ref().is_some_and(|row| of_key(row, &history.tables())) => Some(None),
                    _ => None,
                });
                prop_assert_eq!(last, Some(row_of(store, goal, &history.tables())), "{:?}", goal);
            }
        }
    }
    Ok(())
}

/// The log up to a part of each partition.
fn part_of(log: &Memory, part: f64) -> Position {
    let ranges = log.ranges();
    let cut = |range: &Range| {
        let (start, end) = (range.start, range.end.unwrap());
        let at = TopicPartition::new(range.topic.clone(), range.partition);
        (at, start + ((end - start) as f64 * part) as i64)
    };
    ranges.iter().map(cut).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// After a rebuild, over poison, handlers of several statements, rows that others take away, keys that change.
    #[test]
    fn a_history_tells_what_a_replay_tells(events in events(), odd_ones in any::<bool>(), part in 0.0..=1.0f64) {
        let text = with_history(&if odd_ones { odd() } else { ACCOUNTS.to_owned() });
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        first_build(&store, &text, &log, true);
        holds(&store, &text, &log, &part_of(&log, part))?;
    }

    /// After a rebuild of the first part, a follow in pieces, and crashes between and within transactions.
    #[test]
    fn a_follow_goes_on_with_the_history(
        events in events(),
        cut in 0..120usize,
        sizes in prop::collection::vec(1..9usize, 1..4),
        turn in prop::collection::vec(0..4usize, 1..6),
        pieces in prop::collection::vec((0..8u8, any::<bool>()), 0..8),
        part in 0.0..=1.0f64,
    ) {
        let text = with_history(PER_PARTITION);
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        first_build(&store, &text, &log_of(&events[..cut.min(events.len())], 0), true);
        let definition = definition(&text);
        for (batches, commits) in pieces {
            let live = Live::open(&store, &definition).unwrap();
            let ranges = super::super::follow::start(definition.projection(), live.info(), live.topics(), &log.log()).unwrap().ranges;
            let mut fold = live.fold(OnPoison::Skip).unwrap();
            let mut source = log.arrival(&ranges, &sizes, &turn);
            for at in 0..batches {
                use super::super::source::{Polled, Records, Source};
                if let Polled::Batch(batch) = source.poll(super::super::rebuild::WAIT).unwrap() {
                    fold.apply(batch.records(), &|| false).unwrap();
                    if commits && at % 2 == 0 {
                        fold.commit().unwrap();
                    }
                }
            }
            // Dropped here with whatever is not committed.
        }
        followed(&store, &text, &log, &sizes, &turn, true, None).unwrap();
        holds(&store, &text, &log, &part_of(&log, part))?;
    }
}

/// What asks for no history gets none, and neither a copy of the past nor a dump has anything of one.
#[test]
fn a_history_is_kept_where_the_file_says_so_and_nowhere_else() {
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for at in 0..400 {
        let value = format!(r#"{{"type": "In", "id": "a{}", "amount": 1}}"#, at % 7);
        log.push("events", 0, at, Some(&value));
    }
    let mut dumps = Vec::new();
    for text in [ACCOUNTS.to_owned(), with_history(ACCOUNTS)] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        let mut control = control();
        control.snapshot_every = std::time::Duration::ZERO;
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[100]));
        let origin = log.log().origin();
        super::super::rebuild::build(
            &store,
            &definition(&text),
            &origin,
            &log.ranges(),
            open,
            false,
            &mut control,
        )
        .unwrap();
        let kept = store.info("accounts").unwrap().history;
        assert_eq!(
            kept.map(|history| history.events),
            text.contains("history").then_some(400)
        );
        assert!(kept.is_none_or(|history| history.bytes > 1_000));
        assert_eq!(store.history("accounts").unwrap().is_some(), kept.is_some());
        let past = past(&store, &text, &log, part_of(&log, 0.9));
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[100]));
        assert!(past.snapshots.count() > 0);
        let scratch = past
            .go(
                &past.ends,
                Way::default(),
                &open,
                &mut super::super::rebuild::tests::control(),
            )
            .unwrap();
        assert_eq!(scratch.info().unwrap().history, None);
        let mut text = Vec::new();
        crate::readmodel::dump::dump(&store, "accounts", &mut text).unwrap();
        dumps.push(String::from_utf8(text).unwrap());
    }
    assert_eq!(dumps[0], dumps[1]);
}

/// A record that was edited is told as such, from the history as by a replay.
#[test]
fn an_edited_record_is_told_as_such_from_the_history_too() {
    let text = with_history(ACCOUNTS);
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for amount in ["1", "null"] {
        log.push(
            "events",
            0,
            1,
            Some(&format!(r#"{{"type": "In", "id": "a", "amount": {amount}}}"#)),
        );
    }
    let edit = Choice::Edit(Some(br#"{"type": "In", "id": "a", "amount": 5}"#.to_vec()));
    let mut origin = log.log().origin();
    origin.amendments = Amendments::standing([decision(&log.all()[1], edit)]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[1]));
    super::super::rebuild::build(
        &store,
        &definition(&text),
        &origin,
        &log.ranges(),
        open,
        false,
        &mut control(),
    )
    .unwrap();
    let mut whole = past(&store, &text, &log, store.info("accounts").unwrap().position);
    whole.log.amendments = origin.amendments.clone();
    let goal = RowGoal::row("account", &[Cell::Text("a".to_owned())]);
    let edited = |answer: &dyn Fn(&mut Asking<'_>)| {
        let (tell, told) = sync_channel(10);
        let (row, until) = (&goal, None);
        answer(&mut Asking {
            row,
            until,
            values: true,
            tell: &tell,
            found: 0,
        });
        drop(tell);
        told.iter().map(|blamed| blamed.step.effect.edited).collect::<Vec<_>>()
    };
    let history = store.history("accounts").unwrap().unwrap();
    let kept = edited(&|asking| {
        let mut fill = |steps: &mut [Step]| fetch(steps, &log.log(), &open, &control());
        asking.history(&history, &mut fill).unwrap();
    });
    let replayed = edited(&|asking| {
        asking.replay(&whole, &open, &mut control()).unwrap();
    });
    assert_eq!(
        (kept.as_slice(), replayed.as_slice()),
        (&[false, true][..], &[false, true][..])
    );
}

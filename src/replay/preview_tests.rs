use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::decide::tests::decision;
use super::super::follow::tests::followed;
use super::super::memory::{Hook, Memory};
use super::super::rebuild::build;
use super::super::rebuild::tests::{
    ACCOUNTS, Event as Raw, control, definition, dumped, events, log_of, push, with_invariants,
};
use super::*;
use crate::broker::reader::Range;
use crate::readmodel::compare::Difference;
use crate::readmodel::decision::{Amendments, Choice};
use crate::record::Record;

/// Other versions of the file: handlers, columns, tables, keys, and what can be applied.
fn versions() -> [String; 8] {
    let accounts = || ACCOUNTS.to_owned();
    [
        accounts(),
        with_invariants(),
        accounts().replace(
            "balance = balance - :amount, n = n + 1",
            "balance = balance - 2 * :amount",
        ),
        accounts()
            .replace("balance < 400", "balance < 100")
            .replace("'in ' || :id", "'in'"),
        accounts()
            .replace("n INTEGER NOT NULL\n", "n INTEGER NOT NULL, more TEXT\n")
            .replace(
                "INSERT INTO account VALUES (:id, :amount, @timestamp, 1)",
                "INSERT INTO account VALUES (:id, :amount, @timestamp, 1, @topic)",
            ),
        accounts().replace("PRIMARY KEY (topic, part, at)", "PRIMARY KEY (at, part, topic)"),
        accounts().replace("-- type: $.type\n", "-- type: $.type\n-- history: on\n"),
        accounts() + "\n-- on: Unheard\nINSERT INTO entry VALUES (@topic, @partition, @offset, NULL);\n",
    ]
}

fn rebuilt(store: &Store, text: &str, log: &Memory, ranges: &[Range]) -> RebuildReport {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    build(
        store,
        &definition(text),
        &log.log().origin(),
        ranges,
        open,
        true,
        &mut control(),
    )
    .unwrap()
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

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    (folder, store)
}

/// A preview of `new` of the read model in use, which was built by `old`.
fn previewed(store: &Store, old: &str, new: &str, log: &Memory) -> (Preview, Option<Parting>) {
    let ends = store.info("accounts").unwrap().position;
    let (old, new) = (past(store, old, log, ends.clone()), past(store, new, log, ends));
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let model = Scratch::copy(store, &old.definition, || false).unwrap();
    let found = shadow(&new.definition, &new, model, true, &open, &mut control()).unwrap();
    let parting = parting(&old, &new, &open, &mut control()).unwrap();
    (found, parting)
}

fn accepted(store: &Store, text: &str, log: &Memory) -> Result<RebuildReport, ReplayError> {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let past = past(store, text, log, log.log().ends());
    swap(
        &past,
        true,
        &open,
        |_| Ok(rebuilt(store, text, log, &log.ranges())),
        &mut control(),
    )
}

fn equal(one: &Side, two: &Side) -> bool {
    compare(one, two, &mut |_| true).unwrap().is_equal()
}

/// Every row of a private copy in the columns of `shared`, as text.
fn rows_of(scratch: &Scratch, sql: &[&str]) -> String {
    let session = scratch.session().unwrap();
    sql.iter()
        .map(|sql| format!("{:?}\n", session.query(sql, 10_000).unwrap().rows))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A preview is what a rebuild by the new file makes up to the position of the read model in use; accepted, what one makes of
    /// the whole log, however it has grown since; brought back, the old one is what it was; and once more, the new one.
    #[test]
    fn a_preview_is_a_rebuild_and_the_old_one_comes_back(
        events in events(),
        cut in 0.0..=1.0f64,
        which in 0..8usize,
        live in any::<bool>(),
        turn in prop::collection::vec(0..4usize, 1..8),
    ) {
        let (_folder, store) = store();
        let early = log_of(&events[..(events.len() as f64 * cut) as usize], 0);
        let half = log_of(&events[..(events.len() as f64 * cut / 2.0) as usize], 0);
        rebuilt(&store, ACCOUNTS, &half, &half.ranges());
        if live {
            followed(&store, ACCOUNTS, &early, &[2], &turn, true, None).unwrap();
        }
        let before = dumped(&store);
        let log = log_of(&events, 0);
        let new = &versions()[which];
        let (preview, _) = previewed(&store, ACCOUNTS, new, &log);
        let (_other, expected) = self::store();
        let at = if live { &early } else { &half };
        let report = rebuilt(&expected, new, at, &at.ranges());
        prop_assert_eq!(&preview.after.position, &report.info.position);
        prop_assert_eq!(preview.after.counts, report.info.counts);
        let (old, shown) = preview.sides().unwrap();
        prop_assert!(equal(&shown, &Side::in_use(&expected, "accounts").unwrap()));
        let tally = compare(&old, &Side::in_use(&expected, "accounts").unwrap(), &mut |_| true).unwrap();
        prop_assert_eq!(preview.tally, tally);
        prop_assert_eq!(dumped(&store), before.clone());

        let report = accepted(&store, new, &log).unwrap();
        let (_another, whole) = self::store();
        let expected = rebuilt(&whole, new, &log, &log.ranges());
        prop_assert_eq!(report.info.counts, expected.info.counts);
        prop_assert_eq!(&report.info.position, &expected.info.position);
        prop_assert_eq!(dumped(&store), dumped(&whole));
        prop_assert_eq!(store.dead_letters("accounts", 1000).unwrap(), whole.dead_letters("accounts", 1000).unwrap());
        prop_assert!(store.preview("accounts").unwrap().is_none());

        store.bring_back("accounts").unwrap();
        prop_assert_eq!(dumped(&store), before.clone());
        store.bring_back("accounts").unwrap();
        prop_assert_eq!(dumped(&store), dumped(&whole));
        store.bring_back("accounts").unwrap();
        // It goes on from there as if nothing had been.
        followed(&store, ACCOUNTS, &early, &[3], &turn, true, None).unwrap();
        prop_assert_eq!(store.info("accounts").unwrap().counts.total() >= early.all().len() as u64, true);
    }

    /// The event that is named is the first after which the two folds differ, found by folding every beginning of the log by both.
    #[test]
    fn the_event_at_which_they_part_is_the_first(events in events(), which in 0..8usize) {
        let (_folder, store) = store();
        let log = log_of(&events, 0);
        rebuilt(&store, ACCOUNTS, &log, &log.ranges());
        let new = &versions()[which];
        let (_, parting) = previewed(&store, ACCOUNTS, new, &log);
        let sql: &[&str] = match which {
            5 => &["SELECT id, balance, last, n FROM account ORDER BY id"],
            _ => &[
                "SELECT id, balance, last, n FROM account ORDER BY id",
                "SELECT topic, part, at, text FROM entry ORDER BY topic, part, at",
            ],
        };
        let origin = log.log().origin();
        let sides = [ACCOUNTS, new].map(|text| Scratch::new(&store, &definition(text), &origin, None).unwrap());
        let step = |scratch: &Scratch, record: &Record| {
            let mut fold = scratch.fold().unwrap();
            fold.step(&record.view()).unwrap();
            fold.commit().unwrap();
            drop(fold);
            rows_of(scratch, sql)
        };
        let first = log.all().into_iter().find(|record| step(&sides[0], record) != step(&sides[1], record));
        let place = |event: &Event| (event.topic.clone(), event.partition, event.offset);
        prop_assert_eq!(
            parting.as_ref().map(|parting| place(&parting.event)),
            first.map(|record| (record.topic.to_string(), record.partition, record.offset))
        );
        if let Some(Parting { row, .. }) = parting {
            prop_assert_ne!(&row.before, &row.after);
        }
    }
}

/// Copies of a store's folder as it was after each step.
fn steps(store: &Store) -> (Store, Arc<Mutex<Vec<tempfile::TempDir>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (root, kept) = (store.root().to_owned(), seen.clone());
    let watched = store.watched(move || {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&root, &copy.path().join("read-models/lab"));
        kept.lock().unwrap().push(copy);
    });
    (watched, seen)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn small_log(count: i64) -> Memory {
    let mut log = log_of(&[], 0);
    for n in 0..count {
        let event: Raw = (false, (n % 3) as i32, n, (n % 14) as u8, (n % 5) as u8, 3);
        push(&mut log, &event);
    }
    log
}

/// Whatever step a crash comes after: the old read model is in use or the new one, never none and nothing between, and the next
/// build, follow or way back works.
#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new() {
    let (_folder, store) = store();
    let (short, log) = (small_log(40), small_log(60));
    let new = &versions()[2];
    rebuilt(&store, &versions()[3], &short, &short.ranges());
    rebuilt(&store, ACCOUNTS, &short, &short.ranges());
    let old = dumped(&store);
    previewed(&store, ACCOUNTS, new, &short);
    let (watched, seen) = steps(&store);
    accepted(&watched, new, &log).unwrap();
    let swapped = dumped(&store);
    let after = |copies: &Mutex<Vec<tempfile::TempDir>>, first: &str, then: &str| {
        let copies = std::mem::take(&mut *copies.lock().unwrap());
        let mut found = Vec::new();
        for copy in &copies {
            let store = Store::open(copy.path(), "lab").unwrap();
            let dump = dumped(&store);
            assert!(dump == first || dump == then);
            found.push(dump == then);
            if dump == first && store.preview("accounts").unwrap().is_some() {
                // Nothing of the preview was lost: it can be put in use after all.
                accepted(&store, new, &log).unwrap();
                assert_eq!(dumped(&store), then);
            } else {
                store.bring_back("accounts").unwrap();
            }
            rebuilt(&store, ACCOUNTS, &short, &short.ranges());
            assert_eq!(dumped(&store), old);
        }
        assert!(found.is_sorted(), "never back: {found:?}");
        found
    };
    let found = after(&seen, &old, &swapped);
    assert_eq!(
        found,
        [false, false, false, true, true, true],
        "copied, moved, whole, swapped, tidied, forgotten"
    );
    watched.bring_back("accounts").unwrap();
    assert_eq!(dumped(&store), old);
    assert_eq!(after(&seen, &swapped, &old), [false, false, true, true]);
}

/// A follower is neither stopped nor cleans a preview away; only the swap waits for it.
#[test]
fn a_follower_goes_on_while_a_preview_is_built() {
    let (_folder, store) = store();
    let (short, log) = (small_log(30), small_log(60));
    rebuilt(&store, ACCOUNTS, &short, &short.ranges());
    let new = &versions()[2];
    let ends = store.info("accounts").unwrap().position;
    let (old, other) = (
        past(&store, ACCOUNTS, &short, ends.clone()),
        past(&store, new, &short, ends),
    );
    let model = Scratch::copy(&store, &old.definition, || false).unwrap();
    let (building, follower, more) = (store.preview_making("accounts"), store.clone(), log.clone());
    let folder = store.root().join("accounts.preview.snapshots");
    let snapshots = move || {
        fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let left = Arc::new(Mutex::new(Vec::new()));
    // In the midst of the preview somebody follows, from the beginning of a follow to its end.
    let (seen, look) = (left.clone(), snapshots.clone());
    let follow: Arc<dyn Fn(usize) + Send + Sync> = Arc::new(move |calls| {
        if calls == 10 {
            assert!(building.exists());
            *seen.lock().unwrap() = look();
            followed(&follower, ACCOUNTS, &more, &[2], &[0], true, None).unwrap();
        }
    });
    let open = |ranges: Vec<Range>| {
        let mut source = short.merged(&ranges, &[2]);
        source.before = Some(Hook(follow.clone(), 0));
        Ok(source)
    };
    let mut keeping = control();
    keeping.snapshot_every = std::time::Duration::ZERO;
    let found = shadow(&other.definition, &other, model, true, &open, &mut keeping).unwrap();
    let left = left.lock().unwrap();
    assert!(
        !left.is_empty() && left.iter().all(|one| snapshots().contains(one)),
        "{left:?}"
    );
    assert_eq!((found.before.counts.total(), found.after.counts.total()), (30, 30));
    let in_use = dumped(&store);
    assert_eq!(store.info("accounts").unwrap().counts.total(), 60);

    let live = crate::readmodel::writer::Live::open(&store, &definition(ACCOUNTS)).unwrap();
    let error = accepted(&store, new, &log).unwrap_err().to_string();
    assert!(
        error.contains("is being written by process") && error.contains("(following"),
        "{error}"
    );
    let error = store.bring_back("accounts").unwrap_err().to_string();
    assert!(error.contains("(following"), "{error}");
    assert_eq!(dumped(&store), in_use);
    drop(live);
    assert_eq!(accepted(&store, new, &log).unwrap().info.counts.total(), 60);
    assert_ne!(dumped(&store), in_use);
}

/// The snapshots of a preview are those of the build that it becomes, and of no other.
#[test]
fn snapshots_go_with_a_preview() {
    let (_folder, store) = store();
    let (short, log) = (small_log(40), small_log(60));
    rebuilt(&store, ACCOUNTS, &short, &short.ranges());
    let new = &versions()[2];
    let ends = store.info("accounts").unwrap().position;
    let (old, other) = (
        past(&store, ACCOUNTS, &short, ends.clone()),
        past(&store, new, &short, ends),
    );
    let model = Scratch::copy(&store, &old.definition, || false).unwrap();
    let open = |ranges: Vec<Range>| Ok(short.merged(&ranges, &[2]));
    let mut keeping = control();
    keeping.snapshot_every = std::time::Duration::ZERO;
    shadow(&other.definition, &other, model, false, &open, &mut keeping).unwrap();
    assert_eq!(store.snapshots("accounts").unwrap().count(), 0);
    // A follow, a rebuild and a swap that fails leave them where they are.
    followed(&store, ACCOUNTS, &log, &[2], &[0], true, None).unwrap();
    let gone =
        |_: Vec<Range>| -> Result<super::super::memory::MemorySource, ReplayError> { Err(ReplayError::Cancelled) };
    swap(
        &past(&store, new, &log, log.log().ends()),
        true,
        &gone,
        |_| Err(ReplayError::Cancelled),
        &mut control(),
    )
    .unwrap_err();
    accepted(&store, new, &log).unwrap();
    assert!(store.snapshots("accounts").unwrap().count() > 0);
    store.bring_back("accounts").unwrap();
    assert_eq!(store.snapshots("accounts").unwrap().count(), 0);
    store.bring_back("accounts").unwrap();
    assert!(store.snapshots("accounts").unwrap().count() > 0);
}

#[test]
fn what_is_not_there_or_is_another_is_refused() {
    let (_folder, store) = store();
    let log = small_log(20);
    rebuilt(&store, ACCOUNTS, &log, &log.ranges());
    let told = |error: ReplayError| error.to_string();
    assert_eq!(
        told(accepted(&store, ACCOUNTS, &log).unwrap_err()),
        "there is no preview of `accounts`"
    );
    assert_eq!(
        store.bring_back("accounts").unwrap_err().to_string(),
        "there is no build of `accounts` before the one in use"
    );
    let before = dumped(&store);
    previewed(&store, ACCOUNTS, &versions()[2], &log);
    let error = told(accepted(&store, &versions()[3], &log).unwrap_err());
    assert_eq!(
        error,
        "the preview of `accounts` was built from another version of accounts.sql"
    );
    assert!(store.drop_preview("accounts").unwrap());
    assert!(!store.drop_preview("accounts").unwrap());
    assert_eq!(
        told(accepted(&store, &versions()[2], &log).unwrap_err()),
        "there is no preview of `accounts`"
    );
    assert_eq!(dumped(&store), before);
    assert!(!store.has_previous("accounts").unwrap());
}

/// A preview that fails leaves nothing behind, and takes the one before with it: it was of another version.
#[test]
fn a_preview_that_fails_leaves_the_read_model_in_use() {
    let (_folder, store) = store();
    let log = small_log(20);
    rebuilt(&store, ACCOUNTS, &log, &log.ranges());
    let before = dumped(&store);
    previewed(&store, ACCOUNTS, &versions()[2], &log);
    let new = ACCOUNTS.replace("balance < 400", "balance < 2");
    let ends = store.info("accounts").unwrap().position;
    let (old, other) = (
        past(&store, ACCOUNTS, &log, ends.clone()),
        past(&store, &new, &log, ends),
    );
    let model = Scratch::copy(&store, &old.definition, || false).unwrap();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let error = shadow(&other.definition, &other, model, false, &open, &mut control()).unwrap_err();
    assert!(matches!(error, ReplayError::Poison { .. }), "{error}");
    assert!(store.preview("accounts").unwrap().is_none());
    assert_eq!(dumped(&store), before);
}

/// Rows of a page come once each, in the order of the comparison.
#[test]
fn pages_are_parts_of_the_comparison() {
    let (_folder, store) = store();
    let log = small_log(60);
    rebuilt(&store, ACCOUNTS, &log, &log.ranges());
    let (found, _) = previewed(&store, ACCOUNTS, &versions()[3], &log);
    let mut all = Vec::new();
    let tally = found
        .compare(&mut |difference| {
            if !matches!(difference, Difference::Compared { .. }) {
                all.push(difference);
            }
            true
        })
        .unwrap();
    assert!(all.len() > 7);
    let mut paged = Vec::new();
    loop {
        let page = found.page(paged.len(), 3).unwrap();
        assert!(page.differences.len() == 3 || page.tally.is_some());
        paged.extend(page.differences);
        if let Some(whole) = page.tally {
            assert_eq!(whole, tally);
            break;
        }
    }
    assert_eq!(paged, all);
}

/// What was decided since the preview was built, about records that it does not have, counts when it is accepted.
#[test]
fn what_was_decided_since_counts_in_what_is_accepted() {
    let (_folder, store) = store();
    let (early, log) = (small_log(5), small_log(9));
    rebuilt(&store, ACCOUNTS, &early, &early.ranges());
    let new = &versions()[2];
    previewed(&store, ACCOUNTS, new, &early);
    let record = log.all().pop().unwrap();
    let edit = Choice::Edit(Some(br#"{"type": "In", "id": "edited", "amount": 7}"#.to_vec()));
    let amendments = Amendments::standing([decision(&record, edit)]);
    let mut past = past(&store, new, &log, log.log().ends());
    past.log.amendments = amendments.clone();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    swap(&past, true, &open, |_| unreachable!("it agrees"), &mut control()).unwrap();
    let (_other, expected) = self::store();
    let mut origin = log.log().origin();
    origin.amendments = amendments;
    build(
        &expected,
        &definition(new),
        &origin,
        &log.ranges(),
        open,
        true,
        &mut control(),
    )
    .unwrap();
    assert!(dumped(&expected).contains("edited"));
    assert_eq!(dumped(&store), dumped(&expected));
    assert_eq!(store.info("accounts").unwrap().decisions, 1);
}

/// Whoever makes another preview while one is about to be accepted does not have a mixture put in use.
#[test]
fn a_preview_that_is_made_again_while_it_is_accepted_is_not_put_in_use() {
    let (_folder, store) = store();
    let (early, log) = (small_log(5), small_log(9));
    rebuilt(&store, ACCOUNTS, &early, &early.ranges());
    let (one, other) = (&versions()[2], &versions()[3]);
    previewed(&store, ACCOUNTS, one, &early);
    let before = dumped(&store);
    let past = past(&store, one, &log, log.log().ends());
    let made = std::sync::atomic::AtomicBool::new(false);
    let open = |ranges: Vec<Range>| {
        if !made.swap(true, std::sync::atomic::Ordering::Relaxed) {
            previewed(&store, ACCOUNTS, other, &early);
        }
        Ok(log.merged(&ranges, &[2]))
    };
    let swapped = swap(&past, true, &open, |_| unreachable!(), &mut control());
    assert!(made.into_inner());
    assert!(matches!(swapped, Err(ReplayError::PreviewChanged { .. })));
    assert_eq!(dumped(&store), before);
}

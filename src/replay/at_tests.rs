use std::time::Duration;

use proptest::prelude::*;

use super::super::memory::Memory;
use super::super::rebuild::build;
use super::super::rebuild::tests::{ACCOUNTS, control, definition, events, log_of, with_invariants};
use super::*;
use crate::readmodel::dump::dump;
use crate::readmodel::scratch::Effect;
use crate::record::Record;

/// Every way in which a handler can write that an undo might get wrong: rowids that are no column, a key that is updated, rows
/// that a conflict or a foreign key takes away, AUTOINCREMENT, generated columns, values that their column stores as others, text
/// that is not UTF-8, many columns.
pub(in crate::replay) fn odd() -> String {
    let wide: Vec<String> = (0..130).map(|n| format!("c{n} INTEGER")).collect();
    format!(
        "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY NOT NULL, balance REAL NOT NULL, twice AS (balance * 2), rowid TEXT, raw BLOB);
CREATE TABLE child (id TEXT PRIMARY KEY, account TEXT REFERENCES account ON DELETE CASCADE, nick TEXT UNIQUE) WITHOUT ROWID;
CREATE TABLE entry (n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, text);
CREATE TABLE wide (part INTEGER PRIMARY KEY, {});

-- on: In
INSERT INTO account (id, balance, rowid, raw) VALUES (:id, :amount, @offset, CAST(x'ff00' || :id AS TEXT))
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, raw = NULL;
INSERT OR REPLACE INTO child VALUES (:id || (:amount % 3), :id, 'n' || (:amount % 5));
INSERT INTO entry (at, text) VALUES (@offset, :amount / 3.0);
INSERT INTO wide (part, c0, c129) VALUES (@partition, 1, :amount)
ON CONFLICT (part) DO UPDATE SET c0 = c0 + 1, c129 = excluded.c129;

-- on: Out
UPDATE account SET rowid = :amount, balance = :amount || '' WHERE id = :id;
UPDATE OR REPLACE child SET id = id || 'x' WHERE account = :id;
DELETE FROM entry WHERE n = (SELECT max(n) FROM entry);

-- on: Closed
DELETE FROM account WHERE id = :id;

-- on: tombstone
DELETE FROM entry;
DELETE FROM wide;
",
        wide.join(", ")
    )
}

fn whole(store: &Store, log: &Memory, ranges: &[Range], control: &mut Control) {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    build(
        store,
        &definition(ACCOUNTS),
        &log.log().origin(),
        ranges,
        open,
        true,
        control,
    )
    .unwrap();
}

fn past(store: &Store, log: &Memory) -> Past {
    Past {
        store: store.clone(),
        definition: definition(ACCOUNTS),
        snapshots: store.snapshots("accounts").unwrap(),
        log: log.log(),
        starts: log::starts(&log.ranges()),
        ends: log::ends(&log.ranges()),
    }
}

fn text_of(scratch: &Scratch) -> String {
    let mut text = Vec::new();
    scratch.dump(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The log up to somewhere in each partition.
fn until(log: &Memory, parts: &[f64]) -> Vec<Range> {
    let mut ranges = log.ranges();
    for (range, part) in ranges.iter_mut().zip(parts.iter().cycle()) {
        let end = range.end.unwrap();
        range.end = Some(range.start + ((end - range.start) as f64 * part) as i64);
    }
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A moment is what a rebuild up to it makes, however many snapshots lie on the way, whoever left them, and however the log
    /// has grown since.
    #[test]
    fn a_moment_is_a_rebuild_up_to_it(
        events in events(),
        cut in 0.0..=1.0f64,
        moments in prop::collection::vec(prop::collection::vec(0.0..=1.0f64, 4), 1..5),
        gap in 0..2i64,
        kept in any::<bool>(),
    ) {
        let first = log_of(&events[..(events.len() as f64 * cut) as usize], gap);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        let (mut plain, mut keeping) = (control(), control());
        // After every chunk.
        keeping.snapshot_every = Duration::ZERO;
        whole(&store, &first, &first.ranges(), if kept { &mut keeping } else { &mut plain });
        prop_assert_eq!(store.snapshots("accounts").unwrap().count() > 0, kept && !first.all().is_empty());
        // What comes later may be older than what was there.
        let log = log_of(&events, gap);
        let past = past(&store, &log);
        for parts in moments {
            let ranges = until(&log, &parts);
            let other = tempfile::tempdir().unwrap();
            let expected = Store::open(other.path(), "lab").unwrap();
            whole(&expected, &log, &ranges, &mut control());
            let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
            let scratch = past.go(&log::ends(&ranges), Way::default(), &open, &mut keeping).unwrap();
            let mut dumped = Vec::new();
            dump(&expected, "accounts", &mut dumped).unwrap();
            prop_assert_eq!(text_of(&scratch), String::from_utf8(dumped).unwrap());
            let (one, two) = (scratch.info().unwrap(), expected.info("accounts").unwrap());
            prop_assert_eq!((one.counts, one.position), (two.counts, two.position));
        }
    }

    /// Undone one by one, events leave what was before each, rowids and AUTOINCREMENT included; applied again, what was after.
    #[test]
    fn there_and_back_is_where_it_began(events in events(), odd_ones in any::<bool>()) {
        let text = if odd_ones { odd() } else { with_invariants() };
        let log = log_of(&events, 0);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        let origin = log.log().origin();
        let mut scratch = Scratch::new(&store, &definition(&text), &origin, None).unwrap();
        let mut states = vec![everything(&scratch)];
        let mut done: Vec<(Record, Effect)> = Vec::new();
        for record in log.all() {
            done.push(applied(&mut scratch, &record));
            states.push(everything(&scratch));
        }
        let last = states.pop().unwrap();
        for ((record, effect), state) in done.iter().zip(&states).rev() {
            scratch.undo(&record.view(), effect).unwrap();
            prop_assert_eq!(&everything(&scratch), state);
        }
        for (record, effect) in &done {
            prop_assert_eq!(&applied(&mut scratch, record).1, effect);
        }
        prop_assert_eq!(everything(&scratch), last);
    }
}

fn applied(scratch: &mut Scratch, record: &Record) -> (Record, Effect) {
    let mut fold = scratch.recorded().unwrap();
    let effect = fold.step(&record.view()).unwrap();
    fold.commit().unwrap();
    (record.clone(), effect)
}

/// The dump, and what it does not show: rowids, what AUTOINCREMENT gives next, position, counts, dead letters and broken invariants.
fn everything(scratch: &Scratch) -> String {
    let mut text = text_of(scratch);
    let session = scratch.session().unwrap();
    for sql in [
        "SELECT _rowid_, * FROM account ORDER BY id",
        "SELECT topic, partition, \"offset\", reason FROM _foldlog_dead_letter ORDER BY topic, partition, \"offset\"",
        "SELECT applied, ignored, skipped, poisoned FROM _foldlog_model",
    ] {
        text += &format!("{:?}\n", session.query(sql, 10_000).unwrap().rows);
    }
    if let Ok(sequences) = session.query("SELECT name, seq FROM sqlite_sequence ORDER BY name", 100) {
        text += &format!("{:?}\n", sequences.rows);
    }
    let info = scratch.info().unwrap();
    text + &format!("{:?} {:?}", info.position, info.broken)
}

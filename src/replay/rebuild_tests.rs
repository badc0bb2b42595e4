use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::projection::parse::parse;
use crate::readmodel::dump::dump;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::store::State;
use crate::replay::keeper::EVERY;
use crate::replay::memory::{Hook, Memory, MemorySource};
use crate::replay::progress::Meter;

/// Several statements in one handler, a constraint that some events break, order that matters, and state that is read back.
pub(in crate::replay) const ACCOUNTS: &str = "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type

CREATE TABLE account (
  id TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance < 400), last TEXT, n INTEGER NOT NULL
) STRICT;
CREATE TABLE entry (topic TEXT, part INTEGER, at INTEGER, text TEXT, PRIMARY KEY (topic, part, at)) STRICT, WITHOUT ROWID;
CREATE INDEX by_text ON entry (text);

-- on: In
INSERT INTO entry VALUES (@topic, @partition, @offset, 'in ' || :id);
INSERT INTO account VALUES (:id, :amount, @timestamp, 1)
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, last = excluded.last, n = n + 1;

-- on: Out
UPDATE account SET balance = balance - :amount, n = n + 1 WHERE id = :id;

-- on: Closed
DELETE FROM account WHERE id = :id;
INSERT INTO entry SELECT @topic, @partition, @offset, group_concat(id) FROM (SELECT id FROM account ORDER BY id);

-- on: tombstone
DELETE FROM entry WHERE part = @partition AND at < @offset - 20;
";

pub(in crate::replay) fn definition(text: &str) -> Definition {
    compile(&parse(text, "accounts.sql").unwrap()).unwrap()
}

pub(in crate::replay) fn control() -> Control {
    Control {
        cancel: CancellationToken::new(),
        meter: Meter::new().0,
        snapshot_every: EVERY,
        strict: false,
        group: None,
    }
}

pub(in crate::replay) fn dumped(store: &Store) -> String {
    let mut text = Vec::new();
    dump(store, "accounts", &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

pub(in crate::replay) fn built(
    folder: &Path,
    log: &Memory,
    ranges: &[Range],
    sizes: &[usize],
    skip: bool,
) -> (Store, Result<RebuildReport, ReplayError>) {
    let store = Store::open(folder, "lab").unwrap();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, sizes));
    let report = build(
        &store,
        &definition(ACCOUNTS),
        &log.log().origin(),
        ranges,
        open,
        skip,
        &mut control(),
    );
    (store, report)
}

/// An event of the generated logs: partition, time, kind, account, amount. Some are of an unknown type, some cannot be applied.
pub(in crate::replay) type Event = (bool, i32, i64, u8, u8, i64);

pub(in crate::replay) fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((any::<bool>(), 0..3i32, 0..40i64, 0..20u8, 0..5u8, -20..120i64), 0..120)
}

pub(in crate::replay) fn push(log: &mut Memory, event: &Event) {
    let (more, partition, time, kind, account, amount) = event;
    let (topic, partition) = if *more { ("more", 0) } else { ("events", *partition) };
    let value = match kind {
        0..=9 => Some(format!(r#"{{"type": "In", "id": "a{account}", "amount": {amount}}}"#)),
        10..=13 => Some(format!(r#"{{"type": "Out", "id": "a{account}", "amount": {amount}}}"#)),
        14 => Some(format!(r#"{{"type": "Closed", "id": "a{account}"}}"#)),
        15 => None,
        16 => Some(r#"{"type": "Unheard"}"#.to_owned()),
        17 => Some(format!(r#"{{"type": "In", "id": "a{account}"}}"#)),
        18 => Some("{\"type\": ".to_owned()),
        _ => Some(format!(r#"{{"type": "In", "id": "a{account}", "amount": "many"}}"#)),
    };
    log.push(topic, partition, *time, value.as_deref());
}

pub(in crate::replay) fn log_of(events: &[Event], gap: i64) -> Memory {
    let mut log = Memory::new("events", 3);
    log.add("more", 1);
    log.gap = gap;
    for event in events {
        push(&mut log, event);
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Same log, same file, same dump, counts, position and dead letters, whatever the batches.
    #[test]
    fn a_rebuild_depends_on_the_log_alone(
        events in events(),
        sizes in prop::collection::vec(0..50usize, 1..5),
        gap in 0..3i64,
    ) {
        let log = log_of(&events, gap);
        let ranges = log.ranges();
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (store, first) = built(one.path(), &log, &ranges, &[1], true);
        let (other, second) = built(two.path(), &log, &ranges, &sizes, true);
        let (first, second) = (first.unwrap(), second.unwrap());
        prop_assert_eq!(dumped(&store), dumped(&other));
        prop_assert_eq!(first.info.counts, second.info.counts);
        prop_assert_eq!(first.info.counts.total(), events.len() as u64);
        prop_assert_eq!(&first.info.position, &second.info.position);
        prop_assert_eq!(&first.info.position, &log.log().ends());
        prop_assert_eq!(store.dead_letters("accounts", 1000).unwrap(), other.dead_letters("accounts", 1000).unwrap());
    }

    /// A record that cannot be applied leaves nothing behind: the dump is that of a log without it.
    #[test]
    fn poison_leaves_no_trace(events in events()) {
        let log = log_of(&events, 0);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (store, report) = built(one.path(), &log, &log.ranges(), &[7], true);
        let letters = store.dead_letters("accounts", 1000).unwrap();
        prop_assert_eq!(report.unwrap().info.counts.skipped, letters.len() as u64);
        // The same offsets, with an event that nobody handles in place of each poison record.
        let mut clean = Memory::new("events", 3);
        clean.add("more", 1);
        for event in &events {
            let mut probe = clean.clone();
            push(&mut probe, event);
            let (topic, partition) = if event.0 { ("more", 0) } else { ("events", event.1) };
            let offset = clean.log().ends().next(&crate::record::TopicPartition::new(topic, partition)).unwrap();
            let poisoned = letters.iter().any(|letter| {
                let record = &letter.record;
                (&*record.topic, record.partition, record.offset) == (topic, partition, offset)
            });
            if poisoned {
                clean.push(topic, partition, event.2, Some(r#"{"type": "Unheard"}"#));
            } else {
                clean = probe;
            }
        }
        let (other, report) = built(two.path(), &clean, &clean.ranges(), &[7], false);
        report.unwrap();
        prop_assert_eq!(dumped(&store), dumped(&other));
    }
}

/// Two old forms of an event, of which one had another name, and the form of today.
const UPCASTING: &str = "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type
-- version: $.meta.v

CREATE TABLE account (id TEXT PRIMARY KEY, cents INTEGER NOT NULL, last TEXT NOT NULL) STRICT;

-- upcast: In
SELECT json_object('type', 'PaidIn', 'meta', json_object('v', 2), 'id', :id, 'amount', json_object('units', :amount));

-- upcast: PaidIn v2
SELECT json_set(@value, '$.meta.v', 3, '$.amount', json_object('cents', $amount::units * 100));

-- on: PaidIn
INSERT INTO account VALUES (:id, $amount::cents, @value || @offset)
ON CONFLICT DO UPDATE SET cents = cents + excluded.cents, last = excluded.last;
";

/// The event of one amount, as each version wrote it.
fn paid_in(version: u8, account: u8, amount: i64) -> String {
    match version {
        1 => format!(r#"{{"type":"In","id":"a{account}","amount":{amount}}}"#),
        2 => format!(r#"{{"type":"PaidIn","meta":{{"v":2}},"id":"a{account}","amount":{{"units":{amount}}}}}"#),
        _ => {
            let cents = amount * 100;
            format!(r#"{{"type":"PaidIn","meta":{{"v":3}},"id":"a{account}","amount":{{"cents":{cents}}}}}"#)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A log of all versions makes what the same log makes that was written in today's.
    #[test]
    fn an_upcast_log_is_one_written_in_the_newest_version(
        events in prop::collection::vec((0..3i32, 0..40i64, 1..4u8, 0..5u8, -20..120i64), 0..60),
    ) {
        let dumps = [false, true].map(|newest| {
            let mut log = Memory::new("events", 3);
            log.add("more", 1);
            for (partition, time, version, account, amount) in &events {
                let version = if newest { 3 } else { *version };
                log.push("events", *partition, *time, Some(&paid_in(version, *account, *amount)));
            }
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), "lab").unwrap();
            let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[4]));
            let report =
                build(&store, &definition(UPCASTING), &log.log().origin(), &log.ranges(), open, false, &mut control());
            assert_eq!(report.unwrap().info.counts.applied, events.len() as u64);
            dumped(&store)
        });
        prop_assert_eq!(&dumps[0], &dumps[1]);
    }
}

/// Two invariants, of which the log of the tests breaks one.
pub(in crate::replay) fn with_invariants() -> String {
    ACCOUNTS.to_owned()
        + "
-- invariant: no account is overdrawn
SELECT id, balance FROM account WHERE balance < 0;
-- invariant: no account is called z
SELECT id FROM account WHERE id = 'z';
"
}

#[test]
fn a_broken_invariant_is_told_and_refused_where_that_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    log.push("events", 0, 1, Some(r#"{"type": "In", "id": "a", "amount": 1}"#));
    let (store, report) = built(folder.path(), &log, &log.ranges(), &[1], false);
    report.unwrap();
    let before = dumped(&store);
    log.push("events", 0, 2, Some(r#"{"type": "Out", "id": "a", "amount": 5}"#));
    log.push("events", 0, 3, Some(r#"{"type": "Out", "id": "a", "amount": 5}"#));
    let rebuilt = |strict| {
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
        let (meter, progress) = Meter::new();
        let mut control = Control {
            meter,
            strict,
            ..control()
        };
        let definition = definition(&with_invariants());
        let report = build(
            &store,
            &definition,
            &log.log().origin(),
            &log.ranges(),
            open,
            false,
            &mut control,
        );
        let notices = progress.borrow().notices.to_vec();
        (report, notices)
    };
    let (report, notices) = rebuilt(true);
    let error = report.unwrap_err();
    let told = "the invariant `no account is overdrawn` broke at events[0] offset 1 (type Out, key k, 1970-01-01 00:00:00Z): [\"a\", -4]";
    assert!(error.to_string().contains(told) && notices.is_empty(), "{error}");
    assert_eq!(dumped(&store), before);
    let (report, notices) = rebuilt(false);
    assert_eq!(notices, [told]);
    let broken = report.unwrap().info.broken;
    assert_eq!(
        (broken.len(), broken[0].line, broken[0].timestamp),
        (1, 27, Some(Timestamp(2)))
    );
    assert_eq!(store.info("accounts").unwrap().broken, broken);
    // Nothing is there once it holds again.
    let mut log = log.clone();
    log.push("events", 0, 0, Some(r#"{"type": "Unheard"}"#));
    let ranges: Vec<Range> = log
        .ranges()
        .into_iter()
        .map(|r| Range {
            end: r.end.map(|end| end.min(1)),
            ..r
        })
        .collect();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[2]));
    let definition = definition(&with_invariants());
    let report = build(
        &store,
        &definition,
        &log.log().origin(),
        &ranges,
        open,
        false,
        &mut control(),
    );
    assert!(report.unwrap().info.broken.is_empty());
}

#[test]
fn poison_stops_with_the_whole_list_and_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    log.push("events", 0, 1, Some(r#"{"type": "In", "id": "a", "amount": 1}"#));
    let (store, report) = built(folder.path(), &log, &log.ranges(), &[1], false);
    report.unwrap();
    let before = dumped(&store);
    log.push("events", 0, 2, Some("not json"));
    log.push("events", 0, 3, Some(r#"{"type": "In", "id": "b", "amount": "x"}"#));
    log.push("events", 0, 4, Some(r#"{"type": "In", "id": "c"}"#));
    log.push("events", 0, 5, Some(r#"{"id": "c"}"#));
    log.push("events", 0, 6, Some(""));
    let (_, report) = built(folder.path(), &log, &log.ranges(), &[2], false);
    let error = report.unwrap_err();
    let ReplayError::Poison { letters, all, .. } = &error else {
        panic!("{error}");
    };
    let reasons: Vec<_> = letters
        .iter()
        .map(|letter| (letter.reason.as_str(), letter.line))
        .collect();
    assert_eq!(
        reasons[1],
        ("cannot store TEXT value in INTEGER column account.balance", Some(14))
    );
    assert_eq!(reasons[2], ("NOT NULL constraint failed: account.balance", Some(14)));
    assert_eq!(reasons[3], ("no event type: `$.type` is missing or null", None));
    assert_eq!(reasons[4], ("the value is empty: neither JSON nor a tombstone", None));
    assert!(reasons[0].0.starts_with("not JSON") && *all, "{reasons:?}");
    assert!(
        error
            .to_string()
            .contains("\n  events[0] offset 2 (line 14): cannot store TEXT"),
        "{error}"
    );
    assert_eq!(dumped(&store), before);
    assert_eq!(store.info("accounts").unwrap().counts.applied, 1);
    let left: Vec<_> = std::fs::read_dir(store.root())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().contains("building")),
        "{left:?}"
    );
}

#[test]
fn a_log_full_of_poison_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for time in 0..300 {
        log.push("events", 0, time, Some("{"));
    }
    let (store, report) = built(folder.path(), &log, &log.ranges(), &[1], false);
    match report.unwrap_err() {
        ReplayError::Poison { letters, all, .. } => assert_eq!((letters.len(), all), (LISTED, false)),
        error => panic!("{error}"),
    }
    assert!(matches!(store.info("accounts"), Err(ReadModelError::NotFound { .. })));
}

#[test]
fn cancelling_leaves_the_old_read_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    log.push("events", 0, 1, Some(r#"{"type": "In", "id": "a", "amount": 1}"#));
    let (store, report) = built(folder.path(), &log, &log.ranges(), &[1], false);
    report.unwrap();
    let before = dumped(&store);
    for time in 2..50 {
        log.push("events", 0, time, Some(r#"{"type": "In", "id": "b", "amount": 1}"#));
    }
    let mut control = control();
    let cancel = control.cancel.clone();
    let open = |ranges: Vec<Range>| {
        let mut source: MemorySource = log.merged(&ranges, &[1]);
        source.before = Some(Hook(
            Arc::new(move |call| {
                if call == 20 {
                    cancel.cancel();
                }
            }),
            0,
        ));
        Ok(source)
    };
    let result = build(
        &store,
        &definition(ACCOUNTS),
        &log.log().origin(),
        &log.ranges(),
        open,
        false,
        &mut control,
    );
    assert!(matches!(result, Err(ReplayError::Cancelled)), "{result:?}");
    assert_eq!(dumped(&store), before);
}

#[test]
fn the_build_before_is_kept_and_the_one_before_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&[(false, 0, 1, 0, 0, 1)], 0);
    let names = |store: &Store| {
        let mut names: Vec<_> = std::fs::read_dir(store.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    for _ in 0..3 {
        built(folder.path(), &log, &log.ranges(), &[1], false).1.unwrap();
    }
    let store = Store::open(folder.path(), "lab").unwrap();
    assert_eq!(names(&store), ["accounts.2.db", "accounts.3.db", "accounts.lock"]);
    // What a killed rebuild leaves is gone after the next.
    for suffix in ["", "-journal", "-wal"] {
        std::fs::write(store.root().join(format!("accounts.4.building.db{suffix}")), "torn").unwrap();
    }
    // And what one leaves that is killed while it deletes.
    for suffix in ["-wal", "-shm"] {
        std::fs::write(store.root().join(format!("accounts.1.db{suffix}")), "orphan").unwrap();
    }
    built(folder.path(), &log, &log.ranges(), &[1], false).1.unwrap();
    assert_eq!(names(&store), ["accounts.3.db", "accounts.4.db", "accounts.lock"]);
    assert!(store.has_previous("accounts").unwrap());
    store.drop_previous("accounts").unwrap();
    assert_eq!(names(&store), ["accounts.4.db", "accounts.lock"]);
}

#[test]
fn an_empty_log_makes_an_empty_read_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Memory::new("events", 2);
    log.add("more", 1);
    log.low = 7;
    let (store, report) = built(folder.path(), &log, &log.ranges(), &[1], false);
    let info = report.unwrap().info;
    assert_eq!((info.position, info.state), (log.log().ends(), State::Ready));
    assert_eq!(
        dumped(&store),
        "table account [\"id\",\"balance\",\"last\",\"n\"]\ntable entry [\"topic\",\"part\",\"at\",\"text\"]\n"
    );
}

#[test]
fn progress_covers_gaps_and_ends_at_the_total() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(
        &[(false, 0, 1, 0, 0, 1), (false, 0, 2, 0, 1, 1), (true, 0, 2, 16, 1, 1)],
        4,
    );
    let store = Store::open(folder.path(), "lab").unwrap();
    let (meter, progress) = Meter::new();
    let mut control = Control { meter, ..control() };
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[1]));
    build(
        &store,
        &definition(ACCOUNTS),
        &log.log().origin(),
        &log.ranges(),
        open,
        false,
        &mut control,
    )
    .unwrap();
    let last = progress.borrow();
    assert_eq!((last.done, last.total, last.phase), (15, 15, Phase::Finishing));
    assert_eq!((last.counts.applied, last.counts.ignored), (2, 1));
}

#[test]
fn a_reader_that_stops_short_is_not_taken_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&[(false, 0, 1, 0, 0, 1)], 0);
    let mut ranges = log.ranges();
    ranges[0].end = Some(9);
    let short = log.ranges();
    let store = Store::open(folder.path(), "lab").unwrap();
    let open = |_| Ok(log.merged(&short, &[1]));
    let result = build(
        &store,
        &definition(ACCOUNTS),
        &log.log().origin(),
        &ranges,
        open,
        false,
        &mut control(),
    );
    assert!(matches!(result, Err(ReplayError::Crashed(_))), "{result:?}");
}

#[test]
fn until_names_a_place_that_the_log_has() {
    let mut log = log_of(&[(false, 0, 1, 0, 0, 1), (false, 0, 1, 0, 0, 1)], 0).log();
    log.topics.retain(|topic| &*topic.name == "events");
    let client = || unreachable_client();
    let until = |offsets: &[(i32, i64)]| log.ranges(&client(), Some(&Until::Offsets(at(None, offsets))));
    let ends = |ranges: Vec<Range>| ranges.iter().map(|range| range.end.unwrap()).collect::<Vec<_>>();
    assert_eq!(ends(until(&[(0, 1)]).unwrap()), [1, 0, 0]);
    assert_eq!(ends(until(&[]).unwrap()), [2, 0, 0]);
    assert_eq!(until(&[(0, 3)]).unwrap_err().to_string(), "events[0] has no offset 3");
    assert_eq!(until(&[(5, 0)]).unwrap_err().to_string(), "there is no partition 5");
}

/// Places of one topic.
fn at(topic: Option<&str>, offsets: &[(i32, i64)]) -> Vec<At> {
    let one = |(partition, offset): &(i32, i64)| At {
        topic: topic.map(str::to_owned),
        partition: *partition,
        offset: *offset,
    };
    offsets.iter().map(one).collect()
}

#[test]
fn until_names_topics_where_several_have_the_partition() {
    let mut memory = Memory::new("orders", 2);
    memory.add("payments", 1);
    for n in 0..4 {
        memory.push("orders", (n % 2) as i32, n, Some("{}"));
        memory.push("payments", 0, n, Some("{}"));
    }
    let log = memory.log();
    let until = |places: Vec<At>| log.ranges(&unreachable_client(), Some(&Until::Offsets(places)));
    let ends = |places| -> Vec<_> { until(places).unwrap().iter().map(|range| range.end.unwrap()).collect() };
    assert_eq!(ends(at(Some("payments"), &[(0, 3)])), [2, 2, 3]);
    let both = [at(Some("orders"), &[(0, 1)]), at(Some("payments"), &[(0, 0)])].concat();
    assert_eq!(ends(both), [1, 2, 0]);
    let mixed = [at(None, &[(1, 0)]), at(Some("payments"), &[(0, 2)])].concat();
    assert_eq!(ends(mixed), [2, 0, 2], "only orders has a partition 1");

    let refused = |places| said(&until(places).unwrap_err());
    assert_eq!(
        refused(at(None, &[(0, 1)])),
        "0:1 could be in any of its topics: orders, payments\nwrite orders:0:1 or payments:0:1"
    );
    assert_eq!(
        refused(at(Some("other"), &[(0, 1)])),
        "the projection does not read the topic other\nit reads orders, payments"
    );
    assert_eq!(
        refused(at(Some("payments"), &[(1, 0)])),
        "payments has no partition 1\npartitions count from 0; payments has 1"
    );
    assert!(refused(at(Some("payments"), &[(0, 5)])).starts_with("payments[0] has no offset 5\nit holds 0 to 4"));
    let twice = [at(None, &[(1, 0)]), at(Some("orders"), &[(1, 1)])].concat();
    assert!(refused(twice).starts_with("orders[1] is named twice"));
}

fn unreachable_client() -> Client {
    use crate::broker::profile::{Access, Profile};
    Client::new(Profile {
        name: "nowhere".to_owned(),
        bootstrap: "127.0.0.1:1".to_owned(),
        properties: Default::default(),
        access: Access::ReadWrite,
    })
    .unwrap()
}

/// A log of this many events, each of another account; 20,000 take some hundred pages.
pub(in crate::replay) fn long(count: i64) -> Memory {
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for n in 0..count {
        let text = format!(r#"{{"type": "In", "id": "{n:0>60}", "amount": 1}}"#);
        log.push("events", 0, n, Some(&text));
    }
    log
}

/// What an error says to a person: its message and what to do.
pub(in crate::replay) fn said(error: &ReplayError) -> String {
    use miette::Diagnostic;
    let help = error.help().map(|help| help.to_string()).unwrap_or_default();
    format!("{error}\n{help}")
}

#[test]
fn a_rebuild_onto_a_full_disk_says_so_and_leaves_the_old_read_model() {
    let folder = tempfile::tempdir().unwrap();
    let short = log_of(&[(false, 0, 1, 0, 1, 5)], 0);
    let (store, report) = built(folder.path(), &short, &short.ranges(), &[3], false);
    report.unwrap();
    let before = dumped(&store);

    let log = long(20_000);
    let rebuild = |store: &Store| {
        let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[500]));
        let (origin, ranges) = (log.log().origin(), log.ranges());
        build(
            store,
            &definition(ACCOUNTS),
            &origin,
            &ranges,
            open,
            false,
            &mut control(),
        )
    };
    let said = said(&rebuild(&store.with_room(60)).unwrap_err());
    assert!(said.contains("database or disk is full"), "{said}");
    assert!(said.contains("free some space"), "{said}");
    assert_eq!(dumped(&store), before);
    assert_eq!(store.info("accounts").unwrap().state, State::Ready);
    let left: Vec<_> = std::fs::read_dir(store.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("building"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    assert_eq!(rebuild(&store).unwrap().info.counts.applied, 20_000);
}

/// A schema, of the form that upcasts give events, in a projection that has every kind of poison.
const HELD_AGAINST: &str = "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type
-- version: $.v
-- schema: In in.json

CREATE TABLE account (id TEXT PRIMARY KEY, amount INTEGER NOT NULL CHECK (amount < 100)) STRICT;

-- upcast: In v1
SELECT json_set(@value, '$.v', 2, '$.amount', json(:cents));

-- on: In
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount;
";

#[test]
fn what_is_wrong_with_a_record_is_told_apart() {
    use crate::readmodel::apply::PoisonKind;
    let mut projection = parse(HELD_AGAINST, "accounts.sql").unwrap();
    let schema =
        r#"{"type": "object", "required": ["id"], "properties": {"amount": {"type": "integer", "minimum": 0}}}"#;
    let error = compile(&projection).unwrap_err();
    assert!(
        error.to_string().contains("the schema in.json: was not read"),
        "{error}"
    );
    projection.read_schemas(|_| Ok(schema.to_owned())).unwrap();
    let definition = compile(&projection).unwrap();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    for value in [
        r#"{"type": "In", "id": "a", "amount": 1}"#,
        r#"{"type": "In", "v": 1, "id": "a", "cents": 2}"#,
        r#"{"type": "In", "id": "a", "amount": -1}"#,
        r#"{"type": "In", "v": 1, "id": "a", "cents": "\"many\""}"#,
        r#"{"type": "In", "amount": 1}"#,
        r#"{"type": "In", "v": 1, "id": "a", "cents": "{"}"#,
        r#"{"type": "In", "id": "b", "amount": 100}"#,
        r#"{"type": "In", "#,
        r#"{"id": "a"}"#,
        r#"{"type": "Out", "amount": "any"}"#,
    ] {
        log.push("events", 0, 1, Some(value));
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    let report = build(
        &store,
        &definition,
        &log.log().origin(),
        &log.ranges(),
        open,
        true,
        &mut control(),
    );
    let info = report.unwrap().info;
    assert_eq!(
        (info.counts.applied, info.counts.ignored, info.counts.skipped),
        (2, 1, 7)
    );
    assert_eq!(
        info.poison,
        [
            (PoisonKind::Body, 1),
            (PoisonKind::Type, 1),
            (PoisonKind::Upcast, 1),
            (PoisonKind::Schema, 3),
            (PoisonKind::Handler, 1)
        ]
    );
    let letters = store.dead_letters("accounts", 100).unwrap();
    let told: Vec<_> = letters
        .iter()
        .filter(|letter| letter.kind == PoisonKind::Schema)
        .collect();
    assert_eq!(
        told.iter()
            .map(|letter| (&*letter.reason, letter.line))
            .collect::<Vec<_>>(),
        [
            (
                "breaks the schema in.json at /amount: -1 is less than the minimum of 0",
                Some(6)
            ),
            (
                "breaks the schema in.json at /amount: \"many\" is not of type \"integer\"",
                Some(6)
            ),
            ("breaks the schema in.json: \"id\" is a required property", Some(6)),
        ]
    );
    // The read model has the schema, wherever its file is by then.
    let again = store.projection("accounts").unwrap().unwrap();
    assert_eq!(again.hash, projection.hash);
    assert!(compile(&again).is_ok());
}

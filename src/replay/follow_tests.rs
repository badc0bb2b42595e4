use std::sync::Arc;

use proptest::prelude::*;

use super::super::lookout::Seen;
use super::super::memory::{Hook, Memory, MemorySource};
use super::super::rebuild::build;
use super::super::rebuild::tests::{
    ACCOUNTS, Event, control, definition, dumped, events, log_of, long, push, said, with_invariants,
};
use super::*;
use crate::readmodel::store::Counts;
use crate::record::Record;

/// A projection whose result does not depend on the order between partitions, as one that is followed live should be.
pub(in crate::replay) const PER_PARTITION: &str = "-- projection: accounts
-- topic: events
-- topic: more
-- type: $.type

CREATE TABLE account (topic TEXT, part INTEGER, id TEXT, balance INTEGER NOT NULL CHECK (balance < 400), last INTEGER,
  PRIMARY KEY (topic, part, id)) STRICT, WITHOUT ROWID;
CREATE TABLE seen (topic TEXT, part INTEGER, n INTEGER NOT NULL, PRIMARY KEY (topic, part)) STRICT;

-- on: In
INSERT INTO seen VALUES (@topic, @partition, 1) ON CONFLICT DO UPDATE SET n = n + 1;
INSERT INTO account VALUES (@topic, @partition, :id, :amount, @offset)
ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, last = excluded.last;

-- on: Out
UPDATE account SET balance = balance - :amount WHERE id = :id AND topic = @topic AND part = @partition;

-- on: tombstone
DELETE FROM account WHERE topic = @topic AND part = @partition;
";

pub(in crate::replay) fn first_build(store: &Store, text: &str, log: &Memory, skip: bool) {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    build(
        store,
        &definition(text),
        &log.log().origin(),
        &log.ranges(),
        open,
        skip,
        &mut control(),
    )
    .unwrap();
}

/// The first event that broke an invariant is kept in the transaction of its rows, whatever comes after it.
#[test]
fn an_invariant_that_breaks_live_is_kept_with_its_first_event() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let text = with_invariants();
    let mut log = Memory::new("events", 1);
    log.add("more", 1);
    first_build(&store, &text, &log, false);
    log.push("events", 0, 1, Some(r#"{"type": "In", "id": "a", "amount": 1}"#));
    log.push("events", 0, 2, Some(r#"{"type": "Out", "id": "a", "amount": 5}"#));
    followed(&store, &text, &log, &[1], &[0], false, None).unwrap();
    let first = store.info("accounts").unwrap().broken;
    assert_eq!(
        (first.len(), first[0].offset, &*first[0].rows[0]),
        (1, 1, r#"["a", -4]"#)
    );
    log.push("events", 0, 3, Some(r#"{"type": "Out", "id": "a", "amount": 5}"#));
    log.push("events", 0, 4, Some(r#"{"type": "In", "id": "z", "amount": 5}"#));
    followed(&store, &text, &log, &[1], &[0], false, None).unwrap();
    let both = store.info("accounts").unwrap().broken;
    assert_eq!((&both[0], both[1].offset, both.len()), (&first[0], 3, 2));
    // What is known is not asked again, nor told again.
    let definition = definition(&text);
    let live = Live::open(&store, &definition).unwrap();
    let mut fold = live.fold(OnPoison::Pause).unwrap();
    log.push("events", 0, 5, Some(r#"{"type": "Out", "id": "a", "amount": 5}"#));
    let more = log.all().split_off(4);
    let folded = fold.apply(more.iter().map(Record::view), &|| false);
    assert_eq!((folded.unwrap(), fold.uncommitted()), (Folded::All, 1));
    assert!(fold.take_broken().is_empty());
}

/// A log in memory stays as it is.
impl Look for Seen {
    fn seen(&self) -> Seen {
        self.clone()
    }

    fn keep_quiet(&self, _quiet: bool) {}
}

/// Follows `log` from where the read model stands; `hook` may cancel. What a crash would lose is lost: the connection is
/// dropped with its transaction open where `crash` says so.
pub(in crate::replay) fn followed(
    store: &Store,
    text: &str,
    log: &Memory,
    sizes: &[usize],
    turn: &[usize],
    skip: bool,
    cancel_at: Option<usize>,
) -> Result<Ended, ReplayError> {
    let definition = definition(text);
    let live = Live::open(store, &definition).unwrap();
    let start = start(definition.projection(), live.info(), live.topics(), &log.log())?;
    live.adopt(&store.standing("accounts", &log.log().topic_ids())?)?;
    let mut control = control();
    let cancel = control.cancel.clone();
    let open = |ranges: Vec<Range>| {
        let mut source: MemorySource = log.arrival(&ranges, sizes, turn);
        source.before = Some(Hook(
            Arc::new(move |call| {
                if Some(call) == cancel_at {
                    cancel.cancel();
                }
            }),
            0,
        ));
        Ok(source)
    };
    let look = Seen {
        ends: log.log().ends(),
        changed: false,
    };
    go_on(
        &live,
        &start.ranges,
        open,
        &look,
        skip,
        &mut Teller::default(),
        &mut control,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Built from the first part, then followed in pieces that end anywhere, equals one rebuild of everything.
    #[test]
    fn following_in_pieces_equals_one_rebuild(
        events in events(),
        cut in 0..120usize,
        sizes in prop::collection::vec(0..9usize, 1..4),
        turn in prop::collection::vec(0..4usize, 1..6),
        stops in prop::collection::vec(0..12usize, 0..6),
    ) {
        let cut = cut.min(events.len());
        let all = log_of(&events, 0);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let whole = Store::open(one.path(), "lab").unwrap();
        first_build(&whole, PER_PARTITION, &all, true);

        let pieces = Store::open(two.path(), "lab").unwrap();
        first_build(&pieces, PER_PARTITION, &log_of(&events[..cut], 0), true);
        for stop in stops {
            followed(&pieces, PER_PARTITION, &all, &sizes, &turn, true, Some(stop)).unwrap();
        }
        prop_assert_eq!(followed(&pieces, PER_PARTITION, &all, &sizes, &turn, true, None).unwrap(), Ended::End);
        prop_assert_eq!(dumped(&pieces), dumped(&whole));
        let (a, b) = (pieces.info("accounts").unwrap(), whole.info("accounts").unwrap());
        prop_assert_eq!((a.counts, a.position), (b.counts, b.position));
    }

    /// At whatever commit a process dies, rows, counts and position agree, and going on from there ends where an unbroken
    /// run does. The connection is dropped between and within transactions.
    #[test]
    fn a_crash_anywhere_loses_and_doubles_nothing(
        events in events(),
        sizes in prop::collection::vec(1..9usize, 1..4),
        crashes in prop::collection::vec((0..8u8, any::<bool>()), 0..12),
    ) {
        let log = log_of(&events, 0);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let whole = Store::open(one.path(), "lab").unwrap();
        first_build(&whole, PER_PARTITION, &log, true);
        let broken = Store::open(two.path(), "lab").unwrap();
        first_build(&broken, PER_PARTITION, &log_of(&[], 0), true);
        let definition = definition(PER_PARTITION);
        for (batches, commits) in crashes {
            let live = Live::open(&broken, &definition).unwrap();
            let start = start(definition.projection(), live.info(), live.topics(), &log.log()).unwrap();
            let mut fold = live.fold(OnPoison::Skip).unwrap();
            let mut source = log.arrival(&start.ranges, &sizes, &[0, 1, 2]);
            for at in 0..batches {
                if let super::super::source::Polled::Batch(batch) = source.poll(WAIT).unwrap() {
                    fold.apply(batch.records(), &|| false).unwrap();
                    if commits && at % 2 == 0 {
                        fold.commit().unwrap();
                    }
                }
            }
            // Dropped here with whatever is not committed.
        }
        followed(&broken, PER_PARTITION, &log, &sizes, &[1, 0], true, None).unwrap();
        prop_assert_eq!(dumped(&broken), dumped(&whole));
        prop_assert_eq!(broken.info("accounts").unwrap().counts, whole.info("accounts").unwrap().counts);
    }
}

fn three() -> Vec<Event> {
    vec![(false, 0, 1, 0, 0, 5), (false, 0, 2, 18, 0, 0), (false, 0, 3, 0, 0, 7)]
}

#[test]
fn poison_pauses_before_the_record_and_a_restart_tries_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    first_build(&store, ACCOUNTS, &log_of(&[], 0), false);
    let log = log_of(&three(), 0);
    for _ in 0..2 {
        // The second time it is tried again and fails again, and is still listed once.
        assert_eq!(
            followed(&store, ACCOUNTS, &log, &[9], &[0], false, None).unwrap(),
            Ended::Paused
        );
        let info = store.info("accounts").unwrap();
        let reason = paused(&info).unwrap();
        assert!(reason.starts_with("events[0] offset 1: not JSON"), "{reason}");
        assert_eq!(
            info.counts,
            Counts {
                applied: 1,
                poisoned: 1,
                ..Counts::default()
            }
        );
        assert_eq!(info.position.next(&TopicPartition::new("events", 0)), Some(1));
        let letters = store.dead_letters("accounts", 10).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].record.value.as_deref(), Some(b"{\"type\": ".as_slice()));
    }
    // Going on past it lists it as skipped.
    assert_eq!(
        followed(&store, ACCOUNTS, &log, &[9], &[0], true, None).unwrap(),
        Ended::End
    );
    let info = store.info("accounts").unwrap();
    assert_eq!(
        (
            paused(&info),
            info.counts.applied,
            info.counts.skipped,
            info.counts.poisoned
        ),
        (None, 2, 1, 0)
    );
    assert_eq!(store.dead_letters("accounts", 10).unwrap().len(), 1);
}

#[test]
fn a_log_that_is_not_the_one_it_was_built_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let log = log_of(&three()[..1], 0);
    first_build(&store, ACCOUNTS, &log, false);
    let info = store.info("accounts").unwrap();
    let projection = definition(ACCOUNTS).projection().clone();
    let check = |projection: &Projection, log: &Log| {
        start(projection, &info, &log_of(&[], 0).log().origin().topics, log).map_err(|error| error.to_string())
    };
    let log = log.log();
    let ok = check(&projection, &log).unwrap();
    assert_eq!((ok.ranges[0].start, ok.notices.len()), (1, 0));

    let changed = definition(&ACCOUNTS.replace("< 400", "< 500")).projection().clone();
    assert_eq!(
        check(&changed, &log).unwrap_err(),
        "the read model `accounts` was built by another version of accounts.sql"
    );
    let mut other = log.clone();
    other.cluster_id = "elsewhere".to_owned();
    assert!(
        check(&projection, &other)
            .unwrap_err()
            .contains("from the cluster memory, and this is the cluster elsewhere")
    );

    let mut younger = log.clone();
    younger.topics[0].partitions[0].low = 3;
    younger.topics[0].partitions[0].high = 9;
    assert_eq!(
        check(&projection, &younger).unwrap_err(),
        "events[0] begins at offset 3, and the read model `accounts` is at 1: the 2 records between are gone"
    );
    let mut shorter = log.clone();
    shorter.topics[0].partitions[0].high = 0;
    assert!(
        check(&projection, &shorter)
            .unwrap_err()
            .contains("partition 0 ends at offset 0, and the read model is at 1")
    );
    let mut again = log.clone();
    again.topics[0].id = Some("new".to_owned());
    assert!(
        check(&projection, &again)
            .unwrap_err()
            .contains("its id was id-of-events and is new")
    );
    let mut fewer = log.clone();
    fewer.topics[0].partitions.pop();
    assert!(
        check(&projection, &fewer)
            .unwrap_err()
            .contains("it no longer has partition 2")
    );

    let mut grown = log.clone();
    let mut added = grown.topics[0].partitions[2];
    added.partition = 3;
    added.low = 5;
    added.high = 8;
    grown.topics[0].partitions.push(added);
    let start = check(&projection, &grown).unwrap();
    assert_eq!(start.ranges[3].start, 5);
    assert_eq!(
        start.notices,
        ["partitions were added to events since `accounts` was built: 3; they are read from their beginning"]
    );
}

#[test]
fn a_read_model_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let log = log_of(&three()[..1], 0);
    first_build(&store, ACCOUNTS, &log, false);
    let definition = definition(ACCOUNTS);
    let held = Live::open(&store, &definition).unwrap();
    let refused = Live::open(&store, &definition).unwrap_err();
    assert!(refused.to_string().contains("is being written by process"), "{refused}");
    drop(held);
    Live::open(&store, &definition).unwrap();
}

#[test]
fn a_reader_sees_commits_and_is_not_disturbed_by_a_swap() {
    use crate::readmodel::query::{Cell, Session};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let mut log = log_of(&three()[..1], 0);
    first_build(&store, ACCOUNTS, &log, false);
    let sum = |session: &Session| {
        let rows = session.query("SELECT sum(balance) FROM accounts.account", 10).unwrap();
        rows.rows[0][0].clone()
    };
    let old = Session::open(&store).unwrap();
    assert_eq!(sum(&old), Cell::Integer(5));
    push(&mut log, &(false, 0, 2, 0, 0, 7));
    followed(&store, ACCOUNTS, &log, &[1], &[0], false, None).unwrap();
    assert_eq!(sum(&old), Cell::Integer(12));
    push(&mut log, &(false, 0, 3, 0, 0, 8));
    first_build(&store, ACCOUNTS, &log, false);
    assert_eq!(sum(&old), Cell::Integer(12));
    assert_eq!(sum(&Session::open(&store).unwrap()), Cell::Integer(20));
}

#[test]
fn a_follow_onto_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = long(20_000);
    let store = Store::open(one.path(), "lab").unwrap();
    first_build(&store, ACCOUNTS, &long(100), false);

    let follow = |store: &Store| followed(store, ACCOUNTS, &log, &[500], &[0], false, None);
    let full = store.with_room(60);
    let said = said(&follow(&full).unwrap_err());
    assert!(
        said.contains("database or disk is full") && said.contains("free some space"),
        "{said}"
    );
    // What was committed is whole: rows and position are of one moment.
    let info = store.info("accounts").unwrap();
    let position: u64 = info.position.iter().map(|(_, next)| next as u64).sum();
    assert!((100..20_000).contains(&position), "{position}");
    assert_eq!((info.counts.applied, &info.state), (position, &State::Ready));
    assert!(follow(&full).is_err(), "it is still full");
    assert_eq!(follow(&store).unwrap(), Ended::End);

    let whole = Store::open(two.path(), "lab").unwrap();
    first_build(&whole, ACCOUNTS, &log, false);
    assert_eq!(dumped(&store), dumped(&whole));
    assert_eq!(store.info("accounts").unwrap().counts.applied, 20_000);
}

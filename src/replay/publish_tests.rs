use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::broker::reader::Range;
use crate::readmodel::compile::Definition;
use crate::readmodel::fold::{Folded, OnPoison};
use crate::readmodel::outbox::Emitted;
use crate::readmodel::store::Store;
use crate::readmodel::writer::Live;
use crate::record::{Record, TopicPartition};
use crate::replay::follow::tests::{PER_PARTITION, first_build};
use crate::replay::memory::Memory;
use crate::replay::rebuild::build;
use crate::replay::rebuild::tests::{Event, control, definition, events, log_of};

/// The topics of a cluster, each of one partition.
type Topics = Arc<Mutex<BTreeMap<String, Vec<Emission>>>>;

/// What happens to an order.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is carried out and answered.
    Done,
    /// The process dies before it is carried out.
    DiesBefore,
    /// The process dies after it was carried out, before the answer is heard.
    DiesAfter,
    /// So many records arrive, then it fails.
    Fails(usize),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Done),
        1 => Just(Fate::DiesBefore),
        2 => Just(Fate::DiesAfter),
        2 => (0..9usize).prop_map(Fate::Fails),
    ]
}

/// A courier to topics in memory. A record whose value is `bad` is never taken.
struct Fake {
    topics: Topics,
    fates: VecDeque<Fate>,
    reply: Option<Reply>,
}

impl Fake {
    fn new(topics: &Topics, fates: impl IntoIterator<Item = Fate>) -> Self {
        Self {
            topics: Arc::clone(topics),
            fates: fates.into_iter().collect(),
            reply: None,
        }
    }

    fn look(&self, names: &[String], since: &Position) -> Reply {
        let mut topics = self.topics.lock().unwrap();
        let (mut found, mut ends) = (Vec::new(), Position::new());
        for name in names {
            let records = topics.entry(name.clone()).or_default();
            let at = TopicPartition::new(name.as_str(), 0);
            let start = since.next(&at).map_or(records.len(), |start| start as usize);
            found.extend(records[start..].iter().map(|record| record.id.clone()));
            ends.set(at, records.len() as i64);
        }
        Reply::Looked {
            found,
            ends,
            notices: Vec::new(),
        }
    }

    fn send(&self, records: Vec<Emission>, most: usize) -> Reply {
        let mut topics = self.topics.lock().unwrap();
        let (mut failed, mut ends) = (None, Position::new());
        for (at, record) in records.into_iter().enumerate() {
            let of_record = record.value.as_deref() == Some(b"bad");
            if at == most || of_record {
                failed = Some(of_record);
                break;
            }
            let name = record.topic.clone();
            let topic = topics.entry(name.clone()).or_default();
            topic.push(record);
            ends.set(TopicPartition::new(name, 0), topic.len() as i64);
        }
        match failed {
            None => Reply::Sent(ends),
            Some(of_record) => Reply::Failed(Trouble {
                reason: "not taken".to_owned(),
                of_record,
            }),
        }
    }
}

impl Courier for Fake {
    fn give(&mut self, order: Order) {
        assert!(self.reply.is_none(), "one order at a time");
        let fate = self.fates.pop_front().unwrap_or(Fate::Done);
        let carried_out = |most| match order {
            Order::Look { topics, since } => self.look(&topics, &since),
            Order::Send(records) => self.send(records, most),
        };
        self.reply = match fate {
            Fate::Done => Some(carried_out(usize::MAX)),
            Fate::DiesBefore => None,
            Fate::DiesAfter => {
                carried_out(usize::MAX);
                None
            }
            Fate::Fails(most) => Some(carried_out(most)),
        };
    }

    fn answer(&mut self, _wait: Duration) -> Option<Reply> {
        self.reply.take()
    }
}

fn emitting() -> String {
    format!(
        "{PER_PARTITION}
-- emit: totals
SELECT id AS key, json_object('balance', balance, 'last', last) AS value, json_object('n', 1) AS headers
FROM account WHERE topic = @topic AND part = @partition AND id = :id;

-- emit: loud on In
WITH two (n) AS (VALUES (1), (2)) SELECT :id AS key, n AS value FROM two WHERE :amount > 50;
"
    )
}

fn store(folder: &Path) -> Store {
    Store::open(folder, "lab").unwrap()
}

fn ranges(live: &Live, definition: &Definition, log: &Memory) -> Vec<Range> {
    let info = live.read_info().unwrap();
    super::super::follow::start(definition.projection(), &info, live.topics(), &log.log())
        .unwrap()
        .ranges
}

/// Follows all of `log` and publishes all of it, without any fault.
fn followed(store: &Store, text: &str, log: &Memory, topics: &Topics, skip: bool) -> Folded {
    let definition = definition(text);
    let live = Live::open(store, &definition).unwrap();
    let records: Vec<Record> = log.arrival(&ranges(&live, &definition, log), &[7], &[0, 1, 2]).rest();
    let mut fold = live.fold(if skip { OnPoison::Skip } else { OnPoison::Pause }).unwrap();
    let mut publisher = publisher(Fake::new(topics, []), &definition, skip);
    fold.emit(skip).unwrap();
    let mut control = control();
    let folded = fold.apply(records.iter().map(Record::view), &|| false).unwrap();
    fold.commit().unwrap();
    publisher.drain(&mut fold, &mut control.meter, &|| false).unwrap();
    if let Doing::Resting(_) = publisher.doing {
        // Looking again succeeds, and takes back nothing of what was said.
        publisher.doing = Doing::Unsure;
        publisher.step(&mut fold, &mut control.meter).unwrap();
    }
    folded
}

fn publisher(courier: Fake, definition: &Definition, go_on: bool) -> Publisher {
    let emits = definition.projection().emits.iter();
    Publisher::new(courier, emits.map(|emit| emit.topic.clone()).collect(), go_on)
}

/// What one event emits to each topic, in order.
type ByPartition = BTreeMap<(String, String), Vec<Emission>>;

/// The records of each topic by the partition that they come from, which is what decides their order.
fn by_partition(topics: &Topics) -> ByPartition {
    let mut all = ByPartition::new();
    for (topic, records) in &*topics.lock().unwrap() {
        for record in records {
            let from: Vec<&str> = record.id.split('/').take(3).collect();
            all.entry((topic.clone(), from.join("/")))
                .or_default()
                .push(record.clone());
        }
    }
    all
}

fn ids(topics: &Topics) -> Vec<String> {
    let topics = topics.lock().unwrap();
    topics.values().flatten().map(|record| record.id.clone()).collect()
}

fn emitted(store: &Store) -> Emitted {
    store.info("accounts").unwrap().emitted.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wherever a process dies and whatever fails: between commits, before and after records arrive, before the answer is written
    /// down. Each record is there once, in the order of its events, and as an unbroken run would have it.
    #[test]
    fn every_record_is_published_once_and_in_order_over_crashes(
        events in events(),
        built in 0..20usize,
        sizes in prop::collection::vec(1..9usize, 1..4),
        crashes in prop::collection::vec((0..8u8, any::<bool>(), prop::collection::vec(fates(), 0..6)), 0..10),
    ) {
        let text = emitting();
        let first = log_of(&events[..built.min(events.len())], 0);
        let log = log_of(&events, 0);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (whole, broken) = (store(one.path()), store(two.path()));
        let (expected, found) = (Topics::default(), Topics::default());
        first_build(&whole, &text, &first, true);
        first_build(&broken, &text, &first, true);
        followed(&whole, &text, &log, &expected, true);

        let definition = definition(&text);
        for (batches, commits, fates) in crashes {
            let live = Live::open(&broken, &definition).unwrap();
            let mut records = log.arrival(&ranges(&live, &definition, &log), &sizes, &[0, 1, 2]).rest().into_iter();
            let mut fold = live.fold(OnPoison::Skip).unwrap();
            let mut publisher = publisher(Fake::new(&found, fates), &definition, true);
            publisher.pauses = Pauses::new(Duration::ZERO, Duration::ZERO);
            fold.emit(true).unwrap();
            let mut control = control();
            for at in 0..usize::from(batches) {
                let batch: Vec<Record> = records.by_ref().take(sizes[at % sizes.len()]).collect();
                fold.apply(batch.iter().map(Record::view), &|| false).unwrap();
                if commits || at % 2 == 0 {
                    fold.commit().unwrap();
                }
                publisher.step(&mut fold, &mut control.meter).unwrap();
            }
            // Dropped here with whatever is not committed, and whatever nobody heard of.
        }
        followed(&broken, &text, &log, &found, true);
        prop_assert_eq!(by_partition(&found), by_partition(&expected));
        let (a, b) = (emitted(&broken), emitted(&whole));
        prop_assert_eq!((a.waiting, a.published, a.refused), (0, b.published, b.refused));
        prop_assert_eq!(a.published as usize, ids(&found).len());
    }
}

fn inputs(amounts: &[i64]) -> Vec<Event> {
    amounts
        .iter()
        .zip(1..)
        .map(|(amount, time)| (false, 0, time, 0, 0, *amount))
        .collect()
}

fn rebuilt(store: &Store, text: &str, log: &Memory, to: Option<i64>) {
    let mut ranges = log.ranges();
    if let Some(to) = to {
        for range in &mut ranges {
            range.end = range.end.map(|end| end.min(to));
        }
    }
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    let origin = log.log().origin();
    build(store, &definition(text), &origin, &ranges, open, true, &mut control()).unwrap();
}

#[test]
fn what_is_held_back_is_committed_and_waits_until_it_is_let_go_or_somebody_else_publishes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    first_build(&store, &text, &log_of(&[], 0), true);
    let log = log_of(&inputs(&[1, 2, 3]), 0);
    let definition = definition(&text);
    let live = Live::open(&store, &definition).unwrap();
    let mut records = log
        .arrival(&ranges(&live, &definition, &log), &[1], &[0])
        .rest()
        .into_iter();
    let mut fold = live.fold(OnPoison::Pause).unwrap();
    let mut publisher = publisher(Fake::new(&topics, []), &definition, false);
    fold.emit(false).unwrap();
    let mut control = control();
    let mut apply = |fold: &mut Fold<'_>, publisher: &mut Publisher, held: bool| {
        let one: Vec<Record> = records.by_ref().take(1).collect();
        fold.apply(one.iter().map(Record::view), &|| false).unwrap();
        fold.commit().unwrap();
        publisher.hold(held);
        publisher.drain(fold, &mut control.meter, &|| false).unwrap();
    };
    apply(&mut fold, &mut publisher, true);
    assert_eq!((ids(&topics).len(), emitted(&store).waiting), (0, 1));
    apply(&mut fold, &mut publisher, false);
    assert_eq!(ids(&topics), ["accounts/events/0/0/0", "accounts/events/0/1/0"]);
    apply(&mut fold, &mut publisher, true);
    assert_eq!(ids(&topics).len(), 2);
    // It is killed: what waits is in the file.
    drop((fold, publisher));
    drop(live);
    assert_eq!(emitted(&store).waiting, 1);
    followed(&store, &text, &log, &topics, false);
    assert_eq!(ids(&topics).len(), 3);
}

#[test]
fn a_rebuild_publishes_nothing_and_a_new_version_only_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    rebuilt(&store, &text, &log_of(&inputs(&[1, 2]), 0), None);
    followed(&store, &text, &log_of(&inputs(&[1, 2]), 0), &topics, false);
    assert_eq!(ids(&topics), [""; 0]);
    followed(&store, &text, &log_of(&inputs(&[1, 2, 3]), 0), &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/2/0"]);
    // Built anew from the whole log, with another table, and to a place before what was published.
    let other = text.replace(
        "CREATE TABLE seen",
        "CREATE TABLE more (id TEXT PRIMARY KEY) STRICT;\nCREATE TABLE seen",
    );
    let log = log_of(&inputs(&[1, 2, 3, 4]), 0);
    for to in [None, Some(1)] {
        rebuilt(&store, &other, &log, to);
        // Nobody has applied the fourth live, nor published what it emits.
        assert_eq!(emitted(&store).waiting, u64::from(to.is_none()));
        followed(&store, &other, &log, &topics, false);
        assert_eq!(
            ids(&topics),
            ["accounts/events/0/2/0", "accounts/events/0/3/0"],
            "{to:?}"
        );
    }
    followed(&store, &other, &log_of(&inputs(&[1, 2, 3, 4, 5]), 0), &topics, false);
    let all = [
        "accounts/events/0/2/0",
        "accounts/events/0/3/0",
        "accounts/events/0/4/0",
    ];
    assert_eq!(ids(&topics), all);
}

/// What the first build was folded from publishes nothing, however often it is built again.
#[test]
fn a_record_that_was_left_out_publishes_when_it_is_applied_after_all_unless_it_lies_before_the_first_build() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    let (early, log) = (log_of(&inputs(&[3, 9]), 0), log_of(&inputs(&[3, 9, 4, 8]), 0));
    let strict = text.replace(
        "CREATE TABLE seen",
        "CREATE TABLE more (id TEXT PRIMARY KEY, n INTEGER CHECK (n > 6)) STRICT;\nCREATE TABLE seen",
    ) + "\n-- on: In\nINSERT INTO more VALUES (@offset, :amount);\n";
    rebuilt(&store, &strict, &early, None);
    followed(&store, &strict, &log, &topics, true);
    assert_eq!(store.info("accounts").unwrap().counts.skipped, 2);
    assert_eq!(ids(&topics), ["accounts/events/0/3/0"]);
    rebuilt(&store, &text, &log, None);
    assert_eq!(store.info("accounts").unwrap().counts.skipped, 0);
    followed(&store, &text, &log, &topics, true);
    assert_eq!(ids(&topics), ["accounts/events/0/3/0", "accounts/events/0/2/0"]);
    // However often it is left out and applied again, and whichever build is in use.
    for (text, skipped) in [(&text, 0), (&strict, 2), (&text, 0), (&strict, 2)] {
        rebuilt(&store, text, &log, None);
        assert_eq!(store.info("accounts").unwrap().counts.skipped, skipped);
        assert_eq!(emitted(&store).waiting, 0);
    }
    store.bring_back("accounts").unwrap();
    rebuilt(&store, &text, &log, None);
    followed(&store, &text, &log, &topics, true);
    assert_eq!(ids(&topics), ["accounts/events/0/3/0", "accounts/events/0/2/0"]);
}

/// Building is not publishing: what lies before the first follow is nobody's to tell.
#[test]
fn builds_that_nobody_followed_leave_nothing_to_be_published() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    for count in 0..3 {
        rebuilt(&store, &text, &log_of(&inputs(&[1, 2, 3][..count]), 0), None);
    }
    followed(&store, &text, &log_of(&inputs(&[1, 2, 3]), 0), &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/2/0"]);
}

/// The history of a topic that a projection reads from now on is not published, what comes to it is.
#[test]
fn a_topic_that_is_new_to_a_projection_publishes_from_there_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    rebuilt(&store, &text, &log_of(&[], 0), None);
    followed(&store, &text, &log_of(&inputs(&[1]), 0), &topics, false);
    // As if it had been built before this topic was created anew.
    store.edit("accounts", "UPDATE _foldlog_topic SET topic_id = 'another'");
    let log = log_of(&inputs(&[1, 2]), 0);
    rebuilt(&store, &text, &log, None);
    followed(&store, &text, &log, &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/0/0"]);
    followed(&store, &text, &log_of(&inputs(&[1, 2, 3]), 0), &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/0/0", "accounts/events/0/2/0"]);
}

/// Applies all of `log` without anybody who publishes.
fn applied(store: &Store, text: &str, log: &Memory) {
    let definition = definition(text);
    let live = Live::open(store, &definition).unwrap();
    let records = log.arrival(&ranges(&live, &definition, log), &[1], &[0]).rest();
    let mut fold = live.fold(OnPoison::Skip).unwrap();
    fold.emit(true).unwrap();
    fold.apply(records.iter().map(Record::view), &|| false).unwrap();
    fold.commit().unwrap();
}

#[test]
fn what_was_not_published_before_a_rebuild_is_published_after_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    let log = log_of(&inputs(&[1, 60, 3]), 0);
    rebuilt(&store, &text, &log_of(&[], 0), None);
    applied(&store, &text, &log);
    assert_eq!((emitted(&store).waiting, emitted(&store).published), (5, 0));
    rebuilt(&store, &text, &log, None);
    assert_eq!(emitted(&store).waiting, 5);
    // A definition that emits nothing any more still owes what waits.
    let plain = PER_PARTITION;
    rebuilt(&store, plain, &log, None);
    followed(&store, plain, &log, &topics, false);
    let once = ids(&topics);
    assert_eq!((once.len(), emitted(&store).waiting), (5, 0));
    followed(&store, &text, &log, &topics, false);
    assert_eq!(ids(&topics), once);
}

#[test]
fn an_emit_that_is_added_without_a_rebuild_publishes_from_there_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics) = (store(folder.path()), Topics::default());
    rebuilt(&store, PER_PARTITION, &log_of(&inputs(&[1, 2]), 0), None);
    followed(&store, &emitting(), &log_of(&inputs(&[1, 2, 3]), 0), &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/2/0"]);
}

/// An older copy of the read model, put back, meets events again whose records are published: it finds them and keeps still.
#[test]
fn a_copy_of_an_older_state_publishes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    rebuilt(&store, &text, &log_of(&[], 0), None);
    followed(&store, &text, &log_of(&inputs(&[1]), 0), &topics, false);
    let file = folder.path().join("read-models/lab/accounts.1.db");
    let older = fs::read(&file).unwrap();
    followed(&store, &text, &log_of(&inputs(&[1, 60, 3]), 0), &topics, false);
    assert_eq!(ids(&topics).len(), 5);
    fs::write(&file, older).unwrap();
    followed(&store, &text, &log_of(&inputs(&[1, 60, 3, 4]), 0), &topics, false);
    let all = ids(&topics);
    assert_eq!((all.len(), all.last().unwrap().as_str()), (6, "accounts/events/0/3/0"));
}

#[test]
fn what_is_not_committed_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    rebuilt(&store, &text, &log_of(&[], 0), None);
    let definition = definition(&text);
    let live = Live::open(&store, &definition).unwrap();
    let mut fold = live.fold(OnPoison::Pause).unwrap();
    fold.emit(false).unwrap();
    let mut publisher = publisher(Fake::new(&topics, []), &definition, false);
    let meter = &mut control().meter;
    publisher.step(&mut fold, meter).unwrap();
    let records = log_of(&inputs(&[1]), 0).all();
    fold.apply(records.iter().map(Record::view), &|| false).unwrap();
    publisher.step(&mut fold, meter).unwrap();
    assert!(ids(&topics).is_empty());
    fold.commit().unwrap();
    publisher.step(&mut fold, meter).unwrap();
    assert_eq!(ids(&topics).len(), 1);
}

/// An event whose emit fails is not applied where poison pauses, and is applied without it where poison is gone on past.
#[test]
fn an_emit_that_fails_is_poison_or_gone_on_past() {
    let text = format!(
        "{PER_PARTITION}\n-- emit: out\nSELECT 1 AS key, 'x' AS value, iif(:amount = 7, -1, 0) AS partition;\n"
    );
    let log = log_of(&inputs(&[1, 7, 2]), 0);
    let said = "the emit at line 21 gave the partition -1; they count from 0";
    for skip in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (store, topics) = (store(folder.path()), Topics::default());
        rebuilt(&store, &text, &log_of(&[], 0), None);
        let folded = followed(&store, &text, &log, &topics, skip);
        let info = store.info("accounts").unwrap();
        let published = info.emitted.clone().unwrap();
        if skip {
            assert_eq!((folded, info.counts.applied, info.counts.skipped), (Folded::All, 3, 0));
            assert_eq!(ids(&topics), ["accounts/events/0/0/0", "accounts/events/0/2/0"]);
            assert_eq!(published.reason, Some(format!("accounts/events/0/1/0: {said}")));
        } else {
            assert_eq!((folded, info.counts.applied), (Folded::Poisoned, 1));
            let letters = store.dead_letters("accounts", 9).unwrap();
            assert_eq!((letters[0].reason.as_str(), letters[0].line), (said, Some(21)));
            assert_eq!(ids(&topics), ["accounts/events/0/0/0"]);
        }
    }
}

/// The one record of a batch that the broker does not take is found; the others are published in order.
#[test]
fn a_record_that_is_not_taken_holds_up_the_others_or_is_gone_on_past() {
    let text = format!("{PER_PARTITION}\n-- emit: out\nSELECT 1 AS key, iif(:amount = 7, 'bad', :amount) AS value;\n");
    let log = log_of(&inputs(&[1, 2, 7, 3, 4]), 0);
    for skip in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (store, topics) = (store(folder.path()), Topics::default());
        rebuilt(&store, &text, &log_of(&[], 0), None);
        applied(&store, &text, &log);
        followed(&store, &text, &log, &topics, skip);
        let state = emitted(&store);
        let numbers: Vec<String> = ids(&topics)
            .iter()
            .map(|id| id["accounts/events/0/".len()..].to_owned())
            .collect();
        if skip {
            assert_eq!(numbers, ["0/0", "1/0", "3/0", "4/0"]);
            assert_eq!((state.waiting, state.refused, state.trouble), (0, 1, None));
        } else {
            assert_eq!(numbers, ["0/0", "1/0"]);
            assert_eq!(
                (state.waiting, state.refused, state.trouble),
                (3, 0, Some("accounts/events/0/2/0: not taken".to_owned()))
            );
        }
    }
}

/// There and back between two builds, each takes over what the other had not published, and publishes nothing that it had.
#[test]
fn a_build_that_is_brought_back_publishes_what_is_left_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    let log = |count: usize| log_of(&inputs(&[1, 60, 3, 4, 5][..count]), 0);
    rebuilt(&store, &text, &log(0), None);
    applied(&store, &text, &log(2));
    let other = text.replace(
        "CREATE TABLE seen",
        "CREATE TABLE more (id TEXT PRIMARY KEY) STRICT;\nCREATE TABLE seen",
    );
    rebuilt(&store, &other, &log(2), None);
    followed(&store, &other, &log(3), &topics, false);
    assert_eq!((ids(&topics).len(), emitted(&store).waiting), (5, 0));
    // The four that waited in it then were published by the other since.
    store.bring_back("accounts").unwrap();
    assert_eq!(emitted(&store).waiting, 0);
    followed(&store, &text, &log(4), &topics, false);
    let all = ids(&topics);
    assert_eq!((all.len(), all.last().unwrap().as_str()), (6, "accounts/events/0/3/0"));
    applied(&store, &text, &log(5));
    store.bring_back("accounts").unwrap();
    assert_eq!(emitted(&store).waiting, 1);
    followed(&store, &other, &log(5), &topics, false);
    let all = ids(&topics);
    assert_eq!((all.len(), all.last().unwrap().as_str()), (7, "accounts/events/0/4/0"));
}

/// A build that is brought back because the other cannot be read finds in the topics what that one had published.
#[test]
fn what_a_build_published_that_is_damaged_now_is_not_published_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    let log = log_of(&inputs(&[1, 2, 3]), 0);
    rebuilt(&store, &text, &log_of(&[], 0), None);
    followed(&store, &text, &log_of(&inputs(&[1]), 0), &topics, false);
    rebuilt(&store, &text, &log_of(&inputs(&[1]), 0), None);
    followed(&store, &text, &log, &topics, false);
    let all = ids(&topics);
    assert_eq!(all.len(), 3);
    let file = folder.path().join("read-models/lab/accounts.2.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..100].fill(0xff);
    fs::write(&file, bytes).unwrap();
    store.bring_back("accounts").unwrap();
    followed(&store, &text, &log, &topics, false);
    assert_eq!(ids(&topics), all);
}

/// A follow that ends, at the end of its log or at a poison record, has published what came before.
#[test]
fn a_follow_publishes_what_it_applied_before_it_ends() {
    use crate::replay::follow::{Ended, go_on, start};
    use crate::replay::lookout::Seen;
    use crate::replay::tell::Teller;
    let poison: Event = (false, 0, 9, 18, 0, 0);
    for (events, expected) in [
        (inputs(&[1, 2, 3]), Ended::End),
        ([inputs(&[1, 2, 3]), vec![poison]].concat(), Ended::Paused),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
        rebuilt(&store, &text, &log_of(&[], 0), None);
        let log = log_of(&events, 0);
        let definition = definition(&text);
        let live = Live::open(&store, &definition).unwrap();
        let ranges = start(definition.projection(), live.info(), live.topics(), &log.log())
            .unwrap()
            .ranges;
        let mut teller = Teller::with(Some(publisher(Fake::new(&topics, []), &definition, false)), None);
        let look = Seen {
            ends: log.log().ends(),
            changed: false,
        };
        let open = |ranges: Vec<Range>| Ok(log.arrival(&ranges, &[2], &[0]));
        let ended = go_on(&live, &ranges, open, &look, false, &mut teller, &mut control()).unwrap();
        assert_eq!((ended, ids(&topics).len()), (expected, 3));
        assert_eq!(emitted(&store).waiting, 0);
    }
}

/// The record that a read model was paused before emits when it is applied at last, though nobody publishes at that moment.
#[test]
fn what_is_applied_by_a_decision_is_published_by_the_next_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topics, text) = (store(folder.path()), Topics::default(), emitting());
    rebuilt(&store, &text, &log_of(&[], 0), None);
    let log = log_of(&inputs(&[1]), 0);
    let definition = definition(&text);
    let settled = Live::open(&store, &definition).unwrap().settle(&log.all()[0], &[]);
    assert_eq!((settled.unwrap(), emitted(&store).waiting), (None, 1));
    followed(&store, &text, &log, &topics, false);
    assert_eq!(ids(&topics), ["accounts/events/0/0/0"]);
}

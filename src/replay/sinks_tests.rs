use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::courier::Did;
use super::*;
use crate::readmodel::feed::{FedRow, Mark};
use crate::readmodel::fold::OnPoison;
use crate::readmodel::query::Cell;
use crate::readmodel::store::Store;
use crate::record::Record;
use crate::replay::follow::tests::{PER_PARTITION, first_build, followed};
use crate::replay::memory::Memory;
use crate::replay::rebuild::tests::{Event, definition, events, log_of};
use crate::sink::error::SinkError;
use crate::sink::{Held, Keep, Refused, RowStore, row_name};

const SINK: &str = "fake://shelf";

/// What a store is to a test: rows, and a mark.
#[derive(Debug, Clone, Default, PartialEq)]
struct Shelf {
    rows: Rows,
    mark: Option<Mark>,
    /// What happens to the next pushes.
    fails: Vec<Fails>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fails {
    Before,
    /// Some of the rows are there, and the mark is not.
    Half,
    /// All of it is there, and nobody hears of it.
    After,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Shelf>>);

/// A value that the store does not take.
fn is_refused(row: &[Cell]) -> bool {
    row.iter().any(|cell| matches!(cell, Cell::Integer(n) if n % 10 == 7))
}

fn away() -> SinkError {
    SinkError::Unreachable {
        store: SINK.to_owned(),
        reason: "gone".to_owned(),
    }
}

impl RowStore for Fake {
    fn open(&mut self) -> Result<Option<Mark>, SinkError> {
        Ok(self.0.lock().unwrap().mark.clone())
    }

    fn push(&mut self, rows: &[FedRow], before: Option<&Mark>, mark: &Mark) -> Result<Vec<Refused>, SinkError> {
        let mut shelf = self.0.lock().unwrap();
        let fails = shelf.fails.pop();
        if fails == Some(Fails::Before) {
            return Err(away());
        }
        if before.is_some_and(|before| shelf.mark.as_ref() != Some(before)) {
            return Err(SinkError::Lost);
        }
        let count = if fails == Some(Fails::Half) {
            rows.len() / 2
        } else {
            rows.len()
        };
        let mut refused = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, row) in rows.iter().take(count).enumerate() {
            let name = (row.table, row_name(&row.key));
            assert!(seen.insert(name.clone()), "a row twice in one push");
            match &row.values {
                Some(values) if is_refused(values) => {
                    shelf.rows.remove(&name);
                    let reason = "ends in 7".to_owned();
                    refused.push(Refused { row: at, reason });
                }
                Some(values) => drop(shelf.rows.insert(name, values.clone())),
                None => drop(shelf.rows.remove(&name)),
            }
        }
        if fails == Some(Fails::Half) {
            return Err(away());
        }
        shelf.mark = Some(mark.clone());
        match fails {
            Some(_) => Err(away()),
            None => Ok(refused),
        }
    }
}

impl crate::sink::Rows for Fake {
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
        let mut shelf = self.0.lock().unwrap();
        let from = from.unwrap_or_default();
        let part: Vec<_> = shelf
            .rows
            .keys()
            .filter(|(_, name)| *name > from)
            .take(3)
            .cloned()
            .collect();
        let next = part.iter().map(|(_, name)| name.clone()).max();
        // The names of several tables mix, so that a part is what lies up to a name.
        let Some(next) = next else { return Ok(None) };
        let names: Vec<_> = shelf
            .rows
            .keys()
            .filter(|(_, name)| *name > from && *name <= next)
            .cloned()
            .collect();
        for (table, name) in names {
            if !keep(table, &name)? {
                shelf.rows.remove(&(table, name));
            }
        }
        Ok(Some(next))
    }

    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
        Ok(rows.iter().map(|_| Held::Same).collect())
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Deed {
    /// Events are applied, committed or not.
    Apply(usize, bool),
    /// The courier does so much.
    Step(usize),
    /// The next push fails.
    Fail(Fails),
    /// The process dies; what the courier last said may be lost with it.
    Die,
    /// What the courier says next is never written down, because the process dies before.
    Unheard,
    /// Somebody empties the store.
    Empty,
    /// Somebody puts the store back as it was at the last backup.
    Restore,
    /// Somebody makes a backup.
    Backup,
    /// It is followed for a while by somebody who feeds nothing.
    Without(usize),
    /// It is built anew.
    Rebuild,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let fails = prop_oneof![Just(Fails::Before), Just(Fails::Half), Just(Fails::After)];
    let deed = prop_oneof![
        6 => (1..20usize, any::<bool>()).prop_map(|(n, commit)| Deed::Apply(n, commit)),
        6 => (1..12usize).prop_map(Deed::Step),
        3 => fails.prop_map(Deed::Fail),
        1 => Just(Deed::Die),
        1 => Just(Deed::Unheard),
        1 => Just(Deed::Empty),
        1 => Just(Deed::Restore),
        1 => Just(Deed::Backup),
        1 => (1..8usize).prop_map(Deed::Without),
        1 => Just(Deed::Rebuild),
    ];
    prop::collection::vec(deed, 0..40)
}

struct World {
    store: Store,
    log: Memory,
    /// The log without its last events, from which builds are made.
    early: Memory,
    shelf: Arc<Mutex<Shelf>>,
    backup: Shelf,
}

impl World {
    fn session(&mut self, deeds: &mut std::vec::IntoIter<Deed>) -> Option<Deed> {
        let definition = definition(PER_PARTITION);
        let mut live = Live::open(&self.store, &definition).unwrap();
        let log = self.log.log();
        let start = crate::replay::follow::start(definition.projection(), live.info(), live.topics(), &log).unwrap();
        let mark = live.capture(&[SINK.to_owned()]).unwrap().remove(0);
        let mut ranges = start.ranges;
        for range in &mut ranges {
            range.end = log.ends().next(&crate::record::TopicPartition::new(
                range.topic.clone(),
                range.partition,
            ));
        }
        let records = self.log.arrival(&ranges, &[1], &[0, 2, 1]).rest();
        let feed = live.feed().unwrap();
        let mut courier = Courier::new(SINK.to_owned(), feed, Box::new(Fake(Arc::clone(&self.shelf))), mark);
        let mut fold = live.fold(OnPoison::Skip).unwrap();
        let mut left = records.iter();
        let mut unheard = false;
        loop {
            let deed = deeds.next();
            match deed {
                None => {
                    fold.apply(left.by_ref().map(Record::view), &|| false).unwrap();
                    fold.commit().unwrap();
                    self.shelf.lock().unwrap().fails.clear();
                    // Bounded: what never ends is a fault.
                    let mut looked = false;
                    for _ in 0..400 {
                        match step(&mut courier, &mut fold, true) {
                            Some(Did::Nothing) if looked => return None,
                            Some(Did::Nothing) => {
                                looked = true;
                                courier.look();
                            }
                            _ => looked = false,
                        }
                    }
                    panic!("the courier never ends");
                }
                Some(Deed::Apply(n, commit)) => {
                    fold.apply(left.by_ref().take(n).map(Record::view), &|| false).unwrap();
                    if commit {
                        fold.commit().unwrap();
                    }
                }
                Some(Deed::Step(n)) => {
                    // Only what is committed is settled with a commit of its own.
                    if fold.uncommitted() > 0 {
                        fold.commit().unwrap();
                    }
                    for _ in 0..n {
                        step(&mut courier, &mut fold, !unheard);
                    }
                    if unheard {
                        return Some(Deed::Die);
                    }
                }
                Some(Deed::Fail(fails)) => self.shelf.lock().unwrap().fails.push(fails),
                Some(Deed::Unheard) => unheard = true,
                Some(Deed::Empty) => *self.shelf.lock().unwrap() = Shelf::default(),
                Some(Deed::Backup) => self.backup = self.shelf.lock().unwrap().clone(),
                Some(Deed::Restore) => *self.shelf.lock().unwrap() = self.backup.clone(),
                Some(deed @ (Deed::Die | Deed::Without(_) | Deed::Rebuild)) => return Some(deed),
            }
        }
    }

    fn between(&mut self, deed: Deed) {
        match deed {
            Deed::Without(n) => {
                let before = self.store.info("accounts").unwrap().counts.applied;
                followed(&self.store, PER_PARTITION, &self.log, &[1], &[0], true, Some(n)).unwrap();
                let info = self.store.info("accounts").unwrap();
                // Nobody is told that a store has what it was not fed with.
                let told = info.sinks.iter().any(|sink| sink.whole);
                assert!(info.counts.applied == before || !told);
            }
            Deed::Rebuild => first_build(&self.store, PER_PARTITION, &self.early, true),
            _ => {}
        }
    }
}

/// One step of a courier; what it says is written down if somebody hears it.
fn step(courier: &mut Courier, fold: &mut Fold<'_>, heard: bool) -> Option<Did> {
    let mut reports = Vec::new();
    let did = courier.step(&mut |report| reports.push(report));
    for report in reports {
        if let (Report::Fed(fed), true) = (report, heard) {
            fold.settle_sink(SINK, &fed).unwrap();
        }
    }
    did.ok()
}

/// Rows by their table and key.
type Rows = BTreeMap<(usize, String), Vec<Cell>>;

/// The rows of the read model, and those that the store refuses.
fn expected(store: &Store) -> (Rows, BTreeSet<String>) {
    let definition = definition(PER_PARTITION);
    let live = Live::open(store, &definition).unwrap();
    let feed = live.feed().unwrap();
    let (mut rows, mut refused) = (BTreeMap::new(), BTreeSet::new());
    for (at, table) in feed.tables().iter().enumerate() {
        let mut after = None;
        loop {
            let page = feed.page(at, after.as_deref(), 4).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for row in page {
                let values = row.values.unwrap();
                if is_refused(&values) {
                    refused.insert(format!("{} {}", table.name, row_name(&row.key)));
                } else {
                    rows.insert((at, row_name(&row.key)), values);
                }
            }
        }
    }
    (rows, refused)
}

fn check(all: Vec<Event>, built: usize, deeds: Vec<Deed>) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World {
        store: Store::open(folder.path(), "lab").unwrap(),
        log: log_of(&all, 0),
        early: log_of(&all[..built.min(all.len())], 0),
        shelf: Arc::default(),
        backup: Shelf::default(),
    };
    first_build(&world.store, PER_PARTITION, &world.early, true);
    let mut deeds = deeds.into_iter();
    while let Some(deed) = world.session(&mut deeds) {
        world.between(deed);
    }
    let (rows, refused) = expected(&world.store);
    let shelf = world.shelf.lock().unwrap();
    assert_eq!(shelf.rows, rows);
    let info = world.store.info("accounts").unwrap();
    let sink = &info.sinks[0];
    assert_eq!((sink.whole, sink.waiting, &sink.trouble), (true, 0, &None));
    assert_eq!(sink.refused, refused.len() as u64, "{:?}", sink.reason);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to the rows, the process, the store and the way between them, in the end the store has the rows of the read
    /// model and no others.
    #[test]
    fn a_store_ends_equal_to_the_read_model(events in events(), built in 0..60usize, deeds in deeds()) {
        check(events, built, deeds);
    }
}

/// A store that was emptied without anybody noticing is found out by its mark.
#[test]
fn a_store_that_was_emptied_is_fed_anew() {
    let events: Vec<Event> = (0..30).map(|n| (false, 0, n, 0, (n % 5) as u8, 1)).collect();
    let deeds = vec![
        Deed::Apply(10, true),
        Deed::Step(40),
        Deed::Empty,
        Deed::Apply(1, true),
        Deed::Step(40),
    ];
    check(events, 5, deeds);
}

/// What one statement does to more rows than are kept makes the store be fed anew, and nothing is missed.
#[test]
fn more_changes_than_are_kept() {
    let mut events: Vec<Event> = (0..90)
        .map(|n| (n % 4 == 0, n % 3, n as i64, 0, (n % 5) as u8, 1))
        .collect();
    events.push((false, 0, 100, 15, 0, 0));
    check(
        events,
        0,
        vec![
            Deed::Apply(10, true),
            Deed::Step(60),
            Deed::Apply(100, true),
            Deed::Step(60),
        ],
    );
}

/// A follow that feeds nothing writes nothing about stores, and costs none of the room.
#[test]
fn nothing_is_taken_down_where_nothing_is_fed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let events: Vec<Event> = (0..9).map(|n| (false, 0, n, 0, 1, 1)).collect();
    first_build(&store, PER_PARTITION, &log_of(&events[..3], 0), true);
    followed(&store, PER_PARTITION, &log_of(&events, 0), &[1], &[0], true, None).unwrap();
    assert!(store.info("accounts").unwrap().sinks.is_empty());
    let found = crate::readmodel::query::Session::open(&store)
        .unwrap()
        .query(
            "SELECT count(*) FROM accounts.sqlite_schema WHERE name LIKE '%change%' OR name LIKE '%sink%'",
            1,
        )
        .unwrap();
    assert_eq!(found.rows, [[Cell::Integer(0)]]);
}

/// A read model of a few rows, and what a courier of it works with.
struct Fed {
    _folder: tempfile::TempDir,
    live: Live,
}

impl Fed {
    fn with(rows: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        let events: Vec<Event> = (0..rows).map(|n| (false, 0, n, 0, (n % 5) as u8, 1)).collect();
        first_build(&store, PER_PARTITION, &log_of(&events, 0), true);
        let live = Live::open(&store, &definition(PER_PARTITION)).unwrap();
        Self { _folder: folder, live }
    }

    fn courier(&mut self, shelf: &Arc<Mutex<Shelf>>) -> Courier {
        let mark = self.live.capture(&[SINK.to_owned()]).unwrap().remove(0);
        let feed = self.live.feed().unwrap();
        Courier::new(SINK.to_owned(), feed, Box::new(Fake(Arc::clone(shelf))), mark)
    }
}

/// Does so many steps, and returns which troubles were told.
fn told(courier: &mut Courier, steps: usize) -> Vec<Option<String>> {
    let mut told = Vec::new();
    for _ in 0..steps {
        let _ = courier.step(&mut |report| {
            if let Report::Fed(fed) = report
                && told.last() != Some(&fed.trouble)
            {
                told.push(fed.trouble);
            }
        });
    }
    told
}

/// Who comes last has it: the other does not take it back as long as that one writes, and says once that it is taken.
#[test]
fn two_couriers_of_one_store_do_not_take_it_from_each_other() {
    let shelf: Arc<Mutex<Shelf>> = Arc::default();
    let (mut one, mut other) = (Fed::with(30), Fed::with(30));
    let mut first = one.courier(&shelf);
    assert_eq!(told(&mut first, 60), [None]);
    let mine = shelf.lock().unwrap().mark.clone().unwrap().epoch;
    let mut second = other.courier(&shelf);
    assert_eq!(told(&mut second, 1), [None]);
    let its = shelf.lock().unwrap().mark.clone().unwrap().epoch;
    assert_ne!(mine, its);
    first.look();
    let trouble = told(&mut first, 2);
    assert!(
        matches!(trouble.as_slice(), [Some(words)] if words.contains("somebody else")),
        "{trouble:?}"
    );
    // It gets to its end while the first keeps looking.
    for rounds in 0.. {
        assert!(rounds < 60, "it never has all rows");
        // Of three steps one pushes something.
        told(&mut second, 3);
        let mark = shelf.lock().unwrap().mark.clone().unwrap();
        assert_eq!(mark.epoch, its);
        if mark.whole {
            break;
        }
        assert_eq!(told(&mut first, 1), []);
    }
    // Nobody writes any more: it is given all rows, and that it is fed again is said when it has them.
    assert_eq!(told(&mut first, 60).last(), Some(&None));
    let mark = shelf.lock().unwrap().mark.clone().unwrap();
    assert!(mark.whole && mark.epoch == mine);
}

/// That a store can be reached is no reason to say that it is fed again.
#[test]
fn a_store_that_can_be_opened_and_not_written_says_so_once() {
    let shelf: Arc<Mutex<Shelf>> = Arc::default();
    let mut fed = Fed::with(30);
    let mut courier = fed.courier(&shelf);
    told(&mut courier, 60);
    courier.look();
    shelf.lock().unwrap().fails = vec![Fails::Before; 5];
    assert_eq!(told(&mut courier, 10), [Some(away().to_string())]);
    assert!(!courier.is_well());
    shelf.lock().unwrap().fails.clear();
    assert_eq!(told(&mut courier, 10), [None]);
    assert!(courier.is_well());
}

/// A trouble that is over by the next start is known no more, though nothing changed meanwhile.
#[test]
fn a_trouble_of_yesterday_is_gone() {
    let shelf: Arc<Mutex<Shelf>> = Arc::default();
    let mut fed = Fed::with(10);
    let mut courier = fed.courier(&shelf);
    let run = |fed: &mut Fed, courier: &mut Courier, steps: usize| {
        let mut fold = fed.live.fold(OnPoison::Skip).unwrap();
        for _ in 0..steps {
            step(courier, &mut fold, true);
        }
        drop(fold);
        fed.live.read_info().unwrap().sinks.remove(0).trouble
    };
    assert_eq!(run(&mut fed, &mut courier, 60), None);
    courier.look();
    shelf.lock().unwrap().fails.push(Fails::Before);
    assert_eq!(run(&mut fed, &mut courier, 1), Some(away().to_string()));
    let mut courier = fed.courier(&shelf);
    assert_eq!(run(&mut fed, &mut courier, 3), None);
}

/// A store that names a row twice while it looks through its keys has it once.
#[test]
fn an_extra_row_is_counted_once() {
    struct Twice;
    impl crate::sink::Rows for Twice {
        fn sweep(&mut self, _: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
            for name in ["stray", "other", "stray"] {
                keep(0, name)?;
            }
            Ok(None)
        }
        fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
            Ok(rows.iter().map(|_| Held::Same).collect())
        }
    }
    let fed = Fed::with(10);
    let mut shown = 0;
    let mut checked = Checked::default();
    let feed = fed.live.feed().unwrap();
    compare(&feed, &mut Twice, &mut checked, &mut |_| {
        shown += 1;
        true
    })
    .unwrap();
    assert_eq!((checked.extra, shown), (2, 2));
}

/// A store that is named no more is forgotten, and nothing is taken down for it.
#[test]
fn a_store_that_is_fed_no_more_is_forgotten() {
    let mut fed = Fed::with(10);
    let names = ["fake://a", "fake://b"].map(str::to_owned);
    fed.live.capture(&names).unwrap();
    assert_eq!(fed.live.forget_sinks(&names[..1]).unwrap(), names[1..]);
    assert_eq!(fed.live.read_info().unwrap().sinks.len(), 1);
    let mut feeder = Feeder::start(&mut fed.live, &[]).unwrap();
    assert!(fed.live.read_info().unwrap().sinks.is_empty());
    let mut control = crate::replay::rebuild::tests::control();
    let mut fold = fed.live.fold(OnPoison::Skip).unwrap();
    feeder.step(&mut fold, &mut control.meter).unwrap();
    feeder.step(&mut fold, &mut control.meter).unwrap();
    drop(fold);
    assert_eq!(control.meter.notices(), ["fake://a was fed before and is not any more"]);
}

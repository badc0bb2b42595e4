//! Compaction against a model, a crash at every step, and what comes between.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::files::{CRASH_AFTER, Files};
use super::super::producers::Verdict;
use super::super::records::tests::{Plain, of};
use super::super::{Limits, Roll};
use super::*;
use crate::broker::embedded::partition::Partition;

const NOBODY: (i64, i16, i32) = (-1, -1, -1);
const POLICY: Policy = Policy {
    dirty_ratio: 0.0,
    lag: (0, i64::MAX),
    tombstones: 1000,
    segment_bytes: 600,
};

/// A log with compaction from one thread.
struct Lab {
    log: RefCell<Log>,
    cancelled: Cell<bool>,
}

impl Shared for Lab {
    fn file(&self, id: u64) -> io::Result<Option<Arc<File>>> {
        self.log.borrow().segment_file(id)
    }

    fn replace(&self, made: &Made) -> io::Result<bool> {
        self.log.borrow_mut().replace(made)
    }

    fn cleaned(&self, until: i64) -> io::Result<()> {
        self.log.borrow_mut().set_cleaned(until)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

/// A record as a reader sees it: offset, time, key, value.
type Told = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

impl Lab {
    fn open(dir: &Path) -> Self {
        Self {
            log: RefCell::new(Log::open(dir, Arc::new(Files::default())).unwrap()),
            cancelled: Cell::new(false),
        }
    }

    fn append(&self, bytes: &[u8]) -> i64 {
        let roll = Roll {
            bytes: POLICY.segment_bytes,
            age: Duration::MAX,
        };
        let header = BatchHeader::parse(bytes).unwrap();
        self.log.borrow_mut().append(bytes, &header, roll).unwrap()
    }

    fn sync(&self) {
        let mut log = self.log.borrow_mut();
        for unsynced in log.take_unsynced() {
            unsynced.sync().unwrap();
            log.settle(unsynced).unwrap();
        }
    }

    /// Closes the active segment, so that everything can be compacted.
    fn roll(&self) {
        let now = Roll {
            bytes: 0,
            age: Duration::ZERO,
        };
        self.log.borrow_mut().roll_aged(now).unwrap();
        self.sync();
    }

    fn compact_with(&self, policy: Policy, now: i64, keys: usize) -> io::Result<bool> {
        let plan = self.log.borrow_mut().plan(policy, now)?;
        plan.map_or(Ok(false), |plan| plan.run_with(self, keys).map(|()| true))
    }

    /// Rounds until there is nothing to do.
    fn compact(&self, policy: Policy, now: i64) {
        self.sync();
        while self.compact_with(policy, now, KEYS).unwrap() {}
    }

    /// Every batch from `start` on, as a consumer fetches them, with each checksum checked.
    fn batches(&self, start: i64) -> Vec<(BatchHeader, Vec<u8>)> {
        let log = self.log.borrow();
        let mut found = Vec::new();
        let mut offset = start;
        while offset < log.end() {
            let slice = log.slice(offset).unwrap().unwrap();
            let next = slice.next_base;
            if let Some(slice) = slice.seek(offset).unwrap() {
                let mut scanner = Scanner::new(&slice.file, slice.from, slice.end, WALK);
                while let Some(header) = scanner.header().unwrap() {
                    let bytes = scanner.batch(&header).unwrap().unwrap().to_vec();
                    assert!(batch::crc_matches(&bytes, &header));
                    offset = header.next_offset();
                    scanner.advance(&header);
                    found.push((header, bytes));
                }
            }
            // Segments end where the next one begins, so that no reader waits for what will never come.
            assert_eq!(Some(offset), next.or(Some(log.end())));
        }
        found
    }

    fn records(&self) -> Vec<Told> {
        let start = self.log.borrow().start();
        self.batches(start)
            .iter()
            .flat_map(|(header, bytes)| tell(header, bytes))
            .collect()
    }

    fn count(&self) -> usize {
        self.records().len()
    }
}

fn number(from: &mut &[u8]) -> i64 {
    let mut value = 0u64;
    for shift in (0..).step_by(7) {
        let (byte, rest) = from.split_first().unwrap();
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn part(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(from)).ok()?;
    let (part, rest) = from.split_at(length);
    *from = rest;
    Some(part.to_vec())
}

fn tell(header: &BatchHeader, bytes: &[u8]) -> Vec<Told> {
    let mut plain = Vec::new();
    if header.count > 0 {
        records::unpacked(bytes, header)
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
    }
    let mut rest = &*plain;
    let mut told = Vec::new();
    for _ in 0..header.count {
        let _length = number(&mut rest);
        rest = &rest[1..];
        let (time, offset) = (number(&mut rest), number(&mut rest));
        let (key, value) = (part(&mut rest), part(&mut rest));
        assert_eq!(number(&mut rest), 0);
        told.push((header.base_offset + offset, header.base_timestamp + time, key, value));
    }
    assert!(rest.is_empty());
    assert!(told.is_empty() || told.iter().map(|record| record.1).max() == Some(header.max_timestamp));
    told
}

/// A batch of one record.
fn one(key: &str, value: Option<&str>, producer: (i64, i16, i32)) -> Vec<u8> {
    of(
        &[(Some(key.as_bytes()), value.map(str::as_bytes), 0)],
        0,
        5000,
        producer,
    )
}

fn last_of_each(told: &[Told]) -> Vec<Told> {
    let mut last = BTreeMap::new();
    for record in told {
        last.insert(record.2.clone(), record.clone());
    }
    let mut last: Vec<Told> = last.into_values().collect();
    last.sort();
    last
}

#[test]
fn the_last_of_each_key_stays_at_its_offset_with_every_codec() {
    for codec in 0..=4 {
        let dir = tempfile::tempdir().unwrap();
        let lab = Lab::open(dir.path());
        for n in 0..60i64 {
            let values: Vec<String> = (0..4).map(|at| format!("{}", n * 4 + at)).collect();
            let keys: Vec<String> = (0..4).map(|at| format!("k{}", (n * 4 + at) % 11)).collect();
            let records: Vec<Plain<'_>> = (0..4)
                .map(|at| (Some(keys[at].as_bytes()), Some(values[at].as_bytes()), at as i64 * 3))
                .collect();
            lab.append(&of(&records, codec, 1000 + n, NOBODY));
        }
        lab.roll();
        let before = lab.records();
        let size = lab.log.borrow().size();
        assert_eq!(before.len(), 240);
        lab.compact(POLICY, 0);
        assert_eq!(lab.records(), last_of_each(&before), "codec {codec}");
        let log = lab.log.borrow();
        assert_eq!((log.start(), log.end()), (0, 240));
        assert!(log.size() * 2 < size, "codec {codec}: {} of {size}", log.size());
        drop(log);
        let kept = lab.batches(0);
        assert!(
            kept.iter()
                .any(|(header, _)| header.count > 0 && header.count < 4 && header.codec() == codec)
        );
        // Also as a crash leaves it, and where nothing is known but the batches.
        assert_eq!(Lab::open(dir.path()).records(), last_of_each(&before));
        for file in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "index" || e == "producers") {
                fs::remove_file(file).unwrap();
            }
        }
        assert_eq!(Lab::open(dir.path()).records(), last_of_each(&before));
    }
}

#[test]
fn tombstones_stay_until_their_time_and_then_go() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    let more = |n: i32| {
        lab.append(&one("other", Some(&n.to_string()), NOBODY));
        lab.roll();
    };
    lab.append(&one("gone", Some("1"), NOBODY));
    lab.append(&one("gone", None, NOBODY));
    more(1);
    let tombstone: Told = (1, 5000, Some(b"gone".to_vec()), None);
    lab.compact(POLICY, 10_000);
    assert_eq!(lab.records()[0], tombstone);
    assert_eq!(lab.batches(0)[0].0.delete_horizon(), Some(11_000));
    // A later round does not put it off, however it is made.
    more(2);
    lab.compact(POLICY, 10_999);
    assert_eq!((&lab.records()[0], lab.count()), (&tombstone, 2));
    assert_eq!(lab.batches(0)[0].0.delete_horizon(), Some(11_000));
    more(3);
    lab.compact(POLICY, 11_000);
    assert_eq!(lab.records(), [(4, 5000, Some(b"other".to_vec()), Some(b"3".to_vec()))]);
    assert_eq!(lab.log.borrow().start(), 0);
}

#[test]
fn a_round_begins_when_its_topic_says() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..40 {
        lab.append(&one(&format!("k{n}"), Some(&"x".repeat(100)), NOBODY));
    }
    lab.sync();
    let plan = |policy: Policy, now: i64| lab.log.borrow_mut().plan(policy, now).unwrap();
    // The active segment is never part of it.
    let all = plan(POLICY, 0).unwrap();
    assert_eq!(
        all.parts.last().unwrap().end,
        lab.log.borrow().segments.back().unwrap().base
    );
    // Half is compacted by now.
    let half = all.parts[all.parts.len() / 2].base;
    lab.log.borrow_mut().set_cleaned(half).unwrap();
    let ratio = |dirty_ratio| plan(Policy { dirty_ratio, ..POLICY }, 0).is_some();
    assert!(ratio(0.4) && !ratio(0.6));
    // Its records are of 5000.
    let lag = |min: i64, max: i64, now: i64| {
        plan(
            Policy {
                lag: (min, max),
                dirty_ratio: 0.9,
                ..POLICY
            },
            now,
        )
        .is_some()
    };
    assert!(!lag(0, 1000, 5900) && lag(0, 1000, 6100));
    let young = |now: i64| {
        plan(
            Policy {
                lag: (1000, i64::MAX),
                ..POLICY
            },
            now,
        )
        .is_none()
    };
    assert!(young(5900) && !young(6100));
    // What is not synced and indexed is not touched.
    for n in 0..20 {
        lab.append(&one(&format!("k{n}"), Some(&"x".repeat(100)), NOBODY));
    }
    assert_eq!(plan(POLICY, 0).unwrap().parts.len(), all.parts.len());
    lab.sync();
    assert!(plan(POLICY, 0).unwrap().parts.len() > all.parts.len());
}

#[test]
fn a_retry_is_recognised_though_its_records_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..10 {
        lab.append(&one("k", Some("v"), (7, 2, n)));
    }
    for n in 0..10 {
        lab.append(&one("k", Some("w"), (8, 0, n)));
    }
    lab.append(&one("k", Some("x"), NOBODY));
    lab.roll();
    lab.compact(POLICY, 0);
    assert_eq!(lab.count(), 1);
    assert!(lab.batches(0).len() < 8);
    drop(lab);
    for file in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "producers") {
            fs::remove_file(file).unwrap();
        }
    }
    let log = Log::open(dir.path(), Arc::new(Files::default())).unwrap();
    let check = |id, epoch, n| {
        log.producers
            .check(&BatchHeader::parse(&one("k", Some("v"), (id, epoch, n))).unwrap())
    };
    assert_eq!(check(7, 2, 9), Verdict::Duplicate(9));
    assert_eq!(check(8, 0, 9), Verdict::Duplicate(19));
    assert_eq!(check(7, 2, 10), Verdict::Append);
    assert_eq!(check(7, 2, 11), Verdict::OutOfOrder);
    assert_eq!(check(7, 1, 10), Verdict::OldEpoch);
}

#[test]
fn whoever_reads_a_segment_that_is_replaced_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..40 {
        lab.append(&one(&format!("k{}", n % 4), Some(&n.to_string()), NOBODY));
    }
    lab.roll();
    let old = lab.log.borrow().slice(1).unwrap().unwrap();
    lab.compact(POLICY, 0);
    let mut scanner = Scanner::new(&old.file, old.from, old.end, WALK);
    let second = scanner.seek(|header| header.next_offset() > 1).unwrap().unwrap();
    assert_eq!(second.base_offset, 1);
    // What comes after it is the next that is there, from wherever one asks.
    let all = lab.records();
    assert_eq!(all.len(), 4);
    for offset in 0..40 {
        let read = lab.batches(offset);
        let found: Vec<Told> = read.iter().flat_map(|(header, bytes)| tell(header, bytes)).collect();
        assert!(
            found.iter().eq(all.iter().filter(|record| record.0 >= offset)),
            "{offset}"
        );
    }
}

#[test]
fn what_retention_removes_meanwhile_is_not_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..40 {
        lab.append(&one(&format!("k{}", n % 4), Some(&n.to_string()), NOBODY));
    }
    lab.roll();
    let plan = lab.log.borrow_mut().plan(POLICY, 0).unwrap().unwrap();
    let filter = plan.survey(&lab, KEYS).unwrap().unwrap();
    let groups = plan.groups(filter.until);
    let Written::Made(made) = plan.rewrite(groups[0], &filter, &lab).unwrap() else {
        panic!("nothing was written");
    };
    let first = lab.log.borrow().segments[1].base;
    lab.log.borrow_mut().delete_before(first).unwrap();
    assert!(!lab.replace(&made).unwrap());
    assert_eq!(lab.log.borrow().start(), first);
    let left = lab.records();
    assert_eq!((left[0].0, left.len() as i64), (first, 40 - first));
    assert_eq!(Lab::open(dir.path()).records(), left);
    lab.compact(POLICY, 0);
    assert_eq!(lab.count(), 4);
}

#[test]
fn a_cancelled_round_leaves_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..40 {
        lab.append(&one("k", Some(&n.to_string()), NOBODY));
    }
    lab.roll();
    lab.cancelled.set(true);
    lab.compact_with(POLICY, 0, KEYS).unwrap();
    assert_eq!(lab.count(), 40);
    lab.cancelled.set(false);
    lab.compact(POLICY, 0);
    assert_eq!(lab.count(), 1);
}

#[test]
fn more_keys_than_fit_take_several_rounds() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    for n in 0..200 {
        lab.append(&one(&format!("k{}", n % 50), Some(&n.to_string()), NOBODY));
    }
    lab.roll();
    let before = lab.records();
    let mut rounds = 0;
    while lab.compact_with(POLICY, 0, 9).unwrap() {
        rounds += 1;
    }
    assert!(rounds >= 200 / 50, "{rounds}");
    assert_eq!(lab.records(), last_of_each(&before));
}

#[test]
fn a_record_without_a_key_goes_and_a_batch_that_cannot_be_read_stays() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    let keyless: Plain<'_> = (None, Some(b"from before the topic was compacted"), 0);
    lab.append(&of(&[keyless], 0, 5000, NOBODY));
    lab.append(&batch::tests::batch(3, b"no records at all", 5000, NOBODY));
    lab.append(&one("k", Some("v"), NOBODY));
    lab.roll();
    lab.compact(POLICY, 0);
    let kept: Vec<(i64, i32)> = lab
        .batches(0)
        .iter()
        .map(|(header, _)| (header.base_offset, header.count))
        .collect();
    assert_eq!(kept, [(1, 3), (4, 1)]);
}

/// The first segment's file, and every byte of the log.
fn bytes_of(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    let all = files.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    (files.swap_remove(0), all)
}

#[test]
fn what_is_damaged_stays_as_it_is_and_hides_nothing() {
    // A bit of a record, and one of a length: the batch that cannot be trusted, and the place behind which nothing can be parsed.
    for is_length in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let lab = Lab::open(dir.path());
        for n in 0..40 {
            lab.append(&one("k", Some(&n.to_string()), NOBODY));
        }
        lab.roll();
        lab.sync();
        let second = lab.batches(0)[1].1.clone();
        let at = lab.batches(0)[0].0.size;
        let (file, _) = bytes_of(dir.path());
        let mut damaged = fs::read(&file).unwrap();
        damaged[if is_length { at + 8 } else { at + second.len() - 1 }] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let before = bytes_of(dir.path()).1;
        if is_length {
            let said = lab.compact_with(POLICY, 0, KEYS).unwrap_err().to_string();
            assert!(said.contains(&format!("byte {at} of the segment")), "{said}");
            assert_eq!(bytes_of(dir.path()).1, before);
        } else {
            lab.compact(POLICY, 0);
            let after = bytes_of(dir.path()).1;
            let batch = &damaged[at..at + second.len()];
            assert!(after.len() < before.len() && after.windows(batch.len()).any(|found| found == batch));
        }
    }
}

/// librdkafka takes an answer without a record for one that was too small, and gives up after some of them.
#[test]
fn whoever_fetches_is_given_records_as_long_as_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let partition = Partition::new(dir.path().to_owned(), Arc::new(Files::default()));
    let roll = |bytes| Roll {
        bytes,
        age: Duration::MAX,
    };
    let append = |key: &str, value: Option<&str>| {
        let bytes = one(key, value, NOBODY);
        let header = BatchHeader::parse(&bytes).unwrap();
        partition.append(&bytes, &header, roll(POLICY.segment_bytes)).unwrap();
    };
    // In each segment the first record stays and the others go; what comes last goes altogether.
    for n in 0..100 {
        append(&format!("k{}", if n % 5 == 0 { n } else { -1 }), Some("value"));
    }
    (0..20).for_each(|_| append("gone", None));
    let never = AtomicBool::new(false);
    let closing = Roll {
        bytes: 0,
        age: Duration::ZERO,
    };
    let policy = Policy {
        tombstones: 0,
        ..POLICY
    };
    for now in 0..2 {
        partition.compact(policy, closing, now, &never).unwrap();
        append("k-1", Some("last"));
    }
    partition.compact(policy, closing, 2, &never).unwrap();
    let end = partition.reach().unwrap().end;
    let (mut offset, mut answers, mut records) = (0, 0, 0);
    while offset < end {
        let slice = partition.slice(offset).unwrap().1.unwrap();
        let mut scanner = Scanner::new(&slice.file, slice.from, slice.end, WALK);
        let first = scanner.header().unwrap().unwrap();
        assert!(first.count > 0 || first.next_offset() == end, "{first:?} at {offset}");
        while let Some(header) = scanner.header().unwrap() {
            records += header.count;
            offset = header.next_offset();
            scanner.advance(&header);
        }
        answers += 1;
    }
    assert_eq!(records, 21);
    assert!(answers > 2, "{answers}");
    // From any offset, also where nothing but empty batches follow.
    for offset in 0..end {
        assert!(partition.slice(offset).unwrap().1.is_some(), "{offset}");
    }
}

#[test]
fn where_no_record_is_left_an_answer_says_how_far_the_log_reaches() {
    let dir = tempfile::tempdir().unwrap();
    let partition = Partition::new(dir.path().to_owned(), Arc::new(Files::default()));
    let keyless: Plain<'_> = (None, Some(b"from before the topic was compacted"), 0);
    let bytes = of(&[keyless; 3], 0, 5000, NOBODY);
    let header = BatchHeader::parse(&bytes).unwrap();
    let roll = Roll {
        bytes: 300,
        age: Duration::MAX,
    };
    for _ in 0..9 {
        partition.append(&bytes, &header, roll).unwrap();
    }
    let closing = Roll {
        bytes: 0,
        age: Duration::ZERO,
    };
    partition.compact(POLICY, closing, 0, &AtomicBool::new(false)).unwrap();
    for offset in 0..27 {
        let slice = partition.slice(offset).unwrap().1.unwrap();
        let header = Scanner::new(&slice.file, slice.from, slice.end, WALK)
            .header()
            .unwrap()
            .unwrap();
        assert_eq!((header.count, header.next_offset()), (0, 27), "{offset}");
    }
}

/// A log of several groups with obsolete records, tombstones and producers.
fn history(lab: &Lab) {
    for n in 0..90 {
        let value = n.to_string();
        let value = (n % 7 != 0).then_some(value.as_str());
        lab.append(&one(&format!("k{}", n % 13), value, (n % 3, 0, n as i32 / 3)));
    }
    lab.roll();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_is_whole_and_can_be_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let lab = Lab::open(&whole);
    history(&lab);
    let before = lab.records();
    let done = dir.path().join("done");
    copy(&whole, &done);
    let reference = Lab::open(&done);
    reference.compact(POLICY, 0);
    let after = reference.records();
    assert_eq!(after, last_of_each(&before));
    let mut seen = Vec::new();
    for steps in 0.. {
        let torn = dir.path().join(format!("torn-{steps}"));
        copy(&whole, &torn);
        let lab = Lab::open(&torn);
        CRASH_AFTER.set(steps);
        let finished = lab.compact_with(POLICY, 0, KEYS).is_ok();
        CRASH_AFTER.set(usize::MAX);
        // A reader of the process that lives on, and one of the process that comes after the crash, see the same.
        let again = Lab::open(&torn);
        let left = again.records();
        assert_eq!(again.log.borrow().end(), 90);
        assert!(left.iter().all(|record| before.contains(record)), "step {steps}");
        assert!(after.iter().all(|record| left.contains(record)), "step {steps}");
        assert_eq!(again.log.borrow().producers, lab.log.borrow().producers);
        again.compact(POLICY, 0);
        assert_eq!(again.records(), after, "step {steps}");
        let names = fs::read_dir(&torn)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let beside: Vec<String> = names
            .filter(|name| name.ends_with(".cleaned") || name == "swap")
            .collect();
        assert!(beside.is_empty(), "step {steps}: {beside:?}");
        seen.push(left.len());
        if finished {
            assert_eq!(left, after);
            break;
        }
    }
    // Old, partly new, and new were all there.
    seen.dedup();
    assert!(seen.len() > 2 && seen[0] == before.len(), "{seen:?}");
}

#[test]
fn a_process_that_lives_on_after_an_error_compacts_later() {
    let dir = tempfile::tempdir().unwrap();
    for steps in 0..60 {
        let at = dir.path().join(steps.to_string());
        let lab = Lab::open(&at);
        history(&lab);
        let before = lab.records();
        CRASH_AFTER.set(steps);
        let _ = lab.compact_with(POLICY, 0, KEYS);
        CRASH_AFTER.set(usize::MAX);
        let left = lab.records();
        assert!(
            last_of_each(&before).iter().all(|record| left.contains(record)),
            "step {steps}"
        );
        lab.append(&one("k0", Some("later"), NOBODY));
        lab.roll();
        lab.compact(POLICY, 0);
        let mut all = before;
        all.push((90, 5000, Some(b"k0".to_vec()), Some(b"later".to_vec())));
        assert_eq!(lab.records(), last_of_each(&all), "step {steps}");
        assert_eq!(Lab::open(&at).records(), last_of_each(&all), "step {steps}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        keys: Vec<(u8, bool)>,
        codec: i16,
        producer: Option<i64>,
    },
    Roll,
    Compact {
        keys: usize,
        ratio: f64,
    },
    Reopen {
        close: bool,
    },
    DeleteBefore(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        prop::collection::vec((0..6u8, any::<bool>()), 1..6),
        0..=4i16,
        prop::option::of(0..3i64),
    );
    prop_oneof![
        10 => append.prop_map(|(keys, codec, producer)| Step::Append { keys, codec, producer }),
        2 => Just(Step::Roll),
        3 => (5..12usize, 0.0..0.8f64).prop_map(|(keys, ratio)| Step::Compact { keys, ratio }),
        1 => any::<bool>().prop_map(|close| Step::Reopen { close }),
        1 => (0..60i64).prop_map(Step::DeleteBefore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever happens: nothing changes but that obsolete records go, and none of them stays before what was compacted.
    #[test]
    fn any_history_keeps_the_last_of_each_key(steps in prop::collection::vec(step(), 1..70)) {
        let dir = tempfile::tempdir().unwrap();
        let mut lab = Lab::open(dir.path());
        let mut all: Vec<Told> = Vec::new();
        let mut sequences = [0; 3];
        for step in steps {
            match step {
                Step::Append { keys, codec, producer } => {
                    let base = lab.log.borrow().end();
                    let values: Vec<String> = (base..).take(keys.len()).map(|n| n.to_string()).collect();
                    let keys: Vec<([u8; 1], bool)> = keys.iter().map(|(key, value)| ([*key], *value)).collect();
                    let plain: Vec<Plain<'_>> = keys.iter().zip(&values)
                        .map(|((key, has), value)| (Some(&key[..]), has.then_some(value.as_bytes()), base % 5))
                        .collect();
                    let producer = producer.map_or(NOBODY, |id| {
                        let sequence = sequences[id as usize];
                        sequences[id as usize] += plain.len() as i32;
                        (id, 0, sequence)
                    });
                    let bytes = of(&plain, codec, base, producer);
                    prop_assert_eq!(lab.append(&bytes), base);
                    for (at, (key, value, time)) in plain.iter().enumerate() {
                        let value = value.map(<[u8]>::to_vec);
                        all.push((base + at as i64, base + time, key.map(<[u8]>::to_vec), value));
                    }
                }
                Step::Roll => lab.roll(),
                Step::Compact { keys, ratio } => {
                    lab.sync();
                    lab.compact_with(Policy { dirty_ratio: ratio, tombstones: i64::MAX, ..POLICY }, 0, keys).unwrap();
                }
                Step::Reopen { close } => {
                    let known = lab.log.borrow().producers.clone();
                    if close {
                        lab.log.borrow_mut().close().unwrap();
                    }
                    lab = Lab::open(dir.path());
                    // Who wrote only what was deleted is nobody's business any more.
                    prop_assert!(lab.log.borrow().start() > 0 || lab.log.borrow().producers == known);
                }
                Step::DeleteBefore(offset) => lab.log.borrow_mut().delete_before(offset).unwrap(),
            }
            let (start, cleaned) = (lab.log.borrow().start(), lab.log.borrow().cleaned);
            prop_assert_eq!(lab.log.borrow().end(), all.len() as i64);
            let left: Vec<Told> = lab.records().into_iter().filter(|record| record.0 >= start).collect();
            prop_assert!(left.iter().all(|record| all[record.0 as usize] == *record));
            let there: std::collections::BTreeSet<i64> = left.iter().map(|record| record.0).collect();
            for record in all.iter().filter(|record| record.0 >= start) {
                let later = |below: i64| all.iter().any(|other| other.0 > record.0 && other.0 < below && other.2 == record.2);
                if !there.contains(&record.0) {
                    prop_assert!(later(i64::MAX), "{record:?} is lost");
                } else if record.0 < cleaned {
                    prop_assert!(!later(cleaned), "{record:?} is obsolete and there");
                }
            }
        }
    }
}

#[test]
fn retention_goes_on_with_what_compaction_left() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path());
    history(&lab);
    lab.compact(POLICY, 0);
    lab.append(&one("k0", Some("new"), NOBODY));
    let limits = Limits {
        retention: (1000, -1),
        roll: Roll {
            bytes: POLICY.segment_bytes,
            age: Duration::MAX,
        },
    };
    lab.log.borrow_mut().retain(&limits, 5500).unwrap();
    assert_eq!(lab.log.borrow().start(), 0);
    lab.log.borrow_mut().retain(&limits, 6500).unwrap();
    assert_eq!((lab.log.borrow().start(), lab.count()), (91, 0));
}

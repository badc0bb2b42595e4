//! The log against what a disk, a crash and a retry do to it.

mod recovery;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::batch::tests::batch;
use super::batch::{self, BatchHeader};
use super::files::Files;
use super::scan::{Scanner, WALK};
use super::{AppendError, Limits, Log, Roll};

const NOBODY: (i64, i16, i32) = (-1, -1, -1);
const SEGMENT: u64 = 1 << 20;

fn open(dir: &Path) -> Log {
    Log::open(dir, Arc::new(Files::default())).unwrap()
}

fn append(log: &mut Log, bytes: &[u8], segment: u64) -> Result<i64, AppendError> {
    log.append(bytes, &BatchHeader::parse(bytes).unwrap(), roll(segment, Duration::MAX))
}

fn roll(bytes: u64, age: Duration) -> Roll {
    Roll { bytes, age }
}

fn limits(retention: (i64, i64)) -> Limits {
    Limits {
        retention,
        roll: roll(SEGMENT, Duration::MAX),
    }
}

/// What the housekeeper does every second.
fn sync(log: &mut Log) {
    for unsynced in log.take_unsynced() {
        unsynced.sync().unwrap();
        log.settle(unsynced).unwrap();
    }
}

/// Every batch from `start` on as `(base offset, timestamp)`, read as a consumer would, with every checksum checked.
fn read_from(log: &Log, start: i64) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let mut offset = start;
    while offset < log.end() {
        let slice = log.slice(offset).unwrap().unwrap();
        let next = slice.next_base;
        if let Some(slice) = slice.seek(offset).unwrap() {
            let mut scanner = Scanner::new(&slice.file, slice.from, slice.end, WALK);
            while let Some(header) = scanner.header().unwrap() {
                assert!(batch::crc_matches(scanner.batch(&header).unwrap().unwrap(), &header));
                found.push((header.base_offset, header.max_timestamp));
                offset = header.next_offset();
                scanner.advance(&header);
            }
        }
        offset = offset.max(next.unwrap_or(offset));
    }
    found
}

fn read(log: &Log) -> Vec<(i64, i64)> {
    read_from(log, log.start())
}

fn segment_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn what_was_appended_is_read_back_in_order_and_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let mut expected = Vec::new();
    for n in 0..100 {
        let base = append(&mut log, &batch(3, &[7; 500], n, NOBODY), 10_000).unwrap();
        expected.push((base, n));
    }
    assert_eq!(read(&log), expected);
    assert!(segment_files(dir.path()).len() > 4);
    assert_eq!(read(&open(dir.path())), expected);
    log.close().unwrap();
    let again = open(dir.path());
    assert_eq!((again.start(), again.end()), (0, 300));
    assert_eq!(read(&again), expected);
    assert_eq!(read_from(&again, 151), expected[50..]);
}

#[test]
fn records_are_deleted_up_to_an_offset_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..10 {
        append(&mut log, &batch(2, &[0; 100], n, NOBODY), 350).unwrap();
    }
    let before = segment_files(dir.path()).len();
    log.delete_before(9).unwrap();
    assert!(segment_files(dir.path()).len() < before);
    assert_eq!((log.start(), log.end()), (9, 20));
    // The batch that holds the offset is still read whole; clients skip what they did not ask for.
    assert_eq!(read(&log)[0].0, 8);
    log.delete_before(3).unwrap();
    assert_eq!(log.start(), 9);
    log.delete_before(99).unwrap();
    let log = open(dir.path());
    assert_eq!((log.start(), log.end()), (20, 20));
    assert_eq!(log.max_timestamp(), None);
}

#[test]
fn offsets_never_go_back_when_everything_expired() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..10 {
        append(&mut log, &batch(1, &[0; 100], n, NOBODY), 350).unwrap();
    }
    log.retain(&limits((1000, -1)), 5000).unwrap();
    assert_eq!((log.start(), log.end(), log.size()), (10, 10, 0));
    sync(&mut log);
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".index")),
        "{left:?}"
    );
    let mut log = open(dir.path());
    assert_eq!(append(&mut log, &batch(1, b"", 9, NOBODY), 350).unwrap(), 10);
}

#[test]
fn retention_by_size_keeps_at_least_what_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..20 {
        append(&mut log, &batch(1, &[0; 100], n, NOBODY), 350).unwrap();
    }
    log.retain(&limits((-1, 800)), 5000).unwrap();
    assert!((800..800 + 350).contains(&log.size()), "{}", log.size());
    assert_eq!(log.end(), 20);
}

#[test]
fn a_segment_is_closed_when_it_is_old_and_holds_something() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &batch(1, b"", 1, NOBODY), SEGMENT).unwrap();
    let limits = Limits {
        retention: (-1, -1),
        roll: roll(SEGMENT, Duration::ZERO),
    };
    log.retain(&limits, 5000).unwrap();
    log.retain(&limits, 5000).unwrap();
    assert_eq!(segment_files(dir.path()).len(), 2);
    assert_eq!(read(&log), [(0, 1)]);
}

/// A file that cannot be written stands for a full disk: the log's own file is replaced by one that refuses every byte.
#[test]
fn a_refused_write_changes_nothing_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let files = Arc::new(Files::default());
    let mut log = Log::open(dir.path(), Arc::clone(&files)).unwrap();
    append(&mut log, &batch(1, b"one", 1, NOBODY), SEGMENT).unwrap();
    files.replace_for_test(0, std::path::Path::new("/dev/full"));
    for _ in 0..2 {
        assert!(matches!(
            append(&mut log, &batch(1, b"two", 2, (7, 0, 0)), SEGMENT),
            Err(AppendError::Storage(_))
        ));
    }
    assert_eq!(log.end(), 1);
    files.forget(0);
    assert_eq!(append(&mut log, &batch(1, b"two", 2, (7, 0, 0)), SEGMENT).unwrap(), 1);
    assert_eq!(read(&log), [(0, 1), (1, 2)]);
    assert_eq!(read(&open(dir.path())), [(0, 1), (1, 2)]);
}

#[derive(Debug, Clone)]
enum Step {
    Append { count: i32, payload: usize, time: i64 },
    Reopen,
    Close,
    DeleteBefore(i64),
    Retain(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5i32, 0..400usize, 0..1000i64)
            .prop_map(|(count, payload, time)| Step::Append { count, payload, time }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Close),
        1 => (0..100i64).prop_map(Step::DeleteBefore),
        1 => (0..2000i64).prop_map(Step::Retain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against a model that is a vector of batches.
    #[test]
    fn any_history_reads_as_the_model_says(steps in prop::collection::vec(step(), 1..60), segment in 200..3000u64) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        let mut model: Vec<(i64, i64, i64)> = Vec::new();
        let mut end = 0;
        for step in steps {
            match step {
                Step::Append { count, payload, time } => {
                    let base = append(&mut log, &batch(count, &vec![1; payload], time, NOBODY), segment).unwrap();
                    prop_assert_eq!(base, end);
                    end += i64::from(count);
                    model.push((base, end, time));
                }
                Step::Reopen => log = open(dir.path()),
                Step::Close => {
                    log.close().unwrap();
                    log = open(dir.path());
                }
                Step::DeleteBefore(offset) => log.delete_before(offset).unwrap(),
                Step::Retain(size) => {
                    log.retain(&limits((-1, size)), 0).unwrap();
                }
            }
            prop_assert_eq!(log.end(), end);
            let start = log.start();
            let expected: Vec<(i64, i64)> =
                model.iter().filter(|(_, next, _)| *next > start).map(|(base, _, time)| (*base, *time)).collect();
            prop_assert_eq!(read(&log), expected);
            // The first batch at or after a time, found through the index, is the one that a walk finds.
            for time in [0, 250, 999] {
                let by_walk = model.iter().find(|(_, next, t)| *next > start && *t >= time).map(|(base, ..)| *base);
                prop_assert_eq!(first_at(&log, time), by_walk);
            }
        }
    }
}

fn first_at(log: &Log, time: i64) -> Option<i64> {
    let mut slice = log.slice_of_time(time).unwrap();
    while let Some(candidate) = slice {
        let mut scanner = Scanner::new(&candidate.file, candidate.from, candidate.end, WALK);
        let found = scanner.seek(|h| h.max_timestamp >= time && h.next_offset() > log.start());
        if let Some(header) = found.unwrap() {
            return Some(header.base_offset);
        }
        slice = candidate.next_base.and_then(|base| log.slice(base).unwrap());
    }
    None
}

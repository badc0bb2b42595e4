//! What a crash and a power loss leave of a log, and what is made of it.

use super::*;
use crate::broker::embedded::log::{recovery, segment_path};

#[test]
fn a_log_cut_at_any_byte_keeps_every_whole_batch_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir.path().join("log"));
    let mut ends = vec![0];
    for n in 0..5 {
        let bytes = batch(1, &[n as u8; 20], n, NOBODY);
        append(&mut log, &bytes, SEGMENT).unwrap();
        ends.push(ends[n as usize] + bytes.len() as u64);
    }
    let whole = fs::read(&segment_files(&dir.path().join("log"))[0]).unwrap();
    for cut in 0..=whole.len() {
        let torn = dir.path().join(format!("torn-{cut}"));
        copy_dir(&dir.path().join("log"), &torn);
        fs::write(&segment_files(&torn)[0], &whole[..cut]).unwrap();
        let mut log = open(&torn);
        let kept = ends.iter().filter(|end| **end <= cut as u64).count() as i64 - 1;
        assert_eq!(log.end(), kept, "cut at {cut}");
        assert_eq!(append(&mut log, &batch(1, b"more", 9, NOBODY), SEGMENT).unwrap(), kept);
        assert_eq!(read(&open(&torn)).len() as i64, kept + 1);
        fs::remove_dir_all(torn).unwrap();
    }
}

#[test]
fn garbage_after_the_last_batch_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &batch(2, b"good", 1, NOBODY), SEGMENT).unwrap();
    let path = segment_files(dir.path())[0].clone();
    let good = fs::read(&path).unwrap();
    let mut changed = batch(1, b"changed on the disk", 2, NOBODY);
    *changed.last_mut().unwrap() ^= 1;
    for garbage in [vec![0; 100], vec![0xff; 100], changed, good.clone()] {
        // The last is a whole batch, but with offsets that were given out already.
        fs::write(&path, [good.clone(), garbage].concat()).unwrap();
        assert_eq!(read(&open(dir.path())), [(0, 1)]);
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}

#[test]
fn what_follows_a_torn_segment_that_was_never_synced_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..6 {
        append(&mut log, &batch(1, &[0; 100], n, NOBODY), 350).unwrap();
    }
    let files = segment_files(dir.path());
    assert_eq!(files.len(), 3);
    let middle = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &middle[..middle.len() - 1]).unwrap();
    let mut log = open(dir.path());
    assert_eq!((log.end(), read(&log).len()), (3, 3));
    assert_eq!(append(&mut log, &batch(1, b"", 9, NOBODY), 350).unwrap(), 3);
}

/// The offsets that files of an extension are named after.
fn named(dir: &Path, extension: &str) -> Vec<i64> {
    recovery::names(dir, extension).unwrap()
}

/// What the log is where nothing is known but its batches.
fn from_the_batches_alone(dir: &Path) -> Log {
    let bare = dir.with_extension("bare");
    let _ = fs::remove_dir_all(&bare);
    copy_dir(dir, &bare);
    for (extension, offset) in ["index", "producers"]
        .iter()
        .flat_map(|e| named(&bare, e).into_iter().map(move |o| (e, o)))
    {
        fs::remove_file(segment_path(&bare, offset, extension)).unwrap();
    }
    open(&bare)
}

/// What a power loss may leave of the log: its first bytes, the files of later segments empty or gone, and all that was
/// written beside it.
fn lose(dir: &Path, mut keep: u64, files_stay: bool) {
    for path in segment_files(dir) {
        let size = fs::metadata(&path).unwrap().len();
        let kept = keep.min(size);
        keep -= kept;
        if kept == 0 && !files_stay {
            fs::remove_file(&path).unwrap();
        } else {
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(kept)
                .unwrap();
        }
    }
}

/// Three segments with their indexes and the states of the producers between them.
fn three_segments(dir: &Path, closed: bool) {
    let mut log = open(dir);
    for n in 0..9 {
        append(&mut log, &batch(1, &[0; 100], n, (5, 0, n as i32)), 500).unwrap();
    }
    if closed {
        log.close().unwrap();
    }
    sync(&mut log);
    assert_eq!(named(dir, "log"), [0, 3, 6]);
}

#[test]
fn what_was_written_beside_a_log_that_lost_its_end_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    for closed in [true, false] {
        let whole = dir.path().join(format!("whole-{closed}"));
        three_segments(&whole, closed);
        let size: u64 = segment_files(&whole)
            .iter()
            .map(|f| fs::metadata(f).unwrap().len())
            .sum();
        for keep in (0..=size).step_by(61).chain((0..=9).map(|n| n * size / 9)) {
            for files_stay in [true, false] {
                let at = format!("closed {closed}, {keep} bytes, files stay {files_stay}");
                let torn = dir.path().join("torn");
                copy_dir(&whole, &torn);
                lose(&torn, keep, files_stay);
                let mut log = open(&torn);
                let kept = (keep * 9 / size) as i64;
                assert_eq!(log.end(), kept, "{at}");
                assert!(named(&torn, "producers").iter().all(|offset| *offset <= kept), "{at}");
                assert!(named(&torn, "index").iter().all(|base| *base <= kept), "{at}");
                // Others write where the lost ones stood, in batches of the same size that hold more records.
                append(&mut log, &batch(2, &[1; 100], 0, NOBODY), 500).unwrap();
                let mut log = open(&torn);
                assert_eq!(log.end(), kept + 2, "{at}");
                for n in 1..9 {
                    append(&mut log, &batch(2, &[1; 100], n, NOBODY), 500).unwrap();
                }
                let (again, truth) = (open(&torn), from_the_batches_alone(&torn));
                assert_eq!(read(&again), read(&truth), "{at}");
                assert_eq!((again.end(), &again.producers), (kept + 18, &truth.producers), "{at}");
                fs::remove_dir_all(torn).unwrap();
            }
        }
    }
}

#[test]
fn a_missing_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..50 {
        append(&mut log, &batch(1, &[0; 1000], n, NOBODY), 20_000).unwrap();
    }
    log.close().unwrap();
    let expected = read(&log);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "index" || e == "producers") {
            fs::remove_file(path).unwrap();
        }
    }
    let log = open(dir.path());
    assert_eq!(read(&log), expected);
    assert_eq!(log.max_timestamp(), Some(49));
}

#[test]
fn a_retry_is_recognised_after_a_crash_whatever_the_number_of_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..20 {
        append(&mut log, &batch(1, &[0; 100], 0, (5, 0, n)), 500).unwrap();
    }
    // Without closing, as `kill -9` leaves it.
    let mut log = open(dir.path());
    assert_eq!(append(&mut log, &batch(1, &[0; 100], 0, (5, 0, 19)), 500).unwrap(), 19);
    assert!(matches!(
        append(&mut log, &batch(1, b"", 0, (5, 0, 21)), 500),
        Err(AppendError::OutOfOrder)
    ));
    assert_eq!(append(&mut log, &batch(1, &[0; 100], 0, (5, 0, 20)), 500).unwrap(), 20);
    log.close().unwrap();
    let mut log = open(dir.path());
    assert_eq!(append(&mut log, &batch(1, &[0; 100], 0, (5, 0, 20)), 500).unwrap(), 20);
    assert_eq!(log.end(), 21);
}

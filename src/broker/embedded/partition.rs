//! A partition as requests see it: its log behind a lock, opened on first use, and who waits for more.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::log::batch::BatchHeader;
use super::log::compact::{Made, Policy, Shared};
use super::log::files::{Files, lock};
use super::log::{AppendError, Limits, Log, Roll, Slice, Sought};

/// How far a partition reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset that the next record will get; also the high watermark, because there is no replica to wait for.
    pub end: i64,
}

impl Reach {
    pub fn contains(&self, offset: i64) -> bool {
        (self.start..=self.end).contains(&offset)
    }
}

/// One partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    dir: PathBuf,
    files: Arc<Files>,
    /// `None` until the first request, so that a start takes no longer with more partitions.
    log: Mutex<Option<Log>>,
    /// Held while the log is synced, so that what was written first is synced first.
    syncing: Mutex<()>,
    /// The topic has been deleted; requests that looked it up before must not make its folder again.
    gone: AtomicBool,
    /// Fetches that wait for data. Bounded by the number of connections: each waits for one fetch at most.
    waiting: Mutex<Vec<Arc<Notify>>>,
}

impl Partition {
    pub fn new(dir: PathBuf, files: Arc<Files>) -> Self {
        Self {
            dir,
            files,
            log: Mutex::new(None),
            syncing: Mutex::default(),
            gone: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// Runs `what` on the log, opening it first where nobody has.
    fn with<T, E: From<io::Error>>(&self, what: impl FnOnce(&mut Log) -> Result<T, E>) -> Result<T, E> {
        let mut guard = lock(&self.log);
        if self.is_gone() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the topic has been deleted").into());
        }
        match guard.as_mut() {
            Some(log) => what(log),
            None => what(guard.insert(Log::open(&self.dir, Arc::clone(&self.files))?)),
        }
    }

    /// Opens the log if nobody has, so that a torn end is found before somebody asks.
    pub fn open(&self) -> io::Result<()> {
        self.with(|_| Ok(()))
    }

    pub fn reach(&self) -> io::Result<Reach> {
        self.with(|log| Ok(reach(log)))
    }

    /// Appends a verified batch and wakes who waits for it. Answers with the batch's base offset and the log's reach.
    pub fn append(&self, bytes: &[u8], header: &BatchHeader, roll: Roll) -> Result<(i64, Reach), AppendError> {
        let appended = self.with(|log| -> Result<_, AppendError> {
            let base = log.append(bytes, header, roll)?;
            Ok((base, reach(log)))
        })?;
        self.wake();
        Ok(appended)
    }

    /// The reach, and where to read from `offset` on: `None` where the offset is out of range or is the end.
    pub fn slice(&self, offset: i64) -> io::Result<(Reach, Option<Slice>)> {
        let (reach, mut slice) = self.with(|log| -> io::Result<_> {
            let reach = reach(log);
            let inside = reach.contains(offset) && offset < reach.end;
            let slice = if inside { log.slice(offset)? } else { None };
            Ok((reach, slice))
        })?;
        // Near the end of a compacted segment the batch may stand in a later one. Batches without records are passed: librdkafka
        // takes an answer of nothing else for one that was too small, and gives up after some of them. At the end of the log the
        // last of them says how far it reaches.
        let mut empty = None;
        while let Some(candidate) = slice {
            match candidate.seek_records(offset)? {
                Sought::Records(found) => return Ok((reach, Some(found))),
                Sought::Empty(last) => empty = Some(last),
                Sought::Nothing => {}
            }
            slice = match candidate.next_base {
                Some(base) => self.with(|log| log.slice(base))?,
                None => None,
            };
        }
        Ok((reach, empty))
    }

    /// Where to look for the first record at or after `timestamp`.
    pub fn slice_of_time(&self, timestamp: i64) -> io::Result<(Reach, Option<Slice>)> {
        self.with(|log| Ok((reach(log), log.slice_of_time(timestamp)?)))
    }

    pub fn max_timestamp(&self) -> io::Result<Option<i64>> {
        self.with(|log| Ok(log.max_timestamp()))
    }

    pub fn delete_before(&self, offset: i64) -> io::Result<Reach> {
        let after = self.with(|log| -> io::Result<_> {
            log.delete_before(offset)?;
            Ok(reach(log))
        })?;
        self.wake();
        Ok(after)
    }

    /// Has `notify` called when something changes here; the caller looks once more after this, so that nothing is missed.
    pub fn watch(&self, notify: &Arc<Notify>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|other| Arc::ptr_eq(other, notify)) {
            waiting.push(Arc::clone(notify));
        }
    }

    pub fn unwatch(&self, notify: &Arc<Notify>) {
        lock(&self.waiting).retain(|other| !Arc::ptr_eq(other, notify));
    }

    /// Wakes every fetch that waits here: there is more to read, or the topic is gone.
    pub fn wake(&self) {
        for notify in lock(&self.waiting).drain(..) {
            notify.notify_one();
        }
    }

    pub fn retain(&self, limits: &Limits, now: i64) -> io::Result<()> {
        self.with(|log| log.retain(limits, now))
    }

    /// Lets go of the log of a deleted topic and wakes who waits for it.
    pub fn discard(&self) {
        let mut guard = lock(&self.log);
        self.gone.store(true, Ordering::Release);
        if let Some(log) = guard.take() {
            log.forget();
        }
        drop(guard);
        self.wake();
    }

    /// Whether the topic has been deleted since this was looked up.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Syncs what was written since the last call; a log that nobody opened has nothing.
    pub fn sync(&self) -> io::Result<()> {
        let _first_come = lock(&self.syncing);
        let unsynced = lock(&self.log).as_mut().map(Log::take_unsynced).unwrap_or_default();
        for written in unsynced {
            // Of a segment that was removed meanwhile nothing has to survive.
            if let Err(error) = written.sync()
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            lock(&self.log).as_mut().map_or(Ok(()), |log| log.settle(written))?;
        }
        Ok(())
    }

    /// Compacts the log where that is worth it, after closing its active segment where that is old. Records come and go
    /// meanwhile.
    pub fn compact(&self, policy: Policy, roll: Roll, now: i64, cancelled: &AtomicBool) -> io::Result<()> {
        self.with(|log| log.roll_aged(roll))?;
        self.sync()?;
        match self.with(|log| log.plan(policy, now))? {
            Some(plan) => plan.run(&Round {
                partition: self,
                cancelled,
            }),
            None => Ok(()),
        }
    }

    /// Syncs the log and leaves it so that it opens without being read.
    pub fn close(&self) -> io::Result<()> {
        lock(&self.log).as_mut().map_or(Ok(()), Log::close)
    }
}

/// A round of compaction, which takes the lock for moments only.
struct Round<'a> {
    partition: &'a Partition,
    cancelled: &'a AtomicBool,
}

impl Shared for Round<'_> {
    fn file(&self, id: u64) -> io::Result<Option<Arc<File>>> {
        self.partition.with(|log| log.segment_file(id))
    }

    fn replace(&self, made: &Made) -> io::Result<bool> {
        self.partition.with(|log| log.replace(made))
    }

    fn cleaned(&self, until: i64) -> io::Result<()> {
        self.partition.with(|log| log.set_cleaned(until))
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

fn reach(log: &Log) -> Reach {
    Reach {
        start: log.start(),
        end: log.end(),
    }
}

//! Open files, at most so many at once: a topic may have more partitions and segments than a process may have open files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Well under the usual limit of 1024, which sockets and SQLite share.
const CAPACITY: usize = 256;

/// Locks a mutex whose data stays usable if a holder panicked: every critical section here leaves it consistent at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    used: u64,
}

/// Opens files when they are needed and closes those that were not used for longest.
#[derive(Debug, Default)]
pub(crate) struct Files {
    open: Mutex<HashMap<u64, Open>>,
    clock: AtomicU64,
    ids: AtomicU64,
}

impl Files {
    /// A number for a file; never given twice, so that a new file of an old name is not mistaken for it.
    pub fn new_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The file, opened for reading and appending, created where it does not exist and `create` is set.
    pub fn get(&self, id: u64, path: &Path, create: bool) -> io::Result<Arc<File>> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut open = lock(&self.open);
        if let Some(entry) = open.get_mut(&id) {
            entry.used = now;
            return Ok(Arc::clone(&entry.file));
        }
        let file = Arc::new(OpenOptions::new().read(true).append(true).create(create).open(path)?);
        if open.len() >= CAPACITY
            && let Some(oldest) = open.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(
            id,
            Open {
                file: Arc::clone(&file),
                used: now,
            },
        );
        Ok(file)
    }

    /// Has another file serve in place of one, until it is forgotten.
    #[cfg(test)]
    pub fn replace_for_test(&self, id: u64, path: &Path) {
        let file = OpenOptions::new().read(true).append(true).open(path).unwrap();
        let file = Arc::new(file);
        lock(&self.open).insert(id, Open { file, used: u64::MAX });
    }

    /// Closes a file whose segment is gone; readers that hold it may finish.
    pub fn forget(&self, id: u64) {
        lock(&self.open).remove(&id);
    }
}

/// What a test of crashes counts before each change that compaction makes to the disk; nothing otherwise.
#[cfg(not(test))]
pub(crate) fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// How many changes are left until nothing more reaches the disk, as if the process had been killed.
    pub(crate) static CRASH_AFTER: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

#[cfg(test)]
pub(crate) fn step() -> io::Result<()> {
    match CRASH_AFTER.get() {
        usize::MAX => Ok(()),
        0 => Err(io::Error::other("killed by the test")),
        left => {
            CRASH_AFTER.set(left - 1);
            Ok(())
        }
    }
}

/// Replaces `path` by `bytes` so that a crash leaves the old file or the new one, never a mixture.
pub(crate) fn replace(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    step()?;
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    drop(file);
    step()?;
    std::fs::rename(&temporary, path)?;
    if durable && let Some(dir) = path.parent() {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Makes names in a directory survive a power loss.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_fit_are_served_by_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::default();
        let ids: Vec<u64> = (0..CAPACITY + 20).map(|_| files.new_id()).collect();
        for id in &ids {
            files.get(*id, &dir.path().join(id.to_string()), true).unwrap();
        }
        assert_eq!(lock(&files.open).len(), CAPACITY);
        files.get(ids[0], &dir.path().join("0"), false).unwrap();
    }

    #[test]
    fn replace_leaves_only_the_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        replace(&path, b"one", true).unwrap();
        replace(&path, b"two", false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

//! One capture of a database at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::ReadModelError;

/// That a database is captured by this process; it ends with it.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child between fork and exec still has the file open, and the lock would seem held.
        let _ = self.file.unlock();
    }
}

/// Keeps every other capture of the database at `path` away: two would write its changes twice, and the one that is behind would write
/// old rows over new ones. The lock is a file beside the database; a lock on the database's own file would take SQLite's away.
pub fn hold(path: &Path) -> Result<Held, ReadModelError> {
    let not_so = |reason: String, help: &str| ReadModelError::Capture {
        path: path.to_owned(),
        reason,
        help: help.to_owned(),
    };
    let real = fs::canonicalize(path)
        .map_err(|error| not_so(format!("cannot open it: {error}"), "give the file of a SQLite database"))?;
    let beside = lock_of(&real);
    let cannot = |error: std::io::Error| {
        let reason = format!("cannot lock {}: {error}", beside.display());
        not_so(
            reason,
            "the database's folder must be writable, as SQLite itself needs it",
        )
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&beside)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Held { file }),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
        Err(TryLockError::WouldBlock) => Err(not_so(
            "another capture of it is running".to_owned(),
            "one is enough: end the other one first",
        )),
    }
}

pub(super) fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-capture.lock");
    PathBuf::from(name)
}

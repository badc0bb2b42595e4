//! One writer for each read model, among threads and processes: a lock on a file beside it, which says who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::ReadModelError;

/// A held lock. The operating system lets it go when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child between fork and exec still has the file open, and the lock would seem held.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock, or says who holds it. `doing` is told to whoever comes next, such as `following`.
    pub(super) fn take(path: &Path, name: &str, doing: &str) -> Result<Self, ReadModelError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| ReadModelError::io("cannot create", folder, error))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| ReadModelError::io("cannot open", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder may be between taking the lock and writing its name.
                let _ = file.read_to_string(&mut holder);
                if holder.trim().is_empty() {
                    holder = "another process".to_owned();
                }
                return Err(ReadModelError::Locked {
                    name: name.to_owned(),
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(ReadModelError::io("cannot lock", path, error)),
        }
        let since = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC");
        let text = format!("process {} ({doing}, since {since})\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|error| ReadModelError::io("cannot write", path, error))?;
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a.lock");
        let held = Lock::take(&path, "a", "following").unwrap();
        let refused = Lock::take(&path, "a", "rebuilding").unwrap_err();
        let expected = format!("being written by process {} (following, since ", std::process::id());
        assert!(refused.to_string().contains(&expected), "{refused}");
        // As a child process has it until it runs a program of its own.
        let inherited = held.file.try_clone().unwrap();
        drop(held);
        Lock::take(&path, "a", "rebuilding").unwrap();
        drop(inherited);
    }
}

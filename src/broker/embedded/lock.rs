//! The lock on the data directory: one process serves it, the others find in the lock file where.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// Who serves the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub pid: u32,
    pub address: SocketAddr,
}

/// The held lock; it is given back when this is dropped, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    last: Option<SocketAddr>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child process between fork and exec still has the file open, and the lock with it.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of the data directory was not given back");
        }
    }
}

/// What taking the lock came to.
#[derive(Debug)]
pub(crate) enum Taken {
    Held(Held),
    /// Another process has it, and says where it serves once it does.
    By(Option<Holder>),
}

fn path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// Takes the lock of `dir`, or reads who has it.
pub(crate) fn take(dir: &Path) -> Result<Taken, EmbeddedError> {
    let failed = |cause| EmbeddedError::Directory {
        path: dir.to_path_buf(),
        cause,
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path(dir))
        .map_err(failed)?;
    let held = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    let said = parse(&String::from_utf8_lossy(&text));
    if !held {
        return Ok(Taken::By(
            said.and_then(|(pid, address)| Some(Holder { pid: pid?, address })),
        ));
    }
    let mut held = Held {
        file,
        last: said.map(|(_, address)| address),
    };
    // Who looks now must wait for this process and not ask for the one before it.
    let line = held
        .last
        .map_or(String::new(), |address| format!("{NOBODY} {address}\n"));
    held.write(&line).map_err(failed)?;
    Ok(Taken::Held(held))
}

/// In place of a process id: what follows is where the directory was served before.
const NOBODY: &str = "-";

/// Where the directory is served and by whom, or where it was.
fn parse(text: &str) -> Option<(Option<u32>, SocketAddr)> {
    let (pid, address) = text.strip_suffix('\n')?.split_once(' ')?;
    let pid = if pid == NOBODY { None } else { Some(pid.parse().ok()?) };
    Some((pid, address.parse().ok()?))
}

impl Held {
    /// Where the directory was served before, as far as that is known.
    pub fn last(&self) -> Option<SocketAddr> {
        self.last
    }

    /// Tells the others where this process serves.
    pub fn announce(&mut self, address: SocketAddr) -> io::Result<()> {
        self.write(&format!("{} {address}\n", std::process::id()))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        // One write, so that nobody reads half of it; the line end says that it is whole.
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_learns_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let Taken::Held(mut held) = take(dir.path()).unwrap() else {
            panic!("nobody holds it")
        };
        assert!(matches!(take(dir.path()).unwrap(), Taken::By(None)));
        let address = "127.0.0.1:9092".parse().unwrap();
        held.announce(address).unwrap();
        let Taken::By(Some(holder)) = take(dir.path()).unwrap() else {
            panic!("it is held")
        };
        assert_eq!((holder.pid, holder.address), (std::process::id(), address));
        drop(held);
        assert!(matches!(take(dir.path()).unwrap(), Taken::Held(_)));
    }

    #[test]
    fn who_comes_next_learns_where_it_was_served_though_those_between_said_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let held = || match take(dir.path()).unwrap() {
            Taken::Held(held) => held,
            Taken::By(holder) => panic!("{holder:?} holds it"),
        };
        assert_eq!(held().last(), None);
        let address = "127.0.0.1:9092".parse().unwrap();
        held().announce(address).unwrap();
        for _ in 0..2 {
            let silent = held();
            assert_eq!(silent.last(), Some(address));
            assert!(matches!(take(dir.path()).unwrap(), Taken::By(None)));
        }
    }

    #[test]
    fn it_is_given_back_though_a_child_process_still_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let Taken::Held(held) = take(dir.path()).unwrap() else {
            panic!("nobody holds it")
        };
        // As a fork has it until it becomes another program.
        let _of_the_child = held.file.try_clone().unwrap();
        drop(held);
        assert!(matches!(take(dir.path()).unwrap(), Taken::Held(_)));
    }

    #[test]
    fn half_a_line_names_nobody() {
        assert_eq!(parse("123 127.0.0.1:90"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("x 127.0.0.1:90\n"), None);
        assert_eq!(parse("-\n"), None);
    }
}

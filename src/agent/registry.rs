//! How far each file was read, kept over restarts.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::AgentError;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it was seen last.
    pub path: PathBuf,
    /// Where it was found first: what its records have as their key, so that they stay in order through a rotation.
    pub key: PathBuf,
    /// The device that it lies on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// The number of what it says, among all that was ever followed. A file that is cut and begun anew has another; its copy
    /// goes on with the one that it had.
    pub number: u64,
    /// How far its lines have arrived: the beginning of the next.
    pub offset: u64,
    /// Checksum of all that lies before `offset`.
    pub checksum: u32,
    /// How far its lines were handed out, whether they have arrived or not.
    pub ahead: u64,
    /// Checksum of all that lies before `ahead`.
    pub ahead_checksum: u32,
    /// How many of its first bytes `head` is about.
    pub head_len: u64,
    /// Checksum of its first bytes, by which it is known again.
    pub head: u32,
    /// Where it is a copy of a file that is followed: the number of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    id: Uuid,
    next: u64,
    files: Vec<Entry>,
}

/// A registry on disk. Whoever has it holds its lock.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    /// What tells its numbers from those of every other.
    pub(super) id: Uuid,
    next: u64,
    /// What is known, in the order of their numbers.
    pub(super) entries: Vec<Entry>,
    _lock: File,
}

impl Registry {
    /// Reads the registry at `path`, or begins one there. Only one agent can have it.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| AgentError::io("create", folder, error))?;
        }
        // A file of its own: the registry itself is replaced at every commit.
        let lock_path = beside(path, "lock");
        let lock = OpenOptions::new().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(|error| AgentError::io("open", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(AgentError::Locked { path: path.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(AgentError::io("lock", &lock_path, error)),
        }
        let content = read(path)?.unwrap_or_else(|| Content {
            id: Uuid::new_v4(),
            next: 0,
            files: Vec::new(),
        });
        Ok(Self {
            path: path.to_owned(),
            id: content.id,
            next: content.next,
            entries: content.files,
            _lock: lock,
        })
    }

    /// What an agent has written down at `path`, whether it is at work or not; nothing where none was there.
    pub(super) fn peek(path: &Path) -> Result<Vec<Entry>, AgentError> {
        Ok(read(path)?.map_or_else(Vec::new, |content| content.files))
    }

    /// A number that no file had before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Writes down what is known: what a crash leaves is this or what was before.
    pub(super) fn write(&self) -> Result<(), AgentError> {
        let content = Content {
            id: self.id,
            next: self.next,
            files: self.entries.clone(),
        };
        let text = serde_json::to_vec_pretty(&content).unwrap_or_default();
        let new = beside(&self.path, "new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            // Its name as well: with the old registry numbers would be given out once more.
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| AgentError::io("write", &self.path, error))
    }
}

fn read(path: &Path) -> Result<Option<Content>, AgentError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| AgentError::Registry {
                path: path.to_owned(),
                reason: error.to_string(),
            }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AgentError::io("read", path, error)),
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

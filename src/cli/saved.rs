//! Files that somebody is editing, looked at until they are saved.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How often they are read: soon for whoever just saved one, and nothing for the machine.
const EVERY: Duration = Duration::from_millis(300);

/// What some files said when they were last looked at.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    files: Vec<PathBuf>,
    texts: Option<Vec<Option<String>>>,
}

impl Saved {
    /// Nothing was looked at yet.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            texts: None,
        }
    }

    /// Whether this is the first look.
    pub(super) fn is_new(&self) -> bool {
        self.texts.is_none()
    }

    /// Whether they say something else than at the look before; so does the first look.
    pub(super) fn changed(&mut self) -> bool {
        // The text and not the time of change: two saves may fall into one tick of the file system's clock.
        let now = Some(self.files.iter().map(|file| fs::read_to_string(file).ok()).collect());
        let changed = self.texts != now;
        self.texts = now;
        changed
    }

    /// Waits until it is time for the next look.
    pub(super) fn wait(&self) {
        thread::sleep(EVERY);
    }
}

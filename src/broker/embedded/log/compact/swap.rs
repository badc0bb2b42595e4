//! Puts a compacted segment in place of old ones so that a crash leaves the old or the new.
//!
//! Several files cannot be exchanged at once. So what is to be exchanged is written down first, in the file `swap`: from then
//! on the new segment counts, and whoever opens the log finishes the exchange. Before it exists, what lies beside counts for
//! nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::super::files;
use super::super::{Log, Segment, remove, segment_path};
use super::{Made, remove_beside};
use crate::broker::embedded::log::recovery::names;

/// The file that says which segments are exchanged.
const SWAP: &str = "swap";

impl Log {
    /// Puts a segment in place of old ones; `false` where retention has removed one of those.
    pub fn replace(&mut self, made: &Made) -> io::Result<bool> {
        let base = made.old[0].base;
        let at = self.segments.iter().position(|segment| segment.id == made.old[0].id);
        let there = at.is_some_and(|at| {
            let found = self.segments.iter().skip(at).map(|segment| segment.id);
            let wanted = made.old.iter().map(|part| part.id);
            // The active segment is never among them, so that one follows.
            at + made.old.len() < self.segments.len() && found.take(made.old.len()).eq(wanted)
        });
        let (Some(at), true) = (at, there) else {
            remove_beside(&self.dir, base)?;
            return Ok(false);
        };
        let end = self.segments[at + made.old.len()].base;
        files::replace(&self.dir.join(SWAP), format!("{base} {end}\n").as_bytes(), true)?;
        let exchanged = exchange(&self.dir, base, end);
        if exchanged.is_err() && segment_path(&self.dir, base, "log.cleaned").exists() {
            // Nothing was touched yet, so that the old ones still count.
            remove(&self.dir.join(SWAP))?;
            remove_beside(&self.dir, base)?;
            return exchanged.map(|()| false);
        }
        for old in self.segments.drain(at..at + made.old.len()) {
            self.files.forget(old.id);
        }
        let segment = Segment {
            id: self.files.new_id(),
            base,
            index: made.index.clone(),
            opened: Instant::now(),
            settled: true,
        };
        self.segments.insert(at, segment);
        exchanged.map(|()| true)
    }
}

/// Finishes an exchange that was begun, and removes what lies beside the log for none. Answers whether there was anything.
pub(in super::super) fn finish(dir: &Path) -> io::Result<bool> {
    let found = match fs::read_to_string(dir.join(SWAP)) {
        Ok(text) => {
            let mut numbers = text.split_whitespace().map(str::parse);
            let (Some(Ok(base)), Some(Ok(end))) = (numbers.next(), numbers.next()) else {
                let why = format!("{} is damaged: it names no segments", dir.join(SWAP).display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            exchange(dir, base, end)?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok(remove_unwanted(dir)? || found)
}

/// Removes what a round wrote that came to no end.
fn remove_unwanted(dir: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let mut found = false;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cleaned") {
            remove(&path)?;
            found = true;
        }
    }
    Ok(found)
}

/// Exchanges the segments from `base` to `end`; the same again changes nothing.
fn exchange(dir: &Path, base: i64, end: i64) -> io::Result<()> {
    for extension in ["log", "index"] {
        let beside = segment_path(dir, base, &format!("{extension}.cleaned"));
        files::step()?;
        match fs::rename(&beside, segment_path(dir, base, extension)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for extension in ["log", "index", "producers"] {
        let within = names(dir, extension)?
            .into_iter()
            .filter(|at| (base + 1..end).contains(at));
        for old in within {
            remove(&segment_path(dir, old, extension))?;
        }
    }
    files::step()?;
    files::sync_dir(dir)?;
    remove(&dir.join(SWAP))?;
    // A power loss must not bring it back beside what is written later.
    files::sync_dir(dir)
}

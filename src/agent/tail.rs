//! The files that are followed: found, read, rotated.
//!
//! A file is its inode and not its name, so that one that was renamed goes on being read where it was. A file that was cut (copied
//! and truncated by whoever rotates it) begins anew; what was not read of it before is read from the copy, which is known by its
//! first bytes being those that were read. Until then a copy says nothing new, and is not read.
//!
//! Two short files can begin alike without one being a copy of the other: a copy that is shorter than what a file is known again by, and
//! whose original is not cut for a while, is a file like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bytes::{HEAD, are_alike, checksum, has_head, head_of, leads_to, siblings};
use super::error::AgentError;
use super::glob;
use super::lines::Place;
use super::registry::{Entry, Registry};

/// How much of one file is read before the next has its turn.
const TURN: usize = 256 * 1024;
/// How much is handed out at once, all files together.
const AT_ONCE: usize = 4 * 1024 * 1024;
/// How often a file is looked at in vain before it is closed. Whoever writes one that was renamed may not know it yet, and one that
/// was deleted can be read for as long as it is open.
const LINGERS: u32 = 120;
/// For how many looks a short file can be held for a copy; there are two in a poll. Who rotates by copying cuts at once.
const PRESUMED: u32 = 240;

/// A line to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file that it stands in.
    pub path: PathBuf,
    /// Where that file was found first.
    pub key: PathBuf,
    /// Its first byte.
    pub offset: u64,
    /// Its text.
    pub bytes: Vec<u8>,
    /// Whether it was longer.
    pub cut: bool,
    /// What tells it from every other line, and is the same should it be read again.
    pub id: String,
}

/// What was noticed while files were looked at, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A file is followed from now on.
    Found(PathBuf),
    /// A file was renamed and is read to its end.
    Renamed(PathBuf, PathBuf),
    /// A file was cut and begun anew.
    Truncated(PathBuf),
    /// A compressed file, which is not read.
    Compressed(PathBuf),
    /// A file has the beginning of another, byte for byte and nothing else, and is not read for as long as that is so.
    Copy(PathBuf, PathBuf),
    /// A file cannot be read, and why.
    Unreadable(PathBuf, String),
}

/// Follows files.
#[derive(Debug)]
pub struct Tail {
    patterns: Vec<PathBuf>,
    longest: usize,
    registry: Registry,
    open: Vec<Open>,
    /// What people were told of already.
    told: BTreeSet<PathBuf>,
    notices: Vec<Notice>,
    /// Which patterns meant no file at the last look.
    unmatched: Vec<PathBuf>,
    /// What is known of copies, by their numbers.
    copies: BTreeMap<u64, Copied>,
    /// Whether files were found or renamed since the registry was written.
    changed: bool,
    /// Whose turn is first.
    turn: usize,
}

/// How a copy was when it was held against its original the last time.
#[derive(Debug, Clone, Copy, Default)]
struct Copied {
    len: u64,
    modified: (i64, i64),
    /// How often it was found to be one.
    looks: u32,
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    place: Place,
    /// How often nothing came of late.
    idle: u32,
}

impl Tail {
    /// Follows what `patterns` mean, going on where the registry says. No line is longer than `longest` bytes.
    pub fn new(patterns: Vec<PathBuf>, longest: usize, registry: Registry) -> Self {
        Self {
            patterns,
            longest: longest.max(1),
            registry,
            open: Vec::new(),
            told: BTreeSet::new(),
            notices: Vec::new(),
            unmatched: Vec::new(),
            copies: BTreeMap::new(),
            changed: true,
            turn: 0,
        }
    }

    /// The next lines of all files; none where nothing came. When they have arrived, [`Tail::commit`] says so; should it never be
    /// called, the next agent hands out the same lines with the same ids.
    pub fn poll(&mut self) -> Result<Vec<Line>, AgentError> {
        // Where what is known lies now decides what a new file is a copy of.
        self.follow_renamed();
        self.discover();
        let mut lines = Vec::new();
        let mut room = AT_ONCE;
        for at in 0..self.open.len() {
            let at = (self.turn + at) % self.open.len();
            if room == 0 {
                self.turn = at;
                break;
            }
            self.read(at, &mut lines, &mut room);
        }
        self.open.retain(|open| open.idle < LINGERS);
        if self.changed || !lines.is_empty() {
            // What is handed out is known by a number and an offset, which must be the same after a crash.
            self.registry.write()?;
            self.changed = false;
        }
        Ok(lines)
    }

    /// Writes down that everything that was handed out has arrived.
    pub fn commit(&mut self) -> Result<(), AgentError> {
        for open in &self.open {
            let known = self
                .registry
                .entries
                .iter_mut()
                .find(|entry| entry.number == open.number);
            if let Some(known) = known {
                (known.offset, known.checksum) = (open.place.offset, open.place.checksum);
            }
        }
        self.registry.write()?;
        self.changed = false;
        Ok(())
    }

    /// What was noticed since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Which patterns meant no file when it last looked.
    pub fn unmatched(&self) -> &[PathBuf] {
        &self.unmatched
    }

    /// Whether no pattern meant any.
    pub fn matches_nothing(&self) -> bool {
        self.unmatched.len() == self.patterns.len()
    }

    /// Takes short files that are held for copies for files like any other, for whoever does not wait what becomes of them. Says
    /// whether there are any.
    pub fn read_presumed_copies(&mut self) -> bool {
        let presumed: Vec<u64> = self
            .registry
            .entries
            .iter()
            .filter_map(|entry| entry.copy_of.and(Some(entry.number)))
            .collect();
        let mut found = false;
        for number in presumed {
            let known = self.copies.entry(number).or_default();
            if known.len < HEAD {
                known.looks = PRESUMED;
                found = true;
            }
        }
        found
    }

    /// How many files are open.
    pub fn files(&self) -> usize {
        self.open.len()
    }

    fn say(&mut self, path: &Path, notice: Notice) {
        if self.told.insert(path.to_owned()) {
            self.notices.push(notice);
        }
    }

    /// Finds files that are new, have another name, or were cut, and opens those that have something to read.
    fn discover(&mut self) {
        let mut paths = Vec::new();
        self.unmatched.clear();
        for pattern in &self.patterns {
            let files = glob::files(pattern);
            if files.is_empty() {
                self.unmatched.push(pattern.clone());
            }
            paths.extend(files);
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            if path
                .extension()
                .is_some_and(|end| end == "gz" || end == "zst" || end == "bz2" || end == "xz")
            {
                self.say(&path, Notice::Compressed(path.clone()));
                continue;
            }
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
            match opened {
                Ok((meta, file)) => self.look_at(&path, &meta, file),
                Err(error) => self.say(&path, Notice::Unreadable(path.clone(), error.to_string())),
            }
        }
    }

    fn look_at(&mut self, path: &Path, meta: &Metadata, file: File) {
        match self.known(meta) {
            Some(at) => {
                let entry = &mut self.registry.entries[at];
                // A second name, such as a link's, is none to go over to.
                if entry.path != path && !leads_to(&entry.path, meta) {
                    path.clone_into(&mut entry.path);
                    self.changed = true;
                }
                self.look_again(at, meta, file);
            }
            None => {
                let original = self.original_of(path, meta, &file);
                let entry = self.entry(path, path, meta, original.map(|at| self.registry.entries[at].number));
                match original {
                    Some(at) => {
                        let of = self.registry.entries[at].path.clone();
                        self.copies.insert(entry.number, Copied::now(meta, 0));
                        self.notices.push(Notice::Copy(path.to_owned(), of));
                    }
                    None => {
                        self.notices.push(Notice::Found(path.to_owned()));
                        self.begin(&entry, file);
                    }
                }
                self.registry.entries.push(entry);
            }
        }
    }

    fn entry(&mut self, path: &Path, key: &Path, meta: &Metadata, copy_of: Option<u64>) -> Entry {
        self.changed = true;
        Entry {
            path: path.to_owned(),
            key: key.to_owned(),
            device: meta.dev(),
            inode: meta.ino(),
            number: self.registry.number(),
            offset: 0,
            checksum: 0,
            ahead: 0,
            ahead_checksum: 0,
            head_len: 0,
            head: 0,
            copy_of,
        }
    }

    fn known(&self, meta: &Metadata) -> Option<usize> {
        let same = |entry: &Entry| (entry.device, entry.inode) == (meta.dev(), meta.ino());
        self.registry.entries.iter().position(same)
    }

    fn of_number(&self, number: u64) -> Option<usize> {
        self.registry.entries.iter().position(|entry| entry.number == number)
    }

    fn begin(&mut self, entry: &Entry, file: File) {
        self.open.push(Open {
            number: entry.number,
            file,
            place: Place::new(entry.offset, entry.checksum),
            idle: 0,
        });
    }

    /// A file that is known: is it still the same, and is there something to read?
    fn look_again(&mut self, at: usize, meta: &Metadata, file: File) {
        let entry = self.registry.entries[at].clone();
        if let Some(original) = entry.copy_of {
            if !self.is_copy_still(entry.number, original, meta, &file) {
                self.copies.remove(&entry.number);
                // It went its own way, or what it was a copy of is gone: it is a file like any other.
                self.registry.entries[at].copy_of = None;
                self.changed = true;
                self.notices.push(Notice::Found(entry.path.clone()));
                let entry = self.registry.entries[at].clone();
                self.begin(&entry, file);
            }
            return;
        }
        if meta.len() < entry.ahead || !has_head(&file, &entry) {
            self.cut(at, meta, file);
            return;
        }
        let is_open = self.open.iter().any(|open| open.number == entry.number);
        if !is_open && meta.len() > entry.offset {
            self.begin(&entry, file);
        }
    }

    /// A file that begins anew. What was not read of it is read from its copy, where there is one.
    fn cut(&mut self, at: usize, meta: &Metadata, file: File) {
        let before = self.registry.entries[at].clone();
        self.notices.push(Notice::Truncated(before.path.clone()));
        self.open.retain(|open| open.number != before.number);
        let anew = self.entry(&before.path, &before.key, meta, None);
        self.begin(&anew, file);
        self.registry.entries[at] = anew;
        self.read_copy(&before);
    }

    /// Goes on in the copy that was made of a file before it was cut.
    fn read_copy(&mut self, before: &Entry) {
        if before.ahead == 0 {
            return;
        }
        let marked: Vec<PathBuf> = self.copies_of(before.number).map(|copy| copy.path.clone()).collect();
        let beside = siblings(&before.path);
        let mut candidates: Vec<(Metadata, PathBuf)> = marked
            .into_iter()
            .chain(beside)
            .filter_map(|path| Some((fs::metadata(&path).ok()?, path)))
            .filter(|(meta, _)| meta.is_file())
            .collect();
        // The newest first: one that was made by hand long ago is not where the rest is.
        candidates.sort_by_key(|(meta, _)| std::cmp::Reverse((meta.mtime(), meta.mtime_nsec())));
        let mut found = false;
        for (meta, path) in candidates {
            let known = self.known(&meta);
            let is_marked = known.is_some_and(|at| self.registry.entries[at].copy_of == Some(before.number));
            if known.is_some() && !is_marked {
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            let whole = meta.len() >= before.ahead && checksum(&file, before.ahead) == Some(before.ahead_checksum);
            if !whole && !is_marked {
                continue;
            }
            let at = match known {
                Some(at) => at,
                None => {
                    let entry = self.entry(&path, &before.key, &meta, None);
                    self.registry.entries.push(entry);
                    self.registry.entries.len() - 1
                }
            };
            self.changed = true;
            let entry = &mut self.registry.entries[at];
            entry.copy_of = None;
            if whole && !found {
                found = true;
                *entry = Entry {
                    path,
                    device: meta.dev(),
                    inode: meta.ino(),
                    ..before.clone()
                };
                let entry = entry.clone();
                self.begin(&entry, file);
            } else {
                // A second copy has nothing more, and what it has was read.
                let sum = checksum(&file, meta.len()).unwrap_or(0);
                (entry.offset, entry.checksum) = (meta.len(), sum);
                (entry.ahead, entry.ahead_checksum) = (meta.len(), sum);
                (entry.head_len, entry.head) = head_of(&file, meta.len());
            }
        }
    }

    fn copies_of(&self, number: u64) -> impl Iterator<Item = &Entry> {
        self.registry
            .entries
            .iter()
            .filter(move |entry| entry.copy_of == Some(number))
    }

    /// The file beside it of which a new one is a copy.
    fn original_of(&self, path: &Path, meta: &Metadata, file: &File) -> Option<usize> {
        let folder = path.parent();
        let beside = |entry: &&Entry| entry.path.parent() == folder && entry.copy_of.is_none();
        let original = self
            .registry
            .entries
            .iter()
            .filter(beside)
            .find(|entry| self.is_copy(entry, meta, file, 0))?;
        self.of_number(original.number)
    }

    /// Whether a file that is held for a copy still is one. What was compared before is not read again: a log only grows.
    fn is_copy_still(&mut self, number: u64, original: u64, meta: &Metadata, file: &File) -> bool {
        let Some(at) = self.of_number(original) else {
            return false;
        };
        let before = self.copies.get(&number).copied().unwrap_or_default();
        let now = Copied::now(meta, before.looks.saturating_add(1));
        let same = if (now.len, now.modified) == (before.len, before.modified) || now.len > before.len {
            before.len
        } else {
            0
        };
        let is_short = meta.len() < HEAD && now.looks > PRESUMED;
        let is_copy = !is_short && self.is_copy(&self.registry.entries[at], meta, file, same);
        self.copies.insert(number, now);
        is_copy
    }

    /// Whether a file has the beginning of another, byte for byte, and nothing else; the first `same` bytes are known to be alike. One
    /// that was cut meanwhile has given its copy up: [`Tail::read_copy`].
    fn is_copy(&self, entry: &Entry, meta: &Metadata, file: &File, same: u64) -> bool {
        let Ok(other) = File::open(&entry.path) else {
            return false;
        };
        let Ok(there) = other.metadata() else { return false };
        if (there.dev(), there.ino()) != (entry.device, entry.inode) {
            return false;
        }
        if there.len() < entry.ahead || !has_head(&other, entry) {
            // It was cut just now, which is noticed when it is looked at; until then nothing is decided about its copies.
            return meta.len() >= entry.ahead && checksum(file, entry.ahead) == Some(entry.ahead_checksum);
        }
        meta.len() > 0 && meta.len() <= there.len() && are_alike(file, &other, same, meta.len())
    }

    /// Whether the file at an entry's own path is the same one with another identity, which it has from now on: devices have other
    /// numbers after a restart, and what is put back from a backup has another inode.
    fn moved(&mut self, at: usize) -> bool {
        let entry = &self.registry.entries[at];
        let Some((meta, file)) = File::open(&entry.path)
            .and_then(|file| Ok((file.metadata()?, file)))
            .ok()
        else {
            return false;
        };
        // A short one may be another that begins alike.
        let may_be = meta.ino() == entry.inode || entry.ahead >= HEAD;
        let fits = may_be && entry.ahead > 0 && meta.len() >= entry.ahead && self.known(&meta).is_none();
        if !fits || entry.copy_of.is_some() || checksum(&file, entry.ahead) != Some(entry.ahead_checksum) {
            return false;
        }
        let entry = &mut self.registry.entries[at];
        (entry.device, entry.inode) = (meta.dev(), meta.ino());
        self.changed = true;
        true
    }

    /// Finds the new names of files that were renamed, reads those that no pattern means any more, and forgets those that are gone.
    fn follow_renamed(&mut self) {
        let mut at = 0;
        while at < self.registry.entries.len() {
            let entry = self.registry.entries[at].clone();
            let same = |meta: &Metadata| (meta.dev(), meta.ino()) == (entry.device, entry.inode);
            let is_open = self.open.iter().any(|open| open.number == entry.number);
            let path = match fs::metadata(&entry.path) {
                Ok(meta) if same(&meta) => Some(entry.path.clone()),
                _ => siblings(&entry.path)
                    .into_iter()
                    .find(|path| fs::metadata(path).is_ok_and(|meta| same(&meta))),
            };
            match path {
                Some(path) => {
                    if path != entry.path {
                        self.notices.push(Notice::Renamed(entry.path.clone(), path.clone()));
                        self.registry.entries[at].path.clone_from(&path);
                        self.changed = true;
                    }
                    if let Ok(file) = File::open(&path)
                        && let Ok(meta) = file.metadata()
                        && same(&meta)
                    {
                        self.look_again(at, &meta, file);
                    }
                    at += 1;
                }
                // It was deleted; what is open is read to its end all the same.
                None if is_open => at += 1,
                None if self.moved(at) => {}
                None => {
                    self.copies.remove(&entry.number);
                    self.registry.entries.remove(at);
                    self.changed = true;
                    self.read_copy(&entry);
                }
            }
        }
    }

    fn read(&mut self, at: usize, lines: &mut Vec<Line>, room: &mut usize) {
        let Some(open) = self.open.get_mut(at) else { return };
        let number = open.number;
        let budget = TURN.min(*room);
        let read = open.place.read(&open.file, self.longest, budget);
        let Some(known) = self.registry.entries.iter_mut().find(|entry| entry.number == number) else {
            return;
        };
        let raw = match read {
            Ok(raw) => raw,
            Err(error) => {
                let path = known.path.clone();
                self.say(&path, Notice::Unreadable(path.clone(), error.to_string()));
                return;
            }
        };
        open.idle = if raw.is_empty() { open.idle.saturating_add(1) } else { 0 };
        if known.ahead < open.place.offset {
            (known.ahead, known.ahead_checksum) = (open.place.offset, open.place.checksum);
            if known.head_len < HEAD {
                (known.head_len, known.head) = head_of(&open.file, known.ahead);
            }
        }
        for line in raw {
            *room = room.saturating_sub(line.bytes.len() + 1);
            lines.push(Line {
                id: format!("{}-{}-{}", self.registry.id, known.number, line.offset),
                path: known.path.clone(),
                key: known.key.clone(),
                offset: line.offset,
                bytes: line.bytes,
                cut: line.cut,
            });
        }
    }
}

impl Copied {
    fn now(meta: &Metadata, looks: u32) -> Self {
        Self {
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            looks,
        }
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;

//! What groups leave behind, in one append-only file: committed offsets, and each group's last generation.
//!
//! Every entry is `length, CRC-32C, payload`. A request's entries are written with one `write`, before it is answered and without
//! fsync: they survive the death of the process at any moment. A second later they are synced, as the records are, so that a
//! loss of power costs a second of commits, and consumers read some records again. Opening truncates a torn tail and rewrites the file with
//! only what counts; so does growing far beyond that.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::error::EmbeddedError;

/// The file's first bytes: a name and the version of the format.
const MAGIC: &[u8; 8] = b"FLGROUP1";
/// Length and checksum before a payload.
const FRAME: usize = 8;
/// Rewriting a file smaller than this is not worth the while.
const COMPACT_FROM: u64 = 4 << 20;
/// Bytes of entries that count. A commit that would go beyond is refused: memory is bounded, whatever clients send.
const MAX_LIVE: u64 = 64 << 20;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    /// The next offset that the group will read.
    pub(super) offset: i64,
    /// The leader epoch that the client knew; -1 for none.
    pub(super) leader_epoch: i32,
    /// Whatever the client wanted to keep.
    pub(super) metadata: String,
}

/// A group's last generation, so that the next one after a restart is higher.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Past {
    pub(super) generation: i32,
    pub(super) protocol_type: String,
}

/// Offsets by topic and partition.
pub(super) type Offsets = BTreeMap<(String, i32), Committed>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Commit(String, (String, i32), Committed),
    Forget(String, (String, i32)),
    Generation(String, Past),
    Delete(String),
}

/// What one group left behind.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Remains {
    pub(super) past: Past,
    pub(super) offsets: Offsets,
}

/// The file and what it says.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file that hold whole entries.
    length: u64,
    /// Bytes of the entries that still count.
    live: u64,
    groups: BTreeMap<String, Remains>,
    /// Whether something was written since the last sync.
    dirty: bool,
    /// A write failed and its remains could not be cut off: nothing may be written behind them.
    broken: bool,
}

impl Journal {
    /// Opens or creates the journal in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        let path = dir.join("groups.log");
        let failed = |cause: io::Error| EmbeddedError::Directory {
            path: dir.to_path_buf(),
            cause,
        };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // A file shorter than its magic is one whose creation was cut short.
        if bytes.len() >= MAGIC.len() && !bytes.starts_with(MAGIC) {
            return Err(EmbeddedError::Damaged {
                path,
                why: "it was not written by this version of Foldlog; moved away, it costs the committed offsets"
                    .to_owned(),
            });
        }
        let mut groups = BTreeMap::new();
        let whole = replay(bytes.get(MAGIC.len()..).unwrap_or_default(), &mut groups);
        let torn = bytes.len().saturating_sub(MAGIC.len() + whole);
        if torn > 0 {
            tracing::warn!("{}: the last {torn} bytes are torn and were cut off", path.display());
        }
        // A group that never committed is of no use after its members have gone.
        groups.retain(|_, remains: &mut Remains| !remains.offsets.is_empty());
        let (file, length) = rewrite(&path, &groups).map_err(failed)?;
        Ok(Self {
            path,
            file,
            length,
            live: length,
            groups,
            dirty: false,
            broken: false,
        })
    }

    /// The file, if something was written since this was asked last.
    pub(super) fn unsynced(&mut self) -> io::Result<Option<File>> {
        if std::mem::take(&mut self.dirty) {
            self.file.try_clone().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Every group that left something behind.
    pub(super) fn groups(&self) -> &BTreeMap<String, Remains> {
        &self.groups
    }

    /// A group's committed offsets.
    pub(super) fn offsets(&self, group: &str) -> Option<&Offsets> {
        self.groups.get(group).map(|remains| &remains.offsets)
    }

    /// Whether the group ever committed an offset that still counts.
    pub(super) fn has_offsets(&self, group: &str) -> bool {
        self.offsets(group).is_some_and(|offsets| !offsets.is_empty())
    }

    /// Whether entries of this size still fit.
    pub(super) fn has_room_for(&self, entries: &[Entry]) -> bool {
        let more: usize = entries.iter().map(|entry| entry.encoded().len()).sum();
        self.live.saturating_add(more as u64) <= MAX_LIVE
    }

    /// Writes all entries, and applies them once they are written; or none of them.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.broken {
            return Err(io::Error::other("an earlier write failed; restart the broker"));
        }
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend_from_slice(&entry.encoded());
        }
        if let Err(error) = self.file.write_all(&bytes) {
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.dirty = true;
        self.length += bytes.len() as u64;
        for entry in entries {
            self.live = self.live.saturating_add(entry.encoded().len() as u64);
            self.live = self.live.saturating_sub(apply(entry.clone(), &mut self.groups));
        }
        if self.length > COMPACT_FROM && self.length > 4 * self.live {
            self.compact();
        }
        Ok(())
    }

    /// Failing is no harm: the longer file says the same.
    fn compact(&mut self) {
        match rewrite(&self.path, &self.groups) {
            Ok((file, length)) => {
                self.file = file;
                self.length = length;
                self.live = length;
            }
            Err(error) => tracing::warn!("{} cannot be compacted: {error}", self.path.display()),
        }
    }
}

/// Writes a new file beside the old one and puts it in its place.
fn rewrite(path: &Path, groups: &BTreeMap<String, Remains>) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let mut bytes = MAGIC.to_vec();
    for (name, remains) in groups {
        bytes.extend_from_slice(&Entry::Generation(name.clone(), remains.past.clone()).encoded());
        for (partition, committed) in &remains.offsets {
            let entry = Entry::Commit(name.clone(), partition.clone(), committed.clone());
            bytes.extend_from_slice(&entry.encoded());
        }
    }
    fs::write(&beside, &bytes)?;
    let file = OpenOptions::new().append(true).open(&beside)?;
    // The old file is gone once the name points here, so these bytes have to be safe before that.
    file.sync_all()?;
    fs::rename(&beside, path)?;
    Ok((file, bytes.len() as u64))
}

/// Applies every whole entry and returns how many bytes they take.
fn replay(bytes: &[u8], groups: &mut BTreeMap<String, Remains>) -> usize {
    let mut at = 0;
    while let Some((entry, length)) = bytes.get(at..).and_then(Entry::decode) {
        apply(entry, groups);
        at += length;
    }
    at
}

/// Applies a change and returns how many bytes of earlier entries it made void, itself included where it leaves nothing.
fn apply(entry: Entry, groups: &mut BTreeMap<String, Remains>) -> u64 {
    let own = entry.encoded().len() as u64;
    let size = |entry: &Entry| entry.encoded().len() as u64;
    match entry {
        Entry::Commit(group, partition, committed) => {
            let offsets = &mut groups.entry(group.clone()).or_default().offsets;
            let before = offsets.insert(partition.clone(), committed);
            before.map_or(0, |before| size(&Entry::Commit(group, partition, before)))
        }
        Entry::Forget(group, partition) => {
            let before = groups
                .get_mut(&group)
                .and_then(|remains| remains.offsets.remove(&partition));
            own + before.map_or(0, |before| size(&Entry::Commit(group, partition, before)))
        }
        Entry::Generation(group, past) => {
            let remains = groups.entry(group.clone()).or_default();
            let before = std::mem::replace(&mut remains.past, past);
            if before == Past::default() {
                0
            } else {
                size(&Entry::Generation(group, before))
            }
        }
        Entry::Delete(group) => {
            let Some(remains) = groups.remove(&group) else {
                return own;
            };
            let offsets = remains.offsets.into_iter();
            let void: u64 = offsets
                .map(|(partition, before)| size(&Entry::Commit(group.clone(), partition, before)))
                .sum();
            own + void + size(&Entry::Generation(group, remains.past))
        }
    }
}

impl Entry {
    fn encoded(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(64);
        match self {
            Self::Commit(group, (topic, partition), committed) => {
                payload.push(1);
                put(&mut payload, group);
                put(&mut payload, topic);
                payload.extend_from_slice(&partition.to_le_bytes());
                payload.extend_from_slice(&committed.offset.to_le_bytes());
                payload.extend_from_slice(&committed.leader_epoch.to_le_bytes());
                put(&mut payload, &committed.metadata);
            }
            Self::Forget(group, (topic, partition)) => {
                payload.push(2);
                put(&mut payload, group);
                put(&mut payload, topic);
                payload.extend_from_slice(&partition.to_le_bytes());
            }
            Self::Generation(group, past) => {
                payload.push(3);
                put(&mut payload, group);
                payload.extend_from_slice(&past.generation.to_le_bytes());
                put(&mut payload, &past.protocol_type);
            }
            Self::Delete(group) => {
                payload.push(4);
                put(&mut payload, group);
            }
        }
        let mut bytes = Vec::with_capacity(FRAME + payload.len());
        // Strings of the protocol are at most 32 KiB, so four of them are far from 4 GiB.
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// The entry that `bytes` begin with, and its length; `None` where they do not begin with a whole one.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut rest = bytes;
        let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        let mut payload = rest.get(..length)?;
        if crc32c::crc32c(payload) != checksum {
            return None;
        }
        let from = &mut payload;
        let [kind] = take(from)?;
        let group = text(from)?;
        let entry = match kind {
            1 => {
                let partition = (text(from)?, i32::from_le_bytes(take(from)?));
                let committed = Committed {
                    offset: i64::from_le_bytes(take(from)?),
                    leader_epoch: i32::from_le_bytes(take(from)?),
                    metadata: text(from)?,
                };
                Self::Commit(group, partition, committed)
            }
            2 => Self::Forget(group, (text(from)?, i32::from_le_bytes(take(from)?))),
            3 => {
                let generation = i32::from_le_bytes(take(from)?);
                let protocol_type = text(from)?;
                Self::Generation(
                    group,
                    Past {
                        generation,
                        protocol_type,
                    },
                )
            }
            4 => Self::Delete(group),
            _ => return None,
        };
        Some((entry, FRAME + length))
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(u32::from_le_bytes(take(bytes)?)).ok()?;
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commit(group: u8, partition: i32, offset: i64) -> Entry {
        let committed = Committed {
            offset,
            leader_epoch: 0,
            metadata: "é".repeat(usize::from(group)),
        };
        Entry::Commit(format!("group {group}"), ("orders".to_owned(), partition), committed)
    }

    fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            6 => (0..3u8, 0..3i32, any::<i64>()).prop_map(|(group, partition, offset)| commit(group, partition, offset)),
            1 => (0..3u8, 0..3i32).prop_map(|(group, partition)| {
                Entry::Forget(format!("group {group}"), ("orders".to_owned(), partition))
            }),
            1 => (0..3u8, 1..100i32).prop_map(|(group, generation)| {
                let protocol_type = "consumer".to_owned();
                Entry::Generation(format!("group {group}"), Past { generation, protocol_type })
            }),
            1 => (0..3u8).prop_map(|group| Entry::Delete(format!("group {group}"))),
        ]
    }

    /// What counts after these entries.
    fn after(entries: &[Entry]) -> BTreeMap<String, Remains> {
        let mut groups = BTreeMap::new();
        for entry in entries {
            apply(entry.clone(), &mut groups);
        }
        groups.retain(|_, remains| !remains.offsets.is_empty());
        groups
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_journal_cut_off_or_damaged_anywhere_holds_the_entries_before(
            entries in prop::collection::vec(entry(), 1..12),
            at in any::<prop::sample::Index>(),
            damage in prop::option::of(1..=255u8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("groups.log");
            let mut journal = Journal::open(dir.path()).unwrap();
            let mut ends = vec![journal.length as usize];
            for entry in &entries {
                journal.append(std::slice::from_ref(entry)).unwrap();
                ends.push(journal.length as usize);
            }
            drop(journal);
            let mut bytes = fs::read(&path).unwrap();
            let at = match damage {
                Some(bits) => {
                    let at = MAGIC.len() + at.index(bytes.len() - MAGIC.len());
                    bytes[at] ^= bits;
                    at
                }
                None => {
                    let at = at.index(bytes.len());
                    bytes.truncate(at);
                    at
                }
            };
            fs::write(&path, &bytes).unwrap();
            let whole = ends.iter().filter(|end| **end <= at).count().saturating_sub(1);
            let mut journal = Journal::open(dir.path()).unwrap();
            prop_assert_eq!(journal.groups(), &after(&entries[..whole]));
            // It goes on from there.
            journal.append(&[commit(9, 9, 9)]).unwrap();
            drop(journal);
            let journal = Journal::open(dir.path()).unwrap();
            prop_assert_eq!(journal.offsets("group 9").unwrap()[&("orders".to_owned(), 9)].offset, 9);
            prop_assert_eq!(journal.groups().len(), after(&entries[..whole]).len() + 1);
        }
    }

    #[test]
    fn a_journal_that_grows_is_compacted_while_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let many: Vec<Entry> = (0..1000).map(|offset| commit(3, 0, offset)).collect();
        let mut longest = 0;
        for _ in 0..200 {
            journal.append(&many).unwrap();
            longest = longest.max(journal.length);
        }
        assert!(longest < 2 * COMPACT_FROM, "{longest} bytes");
        assert!(journal.live < 1000, "{} bytes count", journal.live);
        let length = fs::metadata(dir.path().join("groups.log")).unwrap().len();
        assert_eq!(length, journal.length, "it is written to the file that is there now");
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.offsets("group 3").unwrap().len(), 1);
    }

    #[test]
    fn another_format_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("groups.log");
        fs::write(&path, b"FLGROUP9 from the future").unwrap();
        assert!(Journal::open(dir.path()).unwrap_err().to_string().contains("version"));
        assert_eq!(fs::read(&path).unwrap(), b"FLGROUP9 from the future");
    }
}

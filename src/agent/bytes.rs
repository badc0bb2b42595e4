//! What files are known by: their first bytes, checksums of what was read, and what lies beside them.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::registry::Entry;

/// How many first bytes a file is known again by.
pub(super) const HEAD: u64 = 1024;

/// Whether a path leads to the file of this identity.
pub(super) fn leads_to(path: &Path, meta: &Metadata) -> bool {
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (meta.dev(), meta.ino()))
}

/// Whether two files have the same bytes between these places. Reads no further than they do.
pub(super) fn are_alike(one: &File, other: &File, from: u64, to: u64) -> bool {
    let mut pieces = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut at = from;
    while at < to {
        let wanted = usize::try_from(to - at).unwrap_or(pieces.0.len()).min(pieces.0.len());
        let (here, there) = (&mut pieces.0[..wanted], &mut pieces.1[..wanted]);
        if one.read_exact_at(here, at).is_err() || other.read_exact_at(there, at).is_err() || here != there {
            return false;
        }
        at += wanted as u64;
    }
    true
}

/// The other files of a file's folder.
pub(super) fn siblings(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|other| other != path)
        .collect();
    all.sort();
    all
}

/// Checksum of a file's first bytes; `None` where they cannot be read.
pub(super) fn checksum(file: &File, len: u64) -> Option<u32> {
    let mut piece = vec![0; 64 * 1024];
    let (mut at, mut sum) = (0, 0);
    while at < len {
        let wanted = usize::try_from(len - at).unwrap_or(piece.len()).min(piece.len());
        let count = file.read_at(&mut piece[..wanted], at).ok().filter(|count| *count > 0)?;
        sum = crc32c::crc32c_append(sum, &piece[..count]);
        at += count as u64;
    }
    Some(sum)
}

/// What a file of which `read` bytes were read is known again by.
pub(super) fn head_of(file: &File, read: u64) -> (u64, u32) {
    let len = read.min(HEAD);
    match checksum(file, len) {
        Some(sum) => (len, sum),
        None => (0, 0),
    }
}

pub(super) fn has_head(file: &File, entry: &Entry) -> bool {
    checksum(file, entry.head_len) == Some(entry.head)
}

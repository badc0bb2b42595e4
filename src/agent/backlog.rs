//! How far an agent is behind its files, for whoever looks on while it works or does not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::AgentError;
use super::glob;
use super::registry::{Entry, Registry};

/// How many lines lie in files that `patterns` mean, or that the registry at `registry` knows by another name, and have not arrived.
pub fn backlog(patterns: &[PathBuf], registry: &Path) -> Result<u64, AgentError> {
    let known: BTreeMap<(u64, u64), Entry> = Registry::peek(registry)?
        .into_iter()
        .map(|entry| ((entry.device, entry.inode), entry))
        .collect();
    let meant = patterns.iter().flat_map(|pattern| glob::files(pattern));
    // One that was renamed lies beside the place where it was.
    let beside = known.values().filter_map(|entry| entry.path.parent());
    let beside = beside.flat_map(|folder| glob::files(&folder.join("*")));
    let mut files: BTreeMap<(u64, u64), (PathBuf, bool)> = BTreeMap::new();
    for (path, meant) in meant.map(|path| (path, true)).chain(beside.map(|path| (path, false))) {
        // One that is gone by now has nothing to send.
        if let Ok(meta) = fs::metadata(&path) {
            files.entry((meta.dev(), meta.ino())).or_insert((path, meant));
        }
    }
    let mut lines = 0;
    for (place, (path, meant)) in files {
        let begin = match known.get(&place) {
            Some(entry) if entry.copy_of.is_some() => continue,
            Some(entry) => entry.offset,
            None if meant => 0,
            None => continue,
        };
        lines += ends(&path, begin).map_err(|error| AgentError::io("read", &path, error))?;
    }
    Ok(lines)
}

/// How many lines end in a file behind `begin`.
fn ends(path: &Path, begin: u64) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut reader = BufReader::new(file);
    let mut lines = 0;
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(lines);
        }
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        let read = piece.len();
        reader.consume(read);
    }
}

/// Takes back that the last lines of the newest file have arrived, so that an agent which starts again sends them once more, with the
/// ids that they had: what one does that was killed before it had written down how far it was. Returns how many they are.
pub fn rewind(registry: &Path, lines: u64) -> Result<u64, AgentError> {
    let mut registry = Registry::open(registry)?;
    let newest = registry.entries.iter_mut().filter(|entry| entry.offset > 0);
    let Some(entry) = newest.max_by_key(|entry| entry.number) else {
        return Ok(0);
    };
    let fail = |error| AgentError::io("read", &entry.path, error);
    let mut sent = Vec::new();
    let file = File::open(&entry.path).map_err(fail)?;
    file.take(entry.offset).read_to_end(&mut sent).map_err(fail)?;
    let (mut keep, mut again) = (sent.len(), 0);
    while keep > 0 && again < lines {
        let before = sent[..keep - 1].iter().rposition(|byte| *byte == b'\n');
        keep = before.map_or(0, |at| at + 1);
        again += 1;
    }
    entry.offset = keep as u64;
    entry.checksum = crc32c::crc32c(&sent[..keep]);
    registry.write()?;
    Ok(again)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tail::{Line, Tail};
    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn texts(lines: &[Line]) -> Vec<(String, String)> {
        let of = |line: &Line| (String::from_utf8_lossy(&line.bytes).into_owned(), line.id.clone());
        lines.iter().map(of).collect()
    }

    #[test]
    fn what_waits_is_what_has_not_arrived_whatever_its_file_is_called_by_now() {
        let folder = tempfile::tempdir().unwrap();
        let (log, registry) = (folder.path().join("log/a.log"), folder.path().join("registry.json"));
        fs::create_dir(folder.path().join("log")).unwrap();
        let patterns = [log.clone()];
        let waiting = || backlog(&patterns, &registry).unwrap();
        assert_eq!(waiting(), 0);
        write(&log, "one\ntwo\nthr");
        assert_eq!(waiting(), 2);
        {
            let mut tail = Tail::new(patterns.to_vec(), 100, Registry::open(&registry).unwrap());
            assert_eq!((tail.poll().unwrap().len(), waiting()), (2, 2));
            tail.commit().unwrap();
            assert_eq!(waiting(), 0);
        }
        write(&log, "ee\n");
        fs::rename(&log, folder.path().join("log/a.log.1")).unwrap();
        write(&log, "four\n");
        write(&folder.path().join("log/other.log"), "nobody follows it\n");
        assert_eq!(waiting(), 2);
        let mut tail = Tail::new(patterns.to_vec(), 100, Registry::open(&registry).unwrap());
        assert_eq!(tail.poll().unwrap().len(), 2);
        tail.commit().unwrap();
        assert_eq!(waiting(), 0);
    }

    #[test]
    fn lines_that_are_taken_back_come_again_with_their_ids() {
        let folder = tempfile::tempdir().unwrap();
        let (log, registry) = (folder.path().join("a.log"), folder.path().join("registry.json"));
        assert_eq!(rewind(&registry, 3).unwrap(), 0);
        write(&log, "one\ntwo\nthree\n");
        let tail = || Tail::new(vec![log.clone()], 100, Registry::open(&registry).unwrap());
        let mut first = tail();
        let came = texts(&first.poll().unwrap());
        first.commit().unwrap();
        drop(first);
        assert_eq!(rewind(&registry, 2).unwrap(), 2);
        assert_eq!(backlog(std::slice::from_ref(&log), &registry).unwrap(), 2);
        let mut second = tail();
        assert_eq!(texts(&second.poll().unwrap()), came[1..]);
        second.commit().unwrap();
        drop(second);
        assert_eq!(rewind(&registry, 10).unwrap(), 3);
        assert_eq!(texts(&tail().poll().unwrap()), came);
    }
}

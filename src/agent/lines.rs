//! Bytes to lines, none longer than it may be.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// A line as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    /// Its first byte.
    pub(super) offset: u64,
    /// Its bytes without what ends it, no more than are wanted.
    pub(super) bytes: Vec<u8>,
    /// Whether it was longer.
    pub(super) cut: bool,
}

/// Where in a file lines are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The beginning of the line that is read next.
    pub(super) offset: u64,
    /// The beginning of that line, as far as it has come; never more than a line may have.
    begun: Vec<u8>,
    /// How far was read.
    seen: u64,
    /// Checksum of everything before `offset`.
    pub(super) checksum: u32,
    /// Checksum of everything before `seen`.
    ahead: u32,
}

impl Place {
    pub(super) fn new(offset: u64, checksum: u32) -> Self {
        Self {
            offset,
            begun: Vec::new(),
            seen: offset,
            checksum,
            ahead: checksum,
        }
    }

    /// The full lines from here on, about `budget` bytes of them: one at least where there is one. What has no end yet waits.
    pub(super) fn read(&mut self, file: &File, longest: usize, budget: usize) -> io::Result<Vec<Raw>> {
        if self.begun.len() <= longest {
            // What has begun may be another line by now, where the file was cut and begun anew. One that is too long is not read
            // again and again.
            *self = Self::new(self.offset, self.checksum);
        }
        let mut out = Vec::new();
        let mut taken = 0;
        let mut piece = vec![0; PIECE];
        while taken < budget {
            let count = match file.read_at(&mut piece, self.seen) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut rest = &piece[..count];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, after) = rest.split_at(end + 1);
                rest = after;
                let line = self.finish(line, longest);
                taken += line.bytes.len() + 1;
                out.push(line);
            }
            self.take(rest, longest);
        }
        Ok(out)
    }

    /// Takes bytes of a line whose end has not come.
    fn take(&mut self, bytes: &[u8], longest: usize) {
        // Room for a carriage return behind the longest line, and for one byte by which a longer one is known.
        let room = (longest + 2).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.pass(bytes);
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        self.ahead = crc32c::crc32c_append(self.ahead, bytes);
    }

    /// Ends a line with these bytes, the newline last.
    fn finish(&mut self, bytes: &[u8], longest: usize) -> Raw {
        let (text, newline) = bytes.split_at(bytes.len() - 1);
        self.take(text, longest);
        self.pass(newline);
        let mut line = std::mem::take(&mut self.begun);
        if line.last() == Some(&b'\r') && line.len() <= longest + 1 {
            line.pop();
        }
        let cut = line.len() > longest;
        line.truncate(longest);
        self.checksum = self.ahead;
        Raw {
            offset: std::mem::replace(&mut self.offset, self.seen),
            bytes: line,
            cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        file
    }

    proptest! {
        /// However it is cut into reads, the lines are those that the text has, each at its place, and what has no end waits.
        #[test]
        fn lines_are_those_of_the_text(text in "[ab\r\n]{0,200}", longest in 1..6usize, budget in 1..50usize) {
            let file = file(text.as_bytes());
            let mut place = Place::default();
            let mut got = Vec::new();
            loop {
                let lines = place.read(&file, longest, budget).unwrap();
                if lines.is_empty() {
                    break;
                }
                got.extend(lines);
            }
            let full = text.rfind('\n').map_or("", |end| &text[..=end]);
            let mut offset = 0;
            let mut expected = Vec::new();
            for line in full.split_inclusive('\n') {
                let said = line.trim_end_matches('\n');
                let said = said.strip_suffix('\r').unwrap_or(said);
                let shown = &said[..said.len().min(longest)];
                expected.push(Raw { offset, bytes: shown.as_bytes().to_vec(), cut: said.len() > longest });
                offset += line.len() as u64;
            }
            prop_assert_eq!(got, expected);
            prop_assert_eq!(place.offset, full.len() as u64);
            prop_assert_eq!(place.checksum, crc32c::crc32c(full.as_bytes()));
            // The same from a place that was written down.
            let mut again = Place::new(place.offset, place.checksum);
            prop_assert!(again.read(&file, longest, budget).unwrap().is_empty());
        }
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let file = file(&vec![b'x'; 3 * PIECE]);
        let mut place = Place::default();
        assert!(place.read(&file, 100, 1 << 20).unwrap().is_empty());
        assert_eq!((place.begun.len(), place.offset), (102, 0));
    }
}

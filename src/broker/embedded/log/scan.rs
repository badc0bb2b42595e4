//! Walks the batches of a segment file, reading in large slices.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::batch::{BatchHeader, HEADER};

/// Bytes read at once when a segment is walked from end to end.
pub(crate) const WALK: usize = 1024 * 1024;
/// Bytes read at once when a batch is looked for near a place that the index gave.
pub(crate) const SEEK: usize = 16 * 1024;

/// Fills `buf` from `at`, fewer bytes only at the end of the file.
pub(crate) fn read_at(file: &File, mut buf: &mut [u8], mut at: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buf.is_empty() {
        match file.read_at(buf, at) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                at += n as u64;
                buf = &mut buf[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// A place in a segment that moves from batch to batch.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    window: usize,
    buf: Vec<u8>,
    /// Where `buf[0]` stands in the file.
    buf_at: u64,
}

impl<'a> Scanner<'a> {
    /// Begins at `at`, where a batch must begin, and sees nothing from `end` on.
    pub fn new(file: &'a File, at: u64, end: u64, window: usize) -> Self {
        Self {
            file,
            at,
            end,
            window,
            buf: Vec::new(),
            buf_at: at,
        }
    }

    /// Where the current batch begins.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn bytes(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        if self.at + count as u64 > self.end {
            return Ok(None);
        }
        let mut from = (self.at - self.buf_at) as usize;
        if self.at < self.buf_at || from + count > self.buf.len() {
            let want = count.max(self.window).min((self.end - self.at) as usize);
            self.buf.resize(want, 0);
            let got = read_at(self.file, &mut self.buf, self.at)?;
            self.buf.truncate(got);
            self.buf_at = self.at;
            from = 0;
        }
        Ok(self.buf.get(from..from + count))
    }

    /// The header of the current batch; `None` at the end, and where what follows is no whole batch.
    pub fn header(&mut self) -> io::Result<Option<BatchHeader>> {
        let (at, end) = (self.at, self.end);
        let header = self.bytes(HEADER)?.and_then(BatchHeader::parse);
        Ok(header.filter(|header| at + header.size as u64 <= end))
    }

    /// Every byte of the current batch, whose header this is.
    pub fn batch(&mut self, header: &BatchHeader) -> io::Result<Option<&[u8]>> {
        self.bytes(header.size)
    }

    /// Goes on to the next batch.
    pub fn advance(&mut self, header: &BatchHeader) {
        self.at += header.size as u64;
    }

    /// Goes on to the first batch for which `found` holds.
    pub fn seek(&mut self, found: impl Fn(&BatchHeader) -> bool) -> io::Result<Option<BatchHeader>> {
        while let Some(header) = self.header()? {
            if found(&header) {
                return Ok(Some(header));
            }
            self.advance(&header);
        }
        Ok(None)
    }
}

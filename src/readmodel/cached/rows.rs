//! Rows of one table in memory, found by their primary key.
//!
//! A row is a run of words: one byte of marks and one byte for the type of each column, then a word for each column. The text of
//! all rows lies in one buffer. So a row of five columns takes 48 bytes and its text, and nothing is allocated for it alone.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use rusqlite::types::ValueRef;

use super::evaluate::{Unusual, Value};

/// The row is there.
const PRESENT: u8 = 1;
/// A row of this key is on disk.
const ON_DISK: u8 = 2;
/// It is not there as it is on disk.
const DIRTY: u8 = 4;
/// What is on disk is not known here.
const STALE: u8 = 8;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;

/// A value with its text elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text { start: u32, len: u32 },
}

/// Values that are on their way into a row or to a key, used again and again.
#[derive(Debug, Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    text: Vec<u8>,
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.text.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub(super) fn push(&mut self, value: Value<'_>) -> Result<(), Unusual> {
        self.cells.push(match value {
            Value::Null => Cell::Null,
            Value::Integer(value) => Cell::Integer(value),
            Value::Real(value) => Cell::Real(value),
            Value::Text(text) => {
                let start = u32::try_from(self.text.len()).map_err(|_| Unusual)?;
                let len = u32::try_from(text.len()).map_err(|_| Unusual)?;
                self.text.extend_from_slice(&text);
                Cell::Text { start, len }
            }
        });
        Ok(())
    }

    #[inline]
    pub(super) fn value(&self, at: usize) -> Value<'_> {
        match self.cells.get(at) {
            None | Some(Cell::Null) => Value::Null,
            Some(Cell::Integer(value)) => Value::Integer(*value),
            Some(Cell::Real(value)) => Value::Real(*value),
            Some(Cell::Text { start, len }) => {
                let start = *start as usize;
                let text = self.text.get(start..start + *len as usize);
                Value::Text(Cow::Borrowed(text.unwrap_or_default()))
            }
        }
    }
}

/// One row, as expressions see it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    words: &'a [u64],
    heads: usize,
    text: &'a [u8],
}

impl<'a> Row<'a> {
    #[inline]
    pub(super) fn value(&self, column: usize) -> Value<'a> {
        let word = self.words[self.heads + column];
        match kind(self.words, column) {
            INTEGER => Value::Integer(word as i64),
            REAL => Value::Real(f64::from_bits(word)),
            TEXT => Value::Text(Cow::Borrowed(self.slice(word))),
            _ => Value::Null,
        }
    }

    #[inline]
    fn slice(&self, word: u64) -> &'a [u8] {
        let start = (word >> 32) as usize;
        &self.text[start..start + (word & 0xffff_ffff) as usize]
    }

    /// A value as SQLite takes it.
    pub(super) fn bound(&self, column: usize) -> ValueRef<'a> {
        let word = self.words[self.heads + column];
        match kind(self.words, column) {
            INTEGER => ValueRef::Integer(word as i64),
            REAL => ValueRef::Real(f64::from_bits(word)),
            TEXT => ValueRef::Text(self.slice(word)),
            _ => ValueRef::Null,
        }
    }

    fn marks(&self) -> u8 {
        (self.words[0] & 0xff) as u8
    }

    /// The row is there, and where.
    pub(super) fn stand(&self) -> Stand {
        let marks = self.marks();
        match (marks & DIRTY != 0, marks & PRESENT != 0, marks & ON_DISK != 0) {
            (true, true, false) => Stand::New,
            (true, true, true) => Stand::Changed,
            (true, false, true) => Stand::Gone,
            _ => Stand::Same,
        }
    }
}

/// How a row stands to the one on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// As it is there.
    Same,
    New,
    Changed,
    Gone,
}

#[inline]
fn kind(words: &[u64], column: usize) -> u8 {
    let byte = column + 1;
    (words[byte / 8] >> (byte % 8 * 8)) as u8
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    row: u32,
}

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Rows {
    key: Vec<usize>,
    heads: usize,
    stride: usize,
    words: Vec<u64>,
    text: Vec<u8>,
    found: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    /// Whether every key on disk has a row here.
    pub(super) complete: bool,
}

impl Rows {
    pub(super) fn new(columns: usize, key: &[usize]) -> Self {
        let heads = (columns + 1).div_ceil(8);
        Self {
            key: key.to_vec(),
            heads,
            stride: heads + columns,
            words: Vec::new(),
            text: Vec::new(),
            found: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            complete: true,
        }
    }

    /// Bytes that the rows take.
    pub(super) fn size(&self) -> usize {
        self.words.len() * 8 + self.text.len() + self.found.capacity() * 10
    }

    pub(super) fn columns(&self) -> usize {
        self.stride - self.heads
    }

    pub(super) fn len(&self) -> u32 {
        (self.words.len() / self.stride) as u32
    }

    /// Forgets all rows; what they held must be on disk.
    pub(super) fn forget(&mut self) {
        self.complete = false;
        self.words.clear();
        self.text.clear();
        self.found.clear();
    }

    #[inline]
    fn words(&self, row: u32) -> &[u64] {
        let start = row as usize * self.stride;
        &self.words[start..start + self.stride]
    }

    #[inline]
    fn words_mut(&mut self, row: u32) -> &mut [u64] {
        let start = row as usize * self.stride;
        &mut self.words[start..start + self.stride]
    }

    #[inline]
    pub(super) fn row(&self, row: u32) -> Row<'_> {
        Row {
            words: self.words(row),
            heads: self.heads,
            text: &self.text,
        }
    }

    #[inline]
    fn hash(&self, key: &Cells) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for at in 0..key.len() {
            match key.value(at) {
                Value::Null => hasher.write_u8(0),
                Value::Integer(value) => hasher.write_i64(value),
                Value::Real(value) => hasher.write_u64(value.to_bits()),
                Value::Text(text) => hasher.write(&text),
            }
        }
        hasher.finish()
    }

    /// The row of a key, there or not.
    #[inline]
    pub(super) fn find(&self, key: &Cells) -> Option<u32> {
        let hash = self.hash(key);
        let short = hash as u32;
        let same = |entry: &Entry| {
            entry.hash == short && {
                let row = self.row(entry.row);
                let mut columns = self.key.iter().enumerate();
                columns.all(|(at, column)| row.value(*column) == key.value(at))
            }
        };
        self.found.find(spread(short), same).map(|entry| entry.row)
    }

    /// A row for a key that has none: not there, only its key is set.
    pub(super) fn add(&mut self, key: &Cells) -> Result<u32, Unusual> {
        let row = u32::try_from(self.words.len() / self.stride).map_err(|_| Unusual)?;
        self.words.resize(self.words.len() + self.stride, 0);
        for at in 0..self.key.len() {
            self.set(row, self.key[at], &key.value(at), false)?;
        }
        let hash = self.hash(key) as u32;
        self.found
            .insert_unique(spread(hash), Entry { hash, row }, |entry| spread(entry.hash));
        Ok(row)
    }

    /// Sets one value. Where `over` the bytes of a text may be overwritten, which nobody can take back.
    #[inline]
    pub(super) fn set(&mut self, row: u32, column: usize, value: &Value<'_>, over: bool) -> Result<(), Unusual> {
        let (kind, word) = match value {
            Value::Null => (NULL, 0),
            Value::Integer(value) => (INTEGER, *value as u64),
            Value::Real(value) => (REAL, value.to_bits()),
            Value::Text(text) => (TEXT, self.keep(row, column, text, over)?),
        };
        let heads = self.heads;
        let words = self.words_mut(row);
        words[heads + column] = word;
        let byte = column + 1;
        let (head, shift) = (byte / 8, byte % 8 * 8);
        words[head] = words[head] & !(0xff << shift) | u64::from(kind) << shift;
        Ok(())
    }

    /// Puts a text into the buffer, over the one before where it fits.
    fn keep(&mut self, row: u32, column: usize, text: &[u8], over: bool) -> Result<u64, Unusual> {
        let words = self.words(row);
        if over && kind(words, column) == TEXT {
            let word = words[self.heads + column];
            let (start, len) = ((word >> 32) as usize, (word & 0xffff_ffff) as usize);
            if text.len() <= len {
                self.text[start..start + text.len()].copy_from_slice(text);
                return Ok((start as u64) << 32 | text.len() as u64);
            }
        }
        let start = u32::try_from(self.text.len()).map_err(|_| Unusual)?;
        let len = u32::try_from(text.len()).map_err(|_| Unusual)?;
        self.text.extend_from_slice(text);
        Ok(u64::from(start) << 32 | u64::from(len))
    }

    fn mark(&mut self, row: u32, on: u8, off: u8) {
        let head = &mut self.words_mut(row)[0];
        *head = *head & !u64::from(off) | u64::from(on);
    }

    pub(super) fn is_present(&self, row: u32) -> bool {
        self.row(row).marks() & PRESENT != 0
    }

    pub(super) fn is_stale(&self, row: u32) -> bool {
        self.row(row).marks() & STALE != 0
    }

    /// It is there, and not as it is on disk.
    pub(super) fn written(&mut self, row: u32) {
        self.mark(row, PRESENT | DIRTY, 0);
    }

    /// It is there no more.
    pub(super) fn deleted(&mut self, row: u32) {
        let on_disk = self.row(row).marks() & ON_DISK != 0;
        self.mark(
            row,
            if on_disk { DIRTY } else { 0 },
            PRESENT | if on_disk { 0 } else { DIRTY },
        );
    }

    /// It was read from disk, or written to it.
    pub(super) fn settled(&mut self, row: u32, present: bool) {
        let on = if present { PRESENT | ON_DISK } else { 0 };
        self.mark(row, on, (PRESENT | ON_DISK | DIRTY | STALE) & !on);
    }

    /// What is on disk may change without anybody telling.
    pub(super) fn stale(&mut self, row: u32) {
        self.mark(row, STALE, PRESENT | ON_DISK | DIRTY);
    }

    /// Remembers a row as it is.
    pub(super) fn remember(&self, row: u32, into: &mut Vec<u64>) {
        into.extend_from_slice(self.words(row));
    }

    /// Takes it back to what was remembered; a row that was added since has its key still, and is not there.
    pub(super) fn restore(&mut self, row: u32, from: &[u64]) {
        self.words_mut(row).copy_from_slice(from);
    }

    /// How many words a row has.
    pub(super) fn width(&self) -> usize {
        self.stride
    }

    /// The rows that are not as they are on disk, in the order of the primary key.
    pub(super) fn dirty(&self) -> Vec<u32> {
        let dirty = |row: &u32| self.row(*row).stand() != Stand::Same;
        let Some(first) = self.key.first().copied() else {
            return Vec::new();
        };
        let common = self.common_prefix(first, dirty);
        let mut order: Vec<(u64, u32)> = (0..self.len())
            .filter(dirty)
            .map(|row| (self.head(row, first, common), row))
            .collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.by_key(a.1, b.1)));
        order.into_iter().map(|(_, row)| row).collect()
    }

    /// How many bytes the texts of a column have in common at their beginning; `None` where not all are text, and not all integers.
    fn common_prefix(&self, column: usize, dirty: impl Fn(&u32) -> bool) -> Option<usize> {
        let mut prefix: Option<&[u8]> = None;
        let mut integers = false;
        for row in (0..self.len()).filter(dirty) {
            let words = self.words(row);
            match kind(words, column) {
                TEXT if !integers => {
                    let text = self.row(row).slice(words[self.heads + column]);
                    let known = prefix.unwrap_or(text);
                    let same = known.iter().zip(text).take_while(|(a, b)| a == b).count();
                    prefix = Some(&known[..same]);
                }
                INTEGER if prefix.is_none() => integers = true,
                _ => return None,
            }
        }
        Some(prefix.map_or(0, <[u8]>::len))
    }

    /// What two keys mostly differ in, as a number in the order of the keys.
    fn head(&self, row: u32, column: usize, common: Option<usize>) -> u64 {
        let Some(common) = common else { return 0 };
        match self.row(row).value(column) {
            Value::Integer(value) => (value as u64) ^ (1 << 63),
            Value::Text(text) => {
                let mut head = [0; 8];
                let rest = text.get(common..).unwrap_or_default();
                let len = rest.len().min(8);
                head[..len].copy_from_slice(&rest[..len]);
                u64::from_be_bytes(head)
            }
            Value::Null | Value::Real(_) => 0,
        }
    }

    fn by_key(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.row(a), self.row(b));
        let each = self
            .key
            .iter()
            .map(|column| match (a.value(*column), b.value(*column)) {
                (Value::Integer(a), Value::Integer(b)) => a.cmp(&b),
                (Value::Text(a), Value::Text(b)) => a.cmp(&b),
                // SQLite sorts numbers before text.
                (Value::Integer(_), _) => Ordering::Less,
                (_, Value::Integer(_)) => Ordering::Greater,
                _ => Ordering::Equal,
            });
        each.fold(Ordering::Equal, Ordering::then)
    }
}

/// The table looks at the highest bits of a hash, of which a short one has none.
#[inline]
fn spread(short: u32) -> u64 {
    u64::from(short) << 32 | u64::from(short)
}

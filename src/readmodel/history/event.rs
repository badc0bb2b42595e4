//! An event that wrote rows, in few bytes: where it stands in the log, what ran, and what became of each row.
//!
//! An update is kept as the columns that it changed and their new values; what they were before is what the event before made of
//! them, so that a row is told forward from its first event. Each event is whole in itself: packing takes out what they repeat.

use std::ops::Range;

use crate::record::{RecordRef, Timestamp};

use super::super::changes::row::{
    Row, Values, put_bytes, put_key_text, put_number, put_value, take_bytes, take_number, unzigzag, zigzag,
};
use super::super::changes::{Change, Watched};

const HAS_TIME: u8 = 1;
const HAS_TYPE: u8 = 2;
const HAS_KEY: u8 = 4;
/// Somebody decided what its value is.
const EDITED: u8 = 8;

const INSERTED: u8 = 0;
const UPDATED: u8 = 1;
const DELETED: u8 = 2;
/// An update that gave the row another key.
const MOVED: u8 = 3;

/// An event that was applied.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Applied<'a> {
    pub(in super::super) record: &'a RecordRef<'a>,
    /// Its type, where its value has one.
    pub(in super::super) event: Option<&'a str>,
    /// Whether somebody decided what its value is.
    pub(in super::super) edited: bool,
}

/// Room that is used again for each event: a history takes millions of them down.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The hash of each row that the event wrote.
    pub(super) hashes: Vec<u64>,
    old: Vec<Range<usize>>,
    new: Vec<Range<usize>>,
    from: Vec<u8>,
    to: Vec<u8>,
    text: Vec<u8>,
}

/// Appends an event to `out`, and leaves the hashes of its rows in `room`.
pub(super) fn put(
    out: &mut Vec<u8>,
    room: &mut Room,
    applied: &Applied<'_>,
    lines: &[usize],
    changes: &[Change],
    tables: &[Watched],
) {
    let Applied { record, event, .. } = *applied;
    let mut has = 0;
    for (is, flag) in [
        (record.timestamp.is_some(), HAS_TIME),
        (event.is_some(), HAS_TYPE),
        (record.key.is_some(), HAS_KEY),
        (applied.edited, EDITED),
    ] {
        has |= if is { flag } else { 0 };
    }
    out.push(has);
    put_bytes(out, record.topic.as_bytes());
    put_number(out, zigzag(record.partition.into()));
    put_number(out, zigzag(record.offset));
    if let Some(time) = record.timestamp {
        put_number(out, zigzag(time.0));
    }
    if let Some(event) = event {
        put_bytes(out, event.as_bytes());
    }
    if let Some(key) = record.key {
        put_bytes(out, key);
    }
    put_number(out, lines.len() as u64);
    for line in lines {
        put_number(out, *line as u64);
    }
    put_number(out, changes.len() as u64);
    room.hashes.clear();
    for change in changes {
        if let Some(table) = tables.get(change.table) {
            put_change(out, room, change, table);
        }
    }
}

fn put_change(out: &mut Vec<u8>, room: &mut Room, change: &Change, table: &Watched) {
    let number = change.table;
    let head = |out: &mut Vec<u8>, kind: u8| {
        out.push(kind);
        put_number(out, number as u64);
        put_number(out, change.line as u64);
    };
    let Room {
        hashes,
        old,
        new,
        from,
        to,
        text,
    } = room;
    if let Some(before) = &change.before {
        find(old, before);
        put_key(from, before, old, table);
    }
    if let Some(after) = &change.after {
        find(new, after);
        put_key(to, after, new, table);
    }
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            hashes.push(hash(number, from, text));
            if from == to {
                head(out, UPDATED);
                put_bytes(out, from);
                put_changed(out, (before, old), (after, new));
            } else {
                hashes.push(hash(number, to, text));
                head(out, MOVED);
                put_bytes(out, &before.0);
                put_bytes(out, &after.0);
            }
        }
        (Some(_), None) => {
            hashes.push(hash(number, from, text));
            head(out, DELETED);
            put_bytes(out, from);
        }
        (None, Some(after)) => {
            hashes.push(hash(number, to, text));
            head(out, INSERTED);
            put_bytes(out, &after.0);
        }
        (None, None) => {}
    }
}

/// Which columns changed, a bit for each, and their new values.
fn put_changed(out: &mut Vec<u8>, (before, old): (&Row, &[Range<usize>]), (after, new): (&Row, &[Range<usize>])) {
    let mask = out.len();
    out.resize(mask + new.len().div_ceil(8), 0);
    let differs = |at: usize| value(before, old, at) != value(after, new, at);
    let mut bytes = 0;
    for at in (0..new.len()).filter(|at| differs(*at)) {
        out[mask + at / 8] |= 1 << (at % 8);
        bytes += value(after, new, at).len();
    }
    put_number(out, bytes as u64);
    for at in (0..new.len()).filter(|at| differs(*at)) {
        out.extend_from_slice(value(after, new, at));
    }
}

/// Finds where each value of a row stands among its bytes.
fn find(spans: &mut Vec<Range<usize>>, row: &Row) {
    spans.clear();
    let mut values = row.values();
    let mut start = 0;
    while values.next().is_some() {
        let end = row.0.len() - values.0.len();
        spans.push(start..end);
        start = end;
    }
}

fn value<'r>(row: &'r Row, spans: &[Range<usize>], at: usize) -> &'r [u8] {
    spans
        .get(at)
        .and_then(|span| row.0.get(span.clone()))
        .unwrap_or_default()
}

fn put_key(key: &mut Vec<u8>, row: &Row, spans: &[Range<usize>], table: &Watched) {
    key.clear();
    for at in &table.key {
        key.extend_from_slice(value(row, spans, *at));
    }
}

/// The hash of a row, by the values of its key as they are written on a command line: who asks does not know their types. It is
/// in files and stays as it is.
fn hash(table: usize, key: &[u8], text: &mut Vec<u8>) -> u64 {
    text.clear();
    for value in Values(key) {
        put_key_text(text, value);
        text.push(0xff);
    }
    hash_of(table, text)
}

/// The same, of the texts.
pub(super) fn hash_of_texts(table: usize, key: &[String]) -> u64 {
    let mut text = Vec::new();
    for value in key {
        text.extend_from_slice(value.as_bytes());
        text.push(0xff);
    }
    hash_of(table, &text)
}

/// FNV-1a, with its bits mixed so that the first ones are as good as the last.
fn hash_of(table: usize, text: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ table as u64;
    for byte in text {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// An event as it is kept.
pub(super) struct Kept<'b> {
    pub(super) topic: &'b [u8],
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) event: Option<&'b [u8]>,
    pub(super) edited: bool,
    pub(super) key: Option<&'b [u8]>,
    pub(super) lines: Vec<usize>,
    pub(super) rows: Vec<KeptRow<'b>>,
}

/// What became of a row.
pub(super) struct KeptRow<'b> {
    pub(super) table: usize,
    pub(super) line: usize,
    pub(super) deed: KeptDeed<'b>,
}

pub(super) enum KeptDeed<'b> {
    Inserted(Row),
    /// The key, which columns changed, their new values.
    Updated(&'b [u8], &'b [u8], &'b [u8]),
    Deleted(&'b [u8]),
    Moved(Row, Row),
}

/// Takes an event off the front; `None` where the bytes are none.
pub(super) fn take<'b>(from: &mut &'b [u8], tables: &[Watched]) -> Option<Kept<'b>> {
    let has = take_byte(from)?;
    let topic = take_bytes(from)?;
    let partition = i32::try_from(unzigzag(take_number(from)?)).ok()?;
    let offset = unzigzag(take_number(from)?);
    let timestamp = match has & HAS_TIME {
        0 => None,
        _ => Some(Timestamp(unzigzag(take_number(from)?))),
    };
    let mut optional = |flag: u8| match has & flag {
        0 => Some(None),
        _ => take_bytes(from).map(Some),
    };
    let (event, key) = (optional(HAS_TYPE)?, optional(HAS_KEY)?);
    let mut lines = Vec::new();
    for _ in 0..take_size(from)? {
        lines.push(take_size(from)?);
    }
    let mut rows = Vec::new();
    for _ in 0..take_size(from)? {
        rows.push(take_row(from, tables)?);
    }
    Some(Kept {
        topic,
        partition,
        offset,
        timestamp,
        event,
        edited: has & EDITED != 0,
        key,
        lines,
        rows,
    })
}

fn take_row<'b>(from: &mut &'b [u8], tables: &[Watched]) -> Option<KeptRow<'b>> {
    let kind = take_byte(from)?;
    let (table, line) = (take_size(from)?, take_size(from)?);
    let columns = tables.get(table)?.columns.len();
    let mut row = || take_bytes(from).map(|bytes| Row(bytes.to_vec()));
    let deed = match kind {
        INSERTED => KeptDeed::Inserted(row()?),
        MOVED => KeptDeed::Moved(row()?, row()?),
        DELETED => KeptDeed::Deleted(take_bytes(from)?),
        UPDATED => {
            let key = take_bytes(from)?;
            let (mask, rest) = from.split_at_checked(columns.div_ceil(8))?;
            *from = rest;
            KeptDeed::Updated(key, mask, take_bytes(from)?)
        }
        _ => return None,
    };
    Some(KeptRow { table, line, deed })
}

/// A row after an update that was kept as the columns that it changed.
pub(super) fn patched(before: &Row, mask: &[u8], changed: &[u8]) -> Row {
    let mut changed = Values(changed);
    let mut after = Row::default();
    for (at, value) in before.values().enumerate() {
        let differs = mask.get(at / 8).is_some_and(|bits| bits & (1 << (at % 8)) != 0);
        match differs.then(|| changed.next()).flatten() {
            Some(new) => put_value(&mut after.0, new),
            None => put_value(&mut after.0, value),
        }
    }
    after
}

/// The key of a row as it is kept.
pub(super) fn key_of(row: &Row, table: &Watched) -> Vec<u8> {
    let (mut spans, mut key) = (Vec::new(), Vec::new());
    find(&mut spans, row);
    put_key(&mut key, row, &spans, table);
    key
}

/// The values of a key as they are written on a command line.
pub(super) fn key_texts(key: &[u8]) -> Vec<String> {
    let text = |value| {
        let mut text = Vec::new();
        put_key_text(&mut text, value);
        String::from_utf8_lossy(&text).into_owned()
    };
    Values(key).map(text).collect()
}

fn take_byte(from: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = from.split_first()?;
    *from = rest;
    Some(*byte)
}

fn take_size(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_number(from)?).ok()
}

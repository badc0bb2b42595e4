//! Which rows were written: their keys alone, each once however often it was written.

use std::collections::HashSet;

use rusqlite::types::ValueRef;

use super::Watched;
use super::ffi::{Deed, Touched};
use super::row::put_value;

/// Keys that are kept at most. One statement may write every row of a table; then it is cheaper to look at the table.
const MOST: usize = if cfg!(test) { 12 } else { 200_000 };

/// Keys of rows that were written, by the number of their table.
#[derive(Debug, Default)]
pub(in super::super) struct Keys {
    tables: Vec<HashSet<Vec<u8>>>,
    len: usize,
    /// Whether there were more than are kept, or one could not be read: then any row may have been written.
    pub(in super::super) lost: bool,
    buffer: Vec<u8>,
}

impl Keys {
    pub(super) fn of(tables: &[Watched]) -> Self {
        Self {
            tables: tables.iter().map(|_| HashSet::new()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len + usize::from(self.lost)
    }

    /// The keys with the number of their table, in an order that does not depend on chance.
    pub(in super::super) fn sorted(self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        self.tables.into_iter().enumerate().flat_map(|(table, keys)| {
            let mut keys: Vec<_> = keys.into_iter().collect();
            keys.sort_unstable();
            keys.into_iter().map(move |key| (table, key))
        })
    }

    pub(super) fn take(&mut self, number: usize, table: &Watched, touched: &Touched<'_>) {
        if touched.deed != Deed::Insert {
            self.put(number, table, |at| touched.before(at));
        }
        if touched.deed != Deed::Delete {
            self.put(number, table, |at| touched.after(at));
        }
    }

    fn put<'v>(&mut self, number: usize, table: &Watched, value: impl Fn(usize) -> Result<ValueRef<'v>, i32>) {
        if self.lost {
            return;
        }
        self.buffer.clear();
        for at in &table.key {
            match value(*at) {
                Ok(value) => put_value(&mut self.buffer, value),
                Err(_) => return self.lose(),
            }
        }
        let Some(keys) = self.tables.get_mut(number) else {
            return;
        };
        if keys.contains(&self.buffer) {
            return;
        }
        if self.len >= MOST {
            return self.lose();
        }
        keys.insert(self.buffer.clone());
        self.len += 1;
    }

    fn lose(&mut self) {
        self.lost = true;
        self.len = 0;
        self.tables.iter_mut().for_each(HashSet::clear);
    }
}

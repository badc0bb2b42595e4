//! Comparing a store outside with the read model that feeds it, row by row.

use crate::readmodel::feed::Feed;
use crate::readmodel::store::Store;
use crate::sink::address::Address;
use crate::sink::error::SinkError;
use crate::sink::{Held, Model, Rows, row_name, row_store};

use super::super::error::ReplayError;

/// Rows that are compared together.
const PAGE: usize = 500;

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// The store does not have it.
    Missing {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
    },
    /// The store has other values.
    Other {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
        /// The columns, with what the store has.
        columns: Vec<(String, String)>,
    },
    /// Only the store has it.
    Extra {
        /// Its table; empty where the read model has none like it.
        table: String,
        /// What the store calls it.
        name: String,
    },
}

/// How a store compares with the read model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows that are the same.
    pub same: u64,
    /// Rows that the store lacks.
    pub missing: u64,
    /// Rows that have other values there.
    pub other: u64,
    /// Rows that only the store has.
    pub extra: u64,
    /// Changes that the store was not given yet.
    pub waiting: u64,
}

impl Checked {
    /// How many rows differ.
    pub fn differ(&self) -> u64 {
        self.missing + self.other + self.extra
    }
}

/// Compares a store with a read model, as both are. Hands every row that differs to `take`, until that wants no more.
pub fn check(
    store: &Store,
    read_model: &str,
    address: &Address,
    take: &mut dyn FnMut(Differs) -> bool,
) -> Result<Checked, ReplayError> {
    let feed = store.feed(read_model)?;
    let info = store.info(read_model)?;
    let model = Model {
        name: info.name.clone(),
        tables: feed.tables().to_vec(),
    };
    let Some(mut rows) = row_store(address, &model) else {
        return Err(SinkError::Address {
            reason: "a lake has records, not the rows of a read model".to_owned(),
        }
        .into());
    };
    rows.open()?;
    let sink = info.sinks.iter().find(|sink| sink.name == address.to_string());
    let mut checked = Checked {
        waiting: sink.map_or(0, |sink| sink.waiting),
        ..Checked::default()
    };
    compare(&feed, &mut *rows, &mut checked, take)?;
    Ok(checked)
}

/// Compares the rows of a read model with those that are elsewhere, and counts.
pub(in crate::replay) fn compare(
    feed: &Feed,
    rows: &mut (impl Rows + ?Sized),
    checked: &mut Checked,
    take: &mut dyn FnMut(Differs) -> bool,
) -> Result<(), ReplayError> {
    let mut wanted = true;
    for (at, table) in feed.tables().iter().enumerate() {
        let mut after = None;
        loop {
            let page = feed.page(at, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let names: Vec<String> = page.iter().map(|row| row_name(&row.key)).collect();
            feed.remember(names.iter().map(|name| (at, name.as_str())))?;
            for (held, key) in rows.compare(&page)?.into_iter().zip(names) {
                let table = table.name.clone();
                let differs = match held {
                    Held::Same => {
                        checked.same += 1;
                        continue;
                    }
                    Held::Missing => {
                        checked.missing += 1;
                        Differs::Missing { table, key }
                    }
                    Held::Other(columns) => {
                        checked.other += 1;
                        Differs::Other { table, key, columns }
                    }
                };
                wanted = wanted && take(differs);
            }
        }
    }
    let mut from = None;
    loop {
        let mut keep = |table: usize, name: &str| {
            if !feed.remembers(table, name)? {
                // A store may name it twice while it looks through its keys.
                feed.remember(std::iter::once((table, name)))?;
                checked.extra += 1;
                let table = feed
                    .tables()
                    .get(table)
                    .map_or_else(String::new, |table| table.name.clone());
                let name = name.to_owned();
                wanted = wanted && take(Differs::Extra { table, name });
            }
            Ok(true)
        };
        from = rows.sweep(from, &mut keep)?;
        if from.is_none() {
            return Ok(());
        }
    }
}

//! Stores outside that are fed from read models and topics: the only folder that knows Redis, and what a lake is.
//!
//! | module | what it is |
//! |---|---|
//! | [`address`] | where a store is, as a URL |
//! | [`error`] | what can go wrong with one |
//! | [`redis`] | a hash for each row |
//! | [`postgres`] | a table for each table; or where the handlers themselves run |
//! | [`elastic`] | a document for each row, by `_bulk` |
//! | [`lake`] | records as files by date |
//!
//! A store of rows is told what rows are, never what happened to them: giving it the same row twice changes nothing. Beside the
//! rows it keeps a mark that says how far it was fed, so that a store that was emptied, or put back from a backup, is known.

pub mod address;
pub mod elastic;
pub mod error;
pub mod lake;
pub mod postgres;
pub mod redis;

use crate::readmodel::error::ReadModelError;
use crate::readmodel::feed::{FedRow, FedTable, Mark};
use crate::readmodel::query::Cell;

use address::Address;
use error::SinkError;

/// What a store is fed with: the tables of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The projection's name.
    pub name: String,
    /// Its tables.
    pub tables: Vec<FedTable>,
}

/// A row that a store does not take, whatever is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of the rows that it was given.
    pub row: usize,
    /// Why.
    pub reason: String,
}

/// How a row in a store compares with what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It is the same.
    Same,
    /// It is not there.
    Missing,
    /// It is another: the columns that differ, with what the store has.
    Other(Vec<(String, String)>),
}

/// Asked whether the row of a table is to be kept, by the name that it has in the store.
pub type Keep<'k> = dyn FnMut(usize, &str) -> Result<bool, ReadModelError> + 'k;

/// Rows that can be looked at.
pub trait Rows {
    /// Takes away rows that are not to be kept. Looks at a part of the store and returns where the next part begins, or `None`
    /// when it has seen all.
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError>;

    /// Compares rows that should be there with those that are.
    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError>;
}

/// A store of rows. After an error it is opened again before anything else is asked of it.
pub trait RowStore: Rows + Send {
    /// Connects, makes room for the tables, and returns how far it was fed. What is there and not Foldlog's is an error.
    fn open(&mut self) -> Result<Option<Mark>, SinkError>;

    /// Makes rows what they are given as, takes away those that are gone, and then writes the mark down. Where `before` is given
    /// and the store has another mark, [`SinkError::Lost`] is returned and nothing is written.
    fn push(&mut self, rows: &[FedRow], before: Option<&Mark>, mark: &Mark) -> Result<Vec<Refused>, SinkError>;
}

/// The store of an address, for a read model. `None` where the address takes records and not rows.
pub fn row_store(address: &Address, model: &Model) -> Option<Box<dyn RowStore>> {
    match address {
        Address::Redis(server) => Some(Box::new(redis::Redis::new(server.clone(), model.clone()))),
        Address::Postgres(server) => Some(Box::new(postgres::Postgres::new(server.clone(), model.clone()))),
        Address::Elastic(server) => Some(Box::new(elastic::Elastic::new(server.clone(), model.clone()))),
        Address::Lake(_) => None,
    }
}

/// What a row is called in stores that name rows by text. A key of one column stands as it is; in others `:` and `%` are escaped,
/// so that no two keys have the same name.
pub fn row_name(key: &[Cell]) -> String {
    match key {
        [one] => text_of(one),
        several => {
            let parts: Vec<String> = several.iter().map(|cell| escaped(&text_of(cell))).collect();
            parts.join(":")
        }
    }
}

/// Text without `:` and `%`, another for any other text.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace(':', "%3A")
}

/// A value as text; bytes in hex.
pub(crate) fn text_of(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_two_keys_have_the_same_name(
            a in prop::collection::vec("[a:%0-9]{0,4}", 2), b in prop::collection::vec("[a:%0-9]{0,4}", 2)
        ) {
            let name = |key: &[String]| row_name(&key.iter().cloned().map(Cell::Text).collect::<Vec<_>>());
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }
    }
}

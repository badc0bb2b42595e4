//! Full-text indexes: a projection's FTS5 tables.
//!
//! SQLite keeps such a table in five ordinary ones, its shadow tables, whose rows depend on what was written when. A read model is
//! the rows that are in the index, each found by its rowid; how SQLite keeps them is nobody's business and is neither dumped, compared
//! nor copied. The texts lie in one of the shadow tables as they were written, so that what an event does to the index is told by
//! what it does to that one, and is undone through the index.

use rusqlite::Connection;

/// What a row of an index is found by.
pub(super) const ROWID: &str = "rowid";

/// What SQLite puts behind an index's name for the tables that it keeps it in.
const SHADOWS: &[&str] = &["data", "idx", "content", "docsize", "config"];

/// The table that has an index's texts: its rowid, then its columns in order.
pub(super) fn content_of(index: &str) -> String {
    format!("{index}_content")
}

/// Whether a table is a full-text index: no other virtual table gets past the checks.
pub(super) fn is_index(connection: &Connection, schema: &str, table: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM pragma_table_list WHERE schema = ? AND name = ? AND type = 'virtual'")?
        .exists([schema, table])
}

/// Which of the indexes a table belongs to as a shadow table.
pub(super) fn owner<'i>(table: &str, indexes: &'i [String]) -> Option<&'i str> {
    let of = |index: &&String| {
        let rest = table.get(index.len()..).and_then(|rest| rest.strip_prefix('_'));
        let head = table.get(..index.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(index))
            && rest.is_some_and(|rest| SHADOWS.iter().any(|shadow| rest.eq_ignore_ascii_case(shadow)))
    };
    indexes.iter().find(of).map(String::as_str)
}

#[cfg(test)]
#[path = "fulltext_tests.rs"]
mod tests;

//! Which tables of a database are captured.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::super::compile::columns;
use super::super::dump::key_of;
use super::{Called, ReadModelError, SourceColumn, SourceTable, failed};

/// The tables of a database, those that are captured apart from the others.
pub(super) struct Split {
    pub(super) tables: Vec<SourceTable>,
    pub(super) others: Vec<SourceTable>,
    /// Those that would be captured, had they a primary key.
    pub(super) keyless: Vec<String>,
}

/// The tables that are to be captured. One without a primary key has rows that nobody can name: an error, or, where the capture has
/// `begun` and somebody makes one, left out.
pub(super) fn captured(
    connection: &Connection,
    all: &[String],
    only: &[String],
    path: &Path,
    begun: bool,
) -> Result<Split, ReadModelError> {
    let not_so = |table: &str, reason: &str, help: String| ReadModelError::Capture {
        path: path.to_owned(),
        reason: format!("the table {table} {reason}"),
        help,
    };
    let is_there = |name: &&String| all.iter().any(|known| known.eq_ignore_ascii_case(name));
    if let Some(missing) = only.iter().find(|name| !is_there(name)) {
        return Err(not_so(missing, "is not there", format!("there are {}", all.join(", "))));
    }
    let wanted = |name: &String| only.is_empty() || only.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut out = Split {
        tables: Vec::new(),
        others: Vec::new(),
        keyless: Vec::new(),
    };
    for name in all {
        let table = table(connection, name).map_err(|error| failed(path, "read", error))?;
        if !wanted(name) {
            out.others.push(table);
        } else if !table.key.is_empty() {
            out.tables.push(table);
        } else if begun && only.is_empty() {
            out.keyless.push(name.clone());
        } else {
            let others: Vec<&str> = all.iter().filter(|known| *known != name).map(String::as_str).collect();
            let help = format!(
                "give it a PRIMARY KEY, or name the tables that are to be captured ({})",
                others.join(", ")
            );
            return Err(not_so(
                name,
                "has no primary key, by which its rows could be told apart",
                help,
            ));
        }
    }
    if out.tables.is_empty() {
        return Err(ReadModelError::Capture {
            path: path.to_owned(),
            reason: "there is no table in it".to_owned(),
            help: "create its tables first".to_owned(),
        });
    }
    Ok(out)
}

fn table(connection: &Connection, name: &str) -> rusqlite::Result<SourceTable> {
    let columns = columns(connection, "main", name)?;
    let key = key_of(&columns);
    Ok(SourceTable {
        name: name.to_owned(),
        columns: columns
            .into_iter()
            .map(|column| SourceColumn {
                optional: !column.not_null && column.key == 0,
                name: column.name,
                declared: column.declared,
            })
            .collect(),
        key,
    })
}

/// Refuses tables that are called alike: their keys would be taken for each other's.
pub(super) fn told_apart(tables: &[SourceTable], called: Called, path: &Path) -> Result<(), ReadModelError> {
    let mut known = BTreeMap::new();
    for table in tables {
        let name = called(&table.name);
        if let Some(other) = known.insert(name.clone(), &table.name) {
            return Err(ReadModelError::Capture {
                path: path.to_owned(),
                reason: format!(
                    "the tables `{other}` and `{}` would both be written to the topic of `{name}`, where their keys could not be told apart",
                    table.name
                ),
                help:
                    "capture one of them with --table, or both into one topic with --topic, where keys say their table"
                        .to_owned(),
            });
        }
    }
    Ok(())
}

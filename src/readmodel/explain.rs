//! What is wrong with a query: the place in its text, and the names that are near the one that does not exist.

use miette::SourceSpan;
use rusqlite::{Connection, Error, ErrorCode};

use crate::projection::nearest;

use super::compile::columns;
use super::dump::tables;
use super::error::ReadModelError;
use super::query::ambiguous;
use super::words::words;

/// Names that are listed where none is near.
const LISTED: usize = 12;

/// An error of a query over the read models of these schemas. `others` are tables of read models that were not asked, each with
/// its read model.
pub(super) fn explain(
    connection: &Connection,
    schemas: &[String],
    others: &[(String, String)],
    sql: &str,
    error: Error,
) -> ReadModelError {
    let mut help = None;
    let (message, at) = match &error {
        Error::SqlInputError { msg, offset, .. } => (msg.clone(), usize::try_from(*offset).ok()),
        Error::InvalidQuery => ("there is no SELECT in this".to_owned(), None),
        Error::MultipleStatement => ("one statement at a time".to_owned(), None),
        Error::InvalidParameterCount(..) => {
            help = Some("write the values themselves into the query".to_owned());
            ("a query binds nothing, and this one has parameters".to_owned(), None)
        }
        Error::SqliteFailure(failure, Some(message)) if failure.code == ErrorCode::Unknown => (message.clone(), None),
        _ => return ReadModelError::sqlite("the query failed", error),
    };
    let mut at = at.map(|at| (at, name_length(sql, at)).into());
    let known = || Known::read(connection, schemas, others);
    if let Some((table, schemas)) = ambiguous(&message) {
        let names: Vec<String> = schemas.iter().map(|schema| format!("{schema}.{table}")).collect();
        return ReadModelError::Query {
            message: format!("{} read models have a table `{table}`", schemas.len()),
            at: find(sql, table),
            sql: sql.to_owned(),
            help: Some(format!("write {}", names.join(" or "))),
        };
    }
    if let Some(table) = message.strip_prefix("no such table: ") {
        at = at.or_else(|| find(sql, table));
        help = Some(known().help_table(table));
    } else if let Some(column) = message.strip_prefix("no such column: ") {
        help = known().help_column(column, sql);
    } else if message == "incomplete input" {
        let end = sql.trim_end();
        let last = end.chars().next_back().map_or(0, char::len_utf8);
        at = Some((end.len() - last, last).into());
        help = Some("it ends too early: something is missing behind this".to_owned());
    }
    ReadModelError::Query {
        message,
        at,
        sql: sql.to_owned(),
        help,
    }
}

/// The length of the name at a place, with what qualifies it.
pub(super) fn name_length(sql: &str, at: usize) -> usize {
    let rest = sql.get(at..).unwrap_or_default();
    let name = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '.');
    name.map(char::len_utf8).sum::<usize>().max(1).min(rest.len())
}

/// Where a table's name stands; SQLite says which one is missing, and not where.
fn find(sql: &str, name: &str) -> Option<SourceSpan> {
    let parts: Vec<&str> = name.split('.').collect();
    let list = words(sql);
    let found = list
        .windows(parts.len())
        .find(|window| window.iter().zip(&parts).all(|(word, part)| word.is(part)))?;
    let (start, end) = (found.first()?.span.start, found.last()?.span.end);
    Some((start, end - start).into())
}

/// The tables that a query can name.
struct Known(Vec<Table>);

struct Table {
    /// With its read model.
    name: String,
    bare: String,
    columns: Vec<String>,
}

impl Known {
    /// Whatever cannot be read is left out: this is help, not the answer.
    fn read(connection: &Connection, schemas: &[String], others: &[(String, String)]) -> Self {
        let mut all = Vec::new();
        for schema in schemas {
            for bare in tables(connection, schema).unwrap_or_default() {
                let columns = columns(connection, schema, &bare).unwrap_or_default();
                all.push(Table {
                    name: format!("{schema}.{bare}"),
                    columns: columns.into_iter().map(|column| column.name).collect(),
                    bare,
                });
            }
        }
        let asked = |schema: &String| schemas.contains(schema);
        all.extend(
            others
                .iter()
                .filter(|(schema, _)| !asked(schema))
                .map(|(schema, bare)| Table {
                    name: format!("{schema}.{bare}"),
                    bare: bare.clone(),
                    columns: Vec::new(),
                }),
        );
        Self(all)
    }

    fn help_table(&self, wanted: &str) -> String {
        if self.0.is_empty() {
            return "there are no read models yet: `foldlog rebuild FILE.sql` builds one".to_owned();
        }
        let names = || self.0.iter().map(|table| table.name.as_str());
        let bare = wanted.rsplit('.').next().unwrap_or(wanted);
        let by_bare = || {
            let near = nearest(bare, self.0.iter().map(|table| table.bare.as_str()))?;
            self.0
                .iter()
                .find(|table| table.bare == near)
                .map(|table| table.name.as_str())
        };
        match nearest(wanted, names()).or_else(by_bare) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("a table is written READ_MODEL.TABLE; there are: {}", listed(names())),
        }
    }

    /// The columns of the tables that the query names.
    fn help_column(&self, wanted: &str, sql: &str) -> Option<String> {
        let bare = wanted.rsplit('.').next().unwrap_or(wanted);
        let said = words(sql);
        let named: Vec<&Table> = self
            .0
            .iter()
            .filter(|table| said.iter().any(|word| word.is(&table.bare)))
            .collect();
        let all = || named.iter().flat_map(|table| table.columns.iter().map(String::as_str));
        if let Some(near) = nearest(bare, all()) {
            return Some(format!("did you mean {near}?"));
        }
        let has = |table: &&Table| {
            format!(
                "{} has {}",
                table.name,
                listed(table.columns.iter().map(String::as_str))
            )
        };
        let list: Vec<String> = named.iter().take(3).map(has).collect();
        (!list.is_empty()).then(|| list.join("; "))
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = names.clone().count();
    let mut text = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if count > LISTED {
        text += &format!(" and {} more", count - LISTED);
    }
    text
}

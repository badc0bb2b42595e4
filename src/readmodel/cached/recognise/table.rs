//! What of a table matters to whoever keeps its rows in memory.

use rusqlite::{Connection, OptionalExtension};
use sqlparser::ast::{ColumnOption, Statement, TableConstraint};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use super::super::super::fulltext;
use super::super::super::words::words;
use super::super::plan::{Affinity, Column, Constant, Expression, Table};
use super::Recognised;
use super::expression::{Scope, constant_of};

/// Words in a CREATE TABLE that change what it does to a row, and what to call them.
const BEYOND: &[(&str, &str)] = &[
    ("COLLATE", "a COLLATE of its own"),
    ("CONFLICT", "an ON CONFLICT of its own"),
    ("AUTOINCREMENT", "AUTOINCREMENT"),
    ("GENERATED", "a generated column"),
];

/// Describes a table, or says why its rows cannot be kept in memory.
pub(super) fn describe(connection: &Connection, name: &str) -> rusqlite::Result<Recognised<Table>> {
    if fulltext::is_index(connection, "main", name)? {
        return Ok(Err(format!("`{name}` is a full-text index")));
    }
    let sql: String = connection.query_row(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?",
        [name],
        |row| row.get(0),
    )?;
    let said = words(&sql);
    for (word, what) in BEYOND {
        if said.iter().any(|one| one.is(word)) {
            return Ok(Err(format!("the table `{name}` has {what}")));
        }
    }
    if let Some(reason) = beyond(connection, name)? {
        return Ok(Err(format!("the table `{name}` {reason}")));
    }
    let (without_rowid, strict): (bool, bool) = connection.query_row(
        "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?",
        [name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let key_index: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk')",
        [name],
        |row| row.get(0),
    )?;
    let mut columns = Vec::new();
    let mut key = Vec::new();
    let mut list =
        connection.prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)")?;
    let mut rows = list.query([name])?;
    while let Some(row) = rows.next()? {
        let (place, hidden): (u32, i64) = (row.get(4)?, row.get(5)?);
        if hidden != 0 {
            return Ok(Err(format!("the table `{name}` has a generated column")));
        }
        if place > 0 {
            key.push((place, columns.len()));
        }
        let default: Option<String> = row.get(3)?;
        columns.push(Column {
            name: row.get(0)?,
            affinity: affinity(&row.get::<_, String>(1)?, strict),
            strict,
            not_null: row.get::<_, bool>(2)? || place > 0,
            default: match default {
                None => Some(Constant::Null),
                Some(default) => constant_of(connection, &default),
            },
        });
    }
    key.sort_unstable();
    let key: Vec<usize> = key.into_iter().map(|(_, column)| column).collect();
    let keyed = |column: &Column| matches!(column.affinity, Affinity::Text | Affinity::Number);
    if let Some(column) = key.iter().map(|at| &columns[*at]).find(|column| !keyed(column)) {
        return Ok(Err(format!(
            "the key of `{name}` is not of TEXT or INTEGER: `{}`",
            column.name
        )));
    }
    let rowid_key = !without_rowid && !key_index;
    if let (true, Some(column)) = (rowid_key, key.first().and_then(|at| columns.get_mut(*at))) {
        // A rowid takes integers only, whatever the table is.
        column.strict = true;
    }
    let mut table = Table {
        name: name.to_owned(),
        rowid_key,
        columns,
        key,
        checks: Vec::new(),
    };
    let count = said.iter().filter(|word| word.is("CHECK")).count();
    if count > 0 {
        match checks(connection, &sql, &table, count) {
            Ok(checks) => table.checks = checks,
            Err(reason) => {
                return Ok(Err(format!(
                    "the table `{name}` has a CHECK that only SQL knows: {reason}"
                )));
            }
        }
    }
    Ok(Ok(table))
}

/// What makes the rows of a table depend on one another.
fn beyond(connection: &Connection, name: &str) -> rusqlite::Result<Option<&'static str>> {
    let reasons = [
        (
            "SELECT 1 FROM pragma_index_list(?) WHERE \"unique\" AND origin <> 'pk'",
            "has a UNIQUE constraint or index beside its primary key",
        ),
        (
            "SELECT 1 FROM pragma_index_list(?) l WHERE l.partial
                OR EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) x WHERE x.cid = -2)",
            "has an index of an expression, or of some rows only",
        ),
        (
            "SELECT 1 FROM sqlite_schema s, pragma_foreign_key_list(s.name) f
             WHERE s.type = 'table' AND (s.name = ?1 OR lower(f.\"table\") = lower(?1))",
            "has a foreign key, or is what one points to",
        ),
        (
            "SELECT 1 FROM pragma_table_info(?) WHERE lower(name) IN ('true', 'false')",
            "has a column that is called like a value",
        ),
        (
            "SELECT 1 WHERE lower(?) = 'excluded'",
            "is called like the row of an INSERT",
        ),
    ];
    for (sql, reason) in reasons {
        let found: Option<i64> = connection.query_row(sql, [name], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// The affinity of a declared type, by SQLite's rules.
fn affinity(declared: &str, strict: bool) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Affinity::Number
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() || (strict && declared == "ANY") {
        Affinity::None
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Number
    }
}

/// The CHECKs of a table; all of them, or none is known.
fn checks(connection: &Connection, sql: &str, table: &Table, count: usize) -> Recognised<Vec<Expression>> {
    // What stands behind the columns changes no CHECK.
    let end = sql.rfind(')').map_or(sql.len(), |end| end + 1);
    let parsed = Parser::parse_sql(&SQLiteDialect {}, sql.get(..end).unwrap_or(sql));
    let Ok([Statement::CreateTable(create)]) = parsed.as_deref() else {
        return Err("its definition is not understood".to_owned());
    };
    let in_columns = create.columns.iter().flat_map(|column| &column.options);
    let in_columns = in_columns.filter_map(|option| match &option.option {
        ColumnOption::Check(check) => Some(check),
        _ => None,
    });
    let in_table = create.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::Check(check) => Some(check),
        _ => None,
    });
    let scope = Scope::checked(connection, table);
    let checks: Vec<_> = in_columns
        .chain(in_table)
        .map(|check| scope.expression(&check.expr))
        .collect::<Recognised<_>>()?;
    if checks.len() == count {
        Ok(checks)
    } else {
        Err("its definition is not understood".to_owned())
    }
}

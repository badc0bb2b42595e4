//! Rows between memory and SQLite: one read when its key is met, all that changed written in the order of their keys.

use std::borrow::Cow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use super::super::apply::Bound;
use super::super::dump::quoted;
use super::evaluate::{Unusual, Value};
use super::plan::Table;
use super::rows::{Cells, Rows, Stand};

/// The statements that move the rows of one table.
pub(super) struct Disk<'c> {
    select: Statement<'c>,
    insert: Statement<'c>,
    /// `None` where every column is in the key.
    update: Option<Statement<'c>>,
    delete: Statement<'c>,
    /// The columns that are not in the key.
    rest: Vec<usize>,
}

/// Whether a table has no row.
pub(super) fn is_empty(connection: &Connection, table: &Table) -> rusqlite::Result<bool> {
    let name = quoted(&table.name);
    connection.query_row(&format!("SELECT NOT EXISTS (SELECT 1 FROM main.{name})"), [], |row| {
        row.get(0)
    })
}

impl<'c> Disk<'c> {
    pub(super) fn new(connection: &'c Connection, table: &Table) -> rusqlite::Result<Self> {
        let name = quoted(&table.name);
        let column = |at: &usize| quoted(&table.columns[*at].name);
        let all: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let found: Vec<_> = table.key.iter().map(|at| format!("{} = ?", column(at))).collect();
        let found = found.join(" AND ");
        let rest: Vec<_> = (0..all.len()).filter(|at| !table.key.contains(at)).collect();
        let set: Vec<_> = rest.iter().map(|at| format!("{} = ?", column(at))).collect();
        let update = format!("UPDATE main.{name} SET {} WHERE {found}", set.join(", "));
        let (list, marks) = (all.join(", "), vec!["?"; all.len()].join(", "));
        Ok(Self {
            select: connection.prepare(&format!("SELECT {list} FROM main.{name} WHERE {found}"))?,
            insert: connection.prepare(&format!("INSERT INTO main.{name} ({list}) VALUES ({marks})"))?,
            update: (!rest.is_empty()).then(|| connection.prepare(&update)).transpose()?,
            delete: connection.prepare(&format!("DELETE FROM main.{name} WHERE {found}"))?,
            rest,
        })
    }

    /// Reads the row of a key; `at` is its place in memory, if it has one. Returns where it is then, or nothing where there is no
    /// such row.
    pub(super) fn load(
        &mut self,
        rows: &mut Rows,
        at: Option<u32>,
        key: &Cells,
    ) -> rusqlite::Result<Result<Option<u32>, Unusual>> {
        for number in 0..key.len() {
            self.select
                .raw_bind_parameter(number + 1, Bound(value_ref(&key.value(number))))?;
        }
        let mut answer = self.select.raw_query();
        let Some(row) = answer.next()? else {
            if let Some(at) = at {
                rows.settled(at, false);
            }
            return Ok(Ok(at));
        };
        let mut take = || -> rusqlite::Result<Result<u32, Unusual>> {
            // Looked at first, so that nothing is left half read.
            for column in 0..rows.columns() {
                if let ValueRef::Blob(_) = row.get_ref(column)? {
                    return Ok(Err(Unusual));
                }
            }
            let at = match at {
                Some(at) => at,
                None => match rows.add(key) {
                    Ok(at) => at,
                    Err(Unusual) => return Ok(Err(Unusual)),
                },
            };
            rows.stale(at);
            for column in 0..rows.columns() {
                let value = match row.get_ref(column)? {
                    ValueRef::Integer(value) => Value::Integer(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(text) => Value::Text(Cow::Borrowed(text)),
                    ValueRef::Null | ValueRef::Blob(_) => Value::Null,
                };
                if rows.set(at, column, &value, false).is_err() {
                    return Ok(Err(Unusual));
                }
            }
            rows.settled(at, true);
            Ok(Ok(at))
        };
        Ok(take()?.map(Some))
    }

    /// Writes one row where it is not as it is on disk.
    pub(super) fn write(&mut self, rows: &mut Rows, at: u32, table: &Table) -> rusqlite::Result<()> {
        let row = rows.row(at);
        let stand = row.stand();
        let all = 0..table.columns.len();
        let key = table.key.iter().copied();
        let statement = match stand {
            Stand::Same => return Ok(()),
            Stand::New => {
                bind(&mut self.insert, all, |column| row.bound(column))?;
                &mut self.insert
            }
            Stand::Changed => match &mut self.update {
                Some(update) => {
                    bind(update, self.rest.iter().copied().chain(key), |column| row.bound(column))?;
                    update
                }
                None => {
                    rows.settled(at, true);
                    return Ok(());
                }
            },
            Stand::Gone => {
                bind(&mut self.delete, key, |column| row.bound(column))?;
                &mut self.delete
            }
        };
        statement.raw_execute()?;
        rows.settled(at, stand != Stand::Gone);
        Ok(())
    }

    /// Writes all rows that are not as they are on disk, in the order of their keys, so that each page is touched once.
    pub(super) fn write_all(&mut self, rows: &mut Rows, table: &Table) -> rusqlite::Result<()> {
        rows.dirty().into_iter().try_for_each(|at| self.write(rows, at, table))
    }
}

fn bind<'r>(
    statement: &mut Statement<'_>,
    columns: impl Iterator<Item = usize>,
    value: impl Fn(usize) -> ValueRef<'r>,
) -> rusqlite::Result<()> {
    for (number, column) in columns.enumerate() {
        statement.raw_bind_parameter(number + 1, Bound(value(column)))?;
    }
    Ok(())
}

fn value_ref<'v>(value: &'v Value<'_>) -> ValueRef<'v> {
    match value {
        Value::Null => ValueRef::Null,
        Value::Integer(value) => ValueRef::Integer(*value),
        Value::Real(value) => ValueRef::Real(*value),
        Value::Text(text) => ValueRef::Text(text),
    }
}

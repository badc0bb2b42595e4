//! The schema of a read model in PostgreSQL: its tables, and the mark.

use postgres::types::ToSql;
use postgres::{Row, Transaction};

use crate::projection::dialect::quoted;
use crate::readmodel::feed::{FedRow, FedTable, Mark};
use crate::readmodel::query::Cell;

use super::super::address::Server;
use super::super::error::SinkError;
use super::super::{Held, Model};
use super::value::{Column, Value, array};
use super::{Failed, columns};

/// The table that says what of a schema is Foldlog's, and how far it was fed.
const MARK: &str = "_foldlog";
/// Bytes of a name at most.
pub(super) const LONGEST: usize = 63;

/// A table there.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its name with the schema's, as SQL writes it.
    at: String,
    columns: Vec<Column>,
    key: Vec<usize>,
}

/// The first name that the server would cut off.
pub(super) fn too_long(schema: &str, model: &Model) -> Option<String> {
    let tables = model.tables.iter();
    let names = tables.flat_map(|table| table.columns.iter().map(|column| &column.name).chain([&table.name]));
    let mut all = names.map(String::as_str).chain([schema]);
    all.find(|name| name.len() > LONGEST).map(str::to_owned)
}

/// Makes what is not there, takes away tables of an older definition, and reads the mark. Tables that are made anew are empty, so
/// that there is no mark any more.
pub(super) fn prepare(
    transaction: &mut Transaction<'_>,
    schema: &str,
    tables: &[Table],
    server: &Server,
) -> Result<Option<Mark>, Failed> {
    let all = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let there: Vec<String> = transaction
        .query(all, &[&schema])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let not_ours = |what: String| SinkError::NotOurs {
        store: server.to_string(),
        what,
        help: "feed another schema, with ?schema=NAME in the address".to_owned(),
    };
    if !there.iter().any(|name| name == MARK) {
        if let Some(name) = there.first() {
            return Err(not_ours(format!("the table {schema}.{name}")).into());
        }
        let (schema, mark) = (quoted(schema), at(schema, MARK));
        transaction.batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE {mark} (id integer PRIMARY KEY CHECK (id = 1), epoch text, through bigint, whole boolean, tables text[] NOT NULL);
             INSERT INTO {mark} VALUES (1, NULL, NULL, NULL, '{{}}')"
        ))?;
    }
    let mark = at(schema, MARK);
    let row = transaction.query_opt(&format!("SELECT tables FROM {mark} FOR UPDATE"), &[])?;
    let ours: Vec<String> = row.map(|row| row.get(0)).unwrap_or_default();
    let mut changed = false;
    for name in ours
        .iter()
        .filter(|name| tables.iter().all(|table| table.name != **name))
    {
        transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}", at(schema, name)))?;
        changed = true;
    }
    for table in tables {
        let is_there = there.contains(&table.name);
        if is_there && !ours.contains(&table.name) {
            return Err(not_ours(format!("the table {schema}.{}", table.name)).into());
        }
        if is_there && table.is_as_wanted(transaction)? {
            continue;
        }
        transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}; {}", table.at, table.create_sql()))?;
        changed = true;
    }
    if changed {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let forget = format!("UPDATE {mark} SET epoch = NULL, through = NULL, whole = NULL, tables = $1");
        transaction.execute(&forget, &[&names])?;
    }
    Ok(read_mark(transaction, schema, false)?)
}

fn at(schema: &str, table: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

/// Reads the mark; `lock` keeps it as it is until the transaction ends.
pub(super) fn read_mark(
    transaction: &mut Transaction<'_>,
    schema: &str,
    lock: bool,
) -> Result<Option<Mark>, postgres::Error> {
    let lock = if lock { "FOR UPDATE" } else { "" };
    let sql = format!("SELECT epoch, through, whole FROM {} {lock}", at(schema, MARK));
    let Some(row) = transaction.query_opt(&sql, &[])? else {
        return Ok(None);
    };
    let (epoch, through, whole): (Option<String>, Option<i64>, Option<bool>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(epoch
        .zip(through)
        .zip(whole)
        .map(|((epoch, through), whole)| Mark { epoch, through, whole }))
}

/// Writes the mark.
pub(super) fn write_mark(transaction: &mut Transaction<'_>, schema: &str, mark: &Mark) -> Result<(), postgres::Error> {
    let sql = format!("UPDATE {} SET epoch = $1, through = $2, whole = $3", at(schema, MARK));
    transaction.execute(&sql, &[&mark.epoch, &mark.through, &mark.whole])?;
    Ok(())
}

impl Table {
    pub(super) fn of(schema: &str, table: &FedTable) -> Self {
        Self {
            name: table.name.clone(),
            at: at(schema, &table.name),
            columns: columns(table),
            key: table.key.clone(),
        }
    }

    fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|at| self.columns.get(*at))
    }

    fn create_sql(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", quoted(&column.name), column.kind.sql()))
            .collect();
        let key: Vec<String> = self.key_columns().map(|column| quoted(&column.name)).collect();
        format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({}))",
            self.at,
            columns.join(", "),
            key.join(", ")
        )
    }

    /// Whether the table there has the same columns and the same key.
    fn is_as_wanted(&self, transaction: &mut Transaction<'_>) -> Result<bool, postgres::Error> {
        let sql = "SELECT a.attname, format_type(a.atttypid, a.atttypmod),
                          coalesce(array_position(i.indkey::int2[], a.attnum), -1)::bigint
                   FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
                   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
        let found = transaction.query(sql, &[&self.at])?;
        if found.len() != self.columns.len() {
            return Ok(false);
        }
        for (at, (row, column)) in found.iter().zip(&self.columns).enumerate() {
            let (name, kind, place): (String, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            // An int2vector counts from 0.
            let wanted = self
                .key
                .iter()
                .position(|known| *known == at)
                .map_or(-1, |place| place as i64);
            if name != column.name || kind != column.kind.sql() || place != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The values of a row as they travel; `None` where it is gone.
    pub(super) fn values(&self, row: &FedRow) -> Result<Option<Vec<Value>>, String> {
        let Some(cells) = &row.values else { return Ok(None) };
        let values = self.columns.iter().zip(cells);
        values
            .map(|(column, cell)| Value::of(column, cell))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Makes rows what these values are.
    pub(super) fn upsert(&self, transaction: &mut Transaction<'_>, rows: &[&[Value]]) -> Result<(), postgres::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let values: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("v{at}::{}", column.kind.sql()))
            .collect();
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let key: Vec<&str> = self
            .key
            .iter()
            .filter_map(|at| names.get(*at))
            .map(String::as_str)
            .collect();
        let set: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO UPDATE SET {}",
            self.at,
            names.join(", "),
            values.join(", "),
            self.unnest(&all),
            key.join(", "),
            set.join(", ")
        );
        let arrays = self.arrays(&all, &mut |at| Box::new(rows.iter().filter_map(move |row| row.get(at))));
        transaction.execute(&sql, &borrowed(&arrays))?;
        Ok(())
    }

    /// Takes rows away by their keys.
    pub(super) fn delete(&self, transaction: &mut Transaction<'_>, rows: &[&FedRow]) -> Result<(), postgres::Error> {
        let keys = self.keys(rows);
        if keys.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} t USING {} WHERE {}",
            self.at,
            self.unnest(&self.key),
            self.same_key()
        );
        let arrays = self.key_arrays(&keys);
        transaction.execute(&sql, &borrowed(&arrays))?;
        Ok(())
    }

    /// Finds rows by their keys: the key, then all columns.
    pub(super) fn select(
        &self,
        transaction: &mut Transaction<'_>,
        rows: &[&FedRow],
    ) -> Result<Vec<Row>, postgres::Error> {
        let keys = self.keys(rows);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<String> = self.key_columns().chain(&self.columns).map(selected).collect();
        let sql = format!(
            "SELECT {} FROM {} t, {} WHERE {}",
            all.join(", "),
            self.at,
            self.unnest(&self.key),
            self.same_key()
        );
        let arrays = self.key_arrays(&keys);
        transaction.query(&sql, &borrowed(&arrays))
    }

    /// A SELECT of all keys.
    pub(super) fn keys_sql(&self) -> String {
        let key: Vec<String> = self.key_columns().map(selected).collect();
        format!("SELECT {} FROM {} t", key.join(", "), self.at)
    }

    /// The key of a result that begins with it.
    pub(super) fn read_key(&self, row: &Row) -> Result<Vec<Cell>, postgres::Error> {
        let values = self.key_columns().enumerate();
        values
            .map(|(at, column)| Ok(Value::read(row, at, column.kind)?.cell()))
            .collect()
    }

    /// The values of a result of [`Table::select`].
    pub(super) fn read(&self, row: &Row) -> Result<Vec<Value>, postgres::Error> {
        let after = self.key.len();
        let values = self.columns.iter().enumerate();
        values
            .map(|(at, column)| Value::read(row, after + at, column.kind))
            .collect()
    }

    /// How a row compares with what is there.
    pub(super) fn held(&self, row: &FedRow, there: &[Value]) -> Held {
        let Ok(Some(wanted)) = self.values(row) else {
            return Held::Other(vec![("*".to_owned(), "a row that does not fit".to_owned())]);
        };
        let pairs = self.columns.iter().zip(wanted.iter().zip(there));
        let other: Vec<_> = pairs
            .filter(|(_, (wanted, there))| wanted != there)
            .map(|(column, (_, there))| (column.name.clone(), there.shown()))
            .collect();
        if other.is_empty() {
            Held::Same
        } else {
            Held::Other(other)
        }
    }

    /// Keys that can be there.
    fn keys(&self, rows: &[&FedRow]) -> Vec<Vec<Value>> {
        let key = |row: &&FedRow| -> Option<Vec<Value>> {
            let pairs = self.key_columns().zip(&row.key);
            pairs.map(|(column, cell)| Value::of(column, cell).ok()).collect()
        };
        rows.iter().filter_map(key).collect()
    }

    fn key_arrays(&self, keys: &[Vec<Value>]) -> Vec<Box<dyn ToSql + Sync>> {
        let arrays = self.key_columns().enumerate();
        arrays
            .map(|(at, column)| array(column.kind, &mut keys.iter().filter_map(|key| key.get(at))))
            .collect()
    }

    fn arrays<'v>(
        &self,
        at: &[usize],
        values: &mut dyn FnMut(usize) -> Box<dyn Iterator<Item = &'v Value> + 'v>,
    ) -> Vec<Box<dyn ToSql + Sync>> {
        let columns = at.iter().filter_map(|at| Some((*at, self.columns.get(*at)?)));
        columns
            .map(|(at, column)| array(column.kind, &mut *values(at)))
            .collect()
    }

    /// One array for each of these columns, as rows.
    fn unnest(&self, at: &[usize]) -> String {
        let columns: Vec<&Column> = at.iter().filter_map(|at| self.columns.get(*at)).collect();
        let types: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("${}::{}[]", at + 1, column.kind.travels()))
            .collect();
        let names: Vec<String> = (0..columns.len()).map(|at| format!("v{at}")).collect();
        format!("unnest({}) AS x({})", types.join(", "), names.join(", "))
    }

    fn same_key(&self) -> String {
        let pairs: Vec<String> = self
            .key_columns()
            .enumerate()
            .map(|(at, column)| format!("t.{} = x.v{at}", quoted(&column.name)))
            .collect();
        pairs.join(" AND ")
    }
}

/// A column as it is read back.
fn selected(column: &Column) -> String {
    match column.kind.travels() == column.kind.sql() {
        true => format!("t.{}", quoted(&column.name)),
        false => format!("t.{}::{}", quoted(&column.name), column.kind.travels()),
    }
}

fn borrowed(arrays: &[Box<dyn ToSql + Sync>]) -> Vec<&(dyn ToSql + Sync)> {
    arrays.iter().map(AsRef::as_ref).collect()
}

//! PostgreSQL: the tables of a read model in a schema of its name.
//!
//! Rows and mark are one transaction, and the mark's row is locked in it: whoever else feeds the same schema waits and then finds
//! another mark. Tables are made from the read model's definition and made anew when it has others; a schema that has tables and no
//! mark is somebody else's and is refused.

mod connect;
pub mod fold;
pub mod look;
mod schema;
mod value;

use std::collections::HashMap;

use postgres::{Client, Config, Transaction};

use crate::readmodel::feed::{FedRow, Mark};
use crate::readmodel::query::Cell;

use super::address::Server;
use super::error::SinkError;
use super::{Held, Keep, Model, Refused, RowStore, Rows, row_name};
use schema::Table;
use value::{Column, Value};

/// Keys that a sweep reads together.
const PAGE: i32 = 1000;

/// A PostgreSQL database that is fed with rows.
pub struct Postgres {
    server: Server,
    model: Model,
    schema: String,
    tables: Vec<Table>,
    client: Option<Client>,
}

impl Postgres {
    /// Nothing is connected before it is opened.
    pub fn new(server: Server, model: Model) -> Self {
        let schema = server.option("schema").unwrap_or(&model.name).to_owned();
        Self {
            tables: model.tables.iter().map(|table| Table::of(&schema, table)).collect(),
            schema,
            server,
            model,
            client: None,
        }
    }

    fn failed(&self, error: &postgres::Error) -> SinkError {
        connect::failed(&self.server, error)
    }

    fn connect(&self) -> Result<Client, SinkError> {
        let (config, tls) = connect::config(&self.server)?;
        Config::from(config).connect(tls).map_err(|error| self.failed(&error))
    }

    /// Does something in a transaction, which is committed unless it fails. The connection is given up after an error.
    fn within<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>, &Self) -> Result<T, Failed>,
    ) -> Result<T, SinkError> {
        let Some(mut client) = self.client.take() else {
            return Err(SinkError::Unreachable {
                store: self.server.to_string(),
                reason: "not connected".to_owned(),
            });
        };
        let done = client.transaction().map_err(Failed::from).and_then(|mut transaction| {
            let done = work(&mut transaction, self)?;
            transaction.commit()?;
            Ok(done)
        });
        match done {
            Ok(done) => {
                self.client = Some(client);
                Ok(done)
            }
            Err(Failed::Sink(error)) => Err(error),
            Err(Failed::Postgres(error)) => Err(self.failed(&error)),
        }
    }

    /// Pushes rows of one transaction; `alone` finds those that the server does not take.
    fn push_rows(
        &mut self,
        rows: &[FedRow],
        before: Option<&Mark>,
        mark: &Mark,
        alone: bool,
    ) -> Result<Vec<Refused>, SinkError> {
        self.within(|transaction, this| {
            let there = schema::read_mark(transaction, &this.schema, true)?;
            if before.is_some_and(|before| there.as_ref() != Some(before)) {
                return Err(SinkError::Lost.into());
            }
            let mut refused = Vec::new();
            for (at, table) in this.tables.iter().enumerate() {
                let ours = rows.iter().enumerate().filter(|(_, row)| row.table == at);
                let (mut gone, mut there) = (Vec::new(), Vec::new());
                for (number, row) in ours {
                    match table.values(row) {
                        Ok(Some(values)) => there.push((number, row, values)),
                        Ok(None) => gone.push(row),
                        Err(reason) => {
                            refused.push(Refused { row: number, reason });
                            gone.push(row);
                        }
                    }
                }
                table.delete(transaction, &gone)?;
                if !alone {
                    table.upsert(
                        transaction,
                        &there.iter().map(|(.., values)| values.as_slice()).collect::<Vec<_>>(),
                    )?;
                    continue;
                }
                for (number, row, values) in &there {
                    let mut point = transaction.savepoint("row")?;
                    match table.upsert(&mut point, &[values.as_slice()]) {
                        Ok(()) => point.commit()?,
                        Err(error) if is_of_data(&error) => {
                            point.rollback()?;
                            let reason = error
                                .as_db_error()
                                .map_or_else(String::new, |told| told.message().to_owned());
                            refused.push(Refused { row: *number, reason });
                            table.delete(transaction, &[row])?;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            schema::write_mark(transaction, &this.schema, mark)?;
            Ok(refused)
        })
    }
}

/// What ends a transaction.
enum Failed {
    Postgres(postgres::Error),
    Sink(SinkError),
}

impl From<postgres::Error> for Failed {
    fn from(error: postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Whether a row is to blame, which trying again does not mend.
fn is_of_data(error: &postgres::Error) -> bool {
    let code = error.as_db_error().map(|told| told.code().code().to_owned());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

impl RowStore for Postgres {
    fn open(&mut self) -> Result<Option<Mark>, SinkError> {
        if let Some(long) = schema::too_long(&self.schema, &self.model) {
            return Err(SinkError::Says {
                store: self.server.to_string(),
                reason: format!("the name `{long}` has more than 63 bytes, which PostgreSQL would cut off"),
                help: Some("give the table or column a shorter name, or the schema with ?schema=NAME".to_owned()),
            });
        }
        self.client = Some(self.connect()?);
        self.within(|transaction, this| schema::prepare(transaction, &this.schema, &this.tables, &this.server))
    }

    fn push(&mut self, rows: &[FedRow], before: Option<&Mark>, mark: &Mark) -> Result<Vec<Refused>, SinkError> {
        let mut of_data = false;
        let pushed = self.push_rows(rows, before, mark, false).inspect_err(|error| {
            of_data = matches!(error, SinkError::Says { .. });
        });
        if !of_data {
            return pushed;
        }
        // One row among them may be to blame.
        self.client = Some(self.connect()?);
        self.push_rows(rows, before, mark, true)
    }
}

impl Rows for Postgres {
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
        self.within(|transaction, this| sweep(transaction, &this.tables, from, keep))
    }

    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
        self.within(|transaction, this| compare(transaction, &this.tables, rows))
    }
}

/// Takes away rows of one table that are not to be kept; which table is next.
fn sweep(
    transaction: &mut Transaction<'_>,
    tables: &[Table],
    from: Option<String>,
    keep: &mut Keep<'_>,
) -> Result<Option<String>, Failed> {
    let at: usize = from.and_then(|from| from.parse().ok()).unwrap_or(0);
    let Some(table) = tables.get(at) else {
        return Ok(None);
    };
    let portal = transaction.bind(&table.keys_sql(), &[])?;
    loop {
        let rows = transaction.query_portal(&portal, PAGE)?;
        if rows.is_empty() {
            return Ok((at + 1 < tables.len()).then(|| (at + 1).to_string()));
        }
        let mut gone = Vec::new();
        for row in &rows {
            let key = table.read_key(row)?;
            if !keep(at, &row_name(&key)).map_err(SinkError::from)? {
                gone.push(FedRow {
                    table: at,
                    key,
                    values: None,
                });
            }
        }
        table.delete(transaction, &gone.iter().collect::<Vec<_>>())?;
    }
}

/// Compares rows that should be there with those that are.
fn compare(transaction: &mut Transaction<'_>, tables: &[Table], rows: &[FedRow]) -> Result<Vec<Held>, Failed> {
    let mut found: HashMap<(usize, String), Vec<Value>> = HashMap::new();
    for (at, table) in tables.iter().enumerate() {
        let keys: Vec<&FedRow> = rows.iter().filter(|row| row.table == at).collect();
        for row in table.select(transaction, &keys)? {
            let key: Vec<Cell> = table.read_key(&row)?;
            found.insert((at, row_name(&key)), table.read(&row)?);
        }
    }
    let held = |row: &FedRow| {
        let there = found.remove(&(row.table, row_name(&row.key)));
        match (tables.get(row.table), there) {
            (Some(table), Some(there)) => table.held(row, &there),
            _ => Held::Missing,
        }
    };
    Ok(rows.iter().map(held).collect())
}

/// The columns of a table as the server has them.
fn columns(table: &crate::readmodel::feed::FedTable) -> Vec<Column> {
    let column = |(at, column): (usize, &crate::readmodel::feed::FedColumn)| Column {
        name: column.name.clone(),
        kind: value::Kind::of(column.kind, table.key.contains(&at)),
    };
    table.columns.iter().enumerate().map(column).collect()
}

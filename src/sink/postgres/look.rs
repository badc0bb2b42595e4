//! A schema into which a projection was folded, looked at in one read transaction.

use postgres::{Client, Config, IsolationLevel, Transaction};

use crate::readmodel::feed::{FedRow, FedTable};

use super::super::address::Server;
use super::super::error::SinkError;
use super::super::{Held, Keep, Rows};
use super::fold::{Ledger, read_ledger};
use super::schema::Table;
use super::{Failed, compare, connect, sweep};

/// The rows as they were at one moment, whoever goes on writing them.
pub struct Look<'c> {
    server: Server,
    transaction: Transaction<'c>,
    tables: Vec<Table>,
    schema: String,
}

/// Connects to look.
pub fn connect(server: &Server) -> Result<Client, SinkError> {
    let (config, tls) = connect::config(server)?;
    Config::from(config)
        .connect(tls)
        .map_err(|error| connect::failed(server, &error))
}

impl<'c> Look<'c> {
    /// Begins to look.
    pub fn begin(client: &'c mut Client, server: &Server, schema: &str) -> Result<Self, SinkError> {
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .map_err(|error| connect::failed(server, &error))?;
        Ok(Self {
            server: server.clone(),
            transaction,
            tables: Vec::new(),
            schema: schema.to_owned(),
        })
    }

    /// What the schema remembers; an error where nothing was folded into it.
    pub fn ledger(&mut self) -> Result<Ledger, SinkError> {
        let ledger = read_ledger(&mut self.transaction, &self.schema);
        ledger
            .map_err(|error| connect::failed(&self.server, &error))?
            .ok_or_else(|| SinkError::Says {
                store: self.server.to_string(),
                reason: format!("there is no read model in the schema {}", self.schema),
                help: Some("`foldlog rebuild FILE.sql --in URL` makes one".to_owned()),
            })
    }

    /// Refuses where the schema has another build by now: its rows are not those of the moment that is looked at.
    pub fn still(&mut self, ledger: &Ledger) -> Result<(), SinkError> {
        let now = read_ledger(&mut self.transaction, &self.schema);
        match now.map_err(|error| connect::failed(&self.server, &error))? {
            Some(now) if now.info.position == ledger.info.position => Ok(()),
            _ => Err(SinkError::Says {
                store: self.server.to_string(),
                reason: format!("the read model in {} was rebuilt while it was looked at", self.schema),
                help: Some("verify it again".to_owned()),
            }),
        }
    }

    /// Which tables are looked at.
    pub fn at(&mut self, tables: &[FedTable]) {
        self.tables = tables.iter().map(|table| Table::of(&self.schema, table)).collect();
    }

    fn told<T>(&self, done: Result<T, Failed>) -> Result<T, SinkError> {
        done.map_err(|failed| match failed {
            Failed::Sink(error) => error,
            Failed::Postgres(error) => connect::failed(&self.server, &error),
        })
    }
}

impl Rows for Look<'_> {
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
        let done = sweep(&mut self.transaction, &self.tables, from, keep);
        self.told(done)
    }

    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
        let done = compare(&mut self.transaction, &self.tables, rows);
        self.told(done)
    }
}

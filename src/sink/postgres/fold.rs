//! PostgreSQL as the place where a projection's handlers run: its tables in a schema, its rows and its position in one transaction.
//!
//! What is sent for a batch of records is sent without waiting for answers, from BEGIN to COMMIT. One statement that fails makes the
//! server give all of it up, and the batch is done again with a savepoint for each record. `synchronous_commit` is off: a server that
//! crashes may forget the last transactions, but rows with their position, so that they are done again.

mod bind;
mod build;
mod handlers;
mod ledger;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres_native_tls::MakeTlsConnector;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Error, Statement};
use tokio_util::sync::CancellationToken;

use crate::projection::dialect::quoted;
use crate::readmodel::store::DeadLetter;

use super::super::address::Server;
use super::super::error::SinkError;
use super::connect;

pub use bind::Param;
pub use ledger::Ledger;
pub(super) use ledger::read as read_ledger;

/// How long what was sent may lie there without the server's system saying that it has it. As long as a statement waits for a lock
/// nothing more is read of those that were sent behind it, and Linux counts that, too.
const TAKEN: Duration = Duration::from_secs(120);
/// How long the server is asked to give up what it does when nobody waits for it any more.
const FAREWELL: Duration = Duration::from_millis(100);

/// A statement with its values.
#[derive(Debug)]
pub struct Job {
    /// Its number among those of all handlers.
    pub statement: usize,
    /// Its values.
    pub params: Vec<Param>,
}

/// A record that the server does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which of the records.
    pub record: usize,
    /// Which statement failed.
    pub statement: usize,
    /// What the server says.
    pub reason: String,
}

/// A connection that alone folds into a schema. After an error it is given up.
pub struct Session {
    server: Server,
    /// The schema of the read model in use.
    schema: String,
    client: Client,
    tls: MakeTlsConnector,
    cancel: CancellationToken,
    handlers: Vec<handlers::Prepared>,
    /// Writes the ledger, and a dead letter.
    own: Option<(Statement, Statement)>,
    /// Transactions that the ledger has, which nobody else may have added to.
    commits: i64,
    // Dropped last: the connection runs on it.
    runtime: Runtime,
}

impl Session {
    /// Connects, and takes the schema for itself: another that still folds into it after `turn` is an error. One that was killed is
    /// noticed by the server when it has done what it was told last.
    pub fn open(server: &Server, schema: &str, turn: Duration, cancel: &CancellationToken) -> Result<Self, SinkError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| SinkError::Unreachable {
                store: server.to_string(),
                reason: format!("the system gives nothing to wait with: {error}"),
            })?;
        let (mut config, tls) = connect::config(server)?;
        config.tcp_user_timeout(TAKEN);
        let connected = runtime.block_on(async {
            tokio::select! {
                connected = config.connect(tls.clone()) => connected.map_err(|error| failed(server, &error)),
                () = cancel.cancelled() => Err(SinkError::Cancelled),
            }
        });
        let (client, connection) = connected?;
        runtime.spawn(async move {
            // Whoever asks next is told of its end.
            let _ = connection.await;
        });
        let session = Self {
            server: server.clone(),
            schema: schema.to_owned(),
            client,
            tls,
            cancel: cancel.clone(),
            handlers: Vec::new(),
            own: None,
            commits: 0,
            runtime,
        };
        session.take(turn)?;
        session.execute(&connect::keepalives())?;
        session.execute(
            "SET synchronous_commit = off; SET client_min_messages = warning; SET standard_conforming_strings = on",
        )?;
        Ok(session)
    }

    /// The address without what is secret.
    pub fn name(&self) -> String {
        self.server.to_string()
    }

    fn take(&self, turn: Duration) -> Result<(), SinkError> {
        let until = Instant::now() + turn;
        let asked = format!("foldlog fold {}", self.schema);
        loop {
            let taken = self.run(async {
                let row = self
                    .client
                    .query_one("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", &[&asked])
                    .await?;
                row.try_get::<_, bool>(0)
            })?;
            if taken {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(SinkError::Taken {
                    store: self.server.to_string(),
                    schema: self.schema.clone(),
                });
            }
            self.run(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(())
            })?;
        }
    }

    fn failed(&self, error: &Error) -> SinkError {
        failed(&self.server, error)
    }

    /// Waits for work on the server, unless nobody wants it any more.
    fn run<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, SinkError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    // The server would go on with a statement that nobody waits for, and keep the schema from the next.
                    let over = self.client.cancel_token();
                    let _ = tokio::time::timeout(FAREWELL, over.cancel_query(self.tls.clone())).await;
                    Err(SinkError::Cancelled)
                }
                done = work => done.map_err(|error| self.failed(&error)),
            }
        })
    }

    fn execute(&self, sql: &str) -> Result<(), SinkError> {
        self.run(self.client.batch_execute(sql))
    }

    /// Works in a schema from here on.
    fn enter(&self, schema: &str) -> Result<(), SinkError> {
        self.execute(&format!("SET search_path TO {}", quoted(schema)))
    }

    /// Runs the statements of records and writes the ledger down, all or nothing. A record that the server does not take is
    /// returned; nothing is changed then.
    pub fn all(
        &mut self,
        records: &[Vec<Job>],
        ledger: &Ledger,
        letters: &[DeadLetter],
    ) -> Result<Option<Fault>, SinkError> {
        let close = self.close_params(ledger, letters);
        let (update, insert) = self.own()?;
        let done = self.run(async {
            let mut sent = Pipeline::default();
            sent.add(self.client.batch_execute("BEGIN")).await;
            for job in records.iter().flatten() {
                if let Some(handler) = self.handlers.get(job.statement) {
                    sent.add(handler.run(&self.client, &job.params)).await;
                }
            }
            for letter in &close.letters {
                sent.add(bind::run(&self.client, insert, letter)).await;
            }
            sent.add(bind::run(&self.client, update, &close.ledger)).await;
            sent.add(self.client.batch_execute("COMMIT")).await;
            sent.first_error().await
        });
        let Some((at, error)) = done? else {
            self.commits += 1;
            return Ok(None);
        };
        let jobs = records
            .iter()
            .enumerate()
            .flat_map(|(record, jobs)| jobs.iter().map(move |job| (record, job)));
        match jobs.clone().nth(at.wrapping_sub(1)) {
            Some((record, job)) if at > 0 && is_of_record(&error) => Ok(Some(Fault {
                record,
                statement: job.statement,
                reason: reason(&error),
            })),
            _ => Err(self.broken(&error)),
        }
    }

    /// Runs the statements of records one after the other, each record in a savepoint of its own, and leaves the transaction open
    /// for [`Session::close`]. Those that the server does not take leave nothing behind; `first` stops at the first of them.
    pub fn each(&mut self, records: &[Vec<Job>], first: bool) -> Result<Vec<Fault>, SinkError> {
        self.execute("BEGIN")?;
        let mut faults = Vec::new();
        for (record, jobs) in records.iter().enumerate() {
            let failed = self.run(async {
                let mut sent = Pipeline::default();
                sent.add(self.client.batch_execute("SAVEPOINT foldlog")).await;
                for job in jobs {
                    if let Some(handler) = self.handlers.get(job.statement) {
                        sent.add(handler.run(&self.client, &job.params)).await;
                    }
                }
                sent.add(self.client.batch_execute("RELEASE SAVEPOINT foldlog")).await;
                sent.first_error().await
            })?;
            let Some((at, error)) = failed else { continue };
            let Some(job) = jobs.get(at.wrapping_sub(1)).filter(|_| is_of_record(&error)) else {
                return Err(self.broken(&error));
            };
            self.execute("ROLLBACK TO SAVEPOINT foldlog; RELEASE SAVEPOINT foldlog")?;
            faults.push(Fault {
                record,
                statement: job.statement,
                reason: reason(&error),
            });
            if first {
                break;
            }
        }
        Ok(faults)
    }

    /// Writes the ledger down and commits what [`Session::each`] left open.
    pub fn close(&mut self, ledger: &Ledger, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let close = self.close_params(ledger, letters);
        let (update, insert) = self.own()?;
        let failed = self.run(async {
            let mut sent = Pipeline::default();
            for letter in &close.letters {
                sent.add(bind::run(&self.client, insert, letter)).await;
            }
            sent.add(bind::run(&self.client, update, &close.ledger)).await;
            sent.add(self.client.batch_execute("COMMIT")).await;
            sent.first_error().await
        })?;
        match failed {
            None => {
                self.commits += 1;
                Ok(())
            }
            Some((_, error)) => Err(self.broken(&error)),
        }
    }

    /// Takes the record that it was paused before off the list, to be tried again.
    pub fn release(&mut self) -> Result<(), SinkError> {
        self.execute("DELETE FROM _foldlog_dead_letter WHERE state = 'paused'")
    }

    fn own(&self) -> Result<(&Statement, &Statement), SinkError> {
        let own = self.own.as_ref().map(|(update, insert)| (update, insert));
        own.ok_or_else(|| SinkError::Unreachable {
            store: self.server.to_string(),
            reason: "not prepared".to_owned(),
        })
    }

    fn close_params(&self, ledger: &Ledger, letters: &[DeadLetter]) -> Close {
        Close {
            ledger: ledger::update_params(ledger, self.commits),
            letters: letters.iter().map(ledger::letter_params).collect(),
        }
    }

    /// A failure that is no record's.
    fn broken(&self, error: &Error) -> SinkError {
        match error.code() {
            // The ledger's own: it has other transactions than this connection has committed.
            Some(&SqlState::DIVISION_BY_ZERO) => SinkError::Lost,
            _ => self.failed(error),
        }
    }
}

/// What a server says; what may be otherwise when it is asked again is an outage.
fn failed(server: &Server, error: &Error) -> SinkError {
    let told = error.as_db_error();
    match told.filter(|_| error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE)) {
        Some(told) if passes(error) => SinkError::Unreachable {
            store: server.to_string(),
            reason: told.message().to_owned(),
        },
        _ => connect::failed(server, error),
    }
}

/// Whether the server may answer otherwise some time: it starts or stops, ended the connection, has no room, or took it back for another.
fn passes(error: &Error) -> bool {
    let code = error.code().map(SqlState::code).unwrap_or_default();
    ["08", "40", "53", "55", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// What is written at the end of a transaction.
struct Close {
    ledger: Vec<Param>,
    letters: Vec<Vec<Param>>,
}

/// Whether a record is to blame, which trying again does not mend: its values, a constraint, a row met twice, a limit.
fn is_of_record(error: &Error) -> bool {
    let code = error.code().map(SqlState::code).unwrap_or_default();
    ["21", "22", "23", "54"].iter().any(|class| code.starts_with(class))
}

fn reason(error: &Error) -> String {
    let Some(told) = error.as_db_error() else {
        return error.to_string();
    };
    match told.detail() {
        Some(detail) => format!("{}: {detail}", told.message()),
        None => told.message().to_owned(),
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Requests that were sent, in the order in which their answers come.
#[derive(Default)]
struct Pipeline<'a> {
    waiting: VecDeque<Answer<'a>>,
    first: Option<(usize, Error)>,
    seen: usize,
}

/// Answers that may wait at most: more would only take memory on both sides.
const WAITING: usize = 4096;

impl<'a> Pipeline<'a> {
    /// Sends a request, which polling it for the first time does.
    async fn add<T>(&mut self, request: impl Future<Output = Result<T, Error>> + 'a) {
        let mut answer: Answer<'a> = Box::pin(async move { request.await.map(drop) });
        let ready = poll_fn(|context| {
            Poll::Ready(match answer.as_mut().poll(context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        })
        .await;
        match ready {
            // An error before anything was sent; what came before is answered first.
            Some(done) => self.waiting.push_back(Box::pin(async move { done })),
            None => self.waiting.push_back(answer),
        }
        while self.waiting.len() >= WAITING {
            self.next().await;
        }
    }

    async fn next(&mut self) {
        if let Some(answer) = self.waiting.pop_front() {
            if let Err(error) = answer.await
                && self.first.is_none()
            {
                self.first = Some((self.seen, error));
            }
            self.seen += 1;
        }
    }

    /// Waits for all answers: the number of the first request that failed.
    async fn first_error(mut self) -> Result<Option<(usize, Error)>, Error> {
        while !self.waiting.is_empty() {
            self.next().await;
        }
        Ok(self.first)
    }
}

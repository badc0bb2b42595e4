//! A projection on a database in memory: what its own tests run on. Nothing is kept.

mod told;

use rusqlite::Connection;

use crate::decode::fields::Scalar;
use crate::projection::error::ProjectionError;
use crate::projection::{Expect, Projection, Statement, Step};
use crate::record::RecordRef;

use super::apply::{Applier, Outcome};
use super::compile::Definition;
use super::error::ReadModelError;
use super::guard::{Guard, Stage};
use super::invariant::Broken;
use super::query::{Rows, cell};

/// Rows of an answer that are looked at: more than anybody writes into a test.
const ROWS: usize = 1000;

/// The empty tables of a projection.
#[derive(Debug)]
pub struct Trial {
    connection: Connection,
    guard: Guard,
    definition: Definition,
}

impl Trial {
    /// Makes the tables.
    pub fn new(definition: &Definition) -> Result<Self, ReadModelError> {
        let guard = Guard::new();
        let open = || {
            let mut connection = Connection::open_in_memory()?;
            super::dates::install(&connection)?;
            guard.install(&mut connection)?;
            for step in definition.schema() {
                connection.execute_batch(&step.sql)?;
            }
            told::prepare(&connection)?;
            Ok(connection)
        };
        Ok(Self {
            connection: open().map_err(|error| ReadModelError::sqlite("cannot make the tables in memory", error))?,
            guard,
            definition: definition.clone(),
        })
    }

    /// Checks what the projection's tests ask against its tables, so that a mistake is shown with its place in the file.
    pub fn check(&self) -> Result<(), Box<ProjectionError>> {
        let projection = self.definition.projection();
        for step in projection.tests.iter().flat_map(|test| &test.steps) {
            if let Step::Expect(expect) = step {
                self.check_expect(projection, expect)?;
            }
        }
        Ok(())
    }

    fn check_expect(&self, projection: &Projection, expect: &Expect) -> Result<(), Box<ProjectionError>> {
        self.guard.enter(Stage::Query);
        let prepared = self.connection.prepare(&expect.select.sql);
        let refusal = self.guard.refusal();
        self.guard.enter(Stage::Own);
        let columns = match (prepared, refusal) {
            (Ok(prepared), _) => prepared.column_count(),
            (Err(_), Some(refusal)) => {
                let error = projection.error_in(&expect.select, None, refusal.message, "refused");
                return Err(error.with_help(refusal.help));
            }
            (Err(error), None) => return Err(super::compile::explained(projection, &expect.select, &error)),
        };
        let rows = expect.rows.iter().flatten();
        match rows.into_iter().find(|row| row.cells.len() != columns) {
            None => Ok(()),
            Some(row) => {
                let has = match row.cells.len() {
                    1 => "1 value".to_owned(),
                    count => format!("{count} values"),
                };
                let returns = match columns {
                    1 => "1 column".to_owned(),
                    count => format!("{count} columns"),
                };
                let message = format!("the row has {has}, and the SELECT returns {returns}");
                Err(projection
                    .error_at(row.span.clone(), message, "this row")
                    .also(expect.select.span.clone(), "what it is a row of")
                    .with_help(r#"a row of several columns is a JSON array: `-- = ["a", 10]`"#))
            }
        }
    }

    /// Begins with what the tables hold.
    pub fn start(&self) -> Result<Running<'_>, ReadModelError> {
        let start = || {
            let mut applier = Applier::new(&self.connection, &self.definition)?;
            told::watch(&self.connection, &mut applier, self.definition.projection())?;
            Ok(applier)
        };
        let applier = start().map_err(|error| ReadModelError::sqlite("cannot prepare the handlers", error))?;
        Ok(Running { trial: self, applier })
    }
}

/// A trial that runs.
pub struct Running<'t> {
    trial: &'t Trial,
    applier: Applier<'t>,
}

impl Running<'_> {
    /// Applies one record.
    pub fn apply(&mut self, record: &RecordRef<'_>) -> Result<Outcome, ReadModelError> {
        let outcome = self.applier.apply(record, &mut Vec::<Scalar<'_>>::new())?;
        told::keep(&self.trial.connection, &mut self.applier)?;
        Ok(outcome)
    }

    /// Hands over the invariants that broke since the last call.
    pub fn take_broken(&mut self) -> Vec<Broken> {
        self.applier.take_broken()
    }

    /// Asks what the tables hold now. An error is what SQLite says of the SELECT.
    pub fn ask(&self, select: &Statement) -> Result<Rows, String> {
        let ask = || -> rusqlite::Result<Rows> {
            let mut statement = self.trial.connection.prepare(&select.sql)?;
            let mut answer = Rows {
                columns: statement.column_names().map(str::to_owned).collect(),
                ..Rows::default()
            };
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if answer.rows.len() == ROWS {
                    answer.truncated = true;
                    break;
                }
                let cells = (0..answer.columns.len()).map(|at| row.get_ref(at).map(cell));
                answer.rows.push(cells.collect::<Result<_, _>>()?);
            }
            Ok(answer)
        };
        ask().map_err(|error| error.to_string())
    }
}

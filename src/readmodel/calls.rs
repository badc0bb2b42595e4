//! What a record asks for, where its rows are in another database than SQLite: the statements of its handlers with the values
//! that they bind. Decoding, types and upcasts are those of every fold; only the statements run elsewhere.

use rusqlite::Connection;

use crate::decode::fields::Scalar;
use crate::projection::error::ProjectionError;
use crate::record::RecordRef;

use super::apply::{Handlers, Outcome, Upcaster, dispatch, value_of};
use super::compile::{Definition, Program, explained};
use super::error::ReadModelError;
use super::missing::{MissingField, Watches};
use super::query::{Cell, cell};

/// A statement to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its number among those of all handlers, in file order.
    pub statement: usize,
    /// What its parameters bind, in the order of its bindings.
    pub values: Vec<Cell>,
}

/// What upcasts are asked on: a database in memory without a table.
pub struct Desk {
    connection: Connection,
    definition: Definition,
}

impl Desk {
    /// Refuses a projection with an upcast that reads a table: its rows are elsewhere.
    pub fn new(definition: &Definition) -> Result<Self, Box<ProjectionError>> {
        let projection = definition.projection();
        let own = |error: rusqlite::Error| projection.error_at(0..0, format!("SQLite cannot start: {error}"), "here");
        let connection = Connection::open_in_memory().map_err(own)?;
        super::dates::install(&connection).map_err(own)?;
        for upcast in &projection.upcasts {
            connection.prepare(&upcast.select.sql).map_err(|error| {
                explained(projection, &upcast.select, &error).with_help(
                    "where the rows are in another database an upcast can read the event alone: it runs before the event gets there",
                )
            })?;
        }
        Ok(Self {
            connection,
            definition: definition.clone(),
        })
    }

    /// The calls of records, one after the other.
    pub fn calls(&self) -> Result<Calls<'_>, ReadModelError> {
        Ok(Calls {
            definition: &self.definition,
            upcaster: Upcaster::new(&self.connection, &self.definition)
                .map_err(|error| ReadModelError::sqlite("cannot prepare the upcasts", error))?,
            watches: Watches::new(&self.definition),
            found: Vec::new(),
        })
    }
}

/// Says what records ask for.
pub struct Calls<'c> {
    definition: &'c Definition,
    upcaster: Upcaster<'c>,
    watches: Watches,
    found: Vec<Call>,
}

impl Calls<'_> {
    /// What a record asks for: [`Outcome::Applied`] with the calls that do it, or why there are none.
    pub fn of(&mut self, record: &RecordRef<'_>) -> Result<(Outcome, Vec<Call>), ReadModelError> {
        self.found.clear();
        let outcome = dispatch(self, self.definition, record, &mut Vec::new())?;
        Ok((outcome, std::mem::take(&mut self.found)))
    }

    /// The fields that were missing in every event of a handler.
    pub fn missing(&self) -> Vec<MissingField> {
        self.watches.missing(self.definition)
    }
}

impl Handlers for Calls<'_> {
    fn rewrite(
        &mut self,
        number: usize,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Result<String, String>, ReadModelError> {
        self.upcaster.rewrite(number, record, slots)
    }

    fn run(
        &mut self,
        program: Option<&Program>,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        let Some(program) = program else {
            return Ok(Outcome::Ignored);
        };
        self.watches.see(program, slots);
        for number in &program.steps {
            let Some(step) = self.definition.steps().get(*number) else {
                continue;
            };
            let values = step.bindings.iter().map(|binding| {
                let mut headers = String::new();
                cell(value_of(binding, record, slots, &mut headers))
            });
            self.found.push(Call {
                statement: *number,
                values: values.collect(),
            });
        }
        Ok(Outcome::Applied)
    }
}

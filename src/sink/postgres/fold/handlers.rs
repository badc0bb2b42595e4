//! The handlers of a projection, prepared by the server before a record is read.

use tokio_postgres::error::{ErrorPosition, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement};

use crate::projection::dialect::{HELP_TYPES, Rendered, Shape, help};
use crate::projection::error::ProjectionError;
use crate::projection::{Binding, Meta, Projection, Statement as Written};
use crate::readmodel::calls::Call;

use super::super::super::error::SinkError;
use super::bind::{self, Param};
use super::{Job, Session, passes};

/// A handler's statement.
pub(super) struct Prepared {
    statement: Statement,
    /// Which value each of its parameters has.
    parameters: Vec<usize>,
}

impl Prepared {
    pub(super) async fn run(&self, client: &Client, params: &[Param]) -> Result<u64, Error> {
        bind::run(client, &self.statement, params).await
    }
}

impl Session {
    /// Prepares every handler. What the server does not take is an error with its place in the file.
    pub(super) fn prepare_handlers(&mut self, projection: &Projection, shapes: &[Shape]) -> Result<(), SinkError> {
        self.handlers.clear();
        for written in projection.handlers.iter().flat_map(|handler| &handler.statements) {
            let rendered = projection.to_postgres(written, shapes);
            let statement = self.prepare_one(projection, written, &rendered)?;
            self.handlers.push(Prepared {
                statement,
                parameters: rendered.parameters,
            });
        }
        Ok(())
    }

    fn prepare_one(
        &self,
        projection: &Projection,
        written: &Written,
        rendered: &Rendered,
    ) -> Result<Statement, SinkError> {
        // UNKNOWN is what the server infers.
        let mut types = vec![Type::UNKNOWN; rendered.parameters.len()];
        let mut tries = types.len();
        let statement = loop {
            let error = match self.try_prepare(rendered, &types)? {
                Ok(statement) => break statement,
                Err(error) => error,
            };
            let undecided = undecided(&error).filter(|_| tries > 0);
            let Some(kind) = undecided.and_then(|at| types.get_mut(at)) else {
                return Err(refused(projection, written, rendered, &error).into());
            };
            tries -= 1;
            *kind = fallback(undecided.and_then(|at| written.bindings.get(*rendered.parameters.get(at)?)));
        };
        // Beside a small number, as in coalesce(:amount, 0), 32 bits are inferred, which events do not keep to.
        let mut wider = statement.params().to_vec();
        for kind in &mut wider {
            if [Type::INT2, Type::INT4].contains(kind) {
                *kind = Type::INT8;
            }
        }
        if wider == statement.params() {
            return Ok(statement);
        }
        Ok(self.try_prepare(rendered, &wider)?.unwrap_or(statement))
    }

    fn try_prepare(&self, rendered: &Rendered, types: &[Type]) -> Result<Result<Statement, Error>, SinkError> {
        self.run(async {
            match self.client.prepare_typed(&rendered.sql, types).await {
                Err(error) if error.as_db_error().is_none() || passes(&error) => Err(error),
                answer => Ok(answer),
            }
        })
    }

    /// A call with its values as the server wants them; one that cannot be stored is an error that says why.
    pub fn job(&self, call: &Call) -> Result<Job, String> {
        let prepared = self.handlers.get(call.statement);
        let prepared = prepared.ok_or_else(|| "the handler is not prepared".to_owned())?;
        let pairs = prepared.parameters.iter().zip(prepared.statement.params());
        let params = pairs.map(|(value, kind)| match call.values.get(*value) {
            Some(cell) => bind::param(cell, kind),
            None => Ok(Param(None)),
        });
        Ok(Job {
            statement: call.statement,
            params: params.collect::<Result<_, _>>()?,
        })
    }
}

/// The parameter of which nothing tells the type, counted from 0.
fn undecided(error: &Error) -> Option<usize> {
    if error.code() != Some(&SqlState::INDETERMINATE_DATATYPE) {
        return None;
    }
    let message = error.as_db_error()?.message();
    let (_, rest) = message.split_once('$')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok()?.checked_sub(1)
}

fn fallback(binding: Option<&Binding>) -> Type {
    match binding {
        Some(Binding::Meta(Meta::Partition | Meta::Offset | Meta::Timestamp)) => Type::INT8,
        _ => Type::TEXT,
    }
}

/// What the server has against a statement, at the place that it names.
pub(super) fn refused(
    projection: &Projection,
    written: &Written,
    rendered: &Rendered,
    error: &Error,
) -> Box<ProjectionError> {
    let Some(told) = error.as_db_error() else {
        return projection.error_in(written, None, error.to_string(), "here");
    };
    let at = match told.position() {
        Some(ErrorPosition::Original(position)) => Some(rendered.place(*position as usize)),
        _ => None,
    };
    let found = projection.error_in(written, at, format!("PostgreSQL: {}", told.message()), "here");
    let types = [
        SqlState::DATATYPE_MISMATCH,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::AMBIGUOUS_FUNCTION,
        SqlState::CANNOT_COERCE,
    ];
    let own = told.hint().filter(|hint| !hint.contains("explicit type casts"));
    let instead = match *told.code() {
        SqlState::INVALID_COLUMN_REFERENCE => {
            Some("ON CONFLICT names the columns of a PRIMARY KEY or UNIQUE: `ON CONFLICT (id) DO UPDATE …`".to_owned())
        }
        SqlState::AMBIGUOUS_COLUMN => Some("write whose column it is: `account.balance`".to_owned()),
        ref code => help(&written.sql, at)
            .or_else(|| types.contains(code).then(|| HELP_TYPES.to_owned()))
            .or_else(|| own.map(str::to_owned)),
    };
    match instead {
        Some(instead) => found.with_help(instead),
        None => {
            found.with_help("with --in the handlers are run by PostgreSQL: write SQL that both know, or leave --in out")
        }
    }
}

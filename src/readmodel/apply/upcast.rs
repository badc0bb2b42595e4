//! Old events in today's form: the value that an upcast returns takes the place of the record's before a handler sees it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use super::super::compile::Definition;
use super::super::error::ReadModelError;
use super::{bind, failed, poison_reason};

/// The prepared upcasts of a projection on one connection.
pub(in super::super) struct Upcaster<'c> {
    definition: &'c Definition,
    statements: Vec<Statement<'c>>,
}

impl<'c> Upcaster<'c> {
    pub(in super::super) fn new(connection: &'c Connection, definition: &'c Definition) -> rusqlite::Result<Self> {
        let steps = definition.upcasts().steps.iter();
        Ok(Self {
            definition,
            statements: steps
                .map(|step| connection.prepare(&step.sql))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The one JSON text that an upcast returns, or why there is none.
    pub(in super::super) fn rewrite(
        &mut self,
        number: usize,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Result<String, String>, ReadModelError> {
        let steps = &self.definition.upcasts().steps;
        let (Some(step), Some(statement)) = (steps.get(number), self.statements.get_mut(number)) else {
            return Ok(Err("is not there".to_owned()));
        };
        for (at, binding) in step.bindings.iter().enumerate() {
            bind(statement, at + 1, binding, record, slots)?;
        }
        let mut rows = statement.raw_query();
        let mut read = || -> rusqlite::Result<Result<String, String>> {
            let Some(row) = rows.next()? else {
                return Ok(Err("returned no row".to_owned()));
            };
            let value = match row.get_ref(0)? {
                ValueRef::Text(text) => match std::str::from_utf8(text) {
                    Ok(text) => text.to_owned(),
                    Err(_) => return Ok(Err("returned text that is not UTF-8".to_owned())),
                },
                ValueRef::Null => return Ok(Err("returned NULL, not JSON text".to_owned())),
                ValueRef::Blob(_) => {
                    return Ok(Err(
                        "returned a blob, not JSON text; json() makes text of JSONB".to_owned()
                    ));
                }
                ValueRef::Integer(_) | ValueRef::Real(_) => {
                    return Ok(Err("returned a number, not JSON text".to_owned()));
                }
            };
            match rows.next()? {
                None => Ok(Ok(value)),
                Some(_) => Ok(Err("returned more than one row".to_owned())),
            }
        };
        match read() {
            Ok(value) => Ok(value),
            Err(error) => match poison_reason(&error) {
                Some(reason) => Ok(Err(format!("failed: {reason}"))),
                None => Err(failed(record, error)),
            },
        }
    }
}

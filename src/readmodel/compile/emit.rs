//! The columns that an emit's SELECT must have, and may have.

use crate::projection::error::ProjectionError;
use crate::projection::{Emit, nearest};

use super::{Compiler, Step};

/// What its rows may say of a record.
const COLUMNS: &[&str] = &["key", "value", "headers", "partition", "timestamp"];

/// An emit's SELECT, and where in its rows the parts of a record stand.
#[derive(Debug)]
pub(in super::super) struct EmitStep {
    pub(in super::super) step: Step,
    pub(in super::super) key: usize,
    pub(in super::super) value: usize,
    pub(in super::super) headers: Option<usize>,
    pub(in super::super) partition: Option<usize>,
    pub(in super::super) timestamp: Option<usize>,
}

impl Compiler<'_> {
    pub(super) fn emits(&self) -> Result<Vec<EmitStep>, Box<ProjectionError>> {
        self.projection.emits.iter().map(|emit| self.emit(emit)).collect()
    }

    fn emit(&self, emit: &Emit) -> Result<EmitStep, Box<ProjectionError>> {
        let prepared = self.prepared(&emit.select)?;
        let names: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        let wrong = |message: String, help: String| -> Result<EmitStep, Box<ProjectionError>> {
            self.fail(emit.select.span.clone(), message, "the records to publish", help)
        };
        for (at, name) in names.iter().enumerate() {
            let known = COLUMNS.iter().any(|known| name.eq_ignore_ascii_case(known));
            if !known {
                return wrong(
                    format!("an emit has no column `{name}`"),
                    match nearest(name, COLUMNS.iter().copied()) {
                        Some(meant) => format!("did you mean `AS {meant}`?"),
                        None => "name the columns after the parts of a record: `key` and `value`, and where wanted `headers`, \
                                 `partition` and `timestamp`"
                            .to_owned(),
                    },
                );
            }
            if names.iter().take(at).any(|before| before.eq_ignore_ascii_case(name)) {
                return wrong(format!("an emit has two columns `{name}`"), "leave one out".to_owned());
            }
        }
        let place = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let (Some(key), Some(value)) = (place("key"), place("value")) else {
            let missing = if place("key").is_none() { "key" } else { "value" };
            let help = match missing {
                "key" => "write `… AS key`, or `NULL AS key` for records without one",
                _ => "write `… AS value`, most often a `json_object(…)`; a NULL is a tombstone",
            };
            return wrong(format!("this emit has no column `{missing}`"), help.to_owned());
        };
        Ok(EmitStep {
            step: self.step(&emit.select, &prepared)?,
            key,
            value,
            headers: place("headers"),
            partition: place("partition"),
            timestamp: place("timestamp"),
        })
    }
}

//! Old events in today's form: the value that an upcast returns takes the place of the record's before a handler sees it.

use rusqlite::types::ValueRef;

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use super::super::compile::text_of;
use super::super::error::ReadModelError;
use super::{Applier, Outcome, Poison, PoisonKind, bind, failed, poison_reason};

impl Applier<'_> {
    /// Applies an event whose fields are in `slots`, after the upcasts that are for it. What one returns may be for another,
    /// so that each has to know the next version only; none may come twice.
    pub(super) fn upcast(&mut self, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> Result<Outcome, ReadModelError> {
        let Some(mut number) = self.upcast_for(slots) else {
            return self.event(record, slots);
        };
        let mut done = vec![number];
        let mut value = match self.rewrite(number, record, slots)? {
            Ok(value) => value,
            Err(reason) => return Ok(self.refused(number, &reason)),
        };
        loop {
            let mut slots = Vec::new();
            if let Err(error) = self.definition.fields().extract(value.as_bytes(), &mut slots) {
                return Ok(self.refused(number, &format!("gave what cannot be decoded: {error}")));
            }
            if text_of(slots.first()).is_none() {
                return Ok(self.refused(number, "gave a value without a type"));
            }
            let rewritten = RecordRef {
                value: Some(value.as_bytes()),
                ..*record
            };
            let Some(next) = self.upcast_for(&slots) else {
                return self.event(&rewritten, &slots);
            };
            if done.contains(&next) {
                return Ok(self.refused(number, "gave a type and version that was upcast already"));
            }
            done.push(next);
            number = next;
            let newer = self.rewrite(number, &rewritten, &slots)?;
            value = match newer {
                Ok(newer) => newer,
                Err(reason) => return Ok(self.refused(number, &reason)),
            };
        }
    }

    fn upcast_for(&self, slots: &[Scalar<'_>]) -> Option<usize> {
        self.definition.upcasts().of(&text_of(slots.first())?, slots)
    }

    /// The one JSON text that an upcast returns, or why there is none.
    fn rewrite(
        &mut self,
        number: usize,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Result<String, String>, ReadModelError> {
        let steps = &self.definition.upcasts().steps;
        let (Some(step), Some(statement)) = (steps.get(number), self.upcasts.get_mut(number)) else {
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

    fn refused(&self, number: usize, what: &str) -> Outcome {
        let line = self
            .definition
            .projection()
            .upcasts
            .get(number)
            .map(|upcast| upcast.line);
        Outcome::Poison(Poison {
            kind: PoisonKind::Upcast,
            reason: match line {
                Some(line) => format!("the upcast at line {line} {what}"),
                None => format!("an upcast {what}"),
            },
            line,
        })
    }
}

//! What must be true after every event, asked after each one that was applied.

use rusqlite::Statement;

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use super::super::compile::text_of;
use super::super::dump::push_row;
use super::super::error::ReadModelError;
use super::super::invariant::{Broken, ROWS};
use super::{Applier, bind, failed, poison_reason};

/// The first rows of an answer, whether there were more, and why it could not be had.
type Answer = (Vec<String>, bool, Option<String>);

impl Applier<'_> {
    /// Leaves out invariants that are known to be broken: the first event is found, and asking on would cost and tell nothing.
    pub(in super::super) fn leave_out(&mut self, broken: &[Broken]) {
        let known = &self.definition.projection().invariants;
        self.invariants.retain(|(number, _)| {
            let name = known.get(*number).map(|invariant| &invariant.name);
            !broken.iter().any(|broken| Some(&broken.name) == name)
        });
    }

    /// Hands over the invariants that broke since the last call.
    pub(in super::super) fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.broken)
    }

    /// Asks the invariants that still hold whether they do after this event.
    pub(super) fn check(&mut self, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> Result<(), ReadModelError> {
        let before = self.broken.len();
        for (number, statement) in &mut self.invariants {
            let definition = self.definition;
            let (Some(step), Some(invariant)) = (
                definition.invariants().get(*number),
                definition.projection().invariants.get(*number),
            ) else {
                continue;
            };
            for (at, binding) in step.bindings.iter().enumerate() {
                bind(statement, at + 1, binding, record, slots)?;
            }
            let (rows, more, error) = match ask(statement) {
                Ok((rows, _, None)) if rows.is_empty() => continue,
                Ok(answer) => answer,
                Err(error) => match poison_reason(&error) {
                    Some(reason) => (Vec::new(), false, Some(reason)),
                    None => return Err(failed(record, error)),
                },
            };
            self.broken.push(Broken {
                name: invariant.name.clone(),
                line: invariant.line,
                topic: record.topic.to_owned(),
                partition: record.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                event: record
                    .value
                    .and_then(|_| text_of(slots.first()))
                    .map(|event| event.into_owned()),
                key: record.key.map(<[u8]>::to_vec),
                rows,
                more,
                error,
            });
        }
        let found = self.broken.get(before..).unwrap_or_default().to_vec();
        if !found.is_empty() {
            self.leave_out(&found);
        }
        Ok(())
    }
}

fn ask(statement: &mut Statement<'_>) -> rusqlite::Result<Answer> {
    let columns = statement.column_count();
    let mut answer = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = answer.next()? {
        if rows.len() == ROWS {
            return Ok((rows, true, None));
        }
        let mut text = String::new();
        push_row(&mut text, row, columns)?;
        rows.push(text);
    }
    Ok((rows, false, None))
}

//! What an event publishes: the rows of the emits that follow it, as records for the outbox.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};

use crate::decode::fields::Scalar;
use crate::projection::On;
use crate::record::{Header, RecordRef};

use super::super::compile::{Definition, EmitStep, Program, text_of};
use super::super::error::ReadModelError;
use super::super::outbox::{Emission, ID_HEADER, Refused, Since};
use super::{Applier, Outcome, Poison, PoisonKind, bind, failed, go, poison_reason};

/// Records that one event may publish, so that a SELECT that has lost its WHERE does not fill memory.
const MOST: usize = 100_000;

/// The emits of a projection that is followed live.
pub(super) struct Emits<'c> {
    statements: Vec<Statement<'c>>,
    /// Which events publish; the others did already, or never will.
    since: Since,
    /// Whether an event whose emit fails is applied all the same, and publishes nothing.
    go_on: bool,
    emissions: Vec<Emission>,
    refused: Vec<Refused>,
}

impl<'c> Emits<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        definition: &Definition,
        since: Since,
        go_on: bool,
    ) -> rusqlite::Result<Self> {
        let emits = definition.emits().iter();
        Ok(Self {
            statements: emits
                .map(|emit| connection.prepare(&emit.step.sql))
                .collect::<rusqlite::Result<_>>()?,
            since,
            go_on,
            emissions: Vec::new(),
            refused: Vec::new(),
        })
    }
}

impl<'c> Applier<'c> {
    /// From here on events publish, those that `since` has. `go_on` says what becomes of an event whose emit fails: it is poison, or it
    /// is applied and publishes nothing.
    pub(in super::super) fn emit(
        &mut self,
        connection: &'c Connection,
        since: Since,
        go_on: bool,
    ) -> rusqlite::Result<()> {
        self.emits = Some(Emits::new(connection, self.definition, since, go_on)?);
        Ok(())
    }

    /// Hands over what the events since the last call publish, and what of them could not be told.
    pub(in super::super) fn take_emissions(&mut self) -> (Vec<Emission>, Vec<Refused>) {
        match &mut self.emits {
            Some(emits) => (std::mem::take(&mut emits.emissions), std::mem::take(&mut emits.refused)),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// Whether any emit follows this event.
    pub(super) fn publishes(&self, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> bool {
        let Some(emits) = &self.emits else { return false };
        let all = &self.definition.projection().emits;
        emits.since.has(record) && all.iter().any(|emit| follows(&emit.on, record, slots))
    }

    /// Runs the handlers, then the emits; both or neither take effect.
    pub(super) fn run_and_publish(
        &mut self,
        program: &Program,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        go(&mut self.savepoint)?;
        let mut outcome = self.program(program, record, slots)?;
        if outcome == Outcome::Applied
            && let Err(poison) = self.publish(record, slots)?
        {
            let go_on = self.emits.as_ref().is_some_and(|emits| emits.go_on);
            match &mut self.emits {
                Some(emits) if go_on => emits.refused.push(Refused {
                    id: id_of(&self.definition.projection().name, record, 0),
                    reason: poison.reason,
                }),
                _ => {
                    go(&mut self.rollback)?;
                    outcome = Outcome::Poison(poison);
                }
            }
        }
        go(&mut self.release)?;
        Ok(outcome)
    }

    fn publish(&mut self, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> Result<Result<(), Poison>, ReadModelError> {
        let definition = self.definition;
        let Some(emits) = &mut self.emits else {
            return Ok(Ok(()));
        };
        let before = emits.emissions.len();
        let clauses = definition.projection().emits.iter().zip(definition.emits());
        for ((emit, step), statement) in clauses.zip(&mut emits.statements) {
            if !follows(&emit.on, record, slots) {
                continue;
            }
            for (at, binding) in step.step.bindings.iter().enumerate() {
                bind(statement, at + 1, binding, record, slots)?;
            }
            let mut told = Telling {
                name: &definition.projection().name,
                topic: &emit.topic,
                step,
                record,
                before,
                emissions: &mut emits.emissions,
            };
            let reason = match told.rows(statement) {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(error) => match poison_reason(&error) {
                    Some(reason) => format!("failed: {reason}"),
                    None => return Err(failed(record, error)),
                },
            };
            emits.emissions.truncate(before);
            return Ok(Err(Poison {
                kind: PoisonKind::Handler,
                reason: format!("the emit at line {} {reason}", emit.line),
                line: Some(emit.line),
            }));
        }
        Ok(Ok(()))
    }
}

/// Whether an emit is for an event.
fn follows(on: &[On], record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> bool {
    if on.is_empty() {
        return true;
    }
    let event = record.value.and_then(|_| text_of(slots.first()));
    on.iter().any(|on| match on {
        On::Tombstone => record.value.is_none(),
        On::Type(name) => event.as_deref() == Some(name.as_str()),
        On::Other => false,
    })
}

fn id_of(name: &str, record: &RecordRef<'_>, number: usize) -> String {
    format!(
        "{name}/{}/{}/{}/{number}",
        record.topic, record.partition, record.offset
    )
}

/// The rows of one emit on their way to the outbox.
struct Telling<'t> {
    name: &'t str,
    topic: &'t str,
    step: &'t EmitStep,
    record: &'t RecordRef<'t>,
    before: usize,
    emissions: &'t mut Vec<Emission>,
}

impl Telling<'_> {
    fn rows(&mut self, statement: &mut Statement<'_>) -> rusqlite::Result<Result<(), String>> {
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let number = self.emissions.len() - self.before;
            if number == MOST {
                return Ok(Err(format!("gave more than {MOST} records for one event")));
            }
            match self.row(row, number)? {
                Ok(emission) => self.emissions.push(emission),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(()))
    }

    fn row(&self, row: &Row<'_>, number: usize) -> rusqlite::Result<Result<Emission, String>> {
        let column = |at: Option<usize>| at.map_or(Ok(ValueRef::Null), |at| row.get_ref(at));
        let partition = match column(self.step.partition)? {
            ValueRef::Null => None,
            ValueRef::Integer(partition) => match i32::try_from(partition) {
                Ok(partition) if partition >= 0 => Some(partition),
                _ => return Ok(Err(format!("gave the partition {partition}; they count from 0"))),
            },
            _ => return Ok(Err("gave a partition that is no integer".to_owned())),
        };
        let timestamp = match column(self.step.timestamp)? {
            ValueRef::Null => self.record.timestamp.map(|time| time.0),
            ValueRef::Integer(time) if time >= 0 => Some(time),
            _ => return Ok(Err("gave a timestamp that is not milliseconds since 1970".to_owned())),
        };
        let headers = match column(self.step.headers)? {
            ValueRef::Null => Vec::new(),
            ValueRef::Text(text) => match headers(text) {
                Ok(headers) => headers,
                Err(reason) => return Ok(Err(reason)),
            },
            _ => return Ok(Err("gave headers that are no JSON object".to_owned())),
        };
        Ok(Ok(Emission {
            id: id_of(self.name, self.record, number),
            topic: self.topic.to_owned(),
            partition,
            key: bytes(row.get_ref(self.step.key)?),
            value: bytes(row.get_ref(self.step.value)?),
            timestamp,
            headers,
        }))
    }
}

/// A value as the bytes of a record: text as it is, a number as JSON writes it.
fn bytes(value: ValueRef<'_>) -> Option<Vec<u8>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string().into_bytes()),
        ValueRef::Real(value) => Some(format!("{value:?}").into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}

/// The members of a JSON object; text as it is, anything else as JSON, null as no value.
fn headers(text: &[u8]) -> Result<Vec<Header>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(text).map_err(|_| "gave headers that are no JSON object".to_owned())?;
    object
        .into_iter()
        .map(|(key, value)| {
            if key == ID_HEADER || key.contains('\0') {
                return Err(format!(
                    "gave the header `{}`, which is not for it to give",
                    key.escape_debug()
                ));
            }
            let value = match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text.into_bytes()),
                other => Some(other.to_string().into_bytes()),
            };
            Ok(Header { key, value })
        })
        .collect()
}

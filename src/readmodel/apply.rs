//! One record through the handlers: decode the bound fields, find the handlers, bind, step.
//!
//! An event applies as a whole or not at all. SQLite undoes a failed statement by itself; handlers of more than one
//! statement are put into a savepoint, and only those, because a savepoint costs.

mod alert;
mod cached;
mod dispatch;
mod emit;
mod invariant;
mod upcast;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, Statement};

use crate::decode::fields::Scalar;
use crate::projection::{Binding, Meta, Projection};
use crate::record::{Header, RecordRef};

use super::bookkeeping::hex;
use super::cached::Cache;
use super::changes::Recorder;
use super::compile::{Definition, Program, Step};
use super::error::ReadModelError;
use super::invariant::Broken;
use super::missing::{MissingField, Watches};

use alert::Alerts;
pub(super) use dispatch::{Handlers, dispatch};
use emit::Emits;
pub(super) use upcast::Upcaster;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its handlers ran.
    Applied,
    /// No handler is for it.
    Ignored,
    /// It could not be applied, and left nothing behind.
    Poison(Poison),
    /// Somebody decided that it is left out.
    Skipped,
    /// It waits for an earlier one of its key, which somebody decided to leave out.
    Held,
}

/// What is wrong with a record that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoisonKind {
    /// Its value cannot be decoded.
    Body,
    /// Its value has no type.
    Type,
    /// An upcast failed.
    Upcast,
    /// It is not what the schema of its type says.
    Schema,
    /// A handler's statement failed.
    Handler,
}

impl PoisonKind {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Body, Self::Type, Self::Upcast, Self::Schema, Self::Handler];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Type => "type",
            Self::Upcast => "upcast",
            Self::Schema => "schema",
            Self::Handler => "handler",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.word() == word).unwrap_or(Self::Handler)
    }
}

/// Why a record could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// What is wrong with it.
    pub kind: PoisonKind,
    /// The reason, for people.
    pub reason: String,
    /// The line of the statement that failed; `None` where the value could not be decoded.
    pub line: Option<usize>,
}

impl Poison {
    fn value(kind: PoisonKind, reason: impl Into<String>) -> Outcome {
        Outcome::Poison(Self {
            kind,
            reason: reason.into(),
            line: None,
        })
    }
}

/// The prepared handlers of a projection on one connection.
pub(super) struct Applier<'c> {
    definition: &'c Definition,
    steps: Vec<Statement<'c>>,
    upcaster: Upcaster<'c>,
    /// What the events of each program had.
    watches: Watches,
    /// The invariants that hold so far, by number.
    invariants: Vec<(usize, Statement<'c>)>,
    broken: Vec<Broken>,
    /// What events publish, where they do.
    emits: Option<Emits<'c>>,
    /// What is told of, where that is watched.
    alerts: Option<Alerts<'c>>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    rollback: Statement<'c>,
    recorder: Option<Recorder>,
    /// The rows that are kept in memory.
    cache: Option<Cache<'c>>,
}

impl<'c> Applier<'c> {
    /// Prepares every handler. The tables must be there.
    pub(super) fn new(connection: &'c Connection, definition: &'c Definition) -> rusqlite::Result<Self> {
        let prepare = |steps: &[Step]| -> rusqlite::Result<Vec<_>> {
            steps.iter().map(|step| connection.prepare(&step.sql)).collect()
        };
        Ok(Self {
            definition,
            steps: prepare(definition.steps())?,
            upcaster: Upcaster::new(connection, definition)?,
            watches: Watches::new(definition),
            invariants: prepare(definition.invariants())?.into_iter().enumerate().collect(),
            broken: Vec::new(),
            emits: None,
            alerts: None,
            savepoint: connection.prepare("SAVEPOINT foldlog_event")?,
            release: connection.prepare("RELEASE foldlog_event")?,
            rollback: connection.prepare("ROLLBACK TO foldlog_event")?,
            recorder: None,
            cache: None,
        })
    }

    /// The projection whose events it applies.
    pub(super) fn projection(&self) -> &'c Projection {
        self.definition.projection()
    }

    /// Tells `recorder` which statement runs.
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// The fields that were missing in every event of a handler.
    pub(super) fn missing(&self) -> Vec<MissingField> {
        self.watches.missing(self.definition)
    }

    /// Applies one record. `slots` is room for the fields, to be used again for the next record. An error is not the record's
    /// fault: the transaction must be given up.
    pub(super) fn apply<'r>(
        &mut self,
        record: &RecordRef<'r>,
        slots: &mut Vec<Scalar<'r>>,
    ) -> Result<Outcome, ReadModelError> {
        dispatch(self, self.definition, record, slots)
    }

    fn program(
        &mut self,
        program: &Program,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        match program.steps.as_slice() {
            [] => Ok(Outcome::Applied),
            steps if self.cache.is_some() => self.cached(steps, record, slots),
            [step] => self.step(*step, record, slots),
            steps => self.steps(steps, record, slots),
        }
    }

    /// Several statements, of which all or none take effect.
    fn steps(
        &mut self,
        steps: &[usize],
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        go(&mut self.savepoint)?;
        for step in steps {
            let outcome = self.step(*step, record, slots)?;
            if outcome != Outcome::Applied {
                go(&mut self.rollback)?;
                go(&mut self.release)?;
                return Ok(outcome);
            }
        }
        go(&mut self.release)?;
        Ok(Outcome::Applied)
    }

    fn step(&mut self, number: usize, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> Result<Outcome, ReadModelError> {
        let (Some(step), Some(statement)) = (self.definition.steps().get(number), self.steps.get_mut(number)) else {
            return Ok(Outcome::Ignored);
        };
        for (at, binding) in step.bindings.iter().enumerate() {
            bind(statement, at + 1, binding, record, slots)?;
        }
        if let Some(recorder) = &self.recorder {
            recorder.begin(step.line);
        }
        match statement.raw_execute() {
            Ok(_) => Ok(Outcome::Applied),
            Err(error) => match poison_reason(&error) {
                Some(reason) => Ok(Outcome::Poison(Poison {
                    kind: PoisonKind::Handler,
                    reason,
                    line: Some(step.line),
                })),
                None => Err(failed(record, error)),
            },
        }
    }
}

impl Handlers for Applier<'_> {
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
        let outcome = if self.emits.is_some() && self.publishes(record, slots) {
            self.run_and_publish(program, record, slots)?
        } else {
            self.program(program, record, slots)?
        };
        if !self.invariants.is_empty() && outcome == Outcome::Applied {
            self.check(record, slots)?;
        }
        if self.alerts.is_some() && outcome == Outcome::Applied {
            self.ask_alerts(record, slots)?;
        }
        Ok(outcome)
    }
}

/// A failure that is not the record's.
fn failed(record: &RecordRef<'_>, error: rusqlite::Error) -> ReadModelError {
    let RecordRef {
        topic,
        partition,
        offset,
        ..
    } = record;
    ReadModelError::sqlite(
        format!("cannot apply the record at {topic}[{partition}] offset {offset}"),
        error,
    )
}

fn go(statement: &mut Statement<'_>) -> Result<(), ReadModelError> {
    statement
        .raw_execute()
        .map(drop)
        .map_err(|error| ReadModelError::sqlite("cannot mark the beginning or end of an event", error))
}

/// A value on its way into SQLite, which copies it while it is bound.
pub(super) struct Bound<'a>(pub(super) ValueRef<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

pub(super) fn bind(
    statement: &mut Statement<'_>,
    number: usize,
    binding: &Binding,
    record: &RecordRef<'_>,
    slots: &[Scalar<'_>],
) -> Result<(), ReadModelError> {
    let mut headers = String::new();
    let value = value_of(binding, record, slots, &mut headers);
    bound(statement.raw_bind_parameter(number, Bound(value)))
}

/// What a parameter binds of a record. `headers` is room for their text.
pub(super) fn value_of<'v>(
    binding: &Binding,
    record: &RecordRef<'v>,
    slots: &'v [Scalar<'_>],
    headers: &'v mut String,
) -> ValueRef<'v> {
    match binding {
        Binding::Field(slot) => match slots.get(*slot) {
            None | Some(Scalar::Null) => ValueRef::Null,
            Some(Scalar::Integer(value)) => ValueRef::Integer(*value),
            Some(Scalar::Real(value)) => ValueRef::Real(*value),
            Some(Scalar::Text(value)) => ValueRef::Text(value.as_bytes()),
            Some(Scalar::Blob(value)) => ValueRef::Blob(value),
        },
        Binding::Meta(Meta::Topic) => ValueRef::Text(record.topic.as_bytes()),
        Binding::Meta(Meta::Partition) => ValueRef::Integer(record.partition.into()),
        Binding::Meta(Meta::Offset) => ValueRef::Integer(record.offset),
        Binding::Meta(Meta::Timestamp) => record
            .timestamp
            .map_or(ValueRef::Null, |time| ValueRef::Integer(time.0)),
        Binding::Meta(Meta::Key) => whole(record.key),
        Binding::Meta(Meta::Value) => whole(record.value),
        Binding::Meta(Meta::Headers) => {
            *headers = headers_json(record.headers);
            ValueRef::Text(headers.as_bytes())
        }
    }
}

fn bound(result: rusqlite::Result<()>) -> Result<(), ReadModelError> {
    result.map_err(|error| ReadModelError::sqlite("cannot bind a value", error))
}

/// A key or value bound whole: text where it is UTF-8, bytes where not.
fn whole(bytes: Option<&[u8]>) -> ValueRef<'_> {
    match bytes {
        None => ValueRef::Null,
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => ValueRef::Text(bytes),
        Some(bytes) => ValueRef::Blob(bytes),
    }
}

/// Headers as a JSON array of `[key, value]`; a value that is not UTF-8 is `{"hex": "..."}`.
pub(super) fn headers_json(headers: &[Header]) -> String {
    let list: Vec<serde_json::Value> = headers
        .iter()
        .map(|header| {
            let value = header.value.as_deref().map(|bytes| match std::str::from_utf8(bytes) {
                Ok(text) => serde_json::Value::from(text),
                Err(_) => serde_json::json!({ "hex": hex(bytes) }),
            });
            serde_json::json!([header.key, value])
        })
        .collect();
    serde_json::Value::Array(list).to_string()
}

/// What SQLite has against a record; `None` where the failure is not the record's: disk, memory, a lock, a damaged file.
fn poison_reason(error: &rusqlite::Error) -> Option<String> {
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return None;
    };
    match failure.code {
        ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::TooBig
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::Unknown => Some(message.clone().unwrap_or_else(|| failure.to_string())),
        _ => None,
    }
}

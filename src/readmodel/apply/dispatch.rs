//! From a record to what is to be run for it: decode, upcast, find the handlers. Shared by whatever applies records, wherever its
//! rows are.

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use super::super::compile::{Definition, Program, text_of};
use super::super::error::ReadModelError;
use super::{Outcome, Poison, PoisonKind};

/// Who runs handlers.
pub(in super::super) trait Handlers {
    /// The one JSON text that an upcast returns, or why there is none.
    fn rewrite(
        &mut self,
        number: usize,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Result<String, String>, ReadModelError>;

    /// Runs what is for an event whose fields are in `slots`; `None` where nothing is.
    fn run(
        &mut self,
        program: Option<&Program>,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError>;
}

/// Decodes a record and has its handlers run. `slots` is room for the fields, to be used again for the next record.
pub(in super::super) fn dispatch<'r>(
    to: &mut impl Handlers,
    definition: &Definition,
    record: &RecordRef<'r>,
    slots: &mut Vec<Scalar<'r>>,
) -> Result<Outcome, ReadModelError> {
    match record.value {
        None => {
            slots.clear();
            slots.resize(definition.fields().len(), Scalar::Null);
            to.run(definition.tombstone(), record, slots)
        }
        Some([]) => Ok(Poison::value(
            PoisonKind::Body,
            "the value is empty: neither JSON nor a tombstone",
        )),
        Some(value) => match definition.fields().extract(value, slots) {
            Err(error) => Ok(Poison::value(PoisonKind::Body, error.to_string())),
            Ok(()) if definition.upcasts().steps.is_empty() => event(to, definition, record, slots),
            Ok(()) => upcast(to, definition, record, slots),
        },
    }
}

/// Has the handlers of an event run whose fields are in `slots`.
fn event(
    to: &mut impl Handlers,
    definition: &Definition,
    record: &RecordRef<'_>,
    slots: &[Scalar<'_>],
) -> Result<Outcome, ReadModelError> {
    let program = match text_of(slots.first()) {
        Some(event) => {
            let program = definition.program(&event);
            if definition.has_schemas()
                && program.is_some()
                && let Some(poison) = breach(definition, record, &event)
            {
                return Ok(Outcome::Poison(poison));
            }
            program
        }
        None => match definition.other() {
            Some(other) => Some(other),
            None => {
                let path = definition.projection().type_path.0.join(".");
                let reason = format!("no event type: `$.{path}` is missing or null");
                return Ok(Poison::value(PoisonKind::Type, reason));
            }
        },
    };
    to.run(program, record, slots)
}

/// What the schema of its type has against an event.
fn breach(definition: &Definition, record: &RecordRef<'_>, event: &str) -> Option<Poison> {
    let of = definition.schema_of(event)?;
    let breach = of.schema.check(record.value?).err()?;
    let at = match breach.pointer.as_str() {
        "" => String::new(),
        pointer => format!(" at {pointer}"),
    };
    let more = match breach.more {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(Poison {
        kind: PoisonKind::Schema,
        reason: format!("breaks the schema {}{at}: {}{more}", of.file, breach.reason),
        line: Some(of.line),
    })
}

/// Has the handlers of an event run after the upcasts that are for it. What one returns may be for another, so that each has to
/// know the next version only; none may come twice.
fn upcast(
    to: &mut impl Handlers,
    definition: &Definition,
    record: &RecordRef<'_>,
    slots: &[Scalar<'_>],
) -> Result<Outcome, ReadModelError> {
    let upcast_for = |slots: &[Scalar<'_>]| definition.upcasts().of(&text_of(slots.first())?, slots);
    let refused = |number, what: &str| Ok(refused(definition, number, what));
    let Some(mut number) = upcast_for(slots) else {
        return event(to, definition, record, slots);
    };
    let mut done = vec![number];
    let mut value = match to.rewrite(number, record, slots)? {
        Ok(value) => value,
        Err(reason) => return refused(number, &reason),
    };
    loop {
        let mut slots = Vec::new();
        if let Err(error) = definition.fields().extract(value.as_bytes(), &mut slots) {
            return refused(number, &format!("gave what cannot be decoded: {error}"));
        }
        if text_of(slots.first()).is_none() {
            return refused(number, "gave a value without a type");
        }
        let rewritten = RecordRef {
            value: Some(value.as_bytes()),
            ..*record
        };
        let Some(next) = upcast_for(&slots) else {
            return event(to, definition, &rewritten, &slots);
        };
        if done.contains(&next) {
            return refused(number, "gave a type and version that was upcast already");
        }
        done.push(next);
        number = next;
        let newer = to.rewrite(number, &rewritten, &slots)?;
        value = match newer {
            Ok(newer) => newer,
            Err(reason) => return refused(number, &reason),
        };
    }
}

fn refused(definition: &Definition, number: usize, what: &str) -> Outcome {
    let line = definition.projection().upcasts.get(number).map(|upcast| upcast.line);
    Outcome::Poison(Poison {
        kind: PoisonKind::Upcast,
        reason: match line {
            Some(line) => format!("the upcast at line {line} {what}"),
            None => format!("an upcast {what}"),
        },
        line,
    })
}

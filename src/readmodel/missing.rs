//! Fields that handlers bind and that no event had: most often a name that is written wrong, which binds NULL in silence.

use std::fmt;

use crate::decode::fields::{FieldPath, Scalar};
use crate::decode::printable::{grouped, printable};
use crate::projection::{Binding, Handler, On, Projection, Statement};

use super::compile::{Definition, Program};

/// A field that was missing, or null, in every event of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingField {
    /// The field as the file binds it, such as `:amount` or `$order::id`.
    pub field: String,
    /// The line of the file on which it first stands.
    pub line: usize,
    /// What the handler is for.
    pub on: On,
    /// How many events there were; never 0.
    pub events: u64,
}

impl fmt::Display for MissingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            line,
            on,
            events,
        } = self;
        let field = printable(field.as_bytes(), 200).text;
        let of = match (on, events) {
            (On::Tombstone, 1) => "the one tombstone".to_owned(),
            (On::Tombstone, events) => format!("all {} tombstones", grouped(*events)),
            (On::Other, 1) => "the one event of another type".to_owned(),
            (On::Other, events) => format!("all {} events of other types", grouped(*events)),
            (On::Type(event), events) => {
                let event = printable(event.as_bytes(), 200).text;
                match events {
                    1 => format!("the one event of type {event}"),
                    events => format!("all {} events of type {event}", grouped(*events)),
                }
            }
        };
        write!(
            f,
            "`{field}` (line {line}) was missing or null in {of}: it is NULL in each"
        )
    }
}

/// What the events of each program had.
#[derive(Debug, Clone, Default)]
pub(super) struct Watches(Vec<Watch>);

impl Watches {
    /// Watches for the fields that the handlers of a projection bind.
    pub(super) fn new(definition: &Definition) -> Self {
        let watch = |program: &Program| {
            let steps = program.steps.iter().filter_map(|step| definition.steps().get(*step));
            Watch::new(steps.flat_map(|step| &step.bindings))
        };
        Self(definition.programs().map(|(_, program)| watch(program)).collect())
    }

    /// Takes the fields of an event that a program is for.
    #[inline]
    pub(super) fn see(&mut self, program: &Program, slots: &[Scalar<'_>]) {
        if let Some(watch) = self.0.get_mut(program.number) {
            watch.see(slots);
        }
    }

    /// The fields that were missing in every event of a handler.
    pub(super) fn missing(&self, definition: &Definition) -> Vec<MissingField> {
        let programs = definition.programs().zip(&self.0);
        programs
            .flat_map(|((on, _), watch)| watch.missing(definition.projection(), on))
            .collect()
    }
}

/// What one program's events had. A field is asked for until it is there once, so that a right name costs nothing.
#[derive(Debug, Clone, Default)]
struct Watch {
    events: u64,
    unseen: Vec<usize>,
}

impl Watch {
    /// Watches for the fields of these bindings.
    fn new<'b>(bindings: impl Iterator<Item = &'b Binding>) -> Self {
        let mut unseen = Vec::new();
        for binding in bindings {
            if let Binding::Field(slot) = binding
                && !unseen.contains(slot)
            {
                unseen.push(*slot);
            }
        }
        Self { events: 0, unseen }
    }

    /// Takes an event's fields.
    #[inline]
    fn see(&mut self, slots: &[Scalar<'_>]) {
        self.events += 1;
        if !self.unseen.is_empty() {
            self.unseen
                .retain(|slot| matches!(slots.get(*slot), None | Some(Scalar::Null)));
        }
    }

    /// The fields that no event had, in the order in which the file names them.
    fn missing(&self, projection: &Projection, on: &On) -> Vec<MissingField> {
        if self.events == 0 {
            return Vec::new();
        }
        let handlers: Vec<&Handler> = projection.handlers.iter().filter(|handler| handler.on == *on).collect();
        let statements = || handlers.iter().flat_map(|handler| &handler.statements);
        self.unseen
            .iter()
            .filter_map(|slot| {
                let statement = statements().find(|one| one.bindings.contains(&Binding::Field(*slot)))?;
                let (field, line) = written(statement, projection.fields.get(*slot)?);
                Some(MissingField {
                    field,
                    line,
                    on: on.clone(),
                    events: self.events,
                })
            })
            .collect()
    }
}

/// How a statement binds a field, and on which line.
fn written(statement: &Statement, path: &FieldPath) -> (String, usize) {
    let sql = &statement.sql;
    let path = path.0.join("::");
    let find = |name: &str| {
        sql.match_indices(name).find_map(|(at, _)| {
            let next = sql.get(at + name.len()..)?.chars().next();
            next.is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c))
                .then_some(at)
        })
    };
    let forms = [format!(":{path}"), format!("${path}")];
    let found = forms.into_iter().find_map(|form| find(&form).map(|at| (form, at)));
    match found {
        Some((form, at)) => {
            let before = sql.as_bytes().get(..at).unwrap_or_default();
            (
                form,
                statement.line + before.iter().filter(|byte| **byte == b'\n').count(),
            )
        }
        None => (path, statement.line),
    }
}

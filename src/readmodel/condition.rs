//! Whether a condition holds after an event: a SELECT over the tables that may bind that event as a handler does.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use crate::decode::fields::{FieldPath, FieldSet, Scalar};
use crate::projection::{Binding, Meta};
use crate::record::RecordRef;

use super::apply::bind;
use super::error::ReadModelError;
use super::explain::name_length;

/// What `@name` binds.
const METAS: [(&str, Meta); 7] = [
    ("@topic", Meta::Topic),
    ("@partition", Meta::Partition),
    ("@offset", Meta::Offset),
    ("@timestamp", Meta::Timestamp),
    ("@key", Meta::Key),
    ("@value", Meta::Value),
    ("@headers", Meta::Headers),
];

/// Whether a SELECT returns a row whose first value is neither 0 nor NULL, on a connection that no guard watches. Without an event
/// what binds one is NULL.
pub(super) fn holds(connection: &Connection, sql: &str, event: Option<&RecordRef<'_>>) -> Result<bool, ReadModelError> {
    let refused = |message: String, at: Option<usize>| {
        ReadModelError::Query {
        message,
        at: at.map(|at| (at, name_length(sql, at)).into()),
        sql: sql.to_owned(),
        help: Some(
            "a condition is a SELECT, such as SELECT count(*) FROM account WHERE balance < 0; `:name` binds a field of the event"
                .to_owned(),
        ),
    }
    };
    let failed = |error: rusqlite::Error| match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => refused(msg, usize::try_from(offset).ok()),
        rusqlite::Error::MultipleStatement => refused("one statement at a time".to_owned(), None),
        error => ReadModelError::sqlite("the condition failed", error),
    };
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("a condition may only read".to_owned(), None));
    }
    if let Some(record) = event {
        let bindings = EventBindings::of(&statement, None)
            .map_err(|name| refused(format!("`{name}` binds nothing of an event"), None))?;
        bindings.bind(&mut statement, record)?;
    }
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(failed)? else {
        return Ok(false);
    };
    Ok(match row.get_ref(0).map_err(failed)? {
        ValueRef::Null => false,
        ValueRef::Integer(value) => value != 0,
        ValueRef::Real(value) => value != 0.0,
        ValueRef::Text(_) | ValueRef::Blob(_) => true,
    })
}

/// Whether a condition binds anything of an event.
pub(super) fn binds_event(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached(sql)?.parameter_count() > 0)
}

/// What a statement's parameters bind of an event, as the log has it: no upcast is applied.
#[derive(Debug)]
pub(super) struct EventBindings {
    fields: FieldSet,
    bindings: Vec<Binding>,
    /// The slot that is an event's type, which is text whatever JSON has there.
    event_type: Option<usize>,
}

impl EventBindings {
    /// Those of a statement: the record's parts as `@name`, fields as `:name` or `$name`, and where it is said where the type stands,
    /// that as `@type`. An error is the name of what binds nothing.
    pub(super) fn of(statement: &Statement<'_>, event_type: Option<&FieldPath>) -> Result<Self, String> {
        let mut paths: Vec<FieldPath> = Vec::new();
        let (mut bindings, mut slot) = (Vec::new(), None);
        for number in 1..=statement.parameter_count() {
            let name = statement.parameter_name(number).unwrap_or("?");
            let meta = METAS.iter().find(|(meta, _)| *meta == name);
            bindings.push(match (meta, name.split_at_checked(1), event_type) {
                (Some((_, meta)), ..) => Binding::Meta(*meta),
                (None, Some((":" | "$", path)), _) => {
                    paths.push(FieldPath(path.split("::").map(str::to_owned).collect()));
                    Binding::Field(paths.len() - 1)
                }
                (None, Some(("@", "type")), Some(path)) => {
                    paths.push(path.clone());
                    slot = Some(paths.len() - 1);
                    Binding::Field(paths.len() - 1)
                }
                _ => return Err(name.to_owned()),
            });
        }
        Ok(Self {
            fields: FieldSet::new(&paths),
            bindings,
            event_type: slot,
        })
    }

    /// Binds an event. What is no JSON has no fields, and is no reason to stop.
    pub(super) fn bind(&self, statement: &mut Statement<'_>, record: &RecordRef<'_>) -> Result<(), ReadModelError> {
        let mut slots: Vec<Scalar<'_>> = Vec::new();
        let known = match record.value {
            Some(value) if !self.fields.is_empty() => self.fields.extract(value, &mut slots).is_ok(),
            _ => false,
        };
        if !known {
            slots.clear();
        }
        if let Some(slot) = self.event_type.and_then(|slot| slots.get_mut(slot)) {
            let text = match slot {
                Scalar::Integer(event) => Some(event.to_string()),
                Scalar::Real(event) => Some(event.to_string()),
                Scalar::Null | Scalar::Text(_) | Scalar::Blob(_) => None,
            };
            if let Some(text) = text {
                *slot = Scalar::Text(text.into());
            }
        }
        for (at, binding) in self.bindings.iter().enumerate() {
            bind(statement, at + 1, binding, record, &slots)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(sql: &str, value: &str) -> Result<bool, String> {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER); INSERT INTO account VALUES ('a', 5);",
            )
            .unwrap();
        let record = crate::record::Record {
            topic: "t".into(),
            partition: 2,
            offset: 7,
            timestamp: None,
            key: Some(b"a".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        };
        holds(&connection, sql, Some(&record.view())).map_err(|error| error.to_string())
    }

    #[test]
    fn state_and_event_are_asked_together() {
        let event = r#"{"amount": 12, "to": {"id": "a"}}"#;
        assert_eq!(
            ask("SELECT count(*) > 0 FROM account WHERE balance < :amount", event),
            Ok(true)
        );
        assert_eq!(
            ask("SELECT 1 FROM account WHERE id = @key AND balance > :amount", event),
            Ok(false)
        );
        assert_eq!(
            ask("SELECT $to::id = @key AND @offset = 7 AND @partition = 2", event),
            Ok(true)
        );
        assert_eq!(ask("SELECT :missing IS NULL", event), Ok(true));
        assert_eq!(ask("SELECT :amount IS NULL", "no json"), Ok(true));
        assert!(ask("SELECT @nothing", event).unwrap_err().contains("@nothing"));
        assert!(ask("DELETE FROM account", event).unwrap_err().contains("only read"));
        assert!(ask("SELECT blance FROM account", event).unwrap_err().contains("blance"));
    }
}

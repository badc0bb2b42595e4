//! Asking what alerts there are: after each event what its alerts say of it, and before a commit those that are about everything.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use serde_json::{Map, Value, json};

use crate::decode::fields::Scalar;
use crate::projection::{Binding, Meta};
use crate::record::RecordRef;

use super::super::alert::{self, Alert, Answer, At, Found};
use super::super::bookkeeping::hex;
use super::super::compile::Definition;
use super::super::error::ReadModelError;
use super::{Applier, bind, poison_reason};

/// Rows of one answer: more of them are no alerts but a table.
const MOST: usize = 10_000;
/// The key of the alert that an alert could not be asked.
const ERROR: &str = r#"{"error":true}"#;

/// The alerts of a projection.
pub(super) struct Alerts<'c> {
    connection: &'c Connection,
    all: Vec<Asked<'c>>,
    /// The last event that was applied, where something has to be asked about it before the commit.
    last: Option<At>,
    changed: Vec<Alert>,
}

struct Asked<'c> {
    name: String,
    statement: Statement<'c>,
    /// The names of its columns.
    columns: Vec<String>,
    /// Whether it binds an event.
    bound: bool,
    /// How many are open.
    open: usize,
}

/// What an answer is.
type Rows = Result<Vec<Found>, String>;

impl<'c> Alerts<'c> {
    fn new(connection: &'c Connection, definition: &Definition) -> rusqlite::Result<Self> {
        let alerts = definition.projection().alerts.iter().zip(definition.alerts());
        let asked = |(alert, step): (&crate::projection::Alert, &super::Step)| -> rusqlite::Result<Asked<'c>> {
            let statement = connection.prepare(&step.sql)?;
            Ok(Asked {
                name: alert.name.clone(),
                columns: statement.column_names().map(str::to_owned).collect(),
                statement,
                bound: !step.bindings.is_empty(),
                open: alert::open_count(connection, &alert.name)?,
            })
        };
        Ok(Self {
            connection,
            all: alerts.map(asked).collect::<rusqlite::Result<_>>()?,
            last: None,
            changed: Vec::new(),
        })
    }
}

impl<'c> Applier<'c> {
    /// From here on alerts are raised and resolved. Their table must be there.
    pub(in super::super) fn watch_alerts(&mut self, connection: &'c Connection) -> rusqlite::Result<()> {
        self.alerts = Some(Alerts::new(connection, self.definition)?);
        Ok(())
    }

    /// Hands over the alerts that were raised or resolved since the last call.
    pub(in super::super) fn take_alerts(&mut self) -> Vec<Alert> {
        self.alerts
            .as_mut()
            .map(|alerts| std::mem::take(&mut alerts.changed))
            .unwrap_or_default()
    }

    /// Asks the alerts that bind an event, after it was applied.
    pub(super) fn ask_alerts(&mut self, record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> Result<(), ReadModelError> {
        let definition = self.definition;
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        let at = At {
            topic: record.topic.to_owned(),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        for (asked, step) in alerts.all.iter_mut().zip(definition.alerts()) {
            if !asked.bound {
                continue;
            }
            for (number, binding) in step.bindings.iter().enumerate() {
                bind(&mut asked.statement, number + 1, binding, record, slots)?;
            }
            let rows = asked.rows()?;
            if asked.open > 0 || !matches!(&rows, Ok(rows) if rows.is_empty()) {
                let scope = scope(&step.bindings, record, slots);
                asked.settle(alerts.connection, Some(&scope), rows, &at, &mut alerts.changed)?;
            }
        }
        alerts.last = Some(at);
        Ok(())
    }

    /// Asks the alerts that bind nothing, if an event was applied since the last time.
    pub(in super::super) fn ask_all_alerts(&mut self) -> Result<(), ReadModelError> {
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        let Some(at) = alerts.last.take() else { return Ok(()) };
        for asked in alerts.all.iter_mut().filter(|asked| !asked.bound) {
            let rows = asked.rows()?;
            asked.settle(alerts.connection, None, rows, &at, &mut alerts.changed)?;
        }
        Ok(())
    }
}

impl Asked<'_> {
    /// The rows, or why they cannot be had.
    fn rows(&mut self) -> Result<Rows, ReadModelError> {
        match read(&mut self.statement, &self.columns) {
            Ok(rows) => Ok(rows),
            Err(error) => match poison_reason(&error) {
                Some(reason) => Ok(Err(reason)),
                None => Err(ReadModelError::sqlite(
                    format!("cannot ask the alert `{}`", self.name),
                    error,
                )),
            },
        }
    }

    fn settle(
        &mut self,
        connection: &Connection,
        scope: Option<&str>,
        rows: Rows,
        at: &At,
        changed: &mut Vec<Alert>,
    ) -> Result<(), ReadModelError> {
        // What could not be asked is told as an alert of its own; whether the others still hold is not known then.
        let resolves = rows.is_ok();
        let rows = rows.unwrap_or_else(|reason| vec![(ERROR.to_owned(), json!({ "error": reason }).to_string())]);
        let answer = Answer {
            name: &self.name,
            scope,
            rows: &rows,
            resolves,
            at,
        };
        let news = alert::compare(connection, &answer)
            .map_err(|error| ReadModelError::sqlite("cannot write down an alert", error))?;
        for alert in &news {
            match alert.resolved {
                None => self.open += 1,
                Some(_) => self.open = self.open.saturating_sub(1),
            }
        }
        changed.extend(news);
        Ok(())
    }
}

fn read(statement: &mut Statement<'_>, columns: &[String]) -> rusqlite::Result<Rows> {
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if found.len() == MOST {
            return Ok(Err(format!("it returns more than {MOST} rows")));
        }
        let mut object = Map::new();
        for (at, name) in columns.iter().enumerate() {
            object.insert(name.clone(), cell(row.get_ref(at)?));
        }
        found.push((cell(row.get_ref(0)?).to_string(), Value::Object(object).to_string()));
    }
    // One alert for each key: of rows with the same the first counts.
    let mut seen = std::collections::HashSet::new();
    found.retain(|(key, _)| seen.insert(key.clone()));
    Ok(Ok(found))
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => value.into(),
        ValueRef::Real(value) if value.is_finite() => value.into(),
        ValueRef::Real(value) => json!({ "real": value.to_string() }),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({ "text": hex(bytes) }),
        },
        ValueRef::Blob(bytes) => json!({ "blob": hex(bytes) }),
    }
}

/// What an alert binds of an event, as text that is the same for the same values, in whichever fields they stand.
fn scope(bindings: &[Binding], record: &RecordRef<'_>, slots: &[Scalar<'_>]) -> String {
    let bytes = |bytes: Option<&[u8]>| match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => text.into(),
        Some(Err(_)) => json!({ "blob": hex(bytes.unwrap_or_default()) }),
    };
    let value = |binding: &Binding| match binding {
        Binding::Field(slot) => match slots.get(*slot) {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Integer(value)) => (*value).into(),
            Some(Scalar::Real(value)) => (*value).into(),
            Some(Scalar::Text(text)) => text.to_string().into(),
            Some(Scalar::Blob(bytes)) => json!({ "blob": hex(bytes) }),
        },
        Binding::Meta(Meta::Topic) => record.topic.into(),
        Binding::Meta(Meta::Partition) => record.partition.into(),
        Binding::Meta(Meta::Offset) => record.offset.into(),
        Binding::Meta(Meta::Timestamp) => record.timestamp.map_or(Value::Null, |time| time.0.into()),
        Binding::Meta(Meta::Key) => bytes(record.key),
        Binding::Meta(Meta::Value) => bytes(record.value),
        Binding::Meta(Meta::Headers) => super::headers_json(record.headers).into(),
    };
    let mut values: Vec<String> = bindings
        .iter()
        .map(value)
        .filter(|value| !value.is_null())
        .map(|value| value.to_string())
        .collect();
    values.sort();
    values.dedup();
    json!(values).to_string()
}

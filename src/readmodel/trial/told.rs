//! What a projection tells others of, as tables that its own tests can ask: `emit.record`, what it published, and
//! `alert.alert`, what it alerted of. They are in databases of their own, so that they meet no table of the projection.

use std::collections::BTreeSet;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, params};

use super::super::alert;
use super::super::apply::{Applier, headers_json};
use super::super::error::ReadModelError;
use super::super::outbox::{Emission, Since};
use crate::projection::Projection;
use crate::record::Position;

const SCHEMA: &str = "
ATTACH ':memory:' AS emit;
CREATE TABLE emit.record (
  seq INTEGER PRIMARY KEY, topic TEXT, partition INTEGER, key ANY, value ANY, timestamp INTEGER, headers TEXT
);
ATTACH ':memory:' AS alert;
CREATE TABLE alert.alert (name TEXT, key TEXT, row TEXT, state TEXT);
";

const ALERTS: &str = "
DELETE FROM alert.alert;
INSERT INTO alert.alert
SELECT alert, key, row, iif(resolved_offset IS NULL, 'raised', 'resolved') FROM main._foldlog_alert ORDER BY id;
";

/// Makes the tables, empty.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)
}

/// From here on what events publish and alert of is watched.
pub(super) fn watch<'c>(
    connection: &'c Connection,
    applier: &mut Applier<'c>,
    projection: &Projection,
) -> rusqlite::Result<()> {
    if !projection.emits.is_empty() {
        let all = Since {
            from: Position::new(),
            left_out: BTreeSet::new(),
            topics: None,
        };
        applier.emit(connection, all, false)?;
    }
    if !projection.alerts.is_empty() {
        alert::prepare(connection)?;
        applier.watch_alerts(connection)?;
    }
    Ok(())
}

/// Writes down what the event that was applied last published and alerted of.
pub(super) fn keep(connection: &Connection, applier: &mut Applier<'_>) -> Result<(), ReadModelError> {
    applier.ask_all_alerts()?;
    let (emissions, _) = applier.take_emissions();
    applier.take_alerts();
    let keep = || -> rusqlite::Result<()> {
        emissions
            .iter()
            .try_for_each(|emission| keep_record(connection, emission))?;
        match applier.projection().alerts.is_empty() {
            true => Ok(()),
            // As a whole: the row of one that stays open changes without news.
            false => connection.execute_batch(ALERTS),
        }
    };
    keep().map_err(|error| ReadModelError::sqlite("cannot keep what was told in memory", error))
}

fn keep_record(connection: &Connection, emission: &Emission) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO emit.record (topic, partition, key, value, timestamp, headers) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            emission.topic,
            emission.partition,
            readable(emission.key.as_deref()),
            readable(emission.value.as_deref()),
            emission.timestamp,
            headers_json(&emission.headers),
        ])?;
    Ok(())
}

/// Bytes as the text that they nearly always are, so that JSON functions take them.
fn readable(bytes: Option<&[u8]>) -> ToSqlOutput<'_> {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => ToSqlOutput::Owned(Value::Null),
        Some((bytes, Ok(_))) => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
        Some((bytes, Err(_))) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}

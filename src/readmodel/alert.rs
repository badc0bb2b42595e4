//! Alerts: raised for each row that an alert's SELECT returns, resolved when it no longer does; kept in the read model beside its
//! rows, in their transaction.
//!
//! An alert that binds an event is about the values that it binds: it is resolved by an event that binds the same and for which
//! its row does not come back. One that binds nothing is about all rows at once.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::decode::printable::printable;
use crate::record::Timestamp;

use super::error::ReadModelError;
use super::store::{self, Store};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_alert (
  id                 INTEGER PRIMARY KEY,
  alert              TEXT NOT NULL,
  key                TEXT NOT NULL,
  scope              TEXT NOT NULL,
  row                TEXT NOT NULL,
  raised_topic       TEXT NOT NULL,
  raised_partition   INTEGER NOT NULL,
  raised_offset      INTEGER NOT NULL,
  raised_at          INTEGER,
  resolved_topic     TEXT,
  resolved_partition INTEGER,
  resolved_offset    INTEGER,
  resolved_at        INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS _foldlog_alert_open ON _foldlog_alert (alert, key) WHERE resolved_offset IS NULL;
CREATE INDEX IF NOT EXISTS _foldlog_alert_scope ON _foldlog_alert (alert, scope) WHERE resolved_offset IS NULL;
";

/// The order in which alerts of a name were resolved, from 1. What is forgotten is at its beginning, so that the first number that is left
/// says how many were.
const PAST: &str = "
CREATE TABLE _foldlog_alert_past (
  alert TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  id    INTEGER NOT NULL,
  PRIMARY KEY (alert, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO _foldlog_alert_past
  SELECT alert, row_number() OVER (PARTITION BY alert ORDER BY id), id FROM _foldlog_alert WHERE resolved_offset IS NOT NULL;
";

/// Resolved alerts of a name that are kept, the latest. An open one is never forgotten, and neither is what was to be told of one: a notice
/// has all of it and is deleted by itself when it is delivered. So nothing is told twice or not at all for it.
const KEPT: i64 = 10_000;

/// Characters of a row that are told.
const WIDTH: usize = 200;

/// The event after which something was so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct At {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub timestamp: Option<Timestamp>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is called in the file.
    pub name: String,
    /// The first column of its row as JSON, which tells it from others of its name.
    pub key: String,
    /// Its row as a JSON object: the last that was seen.
    pub row: String,
    /// The event after which it was raised.
    pub raised: At,
    /// The event after which it was resolved; `None` while it is open.
    pub resolved: Option<At>,
}

impl Alert {
    /// The event that made it what it is.
    pub fn at(&self) -> &At {
        self.resolved.as_ref().unwrap_or(&self.raised)
    }

    /// `raised` or `resolved`.
    pub fn state(&self) -> &'static str {
        if self.resolved.is_some() { "resolved" } else { "raised" }
    }

    /// What nothing else that this projection tells of has: the same when the same event is applied again.
    pub fn id(&self, projection: &str) -> String {
        let at = self.at();
        let place = (at.partition, at.offset);
        let whole = serde_json::json!([projection, self.name, self.key, self.state(), at.topic, place]);
        let hash = Sha256::digest(whole.to_string());
        hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Alert {
    /// One line, harmless to a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |text: &str| {
            let shown = printable(text.as_bytes(), WIDTH);
            if shown.cut { shown.text + "…" } else { shown.text }
        };
        let at = self.at();
        write!(
            f,
            "the alert `{}` is {} at {}[{}] offset {}: {}",
            safe(&self.name),
            self.state(),
            safe(&at.topic),
            at.partition,
            at.offset,
            safe(&self.row)
        )
    }
}

/// Makes the table where there is none.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    if !has_past(connection)? {
        connection.execute_batch(PAST)?;
    }
    Ok(())
}

/// Files of earlier versions have the alerts without it.
fn has_past(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_alert_past'")?
        .exists([])
}

/// Remembers that an alert was resolved, and forgets the one that was resolved longest ago where there are enough of its name.
fn bury(connection: &Connection, alert: &str, id: i64) -> rusqlite::Result<()> {
    let seq: i64 = connection
        .prepare_cached(
            "INSERT INTO _foldlog_alert_past
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM _foldlog_alert_past WHERE alert = ?1 RETURNING seq",
        )?
        .query_row(params![alert, id], |row| row.get(0))?;
    if seq > KEPT {
        let oldest = params![alert, seq - KEPT];
        connection
            .prepare_cached(
                "DELETE FROM _foldlog_alert WHERE id IN (SELECT id FROM _foldlog_alert_past WHERE alert = ? AND seq <= ?)",
            )?
            .execute(oldest)?;
        connection
            .prepare_cached("DELETE FROM _foldlog_alert_past WHERE alert = ? AND seq <= ?")?
            .execute(oldest)?;
    }
    Ok(())
}

/// How many resolved alerts are no longer kept.
fn forgotten(connection: &Connection) -> rusqlite::Result<u64> {
    if !has_past(connection)? {
        return Ok(0);
    }
    let sql =
        "SELECT coalesce(sum(first - 1), 0) FROM (SELECT min(seq) AS first FROM _foldlog_alert_past GROUP BY alert)";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// How many alerts of a name are open.
pub(super) fn open_count(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM _foldlog_alert WHERE alert = ? AND resolved_offset IS NULL")?
        .query_row([name], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// A row that an alert's SELECT returned: its first column, and all of it, as JSON.
pub(super) type Found = (String, String);

/// What an alert's SELECT returned, to be compared with what is open.
pub(super) struct Answer<'a> {
    pub(super) name: &'a str,
    /// What it bound; `None` where it is about all.
    pub(super) scope: Option<&'a str>,
    pub(super) rows: &'a [Found],
    /// Whether alerts that have no row any more are resolved.
    pub(super) resolves: bool,
    pub(super) at: &'a At,
}

/// Raises alerts for rows that are new and resolves those whose row is gone; returns both.
pub(super) fn compare(connection: &Connection, answer: &Answer<'_>) -> rusqlite::Result<Vec<Alert>> {
    let mut changed = Vec::new();
    if answer.resolves {
        resolve(connection, answer, &mut changed)?;
    }
    let at = answer.at;
    let mut known = connection.prepare_cached(
        "UPDATE _foldlog_alert SET row = ?, scope = ? WHERE alert = ? AND key = ? AND resolved_offset IS NULL",
    )?;
    let mut raise = connection.prepare_cached(
        "INSERT INTO _foldlog_alert (alert, key, scope, row, raised_topic, raised_partition, raised_offset, raised_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (key, row) in answer.rows {
        let scope = answer.scope.unwrap_or_default();
        if known.execute(params![row, scope, answer.name, key])? > 0 {
            continue;
        }
        let time = at.timestamp.map(|time| time.0);
        raise.execute(params![
            answer.name,
            key,
            scope,
            row,
            at.topic,
            at.partition,
            at.offset,
            time
        ])?;
        changed.push(Alert {
            name: answer.name.to_owned(),
            key: key.clone(),
            row: row.clone(),
            raised: at.clone(),
            resolved: None,
        });
    }
    Ok(changed)
}

fn resolve(connection: &Connection, answer: &Answer<'_>, changed: &mut Vec<Alert>) -> rusqlite::Result<()> {
    let open = match answer.scope {
        None => connection
            .prepare_cached(&format!(
                "{SELECT} WHERE alert = ? AND resolved_offset IS NULL ORDER BY id"
            ))?
            .query_map([answer.name], read)?
            .collect::<rusqlite::Result<Vec<_>>>()?,
        Some(scope) => connection
            .prepare_cached(&format!(
                "{SELECT} WHERE alert = ? AND scope = ? AND resolved_offset IS NULL ORDER BY id"
            ))?
            .query_map([answer.name, scope], read)?
            .collect::<rusqlite::Result<Vec<_>>>()?,
    };
    let at = answer.at;
    let mut resolve = connection.prepare_cached(
        "UPDATE _foldlog_alert SET resolved_topic = ?, resolved_partition = ?, resolved_offset = ?, resolved_at = ?
         WHERE alert = ? AND key = ? AND resolved_offset IS NULL RETURNING id",
    )?;
    let there: std::collections::HashSet<&str> = answer.rows.iter().map(|(key, _)| key.as_str()).collect();
    for alert in open.into_iter().filter(|alert| !there.contains(alert.key.as_str())) {
        let time = at.timestamp.map(|time| time.0);
        let which = params![at.topic, at.partition, at.offset, time, alert.name, alert.key];
        let id: Option<i64> = resolve.query_row(which, |row| row.get(0)).optional()?;
        if let Some(id) = id {
            bury(connection, &alert.name, id)?;
        }
        changed.push(Alert {
            resolved: Some(at.clone()),
            ..alert
        });
    }
    Ok(())
}

const SELECT: &str = "SELECT alert, key, row, raised_topic, raised_partition, raised_offset, raised_at,
  resolved_topic, resolved_partition, resolved_offset, resolved_at FROM _foldlog_alert";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Alert> {
    let at = |first: usize| -> rusqlite::Result<At> {
        Ok(At {
            topic: row.get(first)?,
            partition: row.get(first + 1)?,
            offset: row.get(first + 2)?,
            timestamp: row.get::<_, Option<i64>>(first + 3)?.map(Timestamp),
        })
    };
    Ok(Alert {
        name: row.get(0)?,
        key: row.get(1)?,
        row: row.get(2)?,
        raised: at(3)?,
        resolved: match row.get::<_, Option<String>>(7)? {
            Some(_) => Some(at(7)?),
            None => None,
        },
    })
}

/// The alerts of a read model as a list shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alerts {
    /// Those that are open, then those that are resolved, each the latest first.
    pub latest: Vec<Alert>,
    /// How many are open, listed or not.
    pub open: u64,
    /// How many are resolved, listed or not.
    pub resolved: u64,
    /// How many that were resolved before these are no longer kept.
    pub forgotten: u64,
}

/// Whether a read model's definition has alerts.
fn known(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_alert'")?
        .exists([])
}

fn count(connection: &Connection, which: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM _foldlog_alert WHERE {which}");
    let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

impl Store {
    /// How many alerts of a read model are open. `None` where its definition has none.
    pub fn open_alerts(&self, name: &str) -> Result<Option<u64>, ReadModelError> {
        let connection = store::open_read_only(&self.current(name)?.path)?;
        let ask = || match known(&connection)? {
            true => count(&connection, "resolved_offset IS NULL").map(Some),
            false => Ok(None),
        };
        ask().map_err(|error| ReadModelError::sqlite("cannot read the alerts", error))
    }

    /// How many resolved alerts of a read model are no longer kept: of each name the latest are.
    pub fn forgotten_alerts(&self, name: &str) -> Result<u64, ReadModelError> {
        let connection = store::open_read_only(&self.current(name)?.path)?;
        forgotten(&connection).map_err(|error| ReadModelError::sqlite("cannot read the alerts", error))
    }

    /// Alerts of a read model, at most `limit`: those that are open before those that are resolved. `None` where its definition has none.
    pub fn latest_alerts(&self, name: &str, limit: usize) -> Result<Option<Alerts>, ReadModelError> {
        let mut connection = store::open_read_only(&self.current(name)?.path)?;
        let mut list = || -> rusqlite::Result<Option<Alerts>> {
            // One look, so that the counts are those of the list.
            let look = connection.transaction()?;
            if !known(&look)? {
                return Ok(None);
            }
            let latest = look
                .prepare(&format!(
                    "{SELECT} ORDER BY resolved_offset IS NOT NULL, id DESC LIMIT ?"
                ))?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(Some(Alerts {
                latest,
                open: count(&look, "resolved_offset IS NULL")?,
                resolved: count(&look, "resolved_offset IS NOT NULL")?,
                forgotten: forgotten(&look)?,
            }))
        };
        list().map_err(|error| ReadModelError::sqlite("cannot read the alerts", error))
    }

    /// The alerts of a read model in the order in which they were raised, at most `limit`, the latest: those that are open, or all that
    /// ever were. `None` where its definition has none.
    pub fn alerts(&self, name: &str, all: bool, limit: usize) -> Result<Option<Vec<Alert>>, ReadModelError> {
        let connection = store::open_read_only(&self.current(name)?.path)?;
        let list = || -> rusqlite::Result<Option<Vec<Alert>>> {
            if !known(&connection)? {
                return Ok(None);
            }
            let only = if all { "" } else { "WHERE resolved_offset IS NULL" };
            let mut alerts = connection
                .prepare(&format!("{SELECT} {only} ORDER BY id DESC LIMIT ?"))?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            alerts.reverse();
            Ok(Some(alerts))
        };
        list().map_err(|error| ReadModelError::sqlite("cannot read the alerts", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> At {
        At {
            topic: "t".to_owned(),
            partition: 0,
            offset,
            timestamp: None,
        }
    }

    fn asked(connection: &Connection, name: &str, rows: &[&str], offset: i64) {
        let rows: Vec<Found> = rows.iter().map(|key| ((*key).to_owned(), "{}".to_owned())).collect();
        let answer = Answer {
            name,
            scope: None,
            rows: &rows,
            resolves: true,
            at: &at(offset),
        };
        compare(connection, &answer).unwrap();
    }

    #[test]
    fn of_each_name_the_latest_that_were_resolved_are_kept_and_how_many_were_not() {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        // Raised before all others, and resolved after them: it is the latest that was resolved.
        asked(&connection, "many", &["first"], 0);
        let rounds = KEPT + 5;
        for n in 1..=rounds {
            asked(&connection, "many", &["first", &format!("k{n}")], 2 * n);
            asked(&connection, "many", &["first"], 2 * n + 1);
        }
        asked(&connection, "few", &["a"], 1);
        asked(&connection, "few", &[], 2);
        assert_eq!(forgotten(&connection).unwrap(), 5);
        assert_eq!(count(&connection, "resolved_offset IS NULL").unwrap(), 1);
        asked(&connection, "many", &[], 3 * rounds);
        assert_eq!(forgotten(&connection).unwrap(), 6);
        let resolved = |which: &str| count(&connection, &format!("resolved_offset IS NOT NULL AND {which}")).unwrap();
        assert_eq!(
            (resolved("alert = 'many'"), resolved("alert = 'few'")),
            (KEPT as u64, 1)
        );
        assert_eq!(
            (
                resolved("key = 'first'"),
                resolved("key = 'k6'"),
                resolved("key = 'k7'")
            ),
            (1, 0, 1)
        );

        // A file of an earlier version goes on counting from what it has.
        connection.execute_batch("DROP TABLE _foldlog_alert_past").unwrap();
        assert_eq!(forgotten(&connection).unwrap(), 0);
        prepare(&connection).unwrap();
        asked(&connection, "many", &["new"], 1);
        asked(&connection, "many", &[], 2);
        assert_eq!(forgotten(&connection).unwrap(), 1);
    }
}

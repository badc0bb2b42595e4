//! Notices: what is sent to a webhook when an alert is raised or resolved live, kept until it is delivered.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::record::{Position, Timestamp, TopicPartition};

use super::alert::{self, Alert};
use super::error::ReadModelError;
use super::fold::Fold;
use super::outbox;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS _foldlog_notice (
  seq  INTEGER PRIMARY KEY,
  id   TEXT NOT NULL UNIQUE,
  made INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _foldlog_notify (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  delivered INTEGER NOT NULL,
  given_up  INTEGER NOT NULL,
  trouble   TEXT
) STRICT;
INSERT OR IGNORE INTO _foldlog_notify VALUES (1, 0, 0, NULL);
";

/// There while the last who followed told a webhook: whoever applies one record beside a follow makes notices then, too. A table of its
/// own, because files of earlier versions have the others without it.
const WANTED: &str = "CREATE TABLE IF NOT EXISTS _foldlog_notify_wanted (id INTEGER PRIMARY KEY) STRICT";
pub(super) const UNWANTED: &str = "DROP TABLE IF EXISTS _foldlog_notify_wanted";

/// Something to be told to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number; notices are delivered in its order.
    pub seq: i64,
    /// What nothing else has, so that whoever hears it twice knows it.
    pub id: String,
    /// When it was made, by this machine's clock.
    pub made: Timestamp,
    /// One JSON object.
    pub body: String,
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// It never will be, for this reason.
    GivenUp(String),
    /// Not yet, for this reason.
    Waits(String),
}

/// What is known of notices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notified {
    /// Delivered so far.
    pub delivered: u64,
    /// Waiting.
    pub waiting: u64,
    /// Given up.
    pub given_up: u64,
    /// Why the last was given up or is not delivered yet.
    pub trouble: Option<String>,
}

/// `None` where there are no alerts.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Notified>> {
    let known = connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_notify'")?
        .exists([])?;
    if !known {
        return Ok(None);
    }
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let sql = "SELECT delivered, given_up, trouble, (SELECT count(*) FROM _foldlog_notice) FROM _foldlog_notify";
    connection
        .query_row(sql, [], |row| {
            Ok(Notified {
                delivered: count(row.get(0)?),
                given_up: count(row.get(1)?),
                trouble: row.get(2)?,
                waiting: count(row.get(3)?),
            })
        })
        .optional()
}

/// Whether the last who followed told a webhook.
pub(super) fn is_wanted(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_foldlog_notify_wanted'")?
        .exists([])
}

/// A new build takes over what was not delivered yet.
pub(super) fn copy(old: &Connection, new: &Connection) -> rusqlite::Result<()> {
    let Some(state) = read(old)? else { return Ok(()) };
    if is_wanted(old)? {
        new.execute_batch(WANTED)?;
    }
    let mut select = old.prepare("SELECT id, made, body FROM _foldlog_notice ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let notice = (
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, String>(2)?,
        );
        new.execute("INSERT INTO _foldlog_notice (id, made, body) VALUES (?, ?, ?)", notice)?;
    }
    let stored = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    new.execute(
        "UPDATE _foldlog_notify SET delivered = ?, given_up = ?, trouble = ?",
        params![stored(state.delivered), stored(state.given_up), state.trouble],
    )?;
    Ok(())
}

/// How a fold keeps what its alerts say.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Events from here on make notices, where any are wanted.
    notify: Option<Position>,
    /// Whether anybody will ask what changed.
    live: bool,
    changed: Vec<Alert>,
}

impl Fold<'_> {
    /// From here on alerts are raised and resolved with the events.
    pub(super) fn watch_alerts(&mut self, live: bool) -> Result<(), ReadModelError> {
        alert::prepare(self.connection)
            .and_then(|()| self.applier.watch_alerts(self.connection))
            .map_err(|error| ReadModelError::sqlite("cannot prepare the alerts", error))?;
        self.alerts = Some(Watched {
            live,
            ..Watched::default()
        });
        Ok(())
    }

    /// From here on there is a notice of each alert that is raised or resolved; also of what is decided while nobody follows.
    pub fn notify(&mut self) -> Result<(), ReadModelError> {
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        let prepare = || {
            if !is_wanted(self.connection)? {
                self.connection.execute_batch(WANTED)?;
            }
            outbox::read_from(self.connection)
        };
        let from = prepare().map_err(|error| ReadModelError::sqlite("cannot prepare the notices", error))?;
        alerts.notify = Some(from);
        Ok(())
    }

    /// From here on there is none.
    pub fn keep_quiet(&mut self) -> Result<(), ReadModelError> {
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        alerts.notify = None;
        is_wanted(self.connection)
            .and_then(|wanted| {
                if wanted {
                    self.connection.execute_batch(UNWANTED)
                } else {
                    Ok(())
                }
            })
            .map_err(|error| ReadModelError::sqlite("cannot do without notices", error))
    }

    /// There are notices where the last who followed wanted them.
    pub(super) fn notify_as_before(&mut self) -> Result<(), ReadModelError> {
        let wanted = is_wanted(self.connection);
        match wanted.map_err(|error| ReadModelError::sqlite("cannot prepare the notices", error))? {
            true => self.notify(),
            false => Ok(()),
        }
    }

    /// Hands over the alerts that were raised or resolved since the last call.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.alerts
            .as_mut()
            .map(|alerts| std::mem::take(&mut alerts.changed))
            .unwrap_or_default()
    }

    /// Asks the alerts that are about everything, as every commit does.
    pub fn ask_alerts(&mut self) -> Result<(), ReadModelError> {
        if self.alerts.is_some() {
            self.applier.ask_all_alerts()?;
            self.keep_alerts()?;
        }
        Ok(())
    }

    /// Keeps what the last event raised and resolved.
    pub(super) fn keep_alerts(&mut self) -> Result<(), ReadModelError> {
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        let changed = self.applier.take_alerts();
        if let (Some(from), false) = (&alerts.notify, changed.is_empty()) {
            let name = &self.applier.projection().name;
            let mut wanted = changed.iter().filter(|alert| {
                let at = TopicPartition::new(alert.at().topic.as_str(), alert.at().partition);
                from.next(&at).is_none_or(|from| alert.at().offset >= from)
            });
            wanted
                .try_for_each(|alert| insert(self.connection, name, alert))
                .map_err(|error| ReadModelError::sqlite("cannot write a notice", error))?;
        }
        if alerts.live {
            alerts.changed.extend(changed);
        }
        Ok(())
    }

    /// The next notice to deliver. None while a transaction is open, because what is not committed must not be told.
    pub fn next_notice(&self) -> Result<Option<Notice>, ReadModelError> {
        if self.open {
            return Ok(None);
        }
        let next = || -> rusqlite::Result<Option<Notice>> {
            self.connection
                .prepare_cached("SELECT seq, id, made, body FROM _foldlog_notice ORDER BY seq LIMIT 1")?
                .query_row([], |row| {
                    Ok(Notice {
                        seq: row.get(0)?,
                        id: row.get(1)?,
                        made: Timestamp(row.get(2)?),
                        body: row.get(3)?,
                    })
                })
                .optional()
        };
        next().map_err(|error| ReadModelError::sqlite("cannot read the notices", error))
    }

    /// Writes down what became of a notice, and commits it with whatever was applied.
    pub fn settle_notice(&mut self, seq: i64, delivery: &Delivery) -> Result<(), ReadModelError> {
        self.begin()?;
        let write = || -> rusqlite::Result<()> {
            let (delivered, given_up, trouble) = match delivery {
                Delivery::Delivered => (1, 0, None),
                Delivery::GivenUp(reason) => (0, 1, Some(reason)),
                Delivery::Waits(reason) => (0, 0, Some(reason)),
            };
            if delivered + given_up > 0 {
                self.connection
                    .execute("DELETE FROM _foldlog_notice WHERE seq = ?", [seq])?;
            }
            self.connection.execute(
                "UPDATE _foldlog_notify SET delivered = delivered + ?, given_up = given_up + ?, trouble = ?",
                params![delivered, given_up, trouble],
            )?;
            Ok(())
        };
        write().map_err(|error| ReadModelError::sqlite("cannot write down what became of a notice", error))?;
        self.commit()
    }
}

fn insert(connection: &Connection, projection: &str, alert: &Alert) -> rusqlite::Result<()> {
    let id = alert.id(projection);
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
    let at = alert.at();
    let time = at.timestamp.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
    let body = json!({
        "id": id,
        "projection": projection,
        "alert": alert.name,
        "state": alert.state(),
        "key": json(&alert.key),
        "row": json(&alert.row),
        "position": { "topic": at.topic, "partition": at.partition, "offset": at.offset },
        "time": time.map(|time| time.to_string()),
    });
    // The same event applied once more, which an older copy of the file does, tells the same.
    connection
        .prepare_cached("INSERT OR IGNORE INTO _foldlog_notice (id, made, body) VALUES (?, ?, ?)")?
        .execute(params![id, Timestamp::now().0, body.to_string()])?;
    Ok(())
}

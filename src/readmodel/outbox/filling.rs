//! How a fold fills the outbox, hands out what waits, and writes down what became of it.

use std::collections::BTreeSet;

use rusqlite::params;

use crate::record::{Position, TopicPartition};

use super::super::error::ReadModelError;
use super::super::fold::Fold;
use super::{
    INSERT, Refused, SELECT, Settlement, Since, Waiting, insert_into, read_from, read_offsets, waiting, write_offsets,
};

fn unprepared(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot prepare the emits", error)
}

/// How a fold keeps what its events emit.
#[derive(Debug)]
pub(in super::super) struct Outbox {
    /// Whether records are known that were published before this read model met their events.
    ahead: bool,
    refused: Vec<Refused>,
}

impl Fold<'_> {
    /// From here on events emit. Where `go_on` says so, an event whose emit fails is applied and emits nothing; else it is
    /// poison.
    pub fn emit(&mut self, go_on: bool) -> Result<(), ReadModelError> {
        let begin = || {
            let live = "UPDATE _foldlog_emit SET live = 1 WHERE NOT live";
            self.connection.execute(live, [])?;
            read_from(self.connection)
        };
        let from = begin().map_err(unprepared)?;
        let topics = None;
        let left_out = BTreeSet::new();
        self.emit_since(Since { from, left_out, topics }, go_on)
    }

    /// The same for these events.
    pub(in super::super) fn emit_since(&mut self, since: Since, go_on: bool) -> Result<(), ReadModelError> {
        let connection = self.connection;
        let known = || connection.prepare("SELECT 1 FROM _foldlog_emit_ahead")?.exists([]);
        self.outbox = Some(Outbox {
            ahead: known().map_err(unprepared)?,
            refused: Vec::new(),
        });
        self.applier.emit(connection, since, go_on).map_err(unprepared)
    }

    /// Puts what the last event emits into the outbox.
    pub(in super::super) fn keep_emissions(&mut self) -> Result<(), ReadModelError> {
        let Some(outbox) = &mut self.outbox else { return Ok(()) };
        let (emissions, refused) = self.applier.take_emissions();
        let keep = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached(INSERT)?;
            for emission in &emissions {
                if outbox.ahead {
                    let mut known = self
                        .connection
                        .prepare_cached("DELETE FROM _foldlog_emit_ahead WHERE id = ?")?;
                    if known.execute([&emission.id])? > 0 {
                        continue;
                    }
                }
                insert_into(&mut insert, emission)?;
            }
            for refused in &refused {
                self.connection
                    .prepare_cached("UPDATE _foldlog_emit SET refused = refused + 1, reason = ?")?
                    .execute([format!("{}: {}", refused.id, refused.reason)])?;
            }
            Ok(())
        };
        keep().map_err(|error| ReadModelError::sqlite("cannot write to the outbox", error))?;
        outbox.refused.extend(refused);
        Ok(())
    }

    /// Hands over what could not be emitted since the last call.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        self.outbox
            .as_mut()
            .map(|outbox| std::mem::take(&mut outbox.refused))
            .unwrap_or_default()
    }

    /// The next records to publish, in order: at most `most`, of about `bytes` together, and at least one. None while a transaction
    /// is open, because what is not committed must not be seen.
    pub fn waiting(&self, most: usize, bytes: usize) -> Result<Vec<Waiting>, ReadModelError> {
        if self.open {
            return Ok(Vec::new());
        }
        let read = || -> rusqlite::Result<Vec<Waiting>> {
            let mut select = self.connection.prepare_cached(SELECT)?;
            let mut rows = select.query([])?;
            let (mut all, mut size) = (Vec::new(), 0);
            while all.len() < most && size < bytes {
                let Some(row) = rows.next()? else { break };
                let next = waiting(row)?;
                size += next.emission.size();
                all.push(next);
            }
            Ok(all)
        };
        read().map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// Whether a transaction is open, which [`Fold::commit`] ends.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The topics of records that wait.
    pub fn waiting_topics(&self) -> Result<Vec<String>, ReadModelError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection
                .prepare("SELECT DISTINCT topic FROM _foldlog_outbox ORDER BY topic")?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        read().map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// How far the topics reached behind the last record that is known to be published.
    pub fn emit_ends(&self) -> Result<Position, ReadModelError> {
        read_offsets(self.connection, "_foldlog_emit_end")
            .map_err(|error| ReadModelError::sqlite("cannot read the outbox", error))
    }

    /// Writes down what became of records, and commits it with whatever was applied. Says how many were found that had been
    /// published.
    pub fn settle(&mut self, news: &Settlement) -> Result<(), ReadModelError> {
        self.begin()?;
        let position = self.position();
        let connection = self.connection;
        let write = || -> rusqlite::Result<bool> {
            let mut published = news.sent.len();
            let mut by_number = connection.prepare_cached("DELETE FROM _foldlog_outbox WHERE seq = ?")?;
            for seq in &news.sent {
                by_number.execute([seq])?;
            }
            let mut by_id = connection.prepare_cached("DELETE FROM _foldlog_outbox WHERE id = ?")?;
            let mut ahead = connection.prepare_cached("INSERT OR IGNORE INTO _foldlog_emit_ahead VALUES (?)")?;
            let mut met = false;
            for id in &news.found {
                match by_id.execute([id])? {
                    0 if is_ahead(id, &position) => met |= ahead.execute([id])? > 0,
                    0 => {}
                    _ => published += 1,
                }
            }
            if let Some((seq, reason)) = &news.refused {
                by_number.execute([seq])?;
                connection.execute("UPDATE _foldlog_emit SET refused = refused + 1, reason = ?", [reason])?;
            }
            write_offsets(connection, "_foldlog_emit_end", &news.ends)?;
            connection
                .prepare_cached("UPDATE _foldlog_emit SET published = published + ?, trouble = ?")?
                .execute(params![i64::try_from(published).unwrap_or(i64::MAX), news.trouble])?;
            Ok(met)
        };
        let met = write().map_err(|error| ReadModelError::sqlite("cannot write to the outbox", error))?;
        if let Some(outbox) = &mut self.outbox {
            outbox.ahead |= met;
        }
        self.commit()
    }
}

/// Whether a record comes from an event that lies past a position: it was published by a later state of this read model, of which
/// this one is an older copy.
fn is_ahead(id: &str, position: &Position) -> bool {
    let mut parts = id.rsplitn(4, '/').skip(1);
    let (Some(offset), Some(partition), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(offset), Ok(partition), Some((_, topic))) =
        (offset.parse::<i64>(), partition.parse(), rest.split_once('/'))
    else {
        return false;
    };
    position
        .next(&TopicPartition::new(topic, partition))
        .is_none_or(|next| offset >= next)
}

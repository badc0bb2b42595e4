//! How builds of a read model hand over what is to be published: one goes on where the one before stopped.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::record::{Position, RecordRef, TopicPartition};

use super::super::bookkeeping;
use super::super::decision::RecordPlace;
use super::super::error::ReadModelError;
use super::super::notice;
use super::super::store::LetterState;
use super::super::writer;
use super::{INSERT, SELECT, exists, forget, insert_into, prepare, read_from, read_offsets, waiting, write_offsets};

/// Which events publish.
#[derive(Debug, Clone)]
pub(in super::super) struct Since {
    /// What lies before it has published, or never will.
    pub(in super::super) from: Position,
    /// Records before it that were left out when their time came, so that nobody has published what they emit.
    pub(in super::super) left_out: BTreeSet<RecordPlace>,
    /// Only events of these topics, where it says which.
    pub(in super::super) topics: Option<BTreeSet<String>>,
}

impl Since {
    /// Whether what a record emits is still to be published.
    pub(in super::super) fn has(&self, record: &RecordRef<'_>) -> bool {
        self.has_place(&RecordPlace::of(record))
    }

    fn has_place(&self, place: &RecordPlace) -> bool {
        let past = self.from.next(&place.partition).is_none_or(|from| place.offset >= from);
        let of_topic = |topics: &BTreeSet<String>| topics.contains(&*place.partition.topic);
        (past && self.topics.as_ref().is_none_or(of_topic)) || self.left_out.contains(place)
    }
}

/// A build that is about to be folded goes on where the one before stopped: it takes over what that one had not published yet,
/// and publishes what it left to be. `None` where nobody has published from that one or any before it.
pub(in super::super) fn take_over(
    connection: &Connection,
    before: Option<&Path>,
) -> Result<Option<Since>, ReadModelError> {
    let Some(old) = Before::read(before, connection).filter(|old| old.live) else {
        return Ok(None);
    };
    let take = || {
        forget(connection)?;
        prepare(connection, &old.since.from)?;
        copy(&old.connection, connection)
    };
    take().map_err(not_taken)?;
    Ok(Some(old.since))
}

/// Whether a build has folded events that the one before has left to be published.
pub(in super::super) fn overtakes(path: &Path, before: Option<&Path>) -> Result<bool, ReadModelError> {
    let new = writer::open(path)?;
    let Some(old) = Before::read(before, &new).filter(|old| old.live) else {
        return Ok(false);
    };
    let look = || -> rusqlite::Result<bool> {
        let Since { from, left_out, .. } = &old.since;
        let reached = read_offsets(&new, "_foldlog_position")?;
        let past = |(at, next): (&TopicPartition, i64)| old.has_topic(at) && from.next(at).unwrap_or(0) < next;
        let folded = |place: &RecordPlace| reached.next(&place.partition).is_some_and(|next| place.offset < next);
        Ok(reached.iter().any(past) || left_out.iter().any(folded))
    };
    look().map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))
}

/// A build that was folded takes over what the one before had not published yet, if it has not before, and publishes nothing
/// more that comes from events which that one had applied or its own rebuild did.
pub(in super::super) fn carry_over(
    connection: &Connection,
    before: Option<&Path>,
    emits: bool,
    position: &Position,
) -> Result<(), ReadModelError> {
    let old = Before::read(before, connection);
    let carry = || -> rusqlite::Result<()> {
        if !emits && old.as_ref().is_none_or(|old| !old.emits) {
            return Ok(());
        }
        let mut from = position.clone();
        for (at, next) in old.iter().flat_map(|old| old.since.from.iter()) {
            if from.next(at).is_none_or(|here| here < next) {
                from.set(at.clone(), next);
            }
        }
        let taken = exists(connection)?;
        prepare(connection, &from)?;
        write_offsets(connection, "_foldlog_emit_from", &from)?;
        let Some(old) = old.as_ref().filter(|old| old.emits) else {
            return Ok(());
        };
        if !taken {
            copy(&old.connection, connection)?;
        }
        let left = left_out(connection)?.into_iter().filter(|place| match taken {
            true => old.since.has_place(place),
            false => old.since.left_out.contains(place),
        });
        write_left(connection, left)
    };
    carry().map_err(not_taken)
}

fn not_taken(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot take over what the build before had not published yet", error)
}

/// The build before, of the same log.
struct Before {
    connection: Connection,
    emits: bool,
    /// Whether it was followed by somebody who publishes, or one before it was.
    live: bool,
    /// What it has left to be published: events past its position, and records before it that it folded past. Only of topics that are
    /// still the same.
    since: Since,
}

impl Before {
    fn read(path: Option<&Path>, new: &Connection) -> Option<Self> {
        match Self::open(path?, new) {
            Ok(old) => old,
            Err(error) => {
                // A file that cannot be read must not keep its successor from being built.
                tracing::warn!(%error, "what the build before had not published yet cannot be taken over");
                None
            }
        }
    }

    /// `None` where it is of another cluster's log.
    fn open(path: &Path, new: &Connection) -> Result<Option<Self>, ReadModelError> {
        // Nobody else writes it now; a connection that may not write would leave its log and index behind.
        let connection = writer::open(path)?;
        Self::of(connection, new)
            .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))
    }

    fn of(connection: Connection, new: &Connection) -> rusqlite::Result<Option<Self>> {
        let cluster = |of: &Connection| {
            of.query_row("SELECT cluster_id FROM _foldlog_model", [], |row| {
                row.get::<_, String>(0)
            })
        };
        if cluster(&connection)? != cluster(new)? {
            return Ok(None);
        }
        // A topic that was created anew begins again.
        let theirs = bookkeeping::read_topics(&connection)?;
        let same = bookkeeping::read_topics(new)?.into_iter();
        let same: BTreeSet<String> = same
            .filter(|topic| theirs.contains(topic))
            .map(|(topic, _)| topic)
            .collect();
        let emits = exists(&connection)?;
        let mut from = read_offsets(&connection, "_foldlog_position")?;
        let (mut live, mut left) = (false, BTreeSet::new());
        if emits {
            let publishes = read_from(&connection)?;
            let told = |place: &RecordPlace| {
                let from = publishes.next(&place.partition);
                from.is_none_or(|from| place.offset >= from)
            };
            left = read_left(&connection)?;
            left.extend(left_out(&connection)?.into_iter().filter(told));
            for (at, next) in publishes.iter() {
                if from.next(at).is_none_or(|here| here < next) {
                    from.set(at.clone(), next);
                }
            }
            live = connection.query_row("SELECT live FROM _foldlog_emit", [], |row| row.get(0))?;
        }
        let kept = from.iter().filter(|(at, _)| same.contains(&*at.topic));
        let from = kept.map(|(at, next)| (at.clone(), next)).collect();
        left.retain(|place| same.contains(&*place.partition.topic));
        Ok(Some(Self {
            connection,
            emits,
            live,
            since: Since {
                from,
                left_out: left,
                topics: Some(same),
            },
        }))
    }

    fn has_topic(&self, at: &TopicPartition) -> bool {
        self.since
            .topics
            .as_ref()
            .is_none_or(|topics| topics.contains(&*at.topic))
    }
}

/// Records that a read model was folded past.
fn left_out(connection: &Connection) -> rusqlite::Result<BTreeSet<RecordPlace>> {
    let mut places = BTreeSet::new();
    bookkeeping::each_dead_letter(connection, &mut |letter| {
        if let LetterState::Skipped | LetterState::Held = letter.state {
            places.insert(letter.place());
        }
        true
    })?;
    Ok(places)
}

fn read_left(connection: &Connection) -> rusqlite::Result<BTreeSet<RecordPlace>> {
    connection
        .prepare("SELECT topic, partition, position FROM _foldlog_emit_left")?
        .query_map([], |row| {
            Ok(RecordPlace {
                partition: TopicPartition::new(row.get::<_, String>(0)?, row.get(1)?),
                offset: row.get(2)?,
            })
        })?
        .collect()
}

fn write_left(connection: &Connection, places: impl Iterator<Item = RecordPlace>) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM _foldlog_emit_left", [])?;
    let mut insert = connection.prepare("INSERT INTO _foldlog_emit_left VALUES (?, ?, ?)")?;
    for RecordPlace { partition, offset } in places {
        insert.execute(params![&*partition.topic, partition.partition, offset])?;
    }
    Ok(())
}

fn copy(old: &Connection, new: &Connection) -> rusqlite::Result<()> {
    notice::copy(old, new)?;
    write_offsets(new, "_foldlog_emit_end", &read_offsets(old, "_foldlog_emit_end")?)?;
    let mut ahead = new.prepare("INSERT INTO _foldlog_emit_ahead VALUES (?)")?;
    let mut ids = old.prepare("SELECT id FROM _foldlog_emit_ahead")?;
    let mut rows = ids.query([])?;
    while let Some(row) = rows.next()? {
        ahead.execute([row.get::<_, String>(0)?])?;
    }
    let mut insert = new.prepare(INSERT)?;
    let mut select = old.prepare(SELECT)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert_into(&mut insert, &waiting(row)?.emission)?;
    }
    let state = old.query_row(
        "SELECT published, refused, reason, trouble, live FROM _foldlog_emit",
        [],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, bool>(4)?,
            ))
        },
    )?;
    new.execute(
        "UPDATE _foldlog_emit SET published = ?, refused = ?, reason = ?, trouble = ?, live = ?",
        state,
    )?;
    Ok(())
}

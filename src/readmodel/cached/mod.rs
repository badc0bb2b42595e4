//! Rows of a rebuild in memory: a write-back cache in front of SQLite.
//!
//! A handler that does one thing to the row of one key, such as `ON CONFLICT (id) DO UPDATE SET total = total + excluded.total`,
//! needs no database for every event: its row is found in memory, changed there, and written once, together with all others and
//! in the order of their keys. What comes out is what SQL for every event would have made, by construction: here only what is
//! certain is answered ([`evaluate`]). For anything else the row is written, the statement runs as SQL, and the row is read again
//! when it is next met. So it is SQLite that refuses a value, and words the reason.
//!
//! | module | what it is |
//! |---|---|
//! | [`recognise`] | which statements are of that kind, and why others are not |
//! | [`plan`] | what they do |
//! | [`evaluate`] | expressions, with SQLite's results |
//! | [`rows`] | the rows of a table |
//! | [`disk`] | rows from and to SQLite |

mod disk;
mod evaluate;
pub mod plan;
pub(super) mod recognise;
mod rows;

use rusqlite::Connection;

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use disk::Disk;
use evaluate::{Scene, Unusual, Value, is_no_number, stored};
use plan::{Affinity, Conflict, Expression, Plan, Table, Write};
use rows::{Cells, Rows};

/// Bytes that rows may take in memory: a million of a few columns.
pub(super) const ROOM: usize = 96 * 1024 * 1024;
/// A table whose events go to SQL all the same more often than one in this many is better left there.
const LOST: u64 = 4;
/// Lost events that say nothing yet; few in tests, so that they meet what comes then.
const PATIENCE: u64 = if cfg!(test) { 10 } else { 10_000 };

/// The rows in memory of all tables that are kept there.
pub(super) struct Cache<'c> {
    plan: &'c Plan,
    tables: Vec<Kept<'c>>,
    room: usize,
    key: Cells,
    new: Cells,
    set: Cells,
    journal: Journal,
}

/// One of them.
struct Kept<'c> {
    /// Its number among them.
    number: usize,
    table: &'c Table,
    rows: Rows,
    disk: Disk<'c>,
    /// Its events that were applied in memory, and the rows that were written because of others.
    won: u64,
    lost: u64,
    off: bool,
}

/// What an event of several statements has done so far.
#[derive(Default)]
struct Journal {
    on: bool,
    /// Which row, and where its words begin.
    rows: Vec<(usize, u32, usize)>,
    words: Vec<u64>,
}

/// The row that a statement is for.
enum Key {
    /// The one of this key, which stands in [`Cache::key`].
    Known,
    /// None.
    Nothing,
    /// Only SQLite can say.
    Unknown,
}

/// What became of a statement.
pub(super) enum Done {
    /// It was applied.
    Applied,
    /// It must run as SQL; nothing has changed.
    AsSql,
}

impl<'c> Cache<'c> {
    /// `None` where nothing is kept in memory. The tables must be there; rows that they hold are read when they are met.
    pub(super) fn new(connection: &'c Connection, plan: &'c Plan, room: usize) -> rusqlite::Result<Option<Self>> {
        let kept = |(number, table): (usize, &'c Table)| {
            let mut rows = Rows::new(table.columns.len(), &table.key);
            rows.complete = disk::is_empty(connection, table)?;
            Ok(Kept {
                number,
                table,
                rows,
                disk: Disk::new(connection, table)?,
                won: 0,
                lost: 0,
                off: false,
            })
        };
        let tables = plan
            .tables
            .iter()
            .enumerate()
            .map(kept)
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok((!tables.is_empty()).then(|| Self {
            plan,
            tables,
            room,
            key: Cells::default(),
            new: Cells::default(),
            set: Cells::default(),
            journal: Journal::default(),
        }))
    }

    /// What a statement does, where it is applied in memory.
    pub(super) fn write_of(&self, step: usize) -> Option<&'c Write> {
        let write = self.plan.writes.get(step)?.as_ref()?;
        let off = self.tables.get(write.table()).is_none_or(|kept| kept.off);
        (!off).then_some(write)
    }

    /// Begins an event; one of several statements can be taken back.
    pub(super) fn begin(&mut self, several: bool) {
        self.journal.on = several;
        self.journal.rows.clear();
        self.journal.words.clear();
    }

    /// Takes back what the event has done so far.
    pub(super) fn undo(&mut self) {
        for (table, row, start) in self.journal.rows.drain(..).rev() {
            if let Some(kept) = self.tables.get_mut(table) {
                let end = start + kept.rows.width();
                kept.rows
                    .restore(row, self.journal.words.get(start..end).unwrap_or_default());
            }
        }
    }

    /// Applies one statement.
    #[inline]
    pub(super) fn apply(
        &mut self,
        write: &'c Write,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> rusqlite::Result<Done> {
        let Some(kept) = self.tables.get_mut(write.table()) else {
            return Ok(Done::AsSql);
        };
        let scene = Scene {
            record,
            slots,
            old: None,
            new: None,
        };
        let cells = (&mut self.key, &mut self.new, &mut self.set);
        let done = kept.apply(write, scene, cells, &mut self.journal)?;
        Ok(match done {
            Ok(()) => {
                kept.won += 1;
                Done::Applied
            }
            Err(Unusual) => Done::AsSql,
        })
    }

    /// Makes room for a statement to run as SQL: the row that it is for is on disk then, and will be read again.
    pub(super) fn give_way(
        &mut self,
        write: &'c Write,
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> rusqlite::Result<()> {
        let Some(kept) = self.tables.get_mut(write.table()) else {
            return Ok(());
        };
        let scene = Scene {
            record,
            slots,
            old: None,
            new: None,
        };
        kept.lost += 1;
        match kept.key_of(write, scene, &mut self.key) {
            Key::Nothing => {}
            Key::Known => match kept.rows.find(&self.key) {
                Some(row) => {
                    kept.disk.write(&mut kept.rows, row, kept.table)?;
                    kept.rows.stale(row);
                }
                None if kept.rows.complete => match kept.rows.add(&self.key) {
                    Ok(row) => kept.rows.stale(row),
                    Err(Unusual) => kept.leave()?,
                },
                None => {}
            },
            Key::Unknown => {
                kept.lost += u64::from(kept.rows.len());
                kept.leave()?;
            }
        }
        if kept.lost > PATIENCE + kept.won / LOST {
            kept.leave()?;
            kept.off = true;
        }
        Ok(())
    }

    /// Writes everything to disk; the rows stay in memory. A statement that is no handler of this cache may read then.
    pub(super) fn flush(&mut self) -> rusqlite::Result<()> {
        let mut tables = self.tables.iter_mut();
        tables.try_for_each(|kept| kept.disk.write_all(&mut kept.rows, kept.table))
    }

    /// Bytes that the rows take.
    pub(super) fn size(&self) -> usize {
        self.tables.iter().map(|kept| kept.rows.size()).sum()
    }

    /// Writes everything to disk and begins anew once the rows take more room than they may.
    pub(super) fn stay_within(&mut self) -> rusqlite::Result<()> {
        if self.size() <= self.room {
            return Ok(());
        }
        self.tables.iter_mut().try_for_each(Kept::leave)
    }
}

impl Journal {
    /// Remembers a row before it changes.
    fn remember(&mut self, table: usize, rows: &Rows, row: u32) {
        if self.on {
            self.rows.push((table, row, self.words.len()));
            rows.remember(row, &mut self.words);
        }
    }
}

type Room<'a> = (&'a mut Cells, &'a mut Cells, &'a mut Cells);

impl Kept<'_> {
    /// Writes all rows and forgets them.
    fn leave(&mut self) -> rusqlite::Result<()> {
        self.disk.write_all(&mut self.rows, self.table)?;
        self.rows.forget();
        Ok(())
    }

    /// Which row a statement is for.
    fn key_of(&self, write: &Write, scene: Scene<'_>, key: &mut Cells) -> Key {
        key.clear();
        let (of, is_insert): (&[Expression], bool) = match write {
            Write::Insert { values, .. } => (values, true),
            Write::Update { key, .. } | Write::Delete { key, .. } => (key, false),
        };
        for (place, column) in self.table.key.iter().enumerate() {
            let (Some(expression), Some(column)) = (
                of.get(if is_insert { *column } else { place }),
                self.table.columns.get(*column),
            ) else {
                return Key::Unknown;
            };
            let Ok(value) = scene.value(expression) else {
                return Key::Unknown;
            };
            match &value {
                // SQLite chooses one.
                Value::Null if is_insert && self.table.rowid_key => return Key::Unknown,
                // Refused by an INSERT, equal to nothing in a WHERE.
                Value::Null => return Key::Nothing,
                Value::Text(text) if column.strict && column.affinity == Affinity::Number && is_no_number(text) => {
                    return Key::Nothing;
                }
                _ => {}
            }
            match stored(column, value) {
                Ok(Value::Real(_)) | Err(Unusual) => return Key::Unknown,
                Ok(value) => {
                    if key.push(value).is_err() {
                        return Key::Unknown;
                    }
                }
            }
        }
        Key::Known
    }

    #[inline]
    fn apply(
        &mut self,
        write: &Write,
        scene: Scene<'_>,
        (key, new, set): Room<'_>,
        journal: &mut Journal,
    ) -> rusqlite::Result<Result<(), Unusual>> {
        if let Write::Insert { values, .. } = write {
            if self.propose(values, scene, (key, new)).is_err() {
                return Ok(Err(Unusual));
            }
        } else {
            match self.key_of(write, scene, key) {
                Key::Known => {}
                Key::Nothing => return Ok(Ok(())),
                Key::Unknown => return Ok(Err(Unusual)),
            }
        }
        let found = match self.rows.find(key) {
            Some(row) if self.rows.is_stale(row) => self.disk.load(&mut self.rows, Some(row), key)?,
            None if !self.rows.complete => self.disk.load(&mut self.rows, None, key)?,
            found => Ok(found),
        };
        Ok(found.and_then(|found| match write {
            Write::Insert { conflict, .. } => self.insert(conflict, found, scene, (key, new, set), journal),
            Write::Update { condition, set: to, .. } => match found.filter(|row| self.rows.is_present(*row)) {
                Some(row) => self.update(row, condition.as_ref(), to, scene, set, journal),
                None => Ok(()),
            },
            Write::Delete { condition, .. } => match found.filter(|row| self.rows.is_present(*row)) {
                Some(row) => self.delete(row, condition.as_ref(), scene, journal),
                None => Ok(()),
            },
        }))
    }

    /// Evaluates the row that an INSERT brings, and its key.
    #[inline]
    fn propose(
        &self,
        values: &[Expression],
        scene: Scene<'_>,
        (key, new): (&mut Cells, &mut Cells),
    ) -> Result<(), Unusual> {
        new.clear();
        for (expression, column) in values.iter().zip(&self.table.columns) {
            new.push(stored(column, scene.value(expression)?)?)?;
        }
        key.clear();
        for column in &self.table.key {
            match new.value(*column) {
                Value::Null | Value::Real(_) => return Err(Unusual),
                value => key.push(value)?,
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        conflict: &Conflict,
        found: Option<u32>,
        scene: Scene<'_>,
        (key, new, set): Room<'_>,
        journal: &mut Journal,
    ) -> Result<(), Unusual> {
        // SQLite looks at the constraints of the new row before it looks for one that is there.
        for check in &self.table.checks {
            let proposed = Scene {
                new: Some(new),
                ..scene
            };
            if proposed.condition(check)? == Some(false) {
                return Err(Unusual);
            }
        }
        let there = found.filter(|row| self.rows.is_present(*row));
        match (there, conflict) {
            (Some(_), Conflict::Abort) => return Err(Unusual),
            (Some(_), Conflict::Nothing) => return Ok(()),
            (Some(row), Conflict::Update { condition, set: to }) => {
                let scene = Scene {
                    new: Some(new),
                    ..scene
                };
                return self.update(row, condition.as_ref(), to, scene, set, journal);
            }
            (Some(_), Conflict::Replace) | (None, _) => {}
        }
        let row = match found {
            Some(row) => row,
            None => self.rows.add(key)?,
        };
        journal.remember(self.number, &self.rows, row);
        for column in 0..self.table.columns.len() {
            self.rows.set(row, column, &new.value(column), !journal.on)?;
        }
        self.rows.written(row);
        Ok(())
    }

    fn update(
        &mut self,
        row: u32,
        condition: Option<&Expression>,
        to: &[(usize, Expression)],
        scene: Scene<'_>,
        set: &mut Cells,
        journal: &mut Journal,
    ) -> Result<(), Unusual> {
        set.clear();
        {
            let scene = Scene {
                old: Some(self.rows.row(row)),
                ..scene
            };
            if let Some(condition) = condition
                && scene.condition(condition)? != Some(true)
            {
                return Ok(());
            }
            for (column, expression) in to {
                let column = self.table.columns.get(*column).ok_or(Unusual)?;
                set.push(stored(column, scene.value(expression)?)?)?;
            }
        }
        if !self.table.checks.is_empty() {
            self.check_updated(row, to, scene, set)?;
        }
        journal.remember(self.number, &self.rows, row);
        for (at, (column, _)) in to.iter().enumerate() {
            self.rows.set(row, *column, &set.value(at), !journal.on)?;
        }
        self.rows.written(row);
        Ok(())
    }

    /// Whether the row would pass the table's checks with some columns set anew.
    fn check_updated(
        &self,
        row: u32,
        to: &[(usize, Expression)],
        scene: Scene<'_>,
        set: &Cells,
    ) -> Result<(), Unusual> {
        let mut whole = Cells::default();
        let old = self.rows.row(row);
        for column in 0..self.table.columns.len() {
            match to.iter().position(|(of, _)| *of == column) {
                Some(at) => whole.push(set.value(at))?,
                None => whole.push(old.value(column))?,
            }
        }
        let scene = Scene {
            old: None,
            new: Some(&whole),
            ..scene
        };
        for check in &self.table.checks {
            if scene.condition(check)? == Some(false) {
                return Err(Unusual);
            }
        }
        Ok(())
    }

    fn delete(
        &mut self,
        row: u32,
        condition: Option<&Expression>,
        scene: Scene<'_>,
        journal: &mut Journal,
    ) -> Result<(), Unusual> {
        let scene = Scene {
            old: Some(self.rows.row(row)),
            ..scene
        };
        if let Some(condition) = condition
            && scene.condition(condition)? != Some(true)
        {
            return Ok(());
        }
        journal.remember(self.number, &self.rows, row);
        self.rows.deleted(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

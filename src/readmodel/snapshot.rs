//! Copies of a read model at moments of its replay, from which any other moment is near.
//!
//! They belong to one build, lie beside it in `NAME.3.snapshots/`, named by the number of records behind them, and go with it.
//! Each is a read model of its own, with its position. They only save time: without them the same rows come out.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::record::Position;

use super::apply::Bound;
use super::changes::{self, Watched};
use super::condition;
use super::decision::{self, Amendments};
use super::dump::quoted;
use super::error::ReadModelError;
use super::history;
use super::store::{self, ReadModelInfo, Store};
use super::writer;

/// How many are kept of one build. A longer log has them further apart.
const KEPT: usize = 64;

/// The snapshots of one build.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) path: PathBuf,
    /// Where it stands, and the latest time of its records.
    pub info: ReadModelInfo,
    /// What was decided about single records when it was taken.
    pub amendments: Amendments,
}

impl Store {
    /// The snapshots of the build in use.
    pub fn snapshots(&self, name: &str) -> Result<Snapshots, ReadModelError> {
        let build = self.current(name)?;
        Ok(Snapshots::of(&self.build_path(name, build.number)))
    }
}

impl Snapshot {
    /// Whether a condition on the rows holds in it.
    pub fn holds(&self, condition: &str) -> Result<bool, ReadModelError> {
        condition::holds(&store::open_read_only(&self.path)?, condition, None)
    }
}

impl Snapshots {
    /// Those of the build at this path, or of the one that will be there.
    pub(super) fn of(build: &Path) -> Self {
        Self {
            folder: build.with_extension("snapshots"),
        }
    }

    /// Those that lie before `moment` in every partition, the one with the most records first.
    pub fn before(&self, moment: &Position) -> impl Iterator<Item = Snapshot> {
        self.list().into_iter().rev().filter_map(move |(_, path)| {
            // One that cannot be read is as good as none.
            let snapshot = open(path).ok()?;
            let mut position = snapshot.info.position.iter();
            let before = position.all(|(partition, next)| moment.next(partition).is_some_and(|end| next <= end));
            drop(position);
            before.then_some(snapshot)
        })
    }

    /// Copies what `connection` holds, its open transaction included. Thins out the others where they have become many.
    pub(super) fn save(&self, connection: &Connection, records: u64) -> Result<(), ReadModelError> {
        let path = self.folder.join(format!("{records:016}.db"));
        fs::create_dir_all(&self.folder).map_err(|error| ReadModelError::io("cannot create", &self.folder, error))?;
        let making = path.with_extension("making");
        store::remove(&making)?;
        let copied = copy(connection, &making).and_then(|()| {
            store::sync(&making)?;
            fs::rename(&making, &path).map_err(|error| ReadModelError::io("cannot put in place", &path, error))
        });
        if copied.is_err() {
            let _ = store::remove(&making);
        }
        copied?;
        let all = self.list();
        if all.len() > KEPT {
            for (_, path) in all.iter().step_by(2) {
                store::remove(path)?;
            }
        }
        Ok(())
    }

    /// Lets another build have those up to one of them, too; they are never written again.
    pub(super) fn share(&self, last: &Snapshot, with: &Self) -> std::io::Result<()> {
        fs::create_dir_all(&with.folder)?;
        let records = last.info.counts.total();
        for (_, path) in self.list().into_iter().filter(|(behind, _)| *behind <= records) {
            if let Some(name) = path.file_name() {
                fs::hard_link(&path, with.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Makes them those of another build.
    pub(super) fn rename(&self, to: &Self) -> std::io::Result<()> {
        fs::rename(&self.folder, &to.folder)
    }

    /// Deletes all of them.
    pub(super) fn remove(&self) {
        // What cannot be deleted now is deleted with the next build.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list().len()
    }

    /// How many records lie behind each, and its file.
    fn list(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let records = name.to_str()?.strip_suffix(".db")?.parse().ok()?;
                Some((records, entry.path()))
            })
            .collect();
        all.sort();
        all
    }
}

pub(super) fn open(path: PathBuf) -> Result<Snapshot, ReadModelError> {
    let connection = store::open_read_only(&path)?;
    let info = store::info_of(&connection, &path)?;
    let amendments = decision::read_amendments(&connection)
        .map_err(|error| ReadModelError::sqlite(format!("cannot read {}", path.display()), error))?;
    Ok(Snapshot { path, info, amendments })
}

/// Copies row by row: SQLite's own backup refuses a connection with an open transaction, and a rebuild is one.
fn copy(from: &Connection, path: &Path) -> Result<(), ReadModelError> {
    let to = writer::open(path)?;
    let all = || -> rusqlite::Result<()> {
        to.execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN",
        )?;
        let mut tables = Vec::new();
        let mut rest = Vec::new();
        // What a full-text index is kept in is made and filled with the index.
        let mut list = from.prepare(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL
             AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') ORDER BY rowid",
        )?;
        let mut rows = list.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if name.starts_with(history::PREFIX) {
                // A moment of the past has no use for it, and it may be larger than all the rows.
                continue;
            }
            if kind != "table" {
                rest.push(sql);
            } else {
                // SQLite makes its own by itself.
                if !name.starts_with("sqlite_") {
                    to.execute_batch(&sql)?;
                }
                tables.push(name);
            }
        }
        for name in tables {
            copy_rows(from, &to, &changes::watched(from, name)?)?;
        }
        // An index is built faster from the whole than row by row.
        rest.iter().try_for_each(|sql| to.execute_batch(sql))?;
        to.execute_batch("COMMIT")
    };
    all().map_err(|error| ReadModelError::sqlite(format!("cannot write {}", path.display()), error))
}

fn copy_rows(from: &Connection, to: &Connection, table: &Watched) -> rusqlite::Result<()> {
    let columns = table.written();
    let (list, name) = (columns.join(", "), quoted(&table.name));
    let marks = vec!["?"; columns.len()].join(", ");
    if table.name == "sqlite_sequence" {
        // Filling the tables has written it already.
        to.execute("DELETE FROM sqlite_sequence", [])?;
    }
    let mut insert = to.prepare(&format!("INSERT INTO {name} ({list}) VALUES ({marks})"))?;
    let mut select = from.prepare(&format!("SELECT {list} FROM main.{name}"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        for at in 0..columns.len() {
            insert.raw_bind_parameter(at + 1, Bound(row.get_ref(at)?))?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

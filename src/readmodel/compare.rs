//! Two read models row by row: what one has and the other has not.
//!
//! Two cursors in the order of the primary key go side by side, so memory is bounded however large the tables are. Values are
//! compared by type and to the last bit: 1 is not 1.0, and text is not the bytes of it.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use super::compile::{Column, columns};
use super::dump::{key_of, quoted, tables};
use super::error::ReadModelError;
use super::query::{Cell, cell};
use super::scratch::Scratch;
use super::store::{self, ReadModelInfo, Store};
use super::writer;

/// A read model that is compared, opened for reading.
#[derive(Debug)]
pub struct Side {
    connection: Connection,
    path: PathBuf,
}

impl Side {
    /// The read model in use.
    pub fn in_use(store: &Store, name: &str) -> Result<Self, ReadModelError> {
        Self::open(&store.current(name)?.path)
    }

    /// The build before the one in use.
    pub fn previous(store: &Store, name: &str) -> Result<Self, ReadModelError> {
        match store.previous_build(name)? {
            Some(build) => Self::open(&build.path),
            None => Err(ReadModelError::NoPrevious { name: name.to_owned() }),
        }
    }

    /// The preview, which nobody writes.
    pub fn preview(store: &Store, name: &str) -> Result<Self, ReadModelError> {
        match store.preview(name)? {
            Some(preview) => Self::open(&preview.path),
            None => Err(ReadModelError::NoPreview { name: name.to_owned() }),
        }
    }

    /// One at a moment. What its folds did must be committed.
    pub fn past(scratch: &Scratch) -> Result<Self, ReadModelError> {
        Self::open(scratch.path())
    }

    /// A database that is no read model: the source of one.
    pub fn database(path: &Path) -> Result<Self, ReadModelError> {
        Self::open(path)
    }

    fn open(path: &Path) -> Result<Self, ReadModelError> {
        Ok(Self {
            connection: store::open_read_only(path)?,
            path: path.to_owned(),
        })
    }

    /// What it is, and how far it has come.
    pub fn info(&self) -> Result<ReadModelInfo, ReadModelError> {
        store::info_of(&self.connection, &self.path)
    }

    /// Looks at `stop` while rows are compared, so that a cancel need not wait for the end.
    pub fn interrupt_when<F>(&mut self, stop: F) -> Result<(), ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        writer::interrupt_when(&mut self.connection, stop)
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The first.
    Before,
    /// The second.
    After,
}

/// What a comparison says, table by table in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// A table that only one of them has, with the number of its rows.
    Table {
        /// The table.
        table: String,
        /// Who has it.
        only: Which,
        /// How many rows it has.
        rows: u64,
    },
    /// A column that only one of them has. Rows are compared without it.
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Who has it.
        only: Which,
    },
    /// A table whose primary keys are of other columns: no row can be matched with another.
    Key {
        /// The table.
        table: String,
    },
    /// A row.
    Row(RowDifference),
    /// A table that both have is over.
    Compared {
        /// The table.
        table: String,
        /// How its rows compare.
        counts: Tally,
    },
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDifference {
    /// The table.
    pub shape: Arc<Shape>,
    /// The row in the first; `None` where it has none.
    pub before: Option<Vec<Cell>>,
    /// The row in the second; `None` where it has none.
    pub after: Option<Vec<Cell>>,
    /// Which of the columns differ, where both have the row.
    pub changed: Vec<usize>,
}

/// A table as both sides have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub table: String,
    /// The columns that both have, those of the primary key first.
    pub columns: Vec<String>,
    /// How many of them are the primary key.
    pub key: usize,
}

impl RowDifference {
    /// The values of its primary key.
    pub fn key(&self) -> &[Cell] {
        let row = self.before.as_ref().or(self.after.as_ref());
        row.and_then(|row| row.get(..self.shape.key)).unwrap_or_default()
    }
}

/// How the rows of two read models compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that only the second has.
    pub added: u64,
    /// Rows that only the first has.
    pub removed: u64,
    /// Rows that both have, with other values.
    pub changed: u64,
    /// Rows that both have alike.
    pub same: u64,
    /// Tables, columns and keys that are not those of the other.
    pub shapes: u64,
}

impl Tally {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.rows() + self.shapes == 0
    }

    /// How many rows differ.
    pub fn rows(&self) -> u64 {
        self.added + self.removed + self.changed
    }

    fn add(&mut self, other: &Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.changed += other.changed;
        self.same += other.same;
        self.shapes += other.shapes;
    }
}

/// Takes what differs, one after the other; says whether it wants more.
pub type TakeDifference<'a> = dyn FnMut(Difference) -> bool + 'a;

/// Compares two read models, each as it is at one moment, and says how they compare in all. Rows are matched by primary key.
pub fn compare(before: &Side, after: &Side, take: &mut TakeDifference<'_>) -> Result<Tally, ReadModelError> {
    let mut run = || {
        // One transaction each, so that a writer's commit does not fall between two tables.
        let one = before.connection.unchecked_transaction()?;
        let two = after.connection.unchecked_transaction()?;
        let mut comparison = Comparison {
            before: &one,
            after: &two,
            take,
            total: Tally::default(),
            over: false,
        };
        comparison.run()?;
        Ok(comparison.total)
    };
    run().map_err(|error| {
        let (before, after) = (before.path.display(), after.path.display());
        ReadModelError::sqlite(format!("cannot compare {before} with {after}"), error)
    })
}

/// A part of what differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Rows, tables and columns that differ, in the order of a comparison.
    pub differences: Vec<Difference>,
    /// How the two compare in all, where nothing differs after this page.
    pub tally: Option<Tally>,
}

/// Compares two read models and keeps `count` of what differs, from the one of this number on.
pub fn page(before: &Side, after: &Side, from: usize, count: usize) -> Result<Page, ReadModelError> {
    let (mut differences, mut seen, mut whole) = (Vec::new(), 0, true);
    let tally = compare(before, after, &mut |difference| {
        if matches!(difference, Difference::Compared { .. }) {
            return true;
        }
        whole = differences.len() < count;
        if whole && seen >= from {
            differences.push(difference);
        }
        seen += 1;
        whole
    })?;
    Ok(Page {
        differences,
        tally: whole.then_some(tally),
    })
}

struct Comparison<'a, 't> {
    before: &'a Connection,
    after: &'a Connection,
    take: &'a mut TakeDifference<'t>,
    total: Tally,
    over: bool,
}

impl Comparison<'_, '_> {
    fn run(&mut self) -> rusqlite::Result<()> {
        let (first, second) = (tables(self.before, "main")?, tables(self.after, "main")?);
        let mut all = first.clone();
        all.extend(second.iter().filter(|name| !has(&first, name)).cloned());
        all.sort_unstable();
        for table in all {
            if self.over {
                break;
            }
            match (has(&first, &table), has(&second, &table)) {
                (true, true) => self.table(table)?,
                (true, false) => self.alone(table, Which::Before)?,
                (false, _) => self.alone(table, Which::After)?,
            }
        }
        Ok(())
    }

    fn say(&mut self, difference: Difference) {
        self.over = self.over || !(self.take)(difference);
    }

    fn alone(&mut self, table: String, only: Which) -> rusqlite::Result<()> {
        let connection = match only {
            Which::Before => self.before,
            Which::After => self.after,
        };
        let count = format!("SELECT count(*) FROM main.{}", quoted(&table));
        let rows = connection.query_row(&count, [], |row| row.get::<_, i64>(0))?;
        self.total.shapes += 1;
        self.say(Difference::Table {
            table,
            only,
            rows: u64::try_from(rows).unwrap_or(0),
        });
        Ok(())
    }

    fn table(&mut self, table: String) -> rusqlite::Result<()> {
        let (one, two) = (
            columns(self.before, "main", &table)?,
            columns(self.after, "main", &table)?,
        );
        let (names, others) = (names(&one), names(&two));
        for (these, those, only) in [(&names, &others, Which::Before), (&others, &names, Which::After)] {
            for column in these.iter().filter(|name| !has(those, name)) {
                self.total.shapes += 1;
                self.say(Difference::Column {
                    table: table.clone(),
                    column: column.clone(),
                    only,
                });
            }
        }
        let (key, other) = (key_of(&one), key_of(&two));
        if key.len() != other.len() || !key.iter().zip(&other).all(|(a, b)| a.eq_ignore_ascii_case(b)) {
            self.total.shapes += 1;
            self.say(Difference::Key { table });
            return Ok(());
        }
        let rest = names.into_iter().filter(|name| has(&others, name) && !has(&key, name));
        let shape = Shape {
            table,
            key: key.len(),
            columns: key.iter().cloned().chain(rest).collect(),
        };
        // SQLite lets rows share a key that has a NULL in it.
        let shared = one.iter().chain(&two).any(|column| column.key > 0 && !column.not_null);
        self.rows(shape, shared)
    }

    fn rows(&mut self, shape: Shape, shared: bool) -> rusqlite::Result<()> {
        let list = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>();
        // The collation that this compares by, whatever the table's is.
        let ordered = if shared { shape.columns.len() } else { shape.key };
        let order: Vec<_> = list(&shape.columns[..ordered])
            .into_iter()
            .map(|name| name + " COLLATE BINARY")
            .collect();
        let sql = format!(
            "SELECT {} FROM main.{} ORDER BY {}",
            list(&shape.columns).join(", "),
            quoted(&shape.table),
            order.join(", ")
        );
        let (mut one, mut two) = (self.before.prepare(&sql)?, self.after.prepare(&sql)?);
        let shape = Arc::new(shape);
        let counts = self.merge(&shape, one.query([])?, two.query([])?)?;
        self.total.add(&counts);
        self.say(Difference::Compared {
            table: shape.table.clone(),
            counts,
        });
        Ok(())
    }

    fn merge(&mut self, shape: &Arc<Shape>, mut left: Rows<'_>, mut right: Rows<'_>) -> rusqlite::Result<Tally> {
        let mut counts = Tally::default();
        let (mut one, mut two) = (left.next()?, right.next()?);
        while !self.over {
            let order = match (one, two) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(two)) => ordered(shape, one, two)?,
            };
            let mut changed = Vec::new();
            let (before, after) = match order {
                Ordering::Less => (one, None),
                Ordering::Greater => (None, two),
                Ordering::Equal => (one, two),
            };
            if let (Some(before), Some(after)) = (before, after) {
                for at in 0..shape.columns.len() {
                    if before.get_ref(at)? != after.get_ref(at)? {
                        changed.push(at);
                    }
                }
            }
            match order {
                Ordering::Less => counts.removed += 1,
                Ordering::Greater => counts.added += 1,
                Ordering::Equal if changed.is_empty() => counts.same += 1,
                Ordering::Equal => counts.changed += 1,
            }
            if order != Ordering::Equal || !changed.is_empty() {
                let row = RowDifference {
                    shape: shape.clone(),
                    before: before.map(|row| cells(shape, row)).transpose()?,
                    after: after.map(|row| cells(shape, row)).transpose()?,
                    changed,
                };
                self.say(Difference::Row(row));
            }
            if order != Ordering::Greater {
                one = left.next()?;
            }
            if order != Ordering::Less {
                two = right.next()?;
            }
        }
        Ok(counts)
    }
}

fn names(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.clone()).collect()
}

/// Whether a name is among them, as SQL compares names.
fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn cells(shape: &Shape, row: &Row<'_>) -> rusqlite::Result<Vec<Cell>> {
    (0..shape.columns.len()).map(|at| row.get_ref(at).map(cell)).collect()
}

/// The order of two rows: by key, and where that has a NULL, which makes it no key, by the whole row.
fn ordered(shape: &Shape, one: &Row<'_>, two: &Row<'_>) -> rusqlite::Result<Ordering> {
    let mut null = false;
    for at in 0..shape.columns.len() {
        if at == shape.key && !null {
            break;
        }
        let (one, two) = (one.get_ref(at)?, two.get_ref(at)?);
        null = null || one == ValueRef::Null;
        match order(one, two) {
            Ordering::Equal => {}
            other => return Ok(other),
        }
    }
    Ok(Ordering::Equal)
}

/// SQLite's order of two values in the collation BINARY.
fn order(one: ValueRef<'_>, two: ValueRef<'_>) -> Ordering {
    let class = |value| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (one, two) {
        (ValueRef::Integer(one), ValueRef::Integer(two)) => one.cmp(&two),
        (ValueRef::Real(one), ValueRef::Real(two)) => one.partial_cmp(&two).unwrap_or(Ordering::Equal),
        (ValueRef::Integer(one), ValueRef::Real(two)) => integer_to_real(one, two),
        (ValueRef::Real(one), ValueRef::Integer(two)) => integer_to_real(two, one).reverse(),
        (ValueRef::Text(one), ValueRef::Text(two)) | (ValueRef::Blob(one), ValueRef::Blob(two)) => one.cmp(two),
        _ => class(one).cmp(&class(two)),
    }
}

/// Exactly: near 2^63 a double has no room for the integer's last digits.
fn integer_to_real(one: i64, two: f64) -> Ordering {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if two >= END {
        return Ordering::Less;
    }
    if two < -END {
        return Ordering::Greater;
    }
    let whole = one.cmp(&(two.trunc() as i64));
    whole.then_with(|| 0.0.partial_cmp(&two.fract()).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;

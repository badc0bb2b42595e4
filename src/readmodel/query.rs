//! SQL over read models: each is a schema of its projection's name, opened read-only.

mod bare;

use std::cell::{OnceCell, RefCell};
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, OpenFlags};

pub(super) use bare::ambiguous;

use super::compile::columns;
use super::dump::{key_of, quoted, readable, tables};
use super::error::ReadModelError;
use super::explain::explain;
use super::guard::{Guard, Stage};
use super::store::{Build, Store};

/// How many databases SQLite attaches to one connection as it is built.
const ATTACHED: usize = 10;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The answer to a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// Whether more rows were there than the limit let through.
    pub truncated: bool,
}

/// A table of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// The table's name.
    pub name: String,
    /// Column names with the declared type.
    pub columns: Vec<(String, String)>,
    /// The columns of the primary key, in its order.
    pub primary_key: Vec<String>,
    /// How many rows; `None` of a view, which would have to be asked for all of them.
    pub rows: Option<u64>,
}

/// Takes the column names and a row, or at first the column names alone; says whether it wants more.
pub type TakeRow<'a> = dyn FnMut(&[String], Option<Vec<Cell>>) -> bool + 'a;

/// A read-only connection with the read models of a store attached. Belongs to one thread.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    guard: Guard,
    builds: Vec<Build>,
    attached: RefCell<Vec<String>>,
    /// The tables of all read models, read where they are too many to be attached together.
    tables: OnceCell<Vec<(String, String)>>,
}

/// Stops a running query from another thread.
#[derive(Clone)]
pub struct Interrupt(Arc<InterruptHandle>);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

impl Interrupt {
    /// Stops the query that runs, if one does; it ends with [`ReadModelError::Cancelled`].
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Session {
    /// Opens the read models of `store`; those swapped in later are seen by the next session.
    pub fn open(store: &Store) -> Result<Self, ReadModelError> {
        Self::over(store.current_builds()?)
    }

    /// A session with these read models.
    pub(super) fn over(builds: Vec<Build>) -> Result<Self, ReadModelError> {
        let guard = Guard::new();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags)
            .and_then(|mut connection| {
                connection.busy_timeout(super::BUSY)?;
                guard.install(&mut connection)?;
                Ok(connection)
            })
            .map_err(|error| ReadModelError::sqlite("cannot open a session", error))?;
        Ok(Self {
            connection,
            guard,
            builds,
            attached: RefCell::default(),
            tables: OnceCell::new(),
        })
    }

    /// What interrupts this session's query.
    pub fn interrupt_handle(&self) -> Interrupt {
        Interrupt(Arc::new(self.connection.get_interrupt_handle()))
    }

    /// Runs one SELECT and returns at most `limit` rows. Anything that would write is refused.
    pub fn query(&self, sql: &str, limit: usize) -> Result<Rows, ReadModelError> {
        let mut answer = Rows::default();
        self.each(sql, &mut |columns, row| {
            match row {
                None => answer.columns = columns.to_vec(),
                Some(_) if answer.rows.len() == limit => answer.truncated = true,
                Some(row) => answer.rows.push(row),
            }
            !answer.truncated
        })?;
        Ok(answer)
    }

    /// Runs one SELECT and hands out its rows one by one, until `take` says that it has enough. The first call has the columns
    /// alone, so that an answer without rows has them too. Memory is bounded however many rows there are.
    pub fn each(&self, sql: &str, take: &mut TakeRow<'_>) -> Result<(), ReadModelError> {
        self.attach_for(sql)?;
        self.guard.enter(Stage::Query);
        let result = self.run(sql, take);
        let refusal = self.guard.refusal();
        self.guard.enter(Stage::Own);
        match (result, refusal) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(refusal)) => Err(ReadModelError::Query {
                message: refusal.message,
                sql: sql.to_owned(),
                at: None,
                help: Some(refusal.help.to_owned()),
            }),
            (Err(error), None) => {
                let (attached, all) = (self.attached.borrow(), self.tables.get());
                let others = all.map_or(&[][..], Vec::as_slice);
                Err(explain(&self.connection, &attached, others, sql, error))
            }
        }
    }

    fn run(&self, sql: &str, take: &mut TakeRow<'_>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        if columns.is_empty() {
            // Nothing at all, or a comment: SQLite takes it for a statement that does nothing.
            return Err(rusqlite::Error::InvalidQuery);
        }
        let mut more = take(&columns, None);
        let mut rows = statement.query([])?;
        while more && let Some(row) = rows.next()? {
            let cells = (0..columns.len())
                .map(|at| row.get_ref(at).map(cell))
                .collect::<Result<_, _>>()?;
            more = take(&columns, Some(cells));
        }
        Ok(())
    }

    /// The tables of a read model and its views, its own bookkeeping left out.
    pub fn tables(&self, read_model: &str) -> Result<Vec<TableInfo>, ReadModelError> {
        let schema = read_model.to_ascii_lowercase();
        self.attach_for(&quoted(&schema))?;
        let read = || -> rusqlite::Result<Vec<TableInfo>> {
            let own = tables(&self.connection, &schema)?;
            readable(&self.connection, &schema)?
                .into_iter()
                .map(|name| {
                    let columns = columns(&self.connection, &schema, &name)?;
                    let count = format!("SELECT count(*) FROM {}.{}", quoted(&schema), quoted(&name));
                    let count = || self.connection.query_row(&count, [], |row| row.get::<_, i64>(0));
                    let rows = own.contains(&name).then(count).transpose()?;
                    Ok(TableInfo {
                        primary_key: key_of(&columns),
                        columns: columns
                            .into_iter()
                            .map(|column| (column.name, column.declared))
                            .collect(),
                        rows: rows.map(|rows| u64::try_from(rows).unwrap_or(0)),
                        name,
                    })
                })
                .collect()
        };
        read().map_err(|error| ReadModelError::sqlite(format!("cannot read the tables of {read_model}"), error))
    }

    /// Attaches what a query may need: every read model while they are few, and where they are many those that it names, by
    /// themselves or by a table.
    fn attach_for(&self, sql: &str) -> Result<(), ReadModelError> {
        let named = |build: &Build| bare::mentions(sql, &build.stem);
        let few = self.builds.len() <= ATTACHED;
        let mut wanted: Vec<_> = self.builds.iter().filter(|build| few || named(build)).collect();
        if wanted.len() > ATTACHED {
            return Err(ReadModelError::Query {
                message: format!("a query can name {ATTACHED} read models at most"),
                sql: sql.to_owned(),
                at: None,
                help: Some("join fewer of them at a time".to_owned()),
            });
        }
        if !few {
            let held = self.tables.get_or_init(|| bare::tables_of(&self.builds));
            let holds = |build: &Build| {
                held.iter()
                    .any(|(stem, table)| *stem == build.stem && bare::mentions(sql, table))
            };
            let more = self.builds.iter().filter(|build| !named(build) && holds(build));
            wanted.extend(more.take(ATTACHED - wanted.len()));
        }
        if self.attach(&wanted, named)? {
            let attached = self.attached.borrow();
            bare::refuse_ambiguous(&self.connection, &attached)
                .map_err(|error| ReadModelError::sqlite("cannot tell the read models' tables apart", error))?;
        }
        Ok(())
    }

    /// Attaches these read models and no others; whether anything changed.
    fn attach(&self, wanted: &[&Build], named: impl Fn(&Build) -> bool) -> Result<bool, ReadModelError> {
        let mut attached = self.attached.borrow_mut();
        let before = attached.len();
        attached.retain(|stem| {
            let keep = wanted.iter().any(|build| build.stem == *stem);
            keep || self
                .connection
                .execute_batch(&format!("DETACH DATABASE {}", quoted(stem)))
                .is_err()
        });
        let mut changed = attached.len() != before;
        for build in wanted {
            if attached.contains(&build.stem) {
                continue;
            }
            let attach = format!("ATTACH DATABASE ? AS {}", quoted(&build.stem));
            match self.connection.execute(&attach, [read_only_uri(&build.path)]) {
                Ok(_) => {
                    attached.push(build.stem.clone());
                    changed = true;
                }
                Err(error) if named(build) => {
                    return Err(ReadModelError::sqlite(
                        format!("cannot open {}", build.path.display()),
                        error,
                    ));
                }
                // Others can still be asked; the list of read models says what is wrong with this one.
                Err(_) => {}
            }
        }
        Ok(changed)
    }
}

pub(super) fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

/// A file's address as SQLite takes it, any byte of the path escaped that means something in one.
fn read_only_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?mode=ro");
    uri
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;

//! Read models that are not built, as empty tables in memory: what a query can be checked against before anything runs.

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use crate::projection::Projection;

use super::dump::quoted;
use super::error::ReadModelError;
use super::explain::explain;
use super::guard::{Guard, Stage};
use super::words::words;

/// Empty read models, each a schema of its name, as in a session over built ones.
#[derive(Debug)]
pub struct Blank {
    connection: Connection,
    guard: Guard,
    named: Vec<String>,
    // A database in memory lives as long as somebody has it open.
    _tables: Vec<Connection>,
}

impl Blank {
    /// The tables of those read models that `sql` names.
    pub fn of(models: &[&Projection], sql: &str) -> Result<Self, ReadModelError> {
        let fail = |error| ReadModelError::sqlite("cannot make the tables in memory", error);
        let guard = Guard::new();
        let mut connection = Connection::open_in_memory_with_flags(flags()).map_err(fail)?;
        guard.install(&mut connection).map_err(fail)?;
        let mut named: Vec<&Projection> = Vec::new();
        for word in words(sql) {
            let model = models.iter().find(|model| word.is(&model.name));
            named.extend(model.filter(|model| named.iter().all(|known| known.name != model.name)));
        }
        let mut tables = Vec::new();
        for model in &named {
            let address = format!("file:/{}?vfs=memdb", Uuid::new_v4());
            let own = Connection::open_with_flags(&address, flags()).map_err(fail)?;
            super::dates::install(&own).map_err(fail)?;
            for statement in &model.schema {
                own.execute_batch(&statement.sql).map_err(fail)?;
            }
            let attach = format!("ATTACH DATABASE ? AS {}", quoted(&model.name.to_ascii_lowercase()));
            connection.execute(&attach, [&address]).map_err(fail)?;
            tables.push(own);
        }
        Ok(Self {
            connection,
            guard,
            named: named.into_iter().map(|model| model.name.clone()).collect(),
            _tables: tables,
        })
    }

    /// The read models that the query names, in its order.
    pub fn named(&self) -> &[String] {
        &self.named
    }

    /// The columns that a query over them returns. Refuses what a session refuses.
    pub fn columns(&self, sql: &str) -> Result<Vec<String>, ReadModelError> {
        self.guard.enter(Stage::Query);
        let prepared = self.connection.prepare(sql);
        let refusal = self.guard.refusal();
        self.guard.enter(Stage::Own);
        match (prepared, refusal) {
            (Ok(prepared), _) => Ok(prepared.column_names().map(str::to_owned).collect()),
            (Err(_), Some(refusal)) => Err(ReadModelError::Query {
                message: refusal.message,
                sql: sql.to_owned(),
                at: None,
                help: Some(refusal.help.to_owned()),
            }),
            (Err(error), None) => {
                let schemas: Vec<String> = self.named.iter().map(|name| name.to_ascii_lowercase()).collect();
                Err(explain(&self.connection, &schemas, &[], sql, error))
            }
        }
    }
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::parse::parse;

    fn model(name: &str, table: &str) -> Projection {
        let text = format!(
            "-- projection: {name}\n-- topic: t\n-- type: $.type\n\nCREATE TABLE {table} (id TEXT PRIMARY KEY, n INTEGER) STRICT;\n\
             CREATE INDEX by_n ON {table} (n);\n\n-- on: A\nINSERT INTO {table} VALUES (:id, 1);\n"
        );
        parse(&text, "test.sql").unwrap()
    }

    #[test]
    fn a_query_is_checked_against_tables_that_nobody_built() {
        let (a, b, c) = (model("first", "item"), model("second", "item"), model("third", "x"));
        let sql = "SELECT f.id AS label, s.n FROM second.item AS s JOIN First.item AS f USING (id)";
        let blank = Blank::of(&[&a, &b, &c], sql).unwrap();
        assert_eq!(blank.named(), ["second", "first"]);
        assert_eq!(blank.columns(sql).unwrap(), ["label", "n"]);
        let said = |sql: &str| blank.columns(sql).unwrap_err().to_string();
        assert_eq!(said("SELECT m FROM first.item"), "no such column: m");
        assert_eq!(said("SELECT * FROM third.x"), "no such table: third.x");
        assert!(
            said("DELETE FROM first.item").contains("only read"),
            "{}",
            said("DELETE FROM first.item")
        );
    }
}

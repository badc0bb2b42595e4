//! Tables that a query names without their read model: where they are, and that there is one answer only.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::super::dump::{self, quoted};
use super::super::store::{self, Build};

/// What the name of an ambiguous table begins with in SQLite's words; no file can bring a table of such a name.
const MARK: &str = "\u{1}ambiguous ";

/// Whether a text has a word anywhere, strings included: table-valued pragmas take names as strings.
pub(super) fn mentions(sql: &str, word: &str) -> bool {
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .any(|other| other.eq_ignore_ascii_case(word))
}

/// Every table with its read model's name. A read model that cannot be read has none.
pub(super) fn tables_of(builds: &[Build]) -> Vec<(String, String)> {
    let of = |build: &Build| {
        let read = store::open_read_only(&build.path).ok();
        let tables = read.and_then(|connection| dump::readable(&connection, "main").ok());
        let named = |table| (build.stem.clone(), table);
        tables.unwrap_or_default().into_iter().map(named).collect::<Vec<_>>()
    };
    builds.iter().flat_map(of).collect()
}

/// Has SQLite refuse a table's bare name that several of these schemas have: it would answer from any of them. A temporary view
/// is found before a table of any schema, and only by a name without one.
pub(super) fn refuse_ambiguous(connection: &Connection, schemas: &[String]) -> rusqlite::Result<()> {
    let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for schema in schemas {
        // One that is damaged answers nothing by its full name either, which then says why.
        for table in dump::readable(connection, schema).unwrap_or_default() {
            holders.entry(table.to_lowercase()).or_default().push(schema);
        }
    }
    let views = "SELECT name FROM temp.sqlite_schema WHERE type = 'view'";
    let old: Vec<String> = connection
        .prepare(views)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for view in old {
        connection.execute_batch(&format!("DROP VIEW temp.{}", quoted(&view)))?;
    }
    for (table, schemas) in holders.iter().filter(|(_, schemas)| schemas.len() > 1) {
        let (view, body) = (quoted(table), quoted(&format!("{MARK}{table} {}", schemas.join(" "))));
        connection.execute_batch(&format!("CREATE TEMP VIEW {view} AS SELECT * FROM {body}"))?;
    }
    Ok(())
}

/// The table and its read models, where SQLite's words are about a name that several of them have.
pub(in super::super) fn ambiguous(message: &str) -> Option<(&str, Vec<&str>)> {
    let (_, said) = message.split_once(MARK)?;
    let mut words = said.split(' ');
    Some((words.next()?, words.collect()))
}

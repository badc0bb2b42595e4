//! The schemas of a read model: the one in use, the one that is built beside it, and the one before.

use tokio_postgres::{Error, Row};

use crate::projection::Projection;
use crate::projection::dialect::{Made, Rendered, Shape, quoted};
use crate::readmodel::compile::Definition;
use crate::readmodel::feed::FedTable;

use super::super::super::error::SinkError;
use super::super::schema::LONGEST;
use super::super::value::Kind;
use super::handlers::refused;
use super::ledger::{self, LEDGER, Ledger};
use super::{Session, bind, passes, reason};

/// What the schema's name is followed by while it is built, and when it was replaced.
const BUILDING: &str = "__building";
const OLD: &str = "__old";

/// Begins what takes tables away, which waits for whoever reads them, and not for ever.
const TAKE_OVER: &str = "BEGIN; SET LOCAL lock_timeout = '10s'";

/// The tables of a projection as they are made there.
pub fn shapes(tables: &[FedTable]) -> Vec<Shape> {
    let shape = |table: &FedTable| Shape {
        name: table.name.clone(),
        columns: (table.columns.iter().enumerate())
            .map(|(at, column)| {
                (
                    column.name.clone(),
                    Kind::of(column.kind, table.key.contains(&at)).sql(),
                )
            })
            .collect(),
        key: table
            .key
            .iter()
            .filter_map(|at| table.columns.get(*at))
            .map(|column| column.name.clone())
            .collect(),
    };
    tables.iter().map(shape).collect()
}

/// Functions of SQLite that PostgreSQL has by another name or not at all, for handlers to find: with a NULL among its values max() is
/// NULL in SQLite, and greatest() is not.
const FUNCTIONS: &str = "
CREATE FUNCTION max(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT greatest($1, $2)';
CREATE FUNCTION max(anycompatible, anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT greatest($1, $2, $3)';
CREATE FUNCTION min(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT least($1, $2)';
CREATE FUNCTION min(anycompatible, anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT least($1, $2, $3)';
CREATE FUNCTION ifnull(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, $2)';
CREATE FUNCTION iif(boolean, anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN $1 THEN $2 ELSE $3 END';
CREATE FUNCTION instr(text, text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT strpos($1, $2)::bigint'";

/// What is left to be made when all rows are there.
#[derive(Debug, Default)]
pub struct Later {
    indexes: Vec<(usize, Rendered)>,
}

impl Session {
    /// What the schema holds; `None` where it is not there, or empty. Anything else than a read model of this kind is an error.
    pub fn found(&mut self) -> Result<Option<Ledger>, SinkError> {
        let ledger = self.read(&self.schema)?;
        if let Some(ledger) = &ledger {
            self.commits = ledger.commits;
        }
        Ok(ledger)
    }

    fn read(&self, schema: &str) -> Result<Option<Ledger>, SinkError> {
        let objects = self.objects(schema)?;
        if objects.is_empty() {
            return Ok(None);
        }
        if !objects.iter().any(|name| name == LEDGER) {
            let fed = objects.iter().any(|name| name == "_foldlog");
            let (name, why) = match fed {
                true => ("_foldlog", ", which `foldlog follow --sink` feeds"),
                false => (objects.first().map_or("", String::as_str), ""),
            };
            return Err(self.not_ours(format!("the table {schema}.{name}{why}")));
        }
        let sql = format!("SELECT {} FROM {}", ledger::READ, ledger::place(schema));
        let ledger = self.run(async {
            let row: Option<Row> = self.client.query_opt(&sql, &[]).await?;
            row.as_ref().map(ledger::from_row).transpose()
        })?;
        let Some(ledger) = ledger else {
            return Err(self.not_ours(format!("an empty {schema}.{LEDGER}")));
        };
        Ok(Some(ledger))
    }

    /// Refuses a schema in which somebody else has made something: it would go with ours.
    fn check_alien(&self, schema: &str, ledger: &Ledger) -> Result<(), SinkError> {
        let objects = self.objects(schema)?;
        // Of one that was never whole nobody has written down what is in it.
        let mut alien = objects.iter().filter(|_| !ledger.objects.is_empty());
        match alien.find(|name| !ledger.objects.contains(name)) {
            None => Ok(()),
            Some(name) => Err(self.not_ours(format!("{schema}.{name}"))),
        }
    }

    fn not_ours(&self, what: String) -> SinkError {
        SinkError::NotOurs {
            store: self.server.to_string(),
            what,
            help: "fold into another schema, with ?schema=NAME in the address, or move it to one of its own".to_owned(),
        }
    }

    /// The tables and views of a schema.
    fn objects(&self, schema: &str) -> Result<Vec<String>, SinkError> {
        let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1";
        self.run(async {
            let rows = self.client.query(sql, &[&schema]).await?;
            rows.iter()
                .map(|row| row.try_get(0))
                .collect::<Result<Vec<String>, Error>>()
        })
    }

    /// Goes on with the read model in use: every handler is prepared.
    pub fn go_on(&mut self, projection: &Projection, tables: &[FedTable]) -> Result<(), SinkError> {
        let schema = self.schema.clone();
        self.enter(&schema)?;
        self.prepare(projection, &shapes(tables))
    }

    /// Makes a schema beside the one in use, with empty tables, and prepares every handler there. Says what is not the same there.
    pub fn build(
        &mut self,
        definition: &Definition,
        tables: &[FedTable],
        ledger: &Ledger,
    ) -> Result<(Later, Vec<String>), SinkError> {
        let projection = definition.projection();
        let shapes = shapes(tables);
        self.check_names(&shapes)?;
        let building = format!("{}{BUILDING}", self.schema);
        if let Some(in_use) = self.found()? {
            self.check_alien(&self.schema, &in_use)?;
        }
        self.check_old()?;
        self.drop_schema(&building)?;
        self.execute("BEGIN")?;
        self.execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {0}; SET search_path TO {0}",
            quoted(&building)
        ))?;
        self.execute(ledger::SCHEMA)?;
        self.execute(FUNCTIONS)?;
        let (later, mut notices) = self.make(definition, &shapes)?;
        notices.extend(self.left_behind()?);
        self.run(async {
            let insert = self.client.prepare(ledger::INSERT).await?;
            bind::run(&self.client, &insert, &ledger::insert_params(ledger)).await
        })?;
        self.execute("COMMIT")?;
        self.enter(&building)?;
        self.commits = 0;
        self.prepare(projection, &shapes)?;
        Ok((later, notices))
    }

    /// What elsewhere reads the read model in use by itself, and not by its name.
    fn left_behind(&self) -> Result<Vec<String>, SinkError> {
        let sql = "SELECT DISTINCT v.oid::regclass::text FROM pg_depend d
                     JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                     JOIN pg_class v ON v.oid = r.ev_class
                     JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
                     JOIN pg_namespace n ON n.oid = t.relnamespace
                   WHERE n.nspname = $1 AND v.relnamespace <> n.oid
                   UNION SELECT f.conrelid::regclass::text FROM pg_constraint f
                     JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace n ON n.oid = t.relnamespace
                     JOIN pg_class o ON o.oid = f.conrelid
                   WHERE f.contype = 'f' AND n.nspname = $1 AND o.relnamespace <> n.oid ORDER BY 1";
        let found = self.run(async {
            let rows = self.client.query(sql, &[&self.schema]).await?;
            rows.iter()
                .map(|row| row.try_get(0))
                .collect::<Result<Vec<String>, Error>>()
        })?;
        let said = |name: String| {
            let schema = &self.schema;
            format!("{name} stays with the build before, as {schema}{OLD}: make it anew when this one is in use")
        };
        Ok(found.into_iter().map(said).collect())
    }

    fn prepare(&mut self, projection: &Projection, shapes: &[Shape]) -> Result<(), SinkError> {
        let own = self.run(async {
            let update = self.client.prepare(ledger::UPDATE).await?;
            Ok((update, self.client.prepare(ledger::LETTER).await?))
        })?;
        self.own = Some(own);
        self.prepare_handlers(projection, shapes)
    }

    /// Makes tables, views and indexes; indexes that no handler needs are left for later.
    fn make(&self, definition: &Definition, shapes: &[Shape]) -> Result<(Later, Vec<String>), SinkError> {
        let projection = definition.projection();
        let (mut later, mut notices) = (Later::default(), Vec::new());
        for (number, (written, late)) in projection.schema.iter().zip(definition.built_late()).enumerate() {
            let made = projection.schema_to_postgres(written, shapes)?;
            match made {
                Made::Table(rendered) => {
                    if let Some(error) = self.try_make(&rendered)? {
                        return Err(refused(projection, written, &rendered, &error).into());
                    }
                }
                Made::Aid(rendered) if late => later.indexes.push((number, rendered)),
                Made::Aid(rendered) => {
                    let failed = self.try_make(&rendered)?;
                    notices.extend(failed.map(|error| left_out(written.line, &error)));
                }
            }
        }
        Ok((later, notices))
    }

    fn try_make(&self, rendered: &Rendered) -> Result<Option<Error>, SinkError> {
        self.execute("SAVEPOINT foldlog")?;
        let failed = self.run(async {
            match self.client.batch_execute(&rendered.sql).await {
                Ok(()) => Ok(None),
                Err(error) if error.as_db_error().is_some() && !passes(&error) => Ok(Some(error)),
                Err(error) => Err(error),
            }
        })?;
        let end = match failed {
            None => "RELEASE SAVEPOINT foldlog",
            Some(_) => "ROLLBACK TO SAVEPOINT foldlog",
        };
        self.execute(end)?;
        Ok(failed)
    }

    fn check_names(&self, shapes: &[Shape]) -> Result<(), SinkError> {
        let names = shapes
            .iter()
            .flat_map(|shape| shape.columns.iter().map(|(name, _)| name).chain([&shape.name]));
        let building = format!("{}{BUILDING}", self.schema);
        let mut all = names.chain([&building]);
        match all.find(|name| name.len() > LONGEST) {
            None => Ok(()),
            Some(long) => Err(SinkError::Says {
                store: self.server.to_string(),
                reason: format!("the name `{long}` has more than 63 bytes, which PostgreSQL would cut off"),
                help: Some("give the table or column a shorter name, or the schema with ?schema=NAME".to_owned()),
            }),
        }
    }

    /// Whether the schema of the build before can be dropped when this one is put in use: better known now.
    fn check_old(&mut self) -> Result<(), SinkError> {
        let old = format!("{}{OLD}", self.schema);
        self.execute(TAKE_OVER)?;
        self.drop_schema(&old)?;
        self.execute("ROLLBACK")
    }

    /// Drops a schema of ours, if it is there; nothing that others made, and nothing that depends on it.
    fn drop_schema(&self, schema: &str) -> Result<(), SinkError> {
        let Some(ledger) = self.read(schema)? else {
            return self.execute(&format!("DROP SCHEMA IF EXISTS {}", quoted(schema)));
        };
        self.check_alien(schema, &ledger)?;
        let sql = "SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass::text
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'v')
                   UNION ALL SELECT 'FUNCTION', p.oid::regprocedure::text
                   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname = $1 AND p.proname IN ('max', 'min', 'ifnull', 'iif', 'instr')";
        let found = self.run(async {
            let rows = self.client.query(sql, &[&schema]).await?;
            let pair = |row: &Row| Ok((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
            rows.iter().map(pair).collect::<Result<Vec<_>, Error>>()
        })?;
        for kind in ["VIEW", "TABLE", "FUNCTION"] {
            let names: Vec<&str> = (found.iter().filter(|(of, _)| of == kind))
                .map(|(_, name)| name.as_str())
                .collect();
            if !names.is_empty() {
                self.execute(&format!("DROP {kind} {}", names.join(", ")))?;
            }
        }
        self.execute(&format!("DROP SCHEMA {}", quoted(schema)))
    }

    /// Makes what was left for later, and puts the build in use; the one before stays as `NAME__old`, and the one before that goes.
    /// Says what could not be made.
    pub fn swap(&mut self, projection: &Projection, later: &Later) -> Result<Vec<String>, SinkError> {
        let (name, building, old) = (
            &self.schema,
            format!("{}{BUILDING}", self.schema),
            format!("{}{OLD}", self.schema),
        );
        let mut notices = Vec::new();
        self.execute(&format!("{TAKE_OVER}; SET LOCAL synchronous_commit = on"))?;
        for (number, rendered) in &later.indexes {
            let line = projection.schema.get(*number).map_or(0, |written| written.line);
            notices.extend(self.try_make(rendered)?.map(|error| left_out(line, &error)));
        }
        let objects = self.objects(&building)?;
        self.run(async {
            let sql = format!("UPDATE {LEDGER} SET objects = $1");
            self.client.execute(&sql, &[&objects]).await
        })?;
        self.execute(&copy_grants(name, &building))?;
        let in_use = self.read(name)?.is_some();
        if in_use {
            self.drop_schema(&old)?;
            self.execute(&format!("ALTER SCHEMA {} RENAME TO {}", quoted(name), quoted(&old)))?;
        } else {
            // It may be there, and empty.
            self.drop_schema(name)?;
        }
        self.execute(&format!(
            "ALTER SCHEMA {} RENAME TO {}; COMMIT",
            quoted(&building),
            quoted(name)
        ))?;
        // As it is there, for whoever is told of it.
        for table in &objects {
            // A view has nothing to be counted; and whatever else ends it, the build is in use.
            let _ = self.execute(&format!("ANALYZE {}.{}", quoted(name), quoted(table)));
        }
        Ok(notices)
    }
}

/// Gives those who may read the schema in use the same of the one that takes its place.
fn copy_grants(from: &str, to: &str) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (from, to) = (literal(from), literal(to));
    format!(
        "DO $grants$ DECLARE g record; BEGIN
           FOR g IN SELECT a.privilege_type AS what, a.grantee AS who FROM pg_namespace n, aclexplode(n.nspacl) a
                    WHERE n.nspname = {from} AND a.grantee <> n.nspowner LOOP
             EXECUTE format('GRANT %s ON SCHEMA %I TO %s', g.what, {to},
                            CASE WHEN g.who = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.who)) END);
           END LOOP;
           FOR g IN SELECT a.privilege_type AS what, a.grantee AS who, c.relname AS name
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
                    WHERE n.nspname = {from} AND c.relkind IN ('r', 'v') AND a.grantee <> c.relowner
                      AND to_regclass(format('%I.%I', {to}, c.relname)) IS NOT NULL LOOP
             EXECUTE format('GRANT %s ON %I.%I TO %s', g.what, {to}, g.name,
                            CASE WHEN g.who = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.who)) END);
           END LOOP;
           FOR g IN SELECT a.privilege_type AS what, a.grantee AS who, c.relname AS name, t.attname AS field
                    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
                         aclexplode(t.attacl) a
                    WHERE n.nspname = {from} AND c.relkind IN ('r', 'v') AND NOT t.attisdropped AND a.grantee <> c.relowner
                      AND EXISTS (SELECT 1 FROM pg_attribute o
                                  WHERE o.attrelid = to_regclass(format('%I.%I', {to}, c.relname)) AND o.attname = t.attname) LOOP
             EXECUTE format('GRANT %s (%I) ON %I.%I TO %s', g.what, g.field, {to}, g.name,
                            CASE WHEN g.who = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.who)) END);
           END LOOP;
         END $grants$"
    )
}

fn left_out(line: usize, error: &Error) -> String {
    format!("what line {line} makes is not made in PostgreSQL: {}", reason(error))
}

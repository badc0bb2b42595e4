//! A projection checked against SQLite: its schema is run and every handler prepared in a database in memory, so that
//! whatever is wrong is said before a record is read, with the place in the file.

mod emit;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use rusqlite::Connection;

use crate::decode::fields::{FieldSet, Scalar};
use crate::decode::schema::Schema;
use crate::projection::error::ProjectionError;
use crate::projection::{Binding, Handler, Meta, On, Projection, Statement};

use super::cached::plan::Plan;
use super::cached::recognise::recognise;
use super::dump::quoted;
use super::error::ReadModelError;
use super::feed::{self, FedTable};
use super::fulltext;
use super::guard::{self, Guard, Stage};
use super::words::{self, words};

pub(super) use emit::EmitStep;

/// A projection that SQLite accepted, ready to be applied. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Definition(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    projection: Projection,
    fields: FieldSet,
    schema: Vec<SchemaStep>,
    steps: Vec<Step>,
    upcasts: Upcasts,
    invariants: Vec<Step>,
    emits: Vec<EmitStep>,
    plan: Plan,
    schemas: HashMap<String, TypeSchema>,
    alerts: Vec<Step>,
    by_type: HashMap<String, Program>,
    other: Option<Program>,
    tombstone: Option<Program>,
    /// What each program is for, by its number.
    ons: Vec<On>,
}

/// What events of a type are held against.
#[derive(Debug)]
pub(super) struct TypeSchema {
    pub(super) schema: Schema,
    pub(super) file: String,
    pub(super) line: usize,
}

/// A statement that makes a table, view or index.
#[derive(Debug)]
pub(super) struct SchemaStep {
    pub(super) sql: String,
    /// The indexes that it makes by name.
    pub(super) indexes: Vec<String>,
    /// An index that no handler needs and that is therefore built once, after the load.
    pub(super) after_load: bool,
}

/// A statement that binds an event: a handler's, or the SELECT of another clause.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) sql: String,
    pub(super) bindings: Vec<Binding>,
    /// The statement's line in the file.
    pub(super) line: usize,
}

/// What is done to old events first.
#[derive(Debug, Default)]
pub(super) struct Upcasts {
    pub(super) steps: Vec<Step>,
    /// The slot of an event's version.
    version: Option<usize>,
    /// The step for each version of a type.
    by_type: HashMap<String, Vec<(Option<String>, usize)>>,
}

impl Upcasts {
    /// The upcast that is for an event of this type and version.
    pub(super) fn of(&self, event: &str, slots: &[Scalar<'_>]) -> Option<usize> {
        let versions = self.by_type.get(event)?;
        let version = self.version.and_then(|slot| text_of(slots.get(slot)));
        // `"version": "v1"` is written as often as `"version": 1`.
        let version = version
            .as_deref()
            .map(|version| version.strip_prefix('v').unwrap_or(version));
        let mut steps = versions.iter();
        steps.find(|(of, _)| of.as_deref() == version).map(|(_, step)| *step)
    }
}

/// An event's type or version as text; `None` where it is missing.
pub(super) fn text_of<'s>(scalar: Option<&'s Scalar<'_>>) -> Option<Cow<'s, str>> {
    match scalar? {
        Scalar::Text(text) => Some(Cow::Borrowed(text)),
        Scalar::Integer(number) => Some(Cow::Owned(number.to_string())),
        Scalar::Real(number) => Some(Cow::Owned(number.to_string())),
        Scalar::Null | Scalar::Blob(_) => None,
    }
}

/// What is run for a record: steps in order.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Its number among the programs, from 0.
    pub(super) number: usize,
    pub(super) steps: Vec<usize>,
}

impl Definition {
    /// The projection that was compiled.
    pub fn projection(&self) -> &Projection {
        &self.0.projection
    }

    pub(super) fn fields(&self) -> &FieldSet {
        &self.0.fields
    }

    pub(super) fn schema(&self) -> &[SchemaStep] {
        &self.0.schema
    }

    /// Of each statement of the projection's tables whether it makes an index that is better built when all rows are there.
    pub fn built_late(&self) -> impl Iterator<Item = bool> {
        self.0.schema.iter().map(|step| step.after_load)
    }

    /// What its tables hold.
    pub fn tables(&self) -> Result<Vec<FedTable>, ReadModelError> {
        let tables = || {
            let connection = Connection::open_in_memory()?;
            super::dates::install(&connection)?;
            for step in &self.0.schema {
                connection.execute_batch(&step.sql)?;
            }
            feed::tables(&connection)
        };
        tables().map_err(|error| ReadModelError::sqlite("cannot make the tables in memory", error))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    pub(super) fn upcasts(&self) -> &Upcasts {
        &self.0.upcasts
    }

    /// What is asked after each event that was applied, in the order of [`Projection::invariants`].
    pub(super) fn invariants(&self) -> &[Step] {
        &self.0.invariants
    }

    /// What is published after each event that was applied live, in the order of [`Projection::emits`].
    pub(super) fn emits(&self) -> &[EmitStep] {
        &self.0.emits
    }

    /// Whether a rebuild does everything in memory.
    pub fn is_folded_in_memory(&self) -> bool {
        self.plan().is_whole()
    }

    /// What a rebuild does in memory, and why not all of it.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Whether anything is told to others.
    pub(super) fn tells(&self) -> bool {
        !self.0.emits.is_empty() || !self.0.alerts.is_empty()
    }

    /// What alerts are found by, in the order of [`Projection::alerts`].
    pub(super) fn alerts(&self) -> &[Step] {
        &self.0.alerts
    }

    /// What is run for an event of this type; `None` where no handler is for it.
    pub(super) fn program(&self, event: &str) -> Option<&Program> {
        // Without types the event's type is its whole value, which need not be looked up.
        let own = if self.0.by_type.is_empty() {
            None
        } else {
            self.0.by_type.get(event)
        };
        own.or(self.0.other.as_ref())
    }

    /// What an event of this type is held against.
    pub(super) fn schema_of(&self, event: &str) -> Option<&TypeSchema> {
        self.0.schemas.get(event)
    }

    /// Whether any type has a schema.
    pub(super) fn has_schemas(&self) -> bool {
        !self.0.schemas.is_empty()
    }

    /// What is run for an event without a type.
    pub(super) fn other(&self) -> Option<&Program> {
        self.0.other.as_ref()
    }

    /// Every program with what it is for, by its number.
    pub(super) fn programs(&self) -> impl Iterator<Item = (&On, &Program)> {
        self.0.ons.iter().filter_map(|on| {
            let program = match on {
                On::Type(event) => self.0.by_type.get(event),
                On::Other => self.other(),
                On::Tombstone => self.tombstone(),
            };
            program.map(|program| (on, program))
        })
    }

    /// What is run for a null value.
    pub(super) fn tombstone(&self) -> Option<&Program> {
        self.0.tombstone.as_ref()
    }
}

/// Checks a projection against SQLite.
pub fn compile(projection: &Projection) -> Result<Definition, Box<ProjectionError>> {
    let compiler = Compiler::new(projection)?;
    let mut schema = compiler.schema()?;
    let steps = compiler.handlers()?;
    let upcasts = compiler.upcasts()?;
    let invariants = compiler.invariants()?;
    let emits = compiler.emits()?;
    let alerts = compiler.alerts()?;
    let selects = upcasts
        .steps
        .iter()
        .chain(&invariants)
        .chain(emits.iter().map(|emit| &emit.step))
        // One that binds nothing is asked once in a rebuild.
        .chain(alerts.iter().filter(|alert| !alert.bindings.is_empty()));
    compiler.choose_late_indexes(&mut schema, steps.iter().chain(selects))?;
    // Alerts that bind nothing are asked when all rows are written.
    let asking = alerts.iter().filter(|alert| !alert.bindings.is_empty());
    let plan = compiler.plan(upcasts.steps.iter().chain(&invariants).chain(asking))?;
    let (by_type, other, tombstone, ons) = programs(&projection.handlers);
    Ok(Definition(Arc::new(Inner {
        fields: FieldSet::new(&projection.fields),
        schema: schema
            .into_iter()
            .map(|made| SchemaStep {
                sql: made.sql,
                indexes: made.indexes,
                after_load: made.after_load,
            })
            .collect(),
        steps,
        upcasts,
        invariants,
        emits,
        plan,
        schemas: schemas(projection)?,
        alerts,
        by_type,
        other,
        tombstone,
        ons,
        projection: projection.clone(),
    })))
}

/// The schemas, which whoever read the file has read.
fn schemas(projection: &Projection) -> Result<HashMap<String, TypeSchema>, Box<ProjectionError>> {
    let compiled = |of: &crate::projection::TypeSchema| {
        let text = of.text.as_deref().ok_or_else(|| "was not read".to_owned());
        let schema = text.and_then(Schema::new).map_err(|why| {
            projection.error_at(of.span.clone(), format!("the schema {}: {why}", of.file), "named here")
        })?;
        let (file, line) = (of.file.clone(), of.line);
        Ok((of.event.clone(), TypeSchema { schema, file, line }))
    };
    projection.schemas.iter().map(compiled).collect()
}

type Programs = (HashMap<String, Program>, Option<Program>, Option<Program>, Vec<On>);

/// Which steps run for which record; handlers of one type run in file order, one after the other.
fn programs(handlers: &[Handler]) -> Programs {
    let mut by_type: HashMap<String, Program> = HashMap::new();
    let (mut other, mut tombstone, mut ons) = (None, None, Vec::new());
    let mut next = 0;
    for handler in handlers {
        let new = || {
            ons.push(handler.on.clone());
            Program {
                number: ons.len() - 1,
                steps: Vec::new(),
            }
        };
        let program = match &handler.on {
            On::Type(event) => by_type.entry(event.clone()).or_insert_with(new),
            On::Other => other.get_or_insert_with(new),
            On::Tombstone => tombstone.get_or_insert_with(new),
        };
        program.steps.extend(next..next + handler.statements.len());
        next += handler.statements.len();
    }
    (by_type, other, tombstone, ons)
}

/// What a schema statement made.
struct Made {
    sql: String,
    tables: Vec<String>,
    indexes: Vec<String>,
    span: Range<usize>,
    after_load: bool,
}

struct Compiler<'p> {
    projection: &'p Projection,
    connection: Connection,
    guard: Guard,
}

impl<'p> Compiler<'p> {
    fn new(projection: &'p Projection) -> Result<Self, Box<ProjectionError>> {
        let guard = Guard::new();
        let connection = Connection::open_in_memory().and_then(|mut connection| {
            super::dates::install(&connection)?;
            guard.install(&mut connection)?;
            Ok(connection)
        });
        let compiler = |connection| Self {
            projection,
            connection,
            guard,
        };
        match connection {
            Ok(connection) => Ok(compiler(connection)),
            Err(error) => Err(projection.error_at(0..0, format!("SQLite cannot start: {error}"), "here")),
        }
    }

    fn fail<T>(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: &str,
        help: impl Into<Option<String>>,
    ) -> Result<T, Box<ProjectionError>> {
        let error = self.projection.error_at(span, message, label);
        Err(match help.into() {
            Some(help) => error.with_help(help),
            None => error,
        })
    }

    /// A statement that SQLite or the guard refused, at the place that SQLite names.
    fn refused<T>(&self, statement: &Statement, error: &rusqlite::Error) -> Result<T, Box<ProjectionError>> {
        if let Some(refusal) = self.guard.refusal() {
            return self.fail(
                statement.span.clone(),
                refusal.message,
                "refused",
                refusal.help.to_owned(),
            );
        }
        Err(explained(self.projection, statement, error))
    }

    /// An error of a statement of our own, which says nothing about the file.
    fn own<T>(&self, result: rusqlite::Result<T>) -> Result<T, Box<ProjectionError>> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.fail(0..0, format!("SQLite failed while checking: {error}"), "here", None),
        }
    }

    /// SQLite makes a view without a look at what it selects.
    fn check_view(&self, name: &str, statement: &Statement) -> Result<(), Box<ProjectionError>> {
        self.guard.enter(Stage::Schema);
        let asked = self.connection.prepare(&format!("SELECT * FROM {}", quoted(name)));
        let refusal = self.guard.refusal();
        self.guard.enter(Stage::Own);
        match (asked, refusal) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(refusal)) => self.fail(
                statement.span.clone(),
                refusal.message,
                "refused",
                refusal.help.to_owned(),
            ),
            (Err(error), None) => self.refused(statement, &error),
        }
    }

    fn schema(&self) -> Result<Vec<Made>, Box<ProjectionError>> {
        let mut known = BTreeSet::new();
        let mut all = Vec::new();
        for statement in &self.projection.schema {
            self.check_words(statement)?;
            self.guard.enter(Stage::Schema);
            let done = self.connection.prepare(&statement.sql).and_then(|mut prepared| {
                if prepared.parameter_count() > 0 {
                    return Ok(false);
                }
                prepared.raw_execute()?;
                Ok(true)
            });
            match done {
                Ok(true) => {}
                Ok(false) => {
                    return self.fail(
                        statement.span.clone(),
                        "only handlers can bind fields",
                        "there is no event yet when this runs",
                        None,
                    );
                }
                Err(error) => return self.refused(statement, &error),
            }
            self.guard.enter(Stage::Own);
            let mut made = Made {
                sql: statement.sql.clone(),
                tables: Vec::new(),
                indexes: Vec::new(),
                span: statement.span.clone(),
                after_load: false,
            };
            let objects: Vec<(String, String)> = self.own(
                self.connection
                    .prepare(
                        "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                         AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')",
                    )
                    .and_then(|mut list| list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()),
            )?;
            for (kind, name) in objects {
                if known.insert((kind.clone(), name.clone())) {
                    match kind.as_str() {
                        "table" => made.tables.push(name),
                        "index" => made.indexes.push(name),
                        "view" => self.check_view(&name, statement)?,
                        _ => {}
                    }
                }
            }
            for table in &made.tables {
                self.check_table(table, &made.span)?;
            }
            all.push(made);
        }
        if known.iter().all(|(kind, _)| kind != "table") {
            return self.fail(
                0..0,
                "the projection has no table",
                "here",
                "write CREATE TABLE before the first `-- on:`".to_owned(),
            );
        }
        Ok(all)
    }

    /// Words that SQLite accepts and that would break the promise that an event applies as a whole or not at all.
    fn check_words(&self, statement: &Statement) -> Result<(), Box<ProjectionError>> {
        let list = words(&statement.sql);
        for (at, pair) in list.windows(2).enumerate() {
            let span = statement.span.start + pair[0].span.start..statement.span.start + pair[1].span.end;
            let breaks = pair[1].is("FAIL") || pair[1].is("ROLLBACK");
            let clause = (pair[0].is("OR") && at > 0 && (list[at - 1].is("INSERT") || list[at - 1].is("UPDATE")))
                || (pair[0].is("CONFLICT") && at > 0 && list[at - 1].is("ON"));
            if breaks && clause {
                return self.fail(
                    span,
                    "FAIL and ROLLBACK are refused as conflict clauses",
                    "leaves half an event behind, or takes others with it",
                    "use ABORT (the default), IGNORE, REPLACE or ON CONFLICT ... DO UPDATE".to_owned(),
                );
            }
            if pair[0].is("INITIALLY") && pair[1].is("DEFERRED") {
                return self.fail(
                    span,
                    "deferred constraints are refused",
                    "checked at commit, when it is not known which event broke it",
                    "leave out DEFERRABLE INITIALLY DEFERRED".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// What FTS5 takes for a command when it is written into a column of the index's own name: it changes how the index is kept
    /// and answers, and no row, so that nothing would tell of it when an event is undone.
    fn check_commands(&self, statement: &Statement) -> Result<(), Box<ProjectionError>> {
        let (list, indexes) = (words(&statement.sql), self.guard.indexes());
        for (at, pair) in list.windows(2).enumerate() {
            let Some(index) = indexes.iter().find(|index| pair[1].is(index)) else {
                continue;
            };
            let written = pair[0].is("INTO") || (pair[0].is("main") && at > 0 && list[at - 1].is("INTO"));
            let ends = |word: &words::Word<'_>| ["VALUES", "SELECT", "DEFAULT", "WITH"].iter().any(|end| word.is(end));
            let mut columns = list[at + 2..].iter().take_while(|word| written && !ends(word));
            if let Some(command) = columns.find(|word| word.is(index) || word.is("rank")) {
                let span = statement.span.start + command.span.start..statement.span.start + command.span.end;
                return self.fail(
                    span,
                    format!(
                        "`{}` is no column of the full-text index `{index}`, but a command to it",
                        command.text
                    ),
                    "changes how the index is kept, and no row",
                    "leave it out: what is indexed is what is written into the index's own columns".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// A table needs a key by which each row is found again, is compared, and is dumped in one order.
    fn check_table(&self, table: &str, span: &Range<usize>) -> Result<(), Box<ProjectionError>> {
        if self.own(fulltext::is_index(&self.connection, "main", table))? {
            return Ok(());
        }
        let columns = self.own(columns(&self.connection, "main", table))?;
        let key: Vec<_> = columns.iter().filter(|column| column.key > 0).collect();
        if key.is_empty() {
            return self.fail(
                span.clone(),
                format!("the table `{table}` has no primary key"),
                "this table",
                "add PRIMARY KEY to the column that identifies a row, or PRIMARY KEY (a, b) for several; to keep every \
                 event as a row, take PRIMARY KEY (partition, offset) and bind @partition and @offset"
                    .to_owned(),
            );
        }
        let strict_or_without_rowid: bool = self.own(self.connection.query_row(
            "SELECT wr OR strict FROM pragma_table_list WHERE schema = 'main' AND name = ?",
            [table],
            |row| row.get(0),
        ))?;
        let key_index: bool = self.own(self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk')",
            [table],
            |row| row.get(0),
        ))?;
        // A rowid alias is never NULL; in any other key of an ordinary table SQLite allows NULL, for the sake of old files.
        let rowid_alias = key.len() == 1 && key[0].declared.eq_ignore_ascii_case("INTEGER") && !key_index;
        let loose = key.iter().find(|column| !column.not_null);
        if let (Some(column), false, false) = (loose, rowid_alias, strict_or_without_rowid) {
            return self.fail(
                span.clone(),
                format!(
                    "the primary key of `{table}` can be NULL: `{}` is not NOT NULL",
                    column.name
                ),
                "rows with a NULL key are never equal and could not be found again",
                format!(
                    "write `{} {} NOT NULL`, or end the table with `) STRICT;`, which implies it",
                    column.name, column.declared
                ),
            );
        }
        for column in &columns {
            let default = column.default.as_deref().unwrap_or_default();
            if let Some(word) = words(default).iter().find(|word| guard::varies(word.text)) {
                return self.fail(
                    span.clone(),
                    format!(
                        "the default of `{table}.{}` gives another result at every replay",
                        column.name
                    ),
                    "this table",
                    format!("leave out `{}` and bind @timestamp in the handlers", word.text),
                );
            }
        }
        Ok(())
    }

    fn handlers(&self) -> Result<Vec<Step>, Box<ProjectionError>> {
        let mut steps = Vec::new();
        for handler in &self.projection.handlers {
            for statement in &handler.statements {
                steps.push(self.handler(statement)?);
            }
        }
        Ok(steps)
    }

    fn handler(&self, statement: &Statement) -> Result<Step, Box<ProjectionError>> {
        let prepared = self.prepared(statement)?;
        if prepared.column_count() > 0 {
            return self.fail(
                statement.span.clone(),
                "a handler returns no rows",
                "its rows would be read by nobody",
                "write INSERT, UPDATE or DELETE without RETURNING".to_owned(),
            );
        }
        self.step(statement, &prepared)
    }

    fn upcasts(&self) -> Result<Upcasts, Box<ProjectionError>> {
        let mut upcasts = Upcasts {
            version: self.projection.version,
            ..Upcasts::default()
        };
        for upcast in &self.projection.upcasts {
            let prepared = self.prepared(&upcast.select)?;
            if prepared.column_count() != 1 {
                return self.fail(
                    upcast.select.span.clone(),
                    format!("an upcast returns one column, and this has {}", prepared.column_count()),
                    "the new value as JSON text",
                    "make one JSON text of it: `SELECT json_set(@value, '$.currency', 'EUR')`".to_owned(),
                );
            }
            let versions = upcasts.by_type.entry(upcast.event.clone()).or_default();
            versions.push((upcast.version.clone(), upcasts.steps.len()));
            upcasts.steps.push(self.step(&upcast.select, &prepared)?);
        }
        Ok(upcasts)
    }

    fn invariants(&self) -> Result<Vec<Step>, Box<ProjectionError>> {
        let selects = self.projection.invariants.iter().map(|invariant| &invariant.select);
        selects
            .map(|select| self.step(select, &self.prepared(select)?))
            .collect()
    }

    fn alerts(&self) -> Result<Vec<Step>, Box<ProjectionError>> {
        let selects = self.projection.alerts.iter().map(|alert| &alert.select);
        selects
            .map(|select| self.step(select, &self.prepared(select)?))
            .collect()
    }

    /// A statement that binds an event, compiled.
    fn prepared(&self, statement: &Statement) -> Result<rusqlite::Statement<'_>, Box<ProjectionError>> {
        self.check_words(statement)?;
        self.check_commands(statement)?;
        self.guard.enter(Stage::Handler);
        match self.connection.prepare(&statement.sql) {
            Ok(prepared) => Ok(prepared),
            Err(error) => self.refused(statement, &error),
        }
    }

    fn step(&self, statement: &Statement, prepared: &rusqlite::Statement<'_>) -> Result<Step, Box<ProjectionError>> {
        let names: Vec<_> = (1..=prepared.parameter_count())
            .map(|number| prepared.parameter_name(number).unwrap_or("?"))
            .collect();
        if names.len() != statement.bindings.len()
            || !names.iter().zip(&statement.bindings).all(|(n, b)| self.fits(n, b))
        {
            return self.fail(
                statement.span.clone(),
                format!("the parameters of this statement cannot be bound: {}", names.join(", ")),
                "here",
                "write :field, $field::inner or @topic @partition @offset @timestamp @key @value @headers".to_owned(),
            );
        }
        Ok(Step {
            sql: statement.sql.clone(),
            bindings: statement.bindings.clone(),
            line: statement.line,
        })
    }

    /// Whether what SQLite calls a parameter is what the parser took it for.
    fn fits(&self, name: &str, binding: &Binding) -> bool {
        match binding {
            Binding::Meta(meta) => name == meta_name(*meta),
            Binding::Field(slot) => match self.projection.fields.get(*slot) {
                Some(path) => name
                    .strip_prefix([':', '$'])
                    .is_some_and(|rest| rest == path.0.join("::")),
                None => false,
            },
        }
    }

    /// What can be done in memory. `others` are the statements that are no handlers and run while records are applied.
    fn plan<'s>(&self, others: impl Iterator<Item = &'s Step>) -> Result<Plan, Box<ProjectionError>> {
        let handlers = self.projection.handlers.iter().flat_map(|handler| &handler.statements);
        if self.projection.history {
            return Ok(Plan::without(
                handlers,
                "the file says `-- history: on`, so every change is written as it happens",
            ));
        }
        let others: Vec<&str> = others.map(|step| step.sql.as_str()).collect();
        self.own(recognise(
            &self.connection,
            &self.guard,
            &handlers.collect::<Vec<_>>(),
            &others,
        ))
    }

    /// An index that no handler's plan names is cheaper to build once after the load. One that checks something, or whose
    /// expression could fail, must see each record: it decides which records are poison.
    fn choose_late_indexes<'s>(
        &self,
        schema: &mut [Made],
        steps: impl Iterator<Item = &'s Step>,
    ) -> Result<(), Box<ProjectionError>> {
        self.guard.enter(Stage::Own);
        let mut plain: BTreeMap<String, bool> = BTreeMap::new();
        for made in schema.iter() {
            for index in &made.indexes {
                plain.insert(
                    index.to_ascii_lowercase(),
                    self.own(is_plain_index(&self.connection, index))?,
                );
            }
        }
        for step in steps {
            let plan: rusqlite::Result<Vec<String>> = self
                .connection
                .prepare(&format!("EXPLAIN QUERY PLAN {}", step.sql))
                .and_then(|mut explain| explain.raw_query().mapped(|row| row.get(3)).collect());
            for detail in self.own(plan)? {
                for word in words(&detail) {
                    if let Some(late) = plain.get_mut(&word.text.to_ascii_lowercase()) {
                        *late = false;
                    }
                }
            }
        }
        for made in schema {
            made.after_load = !made.indexes.is_empty()
                && made
                    .indexes
                    .iter()
                    .all(|index| plain.get(&index.to_ascii_lowercase()) == Some(&true));
        }
        Ok(())
    }
}

/// What SQLite has against a statement, at the place that it names.
pub(super) fn explained(
    projection: &Projection,
    statement: &Statement,
    error: &rusqlite::Error,
) -> Box<ProjectionError> {
    let (message, offset) = match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => (msg.clone(), usize::try_from(*offset).ok()),
        rusqlite::Error::SqliteFailure(_, Some(message)) => (message.clone(), None),
        rusqlite::Error::MultipleStatement => ("one statement is expected here".to_owned(), None),
        other => (other.to_string(), None),
    };
    // SQLite names a table that is missing without saying where it stands.
    let offset = offset.or_else(|| {
        let (_, name) = message.split_once(": ")?;
        let word = words(&statement.sql).into_iter().find(|word| word.is(name))?;
        Some(word.span.start)
    });
    projection.error_in(statement, offset, message, "here")
}

fn meta_name(meta: Meta) -> &'static str {
    match meta {
        Meta::Topic => "@topic",
        Meta::Partition => "@partition",
        Meta::Offset => "@offset",
        Meta::Timestamp => "@timestamp",
        Meta::Key => "@key",
        Meta::Value => "@value",
        Meta::Headers => "@headers",
    }
}

/// A column as SQLite describes it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    /// Its place in the primary key, from 1; 0 where it has none.
    pub(super) key: i64,
}

/// The columns of a table in their order, generated ones included. A full-text index has its rowid before them, as its key.
pub(super) fn columns(connection: &Connection, schema: &str, table: &str) -> rusqlite::Result<Vec<Column>> {
    let key = Column {
        name: fulltext::ROWID.to_owned(),
        declared: "INTEGER".to_owned(),
        not_null: true,
        default: None,
        key: 1,
    };
    let mut all = Vec::from_iter(fulltext::is_index(connection, schema, table)?.then_some(key));
    let mut list = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let columns = list.query_map([table, schema], |row| {
        Ok(Column {
            name: row.get(0)?,
            declared: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
        })
    })?;
    for column in columns {
        all.push(column?);
    }
    Ok(all)
}

/// Whether an index only speeds up reading: not unique, of plain columns, of a table without foreign keys, every row in it.
fn is_plain_index(connection: &Connection, index: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT l.\"unique\" AND NOT l.partial
            AND NOT EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) x WHERE x.cid = -2)
            AND NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(s.tbl_name))
         FROM sqlite_schema s JOIN pragma_index_list(s.tbl_name) l ON l.name = s.name
         WHERE s.type = 'index' AND s.name = ?",
        [index],
        |row| row.get(0),
    )
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;

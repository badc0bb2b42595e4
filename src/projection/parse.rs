//! From the text of a `.sql` file to a [`Projection`].

mod alert;
mod emit;
mod given;
mod invariant;
mod top;
mod upcast;

use std::ops::Range;
use std::sync::Arc;

use crate::decode::fields::FieldPath;

use super::error::ProjectionError;
use super::header::{HEADERS, Header, Item, items, nearest};
use super::token::{Token, tokens};
use super::{
    Alert, Binding, Emit, Handler, Invariant, On, Projection, Statement, Test, TypeSchema, Upcast, check, hash, name,
    statement,
};

type Result<T> = std::result::Result<T, Box<ProjectionError>>;

/// The longest way to a field, in names; the decoder's stack is as deep as this.
const DEEPEST: usize = 64;

/// Parses and checks a projection file. `file` is its name for messages.
///
/// What only a database can tell (that the SQL is right, that tables have a primary key) is checked when the projection is
/// compiled in [`crate::readmodel`], and reported through [`Projection::error_in`].
pub fn parse(source: &str, file: &str) -> Result<Projection> {
    let mut parser = Parser {
        source,
        file,
        name: None,
        topics: Vec::new(),
        type_path: None,
        version: None,
        history: None,
        schemas: Vec::new(),
        section: Section::Tables,
        schema: Vec::new(),
        handlers: Vec::new(),
        upcasts: Vec::new(),
        invariants: Vec::new(),
        emits: Vec::new(),
        alerts: Vec::new(),
        tests: Vec::new(),
        asking: None,
        // Slot 0 is the type's; its path is known when the headers are read.
        fields: vec![FieldPath(Vec::new())],
        hash: hash::Hasher::default(),
    };
    let tokens = tokens(source).map_err(|bad| {
        let error = parser.error(bad.span, bad.message, "here");
        match bad.help {
            Some(help) => error.with_help(help),
            None => error,
        }
    })?;
    let items = items(source, &tokens).map_err(|wrong| {
        let error = parser.error(wrong.span, wrong.message, "this one");
        match wrong.also {
            Some((span, label)) => error.also(span, label),
            None => error,
        }
    })?;
    parser.file_headers(&items)?;
    for item in &items {
        match item {
            Item::Header(header) => parser.header(header)?,
            Item::Row(row) => parser.row(row)?,
            Item::Statement(tokens) => parser.statement(tokens)?,
        }
    }
    parser.finish()
}

/// Reads a path as headers write it: `$.a.b`, `$.a[0].b`, `$."a b"`; `$` is the value itself.
pub fn parse_path(text: &str) -> Option<FieldPath> {
    name::parse_path(text)
}

/// Refuses two projections of the same name among files that are used together.
pub fn check_together(projections: &[Projection]) -> Result<()> {
    for (at, projection) in projections.iter().enumerate() {
        let earlier = projections.iter().take(at);
        if let Some(first) = earlier
            .into_iter()
            .find(|p| p.name.eq_ignore_ascii_case(&projection.name))
        {
            let message = format!("two files define the projection `{}`", projection.name);
            return Err(projection
                .error_at(projection.name_span.clone(), message, "the same name again")
                .with_help(format!("the first is {}; give one of them another name", first.file)));
        }
    }
    Ok(())
}

/// What a statement belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Tables,
    Handler,
    /// A clause that is one SELECT, by what it is called.
    Select(&'static str),
    Tests,
}

/// A clause that asks for its SELECT.
enum Asking {
    Expect(Range<usize>),
    Upcast(upcast::Head),
    Invariant(invariant::Head),
    Emit(emit::Head),
    Alert(alert::Head),
}

struct Parser<'a> {
    source: &'a str,
    file: &'a str,
    name: Option<(String, Range<usize>)>,
    topics: Vec<(String, Range<usize>)>,
    type_path: Option<Range<usize>>,
    version: Option<(usize, Range<usize>)>,
    history: Option<(bool, Range<usize>)>,
    schemas: Vec<TypeSchema>,
    section: Section,
    schema: Vec<Statement>,
    handlers: Vec<Handler>,
    upcasts: Vec<Upcast>,
    invariants: Vec<Invariant>,
    emits: Vec<Emit>,
    alerts: Vec<Alert>,
    tests: Vec<Test>,
    /// A clause whose SELECT has not come yet.
    asking: Option<Asking>,
    fields: Vec<FieldPath>,
    hash: hash::Hasher,
}

impl Parser<'_> {
    fn error(&self, span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Box<ProjectionError> {
        ProjectionError::at(self.source, self.file, span, message, label)
    }

    fn line(&self, at: usize) -> usize {
        self.source.bytes().take(at).filter(|b| *b == b'\n').count() + 1
    }

    fn header(&mut self, header: &Header) -> Result<()> {
        let word = header.word.as_str();
        self.check_asked()?;
        match word {
            "test" => return self.test(header),
            "given" | "given envelope" => return self.given(header),
            "expect" => return self.expect(header),
            "expect poison" => return self.expect_poison(header),
            "expect broken" => return self.expect_broken(header),
            _ if HEADERS.contains(&word) => self.check_before_tests(&header.span)?,
            _ => {}
        }
        match word {
            "on" => return self.on(header),
            "upcast" => return self.upcast(header),
            "invariant" => return self.invariant(header),
            "emit" => return self.emit(header),
            "alert" => return self.alert(header),
            "projection" | "topic" | "type" | "version" | "history" | "schema" if self.section == Section::Tables => {
                return Ok(());
            }
            "projection" | "topic" | "type" | "version" | "history" | "schema" => {
                let label = match self.section {
                    Section::Select(clause) => format!("below {clause}"),
                    _ => "below a handler".to_owned(),
                };
                return Err(self
                    .error(header.span.clone(), format!("`-- {word}:` stands too late"), label)
                    .with_help("it is about the whole file: move it to the top; a note that looks like it is written `/* … */`"));
            }
            _ => {}
        }
        let help = match nearest(word, HEADERS.iter().copied()) {
            Some(meant) if meant == word.to_ascii_lowercase() => format!("headers are in lower case: `-- {meant}:`"),
            Some(meant) => format!("did you mean `-- {meant}:`? A note that looks like a header is written `/* … */`"),
            None => {
                let list: Vec<String> = HEADERS.iter().map(|known| format!("`-- {known}:`")).collect();
                format!(
                    "there are {}; a note that looks like a header is written `/* … */`",
                    list.join(", ")
                )
            }
        };
        Err(self
            .error(header.span.clone(), format!("`-- {word}:` is no header"), "unknown")
            .with_help(help))
    }

    fn on(&mut self, header: &Header) -> Result<()> {
        self.check_last_handler()?;
        let on = match header.value.as_str() {
            "" => {
                return Err(self
                    .error(header.value_span.clone(), "this handler is for no type", "the type is missing")
                    .with_help("write the type of its events: `-- on: Deposited`; `*` is every other type, `tombstone` a null value"));
            }
            "*" => On::Other,
            "tombstone" => On::Tombstone,
            quoted if quoted.starts_with('"') => {
                On::Type(serde_json::from_str(quoted).map_err(|_| self.badly_quoted(header))?)
            }
            plain => On::Type(plain.to_owned()),
        };
        self.hash.handler(&on);
        self.section = Section::Handler;
        self.handlers.push(Handler {
            on,
            line: self.line(header.span.start),
            span: header.span.start..header.value_span.end,
            statements: Vec::new(),
        });
        Ok(())
    }

    fn badly_quoted(&self, header: &Header) -> Box<ProjectionError> {
        self.error(
            header.value_span.clone(),
            "this quoted type is not a JSON string",
            "the type",
        )
        .with_help("write it without quotes, or close them: `-- on: \"tombstone\"` is the type of that name")
    }

    fn check_last_handler(&self) -> Result<()> {
        match self.handlers.last() {
            Some(handler) if handler.statements.is_empty() => Err(self
                .error(handler.span.clone(), "this handler does nothing", "no statement below it")
                .with_help("write its INSERT, UPDATE, DELETE or REPLACE below it, or take it out: an event of a type without a \
                       handler is counted as ignored")),
            _ => Ok(()),
        }
    }

    fn statement(&mut self, tokens: &[Token]) -> Result<()> {
        match (self.asking.take(), self.section) {
            (Some(Asking::Expect(_)), _) => return self.asked(tokens),
            (Some(Asking::Upcast(head)), _) => return self.upcast_select(head, tokens),
            (Some(Asking::Invariant(head)), _) => return self.invariant_select(head, tokens),
            (Some(Asking::Emit(head)), _) => return self.emit_select(head, tokens),
            (Some(Asking::Alert(head)), _) => return self.alert_select(head, tokens),
            (None, Section::Tests) => return Err(self.stray(tokens)),
            (None, Section::Select(clause)) => {
                let span = tokens.first().map_or(0..0, |token| token.span.clone());
                return Err(self
                    .error(span, format!("{clause} is one SELECT"), "a second statement")
                    .with_help("what it asks for stands in one SELECT; handlers stand below `-- on:`"));
            }
            (None, Section::Handler) => statement::check_handler(self.source, tokens),
            (None, Section::Tables) => statement::check_schema(self.source, tokens),
        }
        .map_err(|refusal| self.refused(refusal))?;
        let statement = self.bound(tokens)?;
        match self.handlers.last_mut() {
            Some(handler) if self.section == Section::Handler => handler.statements.push(statement),
            _ => self.schema.push(statement),
        }
        Ok(())
    }

    /// A statement that decides what the read model holds.
    fn bound(&mut self, tokens: &[Token]) -> Result<Statement> {
        let statement = self.binding(tokens)?;
        self.hash.statement(self.source, tokens);
        Ok(statement)
    }

    /// A statement that the same event always does the same with, and what it binds.
    fn binding(&mut self, tokens: &[Token]) -> Result<Statement> {
        check::determinism(self.source, tokens)
            .map_err(|found| self.error(found.span, found.message, found.label).with_help(found.help))?;
        let mut bindings = Vec::new();
        for (name, span) in statement::parameters(self.source, tokens) {
            if self.section == Section::Tables {
                return Err(self
                    .error(
                        span,
                        "a table is made before any event",
                        format!("`{name}` binds nothing here"),
                    )
                    .with_help("parameters belong into the handlers, below `-- on:`"));
            }
            let binding = statement::binding(name, span.clone(), &mut self.fields);
            bindings.push(binding.map_err(|refusal| self.refused(refusal))?);
            if self.fields.last().is_some_and(|path| path.0.len() > DEEPEST) {
                return Err(self.error(span, format!("a field lies at most {DEEPEST} names deep"), "too deep"));
            }
        }
        Ok(self.made(tokens, bindings))
    }

    /// A clause that is one SELECT has it before the next begins.
    fn check_asked(&self) -> Result<()> {
        let (span, message, help) = match &self.asking {
            None => return Ok(()),
            Some(Asking::Expect(span)) => (
                span,
                "this expect asks nothing",
                "write what it asks: `-- expect: SELECT balance FROM account WHERE id = 'a'`",
            ),
            Some(Asking::Upcast(head)) => (
                &head.span,
                "this upcast does nothing",
                "write a SELECT of the new value below it: `SELECT json_set(@value, '$.v', 2, '$.currency', 'EUR')`",
            ),
            Some(Asking::Invariant(head)) => (
                &head.span,
                "this invariant checks nothing",
                "write a SELECT of what must not be below it: `SELECT id, balance FROM account WHERE balance < 0`",
            ),
            Some(Asking::Alert(head)) => (
                &head.span,
                "this alert finds nothing",
                "write a SELECT below it, of a row for each thing to be told of: `SELECT id, balance FROM account WHERE id = :id \
                 AND balance < 0`",
            ),
            Some(Asking::Emit(head)) => (
                &head.span,
                "this emit publishes nothing",
                "write a SELECT of the records below it: `SELECT id AS key, json_object('balance', balance) AS value FROM account \
                 WHERE id = :accountId`",
            ),
        };
        Err(self
            .error(span.clone(), message, "no SELECT here or below")
            .with_help(help))
    }

    fn made(&self, tokens: &[Token], bindings: Vec<Binding>) -> Statement {
        let start = tokens.first().map_or(0, |t| t.span.start);
        let end = tokens.last().map_or(0, |t| t.span.end);
        Statement {
            sql: self.source.get(start..end).unwrap_or_default().to_owned(),
            span: start..end,
            line: self.line(start),
            bindings,
        }
    }

    fn refused(&self, refusal: statement::Refusal) -> Box<ProjectionError> {
        self.error(refusal.span, refusal.message, refusal.label)
            .with_help(refusal.help)
    }

    fn finish(self) -> Result<Projection> {
        self.check_last_handler()?;
        self.check_asked()?;
        self.check_last_test()?;
        let top = 0..self.source.find('\n').unwrap_or(self.source.len());
        let Some((name, name_span)) = self.name.clone() else {
            return Err(self
                .error(top, "the projection has no name", "the file begins here")
                .with_help("begin the file with `-- projection: NAME`"));
        };
        if self.topics.is_empty() {
            return Err(self
                .error(name_span, "the projection reads no topic", "this projection")
                .with_help("name what it folds below its name: `-- topic: account-events`"));
        }
        let typed = self.handlers.iter().find(|handler| matches!(handler.on, On::Type(_)));
        let typed = typed
            .map(|handler| &handler.span)
            .or(self.upcasts.first().map(|upcast| &upcast.span))
            .or(self.schemas.first().map(|schema| &schema.span));
        if let (None, Some(span)) = (&self.type_path, typed) {
            return Err(self
                .error(
                    name_span,
                    "the projection does not say where an event's type stands",
                    "this projection",
                )
                .also(span.clone(), "for events of this type")
                .with_help("write the way to it at the top: `-- type: $.type`"));
        }
        if self.handlers.is_empty() {
            return Err(self
                .error(name_span, "the projection has no handler", "this projection")
                .with_help("write what an event does to the tables: `-- on: TYPE` and an INSERT, UPDATE, DELETE or REPLACE below it"));
        }
        self.check_emits()?;
        self.check_schemas()?;
        let mut topics: Vec<String> = self.topics.into_iter().map(|(topic, _)| topic).collect();
        let type_path = self.fields.first().cloned().unwrap_or(FieldPath(Vec::new()));
        topics.sort();
        let version = self.version.map(|(slot, _)| slot);
        let version_path = version.and_then(|slot| self.fields.get(slot));
        Ok(Projection {
            hash: self.hash.finish(&name, &topics, &type_path, version_path),
            name,
            name_span,
            topics,
            type_path,
            version,
            history: self.history.is_some_and(|(on, _)| on),
            schemas: self.schemas,
            schema: self.schema,
            upcasts: self.upcasts,
            invariants: self.invariants,
            emits: self.emits,
            alerts: self.alerts,
            handlers: self.handlers,
            tests: self.tests,
            fields: self.fields,
            source: Arc::from(self.source),
            file: self.file.to_owned(),
        })
    }
}

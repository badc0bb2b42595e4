//! From the text of a `.sql` file to a [`Projection`].

mod given;

use std::ops::Range;
use std::sync::Arc;

use crate::decode::fields::FieldPath;

use super::error::ProjectionError;
use super::header::{HEADERS, Header, Item, LATER, items, nearest};
use super::token::{Token, tokens};
use super::{Binding, Handler, On, Projection, Statement, Test, check, hash, name, statement};

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
        schema: Vec::new(),
        handlers: Vec::new(),
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

struct Parser<'a> {
    source: &'a str,
    file: &'a str,
    name: Option<(String, Range<usize>)>,
    topics: Vec<(String, Range<usize>)>,
    type_path: Option<Range<usize>>,
    schema: Vec<Statement>,
    handlers: Vec<Handler>,
    tests: Vec<Test>,
    /// An `-- expect:` whose SELECT stands below it.
    asking: Option<Range<usize>>,
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

    /// The headers about the file as a whole, which the statements below may need.
    fn file_headers(&mut self, items: &[Item]) -> Result<()> {
        for item in items {
            let header = match item {
                Item::Header(header) => header,
                Item::Statement(tokens) if self.name.is_none() => {
                    let span = tokens.first().map_or(0..0, |t| t.span.clone());
                    return Err(self
                        .error(span, "a statement stands before the projection's name", "whose is it?")
                        .with_help(
                            "begin the file with `-- projection: NAME`, `-- topic: TOPIC` and `-- type: $.type`",
                        ));
                }
                Item::Statement(_) | Item::Row(_) => continue,
            };
            match header.word.as_str() {
                "projection" => self.projection(header)?,
                "topic" => self.topic(header)?,
                "type" => self.type_path(header)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn projection(&mut self, header: &Header) -> Result<()> {
        if let Some((_, first)) = &self.name {
            return Err(self
                .error(header.span.clone(), "the file has two names", "again")
                .also(first.clone(), "the first")
                .with_help("one file is one projection: move the second into a file of its own"));
        }
        name::check_projection(&header.value).map_err(|(message, help)| {
            self.error(header.value_span.clone(), message, "the name")
                .with_help(help)
        })?;
        self.name = Some((header.value.clone(), header.value_span.clone()));
        Ok(())
    }

    fn topic(&mut self, header: &Header) -> Result<()> {
        let mut at = header.value_span.start;
        for part in header.value.split(',') {
            let topic = part.trim();
            let start = at + (part.len() - part.trim_start().len());
            let span = if topic.is_empty() {
                header.value_span.clone()
            } else {
                start..start + topic.len()
            };
            name::check_topic(topic)
                .map_err(|(message, help)| self.error(span.clone(), message, "the topic").with_help(help))?;
            if let Some((_, first)) = self.topics.iter().find(|(known, _)| known == topic) {
                return Err(self
                    .error(span, format!("the topic `{topic}` is named twice"), "again")
                    .also(first.clone(), "the first"));
            }
            self.topics.push((topic.to_owned(), span));
            at += part.len() + 1;
        }
        Ok(())
    }

    fn type_path(&mut self, header: &Header) -> Result<()> {
        if let Some(first) = &self.type_path {
            return Err(self
                .error(
                    header.span.clone(),
                    "the file says twice where the type stands",
                    "again",
                )
                .also(first.clone(), "the first"));
        }
        let path = name::parse_path(&header.value).filter(|path| path.0.len() <= DEEPEST).ok_or_else(|| {
            self.error(header.value_span.clone(), "this is not a path", "where the type stands")
                .with_help("write the way from the value to its type: `-- type: $.type`, `$.meta.kind` or `$.events[0].type`")
        })?;
        if let Some(first) = self.fields.first_mut() {
            *first = path;
        }
        self.type_path = Some(header.value_span.clone());
        Ok(())
    }

    fn header(&mut self, header: &Header) -> Result<()> {
        let word = header.word.as_str();
        self.check_asked()?;
        match word {
            "test" => return self.test(header),
            "given" | "given envelope" => return self.given(header),
            "expect" => return self.expect(header),
            "expect poison" => return self.expect_poison(header),
            _ if HEADERS.contains(&word) => self.check_before_tests(&header.span)?,
            _ => {}
        }
        match word {
            "on" => return self.on(header),
            "projection" | "topic" | "type" if self.handlers.is_empty() => return Ok(()),
            "projection" | "topic" | "type" => {
                return Err(self
                    .error(header.span.clone(), format!("`-- {word}:` stands too late"), "below a handler")
                    .with_help("it is about the whole file: move it to the top; a note that looks like it is written `/* … */`"));
            }
            _ => {}
        }
        let lower = word.to_ascii_lowercase();
        if let Some((_, purpose)) = LATER.iter().find(|(later, _)| *later == lower) {
            return Err(self
                .error(
                    header.span.clone(),
                    format!("this version does not run `-- {lower}:` yet"),
                    "not yet",
                )
                .with_help(format!(
                    "a later version will {purpose}; until then take this clause out of the file"
                )));
        }
        let known = HEADERS.iter().copied();
        let help = match nearest(word, known.chain(LATER.iter().map(|(later, _)| *later))) {
            Some(meant) if meant == lower => format!("headers are in lower case: `-- {meant}:`"),
            Some(meant) => format!("did you mean `-- {meant}:`? A note that looks like a header is written `/* … */`"),
            None => {
                "there are `-- projection:`, `-- topic:`, `-- type:` and `-- on:`; a note that looks like a header is \
                     written `/* … */`"
                    .to_owned()
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
            quoted if quoted.starts_with('"') => On::Type(serde_json::from_str(quoted).map_err(|_| {
                self.error(
                    header.value_span.clone(),
                    "this quoted type is not a JSON string",
                    "the type",
                )
                .with_help("write it without quotes, or close them: `-- on: \"tombstone\"` is the type of that name")
            })?),
            plain => On::Type(plain.to_owned()),
        };
        self.hash.handler(&on);
        self.handlers.push(Handler {
            on,
            line: self.line(header.span.start),
            span: header.span.start..header.value_span.end,
            statements: Vec::new(),
        });
        Ok(())
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
        if !self.tests.is_empty() {
            return self.asked(tokens);
        }
        let in_handler = !self.handlers.is_empty();
        let checked = if in_handler {
            statement::check_handler(self.source, tokens)
        } else {
            statement::check_schema(self.source, tokens)
        };
        checked.map_err(|refusal| self.refused(refusal))?;
        check::determinism(self.source, tokens)
            .map_err(|found| self.error(found.span, found.message, found.label).with_help(found.help))?;
        let mut bindings = Vec::new();
        for (name, span) in statement::parameters(self.source, tokens) {
            if !in_handler {
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
        self.hash.statement(self.source, tokens);
        let statement = self.made(tokens, bindings);
        match self.handlers.last_mut() {
            Some(handler) => handler.statements.push(statement),
            None => self.schema.push(statement),
        }
        Ok(())
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
        if let (None, Some(handler)) = (&self.type_path, typed) {
            return Err(self
                .error(
                    name_span,
                    "the projection does not say where an event's type stands",
                    "this projection",
                )
                .also(handler.span.clone(), "for events of this type")
                .with_help("write the way to it at the top: `-- type: $.type`"));
        }
        if self.handlers.is_empty() {
            return Err(self
                .error(name_span, "the projection has no handler", "this projection")
                .with_help("write what an event does to the tables: `-- on: TYPE` and an INSERT, UPDATE, DELETE or REPLACE below it"));
        }
        let mut topics: Vec<String> = self.topics.into_iter().map(|(topic, _)| topic).collect();
        let type_path = self.fields.first().cloned().unwrap_or(FieldPath(Vec::new()));
        topics.sort();
        Ok(Projection {
            hash: self.hash.finish(&name, &topics, &type_path),
            name,
            name_span,
            topics,
            type_path,
            schema: self.schema,
            handlers: self.handlers,
            tests: self.tests,
            fields: self.fields,
            source: Arc::from(self.source),
            file: self.file.to_owned(),
        })
    }
}

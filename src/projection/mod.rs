//! A projection: one `.sql` file that says which topic it folds, into which tables, and what each type of event does to them.
//!
//! This folder reads the text; it knows nothing of SQLite, files or Kafka. What only the database can check (that statements
//! compile against the tables, primary keys) is checked in [`crate::readmodel`] when the definition is compiled.

mod check;
pub mod circle;
pub mod dialect;
pub mod error;
mod hash;
mod header;
mod name;
pub mod parse;
mod schema;
mod statement;
mod token;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::decode::fields::FieldPath;

/// A projection as its file defines it.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Its name: the schema under which its tables are queried.
    pub name: String,
    /// Where its name stands in the source, in bytes.
    pub name_span: Range<usize>,
    /// The topics that it folds, sorted.
    pub topics: Vec<String>,
    /// Where in an event's value its type stands. The value itself where the file does not say, which it must as soon as a
    /// handler is for a type.
    pub type_path: FieldPath,
    /// The slot of [`Projection::fields`] where an event's version stands, where the file says so.
    pub version: Option<usize>,
    /// The statements before the first handler: tables and indexes.
    pub schema: Vec<Statement>,
    /// The JSON Schemas that events are held against, in file order.
    pub schemas: Vec<TypeSchema>,
    /// What is done to old events before a handler sees them.
    pub upcasts: Vec<Upcast>,
    /// The handlers in file order.
    pub handlers: Vec<Handler>,
    /// What must be true after every event, in file order.
    pub invariants: Vec<Invariant>,
    /// What is published after an event that is followed live, in file order; no part of the hash, because it decides no row.
    pub emits: Vec<Emit>,
    /// Whether what each event does is kept; no part of the hash, because the rows are the same.
    pub history: bool,
    /// What is told of while it is so, in file order.
    pub alerts: Vec<Alert>,
    /// The projection's own tests in file order; no part of the hash.
    pub tests: Vec<Test>,
    /// Every field that any handler binds; slot numbers in [`Binding::Field`] point here. The type is slot 0.
    pub fields: Vec<FieldPath>,
    /// The text it was parsed from.
    pub source: Arc<str>,
    /// What the file was called, for messages.
    pub file: String,
    /// SHA-256 over the tokens and headers: of everything in the file that decides what the read model holds, as hex; comments and spacing do not count.
    pub hash: String,
}

/// What a handler is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Events of this type.
    Type(String),
    /// Events of a type that has no handler of its own.
    Other,
    /// Records with a null value.
    Tombstone,
}

/// The JSON Schema of the events of one type.
#[derive(Debug, Clone)]
pub struct TypeSchema {
    /// The type.
    pub event: String,
    /// The schema's file, as it is written: beside the projection's.
    pub file: String,
    /// The line of its `-- schema:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// What the file says; `None` before [`Projection::read_schemas`].
    pub text: Option<Arc<str>>,
}

/// A SELECT that gives the value of an old event as it would be written today.
#[derive(Debug, Clone)]
pub struct Upcast {
    /// The type of the events it is for.
    pub event: String,
    /// Their version, without a `v` before it. `None` where the file says nowhere how versions are told apart: any; where it
    /// does: events without one.
    pub version: Option<String>,
    /// The line of its `-- upcast:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Returns one row with one column: the new value as JSON text.
    pub select: Statement,
}

impl fmt::Display for On {
    /// As the file writes it: the type, `*` or `tombstone`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type(event) => event,
            Self::Other => "*",
            Self::Tombstone => "tombstone",
        })
    }
}

/// A SELECT that must return no row after any event.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// What it is called.
    pub name: String,
    /// The line of its `-- invariant:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Binds the event whose handlers ran.
    pub select: Statement,
}

/// A SELECT whose rows are published after the handlers of an event.
#[derive(Debug, Clone)]
pub struct Emit {
    /// The topic that they are published to.
    pub topic: String,
    /// Which events it follows: those of these types, or tombstones. Empty for every event that is applied.
    pub on: Vec<On>,
    /// The line of its `-- emit:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Binds the event whose handlers ran.
    pub select: Statement,
}

/// A SELECT that raises an alert for each row that it returns, until it no longer does.
#[derive(Debug, Clone)]
pub struct Alert {
    /// What it is called.
    pub name: String,
    /// The line of its `-- alert:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Its first column tells one alert of this name from another. One that binds an event is asked after each that was applied,
    /// and is about what it binds; one that binds nothing is asked for all of them before a commit.
    pub select: Statement,
}

/// The statements to run for an event.
#[derive(Debug, Clone)]
pub struct Handler {
    /// What it is for.
    pub on: On,
    /// The line of its `-- on:` header, from 1.
    pub line: usize,
    /// Where its header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Run in this order; never empty.
    pub statements: Vec<Statement>,
}

/// One SQL statement of the file.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its text as written, without the semicolon.
    pub sql: String,
    /// Where it stands in the source, in bytes.
    pub span: Range<usize>,
    /// The line it begins on, from 1.
    pub line: usize,
    /// Its parameters in the order of SQLite's parameter numbers: `bindings[0]` is parameter 1.
    pub bindings: Vec<Binding>,
}

impl Statement {
    /// The statement with each parameter as `?N`, N being its number from 1: what a parser knows that does not know `$a::b`.
    pub fn numbered(&self) -> String {
        statement::numbered(&self.sql)
    }
}

/// A test of the projection: events, and what is then to be found.
#[derive(Debug, Clone)]
pub struct Test {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// The line that it begins on, from 1.
    pub line: usize,
    /// Where its first header stands in the source, in bytes.
    pub span: Range<usize>,
    /// Done in this order, beginning with empty tables.
    pub steps: Vec<Step>,
}

/// A part of a test.
#[derive(Debug, Clone)]
pub enum Step {
    /// An event to apply.
    Given(Given),
    /// A question to ask.
    Expect(Expect),
    /// The invariant of this name is broken by now.
    Broken {
        /// The invariant.
        name: String,
        /// The line that says so, from 1.
        line: usize,
    },
}

/// An event of a test.
#[derive(Debug, Clone)]
pub struct Given {
    /// The value, or the whole record where it is an envelope: one JSON value.
    pub json: String,
    /// Whether it is a record with its key, time and headers.
    pub envelope: bool,
    /// Where the JSON stands in the source, in bytes.
    pub span: Range<usize>,
    /// The line it stands on, from 1.
    pub line: usize,
    /// Where the event must be poison: what its reason must contain.
    pub poison: Option<String>,
}

/// A SELECT of a test, with what it must return.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The SELECT; it binds nothing.
    pub select: Statement,
    /// Whether it says in which order its rows come.
    pub ordered: bool,
    /// The rows it must return; `None` where the test names none: at least one then, and what it says must be true.
    pub rows: Option<Vec<Row>>,
}

/// A row that a test expects.
#[derive(Debug, Clone)]
pub struct Row {
    /// A value for each column.
    pub cells: Vec<serde_json::Value>,
    /// Where it stands in the source, in bytes.
    pub span: Range<usize>,
}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// A slot of [`Projection::fields`].
    Field(usize),
    /// The record itself.
    Meta(Meta),
}

/// What `@name` binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The offset.
    Offset,
    /// Milliseconds since 1970, or NULL.
    Timestamp,
    /// The key as text, or as a blob where it is not UTF-8.
    Key,
    /// The value as text, or as a blob where it is not UTF-8.
    Value,
    /// The headers as a JSON array of `[key, value]`.
    Headers,
}

/// The known word nearest to a misspelt one, where one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    header::nearest(word, known)
}

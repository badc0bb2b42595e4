//! A projection: one `.sql` file that says which topic it folds, into which tables, and what each type of event does to them.
//!
//! This folder reads the text; it knows nothing of SQLite, files or Kafka. What only the database can check (that statements
//! compile against the tables, primary keys) is checked in [`crate::readmodel`] when the definition is compiled.

mod check;
pub mod error;
mod hash;
mod header;
mod name;
pub mod parse;
mod statement;
mod token;

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
    /// The statements before the first handler: tables and indexes.
    pub schema: Vec<Statement>,
    /// The handlers in file order.
    pub handlers: Vec<Handler>,
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

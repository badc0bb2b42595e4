//! A projection's statements as PostgreSQL writes them. The text stays what it is but for what the two name otherwise: parameters,
//! quotes, and columns that SQLite finds in the row that is there and PostgreSQL calls ambiguous. What else PostgreSQL does not
//! take it says itself, when the statement is prepared.

mod handler;
mod help;
mod table;
#[cfg(test)]
mod tests;

use super::token::{Kind, Token, tokens};
use super::{Projection, Statement, error::ProjectionError};

pub use help::{HELP_TYPES, help};

/// A table as it is made there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its columns with their types there.
    pub columns: Vec<(String, &'static str)>,
    /// The names of its primary key.
    pub key: Vec<String>,
}

/// A statement for PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its text.
    pub sql: String,
    /// Which binding of the statement each of `$1`, `$2`… has; each place has a number of its own, so that each has its own type.
    pub parameters: Vec<usize>,
    /// Where pieces begin: in the text, and in the statement that it was made of.
    marks: Vec<(usize, usize)>,
}

impl Rendered {
    /// The byte of the original statement of what stands at the character `position` of the text, counted from 1.
    pub fn place(&self, position: usize) -> usize {
        let byte = self.sql.char_indices().nth(position.saturating_sub(1));
        let byte = byte.map_or(self.sql.len(), |(byte, _)| byte);
        let mark = self.marks.iter().rev().find(|(begins, _)| *begins <= byte);
        mark.map_or(0, |(begins, of)| of + (byte - begins))
    }
}

/// A statement of the tables, for PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A table, or an index that keeps rows apart: it decides rows.
    Table(Rendered),
    /// An index or a view: no row is another without it.
    Aid(Rendered),
}

impl Projection {
    /// A handler's statement for PostgreSQL.
    pub fn to_postgres(&self, statement: &Statement, shapes: &[Shape]) -> Rendered {
        handler::render(&statement.sql, shapes, only_keyed(&self.schema))
    }

    /// A statement that makes a table, index or view, for PostgreSQL. Says what of it would not be the same there.
    pub fn schema_to_postgres(&self, statement: &Statement, shapes: &[Shape]) -> Result<Made, Box<ProjectionError>> {
        table::render(&statement.sql, shapes).map_err(|refused| {
            self.error_in(statement, Some(refused.at), refused.message, "not in PostgreSQL")
                .with_help(refused.help)
        })
    }
}

/// Whether no table has anything that keeps rows apart besides its primary key.
fn only_keyed(schema: &[Statement]) -> bool {
    let unique = |statement: &Statement| {
        let tokens = tokens(&statement.sql).unwrap_or_default();
        tokens.iter().any(|token| token.is(&statement.sql, "UNIQUE"))
    };
    !schema.iter().any(unique)
}

/// A name as SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a token of a name says.
fn name_of(token: &Token, source: &str) -> Option<String> {
    let text = token.text(source);
    match token.kind {
        Kind::Word => Some(text.to_owned()),
        Kind::Quoted => {
            let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
            Some(match text.as_bytes().first() {
                Some(b'"') => inner.replace("\"\"", "\""),
                Some(b'`') => inner.replace("``", "`"),
                _ => inner.to_owned(),
            })
        }
        _ => None,
    }
}

/// Words that name a column in SQLite as they stand, and in PostgreSQL only in quotes.
const RESERVED: &[&str] = &[
    "analyse",
    "analyze",
    "any",
    "array",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "column",
    "concurrently",
    "fetch",
    "freeze",
    "grant",
    "ilike",
    "initially",
    "lateral",
    "leading",
    "localtime",
    "localtimestamp",
    "offset",
    "only",
    "overlaps",
    "placing",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "tablesample",
    "trailing",
    "user",
    "variadic",
    "verbose",
    "window",
];

/// Writes a statement anew, token by token.
struct Writer<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    names: Vec<&'s str>,
    out: String,
    marks: Vec<(usize, usize)>,
    parameters: Vec<usize>,
    /// Parameters by name, in the order of the statement's bindings.
    known: Vec<&'s str>,
    /// Up to where the source is written.
    from: usize,
}

impl<'s> Writer<'s> {
    fn new(source: &'s str, shapes: &'s [Shape]) -> Self {
        let mut tokens = tokens(source).unwrap_or_default();
        tokens.retain(|token| !matches!(token.kind, Kind::LineComment | Kind::BlockComment));
        let known = super::statement::parameters(source, &tokens);
        let columns = |shape: &'s Shape| shape.columns.iter().map(|(name, _)| name.as_str());
        Self {
            source,
            names: shapes
                .iter()
                .flat_map(|shape| std::iter::once(shape.name.as_str()).chain(columns(shape)))
                .collect(),
            out: String::new(),
            marks: Vec::new(),
            parameters: Vec::new(),
            known: known.into_iter().map(|(name, _)| name).collect(),
            from: 0,
            tokens,
        }
    }

    fn finish(self) -> Rendered {
        Rendered {
            sql: self.out,
            parameters: self.parameters,
            marks: self.marks,
        }
    }

    fn is(&self, at: usize, keyword: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(self.source, keyword))
    }

    fn text(&self, at: usize) -> &'s str {
        self.tokens.get(at).map_or("", |token| token.text(self.source))
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// What stands between two tokens, which is white space, comments left out.
    fn gap(&mut self, to: usize) {
        let gap = self.source.get(self.from..to).unwrap_or_default();
        if gap.contains('\n') {
            self.out.push('\n');
        } else if !gap.is_empty() {
            self.out.push(' ');
        }
    }

    /// Writes something in place of a token.
    fn put(&mut self, at: usize, text: &str) {
        let Some(token) = self.tokens.get(at) else { return };
        let span = token.span.clone();
        self.gap(span.start);
        self.marks.push((self.out.len(), span.start));
        self.out.push_str(text);
        self.from = span.end;
    }

    /// Leaves a token out.
    fn skip(&mut self, at: usize) {
        if let Some(token) = self.tokens.get(at) {
            self.from = token.span.end;
        }
    }

    /// Writes a token as PostgreSQL has it.
    fn token(&mut self, at: usize) {
        let text = self.text(at);
        match self.kind(at) {
            Some(Kind::Parameter) => {
                let binding = self.known.iter().position(|known| *known == text).unwrap_or(0);
                self.parameters.push(binding);
                // `LIMIT:n` would be one name otherwise.
                let touches = self.tokens.get(at).is_some_and(|token| token.span.start == self.from);
                let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let space = if touches && self.out.ends_with(in_name) {
                    " "
                } else {
                    ""
                };
                let number = format!("{space}${}", self.parameters.len());
                self.put(at, &number);
            }
            Some(Kind::Blob) => {
                let digits = text.get(2..text.len().saturating_sub(1)).unwrap_or_default();
                self.put(at, &format!("'\\x{digits}'::bytea"));
            }
            Some(Kind::Number) => {
                let number = number(text);
                self.put(at, &number);
            }
            Some(Kind::Operator) if text == "==" => self.put(at, "="),
            Some(Kind::Quoted) => {
                let name = self.name(at);
                self.put(at, &quoted(&name));
            }
            Some(Kind::Word) if self.cast_to(at).is_some() => self.put(at, self.cast_to(at).unwrap_or(text)),
            Some(Kind::Word) if self.is_name(at) => {
                let name = self.name(at);
                let plain = name.to_ascii_lowercase() == name && !RESERVED.contains(&name.as_str());
                match plain {
                    true => self.put(at, text),
                    false => self.put(at, &quoted(&name)),
                }
            }
            _ => self.put(at, text),
        }
    }

    /// The type of a CAST as PostgreSQL calls it, whose INTEGER has 32 bits, and whose REAL has half the digits.
    fn cast_to(&self, at: usize) -> Option<&'static str> {
        let before = at.checked_sub(1).filter(|before| self.is(*before, "AS"))?;
        let kind = match self.text(at).to_ascii_uppercase().as_str() {
            "INTEGER" | "INT" => "bigint",
            "REAL" | "FLOAT" | "DOUBLE" => "double precision",
            "BLOB" => "bytea",
            _ => return None,
        };
        let mut depth = 0_usize;
        for at in (0..before).rev() {
            match self.kind(at) {
                Some(Kind::Close) => depth += 1,
                Some(Kind::Open) if depth == 0 => return self.is(at.checked_sub(1)?, "CAST").then_some(kind),
                Some(Kind::Open) => depth -= 1,
                _ => {}
            }
        }
        None
    }

    /// A name as its table spells it: SQLite knows it in any case.
    fn name(&self, at: usize) -> String {
        let named = self.tokens.get(at).and_then(|token| name_of(token, self.source));
        let name = named.unwrap_or_default();
        let mut names = self.names.iter();
        match names.find(|known| known.eq_ignore_ascii_case(&name)) {
            Some(known) => (*known).to_owned(),
            None => name,
        }
    }

    /// Whether a bare word is the name of a table or column of the projection, and not a keyword, a function or a type.
    fn is_name(&self, at: usize) -> bool {
        let text = self.text(at);
        if !self.names.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            return false;
        }
        let before = at.checked_sub(1);
        let is_before = |words: &[&str]| before.is_some_and(|before| words.iter().any(|word| self.is(before, word)));
        if is_before(&["AS"]) {
            return false;
        }
        if self.kind(at + 1) == Some(Kind::Open) && !is_before(&["INTO", "ON", "TABLE", "REFERENCES", "AS"]) {
            return false;
        }
        if text.eq_ignore_ascii_case("offset") {
            let value = |at: usize| matches!(self.kind(at), Some(Kind::Number | Kind::Parameter | Kind::Open));
            let after_value = before
                .and_then(|before| self.kind(before))
                .is_some_and(|kind| matches!(kind, Kind::Number | Kind::Parameter | Kind::Close));
            return !(after_value && value(at + 1));
        }
        true
    }
}

/// A number without what PostgreSQL has only lately: hexadecimal digits and `_`.
fn number(text: &str) -> String {
    let text = text.replace('_', "");
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex.map(|hex| u64::from_str_radix(hex, 16)) {
        // SQLite takes the bits for a number with a sign.
        Some(Ok(bits)) => format!("({})", bits.cast_signed()),
        _ => text,
    }
}

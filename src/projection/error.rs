//! What can be wrong with a projection file, shown with the line under it and the way to mend it.

use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use thiserror::Error;

use super::{Projection, Statement};

/// A projection file that cannot be used.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
pub struct ProjectionError {
    /// What is wrong.
    pub message: String,
    /// The file.
    #[source_code]
    pub source_code: NamedSource<String>,
    /// Where.
    #[label("{label}")]
    pub span: SourceSpan,
    /// What the place is.
    pub label: String,
    /// Other places in the file that belong to it, such as where a name was first given.
    #[label(collection, "")]
    pub also: Vec<LabeledSpan>,
    /// What to write instead.
    #[help]
    pub help: Option<String>,
}

impl ProjectionError {
    /// An error at `span` (bytes) of `source`, the text of `file`; a span beyond the text's end is brought back into it.
    pub fn at(
        source: &str,
        file: &str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Box<Self> {
        let start = span.start.min(source.len());
        let end = span.end.clamp(start, source.len());
        Box::new(Self {
            message: message.into(),
            source_code: NamedSource::new(file, source.to_owned()).with_language("SQL"),
            span: (start..end).into(),
            label: label.into(),
            also: Vec::new(),
            help: None,
        })
    }

    /// The same error with what to write instead.
    #[must_use]
    pub fn with_help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }

    /// The same error with another place that belongs to it.
    #[must_use]
    pub fn also(mut self: Box<Self>, span: Range<usize>, label: impl Into<String>) -> Box<Self> {
        self.also.push(LabeledSpan::new_with_span(Some(label.into()), span));
        self
    }

    /// The line of the place, from 1.
    pub fn line(&self) -> usize {
        let before = self.source_code.inner().as_bytes().get(..self.span.offset());
        before.unwrap_or_default().iter().filter(|b| **b == b'\n').count() + 1
    }
}

impl Projection {
    /// An error at a place of this projection's file.
    pub fn error_at(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Box<ProjectionError> {
        ProjectionError::at(&self.source, &self.file, span, message, label)
    }

    /// An error in one statement of this projection's file. `offset` is the byte of the statement's text at which SQLite saw
    /// it (`sqlite3_error_offset`); the word there is marked, or the whole statement where it gave none.
    pub fn error_in(
        &self,
        statement: &Statement,
        offset: Option<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Box<ProjectionError> {
        let span = match offset.filter(|at| *at < statement.sql.len()) {
            Some(at) => {
                let rest = statement.sql.get(at..).unwrap_or_default();
                let word = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len())
                    .max(rest.chars().next().map_or(1, char::len_utf8));
                let start = statement.span.start + at;
                start..start + word
            }
            None => statement.span.clone(),
        };
        self.error_at(span, message, label)
    }
}

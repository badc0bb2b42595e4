//! What can go wrong with a demo.

use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use crate::broker::error::BrokerError;
use crate::projection::error::ProjectionError;
use crate::readmodel::error::ReadModelError;
use crate::replay::error::ReplayError;

/// A place of a demo's file that cannot be meant.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
pub struct Invalid {
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
    /// What to write instead.
    #[help]
    pub help: Option<String>,
}

/// An error of the demo layer: what happened, why, and what to do.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum DemoError {
    /// No demo has this id.
    #[error("there is no demo `{id}`")]
    NotFound {
        /// The id that was asked for.
        id: String,
        /// Which demos there are.
        #[help]
        help: String,
    },
    /// An answer that the guide does not know.
    #[error("{reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
        /// What may be answered.
        #[help]
        help: String,
    },
    /// A sink that the demo does not have, or that cannot be fed so.
    #[error("{message}")]
    Sink {
        /// What is wrong.
        message: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// A file of a demo cannot be read.
    #[error("cannot read {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// A file of a demo says something that it cannot mean.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Invalid>),
    /// An event that its schema does not allow.
    #[error("event {number} of {topic} is not what {schema} describes: {reason}")]
    #[diagnostic(help("mend the event or the schema: a demo writes only what its schemas describe\n{value}"))]
    Schema {
        /// Which event of the demo, from 1.
        number: usize,
        /// Its topic.
        topic: String,
        /// The schema's file.
        schema: String,
        /// What it does not allow.
        reason: String,
        /// The event's value.
        value: String,
    },
    /// A record that a run has made and its schema does not allow.
    #[error("{place} is not what {schema} describes: {reason}")]
    #[diagnostic(help(
        "mend what publishes, captures or logs it, or the schema: a demo makes only what its schemas describe\n{value}"
    ))]
    Made {
        /// Where it is: topic, partition, offset.
        place: String,
        /// The schema's file.
        schema: String,
        /// What it does not allow.
        reason: String,
        /// The record's value.
        value: String,
    },
    /// A topic of the demo's name holds something else.
    #[error("{reason}")]
    NotOurs {
        /// What is there.
        reason: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Something that a step waits for did not come about.
    #[error("{wanted} did not come about within {seconds} s; there is {found}")]
    #[diagnostic(help(
        "`foldlog groups` and `foldlog projections` say how far each is; a longer limit is `within`, in seconds"
    ))]
    Waited {
        /// What was waited for.
        wanted: String,
        /// What was there last.
        found: String,
        /// How long it was waited.
        seconds: u64,
    },
    /// A file of the demo could not be written out.
    #[error("cannot write {file}: {reason}")]
    #[diagnostic(help("choose a folder that can be written to"))]
    Write {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A projection of the demo cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Projection(#[from] Box<ProjectionError>),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A replay failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Replay(#[from] ReplayError),
    /// A read model failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    ReadModel(#[from] ReadModelError),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A defect of this program: the demo's thread ended in a panic, or there was none.
    #[error("the demo ended unexpectedly: {0}")]
    #[diagnostic(help("please report this"))]
    Crashed(String),
}

impl DemoError {
    /// Something wrong at a place of a demo's file.
    pub(super) fn invalid(
        file: &str,
        source: &str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let start = span.start.min(source.len());
        Self::Invalid(Box::new(Invalid {
            message: message.into(),
            source_code: NamedSource::new(file, source.to_owned()),
            span: (start..span.end.clamp(start, source.len())).into(),
            label: label.into(),
            help,
        }))
    }
}

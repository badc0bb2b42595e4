//! Why a replay stopped.

use std::fmt::Write as _;

use miette::Diagnostic;
use thiserror::Error;

use crate::agent::error::AgentError;
use crate::broker::error::BrokerError;
use crate::decode::printable::printable;
use crate::projection::error::ProjectionError;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::invariant::Broken;
use crate::readmodel::store::DeadLetter;
use crate::sink::error::SinkError;

use super::blame::NoRow;

/// An error of the replay layer: what happened, why, and what to do.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum ReplayError {
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The read model failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    ReadModel(ReadModelError),
    /// A store outside failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sink(SinkError),
    /// Files that are followed cannot be read, or it cannot be written down how far.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// There is nothing to follow, where that was to be read once.
    #[error("there is no file to read: nothing fits what was given")]
    NoFiles,
    /// The projection's file cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Projection(#[from] Box<ProjectionError>),
    /// Records that cannot be applied; the read model in use was not touched.
    #[error("{}", poison_list(.name, .letters, *.all))]
    #[diagnostic(help(
        "mend the handler or its table and rebuild, or go on past these records with --skip-poison, which keeps each \
         of them for `foldlog dead-letters {name}`"
    ))]
    Poison {
        /// The projection.
        name: String,
        /// The records, with the reason of each.
        letters: Vec<DeadLetter>,
        /// Whether the log was read to its end, so that these are all there are.
        all: bool,
    },
    /// Records that PostgreSQL does not take; the read model in use there was not touched.
    #[error("{}", poison_list(.name, .letters, *.all))]
    #[diagnostic(help(
        "mend the handler or its table and rebuild, or go on past these records with --skip-poison, which lists each of them in \
         {schema}._foldlog_dead_letter"
    ))]
    PoisonThere {
        /// The projection.
        name: String,
        /// The schema.
        schema: String,
        /// The records, with the reason of each.
        letters: Vec<DeadLetter>,
        /// Whether the log was read to its end, so that these are all there are.
        all: bool,
    },
    /// Records that somebody wanted to be applied after all, or that stand in the way of it; nothing was changed.
    #[error("{}", still_poison(.name, .letters))]
    #[diagnostic(help(
        "`foldlog dead-letters {name} edit P:OFFSET` gives such a record another value; where the handler is wrong, mend its file and try again"
    ))]
    StillPoison {
        /// The projection.
        name: String,
        /// The records, with the reason of each.
        letters: Vec<DeadLetter>,
    },
    /// A record that nothing can be decided about.
    #[error("{message}")]
    NoLetter {
        /// Why.
        message: String,
        /// What there is.
        #[help]
        help: String,
    },
    /// Invariants that do not hold, where that was to end it; the read model in use was not touched.
    #[error("the read model `{name}` is not put in use:\n{}", .broken.iter().map(|broken| format!("  {broken}")).collect::<Vec<_>>().join("\n"))]
    #[diagnostic(help(
        "mend the handlers, or rebuild without --strict to look at the read model with its broken invariants"
    ))]
    Broken {
        /// The projection.
        name: String,
        /// The first event after which each did not hold.
        broken: Vec<Broken>,
    },
    /// A mirror that cannot go on without writing something twice, or into somebody's records.
    #[error("{message}")]
    Mirror {
        /// What is wrong.
        message: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// `--until` names a place that the log does not have.
    #[error("{message}")]
    Until {
        /// What is wrong.
        message: String,
        /// What there is.
        #[help]
        help: String,
    },
    /// A change of the log that cannot be thought up: no such record, or two changes of one.
    #[error("{message}")]
    WhatIf {
        /// What is wrong.
        message: String,
        /// What there is, or what to do.
        #[help]
        help: String,
    },
    /// The read model was built by another version of its file, or from another file.
    #[error("the read model `{name}` was built {}", if built == file { format!("by another version of {file}") } else { format!("from {built}, which says something else than {file}") })]
    #[diagnostic(help(
        "what {file} says now was never applied to the events before: `foldlog rebuild {file}` does that, and `foldlog \
                    preview {file}` shows first what it would change"
    ))]
    DefinitionChanged {
        /// The read model.
        name: String,
        /// The file.
        file: String,
        /// The file that it was built from.
        built: String,
    },
    /// The file says something else than what its preview was built from.
    #[error("the preview of `{name}` was built from another version of {file}")]
    #[diagnostic(help("see first what this version changes: `foldlog preview {file}`"))]
    PreviewChanged {
        /// The projection.
        name: String,
        /// The file.
        file: String,
    },
    /// The read model was built from another cluster's log.
    #[error("the read model `{name}` was built from the cluster {built}, and this is the cluster {here}")]
    #[diagnostic(help(
        "its position means nothing here: connect to the other cluster, or rebuild {file} from this one"
    ))]
    OtherCluster {
        /// The read model.
        name: String,
        /// The file.
        file: String,
        /// The id of the cluster that it was built from.
        built: String,
        /// The id of the cluster that answers.
        here: String,
    },
    /// The log no longer has records that the read model has not seen.
    #[error("{topic}[{partition}] begins at offset {low}, and the read model `{name}` is at {next}: the {} records between are gone", .low - .next)]
    #[diagnostic(help(
        "retention or a deletion removed them before they were applied; `foldlog rebuild {file}` starts from what the log \
         still has"
    ))]
    LostRecords {
        /// The read model.
        name: String,
        /// The file.
        file: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The next offset that the read model needs.
        next: i64,
        /// The first offset that the log still has.
        low: i64,
    },
    /// The topic is not the one that the read model was built from.
    #[error("the topic {topic} was deleted and created again since the read model `{name}` was built: {evidence}")]
    #[diagnostic(help("its offsets mean other records now: `foldlog rebuild {file}`"))]
    TopicRecreated {
        /// The read model.
        name: String,
        /// The file.
        file: String,
        /// The topic.
        topic: String,
        /// What shows it.
        evidence: String,
    },
    /// What keeps a read model in another database from going on with the log.
    #[error("{error}")]
    #[diagnostic(help("`foldlog rebuild {file} --in URL` folds what the log has now, beside what is in use there"))]
    Elsewhere {
        /// The file.
        file: String,
        /// What it is.
        error: Box<ReplayError>,
    },
    /// A row that the read model cannot have.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoRow(NoRow),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A defect of this program: a thread of the replay ended in a panic.
    #[error("the replay ended unexpectedly: {0}")]
    #[diagnostic(help("what was committed is safe; please report this"))]
    Crashed(String),
}

impl From<SinkError> for ReplayError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Cancelled => Self::Cancelled,
            SinkError::ReadModel(error) => error.into(),
            SinkError::Projection(error) => Self::Projection(error),
            error => Self::Sink(error),
        }
    }
}

impl From<ReadModelError> for ReplayError {
    fn from(error: ReadModelError) -> Self {
        match error {
            ReadModelError::Cancelled => Self::Cancelled,
            error => Self::ReadModel(error),
        }
    }
}

fn still_poison(name: &str, letters: &[DeadLetter]) -> String {
    let count = match letters.len() {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    let mut text = format!("{count} cannot be applied by `{name}` even so, and nothing was changed");
    list(&mut text, letters);
    text
}

fn poison_list(name: &str, letters: &[DeadLetter], all: bool) -> String {
    let count = letters.len();
    let (what, more) = match (count, all) {
        (1, true) => ("1 record".to_owned(), ""),
        (_, true) => (format!("{count} records"), ""),
        (_, false) => (
            format!("{count} records and perhaps more"),
            ", at which reading was given up",
        ),
    };
    let mut text = format!("{what} cannot be applied by `{name}`{more}; the new read model was not put in use");
    list(&mut text, letters);
    text
}

fn list(text: &mut String, letters: &[DeadLetter]) {
    for letter in letters {
        let record = &letter.record;
        let at = format!("{}[{}] offset {}", record.topic, record.partition, record.offset);
        let line = letter.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let _ = write!(
            text,
            "\n  {at}{line}: {}",
            printable(letter.reason.as_bytes(), 500).text
        );
    }
}

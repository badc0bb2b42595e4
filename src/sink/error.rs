//! What can go wrong with a store outside.

use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use crate::projection::error::ProjectionError;
use crate::readmodel::error::ReadModelError;

/// An error of a store: what happened, why, and what to do. It never holds a password.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum SinkError {
    /// An address that is none.
    #[error("this is no address of a store: {reason}")]
    #[diagnostic(help("{}", super::address::FORMS))]
    Address {
        /// What is wrong with it; without the address, which may hold a password.
        reason: String,
    },
    /// It cannot be reached, or the connection broke.
    #[error("{store} cannot be reached: {reason}")]
    #[diagnostic(help("start it, or mend the address"))]
    Unreachable {
        /// The address without what is secret.
        store: String,
        /// Why.
        reason: String,
    },
    /// It answers with an error.
    #[error("{store} says: {reason}")]
    Says {
        /// The address without what is secret.
        store: String,
        /// What it says.
        reason: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// What is there was not written by Foldlog.
    #[error("{store} has {what}, which Foldlog did not write")]
    NotOurs {
        /// The address without what is secret.
        store: String,
        /// What is there.
        what: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// A lake has files of another format.
    #[error("{store} has the records of `{topic}` as {there}, and would get the next ones as {wanted}")]
    #[diagnostic(help(
        "whoever reads files of one format would miss the others: write to another folder, or put ?format={there} into the address"
    ))]
    Format {
        /// The lake.
        store: String,
        /// The topic.
        topic: String,
        /// The format of what is there.
        there: &'static str,
        /// That of the address.
        wanted: &'static str,
    },
    /// The store was emptied, or somebody else feeds it.
    #[error("the store was emptied, or is fed by somebody else")]
    Lost,
    /// Another follow or rebuild folds into the same schema.
    #[error("{store}: something else folds into the schema {schema} just now")]
    #[diagnostic(help("wait until it is done, or stop it; one read model has one writer at a time"))]
    Taken {
        /// The address without what is secret.
        store: String,
        /// The schema.
        schema: String,
    },
    /// The projection cannot run there.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Projection(#[from] Box<ProjectionError>),
    /// Nobody waits for it any more.
    #[error("cancelled")]
    Cancelled,
    /// A file or folder of a lake.
    #[error("{what} {}: {reason}", path.display())]
    #[diagnostic(help("the folder must be writable and have room; nothing that is in it is lost"))]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The read model could not be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    ReadModel(#[from] ReadModelError),
}

impl SinkError {
    /// Whether the store may answer again some time, so that waiting helps.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn io(what: &'static str, path: &Path, reason: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            reason,
        }
    }
}

//! What can go wrong while files are followed.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of the log agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// A file or folder could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The registry is not what was written there.
    #[error(
        "the registry {} cannot be read: {reason}. Without it every file is read from its beginning: put it back, or move it away if that is what you want",
        path.display()
    )]
    Registry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another agent has the registry.
    #[error("another agent works with the registry {}: give this one its own with --registry FILE", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl AgentError {
    pub(super) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

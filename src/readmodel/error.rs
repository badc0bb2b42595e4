//! What can go wrong with a read model.

use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use rusqlite::ErrorCode;
use thiserror::Error;

/// An error of the read-model layer: what happened, why, and what to do.
#[derive(Debug, Error, Diagnostic)]
#[non_exhaustive]
pub enum ReadModelError {
    /// No read model has this name.
    #[error("there is no read model `{name}`")]
    NotFound {
        /// The name that was asked for.
        name: String,
        /// Which read models there are, or how to make the first.
        #[help]
        help: String,
    },
    /// There is no build before the one in use.
    #[error("there is no build of `{name}` before the one in use")]
    #[diagnostic(help("one is kept at each rebuild and each accepted preview, until it is dropped"))]
    NoPrevious {
        /// The read model.
        name: String,
    },
    /// Nobody built a preview, or it is gone.
    #[error("there is no preview of `{name}`")]
    #[diagnostic(help("`foldlog preview FILE.sql` builds one and shows what it would change"))]
    NoPreview {
        /// The read model.
        name: String,
    },
    /// Another process, or another task of this one, writes this read model.
    #[error("the read model `{name}` is being written by {holder}")]
    #[diagnostic(help("wait until it is done, or stop it; one read model has one writer at a time"))]
    Locked {
        /// The read model.
        name: String,
        /// Who holds it, as they wrote it down: process, what it does, since when.
        holder: String,
    },
    /// SQLite failed for a reason that is not the record's: disk, memory, a damaged file.
    #[error("{what}: {reason}")]
    Sqlite {
        /// What was being done.
        what: String,
        /// What SQLite said. Not the error's source: it is in the message already, and would be shown twice.
        reason: rusqlite::Error,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The operating system failed.
    #[error("{what} {}: {reason}", path.display())]
    Io {
        /// What was being done, such as `cannot create`.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said; in the message already, as above.
        reason: io::Error,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A file is not a read model of this version of the program.
    #[error("{} is not a read model that this version can read: {reason}", path.display())]
    #[diagnostic(help("rebuild the projection; its log still has everything"))]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What was decided about records is written in a way that this version does not know.
    #[error("{} was written by another version of the program", path.display())]
    #[diagnostic(help(
        "what was decided about records stands in it; use the version that wrote it, or move the file away to decide anew"
    ))]
    Decisions {
        /// The file.
        path: PathBuf,
    },
    /// A database whose changes cannot be captured.
    #[error("{}: {reason}", path.display())]
    Capture {
        /// The database.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// A query that SQLite does not accept.
    #[error("{message}")]
    Query {
        /// What is wrong.
        message: String,
        /// The query.
        #[source_code]
        sql: String,
        /// Where.
        #[label("here")]
        at: Option<miette::SourceSpan>,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The work was cancelled; nothing that was committed is lost.
    #[error("cancelled")]
    Cancelled,
}

impl ReadModelError {
    /// Whether somebody else writes to the file just now, so that waiting helps.
    pub fn is_busy(&self) -> bool {
        let code = match self {
            Self::Sqlite { reason, .. } => reason.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    pub(crate) fn sqlite(what: impl Into<String>, source: rusqlite::Error) -> Self {
        if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Self::Cancelled;
        }
        let help = match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Some("free some space and start again; nothing that was committed is lost"),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Some("the folder must be writable; choose another with --data DIR")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Some("the file is damaged: rebuild the projection; its log still has everything")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Some("another program holds the file locked; close it and start again")
            }
            _ => None,
        };
        Self::Sqlite {
            what: what.into(),
            reason: source,
            help: help.map(str::to_owned),
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        let help = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("the folder must be writable; choose another with --data DIR")
            }
            io::ErrorKind::StorageFull => Some("free some space and start again; nothing that was committed is lost"),
            _ => None,
        };
        Self::Io {
            what,
            path: path.to_owned(),
            reason: source,
            help: help.map(str::to_owned),
        }
    }
}

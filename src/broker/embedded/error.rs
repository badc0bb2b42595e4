//! Why the embedded broker does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// An error of starting or attaching to the embedded broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The data directory cannot be made, read or written.
    #[error(
        "cannot use the broker's directory {}: {cause}; make it writable or give another with --data",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file that the broker wrote is not what it wrote.
    #[error("{} is damaged: {why}; restore it from a backup, or start with another --data", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process serves the directory, and not where this one was asked to.
    #[error(
        "{} is served by process {pid} at {address} already; use it there with -b {address}, or stop that process first",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// Where it serves.
        address: SocketAddr,
    },
    /// Another process holds the lock and does not say where it serves.
    #[error(
        "{} is locked by another process that does not answer; it may be starting, stopping or stuck: try again, or end it",
        path.display()
    )]
    Silent {
        /// The directory.
        path: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}{}", hint(cause))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The broker has no authentication, so that only this machine may reach it.
    #[error("{0} is not a loopback address; the embedded broker has no authentication and listens on loopback only")]
    NotLoopback(SocketAddr),
    /// The system refused a thread or its like.
    #[error("cannot start the broker: {0}")]
    System(#[from] io::Error),
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there: choose another port, or :0 for any free one",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need rights: choose a higher one",
        _ => "",
    }
}

//! The embedded broker: one node on loopback that speaks Kafka's own protocol, for one machine, one person and lessons.
//!
//! Whoever outgrows it points Foldlog at Apache Kafka; the client cannot tell the difference.
//!
//! How a request travels: [`server`] reads a frame ([`frame`]), `api` finds its line in the table, [`guard`] checks its shape,
//! the handler asks the [`store`] for a topic and its [`partition`], and the partition's [`log`] reads or appends batches.
//! Requests of consumer groups go to their coordinator ([`groups`]). What is in flight, and how many are connected, is bounded
//! by [`limits`].

mod api;
mod attach;
mod compaction;
mod config;
pub mod error;
mod frame;
mod groups;
mod guard;
mod housekeeping;
mod limits;
mod lock;
mod log;
mod partition;
mod running;
mod schema;
mod server;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::Client;
use super::error::BrokerError;
use super::location::Location;
use super::profile::{Access, Profile};
use attach::{Attached, Opened};
use error::EmbeddedError;
use groups::Coordinator;
use limits::Limits;
use running::Running;
use store::Store;

/// What every request works on.
#[derive(Debug)]
pub(crate) struct Broker {
    store: Arc<Store>,
    groups: Coordinator,
    limits: Limits,
}

/// A broker of a data directory: started here, or attached to where another process runs it already.
///
/// Dropping it stops a broker that was started here. Where another process ran it and ends, this process takes over, on the
/// same port if it can, so that a studio does not lose its broker because a command finished.
#[derive(Debug)]
pub struct Embedded {
    location: Location,
    owner: Arc<AtomicBool>,
    role: Role,
    dir: PathBuf,
}

/// What keeps the broker, or the connection to it, alive.
#[derive(Debug)]
enum Role {
    /// `None` while it is taken away.
    Owner(Mutex<Option<Running>>),
    Attached(#[allow(dead_code, reason = "held for its drop")] Attached),
}

impl Embedded {
    /// Opens the broker of `data`, starting it on `listen` (an ephemeral loopback port when `None`) unless it runs already.
    ///
    /// Where it runs at another address than `listen`, that is an error which says where.
    pub fn open(data: &Path, listen: Option<SocketAddr>) -> Result<Self, BrokerError> {
        let dir = data.join("broker");
        let opened = attach::open(&dir, listen)?;
        Ok(match opened {
            Opened::Running(running) => Self::of(running, dir),
            Opened::Elsewhere(holder) => {
                let wrong = listen.is_some_and(|asked| asked.port() != 0 && asked != holder.address);
                if wrong {
                    return Err(locked(&dir, holder).into());
                }
                let owner = Arc::new(AtomicBool::new(false));
                let location = Location::new(holder.address);
                Self {
                    role: Role::Attached(Attached::watch(dir.clone(), location.clone(), Arc::clone(&owner))?),
                    location,
                    owner,
                    dir,
                }
            }
        })
    }

    /// Starts the broker of `data` on `listen`; where another process runs it, that is an error which says which and where.
    pub fn start(data: &Path, listen: SocketAddr) -> Result<Self, BrokerError> {
        let dir = data.join("broker");
        match attach::open(&dir, Some(listen))? {
            Opened::Running(running) => Ok(Self::of(running, dir)),
            Opened::Elsewhere(holder) => Err(locked(&dir, holder).into()),
        }
    }

    fn of(running: Running, dir: PathBuf) -> Self {
        Self {
            location: Location::new(running.address()),
            owner: Arc::new(AtomicBool::new(true)),
            role: Role::Owner(Mutex::new(Some(running))),
            dir,
        }
    }

    /// Stops the broker as if it had been lost, for whoever wants to see what happens then: clients meet a refused connection
    /// until [`Embedded::bring_back`]. `false` where it was not this process that started it: then nothing happens.
    pub fn lose(&self) -> bool {
        let Role::Owner(running) = &self.role else {
            return false;
        };
        running.lock().unwrap_or_else(PoisonError::into_inner).take();
        true
    }

    /// Starts the broker again that was lost, on the same port. Where another process has taken the directory meanwhile, that is
    /// an error which says which.
    pub fn bring_back(&self) -> Result<(), BrokerError> {
        let Role::Owner(running) = &self.role else {
            return Ok(());
        };
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            match attach::open(&self.dir, Some(self.address()))? {
                Opened::Running(again) => *running = Some(again),
                Opened::Elsewhere(holder) => return Err(locked(&self.dir, holder).into()),
            }
        }
        Ok(())
    }

    /// Where it listens now. It moves only where another process takes it over and the old port is taken.
    pub fn address(&self) -> SocketAddr {
        self.location.address()
    }

    /// A client of it, which goes with it if it moves.
    pub fn client(&self) -> Result<Client, BrokerError> {
        Ok(Client::new(self.profile())?.at(self.location.clone()))
    }

    /// Whether this process runs it now: it started it, or took over when the process that had started it ended.
    pub fn is_owner(&self) -> bool {
        self.owner.load(Ordering::Acquire)
    }

    /// The profile that a client connects with; its name is `lab`.
    pub fn profile(&self) -> Profile {
        Profile {
            name: "lab".to_owned(),
            bootstrap: self.address().to_string(),
            properties: BTreeMap::new(),
            access: Access::ReadWrite,
        }
    }
}

fn locked(dir: &Path, holder: lock::Holder) -> EmbeddedError {
    EmbeddedError::Locked {
        path: dir.to_path_buf(),
        pid: holder.pid,
        address: holder.address,
    }
}

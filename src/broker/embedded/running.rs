//! A broker that runs in this process: its state, its listener and the threads that serve it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::broker::error::BrokerError;

use super::Broker;
use super::compaction::Compactor;
use super::error::EmbeddedError;
use super::groups::{Coordinator, Topics};
use super::housekeeping::Housekeeper;
use super::limits::Limits;
use super::lock::Held;
use super::server;
use super::store::Store;

/// Two serve a producer beside a consumer; requests never wait for each other except on a partition's lock.
const THREADS: usize = 2;
/// How long a stop waits for a request that is being answered; the log is consistent without waiting.
const STOP: Duration = Duration::from_secs(5);

/// Any free port of this machine alone.
const EPHEMERAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Stops the broker when it is dropped: connections first, then the log is synced, then the lock is given back.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    runtime: Option<Runtime>,
    housekeeper: Option<Housekeeper>,
    compactor: Option<Box<Compactor>>,
    broker: Arc<Broker>,
    _lock: Held,
}

impl Running {
    /// Starts serving `dir`, whose lock is held, on `listen`. Where nobody says on which, it is where the directory was served
    /// before, because others may be waiting there; or, where that port is taken, a free one.
    pub fn start(dir: &Path, listen: Option<SocketAddr>, mut lock: Held) -> Result<Self, BrokerError> {
        let broker = Arc::new(open(dir)?);
        let (listener, listen) = match listen {
            Some(address) => (bind(address), address),
            None => {
                let last = lock.last().map(|address| (bind(address), address));
                last.filter(|(bound, _)| bound.is_ok())
                    .unwrap_or_else(|| (bind(EPHEMERAL), EPHEMERAL))
            }
        };
        let listener = listener?;
        let cannot_listen = |cause| EmbeddedError::Listen { address: listen, cause };
        let address = listener.local_addr().map_err(cannot_listen)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("foldlog-broker")
            .enable_all()
            .build()
            .map_err(EmbeddedError::System)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(cannot_listen)?
        };
        runtime.spawn(server::serve(listener, Arc::clone(&broker)));
        let housekeeper = Housekeeper::start(Arc::clone(&broker)).map_err(EmbeddedError::System)?;
        let compactor = Compactor::start(Arc::clone(&broker)).map_err(EmbeddedError::System)?;
        lock.announce(address).map_err(|cause| EmbeddedError::Directory {
            path: dir.to_path_buf(),
            cause,
        })?;
        tracing::info!(%address, dir = %dir.display(), "the embedded broker serves");
        Ok(Self {
            address,
            runtime: Some(runtime),
            housekeeper: Some(housekeeper),
            compactor: Some(Box::new(compactor)),
            broker,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, EmbeddedError> {
    if !address.ip().is_loopback() {
        return Err(EmbeddedError::NotLoopback(address));
    }
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|cause| EmbeddedError::Listen { address, cause })
}

fn open(dir: &Path) -> Result<Broker, BrokerError> {
    let store = Arc::new(Store::open(dir)?);
    let groups = Coordinator::open(dir, Arc::clone(&store) as Arc<dyn Topics>)?;
    Ok(Broker {
        store,
        groups,
        limits: Limits::default(),
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not be dropped by a thread that another runtime runs on, and nobody can know who drops this.
            let stop = std::thread::spawn(move || runtime.shutdown_timeout(STOP));
            if stop.join().is_err() {
                tracing::error!("a thread of the broker panicked while it stopped");
            }
        }
        self.compactor.take();
        self.housekeeper.take();
        if let Err(error) = self.broker.groups.sync() {
            tracing::warn!(%error, "the committed offsets were not synced");
        }
        for topic in self.broker.store.topics() {
            for (number, partition) in topic.partitions().iter().enumerate() {
                if let Err(error) = partition.close() {
                    // Nothing is lost: the log is verified when it is opened again.
                    tracing::warn!(topic = topic.name, number, %error, "a partition was not closed cleanly");
                }
            }
        }
    }
}

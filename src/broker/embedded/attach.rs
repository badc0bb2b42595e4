//! A data directory that another process may serve: attach to it, and take over when it ends.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::broker::error::BrokerError;
use crate::broker::location::Location;

use super::error::EmbeddedError;
use super::lock::{self, Holder, Taken};
use super::log::files::lock as locked;
use super::running::Running;

/// How long a process that holds the lock may take to say where it serves, or to be done with all it has to write when it ends.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked while the lock changes hands; that takes a moment, and then nobody looks any more.
const LOOK: Duration = Duration::from_millis(20);
/// How soon is tried again what failed for a reason that a person has to remove.
const AGAIN: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(1);

/// Where the broker runs.
#[derive(Debug)]
pub(crate) enum Opened {
    Running(Running),
    Elsewhere(Holder),
}

/// Starts the broker of `dir`, or finds who runs it.
pub(crate) fn open(dir: &Path, listen: Option<SocketAddr>) -> Result<Opened, BrokerError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lock::take(dir)? {
            Taken::Held(held) => {
                return Running::start(dir, listen, held).map(Opened::Running);
            }
            // A line in the file may be left over from a process that died, so that only a connection proves it.
            Taken::By(Some(holder)) if connect(holder.address).is_some() => return Ok(Opened::Elsewhere(holder)),
            Taken::By(_) if Instant::now() < deadline => thread::sleep(LOOK),
            Taken::By(_) => {
                return Err(EmbeddedError::Silent {
                    path: dir.to_path_buf(),
                }
                .into());
            }
        }
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
    // Where nobody listens at a port that the system may give out, a connection may come to be connected with itself.
    (stream.local_addr().ok()? != address).then_some(stream)
}

#[derive(Debug, Default)]
struct Stop {
    /// Whether to stop, and the connection to close so that the thread wakes.
    state: Mutex<(bool, Option<TcpStream>)>,
    changed: Condvar,
}

impl Stop {
    /// Watches a connection; `false` where it is time to stop.
    fn watch(&self, stream: &TcpStream) -> bool {
        let mut state = locked(&self.state);
        state.1 = stream.try_clone().ok();
        !state.0
    }

    /// Waits; `false` where it is time to stop.
    fn wait(&self, time: Duration) -> bool {
        let state = locked(&self.state);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, time, |state| !state.0)
            .unwrap_or_else(PoisonError::into_inner);
        !state.0
    }

    fn wait_for_ever(&self) {
        let state = locked(&self.state);
        drop(self.changed.wait_while(state, |state| !state.0));
    }

    fn now(&self) {
        let mut state = locked(&self.state);
        state.0 = true;
        if let Some(stream) = state.1.take() {
            // It may be closed already, which is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }
}

/// Watches the process that runs the broker and takes over when it ends, until this is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Attached {
    /// Watches; `owner` is set when this process has taken over, and `location` whenever the broker has moved.
    pub fn watch(dir: PathBuf, location: Location, owner: Arc<AtomicBool>) -> Result<Self, EmbeddedError> {
        let stop = Arc::new(Stop::default());
        let seen = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("foldlog-attach".to_owned())
            .spawn(move || {
                if let Some(running) = take_over(&dir, &location, &seen) {
                    owner.store(true, Ordering::Release);
                    seen.wait_for_ever();
                    drop(running);
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the broker panicked");
        }
    }
}

/// Waits until the broker's process ends and serves in its place, or goes where another one does; `None` where it is time to
/// stop.
fn take_over(dir: &Path, location: &Location, stop: &Stop) -> Option<Running> {
    loop {
        let address = location.address();
        if let Some(mut stream) = connect(address) {
            if !stop.watch(&stream) {
                return None;
            }
            // Nothing is ever sent here: this returns when the broker's process ends, or this one stops.
            let _ = stream.read(&mut [0]);
        }
        let mut pause = LOOK;
        match lock::take(dir) {
            Ok(Taken::Held(held)) => match Running::start(dir, None, held) {
                Ok(running) => {
                    location.move_to(running.address());
                    return Some(running);
                }
                Err(error) => {
                    tracing::error!(%address, %error, "cannot take over the broker");
                    pause = AGAIN;
                }
            },
            // Only a connection proves it, as in `open`.
            Ok(Taken::By(Some(holder))) if holder.address != address && connect(holder.address).is_some() => {
                tracing::warn!(%address, now = %holder.address, "the broker has moved");
                location.move_to(holder.address);
                pause = Duration::ZERO;
            }
            Ok(Taken::By(_)) => {}
            Err(error) => {
                tracing::error!(%address, %error, "cannot look who runs the broker");
                pause = AGAIN;
            }
        }
        if !stop.wait(pause) {
            return None;
        }
    }
}

//! Where a broker is that may move: the embedded one, when another process takes it over at another port.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::ffi::Native;

/// The address of a broker, and the connections that have to follow when it changes. Clones are one and the same.
#[derive(Clone)]
pub struct Location(Arc<Mutex<Inner>>);

struct Inner {
    address: SocketAddr,
    /// As many as are alive, and those that went since the last was added.
    followers: Vec<Weak<Native>>,
}

impl Location {
    /// A broker at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            address,
            followers: Vec::new(),
        })))
    }

    /// Where the broker is now.
    pub fn address(&self) -> SocketAddr {
        self.lock().address
    }

    /// Says that the broker is somewhere else, and has every connection go there once the old address answers no more.
    pub(super) fn move_to(&self, address: SocketAddr) {
        let mut inner = self.lock();
        if inner.address == address {
            return;
        }
        inner.address = address;
        for native in inner.followers.iter().filter_map(Weak::upgrade) {
            native.add_broker(address);
        }
    }

    /// Has a connection follow from now on; it may have been made with an address that is no longer the broker's.
    pub(super) fn follow(&self, native: &Arc<Native>) {
        let mut inner = self.lock();
        native.add_broker(inner.address);
        inner.followers.retain(|follower| follower.strong_count() > 0);
        inner.followers.push(Arc::downgrade(native));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.address()).finish()
    }
}

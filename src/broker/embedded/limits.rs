//! What keeps memory bounded whatever is sent: bytes of requests and responses in flight, and connections.
//!
//! Nothing here slows a well-behaved client: small requests and responses need no permission, and the connection that makes way
//! for a new one is the one that has been silent longest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections at once. A client takes two or three.
const CONNECTIONS: usize = 512;
/// Bytes of requests, or of responses, that may be in flight together beyond what every connection has free.
const IN_FLIGHT: usize = 256 * 1024 * 1024;
/// A request up to this needs no permission.
pub(crate) const FREE_REQUEST: usize = 64 * 1024;
/// A response up to this needs no permission.
pub(crate) const FREE_RESPONSE: usize = 1024 * 1024;
/// Bytes that one permit stands for; a semaphore cannot count all bytes on every platform.
const UNIT: usize = 1024;

/// Permission for bytes in flight; given back when it is dropped.
pub(crate) type Permit = OwnedSemaphorePermit;

/// Bytes that all connections share.
#[derive(Debug)]
pub(crate) struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT / UNIT)))
    }
}

impl Memory {
    fn units(bytes: usize) -> u32 {
        // 2^18 units at most.
        bytes.min(IN_FLIGHT).div_ceil(UNIT) as u32
    }

    /// Waits for its turn. Everything is taken at once, so that two that wait cannot hold what the other one needs.
    pub async fn take(&self, bytes: usize) -> Option<Permit> {
        Arc::clone(&self.0).acquire_many_owned(Self::units(bytes)).await.ok()
    }

    /// Takes it if it is there.
    pub fn try_take(&self, bytes: usize) -> Option<Permit> {
        Arc::clone(&self.0).try_acquire_many_owned(Self::units(bytes)).ok()
    }
}

/// What all connections share.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub requests: Memory,
    pub responses: Memory,
    connections: Connections,
}

/// Every connection by its number.
#[derive(Debug, Default)]
struct Connections {
    places: Mutex<BTreeMap<u64, Arc<Place>>>,
    /// Counts connections and requests: an order in time without a clock.
    turn: AtomicU64,
}

/// A connection's place.
#[derive(Debug, Default)]
struct Place {
    /// The turn of its last request, and whether it is being answered.
    last: AtomicU64,
    serving: std::sync::atomic::AtomicBool,
    give_way: Notify,
}

/// A connection's place, for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    number: u64,
    place: Arc<Place>,
    connections: &'a Connections,
}

impl Limits {
    /// A place for a new connection. Where there is none left, the connection that has been silent longest is told to give way;
    /// clients connect again when they need to.
    pub fn seat(&self) -> Seat<'_> {
        let connections = &self.connections;
        let number = connections.turn.fetch_add(1, Ordering::Relaxed);
        let place = Arc::new(Place::default());
        place.last.store(number, Ordering::Relaxed);
        let mut places = connections.lock();
        if places.len() >= CONNECTIONS {
            let silence = |place: &Place| {
                (
                    place.serving.load(Ordering::Relaxed),
                    place.last.load(Ordering::Relaxed),
                )
            };
            let silent = places.iter().min_by_key(|(_, place)| silence(place));
            if let Some(silent) = silent.map(|(number, _)| *number)
                && let Some(place) = places.remove(&silent)
            {
                place.give_way.notify_one();
            }
        }
        places.insert(number, Arc::clone(&place));
        drop(places);
        Seat {
            number,
            place,
            connections,
        }
    }
}

impl Connections {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// A request begins to be answered, or has been.
    pub fn serving(&self, serving: bool) {
        let turn = self.connections.turn.fetch_add(1, Ordering::Relaxed);
        self.place.last.store(turn, Ordering::Relaxed);
        self.place.serving.store(serving, Ordering::Relaxed);
    }

    /// Returns when the connection has to give way.
    pub async fn lost(&self) {
        self.place.give_way.notified().await;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_connection_that_has_been_silent_longest_gives_way() {
        let limits = Limits::default();
        let seats: Vec<Seat<'_>> = (0..CONNECTIONS).map(|_| limits.seat()).collect();
        // The first is being served, the second has just been, so that the third has been silent longest.
        seats[0].serving(true);
        seats[1].serving(true);
        seats[1].serving(false);
        let newcomer = limits.seat();
        seats[2].lost().await;
        let second = limits.seat();
        seats[3].lost().await;
        for stays in [&seats[0], &seats[1], &newcomer, &second] {
            let lost = tokio::time::timeout(Duration::ZERO, stays.lost()).await;
            assert!(lost.is_err());
        }
        drop(seats);
        assert_eq!(limits.connections.lock().len(), 2);
    }

    #[tokio::test]
    async fn memory_in_flight_is_bounded_and_comes_back() {
        let memory = Memory::default();
        let all = memory.take(usize::MAX).await;
        assert!(memory.try_take(1).is_none());
        drop(all);
        assert!(memory.try_take(IN_FLIGHT).is_some());
    }
}

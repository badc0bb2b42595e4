//! What a task that writes to the broker has done so far, and what kills it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared between such a task and whoever looks on.
#[derive(Debug, Default)]
pub struct Watch {
    records: AtomicU64,
    killed: AtomicBool,
}

impl Watch {
    /// How many records it wrote.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Ends it before it writes down what it has handed on, as a killed process would.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    pub(super) fn wrote(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }
}

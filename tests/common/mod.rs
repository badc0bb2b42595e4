//! What the integration tests share: a cluster to talk to, a second client to check the first one with, and Kafka's Java tools.
//!
//! `FOLDLOG_TEST_BROKER` names the cluster: `embedded` (the default) or `kafka`, which is Apache Kafka as `tests/kafka/kafka.sh`
//! brings it up, or the one at `FOLDLOG_TEST_BOOTSTRAP`. A test takes [`cluster::Cluster::shared`] and topics of its own
//! from it, so that tests run side by side and leave nothing that another one could see.
#![allow(dead_code, reason = "each test crate uses a part of this")]

pub mod cluster;
pub mod java;
pub mod opensearch;
pub mod port;
pub mod process;
pub mod raw;
pub mod stores;
pub mod terminal;
pub mod webhook;
pub mod wire;

use std::io::Write;
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it hung. Never part of what a test asserts.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `probe` until it returns something; for conditions that no other process announces.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// The same with more patience, for what is much work.
pub fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says that a test did not run, and fails where nobody would read it: a skipped test must not look like a passed one in CI.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}; in CI this test must run");
    // Past libtest's capture, which hides the output of tests that pass.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

//! The integration suite: the same tests on the embedded broker and on Apache Kafka.
//!
//! `cargo test --test suite` runs it on the embedded broker, `FOLDLOG_TEST_BROKER=kafka cargo test --test suite` on Apache
//! Kafka. Where the two behave differently on purpose, `contract/differences.rs` names it; nothing else may ask which it is.
// Helpers outside a #[test] fail the test by unwrapping, which the lints cannot see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod benches;
mod capture;
#[path = "../common/mod.rs"]
mod common;
mod contract;
mod crash;
mod debezium;
mod demo;
mod full_disk;
mod gaps;
mod hostile;
mod lag;
mod licences;
mod living;
mod memory;
mod mirror;
mod permits;
mod reader;
mod remote;
mod replay;
mod sinks;

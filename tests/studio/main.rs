//! The studio: every screen in every state as a snapshot, driven by keys against a fake world; and journeys of the real
//! program through a pseudo-terminal.
// Helpers outside a #[test] fail the test by unwrapping, which the lints cannot see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alerts;
mod blame;
mod charts;
#[path = "../common/mod.rs"]
mod common;
mod differences;
mod fake;
mod guide;
mod harness;
mod hostile;
mod journeys;
mod keys;
mod language;
mod permits;
mod previews;
mod scene;
mod screens;
mod search;
mod time;

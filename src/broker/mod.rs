//! The only folder that knows Kafka: one client over librdkafka for every cluster, and the embedded broker that serves a laptop.
//!
//! Calls here block the thread they run on, with a deadline; whoever draws a screen calls them from a task.

pub mod client;
pub mod config;
pub mod embedded;
pub mod error;
mod ffi;
pub mod groups;
pub mod location;
pub mod member;
mod merge;
pub mod place;
pub mod producer;
pub mod profile;
pub mod reader;
pub mod topics;
pub mod transaction;

//! The fold: records from a reader through a projection's handlers into a read model.
//!
//! A replay runs on two threads: one reads, one applies. Between them stands a bounded channel, so that memory is bounded
//! whatever the topic's size. What is applied in which order depends on the log alone, never on how it was batched.

mod aside;
pub mod at;
pub mod blame;
pub mod capture;
#[cfg(test)]
mod cases;
mod changed;
pub mod decide;
pub mod drift;
pub mod error;
pub mod faults;
mod fetch;
mod first;
pub mod follow;
pub mod group;
mod interleave;
mod keeper;
pub mod lake;
mod log;
mod lookout;
#[cfg(test)]
mod memory;
pub mod mirror;
pub mod notify;
mod outage;
mod pause;
pub mod preview;
pub mod progress;
mod publish;
pub mod rebuild;
pub mod remote;
pub mod ship;
pub mod sinks;
mod source;
pub mod standing;
pub mod step;
pub mod takeover;
pub mod task;
mod tell;
mod thought;
pub mod verify;
pub mod walk;
pub mod watch;
pub mod whatif;

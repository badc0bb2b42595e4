//! A log agent: follows files as `tail -F` does, through rotation and restarts, and makes a record of each line.
//!
//! This folder knows files and lines; who sends them is somebody else's business. Reading and remembering are two calls, so that a
//! line is forgotten only when it has arrived: [`tail::Tail::poll`] hands lines out, [`tail::Tail::commit`] writes down how far it is.
//!
//! | module | what it is |
//! |---|---|
//! | [`tail`] | the files that are followed: found, read, rotated |
//! | [`backlog`] | what an agent has not sent yet, and what it is made to send again |
//! | [`registry`] | how far each was read, kept over restarts |
//! | [`event`] | a line as JSON, with the fields that Filebeat gives it |
//! | [`combined`] | a line of an access log, taken apart |
//! | `lines` | bytes to lines, none longer than it may be |
//! | `bytes` | what a file is known again by |
//! | `glob` | which files a pattern means |

pub mod backlog;
mod bytes;
pub mod combined;
pub mod error;
pub mod event;
mod glob;
mod lines;
pub mod registry;
pub mod tail;

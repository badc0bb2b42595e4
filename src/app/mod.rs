//! The studio as a pure state machine: the model, the messages, and what every key does. No I/O, no drawing.
//!
//! `update` takes the model and a message, changes the model, and returns what is to be done in the world. Time comes in by
//! messages, and so does everything that a job brings; so a test drives the whole studio by hand.

mod answers;
pub mod command;
pub mod difference;
pub mod job;
pub mod key;
pub mod lang;
pub mod layout;
pub mod list;
pub mod message;
pub mod model;
pub mod moment;
mod motion;
mod navigate;
pub mod overlay;
pub mod palette;
pub mod place;
pub mod remote;
pub mod screens;
mod typing;
pub mod update;
pub mod window;
pub mod work;

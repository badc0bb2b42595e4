//! Foldlog: an event-sourcing studio for Kafka in the terminal. State is a fold of the log.
//!
//! The map, from the ground up; a module never imports one that stands below it in this list
//! (`tests/house.rs` holds every `use crate::` against it):
//!
//! | module | what it is |
//! |---|---|
//! | [`record`] | a record, its position, its time |
//! | [`broker`] | Kafka: the client over librdkafka, and the embedded broker |
//! | [`decode`] | bytes to fields and to what people read |
//! | [`projection`] | the `.sql` file: parsed and checked |
//! | [`readmodel`] | SQLite: rows and position in one transaction, queries, dumps |
//! | [`chart`] | rows of a query as a chart: data, cells of a terminal, SVG |
//! | [`sink`] | stores outside: Redis, lakes of files |
//! | [`replay`] | the fold: log through projection into read model |
//! | [`agent`] | log files to lines, through rotation and restarts |
//! | [`demo`] | use cases as data: manifest, generator, runner |
//! | [`app`] | the studio's state and what every key does; pure |
//! | [`ui`] | draws that state |
//! | [`runtime`] | terminal, event loop, tasks |
//! | [`cli`] | one file per subcommand |
//!
//! How a record becomes a row and a key becomes an action is told in `ARCHITECTURE.md`.

pub mod agent;
pub mod app;
pub mod broker;
pub mod chart;
pub mod cli;
pub mod decode;
pub mod demo;
pub mod projection;
pub mod readmodel;
pub mod record;
pub mod replay;
pub mod runtime;
pub mod sink;
pub mod ui;

//! Use cases as data: manifest, generator, runner.
//!
//! A demo is a folder: `demo.toml`, its lesson in one or more languages, its projections, its events as recorded NDJSON or as
//! the specification of a seeded generator, and a JSON Schema for each type of event. Those of this program are compiled in;
//! `--demos DIR` adds others, or newer versions of the same, without a compiler.

mod agents;
mod board;
pub mod catalog;
pub mod chart;
pub mod clean;
mod condition;
mod connector;
pub mod diary;
pub mod error;
pub mod events;
pub mod fault;
mod folder;
mod generate;
pub mod graph;
pub mod guide;
mod load;
mod manifest;
mod measure;
mod mirrors;
pub mod player;
mod produce;
pub mod prove;
pub mod report;
pub mod run;
mod scene;
mod schema;
mod script;
pub mod sinks;
pub mod snapshot;
mod stage;
pub mod starter;
mod steps;
mod template;
pub mod text;
mod timeline;
mod written;

#[cfg(test)]
mod tests;

//! Use cases as data: manifest, generator, runner.
//!
//! A demo is a folder: `demo.toml`, its lesson in one or more languages, its projections, its events as recorded NDJSON or as
//! the specification of a seeded generator, and a JSON Schema for each type of event. Those of this program are compiled in;
//! `--demos DIR` adds others, or newer versions of the same, without a compiler.

pub mod catalog;
pub mod error;
pub mod events;
mod folder;
mod generate;
mod manifest;
mod produce;
pub mod run;
mod schema;
mod stage;
mod template;
pub mod text;

#[cfg(test)]
mod tests;

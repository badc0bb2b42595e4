//! The command line: one file for each subcommand. Tables for people, JSON for programs, errors on stderr with what to do.

pub mod agent;
pub mod alerts;
pub mod at;
pub mod blame;
pub mod broker;
pub mod capture;
pub mod choose;
pub mod context;
pub mod dead_letters;
pub mod demo;
pub mod diff;
mod differences;
pub mod dump;
mod envelope;
mod event;
mod explain;
pub mod follow;
pub mod format;
pub mod groups;
mod interrupt;
mod log;
mod metrics;
pub mod mirror;
mod place;
pub mod preview;
pub mod produce;
pub mod projections;
pub mod query;
pub mod read;
pub mod rebuild;
mod remote;
pub mod rollback;
mod saved;
mod show;
pub mod step;
pub mod studio;
mod table;
pub mod test;
pub mod topics;
pub mod verify;
pub mod what_if;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use miette::MietteHandlerOpts;

use context::Context;
use format::Format;

/// Where the flags of every command stand in its help: below its own.
const GLOBAL: &str = "For every command";

/// An event-sourcing studio for Kafka in the terminal: state is a fold of the log.
#[derive(Debug, Parser)]
#[command(name = "foldlog", version, about, max_term_width = 100)]
pub struct Cli {
    /// Where the embedded broker keeps its log and read models are kept [default: $XDG_DATA_HOME/foldlog]
    #[arg(long, global = true, env = "FOLDLOG_DATA", value_name = "DIR", help_heading = GLOBAL)]
    pub data: Option<PathBuf>,
    /// Talk to the Kafka cluster at this address instead of the embedded broker [env: FOLDLOG_BOOTSTRAP]
    #[arg(short = 'b', long = "bootstrap", global = true, value_name = "HOST:PORT", help_heading = GLOBAL)]
    pub bootstrap: Option<String>,
    /// Talk to a cluster that config.toml names
    #[arg(
        short = 'c',
        long = "cluster",
        global = true,
        value_name = "CLUSTER",
        conflicts_with = "bootstrap", help_heading = GLOBAL)]
    pub cluster: Option<String>,
    /// Print data as JSON, as `-o json` does
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// How to print data [default: table; json with --json]
    #[arg(
        short = 'o',
        long,
        global = true,
        value_name = "FORMAT",
        value_parser = format::one_of(format::EVERYWHERE),
        help_heading = GLOBAL)]
    pub output: Option<Format>,
    /// Allow writing to a cluster that is marked production, by saying its name
    #[arg(long, global = true, value_name = "CLUSTER", help_heading = GLOBAL)]
    pub confirm: Option<String>,
    /// The language of the studio, of demos and of lessons [default: config.toml's `language`, then that of the locale]
    #[arg(long, global = true, value_name = "LANGUAGE", help_heading = GLOBAL)]
    pub lang: Option<Lang>,
    /// What to do; without it the studio opens
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A language by its two letters.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the embedded broker alone, to any Kafka client
    Broker(broker::Args),
    /// List, create and delete topics
    Topics(topics::Args),
    /// Write records from NDJSON
    Produce(produce::Args),
    /// Follow log files and write their lines to a topic
    Agent(agent::Args),
    /// Print records
    Read(read::Args),
    /// Write the changes of a SQLite database to topics, as Debezium does
    Capture(capture::Args),
    /// List consumer groups, or show one with its lag
    Groups(groups::Args),
    /// Build a read model from the whole log
    Rebuild(rebuild::Args),
    /// See what another version of a projection's file would change, before it is put in use
    Preview(preview::Args),
    /// Bring back the build of a read model before the one in use, or delete it
    Rollback(rollback::Args),
    /// Keep read models up to date until interrupted
    Follow(follow::Args),
    /// Run the tests in projection files
    Test(test::Args),
    /// Query read models with SQL
    Query(query::Args),
    /// Look at a read model as it was at any moment
    At(at::Args),
    /// Compare two read models, or two moments of one, row by row
    Diff(diff::Args),
    /// See what a read model would have been, had the log or the handlers been others
    WhatIf(what_if::Args),
    /// Walk through the past of a read model, one event at a time, forward or back
    Step(step::Args),
    /// Find every event that wrote a row
    Blame(blame::Args),
    /// Check that a read model is what its log says, and hunt for faults of its projection
    Verify(verify::Args),
    /// Print every row of a read model, then its SHA-256
    Dump(dump::Args),
    /// List read models with position, lag, state and counts
    Projections(projections::Args),
    /// List what the projections' alerts found
    Alerts(alerts::Args),
    /// Show the records that a read model could not apply, each with the reason; retry, skip, edit or replay them
    DeadLetters(dead_letters::Args),
    /// Write the records of topics to another cluster as they come, or compare the two
    Mirror(mirror::Args),
    /// List and run demos
    Demo(demo::Args),
    /// Find the use case that fits, by a few questions
    Choose(choose::Args),
}

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> miette::Result<()> {
    // An error is copied into searches and commands: no word of it may be broken, nor a line where no terminal needs it.
    let _ = miette::set_hook(Box::new(|_| {
        let terminal = std::io::stderr().is_terminal();
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into());
        Box::new(
            MietteHandlerOpts::new()
                .break_words(false)
                .wrap_lines(terminal)
                .width(width)
                .build(),
        )
    }));
    let context = Context::new(&cli)?;
    log::init(context.data());
    match cli.command {
        None => studio::run(&context),
        Some(Command::Broker(args)) => broker::run(&context, args),
        Some(Command::Topics(args)) => topics::run(&context, args),
        Some(Command::Produce(args)) => produce::run(&context, args),
        Some(Command::Agent(args)) => agent::run(&context, args),
        Some(Command::Read(args)) => read::run(&context, args),
        Some(Command::Capture(args)) => capture::run(&context, args),
        Some(Command::Groups(args)) => groups::run(&context, args),
        Some(Command::Rebuild(args)) => rebuild::run(&context, args),
        Some(Command::Preview(args)) => preview::run(&context, args),
        Some(Command::Rollback(args)) => rollback::run(&context, args),
        Some(Command::Follow(args)) => follow::run(&context, args),
        Some(Command::Test(args)) => test::run(&context, args),
        Some(Command::Query(args)) => query::run(&context, args),
        Some(Command::At(args)) => at::run(&context, args),
        Some(Command::Diff(args)) => diff::run(&context, args),
        Some(Command::WhatIf(args)) => what_if::run(&context, args),
        Some(Command::Step(args)) => step::run(&context, args),
        Some(Command::Blame(args)) => blame::run(&context, args),
        Some(Command::Verify(args)) => verify::run(&context, args),
        Some(Command::Dump(args)) => dump::run(&context, args),
        Some(Command::Projections(args)) => projections::run(&context, args),
        Some(Command::Alerts(args)) => alerts::run(&context, args),
        Some(Command::DeadLetters(args)) => dead_letters::run(&context, args),
        Some(Command::Mirror(args)) => mirror::run(&context, args),
        Some(Command::Demo(args)) => demo::run(&context, args),
        Some(Command::Choose(args)) => choose::run(&context, args),
    }
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;

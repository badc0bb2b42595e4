//! `foldlog capture`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use miette::Report;
use serde_json::json;

use crate::readmodel::capture::release;
use crate::replay::capture::{CaptureOptions, Captured, capture};
use crate::replay::error::ReplayError;
use crate::replay::task::Task;
use crate::replay::watch::Watch;

use super::context::Context;
use super::interrupt::Interrupt;
use super::show;

/// How often what there is to say is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog capture shop.db --topic-prefix shop
  foldlog capture shop.db --topic-prefix shop --table orders
  foldlog capture shop.db --topic-prefix s --topic changes
  foldlog capture shop.db --topic-prefix shop --once
  foldlog capture shop.db --release

First every row as it is now is an event (op r), then every change that is committed, whichever program makes it (c, u, d). \
Events are those that Debezium writes as JSON: before, after, source, op, ts_ms; a deletion is followed by a tombstone. Topics are \
called PREFIX.DATABASE.TABLE, the key is the row's primary key.

Changes are written down by triggers, in a table of the database itself and in the transaction that makes the change; its own tables \
keep their rows and columns. Started again, a capture goes on after the last change that the broker acknowledged; one that was killed \
may write the last ones twice. --release takes triggers and table away; do so before a column is dropped, which SQLite refuses where a \
trigger names it. INSERT OR REPLACE tells of the row that it deletes only where its program says PRAGMA recursive_triggers = ON.

A table that gets other columns is read once more (op r, snapshot \"incremental\"). So is one that was made anew or was left out for a \
while, but which of its rows were deleted meanwhile nobody noted: this is said. A table that is left out has no triggers any more. \
Where the broker is away, or somebody writes to the database for long, the capture waits. One database has one capture at a time.

While rows are read for the first time, a database in WAL mode is written to as ever. In other modes its writers wait while its rows \
are copied into a file beside it, and not while they go to the broker. Bytes are hexadecimal text.")]
pub struct Args {
    /// The SQLite database
    #[arg(value_name = "DATABASE.db")]
    database: PathBuf,
    /// The name of the capture: what topics begin with, and `source.name` of every event
    #[arg(long, value_name = "PREFIX", required_unless_present = "release")]
    topic_prefix: Option<String>,
    /// One topic for all tables; keys then name their table too
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Capture this table alone; can be given several times [default: all]
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// Write each key and value as {schema, payload}, as Kafka Connect does with schemas.enable=true
    #[arg(long)]
    schemas: bool,
    /// How many partitions a topic gets that is created [default: what the cluster says]
    #[arg(short, long, value_name = "N")]
    partitions: Option<i32>,
    /// End when everything is written that is there now
    #[arg(long)]
    once: bool,
    /// Take the triggers and their table out of the database again, and do nothing else
    #[arg(long, conflicts_with_all = ["topic_prefix", "topic", "table", "schemas", "partitions", "once"])]
    release: bool,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    if args.release {
        release(&args.database)?;
        if !context.json() {
            println!("{} is captured no more", args.database.display());
        }
        return Ok(());
    }
    let connection = context.connect()?;
    let options = CaptureOptions {
        prefix: args.topic_prefix.unwrap_or_default(),
        database: None,
        topic: args.topic,
        tables: args.table,
        schemas: args.schemas,
        partitions: args.partitions,
        once: args.once,
        clock: None,
        watch: Arc::<Watch>::default(),
    };
    let task = capture(connection.client.clone(), args.database, options);
    let token = task.token();
    let _listening = Interrupt::listen(move || token.cancel());
    if !args.once && std::io::stderr().is_terminal() {
        eprintln!("capturing until Ctrl-C");
    }
    watch(&task);
    match task.wait() {
        Ok(done) => report(context, &done),
        Err(ReplayError::Cancelled) => eprintln!("interrupted before every row was read: it begins anew next time"),
        Err(error) => return Err(Report::new(error)),
    }
    Ok(())
}

/// Says what must be said until it is over.
fn watch(task: &Task<Captured>) {
    let progress = task.progress();
    let mut told = 0;
    loop {
        // Before the look: what is said last is said before it is over.
        let is_over = task.is_finished();
        let notices = Arc::clone(&progress.borrow().notices);
        for notice in notices.since(told) {
            eprintln!("{}", show::notice(notice));
        }
        told = notices.said();
        if is_over {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

fn report(context: &Context, done: &Captured) {
    if context.json() {
        let line = json!({
            "tables": done.tables,
            "rows": done.rows,
            "changes": done.changes,
            "records": done.records,
            "passed_over": done.passed_over,
        });
        println!("{line}");
        return;
    }
    let (rows, changes) = (show::counted(done.rows, "row"), show::counted(done.changes, "change"));
    let records = show::counted(done.records, "record");
    println!(
        "{rows} and {changes} of {} captured: {records} written",
        done.tables.join(", ")
    );
}

//! `foldlog blame`.

use std::sync::mpsc::sync_channel;
use std::thread;

use miette::miette;

use crate::replay::blame::{Answered, BlameOptions, Blamed, blame};
use crate::replay::rebuild::Until;

use super::context::Context;
use super::rebuild::{parse_until, watch};
use super::{event, show};

/// Events between the replay and the terminal.
const WAITING: usize = 256;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints every event that wrote the row, oldest first, as far as the read model has come: where it stands in the log, the line of \
the handler that wrote, old and new values. A read model whose file says `-- history: on` keeps them and answers at once; for any \
other the log is replayed by the rules that it was built with.

Examples:
  foldlog blame account_balance account a1
  foldlog blame account_balance account a1 balance
  foldlog blame stock level '[\"berlin\", 4711]' pieces
  foldlog blame stock level 7 pieces --until 2026-01-31
  foldlog blame stock level 7 --json | jq .record")]
pub struct Args {
    /// The projection
    projection: String,
    /// The table
    table: String,
    /// The row's primary key; a JSON array where it has several columns
    key: String,
    /// Only events that changed this column
    column: Option<String>,
    /// Only events before this time (2026-01-31, 2026-01-31T08:00:00Z, or milliseconds since 1970), or before these offsets,
    /// as `foldlog at` takes them
    #[arg(long, value_name = "TIME|P:OFFSET,...", value_parser = parse_until)]
    until: Option<Until>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let row = event::row(args.table, &args.key, args.column);
    let (tell, told) = sync_channel::<Blamed>(WAITING);
    let json = context.json();
    let options = BlameOptions {
        until: args.until,
        values: json,
    };
    let task = blame(client, store, args.projection.clone(), row, options, tell);
    let printing = thread::spawn(move || {
        for Blamed { tables, step } in told {
            if json {
                println!("{}", event::json(&tables, &step, false));
            } else {
                println!("{}", event::text(&tables, &step, false));
            }
        }
    });
    watch(&task, &format!("blame {}", args.projection))?;
    let report = task.wait();
    // The task is over and with it the sender: what is left is printed.
    let _ = printing.join();
    let report = report?;
    let records = show::counted(report.counts.total(), "record");
    if report.found == 0 {
        return Err(miette!(
            help = "is the key spelt as it stands in the row? `foldlog query` shows it",
            "none of {records} wrote that row"
        ));
    }
    let found = show::counted(report.found, "event");
    match report.from {
        Answered::History(history) => eprintln!(
            "{found} of {records}, told by the history ({})",
            show::bytes(history.bytes)
        ),
        Answered::Replay => eprintln!("{found} of {records}, found by a replay"),
    }
    if report.gone > 0 {
        eprintln!(
            "{} no longer in the log: their values are null here",
            show::counted(report.gone, "record")
        );
    }
    Ok(())
}

//! `foldlog at`.

use miette::miette;

use crate::readmodel::store::ReadModelInfo;
use crate::replay::at::at;
use crate::replay::rebuild::Until;

use super::context::Context;
use super::format::{Format, ROWS, one_of};
use super::query;
use super::rebuild::{parse_until, watch};
use super::{dump, show};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog at account_balance 2026-01-31T08:00:00Z
  foldlog at account_balance 0:1500,1:1480
  foldlog at revenue orders:0:1500,payments:0:900
  foldlog at account_balance 2026-01-31 \\
    -q 'SELECT * FROM account ORDER BY balance DESC'

The log is replayed from the nearest snapshot by the rules that the read model was built with; the read model in use stays \
as it is. In the query tables are named bare or with the projection's name.")]
pub struct Args {
    /// The projection
    projection: String,
    /// Before this time (2026-01-31, 2026-01-31T08:00:00Z, or milliseconds since 1970), or before these offsets; partitions
    /// that are not named are taken to their end. TOPIC:P:OFFSET where several topics have the partition
    #[arg(value_name = "TIME|P:OFFSET,...", value_parser = parse_until)]
    moment: Until,
    /// Ask this, instead of printing every row
    #[arg(short = 'q', long = "query", value_name = "SQL")]
    sql: Option<String>,
    /// How to print the rows; csv is for those of a query [default: table; json with --json]
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = one_of(ROWS))]
    output: Option<Format>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    if args.sql.is_none() && args.output == Some(Format::Csv) {
        return Err(miette!(
            "every row of a read model is no CSV: its tables differ; ask for one with -q SQL"
        ));
    }
    let connection = context.connect()?;
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let task = at(client, store, args.projection.clone(), Some(args.moment));
    watch(&task, &format!("at {}", args.projection))?;
    let moment = task.wait()?;
    eprintln!("{}", sentence(&moment.info));
    match args.sql {
        Some(sql) => query::print(&moment.scratch.session()?, &sql, args.output, None, context.json()),
        None => dump::print(context.json(), |out| moment.scratch.dump(out)),
    }
}

/// What a read model is and how far it has come, in a few words.
pub(super) fn sentence(info: &ReadModelInfo) -> String {
    let mut text = format!("{} after {}", info.name, show::counted(info.counts.total(), "record"));
    if let Some(latest) = info.latest {
        text += &format!(", the latest of {}", show::time(latest));
    }
    text += &show::of_several(&info.position);
    if info.counts.skipped > 0 {
        text += &format!("; {} of them could not be applied", show::count(info.counts.skipped));
    }
    if info.counts.held > 0 {
        text += &format!("; {} of them are held", show::count(info.counts.held));
    }
    if info.decisions > 0 {
        let s = if info.decisions == 1 { "s" } else { "" };
        text += &format!("; {} amend{s} the log", show::counted(info.decisions, "decision"));
    }
    text
}

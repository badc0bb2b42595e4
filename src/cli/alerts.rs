//! `foldlog alerts`.

use std::io::{self, BufWriter, Write};

use miette::miette;
use serde_json::{Value, json};

use crate::decode::printable::one_line;
use crate::readmodel::alert::{Alert, At};
use crate::readmodel::store::{State, Store};

use super::context::Context;
use super::show;
use super::table::{table, text};

/// Alerts of a read model in a table; `--json` has all.
const SHOWN: usize = 100;
/// Characters of a row in a table.
const WIDTH: usize = 100;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An alert is a row that the SELECT of an `-- alert:` returns. It is raised when the row comes, and resolved when it is gone; SINCE and \
RESOLVED are the times of the events that made it so. The latest stand last.

Examples:
  foldlog alerts
  foldlog alerts account_balance --all
  foldlog alerts account_balance --json | jq '{alert, row}'")]
pub struct Args {
    /// The projection; without it those of every read model
    projection: Option<String>,
    /// Those that are resolved, too
    #[arg(short, long)]
    all: bool,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let store = context.store()?;
    let names = match &args.projection {
        Some(name) => vec![store.info(name)?.name],
        None => readable(&store)?,
    };
    let limit = if context.json() { usize::MAX } else { SHOWN + 1 };
    let (mut found, mut watched) = (Vec::new(), 0);
    for name in names {
        if let Some(alerts) = store.alerts(&name, args.all, limit)? {
            watched += 1;
            if let (true, forgotten @ 1..) = (args.all, store.forgotten_alerts(&name)?) {
                let older = show::counted(forgotten, "resolved alert");
                eprintln!("{older} of {name} that came before are no longer kept: of each name the latest are");
            }
            found.push((name, alerts));
        }
    }
    if context.json() {
        return json_lines(&found);
    }
    if watched == 0 {
        match &args.projection {
            Some(name) => eprintln!("`{name}` has no alerts: an `-- alert:` in its file makes some"),
            None => eprintln!("no read model has alerts: an `-- alert:` in a projection's file makes some"),
        }
        return Ok(());
    }
    if found.iter().all(|(_, alerts)| alerts.is_empty()) {
        eprintln!(
            "{}",
            if args.all {
                "no alert was ever raised"
            } else {
                "no alert is open"
            }
        );
        return Ok(());
    }
    print_table(&mut found);
    Ok(())
}

/// The read models whose files can be read.
fn readable(store: &Store) -> miette::Result<Vec<String>> {
    let models = store.list()?.into_iter();
    Ok(models
        .filter(|info| !matches!(info.state, State::Unreadable { .. }))
        .map(|info| info.name)
        .collect())
}

fn print_table(found: &mut [(String, Vec<Alert>)]) {
    let mut table = table(["PROJECTION", "ALERT", "STATE", "SINCE", "RESOLVED", "POSITION", "ROW"]);
    let mut more = Vec::new();
    for (name, alerts) in found {
        if alerts.len() > SHOWN {
            alerts.drain(..alerts.len() - SHOWN);
            more.push(name.clone());
        }
        for alert in alerts {
            let state = if alert.resolved.is_some() { "resolved" } else { "open" };
            let at = alert.at();
            table.add_row([
                text(name),
                text(&alert.name),
                text(state),
                text(&time(&alert.raised)),
                text(&alert.resolved.as_ref().map_or_else(|| "-".to_owned(), time)),
                text(&format!("{}:{}:{}", at.topic, at.partition, at.offset)),
                text(&cut(&alert.row)),
            ]);
        }
    }
    println!("{table}");
    for name in more {
        eprintln!("the latest {} of {name}; all with --json", show::count(SHOWN as u64));
    }
}

fn time(at: &At) -> String {
    at.timestamp.map_or_else(|| "-".to_owned(), show::time)
}

fn cut(row: &str) -> String {
    let shown = one_line(row.as_bytes(), WIDTH);
    if shown.cut { shown.text + "…" } else { shown.text }
}

fn json_lines(found: &[(String, Vec<Alert>)]) -> miette::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let lines = found
        .iter()
        .flat_map(|(name, alerts)| alerts.iter().map(move |alert| line(name, alert)));
    let written = lines
        .into_iter()
        .try_for_each(|line| writeln!(out, "{line}"))
        .and_then(|()| out.flush());
    match written {
        // Whoever reads it has enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(miette!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

fn line(name: &str, alert: &Alert) -> Value {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
    json!({
        "projection": name,
        "alert": alert.name,
        "state": alert.state(),
        "key": value(&alert.key),
        "row": value(&alert.row),
        "raised": place(&alert.raised),
        "resolved": alert.resolved.as_ref().map(place),
    })
}

fn place(at: &At) -> Value {
    json!({
        "topic": at.topic,
        "partition": at.partition,
        "offset": at.offset,
        "timestamp": at.timestamp.map(|time| time.0),
    })
}

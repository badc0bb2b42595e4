//! `foldlog preview`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use miette::{Report, miette};
use serde_json::{Value, json};

use crate::projection::Projection;
use crate::readmodel::compare::Tally;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::store::Store;
use crate::replay::error::ReplayError;
use crate::replay::preview::{Parting, Preview, PreviewOptions, accept, preview};
use crate::replay::task::Task;

use super::at::sentence;
use super::context::{Connection, Context};
use super::differences::{self, Printed, row_json, what_differs};
use super::interrupt::Interrupt;
use super::rebuild::{load, takes_over, watch};
use super::saved::Saved;
use super::what_if::{counts_json, counts_line};
use super::{rebuild, show, verify};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is folded beside the read model in use, to the same position, and compared with it row by row: - is what is in use, + \
what the file makes. Then the log is searched for the first event after which the two part. The read model in use serves \
meanwhile, and can be followed; nothing of it changes before --accept.

Examples:
  foldlog preview account_balance.sql
  foldlog preview account_balance.sql --watch
  foldlog preview account_balance.sql --accept
  foldlog preview account_balance.sql --drop
  foldlog diff account_balance account_balance@preview

--accept takes what has come to the log since, and swaps as a rebuild does: the build before is kept, and `foldlog rollback \
account_balance` brings it back. Whoever follows the read model must be stopped for the swap; the preview waits. \
The exit code is 0 whether or not anything differs.")]
pub struct Args {
    /// The projection's file
    #[arg(value_name = "FILE.sql")]
    file: PathBuf,
    /// Build it anew whenever the file is saved, until interrupted
    #[arg(long, conflicts_with_all = ["accept", "drop"])]
    watch: bool,
    /// Put the preview of this file in use
    #[arg(long, conflicts_with = "drop")]
    accept: bool,
    /// Delete the preview
    #[arg(long)]
    drop: bool,
    /// Go on past records that cannot be applied, keeping each as a dead letter, instead of stopping with the list
    #[arg(long)]
    skip_poison: bool,
    /// With --accept, take the place of a read model of the same name that another file made
    #[arg(long)]
    replace: bool,
    /// Show at most this many rows of a table; all are counted [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    if args.drop {
        return dropped(context, &load(&args.file)?);
    }
    if args.accept {
        return accepted(context, &args);
    }
    if !args.watch {
        let projection = load(&args.file)?;
        return built(
            context,
            &context.connect()?,
            &args,
            projection,
            &Interrupt::listen(|| {}),
            None,
        );
    }
    let interrupt = Interrupt::listen(|| {});
    let connection = context.connect()?;
    let mut saved = Saved::new(std::slice::from_ref(&args.file));
    while !interrupt.is_set() {
        let first = saved.is_new();
        if saved.changed() {
            if !first && !context.json() {
                println!();
            }
            let told = load(&args.file)
                .and_then(|projection| built(context, &connection, &args, projection, &interrupt, Some(&saved)));
            match told {
                // It was saved again meanwhile.
                Err(error)
                    if error
                        .downcast_ref()
                        .is_some_and(|error| matches!(error, ReplayError::Cancelled)) => {}
                Err(error) => eprintln!("{error:?}"),
                Ok(()) => {}
            }
            continue;
        }
        saved.wait();
    }
    Ok(())
}

fn built(
    context: &Context,
    connection: &Connection,
    args: &Args,
    projection: Projection,
    interrupt: &Interrupt,
    saved: Option<&Saved>,
) -> miette::Result<()> {
    let name = projection.name.clone();
    let options = PreviewOptions {
        skip_poison: args.skip_poison,
    };
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let hash = projection.hash.clone();
    let task = preview(client, store, projection, options);
    let (found, notes) = waited(task, &format!("preview {name}"), saved)?;
    for note in &notes {
        eprintln!("note: {note}");
    }
    if hash == found.before.hash {
        eprintln!(
            "note: {} says what the read model in use was built with",
            args.file.display()
        );
    }
    eprintln!("- {}", sentence(&found.before));
    eprintln!("+ {}, by {}", sentence(&found.after), args.file.display());
    let (mut before, mut after) = found.sides()?;
    for side in [&mut before, &mut after] {
        let interrupt = interrupt.clone();
        side.interrupt_when(move || interrupt.is_set())?;
    }
    let Printed::Whole(tally) = differences::print(context.json(), args.limit, &before, &after)? else {
        return Ok(());
    };
    let mut parting = None;
    if tally.rows() > 0 {
        let task = found.parting(connection.client.clone());
        (parting, _) = waited(task, "the first event", saved)?;
    }
    if context.json() {
        println!("{}", report_json(&found, &tally, parting.as_ref(), &notes));
    } else {
        print!("{}", text(&found, &tally, parting.as_ref()));
        eprintln!(
            "`foldlog preview {} --accept` puts it in use, --drop deletes it",
            args.file.display()
        );
    }
    Ok(())
}

/// Waits for a task, which is cancelled when the file is saved meanwhile, and returns what it noted.
fn waited<T>(task: Task<T>, name: &str, saved: Option<&Saved>) -> miette::Result<(T, Vec<String>)> {
    let done = Arc::new(AtomicBool::new(false));
    if let Some(saved) = saved {
        let (mut saved, token, done) = (saved.clone(), task.token(), Arc::clone(&done));
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if saved.changed() {
                    token.cancel();
                    break;
                }
                saved.wait();
            }
        });
    }
    let notes = watch(&task, name);
    let result = task.wait();
    done.store(true, Ordering::Relaxed);
    Ok((result?, notes?.to_vec()))
}

fn text(found: &Preview, tally: &Tally, parting: Option<&Parting>) -> String {
    let mut lines = Vec::new();
    if tally.is_equal() {
        lines.push("no row changes".to_owned());
    }
    match parting {
        Some(Parting { event, row }) => {
            let sign = match (&row.before, &row.after) {
                (Some(_), Some(_)) => '~',
                (Some(_), None) => '-',
                _ => '+',
            };
            let what = what_differs(row);
            let colon = if what.is_empty() { "" } else { ": " };
            lines.push(format!(
                "the first event after which they part: {}\n  {sign} {}{colon}{what}",
                verify::event_line(event),
                verify::row_of(row)
            ));
        }
        None if tally.rows() > 0 => lines.push(format!(
            "no event makes them part: replayed, the log gives the same rows by both, so the read model in use is not what its log \
             says\n  `foldlog verify {}` says since when",
            found.before.name
        )),
        None => {}
    }
    lines.push(counts_line(found.before.counts, found.after.counts));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn report_json(found: &Preview, tally: &Tally, parting: Option<&Parting>, notes: &[String]) -> Value {
    let mut line = differences::total(tally);
    line["projection"] = found.after.name.as_str().into();
    line["file"] = found.after.file.as_str().into();
    line["hash"] = found.after.hash.as_str().into();
    line["position"] = show::position_json(&found.after.position);
    line["first"] = parting.map_or(
        Value::Null,
        |parting| json!({ "event": verify::event_json(&parting.event), "row": row_json(&parting.row) }),
    );
    line["events"] = json!({ "before": counts_json(found.before.counts), "after": counts_json(found.after.counts) });
    line["missing_fields"] = found.missing.iter().map(rebuild::missing_json).collect();
    line["notes"] = json!(notes);
    line
}

fn accepted(context: &Context, args: &Args) -> miette::Result<()> {
    let projection = load(&args.file)?;
    let note = takes_over(&context.store()?, &projection, args.replace)?;
    let connection = context.connect()?;
    let name = projection.name.clone();
    let options = PreviewOptions {
        skip_poison: args.skip_poison,
    };
    let task = accept(connection.client.clone(), connection.store.clone(), projection, options);
    let notices = watch(&task, &format!("accept {name}"))?;
    let notes: Vec<String> = note.into_iter().chain(notices.iter().cloned()).collect();
    for note in &notes {
        eprintln!("note: {note}");
    }
    let report = task.wait().map_err(|error| match error {
        ReplayError::ReadModel(error) => locked(
            &name,
            error,
            "the preview waits, and takes what comes meanwhile when it is put in use",
        ),
        error => error.into(),
    })?;
    if context.json() {
        let mut line = show::info_json(&report.info);
        line["notes"] = json!(notes);
        println!("{line}");
    } else {
        println!(
            "{name} is now what {} makes of {}; `foldlog rollback {name}` brings back what was in use",
            args.file.display(),
            show::counted(report.records, "record")
        );
    }
    Ok(())
}

/// What to do about a read model that somebody else writes, where nothing is lost by waiting.
pub(super) fn locked(name: &str, error: ReadModelError, waits: &str) -> Report {
    match error {
        ReadModelError::Locked { holder, .. } => miette!(
            help = format!("stop it and run this again; {waits}"),
            "the read model `{name}` is being written by {holder}"
        ),
        error => error.into(),
    }
}

fn dropped(context: &Context, projection: &Projection) -> miette::Result<()> {
    let (store, name): (Store, _) = (context.store()?, &projection.name);
    if !store.drop_preview(name)? {
        return Err(ReadModelError::NoPreview { name: name.clone() }.into());
    }
    if context.json() {
        println!("{}", json!({ "projection": name, "dropped": "preview" }));
    } else {
        println!("the preview of {name} is gone");
    }
    Ok(())
}

//! `foldlog mirror`.

use std::io::IsTerminal;
use std::time::Duration;

use miette::{Report, miette};
use serde_json::json;

use crate::replay::error::ReplayError;
use crate::replay::mirror::compare::{Comparison, compare};
use crate::replay::mirror::{MirrorOptions, Mirrored, mirror};
use crate::replay::task::Task;

use super::context::Context;
use super::interrupt::Interrupt;
use super::show;

/// How often what there is to say is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each record goes to the partition that it comes from, with its key, value, headers and time. Topics that are missing there are \
made with the same partitions and configuration. Ends with Ctrl-C; started again, it goes on where it stopped: how far it is \
stands in the topic foldlog-mirror of the target, and the target's own end says what came of the last batch. So a record is \
there once, whenever this ends. Offsets are others than in the source where that has gaps.

What cannot be: two ways between two clusters, because a mirror is written by the mirror alone; and the state of consumer groups.

Examples:
  foldlog mirror orders payments --to backup:9092
  foldlog -c shop mirror orders --to-cluster backup --once
  foldlog mirror orders --to 127.0.0.1:9093 --check")]
pub struct Args {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// The cluster that the records go to
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "to_cluster",
        conflicts_with = "to_cluster"
    )]
    to: Option<String>,
    /// The cluster that the records go to, as config.toml names it
    #[arg(long, value_name = "CLUSTER")]
    to_cluster: Option<String>,
    /// End when everything is there that was in the topics at the start
    #[arg(long)]
    once: bool,
    /// Write nothing: compare the two, record by record, and end with exit code 1 where they differ
    #[arg(long, conflicts_with = "once")]
    check: bool,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let source = context.reading_only().connect()?;
    let target = context.other(args.to.as_deref(), args.to_cluster.as_deref())?;
    if args.check {
        let stop = Interrupt::listen(|| {});
        let found = compare(&source.client, &target, &args.topics, &|| stop.is_set()).map_err(Report::new)?;
        return tell(context, &found);
    }
    let options = MirrorOptions {
        topics: args.topics,
        once: args.once,
    };
    let task = mirror(source.client.clone(), target, options);
    let token = task.token();
    let _stop = Interrupt::listen(move || token.cancel());
    watch(&task);
    match task.wait() {
        Ok(done) => {
            say(context, &done);
            Ok(())
        }
        Err(ReplayError::Cancelled) => Ok(()),
        Err(error) => Err(Report::new(error)),
    }
}

/// Says what must be said until it is over: notices, and on a terminal how far it is.
fn watch(task: &Task<Mirrored>) {
    let bar = std::io::stderr()
        .is_terminal()
        .then(indicatif::ProgressBar::new_spinner);
    let progress = task.progress();
    let mut told = 0;
    loop {
        // Before the look: what is said last is said before it is over.
        let is_over = task.is_finished();
        let now = progress.borrow().clone();
        for notice in now.notices.since(told).iter().map(|notice| show::notice(notice)) {
            match &bar {
                Some(bar) => bar.println(notice),
                None => eprintln!("{notice}"),
            }
        }
        told = now.notices.said();
        if is_over {
            break;
        }
        if let Some(bar) = &bar {
            bar.set_message(format!(
                "{} mirrored, {} to go, {:.0}/s",
                show::counted(now.counts.applied, "record"),
                now.lag(),
                now.rate
            ));
            bar.tick();
        }
        std::thread::sleep(LOOK);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn say(context: &Context, done: &Mirrored) {
    if context.json() {
        let position: serde_json::Map<String, serde_json::Value> = done
            .position
            .iter()
            .map(|(at, next)| (at.to_string(), json!(next)))
            .collect();
        println!("{}", json!({ "records": done.records, "position": position }));
    } else {
        eprintln!("mirrored {}", show::counted(done.records, "record"));
    }
}

fn tell(context: &Context, found: &Comparison) -> miette::Result<()> {
    if context.json() {
        let told = json!({
            "equal": found.equal,
            "different": found.different,
            "missing": found.missing,
            "extra": found.extra,
            "first": found.first,
        });
        println!("{told}");
    } else {
        println!("{} equal", show::counted(found.equal, "record"));
    }
    if found.unequal() == 0 {
        return Ok(());
    }
    let Comparison {
        different,
        missing,
        extra,
        first,
        ..
    } = found;
    let first = first.as_deref().unwrap_or_default();
    Err(miette!(
        help = "where the mirror runs, it may only be behind: look again. What compaction or retention took on one side differs, too",
        "the mirror is not equal: {different} differ, {missing} missing, {extra} too many; the first: {first}"
    ))
}

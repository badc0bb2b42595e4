//! `foldlog demo`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Context as _, IntoDiagnostic, miette};
use serde_json::{Value, json};

use crate::decode::printable::printable;
use crate::demo::catalog::{Catalog, Demo};
use crate::demo::run::{Options, Outcome, Run, StepState, StepView, run as start};
use crate::demo::text::Language;

use crate::runtime::Demos;

use super::context::Context;
use super::studio;
use super::table::table;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog demo list
  foldlog demo show event-sourcing
  foldlog demo run event-sourcing --headless
  foldlog demo export event-sourcing my-lesson
  foldlog demo --demos my-lessons list")]
pub struct Args {
    /// Add the demos of this folder; one of the same id takes the place of a built-in one
    #[arg(long, global = true, value_name = "DIR")]
    demos: Vec<PathBuf>,
    /// The language of titles and lessons [default: that of the locale]
    #[arg(long, global = true, value_name = "LANGUAGE")]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

/// A language by its two letters.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    En,
    Zh,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the demos
    List,
    /// Print a demo's lesson
    Show {
        /// The demo's id
        id: String,
    },
    /// Run a demo in the studio, or here with --headless
    #[command(
        after_help = "Events are the same at every run: what the topics hold already is not written again. Topics and \
                            read models of the same name that are not the demo's are left alone, and the run stops."
    )]
    Run {
        /// The demo's id
        id: String,
        /// Run it here, without the studio; fails where a check does not hold
        #[arg(long)]
        headless: bool,
        /// Delete the demo's topics first, whatever they hold, and replace read models of the same name
        #[arg(long, requires = "headless")]
        reset: bool,
    },
    /// Write a demo's files into a folder, to read, to change, to make your own of
    Export {
        /// The demo's id
        id: String,
        /// The folder [default: the demo's id]
        dir: Option<PathBuf>,
    },
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let language = match args.lang {
        Some(Lang::En) => Language::English,
        Some(Lang::Zh) => Language::Chinese,
        None => Language::of_environment(),
    };
    let catalog = Catalog::load(&args.demos)?;
    match args.command {
        Command::List => list(context, &catalog, language),
        Command::Show { id } => {
            print!("{}", catalog.get(&id)?.lesson(language));
            Ok(())
        }
        Command::Run {
            id,
            headless: true,
            reset,
        } => headless(context, catalog.get(&id)?, Options { reset, language }),
        Command::Run { id, .. } => {
            catalog.get(&id)?;
            let demos = Demos {
                run: Some(id),
                catalog,
                language,
            };
            studio::open(context, demos)
        }
        Command::Export { id, dir } => {
            let dir = dir.unwrap_or_else(|| PathBuf::from(&id));
            for file in catalog.get(&id)?.export(&dir)? {
                println!("{}", file.display());
            }
            Ok(())
        }
    }
}

fn list(context: &Context, catalog: &Catalog, language: Language) -> miette::Result<()> {
    if context.json() {
        for demo in catalog.demos() {
            println!("{}", row(demo, language));
        }
        return Ok(());
    }
    let mut table = table(["DEMO", "TITLE", "WHAT IT SHOWS"]);
    if let Some((width, _)) = terminal_size::terminal_size_of(std::io::stdout()) {
        table.set_width(width.0);
    }
    for demo in catalog.demos() {
        table.add_row([&demo.id, demo.title.get(language), demo.summary.get(language)]);
    }
    println!("{table}");
    Ok(())
}

fn row(demo: &Demo, language: Language) -> Value {
    json!({
        "id": demo.id,
        "title": demo.title.get(language),
        "summary": demo.summary.get(language),
        "origin": demo.origin(),
        "topics": demo.topics.iter().map(|topic| &topic.name).collect::<Vec<_>>(),
        "projections": demo.projections.iter().map(|projection| &projection.name).collect::<Vec<_>>(),
        "steps": demo.steps.iter().map(|step| step.title.get(language)).collect::<Vec<_>>(),
    })
}

fn headless(context: &Context, demo: &Demo, options: Options) -> miette::Result<()> {
    let connection = context.connect()?;
    let run = start(
        connection.client.clone(),
        connection.store.clone(),
        demo.clone(),
        options,
    );
    watch(&run, !context.json())?;
    let outcome = run.wait()?;
    if context.json() {
        println!("{}", report(demo, &outcome));
    }
    let checks: Vec<&StepView> = outcome.steps.iter().filter(|step| step.check).collect();
    let held = checks.iter().filter(|step| step.state == StepState::Passed).count();
    let took = outcome.took.as_secs_f64();
    if !outcome.passed {
        return Err(miette!(
            help = "the demo's events are the same at every run: either a projection or a check was changed",
            "{}: {held} of {} checks hold",
            demo.id,
            checks.len()
        ));
    }
    if !context.json() {
        println!("{}: {held} of {} checks hold, {took:.1} s", demo.id, checks.len());
    }
    Ok(())
}

fn report(demo: &Demo, outcome: &Outcome) -> Value {
    let step = |step: &StepView| {
        json!({
            "title": step.title,
            "state": word(step.state),
            "note": step.note,
            "check": step.check,
        })
    };
    json!({
        "demo": demo.id,
        "passed": outcome.passed,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "steps": outcome.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn word(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Running => "running",
        StepState::Passed => "passed",
        StepState::Failed => "failed",
    }
}

/// Prints each step when it is over, draws the one under way on a terminal, and cancels the run when interrupted.
fn watch(run: &Run, print: bool) -> miette::Result<()> {
    let bar = bar(print);
    let mut steps = run.steps();
    let mut printed = 0;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()
        .wrap_err("cannot start the runtime")?;
    runtime.block_on(async {
        let mut interrupted = false;
        loop {
            tokio::select! {
                changed = steps.changed() => {
                    let now = steps.borrow_and_update().clone();
                    while let Some(step) = now.get(printed).filter(|step| is_over(step)) {
                        printed += 1;
                        if print {
                            bar.suspend(|| println!("{}", line(step)));
                        }
                    }
                    if let Some(step) = now.iter().find(|step| step.state == StepState::Running) {
                        bar.set_message(format!("{}  {}", step.title, step.note));
                    }
                    if changed.is_err() {
                        break;
                    }
                }
                _ = tokio::signal::ctrl_c(), if !interrupted => {
                    interrupted = true;
                    run.cancel();
                }
            }
        }
    });
    bar.finish_and_clear();
    Ok(())
}

fn is_over(step: &StepView) -> bool {
    matches!(step.state, StepState::Passed | StepState::Failed)
}

/// A step as a line: whether it went well, what it is, what there is to say.
fn line(step: &StepView) -> String {
    let mark = if step.state == StepState::Passed { "✓" } else { "✗" };
    let indent = if step.check { "  " } else { "" };
    let first = step.note.lines().next().unwrap_or_default();
    let note = printable(first.as_bytes(), 300).text;
    let gap = if note.is_empty() { "" } else { "  " };
    format!("{indent}{mark} {}{gap}{note}", step.title)
}

fn bar(print: bool) -> ProgressBar {
    let target = if print && std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    ProgressBar::with_draw_target(None, target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

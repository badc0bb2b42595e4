//! Running a demo without the studio, proving one, and cleaning up after one.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Context as _, IntoDiagnostic, miette};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::context::Context;
use crate::cli::interrupt;
use crate::cli::metrics::{self, Address, Server, Tell};
use crate::decode::printable::printable;
use crate::demo::catalog::{Catalog, Demo};
use crate::demo::clean;
use crate::demo::guide::Guide;
use crate::demo::prove;
use crate::demo::report::Report;
use crate::demo::run::{Options, Outcome, Run, StepState, StepView, prefix, run as start};
use crate::demo::text::Language;
use crate::readmodel::query::Session;
use crate::readmodel::store::Store;
use crate::record::Timestamp;

use super::report::ReportFile;

/// Asks whether something may be done to a cluster, unless it was said already.
fn allowed(what: &str, yes: bool) -> miette::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(miette!(
            help = "add --yes to allow it",
            "this would {what}: nothing was done"
        ));
    }
    eprint!("{what}? [y/N] ");
    io::stderr().flush().into_diagnostic()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).into_diagnostic()?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(miette!("nothing was done"))
}

/// Deletes what runs of a demo left on the cluster.
pub(super) fn clean(context: &Context, demo: &Demo, yes: bool) -> miette::Result<()> {
    if !context.is_embedded() {
        allowed(&format!("delete what {} made on {}", demo.id, context.cluster()), yes)?;
    }
    let connection = context.connect()?;
    let cleaned = clean::clean(&connection.client, &connection.store, demo)?;
    if context.json() {
        println!("{}", json!({ "removed": cleaned.removed, "left": cleaned.left }));
        return Ok(());
    }
    cleaned.removed.iter().for_each(|what| println!("deleted {what}"));
    cleaned.left.iter().for_each(|what| println!("left {what}"));
    if cleaned.removed.is_empty() && cleaned.left.is_empty() {
        eprintln!("no run of {} has left anything there", demo.id);
    }
    Ok(())
}

/// Proves the demo of a folder.
pub(super) fn prove(context: &Context, dir: &Path, language: Language) -> miette::Result<()> {
    let options = Options {
        language,
        ..Options::default()
    };
    let asked = interrupt::asked();
    let mut runs = 0;
    let mut failed = None;
    let proof = prove::prove(dir, &options, &mut |run| {
        runs += 1;
        if let Err(error) = watch(run, !context.json() && runs == 1, None, &asked) {
            failed = Some(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if context.json() {
        let mut json = report(&proof.id, &proof.outcome);
        json["events"] = proof.events.into();
        json["unstable"] = proof.unstable.clone().into();
        println!("{json}");
    }
    if !proof.outcome.passed {
        return Err(miette!(
            help = "what was found stands beside each check: either it or what leads to it is wrong",
            "{}: not every check holds",
            proof.id
        ));
    }
    if !proof.is_good() {
        return Err(miette!(
            help = "a lesson states exact numbers: let no handler depend on the order between partitions, and wait for what must have happened before a check",
            "{}: a second run is another:\n  {}",
            proof.id,
            proof.unstable.join("\n  ")
        ));
    }
    if !context.json() {
        println!(
            "{}: {} events as their schemas describe, every check holds, and twice the same rows",
            proof.id, proof.events
        );
    }
    Ok(())
}

/// Walks every way of a guide, and says what holds.
pub(super) fn guide(context: &Context, catalog: &Catalog, guide: &Guide, language: Language) -> miette::Result<()> {
    let checked = guide.run(catalog, &context.store()?, language)?;
    if context.json() {
        let steps = checked.steps.iter().map(|step| {
            let passed = step.state == StepState::Passed;
            json!({ "title": step.title, "passed": passed, "note": step.note })
        });
        let out = json!({ "demo": guide.id, "passed": checked.passed(), "missing": checked.missing, "checks": steps.collect::<Vec<_>>() });
        println!("{out}");
    } else {
        for step in &checked.steps {
            let mark = if step.state == StepState::Passed { "✓" } else { "✗" };
            println!("{mark} {}  {}", step.title, step.note);
        }
    }
    let (held, all) = (checked.held(), checked.steps.len());
    if !checked.passed() {
        return Err(miette!(
            help = match checked.missing.as_slice() {
                [] => "the guide's examples or its questions were changed: one of them is wrong".to_owned(),
                missing => format!("it names demos that are not there: {}", missing.join(", ")),
            },
            "{}: {held} of {all} checks hold",
            guide.id
        ));
    }
    if !context.json() {
        println!("{}: {held} of {all} checks hold", guide.id);
    }
    Ok(())
}

/// What is told of a run beside what is printed.
pub(super) struct Told {
    pub(super) report: Option<ReportFile>,
    pub(super) metrics: Option<Address>,
}

/// Runs a demo here.
pub(super) fn headless(
    context: &Context,
    demo: &Demo,
    mut options: Options,
    yes: bool,
    told: Told,
) -> miette::Result<()> {
    if !context.is_embedded() {
        let prefix = options.prefix.get_or_insert_with(|| prefix(&demo.id));
        let names: Vec<String> = demo
            .topics
            .iter()
            .map(|topic| format!("{prefix}{}", topic.name))
            .collect();
        let what = format!("create the topics {} on {}", names.join(", "), context.cluster());
        allowed(&what, yes)?;
    }
    let server = told.metrics.map(|address| Server::bind(address.0)).transpose()?;
    let connection = context.connect()?;
    options.embedded = connection.embedded.map(Arc::new);
    let (store, language) = (connection.store.clone(), options.language);
    let served = server.map(|server| (server, numbers(demo, &store, language)));
    // Before anything is begun that must be taken away again.
    let asked = interrupt::asked();
    let run = start(connection.client, connection.store, demo.clone(), options);
    watch(&run, !context.json(), served, &asked)?;
    let scene = run.scene();
    let outcome = run.wait()?;
    if context.json() {
        println!("{}", report(&demo.id, &outcome));
    }
    if let Some(file) = told.report {
        let at = Timestamp(jiff::Timestamp::now().as_millisecond());
        let scene = scene.borrow().clone();
        let place = (context.cluster(), at, language);
        let report = Report::of(demo, &outcome, scene, &store, (&place.0, place.1, place.2))?;
        file.write(&report)?;
    }
    // With `--step` those of later steps were not asked.
    let asked = |step: &&StepView| step.check && step.state != StepState::Waiting;
    let checks: Vec<&StepView> = outcome.steps.iter().filter(asked).collect();
    let held = checks.iter().filter(|step| step.state == StepState::Passed).count();
    let took = outcome.took.as_secs_f64();
    if !outcome.passed {
        return Err(miette!(
            help = "the demo's events are the same at every run: either a projection, a step or a check was changed",
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

/// What the demo's charts say whenever somebody asks; one that cannot be asked yet says nothing.
fn numbers(demo: &Demo, store: &Store, language: Language) -> Tell {
    let (demo, store) = (demo.clone(), store.clone());
    Arc::new(move || {
        let charts = match Session::open(&store) {
            Ok(session) => demo
                .charts
                .iter()
                .filter_map(|chart| chart.ask(&session, language).chart.ok())
                .collect(),
            Err(_) => Vec::new(),
        };
        metrics::charts(&demo.id, &charts)
    })
}

fn report(id: &str, outcome: &Outcome) -> Value {
    let step = |step: &StepView| {
        json!({
            "title": step.title,
            "state": word(step.state),
            "note": step.note,
            "check": step.check,
            "action": step.action,
        })
    };
    json!({
        "demo": id,
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
fn watch(run: &Run, print: bool, served: Option<(Server, Tell)>, asked: &CancellationToken) -> miette::Result<()> {
    let bar = bar(print);
    let mut steps = run.steps();
    let mut printed = 0;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()
        .wrap_err("cannot start the runtime")?;
    runtime.block_on(async {
        if let Some((server, tell)) = served {
            eprintln!("metrics at {}", server.address());
            tokio::spawn(server.serve(tell));
        }
        let mut cancelled = false;
        let mut patience = Patience::default();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let line = patience.line(&steps.borrow());
                    if let Some(line) = line.filter(|_| print && bar.is_hidden()) {
                        eprintln!("{line}");
                    }
                }
                changed = steps.changed() => {
                    let now = steps.borrow_and_update().clone();
                    while let Some(line) = next_line(&now[printed..]) {
                        printed += 1;
                        if print {
                            bar.suspend(|| println!("{line}"));
                        }
                    }
                    // The innermost: below a step stands what it does.
                    if let Some(step) = now.iter().rfind(|step| step.state == StepState::Running) {
                        bar.set_message(format!("{}  {}", step.title, step.note));
                    }
                    if changed.is_err() {
                        break;
                    }
                }
                () = asked.cancelled(), if !cancelled => {
                    cancelled = true;
                    run.cancel();
                }
            }
        }
    });
    bar.finish_and_clear();
    // A query that somebody's scrape still waits for keeps nobody here.
    runtime.shutdown_background();
    Ok(())
}

/// How often is looked whether something takes long.
const LOOK: Duration = Duration::from_secs(1);
/// How long something may take before what it waits for is said.
const LONG: Duration = Duration::from_secs(3);
/// How soon that is said again, if it is something else by then.
const AGAIN: Duration = Duration::from_secs(10);

/// Where nobody sees what is under way: what takes long, and what it waits for.
#[derive(Debug, Default)]
struct Patience {
    /// The line that is under way, and since when.
    at: Option<(usize, Instant)>,
    /// What was said of it, and when.
    said: Option<(String, Instant)>,
}

impl Patience {
    fn line(&mut self, steps: &[StepView]) -> Option<String> {
        let at = steps.iter().rposition(|step| step.state == StepState::Running)?;
        let since = match self.at {
            Some((known, since)) if known == at => since,
            _ => {
                *self = Self {
                    at: Some((at, Instant::now())),
                    said: None,
                };
                return None;
            }
        };
        let step = steps.get(at).filter(|step| !step.note.is_empty())?;
        let again = |(said, then): &(String, Instant)| *said != step.note && then.elapsed() >= AGAIN;
        if since.elapsed() < LONG || !self.said.as_ref().is_none_or(again) {
            return None;
        }
        self.said = Some((step.note.clone(), Instant::now()));
        let first = step.note.lines().next().unwrap_or_default();
        Some(format!("  … {}  {}", step.title, printable(first.as_bytes(), 300).text))
    }
}

/// The first of the lines, if it can be printed: a step of the lesson when it begins, so that what it does and checks comes
/// below it as it comes about, and everything else when it is over.
fn next_line(steps: &[StepView]) -> Option<String> {
    let step = steps.first()?;
    let parent = !step.check && !step.action && steps.get(1).is_some_and(|next| next.check || next.action);
    if parent {
        return (step.state != StepState::Waiting).then(|| step.title.clone());
    }
    is_over(step).then(|| line(step))
}

fn is_over(step: &StepView) -> bool {
    matches!(step.state, StepState::Passed | StepState::Failed)
}

/// A step as a line: whether it went well, what it is, what there is to say.
fn line(step: &StepView) -> String {
    let mark = match (step.state, step.action) {
        (StepState::Passed, true) => "·",
        (StepState::Passed, false) => "✓",
        _ => "✗",
    };
    let indent = if step.check || step.action { "  " } else { "" };
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

//! `foldlog follow`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Context as _, IntoDiagnostic, Report, miette};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::projection::Projection;
use crate::projection::circle::circle;
use crate::projection::parse::check_together;
use crate::readmodel::compile::compile;
use crate::readmodel::store::ReadModelInfo;
use crate::replay::follow::{FollowOptions, Wait, follow, paused};
use crate::replay::progress::{Phase, Progress};
use crate::replay::remote::RemoteOptions;
use crate::replay::task::Task;

use super::context::{Context, SINK, WEBHOOK, WEBHOOK_HEADER};
use super::interrupt::interrupted;
use super::metrics::{self, Address, Server};
use super::rebuild::{load, status};
use super::remote;
use super::show;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is not built yet is built first, as by `foldlog rebuild`: records that cannot be applied end that with the list of \
them, and there is no read model yet. Once live, a record that cannot be applied pauses its read model before it; the \
others go on. It waits until somebody decides about the record with `foldlog dead-letters PROJECTION retry`, `skip` or \
`edit`, or rebuilds the read model from its mended file, and goes on by itself.

What a file's `-- emit:` clauses say is published for every event from the first follow on, once, whether it is applied \
live or by a rebuild in between, and whenever this ends; never for those that came before. A topic that is missing is created.

Alerts of the file's `-- alert:` clauses that are raised and resolved by events that are applied live are said here, and told to \
the webhook. It gets a POST of {id, projection, alert, state, key, row, position, time}, once more after a failure, with pauses of up to \
five minutes, for a day; the id is also the header Idempotency-Key. An answer of 2xx is taken as success; any other 3xx or 4xx than 408, \
409, 425 and 429 gives it up.

With --metrics it answers Prometheus: records by what became of them, lag, rate, position and what it is doing, for each projection.

A store that --sink or config.toml names is kept in step with the rows of the read model: at first it is given all of them, then what \
changes, in batches that may come twice and end the same. A store that is away delays nothing: what changes waits in the read model's file, and it is \
tried again. A lake gets the records of the topics, each once, in files by date.

Ends with Ctrl-C; started again, it goes on where it stopped.

Examples:
  foldlog follow account_balance.sql
  foldlog follow projections/*.sql
  foldlog follow account_balance.sql --skip-poison
  foldlog follow account_balance.sql --no-emit
  foldlog follow projections/*.sql --metrics 9464
  export FOLDLOG_WEBHOOK=https://hooks.example.com/T0
  foldlog follow account_balance.sql
  foldlog follow orders.sql --sink redis://127.0.0.1:6379/0
  foldlog follow orders.sql --sink 'lake:/data?every=60s'
  foldlog follow orders.sql --in postgres://me@db/shop

With --in the handlers run in PostgreSQL, and nothing is kept here: rows, counts and position are one transaction there, so that each \
event counts once whatever ends this. A record that cannot be applied ends it before that record; a server that goes away is waited for. Alerts are \
not watched and nothing is published.")]
pub struct Args {
    /// The projections' files
    #[arg(required = true, value_name = "FILE.sql")]
    files: Vec<PathBuf>,
    /// Go on past records that cannot be applied, keeping each as a dead letter, instead of pausing (or, while it is built, of stopping
    /// with the list)
    #[arg(long)]
    skip_poison: bool,
    /// Publish nothing: what an `-- emit:` of a file would publish for the events that are applied now is never published
    #[arg(long)]
    no_emit: bool,
    /// End where a record cannot be applied, instead of waiting until somebody decides about it
    #[arg(long)]
    exit_when_paused: bool,
    /// Post each alert that is raised or resolved live to this address, as JSON. Better there than here, where others see it: the
    /// environment, or `[webhook]` with `url` and `header` in config.toml, which the studio obeys as well
    #[arg(long, value_name = "URL", env = WEBHOOK, hide_env_values = true)]
    webhook: Option<String>,
    /// A header that the webhook wants, as `Name: value`
    #[arg(long, value_name = "HEADER", env = WEBHOOK_HEADER, hide_env_values = true)]
    webhook_header: Option<String>,
    /// Serve metrics for Prometheus at this port or address of this machine, under /metrics
    #[arg(long, value_name = "ADDR")]
    metrics: Option<Address>,
    /// Keep this store in step with the read model, or write the records of its topics into a lake: redis://HOST:6379/0,
    /// postgres://USER@HOST/DATABASE, elasticsearch+http://HOST:9200, lake:DIR; may be given several times
    #[arg(long = "sink", value_name = "URL", env = SINK, hide_env_values = true)]
    sinks: Vec<String>,
    /// Run the handlers in this database instead of SQLite: postgres://USER@HOST/DATABASE?schema=NAME
    #[arg(long = "in", value_name = "URL")]
    place: Option<String>,
}

/// Refuses what is not done where handlers run in PostgreSQL; what only the environment asks for is asked for everything, and said.
fn check_unused(args: &Args) -> miette::Result<()> {
    let asked = [
        (args.webhook.is_some(), "--webhook", WEBHOOK),
        (args.webhook_header.is_some(), "--webhook-header", WEBHOOK_HEADER),
        (!args.sinks.is_empty(), "--sink", SINK),
    ];
    for (_, option, variable) in asked.into_iter().filter(|(is, ..)| *is) {
        if std::env::var_os(variable).is_none() {
            return Err(miette!(
                help = "no alert is raised and no store is fed from there: follow the file without --in as well",
                "{option} cannot be used with --in"
            ));
        }
        eprintln!("note: {variable} is not used where the handlers run in PostgreSQL");
    }
    Ok(())
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let projections: Vec<Projection> = args.files.iter().map(|file| load(file)).collect::<Result<_, _>>()?;
    check_together(&projections).map_err(|error| Report::new(*error))?;
    for projection in &projections {
        // Before anything starts: a mistake in the last file should not be found when the first is built.
        compile(projection).map_err(|error| Report::new(*error))?;
    }
    if let Some(url) = &args.place {
        check_unused(&args)?;
        let options = RemoteOptions {
            skip_poison: args.skip_poison,
            no_emit: args.no_emit,
            ..RemoteOptions::default()
        };
        let places = remote::places(&projections, url)?;
        let server = args.metrics.map(|address| Server::bind(address.0)).transpose()?;
        let connection = context.connect()?;
        let tasks = remote::follow_there(&connection, projections, places, &options);
        return until_ended(context, tasks, server, &remote::paused_report);
    }
    if !args.no_emit {
        warn_of_circle(&projections);
    }
    let server = args.metrics.map(|address| Server::bind(address.0)).transpose()?;
    let connection = context.connect()?;
    let webhook = context.webhook(args.webhook.as_deref(), args.webhook_header.as_deref())?;
    let feeding = context.feeding(&args.sinks)?;
    let tasks: Vec<(String, Task<ReadModelInfo>)> = projections
        .into_iter()
        .zip(&args.files)
        .map(|(projection, file)| {
            let (name, file) = (projection.name.clone(), file.clone());
            let wait = Wait {
                reload: Arc::new(move || load(&file).ok()),
            };
            let options = FollowOptions {
                skip_poison: args.skip_poison,
                no_emit: args.no_emit,
                webhook: webhook.clone(),
                wait: (!args.exit_when_paused).then_some(wait),
                group: None,
                sinks: feeding.of(&name),
            };
            let (client, store) = (connection.client.clone(), connection.store.clone());
            (name, follow(client, store, projection, options))
        })
        .collect();
    until_ended(context, tasks, server, &paused_report)
}

/// Watches follows until all have ended, and says how.
fn until_ended(
    context: &Context,
    tasks: Vec<(String, Task<ReadModelInfo>)>,
    server: Option<Server>,
    report: &dyn Fn(&str, &str) -> Report,
) -> miette::Result<()> {
    watch_all(&tasks, context.json(), server)?;
    let mut stopped = Vec::new();
    let all = tasks.len();
    for (name, task) in tasks {
        match task.wait() {
            Ok(info) => {
                if context.json() {
                    println!("{}", show::info_json(&info));
                }
                stopped.extend(paused(&info).map(|reason| report(&name, reason)));
            }
            Err(crate::replay::error::ReplayError::Cancelled) => {}
            Err(error) => stopped.push(Report::new(error)),
        }
    }
    if all == 1 {
        return stopped.pop().map_or(Ok(()), Err);
    }
    for report in &stopped {
        eprintln!("{report:?}");
    }
    match stopped.len() {
        0 => Ok(()),
        stopped => Err(miette!("{stopped} of {all} projections stopped")),
    }
}

/// Says that records go round, before they do.
fn warn_of_circle(projections: &[Projection]) {
    let steps: Vec<String> = circle(projections)
        .into_iter()
        .map(|(projection, topic)| format!("{} emits to {topic}", projection.name))
        .collect();
    if let Some(first) = steps.first() {
        eprintln!(
            "warning: these projections feed each other, for ever unless a clause of theirs stops emitting: {}, and so round to {first}",
            steps.join(", ")
        );
    }
}

fn paused_report(name: &str, reason: &str) -> Report {
    let text = crate::decode::printable::printable(reason.as_bytes(), 500).text;
    miette!(
        help = format!(
            "`foldlog dead-letters {name}` shows the record; `retry`, `skip` or `edit` after it decides what becomes of it, and \
             --skip-poison goes on past it"
        ),
        "{name} is paused: {text}"
    )
}

/// Shows how far each is, until all have ended or somebody interrupts.
fn watch_all(tasks: &[(String, Task<ReadModelInfo>)], json: bool, server: Option<Server>) -> miette::Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let bars = MultiProgress::with_draw_target(if terminal {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()
        .wrap_err("cannot start the runtime")?;
    runtime.block_on(async {
        if let Some(server) = server {
            eprintln!("metrics at {}", server.address());
            let all: Vec<_> = tasks
                .iter()
                .map(|(name, task)| (name.clone(), task.progress()))
                .collect();
            tokio::spawn(server.serve(Arc::new(move || metrics::replays(&all))));
        }
        let mut watched = JoinSet::new();
        for (name, task) in tasks {
            let view = View {
                name: name.clone(),
                bar: terminal.then(|| bars.add(line(name))),
                json,
                phase: None,
                noticed: 0,
            };
            watched.spawn(view.show(task.progress()));
        }
        let mut stop = std::pin::pin!(interrupted());
        let mut asked = false;
        loop {
            tokio::select! {
                next = watched.join_next() => if next.is_none() { break },
                () = &mut stop, if !asked => {
                    asked = true;
                    for (_, task) in tasks {
                        task.cancel();
                    }
                }
            }
        }
    });
    let _ = bars.clear();
    Ok(())
}

fn line(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner()
        .with_prefix(name.to_owned())
        .with_style(style)
}

/// One projection's line: drawn over and over on a terminal, written when something changes elsewhere.
struct View {
    name: String,
    bar: Option<ProgressBar>,
    json: bool,
    phase: Option<Phase>,
    noticed: usize,
}

impl View {
    async fn show(mut self, mut progress: watch::Receiver<Progress>) {
        self.update(&progress.borrow_and_update().clone());
        while progress.changed().await.is_ok() {
            let snapshot = progress.borrow_and_update().clone();
            self.update(&snapshot);
        }
        let last = progress.borrow().clone();
        self.update(&last);
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }

    fn update(&mut self, progress: &Progress) {
        let notices = Arc::clone(&progress.notices);
        for notice in notices.since(self.noticed) {
            self.say(&show::notice(&format!("{}: {notice}", self.name)));
        }
        self.noticed = notices.said();
        match &self.bar {
            Some(bar) => bar.set_message(status(progress)),
            None if self.phase != Some(progress.phase) => {
                if self.json {
                    println!("{}", self.json_line(progress));
                } else if progress.phase != Phase::Failed {
                    // Why it failed is told at the end, once.
                    self.say(&format!("{}  {}", self.name, status(progress)));
                }
            }
            None => {}
        }
        self.phase = Some(progress.phase);
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn json_line(&self, progress: &Progress) -> serde_json::Value {
        serde_json::json!({
            "projection": self.name,
            "phase": metrics::phase(progress.phase),
            "done": progress.done,
            "total": progress.total,
            "applied": progress.counts.applied,
            "ignored": progress.counts.ignored,
            "skipped": progress.counts.skipped,
            "held": progress.counts.held,
            "poisoned": progress.counts.poisoned,
        })
    }
}

//! `foldlog agent`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;

use crate::agent::event::Parse;
use crate::agent::registry::Registry;
use crate::agent::tail::{Notice, Tail};
use crate::replay::ship::{Said, Sent, ShipOptions, Shipper};
use crate::replay::watch::Watch;

use super::context::Context;
use super::interrupt::Interrupt;
use super::show;

/// How soon files are looked at again after nothing came.
const AGAIN: Duration = Duration::from_millis(250);

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog agent /var/log/shop/*.log --topic logs
  foldlog agent access.log --topic web-logs --parse combined
  foldlog agent 'app*.json' --topic logs --parse json --once

A file is followed through rotation: one that is renamed is read to its end, one that is copied and cut goes on in its copy. \
Compressed files are not read. A line waits for its newline. How far each file was read stands in the registry, and the next \
start goes on there: every line arrives at least once, and again where the agent was killed before it had written down that it \
arrived, or where the broker failed before it had acknowledged all that was sent at once. The header foldlog-id is the same then. \
A file that is a copy of another's beginning is said and not read; one that is shorter than 1 KiB may only begin alike, and is read \
after half a minute, or at the end with --once.

A record is what Filebeat writes: @timestamp, message, log.file.path, log.offset, host.name. With --parse json the fields of the \
line are the record's, with --parse combined those of an access log line; a line that cannot be parsed, or that the broker does not \
take as it is, is sent all the same, with error.message. The record's time is the line's, unless that is ahead of the clock by more \
than 50 minutes, which no broker takes: then it is the time at which it was read. The key is the path under which the file was found first, so that its lines stay in order.

A pattern in quotes is looked at again all the time; without quotes the shell puts the files in its place that there are now.")]
pub struct Args {
    /// The files, or patterns with * and ?
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The topic, which must exist
    #[arg(short, long, value_name = "TOPIC")]
    topic: String,
    /// What a line is
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    parse: Format,
    /// Longer lines are cut, and marked with log.flags
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024, value_parser = clap::value_parser!(u32).range(1..=64 * 1024 * 1024))]
    max_line: u32,
    /// Where it is written down how far each file was read [default: agent/CLUSTER-TOPIC.json in the data directory]
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// What host.name says [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// End when everything that is there now was sent
    #[arg(long)]
    once: bool,
}

/// What lines are.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Text as it is
    Text,
    /// A JSON object
    Json,
    /// An access log: common, combined, or combined with $request_time at its end
    Combined,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    connection.client.topic(&args.topic).into_diagnostic()?;
    let path = match &args.registry {
        Some(path) => path.clone(),
        None => {
            let cluster = &connection.client.profile().name;
            let name = format!("{cluster}-{}.json", args.topic).replace(['/', ':'], "_");
            context.data().join("agent").join(name)
        }
    };
    // Names in the registry must mean the same from another folder.
    let patterns = args
        .files
        .iter()
        .map(std::path::absolute)
        .collect::<Result<Vec<_>, _>>();
    let patterns = patterns
        .into_diagnostic()
        .wrap_err("cannot tell where this folder is")?;
    let longest = usize::try_from(args.max_line).unwrap_or(usize::MAX);
    let options = ShipOptions {
        topic: args.topic,
        parse: match args.parse {
            Format::Text => Parse::Text,
            Format::Json => Parse::Json,
            Format::Combined => Parse::Combined,
        },
        host: args.host.unwrap_or_else(host_name),
        root: None,
        once: args.once,
        again: AGAIN,
        watch: Arc::new(Watch::default()),
    };
    // Before anything is read: whoever may not write is told so at once.
    let mut shipper = Shipper::new(&connection.client, options).into_diagnostic()?;
    let mut tail = Tail::new(patterns, longest, Registry::open(&path).into_diagnostic()?);
    let (wake, woken) = channel();
    let interrupt = Interrupt::listen(move || {
        // Nobody listens any more where it has ended by itself.
        let _ = wake.send(());
    });
    let mut pause = |wait| match woken.recv_timeout(wait) {
        Ok(()) => false,
        Err(RecvTimeoutError::Timeout) => !interrupt.is_set(),
        // Without a thread for signals they end the process.
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(wait);
            !interrupt.is_set()
        }
    };
    let progress = progress();
    let outcome = shipper.follow(&mut tail, &mut pause, &mut |said| tell(&progress, said));
    progress.finish_and_clear();
    report(context, shipper.sent, tail.files());
    Ok(outcome?)
}

fn tell(progress: &ProgressBar, said: Said<'_>) {
    match said {
        Said::Notice(notice) => say(progress, &notice),
        Said::NoFile { pattern, waits } => {
            let name = crate::decode::printable::printable(pattern.as_os_str().as_encoded_bytes(), 400).text;
            let waits = if waits { " yet: waiting for one" } else { "" };
            progress.suspend(|| eprintln!("there is no file {name}{waits}"));
        }
        Said::Trouble(error) => progress.suspend(|| eprintln!("{error}; trying again")),
        Said::Sent { sent, files } => {
            progress.set_message(summary(sent, files));
            progress.tick();
        }
    }
}

fn say(progress: &ProgressBar, notice: &Notice) {
    let text = match notice {
        Notice::Found(path) => format!("following {}", path.display()),
        Notice::Renamed(from, to) => format!("{} is {} now", from.display(), to.display()),
        Notice::Truncated(path) => format!("{} was cut and begins anew", path.display()),
        Notice::Copy(path, of) => format!("{} is a copy of {} and not read", path.display(), of.display()),
        Notice::Compressed(path) => format!("{} is compressed and not read", path.display()),
        Notice::Unreadable(path, reason) => format!("cannot read {}: {reason}", path.display()),
    };
    let text = crate::decode::printable::one_line(text.as_bytes(), 400).text;
    progress.suspend(|| eprintln!("{text}"));
}

fn summary(sent: Sent, files: usize) -> String {
    let Sent { lines, cut, failed } = sent;
    let mut text = format!(
        "{} sent, {} open",
        show::counted(lines, "line"),
        show::counted(files as u64, "file")
    );
    if failed > 0 {
        text += &format!(", {failed} with error.message");
    }
    if cut > 0 {
        text += &format!(", {cut} cut");
    }
    text
}

fn report(context: &Context, sent: Sent, files: usize) {
    if context.json() {
        let Sent { lines, cut, failed } = sent;
        println!("{}", json!({ "sent": lines, "failed": failed, "cut": cut }));
    } else {
        eprintln!("{}", summary(sent, files));
    }
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// This machine's name, as the kernel says it.
fn host_name() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

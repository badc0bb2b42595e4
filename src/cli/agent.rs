//! `foldlog agent`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;

use crate::agent::event::{Parse, event};
use crate::agent::registry::Registry;
use crate::agent::tail::{Line, Notice, Tail};
use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::{NewRecord, Producer};
use crate::record::{Header, Timestamp};

use super::context::Context;
use super::interrupt::Interrupt;
use super::show;

/// The header with the id by which a line that was sent twice is known.
const ID: &str = "foldlog-id";
/// How soon files are looked at again after nothing came: what is written tells nobody.
const AGAIN: Duration = Duration::from_millis(250);
/// How long it waits before lines are sent again that did not arrive: longer each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long lines may take to be acknowledged; librdkafka gives up on them itself before.
const FLUSH: Duration = Duration::from_secs(60);

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog agent /var/log/shop/*.log --topic logs
  foldlog agent access.log --topic web-logs --parse combined
  foldlog agent 'app*.json' --topic logs --parse json --once

A file is followed through rotation: one that is renamed is read to its end, one that is copied and cut goes on in its copy. \
Compressed files are not read. A line waits for its newline. How far each file was read stands in the registry, and the next \
start goes on there: every line arrives at least once, and again only if the agent was killed before it had written down that it \
arrived. The header foldlog-id is the same then.

A record is what Filebeat writes: @timestamp, message, log.file.path, log.offset, host.name. With --parse json the fields of the \
line are the record's, with --parse combined those of an access log line; a line that cannot be parsed is sent all the same, \
with error.message. The key is the path under which the file was found first, so that its lines stay in order.

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

/// What was sent.
#[derive(Debug, Default)]
struct Sent {
    lines: u64,
    cut: u64,
    failed: u64,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    connection.client.topic(&args.topic).into_diagnostic()?;
    // Before anything is read: whoever may not write is told so at once.
    let producer = connection.client.producer().into_diagnostic()?;
    let path = match &args.registry {
        Some(path) => path.clone(),
        None => {
            let cluster = &connection.client.profile().name;
            let name = format!("{cluster}-{}.json", args.topic).replace(['/', ':'], "_");
            context.data().join("agent").join(name)
        }
    };
    let registry = Registry::open(&path).into_diagnostic()?;
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
    let (wake, woken) = channel();
    let interrupt = Interrupt::listen(move || {
        // Nobody listens any more where it has ended by itself.
        let _ = wake.send(());
    });
    let mut agent = Agent {
        tail: Tail::new(patterns, longest, registry),
        client: &connection.client,
        producer,
        parse: match args.parse {
            Format::Text => Parse::Text,
            Format::Json => Parse::Json,
            Format::Combined => Parse::Combined,
        },
        host: args.host.unwrap_or_else(host_name),
        topic: args.topic,
        sent: Sent::default(),
        progress: progress(),
    };
    let outcome = agent.follow(&interrupt, &woken, args.once);
    agent.progress.finish_and_clear();
    agent.report(context);
    outcome
}

struct Agent<'a> {
    tail: Tail,
    client: &'a Client,
    producer: Producer,
    parse: Parse,
    host: String,
    topic: String,
    sent: Sent,
    progress: ProgressBar,
}

impl Agent<'_> {
    fn follow(&mut self, interrupt: &Interrupt, woken: &Receiver<()>, once: bool) -> miette::Result<()> {
        let mut first = true;
        while !interrupt.is_set() {
            let lines = self.tail.poll().into_diagnostic()?;
            for notice in self.tail.notices() {
                self.say(&notice);
            }
            if std::mem::take(&mut first) && !self.tail.has_files() {
                if once {
                    return Err(miette!("there is no file to read: nothing fits what was given"));
                }
                self.progress.suspend(|| eprintln!("no file yet: waiting for one"));
            }
            if lines.is_empty() {
                if once {
                    return Ok(());
                }
                match woken.recv_timeout(AGAIN) {
                    Ok(()) => return Ok(()),
                    Err(RecvTimeoutError::Timeout) => {}
                    // Without a thread for signals they end the process.
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(AGAIN),
                }
                continue;
            }
            if !self.deliver(&lines, woken, once)? {
                return Ok(());
            }
            self.tail.commit().into_diagnostic()?;
            self.show();
        }
        Ok(())
    }

    /// Sends lines until they have arrived, however long the broker is away; says whether they have, or somebody asked to stop.
    fn deliver(&mut self, lines: &[Line], woken: &Receiver<()>, once: bool) -> miette::Result<bool> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.send(lines) {
                Ok(()) => return Ok(true),
                Err(error) => error,
            };
            if once || !is_passing(&error) {
                return Err(error).into_diagnostic();
            }
            self.progress.suspend(|| eprintln!("{error}; trying again"));
            match woken.recv_timeout(pause) {
                Ok(()) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(LAST_PAUSE);
            // One that has failed takes nothing more.
            self.producer = self.client.producer().into_diagnostic()?;
        }
    }

    /// Sends lines, and waits until they have arrived.
    fn send(&mut self, lines: &[Line]) -> Result<(), BrokerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let mut failed = 0;
        for line in lines {
            let event = event(line, self.parse, &self.host, now);
            let headers = [Header {
                key: ID.to_owned(),
                value: Some(line.id.clone().into_bytes()),
            }];
            let record = NewRecord {
                topic: &self.topic,
                partition: None,
                key: Some(line.key.as_os_str().as_encoded_bytes()),
                value: Some(event.json.as_bytes()),
                timestamp: Some(event.time),
                headers: &headers,
            };
            self.producer.send(record)?;
            failed += u64::from(event.failed);
        }
        self.producer.flush(FLUSH)?;
        self.sent.lines += lines.len() as u64;
        self.sent.failed += failed;
        self.sent.cut += lines.iter().filter(|line| line.cut).count() as u64;
        Ok(())
    }

    fn say(&self, notice: &Notice) {
        let text = match notice {
            Notice::Found(path) => format!("following {}", path.display()),
            Notice::Renamed(from, to) => format!("{} is {} now", from.display(), to.display()),
            Notice::Truncated(path) => format!("{} was cut and begins anew", path.display()),
            Notice::Compressed(path) => format!("{} is compressed and not read", path.display()),
            Notice::Unreadable(path, reason) => format!("cannot read {}: {reason}", path.display()),
        };
        let text = crate::decode::printable::one_line(text.as_bytes(), 400).text;
        self.progress.suspend(|| eprintln!("{text}"));
    }

    fn show(&self) {
        self.progress.set_message(self.summary());
        self.progress.tick();
    }

    fn summary(&self) -> String {
        let Sent { lines, cut, failed } = self.sent;
        let mut text = format!(
            "{} sent, {} open",
            show::counted(lines, "line"),
            show::counted(self.tail.files() as u64, "file")
        );
        if failed > 0 {
            text += &format!(", {failed} with error.message");
        }
        if cut > 0 {
            text += &format!(", {cut} cut");
        }
        text
    }

    fn report(&self, context: &Context) {
        if context.json() {
            let Sent { lines, cut, failed } = self.sent;
            println!("{}", json!({ "sent": lines, "failed": failed, "cut": cut }));
        } else {
            eprintln!("{}", self.summary());
        }
    }
}

/// Whether what could not be sent now may be sent later: not what the broker will never take.
fn is_passing(error: &BrokerError) -> bool {
    !matches!(
        error,
        BrokerError::Write { of_record: true, .. } | BrokerError::UnknownTopic { .. }
    )
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

//! A log agent at work: the lines of files that are followed, each sent to a topic until it has arrived.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::event::{Event, Parse, event, refused};
use crate::agent::registry::Registry;
use crate::agent::tail::{Line, Notice, Tail};
use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::{NewRecord, Producer};
use crate::record::{Header, Timestamp};

use super::error::ReplayError;
use super::task::Task;
use super::watch::Watch;

/// The header with the id by which a line that was sent twice is known.
const ID: &str = "foldlog-id";
/// How long it waits before lines are sent again that did not arrive: longer each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long lines may take to be acknowledged; librdkafka gives up on them itself before.
const FLUSH: Duration = Duration::from_secs(60);
/// How much of a line is sent that the broker does not take as it is.
const REFUSED: usize = 1000;
/// How soon somebody who wants it to end is heard.
const SLICE: Duration = Duration::from_millis(20);

/// What is sent, and how.
#[derive(Debug, Clone)]
pub struct ShipOptions {
    /// The topic, which is there.
    pub topic: String,
    /// What a line is.
    pub parse: Parse,
    /// What `host.name` says.
    pub host: String,
    /// A folder that stands for the root of a machine of its own: paths are said as they are there.
    pub root: Option<PathBuf>,
    /// Whether it ends when everything that is there now was sent.
    pub once: bool,
    /// How soon files are looked at again after nothing came: what is written tells nobody.
    pub again: Duration,
    /// What it has done so far, and what kills it.
    pub watch: Arc<Watch>,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Lines.
    pub lines: u64,
    /// Of them, those that were cut.
    pub cut: u64,
    /// Of them, those that could not be parsed.
    pub failed: u64,
}

/// What there is to tell while it works.
#[derive(Debug)]
pub enum Said<'a> {
    /// What was noticed of the files.
    Notice(Notice),
    /// There is no file of this name yet.
    NoFile {
        /// The name, or the pattern.
        pattern: &'a Path,
        /// Whether it is waited for.
        waits: bool,
    },
    /// Lines did not arrive, and are sent again.
    Trouble(&'a BrokerError),
    /// Lines have arrived.
    Sent {
        /// All of them so far.
        sent: Sent,
        /// How many files are open.
        files: usize,
    },
}

/// Sends lines.
#[derive(Debug)]
pub struct Shipper {
    client: Client,
    producer: Producer,
    options: ShipOptions,
    /// Lines that the broker does not take as they are, by their ids, and why.
    refused: BTreeMap<String, String>,
    /// What was sent so far.
    pub sent: Sent,
}

impl Shipper {
    /// Refuses a cluster that may not be written to, before anything is read.
    pub fn new(client: &Client, options: ShipOptions) -> Result<Self, BrokerError> {
        Ok(Self {
            client: client.clone(),
            producer: client.producer()?,
            options,
            refused: BTreeMap::new(),
            sent: Sent::default(),
        })
    }

    /// Sends what `tail` hands out until it is over, or `pause` returns false: it waits as long as it is told, and says whether
    /// somebody still wants it to go on.
    pub fn follow(
        &mut self,
        tail: &mut Tail,
        pause: &mut dyn FnMut(Duration) -> bool,
        say: &mut dyn FnMut(Said<'_>),
    ) -> Result<(), ReplayError> {
        let mut first = true;
        while pause(Duration::ZERO) {
            let lines = tail.poll()?;
            for notice in tail.notices() {
                say(Said::Notice(notice));
            }
            if std::mem::take(&mut first) {
                let waits = !self.options.once;
                if !waits && lines.is_empty() && tail.matches_nothing() {
                    return Err(ReplayError::NoFiles);
                }
                tail.unmatched()
                    .iter()
                    .for_each(|pattern| say(Said::NoFile { pattern, waits }));
            }
            if lines.is_empty() {
                // Whoever ends now does not wait for what becomes of a copy.
                if self.options.once && tail.read_presumed_copies() {
                    continue;
                }
                if self.options.once || !pause(self.options.again) {
                    return Ok(());
                }
                continue;
            }
            if !self.deliver(&lines, pause, say)? || self.options.watch.is_killed() {
                return Ok(());
            }
            tail.commit()?;
            let (sent, files) = (self.sent, tail.files());
            say(Said::Sent { sent, files });
        }
        Ok(())
    }

    /// Sends lines until they have arrived, however long the broker is away; says whether they have, or somebody asked to stop.
    fn deliver(
        &mut self,
        lines: &[Line],
        pause: &mut dyn FnMut(Duration) -> bool,
        say: &mut dyn FnMut(Said<'_>),
    ) -> Result<bool, ReplayError> {
        let mut wait = FIRST_PAUSE;
        loop {
            let error = match self.send(lines) {
                Ok(()) => return Ok(true),
                Err(error) => error,
            };
            if matches!(error, BrokerError::Write { of_record: true, .. }) {
                return self.deliver_apart(lines, error, pause, say);
            }
            if self.options.once || !is_passing(&error) {
                return Err(error.into());
            }
            say(Said::Trouble(&error));
            if !pause(wait) {
                return Ok(false);
            }
            wait = (wait * 2).min(LAST_PAUSE);
            // One that has failed takes nothing more.
            self.producer = self.client.producer()?;
        }
    }

    /// Sends lines among which there is one that the broker does not take: without it the others, and it with the reason.
    fn deliver_apart(
        &mut self,
        lines: &[Line],
        error: BrokerError,
        pause: &mut dyn FnMut(Duration) -> bool,
        say: &mut dyn FnMut(Said<'_>),
    ) -> Result<bool, ReplayError> {
        self.producer = self.client.producer()?;
        if let [line] = lines {
            if self.refused.contains_key(&line.id) {
                // Not even so: there is no more to be done.
                return Err(error.into());
            }
            self.refused.insert(line.id.clone(), error.to_string());
            let delivered = self.deliver(lines, pause, say);
            self.refused.remove(&line.id);
            return delivered;
        }
        let (before, after) = lines.split_at(lines.len() / 2);
        Ok(self.deliver(before, pause, say)? && self.deliver(after, pause, say)?)
    }

    fn event(&self, line: &Line, now: Timestamp) -> Event {
        match self.refused.get(&line.id) {
            Some(reason) => refused(line, REFUSED, &self.options.host, now, reason),
            None => event(line, self.options.parse, &self.options.host, now),
        }
    }

    /// Sends lines, and waits until they have arrived.
    fn send(&mut self, lines: &[Line]) -> Result<(), BrokerError> {
        let now = Timestamp::now();
        let mut failed = 0;
        for line in lines {
            let root = self.options.root.as_deref();
            let shown = Line {
                path: inside(root, &line.path),
                key: inside(root, &line.key),
                ..line.clone()
            };
            let event = self.event(&shown, now);
            let headers = [Header {
                key: ID.to_owned(),
                value: Some(line.id.clone().into_bytes()),
            }];
            let record = NewRecord {
                topic: &self.options.topic,
                partition: None,
                key: Some(shown.key.as_os_str().as_encoded_bytes()),
                value: Some(event.json.as_bytes()),
                timestamp: Some(event.time),
                headers: &headers,
            };
            self.producer.send(record)?;
            failed += u64::from(event.failed);
        }
        self.producer.flush(FLUSH)?;
        self.options.watch.wrote(lines.len() as u64);
        self.sent.lines += lines.len() as u64;
        self.sent.failed += failed;
        self.sent.cut += lines.iter().filter(|line| line.cut).count() as u64;
        Ok(())
    }
}

/// A path as it is said on a machine whose root is the folder `root`.
fn inside(root: Option<&Path>, path: &Path) -> PathBuf {
    let below = root.and_then(|root| path.strip_prefix(root).ok());
    below.map_or_else(|| path.to_owned(), |below| Path::new("/").join(below))
}

/// Whether what could not be sent now may be sent later.
fn is_passing(error: &BrokerError) -> bool {
    !matches!(error, BrokerError::UnknownTopic { .. })
}

/// Follows files on a thread of its own until it is cancelled or killed, going on where the registry says. No line is longer than
/// `longest` bytes.
pub fn ship(
    client: Client,
    patterns: Vec<PathBuf>,
    longest: usize,
    registry: PathBuf,
    options: ShipOptions,
) -> Task<Sent> {
    Task::start("agent", move |control| {
        let watch = Arc::clone(&options.watch);
        let mut tail = Tail::new(patterns, longest, Registry::open(&registry)?);
        let mut shipper = Shipper::new(&client, options)?;
        let mut pause = |wait: Duration| {
            let began = Instant::now();
            loop {
                if control.cancel.is_cancelled() || watch.is_killed() {
                    return false;
                }
                let left = wait.saturating_sub(began.elapsed());
                if left.is_zero() {
                    return true;
                }
                thread::sleep(left.min(SLICE));
            }
        };
        let mut say = |said: Said<'_>| {
            if let Said::Trouble(error) = said {
                tracing::warn!(%error, "lines of a log are sent again");
            }
        };
        shipper.follow(&mut tail, &mut pause, &mut say)?;
        Ok(shipper.sent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_said_as_it_is_below_its_root() {
        let path = Path::new("/data/logs/web/var/log/a.log");
        assert_eq!(inside(None, path), path);
        assert_eq!(
            inside(Some(Path::new("/data/logs/web")), path),
            Path::new("/var/log/a.log")
        );
        assert_eq!(inside(Some(Path::new("/elsewhere")), path), path);
    }
}

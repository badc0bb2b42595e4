//! The log agents of a run: each follows a log file in a folder of the run's own, through rotation, and sends its lines to a topic.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::agent::backlog::{backlog, rewind};
use crate::agent::event::event;
use crate::agent::tail::Line;
use crate::broker::client::Client;
use crate::readmodel::store::Store;
use crate::record::Timestamp;
use crate::replay::error::ReplayError;
use crate::replay::ship::{Sent, ShipOptions, ship};
use crate::replay::task::Task;
use crate::replay::watch::Watch;

use super::catalog::{Agent, Demo};
use super::error::DemoError;
use super::events::Event;
use super::snapshot::{PartState, PartView};

/// The longest line that is sent whole.
const LONGEST: usize = 256 * 1024;
/// How soon files are looked at again: nobody waits for long in a lesson.
const AGAIN: Duration = Duration::from_millis(50);

/// An agent and its task, if it runs.
#[derive(Debug)]
pub(super) struct Tailing {
    pub(super) name: String,
    pub(super) topic: String,
    agent: Agent,
    places: Places,
    state: PartState,
    reason: String,
    task: Option<Task<Sent>>,
    watch: Arc<Watch>,
    /// What the tasks before this one sent.
    before: u64,
}

/// Where an agent's files are.
#[derive(Debug)]
struct Places {
    /// What stands for the root of its machine.
    root: PathBuf,
    log: PathBuf,
    registry: PathBuf,
}

/// The folder of a demo's log files, and of what its agents write down.
pub(super) fn folder(store: &Store, id: &str) -> PathBuf {
    store.root().join("logs").join(id)
}

/// Deletes the log files of a demo; says whether there were any.
pub(super) fn delete(folder: &Path) -> Result<bool, DemoError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unwritable(folder, &error)),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> DemoError {
    DemoError::Write {
        file: path.display().to_string(),
        reason: error.to_string(),
    }
}

impl Agent {
    /// The time of a line, as its text says it.
    pub(super) fn time_of(&self, text: &str, otherwise: Timestamp) -> Timestamp {
        event(&self.line(text, 0), self.parse, &self.host, otherwise).said
    }

    /// What the agent makes of a line that begins at `offset`: the record as it is in the topic.
    pub(super) fn record(&self, line: &Event, offset: u64) -> Event {
        let text = String::from_utf8_lossy(line.value.as_deref().unwrap_or_default());
        let made = event(&self.line(&text, offset), self.parse, &self.host, line.timestamp);
        Event {
            topic: line.topic.clone(),
            key: Some(self.file.clone().into_bytes()),
            value: Some(made.json.into_bytes()),
            timestamp: made.time,
        }
    }

    fn line(&self, text: &str, offset: u64) -> Line {
        Line {
            path: PathBuf::from(&self.file),
            key: PathBuf::from(&self.file),
            offset,
            bytes: text.as_bytes().to_vec(),
            cut: false,
            id: String::new(),
        }
    }
}

impl Tailing {
    pub(super) fn of(store: &Store, demo: &Demo) -> Vec<Self> {
        let folder = folder(store, &demo.id);
        let of = |agent: &Agent| {
            let root = folder.join("files").join(&agent.name);
            Self {
                name: agent.name.clone(),
                topic: agent.topic.clone(),
                places: Places {
                    log: root.join(agent.file.trim_start_matches('/')),
                    registry: folder.join("registry").join(format!("{}.json", agent.name)),
                    root,
                },
                agent: agent.clone(),
                state: PartState::Stopped,
                reason: String::new(),
                task: None,
                watch: Arc::default(),
                before: 0,
            }
        };
        demo.agents.iter().map(of).collect()
    }

    /// The log file, and what it is called after it was rotated.
    fn patterns(&self) -> Vec<PathBuf> {
        vec![self.places.log.clone(), self.rotated("*")]
    }

    fn rotated(&self, number: &str) -> PathBuf {
        let mut name = self.places.log.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    pub(super) fn start(&mut self, client: &Client) {
        self.reap();
        if self.task.is_some() {
            return;
        }
        self.before += self.watch.records();
        self.watch = Arc::default();
        let options = ShipOptions {
            topic: self.topic.clone(),
            parse: self.agent.parse,
            host: self.agent.host.clone(),
            root: Some(self.places.root.clone()),
            once: false,
            again: AGAIN,
            watch: Arc::clone(&self.watch),
        };
        let registry = self.places.registry.clone();
        self.task = Some(ship(client.clone(), self.patterns(), LONGEST, registry, options));
        self.state = PartState::Running;
        self.reason.clear();
    }

    /// Ends it; the task is waited for by the caller.
    pub(super) fn end(&mut self, kill: bool) -> Option<Task<Sent>> {
        self.reap();
        let task = self.task.take()?;
        if kill {
            self.watch.kill();
            self.state = PartState::Killed;
        } else {
            task.cancel();
            self.state = PartState::Stopped;
        }
        Some(task)
    }

    fn reap(&mut self) {
        let Some(task) = self.task.take_if(|task| task.is_finished()) else {
            return;
        };
        (self.state, self.reason) = match task.wait() {
            Ok(_) => (PartState::Stopped, String::new()),
            Err(error) => (PartState::Failed, error.to_string()),
        };
    }

    pub(super) fn state(&mut self) -> (PartState, String) {
        self.reap();
        (self.state, self.reason.clone())
    }

    /// How many lines have not arrived yet.
    pub(super) fn waiting(&self) -> Result<u64, ReplayError> {
        Ok(backlog(&self.patterns(), &self.places.registry)?)
    }

    /// The agent as the scene shows it; `written` lines are in its files.
    pub(super) fn view(&mut self, written: u64) -> PartView {
        self.reap();
        let sent = self.before + self.watch.records();
        PartView {
            state: self.state,
            reason: self.reason.clone(),
            taken: sent,
            given: sent,
            // Files that cannot be read at this moment say nothing of what waits in them.
            lag: Some(self.waiting().unwrap_or(written.saturating_sub(sent))),
            ..PartView::default()
        }
    }

    /// Adds a line to the log file.
    pub(super) fn append(&self, line: &[u8]) -> Result<(), DemoError> {
        let path = &self.places.log;
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            // In one call, so that nobody reads half a line.
            file.write_all(&[line, b"\n"].concat())
        };
        write().map_err(|error| unwritable(path, &error))
    }

    /// Renames the log file to `.1`, what was called so to `.2`, and so on: the next line begins a new one. Returns how many there are.
    pub(super) fn rotate(&self) -> Result<usize, DemoError> {
        let there = (1..).take_while(|number: &usize| self.rotated(&number.to_string()).exists());
        let mut count = there.count();
        let rename = |from: PathBuf, to: PathBuf| fs::rename(&from, &to).map_err(|error| unwritable(&from, &error));
        for number in (1..=count).rev() {
            rename(
                self.rotated(&number.to_string()),
                self.rotated(&(number + 1).to_string()),
            )?;
        }
        if self.places.log.exists() {
            rename(self.places.log.clone(), self.rotated("1"))?;
            count += 1;
        }
        Ok(count)
    }

    /// Takes back that its last lines have arrived.
    pub(super) fn forget(&self, lines: usize) -> Result<u64, ReplayError> {
        Ok(rewind(&self.places.registry, lines as u64)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalog::Catalog;

    #[test]
    fn a_rotated_log_begins_anew_and_nothing_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "test").unwrap();
        let catalog = Catalog::load(&[]).unwrap();
        let agents = Tailing::of(&store, catalog.get("log-analytics").unwrap());
        let [agent] = agents.as_slice() else {
            panic!("{agents:?}")
        };
        assert_eq!((agent.rotate().unwrap(), agent.waiting().unwrap()), (0, 0));
        for (line, older) in [("one", 1), ("two", 2), ("three", 3)] {
            agent.append(line.as_bytes()).unwrap();
            assert_eq!(agent.rotate().unwrap(), older);
        }
        agent.append(b"four").unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let rotated = ["3", "2", "1"].map(|number| read(agent.rotated(number)));
        assert_eq!(rotated, ["one\n", "two\n", "three\n"]);
        assert_eq!(read(agent.places.log.clone()), "four\n");
        assert!(agent.places.log.ends_with("web-agent/var/log/nginx/access.log"));
        assert_eq!(agent.waiting().unwrap(), 4);
        assert!(delete(&super::folder(&store, "log-analytics")).unwrap());
        assert!(!delete(&super::folder(&store, "log-analytics")).unwrap());
    }
}

//! A second cluster that a demo keeps as a mirror: a broker for as long as the run, and the mirror that writes to it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::broker::client::Client;
use crate::broker::embedded::Embedded;
use crate::replay::mirror::compare::{Comparison, compare};
use crate::replay::mirror::{MirrorOptions, Mirrored, mirror};
use crate::replay::task::Task;

use super::catalog::Demo;
use super::error::DemoError;
use super::snapshot::{PartState, PartView};

/// The mirrors of a run.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<Vec<Mirroring>>);

/// One mirror with its cluster. The order of the fields is that of their ends.
#[derive(Debug)]
struct Mirroring {
    name: String,
    topics: Vec<String>,
    task: Option<Task<Mirrored>>,
    state: PartState,
    reason: String,
    /// Records that tasks wrote which have ended.
    before: u64,
    /// Whether the link is cut: the second cluster answers nobody.
    cut: bool,
    source: Client,
    target: Client,
    second: Embedded,
    _folder: TempDir,
}

impl Mirrors {
    /// Starts the second clusters; nothing is mirrored yet.
    pub(super) fn begin(source: &Client, demo: &Demo) -> Result<Self, DemoError> {
        let all = demo.mirrors.iter().map(|mirror| {
            let folder = tempfile::tempdir().map_err(|error| DemoError::Write {
                file: std::env::temp_dir().display().to_string(),
                reason: error.to_string(),
            })?;
            let second = Embedded::open(folder.path(), None)?;
            Ok(Mirroring {
                name: mirror.name.clone(),
                topics: mirror.topics.iter().map(|topic| demo.topic(topic)).collect(),
                task: None,
                state: PartState::Stopped,
                reason: String::new(),
                before: 0,
                cut: false,
                source: source.clone(),
                target: second.client()?,
                second,
                _folder: folder,
            })
        });
        Ok(Self(Mutex::new(all.collect::<Result<_, DemoError>>()?)))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Mirroring>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &str, what: impl FnOnce(&mut Mirroring) -> T) -> Option<T> {
        self.all().iter_mut().find(|mirror| mirror.name == name).map(what)
    }

    /// Starts a mirror unless it runs; `false` where there is none of this name.
    pub(super) fn start(&self, name: &str) -> bool {
        self.with(name, Mirroring::start).is_some()
    }

    /// Ends a mirror, and waits for its end; `false` where there is none of this name.
    pub(super) fn stop(&self, name: &str, state: PartState) -> bool {
        let task = self.with(name, |mirror| {
            mirror.reap();
            if let Some(task) = &mirror.task {
                task.cancel();
                mirror.state = state;
            }
            mirror.task.take()
        });
        let Some(task) = task else { return false };
        if let Some(Ok(done)) = task.map(Task::wait) {
            self.with(name, |mirror| mirror.before += done.records);
        }
        true
    }

    /// Ends them all.
    pub(super) fn close(&self) {
        let names: Vec<String> = self.all().iter().map(|mirror| mirror.name.clone()).collect();
        for name in names {
            self.stop(&name, PartState::Stopped);
        }
    }

    /// Cuts the link: the second cluster can be reached by nobody, and the mirror is not told.
    pub(super) fn cut(&self, name: &str) {
        self.with(name, |mirror| {
            mirror.cut = true;
            mirror.second.lose()
        });
    }

    /// Mends the link.
    pub(super) fn join(&self, name: &str) -> Result<(), DemoError> {
        let joined = self.with(name, |mirror| {
            mirror.cut = false;
            mirror.second.bring_back()
        });
        joined.transpose()?;
        Ok(())
    }

    /// How a mirror is, and why; `None` where there is none of this name.
    pub(super) fn state(&self, name: &str) -> Option<(PartState, String)> {
        self.with(name, |mirror| {
            mirror.reap();
            (mirror.state, mirror.reason.clone())
        })
    }

    /// A mirror as the scene shows it.
    pub(super) fn view(&self, name: &str) -> Option<PartView> {
        self.with(name, |mirror| {
            mirror.reap();
            let progress = mirror.task.as_ref().map(|task| task.progress().borrow().clone());
            let written = mirror.before + progress.as_ref().map_or(0, |progress| progress.counts.applied);
            PartView {
                state: mirror.state,
                reason: if mirror.cut {
                    "the link is cut".to_owned()
                } else {
                    mirror.reason.clone()
                },
                taken: written,
                given: written,
                lag: progress.map(|progress| progress.lag()),
                ..PartView::default()
            }
        })
    }

    /// Compares a mirror with its source, record by record.
    pub(super) fn compare(&self, name: &str, give_up: &dyn Fn() -> bool) -> Result<Comparison, DemoError> {
        let sides = self.with(name, |mirror| {
            (mirror.source.clone(), mirror.target.clone(), mirror.topics.clone())
        });
        // Names were looked up when the demo was read.
        let Some((source, target, topics)) = sides else {
            return Ok(Comparison::default());
        };
        Ok(compare(&source, &target, &topics, give_up)?)
    }
}

impl Mirroring {
    fn start(&mut self) {
        self.reap();
        if self.task.is_none() {
            let options = MirrorOptions {
                topics: self.topics.clone(),
                once: false,
            };
            self.task = Some(mirror(self.source.clone(), self.target.clone(), options));
            self.state = PartState::Running;
            self.reason.clear();
        }
    }

    /// Takes note of a task that has ended by itself, which is always an error.
    fn reap(&mut self) {
        let Some(task) = self.task.take_if(|task| task.is_finished()) else {
            return;
        };
        self.before += task.progress().borrow().counts.applied;
        (self.state, self.reason) = match task.wait() {
            Ok(_) => (PartState::Stopped, String::new()),
            Err(error) => (PartState::Failed, error.to_string()),
        };
    }
}

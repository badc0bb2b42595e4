//! The captures of a run: each hands on the changes of a source database that the run has made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::client::Client;
use crate::readmodel::capture::{Source, execute};
use crate::readmodel::error::ReadModelError;
use crate::readmodel::store::Store;
use crate::replay::capture::{CaptureOptions, Captured, capture};
use crate::replay::task::Task;
use crate::replay::watch::Watch;

use super::catalog::{Database, Demo};
use super::error::DemoError;
use super::snapshot::PartState;

/// A capture and its task, if it runs.
#[derive(Debug)]
pub(super) struct Capturing {
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) path: PathBuf,
    database: Database,
    state: PartState,
    reason: String,
    task: Option<Task<Captured>>,
    watch: Arc<Watch>,
    /// What the tasks before this one wrote.
    before: u64,
}

/// The folder of a demo's source databases.
pub(super) fn folder(store: &Store, id: &str) -> PathBuf {
    store.root().join("sources").join(id)
}

/// Where a source database of the demo is.
pub(super) fn path(store: &Store, id: &str, database: &str) -> PathBuf {
    folder(store, id).join(format!("{database}.db"))
}

/// Deletes the source databases of a demo; says whether there were any.
pub(super) fn delete(folder: &Path) -> Result<bool, DemoError> {
    match std::fs::remove_dir_all(folder) {
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

/// Makes the source databases of a demo, each as its file says.
pub(super) fn create(store: &Store, demo: &Demo) -> Result<(), DemoError> {
    let folder = folder(store, &demo.id);
    delete(&folder)?;
    for database in &demo.databases {
        std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
        execute(&path(store, &demo.id, &database.name), &database.sql)?;
    }
    Ok(())
}

impl Capturing {
    pub(super) fn of(store: &Store, demo: &Demo) -> Vec<Self> {
        let of = |database: &Database| Self {
            name: database.capture.clone(),
            topic: database.topic.clone(),
            path: path(store, &demo.id, &database.name),
            database: database.clone(),
            state: PartState::Stopped,
            reason: String::new(),
            task: None,
            watch: Arc::default(),
            before: 0,
        };
        demo.databases.iter().map(of).collect()
    }

    pub(super) fn start(&mut self, client: &Client) {
        self.reap();
        if self.task.is_some() {
            return;
        }
        self.before += self.watch.records();
        self.watch = Arc::default();
        let options = CaptureOptions {
            prefix: self.name.clone(),
            database: None,
            topic: Some(self.topic.clone()),
            tables: Vec::new(),
            schemas: self.database.schemas,
            partitions: None,
            once: false,
            clock: Some(self.database.clock),
            watch: Arc::clone(&self.watch),
        };
        self.task = Some(capture(client.clone(), self.path.clone(), options));
        self.state = PartState::Running;
        self.reason.clear();
    }

    /// Ends it; the task is waited for by the caller.
    pub(super) fn end(&mut self, kill: bool) -> Option<Task<Captured>> {
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

    pub(super) fn records(&self) -> u64 {
        self.before + self.watch.records()
    }

    /// Takes back that its last changes were handed on.
    pub(super) fn forget(&self, changes: usize) -> Result<u64, ReadModelError> {
        Source::open(&self.path, &[])?.forget(changes as u64)
    }
}

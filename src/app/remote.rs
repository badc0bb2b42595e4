//! Something that the world knows and the studio shows: not asked yet, being asked, known, or failed.

use super::job::{Failure, TaskId};

/// A value that a job brings. What was known stays in view while it is asked for again, and when that fails.
#[derive(Debug, Clone)]
pub struct Remote<T> {
    /// The newest answer.
    pub value: Option<T>,
    /// The job that asks now.
    pub task: Option<TaskId>,
    /// Why the last job failed.
    pub error: Option<Failure>,
}

impl<T> Default for Remote<T> {
    fn default() -> Self {
        Self {
            value: None,
            task: None,
            error: None,
        }
    }
}

impl<T> Remote<T> {
    /// Whether this answer is for the job that asks now.
    pub fn expects(&self, id: TaskId) -> bool {
        self.task == Some(id)
    }

    /// Takes an answer.
    pub fn answer(&mut self, value: T) {
        self.value = Some(value);
        self.task = None;
        self.error = None;
    }

    /// Takes a failure.
    pub fn fail(&mut self, failure: Failure) {
        self.task = None;
        self.error = Some(failure);
    }

    /// Whether nothing is known yet and a job asks.
    pub fn loading(&self) -> bool {
        self.value.is_none() && self.task.is_some()
    }
}

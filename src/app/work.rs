//! Work that runs while the user does something else: rebuilds, follows, demos. The footer shows it wherever one is.

use crate::demo::run::{StepState, StepView};
use crate::record::Timestamp;
use crate::replay::progress::{Phase, Progress};

use super::job::TaskId;
use super::lang::{Speaks, say};

/// What kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A rebuild.
    Rebuild,
    /// A follow.
    Follow,
    /// A preview that is built.
    Preview,
    /// A preview that is put in use.
    Accept,
    /// A preview that is dropped.
    Drop,
    /// A decision about records that could not be applied.
    Decide,
    /// The build before, which is put back in use.
    BringBack,
    /// A demo.
    Demo,
}

impl Kind {
    /// What it does with `name`, in a few words.
    pub fn said(self, on: &impl Speaks, name: &str) -> String {
        match self {
            Self::Rebuild => say!(on, "rebuild {name}", name),
            Self::Follow => say!(on, "follow {name}", name),
            Self::Preview => say!(on, "preview {name}", name),
            Self::Accept => say!(on, "accept {name}", name),
            Self::Drop => say!(on, "drop the preview of {name}", name),
            Self::BringBack => say!(on, "bring back {name}", name),
            Self::Decide => say!(on, "decide about {name}", name),
            Self::Demo => say!(on, "demo {name}", name),
        }
    }
}

/// Running work.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its job.
    pub id: TaskId,
    /// What kind.
    pub kind: Kind,
    /// The projection's or demo's name.
    pub name: String,
    /// How far a replay is.
    pub progress: Progress,
    /// When a follow last moved on; `None` before it did.
    pub moved: Option<Timestamp>,
    /// How far a demo is.
    pub steps: Vec<StepView>,
    /// When it began.
    pub started: Timestamp,
    /// Whether it was asked to stop.
    pub cancelling: bool,
}

impl Work {
    /// Work that begins.
    pub fn new(id: TaskId, kind: Kind, name: String, started: Timestamp) -> Self {
        Self {
            id,
            kind,
            name,
            progress: Progress::default(),
            moved: None,
            steps: Vec::new(),
            started,
            cancelling: false,
        }
    }

    /// Takes how far a replay is at `now`.
    pub fn advance(&mut self, progress: Progress, now: Timestamp) {
        if self.follows() && self.progress.position != progress.position {
            self.moved = Some(now);
        }
        self.progress = progress;
    }

    /// Whether it keeps a read model up to date: then its progress is the read model's.
    pub fn follows(&self) -> bool {
        let live = matches!(self.progress.phase, Phase::Live | Phase::Paused | Phase::Done);
        self.kind == Kind::Follow && live && !self.progress.position.is_empty()
    }

    /// How far it is, from 0 to 1; `None` where it has no end or none that is known.
    pub fn share(&self) -> Option<f64> {
        match self.kind {
            Kind::Rebuild | Kind::Preview | Kind::Accept | Kind::Decide if self.progress.total > 0 => {
                Some((self.progress.done as f64 / self.progress.total as f64).clamp(0.0, 1.0))
            }
            Kind::Demo if !self.steps.is_empty() => {
                let over = |s: &&StepView| matches!(s.state, StepState::Passed | StepState::Failed);
                Some(self.steps.iter().filter(over).count() as f64 / self.steps.len() as f64)
            }
            _ => None,
        }
    }
}

//! The projections: what can be built, what is built, and how far behind it is.

use std::collections::BTreeMap;

use crate::readmodel::store::ReadModelInfo;
use crate::record::Timestamp;
use crate::replay::progress::Phase;

use super::super::job::{Failure, Job, ProjectionRow};
use super::super::lang::say;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::overlay::{Confirm, Confirmed, Overlay};
use super::super::remote::Remote;
use super::super::work::{Kind, Work};
use super::{letters, previews};

/// How often the list is asked for while it is in view.
const EVERY_MS: i64 = 3_000;

/// The projections screen.
#[derive(Debug, Clone, Default)]
pub struct Projections {
    /// The cursor and filter.
    pub list: List,
    /// The projections.
    pub remote: Remote<Vec<ProjectionRow>>,
    /// Why the last work on a projection failed, until other work begins on it.
    pub failed: BTreeMap<String, (Kind, Failure)>,
    asked_at: Option<Timestamp>,
    /// Whether something changed while the list was being asked for.
    stale: bool,
}

impl Projections {
    /// The projection under the cursor.
    pub fn selected(&self) -> Option<&ProjectionRow> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
    }

    fn row(&mut self, name: &str) -> Option<&mut ProjectionRow> {
        self.remote.value.as_mut()?.iter_mut().find(|p| p.name == name)
    }

    /// Takes the projections.
    pub fn answer(&mut self, rows: Vec<ProjectionRow>) {
        let before = self.selected().map(|p| p.name.clone());
        self.remote.answer(rows);
        self.refresh();
        if let Some(item) = before.and_then(|name| self.remote.value.as_ref()?.iter().position(|p| p.name == name)) {
            self.list.select(item);
        }
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.remote.value.as_deref().unwrap_or_default();
        self.list.refresh(rows.len(), |i, filter| {
            let row = &rows[i];
            row.name.to_lowercase().contains(filter) || row.topics.iter().any(|t| t.to_lowercase().contains(filter))
        });
    }
}

/// Asks for the projections; once more afterwards where that is already under way.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.value.is_none() {
        return;
    }
    if model.projections.remote.task.is_some() {
        model.projections.stale = true;
        return;
    }
    model.projections.stale = false;
    model.projections.asked_at = Some(model.now);
    model.projections.remote.task = Some(model.start(Job::Projections, fx));
}

/// Takes the projections.
pub fn answer(model: &mut Model, rows: Vec<ProjectionRow>, fx: &mut Vec<Effect>) {
    if model.projections.stale && model.projections.remote.value.is_some() {
        // They are as they were before something changed.
        model.projections.remote.task = None;
        return ask(model, fx);
    }
    let letter = letters::selected(model).map(|letter| letter.place());
    model.projections.answer(rows);
    advance(model);
    letters::refresh(model);
    if let Some(place) = letter {
        letters::select(model, &place);
    }
    previews::look(model, fx);
    if model.projections.stale {
        ask(model, fx);
    }
}

/// Brings the rows of projections that are followed up to their newest progress, which is ahead of the last look at the
/// store. List and detail show the rows, and so the same.
pub fn advance(model: &mut Model) {
    let Model { projections, works, .. } = model;
    for work in works.iter().filter(|w| w.follows()) {
        let Some(row) = projections.row(&work.name) else {
            continue;
        };
        let Some(info) = &mut row.built else { continue };
        info.updated_at = info.updated_at.max(work.moved.unwrap_or(info.updated_at));
        info.counts = work.progress.counts;
        info.position.clone_from(&work.progress.position);
        row.lag = Some(work.progress.lag());
    }
}

/// Takes a read model that was just built.
pub fn built(model: &mut Model, info: ReadModelInfo) {
    previews::built(model, &info.name);
    if let Some(row) = model.projections.row(&info.name) {
        row.changed = false;
        row.lag = None;
        row.built = Some(info);
    }
}

/// Asks again while the list is in view.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let due = model
        .projections
        .asked_at
        .is_none_or(|at| model.now.0 - at.0 >= EVERY_MS);
    if model.screen == Screen::Projections && due && model.projections.remote.task.is_none() {
        ask(model, fx);
    }
}

/// Starts a rebuild or a follow of the projection under the cursor; asks first where a rebuild takes over another file's read model.
pub fn begin(model: &mut Model, kind: Kind, skip_poison: bool, fx: &mut Vec<Effect>) {
    let Some(row) = model.projections.selected() else {
        return;
    };
    let (name, Some(file), other) = (row.name.clone(), row.file.clone(), row.other.clone()) else {
        return;
    };
    if let (Kind::Rebuild, Some(other)) = (kind, other) {
        let question = say!(
            model,
            "{other} has the projection `{name}` too, and its read model is the one that {file} would replace. Rebuild it anyway?",
            other,
            name,
            file
        );
        model.overlay = Some(Overlay::Confirm(Confirm {
            question,
            expect: String::new(),
            input: Default::default(),
            then: Confirmed::Rebuild {
                name,
                file,
                skip_poison,
            },
        }));
        return;
    }
    let job = match kind {
        Kind::Follow => Job::Follow {
            name: name.clone(),
            file,
        },
        _ => Job::Rebuild {
            name: name.clone(),
            file,
            skip_poison,
            replace: false,
        },
    };
    start(model, kind, name, job, fx);
}

/// Starts a rebuild that takes over another file's read model.
pub fn take_over(model: &mut Model, name: String, file: String, skip_poison: bool, fx: &mut Vec<Effect>) {
    let job = Job::Rebuild {
        name: name.clone(),
        file,
        skip_poison,
        replace: true,
    };
    start(model, Kind::Rebuild, name, job, fx);
}

fn start(model: &mut Model, kind: Kind, name: String, job: Job, fx: &mut Vec<Effect>) {
    let id = model.start(job, fx);
    model.projections.failed.remove(&name);
    model.works.push(Work::new(id, kind, name, model.now));
}

/// The work that runs on a projection.
pub fn work<'a>(model: &'a Model, name: &str) -> Option<&'a Work> {
    let of_it = |w: &&Work| w.kind != Kind::Demo && w.name == name;
    model.works.iter().rev().find(of_it)
}

/// Whether something writes the read model. A follow that waits before a record lets others write.
pub fn busy(model: &Model, name: &str) -> bool {
    let writes = |w: &Work| w.kind != Kind::Preview && w.progress.phase != Phase::Paused;
    model
        .works
        .iter()
        .any(|w| w.kind != Kind::Demo && w.name == name && writes(w))
}

/// The read model that folds a topic: the one under the cursor of the projections where that does, else the first.
pub fn reader_of(model: &Model, topic: &str) -> Option<String> {
    let reads = |row: &&ProjectionRow| {
        row.built.is_some() && row.unreadable().is_none() && row.topics.iter().any(|known| known == topic)
    };
    let selected = model.projections.selected().filter(reads);
    let first = || model.projections.remote.value.iter().flatten().find(reads);
    selected.or_else(first).map(|row| row.name.clone())
}

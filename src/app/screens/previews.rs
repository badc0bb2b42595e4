//! Previews: what a projection's file, as it is saved now, would make of the log, built beside the read model in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::readmodel::compare::Tally;

use super::super::difference::{Event, Question};
use super::super::job::{Job, ProjectionRow};
use super::super::lang::say;
use super::super::message::Effect;
use super::super::model::{Level, Model, Screen};
use super::super::overlay::{Confirm, Confirmed, Overlay};
use super::super::work::{Kind, Work};
use super::projections;

/// A preview that was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Previewed {
    /// The projection.
    pub name: String,
    /// What its file said when it was built, as a hash.
    pub hash: String,
    /// How it compares with the read model in use.
    pub tally: Tally,
    /// The first event after which the two part, where one does that.
    pub event: Option<Arc<Event>>,
}

/// What is known of previews.
#[derive(Debug, Clone, Default)]
pub struct Previews {
    /// Those that were built and neither accepted nor dropped.
    pub built: BTreeMap<String, Previewed>,
    /// What each file said at the last look.
    hashes: BTreeMap<String, String>,
    /// Files that were saved and wait for their preview.
    wanted: BTreeSet<String>,
}

/// The projection that the screen in view is about.
fn selected(model: &Model) -> Option<&ProjectionRow> {
    match model.screen {
        Screen::Projections => model.projections.selected(),
        Screen::Differences => {
            let Question::Preview(name) = &model.differences.as_ref()?.question else {
                return None;
            };
            let mut known = model.projections.remote.value.iter().flatten();
            known.find(|row| row.name == *name)
        }
        _ => None,
    }
}

/// The preview of the projection that the screen in view is about.
pub fn of_selected(model: &Model) -> Option<&Previewed> {
    model.previews.built.get(&selected(model)?.name)
}

/// Why there can be no preview of the projection under the cursor; `None` if there can.
pub fn refusal(model: &Model) -> Option<&'static str> {
    match model.projections.selected() {
        None => Some("there is no projection under the cursor"),
        Some(row) if model.previews.built.contains_key(&row.name) => None,
        Some(row) if row.broken.is_some() => Some("the file must be mended first: the detail says where"),
        Some(row) if row.built.is_none() || row.unreadable().is_some() => {
            Some("there is no read model yet to compare with: r builds it")
        }
        Some(row) if row.file.is_none() => Some("the file that it was built from is not here"),
        Some(row) if !row.changed => Some("save a change first: this is what was built"),
        Some(row) if building(model, &row.name).is_some() => Some("it is being built"),
        Some(_) => None,
    }
}

fn building<'a>(model: &'a Model, name: &str) -> Option<&'a Work> {
    model
        .works
        .iter()
        .find(|work| work.kind == Kind::Preview && work.name == name)
}

/// Looks which files were saved since the last look, and begins their previews.
pub fn look(model: &mut Model, fx: &mut Vec<Effect>) {
    let rows: Vec<ProjectionRow> = model.projections.remote.value.clone().unwrap_or_default();
    for row in &rows {
        let Some(hash) = &row.hash else { continue };
        let before = model.previews.hashes.insert(row.name.clone(), hash.clone());
        let saved = before.is_some_and(|before| before != *hash);
        if !row.changed {
            // It says again what the read model was built from.
            model.previews.wanted.remove(&row.name);
            if model.previews.built.contains_key(&row.name) {
                forget(model, &row.name.clone(), fx);
            }
        } else if saved && row.built.is_some() && row.unreadable().is_none() {
            model.previews.wanted.insert(row.name.clone());
        }
    }
    for name in model.previews.wanted.clone() {
        match building(model, &name).map(|work| (work.id, work.cancelling)) {
            None => {
                let file = rows
                    .iter()
                    .find(|row| row.name == name)
                    .and_then(|row| row.file.clone());
                model.previews.wanted.remove(&name);
                if let Some(file) = file {
                    begin(model, name, file, fx);
                }
            }
            // What it builds is no longer what the file says; the next look begins anew.
            Some((id, false)) => {
                if let Some(work) = model.works.iter_mut().find(|work| work.id == id) {
                    work.cancelling = true;
                }
                fx.push(Effect::Cancel(id));
            }
            Some((_, true)) => {}
        }
    }
}

/// Begins the preview of the projection under the cursor.
pub fn build(model: &mut Model, fx: &mut Vec<Effect>) {
    let row = model.projections.selected();
    if let Some((name, file)) = row.and_then(|row| Some((row.name.clone(), row.file.clone()?))) {
        begin(model, name, file, fx);
    }
}

fn begin(model: &mut Model, name: String, file: String, fx: &mut Vec<Effect>) {
    model.previews.built.remove(&name);
    let job = Job::Preview {
        name: name.clone(),
        file,
    };
    work(model, Kind::Preview, name, job, fx);
}

fn work(model: &mut Model, kind: Kind, name: String, job: Job, fx: &mut Vec<Effect>) {
    let id = model.start(job, fx);
    model.projections.failed.remove(&name);
    model.works.push(Work::new(id, kind, name, model.now));
}

/// Takes a preview that was built.
pub fn answer(model: &mut Model, previewed: Previewed) {
    model.previews.built.insert(previewed.name.clone(), previewed);
}

/// Puts the preview in use; asks first where it takes over the read model of another file.
pub fn accept(model: &mut Model, fx: &mut Vec<Effect>) {
    let row = selected(model);
    let Some((name, file)) = row.and_then(|row| Some((row.name.clone(), row.file.clone()?))) else {
        return;
    };
    let other = row.and_then(|row| row.other.clone());
    if projections::busy(model, &name) {
        return model.tell(Level::Hint, "it is being worked on: x cancels that");
    }
    match other {
        None => put(model, name, file, false, fx),
        Some(other) => {
            let question = say!(
                model,
                "{other} has the projection `{name}` too, and its read model is the one that {file} would replace. Put the preview in use anyway?",
                other,
                name,
                file
            );
            model.overlay = Some(Overlay::Confirm(Confirm {
                question,
                expect: String::new(),
                input: Default::default(),
                then: Confirmed::TakeOver { name, file },
            }));
        }
    }
}

/// Puts the preview of a file in use; `replace` lets it take over the read model of another file.
pub fn put(model: &mut Model, name: String, file: String, replace: bool, fx: &mut Vec<Effect>) {
    let job = Job::Accept {
        name: name.clone(),
        file,
        replace,
    };
    work(model, Kind::Accept, name, job, fx);
}

/// Drops the preview; the read model in use stays.
pub fn drop_it(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(name) = selected(model).map(|row| row.name.clone()) {
        forget(model, &name, fx);
    }
}

fn forget(model: &mut Model, name: &str, fx: &mut Vec<Effect>) {
    model.previews.built.remove(name);
    work(
        model,
        Kind::Drop,
        name.to_owned(),
        Job::DropPreview(name.to_owned()),
        fx,
    );
}

/// Forgets the preview of a read model that was built anew.
pub fn built(model: &mut Model, name: &str) {
    model.previews.built.remove(name);
}

/// Brings the build before the one in use back.
pub fn bring_back(model: &mut Model, name: String, fx: &mut Vec<Effect>) {
    work(model, Kind::BringBack, name.clone(), Job::BringBack(name), fx);
}

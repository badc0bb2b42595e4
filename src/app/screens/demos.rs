//! The demos: use cases that run on this machine.

use std::collections::BTreeMap;

use crate::demo::player::Stands;
use crate::demo::run::{StepView, prefix};

use super::super::job::{DemoRow, Failure, Job, TaskId};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Level, Model, Screen};
use super::super::remote::Remote;
use super::scene::Scene;

/// The demos screen.
#[derive(Debug, Clone, Default)]
pub struct Demos {
    /// The cursor and filter.
    pub list: List,
    /// The demos.
    pub remote: Remote<Vec<DemoRow>>,
    /// The scenes that were opened, by the demo's id.
    pub scenes: BTreeMap<String, Scene>,
    /// The demo whose scene was opened last.
    pub open: Option<String>,
    /// The job that writes a report, while it does.
    pub report: Option<TaskId>,
    /// The demo that the studio was opened for; it runs as soon as the cluster answers.
    pub first: Option<String>,
}

impl Demos {
    /// The demo under the cursor.
    pub fn selected(&self) -> Option<&DemoRow> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
    }

    /// Puts the cursor on a demo, where it is there; says whether it is.
    pub fn point_at(&mut self, id: &str) -> bool {
        let rows = self.remote.value.as_deref().unwrap_or_default();
        let Some(item) = rows.iter().position(|row| row.id == id) else {
            return false;
        };
        self.list.set_filter("");
        self.refresh();
        self.list.select(item);
        true
    }

    /// Takes the demos. The one whose scene was opened before they came is the one under the cursor.
    pub fn answer(&mut self, rows: Vec<DemoRow>) {
        let first = self.remote.value.is_none();
        self.remote.answer(rows);
        self.refresh();
        if let Some(id) = self.open.clone().filter(|_| first) {
            self.point_at(&id);
        }
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.remote.value.as_deref().unwrap_or_default();
        self.list.refresh(rows.len(), |i, filter| {
            format!("{} {}", rows[i].id, rows[i].title)
                .to_lowercase()
                .contains(filter)
        });
    }
}

/// Asks for the demos; they do not change while the studio runs.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.demos.remote.value.is_none() && model.demos.remote.task.is_none() {
        model.demos.remote.task = Some(model.start(Job::Demos, fx));
    }
}

/// Asks for the demos in the language that is spoken now; those in view stay until they come.
pub fn translate(model: &mut Model, fx: &mut Vec<Effect>) {
    fx.extend(model.demos.remote.task.take().map(Effect::Cancel));
    model.demos.remote.task = Some(model.start(Job::Demos, fx));
}

/// What a demo's topics are called on a cluster that is not Foldlog's own.
pub fn topics(model: &Model, id: &str) -> String {
    let demos = model.demos.remote.value.as_deref().unwrap_or_default();
    let topics = demos.iter().filter(|demo| demo.id == id).flat_map(|demo| &demo.topics);
    let names: Vec<String> = topics.map(|topic| format!("{}{topic}", prefix(id))).collect();
    names.join(", ")
}

/// The steps of a demo as they stand: of its run, or not begun.
pub fn steps(model: &Model, demo: &DemoRow) -> Vec<StepView> {
    let staged = model.demos.scenes.get(&demo.id).and_then(|scene| scene.staged.as_ref());
    if let Some(staged) = staged.filter(|staged| !staged.steps.is_empty()) {
        let mut steps = staged.steps.clone();
        // The run speaks the language in which it was begun.
        for (step, line) in steps.iter_mut().zip(&*demo.script) {
            line.title.get(model.language).clone_into(&mut step.title);
        }
        return steps;
    }
    demo.steps
        .iter()
        .map(|title| StepView {
            title: title.clone(),
            ..StepView::default()
        })
        .collect()
}

/// The demo that a report would be of: the one in view.
fn in_view(model: &Model) -> Option<&str> {
    match model.screen {
        Screen::Charts => model.charts.as_ref().map(|charts| charts.demo.as_str()),
        Screen::Scene => model.demos.open.as_deref(),
        _ => model.demos.selected().map(|demo| demo.id.as_str()),
    }
}

/// Why no report can be written now.
pub fn report_refusal(model: &Model) -> Option<&'static str> {
    let id = in_view(model);
    let ran = id.is_some_and(|id| model.demos.scenes.get(id).is_some_and(|scene| scene.staged.is_some()));
    let stands = id.and_then(|id| model.demos.scenes.get(id)?.stands());
    match () {
        () if id.is_none() => Some("there is no demo under the cursor"),
        () if stands != Some(Stands::Over) && model.works.iter().any(|work| Some(work.name.as_str()) == id) => {
            Some("it is running: the report comes after its end")
        }
        () if !ran => Some("it has not run since the studio was opened: r runs it"),
        () if model.demos.report.is_some() => Some("a report is being written"),
        () => None,
    }
}

/// Writes the report of the run that has ended.
pub fn report(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(id) = in_view(model).map(str::to_owned) {
        model.demos.report = Some(model.start(Job::Report(id), fx));
    }
}

/// Says where the report is, or why there is none; false if the job was another.
pub fn reported(model: &mut Model, id: TaskId, outcome: &Result<String, Failure>) -> bool {
    if model.demos.report != Some(id) {
        return false;
    }
    model.demos.report = None;
    match outcome {
        Ok(line) => model.tell(Level::Done, line.clone()),
        Err(failure) => model.tell_failure("report", failure),
    }
    true
}

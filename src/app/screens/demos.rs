//! The demos: use cases that run on this machine.

use crate::demo::run::StepView;

use super::super::job::{DemoRow, Job};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::Model;
use super::super::remote::Remote;
use super::super::work::{Kind, Work};

/// The demos screen.
#[derive(Debug, Clone, Default)]
pub struct Demos {
    /// The cursor and filter.
    pub list: List,
    /// The demos.
    pub remote: Remote<Vec<DemoRow>>,
    /// The steps of the demo that ran last, with its id.
    pub last_run: Option<(String, Vec<StepView>)>,
    /// The demo that the studio was opened for; it runs as soon as the cluster answers.
    pub first: Option<String>,
}

impl Demos {
    /// The demo under the cursor.
    pub fn selected(&self) -> Option<&DemoRow> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
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

/// Starts a demo.
pub fn run(model: &mut Model, id: &str, fx: &mut Vec<Effect>) {
    let task = model.start(Job::RunDemo(id.to_owned()), fx);
    model.demos.last_run = Some((id.to_owned(), Vec::new()));
    model.works.push(Work::new(task, Kind::Demo, id.to_owned(), model.now));
}

/// The steps of a demo as they stand: of its run, or not begun.
pub fn steps(model: &Model, demo: &DemoRow) -> Vec<StepView> {
    if let Some((id, steps)) = &model.demos.last_run
        && *id == demo.id
        && !steps.is_empty()
    {
        return steps.clone();
    }
    demo.steps
        .iter()
        .map(|title| StepView {
            title: title.clone(),
            ..StepView::default()
        })
        .collect()
}

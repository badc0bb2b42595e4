//! The charts of a demo, or of one of its stores: one beside the list of them, or all at once. Asked for again while they are in view.

use crate::chart::{Chart, Kind};
use crate::record::Timestamp;

use super::super::job::{DemoRow, Failure, Job};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::navigate::enter;
use super::super::remote::Remote;

/// How soon after an answer they are asked for again, at the soonest.
const PAUSE_MS: i64 = 2_000;
/// The pause is so many times as long as the answer took, so that slow queries do not take the machine.
const REST: i64 = 4;

/// A chart in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartRow {
    /// What it shows.
    pub title: String,
    /// How it is drawn.
    pub kind: Kind,
    /// The read model that it leads to.
    pub store: String,
    /// What is drawn, or why there is nothing.
    pub chart: Result<Chart, Failure>,
    /// What it leaves out, in words.
    pub notes: Vec<String>,
}

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Charts {
    /// Whose.
    pub demo: String,
    /// The store whose charts alone are shown, where one was chosen.
    pub store: Option<String>,
    /// The cursor and filter.
    pub list: List,
    /// The charts.
    pub remote: Remote<Vec<ChartRow>>,
    /// Whether all of them are shown at once.
    pub board: bool,
    asked_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
}

impl Charts {
    /// The chart under the cursor.
    pub fn selected(&self) -> Option<&ChartRow> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.remote.value.as_deref().unwrap_or_default();
        self.list.refresh(rows.len(), |i, filter| {
            rows[i].title.to_lowercase().contains(filter) || rows[i].store.to_lowercase().contains(filter)
        });
    }

    /// Whether it is time to ask again.
    fn is_due(&self, now: Timestamp) -> bool {
        let (Some(asked), Some(answered)) = (self.asked_at, self.answered_at) else {
            return self.asked_at.is_none();
        };
        let took = (answered.0 - asked.0).max(0);
        now.0 - answered.0 >= PAUSE_MS.max(took.saturating_mul(REST))
    }
}

/// The demo that has charts of a read model: the one in view before any other that builds one of the same name.
pub fn of_store(model: &Model, store: &str) -> Option<String> {
    let rows = model.demos.remote.value.as_deref()?;
    let has = |row: &&DemoRow| row.charted.iter().any(|known| known == store);
    let open = model.demos.open.as_ref();
    let in_view = rows.iter().filter(has).find(|row| Some(&row.id) == open);
    Some(in_view.or_else(|| rows.iter().find(has))?.id.clone())
}

/// Opens the charts of a demo, or those of one of its stores.
pub fn open(model: &mut Model, demo: &str, store: Option<&str>, fx: &mut Vec<Effect>) {
    model.charts = Some(Charts {
        demo: demo.to_owned(),
        store: store.map(str::to_owned),
        ..Charts::default()
    });
    enter(model, Screen::Charts, fx);
}

/// Asks for the charts.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(charts) = &model.charts else { return };
    if charts.remote.task.is_some() || model.cluster.value.is_none() {
        return;
    }
    let job = Job::Charts {
        demo: charts.demo.clone(),
        store: charts.store.clone(),
    };
    let task = model.start(job, fx);
    let now = model.now;
    if let Some(charts) = &mut model.charts {
        charts.remote.task = Some(task);
        charts.asked_at = Some(now);
        charts.answered_at = None;
    }
}

/// Takes the charts; they are the same ones in the same order as long as the screen is open.
pub fn answer(model: &mut Model, rows: Vec<ChartRow>) {
    let now = model.now;
    if let Some(charts) = &mut model.charts {
        charts.remote.answer(rows);
        charts.answered_at = Some(now);
        charts.refresh();
    }
}

/// Takes a failure.
pub fn failed(model: &mut Model, failure: Failure) {
    let now = model.now;
    if let Some(charts) = &mut model.charts {
        charts.remote.fail(failure);
        charts.answered_at = Some(now);
    }
}

/// Asks again while they are in view.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let now = model.now;
    if model.screen == Screen::Charts && model.charts.as_ref().is_some_and(|charts| charts.is_due(now)) {
        ask(model, fx);
    }
}

/// From all at once back to one beside the list; false where that is in view already.
pub fn leave_board(model: &mut Model) -> bool {
    let on = model.screen == Screen::Charts;
    on && model
        .charts
        .as_mut()
        .is_some_and(|charts| std::mem::take(&mut charts.board))
}

/// Nobody looks any more: what is asked is given up.
pub fn close(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(charts) = model.charts.take() {
        fx.extend(charts.remote.task.map(Effect::Cancel));
    }
}

/// Why the store of the chart under the cursor cannot be opened.
pub fn refusal(model: &Model) -> Option<&'static str> {
    match model.charts.as_ref().and_then(Charts::selected) {
        None => Some("there is no chart under the cursor"),
        Some(row) if row.chart.is_err() => Some("its read model is not there yet: r runs the demo on the demos screen"),
        Some(_) => None,
    }
}

/// Opens the read model that the chart under the cursor is of.
pub fn open_store(model: &mut Model, fx: &mut Vec<Effect>) {
    let selected = model.charts.as_ref().and_then(Charts::selected);
    if let Some(store) = selected.map(|row| row.store.clone()) {
        model.readmodel.wanted = Some(store);
        enter(model, Screen::ReadModel, fx);
    }
}

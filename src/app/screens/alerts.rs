//! Alerts: those of a projection that are open, then those that are resolved, each with the record that raised it.

use crate::readmodel::alert::{Alert, Alerts as Found};
use crate::record::Timestamp;

use super::super::job::Job;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::moment::EventAt;
use super::super::remote::Remote;

/// How many are asked for at first, and how many more whenever the cursor comes to the last.
const PAGE: usize = 1_000;
/// The most that are listed.
const MOST: usize = 10_000;
/// How often they are asked for while they are in view.
const EVERY_MS: i64 = 3_000;

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    /// Whose.
    pub read_model: String,
    /// The cursor and filter.
    pub list: List,
    /// The alerts.
    pub remote: Remote<Found>,
    asked_at: Option<Timestamp>,
    /// How many pages are listed besides the first.
    more: usize,
}

impl Alerts {
    /// The alert under the cursor.
    pub fn selected(&self) -> Option<&Alert> {
        self.remote.value.as_ref()?.latest.get(self.list.selected()?)
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let found = self.remote.value.as_ref().map_or(&[][..], |found| &found.latest);
        self.list.refresh(found.len(), |i, filter| {
            let alert = &found[i];
            alert.name.to_lowercase().contains(filter) || alert.row.to_lowercase().contains(filter)
        });
    }
}

/// Where the record stands that raised the alert under the cursor.
pub fn event(model: &Model) -> Option<EventAt> {
    let raised = &model.alerts.as_ref()?.selected()?.raised;
    Some(EventAt {
        topic: raised.topic.clone(),
        partition: raised.partition,
        offset: raised.offset,
        time: raised.timestamp,
    })
}

/// Opens it for the projection under the cursor.
pub fn open(model: &mut Model) {
    if let Some(row) = model.projections.selected() {
        model.alerts = Some(Alerts {
            read_model: row.name.clone(),
            ..Alerts::default()
        });
    }
}

/// Asks for the alerts.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(alerts) = &model.alerts else { return };
    if alerts.remote.task.is_some() {
        return;
    }
    let listed = PAGE * (1 + alerts.more);
    let task = model.start(Job::Alerts(alerts.read_model.clone(), listed), fx);
    let now = model.now;
    if let Some(alerts) = &mut model.alerts {
        alerts.remote.task = Some(task);
        alerts.asked_at = Some(now);
    }
}

/// Takes the alerts; the cursor stays on the one that it is on.
pub fn answer(model: &mut Model, found: Found) {
    let Some(alerts) = &mut model.alerts else { return };
    let before = alerts.selected().cloned();
    alerts.remote.answer(found);
    alerts.refresh();
    let same = |alert: &Alert, before: &Alert| {
        alert.name == before.name && alert.key == before.key && alert.raised == before.raised
    };
    let found = alerts.remote.value.iter().flat_map(|found| &found.latest);
    let at = before.and_then(|before| found.into_iter().position(|alert| same(alert, &before)));
    if let Some(at) = at {
        alerts.list.select(at);
    }
}

/// Asks for more when the cursor comes to the last of those that are listed.
pub fn moved(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(alerts) = model.alerts.as_mut().filter(|alerts| alerts.remote.task.is_none()) else {
        return;
    };
    let all = alerts
        .remote
        .value
        .as_ref()
        .map_or(0, |found| found.open + found.resolved);
    let listed = alerts.list.total();
    if alerts.list.at_last() && (listed as u64) < all && listed < MOST {
        alerts.more += 1;
        ask(model, fx);
    }
}

/// Asks again while they are in view.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let due = |at: Timestamp| model.now.0 - at.0 >= EVERY_MS;
    let asked = model.alerts.as_ref().and_then(|alerts| alerts.asked_at);
    if model.screen == Screen::Alerts && asked.is_none_or(due) {
        ask(model, fx);
    }
}

//! The consumer groups: who reads what, and how far behind.

use crate::broker::groups::{GroupDetail, GroupSummary};
use crate::record::Timestamp;

use super::super::job::Job;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::remote::Remote;

/// How often group and list are asked for while they are in view.
const EVERY_MS: i64 = 3_000;

/// The groups screen.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// The cursor and filter.
    pub list: List,
    /// The groups.
    pub remote: Remote<Vec<GroupSummary>>,
    /// The group under the cursor.
    pub group: Remote<GroupDetail>,
    /// The group to show once the groups are known.
    pub wanted: Option<String>,
    /// Which group was asked for.
    pub group_of: Option<String>,
    asked_at: Option<Timestamp>,
}

impl Groups {
    /// The group under the cursor.
    pub fn selected(&self) -> Option<&GroupSummary> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.remote.value.as_deref().unwrap_or_default();
        self.list
            .refresh(rows.len(), |i, filter| rows[i].id.to_lowercase().contains(filter));
    }
}

/// Asks for the groups.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.value.is_some() && model.groups.remote.task.is_none() {
        model.groups.asked_at = Some(model.now);
        model.groups.remote.task = Some(model.start(Job::Groups, fx));
    }
}

/// Takes the groups, and asks for the one under the cursor.
pub fn answer(model: &mut Model, mut groups: Vec<GroupSummary>, fx: &mut Vec<Effect>) {
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    let wanted = model.groups.wanted.take();
    let before = wanted.or_else(|| model.groups.selected().map(|g| g.id.clone()));
    model.groups.remote.answer(groups);
    model.groups.refresh();
    if let Some(item) = before.and_then(|id| model.groups.remote.value.as_ref()?.iter().position(|g| g.id == id)) {
        model.groups.list.select(item);
    }
    selected(model, true, fx);
}

/// Asks for the group under the cursor, if it is another one or `again`.
pub fn selected(model: &mut Model, again: bool, fx: &mut Vec<Effect>) {
    let Some(id) = model.groups.selected().map(|g| g.id.clone()) else {
        return;
    };
    let other = model.groups.group_of.as_ref() != Some(&id);
    if !other && (!again || model.groups.group.task.is_some()) {
        return;
    }
    fx.extend(model.groups.group.task.take().map(Effect::Cancel));
    if other {
        model.groups.group = Remote::default();
    }
    model.groups.group.task = Some(model.start(Job::Group(id.clone()), fx));
    model.groups.group_of = Some(id);
}

/// Asks again while the list is in view.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let due = model.groups.asked_at.is_none_or(|at| model.now.0 - at.0 >= EVERY_MS);
    if model.screen == Screen::Groups && due {
        ask(model, fx);
    }
}

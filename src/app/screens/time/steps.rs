//! The steps that keys take: which event each goes to, and why one cannot be taken now.

use crate::replay::step::{Goal, RowGoal};

use super::super::super::command::Action;
use super::super::super::message::Effect;
use super::super::super::model::{Model, Pane};
use super::super::super::moment::Go;
use super::super::super::place::{self, Place};
use super::{Time, go};

/// The keys that go from one event to another.
const STEPS: [Action; 12] = [
    Action::Forward,
    Action::Backward,
    Action::Forward10,
    Action::Backward10,
    Action::Forward100,
    Action::Backward100,
    Action::NextOfKey,
    Action::PreviousOfKey,
    Action::NextOfType,
    Action::PreviousOfType,
    Action::NextOfRow,
    Action::PreviousOfRow,
];

impl Time {
    /// The row under the cursor, or the change.
    fn row_goal(&self, pane: Pane) -> Option<RowGoal> {
        let moment = self.moment.value.as_ref()?;
        if pane == Pane::Third {
            let shape = self.shape()?;
            let row = self.rows.value.as_ref()?.rows.get(self.row)?;
            return Some(RowGoal::row(&shape.name, &shape.key_of(row)));
        }
        let change = moment.event.as_ref()?.changes.get(self.change)?;
        let shape = moment.tables.get(change.table)?;
        Some(RowGoal::row(&shape.name, &change.key(shape)))
    }

    fn goal(&self, action: Action, pane: Pane) -> Option<Goal> {
        let event = || self.moment.value.as_ref()?.event.as_ref();
        Some(match action {
            Action::Forward | Action::Backward => Goal::Count(1),
            Action::Forward10 | Action::Backward10 => Goal::Count(10),
            Action::Forward100 | Action::Backward100 => Goal::Count(100),
            Action::NextOfKey | Action::PreviousOfKey => Goal::Key(event()?.record.key.clone()?),
            Action::NextOfType | Action::PreviousOfType => Goal::Type(event()?.event.clone()?),
            Action::NextOfRow | Action::PreviousOfRow => Goal::Row(self.row_goal(pane)?),
            _ => return None,
        })
    }

    /// Why a step cannot be taken now; `None` if it can.
    pub fn refusal(&self, action: Action, pane: Pane) -> Option<&'static str> {
        let here = self.moment.value.as_ref();
        let needs_one = matches!(
            action,
            Action::Place
                | Action::Condition
                | Action::Later
                | Action::Earlier
                | Action::Play
                | Action::Speed
                | Action::NextTable
                | Action::First
                | Action::Last
        );
        let steps = matches!(action, Action::OpenRecord) || STEPS.contains(&action);
        if here.is_none() && (needs_one || steps) {
            return Some("there is no moment in view yet");
        }
        match action {
            Action::NextOfKey | Action::PreviousOfKey if self.goal(action, pane).is_none() => {
                Some("the event has no key")
            }
            Action::NextOfType | Action::PreviousOfType if self.goal(action, pane).is_none() => {
                Some("the event has no type")
            }
            Action::NextOfRow | Action::PreviousOfRow if self.goal(action, pane).is_none() => {
                Some("there is no row under the cursor")
            }
            Action::RunOn | Action::RunBack | Action::RunFirst | Action::RunLasting if self.condition.is_none() => {
                Some("there is no condition yet: c writes or chooses one")
            }
            Action::OpenRecord if here.is_none_or(|moment| moment.event.is_none()) => {
                Some("this is before the first event")
            }
            _ => None,
        }
    }
}

/// Takes a step that a key asks for.
pub fn step(model: &mut Model, action: Action, fx: &mut Vec<Effect>) {
    let Some(time) = &model.time else { return };
    let Some(goal) = time.goal(action, model.pane) else {
        return;
    };
    let back = matches!(
        action,
        Action::Backward
            | Action::Backward10
            | Action::Backward100
            | Action::PreviousOfKey
            | Action::PreviousOfType
            | Action::PreviousOfRow
    );
    go(model, if back { Go::Back(goal) } else { Go::Forward(goal) }, fx);
}

/// Goes to a place that was typed, which may name its topic.
pub fn typed(model: &mut Model, text: &str, fx: &mut Vec<Effect>) -> Result<(), String> {
    match (
        place::parse(text, model.now, &model.zone(), model.language),
        place::in_topic(text),
    ) {
        (Ok(found), _) => place(model, found, fx),
        (Err(_), Some((topic, partition, offset))) => go(model, Go::Offset(Some(topic), partition, offset), fx),
        (Err(wrong), None) => return Err(wrong),
    }
    Ok(())
}

/// Goes to a place that was typed. A bare number is the event of that number: here offsets are those of many partitions.
pub fn place(model: &mut Model, place: Place, fx: &mut Vec<Effect>) {
    let now = model.time.as_ref().and_then(|time| time.moment.value.as_ref());
    let here = now.map_or(0, |moment| moment.counts.total());
    let way = match place {
        Place::Begin => Go::Begin,
        Place::End => Go::End,
        Place::Back(count) => Go::BeforeEnd(u64::try_from(count).unwrap_or(0)),
        Place::Time(time) => Go::Time(time),
        Place::At(partition, offset) => Go::Offset(None, partition, offset),
        Place::Offset(number) => {
            let number = u64::try_from(number).unwrap_or(0);
            match number.cmp(&here) {
                std::cmp::Ordering::Equal => return,
                std::cmp::Ordering::Greater => Go::Forward(Goal::Count(number - here)),
                std::cmp::Ordering::Less if number == 0 => Go::Begin,
                std::cmp::Ordering::Less => Go::Back(Goal::Count(here - number)),
            }
        }
    };
    go(model, way, fx);
}

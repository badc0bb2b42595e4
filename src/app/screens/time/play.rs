//! The clock: a moment that plays goes on to the next event when that is due.

use crate::record::Timestamp;
use crate::replay::step::{Goal, Walked};

use super::super::super::message::Effect;
use super::super::super::model::{Level, Model};
use super::super::super::moment::{Go, Moment};
use super::{Time, begin, show};

/// How many times faster than the log's own time it is played.
pub(super) const SPEEDS: [i64; 3] = [1, 10, 100];
/// A gap between two events that is longer is played as this long.
const LONGEST_GAP_MS: i64 = 1_000;

/// The clock of a moment that plays.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// When the event in view came into view; `None` until the next tick says.
    shown: Option<Timestamp>,
    /// The next moment, and when it is due.
    next: Option<(Box<Moment>, Timestamp)>,
}

impl Time {
    /// When a clock that plays wants to be told the time; at once where that is long ago.
    pub fn wake(&self) -> Option<Timestamp> {
        let play = self.play.as_ref()?;
        match &play.next {
            Some((_, due)) => Some(*due),
            None if self.moment.task.is_some() || self.rows.task.is_some() => None,
            None => Some(Timestamp(0)),
        }
    }
}

/// Plays on from here, or stops.
pub fn toggle(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.time.as_ref().is_some_and(|time| time.play.is_some()) {
        return stop(model, fx);
    }
    if let Some(time) = &mut model.time {
        time.play = Some(Play::default());
    }
}

/// Plays faster, or at the log's own pace again.
pub fn faster(model: &mut Model) {
    if let Some(time) = &mut model.time {
        let at = SPEEDS.iter().position(|speed| *speed == time.speed).unwrap_or(0);
        time.speed = SPEEDS[(at + 1) % SPEEDS.len()];
    }
}

pub(super) fn stop(model: &mut Model, fx: &mut Vec<Effect>) {
    let play = model.time.as_mut().and_then(|time| time.play.take());
    if let Some((moment, _)) = play.and_then(|play| play.next) {
        // The world stands there already.
        show(model, *moment, fx);
    }
}

/// Shows what is due, and asks for what comes after it.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let now = model.now;
    let Some(time) = &mut model.time else { return };
    if time.wake().is_none_or(|due| due > now) {
        return;
    }
    let Some(play) = &mut time.play else { return };
    match play.next.take() {
        Some((moment, _)) => {
            play.shown = Some(now);
            show(model, *moment, fx);
        }
        None => {
            play.shown.get_or_insert(now);
            begin(model, Go::Forward(Goal::Count(1)), fx);
        }
    }
}

/// Takes a moment while it plays: one that is not due yet waits.
pub(super) fn take(model: &mut Model, moment: Moment, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    if moment.walked == Some(Walked::Edge) {
        time.play = None;
        model.tell(Level::Hint, "this is the end of the log");
        return show(model, moment, fx);
    }
    let of = |moment: &Moment| moment.event.as_ref()?.record.timestamp;
    let (before, after) = (time.moment.value.as_ref().and_then(of), of(&moment));
    let gap = before
        .zip(after)
        .map_or(0, |(before, after)| after.0.saturating_sub(before.0));
    let Some(play) = &mut time.play else { return };
    let shown = play.shown.unwrap_or(model.now);
    let due = shown.0 + gap.clamp(0, LONGEST_GAP_MS) / time.speed.max(1);
    play.next = Some((Box::new(moment), Timestamp(due)));
}

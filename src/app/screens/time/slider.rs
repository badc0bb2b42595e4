//! The slider: how the events lie in time, and moving by a part of the log at once.

use crate::record::Timestamp;
use crate::replay::step::Goal;

use super::super::super::job::Job;
use super::super::super::layout::Area;
use super::super::super::message::{Effect, Mouse};
use super::super::super::model::Model;
use super::super::super::moment::{Go, Timeline};
use super::{Time, go};

/// A coarse move is this part of the log's events.
const PART: u64 = 20;
/// So many events are stepped through one by one rather than jumped over.
const STEPPED: u64 = 2_000;

impl Timeline {
    /// Which part of its time has passed, from 0 to 1.
    pub fn share(&self, at: Timestamp) -> f64 {
        let all = (self.end.0 - self.begin.0).max(1) as f64;
        ((at.0 - self.begin.0) as f64 / all).clamp(0.0, 1.0)
    }

    /// The time at a part of it.
    pub fn at(&self, share: f64) -> Timestamp {
        let all = (self.end.0 - self.begin.0) as f64;
        Timestamp(self.begin.0 + (all * share.clamp(0.0, 1.0)).round() as i64)
    }

    /// About when the log had so many events.
    fn when(&self, events: u64) -> Timestamp {
        let mut before = 0;
        for (n, count) in self.events.iter().enumerate() {
            if before + count >= events.max(1) {
                let part = (events - before.min(events)) as f64 / (*count).max(1) as f64;
                return self.at((n as f64 + part) / self.events.len() as f64);
            }
            before += count;
        }
        self.end
    }
}

/// Asks how the events lie in time, once.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &model.time else { return };
    if time.timeline.value.is_some() || time.timeline.task.is_some() {
        return;
    }
    let job = Job::Timeline(time.read_model.clone());
    let task = model.start(job, fx);
    if let Some(time) = &mut model.time {
        time.timeline.task = Some(task);
    }
}

/// Moves by a part of the log.
pub fn coarse(model: &mut Model, forward: bool, fx: &mut Vec<Effect>) {
    let Some(time) = &model.time else { return };
    let Some(moment) = &time.moment.value else { return };
    let (here, all) = (moment.counts.total(), time.total.max(moment.counts.total()));
    let by = (all / PART).max(1);
    let exact = match forward {
        true => Go::Forward(Goal::Count(by)),
        false => Go::Back(Goal::Count(by)),
    };
    let target = if forward { here + by } else { here.saturating_sub(by) };
    let way = match &time.timeline.value {
        _ if target == 0 => Go::Begin,
        _ if target >= all => Go::End,
        Some(timeline) if by > STEPPED => {
            let at = timeline.when(target);
            let moves = moment
                .latest
                .is_none_or(|latest| if forward { at > latest } else { at <= latest });
            if moves { Go::Time(at) } else { exact }
        }
        _ => exact,
    };
    go(model, way, fx);
}

/// Drags the slider; where it is let go of, the moment is gone to. False if the mouse did nothing to it.
pub fn mouse(model: &mut Model, mouse: Mouse, x: u16, y: u16, fx: &mut Vec<Effect>) -> bool {
    let area = model.layout.slider;
    let Some(time) = &mut model.time else { return false };
    match mouse {
        Mouse::Click if area.holds(x, y) => time.drag = Some(cell(area, x)),
        Mouse::Drag if time.drag.is_some() => time.drag = Some(cell(area, x)),
        Mouse::Release => {
            let Some(cell) = time.drag.take() else { return false };
            let way = time.place_of(cell, area);
            go(model, way, fx);
        }
        _ => return false,
    }
    true
}

/// The slider's cell under a column, or the nearest.
fn cell(area: Area, x: u16) -> u16 {
    x.clamp(area.x, area.x + area.width.saturating_sub(1)) - area.x
}

impl Time {
    /// The moment that a cell of the slider stands for.
    fn place_of(&self, cell: u16, area: Area) -> Go {
        let last = area.width.saturating_sub(1).max(1);
        if cell == 0 {
            return Go::Begin;
        }
        if cell >= last {
            return Go::End;
        }
        let share = f64::from(cell) / f64::from(last);
        match &self.timeline.value {
            Some(timeline) => Go::Time(timeline.at(share)),
            None => {
                let here = self.moment.value.as_ref().map_or(0, |moment| moment.counts.total());
                let target = (self.total as f64 * share) as u64;
                match target >= here {
                    true => Go::Forward(Goal::Count((target - here).max(1))),
                    false => Go::Back(Goal::Count(here - target)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_events_is_found_in_the_time_they_took() {
        let timeline = Timeline {
            begin: Timestamp(0),
            end: Timestamp(400),
            events: vec![100, 0, 50, 50],
        };
        assert_eq!(timeline.when(50), Timestamp(50));
        assert_eq!(timeline.when(100), Timestamp(100));
        assert_eq!(timeline.when(125), Timestamp(250));
        assert_eq!(timeline.when(200), Timestamp(400));
        assert_eq!(timeline.when(999), Timestamp(400));
        assert_eq!(timeline.share(Timestamp(100)), 0.25);
        assert_eq!(timeline.share(Timestamp(-5)), 0.0);
    }
}

//! The live tail of a topic's records.

use std::collections::BTreeMap;

use super::super::job::{Arrivals, Job, Needle, TaskId};
use super::super::message::Effect;
use super::super::model::Model;
use super::super::place::Place;
use super::super::window::MAX_RECORDS;
use super::records;

/// A live tail.
#[derive(Debug, Clone)]
pub struct Tail {
    /// Its job.
    pub task: TaskId,
    /// Whether the screen is held still.
    pub paused: bool,
    /// How many records arrived since it began.
    pub seen: u64,
    /// How many arrived while the screen is held still.
    pub held_back: u64,
    waiting: Option<Arrivals>,
}

/// Begins a live tail, or ends it.
pub fn toggle(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    if let Some(tail) = records.tail.take() {
        fx.push(Effect::Cancel(tail.task));
    } else if records.page.value.is_some()
        && records.page.task.is_none()
        && records.window.at_end()
        && records.newest_first
    {
        begin(model, fx);
    } else {
        records.tail_wanted = true;
        records::go(model, Place::End, fx);
    }
}

pub(super) fn begin(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    if let (Some(needle @ Needle::Where(_)), None) = (Needle::of(records.list.filter()), &records.search) {
        // What it chooses of the page that was read is not known here, so that what is yet to come is all that is in view.
        let nothing = records.window.from_end();
        records.search_in(needle, nothing);
    }
    let job = Job::Tail {
        topic: records.topic.clone(),
        from: records.window.end.clone(),
        needle: records.search.as_ref().map(|search| search.needle.clone()),
    };
    let task = model.start(job, fx);
    if let Some(records) = &mut model.records {
        records.list.set_cursor(0);
        records.tail = Some(Tail {
            task,
            paused: false,
            seen: 0,
            held_back: 0,
            waiting: None,
        });
    }
    model.layout.list.first = 0;
}

/// Holds the tail still, or lets it go on.
pub fn pause(model: &mut Model) {
    let Some(tail) = model.records.as_mut().and_then(|r| r.tail.as_mut()) else {
        return;
    };
    tail.paused = !tail.paused;
    tail.held_back = 0;
    if let Some(waiting) = tail.waiting.take() {
        show(model, waiting);
    }
}

/// Takes records that arrived.
pub fn arrive(model: &mut Model, arrivals: Arrivals) {
    let Some(tail) = model.records.as_mut().and_then(|r| r.tail.as_mut()) else {
        return;
    };
    if tail.paused {
        tail.held_back += arrivals.seen.saturating_sub(tail.seen);
        tail.seen = arrivals.seen;
        tail.waiting = Some(match tail.waiting.take() {
            Some(waiting) => join(waiting, arrivals),
            None => arrivals,
        });
    } else {
        tail.seen = arrivals.seen;
        show(model, arrivals);
    }
}

fn show(model: &mut Model, arrivals: Arrivals) {
    let Some(records) = &mut model.records else { return };
    let stick = records.at_newest();
    let shift = records.change(stick, |w| w.arrive(arrivals));
    if !stick {
        model.layout.list.first = model.layout.list.first.saturating_add_signed(shift);
    } else if model.detail != 0 {
        model.detail = 0;
    }
}

/// Two batches as one, bounded like the window that will take it.
fn join(mut first: Arrivals, second: Arrivals) -> Arrivals {
    if second.gap.is_some() {
        return second;
    }
    first.records.extend(second.records);
    first.end.extend(second.end);
    first.seen = second.seen;
    if first.records.len() > MAX_RECORDS {
        let mut start: BTreeMap<i32, i64> = first.end.clone();
        let gone = first.records.len() - MAX_RECORDS;
        first.records.drain(..gone);
        for record in first.records.iter().rev() {
            start.insert(record.partition, record.offset);
        }
        first.gap = Some(start);
    }
    first
}

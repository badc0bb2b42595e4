//! The time machine: a read model at one moment, the event that led to it, and what that event did to the rows.

pub mod conditions;
pub mod play;
pub mod rows;
pub mod slider;
pub mod steps;

use crate::readmodel::query::{Cell, Rows};
use crate::replay::step::{Goal, Walked};

use super::super::job::{Failure, Job};
use super::super::message::Effect;
use super::super::model::{Level, Model, Screen};
use super::super::moment::{Applied, Go, Moment, Shape, Stood, Timeline, Underway};
use super::super::remote::Remote;

use conditions::Condition;
use play::Play;
use rows::Seek;

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Time {
    /// The read model.
    pub read_model: String,
    /// Where it stands; the task is a way that is being gone.
    pub moment: Remote<Moment>,
    /// Which way that is.
    pub way: Option<Go>,
    /// How far it is.
    pub underway: Option<Underway>,
    /// Events in the log, as far as is known.
    pub total: u64,
    /// How the events lie in time, for the slider.
    pub timeline: Remote<Timeline>,
    /// The slider's cell to which it is being dragged.
    pub drag: Option<u16>,
    /// The condition that was run to last.
    pub condition: Option<Condition>,
    /// The one that is being run to for the first time.
    tried: Option<Condition>,
    /// The clock, while it plays.
    pub play: Option<Play>,
    /// How many times faster than the log's own time it plays.
    pub speed: i64,
    /// The change under the cursor.
    pub change: usize,
    /// The table whose rows are shown, of the moment's.
    pub table: usize,
    /// The rows of a page of it.
    pub rows: Remote<Rows>,
    /// The first row of the page.
    pub skip: u64,
    /// The key of a row that is being looked for, page by page.
    seek: Option<Seek>,
    /// The row under the cursor.
    pub row: usize,
    /// The column under the cursor.
    pub column: usize,
}

impl Time {
    /// The table whose rows are shown.
    pub fn shape(&self) -> Option<&Shape> {
        self.moment.value.as_ref()?.tables.get(self.table)
    }

    /// How many rows are in view.
    pub fn len(&self) -> usize {
        self.rows.value.as_ref().map_or(0, |rows| rows.rows.len())
    }

    /// Whether no row is in view.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changed rows are shown.
    pub fn changes(&self) -> usize {
        let event = self.moment.value.as_ref().and_then(|moment| moment.event.as_ref());
        event.map_or(0, |event| event.changes.len())
    }

    /// The row that the event in view changed, for one of the rows in view: as it was before.
    pub fn change_of(&self, row: &[Cell]) -> Option<Option<&[Cell]>> {
        let moment = self.moment.value.as_ref()?;
        let shape = moment.tables.get(self.table)?;
        let key = shape.key_of(row);
        let changes = moment.event.as_ref()?.changes.iter();
        let mut of_row = changes.filter(|change| change.table == self.table && change.key(shape) == key);
        of_row.next().map(|first| first.before.as_deref())
    }

    fn stood(&self) -> Stood {
        Stood {
            read_model: self.read_model.clone(),
            position: self.moment.value.as_ref().map(|moment| moment.position.clone()),
        }
    }
}

/// Opens it for the read model under the cursor, at the end of the log.
pub fn open(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(name) = wanted(model) {
        open_at(model, name, Go::End, fx);
    }
}

/// Opens it for a read model at a moment; where it is open for that, it goes there from where it stands.
pub fn open_at(model: &mut Model, name: String, way: Go, fx: &mut Vec<Effect>) {
    if model.time.as_ref().is_some_and(|time| time.read_model == name) {
        return begin(model, way, fx);
    }
    close(model, fx);
    let known = model.projections.remote.value.iter().flatten();
    let built = known.filter(|p| p.name == name).find_map(|p| p.built.as_ref());
    model.time = Some(Time {
        read_model: name,
        total: built.map_or(0, |info| info.counts.total()),
        speed: play::SPEEDS[0],
        ..Time::default()
    });
    begin(model, way, fx);
}

/// The read model that it would be opened for.
pub fn wanted(model: &Model) -> Option<String> {
    match model.screen {
        Screen::Projections => {
            let row = model.projections.selected()?;
            (row.built.is_some() && row.unreadable().is_none()).then(|| row.name.clone())
        }
        Screen::ReadModel => model.readmodel.selected().map(|table| table.read_model.clone()),
        _ => None,
    }
}

/// Stops what goes on; what is in view stays.
pub fn rest(model: &mut Model, fx: &mut Vec<Effect>) {
    play::stop(model, fx);
    conditions::keep(model, fx);
    if let Some(time) = &mut model.time {
        fx.extend(time.moment.task.take().map(Effect::Cancel));
        fx.extend(time.rows.task.take().map(Effect::Cancel));
        fx.extend(time.timeline.task.take().map(Effect::Cancel));
        time.drag = None;
        time.way = None;
        time.underway = None;
    }
}

/// Asks for what was given up when one went elsewhere.
pub fn resume(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &model.time else { return };
    if time.moment.task.is_none() && time.rows.value.is_none() {
        rows::ask(model, fx);
    }
}

/// Leaves it, and gives back what its copy of the read model takes.
pub fn close(model: &mut Model, fx: &mut Vec<Effect>) {
    rest(model, fx);
    if model.time.take().is_some() {
        model.start(Job::LeavePast, fx);
    }
}

/// Asks again for what is in view, or for what could not be shown.
pub fn again(model: &mut Model, fx: &mut Vec<Effect>) {
    match &model.time {
        Some(time) if time.moment.value.is_none() => begin(model, Go::End, fx),
        Some(_) => rows::ask(model, fx),
        None => {}
    }
}

/// Goes a way, unless one is being gone: a key that is held down must not pile up.
pub fn go(model: &mut Model, way: Go, fx: &mut Vec<Effect>) {
    play::stop(model, fx);
    let Some(time) = &model.time else { return };
    if time.moment.task.is_none() {
        begin(model, way, fx);
    } else if time.way.as_ref() != Some(&way) {
        model.tell(Level::Hint, "it is on its way to another moment: x stops that");
    }
}

fn begin(model: &mut Model, way: Go, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    fx.extend(time.rows.task.take().map(Effect::Cancel));
    let stood = time.stood();
    let task = model.start(Job::Walk { stood, go: way.clone() }, fx);
    if let Some(time) = &mut model.time {
        time.moment.task = Some(task);
        time.moment.error = None;
        time.way = Some(way);
        time.underway = None;
    }
}

/// Takes a moment; while it plays, one that is not due yet waits.
pub fn arrive(model: &mut Model, moment: Moment, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.moment.task = None;
    time.underway = None;
    let way = time.way.take();
    if time.play.is_some() {
        return play::take(model, moment, fx);
    }
    if let Some(line) = ended_early(way.as_ref(), &moment) {
        model.tell(Level::Hint, line);
    }
    show(model, moment, fx);
    conditions::keep(model, fx);
}

/// What is said where a way ended before its goal.
fn ended_early(way: Option<&Go>, moment: &Moment) -> Option<&'static str> {
    match (way?, moment.walked?) {
        (_, Walked::There) => None,
        (_, Walked::Cancelled) => Some("stopped on the way"),
        (Go::Forward(Goal::Count(_)), _) => Some("this is the end of the log"),
        (Go::Back(Goal::Count(_)), _) => Some("this is the beginning of the log"),
        (Go::First(_), _) => Some("no event of the log makes it true"),
        (Go::FirstLasting(_), _) => Some("nowhere does it come to hold for good: F asks after every event"),
        (Go::Forward(_), _) => Some("there is none up to the end of the log"),
        (Go::Back(_), _) => Some("there is none down to the beginning of the log"),
        _ => None,
    }
}

fn show(model: &mut Model, moment: Moment, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.total = time.total.max(moment.counts.total());
    let (read_model, remembered) = (time.read_model.clone(), moment.remembered.clone());
    time.moment.answer(moment);
    time.change = 0;
    conditions::recall(model, read_model, remembered);
    rows::seek(model, fx);
    slider::ask(model, fx);
}

/// Takes the failure of a way: what was in view stays.
pub fn failed(model: &mut Model, failure: Failure) {
    let Some(time) = &mut model.time else { return };
    time.play = None;
    time.way = None;
    time.underway = None;
    time.tried = None;
    time.moment.fail(failure);
}

/// Stops the way that is being gone; false if none is.
pub fn stop(model: &mut Model, fx: &mut Vec<Effect>) -> bool {
    let Some(time) = &model.time else { return false };
    if model.screen != Screen::Time || (time.moment.task.is_none() && time.play.is_none()) {
        return false;
    }
    rest(model, fx);
    if let Some(time) = &mut model.time
        && time.moment.value.is_none()
    {
        time.moment.error = Some(Failure::new("it was stopped on the way"));
    }
    true
}

/// The event that led to the moment in view.
pub fn event(model: &Model) -> Option<&Applied> {
    model.time.as_ref()?.moment.value.as_ref()?.event.as_ref()
}

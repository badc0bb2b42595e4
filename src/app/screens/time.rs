//! The time machine: a read model at one moment, the event that led to it, and what that event did to the rows.

use crate::readmodel::query::{Cell, Rows};
use crate::record::Timestamp;
use crate::replay::step::{Goal, RowGoal, Walked};

use super::super::command::Action;
use super::super::job::{Failure, Job};
use super::super::message::Effect;
use super::super::model::{Level, Model, Pane, Screen};
use super::super::moment::{Applied, Go, Moment, Shape, Stood, Underway};
use super::super::place::Place;
use super::super::remote::Remote;
use super::readmodel::quoted;

/// How many rows a page of a table has.
pub const PAGE_ROWS: u64 = 200;
/// How many times faster than the log's own time it is played.
const SPEEDS: [i64; 3] = [1, 10, 100];
/// A gap between two events that is longer is played as this long.
const LONGEST_GAP_MS: i64 = 1_000;

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
    /// The first column in view.
    pub column: usize,
}

/// A row that is to come into view.
#[derive(Debug, Clone)]
struct Seek {
    key: Vec<Cell>,
    /// What the rows that are on their way are.
    asks: Asks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// The page that was in view, where it may well be.
    Here,
    /// How many rows come before it.
    Rank,
    /// The page on which it must be, if there is such a row.
    Page,
}

/// The clock of a moment that plays.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// When the event in view came into view; `None` until the next tick says.
    shown: Option<Timestamp>,
    /// The next moment, and when it is due.
    next: Option<(Box<Moment>, Timestamp)>,
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
            Action::Place | Action::Play | Action::Speed | Action::NextTable | Action::First | Action::Last
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
            Action::OpenRecord if here.is_none_or(|moment| moment.event.is_none()) => {
                Some("this is before the first event")
            }
            _ => None,
        }
    }

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

/// Opens it for the read model under the cursor, at the end of the log.
pub fn open(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(name) = wanted(model) else { return };
    let known = model.projections.remote.value.iter().flatten();
    let built = known.filter(|p| p.name == name).find_map(|p| p.built.as_ref());
    model.time = Some(Time {
        read_model: name,
        total: built.map_or(0, |info| info.counts.total()),
        speed: SPEEDS[0],
        ..Time::default()
    });
    begin(model, Go::End, fx);
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
    stop_play(model, fx);
    if let Some(time) = &mut model.time {
        fx.extend(time.moment.task.take().map(Effect::Cancel));
        fx.extend(time.rows.task.take().map(Effect::Cancel));
        time.way = None;
        time.underway = None;
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
        Some(_) => ask_rows(model, fx),
        None => {}
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

/// Goes to a place that was typed. A bare number is the event of that number: here offsets are those of many partitions.
pub fn place(model: &mut Model, place: Place, fx: &mut Vec<Effect>) {
    let now = model.time.as_ref().and_then(|time| time.moment.value.as_ref());
    let here = now.map_or(0, |moment| moment.counts.total());
    let way = match place {
        Place::Begin => Go::Begin,
        Place::End => Go::End,
        Place::Back(count) => Go::BeforeEnd(u64::try_from(count).unwrap_or(0)),
        Place::Time(time) => Go::Time(time),
        Place::At(partition, offset) => Go::Offset(partition, offset),
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

/// Goes a way, unless one is being gone: a key that is held down must not pile up.
pub fn go(model: &mut Model, way: Go, fx: &mut Vec<Effect>) {
    stop_play(model, fx);
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
    if let Some(play) = &mut time.play {
        if moment.walked == Some(Walked::Edge) {
            time.play = None;
            model.tell(Level::Hint, "this is the end of the log");
            return show(model, moment, fx);
        }
        let before = time
            .moment
            .value
            .as_ref()
            .and_then(|m| m.event.as_ref()?.record.timestamp);
        let after = moment.event.as_ref().and_then(|event| event.record.timestamp);
        let gap = before
            .zip(after)
            .map_or(0, |(before, after)| after.0.saturating_sub(before.0));
        let shown = play.shown.unwrap_or(model.now);
        let due = shown.0 + gap.clamp(0, LONGEST_GAP_MS) / time.speed.max(1);
        play.next = Some((Box::new(moment), Timestamp(due)));
        return;
    }
    if let Some(line) = ended_early(way.as_ref(), &moment) {
        model.tell(Level::Hint, line);
    }
    show(model, moment, fx);
}

/// What is said where a way ended before its goal.
fn ended_early(way: Option<&Go>, moment: &Moment) -> Option<&'static str> {
    match (way?, moment.walked?) {
        (_, Walked::There) => None,
        (_, Walked::Cancelled) => Some("stopped on the way"),
        (Go::Forward(Goal::Count(_)), _) => Some("this is the end of the log"),
        (Go::Back(Goal::Count(_)), _) => Some("this is the beginning of the log"),
        (Go::Forward(_), _) => Some("there is none up to the end of the log"),
        (Go::Back(_), _) => Some("there is none down to the beginning of the log"),
        _ => None,
    }
}

fn show(model: &mut Model, moment: Moment, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.total = time.total.max(moment.counts.total());
    time.moment.answer(moment);
    time.change = 0;
    seek(model, fx);
}

/// Takes the failure of a way: what was in view stays.
pub fn failed(model: &mut Model, failure: Failure) {
    let Some(time) = &mut model.time else { return };
    time.play = None;
    time.way = None;
    time.underway = None;
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

/// Plays on from here, or stops.
pub fn toggle_play(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.time.as_ref().is_some_and(|time| time.play.is_some()) {
        return stop_play(model, fx);
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

fn stop_play(model: &mut Model, fx: &mut Vec<Effect>) {
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

/// Shows the rows of the next table.
pub fn next_table(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    let tables = time.moment.value.as_ref().map_or(0, |moment| moment.tables.len());
    time.seek = None;
    time.table = (time.table + 1) % tables.max(1);
    (time.skip, time.row, time.column) = (0, 0, 0);
    ask_rows(model, fx);
}

/// Asks for the rows, and brings the one into view that the change under the cursor wrote.
pub fn seek(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.seek = None;
    if model.pane != Pane::Third
        && let Some(moment) = &time.moment.value
        && let Some(change) = moment.event.as_ref().and_then(|event| event.changes.get(time.change))
        && let Some(shape) = moment.tables.get(change.table)
    {
        if time.table != change.table {
            time.table = change.table;
            (time.skip, time.column) = (0, 0);
        }
        let key = change.key(shape);
        time.seek = Some(Seek { key, asks: Asks::Here });
    }
    ask_rows(model, fx);
}

/// Goes on looking for a row in what an answer brought; false where the answer is to be shown.
fn sought(model: &mut Model, rows: &Rows, fx: &mut Vec<Effect>) -> bool {
    let Some(time) = &mut model.time else { return false };
    let (Some(seek), Some(shape)) = (time.seek.take(), time.shape().cloned()) else {
        return false;
    };
    if seek.asks == Asks::Rank {
        if let Some(Cell::Integer(before)) = rows.rows.first().and_then(|row| row.first()) {
            // Pages begin where they would if one had scrolled there.
            time.skip = u64::try_from(*before).unwrap_or(0) / PAGE_ROWS * PAGE_ROWS;
        }
        time.seek = Some(Seek {
            asks: Asks::Page,
            ..seek
        });
        ask_rows(model, fx);
        return true;
    }
    if let Some(at) = rows.rows.iter().position(|row| shape.key_of(row) == seek.key) {
        time.row = at;
        return false;
    }
    let Some(sql) = rank(&shape, &seek.key).filter(|_| seek.asks == Asks::Here) else {
        return false;
    };
    time.seek = Some(Seek {
        asks: Asks::Rank,
        ..seek
    });
    ask_past(model, sql, fx);
    true
}

/// How many rows come before a key; `None` where SQL cannot say it.
fn rank(shape: &Shape, key: &[Cell]) -> Option<String> {
    let columns: Vec<String> = shape.key.iter().map(|at| quoted(&shape.columns[*at])).collect();
    let values = key.iter().map(literal).collect::<Option<Vec<_>>>()?;
    if columns.is_empty() || columns.len() != values.len() {
        return None;
    }
    let (table, columns, values) = (quoted(&shape.name), columns.join(", "), values.join(", "));
    Some(format!("SELECT count(*) FROM {table} WHERE ({columns}) < ({values})"))
}

fn literal(value: &Cell) -> Option<String> {
    match value {
        Cell::Integer(value) => Some(value.to_string()),
        Cell::Real(value) if value.is_finite() => Some(format!("{value:?}")),
        Cell::Text(text) if !text.contains('\0') => Some(format!("'{}'", text.replace('\'', "''"))),
        Cell::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("x'{hex}'"))
        }
        _ => None,
    }
}

fn ask_rows(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    fx.extend(time.rows.task.take().map(Effect::Cancel));
    let Some(shape) = time.shape() else { return };
    let mut sql = format!("SELECT * FROM {}", quoted(&shape.name));
    if !shape.key.is_empty() {
        let key: Vec<String> = shape.key.iter().map(|at| quoted(&shape.columns[*at])).collect();
        sql = format!("{sql} ORDER BY {}", key.join(", "));
    }
    sql = format!("{sql} LIMIT {PAGE_ROWS} OFFSET {}", time.skip);
    ask_past(model, sql, fx);
}

fn ask_past(model: &mut Model, sql: String, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    fx.extend(time.rows.task.take().map(Effect::Cancel));
    let stood = time.stood();
    let limit = PAGE_ROWS as usize;
    let task = model.start(Job::PastRows { stood, sql, limit }, fx);
    if let Some(time) = &mut model.time {
        time.rows.task = Some(task);
    }
}

/// Takes the rows.
pub fn rows(model: &mut Model, rows: Rows, fx: &mut Vec<Effect>) {
    if let Some(time) = &mut model.time {
        time.rows.task = None;
    }
    if sought(model, &rows, fx) {
        return;
    }
    let Some(time) = &mut model.time else { return };
    time.rows.answer(rows);
    if time.is_empty() && time.skip > 0 {
        // The table had more rows at another moment, or ends with the page before.
        time.skip = time.skip.saturating_sub(PAGE_ROWS);
        time.row = PAGE_ROWS as usize - 1;
        return ask_rows(model, fx);
    }
    time.row = time.row.min(time.len().saturating_sub(1));
}

/// Takes the failure of the rows: those of another moment are none of this.
pub fn rows_failed(model: &mut Model, failure: Failure) {
    let Some(time) = &mut model.time else { return };
    time.rows.value = None;
    time.rows.fail(failure);
}

/// Moves the cursor of the rows; past a page's end the next is read.
pub fn move_row(model: &mut Model, by: isize, fx: &mut Vec<Effect>) {
    let Some(time) = &mut model.time else { return };
    time.seek = None;
    let last = time.len().saturating_sub(1);
    if time.rows.task.is_none() && by > 0 && time.row == last && time.len() as u64 == PAGE_ROWS {
        time.skip += PAGE_ROWS;
        time.row = 0;
        return ask_rows(model, fx);
    }
    if time.rows.task.is_none() && by < 0 && time.row == 0 && time.skip > 0 {
        time.skip = time.skip.saturating_sub(PAGE_ROWS);
        time.row = PAGE_ROWS as usize - 1;
        return ask_rows(model, fx);
    }
    time.row = time.row.saturating_add_signed(by).min(last);
}

/// The event that led to the moment in view.
pub fn event(model: &Model) -> Option<&Applied> {
    model.time.as_ref()?.moment.value.as_ref()?.event.as_ref()
}

/// The record that led to the moment in view, by topic and place.
pub fn record(model: &Model) -> Option<(String, Place)> {
    let record = &event(model)?.record;
    Some((record.topic.to_string(), Place::At(record.partition, record.offset)))
}

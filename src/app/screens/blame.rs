//! Blame: every event that wrote a row, or changed one cell of it.

use std::collections::VecDeque;

use crate::readmodel::query::Cell;
use crate::record::Position;
use crate::replay::step::RowGoal;

use super::super::job::{Failure, Job};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Pane, Screen};
use super::super::moment::{Applied, EventAt, FoundBy, RowChange, Shape, Underway, Wrote};
use super::super::remote::Remote;
use super::differences;

/// The newest events that are kept; all are counted.
pub const KEPT: usize = 5_000;
/// What the kept events may hold together in keys and values, in bytes.
const KEPT_BYTES: usize = 32 << 20;

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Blame {
    /// Whose row.
    pub row: Asked,
    /// Whether only events that changed the cell are shown.
    pub only_cell: bool,
    /// The table, once an event was found.
    pub shape: Option<Shape>,
    /// The events, oldest first.
    pub events: VecDeque<Applied>,
    /// Events that were found in all, kept or not.
    pub found: u64,
    /// The search; the value says how many events it went through.
    pub search: Remote<u64>,
    /// How far the search is.
    pub underway: Underway,
    /// Where the events were found, once the search is over.
    pub found_by: Option<FoundBy>,
    /// Whether the newest event stands first.
    pub newest_first: bool,
    /// The cursor and filter; item `i` is the `i`th in the order shown.
    pub list: List,
    bytes: usize,
}

/// A row, or a cell of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The read model.
    pub read_model: String,
    /// The table.
    pub table: String,
    /// The values of its primary key, as text shows them.
    pub key: Vec<String>,
    /// The column of the cell.
    pub column: Option<String>,
    /// Up to which moment; `None` for the end of the log.
    pub until: Option<Position>,
}

impl Asked {
    pub(super) fn of(read_model: &str, table: &str, key: &[Cell], column: Option<&str>) -> Self {
        Self {
            read_model: read_model.to_owned(),
            table: table.to_owned(),
            key: RowGoal::row(table, key).key,
            column: column.map(str::to_owned),
            until: None,
        }
    }
}

impl Blame {
    /// Item `i` in the order shown.
    pub fn item(&self, i: usize) -> Option<&Applied> {
        self.events.get(self.turned(i))
    }

    /// The event under the cursor.
    pub fn selected(&self) -> Option<&Applied> {
        self.item(self.list.selected()?)
    }

    /// The cell, where only its changes are shown.
    pub fn cell(&self) -> Option<&str> {
        self.row.column.as_deref().filter(|_| self.only_cell)
    }

    /// Turns an item into an event's place, or back.
    fn turned(&self, i: usize) -> usize {
        match self.newest_first {
            true => self.events.len().wrapping_sub(i + 1),
            false => i,
        }
    }

    /// Applies filter and cell again; the cursor stays on its event, or first where it was first.
    fn refresh(&mut self, on: Option<usize>) {
        let events = &self.events;
        let column = self
            .cell()
            .and_then(|name| self.shape.as_ref()?.columns.iter().position(|column| column == name));
        let newest_first = self.newest_first;
        let shown = |i: usize, filter: &str| {
            let at = if newest_first { events.len() - i - 1 } else { i };
            let event = &events[at];
            let changes = column.is_none_or(|at| event.changes.iter().any(|change| differs(change, at)));
            changes && (filter.is_empty() || contains(event, filter))
        };
        self.list.refresh(events.len(), shown);
        match on {
            Some(at) => self.list.select(self.turned(at)),
            None => self.list.set_cursor(0),
        }
    }

    /// Applies the filter again.
    pub fn refilter(&mut self) {
        let on = self.list.selected().map(|i| self.turned(i));
        self.refresh(on);
    }

    fn take(&mut self, events: Vec<Applied>) {
        // Whoever looks at the first goes on to look at the first.
        let on = self
            .list
            .selected()
            .filter(|_| self.list.cursor() > 0)
            .map(|i| self.turned(i));
        self.found += events.len() as u64;
        for event in events {
            self.bytes += weight(&event);
            self.events.push_back(event);
        }
        let mut gone = 0;
        while self.events.len() > KEPT || (self.bytes > KEPT_BYTES && self.events.len() > 1) {
            self.bytes -= self.events.pop_front().as_ref().map_or(0, weight);
            gone += 1;
        }
        self.refresh(on.and_then(|at| at.checked_sub(gone)));
    }
}

fn weight(event: &Applied) -> usize {
    event.record.view().size()
}

/// Whether a change is one of the value in a column.
fn differs(change: &RowChange, column: usize) -> bool {
    let of = |row: &Option<Vec<Cell>>| row.as_ref().and_then(|row| row.get(column)).cloned();
    of(&change.before) != of(&change.after)
}

fn contains(event: &Applied, filter: &str) -> bool {
    let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(filter);
    event
        .event
        .as_ref()
        .is_some_and(|kind| kind.to_lowercase().contains(filter))
        || event.record.key.as_deref().is_some_and(has)
        || event.record.value.as_deref().is_some_and(has)
}

/// The row under the cursor, with the cell's column where the cursor is on a value that is no key.
pub fn wanted(model: &Model) -> Option<Asked> {
    match model.screen {
        Screen::ReadModel => of_table(model),
        Screen::Time => of_moment(model),
        Screen::Differences => differences::row(model),
        _ => None,
    }
}

fn of_table(model: &Model) -> Option<Asked> {
    let state = &model.readmodel;
    let (item, _) = state.page?;
    let table = state.tables.value.as_ref()?.get(item)?;
    let rows = state.rows.value.as_ref()?;
    let row = rows.rows.get(state.row)?;
    let at = |name: &String| rows.columns.iter().position(|column| column == name);
    let names = &table.table.primary_key;
    let key: Vec<Cell> = names
        .iter()
        .map(|name| row.get(at(name)?).cloned())
        .collect::<Option<_>>()?;
    let column = rows.columns.get(state.column).filter(|name| !names.contains(name));
    // Over the list of tables no cell is under the cursor.
    let column = column.filter(|_| model.pane == Pane::Detail);
    let (read_model, name) = (&table.read_model, &table.table.name);
    (!key.is_empty()).then(|| Asked::of(read_model, name, &key, column.map(String::as_str)))
}

fn of_moment(model: &Model) -> Option<Asked> {
    let time = model.time.as_ref()?;
    let moment = time.moment.value.as_ref()?;
    let mut asked = if model.pane == Pane::Third {
        let shape = time.shape()?;
        let row = time.rows.value.as_ref()?.rows.get(time.row)?;
        let column = shape
            .columns
            .get(time.column)
            .filter(|_| !shape.key.contains(&time.column));
        Asked::of(
            &time.read_model,
            &shape.name,
            &shape.key_of(row),
            column.map(String::as_str),
        )
    } else {
        let change = moment.event.as_ref()?.changes.get(time.change)?;
        let shape = moment.tables.get(change.table)?;
        Asked::of(&time.read_model, &shape.name, &change.key(shape), None)
    };
    asked.until = Some(moment.position.clone());
    (!asked.key.is_empty()).then_some(asked)
}

/// Opens it for a row.
pub fn open(model: &mut Model, row: Asked, fx: &mut Vec<Effect>) {
    close(model, fx);
    model.blame = Some(Blame {
        only_cell: row.column.is_some(),
        newest_first: true,
        row,
        ..Blame::default()
    });
    again(model, fx);
}

/// Searches again from the beginning.
pub fn again(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(blame) = &mut model.blame else { return };
    fx.extend(blame.search.task.take().map(Effect::Cancel));
    *blame = Blame {
        row: blame.row.clone(),
        only_cell: blame.only_cell,
        newest_first: blame.newest_first,
        ..Blame::default()
    };
    // The whole row: the cell's changes are among them, and one can look at either without another search.
    let job = Job::Blame(Asked {
        column: None,
        ..blame.row.clone()
    });
    let task = model.start(job, fx);
    if let Some(blame) = &mut model.blame {
        blame.search.task = Some(task);
    }
}

/// Leaves it.
pub fn close(model: &mut Model, fx: &mut Vec<Effect>) {
    fx.extend(
        model
            .blame
            .take()
            .and_then(|blame| blame.search.task)
            .map(Effect::Cancel),
    );
}

/// Stops the search; what was found stays. False if none is under way.
pub fn stop(model: &mut Model, fx: &mut Vec<Effect>) -> bool {
    let Some(blame) = model.blame.as_mut().filter(|_| model.screen == Screen::Blame) else {
        return false;
    };
    let Some(task) = blame.search.task.take() else {
        return false;
    };
    fx.push(Effect::Cancel(task));
    blame.search.error = Some(Failure::new("the search was stopped; ^R begins it again"));
    true
}

/// Takes what a search has found.
pub fn answer(model: &mut Model, wrote: Wrote) {
    let Some(blame) = &mut model.blame else { return };
    blame.underway = wrote.underway;
    if blame.shape.is_none() {
        blame.shape = wrote.shape;
    }
    if !wrote.events.is_empty() {
        blame.take(wrote.events);
    }
    blame.found_by = wrote.found_by;
    if wrote.over {
        blame.search.answer(wrote.underway.events);
    }
}

/// Shows every event that wrote the row, or only those that changed the cell.
pub fn toggle_cell(model: &mut Model) {
    let Some(blame) = &mut model.blame else { return };
    let on = blame.list.selected().map(|i| blame.turned(i));
    blame.only_cell = !blame.only_cell;
    blame.refresh(on);
    model.detail = 0;
}

/// The newest first, or the oldest.
pub fn turn(model: &mut Model) {
    let Some(blame) = &mut model.blame else { return };
    blame.newest_first = !blame.newest_first;
    blame.refresh(None);
    model.detail = 0;
}

/// Where the event under the cursor stands.
pub fn event(model: &Model) -> Option<EventAt> {
    Some(EventAt::of(&model.blame.as_ref()?.selected()?.record))
}

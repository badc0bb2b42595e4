//! What differs between two read models, row by row: what a verify finds, and what would have been.

use crate::demo::text::Language;
use crate::readmodel::compare::RowDifference;
use crate::readmodel::query::Cell;

use super::super::difference::{Found, Question, Thought};
use super::super::job::{Failure, Job};
use super::super::lang::say;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::moment::{EventAt, Underway};
use super::super::remote::Remote;
use super::{blame, projections, time};

/// The screen.
#[derive(Debug, Clone)]
pub struct Differences {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub found: Remote<Found>,
    /// How far the search is.
    pub underway: Underway,
    /// The cursor and filter of the rows.
    pub list: List,
}

impl Differences {
    /// The row under the cursor.
    pub fn selected(&self) -> Option<&RowDifference> {
        self.found.value.as_ref()?.rows.get(self.list.selected()?)
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.found.value.as_ref().map_or(&[][..], |found| &found.rows);
        self.list.refresh(rows.len(), |i, filter| {
            let row = &rows[i];
            let cells = row.before.iter().chain(&row.after).flatten();
            row.shape.table.to_lowercase().contains(filter) || cells.into_iter().any(|cell| contains(cell, filter))
        });
    }
}

fn contains(cell: &Cell, filter: &str) -> bool {
    match cell {
        Cell::Integer(value) => value.to_string().contains(filter),
        Cell::Real(value) => value.to_string().contains(filter),
        Cell::Text(text) => text.to_lowercase().contains(filter),
        Cell::Null | Cell::Blob(_) => false,
    }
}

/// Opens it with a question.
pub fn open(model: &mut Model, question: Question, fx: &mut Vec<Effect>) {
    close(model, fx);
    model.differences = Some(Differences {
        question,
        found: Remote::default(),
        underway: Underway::default(),
        list: List::default(),
    });
    again(model, fx);
}

/// Asks again.
pub fn again(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(state) = &mut model.differences else { return };
    fx.extend(state.found.task.take().map(Effect::Cancel));
    state.underway = Underway::default();
    state.found.error = None;
    let question = state.question.clone();
    let task = model.start(Job::Differences(question), fx);
    if let Some(state) = &mut model.differences {
        state.found.task = Some(task);
    }
}

/// Leaves it.
pub fn close(model: &mut Model, fx: &mut Vec<Effect>) {
    let task = model.differences.take().and_then(|state| state.found.task);
    fx.extend(task.map(Effect::Cancel));
}

/// Stops the search. False if none is under way.
pub fn stop(model: &mut Model, fx: &mut Vec<Effect>) -> bool {
    let Some(state) = model
        .differences
        .as_mut()
        .filter(|_| model.screen == Screen::Differences)
    else {
        return false;
    };
    let Some(task) = state.found.task else { return false };
    fx.push(Effect::Cancel(task));
    state.found.fail(Failure::new("it was stopped; ^R begins it again"));
    true
}

/// Takes what was found.
pub fn answer(model: &mut Model, found: Found) {
    let Some(state) = &mut model.differences else { return };
    state.found.answer(found);
    state.refresh();
}

/// The first event after which the two part.
pub fn event(model: &Model) -> Option<EventAt> {
    let state = model.differences.as_ref()?;
    Some(state.found.value.as_ref()?.event.as_ref()?.at.clone())
}

/// The row under the cursor, to be blamed: the read model in use is what it says.
pub fn row(model: &Model) -> Option<blame::Asked> {
    let state = model.differences.as_ref()?;
    let row = state.selected()?;
    let only = row.changed.first().and_then(|at| row.shape.columns.get(*at));
    let column = only.filter(|_| row.changed.len() == 1).map(String::as_str);
    Some(blame::Asked::of(
        state.question.read_model(),
        &row.shape.table,
        row.key(),
        column,
    ))
}

/// The read model under the cursor that can be verified.
pub fn verifiable(model: &Model) -> Option<String> {
    time::wanted(model)
}

/// The event that could be thought away or edited, with the read model to look at, and what it says.
pub fn thinkable(model: &Model) -> Option<(String, EventAt, Option<Vec<u8>>)> {
    match model.screen {
        Screen::Time => {
            let read_model = model.time.as_ref()?.read_model.clone();
            let record = &time::event(model)?.record;
            Some((read_model, EventAt::of(record), record.value.clone()))
        }
        Screen::Blame => {
            let blame = model.blame.as_ref()?;
            let record = &blame.selected()?.record;
            Some((blame.row.read_model.clone(), EventAt::of(record), record.value.clone()))
        }
        Screen::Records => {
            let record = model.records.as_ref()?.selected()?;
            let read_model = projections::reader_of(model, &record.topic)?;
            Some((read_model, EventAt::of(record), record.value.clone()))
        }
        _ => None,
    }
}

/// The question what would be without the event under the cursor.
pub fn without(model: &Model) -> Option<Question> {
    let (read_model, event, _) = thinkable(model)?;
    Some(Question::WhatIf(Thought {
        read_model,
        event,
        instead: None,
    }))
}

/// A value on one line, as a prompt takes it; `null` for none.
pub fn one_line(value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "null".to_owned() };
    let json: serde_json::Result<Box<serde_json::value::RawValue>> = serde_json::from_slice(value);
    let text = json.map_or_else(
        |_| String::from_utf8_lossy(value).into_owned(),
        |json| json.get().to_owned(),
    );
    text.split(['\n', '\r', '\t'])
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Refuses what no event could say, before the log is replayed for it.
pub fn said(text: &str, language: Language) -> Result<(), String> {
    let json: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    json.map(drop)
        .map_err(|error| say!(language, "this is no JSON: {error}", error))
}

/// The question what would be, had the event under the cursor said something else.
pub fn instead(model: &Model, value: &str) -> Option<Question> {
    let (read_model, event, _) = thinkable(model)?;
    Some(Question::WhatIf(Thought {
        read_model,
        event,
        instead: Some(value.to_owned()),
    }))
}

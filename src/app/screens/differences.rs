//! What differs between two read models, row by row: what a verify finds, and what would have been.

use crate::demo::text::Language;
use crate::readmodel::compare::RowDifference;
use crate::readmodel::query::Cell;
use crate::record::Record;

use super::super::difference::{Change, Found, Question, Spot, Thought};
use super::super::job::{Failure, Job};
use super::super::lang::say;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Screen};
use super::super::moment::{EventAt, Underway};
use super::super::place::{self, Place};
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

/// An event that can be thought about, with the read model to look at.
pub struct Thinkable<'m> {
    read_model: String,
    record: &'m Record,
    kind: Option<&'m str>,
}

/// The event under the cursor, where a read model is made of it.
pub fn thinkable(model: &Model) -> Option<Thinkable<'_>> {
    match model.screen {
        Screen::Time => {
            let event = time::event(model)?;
            Some(Thinkable {
                read_model: model.time.as_ref()?.read_model.clone(),
                record: &event.record,
                kind: event.event.as_deref(),
            })
        }
        Screen::Blame => {
            let blame = model.blame.as_ref()?;
            let event = blame.selected()?;
            Some(Thinkable {
                read_model: blame.row.read_model.clone(),
                record: &event.record,
                kind: event.event.as_deref(),
            })
        }
        Screen::Records => {
            let record = model.records.as_ref()?.selected()?;
            Some(Thinkable {
                read_model: projections::reader_of(model, &record.topic)?,
                record,
                kind: None,
            })
        }
        _ => None,
    }
}

fn what_if(read_model: String, change: Change) -> Question {
    Question::WhatIf(Thought { read_model, change })
}

/// The question what would be without the event under the cursor.
pub fn without(model: &Model) -> Option<Question> {
    let event = thinkable(model)?;
    Some(what_if(event.read_model, Change::Without(EventAt::of(event.record))))
}

/// The question what would be without any event that a condition chooses.
pub fn without_where(model: &Model, condition: &str) -> Option<Question> {
    let event = thinkable(model)?;
    Some(what_if(event.read_model, Change::WithoutWhere(condition.to_owned())))
}

/// The question what would be, had another event of its key come after the one under the cursor.
pub fn besides(model: &Model, value: &str) -> Option<Question> {
    let event = thinkable(model)?;
    let at = EventAt::of(event.record);
    Some(what_if(
        event.read_model,
        Change::Besides(at, event.record.key.clone(), value.to_owned()),
    ))
}

/// The question what would be, had the event under the cursor come elsewhere: `before 3:4200`, `after orders:0:12`, or a time.
pub fn moved(model: &Model, text: &str) -> Result<Option<Question>, String> {
    let Some(event) = thinkable(model) else { return Ok(None) };
    let (side, place) = text.trim().split_once(char::is_whitespace).unwrap_or(("", text));
    let beside = || match place::in_topic(place) {
        Some(found) => Some(found),
        None => match place::parse(place, model.now, &model.zone(), model.language) {
            Ok(Place::At(partition, offset)) => Some((event.record.topic.to_string(), partition, offset)),
            _ => None,
        },
    };
    let spot = match (side, beside()) {
        ("before", Some((topic, partition, offset))) => Spot::Before(topic, partition, offset),
        ("after", Some((topic, partition, offset))) => Spot::After(topic, partition, offset),
        _ => match place::parse(text, model.now, &model.zone(), model.language) {
            Ok(Place::Time(time)) => Spot::Time(time),
            _ => {
                return Err(say!(
                    model,
                    "`{text}` is no place for an event: before 3:4200, after 3:4200, or a time",
                    text
                ));
            }
        },
    };
    let at = EventAt::of(event.record);
    Ok(Some(what_if(event.read_model, Change::Moved(at, spot))))
}

/// A condition that chooses events like the one under the cursor: of its type, else of its key.
pub fn alike(model: &Model) -> Option<String> {
    let event = thinkable(model)?;
    let quoted = |text: &str| text.replace('\'', "''");
    let key = || std::str::from_utf8(event.record.key.as_deref()?).ok();
    match event.kind {
        Some(kind) => Some(format!("type = '{}'", quoted(kind))),
        None => key().map(|key| format!("key = '{}'", quoted(key))),
    }
}

/// What the event under the cursor says, as a prompt takes it.
pub fn says(model: &Model) -> Option<String> {
    thinkable(model).map(|event| one_line(event.record.value.as_deref()))
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
    let event = thinkable(model)?;
    let at = EventAt::of(event.record);
    Some(what_if(event.read_model, Change::Instead(at, value.to_owned())))
}

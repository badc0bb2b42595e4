//! Dead letters: the records that a projection could not apply, each with the reason, and what is done with them.

use crate::readmodel::decision::{Choice, RecordPlace};
use crate::readmodel::store::DeadLetter;

use super::super::job::{Job, ProjectionRow};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Level, Model};
use super::super::moment::EventAt;
use super::super::work::{Kind, Work};
use super::{differences, projections};

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    /// Whose.
    pub read_model: String,
    /// The cursor and filter; the one that it is paused before stands first, then the newest.
    pub list: List,
    /// Whether the list was read since it was opened; until then the newest may not be in it.
    pub read: bool,
}

/// The projection that they are of.
pub fn projection(model: &Model) -> Option<&ProjectionRow> {
    let name = &model.letters.as_ref()?.read_model;
    model
        .projections
        .remote
        .value
        .iter()
        .flatten()
        .find(|row| row.name == *name)
}

/// The dead letter under the cursor.
pub fn selected(model: &Model) -> Option<&DeadLetter> {
    projection(model)?
        .dead_letters
        .get(model.letters.as_ref()?.list.selected()?)
}

/// Where the record under the cursor stands.
pub fn event(model: &Model) -> Option<EventAt> {
    Some(EventAt::of(&selected(model)?.record))
}

/// Opens it for the projection under the cursor.
pub fn open(model: &mut Model) {
    let Some(read_model) = model.projections.selected().map(|row| row.name.clone()) else {
        return;
    };
    model.letters = Some(Letters {
        read_model,
        list: List::default(),
        read: false,
    });
    refresh(model);
}

/// Puts the cursor back on a record: others may have come before it. Where the list was just opened and nobody moved, it stays
/// on what stands first, which is what the list was opened for.
pub fn select(model: &mut Model, place: &RecordPlace) {
    let Some(row) = projection(model) else { return };
    let at = row.dead_letters.iter().position(|letter| letter.place() == *place);
    if let (Some(at), Some(letters)) = (at, &mut model.letters) {
        let opened = !std::mem::replace(&mut letters.read, true);
        if !opened || letters.list.selected() != Some(0) {
            letters.list.select(at);
        }
    }
}

/// Recomputes what is shown.
pub fn refresh(model: &mut Model) {
    let Some(mut letters) = model.letters.take() else {
        return;
    };
    let known = model.projections.remote.value.iter().flatten();
    let rows = known
        .filter(|row| row.name == letters.read_model)
        .flat_map(|row| &row.dead_letters)
        .collect::<Vec<_>>();
    letters.list.refresh(rows.len(), |i, filter| {
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(filter);
        let letter = rows[i];
        letter.reason.to_lowercase().contains(filter)
            || letter.record.key.as_deref().is_some_and(has)
            || letter.record.value.as_deref().is_some_and(has)
    });
    model.letters = Some(letters);
}

/// How many more are listed whenever the cursor comes to the last.
const PAGE: usize = 200;
/// The most that are listed.
const MOST: usize = 2_000;

/// Asks for more when the cursor comes to the last of those that are listed.
pub fn moved(model: &mut Model, fx: &mut Vec<Effect>) {
    let (Some(row), Some(letters)) = (projection(model), &model.letters) else {
        return;
    };
    let listed = row.dead_letters.len();
    let more = (listed as u64) < row.letters && listed < MOST;
    if letters.list.at_last() && more && model.projections.remote.task.is_none() {
        let job = Job::MoreLetters(row.name.clone(), listed + PAGE);
        model.projections.remote.task = Some(model.start(job, fx));
    }
}

/// What is to be done with which records of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding {
    /// The read model.
    pub name: String,
    /// The projection's file, where what it says now is to be used.
    pub file: Option<String>,
    /// The records, and what is done with each.
    pub choices: Choices,
}

/// Which records are decided about, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choices {
    /// One, and what is done with it.
    One(RecordPlace, Choice),
    /// Every record that was left out, listed or not, is tried again.
    RetrySkipped,
}

/// Why nothing can be decided about the record under the cursor; `None` if it can.
pub fn refusal(model: &Model) -> Option<&'static str> {
    match (projection(model), selected(model)) {
        (Some(row), Some(_)) if projections::busy(model, &row.name) => Some("it is being worked on: x cancels that"),
        (Some(_), Some(_)) => None,
        _ => Some("there is no record under the cursor"),
    }
}

/// Decides about the record under the cursor.
pub fn decide(model: &mut Model, choice: Choice, fx: &mut Vec<Effect>) {
    if let Some(letter) = selected(model) {
        let choices = Choices::One(letter.place(), choice);
        begin(model, choices, fx);
    }
}

/// Tries every record again that was left out.
pub fn replay(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(row) = projection(model) else { return };
    if row.left_out == 0 {
        return model.tell(Level::Hint, "none of them was left out");
    }
    begin(model, Choices::RetrySkipped, fx);
}

fn begin(model: &mut Model, choices: Choices, fx: &mut Vec<Effect>) {
    let Some(row) = projection(model) else { return };
    // Whoever tries again has mended the file, or the record.
    let tries = matches!(choices, Choices::RetrySkipped | Choices::One(_, Choice::Retry));
    let name = row.name.clone();
    let file = row.file.clone().filter(|_| tries);
    let deciding = Deciding {
        name: name.clone(),
        file,
        choices,
    };
    let id = model.start(Job::Decide(deciding), fx);
    model.projections.failed.remove(&name);
    model.works.push(Work::new(id, Kind::Decide, name, model.now));
}

/// What the record under the cursor says, on one line.
pub fn said(model: &Model) -> Option<String> {
    let value = selected(model)?.record.value.clone();
    Some(differences::one_line(value.as_deref()))
}

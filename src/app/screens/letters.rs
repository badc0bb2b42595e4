//! Dead letters: the records that a projection could not apply, each with the reason, and what is done with them.

use crate::readmodel::store::DeadLetter;

use super::super::job::ProjectionRow;
use super::super::list::List;
use super::super::model::Model;
use super::super::moment::EventAt;

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    /// Whose.
    pub read_model: String,
    /// The cursor and filter; the newest stands first.
    pub list: List,
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
    });
    refresh(model);
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

//! The dead letters of a projection, and the one under the cursor whole: the reason, the statement that failed, the record.

use ratatui::layout::Rect;

use crate::app::job::ProjectionRow;
use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::screens::letters::{Letters, projection, selected};
use crate::readmodel::decision::Choice;
use crate::readmodel::store::{DeadLetter, LetterState};

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list;
use super::super::printable::one_line;
use super::super::table::{Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::records;

/// From this width on a list has room for whole times.
const ROOMY: u16 = 60;
/// The most characters of a key that are shown.
const KEY: usize = 4_000;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let (Some(letters), Some(row)) = (&model.letters, projection(model)) else {
        return Viewport::default();
    };
    let inner = list::border(
        canvas,
        rect,
        model,
        model.tr("dead letters"),
        letters.list.filter(),
        &counts(model, letters, row),
    );
    if letters.list.shown().is_empty() {
        match letters.list.filter() {
            "" => text::middle(canvas, inner, &[("no record failed", Role::Good)]),
            filter => {
                let listed = row.dead_letters.len() as u64;
                let line = match listed < row.letters {
                    true => say!(
                        model,
                        "none of the newest {n} contains “{filter}”",
                        n = format::count(listed),
                        filter
                    ),
                    false => list::nothing_contains(model, filter),
                };
                list::filtered_away(canvas, inner, &line, "esc clears the filter");
            }
        }
        return Viewport::default();
    }
    let more = row.letters.saturating_sub(row.dead_letters.len() as u64);
    let inner = list::more(
        canvas,
        inner,
        more,
        &format!("foldlog dead-letters {} --json", row.name),
    );
    let zone = model.zone();
    let roomy = inner.width >= ROOMY;
    let columns = [
        Column::fit(model.tr("time"), 23).drop(3),
        Column::fit(model.tr("offset"), 15).right(),
        Column::fit(model.tr("state"), 8),
        Column::fit(model.tr("key"), 16).drop(2),
        Column::fill_from(model.tr("reason"), 20),
    ];
    list::rows(canvas, inner, model, &letters.list, &columns, |at| {
        let letter = &row.dead_letters[letters.list.shown()[at]];
        let record = &letter.record;
        let time = match record.timestamp {
            Some(at) if roomy => format::time_to_second(at, &zone),
            Some(at) => format::day(at, &zone),
            None => model.tr("none").to_owned(),
        };
        vec![
            cell(time, Role::Time),
            cell(
                format!("{}:{}", record.partition, format::offset(record.offset)),
                Role::Number,
            ),
            cell(model.tr(letter.state.word()), state_role(letter.state)),
            cell(one_line(record.key.as_deref().unwrap_or_default(), 200), Role::Key),
            cell(letter.reason.as_str(), Role::Bad),
        ]
    })
}

/// How many are listed, and of how many, where that is not all; the first that there is room for is shown.
fn counts(model: &Model, letters: &Letters, row: &ProjectionRow) -> Vec<String> {
    let (shown, listed) = (letters.list.shown().len() as u64, row.dead_letters.len() as u64);
    if listed >= row.letters {
        return vec![format::count(shown)];
    }
    let some = format::some_of(model, shown, row.letters);
    match shown == listed {
        true => vec![say!(model, "newest {some}", some), some],
        false => vec![some],
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "record", "", |canvas, columns| {
        Some(lines(canvas, model, projection(model)?, selected(model)?, columns))
    })
}

fn lines<'a>(
    canvas: &Canvas<'_>,
    model: &Model,
    row: &'a ProjectionRow,
    letter: &'a DeadLetter,
    columns: u16,
) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 5);
    lines.text(&letter.reason, Role::Bad);
    statement(&mut lines, model, row, letter.line);
    decided(&mut lines, model, row, letter);
    lines.blank();
    let record = &letter.record;
    lines.spans(vec![
        (format!("{}[{}] ", record.topic, record.partition), Role::Strong),
        (format::offset(record.offset), Role::Number),
    ]);
    match record.timestamp {
        Some(at) => lines.field("time", format::time(at, &model.zone()), Role::Time),
        None => lines.field("time", model.tr("none"), Role::Null),
    }
    match record.key.as_deref() {
        Some([]) => lines.field("key", model.tr("empty"), Role::Null),
        Some(key) => lines.field("key", one_line(key, KEY), Role::Key),
        None => lines.field("key", model.tr("none"), Role::Null),
    }
    records::value(&mut lines, canvas, record.value.as_deref(), columns);
    lines
}

fn state_role(state: LetterState) -> Role {
    match state {
        LetterState::Paused => Role::Bad,
        LetterState::Skipped | LetterState::Held => Role::Warning,
        LetterState::Edited => Role::Good,
    }
}

/// What became of it, and who decided that when.
fn decided(lines: &mut Lines<'_>, model: &Model, row: &ProjectionRow, letter: &DeadLetter) {
    lines.field("state", model.tr(letter.state.word()), state_role(letter.state));
    let place = letter.place();
    for decision in row.decisions.iter().filter(|decision| decision.place() == place) {
        let when = format::time_to_second(decision.at, &model.zone());
        lines.field(
            "",
            say!(
                model,
                "{what} by {who}, {when}",
                what = model.tr(decision.choice.word()),
                who = decision.who,
                when
            ),
            Role::Muted,
        );
        if let Choice::Edit(value) = &decision.choice {
            let value = value.as_deref().map_or("null".to_owned(), |value| one_line(value, KEY));
            lines.field("as", value, Role::Plain);
        }
    }
}

/// The statement that failed, with its lines in the file.
pub(super) fn statement(lines: &mut Lines<'_>, model: &Model, row: &ProjectionRow, line: Option<usize>) {
    let Some(line) = line else { return };
    match row.statements.get(&line) {
        Some(text) => {
            for (n, part) in text.lines().enumerate() {
                lines.spans(vec![
                    (format!("{:>4} ", line + n), Role::Muted),
                    (part.to_owned(), Role::String),
                ]);
            }
        }
        None => lines.owned(say!(model, "line {line}", line), Role::Muted),
    }
}

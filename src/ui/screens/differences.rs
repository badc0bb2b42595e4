//! What differs between two read models: the rows, the one under the cursor on both sides, and what it is known to come from.

use std::borrow::Cow;

use ratatui::layout::Rect;

use crate::app::difference::{Fact, Found, MOST};
use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::{Level, Model};
use crate::app::screens::differences::Differences;
use crate::readmodel::compare::RowDifference;
use crate::readmodel::query::Cell as Value;

use super::super::canvas::{Canvas, padded, width};
use super::super::format;
use super::super::list;
use super::super::table::{Column, cell};
use super::super::text::{self, Lines, wrap_words};
use super::super::theme::Role;
use super::readmodel::shown;

/// The widest that the name of a column is shown.
const NAME: usize = 24;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let Some(state) = &model.differences else {
        return Viewport::default();
    };
    let notes = state
        .found
        .value
        .as_ref()
        .map_or(vec![String::new()], |found| notes(model, state, found));
    let inner = list::border(
        canvas,
        rect,
        model,
        model.tr("rows that differ"),
        state.list.filter(),
        &notes,
    );
    let Some(found) = state.found.value.as_ref().filter(|_| state.found.task.is_none()) else {
        waiting(canvas, inner, state);
        return Viewport::default();
    };
    if state.list.shown().is_empty() {
        match state.list.filter() {
            "" => nothing(canvas, inner, found),
            filter => {
                let line = list::nothing_contains(model, filter);
                list::filtered_away(canvas, inner, &line, "esc clears the filter");
            }
        }
        return Viewport::default();
    }
    let columns = [
        Column::fit("", 1),
        Column::fit(model.tr("table"), 20).drop(1),
        Column::fit(model.tr("key"), 24),
        Column::fill_from(model.tr("what differs"), 14),
    ];
    list::rows(canvas, inner, model, &state.list, &columns, |row| {
        let row = &found.rows[state.list.shown()[row]];
        let (mark, role) = mark(row);
        let key: Vec<Cow<'_, str>> = row.key().iter().map(|value| shown(value).text).collect();
        vec![
            cell(mark, role),
            cell(row.shape.table.as_str(), Role::Strong),
            cell(key.join(", "), Role::Key),
            cell(what(row, model), Role::Plain),
        ]
    })
}

fn notes(model: &Model, state: &Differences, found: &Found) -> Vec<String> {
    let all = found.tally.rows();
    let (shown, kept) = (state.list.shown().len(), found.rows.len());
    let count = match (shown < kept, all > kept as u64) {
        (true, _) => format::some_of(model, shown as u64, kept as u64),
        (_, true) => say!(
            model,
            "the first {some} of {all}",
            some = format::count(MOST as u64),
            all = format::count(all)
        ),
        _ => format::count(all),
    };
    vec![count, format::count(all)]
}

/// A sign for who has the row, as a diff has it.
fn mark(row: &RowDifference) -> (&'static str, Role) {
    match (&row.before, &row.after) {
        (None, _) => ("+", Role::Good),
        (_, None) => ("-", Role::Bad),
        _ => ("~", Role::Changed),
    }
}

/// What differs, in a line.
fn what(row: &RowDifference, model: &Model) -> String {
    let sides = model.differences.as_ref().map(|state| state.question.sides());
    let (before, after) = sides.unwrap_or_default();
    match (&row.before, &row.after) {
        (Some(old), Some(new)) => {
            let pair = |at: &usize| {
                let (old, new) = (shown(old.get(*at)?).text, shown(new.get(*at)?).text);
                Some(format!("{} {old} → {new}", row.shape.columns.get(*at)?))
            };
            row.changed.iter().filter_map(pair).collect::<Vec<_>>().join(", ")
        }
        (Some(_), None) => say!(model, "only {side}", side = model.tr(before)),
        _ => say!(model, "only {side}", side = model.tr(after)),
    }
}

fn waiting(canvas: &mut Canvas<'_>, inner: Rect, state: &Differences) {
    if let (Some(failure), None) = (&state.found.error, state.found.task) {
        let mut lines = Lines::new(canvas, 0);
        lines.text(canvas.language.tr("this cannot be told"), Role::Bad);
        lines.blank();
        for line in failure.full.lines() {
            lines.text(canvas.language.tr(line), Role::Plain);
        }
        lines.blank();
        lines.text(canvas.language.tr("^R tries again · esc goes back"), Role::Muted);
        text::draw(canvas, inner, &lines.lines, 0);
        return;
    }
    let how_far = match state.underway.share {
        Some(share) => format!("{} {:.0}%", format::gauge(share, 9), (share * 100.0).floor()),
        None => passed(canvas, state.underway.events),
    };
    let lines = [
        ("replaying the log and comparing row by row …", Role::Plain),
        (how_far.as_str(), Role::Number),
        ("the read model in use is only read · x stops it", Role::Muted),
    ];
    text::middle(canvas, inner, &lines);
}

/// How many events a replay has passed.
pub(super) fn passed(on: &impl Speaks, events: u64) -> String {
    say!(on, "{events} passed", events = format::counted(on, events, "event"))
}

/// No row differs: that is what was found.
fn nothing(canvas: &mut Canvas<'_>, inner: Rect, found: &Found) {
    let rows = format::counted(canvas, found.tally.same, "row");
    let same = say!(canvas, "{rows} alike", rows);
    let answer = found.facts.first();
    let (text, role) = answer.map_or(("no row differs", Role::Good), |fact| {
        (fact.text.as_str(), role_of(fact.level))
    });
    text::middle(canvas, inner, &[(text, role), ("", Role::Plain), (&same, Role::Muted)]);
}

fn role_of(level: Level) -> Role {
    match level {
        Level::Done => Role::Good,
        Level::Hint => Role::Plain,
        Level::Warning => Role::Warning,
        Level::Error => Role::Bad,
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let state = model.differences.as_ref();
    list::detail(canvas, rect, model, "why", "", |canvas, columns| {
        let state = state.filter(|state| state.found.task.is_none())?;
        let found = state.found.value.as_ref()?;
        let mut lines = Lines::new(canvas, 0);
        for fact in &found.facts {
            say(&mut lines, fact, columns);
        }
        if let Some(event) = &found.event {
            lines.heading("The event with which they part");
            let at = &event.at;
            lines.spans(vec![
                (format!("{}[{}] ", at.topic, at.partition), Role::Strong),
                (format::offset(at.offset), Role::Number),
                (format!("  {}", event.kind.as_deref().unwrap_or_default()), Role::Strong),
            ]);
            if let Some(time) = at.time {
                lines.owned(format::time(time, &model.zone()), Role::Time);
            }
            lines.text(model.tr("⏎ opens the record · T the moment"), Role::Muted);
        }
        if let Some(row) = state.selected() {
            lines.blank();
            row_lines(&mut lines, model, row, usize::from(columns));
        }
        Some(lines)
    })
}

fn say(lines: &mut Lines<'_>, fact: &Fact, columns: u16) {
    for line in fact.text.lines() {
        for part in wrap_words(line, usize::from(columns).max(1)) {
            lines.owned(part, role_of(fact.level));
        }
    }
}

/// The row on both sides, the values that differ marked by more than colour.
fn row_lines(lines: &mut Lines<'_>, model: &Model, row: &RowDifference, columns: usize) {
    let sides = model.differences.as_ref().map(|state| state.question.sides());
    let (before, after) = sides.unwrap_or_default();
    let (before, after) = (model.tr(before), model.tr(after));
    let (sign, role) = mark(row);
    let key: Vec<Cow<'_, str>> = row.key().iter().map(|value| shown(value).text).collect();
    lines.spans(vec![
        (format!("{sign} "), role),
        (format!("{} ", row.shape.table), Role::Strong),
        (key.join(", "), Role::Key),
    ]);
    let who = match (&row.before, &row.after) {
        (Some(_), Some(_)) => format!("{before} → {after}"),
        (Some(_), None) => say!(model, "only {side}", side = before),
        _ => say!(model, "only {side}", side = after),
    };
    lines.owned(format!("  {who}"), Role::Muted);
    let longest = row.shape.columns.iter().map(|name| usize::from(width(name))).max();
    let label = longest.unwrap_or(0).min(NAME).min(columns / 3);
    let text = |value: Option<&Value>| value.map(|value| (shown(value).text.into_owned(), shown(value).role));
    for (at, name) in row.shape.columns.iter().enumerate().skip(row.shape.key) {
        let of = |side: &Option<Vec<Value>>| text(side.as_ref().and_then(|row| row.get(at)));
        let differs = row.changed.contains(&at);
        let mut parts = vec![(
            format!("{} {} ", if differs { "~" } else { " " }, padded(name, label)),
            Role::Muted,
        )];
        match (of(&row.before), of(&row.after)) {
            (Some(old), Some((new, _))) if differs => {
                parts.extend([old, (" → ".to_owned(), Role::Plain), (new, Role::Changed)]);
            }
            (Some(value), _) | (None, Some(value)) => parts.push(value),
            (None, None) => {}
        }
        lines.spans(parts);
    }
}

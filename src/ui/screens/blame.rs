//! The events that wrote a row, and the one under the cursor whole: what it did to the row, and what it says.

use ratatui::layout::Rect;

use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::moment::{Applied, FoundBy, RowChange, Shape};
use crate::app::screens::blame::Blame;
use crate::readmodel::query::Cell as Value;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list;
use super::super::table::{Cell, Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::changes::change_lines;
use super::readmodel::shown;
use super::time::event_lines;

/// From this width on a list has room for whole times.
const ROOMY: u16 = 60;
/// The most characters of a change that a row of the list shows.
const SHOWN: usize = 200;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let Some(blame) = &model.blame else {
        return Viewport::default();
    };
    let filter = blame.list.filter();
    let inner = list::border(canvas, rect, model, &title(blame), filter, &notes(model, blame));
    if blame.list.shown().is_empty() {
        empty(canvas, inner, model, blame);
        return Viewport::default();
    }
    let zone = model.zone();
    let roomy = inner.width >= ROOMY;
    let times = blame.events.iter().filter_map(|event| event.record.timestamp);
    let brief = format::Brief::of(times, model.now, &zone);
    let heading = model.tr("time");
    let heading = if roomy { heading } else { brief.heading(heading) };
    let columns = [
        Column::fit("", 1),
        Column::fit(heading, 23).drop(3),
        Column::fit(model.tr("type"), if roomy { 24 } else { 10 }).drop(2),
        Column::fill_from(
            model.tr(if blame.cell().is_some() {
                "value"
            } else {
                "what changed"
            }),
            12,
        ),
    ];
    list::rows(canvas, inner, model, &blame.list, &columns, |row| {
        let Some(event) = blame.item(blame.list.shown()[row]) else {
            return Vec::new();
        };
        let time = match event.record.timestamp {
            Some(at) if roomy => format::time_to_second(at, &zone),
            Some(at) => brief.write(at, &zone, format::clock),
            None => model.tr("none").to_owned(),
        };
        let (what, role) = happened(event);
        vec![
            cell(what, role),
            cell(time, Role::Time),
            cell(event.event.clone().unwrap_or_default(), Role::Strong),
            changed(model, blame, event),
        ]
    })
}

/// What became of the row, in a word.
fn happened(event: &Applied) -> (&'static str, Role) {
    let (first, last) = (event.changes.first(), event.changes.last());
    let before = first.is_some_and(|change| change.before.is_some());
    match (before, last.is_some_and(|change| change.after.is_some())) {
        (false, _) => ("+", Role::Good),
        (true, false) => ("-", Role::Bad),
        (true, true) => ("~", Role::Changed),
    }
}

fn title(blame: &Blame) -> String {
    let row = &blame.row;
    let of = format!("{} {}", row.table, row.key.join(", "));
    match blame.cell() {
        Some(column) => format!("{of} · {column}"),
        None => of,
    }
}

/// How many events, the most telling first.
fn notes(model: &Model, blame: &Blame) -> Vec<String> {
    let order = model.tr(if blame.newest_first {
        "newest first"
    } else {
        "oldest first"
    });
    let (shown, kept) = (blame.list.shown().len() as u64, blame.events.len() as u64);
    let mut count = match () {
        () if shown == kept => format::count(kept),
        () => format::some_of(model, shown, kept),
    };
    if kept < blame.found {
        count = say!(
            model,
            "{count}, the newest of {all}",
            count,
            all = format::count(blame.found)
        );
    }
    match blame.search.task {
        Some(_) => {
            let how_far = how_far(model, blame);
            vec![say!(model, "{count} so far, {how_far}", count, how_far), how_far]
        }
        None => vec![format!("{count}, {order}"), count],
    }
}

fn how_far(model: &Model, blame: &Blame) -> String {
    match blame.underway.share {
        Some(share) => format!("{} {:.0}%", format::gauge(share, 9), (share * 100.0).floor()),
        None => model.tr("searching …").to_owned(),
    }
}

fn empty(canvas: &mut Canvas<'_>, inner: Rect, model: &Model, blame: &Blame) {
    let events = format::counted(model, blame.underway.events, "event");
    if blame.search.task.is_some() {
        let lines = [
            ("replaying the log for the events that wrote this row …", Role::Plain),
            (&how_far(model, blame), Role::Number),
            ("x stops it", Role::Muted),
        ];
        text::middle(canvas, inner, &lines);
    } else if let Some(failure) = &blame.search.error {
        text::failed(canvas, inner, "the events cannot be found", failure);
    } else if !blame.list.filter().is_empty() {
        let line = list::nothing_contains(model, blame.list.filter());
        list::filtered_away(canvas, inner, &line, "esc clears the filter");
    } else if !blame.events.is_empty() {
        let line = "no event changed this cell after the row came to be";
        list::filtered_away(canvas, inner, line, "c shows all that wrote the row");
    } else {
        let line = say!(model, "none of {events} wrote this row", events);
        text::middle(canvas, inner, &[(&line, Role::Plain)]);
    }
}

/// What an event did, in one line: the cell as it was and as it became, or each column of the row that changed.
fn changed<'a>(model: &Model, blame: &Blame, event: &Applied) -> Cell<'a> {
    let (Some(shape), Some(first), Some(last)) = (&blame.shape, event.changes.first(), event.changes.last()) else {
        return cell("", Role::Plain);
    };
    let (before, after) = (first.before.as_deref(), last.after.as_deref());
    let of = |row: Option<&[Value]>, at: usize| row.and_then(|row| row.get(at)).cloned();
    if let Some(at) = blame
        .cell()
        .and_then(|name| shape.columns.iter().position(|column| column == name))
    {
        return cell(pair(model, of(before, at), of(after, at)), Role::Plain);
    }
    let mut parts = Vec::new();
    for (at, name) in shape
        .columns
        .iter()
        .enumerate()
        .filter(|(at, _)| !shape.key.contains(at))
    {
        let (old, new) = (of(before, at), of(after, at));
        if old != new {
            parts.push(format!("{name} {}", pair(model, old, new)));
        }
    }
    if parts.is_empty() {
        let what = if before == after {
            "the values it had"
        } else {
            "the key"
        };
        return cell(model.tr(what).to_owned(), Role::Muted);
    }
    let text = parts.join(", ");
    cell(text.chars().take(SHOWN).collect::<String>(), Role::Plain)
}

fn pair(model: &Model, before: Option<Value>, after: Option<Value>) -> String {
    let of = |value: &Value| shown(value).text.into_owned();
    match (before, after) {
        (Some(before), Some(after)) => format!("{} → {}", of(&before), of(&after)),
        (None, Some(after)) => of(&after),
        (Some(before), None) => say!(model, "{before} → gone", before = of(&before)),
        (None, None) => String::new(),
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let blame = model.blame.as_ref();
    let partial = blame.is_some_and(|blame| blame.search.error.is_some() && !blame.events.is_empty());
    let note = model.tr(match blame.and_then(|blame| blame.found_by) {
        _ if partial => "the search was not finished",
        Some(FoundBy::History) => "told by the history",
        Some(FoundBy::Replay) => "found by a replay",
        None => "",
    });
    list::detail(canvas, rect, model, "event", note, |canvas, columns| {
        let blame = blame?;
        let event = blame.selected()?;
        let mut lines = Lines::new(canvas, 7);
        if let Some(shape) = &blame.shape {
            changes(&mut lines, canvas, &event.changes, shape, usize::from(columns));
        }
        lines.blank();
        lines.lines.extend(event_lines(canvas, model, event, columns).lines);
        Some(lines)
    })
}

fn changes(lines: &mut Lines<'_>, on: &impl Speaks, changes: &[RowChange], shape: &Shape, columns: usize) {
    let mut pieces = Vec::new();
    for (n, change) in changes.iter().enumerate() {
        change_lines(&mut pieces, on, n, change, shape, columns);
    }
    for piece in pieces {
        lines.spans(piece.parts);
    }
}

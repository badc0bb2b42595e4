//! A read model at one moment: where that is in the log, the event that led to it, what it changed, and the rows there are then.

use ratatui::layout::Rect;

use crate::app::lang::{Speaks, say};
use crate::app::layout::{Layout, Viewport};
use crate::app::model::{Model, Pane};
use crate::app::moment::{Applied, Go, Moment, Outcome};
use crate::app::screens::time::Time;
use crate::replay::step::Goal;

use super::super::canvas::{Canvas, area_of, cut, note_fits};
use super::super::format;
use super::super::list;
use super::super::printable::one_line;
use super::super::table::keep_in_view;
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::changes::{Piece, change_lines};
use super::differences::passed;
use super::readmodel::Grid;
use super::records;
use super::slider;

/// From this width on the event stands beside the other two over the whole height, with air between.
const ROOMY: u16 = 100;
/// The most rows of the changes where the rows below need the room.
const CHANGES: u16 = 16;
/// The most characters of a condition on the border.
const CONDITION: usize = 40;
/// The most characters of a key that are shown.
const SHOWN_KEY: usize = 4_000;

pub(in crate::ui) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Layout {
    let mut layout = Layout::default();
    let Some(time) = &model.time else { return layout };
    layout.slider = slider::draw(canvas, Rect { height: 1, ..rect }, model, time);
    let body = Rect {
        y: rect.y + 1,
        height: rect.height.saturating_sub(1),
        ..rect
    };
    let Some(moment) = &time.moment.value else {
        waiting(canvas, body, time);
        return layout;
    };
    let [event, changes, rows] = panes(model, body);
    if let Some(rect) = event {
        layout.list = draw_event(canvas, rect, model, time, moment);
    }
    if let Some(rect) = changes {
        layout.detail = draw_changes(canvas, rect, model, time, moment);
    }
    if let Some(rect) = rows {
        layout.third = draw_rows(canvas, rect, model, time);
    }
    layout
}

/// The places of the event, of what it changed, and of the rows.
fn panes(model: &Model, body: Rect) -> [Option<Rect>; 3] {
    if model.zoom {
        return [Pane::List, Pane::Detail, Pane::Third].map(|pane| (model.pane == pane).then_some(body));
    }
    let left = (u32::from(body.width) * 45 / 100) as u16;
    let gap = if body.width >= ROOMY { 1 } else { 0 };
    let right = Rect {
        x: body.x + left + gap,
        width: body.width - left - gap,
        ..body
    };
    let above = (body.height / 2).min(CHANGES);
    [
        Some(Rect { width: left, ..body }),
        Some(Rect { height: above, ..right }),
        Some(Rect {
            y: right.y + above,
            height: right.height - above,
            ..right
        }),
    ]
}

/// Why no moment is in view yet.
fn waiting(canvas: &mut Canvas<'_>, rect: Rect, time: &Time) {
    let inner = canvas.pane(rect, canvas.language.tr("event"), "", true);
    if let Some(failure) = &time.moment.error {
        let mut lines = Lines::new(canvas, 0);
        lines.text(canvas.language.tr("the past cannot be shown"), Role::Bad);
        lines.blank();
        for line in failure.full.lines() {
            lines.text(canvas.language.tr(line), Role::Plain);
        }
        lines.blank();
        lines.text(canvas.language.tr("^R tries again · esc goes back"), Role::Muted);
        text::draw(canvas, inner, &lines.lines, 0);
        return;
    }
    let how_far = how_far(canvas, time).unwrap_or_default();
    let lines = [
        ("going to the end of the log …", Role::Plain),
        (how_far.as_str(), Role::Number),
        ("x stops it", Role::Muted),
    ];
    text::middle(canvas, inner, &lines);
}

/// How far the way to another moment is, once it takes long.
fn how_far(on: &impl Speaks, time: &Time) -> Option<String> {
    let underway = time.underway?;
    Some(match underway.share {
        Some(share) => format!("{} {:.0}%", format::gauge(share, 9), (share * 100.0).floor()),
        None => passed(on, underway.events),
    })
}

/// What goes on, for the border of the event.
fn going(model: &Model, time: &Time) -> String {
    if let Some(how_far) = how_far(model, time) {
        let way = match &time.way {
            Some(Go::Forward(Goal::Key(_)) | Go::Back(Goal::Key(_))) => "to the same key: ",
            Some(Go::Forward(Goal::Type(_)) | Go::Back(Goal::Type(_))) => "to the same type: ",
            Some(Go::Forward(Goal::Row(_)) | Go::Back(Goal::Row(_))) => "to the same row: ",
            Some(
                Go::Forward(Goal::Condition(_)) | Go::Back(Goal::Condition(_)) | Go::First(_) | Go::FirstLasting(_),
            ) => "to the condition: ",
            _ => "",
        };
        return format!("{}{how_far}", model.tr(way));
    }
    match (&time.play, time.speed) {
        (Some(_), 1) => model.tr("▶ playing").to_owned(),
        (Some(_), speed) => say!(model, "▶ playing {speed}x", speed),
        (None, 1) => time
            .condition
            .as_ref()
            .map_or(String::new(), |condition| match condition.invariant {
                true => say!(model, "r: {name} broken", name = cut(&condition.text, CONDITION)),
                false => format!("r: {}", cut(&condition.text, CONDITION)),
            }),
        (None, speed) => say!(model, "plays {speed}x", speed),
    }
}

fn draw_event(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, time: &Time, moment: &Moment) -> Viewport {
    let how_far = how_far(model, time).unwrap_or_default();
    let title = model.tr("event");
    let note = Some(going(model, time))
        .filter(|note| note_fits(rect, title, note))
        .unwrap_or(how_far);
    let inner = canvas.pane(rect, title, &note, list::focused(model, Pane::List));
    match &moment.event {
        Some(event) => {
            let lines = event_lines(canvas, model, event, inner.width);
            text::draw(canvas, inner, &lines.lines, model.detail)
        }
        None => {
            let lines = [
                ("this is before the first event", Role::Plain),
                ("", Role::Plain),
                ("→ applies it · G goes to the end", Role::Muted),
            ];
            text::middle(canvas, inner, &lines);
            Viewport::default()
        }
    }
}

/// Which event, what became of it, what ran, and what it says.
pub(super) fn event_lines<'a>(canvas: &Canvas<'_>, model: &Model, event: &'a Applied, columns: u16) -> Lines<'a> {
    let record = &event.record;
    let mut lines = Lines::new(canvas, 7);
    let place = format!("{}[{}] ", record.topic, record.partition);
    lines.spans(vec![
        (place, Role::Strong),
        (format::offset(record.offset), Role::Number),
    ]);
    match record.timestamp {
        Some(at) => lines.field("time", format::time(at, &model.zone()), Role::Time),
        None => lines.field("time", model.tr("none"), Role::Null),
    }
    match &event.event {
        Some(event) => lines.field("type", event, Role::Strong),
        None => lines.field("type", model.tr("none"), Role::Null),
    }
    match record.key.as_deref() {
        Some([]) => lines.field("key", model.tr("empty"), Role::Null),
        Some(key) => lines.field("key", one_line(key, SHOWN_KEY), Role::Key),
        None => lines.field("key", model.tr("none"), Role::Null),
    }
    match &event.outcome {
        Outcome::Applied => lines.field("outcome", model.tr("applied"), Role::Good),
        Outcome::Ignored => lines.field("outcome", model.tr("ignored: no handler is for it"), Role::Muted),
        Outcome::Refused(reason) => lines.field(
            "outcome",
            say!(model, "✗ cannot be applied: {reason}", reason),
            Role::Bad,
        ),
    }
    records::value(&mut lines, canvas, record.value.as_deref(), columns);
    if !event.ran.is_empty() {
        lines.heading("Handlers that ran");
    }
    for ran in &event.ran {
        for (n, line) in ran.text.lines().enumerate() {
            let number = if n == 0 { ran.line.to_string() } else { String::new() };
            lines.spans(vec![
                (format!("{number:>4} "), Role::Muted),
                (line.to_owned(), Role::String),
            ]);
        }
    }
    lines
}

fn draw_changes(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, time: &Time, moment: &Moment) -> Viewport {
    let focused = list::focused(model, Pane::Detail);
    let event = moment.event.as_ref();
    let written = event.map_or(0, |event| event.written);
    let note = match event {
        Some(event) if event.changes.len() < written => {
            say!(
                model,
                "{some} of {all} rows",
                some = event.changes.len(),
                all = format::count(written as u64)
            )
        }
        Some(_) if written > 0 => format::counted(model, written as u64, "row"),
        _ => String::new(),
    };
    let inner = canvas.pane(rect, model.tr("what it changed"), &note, focused);
    let Some(event) = event.filter(|event| !event.changes.is_empty()) else {
        text::middle(canvas, inner, &[("no row", Role::Muted)]);
        return Viewport::default();
    };
    let mut lines = Vec::new();
    for (n, change) in event.changes.iter().enumerate() {
        if let Some(shape) = moment.tables.get(change.table) {
            change_lines(&mut lines, model, n, change, shape, usize::from(inner.width));
        }
    }
    // The whole of the change under the cursor where there is room, its first line in any case.
    let of_cursor = |line: &Piece| line.change == time.change;
    let begin = lines.iter().position(of_cursor).unwrap_or(0);
    let end = lines.iter().rposition(of_cursor).unwrap_or(0);
    let height = usize::from(inner.height);
    let first = keep_in_view(model.layout.detail.first, end, lines.len(), height);
    let first = keep_in_view(first, begin, lines.len(), height);
    for (row, line) in lines.iter().skip(first).take(height).enumerate() {
        let y = inner.y + row as u16;
        let mut x = inner.x;
        for (text, role) in &line.parts {
            x += canvas.text(x, y, text, *role, inner.right().saturating_sub(x));
        }
        if first + row == begin && event.changes.len() > 1 {
            let role = if focused { Role::Focus } else { Role::Muted };
            canvas.text(inner.x.saturating_sub(1), y, "▌", role, 1);
        }
    }
    Viewport {
        area: area_of(inner),
        first,
        last_first: lines.len().saturating_sub(height),
        ..Viewport::default()
    }
}

fn draw_rows(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, time: &Time) -> Viewport {
    let shape = time.shape();
    let title = shape.map_or(model.tr("rows"), |shape| shape.name.as_str());
    let note = match &time.rows.value {
        _ if time.rows.loading() => model.tr("asking …").to_owned(),
        Some(rows) if !rows.rows.is_empty() => say!(
            model,
            "{from} to {to}",
            from = format::count(time.skip + 1),
            to = format::count(time.skip + rows.rows.len() as u64)
        ),
        _ => String::new(),
    };
    let focused = list::focused(model, Pane::Third);
    let inner = canvas.pane(rect, &say!(model, "{title} at this moment", title), &note, focused);
    if let Some(failure) = &time.rows.error {
        text::failed(canvas, inner, "the rows cannot be read", failure);
        return Viewport::default();
    }
    let Some(rows) = time.rows.value.as_ref() else {
        return Viewport::default();
    };
    if rows.rows.is_empty() {
        text::middle(canvas, inner, &[("no rows", Role::Muted)]);
        return Viewport::default();
    }
    let grid = Grid {
        rows,
        row: time.row,
        column: time.column,
        focused,
        view: model.layout.third,
    };
    grid.draw(canvas, inner, |row, column| match time.change_of(&rows.rows[row]) {
        Some(Some(before)) => before.get(column) != rows.rows[row].get(column),
        Some(None) => true,
        None => false,
    })
}

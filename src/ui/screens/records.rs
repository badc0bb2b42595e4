//! The records of a topic, and the one under the cursor whole.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::app::layout::Layout;
use crate::app::model::{Model, Pane};
use crate::app::screens::records::Records;
use crate::decode::display::{Kind, Limits, Shape, document};
use crate::record::Record;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::printable::one_line;
use super::super::table::{Cell, Column, Table, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::focused;

/// The most characters of a key or header that the detail shows.
const SHOWN_KEY: usize = 4_000;
/// The most characters of a value that a row of the list shows.
const PREVIEW: usize = 200;

pub(in crate::ui) fn draw(
    canvas: &mut Canvas<'_>,
    list: Option<Rect>,
    detail: Option<Rect>,
    model: &Model,
    layout: &mut Layout,
) {
    let Some(records) = &model.records else { return };
    if let Some(rect) = list {
        draw_list(canvas, rect, model, records, layout);
    }
    if let Some(rect) = detail {
        let note = records
            .selected()
            .map(|r| format::size(r.view().size()))
            .unwrap_or_default();
        let inner = canvas.pane(rect, "record", &note, focused(model, Pane::Detail));
        if let Some(record) = records.selected() {
            let lines = lines(canvas, model, record, inner.width);
            layout.detail = text::draw(canvas, inner, &lines.lines, model.detail);
        }
    }
}

fn draw_list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, records: &Records, layout: &mut Layout) {
    let title = title(records);
    let inner = canvas.pane(rect, &title, &note(records), focused(model, Pane::List));
    if records.list.shown().is_empty() {
        return empty(canvas, inner, records);
    }
    let zone = model.zone();
    // The day stands in the detail where there is no room for it here.
    let roomy = inner.width >= 60;
    let many = records.window.watermarks.len() > 1;
    let columns = [
        Column::fit("time", 23).drop(1),
        Column::fit("part", 5).right().drop(if many { 2 } else { 9 }),
        Column::fit("offset", 15).right(),
        Column::fit("key", 18).drop(3),
        Column::fill_from("value", 16),
    ];
    let table = Table {
        columns: &columns,
        rows: records.list.shown().len(),
        cursor: Some(records.list.cursor()),
        focused: focused(model, Pane::List),
        marks_hidden: false,
        first: model.layout.list.first,
    };
    layout.list = table.draw(canvas, inner, |row| {
        let Some(record) = records.item(records.list.shown()[row]) else {
            return Vec::new();
        };
        let time = record.timestamp.map_or("no time".into(), |t| match roomy {
            true => format::time(t, &zone),
            false => format::clock_to_ms(t, &zone),
        });
        vec![
            cell(time, Role::Time),
            cell(record.partition.to_string(), Role::Muted),
            cell(format::offset(record.offset), Role::Number),
            short(record.key.as_deref(), "no key", Role::Key),
            short(record.value.as_deref(), "tombstone", Role::Plain),
        ]
    });
}

/// The begin of a key or value on one line.
fn short<'a>(value: Option<&[u8]>, none: &'a str, role: Role) -> Cell<'a> {
    match value {
        None => cell(none, Role::Null),
        Some([]) => cell("empty", Role::Null),
        Some(all) => cell(one_line(all, PREVIEW), role),
    }
}

fn title(records: &Records) -> String {
    let order = if records.newest_first {
        "newest first"
    } else {
        "oldest first"
    };
    match &records.partitions {
        Some(set) => {
            let all: Vec<String> = set.iter().map(ToString::to_string).collect();
            format!("{order}, partitions {}", all.join(","))
        }
        None => order.to_owned(),
    }
}

fn note(records: &Records) -> String {
    if let Some(tail) = &records.tail {
        return if tail.paused {
            format!("paused, {} new", format::count(tail.held_back))
        } else {
            format!("live, {} new", format::count(tail.seen))
        };
    }
    if records.page.task.is_some() {
        return "reading …".into();
    }
    let list = &records.list;
    let (shown, read) = (list.shown().len() as u64, list.total() as u64);
    let marks = records.window.watermarks.values();
    let all = marks
        .map(|(low, high)| high.saturating_sub(*low).max(0) as u64)
        .sum::<u64>();
    let whole = records.window.at_begin() && records.window.at_end();
    let loaded = match whole {
        true => format::count(read),
        false => format!("{} of {}", format::count(read), format::count(all.max(read))),
    };
    if read == 0 {
        String::new()
    } else if list.filter().is_empty() {
        loaded
    } else {
        format!("/{}  {} in {loaded}", list.filter(), format::count(shown))
    }
}

/// Why there is no record in view.
fn empty(canvas: &mut Canvas<'_>, rect: Rect, records: &Records) {
    if let Some(failure) = &records.page.error {
        return text::failed(canvas, rect, "the records cannot be read", failure);
    }
    if records.page.value.is_none() {
        return text::middle(canvas, rect, &[("reading records …", Role::Muted)]);
    }
    if !records.list.filter().is_empty() {
        let line = format!(
            "none of the {} records read contains “{}”",
            format::count(records.list.total() as u64),
            records.list.filter()
        );
        return text::middle(
            canvas,
            rect,
            &[(&line, Role::Plain), ("esc clears the filter", Role::Muted)],
        );
    }
    let nothing = records.window.watermarks.values().all(|(low, high)| low == high);
    let lines: &[(&str, Role)] = match (nothing, &records.tail) {
        (true, None) => &[
            ("this topic holds no records", Role::Plain),
            ("", Role::Plain),
            ("f waits for the first · esc goes back", Role::Muted),
        ],
        (_, Some(_)) => &[
            ("waiting for records …", Role::Plain),
            ("f stops · esc goes back", Role::Muted),
        ],
        (false, None) => &[
            ("there are no records here", Role::Plain),
            ("", Role::Plain),
            (
                "compaction or transaction markers took these offsets, or the place is past the end",
                Role::Muted,
            ),
            ("t goes to another place · o changes the order", Role::Muted),
        ],
    };
    text::middle(canvas, rect, lines);
}

/// Position and time exactly, then key, headers and value.
fn lines<'a>(canvas: &Canvas<'_>, model: &Model, record: &'a Record, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas.theme, 9);
    lines.field("partition", record.partition.to_string(), Role::Number);
    lines.field("offset", record.offset.to_string(), Role::Number);
    match record.timestamp {
        Some(at) => {
            lines.field("time", format::time(at, &model.zone()), Role::Time);
            lines.field("", format!("{} ms", at.0), Role::Muted);
        }
        None => lines.field("time", "none", Role::Null),
    }
    match record.key.as_deref() {
        Some([]) => lines.field("key", "empty", Role::Null),
        Some(key) => lines.field("key", one_line(key, SHOWN_KEY), Role::Key),
        None => lines.field("key", "none", Role::Null),
    }
    if !record.headers.is_empty() {
        lines.heading("Headers");
        for header in &record.headers {
            let (value, role) = match header.value.as_deref() {
                Some([]) => ("empty".to_owned(), Role::Null),
                Some(value) => (one_line(value, SHOWN_KEY), Role::String),
                None => ("null".to_owned(), Role::Null),
            };
            lines.spans(vec![(format!("{}  ", header.key), Role::Muted), (value, role)]);
        }
    }
    value(&mut lines, canvas, record.value.as_deref(), columns);
    lines
}

fn value(lines: &mut Lines<'_>, canvas: &Canvas<'_>, value: Option<&[u8]>, columns: u16) {
    if value.is_none() {
        lines.heading("Value");
        return lines.text("none: a tombstone, which deletes what its key stands for", Role::Null);
    }
    let limits = Limits {
        // A byte takes three columns in hexadecimal and one as text, beside the offset and the gaps.
        hex_columns: usize::from(columns.saturating_sub(13) / 4).clamp(4, 16),
        ..Limits::default()
    };
    let document = document(value, limits);
    lines.heading(match document.shape {
        Shape::Text => "Value, as text",
        Shape::Binary => "Value, as bytes",
        _ => "Value",
    });
    if let Some(reason) = &document.reason {
        lines.owned(reason.clone(), Role::Warning);
    }
    for line in document.lines {
        let spans = line
            .pieces
            .into_iter()
            .map(|piece| Span::styled(piece.text, canvas.style(role(piece.kind))));
        lines.lines.push(Line::from_iter(spans));
    }
    if document.cut {
        lines.text("y copies all of it, and `foldlog read -o raw` prints it", Role::Muted);
    }
}

fn role(kind: Kind) -> Role {
    match kind {
        Kind::Plain | Kind::Punctuation => Role::Plain,
        Kind::Key => Role::Key,
        Kind::String => Role::String,
        Kind::Number | Kind::Bool => Role::Number,
        Kind::Null => Role::Null,
        Kind::Hidden => Role::Warning,
        Kind::Note => Role::Muted,
    }
}

//! The records of a topic, and the one under the cursor whole.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::screens::records::Records;
use crate::decode::display::{Kind, Limits, Shape, document};
use crate::record::Record;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list;
use super::super::printable::one_line;
use super::super::table::{Cell, Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;

/// The most characters of a key or header that the detail shows.
const SHOWN_KEY: usize = 4_000;
/// The most characters of a value that a row of the list shows.
const PREVIEW: usize = 200;

/// From this width on a list has room for whole times and for partition and offset apart.
const ROOMY: u16 = 60;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let Some(records) = &model.records else {
        return Viewport::default();
    };
    let inner = list::border(
        canvas,
        rect,
        model,
        &title(model, records),
        records.list.filter(),
        &counts(model, records),
    );
    if records.list.shown().is_empty() {
        empty(canvas, inner, model, records);
        return Viewport::default();
    }
    let zone = model.zone();
    let roomy = inner.width >= ROOMY;
    let many = records.window.watermarks.len() > 1;
    let times = records.window.records.iter().filter_map(|record| record.timestamp);
    let brief = format::Brief::of(times, model.now, &zone);
    let heading = model.tr("time");
    let time = Column::fit(if roomy { heading } else { brief.heading(heading) }, 23).drop(3);
    let offset = Column::fit(model.tr("offset"), 15).right();
    let value = Column::fill_from(model.tr("value"), 12);
    let wide = [
        time,
        Column::fit(model.tr("part"), 5).right().drop(2),
        offset,
        Column::fit(model.tr("key"), 18).drop(1),
        value,
    ];
    let narrow = [time, offset, Column::fit(model.tr("key"), 12).drop(1), value];
    let columns: &[Column<'_>] = if roomy && many { &wide } else { &narrow };
    list::rows(canvas, inner, model, &records.list, columns, |row| {
        let Some(record) = records.item(records.list.shown()[row]) else {
            return Vec::new();
        };
        let time = record.timestamp.map_or(model.tr("no time").into(), |t| match roomy {
            true => format::time(t, &zone),
            false => brief.write(t, &zone, format::clock_to_ms),
        });
        let mut cells = vec![cell(time, Role::Time)];
        let offset = format::offset(record.offset);
        if roomy && many {
            cells.push(cell(record.partition.to_string(), Role::Muted));
            cells.push(cell(offset, Role::Number));
        } else if many {
            // As it is typed to go there.
            cells.push(cell(format!("{}:{offset}", record.partition), Role::Number));
        } else {
            cells.push(cell(offset, Role::Number));
        }
        cells.push(short(model, record.key.as_deref(), "no key", Role::Key));
        cells.push(short(model, record.value.as_deref(), "tombstone", Role::Plain));
        cells
    })
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let record = model.records.as_ref().and_then(|r| r.selected());
    let size = record.map(|r| format::size(r.view().size())).unwrap_or_default();
    list::detail(canvas, rect, model, "record", &size, |canvas, columns| {
        Some(lines(canvas, model, record?, columns))
    })
}

/// The begin of a key or value on one line.
fn short<'a>(model: &Model, value: Option<&[u8]>, none: &'static str, role: Role) -> Cell<'a> {
    match value {
        None => cell(model.tr(none).to_owned(), Role::Null),
        Some([]) => cell(model.tr("empty").to_owned(), Role::Null),
        Some(all) => cell(one_line(all, PREVIEW), role),
    }
}

fn title(model: &Model, records: &Records) -> String {
    let order = match &records.tail {
        Some(tail) if tail.paused => "paused",
        Some(_) => "live",
        None if records.newest_first => "newest first",
        None => "oldest first",
    };
    let order = model.tr(order);
    match &records.partitions {
        Some(set) => {
            let all: Vec<String> = set.iter().map(ToString::to_string).collect();
            say!(model, "{order}, partitions {all}", order, all = all.join(","))
        }
        None => order.to_owned(),
    }
}

/// How many records there are, read, and shown, and what goes on: the fullest first, the shortest last.
fn counts(model: &Model, records: &Records) -> Vec<String> {
    let list = &records.list;
    let read = list.total() as u64;
    let filtered = !list.filter().is_empty();
    if records.search.is_some() {
        return found(model, records);
    }
    let now = match &records.tail {
        Some(tail) if tail.paused => Some(say!(model, "{n} new", n = format::count(tail.held_back))),
        Some(tail) => Some(say!(model, "{n} new", n = format::count(tail.seen))),
        None if records.page.task.is_some() => Some(model.tr("reading …").to_owned()),
        None => None,
    };
    if filtered && records.page.value.is_some() {
        let shown = say!(
            model,
            "{some} in {all}",
            some = format::count(list.shown().len() as u64),
            all = format::count(read)
        );
        return match now {
            Some(now) => vec![format!("{shown}, {now}"), shown],
            None => vec![of_all(model, &shown, records), shown],
        };
    }
    match now {
        Some(now) => vec![now],
        None if read == 0 => Vec::new(),
        None => vec![of_all(model, &format::count(read), records), format::count(read)],
    }
}

/// How many records were found, and in how much of the topic as long as that is not all of it.
fn found(model: &Model, records: &Records) -> Vec<String> {
    let n = format::count(records.list.total() as u64);
    let found = say!(model, "{n} found", n);
    match (&records.tail, records.window.covered()) {
        (Some(tail), _) => {
            let new = say!(model, "{n} new", n = format::count(tail.seen));
            vec![format!("{found}, {new}"), found]
        }
        (None, (covered, all)) if covered < all => {
            vec![say!(model, "{found} in {share}", found, share = percent(covered, all))]
        }
        _ => vec![found],
    }
}

/// A share, less than all as long as it is.
pub(in crate::ui) fn percent(part: u64, all: u64) -> String {
    format!("{}%", (part as f64 / all.max(1) as f64 * 100.0).floor())
}

/// So many of the records that there are in all, where not all were read.
fn of_all(model: &Model, some: &str, records: &Records) -> String {
    if records.window.at_begin() && records.window.at_end() {
        return some.to_owned();
    }
    let marks = records.window.watermarks.values();
    let all: u64 = marks.map(|(low, high)| high.saturating_sub(*low).max(0) as u64).sum();
    say!(
        model,
        "{some} of {all}",
        some,
        all = format::count(all.max(records.list.total() as u64))
    )
}

/// Why there is no record in view.
fn empty(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, records: &Records) {
    if let Some(failure) = &records.page.error {
        return text::failed(canvas, rect, "the records cannot be read", failure);
    }
    if records.page.value.is_none() {
        return text::middle(canvas, rect, &[("reading records …", Role::Muted)]);
    }
    if !records.list.filter().is_empty() && (records.search.is_none() || records.tail.is_none()) {
        let (line, keys) = nothing_found(model, records);
        return list::filtered_away(canvas, rect, &line, model.tr(keys));
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

/// That nothing was found so far, and what can be done.
fn nothing_found(model: &Model, records: &Records) -> (String, &'static str) {
    let filter = records.list.filter();
    let (covered, all) = records.window.covered();
    let (n, of) = (format::count(covered), format::count(all));
    let whole = covered == all;
    if records.searching() {
        let line = say!(model, "{n} of {of} offsets searched for “{filter}”", n, of, filter);
        return (line, "x stops");
    }
    if records.search.is_none() {
        let n = format::count(records.list.total() as u64);
        let line = say!(model, "none of the {n} records read contains “{filter}”", n, filter);
        let keys = if whole || records.tail.is_some() {
            "esc clears the filter"
        } else {
            "⏎ searches the topic · esc clears the filter"
        };
        return (line, keys);
    }
    if whole {
        let line = say!(model, "“{filter}” is nowhere in this topic", filter);
        return (line, "esc clears the filter");
    }
    let line = say!(model, "“{filter}” is not in {n} of {of} offsets", filter, n, of);
    (line, "j searches on · esc clears the filter")
}

/// Position and time exactly, then key, headers and value.
fn lines<'a>(canvas: &Canvas<'_>, model: &Model, record: &'a Record, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 9);
    lines.field("partition", record.partition.to_string(), Role::Number);
    lines.field("offset", record.offset.to_string(), Role::Number);
    match record.timestamp {
        Some(at) => {
            lines.field("time", format::time(at, &model.zone()), Role::Time);
            lines.field("", format!("{} ms", at.0), Role::Muted);
        }
        None => lines.field("time", model.tr("none"), Role::Null),
    }
    match record.key.as_deref() {
        Some([]) => lines.field("key", model.tr("empty"), Role::Null),
        Some(key) => lines.field("key", one_line(key, SHOWN_KEY), Role::Key),
        None => lines.field("key", model.tr("none"), Role::Null),
    }
    if !record.headers.is_empty() {
        lines.heading("Headers");
        for header in &record.headers {
            let (value, role) = match header.value.as_deref() {
                Some([]) => (model.tr("empty").to_owned(), Role::Null),
                Some(value) => (one_line(value, SHOWN_KEY), Role::String),
                None => ("null".to_owned(), Role::Null),
            };
            lines.spans(vec![(format!("{}  ", header.key), Role::Muted), (value, role)]);
        }
    }
    value(&mut lines, canvas, record.value.as_deref(), columns);
    lines
}

pub(super) fn value(lines: &mut Lines<'_>, canvas: &Canvas<'_>, value: Option<&[u8]>, columns: u16) {
    if value.is_none() {
        lines.heading("Value");
        return lines.text(
            canvas
                .language
                .tr("none: a tombstone, which deletes what its key stands for"),
            Role::Null,
        );
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
        lines.text(
            canvas
                .language
                .tr("y copies all of it, and `foldlog read -o raw` prints it"),
            Role::Muted,
        );
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

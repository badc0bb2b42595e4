//! The two panes of a screen: the list, with what is listed on its border, or why nothing is; and the one under the cursor.

use ratatui::layout::Rect;

use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::list::List;
use crate::app::model::{Model, Pane};
use crate::app::remote::Remote;

use super::canvas::{Canvas, cut, note_fits};
use super::format;
use super::table::{Cell, Column, Table};
use super::text::{self, Lines, wrap_words};
use super::theme::Role;

/// A list of what a job brought.
pub(super) struct Listing<'a, T> {
    pub(super) title: &'static str,
    /// What its items are called.
    pub(super) what: &'static str,
    pub(super) list: &'a List,
    pub(super) remote: &'a Remote<Vec<T>>,
    pub(super) columns: &'a [Column<'a>],
    /// What is said where there are no items.
    pub(super) empty: &'a [(&'a str, Role)],
}

impl<'a, T> Listing<'a, T> {
    /// Draws it; `row` makes the cells of an item, and only for those in view.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        rect: Rect,
        model: &Model,
        row: impl Fn(&'a T) -> Vec<Cell<'a>>,
    ) -> Viewport {
        let (shown, total) = (self.list.shown().len() as u64, self.list.total() as u64);
        let count = match total {
            0 => String::new(),
            _ if self.list.filter().is_empty() => format::count(shown),
            _ => format::some_of(canvas, shown, total),
        };
        let inner = border(canvas, rect, model, model.tr(self.title), self.list.filter(), &[count]);
        match &self.remote.value {
            Some(_) if shown == 0 && !self.list.filter().is_empty() => {
                let line = nothing_contains(model, self.list.filter());
                filtered_away(canvas, inner, &line, "esc clears the filter");
            }
            Some(_) if shown == 0 => text::middle(canvas, inner, self.empty),
            Some(all) => {
                return rows(canvas, inner, model, self.list, self.columns, |at| {
                    row(&all[self.list.shown()[at]])
                });
            }
            None => self.unknown(canvas, inner, model),
        }
        Viewport::default()
    }

    /// Why it is not known what there is.
    fn unknown(&self, canvas: &mut Canvas<'_>, inner: Rect, model: &Model) {
        if let Some(failure) = &self.remote.error {
            text::failed(
                canvas,
                inner,
                &say!(model, "{what} cannot be read", what = model.tr(self.what)),
                failure,
            );
        } else if let Some(failure) = &model.cluster.error {
            text::failed(canvas, inner, "the cluster does not answer", failure);
        } else if model.cluster.value.is_none() {
            text::middle(canvas, inner, &[("connecting …", Role::Muted)]);
        } else {
            text::middle(
                canvas,
                inner,
                &[(
                    &say!(model, "reading {what} …", what = model.tr(self.what)),
                    Role::Muted,
                )],
            );
        }
    }
}

/// What is said where a filter hides everything.
pub(super) fn nothing_contains(model: &Model, filter: &str) -> String {
    say!(model, "nothing contains “{filter}”", filter)
}

/// Says below a list how many more there are than it holds, and which command has them; returns the room that is left for it.
pub(super) fn more(canvas: &mut Canvas<'_>, inner: Rect, more: u64, command: &str) -> Rect {
    if more == 0 {
        return inner;
    }
    let line = say!(canvas, "{n} more: {command}", n = format::count(more), command);
    below(canvas, inner, &line)
}

/// Says something below a list, where there is room; returns the room that is left for the list.
pub(super) fn below(canvas: &mut Canvas<'_>, inner: Rect, line: &str) -> Rect {
    let lines = wrap_words(line, usize::from(inner.width.max(1)));
    let taken = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let Some(height) = inner.height.checked_sub(taken).filter(|left| *left > taken) else {
        return inner;
    };
    for (y, line) in (inner.y + height..).zip(&lines) {
        canvas.text(inner.x, y, line, Role::Muted, inner.width);
    }
    Rect { height, ..inner }
}

/// Says that a filter hides everything, and what to press.
pub(super) fn filtered_away(canvas: &mut Canvas<'_>, inner: Rect, line: &str, keys: &str) {
    let lines = [(line, Role::Plain), (keys, Role::Muted)];
    text::middle(canvas, inner, &lines);
}

/// The rows of a list, in columns.
pub(super) fn rows<'a>(
    canvas: &mut Canvas<'_>,
    inner: Rect,
    model: &Model,
    list: &List,
    columns: &'a [Column<'a>],
    row: impl Fn(usize) -> Vec<Cell<'a>>,
) -> Viewport {
    let table = Table {
        columns,
        rows: list.shown().len(),
        cursor: Some(list.cursor()),
        focused: focused(model, Pane::List),
        marks_hidden: false,
        first: model.layout.list.first,
        cell: None,
    };
    table.draw(canvas, inner, row)
}

/// The border of a list, with its filter and one of the counts, the first that there is room for. Where there is not even
/// room for the last beside the title, the filter takes the title's place: what hides records matters more than their order.
pub(super) fn border(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    model: &Model,
    title: &str,
    filter: &str,
    counts: &[String],
) -> Rect {
    let focused = focused(model, Pane::List);
    let beside = |count: &String| match filter {
        "" => count.clone(),
        _ => format!("/{filter}  {count}"),
    };
    let fits = |note: &String| note_fits(rect, title, note);
    if let Some(note) = counts.iter().map(beside).find(fits) {
        return canvas.pane(rect, title, &note, focused);
    }
    let mut title = match filter {
        "" => title.to_owned(),
        _ => format!("/{filter}"),
    };
    let beside = counts.iter().find(|count| note_fits(rect, &title, count));
    let count = beside.or(counts.last()).map_or("", String::as_str);
    while !note_fits(rect, &title, count) && title.chars().count() > 2 {
        title = cut(&title, title.chars().count() - 1);
    }
    canvas.pane(rect, &title, count, focused)
}

/// The pane of the one under the cursor; empty where there is none.
pub(super) fn detail<'a>(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    model: &Model,
    title: &'static str,
    note: &str,
    lines: impl FnOnce(&Canvas<'_>, u16) -> Option<Lines<'a>>,
) -> Viewport {
    let inner = canvas.pane(rect, model.tr(title), note, focused(model, Pane::Detail));
    match lines(canvas, inner.width) {
        Some(lines) => text::draw(canvas, inner, &lines.lines, model.detail),
        None => Viewport::default(),
    }
}

/// Whether a pane has the focus.
pub(super) fn focused(model: &Model, pane: Pane) -> bool {
    model.pane == pane && model.overlay.is_none()
}

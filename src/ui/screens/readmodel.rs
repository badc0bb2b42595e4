//! The tables of the read models, and rows: of a table, or of a query of one's own. The query stands above its rows.

use ratatui::layout::{Position, Rect};

use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::{Model, Pane};
use crate::app::overlay::{Overlay, Prompt, PromptKind};
use crate::app::screens::readmodel::{MAX_ROWS, ReadModel};
use crate::demo::chart::left_out;
use crate::readmodel::query::{Cell as Value, Rows};

use super::super::canvas::{Canvas, width};
use super::super::format;
use super::super::input;
use super::super::list::{self, Listing};
use super::super::printable::printable;
use super::super::table::{Cell, Column, GAP, GUTTER, Table, cell, keep_in_view};
use super::super::text::{self, Lines, wrap_words};
use super::super::theme::Role;
use super::charts;

/// The widest that a column of values gets.
const WIDEST: u16 = 40;

/// The most rows that a query takes while it is typed; above its rows, and once it was run.
const TYPED: u16 = 8;
const QUERY: usize = 3;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let listing = Listing {
        title: "tables",
        what: "read models",
        list: &model.readmodel.list,
        remote: &model.readmodel.tables,
        columns: &[
            Column::fill(model.tr("table")).name(),
            Column::fit(model.tr("rows"), 12).right(),
        ],
        empty: &[
            ("no read model was built yet", Role::Plain),
            ("", Role::Plain),
            ("2 shows the projections, r rebuilds one", Role::Muted),
        ],
    };
    listing.draw(canvas, rect, model, |table| {
        vec![
            cell(format!("{}.{}", table.read_model, table.table.name), Role::Plain),
            match table.table.rows {
                Some(rows) => cell(format::count(rows), Role::Number),
                None => cell(model.tr("view").to_owned(), Role::Muted),
            },
        ]
    })
}

fn typing(model: &Model) -> Option<&Prompt> {
    match &model.overlay {
        Some(Overlay::Prompt(prompt)) if prompt.kind == PromptKind::Sql => Some(prompt),
        _ => None,
    }
}

/// Draws the query and its rows; sets the cursor where the query is being typed.
pub(in crate::ui) fn detail(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    model: &Model,
    cursor: &mut Option<Position>,
) -> Viewport {
    let state = &model.readmodel;
    let typed = typing(model);
    let on = list::focused(model, Pane::Detail) || typed.is_some();
    let inner = canvas.pane(rect, model.tr("rows"), &note(model, state), on);
    let mut y = inner.y;
    if let Some(prompt) = typed {
        canvas.text(inner.x, y, "SQL", Role::Key, 3);
        let line = Rect {
            x: inner.x + 4,
            width: inner.width.saturating_sub(4),
            ..inner
        };
        let height = input::rows(&prompt.input, line.width).min(TYPED);
        *cursor = Some(input::lines(canvas, Rect { height, ..line }, &prompt.input));
        y += height;
        if let Some(error) = &prompt.error {
            canvas.text(inner.x, y, model.tr(error), Role::Bad, inner.width);
            y += 1;
        }
    } else {
        let (sql, role) = match state.sql.as_str() {
            "" => (model.tr("s writes a query over every read model"), Role::Muted),
            sql => (sql, Role::String),
        };
        let lines = wrap_words(sql, usize::from(inner.width).max(1));
        for (n, line) in lines.iter().take(QUERY).enumerate() {
            let cut = n + 1 == QUERY && lines.len() > QUERY;
            canvas.text(
                inner.x,
                y,
                &format!("{line}{}", if cut { " …" } else { "" }),
                role,
                inner.width,
            );
            y += 1;
        }
    }
    y += 1;
    let body = Rect {
        y,
        height: inner.bottom().saturating_sub(y),
        ..inner
    };
    if let Some(failure) = &state.rows.error {
        // The whole of it, here, where it happened; what the last query brought is no longer what the line above says.
        let mut lines = Lines::new(canvas, 0);
        for line in model.tr(&failure.full).lines() {
            lines.text(line, Role::Bad);
        }
        return text::draw(canvas, body, &lines.lines, model.detail);
    }
    if let (Some(chart), None) = (&state.chart, typed) {
        charts::plot(canvas, body, model, chart, &left_out(chart.left, model.language));
        return Viewport::default();
    }
    match &state.rows.value {
        Some(rows) if state.whole => {
            let lines = whole_row(canvas, rows, state.row);
            return text::draw(canvas, body, &lines.lines, model.detail);
        }
        Some(rows) if rows.rows.is_empty() => text::middle(canvas, body, &[("no rows", Role::Plain)]),
        Some(rows) => {
            let grid = Grid {
                rows,
                row: state.row,
                column: state.column,
                focused: list::focused(model, Pane::Detail),
                view: model.layout.detail,
            };
            return grid.draw(canvas, body, |_, _| false);
        }
        None if state.rows.loading() => {
            let lines = [("asking SQLite …", Role::Plain), ("x stops it", Role::Muted)];
            text::middle(canvas, body, &lines);
        }
        None => {}
    }
    Viewport::default()
}

fn note(model: &Model, state: &ReadModel) -> String {
    if state.rows.task.is_some() {
        return model.tr("asking …").into();
    }
    let Some(rows) = &state.rows.value else {
        return String::new();
    };
    let count = rows.rows.len() as u64;
    if state.whole {
        return say!(
            model,
            "row {n} of {all}",
            n = format::count(state.row as u64 + 1),
            all = format::count(count)
        );
    }
    match state.page {
        Some((item, skip)) if count > 0 => {
            let (from, to) = (format::count(skip + 1), format::count(skip + count));
            let table = state.tables.value.as_ref().and_then(|t| t.get(item));
            match table.and_then(|t| t.table.rows) {
                Some(all) => {
                    let all = format::count(all.max(skip + count));
                    say!(model, "{from} to {to} of {all}", from, to, all)
                }
                None => say!(model, "{from} to {to}", from, to),
            }
        }
        None if rows.truncated => say!(
            model,
            "the first {n}; there are more",
            n = format::count(MAX_ROWS as u64)
        ),
        _ => format::count(count),
    }
}

/// Rows in columns.
pub(super) struct Grid<'a> {
    pub(super) rows: &'a Rows,
    /// The row under the cursor.
    pub(super) row: usize,
    /// The column under the cursor.
    pub(super) column: usize,
    pub(super) focused: bool,
    /// Where the last frame put things.
    pub(super) view: Viewport,
}

impl Grid<'_> {
    /// Draws them; `changed` says which values stand out.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, rect: Rect, changed: impl Fn(usize, usize) -> bool) -> Viewport {
        let rows = self.rows;
        let on = self.column.min(rows.columns.len().saturating_sub(1));
        let from = self.first_column(rect, on);
        let numeric = |c: usize| {
            let mut values = rows
                .rows
                .iter()
                .take(50)
                .map(|r| &r[c])
                .filter(|v| **v != Value::Null)
                .peekable();
            values.peek().is_some() && values.all(|v| matches!(v, Value::Integer(_) | Value::Real(_)))
        };
        let names: Vec<_> = rows.columns.iter().map(|c| printable(c)).collect();
        let columns: Vec<Column<'_>> = (from..rows.columns.len())
            .map(|c| {
                // Every column but the first shown may go where room is short; moving to the right brings them into view.
                let column = Column::fit(&names[c], WIDEST).drop((c - from).min(250) as u8);
                if numeric(c) { column.right() } else { column }
            })
            .collect();
        let table = Table {
            columns: &columns,
            rows: rows.rows.len(),
            cursor: Some(self.row),
            focused: self.focused,
            marks_hidden: true,
            first: self.view.first,
            cell: Some(on - from),
        };
        let view = table.draw(canvas, rect, |row| {
            let cells = rows.rows[row].iter().enumerate().skip(from);
            let marked = |(at, value)| match changed(row, at) {
                true => Cell {
                    role: Role::Changed,
                    ..shown(value)
                },
                false => shown(value),
            };
            cells.map(marked).collect()
        });
        Viewport { column: from, ..view }
    }

    /// The first column in view: moved no further than the cursor needs.
    fn first_column(&self, rect: Rect, on: usize) -> usize {
        let before = self.view.column;
        if on <= before {
            return on;
        }
        // About the rows that will be in view; a row more or less decides little.
        let height = usize::from(rect.height);
        let first = keep_in_view(self.view.first, self.row, self.rows.rows.len(), height);
        let wide = |c: usize| {
            let cells = self.rows.rows.iter().skip(first).take(height);
            let cells = cells
                .filter_map(|row| row.get(c))
                .map(|value| width(&shown(value).text));
            let widest = cells.chain([width(&printable(&self.rows.columns[c]))]).max();
            widest.unwrap_or(0).clamp(1, WIDEST)
        };
        let room = rect.width.saturating_sub(GUTTER);
        let mut from = on;
        let mut taken = wide(on);
        while from > before && taken + GAP + wide(from - 1) <= room {
            from -= 1;
            taken += GAP + wide(from);
        }
        from
    }
}

/// A row's values whole, one below the other.
fn whole_row<'a>(canvas: &Canvas<'_>, rows: &'a Rows, row: usize) -> Lines<'a> {
    let longest = rows.columns.iter().map(|c| usize::from(width(c))).max().unwrap_or(0);
    let mut lines = Lines::new(canvas, longest.min(24));
    for (name, value) in rows.columns.iter().zip(rows.rows.get(row).into_iter().flatten()) {
        match value {
            Value::Text(text) if text.contains('\n') => {
                lines.named(&printable(name), "", Role::Plain);
                for line in text.lines() {
                    lines.owned(format!("  {line}"), Role::Plain);
                }
            }
            Value::Text(text) => lines.named(&printable(name), text.as_str(), Role::Plain),
            value => {
                let cell = shown(value);
                lines.named(&printable(name), cell.text, cell.role);
            }
        }
    }
    lines
}

/// A value in a cell. Integers stand as they are: they may be keys, and a separator would be no part of them.
pub(super) fn shown(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => cell("NULL", Role::Null),
        Value::Integer(n) => cell(n.to_string(), Role::Number),
        Value::Real(n) => cell(format!("{n:?}"), Role::Number),
        Value::Text(text) => {
            let end = text.char_indices().nth(200).map_or(text.len(), |(i, _)| i);
            cell(printable(&text[..end]), Role::Plain)
        }
        Value::Blob(blob) => {
            let hex: String = blob.iter().take(16).map(|b| format!("{b:02x}")).collect();
            let more = if blob.len() > 16 { "…" } else { "" };
            cell(format!("x'{hex}'{more} {}", format::size(blob.len())), Role::Warning)
        }
    }
}

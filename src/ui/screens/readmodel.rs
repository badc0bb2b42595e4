//! The tables of the read models, and rows: of a table, or of a query of one's own. The query stands above its rows.

use ratatui::layout::{Position, Rect};

use crate::app::layout::Layout;
use crate::app::model::{Model, Pane};
use crate::app::overlay::{Overlay, Prompt, PromptKind};
use crate::app::screens::readmodel::{MAX_ROWS, ReadModel};
use crate::readmodel::query::{Cell as Value, Rows};

use super::super::canvas::Canvas;
use super::super::footer;
use super::super::format;
use super::super::printable::printable;
use super::super::table::{Cell, Column, Table, cell};
use super::super::text::{self, Lines, wrap_words};
use super::super::theme::Role;
use super::{State, focused, listed, nothing};

/// The share of the body that the tables have, in percent.
pub(in crate::ui) const TABLES: u16 = 32;
/// The widest that a column of values gets.
const WIDEST: u16 = 40;

pub(in crate::ui) fn draw(
    canvas: &mut Canvas<'_>,
    list: Option<Rect>,
    detail: Option<Rect>,
    model: &Model,
    layout: &mut Layout,
) {
    if let Some(rect) = list {
        draw_tables(canvas, rect, model, layout);
    }
    if let Some(rect) = detail {
        draw_rows(canvas, rect, model, layout);
    }
}

fn draw_tables(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, layout: &mut Layout) {
    let state = &model.readmodel;
    let inner = canvas.pane(rect, "tables", &listed(&state.list), focused(model, Pane::List));
    if nothing(
        canvas,
        inner,
        model,
        "read models",
        &state.list,
        State::of(&state.tables),
    ) {
        return;
    }
    let all = state.tables.value.as_deref().unwrap_or_default();
    if all.is_empty() {
        let lines = [
            ("no read model was built yet", Role::Plain),
            ("", Role::Plain),
            ("2 shows the projections, r rebuilds one", Role::Muted),
        ];
        return text::middle(canvas, inner, &lines);
    }
    let table = Table {
        columns: &[Column::fill("table").tail(), Column::fit("rows", 12).right()],
        rows: state.list.shown().len(),
        cursor: Some(state.list.cursor()),
        focused: focused(model, Pane::List),
        marks_hidden: false,
        first: model.layout.list.first,
    };
    layout.list = table.draw(canvas, inner, |row| {
        let table = &all[state.list.shown()[row]];
        vec![
            cell(format!("{}.{}", table.read_model, table.table.name), Role::Plain),
            cell(format::count(table.table.rows), Role::Number),
        ]
    });
}

fn typing(model: &Model) -> Option<&Prompt> {
    match &model.overlay {
        Some(Overlay::Prompt(prompt)) if prompt.kind == PromptKind::Sql => Some(prompt),
        _ => None,
    }
}

fn draw_rows(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, layout: &mut Layout) {
    let state = &model.readmodel;
    let typed = typing(model);
    let on = focused(model, Pane::Detail) || typed.is_some();
    let inner = canvas.pane(rect, "rows", &note(state), on);
    let mut y = inner.y;
    if let Some(prompt) = typed {
        canvas.text(inner.x, y, "SQL", Role::Key, 3);
        footer::input(canvas, sql_line(inner), &prompt.input);
        y += 1;
        if let Some(error) = &prompt.error {
            canvas.text(inner.x, y, error, Role::Bad, inner.width);
            y += 1;
        }
    } else {
        let sql = if state.sql.is_empty() {
            "s writes a query over every read model"
        } else {
            &state.sql
        };
        let lines = wrap_words(sql, usize::from(inner.width).max(1));
        for line in lines.iter().take(3) {
            canvas.text(
                inner.x,
                y,
                line,
                if state.sql.is_empty() {
                    Role::Muted
                } else {
                    Role::String
                },
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
        for (i, line) in failure
            .full
            .lines()
            .flat_map(|l| wrap_words(l, usize::from(body.width).max(1)))
            .enumerate()
        {
            if (i as u16) < body.height {
                canvas.text(body.x, body.y + i as u16, &line, Role::Bad, body.width);
            }
        }
    } else if let (true, Some(rows)) = (state.whole, &state.rows.value) {
        let lines = whole_row(canvas, rows, state.row);
        layout.detail = text::draw(canvas, body, &lines.lines, model.detail);
    } else if let Some(rows) = &state.rows.value {
        draw_grid(canvas, body, model, rows, layout);
    } else if state.rows.loading() {
        text::middle(
            canvas,
            body,
            &[("asking SQLite …", Role::Plain), ("x stops it", Role::Muted)],
        );
    }
}

fn note(state: &ReadModel) -> String {
    if state.rows.task.is_some() {
        return "asking …".into();
    }
    let Some(rows) = &state.rows.value else {
        return String::new();
    };
    let count = rows.rows.len() as u64;
    if state.whole {
        return format!(
            "row {} of {}",
            format::count(state.row as u64 + 1),
            format::count(count)
        );
    }
    match state.page {
        Some((item, skip)) if count > 0 => {
            let all = state
                .tables
                .value
                .as_ref()
                .and_then(|t| t.get(item))
                .map_or(0, |t| t.table.rows);
            format!(
                "{} to {} of {}",
                format::count(skip + 1),
                format::count(skip + count),
                format::count(all.max(skip + count))
            )
        }
        None if rows.truncated => format!("the first {}; there are more", format::count(MAX_ROWS as u64)),
        _ => format::count(count),
    }
}

fn draw_grid(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, rows: &Rows, layout: &mut Layout) {
    let state = &model.readmodel;
    if rows.rows.is_empty() {
        return text::middle(canvas, rect, &[("no rows", Role::Plain)]);
    }
    let from = state.column.min(rows.columns.len().saturating_sub(1));
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
        cursor: Some(state.row),
        focused: focused(model, Pane::Detail),
        marks_hidden: true,
        first: model.layout.detail.first,
    };
    layout.detail = table.draw(canvas, rect, |row| rows.rows[row][from..].iter().map(shown).collect());
}

/// A row's values whole, one below the other.
fn whole_row<'a>(canvas: &Canvas<'_>, rows: &'a Rows, row: usize) -> Lines<'a> {
    let longest = rows.columns.iter().map(|c| c.chars().count()).max().unwrap_or(0);
    let mut lines = Lines::new(canvas.theme, longest.min(24));
    for (name, value) in rows.columns.iter().zip(rows.rows.get(row).into_iter().flatten()) {
        match value {
            Value::Text(text) if text.contains('\n') => {
                lines.field(&printable(name), "", Role::Plain);
                for line in text.lines() {
                    lines.owned(format!("  {line}"), Role::Plain);
                }
            }
            Value::Text(text) => lines.field(&printable(name), text.as_str(), Role::Plain),
            value => {
                let cell = shown(value);
                lines.field(&printable(name), cell.text, cell.role);
            }
        }
    }
    lines
}

/// A value in a cell. Integers stand as they are: they may be keys, and a separator would be no part of them.
fn shown(value: &Value) -> Cell<'_> {
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

fn sql_line(inner: Rect) -> Rect {
    Rect {
        x: inner.x + 4,
        width: inner.width.saturating_sub(4),
        height: 1,
        ..inner
    }
}

/// Where the cursor stands while a query is typed.
pub(in crate::ui) fn cursor(model: &Model, body: Rect) -> Option<Position> {
    let prompt = typing(model)?;
    let (_, detail) = super::super::panes(model, body, TABLES);
    let rect = detail?;
    let inner = Rect {
        x: rect.x + 2,
        y: rect.y + 1,
        width: rect.width.saturating_sub(4),
        height: 1,
    };
    let line = sql_line(inner);
    let at = prompt.input.visual_cursor() - prompt.input.visual_scroll(usize::from(line.width.saturating_sub(1)));
    Some(Position::new(line.x + at as u16, line.y))
}

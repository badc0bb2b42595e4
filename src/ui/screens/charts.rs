//! The charts of a demo: the one under the cursor beside the list of them, or all at once.

use ratatui::layout::Rect;

use crate::app::lang::Speaks;
use crate::app::layout::Viewport;
use crate::app::model::{Model, Pane};
use crate::app::screens::charts::{ChartRow, Charts};
use crate::chart::Chart;
use crate::chart::cells::{Ink, Plot};

use super::super::canvas::Canvas;
use super::super::list::{self, Listing};
use super::super::table::{Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;

/// The least that a chart among others gets.
const CELL: (u16, u16) = (38, 9);

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let Some(charts) = &model.charts else {
        return Viewport::default();
    };
    let listing = Listing {
        title: "charts",
        what: "charts",
        list: &charts.list,
        remote: &charts.remote,
        columns: &[
            Column::fill(model.tr("title")).name(),
            Column::fit(model.tr("kind"), 10).drop(1),
            Column::fit(model.tr("store"), 20).drop(2),
        ],
        empty: &[
            ("there are no charts here", Role::Plain),
            ("", Role::Plain),
            ("`[[charts]]` in a demo.toml makes some", Role::Muted),
        ],
    };
    listing.draw(canvas, rect, model, |row| {
        vec![
            cell(row.title.as_str(), Role::Plain),
            cell(model.tr(row.kind.word()), Role::Muted),
            cell(row.store.as_str(), Role::Muted),
        ]
    })
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let selected = model.charts.as_ref().and_then(Charts::selected);
    pane(canvas, rect, model, selected, list::focused(model, Pane::Detail));
    Viewport::default()
}

/// All of them, side by side; those around the cursor where there is no room for all.
pub(in crate::ui) fn board(canvas: &mut Canvas<'_>, body: Rect, model: &Model) {
    let Some((charts, rows)) = model.charts.as_ref().and_then(|c| Some((c, c.remote.value.as_ref()?))) else {
        list(canvas, body, model);
        return;
    };
    let shown: Vec<&ChartRow> = charts.list.shown().iter().filter_map(|at| rows.get(*at)).collect();
    if shown.is_empty() {
        list(canvas, body, model);
        return;
    }
    let count = shown.len() as u16;
    let across = (body.width / CELL.0).clamp(1, 4).min(count).min(columns(count));
    let all = count.div_ceil(across);
    let down = (body.height / CELL.1).clamp(1, all);
    let cursor = charts.list.cursor() as u16;
    let first = (cursor / across).saturating_sub(down - 1).min(all - down);
    for row in 0..down {
        let (top, bottom) = (body.height * row / down, body.height * (row + 1) / down);
        let here = across.min(count - (first + row) * across);
        for column in 0..here {
            let at = (first + row) * across + column;
            let (left, right) = (body.width * column / here, body.width * (column + 1) / here);
            let rect = Rect {
                x: body.x + left,
                y: body.y + top,
                width: right - left,
                height: bottom - top,
            };
            let on = at == cursor && model.overlay.is_none();
            pane(canvas, rect, model, shown.get(usize::from(at)).copied(), on);
        }
    }
}

/// How many columns so many charts look well in.
fn columns(count: u16) -> u16 {
    match count {
        0..=3 => 1,
        4 => 2,
        5..=6 => 2,
        _ => 3,
    }
}

/// A chart with its title on the border.
fn pane(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, row: Option<&ChartRow>, on: bool) {
    let Some(row) = row else {
        canvas.pane(rect, model.tr("chart"), "", on);
        return;
    };
    let unit = match &row.chart {
        Ok(chart) if !chart.unit.is_empty() => format!(" ({})", chart.unit),
        _ => String::new(),
    };
    let inner = canvas.pane(rect, &format!("{}{unit}", row.title), &row.store, on);
    match &row.chart {
        Ok(chart) if chart.is_empty() => {
            text::middle(canvas, inner, &[("nothing to show yet", Role::Muted)]);
        }
        Ok(chart) => plot(canvas, inner, model, chart, &row.notes),
        Err(failure) => {
            let mut lines = Lines::new(canvas, 0);
            failure.full.lines().for_each(|line| lines.text(line, Role::Bad));
            text::draw(canvas, inner, &lines.lines, model.detail);
        }
    }
}

/// A chart, and below it what it leaves out.
pub(super) fn plot(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, chart: &Chart, notes: &[String]) {
    let foot = u16::from(!notes.is_empty()).min(rect.height);
    let height = rect.height - foot;
    for piece in Plot::of(chart, rect.width, height, &model.zone()).pieces() {
        let room = rect.width.saturating_sub(piece.x);
        canvas.text(rect.x + piece.x, rect.y + piece.y, &piece.text, role(piece.ink), room);
    }
    if foot > 0 {
        canvas.text(rect.x, rect.y + height, &notes.join(" · "), Role::Warning, rect.width);
    }
}

fn role(ink: Ink) -> Role {
    match ink {
        Ink::Axis => Role::Muted,
        Ink::Label => Role::Plain,
        Ink::Value => Role::Number,
        Ink::Series(at) => Role::Series(at),
        Ink::Shade(1) => Role::Muted,
        Ink::Shade(2) => Role::Series(2),
        Ink::Shade(3) => Role::Series(0),
        Ink::Shade(_) => Role::Strong,
        Ink::Over => Role::Warning,
    }
}

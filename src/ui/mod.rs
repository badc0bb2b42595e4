//! Draws the studio's model; it borrows, and never waits.
//!
//! Three zones, always the same: the header says where one is and whether it is alive, the body shows what there is beside
//! the one under the cursor, the footer says what runs and what the keys do here.

mod canvas;
mod footer;
pub mod format;
mod header;
mod overlays;
pub mod printable;
pub mod sample;
mod screens;
mod table;
mod text;
pub mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::layout::Layout;
use crate::app::model::{Model, Pane, SMALLEST, Screen};

use canvas::Canvas;
use theme::{Role, Theme};

/// From this width on the panes stand apart; below it every column counts.
const ROOMY: u16 = 100;

/// Draws a frame and says where things stand on it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) -> Layout {
    let area = frame.area();
    let mut canvas = Canvas {
        buffer: frame.buffer_mut(),
        theme,
    };
    if model.too_small() {
        too_small(&mut canvas, area);
        return Layout::default();
    }
    let body = Rect {
        y: area.y + 1,
        height: area.height - 2,
        ..area
    };
    header::draw(&mut canvas, Rect { height: 1, ..area }, model);
    let mut layout = draw_screen(&mut canvas, body, model);
    let cursor = footer::draw(
        &mut canvas,
        Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        },
        model,
    );
    let over = overlays::draw(&mut canvas, body, model, &mut layout);
    if let Some(at) = over.or(cursor).or_else(|| screens::readmodel::cursor(model, body)) {
        frame.set_cursor_position(at);
    }
    layout
}

fn draw_screen(canvas: &mut Canvas<'_>, body: Rect, model: &Model) -> Layout {
    if model.welcome() {
        screens::welcome::draw(canvas, body, model);
        return Layout::default();
    }
    let (list, detail) = match model.screen {
        Screen::Topics => panes(model, body, 58),
        Screen::Records => panes(model, body, 52),
        Screen::Projections => panes(model, body, 56),
        Screen::ReadModel => panes(model, body, screens::readmodel::TABLES),
        Screen::Demos => panes(model, body, 40),
        Screen::Groups => panes(model, body, 45),
    };
    let mut layout = Layout::default();
    match model.screen {
        Screen::Topics => screens::topics::draw(canvas, list, detail, model, &mut layout),
        Screen::Records => screens::records::draw(canvas, list, detail, model, &mut layout),
        Screen::Projections => screens::projections::draw(canvas, list, detail, model, &mut layout),
        Screen::ReadModel => screens::readmodel::draw(canvas, list, detail, model, &mut layout),
        Screen::Demos => screens::demos::draw(canvas, list, detail, model, &mut layout),
        Screen::Groups => screens::groups::draw(canvas, list, detail, model, &mut layout),
    }
    layout
}

/// The list's and the detail's place; a pane that is zoomed away has none.
fn panes(model: &Model, body: Rect, percent: u16) -> (Option<Rect>, Option<Rect>) {
    if model.zoom {
        return match model.pane {
            Pane::List => (Some(body), None),
            Pane::Detail => (None, Some(body)),
        };
    }
    let left = (u32::from(body.width) * u32::from(percent) / 100) as u16;
    let gap = if body.width >= ROOMY { 1 } else { 0 };
    let list = Rect { width: left, ..body };
    let detail = Rect {
        x: body.x + left + gap,
        width: body.width - left - gap,
        ..body
    };
    (Some(list), Some(detail))
}

fn too_small(canvas: &mut Canvas<'_>, area: Rect) {
    let need = format!(
        "{} x {} are needed, {} x {} are here",
        SMALLEST.0, SMALLEST.1, area.width, area.height
    );
    text::middle(
        canvas,
        area,
        &[
            ("this terminal is too small", Role::Strong),
            (&need, Role::Plain),
            ("enlarge it, or ^C quits", Role::Muted),
        ],
    );
}

//! Draws the studio's model; it borrows, and never waits.
//!
//! Three zones, always the same: the header says where one is and whether it is alive, the body shows what there is beside
//! the one under the cursor, the footer says what runs and what the keys do here.

mod canvas;
mod footer;
pub mod format;
mod header;
mod input;
mod list;
mod overlays;
pub mod printable;
pub mod sample;
mod screens;
mod table;
mod text;
pub mod theme;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::app::lang::say;
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
        language: model.language,
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
    let named = header::draw(&mut canvas, Rect { height: 1, ..area }, model);
    let (mut layout, typed) = draw_screen(&mut canvas, body, model);
    layout.screens = named;
    let cursor = footer::draw(
        &mut canvas,
        Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        },
        model,
        // What the header has no room to name is hinted at.
        named[0].width == 0,
    );
    let over = overlays::draw(&mut canvas, body, model, &mut layout);
    if let Some(at) = over.or(cursor).or(typed) {
        frame.set_cursor_position(at);
    }
    layout
}

/// Draws the body; also returns where the cursor stands if something is typed in it.
fn draw_screen(canvas: &mut Canvas<'_>, body: Rect, model: &Model) -> (Layout, Option<Position>) {
    let mut layout = Layout::default();
    let mut cursor = None;
    if model.welcome() {
        screens::welcome::draw(canvas, body, model);
        return (layout, None);
    }
    if model.screen == Screen::Time {
        return (screens::time::draw(canvas, body, model), None);
    }
    if model.screen == Screen::Charts && !model.zoom && model.charts.as_ref().is_some_and(|charts| charts.board) {
        screens::charts::board(canvas, body, model);
        return (layout, None);
    }
    if model.screen == Screen::Scene {
        return (screens::scene::draw(canvas, body, model), None);
    }
    let (list, detail) = panes(model, body);
    if let Some(rect) = list {
        layout.list = match model.screen {
            Screen::Topics => screens::topics::list(canvas, rect, model),
            Screen::Records => screens::records::list(canvas, rect, model),
            Screen::Projections => screens::projections::list(canvas, rect, model),
            Screen::ReadModel => screens::readmodel::list(canvas, rect, model),
            Screen::Time | Screen::Scene => Default::default(),
            Screen::Letters => screens::letters::list(canvas, rect, model),
            Screen::Alerts => screens::alerts::list(canvas, rect, model),
            Screen::Blame => screens::blame::list(canvas, rect, model),
            Screen::Differences => screens::differences::list(canvas, rect, model),
            Screen::Charts => screens::charts::list(canvas, rect, model),
            Screen::Demos => screens::demos::list(canvas, rect, model),
            Screen::Guide => screens::guide::list(canvas, rect, model, &mut layout.nodes),
            Screen::Groups => screens::groups::list(canvas, rect, model),
        };
    }
    if let Some(rect) = detail {
        layout.detail = match model.screen {
            Screen::Topics => screens::topics::detail(canvas, rect, model),
            Screen::Records => screens::records::detail(canvas, rect, model),
            Screen::Projections => screens::projections::detail(canvas, rect, model),
            Screen::ReadModel => screens::readmodel::detail(canvas, rect, model, &mut cursor),
            Screen::Time | Screen::Scene => Default::default(),
            Screen::Letters => screens::letters::detail(canvas, rect, model),
            Screen::Alerts => screens::alerts::detail(canvas, rect, model),
            Screen::Blame => screens::blame::detail(canvas, rect, model),
            Screen::Differences => screens::differences::detail(canvas, rect, model),
            Screen::Charts => screens::charts::detail(canvas, rect, model),
            Screen::Demos => screens::demos::detail(canvas, rect, model),
            Screen::Guide => screens::guide::detail(canvas, rect, model),
            Screen::Groups => screens::groups::detail(canvas, rect, model),
        };
    }
    (layout, cursor)
}

/// The list's and the detail's place; a pane that is zoomed away has none.
fn panes(model: &Model, body: Rect) -> (Option<Rect>, Option<Rect>) {
    if model.zoom {
        return match model.pane {
            Pane::List => (Some(body), None),
            Pane::Detail | Pane::Third => (None, Some(body)),
        };
    }
    // The list's share in percent, and the most columns that it makes use of: numbers far from their name are hard to read.
    let (percent, most): (u16, u16) = match model.screen {
        Screen::Topics => (58, 92),
        // Where every column counts, keys and names would be cut first.
        Screen::Records if body.width < ROOMY => (54, u16::MAX),
        Screen::Records => (52, u16::MAX),
        Screen::Projections => (56, 100),
        Screen::ReadModel if body.width < ROOMY => (36, 64),
        Screen::ReadModel => (32, 64),
        Screen::Time | Screen::Scene | Screen::Demos => (40, 64),
        Screen::Charts => (38, 60),
        Screen::Blame => (58, 110),
        Screen::Differences => (50, 100),
        Screen::Letters => (46, 100),
        Screen::Alerts => (54, 110),
        Screen::Guide => (50, 90),
        Screen::Groups => (45, 80),
    };
    let left = ((u32::from(body.width) * u32::from(percent) / 100) as u16).min(most);
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
    let need = say!(
        canvas,
        "{columns} x {rows} are needed, {width} x {height} are here",
        columns = SMALLEST.0,
        rows = SMALLEST.1,
        width = area.width,
        height = area.height
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

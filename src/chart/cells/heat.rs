//! Heat maps in cells: a shade and a figure each, so that neither colour nor a good eye is needed.

use super::super::Shape;
use super::super::scale::{exact, short};
use super::{Ink, Plot, width};

const SHADES: [&str; 4] = ["░", "▒", "▓", "█"];
/// The widest that a cell becomes.
const WIDEST: u16 = 12;

/// How columns are laid out.
struct Across {
    /// Columns of the terminal for each.
    each: u16,
    /// How many of them the figure takes; 0 where there is no room for figures.
    figure: u16,
    /// How many columns are shown.
    shown: usize,
}

pub(super) fn draw(plot: &mut Plot, shape: &Shape) {
    let values = || shape.cells.iter().flatten().flatten().copied();
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if !low.is_finite() || plot.height < 4 {
        return;
    }
    let names = shape.rows.iter().map(|name| width(name)).max().unwrap_or(0);
    let names = names.min(plot.width / 4).max(1);
    let left = names + 1;
    let across = across(
        shape,
        plot.width - left,
        values().map(|value| width(&short(value))).max().unwrap_or(1),
    );
    let rows = usize::from(plot.height - 2);
    let shown = if shape.rows.len() <= rows {
        shape.rows.len()
    } else {
        rows - 1
    };
    head(plot, shape, left, &across);
    for (at, name) in shape.rows.iter().take(shown).enumerate() {
        let y = at as u16 + 1;
        plot.text(0, y, name, Ink::Label, names);
        for (column, value) in shape.cells[at].iter().take(across.shown).enumerate() {
            cell(
                plot,
                (left + column as u16 * across.each, y),
                &across,
                *value,
                (low, high),
            );
        }
    }
    if shown < shape.rows.len() {
        let said = format!("… +{}", exact((shape.rows.len() - shown) as f64));
        plot.text(0, shown as u16 + 1, &said, Ink::Axis, plot.width);
    }
    legend(plot, low, high);
}

fn across(shape: &Shape, room: u16, figure: u16) -> Across {
    let count = shape.columns.len().max(1);
    let fair = (usize::from(room) / count).min(usize::from(u16::MAX)) as u16;
    let labels = shape.columns.iter().map(|name| width(name)).max().unwrap_or(0) + 1;
    let with_figures = figure + 2;
    let (each, figure) = if fair >= with_figures {
        (
            fair.min(labels.max(with_figures + 1)).min(WIDEST.max(with_figures)),
            figure,
        )
    } else {
        (fair.clamp(1, 2), 0)
    };
    Across {
        each,
        figure,
        shown: count.min(usize::from(room / each)),
    }
}

/// The names of the columns, where they have room; those that are not shown are counted.
fn head(plot: &mut Plot, shape: &Shape, left: u16, across: &Across) {
    let hidden = shape.columns.len() - across.shown.min(shape.columns.len());
    let end = if hidden > 0 {
        let said = format!("+{hidden} …");
        plot.right(plot.width, 0, &said, Ink::Axis);
        plot.width - width(&said)
    } else {
        plot.width
    };
    let mut free = left;
    for (at, name) in shape.columns.iter().take(across.shown).enumerate() {
        let x = left + at as u16 * across.each;
        let room = if across.figure > 0 {
            across.each - 1
        } else {
            width(name)
        };
        if x >= free && x + room.min(width(name)) <= end {
            free = x + plot.text(x, 0, name, Ink::Label, room) + 1;
        }
    }
}

fn cell(plot: &mut Plot, (x, y): (u16, u16), across: &Across, value: Option<f64>, (low, high): (f64, f64)) {
    let room = if across.each > 1 && across.figure > 0 {
        across.each - 1
    } else {
        across.each
    };
    let Some(value) = value else {
        plot.text(x, y, "·", Ink::Axis, room);
        return;
    };
    let level = level(value, low, high);
    let ink = Ink::Shade(level);
    let shade = room - across.figure;
    plot.text(
        x,
        y,
        &SHADES[usize::from(level) - 1].repeat(usize::from(shade)),
        ink,
        shade,
    );
    if across.figure > 0 {
        plot.right(x + room, y, &short(value), Ink::Value);
    }
}

/// From 1, little, to 4, much.
pub(in crate::chart) fn level(value: f64, low: f64, high: f64) -> u8 {
    if high <= low {
        return 2;
    }
    (super::place(value, low, high, 4.0).floor() as u8 + 1).min(4)
}

fn legend(plot: &mut Plot, low: f64, high: f64) {
    let y = plot.height - 1;
    let mut x = 0;
    let levels = if high <= low { 2..=2 } else { 1..=4u8 };
    for level in levels {
        let bound = |at: u8| low + (high - low) / 4.0 * f64::from(at);
        let said = if high <= low {
            short(low)
        } else {
            format!("≥ {}", short(bound(level - 1)))
        };
        let shade = SHADES[usize::from(level) - 1].repeat(2);
        if x + 3 + width(&said) > plot.width {
            return;
        }
        x += plot.text(x, y, &shade, Ink::Shade(level), 2) + 1;
        x += plot.text(x, y, &said, Ink::Axis, plot.width) + 2;
    }
}

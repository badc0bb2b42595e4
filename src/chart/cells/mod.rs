//! A chart in cells of a terminal, as pieces of text that somebody else colours: the studio, and the command line without colour.
//!
//! Nothing is told by colour alone: series differ by their marks, heat by shade and figure, and numbers stand at bars.

mod bars;
mod heat;
mod lines;

use jiff::tz::TimeZone;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::{Chart, Data, Kind};

pub(super) use heat::level;

/// What a piece of a chart is, for whoever colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ink {
    /// An axis and what stands at it.
    Axis,
    /// What a part is called.
    Label,
    /// A number.
    Value,
    /// Part of the series of this number, from 0.
    Series(u8),
    /// A cell of a heat map: from 1, little, to 4, much.
    Shade(u8),
    /// More than there should be.
    Over,
}

/// Text at a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its column.
    pub x: u16,
    /// Its row.
    pub y: u16,
    /// The text; it fits into the plot.
    pub text: String,
    /// What it is.
    pub ink: Ink,
}

/// A chart drawn into so many columns and rows. Later pieces lie over earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    width: u16,
    height: u16,
    pieces: Vec<Piece>,
}

/// The fewest columns and rows that anything is drawn into.
const SMALLEST: (u16, u16) = (12, 3);

impl Plot {
    /// Draws a chart; times are those of `zone`. Empty where there is no room.
    pub fn of(chart: &Chart, width: u16, height: u16, zone: &TimeZone) -> Self {
        let mut plot = Self {
            width,
            height,
            pieces: Vec::new(),
        };
        if width < SMALLEST.0 || height < SMALLEST.1 {
            return plot;
        }
        match &chart.data {
            Data::Gauges(dials) => bars::gauges(&mut plot, dials, &chart.unit),
            Data::Bars(all) => bars::bars(&mut plot, all, chart.kind == Kind::Top),
            Data::Bins(bins) => bars::histogram(&mut plot, bins),
            Data::Lines { series, time } => lines::draw(&mut plot, series, time.then_some(zone)),
            Data::Heat(shape) => heat::draw(&mut plot, shape),
        }
        plot
    }

    /// The pieces, in the order in which they are drawn.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The rows as text, without blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        let blank = vec![" ".to_owned(); usize::from(self.width)];
        let mut grid = vec![blank; usize::from(self.height)];
        for piece in &self.pieces {
            let row = &mut grid[usize::from(piece.y)];
            let mut x = usize::from(piece.x);
            for grapheme in piece.text.graphemes(true) {
                let wide = grapheme.width();
                if wide == 0 || x + wide > row.len() {
                    continue;
                }
                // What a wide character covers is empty, and what it is covered by half is blank.
                if row[x].is_empty() {
                    row[x - 1] = " ".to_owned();
                }
                if let Some(after) = row.get_mut(x + wide).filter(|after| after.is_empty()) {
                    *after = " ".to_owned();
                }
                row[x] = grapheme.to_owned();
                row[x + 1..x + wide].iter_mut().for_each(String::clear);
                x += wide;
            }
        }
        grid.iter().map(|row| row.concat().trim_end().to_owned()).collect()
    }

    /// Puts text at a cell, cut with `…` where it is wider than `most` or than the plot. Returns the columns that it took.
    fn text(&mut self, x: u16, y: u16, text: &str, ink: Ink, most: u16) -> u16 {
        let room = most.min(self.width.saturating_sub(x));
        if room == 0 || y >= self.height || text.is_empty() {
            return 0;
        }
        let text = fit(text, room);
        let taken = width(&text);
        self.pieces.push(Piece { x, y, text, ink });
        taken
    }

    /// Puts text that ends before column `end`.
    fn right(&mut self, end: u16, y: u16, text: &str, ink: Ink) {
        let wide = width(text).min(end);
        self.text(end - wide, y, text, ink, wide);
    }
}

/// The columns that text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Text that takes at most so many columns, cut with `…`.
fn fit(text: &str, most: u16) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut taken = 1;
    for grapheme in text.graphemes(true) {
        taken += width(grapheme);
        if taken > most {
            break;
        }
        out.push_str(grapheme);
    }
    out + "…"
}

/// Where a value lies on so many cells.
fn place(value: f64, low: f64, high: f64, cells: f64) -> f64 {
    // Halved first: the span of two huge numbers is more than a number holds.
    let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    if share.is_finite() {
        share.clamp(0.0, 1.0) * cells
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests;

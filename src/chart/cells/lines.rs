//! Lines in cells: braille dots, each series with a mark of its own.

use jiff::tz::TimeZone;

use super::super::Series;
use super::super::scale::{around, exact, full, short, times, within};
use super::bars::axis;
use super::{Ink, Plot, fit, place, width};

/// What tells series apart where there is no colour.
const MARKS: [&str; 8] = ["●", "▲", "■", "◆", "○", "△", "□", "◇"];
/// A series is marked at most once in so many columns.
const APART: u16 = 8;
/// Dots of a cell: across and down, with the bit of each in a braille character.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// What the points of all series span.
struct Span {
    x: (f64, f64),
    y: (f64, f64),
}

impl Span {
    fn of(series: &[Series]) -> Option<Self> {
        let mut points = series.iter().flat_map(|line| &line.points);
        let first = points.next()?;
        let mut span = Self {
            x: (first.0, first.0),
            y: (first.1, first.1),
        };
        for (x, y) in points {
            span.x = (span.x.0.min(*x), span.x.1.max(*x));
            span.y = (span.y.0.min(*y), span.y.1.max(*y));
        }
        // From zero where that is near: a line's height then says something.
        if span.y.0 > 0.0 && span.y.0 <= span.y.1 - span.y.0 {
            span.y.0 = 0.0;
        }
        Some(span)
    }
}

/// Where the lines are drawn, in cells.
#[derive(Clone, Copy)]
struct Field {
    left: u16,
    top: u16,
    width: u16,
    rows: u16,
}

pub(super) fn draw(plot: &mut Plot, series: &[Series], zone: Option<&TimeZone>) {
    let Some(mut span) = Span::of(series) else { return };
    if plot.height < 6 {
        legend(plot, series, plot.width, 1);
        return;
    }
    let days = zone.map_or_else(String::new, |zone| days(span.x, zone));
    let gap = if days.is_empty() { 0 } else { width(&days) + 2 };
    plot.right(plot.width, 0, &days, Ink::Axis);
    // A legend of more rows leaves the plot twice as many.
    let most = (plot.height / 5).max(1);
    let top = legend(plot, series, plot.width.saturating_sub(gap), most);
    let rows = plot.height - 2 - top;
    let marks = around(span.y.0, span.y.1, usize::from(rows / 3).clamp(2, 8));
    if let (Some(first), Some(last)) = (marks.first(), marks.last()) {
        span.y = (span.y.0.min(*first), span.y.1.max(*last));
    }
    let left = axis(plot, top, rows, span.y.0, span.y.1, &marks);
    let field = Field {
        left,
        top,
        width: plot.width - left,
        rows,
    };
    plot.text(
        left,
        top + rows,
        &"─".repeat(usize::from(field.width)),
        Ink::Axis,
        field.width,
    );
    foot(plot, field, span.x, zone);
    for (at, line) in series.iter().enumerate() {
        let ink = Ink::Series(at as u8);
        trace(plot, field, &span, line, ink);
    }
    for (at, line) in series.iter().enumerate() {
        mark(plot, field, &span, line, at);
    }
}

/// The day, or the days, that the times are of.
fn days(x: (f64, f64), zone: &TimeZone) -> String {
    let day = |at: f64| full(at, zone).split(' ').next().unwrap_or_default().to_owned();
    let (first, last) = (day(x.0), day(x.1));
    if first == last {
        first
    } else {
        format!("{first} – {last}")
    }
}

/// How a legend may be written: the most columns of a name, and whether the last value stands behind it.
fn ways_of_legend() -> impl Iterator<Item = (u16, bool)> {
    const SHORTEST: u16 = 3;
    const LONGEST: u16 = 30;
    let short = (SHORTEST..LONGEST).rev().map(|most| (most, false));
    [(u16::MAX, true), (u16::MAX, false)].into_iter().chain(short)
}

/// Each series with its mark, its name and its last value, over as many rows as there are; where that is too much the names alone,
/// and in the end shortened ones. The first row has `first` columns. Returns how many rows it took.
fn legend(plot: &mut Plot, series: &[Series], first: u16, rows: u16) -> u16 {
    let last = |line: &Series| line.points.last().map_or_else(String::new, |(_, y)| exact(*y));
    let entry = |line: &Series, (most, valued): (u16, bool)| {
        let value = if valued || line.name.is_empty() {
            last(line)
        } else {
            String::new()
        };
        (fit(&line.name, most), value)
    };
    let laid = |way: (u16, bool)| {
        let mut places = Vec::with_capacity(series.len());
        let (mut x, mut y) = (0, 0);
        for line in series {
            let (name, value) = entry(line, way);
            let gap = u16::from(!name.is_empty() && !value.is_empty());
            let wide = 2 + width(&name) + gap + width(&value);
            let room = if y == 0 { first } else { plot.width };
            if x > 0 && x + wide > room {
                (x, y) = (0, y + 1);
            }
            places.push((x, y));
            let room = if y == 0 { first } else { plot.width };
            if x + wide > room || y >= rows {
                return (places, false);
            }
            x += wide + 2;
        }
        (places, true)
    };
    let way = ways_of_legend().find(|way| laid(*way).1);
    let (places, _) = laid(way.unwrap_or((3, false)));
    let mut used = 1;
    for (at, (line, (x, y))) in series.iter().zip(places).enumerate() {
        if way.is_none() && y >= rows {
            plot.right(plot.width, rows - 1, "…", Ink::Axis);
            break;
        }
        used = y + 1;
        let (name, value) = entry(line, way.unwrap_or((3, false)));
        let mut x = x + plot.text(x, y, MARKS[at % MARKS.len()], Ink::Series(at as u8), 1) + 1;
        if !name.is_empty() {
            x += plot.text(x, y, &name, Ink::Label, u16::MAX) + 1;
        }
        plot.text(x, y, &value, Ink::Value, u16::MAX);
    }
    used
}

/// What stands below the axis.
fn foot(plot: &mut Plot, field: Field, x: (f64, f64), zone: Option<&TimeZone>) {
    let most = usize::from(field.width / 8).max(1);
    let marks = match zone {
        Some(zone) => times(x.0, x.1, most, zone),
        None => within(x.0, x.1, most).into_iter().map(|at| (at, short(at))).collect(),
    };
    let y = field.top + field.rows;
    let mut free = field.left;
    for (at, said) in marks {
        let column = field.left + place(at, x.0, x.1, f64::from(field.width - 1)).round() as u16;
        let begin = column.saturating_sub(width(&said) / 2).max(field.left);
        let begin = begin.min(plot.width.saturating_sub(width(&said)));
        if begin >= free {
            plot.text(column, y, "┬", Ink::Axis, 1);
            free = begin + plot.text(begin, y + 1, &said, Ink::Axis, plot.width) + 2;
        }
    }
}

/// Dots from point to point.
fn trace(plot: &mut Plot, field: Field, span: &Span, line: &Series, ink: Ink) {
    let (across, down) = (usize::from(field.width), usize::from(field.rows));
    let mut cells = vec![0u8; across * down];
    let mut dot = |x: i64, y: i64| {
        let (x, y) = (
            x.clamp(0, across as i64 * 2 - 1) as usize,
            y.clamp(0, down as i64 * 4 - 1) as usize,
        );
        cells[y / 4 * across + x / 2] |= DOTS[x % 2][y % 4];
    };
    let at = |point: &(f64, f64)| {
        let x = place(point.0, span.x.0, span.x.1, across as f64 * 2.0 - 1.0);
        let y = place(point.1, span.y.0, span.y.1, down as f64 * 4.0 - 1.0);
        (x.round() as i64, down as i64 * 4 - 1 - y.round() as i64)
    };
    if let Some(first) = line.points.first() {
        let first = at(first);
        dot(first.0, first.1);
    }
    for two in line.points.windows(2) {
        let (from, to) = (at(&two[0]), at(&two[1]));
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        for step in 0..=steps {
            let along = |from: i64, to: i64| from + ((to - from) * step + (to - from).signum() * steps / 2) / steps;
            dot(along(from.0, to.0), along(from.1, to.1));
        }
    }
    for (row, cells) in cells.chunks(across).enumerate() {
        for (column, bits) in cells.iter().enumerate().filter(|(_, bits)| **bits != 0) {
            let text = char::from_u32(0x2800 + u32::from(*bits)).unwrap_or('·').to_string();
            plot.text(field.left + column as u16, field.top + row as u16, &text, ink, 1);
        }
    }
}

/// Marks at points of a series that are far enough apart; at every point where they are few.
fn mark(plot: &mut Plot, field: Field, span: &Span, line: &Series, at: usize) {
    let mut free = field.left + (at as u16 * 3) % APART;
    let few = line.points.len() <= usize::from(field.width / 4);
    for (x, y) in &line.points {
        let column = field.left + place(*x, span.x.0, span.x.1, f64::from(field.width - 1)).round() as u16;
        if column >= free || few {
            let up = place(*y, span.y.0, span.y.1, f64::from(field.rows) - 1.0).round() as u16;
            let text = MARKS[at % MARKS.len()];
            plot.text(column, field.top + field.rows - 1 - up, text, Ink::Series(at as u8), 1);
            free = column + APART;
        }
    }
}

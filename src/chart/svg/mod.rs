//! A chart as SVG, to stand in a page that has [`STYLE`]. Colours come from the page's, so that it is light and dark; series differ
//! by dashes and marks as well.

mod lines;

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::cells::level;
use super::scale::{around, exact, short};
use super::{Bar, Bin, Chart, Data, Dial, Kind, Shape};

/// What the drawing needs of its page: colours of eight series, of four shades, of text and axes.
pub const STYLE: &str = "\
svg.chart{width:100%;height:auto;font:12px system-ui,sans-serif}
svg.chart text{fill:var(--text)}svg.chart .ax{fill:var(--soft)}svg.chart .fig{font-variant-numeric:tabular-nums}
svg.chart .rule{stroke:var(--line);stroke-width:1;fill:none}svg.chart .room{fill:var(--line)}
svg.chart .ln{fill:none;stroke-width:1.8;stroke-linejoin:round}
.s0{--c:#2f6fde}.s1{--c:#c2418b}.s2{--c:#0f8a8a}.s3{--c:#4b8f29}.s4{--c:#b0760c}.s5{--c:#c0392b}.s6{--c:#7a52c7}.s7{--c:#667}
svg.chart .f{fill:var(--c)}svg.chart .l{stroke:var(--c)}
.h1{fill-opacity:.12}.h2{fill-opacity:.32}.h3{fill-opacity:.56}.h4{fill-opacity:.85}
.over{--c:#c0392b}
";

/// Columns of the drawing.
const WIDTH: f64 = 640.0;
/// Rows of one with axes.
const HEIGHT: f64 = 260.0;
/// From one bar to the next.
const ROW: f64 = 22.0;
/// The most bars, and rows of a heat map, that are drawn.
const MOST: usize = 60;
/// About how wide a column of text is.
const LETTER: f64 = 7.2;

/// Draws it. Text of records is escaped.
pub fn svg(chart: &Chart, zone: &TimeZone) -> String {
    match &chart.data {
        Data::Gauges(dials) => gauges(dials, &chart.unit),
        Data::Bars(all) => bars(all, chart.kind == Kind::Top),
        Data::Bins(bins) => histogram(bins),
        Data::Lines { series, time } => lines::draw(series, time.then_some(zone)),
        Data::Heat(shape) => heat(shape),
    }
}

/// Text as it may stand in HTML, SVG and their attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A drawing under way.
pub struct Drawing {
    body: String,
}

impl Drawing {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { body: String::new() }
    }

    /// An element without content; `more` is written as it is.
    pub fn shape(&mut self, more: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = write!(self.body, "<{more}/>");
    }

    /// Text at a point: `start`, `middle` or `end` stands there.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>",
            escape(text)
        );
    }

    /// The whole, of a width and a height.
    pub fn done(self, class: &str, width: f64, height: f64) -> String {
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">{}</svg>",
            self.body
        )
    }
}

impl Default for Drawing {
    fn default() -> Self {
        Self::new()
    }
}

/// About how wide text is drawn.
fn wide(text: &str) -> f64 {
    text.width() as f64 * LETTER
}

/// Text cut to about so much room.
fn cut(text: &str, room: f64) -> String {
    if wide(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if wide(&out) + 3.0 * LETTER > room {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Where a value lies within so much room.
fn place(value: f64, low: f64, high: f64, room: f64) -> f64 {
    let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    if share.is_finite() {
        share.clamp(0.0, 1.0) * room
    } else {
        0.0
    }
}

fn gauges(dials: &[Dial], unit: &str) -> String {
    let mut drawing = Drawing::new();
    let each = 46.0;
    for (at, dial) in dials.iter().take(MOST).enumerate() {
        let y = at as f64 * each;
        let mut said = exact(dial.value);
        if let Some(max) = dial.max {
            said = format!("{said} / {}", exact(max));
        }
        if !unit.is_empty() {
            said = format!("{said} {unit}");
        }
        // Percent of percents would say nothing.
        if let Some(max) = dial.max.filter(|_| unit != "%") {
            let percent = (dial.value / max * 100.0).clamp(-9_999.0, 9_999.0);
            said = format!("{said} · {percent:.0} %");
        }
        drawing.text((0.0, y + 14.0), "start", "", &cut(&dial.label, WIDTH / 2.0));
        drawing.text((WIDTH, y + 14.0), "end", "fig", &said);
        if let Some(max) = dial.max {
            let class = if dial.value > max { "over" } else { "s0" };
            let full = place(dial.value, 0.0, max, WIDTH);
            drawing.shape(format_args!(
                "rect class=\"room\" x=\"0\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"14\" rx=\"3\"",
                y + 20.0
            ));
            drawing.shape(format_args!(
                "rect class=\"f {class}\" x=\"0\" y=\"{:.1}\" width=\"{full:.1}\" height=\"14\" rx=\"3\"",
                y + 20.0
            ));
        }
    }
    drawing.done("chart", WIDTH, dials.len().clamp(1, MOST) as f64 * each)
}

fn bars(all: &[Bar], ranked: bool) -> String {
    let mut drawing = Drawing::new();
    let shown = &all[..all.len().min(MOST)];
    let longest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
    let labels = longest(&mut shown.iter().map(|bar| wide(&bar.label))).min(WIDTH / 3.0);
    let values = longest(&mut shown.iter().map(|bar| wide(&exact(bar.value))));
    let rank = if ranked { 26.0 } else { 0.0 };
    let left = rank + labels + 8.0;
    let room = (WIDTH - left - values - 8.0).max(40.0);
    let low = all.iter().fold(0.0, |low: f64, bar| low.min(bar.value));
    let high = all.iter().fold(0.0, |high: f64, bar| high.max(bar.value));
    let zero = place(0.0, low, high, room);
    for (at, bar) in shown.iter().enumerate() {
        let y = at as f64 * ROW;
        if ranked {
            drawing.text((rank - 8.0, y + 15.0), "end", "ax fig", &(at + 1).to_string());
        }
        drawing.text((rank, y + 15.0), "start", "", &cut(&bar.label, labels));
        let end = place(bar.value, low, high, room);
        let class = if bar.value < 0.0 { "over" } else { "s0" };
        let (from, to) = (zero.min(end), zero.max(end));
        drawing.shape(format_args!(
            "rect class=\"f {class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"",
            left + from,
            y + 4.0,
            to - from
        ));
        drawing.text((left + to + 6.0, y + 15.0), "start", "fig", &exact(bar.value));
    }
    let mut rows = shown.len();
    if shown.len() < all.len() {
        drawing.text(
            (rank, rows as f64 * ROW + 15.0),
            "start",
            "ax",
            &format!("… +{}", all.len() - shown.len()),
        );
        rows += 1;
    }
    drawing.done("chart", WIDTH, rows.max(1) as f64 * ROW + 4.0)
}

/// Draws an axis with rules across, and returns where the field begins.
fn axis(drawing: &mut Drawing, (low, high): (f64, f64), marks: &[f64], foot: f64) -> f64 {
    let said: Vec<String> = marks.iter().map(|mark| short(*mark)).collect();
    let left = said.iter().map(|text| wide(text)).fold(0.0, f64::max) + 8.0;
    for (mark, said) in marks.iter().zip(&said) {
        let y = HEIGHT - foot - place(*mark, low, high, HEIGHT - foot - 10.0);
        drawing.shape(format_args!("path class=\"rule\" d=\"M{left:.1} {y:.1}H{WIDTH}\""));
        drawing.text((left - 6.0, y + 4.0), "end", "ax fig", said);
    }
    left
}

fn histogram(bins: &[Bin]) -> String {
    const FOOT: f64 = 24.0;
    let mut drawing = Drawing::new();
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0) as f64;
    let marks: Vec<f64> = around(0.0, most.max(1.0), 5)
        .into_iter()
        .filter(|mark| mark.fract() == 0.0)
        .collect();
    let high = marks.last().copied().unwrap_or(1.0).max(most);
    let left = axis(&mut drawing, (0.0, high), &marks, FOOT);
    let each = (WIDTH - left - 20.0) / bins.len().max(1) as f64;
    let mut free = 0.0;
    for (at, bin) in bins.iter().enumerate() {
        let x = left + at as f64 * each;
        let tall = place(bin.count as f64, 0.0, high, HEIGHT - FOOT - 10.0);
        drawing.shape(format_args!(
            "rect class=\"f s0\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"",
            x + 1.0,
            HEIGHT - FOOT - tall,
            (each - 2.0).max(0.5)
        ));
        let said = exact(bin.count as f64);
        if bin.count > 0 && wide(&said) <= each {
            drawing.text((x + each / 2.0, HEIGHT - FOOT - tall - 3.0), "middle", "fig", &said);
        }
        let bound = short(bin.from);
        if x >= free {
            drawing.text((x, HEIGHT - 8.0), "middle", "ax fig", &bound);
            free = x + wide(&bound) + 10.0;
        }
    }
    if let Some(last) = bins.last() {
        let x = left + bins.len() as f64 * each;
        if x >= free {
            drawing.text((x, HEIGHT - 8.0), "middle", "ax fig", &short(last.to));
        }
    }
    drawing.done("chart", WIDTH, HEIGHT)
}

fn heat(shape: &Shape) -> String {
    let mut drawing = Drawing::new();
    let values = || shape.cells.iter().flatten().flatten().copied();
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let (rows, columns) = (shape.rows.len().min(MOST), shape.columns.len().min(MOST));
    let left = shape
        .rows
        .iter()
        .map(|name| wide(name))
        .fold(0.0, f64::max)
        .min(WIDTH / 4.0)
        + 8.0;
    let each = ((WIDTH - left) / columns.max(1) as f64).min(90.0);
    let mut free = 0.0;
    for (at, name) in shape.columns.iter().take(columns).enumerate() {
        let x = left + at as f64 * each;
        if x >= free {
            let said = cut(name, each.max(40.0));
            drawing.text((x + 2.0, 14.0), "start", "ax", &said);
            free = x + wide(&said) + 4.0;
        }
    }
    for (at, name) in shape.rows.iter().take(rows).enumerate() {
        let y = 20.0 + at as f64 * ROW;
        drawing.text((0.0, y + 15.0), "start", "", &cut(name, left - 8.0));
        for (column, value) in shape.cells[at].iter().take(columns).enumerate() {
            let Some(value) = value else { continue };
            let x = left + column as f64 * each;
            drawing.shape(format_args!(
                "rect class=\"f s0 h{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"",
                level(*value, low, high),
                x + 0.5,
                y + 0.5,
                (each - 1.0).max(0.5),
                ROW - 1.0
            ));
            let said = short(*value);
            if wide(&said) <= each {
                drawing.text((x + each / 2.0, y + 15.0), "middle", "fig", &said);
            }
        }
    }
    drawing.done("chart", WIDTH, rows.max(1) as f64 * ROW + 24.0)
}

#[cfg(test)]
mod tests;

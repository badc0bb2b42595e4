//! Gauges, bars and histograms in cells.

use super::super::scale::{around, exact, short};
use super::super::{Bar, Bin, Dial};
use super::{Ink, Plot, place, width};

/// Parts of a cell, from the left.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Parts of a cell, from below.
const RISING: [&str; 8] = ["", "▁", "▂", "▃", "▄", "▅", "▆", "▇"];

/// A bar of so many cells.
fn bar(cells: f64) -> String {
    let eighths = (cells.max(0.0) * 8.0).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

pub(super) fn gauges(plot: &mut Plot, dials: &[Dial], unit: &str) {
    let airy = dials.len() * 3 <= usize::from(plot.height) + 1;
    let each = if airy { 3 } else { 2 };
    let shown = shown(dials.len(), usize::from(plot.height), each);
    for (at, dial) in dials.iter().take(shown).enumerate() {
        let y = (at * each) as u16;
        let mut said = exact(dial.value);
        if let Some(max) = dial.max {
            said = format!("{said} / {}", exact(max));
        }
        if !unit.is_empty() {
            said = format!("{said} {unit}");
        }
        let over = dial.max.is_some_and(|max| dial.value > max);
        let ink = if over { Ink::Over } else { Ink::Value };
        if dial.label.is_empty() {
            plot.text(0, y, &said, ink, plot.width);
        } else {
            let room = plot.width.saturating_sub(width(&said) + 2).max(plot.width / 3);
            plot.text(0, y, &dial.label, Ink::Label, room);
            plot.right(plot.width, y, &said, ink);
        }
        if let Some(max) = dial.max {
            let percent = format!("{:.0} %", (dial.value / max * 100.0).clamp(-9_999.0, 9_999.0));
            let cells = plot.width.saturating_sub(8);
            let full = bar(place(dial.value, 0.0, max, f64::from(cells)));
            plot.text(0, y + 1, &"░".repeat(usize::from(cells)), Ink::Axis, cells);
            plot.text(0, y + 1, &full, if over { Ink::Over } else { Ink::Series(0) }, cells);
            plot.right(plot.width, y + 1, &percent, ink);
        }
    }
    more(plot, dials.len() - shown);
}

/// How many parts of `each` rows are shown: all where they fit, else one row is left for saying how many are not.
fn shown(parts: usize, height: usize, each: usize) -> usize {
    // Behind the last one no row needs to be free.
    let needed = parts * each - each.saturating_sub(2).min(parts * each);
    if needed <= height {
        parts
    } else {
        height.saturating_sub(1) / each
    }
}

/// Says in the last row how many are not shown.
fn more(plot: &mut Plot, count: usize) {
    if count > 0 {
        let said = format!("… +{}", exact(count as f64));
        plot.text(0, plot.height - 1, &said, Ink::Axis, plot.width);
    }
}

pub(super) fn bars(plot: &mut Plot, bars: &[Bar], ranked: bool) {
    let height = usize::from(plot.height);
    let shown = if bars.len() <= height { bars.len() } else { height - 1 };
    let each = if shown * 2 <= height + 1 { 2 } else { 1 };
    let all = &bars[..shown];
    let widest = |texts: &mut dyn Iterator<Item = u16>| texts.max().unwrap_or(0);
    let rank = if ranked { width(&shown.to_string()) + 1 } else { 0 };
    let labels = widest(&mut all.iter().map(|bar| width(&bar.label))).min(plot.width / 3);
    let values = widest(&mut all.iter().map(|bar| width(&exact(bar.value))));
    let from = rank + labels + 1;
    let cells = plot.width.saturating_sub(from + values + 1);
    // What is hidden is measured, too: a bar is as long beside its neighbours whatever the height.
    let low = bars.iter().fold(0.0, |low: f64, bar| low.min(bar.value));
    let high = bars.iter().fold(0.0, |high: f64, bar| high.max(bar.value));
    let zero = place(0.0, low, high, f64::from(cells)).round() as u16;
    for (at, each_bar) in all.iter().enumerate() {
        let y = (at * each) as u16;
        if ranked {
            plot.right(rank - 1, y, &(at + 1).to_string(), Ink::Axis);
        }
        plot.text(rank, y, &each_bar.label, Ink::Label, labels);
        let end = if each_bar.value >= 0.0 {
            let length = place(each_bar.value, low, high, f64::from(cells)) - f64::from(zero);
            let text = bar(length);
            from + zero + plot.text(from + zero, y, &text, Ink::Series(0), cells - zero)
        } else {
            let begin = place(each_bar.value, low, high, f64::from(cells)).round() as u16;
            plot.text(
                from + begin,
                y,
                &"█".repeat(usize::from(zero - begin.min(zero))),
                Ink::Over,
                cells,
            );
            from + zero
        };
        let value = exact(each_bar.value);
        let at = if end == from { end } else { end + 1 };
        plot.text(at, y, &value, Ink::Value, plot.width - at);
    }
    more(plot, bars.len() - shown);
}

pub(super) fn histogram(plot: &mut Plot, bins: &[Bin]) {
    if plot.height < 4 {
        return;
    }
    let rows = plot.height - 2;
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0) as f64;
    let marks = around(0.0, most.max(1.0), usize::from(rows / 3).clamp(2, 8));
    let marks: Vec<f64> = marks.into_iter().filter(|mark| mark.fract() == 0.0).collect();
    let high = marks.last().copied().unwrap_or(1.0).max(most);
    let left = axis(plot, 0, rows, 0.0, high, &marks);
    let room = plot.width - left;
    let bins = merged(bins, usize::from(room));
    let each = (room / bins.len().max(1) as u16).clamp(1, 14);
    let bar = if each >= 3 { each - 1 } else { each };
    plot.text(left, rows, &"─".repeat(usize::from(each) * bins.len()), Ink::Axis, room);
    for (at, bin) in bins.iter().enumerate() {
        let x = left + at as u16 * each;
        let eighths = (place(bin.count as f64, 0.0, high, f64::from(rows)) * 8.0).ceil() as usize;
        let full = (eighths / 8) as u16;
        for up in 0..full {
            plot.text(x, rows - 1 - up, &"█".repeat(usize::from(bar)), Ink::Series(0), bar);
        }
        if !eighths.is_multiple_of(8) {
            plot.text(
                x,
                rows - 1 - full,
                &RISING[eighths % 8].repeat(usize::from(bar)),
                Ink::Series(0),
                bar,
            );
        }
        let said = exact(bin.count as f64);
        let top = full + u16::from(!eighths.is_multiple_of(8));
        if width(&said) <= bar && bin.count > 0 && top < rows {
            plot.text(x, rows - 1 - top, &said, Ink::Value, bar);
        }
    }
    // Bounds where they have room, the last one included.
    let mut free = left;
    let last = bins.last().map(|bin| bin.to);
    for (at, bound) in bins.iter().map(|bin| bin.from).chain(last).enumerate() {
        let (x, said) = (left + at as u16 * each, short(bound));
        if x >= free && x + width(&said) <= plot.width {
            free = x + plot.text(x, rows + 1, &said, Ink::Axis, plot.width) + 2;
        }
    }
}

/// Bins in twos until they have room.
fn merged(bins: &[Bin], room: usize) -> Vec<Bin> {
    let mut bins = bins.to_vec();
    while bins.len() > room.max(1) {
        let pair = |two: &[Bin]| Bin {
            from: two[0].from,
            to: two[two.len() - 1].to,
            count: two.iter().map(|bin| bin.count).sum(),
        };
        bins = bins.chunks(2).map(pair).collect();
    }
    bins
}

/// An axis of `rows` rows from row `top` on with its marks; returns the column behind it.
pub(super) fn axis(plot: &mut Plot, top: u16, rows: u16, low: f64, high: f64, marks: &[f64]) -> u16 {
    let said: Vec<String> = marks.iter().map(|mark| short(*mark)).collect();
    let wide = said
        .iter()
        .map(|text| width(text))
        .max()
        .unwrap_or(0)
        .min(plot.width / 3);
    for y in 0..rows {
        plot.text(wide + 1, top + y, "│", Ink::Axis, 1);
    }
    for (mark, text) in marks.iter().zip(&said) {
        let up = place(*mark, low, high, f64::from(rows)).round() as u16;
        let y = rows.saturating_sub(up.max(1));
        plot.right(wide, top + y, text, Ink::Axis);
        plot.text(wide + 1, top + y, "┤", Ink::Axis, 1);
    }
    plot.text(wide + 1, top + rows, "└", Ink::Axis, 1);
    wide + 2
}

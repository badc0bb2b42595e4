//! Lines as SVG.

use jiff::tz::TimeZone;

use super::super::Series;
use super::super::scale::{around, exact, full, short, times, within};
use super::{Drawing, HEIGHT, WIDTH, axis, cut, place, wide};

/// What tells series apart in print: dashes.
const DASHES: [&str; 8] = ["", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2", "1 4", "10 2 2 2 2 2"];
/// Marks are drawn where there are so few points.
const MARKED: usize = 60;
const FOOT: f64 = 24.0;
/// A drawing that says more is not seen to.
const POINTS: usize = 2_000;

pub(super) fn draw(series: &[Series], zone: Option<&TimeZone>) -> String {
    let mut drawing = Drawing::new();
    let points = || series.iter().flat_map(|line| &line.points);
    let fold = |of: fn(&(f64, f64)) -> f64| {
        points()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
    };
    let (x, mut y) = (fold(|point| point.0), fold(|point| point.1));
    if !x.0.is_finite() || !y.0.is_finite() {
        return drawing.done("chart", WIDTH, 1.0);
    }
    if y.0 > 0.0 && y.0 <= y.1 - y.0 {
        y.0 = 0.0;
    }
    let marks = around(y.0, y.1, 6);
    if let (Some(first), Some(last)) = (marks.first(), marks.last()) {
        y = (y.0.min(*first), y.1.max(*last));
    }
    let left = axis(&mut drawing, y, &marks, FOOT);
    foot(&mut drawing, left, x, zone);
    let at = |point: &(f64, f64)| {
        let across = left + place(point.0, x.0, x.1, WIDTH - left - 6.0);
        (across, HEIGHT - FOOT - place(point.1, y.0, y.1, HEIGHT - FOOT - 10.0))
    };
    for (number, line) in series.iter().enumerate() {
        let every = line.points.len().div_ceil(POINTS).max(1);
        let mut path = String::new();
        for point in line.points.iter().step_by(every).chain(line.points.last()) {
            let (across, down) = at(point);
            path.push_str(&format!(
                "{}{across:.1} {down:.1}",
                if path.is_empty() { "M" } else { "L" }
            ));
        }
        let dash = DASHES[number % DASHES.len()];
        drawing.shape(format_args!(
            "path class=\"ln l s{}\" stroke-dasharray=\"{dash}\" d=\"{path}\"",
            number % 8
        ));
        if line.points.len() <= MARKED {
            for point in &line.points {
                let (across, down) = at(point);
                drawing.shape(format_args!(
                    "circle class=\"f s{}\" cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"2.6\"",
                    number % 8
                ));
            }
        }
    }
    let bottom = legend(&mut drawing, series, zone.map(|zone| days(x, zone)));
    drawing.done("chart", WIDTH, bottom)
}

fn foot(drawing: &mut Drawing, left: f64, x: (f64, f64), zone: Option<&TimeZone>) {
    let marks = match zone {
        Some(zone) => times(x.0, x.1, 7, zone),
        None => within(x.0, x.1, 8).into_iter().map(|at| (at, short(at))).collect(),
    };
    for (mark, said) in marks {
        let across = left + place(mark, x.0, x.1, WIDTH - left - 6.0);
        let across = across.min(WIDTH - wide(&said) / 2.0);
        drawing.text((across, HEIGHT - 8.0), "middle", "ax fig", &said);
    }
}

/// Each series with its dashes, its name and its last value; then the days that the times are of.
fn legend(drawing: &mut Drawing, series: &[Series], days: Option<String>) -> f64 {
    let (mut x, mut y) = (0.0, HEIGHT + 12.0);
    for (number, line) in series.iter().enumerate() {
        let last = line.points.last().map_or_else(String::new, |(_, y)| exact(*y));
        let said = format!("{} {last}", cut(&line.name, WIDTH / 3.0));
        if x > 0.0 && x + 34.0 + wide(&said) > WIDTH {
            (x, y) = (0.0, y + 18.0);
        }
        let dash = DASHES[number % DASHES.len()];
        let class = number % 8;
        drawing.shape(format_args!(
            "path class=\"ln l s{class}\" stroke-dasharray=\"{dash}\" d=\"M{x:.1} {:.1}h24\"",
            y - 4.0
        ));
        drawing.text((x + 30.0, y), "start", "", said.trim());
        x += 30.0 + wide(&said) + 16.0;
    }
    if let Some(days) = days {
        if x + wide(&days) > WIDTH {
            y += 18.0;
        }
        drawing.text((WIDTH, y), "end", "ax", &days);
    }
    y + 8.0
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

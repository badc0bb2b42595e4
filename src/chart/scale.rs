//! Round numbers along an axis, and how numbers and times are written there.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

const SECOND: f64 = 1_000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// The distances between marks of a time axis, in milliseconds.
const TIME_STEPS: [f64; 27] = [
    1.0,
    10.0,
    100.0,
    SECOND,
    2.0 * SECOND,
    5.0 * SECOND,
    10.0 * SECOND,
    15.0 * SECOND,
    30.0 * SECOND,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    30.0 * DAY,
    90.0 * DAY,
    365.0 * DAY,
];

/// The most marks of an axis, whatever is asked.
const MOST: usize = 100;

/// The round distance (1, 2 or 5 times a power of ten) at which at most about `most` marks lie between two numbers.
pub fn step(low: f64, high: f64, most: usize) -> f64 {
    // Divided first: the span of two huge numbers is more than a number holds.
    let most = most.max(1) as f64;
    let raw = high / most - low / most;
    if !raw.is_normal() {
        return 1.0;
    }
    let power = 10f64.powf(raw.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|times| raw <= times * power * 1.000_001);
    times.unwrap_or(10.0) * power
}

/// Round numbers from `low` or less to `high` or more, at most about `most` of them.
pub fn around(low: f64, high: f64, most: usize) -> Vec<f64> {
    let step = step(low, high, most.saturating_sub(1));
    let first = (low / step).floor();
    let last = (high / step).ceil().max(first + 1.0);
    marks(first, last, step)
}

/// Round numbers within `low..=high`, at most about `most`.
pub fn within(low: f64, high: f64, most: usize) -> Vec<f64> {
    let step = step(low, high, most);
    marks((low / step).ceil(), (high / step).floor(), step)
}

fn marks(first: f64, last: f64, step: f64) -> Vec<f64> {
    let count = ((last - first).max(0.0) as usize).saturating_add(1);
    // `+ 0.0` so that no mark is -0.
    (0..count.min(MOST))
        .map(|at| (first + at as f64) * step + 0.0)
        .collect()
}

/// Marks of a time axis within `low..=high`, in milliseconds, at most `most`, with what is written at each.
pub fn times(low: f64, high: f64, most: usize, zone: &TimeZone) -> Vec<(f64, String)> {
    let fits = |step: &&f64| (high - low) / **step <= most.max(1) as f64;
    let step = TIME_STEPS
        .iter()
        .find(fits)
        .copied()
        .unwrap_or((high - low) / most.max(1) as f64);
    let shift = offset(low, zone);
    let at = marks(((low + shift) / step).ceil(), ((high + shift) / step).floor(), step);
    at.into_iter()
        .map(|at| at - shift)
        .map(|at| (at, moment(at, step, zone)))
        .collect()
}

/// What a zone adds to UTC, in milliseconds, so that marks are round in it.
fn offset(at: f64, zone: &TimeZone) -> f64 {
    Instant::from_millisecond(at as i64).map_or(0.0, |at| f64::from(zone.to_offset(at).seconds()) * SECOND)
}

/// A moment, as exact as the distance between two of them needs.
pub fn moment(at: f64, step: f64, zone: &TimeZone) -> String {
    let how = match step {
        step if step < SECOND => "%H:%M:%S%.3f",
        step if step < MINUTE => "%H:%M:%S",
        step if step < DAY => "%H:%M",
        step if step < 365.0 * DAY => "%m-%d",
        _ => "%Y-%m",
    };
    formatted(at, how, zone)
}

/// A moment in full.
pub fn full(at: f64, zone: &TimeZone) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%S", zone)
}

fn formatted(at: f64, how: &str, zone: &TimeZone) -> String {
    match Instant::from_millisecond(at as i64) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime(how).to_string(),
        Err(_) => exact(at),
    }
}

/// A number in few characters: `0`, `0.25`, `12`, `3.4k`, `2.1M`, `-7`.
pub fn short(number: f64) -> String {
    let size = number.abs();
    let (scaled, unit) = match size {
        size if size < 9_999.5 => return trimmed(number, if size < 10.0 { 2 } else { usize::from(size < 100.0) }),
        size if size < 999_500.0 => (number / 1e3, "k"),
        size if size < 999_500_000.0 => (number / 1e6, "M"),
        size if size < 9.995e11 => (number / 1e9, "G"),
        _ => return format!("{number:.1e}"),
    };
    trimmed(scaled, usize::from(scaled.abs() < 99.95)) + unit
}

/// A number as exact as people read it: thousands apart, at most three digits after the point.
pub fn exact(number: f64) -> String {
    if number.abs() >= 1e15 {
        return format!("{number:e}");
    }
    let text = trimmed(number, if number.abs() < 1.0 { 4 } else { 3 });
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (whole, part) = rest
        .split_once('.')
        .map_or((rest, None), |(whole, part)| (whole, Some(part)));
    let grouped = crate::decode::printable::grouped(whole.parse().unwrap_or(0));
    match part {
        Some(part) => format!("{sign}{grouped}.{part}"),
        None => format!("{sign}{grouped}"),
    }
}

fn trimmed(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if text == "-0" { "0".to_owned() } else { text }
}

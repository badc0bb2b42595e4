//! Numbers, sizes, durations and times for people. Exact values stand in the detail.

use std::time::Duration;

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

use crate::app::lang::{Speaks, fill};
use crate::demo::text::Language;
use crate::record::Timestamp;

/// `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 record`, `1,234 records`, or how the speaker's language counts them: its catalog has them as `{n} record`.
pub fn counted(on: &(impl Speaks + ?Sized), n: u64, one: &'static str) -> String {
    match on.language() {
        Language::English => format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" }),
        language => fill(language, &format!("{{n}} {one}"), &[("n", &count(n))]),
    }
}

/// `12 of 34`: so many are in view of so many that there are.
pub fn some_of(on: &(impl Speaks + ?Sized), some: u64, all: u64) -> String {
    fill(
        on.language(),
        "{some} of {all}",
        &[("some", &count(some)), ("all", &count(all))],
    )
}

/// An offset, which may be negative only where a broker says so.
pub fn offset(n: i64) -> String {
    let text = count(n.unsigned_abs());
    if n < 0 { format!("-{text}") } else { text }
}

/// A short number: `0`, `12`, `3.4k`, `412k`, `2.1M`.
pub fn short(n: f64) -> String {
    let scaled = |n: f64, unit: &str| {
        if n < 9.95 {
            format!("{n:.1}{unit}")
        } else {
            format!("{n:.0}{unit}")
        }
    };
    match n {
        n if n < 0.05 => "0".to_owned(),
        n if n < 9.95 && n.fract() > 0.05 => format!("{n:.1}"),
        n if n < 999.5 => format!("{n:.0}"),
        n if n < 999_500.0 => scaled(n / 1e3, "k"),
        n if n < 999_500_000.0 => scaled(n / 1e6, "M"),
        n => scaled(n / 1e9, "G"),
    }
}

/// Records a second.
pub fn rate(n: f64) -> String {
    format!("{}/s", short(n))
}

/// `812 B`, `1.2 KB`, `34 MB`: powers of 1,000.
pub fn size(bytes: usize) -> String {
    let n = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", digits(n / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", digits(n / 1e6)),
        _ => format!("{} GB", digits(n / 1e9)),
    }
}

fn digits(n: f64) -> String {
    if n < 9.95 { format!("{n:.1}") } else { format!("{n:.0}") }
}

/// `00:03`, `12:40`, `1:02:03`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs_f64().ceil() as u64;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 {
        format!("{h}:{m:02}:{s:02}")
    } else {
        format!("{m:02}:{s:02}")
    }
}

/// `2026-11-21 14:34:07.123`, in `zone`.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    formatted(at, zone, "%Y-%m-%d %H:%M:%S%.3f")
}

/// `2026-11-21 14:34:07`.
pub fn time_to_second(at: Timestamp, zone: &TimeZone) -> String {
    formatted(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-21`.
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    formatted(at, zone, "%Y-%m-%d")
}

/// `14:34:07.123`.
pub fn clock_to_ms(at: Timestamp, zone: &TimeZone) -> String {
    formatted(at, zone, "%H:%M:%S%.3f")
}

/// `14:34:07`.
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    formatted(at, zone, "%H:%M:%S")
}

/// How the times of a list are written in twelve columns, so that nobody takes those of different days for those of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brief {
    /// All are of today: their clock.
    Today,
    /// All are of this day, which the heading says: their clock.
    Of(String),
    /// All are of one year, which the heading says unless it is this one: day and minute.
    Year(Option<String>),
    /// Their day.
    Years,
}

impl Brief {
    /// How these times are written at `now`.
    pub fn of(times: impl Iterator<Item = Timestamp> + Clone, now: Timestamp, zone: &TimeZone) -> Self {
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return Self::Today;
        };
        let days = [first, last, now].map(|at| day(at, zone));
        let year = |day: &str| day.rsplitn(3, '-').nth(2).map(str::to_owned);
        if days[0] == days[1] {
            return if days[1] == days[2] {
                Self::Today
            } else {
                Self::Of(days[0].clone())
            };
        }
        match days.each_ref().map(|day| year(day)) {
            [Some(a), Some(b), now] if a == b => Self::Year((now.as_ref() != Some(&a)).then_some(a)),
            _ => Self::Years,
        }
    }

    /// What stands above them.
    pub fn heading<'a>(&'a self, time: &'a str) -> &'a str {
        match self {
            Self::Of(at) | Self::Year(Some(at)) => at,
            _ => time,
        }
    }

    /// A time, by a clock of some precision.
    pub fn write(&self, at: Timestamp, zone: &TimeZone, clock: fn(Timestamp, &TimeZone) -> String) -> String {
        match self {
            Self::Today | Self::Of(_) => clock(at, zone),
            Self::Year(_) => formatted(at, zone, "%m-%d %H:%M"),
            Self::Years => day(at, zone),
        }
    }
}

fn formatted(at: Timestamp, zone: &TimeZone, how: &str) -> String {
    match Instant::from_millisecond(at.0) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime(how).to_string(),
        // A producer can write any 64 bits; a year that no calendar has is shown as the number that it is.
        Err(_) => format!("{} ms", at.0),
    }
}

/// Bars from the lowest to the highest of some rates, one a cell.
pub fn sparkline(rates: impl ExactSizeIterator<Item = f64> + Clone) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = rates.clone().fold(0.0, f64::max);
    rates
        .map(|r| {
            let share = if most > 0.0 { r / most } else { 0.0 };
            BARS[((share * 7.0).round() as usize).min(7)]
        })
        .collect()
}

/// A gauge of `width` cells.
pub fn gauge(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    "▇".repeat(full) + &"▁".repeat(width - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(offset(-1_001), "-1,001");
        assert_eq!(counted(&Language::English, 1, "record"), "1 record");
        assert_eq!(counted(&Language::English, 0, "record"), "0 records");
        assert_eq!(short(0.0), "0");
        assert_eq!(short(0.5), "0.5");
        assert_eq!(short(12.3), "12");
        assert_eq!(short(999.6), "1.0k");
        assert_eq!(short(412_345.0), "412k");
        assert_eq!(short(2_100_000.0), "2.1M");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_234), "1.2 KB");
        assert_eq!(size(34_000_000), "34 MB");
        assert_eq!(duration(Duration::from_millis(2_100)), "00:03");
        assert_eq!(duration(Duration::from_secs(3_723)), "1:02:03");
    }

    #[test]
    fn times_read_well_and_never_fail() {
        assert_eq!(
            time(Timestamp(1_795_242_600_123), &TimeZone::UTC),
            "2026-11-21 06:30:00.123"
        );
        assert_eq!(time(Timestamp(i64::MAX), &TimeZone::UTC), format!("{} ms", i64::MAX));
        assert_eq!(time(Timestamp(i64::MIN), &TimeZone::UTC), format!("{} ms", i64::MIN));
    }

    #[test]
    fn brief_times_tell_days_apart() {
        let at = |text: &str| Timestamp(text.parse::<Instant>().unwrap().as_millisecond());
        let now = at("2026-11-21T06:30:00Z");
        let brief = |times: &[&str]| {
            let times: Vec<Timestamp> = times.iter().map(|time| at(time)).collect();
            let brief = Brief::of(times.iter().copied(), now, &TimeZone::UTC);
            let write = |at: &Timestamp| brief.write(*at, &TimeZone::UTC, clock);
            let written: Vec<String> = times.iter().map(write).collect();
            (brief.heading("time").to_owned(), written.join(" | "))
        };
        let says = |heading: &str, times: &str| (heading.to_owned(), times.to_owned());
        assert_eq!(brief(&["2026-11-21T06:00:01Z"]), says("time", "06:00:01"));
        assert_eq!(
            brief(&["2026-11-20T23:59:59Z", "2026-11-20T00:00:00Z"]),
            says("2026-11-20", "23:59:59 | 00:00:00")
        );
        assert_eq!(
            brief(&["2026-11-21T06:00:01Z", "2026-11-20T23:59:59Z"]),
            says("time", "11-21 06:00 | 11-20 23:59")
        );
        assert_eq!(
            brief(&["2011-03-01T06:00:01Z", "2011-03-02T23:59:59Z"]),
            says("2011", "03-01 06:00 | 03-02 23:59")
        );
        assert_eq!(
            brief(&["2011-12-31T06:00:01Z", "2012-01-01T23:59:59Z"]),
            says("time", "2011-12-31 | 2012-01-01")
        );
        let never = Brief::of([Timestamp(i64::MIN), now].into_iter(), now, &TimeZone::UTC);
        assert_eq!(never, Brief::Years);
        assert_eq!(Brief::of(std::iter::empty(), now, &TimeZone::UTC), Brief::Today);
    }

    #[test]
    fn gauges_and_sparklines_fill_their_cells() {
        assert_eq!(gauge(0.5, 10), "▇▇▇▇▇▁▁▁▁▁");
        assert_eq!(gauge(7.0, 3), "▇▇▇");
        assert_eq!(sparkline([0.0, 5.0, 10.0].into_iter()), "▁▅█");
        assert_eq!(sparkline([0.0, 0.0].into_iter()), "▁▁");
    }
}

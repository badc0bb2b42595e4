//! Where in a topic to look: what a person types after `t`.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp as Instant};

use crate::demo::text::Language;
use crate::record::Timestamp;

use super::lang::say;

/// A place in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record there is.
    Begin,
    /// After the last record.
    End,
    /// This many records before the end of each partition.
    Back(i64),
    /// This offset in every partition.
    Offset(i64),
    /// This offset of one partition.
    At(i32, i64),
    /// The first record at or after this time.
    Time(Timestamp),
}

/// Reads a place: `begin`, `end`, `-100`, `4200`, `3:4200`, `14:34`, `2026-11-21`, `2026-11-21 14:34:07`, an RFC 3339 time,
/// or `10m ago`. Times without a zone are in `zone`; times without a date are the latest such time before `now`.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone, language: Language) -> Result<Place, String> {
    let text = text.trim();
    match text.to_lowercase().as_str() {
        "" | "end" | "newest" => return Ok(Place::End),
        "begin" | "beginning" | "start" | "oldest" => return Ok(Place::Begin),
        _ => {}
    }
    if let Some(ago) = text.strip_suffix("ago") {
        let ago: SignedDuration = ago.trim().parse().map_err(|_| {
            say!(
                language,
                "`{text}`: a duration looks like `10m ago` or `2h30m ago`",
                text
            )
        })?;
        return Ok(Place::Time(Timestamp(now.0 - ago.as_millis() as i64)));
    }
    if let Some(back) = text.strip_prefix('-').and_then(|n| n.parse().ok()) {
        return Ok(Place::Back(back));
    }
    if let Some(offset) = number(text) {
        return Ok(Place::Offset(offset));
    }
    if let Some(time) = time(text, now, zone) {
        return Ok(Place::Time(time));
    }
    if let Some((partition, offset)) = text.split_once(':')
        && let (Ok(partition), Some(offset)) = (partition.parse(), number(offset))
    {
        return Ok(Place::At(partition, offset));
    }
    Err(say!(
        language,
        "`{text}` is no place: begin, end, -100, 4200, 3:4200, 14:34, 2026-11-21 14:34:07 or 10m ago",
        text
    ))
}

/// An offset, also as the lists show it: `1,234`.
fn number(text: &str) -> Option<i64> {
    match text.split_once(',') {
        None => text.parse().ok(),
        Some((first, rest)) => {
            let threes = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
            let grouped = !first.is_empty() && first.len() <= 3 && rest.split(',').all(threes);
            grouped.then(|| text.replace(',', "").parse().ok()).flatten()
        }
    }
}

/// Reads the place of a record with its topic: `orders:3:4200`, or as it is shown, `orders[3] 4,200` and `orders[3] offset 4200`.
pub fn in_topic(text: &str) -> Option<(String, i32, i64)> {
    let (at, offset) = text.trim().rsplit_once([':', ' '])?;
    let at = at.strip_suffix(" offset").unwrap_or(at);
    let (topic, partition) = match at.strip_suffix(']') {
        Some(at) => at.rsplit_once('[')?,
        None => at.rsplit_once(':')?,
    };
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if topic.is_empty() || !topic.chars().all(is_legal) {
        return None;
    }
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    Some((
        topic.to_owned(),
        partition,
        number(offset).filter(|offset| *offset >= 0)?,
    ))
}

fn time(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Instant>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let text = text.strip_suffix("UTC").map_or(text, str::trim_end);
    let of = |civil: jiff::civil::DateTime| {
        let zoned = civil.to_zoned(zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    };
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        return of(civil);
    }
    // `3:42` is partition 3, `03:42` a time: a clock has two digits on either side.
    if text.len() >= 5 && text.as_bytes()[2] == b':' {
        let clock: Time = text.parse().ok()?;
        let today = Instant::from_millisecond(now.0).ok()?.to_zoned(zone.clone()).date();
        let at = of(today.to_datetime(clock))?;
        return if at > now {
            of(today.yesterday().ok()?.to_datetime(clock))
        } else {
            Some(at)
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T06:30:00Z
    const NOW: Timestamp = Timestamp(1_795_242_600_000);

    fn place(text: &str) -> Result<Place, String> {
        parse(text, NOW, &TimeZone::UTC, Language::English)
    }

    #[test]
    fn places_are_read_as_people_type_them() {
        assert_eq!(place("begin"), Ok(Place::Begin));
        assert_eq!(place(""), Ok(Place::End));
        assert_eq!(place("-100"), Ok(Place::Back(100)));
        assert_eq!(place(" 4200 "), Ok(Place::Offset(4200)));
        assert_eq!(place("3:4200"), Ok(Place::At(3, 4200)));
        assert_eq!(place("10m ago"), Ok(Place::Time(Timestamp(NOW.0 - 600_000))));
        assert_eq!(place("06:00"), Ok(Place::Time(Timestamp(NOW.0 - 1_800_000))));
        assert_eq!(place("07:30"), Ok(Place::Time(Timestamp(NOW.0 - 23 * 3_600_000))));
        assert_eq!(place("2026-11-21 06:30:00"), Ok(Place::Time(NOW)));
        assert_eq!(place("2026-11-21T06:30:00Z"), Ok(Place::Time(NOW)));
        assert_eq!(
            place("2026-11-21"),
            Ok(Place::Time(Timestamp(NOW.0 - 6 * 3_600_000 - 1_800_000)))
        );
        let record = Some(("a.b-c".to_owned(), 3, 42));
        assert_eq!(in_topic("a.b-c:3:42"), record);
        for text in [" a.b-c[3]:42", "a.b-c[3] 42", "a.b-c[3] offset 42"] {
            assert_eq!(in_topic(text), record, "{text}");
        }
        assert_eq!(place("2:1,572"), Ok(Place::At(2, 1572)));
        assert_eq!(place("1,234,567"), Ok(Place::Offset(1_234_567)));
        for text in ["1,57", ",572", "1572,000"] {
            assert!(place(text).is_err(), "{text}");
        }
        for text in ["3:42", ":3:42", "a:b:3:42", "a b:3:42", "a[x]:1", "a:-1:4", "a:1:-4"] {
            assert_eq!(in_topic(text), None, "{text}");
        }
        assert!(place("yesterday").unwrap_err().contains("no place"));
        assert!(place("x ago").unwrap_err().contains("duration"));
    }
}

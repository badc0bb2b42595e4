//! Places in a topic as people write them: the beginning, the end, the last so many, an offset, a time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp as Time};

use crate::record::{Timestamp, TopicPartition};

use super::client::Client;
use super::error::BrokerError;
use super::topics::{TopicInfo, Watermarks};

/// A place in every partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record that is still there.
    Begin,
    /// Behind the last record.
    End,
    /// Before the last so many of each partition; counts offsets, so markers and compacted records are in it.
    Last(u64),
    /// An offset, the same in each partition.
    Offset(i64),
    /// The first record at or after a time.
    Time(Timestamp),
}

/// A number of this many digits is milliseconds since 1970, a shorter one an offset: the former begin in March 1973, the
/// latter end at a hundred billion records in one partition.
const MILLISECONDS: usize = 12;

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "begin" | "beginning" | "earliest" | "start" => return Ok(Self::Begin),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if let Some(last) = text.strip_prefix('-') {
            if let Ok(count) = last.parse() {
                return Ok(Self::Last(count));
            }
            return ago(last)
                .map(Self::Time)
                .ok_or_else(|| wrong(text, "-N is the last N records, -15m is fifteen minutes ago"));
        }
        if !text.is_empty() && text.len() < MILLISECONDS && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text
                .parse()
                .map(Self::Offset)
                .map_err(|_| wrong(text, "it is too large for an offset"));
        }
        time(text).map(Self::Time)
    }
}

/// A time as people write it: RFC 3339, a date or time that is UTC where it names no zone, or milliseconds since 1970.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // As many digits as Kafka's times have; more are no time that a record could bear.
        return match text.parse::<i64>() {
            Ok(time) if Time::from_millisecond(time).is_ok() => Ok(Timestamp(time)),
            _ => Err(wrong(text, "it is too large for milliseconds since 1970")),
        };
    }
    let zoned = text.parse::<Time>();
    let civil = || {
        text.parse::<DateTime>()
            .or_else(|_| text.parse::<Date>().map(DateTime::from))
    };
    let found = zoned.or_else(|_| civil()?.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()));
    match found {
        Ok(time) if time.as_millisecond() >= 0 => Ok(Timestamp(time.as_millisecond())),
        Ok(_) => Err(wrong(text, "Kafka has no times before 1970")),
        Err(_) => Err(wrong(
            text,
            "write begin, end, -N, an offset, or a time such as 2026-05-01 or 2026-05-01T12:30:00Z",
        )),
    }
}

fn wrong(text: &str, why: &str) -> String {
    format!("`{}` is no place: {why}", text.escape_debug())
}

/// `15m`: that long before now.
fn ago(text: &str) -> Option<Timestamp> {
    let unit = text.chars().next_back()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let time = Time::now()
        .checked_sub(SignedDuration::from_secs(number.checked_mul(seconds)?))
        .ok()?;
    Some(Timestamp(time.as_millisecond().max(0)))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => f.write_str("begin"),
            Self::End => f.write_str("end"),
            Self::Last(count) => write!(f, "-{count}"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Time(time) => match Time::from_millisecond(time.0) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{}", time.0),
            },
        }
    }
}

/// Where a replay stops: at a time, or at an offset of each partition, `TIME` or `P:OFFSET,P:OFFSET...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Before the first record at or after this time, in each partition.
    Time(Timestamp),
    /// Before this offset of each of these partitions; partitions that are not named are read to their end.
    Offsets(BTreeMap<i32, i64>),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = |part: &str| -> Option<(i32, i64)> {
            let (partition, offset) = part.trim().split_once(':')?;
            let partition = partition.trim().parse().ok().filter(|number| *number >= 0)?;
            Some((partition, offset.trim().parse().ok().filter(|number| *number >= 0)?))
        };
        let pairs: Option<Vec<_>> = text.split(',').map(pair).collect();
        let Some(pairs) = pairs else {
            return time(text).map(Self::Time).map_err(|_| {
                format!(
                    "`{}` is no place to stop: write a time such as 2026-05-01T12:30:00Z, or P:OFFSET,P:OFFSET such as 0:1200,1:800",
                    text.escape_debug()
                )
            });
        };
        let count = pairs.len();
        let offsets: BTreeMap<i32, i64> = pairs.into_iter().collect();
        if offsets.len() < count {
            return Err(format!("`{text}` names a partition twice"));
        }
        Ok(Self::Offsets(offsets))
    }
}

impl Client {
    /// The offset of a place in each partition of the topic, in the order of `marks`, which are the topic's watermarks (or of
    /// some of its partitions). Partitions are rarely equally long, so an offset counts in those that hold it; an offset that
    /// none of them holds is an error that says which there are.
    pub fn resolve(&self, topic: &TopicInfo, marks: &[Watermarks], place: Place) -> Result<Vec<i64>, BrokerError> {
        let times: BTreeMap<i32, i64> = match place {
            Place::Offset(offset) => return at_offset(topic, marks, offset),
            Place::Time(time) => self.offsets_at(topic, time)?.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        marks
            .iter()
            .map(|mark| match place {
                Place::Begin => Ok(mark.low),
                Place::Offset(offset) => Ok(offset),
                Place::End => Ok(mark.high),
                Place::Last(count) => Ok(mark.high.saturating_sub_unsigned(count).max(mark.low)),
                Place::Time(_) => Ok(times
                    .get(&mark.partition)
                    .copied()
                    .unwrap_or(mark.high)
                    .clamp(mark.low, mark.high)),
            })
            .collect()
    }
}

/// One offset in every partition: a partition that begins after it is read from its first record, one that ends before it
/// from its end.
fn at_offset(topic: &TopicInfo, marks: &[Watermarks], offset: i64) -> Result<Vec<i64>, BrokerError> {
    let holds = |mark: &Watermarks| (mark.low..=mark.high).contains(&offset);
    // The longest partition says most about what there is.
    if let Some(mark) = marks.iter().rev().max_by_key(|mark| mark.high)
        && !marks.iter().any(holds)
    {
        return Err(BrokerError::OffsetOutOfRange {
            partition: TopicPartition::new(topic.name.as_str(), mark.partition),
            offset,
            low: mark.low,
            high: mark.high,
        });
    }
    Ok(marks.iter().map(|mark| offset.clamp(mark.low, mark.high)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_what_they_look_like() {
        assert_eq!(place("begin"), Place::Begin);
        assert_eq!(place("latest"), Place::End);
        assert_eq!(place("-100"), Place::Last(100));
        assert_eq!(place("0"), Place::Offset(0));
        assert_eq!(place("99999999999"), Place::Offset(99_999_999_999));
        assert_eq!(place("1700000000000"), Place::Time(Timestamp(1_700_000_000_000)));
        let may = Place::Time(Timestamp(1_777_593_600_000));
        assert_eq!(place("2026-05-01"), may);
        assert_eq!(place("2026-05-01T00:00"), may);
        assert_eq!(place("2026-05-01 00:00:00"), may);
        assert_eq!(place("2026-05-01T02:00:00+02:00"), may);
        assert_eq!(place("2026-05-01T00:00:00.000Z"), may);
        assert_eq!(may.to_string(), "2026-05-01T00:00:00Z");
        let now = Time::now().as_millisecond();
        assert!(matches!(place("-2h"), Place::Time(Timestamp(time)) if time <= now - 7_200_000 + 1000 && time > 0));
    }

    #[test]
    fn an_offset_counts_in_the_partitions_that_hold_it() {
        let topic = TopicInfo {
            name: "orders".into(),
            partitions: vec![0, 1, 2],
            replication: 1,
            internal: false,
        };
        let marks = [(0, 0, 0), (1, 0, 9), (2, 4, 5)].map(|(partition, low, high)| Watermarks { partition, low, high });
        assert_eq!(at_offset(&topic, &marks, 3).unwrap(), [0, 3, 4]);
        assert_eq!(at_offset(&topic, &marks, 9).unwrap(), [0, 9, 5]);
        let error = at_offset(&topic, &marks, 10).unwrap_err().to_string();
        assert!(error.contains("orders[1] has no offset 10"), "{error}");
        assert_eq!(at_offset(&topic, &[], 7).unwrap(), [0_i64; 0]);
    }

    #[test]
    fn what_is_no_place_is_told() {
        for text in [
            "",
            "yesterday",
            "-",
            "-x",
            "--5",
            "-5w",
            "1e3",
            "2026-13-01",
            "1969-12-31",
            "99999999999999999999",
            "5:6",
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.contains("is no place"), "{text}: {error}");
        }
    }

    #[test]
    fn ends_of_a_replay() {
        let until = |text: &str| text.parse::<Until>();
        assert_eq!(
            until("0:12, 3:7"),
            Ok(Until::Offsets(BTreeMap::from([(0, 12), (3, 7)])))
        );
        assert_eq!(until("2026-05-01"), Ok(Until::Time(Timestamp(1_777_593_600_000))));
        assert!(
            matches!(until("2026-05-01T12:30:00Z"), Ok(Until::Time(_))),
            "a colon is no pair"
        );
        for text in ["0:1,0:2", "0:x", "1", "-1:5", "0:-5", ""] {
            assert!(until(text).is_err() || text == "1", "{text}");
        }
    }
}

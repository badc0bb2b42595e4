//! How the commands over read models show numbers, times and cells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp as Time;
use serde_json::{Value, json};

use crate::decode::printable::{grouped, printable};
use crate::readmodel::feed::SinkInfo;
use crate::readmodel::invariant::Broken;
use crate::readmodel::notice::Notified;
use crate::readmodel::outbox::Emitted;
use crate::readmodel::query::Cell;
use crate::readmodel::store::{ReadModelInfo, State};
use crate::record::{Position, Timestamp};

/// Characters of a cell in a table; the whole of it is in the other formats.
const WIDTH: usize = 200;
/// Characters of a line of a notice.
const NOTICE: usize = 4_000;

/// A number with its thousands apart: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    grouped(number)
}

/// How many of something: `1 record`, `2 records`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", count(number))
}

/// What was noticed, which may have words of a server or of a record in it: no terminal is harmed by it.
pub(super) fn notice(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| printable(line.as_bytes(), NOTICE).text)
        .collect();
    lines.join("\n")
}

/// A rate for people: `412k/s`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 10_000_000.0 => format!("{:.0}M/s", r / 1e6),
        r if r >= 1_000_000.0 => format!("{:.1}M/s", r / 1e6),
        r if r >= 10_000.0 => format!("{:.0}k/s", r / 1e3),
        r if r >= 1_000.0 => format!("{:.1}k/s", r / 1e3),
        r => format!("{r:.0}/s"),
    }
}

/// A size for people: `812 B`, `4.1 kB`, `312 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    let size = bytes as f64;
    match size {
        s if s >= 1e10 => format!("{:.0} GB", s / 1e9),
        s if s >= 1e9 => format!("{:.1} GB", s / 1e9),
        s if s >= 1e7 => format!("{:.0} MB", s / 1e6),
        s if s >= 1e6 => format!("{:.1} MB", s / 1e6),
        s if s >= 1e4 => format!("{:.0} kB", s / 1e3),
        s if s >= 1e3 => format!("{:.1} kB", s / 1e3),
        _ => format!("{bytes} B"),
    }
}

/// How long something takes: `0.4 s`, `03:12`, `1:02:03`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=59 => format!("{:.1} s", time.as_secs_f64()),
        60..=3599 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// A time in UTC.
pub(super) fn time(at: Timestamp) -> String {
    match Time::from_millisecond(at.0) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => at.0.to_string(),
    }
}

/// The word for a state.
pub(super) fn state(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Paused { .. } => "paused",
        State::Unreadable { .. } => "unreadable",
    }
}

/// A position in a few words.
pub(super) fn position(position: &Position) -> String {
    const LISTED: usize = 4;
    let topics = topics(position);
    if position.len() > LISTED {
        let sums = topics.iter().map(|topic| {
            let of_topic = || position.iter().filter(|(at, _)| at.topic == **topic);
            let sum: u64 = of_topic().map(|(_, next)| u64::try_from(next).unwrap_or(0)).sum();
            let text = format!(
                "{} offsets in {}",
                count(sum),
                counted(of_topic().count() as u64, "partition")
            );
            if topics.len() > 1 {
                format!("{topic}: {text}")
            } else {
                text
            }
        });
        return sums.collect::<Vec<_>>().join(", ");
    }
    let list = position.iter().map(|(at, next)| {
        let topic = if topics.len() > 1 { &*at.topic } else { "" };
        format!("{topic}[{}] {next}", at.partition)
    });
    list.collect::<Vec<_>>().join(", ")
}

/// `, at orders[0] 3, payments[0] 2`: how far each of several topics was read, which the number of records does not tell.
pub(super) fn of_several(of: &Position) -> String {
    match topics(of).len() {
        0 | 1 => String::new(),
        _ => format!(", at {}", position(of)),
    }
}

fn topics(position: &Position) -> BTreeSet<&Arc<str>> {
    position.iter().map(|(at, _)| &at.topic).collect()
}

/// A position as JSON: topic to partition to next offset.
pub(super) fn position_json(position: &Position) -> Value {
    let mut topics = serde_json::Map::new();
    for (at, next) in position.iter() {
        let topic = topics.entry(&*at.topic).or_insert_with(|| json!({}));
        topic[at.partition.to_string()] = json!(next);
    }
    Value::Object(topics)
}

/// What is known of a read model, as JSON.
pub(super) fn info_json(info: &ReadModelInfo) -> Value {
    let reason = match &info.state {
        State::Ready => Value::Null,
        State::Paused { reason } | State::Unreadable { reason } => json!(reason),
    };
    json!({
        "projection": info.name,
        "file": info.file,
        "hash": info.hash,
        "cluster": info.cluster_id,
        "topics": info.topics,
        "position": position_json(&info.position),
        "state": state(&info.state),
        "reason": reason,
        "applied": info.counts.applied,
        "ignored": info.counts.ignored,
        "skipped": info.counts.skipped,
        "held": info.counts.held,
        "poisoned": info.counts.poisoned,
        "emitted": info.emitted.as_ref().map(emitted_json),
        "history": info.history.map(|history| json!({ "events": history.events, "bytes": history.bytes })),
        "poison": info.poison.iter().map(|(kind, count)| (kind.word(), count)).collect::<BTreeMap<_, _>>(),
        "decisions": info.decisions,
        "notified": info.notified.as_ref().map(notified_json),
        "sinks": info.sinks.iter().map(sink_json).collect::<Vec<_>>(),
        "broken": info.broken.iter().map(broken_json).collect::<Vec<_>>(),
        "updated_at": (!matches!(info.state, State::Unreadable { .. })).then_some(info.updated_at.0),
    })
}

fn notified_json(notified: &Notified) -> Value {
    json!({
        "delivered": notified.delivered,
        "waiting": notified.waiting,
        "given_up": notified.given_up,
        "trouble": notified.trouble,
    })
}

fn sink_json(sink: &SinkInfo) -> Value {
    json!({
        "sink": sink.name,
        "whole": sink.whole,
        "waiting": sink.waiting,
        "rows": sink.rows,
        "refused": sink.refused,
        "reason": sink.reason,
        "trouble": sink.trouble,
    })
}

fn emitted_json(emitted: &Emitted) -> Value {
    json!({
        "published": emitted.published,
        "waiting": emitted.waiting,
        "refused": emitted.refused,
        "reason": emitted.reason,
        "trouble": emitted.trouble,
    })
}

/// An invariant that does not hold, as JSON.
pub(super) fn broken_json(broken: &Broken) -> Value {
    let rows = broken
        .rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap_or_else(|_| json!(row)));
    json!({
        "invariant": broken.name,
        "line": broken.line,
        "topic": broken.topic,
        "partition": broken.partition,
        "offset": broken.offset,
        "timestamp": broken.timestamp.map(|at| at.0),
        "type": broken.event,
        "key": broken.key.as_deref().map(String::from_utf8_lossy),
        "rows": rows.collect::<Vec<Value>>(),
        "more": broken.more,
        "error": broken.error,
    })
}

/// A cell in a table, safe for a terminal.
pub(super) fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(text) => cut(printable(text.as_bytes(), WIDTH)),
        Cell::Blob(bytes) => format!("x'{}'", hex(bytes)),
    }
}

fn cut(text: crate::decode::printable::Printable) -> String {
    if text.cut { text.text + "…" } else { text.text }
}

/// A cell as JSON; bytes are `{"blob": "hex"}`, as in a dump.
pub(super) fn cell_json(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(value) => value.into(),
        Cell::Real(value) if value.is_finite() => value.into(),
        Cell::Real(value) => json!({ "real": value.to_string() }),
        Cell::Text(text) => text.into(),
        Cell::Blob(bytes) => json!({ "blob": hex(&bytes) }),
    }
}

/// A cell in CSV: NULL is empty, bytes are hex.
pub(super) fn cell_csv(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_keeps_its_lines_and_harms_no_terminal() {
        assert_eq!(notice("a\u{1b}[2Jb\u{202e}\r\n  c"), "a␛[2Jb⟨U+202E⟩\n  c");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (count(0), count(999), count(1_000), count(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        assert_eq!(
            (rate(412_345.0), rate(1_500_000.0), rate(12.0)),
            ("412k/s".into(), "1.5M/s".into(), "12/s".into())
        );
        assert_eq!(duration(Duration::from_secs(3_723)), "1:02:03");
        assert_eq!(time(Timestamp(0)), "1970-01-01 00:00:00Z");
    }

    #[test]
    fn a_cell_cannot_reach_the_terminal() {
        let shown = cell(&Cell::Text("a\u{1b}[31m\nb".to_owned()));
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}

//! A line as the JSON that Filebeat makes of it, so that what reads Filebeat's topics reads these.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::record::Timestamp;

use super::combined;
use super::tail::Line;

/// What is made of a line's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parse {
    /// Nothing: it is the message.
    #[default]
    Text,
    /// It is a JSON object whose fields become the event's.
    Json,
    /// It is a line of an access log.
    Combined,
}

/// A line ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event as JSON.
    pub json: String,
    /// When it happened where the line says so, else when it was read.
    pub said: Timestamp,
    /// The record's time: the same, unless that is further ahead than a broker takes; then it is when the line was read.
    pub time: Timestamp,
    /// Whether it could not be parsed; `error.message` says why.
    pub failed: bool,
}

/// How far ahead of now a record's time may be, in milliseconds: Apache Kafka's own `message.timestamp.after.max.ms`, less what clocks
/// may differ.
const AHEAD: i64 = 50 * 60 * 1000;

/// The fields that say where a line comes from, which no line can say otherwise.
const OURS: &[&str] = &["log", "host", "agent", "input", "error"];

/// An event on its way to text. What a line has is written as it stands there: numbers keep their digits.
#[derive(Debug, Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Serialize) {
        // Values of our own have names for keys, and are no other thing that JSON cannot say.
        if let Ok(value) = to_raw_value(&value) {
            self.0.push((name.to_owned(), value));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The fields of an object as they stand in its text; of those that come twice the last.
fn spelled(object: &Map<String, Value>, text: &str) -> serde_json::Result<Fields> {
    let mut spelled: HashMap<String, Box<RawValue>> = serde_json::from_str(text)?;
    let fields = object.keys().filter_map(|name| spelled.remove_entry(name));
    Ok(Fields(fields.collect()))
}

/// Makes the event of a line that was read at `now` on the host of this name.
pub fn event(line: &Line, parse: Parse, host: &str, now: Timestamp) -> Event {
    let text = String::from_utf8_lossy(&line.bytes);
    let mut fields = Fields::default();
    let mut time = None;
    let mut error = None;
    match parse {
        Parse::Text => {}
        // A part of an object is none.
        _ if line.cut => error = Some("the line is longer than it may be, and was cut".to_owned()),
        Parse::Json => match serde_json::from_str::<Map<String, Value>>(&text)
            .and_then(|object| Ok((spelled(&object, &text)?, object)))
        {
            Ok((as_it_stands, object)) => {
                time = ["@timestamp", "timestamp", "time", "ts"]
                    .iter()
                    .find_map(|name| time_of(object.get(*name)?));
                fields = as_it_stands;
            }
            Err(reason) => error = Some(format!("Error decoding JSON: {reason}")),
        },
        Parse::Combined => match combined::parse(&text) {
            Ok(access) => {
                time = Some(access.time);
                access.fields.iter().for_each(|(name, value)| fields.put(name, value));
            }
            Err(reason) => error = Some(format!("not an access log line: {reason}")),
        },
    }
    fields.0.retain(|(name, _)| !OURS.contains(&name.as_str()));
    let said = time.unwrap_or(now);
    let failed = error.is_some();
    let json = whole(line, &text, fields, said, host, error);
    let time = if said.0 > now.0.saturating_add(AHEAD) {
        now
    } else {
        said
    };
    Event {
        json,
        said,
        time,
        failed,
    }
}

/// Makes the event of a line that the broker does not take as it is: its text, cut to `longest` bytes, and why. It has the time at which
/// it was read in it, and as a record none, because that may be what was refused.
pub fn refused(line: &Line, longest: usize, host: &str, now: Timestamp, reason: &str) -> Event {
    let cut = Line {
        bytes: line.bytes.get(..longest).unwrap_or(&line.bytes).to_vec(),
        cut: line.cut || line.bytes.len() > longest,
        ..line.clone()
    };
    let text = String::from_utf8_lossy(&cut.bytes);
    let error = Some(format!("the broker refused the line: {reason}"));
    Event {
        json: whole(&cut, &text, Fields::default(), now, host, error),
        said: now,
        time: Timestamp(-1),
        failed: true,
    }
}

fn whole(line: &Line, text: &str, fields: Fields, time: Timestamp, host: &str, error: Option<String>) -> String {
    let mut all = Fields::default();
    all.put("@timestamp", rfc3339(time));
    if !fields.has("message") {
        all.put("message", text);
    }
    // The time as the agent writes all of them; the line's own spelling is in its message where it has another name.
    all.0
        .extend(fields.0.into_iter().filter(|(name, _)| name != "@timestamp"));
    let mut log = json!({ "offset": line.offset, "file": { "path": line.path.to_string_lossy() } });
    if line.cut {
        log["flags"] = json!(["truncated"]);
    }
    all.put("log", log);
    all.put("host", json!({ "name": host }));
    all.put("agent", json!({ "type": "foldlog" }));
    all.put("input", json!({ "type": "log" }));
    if let Some(error) = error {
        all.put("error", json!({ "message": error }));
    }
    // Names and texts are text, and what a line had was read as JSON before.
    serde_json::to_string(&all).unwrap_or_default()
}

fn rfc3339(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    format!("{time:.3}")
}

/// A time as logs write it: RFC 3339, or a number of seconds or milliseconds since 1970. A number of seconds before 2001 is another
/// thing: how long something took, as access logs have it.
fn time_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Some(Timestamp(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())),
        Value::Number(number) => {
            // Seconds stay under this until the year 5138; milliseconds were over it in 1973.
            const MILLISECONDS: f64 = 1e11;
            const SECONDS: f64 = 1e9;
            let number = number.as_f64().filter(|number| *number >= SECONDS)?;
            let milliseconds = if number < MILLISECONDS { number * 1000.0 } else { number };
            (milliseconds < 253_402_300_800_000.0).then_some(Timestamp(milliseconds as i64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn line(text: &str) -> Line {
        Line {
            path: PathBuf::from("/var/log/app.log"),
            key: PathBuf::from("/var/log/app.log"),
            offset: 42,
            bytes: text.as_bytes().to_vec(),
            cut: false,
            id: String::new(),
        }
    }

    fn made(line: &Line, parse: Parse) -> (Value, i64, bool) {
        let event = event(line, parse, "web-1", Timestamp(1_730_707_201_500));
        (serde_json::from_str(&event.json).unwrap(), event.time.0, event.failed)
    }

    fn with(more: Value) -> Value {
        let mut all = json!({
            "@timestamp": "2024-11-04T08:00:01.500Z",
            "log": {"offset": 42, "file": {"path": "/var/log/app.log"}},
            "host": {"name": "web-1"},
            "agent": {"type": "foldlog"},
            "input": {"type": "log"},
        });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    }

    #[test]
    fn text_is_the_message() {
        let (event, time, failed) = made(&line("it \"works\"\t\u{1b}[0m"), Parse::Text);
        assert_eq!(event, with(json!({"message": "it \"works\"\t\u{1b}[0m"})));
        assert_eq!((time, failed), (1_730_707_201_500, false));
        let mut long = line("aaa");
        long.cut = true;
        let (event, _, failed) = made(&long, Parse::Text);
        assert_eq!((event["log"]["flags"].clone(), failed), (json!(["truncated"]), false));
    }

    #[test]
    fn the_fields_of_json_are_the_events() {
        let (event, time, failed) = made(
            &line(r#"{"level":"ERROR","msg":"paid","timestamp":1730000000123,"log":{"offset":1},"host":"forged"}"#),
            Parse::Json,
        );
        assert_eq!(
            event,
            with(json!({
                "@timestamp": "2024-10-27T03:33:20.123Z",
                "message": r#"{"level":"ERROR","msg":"paid","timestamp":1730000000123,"log":{"offset":1},"host":"forged"}"#,
                "level": "ERROR", "msg": "paid", "timestamp": 1_730_000_000_123_i64,
            }))
        );
        assert_eq!((time, failed), (1_730_000_000_123, false));
        let (event, time, _) = made(
            &line(r#"{"@timestamp":"2024-01-01T00:00:00Z","message":"hi"}"#),
            Parse::Json,
        );
        assert_eq!(
            (event["message"].as_str(), event["@timestamp"].as_str()),
            (Some("hi"), Some("2024-01-01T00:00:00.000Z"))
        );
        assert_eq!(time, 1_704_067_200_000);
    }

    #[test]
    fn numbers_keep_their_digits_and_of_a_name_that_comes_twice_the_last_counts() {
        let text = r#"{"id":123456789012345678901234567890,"price":1.10,"n":1,"deep":{"a":[1e2, 0.10],"a":2},"n":2}"#;
        let event = event(&line(text), Parse::Json, "web-1", Timestamp(0));
        let fields = r#""id":123456789012345678901234567890,"price":1.10,"n":2,"deep":{"a":[1e2, 0.10],"a":2},"log""#;
        assert!(event.json.contains(fields), "{}", event.json);
        let whole: Value = serde_json::from_str(&event.json).unwrap();
        assert_eq!(whole["message"], text);
    }

    #[test]
    fn a_time_that_no_broker_takes_is_in_the_event_alone_and_a_duration_is_none() {
        // A clock that is ahead, and one that is a little.
        let (event, time, _) = made(&line(r#"{"ts":9999999999}"#), Parse::Json);
        assert_eq!(
            (event["@timestamp"].as_str(), time),
            (Some("2286-11-20T17:46:39.000Z"), 1_730_707_201_500)
        );
        let (_, time, _) = made(&line(r#"{"ts":1730707261}"#), Parse::Json);
        assert_eq!(time, 1_730_707_261_000);
        for duration in ["0.035", "12", "999999999"] {
            let (event, time, _) = made(&line(&format!("{{\"time\":{duration}}}")), Parse::Json);
            assert_eq!(
                (event["@timestamp"].as_str(), time),
                (Some("2024-11-04T08:00:01.500Z"), 1_730_707_201_500)
            );
        }
    }

    #[test]
    fn what_the_broker_refuses_is_cut_and_has_no_time_of_its_own() {
        let event = refused(
            &line("{\"ts\":1}"),
            4,
            "web-1",
            Timestamp(1_730_707_201_500),
            "too large",
        );
        let value: Value = serde_json::from_str(&event.json).unwrap();
        assert_eq!(
            (value["message"].as_str(), &value["log"]["flags"]),
            (Some("{\"ts"), &json!(["truncated"]))
        );
        assert_eq!(
            (value["error"]["message"].as_str(), event.time.0),
            (Some("the broker refused the line: too large"), -1)
        );
    }

    #[test]
    fn what_cannot_be_parsed_is_sent_with_the_reason() {
        let (event, time, failed) = made(&line("no json"), Parse::Json);
        assert!(
            event["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with("Error decoding JSON: ")
        );
        assert_eq!(
            (event["message"].as_str(), time, failed),
            (Some("no json"), 1_730_707_201_500, true)
        );
        let (event, _, failed) = made(&line("[1]"), Parse::Combined);
        assert_eq!(
            event["error"]["message"],
            "not an access log line: the identity is missing"
        );
        assert!(failed);
        let mut long = line("{\"a\":1}");
        long.cut = true;
        assert!(made(&long, Parse::Json).2);
    }

    #[test]
    fn an_access_log_line_has_its_own_time() {
        let (event, time, failed) = made(
            &line(r#"::1 - - [04/Nov/2024:08:00:09 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" 0.1"#),
            Parse::Combined,
        );
        assert_eq!((time, failed), (1_730_707_209_000, false));
        assert_eq!(event["http"]["response"]["status_code"], 200);
        assert_eq!(event["@timestamp"], "2024-11-04T08:00:09.000Z");
        assert!(event["message"].as_str().unwrap().contains("curl"));
    }
}

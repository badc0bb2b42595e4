//! A record as a line of JSON: what `read -o json` prints, `produce --envelope` writes back, byte for byte.
//!
//! ```json
//! {"topic":"orders","partition":0,"offset":7,"timestamp":1777593600000,"key":"o-7","headers":[["source","web"]],"value":{"id":7}}
//! ```
//!
//! A value that is JSON stands there as it is, its numbers digit for digit; only white space between its tokens is left out.
//! A value that is not JSON is a string, and `"valueEncoding"` says `"text"`, or `"base64"` where it is not UTF-8 either. A
//! key is text, or base64 with `"keyEncoding":"base64"`. `null` is a tombstone, and a record without a key.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::broker::place;
pub(super) use crate::decode::envelope::write;
use crate::record::{Header, Timestamp};

/// An envelope as it is read; fields that nobody knows are an error, because they would be lost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) topic: Option<Cow<'a, str>>,
    pub(super) partition: Option<i32>,
    /// Where the record stood; a broker gives offsets itself, so `produce` does not use it.
    pub(super) offset: Option<i64>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(rename = "keyEncoding")]
    key_encoding: Option<Encoding>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(rename = "valueEncoding")]
    value_encoding: Option<Encoding>,
    #[serde(default, deserialize_with = "headers")]
    pub(super) headers: Vec<Header>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Text,
    Base64,
}

impl<'a> Envelope<'a> {
    /// Reads a line.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| json_error(&error))
    }

    /// The key's bytes: a string's text; of any other JSON its text as written.
    pub(super) fn key(&self) -> Result<Option<Cow<'a, [u8]>>, String> {
        match (self.key, self.key_encoding) {
            (None, _) => Ok(None),
            (Some(raw), encoding) if raw.get().starts_with('"') => decoded(raw, encoding.unwrap_or(Encoding::Text))
                .map(Some)
                .map_err(|error| format!("`key`: {error}")),
            (Some(_), Some(_)) => Err("`key` must be a string where `keyEncoding` is given".to_owned()),
            (Some(raw), None) => Ok(Some(raw.get().as_bytes().into())),
        }
    }

    /// The value's bytes: its JSON as written; of a string with `valueEncoding` its text or bytes.
    pub(super) fn value(&self) -> Result<Option<Cow<'a, [u8]>>, String> {
        match (self.value, self.value_encoding) {
            (None, _) => Err("there is no `value`; write `\"value\": null` for a tombstone".to_owned()),
            (Some(raw), None) if raw.get() == "null" => Ok(None),
            (Some(raw), None) => Ok(Some(raw.get().as_bytes().into())),
            (Some(raw), Some(encoding)) if raw.get().starts_with('"') => decoded(raw, encoding)
                .map(Some)
                .map_err(|error| format!("`value`: {error}")),
            (Some(_), Some(_)) => Err("`value` must be a string where `valueEncoding` is given".to_owned()),
        }
    }

    /// The time: milliseconds since 1970, or a string with a date or time.
    pub(super) fn timestamp(&self) -> Result<Option<Timestamp>, String> {
        let Some(raw) = self.timestamp else { return Ok(None) };
        let text: Cow<'_, str> = if raw.get().starts_with('"') {
            string(raw)?
        } else {
            raw.get().into()
        };
        place::time(&text).map(Some).map_err(|_| {
            format!(
                "`timestamp`: `{}` is neither milliseconds since 1970 nor a date or time",
                text.escape_debug()
            )
        })
    }
}

/// serde_json's words with the column; the line is the caller's to name.
pub(super) fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((words, _)) if error.column() > 0 => format!("{words} (column {})", error.column()),
        _ => text,
    }
}

fn string(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw.get())
        .map(|Text(text)| text)
        .map_err(|error| json_error(&error))
}

fn decoded(raw: &RawValue, encoding: Encoding) -> Result<Cow<'_, [u8]>, String> {
    let text = string(raw)?;
    match encoding {
        Encoding::Base64 => BASE64
            .decode(text.as_bytes())
            .map(Cow::Owned)
            .map_err(|error| error.to_string()),
        Encoding::Text => Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
    }
}

/// A value that is there, `null` too.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(input).map(Some)
}

/// Headers as `{"name": "value"}` or, where names repeat, `[["name", "value"], ...]`; a value is a string, null, or
/// `{"base64": "..."}`.
fn headers<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Header>, D::Error> {
    struct Headers;
    impl<'de> Visitor<'de> for Headers {
        type Value = Vec<Header>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("headers as an object of strings or an array of [name, value]")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut headers = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, HeaderValue>()? {
                headers.push(Header { key, value: value.0 });
            }
            Ok(headers)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut headers = Vec::new();
            while let Some((key, value)) = list.next_element::<(String, HeaderValue)>()? {
                headers.push(Header { key, value: value.0 });
            }
            Ok(headers)
        }
    }
    input.deserialize_any(Headers)
}

/// A header's value.
struct HeaderValue(Option<Vec<u8>>);

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a header's value must be a string, null or {\"base64\": \"...\"}"
        )]
        enum Form {
            Text(String),
            Bytes { base64: String },
            Null(()),
        }
        Ok(Self(match Form::deserialize(input)? {
            Form::Text(text) => Some(text.into_bytes()),
            Form::Bytes { base64 } => Some(BASE64.decode(base64).map_err(serde::de::Error::custom)?),
            Form::Null(()) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::decode::envelope::write_value;
    use crate::record::RecordRef;

    use super::*;

    fn line(record: &RecordRef<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, record);
        String::from_utf8(out).unwrap()
    }

    fn value(bytes: Option<&[u8]>) -> String {
        let mut out = Vec::new();
        write_value(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_shown_as_what_it_is() {
        assert_eq!(value(None), "null");
        assert_eq!(value(Some(b"null")), r#""null","valueEncoding":"text""#);
        assert_eq!(value(Some(b"")), r#""","valueEncoding":"text""#);
        assert_eq!(value(Some(b"hello")), r#""hello","valueEncoding":"text""#);
        assert_eq!(value(Some(b"\"hello\"")), r#""hello""#);
        assert_eq!(value(Some(b"12345678901234567890.10")), "12345678901234567890.10");
        assert_eq!(
            value(Some(b"{\n  \"a b\" : [1,\t\"x \\\" y\"]\n}")),
            r#"{"a b":[1,"x \" y"]}"#
        );
        assert_eq!(value(Some(&[0xff])), r#""/w==","valueEncoding":"base64""#);
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(value(Some(deep.as_bytes())), deep);
    }

    #[test]
    fn what_is_wrong_with_an_envelope_is_told() {
        let told = |line: &str| Envelope::parse(line.as_bytes()).unwrap_err();
        assert!(told(r#"{"topik":"x"}"#).contains("topik"));
        assert!(told("{").contains("column"));
        assert!(told(r#"{"headers":[["a"]]}"#).contains("column"));
        assert!(told(r#"{"headers":{"a":1}}"#).contains("header's value"));
        let envelope =
            Envelope::parse(br#"{"key":1.50,"value":"x","timestamp":"2026-05-01","headers":{"a":"b"}}"#).unwrap();
        assert_eq!(envelope.key().unwrap().unwrap().as_ref(), b"1.50");
        assert_eq!(envelope.value().unwrap().unwrap().as_ref(), b"\"x\"");
        assert_eq!(envelope.timestamp().unwrap(), Some(Timestamp(1_777_593_600_000)));
        let none = Envelope::parse(br#"{"key":null}"#).unwrap();
        assert!(none.value().unwrap_err().contains("tombstone"));
        assert_eq!(none.key().unwrap(), None);
        let bad = Envelope::parse(br#"{"value":"%","valueEncoding":"base64","timestamp":"soon"}"#).unwrap();
        assert!(bad.value().unwrap_err().contains("`value`"));
        assert!(bad.timestamp().unwrap_err().contains("soon"));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back_byte_for_byte(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
            text in prop::option::of(".{0,12}"),
            bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
            time in prop::option::of(0_i64..4_000_000_000_000),
            headers in prop::collection::vec((".{0,5}", prop::option::of(prop::collection::vec(any::<u8>(), 0..5))), 0..3),
        ) {
            let headers: Vec<Header> = headers.into_iter().map(|(key, value)| Header { key, value }).collect();
            for value in [text.as_deref().map(str::as_bytes), bytes.as_deref()] {
                let record = RecordRef {
                    topic: "t\"x",
                    partition: 3,
                    offset: 7,
                    timestamp: time.map(Timestamp),
                    key: key.as_deref(),
                    value,
                    headers: &headers,
                };
                let line = line(&record);
                prop_assert!(!line.contains('\n'));
                let read = Envelope::parse(line.as_bytes()).unwrap();
                prop_assert_eq!(read.topic.as_deref(), Some("t\"x"));
                prop_assert_eq!(read.partition, Some(3));
                prop_assert_eq!(read.timestamp().unwrap(), record.timestamp);
                let key = read.key().unwrap();
                prop_assert_eq!(key.as_deref(), record.key);
                // White space around JSON is the one thing that is not kept.
                let trimmed = |bytes: &[u8]| match serde_json::from_slice::<&RawValue>(bytes) {
                    Ok(raw) => raw.get().as_bytes().to_vec(),
                    Err(_) => bytes.to_vec(),
                };
                prop_assert_eq!(read.value().unwrap().map(|v| v.to_vec()), value.map(trimmed));
                prop_assert_eq!(&read.headers, &headers);
            }
        }
    }
}

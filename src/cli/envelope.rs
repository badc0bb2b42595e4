//! A record as a line of JSON: what `read -o json` prints, `produce --envelope` writes back, byte for byte.
//!
//! ```json
//! {"topic":"orders","partition":0,"offset":7,"timestamp":1777593600000,"key":"o-7","headers":[["source","web"]],"value":{"id":7}}
//! ```
//!
//! A value that is JSON stands there as it is, its numbers digit for digit; only white space between its tokens is left out.
//! A value that is not JSON is a string, and `"valueEncoding"` says `"text"`, or `"base64"` where it is not UTF-8 either. A
//! key is text, or base64 with `"keyEncoding":"base64"`. `null` is a tombstone, and a record without a key.

use crate::broker::place;
pub(super) use crate::decode::envelope::read::{Envelope, json_error};
pub(super) use crate::decode::envelope::write;
use crate::record::Timestamp;

/// The time of an envelope: milliseconds since 1970, or a string with a date or time.
pub(super) fn timestamp(envelope: &Envelope<'_>) -> Result<Option<Timestamp>, String> {
    let Some(text) = envelope.time()? else { return Ok(None) };
    place::time(&text).map(Some).map_err(|_| {
        format!(
            "`timestamp`: `{}` is neither milliseconds since 1970 nor a date or time",
            text.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use crate::decode::envelope::write_value;
    use crate::record::{Header, RecordRef};

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
        assert_eq!(timestamp(&envelope).unwrap(), Some(Timestamp(1_777_593_600_000)));
        let none = Envelope::parse(br#"{"key":null}"#).unwrap();
        assert!(none.value().unwrap_err().contains("tombstone"));
        assert_eq!(none.key().unwrap(), None);
        let bad = Envelope::parse(br#"{"value":"%","valueEncoding":"base64","timestamp":"soon"}"#).unwrap();
        assert!(bad.value().unwrap_err().contains("`value`"));
        assert!(timestamp(&bad).unwrap_err().contains("soon"));
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
                prop_assert_eq!(timestamp(&read).unwrap(), record.timestamp);
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

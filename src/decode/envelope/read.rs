//! A line of JSON as a record: what [`super::write`] wrote, byte for byte, and what people write in that form.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::record::Header;

/// An envelope as it is read; fields that nobody knows are an error, because they would be lost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<'a> {
    /// The topic.
    #[serde(borrow)]
    pub topic: Option<Cow<'a, str>>,
    /// The partition that it stood in.
    pub partition: Option<i32>,
    /// Where the record stood; a broker gives offsets itself, so `produce` does not use it.
    pub offset: Option<i64>,
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
    /// Its headers.
    #[serde(default, deserialize_with = "headers")]
    pub headers: Vec<Header>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Text,
    Base64,
}

impl<'a> Envelope<'a> {
    /// Reads a line.
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| json_error(&error))
    }

    /// The key's bytes: a string's text; of any other JSON its text as written.
    pub fn key(&self) -> Result<Option<Cow<'a, [u8]>>, String> {
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
    pub fn value(&self) -> Result<Option<Cow<'a, [u8]>>, String> {
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

    /// The time as it is written: a number's digits, or a string's text.
    pub fn time(&self) -> Result<Option<Cow<'a, str>>, String> {
        let Some(raw) = self.timestamp else { return Ok(None) };
        Ok(Some(if raw.get().starts_with('"') {
            string(raw)?
        } else {
            raw.get().into()
        }))
    }
}

/// serde_json's words with the column; the line is the caller's to name.
pub fn json_error(error: &serde_json::Error) -> String {
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

//! A record as a line of JSON: what `read -o json` prints, `produce --envelope` writes back, and a lake's files hold.

pub mod read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use crate::record::{Header, RecordRef, Timestamp};

/// Appends a record as a line, without the line break.
pub fn write(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    out.extend_from_slice(b"{\"topic\":");
    quoted(out, record.topic);
    // Writing to a Vec cannot fail.
    use std::io::Write as _;
    let _ = write!(out, ",\"partition\":{},\"offset\":{}", record.partition, record.offset);
    match record.timestamp {
        Some(Timestamp(time)) => drop(write!(out, ",\"timestamp\":{time}")),
        None => out.extend_from_slice(b",\"timestamp\":null"),
    }
    out.extend_from_slice(b",\"key\":");
    match record.key.map(|key| (key, std::str::from_utf8(key))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => quoted(out, text),
        Some((bytes, Err(_))) => {
            quoted(out, &BASE64.encode(bytes));
            out.extend_from_slice(b",\"keyEncoding\":\"base64\"");
        }
    }
    if !record.headers.is_empty() {
        out.extend_from_slice(b",\"headers\":");
        write_headers(out, record.headers);
    }
    out.extend_from_slice(b",\"value\":");
    write_value(out, record.value);
    out.push(b'}');
}

fn write_headers(out: &mut Vec<u8>, headers: &[Header]) {
    for (at, header) in headers.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[[" } else { b",[" });
        quoted(out, &header.key);
        out.push(b',');
        match header.value.as_deref().map(|value| (value, std::str::from_utf8(value))) {
            None => out.extend_from_slice(b"null"),
            Some((_, Ok(text))) => quoted(out, text),
            Some((bytes, Err(_))) => {
                out.extend_from_slice(b"{\"base64\":");
                quoted(out, &BASE64.encode(bytes));
                out.push(b'}');
            }
        }
        out.push(b']');
    }
    out.push(b']');
}

/// Appends a value, and how it is encoded where it is no JSON.
pub fn write_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(bytes) = value else {
        return out.extend_from_slice(b"null");
    };
    match std::str::from_utf8(bytes) {
        // `null` as a value's text is no tombstone, so it cannot stand there as it is.
        Ok(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if raw.get() != "null" => compact(out, raw.get()),
            _ => {
                quoted(out, text);
                out.extend_from_slice(b",\"valueEncoding\":\"text\"");
            }
        },
        Err(_) => {
            quoted(out, &BASE64.encode(bytes));
            out.extend_from_slice(b",\"valueEncoding\":\"base64\"");
        }
    }
}

/// JSON without the white space between its tokens, so that it stays on one line.
fn compact(out: &mut Vec<u8>, json: &str) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let bytes = json.as_bytes();
    if !bytes.iter().any(blank) {
        return out.extend_from_slice(bytes);
    }
    let (mut inside, mut escaped) = (false, false);
    for byte in bytes {
        if inside {
            inside = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if blank(byte) {
            continue;
        } else {
            inside = *byte == b'"';
        }
        out.push(*byte);
    }
}

/// A JSON string.
fn quoted(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

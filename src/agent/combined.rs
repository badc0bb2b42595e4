//! A line of an access log, taken apart: the common and the combined format of Apache httpd and nginx.
//!
//! `203.0.113.9 - ada [04/Nov/2024:08:00:01 +0000] "GET /cart HTTP/1.1" 200 512 "https://shop.example/" "Mozilla/5.0" 0.042`:
//! referrer and agent may be missing, and a number of seconds may stand behind them, as nginx writes with `$request_time`.

use jiff::fmt::strtime;
use serde_json::{Map, Value, json};

use crate::record::Timestamp;

/// A request as its line says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// When it was received.
    pub time: Timestamp,
    /// Its fields, named and nested as in the Elastic Common Schema.
    pub fields: Map<String, Value>,
}

/// Takes a line apart, or says what is wrong with it.
pub fn parse(line: &str) -> Result<Access, String> {
    let mut rest = Rest(line);
    let address = rest.word("the client's address")?;
    let _identity = rest.word("the identity")?;
    let user = rest.word("the user")?;
    let time = rest.between('[', ']', "the time in brackets")?;
    let request = rest.between('"', '"', "the request in quotes")?;
    let status = rest.word("the status")?;
    let bytes = rest.word("the size")?;
    let time = strtime::parse("%d/%b/%Y:%H:%M:%S %z", &time)
        .and_then(|time| time.to_timestamp())
        .map_err(|_| format!("`{time}` is no time such as 04/Nov/2024:08:00:01 +0000"))?;
    let status: u16 = status.parse().map_err(|_| format!("`{status}` is no status"))?;
    let mut http = Map::new();
    let mut fields = Map::new();
    let mut parts = request.split(' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(url), Some(version), None) if !method.is_empty() => {
            http.insert("request".to_owned(), json!({ "method": method }));
            if let Some(version) = version.strip_prefix("HTTP/") {
                http.insert("version".to_owned(), version.into());
            }
            fields.insert("url".to_owned(), json!({ "original": url }));
        }
        _ => return Err(format!("`{request}` is no request such as GET /cart HTTP/1.1")),
    }
    let mut response = json!({ "status_code": status });
    if bytes != "-" {
        let bytes: u64 = bytes.parse().map_err(|_| format!("`{bytes}` is no size"))?;
        response["body"] = json!({ "bytes": bytes });
    }
    http.insert("response".to_owned(), response);
    if rest.0.starts_with('"') {
        let referrer = rest.between('"', '"', "the referrer in quotes")?;
        let agent = rest.between('"', '"', "the agent in quotes")?;
        if referrer != "-"
            && let Some(request) = http.get_mut("request")
        {
            request["referrer"] = referrer.into();
        }
        if agent != "-" {
            fields.insert("user_agent".to_owned(), json!({ "original": agent }));
        }
    }
    if !rest.0.is_empty() {
        let nanoseconds = nanoseconds(rest.0).ok_or_else(|| format!("what is `{}` at its end?", rest.0))?;
        fields.insert("event".to_owned(), json!({ "duration": nanoseconds }));
    }
    fields.insert("source".to_owned(), json!({ "address": address }));
    if user != "-" {
        fields.insert("user".to_owned(), json!({ "name": user }));
    }
    fields.insert("http".to_owned(), Value::Object(http));
    Ok(Access {
        time: Timestamp(time.as_millisecond()),
        fields,
    })
}

/// Seconds with at most nine digits behind the point, in whole nanoseconds.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
}

/// What is left of a line.
struct Rest<'l>(&'l str);

impl<'l> Rest<'l> {
    fn word(&mut self, what: &str) -> Result<&'l str, String> {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        if word.is_empty() {
            return Err(format!("{what} is missing"));
        }
        self.0 = rest;
        Ok(word)
    }

    /// What stands between two characters; a backslash before one takes its meaning.
    fn between(&mut self, open: char, close: char, what: &str) -> Result<String, String> {
        let missing = || format!("{what} is missing");
        let inside = self.0.strip_prefix(open).ok_or_else(missing)?;
        let mut text = String::new();
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == close {
                let rest = &inside[at + c.len_utf8()..];
                self.0 = rest.strip_prefix(' ').unwrap_or(rest);
                return Ok(text);
            }
            match c {
                '\\' => {
                    // nginx writes what it does not print as \x22, which is kept as it is.
                    let next = chars.next().map(|(_, next)| next).ok_or_else(missing)?;
                    if next != '"' && next != '\\' {
                        text.push('\\');
                    }
                    text.push(next);
                }
                c => text.push(c),
            }
        }
        Err(format!("{what} has no end"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = r#"203.0.113.9 - ada [04/Nov/2024:09:00:01 +0100] "GET /cart?id=1 HTTP/1.1" 200 512 "https://shop.example/" "Mozilla \"5\"" 0.042"#;
        let access = parse(line).unwrap();
        assert_eq!(access.time.0, 1_730_707_201_000);
        assert_eq!(
            Value::Object(access.fields),
            json!({
                "source": {"address": "203.0.113.9"},
                "user": {"name": "ada"},
                "url": {"original": "/cart?id=1"},
                "http": {
                    "version": "1.1",
                    "request": {"method": "GET", "referrer": "https://shop.example/"},
                    "response": {"status_code": 200, "body": {"bytes": 512}},
                },
                "user_agent": {"original": "Mozilla \"5\""},
                "event": {"duration": 42_000_000},
            })
        );
    }

    #[test]
    fn the_common_format_has_less() {
        let access = parse(r#"::1 - - [04/Nov/2024:08:00:01 +0000] "GET / HTTP/2.0" 304 -"#).unwrap();
        assert_eq!(access.fields["http"]["response"], json!({"status_code": 304}));
        assert!(!access.fields.contains_key("user") && !access.fields.contains_key("event"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, reason) in [
            ("", "the client's address is missing"),
            ("a b c d", "the time in brackets is missing"),
            (
                r#"a - - [x] "GET / HTTP/1.1" 200 1"#,
                "`x` is no time such as 04/Nov/2024:08:00:01 +0000",
            ),
            (
                r#"a - - [04/Nov/2024:08:00:01 +0000] "GET / HTTP/1.1 200 1"#,
                "the request in quotes has no end",
            ),
            (
                r#"a - - [04/Nov/2024:08:00:01 +0000] "\x16\x03" 400 1"#,
                r"`\x16\x03` is no request such as GET /cart HTTP/1.1",
            ),
            (
                r#"a - - [04/Nov/2024:08:00:01 +0000] "GET / HTTP/1.1" ok 1"#,
                "`ok` is no status",
            ),
            (
                r#"a - - [04/Nov/2024:08:00:01 +0000] "GET / HTTP/1.1" 200 1 "-" "-" soon"#,
                "what is `soon` at its end?",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err(), reason, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_answered(line in ".{0,120}") {
            let _ = parse(&line);
        }
    }
}

//! `-- upcast: TYPE` and `-- upcast: TYPE v1`.

use std::ops::Range;

use crate::projection::header::Header;
use crate::projection::token::Token;
use crate::projection::{Upcast, statement};

use super::{Asking, Parser, Result, Section};

/// An upcast whose SELECT has not come yet.
pub(super) struct Head {
    event: String,
    version: Option<String>,
    line: usize,
    pub(super) span: Range<usize>,
}

impl Parser<'_> {
    pub(super) fn upcast(&mut self, header: &Header) -> Result<()> {
        let (event, version) = self.event_and_version(header)?;
        let span = header.span.start..header.value_span.end;
        if version.is_some() && self.version.is_none() {
            return Err(self
                .error(
                    header.value_span.clone(),
                    "the file does not say where an event's version stands",
                    "events of this version",
                )
                .with_help(
                    "write the way to it at the top: `-- version: $.v`; a type that only looks like that is quoted: \
                     `-- upcast: \"Order v2\"`",
                ));
        }
        let same = |upcast: &&Upcast| upcast.event == event && upcast.version == version;
        if let Some(first) = self.upcasts.iter().find(same) {
            return Err(self
                .error(span, "two upcasts are for the same events", "again")
                .also(first.span.clone(), "the first")
                .with_help("write one SELECT for them; CASE chooses within it"));
        }
        self.hash.upcast(&event, version.as_deref());
        self.section = Section::Select("an upcast");
        self.asking = Some(Asking::Upcast(Head {
            event,
            version,
            line: self.line(header.span.start),
            span,
        }));
        Ok(())
    }

    /// `Deposited`, `Deposited v1`, `"a type with v1"`, `"a type" v1`.
    fn event_and_version(&self, header: &Header) -> Result<(String, Option<String>)> {
        let value = header.value.as_str();
        if matches!(value, "" | "*" | "tombstone") {
            return Err(self
                .error(
                    header.value_span.clone(),
                    "an upcast is for one type of event",
                    "no type",
                )
                .with_help("write the type of the old events: `-- upcast: Deposited`, or `-- upcast: Deposited v1`"));
        }
        if value.starts_with('"') {
            let mut read = serde_json::Deserializer::from_str(value).into_iter::<String>();
            let event = read.next().and_then(std::result::Result::ok);
            let rest = value.get(read.byte_offset()..).unwrap_or_default().trim();
            return match (event, version(rest)) {
                (Some(event), version) if version.is_some() || rest.is_empty() => Ok((event, version)),
                _ => Err(self.badly_quoted(header)),
            };
        }
        let split = value.rsplit_once(char::is_whitespace);
        Ok(
            match split.and_then(|(event, last)| Some((event.trim_end(), version(last)?))) {
                Some((event, version)) => (event.to_owned(), Some(version)),
                None => (value.to_owned(), None),
            },
        )
    }

    pub(super) fn upcast_select(&mut self, head: Head, tokens: &[Token]) -> Result<()> {
        statement::check_select(self.source, tokens, "an upcast").map_err(|refusal| self.refused(refusal))?;
        let select = self.bound(tokens)?;
        self.upcasts.push(Upcast {
            event: head.event,
            version: head.version,
            line: head.line,
            span: head.span,
            select,
        });
        Ok(())
    }
}

/// The version in `v1`, which begins with a digit so that `Order void` is a type.
fn version(word: &str) -> Option<String> {
    let version = word.strip_prefix('v')?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

//! `-- emit: TOPIC` and `-- emit: TOPIC on TYPE, TYPE`.

use std::ops::Range;

use crate::projection::header::{Header, nearest};
use crate::projection::token::Token;
use crate::projection::{Emit, On, name, statement};

use super::{Asking, Parser, Result, Section};

/// An emit whose SELECT has not come yet.
pub(super) struct Head {
    topic: String,
    on: Vec<On>,
    line: usize,
    pub(super) span: Range<usize>,
}

impl Parser<'_> {
    pub(super) fn emit(&mut self, header: &Header) -> Result<()> {
        self.check_last_handler()?;
        let span = header.span.start..header.value_span.end;
        let mut words = header.value.splitn(2, char::is_whitespace);
        let topic = words.next().unwrap_or_default();
        if topic.is_empty() {
            return Err(self
                .error(span, "this emit goes to no topic", "the topic is missing")
                .with_help("write the topic that its rows are published to: `-- emit: overdrafts`"));
        }
        let start = header.value_span.start;
        name::check_topic(topic).map_err(|(message, _)| {
            self.error(start..start + topic.len(), message, "the topic").with_help(
                "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ - and is neither `.` nor `..`; each emit has one",
            )
        })?;
        let on = match words.next().map(str::trim) {
            None | Some("") => Vec::new(),
            Some(rest) => self.events(rest, header)?,
        };
        self.section = Section::Select("an emit");
        self.asking = Some(Asking::Emit(Head {
            topic: topic.to_owned(),
            on,
            line: self.line(header.span.start),
            span,
        }));
        Ok(())
    }

    /// The types after `on`.
    fn events(&self, text: &str, header: &Header) -> Result<Vec<On>> {
        let wrong = |message: &str| {
            self.error(header.value_span.clone(), message, "the topic and what it follows")
                .with_help("write the topic, and where not every event counts their types: `-- emit: overdrafts on Withdrawn, Closed`")
        };
        let types = match text.strip_prefix("on") {
            Some(types) if types.starts_with(char::is_whitespace) => types.trim(),
            _ => return Err(wrong("this says more than a topic")),
        };
        let each = types.split(',').map(str::trim);
        each.map(|event| match event {
            "" => Err(wrong("a type is missing")),
            "tombstone" => Ok(On::Tombstone),
            quoted if quoted.starts_with('"') => {
                let event = serde_json::from_str(quoted).map_err(|_| self.badly_quoted(header))?;
                Ok(On::Type(event))
            }
            plain => Ok(On::Type(plain.to_owned())),
        })
        .collect()
    }

    pub(super) fn emit_select(&mut self, head: Head, tokens: &[Token]) -> Result<()> {
        statement::check_select(self.source, tokens, "an emit").map_err(|refusal| self.refused(refusal))?;
        let select = self.binding(tokens)?;
        self.emits.push(Emit {
            topic: head.topic,
            on: head.on,
            line: head.line,
            span: head.span,
            select,
        });
        Ok(())
    }

    /// What only the whole file tells: that no emit feeds the projection itself, and that what it follows is applied.
    pub(super) fn check_emits(&self) -> Result<()> {
        for emit in &self.emits {
            if let Some((_, topic)) = self.topics.iter().find(|(topic, _)| *topic == emit.topic) {
                return Err(self
                    .error(
                        emit.span.clone(),
                        format!("the projection would read what it publishes to `{}`", emit.topic),
                        "each record that it emits would be an event of its own",
                    )
                    .also(topic.clone(), "it reads this topic")
                    .with_help("publish to another topic"));
            }
            let handled = |on: &On| self.handlers.iter().any(|handler| handler.on == *on);
            let others = handled(&On::Other);
            let applied = |on: &&On| handled(on) || (others && **on != On::Tombstone);
            if let Some(unknown) = emit.on.iter().find(|on| !applied(on)) {
                let known = self.handlers.iter().map(|handler| handler.on.to_string());
                let known: Vec<String> = known.filter(|known| known != "*").collect();
                let help = match nearest(&unknown.to_string(), known.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => {
                        "an emit comes after the handlers of an event, and those without one are ignored; write one \
                             below `-- on:`"
                            .to_owned()
                    }
                };
                return Err(self
                    .error(
                        emit.span.clone(),
                        format!("no handler is for `{unknown}`"),
                        "never applied",
                    )
                    .with_help(help));
            }
        }
        Ok(())
    }
}

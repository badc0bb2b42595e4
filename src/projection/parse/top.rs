//! What a file says of itself as a whole: its name, its topics, and where an event's type and version stand.

use crate::decode::fields::FieldPath;
use crate::projection::header::{Header, Item, nearest};
use crate::projection::{On, TypeSchema, name, statement};

use super::{DEEPEST, Parser, Result};

impl Parser<'_> {
    /// The headers about the file as a whole, which the statements below may need.
    pub(super) fn file_headers(&mut self, items: &[Item]) -> Result<()> {
        for item in items {
            let header = match item {
                Item::Header(header) => header,
                Item::Statement(tokens) if self.name.is_none() => {
                    let span = tokens.first().map_or(0..0, |t| t.span.clone());
                    return Err(self
                        .error(span, "a statement stands before the projection's name", "whose is it?")
                        .with_help(
                            "begin the file with `-- projection: NAME`, `-- topic: TOPIC` and `-- type: $.type`",
                        ));
                }
                Item::Statement(_) | Item::Row(_) => continue,
            };
            match header.word.as_str() {
                "projection" => self.projection(header)?,
                "topic" => self.topic(header)?,
                "type" => self.type_path(header)?,
                "version" => self.version_path(header)?,
                "history" => self.history(header)?,
                "schema" => self.schema(header)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn projection(&mut self, header: &Header) -> Result<()> {
        if let Some((_, first)) = &self.name {
            return Err(self
                .error(header.span.clone(), "the file has two names", "again")
                .also(first.clone(), "the first")
                .with_help("one file is one projection: move the second into a file of its own"));
        }
        name::check_projection(&header.value).map_err(|(message, help)| {
            self.error(header.value_span.clone(), message, "the name")
                .with_help(help)
        })?;
        self.name = Some((header.value.clone(), header.value_span.clone()));
        Ok(())
    }

    fn topic(&mut self, header: &Header) -> Result<()> {
        let mut at = header.value_span.start;
        for part in header.value.split(',') {
            let topic = part.trim();
            let start = at + (part.len() - part.trim_start().len());
            let span = if topic.is_empty() {
                header.value_span.clone()
            } else {
                start..start + topic.len()
            };
            name::check_topic(topic)
                .map_err(|(message, help)| self.error(span.clone(), message, "the topic").with_help(help))?;
            if let Some((_, first)) = self.topics.iter().find(|(known, _)| known == topic) {
                return Err(self
                    .error(span, format!("the topic `{topic}` is named twice"), "again")
                    .also(first.clone(), "the first"));
            }
            self.topics.push((topic.to_owned(), span));
            at += part.len() + 1;
        }
        Ok(())
    }

    fn type_path(&mut self, header: &Header) -> Result<()> {
        if let Some(first) = &self.type_path {
            return Err(self
                .error(
                    header.span.clone(),
                    "the file says twice where the type stands",
                    "again",
                )
                .also(first.clone(), "the first"));
        }
        let path = self.path(
            header,
            "where the type stands",
            "`-- type: $.type`, `$.meta.kind` or `$.events[0].type`",
        )?;
        if let Some(first) = self.fields.first_mut() {
            *first = path;
        }
        self.type_path = Some(header.value_span.clone());
        Ok(())
    }

    fn version_path(&mut self, header: &Header) -> Result<()> {
        if let Some((_, first)) = &self.version {
            return Err(self
                .error(
                    header.span.clone(),
                    "the file says twice where the version stands",
                    "again",
                )
                .also(first.clone(), "the first"));
        }
        let path = self.path(
            header,
            "where the version stands",
            "`-- version: $.v` or `$.meta.version`",
        )?;
        let slot = statement::slot(&mut self.fields, path);
        self.version = Some((slot, header.value_span.clone()));
        Ok(())
    }

    fn history(&mut self, header: &Header) -> Result<()> {
        if let Some((_, first)) = &self.history {
            return Err(self
                .error(
                    header.span.clone(),
                    "the file says twice whether to keep the history",
                    "again",
                )
                .also(first.clone(), "the first"));
        }
        let on = match header.value.to_ascii_lowercase().as_str() {
            "on" => true,
            "off" => false,
            _ => {
                return Err(self
                    .error(header.value_span.clone(), "a history is on or off", "this is neither")
                    .with_help("write `-- history: on`: what each event does to the rows is then kept, and `foldlog blame` answers at once"));
            }
        };
        self.history = Some((on, header.value_span.clone()));
        Ok(())
    }

    fn schema(&mut self, header: &Header) -> Result<()> {
        let named = header.value.rsplit_once(char::is_whitespace).and_then(|(event, file)| {
            let event = event.trim_end();
            let plain = || Some(event.to_owned()).filter(|event| !event.is_empty());
            let event = match event.starts_with('"') {
                true => serde_json::from_str(event).ok(),
                false => plain(),
            };
            Some((event?, file.to_owned()))
        });
        let Some((event, file)) = named else {
            return Err(self
                .error(header.value_span.clone(), "a schema is for a type and stands in a file", "one of them is missing")
                .with_help("write the type and then the file, from this one's folder: `-- schema: Deposited schemas/deposited.json`"));
        };
        if let Some(first) = self.schemas.iter().find(|schema| schema.event == event) {
            return Err(self
                .error(
                    header.span.clone(),
                    format!("the type `{event}` has two schemas"),
                    "again",
                )
                .also(first.span.clone(), "the first"));
        }
        self.schemas.push(TypeSchema {
            event,
            file,
            line: self.line(header.span.start),
            span: header.span.start..header.value_span.end,
            text: None,
        });
        Ok(())
    }

    /// A schema of a type that no handler is for would hold nothing against anything.
    pub(super) fn check_schemas(&self) -> Result<()> {
        let is_handled = |event: &str| {
            self.handlers.iter().any(|handler| match &handler.on {
                On::Type(of) => of == event,
                On::Other => true,
                On::Tombstone => false,
            })
        };
        let Some(schema) = self.schemas.iter().find(|schema| !is_handled(&schema.event)) else {
            return Ok(());
        };
        let message = format!("no handler is for the type `{}`, which has a schema", schema.event);
        let types = self.handlers.iter().filter_map(|handler| match &handler.on {
            On::Type(of) => Some(of.as_str()),
            On::Other | On::Tombstone => None,
        });
        let help = match nearest(&schema.event, types) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                "an event that no handler is for is ignored, whatever it holds: take the schema out, or add a handler"
                    .to_owned()
            }
        };
        Err(self
            .error(schema.span.clone(), message, "its events are ignored")
            .with_help(help))
    }

    fn path(&self, header: &Header, label: &str, examples: &str) -> Result<FieldPath> {
        let path = name::parse_path(&header.value).filter(|path| path.0.len() <= DEEPEST);
        path.ok_or_else(|| {
            self.error(header.value_span.clone(), "this is not a path", label)
                .with_help(format!("write the way to it from the value: {examples}"))
        })
    }
}

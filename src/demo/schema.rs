//! Events against the JSON Schema of their type.

use std::collections::HashMap;

use jsonschema::Validator;

use crate::decode::fields::{FieldPath, FieldSet, Scalar};

use super::error::DemoError;
use super::events::Event;
use super::folder::Folder;

/// The schemas that a demo's events need, read once each.
pub(super) struct Schemas<'f> {
    folder: &'f Folder,
    prefix: &'f str,
    /// For each topic where its events' type stands.
    types: HashMap<String, FieldSet>,
    known: HashMap<(String, String), (String, Validator)>,
}

impl<'f> Schemas<'f> {
    /// `prefix` is what the topics' names begin with on the cluster, and no part of a schema's name.
    pub(super) fn new(
        folder: &'f Folder,
        prefix: &'f str,
        types: impl IntoIterator<Item = (String, FieldPath)>,
    ) -> Self {
        let types = types.into_iter().map(|(topic, path)| (topic, FieldSet::new(&[path])));
        Self {
            folder,
            prefix,
            types: types.collect(),
            known: HashMap::new(),
        }
    }

    /// Checks an event's value; a tombstone needs no schema. `number` is the event's, for the message.
    pub(super) fn check(&mut self, number: usize, event: &Event) -> Result<(), DemoError> {
        let Some(bytes) = &event.value else {
            return Ok(());
        };
        let value = String::from_utf8_lossy(bytes).into_owned();
        let wrong = |schema: &str, reason: String| DemoError::Schema {
            number,
            topic: event.topic.clone(),
            schema: schema.to_owned(),
            reason,
            value: value.clone(),
        };
        let mut slots = Vec::new();
        if let Some(set) = self.types.get(&event.topic) {
            set.extract(bytes, &mut slots)
                .map_err(|error| wrong("JSON", error.to_string()))?;
        }
        let Some(Scalar::Text(kind)) = slots.first() else {
            return Err(wrong("its topic's `type`", "it has no type there".to_owned()));
        };
        let key = (event.topic.clone(), kind.to_string());
        if !self.known.contains_key(&key) {
            let loaded = self.load(
                event.topic.strip_prefix(self.prefix).unwrap_or(&event.topic),
                kind,
                &wrong,
            )?;
            self.known.insert(key.clone(), loaded);
        }
        let Some((schema, validator)) = self.known.get(&key) else {
            return Ok(());
        };
        let json = serde_json::from_slice(bytes).map_err(|error| wrong(schema, error.to_string()))?;
        match validator.iter_errors(&json).next() {
            None => Ok(()),
            Some(error) => {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() {
                    String::new()
                } else {
                    format!("{place}: ")
                };
                Err(wrong(schema, format!("{place}{error}")))
            }
        }
    }

    fn load(
        &self,
        topic: &str,
        kind: &str,
        wrong: &dyn Fn(&str, String) -> DemoError,
    ) -> Result<(String, Validator), DemoError> {
        let name = format!("schemas/{topic}/{kind}.json");
        let found = self.folder.schema(topic, kind)?;
        let (file, text) = found.ok_or_else(|| wrong(&name, "there is no such schema".to_owned()))?;
        let json = serde_json::from_str(&text).map_err(|error| wrong(&file, error.to_string()))?;
        let validator = jsonschema::validator_for(&json).map_err(|error| wrong(&file, error.to_string()))?;
        Ok((file, validator))
    }
}

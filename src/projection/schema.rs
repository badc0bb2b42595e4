//! The schemas that a file names: whoever reads the file reads them too, because they decide what the read model holds.

use std::sync::Arc;

use crate::decode::schema::Schema;

use super::error::ProjectionError;
use super::{Projection, hash};

impl Projection {
    /// Reads the schemas, each through `read`, which is given its file as it is written. They become part of the hash.
    pub fn read_schemas(
        &mut self,
        mut read: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<(), Box<ProjectionError>> {
        let mut schemas = std::mem::take(&mut self.schemas);
        for schema in &mut schemas {
            let wrong = |what: String, help: &str| {
                let message = format!("the schema {} {what}", schema.file);
                let error = self.error_at(schema.span.clone(), message, "named here");
                error.with_help(help)
            };
            let text = read(&schema.file).map_err(|error| {
                wrong(
                    format!("cannot be read: {error}"),
                    "its place is told from that of this file",
                )
            })?;
            Schema::new(&text).map_err(|error| {
                wrong(
                    format!("is no JSON Schema: {error}"),
                    "what it refers to must stand within it: nothing is fetched",
                )
            })?;
            schema.text = Some(Arc::from(text));
        }
        let read = schemas
            .iter()
            .filter_map(|schema| Some((&*schema.event, &**schema.text.as_ref()?)));
        self.hash = hash::with_schemas(&self.hash, read);
        self.schemas = schemas;
        Ok(())
    }
}

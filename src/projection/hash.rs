//! What decides a read model's rows, as one number: two files with the same hash build the same read model.

use sha2::{Digest, Sha256};

use crate::decode::fields::FieldPath;

use super::On;
use super::token::Token;

/// Collects a definition's tokens. Comments, spacing and where a statement stands in the file leave no trace.
#[derive(Default)]
pub(super) struct Hasher {
    body: Sha256,
}

impl Hasher {
    pub(super) fn handler(&mut self, on: &On) {
        match on {
            On::Type(name) => part(&mut self.body, b'T', name),
            On::Other => part(&mut self.body, b'*', ""),
            On::Tombstone => part(&mut self.body, b'0', ""),
        }
    }

    pub(super) fn upcast(&mut self, event: &str, version: Option<&str>) {
        part(&mut self.body, b'u', event);
        if let Some(version) = version {
            part(&mut self.body, b'r', version);
        }
    }

    pub(super) fn invariant(&mut self, name: &str) {
        part(&mut self.body, b'i', name);
    }

    pub(super) fn alert(&mut self, name: &str) {
        part(&mut self.body, b'a', name);
    }

    pub(super) fn statement(&mut self, source: &str, tokens: &[Token]) {
        for token in tokens {
            part(&mut self.body, b't', token.text(source));
        }
        part(&mut self.body, b';', "");
    }

    /// The hash as hex. `topics` in a fixed order: the file's makes no difference to the rows.
    pub(super) fn finish(
        self,
        name: &str,
        topics: &[String],
        type_path: &FieldPath,
        version_path: Option<&FieldPath>,
    ) -> String {
        let mut whole = Sha256::new();
        part(&mut whole, b'v', "1");
        part(&mut whole, b'n', name);
        for topic in topics {
            part(&mut whole, b'k', topic);
        }
        for segment in &type_path.0 {
            part(&mut whole, b'p', segment);
        }
        for segment in version_path.iter().flat_map(|path| &path.0) {
            part(&mut whole, b'w', segment);
        }
        whole.update(self.body.finalize());
        whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The hash of a file together with those of the schemas that it names. How a schema is spaced makes no difference.
pub(super) fn with_schemas<'s>(file: &str, schemas: impl Iterator<Item = (&'s str, &'s str)>) -> String {
    let mut whole = Sha256::new();
    let mut any = false;
    part(&mut whole, b'f', file);
    for (event, text) in schemas {
        any = true;
        part(&mut whole, b'e', event);
        let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
        part(
            &mut whole,
            b's',
            &json.map_or_else(|| text.to_owned(), |json| json.to_string()),
        );
    }
    if !any {
        return file.to_owned();
    }
    whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tagged, length-prefixed part, so that no two sequences of parts write the same bytes.
fn part(hash: &mut Sha256, tag: u8, text: &str) {
    hash.update([tag]);
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

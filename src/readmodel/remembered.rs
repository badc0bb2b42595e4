//! Conditions to which people ran in the past of a read model, kept beside its builds for the next session.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::ReadModelError;
use super::store::{self, Store};

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What somebody typed.
    pub text: String,
    /// The SELECT that it means.
    pub sql: String,
}

impl Store {
    /// Those of a read model, the one that was run to last at the end. A file that cannot be read has none: it holds nothing that cannot
    /// be typed again.
    pub fn remembered(&self, name: &str) -> Vec<Remembered> {
        let text = fs::read(self.remembered_path(name));
        text.ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Keeps these instead. Of two who do so at once, one is kept.
    pub fn remember(&self, name: &str, conditions: &[Remembered]) -> Result<(), ReadModelError> {
        let path = self.remembered_path(name);
        let making = path.with_extension(format!("{}.making", std::process::id()));
        let text = serde_json::to_vec_pretty(conditions).unwrap_or_default();
        let written = fs::write(&making, text).and_then(|()| fs::rename(&making, &path));
        if written.is_err() {
            let _ = fs::remove_file(&making);
        }
        written.map_err(|error| ReadModelError::io("cannot write", &path, error))
    }

    fn remembered_path(&self, name: &str) -> PathBuf {
        self.root().join(format!("{}.conditions.json", store::stem(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_kept_for_each_read_model() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "lab").unwrap();
        fs::create_dir_all(store.root()).unwrap();
        let one = |text: &str| Remembered {
            text: text.to_owned(),
            sql: format!("SELECT {text}"),
        };
        assert_eq!(store.remembered("a"), []);
        store.remember("A", &[one("1 < 2"), one("\"ü\" IS NULL")]).unwrap();
        store.remember("b", &[]).unwrap();
        assert_eq!(store.remembered("a"), [one("1 < 2"), one("\"ü\" IS NULL")]);
        assert_eq!(store.remembered("b"), []);
        store.remember("a", &[one("3")]).unwrap();
        assert_eq!(store.remembered("a"), [one("3")]);
        assert_eq!(
            fs::read_dir(store.root()).unwrap().count(),
            2,
            "nothing is left beside them"
        );
        fs::write(store.remembered_path("a"), "{").unwrap();
        assert_eq!(store.remembered("a"), []);
        assert!(store.list().unwrap().is_empty());
    }
}

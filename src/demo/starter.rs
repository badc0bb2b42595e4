//! A demo to begin with: small, whole, and commented.

use std::path::{Path, PathBuf};

use super::error::DemoError;
use super::folder::write_new;

/// What stands in the files where the demo's id belongs.
const PLACE: &str = "my-demo";

const FILES: &[(&str, &str)] = &[
    ("demo.toml", include_str!("starter/demo.toml")),
    ("lesson.en.md", include_str!("starter/lesson.en.md")),
    ("lesson.zh.md", include_str!("starter/lesson.zh.md")),
    ("projections/pages.sql", include_str!("starter/pages.sql")),
];
const SCHEMA: &str = include_str!("starter/PageViewed.json");

/// Writes a new demo into `dir`, which may not hold any of its files yet.
pub fn begin(id: &str, dir: &Path) -> Result<Vec<PathBuf>, DemoError> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.len() > 40 || !id.chars().all(valid) {
        return Err(DemoError::NotOurs {
            reason: format!("`{}` cannot be a demo's id", id.escape_debug()),
            help: "an id is of lower-case letters, digits and hyphens, 40 at most: it begins the names of topics"
                .to_owned(),
        });
    }
    let schema = format!("schemas/{id}-views/PageViewed.json");
    let files = FILES.iter().map(|(path, text)| (PathBuf::from(path), *text));
    let files = files.chain([(PathBuf::from(schema), SCHEMA)]);
    let files = files.map(|(path, text)| (path, text.replace(PLACE, id).into_bytes()));
    write_new(dir, files)
}

//! Which file a read model is of: whether another would take it over, and whether a file still is its projection's.

use std::fs;

use crate::projection::Projection;
use crate::projection::parse::parse;
use crate::readmodel::store::ReadModelInfo;

/// The file from which a read model was built that another file's projection would take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The file.
    pub from: String,
    /// Whether it is still there and has the projection too. Two files that both have the name are most likely two projections,
    /// of which the one would undo the other's work. One that is gone was most likely moved.
    pub there: bool,
}

/// Whether a build of a projection would take over a read model of its name from another file; `None` if it would not.
pub fn takeover(built: &ReadModelInfo, projection: &Projection) -> Option<Takeover> {
    if built.hash == projection.hash || same_file(&built.file, &projection.file) {
        return None;
    }
    let other = fs::read_to_string(&built.file).ok();
    let other = other.and_then(|text| parse(&text, &built.file).ok());
    Some(Takeover {
        there: other.is_some_and(|other| other.name.eq_ignore_ascii_case(&projection.name)),
        from: built.file.clone(),
    })
}

fn same_file(one: &str, two: &str) -> bool {
    one == two || matches!((fs::canonicalize(one), fs::canonicalize(two)), (Ok(one), Ok(two)) if one == two)
}

/// Whether a file's projection still has the name of a read model that was built from it.
pub fn still(built: &ReadModelInfo, projection: &Projection) -> bool {
    projection.name.eq_ignore_ascii_case(&built.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, n: u32) -> String {
        format!(
            "-- projection: {name}\n-- topic: t\n-- type: $.type\n\nCREATE TABLE a (n INTEGER PRIMARY KEY) STRICT;\n\n-- on: A\nINSERT INTO a VALUES ({n});\n"
        )
    }

    fn built(file: &str, hash: &str) -> ReadModelInfo {
        ReadModelInfo {
            file: file.into(),
            hash: hash.into(),
            ..ReadModelInfo::blank("one".into())
        }
    }

    #[test]
    fn a_read_model_is_taken_over_only_from_another_file_that_still_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("old.sql").display().to_string();
        let now = parse(&text("One", 2), "new.sql").unwrap();
        assert!(still(&built(&place, ""), &now));
        assert!(!still(&built(&place, ""), &parse(&text("two", 2), "new.sql").unwrap()));
        assert_eq!(takeover(&built("new.sql", ""), &now), None);
        assert_eq!(takeover(&built(&place, &now.hash), &now), None);
        let there = |there| {
            Some(Takeover {
                from: place.clone(),
                there,
            })
        };
        assert_eq!(takeover(&built(&place, ""), &now), there(false), "it was moved");
        fs::write(&place, text("two", 1)).unwrap();
        assert_eq!(
            takeover(&built(&place, ""), &now),
            there(false),
            "it says something else now"
        );
        fs::write(&place, text("one", 1)).unwrap();
        assert_eq!(takeover(&built(&place, ""), &now), there(true));
    }
}

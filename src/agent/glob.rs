//! Which files a pattern means: `*` is any run of characters and `?` any one, within a name.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The files that there are for a pattern now, sorted. What cannot be listed has none.
pub(super) fn files(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy();
        found = match component {
            Component::Normal(_) if name.contains(['*', '?']) => {
                found.iter().flat_map(|folder| inside(folder, &name)).collect()
            }
            other => found.into_iter().map(|path| path.join(other)).collect(),
        };
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn inside(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let fits = names.filter(|entry| matches(pattern, &entry.file_name().to_string_lossy()));
    fits.map(|entry| entry.path()).collect()
}

/// Whether a name fits a pattern. A name that begins with a dot fits only a pattern that does, as in a shell.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The place behind the last star, and what it has swallowed so far.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((behind, from)) => {
                    star = Some((behind, from + 1));
                    (at, of) = (behind + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_that_of_a_shell() {
        for (pattern, name, fits) in [
            ("*.log", "app.log", true),
            ("*.log", "app.log.1", false),
            ("app*", "app", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("", "", true),
            ("ä?", "äö", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_found_in_folders_that_fit() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/app.log", "b/app.log", "b/app.txt", "c/deep/app.log"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = files(&folder.path().join("*/*.log"));
        assert_eq!(found, ["a/app.log", "b/app.log"].map(|name| folder.path().join(name)));
        assert!(files(&folder.path().join("nowhere/*.log")).is_empty());
    }
}

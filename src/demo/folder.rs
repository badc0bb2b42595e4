//! A demo's folder: compiled in, or on disk.

use std::fs;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::error::DemoError;

static DEMOS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/demo-data");
static SCHEMAS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/schemas");

/// What the names of files begin with that are compiled in.
pub(super) const BUILT_IN: &str = "demo:";

/// Where a demo's files are.
#[derive(Debug, Clone)]
pub(super) enum Folder {
    BuiltIn(&'static Dir<'static>),
    Disk(PathBuf),
}

impl Folder {
    /// Whether it holds a guide and no demo.
    pub(super) fn is_guide(&self) -> Result<bool, DemoError> {
        Ok(self.find("guide.toml")?.is_some())
    }

    /// Where it is: `built in`, or its path.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::BuiltIn(_) => "built in".to_owned(),
            Self::Disk(path) => path.display().to_string(),
        }
    }

    /// The folders of the demos that are compiled in.
    pub(super) fn built_in() -> impl Iterator<Item = Self> {
        DEMOS.dirs().map(Self::BuiltIn)
    }

    /// The demos below `dir`, or `dir` itself where it is one.
    pub(super) fn below(dir: &Path) -> Result<Vec<Self>, DemoError> {
        let is_one = |dir: &Path| dir.join("demo.toml").is_file() || dir.join("guide.toml").is_file();
        if is_one(dir) {
            return Ok(vec![Self::Disk(dir.to_owned())]);
        }
        let unreadable = |reason: String| DemoError::File {
            file: dir.display().to_string(),
            reason,
            help: "--demos takes a folder of demos, or one demo's own folder with its demo.toml".to_owned(),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(|error| unreadable(error.to_string()))? {
            let path = entry.map_err(|error| unreadable(error.to_string()))?.path();
            if is_one(&path) {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(unreadable("no demo.toml is in it or in a folder below it".to_owned()));
        }
        found.sort();
        Ok(found.into_iter().map(Self::Disk).collect())
    }

    /// The folder's own name, which is the demo's id.
    pub(super) fn id(&self) -> String {
        let whole;
        let path = match self {
            Self::BuiltIn(dir) => dir.path(),
            Self::Disk(path) => {
                // `.` has no name of its own.
                whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                &whole
            }
        };
        path.file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// How a file of it is called in messages.
    pub(super) fn name_of(&self, file: &str) -> String {
        match self {
            Self::BuiltIn(dir) => format!("{BUILT_IN}{}/{file}", dir.path().display()),
            Self::Disk(path) => path.join(file).display().to_string(),
        }
    }

    /// A file's text, or `None` where there is no such file.
    pub(super) fn find(&self, file: &str) -> Result<Option<String>, DemoError> {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(file).components().all(inside) {
            return Err(self.unreadable(file, "it lies outside of the demo's folder"));
        }
        match self {
            Self::BuiltIn(dir) => {
                let file = dir.get_file(dir.path().join(file));
                Ok(file.and_then(|file| file.contents_utf8()).map(str::to_owned))
            }
            Self::Disk(path) => match fs::read_to_string(path.join(file)) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.unreadable(file, &error.to_string())),
            },
        }
    }

    /// A file's text.
    pub(super) fn read(&self, file: &str) -> Result<String, DemoError> {
        self.find(file)?.ok_or_else(|| self.unreadable(file, "it is not there"))
    }

    fn unreadable(&self, file: &str, reason: &str) -> DemoError {
        DemoError::File {
            file: self.name_of(file),
            reason: reason.to_owned(),
            help:
                "a demo has demo.toml, lesson.en.md or lesson.zh.md, and every file that its demo.toml names, as UTF-8"
                    .to_owned(),
        }
    }

    /// The schema of a topic's event type: the demo's own, or else one that is compiled in.
    pub(super) fn schema(&self, topic: &str, kind: &str) -> Result<Option<(String, String)>, DemoError> {
        let file = format!("schemas/{topic}/{kind}.json");
        if let Some(text) = self.find(&file)? {
            return Ok(Some((self.name_of(&file), text)));
        }
        let built_in = SCHEMAS.get_file(format!("{topic}/{kind}.json"));
        let text = built_in.and_then(|file| file.contents_utf8());
        Ok(text.map(|text| (file, text.to_owned())))
    }

    /// Every file of the folder with its path in it.
    pub(super) fn files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, DemoError> {
        match self {
            Self::BuiltIn(dir) => {
                let mut out = Vec::new();
                let mut left = vec![*dir];
                while let Some(next) = left.pop() {
                    left.extend(next.dirs());
                    for file in next.files() {
                        let path = file.path().strip_prefix(dir.path()).unwrap_or(file.path());
                        out.push((path.to_owned(), file.contents().to_vec()));
                    }
                }
                Ok(out)
            }
            Self::Disk(root) => {
                let mut out = Vec::new();
                let mut left = vec![root.clone()];
                let fail = |error: std::io::Error| self.unreadable("", &error.to_string());
                while let Some(next) = left.pop() {
                    for entry in fs::read_dir(&next).map_err(fail)? {
                        let path = entry.map_err(fail)?.path();
                        if path.is_dir() {
                            left.push(path);
                        } else {
                            let bytes = fs::read(&path).map_err(fail)?;
                            out.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), bytes));
                        }
                    }
                }
                Ok(out)
            }
        }
    }
}

/// Writes files below `dir`, none of which may be there yet.
pub(super) fn write_new(
    dir: &Path,
    files: impl Iterator<Item = (PathBuf, Vec<u8>)>,
) -> Result<Vec<PathBuf>, DemoError> {
    let mut written = Vec::new();
    for (path, bytes) in files {
        let file = dir.join(path);
        let fail = |error: std::io::Error| DemoError::Write {
            file: file.display().to_string(),
            reason: error.to_string(),
        };
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut out = options.write(true).create_new(true).open(&file).map_err(fail)?;
        std::io::Write::write_all(&mut out, &bytes).map_err(fail)?;
        written.push(file);
    }
    written.sort();
    Ok(written)
}

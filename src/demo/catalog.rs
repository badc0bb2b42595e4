//! Which demos there are, each read whole and checked.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::broker::topics::NewTopic;
use crate::decode::fields::FieldPath;
use crate::projection::Projection;
use crate::projection::parse::{check_together, parse, parse_path};

use super::error::DemoError;
use super::events::{Event, recorded};
use super::folder::Folder;
use super::generate::Generator;
use super::manifest::{self, Expected, Manifest};
use super::schema::Schemas;
use super::text::{Language, Text};

/// Every demo that can be run.
#[derive(Debug, Clone)]
pub struct Catalog {
    demos: Vec<Demo>,
}

/// One demo.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Its folder's name.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// What it shows, in a paragraph.
    pub summary: Text,
    /// The topics that it writes; they are made if they are not there.
    pub topics: Vec<NewTopic>,
    /// Its read models.
    pub projections: Vec<Projection>,
    /// What a run looks at after the read models are built.
    pub steps: Vec<LessonStep>,
    lesson: BTreeMap<&'static str, String>,
    sources: Vec<(String, Source)>,
    types: Vec<(String, FieldPath)>,
    folder: Folder,
    order: u32,
}

/// A step of a lesson.
#[derive(Debug, Clone)]
pub struct LessonStep {
    /// What it is about.
    pub title: Text,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// Something that must hold, as a query over the read models.
#[derive(Debug, Clone)]
pub struct Check {
    /// What it says.
    pub title: Text,
    /// The query.
    pub sql: String,
    pub(super) expect: Vec<Vec<Expected>>,
}

#[derive(Debug, Clone)]
enum Source {
    Recorded { file: String, text: String },
    Generated(std::sync::Arc<Generator>),
}

impl Catalog {
    /// The demos that are compiled in, and those of the folders that `--demos` names. A demo there takes the place of one of
    /// the same id, so that a demo can be worked on without compiling it in.
    pub fn load(extra: &[PathBuf]) -> Result<Self, DemoError> {
        let mut folders: Vec<Folder> = Folder::built_in().collect();
        for dir in extra {
            for folder in Folder::below(dir)? {
                folders.retain(|known| known.id() != folder.id());
                folders.push(folder);
            }
        }
        let mut demos: Vec<Demo> = folders.into_iter().map(Demo::load).collect::<Result<_, _>>()?;
        demos.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        Ok(Self { demos })
    }

    /// The demos in the order in which they are shown.
    pub fn demos(&self) -> &[Demo] {
        &self.demos
    }

    /// A demo's projection by its file, as a read model that was built from it names it, with the demo.
    pub fn projection(&self, file: &str) -> Option<(&Demo, &Projection)> {
        self.demos.iter().find_map(|demo| {
            let projection = demo.projections.iter().find(|projection| projection.file == file)?;
            Some((demo, projection))
        })
    }

    /// A demo by its id.
    pub fn get(&self, id: &str) -> Result<&Demo, DemoError> {
        self.demos.iter().find(|demo| demo.id == id).ok_or_else(|| {
            let ids: Vec<&str> = self.demos.iter().map(|demo| demo.id.as_str()).collect();
            DemoError::NotFound {
                id: id.to_owned(),
                help: format!("there are {}; `--demos DIR` adds your own", ids.join(", ")),
            }
        })
    }
}

impl Demo {
    /// Every event, in the order in which it is written; the same at every call.
    pub fn events(&self) -> Result<Vec<Event>, DemoError> {
        let mut out = Vec::new();
        for (topic, source) in &self.sources {
            match source {
                Source::Recorded { file, text } => out.extend(recorded(text, file, topic)?),
                Source::Generated(generator) => out.extend(generator.events(topic)),
            }
        }
        Ok(out)
    }

    /// Checks every event against the JSON Schema of its type.
    pub fn check_events(&self, events: &[Event]) -> Result<(), DemoError> {
        let mut schemas = Schemas::new(&self.folder, self.types.iter().cloned());
        let mut numbered = events.iter().enumerate();
        numbered.try_for_each(|(at, event)| schemas.check(at + 1, event))
    }

    /// The lesson as Markdown, in `language` where it was written in it.
    pub fn lesson(&self, language: Language) -> &str {
        let other = self.lesson.values().next();
        self.lesson.get(language.code()).or(other).map_or("", String::as_str)
    }

    /// Where the demo comes from: `built in`, or its folder.
    pub fn origin(&self) -> String {
        match &self.folder {
            Folder::BuiltIn(_) => "built in".to_owned(),
            Folder::Disk(path) => path.display().to_string(),
        }
    }

    /// Writes the demo's files below `dir`, which may not hold any of them yet: to read, to change, to make one's own of.
    pub fn export(&self, dir: &Path) -> Result<Vec<PathBuf>, DemoError> {
        let mut written = Vec::new();
        for (path, bytes) in self.folder.files()? {
            let file = dir.join(path);
            let fail = |reason: String| DemoError::Write {
                file: file.display().to_string(),
                reason,
            };
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(|error| fail(error.to_string()))?;
            }
            let mut options = fs::OpenOptions::new();
            let mut out = options
                .write(true)
                .create_new(true)
                .open(&file)
                .map_err(|error| fail(error.to_string()))?;
            std::io::Write::write_all(&mut out, &bytes).map_err(|error| fail(error.to_string()))?;
            written.push(file);
        }
        written.sort();
        Ok(written)
    }

    fn load(folder: Folder) -> Result<Self, DemoError> {
        let file = folder.name_of("demo.toml");
        let source = folder.read("demo.toml")?;
        let loader = Loader {
            folder: &folder,
            file: &file,
            source: &source,
        };
        let manifest: Manifest = toml::from_str(&source).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            loader.wrong(span, error.message(), "here", None)
        })?;
        if manifest.title.get_ref().is_empty() {
            let help = "`title = { en = \"…\", zh = \"…\" }`: one of them is enough";
            return Err(loader.wrong(manifest.title.span(), "the demo has no title", "empty", Some(help)));
        }
        let (topics, types) = loader.topics(&manifest)?;
        let sources = loader.sources(&manifest, &topics)?;
        let projections = loader.projections(&manifest, &topics)?;
        let lesson = loader.lesson()?;
        Ok(Self {
            id: folder.id(),
            title: manifest.title.into_inner(),
            summary: manifest.summary,
            order: manifest.order.unwrap_or(u32::MAX),
            steps: manifest.steps.into_iter().map(LessonStep::from).collect(),
            topics,
            projections,
            lesson,
            sources,
            types,
            folder,
        })
    }
}

impl From<manifest::Step> for LessonStep {
    fn from(step: manifest::Step) -> Self {
        let check = |check: manifest::Check| Check {
            title: check.title,
            sql: check.sql,
            expect: check.expect,
        };
        Self {
            title: step.title,
            checks: step.checks.into_iter().map(check).collect(),
        }
    }
}

/// What reading one manifest needs, and how its errors are made.
struct Loader<'a> {
    folder: &'a Folder,
    file: &'a str,
    source: &'a str,
}

impl Loader<'_> {
    fn wrong(&self, span: Range<usize>, message: impl Into<String>, label: &str, help: Option<&str>) -> DemoError {
        DemoError::invalid(self.file, self.source, span, message, label, help.map(str::to_owned))
    }

    #[expect(
        clippy::type_complexity,
        reason = "two lists that belong together, taken apart at once"
    )]
    fn topics(&self, manifest: &Manifest) -> Result<(Vec<NewTopic>, Vec<(String, FieldPath)>), DemoError> {
        let mut topics: Vec<NewTopic> = Vec::new();
        let mut types = Vec::new();
        for topic in &manifest.topics {
            let name = topic.name.get_ref();
            if topics.iter().any(|known| known.name == *name) {
                return Err(self.wrong(topic.name.span(), "this topic is there twice", "again", None));
            }
            if !(1..=1000).contains(topic.partitions.get_ref()) {
                let message = "a topic has 1 to 1000 partitions here";
                return Err(self.wrong(topic.partitions.span(), message, "partitions", None));
            }
            let path = match &topic.type_path {
                None => FieldPath(vec!["type".to_owned()]),
                Some(text) => parse_path(text.get_ref()).ok_or_else(|| {
                    let help = "write the way to the type: `type = \"$.type\"`";
                    self.wrong(text.span(), "this is not a path", "where the type stands", Some(help))
                })?,
            };
            types.push((name.clone(), path));
            topics.push(NewTopic {
                name: name.clone(),
                partitions: Some(*topic.partitions.get_ref()),
                replication: None,
                config: topic.config.clone().into_iter().collect(),
            });
        }
        Ok((topics, types))
    }

    fn sources(&self, manifest: &Manifest, topics: &[NewTopic]) -> Result<Vec<(String, Source)>, DemoError> {
        let mut out = Vec::new();
        for events in &manifest.events {
            let topic = events.topic.get_ref();
            if !topics.iter().any(|known| known.name == *topic) {
                let help = "events go to a topic of the demo's own: add it as `[[topics]]`";
                return Err(self.wrong(events.topic.span(), "the demo has no such topic", "unknown", Some(help)));
            }
            let source = match (&events.file, &events.generate) {
                (Some(file), None) => {
                    let text = self.folder.read(file.get_ref())?;
                    let name = self.folder.name_of(file.get_ref());
                    recorded(&text, &name, topic)?;
                    Source::Recorded { file: name, text }
                }
                (None, Some(spec)) => {
                    let generator = Generator::new(spec.get_ref(), spec.span())
                        .map_err(|bad| self.wrong(bad.span, bad.message, "here", Some(&bad.help)))?;
                    Source::Generated(std::sync::Arc::new(generator))
                }
                _ => {
                    let help = "give it `file = \"….ndjson\"`, or `[events.generate]`, and not both";
                    let message = "where do these events come from?";
                    return Err(self.wrong(events.topic.span(), message, "these events", Some(help)));
                }
            };
            out.push((topic.clone(), source));
        }
        Ok(out)
    }

    fn projections(&self, manifest: &Manifest, topics: &[NewTopic]) -> Result<Vec<Projection>, DemoError> {
        let mut out: Vec<Projection> = Vec::new();
        for projection in &manifest.projections {
            let file = projection.file.get_ref();
            let mut parsed = parse(&self.folder.read(file)?, &self.folder.name_of(file))?;
            parsed.read_schemas(|schema| self.folder.read(schema).map_err(|error| error.to_string()))?;
            if let Some(topic) = parsed
                .topics
                .iter()
                .find(|topic| topics.iter().all(|known| known.name != **topic))
            {
                let message = format!("{file} reads the topic `{topic}`, which the demo does not write");
                return Err(self.wrong(projection.file.span(), message, "this projection", None));
            }
            out.push(parsed);
        }
        check_together(&out)?;
        Ok(out)
    }

    fn lesson(&self) -> Result<BTreeMap<&'static str, String>, DemoError> {
        let mut out = BTreeMap::new();
        for language in [Language::English, Language::Chinese] {
            if let Some(text) = self.folder.find(&format!("lesson.{}.md", language.code()))? {
                out.insert(language.code(), text);
            }
        }
        if out.is_empty() {
            // Says which files were looked for.
            self.folder.read("lesson.en.md")?;
        }
        Ok(out)
    }
}

//! Which demos there are, each read whole and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::agent::event::Parse;
use crate::broker::topics::NewTopic;
use crate::decode::fields::FieldPath;
use crate::projection::Projection;
use crate::projection::parse::parse;
use crate::record::Timestamp;

use super::chart::DemoChart;
use super::condition::asks_log;
use super::error::DemoError;
use super::events::{Event, recorded};
use super::folder::{Folder, write_new};
use super::generate::Generator;
use super::guide::{self, Guide};
use super::load::load;
use super::schema::Schemas;
use super::script::{Action, Condition};
use super::sinks::Sink;
use super::text::{Language, Text};

/// Every demo that can be run.
#[derive(Debug, Clone)]
pub struct Catalog {
    demos: Vec<Demo>,
    guides: Vec<Guide>,
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
    /// Who writes its events.
    pub services: Vec<Service>,
    /// Databases whose changes are captured.
    pub databases: Vec<Database>,
    /// Who follows log files.
    pub agents: Vec<Agent>,
    /// Who reads them live.
    pub processors: Vec<Processor>,
    /// Second clusters that hold some of its topics once more.
    pub mirrors: Vec<Mirror>,
    /// The systems outside that are fed.
    pub sinks: Vec<Sink>,
    /// What a run does and looks at.
    pub steps: Vec<LessonStep>,
    /// What it shows as charts.
    pub charts: Vec<DemoChart>,
    /// How long it takes to read and to try, in minutes, where it says so.
    pub minutes: Option<u32>,
    pub(super) topics_drawn: Vec<Drawn>,
    pub(super) projections_drawn: Vec<Drawn>,
    /// Projection files that its steps put in the place of others.
    pub(super) spares: Vec<Projection>,
    pub(super) lesson: BTreeMap<&'static str, String>,
    pub(super) sources: Vec<Source>,
    pub(super) types: Vec<(String, FieldPath)>,
    pub(super) folder: Folder,
    pub(super) order: u32,
    /// What its topics and groups begin with on a cluster that is somebody's.
    pub(super) prefix: String,
}

/// What a part is called where it is drawn, and in which column and row.
pub(super) type Drawn = (Text, Option<[u16; 2]>);

/// Who writes events.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: Text,
    pub(super) at: Option<[u16; 2]>,
}

/// A source database that a run makes, whose changes are captured.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The part that captures it.
    pub capture: String,
    /// The topic of its changes.
    pub topic: String,
    /// The SQL that makes it.
    pub(super) sql: String,
    pub(super) schemas: bool,
    pub(super) clock: crate::record::Timestamp,
    pub(super) start: bool,
}

/// A log agent, which follows a log file that a run writes.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// The topic of its lines.
    pub topic: String,
    /// The file, as it is called on its machine.
    pub file: String,
    pub(super) parse: Parse,
    pub(super) host: String,
    pub(super) start: bool,
    pub(super) at: Option<[u16; 2]>,
}

/// A projection that is followed live in a consumer group.
#[derive(Debug, Clone)]
pub struct Processor {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// What it folds.
    pub projection: Projection,
    /// Its consumer group.
    pub group: String,
    /// How many consumers share the partitions at first.
    pub members: usize,
    /// Whether it runs from the beginning.
    pub start: bool,
    /// Whether its rows hold times that were measured, which are others at every run.
    pub measured: bool,
    pub(super) at: Option<[u16; 2]>,
    pub(super) store: Drawn,
}

/// A second cluster that holds the records of topics once more.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// The topics, as the demo calls them.
    pub topics: Vec<String>,
    /// Whether it runs from the beginning.
    pub start: bool,
    pub(super) at: Option<[u16; 2]>,
    pub(super) store: Drawn,
}

/// A step of a lesson.
#[derive(Debug, Clone)]
pub struct LessonStep {
    /// What it is about.
    pub title: Text,
    /// What to look at.
    pub text: Text,
    /// What must hold when it is done.
    pub checks: Vec<Check>,
    pub(super) actions: Vec<Action>,
}

/// Something that must hold.
#[derive(Debug, Clone)]
pub struct Check {
    /// What it says.
    pub title: Text,
    pub(super) condition: Condition,
}

/// Where events come from: who writes them, and where to.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) service: String,
    pub(super) topic: String,
    /// The agent that sends them there, as lines of its log file.
    pub(super) agent: Option<String>,
    pub(super) from: From,
}

#[derive(Debug, Clone)]
pub(super) enum From {
    Recorded {
        file: String,
        text: String,
    },
    /// Lines of a log, each with its time.
    Lines(Vec<(Timestamp, String)>),
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
        let (mut demos, mut guides) = (Vec::new(), Vec::new());
        for folder in folders {
            match folder.is_guide()? {
                true => guides.push(guide::load(folder)?),
                false => demos.push(load(folder)?),
            }
        }
        demos.sort_by(|a: &Demo, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        guides.sort_by(|a: &Guide, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        Ok(Self { demos, guides })
    }

    /// The guide to the demos; one of a folder that `--demos` names comes before the one that is compiled in.
    pub fn guide(&self) -> Option<&Guide> {
        let own = self.guides.iter().find(|guide| !guide.is_built_in());
        own.or(self.guides.first())
    }

    /// The guide of that id.
    pub fn guide_of(&self, id: &str) -> Option<&Guide> {
        self.guides.iter().find(|guide| guide.id == id)
    }

    /// The guide whose folder this is.
    pub fn guide_at(&self, dir: &Path) -> Option<&Guide> {
        self.guides.iter().find(|guide| guide.is_at(dir))
    }

    /// The guides, which count as demos wherever these are listed.
    pub fn guides(&self) -> &[Guide] {
        &self.guides
    }

    /// The demos in the order in which they are shown.
    pub fn demos(&self) -> &[Demo] {
        &self.demos
    }

    /// A demo's projection by its file, as a read model that was built from it names it, with the demo.
    pub fn projection(&self, file: &str) -> Option<(&Demo, &Projection)> {
        self.demos.iter().find_map(|demo| {
            let processors = demo.processors.iter().map(|processor| &processor.projection);
            let mut all = demo.projections.iter().chain(processors).chain(&demo.spares);
            Some((demo, all.find(|projection| projection.file == file)?))
        })
    }

    /// The demo whose folder this is.
    pub(super) fn at(&self, dir: &Path) -> Result<&Demo, DemoError> {
        let found = self
            .demos
            .iter()
            .find(|demo| matches!(&demo.folder, Folder::Disk(path) if path == dir));
        found.ok_or_else(|| DemoError::NotFound {
            id: dir.display().to_string(),
            help: "name one demo's own folder, the one that its demo.toml is in".to_owned(),
        })
    }

    /// A demo by its id.
    pub fn get(&self, id: &str) -> Result<&Demo, DemoError> {
        self.demos.iter().find(|demo| demo.id == id).ok_or_else(|| {
            let demos = self.demos.iter().map(|demo| demo.id.as_str());
            let ids: Vec<&str> = demos.chain(self.guides.iter().map(|guide| guide.id.as_str())).collect();
            DemoError::NotFound {
                id: id.to_owned(),
                help: format!("there are {}; `--demos DIR` adds your own", ids.join(", ")),
            }
        })
    }
}

impl Demo {
    /// Every event, in the order in which it is written; the same at every call. A line of a log is what its agent makes of it.
    pub fn events(&self) -> Result<Vec<Event>, DemoError> {
        let mut all = Vec::new();
        for (source, events) in self.sources()? {
            let agent = self
                .agents
                .iter()
                .find(|agent| source.agent.as_ref() == Some(&agent.name));
            let Some(agent) = agent else {
                all.extend(events);
                continue;
            };
            let mut offset = 0;
            for line in events {
                all.push(agent.record(&line, offset));
                offset += line.value.map_or(0, |text| text.len() as u64) + 1;
            }
        }
        Ok(all)
    }

    /// The events of each source; those of a log are its lines.
    pub(super) fn sources(&self) -> Result<Vec<(&Source, Vec<Event>)>, DemoError> {
        let events = |source: &Source| match &source.from {
            From::Recorded { file, text } => recorded(text, file, &source.topic),
            From::Lines(lines) => Ok(lines
                .iter()
                .map(|(timestamp, text)| Event {
                    topic: source.topic.clone(),
                    key: None,
                    value: Some(text.clone().into_bytes()),
                    timestamp: *timestamp,
                })
                .collect()),
            From::Generated(generator) => Ok(generator.events(&source.topic)),
        };
        let sources = self.sources.iter();
        sources.map(|source| Ok((source, events(source)?))).collect()
    }

    /// Which service writes the log of which agent.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&str, &str)> {
        let sources = self.sources.iter();
        sources.filter_map(|source| Some((source.service.as_str(), source.agent.as_deref()?)))
    }

    /// Which service writes which topic.
    pub(super) fn writes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources
            .iter()
            .filter(|source| source.agent.is_none())
            .map(|source| (source.service.as_str(), source.topic.as_str()))
            .chain(
                self.databases
                    .iter()
                    .map(|database| (database.capture.as_str(), database.topic.as_str())),
            )
    }

    /// Whether its steps decide what is written when: then nothing is written before the first, and a run begins with empty
    /// topics. Otherwise the topics hold every event before the first step, and a second run finds them there.
    pub fn is_live(&self) -> bool {
        !self.processors.is_empty()
            || !self.agents.is_empty()
            || self.steps.iter().flat_map(|step| &step.actions).any(Action::writes)
    }

    /// The projection of each of its read models.
    pub fn read_models(&self) -> impl Iterator<Item = &Projection> {
        let live = self.processors.iter().map(|processor| &processor.projection);
        self.projections.iter().chain(live)
    }

    /// Whether a check asks the log itself.
    pub(super) fn asks_log(&self) -> bool {
        let actions = || self.steps.iter().flat_map(|step| &step.actions);
        let waits = actions().filter_map(|action| match action {
            Action::Wait(question) => question.condition(),
            _ => None,
        });
        let checks = self
            .steps
            .iter()
            .flat_map(|step| &step.checks)
            .map(|check| check.condition.clone());
        let shown = actions().any(|action| matches!(action, Action::Show(show) if asks_log(&show.sql)));
        shown
            || checks
                .chain(waits)
                .any(|condition| matches!(&condition, Condition::Sql { sql, .. } if asks_log(sql)))
    }

    /// A topic's name on the cluster.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The same demo with topics and groups whose names begin with `prefix`, so that it meets nothing of somebody else's.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, DemoError> {
        let name = |name: &mut String| name.insert_str(0, prefix);
        self.topics.iter_mut().for_each(|topic| name(&mut topic.name));
        self.sources.iter_mut().for_each(|source| name(&mut source.topic));
        self.types.iter_mut().for_each(|(topic, _)| name(topic));
        self.databases.iter_mut().for_each(|database| name(&mut database.topic));
        self.agents.iter_mut().for_each(|agent| name(&mut agent.topic));
        self.processors
            .iter_mut()
            .for_each(|processor| name(&mut processor.group));
        let processors = self.processors.iter_mut().map(|processor| &mut processor.projection);
        for projection in self.projections.iter_mut().chain(&mut self.spares).chain(processors) {
            *projection = parse(&prefixed(&projection.source, prefix), &projection.file)?;
            projection.read_schemas(|schema| self.folder.read(schema).map_err(|error| error.to_string()))?;
        }
        self.prefix.insert_str(0, prefix);
        Ok(self)
    }

    pub(super) fn schemas(&self) -> Schemas<'_> {
        Schemas::new(&self.folder, &self.prefix, self.types.iter().cloned())
    }

    /// Checks every event against the JSON Schema of its type.
    pub fn check_events(&self, events: &[Event]) -> Result<(), DemoError> {
        let mut schemas = self.schemas();
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
        self.folder.origin()
    }

    /// Whether it is one of this program.
    pub fn is_built_in(&self) -> bool {
        matches!(self.folder, Folder::BuiltIn(_))
    }

    /// Writes the demo's files below `dir`, which may not hold any of them yet: to read, to change, to make one's own of.
    pub fn export(&self, dir: &Path) -> Result<Vec<PathBuf>, DemoError> {
        write_new(dir, self.folder.files()?.into_iter())
    }
}

/// A projection's text with other names for its topics.
fn prefixed(source: &str, prefix: &str) -> String {
    let line = |line: &str| {
        let header = ["-- topic:", "-- emit:"]
            .into_iter()
            .find(|header| line.starts_with(header));
        match header {
            Some(header) => format!("{header} {prefix}{}", line[header.len()..].trim_start()),
            None => line.to_owned(),
        }
    };
    source.split_inclusive('\n').map(line).collect()
}

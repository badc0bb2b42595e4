//! What a demo feeds beside its read models: systems that the read models and files here stand for, and the real ones where an
//! address is given. The files of a lake are read back, too, for whoever learns from history and not from the log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::client::Client;
use crate::broker::producer::NewRecord;
use crate::broker::topics::NewTopic;
use crate::readmodel::store::Store;
use crate::replay::error::ReplayError;
use crate::replay::lake::lake;
use crate::replay::progress::SinkProgress;
use crate::replay::sinks::check;
use crate::replay::task::Task;
use crate::sink::address::{Address, Format, LakeAddress};
use crate::sink::lake;

use super::catalog::Demo;
use super::condition::Seen;
use super::error::DemoError;
use super::graph::{Graph, Kind};
use super::load::Loader;
use super::manifest::Manifest;
use super::scene::Scene;
use super::snapshot::{PartState, PartView};
use super::text::Text;

/// How long a lake of ours gathers records: nobody waits for long in a lesson.
const EVERY: Duration = Duration::from_millis(200);

/// A system that is fed.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// The system that it stands for, such as Redis.
    pub stands_for: String,
    /// What it is fed with.
    pub feeds: Feeds,
    /// The topic that a lake's files are loaded into, where they are.
    pub loads_into: Option<String>,
    pub(super) at: Option<[u16; 2]>,
}

/// What a system is fed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feeds {
    /// The rows of this read model.
    Rows(String),
    /// The records of this topic, as files.
    Records(String),
}

impl Sink {
    /// What its part is called where it is drawn.
    pub(super) fn drawn(&self) -> Text {
        let with = |text: &Option<String>| text.as_ref().map(|text| format!("{text} ({})", self.stands_for));
        Text {
            en: with(&self.title.en).or_else(|| Some(format!("{} ({})", self.name, self.stands_for))),
            zh: with(&self.title.zh),
        }
    }
}

/// Reads the sinks of a manifest.
pub(super) fn read(
    loader: &Loader<'_>,
    manifest: &Manifest,
    read_models: &[&str],
    topics: &[NewTopic],
) -> Result<Vec<Sink>, DemoError> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let mut sinks: Vec<Sink> = Vec::new();
    for sink in &manifest.sinks {
        let (name, span) = (sink.name.get_ref(), sink.name.span());
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            // It is the name of the folder of a lake, too.
            let help = "a name has letters, digits, `-` and `_`";
            return Err(loader.wrong(span, "this cannot be a sink's name", "here", Some(help)));
        }
        if sinks.iter().any(|known| known.name == *name) || read_models.contains(&name.as_str()) {
            let message = "a read model or another sink has this name";
            return Err(loader.wrong(span, message, "again", None));
        }
        let feeds = match (&sink.store, &sink.topic) {
            (Some(store), None) if read_models.contains(&store.as_str()) => Feeds::Rows(store.clone()),
            (None, Some(topic)) if names.contains(&topic.as_str()) => Feeds::Records(topic.clone()),
            (Some(_), None) => {
                let help = format!("there are the read models {}", read_models.join(", "));
                return Err(loader.wrong(span, "the demo has no such read model", "fed by none", Some(&help)));
            }
            (None, Some(_)) => {
                let help = format!("there are the topics {}", names.join(", "));
                return Err(loader.wrong(span, "the demo has no such topic", "fed by none", Some(&help)));
            }
            _ => {
                let help =
                    "give it `store = \"READ MODEL\"` for its rows, or `topic = \"TOPIC\"` for its records as files";
                return Err(loader.wrong(span, "what is it fed with?", "this sink", Some(help)));
            }
        };
        if let Some(into) = &sink.loads_into {
            check_load(sink.topic.as_deref(), into, topics)
                .map_err(|(message, help)| loader.wrong(span.clone(), message, "loaded from this sink", Some(&help)))?;
        }
        sinks.push(Sink {
            name: name.clone(),
            title: sink.title.clone(),
            stands_for: sink.stands_for.clone(),
            feeds,
            loads_into: sink.loads_into.clone(),
            at: sink.at,
        });
    }
    Ok(sinks)
}

/// Whether the files of a topic can be loaded into another: message and help where not.
fn check_load(from: Option<&str>, into: &str, topics: &[NewTopic]) -> Result<(), (String, String)> {
    let find = |name: &str| topics.iter().find(|topic| topic.name == name);
    let Some(from) = from.and_then(find) else {
        let help = "give it `topic = \"TOPIC\"`: only records as files can be loaded".to_owned();
        return Err(("rows are not loaded into a topic".to_owned(), help));
    };
    match find(into) {
        None => {
            let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
            let help = format!("there are the topics {}", names.join(", "));
            Err((format!("the demo has no topic `{into}`"), help))
        }
        Some(into) if into.name == from.name => {
            let help = "a topic of its own has what was loaded: add it as `[[topics]]`".to_owned();
            Err((
                "it would load what it is fed with, and be fed with that again".to_owned(),
                help,
            ))
        }
        // A record stands in the partition that it stood in.
        Some(into) if into.partitions < from.partitions => {
            let help = format!("give `{}` as many partitions as `{}` has", into.name, from.name);
            Err((format!("`{}` has too few partitions", into.name), help))
        }
        Some(_) => Ok(()),
    }
}

/// Draws them, each behind what feeds it and before what it is loaded into.
pub(super) fn draw(demo: &Demo, graph: &mut Graph) {
    for sink in &demo.sinks {
        graph.add(Kind::Sink, &sink.name, "", &sink.drawn(), sink.at);
        let from = match &sink.feeds {
            Feeds::Rows(store) => (Kind::Store, store.clone()),
            Feeds::Records(topic) => (Kind::Topic, demo.topic(topic)),
        };
        graph.join((from.0, &from.1), (Kind::Sink, &sink.name));
        if let Some(into) = &sink.loads_into {
            graph.join((Kind::Sink, &sink.name), (Kind::Topic, &demo.topic(into)));
        }
    }
}

/// The real systems that a run feeds, by the name of the sink.
pub type Addresses = Vec<(String, Address)>;

impl Demo {
    /// Refuses addresses of sinks that it does not have, or that take something else.
    pub fn check_sinks(&self, given: &Addresses) -> Result<(), DemoError> {
        for (name, address) in given {
            let Some(sink) = self.sinks.iter().find(|sink| sink.name == *name) else {
                let known: Vec<&str> = self.sinks.iter().map(|sink| sink.name.as_str()).collect();
                return Err(DemoError::Sink {
                    message: format!("{} has no sink `{}`", self.id, name.escape_debug()),
                    help: match known.as_slice() {
                        [] => "it feeds nothing outside".to_owned(),
                        known => format!("there are {}", known.join(", ")),
                    },
                });
            };
            let (fits, help) = match sink.feeds {
                Feeds::Rows(_) => (!address.takes_records(), "it is fed with rows: a lake takes records"),
                Feeds::Records(_) => (address.takes_records(), "it is fed with records: write lake:DIR"),
            };
            if !fits {
                return Err(DemoError::Sink {
                    message: format!("`{name}` cannot be fed into {address}"),
                    help: help.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The addresses that a read model's rows go to.
    pub(super) fn fed_by(&self, read_model: &str, given: &Addresses) -> Vec<Address> {
        let ours = |name: &str| {
            let sink = self.sinks.iter().find(|sink| sink.name == name);
            sink.is_some_and(|sink| sink.feeds == Feeds::Rows(read_model.to_owned()))
        };
        let fed = given.iter().filter(|(name, _)| ours(name));
        fed.map(|(_, address)| address.clone()).collect()
    }

    /// The lakes: sink, topic on the cluster, and where its files are.
    pub(super) fn lakes(&self, store: &Store, given: &Addresses) -> Vec<(String, String, LakeAddress)> {
        let lakes = self.sinks.iter().filter_map(|sink| match &sink.feeds {
            Feeds::Records(topic) => Some((sink, topic)),
            Feeds::Rows(_) => None,
        });
        lakes
            .map(|(sink, topic)| {
                let given = given.iter().find_map(|(name, address)| match address {
                    Address::Lake(lake) if *name == sink.name => Some(lake.clone()),
                    _ => None,
                });
                let ours = || LakeAddress {
                    dir: folder(store, &self.id).join(&sink.name),
                    every: EVERY,
                    format: Format::default(),
                };
                let address = LakeAddress {
                    every: EVERY,
                    ..given.unwrap_or_else(ours)
                };
                (sink.name.clone(), self.topic(topic), address)
            })
            .collect()
    }
}

/// Where the lakes of a demo are that nobody gave another place.
pub(super) fn folder(store: &Store, id: &str) -> PathBuf {
    store.root().join("lakes").join(id)
}

/// A lake that is being written.
#[derive(Debug)]
pub(super) struct Filling {
    name: String,
    /// None when it has ended.
    task: Option<Task<u64>>,
    /// How it was when it ended.
    last: SinkProgress,
}

impl Filling {
    /// Begins to write every lake of a demo.
    pub(super) fn start(demo: &Demo, client: &Client, store: &Store, given: &Addresses) -> Vec<Self> {
        let lakes = demo.lakes(store, given).into_iter();
        lakes
            .map(|(name, topic, address)| Self {
                name,
                task: Some(lake(client.clone(), vec![topic], address)),
                last: SinkProgress::default(),
            })
            .collect()
    }

    /// Puts what was read in place and ends.
    pub(super) fn stop(&mut self) -> Result<(), DemoError> {
        self.last = self.progress();
        if let Some(task) = self.task.take() {
            task.cancel();
            self.last.rows = task.wait()?;
        }
        Ok(())
    }

    fn progress(&self) -> SinkProgress {
        let Some(task) = &self.task else {
            return self.last.clone();
        };
        let progress = task.progress();
        let sinks = Arc::clone(&progress.borrow().sinks);
        sinks.first().cloned().unwrap_or_default()
    }
}

/// How a sink is, where it is fed by somebody: a lake, or the follow of a read model.
pub(super) fn view(name: &str, lakes: &[Filling], fed: Option<&SinkProgress>) -> Option<PartView> {
    let lake = lakes.iter().find(|lake| lake.name == name).map(Filling::progress);
    let progress = lake.as_ref().or(fed)?;
    Some(PartView {
        state: match &progress.trouble {
            Some(_) => PartState::Failed,
            None => PartState::Running,
        },
        reason: progress.trouble.clone().unwrap_or_default(),
        taken: progress.rows,
        // What it lacks is counted where that is known.
        lag: progress.in_step.then_some(0),
        place: progress.name.clone(),
        ..PartView::default()
    })
}

impl Scene {
    /// How many records a lake has in its files.
    pub(super) fn in_lake(&self, sink: &str, records: u64) -> Result<Seen, DemoError> {
        let lakes = self.demo.lakes(&self.store, &self.sinks);
        let mut found = 0;
        for (_, topic, address) in lakes.iter().filter(|(name, ..)| name == sink) {
            found += lake::count(&address.dir, topic).map_err(ReplayError::from)?;
        }
        let word = |records: u64| self.say(&format!("{records} records"), &format!("{records} 条记录"));
        Ok(Seen::compare(word(found), word(records)))
    }

    /// Writes what a lake has in its files and has not been loaded before into the topic for it: each record with its key, value and
    /// time, in the partition that it stood in.
    pub(super) fn load(&mut self, sink: &str) -> Result<String, DemoError> {
        let into = self.demo.sinks.iter().find(|known| known.name == sink);
        let Some(into) = into.and_then(|known| known.loads_into.as_deref()) else {
            // Names were looked up when the demo was read.
            return Ok(String::new());
        };
        let (into, named) = (self.demo.topic(into), into.to_owned());
        let mut loaded = self.loaded.remove(sink).unwrap_or_default();
        let written = self.load_more(sink, &into, &mut loaded);
        // What was written is written, however it ended.
        self.loaded.insert(sink.to_owned(), loaded);
        let count = written?;
        Ok(self.say(
            &format!("{count} records of its files written to {named}"),
            &format!("把文件里的 {count} 条记录写入 {named}"),
        ))
    }

    fn load_more(&mut self, sink: &str, into: &str, loaded: &mut BTreeMap<i32, i64>) -> Result<usize, DemoError> {
        let lakes = self.demo.lakes(&self.store, &self.sinks);
        let mut count = 0;
        for (_, topic, address) in lakes.iter().filter(|(name, ..)| name == sink) {
            let records = lake::read(&address.dir, topic, loaded).map_err(ReplayError::from)?;
            for record in &records {
                self.send(NewRecord {
                    topic: into,
                    partition: Some(record.partition),
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    timestamp: record.timestamp,
                    headers: &record.headers,
                })?;
                loaded.insert(record.partition, record.offset + 1);
            }
            count += records.len();
        }
        self.flush()?;
        Ok(count)
    }

    /// How many rows of a store differ from the read model that feeds it. Without an address the read model itself stands for it.
    pub(super) fn in_step(&self, sink: &str, rows: u64) -> Result<Seen, DemoError> {
        let word = |rows: u64| self.say(&format!("{rows} rows differ"), &format!("{rows} 行不同"));
        let known = self.demo.sinks.iter().find(|known| known.name == sink);
        let address = self.sinks.iter().find(|(name, _)| name == sink);
        let found = match (known.map(|known| &known.feeds), address) {
            (Some(Feeds::Rows(read_model)), Some((_, address))) => {
                match check(&self.store, read_model, address, &mut |_| true) {
                    Ok(checked) => checked.differ(),
                    Err(error) => {
                        return Ok(Seen {
                            holds: false,
                            found: error.to_string(),
                            wanted: word(rows),
                        });
                    }
                }
            }
            _ => 0,
        };
        Ok(Seen::compare(word(found), word(rows)))
    }
}

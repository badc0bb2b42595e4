//! `demo.toml`, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::script::Step;
use super::text::Text;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) title: Spanned<Text>,
    pub(super) summary: Text,
    /// Where it stands in the list; demos without one come last, by id.
    pub(super) order: Option<u32>,
    /// How long it takes to read and to try, in minutes.
    pub(super) minutes: Option<u32>,
    pub(super) topics: Vec<Topic>,
    #[serde(default)]
    pub(super) services: Vec<Service>,
    #[serde(default)]
    pub(super) events: Vec<Events>,
    #[serde(default)]
    pub(super) databases: Vec<Database>,
    #[serde(default)]
    pub(super) agents: Vec<Agent>,
    #[serde(default)]
    pub(super) projections: Vec<Projection>,
    #[serde(default)]
    pub(super) processors: Vec<Processor>,
    #[serde(default)]
    pub(super) mirrors: Vec<Mirror>,
    #[serde(default)]
    pub(super) sinks: Vec<Sink>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    #[serde(default)]
    pub(super) charts: Vec<super::chart::Written>,
}

/// A system outside that a read model or files here stand for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sink {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) title: Text,
    /// The system, such as Redis.
    pub(super) stands_for: String,
    /// The read model whose rows it is fed with.
    pub(super) store: Option<String>,
    /// Or the topic whose records it gets as files.
    pub(super) topic: Option<String>,
    /// The topic that those files are loaded into, where a step asks for it.
    pub(super) loads_into: Option<String>,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Topic {
    pub(super) name: Spanned<String>,
    pub(super) partitions: Spanned<i32>,
    #[serde(default)]
    pub(super) config: BTreeMap<String, String>,
    /// Where an event's type stands, which names its schema; `$.type` where it is not given.
    #[serde(rename = "type")]
    pub(super) type_path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) title: Text,
    /// Column and row where it is drawn.
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

/// Who writes events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) title: Text,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

/// A source database that the run makes, and the capture that writes its changes to a topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub(super) name: Spanned<String>,
    /// The SQL that makes its tables and its first rows.
    pub(super) file: Spanned<String>,
    /// The name of the part that captures its changes.
    pub(super) capture: Spanned<String>,
    #[serde(default)]
    pub(super) title: Text,
    pub(super) topic: Spanned<String>,
    /// Whether each event carries its schema.
    #[serde(default)]
    pub(super) schemas: bool,
    /// The time of its first rows; each change is a second later.
    pub(super) clock: super::script::Moment,
    /// Whether it is captured from the beginning.
    #[serde(default = "yes")]
    pub(super) start: bool,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

/// A log agent: it follows a log file that a service writes, and sends each line to a topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) title: Text,
    /// The log file as it is called on its machine; it lies in a folder of the run.
    pub(super) file: Spanned<String>,
    pub(super) topic: Spanned<String>,
    /// What a line is.
    pub(super) parse: Lines,
    /// The machine's name; the agent's where it is not given.
    pub(super) host: Option<String>,
    /// Whether it runs from the beginning.
    #[serde(default = "yes")]
    pub(super) start: bool,
    pub(super) at: Option<[u16; 2]>,
}

/// What the lines of a log are. Each says when it was written: a run writes the same records every time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lines {
    Json,
    Combined,
}

/// Who reads events: a projection that is followed live in a consumer group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Processor {
    pub(super) name: Spanned<String>,
    pub(super) projection: Spanned<String>,
    /// The group's id; the processor's name where it is not given.
    pub(super) group: Option<String>,
    /// How many consumers share the partitions.
    #[serde(default = "one_member")]
    pub(super) members: Spanned<usize>,
    /// Whether it runs from the beginning.
    #[serde(default = "yes")]
    pub(super) start: bool,
    /// Whether its rows hold times that were measured, which a second run need not repeat.
    #[serde(default)]
    pub(super) measured: bool,
    #[serde(default)]
    pub(super) title: Text,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
    /// What its read model is called where it is drawn, and where that is.
    #[serde(default)]
    pub(super) store: Drawn,
}

/// A second cluster that holds the records of topics once more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mirror {
    pub(super) name: Spanned<String>,
    pub(super) topics: Vec<Spanned<String>>,
    /// Whether it runs from the beginning.
    #[serde(default = "yes")]
    pub(super) start: bool,
    #[serde(default)]
    pub(super) title: Text,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
    /// What the second cluster is called where it is drawn, and where that is.
    #[serde(default)]
    pub(super) store: Drawn,
}

/// How a store is drawn.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drawn {
    #[serde(default)]
    pub(super) title: Text,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

/// Column and row in the picture: a number beyond what any terminal shows is a mistake, or malice.
fn place<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<[u16; 2]>, D::Error> {
    const MOST: u16 = 200;
    let at = <[u16; 2]>::deserialize(deserializer)?;
    if at.iter().any(|number| *number > MOST) {
        return Err(serde::de::Error::custom(format!(
            "`at` is a column and a row, {MOST} at most"
        )));
    }
    Ok(Some(at))
}

fn one_member() -> Spanned<usize> {
    Spanned::new(0..0, 1)
}

fn yes() -> bool {
    true
}

/// Events to write: a recorded file, or a generator's specification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Events {
    pub(super) topic: Option<Spanned<String>>,
    /// The agent whose log file they are lines of, instead of records of a topic.
    pub(super) agent: Option<Spanned<String>>,
    /// The service that writes them; one that is called `producer` where it is not given.
    pub(super) service: Option<Spanned<String>>,
    /// NDJSON of `{key, timestamp, value}`; the lines themselves where an agent sends them.
    pub(super) file: Option<Spanned<String>>,
    pub(super) generate: Option<Spanned<Generate>>,
}

/// A generator: events that happen to entities, one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generate {
    pub(super) seed: u64,
    /// How many events, those that begin an entity's life included.
    pub(super) count: usize,
    /// When the first event may happen, as RFC 3339.
    pub(super) start: Spanned<String>,
    /// The least and the most milliseconds between two events.
    pub(super) gap_ms: [u64; 2],
    /// The record's key.
    pub(super) key: Option<Spanned<String>>,
    pub(super) entity: Entity,
    pub(super) kinds: Vec<EventKind>,
}

/// Whom the events happen to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entity {
    /// What its id is called in templates.
    pub(super) name: String,
    #[serde(default)]
    pub(super) prefix: String,
    /// How many digits its number has at least.
    #[serde(default)]
    pub(super) digits: usize,
    /// The first number.
    #[serde(default)]
    pub(super) first: u64,
    pub(super) count: Spanned<u64>,
    /// How unevenly events are spread: 1 is evenly, with 2 and more the first entities get most.
    #[serde(default = "one")]
    pub(super) skew: u32,
}

fn one() -> u32 {
    1
}

/// A kind of event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventKind {
    /// Whether every entity's first event is of this kind, and no other is.
    #[serde(default)]
    pub(super) first: bool,
    /// How often it comes, compared with the other kinds.
    #[serde(default)]
    pub(super) weight: u32,
    /// What is drawn for it, by the name that its template uses.
    #[serde(default)]
    pub(super) draw: BTreeMap<String, Spanned<Draw>>,
    /// The draw that is added to what the entity holds.
    pub(super) gains: Option<Spanned<String>>,
    /// The draw that is taken from what the entity holds, and is never more than that.
    pub(super) spends: Option<Spanned<String>>,
    /// The value: JSON with `${name}` where something drawn belongs. Left out, it is a tombstone.
    pub(super) value: Option<Spanned<String>>,
}

/// Something drawn at random.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draw {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    pub(super) step: Option<i64>,
    /// Digits after the point: 1250 with 2 is `12.50`.
    pub(super) decimals: Option<usize>,
    pub(super) pick: Option<Vec<String>>,
    /// A list for each group of entities to pick from: the first entity is of the first group, the second of the second, and round
    /// again.
    pub(super) by_group: Option<Vec<Vec<String>>>,
    /// How many of a hundred are picked from all lists, whatever the group.
    pub(super) astray: Option<u32>,
    /// How unevenly things are picked: 1 is evenly, with 2 and more the first get most.
    pub(super) skew: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Projection {
    pub(super) file: Spanned<String>,
    #[serde(default)]
    pub(super) title: Text,
    #[serde(default, deserialize_with = "place")]
    pub(super) at: Option<[u16; 2]>,
}

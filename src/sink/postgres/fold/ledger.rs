//! What a schema remembers beside the rows: which log was folded, how far, and what became of the records.

use postgres::GenericClient;
use serde_json::{Map, Value, json};

use crate::readmodel::store::{Counts, DeadLetter, ReadModelInfo, State};
use crate::record::{Position, Timestamp, TopicPartition};

use super::bind::Param;
use crate::projection::dialect::quoted;

/// The table that says what a schema is.
pub(super) const LEDGER: &str = "_foldlog_fold";
/// The layout of these tables.
const VERSION: i64 = 1;

/// The tables, in the schema that is entered.
pub(super) const SCHEMA: &str = "
CREATE TABLE _foldlog_fold (
  id         integer PRIMARY KEY CHECK (id = 1),
  version    bigint NOT NULL,
  name       text NOT NULL,
  file       text NOT NULL,
  hash       text NOT NULL,
  cluster_id text NOT NULL,
  topics     jsonb NOT NULL,
  position   jsonb NOT NULL,
  applied    bigint NOT NULL,
  ignored    bigint NOT NULL,
  skipped    bigint NOT NULL,
  poisoned   bigint NOT NULL,
  paused     text,
  commits    bigint NOT NULL,
  objects    text[] NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE TABLE _foldlog_dead_letter (
  topic       text NOT NULL,
  partition   integer NOT NULL,
  \"offset\"    bigint NOT NULL,
  \"timestamp\" bigint,
  key         bytea,
  value       bytea,
  headers     jsonb NOT NULL,
  kind        text NOT NULL,
  reason      text NOT NULL,
  line        integer,
  state       text NOT NULL,
  PRIMARY KEY (topic, partition, \"offset\")
)";

/// Begins it.
pub(super) const INSERT: &str = "
INSERT INTO _foldlog_fold VALUES (1, $1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, NULL, 0, '{}', clock_timestamp())";

/// Writes it, and fails where somebody else did since: `commits - commits` is 0.
pub(super) const UPDATE: &str = "
UPDATE _foldlog_fold SET position = $2, applied = $3, ignored = $4, skipped = $5, poisoned = $6, paused = $7,
  commits = CASE WHEN commits = $1 THEN commits + 1 ELSE 1 / (commits - commits) END, updated_at = clock_timestamp()";

/// Lists a record; one that was paused before is listed anew.
pub(super) const LETTER: &str = "
INSERT INTO _foldlog_dead_letter VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (topic, partition, \"offset\") DO UPDATE SET reason = excluded.reason, line = excluded.line, kind = excluded.kind, state = excluded.state";

/// What a schema remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// What is known of a read model wherever it is.
    pub info: ReadModelInfo,
    /// The topics with their ids.
    pub topics: Vec<(String, Option<String>)>,
    /// How many transactions were committed.
    pub(super) commits: i64,
    /// The tables and views that are Foldlog's.
    pub(super) objects: Vec<String>,
}

impl Ledger {
    /// That of a read model without a record.
    pub fn begin(name: &str, file: &str, hash: &str, cluster_id: &str, topics: Vec<(String, Option<String>)>) -> Self {
        Self {
            info: ReadModelInfo {
                file: file.to_owned(),
                hash: hash.to_owned(),
                cluster_id: cluster_id.to_owned(),
                topics: topics.iter().map(|(topic, _)| topic.clone()).collect(),
                ..ReadModelInfo::blank(name.to_owned())
            },
            topics,
            commits: 0,
            objects: Vec::new(),
        }
    }
}

/// The ledger of a schema that has one.
pub(in super::super) const READ: &str = "version, name, file, hash, cluster_id, topics::text, position::text, applied, ignored, \
     skipped, poisoned, paused, commits, objects, (extract(epoch FROM updated_at) * 1000)::bigint";

/// Reads the ledger of a schema with a client that waits.
pub(in super::super) fn read(client: &mut impl GenericClient, schema: &str) -> Result<Option<Ledger>, postgres::Error> {
    let known = client.query_opt("SELECT 1 FROM pg_class WHERE oid = to_regclass($1)", &[&place(schema)])?;
    if known.is_none() {
        return Ok(None);
    }
    let row = client.query_opt(&format!("SELECT {READ} FROM {}", place(schema)), &[])?;
    row.as_ref().map(from_row).transpose()
}

/// The name of a schema's ledger.
pub(super) fn place(schema: &str) -> String {
    format!("{}.{LEDGER}", quoted(schema))
}

pub(super) fn from_row(row: &tokio_postgres::Row) -> Result<Ledger, postgres::Error> {
    let topics: String = row.try_get(5)?;
    let position: String = row.try_get(6)?;
    let mut ledger = Ledger::begin(
        row.try_get(1)?,
        row.try_get(2)?,
        row.try_get(3)?,
        row.try_get(4)?,
        read_topics(&topics),
    );
    let number = |at: usize| {
        row.try_get::<_, i64>(at)
            .map(|number| u64::try_from(number).unwrap_or(0))
    };
    ledger.info.position = read_position(&position);
    ledger.info.counts = Counts {
        applied: number(7)?,
        ignored: number(8)?,
        skipped: number(9)?,
        held: 0,
        poisoned: number(10)?,
    };
    if let Some(reason) = row.try_get(11)? {
        ledger.info.state = State::Paused { reason };
    }
    ledger.commits = row.try_get(12)?;
    ledger.objects = row.try_get(13)?;
    ledger.info.updated_at = Timestamp(row.try_get(14)?);
    Ok(ledger)
}

fn text(text: impl ToString) -> Param {
    Param(Some(text.to_string()))
}

fn bytes(bytes: Option<&[u8]>) -> Param {
    Param(bytes.map(|bytes| {
        bytes
            .iter()
            .fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }))
}

pub(super) fn insert_params(ledger: &Ledger) -> Vec<Param> {
    let info = &ledger.info;
    vec![
        text(VERSION),
        text(&info.name),
        text(&info.file),
        text(&info.hash),
        text(&info.cluster_id),
        text(write_topics(&ledger.topics)),
        text(write_position(&info.position)),
    ]
}

pub(super) fn update_params(ledger: &Ledger, commits: i64) -> Vec<Param> {
    let counts = &ledger.info.counts;
    let paused = match &ledger.info.state {
        State::Paused { reason } => Some(shown(reason)),
        State::Ready | State::Unreadable { .. } => None,
    };
    vec![
        text(commits),
        text(write_position(&ledger.info.position)),
        text(counts.applied),
        text(counts.ignored),
        text(counts.skipped),
        text(counts.poisoned),
        Param(paused),
    ]
}

/// Text without what PostgreSQL cannot hold.
fn shown(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn letter_params(letter: &DeadLetter) -> Vec<Param> {
    let record = &letter.record;
    let headers = record.headers.iter().map(|header| {
        let value = header
            .value
            .as_deref()
            .map(|value| shown(&String::from_utf8_lossy(value)));
        json!([shown(&header.key), value])
    });
    vec![
        text(&record.topic),
        text(record.partition),
        text(record.offset),
        Param(record.timestamp.map(|time| time.0.to_string())),
        bytes(record.key.as_deref()),
        bytes(record.value.as_deref()),
        text(Value::Array(headers.collect())),
        text(letter.kind.word()),
        text(shown(&letter.reason)),
        Param(letter.line.map(|line| line.to_string())),
        text(letter.state.word()),
    ]
}

fn write_topics(topics: &[(String, Option<String>)]) -> Value {
    let pairs = topics.iter().map(|(topic, id)| (topic.clone(), json!(id)));
    Value::Object(pairs.collect())
}

fn read_topics(text: &str) -> Vec<(String, Option<String>)> {
    let topics: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let mut topics: Vec<_> = topics
        .into_iter()
        .map(|(topic, id)| (topic, id.as_str().map(str::to_owned)))
        .collect();
    topics.sort();
    topics
}

/// `{"orders": {"0": 17}}`: the next offset of each partition.
fn write_position(position: &Position) -> Value {
    let mut topics = Map::new();
    for (at, next) in position.iter() {
        let partitions = topics.entry(at.topic.to_string()).or_insert_with(|| json!({}));
        if let Value::Object(partitions) = partitions {
            partitions.insert(at.partition.to_string(), next.into());
        }
    }
    Value::Object(topics)
}

fn read_position(text: &str) -> Position {
    let topics: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let mut position = Position::new();
    for (topic, partitions) in &topics {
        for (partition, next) in partitions.as_object().into_iter().flatten() {
            if let (Ok(partition), Some(next)) = (partition.parse(), next.as_i64()) {
                position.set(TopicPartition::new(topic.as_str(), partition), next);
            }
        }
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let mut position = Position::new();
        position.set(TopicPartition::new("b", 11), i64::MAX);
        position.set(TopicPartition::new("b", 2), 0);
        position.set(TopicPartition::new("a.\"b\"", 0), 7);
        assert_eq!(read_position(&write_position(&position).to_string()), position);
        let topics = vec![("a".to_owned(), None), ("b".to_owned(), Some("id".to_owned()))];
        assert_eq!(read_topics(&write_topics(&topics).to_string()), topics);
    }
}

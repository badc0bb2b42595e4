//! Topic configuration: what may be set, what it defaults to, and what the broker does with it.

use std::collections::BTreeMap;

use super::log::compact::{Policy, segment_age};
use super::log::{Limits, Roll};

/// The type of a value, as `DescribeConfigs` tells it (`org.apache.kafka.clients.admin.ConfigEntry.ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// One entry that a topic may set.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    /// For numbers the smallest and greatest value; for texts and lists the values that are allowed, in `choices`.
    range: (f64, f64),
    choices: &'static [&'static str],
    pub documentation: &'static str,
}

const LONG: (f64, f64) = (0.0, i64::MAX as f64);
const LIMIT: (f64, f64) = (-1.0, i64::MAX as f64);
const ANY: &[&str] = &[];

const fn entry(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    range: (f64, f64),
    choices: &'static [&'static str],
    documentation: &'static str,
) -> Entry {
    Entry {
        name,
        kind,
        default,
        range,
        choices,
        documentation,
    }
}

/// The greatest batch by default: 16 MiB. Apache Kafka's is 1 MiB, which protects a network and replicas that are not here.
const MAX_MESSAGE: &str = "16777216";
/// Small against Apache Kafka's 1 GiB, because the last segment is read whole after a crash.
const SEGMENT: &str = "67108864";

/// Every entry that a topic may set. The names and meanings are Apache Kafka's; a default that differs says why.
pub(crate) const ENTRIES: &[Entry] = &[
    entry(
        "cleanup.policy",
        Kind::List,
        "delete",
        (0.0, 0.0),
        &["delete", "compact"],
        "What happens to old records: `delete` removes whole segments by age or size, `compact` keeps the last record of each key. \
         With both, segments go by age or size, too.",
    ),
    entry(
        "compression.type",
        Kind::Text,
        "producer",
        (0.0, 0.0),
        &["producer"],
        "The embedded broker stores batches as the producer compressed them.",
    ),
    entry(
        "delete.retention.ms",
        Kind::Long,
        "86400000",
        LONG,
        ANY,
        "How long compaction keeps a tombstone after it first came upon it. It goes with the next round after that.",
    ),
    entry(
        "file.delete.delay.ms",
        Kind::Long,
        "60000",
        LONG,
        ANY,
        "Taken for the sake of other clients; without meaning here: files are removed at once.",
    ),
    entry(
        "flush.messages",
        Kind::Long,
        "9223372036854775807",
        LONG,
        ANY,
        "Taken for the sake of other clients; without meaning here: the log is synced every second.",
    ),
    entry(
        "flush.ms",
        Kind::Long,
        "9223372036854775807",
        LONG,
        ANY,
        "Taken for the sake of other clients; without meaning here: the log is synced every second.",
    ),
    entry(
        "index.interval.bytes",
        Kind::Int,
        "16384",
        (0.0, 2_147_483_647.0),
        ANY,
        "Taken for the sake of other clients; without meaning here: the index has an entry every 16 KiB.",
    ),
    entry(
        "max.compaction.lag.ms",
        Kind::Long,
        "9223372036854775807",
        LONG,
        ANY,
        "The longest time that a record may stay uncompacted; the active segment is closed in time for that.",
    ),
    entry(
        "max.message.bytes",
        Kind::Int,
        MAX_MESSAGE,
        (0.0, 104_857_600.0),
        ANY,
        "The greatest batch that is accepted, as it is compressed.",
    ),
    entry(
        "message.downconversion.enable",
        Kind::Boolean,
        "true",
        (0.0, 0.0),
        ANY,
        "Taken for the sake of other clients; without meaning here: records have one format.",
    ),
    entry(
        "message.timestamp.after.max.ms",
        Kind::Long,
        "9223372036854775807",
        LONG,
        ANY,
        "How far a record's time may stand in the future. Apache Kafka's default is an hour; here demos write any time.",
    ),
    entry(
        "message.timestamp.before.max.ms",
        Kind::Long,
        "9223372036854775807",
        LONG,
        ANY,
        "How far a record's time may stand in the past.",
    ),
    entry(
        "message.timestamp.type",
        Kind::Text,
        "CreateTime",
        (0.0, 0.0),
        &["CreateTime", "LogAppendTime"],
        "Whether a record's time is the producer's or that of its arrival.",
    ),
    entry(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        "0.5",
        (0.0, 1.0),
        ANY,
        "How much of the log, without the active segment, must be uncompacted before it is compacted.",
    ),
    entry(
        "min.compaction.lag.ms",
        Kind::Long,
        "0",
        LONG,
        ANY,
        "The shortest time that a record stays uncompacted.",
    ),
    entry(
        "min.insync.replicas",
        Kind::Int,
        "1",
        (1.0, 1.0),
        ANY,
        "There is one node, so one replica.",
    ),
    entry(
        "preallocate",
        Kind::Boolean,
        "false",
        (0.0, 0.0),
        ANY,
        "Taken for the sake of other clients; without meaning here: segments grow as they are written.",
    ),
    entry(
        "retention.bytes",
        Kind::Long,
        "-1",
        LIMIT,
        ANY,
        "How many bytes of a partition are kept; -1 for all.",
    ),
    entry(
        "retention.ms",
        Kind::Long,
        "-1",
        LIMIT,
        ANY,
        "How long records are kept; -1 for ever. Apache Kafka's default is a week; here the log is the source of truth.",
    ),
    entry(
        "segment.bytes",
        Kind::Int,
        SEGMENT,
        (14.0, 2_147_483_647.0),
        ANY,
        "The size of a segment file.",
    ),
    entry(
        "segment.index.bytes",
        Kind::Int,
        "10485760",
        (4.0, 2_147_483_647.0),
        ANY,
        "Taken for the sake of other clients; without meaning here: an index is as large as its segment needs.",
    ),
    entry(
        "segment.jitter.ms",
        Kind::Long,
        "0",
        LONG,
        ANY,
        "Taken for the sake of other clients; without meaning here: segments are rolled without jitter.",
    ),
    entry(
        "segment.ms",
        Kind::Long,
        "9223372036854775807",
        (1.0, i64::MAX as f64),
        ANY,
        "After how long a segment is closed even if it is not full, so that retention can remove it and compaction rewrite it. \
         Apache Kafka's default is a week.",
    ),
    entry(
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        (0.0, 0.0),
        ANY,
        "Taken for the sake of other clients; without meaning here: there is one node.",
    ),
];

/// An entry by name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// Why a value is not allowed, if it is not.
    fn refuse(&self, value: &str) -> Option<String> {
        let fits = |number: f64| (self.range.0..=self.range.1).contains(&number);
        let good = match self.kind {
            Kind::Boolean => matches!(value, "true" | "false"),
            Kind::Int => value.parse::<i32>().is_ok_and(|n| fits(f64::from(n))),
            Kind::Long => value.parse::<i64>().is_ok_and(|n| fits(n as f64)),
            Kind::Double => value.parse::<f64>().is_ok_and(fits),
            Kind::Text => self.choices.contains(&value),
            Kind::List => !value.is_empty() && value.split(',').all(|item| self.choices.contains(&item.trim())),
        };
        if good {
            return None;
        }
        let expected = match self.kind {
            Kind::Boolean => "true or false".to_owned(),
            Kind::Text | Kind::List => self.choices.join(" or "),
            Kind::Int | Kind::Long if self.range.1 >= 9e18 => format!("a whole number from {}", self.range.0),
            Kind::Int | Kind::Long => format!("a whole number from {} to {}", self.range.0, self.range.1),
            Kind::Double => format!("a number from {} to {}", self.range.0, self.range.1),
        };
        Some(format!(
            "Invalid value {value} for configuration {}: the embedded broker takes {expected}.",
            self.name
        ))
    }
}

/// What a topic has set, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    set: BTreeMap<String, String>,
}

impl TopicConfig {
    /// Checks and takes entries; the message of an error is for the client.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Result<Self, String> {
        let mut config = Self::default();
        for (name, value) in entries {
            let value = value.ok_or_else(|| format!("Null value not supported for topic configs: {name}."))?;
            config.set(name, value)?;
        }
        Ok(config)
    }

    /// Sets an entry.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let entry = find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        match entry.refuse(value) {
            Some(message) => Err(message),
            None => {
                self.set.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    /// Goes back to the default.
    pub fn unset(&mut self, name: &str) -> Result<(), String> {
        find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        self.set.remove(name);
        Ok(())
    }

    /// What was set for an entry, `None` where it is the default.
    pub fn own(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// Everything that was set.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// The value in force.
    pub fn get(&self, name: &str) -> &str {
        self.own(name)
            .or_else(|| find(name).map(|entry| entry.default))
            .unwrap_or_default()
    }

    fn number(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or(-1)
    }

    pub fn max_message_bytes(&self) -> usize {
        usize::try_from(self.number("max.message.bytes")).unwrap_or(0)
    }

    /// When the active segment is closed.
    pub fn roll(&self) -> Roll {
        Roll {
            bytes: u64::try_from(self.number("segment.bytes")).unwrap_or(0),
            age: segment_age(self.number("segment.ms"), self.compaction()),
        }
    }

    fn has_policy(&self, policy: &str) -> bool {
        let mut policies = self.get("cleanup.policy").split(',');
        policies.any(|item| item.trim() == policy)
    }

    /// Whether every record must have a key, because compaction goes by it.
    pub fn compacts(&self) -> bool {
        self.has_policy("compact")
    }

    /// By what the log is compacted; `None` where it is not.
    pub fn compaction(&self) -> Option<Policy> {
        self.compacts().then(|| Policy {
            dirty_ratio: self.get("min.cleanable.dirty.ratio").parse().unwrap_or(1.0),
            lag: (
                self.number("min.compaction.lag.ms"),
                self.number("max.compaction.lag.ms"),
            ),
            tombstones: self.number("delete.retention.ms"),
            segment_bytes: u64::try_from(self.number("segment.bytes")).unwrap_or(0),
        })
    }

    pub fn is_log_append_time(&self) -> bool {
        self.get("message.timestamp.type") == "LogAppendTime"
    }

    /// When segments are closed and removed.
    pub fn limits(&self) -> Limits {
        let retention = if self.has_policy("delete") {
            (self.number("retention.ms"), self.number("retention.bytes"))
        } else {
            (-1, -1)
        };
        Limits {
            retention,
            roll: self.roll(),
        }
    }

    /// How far from now a record's time may stand: into the past and into the future.
    pub fn time_bounds(&self) -> (i64, i64) {
        (
            self.number("message.timestamp.before.max.ms"),
            self.number("message.timestamp.after.max.ms"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed() {
        for entry in ENTRIES {
            assert_eq!(entry.refuse(entry.default), None, "{}", entry.name);
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_is_right() {
        let mut config = TopicConfig::default();
        for (name, value, says) in [
            ("cleanup.policy", "archive", "delete or compact"),
            ("retention.ms", "soon", "a whole number from -1"),
            ("retention.ms", "-2", "a whole number from -1"),
            ("max.message.bytes", "200000000", "to 104857600"),
            ("preallocate", "yes", "true or false"),
            ("compression.type", "gzip", "producer"),
            ("min.cleanable.dirty.ratio", "1.5", "from 0 to 1"),
            ("retention", "1", "Unknown topic config name: retention"),
        ] {
            let message = config.set(name, value).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
        assert!(TopicConfig::new([("retention.ms", None)]).is_err());
    }

    #[test]
    fn a_compacted_topic_closes_its_segments_in_time() {
        let millis = |config: &TopicConfig| config.roll().age.as_millis();
        let mut config =
            TopicConfig::new([("segment.ms", Some("5000")), ("max.compaction.lag.ms", Some("700"))]).unwrap();
        assert_eq!((millis(&config), config.compaction()), (5000, None));
        config.set("cleanup.policy", "delete, compact").unwrap();
        assert_eq!(millis(&config), 700);
        let policy = config.compaction().unwrap();
        assert_eq!((policy.lag, policy.tombstones), ((0, 700), 86_400_000));
        config.set("max.compaction.lag.ms", "9000").unwrap();
        assert_eq!(millis(&config), 5000);
    }

    #[test]
    fn values_are_taken_and_given_back() {
        let mut config =
            TopicConfig::new([("cleanup.policy", Some("compact,delete")), ("retention.ms", Some("5"))]).unwrap();
        assert_eq!(config.limits().retention, (5, -1));
        config.set("cleanup.policy", "compact").unwrap();
        assert_eq!(config.limits().retention, (-1, -1));
        config.unset("cleanup.policy").unwrap();
        config.unset("retention.ms").unwrap();
        assert_eq!(config, TopicConfig::default());
    }
}

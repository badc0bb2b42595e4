//! What can go wrong between here and a broker.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::record::TopicPartition;

/// An error of the broker layer: what happened, why, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The embedded broker does not start.
    #[error(transparent)]
    Embedded(#[from] super::embedded::error::EmbeddedError),
    /// librdkafka does not accept a property of the profile.
    #[error(
        "cluster `{cluster}`: the property `{property}` is not accepted: {reason}. See librdkafka's CONFIGURATION.md for the properties that exist"
    )]
    Property {
        /// The profile's name.
        cluster: String,
        /// The property's name. Its value may be a secret and is not here.
        property: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The profile's properties do not make a client together.
    #[error("cluster `{cluster}`: its properties cannot be used together: {reason}")]
    Properties {
        /// The profile's name.
        cluster: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The configuration file cannot be read or means nothing.
    #[error("{}: {reason}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where they are known.
        reason: String,
    },
    /// The configuration file names no such cluster.
    #[error("there is no cluster `{name}` in {}; {}", path.display(), known_clusters(known))]
    UnknownCluster {
        /// The name that was asked for.
        name: String,
        /// The names that are there.
        known: Vec<String>,
        /// The file.
        path: PathBuf,
    },
    /// Nobody answers at the address.
    #[error("cannot reach {address}: {reason} (tried for {:.1} s). {hint}", waited.as_secs_f32())]
    Unreachable {
        /// The addresses that were tried.
        address: String,
        /// Why, as far as the client library told.
        reason: String,
        /// What to do.
        hint: &'static str,
        /// How long it was tried.
        waited: Duration,
    },
    /// The topic does not exist.
    #[error("there is no topic `{name}` at {address}; {}", similar_topics(similar))]
    UnknownTopic {
        /// The name that was asked for.
        name: String,
        /// Names that are like it.
        similar: Vec<String>,
        /// Where.
        address: String,
    },
    /// The topic has no such partition.
    #[error("the topic `{topic}` has no partition {partition}: it has {count}, numbered from 0")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition that was asked for.
        partition: i32,
        /// How many there are.
        count: usize,
    },
    /// A topic of that name is there already.
    #[error(
        "a topic `{name}` exists already. Choose another name, or delete it first with `foldlog topics delete {name}`"
    )]
    TopicExists {
        /// Its name.
        name: String,
    },
    /// A topic was deleted, or lost the partition, while it was read.
    #[error("{partition} is gone: the topic was deleted or created anew while it was read ({reason})")]
    TopicGone {
        /// What was read.
        partition: TopicPartition,
        /// The broker's words.
        reason: String,
    },
    /// The group does not exist.
    #[error("there is no consumer group `{name}`; {}", similar_groups(similar))]
    UnknownGroup {
        /// The name that was asked for.
        name: String,
        /// Names that are like it.
        similar: Vec<String>,
    },
    /// An offset that the log does not hold.
    #[error("{partition} has no offset {offset}: {}", offsets_held(*low, *high))]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was asked for.
        offset: i64,
        /// The first offset that the log holds.
        low: i64,
        /// The offset that the next record will get.
        high: i64,
    },
    /// Another producer has begun under the same name, and this one can write no more.
    #[error(
        "somebody else has begun to write as `{name}`: another process that publishes or mirrors the same, perhaps on another machine. Only \
         one can at a time: end one of the two"
    )]
    Fenced {
        /// The name.
        name: String,
    },
    /// Something cannot be asked for.
    #[error("{0}")]
    Invalid(String),
    /// Writing is not allowed there.
    #[error(
        "cluster `{cluster}` is marked read-only: {what} is refused. Change `access` in the configuration file if that is wrong"
    )]
    ReadOnly {
        /// The profile's name.
        cluster: String,
        /// What was refused.
        what: String,
    },
    /// Writing there needs the cluster's name said once more.
    #[error("cluster `{cluster}` is marked production: {what} needs its name once more: add `--confirm {cluster}`")]
    Unconfirmed {
        /// The profile's name.
        cluster: String,
        /// What was refused.
        what: String,
    },
    /// The broker answered no.
    #[error("{what} failed: {reason}{}", spaced(hint))]
    Request {
        /// What was asked.
        what: String,
        /// The broker's words.
        reason: String,
        /// What to do, where that is known.
        hint: &'static str,
    },
    /// Records could not be written.
    #[error("{failed} {} could not be written to `{topic}`: {reason}{}", records(*failed), spaced(hint))]
    Write {
        /// How many, so far.
        failed: u64,
        /// The topic of the first of them.
        topic: String,
        /// Why the first could not.
        reason: String,
        /// Whether that is about the record, and not about the topic, the rights or the connection.
        of_record: bool,
        /// What to do, where that is known.
        hint: &'static str,
    },
    /// Records were not acknowledged in time.
    #[error("{pending} {} not acknowledged after {:.1} s: {reason}. They may or may not have been written", records(*pending), waited.as_secs_f32())]
    NotAcknowledged {
        /// How many.
        pending: u64,
        /// Why, as far as the client library told.
        reason: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// What fits nothing else.
    #[error("{0}")]
    Other(String),
}

fn spaced(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!(". {hint}")
    }
}

fn records(count: u64) -> &'static str {
    if count == 1 { "record" } else { "records" }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn known_clusters(known: &[String]) -> String {
    if known.is_empty() {
        "it names none. Add `[clusters.NAME]` with `bootstrap = \"HOST:PORT\"`, or use `-b HOST:PORT`".to_owned()
    } else {
        format!("it has {}", quoted(known))
    }
}

fn similar_topics(similar: &[String]) -> String {
    if similar.is_empty() {
        "`foldlog topics` lists what there is, `foldlog topics create` makes one".to_owned()
    } else {
        format!("did you mean {}?", quoted(similar))
    }
}

fn similar_groups(similar: &[String]) -> String {
    if similar.is_empty() {
        "`foldlog groups` lists what there is".to_owned()
    } else {
        format!("did you mean {}?", quoted(similar))
    }
}

fn offsets_held(low: i64, high: i64) -> String {
    if low == high {
        format!("it holds no records, and the next will get {high}")
    } else {
        format!("it holds {low} to {}", high - 1)
    }
}

/// Up to three names of `names` that somebody who wrote `wanted` may have meant.
pub(super) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let other = name.to_lowercase();
            let distance = distance(&lower, &other);
            let within = !lower.is_empty() && (other.contains(&lower) || lower.contains(&other)) && !other.is_empty();
            (within || distance <= lower.chars().count().div_ceil(3)).then_some((distance, name))
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// How many characters must be added, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_what_was_meant_and_nonsense_finds_nothing() {
        let names = ["orders", "order-events", "payments", "x"];
        assert_eq!(similar("odrers", names), ["orders"]);
        assert_eq!(similar("Orders", names), ["orders"]);
        assert_eq!(similar("order", names), ["orders", "order-events"]);
        assert_eq!(similar("zzzzzz", names), Vec::<String>::new());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}

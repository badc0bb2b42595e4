//! `foldlog topics`.

use std::collections::BTreeMap;

use clap::Subcommand;
use miette::IntoDiagnostic;
use serde_json::json;

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::topics::{NewTopic, TopicInfo, Watermarks};

use super::context::Context;
use super::show;
use super::table::{number, table, text};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  foldlog topics
  foldlog topics create orders -p 4
  foldlog topics create customers \\
    --config cleanup.policy=compact
  foldlog topics delete orders

OFFSETS is how many there are from the first record to the end. Where compaction removed records or transactions wrote \
markers, there are fewer records than that."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Action>,
    /// Kafka's own topics too, such as __consumer_offsets
    #[arg(long)]
    internal: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a topic
    #[command(after_help = "Examples:
  foldlog topics create orders -p 4
  foldlog topics create orders -p 4 \\
    --config max.message.bytes=20000000")]
    Create {
        /// Its name
        name: String,
        /// How many partitions [default: what the cluster says]
        #[arg(short, long, value_name = "N")]
        partitions: Option<i32>,
        /// How many replicas of each [default: what the cluster says]
        #[arg(long, value_name = "N")]
        replication: Option<i32>,
        /// Topic configuration
        #[arg(long, value_name = "K=V", value_parser = pair)]
        config: Vec<(String, String)>,
    },
    /// Delete a topic and every record in it
    Delete {
        /// Its name
        name: String,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, such as max.message.bytes=20000000".to_owned()),
    }
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    let client = &connection.client;
    match args.command {
        None => list(context, client, args.internal),
        Some(Action::Create {
            name,
            partitions,
            replication,
            config,
        }) => {
            let topic = NewTopic {
                name,
                partitions,
                replication,
                config,
            };
            client.create_topic(&topic).into_diagnostic()?;
            let made = client.topic(&topic.name).into_diagnostic()?;
            if context.json() {
                println!("{}", json!({ "topic": made.name, "partitions": made.partitions.len() }));
            } else {
                let partitions = show::counted(made.partitions.len() as u64, "partition");
                eprintln!("created {} with {partitions}", made.name);
            }
            Ok(())
        }
        Some(Action::Delete { name }) => {
            client.delete_topic(&name).into_diagnostic()?;
            if context.json() {
                println!("{}", json!({ "deleted": name }));
            } else {
                eprintln!("deleted {name}");
            }
            Ok(())
        }
    }
}

/// A line of the list.
struct Line {
    topic: TopicInfo,
    offsets: Option<u64>,
    policy: Option<String>,
}

fn list(context: &Context, client: &Client, internal: bool) -> miette::Result<()> {
    let mut topics = client.topics().into_diagnostic()?;
    topics.retain(|topic| internal || !topic.internal);
    let mut marks = client.watermarks_of(&topics).into_diagnostic()?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    // Configuration may be hidden from a user who may read: the list is worth showing without it.
    let mut policies = client.topic_configs(&names).map(policies).unwrap_or_default();
    let lines: Vec<Line> = topics
        .into_iter()
        .map(|topic| Line {
            offsets: marks.remove(&topic.name).and_then(offsets),
            policy: policies.remove(&topic.name),
            topic,
        })
        .collect();
    if context.json() {
        for line in &lines {
            println!(
                "{}",
                json!({
                    "topic": line.topic.name,
                    "partitions": line.topic.partitions.len(),
                    "replication": line.topic.replication,
                    "offsets": line.offsets,
                    "cleanup_policy": line.policy,
                    "internal": line.topic.internal,
                })
            );
        }
        return Ok(());
    }
    if lines.is_empty() {
        eprintln!(
            "there are no topics yet: `foldlog topics create NAME` makes one, `foldlog produce --envelope` fills some"
        );
        return Ok(());
    }
    let mut table = table(["TOPIC", "PARTITIONS", "OFFSETS", "CLEANUP"]);
    for line in lines {
        table.add_row([
            text(&line.topic.name),
            number(line.topic.partitions.len().to_string()),
            number(line.offsets.map_or_else(|| "?".to_owned(), show::count)),
            text(line.policy.as_deref().unwrap_or("?")),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn offsets(marks: Result<Vec<Watermarks>, BrokerError>) -> Option<u64> {
    let marks = marks.ok()?;
    Some(
        marks
            .iter()
            .map(|mark| u64::try_from(mark.high - mark.low).unwrap_or(0))
            .sum(),
    )
}

type Configs = BTreeMap<String, Result<Vec<crate::broker::topics::ConfigEntry>, BrokerError>>;

fn policies(configs: Configs) -> BTreeMap<String, String> {
    configs
        .into_iter()
        .filter_map(|(name, entries)| {
            let policy = entries.ok()?.into_iter().find(|entry| entry.name == "cleanup.policy")?;
            Some((name, policy.value?))
        })
        .collect()
}

//! `foldlog projections`.

use std::fs;

use miette::miette;

use crate::broker::client::Client;
use crate::decode::printable::printable;
use crate::projection::parse::parse;
use crate::readmodel::store::{ReadModelInfo, State};
use crate::record::TopicPartition;

use super::context::Context;
use super::show;
use super::table::{number, table, text};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
LAG is how many offsets the log has past the read model's position; `-` where it cannot be asked for. SKIPPED and \
POISONED records are kept: `foldlog dead-letters PROJECTION` shows them.

Examples:
  foldlog projections
  foldlog projections --json | jq '{projection, lag}'")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _args: Args) -> miette::Result<()> {
    let models = context.store()?.list()?;
    if models.is_empty() {
        if !context.json() {
            eprintln!("there are no read models yet: `foldlog rebuild FILE.sql` builds one");
        }
        return Ok(());
    }
    let lags = lags(context, &models);
    if context.json() {
        for (info, lag) in models.iter().zip(lags) {
            let mut line = show::info_json(info);
            line["lag"] = lag.into();
            line["file_changed"] = file_changed(info).into();
            println!("{line}");
        }
        return Ok(());
    }
    let mut table = table([
        "PROJECTION",
        "TOPICS",
        "POSITION",
        "LAG",
        "STATE",
        "APPLIED",
        "IGNORED",
        "SKIPPED",
        "POISONED",
        "UPDATED",
    ]);
    for (info, lag) in models.iter().zip(lags) {
        let counts = info.counts;
        table.add_row([
            text(&info.name),
            text(&info.topics.join(", ")),
            text(&show::position(&info.position)),
            number(lag.map_or_else(|| "-".to_owned(), show::count)),
            text(&state(info)),
            number(show::count(counts.applied)),
            number(show::count(counts.ignored)),
            number(show::count(counts.skipped)),
            number(show::count(counts.poisoned)),
            text(&show::time(info.updated_at)),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn state(info: &ReadModelInfo) -> String {
    let mut said = show::state(&info.state).to_owned();
    if let State::Paused { reason } | State::Unreadable { reason } = &info.state {
        said += &format!(": {}", printable(reason.as_bytes(), 200).text);
    }
    for broken in &info.broken {
        said += &format!(", {broken}");
    }
    if file_changed(info) == Some(true) {
        said += ", built by another version of its file";
    }
    said
}

/// Whether the file says something else now than what the read model was built with; `None` where it cannot be read here.
fn file_changed(info: &ReadModelInfo) -> Option<bool> {
    let text = fs::read_to_string(&info.file).ok()?;
    let now = parse(&text, &info.file).ok()?;
    (now.name == info.name).then_some(now.hash != info.hash)
}

/// How many offsets each read model is behind; `None` where the cluster does not answer or is another one.
fn lags(context: &Context, models: &[ReadModelInfo]) -> Vec<Option<u64>> {
    let connected = context.connect().and_then(|connection| {
        let cluster = connection.client.cluster().map_err(|error| miette!("{error}"))?;
        Ok((connection, cluster.id))
    });
    match connected {
        Ok((connection, id)) => models
            .iter()
            .map(|info| {
                let lag = (info.cluster_id == id).then(|| lag(&connection.client, info)).flatten();
                if lag.is_none() && !matches!(info.state, State::Unreadable { .. }) {
                    eprintln!(
                        "no lag for {}: its topics are not on this cluster any more, or were created again",
                        info.name
                    );
                }
                lag
            })
            .collect(),
        Err(error) => {
            eprintln!("no lag: {error}");
            vec![None; models.len()]
        }
    }
}

fn lag(client: &Client, info: &ReadModelInfo) -> Option<u64> {
    let mut lag = 0;
    for name in &info.topics {
        let topic = client.topic(name).ok()?;
        for marks in client.watermarks(&topic).ok()? {
            let at = TopicPartition::new(name.as_str(), marks.partition);
            let next = info.position.next(&at).unwrap_or(marks.low);
            // Past the end: this is another log than the one that was folded, and no distance to it means anything.
            lag += u64::try_from(marks.high - next).ok()?;
        }
    }
    Some(lag)
}

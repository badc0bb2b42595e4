//! `foldlog projections`.

use std::path::Path;

use serde_json::json;

use crate::decode::printable::printable;
use crate::readmodel::feed::SinkInfo;
use crate::readmodel::outbox::Emitted;
use crate::readmodel::store::{ReadModelInfo, State, Store};
use crate::record::Timestamp;
use crate::replay::standing::{Standing, standing};

use super::context::Context;
use super::rebuild::load;
use super::show;
use super::table::{number, table, text};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
LAG is how many offsets the log has past the read model's position; `-` where there is none. IGNORED is how many \
records are of a type that no handler is for. POISON is how many could not be applied, which a line below the table \
tells apart: `foldlog dead-letters PROJECTION` shows them.

Examples:
  foldlog projections
  foldlog projections --json | jq '{projection, lag}'
  foldlog projections --source account_balance > was.sql")]
pub struct Args {
    /// Print the text of the file that this read model was built from, instead of the list
    #[arg(long, value_name = "PROJECTION")]
    source: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let store = context.store()?;
    if let Some(name) = args.source {
        let text = store.source(&name)?;
        if context.json() {
            println!("{}", json!({ "projection": name, "source": text }));
        } else {
            print!("{text}");
        }
        return Ok(());
    }
    let models = store.list()?;
    if models.is_empty() {
        if !context.json() {
            eprintln!("there are no read models yet: `foldlog rebuild FILE.sql` builds one");
        }
        return Ok(());
    }
    let standings = standings(context, &models);
    if context.json() {
        for (info, standing) in models.iter().zip(&standings) {
            let mut line = json_line(info, standing.as_ref());
            line["previous"] = store.has_previous(&info.name)?.into();
            line["preview"] = preview(&store, info).is_some().into();
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
        "POISON",
        "UPDATED",
    ]);
    for (info, standing) in models.iter().zip(&standings) {
        let counts = info.counts;
        let lag = match standing {
            Some(Standing::Behind(lag)) => show::count(*lag),
            _ => "-".to_owned(),
        };
        table.add_row([
            text(&info.name),
            text(&info.topics.join(", ")),
            text(&show::position(&info.position)),
            number(lag),
            text(state(info, standing.as_ref())),
            number(show::count(counts.applied)),
            number(show::count(counts.ignored)),
            number(show::count(counts.skipped + counts.poisoned)),
            text(&updated(info).map_or_else(|| "-".to_owned(), show::time)),
        ]);
    }
    println!("{table}");
    for (info, standing) in models.iter().zip(&standings) {
        for reason in reasons(info, standing.as_ref()) {
            println!("{}: {}", info.name, printable(reason.as_bytes(), 500).text);
        }
        if let Some(preview) = preview(&store, info) {
            let file = printable(preview.file.as_bytes(), 500).text;
            println!(
                "{}: a preview of {file} waits (`foldlog preview {file} --accept` puts it in use)",
                info.name
            );
        }
    }
    Ok(())
}

/// When it was written last; nobody knows of one that cannot be read.
fn updated(info: &ReadModelInfo) -> Option<Timestamp> {
    let is_known = !matches!(info.state, State::Unreadable { .. });
    is_known.then_some(info.updated_at)
}

fn state(info: &ReadModelInfo, standing: Option<&Standing>) -> &'static str {
    match standing {
        Some(Standing::NeedsRebuild(_)) => "needs rebuild",
        _ => show::state(&info.state),
    }
}

fn json_line(info: &ReadModelInfo, standing: Option<&Standing>) -> serde_json::Value {
    let mut line = show::info_json(info);
    line["lag"] = match standing {
        Some(Standing::Behind(lag)) => (*lag).into(),
        _ => serde_json::Value::Null,
    };
    if let Some(Standing::NeedsRebuild(reason)) = standing {
        line["state"] = "needs_rebuild".into();
        line["reason"] = reason.as_str().into();
    }
    line["file_changed"] = file_changed(info).into();
    line
}

/// The preview of a read model, if one waits that can be read.
fn preview(store: &Store, info: &ReadModelInfo) -> Option<ReadModelInfo> {
    store.preview(&info.name).ok().flatten().map(|preview| preview.info)
}

/// Why a read model is in its state, for people.
fn reasons(info: &ReadModelInfo, standing: Option<&Standing>) -> Vec<String> {
    let name = &info.name;
    let mut reasons = Vec::new();
    match standing {
        Some(Standing::NeedsRebuild(reason)) => reasons.push(format!("needs a rebuild, because {reason}")),
        Some(Standing::Elsewhere(reason)) => reasons.push(reason.clone()),
        Some(Standing::Behind(_)) | None => {}
    }
    match &info.state {
        State::Paused { reason } => {
            reasons.push(format!(
                "paused at {reason} (`foldlog dead-letters {name}` shows the record)"
            ));
        }
        State::Unreadable { reason } => reasons.push(format!("unreadable: {reason}")),
        State::Ready => {}
    }
    if let Some(emitted) = &info.emitted {
        reasons.extend(emits(emitted));
    }
    if let Some(history) = info.history {
        let (events, bytes) = (show::counted(history.events, "event"), show::bytes(history.bytes));
        reasons.push(format!("keeps the history of {events}, {bytes}"));
    }
    if !info.poison.is_empty() {
        let kinds: Vec<_> = info
            .poison
            .iter()
            .map(|(kind, count)| format!("{} ({})", show::counted(*count, "record"), kind.word()))
            .collect();
        reasons.push(format!(
            "could not be applied: {}; see `foldlog dead-letters {name}`",
            kinds.join(", ")
        ));
    }
    if info.counts.held > 0 {
        reasons.push(format!(
            "{} held, because an earlier one of the key was left out",
            show::counted(info.counts.held, "record")
        ));
    }
    if info.decisions > 0 {
        reasons.push(format!(
            "its log is amended by {} about single records (`foldlog dead-letters {name} log`)",
            show::counted(info.decisions, "decision")
        ));
    }
    if let Some(notified) = info.notified.as_ref().filter(|notified| notified.trouble.is_some()) {
        let trouble = notified.trouble.as_deref().unwrap_or("-");
        reasons.push(format!(
            "{} waiting to be told to the webhook, {} given up; the last reason: {trouble}",
            show::counted(notified.waiting, "alert"),
            show::count(notified.given_up)
        ));
    }
    reasons.extend(info.sinks.iter().flat_map(fed));
    reasons.extend(info.broken.iter().map(ToString::to_string));
    if file_changed(info) == Some(true) {
        reasons.push(format!(
            "{} says something else now than what it was built with",
            info.file
        ));
    }
    reasons
}

/// What is to be said of records that it emits: those that wait, and those that were given up.
fn emits(emitted: &Emitted) -> Vec<String> {
    let mut said = Vec::new();
    if emitted.waiting > 0 {
        let why = match &emitted.trouble {
            Some(trouble) => format!(": {trouble}"),
            None => "; `foldlog follow` publishes them".to_owned(),
        };
        let published = show::counted(emitted.published, "record");
        said.push(format!(
            "{published} published, {} waiting{why}",
            show::count(emitted.waiting)
        ));
    }
    if emitted.refused > 0 {
        let last = emitted.reason.as_deref().unwrap_or("-");
        said.push(format!(
            "{} not published, the last because {last}",
            show::counted(emitted.refused, "record")
        ));
    }
    said
}

/// What is to be said of a store that it feeds.
fn fed(sink: &SinkInfo) -> Vec<String> {
    let given = show::counted(sink.rows, "row");
    let state = match (&sink.trouble, sink.whole, sink.waiting) {
        (Some(trouble), false, _) => format!("not all rows yet: {trouble}"),
        (Some(trouble), true, waiting) => format!("{} waiting: {trouble}", show::counted(waiting, "change")),
        (None, false, _) => "not all rows yet".to_owned(),
        (None, true, 0) => "in step".to_owned(),
        (None, true, waiting) => format!(
            "{} waiting; `foldlog follow` feeds them",
            show::counted(waiting, "change")
        ),
    };
    let mut said = vec![format!("feeds {}: {given} given, {state}", sink.name)];
    if sink.refused > 0 {
        let why = sink.reason.as_deref().unwrap_or("-");
        said.push(format!(
            "{} does not take {}, such as {why}",
            sink.name,
            show::counted(sink.refused, "row")
        ));
    }
    said
}

/// Whether the file says something else now than what the read model was built with; `None` where it cannot be read here.
fn file_changed(info: &ReadModelInfo) -> Option<bool> {
    let now = load(Path::new(&info.file)).ok()?;
    (now.name == info.name).then_some(now.hash != info.hash)
}

/// How each read model stands to the log; `None` where the cluster does not say, which is told.
fn standings(context: &Context, models: &[ReadModelInfo]) -> Vec<Option<Standing>> {
    let connection = match context.connect() {
        Ok(connection) => connection,
        Err(error) => {
            eprintln!("no lag: {error}");
            return vec![None; models.len()];
        }
    };
    let mut told = false;
    let mut ask = |info: &ReadModelInfo| match standing(&connection.client, &connection.store, info) {
        Ok(standing) => Some(standing),
        Err(error) => {
            // A cluster that does not answer would say the same of each.
            if !told {
                eprintln!("no lag: {error}");
                told = true;
            }
            None
        }
    };
    let readable = |info: &&ReadModelInfo| !matches!(info.state, State::Unreadable { .. });
    models
        .iter()
        .map(|info| Some(info).filter(readable).and_then(&mut ask))
        .collect()
}

//! What is done about dead letters: retry, skip, edit, replay.

use std::path::Path;

use miette::miette;
use serde_json::json;

use crate::projection::Projection;
use crate::readmodel::decision::{Choice, RecordPlace};
use crate::readmodel::store::{LetterState, ReadModelInfo, Store};
use crate::replay::decide::{Decided, Request, decide, who};
use crate::replay::takeover::still;

use super::super::context::Context;
use super::super::place::PlaceArg;
use super::super::rebuild::{load, watch};
use super::super::show;
use super::edit::{self, Value};

/// A choice, as the command line says it.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Try the record again that the read model is paused before, by what the projection's file says now
    Retry {
        /// The record [default: the one that it is paused before]
        #[arg(value_name = "P:OFFSET")]
        place: Option<PlaceArg>,
        #[command(flatten)]
        who: Who,
    },
    /// Leave a record out
    Skip {
        /// The record [default: the one that the read model is paused before]
        #[arg(value_name = "P:OFFSET")]
        place: Option<PlaceArg>,
        /// Hold the later records of its key in its partition, until something else is decided about this one
        #[arg(long)]
        hold_key: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Apply a record with another value
    Edit {
        /// The record [default: the one that the read model is paused before]
        #[arg(value_name = "P:OFFSET")]
        place: Option<PlaceArg>,
        #[command(flatten)]
        value: Value,
        #[command(flatten)]
        who: Who,
    },
    /// Apply records after all that were left out, in the log's order, by what the projection's file says now
    Replay {
        /// The records
        #[arg(value_name = "P:OFFSET", required_unless_present = "all", conflicts_with = "all")]
        places: Vec<PlaceArg>,
        /// All that were left out
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Who decided what, and when
    Log,
}

/// Who decides.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Who decides this [default: USER@HOST]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

impl Who {
    fn name(self) -> String {
        self.name.unwrap_or_else(who)
    }
}

/// Carries it out.
pub(super) fn run(context: &Context, name: &str, action: Action) -> miette::Result<()> {
    let store = context.store()?;
    let info = store.info(name)?;
    let one = |place: Option<PlaceArg>| match place {
        Some(place) => place.among(&info.topics),
        None => paused(&store, &info),
    };
    let (choices, who, mended) = match action {
        Action::Log => return super::log::run(context, &store, name),
        Action::Retry { place, who } => (vec![(one(place)?, Choice::Retry)], who, true),
        Action::Skip { place, hold_key, who } => (vec![(one(place)?, Choice::Skip { hold_key })], who, false),
        Action::Edit { place, value, who } => {
            let place = one(place)?;
            let record = store.dead_letter(&info.name, &place)?.map(|letter| letter.record);
            let value = edit::value(value, record.as_ref())?;
            (vec![(place, Choice::Edit(value))], who, false)
        }
        Action::Replay {
            places,
            all: false,
            who,
        } => {
            let places: Vec<_> = places
                .into_iter()
                .map(|place| place.among(&info.topics))
                .collect::<Result<_, _>>()?;
            (
                places.into_iter().map(|place| (place, Choice::Retry)).collect(),
                who,
                true,
            )
        }
        Action::Replay { all: true, who, .. } => (all_skipped(&store, &info)?, who, true),
    };
    let projection = if mended { mended_file(&info)? } else { None };
    let request = Request {
        name: info.name.clone(),
        projection,
        choices,
        who: who.name(),
    };
    let connection = context.connect()?;
    let task = decide(connection.client.clone(), connection.store.clone(), request.clone());
    for notice in watch(&task, &format!("dead letters of {name}"))?.iter() {
        eprintln!("note: {notice}");
    }
    let decided = task.wait()?;
    if context.json() {
        println!("{}", line(&request, &decided));
    } else {
        println!("{}", sentence(&request, &decided));
    }
    Ok(())
}

/// The record that the read model is paused before.
fn paused(store: &Store, info: &ReadModelInfo) -> miette::Result<RecordPlace> {
    let mut paused = None;
    store.each_dead_letter(&info.name, &mut |letter| {
        if letter.state == LetterState::Paused {
            paused = Some(letter.place());
        }
        paused.is_none()
    })?;
    paused.ok_or_else(|| {
        miette!(
            help = format!("say which record: `foldlog dead-letters {}` lists them", info.name),
            "`{}` is not paused before a record",
            info.name
        )
    })
}

fn all_skipped(store: &Store, info: &ReadModelInfo) -> miette::Result<Vec<(RecordPlace, Choice)>> {
    let skipped = store.skipped(&info.name)?;
    if skipped.is_empty() {
        return Err(miette!("`{}` left no record out", info.name));
    }
    Ok(skipped.into_iter().map(|place| (place, Choice::Retry)).collect())
}

/// The projection as its file says it now, where that is something else than the read model was built from.
fn mended_file(info: &ReadModelInfo) -> miette::Result<Option<Projection>> {
    let path = Path::new(&info.file);
    if !path.is_file() {
        return Ok(None);
    }
    let now = load(path)?;
    if !still(info, &now) {
        return Ok(None);
    }
    if now.hash != info.hash {
        eprintln!(
            "note: {} says something else than what `{}` was built from; it is built anew with it",
            info.file, info.name
        );
    }
    Ok(Some(now))
}

fn sentence(request: &Request, decided: &Decided) -> String {
    let what = match &*request.choices {
        [(place, choice)] => match choice {
            Choice::Retry => format!("applied {place}"),
            Choice::Skip { hold_key: false } => format!("left out {place}"),
            Choice::Skip { hold_key: true } => format!("left out {place}; what comes later of its key is held"),
            Choice::Edit(_) => format!("applied {place} with the other value"),
        },
        choices => format!("applied {}", show::counted(choices.len() as u64, "record")),
    };
    let info = &decided.info;
    match &decided.rebuilt {
        None => format!(
            "{what}; a `foldlog follow` that waits goes on by itself, else `foldlog follow {}` does",
            info.file
        ),
        Some(report) => format!(
            "{what}: folded {} anew from {} in {}",
            info.name,
            show::counted(report.records, "record"),
            show::duration(report.took)
        ),
    }
}

fn line(request: &Request, decided: &Decided) -> serde_json::Value {
    let mut line = show::info_json(&decided.info);
    let choices = request.choices.iter().map(|(place, choice)| {
        let at = &place.partition;
        json!({ "topic": &*at.topic, "partition": at.partition, "offset": place.offset, "choice": choice.word() })
    });
    line["decided"] = choices.collect();
    line["who"] = json!(request.who);
    line["rebuilt"] = json!(decided.rebuilt.is_some());
    line
}

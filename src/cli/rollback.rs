//! `foldlog rollback`.

use std::fs;

use serde_json::json;

use crate::projection::parse::parse;
use crate::readmodel::decision::Decision;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::store::{ReadModelInfo, Store};

use super::at::sentence;
use super::context::Context;
use super::preview::locked;
use super::show;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rebuild and an accepted preview keep the build that was in use. This puts it back, and keeps the other in its place, so that \
doing it twice changes nothing. It stands where it stood; `foldlog follow` takes it on by the file that it was built from. \
What was decided about single records is not taken back.

Examples:
  foldlog diff account_balance account_balance@previous
  foldlog rollback account_balance
  foldlog rollback account_balance --drop")]
pub struct Args {
    /// The projection
    projection: String,
    /// Delete the build before the one in use, instead of bringing it back
    #[arg(long)]
    drop: bool,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let (store, name) = (context.store()?, &args.projection);
    if args.drop {
        if store.previous(name)?.is_none() {
            return Err(ReadModelError::NoPrevious { name: name.clone() }.into());
        }
        store.drop_previous(name)?;
        if context.json() {
            println!("{}", json!({ "projection": name, "dropped": "previous" }));
        } else {
            println!("the build of {name} before the one in use is gone");
        }
        return Ok(());
    }
    let info = store
        .bring_back(name)
        .map_err(|error| locked(name, error, "both builds stay as they are"))?;
    if let Some(note) = other_text(&info) {
        eprintln!("note: {note}");
    }
    if let Some(note) = decided_otherwise(&store, &info)? {
        eprintln!("note: {note}");
    }
    if context.json() {
        println!("{}", show::info_json(&info));
    } else {
        println!("back in use: {}, as {} made it", sentence(&info), info.file);
    }
    Ok(())
}

/// What stands by now about records that the build was folded with otherwise, or has not met yet. Decisions are about the log and
/// are not taken back with a build.
fn decided_otherwise(store: &Store, info: &ReadModelInfo) -> miette::Result<Option<String>> {
    let standing = store.standing(&info.name, &store.topics(&info.name)?)?;
    let ours = store.amendments(&info.name)?;
    let is_folded = |decision: &Decision| {
        let place = decision.place();
        let next = info.position.next(&place.partition);
        next.is_some_and(|next| place.offset < next)
    };
    let folded = ours.only(is_folded).differences(&standing.only(is_folded));
    let to_come = ours.differences(&standing) - folded;
    let mut notes = Vec::new();
    if to_come > 0 {
        notes.push(format!(
            "about {} to come: the next `foldlog follow` or rebuild folds by it",
            show::counted(to_come as u64, "record")
        ));
    }
    if folded > 0 {
        notes.push(format!(
            "about {} that this build folded otherwise: `foldlog rebuild {}` folds them by it",
            show::counted(folded as u64, "record"),
            info.file
        ));
    }
    if notes.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "what was decided still stands, {}; `foldlog dead-letters {} log` lists it",
        notes.join(", and "),
        info.name
    )))
}

/// What to do where the file no longer says what the build was built with.
fn other_text(info: &ReadModelInfo) -> Option<String> {
    let text = fs::read_to_string(&info.file).ok();
    let now = text.and_then(|text| parse(&text, &info.file).ok());
    if now.is_some_and(|now| now.hash == info.hash) {
        return None;
    }
    Some(format!(
        "{0} does not say what this build was built with; `foldlog projections --source {1}` prints that text, which \
         `foldlog follow` needs",
        info.file, info.name
    ))
}

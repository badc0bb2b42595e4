//! `foldlog what-if`.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::{Value, json};

use crate::broker::place;
use crate::decode::printable::one_line;
use crate::readmodel::apply::Outcome;
use crate::readmodel::compare::{Side, Tally};
use crate::readmodel::invariant::Broken;
use crate::readmodel::store::{Counts, ReadModelInfo};
use crate::replay::rebuild::Until;
use crate::replay::whatif::{At, Change, Draft, Edited, Fate, Refused, Spot, WhatIf, WhatIfOptions, what_if};

use super::at::sentence;
use super::context::Context;
use super::differences::{self, Printed};
use super::envelope::{Envelope, timestamp};
use super::interrupt::Interrupt;
use super::place::PlaceArg;
use super::rebuild::{load, parse_until, watch};
use super::{query, show, verify};

/// Records that people are shown of those that are refused only on one side.
const SHOWN: usize = 20;
/// Characters of a reason.
const WIDTH: usize = 200;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The changed log is folded in a private copy and compared, row by row, with what the log says: - is what it is, + what it would \
have been. Nothing is written: neither the log nor the read model in use.

Examples:
  foldlog what-if account_balance --without 0:1500
  foldlog what-if account_balance --without-key a17
  foldlog what-if account_balance \\
    --without-where \"type = 'Deposited' AND :amount > 100\"
  foldlog what-if account_balance \\
    --edit '0:1500={\"type\":\"Deposited\",\"amount\":5}'
  foldlog what-if account_balance \\
    --insert before 0:1500 '{\"type\":\"Closed\"}'
  foldlog what-if account_balance \\
    --insert at 2026-01-31 @event.json --envelope
  foldlog what-if account_balance --move 0:15 before 0:14
  foldlog what-if account_balance --with new.sql
  foldlog what-if account_balance --without 0:1500 \\
    -q 'SELECT sum(balance) FROM account'

A record is named PARTITION:OFFSET, or TOPIC:PARTITION:OFFSET where the projection reads several topics. A value is JSON, null \
for a tombstone, or @FILE; with --envelope it is a whole record as `foldlog read -o json` prints it.

A record that is put in or moved beside another stands right before or after it, whatever its time says, and one that is put in \
has that one's topic, partition and time; @offset of it is the next after its partition's end. At a time it stands where a \
rebuild would take a record of that time. What is put at the same place comes in the order of the flags, --insert before --move.

With --with the log is folded by the rules of another file. The exit code is 0 whether or not anything differs.")]
pub struct Args {
    /// The projection
    projection: String,
    /// Leave this record out; several apart with commas, or the flag again
    #[arg(long, value_name = "P:OFFSET,...", value_delimiter = ',', value_parser = parse_at)]
    without: Vec<At>,
    /// Leave every record of this key out
    #[arg(long, value_name = "KEY")]
    without_key: Vec<String>,
    /// Leave every event of this type out
    #[arg(long, value_name = "TYPE")]
    without_type: Vec<String>,
    /// Leave every record out that this SQL condition chooses: over key, value, type, topic, partition, offset, timestamp, headers
    /// and size, and the value's fields as :name
    #[arg(long, value_name = "SQL")]
    without_where: Vec<String>,
    /// Let this record have another value
    #[arg(long, value_name = "P:OFFSET=JSON|@FILE")]
    edit: Vec<String>,
    /// Put a record in; PLACE is the P:OFFSET of another one, or a time with `at`
    #[arg(long, num_args = 3, value_names = ["before|after|at", "PLACE", "JSON|@FILE"])]
    insert: Vec<String>,
    /// Let this record come at another place, or at another time with `at`
    #[arg(long = "move", num_args = 3, value_names = ["P:OFFSET", "before|after|at", "PLACE"])]
    moved: Vec<String>,
    /// What --edit and --insert give are whole records, as `foldlog read -o json` prints them
    #[arg(long)]
    envelope: bool,
    /// Fold by the handlers and tables of this file
    #[arg(long, value_name = "FILE.sql")]
    with: Option<PathBuf>,
    /// Compare as of before this time or these offsets, as `foldlog at` takes them [default: the end of the log]
    #[arg(long, value_name = "TIME|P:OFFSET,...", value_parser = parse_until)]
    until: Option<Until>,
    /// Ask this of the read model that would have been, instead of comparing
    #[arg(short = 'q', long = "query", value_name = "SQL")]
    sql: Option<String>,
    /// Show at most this many rows of a table; all are counted [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let changes = changes(&args)?;
    if changes.is_empty() && args.with.is_none() {
        return Err(miette!(
            help = "leave a record out with --without P:OFFSET, or see `foldlog what-if --help` for what else can be changed",
            "nothing is changed, so nothing differs"
        ));
    }
    let with = args.with.as_deref().map(load).transpose()?;
    let connection = context.connect()?;
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let options = WhatIfOptions {
        changes: changes.clone(),
        with,
        until: args.until,
    };
    let task = what_if(client, store, args.projection.clone(), options);
    watch(&task, &format!("what-if {}", args.projection))?;
    let found = task.wait()?;
    eprintln!("- {}", sentence(&found.before));
    eprintln!("+ {}, had it been so", sentence(&found.after));
    if let Some(sql) = args.sql {
        return query::print(&found.model.session()?, &sql, None, None, context.json());
    }
    let (mut truth, mut model) = (Side::past(&found.truth)?, Side::past(&found.model)?);
    let interrupt = Interrupt::listen(|| {});
    for side in [&mut truth, &mut model] {
        let interrupt = interrupt.clone();
        side.interrupt_when(move || interrupt.is_set())?;
    }
    let Printed::Whole(tally) = differences::print(context.json(), args.limit, &truth, &model)? else {
        return Ok(());
    };
    if context.json() {
        println!("{}", report_json(&changes, &found, &tally));
    } else {
        print!("{}", text(&changes, &found, &tally));
    }
    Ok(())
}

fn changes(args: &Args) -> miette::Result<Vec<Change>> {
    let mut changes: Vec<Change> = args.without.iter().cloned().map(Change::Without).collect();
    changes.extend(
        args.without_key
            .iter()
            .map(|key| Change::WithoutKey(key.clone().into_bytes())),
    );
    changes.extend(args.without_type.iter().cloned().map(Change::WithoutType));
    changes.extend(args.without_where.iter().cloned().map(Change::WithoutWhere));
    for edit in &args.edit {
        let (at, value) = edit
            .split_once('=')
            .ok_or_else(|| miette!("--edit {edit}: write P:OFFSET=JSON, or P:OFFSET=@FILE"))?;
        let at = parse_at(at).map_err(|error| miette!("--edit: {error}"))?;
        let edited = if args.envelope {
            Edited::Record(draft("--edit", value)?)
        } else {
            Edited::Value(bytes("--edit", value)?)
        };
        changes.push(Change::Edit(at, edited));
    }
    for insert in args.insert.chunks_exact(3) {
        let [side, place, value] = insert else { continue };
        let draft = if args.envelope {
            draft("--insert", value)?
        } else {
            Draft {
                value: bytes("--insert", value)?,
                ..Draft::default()
            }
        };
        changes.push(Change::Insert(draft, spot("--insert", side, place)?));
    }
    for moved in args.moved.chunks_exact(3) {
        let [at, side, place] = moved else { continue };
        let at = parse_at(at).map_err(|error| miette!("--move: {error}"))?;
        changes.push(Change::Move(at, spot("--move", side, place)?));
    }
    Ok(changes)
}

fn parse_at(text: &str) -> Result<At, String> {
    Ok(text.parse::<PlaceArg>()?.at())
}

fn spot(flag: &str, side: &str, place: &str) -> miette::Result<Spot> {
    let at = || parse_at(place).map_err(|error| miette!("{flag} {side}: {error}"));
    match side {
        "before" => Ok(Spot::Before(at()?)),
        "after" => Ok(Spot::After(at()?)),
        "at" => place::time(place).map(Spot::Time).map_err(|_| {
            miette!(
                "{flag} at {place}: that is no time; write 2026-01-31, 2026-01-31T08:00:00Z or milliseconds since 1970"
            )
        }),
        other => Err(miette!(
            "{flag}: `{}` is neither before, after nor at",
            other.escape_debug()
        )),
    }
}

/// What a flag gives: the text, or a file's bytes.
fn given(flag: &str, text: &str) -> miette::Result<Vec<u8>> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some(file) => fs::read(Path::new(file))
            .into_diagnostic()
            .wrap_err_with(|| format!("{flag}: cannot read {file}")),
    }
}

/// A value: JSON, of which null is a tombstone. A file may hold anything, as a log may.
fn bytes(flag: &str, text: &str) -> miette::Result<Option<Vec<u8>>> {
    let bytes = given(flag, text)?;
    let value: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&bytes);
    match value {
        Err(error) if !text.starts_with('@') => Err(miette!(
            help = "a value with quotes in it goes between single quotes; @FILE takes a file's bytes as they are",
            "{flag}: the value is no JSON: {}",
            super::envelope::json_error(&error)
        )),
        _ if bytes.trim_ascii() == b"null" => Ok(None),
        _ => Ok(Some(bytes)),
    }
}

fn draft(flag: &str, text: &str) -> miette::Result<Draft> {
    let bytes = given(flag, text)?;
    let told = |error: String| miette!("{flag}: the record is no envelope: {error}");
    let envelope = Envelope::parse(&bytes).map_err(told)?;
    Ok(Draft {
        partition: envelope.partition,
        timestamp: timestamp(&envelope).map_err(told)?,
        key: envelope.key().map_err(told)?.map(|key| key.into_owned()),
        value: envelope.value().map_err(told)?.map(|value| value.into_owned()),
        topic: envelope.topic.map(|topic| topic.into_owned()),
        headers: envelope.headers,
    })
}

/// What became of the changes, and what came of them beside the rows.
fn text(changes: &[Change], found: &WhatIf, tally: &Tally) -> String {
    let mut lines = Vec::new();
    if tally.is_equal() {
        lines.push("no row would be another".to_owned());
    }
    lines.extend(
        changes
            .iter()
            .zip(&found.fates)
            .map(|(change, fate)| fate_line(change, fate)),
    );
    lines.push(counts_line(found.before.counts, found.after.counts));
    for (records, what) in [
        (&found.refused, "could not be applied then"),
        (&found.mended, "no longer fails"),
    ] {
        lines.extend(records.iter().take(SHOWN).map(|refused| {
            let topic = one_line(refused.topic.as_bytes(), WIDTH).text;
            let reason = one_line(refused.reason.as_bytes(), WIDTH).text;
            format!(
                "{topic}[{}] offset {} {what}: {reason}",
                refused.partition, refused.offset
            )
        }));
        if let Some(more) = records.len().checked_sub(SHOWN + 1) {
            lines.push(format!("… and {} more", show::count(more as u64 + 1)));
        }
    }
    lines.extend(only(&found.after, &found.before).map(|broken| format!("then {broken}")));
    lines.extend(only(&found.before, &found.after).map(|broken| format!("then it holds: {broken}")));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn fate_line(change: &Change, fate: &Fate) -> String {
    let (event, outcome) = match fate {
        Fate::LeftOut(event) => return format!("left out {}", verify::event_line(event)),
        Fate::AllLeftOut(count) => {
            if let Change::WithoutWhere(condition) = change {
                let condition = one_line(condition.as_bytes(), WIDTH).text;
                return format!("left out {} where {condition}", show::counted(*count, "record"));
            }
            let (what, name) = match change {
                Change::WithoutKey(key) => ("key", one_line(key, WIDTH).text),
                Change::WithoutType(event) => ("type", one_line(event.as_bytes(), WIDTH).text),
                _ => ("kind", String::new()),
            };
            return format!("left out {} of the {what} {name}", show::counted(*count, "record"));
        }
        Fate::Was(event, outcome) => (verify::event_line(event), outcome),
    };
    let verb = verb(change);
    match outcome {
        Outcome::Applied => format!("{verb} {event}: applied"),
        Outcome::Ignored => format!("{verb} {event}: ignored, because no handler is for it"),
        Outcome::Skipped => format!("{verb} {event}: left out, as was decided"),
        Outcome::Held => format!("{verb} {event}: held, because an earlier one of its key was left out"),
        Outcome::Poison(poison) => {
            let line = poison.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let reason = one_line(poison.reason.as_bytes(), WIDTH).text;
            format!("{verb} {event}: could not be applied{line}: {reason}")
        }
    }
}

fn verb(change: &Change) -> &'static str {
    match change {
        Change::Without(_) | Change::WithoutKey(_) | Change::WithoutType(_) | Change::WithoutWhere(_) => "left out",
        Change::Edit(..) => "edited",
        Change::Insert(..) => "put in",
        Change::Move(..) => "moved",
    }
}

/// `events: 8,577 → 8,576 applied, 0 → 1 not applicable`; what is the same is said once.
pub(super) fn counts_line(before: Counts, after: Counts) -> String {
    let pairs = [
        (before.applied, after.applied, "applied"),
        (before.ignored, after.ignored, "ignored"),
        (before.skipped, after.skipped, "not applicable"),
    ];
    let parts: Vec<_> = pairs
        .into_iter()
        .map(|(before, after, what)| match before == after {
            true => format!("{} {what}", show::count(after)),
            false => format!("{} → {} {what}", show::count(before), show::count(after)),
        })
        .collect();
    format!("events: {}", parts.join(", "))
}

/// What became of the events, as JSON.
pub(super) fn counts_json(counts: Counts) -> Value {
    json!({ "applied": counts.applied, "ignored": counts.ignored, "skipped": counts.skipped })
}

/// The invariants that are broken in one alone.
fn only<'a>(these: &'a ReadModelInfo, those: &ReadModelInfo) -> impl Iterator<Item = &'a Broken> {
    let known: HashSet<String> = those.broken.iter().map(|broken| broken.name.clone()).collect();
    these.broken.iter().filter(move |broken| !known.contains(&broken.name))
}

fn report_json(changes: &[Change], found: &WhatIf, tally: &Tally) -> Value {
    let refused = |refused: &Refused| {
        json!({
            "topic": refused.topic,
            "partition": refused.partition,
            "offset": refused.offset,
            "reason": refused.reason,
        })
    };
    let broken = |info: &ReadModelInfo| info.broken.iter().map(show::broken_json).collect::<Vec<_>>();
    let mut line = differences::total(tally);
    line["projection"] = found.before.name.as_str().into();
    line["position"] = show::position_json(&found.before.position);
    line["changes"] = changes
        .iter()
        .zip(&found.fates)
        .map(|(change, fate)| fate_json(change, fate))
        .collect();
    line["events"] = json!({ "before": counts_json(found.before.counts), "after": counts_json(found.after.counts) });
    line["refused"] = found.refused.iter().map(refused).collect();
    line["mended"] = found.mended.iter().map(refused).collect();
    line["broken"] = json!({ "before": broken(&found.before), "after": broken(&found.after) });
    line
}

fn fate_json(change: &Change, fate: &Fate) -> Value {
    let done = verb(change);
    match fate {
        Fate::LeftOut(event) => json!({ "change": done, "event": verify::event_json(event) }),
        Fate::AllLeftOut(count) => match change {
            Change::WithoutKey(key) => json!({ "change": done, "key": String::from_utf8_lossy(key), "records": count }),
            Change::WithoutType(event) => json!({ "change": done, "type": event, "records": count }),
            Change::WithoutWhere(condition) => json!({ "change": done, "where": condition, "records": count }),
            _ => json!({ "change": done, "records": count }),
        },
        Fate::Was(event, outcome) => {
            let (outcome, reason, line) = match outcome {
                Outcome::Applied => ("applied", None, None),
                Outcome::Ignored => ("ignored", None, None),
                Outcome::Skipped => ("skipped", None, None),
                Outcome::Held => ("held", None, None),
                Outcome::Poison(poison) => ("poison", Some(&poison.reason), poison.line),
            };
            json!({ "change": done, "event": verify::event_json(event), "outcome": outcome, "reason": reason, "line": line })
        }
    }
}

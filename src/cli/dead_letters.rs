//! `foldlog dead-letters`: the records that a read model could not apply, and what is done about them.

mod choice;
mod edit;
mod log;

use std::io::{self, BufWriter, IsTerminal, Write};

use miette::miette;
use serde_json::json;

use crate::decode::fields::{FieldSet, Scalar};
use crate::decode::printable::{Printable, one_line, printable};
use crate::readmodel::store::{DeadLetter, LetterState, Store};
use crate::record::Record;

use super::context::Context;
use super::envelope;
use super::show;
use super::table::{number, table, text};
use choice::Action;

/// Dead letters in a table; `--json` has all.
const SHOWN: usize = 100;
/// Characters of a value in a table on a terminal, where a longer one would be wrapped into a tower.
const VALUE: usize = 100;
/// Characters of a value in a table that is no terminal's.
const WHOLE: usize = 100_000;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A record that cannot be applied is kept as a dead letter with its position, its bytes and the reason. It is `paused` where \
a paused `foldlog follow` stands before it, `skipped` where it was left out, `held` where it waits for an earlier one of its \
key, and `edited` where it was applied with another value. KIND is what is wrong: `body` cannot be decoded, `type` is missing, \
an `upcast` failed, it breaks its `schema`, or a `handler`'s statement failed, which stands on LINE of the file that the read \
model was built from.

What is decided about a record stands from then on: the read model is a fold of the log as it is amended so, and a rebuild, \
`verify` and the past take it over. The record before which the read model is paused is decided about at once. Any other choice \
folds the read model anew up to where it stands, so that each record is applied in the log's order, never late; where a \
record cannot be applied even so, nothing is changed. `foldlog rebuild FILE --forget-decisions` takes all of them back.

With --json each letter has state, kind, reason, line, type and record; the record is as `foldlog read -o json` prints it: text \
where it is UTF-8, base64 where not, and `foldlog produce --envelope` writes it back.

Examples:
  foldlog dead-letters account_balance
  foldlog dead-letters account_balance retry
  foldlog dead-letters account_balance skip --hold-key
  foldlog dead-letters account_balance edit 0:12 \\
    --value '{\"type\":\"Deposited\",\"id\":\"a1\",\"amount\":10}'
  foldlog dead-letters account_balance replay --all
  foldlog dead-letters account_balance log
  foldlog dead-letters account_balance --json |
    jq -c .record > records.ndjson")]
pub struct Args {
    /// The projection
    projection: String,
    /// Show at most this many, the oldest first [default: all; 100 in a table]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(subcommand)]
    action: Option<Action>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let name = &args.projection;
    if let Some(action) = args.action {
        return choice::run(context, name, action);
    }
    let store = context.store()?;
    let types = Types::of(&store, name);
    if context.json() {
        return json_lines(&store, name, &types, args.limit.unwrap_or(usize::MAX));
    }
    let limit = args.limit.unwrap_or(SHOWN);
    let mut letters = store.dead_letters(name, limit.saturating_add(1))?;
    if letters.is_empty() {
        eprintln!("`{name}` has no dead letters: every record that it met was applied or ignored");
        return Ok(());
    }
    let more = letters.len() > limit;
    letters.truncate(limit);
    println!("{}", drawn(&letters, &types));
    if let Some(paused) = letters.iter().find(|letter| letter.state == LetterState::Paused) {
        let at = place(&paused.record);
        eprintln!(
            "`{name}` is paused before {at}: `foldlog dead-letters {name} retry`, `skip`, or `edit` decides about it"
        );
    }
    if more {
        let shown = show::count(limit as u64);
        eprintln!("the first {shown}; more with --limit N, all with --json");
    }
    Ok(())
}

fn drawn(letters: &[DeadLetter], types: &Types) -> comfy_table::Table {
    let width = if io::stdout().is_terminal() { VALUE } else { WHOLE };
    let mut table = table(["POSITION", "STATE", "TIME", "TYPE", "KIND", "LINE", "REASON", "VALUE"]);
    for letter in letters {
        let record = &letter.record;
        let value = match &record.value {
            None => "∅ tombstone".to_owned(),
            Some(value) => cut(one_line(value, width)),
        };
        table.add_row([
            text(&place(record)),
            text(letter.state.word()),
            text(&record.timestamp.map_or_else(|| "-".to_owned(), show::time)),
            text(&types.read(record).unwrap_or_else(|| "-".to_owned())),
            text(letter.kind.word()),
            number(letter.line.map_or_else(|| "-".to_owned(), |line| line.to_string())),
            text(&letter.reason),
            comfy_table::Cell::new(value),
        ]);
    }
    table
}

fn place(record: &Record) -> String {
    let topic = printable(record.topic.as_bytes(), 250).text;
    format!("{topic}:{}:{}", record.partition, record.offset)
}

fn cut(text: Printable) -> String {
    if text.cut { text.text + "…" } else { text.text }
}

fn json_lines(store: &Store, name: &str, types: &Types, limit: usize) -> miette::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut left = limit;
    let mut written = Ok(());
    store.each_dead_letter(name, &mut |letter| {
        if left > 0 {
            left -= 1;
            written = out.write_all(&json_line(&letter, types.read(&letter.record)));
        }
        left > 0 && written.is_ok()
    })?;
    match written.and_then(|()| out.flush()) {
        // Whoever reads it has enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(miette!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

fn json_line(letter: &DeadLetter, event: Option<String>) -> Vec<u8> {
    let about = json!({
        "state": letter.state.word(),
        "kind": letter.kind.word(),
        "reason": letter.reason,
        "line": letter.line,
        "type": event,
    });
    let mut line = about.to_string().into_bytes();
    // The record's own numbers are kept digit for digit, which a JSON value in memory would not do.
    line.pop();
    line.extend_from_slice(b",\"record\":");
    envelope::write(&mut line, &letter.record.view());
    line.extend_from_slice(b"}\n");
    line
}

/// Reads the type of an event, as the projection says where it stands.
struct Types(Option<FieldSet>);

impl Types {
    /// Of the file that the read model was built from; without it no type is known.
    fn of(store: &Store, name: &str) -> Self {
        let projection = store.projection(name).ok().and_then(Result::ok);
        let path = projection.map(|projection| projection.type_path);
        // No path means that the file has no types, and the value itself is none.
        Self(
            path.filter(|path| !path.0.is_empty())
                .map(|path| FieldSet::new(&[path])),
        )
    }

    fn read(&self, record: &Record) -> Option<String> {
        let mut slots = Vec::new();
        self.0.as_ref()?.extract(record.value.as_deref()?, &mut slots).ok()?;
        match slots.first()? {
            Scalar::Text(event) => Some(event.to_string()),
            Scalar::Integer(event) => Some(event.to_string()),
            Scalar::Real(event) => Some(event.to_string()),
            Scalar::Null | Scalar::Blob(_) => None,
        }
    }
}

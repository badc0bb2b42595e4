//! `foldlog dead-letters`: the records that a read model could not apply. Looking is all it does yet; what is done about one
//! (trying it again, skipping it for good) will be a flag of the same command, so the projection stays its one argument.

use std::io::{self, BufWriter, IsTerminal, Write};

use miette::miette;
use serde_json::json;

use crate::decode::fields::{FieldSet, Scalar};
use crate::decode::printable::{Printable, one_line, printable};
use crate::projection::parse::parse;
use crate::readmodel::store::{DeadLetter, Store};
use crate::record::Record;

use super::context::Context;
use super::envelope;
use super::show;
use super::table::{number, table, text};

/// Dead letters in a table; `--json` has all.
const SHOWN: usize = 100;
/// Characters of a value in a table on a terminal, where a longer one would be wrapped into a tower.
const VALUE: usize = 100;
/// Characters of a value in a table that is no terminal's.
const WHOLE: usize = 100_000;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A record that cannot be applied is kept as a dead letter with its position, its bytes and the reason: each that \
--skip-poison went past, and the one that a paused `foldlog follow` stands before and tries again when it is started \
again. LINE is the statement that failed in the file that the read model was built from; `-` where the value could not \
be decoded.

With --json each line has reason, line, held, type and record; the record is as `foldlog read -o json` prints it: text \
where it is UTF-8, base64 where not, and `foldlog produce --envelope` writes it back.

Examples:
  foldlog dead-letters account_balance
  foldlog dead-letters account_balance --limit 5
  foldlog dead-letters account_balance --json | jq .reason
  foldlog dead-letters account_balance --json |
    jq -c .record > records.ndjson")]
pub struct Args {
    /// The projection
    projection: String,
    /// Show at most this many, the oldest first [default: all; 100 in a table]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let store = context.store()?;
    let name = &args.projection;
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
    if let Some(held) = letters.iter().find(|letter| letter.held) {
        let at = place(&held.record);
        eprintln!("`{name}` is paused before {at}, and tries it again when it is followed");
    }
    if more {
        let shown = show::count(limit as u64);
        eprintln!("the first {shown}; more with --limit N, all with --json");
    }
    Ok(())
}

fn drawn(letters: &[DeadLetter], types: &Types) -> comfy_table::Table {
    let width = if io::stdout().is_terminal() { VALUE } else { WHOLE };
    let mut table = table(["POSITION", "TIME", "TYPE", "LINE", "REASON", "VALUE"]);
    for letter in letters {
        let record = &letter.record;
        let value = match &record.value {
            None => "∅ tombstone".to_owned(),
            Some(value) => cut(one_line(value, width)),
        };
        table.add_row([
            text(&place(record)),
            text(&record.timestamp.map_or_else(|| "-".to_owned(), show::time)),
            text(&types.read(record).unwrap_or_else(|| "-".to_owned())),
            number(letter.line.map_or_else(|| "-".to_owned(), |line| line.to_string())),
            text(&letter.reason),
            comfy_table::Cell::new(value),
        ]);
    }
    table
}

fn place(record: &Record) -> String {
    let topic = printable(record.topic.as_bytes(), 250).text;
    format!("{topic}[{}] {}", record.partition, record.offset)
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
    let about = json!({ "reason": letter.reason, "line": letter.line, "held": letter.held, "type": event });
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
        let source = store.source(name).ok();
        let projection = source.and_then(|source| parse(&source, name).ok());
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

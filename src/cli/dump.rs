//! `foldlog dump`.

use std::io::{self, BufWriter, Write};

use miette::{Context as _, IntoDiagnostic};
use serde_json::json;

use crate::readmodel::dump::dump;
use crate::readmodel::error::ReadModelError;

use super::context::Context;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog dump account_balance
  foldlog dump account_balance | tail -1

The last line is the SHA-256 of the others: equal sums are equal read models.")]
pub struct Args {
    /// The projection
    projection: String,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let store = context.store()?;
    print(context.json(), |out| dump(&store, &args.projection, out))
}

/// Prints what `write` writes as a dump, and its sum.
pub(super) fn print(
    as_json: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<String, ReadModelError>,
) -> miette::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = if as_json {
        let mut lines = Lines {
            out: &mut out,
            line: Vec::new(),
        };
        write(&mut lines)
    } else {
        write(&mut out)
    };
    let sum = match result {
        Ok(sum) => sum,
        // Whoever reads it has enough.
        Err(ReadModelError::Io { reason, .. }) if reason.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let last = if as_json {
        json!({ "sha256": sum }).to_string()
    } else {
        format!("sha256 {sum}")
    };
    writeln!(out, "{last}")
        .and_then(|()| out.flush())
        .or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })
        .into_diagnostic()
        .wrap_err("cannot write the dump")
}

/// Turns a dump into JSON on every line: rows are that already, a table's line becomes an object.
struct Lines<'o> {
    out: &'o mut dyn Write,
    line: Vec<u8>,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Lines<'_> {
    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let head = line
            .strip_prefix(b"table ")
            .and_then(|rest| std::str::from_utf8(rest).ok())
            .and_then(|rest| rest.trim_end().rsplit_once(" ["));
        match head {
            Some((table, columns)) => {
                let columns: serde_json::Value = serde_json::from_str(&format!("[{columns}"))?;
                writeln!(self.out, "{}", json!({ "table": table, "columns": columns }))
            }
            None => self.out.write_all(&line),
        }
    }
}

//! `foldlog test`.

mod compare;
mod junit;
mod run;

use std::fs;
use std::path::PathBuf;

use miette::{Context as _, IntoDiagnostic, miette};
use serde_json::json;

use crate::decode::printable::printable;

use super::context::Context;
use super::interrupt::Interrupt;
use super::saved::Saved;
use super::show;
use run::{Failure, Tested};

/// Characters of a line: a reason or a row may be a whole document.
const WIDTH: usize = 400;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog test account_balance.sql
  foldlog test projections/*.sql --junit report.xml
  foldlog test account_balance.sql --watch

A projection's tests stand at the end of its file, and need no broker:

  -- test: a deposit is added
  -- given: {\"type\": \"Deposited\", \"id\": \"a\", \"amount\": 10}
  -- expect: SELECT id, balance FROM account
  -- = [\"a\", 10]

Without `-- =` lines a SELECT must return a row, and no 0 or NULL where it has one column; `-- = no rows` is nothing at all.

`-- given envelope:` gives a record as `foldlog read -o json` prints it. `-- expect poison: WORDS` says that the event above \
it cannot be applied, `-- expect broken: NAME` that an invariant does not hold by then.

The exit code is 1 when a test fails.")]
pub struct Args {
    /// The projections' files
    #[arg(required = true, value_name = "FILE.sql")]
    files: Vec<PathBuf>,
    /// Also write the results to this file as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run again whenever a file changes, until interrupted
    #[arg(long)]
    watch: bool,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    if !args.watch {
        return once(context, &args);
    }
    let interrupt = Interrupt::listen(|| {});
    let mut saved = Saved::new(&args.files);
    while !interrupt.is_set() {
        let first = saved.is_new();
        if saved.changed() {
            if !first && !context.json() {
                println!();
            }
            if let Err(error) = once(context, &args) {
                eprintln!("{error:?}");
            }
        }
        saved.wait();
    }
    Ok(())
}

fn once(context: &Context, args: &Args) -> miette::Result<()> {
    let mut all = Vec::new();
    for file in &args.files {
        let tested = run::file(file);
        if context.json() {
            print_json(&tested);
        } else {
            print(&tested);
        }
        all.push(tested);
    }
    if let Some(path) = &args.junit {
        fs::write(path, junit::xml(&all))
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    let total: usize = all.iter().map(|tested| tested.findings.len()).sum();
    let failed = all
        .iter()
        .flat_map(|tested| &tested.findings)
        .filter(|f| !f.passed())
        .count();
    let broken = all.iter().filter(|tested| tested.error.is_some()).count();
    if !context.json() {
        println!(
            "{}: {} ok, {failed} failed",
            show::counted(total as u64, "test"),
            total - failed
        );
    }
    match (broken, failed, total) {
        (0, 0, 0) => Err(miette!(
            help = "write them at the end of a file: `-- given: {…}` and `-- expect: SELECT …`; `foldlog test --help` has an example",
            "there is no test in what was given"
        )),
        (0, 0, _) => Ok(()),
        (0, ..) => Err(miette!("{failed} of {} failed", show::counted(total as u64, "test"))),
        (_, 0, _) => Err(miette!("{} could not be tested", show::counted(broken as u64, "file"))),
        _ => Err(miette!(
            "{failed} of {} failed, and {} could not be tested",
            show::counted(total as u64, "test"),
            show::counted(broken as u64, "file")
        )),
    }
}

fn print(tested: &Tested) {
    println!("{}", safe(&tested.file));
    if let Some(error) = &tested.error {
        eprintln!("{error:?}");
    } else if tested.findings.is_empty() {
        println!("  no tests");
    }
    for finding in &tested.findings {
        let word = if finding.passed() { "ok    " } else { "FAILED" };
        println!("  {word}  {}", safe(&finding.name));
        for failure in &finding.failures {
            print_failure(failure);
        }
        if !finding.passed() {
            for note in &finding.notes {
                println!("          note: {}", safe(note));
            }
        }
    }
}

fn print_failure(failure: &Failure) {
    println!("          line {}: {}", failure.line, safe(&failure.what));
    for line in failure.lines() {
        println!("            {}", safe(&line));
    }
}

fn print_json(tested: &Tested) {
    if let Some(error) = &tested.error {
        println!(
            "{}",
            json!({ "file": tested.file, "ok": false, "error": error.to_string() })
        );
        eprintln!("{error:?}");
    }
    for finding in &tested.findings {
        let failures: Vec<_> = finding.failures.iter().map(Failure::json).collect();
        let line = json!({
            "file": tested.file,
            "test": finding.name,
            "line": finding.line,
            "ok": finding.passed(),
            "failures": failures,
            "notes": finding.notes,
            "took_ms": u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX),
        });
        println!("{line}");
    }
}

/// Text from a file or an event, harmless to a terminal.
fn safe(text: &str) -> String {
    let shown = printable(text.as_bytes(), WIDTH);
    if shown.cut { shown.text + "…" } else { shown.text }
}

//! `foldlog rebuild`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Context as _, IntoDiagnostic, Report, miette};
use serde_json::json;

use crate::projection::Projection;
use crate::projection::parse::parse;
use crate::readmodel::missing::MissingField;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::record::Timestamp;
use crate::replay::progress::{Notices, Phase, Progress};
use crate::replay::rebuild::{RebuildOptions, RebuildReport, Until, rebuild};
use crate::replay::remote::RemoteOptions;
use crate::replay::takeover::takeover;
use crate::replay::task::Task;

use super::context::Context;
use super::explain;
use super::interrupt::interrupted;
use super::place::PlaceArg;
use super::remote;
use super::show;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog rebuild account_balance.sql
  foldlog rebuild account_balance.sql --skip-poison
  foldlog rebuild account_balance.sql --until 2026-01-31
  foldlog rebuild account_balance.sql --until 0:1500,1:1480
  foldlog rebuild account_balance.sql --explain
  foldlog rebuild orders.sql --in postgres://me@db/shop

The read model in use stays until the new one is whole; then they are swapped.

Handlers of one type run in file order, all or none of them for an event. A field that an event lacks binds NULL; one that \
no event of its handler had is noted at the end, because its name is most often written wrong.

A statement that is about the row of one key (INSERT ... VALUES with or without ON CONFLICT, UPDATE and DELETE with the whole primary \
key in the WHERE) is folded in memory and written once, which is several times as fast as SQL for every event. --explain says which \
statements are, and what keeps the others from it.

An invariant of the file that breaks is told with the first event after which it did not hold. The new read model is put in use all \
the same, and the exit code is 0; with --strict the one before stays, and the exit code is 1.

With --in the handlers run in PostgreSQL, and rows and position are one transaction there: the read model is built as SCHEMA__building \
and takes the name SCHEMA; the one before stays as SCHEMA__old. Handlers are SQL that SQLite and PostgreSQL both know; what PostgreSQL does \
not take is shown with its line before a record is read. `foldlog verify FILE.sql --in URL` compares the rows with those that SQLite makes.")]
pub struct Args {
    /// The projection's file
    #[arg(value_name = "FILE.sql")]
    file: PathBuf,
    /// Stop before this time (2026-01-31, 2026-01-31T08:00:00Z, or milliseconds since 1970), or before these offsets
    #[arg(long, value_name = "TIME|P:OFFSET,...", value_parser = parse_until)]
    until: Option<Until>,
    /// Go on past records that cannot be applied, keeping each as a dead letter, instead of stopping with the list
    #[arg(long)]
    skip_poison: bool,
    /// Take the place of a read model of the same name that another file made
    #[arg(long)]
    replace: bool,
    /// Keep the read model in use when an invariant breaks, and fail, instead of swapping and saying so
    #[arg(long)]
    strict: bool,
    /// Take back everything that was decided about single records with `foldlog dead-letters`
    #[arg(long)]
    forget_decisions: bool,
    /// Say which statements are folded in memory and why not the others, and do nothing else
    #[arg(long, conflicts_with_all = ["until", "skip_poison", "replace", "strict", "forget_decisions"])]
    explain: bool,
    /// Run the handlers in this database instead of SQLite: postgres://USER@HOST/DATABASE?schema=NAME
    #[arg(long = "in", value_name = "URL", conflicts_with_all = ["strict", "forget_decisions", "explain"])]
    place: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let projection = load(&args.file)?;
    if args.explain {
        return explain::run(context, &projection);
    }
    if let Some(url) = &args.place {
        let options = RemoteOptions {
            until: args.until,
            skip_poison: args.skip_poison,
            no_emit: true,
            replace: args.replace,
            turn: None,
        };
        return remote::rebuild_there(context, projection, url, options);
    }
    let note = takes_over(&context.store()?, &projection, args.replace)?;
    let connection = context.connect()?;
    let partial = args.until.is_some();
    let options = RebuildOptions {
        until: args.until,
        skip_poison: args.skip_poison,
        strict: args.strict,
        forget_decisions: args.forget_decisions.then(crate::replay::decide::who),
    };
    let name = projection.name.clone();
    let task = rebuild(connection.client.clone(), connection.store.clone(), projection, options);
    let notices = watch(&task, &format!("rebuild {name}"))?;
    let mut notes: Vec<String> = note.into_iter().chain(notices.iter().cloned()).collect();
    for note in &notes {
        eprintln!("note: {note}");
    }
    let report = task.wait()?;
    if partial {
        let note = format!(
            "what is in use now ends where --until says; `foldlog follow {0}` goes on from there, `foldlog rebuild {0}` takes it all",
            args.file.display()
        );
        eprintln!("note: {note}");
        notes.push(note);
    }
    warn(&report.info);
    if context.json() {
        println!("{}", report_json(&report, &notes));
    } else {
        let listed = format!("`foldlog dead-letters {}` shows them", report.info.name);
        println!("{}", sentence(&report, &listed));
    }
    Ok(())
}

/// Refuses that a build takes over the read model of another file that has the projection too, unless that is wanted; says what it
/// is taken over from otherwise.
pub(super) fn takes_over(store: &Store, projection: &Projection, wanted: bool) -> miette::Result<Option<String>> {
    // One that cannot be read has nothing to lose.
    let built = store.find(&projection.name).ok().flatten();
    let Some(taken) = built.and_then(|built| takeover(&built, projection)) else {
        return Ok(None);
    };
    let (name, file, from) = (&projection.name, &projection.file, &taken.from);
    if taken.there && !wanted {
        return Err(miette!(
            help = "give one of them another name (`-- projection: NAME`), or let this one take the read model's place \
                    with --replace",
            "{from} has the projection `{name}` too, and its read model is the one that {file} would replace"
        ));
    }
    Ok(Some(format!(
        "`{name}` was built from {from} before, and is now built from {file}"
    )))
}

/// Reads and parses a projection file.
pub(super) fn load(path: &Path) -> miette::Result<Projection> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read the projection file {name}"))?;
    let mut projection = parse(&text, &name).map_err(|error| Report::new(*error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let read = |file: &str| fs::read_to_string(folder.join(file)).map_err(|error| error.to_string());
    projection.read_schemas(read).map_err(|error| Report::new(*error))?;
    Ok(projection)
}

/// What a rebuild did, for people. `listed` is where skipped records are found.
pub(super) fn sentence(report: &RebuildReport, listed: &str) -> String {
    let counts = report.info.counts;
    let seconds = report.took.as_secs_f64().max(1e-6);
    let mut text = format!(
        "rebuilt {} from {} in {} ({}): {} applied, {} ignored",
        report.info.name,
        show::counted(report.records, "record"),
        show::duration(report.took),
        show::rate(report.records as f64 / seconds),
        show::count(counts.applied),
        show::count(counts.ignored),
    );
    if counts.skipped > 0 {
        text += &format!(", {} skipped ({listed})", show::count(counts.skipped));
    }
    if counts.held > 0 {
        text += &format!(", {} held", show::count(counts.held));
    }
    text
}

/// What a rebuild did, as JSON.
pub(super) fn report_json(report: &RebuildReport, notes: &[String]) -> serde_json::Value {
    let mut line = show::info_json(&report.info);
    line["notes"] = json!(notes);
    line["missing_fields"] = report.missing.iter().map(missing_json).collect();
    line["records"] = report.records.into();
    line["took_ms"] = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX).into();
    line
}

/// Where more is to be found on invariants that do not hold; what they are was noted before.
fn warn(info: &ReadModelInfo) {
    if !info.broken.is_empty() {
        eprintln!(
            "  foldlog query 'SELECT * FROM {}._foldlog_invariant' has the rows; --strict keeps the read model before in use",
            info.name
        );
    }
}

/// A field that no event had, as JSON.
pub(super) fn missing_json(missing: &MissingField) -> serde_json::Value {
    json!({ "field": missing.field, "line": missing.line, "on": missing.on.to_string(), "events": missing.events })
}

/// Draws the progress of a replay on a terminal, and cancels it when interrupted. Returns what it had to say.
pub(super) fn watch<T>(task: &Task<T>, name: &str) -> miette::Result<Arc<Notices>> {
    let bar = bar(name);
    let mut progress = task.progress();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()
        .wrap_err("cannot start the runtime")?;
    runtime.block_on(async {
        let mut cancelled = false;
        let mut asked = pin!(interrupted());
        loop {
            tokio::select! {
                changed = progress.changed() => match changed {
                    Ok(()) => show_progress(&bar, &progress.borrow_and_update()),
                    Err(_) => break,
                },
                () = &mut asked, if !cancelled => {
                    cancelled = true;
                    task.cancel();
                }
            }
        }
    });
    bar.finish_and_clear();
    let notices = Arc::clone(&progress.borrow().notices);
    Ok(notices)
}

fn bar(name: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target).with_prefix(name.to_owned());
    let style = ProgressStyle::with_template("{prefix} {percent:>3}% {bar:24} {msg}");
    bar.with_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("▇▇▁"),
    )
}

fn show_progress(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.total.max(1));
    bar.set_position(progress.done);
    bar.set_message(status(progress));
}

/// What a replay is doing, in a few words.
pub(super) fn status(progress: &Progress) -> String {
    let mut text = match progress.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Rebuilding => format!("{} of {}", show::count(progress.done), show::count(progress.total)),
        Phase::Finishing => "building indexes, checking".to_owned(),
        Phase::Live => format!("live, {} behind", show::counted(progress.lag(), "offset")),
        Phase::Paused => "paused".to_owned(),
        Phase::Done => "done".to_owned(),
        Phase::Failed => "failed".to_owned(),
    };
    if matches!(progress.phase, Phase::Rebuilding | Phase::Live) {
        text += &format!("  {}", show::rate(progress.rate));
    }
    if let Some(left) = progress.eta {
        text += &format!("  {} left", show::duration(Duration::from_secs(left.as_secs())));
    }
    let counts = progress.counts;
    let poison = counts.skipped + counts.poisoned;
    text + &format!("  {} poison", show::count(poison))
}

/// `TIME`, or places apart with commas. What is both is a time: `2026-01-31 08:00:00` ends as a place does.
pub(super) fn parse_until(text: &str) -> Result<Until, String> {
    parse_time(text).map(Until::Time).or_else(|wrong| {
        if is_dated(text) {
            return Err(wrong);
        }
        let places = text.split(',').map(|place| Ok(place.parse::<PlaceArg>()?.at()));
        let places: Result<_, String> = places.collect();
        places.map(Until::Offsets).map_err(|_| wrong)
    })
}

/// Whether a date and a `T` or a space stand at the beginning, so that a time is meant, even one that does not exist.
fn is_dated(text: &str) -> bool {
    let shape = text.bytes().take(11).map(|byte| match byte {
        b'0'..=b'9' => b'0',
        b't' | b' ' => b'T',
        other => other,
    });
    shape.eq(*b"0000-00-00T")
}

/// A point in time: milliseconds since 1970, an RFC 3339 time, or a date or local time that is taken as UTC.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(milliseconds) = text.parse() {
        return Ok(Timestamp(milliseconds));
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let plain = || {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    };
    match zoned.or_else(plain) {
        Some(time) => Ok(Timestamp(time.as_millisecond())),
        None => Err(miette!(
            "`{text}` is no time and no offsets; write 2026-01-31, 2026-01-31T08:00:00Z, milliseconds since 1970, or \
             PARTITION:OFFSET,PARTITION:OFFSET, with TOPIC: before each where there are several"
        )
        .to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::rebuild::At;

    #[test]
    fn until_is_a_time_or_offsets() {
        let at = |topic: Option<&str>, partition, offset| At {
            topic: topic.map(str::to_owned),
            partition,
            offset,
        };
        assert_eq!(
            parse_until("0:5,1:7"),
            Ok(Until::Offsets(vec![at(None, 0, 5), at(None, 1, 7)]))
        );
        assert_eq!(
            parse_until("orders:0:5, a.b-c[1]:7,2:9"),
            Ok(Until::Offsets(vec![
                at(Some("orders"), 0, 5),
                at(Some("a.b-c"), 1, 7),
                at(None, 2, 9)
            ]))
        );
        for text in [
            "2026-01-31 08:00:00",
            "2026-01-31T08:00:00",
            "2026-01-31T08:00:00+00:00",
        ] {
            assert!(matches!(parse_until(text), Ok(Until::Time(_))), "{text}");
        }
        assert_eq!(
            parse_until("1700000000000"),
            Ok(Until::Time(Timestamp(1_700_000_000_000)))
        );
        assert_eq!(parse_until("1970-01-02"), Ok(Until::Time(Timestamp(86_400_000))));
        assert_eq!(parse_until("1970-01-01T00:00:01"), Ok(Until::Time(Timestamp(1_000))));
        assert_eq!(
            parse_until("1970-01-01T01:00:01+01:00"),
            Ok(Until::Time(Timestamp(1_000)))
        );
        for text in [
            "0:x",
            "orders:0",
            "orders:0:5,",
            "orders:-1:5",
            "orders[x]:5",
            "0:-5",
            "2026-13-31T08:00:00",
            "2026-01-31 08:61:00",
        ] {
            assert!(parse_until(text).unwrap_err().contains("PARTITION:OFFSET"), "{text}");
        }
    }
}

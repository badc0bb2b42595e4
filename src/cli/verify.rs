//! `foldlog verify`.

pub(super) mod sink;

use miette::miette;
use serde_json::{Value, json};

use crate::decode::printable::one_line;
use crate::readmodel::compare::{RowDifference, Side};
use crate::replay::drift::{First, Interleaved};
use crate::replay::faults::Verdict;
use crate::replay::verify::{Event, Verified, VerifyOptions, verify};

use super::context::Context;
use super::differences::{self, Printed, pairs, row_json, what_differs};
use super::rebuild::watch;
use super::remote;
use super::show;

/// Characters of a key, a type or a reason.
const WIDTH: usize = 200;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog verify account_balance
  foldlog verify account_balance --twice
  foldlog verify account_balance --shuffle --seed 7
  foldlog verify account_balance --json
  foldlog verify orders --sink redis://127.0.0.1:6379/0
  foldlog verify orders.sql --in postgres://me@db/shop

The log is replayed from its first record to exactly the position of the read model in use, beside it and by the rules that it \
was built with, and the two are compared row by row: - is what the read model has, + what the log says. The read model is \
only read, and whoever writes it need not wait.

The modes look for faults of the projection itself. The exit code is 0 when the read model is what the log says and no fault \
was found, else 1. An error leaves 1 too; a script tells them apart by the last line of --json, {\"good\": ...}, which comes \
only when everything was verified.")]
pub struct Args {
    /// The projection; with --in its file
    projection: String,
    /// Also apply each record twice in a row, and name the first that changes rows the second time
    #[arg(long)]
    twice: bool,
    /// Also read the partitions in another order between them, and name the record with which that begins to matter
    #[arg(long)]
    shuffle: bool,
    /// Also cut the replay at commits and resume it; that tests Foldlog and not the projection
    #[arg(long)]
    crash: bool,
    /// Decides the order of --shuffle and the cuts of --crash
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Compare a store that it feeds with the read model, instead of the read model with its log
    #[arg(long, value_name = "URL", conflicts_with_all = ["twice", "shuffle", "crash"])]
    sink: Option<String>,
    /// Compare what the handlers of this file made in a PostgreSQL database with what the log makes in SQLite:
    /// postgres://USER@HOST/DATABASE?schema=NAME
    #[arg(long = "in", value_name = "URL", conflicts_with_all = ["twice", "shuffle", "crash", "sink"])]
    place: Option<String>,
    /// Show at most this many rows of a table; all are counted [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    if let Some(url) = &args.sink {
        return sink::run(context, &args.projection, url, args.limit);
    }
    if let Some(url) = &args.place {
        return remote::verify_there(context, &args.projection, url, args.limit);
    }
    let connection = context.connect()?;
    let options = VerifyOptions {
        twice: args.twice,
        shuffle: args.shuffle.then_some(args.seed),
        crash: args.crash.then_some(args.seed),
    };
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let task = verify(client, store, args.projection.clone(), options);
    watch(&task, &format!("verify {}", args.projection))?;
    let report = task.wait()?;
    if !report.tally.is_equal() {
        let (model, shadow) = (Side::past(&report.model)?, Side::past(&report.shadow)?);
        eprintln!("- what {} has, + what its log says", report.info.name);
        if let Printed::Enough = differences::print(context.json(), args.limit, &model, &shadow)? {
            return Ok(());
        }
    }
    if context.json() {
        println!("{}", report_json(&report));
    } else {
        print!("{}", text(&report));
    }
    let name = &report.info.name;
    if !report.tally.is_equal() {
        let what = match report.tally.rows() {
            0 => "its tables differ".to_owned(),
            1 => "1 row differs".to_owned(),
            rows => format!("{} rows differ", show::count(rows)),
        };
        let help = format!(
            "the log has the truth: `foldlog rebuild {}` makes the read model anew",
            report.info.file
        );
        return Err(miette!(help = help, "`{name}` is not what its log says: {what}"));
    }
    if !report.is_good() {
        return Err(miette!("`{name}` is what its log says, but a fault was found"));
    }
    Ok(())
}

/// For people: a sentence for each thing that was found.
fn text(report: &Verified) -> String {
    let name = &report.info.name;
    let mut lines = Vec::new();
    if report.tally.is_equal() {
        let (records, rows) = (
            show::counted(report.records, "record"),
            show::counted(report.tally.same, "row"),
        );
        let at = show::position(&report.info.position);
        lines.push(format!("{name} is what its log says: {rows} after {records}, at {at}"));
    }
    let rows = report.tally.rows();
    if report.looked < rows {
        let (looked, rows) = (show::count(report.looked), show::counted(rows, "row"));
        lines.push(format!(
            "what follows was found in the first {looked} of {rows} that differ"
        ));
    }
    lines.extend(report.first.as_ref().map(first_line));
    lines.extend(report.order.as_ref().and_then(order_line));
    lines.extend(lost_line(report));
    lines.extend(report.verdicts.iter().map(|verdict| verdict_line(name, verdict)));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn first_line(first: &First) -> String {
    let row = row_of(&first.row);
    match &first.event {
        None => format!("no event ever wrote {row}: something else did"),
        Some(event) if first.held => format!(
            "the first event after which they differ: {}\n  before it {row} was in the log, too, what it is in the read model",
            event_line(event)
        ),
        Some(event) => format!(
            "after no event was {row} what it is in the read model\n  the last event that wrote what differs: {}",
            event_line(event)
        ),
    }
}

fn order_line(order: &Interleaved) -> Option<String> {
    const HELP: &str = "\n  a follower meets the partitions in the order in which their records arrive\n  keep what belongs \
                        together in one partition, or let the handlers compare @timestamp";
    let reason = match (order.exactly, order.is_likely(), order.rows) {
        (true, ..) => {
            "the reason: the projection depends on the order between partitions\n  another order makes exactly \
                       this read model"
                .to_owned()
        }
        (_, true, _) => {
            "the likely reason: the projection depends on the order between partitions\n  in another order all \
                         rows that differ come out otherwise"
                .to_owned()
        }
        (_, _, 0) => return None,
        (_, _, some) => format!(
            "the order between partitions may be the reason for {} of {}",
            show::count(some),
            show::counted(order.of, "row")
        ),
    };
    Some(reason + HELP)
}

fn lost_line(report: &Verified) -> Option<String> {
    let (had, has) = (report.model_records(), report.records);
    if had == has || report.tally.is_equal() {
        return None;
    }
    let mut text = format!(
        "the read model was made of {}, and the log has {} up to its position\n  what retention or compaction took cannot be \
         replayed",
        show::counted(had, "record"),
        show::count(has)
    );
    for range in &report.cut {
        let topic = one_line(range.topic.as_bytes(), WIDTH).text;
        text += &format!("\n  {topic}[{}] begins at offset {}", range.partition, range.start);
    }
    Some(text)
}

fn verdict_line(name: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::NotIdempotent { event, row } => format!(
            "{name} is not idempotent: applying {} twice {}",
            event_line(event),
            change(row)
        ),
        Verdict::Idempotent { refused, first } => {
            let mut text = format!("{name} is idempotent: each record applied twice leaves the rows as once");
            if let Some((event, reason)) = first {
                let (records, event) = (show::counted(*refused, "record"), event_line(event));
                let reason = one_line(reason.as_bytes(), WIDTH).text;
                text += &format!("\n  {records} refused the second time, the first {event}: {reason}");
            }
            text
        }
        Verdict::OrderFree { seed } => {
            format!("{name} is the same in another order between partitions (--seed {seed})")
        }
        Verdict::OneOrder => format!("{name} has one order only: at most one partition has records"),
        Verdict::OrderDependent { seed, event, row, last } => {
            let mut text = format!(
                "{name} depends on the order between partitions (--seed {seed})\n  both orders make the same rows up to the \
                 event before {}\n  with it the other order {}",
                event_line(event),
                change(row)
            );
            if let [Some(one), Some(two)] = last {
                let (one, two) = (place(one), place(two));
                text +=
                    &format!("\n  that row was last written by {one} in the order of a rebuild, by {two} in the other");
            }
            text
        }
        Verdict::CrashSafe { cuts } => format!(
            "{name} is the same after {} in its replay (--crash)",
            show::counted(*cuts, "cut")
        ),
        Verdict::CrashUnsafe { cuts, tally, row } => {
            let first = row
                .as_ref()
                .map(|row| format!("\n  the first: {}", row_of(row)))
                .unwrap_or_default();
            format!(
                "a replay of {name} with {} differs in {}: this is a defect of Foldlog, please report it{first}",
                show::counted(*cuts, "cut"),
                show::counted(tally.rows(), "row")
            )
        }
    }
}

/// `account id 'a1'`.
pub(super) fn row_of(row: &RowDifference) -> String {
    let table = one_line(row.shape.table.as_bytes(), WIDTH).text;
    format!("{table} {}", pairs(&row.shape.columns, row.key()))
}

/// What became of a row: `changes account id 'a1': balance 10 → 20`.
fn change(row: &RowDifference) -> String {
    let verb = match (&row.before, &row.after) {
        (None, _) => "adds",
        (_, None) => "removes",
        _ => "changes",
    };
    let what = what_differs(row);
    let colon = if what.is_empty() { "" } else { ": " };
    format!("{verb} {}{colon}{what}", row_of(row))
}

fn place(event: &Event) -> String {
    let topic = one_line(event.topic.as_bytes(), WIDTH).text;
    format!("{topic}[{}] offset {}", event.partition, event.offset)
}

/// `orders[0] offset 17 (2026-01-31 08:00:00Z, type OrderPaid, key o1)`.
pub(super) fn event_line(event: &Event) -> String {
    let mut about: Vec<String> = event.timestamp.map(show::time).into_iter().collect();
    if let Some(event) = &event.event {
        about.push(format!("type {}", one_line(event.as_bytes(), WIDTH).text));
    }
    if let Some(key) = &event.key {
        about.push(format!("key {}", one_line(key, WIDTH).text));
    }
    let place = place(event);
    if about.is_empty() {
        return place;
    }
    format!("{place} ({})", about.join(", "))
}

fn report_json(report: &Verified) -> Value {
    let mut line = json!({
        "good": report.is_good(),
        "projection": report.info.name,
        "position": show::position_json(&report.info.position),
        "records": report.model_records(),
        "replayed": report.records,
        "looked_into": report.looked,
        "first": report.first.as_ref().map(|first| json!({
            "event": first.event.as_deref().map(event_json),
            "held": first.held,
            "row": row_json(&first.row),
        })),
        "order": report.order.as_ref().map(|order| json!({
            "likely": order.is_likely(),
            "exactly": order.exactly,
            "rows": order.rows,
            "of": order.of,
        })),
        "modes": report.verdicts.iter().map(verdict_json).collect::<Vec<_>>(),
    });
    if let (Value::Object(line), Value::Object(total)) = (&mut line, differences::total(&report.tally)) {
        line.extend(total);
    }
    line
}

fn verdict_json(verdict: &Verdict) -> Value {
    let good = verdict.is_good();
    match verdict {
        Verdict::Idempotent { refused, first } => json!({
            "mode": "twice",
            "good": good,
            "refused": refused,
            "first": first.as_ref().map(|(event, _)| event_json(event)),
            "reason": first.as_ref().map(|(_, reason)| reason),
        }),
        Verdict::NotIdempotent { event, row } => {
            json!({ "mode": "twice", "good": good, "event": event_json(event), "row": row_json(row) })
        }
        Verdict::OrderFree { seed } => json!({ "mode": "shuffle", "good": good, "seed": seed }),
        Verdict::OneOrder => json!({ "mode": "shuffle", "good": good, "seed": null }),
        Verdict::OrderDependent { seed, event, row, last } => json!({
            "mode": "shuffle",
            "good": good,
            "seed": seed,
            "event": event_json(event),
            "row": row_json(row),
            "last": last.iter().map(|event| event.as_deref().map(event_json)).collect::<Vec<_>>(),
        }),
        Verdict::CrashSafe { cuts } => json!({ "mode": "crash", "good": good, "cuts": cuts }),
        Verdict::CrashUnsafe { cuts, row, .. } => {
            json!({ "mode": "crash", "good": good, "cuts": cuts, "row": row.as_ref().map(row_json) })
        }
    }
}

pub(super) fn event_json(event: &Event) -> Value {
    json!({
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "timestamp": event.timestamp.map(|time| time.0),
        "type": event.event,
        "key": event.key.as_deref().map(String::from_utf8_lossy),
    })
}

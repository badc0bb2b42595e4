//! `foldlog diff`.

use miette::miette;

use crate::readmodel::compare::{Side, Tally};
use crate::readmodel::store::ReadModelInfo;
use crate::replay::at::{Moment, at};
use crate::replay::rebuild::Until;

use super::at::sentence;
use super::context::{Connection, Context};
use super::differences::{self, Printed};
use super::interrupt::Interrupt;
use super::rebuild::{parse_until, watch};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog diff account_balance@2026-01-31 account_balance
  foldlog diff account_balance@0:1500 account_balance@0:1501
  foldlog diff account_balance account_balance_v2
  foldlog diff account_balance@previous account_balance
  foldlog diff account_balance account_balance@preview
  foldlog diff --json account_balance@2026-01-30 \\
    account_balance@2026-01-31

A moment is one of the log, by the rules that the read model in use was built with; `previous` is the build before it, `preview` \
what `foldlog preview` left.

Rows are matched by primary key, table by table: + is only in the second, - only in the first, ~ in both with other values. \
Values are compared by type, so 1 is not 1.0 and not '1'. The exit code is 0 when nothing differs, else 1. An error leaves 1 \
too; a script tells them apart by the last line of --json, {\"equal\": ...}, which comes only after a whole comparison.")]
pub struct Args {
    /// The first: a projection's read model, what it was before a time or before offsets, as `foldlog at` takes them, or its
    /// `previous` build or `preview`
    #[arg(value_name = "PROJECTION[@MOMENT]", value_parser = parse_place)]
    before: Place,
    /// The second
    #[arg(value_name = "PROJECTION[@MOMENT]", value_parser = parse_place)]
    after: Place,
    /// Show at most this many rows of a table; all are counted [default: 20; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// A read model, now or at a moment.
#[derive(Debug, Clone)]
struct Place {
    text: String,
    projection: String,
    which: Which,
}

/// Which of a projection's read models.
#[derive(Debug, Clone)]
enum Which {
    InUse,
    Moment(Until),
    Previous,
    Preview,
}

fn parse_place(text: &str) -> Result<Place, String> {
    let (projection, which) = match text.split_once('@') {
        None => (text, Which::InUse),
        Some((projection, "previous")) => (projection, Which::Previous),
        Some((projection, "preview")) => (projection, Which::Preview),
        Some((projection, moment)) => (projection, Which::Moment(parse_until(moment)?)),
    };
    Ok(Place {
        text: text.to_owned(),
        projection: projection.to_owned(),
        which,
    })
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    // Read models as they are need no cluster.
    let is_past = |place: &Place| matches!(place.which, Which::Moment(_));
    let past = is_past(&args.before) || is_past(&args.after);
    let connection = past.then(|| context.connect()).transpose()?;
    let (mut before, one) = open(context, connection.as_ref(), &args.before)?;
    let (mut after, two) = open(context, connection.as_ref(), &args.after)?;
    for (sign, side) in [('-', &before), ('+', &after)] {
        let info: ReadModelInfo = side.info()?;
        eprintln!("{sign} {}", sentence(&info));
    }
    let interrupt = Interrupt::listen(|| {});
    for side in [&mut before, &mut after] {
        let interrupt = interrupt.clone();
        side.interrupt_when(move || interrupt.is_set())?;
    }
    let printed = differences::print(context.json(), args.limit, &before, &after)?;
    drop((one, two));
    let Printed::Whole(tally) = printed else { return Ok(()) };
    if context.json() {
        println!("{}", differences::total(&tally));
    } else if tally.is_equal() {
        println!("equal");
    }
    if tally.is_equal() {
        return Ok(());
    }
    Err(miette!(
        "{} and {} differ{}",
        args.before.text,
        args.after.text,
        rows(&tally)
    ))
}

fn rows(tally: &Tally) -> String {
    match tally.rows() {
        0 => ", though no row does".to_owned(),
        rows => format!(" in {}", super::show::counted(rows, "row")),
    }
}

/// What is compared, with the private copy that holds it.
fn open(context: &Context, connection: Option<&Connection>, place: &Place) -> miette::Result<(Side, Option<Moment>)> {
    let name = place.projection.as_str();
    Ok(match (&place.which, connection) {
        (Which::Moment(moment), Some(connection)) => {
            let (client, store) = (connection.client.clone(), connection.store.clone());
            let task = at(client, store, place.projection.clone(), Some(moment.clone()));
            watch(&task, &format!("at {}", place.text))?;
            let moment = task.wait()?;
            (Side::past(&moment.scratch)?, Some(moment))
        }
        (Which::Previous, _) => (Side::previous(&context.store()?, name)?, None),
        (Which::Preview, _) => (Side::preview(&context.store()?, name)?, None),
        _ => (Side::in_use(&context.store()?, name)?, None),
    })
}

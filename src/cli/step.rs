//! `foldlog step`.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use miette::miette;

use crate::projection::dialect::quoted;
use crate::readmodel::query::Session;
use crate::readmodel::store::Store;
use crate::record::Timestamp;
use crate::replay::rebuild::Until;
use crate::replay::step::{self, Goal, Walked};
use crate::replay::walk::{Move, Told, walk};

use super::context::Context;
use super::rebuild::{parse_until, watch};
use super::{event, show};

/// Events between the walk and the terminal.
const WAITING: usize = 256;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints each event with the lines of the handlers that wrote and the rows before and after. A goal that is not reached is an \
error. The read model in use stays as it is.

Examples:
  foldlog step account_balance 2026-01-31 -n 5
  foldlog step account_balance 2026-01-31 --back -n 5
  foldlog step account_balance --type Withdrawn
  foldlog step account_balance 0:1500 \\
    --row account a1 --column balance
  foldlog step account_balance 2026-01-31 --until \\
    'SELECT count(*) FROM account WHERE balance < 0'
  foldlog step account_balance --first \\
    'SELECT count(*) FROM account WHERE balance < 0'
  foldlog step account_balance \\
    --first ':amount > 1000'
  foldlog step account_balance --lasting --first \\
    'SELECT count(*) >= 1000000 FROM account'

The first three print the five events from a moment on, the five before it, and the next of a type. --until goes on from a moment \
and remembers every event on its way; --first finds the first of the whole log, sooner. A condition may hold for a while only, so \
--first asks after every event; --lasting says that it never goes back, and is believed: then the snapshots are bisected.

What is no SELECT is what could stand behind WHERE: of the rows, where the read model has one table, and of the event.")]
pub struct Args {
    /// The projection
    projection: String,
    /// From before this time, or before these offsets, as `foldlog at` takes them [default: the beginning; the end with --back]
    #[arg(value_name = "TIME|P:OFFSET,...", value_parser = parse_until)]
    moment: Option<Until>,
    /// Backwards: each event is undone
    #[arg(long)]
    back: bool,
    #[command(flatten)]
    goal: GoalArgs,
    /// To the first event of the whole log after which this SELECT returns something that is neither 0 nor NULL, or this condition
    /// holds; `:name`, `$a::b` and `@key` bind the event as in handlers
    #[arg(long, value_name = "SQL", conflicts_with_all = ["moment", "back", "every", "GoalArgs"])]
    first: Option<String>,
    /// With --first: once the SELECT holds it holds on, so that snapshots are bisected instead of asking after every event
    #[arg(long, requires = "first")]
    lasting: bool,
    /// Print every event on the way to the goal, not the one at the goal alone
    #[arg(long)]
    every: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct GoalArgs {
    /// So many events [default: 1]
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// To the next event of this key
    #[arg(long)]
    key: Option<String>,
    /// To the next event of this type
    #[arg(long = "type", value_name = "TYPE")]
    event: Option<String>,
    /// To the next event that wrote this row; KEY is a JSON array where the primary key has several columns
    #[arg(long, num_args = 2..=3, value_names = ["TABLE", "KEY", "COLUMN"])]
    row: Option<Vec<String>>,
    /// Until this SELECT returns something that is neither 0 nor NULL, or this condition holds
    #[arg(long, value_name = "SQL")]
    until: Option<String>,
}

/// What asks whether a condition holds: a SELECT as it stands, or what could stand behind the WHERE of one over the only table.
fn asked(store: &Store, projection: &str, condition: &str) -> String {
    // What is wrong with a read model that cannot be asked, the walk says.
    let tables = Session::open(store).and_then(|session| session.tables(projection));
    let mut tables = tables
        .unwrap_or_default()
        .into_iter()
        .filter(|table| table.rows.is_some());
    let only = tables.next().filter(|_| tables.next().is_none());
    step::condition(condition, only.map(|table| quoted(&table.name)).as_deref())
}

impl GoalArgs {
    fn goal(self) -> Goal {
        if let Some(key) = self.key {
            return Goal::Key(key.into_bytes());
        }
        if let Some(event) = self.event {
            return Goal::Type(event);
        }
        if let Some(row) = self.row {
            let mut row = row.into_iter();
            let (table, key) = (row.next().unwrap_or_default(), row.next().unwrap_or_default());
            return Goal::Row(event::row(table, &key, row.next()));
        }
        match self.until {
            Some(sql) => Goal::Condition(sql),
            None => Goal::Count(self.count.unwrap_or(1)),
        }
    }
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let first = args.first.map(|condition| Move::First {
        condition: asked(&store, &args.projection, &condition),
        lasts: args.lasting,
    });
    let of_all = first.is_some();
    let goal = match args.goal.goal() {
        Goal::Condition(condition) => Goal::Condition(asked(&store, &args.projection, &condition)),
        goal => goal,
    };
    let every = !of_all && (args.every || matches!(goal, Goal::Count(_)));
    let moment = match args.moment {
        None if !args.back => Some(Until::Time(Timestamp(0))),
        moment => moment,
    };
    let (moves, asks) = sync_channel(1);
    let (tell, told) = sync_channel(WAITING);
    let task = walk(client, store, args.projection.clone(), moment, every, asks, tell);
    let step = match first {
        Some(first) => first,
        None if args.back => Move::Back(goal),
        None => Move::Forward(goal),
    };
    // There is room for the one move.
    let _ = moves.try_send(step);
    drop(moves);
    let printing = {
        let (json, back) = (context.json(), args.back);
        thread::spawn(move || print(&told, json, back, every))
    };
    watch(&task, &format!("step {}", args.projection))?;
    let ended = task.wait();
    let walked = printing.join().map_err(|_| miette!("printing ended in a panic"))?;
    ended?;
    match walked? {
        Some(Walked::There) => Ok(()),
        Some(Walked::Cancelled) => Err(miette!("cancelled")),
        _ if of_all => Err(miette!("it holds after no event of the log")),
        _ if args.back => Err(miette!("the log's beginning came first")),
        _ => Err(miette!("the log's end came first")),
    }
}

/// Prints what a walk tells, until it stands again.
fn print(told: &Receiver<Told>, json: bool, back: bool, every: bool) -> miette::Result<Option<Walked>> {
    let say = |tables: &_, step: &_| {
        if json {
            println!("{}", event::json(tables, step, back));
        } else {
            println!("{}", event::text(tables, step, back));
        }
    };
    let mut ended = None;
    for told in told {
        match told {
            Told::Step(tables, step) if every => say(&tables, &step),
            Told::Step(..) => {}
            Told::Stands(stand) => {
                if stand.walked.is_none() {
                    continue;
                }
                ended = stand.walked;
                if !every
                    && stand.walked == Some(Walked::There)
                    && let Some(step) = &stand.last
                {
                    say(&stand.tables, step);
                }
                let latest = stand
                    .info
                    .latest
                    .map(|time| format!(", the latest of {}", show::time(time)));
                let records = show::counted(stand.info.counts.total(), "record");
                let places = show::of_several(&stand.info.position);
                eprintln!(
                    "{} after {records}{}{places}",
                    stand.info.name,
                    latest.unwrap_or_default()
                );
            }
            Told::Refused(error) => return Err(error.into()),
        }
    }
    Ok(ended)
}

//! `foldlog verify --sink`: a store outside against the read model that feeds it.

use miette::{Report, miette};
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::show;
use crate::decode::printable::one_line;
use crate::replay::sinks::{Checked, Differs, check};
use crate::sink::address::Address;

/// Characters of a key or a value.
const WIDTH: usize = 200;
/// Rows that are shown unless more are asked for.
const SHOWN: usize = 20;

/// Compares, and prints what differs.
pub(super) fn run(context: &Context, projection: &str, url: &str, limit: Option<usize>) -> miette::Result<()> {
    let address = Address::parse(url).map_err(Report::new)?;
    let store = context.store()?;
    let checked = check(&store, projection, &address, &mut printer(context.json(), limit))?;
    if context.json() {
        println!("{}", report(&checked));
    } else if checked.differ() == 0 {
        println!(
            "{address} has what {projection} has: {}",
            show::counted(checked.same, "row")
        );
    }
    if checked.differ() == 0 {
        return Ok(());
    }
    let help = match checked.waiting {
        0 => "`foldlog follow FILE.sql --sink URL` feeds it; a store that somebody else wrote to is given all rows again when its mark is \
              deleted"
            .to_owned(),
        waiting => format!("{} wait to be fed: `foldlog follow FILE.sql --sink URL` feeds them", show::counted(waiting, "change")),
    };
    Err(miette!(
        help = help,
        "{address} is not what {projection} is: {} missing, {} other, {} more than there should be",
        show::count(checked.missing),
        show::count(checked.other),
        show::count(checked.extra)
    ))
}

/// Prints rows that differ, until enough are shown.
pub(in super::super) fn printer(json: bool, limit: Option<usize>) -> impl FnMut(Differs) -> bool + Send {
    let limit = limit.unwrap_or(if json { usize::MAX } else { SHOWN });
    let mut shown = 0;
    move |row| {
        if shown < limit {
            match json {
                true => println!("{}", row_json(&row)),
                false => println!("{}", line(&row)),
            }
            shown += 1;
        }
        shown < limit
    }
}

fn text(text: &str) -> String {
    one_line(text.as_bytes(), WIDTH).text
}

fn line(row: &Differs) -> String {
    match row {
        Differs::Missing { table, key } => format!("- {table} {}", text(key)),
        Differs::Extra { table, name } => format!("+ {table} {}", text(name)),
        Differs::Other { table, key, columns } => {
            let columns: Vec<String> = columns
                .iter()
                .map(|(column, value)| format!("{column} is {} there", text(value)))
                .collect();
            format!("~ {table} {}: {}", text(key), columns.join(", "))
        }
    }
}

fn row_json(row: &Differs) -> Value {
    match row {
        Differs::Missing { table, key } => json!({ "differs": "missing", "table": table, "key": key }),
        Differs::Extra { table, name } => json!({ "differs": "extra", "table": table, "key": name }),
        Differs::Other { table, key, columns } => {
            let there: serde_json::Map<String, Value> = columns
                .iter()
                .map(|(column, value)| (column.clone(), value.as_str().into()))
                .collect();
            json!({ "differs": "other", "table": table, "key": key, "there": there })
        }
    }
}

/// The counts, as JSON.
pub(in super::super) fn report(checked: &Checked) -> Value {
    json!({
        "good": checked.differ() == 0,
        "same": checked.same,
        "missing": checked.missing,
        "other": checked.other,
        "extra": checked.extra,
        "waiting": checked.waiting,
    })
}

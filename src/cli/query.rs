//! `foldlog query`.

mod chart;

use std::io::{BufWriter, IsTerminal, Read, Write};

use comfy_table::Table;
use miette::{Context as _, IntoDiagnostic};
use serde_json::{Map, Value};

use crate::decode::printable::printable;
use crate::readmodel::query::{Cell, Rows, Session};

use super::context::Context;
use super::format::{Format, ROWS, one_of};
use super::show;
use super::table;

/// Rows in a table for people; the other formats have all.
const SHOWN: usize = 1_000;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog query 'SELECT * FROM account_balance.account'
  foldlog query 'SELECT state, count(*)
                 FROM order_view.orders GROUP BY state'
  foldlog query -o csv - < report.sql > report.csv
  foldlog query --chart bar 'SELECT state, count(*)
                 FROM order_view.orders GROUP BY state'

A chart takes its columns by their place: bar and top a label and a value; line x and y (x a number, or milliseconds since 1970) and \
the series; histogram a value; gauge a value, the most that it can be and a label; heat a row, a column and a value. `auto` chooses.

Every read model is a schema of its projection's name. Queries only read; no broker is needed.")]
pub struct Args {
    /// One SELECT; `-` reads it from standard input
    sql: String,
    /// How to print the rows [default: table; json with --json]
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = one_of(ROWS))]
    output: Option<Format>,
    /// Print at most this many rows [default: all; 1000 in a table]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Draw the rows instead of printing them
    #[arg(long, value_name = "KIND", conflicts_with_all = ["output", "limit"], value_parser = chart::kinds())]
    chart: Option<chart::Wanted>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let mut sql = args.sql;
    if sql == "-" {
        sql.clear();
        std::io::stdin()
            .read_to_string(&mut sql)
            .into_diagnostic()
            .wrap_err("cannot read the query from standard input")?;
    }
    let session = Session::open(&context.store()?)?;
    if let Some(wanted) = args.chart {
        return chart::print(&session, &sql, wanted);
    }
    print(&session, &sql, args.output, args.limit, context.json())
}

/// Prints the answer to a query.
pub(super) fn print(
    session: &Session,
    sql: &str,
    output: Option<Format>,
    limit: Option<usize>,
    as_json: bool,
) -> miette::Result<()> {
    match output {
        Some(Format::Csv) => csv(session, sql, limit.unwrap_or(usize::MAX)),
        _ if as_json => json(session, sql, limit.unwrap_or(usize::MAX)),
        _ => table(session, sql, limit.unwrap_or(SHOWN)),
    }
}

fn table(session: &Session, sql: &str, limit: usize) -> miette::Result<()> {
    let answer = session.query(sql, limit)?;
    println!("{}", drawn(&answer));
    if answer.truncated {
        eprintln!(
            "the first {} rows; more with --limit N, all with -o csv or -o json",
            show::count(limit as u64)
        );
    }
    Ok(())
}

fn drawn(answer: &Rows) -> Table {
    let mut table = table::table(answer.columns.iter().map(|name| table::text(name)));
    for row in &answer.rows {
        table.add_row(row.iter().map(|value| match value {
            Cell::Integer(_) | Cell::Real(_) => table::number(show::cell(value)),
            _ => comfy_table::Cell::new(show::cell(value)),
        }));
    }
    table
}

fn json(session: &Session, sql: &str, limit: usize) -> miette::Result<()> {
    let mut names = Vec::new();
    each(session, sql, limit, &mut |out, columns, row| match row {
        None => {
            names = distinct(columns);
            Ok(())
        }
        Some(row) => {
            let object: Map<String, Value> = names
                .iter()
                .cloned()
                .zip(row.into_iter().map(show::cell_json))
                .collect();
            writeln!(out, "{}", Value::Object(object))
        }
    })
}

/// Column names that can be keys of one object: `a`, `a_2`.
fn distinct(columns: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in columns {
        let mut name = column.clone();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = format!("{column}_{number}");
        }
        names.push(name);
    }
    names
}

fn csv(session: &Session, sql: &str, limit: usize) -> miette::Result<()> {
    // On a terminal nothing that a record holds is sent raw; in a file it is what it is.
    let terminal = std::io::stdout().is_terminal();
    let field = move |text: String| {
        if terminal {
            printable(text.as_bytes(), usize::MAX / 8).text
        } else {
            text
        }
    };
    each(session, sql, limit, &mut |out, columns, row| {
        let fields: Vec<String> = match row {
            None => columns.iter().cloned().map(field).collect(),
            Some(row) => row.iter().map(show::cell_csv).map(field).collect(),
        };
        let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
        line.write_record(&fields)?;
        out.write_all(&line.into_inner().map_err(|error| error.into_error())?)
    })
}

type Print<'a> = dyn FnMut(&mut dyn Write, &[String], Option<Vec<Cell>>) -> std::io::Result<()> + 'a;

/// Prints rows as they come. Whoever reads them may close the pipe when it has enough.
fn each(session: &Session, sql: &str, limit: usize, print: &mut Print<'_>) -> miette::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut left = limit;
    let mut failed = None;
    session.each(sql, &mut |columns, row| {
        if row.is_some() {
            if left == 0 {
                return false;
            }
            left -= 1;
        }
        match print(&mut out, columns, row) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    let written = match failed {
        Some(error) => Err(error),
        None => out.flush(),
    };
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).into_diagnostic().wrap_err("cannot write the rows")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let columns = ["a", "a", "b", "a", "a_2"].map(str::to_owned);
        assert_eq!(distinct(&columns), ["a", "a_2", "b", "a_3", "a_2_2"]);
    }
}

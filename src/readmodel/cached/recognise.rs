//! Which statements can be applied in memory, and why others cannot.

mod expression;
mod statement;
mod table;

use rusqlite::Connection;

use crate::projection::Statement;

use super::super::dump;
use super::super::guard::{Guard, Stage};
use super::plan::{Note, Plan, Table, Write};

/// A part of a statement that only SQL knows, as a reason for people.
type Recognised<T> = Result<T, String>;

/// What is known of a table before the statements.
struct Candidate {
    name: String,
    table: Recognised<Table>,
    /// Whether some statement writes it in a way that is recognised.
    written: bool,
}

/// Recognises the statements of the handlers. `others` are all further statements that run while records are applied: what they
/// read must be on disk. The tables must be there.
pub(in super::super) fn recognise(
    connection: &Connection,
    guard: &Guard,
    handlers: &[&Statement],
    others: &[&str],
) -> rusqlite::Result<Plan> {
    guard.enter(Stage::Own);
    let mut candidates = Vec::new();
    for name in dump::tables(connection, "main")? {
        let table = table::describe(connection, &name)?;
        candidates.push(Candidate {
            name,
            table,
            written: false,
        });
    }
    let mut writes: Vec<Recognised<Write>> = Vec::new();
    let mut dropped: Vec<(usize, String)> = Vec::new();
    for statement in handlers {
        let write = statement::recognise(connection, statement, &candidates);
        if write.is_err() {
            for table in touched(connection, guard, &statement.sql)? {
                dropped.push((
                    table_number(&candidates, &table),
                    format!("line {} needs all of `{table}` on disk", statement.line),
                ));
            }
        }
        writes.push(write);
    }
    for sql in others {
        for table in touched(connection, guard, sql)? {
            dropped.push((
                table_number(&candidates, &table),
                format!("`{table}` is asked after every event"),
            ));
        }
    }
    for write in &mut writes {
        let reason = write
            .as_ref()
            .ok()
            .and_then(|write| dropped.iter().find(|(table, _)| *table == write.table()));
        match (reason, &*write) {
            (Some((_, reason)), _) => *write = Err(reason.clone()),
            (None, Ok(known)) => {
                if let Some(candidate) = candidates.get_mut(known.table()) {
                    candidate.written = true;
                }
            }
            (None, Err(_)) => {}
        }
    }
    Ok(planned(candidates, writes, handlers))
}

/// Leaves the tables that stay in memory, and numbers them anew.
fn planned(candidates: Vec<Candidate>, writes: Vec<Recognised<Write>>, handlers: &[&Statement]) -> Plan {
    let mut plan = Plan::default();
    let numbers: Vec<Option<usize>> = candidates
        .into_iter()
        .map(|candidate| {
            let table = candidate.table.ok().filter(|_| candidate.written)?;
            plan.tables.push(table);
            Some(plan.tables.len() - 1)
        })
        .collect();
    for (number, (write, statement)) in writes.into_iter().zip(handlers).enumerate() {
        let renumbered = write.and_then(|mut write| match numbers.get(write.table()) {
            Some(Some(number)) => {
                *write.table_mut() = *number;
                Ok(write)
            }
            _ => Err("its table is not kept in memory".to_owned()),
        });
        match renumbered {
            Ok(write) => plan.writes.push(Some(write)),
            Err(reason) => {
                plan.writes.push(None);
                plan.notes.push(Note {
                    statement: number,
                    line: statement.line,
                    reason,
                });
            }
        }
    }
    plan
}

fn table_number(candidates: &[Candidate], name: &str) -> usize {
    let known = candidates
        .iter()
        .position(|candidate| candidate.name.eq_ignore_ascii_case(name));
    known.unwrap_or(usize::MAX)
}

/// The tables that a statement reads or writes, as SQLite sees it.
fn touched(connection: &Connection, guard: &Guard, sql: &str) -> rusqlite::Result<Vec<String>> {
    guard.enter(Stage::Own);
    connection.prepare(sql)?;
    Ok(guard.touched())
}

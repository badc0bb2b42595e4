//! `foldlog rebuild --explain`: which statements of a projection a rebuild folds in memory, and why not the others.

use miette::Report;
use serde_json::json;

use crate::projection::Projection;
use crate::readmodel::compile::compile;

use super::context::Context;
use super::show;
use super::table::{number, table, text};

/// Prints it; neither a log nor a read model is needed.
pub(super) fn run(context: &Context, projection: &Projection) -> miette::Result<()> {
    let definition = compile(projection).map_err(|error| Report::new(*error))?;
    let notes = &definition.plan().notes;
    let handlers = projection.handlers.iter();
    let statements: Vec<_> = handlers
        .flat_map(|handler| {
            handler
                .statements
                .iter()
                .map(|statement| (handler.on.to_string(), statement))
        })
        .enumerate()
        .map(|(at, (on, statement))| {
            let note = notes.iter().find(|note| note.statement == at);
            (on, statement, note.map(|note| note.reason.as_str()))
        })
        .collect();
    if context.json() {
        for (on, statement, reason) in &statements {
            let line = json!({
                "projection": projection.name,
                "line": statement.line,
                "on": on,
                "in_memory": reason.is_none(),
                "reason": reason,
            });
            println!("{line}");
        }
        return Ok(());
    }
    let mut rows = table(["LINE", "ON", "FOLDED", "BECAUSE"]);
    for (on, statement, reason) in &statements {
        rows.add_row([
            number(statement.line.to_string()),
            text(on),
            text(match reason {
                None => "in memory",
                Some(_) => "by SQL",
            }),
            text(reason.unwrap_or("it is about the row of one key")),
        ]);
    }
    println!("{rows}");
    println!(
        "{} of {} in memory; the rows are the same either way",
        show::count((statements.len() - notes.len()) as u64),
        show::counted(statements.len() as u64, "statement")
    );
    Ok(())
}

//! An event and what it did to the rows, as `foldlog step` and `foldlog blame` print it.

use serde_json::{Map, Value, json};

use crate::decode::printable::one_line;
use crate::readmodel::apply::Outcome;
use crate::readmodel::changes::{Change, Row, Watched};
use crate::replay::step::{RowGoal, Step};

use super::{envelope, show};

/// Characters of a key on a line for people.
const KEY: usize = 60;

/// The row that a command line names: KEY is one value, or a JSON array where the primary key has several columns.
pub(super) fn row(table: String, key: &str, column: Option<String>) -> RowGoal {
    let several: Option<Vec<Value>> = serde_json::from_str(key).ok();
    let key = several.map_or_else(
        || vec![key.to_owned()],
        |values| {
            values
                .into_iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect()
        },
    );
    RowGoal { table, key, column }
}

/// For people: a line for the event, one for each row that it wrote.
pub(super) fn text(tables: &[Watched], step: &Step, undone: bool) -> String {
    let record = &step.record;
    let mut text = String::new();
    if undone {
        text += "undone  ";
    }
    text += &format!("{}[{}] offset {}", record.topic, record.partition, record.offset);
    if let Some(time) = record.timestamp {
        text += &format!("  {}", show::time(time));
    }
    if let Some(event) = &step.effect.event {
        text += &format!("  {}", one_line(event.as_bytes(), KEY).text);
    }
    if let Some(key) = &record.key {
        text += &format!("  key {}", one_line(key, KEY).text);
    }
    match &step.effect.outcome {
        Outcome::Applied if step.effect.changes.is_empty() => text += "\n  no row changed",
        Outcome::Applied => {}
        Outcome::Ignored => text += "\n  ignored: no handler is for it",
        Outcome::Skipped => text += "\n  left out, as was decided",
        Outcome::Held => text += "\n  held: an earlier one of its key was left out",
        Outcome::Poison(poison) => {
            text += &format!(
                "\n  could not be applied: {}",
                one_line(poison.reason.as_bytes(), 200).text
            );
        }
    }
    if step.effect.edited {
        text += "\n  with another value, as was decided";
    }
    for change in &step.effect.changes {
        text += &format!("\n  line {}  {}", change.line, changed(tables, change));
    }
    text
}

fn changed(tables: &[Watched], change: &Change) -> String {
    let Some(table) = tables.get(change.table) else {
        return String::new();
    };
    let cell = |row: &Row, at: usize| show::cell(&row.cell(at));
    let key = |row: &Row| table.key.iter().map(|at| cell(row, *at)).collect::<Vec<_>>().join(", ");
    let whole = |row: &Row| {
        let rest = (0..table.columns.len()).filter(|at| !table.key.contains(at));
        rest.map(|at| format!("{}: {}", table.columns[at], cell(row, at)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {} {}  {}", table.name, key(after), whole(after)),
        (Some(before), None) => format!("- {} {}  {}", table.name, key(before), whole(before)),
        (Some(before), Some(after)) => {
            let differing = (0..table.columns.len()).filter(|at| before.cell(*at) != after.cell(*at));
            let cells: Vec<_> = differing
                .map(|at| format!("{}: {} → {}", table.columns[at], cell(before, at), cell(after, at)))
                .collect();
            let cells = if cells.is_empty() {
                "as it was".to_owned()
            } else {
                cells.join(", ")
            };
            format!("~ {} {}  {cells}", table.name, key(before))
        }
        (None, None) => String::new(),
    }
}

/// For programs: one object on a line. The record is as it is, no number of it was read and written again.
pub(super) fn json(tables: &[Watched], step: &Step, undone: bool) -> String {
    let (outcome, reason) = match &step.effect.outcome {
        Outcome::Applied => ("applied", None),
        Outcome::Ignored => ("ignored", None),
        Outcome::Skipped => ("skipped", None),
        Outcome::Held => ("held", None),
        Outcome::Poison(poison) => ("poison", Some(poison.reason.clone())),
    };
    let object = json!({
        "undone": undone,
        "type": step.effect.event,
        "outcome": outcome,
        "reason": reason,
        "edited": step.effect.edited,
        "lines": step.effect.lines,
        "changes": step.effect.changes.iter().map(|change| change_json(tables, change)).collect::<Vec<_>>(),
    });
    let mut record = Vec::new();
    envelope::write(&mut record, &step.record.view());
    let object = object.to_string();
    let open = object.strip_suffix('}').unwrap_or(&object);
    format!("{open},\"record\":{}}}", String::from_utf8_lossy(&record).trim_end())
}

fn change_json(tables: &[Watched], change: &Change) -> Value {
    let Some(table) = tables.get(change.table) else {
        return Value::Null;
    };
    let object = |row: &Row| -> Value {
        let cells = table
            .columns
            .iter()
            .cloned()
            .zip(row.cells().into_iter().map(show::cell_json));
        Value::Object(cells.collect::<Map<_, _>>())
    };
    json!({
        "table": table.name,
        "line": change.line,
        "before": change.before.as_ref().map(object),
        "after": change.after.as_ref().map(object),
    })
}

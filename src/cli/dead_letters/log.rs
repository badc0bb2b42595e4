//! Who decided what about which record, and when.

use serde_json::{Value, json};

use crate::decode::printable::one_line;
use crate::readmodel::decision::{Choice, Decision};
use crate::readmodel::store::Store;

use super::super::context::Context;
use super::super::show;
use super::super::table::{table, text};

/// Characters of a value in a table.
const WIDTH: usize = 60;

pub(super) fn run(context: &Context, store: &Store, name: &str) -> miette::Result<()> {
    let decisions = store.decisions(name)?;
    if context.json() {
        for decision in &decisions {
            println!("{}", line(decision));
        }
        return Ok(());
    }
    if decisions.is_empty() {
        eprintln!("nothing was decided about records of `{name}`");
        return Ok(());
    }
    let mut table = table(["WHEN", "WHO", "CHOICE", "RECORD", "REASON", "NEW VALUE"]);
    for decision in &decisions {
        table.add_row([
            text(&show::time(decision.at)),
            text(&decision.who),
            text(decision.choice.word()),
            text(&decision.place().to_string()),
            text(&decision.poison.reason),
            text(&value(&decision.choice)),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn value(choice: &Choice) -> String {
    match choice {
        Choice::Edit(Some(value)) => {
            let shown = one_line(value, WIDTH);
            if shown.cut { shown.text + "…" } else { shown.text }
        }
        Choice::Edit(None) => "∅ tombstone".to_owned(),
        Choice::Retry | Choice::Skip { .. } => String::new(),
    }
}

fn line(decision: &Decision) -> Value {
    let record = &decision.record;
    let value = match &decision.choice {
        Choice::Edit(value) => value.as_deref().map(String::from_utf8_lossy),
        Choice::Retry | Choice::Skip { .. } => None,
    };
    json!({
        "at": decision.at.0,
        "who": decision.who,
        "choice": decision.choice.word(),
        "topic": &*record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "kind": decision.poison.kind.word(),
        "reason": decision.poison.reason,
        "line": decision.poison.line,
        "value": value,
    })
}

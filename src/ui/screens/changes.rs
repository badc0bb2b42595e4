//! What an event did to a row: its table and key, and each value as it was and as it became.

use crate::app::lang::{Speaks, say};
use crate::app::moment::{RowChange, Shape};
use crate::readmodel::query::Cell as Value;

use super::super::canvas::{cut, padded, width};
use super::super::theme::Role;
use super::readmodel::shown;

/// A line of what changed: pieces, each cut where the pane ends.
pub(super) struct Piece {
    pub(super) change: usize,
    pub(super) parts: Vec<(String, Role)>,
}

/// A row's table and key, marked by what happened to it, and the values that it was about.
pub(super) fn change_lines(
    lines: &mut Vec<Piece>,
    on: &impl Speaks,
    number: usize,
    change: &RowChange,
    shape: &Shape,
    columns: usize,
) {
    let (mark, role) = match (&change.before, &change.after) {
        (None, _) => ("+ ", Role::Good),
        (_, None) => ("- ", Role::Bad),
        _ => ("~ ", Role::Changed),
    };
    let mut push = |parts| lines.push(Piece { change: number, parts });
    let key = change
        .key(shape)
        .iter()
        .map(|value| shown(value).text.into_owned())
        .collect::<Vec<_>>();
    push(vec![
        (mark.trim_end().to_owned(), role),
        (format!(" {} ", shape.name), Role::Strong),
        (key.join(", "), Role::Key),
        (
            format!("  {}", say!(on, "line {line}", line = change.line)),
            Role::Muted,
        ),
    ]);
    let longest = shape.columns.iter().map(|name| width(name)).max().unwrap_or(0);
    let label = usize::from(longest).min(columns / 3);
    let mut same = 0;
    for (at, name) in shape.columns.iter().enumerate() {
        let of = |row: &Option<Vec<Value>>| row.as_ref().and_then(|row| row.get(at)).cloned();
        let name = format!("    {} ", format_label(name, label));
        let room = columns.saturating_sub(label + 5);
        match (of(&change.before), of(&change.after)) {
            (Some(before), Some(after)) if before == after => same += 1,
            (Some(before), Some(after)) => {
                let (before, after) = (shown(&before), shown(&after));
                let arrow = |text: &str| (text.to_owned(), Role::Plain);
                let wide = usize::from(width(&before.text) + width(&after.text)) + 3;
                let (old, new) = (
                    (before.text.into_owned(), before.role),
                    (after.text.into_owned(), Role::Changed),
                );
                if wide <= room {
                    push(vec![(name, Role::Muted), old, arrow(" → "), new]);
                } else {
                    // A long value must not push the one that it became out of view.
                    push(vec![(name, Role::Muted), old]);
                    push(vec![arrow(&" ".repeat(label + 3)), arrow("→ "), new]);
                }
            }
            (Some(value), None) | (None, Some(value)) if !shape.key.contains(&at) => {
                let value = shown(&value);
                push(vec![(name, Role::Muted), (value.text.into_owned(), value.role)]);
            }
            _ => {}
        }
    }
    if same == shape.columns.len() {
        let said = on.tr("written, with the values it had");
        push(vec![(format!("    {said}"), Role::Muted)]);
    }
}

fn format_label(name: &str, columns: usize) -> String {
    padded(&cut(name, columns), columns)
}

//! The first screen of a broker that holds nothing yet.

use ratatui::layout::Rect;

use crate::app::lang::Speaks;
use crate::app::model::Model;

use super::super::canvas::{Canvas, width};
use super::super::theme::Role;

pub(in crate::ui) fn draw(canvas: &mut Canvas<'_>, body: Rect, model: &Model) {
    let inner = canvas.pane(body, model.tr("welcome"), "", true);
    let address = model.cluster.value.as_ref().map_or("", |c| &c.bootstrap);
    let create = format!("foldlog -b {address} topics create my-topic");
    let produce = format!("foldlog -b {address} produce my-topic events.ndjson");
    let lines: [(&str, &str, Role); 16] = [
        ("", "State is a fold of the log.", Role::Strong),
        ("", "", Role::Plain),
        (
            "",
            "Open a topic, see its records, write a projection in SQL, replay the",
            Role::Plain,
        ),
        (
            "",
            "log through it into SQLite, and look at the read model that comes out.",
            Role::Plain,
        ),
        ("", "", Role::Plain),
        (
            "",
            "A broker of your own is running, and it is empty. Fill it:",
            Role::Plain,
        ),
        ("", "", Role::Plain),
        ("r", "run the first demo, and watch its records arrive", Role::Plain),
        ("4", "see which demos there are", Role::Plain),
        ("", "", Role::Plain),
        (
            "",
            "or write to it from another terminal, with any Kafka client:",
            Role::Plain,
        ),
        ("", &create, Role::String),
        ("", &produce, Role::String),
        ("", "", Role::Plain),
        ("?", "the keys that work, on every screen", Role::Plain),
        ("q", "leave; what the broker holds stays for the next time", Role::Plain),
    ];
    let lines = lines.map(|(key, line, role)| (key, model.tr(line), role));
    let wide = lines
        .iter()
        .map(|(_, t, _)| width(t))
        .max()
        .unwrap_or(0)
        .min(inner.width);
    let x = inner.x + (inner.width - wide) / 2;
    let top = inner.y + inner.height.saturating_sub(lines.len() as u16) / 3;
    for (y, (key, line, role)) in (top..).zip(lines) {
        if y >= inner.bottom() {
            return;
        }
        let indent = if key.is_empty() { 0 } else { 4 };
        canvas.text(x + 1, y, key, Role::Key, 3);
        canvas.text(x + indent, y, line, role, inner.width.saturating_sub(indent));
    }
}

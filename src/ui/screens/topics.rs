//! The topics, and what is known of the one under the cursor.

use ratatui::layout::Rect;

use crate::app::job::TopicRow;
use crate::app::lang::Speaks;
use crate::app::layout::Viewport;
use crate::app::model::Model;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list::{self, Listing};
use super::super::table::{Column, cell};
use super::super::text::Lines;
use super::super::theme::Role;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let state = &model.topics;
    let listing = Listing {
        title: "topics",
        what: "topics",
        list: &state.list,
        remote: &state.remote,
        columns: &[
            Column::fill(model.tr("name")),
            Column::fit(model.tr("partitions"), 10).right().drop(2),
            Column::fit(model.tr("offsets"), 16).right(),
            Column::fit(model.tr("rate"), 8).right().drop(1),
        ],
        empty: &[
            ("this cluster has no topics yet", Role::Plain),
            ("", Role::Plain),
            ("4 shows demos that make some · i shows Kafka's own", Role::Muted),
        ],
    };
    listing.draw(canvas, rect, model, |topic| {
        let rate = state.rate(&topic.name);
        let growing = rate.is_some_and(|r| r > 0.0);
        vec![
            cell(
                topic.name.as_str(),
                if topic.internal { Role::Muted } else { Role::Plain },
            ),
            cell(format::count(topic.watermarks.len() as u64), Role::Number),
            cell(format::count(topic.held()), Role::Number),
            cell(
                rate.map_or(String::new(), |r| if growing { format::rate(r) } else { "·".into() }),
                if growing { Role::Good } else { Role::Muted },
            ),
        ]
    })
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "topic", "", |canvas, columns| {
        Some(lines(canvas, model, model.topics.selected()?, columns))
    })
}

fn lines<'a>(canvas: &Canvas<'_>, model: &'a Model, topic: &'a TopicRow, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 11);
    lines.text(&topic.name, Role::Strong);
    lines.blank();
    lines.field("offsets", format::count(topic.held()), Role::Number);
    lines.field("partitions", format::count(topic.watermarks.len() as u64), Role::Number);
    lines.field("replicas", format::count(topic.replication.max(0) as u64), Role::Number);
    if let Some(rate) = model.topics.rate(&topic.name) {
        lines.field(
            "rate",
            format::rate(rate),
            if rate > 0.0 { Role::Good } else { Role::Muted },
        );
    }
    lines.heading("Partitions");
    let rows: Vec<_> = topic
        .watermarks
        .iter()
        .map(|w| {
            let number = |n| (format::offset(n), Role::Number);
            vec![
                (w.partition.to_string(), Role::Key),
                number(w.low),
                number(w.high),
                number(w.high.saturating_sub(w.low)),
            ]
        })
        .collect();
    lines.grid(&["", "first", "next offset", "offsets"], &rows, columns, &[1, 3]);
    configuration(&mut lines, model, columns);
    lines
}

fn configuration<'a>(lines: &mut Lines<'a>, model: &'a Model, columns: u16) {
    let config = &model.topics.config;
    lines.heading("Configuration");
    if let Some(failure) = &config.error {
        return lines.text(&failure.summary, Role::Bad);
    }
    let Some(entries) = &config.value else {
        return lines.text(model.tr("reading …"), Role::Muted);
    };
    let longest = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
    // Where the values would not fit beside a column of names, each stands right behind its name.
    let wide = if longest + 12 <= usize::from(columns) {
        longest
    } else {
        0
    };
    let (set, defaults): (Vec<_>, Vec<_>) = entries.iter().partition(|e| !e.is_default);
    if set.is_empty() {
        lines.text(model.tr("nothing is set; these are the defaults"), Role::Muted);
    }
    for (entry, role) in set
        .iter()
        .map(|e| (e, Role::Strong))
        .chain(defaults.iter().map(|e| (e, Role::Plain)))
    {
        let value = entry.value.clone().unwrap_or_else(|| model.tr("hidden").into());
        lines.spans(vec![(format!("{:<wide$}  ", entry.name), Role::Muted), (value, role)]);
    }
}

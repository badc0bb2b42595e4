//! The consumer groups, and members and lag of the one under the cursor.

use ratatui::layout::Rect;

use crate::app::lang::Speaks;
use crate::app::layout::Viewport;
use crate::app::model::{Model, Pane};
use crate::broker::groups::GroupDetail;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list::{self, Listing};
use super::super::table::{Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let listing = Listing {
        title: "groups",
        what: "groups",
        list: &model.groups.list,
        remote: &model.groups.remote,
        columns: &[
            Column::fill(model.tr("group")),
            Column::fit(model.tr("state"), 20),
            Column::fit(model.tr("members"), 8).right().drop(1),
        ],
        empty: &[
            ("no consumer group has committed or joined yet", Role::Plain),
            ("", Role::Plain),
            (
                "Foldlog itself joins none: what it reads, it reads by offset.",
                Role::Muted,
            ),
        ],
    };
    listing.draw(canvas, rect, model, |group| {
        let role = match group.state.as_str() {
            "Stable" => Role::Good,
            "Empty" => Role::Muted,
            _ => Role::Warning,
        };
        vec![
            cell(group.id.as_str(), Role::Plain),
            cell(group.state.as_str(), role),
            cell(format::count(group.members as u64), Role::Number),
        ]
    })
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let inner = canvas.pane(rect, model.tr("group"), "", list::focused(model, Pane::Detail));
    if model.groups.selected().is_none() {
        return Viewport::default();
    }
    match (&model.groups.group.value, &model.groups.group.error) {
        (Some(group), _) => {
            let lines = lines(canvas, group, inner.width);
            return text::draw(canvas, inner, &lines.lines, model.detail);
        }
        (None, Some(failure)) => text::failed(canvas, inner, "the group cannot be read", failure),
        (None, None) => text::middle(canvas, inner, &[("reading …", Role::Muted)]),
    }
    Viewport::default()
}

fn lines<'a>(canvas: &Canvas<'_>, group: &'a GroupDetail, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 8);
    lines.text(&group.summary.id, Role::Strong);
    lines.blank();
    lines.field("state", group.summary.state.clone(), Role::Plain);
    match group.lag() {
        Some(lag) => {
            let role = if lag > 0 { Role::Warning } else { Role::Good };
            lines.field("lag", format::offset(lag), role);
        }
        None => lines.field("lag", "-", Role::Muted),
    }
    lines.heading("Offsets");
    let rows: Vec<_> = group
        .offsets
        .iter()
        .map(|o| {
            vec![
                (format!("{}[{}]", o.topic, o.partition), Role::Plain),
                (
                    o.committed.map_or(canvas.language.tr("never").into(), format::offset),
                    Role::Number,
                ),
                (
                    o.end.map_or(canvas.language.tr("gone").into(), format::offset),
                    Role::Number,
                ),
                (
                    o.lag.map_or("?".into(), format::offset),
                    if o.lag > Some(0) { Role::Warning } else { Role::Number },
                ),
            ]
        })
        .collect();
    lines.grid(&["partition", "committed", "end", "lag"], &rows, columns, &[2, 1]);
    lines.heading("Members");
    if group.members.is_empty() {
        lines.text(canvas.language.tr("none is connected now"), Role::Muted);
    }
    for member in &group.members {
        lines.spans(vec![
            (member.client_id.clone(), Role::Strong),
            (format!("  {}", member.host), Role::Muted),
        ]);
        let assigned: Vec<String> = member.assignment.iter().map(|(t, p)| format!("{t}[{p}]")).collect();
        lines.owned(format!("  {}", assigned.join(" ")), Role::Plain);
    }
    lines
}

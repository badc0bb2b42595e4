//! What is said of the part under the cursor, whatever the flow has room for: how it is and why, and the figures of each edge.

use ratatui::layout::Rect;

use crate::app::job::DemoRow;
use crate::app::lang::{Speaks, say};
use crate::app::model::Model;
use crate::app::screens::scene::Scene;
use crate::demo::graph::Kind;
use crate::demo::snapshot::PartView;

use super::super::super::canvas::{Canvas, width};
use super::super::super::format;
use super::super::super::theme::Role;
use super::look;

/// The rows that it takes.
pub(super) const ROWS: u16 = 2;

pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, demo: &DemoRow, scene: &Scene) {
    let Some(part) = demo.graph.parts.get(scene.cursor) else {
        return;
    };
    let view = scene.part(scene.cursor);
    let look = look::of(part.kind, view);
    let mut first = vec![
        (format!("{} ", look.mark), look.role),
        (part.title.get(model.language).to_owned(), Role::Strong),
        (format!("  {}", model.tr(look.word)), look.role),
    ];
    if let Some(view) = view {
        first.extend(more(model, part.kind, view));
    }
    if let Some(view) = view.filter(|view| !view.place.is_empty()) {
        first.push((format!("  {}", view.place), Role::Muted));
    }
    if part.kind == Kind::Processor {
        let group = say!(model, "group {id}", id = part.id);
        first.push((format!("  {group}"), Role::Muted));
    }
    let row = |nth: u16| Rect {
        x: rect.x + 1,
        y: rect.y + nth,
        width: rect.width.saturating_sub(2),
        height: 1,
    };
    spans(canvas, row(0), &first);
    if let Some(reason) = view
        .map(|view| view.reason.as_str())
        .filter(|reason| !reason.is_empty())
    {
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        spans(canvas, row(1), &[("  ".to_owned(), Role::Plain), (reason, Role::Bad)]);
        return;
    }
    let mut both = edges(model, demo, scene, true);
    both.extend(edges(model, demo, scene, false));
    spans(canvas, row(1), &both);
}

/// What else there is to say of a part.
fn more(model: &Model, kind: Kind, view: &PartView) -> Vec<(String, Role)> {
    let mut more = Vec::new();
    if kind == Kind::Processor && !view.shares.is_empty() {
        let shares: Vec<String> = view.shares.iter().map(ToString::to_string).collect();
        let shares = shares.join(" + ");
        let text = match view.shares.len() {
            1 => say!(model, "1 member, partitions: {shares}", shares),
            count => say!(model, "{count} members, partitions: {shares}", count, shares),
        };
        let text = format!("  {text}");
        more.push((text, Role::Plain));
    }
    if let Some(lag) = view.lag.filter(|lag| *lag > 0) {
        let lag = say!(model, "lag {n}", n = format::count(lag));
        more.push((format!("  {lag}"), Role::Warning));
    }
    more
}

/// The edges into the part, or out of it, each with its figures.
fn edges(model: &Model, demo: &DemoRow, scene: &Scene, into: bool) -> Vec<(String, Role)> {
    let graph = &demo.graph;
    let ours = graph.edges.iter().enumerate().filter_map(|(at, edge)| match into {
        true => (edge.to == scene.cursor).then_some((at, edge.from)),
        false => (edge.from == scene.cursor).then_some((at, edge.to)),
    });
    let mut out = Vec::new();
    for (at, other) in ours {
        let lead = match (out.is_empty(), into) {
            (true, true) => "  ◂ ",
            (true, false) => "  ▸ ",
            _ => " · ",
        };
        out.push((lead.to_owned(), Role::Muted));
        out.push((graph.parts[other].title.get(model.language).to_owned(), Role::Plain));
        let view = scene.snapshot().and_then(|now| now.edges.get(at));
        if let Some(view) = view {
            out.push((format!(" {}", format::count(view.records)), Role::Number));
            if view.rate > 0.0 {
                out.push((format!(" {}", format::rate(view.rate)), Role::Muted));
            }
            if let Some(lag) = view.lag.filter(|lag| *lag > 0) {
                let lag = say!(model, "lag {n}", n = format::count(lag));
                out.push((format!(" {lag}"), Role::Warning));
            }
        }
    }
    out
}

fn spans(canvas: &mut Canvas<'_>, rect: Rect, spans: &[(String, Role)]) {
    let mut x = rect.x;
    for (text, role) in spans {
        let left = rect.right().saturating_sub(x);
        x += canvas.text(x, rect.y, text, *role, left).min(width(text));
    }
}

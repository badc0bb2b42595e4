//! The demos, and the steps and checks of the one under the cursor as they happen.

use ratatui::layout::Rect;

use crate::app::command::Action;
use crate::app::job::DemoRow;
use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::screens::demos::steps;
use crate::demo::run::StepState;

use super::super::canvas::Canvas;
use super::super::list::{self, Listing};
use super::super::table::{Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let listing = Listing {
        title: "demos",
        what: "demos",
        list: &model.demos.list,
        remote: &model.demos.remote,
        columns: &[Column::fit(model.tr("id"), 24), Column::fill(model.tr("title")).drop(1)],
        empty: &[("there are no demos here", Role::Plain)],
    };
    listing.draw(canvas, rect, model, |demo| {
        vec![
            cell(demo.id.as_str(), Role::Plain),
            cell(demo.title.as_str(), Role::Muted),
        ]
    })
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "demo", "", |canvas, columns| {
        Some(lines(canvas, model, model.demos.selected()?, usize::from(columns)))
    })
}

fn lines<'a>(canvas: &Canvas<'_>, model: &'a Model, demo: &'a DemoRow, columns: usize) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 11);
    lines.text(&demo.title, Role::Strong);
    lines.blank();
    for paragraph in demo.summary.lines() {
        for line in text::wrap_words(paragraph, columns) {
            lines.owned(line, Role::Plain);
        }
    }
    lines.blank();
    if !demo.topics.is_empty() {
        lines.field("topics", demo.topics.join(", "), Role::Plain);
    }
    if !demo.projections.is_empty() {
        lines.field("projections", demo.projections.join(", "), Role::Plain);
    }
    lines.heading("Steps");
    for step in steps(model, demo) {
        let (mark, role) = match step.state {
            StepState::Waiting => ("·", Role::Muted),
            StepState::Running => ("▸", Role::Warning),
            StepState::Passed => ("✓", Role::Good),
            StepState::Failed => ("✗", Role::Bad),
        };
        let indent = if step.check || step.action { "    " } else { "" };
        let title = if step.check || step.action || step.state == StepState::Waiting {
            Role::Plain
        } else {
            Role::Strong
        };
        lines.spans(vec![(format!("{indent}{mark} "), role), (step.title, title)]);
        for note in step.note.lines() {
            for line in text::wrap_words(note, columns.saturating_sub(indent.len() + 2).max(1)) {
                let role = if step.state == StepState::Failed {
                    Role::Bad
                } else {
                    Role::Muted
                };
                lines.owned(format!("{indent}  {line}"), role);
            }
        }
    }
    if demo.guide {
        lines.blank();
        lines.text(model.tr("⏎ asks."), Role::Muted);
        return lines;
    }
    let ran = model
        .demos
        .scenes
        .get(&demo.id)
        .is_some_and(|scene| scene.staged.is_some());
    let runs = model.works.iter().any(|w| w.name == demo.id);
    lines.blank();
    match (runs, ran) {
        (true, _) => lines.text(model.tr("It is running: ⏎ opens its scene, x stops it."), Role::Muted),
        (false, true) => next(&mut lines, model, demo),
        (false, false) => match model.refusal(Action::RunDemo) {
            Some(why) => lines.owned(
                say!(model, "It cannot be run now: {why}.", why = model.tr(why)),
                Role::Muted,
            ),
            None => lines.text(model.tr("⏎ opens its scene, r runs it."), Role::Muted),
        },
    }
    lines
}

/// Where to look at what the demo made.
fn next(lines: &mut Lines<'_>, model: &Model, demo: &DemoRow) {
    let its = |all: &[String], one: &'static str, more: &'static str| {
        model.tr(if all.len() == 1 { one } else { more }).to_owned()
    };
    lines.heading("Next");
    for (key, what) in [
        ("1", its(&demo.topics, "its topic", "its topics")),
        ("2", its(&demo.projections, "its projection", "its projections")),
        ("3", its(&demo.projections, "its read model", "its read models")),
    ] {
        lines.spans(vec![(format!("{key}  "), Role::Key), (what, Role::Plain)]);
    }
}

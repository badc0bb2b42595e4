//! The demos, and the steps and checks of the one under the cursor as they happen.

use ratatui::layout::Rect;

use crate::app::job::DemoRow;
use crate::app::layout::Layout;
use crate::app::model::{Model, Pane};
use crate::app::screens::demos::steps;
use crate::demo::run::StepState;

use super::super::canvas::Canvas;
use super::super::table::{Column, Table, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::{State, focused, listed, nothing};

pub(in crate::ui) fn draw(
    canvas: &mut Canvas<'_>,
    list: Option<Rect>,
    detail: Option<Rect>,
    model: &Model,
    layout: &mut Layout,
) {
    if let Some(rect) = list {
        draw_list(canvas, rect, model, layout);
    }
    if let Some(rect) = detail {
        let inner = canvas.pane(rect, "demo", "", focused(model, Pane::Detail));
        if let Some(demo) = model.demos.selected() {
            let lines = lines(canvas, model, demo, usize::from(inner.width));
            layout.detail = text::draw(canvas, inner, &lines.lines, model.detail);
        }
    }
}

fn draw_list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, layout: &mut Layout) {
    let state = &model.demos;
    let inner = canvas.pane(rect, "demos", &listed(&state.list), focused(model, Pane::List));
    if nothing(canvas, inner, model, "demos", &state.list, State::of(&state.remote)) {
        return;
    }
    let all = state.remote.value.as_deref().unwrap_or_default();
    let table = Table {
        columns: &[Column::fit("id", 24), Column::fill("title").drop(1)],
        rows: state.list.shown().len(),
        cursor: Some(state.list.cursor()),
        focused: focused(model, Pane::List),
        marks_hidden: false,
        first: model.layout.list.first,
    };
    layout.list = table.draw(canvas, inner, |row| {
        let demo = &all[state.list.shown()[row]];
        vec![
            cell(demo.id.as_str(), Role::Plain),
            cell(demo.title.as_str(), Role::Muted),
        ]
    });
}

fn lines<'a>(canvas: &Canvas<'_>, model: &'a Model, demo: &'a DemoRow, columns: usize) -> Lines<'a> {
    let mut lines = Lines::new(canvas.theme, 11);
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
        let indent = if step.check { "    " } else { "" };
        let title = if step.check || step.state == StepState::Waiting {
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
    let ran = model.demos.last_run.as_ref().is_some_and(|(id, _)| *id == demo.id);
    let runs = model.works.iter().any(|w| w.name == demo.id);
    lines.blank();
    match (runs, ran) {
        (true, _) => lines.text("It is running: x stops it.", Role::Muted),
        (false, true) => next(&mut lines, demo),
        (false, false) => lines.text("r runs it.", Role::Muted),
    }
    lines
}

/// Where to look at what the demo made.
fn next(lines: &mut Lines<'_>, demo: &DemoRow) {
    let its = |all: &[String], one: &str| format!("its {one}{}", if all.len() == 1 { "" } else { "s" });
    lines.heading("Next");
    for (key, what) in [
        ("1", its(&demo.topics, "topic")),
        ("2", its(&demo.projections, "projection")),
        ("3", its(&demo.projections, "read model")),
    ] {
        lines.spans(vec![(format!("{key}  "), Role::Key), (what, Role::Plain)]);
    }
}

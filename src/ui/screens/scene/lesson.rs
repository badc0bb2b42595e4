//! The lesson, step by step: what to look at, what is done, each check with what it saw, and what was done by hand.

use ratatui::layout::Rect;

use crate::app::job::DemoRow;
use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::{Model, Pane};
use crate::app::screens::scene::Scene;
use crate::demo::player::Stands;
use crate::demo::run::{ByHand, Line, PlanLine, StepState, StepView};

use super::super::super::canvas::{Canvas, width};
use super::super::super::list::focused;
use super::super::super::text::{self, Lines, wrap_text};
use super::super::super::theme::Role;

pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, demo: &DemoRow, scene: &Scene) -> Viewport {
    let (held, failed, all) = scene.checks();
    let note = match (all, failed) {
        (0, _) => String::new(),
        (_, 0) => say!(model, "{held} of {all} checks", held, all),
        _ => say!(model, "{held} of {all} checks, ✗ {failed}", held, all, failed),
    };
    let inner = canvas.pane(rect, model.tr("lesson"), &note, focused(model, Pane::Detail));
    let mut text = Told::new(canvas, inner, model);
    text.all(demo, scene);
    let first = if scene.follows {
        text.follow(inner.height)
    } else {
        model.detail
    };
    text::draw(canvas, inner, &text.lines.lines, first)
}

/// The lesson as lines, each a row.
struct Told<'m> {
    lines: Lines<'m>,
    model: &'m Model,
    columns: usize,
    /// Where the step begins that was begun last, and the last row of what happened.
    step: usize,
    last: usize,
}

impl<'m> Told<'m> {
    fn new(canvas: &Canvas<'_>, inner: Rect, model: &'m Model) -> Self {
        Self {
            lines: Lines::new(canvas, 0),
            model,
            columns: usize::from(inner.width.max(1)),
            step: 0,
            last: 0,
        }
    }

    /// The first row in view, so that what happens is: from the step's title on where it fits.
    fn follow(&self, height: u16) -> usize {
        let height = usize::from(height);
        self.step.max((self.last + 1).saturating_sub(height))
    }

    fn all(&mut self, demo: &DemoRow, scene: &Scene) {
        let none = Vec::new();
        let steps = scene.staged.as_ref().map_or(&none, |staged| &staged.steps);
        let by_hand: &[ByHand] = scene.staged.as_ref().map_or(&[], |staged| &staged.by_hand);
        if steps.is_empty() {
            for line in wrap_text(&demo.summary, self.columns) {
                self.lines.owned(line, Role::Plain);
            }
        }
        let mut number = 0;
        let mut waits = scene.stands() == Some(Stands::BeforeStep);
        for (at, line) in demo.script.iter().enumerate() {
            let fallback = StepView::default();
            let view = steps.get(at).unwrap_or(&fallback);
            // What comes before the lesson has no text and no checks.
            let has_parts = demo.script.get(at + 1).is_some_and(|next| next.line != Line::Step);
            match line.line {
                Line::Step if has_parts => {
                    number += 1;
                    let next = waits && view.state == StepState::Waiting;
                    waits &= view.state != StepState::Waiting;
                    self.step(number, line, view, next);
                }
                Line::Step => self.before(line, view),
                _ => self.part(line, view, steps, at, &demo.script),
            }
            for hand in by_hand.iter().filter(|hand| hand.line == at) {
                self.hand(hand);
            }
        }
        self.next(demo, scene, steps);
    }

    /// Something that comes before the lesson.
    fn before(&mut self, line: &PlanLine, view: &StepView) {
        let (mark, role) = mark(view.state, Line::Step);
        self.row(
            &format!("{mark} "),
            role,
            self.say(line),
            Role::Muted,
            &view.note,
            view.state,
        );
        self.happened(view.state);
    }

    /// A step's title and text; `next` is the one that waits to be asked for.
    fn step(&mut self, number: usize, line: &PlanLine, view: &StepView, next: bool) {
        let begun = view.state != StepState::Waiting;
        if begun || next || number == 1 {
            self.lines.blank();
        }
        if begun {
            self.step = self.lines.lines.len();
        }
        let (mark, role) = if next {
            ("n", Role::Key)
        } else {
            mark(view.state, Line::Step)
        };
        let title = format!("{number}  {}", self.say(line));
        let strong = if begun || next { Role::Strong } else { Role::Muted };
        self.row(&format!("{mark} "), role, &title, strong, "", view.state);
        if next {
            self.last = self.lines.lines.len().saturating_sub(1);
        }
        if !begun && !next {
            return;
        }
        for row in wrap_text(line.text.get(self.model.language), self.columns.saturating_sub(2)) {
            self.lines.owned(format!("  {row}"), Role::Plain);
        }
        self.happened(view.state);
    }

    /// An action or a check of a step that was begun.
    fn part(&mut self, line: &PlanLine, view: &StepView, steps: &[StepView], at: usize, script: &[PlanLine]) {
        let step = (0..at).rev().find(|at| script[*at].line == Line::Step).unwrap_or(0);
        if steps.get(step).is_none_or(|step| step.state == StepState::Waiting) {
            return;
        }
        let (mark, role) = mark(view.state, line.line);
        let title = match (line.line, view.state) {
            (Line::Action, _) | (_, StepState::Waiting) => Role::Muted,
            _ => Role::Plain,
        };
        self.row(
            &format!("  {mark} "),
            role,
            self.say(line),
            title,
            &view.note,
            view.state,
        );
        self.happened(view.state);
    }

    /// Something that was done by hand.
    fn hand(&mut self, hand: &ByHand) {
        let title = hand.title.get(self.model.language);
        let role = if hand.state == StepState::Failed {
            Role::Bad
        } else {
            Role::Changed
        };
        self.row("  » ", role, title, Role::Plain, &hand.note, hand.state);
        self.last = self.lines.lines.len().saturating_sub(1);
    }

    /// What can be done when nothing is left to wait for.
    fn next(&mut self, demo: &DemoRow, scene: &Scene, steps: &[StepView]) {
        let (key, text) = match scene.stands() {
            Some(Stands::Over) if demo.live => ("b", "breaks something: what ran still runs; x stops it"),
            None if !steps.is_empty() => ("r", "runs it again from the beginning"),
            None => ("n", "begins the lesson, step by step; r runs it through"),
            _ => return,
        };
        self.lines.blank();
        let text = self.model.tr(text);
        self.row(
            &format!("{key}  "),
            Role::Key,
            text,
            Role::Plain,
            "",
            StepState::Waiting,
        );
        if !steps.is_empty() {
            self.last = self.lines.lines.len().saturating_sub(1);
        }
    }

    fn say(&self, line: &'m PlanLine) -> &'m str {
        line.title.get(self.model.language)
    }

    fn happened(&mut self, state: StepState) {
        if state != StepState::Waiting {
            self.last = self.lines.lines.len().saturating_sub(1);
        }
    }

    /// A mark, a title and what there is to say of it: behind it where that fits, else below it.
    fn row(&mut self, mark: &str, role: Role, title: &str, title_role: Role, note: &str, state: StepState) {
        let indent = usize::from(width(mark));
        let room = self.columns.saturating_sub(indent).max(1);
        let note_role = if state == StepState::Failed {
            Role::Bad
        } else {
            Role::Number
        };
        let mut rows = wrap_text(title, room);
        let last = rows.pop().unwrap_or_default();
        let mut lead = mark.to_owned();
        for row in rows {
            self.lines.spans(vec![(lead, role), (row, title_role)]);
            lead = " ".repeat(indent);
        }
        let note = note.trim();
        let fits = usize::from(width(&last) + width(note)) + 2 <= room && !note.contains('\n');
        if note.is_empty() || !fits {
            self.lines.spans(vec![(lead, role), (last, title_role)]);
        } else {
            self.lines
                .spans(vec![(lead, role), (last, title_role), (format!("  {note}"), note_role)]);
        }
        if !fits {
            for line in note.lines() {
                for row in wrap_text(line, room.saturating_sub(2).max(1)) {
                    self.lines.owned(format!("{}  {row}", " ".repeat(indent)), note_role);
                }
            }
        }
    }
}

fn mark(state: StepState, line: Line) -> (&'static str, Role) {
    match (state, line) {
        (StepState::Waiting, _) => ("·", Role::Muted),
        (StepState::Running, _) => ("▸", Role::Warning),
        (StepState::Passed, Line::Action) => ("•", Role::Muted),
        (StepState::Passed, _) => ("✓", Role::Good),
        (StepState::Failed, _) => ("✗", Role::Bad),
    }
}

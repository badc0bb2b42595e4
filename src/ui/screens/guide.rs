//! The guide: a question and its answers, or the demo that fits; beside it what was answered, and what to learn in which order.

use ratatui::layout::Rect;

use crate::app::lang::{Speaks, say};
use crate::app::layout::{Nodes, Viewport};
use crate::app::model::{Model, Pane};
use crate::app::screens::guide::Guidance;
use crate::demo::guide::{Row, Way};

use super::super::canvas::{Canvas, area_of, width};
use super::super::list;
use super::super::text::{self, Lines, wrap_words};
use super::super::theme::Role;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, nodes: &mut Nodes) -> Viewport {
    let state = &model.guiding;
    let focused = list::focused(model, Pane::List);
    let way = state.way();
    let step = way.as_ref().map_or(0, |way| way.asked.len());
    let note = match &way {
        Some(way) if way.next.is_some() => say!(model, "question {n}", n = step + 1),
        _ => String::new(),
    };
    let inner = canvas.pane(rect, model.tr("which use case fits?"), &note, focused);
    let (Some(way), Some(known)) = (way, &state.remote.value) else {
        match &state.remote.error {
            Some(failure) => text::failed(canvas, inner, "the guide cannot be read", failure),
            None => text::middle(canvas, inner, &[("reading …", Role::Muted)]),
        }
        return Viewport::default();
    };
    let (title, choices): (&str, Vec<&str>) = match way.next {
        Some(question) => {
            let answers = question.answers.iter().map(|answer| answer.say.get(model.language));
            (question.ask.get(model.language), answers.collect())
        }
        None => {
            let demo = way.demo().unwrap_or_default();
            (model.tr("This comes nearest:"), vec![known.title(demo, model.language)])
        }
    };
    let columns = usize::from(inner.width).max(1);
    let mut y = inner.y;
    for line in wrap_words(title, columns) {
        canvas.text(inner.x, y, &line, Role::Strong, inner.width);
        y += 1;
    }
    y += 1;
    choose(
        canvas,
        Rect {
            y,
            height: inner.bottom().saturating_sub(y),
            ..inner
        },
        model,
        &choices,
        nodes,
    );
    Viewport {
        area: area_of(inner),
        ..Viewport::default()
    }
}

/// The choices, each over as many lines as it takes; as many of them as lead to the one under the cursor. Says where each stands.
fn choose(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, choices: &[&str], nodes: &mut Nodes) {
    let columns = usize::from(rect.width.saturating_sub(2)).max(1);
    let wrapped: Vec<Vec<String>> = choices.iter().map(|choice| wrap_words(choice, columns)).collect();
    let cursor = model.guiding.list.cursor().min(wrapped.len().saturating_sub(1));
    let mut first = 0;
    let lines = |from: usize| wrapped[from..=cursor].iter().map(Vec::len).sum::<usize>();
    while first < cursor && lines(first) > usize::from(rect.height) {
        first += 1;
    }
    let mut y = rect.y;
    for (at, lines) in wrapped.iter().enumerate().skip(first) {
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let room = Rect {
            y,
            height: height.min(rect.bottom().saturating_sub(y)),
            ..rect
        };
        nodes.set(at, area_of(room));
        for (n, line) in lines.iter().enumerate() {
            if y >= rect.bottom() {
                return;
            }
            let on = at == cursor;
            if on && n == 0 {
                canvas.text(rect.x, y, "▌", Role::Focus, 1);
            }
            let role = if on { Role::Strong } else { Role::Plain };
            canvas.text(rect.x + 2, y, line, role, rect.width.saturating_sub(2));
            y += 1;
        }
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "guide", "", |canvas, columns| {
        let known = model.guiding.remote.value.as_ref()?;
        let way = model.guiding.way()?;
        let mut lines = Lines::new(canvas, 6);
        let columns = usize::from(columns).max(8);
        if let Some(demo) = way.demo() {
            recommended(&mut lines, model, known, &way, demo, columns);
        }
        for contradiction in &way.contradictions {
            lines.blank();
            prose(
                &mut lines,
                "! ",
                contradiction.say.get(model.language),
                Role::Warning,
                columns,
            );
        }
        if !way.asked.is_empty() {
            lines.heading("So far");
            for (question, answer) in &way.asked {
                prose(&mut lines, "", question.ask.get(model.language), Role::Muted, columns);
                prose(&mut lines, "  ", answer.say.get(model.language), Role::Plain, columns);
            }
        }
        path(&mut lines, model, known, columns);
        roadmap(&mut lines, model, known, columns);
        Some(lines)
    })
}

/// Text over as many lines as it takes, indented behind its mark.
fn prose(lines: &mut Lines<'_>, mark: &str, text: &str, role: Role, columns: usize) {
    let taken = usize::from(width(mark));
    for (n, line) in wrap_words(text, columns.saturating_sub(taken).max(1))
        .into_iter()
        .enumerate()
    {
        let begin = if n == 0 { mark.to_owned() } else { " ".repeat(taken) };
        lines.owned(format!("{begin}{line}"), role);
    }
}

fn recommended(lines: &mut Lines<'_>, model: &Model, known: &Guidance, way: &Way<'_>, demo: &str, columns: usize) {
    let language = model.language;
    lines.owned(known.title(demo, language).to_owned(), Role::Strong);
    match known.demos.get(demo) {
        Some(found) => prose(lines, "", found.summary.get(language), Role::Plain, columns),
        None => prose(
            lines,
            "",
            model.tr("that demo is not there: the guide names it, and nobody has written it yet"),
            Role::Warning,
            columns,
        ),
    }
    if let Some(row) = known.guide.row(demo) {
        lines.blank();
        degrees(lines, model, row, columns);
    }
    if let Some(why) = way
        .end()
        .map(|answer| answer.why.get(language))
        .filter(|why| !why.is_empty())
    {
        lines.blank();
        prose(lines, "", why, Role::Plain, columns);
    }
    lines.blank();
    lines.text(model.tr("⏎ opens the demo · esc asks again"), Role::Muted);
}

fn degrees(lines: &mut Lines<'_>, model: &Model, row: &Row, columns: usize) {
    let language = model.language;
    let text = say!(
        model,
        "volume {volume} · timeliness {timeliness} · complexity {complexity}",
        volume = row.volume.size(language),
        timeliness = row.timeliness.word(language),
        complexity = row.complexity.word(language)
    );
    prose(lines, "", &text, Role::Number, columns);
    let fit = say!(model, "fits {whom}", whom = row.fit.get(language));
    prose(lines, "", &fit, Role::Muted, columns);
}

/// In which order to learn, what was done, and what comes next.
fn path(lines: &mut Lines<'_>, model: &Model, known: &Guidance, columns: usize) {
    lines.heading("In which order to learn");
    let next = known.next();
    for leg in &known.guide.path {
        let (mark, role) = match known.done(&leg.demo) {
            Some(true) => ("✓ ", Role::Good),
            Some(false) => ("✗ ", Role::Bad),
            None if next == Some(leg.demo.as_str()) => ("▸ ", Role::Warning),
            None => ("· ", Role::Muted),
        };
        lines.spans(vec![
            (mark.to_owned(), role),
            (known.title(&leg.demo, model.language).to_owned(), Role::Strong),
        ]);
        prose(lines, "  ", leg.why.get(model.language), Role::Muted, columns);
    }
    if next.is_none() {
        lines.text(model.tr("All of it was done."), Role::Good);
    }
}

/// In which order a team goes about it.
fn roadmap(lines: &mut Lines<'_>, model: &Model, known: &Guidance, columns: usize) {
    if known.guide.roadmap.is_empty() {
        return;
    }
    lines.heading("In which order a team goes about it");
    for (number, phase) in known.guide.roadmap.iter().enumerate() {
        lines.spans(vec![
            (format!("{} ", number + 1), Role::Number),
            (phase.title.get(model.language).to_owned(), Role::Strong),
            (format!("  {}", phase.takes.get(model.language)), Role::Muted),
        ]);
        for task in &phase.tasks {
            prose(lines, "  · ", task.get(model.language), Role::Plain, columns);
        }
        let demos: Vec<&str> = phase.demos.iter().map(|id| known.title(id, model.language)).collect();
        prose(lines, "    ", &demos.join(", "), Role::Muted, columns);
    }
}

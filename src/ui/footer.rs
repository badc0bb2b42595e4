//! What runs, and what I can do; or the line that is being typed.

use ratatui::layout::{Position, Rect};

use crate::app::command::Action;
use crate::app::lang::{Speaks, say};
use crate::app::model::{Level, Model};
use crate::app::overlay::{Overlay, Prompt, PromptKind};
use crate::app::work::{Kind, Work};
use crate::replay::progress::Phase;

use super::canvas::{Canvas, width};
use super::format;
use super::input;
use super::theme::Role;

/// Draws the footer; returns where the cursor stands if something is typed here.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Option<Position> {
    if let Some(Overlay::Prompt(prompt)) = &model.overlay
        && prompt.kind != PromptKind::Sql
    {
        return Some(draw_prompt(canvas, rect, model, prompt));
    }
    if matches!(&model.overlay, Some(Overlay::Prompt(_))) {
        canvas.right(
            rect.right() - 1,
            rect.y,
            model.tr("⏎ run  ↑ earlier  esc leave"),
            Role::Muted,
            rect.width,
        );
        return None;
    }
    let left = left(model);
    let wanted: u16 = left.iter().map(|(text, _)| width(text) + 1).sum();
    let begin = keys(canvas, rect, model, wanted);
    let mut x = rect.x + 1;
    let end = begin.saturating_sub(2);
    for (text, role) in left {
        let fits = x + width(&text) <= end;
        // A message is cut; of running work, what does not fit is left out whole.
        if x >= end || (!fits && model.notice.is_none()) {
            break;
        }
        x += canvas.text(x, rect.y, &text, role, end - x) + 1;
    }
    None
}

/// What is said on the left, the least important last: a message, or else the work that runs.
fn left(model: &Model) -> Vec<(String, Role)> {
    let Some(note) = &model.notice else {
        return model
            .works
            .last()
            .map_or(Vec::new(), |work| running(model, work, model.works.len() - 1));
    };
    let (mark, role) = match note.level {
        Level::Done => ("✓", Role::Good),
        Level::Hint => ("·", Role::Muted),
        Level::Warning => ("!", Role::Warning),
        Level::Error => ("✗", Role::Bad),
    };
    let mut parts = vec![(mark.to_owned(), role), (note.line.clone(), Role::Plain)];
    if note.full.lines().count() > 1 {
        parts.push((format!(" {}", model.tr("! shows all of it")), Role::Muted));
    }
    parts
}

fn running(model: &Model, work: &Work, others: usize) -> Vec<(String, Role)> {
    let mut parts: Vec<(String, Role)> = vec![(work.kind.said(model, &work.name), Role::Plain)];
    let progress = &work.progress;
    if work.cancelling {
        parts.push((model.tr("stopping").into(), Role::Warning));
    } else if let Some(share) = work.share() {
        parts.push((format!("{:.0}%", (share * 100.0).floor()), Role::Strong));
        parts.push((format::gauge(share, 9), Role::Good));
    }
    if work.kind != Kind::Demo {
        match progress.phase {
            Phase::Live => {
                let behind = format::count(progress.total.saturating_sub(progress.done));
                parts.push((say!(model, "live, {behind} behind", behind), Role::Good));
            }
            Phase::Paused => parts.push((model.tr("paused at a poison record").into(), Role::Bad)),
            _ => {}
        }
        parts.push((format::rate(progress.rate), Role::Number));
        if let Some(eta) = progress.eta {
            parts.push((say!(model, "{time} left", time = format::duration(eta)), Role::Time));
        }
        let poison = progress.counts.poisoned + progress.counts.skipped;
        let role = if poison > 0 { Role::Bad } else { Role::Muted };
        parts.push((say!(model, "{n} poison", n = format::count(poison)), role));
    }
    if others > 0 {
        parts.push((say!(model, "+{others} more", others), Role::Muted));
    }
    parts
}

/// Draws the keys that work here, as many as fit beside `wanted` columns on the left; returns where they begin. The ways to help
/// and to cancel are always among them.
fn keys(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, wanted: u16) -> u16 {
    let hints = model.hints();
    let most = rect.width.saturating_sub(wanted + if wanted > 0 { 4 } else { 2 });
    let size = |c: &crate::app::command::Command| {
        c.keys.first().map_or(0, |k| width(&k.to_string())) + 1 + width(model.tr(c.hint))
    };
    let always = |c: &crate::app::command::Command| matches!(c.action, Action::Help | Action::Cancel);
    let mut taken: u16 = hints.iter().filter(|c| always(c)).map(|c| size(c) + 2).sum();
    let mut shown = Vec::new();
    for command in hints {
        let more = size(command) + 2;
        if always(command) {
            shown.push(command);
        } else if taken + more <= most {
            taken += more;
            shown.push(command);
        }
    }
    if shown.is_empty() {
        return rect.right();
    }
    taken = taken.saturating_sub(2);
    let begin = rect.right().saturating_sub(taken + 1);
    let mut x = begin;
    for command in shown {
        if let Some(key) = command.keys.first() {
            x += canvas.text(x, rect.y, &key.to_string(), Role::Key, 12) + 1;
        }
        x += canvas.text(x, rect.y, model.tr(command.hint), Role::Plain, 20) + 2;
    }
    begin
}

fn draw_prompt(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, prompt: &Prompt) -> Position {
    let mut x = rect.x + 1;
    x += canvas.text(x, rect.y, model.tr(prompt.kind.label()), Role::Key, 20);
    let note = match (&prompt.error, prompt.kind) {
        (Some(error), _) => model.tr(error).to_owned(),
        (None, PromptKind::Filter) => matched(model),
        (None, kind) if kind.takes_editor() => model.tr("⏎ go  ^O editor  esc leave").into(),
        _ => model.tr("⏎ go  esc leave").into(),
    };
    let role = if prompt.error.is_some() { Role::Bad } else { Role::Muted };
    let most = rect.right().saturating_sub(x + 20);
    let end = rect.right().saturating_sub(1);
    let taken = canvas.right(end, rect.y, &note, role, most);
    let room = end.saturating_sub(x + taken + 2);
    if prompt.input.value().is_empty() {
        canvas.text(x, rect.y, model.tr(prompt.kind.example()), Role::Muted, room);
        return Position::new(x, rect.y);
    }
    input::line(canvas, Rect { x, width: room, ..rect }, &prompt.input)
}

fn matched(model: &Model) -> String {
    let Some(list) = model.list() else {
        return String::new();
    };
    let (shown, total) = (list.shown().len() as u64, list.total() as u64);
    say!(
        model,
        "{some} of {all}  ⏎ keep  esc undo",
        some = format::count(shown),
        all = format::count(total)
    )
}

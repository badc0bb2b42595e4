//! What runs, and what I can do; or the line that is being typed.

use ratatui::layout::{Position, Rect};

use crate::app::command::{Action, Context};
use crate::app::job::Needle;
use crate::app::lang::{Speaks, say};
use crate::app::model::{Level, Model, Screen};
use crate::app::overlay::{Overlay, Prompt, PromptKind};
use crate::app::work::{Kind, Work};
use crate::replay::progress::Phase;

use super::canvas::{Canvas, width};
use super::format;
use super::header;
use super::input;
use super::screens::records::percent;
use super::theme::Role;

/// Draws the footer, with a hint at the screens that there are if they stand nowhere else; returns where the cursor stands if
/// something is typed here.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, hint: bool) -> Option<Position> {
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
    let begin = keys(canvas, rect, model, wanted, hint);
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
        if let Some(search) = searching(model) {
            return search;
        }
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

/// How far the search of the topic in view is.
fn searching(model: &Model) -> Option<Vec<(String, Role)>> {
    let records = model.records.as_ref().filter(|_| model.screen == Screen::Records)?;
    if !records.searching() {
        return None;
    }
    let (covered, all) = records.window.covered();
    let share = covered as f64 / all.max(1) as f64;
    Some(vec![
        (say!(model, "searching {topic}", topic = records.topic), Role::Plain),
        (percent(covered, all), Role::Strong),
        (format::gauge(share, 9), Role::Good),
    ])
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
        if progress.phase != Phase::Paused {
            parts.push((format::rate(progress.rate), Role::Number));
        }
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

/// Draws the keys that work here, as many as fit beside `wanted` columns on the left; returns where they begin. The ways to help,
/// to cancel and to other screens are always among them.
fn keys(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, wanted: u16, hint: bool) -> u16 {
    let hints = model.hints();
    let most = rect.width.saturating_sub(wanted + if wanted > 0 { 4 } else { 2 });
    let elsewhere = (hint && model.contexts().contains(&Context::Browse))
        .then(header::keys)
        .flatten();
    let mut all: Vec<(String, &str, bool)> = Vec::new();
    for command in hints {
        if let Some(keys) = elsewhere.as_ref().filter(|_| command.action == Action::Help) {
            all.push((keys.clone(), model.tr("screens"), true));
        }
        let always = matches!(command.action, Action::Help | Action::Cancel);
        let key = command.keys.first().map(ToString::to_string).unwrap_or_default();
        all.push((key, model.tr(command.hint), always));
    }
    let size = |key: &str, does: &str| width(key) + 1 + width(does) + 2;
    let mut taken: u16 = all
        .iter()
        .filter(|(.., always)| *always)
        .map(|(key, does, _)| size(key, does))
        .sum();
    all.retain(|(key, does, always)| {
        let more = if *always { 0 } else { size(key, does) };
        let fits = *always || taken + more <= most;
        taken += if fits { more } else { 0 };
        fits
    });
    if all.is_empty() {
        return rect.right();
    }
    let begin = rect.right().saturating_sub(taken.saturating_sub(2) + 1);
    let mut x = begin;
    for (key, does, _) in all {
        x += canvas.text(x, rect.y, &key, Role::Key, 12) + 1;
        x += canvas.text(x, rect.y, does, Role::Plain, 20) + 2;
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
        let example = match (prompt.kind, model.screen) {
            (PromptKind::Filter, Screen::Records) => "text to look for, or where :amount > 100",
            (kind, _) => kind.example(),
        };
        canvas.text(x, rect.y, model.tr(example), Role::Muted, room);
        return Position::new(x, rect.y);
    }
    input::line(canvas, Rect { x, width: room, ..rect }, &prompt.input)
}

fn matched(model: &Model) -> String {
    let Some(list) = model.list() else {
        return String::new();
    };
    let (some, all) = (list.shown().len() as u64, list.total() as u64);
    let (some, all) = (format::count(some), format::count(all));
    let records = model.records.as_ref().filter(|_| model.screen == Screen::Records);
    match records.map(|records| Needle::of(records.list.filter())) {
        Some(Some(Needle::Where(_))) => model.tr("⏎ search  esc undo").to_owned(),
        Some(_) if records.is_some_and(|r| r.tail.is_none()) => {
            say!(model, "{some} of {all}  ⏎ search  esc undo", some, all)
        }
        _ => say!(model, "{some} of {all}  ⏎ keep  esc undo", some, all),
    }
}

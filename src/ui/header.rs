//! Where am I, and is it alive.

use ratatui::layout::Rect;

use crate::app::model::{Model, Screen};
use crate::broker::profile::Access;

use super::canvas::{Canvas, width};
use super::format;
use super::theme::Role;

pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) {
    let right = right(canvas, rect, model);
    let end = right.saturating_sub(2);
    let mut x = rect.x + 1;
    let mut put = |canvas: &mut Canvas<'_>, text: &str, role: Role, gap: u16| {
        if x < end {
            x += canvas.text(x, rect.y, text, role, end - x) + gap;
        }
    };
    put(canvas, "foldlog", Role::Strong, 2);
    let name = model.cluster.value.as_ref().map_or(&model.target, |c| &c.name);
    if !name.is_empty() {
        put(canvas, name, Role::Plain, 1);
    }
    let (dot, role) = alive(model);
    put(canvas, dot, role, 2);
    match model.cluster.value.as_ref().map(|c| c.access) {
        Some(Access::Production) => put(canvas, " PRODUCTION ", Role::Production, 2),
        Some(Access::ReadOnly) => put(canvas, "read-only", Role::Warning, 2),
        _ => {}
    }
    if model.cluster.value.as_ref().is_some_and(|c| c.attached) {
        // Another process runs the broker, so what is seen here may be its doing.
        put(canvas, "attached", Role::Muted, 2);
    }
    let path = path(model);
    for (i, part) in path.iter().enumerate() {
        let last = i + 1 == path.len();
        put(canvas, part, if last { Role::Strong } else { Role::Plain }, 1);
        if !last {
            put(canvas, "›", Role::Muted, 1);
        }
    }
}

/// The path to what is in view, outermost first.
fn path(model: &Model) -> Vec<String> {
    match (model.screen, &model.records) {
        (Screen::Records, Some(records)) => vec![records.topic.clone(), "records".into()],
        (Screen::ReadModel, _) => {
            let name = model.readmodel.selected().map(|t| t.read_model.clone());
            name.into_iter().chain([Screen::ReadModel.title().to_owned()]).collect()
        }
        (screen, _) => vec![screen.title().to_owned()],
    }
}

/// A mark that differs by shape as well as by colour.
fn alive(model: &Model) -> (&'static str, Role) {
    if model.cluster.error.is_some() || model.topics.remote.error.is_some() {
        ("✗ no answer", Role::Bad)
    } else if model.topics.remote.value.is_some() {
        ("●", Role::Good)
    } else {
        ("○ connecting", Role::Warning)
    }
}

/// Rate, sparkline and clock; returns where they begin.
fn right(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> u16 {
    let zone = if model.utc { "UTC" } else { "local" };
    let clock = format!("{} {zone}", format::clock(model.now, &model.zone()));
    let mut end = rect.right().saturating_sub(1);
    end -= canvas.right(end, rect.y, &clock, Role::Time, width(&clock));
    let pulse = &model.topics.pulse;
    if let Some(now) = pulse.back()
        && rect.width >= 70
    {
        end -= 2;
        end -= canvas.right(end, rect.y, &format::sparkline(pulse.iter().copied()), Role::Muted, 8);
        end -= 1;
        end -= canvas.right(end, rect.y, &format::rate(*now), Role::Number, 8);
    }
    end
}

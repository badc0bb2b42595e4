//! Where am I, and is it alive.

use ratatui::layout::Rect;

use crate::app::command::{COMMANDS, Context};
use crate::app::lang::Speaks;
use crate::app::layout::{Area, SCREENS};
use crate::app::model::{Model, Screen};
use crate::app::screens::scene;
use crate::broker::profile::Access;

use super::canvas::{Canvas, width};
use super::format;
use super::theme::Role;

/// Draws the header; returns where the screens are named.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> [Area; SCREENS] {
    let left = left(model);
    let wanted: u16 = left.iter().map(|(text, _, gap)| width(text) + gap).sum();
    let (begin, named) = right(canvas, rect, model, rect.x + 1 + wanted);
    let end = begin.saturating_sub(2);
    let mut x = rect.x + 1;
    for (text, role, gap) in &left {
        if x < end {
            x += canvas.text(x, rect.y, text, *role, end - x) + gap;
        }
    }
    named
}

/// Where one is, each part with the columns between it and the next.
fn left(model: &Model) -> Vec<(String, Role, u16)> {
    let mut parts = vec![("foldlog".to_owned(), Role::Strong, 2)];
    let cluster = model.cluster.value.as_ref();
    let name = cluster.map_or(&model.target, |c| &c.name);
    if !name.is_empty() {
        parts.push((name.clone(), Role::Plain, 1));
    }
    let (dot, role) = alive(model);
    parts.push((model.tr(dot).to_owned(), role, 2));
    match cluster.map(|c| c.access) {
        Some(Access::Production) => parts.push((format!(" {} ", model.tr("PRODUCTION")), Role::Production, 2)),
        Some(Access::ReadOnly) => parts.push((model.tr("read-only").to_owned(), Role::Warning, 2)),
        _ => {}
    }
    if cluster.is_some_and(|c| c.attached) {
        // Another process runs the broker, so what is seen here may be its doing.
        parts.push((model.tr("attached").to_owned(), Role::Muted, 2));
    }
    let path = path(model);
    for (i, part) in path.iter().enumerate() {
        let last = i + 1 == path.len();
        parts.push((part.clone(), if last { Role::Strong } else { Role::Plain }, 1));
        if !last {
            parts.push(("›".to_owned(), Role::Muted, 1));
        }
    }
    parts
}

/// The path to what is in view, outermost first.
fn path(model: &Model) -> Vec<String> {
    let title = |screen: Screen| model.tr(screen.title()).to_owned();
    match (model.screen, &model.records) {
        (Screen::Records, Some(records)) => vec![records.topic.clone(), title(Screen::Records)],
        (Screen::ReadModel, _) => {
            let name = model.readmodel.selected().map(|t| t.read_model.clone());
            name.into_iter().chain([title(Screen::ReadModel)]).collect()
        }
        (Screen::Time, _) => {
            let name = model.time.as_ref().map(|time| time.read_model.clone());
            name.into_iter().chain([title(Screen::Time)]).collect()
        }
        (Screen::Differences, _) => match &model.differences {
            Some(state) => vec![
                state.question.read_model().to_owned(),
                model.tr(state.question.title()).to_owned(),
            ],
            None => vec![title(Screen::Differences)],
        },
        (Screen::Letters, _) => {
            let name = model.letters.as_ref().map(|letters| letters.read_model.clone());
            name.into_iter().chain([title(Screen::Letters)]).collect()
        }
        (Screen::Alerts, _) => {
            let name = model.alerts.as_ref().map(|alerts| alerts.read_model.clone());
            name.into_iter().chain([title(Screen::Alerts)]).collect()
        }
        (Screen::Charts, _) => {
            let of = model
                .charts
                .as_ref()
                .map(|charts| charts.store.as_ref().unwrap_or(&charts.demo).clone());
            of.into_iter().chain([Screen::Charts.title().to_owned()]).collect()
        }
        (Screen::Blame, _) => {
            let name = model.blame.as_ref().map(|blame| blame.row.read_model.clone());
            name.into_iter().chain([title(Screen::Blame)]).collect()
        }
        (Screen::Scene, _) => {
            let name = model.demos.open.clone();
            name.into_iter().chain([title(Screen::Scene)]).collect()
        }
        (screen, _) => vec![title(screen)],
    }
}

/// A mark that differs by shape as well as by colour.
fn alive(model: &Model) -> (&'static str, Role) {
    if scene::broker_lost(model) {
        ("✗ broker lost", Role::Bad)
    } else if model.cluster.error.is_some() || model.topics.remote.error.is_some() {
        ("✗ no answer", Role::Bad)
    } else if model.topics.remote.value.is_some() {
        ("●", Role::Good)
    } else {
        ("○ connecting", Role::Warning)
    }
}

/// The clock, and what there is room for after column `from`: rate and sparkline, then the screens with their keys. Returns
/// where they begin, and where each screen is named.
fn right(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, from: u16) -> (u16, [Area; SCREENS]) {
    let zone = if model.utc { "UTC" } else { "local" };
    let zone = model.tr(zone);
    let clock = format!("{} {zone}", format::clock(model.now, &model.zone()));
    let mut end = rect.right().saturating_sub(1);
    end -= canvas.right(end, rect.y, &clock, Role::Time, width(&clock));
    let pulse = &model.topics.pulse;
    if let (Some(now), None) = (pulse.back(), &model.topics.remote.error) {
        let (bars, rate) = (format::sparkline(pulse.iter().copied()), format::rate(*now));
        if from + width(&bars) + width(&rate) + 4 < end {
            end -= 2;
            end -= canvas.right(end, rect.y, &bars, Role::Muted, 8);
            end -= 1;
            end -= canvas.right(end, rect.y, &rate, Role::Number, 8);
        }
    }
    screens(canvas, rect, model, from, end)
}

/// The keys that lead to a screen, each with what it is called.
fn ways() -> impl Iterator<Item = (String, &'static str)> {
    let is_title = |name: &str| Screen::ALL.iter().any(|screen| screen.title() == name);
    let all = COMMANDS
        .iter()
        .filter(move |c| c.contexts.contains(&Context::Browse) && is_title(c.name));
    all.filter_map(|c| Some((c.keys.first()?.to_string(), c.name)))
}

/// The keys that lead to a screen, from the first to the last.
pub(super) fn keys() -> Option<String> {
    let mut keys = ways().map(|(key, _)| key);
    Some(format!("{}-{}", keys.next()?, keys.last()?))
}

/// Which screens there are, the one in view by more than its colour; as one piece, or not at all.
fn screens(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, from: u16, end: u16) -> (u16, [Area; SCREENS]) {
    let here = match model.screen {
        Screen::Records => Screen::Topics.title(),
        Screen::Letters | Screen::Alerts => Screen::Projections.title(),
        Screen::Charts => Screen::Demos.title(),
        Screen::Time | Screen::Blame | Screen::Differences => Screen::ReadModel.title(),
        Screen::Scene | Screen::Guide => Screen::Demos.title(),
        screen => screen.title(),
    };
    let mut named = [Area::default(); SCREENS];
    let parts: Vec<(String, &str)> = ways().collect();
    let wanted: u16 = parts
        .iter()
        .map(|(key, name)| width(key) + width(model.tr(name)) + 3)
        .sum();
    if from + wanted + 6 > end {
        return (end, named);
    }
    let begin = end - wanted - 3;
    let mut x = begin;
    for (at, (key, name)) in parts.into_iter().enumerate() {
        let role = if name == here { Role::Strong } else { Role::Muted };
        let left = x;
        x += canvas.text(x, rect.y, &key, Role::Key, 2) + 1;
        x += canvas.text(x, rect.y, model.tr(name), role, 20);
        if let Some(area) = named.get_mut(at) {
            *area = Area {
                x: left,
                y: rect.y,
                width: x - left,
                height: 1,
            };
        }
        x += 2;
    }
    (begin, named)
}

//! Moving: one table of motions for lists, details, rows and overlays.

use super::command::Action;
use super::layout::{SCREENS, Viewport};
use super::message::{Effect, Mouse};
use super::model::{Model, Pane, Screen};
use super::moment::Go;
use super::navigate;
use super::overlay::Overlay;
use super::screens::{alerts, groups, letters, readmodel, records, scene, time, topics};

/// The screens that the header names, in its order.
const WAYS: [Screen; SCREENS] = [
    Screen::Topics,
    Screen::Projections,
    Screen::ReadModel,
    Screen::Demos,
    Screen::Groups,
];
/// How many rows one notch of the wheel moves.
const WHEEL: isize = 3;

/// By how many rows an action moves in a view of `page` rows; `None` if it is no vertical motion.
fn rows(action: Action, page: u16) -> Option<isize> {
    // One row of the old page stays in view, so that the eye finds its place.
    let page = isize::from(page.max(2) as i16) - 1;
    Some(match action {
        Action::Up => -1,
        Action::Down => 1,
        Action::PageUp => -page,
        Action::PageDown => page,
        Action::First => isize::MIN,
        Action::Last => isize::MAX,
        _ => return None,
    })
}

/// Moves what has the focus. False if the action is no motion.
pub(super) fn act(model: &mut Model, action: Action, fx: &mut Vec<Effect>) -> bool {
    if let Some(Overlay::Help { first } | Overlay::Messages { first }) = &mut model.overlay {
        let view = model.layout.overlay;
        return rows(action, view.area.height)
            .map(|by| scroll(first, by, view))
            .is_some();
    }
    match (model.pane, model.screen) {
        (_, Screen::Time) => return past(model, action, fx),
        (_, Screen::Scene) => return around(model, action),
        (Pane::Detail, Screen::ReadModel) if !model.readmodel.whole => match action {
            Action::Left => model.readmodel.column = model.readmodel.column.saturating_sub(1),
            Action::Right => {
                let last = model
                    .readmodel
                    .rows
                    .value
                    .as_ref()
                    .map_or(0, |r| r.columns.len().saturating_sub(1));
                model.readmodel.column = (model.readmodel.column + 1).min(last);
            }
            _ => {
                let Some(by) = rows(action, model.layout.detail.area.height) else {
                    return false;
                };
                readmodel::step(model, by, fx);
            }
        },
        (Pane::Detail | Pane::Third, _) => {
            let view = model.layout.detail;
            let Some(by) = rows(action, view.area.height) else {
                return matches!(action, Action::Left | Action::Right);
            };
            scroll(&mut model.detail, by, view);
        }
        (Pane::List, _) => {
            if matches!(action, Action::First | Action::Last)
                && model.screen == Screen::Records
                && records::jump(model, action == Action::Last, fx)
            {
                return true;
            }
            let Some(by) = rows(action, model.layout.list.area.height) else {
                return matches!(action, Action::Left | Action::Right);
            };
            step_list(model, by, fx);
        }
    }
    true
}

/// Around a scene: from part to part, and through the lesson beside it.
fn around(model: &mut Model, action: Action) -> bool {
    let by = match action {
        Action::Up => (0, -1),
        Action::Down => (0, 1),
        Action::Left => (-1, 0),
        Action::Right => (1, 0),
        _ => (0, 0),
    };
    if model.pane == Pane::List && by != (0, 0) {
        let nodes = model.layout.nodes;
        if let Some(scene) = scene::scene_mut(model) {
            scene.cursor = nodes.next(scene.cursor, by).unwrap_or(scene.cursor);
        }
        return true;
    }
    let view = model.layout.detail;
    let Some(by) = rows(action, view.area.height) else {
        return by != (0, 0);
    };
    if let Some(scene) = scene::scene_mut(model) {
        scene.follows = false;
    }
    model.detail = view.first;
    scroll(&mut model.detail, by, view);
    true
}

/// On the screen of the past, sideways is time, except among the rows, which have columns and ends of their own.
fn past(model: &mut Model, action: Action, fx: &mut Vec<Effect>) -> bool {
    if model.pane == Pane::Third {
        return past_rows(model, action, fx);
    }
    match action {
        Action::Left => act_past(model, Action::Backward, fx),
        Action::Right => act_past(model, Action::Forward, fx),
        Action::First => time::go(model, Go::Begin, fx),
        Action::Last => time::go(model, Go::End, fx),
        _ => {
            let view = if model.pane == Pane::List {
                model.layout.list
            } else {
                model.layout.detail
            };
            let Some(by) = rows(action, view.area.height) else {
                return false;
            };
            move_past(model, by, view, fx);
        }
    }
    true
}

fn act_past(model: &mut Model, action: Action, fx: &mut Vec<Effect>) {
    match model.refusal(action) {
        Some(why) => model.tell(super::model::Level::Hint, why),
        None => time::steps::step(model, action, fx),
    }
}

/// Scrolls the event, or moves the cursor of what it changed.
fn move_past(model: &mut Model, by: isize, view: Viewport, fx: &mut Vec<Effect>) {
    match &mut model.time {
        Some(time) if model.pane == Pane::Detail => {
            let last = time.changes().saturating_sub(1);
            time.change = time.change.saturating_add_signed(by).min(last);
            time::rows::seek(model, fx);
        }
        _ => scroll(&mut model.detail, by, view),
    }
}

fn past_rows(model: &mut Model, action: Action, fx: &mut Vec<Effect>) -> bool {
    let Some(time) = &mut model.time else { return false };
    let last = time
        .rows
        .value
        .as_ref()
        .map_or(0, |rows| rows.columns.len().saturating_sub(1));
    match action {
        Action::Left => time.column = time.column.saturating_sub(1),
        Action::Right => time.column = (time.column + 1).min(last),
        _ => {
            let Some(by) = rows(action, model.layout.third.area.height) else {
                return false;
            };
            time::rows::step(model, by, fx);
        }
    }
    true
}

fn scroll(first: &mut usize, by: isize, view: Viewport) {
    // The last frame said how far there is to go; a value beyond that would make the next step back do nothing.
    *first = (*first)
        .min(view.last_first)
        .saturating_add_signed(by)
        .min(view.last_first);
}

/// Moves the list's cursor, and asks for what depends on it.
pub(super) fn step_list(model: &mut Model, by: isize, fx: &mut Vec<Effect>) {
    if let Some(list) = list_mut(model) {
        list.step(by);
    }
    selected(model, fx);
}

/// The list of the screen in view.
pub(super) fn list_mut(model: &mut Model) -> Option<&mut super::list::List> {
    Some(match model.screen {
        Screen::Topics => &mut model.topics.list,
        Screen::Records => &mut model.records.as_mut()?.list,
        Screen::Projections => &mut model.projections.list,
        Screen::Letters => &mut model.letters.as_mut()?.list,
        Screen::Alerts => &mut model.alerts.as_mut()?.list,
        Screen::ReadModel => &mut model.readmodel.list,
        Screen::Time | Screen::Scene => return None,
        Screen::Blame => &mut model.blame.as_mut()?.list,
        Screen::Differences => &mut model.differences.as_mut()?.list,
        Screen::Demos => &mut model.demos.list,
        Screen::Charts => &mut model.charts.as_mut()?.list,
        Screen::Guide => &mut model.guiding.list,
        Screen::Groups => &mut model.groups.list,
    })
}

/// Asks for what depends on the item under the cursor.
pub(super) fn selected(model: &mut Model, fx: &mut Vec<Effect>) {
    model.detail = 0;
    match model.screen {
        Screen::Topics => topics::selected(model, fx),
        Screen::Records => records::moved(model, fx),
        Screen::Groups => groups::selected(model, false, fx),
        Screen::ReadModel => readmodel::show_table(model, fx),
        Screen::Letters => letters::moved(model, fx),
        Screen::Alerts => alerts::moved(model, fx),
        Screen::Projections
        | Screen::Charts
        | Screen::Time
        | Screen::Blame
        | Screen::Differences
        | Screen::Scene
        | Screen::Guide
        | Screen::Demos => {}
    }
}

/// A click chooses, the wheel scrolls what is under it.
pub(super) fn mouse(model: &mut Model, mouse: Mouse, x: u16, y: u16, fx: &mut Vec<Effect>) {
    let by = match mouse {
        Mouse::WheelUp => -WHEEL,
        Mouse::WheelDown => WHEEL,
        Mouse::Click => 0,
        Mouse::Drag | Mouse::Release => {
            if model.screen == Screen::Time && model.overlay.is_none() {
                time::slider::mouse(model, mouse, x, y, fx);
            }
            return;
        }
    };
    if let Some(overlay) = &mut model.overlay {
        if let Overlay::Help { first } | Overlay::Messages { first } = overlay {
            scroll(first, by, model.layout.overlay);
        }
        return;
    }
    if mouse == Mouse::Click
        && let Some(at) = model.layout.screens.iter().position(|area| area.holds(x, y))
    {
        return navigate::go(model, WAYS[at], fx);
    }
    if model.screen == Screen::Time {
        if !time::slider::mouse(model, mouse, x, y, fx) {
            past_mouse(model, mouse, by, x, y);
        }
        return;
    }
    if model.screen == Screen::Scene {
        return scene_mouse(model, mouse, by, x, y);
    }
    let (list, detail) = (model.layout.list, model.layout.detail);
    if list.area.holds(x, y) {
        if mouse == Mouse::Click && model.screen == Screen::Guide {
            // An answer takes more than a line.
            model.pane = Pane::List;
            if let Some(answer) = model.layout.nodes.at((x, y)) {
                model.guiding.list.set_cursor(answer);
            }
        } else if mouse == Mouse::Click {
            model.pane = Pane::List;
            let row = list.first + usize::from(y - list.area.y);
            if let Some(at) = list_mut(model).filter(|l| row < l.shown().len()) {
                at.set_cursor(row);
                selected(model, fx);
            }
        } else {
            step_list(model, by, fx);
        }
    } else if detail.area.holds(x, y) {
        if mouse == Mouse::Click {
            model.pane = Pane::Detail;
            if model.screen == Screen::ReadModel && !model.readmodel.whole {
                let row = detail.first + usize::from(y - detail.area.y);
                model.readmodel.column = detail.column_at(x).unwrap_or(model.readmodel.column);
                model.readmodel.row = row.min(model.readmodel.len().saturating_sub(1));
            }
        } else if model.screen == Screen::ReadModel && !model.readmodel.whole {
            let last = model.readmodel.len().saturating_sub(1);
            model.readmodel.row = model.readmodel.row.saturating_add_signed(by).min(last);
        } else {
            scroll(&mut model.detail, by, detail);
        }
    }
}

fn scene_mouse(model: &mut Model, mouse: Mouse, by: isize, x: u16, y: u16) {
    let layout = model.layout;
    if layout.detail.area.holds(x, y) {
        if mouse == Mouse::Click {
            model.pane = Pane::Detail;
            return;
        }
        if let Some(scene) = scene::scene_mut(model) {
            scene.follows = false;
        }
        model.detail = layout.detail.first;
        scroll(&mut model.detail, by, layout.detail);
    } else if mouse == Mouse::Click && layout.list.area.holds(x, y) {
        model.pane = Pane::List;
        let at = (x - layout.list.area.x, y - layout.list.area.y);
        let at = (at.0 + layout.list.column as u16, at.1 + layout.list.first as u16);
        if let (Some(node), Some(scene)) = (layout.nodes.at(at), scene::scene_mut(model)) {
            scene.cursor = node;
        }
    }
}

fn past_mouse(model: &mut Model, mouse: Mouse, by: isize, x: u16, y: u16) {
    let layout = model.layout;
    let panes = [
        (Pane::List, layout.list),
        (Pane::Detail, layout.detail),
        (Pane::Third, layout.third),
    ];
    let Some((pane, view)) = panes.into_iter().find(|(_, view)| view.area.holds(x, y)) else {
        return;
    };
    if mouse == Mouse::Click {
        model.pane = pane;
    }
    let Some(time) = &mut model.time else { return };
    if pane == Pane::Third {
        if mouse == Mouse::Click {
            time.column = view.column_at(x).unwrap_or(time.column);
        }
        let row = if mouse == Mouse::Click {
            view.first + usize::from(y - view.area.y)
        } else {
            time.row.saturating_add_signed(by)
        };
        time.row = row.min(time.len().saturating_sub(1));
    } else if pane == Pane::Detail {
        let last = time.changes().saturating_sub(1);
        time.change = time.change.saturating_add_signed(by).min(last);
    } else {
        scroll(&mut model.detail, by, view);
    }
}

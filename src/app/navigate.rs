//! From screen to screen: jumping, going in, and the way back.

use super::message::Effect;
use super::model::{Level, Model, Pane, Screen};
use super::moment::{EventAt, Go};
use super::motion;
use super::place::Place;
use super::screens::{
    alerts, blame, charts, demos, differences, groups, guide, projections, readmodel, records, scene, search, time,
    topics,
};
use super::typing;

pub(super) fn go(model: &mut Model, screen: Screen, fx: &mut Vec<Effect>) {
    if model.screen == screen {
        return;
    }
    // Screens one has jumped between are no path; only what Enter opened is gone back through.
    model.back.clear();
    for left in [
        Screen::Records,
        Screen::Time,
        Screen::Blame,
        Screen::Differences,
        Screen::Charts,
    ] {
        leave(model, left, fx);
    }
    if screen != Screen::Topics {
        model.back.push((Screen::Topics, Pane::List));
    }
    show(model, screen, fx);
}

pub(super) fn enter(model: &mut Model, screen: Screen, fx: &mut Vec<Effect>) {
    if matches!(screen, Screen::Blame | Screen::Differences) {
        // There is one, and whoever went on from it to another does not go back to the first.
        model.back.retain(|(before, _)| *before != screen);
    }
    model.back.push((model.screen, model.pane));
    model.back.dedup_by_key(|(before, _)| *before);
    show(model, screen, fx);
}

fn show(model: &mut Model, screen: Screen, fx: &mut Vec<Effect>) {
    if screen != Screen::ReadModel {
        // Nobody would see the answer, and a query that never ends would keep a core busy for good.
        readmodel::stop(model, fx);
    }
    if screen != Screen::Time {
        time::rest(model, fx);
    }
    model.screen = screen;
    model.pane = Pane::List;
    model.zoom = false;
    model.detail = 0;
    model.layout = Default::default();
    match screen {
        Screen::Topics => topics::ask(model, fx),
        Screen::Projections | Screen::Letters => projections::ask(model, fx),
        Screen::Alerts => alerts::ask(model, fx),
        Screen::ReadModel => readmodel::ask(model, fx),
        Screen::Charts => charts::ask(model, fx),
        Screen::Demos | Screen::Scene => demos::ask(model, fx),
        Screen::Guide => guide::ask(model, fx),
        Screen::Groups => groups::ask(model, fx),
        Screen::Time => time::resume(model, fx),
        Screen::Records | Screen::Blame | Screen::Differences => {}
    }
}

pub(super) fn back(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.overlay.take().is_some() {
        return;
    }
    if model.screen == Screen::ReadModel && model.pane == Pane::Detail && model.readmodel.whole {
        model.readmodel.whole = false;
    } else if model.screen == Screen::ReadModel && model.readmodel.chart.take().is_some() {
        // The rows are there again.
    } else if charts::leave_board(model) {
        // The list is there again.
    } else if model.zoom {
        model.zoom = false;
    } else if model.pane != Pane::List {
        model.pane = Pane::List;
    } else if model.screen == Screen::Guide && guide::back(model) {
        // One question back; the first is left as any screen is.
    } else if motion::list_mut(model).is_some_and(|l| !l.filter().is_empty()) {
        typing::set_filter(model, "", fx);
        if model.screen == Screen::Records {
            search::filtered(model, fx);
        }
    } else {
        up(model, fx);
    }
}

/// To the screen before, past those of which nothing is left.
pub(super) fn up(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some((screen, pane)) = model.back.pop() else {
        return model.tell(Level::Hint, "this is the first screen: q quits");
    };
    let comes_again = model.back.iter().any(|(before, _)| *before == model.screen);
    if !comes_again && screen != model.screen {
        leave(model, model.screen, fx);
    }
    model.screen = screen;
    let gone = match screen {
        Screen::Records => model.records.is_none(),
        Screen::Letters => model.letters.is_none(),
        Screen::Alerts => model.alerts.is_none(),
        Screen::Time => model.time.is_none(),
        Screen::Blame => model.blame.is_none(),
        Screen::Differences => model.differences.is_none(),
        Screen::Charts => model.charts.is_none(),
        _ => false,
    };
    if gone {
        return up(model, fx);
    }
    show(model, screen, fx);
    model.pane = pane;
}

/// Gives up what a screen holds that is open only while one looks at it.
fn leave(model: &mut Model, screen: Screen, fx: &mut Vec<Effect>) {
    match screen {
        Screen::Records => records::close(model, fx),
        Screen::Time => time::close(model, fx),
        Screen::Blame => blame::close(model, fx),
        Screen::Differences => differences::close(model, fx),
        Screen::Charts => charts::close(model, fx),
        _ => {}
    }
}

pub(super) fn open(model: &mut Model, fx: &mut Vec<Effect>) {
    match model.screen {
        Screen::Topics => {
            if let Some(name) = model.topics.selected().map(|t| t.name.clone()) {
                open_topic(model, &name, Place::End, fx);
            }
        }
        Screen::Projections => match model.projections.selected() {
            Some(p) if p.built.is_some() && p.unreadable().is_none() => {
                model.readmodel.wanted = Some(p.name.clone());
                enter(model, Screen::ReadModel, fx);
            }
            Some(_) => model.pane = Pane::Detail,
            None => {}
        },
        Screen::Records
        | Screen::Letters
        | Screen::Alerts
        | Screen::ReadModel
        | Screen::Time
        | Screen::Blame
        | Screen::Differences
        | Screen::Charts
        | Screen::Groups => model.pane = Pane::Detail,
        Screen::Scene => scene::enter(model, fx),
        Screen::Guide => guide::go_on(model, fx),
        Screen::Demos => match model.demos.selected().map(|demo| (demo.id.clone(), demo.guide)) {
            Some((_, true)) => guide::open(model, fx),
            Some((id, false)) => scene::open(model, &id, fx),
            None => {}
        },
    }
}

/// Opens the records of a topic.
pub(super) fn open_topic(model: &mut Model, name: &str, place: Place, fx: &mut Vec<Effect>) {
    if model.screen != Screen::Records {
        enter(model, Screen::Records, fx);
    }
    records::open(model, name, place, fx);
}

/// Opens an event among the records of its topic.
pub(super) fn open_event(model: &mut Model, event: &EventAt, fx: &mut Vec<Effect>) {
    open_topic(model, &event.topic, Place::At(event.partition, event.offset), fx);
}

/// Opens the moment after an event of a read model's log.
pub(super) fn open_moment(model: &mut Model, read_model: String, event: EventAt, fx: &mut Vec<Effect>) {
    time::open_at(model, read_model, Go::Event(event), fx);
    enter(model, Screen::Time, fx);
}

//! What every message does.

use crate::broker::profile::Access;
use crate::demo::graph::Kind as GraphKind;
use crate::readmodel::decision::Choice;

use super::answers;
use super::command::{Action, resolve};
use super::difference::Question;
use super::job::{ClusterView, Cue, Event, Job};
use super::key::Key;
use super::lang::say;
use super::message::{Effect, Message};
use super::model::{Level, Model, Pane, Screen, contexts_of};
use super::moment::EventAt;
use super::motion;
use super::navigate::{self, enter, go};
use super::overlay::{Confirm, Confirmed, Overlay, PromptKind};
use super::place::Place;
use super::screens::time::conditions::Towards;
use super::screens::{
    alerts, blame, charts, demos, differences, groups, guide, letters, previews, projections, readmodel, records,
    scene, search, tail, time, topics,
};
use super::typing;
use super::work::Kind;

/// Changes the model by a message, and says what is to be done.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let mut fx = Vec::new();
    match message {
        Message::Start => connect(model, &mut fx),
        Message::Key(key) => press(model, key, &mut fx),
        Message::Edited(outcome) => typing::edited(model, outcome),
        Message::Paste(text) => typing::pasted(model, &text, &mut fx),
        Message::Mouse(mouse, x, y) => motion::mouse(model, mouse, x, y, &mut fx),
        Message::Resize(width, height) => model.size = (width, height),
        Message::Tick(now) => {
            model.now = now;
            topics::tick(model, &mut fx);
            projections::tick(model, &mut fx);
            alerts::tick(model, &mut fx);
            charts::tick(model, &mut fx);
            groups::tick(model, &mut fx);
            time::play::tick(model, &mut fx);
            if let Some(scene) = scene::scene_mut(model) {
                scene.flights.tick(now);
            }
        }
        Message::Laid(layout) => model.layout = *layout,
        Message::Said(id, event) => answers::hear(model, id, event, &mut fx),
        Message::Ended(id, Ok(Event::Done(line))) => answers::ended(model, id, Ok(line), &mut fx),
        Message::Ended(id, Ok(event)) => {
            answers::hear(model, id, event, &mut fx);
            answers::ended(model, id, Ok(String::new()), &mut fx);
        }
        Message::Ended(id, Err(failure)) => answers::ended(model, id, Err(failure), &mut fx),
    }
    fx
}

fn connect(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.task.is_none() {
        model.cluster.task = Some(model.start(Job::Connect, fx));
        model.cluster.error = None;
    }
    demos::ask(model, fx);
}

fn press(model: &mut Model, key: Key, fx: &mut Vec<Effect>) {
    let mut command = resolve(key, &model.contexts());
    if command.is_none() && model.overlay.is_none() && model.pane != Pane::List {
        // What is of the list is meant beside it, too.
        let of_list = resolve(key, &contexts_of(model.screen, Pane::List));
        command = of_list.filter(|command| matches!(command.action, Action::Filter | Action::Open));
        if command.is_some() {
            model.pane = Pane::List;
        }
    }
    let typing = matches!(
        model.overlay,
        Some(Overlay::Prompt(_) | Overlay::Palette(_) | Overlay::Confirm(_))
    );
    model.notice = None;
    match command {
        Some(command) => match model.refusal(command.action) {
            Some(why) => model.tell(Level::Hint, why),
            None => act(model, command.action, fx),
        },
        None if typing => typing::key(model, key, fx),
        None => {}
    }
}

/// Does what a command says.
pub(super) fn act(model: &mut Model, action: Action, fx: &mut Vec<Effect>) {
    match action {
        Action::Quit => quit(model, fx),
        Action::QuitNow => fx.push(Effect::Quit),
        Action::Help => toggle(model, Overlay::Help { first: 0 }),
        Action::Messages => toggle(model, Overlay::Messages { first: 0 }),
        Action::Palette => typing::palette(model),
        Action::Filter => typing::prompt(model, PromptKind::Filter),
        Action::Place => typing::prompt(model, PromptKind::Place),
        Action::Partitions => typing::prompt(model, PromptKind::Partitions),
        Action::Sql => {
            model.pane = Pane::Detail;
            typing::prompt(model, PromptKind::Sql);
        }
        Action::GoTopics => go(model, Screen::Topics, fx),
        Action::GoProjections => go(model, Screen::Projections, fx),
        Action::GoReadModels => go(model, Screen::ReadModel, fx),
        Action::GoDemos => go(model, Screen::Demos, fx),
        Action::GoGroups => go(model, Screen::Groups, fx),
        Action::Back => navigate::back(model, fx),
        Action::Open => navigate::open(model, fx),
        Action::OpenRow => {
            model.readmodel.whole = !model.readmodel.whole;
            model.detail = 0;
        }
        Action::NextPane if model.screen == Screen::Time => {
            model.pane = match model.pane {
                Pane::List => Pane::Detail,
                Pane::Detail => Pane::Third,
                Pane::Third => Pane::List,
            };
        }
        Action::PreviousPane if model.screen == Screen::Time => {
            model.pane = match model.pane {
                Pane::List => Pane::Third,
                Pane::Detail => Pane::List,
                Pane::Third => Pane::Detail,
            };
        }
        Action::NextPane | Action::PreviousPane => {
            model.pane = if model.pane == Pane::List {
                Pane::Detail
            } else {
                Pane::List
            };
        }
        Action::Zoom => model.zoom = !model.zoom,
        Action::Clock => model.utc = !model.utc,
        Action::Language => {
            model.switch_language();
            demos::translate(model, fx);
        }
        Action::Refresh => refresh(model, fx),
        Action::Copy => copy(model, fx),
        Action::Cancel => cancel(model, fx),
        Action::Internal => {
            model.topics.internal = !model.topics.internal;
            model.topics.refresh();
            topics::selected(model, fx);
        }
        Action::DeleteTopic => ask_delete(model),
        Action::Tail => tail::toggle(model, fx),
        Action::Pause => tail::pause(model),
        Action::Order if model.screen == Screen::Blame => blame::turn(model),
        Action::Order => {
            let newest_first = model.records.as_ref().is_some_and(|r| r.newest_first);
            records::go(model, if newest_first { Place::Begin } else { Place::End }, fx);
        }
        Action::Rebuild => projections::begin(model, Kind::Rebuild, false, fx),
        Action::RebuildSkipping => projections::begin(model, Kind::Rebuild, true, fx),
        Action::Follow => projections::begin(model, Kind::Follow, false, fx),
        Action::DeadLetter => {
            letters::open(model);
            enter(model, Screen::Letters, fx);
        }
        Action::Alerts => {
            alerts::open(model);
            enter(model, Screen::Alerts, fx);
        }
        Action::Retry => letters::decide(model, Choice::Retry, fx),
        Action::Skip => letters::decide(model, Choice::Skip { hold_key: false }, fx),
        Action::SkipKey => letters::decide(model, Choice::Skip { hold_key: true }, fx),
        Action::Mend => typing::prompt(model, PromptKind::Mend),
        Action::Replay => letters::replay(model, fx),
        Action::Preview => match previews::of_selected(model).map(|preview| preview.name.clone()) {
            Some(name) => {
                differences::open(model, Question::Preview(name), fx);
                enter(model, Screen::Differences, fx);
            }
            None => previews::build(model, fx),
        },
        Action::Accept | Action::DropPreview => {
            match action {
                Action::Accept => previews::accept(model, fx),
                _ => previews::drop_it(model, fx),
            }
            if model.screen == Screen::Differences && model.overlay.is_none() {
                navigate::up(model, fx);
            }
        }
        Action::BringBack => ask_bring_back(model),
        Action::Time if matches!(model.screen, Screen::Alerts | Screen::Blame | Screen::Differences) => {
            if let Some((read_model, event)) = moment(model) {
                navigate::open_moment(model, read_model, event, fx);
            }
        }
        Action::Verify => {
            if let Some(name) = differences::verifiable(model) {
                differences::open(model, Question::Verify(name), fx);
                enter(model, Screen::Differences, fx);
            }
        }
        Action::Without => typing::ask(model, differences::without(model), fx),
        Action::WithoutWhere => typing::prompt(model, PromptKind::Without),
        Action::Instead => typing::prompt(model, PromptKind::Instead),
        Action::Besides => typing::prompt(model, PromptKind::Besides),
        Action::MoveEvent => typing::prompt(model, PromptKind::Move),
        Action::Blame => {
            if let Some(row) = blame::wanted(model) {
                blame::open(model, row, fx);
                enter(model, Screen::Blame, fx);
            }
        }
        Action::OnlyCell => blame::toggle_cell(model),
        Action::Time => {
            time::open(model, fx);
            enter(model, Screen::Time, fx);
        }
        Action::Condition => typing::conditions(model),
        Action::RunOn => time::conditions::again(model, Towards::End, fx),
        Action::RunBack => time::conditions::again(model, Towards::Begin, fx),
        Action::RunFirst => time::conditions::again(model, Towards::First, fx),
        Action::RunLasting => time::conditions::again(model, Towards::FirstLasting, fx),
        Action::Later => time::slider::coarse(model, true, fx),
        Action::Earlier => time::slider::coarse(model, false, fx),
        Action::Play => time::play::toggle(model, fx),
        Action::Speed => time::play::faster(model),
        Action::NextTable => time::rows::next_table(model, fx),
        Action::OpenRecord => {
            let event = match model.screen {
                Screen::Letters => letters::event(model),
                Screen::Alerts => alerts::event(model),
                Screen::Blame => blame::event(model),
                Screen::Differences => differences::event(model),
                _ => time::event(model).map(|event| EventAt::of(&event.record)),
            };
            if let Some(event) = event {
                navigate::open_event(model, &event, fx);
            }
        }
        Action::Forward
        | Action::Backward
        | Action::Forward10
        | Action::Backward10
        | Action::Forward100
        | Action::Backward100
        | Action::NextOfKey
        | Action::PreviousOfKey
        | Action::NextOfType
        | Action::PreviousOfType
        | Action::NextOfRow
        | Action::PreviousOfRow => time::steps::step(model, action, fx),
        Action::Charts => {
            let id = match model.screen {
                Screen::Scene => model.demos.open.clone(),
                _ => model.demos.selected().map(|demo| demo.id.clone()),
            };
            let part = scene::part(model).filter(|part| model.screen == Screen::Scene && part.kind == GraphKind::Store);
            let store = part.map(|part| part.id.clone());
            let store = store.filter(|store| charts::of_store(model, store).is_some());
            if let Some(id) = id {
                charts::open(model, &id, store.as_deref(), fx);
            }
        }
        Action::StoreCharts => {
            let store = model.readmodel.selected().map(|row| row.read_model.clone());
            let of = store.and_then(|store| Some((charts::of_store(model, &store)?, store)));
            if let Some((demo, store)) = of {
                charts::open(model, &demo, Some(&store), fx);
            }
        }
        Action::Board => {
            if let Some(charts) = &mut model.charts {
                charts.board = !charts.board;
            }
            model.zoom = false;
            model.pane = Pane::List;
        }
        Action::OpenStore => charts::open_store(model, fx),
        Action::Chart => readmodel::toggle_chart(model),
        Action::Report => demos::report(model, fx),
        Action::RunDemo => ask_selected_demo(model, fx),
        Action::Choose => guide::open(model, fx),
        Action::NextStep => scene::next_step(model, fx),
        Action::ScenePlay => scene::play(model, fx),
        Action::SceneSpeed => scene::faster(model, fx),
        Action::OneRecord => scene::tell(model, Cue::OneRecord, fx),
        Action::Through => scene::through(model, fx),
        Action::StartAgain => {
            if let Some(id) = model.demos.open.clone() {
                ask_demo(model, &id, false, fx);
            }
        }
        Action::Break => typing::faults(model),
        Action::RunFirstDemo => {
            go(model, Screen::Demos, fx);
            match model.refusal(Action::RunDemo) {
                Some(why) => model.tell(Level::Hint, why),
                None => ask_selected_demo(model, fx),
            }
        }
        #[cfg(debug_assertions)]
        Action::DebugPanic => fx.push(Effect::Panic),
        motion => {
            motion::act(model, motion, fx);
        }
    }
}

/// The moment that the screen in view leads to, and of which read model.
fn moment(model: &Model) -> Option<(String, EventAt)> {
    match model.screen {
        Screen::Alerts => Some((model.alerts.as_ref()?.read_model.clone(), alerts::event(model)?)),
        Screen::Blame => Some((model.blame.as_ref()?.row.read_model.clone(), blame::event(model)?)),
        Screen::Differences => {
            let read_model = model.differences.as_ref()?.question.read_model().to_owned();
            Some((read_model, differences::event(model)?))
        }
        _ => None,
    }
}

fn toggle(model: &mut Model, overlay: Overlay) {
    let same = model
        .overlay
        .as_ref()
        .is_some_and(|open| std::mem::discriminant(open) == std::mem::discriminant(&overlay));
    model.overlay = (!same).then_some(overlay);
}

fn refresh(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.value.is_none() {
        return connect(model, fx);
    }
    match model.screen {
        Screen::Topics => {
            model.topics.config_of = None;
            topics::ask(model, fx);
        }
        Screen::Records => records::again(model, fx),
        Screen::Projections => projections::ask(model, fx),
        Screen::Letters => projections::ask(model, fx),
        Screen::Alerts => alerts::ask(model, fx),
        Screen::ReadModel => readmodel::again(model, fx),
        Screen::Time => time::again(model, fx),
        Screen::Blame => blame::again(model, fx),
        Screen::Differences => differences::again(model, fx),
        Screen::Charts => charts::ask(model, fx),
        Screen::Demos | Screen::Scene => demos::ask(model, fx),
        Screen::Guide => guide::ask(model, fx),
        Screen::Groups => groups::ask(model, fx),
    }
}

fn copy(model: &mut Model, fx: &mut Vec<Effect>) {
    let text = match model.screen {
        Screen::Topics => model.topics.selected().map(|t| t.name.clone()),
        Screen::Records => model
            .records
            .as_ref()
            .and_then(|r| r.selected())
            .map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned()),
        Screen::Projections => model.projections.selected().map(|p| p.name.clone()),
        Screen::Letters => letters::selected(model)
            .map(|letter| String::from_utf8_lossy(letter.record.value.as_deref().unwrap_or_default()).into_owned()),
        Screen::Alerts => {
            let alert = model.alerts.as_ref().and_then(|alerts| alerts.selected());
            alert.map(|alert| alert.row.clone())
        }
        Screen::ReadModel => Some(model.readmodel.sql.clone()),
        Screen::Time => time::event(model)
            .map(|event| String::from_utf8_lossy(event.record.value.as_deref().unwrap_or_default()).into_owned()),
        Screen::Differences => model
            .differences
            .as_ref()
            .map(|state| format!("foldlog verify {}", state.question.read_model())),
        Screen::Blame => model
            .blame
            .as_ref()
            .and_then(|blame| blame.selected())
            .map(|event| String::from_utf8_lossy(event.record.value.as_deref().unwrap_or_default()).into_owned()),
        Screen::Charts => model
            .charts
            .as_ref()
            .and_then(|charts| charts.selected())
            .map(|row| row.title.clone()),
        Screen::Demos => model.demos.selected().map(|d| format!("foldlog demo run {}", d.id)),
        Screen::Scene => model.demos.open.as_ref().map(|id| format!("foldlog demo run {id}")),
        Screen::Guide => model.guiding.demo().map(|id| format!("foldlog demo run {id}")),
        Screen::Groups => model.groups.selected().map(|g| g.id.clone()),
    };
    if let Some(text) = text {
        model.tell(Level::Done, say!(model, "copied {bytes} B", bytes = text.len()));
        fx.push(Effect::Copy(text));
    }
}

fn cancel(model: &mut Model, fx: &mut Vec<Effect>) {
    if time::stop(model, fx) {
        return model.tell(Level::Done, "stopped; it stands where it stood");
    }
    if differences::stop(model, fx) {
        return model.tell(Level::Done, "stopped; nothing was changed");
    }
    if blame::stop(model, fx) {
        return model.tell(Level::Done, "stopped; what was found stays");
    }
    if search::stop(model, fx) {
        return;
    }
    if readmodel::stop(model, fx) {
        return model.tell(Level::Done, "the query was stopped");
    }
    let chosen = match model.screen {
        Screen::Projections => model.projections.selected().map(|p| p.name.clone()),
        Screen::Demos => model.demos.selected().map(|d| d.id.clone()),
        Screen::Charts => model.charts.as_ref().map(|charts| charts.demo.clone()),
        Screen::Scene => model.demos.open.clone(),
        _ => None,
    };
    let works = &mut model.works;
    let at = works
        .iter()
        .rposition(|w| !w.cancelling && chosen.as_ref() == Some(&w.name))
        .or_else(|| works.iter().rposition(|w| !w.cancelling));
    if let Some(work) = at.and_then(|i| works.get_mut(i)) {
        work.cancelling = true;
        fx.push(Effect::Cancel(work.id));
    }
}

fn quit(model: &mut Model, fx: &mut Vec<Effect>) {
    let rebuild = model.works.iter().find(|w| w.kind == Kind::Rebuild);
    match rebuild {
        Some(work) => {
            let question = say!(
                model,
                "`{name}` is being rebuilt. Leaving cancels that; the read model stays as it was.",
                name = work.name
            );
            confirm(model, question, String::new(), Confirmed::Quit);
        }
        None => fx.push(Effect::Quit),
    }
}

fn ask_delete(model: &mut Model) {
    if let Some(topic) = model.topics.selected() {
        let question = say!(
            model,
            "Delete the topic `{name}`? What it holds, {held} offsets, cannot be brought back.",
            name = topic.name,
            held = topic.held()
        );
        let name = topic.name.clone();
        confirm(model, question, name.clone(), Confirmed::DeleteTopic(name));
    }
}

fn ask_bring_back(model: &mut Model) {
    if let Some(name) = model.projections.selected().map(|row| row.name.clone()) {
        let question = say!(
            model,
            "Bring back the build of `{name}` before this one? The one in use is then the one before, and can be brought back the same way.",
            name
        );
        confirm(model, question, String::new(), Confirmed::BringBack(name));
    }
}

fn ask_selected_demo(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.demos.selected().is_some_and(|demo| demo.guide) {
        return guide::open(model, fx);
    }
    if let Some(id) = model.demos.selected().map(|d| d.id.clone()) {
        scene::open(model, &id, fx);
        ask_demo(model, &id, false, fx);
    }
}

/// Runs a demo: on a production cluster only once its name is typed, on another that is not Foldlog's own once it is said what
/// will be made there.
pub(super) fn ask_demo(model: &mut Model, id: &str, by_step: bool, fx: &mut Vec<Effect>) {
    let then = Confirmed::RunDemo {
        id: id.to_owned(),
        by_step,
    };
    match &model.cluster.value {
        Some(ClusterView {
            access: Access::Production,
            name,
            ..
        }) => {
            let question = say!(
                model,
                "`{name}` is a production cluster, and the demo writes topics and records to it.",
                name
            );
            let name = name.clone();
            confirm(model, question, name, then);
        }
        Some(cluster) if !cluster.embedded => {
            let topics = demos::topics(model, id);
            let cluster = cluster.name.clone();
            let question = say!(
                model,
                "Run `{id}` on `{cluster}`? The demo makes topics there: {topics}. Its groups begin the same way, and `foldlog demo clean {id}` deletes them all.",
                id,
                cluster,
                topics
            );
            confirm(model, question, String::new(), then);
        }
        _ => scene::run(model, id, by_step, fx),
    }
}

fn confirm(model: &mut Model, question: String, expect: String, then: Confirmed) {
    model.overlay = Some(Overlay::Confirm(Confirm {
        question,
        expect,
        input: Default::default(),
        then,
    }));
}

//! A demo's scene: what flows between its parts, and the lesson beside it.

use crate::demo::graph::{Graph, Kind, Part};
use crate::demo::player::{Speed, Stands};
use crate::demo::run::StepState;
use crate::demo::snapshot::{PartState, PartView, Snapshot};

use super::super::job::{Cue, DemoRow, Job, Staged, TaskId};
use super::super::lang::say;
use super::super::message::Effect;
use super::super::model::{Level, Model, Screen};
use super::super::navigate;
use super::super::place::Place;
use super::super::work::{Kind as WorkKind, Work};
use super::flight::Flights;

/// How fast a demo is played, in the order in which one key goes through them. A gap between two events counts as a second at
/// most, so that at the first speed one sees each record, and at the third a few hundred go by within seconds.
pub const SPEEDS: [Speed; 4] = [Speed::Times(1), Speed::Times(10), Speed::Times(100), Speed::Fastest];
/// How fast a demo is played at first.
const FIRST: Speed = Speed::Times(100);

/// A demo's scene, kept while the studio runs, so that one comes back to it as it was.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The part under the cursor, as its place in the graph.
    pub cursor: usize,
    /// How its run stands, or stood at its end.
    pub staged: Option<Staged>,
    /// The job that runs it.
    pub task: Option<TaskId>,
    /// Whether the lesson's text goes along with what happens.
    pub follows: bool,
    /// Records that are seen on their way.
    pub flights: Flights,
    /// Whether it runs once more when the run that was cancelled is over, and whether by step.
    again: Option<bool>,
    /// Whether the end of the lesson was told.
    told: bool,
}

impl Scene {
    /// What the run is at; `None` while there is none.
    pub fn stands(&self) -> Option<Stands> {
        self.task?;
        Some(
            self.staged
                .as_ref()
                .map_or(Stands::Acting, |staged| staged.clock.stands),
        )
    }

    /// The scene as it is, once its topics are there.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        let snapshot = &self.staged.as_ref()?.scene;
        (!snapshot.parts.is_empty()).then_some(snapshot)
    }

    /// How a part is, once the scene is there.
    pub fn part(&self, at: usize) -> Option<&PartView> {
        self.snapshot()?.parts.get(at)
    }

    /// How many checks have held, failed, and are there.
    pub fn checks(&self) -> (usize, usize, usize) {
        let steps = self.staged.iter().flat_map(|staged| &staged.steps);
        steps
            .filter(|step| step.check)
            .fold((0, 0, 0), |(held, failed, all), step| {
                let is = |state| usize::from(step.state == state);
                (held + is(StepState::Passed), failed + is(StepState::Failed), all + 1)
            })
    }
}

/// The demo whose scene is open.
pub fn demo(model: &Model) -> Option<&DemoRow> {
    let open = model.demos.open.as_ref()?;
    model.demos.remote.value.as_ref()?.iter().find(|demo| demo.id == *open)
}

/// The scene that is open.
pub fn scene(model: &Model) -> Option<&Scene> {
    model.demos.scenes.get(model.demos.open.as_ref()?)
}

pub(in super::super) fn scene_mut(model: &mut Model) -> Option<&mut Scene> {
    model.demos.scenes.get_mut(model.demos.open.as_ref()?)
}

/// The part under the cursor.
pub fn part(model: &Model) -> Option<&Part> {
    demo(model)?.graph.parts.get(scene(model)?.cursor)
}

/// The graph with the names that the cluster knows, where it runs there.
fn graph(model: &Model) -> Option<&Graph> {
    let live = scene(model)?.snapshot().map(|snapshot| &*snapshot.graph);
    Some(live.unwrap_or(&demo(model)?.graph))
}

/// Whether a demo took the broker away that this studio runs.
pub fn broker_lost(model: &Model) -> bool {
    let lost = |scene: &Scene| scene.task.is_some() && scene.snapshot().is_some_and(|snapshot| snapshot.broker_lost);
    model.demos.scenes.values().any(lost)
}

/// Opens the scene of a demo.
pub fn open(model: &mut Model, id: &str, fx: &mut Vec<Effect>) {
    let scene = model.demos.scenes.entry(id.to_owned()).or_default();
    scene.follows = true;
    model.demos.open = Some(id.to_owned());
    if model.screen != Screen::Scene {
        navigate::enter(model, Screen::Scene, fx);
    }
}

/// Runs a demo in its scene.
pub fn run(model: &mut Model, id: &str, by_step: bool, fx: &mut Vec<Effect>) {
    let before = model.demos.scenes.get(id).and_then(|scene| scene.task);
    if let Some(task) = before {
        fx.push(Effect::Cancel(task));
        if let Some(work) = model.works.iter_mut().find(|work| work.id == task) {
            work.cancelling = true;
        }
        if let Some(scene) = model.demos.scenes.get_mut(id) {
            scene.again = Some(by_step);
        }
        return;
    }
    let job = Job::RunDemo {
        id: id.to_owned(),
        by_step,
        speed: FIRST,
    };
    let task = model.start(job, fx);
    model
        .works
        .push(Work::new(task, WorkKind::Demo, id.to_owned(), model.now));
    let cursor = model.demos.scenes.get(id).map_or(0, |scene| scene.cursor);
    let scene = Scene {
        cursor,
        task: Some(task),
        follows: true,
        ..Scene::default()
    };
    model.demos.scenes.insert(id.to_owned(), scene);
    if by_step {
        // Whoever asked for the first step need not ask twice.
        fx.push(Effect::Tell(task, Cue::NextStep));
    }
}

/// Takes how a run stands.
pub fn staged(model: &mut Model, task: TaskId, staged: Staged, fx: &mut Vec<Effect>) {
    let Some(work) = model.works.iter_mut().find(|work| work.id == task) else {
        return;
    };
    work.steps.clone_from(&staged.steps);
    let id = work.name.clone();
    let lost = broker_lost(model);
    let Some(scene) = model.demos.scenes.get_mut(&id) else {
        return;
    };
    if let Some(before) = &scene.staged {
        scene.flights.begin(&before.scene, &staged.scene);
    }
    let over = staged.clock.stands == Stands::Over && !scene.told;
    scene.told |= over;
    scene.staged = Some(staged);
    let (held, _, all) = scene.checks();
    if over {
        let level = if held == all { Level::Done } else { Level::Error };
        model.tell(level, say!(model, "{id}: {held} of {all} checks hold", id, held, all));
        super::projections::ask(model, fx);
    }
    if lost && !broker_lost(model) {
        super::topics::ask(model, fx);
    }
}

/// Ends what a run's job was for; says whether it begins anew.
pub fn ended(model: &mut Model, id: &str, fx: &mut Vec<Effect>) -> bool {
    let Some(scene) = model.demos.scenes.get_mut(id) else {
        return false;
    };
    scene.task = None;
    if let Some(staged) = &mut scene.staged {
        rest(&mut staged.scene);
    }
    match scene.again.take() {
        Some(by_step) => {
            run(model, id, by_step, fx);
            true
        }
        None => false,
    }
}

/// What a run leaves behind: nothing runs or flows any more, and a broker that it took away is back. A run that was cancelled
/// has nobody left to say so.
fn rest(scene: &mut Snapshot) {
    let parts = scene.graph.parts.iter().zip(&mut scene.parts);
    for (part, view) in parts {
        view.rate = 0.0;
        view.state = match (part.kind, view.state) {
            (Kind::Topic, _) => PartState::Running,
            (Kind::Processor | Kind::Service, PartState::Running | PartState::Slow) => PartState::Stopped,
            (Kind::Store | Kind::Sink, PartState::Full) => PartState::Running,
            (_, state) => state,
        };
    }
    scene.edges.iter_mut().for_each(|edge| edge.rate = 0.0);
    scene.broker_lost = false;
}

/// Tells the run of the open scene what to do.
pub fn tell(model: &mut Model, cue: Cue, fx: &mut Vec<Effect>) {
    if let Some(task) = scene(model).and_then(|scene| scene.task) {
        fx.push(Effect::Tell(task, cue));
    }
}

/// Plays, or pauses.
pub fn play(model: &mut Model, fx: &mut Vec<Effect>) {
    let playing = clock(model).is_some_and(|clock| clock.playing);
    tell(model, if playing { Cue::Pause } else { Cue::Play }, fx);
}

/// Plays at the next speed.
pub fn faster(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(clock) = clock(model) else { return };
    let at = SPEEDS.iter().position(|speed| *speed == clock.speed).unwrap_or(0);
    tell(model, Cue::Speed(SPEEDS[(at + 1) % SPEEDS.len()]), fx);
}

/// Waits before each step, or goes through the rest of them.
pub fn through(model: &mut Model, fx: &mut Vec<Effect>) {
    let by_step = clock(model).is_some_and(|clock| clock.by_step);
    tell(model, Cue::ByStep(!by_step), fx);
}

fn clock(model: &Model) -> Option<crate::demo::player::PlayerView> {
    let scene = scene(model)?;
    scene.task?;
    Some(scene.staged.as_ref()?.clock)
}

/// The next step; the first where nothing runs yet.
pub fn next_step(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(id) = model.demos.open.clone() else { return };
    if let Some(scene) = scene_mut(model) {
        scene.follows = true;
    }
    match scene(model).and_then(Scene::stands) {
        None => super::super::update::ask_demo(model, &id, true, fx),
        Some(_) => tell(model, Cue::NextStep, fx),
    }
}

/// Why something cannot be done to the scene now.
pub fn refusal(model: &Model, action: super::super::command::Action) -> Option<&'static str> {
    use super::super::command::Action;
    const AT_REST: &str = "nothing runs: n begins the lesson, r runs it through";
    let demo = demo(model)?;
    let scene = scene(model)?;
    let stands = scene.stands();
    let clock = clock(model).unwrap_or_default();
    match (action, stands) {
        (Action::Open, _) => match part(model)?.kind {
            Kind::Topic | Kind::Store | Kind::Sink | Kind::Processor if scene.snapshot().is_none() => {
                Some("it is not there yet: n begins the lesson")
            }
            Kind::Sink => None,
            kind if kind != Kind::Service && graph(model)?.parts.get(scene.cursor)?.id.is_empty() => {
                let topic = topic_behind(graph(model)?, scene.cursor);
                topic.is_none().then_some("this cluster has nothing of it to look at")
            }
            _ => None,
        },
        (Action::NextStep | Action::StartAgain, None) if model.cluster.value.is_none() => {
            Some("the cluster does not answer yet")
        }
        (Action::NextStep, Some(Stands::Over)) => Some("the lesson is over: r starts it again, b breaks something"),
        (Action::NextStep, Some(Stands::Acting)) if clock.by_step => Some("the step is still under way"),
        (Action::NextStep, Some(Stands::Acting)) => Some("one step follows the other: a lets each wait for you"),
        (Action::NextStep | Action::StartAgain, _) => None,
        (_, None) => Some(AT_REST),
        (Action::Through, Some(Stands::Over)) => Some("the lesson is over: r starts it again"),
        (Action::Through, _) => None,
        _ if !demo.live => Some("nothing of this demo runs live: its events are all there before the first step"),
        (Action::OneRecord, _) if scene.snapshot().is_some_and(|now| now.upcoming == 0) => {
            Some("every event is written: r starts again")
        }
        (Action::Break, _) if scene.snapshot().is_none() => Some("its parts are not there yet"),
        _ => None,
    }
}

/// The topic that what a service writes comes to, or what an agent carries.
fn topic_behind(graph: &Graph, part: usize) -> Option<String> {
    let next = graph.edges.iter().filter(|edge| edge.from == part).map(|edge| edge.to);
    let mut next = next.map(|at| (&graph.parts[at], at));
    match next.next()? {
        (part, _) if part.kind == Kind::Topic => Some(part.id.clone()),
        (part, at) if part.kind == Kind::Processor && part.id.is_empty() => topic_behind(graph, at),
        _ => None,
    }
}

/// Opens what the part under the cursor holds.
pub fn enter(model: &mut Model, fx: &mut Vec<Effect>) {
    let (Some(scene), Some(graph)) = (scene(model), graph(model)) else {
        return;
    };
    let Some(part) = graph.parts.get(scene.cursor).cloned() else {
        return;
    };
    match part.kind {
        // What a service has written is in its topic, whoever carries it there.
        Kind::Service => {
            if let Some(topic) = topic_behind(graph, scene.cursor) {
                navigate::open_topic(model, &topic, Place::End, fx);
            }
        }
        Kind::Processor if part.id.is_empty() => {
            if let Some(topic) = topic_behind(graph, scene.cursor) {
                navigate::open_topic(model, &topic, Place::End, fx);
            }
        }
        Kind::Topic => navigate::open_topic(model, &part.id, Place::End, fx),
        Kind::Processor => {
            model.groups.wanted = Some(part.id);
            navigate::enter(model, Screen::Groups, fx);
        }
        // It is on no screen of this studio: what is known of it is said.
        Kind::Sink => {
            let (level, said) = sink(model, scene, graph, &part);
            model.tell(level, said);
        }
        Kind::Store => {
            model.readmodel.wanted = Some(part.id);
            navigate::enter(model, Screen::ReadModel, fx);
        }
    }
}

/// What is known of a store outside: which it is, where, what it has, what it lacks and why.
fn sink(model: &Model, scene: &Scene, graph: &Graph, part: &Part) -> (Level, String) {
    let title = part.title.get(model.language);
    let view = scene.part(scene.cursor).cloned().unwrap_or_default();
    let (place, rows) = (&view.place, view.taken);
    if place.is_empty() {
        let edge = graph.edges.iter().find(|edge| edge.to == scene.cursor);
        let from = edge.map_or("", |edge| graph.parts[edge.from].title.get(model.language));
        let name = &part.name;
        let said = say!(
            model,
            "{title}: {from} stands for it in this run; `foldlog demo run --headless --sink {name}=URL` feeds a real one",
            title,
            from,
            name
        );
        return (Level::Done, said);
    }
    if !view.reason.is_empty() {
        let reason = view.reason.lines().next().unwrap_or_default();
        return (Level::Error, say!(model, "{title} is not fed: {reason}", title, reason));
    }
    let said = match view.lag.unwrap_or(0) {
        0 => say!(model, "{title}: {rows} written, in step; {place}", title, rows, place),
        lag => say!(
            model,
            "{title}: {rows} written, {lag} to come; {place}",
            title,
            rows,
            lag,
            place
        ),
    };
    (Level::Done, said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalog::Catalog;

    #[test]
    fn what_carries_records_on_leads_to_the_topic_where_they_arrive() {
        let catalog = Catalog::load(&[]).unwrap();
        let leads = |id: &str, kind: Kind, name: &str| {
            let graph = Graph::of(catalog.get(id).unwrap());
            topic_behind(&graph, graph.find(kind, name).unwrap())
        };
        let topic = |name: &str| Some(name.to_owned());
        assert_eq!(leads("log-analytics", Kind::Service, "order"), topic("logs"));
        assert_eq!(leads("log-analytics", Kind::Service, "web"), topic("web-logs"));
        assert_eq!(leads("log-analytics", Kind::Processor, "web-agent"), topic("web-logs"));
        assert_eq!(leads("data-pipeline", Kind::Processor, "mirror"), None);
    }
}

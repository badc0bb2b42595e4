//! A demo, run from an empty cluster to its last check. Whoever holds the run can watch it, cancel it and wait for it;
//! dropping it cancels.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::broker::embedded::Embedded;
use crate::readmodel::store::Store;

use super::catalog::Demo;
use super::error::DemoError;
use super::player::{Player, Speed};
use super::sinks::Addresses;
use super::snapshot::Snapshot;
use super::stage::Stage;
use super::text::{Language, Text};

/// How a step or check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepState {
    /// Not begun.
    #[default]
    Waiting,
    /// Under way.
    Running,
    /// Done, or held.
    Passed,
    /// Failed, or did not hold.
    Failed,
}

/// A step of a run, or a check of the step above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepView {
    /// What it is.
    pub title: String,
    /// How it stands.
    pub state: StepState,
    /// What there is to say: numbers, what was expected and found.
    pub note: String,
    /// Whether it is a check of the step above it.
    pub check: bool,
    /// Whether it is something that the step above it does.
    pub action: bool,
}

/// What a line of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A step, or something that comes before the lesson.
    Step,
    /// Something that the step above it does.
    Action,
    /// A check of the step above it.
    Check,
}

/// A line of a run as it is written, in every language; how it stands is the [`StepView`] at the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// What it is.
    pub line: Line,
    /// What it says.
    pub title: Text,
    /// What there is to look at, of a step of the lesson.
    pub text: Text,
}

/// Something that was done by hand while a demo ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// The line of the run that was under way.
    pub line: usize,
    /// What it was.
    pub title: Text,
    /// How it went.
    pub state: StepState,
    /// What there is to say of it.
    pub note: String,
}

/// How to run a demo.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Delete the demo's topics first, whatever they hold, and replace read models of the same name, whoever's they are.
    pub reset: bool,
    /// The language of titles and notes.
    pub language: Language,
    /// How fast events are written, where steps write them.
    pub speed: Speed,
    /// Whether each step waits for [`Player::next_step`].
    pub by_step: bool,
    /// Whether somebody watches: a step that fails does not end the run, and what runs goes on after the last one until the run
    /// is cancelled.
    pub attended: bool,
    /// End after this many steps.
    pub until: Option<usize>,
    /// What topics and groups begin with, on a cluster that is not Foldlog's own.
    pub prefix: Option<String>,
    /// The broker, where it is ours: then steps can take it away and bring it back.
    pub embedded: Option<Arc<Embedded>>,
    /// The real systems that are fed, by the names of the demo's sinks.
    pub sinks: Addresses,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its steps as they ended.
    pub steps: Vec<StepView>,
    /// What was done by hand meanwhile.
    pub by_hand: Vec<ByHand>,
    /// Whether every check held.
    pub passed: bool,
    /// How long it took.
    pub took: Duration,
}

/// A demo that runs on a thread of its own.
#[derive(Debug)]
pub struct Run {
    steps: watch::Receiver<Vec<StepView>>,
    scene: watch::Receiver<Snapshot>,
    by_hand: watch::Receiver<Vec<ByHand>>,
    player: Arc<Player>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<Result<Outcome, DemoError>>>,
}

/// What topics and groups of a demo begin with on a cluster that is somebody's, unless something else is said.
pub fn prefix(id: &str) -> String {
    format!("foldlog-demo-{id}-")
}

/// Starts a demo on the cluster of `client`, with its read models in `store`.
///
/// A second run finds the same events in the topics and builds the same read models again; where steps write the events
/// ([`Demo::is_live`]), it begins anew with empty topics. See [`Options::reset`] for topics and read models that are somebody
/// else's.
pub fn run(client: Client, store: Store, demo: Demo, options: Options) -> Run {
    let (sender, steps) = watch::channel(plan(&demo, options.language));
    let (drawn, scene) = watch::channel(Snapshot::default());
    let (hand, by_hand) = watch::channel(Vec::new());
    let player = Arc::new(Player::new(options.speed, options.by_step));
    let cancel = CancellationToken::new();
    let stage = Stage {
        client,
        store,
        demo,
        options,
        cancel: cancel.clone(),
        steps: sender,
        scene: drawn,
        by_hand: hand,
        player: Arc::clone(&player),
    };
    let thread = thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || stage.perform());
    Run {
        steps,
        scene,
        by_hand,
        player,
        cancel,
        thread: thread.ok(),
    }
}

impl Run {
    /// Every step as it stands; the newest view replaces the one before. The sender is gone when the run is over.
    pub fn steps(&self) -> watch::Receiver<Vec<StepView>> {
        self.steps.clone()
    }

    /// The scene as it is; the newest replaces the one before. Empty until the topics are there.
    pub fn scene(&self) -> watch::Receiver<Snapshot> {
        self.scene.clone()
    }

    /// What was done by hand so far, oldest first.
    pub fn by_hand(&self) -> watch::Receiver<Vec<ByHand>> {
        self.by_hand.clone()
    }

    /// Its clock: play, pause, one record at a time, how fast.
    pub fn player(&self) -> Arc<Player> {
        Arc::clone(&self.player)
    }

    /// Asks it to stop; events that were written stay, and the next run goes on after them.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A token that cancels it, to be handed to a signal handler.
    pub fn token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Whether it is over, so that [`Run::wait`] returns at once.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end on this thread. A check that does not hold is no error: see [`Outcome::passed`].
    pub fn wait(mut self) -> Result<Outcome, DemoError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => {
                let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(DemoError::Crashed(said.unwrap_or_else(|| "no reason given".to_owned())))
            }
            None => Err(DemoError::Crashed("the system gave no thread".to_owned())),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The lines of a run before it begins: topics, events and a rebuild for each projection, or the start of the processors; then
/// the steps of the lesson, each with what it does and what it checks.
pub fn plan(demo: &Demo, language: Language) -> Vec<StepView> {
    let view = |line: PlanLine| StepView {
        title: line.title.get(language).to_owned(),
        check: line.line == Line::Check,
        action: line.line == Line::Action,
        ..StepView::default()
    };
    script(demo).into_iter().map(view).collect()
}

/// The same lines as they are written, in every language.
pub fn script(demo: &Demo) -> Vec<PlanLine> {
    let line = |line: Line, title: Text| PlanLine {
        line,
        title,
        text: Text::default(),
    };
    let step = |en: &str, zh: &str| line(Line::Step, Text::both(en, zh));
    let mut lines = vec![step("Create the topics", "创建主题")];
    if demo.is_live() {
        lines.push(step("Start the processors", "启动处理器"));
    } else {
        lines.push(step("Write the events", "写入事件"));
        for projection in &demo.projections {
            let name = &projection.name;
            lines.push(step(
                &format!("Fold the log into {name}"),
                &format!("把日志折叠成 {name}"),
            ));
        }
    }
    for lesson in &demo.steps {
        lines.push(PlanLine {
            text: lesson.text.clone(),
            ..line(Line::Step, lesson.title.clone())
        });
        lines.extend(lesson.actions.iter().map(|action| line(Line::Action, action.title())));
        lines.extend(lesson.checks.iter().map(|check| line(Line::Check, check.title.clone())));
    }
    lines
}

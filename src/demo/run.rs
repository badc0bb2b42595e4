//! A demo, run from an empty cluster to its last check. Whoever holds the run can watch it, cancel it and wait for it;
//! dropping it cancels.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::readmodel::store::Store;

use super::catalog::Demo;
use super::error::DemoError;
use super::stage::Stage;
use super::text::Language;

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
}

/// How to run a demo.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Delete the demo's topics first, whatever they hold, and replace read models of the same name, whoever's they are.
    pub reset: bool,
    /// The language of titles and notes.
    pub language: Language,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its steps as they ended.
    pub steps: Vec<StepView>,
    /// Whether every check held.
    pub passed: bool,
    /// How long it took.
    pub took: Duration,
}

/// A demo that runs on a thread of its own.
#[derive(Debug)]
pub struct Run {
    steps: watch::Receiver<Vec<StepView>>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<Result<Outcome, DemoError>>>,
}

/// Starts a demo on the cluster of `client`, with its read models in `store`.
///
/// A second run finds the same events in the topics and builds the same read models again; see [`Options::reset`] for topics
/// and read models that are somebody else's.
pub fn run(client: Client, store: Store, demo: Demo, options: Options) -> Run {
    let (sender, steps) = watch::channel(plan(&demo, options.language));
    let cancel = CancellationToken::new();
    let stage = Stage {
        client,
        store,
        demo,
        options,
        cancel: cancel.clone(),
        steps: sender,
    };
    let thread = thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || stage.perform());
    Run {
        steps,
        cancel,
        thread: thread.ok(),
    }
}

impl Run {
    /// Every step as it stands; the newest view replaces the one before. The sender is gone when the run is over.
    pub fn steps(&self) -> watch::Receiver<Vec<StepView>> {
        self.steps.clone()
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

/// The steps before they begin: topics, events, a rebuild for each projection, then those of the lesson with their checks.
pub fn plan(demo: &Demo, language: Language) -> Vec<StepView> {
    let step = |title: String, check: bool| StepView {
        title,
        check,
        ..StepView::default()
    };
    let say = |en: &str, zh: &str| match language {
        Language::English => en.to_owned(),
        Language::Chinese => zh.to_owned(),
    };
    let mut steps = vec![
        step(say("Create the topics", "创建主题"), false),
        step(say("Write the events", "写入事件"), false),
    ];
    for projection in &demo.projections {
        let title = say("Fold the log into", "把日志折叠成");
        steps.push(step(format!("{title} {}", projection.name), false));
    }
    for each in &demo.steps {
        steps.push(step(each.title.get(language).to_owned(), false));
        steps.extend(
            each.checks
                .iter()
                .map(|check| step(check.title.get(language).to_owned(), true)),
        );
    }
    steps
}

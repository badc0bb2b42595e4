//! Demos, run on the studio's cluster.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::timeout;

use crate::app::job::{DemoRow, Event, Failure, Outlet};
use crate::app::lang::say;
use crate::demo::run::{self, Options};
use crate::demo::text::Language;

use super::charts::Ended;
use super::{Studio, advised, failure};

/// How soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);

impl Studio {
    /// The demos as the list shows them.
    pub(super) fn demos(&self, language: Language) -> Vec<DemoRow> {
        let row = |demo: &crate::demo::catalog::Demo| DemoRow {
            id: demo.id.clone(),
            title: demo.title.get(language).to_owned(),
            summary: demo.summary.get(language).to_owned(),
            topics: demo.topics.iter().map(|topic| topic.name.clone()).collect(),
            projections: demo.read_models().map(|p| p.name.clone()).collect(),
            steps: run::plan(demo, language)
                .into_iter()
                .filter(|s| !s.check && !s.action)
                .map(|s| s.title)
                .collect(),
        };
        self.demos.catalog.demos().iter().map(row).collect()
    }

    /// Runs a demo and hands on its steps as they stand.
    pub(super) fn run_demo(&self, id: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let demo = self.demos.catalog.get(id).map_err(failure)?.clone();
        let options = Options {
            language: out.language(),
            // On a cluster that is somebody's, nothing of theirs has such a name.
            prefix: link.embedded.is_none().then(|| format!("foldlog-demo-{id}-")),
            ..Options::default()
        };
        let run = run::run(self.writing(&link)?, link.store.clone(), demo, options);
        let mut steps = run.steps();
        out.send(Event::Steps(steps.borrow_and_update().clone()));
        loop {
            if out.cancelled() {
                run.cancel();
            }
            let changed = self.handle.block_on(async { timeout(EVERY, steps.changed()).await });
            // The sender is gone: the run is over, and what was sent last has to be said still.
            if matches!(changed, Ok(Err(_))) {
                let last = steps.borrow().clone();
                out.send(Event::Steps(last));
                break;
            }
            if changed.is_ok() {
                out.send(Event::Steps(steps.borrow_and_update().clone()));
            }
        }
        let scene = run.scene();
        let outcome = run.wait().map_err(advised)?;
        let ended = Ended {
            outcome: outcome.clone(),
            scene: scene.borrow().clone(),
        };
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), ended);
        let checks = outcome.steps.iter().filter(|step| step.check);
        let held = checks
            .clone()
            .filter(|step| step.state == run::StepState::Passed)
            .count();
        let text = say!(out, "{id}: {held} of {all} checks hold", id, held, all = checks.count());
        if outcome.passed {
            Ok(Event::Done(text))
        } else {
            Err(Failure::new(text))
        }
    }
}

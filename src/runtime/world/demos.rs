//! Demos, run on the studio's cluster.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::app::job::{Cue, DemoRow, Event, Failure, Outlet, Staged};
use crate::app::lang::{Speaks, say};
use crate::app::screens::guide::{Guidance, Known};
use crate::demo::catalog::Demo;
use crate::demo::diary::Diary;
use crate::demo::fault::{Fault, faults};
use crate::demo::graph::Graph;
use crate::demo::guide::Guide;
use crate::demo::player::{Speed, Stands};
use crate::demo::run::{self, Options, Outcome, Run, StepState};
use crate::demo::snapshot::Snapshot;
use crate::demo::text::Language;

use super::charts::Ended;
use super::{Studio, advised, failure};

/// How soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);

impl Studio {
    /// The demos as the list shows them.
    pub(super) fn demos(&self, language: Language) -> Vec<DemoRow> {
        let row = |demo: &Demo| DemoRow {
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
            guide: false,
            live: demo.is_live(),
            graph: Arc::new(Graph::of(demo)),
            script: Arc::new(run::script(demo)),
            faults: Arc::new(faults(demo)),
            charted: demo.charts.iter().map(|chart| chart.store.clone()).collect(),
        };
        let guide = |guide: &Guide| DemoRow {
            id: guide.id.clone(),
            title: guide.title.get(language).to_owned(),
            summary: guide.summary.get(language).to_owned(),
            steps: guide
                .questions
                .iter()
                .map(|question| question.ask.get(language).to_owned())
                .collect(),
            guide: true,
            ..DemoRow::default()
        };
        let (demos, guides) = (self.demos.catalog.demos(), self.demos.catalog.guides());
        demos.iter().map(row).chain(guides.iter().map(guide)).collect()
    }

    /// The guide, and what was done of the demos that there are.
    pub(super) fn guide(&self, out: &dyn Outlet) -> Result<Event, Failure> {
        let catalog = &self.demos.catalog;
        let guide = catalog.guide();
        let guide = guide.ok_or_else(|| Failure::new(out.tr("there is no guide")))?;
        let link = self.link().ok();
        let done = |id: &str| {
            let done = Diary::read(&link.as_ref()?.store, id).done?;
            Some(done.held == done.checks)
        };
        let known = |demo: &Demo| Known {
            title: demo.title.clone(),
            summary: demo.summary.clone(),
            done: done(&demo.id),
        };
        let demos = catalog.demos().iter().map(|demo| (demo.id.clone(), known(demo)));
        Ok(Event::Guide(Box::new(Guidance {
            guide: Arc::new(guide.clone()),
            demos: demos.collect(),
        })))
    }

    /// Runs a demo, hands on how it stands, and does what it is told.
    pub(super) fn run_demo(&self, id: &str, by_step: bool, speed: Speed, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let demo = self.demos.catalog.get(id).map_err(failure)?.clone();
        let faults = faults(&demo);
        let options = Options {
            language: out.language(),
            // On a cluster that is somebody's, nothing of theirs has such a name.
            prefix: link.embedded.is_none().then(|| run::prefix(id)),
            // A lesson may take the broker away where this process runs it.
            embedded: link.embedded.clone(),
            by_step,
            speed,
            attended: true,
            ..Options::default()
        };
        let run = run::run(self.writing(&link)?, link.store.clone(), demo, options);
        thread::scope(|scope| {
            scope.spawn(|| self.show(&run, id, out));
            obey(&run, &faults, out);
        });
        let last = staged(&run);
        let outcome = run.wait().map_err(advised);
        let scene = last.scene.clone();
        // What was sent last may have come before the end.
        out.send(Event::Staged(Box::new(last)));
        let outcome = outcome?;
        self.note(id, outcome.clone(), scene);
        let checks = outcome.steps.iter().filter(|step| step.check);
        let held = checks.clone().filter(|step| step.state == StepState::Passed).count();
        let text = say!(out, "{id}: {held} of {all} checks hold", id, held, all = checks.count());
        if outcome.passed {
            Ok(Event::Done(text))
        } else {
            Err(Failure::new(text))
        }
    }

    /// Takes note of how a run ended, for its report.
    fn note(&self, id: &str, outcome: Outcome, scene: Snapshot) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.insert(id.to_owned(), Ended { outcome, scene });
    }

    /// Hands on how a run stands whenever that changes, until it is over. The end of its lesson is taken note of, though what it runs
    /// goes on.
    fn show(&self, run: &Run, id: &str, out: &dyn Outlet) {
        let began = Instant::now();
        let mut over = false;
        let (mut steps, mut scene, mut by_hand) = (run.steps(), run.scene(), run.by_hand());
        let mut clock = run.player().view();
        loop {
            let view = Staged {
                steps: steps.borrow_and_update().clone(),
                scene: scene.borrow_and_update().clone(),
                by_hand: by_hand.borrow_and_update().clone(),
                clock: *clock.borrow_and_update(),
            };
            if view.clock.stands == Stands::Over && !over {
                over = true;
                let outcome = Outcome {
                    passed: view.steps.iter().all(|step| step.state == StepState::Passed),
                    steps: view.steps.clone(),
                    by_hand: view.by_hand.clone(),
                    took: began.elapsed(),
                };
                self.note(id, outcome, view.scene.clone());
            }
            out.send(Event::Staged(Box::new(view)));
            let changed = self.handle.block_on(async {
                tokio::select! {
                    changed = steps.changed() => changed,
                    changed = scene.changed() => changed,
                    changed = by_hand.changed() => changed,
                    changed = clock.changed() => changed,
                }
            });
            if changed.is_err() {
                return;
            }
        }
    }
}

fn staged(run: &Run) -> Staged {
    Staged {
        steps: run.steps().borrow().clone(),
        scene: run.scene().borrow().clone(),
        by_hand: run.by_hand().borrow().clone(),
        clock: *run.player().view().borrow(),
    }
}

/// Does what a run is told until it is over.
fn obey(run: &Run, faults: &[Fault], out: &dyn Outlet) {
    let player = run.player();
    while !run.is_finished() {
        if out.cancelled() {
            run.cancel();
        }
        match out.cue(EVERY) {
            None => {}
            Some(Cue::Play) => player.play(),
            Some(Cue::Pause) => player.pause(),
            Some(Cue::OneRecord) => player.one_record(),
            Some(Cue::Speed(speed)) => player.set_speed(speed),
            Some(Cue::NextStep) => player.next_step(),
            Some(Cue::ByStep(by_step)) => player.set_by_step(by_step),
            Some(Cue::Fault(at)) => {
                let taken = faults.get(at).is_some_and(|fault| player.ask(fault.clone()));
                if !taken {
                    out.send(Event::Refused("what was asked for before is still to be done".into()));
                }
            }
        }
    }
}

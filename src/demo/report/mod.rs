//! What a run did, to be read later and elsewhere: the lesson, each step with what it did and saw, the flow, the charts. One
//! self-contained HTML file, or Markdown. Text of records is escaped in both.

mod flow;
mod html;
mod lesson;
mod markdown;

use std::time::Duration;

use crate::readmodel::error::ReadModelError;
use crate::readmodel::query::Session;
use crate::readmodel::store::Store;
use crate::record::Timestamp;

use super::catalog::Demo;
use super::chart::Shown;
use super::run::{ByHand, Outcome, StepState, StepView};
use super::snapshot::Snapshot;
use super::text::Language;

/// A run, with what it left to be seen.
#[derive(Debug)]
pub struct Report {
    /// The demo's id.
    pub id: String,
    /// In which language it is written.
    pub language: Language,
    /// The cluster that it ran on.
    pub cluster: String,
    /// When it ended.
    pub at: Timestamp,
    title: String,
    summary: String,
    lesson: String,
    took: Duration,
    passed: bool,
    held: usize,
    checks: usize,
    steps: Vec<Step>,
    scene: Snapshot,
    charts: Vec<Shown>,
}

/// A step of the run, with what it did and checked.
#[derive(Debug)]
struct Step {
    view: StepView,
    text: String,
    lines: Vec<StepView>,
}

impl Report {
    /// What is known of a run that has just ended. The charts are asked for now.
    pub fn of(
        demo: &Demo,
        outcome: &Outcome,
        scene: Snapshot,
        store: &Store,
        (cluster, at, language): (&str, Timestamp, Language),
    ) -> Result<Self, ReadModelError> {
        let session = Session::open(store)?;
        let checks = outcome.steps.iter().filter(|step| step.check);
        let held = checks.clone().filter(|check| check.state == StepState::Passed);
        Ok(Self {
            id: demo.id.clone(),
            language,
            cluster: cluster.to_owned(),
            at,
            title: demo.title.get(language).to_owned(),
            summary: demo.summary.get(language).to_owned(),
            lesson: demo.lesson(language).to_owned(),
            took: outcome.took,
            passed: outcome.passed,
            held: held.count(),
            checks: checks.count(),
            steps: steps(demo, outcome, language),
            scene,
            charts: demo.charts.iter().map(|chart| chart.ask(&session, language)).collect(),
        })
    }

    /// As a page that needs nothing else: no script, no style and no picture from elsewhere.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown::text(self)
    }

    fn say(&self, en: &'static str, zh: &'static str) -> &'static str {
        match self.language {
            Language::English => en,
            Language::Chinese => zh,
        }
    }

    /// How the run went, in a line.
    fn verdict(&self) -> String {
        let (held, checks, took) = (self.held, self.checks, self.took.as_secs_f64());
        match self.language {
            Language::English => format!("{held} of {checks} checks hold, {took:.1} s"),
            Language::Chinese => format!("{checks} 项检查中 {held} 项成立，用时 {took:.1} 秒"),
        }
    }

    /// Where and when.
    fn place(&self) -> String {
        let at = crate::chart::scale::full(self.at.0 as f64, &jiff::tz::TimeZone::UTC);
        format!("{} · {at} UTC · foldlog {}", self.cluster, env!("CARGO_PKG_VERSION"))
    }
}

/// The lines of a run, gathered below their steps, each with what was done by hand while it was under way.
fn steps(demo: &Demo, outcome: &Outcome, language: Language) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, view) in outcome.steps.iter().enumerate() {
        match steps.last_mut() {
            Some(step) if view.check || view.action => step.lines.push(view.clone()),
            _ => steps.push(Step {
                view: view.clone(),
                text: String::new(),
                lines: Vec::new(),
            }),
        }
        let by_hand = outcome.by_hand.iter().filter(|done| done.line == at);
        if let Some(step) = steps.last_mut() {
            step.lines.extend(by_hand.map(|done| hand(done, language)));
        }
    }
    // What comes before the lesson has no text of its own.
    let before = steps.len().saturating_sub(demo.steps.len());
    for (step, told) in steps.iter_mut().skip(before).zip(&demo.steps) {
        step.text = told.text.get(language).to_owned();
    }
    steps
}

/// What was done by hand, as a line of the run.
fn hand(done: &ByHand, language: Language) -> StepView {
    let title = done.title.get(language);
    StepView {
        title: match language {
            Language::English => format!("by hand: {title}"),
            Language::Chinese => format!("手动：{title}"),
        },
        state: done.state,
        note: done.note.clone(),
        action: true,
        ..StepView::default()
    }
}

/// What a line of the run is marked with.
fn mark(view: &StepView) -> &'static str {
    match (view.state, view.action) {
        (StepState::Passed, true) => "·",
        (StepState::Passed, false) => "✓",
        (StepState::Failed, _) => "✗",
        (StepState::Running | StepState::Waiting, _) => "–",
    }
}

/// One line of what a step has to say, whatever it holds.
fn line(text: &str) -> String {
    crate::decode::printable::one_line(text.as_bytes(), 1_000).text
}

#[cfg(test)]
mod tests;

//! What happens while a demo runs, step by step.

use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::projection::Projection;
use crate::readmodel::query::{Cell, Session};
use crate::readmodel::store::Store;
use crate::replay::progress::Progress;
use crate::replay::rebuild::{RebuildOptions, RebuildReport, rebuild};
use crate::replay::task::Task;

use super::catalog::{Check, Demo};
use super::error::DemoError;
use super::manifest::Expected;
use super::produce::Hands;
use super::run::{Options, Outcome, StepState, StepView};
use super::text::Language;

/// What the run's thread works with.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) demo: Demo,
    pub(super) options: Options,
    pub(super) cancel: CancellationToken,
    pub(super) steps: watch::Sender<Vec<StepView>>,
}

impl Stage {
    pub(super) fn perform(self) -> Result<Outcome, DemoError> {
        let began = Instant::now();
        let mut at = 0;
        let result = self.all(&mut at);
        let passed = match result {
            Ok(passed) => passed,
            Err(error) => {
                self.set(at, StepState::Failed, error.to_string());
                return Err(error);
            }
        };
        let steps = self.steps.borrow().clone();
        Ok(Outcome {
            steps,
            passed,
            took: began.elapsed(),
        })
    }

    fn set(&self, at: usize, state: StepState, note: impl Into<String>) {
        let note = note.into();
        self.steps.send_modify(|steps| {
            if let Some(step) = steps.get_mut(at) {
                step.state = state;
                step.note = note;
            }
        });
    }

    fn say(&self, en: String, zh: String) -> String {
        match self.options.language {
            Language::English => en,
            Language::Chinese => zh,
        }
    }

    /// Every step in turn; `at` is the one under way, for whoever reports a failure. Says whether all checks held.
    fn all(&self, at: &mut usize) -> Result<bool, DemoError> {
        self.set(*at, StepState::Running, "");
        self.check_read_models()?;
        let events = self.demo.events()?;
        self.demo.check_events(&events)?;
        let hands = Hands {
            client: &self.client,
            cancel: &self.cancel,
            reset: self.options.reset,
        };
        let mut ready = Vec::new();
        let mut there = 0;
        for topic in &self.demo.topics {
            let (topic, was_there) = hands.prepare(topic, &events)?;
            there += usize::from(was_there && !self.options.reset);
            ready.push(topic);
        }
        let names: Vec<&str> = self.demo.topics.iter().map(|topic| topic.name.as_str()).collect();
        let names = names.join(", ");
        let note = match there {
            0 => names,
            _ if there == self.demo.topics.len() => {
                self.say(format!("{names}: there already"), format!("{names}：已经存在"))
            }
            _ => self.say(
                format!("{names}: {there} there already"),
                format!("{names}：已有 {there} 个"),
            ),
        };
        self.set(*at, StepState::Passed, note);

        *at += 1;
        self.set(*at, StepState::Running, "");
        let written = hands.produce(&ready, &events, |done, total| {
            let (done, total) = (thousands(done as u64), thousands(total as u64));
            self.set(*at, StepState::Running, format!("{done} / {total}"));
        })?;
        let (new, held) = (thousands(written as u64), thousands((events.len() - written) as u64));
        let note = if written == events.len() {
            self.say(format!("{new} written"), format!("写入 {new} 条"))
        } else {
            self.say(
                format!("{new} written, {held} there already"),
                format!("写入 {new} 条，已有 {held} 条"),
            )
        };
        self.set(*at, StepState::Passed, note);

        for projection in &self.demo.projections {
            *at += 1;
            self.set(*at, StepState::Running, "");
            let report = self.rebuild(*at, projection)?;
            self.set(*at, StepState::Passed, self.rebuilt(&report));
        }
        self.lesson(at)
    }

    /// A read model of the same name that was built from another file is somebody's own.
    fn check_read_models(&self) -> Result<(), DemoError> {
        if self.options.reset {
            return Ok(());
        }
        let known = self.store.list()?;
        for projection in &self.demo.projections {
            let same = |name: &str| name.eq_ignore_ascii_case(&projection.name);
            if let Some(other) = known
                .iter()
                .find(|info| same(&info.name) && info.file != projection.file)
            {
                return Err(DemoError::NotOurs {
                    reason: format!("the read model {} was built from {}", other.name, other.file),
                    help:
                        "it was left as it is. Run the demo with another --data DIR, or with --reset, which replaces it"
                            .to_owned(),
                });
            }
        }
        Ok(())
    }

    fn rebuild(&self, at: usize, projection: &Projection) -> Result<RebuildReport, DemoError> {
        let options = RebuildOptions::default();
        let task = rebuild(self.client.clone(), self.store.clone(), projection.clone(), options);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| DemoError::Crashed(error.to_string()))?;
        runtime.block_on(self.watch(at, &task));
        Ok(task.wait()?)
    }

    /// Passes on how far a rebuild is until it is over.
    async fn watch(&self, at: usize, task: &Task<RebuildReport>) {
        let mut progress = task.progress();
        let mut cancelled = false;
        loop {
            tokio::select! {
                () = self.cancel.cancelled(), if !cancelled => {
                    task.cancel();
                    cancelled = true;
                }
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let note = under_way(&progress.borrow_and_update());
                    self.set(at, StepState::Running, note);
                }
            }
        }
    }

    fn rebuilt(&self, report: &RebuildReport) -> String {
        let counts = report.info.counts;
        let poison = counts.skipped + counts.poisoned;
        let (records, ignored, took) = (
            thousands(report.records),
            thousands(counts.ignored),
            report.took.as_secs_f64(),
        );
        let mut note = self.say(
            format!("{records} records, {ignored} ignored, {took:.2} s"),
            format!("{records} 条记录，忽略 {ignored} 条，{took:.2} 秒"),
        );
        if poison > 0 {
            let poison = thousands(poison);
            note += &self.say(format!(", {poison} poison"), format!("，毒丸 {poison} 条"));
        }
        note
    }

    fn lesson(&self, at: &mut usize) -> Result<bool, DemoError> {
        if self.demo.steps.is_empty() {
            return Ok(true);
        }
        let session = Session::open(&self.store)?;
        let mut all = true;
        for step in &self.demo.steps {
            *at += 1;
            let title = *at;
            self.set(title, StepState::Running, "");
            let mut held = 0;
            for check in &step.checks {
                *at += 1;
                if self.cancel.is_cancelled() {
                    return Err(DemoError::Cancelled);
                }
                self.set(*at, StepState::Running, "");
                let (holds, note) = self.check(&session, check)?;
                held += usize::from(holds);
                let state = if holds { StepState::Passed } else { StepState::Failed };
                self.set(*at, state, note);
            }
            let holds = held == step.checks.len();
            all &= holds;
            let state = if holds { StepState::Passed } else { StepState::Failed };
            let note = match step.checks.len() {
                0 => String::new(),
                count => format!("{held} / {count}"),
            };
            self.set(title, state, note);
        }
        Ok(all)
    }

    fn check(&self, session: &Session, check: &Check) -> Result<(bool, String), DemoError> {
        let found = session.query(&check.sql, check.expect.len() + 1)?;
        let holds = found.rows.len() == check.expect.len()
            && found.rows.iter().zip(&check.expect).all(|(row, expected)| {
                row.len() == expected.len() && row.iter().zip(expected).all(|(c, e)| equal(c, e))
            });
        let shown: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let shown = rows(&shown);
        if holds {
            return Ok((true, shown));
        }
        let expected: Vec<Vec<String>> = check
            .expect
            .iter()
            .map(|row| row.iter().map(wanted).collect())
            .collect();
        let expected = rows(&expected);
        Ok((
            false,
            self.say(
                format!("{shown}, expected {expected}"),
                format!("{shown}，应为 {expected}"),
            ),
        ))
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn under_way(progress: &Progress) -> String {
    let percent = (progress.done * 100).checked_div(progress.total).unwrap_or(0);
    format!("{percent} %  {:.0}/s", progress.rate)
}

fn equal(cell: &Cell, expected: &Expected) -> bool {
    match (cell, expected) {
        (Cell::Integer(found), Expected::Integer(wanted)) => found == wanted,
        (Cell::Real(found), Expected::Real(wanted)) => found == wanted,
        (Cell::Text(found), Expected::Text(wanted)) => found == wanted,
        _ => false,
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(value) => value.clone(),
        Cell::Blob(value) => format!("{} bytes", value.len()),
    }
}

fn wanted(expected: &Expected) -> String {
    match expected {
        Expected::Integer(value) => value.to_string(),
        Expected::Real(value) => format!("{value:?}"),
        Expected::Text(value) => value.clone(),
    }
}

/// Rows on one line: cells with spaces between them, rows with semicolons.
fn rows(rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "no row".to_owned();
    }
    let line = rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join("; ");
    crate::decode::printable::one_line(line.as_bytes(), 200).text
}

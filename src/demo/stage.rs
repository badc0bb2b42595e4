//! What happens while a demo runs, step by step.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::readmodel::store::Store;
use crate::record::Timestamp;
use crate::replay::error::ReplayError;
use crate::replay::progress::Progress;
use crate::replay::rebuild::RebuildReport;
use crate::sink::lake;

use super::agents;
use super::board::Board;
use super::catalog::{Demo, LessonStep};
use super::connector;
use super::diary::{Diary, Done, Names};
use super::error::DemoError;
use super::folder::BUILT_IN;
use super::mirrors::Mirrors;
use super::player::{Player, Stands, Turn};
use super::produce::Hands;
use super::run::{ByHand, Options, Outcome, StepState, StepView};
use super::scene::Scene;
use super::snapshot::Snapshot;
use super::steps::{LOG, LOG_FILE};
use super::text::Language;
use super::timeline::Timeline;

/// What the run's thread works with.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) demo: Demo,
    pub(super) options: Options,
    pub(super) cancel: CancellationToken,
    pub(super) steps: watch::Sender<Vec<StepView>>,
    pub(super) scene: watch::Sender<Snapshot>,
    pub(super) by_hand: watch::Sender<Vec<ByHand>>,
    pub(super) player: Arc<Player>,
}

/// How a run goes, for whoever reports it.
#[derive(Default)]
struct Run {
    /// The line under way.
    at: usize,
    held: usize,
    checks: usize,
    /// Whether an action failed without ending the run.
    failed: bool,
}

impl Stage {
    pub(super) fn perform(mut self) -> Result<Outcome, DemoError> {
        let began = Instant::now();
        let mut run = Run::default();
        let done = self.all(&mut run, began);
        if let Err(error) = &done {
            self.set(run.at, StepState::Failed, error.to_string());
        }
        done?;
        let steps = self.steps.borrow().clone();
        Ok(Outcome {
            steps,
            by_hand: self.by_hand.borrow().clone(),
            passed: run.held == run.checks && !run.failed,
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

    /// Every step in turn.
    fn all(&mut self, run: &mut Run, began: Instant) -> Result<(), DemoError> {
        self.set(run.at, StepState::Running, "");
        self.demo.check_events(&self.demo.events()?)?;
        if let Some(prefix) = &self.options.prefix {
            self.demo = self.demo.clone().with_prefix(prefix)?;
        }
        let mut diary = Diary::read(&self.store, &self.demo.id);
        let before = self.take_over(&mut diary)?;
        self.check_read_models()?;
        let (client, store) = (self.client.clone(), self.store.clone());
        self.demo.check_sinks(&self.options.sinks)?;
        let mirrors = Mirrors::begin(&client, &self.demo)?;
        let mut board = Board::new(client.clone(), store.clone(), &self.demo, mirrors);
        board.feeds(&self.demo, &self.options.sinks);
        if self.options.embedded.is_some() {
            board.is_ours();
        }
        let board = Arc::new(board);
        let mut scene = Scene::new(
            client,
            store,
            self.demo.clone(),
            self.options.language,
            Arc::clone(&board),
            Arc::clone(&self.player),
            self.cancel.clone(),
        );
        scene.embedded = self.options.embedded.clone();
        scene.sinks.clone_from(&self.options.sinks);
        scene.attended = self.options.attended;
        scene.by_hand = Some(self.by_hand.clone());
        if self.demo.is_live() {
            self.begin_live(run, &mut scene, &diary, &before)?;
        } else {
            self.begin_still(run, &scene)?;
        }
        self.remember(&mut diary)?;
        board.start_lakes(&self.demo, &self.options.sinks);
        let published = board.publish(self.scene.clone())?;
        if self.demo.is_live() {
            self.start_parts(run, &scene);
        }
        let mut lesson = self.lesson(run, &mut scene);
        // Whoever breaks something by hand may write what no schema allows.
        if lesson.is_ok() && self.options.until.is_none() && !self.options.attended {
            lesson = scene.check_written();
        }
        if lesson.is_ok() && self.options.until.is_none() {
            diary.done = Some(Done {
                at: Timestamp::now().0,
                took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                held: run.held,
                checks: run.checks,
            });
        }
        if lesson.is_ok() {
            lesson = diary.write(&self.store, &self.demo.id);
        }
        if lesson.is_ok() && self.options.attended && self.demo.is_live() {
            self.stay(&mut scene);
        }
        let closed = scene.close();
        drop(published);
        lesson?;
        closed
    }

    /// Lets what runs go on, and does what is asked for, until the run is cancelled, which is how it ends then.
    fn stay(&self, scene: &mut Scene) {
        while let Ok(fault) = self.player.wait_for_fault(Stands::Over, &self.cancel) {
            scene.act_by_hand(&fault);
        }
    }

    /// Every event is in the topics and every read model is built before the first step.
    fn begin_still(&self, run: &mut Run, scene: &Scene) -> Result<(), DemoError> {
        let events = self.demo.events()?;
        let hands = self.hands();
        let mut ready = Vec::new();
        let mut there = 0;
        for topic in &self.demo.topics {
            let (topic, was_there) = hands.prepare(topic, &events)?;
            there += usize::from(was_there && !self.options.reset);
            ready.push(topic);
        }
        let names = self.topic_names();
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
        self.set(run.at, StepState::Passed, note);

        run.at += 1;
        self.set(run.at, StepState::Running, "");
        let written = hands.produce(&ready, &events, |done, total| {
            let (done, total) = (thousands(done as u64), thousands(total as u64));
            self.set(run.at, StepState::Running, format!("{done} / {total}"));
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
        self.set(run.at, StepState::Passed, note);
        for (source, events) in self.demo.sources()? {
            for event in &events {
                scene.board.wrote(&source.service, &event.topic, 1);
            }
        }

        for projection in &self.demo.projections {
            run.at += 1;
            self.set(run.at, StepState::Running, "");
            let say = |progress: &Progress| self.set(run.at, StepState::Running, under_way(progress));
            let report = scene.rebuild(projection, false, &say)?;
            self.set(run.at, StepState::Passed, self.rebuilt(&report));
        }
        Ok(())
    }

    /// Empty topics, no groups and no read models: every run of a live demo begins where the first did.
    fn begin_live(&self, run: &mut Run, scene: &mut Scene, diary: &Diary, before: &[String]) -> Result<(), DemoError> {
        scene.timeline = Timeline::of(&self.demo)?;
        scene.board.upcoming(scene.timeline.left());
        let hands = self.hands();
        for group in self.demo.processors.iter().map(|processor| &processor.group) {
            hands.clear_group(group, diary)?;
        }
        for topic in &self.demo.topics {
            hands.clear_topic(topic, diary)?;
        }
        for projection in self.demo.read_models() {
            self.store.delete(&projection.name)?;
        }
        connector::create(&self.store, &self.demo)?;
        agents::delete(&agents::folder(&self.store, &self.demo.id))?;
        for (_, topic, address) in self.demo.lakes(&self.store, &self.options.sinks) {
            if let Some(id) = diary.topics.get(&topic) {
                lake::forget(&address.dir, &topic, id).map_err(ReplayError::from)?;
            }
        }
        let names = self.topic_names();
        let note = match before {
            [] => names,
            before => {
                let before = before.join("; ");
                self.say(
                    format!("{names}; what other demos had left under these names is gone: {before}"),
                    format!("{names}；其他演示留下的同名内容已清除：{before}"),
                )
            }
        };
        self.set(run.at, StepState::Passed, note);
        Ok(())
    }

    /// What other demos left under the names of this one is this one's from now on; nobody may be at work on it. Returns what it was,
    /// and whose.
    fn take_over(&self, diary: &mut Diary) -> Result<Vec<String>, DemoError> {
        if !self.demo.is_live() {
            return Ok(Vec::new());
        }
        let names = Names {
            topics: self.demo.topics.iter().map(|topic| topic.name.as_str()).collect(),
            groups: self.demo.processors.iter().map(|known| known.group.as_str()).collect(),
            read_models: self.demo.read_models().map(|known| known.name.as_str()).collect(),
        };
        let hands = self.hands();
        let mut whose = Vec::new();
        for (id, mut other) in Diary::others(&self.store, &self.demo.id) {
            if other.shared(&names).is_empty() {
                continue;
            }
            for group in &other.groups {
                if !hands.is_idle(group)? {
                    return Err(DemoError::NotOurs {
                        reason: format!("the demo {id} uses the same names, and somebody is in its group {group}"),
                        help: "end its run first, or run this one with another --data DIR".to_owned(),
                    });
                }
            }
            let there = self.client.topic_ids(&names.topics)?;
            let shared = other.shared(&names).join(", ");
            whose.push(self.say(format!("{shared} of {id}"), format!("{id} 的 {shared}")));
            other.hand_over(diary, &names, &there);
            // In this order: what is nobody's would stop the next run.
            diary.write(&self.store, &self.demo.id)?;
            other.write(&self.store, &id)?;
        }
        Ok(whose)
    }

    fn start_parts(&self, run: &mut Run, scene: &Scene) {
        run.at += 1;
        self.set(run.at, StepState::Running, "");
        let captures = self.demo.databases.iter().filter(|database| database.start);
        let agents = self.demo.agents.iter().filter(|agent| agent.start);
        let processors = self.demo.processors.iter().filter(|processor| processor.start);
        let mirrors = self.demo.mirrors.iter().filter(|mirror| mirror.start);
        let started: Vec<&str> = captures
            .map(|database| database.capture.as_str())
            .chain(agents.map(|agent| agent.name.as_str()))
            .chain(processors.map(|processor| processor.name.as_str()))
            .chain(mirrors.map(|mirror| mirror.name.as_str()))
            .collect();
        started.iter().for_each(|name| scene.board.start(name, false));
        self.set(run.at, StepState::Passed, started.join(", "));
    }

    fn hands(&self) -> Hands<'_> {
        Hands {
            client: &self.client,
            cancel: &self.cancel,
            reset: self.options.reset,
        }
    }

    fn topic_names(&self) -> String {
        let names: Vec<&str> = self.demo.topics.iter().map(|topic| topic.name.as_str()).collect();
        names.join(", ")
    }

    /// Writes down what is this demo's from now on.
    fn remember(&self, diary: &mut Diary) -> Result<(), DemoError> {
        let names: Vec<&str> = self.demo.topics.iter().map(|topic| topic.name.as_str()).collect();
        diary.topics.extend(self.client.topic_ids(&names)?);
        diary
            .groups
            .extend(self.demo.processors.iter().map(|processor| processor.group.clone()));
        diary
            .read_models
            .extend(self.demo.read_models().map(|projection| projection.name.clone()));
        diary.write(&self.store, &self.demo.id)
    }

    /// A read model of the same name that was built from another file, and not from a demo's that is built in, is somebody's own.
    fn check_read_models(&self) -> Result<(), DemoError> {
        if self.options.reset {
            return Ok(());
        }
        let ours = self.demo.read_models().chain(&self.demo.spares);
        let mut ours: Vec<(&str, &str)> = ours.map(|known| (known.name.as_str(), known.file.as_str())).collect();
        if self.demo.asks_log() {
            ours.push((LOG, LOG_FILE));
        }
        for info in self.store.list()? {
            let mut same = ours
                .iter()
                .filter(|(name, _)| info.name.eq_ignore_ascii_case(name))
                .peekable();
            if same.peek().is_some() && !info.file.starts_with(BUILT_IN) && !same.any(|(_, file)| info.file == *file) {
                return Err(DemoError::NotOurs {
                    reason: format!("the read model {} was built from {}", info.name, info.file),
                    help:
                        "it was left as it is. Run the demo with another --data DIR, or with --reset, which replaces it"
                            .to_owned(),
                });
            }
        }
        Ok(())
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

    fn lesson(&self, run: &mut Run, scene: &mut Scene) -> Result<(), DemoError> {
        let until = self.options.until.unwrap_or(usize::MAX);
        for step in self.demo.steps.iter().take(until) {
            while let Turn::Asked(fault) = self.player.wait_for_step(&self.cancel)? {
                scene.act_by_hand(&fault);
            }
            run.at += 1;
            scene.line = run.at;
            self.step(run, scene, step)?;
        }
        Ok(())
    }

    fn step(&self, run: &mut Run, scene: &mut Scene, step: &LessonStep) -> Result<(), DemoError> {
        let title = run.at;
        self.set(title, StepState::Running, "");
        let mut failed = false;
        for action in &step.actions {
            run.at += 1;
            let line = run.at;
            if failed {
                continue;
            }
            scene.line = line;
            self.set(line, StepState::Running, "");
            match scene.act(action, &|note| self.set(line, StepState::Running, note)) {
                Ok(note) => self.set(line, StepState::Passed, note),
                // Whoever broke something by hand wants to mend it, and not to begin anew.
                Err(error) if self.options.attended && !matches!(error, DemoError::Cancelled) => {
                    failed = true;
                    self.set(line, StepState::Failed, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let mut held = 0;
        for check in &step.checks {
            run.at += 1;
            if self.cancel.is_cancelled() {
                return Err(DemoError::Cancelled);
            }
            scene.line = run.at;
            self.set(run.at, StepState::Running, "");
            let seen = match scene.look(&check.condition) {
                Err(error) if self.options.attended => {
                    self.set(run.at, StepState::Failed, error.to_string());
                    continue;
                }
                seen => seen?,
            };
            held += usize::from(seen.holds);
            if seen.holds {
                self.set(run.at, StepState::Passed, seen.found);
            } else {
                let (found, wanted) = (seen.found, seen.wanted);
                let by_hand = scene.written_by_hand();
                let note = self.say(
                    format!("{found}, expected {wanted}{by_hand}"),
                    format!("{found}，应为 {wanted}{by_hand}"),
                );
                self.set(run.at, StepState::Failed, note);
            }
        }
        run.failed |= failed;
        run.held += held;
        run.checks += step.checks.len();
        let holds = held == step.checks.len() && !failed;
        let state = if holds { StepState::Passed } else { StepState::Failed };
        let note = match step.checks.len() {
            0 => String::new(),
            count => format!("{held} / {count}"),
        };
        self.set(title, state, note);
        Ok(())
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

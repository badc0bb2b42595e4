//! Everything that the studio knows.

use std::collections::VecDeque;

use jiff::tz::TimeZone;

use crate::broker::profile::Access;
use crate::demo::text::Language;
use crate::record::Timestamp;

use super::command::{Action, COMMANDS, Command, Context};
use super::job::{ClusterView, Failure, Job, TaskId};
use super::lang::Speaks;
use super::layout::Layout;
use super::list::List;
use super::message::Effect;
use super::overlay::{Overlay, Tried};
use super::remote::Remote;
use super::screens::{
    alerts, blame, charts, demos, differences, groups, guide, letters, previews, projections, readmodel, records,
    scene, time, topics,
};
use super::work::Work;

/// The smallest terminal that a screen is drawn for.
pub const SMALLEST: (u16, u16) = (60, 16);
/// How many messages are kept.
const MESSAGES: usize = 200;

/// A screen: each answers one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// What is there?
    Topics,
    /// What is in this topic?
    Records,
    /// What can be built, and how far is it?
    Projections,
    /// What could not be applied, and why?
    Letters,
    /// Which rows should not be, and since when?
    Alerts,
    /// What came out?
    ReadModel,
    /// What was it at this moment, and why?
    Time,
    /// Which events made this row what it is?
    Blame,
    /// What differs, and since when?
    Differences,
    /// What does it look like?
    Charts,
    /// What can I learn from?
    Demos,
    /// What flows here, and what happens if it breaks?
    Scene,
    /// Which demo fits, and what comes next?
    Guide,
    /// Who reads, and how far behind?
    Groups,
}

impl Screen {
    /// Every screen.
    pub const ALL: &'static [Self] = &[
        Self::Topics,
        Self::Records,
        Self::Projections,
        Self::Letters,
        Self::Alerts,
        Self::ReadModel,
        Self::Time,
        Self::Blame,
        Self::Differences,
        Self::Charts,
        Self::Demos,
        Self::Scene,
        Self::Guide,
        Self::Groups,
    ];

    /// What the header calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Records => "records",
            Self::Projections => "projections",
            Self::Letters => "dead letters",
            Self::Alerts => "alerts",
            Self::ReadModel => "read models",
            Self::Time => "time",
            Self::Blame => "blame",
            Self::Differences => "differences",
            Self::Charts => "charts",
            Self::Demos => "demos",
            Self::Scene => "scene",
            Self::Guide => "guide",
            Self::Groups => "groups",
        }
    }
}

/// One of the panes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// What there is.
    #[default]
    List,
    /// The one under the cursor.
    Detail,
    /// What more there is, on the screen that has three.
    Third,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something was done.
    Done,
    /// Something cannot be done now.
    Hint,
    /// Something is not as one would expect.
    Warning,
    /// Something failed.
    Error,
}

/// A message to the user, kept for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// One line.
    pub line: String,
    /// The whole of it; empty where the line is all.
    pub full: String,
}

/// Everything that the studio knows.
#[derive(Debug, Clone)]
pub struct Model {
    /// The time, as of the last tick.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The zone of the machine.
    pub local: TimeZone,
    /// Whether times are shown in UTC instead.
    pub utc: bool,
    /// The language that the studio speaks.
    pub language: Language,
    /// What the cluster is called, or its address; known before it answers.
    pub target: String,
    /// The cluster.
    pub cluster: Remote<ClusterView>,
    /// The screen in view.
    pub screen: Screen,
    /// The screens that Esc goes back to, newest last, each with the pane that had the focus.
    pub back: Vec<(Screen, Pane)>,
    /// Which pane has the focus.
    pub pane: Pane,
    /// Whether the focused pane has the whole body.
    pub zoom: bool,
    /// The first line of the detail in view.
    pub detail: usize,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// What was typed last, while it is being tried.
    pub tried: Option<Tried>,
    /// The topics.
    pub topics: topics::Topics,
    /// The records of the topic that is open.
    pub records: Option<records::Records>,
    /// The projections.
    pub projections: projections::Projections,
    /// What their files would make of the log as they are saved now.
    pub previews: previews::Previews,
    /// The dead letters of one, while they are looked at.
    pub letters: Option<letters::Letters>,
    /// The alerts of one, while they are looked at.
    pub alerts: Option<alerts::Alerts>,
    /// The read models.
    pub readmodel: readmodel::ReadModel,
    /// The time machine, while it is open.
    pub time: Option<time::Time>,
    /// What differs between two read models, while that is looked at.
    pub differences: Option<differences::Differences>,
    /// Conditions that were run to in the past of this read model, oldest first.
    pub conditions: Vec<time::conditions::Condition>,
    /// Which one that is.
    pub conditions_of: String,
    /// The events that wrote a row, while they are looked at.
    pub blame: Option<blame::Blame>,
    /// The charts of one, while they are looked at.
    pub charts: Option<charts::Charts>,
    /// The demos.
    pub demos: demos::Demos,
    /// The guide.
    pub guiding: guide::Guiding,
    /// The groups.
    pub groups: groups::Groups,
    /// Running work, oldest first.
    pub works: Vec<Work>,
    /// Deletions under way.
    pub deleting: Vec<(TaskId, String)>,
    /// Every message of the session, oldest first.
    pub messages: VecDeque<Note>,
    /// The message that the footer shows until the next key.
    pub notice: Option<Note>,
    /// Where the last frame put things.
    pub layout: Layout,
    last_task: u64,
}

impl Model {
    /// A studio before anything happened.
    pub fn new(now: Timestamp, local: TimeZone, size: (u16, u16)) -> Self {
        Self {
            now,
            size,
            local,
            utc: true,
            language: Language::English,
            target: String::new(),
            cluster: Remote::default(),
            screen: Screen::Topics,
            back: Vec::new(),
            pane: Pane::List,
            zoom: false,
            detail: 0,
            overlay: None,
            tried: None,
            topics: topics::Topics::default(),
            records: None,
            projections: projections::Projections::default(),
            previews: previews::Previews::default(),
            letters: None,
            alerts: None,
            readmodel: readmodel::ReadModel::default(),
            time: None,
            conditions: Vec::new(),
            conditions_of: String::new(),
            blame: None,
            differences: None,
            charts: None,
            demos: demos::Demos::default(),
            guiding: guide::Guiding::default(),
            groups: groups::Groups::default(),
            works: Vec::new(),
            deleting: Vec::new(),
            messages: VecDeque::new(),
            notice: None,
            layout: Layout::default(),
            last_task: 0,
        }
    }

    /// Starts a job and names it.
    pub fn start(&mut self, job: Job, fx: &mut Vec<Effect>) -> TaskId {
        self.last_task += 1;
        let id = TaskId(self.last_task);
        fx.push(Effect::Start(id, job));
        id
    }

    /// What the next job will be named.
    pub fn next_task(&self) -> TaskId {
        TaskId(self.last_task + 1)
    }

    /// Tells the user something, in the user's language where the catalog has it.
    pub fn tell(&mut self, level: Level, line: impl Into<String>) {
        let line = self.tr(&line.into()).to_owned();
        self.note(level, line, String::new());
    }

    /// Tells the user what failed; `what` may be empty where the failure says it.
    pub fn tell_failure(&mut self, what: &str, failure: &Failure) {
        let gap = if what.is_empty() { "" } else { ": " };
        let line = format!("{}{gap}{}", self.tr(what), self.tr(&failure.summary));
        self.note(Level::Error, line, failure.full.clone());
    }

    /// Tells the user what a replay says of a projection; what follows its first line is advice that the messages show.
    pub fn tell_notice(&mut self, name: &str, notice: &str) {
        let first = notice.lines().next().unwrap_or_default();
        self.note(Level::Warning, format!("{name}: {first}"), notice.to_owned());
    }

    fn note(&mut self, level: Level, line: String, full: String) {
        let note = Note {
            at: self.now,
            level,
            line,
            full,
        };
        // What is asked again and again must not push out of the list what was said before.
        let repeated = self
            .messages
            .back()
            .is_some_and(|last| last.line == note.line && last.full == note.full);
        if level != Level::Hint && !repeated {
            self.messages.push_back(note.clone());
            if self.messages.len() > MESSAGES {
                self.messages.pop_front();
            }
        }
        self.notice = Some(note);
    }

    /// Speaks the next language from now on; what was said stays as it was said.
    pub fn switch_language(&mut self) {
        self.language = match self.language {
            Language::English => Language::Chinese,
            Language::Chinese => Language::English,
        };
    }

    /// Whether the terminal is too small for a screen.
    pub fn too_small(&self) -> bool {
        self.size.0 < SMALLEST.0 || self.size.1 < SMALLEST.1
    }

    /// Whether the welcome is in view: the embedded broker answers and holds nothing yet.
    pub fn welcome(&self) -> bool {
        self.screen == Screen::Topics
            && self.topics.none()
            && self.cluster.value.as_ref().is_some_and(|c| c.embedded)
            && self.topics.list.filter().is_empty()
    }

    /// The zone that times are shown in.
    pub fn zone(&self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { self.local.clone() }
    }

    /// Which commands work now, by context.
    pub fn contexts(&self) -> Vec<Context> {
        match &self.overlay {
            Some(Overlay::Help { .. } | Overlay::Messages { .. }) => {
                vec![Context::Always, Context::Overlay, Context::Motion]
            }
            Some(_) => vec![Context::Always],
            None => {
                let mut contexts = contexts_of(self.screen, self.pane);
                if self.welcome() {
                    contexts.push(Context::Welcome);
                }
                contexts
            }
        }
    }

    /// Why an action cannot be done now; `None` if it can.
    pub fn refusal(&self, action: Action) -> Option<&'static str> {
        let records = self.records.as_ref();
        let projection = self.projections.selected();
        let read_only = self
            .cluster
            .value
            .as_ref()
            .is_some_and(|c| c.access == Access::ReadOnly);
        let no = |ok: bool, why: &'static str| (!ok).then_some(why);
        match action {
            Action::Open if self.screen == Screen::Scene => scene::refusal(self, action),
            Action::Open => no(self.can_open(), "there is nothing under the cursor"),
            Action::OpenRecord if self.screen == Screen::Letters => {
                no(letters::selected(self).is_some(), "there is no record under the cursor")
            }
            Action::OpenRecord | Action::Time if self.screen == Screen::Alerts => {
                no(alerts::event(self).is_some(), "there is no alert under the cursor")
            }
            Action::Retry | Action::Skip | Action::SkipKey | Action::Mend | Action::Replay => letters::refusal(self),
            Action::Preview => previews::refusal(self),
            Action::Accept | Action::DropPreview => no(
                previews::of_selected(self).is_some(),
                "there is no preview: p builds one of a file that was changed",
            ),
            Action::BringBack => no(
                projection.is_some_and(|p| p.previous && projections::work(self, &p.name).is_none()),
                "there is no build before this one that could be brought back",
            ),
            Action::Verify => no(
                differences::verifiable(self).is_some(),
                "there is no read model under the cursor: r builds one on the projections screen",
            ),
            Action::Without | Action::WithoutWhere | Action::Instead | Action::Besides | Action::MoveEvent => no(
                differences::thinkable(self).is_some(),
                match self.screen {
                    Screen::Records => "no read model that was built folds this topic",
                    _ => "there is no event under the cursor",
                },
            ),
            Action::OpenRecord | Action::Time if self.screen == Screen::Differences => no(
                differences::event(self).is_some(),
                "there is no event after which they part",
            ),
            Action::Blame => no(
                blame::wanted(self).is_some(),
                match self.screen {
                    Screen::ReadModel if self.readmodel.page.is_none() => {
                        "these rows are a query's: blame knows those of a table, which the list shows"
                    }
                    _ => "there is no row under the cursor",
                },
            ),
            Action::OpenRow => no(!self.readmodel.is_empty(), "there is no row under the cursor"),
            Action::Order if self.screen == Screen::Blame => None,
            Action::Tail | Action::Order => no(records.is_some(), "open a topic first"),
            Action::Pause => no(
                records.is_some_and(|r| r.tail.is_some()),
                "no tail is live: f starts one",
            ),
            Action::Partitions => no(
                records.is_some_and(|r| r.window.watermarks.len() > 1 || r.partitions.is_some()),
                "the topic has one partition",
            ),
            Action::DeleteTopic if read_only => Some("this cluster is read-only here"),
            Action::DeleteTopic => no(self.topics.selected().is_some(), "there is no topic under the cursor"),
            Action::Rebuild | Action::RebuildSkipping | Action::Follow => match projection {
                None => Some("there is no projection under the cursor"),
                Some(p) if p.broken.is_some() => Some("the file must be mended first: the detail says where"),
                Some(p) if p.file.is_none() => Some("the file that it was built from is not here"),
                Some(p) => no(
                    match action {
                        Action::Follow => projections::work(self, &p.name).is_none(),
                        _ => !projections::busy(self, &p.name),
                    },
                    "it is being worked on: x cancels that",
                ),
            },
            Action::DeadLetter => no(
                projection.is_some_and(|p| !p.dead_letters.is_empty()),
                "the projection has no dead letters",
            ),
            Action::Alerts => no(
                projection.is_some_and(|p| p.alerts.is_some()),
                "it has no alerts: an `-- alert:` in its file makes some, once it is rebuilt",
            ),
            Action::Charts => no(self.demos.selected().is_some(), "there is no demo under the cursor"),
            Action::StoreCharts => {
                let row = self.readmodel.selected();
                let found = row.and_then(|row| charts::of_store(self, &row.read_model));
                no(
                    found.is_some(),
                    "no demo has charts of this read model: c draws its rows",
                )
            }
            Action::OpenStore => charts::refusal(self),
            Action::Board => no(self.list().is_some_and(|l| l.total() > 0), "there is no chart here"),
            Action::Chart => readmodel::chart_refusal(self),
            Action::Report => demos::report_refusal(self),
            Action::RunFirstDemo | Action::RunDemo | Action::NextStep | Action::StartAgain if read_only => {
                Some("this cluster is read-only here, and a demo writes")
            }
            Action::RunDemo => match self.demos.selected() {
                None => Some("there is no demo under the cursor"),
                Some(_) if self.cluster.value.is_none() => Some("the cluster does not answer yet"),
                Some(d) => no(
                    !self.works.iter().any(|w| w.name == d.id),
                    "it is running: ⏎ opens its scene, x stops it",
                ),
            },
            Action::NextStep
            | Action::ScenePlay
            | Action::SceneSpeed
            | Action::OneRecord
            | Action::Through
            | Action::StartAgain
            | Action::Break => scene::refusal(self, action),
            Action::OpenRecord | Action::Time if self.screen == Screen::Blame => {
                no(blame::event(self).is_some(), "there is no event under the cursor")
            }
            Action::OnlyCell => no(
                self.blame.as_ref().is_some_and(|blame| blame.row.column.is_some()),
                "the whole row was asked for: B on one of its cells asks for that",
            ),
            Action::Time => no(
                time::wanted(self).is_some(),
                "there is no read model under the cursor: r builds one on the projections screen",
            ),
            action if self.screen == Screen::Time => match &self.time {
                Some(time) if action == Action::Cancel => no(
                    time.moment.task.is_some() || time.play.is_some() || self.works.iter().any(|w| !w.cancelling),
                    "nothing is running",
                ),
                Some(time) => time.refusal(action, self.pane),
                None => None,
            },
            Action::NextPane | Action::PreviousPane | Action::Zoom => no(!self.welcome(), "there is one pane here"),
            Action::Filter => no(
                self.list().is_some_and(|l| l.total() > 0 || !l.filter().is_empty()),
                "there is nothing to filter",
            ),
            Action::Cancel => no(
                self.goes_on() || self.readmodel.rows.task.is_some() || self.works.iter().any(|w| !w.cancelling),
                "nothing is running",
            ),
            _ => None,
        }
    }

    /// Whether something goes on that the user waits for, or lets run.
    fn goes_on(&self) -> bool {
        let walks = |time: &time::Time| time.play.is_some() || time.underway.is_some() || time.moment.loading();
        match self.screen {
            Screen::Time => self.time.as_ref().is_some_and(walks),
            Screen::Differences => self
                .differences
                .as_ref()
                .is_some_and(|state| state.found.task.is_some()),
            Screen::Blame => self.blame.as_ref().is_some_and(|blame| blame.search.task.is_some()),
            Screen::Records => self.records.as_ref().is_some_and(records::Records::searching),
            _ => self.readmodel.rows.loading(),
        }
    }

    /// When the studio wants to be told the time, where it cannot wait for the next tick.
    pub fn wake(&self) -> Option<Timestamp> {
        let flights = || scene::scene(self).filter(|_| self.screen == Screen::Scene);
        let flown = flights().and_then(|scene| scene.flights.wake(self.now));
        let played = self.time.as_ref().and_then(time::Time::wake);
        flown.into_iter().chain(played).min()
    }

    /// The list of the screen in view.
    pub fn list(&self) -> Option<&List> {
        Some(match self.screen {
            Screen::Topics => &self.topics.list,
            Screen::Records => &self.records.as_ref()?.list,
            Screen::Projections => &self.projections.list,
            Screen::Letters => &self.letters.as_ref()?.list,
            Screen::Alerts => &self.alerts.as_ref()?.list,
            Screen::ReadModel => &self.readmodel.list,
            Screen::Time | Screen::Scene => return None,
            Screen::Blame => &self.blame.as_ref()?.list,
            Screen::Differences => &self.differences.as_ref()?.list,
            Screen::Charts => &self.charts.as_ref()?.list,
            Screen::Demos => &self.demos.list,
            Screen::Guide => return None,
            Screen::Groups => &self.groups.list,
        })
    }

    fn can_open(&self) -> bool {
        match self.screen {
            Screen::Topics => self.topics.selected().is_some(),
            Screen::Records => self.records.as_ref().is_some_and(|r| r.selected().is_some()),
            Screen::Projections => self.projections.selected().is_some(),
            Screen::ReadModel => self.readmodel.selected().is_some(),
            Screen::Letters
            | Screen::Alerts
            | Screen::Time
            | Screen::Blame
            | Screen::Differences
            | Screen::Charts
            | Screen::Scene => false,
            Screen::Demos => self.demos.selected().is_some(),
            Screen::Guide => self.guiding.can_open(),
            Screen::Groups => self.groups.selected().is_some(),
        }
    }

    /// The commands that the footer names, in the table's order.
    pub fn hints(&self) -> Vec<&'static Command> {
        let contexts = self.contexts();
        COMMANDS
            .iter()
            .filter(|c| !c.hint.is_empty())
            .filter(|c| c.contexts.iter().any(|at| contexts.contains(at)))
            .filter(|c| self.refusal(c.action).is_none())
            // A page of a table is there before anybody reads the hint, which would only flicker.
            .filter(|c| c.action != Action::Cancel || !self.works.is_empty() || self.goes_on())
            .collect()
    }
}

impl Speaks for Model {
    fn language(&self) -> Language {
        self.language
    }
}

/// Which contexts hold on a screen with the focus on a pane, with nothing over it.
pub fn contexts_of(screen: Screen, pane: Pane) -> Vec<Context> {
    let own = match screen {
        Screen::Topics => Context::Topics,
        Screen::Records => Context::Records,
        Screen::Projections => Context::Projections,
        Screen::Letters => Context::Letters,
        Screen::Alerts => Context::Alerts,
        Screen::ReadModel => Context::ReadModel,
        Screen::Time => Context::Time,
        Screen::Blame => Context::Blame,
        Screen::Differences => Context::Differences,
        Screen::Charts => Context::Charts,
        Screen::Demos => Context::Demos,
        Screen::Scene => Context::Scene,
        Screen::Guide => Context::Guide,
        Screen::Groups => Context::Groups,
    };
    let mut contexts = vec![Context::Always, own, Context::Browse, Context::Motion];
    if matches!(
        screen,
        Screen::Letters
            | Screen::Alerts
            | Screen::Time
            | Screen::Blame
            | Screen::Differences
            | Screen::Charts
            | Screen::Scene
    ) {
        // What the cursor is on is opened from every pane alike.
    } else if pane == Pane::List {
        contexts.push(Context::List);
    } else if screen == Screen::ReadModel {
        contexts.push(Context::Rows);
    }
    contexts
}

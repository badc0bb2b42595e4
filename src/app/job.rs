//! What the studio asks of the world, and what it hears back. The one trait behind which Kafka, SQLite and threads hide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::groups::{GroupDetail, GroupSummary};
use crate::broker::profile::Access;
use crate::broker::topics::{ConfigEntry, Watermarks};
use crate::demo::fault::Fault;
use crate::demo::graph::Graph;
use crate::demo::player::{PlayerView, Speed};
use crate::demo::run::{ByHand, PlanLine, StepView};
use crate::demo::snapshot::Snapshot;
use crate::demo::text::Language;
use crate::readmodel::alert::Alerts;
use crate::readmodel::decision::Decision;
use crate::readmodel::query::{Rows, TableInfo};
use crate::readmodel::remembered::Remembered;
use crate::readmodel::store::{DeadLetter, ReadModelInfo, State};
use crate::record::{Record, Timestamp};
use crate::replay::progress::Progress;

use super::difference::{Found, Question};
use super::lang::Speaks;
use super::moment::{Go, Moment, Stood, Timeline, Underway, Wrote};
use super::place::Place;
use super::screens::blame::Asked;
use super::screens::charts::ChartRow;
use super::screens::guide::Guidance;
use super::screens::letters::Deciding;
use super::screens::previews::Previewed;

/// Names a job that was started, so that its answers find whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// What went wrong: a line for the place where it happened, and the whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One line.
    pub summary: String,
    /// Everything that is known, over as many lines as it takes.
    pub full: String,
}

impl Failure {
    /// A failure told by its text; the first line is the summary.
    pub fn new(text: impl Into<String>) -> Self {
        let full: String = text.into();
        let summary = full
            .lines()
            .map(str::trim)
            .find(|l| !l.is_empty())
            .unwrap_or("unknown error");
        Self {
            summary: summary.to_owned(),
            full,
        }
    }
}

/// What a record must have to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needle {
    /// This text in its key, its value or a header, in either case.
    Text(String),
    /// What this condition in SQL says.
    Where(String),
}

/// In which direction a page of records extends the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFrom {
    /// Fresh, from a place on.
    Place(Place),
    /// Fresh, the records up to this one, by partition and offset, and those of other partitions before its time.
    UpTo(i32, i64),
    /// The records before these offsets, which is where each partition of the window begins.
    Before(BTreeMap<i32, i64>),
    /// The records from these offsets on, which is where each partition of the window ends.
    After(BTreeMap<i32, i64>),
}

/// A page of records to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The topic.
    pub topic: String,
    /// The partitions; `None` for all.
    pub partitions: Option<BTreeSet<i32>>,
    /// Where.
    pub from: PageFrom,
    /// About how many records.
    pub limit: usize,
    /// What each of them must have. Then the log is read on, however long that takes, until there are so many, and what is
    /// found meanwhile is told. Not for a fresh page.
    pub needle: Option<Needle>,
}

/// Records that lie side by side in the log, merged by time with each partition in its own order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// For each partition the offset at which the page begins.
    pub start: BTreeMap<i32, i64>,
    /// For each partition the offset before which the page ends.
    pub end: BTreeMap<i32, i64>,
    /// How far each partition reached when it was read.
    pub watermarks: Vec<Watermarks>,
}

/// Records that arrived since the last such batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// The newest of them, as they came.
    pub records: Vec<Record>,
    /// For each partition the offset at which `records` begins, where it does not follow the batch before.
    pub gap: Option<BTreeMap<i32, i64>>,
    /// For each partition the next offset.
    pub end: BTreeMap<i32, i64>,
    /// How many arrived since the tail began, shown or not.
    pub seen: u64,
}

/// The cluster as the header shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The profile's name.
    pub name: String,
    /// Where it is.
    pub bootstrap: String,
    /// What may be done there.
    pub access: Access,
    /// Whether it is the embedded broker.
    pub embedded: bool,
    /// Whether another process runs the embedded broker and this one is attached to it.
    pub attached: bool,
}

/// A topic in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// How many replicas each partition has.
    pub replication: i32,
    /// Whether it is Kafka's own.
    pub internal: bool,
    /// How far each partition reaches, by number.
    pub watermarks: Vec<Watermarks>,
}

impl TopicRow {
    /// Offsets that the topic holds; what compaction removed and transaction markers count as well.
    pub fn held(&self) -> u64 {
        self.watermarks.iter().map(|w| (w.high - w.low).max(0) as u64).sum()
    }

    /// Offsets that were ever given out.
    pub fn written(&self) -> u64 {
        self.watermarks.iter().map(|w| w.high.max(0) as u64).sum()
    }
}

/// A projection in the list: a file, a read model, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectionRow {
    /// Its name; the file's where the file cannot be read.
    pub name: String,
    /// The file, where there is one.
    pub file: Option<String>,
    /// Where the file comes from: the working directory, a demo, the read model's memory.
    pub origin: String,
    /// What is wrong with the file, as a report of several lines.
    pub broken: Option<String>,
    /// The topics that it folds.
    pub topics: Vec<String>,
    /// Topics that the cluster does not have.
    pub missing_topics: Vec<String>,
    /// The read model, where one was built.
    pub built: Option<ReadModelInfo>,
    /// Whether the read model was built by another version of the file.
    pub changed: bool,
    /// What the file says now, as a hash; `None` where it says nothing that can be built.
    pub hash: Option<String>,
    /// Whether the build before the one in use is still there.
    pub previous: bool,
    /// What was decided about records, oldest first.
    pub decisions: Vec<Decision>,
    /// The statements that failed on dead letters, by the line on which they begin.
    pub statements: BTreeMap<usize, String>,
    /// Records between the read model's position and the log's end; `None` where that cannot be told.
    pub lag: Option<u64>,
    /// How many of its alerts are open; `None` where the read model has none.
    pub alerts: Option<u64>,
    /// The file that its read model was built from, where that is another one that has the projection too.
    pub other: Option<String>,
    /// How many dead letters there are.
    pub letters: u64,
    /// How many of them were left out.
    pub left_out: u64,
    /// The dead letter that it is paused before, then the newest of the others.
    pub dead_letters: Vec<DeadLetter>,
}

impl ProjectionRow {
    /// Why its read model cannot be read, where there is one.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.built.as_ref()?.state {
            State::Unreadable { reason } => Some(reason),
            _ => None,
        }
    }
}

/// A table of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// The read model, which is the schema's name.
    pub read_model: String,
    /// The table.
    pub table: TableInfo,
}

/// A demo in the list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a paragraph.
    pub summary: String,
    /// The topics that it writes.
    pub topics: Vec<String>,
    /// The projections that it brings.
    pub projections: Vec<String>,
    /// Its steps, by title.
    pub steps: Vec<String>,
    /// Whether it is the guide, which asks and runs nothing.
    pub guide: bool,
    /// Whether services write and processors read while it runs.
    pub live: bool,
    /// Its flow.
    pub graph: Arc<Graph>,
    /// Every line of a run, in every language.
    pub script: Arc<Vec<PlanLine>>,
    /// What can be done to it while it runs.
    pub faults: Arc<Vec<Fault>>,
    /// The read models of which it has charts.
    pub charted: Vec<String>,
}

/// A running demo as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Staged {
    /// Its lines, each at the place of the script's line.
    pub steps: Vec<StepView>,
    /// The scene; without a graph until the topics are there.
    pub scene: Snapshot,
    /// What was done by hand, oldest first.
    pub by_hand: Vec<ByHand>,
    /// Its clock.
    pub clock: PlayerView,
}

/// What a running demo is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cue {
    /// Go on writing events.
    Play,
    /// Write no events.
    Pause,
    /// Write one event more.
    OneRecord,
    /// Write them as fast as this.
    Speed(Speed),
    /// Do the next step.
    NextStep,
    /// Wait before each step, or do not.
    ByStep(bool),
    /// Do this one of the demo's faults.
    Fault(usize),
}

/// A job for the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Start or attach to the embedded broker, or reach the cluster.
    Connect,
    /// Every topic with its watermarks.
    Topics,
    /// A topic's configuration.
    TopicConfig(String),
    /// Delete a topic.
    DeleteTopic(String),
    /// A page of records.
    Page(PageRequest),
    /// Records as they arrive, from these offsets on.
    Tail {
        /// The topic.
        topic: String,
        /// Where each partition begins.
        from: BTreeMap<i32, i64>,
        /// What each record must have.
        needle: Option<Needle>,
    },
    /// Every consumer group.
    Groups,
    /// One consumer group.
    Group(String),
    /// Every projection.
    Projections,
    /// The same, with so many of the dead letters of one from now on.
    MoreLetters(String, usize),
    /// Rebuild a projection.
    Rebuild {
        /// Its name.
        name: String,
        /// Its file.
        file: String,
        /// Whether to go on past poison records.
        skip_poison: bool,
        /// Whether it may take over a read model that another file made.
        replace: bool,
    },
    /// Follow a projection.
    Follow {
        /// Its name.
        name: String,
        /// Its file.
        file: String,
    },
    /// Build what the file makes of the log beside the read model in use, and compare.
    Preview {
        /// The projection's name.
        name: String,
        /// Its file.
        file: String,
    },
    /// Put the preview in use.
    Accept {
        /// The projection's name.
        name: String,
        /// Its file.
        file: String,
        /// Whether it may take over a read model that another file made.
        replace: bool,
    },
    /// The alerts of a read model, so many at most.
    Alerts(String, usize),
    /// Do something with records that could not be applied.
    Decide(Deciding),
    /// Drop the preview.
    DropPreview(String),
    /// Put the build before the one in use back in use.
    BringBack(String),
    /// Every table of every read model.
    Tables,
    /// A query over the read models.
    Query {
        /// The SQL.
        sql: String,
        /// The most rows to return.
        limit: usize,
    },
    /// Go to another moment of a read model's past.
    Walk {
        /// From where.
        stood: Stood,
        /// Whereto.
        go: Go,
    },
    /// A query over the read model at the moment in view.
    PastRows {
        /// Which moment that is.
        stood: Stood,
        /// The SQL.
        sql: String,
        /// The most rows to return.
        limit: usize,
    },
    /// Give back what looking at the past takes.
    LeavePast,
    /// Keep these conditions of a read model for the next session.
    Remember(String, Vec<Remembered>),
    /// How the events of a read model's log lie in time.
    Timeline(String),
    /// Hold two read models against each other.
    Differences(Question),
    /// Find every event that wrote a row.
    Blame(Asked),
    /// The charts of a demo, or those of one of its stores.
    Charts {
        /// The demo's id.
        demo: String,
        /// The store.
        store: Option<String>,
    },
    /// Write the report of a demo's last run.
    Report(String),
    /// Every demo.
    Demos,
    /// The guide, and what was done of what it names.
    Guide,
    /// Run a demo; it can be told what to do while it runs.
    RunDemo {
        /// Its id.
        id: String,
        /// Whether each step waits to be asked for.
        by_step: bool,
        /// How fast its events are written at first.
        speed: Speed,
    },
}

/// What a job says while it runs and when it is over.
#[derive(Debug, Clone)]
pub enum Event {
    /// The cluster answers.
    Connected(ClusterView),
    /// Whether another process runs the embedded broker now: who ran it may have ended, and this one taken over.
    Attached(bool),
    /// The topics, and when they were asked for.
    Topics(Vec<TopicRow>, Timestamp),
    /// A topic's configuration.
    TopicConfig(Vec<ConfigEntry>),
    /// A page of records, or the last piece of one that was searched for.
    Page(Page),
    /// A piece of a page that is being searched for, perhaps without a record: so far it was looked.
    Found(Page),
    /// Records that arrived.
    Arrivals(Arrivals),
    /// The groups.
    Groups(Vec<GroupSummary>),
    /// A group.
    Group(GroupDetail),
    /// The projections.
    Projections(Vec<ProjectionRow>),
    /// The alerts of a read model.
    Alerts(Box<Alerts>),
    /// How far a replay is.
    Progress(Progress),
    /// A read model that a rebuild has put in place.
    Built(Box<ReadModelInfo>),
    /// A preview that was built.
    Previewed(Box<Previewed>),
    /// The tables.
    Tables(Vec<TableRow>),
    /// The answer to a query.
    Rows(Rows),
    /// Another moment.
    Moment(Box<Moment>),
    /// How far the way to it is.
    Underway(Underway),
    /// How the events of a log lie in time; `None` where all have one time, or none.
    Timeline(Option<Timeline>),
    /// What differs.
    Differences(Box<Found>),
    /// Events that wrote a row.
    Wrote(Wrote),
    /// Charts as they are now.
    Charts(Vec<ChartRow>),
    /// The demos.
    Demos(Vec<DemoRow>),
    /// The guide.
    Guide(Box<Guidance>),
    /// A running demo as it stands.
    Staged(Box<Staged>),
    /// Why something that a running job was told cannot be done.
    Refused(String),
    /// The job is over, with a line that says what it did.
    Done(String),
}

/// Where a job puts what it has to say before it is over.
pub trait Outlet: Sync {
    /// Says it; waits while the studio is behind. False once nobody listens any more, and the job should end.
    fn send(&self, event: Event) -> bool;
    /// Whether the job was cancelled and should end.
    fn cancelled(&self) -> bool;
    /// The language of whoever started the job.
    fn language(&self) -> Language;
    /// What the job is told while it runs, the oldest first; waits this long at most.
    fn cue(&self, wait: Duration) -> Option<Cue>;
}

impl Speaks for dyn Outlet + '_ {
    fn language(&self) -> Language {
        Outlet::language(self)
    }
}

/// Kafka, SQLite, files and time's passing, as the studio needs them.
pub trait World: Send + Sync + 'static {
    /// Performs a job on the calling thread, which it may block. Returns its last word.
    fn perform(&self, job: Job, out: &dyn Outlet) -> Result<Event, Failure>;
}

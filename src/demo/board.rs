//! Who runs: the processors with their tasks, and the snapshot of the whole scene that is published while they do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::broker::client::Client;
use crate::broker::topics::TopicInfo;
use crate::projection::Projection;
use crate::readmodel::store::{Counts, ReadModelInfo, Store};
use crate::record::{Position, Timestamp, TopicPartition};
use crate::replay::error::ReplayError;
use crate::replay::follow::{FollowOptions, follow, paused};
use crate::replay::group::Group;
use crate::replay::progress::{Phase, SinkProgress};
use crate::replay::task::Task;
use crate::sink::address::Address;

use super::agents::Tailing;
use super::catalog::Demo;
use super::connector::Capturing;
use super::error::DemoError;
use super::graph::{Graph, Kind};
use super::mirrors::Mirrors;
use super::sinks::{Addresses, Feeds, Filling, view};
use super::snapshot::{EdgeView, PartState, PartView, Snapshot};

/// How often the scene is looked at: often enough that records are seen to move.
const LOOK: Duration = Duration::from_millis(200);
/// How long whoever publishes for a processor may take to be done with what it was doing when that ended.
const LET_GO: Duration = Duration::from_secs(30);
/// How soon is looked again whether it is.
const AGAIN: Duration = Duration::from_millis(10);
/// How soon a processor that was killed is missed where the broker is ours: long enough that a busy machine is not taken for a dead
/// one.
const MISSED: Duration = Duration::from_millis(2500);
/// The rate is that of this long.
const WINDOW: Duration = Duration::from_secs(1);

/// A processor and its task, if it runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) projection: Projection,
    group_id: String,
    pub(super) members: usize,
    /// How soon a killed one is missed; `None` as soon as any cluster allows.
    session: Option<Duration>,
    pub(super) pace: Option<u64>,
    holds: bool,
    /// Whether its store takes nothing more.
    full: bool,
    state: PartState,
    reason: String,
    group: Arc<Group>,
    task: Option<Task<ReadModelInfo>>,
    counts: Counts,
    /// The real systems that its rows go to, with the names of their parts.
    sinks: Vec<(String, Address)>,
}

/// What a run is made of, shared with the thread that publishes it.
#[derive(Debug)]
pub(super) struct Board {
    client: Client,
    store: Store,
    graph: Arc<Graph>,
    topics: Vec<String>,
    running: Mutex<Vec<Running>>,
    pub(super) mirrors: Mirrors,
    captures: Mutex<Vec<Capturing>>,
    agents: Mutex<Vec<Tailing>>,
    lakes: Mutex<Vec<Filling>>,
    /// Which read model each sink stands for that nobody feeds.
    stand_ins: Vec<(String, String)>,
    flow: Mutex<Flow>,
}

/// A scene that is being published. When this is dropped, the last one is out: whoever is told that a run is over sees its end.
pub(super) struct Publishing {
    /// Ended in this order: what was heard last is said.
    _asks: Ticking,
    _says: Ticking,
}

/// Something that is done again and again on a thread of its own, until this is dropped, and then once more.
struct Ticking {
    over: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticking {
    fn start(name: &str, mut tick: impl FnMut(bool) + Send + 'static) -> Result<Self, DemoError> {
        let (over, is_over) = sync_channel::<()>(0);
        let work = move || {
            while is_over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                tick(false);
            }
            tick(true);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| DemoError::Crashed(format!("the system gave no thread: {error}")))?;
        Ok(Self {
            over: Some(over),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.over.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that publishes a scene panicked");
        }
    }
}

/// What was written so far.
#[derive(Debug, Default, Clone)]
struct Flow {
    sent: BTreeMap<(String, String), u64>,
    now: Option<Timestamp>,
    upcoming: usize,
    broker_lost: bool,
    ends: Position,
    /// Records that a rebuild folded, by read model.
    folded: BTreeMap<String, u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    pub(super) fn new(client: Client, store: Store, demo: &Demo, mirrors: Mirrors) -> Self {
        let graph = Graph::of(demo);
        let running = demo.processors.iter().map(|processor| Running {
            name: processor.name.clone(),
            projection: processor.projection.clone(),
            group_id: processor.group.clone(),
            members: processor.members,
            session: None,
            pace: None,
            holds: false,
            full: false,
            state: PartState::Stopped,
            reason: String::new(),
            group: Arc::new(Group::new(&processor.group, &processor.name, processor.members)),
            task: None,
            counts: Counts::default(),
            sinks: Vec::new(),
        });
        let topics = graph.parts.iter().filter(|part| part.kind == Kind::Topic);
        Self {
            running: Mutex::new(running.collect()),
            mirrors,
            captures: Mutex::new(Capturing::of(&store, demo)),
            agents: Mutex::new(Tailing::of(&store, demo)),
            topics: topics.map(|part| part.name.clone()).collect(),
            client,
            store,
            graph: Arc::new(graph),
            lakes: Mutex::default(),
            stand_ins: Vec::new(),
            flow: Mutex::default(),
        }
    }

    /// Says what is fed: the real systems by the names of the sinks, and what stands for the others.
    pub(super) fn feeds(&mut self, demo: &Demo, given: &Addresses) {
        for running in locked(&self.running).iter_mut() {
            let fed = demo.fed_by(&running.projection.name, given).into_iter();
            let named =
                |address: Address| Some((given.iter().find(|(_, known)| *known == address)?.0.clone(), address));
            running.sinks = fed.filter_map(named).collect();
        }
        let rows = demo.sinks.iter().filter_map(|sink| match &sink.feeds {
            Feeds::Rows(store) => Some((sink.name.clone(), store.clone())),
            Feeds::Records(_) => None,
        });
        self.stand_ins = rows.collect();
    }

    /// Says that the broker is ours, which lets a member that was killed be missed sooner than a cluster would: nobody who looks on
    /// waits for a session of six seconds to be over.
    pub(super) fn is_ours(&mut self) {
        for running in locked(&self.running).iter_mut() {
            running.session = Some(MISSED);
        }
    }

    /// Begins to write the lakes.
    pub(super) fn start_lakes(&self, demo: &Demo, given: &Addresses) {
        *locked(&self.lakes) = Filling::start(demo, &self.client, &self.store, given);
    }

    /// Puts what the lakes have read in place and ends them.
    pub(super) fn stop_lakes(&self) -> Result<(), DemoError> {
        let stopped: Vec<_> = locked(&self.lakes).iter_mut().map(Filling::stop).collect();
        stopped.into_iter().collect()
    }

    /// Changes a processor, which runs or not.
    pub(super) fn with<T>(&self, name: &str, change: impl FnOnce(&mut Running) -> T) -> Option<T> {
        locked(&self.running)
            .iter_mut()
            .find(|running| running.name == name)
            .map(change)
    }

    /// Changes a capture, which runs or not.
    pub(super) fn with_capture<T>(&self, name: &str, change: impl FnOnce(&mut Capturing) -> T) -> Option<T> {
        let mut captures = locked(&self.captures);
        captures.iter_mut().find(|known| known.name == name).map(change)
    }

    /// The capture that writes a topic.
    pub(super) fn capture_of(&self, topic: &str) -> Option<String> {
        let captures = locked(&self.captures);
        let found = captures.iter().find(|known| known.topic == topic);
        found.map(|known| known.name.clone())
    }

    /// Every capture that runs, with its database.
    pub(super) fn capturing(&self) -> Vec<(String, std::path::PathBuf)> {
        let mut captures = locked(&self.captures);
        let running = captures.iter_mut().filter_map(|known| {
            (known.state().0 == PartState::Running).then(|| (known.name.clone(), known.path.clone()))
        });
        running.collect()
    }

    /// A capture or an agent that ended with an error, and what it said.
    pub(super) fn failed_source(&self) -> Option<(String, String)> {
        let failed = |name: &str, (state, reason): (PartState, String)| {
            (state == PartState::Failed).then(|| (name.to_owned(), reason))
        };
        let mut captures = locked(&self.captures);
        let capture = captures
            .iter_mut()
            .find_map(|known| failed(&known.name.clone(), known.state()));
        let mut agents = locked(&self.agents);
        capture.or_else(|| {
            agents
                .iter_mut()
                .find_map(|known| failed(&known.name.clone(), known.state()))
        })
    }

    /// Changes an agent, which runs or not, or its files.
    pub(super) fn with_agent<T>(&self, name: &str, change: impl FnOnce(&mut Tailing) -> T) -> Option<T> {
        let mut agents = locked(&self.agents);
        agents.iter_mut().find(|known| known.name == name).map(change)
    }

    /// The agent that writes a topic.
    pub(super) fn agent_of(&self, topic: &str) -> Option<String> {
        let agents = locked(&self.agents);
        let found = agents.iter().find(|known| known.topic == topic);
        found.map(|known| known.name.clone())
    }

    /// Every agent that runs, with how many lines it has not sent yet.
    pub(super) fn tailing(&self) -> Result<Vec<(String, u64)>, DemoError> {
        let mut agents = locked(&self.agents);
        let mut counted = Vec::new();
        for known in agents.iter_mut() {
            if known.state().0 == PartState::Running {
                counted.push((known.name.clone(), known.waiting()?));
            }
        }
        Ok(counted)
    }

    /// The processor whose read model this is.
    pub(super) fn of_read_model(&self, read_model: &str) -> Option<String> {
        let running = locked(&self.running);
        let found = running.iter().find(|running| running.projection.name == read_model);
        found.map(|running| running.name.clone())
    }

    /// Every processor that runs.
    pub(super) fn active(&self) -> Vec<String> {
        let running = locked(&self.running);
        let active = running.iter().filter(|running| running.task.is_some());
        active.map(|running| running.name.clone()).collect()
    }

    /// Whether a processor has come to apply what it reads. Until then it may fail yet, whatever its group had read before.
    pub(super) fn is_live(&self, name: &str) -> bool {
        let live = |task: &Task<ReadModelInfo>| task.progress().borrow().phase == Phase::Live;
        self.with(name, |running| running.task.as_ref().is_some_and(live)) == Some(true)
    }

    /// How a processor is, and why.
    pub(super) fn state(&self, name: &str) -> (PartState, String) {
        let source = self.with_capture(name, Capturing::state);
        if let Some(state) = source.or_else(|| self.with_agent(name, Tailing::state)) {
            return state;
        }
        self.with(name, |running| {
            running.reap();
            (running.state, running.reason.clone())
        })
        .or_else(|| self.mirrors.state(name))
        .unwrap_or_default()
    }

    /// Starts a processor, a mirror, a capture or an agent unless it runs.
    pub(super) fn start(&self, name: &str, skip_poison: bool) {
        self.mirrors.start(name);
        self.with_capture(name, |capture| capture.start(&self.client));
        self.with_agent(name, |agent| agent.start(&self.client));
        self.with(name, |running| running.start(&self.client, &self.store, skip_poison));
    }

    /// Makes room for the store of a processor, and starts that again unless somebody had ended it.
    pub(super) fn free_disk(&self, name: &str) {
        let (state, _) = self.state(name);
        self.with(name, |running| running.fill(false));
        if state == PartState::Running {
            // A commit that is under way may still find no room, so that it would end later than anybody waits for.
            drop(self.stop(name, false));
        }
        if matches!(state, PartState::Running | PartState::Failed) {
            self.start(name, false);
        }
    }

    /// Ends a processor, a mirror, a capture or an agent, and waits for its end.
    pub(super) fn stop(&self, name: &str, kill: bool) -> Result<(), DemoError> {
        let state = if kill { PartState::Killed } else { PartState::Stopped };
        if self.mirrors.stop(name, state) {
            return Ok(());
        }
        if let Some(task) = self.with_capture(name, |capture| capture.end(kill)).flatten() {
            return match task.wait() {
                Err(error) if !matches!(error, ReplayError::Cancelled) => Err(error.into()),
                _ => Ok(()),
            };
        }
        if let Some(task) = self.with_agent(name, |agent| agent.end(kill)).flatten() {
            task.wait()?;
            return Ok(());
        }
        let task = self.with(name, |running| {
            running.reap();
            let task = running.task.take()?;
            running.state = state;
            running.reason.clear();
            if kill {
                running.group.kill();
            } else {
                task.cancel();
            }
            Some((task, kill))
        });
        // Waited for outside of the lock: the scene goes on being seen.
        match task.flatten() {
            Some((task, false)) => match task.wait() {
                Ok(info) => self
                    .with(name, |running| running.counts = info.counts)
                    .unwrap_or_default(),
                // It was still on its way in.
                Err(ReplayError::Cancelled) => {}
                Err(error) => return Err(error.into()),
            },
            // It ends without having done its last work.
            Some((task, true)) => {
                drop(task.wait());
                self.let_go(name)?;
                return self.recount(name);
            }
            None => return Ok(()),
        }
        self.let_go(name)
    }

    /// Counts what the read model of a processor that was killed has committed.
    fn recount(&self, name: &str) -> Result<(), DemoError> {
        let read_model = self.with(name, |running| running.projection.name.clone());
        let info = read_model
            .map(|read_model| self.store.find(&read_model))
            .transpose()?
            .flatten();
        if let Some(info) = info {
            self.with(name, |running| running.counts = info.counts);
        }
        Ok(())
    }

    /// Waits until the read model of a processor that has ended is free: a thread that publishes ends after what it is doing, and
    /// holds it until then.
    fn let_go(&self, name: &str) -> Result<(), DemoError> {
        let Some(read_model) = self.with(name, |running| running.projection.name.clone()) else {
            return Ok(());
        };
        let began = Instant::now();
        while began.elapsed() < LET_GO && self.store.is_held(&read_model)? {
            thread::sleep(AGAIN);
        }
        Ok(())
    }

    /// Every processor that ended with an error.
    pub(super) fn failed(&self) -> Vec<String> {
        let mut running = locked(&self.running);
        running.iter_mut().for_each(Running::reap);
        let failed = running.iter().filter(|running| running.state == PartState::Failed);
        failed.map(|running| running.name.clone()).collect()
    }

    /// Takes note of a record that a service wrote to a topic, or to the log of an agent.
    pub(super) fn sent(&self, service: &str, to: &str, now: Option<Timestamp>, upcoming: usize) {
        let mut flow = locked(&self.flow);
        *flow.sent.entry((service.to_owned(), to.to_owned())).or_default() += 1;
        flow.now = now;
        flow.upcoming = upcoming;
    }

    /// Takes note of records that are in a topic before the first step.
    pub(super) fn wrote(&self, service: &str, topic: &str, records: u64) {
        let mut flow = locked(&self.flow);
        *flow.sent.entry((service.to_owned(), topic.to_owned())).or_default() += records;
    }

    /// Says how many events are to come.
    pub(super) fn upcoming(&self, upcoming: usize) {
        locked(&self.flow).upcoming = upcoming;
    }

    /// Says whether the broker was taken away.
    pub(super) fn lost(&self, lost: bool) {
        locked(&self.flow).broker_lost = lost;
    }

    /// Whether the broker was taken away.
    pub(super) fn is_lost(&self) -> bool {
        locked(&self.flow).broker_lost
    }

    /// Takes note of how many records a rebuild has folded into a read model.
    pub(super) fn folded(&self, read_model: &str, records: u64) {
        locked(&self.flow).folded.insert(read_model.to_owned(), records);
    }

    /// Publishes the scene until what is returned is dropped.
    pub(super) fn publish(self: &Arc<Self>, sender: watch::Sender<Snapshot>) -> Result<Publishing, DemoError> {
        let board = Arc::clone(self);
        // Apart from what is said: a broker that has just gone lets whoever asks wait for seconds, and that it has gone is to be seen.
        let asks = Ticking::start("scene-ends", move |last| {
            if !last {
                board.ask_ends();
            }
        })?;
        let board = Arc::clone(self);
        let mut past = Past::default();
        let says = Ticking::start("scene", move |_| board.say(&sender, &mut past))?;
        Ok(Publishing {
            _asks: asks,
            _says: says,
        })
    }

    /// Asks how far the topics reach. A broker that does not answer leaves what is known.
    fn ask_ends(&self) {
        if locked(&self.flow).broker_lost {
            return;
        }
        let Ok(topics) = self.client.topics() else { return };
        let ours: Vec<TopicInfo> = topics
            .into_iter()
            .filter(|topic| self.topics.contains(&topic.name))
            .collect();
        let Ok(marks) = self.client.watermarks_of(&ours) else {
            return;
        };
        let mut ends = Position::new();
        for (topic, marks) in marks {
            for mark in marks.unwrap_or_default() {
                ends.set(TopicPartition::new(topic.as_str(), mark.partition), mark.high);
            }
        }
        locked(&self.flow).ends = ends;
    }

    fn say(&self, sender: &watch::Sender<Snapshot>, past: &mut Past) {
        let mut snapshot = self.snapshot();
        past.rates(&mut snapshot);
        sender.send_if_modified(|before| {
            let changed = *before != snapshot;
            if changed {
                *before = snapshot;
            }
            changed
        });
    }

    /// The scene as it is now, without rates.
    fn snapshot(&self) -> Snapshot {
        let flow = locked(&self.flow).clone();
        let mut running = locked(&self.running);
        running.iter_mut().for_each(Running::reap);
        let mut captures = locked(&self.captures);
        let captured: BTreeMap<String, (PartState, String, u64)> = captures
            .iter_mut()
            .map(|known| {
                let (state, reason) = known.state();
                (known.name.clone(), (state, reason, known.records()))
            })
            .collect();
        let mut agents = locked(&self.agents);
        let carried: BTreeMap<String, PartView> = agents
            .iter_mut()
            .map(|known| {
                let written = sum(&flow.sent, |_, to| to == known.name);
                (known.name.clone(), known.view(written))
            })
            .collect();
        let find = |name: &str| running.iter().find(|running| running.name == name);
        let stored = |name: &str| running.iter().find(|running| running.projection.name == name);
        let lakes = locked(&self.lakes);
        let fed = |name: &str| running.iter().find_map(|running| running.fed(name));
        let stands_for = |name: &str| {
            let found = self.stand_ins.iter().find(|(sink, _)| sink == name);
            found.map_or(name.to_owned(), |(_, store)| store.clone())
        };
        let kept = |name: &str| match stored(name) {
            Some(running) => running.stored(),
            None => PartView {
                state: PartState::Running,
                taken: match flow.folded.get(name) {
                    Some(folded) => *folded,
                    None => self.mirrors.view(name).map_or(0, |view| view.given),
                },
                ..PartView::default()
            },
        };
        let parts = self.graph.parts.iter().map(|part| match part.kind {
            Kind::Service if captured.contains_key(&part.name) => {
                let (state, reason, records) = captured.get(&part.name).cloned().unwrap_or_default();
                PartView {
                    state,
                    reason,
                    given: records,
                    ..PartView::default()
                }
            }
            Kind::Service => PartView {
                state: if flow.upcoming > 0 {
                    PartState::Running
                } else {
                    PartState::Stopped
                },
                given: sum(&flow.sent, |service, _| service == part.name),
                ..PartView::default()
            },
            Kind::Topic => PartView {
                state: if flow.broker_lost {
                    PartState::Killed
                } else {
                    PartState::Running
                },
                taken: of_topic(&flow.ends, &part.name),
                given: of_topic(&flow.ends, &part.name),
                ..PartView::default()
            },
            Kind::Processor => match find(&part.name) {
                Some(running) => running.view(&flow.ends),
                None => match carried.get(&part.name) {
                    Some(agent) => agent.clone(),
                    None => self.mirrors.view(&part.name).unwrap_or_default(),
                },
            },
            Kind::Store => kept(&part.name),
            // What stands for a system is as that would be.
            Kind::Sink => match view(&part.name, &lakes, fed(&part.name).as_ref()) {
                Some(view) => PartView {
                    lag: view.lag.or_else(|| self.lacks(&part.name, &running, &flow, view.taken)),
                    ..view
                },
                None => kept(&stands_for(&part.name)),
            },
        });
        let parts: Vec<PartView> = parts.collect();
        let edges = self.graph.edges.iter().map(|edge| {
            let (from, to) = (&self.graph.parts[edge.from], &self.graph.parts[edge.to]);
            let mut lag = None;
            let records = match (from.kind, to.kind) {
                (Kind::Service, _) if captured.contains_key(&from.name) => parts[edge.from].given,
                (Kind::Service, _) => {
                    lag = carried
                        .get(&to.name)
                        .filter(|_| to.kind == Kind::Processor)
                        .and_then(|agent| agent.lag);
                    sum(&flow.sent, |service, into| service == from.name && into == to.name)
                }
                (Kind::Processor, _) if carried.contains_key(&from.name) => parts[edge.from].given,
                (Kind::Topic, Kind::Processor) => find(&to.name).map_or(parts[edge.to].taken, |running| {
                    let taken = of_topic(&running.group.committed(), &from.name);
                    lag = Some(of_topic(&flow.ends, &from.name).saturating_sub(taken));
                    taken
                }),
                // What a processor emits goes to a topic that nobody else of the demo writes, or is counted with what they write.
                _ => parts[edge.to].taken,
            };
            EdgeView {
                records,
                rate: 0.0,
                lag,
            }
        });
        Snapshot {
            graph: Arc::clone(&self.graph),
            edges: edges.collect(),
            parts,
            now: flow.now,
            upcoming: flow.upcoming,
            broker_lost: flow.broker_lost,
        }
    }
}

impl Board {
    /// How many changes, or records, a system that is fed does not have yet.
    fn lacks(&self, sink: &str, running: &[Running], flow: &Flow, taken: u64) -> Option<u64> {
        for known in running {
            if let Some((_, address)) = known.sinks.iter().find(|(name, _)| name == sink) {
                let info = self.store.find(&known.projection.name).ok()??;
                let name = address.to_string();
                return info.sinks.iter().find(|fed| fed.name == name).map(|fed| fed.waiting);
            }
        }
        let at = self.graph.find(Kind::Sink, sink)?;
        let edge = self.graph.edges.iter().find(|edge| edge.to == at)?;
        let topic = &self.graph.parts[edge.from].name;
        Some(of_topic(&flow.ends, topic).saturating_sub(taken))
    }
}

fn sum(sent: &BTreeMap<(String, String), u64>, wanted: impl Fn(&str, &str) -> bool) -> u64 {
    let wanted = sent.iter().filter(|((service, topic), _)| wanted(service, topic));
    wanted.map(|(_, count)| count).sum()
}

fn of_topic(position: &Position, topic: &str) -> u64 {
    let of = position.iter().filter(|(at, _)| &*at.topic == topic);
    of.map(|(_, next)| u64::try_from(next).unwrap_or(0)).sum()
}

impl Running {
    fn start(&mut self, client: &Client, store: &Store, skip_poison: bool) {
        self.reap();
        if self.task.is_some() {
            return;
        }
        let group = Group::new(&self.group_id, &self.name, self.members);
        let group = Arc::new(match self.session {
            Some(session) => group.missed_after(session),
            None => group,
        });
        group.slow(self.pace);
        group.hold(self.holds);
        group.fill(self.full);
        // Until it says more, it stands where the one before stood.
        self.group = Arc::clone(&group);
        let options = FollowOptions {
            skip_poison,
            group: Some(group),
            sinks: self.sinks.iter().map(|(_, address)| address.clone()).collect(),
            ..FollowOptions::default()
        };
        self.task = Some(follow(client.clone(), store.clone(), self.projection.clone(), options));
        self.state = PartState::Running;
        self.reason.clear();
    }

    /// Lets it apply this many records a second at most.
    pub(super) fn slow(&mut self, pace: Option<u64>) {
        self.pace = pace;
        self.group.slow(pace);
    }

    /// Keeps what it emits in its outbox, as long as this is true.
    pub(super) fn hold(&mut self, holds: bool) {
        self.holds = holds;
        self.group.hold(holds);
    }

    /// Lets its store take nothing more, as long as this is true.
    pub(super) fn fill(&mut self, full: bool) {
        self.full = full;
        self.group.fill(full);
    }

    /// How its store is.
    fn stored(&self) -> PartView {
        let (state, reason) = match (self.full, self.state) {
            (true, PartState::Failed) => (PartState::Full, self.reason.clone()),
            (true, _) => (PartState::Full, String::new()),
            (false, _) => (PartState::Running, String::new()),
        };
        PartView {
            state,
            reason,
            taken: self.counts().applied,
            ..PartView::default()
        }
    }

    /// Takes note of a task that has ended by itself.
    fn reap(&mut self) {
        let Some(task) = self.task.take_if(|task| task.is_finished()) else {
            return;
        };
        self.counts = task.progress().borrow().counts;
        (self.state, self.reason) = match task.wait() {
            Ok(info) => match paused(&info) {
                Some(reason) => (PartState::Poisoned, reason.to_owned()),
                None => (PartState::Stopped, String::new()),
            },
            Err(error) => (PartState::Failed, error.to_string()),
        };
    }

    /// How a sink is fed that its rows go to.
    fn fed(&self, sink: &str) -> Option<SinkProgress> {
        let (_, address) = self.sinks.iter().find(|(name, _)| name == sink)?;
        let progress = self.task.as_ref()?.progress();
        let sinks = Arc::clone(&progress.borrow().sinks);
        sinks.iter().find(|known| known.name == address.to_string()).cloned()
    }

    fn counts(&self) -> Counts {
        self.task
            .as_ref()
            .map_or(self.counts, |task| task.progress().borrow().counts)
    }

    fn view(&self, ends: &Position) -> PartView {
        let counts = self.counts();
        let committed = self.group.committed();
        let lag = |(at, end): (&TopicPartition, i64)| {
            let next = committed.next(at).unwrap_or(0);
            u64::try_from(end - next).unwrap_or(0)
        };
        let ours = ends
            .iter()
            .filter(|(at, _)| self.projection.topics.iter().any(|topic| **topic == *at.topic));
        let slow = self.state == PartState::Running && self.pace.is_some();
        PartView {
            state: if slow { PartState::Slow } else { self.state },
            reason: self.reason.clone(),
            taken: counts.total(),
            given: counts.applied,
            rate: 0.0,
            lag: Some(ours.map(lag).sum()),
            shares: self.group.shares(),
            place: String::new(),
        }
    }
}

/// What was counted before, to know how fast it goes.
#[derive(Debug, Default)]
struct Past(VecDeque<(Instant, Vec<u64>)>);

impl Past {
    fn rates(&mut self, snapshot: &mut Snapshot) {
        let kinds = snapshot.graph.parts.iter().map(|part| part.kind);
        let part = |(part, kind): (&PartView, Kind)| match kind {
            Kind::Service => part.given,
            _ => part.taken,
        };
        let parts = snapshot.parts.iter().zip(kinds).map(part);
        let counts: Vec<u64> = parts.chain(snapshot.edges.iter().map(|edge| edge.records)).collect();
        let now = Instant::now();
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            self.0.pop_front();
        }
        if let Some((at, before)) = self.0.front() {
            let seconds = (now - *at).as_secs_f64().max(0.001);
            let rate = |at: usize| counts[at].saturating_sub(before.get(at).copied().unwrap_or(0)) as f64 / seconds;
            let parts = snapshot.parts.len();
            let views = snapshot.parts.iter_mut().map(|part| &mut part.rate);
            let edges = snapshot.edges.iter_mut().map(|edge| &mut edge.rate);
            for (at, out) in views.take(parts).chain(edges).enumerate() {
                // Whole numbers, so that a scene in which nothing happens is the same scene.
                *out = rate(at).round();
            }
        }
        self.0.push_back((now, counts));
    }
}

//! Follow: from the read model's position on, live, until cancelled.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::reader::{Order, Range, ReadPlan};
use crate::projection::Projection;
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::error::ReadModelError;
use crate::readmodel::fold::{Fold, Folded, OnPoison};
use crate::readmodel::store::{ReadModelInfo, State, Store};
use crate::readmodel::writer::Live;
use crate::record::{Position, TopicPartition};
use crate::sink::address::Address;

use super::error::ReplayError;
use super::group::{Group, Members};
use super::lake;
use super::log::{self, Log, Span};
use super::lookout::{self, Look, Lookout};
use super::notify::Webhook;
use super::pause::{self, Paused};
use super::progress::{Meter, Phase};
use super::rebuild::{self, CHUNK, RebuildOptions, Until, WAIT};
use super::source::{AHEAD, Fed, Records, Source, feed};
use super::task::{Control, Task, crashed};
use super::tell::Teller;

/// Records in one transaction at most: beyond this a commit costs nothing per record.
const COMMIT_RECORDS: u64 = 20_000;
/// Age of a transaction at most, so that what is read is fresh while records keep coming. When none wait, it commits at once.
const COMMIT_AFTER: Duration = Duration::from_millis(200);

/// How long it waits for records while an answer is awaited.
const SOON: Duration = Duration::from_millis(5);

/// How to follow.
#[derive(Debug, Clone, Default)]
pub struct FollowOptions {
    /// Go on past poison records, listing them, instead of pausing at the first.
    pub skip_poison: bool,
    /// Apply events without publishing what they emit, now or later.
    pub no_emit: bool,
    /// Where it pauses, wait until somebody decides about the record or builds the read model anew, and go on, instead of ending.
    pub wait: Option<Wait>,
    /// Where alerts are told that are raised and resolved.
    pub webhook: Option<Webhook>,
    /// Follow as this group's members instead of unseen; a read model that is not there yet begins empty and gets the whole log
    /// through the group.
    pub group: Option<Arc<Group>>,
    /// The stores that are kept in step with the read model, and the lakes that get the records of its topics.
    pub sinks: Vec<Address>,
}

/// How a paused follow waits. The read model is not locked meanwhile.
#[derive(Clone)]
pub struct Wait {
    /// Reads the projection again, whose file may have been mended; `None` where it cannot be read.
    pub reload: Arc<dyn Fn() -> Option<Projection> + Send + Sync>,
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}

/// Starts following; builds the read model first where there is none. A read model that was built by another version of the
/// file, from another cluster, or from a log that has since lost records it needs, is an error that says so.
///
/// A poison record pauses it: the task ends, the read model's state says where and why, and the next follow tries the record
/// again.
pub fn follow(client: Client, store: Store, projection: Projection, options: FollowOptions) -> Task<ReadModelInfo> {
    Task::start("follow", move |control| {
        run(&client, &store, &projection, &options, control)
    })
}

fn run(
    client: &Client,
    store: &Store,
    projection: &Projection,
    options: &FollowOptions,
    control: &mut Control,
) -> Result<ReadModelInfo, ReplayError> {
    let mut definition = compile(projection)?;
    Teller::check(client, projection, options)?;
    if store.find(&projection.name)?.is_none() {
        let first = RebuildOptions {
            skip_poison: options.skip_poison,
            // At its beginning: nothing at all.
            until: options.group.as_ref().map(|_| Until::Position(Position::new())),
            ..RebuildOptions::default()
        };
        rebuild::run(client, store, &definition, &first, control)?;
    }
    let live = Live::open(store, &definition)?;
    if projection.history && live.info().history.is_none() {
        let (name, file) = (&projection.name, &projection.file);
        control.meter.notice(format!(
            "{file} asks for a history, and `{name}` was built without: `foldlog rebuild {file}` begins one"
        ));
    }
    let lakes = lakes(client, projection, options, control);
    let info = until_over(client, store, &mut definition, live, options, control);
    for lake in &lakes {
        lake.cancel();
    }
    // What was read of the records is put in place.
    let ended: Vec<_> = lakes.into_iter().map(Task::wait).collect();
    let info = info?;
    ended.into_iter().try_for_each(|lake| lake.map(drop))?;
    Ok(info)
}

/// The lakes that get the records of a projection's topics.
fn lakes(client: &Client, projection: &Projection, options: &FollowOptions, control: &Control) -> Vec<Task<u64>> {
    let lakes = options.sinks.iter().filter_map(|address| match address {
        Address::Lake(lake) => Some(lake),
        _ => None,
    });
    lakes
        .map(|address| {
            let topics = projection.topics.clone();
            lake::beside(client.clone(), topics, address.clone(), control.meter.another())
        })
        .collect()
}

/// Follows, and goes on when somebody has decided about a record that it stands before.
fn until_over(
    client: &Client,
    store: &Store,
    definition: &mut Definition,
    mut live: Live,
    options: &FollowOptions,
    control: &mut Control,
) -> Result<ReadModelInfo, ReplayError> {
    loop {
        let ended = stay(client, store, &mut live, options, control)?;
        let info = live.read_info()?;
        if ended != Ended::Paused {
            return Ok(info);
        }
        let mark = store.mark(&info.name);
        drop(live);
        pause::let_go(store, &info.name)?;
        // Not before: whoever is told that it stands still may write the read model.
        control.meter.phase(Phase::Paused);
        let Some(wait) = &options.wait else {
            return Ok(info);
        };
        let paused = Paused { store, wait, mark };
        control.meter.notice(pause::advice(&info));
        let Some(resumed) = paused.until_decided(definition, control)? else {
            return Ok(info);
        };
        live = resumed;
    }
}

/// Follows until something ends it.
fn stay(
    client: &Client,
    store: &Store,
    live: &mut Live,
    options: &FollowOptions,
    control: &mut Control,
) -> Result<Ended, ReplayError> {
    let cancel = control.cancel.clone();
    live.interrupt_when(move || cancel.is_cancelled())?;
    let definition = live.definition().clone();
    let projection = definition.projection();
    let mut teller = Teller::start(client, live, projection, options)?;
    loop {
        let log = survey(client, projection, control)?;
        let start = start_at(projection, live, &log)?;
        for notice in start.notices {
            control.meter.notice(notice);
        }
        let standing = store.standing(&projection.name, &log.topic_ids())?;
        if let missed @ 1.. = live.adopt(&standing)? {
            control.meter.notice(format!(
                "the decisions about {missed} of its records stand otherwise than they were folded: `foldlog rebuild {}` takes that over",
                projection.file
            ));
        }
        let lookout = Lookout::start(client.clone(), projection.topics.clone(), log)?;
        match read_on(client, live, &start.ranges, &lookout, options, &mut teller, control) {
            Ok(Ended::Changed) => {}
            Ok(ended) => return Ok(ended),
            Err(ReplayError::Broker(error)) => {
                // An offset that is gone, for one, is what a topic looks like that was created anew: the log says which it is.
                let log = survey(client, projection, control)?;
                start_at(projection, live, &log)?;
                return Err(error.into());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Goes on from a position, unseen or in a group.
fn read_on(
    client: &Client,
    live: &Live,
    ranges: &[Range],
    look: &Lookout,
    options: &FollowOptions,
    teller: &mut Teller,
    control: &mut Control,
) -> Result<Ended, ReplayError> {
    let Some(group) = &options.group else {
        let open = |ranges| {
            let order = Order::Arrival;
            Ok(client.reader(ReadPlan { ranges, order })?)
        };
        return go_on(live, ranges, open, look, options.skip_poison, teller, control);
    };
    let mut topics: Vec<String> = ranges.iter().map(|range| range.topic.to_string()).collect();
    topics.dedup();
    control.group = Some(Arc::clone(group));
    group.commit(log::starts(ranges));
    // Here and not in `open`: they leave after the last commit, of which they tell the group.
    let (members, source) = Members::join(client, group, &topics, log::starts(ranges))?;
    let ended = go_on(live, ranges, |_| Ok(source), look, options.skip_poison, teller, control);
    drop(members);
    ended
}

fn start_at(projection: &Projection, live: &Live, log: &Log) -> Result<Start, ReplayError> {
    start(projection, &live.read_info()?, live.topics(), log)
}

/// The log as it is now.
fn survey(client: &Client, projection: &Projection, control: &Control) -> Result<Log, ReplayError> {
    let (client, topics) = (client.clone(), projection.topics.clone());
    lookout::ask(&control.cancel, move || Log::survey(&client, &topics))
}

/// Where to go on, and what must be said first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) ranges: Vec<Range>,
    pub(super) notices: Vec<String>,
}

/// Whether the log is still the one that the read model was built from, and still has what it needs.
pub(super) fn start(
    projection: &Projection,
    info: &ReadModelInfo,
    built_from: &[(String, Option<String>)],
    log: &Log,
) -> Result<Start, ReplayError> {
    let name = || info.name.clone();
    let file = || projection.file.clone();
    if info.hash != projection.hash {
        return Err(ReplayError::DefinitionChanged {
            name: name(),
            file: file(),
            built: info.file.clone(),
        });
    }
    if info.cluster_id != log.cluster_id {
        return Err(ReplayError::OtherCluster {
            name: name(),
            file: file(),
            built: info.cluster_id.clone(),
            here: log.cluster_id.clone(),
        });
    }
    let mut start = Start {
        ranges: Vec::new(),
        notices: Vec::new(),
    };
    for topic in &log.topics {
        let recreated = |evidence: String| ReplayError::TopicRecreated {
            name: name(),
            file: file(),
            topic: topic.name.to_string(),
            evidence,
        };
        let then = built_from.iter().find(|(built, _)| **built == *topic.name);
        if let (Some((_, Some(then))), Some(now)) = (then, &topic.id)
            && then != now
        {
            return Err(recreated(format!("its id was {then} and is {now}")));
        }
        let gone = info
            .position
            .iter()
            .filter(|(known, _)| known.topic == topic.name)
            .find(|(known, _)| topic.partitions.iter().all(|marks| marks.partition != known.partition));
        if let Some((gone, _)) = gone {
            return Err(recreated(format!("it no longer has partition {}", gone.partition)));
        }
        let mut added = Vec::new();
        for marks in &topic.partitions {
            let next = info
                .position
                .next(&TopicPartition::new(topic.name.clone(), marks.partition));
            if let Some(next) = next {
                if next > marks.high {
                    let partition = marks.partition;
                    return Err(recreated(format!(
                        "partition {partition} ends at offset {}, and the read model is at {next}",
                        marks.high
                    )));
                }
                if next < marks.low {
                    return Err(ReplayError::LostRecords {
                        name: name(),
                        file: file(),
                        topic: topic.name.to_string(),
                        partition: marks.partition,
                        next,
                        low: marks.low,
                    });
                }
            } else {
                added.push(marks.partition.to_string());
            }
            start.ranges.push(Range {
                topic: topic.name.clone(),
                partition: marks.partition,
                start: next.unwrap_or(marks.low),
                end: None,
            });
        }
        if !added.is_empty() {
            start.notices.push(format!(
                "partitions were added to {} since `{}` was built: {}; they are read from their beginning",
                topic.name,
                info.name,
                added.join(", ")
            ));
        }
    }
    Ok(start)
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was cancelled.
    Cancelled,
    /// A poison record.
    Paused,
    /// The log is no longer the one that reading began with: [`start`] says whether that can be gone on with.
    Changed,
    /// The source had an end; a log in memory has one.
    End,
}

/// Goes on from a position, from any source. `look` says what is known of the log.
pub(super) fn go_on<S: Source>(
    live: &Live,
    ranges: &[Range],
    open: impl FnOnce(Vec<Range>) -> Result<S, ReplayError> + Send,
    look: &dyn Look,
    skip_poison: bool,
    teller: &mut Teller,
    control: &mut Control,
) -> Result<Ended, ReplayError> {
    let on_poison = if skip_poison { OnPoison::Skip } else { OnPoison::Pause };
    let mut fold = live.fold(on_poison)?;
    teller.begin(&mut fold)?;
    let starts = log::starts(ranges);
    if starts.len() > fold.position().len() {
        // A partition that was added is known from here on, whether or not it has records.
        fold.advance(&starts);
        fold.commit()?;
    }
    control.meter.phase(Phase::Live);
    let span = Span::of(ranges);
    let cancel = control.cancel.clone();
    let stop = move || cancel.is_cancelled();
    let ranges = ranges.to_vec();
    let mut following = Following {
        committed: fold.position(),
        fold,
        span,
        look,
        teller,
        group: control.group.as_deref(),
        meter: &mut control.meter,
        stop: &stop,
        since: None,
        troubled: false,
    };
    following.say();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (done, used) = sync_channel(AHEAD);
        let reading = {
            let stop = stop.clone();
            scope.spawn(move || feed(|| open(ranges), &sender, &used, &stop))
        };
        let result = following.run(&receiver, &done);
        drop(receiver);
        let result = result.and_then(|ended| {
            let all = matches!(ended, Ended::Paused | Ended::End);
            let Following {
                fold, meter, teller, ..
            } = &mut following;
            teller.last_word(all, fold, meter, &stop)?;
            Ok(ended)
        });
        match reading.join() {
            Ok(()) => result,
            Err(panic) => Err(crashed(&*panic)),
        }
    })
}

/// The applying side of a follow.
struct Following<'a, 'c> {
    fold: Fold<'c>,
    span: Span,
    look: &'a dyn Look,
    teller: &'a mut Teller,
    group: Option<&'a Group>,
    meter: &'a mut Meter,
    stop: &'a dyn Fn() -> bool,
    /// When the open transaction began.
    since: Option<Instant>,
    /// The position of the last commit.
    committed: Position,
    /// Whether it was said that records cannot come.
    troubled: bool,
}

impl Following<'_, '_> {
    fn run<B: Records>(&mut self, from: &Receiver<Fed<B>>, done: &SyncSender<B>) -> Result<Ended, ReplayError> {
        loop {
            if (self.stop)() || self.group.is_some_and(Group::is_killed) {
                self.commit()?;
                return Ok(Ended::Cancelled);
            }
            let fed = match from.try_recv() {
                Ok(fed) => fed,
                Err(TryRecvError::Empty) => {
                    // Nothing waits: what was applied becomes visible now.
                    self.commit()?;
                    self.tell_others()?;
                    match from.recv_timeout(if self.teller.is_busy() { SOON } else { WAIT }) {
                        Ok(fed) => fed,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return self.alone(),
                    }
                }
                Err(TryRecvError::Disconnected) => return self.alone(),
            };
            match fed {
                Fed::Batch(batch, position) => match self.batch(&batch, &position) {
                    Ok(None) => {
                        let _ = done.try_send(batch);
                    }
                    Ok(Some(ended)) => return Ok(ended),
                    // Interrupted within a statement: the transaction is gone, the next start does it again.
                    Err(ReadModelError::Cancelled) => return Ok(Ended::Cancelled),
                    Err(error) => return Err(error.into()),
                },
                Fed::Idle(position, trouble) => {
                    self.fold.advance(&position);
                    self.tell(trouble);
                    self.commit()?;
                    self.say();
                    if self.look.seen().changed {
                        return Ok(Ended::Changed);
                    }
                }
                Fed::End(position) => {
                    self.fold.advance(&position);
                    self.commit()?;
                    self.say();
                    return Ok(Ended::End);
                }
                Fed::Failed(error) => {
                    self.commit()?;
                    return Err(error);
                }
            }
        }
    }

    /// The reading thread has gone without a word, which it does when it was told to stop.
    fn alone(&mut self) -> Result<Ended, ReplayError> {
        self.commit()?;
        if (self.stop)() {
            Ok(Ended::Cancelled)
        } else {
            Err(ReplayError::Crashed("the reading thread ended".to_owned()))
        }
    }

    fn batch<B: Records>(&mut self, batch: &B, position: &Position) -> Result<Option<Ended>, ReadModelError> {
        let mut records = batch.records();
        let mut left = batch.len();
        while left > 0 {
            let chunk = left.min(CHUNK);
            self.since.get_or_insert_with(Instant::now);
            let folded = self.fold.apply(records.by_ref().take(chunk), self.stop)?;
            for broken in self.fold.take_broken() {
                self.meter.notice(broken.to_string());
            }
            match folded {
                Folded::All => left -= chunk,
                Folded::Stopped => {
                    self.commit()?;
                    return Ok(Some(Ended::Cancelled));
                }
                Folded::Poisoned => {
                    self.feel_disk();
                    self.fold.commit()?;
                    self.tell_group();
                    self.say();
                    return Ok(Some(Ended::Paused));
                }
            }
            let old = self.since.is_some_and(|since| since.elapsed() >= COMMIT_AFTER);
            if old || self.fold.uncommitted() >= COMMIT_RECORDS {
                self.commit()?;
            }
            self.tell_others()?;
            if self.meter.is_due() {
                self.say();
            }
        }
        drop(records);
        self.fold.advance(position);
        if self.look.seen().changed {
            self.commit()?;
            return Ok(Some(Ended::Changed));
        }
        Ok(None)
    }

    /// Publishes what can be published and notifies, without waiting.
    fn tell_others(&mut self) -> Result<(), ReadModelError> {
        self.teller.hold(self.group.is_some_and(Group::holds));
        self.teller.step(&mut self.fold, self.meter)
    }

    /// Says once that records cannot come, and once that they can again.
    fn tell(&mut self, trouble: Option<String>) {
        match (&trouble, self.troubled) {
            (Some(reason), false) => self.meter.notice(format!("{reason}; trying on")),
            (None, true) => self.meter.notice("the broker answers again".to_owned()),
            _ => {}
        }
        if self.troubled != trouble.is_some() {
            self.troubled = trouble.is_some();
            self.look.keep_quiet(self.troubled);
        }
    }

    /// Commits if there is anything to commit.
    fn commit(&mut self) -> Result<(), ReadModelError> {
        if self.group.is_some_and(Group::is_killed) {
            // What is uncommitted goes with the fold.
            return Err(ReadModelError::Cancelled);
        }
        let position = self.fold.position();
        if self.fold.uncommitted() > 0 || position != self.committed {
            self.feel_disk();
            self.fold.commit()?;
            self.tell_group();
            self.committed = position;
        }
        self.since = None;
        Ok(())
    }

    /// Whoever keeps the group may have filled the disk, or freed it.
    fn feel_disk(&mut self) {
        self.fold.fill(self.group.is_some_and(Group::is_full));
    }

    /// The group's committed offsets follow the read model's position.
    fn tell_group(&self) {
        if let Some(group) = self.group {
            group.commit(self.fold.position());
        }
    }

    fn say(&mut self) {
        let position = self.fold.position();
        let done = self.span.covered(&position);
        let total = self.span.covered(&self.look.seen().ends);
        self.meter.say(done, total, self.fold.counts(), position);
    }
}

/// Why a read model stands still, if it does.
pub fn paused(info: &ReadModelInfo) -> Option<&str> {
    match &info.state {
        State::Paused { reason } => Some(reason),
        State::Ready | State::Unreadable { .. } => None,
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
pub(in crate::replay) mod tests;

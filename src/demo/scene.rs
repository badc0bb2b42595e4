//! The scene of a run: everything that a step acts on, and what each action does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::broker::client::Client;
use crate::broker::embedded::Embedded;
use crate::broker::producer::{NewRecord, Producer};
use crate::projection::Projection;
use crate::readmodel::capture::execute;
use crate::readmodel::store::Store;
use crate::record::Timestamp;
use crate::replay::rebuild::{RebuildOptions, RebuildReport, rebuild};
use crate::replay::task::Task;

use super::board::Board;
use super::catalog::Demo;
use super::connector;
use super::error::DemoError;
use super::fault::Fault;
use super::player::{Player, Stands, Turn};
use super::run::{ByHand, StepState};
use super::script::{Action, Broker, Condition, Members, Poison, Produce, Question, Slow, Use};
use super::sinks::Addresses;
use super::steps::LOG;
use super::text::{Language, Text};
use super::timeline::{Due, Timeline};

/// How long the broker may take to acknowledge everything.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// How soon is looked again at what is waited for: a broker tells nobody that a group has moved on.
const AGAIN: Duration = Duration::from_millis(20);
/// A gap between two events that is longer is waited for this long: nobody watches a shop through the night.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// How many things that were done by hand are remembered, for whoever watches.
const REMEMBERED: usize = 100;

/// What steps act on.
pub(super) struct Scene {
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) demo: Demo,
    pub(super) language: Language,
    pub(super) cancel: CancellationToken,
    pub(super) player: Arc<Player>,
    pub(super) board: Arc<Board>,
    /// The broker, where it is ours to take away.
    pub(super) embedded: Option<Arc<Embedded>>,
    pub(super) timeline: Timeline,
    /// The real systems that are fed.
    pub(super) sinks: Addresses,
    /// Whether somebody watches who may have broken something, and may mend it again.
    pub(super) attended: bool,
    /// What was done by hand, for whoever watches.
    pub(super) by_hand: Option<watch::Sender<Vec<ByHand>>>,
    /// The line of the run that is under way.
    pub(super) line: usize,
    /// What was broken by hand and has not been mended: the part or the topic, and what was done.
    broken: BTreeMap<String, Text>,
    /// How many records were written by hand.
    pub(super) by_hand_records: usize,
    /// How far each lake was loaded.
    pub(super) loaded: BTreeMap<String, BTreeMap<i32, i64>>,
    producer: Option<Producer>,
    /// When the last event happened that was written.
    last: Option<Timestamp>,
    /// The projections in use, those of processors apart.
    projections: Vec<Projection>,
    /// What was written to be poison: the topic, and the value.
    poisoned: BTreeSet<(String, Vec<u8>)>,
    /// How long processors took, each event that was measured.
    pub(super) latencies: BTreeMap<String, Vec<Duration>>,
}

impl Scene {
    pub(super) fn new(
        client: Client,
        store: Store,
        demo: Demo,
        language: Language,
        board: Arc<Board>,
        player: Arc<Player>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            projections: demo.projections.clone(),
            client,
            store,
            demo,
            language,
            cancel,
            player,
            board,
            embedded: None,
            sinks: Addresses::new(),
            timeline: Timeline::default(),
            attended: false,
            by_hand: None,
            line: 0,
            broken: BTreeMap::new(),
            by_hand_records: 0,
            loaded: BTreeMap::new(),
            producer: None,
            last: None,
            poisoned: BTreeSet::new(),
            latencies: BTreeMap::new(),
        }
    }

    pub(super) fn say(&self, en: &str, zh: &str) -> String {
        match self.language {
            Language::English => en.to_owned(),
            Language::Chinese => zh.to_owned(),
        }
    }

    pub(super) fn check_cancelled(&self) -> Result<(), DemoError> {
        if self.cancel.is_cancelled() {
            return Err(DemoError::Cancelled);
        }
        Ok(())
    }

    /// Does what a step says, telling `say` how far it is; returns what there is to say of it.
    pub(super) fn act(&mut self, action: &Action, say: &dyn Fn(String)) -> Result<String, DemoError> {
        self.check_cancelled()?;
        self.mended(action);
        match action {
            Action::Produce(produce) => self.produce(produce, say),
            Action::Start(part) => {
                self.board.start(part, false);
                Ok(self.say(&format!("{part} started"), &format!("{part} 已启动")))
            }
            Action::Skip(part) => {
                self.board.start(part, true);
                Ok(self.say(&format!("{part} goes on past poison"), &format!("{part} 跳过毒丸继续")))
            }
            Action::Stop(part) => {
                self.board.stop(part, false)?;
                Ok(self.say(&format!("{part} stopped"), &format!("{part} 已停止")))
            }
            Action::Kill(part) => {
                self.board.stop(part, true)?;
                Ok(self.say(&format!("{part} killed"), &format!("{part} 已被杀掉")))
            }
            Action::Slow(slow) => {
                self.board.with(&slow.part, |running| running.slow(Some(slow.rate)));
                let (part, rate) = (&slow.part, slow.rate);
                Ok(self.say(&format!("{part}: {rate} records/s"), &format!("{part}：每秒 {rate} 条")))
            }
            Action::Fast(part) => {
                self.board.with(part, |running| running.slow(None));
                Ok(self.say(&format!("{part}: full speed"), &format!("{part}：全速")))
            }
            Action::Hold(part) => {
                self.board.with(part, |running| running.hold(true));
                Ok(self.say(
                    &format!("{part} commits and publishes nothing"),
                    &format!("{part} 只提交，不发布"),
                ))
            }
            Action::Release(part) => {
                self.board.with(part, |running| running.hold(false));
                Ok(self.say(&format!("{part} publishes"), &format!("{part} 恢复发布")))
            }
            Action::FillDisk(part) => {
                self.board.with(part, |running| running.fill(true));
                Ok(self.say(
                    &format!("the store of {part} has no room left"),
                    &format!("{part} 的存储没有空间了"),
                ))
            }
            Action::FreeDisk(part) => {
                self.board.free_disk(part);
                Ok(self.say(
                    &format!("the store of {part} has room again"),
                    &format!("{part} 的存储又有空间了"),
                ))
            }
            Action::Members(members) => self.members(members),
            Action::Poison(poison) => self.poison(poison),
            Action::Duplicate(twice) => {
                let topic = self.demo.topic(&twice.topic);
                if let Some(capture) = self.board.capture_of(&topic) {
                    return self.capture_again(&capture, twice.records);
                }
                if let Some(agent) = self.board.agent_of(&topic) {
                    return self.send_again(&agent, twice.records);
                }
                let last = self.timeline.last(&topic, twice.records);
                last.iter().try_for_each(|due| self.write(due))?;
                self.flush()?;
                let count = last.len();
                Ok(self.say(
                    &format!("{count} records once more"),
                    &format!("{count} 条记录又写了一遍"),
                ))
            }
            Action::Delay(late) => {
                self.timeline.delay(late.records, late.by);
                let (count, by) = (late.records, late.by);
                Ok(self.say(
                    &format!("{count} events come {by} later"),
                    &format!("{count} 个事件晚 {by} 个才到"),
                ))
            }
            Action::Reorder(turned) => {
                self.timeline.reorder(turned.records);
                let count = turned.records;
                Ok(self.say(
                    &format!("{count} events turned around"),
                    &format!("{count} 个事件顺序颠倒"),
                ))
            }
            Action::Partitions(more) => {
                self.client.add_partitions(&self.demo.topic(&more.topic), more.count)?;
                let (topic, count) = (&more.topic, more.count);
                Ok(self.say(
                    &format!("{topic}: {count} partitions"),
                    &format!("{topic}：{count} 个分区"),
                ))
            }
            Action::Rebuild(read_model) => self.rebuild_named(read_model),
            Action::Use(other) => self.use_file(other),
            Action::Delete(read_model) => {
                self.store.delete(read_model)?;
                Ok(self.say(&format!("{read_model} deleted"), &format!("{read_model} 已删除")))
            }
            Action::Cut(mirror) => {
                self.board.mirrors.cut(mirror);
                Ok(self.say("the link is cut", "链路已切断"))
            }
            Action::Join(mirror) => {
                self.board.mirrors.join(mirror)?;
                Ok(self.say("the link is back", "链路已恢复"))
            }
            Action::Measure(measure) => self.measure(measure, say),
            Action::Lose(Broker::Broker) => {
                self.flush()?;
                if !self.ours()?.lose() {
                    return Err(not_ours());
                }
                self.board.lost(true);
                Ok(self.say("the broker is gone", "broker 已停"))
            }
            Action::BringBack(Broker::Broker) => {
                self.ours()?.bring_back()?;
                self.board.lost(false);
                Ok(self.say("the broker is back", "broker 已恢复"))
            }
            Action::Load(lake) => self.load(lake),
            Action::Rotate(agent) => {
                let rotated = self.board.with_agent(agent, |known| known.rotate());
                let count = rotated.transpose()?.unwrap_or(0);
                let plural = if count == 1 { "" } else { "s" };
                Ok(self.say(
                    &format!("the next line begins a new file; {count} older one{plural}"),
                    &format!("下一行写进新文件；旧文件 {count} 个"),
                ))
            }
            Action::Change(change) => {
                execute(
                    &connector::path(&self.store, &self.demo.id, &change.database),
                    &change.sql,
                )?;
                let database = &change.database;
                Ok(self.say(&format!("{database} changed"), &format!("{database} 已修改")))
            }
            Action::Wait(question) => self.wait(question, say),
            Action::Show(show) => self.answer(&show.sql),
        }
    }

    /// Lets a capture hand on its last changes once more, as one does that was killed before it had written them down.
    fn capture_again(&self, capture: &str, changes: usize) -> Result<String, DemoError> {
        self.board.stop(capture, true)?;
        let again = self.board.with_capture(capture, |known| known.forget(changes));
        self.board.start(capture, false);
        let again = again.transpose()?.unwrap_or(0);
        Ok(self.say(
            &format!("{capture} was killed, and hands on {again} changes once more"),
            &format!("{capture} 被杀掉，{again} 个变更再写一遍"),
        ))
    }

    /// Lets an agent send its last lines once more, as one does that was killed before it had written down that they arrived.
    fn send_again(&self, agent: &str, lines: usize) -> Result<String, DemoError> {
        self.board.stop(agent, true)?;
        let again = self.board.with_agent(agent, |known| known.forget(lines));
        self.board.start(agent, false);
        let again = again.transpose()?.unwrap_or(0);
        Ok(self.say(
            &format!("{agent} was killed, and sends {again} lines once more"),
            &format!("{agent} 被杀掉，{again} 行再发一遍"),
        ))
    }

    /// Does what somebody who watches asks for, and says how it went. Nothing of that ends the run.
    pub(super) fn act_by_hand(&mut self, fault: &Fault) {
        self.said_by_hand(fault, StepState::Running, String::new());
        let done = match &fault.action {
            Action::Produce(produce) => self.write_now(produce),
            action => self.act(action, &|_| {}),
        };
        match done {
            Ok(note) => {
                self.remember(fault);
                self.said_by_hand(fault, StepState::Passed, note);
            }
            Err(error) => self.said_by_hand(fault, StepState::Failed, error.to_string()),
        }
    }

    /// Takes note of what was broken by hand, and of what was written, for whoever wonders later why something does not come about.
    fn remember(&mut self, fault: &Fault) {
        match &fault.action {
            Action::Duplicate(twice) => self.by_hand_records += twice.records,
            Action::Poison(poison) => {
                self.by_hand_records += 1;
                self.broken.insert(poison.topic.clone(), fault.title());
            }
            Action::Stop(part)
            | Action::Kill(part)
            | Action::Hold(part)
            | Action::FillDisk(part)
            | Action::Cut(part)
            | Action::Slow(Slow { part, .. }) => {
                self.broken.insert(part.clone(), fault.title());
            }
            _ => {}
        }
    }

    /// Takes note of what an action mends.
    fn mended(&mut self, action: &Action) {
        match action {
            // Whatever was written to be poison is behind it.
            Action::Skip(part) => {
                let is_topic = |name: &str| {
                    let name = self.demo.topic(name);
                    self.demo.topics.iter().any(|topic| topic.name == name)
                };
                self.broken.retain(|name, _| name != part && !is_topic(name));
            }
            Action::Start(part)
            | Action::Fast(part)
            | Action::Release(part)
            | Action::FreeDisk(part)
            | Action::Join(part) => {
                self.broken.remove(part);
            }
            _ => {}
        }
    }

    /// What was done by hand that may keep something from coming about, as words behind what is waited for.
    fn done_by_hand(&self) -> String {
        let titles: Vec<&str> = self.broken.values().map(|title| title.get(self.language)).collect();
        if titles.is_empty() {
            return String::new();
        }
        let titles = titles.join(", ");
        self.say(
            &format!("; done by hand: {titles} (b has the way back)"),
            &format!("；手动做过：{titles}（按 b 可恢复）"),
        )
    }

    /// What was written by hand, as words behind a check that does not hold.
    pub(super) fn written_by_hand(&self) -> String {
        match self.by_hand_records {
            0 => String::new(),
            1 => self.say("; 1 record was written by hand", "；其中手动写入 1 条记录"),
            count => self.say(
                &format!("; {count} records were written by hand"),
                &format!("；其中手动写入 {count} 条记录"),
            ),
        }
    }

    /// Takes note of what is done by hand: a line when it begins, which then says how it ended.
    fn said_by_hand(&self, fault: &Fault, state: StepState, note: String) {
        let Some(by_hand) = &self.by_hand else { return };
        let said = ByHand {
            line: self.line,
            title: fault.title(),
            state,
            note,
        };
        by_hand.send_modify(|all| {
            if all.last().is_some_and(|last| last.state == StepState::Running) {
                all.pop();
            }
            all.push(said);
            let many = all.len().saturating_sub(REMEMBERED);
            all.drain(..many);
        });
    }

    /// Writes events whatever the clock says.
    fn write_now(&mut self, produce: &Produce) -> Result<String, DemoError> {
        let count = self.timeline.count(produce);
        for _ in 0..count {
            let Some(due) = self.timeline.next(produce) else { break };
            let time = due.event.timestamp;
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
            self.write(&due)?;
            self.by_hand_records += 1;
        }
        self.flush()?;
        Ok(self.written(count))
    }

    fn written(&self, count: usize) -> String {
        let plural = if count == 1 { "" } else { "s" };
        self.say(
            &format!("{count} record{plural} written"),
            &format!("写入 {count} 条记录"),
        )
    }

    fn ours(&self) -> Result<&Embedded, DemoError> {
        self.embedded.as_deref().ok_or_else(not_ours)
    }

    /// Writes events as they come due.
    fn produce(&mut self, produce: &Produce, say: &dyn Fn(String)) -> Result<String, DemoError> {
        let count = self.timeline.count(produce);
        let mut took = Vec::new();
        for written in 0..count {
            let Some(due) = self.timeline.next(produce) else { break };
            self.keep_time(due.event.timestamp, say)?;
            let began = Instant::now();
            self.write(&due)?;
            if produce.one_by_one {
                self.flush()?;
                took.push(began.elapsed());
            }
            if written.is_multiple_of(16) {
                say(format!("{written} / {count}"));
            }
        }
        self.flush()?;
        let (en, zh) = Self::acknowledged(took);
        Ok(self.written(count) + &self.say(&en, &zh))
    }

    /// How long records took to be acknowledged that were written one by one.
    fn acknowledged(mut took: Vec<Duration>) -> (String, String) {
        took.sort_unstable();
        let (Some(least), Some(most)) = (took.first(), took.last()) else {
            return Default::default();
        };
        let ms = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        let (least, half, most) = (ms(least), ms(&took[took.len() / 2]), ms(most));
        (
            format!(", each acknowledged after {least} to {most} ms, half of them within {half} ms"),
            format!("，逐条确认，各用 {least} 到 {most} 毫秒，半数在 {half} 毫秒内"),
        )
    }

    /// Waits as long as lies between the last event and this one. What is written by then is acknowledged first, so that
    /// whoever watches one record at a time sees each arrive. A broker that was taken away meanwhile is said to `say`, and waited for.
    pub(super) fn keep_time(&mut self, time: Timestamp, say: &dyn Fn(String)) -> Result<(), DemoError> {
        let gap = self.last.map_or(0, |last| time.0 - last.0);
        let gap = Duration::from_millis(u64::try_from(gap).unwrap_or(0)).min(LONGEST_GAP);
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        let began = Instant::now();
        loop {
            let fault = match self.player.wait(began, gap, &self.cancel)? {
                Turn::Asked(fault) => fault,
                // Taken away by hand, it is brought back by hand; what is written meanwhile would fail after a while.
                Turn::Due if self.attended && self.board.is_lost() => {
                    say(self.say("the broker is gone; b brings it back", "broker 已停；按 b 可恢复"));
                    self.player.wait_for_fault(Stands::Acting, &self.cancel)?
                }
                Turn::Due => return Ok(()),
            };
            self.act_by_hand(&fault);
        }
    }

    pub(super) fn write(&mut self, due: &Due) -> Result<(), DemoError> {
        if let Some(agent) = &due.agent {
            return self.log(agent, due);
        }
        let event = &due.event;
        self.send(NewRecord {
            topic: &event.topic,
            partition: Some(due.partition),
            key: event.key.as_deref(),
            value: event.value.as_deref(),
            timestamp: Some(event.timestamp),
            headers: &[],
        })?;
        let (now, left) = (self.timeline.now(), self.timeline.left());
        self.board.sent(&due.service, &event.topic, now, left);
        Ok(())
    }

    /// Hands a record to the broker.
    pub(super) fn send(&mut self, record: NewRecord<'_>) -> Result<(), DemoError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.client.producer()?,
        };
        let sent = producer.send(record);
        self.producer = Some(producer);
        Ok(sent?)
    }

    /// Writes a line into the log that an agent follows.
    fn log(&self, agent: &str, due: &Due) -> Result<(), DemoError> {
        let line = due.event.value.as_deref().unwrap_or_default();
        let appended = self.board.with_agent(agent, |known| known.append(line));
        appended.transpose()?;
        let (now, left) = (self.timeline.now(), self.timeline.left());
        self.board.sent(&due.service, agent, now, left);
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), DemoError> {
        if let Some(producer) = &self.producer {
            producer.flush(ACKNOWLEDGED)?;
        }
        Ok(())
    }

    /// Whether a record was written to be poison.
    pub(super) fn is_poison(&self, topic: &str, value: &[u8]) -> bool {
        let mut known = self.poisoned.iter();
        known.any(|(known, poison)| known == topic && poison == value)
    }

    fn poison(&mut self, poison: &Poison) -> Result<String, DemoError> {
        let topic = self.demo.topic(&poison.topic);
        self.poisoned.insert((topic.clone(), poison.value.clone().into_bytes()));
        let partitions = self.client.topic(&topic)?.partitions.len();
        let event = super::events::Event {
            topic: topic.clone(),
            key: poison.key.as_ref().map(|key| key.clone().into_bytes()),
            value: Some(poison.value.clone().into_bytes()),
            timestamp: self.timeline.now().unwrap_or(Timestamp(0)),
        };
        let service = self
            .demo
            .writes()
            .find(|(_, written)| *written == topic)
            .map_or("", |(service, _)| service);
        let due = Due {
            service: service.to_owned(),
            agent: None,
            partition: event.partition(i32::try_from(partitions).unwrap_or(1), 0),
            event,
        };
        self.write(&due)?;
        self.flush()?;
        let place = format!("{}[{}]", poison.topic, due.partition);
        Ok(self.say(
            &format!("a poison record in {place}"),
            &format!("{place} 里有一条毒丸记录"),
        ))
    }

    fn members(&self, members: &Members) -> Result<String, DemoError> {
        let part = &members.part;
        let runs = self.board.active().contains(part);
        self.board.stop(part, false)?;
        self.board.with(part, |running| running.members = members.count);
        if runs {
            self.board.start(part, false);
        }
        let count = members.count;
        Ok(self.say(&format!("{part}: {count} members"), &format!("{part}：{count} 个成员")))
    }

    fn rebuild_named(&mut self, read_model: &str) -> Result<String, DemoError> {
        let live = self.board.of_read_model(read_model);
        let projection = match &live {
            Some(part) => self.board.with(part, |running| running.projection.clone()),
            None => self.projections.iter().find(|known| known.name == *read_model).cloned(),
        };
        // Names were looked up when the demo was read.
        let Some(projection) = projection else {
            return Ok(String::new());
        };
        self.replace(live, &projection, false)
    }

    fn use_file(&mut self, other: &Use) -> Result<String, DemoError> {
        let file = self.demo.folder.name_of(&other.file);
        let found = self.demo.spares.iter().find(|known| known.file == file).cloned();
        let Some(projection) = found else {
            return Ok(String::new());
        };
        let live = self.board.of_read_model(&projection.name);
        if let Some(known) = self.projections.iter_mut().find(|known| known.name == projection.name) {
            *known = projection.clone();
        }
        self.replace(live, &projection, other.skip)
    }

    /// Builds a read model anew; a processor that keeps it stands still for so long, and goes on from there.
    fn replace(&mut self, live: Option<String>, projection: &Projection, skip: bool) -> Result<String, DemoError> {
        let runs = live.as_ref().filter(|part| self.board.active().contains(part));
        if let Some(part) = runs {
            self.board.stop(part, false)?;
        }
        if let Some(part) = &live {
            self.board.with(part, |running| running.projection = projection.clone());
        }
        let report = self.rebuild(projection, skip, &|_| {})?;
        if let Some(part) = runs {
            self.board.start(part, false);
        }
        let (name, records) = (&projection.name, report.records);
        Ok(self.say(
            &format!("{name}: {records} records folded"),
            &format!("{name}：折叠 {records} 条记录"),
        ))
    }

    /// Folds the whole log into a read model; a cancel ends it, and so does a record that cannot be applied unless they are left out.
    pub(super) fn rebuild(
        &self,
        projection: &Projection,
        skip_poison: bool,
        say: &dyn Fn(&crate::replay::progress::Progress),
    ) -> Result<RebuildReport, DemoError> {
        let options = RebuildOptions {
            skip_poison,
            ..RebuildOptions::default()
        };
        let task = rebuild(self.client.clone(), self.store.clone(), projection.clone(), options);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| DemoError::Crashed(error.to_string()))?;
        runtime.block_on(self.watch(&task, say));
        let report = task.wait()?;
        self.board.folded(&projection.name, report.records);
        Ok(report)
    }

    /// Passes on how far a rebuild is until it is over.
    async fn watch(&self, task: &Task<RebuildReport>, say: &dyn Fn(&crate::replay::progress::Progress)) {
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
                    say(&progress.borrow_and_update());
                }
            }
        }
    }

    /// Waits until a condition holds; an error after its limit says what was waited for and what is there.
    fn wait(&mut self, question: &Question, say: &dyn Fn(String)) -> Result<String, DemoError> {
        let Some(condition) = question.condition() else {
            return Ok(String::new());
        };
        let began = Instant::now();
        loop {
            self.check_cancelled()?;
            while let Some(fault) = self.player.asked() {
                self.act_by_hand(&fault);
            }
            let seen = match self.look(&condition) {
                // While the broker is away nothing can be seen; whoever took it away brings it back.
                Err(error) if self.attended && began.elapsed() < question.within() => {
                    say(error.to_string());
                    thread::sleep(AGAIN);
                    continue;
                }
                seen => seen?,
            };
            if seen.holds {
                return Ok(seen.found);
            }
            if began.elapsed() >= question.within() || self.is_hopeless(&condition) {
                return Err(DemoError::Waited {
                    wanted: seen.wanted,
                    found: seen.found,
                    seconds: began.elapsed().as_secs(),
                });
            }
            let (found, wanted) = (seen.found, seen.wanted);
            let by_hand = self.done_by_hand();
            say(self.say(
                &format!("{found} (waiting for: {wanted}){by_hand}"),
                &format!("{found}（等待：{wanted}）{by_hand}"),
            ));
            thread::sleep(AGAIN);
        }
    }

    /// Whether a processor has to be at the end that has itself ended.
    fn is_hopeless(&self, condition: &Condition) -> bool {
        use super::snapshot::PartState::{Failed, Killed, Poisoned, Stopped};
        if self.attended {
            return false;
        }
        let ended = |part: &String| matches!(self.board.state(part).0, Failed | Killed | Poisoned | Stopped);
        match condition {
            Condition::CaughtUp(_) if self.board.failed_source().is_some() => true,
            Condition::CaughtUp(parts) if parts.is_empty() => !self.board.failed().is_empty(),
            Condition::CaughtUp(parts) => parts.iter().any(ended),
            _ => false,
        }
    }

    /// Stops every processor, in the order of the demo, and takes away what was only there for checks. A broker that was taken
    /// away comes back first: whoever else works with it had no say in that.
    pub(super) fn close(&self) -> Result<(), DemoError> {
        if self.board.is_lost() {
            self.ours()?.bring_back()?;
            self.board.lost(false);
        }
        if self.demo.asks_log() {
            self.store.delete(LOG)?;
        }
        let captures = self.board.capturing().into_iter().map(|(name, _)| name);
        let agents = self.demo.agents.iter().map(|agent| agent.name.clone());
        let parts: Vec<String> = captures.chain(agents).chain(self.board.active()).collect();
        self.board.mirrors.close();
        let stopped: Vec<_> = parts.iter().map(|part| self.board.stop(part, false)).collect();
        let emptied = self.board.stop_lakes();
        stopped.into_iter().chain([emptied]).collect()
    }
}

fn not_ours() -> DemoError {
    DemoError::NotOurs {
        reason: "this step takes the broker away, and it is not this process's own".to_owned(),
        help: "run the demo on the embedded broker, with no other Foldlog on the same --data DIR".to_owned(),
    }
}

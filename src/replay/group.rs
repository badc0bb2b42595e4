//! Following in a consumer group: members that share the partitions, one writer of the read model.
//!
//! Each member is a consumer with a thread of its own and hands what it reads to the one thread that applies. Where a partition is
//! read from is the read model's own position, never the group's: rows and position stay one transaction, and the group's
//! committed offsets follow after each commit, for everybody who asks the broker how far it is.
//!
//! When partitions change hands, what the member before had read may still be on its way to the writer while the next member
//! reads it once more. So a record is handed on only where it is the next of its partition: each comes once, and in order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::member::{Member, News, SESSION};
use crate::record::{Position, Record, RecordRef, TopicPartition};

use super::error::ReplayError;
use super::source::{Polled, Records, Source};

/// How long a member waits for news before it looks whether it is still wanted.
const WAIT: Duration = Duration::from_millis(20);
/// Batches between members and writer: what a member has handed on it has read ahead, so few.
const AHEAD: usize = 2;

/// A consumer group to follow in. Whoever keeps it can see and change how it is followed while it is.
#[derive(Debug)]
pub struct Group {
    id: String,
    name: String,
    members: usize,
    session: Duration,
    /// Records a second at most; 0 is no limit.
    pace: AtomicU64,
    killed: AtomicBool,
    holds: AtomicBool,
    full: AtomicBool,
    committed: Mutex<Position>,
    /// How many partitions each member has.
    shares: Mutex<Vec<usize>>,
}

impl Group {
    /// The group `id` with this many members, called `NAME-1`, `NAME-2` and so on.
    pub fn new(id: &str, name: &str, members: usize) -> Self {
        let members = members.max(1);
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            members,
            session: SESSION,
            pace: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            full: AtomicBool::new(false),
            committed: Mutex::default(),
            shares: Mutex::new(vec![0; members]),
        }
    }

    /// The same group, whose members are missed after a silence of `session`. Apache Kafka allows no less than [`SESSION`] unless it
    /// is told otherwise.
    #[must_use]
    pub fn missed_after(self, session: Duration) -> Self {
        Self { session, ..self }
    }

    /// Applies this many records a second at most; `None` as many as there are.
    pub fn slow(&self, records_per_second: Option<u64>) {
        self.pace
            .store(records_per_second.map_or(0, |pace| pace.max(1)), Ordering::Relaxed);
    }

    /// The limit, if there is one.
    pub fn pace(&self) -> Option<u64> {
        Some(self.pace.load(Ordering::Relaxed)).filter(|pace| *pace > 0)
    }

    /// Keeps what is emitted from here on in the outbox, committed and unpublished, as long as this is true.
    pub fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    /// Whether what is emitted is held back.
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// Lets the read model take nothing more, as on a disk that is full, as long as this is true: the next commit fails, and with it the
    /// follow.
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether the read model takes nothing more.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Ends the follow as `kill -9` would: what was not committed is lost, and the group is not told that its members are gone.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
    }

    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// The position of the read model's last commit.
    pub fn committed(&self) -> Position {
        locked(&self.committed).clone()
    }

    /// How many partitions each member has now.
    pub fn shares(&self) -> Vec<usize> {
        locked(&self.shares).clone()
    }

    /// Told by the writer after each commit.
    pub(super) fn commit(&self, position: Position) {
        *locked(&self.committed) = position;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What members and source share.
#[derive(Debug)]
struct Shared {
    group: Arc<Group>,
    over: AtomicBool,
    /// The next offset of each partition after what was handed on.
    next: Mutex<Position>,
    /// What keeps each member from hearing of the broker.
    troubles: Mutex<Vec<Option<String>>>,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.group.is_killed()
    }
}

/// Records, and how far partitions were read with them.
type Handed = Result<(Vec<Record>, Position), BrokerError>;

/// The members of one process, until they are sent away or dropped.
#[derive(Debug)]
pub(super) struct Members {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Members {
    /// Joins the group, to go on from `position`.
    pub(super) fn join(
        client: &Client,
        group: &Arc<Group>,
        topics: &[String],
        position: Position,
    ) -> Result<(Self, GroupSource), ReplayError> {
        let shared = Arc::new(Shared {
            group: Arc::clone(group),
            over: AtomicBool::new(false),
            next: Mutex::new(position),
            troubles: Mutex::new(vec![None; group.members]),
        });
        let (to, from) = sync_channel(AHEAD);
        let mut members = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for number in 0..group.members {
            let name = format!("{}-{}", group.name, number + 1);
            let member = client.join(&group.id, &name, topics, group.session)?;
            let (shared, to) = (Arc::clone(&shared), to.clone());
            let thread = thread::Builder::new().name(name).spawn(move || {
                Joined {
                    shared,
                    number,
                    member,
                    to,
                }
                .run();
            });
            members
                .threads
                .push(thread.map_err(|error| ReplayError::Crashed(format!("the system gave no thread: {error}")))?);
        }
        let source = GroupSource {
            shared,
            from,
            waiting: Vec::new().into_iter(),
            ends: Position::new(),
            last: None,
        };
        Ok((members, source))
    }
}

impl Drop for Members {
    /// They leave the group, unless they were killed.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a member of a consumer group panicked");
            }
        }
    }
}

/// A member at work.
struct Joined {
    shared: Arc<Shared>,
    number: usize,
    member: Member,
    to: SyncSender<Handed>,
}

impl Joined {
    fn run(mut self) {
        let mut told = Position::new();
        while !self.shared.is_over() {
            if let Err(error) = self.turn(&mut told) {
                // Nobody listens where it is over.
                self.hand(Err(error));
                break;
            }
        }
        self.share(0);
        if !self.shared.group.is_killed() {
            // The writer's last commit came before its members were sent away.
            let last = self.shared.group.committed();
            let _ = self.member.commit(&last);
            self.member.leave();
        }
    }

    fn turn(&mut self, told: &mut Position) -> Result<(), BrokerError> {
        let committed = self.shared.group.committed();
        if committed != *told {
            self.member.commit(&committed)?;
            *told = committed;
        }
        let news = self.member.poll(WAIT)?;
        locked(&self.shared.troubles)[self.number] = self.member.trouble();
        match news {
            News::Nothing => {}
            News::Records(records, ends) => self.hand(Ok((records, ends))),
            News::Revoked => self.share(0),
            News::Assigned(partitions) => {
                let next = locked(&self.shared.next).clone();
                self.share(partitions.len());
                self.member.begin(partitions, &next)?;
                // The group knows of each partition how far it is, records or not.
                *told = Position::new();
            }
        }
        Ok(())
    }

    fn share(&self, partitions: usize) {
        if let Some(share) = locked(&self.shared.group.shares).get_mut(self.number) {
            *share = partitions;
        }
    }

    /// Hands on, waiting for room as long as somebody wants it.
    fn hand(&self, mut handed: Handed) {
        while !self.shared.is_over() {
            match self.to.try_send(handed) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => {
                    handed = back;
                    thread::park_timeout(Duration::from_millis(2));
                }
            }
        }
    }
}

/// Records that are nobody else's.
#[derive(Debug)]
pub(super) struct Owned(Vec<Record>);

impl Records for Owned {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.0.iter().map(Record::view)
    }
}

/// What all members read, each record once.
#[derive(Debug)]
pub(super) struct GroupSource {
    shared: Arc<Shared>,
    from: Receiver<Handed>,
    /// Records that came and were not handed on yet.
    waiting: std::vec::IntoIter<Record>,
    /// How far partitions were read with them.
    ends: Position,
    /// When a slowed group handed on its last record.
    last: Option<Instant>,
}

impl Source for GroupSource {
    type Batch = Owned;

    fn poll(&mut self, wait: Duration) -> Result<Polled<Owned>, ReplayError> {
        if self.waiting.as_slice().is_empty() {
            match self.from.recv_timeout(wait) {
                Ok(handed) => {
                    let (records, ends) = handed?;
                    (self.waiting, self.ends) = (records.into_iter(), ends);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Polled::Idle),
                Err(RecvTimeoutError::Disconnected) if self.shared.is_over() => return Ok(Polled::Idle),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ReplayError::Crashed("every member of the group has gone".to_owned()));
                }
            }
        }
        let pace = self.shared.group.pace();
        if let Some(pace) = pace
            && let Some(last) = self.last
        {
            let gap = Duration::from_secs_f64(1.0 / pace as f64);
            let left = gap.saturating_sub(last.elapsed());
            thread::sleep(left.min(wait));
            if left > wait {
                return Ok(Polled::Idle);
            }
        }
        self.last = Some(Instant::now());
        let count = if pace.is_some() { 1 } else { usize::MAX };
        let mut next = locked(&self.shared.next);
        let records = once(&mut self.waiting, count, &mut next);
        if self.waiting.as_slice().is_empty() {
            for (at, end) in std::mem::take(&mut self.ends).iter() {
                if next.next(at).is_none_or(|next| next < end) {
                    next.set(at.clone(), end);
                }
            }
        }
        drop(next);
        Ok(if records.is_empty() {
            Polled::Idle
        } else {
            Polled::Batch(Owned(records))
        })
    }

    fn position(&self) -> Position {
        locked(&self.shared.next).clone()
    }

    fn trouble(&self) -> Option<String> {
        let troubles = locked(&self.shared.troubles);
        let all = troubles.iter().all(Option::is_some);
        troubles.iter().flatten().next().filter(|_| all).cloned()
    }
}

/// Up to `count` records that were not handed on before; `next` goes on past them.
fn once(records: &mut impl Iterator<Item = Record>, count: usize, next: &mut Position) -> Vec<Record> {
    let new = records.filter(|record| {
        let at = TopicPartition::new(record.topic.clone(), record.partition);
        let is_new = next.next(&at).is_none_or(|next| record.offset >= next);
        if is_new {
            next.set(at, record.offset + 1);
        }
        is_new
    });
    new.take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(partition: i32, offset: i64) -> Record {
        Record {
            topic: "t".into(),
            partition,
            offset,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    proptest! {
        /// Partitions change hands at any moment: the next member begins with what was handed on until then, while what the one
        /// before had read is still on its way. Every record comes once, in its partition's order.
        #[test]
        fn each_record_comes_once_whoever_reads_it(
            turns in prop::collection::vec((0usize..3, 1i64..6, any::<bool>(), 0usize..4), 1..60)
        ) {
            let mut next = Position::new();
            let mut reads = [0i64; 3];
            let mut under_way = std::collections::VecDeque::new();
            let mut came = vec![Vec::new(); 3];
            let mut hand_on = |batch: Vec<Record>, next: &mut Position| {
                for record in once(&mut batch.into_iter(), usize::MAX, next) {
                    came[record.partition as usize].push(record.offset);
                }
            };
            for (partition, records, moves, handed) in turns {
                if moves {
                    reads[partition] = next.next(&TopicPartition::new("t", partition as i32)).unwrap_or(0);
                }
                let batch: Vec<Record> =
                    (reads[partition]..reads[partition] + records).map(|offset| record(partition as i32, offset)).collect();
                reads[partition] += records;
                under_way.push_back(batch);
                for _ in 0..handed {
                    if let Some(batch) = under_way.pop_front() {
                        hand_on(batch, &mut next);
                    }
                }
            }
            for batch in under_way {
                hand_on(batch, &mut next);
            }
            for offsets in came {
                prop_assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{offsets:?}");
            }
        }
    }
}

//! The courier of one store: what it does next, and the thread that it does it on.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::readmodel::feed::{Fed, FedRow, Feed, Mark};
use crate::readmodel::query::Cell;
use crate::replay::aside::{Pauses, spawn};
use crate::replay::error::ReplayError;
use crate::sink::error::SinkError;
use crate::sink::{RowStore, row_name};

/// Rows that are pushed together at most.
const BATCH: usize = if cfg!(test) { 7 } else { 1_000 };
/// How often a store is looked at that is fed with nothing: it may have been emptied, or be gone.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What is waited after failures.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(30));
/// What is waited before a store is taken back that others feed, too: giving it all rows over and over helps neither.
const LOSSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(30 * 60));
/// How long nobody may have taken a store before one more loss is a first one.
const CALM: Duration = Duration::from_secs(10 * 60);

/// What a courier has to say.
#[derive(Debug)]
pub(in crate::replay) enum Report {
    /// Something that should be said out loud.
    Notice(String),
    /// What became of rows.
    Fed(Fed),
    /// The store has every change up to this one, and there was none after it.
    InStep(i64),
}

/// Where a courier stands.
#[derive(Debug, Clone, PartialEq)]
enum Doing {
    /// It is not connected; whether the store must be fed anew whatever it says.
    Opening { anew: bool },
    /// It pushes all rows: which table, and after which key.
    Filling { table: usize, after: Option<Vec<Cell>> },
    /// It takes away what is not in the read model.
    Sweeping { from: Option<String> },
    /// It pushes what changes.
    Following,
}

/// Feeds one store.
pub(in crate::replay) struct Courier {
    name: String,
    feed: Feed,
    store: Box<dyn RowStore>,
    /// How far the store was fed, as far as is known here.
    mark: Mark,
    /// What the store says about that, which may be one batch further. As long as it has not all rows yet the number is none of a
    /// change, and another one after each push: whoever looks sees that somebody is at work.
    stored: Option<Mark>,
    beat: i64,
    doing: Doing,
    /// What was under way when the connection broke.
    before: Option<Doing>,
    /// Whether the store refused a row, which may be taken when it comes again.
    refused: bool,
    /// Whether the store is looked at though nothing changed.
    looks: bool,
    /// Why it is not fed; gone when something was written.
    trouble: Option<String>,
    /// Whether it was said that it is fed: what is known from before may be a trouble that is over.
    told: bool,
    /// That somebody took the store, with what they had written of their mark when it was looked at last.
    taken: Option<Option<Mark>>,
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    Something,
    Nothing,
}

impl Courier {
    pub(in crate::replay) fn new(name: String, feed: Feed, store: Box<dyn RowStore>, mark: Mark) -> Self {
        Self {
            name,
            feed,
            store,
            mark,
            stored: None,
            beat: 0,
            doing: Doing::Opening { anew: false },
            before: None,
            refused: false,
            looks: false,
            trouble: None,
            told: false,
            taken: None,
        }
    }

    /// Whether all went well of late: something was written since the last failure.
    pub(super) fn is_well(&self) -> bool {
        self.trouble.is_none()
    }

    /// The next step looks whether the store still is what it was, though nothing changed.
    pub(super) fn look(&mut self) {
        self.looks = true;
    }

    /// Does the next thing, a bounded one. After an error it begins with a new connection.
    pub(super) fn step(&mut self, say: &mut dyn FnMut(Report)) -> Result<Did, SinkError> {
        let doing = self.doing.clone();
        let done = match doing.clone() {
            Doing::Opening { anew } => self.open(anew, say).map(|()| Did::Something),
            Doing::Filling { table, after } => self.fill(table, after.as_deref(), say).map(|()| Did::Something),
            Doing::Sweeping { from } => self.sweep(from, say).map(|()| Did::Something),
            Doing::Following => self.follow(say),
        };
        if let Err(error) = &done {
            if matches!(error, SinkError::Lost) {
                self.taken.get_or_insert(None);
            }
            let trouble = Some(self.words(error)).filter(|words| self.trouble.as_ref() != Some(words));
            if let Some(trouble) = trouble {
                self.trouble = Some(trouble);
                self.told = false;
                say(Report::Fed(self.untold()));
            }
            let anew = matches!(error, SinkError::Lost) || matches!(doing, Doing::Opening { anew: true });
            if !matches!(doing, Doing::Opening { .. }) {
                self.before = (!anew).then_some(doing);
            }
            self.doing = Doing::Opening { anew };
        }
        done
    }

    /// What is said of an error.
    fn words(&self, error: &SinkError) -> String {
        match error {
            SinkError::Lost => format!("{} was emptied, or is fed by somebody else", self.name),
            error => error.to_string(),
        }
    }

    /// Nothing new but the trouble that there is.
    fn untold(&self) -> Fed {
        Fed {
            trouble: self.trouble.clone(),
            ..Fed::default()
        }
    }

    fn open(&mut self, anew: bool, say: &mut dyn FnMut(Report)) -> Result<(), SinkError> {
        // Rows that were changed without anybody knowing which give it another epoch.
        if let Some(mark) = self.feed.mark(&self.name)?
            && mark.epoch != self.mark.epoch
        {
            self.mark = mark;
            self.before = None;
        }
        let there = self.store.open()?;
        if let (Some(seen), Some(there)) = (&mut self.taken, &there)
            && there.epoch != self.mark.epoch
            && seen.as_ref() != Some(there)
        {
            // Whoever has it is at work: what they write would be lost, and they would take it back.
            *seen = Some(there.clone());
            return Err(SinkError::Lost);
        }
        self.refused = self.feed.has_refused(&self.name)?;
        let head = self.feed.head()?;
        let ours = |there: &&Mark| there.epoch == self.mark.epoch && there.through <= head && !anew;
        self.doing = match (there.as_ref().filter(ours), self.before.take()) {
            // It is where it was when the connection broke, or one batch further, which does no harm to push again.
            (Some(there), Some(before)) if there.whole == self.mark.whole && self.is_known(there) => before,
            (Some(there), _) if there.whole && self.mark.whole && there.through >= self.mark.through => {
                Doing::Following
            }
            _ => return self.begin(head, say),
        };
        if self.doing == Doing::Following && there.as_ref().is_some_and(|there| there.through < self.mark.through) {
            // A store that was put back from a backup.
            return self.begin(head, say);
        }
        self.stored = there;
        Ok(())
    }

    /// Whether a mark is the one that was pushed last, as far as is known, or the one before.
    fn is_known(&self, there: &Mark) -> bool {
        there.whole || there.through == -self.beat || self.stored.as_ref() == Some(there)
    }

    /// The mark as it is kept in the store.
    fn kept(&mut self, mark: &Mark) -> Mark {
        if mark.whole {
            return mark.clone();
        }
        self.beat += 1;
        Mark {
            through: -self.beat,
            ..mark.clone()
        }
    }

    /// Begins to feed the store with all rows.
    fn begin(&mut self, head: i64, say: &mut dyn FnMut(Report)) -> Result<(), SinkError> {
        self.feed.forget()?;
        self.mark = Mark {
            epoch: self.mark.epoch.clone(),
            through: head,
            whole: false,
        };
        self.store.push(&[], None, &self.mark)?;
        self.stored = Some(self.mark.clone());
        self.refused = false;
        say(Report::Fed(Fed {
            mark: Some(self.mark.clone()),
            anew: true,
            ..self.untold()
        }));
        let rows = self.feed.count()?;
        if rows > 0 {
            let word = if rows == 1 { "row" } else { "rows" };
            say(Report::Notice(format!("is given all {rows} {word}")));
        }
        self.doing = Doing::Filling { table: 0, after: None };
        Ok(())
    }

    fn fill(&mut self, table: usize, after: Option<&[Cell]>, say: &mut dyn FnMut(Report)) -> Result<(), SinkError> {
        if table >= self.feed.tables().len() {
            self.doing = Doing::Sweeping { from: None };
            return Ok(());
        }
        let rows = self.feed.page(table, after, BATCH)?;
        let Some(last) = rows.last() else {
            self.doing = Doing::Filling {
                table: table + 1,
                after: None,
            };
            return Ok(());
        };
        let next = Doing::Filling {
            table,
            after: Some(last.key.clone()),
        };
        let names: Vec<String> = rows.iter().map(|row| row_name(&row.key)).collect();
        self.feed.remember(names.iter().map(|name| (table, name.as_str())))?;
        self.push(&rows, self.mark.clone(), say)?;
        self.doing = next;
        Ok(())
    }

    fn sweep(&mut self, from: Option<String>, say: &mut dyn FnMut(Report)) -> Result<(), SinkError> {
        let feed = &self.feed;
        let next = self.store.sweep(from, &mut |table, name| feed.remembers(table, name))?;
        self.doing = match next {
            Some(from) => {
                let kept = self.kept(&self.mark.clone());
                self.store.push(&[], self.stored.as_ref(), &kept)?;
                self.stored = Some(kept);
                Doing::Sweeping { from: Some(from) }
            }
            None => {
                let mark = Mark {
                    whole: true,
                    ..self.mark.clone()
                };
                self.push(&[], mark, say)?;
                self.feed.forget()?;
                Doing::Following
            }
        };
        Ok(())
    }

    fn follow(&mut self, say: &mut dyn FnMut(Report)) -> Result<Did, SinkError> {
        if let Some(mark) = self.feed.mark(&self.name)?
            && mark.epoch != self.mark.epoch
        {
            self.doing = Doing::Opening { anew: false };
            return Ok(Did::Something);
        }
        let Some(changes) = self.feed.changes(self.mark.through, BATCH)? else {
            // That it can be reached does not mean that it can be written.
            if (std::mem::take(&mut self.looks) || !self.told)
                && let Some(stored) = &self.stored
            {
                self.store.push(&[], Some(stored), stored)?;
                self.trouble = None;
                if !std::mem::replace(&mut self.told, true) {
                    say(Report::Fed(Fed::default()));
                }
            }
            say(Report::InStep(self.mark.through));
            return Ok(Did::Nothing);
        };
        let mark = Mark {
            through: changes.through,
            ..self.mark.clone()
        };
        self.push(&changes.rows, mark, say)?;
        Ok(Did::Something)
    }

    fn push(&mut self, rows: &[FedRow], mark: Mark, say: &mut dyn FnMut(Report)) -> Result<(), SinkError> {
        let kept = self.kept(&mark);
        let refused = self.store.push(rows, self.stored.as_ref(), &kept)?;
        self.stored = Some(kept);
        if mark.whole {
            self.taken = None;
        }
        if self.taken.is_none() {
            self.trouble = None;
            self.told = true;
        }
        let named = |row: &FedRow| {
            let table = self.feed.tables().get(row.table);
            (
                table.map_or_else(String::new, |table| table.name.clone()),
                row_name(&row.key),
            )
        };
        let mut fed = Fed {
            mark: Some(mark.clone()),
            rows: (rows.len() - refused.len()) as u64,
            ..self.untold()
        };
        if self.refused {
            fed.taken = rows.iter().map(named).collect();
        }
        for each in &refused {
            let (table, key) = rows.get(each.row).map(named).unwrap_or_default();
            fed.refused.push((table, key, each.reason.clone()));
        }
        self.refused |= !refused.is_empty();
        self.mark = mark;
        say(Report::Fed(fed));
        Ok(())
    }
}

/// A courier's thread. When this is dropped, it ends after what it is doing.
pub(super) struct Threaded {
    wake: SyncSender<()>,
    reports: Receiver<Report>,
}

impl Threaded {
    /// Starts it. It keeps nobody from the read model: what it still pushes after its end is refused by the mark in the store, once
    /// another has pushed.
    pub(super) fn start(mut courier: Courier) -> Result<Self, ReplayError> {
        // One word that there is something to do is as good as many.
        let (wake, woken) = sync_channel(1);
        // What was pushed and is not written down yet is pushed again after a crash, so that it may not be much.
        let (sender, reports) = sync_channel(4);
        let work = move || {
            let (mut failures, mut losses) = (PAUSES, LOSSES);
            let mut calm = Instant::now();
            loop {
                let mut gone = false;
                let mut say = |report| gone |= sender.send(report).is_err();
                let wait = match courier.step(&mut say) {
                    Ok(did) => {
                        if courier.is_well() {
                            failures.reset();
                        }
                        if calm.elapsed() > CALM {
                            losses.reset();
                        }
                        (did == Did::Nothing).then_some(Wait::Look)
                    }
                    Err(SinkError::Lost) => {
                        let pause = losses.after_failure();
                        calm = Instant::now() + pause;
                        Some(Wait::Pause(pause))
                    }
                    Err(_) => Some(Wait::Pause(failures.after_failure())),
                };
                if gone {
                    return;
                }
                match wait.map_or(Woken::Yes, |wait| wait.over(&woken)) {
                    Woken::Yes => {}
                    Woken::No => courier.look(),
                    Woken::Never => return,
                }
            }
        };
        spawn("sink", work)?;
        Ok(Self { wake, reports })
    }

    /// Says that there is something to do.
    pub(super) fn wake(&self) {
        // One word waits already, or the thread has gone, which shows in its reports.
        let _ = self.wake.try_send(());
    }

    /// What it has to say, waiting for it at most this long.
    pub(super) fn report(&self, wait: Duration) -> Option<Report> {
        self.reports.recv_timeout(wait).ok()
    }
}

/// What a courier waits for.
enum Wait {
    /// To be woken, or until it is time to look whether the store is still what it was.
    Look,
    /// Until a pause is over, whoever wakes it meanwhile.
    Pause(Duration),
}

/// How a wait ended.
enum Woken {
    Yes,
    No,
    /// Nobody is there any more who would.
    Never,
}

impl Wait {
    fn over(self, woken: &Receiver<()>) -> Woken {
        let (time, through) = match self {
            Self::Look => (LOOK_EVERY, false),
            Self::Pause(time) => (time, true),
        };
        let until = Instant::now() + time;
        loop {
            match woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(()) if through => {}
                Ok(()) => return Woken::Yes,
                Err(RecvTimeoutError::Timeout) => return Woken::No,
                Err(RecvTimeoutError::Disconnected) => return Woken::Never,
            }
        }
    }
}

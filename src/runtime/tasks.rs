//! Jobs on threads of their own. Whoever holds the table holds what cancels them: dropping an entry cancels its job.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::job::{Cue, Event, Failure, Job, Outlet, TaskId, World};
use crate::app::message::Message;
use crate::demo::text::Language;

/// Messages that may wait for the event loop. A job that is faster waits here, so that memory stays bounded and the newest
/// state is never far behind; a few dozen let every screen's jobs answer without waiting for each other.
const WAITING: usize = 64;
/// How long ended jobs are waited for when the studio ends; a replay stops within 200 ms.
const GRACE: Duration = Duration::from_millis(1_000);
/// What a job may be told before it listens: it does so within a moment, and nobody types more in that time.
const CUES: usize = 32;

/// The running jobs.
pub(super) struct Tasks {
    world: Arc<dyn World>,
    running: HashMap<TaskId, Running>,
    messages: mpsc::Sender<Message>,
    alive: std_mpsc::Sender<()>,
    ended: std_mpsc::Receiver<()>,
}

/// What is held of a running job: it ends when this is dropped, and can be told what to do.
struct Running {
    guard: DropGuard,
    cues: std_mpsc::SyncSender<Cue>,
}

impl Tasks {
    /// No job yet; what jobs say comes out of the receiver.
    pub(super) fn new(world: Arc<dyn World>) -> (Self, mpsc::Receiver<Message>) {
        let (messages, receiver) = mpsc::channel(WAITING);
        let (alive, ended) = std_mpsc::channel();
        let tasks = Self {
            world,
            running: HashMap::new(),
            messages,
            alive,
            ended,
        };
        (tasks, receiver)
    }

    /// Starts a job.
    pub(super) fn start(&mut self, id: TaskId, job: Job, language: Language) {
        let token = CancellationToken::new();
        let (cues, told) = std_mpsc::sync_channel(CUES);
        let guard = token.clone().drop_guard();
        self.running.insert(id, Running { guard, cues });
        let world = Arc::clone(&self.world);
        let out = Channel {
            id,
            token,
            messages: self.messages.clone(),
            language,
            told: Mutex::new(told),
        };
        let alive = self.alive.clone();
        let spawned = thread::Builder::new().name(format!("job-{}", id.0)).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| world.perform(job, &out)));
            let outcome = outcome.unwrap_or_else(|panic| Err(crashed(&*panic)));
            // Nobody listens any more once the studio ends.
            let _ = out.messages.blocking_send(Message::Ended(id, outcome));
            drop((world, alive));
        });
        if let Err(error) = spawned {
            let failure = Failure::new(format!("the system gives no thread: {error}"));
            // The channel may be full; then the screen goes on saying that it reads.
            let _ = self.messages.try_send(Message::Ended(id, Err(failure)));
        }
    }

    /// Tells a job what to do. One that is over or does not listen is told nothing.
    pub(super) fn tell(&self, id: TaskId, cue: Cue) {
        if let Some(running) = self.running.get(&id) {
            let _ = running.cues.try_send(cue);
        }
    }

    /// Cancels a job.
    pub(super) fn cancel(&mut self, id: TaskId) {
        self.running.remove(&id);
    }

    /// Forgets a job that is over.
    pub(super) fn over(&mut self, id: TaskId) {
        self.running.remove(&id).map(|running| running.guard.disarm());
    }

    /// Cancels every job and waits a little for them to end.
    pub(super) fn end(mut self, messages: mpsc::Receiver<Message>) {
        drop(messages);
        self.running.clear();
        drop(self.alive);
        // Nothing is ever sent: the wait ends when the last thread has dropped its end, or with the grace.
        let _ = self.ended.recv_timeout(GRACE);
    }
}

/// What a job says, on its way to the event loop.
struct Channel {
    id: TaskId,
    token: CancellationToken,
    messages: mpsc::Sender<Message>,
    language: Language,
    told: Mutex<std_mpsc::Receiver<Cue>>,
}

impl Outlet for Channel {
    fn send(&self, event: Event) -> bool {
        !self.token.is_cancelled() && self.messages.blocking_send(Message::Said(self.id, event)).is_ok()
    }

    fn cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    fn language(&self) -> Language {
        self.language
    }

    fn cue(&self, wait: Duration) -> Option<Cue> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.recv_timeout(wait) {
            Ok(cue) => Some(cue),
            Err(std_mpsc::RecvTimeoutError::Timeout) => None,
            // Nobody can tell it anything any more: it was cancelled, and looks at that after the same time as ever.
            Err(std_mpsc::RecvTimeoutError::Disconnected) => {
                thread::sleep(wait);
                None
            }
        }
    }
}

/// What a job that panicked leaves: the studio goes on, and the failure says that it is not the user's.
fn crashed(panic: &(dyn Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned());
    Failure::new(format!("this is a defect of Foldlog: {text}"))
}

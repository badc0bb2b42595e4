//! Play, pause, one record at a time, how fast, and what is to be broken: what somebody who watches a demo can do about it. It
//! decides when an event is written, never which, and hands faults to the run's thread wherever that waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::DemoError;
use super::fault::Fault;

/// How soon a cancel is seen.
const LOOK: Duration = Duration::from_millis(50);
/// Faults that may wait for the run's thread. Each is done within a moment or waits for a broker; nobody who watches asks for
/// more before the first is seen.
const WAITING: usize = 8;

/// How fast events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// As many times faster than they happened: 1, 10, 100. A gap of more than a second counts as one second.
    Times(u32),
    /// Without waiting.
    #[default]
    Fastest,
}

/// What the run's thread is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stands {
    /// A step, or what comes before the first.
    #[default]
    Acting,
    /// Waiting to be asked for the next step.
    BeforeStep,
    /// The lesson is over; what runs still runs.
    Over,
}

/// The clock as it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlayerView {
    /// Whether it plays.
    pub playing: bool,
    /// How fast.
    pub speed: Speed,
    /// Whether each step waits to be asked for.
    pub by_step: bool,
    /// What the run is at.
    pub stands: Stands,
}

/// The clock of a run.
#[derive(Debug)]
pub struct Player {
    state: Mutex<State>,
    changed: Condvar,
    view: watch::Sender<PlayerView>,
}

#[derive(Debug)]
struct State {
    view: PlayerView,
    /// Records that are wanted although it is paused.
    wanted: usize,
    /// Whether the next step was asked for.
    step: bool,
    faults: VecDeque<Fault>,
}

/// What a wait ended with.
#[derive(Debug)]
pub(super) enum Turn {
    /// What was waited for.
    Due,
    /// Something is to be done first; then the wait goes on.
    Asked(Fault),
}

impl Player {
    pub(super) fn new(speed: Speed, by_step: bool) -> Self {
        let view = PlayerView {
            playing: true,
            speed,
            by_step,
            stands: Stands::Acting,
        };
        Self {
            state: Mutex::new(State {
                view,
                wanted: 0,
                step: false,
                faults: VecDeque::new(),
            }),
            changed: Condvar::new(),
            view: watch::channel(view).0,
        }
    }

    /// Goes on writing.
    pub fn play(&self) {
        self.change(|state| state.view.playing = true);
    }

    /// Writes nothing until it is played again or a record is asked for. Whoever reads goes on.
    pub fn pause(&self) {
        self.change(|state| state.view.playing = false);
    }

    /// Writes one record more: in a step that writes some, which then pauses; else at once.
    pub fn one_record(&self) {
        self.change(|state| match state.view.stands {
            Stands::Acting => {
                state.view.playing = false;
                state.wanted += 1;
            }
            _ if state.faults.len() < WAITING => state.faults.push_back(Fault::one_record()),
            _ => {}
        });
    }

    /// Goes on at another speed.
    pub fn set_speed(&self, speed: Speed) {
        self.change(|state| state.view.speed = speed);
    }

    /// Lets each step wait to be asked for, or goes through the rest of them.
    pub fn set_by_step(&self, by_step: bool) {
        self.change(|state| state.view.by_step = by_step);
    }

    /// Begins the next step, where each waits to be asked for.
    pub fn next_step(&self) {
        self.change(|state| state.step = true);
    }

    /// Has a fault done as soon as the run's thread waits for anything: between two records, two steps, or two looks at what a
    /// step waits for. False where as many as there is room for wait already.
    pub fn ask(&self, fault: Fault) -> bool {
        let mut taken = false;
        self.change(|state| {
            taken = state.faults.len() < WAITING;
            if taken {
                state.faults.push_back(fault);
            }
        });
        taken
    }

    /// Whether it plays, and how fast.
    pub fn state(&self) -> (bool, Speed) {
        let view = self.locked().view;
        (view.playing, view.speed)
    }

    /// The clock as it is; the newest view replaces the one before.
    pub fn view(&self) -> watch::Receiver<PlayerView> {
        self.view.subscribe()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.locked();
        change(&mut state);
        self.show(&state);
        drop(state);
        self.changed.notify_all();
    }

    fn show(&self, state: &State) {
        self.view.send_if_modified(|seen| {
            let changed = *seen != state.view;
            *seen = state.view;
            changed
        });
    }

    /// Waits until the next record is due, `gap` after `began`.
    pub(super) fn wait(&self, began: Instant, gap: Duration, cancel: &CancellationToken) -> Result<Turn, DemoError> {
        self.until(cancel, |state| {
            if let Some(fault) = state.faults.pop_front() {
                return Ok(Turn::Asked(fault));
            }
            if state.wanted > 0 {
                state.wanted -= 1;
                return Ok(Turn::Due);
            }
            match (state.view.playing, state.view.speed) {
                (false, _) => Err(LOOK),
                (true, Speed::Fastest) => Ok(Turn::Due),
                (true, Speed::Times(times)) => {
                    let left = (gap / times.max(1)).saturating_sub(began.elapsed());
                    if left.is_zero() { Ok(Turn::Due) } else { Err(left) }
                }
            }
        })
    }

    /// Waits until the next step is asked for, where that is wanted.
    pub(super) fn wait_for_step(&self, cancel: &CancellationToken) -> Result<Turn, DemoError> {
        self.stand(Stands::BeforeStep);
        let turn = self.until(cancel, |state| {
            if let Some(fault) = state.faults.pop_front() {
                return Ok(Turn::Asked(fault));
            }
            if state.view.by_step && !state.step {
                return Err(LOOK);
            }
            state.step = false;
            Ok(Turn::Due)
        })?;
        if matches!(turn, Turn::Due) {
            self.stand(Stands::Acting);
        }
        Ok(turn)
    }

    /// Waits for the next fault; the lesson is over where `stands` says so.
    pub(super) fn wait_for_fault(&self, stands: Stands, cancel: &CancellationToken) -> Result<Fault, DemoError> {
        self.stand(stands);
        self.until(cancel, |state| state.faults.pop_front().ok_or(LOOK))
    }

    /// A fault that waits to be done.
    pub(super) fn asked(&self) -> Option<Fault> {
        self.locked().faults.pop_front()
    }

    fn stand(&self, stands: Stands) {
        self.change(|state| state.view.stands = stands);
    }

    /// Waits until `done` says that nothing is left to wait for, or how long it may be until it does.
    fn until<T>(
        &self,
        cancel: &CancellationToken,
        mut done: impl FnMut(&mut State) -> Result<T, Duration>,
    ) -> Result<T, DemoError> {
        let mut state = self.locked();
        loop {
            if cancel.is_cancelled() {
                return Err(DemoError::Cancelled);
            }
            let wait = match done(&mut state) {
                Ok(done) => return Ok(done),
                Err(wait) => wait,
            };
            // A timeout is what is waited for, a change is looked at above.
            let waited = self.changed.wait_timeout(state, wait.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn due(player: &Player, cancel: &CancellationToken) {
        let turn = player.wait(Instant::now(), HOUR, cancel).unwrap();
        assert!(matches!(turn, Turn::Due), "{turn:?}");
    }

    #[test]
    fn a_paused_player_gives_one_record_for_each_that_is_asked_for() {
        let player = Arc::new(Player::new(Speed::Fastest, false));
        let cancel = CancellationToken::new();
        due(&player, &cancel);
        player.one_record();
        player.one_record();
        assert_eq!(player.state(), (false, Speed::Fastest));
        due(&player, &cancel);
        due(&player, &cancel);
        let (waiting, token) = (Arc::clone(&player), cancel.clone());
        let third = thread::spawn(move || due(&waiting, &token));
        player.play();
        third.join().unwrap();
    }

    #[test]
    fn a_wait_for_an_event_far_away_ends_with_a_cancel_or_another_speed() {
        let player = Arc::new(Player::new(Speed::Times(1), true));
        let cancel = CancellationToken::new();
        let (waiting, token) = (Arc::clone(&player), cancel.clone());
        let wait = thread::spawn(move || {
            waiting.wait(Instant::now(), HOUR, &token)?;
            waiting.wait_for_step(&token)?;
            waiting.wait_for_step(&token)
        });
        player.set_speed(Speed::Fastest);
        player.next_step();
        cancel.cancel();
        assert!(matches!(wait.join().unwrap(), Err(DemoError::Cancelled)));
    }

    #[test]
    fn a_fault_is_done_wherever_the_run_waits_and_no_more_wait_than_there_is_room_for() {
        let catalog = crate::demo::catalog::Catalog::load(&[]).unwrap();
        let faults = crate::demo::fault::faults(catalog.get("messaging").unwrap());
        let player = Player::new(Speed::Times(1), true);
        let cancel = CancellationToken::new();
        player.pause();
        let wanted: Vec<Fault> = faults.into_iter().take(WAITING).collect();
        assert!(wanted.iter().all(|fault| player.ask(fault.clone())));
        assert!(!player.ask(wanted[0].clone()), "there is room for {WAITING}");
        let is = |turn: Turn, wanted: &Fault| assert!(matches!(turn, Turn::Asked(fault) if fault == *wanted));
        is(player.wait(Instant::now(), HOUR, &cancel).unwrap(), &wanted[0]);
        is(player.wait_for_step(&cancel).unwrap(), &wanted[1]);
        assert_eq!(player.view().borrow().stands, Stands::BeforeStep);
        assert_eq!(player.wait_for_fault(Stands::Over, &cancel).unwrap(), wanted[2]);
        assert_eq!(player.view().borrow().stands, Stands::Over);
        assert_eq!(player.asked().as_ref(), Some(&wanted[3]));
        assert!(player.ask(wanted[0].clone()));
    }

    #[test]
    fn the_rest_of_the_lesson_can_be_gone_through_without_asking() {
        let player = Player::new(Speed::Fastest, true);
        let cancel = CancellationToken::new();
        player.set_by_step(false);
        for _ in 0..3 {
            assert!(matches!(player.wait_for_step(&cancel).unwrap(), Turn::Due));
        }
        assert_eq!(player.view().borrow().stands, Stands::Acting);
    }
}

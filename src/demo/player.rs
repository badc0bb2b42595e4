//! Play, pause, one record at a time, and how fast: what somebody who watches a demo can do about its clock. It decides when an
//! event is written, never which.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::DemoError;

/// How soon a cancel is seen.
const LOOK: Duration = Duration::from_millis(50);

/// How fast events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// As many times faster than they happened: 1, 10, 100.
    Times(u32),
    /// Without waiting.
    #[default]
    Fastest,
}

/// The clock of a run.
#[derive(Debug)]
pub struct Player {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    playing: bool,
    speed: Speed,
    /// Records that are wanted although it is paused.
    wanted: usize,
    /// Whether each step waits to be asked for.
    by_step: bool,
    steps: usize,
}

impl Player {
    pub(super) fn new(speed: Speed, by_step: bool) -> Self {
        Self {
            state: Mutex::new(State {
                playing: true,
                speed,
                wanted: 0,
                by_step,
                steps: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Goes on writing.
    pub fn play(&self) {
        self.change(|state| state.playing = true);
    }

    /// Writes nothing until it is played again or a record is asked for. Whoever reads goes on.
    pub fn pause(&self) {
        self.change(|state| state.playing = false);
    }

    /// Pauses, and writes one record more.
    pub fn one_record(&self) {
        self.change(|state| {
            state.playing = false;
            state.wanted += 1;
        });
    }

    /// Goes on at another speed.
    pub fn set_speed(&self, speed: Speed) {
        self.change(|state| state.speed = speed);
    }

    /// Begins the next step, where each waits to be asked for.
    pub fn next_step(&self) {
        self.change(|state| state.steps += 1);
    }

    /// Whether it plays, and how fast.
    pub fn state(&self) -> (bool, Speed) {
        let state = self.locked();
        (state.playing, state.speed)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    /// Waits until the next record is due, `gap` after the one before.
    pub(super) fn wait(&self, gap: Duration, cancel: &CancellationToken) -> Result<(), DemoError> {
        let began = Instant::now();
        self.until(cancel, |state| {
            if state.wanted > 0 {
                state.wanted -= 1;
                return None;
            }
            match (state.playing, state.speed) {
                (false, _) => Some(LOOK),
                (true, Speed::Fastest) => None,
                (true, Speed::Times(times)) => {
                    let left = (gap / times.max(1)).saturating_sub(began.elapsed());
                    (!left.is_zero()).then_some(left)
                }
            }
        })
    }

    /// Waits until the next step is asked for, where that is wanted.
    pub(super) fn wait_for_step(&self, cancel: &CancellationToken) -> Result<(), DemoError> {
        self.until(cancel, |state| {
            if !state.by_step {
                return None;
            }
            if state.steps > 0 {
                state.steps -= 1;
                return None;
            }
            Some(LOOK)
        })
    }

    /// Waits until `left` says that nothing is left to wait for.
    fn until(
        &self,
        cancel: &CancellationToken,
        mut left: impl FnMut(&mut State) -> Option<Duration>,
    ) -> Result<(), DemoError> {
        let mut state = self.locked();
        loop {
            if cancel.is_cancelled() {
                return Err(DemoError::Cancelled);
            }
            let Some(wait) = left(&mut state) else {
                return Ok(());
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

    #[test]
    fn a_paused_player_gives_one_record_for_each_that_is_asked_for() {
        let player = Arc::new(Player::new(Speed::Fastest, false));
        let cancel = CancellationToken::new();
        player.wait(HOUR, &cancel).unwrap();
        player.one_record();
        player.one_record();
        assert_eq!(player.state(), (false, Speed::Fastest));
        player.wait(HOUR, &cancel).unwrap();
        player.wait(HOUR, &cancel).unwrap();
        let (waiting, token) = (Arc::clone(&player), cancel.clone());
        let third = thread::spawn(move || waiting.wait(HOUR, &token));
        player.play();
        third.join().unwrap().unwrap();
    }

    #[test]
    fn a_wait_for_an_event_far_away_ends_with_a_cancel_or_another_speed() {
        let player = Arc::new(Player::new(Speed::Times(1), true));
        let cancel = CancellationToken::new();
        let (waiting, token) = (Arc::clone(&player), cancel.clone());
        let wait = thread::spawn(move || {
            waiting.wait(HOUR, &token)?;
            waiting.wait_for_step(&token)?;
            waiting.wait_for_step(&token)
        });
        player.set_speed(Speed::Fastest);
        player.next_step();
        cancel.cancel();
        assert!(matches!(wait.join().unwrap(), Err(DemoError::Cancelled)));
    }
}

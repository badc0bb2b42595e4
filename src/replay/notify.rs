//! Telling a webhook of alerts: one notice after the other in their order, again after a failure, until it is taken or given up.

mod webhook;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use crate::readmodel::error::ReadModelError;
use crate::readmodel::fold::Fold;
use crate::readmodel::notice::{Delivery, Notice};
use crate::record::Timestamp;

pub use webhook::{Webhook, WebhookError};

use super::aside::{Aside, Gone, Pauses};
use super::progress::Meter;

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(300);
/// What is waited after failures.
const PAUSES: Pauses = Pauses::new(Duration::from_secs(1), LONGEST);
/// A notice that could not be delivered for so long is given up: whom it was for has other troubles.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a webhook said to a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It took it.
    Taken,
    /// It will not take it, whenever it is asked.
    Refused(String),
    /// It may take it later, and not before this long where it said so.
    NotNow(String, Option<Duration>),
}

/// Delivers notices, one at a time.
pub(super) trait Messenger: Send {
    /// Takes a notice; never while another is under way.
    fn give(&mut self, notice: &Notice);
    /// What was said to the last one, waiting for it at most this long.
    fn answer(&mut self, wait: Duration) -> Option<Said>;
}

impl Messenger for Aside<Notice, Said> {
    fn give(&mut self, notice: &Notice) {
        Aside::give(self, notice.clone());
    }

    fn answer(&mut self, wait: Duration) -> Option<Said> {
        let gone = |Gone| Said::NotNow("its thread ended unexpectedly; start again".to_owned(), None);
        Some(Aside::answer(self, wait)?.unwrap_or_else(gone))
    }
}

#[derive(Debug)]
enum Doing {
    Ready,
    Sending(Notice),
    Resting(Instant),
}

/// Delivers the notices of a fold.
pub(super) struct Notifier {
    messenger: Box<dyn Messenger>,
    doing: Doing,
    pauses: Pauses,
    /// Whether it was said that notices wait.
    told: bool,
}

impl Notifier {
    pub(super) fn new(messenger: impl Messenger + 'static) -> Self {
        Self {
            messenger: Box::new(messenger),
            doing: Doing::Ready,
            pauses: PAUSES,
            told: false,
        }
    }

    /// Does what can be done now, without waiting.
    pub(super) fn step(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        loop {
            match &self.doing {
                Doing::Resting(until) if Instant::now() < *until => return Ok(()),
                Doing::Resting(_) => self.doing = Doing::Ready,
                Doing::Ready => match fold.next_notice()? {
                    None => return Ok(()),
                    Some(notice) => {
                        self.messenger.give(&notice);
                        self.doing = Doing::Sending(notice);
                    }
                },
                Doing::Sending(_) => {
                    if !self.hear(Duration::ZERO, fold, meter)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Delivers what waits, until nothing does, something fails, or `stop` says so.
    pub(super) fn drain(
        &mut self,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), ReadModelError> {
        loop {
            self.step(fold, meter)?;
            if !matches!(self.doing, Doing::Sending(_)) || stop() {
                return Ok(());
            }
            self.hear(Duration::from_millis(10), fold, meter)?;
        }
    }

    /// Waits for the answer that is under way, if there is one, but not for long; whether there was one.
    pub(super) fn hear(
        &mut self,
        wait: Duration,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
    ) -> Result<bool, ReadModelError> {
        let Doing::Sending(notice) = &self.doing else {
            return Ok(false);
        };
        let Some(said) = self.messenger.answer(wait) else {
            return Ok(false);
        };
        let seq = notice.seq;
        let delivery = judged(said, notice.made, Timestamp::now());
        self.doing = Doing::Ready;
        match &delivery {
            (Delivery::Delivered, _) => {
                self.pauses.reset();
                if std::mem::take(&mut self.told) {
                    meter.notice("the webhook takes alerts again".to_owned());
                }
            }
            (Delivery::GivenUp(reason), _) => meter.notice(format!("an alert is not told to the webhook: {reason}")),
            (Delivery::Waits(reason), wanted) => {
                if !std::mem::replace(&mut self.told, true) {
                    meter.notice(format!("alerts wait to be told to the webhook: {reason}; trying on"));
                }
                let pause = self.pauses.at_least(wanted.unwrap_or_default());
                self.doing = Doing::Resting(Instant::now() + shaken(pause));
            }
        }
        fold.settle_notice(seq, &delivery.0)?;
        Ok(true)
    }
}

/// What becomes of a notice, and how long the webhook wants to be left alone.
fn judged(said: Said, made: Timestamp, now: Timestamp) -> (Delivery, Option<Duration>) {
    match said {
        Said::Taken => (Delivery::Delivered, None),
        Said::Refused(reason) => (Delivery::GivenUp(reason), None),
        Said::NotNow(reason, wait) => {
            let age = u64::try_from(now.0.saturating_sub(made.0)).unwrap_or(0);
            if Duration::from_millis(age) >= PATIENCE {
                let hours = PATIENCE.as_secs() / 3600;
                return (Delivery::GivenUp(format!("{reason}; tried for {hours} hours")), None);
            }
            (Delivery::Waits(reason), wait)
        }
    }
}

/// Between three quarters of a pause and all of it, so that many who failed together do not come back together.
fn shaken(pause: Duration) -> Duration {
    let quarter = pause / 4;
    let chance = (RandomState::new().hash_one(0) % 1000) as u32;
    pause - quarter * chance / 1000
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;

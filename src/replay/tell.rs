//! What a follow tells others of the events that it applies: records that it emits, alerts that it raises and resolves.

use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::projection::Projection;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::fold::Fold;
use crate::readmodel::writer::Live;

use super::aside::Aside;
use super::error::ReplayError;
use super::follow::FollowOptions;
use super::notify::Notifier;
use super::progress::Meter;
use super::publish::{Kafka, Publisher};
use super::sinks::Feeder;

/// How long an end waits for the answers about what is being sent; the next start finds out otherwise.
const LAST_WORD: Duration = Duration::from_millis(150);
/// How long a follow that ends by itself goes on to publish what waits.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Alerts that are said one by one; a projection that raises more than anybody reads would only take memory.
const SAID: usize = 1_000;

/// Who tells others.
#[derive(Default)]
pub(super) struct Teller {
    publisher: Option<Publisher>,
    notifier: Option<Notifier>,
    feeder: Feeder,
    said: usize,
}

impl Teller {
    /// Refuses to follow a projection that emits where nothing may be written, before anything is built.
    pub(super) fn check(client: &Client, projection: &Projection, options: &FollowOptions) -> Result<(), BrokerError> {
        if projection.emits.is_empty() || options.no_emit {
            return Ok(());
        }
        client.check_write("publishing what a projection emits")
    }

    /// Of a read model that is followed.
    pub(super) fn start(
        client: &Client,
        live: &mut Live,
        projection: &Projection,
        options: &FollowOptions,
    ) -> Result<Self, ReplayError> {
        let mut teller = Self::default();
        if live.publishes() && !options.no_emit {
            client.check_write("publishing what a projection emits")?;
            let mut kafka = Kafka::new(client.clone(), &projection.name, live.held());
            let courier = Aside::start("publish", move |order| kafka.carry_out(order))?;
            let topics = projection.emits.iter().map(|emit| emit.topic.clone()).collect();
            teller.publisher = Some(Publisher::new(courier, topics, options.skip_poison));
        }
        if let Some(webhook) = options.webhook.clone().filter(|_| !projection.alerts.is_empty()) {
            teller.notifier = Some(Notifier::new(webhook.start(live.held())?));
        }
        teller.feeder = Feeder::start(live, &options.sinks)?;
        Ok(teller)
    }

    /// From here on the events of a fold are told of.
    pub(super) fn begin(&self, fold: &mut Fold<'_>) -> Result<(), ReadModelError> {
        if let Some(publisher) = &self.publisher {
            fold.emit(publisher.goes_on())?;
        }
        match self.notifier {
            Some(_) => fold.notify(),
            None => fold.keep_quiet(),
        }
    }

    /// Whether an answer is awaited that others may follow.
    pub(super) fn is_busy(&self) -> bool {
        self.publisher.as_ref().is_some_and(Publisher::is_busy)
    }

    /// Holds back what is to be published, as long as this is true.
    pub(super) fn hold(&mut self, held: bool) {
        if let Some(publisher) = &mut self.publisher {
            publisher.hold(held);
        }
    }

    /// Does what can be done now, without waiting.
    pub(super) fn step(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) -> Result<(), ReadModelError> {
        if !fold.is_open() {
            self.say(fold, meter);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.step(fold, meter)?;
        }
        if let Some(notifier) = &mut self.notifier {
            notifier.step(fold, meter)?;
        }
        self.feeder.step(fold, meter)
    }

    /// Says which alerts were raised and resolved by what is committed.
    fn say(&mut self, fold: &mut Fold<'_>, meter: &mut Meter) {
        for alert in fold.take_alerts() {
            self.said += 1;
            if self.said <= SAID {
                meter.notice(alert.to_string());
            } else if self.said == SAID + 1 {
                meter.notice("more alerts come and go than are said here: `foldlog alerts` lists them".to_owned());
            }
        }
    }

    /// At the end: what was applied is told also where nothing more is applied and `all` is wanted; what is on its way is waited for
    /// a little.
    pub(super) fn last_word(
        &mut self,
        all: bool,
        fold: &mut Fold<'_>,
        meter: &mut Meter,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), ReadModelError> {
        self.say(fold, meter);
        let start = Instant::now();
        let enough = || stop() || start.elapsed() >= LAST_WORDS;
        if let Some(publisher) = &mut self.publisher {
            if all {
                publisher.drain(fold, meter, &enough)?;
            }
            publisher.await_answer(LAST_WORD, fold, meter)?;
        }
        if let Some(notifier) = &mut self.notifier {
            if all {
                notifier.drain(fold, meter, &enough)?;
            }
            notifier.hear(LAST_WORD, fold, meter)?;
        }
        if all {
            self.feeder.drain(fold, meter, &enough)?;
        }
        self.feeder.hear(LAST_WORD, fold, meter)
    }

    #[cfg(test)]
    pub(super) fn with(publisher: Option<Publisher>, notifier: Option<Notifier>) -> Self {
        Self {
            publisher,
            notifier,
            feeder: Feeder::default(),
            said: 0,
        }
    }
}

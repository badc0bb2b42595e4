//! Feeding a lake: every record of some topics into files, live, until cancelled.
//!
//! Where it goes on is written in the lake itself, so that a lake is whole whatever becomes of read models. It has a reader of its
//! own: the records that a projection needs are those after its position, and a lake wants all.

use std::time::Duration;

use crate::broker::client::Client;
use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::readmodel::store::Counts;
use crate::record::TopicPartition;
use crate::sink::address::LakeAddress;
use crate::sink::error::SinkError;
use crate::sink::lake::{Lake, LakeTopic};

use super::aside::Pauses;
use super::error::ReplayError;
use super::log::Log;
use super::lookout::{self, Look, Lookout};
use super::outage::pause_for;
use super::progress::{Meter, Phase, SinkProgress};
use super::rebuild::WAIT;
use super::task::{Control, Task};

/// What is waited after failures.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(30));

/// Starts to write the records of `topics` into a lake. The task returns how many records the lake has in all.
pub fn lake(client: Client, topics: Vec<String>, address: LakeAddress) -> Task<u64> {
    Task::start("lake", move |control| {
        let mut feeding = Feeding::new(client, topics, address);
        feeding.run(control, None)
    })
}

/// The same, said where a follow says what it has to say.
pub(super) fn beside(client: Client, topics: Vec<String>, address: LakeAddress, voice: Meter) -> Task<u64> {
    Task::start("lake", move |control| {
        let mut feeding = Feeding::new(client, topics, address);
        feeding.run(control, Some(voice))
    })
}

struct Feeding {
    client: Client,
    topics: Vec<String>,
    address: LakeAddress,
    progress: SinkProgress,
}

/// Why it went no further.
enum Ended {
    Cancelled,
    /// The log is another: partitions were added, for one.
    Changed,
}

impl Feeding {
    fn new(client: Client, topics: Vec<String>, address: LakeAddress) -> Self {
        let progress = SinkProgress {
            name: address.to_string(),
            ..SinkProgress::default()
        };
        Self {
            client,
            topics,
            address,
            progress,
        }
    }

    fn run(&mut self, control: &mut Control, voice: Option<Meter>) -> Result<u64, ReplayError> {
        let mut voice = voice;
        let mut pauses = PAUSES;
        while !control.cancel.is_cancelled() {
            match self.stay(control, voice.as_mut(), &mut pauses) {
                Ok(Ended::Cancelled) | Err(ReplayError::Cancelled) => break,
                Ok(Ended::Changed) => {}
                Err(error) if stands(&error) => {
                    self.trouble(&error, "", voice.as_mut().unwrap_or(&mut control.meter));
                    // Whoever follows beside it has been told, and goes on.
                    return if voice.is_some() {
                        Ok(self.progress.rows)
                    } else {
                        Err(error)
                    };
                }
                Err(error) => {
                    let meter = voice.as_mut().unwrap_or(&mut control.meter);
                    self.trouble(&error, "; trying on", meter);
                    if pause_for(control, pauses.after_failure())? {
                        break;
                    }
                }
            }
        }
        Ok(self.progress.rows)
    }

    /// Says once what keeps it from writing.
    fn trouble(&mut self, error: &ReplayError, then: &str, meter: &mut Meter) {
        let trouble = Some(error.to_string());
        if self.progress.trouble == trouble {
            return;
        }
        meter.notice(format!("{} is not written: {error}{then}", self.progress.name));
        self.progress.trouble = trouble;
        self.progress.in_step = false;
        meter.sink(self.progress.clone());
    }

    /// Says once that it is written again.
    fn well(&mut self, meter: &mut Meter) {
        if self.progress.trouble.take().is_some() {
            meter.notice(format!("{} is written again", self.progress.name));
            meter.sink(self.progress.clone());
        }
    }

    /// Writes until something ends it.
    fn stay(
        &mut self,
        control: &mut Control,
        voice: Option<&mut Meter>,
        pauses: &mut Pauses,
    ) -> Result<Ended, ReplayError> {
        let (client, topics) = (self.client.clone(), self.topics.clone());
        let log = lookout::ask(&control.cancel, move || Log::survey(&client, &topics))?;
        let cancel = control.cancel.clone();
        let meter = voice.unwrap_or(&mut control.meter);
        let known: Vec<LakeTopic> = log
            .topic_ids()
            .into_iter()
            .map(|(name, id)| LakeTopic { name, id })
            .collect();
        let mut lake = Lake::open(&self.address, &log.cluster_id, &known)?;
        let ranges = self.ranges(&log, &lake, meter)?;
        let order = Order::Arrival;
        let mut reader = self.client.reader(ReadPlan { ranges, order })?;
        let lookout = Lookout::start(self.client.clone(), self.topics.clone(), log)?;
        self.progress.rows = lake.records();
        meter.phase(Phase::Live);
        loop {
            let over = cancel.is_cancelled();
            let polled = reader.poll(if over { Duration::ZERO } else { WAIT })?;
            if let Poll::Batch(batch) = &polled {
                batch.iter().try_for_each(|record| lake.write(&record))?;
            }
            lake.advance(reader.position());
            let changed = lookout.seen().changed;
            if over || changed || lake.is_due() {
                lake.cut()?;
            }
            let before = self.progress.rows;
            self.say(&lake, &lookout, meter);
            // That it could be opened does not mean that it can be written.
            if self.progress.rows > before || self.progress.in_step {
                pauses.reset();
                self.well(meter);
            }
            if over {
                return Ok(Ended::Cancelled);
            }
            if changed {
                return Ok(Ended::Changed);
            }
        }
    }

    fn say(&mut self, lake: &Lake, lookout: &Lookout, meter: &mut Meter) {
        let seen = lookout.seen();
        let behind = |(at, end): (&TopicPartition, i64)| lake.position().next(at).unwrap_or(0) < end;
        let progress = SinkProgress {
            rows: lake.records(),
            in_step: lake.is_empty() && !seen.ends.iter().any(behind),
            ..self.progress.clone()
        };
        if progress != self.progress {
            self.progress = progress;
            meter.sink(self.progress.clone());
            let counts = Counts {
                applied: self.progress.rows,
                ..Counts::default()
            };
            meter.count(counts);
        }
    }

    /// Where to read on.
    fn ranges(&self, log: &Log, lake: &Lake, meter: &mut Meter) -> Result<Vec<Range>, ReplayError> {
        let mut ranges = Vec::new();
        for topic in &log.topics {
            for marks in &topic.partitions {
                let at = TopicPartition::new(topic.name.clone(), marks.partition);
                let next = lake.position().next(&at);
                if next.is_some_and(|next| next > marks.high) {
                    return Err(SinkError::NotOurs {
                        store: self.progress.name.clone(),
                        what: format!("later records of {}[{}] than the topic", at.topic, at.partition),
                        help: "the topic was created anew: write to another folder, or move this one away".to_owned(),
                    }
                    .into());
                }
                if let Some(next) = next.filter(|next| *next < marks.low) {
                    meter.notice(format!(
                        "{} lacks the offsets {next} to {} of {}[{}]: the topic had lost them before they were written",
                        self.progress.name,
                        marks.low - 1,
                        at.topic,
                        at.partition
                    ));
                }
                ranges.push(Range {
                    topic: at.topic,
                    partition: at.partition,
                    start: next.unwrap_or(marks.low).max(marks.low),
                    end: None,
                });
            }
        }
        Ok(ranges)
    }
}

/// Whether it will be so whenever it is tried: the folder is somebody else's, or of another format.
fn stands(error: &ReplayError) -> bool {
    matches!(
        error,
        ReplayError::Sink(SinkError::NotOurs { .. } | SinkError::Format { .. })
    )
}

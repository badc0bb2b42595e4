//! Whether what others than its services have written in a run is what the schemas describe: what processors publish, what is captured
//! from a database, what an agent makes of a line. What services write is known before, and is checked before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::record::{RecordRef, Timestamp};

use super::catalog::Demo;
use super::error::DemoError;
use super::events::Event;
use super::scene::Scene;

/// How long a poll waits: a cancelled demo ends within this.
const POLL: Duration = Duration::from_millis(100);

impl Demo {
    /// The topics that somebody writes whose records are not known before a run.
    fn made_topics(&self) -> BTreeSet<&str> {
        let live = self.processors.iter().map(|processor| &processor.projection);
        let emits = live.chain(&self.spares).flat_map(|projection| &projection.emits);
        let captured = self.databases.iter().map(|database| database.topic.as_str());
        let carried = self.agents.iter().map(|agent| agent.topic.as_str());
        emits
            .map(|emit| emit.topic.as_str())
            .chain(captured)
            .chain(carried)
            .collect()
    }
}

impl Scene {
    /// Reads what a run has made, and holds each record against the schema of its type. What a step or a hand has written to be poison
    /// is left out.
    pub(super) fn check_written(&self) -> Result<(), DemoError> {
        let mut schemas = self.demo.schemas();
        let mut nth = 0;
        for topic in self.demo.made_topics() {
            self.each_record(topic, &mut |record| {
                let event = Event {
                    topic: topic.to_owned(),
                    key: None,
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.unwrap_or(Timestamp(0)),
                };
                let poison = event.value.as_ref().is_some_and(|value| self.is_poison(topic, value));
                nth += 1;
                match schemas.check(nth, &event) {
                    Err(DemoError::Schema {
                        topic,
                        schema,
                        reason,
                        value,
                        ..
                    }) if !poison => Err(DemoError::Made {
                        place: format!("{topic}[{}] offset {}", record.partition, record.offset),
                        schema,
                        reason,
                        value,
                    }),
                    Err(DemoError::Schema { .. }) => Ok(()),
                    other => other,
                }
            })?;
        }
        Ok(())
    }

    /// Hands out every record that a topic holds: what compaction removed is not there, and neither are the markers of transactions.
    pub(super) fn each_record(
        &self,
        topic: &str,
        take: &mut dyn FnMut(RecordRef<'_>) -> Result<(), DemoError>,
    ) -> Result<(), DemoError> {
        let info = self.client.topic(topic)?;
        let name: Arc<str> = info.name.as_str().into();
        let marks = self.client.watermarks(&info)?.into_iter();
        let ranges = marks.filter(|mark| mark.low < mark.high).map(|mark| Range {
            topic: Arc::clone(&name),
            partition: mark.partition,
            start: mark.low,
            end: Some(mark.high),
        });
        let plan = ReadPlan {
            ranges: ranges.collect(),
            order: Order::Arrival,
        };
        if plan.ranges.is_empty() {
            return Ok(());
        }
        let mut reader = self.client.reader(plan)?;
        loop {
            self.check_cancelled()?;
            match reader.poll(POLL)? {
                Poll::Batch(batch) => {
                    for record in batch.iter() {
                        take(record)?;
                    }
                }
                Poll::Idle => {}
                Poll::End => return Ok(()),
            }
        }
    }
}

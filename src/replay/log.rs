//! The log as it is at the start of a replay: the cluster, its topics, how far each partition reaches.

use std::sync::Arc;

use crate::broker::client::Client;
use crate::broker::reader::Range;
use crate::broker::topics::Watermarks;
use crate::readmodel::decision::Amendments;
use crate::readmodel::writer::Origin;
use crate::record::{Position, TopicPartition};

use super::error::ReplayError;
use super::rebuild::{At, Until};
use super::task::Control;

/// The topics of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) cluster_id: String,
    pub(super) topics: Vec<Topic>,
    /// What was decided about single records; none before somebody sets it.
    pub(super) amendments: Amendments,
}

/// A topic with its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) id: Option<String>,
    pub(super) partitions: Vec<Watermarks>,
}

impl Log {
    /// Asks the cluster. The ids are asked before and after the offsets, so that both are of the same topics.
    pub(super) fn survey(client: &Client, topics: &[String]) -> Result<Self, ReplayError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        loop {
            let log = Self::ask(client, &names)?;
            let ids = client.topic_ids(&names)?;
            if log
                .topics
                .iter()
                .all(|topic| topic.id.as_ref() == ids.get(&*topic.name))
            {
                return Ok(log);
            }
        }
    }

    fn ask(client: &Client, topics: &[&str]) -> Result<Self, ReplayError> {
        // Whether the topics exist is asked first: its error names those that are like them.
        let infos = topics
            .iter()
            .map(|name| client.topic(name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut ids = client.topic_ids(topics)?;
        let topics = topics
            .iter()
            .zip(&infos)
            .map(|(name, info)| {
                Ok(Topic {
                    name: (*name).into(),
                    id: ids.remove(*name),
                    partitions: client.watermarks(info)?,
                })
            })
            .collect::<Result<Vec<_>, ReplayError>>()?;
        Ok(Self {
            cluster_id: client.cluster()?.id,
            topics,
            amendments: Amendments::default(),
        })
    }

    /// Whether this is no longer the log that `before` was: it has other partitions, or a topic was created anew.
    pub(super) fn is_another(&self, before: &Self) -> bool {
        let same = |now: &Topic, then: &Topic| {
            let ids = now.id.as_ref().zip(then.id.as_ref());
            now.partitions.len() == then.partitions.len() && ids.is_none_or(|(now, then)| now == then)
        };
        !self
            .topics
            .iter()
            .zip(&before.topics)
            .all(|(now, then)| same(now, then))
    }

    /// Which log this is, as a read model remembers it.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            cluster_id: self.cluster_id.clone(),
            topics: self.topic_ids(),
            amendments: self.amendments.clone(),
        }
    }

    /// Where each partition begins.
    pub(super) fn starts(&self) -> Position {
        self.marks(|marks| marks.low)
    }

    /// The topics with their ids.
    pub(super) fn topic_ids(&self) -> Vec<(String, Option<String>)> {
        let topics = self.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.id.clone())).collect()
    }

    /// Where each partition ends.
    pub(super) fn ends(&self) -> Position {
        self.marks(|marks| marks.high)
    }

    fn marks(&self, mark: impl Fn(&Watermarks) -> i64) -> Position {
        let topics = self.topics.iter();
        let all = topics.flat_map(|topic| topic.partitions.iter().map(move |marks| (topic, marks)));
        all.map(|(topic, marks)| (TopicPartition::new(topic.name.clone(), marks.partition), mark(marks)))
            .collect()
    }

    /// Everything that the log holds, up to `until`.
    pub(super) fn ranges(&self, client: &Client, until: Option<&Until>) -> Result<Vec<Range>, ReplayError> {
        match until {
            None => Ok(self.ranges_to(|_, marks| marks.high)),
            Some(Until::Offsets(offsets)) => {
                let stops = self.stops(offsets)?;
                Ok(self.ranges_to(|topic, marks| {
                    let named = stops.next(&TopicPartition::new(topic.name.clone(), marks.partition));
                    named.unwrap_or(marks.high)
                }))
            }
            Some(Until::Position(position)) => Ok(self.ranges_to(|topic, marks| {
                let next = position.next(&TopicPartition::new(topic.name.clone(), marks.partition));
                next.unwrap_or(marks.low).clamp(marks.low, marks.high)
            })),
            Some(Until::Time(time)) => {
                let mut ends = Position::new();
                for topic in &self.topics {
                    let info = client.topic(&topic.name)?;
                    for (partition, offset) in client.offsets_at(&info, *time)? {
                        ends.set(TopicPartition::new(topic.name.clone(), partition), offset);
                    }
                }
                Ok(self.ranges_to(|topic, marks| {
                    let found = ends.next(&TopicPartition::new(topic.name.clone(), marks.partition));
                    // A record that came in between the two questions may lie past the end that this replay goes to.
                    found.map_or(marks.high, |offset| offset.clamp(marks.low, marks.high))
                }))
            }
        }
    }

    fn ranges_to(&self, end: impl Fn(&Topic, &Watermarks) -> i64) -> Vec<Range> {
        let mut ranges = Vec::new();
        for topic in &self.topics {
            for marks in &topic.partitions {
                ranges.push(Range {
                    topic: topic.name.clone(),
                    partition: marks.partition,
                    start: marks.low,
                    end: Some(end(topic, marks)),
                });
            }
        }
        ranges
    }

    /// The places where partitions are to end, which the log must have, each partition once.
    fn stops(&self, places: &[At]) -> Result<Position, ReplayError> {
        let mut stops = Position::new();
        for place in places {
            let (topic, marks) = self.partition(place)?;
            let (name, partition, offset) = (&topic.name, place.partition, place.offset);
            if offset < marks.low || offset > marks.high {
                return Err(ReplayError::Until {
                    message: format!("{name}[{partition}] has no offset {offset}"),
                    help: format!("it holds {} to {}; give a number between them", marks.low, marks.high),
                });
            }
            let at = TopicPartition::new(name.clone(), partition);
            if stops.next(&at).is_some() {
                return Err(ReplayError::Until {
                    message: format!("{name}[{partition}] is named twice"),
                    help: "a partition ends at one offset".to_owned(),
                });
            }
            stops.set(at, offset);
        }
        Ok(stops)
    }

    /// The partition that a place names. Without a topic it is meant where one topic alone has it.
    fn partition(&self, place: &At) -> Result<(&Topic, &Watermarks), ReplayError> {
        let (number, offset) = (place.partition, place.offset);
        let wrong = |message, help| Err(ReplayError::Until { message, help });
        let names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
        let is_named = |topic: &&Topic| place.topic.as_ref().is_none_or(|name| *topic.name == **name);
        let named: Vec<&Topic> = self.topics.iter().filter(is_named).collect();
        if let (Some(topic), true) = (&place.topic, named.is_empty()) {
            return wrong(
                format!("the projection does not read the topic {}", topic.escape_debug()),
                format!("it reads {}", names.join(", ")),
            );
        }
        let having: Vec<(&Topic, &Watermarks)> = named
            .iter()
            .filter_map(|topic| {
                let marks = topic.partitions.iter().find(|marks| marks.partition == number)?;
                Some((*topic, marks))
            })
            .collect();
        match having.as_slice() {
            [] => {
                let message = match &place.topic {
                    Some(topic) => format!("{topic} has no partition {number}"),
                    None => format!("there is no partition {number}"),
                };
                let counts = named
                    .iter()
                    .map(|topic| format!("{} has {}", topic.name, topic.partitions.len()));
                let counts: Vec<_> = counts.collect();
                wrong(message, format!("partitions count from 0; {}", counts.join(", ")))
            }
            [one] => Ok(*one),
            several => {
                let list = |text: &dyn Fn(&str) -> String, between: &str| {
                    let texts: Vec<_> = several.iter().map(|(topic, _)| text(&topic.name)).collect();
                    texts.join(between)
                };
                wrong(
                    format!(
                        "{number}:{offset} could be in any of its topics: {}",
                        list(&str::to_owned, ", ")
                    ),
                    format!("write {}", list(&|topic| format!("{topic}:{number}:{offset}"), " or ")),
                )
            }
        }
    }
}

/// The offsets that a replay covers, to say how far it is.
#[derive(Debug)]
pub(super) struct Span {
    starts: Position,
    total: u64,
    left: u64,
}

impl Span {
    pub(super) fn of(ranges: &[Range]) -> Self {
        let total = ranges
            .iter()
            .map(|range| range.end.map_or(0, |end| distance(range.start, end)))
            .sum();
        Self {
            starts: starts(ranges),
            total,
            left: 0,
        }
    }

    /// The same, of which so many offsets are left to somebody else.
    pub(super) fn but(self, left: u64) -> Self {
        Self { left, ..self }
    }

    /// Whether only what is left to somebody else lies behind `position`.
    pub(super) fn is_done(&self, position: impl FnOnce() -> Position) -> bool {
        self.left > 0 && self.total.saturating_sub(self.covered(&position())) <= self.left
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Offsets between the start and `position`.
    pub(super) fn covered(&self, position: &Position) -> u64 {
        let covered = self.starts.iter().map(|(partition, start)| {
            let next = position.next(partition).unwrap_or(start);
            distance(start, next)
        });
        covered.sum()
    }
}

fn distance(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

/// Says which partitions have lost their beginning, so that what came before is in no replay.
pub(super) fn tell_cuts(starts: &Position, control: &mut Control) {
    for (at, start) in starts.iter().filter(|(_, start)| *start > 0) {
        control.meter.notice(format!(
            "{}[{}] begins at offset {start} by now: a replay has nothing of what came before",
            at.topic, at.partition
        ));
    }
}

/// Where ranges begin.
pub(super) fn starts(ranges: &[Range]) -> Position {
    ranges
        .iter()
        .map(|range| (TopicPartition::new(range.topic.clone(), range.partition), range.start))
        .collect()
}

/// Where ranges end; those without an end are left out.
pub(super) fn ends(ranges: &[Range]) -> Position {
    ranges
        .iter()
        .filter_map(|range| {
            let end = range.end?;
            // A topic that holds nothing begins and ends at the same offset.
            Some((
                TopicPartition::new(range.topic.clone(), range.partition),
                end.max(range.start),
            ))
        })
        .collect()
}

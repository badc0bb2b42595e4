//! Where records go: the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::NewRecord;
use crate::broker::reader::{Order as Reading, Poll, Range, ReadPlan};
use crate::broker::topics::{NewTopic, TopicInfo};
use crate::broker::transaction::TransactionalProducer;
use crate::readmodel::outbox::{Emission, ID_HEADER};
use crate::readmodel::writer::Held;
use crate::record::{Header, Position, TopicPartition};

use super::{Order, Reply, Trouble};

/// How long records may take to be acknowledged; librdkafka gives up on each before.
const WRITE: Duration = Duration::from_secs(40);
/// How long the end of a topic may stay out of reach: somebody else's open transaction keeps what lies behind it from being seen.
const LOOK: Duration = Duration::from_secs(20);
const WAIT: Duration = Duration::from_millis(50);
/// How long a topic that was just made may take to be known.
const MADE: Duration = Duration::from_secs(5);

/// Publishes to a cluster for one projection.
pub(in crate::replay) struct Kafka {
    client: Client,
    name: String,
    producer: Option<TransactionalProducer>,
    /// Nobody else may publish for this read model before this has ended.
    _held: Held,
}

impl From<BrokerError> for Trouble {
    fn from(error: BrokerError) -> Self {
        Self {
            of_record: matches!(&error, BrokerError::Write { of_record: true, .. }),
            reason: error.to_string(),
        }
    }
}

impl Kafka {
    /// Carries an order out.
    pub(in crate::replay) fn carry_out(&mut self, order: Order) -> Reply {
        let done = match order {
            Order::Look { topics, since } => self.look(&topics, &since),
            Order::Send(records) => self.send(&records),
        };
        done.unwrap_or_else(Reply::Failed)
    }

    pub(in crate::replay) fn new(client: Client, name: &str, held: Held) -> Self {
        Self {
            client,
            name: name.to_owned(),
            producer: None,
            _held: held,
        }
    }

    fn look(&mut self, topics: &[String], since: &Position) -> Result<Reply, Trouble> {
        // The one before is of no more use, whatever became of what it sent.
        self.producer = None;
        let mut notices = Vec::new();
        let mut infos = Vec::new();
        for topic in topics {
            infos.push(self.topic(topic, &mut notices)?);
        }
        // From here on nothing can come any more that was sent before, where the broker has transactions.
        let producer = self.client.transactional(&format!("foldlog-{}", self.name))?;
        let (ranges, ends) = self.stretch(&infos, since)?;
        let found = self.ids(ranges)?;
        self.producer = Some(producer);
        Ok(Reply::Looked { found, ends, notices })
    }

    /// The topic, made where there is none.
    fn topic(&self, name: &str, notices: &mut Vec<String>) -> Result<TopicInfo, Trouble> {
        match self.client.topic(name) {
            Err(BrokerError::UnknownTopic { .. }) => {}
            answer => return Ok(answer?),
        }
        self.client.create_topic(&NewTopic {
            name: name.to_owned(),
            ..NewTopic::default()
        })?;
        notices.push(format!("created the topic {name}, which it emits to"));
        let start = Instant::now();
        loop {
            match self.client.topic(name) {
                Err(BrokerError::UnknownTopic { .. }) if start.elapsed() < MADE => std::thread::sleep(WAIT),
                answer => return Ok(answer?),
            }
        }
    }

    /// What lies behind the places that are known, and where that ends.
    fn stretch(&self, topics: &[TopicInfo], since: &Position) -> Result<(Vec<Range>, Position), Trouble> {
        let mut ranges = Vec::new();
        let mut ends = Position::new();
        // Up to what anybody has written, so that an open transaction of somebody else hides nothing of ours.
        let all = self.client.reading(false);
        for info in topics {
            let topic: Arc<str> = info.name.as_str().into();
            let known = since.iter().any(|(at, _)| at.topic == topic);
            for marks in all.watermarks(info)? {
                let at = TopicPartition::new(topic.clone(), marks.partition);
                let start = match since.next(&at) {
                    // One that was made anew begins again.
                    Some(next) if next > marks.high => marks.low,
                    Some(next) => next.max(marks.low),
                    // A partition that was added may have some already; a topic that is new to us has none.
                    None if known => marks.low,
                    None => marks.high,
                };
                if start < marks.high {
                    ranges.push(Range {
                        topic: topic.clone(),
                        partition: marks.partition,
                        start,
                        end: Some(marks.high),
                    });
                }
                ends.set(at, marks.high);
            }
        }
        Ok((ranges, ends))
    }

    /// The ids of this projection's records there, of committed transactions.
    fn ids(&self, ranges: Vec<Range>) -> Result<Vec<String>, Trouble> {
        let mut found = Vec::new();
        if ranges.is_empty() {
            return Ok(found);
        }
        let mine = format!("{}/", self.name);
        let mut reader = self.client.reading(true).reader(ReadPlan {
            ranges,
            order: Reading::Arrival,
        })?;
        let mut last = Instant::now();
        let mut reached = reader.position().clone();
        loop {
            match reader.poll(WAIT)? {
                Poll::Batch(batch) => {
                    last = Instant::now();
                    let headers = batch.iter().flat_map(|record| record.headers);
                    let ids = headers
                        .filter(|header| header.key == ID_HEADER)
                        .filter_map(|h| h.value.as_deref());
                    let ids = ids.filter_map(|id| std::str::from_utf8(id).ok());
                    found.extend(ids.filter(|id| id.starts_with(&mine)).map(str::to_owned));
                }
                Poll::Idle if last.elapsed() < LOOK => {
                    if *reader.position() != reached {
                        reached = reader.position().clone();
                        last = Instant::now();
                    }
                }
                Poll::Idle => {
                    return Err(Trouble {
                        reason: "what was published last cannot be seen yet: somebody's transaction on its topic is still open"
                            .to_owned(),
                        of_record: false,
                    });
                }
                Poll::End => return Ok(found),
            }
        }
    }

    fn send(&mut self, records: &[Emission]) -> Result<Reply, Trouble> {
        // Used up by a failure, after which it is looked first.
        let Some(producer) = self.producer.take() else {
            return Err(Trouble {
                reason: "nothing can be sent before it was looked".to_owned(),
                of_record: false,
            });
        };
        let with_ids: Vec<Vec<Header>> = records.iter().map(headers).collect();
        let writes = records.iter().zip(&with_ids).map(|(record, headers)| NewRecord {
            topic: &record.topic,
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: record.timestamp.map(crate::record::Timestamp),
            headers,
        });
        producer.write(writes, WRITE)?;
        self.producer = Some(producer);
        let topics: BTreeSet<&str> = records.iter().map(|record| record.topic.as_str()).collect();
        let all = self.client.reading(false);
        let mut ends = Position::new();
        for topic in topics {
            // They are written; not to know how far the topic reaches now means to look at more of it some day.
            let Ok(marks) = all.topic(topic).and_then(|info| all.watermarks(&info)) else {
                continue;
            };
            for mark in marks {
                ends.set(TopicPartition::new(topic, mark.partition), mark.high);
            }
        }
        Ok(Reply::Sent(ends))
    }
}

/// A record's headers with its id as the last.
fn headers(record: &Emission) -> Vec<Header> {
    let id = Header {
        key: ID_HEADER.to_owned(),
        value: Some(record.id.clone().into_bytes()),
    };
    record.headers.iter().cloned().chain([id]).collect()
}

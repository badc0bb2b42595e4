//! A second client, plain rdkafka without anything of Foldlog's, to write what a test needs and to check what a broker holds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use foldlog::record::{Header, Record, Timestamp};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientContext, Offset};

use super::cluster::Cluster;
use super::wire::serves;
use super::{PATIENCE, eventually};

/// The configuration that every client of a cluster begins with.
pub fn config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &cluster.bootstrap)
        .set("broker.address.family", "v4")
        .set("log_level", "3");
    config
}

/// A configuration with more properties.
pub fn config_with(cluster: &Cluster, properties: &[(&str, &str)]) -> ClientConfig {
    let mut config = config(cluster);
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config
}

/// Topics, partitions and configuration. What is changed can be used when the change returns: Apache Kafka's controller answers
/// when it has decided, and the broker learns of it a moment later.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    looker: BaseConsumer,
    runtime: tokio::runtime::Runtime,
    cluster: Cluster,
}

type Outcome = Result<(), RDKafkaErrorCode>;

impl Admin {
    /// An admin client of `cluster`.
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            client: config(cluster).create().expect("an admin client"),
            looker: config(cluster).create().expect("a consumer"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime"),
            cluster: cluster.clone(),
        }
    }

    fn options() -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE))
    }

    fn first(results: Result<Vec<rdkafka::admin::TopicResult>, KafkaError>) -> Outcome {
        match results.expect("the broker answers").into_iter().next() {
            Some(Err((_, code))) => Err(code),
            _ => Ok(()),
        }
    }

    /// Creates a topic.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        Self::first(
            self.runtime
                .block_on(self.client.create_topics([&topic], &Self::options())),
        )?;
        self.until_served(name, usize::try_from(partitions).expect("a number of partitions"));
        Ok(())
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) -> Outcome {
        Self::first(
            self.runtime
                .block_on(self.client.delete_topics(&[name], &Self::options())),
        )?;
        eventually("the topic to be gone", || {
            (self.partitions(name) == Err(RDKafkaErrorCode::UnknownTopicOrPartition)).then_some(())
        });
        // A cluster with ZooKeeper has the name in use for a while after that.
        let again = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let options = Self::options().validate_only(true);
        eventually("the topic's name to be free", || {
            let checked = self.runtime.block_on(self.client.create_topics([&again], &options));
            (Self::first(checked) != Err(RDKafkaErrorCode::TopicAlreadyExists)).then_some(())
        });
        Ok(())
    }

    /// Raises the number of a topic's partitions to `count`.
    pub fn grow(&self, name: &str, count: usize) -> Outcome {
        let partitions = NewPartitions::new(name, count);
        Self::first(
            self.runtime
                .block_on(self.client.create_partitions([&partitions], &Self::options())),
        )?;
        self.until_served(name, count);
        Ok(())
    }

    /// Waits until the broker answers for each of the topic's partitions.
    fn until_served(&self, name: &str, partitions: usize) {
        eventually("the broker to serve the topic", || {
            let known = self.partitions(name).ok()?;
            (known.len() == partitions && serves(&self.cluster, name, &known)).then_some(())
        });
    }

    /// One entry of a topic's configuration, with whether it is the default; `None` where there is no such topic.
    pub fn topic_config(&self, topic: &str, name: &str) -> Option<(Option<String>, bool)> {
        let specifier = ResourceSpecifier::Topic(topic);
        let resources: Vec<Result<ConfigResource, RDKafkaErrorCode>> = self
            .runtime
            .block_on(self.client.describe_configs([&specifier], &Self::options()))
            .expect("the broker answers");
        // rdkafka drops the error of a resource and leaves it without entries.
        let resource = resources.into_iter().next().expect("one resource was asked for").ok()?;
        let entry = resource.get(name)?;
        Some((entry.value.clone(), entry.is_default))
    }

    /// The partitions of a topic as the metadata has them, or the error that the metadata has for it. Never creates it.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, RDKafkaErrorCode> {
        // Through a consumer: a producer or admin client that asks for a topic has it created.
        let metadata = self
            .looker
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|error| error.rdkafka_error_code().expect("a broker's error"))?;
        let topic = metadata.topics().first().expect("the topic that was asked for");
        match topic.error() {
            Some(error) => Err(error.into()),
            None => Ok(topic.partitions().iter().map(|partition| partition.id()).collect()),
        }
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.client.inner().fetch_metadata(None, PATIENCE).expect("metadata");
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> Option<String> {
        self.client.inner().fetch_cluster_id(PATIENCE)
    }
}

/// Where an acknowledged record lies; with acks=0 nobody knows, and the offset is -1001 or -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub partition: i32,
    pub offset: i64,
}

/// What became of one record.
pub type Delivery = Result<Sent, RDKafkaErrorCode>;

/// Keeps the delivery reports by the number of the record.
#[derive(Debug, Default)]
pub struct Reports(Arc<Mutex<Vec<(usize, Delivery)>>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let delivery = match result {
            Ok(message) => Ok(Sent {
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((error, _)) => Err(error.rdkafka_error_code().expect("a producer's error has a code")),
        };
        self.0.lock().expect("no reporter panics").push((*number, delivery));
    }
}

/// A record to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct New<'a> {
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub timestamp: Option<i64>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl<'a> New<'a> {
    /// A record with a value and nothing else.
    pub fn value(value: &'a [u8]) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }
}

/// A producer that remembers what became of each record.
pub struct Writer {
    producer: BaseProducer<Reports>,
    reports: Arc<Mutex<Vec<(usize, Delivery)>>>,
    sent: usize,
}

impl Writer {
    /// A producer with these properties.
    pub fn new(cluster: &Cluster, properties: &[(&str, &str)]) -> Self {
        let reports = Arc::default();
        let mut config = config(cluster);
        config.set("linger.ms", "5").set("message.max.bytes", "16000000");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let producer = config
            .create_with_context(Reports(Arc::clone(&reports)))
            .expect("a producer");
        Self {
            producer,
            reports,
            sent: 0,
        }
    }

    /// The producer itself, for transactions.
    pub fn producer(&self) -> &BaseProducer<Reports> {
        &self.producer
    }

    /// Queues a record, waiting while the queue is full.
    pub fn send(&mut self, topic: &str, record: New<'_>) {
        loop {
            let mut headers = None;
            for (key, value) in record.headers {
                let all = headers.take().unwrap_or_else(OwnedHeaders::new);
                headers = Some(all.insert(rdkafka::message::Header { key, value: *value }));
            }
            let to_send = BaseRecord::<[u8], [u8], Box<usize>> {
                topic,
                partition: record.partition,
                key: record.key,
                payload: record.value,
                timestamp: record.timestamp,
                headers,
                delivery_opaque: Box::new(self.sent),
            };
            match self.producer.send(to_send) {
                Ok(()) => {
                    self.sent += 1;
                    if self.sent.is_multiple_of(1000) {
                        self.producer.poll(Duration::ZERO);
                    }
                    return;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => panic!("the record cannot be queued: {error}"),
            }
        }
    }

    /// Waits for every record; returns what became of each, in the order they were sent.
    pub fn finish(&self) -> Vec<Delivery> {
        self.producer.flush(PATIENCE).expect("everything is delivered or fails");
        self.reports_so_far()
            .into_iter()
            .map(|(_, delivery)| delivery)
            .collect()
    }

    /// What became of the records so far, by their number.
    pub fn reports_so_far(&self) -> Vec<(usize, Delivery)> {
        self.producer.poll(Duration::ZERO);
        let mut reports = self.reports.lock().expect("no reporter panics").clone();
        reports.sort_by_key(|(number, _)| *number);
        reports
    }

    /// Waits for every record and expects each to be acknowledged.
    pub fn acknowledged(&self) -> Vec<Sent> {
        self.finish()
            .into_iter()
            .map(|delivery| delivery.expect("acknowledged"))
            .collect()
    }
}

/// Writes these values to a partition and waits until they are acknowledged.
pub fn write_values<V: AsRef<[u8]>>(cluster: &Cluster, topic: &str, partition: i32, values: &[V]) -> Vec<Sent> {
    let mut writer = Writer::new(cluster, &[("acks", "all")]);
    for value in values {
        writer.send(
            topic,
            New {
                partition: Some(partition),
                ..New::value(value.as_ref())
            },
        );
    }
    writer.acknowledged()
}

/// A consumer that joins no group and commits nothing.
pub fn consumer(cluster: &Cluster, properties: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(cluster);
    config
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.message.max.bytes", "16000000");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().expect("a consumer")
}

/// Assigns one partition from an offset on.
pub fn assign(consumer: &BaseConsumer, topic: &str, partition: i32, offset: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).expect("an offset");
    consumer.assign(&list).expect("assigned");
}

/// Copies a message.
pub fn record(message: &impl Message) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| Header {
                key: header.key.to_owned(),
                value: header.value.map(<[u8]>::to_vec),
            })
            .collect()
    });
    Record {
        topic: message.topic().into(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().map(Timestamp),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Everything that a partition holds from `offset` to the end that it has when it is reached.
pub fn read_from(cluster: &Cluster, topic: &str, partition: i32, offset: Offset) -> Vec<Record> {
    read_with(&consumer(cluster, &[]), topic, partition, offset).expect("the partition can be read")
}

/// Everything that a partition holds whose first record is still there; a beginning that must be looked up costs half a second.
pub fn read_all(cluster: &Cluster, topic: &str, partition: i32) -> Vec<Record> {
    settled(cluster, topic, partition);
    read_from(cluster, topic, partition, Offset::Offset(0))
}

/// Waits until no transaction holds readers of committed records back: the coordinator answers a commit when it is decided, and
/// the markers that let readers on are written after that (KIP-98).
pub fn settled(cluster: &Cluster, topic: &str, partition: i32) {
    let [written, committed] =
        ["read_uncommitted", "read_committed"].map(|level| consumer(cluster, &[("isolation.level", level)]));
    let end = |consumer: &BaseConsumer| Some(consumer.fetch_watermarks(topic, partition, PATIENCE).ok()?.1);
    eventually("the markers of a transaction", || {
        (end(&committed)? == end(&written)?).then_some(())
    });
}

/// Everything from `offset` to the end, or the first error.
pub fn read_with(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    offset: Offset,
) -> Result<Vec<Record>, RDKafkaErrorCode> {
    assign(consumer, topic, partition, offset);
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    loop {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(error)) => return Err(error.rdkafka_error_code().expect("a broker's error")),
            None => assert!(Instant::now() < deadline, "{topic}[{partition}] never came to its end"),
        }
    }
}

/// The values of some records as text.
pub fn texts(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| String::from_utf8(record.value.clone().expect("a value")).expect("text"))
        .collect()
}

//! The embedded broker is killed as a power cut of the process would kill it: what was acknowledged is there, once, in order.

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::common::cluster::{Cluster, scratch};
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::raw::{Admin, New, Writer, config_with, read_all, texts, write_values};
use crate::common::{PATIENCE, eventually};

#[test]
fn killed_while_an_idempotent_producer_writes() {
    let (data, port) = (scratch(), Port::hold());
    let mut broker = BrokerProcess::start(data.path(), &port.address());
    let cluster = broker.cluster();
    Admin::new(&cluster).create_topic("orders", 2, &[]).unwrap();
    let mut writer = Writer::new(
        &cluster,
        &[
            ("enable.idempotence", "true"),
            ("linger.ms", "1"),
            ("batch.num.messages", "50"),
            ("reconnect.backoff.max.ms", "100"),
            ("message.timeout.ms", "120000"),
        ],
    );
    let mut sent = 0;
    let mut acknowledged = 0;
    for _ in 0..5 {
        let before = acknowledged;
        // Records are on their way, acknowledged, and not yet sent at the moment of the kill.
        eventually("acknowledgements", || {
            for n in sent..sent + 500 {
                for partition in 0..2 {
                    let (partition, value) = (Some(partition), n.to_string());
                    writer.send(
                        "orders",
                        New {
                            partition,
                            ..New::value(value.as_bytes())
                        },
                    );
                }
            }
            sent += 500;
            acknowledged = writer.reports_so_far().len();
            (acknowledged > before + 2000).then_some(())
        });
        broker.kill();
        broker = BrokerProcess::start(data.path(), &port.address());
        assert_eq!(broker.address, port.address());
    }
    let deliveries = writer.acknowledged();
    assert_eq!(deliveries.len(), sent * 2);
    let expected: Vec<String> = (0..sent).map(|n| n.to_string()).collect();
    for partition in 0..2 {
        let values = texts(&read_all(&cluster, "orders", partition));
        assert!(
            values == expected,
            "partition {partition}: {} of {sent} records, first difference at {:?}",
            values.len(),
            values.iter().zip(&expected).position(|(found, wanted)| found != wanted)
        );
    }
}

#[test]
fn topics_their_configuration_and_committed_offsets_outlive_a_kill() {
    let data = scratch();
    let mut broker = BrokerProcess::start(data.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    let admin = Admin::new(&cluster);
    let id = admin.cluster_id();
    admin
        .create_topic("kept", 3, &[("retention.ms", "1234567890123")])
        .unwrap();
    admin.create_topic("gone", 1, &[]).unwrap();
    admin.delete_topic("gone").unwrap();
    admin.grow("kept", 4).unwrap();
    write_values(&cluster, "kept", 3, &["a", "b", "c"]);
    let commit = |cluster: &Cluster, offset| {
        let consumer: BaseConsumer = config_with(cluster, &[("group.id", "readers")]).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("kept", 3, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    };
    commit(&cluster, 1);
    commit(&cluster, 2);

    broker.kill();
    broker = BrokerProcess::start(data.path(), "127.0.0.1:0");

    let cluster = broker.cluster();
    let admin = Admin::new(&cluster);
    assert_eq!(admin.cluster_id(), id);
    assert_eq!(admin.topics(), ["kept"]);
    assert_eq!(admin.partitions("kept"), Ok(vec![0, 1, 2, 3]));
    let retention = Some((Some("1234567890123".to_owned()), false));
    assert_eq!(admin.topic_config("kept", "retention.ms"), retention);
    assert_eq!(texts(&read_all(&cluster, "kept", 3)), ["a", "b", "c"]);
    let consumer: BaseConsumer = config_with(&cluster, &[("group.id", "readers")]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("kept", 3);
    let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(2));
}

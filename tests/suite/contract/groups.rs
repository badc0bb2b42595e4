//! Classic consumer groups as clients live them: splitting, sharing, leaving, dying, coming back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::raw::{Admin, config_with, write_values};
use crate::common::{PATIENCE, eventually};

/// What a member has seen so far.
#[derive(Debug, Default, Clone)]
struct Seen {
    assignment: BTreeSet<(String, i32)>,
    /// Offsets by partition, in the order they came.
    records: BTreeMap<(String, i32), Vec<i64>>,
    assignments: usize,
}

/// A member of a group on a thread of its own, as a service would run it.
struct Member {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    fn join(cluster: &Cluster, group: &str, topics: &[&str]) -> Self {
        Self::join_with(cluster, group, topics, &[])
    }

    fn join_with(cluster: &Cluster, group: &str, topics: &[&str], properties: &[(&str, &str)]) -> Self {
        let mut config = config_with(
            cluster,
            &[
                ("group.id", group),
                ("client.id", "contract-member"),
                ("auto.offset.reset", "earliest"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("session.timeout.ms", "10000"),
                ("heartbeat.interval.ms", "300"),
                ("topic.metadata.refresh.interval.ms", "500"),
            ],
        );
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(topics).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || Self::run(&consumer, &seen, &stop))
        };
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    fn run(consumer: &BaseConsumer, seen: &Mutex<Seen>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let polled = consumer.poll(Duration::from_millis(50));
            let assignment: BTreeSet<(String, i32)> = consumer
                .assignment()
                .unwrap()
                .elements()
                .iter()
                .map(|element| (element.topic().to_owned(), element.partition()))
                .collect();
            let mut seen = seen.lock().unwrap();
            if seen.assignment != assignment {
                seen.assignment = assignment;
                seen.assignments += 1;
            }
            match polled {
                Some(Ok(message)) => {
                    let partition = (message.topic().to_owned(), message.partition());
                    seen.records.entry(partition).or_default().push(message.offset());
                    drop(seen);
                    consumer.store_offset_from_message(&message).unwrap();
                }
                Some(Err(KafkaError::MessageConsumption(code))) => eprintln!("member: {code}"),
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        // Fails where nothing was read since the last commit, which is no failure here.
        let _ = consumer.commit_consumer_state(CommitMode::Sync);
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn partitions(&self) -> usize {
        self.seen().assignment.len()
    }

    fn count(&self) -> usize {
        self.seen().records.values().map(Vec::len).sum()
    }

    /// Commits what it has read, leaves the group, and returns what it saw.
    fn leave(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.seen()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn fill(cluster: &Cluster, topic: &str, partitions: i32, each: usize) {
    let values: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    for partition in 0..partitions {
        write_values(cluster, topic, partition, &values);
    }
}

fn committed(cluster: &Cluster, group: &str, topic: &str, partition: i32) -> Offset {
    let consumer: BaseConsumer = config_with(cluster, &[("group.id", group)]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let offsets = consumer.committed_offsets(list, PATIENCE).unwrap();
    offsets.elements()[0].offset()
}

#[test]
fn two_groups_both_get_everything() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(3);
    fill(&cluster, &topic, 3, 100);
    let members = ["a", "b"].map(|name| Member::join(&cluster, &unique(name), &[&topic]));
    for member in &members {
        eventually("all records", || (member.count() == 300).then_some(()));
    }
    for member in members {
        let seen = member.leave();
        assert!(seen.records.values().all(|offsets| offsets.iter().copied().eq(0..100)));
    }
}

#[test]
fn members_of_one_group_split_the_partitions() {
    let cluster = Cluster::shared();
    for strategy in ["range", "roundrobin", "cooperative-sticky"] {
        let topic = cluster.topic(4);
        let group = unique("group");
        let strategy = [("partition.assignment.strategy", strategy)];
        let one = Member::join_with(&cluster, &group, &[&topic], &strategy);
        eventually("the first to have all", || (one.partitions() == 4).then_some(()));
        let two = Member::join_with(&cluster, &group, &[&topic], &strategy);
        eventually("both to have half", || {
            (one.partitions() == 2 && two.partitions() == 2).then_some(())
        });
        assert!(one.seen().assignment.is_disjoint(&two.seen().assignment));
        fill(&cluster, &topic, 4, 50);
        eventually("every record, once", || {
            (one.count() + two.count() == 200).then_some(())
        });
        assert!(one.count() == 100 && two.count() == 100, "{strategy:?}");
    }
}

#[test]
fn a_member_that_leaves_hands_its_partitions_over_with_its_offsets() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(4);
    let group = unique("group");
    let stays = Member::join(&cluster, &group, &[&topic]);
    let leaves = Member::join(&cluster, &group, &[&topic]);
    eventually("both to have half", || {
        (stays.partitions() == 2 && leaves.partitions() == 2).then_some(())
    });
    fill(&cluster, &topic, 4, 50);
    eventually("every record", || (stays.count() + leaves.count() == 200).then_some(()));
    let first = leaves.leave();
    eventually("the one that stays to have all", || {
        (stays.partitions() == 4).then_some(())
    });
    fill(&cluster, &topic, 4, 10);
    eventually("the rest", || (stays.count() >= 100 + 40).then_some(()));
    let second = stays.leave();
    for (partition, offsets) in first.records {
        let again: Vec<i64> = second.records[&partition].clone();
        assert!(
            again.iter().copied().eq(50..60),
            "{partition:?} went on after {offsets:?} with {again:?}"
        );
    }
}

#[test]
fn committed_offsets_outlive_the_members() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let group = unique("group");
    fill(&cluster, &topic, 2, 20);
    let member = Member::join(&cluster, &group, &[&topic]);
    eventually("all records", || (member.count() == 40).then_some(()));
    member.leave();
    assert_eq!(committed(&cluster, &group, &topic, 0), Offset::Offset(20));
    assert_eq!(committed(&cluster, &group, &topic, 1), Offset::Offset(20));
    fill(&cluster, &topic, 2, 5);
    let member = Member::join(&cluster, &group, &[&topic]);
    eventually("the new records", || (member.count() == 10).then_some(()));
    let seen = member.leave();
    assert!(
        seen.records.values().all(|offsets| offsets.iter().copied().eq(20..25)),
        "{seen:?}"
    );
}

#[test]
fn a_group_that_never_committed_has_no_offset() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    assert_eq!(committed(&cluster, &unique("group"), &topic, 0), Offset::Invalid);
}

#[test]
fn offsets_can_be_committed_without_joining() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let group = unique("group");
    fill(&cluster, &topic, 1, 10);
    let consumer: BaseConsumer = config_with(&cluster, &[("group.id", &group)]).create().unwrap();
    for offset in [7, 3] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
        assert_eq!(committed(&cluster, &group, &topic, 0), Offset::Offset(offset));
    }
}

#[test]
fn new_partitions_reach_the_members() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let member = Member::join(&cluster, &unique("group"), &[&topic]);
    eventually("the first partition", || (member.partitions() == 1).then_some(()));
    Admin::new(&cluster).grow(&topic, 3).unwrap();
    eventually("the new ones", || (member.partitions() == 3).then_some(()));
    fill(&cluster, &topic, 3, 10);
    eventually("their records", || (member.count() == 30).then_some(()));
}

#[test]
fn a_static_member_that_comes_back_disturbs_nobody() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(4);
    let group = unique("group");
    let named = |name| {
        let properties = [("group.instance.id", name), ("session.timeout.ms", "30000")];
        Member::join_with(&cluster, &group, &[&topic], &properties)
    };
    let (stays, restarts) = (named("stays"), named("restarts"));
    eventually("both to have half", || {
        (stays.partitions() == 2 && restarts.partitions() == 2).then_some(())
    });
    let (before, changes) = (restarts.seen().assignment, stays.seen().assignments);
    restarts.leave();
    let back = named("restarts");
    eventually("its partitions again", || {
        (back.seen().assignment == before).then_some(())
    });
    fill(&cluster, &topic, 4, 10);
    eventually("the records of both", || {
        (back.count() == 20 && stays.count() == 20).then_some(())
    });
    assert_eq!(stays.seen().assignments, changes, "the other one was not rebalanced");
}

#[test]
fn groups_are_listed_and_described() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let group = unique("group");
    let member = Member::join(&cluster, &group, &[&topic]);
    eventually("the assignment", || (member.partitions() == 2).then_some(()));
    let client: BaseConsumer = config_with(&cluster, &[]).create().unwrap();
    let all = client.fetch_group_list(None, PATIENCE).unwrap();
    assert!(all.groups().iter().any(|found| found.name() == group));
    let described = client.fetch_group_list(Some(&group), PATIENCE).unwrap();
    let found = &described.groups()[0];
    assert_eq!(
        (found.state(), found.protocol_type(), found.protocol()),
        ("Stable", "consumer", "range")
    );
    assert_eq!(found.members().len(), 1);
    assert_eq!(found.members()[0].client_id(), "contract-member");
    assert!(
        found.members()[0]
            .assignment()
            .is_some_and(|bytes| { bytes.windows(topic.len()).any(|window| window == topic.as_bytes()) })
    );
    member.leave();
    eventually("the group to be empty", || {
        let described = client.fetch_group_list(Some(&group), PATIENCE).unwrap();
        (described.groups()[0].state() == "Empty").then_some(())
    });
}

#[test]
fn a_group_goes_on_when_its_broker_is_killed_and_started_again() {
    let (data, port) = (scratch(), Port::hold());
    let mut broker = BrokerProcess::start(data.path(), &port.address());
    let cluster = broker.cluster();
    Admin::new(&cluster).create_topic("orders", 2, &[]).unwrap();
    let commits = [
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "100"),
        ("enable.auto.offset.store", "true"),
        ("reconnect.backoff.max.ms", "200"),
    ];
    let members = [(); 2].map(|()| Member::join_with(&cluster, "readers", &["orders"], &commits));
    let both_share = || {
        eventually("both to have one partition", || {
            members.iter().all(|member| member.partitions() == 1).then_some(())
        });
    };
    both_share();
    fill(&cluster, "orders", 2, 20);
    let count = || members.iter().map(Member::count).sum::<usize>();
    eventually("every record", || (count() == 40).then_some(()));
    for partition in 0..2 {
        let all = Offset::Offset(20);
        eventually("the commits", || {
            (committed(&cluster, "readers", "orders", partition) == all).then_some(())
        });
    }
    broker.kill();
    let broker = BrokerProcess::start(data.path(), &port.address());
    assert_eq!(broker.address, port.address());
    fill(&cluster, "orders", 2, 10);
    let client = cluster.client();
    eventually("the group to be whole again, with everything committed", || {
        let group = client.group("readers").ok()?;
        let whole = group.summary.state == "Stable" && group.summary.members == 2;
        let done = (0..2).all(|partition| committed(&cluster, "readers", "orders", partition) == Offset::Offset(30));
        (whole && done).then_some(())
    });
    both_share();
    let before = count();
    fill(&cluster, "orders", 2, 10);
    eventually("the records after", || (count() >= before + 20).then_some(()));
    // What was committed does not come twice, and nothing does once the group is whole. Between the two a member reads on without
    // knowing that the coordinator has forgotten it: its commit is refused (UNKNOWN_MEMBER_ID), its partitions are lost and not
    // revoked, and the group goes on from the last commit. Kafka promises no more than at least once; Apache Kafka keeps the
    // members in its log, and loses them in the same way where their sessions end before it is back.
    for partition in 0..2 {
        let key = ("orders".to_owned(), partition);
        let offsets = |member: &Member| member.seen().records.remove(&key).unwrap_or_default();
        let mut all: Vec<i64> = members.iter().flat_map(offsets).collect();
        all.sort_unstable();
        let once = |from: i64, to: i64| {
            let here = all.iter().copied().filter(|offset| (from..to).contains(offset));
            here.eq(from..to)
        };
        assert!(once(0, 20) && once(30, 40), "{all:?}");
        all.dedup();
        assert!(all.iter().copied().eq(0..40), "{all:?}");
    }
}

#[test]
fn the_new_group_protocol_works_or_is_refused_clearly() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let group = unique("group");
    let mut config = config_with(&cluster, &[("group.id", &group), ("auto.offset.reset", "earliest")]);
    config.set("group.protocol", "consumer");
    let consumer: BaseConsumer = config.create().unwrap();
    fill(&cluster, &topic, 2, 1);
    consumer.subscribe(&[&topic]).unwrap();
    // Any other error is one that passes: a coordinator that is not found yet, say.
    let served = eventually("a record or a refusal", || {
        match consumer.poll(Duration::from_millis(100))? {
            Ok(_) => Some(true),
            Err(error) => (error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedVersion)).then_some(false),
        }
    });
    assert_eq!(served, super::differences::NEW_GROUP_PROTOCOL.holds(&cluster));
}

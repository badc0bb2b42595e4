//! A mirror holds what its source holds, once, whatever happens to the mirror or to the link.

use foldlog::broker::client::Client;
use foldlog::replay::error::ReplayError;
use foldlog::replay::mirror::compare::{Comparison, compare};
use foldlog::replay::mirror::{MirrorOptions, Mirrored, mirror};
use foldlog::replay::task::Task;

use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::raw::{Admin, New, Writer, read_all, write_values};

fn begin(source: &Client, target: &Client, topic: &str, once: bool) -> Task<Mirrored> {
    let options = MirrorOptions {
        topics: vec![topic.to_owned()],
        once,
    };
    mirror(source.clone(), target.clone(), options)
}

/// Waits until it has written so many records since it was begun.
fn wait_for(task: &Task<Mirrored>, records: u64) {
    eventually("records", || {
        let progress = task.progress().borrow().clone();
        assert!(
            !task.is_finished(),
            "the mirror ended by itself after {:?}",
            progress.notices
        );
        (progress.counts.applied >= records).then_some(())
    });
}

/// Waits until a topic that was just made can be read: another client than the one that made it may not know it yet.
fn known(client: &Client, topic: &str) {
    eventually("the topic", || client.watermarks(&client.topic(topic).ok()?).ok());
}

fn once(source: &Client, target: &Client, topic: &str) -> Result<u64, ReplayError> {
    begin(source, target, topic, true).wait().map(|done| done.records)
}

fn look(source: &Client, target: &Client, topic: &str) -> Comparison {
    compare(source, target, &[topic.to_owned()], &|| false).unwrap()
}

/// Records of every kind, on every partition.
fn write(writer: &mut Writer, topic: &str, from: i64, count: i64) {
    for n in from..from + count {
        let (key, value) = (format!("k{}", n % 7), format!("{{\"n\":{n}}}"));
        let headers: &[(&str, Option<&[u8]>)] = &[("h", Some(b"1")), ("h", Some(b"2")), ("empty", None)];
        writer.send(
            topic,
            New {
                partition: Some((n % 3) as i32),
                key: (n % 5 != 0).then_some(key.as_bytes()),
                value: (n % 11 != 0).then_some(value.as_bytes()),
                timestamp: Some(1_600_000_000_000 + n * 17),
                headers: if n % 4 == 0 { headers } else { &[] },
            },
        );
    }
    writer.acknowledged();
}

/// Both ways round, so that a target with transactions is among them where the suite has one.
fn both(test: impl Fn(&Cluster, &Cluster)) {
    let (shared, own) = (Cluster::shared(), Cluster::embedded());
    test(&shared, &own);
    test(&own, &shared);
}

#[test]
fn it_holds_the_same_records_in_the_same_partitions_and_goes_on_where_it_stopped() {
    both(|source, target| {
        let topic = source.topic(3);
        let mut writer = Writer::new(source, &[]);
        write(&mut writer, &topic, 0, 500);
        let (source, target_client) = (source.client(), target.client());
        assert_eq!(once(&source, &target_client, &topic).unwrap(), 500);
        assert_eq!(once(&source, &target_client, &topic).unwrap(), 0);
        write(&mut writer, &topic, 500, 100);
        let found = look(&source, &target_client, &topic);
        assert_eq!((found.equal, found.missing, found.unequal()), (500, 100, 100));
        assert_eq!(once(&source, &target_client, &topic).unwrap(), 100);
        let found = look(&source, &target_client, &topic);
        assert_eq!((found.equal, found.unequal()), (600, 0), "{found:?}");
        // As another client sees it.
        let there = read_all(target, &topic, 1);
        assert_eq!(there.len(), 200);
        assert!(
            there.iter().any(|record| record.value.is_none()) && there.iter().any(|record| record.headers.len() == 3)
        );
    });
}

#[test]
fn whenever_it_is_stopped_each_record_is_there_once() {
    both(|source, target| {
        let topic = source.topic(3);
        let mut writer = Writer::new(source, &[("batch.num.messages", "20")]);
        let (from, to) = (source.client(), target.client());
        let mut written = 0;
        known(&from, &topic);
        for round in 0..8u64 {
            let task = begin(&from, &to, &topic, false);
            write(&mut writer, &topic, written, 200);
            written += 200;
            // Somewhere on its way: at once, or after some records.
            if round % 3 != 0 {
                wait_for(&task, round * 10);
            }
            task.cancel();
            task.wait().unwrap();
        }
        once(&from, &to, &topic).unwrap();
        let found = look(&from, &to, &topic);
        assert_eq!((found.equal, found.unequal()), (1600, 0), "{found:?}");
    });
}

#[test]
fn the_link_is_cut_and_mended() {
    let source = Cluster::shared();
    let (data, port) = (scratch(), Port::hold());
    let mut broker = BrokerProcess::start(data.path(), &port.address());
    let topic = source.topic(3);
    let mut writer = Writer::new(&source, &[]);
    let (from, to) = (source.client(), broker.cluster().client());
    known(&from, &topic);
    let task = begin(&from, &to, &topic, false);
    let mut written = 0;
    for _ in 0..3 {
        write(&mut writer, &topic, written, 300);
        written += 300;
        wait_for(&task, 1);
        broker.kill();
        write(&mut writer, &topic, written, 300);
        written += 300;
        broker = BrokerProcess::start(data.path(), &port.address());
    }
    let found = eventually("the rest", || {
        assert!(!task.is_finished(), "the mirror ended by itself");
        Some(look(&from, &to, &topic)).filter(|found| found.missing == 0)
    });
    assert_eq!((found.equal, found.unequal()), (1800, 0), "{found:?}");
    task.cancel();
    task.wait().unwrap();
}

/// The reason why it does not go on.
fn refused(source: &Client, target: &Client, topic: &str) -> String {
    match once(source, target, topic) {
        Err(error @ ReplayError::Mirror { .. }) => error.to_string(),
        other => panic!("it goes on: {other:?}"),
    }
}

#[test]
fn what_would_write_twice_or_into_somebodys_records_is_refused() {
    both(|source, target| {
        let (from, to) = (source.client(), target.client());
        let topic = source.topic(2);
        write_values(source, &topic, 0, &["a", "b"]);
        assert!(refused(&from, &from, &topic).contains("itself"));
        // Somebody's topic of the same name.
        let admin = Admin::new(target);
        admin.create_topic(&topic, 2, &[]).unwrap();
        write_values(target, &topic, 0, &["theirs"]);
        assert!(refused(&from, &to, &topic).contains("holds records"));
        admin.delete_topic(&topic).unwrap();
        gone(&to, &topic);
        assert_eq!(once(&from, &to, &topic).unwrap(), 2);
        // Somebody writes to the mirror.
        write_values(target, &topic, 0, &["theirs"]);
        let said = refused(&from, &to, &topic);
        assert!(said.contains("somebody else has written"), "{said}");
        // Whoever takes the topic away gets it once more.
        admin.delete_topic(&topic).unwrap();
        gone(&to, &topic);
        write_values(source, &topic, 0, &["c"]);
        let task = begin(&from, &to, &topic, true);
        let progress = task.progress();
        assert_eq!(task.wait().unwrap().records, 3);
        assert!(progress.borrow().notices[0].contains("mirrored anew"));
        assert_eq!(
            (look(&from, &to, &topic).equal, look(&from, &to, &topic).unequal()),
            (3, 0)
        );
        // Somebody else made it anew, with as many records.
        admin.delete_topic(&topic).unwrap();
        gone(&to, &topic);
        admin.create_topic(&topic, 2, &[]).unwrap();
        write_values(target, &topic, 0, &["a", "b", "c", "d"]);
        let said = refused(&from, &to, &topic);
        assert!(said.contains("of the target was deleted and created again"), "{said}");
        // The source's topic is another one by now.
        let other = source.topic(1);
        write_values(source, &other, 0, &["a"]);
        once(&from, &to, &other).unwrap();
        from.delete_topic(&other).unwrap();
        gone(&from, &other);
        Admin::new(source).create_topic(&other, 1, &[]).unwrap();
        known(&from, &other);
        let said = refused(&from, &to, &other);
        assert!(said.contains("of the source was deleted and created again"), "{said}");
    });
}

/// Waits until a topic that was deleted is known to nobody any more.
fn gone(client: &Client, topic: &str) {
    eventually("no topic", || {
        client
            .topics()
            .unwrap()
            .iter()
            .all(|known| known.name != topic)
            .then_some(())
    });
}

#[test]
fn whoever_writes_to_a_mirror_that_runs_ends_it() {
    both(|source, target| {
        let (from, to) = (source.client(), target.client());
        let topic = source.topic(1);
        write_values(source, &topic, 0, &["a"]);
        let task = begin(&from, &to, &topic, false);
        wait_for(&task, 1);
        write_values(target, &topic, 0, &["theirs", "and another"]);
        // It looks before each batch that it writes.
        eventually("its end", || {
            write_values(source, &topic, 0, &["b"]);
            task.is_finished().then_some(())
        });
        let said = task.wait().unwrap_err().to_string();
        assert!(said.contains("somebody else has written"), "{said}");
    });
}

#[test]
fn a_topic_that_is_made_anew_while_it_is_mirrored_is_noticed() {
    both(|source, target| {
        let (from, to) = (source.client(), target.client());
        let topic = source.topic(1);
        let admin = Admin::new(source);
        write_values(source, &topic, 0, &["a", "b"]);
        let task = begin(&from, &to, &topic, false);
        wait_for(&task, 2);
        from.delete_topic(&topic).unwrap();
        eventually("another one", || admin.create_topic(&topic, 1, &[]).ok());
        eventually("its end", || task.is_finished().then_some(()));
        task.wait().unwrap_err();
        // More than there were, so that the end alone would not tell.
        known(&from, &topic);
        write_values(source, &topic, 0, &["x", "y", "z"]);
        let said = refused(&from, &to, &topic);
        assert!(said.contains("of the source was deleted and created again"), "{said}");
    });
}

#[test]
fn mirrors_of_other_topics_do_not_shut_each_other_out() {
    both(|source, target| {
        let (from, to) = (source.client(), target.client());
        let topics = [source.topic(1), source.topic(1)];
        let tasks: Vec<_> = topics.iter().map(|topic| begin(&from, &to, topic, false)).collect();
        for round in 1..=3 {
            for (topic, task) in topics.iter().zip(&tasks) {
                write_values(source, topic, 0, &["a"]);
                wait_for(task, round);
            }
        }
        for task in tasks {
            let progress = task.progress();
            task.cancel();
            task.wait().unwrap();
            assert!(progress.borrow().notices.is_empty(), "{:?}", progress.borrow().notices);
        }
    });
}

#[test]
fn a_second_mirror_of_the_same_topics_ends_the_first_where_there_are_transactions() {
    let target = Cluster::shared();
    if target.is_embedded() {
        // It has none, and finds the other's records instead.
        return;
    }
    let source = Cluster::embedded();
    let (from, to) = (source.client(), target.client());
    let topic = source.topic(1);
    let first = begin(&from, &to, &topic, false);
    write_values(&source, &topic, 0, &["a"]);
    wait_for(&first, 1);
    let second = begin(&from, &to, &topic, false);
    eventually("its end", || {
        write_values(&source, &topic, 0, &["b"]);
        first.is_finished().then_some(())
    });
    let said = first.wait().unwrap_err().to_string();
    assert!(said.contains("somebody else has"), "{said}");
    second.cancel();
    second.wait().unwrap();
    once(&from, &to, &topic).unwrap();
    assert_eq!(look(&from, &to, &topic).unequal(), 0);
}

#[test]
fn records_of_1970_and_without_a_time_stay_what_they_are() {
    both(|source, target| {
        let (from, to) = (source.client(), target.client());
        let topic = source.topic(1);
        let mut writer = Writer::new(source, &[]);
        for timestamp in [Some(1), Some(-1), Some(1_600_000_000_000)] {
            writer.send(
                &topic,
                New {
                    timestamp,
                    ..New::value(b"x")
                },
            );
        }
        writer.acknowledged();
        assert_eq!(once(&from, &to, &topic).unwrap(), 3);
        assert_eq!(look(&from, &to, &topic).unequal(), 0);
        let times = |cluster: &Cluster| -> Vec<_> {
            read_all(cluster, &topic, 0)
                .into_iter()
                .map(|record| record.timestamp)
                .collect()
        };
        assert_eq!(times(source), times(target));
    });
}

#[test]
fn partitions_that_are_added_and_offsets_that_are_gone_are_mirrored_as_they_are() {
    both(|source, target| {
        let topic = source.topic(1);
        let (from, to) = (source.client(), target.client());
        write_values(source, &topic, 0, &["a", "b", "c"]);
        let task = begin(&from, &to, &topic, false);
        wait_for(&task, 3);
        Admin::new(source).grow(&topic, 3).unwrap();
        write_values(source, &topic, 2, &["d", "e"]);
        // A partition that was added a moment ago may have no leader that knows that it is one.
        let found = || compare(&from, &to, std::slice::from_ref(&topic), &|| false).ok();
        eventually("two more", || (found()?.equal == 5).then_some(()));
        task.cancel();
        task.wait().unwrap();
        assert_eq!(to.topic(&topic).unwrap().partitions.len(), 3);
        assert_eq!(look(&from, &to, &topic).unequal(), 0);
    });
}

#[test]
fn a_compacted_topic_is_mirrored_past_its_gaps() {
    let (source, target) = (Cluster::shared(), Cluster::embedded());
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
    ];
    let topic = source.topic_with(1, &config);
    let mut writer = Writer::new(&source, &[("batch.num.messages", "5")]);
    let mut write = |count: i64| {
        for n in 0..count {
            let (key, value) = (format!("k{}", n % 5), n.to_string());
            writer.send(
                &topic,
                New {
                    key: Some(key.as_bytes()),
                    ..New::value(value.as_bytes())
                },
            );
        }
        writer.acknowledged().len()
    };
    write(100);
    let most = eventually("gaps", || {
        let most = write(5) / 2;
        (read_all(&source, &topic, 0).len() < most).then_some(most)
    });
    let (from, to) = (source.client(), target.client());
    let records = once(&from, &to, &topic).unwrap();
    let high = |client: &Client| client.watermarks(&client.topic(&topic).unwrap()).unwrap()[0].high;
    assert!(
        records < most as u64 && high(&to) == i64::try_from(records).unwrap(),
        "{records}"
    );
    write(5);
    assert!(once(&from, &to, &topic).unwrap() <= 5);
    let last = |cluster: &Cluster| read_all(cluster, &topic, 0).pop().unwrap();
    let (here, there) = (last(&source), last(&target));
    assert_eq!(
        (here.key, here.value, here.timestamp),
        (there.key, there.value, there.timestamp)
    );
}

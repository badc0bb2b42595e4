//! Following in a consumer group: what the broker says of it, and that rows stay exactly once whatever happens to members.

use std::sync::Arc;
use std::time::Instant;

use foldlog::broker::client::Client;
use foldlog::broker::error::BrokerError;
use foldlog::broker::groups::GroupDetail;
use foldlog::broker::producer::NewRecord;
use foldlog::projection::parse::parse;
use foldlog::readmodel::query::{Cell, Session};
use foldlog::readmodel::store::{ReadModelInfo, Store};
use foldlog::replay::follow::{FollowOptions, follow};
use foldlog::replay::group::Group;
use foldlog::replay::task::Task;
use tempfile::TempDir;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::{PATIENCE, eventually};

struct Shop {
    client: Client,
    store: Store,
    topic: String,
    group: String,
    _cluster: Cluster,
    _folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        Self::with(&[])
    }

    /// Whose client has these properties beside its own.
    fn with(properties: &[(&str, &str)]) -> Self {
        let cluster = Cluster::shared();
        let folder = scratch();
        Self {
            client: cluster.client_with(properties),
            store: Store::open(folder.path(), "test").unwrap(),
            topic: cluster.topic(4),
            group: unique("g"),
            _cluster: cluster,
            _folder: folder,
        }
    }

    fn follow(&self, members: usize) -> (Task<ReadModelInfo>, Arc<Group>) {
        let text = format!(
            "-- projection: seen\n-- topic: {}\n\nCREATE TABLE seen (part INTEGER PRIMARY KEY, n INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;\n\n\
             -- on: *\nINSERT INTO seen VALUES (@partition, 1, @offset) ON CONFLICT DO UPDATE SET n = n + 1, last = excluded.last;\n",
            self.topic
        );
        let group = Arc::new(Group::new(&self.group, "seen", members));
        let options = FollowOptions {
            group: Some(Arc::clone(&group)),
            ..FollowOptions::default()
        };
        let projection = parse(&text, "seen.sql").unwrap();
        (
            follow(self.client.clone(), self.store.clone(), projection, options),
            group,
        )
    }

    /// Writes `count` records to each partition.
    fn write(&self, count: usize) {
        let producer = self.client.producer().unwrap();
        for number in 0..count * 4 {
            let record = NewRecord {
                topic: &self.topic,
                partition: Some((number % 4) as i32),
                value: Some(b"{}"),
                ..NewRecord::default()
            };
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Waits until the group is as it is wanted.
    fn until(&self, what: &str, wanted: impl Fn(&GroupDetail) -> bool) -> GroupDetail {
        let start = Instant::now();
        loop {
            let seen = match self.client.group(&self.group) {
                Ok(group) if wanted(&group) => return group,
                Ok(group) => format!("{group:?}"),
                Err(error @ BrokerError::UnknownGroup { .. }) => error.to_string(),
                Err(error) => panic!("{error}"),
            };
            assert!(
                start.elapsed() < PATIENCE,
                "not within a minute: {what}; there is {seen}"
            );
            std::thread::yield_now();
        }
    }

    fn caught_up(&self, end: i64) {
        self.until("caught up", |group| {
            group.offsets.len() == 4 && group.offsets.iter().all(|at| at.committed == Some(end))
        });
    }

    fn rows(&self) -> Vec<Vec<Cell>> {
        let session = Session::open(&self.store).unwrap();
        session.query("SELECT * FROM seen.seen ORDER BY part", 10).unwrap().rows
    }

    fn expect(&self, each: i64) {
        let row = |part| vec![Cell::Integer(part), Cell::Integer(each), Cell::Integer(each - 1)];
        assert_eq!(self.rows(), (0..4).map(row).collect::<Vec<_>>());
    }
}

fn lag(group: &GroupDetail) -> i64 {
    group.offsets.iter().filter_map(|at| at.lag).sum()
}

#[test]
fn members_split_the_partitions_and_the_groups_offsets_follow_the_rows() {
    let shop = Shop::new();
    shop.write(50);
    let (task, group) = shop.follow(2);
    let detail = shop.until("two members with two partitions each", |group| {
        group.members.len() == 2 && group.members.iter().all(|member| member.assignment.len() == 2)
    });
    assert_eq!(detail.summary.assignor, "range");
    let mut names: Vec<&str> = detail.members.iter().map(|member| member.client_id.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["seen-1", "seen-2"]);
    shop.caught_up(50);
    // A member hears of its share after the group has been told.
    eventually("both to have their share", || (group.shares() == [2, 2]).then_some(()));
    task.cancel();
    task.wait().unwrap();
    shop.expect(50);

    // Stopped: nobody is in the group any more, and what comes now is its lag.
    shop.write(10);
    let left = shop.until("empty, with its lag", |group| {
        group.members.is_empty() && lag(group) == 40
    });
    assert_eq!(left.summary.state, "Empty");
    shop.expect(50);

    let (task, _) = shop.follow(1);
    shop.caught_up(60);
    task.cancel();
    task.wait().unwrap();
    shop.expect(60);
}

#[test]
fn a_killed_follow_loses_and_doubles_nothing_and_the_group_misses_it() {
    // Longer than this machine may be too busy to look at a member that is dead and not missed yet.
    let shop = Shop::with(&[("session.timeout.ms", "15000")]);
    let (task, group) = shop.follow(1);
    shop.caught_up(0);
    // Slow, so that it is killed in the middle.
    group.slow(Some(50));
    shop.write(500);
    eventually("some records to be applied", || {
        (group.committed().iter().map(|(_, next)| next).sum::<i64>() >= 5).then_some(())
    });
    group.kill();
    task.wait().unwrap_err();
    let dead = shop.until("a member that nobody hears of", |group| group.members.len() == 1);
    assert!(lag(&dead) > 0);

    let (task, _) = shop.follow(2);
    shop.caught_up(500);
    shop.until("the dead member is missed", |group| group.members.len() == 2);
    task.cancel();
    task.wait().unwrap();
    shop.expect(500);
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning() {
    let shop = Shop::new();
    let (task, _) = shop.follow(2);
    shop.write(5);
    shop.caught_up(5);
    shop.client.add_partitions(&shop.topic, 6).unwrap();
    let producer = shop.client.producer().unwrap();
    for partition in [4, 5] {
        let record = NewRecord {
            topic: &shop.topic,
            partition: Some(partition),
            value: Some(b"{}"),
            ..NewRecord::default()
        };
        producer.send(record).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    shop.until("six partitions", |group| {
        group.offsets.len() == 6 && lag(group) == 0 && group.offsets.iter().all(|at| at.committed.is_some())
    });
    task.cancel();
    task.wait().unwrap();
    assert_eq!(shop.rows().len(), 6);

    // A group without members can be deleted, and then it is not there; twice is no error.
    shop.until("nobody in it", |group| group.members.is_empty());
    shop.client.delete_group(&shop.group).unwrap();
    assert!(matches!(
        shop.client.group(&shop.group),
        Err(BrokerError::UnknownGroup { .. })
    ));
    shop.client.delete_group(&shop.group).unwrap();
}

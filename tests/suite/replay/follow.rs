use foldlog::broker::client::Client;
use foldlog::broker::topics::NewTopic;
use foldlog::readmodel::store::{ReadModelInfo, State};
use foldlog::replay::error::ReplayError;
use foldlog::replay::follow::{FollowOptions, follow, paused};
use foldlog::replay::rebuild::RebuildOptions;
use foldlog::replay::task::Task;

use super::{accounts, dumped, event, projection, rebuilt, store, write};
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;
use crate::common::raw::Admin;

fn following(client: &Client, folder: &std::path::Path, text: &str) -> Task<ReadModelInfo> {
    follow(
        client.clone(),
        store(folder),
        projection(text),
        FollowOptions::default(),
    )
}

/// Waits until the read model has seen this many records; a task that ended instead says why.
fn seen(task: Task<ReadModelInfo>, folder: &std::path::Path, count: u64) -> Task<ReadModelInfo> {
    let store = store(folder);
    let reached = eventually("the records to be applied", || {
        let ended = task.is_finished();
        let info = store.find("accounts").unwrap();
        let reached = info.is_some_and(|info| info.counts.total() >= count);
        (ended || reached).then_some(reached)
    });
    if !reached {
        panic!("the follow ended: {:?}", task.wait());
    }
    task
}

/// Ends it, and with it its hold of the read model.
fn ended(task: Task<ReadModelInfo>) -> ReadModelInfo {
    task.cancel();
    task.wait().unwrap()
}

#[test]
fn it_builds_then_stays_live_and_goes_on_where_it_stopped() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let client = cluster.client();
    let text = accounts(&[&topic]);
    let folder = scratch();
    let some = |from: i64, to: i64| {
        let events = (from..to).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n))));
        write(&client, events);
    };
    some(0, 500);
    let task = following(&client, folder.path(), &text);
    let task = seen(task, folder.path(), 500);
    some(500, 1_200);
    let task = seen(task, folder.path(), 1_200);
    let info = ended(task);
    assert_eq!((info.counts.applied, info.state), (1_200, State::Ready));
    some(1_200, 1_500);
    let task = following(&client, folder.path(), &text);
    let task = seen(task, folder.path(), 1_500);
    let mut progress = task.progress();
    eventually("no lag", || {
        let progress = progress.borrow_and_update();
        (progress.total > 0 && progress.lag() == 0 && progress.counts.applied == 1_500).then_some(())
    });
    ended(task);
    let other = scratch();
    rebuilt(&client, other.path(), &text, RebuildOptions::default()).unwrap();
    assert_eq!(dumped(&store(folder.path())), dumped(&store(other.path())));
}

#[test]
fn poison_pauses_it_with_the_reason_and_what_came_before_is_kept() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let text = accounts(&[&topic]);
    let folder = scratch();
    let task = following(&client, folder.path(), &text);
    eventually("the first build", || store(folder.path()).find("accounts").unwrap());
    let values = [event(1), event(2), "{".to_owned(), event(3)];
    write(
        &client,
        values
            .into_iter()
            .map(|value| (&*topic, 0, 1_700_000_000_000, Some(value))),
    );
    let info = task.wait().unwrap();
    let reason = paused(&info).unwrap();
    assert!(reason.starts_with(&format!("{topic}[0] offset 2: ")), "{reason}");
    assert_eq!((info.counts.applied, info.counts.poisoned), (2, 1));
    let skip = FollowOptions {
        skip_poison: true,
        ..FollowOptions::default()
    };
    let task = follow(client.clone(), store(folder.path()), projection(&text), skip);
    let info = ended(seen(task, folder.path(), 4));
    assert_eq!(
        (info.counts.applied, info.counts.skipped, info.state),
        (3, 1, State::Ready)
    );
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let text = accounts(&[&topic]);
    let folder = scratch();
    write(
        &client,
        (0..10).map(|n| (&*topic, 0, 1_700_000_000_000, Some(event(n)))),
    );
    let task = following(&client, folder.path(), &text);
    let task = seen(task, folder.path(), 10);
    // While it follows.
    Admin::new(&cluster).grow(&topic, 2).unwrap();
    eventually("the new partition", || {
        (client.topic(&topic).unwrap().partitions.len() == 2).then_some(())
    });
    write(
        &client,
        (10..20).map(|n| (&*topic, 1, 1_700_000_000_000, Some(event(n)))),
    );
    let task = seen(task, folder.path(), 20);
    let notices = task.progress().borrow().notices.clone();
    assert!(
        notices.iter().any(|notice| notice.contains("partitions were added")),
        "{notices:?}"
    );
    ended(task);
    // While nobody follows.
    Admin::new(&cluster).grow(&topic, 3).unwrap();
    eventually("the new partition", || {
        (client.topic(&topic).unwrap().partitions.len() == 3).then_some(())
    });
    write(
        &client,
        (20..30).map(|n| (&*topic, 2, 1_700_000_000_000, Some(event(n)))),
    );
    let task = following(&client, folder.path(), &text);
    ended(seen(task, folder.path(), 30));
}

#[test]
fn a_topic_that_was_created_anew_is_not_mistaken_for_the_old_one() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let text = accounts(&[&topic]);
    let folder = scratch();
    write(
        &client,
        (0..10).map(|n| (&*topic, 0, 1_700_000_000_000, Some(event(n)))),
    );
    rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    let before = dumped(&store(folder.path()));
    client.delete_topic(&topic).unwrap();
    let anew = NewTopic {
        name: topic.clone(),
        partitions: Some(1),
        ..NewTopic::default()
    };
    client.create_topic(&anew).unwrap();
    // Longer than the old one, so that its offsets alone say nothing.
    write(
        &client,
        (0..50).map(|n| (&*topic, 0, 1_700_000_000_000, Some(event(n)))),
    );
    let error = following(&client, folder.path(), &text).wait().unwrap_err();
    assert!(matches!(error, ReplayError::TopicRecreated { .. }), "{error}");
    assert_eq!(dumped(&store(folder.path())), before);
}

#[test]
fn a_topic_that_is_created_anew_under_it_ends_it() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let folder = scratch();
    let some = |count: i64| {
        write(
            &client,
            (0..count).map(|n| (&*topic, 0, 1_700_000_000_000, Some(event(n)))),
        )
    };
    some(10);
    let task = following(&client, folder.path(), &accounts(&[&topic]));
    let task = seen(task, folder.path(), 10);
    client.delete_topic(&topic).unwrap();
    let anew = NewTopic {
        name: topic.clone(),
        partitions: Some(1),
        ..NewTopic::default()
    };
    client.create_topic(&anew).unwrap();
    // Beyond where the follow stands, so that the offsets alone say nothing.
    some(50);
    eventually("it to end", || task.is_finished().then_some(()));
    // What it meets first is the reader's luck: no topic, no leader, an offset that is gone, or the topic's new id.
    task.wait().unwrap_err();
    let error = following(&client, folder.path(), &accounts(&[&topic]))
        .wait()
        .unwrap_err();
    assert!(matches!(error, ReplayError::TopicRecreated { .. }), "{error}");
}

#[test]
fn another_version_of_the_file_is_not_applied_on_top() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let text = accounts(&[&topic]);
    let folder = scratch();
    rebuilt(&client, folder.path(), &text, RebuildOptions::default()).unwrap();
    let changed = text.replace("n = n + 1;", "n = n + 2;");
    let error = following(&client, folder.path(), &changed).wait().unwrap_err();
    assert!(matches!(error, ReplayError::DefinitionChanged { .. }), "{error}");
    // A comment changes nothing.
    let task = following(
        &client,
        folder.path(),
        &text.replace("-- on: In", "-- on: In\n/* why */"),
    );
    let mut progress = task.progress();
    eventually("it to be live", || {
        (progress.borrow_and_update().phase == foldlog::replay::progress::Phase::Live).then_some(())
    });
}

use super::*;
use crate::common::cluster::{Cluster, scratch};
use crate::common::stores::RedisServer;
use foldlog::replay::rebuild::{RebuildOptions, rebuild};

/// First feeding, live changes, a restart in between, a new build, and a store that is gone and comes back empty.
#[test]
fn redis_has_the_rows_whatever_happens() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic, url) = (cluster.client(), cluster.topic(2), server.url());
    let text = everything(&topic);
    some(&client, &topic, 0, 300);
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 300);
    equal(folder.path(), &url);
    some(&client, &topic, 300, 500);
    in_step(&task, folder.path(), 500);
    let checked = equal(folder.path(), &url);
    // The mark is one more.
    assert_eq!(server.cli(&["DBSIZE"]), (checked.same + 1).to_string());
    assert!(
        server
            .cli(&["KEYS", "accounts:entry:*%3A*:%25a*"])
            .contains("accounts:entry:")
    );
    assert!(
        server
            .cli(&["KEYS", "accounts:account:a?"])
            .contains("accounts:account:a")
    );
    task.cancel();
    task.wait().unwrap();
    // Without feeding it, so that it lacks what changed.
    some(&client, &topic, 500, 600);
    let task = following(&client, folder.path(), &text, &[]);
    let store = store(folder.path());
    eventually("the records to be applied", || {
        (store.info("accounts").unwrap().counts.total() == 600).then_some(())
    });
    // It is named no more.
    assert!(store.info("accounts").unwrap().sinks.is_empty());
    task.cancel();
    task.wait().unwrap();
    assert!(
        check(&store, "accounts", &address(&url), &mut |_| true)
            .unwrap()
            .differ()
            > 0,
        "nothing changed that it lacks"
    );
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 600);
    equal(folder.path(), &url);
    task.cancel();
    task.wait().unwrap();
    // A new build knows nothing of what the store has.
    let before = "accounts:account:stray";
    server.cli(&["HSET", before, "id", "stray"]);
    // Somebody else's, though it begins like the rows.
    server.cli(&["SET", "accounts:session:42", "theirs"]);
    rebuild(
        client.clone(),
        store.clone(),
        projection(&text),
        RebuildOptions::default(),
    )
    .wait()
    .unwrap();
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 600);
    assert_eq!(server.cli(&["EXISTS", before]), "0");
    assert_eq!(server.cli(&["GET", "accounts:session:42"]), "theirs");
    equal(folder.path(), &url);
    // Gone: what changes waits and nothing else does.
    server.stop();
    some(&client, &topic, 600, 700);
    let sink = until(&task, folder.path(), "the store to be missed", |info, sink| {
        info.counts.total() == 700 && sink.trouble.is_some()
    });
    assert!(sink.trouble.unwrap().contains("cannot be reached"));
    server.again();
    in_step(&task, folder.path(), 700);
    equal(folder.path(), &url);
    task.cancel();
    task.wait().unwrap();
}

/// A table that a new build does not have is taken away, and what only begins like its rows is not.
#[test]
fn redis_loses_the_tables_that_are_gone() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic, url) = (cluster.client(), cluster.topic(1), server.url());
    let with = |table: &str| {
        format!(
            "-- projection: accounts\n-- topic: {topic}\n\nCREATE TABLE {table} (id TEXT NOT NULL PRIMARY KEY);\n\n\
             -- on: *\nINSERT INTO {table} VALUES (:id) ON CONFLICT DO NOTHING;\n"
        )
    };
    write(&client, [(&*topic, 0, 1, Some(r#"{"id": "a"}"#.to_owned()))]);
    let task = following(&client, folder.path(), &with("one"), &[&url]);
    in_step(&task, folder.path(), 1);
    task.cancel();
    task.wait().unwrap();
    server.cli(&["SET", "accounts:ones:a", "theirs"]);
    let options = RebuildOptions::default();
    rebuild(client.clone(), store(folder.path()), projection(&with("two")), options)
        .wait()
        .unwrap();
    let task = following(&client, folder.path(), &with("two"), &[&url]);
    in_step(&task, folder.path(), 1);
    let keys: std::collections::BTreeSet<String> =
        server.cli(&["KEYS", "accounts:*"]).lines().map(str::to_owned).collect();
    assert_eq!(
        keys.into_iter().collect::<Vec<_>>(),
        ["accounts:ones:a", "accounts:two:a"]
    );
    task.cancel();
    task.wait().unwrap();
}

/// Keys of somebody else are neither overwritten nor swept away, and a password that is wrong is said without being shown.
#[test]
fn redis_of_somebody_else_is_left_alone() {
    let Some(server) = RedisServer::start(&["--requirepass", "hunter2"]) else {
        return;
    };
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = everything(&topic);
    some(&client, &topic, 0, 20);
    let with = |login: &str, rest: &str| format!("redis://{login}127.0.0.1:{}/3{rest}", server.port);
    server.cli(&["-a", "hunter2", "-n", "3", "SET", "accounts:mine", "1"]);
    for (url, why) in [
        (with(":hunter3@", ""), "WRONGPASS"),
        (with("", ""), "NOAUTH"),
        (with(":hunter2@", ""), "accounts:mine"),
    ] {
        let task = following(&client, folder.path(), &text, &[&url]);
        let sink = until(&task, folder.path(), why, |_, sink| {
            sink.trouble.as_ref().is_some_and(|trouble| trouble.contains(why))
        });
        assert!(!format!("{sink:?}").contains("hunter"), "{sink:?}");
        let notices = task.progress().borrow().notices.join("\n");
        assert!(!notices.contains("hunter") && notices.contains(why), "{notices}");
        task.cancel();
        task.wait().unwrap();
    }
    let url = with(":hunter2@", "?prefix=ours:");
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 20);
    equal(folder.path(), &url);
    assert_eq!(server.cli(&["-a", "hunter2", "-n", "3", "GET", "accounts:mine"]), "1");
    task.cancel();
    task.wait().unwrap();
}

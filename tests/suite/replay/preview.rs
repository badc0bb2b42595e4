//! Previews over a cluster: beside a follower, and killed where they are.

use super::commands::Commands;
use super::{accounts, endless, event, write};
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;

const BEGIN: i64 = 1_700_000_000_000;

fn other(topic: &str) -> String {
    accounts(&[topic]).replace("balance + excluded.balance", "balance + 2 * excluded.balance")
}

/// What a rebuild of the file makes of the log, elsewhere.
fn rebuilt(cluster: &Cluster, text: &str) -> String {
    let folder = scratch();
    let commands = Commands::new(cluster, folder.path(), text);
    commands.output(&["rebuild", commands.file.to_str().unwrap()]);
    commands.dump()
}

#[test]
fn a_preview_is_built_beside_a_follower_and_takes_its_place_when_that_ends() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let some = |from: i64, to: i64| {
        let events = (from..to).map(|n| (&*topic, (n % 2) as i32, BEGIN + n, Some(event(n))));
        write(&cluster.client(), events);
    };
    some(0, 70);
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let mut follower = commands.start("follow");
    eventually("all to be followed", || (commands.applied() == 70).then_some(()));
    let new = folder.path().join("new.sql");
    std::fs::write(&new, other(&topic)).unwrap();
    let new = new.to_str().unwrap();
    let text = commands.output(&["--json", "preview", new]);
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["changed"], &last["same"]), (&7.into(), &70.into()));
    // The eighth event is the first that adds to an account.
    assert_eq!(last["first"]["event"]["timestamp"], BEGIN + 7);
    assert_eq!(last["first"]["row"]["before"]["balance"], 7);
    assert_eq!(last["first"]["row"]["after"]["balance"], 14);
    some(70, 140);
    eventually("the follower to go on", || (commands.applied() == 140).then_some(()));
    let refused = commands
        .command(&["preview", new, "--accept", "--replace"])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("(following, since") && said.contains("the preview waits"),
        "{said}"
    );
    let before = commands.dump();
    follower.kill().unwrap();
    follower.wait().unwrap();
    commands.output(&["preview", new, "--accept", "--replace"]);
    assert_eq!(commands.dump(), rebuilt(&cluster, &other(&topic)));
    commands.output(&["rollback", "accounts"]);
    assert_eq!(commands.dump(), before);
}

/// At every look the read model is the old one or the new, and in the end the new one.
#[test]
fn a_preview_that_is_killed_leaves_the_read_model_and_so_does_its_swap() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let some = |from: i64, to: i64| {
        let events = (from..to).map(|n| (&*topic, (n % 2) as i32, BEGIN + n, Some(event(n))));
        write(&cluster.client(), events);
    };
    some(0, 30_000);
    endless_event(&cluster, &topic, "First", BEGIN + 30_000);
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    let old = commands.dump();
    std::fs::write(&commands.file, other(&topic) + &endless("First")).unwrap();
    let killed_when = |arguments: &[&str], ending: &str| {
        let mut child = commands.command(arguments).spawn().unwrap();
        eventually("it to write", || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before it could be killed"
            );
            written(folder.path(), ending).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
    };
    killed_when(&["preview", &file], ".preview.making.db");
    assert_eq!(commands.dump(), old);
    std::fs::write(&commands.file, other(&topic) + &endless("Second")).unwrap();
    commands.output(&["preview", &file]);
    // What comes meanwhile is part of the swap.
    some(30_000, 60_000);
    endless_event(&cluster, &topic, "Second", BEGIN + 60_000);
    for _ in 0..2 {
        killed_when(&["preview", &file, "--accept"], ".building.db");
        assert_eq!(
            commands.dump(),
            old,
            "the preview is not in use yet, and the old one is"
        );
    }
    std::fs::write(&commands.file, other(&topic)).unwrap();
    commands.output(&["preview", &file]);
    commands.output(&["preview", &file, "--accept"]);
    assert_eq!(commands.dump(), rebuilt(&cluster, &other(&topic)));
    assert!(!written(folder.path(), ".building.db") && !written(folder.path(), ".preview.db"));
    commands.output(&["rollback", "accounts"]);
    assert_eq!(commands.dump(), old);
}

fn endless_event(cluster: &Cluster, topic: &str, kind: &str, at: i64) {
    let event = format!(r#"{{"type": "{kind}"}}"#);
    write(&cluster.client(), [(topic, 0, at, Some(event))]);
}

/// Whether there is a file of a read model with this ending.
fn written(data: &std::path::Path, ending: &str) -> bool {
    let clusters = std::fs::read_dir(data.join("read-models"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files = clusters.flat_map(|cluster| std::fs::read_dir(cluster.path()).into_iter().flatten().flatten());
    files.any(|file| file.file_name().to_string_lossy().ends_with(ending))
}

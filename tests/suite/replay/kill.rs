//! The commands as processes, killed as a power cut of the process would kill them, at places that nobody chose.

use std::path::Path;

use super::commands::Commands;
use super::{accounts, endless, event, write};
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;

/// Whether a build is being made that has grown beyond its first pages.
fn building(data: &Path) -> bool {
    let Ok(clusters) = std::fs::read_dir(data.join("read-models")) else {
        return false;
    };
    clusters.flatten().any(|cluster| {
        let Ok(files) = std::fs::read_dir(cluster.path()) else {
            return false;
        };
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().ends_with(".building.db"))
    })
}

#[test]
fn follow_killed_again_and_again_equals_one_rebuild() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(3);
    let client = cluster.client();
    let folder = scratch();
    let follower = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let mut written = 0;
    let mut more = |count: i64| {
        let events =
            (written..written + count).map(|n| (&*topic, (n % 3) as i32, 1_700_000_000_000 + n, Some(event(n))));
        write(&client, events);
        written += count;
        written
    };
    more(2_000);
    for _ in 0..4 {
        let before = follower.applied();
        let mut child = follower.start("follow");
        let total = more(3_000);
        eventually("some of it to be applied", || {
            let applied = follower.applied();
            (applied > before && applied <= total as u64).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let total = more(500);
    let mut child = follower.start("follow");
    eventually("all of it to be applied", || {
        (follower.applied() >= total as u64).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(follower.applied(), total as u64);
    let other = scratch();
    let whole = Commands::new(&cluster, other.path(), &accounts(&[&topic]));
    whole.output(&["rebuild", whole.file.to_str().unwrap()]);
    assert_eq!(follower.dump(), whole.dump());
}

#[test]
fn rebuild_killed_in_the_middle_leaves_the_old_one_and_the_next_is_whole() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let client = cluster.client();
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let some = |from: i64, to: i64| {
        let events = (from..to).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n))));
        write(&client, events);
    };
    some(0, 10);
    let text = accounts(&[&topic]);
    commands.output(&["rebuild", commands.file.to_str().unwrap()]);
    let old = commands.dump();
    some(10, 60_000);
    // Whoever has a handler for what comes last never gets past it, so that no kill is too late.
    let last = r#"{"type": "Last"}"#.to_owned();
    write(&client, [(&*topic, 0, 1_700_000_060_000, Some(last))]);
    std::fs::write(&commands.file, text.clone() + &endless("Last")).unwrap();
    for _ in 0..3 {
        let mut child = commands.start("rebuild");
        eventually("the build to begin", || {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            building(folder.path()).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(commands.dump(), old);
    }
    std::fs::write(&commands.file, &text).unwrap();
    commands.output(&["rebuild", commands.file.to_str().unwrap()]);
    assert_eq!(commands.applied(), 60_000);
    assert!(!building(folder.path()));
    let other = scratch();
    let whole = Commands::new(&cluster, other.path(), &text);
    whole.output(&["rebuild", whole.file.to_str().unwrap()]);
    assert_eq!(commands.dump(), whole.dump());
}

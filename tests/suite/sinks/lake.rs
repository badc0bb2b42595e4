use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::common::cluster::{Cluster, scratch};

/// Every record of the files: partition and offset.
fn lines(dir: &Path, topic: &str) -> BTreeMap<(i64, i64), serde_json::Value> {
    let mut found = BTreeMap::new();
    for date in fs::read_dir(dir.join(topic)).unwrap().flatten() {
        if !date.file_name().to_string_lossy().starts_with("dt=") {
            continue;
        }
        for file in fs::read_dir(date.path()).unwrap().flatten() {
            for line in fs::read_to_string(file.path()).unwrap().lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let number = |field: &str| line[field].as_i64().unwrap();
                let before = found.insert((number("partition"), number("offset")), line.clone());
                assert_eq!(before, None, "a record twice");
            }
        }
    }
    found
}

#[test]
fn a_lake_has_each_record_once_through_restarts() {
    let (cluster, folder, lake) = (Cluster::shared(), scratch(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = everything(&topic);
    let url = format!("lake:{}?every=100ms", lake.path().display());
    for round in 0..3 {
        some(&client, &topic, round * 100, round * 100 + 100);
        let task = following(&client, folder.path(), &text, &[&url]);
        let wanted = (round as u64 + 1) * 100;
        let mut progress = task.progress();
        eventually("the lake to have them", || {
            assert!(!task.is_finished());
            let sinks = progress.borrow_and_update().sinks.clone();
            let lake = sinks.first()?;
            assert_eq!(lake.trouble, None);
            (lake.rows >= wanted && lake.in_step).then_some(())
        });
        // What was read and is not in place yet is put in place.
        some(&client, &topic, 1_000_000, 1_000_000);
        task.cancel();
        task.wait().unwrap();
        let found = lines(lake.path(), &topic);
        assert_eq!(found.len() as u64, wanted);
        assert_eq!(found.keys().map(|(partition, _)| partition).max(), Some(&1));
        assert!(lake.path().join(&topic).join("dt=2023-11-14").is_dir());
    }
}

/// A lake of which the topic was created anew keeps what it has, and the follow goes on.
#[test]
fn a_lake_is_not_mixed_with_a_topic_that_was_created_anew() {
    let (cluster, folder, other, lake) = (Cluster::shared(), scratch(), scratch(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = everything(&topic);
    let url = format!("lake:{}?every=50ms", lake.path().display());
    some(&client, &topic, 0, 20);
    let fed = |folder: &Path, wanted: &dyn Fn(&foldlog::replay::progress::SinkProgress) -> bool| {
        let task = following(&client, folder, &text, &[&url]);
        let progress = task.progress();
        eventually("the lake", || {
            let sinks = progress.borrow().sinks.clone();
            sinks.first().is_some_and(wanted).then_some(())
        });
        task.cancel();
        task.wait().unwrap();
    };
    fed(folder.path(), &|lake| lake.rows == 20);
    let anew = foldlog::broker::topics::NewTopic {
        name: topic.clone(),
        partitions: Some(2),
        ..Default::default()
    };
    client.delete_topic(&topic).unwrap();
    eventually("the topic to be made anew", || client.create_topic(&anew).ok());
    some(&client, &topic, 0, 30);
    fed(other.path(), &|lake| {
        lake.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("another topic"))
    });
    assert_eq!(lines(lake.path(), &topic).len(), 20);
}

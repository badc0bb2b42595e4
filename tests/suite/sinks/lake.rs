use std::collections::BTreeMap;
use std::fs;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::*;
use crate::common::cluster::{Cluster, scratch};

/// Every record of the files: partition and offset, with time, key and value.
fn lines(dir: &Path, topic: &str) -> BTreeMap<(i64, i64), serde_json::Value> {
    let mut found = BTreeMap::new();
    for date in fs::read_dir(dir.join(topic)).unwrap().flatten() {
        if !date.file_name().to_string_lossy().starts_with("dt=") {
            continue;
        }
        for file in fs::read_dir(date.path()).unwrap().flatten() {
            let suffix = file.path().extension().map(|suffix| suffix.to_owned());
            let lines = match suffix.is_some_and(|suffix| suffix == "parquet") {
                true => rows(&file.path()),
                false => texts(&file.path()),
            };
            for line in lines {
                let number = |field: &str| line[field].as_i64().unwrap();
                let before = found.insert((number("partition"), number("offset")), line.clone());
                assert_eq!(before, None, "a record twice");
            }
        }
    }
    found
}

fn texts(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same of a Parquet file, by the reader that its crate has.
fn rows(path: &Path) -> Vec<serde_json::Value> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let line = |row: Row| {
        let fields: BTreeMap<&str, &Field> = row
            .get_column_iter()
            .map(|(name, field)| (name.as_str(), field))
            .collect();
        let text = |name: &str| match fields[name] {
            Field::Str(text) => Some(text.clone()),
            Field::Null => None,
            other => panic!("{other:?}"),
        };
        let number = |name: &str| match fields[name] {
            Field::Int(number) => i64::from(*number),
            Field::Long(number) | Field::TimestampMillis(number) => *number,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (fields["key_bytes"], fields["value_bytes"]),
            (&Field::Null, &Field::Null)
        );
        let value = text("value").map(|value| serde_json::from_str::<serde_json::Value>(&value).unwrap());
        serde_json::json!({
            "topic": text("topic"), "partition": number("partition"), "offset": number("offset"),
            "timestamp": number("timestamp"), "key": text("key"), "value": value,
        })
    };
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| line(row.unwrap())).collect()
}

/// Lakes of both formats, fed together: each has every record once, and the same.
#[test]
fn a_lake_has_each_record_once_through_restarts() {
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (ndjson, parquet) = (scratch(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = everything(&topic);
    let urls = [
        format!("lake:{}?every=100ms", ndjson.path().display()),
        format!("lake:{}?every=100ms&format=parquet", parquet.path().display()),
    ];
    for round in 0..3 {
        some(&client, &topic, round * 100, round * 100 + 100);
        let task = following(&client, folder.path(), &text, &[&urls[0], &urls[1]]);
        let wanted = (round as u64 + 1) * 100;
        let mut progress = task.progress();
        eventually("the lakes to have them", || {
            assert!(!task.is_finished());
            let lakes = progress.borrow_and_update().sinks.clone();
            assert!(lakes.iter().all(|lake| lake.trouble.is_none()), "{lakes:?}");
            (lakes.len() == 2 && lakes.iter().all(|lake| lake.rows >= wanted && lake.in_step)).then_some(())
        });
        task.cancel();
        task.wait().unwrap();
        let found = lines(ndjson.path(), &topic);
        assert_eq!(found.len() as u64, wanted);
        assert_eq!(found.keys().map(|(partition, _)| partition).max(), Some(&1));
        assert_eq!(lines(parquet.path(), &topic), found);
        for lake in [&ndjson, &parquet] {
            assert!(lake.path().join(&topic).join("dt=2023-11-14").is_dir());
        }
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
        progress.borrow().notices.join("\n")
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
    let said = fed(other.path(), &|lake| {
        lake.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("another topic"))
    });
    // It will be so whenever it is tried.
    assert!(said.contains("is not written") && !said.contains("trying on"), "{said}");
    assert_eq!(lines(lake.path(), &topic).len(), 20);
}

/// A lake that can be opened and not written says so once, however often it is tried, and once that it is written again.
#[test]
fn a_lake_that_cannot_be_written_says_so_once() {
    let (cluster, folder, lake) = (Cluster::shared(), scratch(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(1));
    let text = everything(&topic);
    let url = format!("lake:{}?every=50ms", lake.path().display());
    // Where it would write how far it is.
    let place = lake.path().join(&topic);
    let in_the_way = place.join(".making-_foldlog.json");
    fs::create_dir_all(&in_the_way).unwrap();
    let one = |n: i64| (&*topic, 0, 1_700_000_000_000, Some(event(n)));
    write(&client, (0..20).map(one));
    let task = following(&client, folder.path(), &text, &[&url]);
    let part = place.join("dt=2023-11-14/part-00000-00000000000000000000.ndjson");
    let written = || fs::metadata(&part).and_then(|part| part.modified()).ok();
    let first = eventually("the file to be written in vain", written);
    eventually("it to be tried again", || written().filter(|at| *at != first));
    fs::remove_dir(&in_the_way).unwrap();
    let progress = task.progress();
    eventually("it to be written", || {
        let sinks = progress.borrow().sinks.clone();
        let lake = sinks.first()?.clone();
        (lake.rows == 20 && lake.in_step && lake.trouble.is_none()).then_some(())
    });
    task.cancel();
    task.wait().unwrap();
    let notices = progress.borrow().notices.to_vec();
    let said = |words: &str| notices.iter().filter(|notice| notice.contains(words)).count();
    assert_eq!(
        (said("is not written"), said("is written again")),
        (1, 1),
        "{notices:?}"
    );
    assert_eq!(lines(lake.path(), &topic).len(), 20);
}

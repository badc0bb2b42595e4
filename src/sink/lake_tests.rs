use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::super::address::Format;
use super::*;
use crate::record::{Record, Timestamp};

const DAY: i64 = 86_400_000;

fn address(dir: &Path) -> LakeAddress {
    LakeAddress {
        dir: dir.to_owned(),
        every: Duration::from_secs(3600),
        format: Format::Ndjson,
    }
}

fn topic() -> [LakeTopic; 1] {
    [LakeTopic {
        name: "orders".to_owned(),
        id: Some("one".to_owned()),
    }]
}

fn open(dir: &Path) -> Lake {
    Lake::open(&address(dir), "here", &topic()).unwrap()
}

fn open_as(dir: &Path, format: Format) -> Lake {
    let address = LakeAddress { format, ..address(dir) };
    Lake::open(&address, "here", &topic()).unwrap()
}

fn record(partition: i32, offset: i64, day: Option<i64>) -> Record {
    Record {
        topic: "orders".into(),
        partition,
        offset,
        timestamp: day.map(|day| Timestamp(day * DAY)),
        key: Some(b"k".to_vec()),
        value: Some(value(offset)),
        headers: Vec::new(),
    }
}

fn value(offset: i64) -> Vec<u8> {
    format!("{{\"n\": {offset}}}").into_bytes()
}

/// Every record of a lake: partition, offset, and the date of the folder that it was found in.
fn found(dir: &Path) -> Vec<(i32, i64, String)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(dir.join("orders")).unwrap().flatten() {
        let Some(date) = folder
            .file_name()
            .to_str()
            .unwrap()
            .strip_prefix("dt=")
            .map(str::to_owned)
        else {
            continue;
        };
        for file in fs::read_dir(folder.path()).unwrap().flatten() {
            if file.file_name().to_str().unwrap().starts_with('.') {
                continue;
            }
            if file.path().extension().is_some_and(|suffix| suffix == "parquet") {
                for record in parquet::read(&file.path()).unwrap() {
                    assert_eq!(record.value, Some(value(record.offset)));
                    found.push((record.partition, record.offset, date.clone()));
                }
                continue;
            }
            for line in fs::read_to_string(file.path()).unwrap().lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let number = |field: &str| line[field].as_i64().unwrap();
                assert_eq!(line["value"]["n"], number("offset"));
                found.push((number("partition") as i32, number("offset"), date.clone()));
            }
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However records are gathered and wherever the process dies, each is there once, in the folder of its date.
    #[test]
    fn each_record_is_there_once(
        records in prop::collection::vec((0..3i32, prop::option::of(0..4i64)), 0..60),
        deeds in prop::collection::vec((0..12usize, 0..5u8), 0..20),
        format in prop_oneof![Just(Format::Ndjson), Just(Format::Parquet)],
        from in 0..20i64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut next = [0; 3];
        let all: Vec<Record> = records.iter().map(|(partition, day)| {
            let offset = next[*partition as usize];
            // Some offsets hold no record.
            next[*partition as usize] += 1 + offset % 3;
            record(*partition, offset, *day)
        }).collect();
        let mut lake = open_as(folder.path(), format);
        let left = |lake: &Lake| -> Vec<Record> {
            let known = |record: &&Record| {
                let at = TopicPartition::new("orders", record.partition);
                lake.position().next(&at).is_none_or(|next| record.offset >= next)
            };
            all.iter().filter(known).cloned().collect()
        };
        for (count, deed) in deeds {
            for record in left(&lake).iter().take(count) {
                lake.write(&record.view()).unwrap();
            }
            match deed {
                0 => {
                    lake.cut().unwrap();
                }
                1 => {
                    // Dies with files in place that are not counted, and not read either.
                    for (_, part) in std::mem::take(&mut lake.parts) {
                        part.place().unwrap();
                    }
                    let counted = read(folder.path(), "orders", &BTreeMap::new()).unwrap();
                    prop_assert_eq!(counted.len() as u64, lake.records());
                    drop(lake);
                    lake = open_as(folder.path(), format);
                }
                2 => {
                    drop(lake);
                    lake = open_as(folder.path(), format);
                }
                // As it is when memory is full.
                3 => lake.parts.values_mut().try_for_each(Part::flush).unwrap(),
                _ => {}
            }
        }
        for record in left(&lake) {
            lake.write(&record.view()).unwrap();
            // Again, as a reader that was opened anew may bring it.
            lake.write(&record.view()).unwrap();
        }
        lake.cut().unwrap();
        let mut wanted: Vec<_> = all.iter().map(|r| (r.partition, r.offset, folder::date(r.timestamp))).collect();
        wanted.sort();
        prop_assert_eq!(found(folder.path()), wanted);
        prop_assert_eq!(count(folder.path(), "orders").unwrap(), all.len() as u64);
        prop_assert_eq!(lake.records(), all.len() as u64);

        // What is read back is what was written, each partition in its order, whatever was read before.
        let mut wanted = all;
        wanted.sort_by_key(|record| (record.partition, record.offset));
        let from = BTreeMap::from([(0, from)]);
        wanted.retain(|record| record.partition > 0 || record.offset >= from[&0]);
        let mut back = read(folder.path(), "orders", &from).unwrap();
        // Only NDJSON is written without the white space between tokens.
        let plain = |record: &mut Record| record.value.as_mut().unwrap().retain(|byte| *byte != b' ');
        wanted.iter_mut().chain(&mut back).for_each(plain);
        prop_assert_eq!(back, wanted);
    }
}

#[test]
fn a_lake_has_one_writer_and_one_topic() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = open(folder.path());
    lake.write(&record(0, 0, Some(1)).view()).unwrap();
    lake.cut().unwrap();
    let second = Lake::open(&address(folder.path()), "here", &topic()).unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    drop(lake);
    let other = Lake::open(&address(folder.path()), "elsewhere", &topic()).unwrap_err();
    assert!(matches!(other, SinkError::NotOurs { .. }), "{other}");
    let mut anew = topic();
    anew[0].id = Some("two".to_owned());
    assert!(Lake::open(&address(folder.path()), "here", &anew).is_err());
    let address = LakeAddress {
        format: Format::Parquet,
        ..address(folder.path())
    };
    let form = Lake::open(&address, "here", &topic()).unwrap_err();
    assert!(form.to_string().contains("as ndjson"), "{form}");
    assert_eq!(found(folder.path()), [(0, 0, "1970-01-02".to_owned())]);
}

#[test]
fn what_is_read_is_what_the_files_say() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path(), "orders", &BTreeMap::new()).unwrap(), []);
    let mut lake = open(folder.path());
    lake.write(&record(0, 0, Some(1)).view()).unwrap();
    lake.cut().unwrap();
    let file = folder
        .path()
        .join("orders/dt=1970-01-02/part-00000-00000000000000000000.ndjson");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("{\"n\":0}", "{\"n\":7}")).unwrap();
    let found = read(folder.path(), "orders", &BTreeMap::new()).unwrap();
    assert_eq!(found[0].value.as_deref(), Some(&b"{\"n\":7}"[..]));
    fs::write(&file, format!("{text}half a li")).unwrap();
    let error = read(folder.path(), "orders", &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("line 2 is no record"), "{error}");
}

#[test]
fn more_dates_than_files_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = open(folder.path());
    for offset in 0..(OPEN as i64 + 3) {
        lake.write(&record(0, offset, Some(offset)).view()).unwrap();
    }
    assert!(lake.parts.len() <= OPEN);
    lake.cut().unwrap();
    assert_eq!(found(folder.path()).len(), OPEN + 3);
}

//! Memory is bounded whatever the topic's size: measured from outside, as the system counts it.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};

use foldlog::broker::producer::NewRecord;
use foldlog::record::Timestamp;

use crate::common::cluster::{Cluster, scratch};
use crate::common::{PATIENCE, within};

/// The most memory that the process ever had, in MB, as long as it is there to be asked.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Batches that are small on the wire and great in memory are the hard case: what is fetched of each partition is unpacked at once.
#[test]
fn a_rebuild_over_a_hundred_partitions_does_not_hold_the_topic() {
    const PARTITIONS: i32 = 100;
    const RECORDS: i64 = 300_000;
    let cluster = Cluster::shared();
    let topic = cluster.topic(PARTITIONS);
    let producer = cluster.client().producer().unwrap();
    let note = "long ".repeat(200);
    let mut mixed = 1_u64;
    for n in 0..RECORDS {
        // As JSON is: names and words that come again, and numbers that do not. About ten to one.
        let ids: String = (0..8)
            .map(|_| {
                mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{:x}", mixed >> 20)
            })
            .collect();
        let value = format!(r#"{{"type": "In", "n": {n}, "ids": "{ids}", "note": "{note}"}}"#);
        producer
            .send(NewRecord {
                topic: &topic,
                partition: Some((mixed >> 33) as i32 % PARTITIONS),
                value: Some(value.as_bytes()),
                timestamp: Some(Timestamp(1_700_000_000_000 + n)),
                ..NewRecord::default()
            })
            .unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).unwrap(), RECORDS as u64);
    let folder = scratch();
    let file = folder.path().join("counted.sql");
    let text = format!(
        "-- projection: counted\n-- topic: {topic}\n-- type: $.type\n
         CREATE TABLE counted (one INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
         -- on: In
         INSERT INTO counted VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET n = n + 1;"
    );
    fs::write(&file, text).unwrap();
    let mut rebuild = Command::new(env!("CARGO_BIN_EXE_foldlog"))
        .args(["-b", &cluster.bootstrap, "--data"])
        .arg(folder.path())
        .arg("rebuild")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The peak only grows, so that a look now and then misses little of it.
    let mut most = 0;
    let ended = within(PATIENCE * 10, "the rebuild to end", || {
        most = most.max(peak(rebuild.id()).unwrap_or(0));
        rebuild.try_wait().unwrap()
    });
    assert!(ended.success());
    assert!(most > 10, "the peak was never seen: {most} MB");
    assert!(most < 250, "{most} MB for a topic of 350 MB");
}

//! The log agent as a process: it is killed and interrupted while a service writes and its log is rotated.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;
use crate::common::raw::{read_all, texts};

fn agent(cluster: &Cluster, data: &Path, topic: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_foldlog"))
        .arg("--data")
        .arg(data)
        .args(["-b", &cluster.address().to_string(), "agent"])
        .arg(data.join("logs/*.log"))
        .args(["--topic", topic, "--parse", "json", "--host", "test"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn every_line_arrives_through_rotation_kill_and_restart() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let data = scratch();
    // Beside the agent's own log, which is one too.
    let logs = data.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("app.log");
    let open = || File::options().create(true).append(true).open(&path).unwrap();
    let mut file = open();
    let mut written = 0;
    let mut write = |file: &mut File, count: i64| {
        for _ in 0..count {
            written += 1;
            writeln!(
                file,
                "{{\"n\":{written},\"timestamp\":{}}}",
                1_730_000_000_000_i64 + written
            )
            .unwrap();
        }
        written
    };
    let arrived = |at_least: i64| {
        eventually("lines", || {
            let mut lines: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
            let records = read_all(&cluster, &topic, 0);
            for (record, text) in records.iter().zip(texts(&records)) {
                let value: Value = serde_json::from_str(&text).unwrap();
                let id = record.headers.iter().find(|header| header.key == "foldlog-id").unwrap();
                let of = lines.entry(value["n"].as_i64().unwrap()).or_default();
                of.push(id.value.clone().unwrap());
            }
            (i64::try_from(lines.len()).unwrap() >= at_least).then_some(lines)
        })
    };
    let mut running = agent(&cluster, data.path(), &topic);
    write(&mut file, 500);
    arrived(1);
    // Killed while it sends; renamed while nobody looks.
    write(&mut file, 2000);
    running.kill().unwrap();
    running.wait().unwrap();
    fs::rename(&path, logs.join("app.log.1")).unwrap();
    write(&mut file, 100);
    file = open();
    let so_far = write(&mut file, 100);
    let mut running = agent(&cluster, data.path(), &topic);
    arrived(so_far);
    // Copied and cut while it runs; then a stop that is asked for.
    fs::copy(&path, logs.join("app.log.2")).unwrap();
    file.set_len(0).unwrap();
    let all = write(&mut file, 300);
    arrived(all);
    let asked = Command::new("kill").args(["-INT", &running.id().to_string()]).status();
    assert!(asked.unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(0));
    let all = write(&mut file, 10);
    let mut running = agent(&cluster, data.path(), &topic);
    let lines = arrived(all);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(lines.keys().copied().collect::<Vec<_>>(), (1..=all).collect::<Vec<_>>());
    // What came again after the kill has the id that it had.
    assert!(lines.values().all(|ids| ids.iter().all(|id| *id == ids[0])));
    assert!(
        lines.iter().all(|(n, ids)| ids.len() == 1 || *n <= 2500),
        "only what was not written down before the kill"
    );
}

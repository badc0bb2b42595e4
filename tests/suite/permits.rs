//! The whole way with a real log: 8,577 events of 1,434 building-permit applications, produced, folded, queried, and folded again
//! after every kind of kill. Needs the log beside the repository, so these run with `--ignored real_data`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::stores::PostgresServer;
use crate::common::{PATIENCE, eventually};

const LOG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/real-data/permit-applications.ndjson"
);
const PROJECTION: &str = include_str!("../permits/permits.sql");

/// A cluster, a data directory, and the permit projection over a topic of its own.
struct Desk {
    cluster: Cluster,
    data: TempDir,
    topic: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            cluster: Cluster::shared(),
            data: scratch(),
            topic: unique("permits"),
        };
        fs::write(desk.projection(), PROJECTION.replace("permit-events", &desk.topic)).unwrap();
        desk
    }

    fn projection(&self) -> PathBuf {
        self.data.path().join("permits.sql")
    }

    /// `foldlog` on this desk's cluster, with read models in `data`.
    fn command(&self, data: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foldlog"));
        command
            .arg("--data")
            .arg(data)
            .args(["-b", &self.cluster.bootstrap])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> String {
        self.run_in(self.data.path(), args)
    }

    fn run_in(&self, data: &Path, args: &[&str]) -> String {
        succeeded(self.command(data, args).output().unwrap(), args)
    }

    /// The real log with this desk's topic, `copies` times over with case ids of their own.
    fn log(&self, copies: usize) -> PathBuf {
        let path = self.data.path().join(format!("log-{copies}.ndjson"));
        let mut text = String::new();
        for copy in 0..copies {
            for event in events() {
                let mut event = event;
                event["topic"] = self.topic.as_str().into();
                if copy > 0 {
                    let case = format!("{}-{copy}", event["key"].as_str().unwrap());
                    event["value"]["caseId"] = case.as_str().into();
                    event["key"] = case.into();
                }
                text.push_str(&event.to_string());
                text.push('\n');
            }
        }
        fs::write(&path, text).unwrap();
        path
    }

    /// Creates the topic. Its events are years old, and by default Kafka deletes what is older than a week.
    fn create_topic(&self, partitions: &str) {
        let keep = "retention.ms=-1";
        self.run(&["topics", "create", &self.topic, "-p", partitions, "--config", keep]);
    }

    fn produce(&self, log: &Path) {
        self.run(&["produce", "--envelope", log.to_str().unwrap()]);
    }

    fn rebuild_in(&self, data: &Path) {
        self.run_in(data, &["rebuild", self.projection().to_str().unwrap()]);
    }

    /// Starts a command that will be killed.
    fn start(&self, data: &Path, args: &[&str]) -> Running {
        let child = self
            .command(data, args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Running(child)
    }

    fn query(&self, sql: &str) -> Vec<Value> {
        let rows = self.run(&["query", sql, "-o", "json"]);
        rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// How many events the read model in `data` has taken in so far; `None` before there is one.
    fn folded(&self, data: &Path) -> Option<i64> {
        let sql = "SELECT coalesce(sum(events), 0) AS n FROM permits.application";
        let output = self.command(data, &["query", sql, "-o", "json"]).output().unwrap();
        let row: Value = serde_json::from_slice(&output.stdout).ok()?;
        row.get("n")?.as_i64()
    }
}

/// A process that does not outlive its test, whichever way that ends.
struct Running(Child);

impl Running {
    /// SIGKILL: no destructor, no flush, nothing. Whether it was still at work then.
    fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        !self.0.wait().unwrap().success()
    }

    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    fn succeeds(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    /// SIGINT, as Ctrl-C sends it.
    fn interrupt(&self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn succeeded(output: Output, args: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "foldlog {args:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn events() -> impl Iterator<Item = Value> {
    let text = fs::read_to_string(LOG).expect("the real log lies beside the repository");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.into_iter()
}

/// An application: its state, events, when it was received and updated, its last task.
type Application = (String, i64, i64, i64, String);

/// What the projection should say of each application before a time, folded here without SQL, SQLite or Kafka.
fn expected(before: i64) -> BTreeMap<String, Application> {
    expected_of(events().filter(|event| event["timestamp"].as_i64().unwrap() < before))
}

fn expected_of(events: impl Iterator<Item = Value>) -> BTreeMap<String, Application> {
    let mut all: BTreeMap<String, Application> = BTreeMap::new();
    for event in events {
        let value = &event["value"];
        let (task, time) = (value["type"].as_str().unwrap(), event["timestamp"].as_i64().unwrap());
        let state = match task.split(' ').next().unwrap() {
            "Confirmation" => Some("received"),
            "T02" => Some("checked"),
            "T05" => Some("confirmed"),
            "T10" => Some("assessed"),
            "T15" => Some("unlicensed"),
            "T20" => Some("stopped"),
            _ => None,
        };
        let case = value["caseId"].as_str().unwrap().to_owned();
        let entry = all
            .entry(case)
            .or_insert_with(|| (String::new(), 0, time, time, String::new()));
        if let Some(state) = state {
            entry.0 = state.to_owned();
        }
        entry.1 += 1;
        entry.3 = time;
        entry.4 = task.to_owned();
    }
    all
}

const APPLICATIONS: &str = "SELECT id, state, events, received_at, updated_at, last_task FROM permits.application";

fn applications(rows: &[Value]) -> BTreeMap<String, Application> {
    let application = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let number = |name: &str| row[name].as_i64().unwrap();
        let state = (
            text("state"),
            number("events"),
            number("received_at"),
            number("updated_at"),
            text("last_task"),
        );
        (text("id"), state)
    };
    rows.iter().map(application).collect()
}

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_what_an_application_looked_like_on_a_day_and_which_events_made_it() {
    let desk = Desk::new();
    desk.create_topic("3");
    desk.produce(&desk.log(1));
    desk.rebuild_in(desk.data.path());
    let json = |text: String| -> Vec<Value> { text.lines().map(|row| serde_json::from_str(row).unwrap()).collect() };
    // The last moment is after the end of the log.
    for day in ["2010-10-05", "2011-01-01", "2011-07-15T12:00:00Z", "2030-01-01"] {
        let rows = json(desk.run(&["--json", "at", "permits", day, "-q", APPLICATIONS]));
        let time: jiff::civil::DateTime = day.trim_end_matches('Z').parse().unwrap();
        let before = time
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap()
            .timestamp()
            .as_millisecond();
        assert_eq!(applications(&rows), expected(before), "{day}");
    }
    for case in ["case-3756", "case-891"] {
        let blamed = json(desk.run(&["--json", "blame", "permits", "application", case]));
        let made: Vec<_> = blamed
            .iter()
            .map(|event| event["record"]["timestamp"].as_i64().unwrap())
            .collect();
        let of_case = events().filter(|event| event["value"]["caseId"] == case);
        let expected: Vec<_> = of_case.map(|event| event["timestamp"].as_i64().unwrap()).collect();
        assert_eq!(made, expected, "{case}");
        let last = &blamed.last().unwrap()["changes"][0]["after"]["state"];
        assert_eq!(*last, self::expected(i64::MAX)[case].0.as_str());
    }
}

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_a_history_tells_which_events_made_a_row_as_a_replay_does() {
    let desk = Desk::new();
    desk.create_topic("3");
    desk.produce(&desk.log(1));
    desk.rebuild_in(desk.data.path());
    let other = scratch();
    let text = fs::read_to_string(desk.projection()).unwrap();
    let kept = text.replacen("-- type: $.type\n--\n", "-- type: $.type\n-- history: on\n", 1);
    assert_ne!(kept, text);
    let file = other.path().join("permits.sql");
    fs::write(&file, kept).unwrap();
    desk.run_in(other.path(), &["rebuild", file.to_str().unwrap()]);
    let busiest = desk.query("SELECT resource FROM permits.workload ORDER BY tasks DESC LIMIT 1");
    let busiest = busiest[0]["resource"].as_str().unwrap();
    for question in [
        &["--json", "blame", "permits", "application", "case-3756"][..],
        &["blame", "permits", "application", "case-891"],
        &[
            "blame",
            "permits",
            "application",
            "case-891",
            "state",
            "--until",
            "2011-01-01",
        ],
        &["blame", "permits", "workload", busiest],
        &["--json", "blame", "permits", "workload", busiest, "last_at"],
    ] {
        let told = desk.run_in(other.path(), question);
        assert_eq!(told, desk.run(question), "{question:?}");
        assert!(told.lines().count() > 1, "{question:?}: {told}");
    }
}

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_the_state_of_every_application() {
    let desk = Desk::new();
    desk.create_topic("3");
    desk.produce(&desk.log(1));
    desk.rebuild_in(desk.data.path());
    let found = applications(&desk.query(APPLICATIONS));
    assert_eq!(found.len(), 1_434);
    assert_eq!(found, expected(i64::MAX));
    let tasks = desk.query("SELECT sum(tasks) AS n FROM permits.workload");
    assert_eq!(tasks[0]["n"], 8_577);
}

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_a_rebuild_that_is_killed_leaves_the_old_read_model_and_nothing_else() {
    let desk = Desk::new();
    desk.create_topic("3");
    desk.produce(&desk.log(20));
    let unbroken = scratch();
    desk.rebuild_in(unbroken.path());
    let truth = desk.run_in(unbroken.path(), &["dump", "permits"]);

    let killed = scratch();
    let file = desk.projection();
    let mut cut_short = 0;
    for round in 0..6_u64 {
        let before = files(killed.path());
        let mut rebuild = desk.start(killed.path(), &["rebuild", file.to_str().unwrap()]);
        // At another place in each round: before the file is there, in it, near its end.
        wait_for_bytes(killed.path(), &before, round * 700_000, &mut rebuild);
        cut_short += i32::from(rebuild.kill());
        if round >= 3 {
            // An old read model stands throughout.
            assert_eq!(desk.run_in(killed.path(), &["dump", "permits"]), truth, "round {round}");
        }
        if round == 2 {
            desk.rebuild_in(killed.path());
        }
    }
    assert!(
        cut_short >= 3,
        "the kills came too late to say anything: {cut_short} of 6 in time"
    );
    desk.rebuild_in(killed.path());
    assert_eq!(desk.run_in(killed.path(), &["dump", "permits"]), truth);
}

/// Without its last step, an application is what its other events make it, and nothing else is another.
#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_what_would_have_happened_without_an_event() {
    let desk = Desk::new();
    desk.create_topic("3");
    desk.produce(&desk.log(1));
    desk.rebuild_in(desk.data.path());
    let json = |text: String| -> Vec<Value> { text.lines().map(|row| serde_json::from_str(row).unwrap()).collect() };
    for (case, which) in [("case-3756", 1), ("case-891", 17), ("case-891", 3)] {
        let blamed = json(desk.run(&["--json", "blame", "permits", "application", case]));
        let record = &blamed[which]["record"];
        let (partition, offset) = (&record["partition"], &record["offset"]);
        let at = format!("{partition}:{offset}");
        let mut of_case = 0;
        let found = expected_of(events().filter(|event| {
            let is_of_case = event["value"]["caseId"] == case;
            of_case += usize::from(is_of_case);
            !is_of_case || of_case != which + 1
        }));
        let rows = json(desk.run(&["--json", "what-if", "permits", "--without", &at, "-q", APPLICATIONS]));
        assert_eq!(applications(&rows), found, "{case} without {at}");
        let differing = json(desk.run(&["--json", "what-if", "permits", "--without", &at]));
        let (total, rows) = differing.split_last().unwrap();
        let changed: Vec<_> = rows.iter().map(|row| (&row["table"], &row["change"])).collect();
        assert_eq!(
            changed,
            [
                (&"application".into(), &"changed".into()),
                (&"workload".into(), &"changed".into())
            ]
        );
        assert_eq!(rows[0]["key"]["id"], case);
        assert_eq!(total["events"]["after"]["applied"], 8_576);
    }
}

/// Files below a folder with their sizes.
fn files(root: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => drop(found.insert(entry.path(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found
}

/// Returns when a file that was not there before holds at least this many bytes, or the process has ended.
fn wait_for_bytes(root: &Path, before: &BTreeMap<PathBuf, u64>, bytes: u64, process: &mut Running) {
    let deadline = Instant::now() + PATIENCE;
    while !process.ended() {
        let new: u64 = files(root)
            .iter()
            .filter(|(path, _)| !before.contains_key(*path))
            .map(|(_, size)| size)
            .sum();
        let any = files(root).keys().any(|path| !before.contains_key(path));
        if any && new >= bytes {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the rebuild neither wrote {bytes} bytes nor ended"
        );
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_a_follow_that_is_killed_again_and_again_ends_as_if_it_never_was() {
    let desk = Desk::new();
    desk.create_topic("1");
    let log = fs::read_to_string(desk.log(20)).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let live = scratch();
    let file = desk.projection();
    let file = file.to_str().unwrap();
    for (round, part) in lines.chunks(lines.len() / 6).enumerate() {
        let path = desk.data.path().join(format!("part-{round}.ndjson"));
        fs::write(&path, part.join("\n")).unwrap();
        let before = desk.folded(live.path()).unwrap_or(0);
        let mut follow = desk.start(live.path(), &["follow", file]);
        let mut produce = desk.start(desk.data.path(), &["produce", "--envelope", path.to_str().unwrap()]);
        // Killed while records arrive, wherever it is then: in a batch, in a commit, between two.
        eventually("the follow to take events in", || {
            assert!(!follow.ended(), "the follow ended by itself");
            desk.folded(live.path()).filter(|now| *now > before)
        });
        assert!(follow.kill());
        assert!(produce.succeeds());
    }
    let mut follow = desk.start(live.path(), &["follow", file]);
    let total = i64::try_from(lines.len()).unwrap();
    eventually("every event to be folded", || {
        (desk.folded(live.path()) == Some(total)).then_some(())
    });
    follow.interrupt();
    assert!(follow.succeeds(), "an interrupt ends a follow well");
    let unbroken = scratch();
    desk.rebuild_in(unbroken.path());
    assert_eq!(
        desk.run_in(live.path(), &["dump", "permits"]),
        desk.run_in(unbroken.path(), &["dump", "permits"])
    );
}

/// The handlers in PostgreSQL: a follow that is killed while records arrive, a rebuild, and what both are compared with.
#[test]
#[ignore = "needs the real log beside the repository"]
fn real_data_the_state_of_every_application_in_postgresql() {
    let Some(server) = PostgresServer::start() else { return };
    let desk = Desk::new();
    desk.create_topic("3");
    let (file, url) = (desk.projection(), server.url(""));
    let file = file.to_str().unwrap();
    let folded = || {
        let counted = server.try_psql("SELECT applied FROM permits._foldlog_fold").ok()?;
        counted.parse::<u64>().ok()
    };
    desk.produce(&desk.log(1));
    let mut follow = desk.start(desk.data.path(), &["follow", file, "--in", &url]);
    eventually("the follow to take events in", || {
        assert!(!follow.ended(), "the follow ended by itself");
        folded().filter(|folded| *folded > 0)
    });
    assert!(follow.kill());
    let mut follow = desk.start(desk.data.path(), &["follow", file, "--in", &url]);
    eventually("every event to be folded", || (folded() == Some(8_577)).then_some(()));
    follow.interrupt();
    assert!(follow.succeeds(), "an interrupt ends a follow well");
    for args in [
        &["verify", file, "--in", &url][..],
        &["rebuild", file, "--in", &url],
        &["verify", file, "--in", &url],
    ] {
        desk.run(args);
    }
    assert_eq!(server.psql("SELECT count(*) FROM permits.application"), "1434");
    assert_eq!(server.psql("SELECT sum(tasks) FROM permits.workload"), "8577");
}

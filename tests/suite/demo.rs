//! Demos on a cluster: the same at every run, filled up where one was cut short, and careful with what is somebody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use foldlog::broker::client::Client;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::reader::Order;
use foldlog::demo::catalog::{Catalog, Demo};
use foldlog::demo::error::DemoError;
use foldlog::demo::run::{Options, Outcome, StepState, run};
use foldlog::readmodel::dump::dump;
use foldlog::readmodel::store::Store;
use tempfile::TempDir;

use super::reader::{drain, whole};
use crate::common::cluster::{Cluster, scratch, unique};

/// The first demo with a topic and read models of its own, so that tests and earlier runs do not meet.
struct Own {
    cluster: Cluster,
    client: Client,
    store: Store,
    folder: TempDir,
    topic: String,
}

impl Own {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let folder = scratch();
        let topic = unique("events");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(
            &root.join("demo-data/event-sourcing"),
            &folder.path().join("own"),
            &topic,
        );
        copy(
            &root.join("schemas/account-events"),
            &folder.path().join("own/schemas").join(&topic),
            &topic,
        );
        Self {
            client: cluster.client(),
            store: Store::open(folder.path(), "test").unwrap(),
            cluster,
            folder,
            topic,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("own").join(name)
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(self.file(name), text.replace(from, to)).unwrap();
    }

    fn demo(&self) -> Demo {
        let catalog = Catalog::load(&[self.folder.path().to_owned()]).unwrap();
        catalog.get("own").unwrap().clone()
    }

    fn run(&self, options: Options) -> Result<Outcome, DemoError> {
        run(self.client.clone(), self.store.clone(), self.demo(), options).wait()
    }

    fn note(outcome: &Outcome, step: usize) -> &str {
        &outcome.steps[step].note
    }

    fn dumps(&self) -> (String, String) {
        let one = |name| dump(&self.store, name, &mut Vec::new()).unwrap();
        (one("account_balance"), one("audit_trail"))
    }

    fn records(&self) -> usize {
        let mut reader = self
            .client
            .reader(whole(&self.client, &self.topic, Order::Arrival))
            .unwrap();
        drain(&mut reader).len()
    }

    fn write(&self, partition: i32, value: &[u8]) {
        let producer = self.client.producer().unwrap();
        let record = NewRecord {
            topic: &self.topic,
            partition: Some(partition),
            value: Some(value),
            ..NewRecord::default()
        };
        producer.send(record).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}

/// Copies a folder, the topic's name in its files replaced.
fn copy(from: &Path, to: &Path, topic: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, topic);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(target, text.replace("account-events", topic)).unwrap();
        }
    }
}

#[test]
fn a_demo_runs_and_runs_again_to_the_same_rows() {
    let own = Own::new();
    let first = own.run(Options::default()).unwrap();
    assert!(first.passed, "{:#?}", first.steps);
    assert!(first.steps.iter().all(|step| step.state == StepState::Passed));
    assert_eq!(Own::note(&first, 1), "5,004 written");
    let dumps = own.dumps();

    let second = own.run(Options::default()).unwrap();
    assert!(second.passed);
    assert_eq!(Own::note(&second, 1), "0 written, 5,004 there already");
    assert_eq!((own.dumps(), own.records()), (dumps.clone(), 5004));

    let reset = own
        .run(Options {
            reset: true,
            ..Options::default()
        })
        .unwrap();
    assert!(reset.passed);
    assert_eq!(Own::note(&reset, 1), "5,004 written");
    assert_eq!((own.dumps(), own.records()), (dumps, 5004));
}

#[test]
fn a_topic_that_holds_the_first_events_is_filled_up() {
    let own = Own::new();
    let demo = own.demo();
    own.client.create_topic(&demo.topics[0]).unwrap();
    let producer = own.client.producer().unwrap();
    for event in &demo.events().unwrap()[..1000] {
        let record = NewRecord {
            topic: &event.topic,
            partition: Some(event.partition(3, 0)),
            key: event.key.as_deref(),
            value: event.value.as_deref(),
            timestamp: Some(event.timestamp),
            ..NewRecord::default()
        };
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let outcome = own.run(Options::default()).unwrap();
    assert!(outcome.passed, "{:#?}", outcome.steps);
    assert_eq!(Own::note(&outcome, 1), "4,004 written, 1,000 there already");
    assert_eq!(own.records(), 5004);
}

#[test]
fn a_topic_that_holds_something_else_is_left_alone() {
    for after_a_run in [false, true] {
        let own = Own::new();
        if after_a_run {
            assert!(own.run(Options::default()).unwrap().passed);
        } else {
            own.client.create_topic(&own.demo().topics[0]).unwrap();
        }
        own.write(1, b"{\"mine\":true}");
        let before = own.records();
        let error = own.run(Options::default()).unwrap_err();
        assert!(matches!(error, DemoError::NotOurs { .. }), "{error}");
        assert!(error.to_string().contains(&own.topic), "{error}");
        assert_eq!(own.records(), before);
        assert!(
            own.run(Options {
                reset: true,
                ..Options::default()
            })
            .unwrap()
            .passed
        );
        assert_eq!(own.records(), 5004);
    }
}

#[test]
fn a_read_model_of_another_file_is_left_alone() {
    let own = Own::new();
    assert!(own.run(Options::default()).unwrap().passed);
    let dumps = own.dumps();
    fs::rename(own.file("projections"), own.file("others")).unwrap();
    own.replace("demo.toml", "projections/", "others/");
    let error = own.run(Options::default()).unwrap_err();
    assert!(matches!(error, DemoError::NotOurs { .. }), "{error}");
    assert!(error.to_string().contains("account_balance"), "{error}");
    assert_eq!(own.dumps(), dumps);
}

#[test]
fn a_cancelled_run_ends_and_the_next_one_goes_on() {
    let own = Own::new();
    let cancelled = run(own.client.clone(), own.store.clone(), own.demo(), Options::default());
    cancelled.cancel();
    let error = cancelled.wait().unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert!(own.run(Options::default()).unwrap().passed);
}

#[test]
fn a_check_that_does_not_hold_fails_the_run_and_says_what_was_found() {
    let own = Own::new();
    own.replace(
        "projections/account_balance.sql",
        "balance - :amount",
        "balance + :amount",
    );
    let outcome = own.run(Options::default()).unwrap();
    assert!(!outcome.passed);
    let failed: Vec<_> = outcome
        .steps
        .iter()
        .filter(|step| step.check && step.state == StepState::Failed)
        .collect();
    assert_eq!(failed.len(), 6, "{:#?}", outcome.steps);
    assert_eq!(failed[0].note, "1400, expected 1000");
}

#[test]
fn an_event_that_is_poison_stops_the_run_with_its_place() {
    let own = Own::new();
    own.replace(
        "projections/account_balance.sql",
        "owner      TEXT",
        "owner      INTEGER",
    );
    let error = own.run(Options::default()).unwrap_err();
    assert!(matches!(error, DemoError::Replay(_)), "{error}");
    assert!(error.to_string().contains(&own.topic), "{error}");
}

/// Runs the program on this cluster.
fn foldlog(own: &Own, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foldlog"))
        .args(["--data".as_ref(), own.folder.path().as_os_str()])
        .args(["-b", &own.cluster.bootstrap])
        .args(["demo", "--demos"])
        .arg(own.folder.path())
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

#[test]
fn the_command_runs_a_demo_without_the_studio() {
    let own = Own::new();
    let output = foldlog(&own, &["run", "own", "--headless", "--yes"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("✓ Write the events  5,004 written\n"), "{text}");
    assert!(
        text.contains("\n  ✓ account-001: 500 - 200 + 700 is 1000  1000\n"),
        "{text}"
    );
    assert!(text.contains("own: 13 of 13 checks hold"), "{text}");

    let output = foldlog(&own, &["run", "own", "--headless", "--yes", "--json", "--lang", "zh"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["steps"][1]["note"], "写入 0 条，已有 5,004 条");

    // It is not this program's own cluster: nothing is created that was not allowed, and what was has a name of its own.
    let refused = foldlog(&own, &["run", "own", "--headless"]);
    let said = String::from_utf8_lossy(&refused.stderr).replace("\n  │", "");
    assert!(!refused.status.success() && said.contains("--yes"), "{said}");
    assert!(own.client.topic(&own.topic).is_err());
    assert!(own.client.topic(&format!("foldlog-demo-own-{}", own.topic)).is_ok());

    own.replace("demo.toml", "expect = [[1000]]", "expect = [[999]]");
    let output = foldlog(&own, &["run", "own", "--headless", "--yes"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("1000, expected 999") && text.contains("11 of 13 checks hold"),
        "{text}"
    );
}

//! `foldlog agent`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use foldlog::demo::catalog::Catalog;
use serde_json::Value;

use super::{Shell, json};

struct Logs {
    shell: Shell,
    folder: PathBuf,
}

impl Logs {
    fn new() -> Self {
        let shell = Shell::new();
        shell.ok(&["topics", "create", "logs"], "");
        let folder = shell.home.path().join("logs");
        fs::create_dir_all(&folder).unwrap();
        Self { shell, folder }
    }

    fn append(&self, name: &str, text: &str) {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Sends what there is, and says what was said.
    fn once(&self, pattern: &str, more: &[&str]) -> String {
        let pattern = self.folder.join(pattern);
        let mut args = vec![
            "agent",
            pattern.to_str().unwrap(),
            "--topic",
            "logs",
            "--once",
            "--host",
            "web-1",
        ];
        args.extend(more);
        let said = self.shell.run(&args);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.err
    }

    fn records(&self) -> Vec<Value> {
        json(&self.shell.ok(&["read", "logs", "-o", "json"], ""))
    }
}

#[test]
fn lines_are_sent_as_filebeat_does_and_never_again() {
    let logs = Logs::new();
    logs.append("app.log", "one\ntwo\r\nhalf");
    let said = logs.once("*.log", &["--max-line", "10"]);
    assert!(said.contains("2 lines sent"), "{said}");
    let records = logs.records();
    let path = logs.folder.join("app.log");
    assert_eq!(records[0]["key"], path.to_str().unwrap());
    let value = &records[1]["value"];
    assert_eq!(
        (value["message"].as_str(), value["log"]["offset"].as_i64()),
        (Some("two"), Some(4))
    );
    assert_eq!(value["log"]["file"]["path"], path.to_str().unwrap());
    assert_eq!(value["host"]["name"], "web-1");
    assert!(value["@timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(records[0]["headers"][0][0], "foldlog-id");
    assert_ne!(records[0]["headers"], records[1]["headers"]);

    // The half line is whole now; the file was rotated, and the new one has a line that is too long.
    logs.append("app.log", " a line\n");
    fs::rename(&path, logs.folder.join("app.log.1")).unwrap();
    logs.append("app.log", "0123456789abc\n");
    let said = logs.once("*.log", &["--max-line", "11"]);
    assert!(said.contains("2 lines sent") && said.contains("1 cut"), "{said}");
    let messages: Vec<String> = logs
        .records()
        .iter()
        .map(|record| record["value"]["message"].to_string())
        .collect();
    assert_eq!(messages.len(), 4);
    for message in ["\"one\"", "\"two\"", "\"half a line\"", "\"0123456789a\""] {
        assert!(messages.iter().any(|known| known == message), "{messages:?}");
    }
    assert!(logs.once("*.log", &["--max-line", "11"]).contains("0 lines sent"));
}

#[test]
fn what_cannot_be_parsed_is_sent_with_the_reason() {
    let logs = Logs::new();
    logs.append(
        "app.json",
        "{\"level\":\"ERROR\",\"timestamp\":1730000000000}\nStack trace:\n",
    );
    let said = logs.once("app.json", &["--parse", "json"]);
    assert!(said.contains("1 with error.message"), "{said}");
    let records = logs.records();
    assert_eq!(
        (records[0]["timestamp"].as_i64(), records[0]["value"]["level"].as_str()),
        (Some(1_730_000_000_000), Some("ERROR"))
    );
    assert_eq!(records[1]["value"]["message"], "Stack trace:");
    assert!(
        records[1]["value"]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Error decoding JSON")
    );
}

/// The demo's records are what its access log makes, field by field.
#[test]
fn the_web_logs_of_the_demo_are_what_the_agent_makes_of_its_access_log() {
    let logs = Logs::new();
    let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo-data/log-analytics/events");
    let log = demo.join("access.log");
    let args = [
        "agent",
        log.to_str().unwrap(),
        "-t",
        "logs",
        "--once",
        "--parse",
        "combined",
        "--host",
        "web-1",
    ];
    logs.shell.ok(&args, "");
    let catalog = Catalog::load(&[]).unwrap();
    let events = catalog.get("log-analytics").unwrap().events().unwrap();
    let expected: Vec<_> = events.iter().filter(|event| event.topic == "web-logs").collect();
    let sent = logs.records();
    assert_eq!((sent.len(), expected.len()), (240, 240));
    for (sent, expected) in sent.iter().zip(expected) {
        let mut value = sent["value"].clone();
        value["log"]["file"]["path"] = "/var/log/nginx/access.log".into();
        let wanted: Value = serde_json::from_slice(expected.value.as_ref().unwrap()).unwrap();
        assert_eq!(value, wanted);
        assert_eq!(sent["timestamp"], expected.timestamp.0);
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_is_read() {
    let logs = Logs::new();
    logs.append("app.log", "one\n");
    let file = logs.folder.join("app.log");
    let file = file.to_str().unwrap();
    let said = logs.shell.fails(&["agent", file, "--topic", "nowhere", "--once"], "");
    assert!(said.contains("nowhere"), "{said}");
    let said = logs
        .shell
        .fails(&["agent", "nothing*.log", "--topic", "logs", "--once"], "");
    assert!(said.contains("there is no file to read"), "{said}");
    let registry = logs.folder.join("registry.json");
    fs::write(&registry, "{").unwrap();
    let args = [
        "agent",
        file,
        "--topic",
        "logs",
        "--once",
        "--registry",
        registry.to_str().unwrap(),
    ];
    let said = logs.shell.fails(&args, "");
    assert!(
        said.contains("registry.json") && said.contains("cannot be read"),
        "{said}"
    );
    assert_eq!(logs.records().len(), 0);
}

#[test]
fn one_line_that_the_broker_refuses_stops_nothing() {
    let logs = Logs::new();
    logs.shell.ok(
        &["topics", "create", "small", "--config", "max.message.bytes=20000"],
        "",
    );
    // Text that cannot be compressed, so that it is too large as it travels, too.
    let mut state = 7_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    let large: String = std::iter::repeat_with(&mut noise).take(10_000).collect();
    logs.append("app.log", &format!("one\ntwo\n{large}\nthree\nfour\n"));
    let pattern = logs.folder.join("*.log");
    let args = ["agent", pattern.to_str().unwrap(), "--topic", "small", "--once"];
    let said = logs.shell.run(&args);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("5 lines sent") && said.err.contains("1 with error.message"),
        "{}",
        said.err
    );
    let records = json(&logs.shell.ok(&["read", "small", "-o", "json"], ""));
    let mut messages: Vec<&str> = records
        .iter()
        .map(|record| record["value"]["message"].as_str().unwrap())
        .collect();
    // Those that stood beside it may be there twice.
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), 5);
    let refused = records
        .iter()
        .find(|record| record["value"]["error"].is_object())
        .unwrap();
    assert!(
        refused["value"]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("the broker refused the line: ")
    );
    assert_eq!(refused["value"]["message"], large[..1000]);
    assert_eq!(refused["value"]["log"]["flags"][0], "truncated");
}

#[test]
fn files_that_are_not_there_are_said() {
    let logs = Logs::new();
    logs.append("app.log", "one\n");
    logs.once("*.log", &[]);
    // With something in the registry as without.
    let (there, typo) = (logs.folder.join("app.log"), logs.folder.join("ap.log"));
    let (there, typo) = (there.to_str().unwrap(), typo.to_str().unwrap());
    let said = logs.shell.run(&["agent", there, typo, "--topic", "logs", "--once"]);
    assert!(said.err.contains(&format!("there is no file {typo}")), "{}", said.err);
    let refused = logs.shell.fails(&["agent", typo, "--topic", "logs", "--once"], "");
    assert!(refused.contains("nothing fits"), "{refused}");
}

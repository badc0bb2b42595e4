//! The commands as processes: what they print, what they say when something is wrong, and how they end.
// Helpers outside a #[test] fail the test by unwrapping, which the lints cannot see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod alerts;
mod broker;
mod capture;
mod charts;
mod choose;
mod clusters;
#[path = "../common/mod.rs"]
mod common;
mod dead_letters;
mod demo;
mod emit;
mod invariants;
mod mirror;
mod output;
mod preview;
mod produce;
mod projections;
mod read;
mod rebuild;
mod remote;
mod sinks;
mod takeover;
mod test;
mod what_if;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A data directory and a home of their own, with the embedded broker started by each command.
struct Shell {
    data: TempDir,
    home: TempDir,
}

/// What a command printed and how it ended.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Shell {
    fn new() -> Self {
        Self {
            data: common::cluster::scratch(),
            home: common::cluster::scratch(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foldlog"));
        self.environment(|name, value| {
            command.env(name, value);
        });
        for name in UNSET {
            command.env_remove(name);
        }
        command.args(args).timeout(common::PATIENCE);
        command
    }

    /// The command as one that can be signalled and read from while it runs.
    fn spawn(&self, args: &[&str]) -> std::process::Child {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_foldlog"));
        self.environment(|name, value| {
            command.env(name, value);
        });
        for name in UNSET {
            command.env_remove(name);
        }
        let piped = std::process::Stdio::piped;
        command
            .args(args)
            .stdin(piped())
            .stdout(piped())
            .stderr(piped())
            .spawn()
            .unwrap()
    }

    /// The command in a terminal of its own.
    fn terminal(&self, args: &[&str]) -> common::terminal::Terminal {
        let mut env = vec![("FOLDLOG_BOOTSTRAP".to_owned(), String::new())];
        self.environment(|name, value| env.push((name.to_owned(), value.to_str().unwrap().to_owned())));
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
        let program = Path::new(env!("CARGO_BIN_EXE_foldlog"));
        common::terminal::Terminal::start(program, args, &env, 80, 24)
    }

    fn environment(&self, mut set: impl FnMut(&str, &Path)) {
        set("FOLDLOG_DATA", self.data.path());
        set("HOME", self.home.path());
        set("XDG_CONFIG_HOME", &self.home.path().join("config"));
        set("XDG_DATA_HOME", &self.home.path().join("share"));
    }

    fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Said {
        let output = self.command(args).write_stdin(input).output().unwrap();
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Runs a command that must succeed.
    fn ok(&self, args: &[&str], input: &str) -> String {
        let said = self.run_with(args, input);
        assert_eq!(said.code, Some(0), "{args:?}\n{}{}", said.out, said.err);
        said.out
    }

    /// Runs a command that must fail, and returns what it said; nothing of it on standard output.
    fn fails(&self, args: &[&str], input: &str) -> String {
        let said = self.run_with(args, input);
        assert!(
            said.code.is_some_and(|code| code != 0),
            "{args:?}\n{}{}",
            said.out,
            said.err
        );
        assert_eq!(said.out, "", "{args:?}");
        // librdkafka's own lines look like `%3|1700000000.0|FAIL|...`.
        assert!(
            !said.err.contains("%3|") && !said.err.contains("panicked"),
            "{}",
            said.err
        );
        said.err
    }

    /// Writes the configuration file.
    fn config(&self, text: &str) {
        let folder = self.home.path().join("config/foldlog");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }
}

/// What the developer's own environment must not decide.
const UNSET: [&str; 4] = ["FOLDLOG_BOOTSTRAP", "FOLDLOG_LOG", "FOLDLOG_SINK", "NO_COLOR"];

/// Lines of JSON.
fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_command_has_help() {
    let shell = Shell::new();
    let all = [
        "broker",
        "topics",
        "produce",
        "read",
        "groups",
        "rebuild",
        "follow",
        "query",
        "dump",
        "projections",
        "dead-letters",
        "what-if",
        "preview",
        "rollback",
        "demo",
    ];
    for command in all {
        let help = shell.ok(&[command, "--help"], "");
        assert!(help.contains("Usage:"), "{command}: {help}");
    }
    for command in ["topics", "produce", "read", "groups", "dead-letters"] {
        let help = shell.ok(&[command, "--help"], "");
        assert!(help.contains("Examples:"), "{command}: {help}");
    }
}

#[test]
fn topics_are_made_listed_and_deleted() {
    let shell = Shell::new();
    let said = shell.run(&["topics"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert!(said.err.contains("foldlog topics create"), "{}", said.err);
    let made = shell.run(&[
        "topics",
        "create",
        "orders",
        "-p",
        "3",
        "--config",
        "cleanup.policy=compact",
    ]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let keyless = shell.fails(&["produce", "orders"], "{\"id\":1}\n");
    assert!(keyless.contains("give every record a key"), "{keyless}");
    let plain = shell.run(&["topics", "create", "plain", "--config", "max.message.bytes=20000000"]);
    assert_eq!(plain.err, "created plain with 1 partition\n");
    shell.ok(&["topics", "delete", "plain"], "");
    shell.ok(&["produce", "orders", "--key-field", "id"], "{\"id\":1}\n{\"id\":2}\n");
    let topics = json(&shell.ok(&["topics", "--json"], ""));
    assert_eq!(topics.len(), 1);
    assert_eq!(topics[0]["topic"], "orders");
    assert_eq!(topics[0]["partitions"], 3);
    assert_eq!(topics[0]["offsets"], 2);
    assert_eq!(topics[0]["cleanup_policy"], "compact");
    let table = shell.ok(&["topics"], "");
    assert!(
        table.contains("TOPIC") && table.contains("orders") && table.contains("compact"),
        "{table}"
    );
    assert!(
        shell
            .fails(&["topics", "create", "orders"], "")
            .contains("exists already")
    );
    assert!(shell.fails(&["topics", "create", "a/b"], "").contains("a/b"));
    assert!(shell.fails(&["topics", "delete", "odrers"], "").contains("`orders`"));
    shell.ok(&["topics", "delete", "orders"], "");
    assert!(json(&shell.ok(&["topics", "--json"], "")).is_empty());
}

#[test]
fn a_file_in_place_of_the_data_directory_is_called_that() {
    let shell = Shell::new();
    let file = shell.data.path().join("items.sql");
    std::fs::write(&file, "").unwrap();
    for command in ["topics", "projections"] {
        let error = shell.fails(&[command, "--data", file.to_str().unwrap()], "");
        assert!(error.contains("is a file, not a folder"), "{command}: {error}");
    }
}

#[test]
fn groups_are_told_apart_from_nothing() {
    let shell = Shell::new();
    let said = shell.run(&["groups"]);
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("no consumer groups"), "{}", said.err);
    assert!(shell.fails(&["groups", "billing"], "").contains("`billing`"));
}

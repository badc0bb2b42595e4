//! `foldlog broker`: one process serves, the others attach, and what stands in the way is said.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command};

use super::Shell;
use crate::common::process::BrokerProcess;

fn signal(child: &mut Child, name: &str) -> Option<i32> {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

#[test]
fn it_says_where_it_serves_and_ends_cleanly_when_interrupted() {
    let shell = Shell::new();
    for name in ["-INT", "-TERM"] {
        let mut broker = shell.spawn(&["broker", "--listen", "localhost:0"]);
        let mut address = String::new();
        let mut out = BufReader::new(broker.stdout.take().unwrap());
        out.read_line(&mut address).unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        let listed = shell.ok(&["-b", address.trim(), "topics", "--json"], "");
        let topics = if name == "-INT" { 0 } else { 1 };
        assert_eq!(listed.matches("\"topic\"").count(), topics, "{listed}");
        // Without -b the command attaches to the one that runs.
        if name == "-INT" {
            shell.ok(&["topics", "create", "kept"], "");
        }
        assert_eq!(signal(&mut broker, name), Some(0));
    }
}

#[test]
fn a_second_one_names_the_first() {
    let shell = Shell::new();
    let first = BrokerProcess::start(shell.data.path(), "127.0.0.1:0");
    let said = shell
        .fails(&["broker", "--listen", "127.0.0.1:0"], "")
        .replace(['\n', '│'], " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("process {}", first.pid())), "{said}");
    assert!(
        said.contains(&format!("use it there with -b {}", first.address)),
        "{said}"
    );
}

#[test]
fn what_stands_in_the_way_is_said() {
    let shell = Shell::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, says) in [
        (address.as_str(), "choose another port"),
        ("0.0.0.0:0", "loopback"),
        ("nonsense", "write it as 127.0.0.1:9092"),
    ] {
        let said = shell.fails(&["broker", "--listen", listen], "");
        assert!(said.contains(says), "{listen}: {said}");
    }
    let file = shell.data.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let said = shell.fails(
        &["--data", file.to_str().unwrap(), "broker", "--listen", "127.0.0.1:0"],
        "",
    );
    assert!(said.contains("--data"), "{said}");
}

#[test]
fn a_command_that_attached_goes_on_when_the_broker_dies() {
    let shell = Shell::new();
    let mut broker = BrokerProcess::start(shell.data.path(), "127.0.0.1:0");
    shell.ok(&["topics", "create", "t"], "");
    shell.ok(&["produce", "t"], "1\n");
    let mut reader = shell.spawn(&["read", "t", "--from", "begin", "--follow", "-o", "raw"]);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    broker.kill();
    // Whichever process gets there first serves now: the reader, or this command until it ends.
    shell.ok(&["produce", "t"], "2\n");
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    shell.ok(&["produce", "t"], "3\n");
    assert_eq!(lines.next().unwrap().unwrap(), "3");
    reader.kill().unwrap();
    reader.wait().unwrap();
}

//! The broker of a data directory changes its process while others read and write: all of them go on.

use std::fs::DirEntry;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, channel};

use super::Shell;
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::{PATIENCE, eventually};

/// A command that goes on until it is killed, with what it prints.
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    fn start(shell: &Shell, args: &[&str]) -> Self {
        let mut child = shell.spawn(args);
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        Self {
            input: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }

    fn reader(shell: &Shell) -> Self {
        Self::start(shell, &["read", "t", "--from", "begin", "--follow", "-o", "raw"])
    }

    fn says(&self, wanted: &str) {
        let line = self.lines.recv_timeout(PATIENCE);
        assert_eq!(line.as_deref(), Ok(wanted));
    }

    fn is_told(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Stops it as Ctrl-Z does. The signal is on its way for a while, and each thread may still take a lock meanwhile.
    fn stop(&self) {
        self.signal("-STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::io::Result<DirEntry>| {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status"));
            status.unwrap_or_default().contains("State:\tT")
        };
        eventually("every thread to stop", || {
            std::fs::read_dir(&threads).unwrap().all(is_stopped).then_some(())
        });
    }

    fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker on a port, and a reader and a writer that are attached to it.
fn attached(shell: &Shell, port: &Port) -> (BrokerProcess, Process, Process) {
    let broker = BrokerProcess::start(shell.data.path(), &port.address());
    shell.ok(&["topics", "create", "t"], "");
    let reader = Process::reader(shell);
    let mut writer = Process::start(shell, &["produce", "t"]);
    writer.is_told("1");
    reader.says("1");
    (broker, reader, writer)
}

#[test]
fn who_comes_after_a_kill_serves_where_the_others_wait() {
    for asleep in [true, false] {
        let (shell, port) = (Shell::new(), Port::hold());
        let (mut broker, reader, mut writer) = attached(&shell, &port);
        // Asleep they cannot take over before the third one does; awake one of the three does.
        if asleep {
            reader.stop();
            writer.stop();
        }
        broker.kill();
        let third = Process::reader(&shell);
        third.says("1");
        let listed = shell.ok(&["-b", &broker.address, "topics", "--json"], "");
        assert!(listed.contains("\"t\""), "{listed}");
        reader.go_on();
        writer.go_on();
        writer.is_told("2");
        reader.says("2");
        third.says("2");
        drop(third);
        writer.is_told("3");
        reader.says("3");
    }
}

#[test]
fn who_is_attached_goes_along_to_another_port() {
    let (shell, port) = (Shell::new(), Port::hold());
    let (mut broker, reader, mut writer) = attached(&shell, &port);
    reader.stop();
    writer.stop();
    broker.kill();
    // It is asked for a port, so that it does not look for the one before.
    let mut elsewhere = BrokerProcess::start(shell.data.path(), "127.0.0.1:0");
    assert_ne!(elsewhere.address, broker.address);
    reader.go_on();
    writer.go_on();
    writer.is_told("2");
    reader.says("2");
    elsewhere.kill();
    writer.is_told("3");
    reader.says("3");
    let listed = shell.ok(&["-b", &elsewhere.address, "topics", "--json"], "");
    assert!(listed.contains("\"t\""), "{listed}");
}

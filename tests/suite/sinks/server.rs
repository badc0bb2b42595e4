//! Servers that a test starts for itself: on loopback, on a port of their own, with a folder that goes with them.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::port::Port;
use crate::common::{eventually, skip};

/// A Redis server; killed when dropped.
pub struct RedisServer {
    child: Option<Child>,
    folder: TempDir,
    /// Its own from before its start until it is dropped, whether it runs or not.
    _held: Port,
    pub port: u16,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts one; `None` where there is none to start, which is said.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            skip("there is no redis-server (apt-get install redis-server)");
            return None;
        }
        let held = Port::hold();
        let mut server = Self {
            child: None,
            folder: tempfile::tempdir().unwrap(),
            port: held.number(),
            _held: held,
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
        };
        server.again();
        Some(server)
    }

    /// Starts it once more, without anything that it had.
    pub fn again(&mut self) {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        eventually("the Redis server to answer", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What its own client says to a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a file holds, for messages.
#[allow(dead_code, reason = "only where a server does not start")]
pub fn log(path: &Path) -> String {
    let mut text = String::new();
    let _ = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

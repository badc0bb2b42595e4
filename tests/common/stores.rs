//! Servers that a test starts for itself: on loopback, on a port of their own, with a folder that goes with them.

use std::fs::File;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::port::Port;
use super::{eventually, skip};

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

/// A PostgreSQL server; killed when dropped.
pub struct PostgresServer {
    child: Option<Child>,
    folder: TempDir,
    /// Its own from before its start until it is dropped, whether it runs or not.
    _held: Port,
    port: u16,
    bin: std::path::PathBuf,
    settings: &'static [&'static str],
}

/// Where the server's programs are: on the path, or where Debian has them.
fn postgres_bin() -> Option<std::path::PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

impl PostgresServer {
    /// Starts one; `None` where there is none to start, which is said.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with settings of its own, each `NAME=VALUE`.
    pub fn start_with(settings: &'static [&'static str]) -> Option<Self> {
        let Some(bin) = postgres_bin() else {
            skip("there is no PostgreSQL server (apt-get install postgresql)");
            return None;
        };
        let held = Port::hold();
        let mut server = Self {
            child: None,
            folder: tempfile::tempdir().unwrap(),
            port: held.number(),
            _held: held,
            bin,
            settings,
        };
        if is_root() {
            // It refuses to be root's.
            let owned = Command::new("chown").arg("nobody").arg(server.folder.path()).status();
            assert!(owned.unwrap().success());
        }
        let data = server.folder.path().join("data");
        let made = server
            .command("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "--no-sync",
                "--locale=C",
                "-E",
                "UTF8",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.again();
        Some(server)
    }

    /// A program of the server, as somebody who is not root.
    fn command(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        // It wants to be able to come back to where it was started, which may be a folder of root's.
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it once more, with what it had.
    pub fn again(&mut self) {
        let told = self.folder.path().join("log");
        self.child = None;
        eventually("the PostgreSQL server to answer", || {
            let ended = match &mut self.child {
                Some(child) => child.try_wait().unwrap().is_some(),
                None => true,
            };
            if ended {
                // One that ended says why where a test that fails is looked into.
                eprint!("{}", std::fs::read_to_string(&told).unwrap_or_default());
                self.child = Some(self.spawn(File::create(&told).unwrap()));
            }
            self.try_psql("SELECT 1").ok()
        });
    }

    fn spawn(&self, told: File) -> Child {
        self.command("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-c",
            ])
            .arg("unix_socket_directories=")
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()
            .unwrap()
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its other processes end with it when it is asked to end at once.
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, options: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres{options}", self.port)
    }

    /// What its own client says, or why it says nothing.
    pub fn try_psql(&self, sql: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-p",
            ])
            .args([&self.port.to_string(), "-c", sql])
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// What its own client says.
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

//! Processes: `foldlog broker` as one of its own, which a test can kill as a power cut would, and a test in one of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::cluster::{Cluster, Kind};

/// A running `foldlog broker`; killed when dropped.
pub struct BrokerProcess {
    child: Child,
    /// `host:port`.
    pub address: String,
}

impl BrokerProcess {
    /// Starts one on `data`; port 0 in `listen` takes a free one. Returns when it says where it listens.
    pub fn start(data: &Path, listen: &str) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_foldlog")), data, listen)
    }

    /// Starts one whose files cannot grow beyond some 250 kilobytes.
    pub fn start_with_small_files(data: &Path, listen: &str) -> Self {
        let mut shell = Command::new("sh");
        // Ignored, so that the write fails and the process is not ended by a signal that only this limit sends.
        let script = "trap '' XFSZ; ulimit -f 500; exec \"$0\" \"$@\"";
        shell.args(["-c", script, env!("CARGO_BIN_EXE_foldlog")]);
        Self::start_as(shell, data, listen)
    }

    fn start_as(mut program: Command, data: &Path, listen: &str) -> Self {
        let mut child = program
            .arg("--data")
            .arg(data)
            .args(["broker", "--listen", listen])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let complaint = std::thread::spawn(move || {
            let mut complaint = String::new();
            let _ = stderr.read_to_string(&mut complaint);
            complaint
        });
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            let read = stdout.read_line(&mut said).expect("stdout can be read");
            if read == 0 {
                let complaint = complaint.join().unwrap_or_default();
                panic!("foldlog broker ended without saying where it listens: {said}{complaint}");
            }
            if let Some(address) = address_in(&said[start..]) {
                break address;
            }
        };
        // Nobody reads on; a pipe without a reader would stop a process that writes.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { child, address }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The broker as a cluster.
    pub fn cluster(&self) -> Cluster {
        Cluster::at(Kind::Embedded, &self.address)
    }

    /// SIGKILL: no destructor, no flush, nothing.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the test of this name in a process of its own, where what it takes of a process, such as open files, is taken from no
/// other test. `true` in that process, whose test goes on.
pub fn alone(test: &str) -> bool {
    const ALONE: &str = "FOLDLOG_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let output = Command::new(program)
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// The `127.0.0.1:PORT` in a line.
fn address_in(line: &str) -> Option<String> {
    let (_, after) = line.split_once("127.0.0.1:")?;
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("127.0.0.1:{port}"))
}

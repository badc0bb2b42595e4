//! Kafka's own Java tools as a second client: what they see of a broker is what a Java service would see.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::cluster::kafka_script;

/// Runs a tool of `tests/kafka/kafka.sh tool` and returns what it printed. `None` where Java or Maven is missing, which has
/// then been said; a tool that fails fails the test with what it said.
pub fn tool(arguments: &[&str], input: &str) -> Option<String> {
    // Once and without the bound of a tool: they may come over a slow network.
    static JARS: OnceLock<Output> = OnceLock::new();
    let fetched = JARS.get_or_init(|| {
        let jars = Command::new(kafka_script()).arg("jars").stdin(Stdio::null()).output();
        jars.expect("tests/kafka/kafka.sh can be run")
    });
    if fetched.status.code() == Some(69) {
        super::skip(String::from_utf8_lossy(&fetched.stderr).trim());
        return None;
    }
    // Bounded from outside: a tool that waits for a broker that never answers would wait for ever.
    let mut child = Command::new("timeout")
        .arg("120")
        .arg(kafka_script())
        .arg("tool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/kafka/kafka.sh can be run");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_owned();
    // Beside the reading of the output, so that neither pipe can fill up and stop the other.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("the tool ends");
    writer.join().expect("the writer does not panic");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    Some(stdout)
}

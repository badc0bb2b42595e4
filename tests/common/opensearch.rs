//! OpenSearch, one node on loopback, as `tests/opensearch/opensearch.sh` brings it up.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::cluster::scratch;
use super::port::Port;
use super::{PATIENCE, skip, within};

/// An OpenSearch server; killed when dropped, and with this process.
pub struct OpenSearchServer {
    child: Option<Child>,
    folder: TempDir,
    /// Its own from before its start until it is dropped, whether it runs or not.
    held: Port,
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opensearch/opensearch.sh"))
}

impl OpenSearchServer {
    /// Starts one; `None` where there is no Java to start it with, which is said.
    pub fn start() -> Option<Self> {
        // Once and without a bound: the jars may come over a slow network.
        static JARS: OnceLock<std::process::Output> = OnceLock::new();
        let fetched = JARS.get_or_init(|| script().arg("jars").stdin(Stdio::null()).output().unwrap());
        let said = String::from_utf8_lossy(&fetched.stderr);
        if fetched.status.code() == Some(69) {
            skip(said.trim());
            return None;
        }
        assert!(fetched.status.success(), "{said}");
        let mut server = Self {
            child: None,
            folder: scratch(),
            held: Port::hold(),
        };
        server.again();
        Some(server)
    }

    /// Starts it once more, with what it had.
    pub fn again(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = script()
            .arg("run")
            .arg(self.folder.path())
            .arg(self.held.number().to_string())
            // Open as long as this process is there.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        within(3 * PATIENCE, "OpenSearch to answer", || {
            let ended = self.child.as_mut()?.try_wait().unwrap();
            let said = || std::fs::read_to_string(self.folder.path().join("log"));
            assert!(ended.is_none(), "OpenSearch ended: {}", said().unwrap());
            self.asked("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", None)
                .filter(|(status, _)| *status == 200)
        });
    }

    /// Ends it without a word to it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("elasticsearch+http://{}", self.held.address())
    }

    fn asked(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.held.address()))
            .header("content-type", "application/json");
        let mut answer = match body {
            Some(body) => agent.run(request.body(body.to_string()).unwrap()).ok()?,
            None => agent.run(request.body(()).unwrap()).ok()?,
        };
        let text = answer.body_mut().read_to_string().ok()?;
        Some((
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::Null),
        ))
    }

    /// What it says to a request that is to succeed.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.asked(method, path, body).expect("OpenSearch answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Every document of an index, in the order of their ids.
    pub fn documents(&self, index: &str) -> Vec<(String, Value)> {
        self.ask("POST", &format!("/{index}/_refresh"), None);
        let found = self.ask("GET", &format!("/{index}/_search?size=10000"), None);
        let hits = found["hits"]["hits"].as_array().unwrap();
        let mut documents: Vec<_> = hits
            .iter()
            .map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone()))
            .collect();
        documents.sort_by(|(a, _), (b, _)| a.cmp(b));
        documents
    }
}

impl Drop for OpenSearchServer {
    fn drop(&mut self) {
        self.kill();
    }
}

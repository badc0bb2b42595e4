//! Requests to Elasticsearch, and what its answers say.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::sink::address::Server;
use crate::sink::error::SinkError;

/// How long a server may take for an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of an answer at most.
const LONGEST: u64 = 256 * 1024 * 1024;

/// A server that is asked.
pub(super) struct Http {
    server: Server,
    base: String,
    agent: Agent,
}

impl Http {
    /// Nothing is asked yet.
    pub(super) fn new(server: Server) -> Self {
        let scheme = if server.tls { "https" } else { "http" };
        let host = if server.host.contains(':') {
            format!("[{}]", server.host)
        } else {
            server.host.clone()
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        Self {
            base: format!("{scheme}://{host}:{}", server.port),
            agent: Agent::config_builder()
                .tls_config(tls)
                .timeout_global(Some(ANSWER))
                .max_redirects(0)
                .max_redirects_will_error(false)
                .http_status_as_error(false)
                .user_agent(concat!("foldlog/", env!("CARGO_PKG_VERSION")))
                .build()
                .into(),
            server,
        }
    }

    /// Asks with a body of a kind, and returns the status with the answer's JSON.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<(u16, Value), SinkError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(login) = self.login() {
            request = request.header("authorization", login);
        }
        let (kind, bytes) = body.unwrap_or(("application/json", b""));
        // Without a length an empty body would be sent in chunks.
        let answer = if body.is_some() || method == "POST" {
            let request = request.header("content-type", kind).body(bytes.to_vec());
            self.agent.run(request.map_err(|error| self.unreachable(&error))?)
        } else {
            self.agent
                .run(request.body(()).map_err(|error| self.unreachable(&error))?)
        };
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(LONGEST)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// The same where a success is expected.
    pub(super) fn expect(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Value, SinkError> {
        match self.ask(method, path, body)? {
            (200..=299, answer) => Ok(answer),
            (status, answer) => Err(self.says(status, &answer)),
        }
    }

    /// What an answer that is no success says.
    pub(super) fn says(&self, status: u16, answer: &Value) -> SinkError {
        let reason = reason_of(&answer["error"]);
        let reason = if reason.is_empty() {
            "no reason given".to_owned()
        } else {
            reason
        };
        let help = match status {
            401 | 403 if answer["error"]["type"] != "cluster_block_exception" => {
                Some("write user and password into the address: elasticsearch+https://USER:PASSWORD@HOST:9200")
            }
            _ => None,
        };
        SinkError::Says {
            store: self.server.to_string(),
            reason: format!("{status}, {reason}"),
            help: help.map(str::to_owned),
        }
    }

    /// That it did not do what it may do some other time.
    pub(super) fn unreachable(&self, reason: &dyn std::fmt::Display) -> SinkError {
        SinkError::Unreachable {
            store: self.server.to_string(),
            reason: reason.to_string(),
        }
    }

    fn login(&self) -> Option<String> {
        let user = self.server.user.as_deref()?;
        let password = self.server.password.as_deref().unwrap_or_default();
        Some(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
    }
}

/// What an error says, with its kind and its cause.
pub(super) fn reason_of(error: &Value) -> String {
    let kind = error["type"].as_str();
    let reason = error["reason"].as_str().or(error.as_str());
    let cause = error["caused_by"]["reason"].as_str();
    let parts: Vec<&str> = [kind, reason, cause].into_iter().flatten().collect();
    parts.join(": ")
}

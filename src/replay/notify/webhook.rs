//! A webhook: one POST for each notice, on a thread of its own.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::readmodel::notice::Notice;
use crate::readmodel::writer::Held;

use super::super::aside::Aside;
use super::super::error::ReplayError;
use super::Said;

/// How long a webhook may take for its answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Where alerts are told. What it holds may be a secret: it is never shown or logged.
#[derive(Clone)]
pub struct Webhook {
    url: String,
    host: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// What is no webhook; the text is not repeated, because it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// The address.
    #[error("the webhook is no address: write `https://HOST/PATH`, or `http://…` where nobody else can listen")]
    Address,
    /// The header.
    #[error("the webhook's header is none: write `Name: value`, such as `Authorization: Bearer …`")]
    Header,
}

impl Webhook {
    /// A webhook at an address, with a header that it wants, as `Name: value`.
    pub fn new(url: &str, header: Option<&str>) -> Result<Self, WebhookError> {
        let uri: Uri = url.trim().parse().map_err(|_| WebhookError::Address)?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri
            .host()
            .filter(|host| known && !host.is_empty())
            .ok_or(WebhookError::Address)?;
        let header = match header {
            None => None,
            Some(text) => Some(parse_header(text).ok_or(WebhookError::Header)?),
        };
        Ok(Self {
            url: url.trim().to_owned(),
            host: host.to_owned(),
            header,
        })
    }

    /// Posts a notice and waits for the answer.
    fn post(&self, agent: &Agent, notice: &Notice) -> Said {
        let mut request = agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("idempotency-key", &notice.id);
        if let Some((name, value)) = &self.header {
            request = request.header(name.clone(), value.clone());
        }
        let host = &self.host;
        match request.send(notice.body.as_str()) {
            Ok(answer) => {
                let code = answer.status().as_u16();
                let wait = answer
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                match code {
                    200..=299 => Said::Taken,
                    // Too early, too many, too slow, or a conflict with the same notice that it works on.
                    408 | 409 | 425 | 429 | 500..=599 => {
                        Said::NotNow(format!("{host} answers {code}"), wait.map(Duration::from_secs))
                    }
                    code => Said::Refused(format!("{host} answers {code}")),
                }
            }
            Err(error) => Said::NotNow(format!("{host} cannot be reached: {}", plain(&error)), None),
        }
    }

    /// Starts its thread. `held` keeps the read model for as long as something may still be sent.
    pub(in crate::replay) fn start(self, held: Held) -> Result<Aside<Notice, Said>, ReplayError> {
        let agent = agent();
        Aside::start("webhook", move |notice| {
            let _held = &held;
            self.post(&agent, &notice)
        })
    }
}

fn parse_header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(ANSWER))
        // A redirect would be followed with a GET, or with what the webhook's own address was to keep from others.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("foldlog/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// What went wrong, without the address.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer in {} s", ANSWER.as_secs()),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Tls(reason) => format!("TLS: {reason}"),
        ureq::Error::NativeTls(error) => format!("TLS: {error}"),
        _ => "it does not speak HTTP as it should".to_owned(),
    }
}

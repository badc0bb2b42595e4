//! How to get to a server, and what is said of its errors.

use std::time::Duration;

use native_tls::TlsConnector;
use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres_native_tls::MakeTlsConnector;

use super::super::address::Server;
use super::super::error::SinkError;

/// How long a server may take to be connected to, or to take in what was sent.
const WAIT: Duration = Duration::from_secs(10);
/// A connection on which nothing is said is asked after this long whether anybody is there, and then again; both sides ask, so that the
/// one that is left notices.
const SILENCE: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(5);
const ASKED: u32 = 3;

/// What the server is told of the same.
pub(super) fn keepalives() -> String {
    format!(
        "SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {}; SET tcp_keepalives_count = {ASKED}",
        SILENCE.as_secs(),
        ASK_AGAIN.as_secs()
    )
}

/// What the address says.
pub(super) fn config(server: &Server) -> Result<(tokio_postgres::Config, MakeTlsConnector), SinkError> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .user(server.user.as_deref().unwrap_or("postgres"))
        .dbname(if server.path.is_empty() {
            "postgres"
        } else {
            &server.path
        })
        .application_name("foldlog")
        .connect_timeout(WAIT)
        .tcp_user_timeout(WAIT)
        .keepalives_idle(SILENCE)
        .keepalives_interval(ASK_AGAIN)
        .keepalives_retries(ASKED);
    if let Some(password) = &server.password {
        config.password(password);
    }
    let mode = server.option("sslmode").unwrap_or("prefer");
    config.ssl_mode(match mode {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        _ => SslMode::Require,
    });
    // As PostgreSQL's own clients do: only `verify-full` asks who the server is.
    let tls = TlsConnector::builder()
        .danger_accept_invalid_certs(mode != "verify-full")
        .build()
        .map_err(|error| SinkError::Unreachable {
            store: server.to_string(),
            reason: format!("TLS: {error}"),
        })?;
    Ok((config, MakeTlsConnector::new(tls)))
}

/// What a server says, or why nothing is heard of it.
pub(super) fn failed(server: &Server, error: &postgres::Error) -> SinkError {
    let store = server.to_string();
    let Some(told) = error.as_db_error() else {
        return SinkError::Unreachable {
            store,
            reason: below(error),
        };
    };
    let help = match *told.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Some("write user and password into the address: postgres://USER:PASSWORD@HOST/DATABASE")
        }
        SqlState::INVALID_CATALOG_NAME => Some("create the database, or name another: postgres://USER@HOST/DATABASE"),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            Some("the user must be allowed to create a schema in the database, or own the one that ?schema=NAME names")
        }
        SqlState::LOCK_NOT_AVAILABLE => {
            Some("somebody reads or changes it in a transaction that does not end: end that, and try again")
        }
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST => Some(
            "the read model has other columns now: drop what depends on its tables, and create it again afterwards",
        ),
        _ => None,
    };
    SinkError::Says {
        store,
        reason: told.message().to_owned(),
        help: help.map(str::to_owned),
    }
}

/// An error's words with those of what caused it.
fn below(error: &postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

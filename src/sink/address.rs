//! Where a store is: a URL. What is secret in it is never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SinkError;

/// The addresses that there are.
pub const FORMS: &str = "write redis://HOST:6379/0, postgres://USER@HOST/DATABASE or elasticsearch+http://HOST:9200 for the rows of a read \
     model, or lake:DIR for the records of its topics as files by date";

/// How long a lake gathers records for a file.
const EVERY: Duration = Duration::from_secs(10);

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Redis, or what speaks its protocol.
    Redis(Server),
    /// PostgreSQL.
    Postgres(Server),
    /// Elasticsearch, or what speaks its `_bulk`.
    Elastic(Server),
    /// Files in a folder.
    Lake(LakeAddress),
}

/// A server on the network.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Who logs in.
    pub(super) user: Option<String>,
    /// With what.
    pub(super) password: Option<String>,
    /// What stands behind the host, without the slash.
    pub path: String,
    /// What stands behind the question mark, in pairs.
    pub options: Vec<(String, String)>,
    shown: String,
}

/// A folder that records are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeAddress {
    /// The folder.
    pub dir: PathBuf,
    /// How long records are gathered for a file.
    pub every: Duration,
    /// What its files are.
    pub format: Format,
}

/// What the files of a lake are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A record as JSON on each line.
    #[default]
    Ndjson,
    /// Columns.
    Parquet,
}

impl Format {
    /// What the names of its files end with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for LakeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lake:{}", self.dir.display())?;
        match self.format {
            Format::Ndjson => Ok(()),
            format => write!(f, "?format={}", format.suffix()),
        }
    }
}

/// Which stores the projections of a cluster feed.
#[derive(Debug, Clone, Default)]
pub struct Feeding {
    /// Those that every projection feeds.
    pub every: Vec<Address>,
    /// Those of single projections, by name.
    pub own: BTreeMap<String, Vec<Address>>,
}

impl Feeding {
    /// The stores that a projection feeds, each once.
    pub fn of(&self, projection: &str) -> Vec<Address> {
        let own = self.own.get(projection).into_iter().flatten();
        each_once(self.every.iter().chain(own)).cloned().collect()
    }
}

/// Each store once, however it is written: two feedings of one store would take it from each other.
pub fn each_once<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> impl Iterator<Item = &'a Address> {
    let mut seen = BTreeSet::new();
    addresses
        .into_iter()
        .filter(move |address| seen.insert(address.place()))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shown).finish()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Address {
    /// The address without what is secret, as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(server) | Self::Postgres(server) | Self::Elastic(server) => server.fmt(f),
            Self::Lake(lake) => lake.fmt(f),
        }
    }
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, SinkError> {
        let text = text.trim();
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| wrong("it does not say which kind of store it is"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "redis" => Server::parse("redis", rest, false, 6379).and_then(redis),
            "rediss" => Server::parse("rediss", rest, true, 6379).and_then(redis),
            "postgres" | "postgresql" => Server::parse("postgres", rest, false, 5432).and_then(postgres),
            "elasticsearch+http" => Server::parse("elasticsearch+http", rest, false, 9200).and_then(elastic),
            "elasticsearch+https" => Server::parse("elasticsearch+https", rest, true, 9200).and_then(elastic),
            "lake" => lake(rest),
            _ => Err(wrong("it begins with none of the words that there are")),
        }
    }

    /// The PostgreSQL database that handlers are to run in, and the schema: that of the address, or `name`.
    pub fn for_handlers(&self, name: &str) -> Result<(Server, String), SinkError> {
        match self {
            Self::Postgres(server) => Ok((server.clone(), server.option("schema").unwrap_or(name).to_owned())),
            _ => Err(SinkError::Says {
                store: self.to_string(),
                reason: "handlers do not run here".to_owned(),
                help: Some("they run in PostgreSQL: --in postgres://USER@HOST/DATABASE; other stores are fed with rows, by --sink".to_owned()),
            }),
        }
    }

    /// What is the same for two spellings of one store, with what they leave to their defaults.
    fn place(&self) -> String {
        let of = |kind: &str, server: &Server, path: &str| {
            let path = if server.path.is_empty() { path } else { &server.path };
            let options = ["prefix", "schema"].map(|name| server.option(name).unwrap_or_default());
            let host = server.host.to_ascii_lowercase();
            format!("{kind}://{host}:{}/{path}?{}", server.port, options.join("&"))
        };
        match self {
            Self::Redis(server) => of("redis", server, "0"),
            Self::Postgres(server) => of("postgres", server, server.user.as_deref().unwrap_or_default()),
            Self::Elastic(server) => of("elasticsearch", server, ""),
            Self::Lake(lake) => lake.to_string(),
        }
    }

    /// Whether it takes a topic's records, and not the rows of a read model.
    pub fn takes_records(&self) -> bool {
        matches!(self, Self::Lake(_))
    }
}

fn wrong(reason: impl Into<String>) -> SinkError {
    SinkError::Address { reason: reason.into() }
}

fn redis(server: Server) -> Result<Address, SinkError> {
    if !server.path.is_empty() && server.path.parse::<u32>().is_err() {
        return Err(wrong("a Redis database is a number, as in redis://HOST:6379/0"));
    }
    server.only(&["prefix"])?;
    Ok(Address::Redis(server))
}

fn postgres(server: Server) -> Result<Address, SinkError> {
    server.only(&["schema", "sslmode"])?;
    if server.option("schema") == Some("") {
        return Err(wrong("?schema= wants a name".to_owned()));
    }
    let modes = ["disable", "prefer", "require", "verify-full"];
    match server.option("sslmode") {
        Some(mode) if !modes.contains(&mode) => Err(wrong(format!("sslmode is one of {}", modes.join(", ")))),
        _ => Ok(Address::Postgres(server)),
    }
}

fn elastic(server: Server) -> Result<Address, SinkError> {
    if !server.path.is_empty() {
        return Err(wrong(
            "it names an index; each table has one of its own, which ?prefix=NAME begins",
        ));
    }
    server.only(&["prefix"])?;
    Ok(Address::Elastic(server))
}

fn lake(rest: &str) -> Result<Address, SinkError> {
    let (dir, query) = rest.split_once('?').unwrap_or((rest, ""));
    if dir.is_empty() {
        return Err(wrong("which folder? write lake:DIR"));
    }
    let mut lake = LakeAddress {
        dir: PathBuf::from(dir.strip_prefix("//").unwrap_or(dir)),
        every: EVERY,
        format: Format::default(),
    };
    for (name, value) in options(query)? {
        match name.as_str() {
            "every" => lake.every = seconds(&value)?,
            "format" => {
                let mut known = [Format::Ndjson, Format::Parquet].into_iter();
                let found = known.find(|format| format.suffix() == value);
                lake.format = found.ok_or_else(|| wrong("the files of a lake are of the format ndjson or parquet"))?;
            }
            other => return Err(wrong(format!("a lake has no option `{}`", other.escape_debug()))),
        }
    }
    Ok(Address::Lake(lake))
}

fn seconds(text: &str) -> Result<Duration, SinkError> {
    let number = text
        .strip_suffix("ms")
        .map(|ms| (ms, 1))
        .or_else(|| text.strip_suffix('s').map(|s| (s, 1000)));
    number
        .and_then(|(number, unit)| Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(unit)?)))
        .filter(|every| !every.is_zero())
        .ok_or_else(|| wrong("`every` is a time such as 10s or 500ms"))
}

impl Server {
    /// Reads `//[user[:password]@]host[:port][/path][?options]`.
    fn parse(scheme: &str, rest: &str, tls: bool, port: u16) -> Result<Self, SinkError> {
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| wrong(format!("write {scheme}://HOST")))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') || query.contains('@') {
            // A piece of a password would be shown as what it is not.
            return Err(wrong(
                "its password has a `/` or a `?`: write %2F and %3F for them; or write %40 for an `@` behind the host",
            ));
        }
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, given) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place
                .rsplit_once(':')
                .map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let port = match given {
            None => port,
            Some(text) => text
                .parse()
                .map_err(|_| wrong("what stands behind the host is no port"))?,
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (some(user)?, some(password)?),
        };
        let options = options(query)?;
        let path = decoded(path)?;
        let mut shown = format!("{scheme}://{place}");
        if !path.is_empty() {
            shown.push_str(&format!("/{path}"));
        }
        // What tells two stores at one address apart is no secret.
        for (name, value) in options
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "prefix" | "schema"))
        {
            shown.push_str(&format!("?{name}={value}"));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            user,
            password,
            path,
            options,
            shown,
        })
    }

    /// The value of an option.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn only(&self, known: &[&str]) -> Result<(), SinkError> {
        match self.options.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(wrong(format!(
                "there is no option `{}`; there are: {}",
                name.escape_debug(),
                known.join(", ")
            ))),
        }
    }
}

fn some(text: &str) -> Result<Option<String>, SinkError> {
    decoded(text).map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn options(query: &str) -> Result<Vec<(String, String)>, SinkError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((name.to_owned(), decoded(value)?))
        })
        .collect()
}

/// Text with `%40` and the like made out.
fn decoded(text: &str) -> Result<String, SinkError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let code = rest.split_at_checked(2).and_then(|(code, after)| {
            rest = after;
            u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()
        });
        bytes.push(code.ok_or_else(|| wrong("a `%` stands before two hex digits; write %25 for the sign itself"))?);
    }
    String::from_utf8(bytes).map_err(|_| wrong("what is escaped in it is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn an_address_is_shown_without_what_is_secret() {
        assert_eq!(shown("redis://me:hunter2@cache:6380/3"), "redis://cache:6380/3");
        assert_eq!(
            shown("redis://:hunt%40r2@[::1]/0?prefix=a:"),
            "redis://[::1]/0?prefix=a:"
        );
        assert_eq!(shown("lake:/data/lake?every=2s&format=ndjson"), "lake:/data/lake");
        assert_eq!(
            shown("lake:/data/lake?format=parquet"),
            "lake:/data/lake?format=parquet"
        );
        assert_eq!(
            shown("postgresql://me:hunter2@db/app?schema=x&sslmode=require"),
            "postgres://db/app?schema=x"
        );
        assert_eq!(
            shown("elasticsearch+https://me:hunter2@search:9200"),
            "elasticsearch+https://search:9200"
        );
        let address = Address::parse("redis://me:hunter2@cache").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
        let Address::Redis(server) = address else {
            panic!("no Redis")
        };
        assert_eq!(
            (server.user.as_deref(), server.password.as_deref()),
            (Some("me"), Some("hunter2"))
        );
        assert_eq!(server.port, 6379);
    }

    #[test]
    fn a_store_is_the_same_however_it_is_written() {
        let once = |texts: &[&str]| {
            let all: Vec<Address> = texts.iter().map(|text| Address::parse(text).unwrap()).collect();
            each_once(&all).count()
        };
        for texts in [
            ["redis://h", "redis://:secret@H:6379/0"],
            ["postgres://me@h", "postgresql://me@h:5432/me"],
            ["elasticsearch+http://h", "elasticsearch+https://h:9200"],
        ] {
            assert_eq!(once(&texts), 1, "{texts:?}");
        }
        for texts in [
            ["redis://h", "redis://h/1"],
            ["redis://h", "redis://h?prefix=a:"],
            ["postgres://h/a?schema=x", "postgres://h/a?schema=y"],
            ["lake:/a", "lake:/b"],
        ] {
            assert_eq!(once(&texts), 2, "{texts:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_said_without_repeating_it() {
        for (text, why) in [
            ("cache:6379", "none of the words"),
            ("redis", "which kind"),
            ("redis:hunter2", "redis://HOST"),
            ("redis://me:hunter2@", "no host"),
            ("redis://me:hunter2@cache:x", "no port"),
            ("redis://me:hunter%zz@cache", "hex digits"),
            ("redis://cache/hunter2", "a number"),
            ("redis://cache?hunter=2", "`hunter`"),
            ("redis://me:1?hunter2@cache", "%3F"),
            ("postgres://me:1/hunter2@db/app", "%2F"),
            ("postgres://me:hunter2@h/db?sslmode=yes", "verify-full"),
            ("elasticsearch+http://me:hunter2@h/index", "each table"),
            ("lake:", "which folder"),
            ("lake:/x?every=soon", "10s"),
            ("lake:/x?evry=1s", "`evry`"),
            ("lake:/x?format=csv", "ndjson or parquet"),
        ] {
            let said = shown(text);
            assert!(said.contains(why), "{text}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

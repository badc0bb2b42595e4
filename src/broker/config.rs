//! The configuration file: the clusters that have a name, and the language.
//!
//! ```toml
//! language = "zh"                   # or "en"; without it the locale's
//!
//! [clusters.staging]
//! bootstrap = "kafka-1:9092,kafka-2:9092"
//! access = "read-only"              # or "production", or "read-write", which is the default
//!
//! [clusters.staging.properties]     # passed to librdkafka as they are
//! security.protocol = "sasl_ssl"
//! sasl.mechanism = "SCRAM-SHA-512"
//! sasl.username = "me"
//! sasl.password = "..."
//!
//! [webhook]                         # where alerts are told
//! url = "https://hooks.example.com/T0"
//! header = "Authorization: Bearer ..."
//!
//! [projections.order_view]          # on every cluster
//! sinks = ["redis://cache:6379/0"]  # what `foldlog follow` feeds
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::error::BrokerError;
use super::profile::{Access, Profile};

/// What the configuration file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    path: PathBuf,
    language: Option<&'static str>,
    clusters: BTreeMap<String, Profile>,
    /// What is fed by projections, by name, and by every projection of a cluster.
    projections: Fed,
    fed: Fed,
    webhook: Option<WebhookConfig>,
}

/// Addresses of stores by the name of who feeds them. They may hold passwords and are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
struct Fed(BTreeMap<String, Vec<String>>);

impl fmt::Debug for Fed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where alerts are told, as the file says it. What it holds may be a secret: it is never shown or logged.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The address.
    pub url: String,
    /// A header that it wants, as `Name: value`.
    pub header: Option<String>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookConfig")
    }
}

/// The name of the embedded broker's cluster, which no other may have: it names a folder of read models.
pub const EMBEDDED: &str = "lab";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    language: Option<FileLanguage>,
    #[serde(default)]
    clusters: BTreeMap<String, Cluster>,
    webhook: Option<WebhookConfig>,
    #[serde(default)]
    projections: BTreeMap<String, Projection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Projection {
    #[serde(default, deserialize_with = "addresses")]
    sinks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cluster {
    bootstrap: String,
    #[serde(default)]
    access: FileAccess,
    #[serde(default)]
    properties: toml::Table,
    #[serde(default, deserialize_with = "addresses")]
    sinks: Vec<String>,
}

/// A list of addresses. What is none is not repeated, as the parser would: it may hold a password.
fn addresses<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let wrong = || D::Error::custom("this is no list of addresses: write [\"redis://HOST:6379/0\"]");
    let toml::Value::Array(list) = toml::Value::deserialize(input)? else {
        return Err(wrong());
    };
    let text = |value: toml::Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    list.into_iter().map(text).collect()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum FileAccess {
    #[default]
    ReadWrite,
    ReadOnly,
    Production,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FileLanguage {
    En,
    Zh,
}

impl Config {
    /// Reads the file; one that is not there names no cluster.
    pub fn read(path: &Path) -> Result<Self, BrokerError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self {
                path: path.to_owned(),
                ..Self::default()
            }),
            Err(error) => Err(BrokerError::ConfigFile {
                path: path.to_owned(),
                reason: format!("cannot be read: {error}"),
            }),
        }
    }

    /// Reads the file's text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, BrokerError> {
        let wrong = |reason: String| BrokerError::ConfigFile {
            path: path.to_owned(),
            reason,
        };
        // The parser's own report shows the line that is wrong, and that line may hold a password: only its words are used.
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| place(text, span.start));
            wrong(format!("{}{}", place.unwrap_or_default(), error.message()))
        })?;
        let mut clusters = BTreeMap::new();
        let mut fed = BTreeMap::new();
        for (name, cluster) in file.clusters {
            check_name(&name).map_err(wrong)?;
            if cluster.bootstrap.trim().is_empty() {
                return Err(wrong(format!("the cluster `{name}` needs `bootstrap = \"HOST:PORT\"`")));
            }
            let mut properties = BTreeMap::new();
            flatten("", cluster.properties, &mut properties)
                .map_err(|reason| wrong(format!("the cluster `{name}`: {reason}")))?;
            let profile = Profile {
                name: name.clone(),
                bootstrap: cluster.bootstrap,
                properties,
                access: match cluster.access {
                    FileAccess::ReadWrite => Access::ReadWrite,
                    FileAccess::ReadOnly => Access::ReadOnly,
                    FileAccess::Production => Access::Production,
                },
            };
            fed.insert(name.clone(), cluster.sinks);
            clusters.insert(name, profile);
        }
        let language = file.language.map(|language| match language {
            FileLanguage::En => "en",
            FileLanguage::Zh => "zh",
        });
        let projections = file.projections.into_iter().map(|(name, each)| (name, each.sinks));
        Ok(Self {
            path: path.to_owned(),
            language,
            clusters,
            webhook: file.webhook,
            projections: Fed(projections.collect()),
            fed: Fed(fed),
        })
    }

    /// The cluster of that name; one that is not there is an error that says which are.
    pub fn cluster(&self, name: &str) -> Result<Profile, BrokerError> {
        self.clusters
            .get(name)
            .cloned()
            .ok_or_else(|| BrokerError::UnknownCluster {
                name: name.to_owned(),
                known: self.clusters.keys().cloned().collect(),
                path: self.path.clone(),
            })
    }

    /// Where alerts are told, if it says so.
    pub fn webhook(&self) -> Option<&WebhookConfig> {
        self.webhook.as_ref()
    }

    /// The language, by its two letters, where the file says one.
    pub fn language(&self) -> Option<&'static str> {
        self.language
    }

    /// The addresses of the stores that every projection feeds when it is followed on a cluster.
    pub fn sinks(&self, cluster: &str) -> &[String] {
        self.fed.0.get(cluster).map_or(&[], Vec::as_slice)
    }

    /// The addresses of the stores that single projections feed, by name.
    pub fn projection_sinks(&self) -> impl Iterator<Item = (&str, &[String])> {
        let each = self.projections.0.iter();
        each.map(|(name, sinks)| (name.as_str(), sinks.as_slice()))
    }

    /// Every cluster, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &Profile> {
        self.clusters.values()
    }
}

/// `line 3, column 5: ` of a place in the text, counted from 1.
fn place(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("line {line}, column {column}: ")
}

fn check_name(name: &str) -> Result<(), String> {
    let good = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !good {
        return Err(format!(
            "`{}` cannot be a cluster's name: it names a folder, so letters, digits, `-`, `_` and `.` only",
            name.escape_debug()
        ));
    }
    if name == EMBEDDED {
        return Err(format!(
            "the name `{EMBEDDED}` is the embedded broker's: choose another one"
        ));
    }
    Ok(())
}

/// TOML reads `sasl.password = "x"` as a table within a table; librdkafka calls the property `sasl.password`.
fn flatten(prefix: &str, table: toml::Table, out: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, out)?,
            toml::Value::String(text) => drop(out.insert(name, text)),
            toml::Value::Integer(number) => drop(out.insert(name, number.to_string())),
            toml::Value::Float(number) => drop(out.insert(name, number.to_string())),
            toml::Value::Boolean(flag) => drop(out.insert(name, flag.to_string())),
            _ => {
                return Err(format!(
                    "the property `{name}` must be a string, a number or true or false"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cluster_with_everything() {
        let config = parse(
            "[clusters.a]\nbootstrap = 'h:1,i:2'\naccess = 'read-only'\n[clusters.a.properties]\nsecurity.protocol = 'ssl'\n\
             'sasl.username' = 'me'\nsocket.timeout.ms = 1000\nenable.ssl.certificate.verification = false\n\
             [clusters.b]\nbootstrap = 'h:1'\n[clusters.c]\nbootstrap = 'h:1'\naccess = 'production'",
        )
        .unwrap();
        let a = config.cluster("a").unwrap();
        assert_eq!(a.access, Access::ReadOnly);
        let properties: Vec<_> = a.properties.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            properties,
            [
                "enable.ssl.certificate.verification=false",
                "sasl.username=me",
                "security.protocol=ssl",
                "socket.timeout.ms=1000"
            ]
        );
        assert_eq!(config.cluster("b").unwrap().access, Access::ReadWrite);
        assert_eq!(config.cluster("c").unwrap().access, Access::Production);
        let error = config.cluster("d").unwrap_err().to_string();
        assert!(
            error.contains("`a`, `b`, `c`") && error.contains("config.toml"),
            "{error}"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_its_line() {
        let error =
            parse("[clusters.a]\nbootstrap = 'h:1'\n[clusters.a.properties]\nsasl.password = 'hunter2\n").unwrap_err();
        assert!(error.contains("config.toml: line 4, column"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = parse("[clusters.a]\nbootstrap = 'h:1'\nacces = 'read-only'").unwrap_err();
        assert!(error.contains("line 3") && error.contains("acces"), "{error}");
        let error = parse("[clusters.a]\nbootstrap = 'h:1'\naccess = 'readonly'").unwrap_err();
        assert!(error.contains("read-only"), "{error}");
        assert!(
            parse("[clusters.a]\naccess = 'read-only'")
                .unwrap_err()
                .contains("bootstrap")
        );
        assert!(
            parse("[clusters.a]\nbootstrap = ' '")
                .unwrap_err()
                .contains("bootstrap")
        );
        assert!(
            parse("[clusters.lab]\nbootstrap = 'h:1'")
                .unwrap_err()
                .contains("embedded")
        );
        assert!(
            parse("[clusters.'../x']\nbootstrap = 'h:1'")
                .unwrap_err()
                .contains("../x")
        );
        assert!(parse("[cluster.a]").unwrap_err().contains("cluster"));
        let array = "[clusters.a]\nbootstrap = 'h:1'\n[clusters.a.properties]\nx = []";
        assert!(parse(array).unwrap_err().contains("`x`"));
    }

    #[test]
    fn a_language_is_one_that_there_is() {
        assert_eq!(parse("language = 'zh'").unwrap().language(), Some("zh"));
        assert_eq!(parse("").unwrap().language(), None);
        let error = parse("language = 'fr'").unwrap_err();
        assert!(error.contains("line 1") && error.contains("zh"), "{error}");
    }

    #[test]
    fn stores_are_fed_by_clusters_and_by_projections() {
        let config = parse(
            "[clusters.a]\nbootstrap = 'h:1'\nsinks = ['redis://a']\n[projections.p]\nsinks = ['redis://b', 'lake:/c']",
        )
        .unwrap();
        assert_eq!(config.sinks("a"), ["redis://a"]);
        assert!(config.sinks(EMBEDDED).is_empty());
        let own: Vec<_> = config.projection_sinks().collect();
        assert_eq!(own, [("p", &["redis://b".to_owned(), "lake:/c".to_owned()][..])]);
        assert!(!format!("{config:?}").contains("redis"));
        let error = parse("[projections.p]\nsinks = 'redis://me:hunter2@b'").unwrap_err();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn no_file_is_no_cluster() {
        let config = Config::read(Path::new("/no/such/config.toml")).unwrap();
        let error = config.cluster("a").unwrap_err().to_string();
        assert!(error.contains("[clusters.NAME]"), "{error}");
    }

    #[test]
    fn a_webhook_is_read_and_never_shown() {
        let config = parse("[webhook]\nurl = 'https://h/T0/hunter2'\nheader = 'Authorization: hunter3'").unwrap();
        let webhook = config.webhook().unwrap();
        assert_eq!(webhook.url, "https://h/T0/hunter2");
        assert_eq!(webhook.header.as_deref(), Some("Authorization: hunter3"));
        assert!(!format!("{config:?}").contains("hunter"));
        assert_eq!(parse("").unwrap().webhook(), None);
        let wrong = parse("[webhook]\nurl = 'https://h/hunter2'\nto = 'hunter3'").unwrap_err();
        assert!(wrong.contains("to") && !wrong.contains("hunter"), "{wrong}");
    }
}

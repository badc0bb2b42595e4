//! The cluster that the tests run against, started once for each test process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use foldlog::broker::client::Client;
use foldlog::broker::embedded::Embedded;
use foldlog::broker::profile::{Access, Profile};
use tempfile::TempDir;

use super::{PATIENCE, raw};

/// Which broker stands behind a [`Cluster`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Foldlog's own.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// The kind that `FOLDLOG_TEST_BROKER` names.
pub fn kind() -> Kind {
    match std::env::var("FOLDLOG_TEST_BROKER").as_deref() {
        Err(_) | Ok("" | "embedded") => Kind::Embedded,
        Ok("kafka") => Kind::Kafka,
        Ok(other) => panic!("FOLDLOG_TEST_BROKER is {other:?}; it can be `embedded` or `kafka`"),
    }
}

/// A running broker and how to reach it. Cheap to clone; an embedded one stops with its last clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Which broker it is.
    pub kind: Kind,
    /// `host:port`.
    pub bootstrap: String,
    embedded: Option<Arc<OwnEmbedded>>,
}

/// An embedded broker with a data directory that goes when it goes.
#[derive(Debug)]
struct OwnEmbedded {
    // Before the folder, so that the broker is stopped when its files are removed.
    broker: Embedded,
    data: TempDir,
}

impl Cluster {
    /// The cluster of this test process, of the kind that `FOLDLOG_TEST_BROKER` names.
    pub fn shared() -> Self {
        match kind() {
            Kind::Embedded => {
                static SHARED: Mutex<Weak<OwnEmbedded>> = Mutex::new(Weak::new());
                // A poisoned lock only means that another test could not start it.
                let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some(running) = shared.upgrade() {
                    return Self::of_embedded(running);
                }
                let fresh = Self::embedded();
                *shared = fresh.embedded.as_ref().map(Arc::downgrade).unwrap_or_default();
                fresh
            }
            Kind::Kafka => Self::kafka(),
        }
    }

    /// An embedded broker for this test alone, whatever the kind of the suite.
    pub fn embedded() -> Self {
        let data = scratch();
        let broker = Embedded::open(data.path(), None).expect("the embedded broker starts");
        Self::of_embedded(Arc::new(OwnEmbedded { broker, data }))
    }

    fn of_embedded(embedded: Arc<OwnEmbedded>) -> Self {
        Self {
            kind: Kind::Embedded,
            bootstrap: embedded.broker.address().to_string(),
            embedded: Some(embedded),
        }
    }

    /// Apache Kafka, whatever the kind of the suite: the one at `FOLDLOG_TEST_BOOTSTRAP`, or one that ends with this process.
    pub fn kafka() -> Self {
        static KAFKA: OnceLock<RealKafka> = OnceLock::new();
        let bootstrap = std::env::var("FOLDLOG_TEST_BOOTSTRAP")
            .unwrap_or_else(|_| KAFKA.get_or_init(RealKafka::start).bootstrap.clone());
        Self {
            kind: Kind::Kafka,
            bootstrap,
            embedded: None,
        }
    }

    /// A cluster that something else runs.
    pub fn at(kind: Kind, bootstrap: &str) -> Self {
        Self {
            kind,
            bootstrap: bootstrap.to_owned(),
            embedded: None,
        }
    }

    /// Whether Foldlog's own broker stands behind it.
    pub fn is_embedded(&self) -> bool {
        self.kind == Kind::Embedded
    }

    /// The data directory of the embedded broker.
    pub fn data(&self) -> Option<&Path> {
        self.embedded.as_ref().map(|own| own.data.path())
    }

    /// Where the embedded broker listens.
    pub fn address(&self) -> SocketAddr {
        self.bootstrap.parse().expect("the bootstrap is one address")
    }

    /// The profile of Foldlog's own client.
    pub fn profile(&self) -> Profile {
        Profile {
            name: "test".to_owned(),
            bootstrap: self.bootstrap.clone(),
            properties: Default::default(),
            access: Access::ReadWrite,
        }
    }

    /// Foldlog's own client, with the patience of a test.
    pub fn client(&self) -> Client {
        self.client_with(&[])
    }

    /// The same with more properties.
    pub fn client_with(&self, properties: &[(&str, &str)]) -> Client {
        let mut profile = self.profile();
        let properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        profile.properties.extend(properties);
        let client = Client::new(profile).expect("the profile is good");
        client.with_deadline(PATIENCE)
    }

    /// A topic of its own for the calling test, with this many partitions.
    pub fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, &[])
    }

    /// A topic of its own for the calling test, with this configuration.
    pub fn topic_with(&self, partitions: i32, config: &[(&str, &str)]) -> String {
        let name = unique("t");
        raw::Admin::new(self)
            .create_topic(&name, partitions, config)
            .expect("the topic is created");
        name
    }
}

/// A name that no other test, process or earlier run on the same cluster has used.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros());
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", ".");
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{test}-{since:x}-{:x}-{number}", std::process::id())
}

/// A folder for one test, below the build folder and removed afterwards.
pub fn scratch() -> TempDir {
    let below = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&below).expect("the build folder can be written to");
    TempDir::new_in(below).expect("the build folder can be written to")
}

/// The script that brings Apache Kafka.
pub fn kafka_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/kafka.sh")
}

/// Apache Kafka for as long as this process lives: the script takes it down when the pipe closes, however this process ends.
struct RealKafka {
    bootstrap: String,
    _script: Mutex<Child>,
}

impl RealKafka {
    fn start() -> Self {
        let mut script = Command::new(kafka_script())
            .arg("run")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("tests/kafka/kafka.sh can be run");
        let mut bootstrap = String::new();
        let stdout = script.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout)
            .read_line(&mut bootstrap)
            .expect("stdout can be read");
        let bootstrap = bootstrap.trim().to_owned();
        assert!(
            !bootstrap.is_empty(),
            "Apache Kafka did not start (tests/kafka/kafka.sh run, {}); its reason is above",
            script
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string()),
        );
        Self {
            bootstrap,
            _script: Mutex::new(script),
        }
    }
}

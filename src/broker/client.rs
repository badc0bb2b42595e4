//! The connection to a cluster, shared by everything that asks it something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::BrokerError;
use super::ffi::{Fault, Kind, Native, Refused};
use super::location::Location;
use super::profile::{Access, Profile};

/// How long a request may take before it counts as unanswered.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// A cluster's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The id that the cluster gave itself; a read model remembers it, so that it is never continued from another cluster's log.
    pub id: String,
    /// `host:port` of every broker.
    pub brokers: Vec<String>,
}

/// A client of one cluster. Cheap to clone; connections are made when first needed.
#[derive(Debug, Clone)]
pub struct Client {
    profile: Arc<Profile>,
    native: Arc<Native>,
    deadline: Duration,
    /// Whether writing to a production cluster was confirmed by its name.
    confirmed: bool,
    /// Whether a broker answered before; shared by the clones, like the connection.
    reached: Arc<AtomicBool>,
    /// Where the broker is, if it is one that may move.
    location: Option<Location>,
}

/// What a handle does, which decides its properties.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// Requests about topics, offsets and groups.
    Admin,
    /// Reading.
    Reader,
    /// Writing.
    Producer,
    /// Reading in a consumer group.
    Member,
}

impl Client {
    /// A client for `profile`. No connection is made yet; a property that librdkafka does not know is an error here.
    pub fn new(profile: Profile) -> Result<Self, BrokerError> {
        let native = native(&profile, Role::Admin, &[])?;
        Ok(Self {
            profile: Arc::new(profile),
            native: Arc::new(native),
            deadline: REQUEST_DEADLINE,
            confirmed: false,
            reached: Arc::new(AtomicBool::new(false)),
            location: None,
        })
    }

    /// The same client for a broker that may move: it follows, and so do its readers and producers from now on.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        location.follow(&self.native);
        self.location = Some(location);
        self
    }

    /// The same client with another deadline for each request; [`REQUEST_DEADLINE`] is the default.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same client, allowed to write to a production cluster because somebody said its name. An error if it has another.
    pub fn confirm(mut self, name: &str) -> Result<Self, BrokerError> {
        if name != self.profile.name {
            return Err(BrokerError::Invalid(format!(
                "the cluster is called `{}`, not `{name}`: nothing was done. Say `--confirm {}` if that is the one you mean",
                self.profile.name, self.profile.name
            )));
        }
        self.confirmed = true;
        Ok(self)
    }

    /// The same client, whose reads see only committed transactions, or all, whatever the profile says.
    #[must_use]
    pub fn reading(&self, committed: bool) -> Self {
        let level = if committed {
            "read_committed"
        } else {
            "read_uncommitted"
        };
        let mut profile = Profile::clone(&self.profile);
        profile
            .properties
            .insert("isolation.level".to_owned(), level.to_owned());
        Self {
            profile: Arc::new(profile),
            ..self.clone()
        }
    }

    /// An error where the profile forbids writing, before anything is begun. `what` is such as `writing records`.
    pub fn check_write(&self, what: &str) -> Result<(), BrokerError> {
        self.allow_write(what)
    }

    /// What the client was made with.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The cluster's id and brokers. An error after the request deadline says that nothing answered at the address.
    pub fn cluster(&self) -> Result<ClusterInfo, BrokerError> {
        let answer = self.ask("asking for the cluster", |native, deadline| {
            native.describe_cluster(deadline)
        })?;
        Ok(ClusterInfo {
            id: answer.id.unwrap_or_default(),
            brokers: answer.brokers,
        })
    }

    /// How long a request may take.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether reads see only committed transactions, as librdkafka does unless the profile says otherwise.
    pub(super) fn reads_committed(&self) -> bool {
        self.profile
            .properties
            .get("isolation.level")
            .is_none_or(|level| level != "read_uncommitted")
    }

    /// A handle of its own for a reader or a producer.
    pub(super) fn handle(&self, role: Role, properties: &[(&str, String)]) -> Result<Arc<Native>, BrokerError> {
        let native = Arc::new(native(&self.profile, role, properties)?);
        if let Some(location) = &self.location {
            location.follow(&native);
        }
        Ok(native)
    }

    /// Refuses what would write where the profile forbids it.
    pub(super) fn allow_write(&self, what: &str) -> Result<(), BrokerError> {
        let cluster = self.profile.name.clone();
        let what = what.to_owned();
        match self.profile.access {
            Access::ReadWrite => Ok(()),
            Access::Production if self.confirmed => Ok(()),
            Access::Production => Err(BrokerError::Unconfirmed { cluster, what }),
            Access::ReadOnly => Err(BrokerError::ReadOnly { cluster, what }),
        }
    }

    /// Asks the cluster something; what is not an answer becomes an error that says why there was none.
    pub(super) fn ask<T>(
        &self,
        what: &str,
        request: impl Fn(&Native, Duration) -> Result<T, Fault>,
    ) -> Result<T, BrokerError> {
        let start = Instant::now();
        self.native.clear_all_down();
        let answer = self
            .reach()
            .and_then(|()| request(&self.native, self.deadline.saturating_sub(start.elapsed())));
        match answer {
            Ok(answer) => {
                self.native.answered();
                Ok(answer)
            }
            Err(fault) => {
                if fault.is_silence() {
                    self.reached.store(false, Ordering::Relaxed);
                }
                Err(self.error(what, &fault, start.elapsed()))
            }
        }
    }

    /// Makes sure that a broker answers, with a request that gives up as soon as it is certain that none will: not every
    /// call of librdkafka does.
    fn reach(&self) -> Result<(), Fault> {
        if !self.reached.load(Ordering::Relaxed) {
            self.native.describe_cluster(self.deadline)?;
            self.reached.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The error for a fault that the shared handle met.
    pub(super) fn error(&self, what: &str, fault: &Fault, waited: Duration) -> BrokerError {
        self.native.serve();
        self.error_of(&self.native, what, fault, waited)
    }

    /// The error for a fault that `native` met: nobody answered, or somebody answered no.
    pub(super) fn error_of(&self, native: &Native, what: &str, fault: &Fault, waited: Duration) -> BrokerError {
        if !fault.is_silence() {
            return BrokerError::Request {
                what: what.to_owned(),
                reason: fault.reason.clone(),
                hint: hint_for_refusal(&fault.reason),
            };
        }
        let reason = match native.trouble() {
            Some(trouble) => plain(&trouble.reason),
            None => format!("no answer while {what}"),
        };
        BrokerError::Unreachable {
            address: self.location.as_ref().map_or_else(
                || self.profile.bootstrap.clone(),
                |location| location.address().to_string(),
            ),
            hint: hint_for_silence(&reason),
            reason,
            waited,
        }
    }
}

/// librdkafka's words for a trouble without what only its authors need: the broker's internal name in front and the
/// state of the connection behind.
pub(super) fn plain(reason: &str) -> String {
    let reason = reason.split_once(": ").map_or(reason, |(name, rest)| {
        // `host:port/bootstrap: ...` or `sasl_ssl://host:port/1: ...`
        if name.contains('/') && !name.contains(' ') {
            rest
        } else {
            reason
        }
    });
    // Its advice is for a large answer; whether this is one, the hint says.
    let end = [" (after ", ": increase receive.message.max.bytes"]
        .iter()
        .filter_map(|behind| reason.find(behind))
        .min()
        .unwrap_or(reason.len());
    reason[..end].trim().to_owned()
}

fn hint_for_silence(reason: &str) -> &'static str {
    let reason = reason.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if let Some(speaker) = stranger(&reason) {
        speaker
    } else if has(&["invalid response size"]) {
        "Raise `receive.message.max.bytes` in the profile's properties"
    } else if has(&["sasl", "authentication", "unsupported mechanism"]) {
        "Check user, password and mechanism in the profile's properties"
    } else if has(&["ssl", "tls", "certificate", "handshake"]) {
        "Check `security.protocol` and the certificates in the profile's properties"
    } else if has(&["resolve", "name or service", "nodename"]) {
        "Check the host name, and that this machine can resolve it"
    } else if has(&["refused"]) {
        "Check the port, and that a broker is running there"
    } else if has(&["disconnected", "apiversion"]) {
        "Something listens there, but it may not be Kafka, or it may want TLS (`security.protocol`)"
    } else {
        "Check the address, and that no firewall stands between"
    }
}

/// What answers where the size of an answer cannot be one: the first bytes of another protocol, which librdkafka takes for a
/// number. A size that only exceeds the limit is no sign of that.
fn stranger(reason: &str) -> Option<&'static str> {
    let (_, rest) = reason.split_once("invalid response size ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(rest.len());
    match rest[..end].parse::<i32>().ok()?.to_be_bytes() {
        // A record of TLS: an alert or a handshake, then the version.
        [0x15 | 0x16, 3, ..] => {
            Some("What answers there speaks TLS: set `security.protocol` in the profile's properties")
        }
        bytes if bytes == *b"HTTP" => Some("What answers there is an HTTP server, not a Kafka broker: check the port"),
        bytes if bytes[0] >= 0x80 || bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')) => {
            Some("What answers there is not a Kafka broker: check the port")
        }
        _ => None,
    }
}

fn hint_for_refusal(reason: &str) -> &'static str {
    let reason = reason.to_lowercase();
    if reason.contains("authoriz") {
        "The user of this profile lacks the right: ask whoever keeps the cluster's ACLs"
    } else if reason.contains("message size too large") || reason.contains("larger than the max") {
        "Raise `max.message.bytes` of the topic"
    } else {
        ""
    }
}

/// A handle for a role: this program's defaults, then the profile's properties, then what must hold whatever they say.
fn native(profile: &Profile, role: Role, properties: &[(&str, String)]) -> Result<Native, BrokerError> {
    let mut defaults: Vec<(&str, &str)> = vec![
        ("client.id", "foldlog"),
        // Both make a broker that comes back be found soon; the default waits up to 10 s.
        ("reconnect.backoff.ms", "50"),
        ("reconnect.backoff.max.ms", "1000"),
        ("socket.nagle.disable", "true"),
    ];
    defaults.extend(properties.iter().map(|(name, value)| (*name, value.as_str())));
    let mut fixed: Vec<(&str, &str)> = vec![
        ("bootstrap.servers", &profile.bootstrap),
        // Looking at a topic that is not there must not create it.
        ("allow.auto.create.topics", "false"),
    ];
    if matches!(role, Role::Reader) {
        fixed.extend([
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Ends are told apart from waiting by these events alone: markers and compacted records leave holes.
            ("enable.partition.eof", "true"),
            // Records that were deleted meanwhile must be an error, never silently left out.
            ("auto.offset.reset", "error"),
        ]);
    }
    if matches!(role, Role::Member) {
        fixed.extend([
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Behind the last record there may be markers of transactions, which only these events tell of.
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
        ]);
    }
    let own = profile
        .properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let all = defaults.into_iter().chain(own).chain(fixed);
    let kind = match role {
        Role::Reader => Kind::Consumer,
        Role::Member => Kind::Member,
        Role::Admin | Role::Producer => Kind::Producer,
    };
    Native::new(kind, all).map_err(|refused| refusal(profile, refused))
}

fn refusal(profile: &Profile, refused: Refused) -> BrokerError {
    let cluster = profile.name.clone();
    let mut reason = refused.reason;
    // Where librdkafka repeats a value that it refuses, a secret must not come out with it.
    if let Some(value) = profile
        .properties
        .get(&refused.property)
        .filter(|_| is_secret(&refused.property))
    {
        reason = reason.replace(value.as_str(), "…");
    }
    if refused.property.is_empty() {
        BrokerError::Properties { cluster, reason }
    } else {
        BrokerError::Property {
            cluster,
            property: refused.property,
            reason,
        }
    }
}

fn is_secret(property: &str) -> bool {
    [
        "password",
        "secret",
        "pem",
        "token",
        "jaas",
        "oauthbearer.config",
        "key",
    ]
    .iter()
    .any(|word| property.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(properties: &[(&str, &str)]) -> Profile {
        Profile {
            name: "test".into(),
            bootstrap: "127.0.0.1:1".into(),
            properties: properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            access: Access::default(),
        }
    }

    #[test]
    fn a_property_that_does_not_exist_is_named() {
        let error = Client::new(profile(&[("no.such.property", "1")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`no.such.property`"), "{error}");
        let error = Client::new(profile(&[("security.protocol", "telepathy")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`security.protocol`"), "{error}");
    }

    #[test]
    fn properties_that_do_not_fit_together_are_an_error_before_any_connection() {
        let error = Client::new(profile(&[
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/no/such/file"),
        ]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("cluster `test`"), "{error}");
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let refused = Refused {
            property: "sasl.password".into(),
            reason: "cannot be hunter2".into(),
        };
        let error = refusal(&profile(&[("sasl.password", "hunter2")]), refused).to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_refused_connection_is_told_within_the_deadline() {
        let client = Client::new(profile(&[])).unwrap();
        let error = client.topics().unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1") && error.contains("refused"), "{error}");
    }

    #[test]
    fn writing_is_refused_or_asked_for_where_the_profile_says_so() {
        let mut profile = profile(&[]);
        profile.access = Access::ReadOnly;
        let client = Client::new(profile.clone()).unwrap();
        assert!(matches!(client.allow_write("x"), Err(BrokerError::ReadOnly { .. })));
        let client = client.confirm("test").unwrap();
        assert!(matches!(client.allow_write("x"), Err(BrokerError::ReadOnly { .. })));
        profile.access = Access::Production;
        let client = Client::new(profile).unwrap();
        assert!(matches!(client.allow_write("x"), Err(BrokerError::Unconfirmed { .. })));
        assert!(client.clone().confirm("tset").is_err());
        assert!(client.confirm("test").unwrap().allow_write("x").is_ok());
    }

    #[test]
    fn what_answers_in_another_protocol_is_told_from_a_large_answer() {
        let hint = |size: i32| {
            hint_for_silence(&format!(
                "Receive failed: Invalid response size {size} (0..100000000): increase receive.message.max.bytes"
            ))
        };
        let http = i32::from_be_bytes(*b"HTTP");
        assert_eq!(http, 1_213_486_160);
        assert!(hint(http).contains("not a Kafka broker"), "{}", hint(http));
        assert!(hint(i32::from_be_bytes(*b"SSH-")).contains("not a Kafka broker"));
        assert!(hint(-1).contains("not a Kafka broker"));
        assert!(hint(i32::from_be_bytes([0x15, 3, 3, 0])).contains("TLS"));
        assert!(hint(100_000_001).contains("receive.message.max.bytes"));
        assert_eq!(
            plain(
                "localhost:80/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase receive.message.max.bytes"
            ),
            "Receive failed: Invalid response size 1213486160 (0..100000000)"
        );
    }

    #[test]
    fn what_only_librdkafkas_authors_need_is_left_out() {
        assert_eq!(
            plain(
                "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
            ),
            "Connect to ipv4#127.0.0.1:1 failed: Connection refused"
        );
        assert_eq!(plain("no colon here"), "no colon here");
        assert_eq!(plain("a reason: with a colon"), "a reason: with a colon");
    }
}

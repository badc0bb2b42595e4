//! The real program in a pseudo-terminal: what a person types, and what a person sees.

use std::path::{Path, PathBuf};

use foldlog::broker::client::Client;
use foldlog::broker::embedded::Embedded;
use foldlog::broker::error::BrokerError;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::topics::NewTopic;
use tempfile::TempDir;

use super::common::cluster::scratch;
use super::common::terminal::Terminal;
use super::common::{PATIENCE, eventually};

pub(super) const ENTER: &str = "\r";
const ESC: &str = "\x1b";
pub(super) const CTRL_U: &str = "\x15";

/// A place of its own: data directory, and a working directory without projection files.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = scratch();
        let place = Self { dir };
        std::fs::create_dir(place.work()).unwrap();
        place
    }

    /// Where the studio is started, and looks for projection files.
    pub(super) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Where the studio looks for `foldlog/config.toml`.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The file of a read model of the embedded broker.
    pub(super) fn build_in_use(&self, name: &str) -> PathBuf {
        let folders = std::fs::read_dir(self.data().join("read-models")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        let builds = files.map(|file| file.unwrap().path()).filter_map(|path| {
            let file = path.file_name()?.to_str()?.strip_prefix(name)?;
            let number: u64 = file.strip_prefix('.')?.strip_suffix(".db")?.parse().ok()?;
            Some((number, path))
        });
        builds.max().unwrap().1
    }

    /// Writes a record to the demo's topic, attached to the broker that the studio runs.
    pub(super) fn produce(&self, value: &[u8]) {
        self.produce_to("account-events", value);
    }

    /// The same to any topic.
    pub(super) fn produce_to(&self, topic: &str, value: &[u8]) {
        self.produce_all(topic, [value]);
    }

    /// Writes records to a topic, one after the other.
    pub(super) fn produce_all(&self, topic: &str, values: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let broker = Embedded::open(&self.data(), None).unwrap();
        assert!(!broker.is_owner());
        let client = Client::new(broker.profile()).unwrap();
        let made = client.create_topic(&NewTopic {
            name: topic.to_owned(),
            ..NewTopic::default()
        });
        assert!(matches!(made, Ok(_) | Err(BrokerError::TopicExists { .. })), "{made:?}");
        let producer = client.producer().unwrap();
        for value in values {
            let record = NewRecord {
                topic,
                value: Some(value.as_ref()),
                ..NewRecord::default()
            };
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// The studio as a shell starts it; what the shell says afterwards tells how the terminal was left.
    pub(super) fn studio(&self, columns: u16, rows: u16) -> Terminal {
        let script = format!(
            "cd {}; {} --data {}; echo ended with $?; stty -a; echo that was all; read wait",
            quoted(&self.work()),
            quoted(Path::new(env!("CARGO_BIN_EXE_foldlog"))),
            quoted(&self.data())
        );
        Terminal::start(
            Path::new("/bin/sh"),
            &["-c", &script],
            &[
                ("LANG", "C"),
                ("RUST_BACKTRACE", "0"),
                ("VISUAL", "f() { echo '{\"type\":\"Noted\"}' > \"$1\"; }; f"),
                ("XDG_CONFIG_HOME", &self.config().display().to_string()),
            ],
            columns,
            rows,
        )
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// Waits for the shell and looks at what the studio left: no alternate screen, no mouse, a cursor, a line discipline.
pub(super) fn assert_put_back(terminal: &mut Terminal, code: &str) {
    terminal.wait_for("that was all");
    terminal.with_screen(|screen| {
        assert!(!screen.alternate_screen());
        assert!(!screen.hide_cursor());
        assert!(!screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    });
    let text = terminal.text();
    assert!(text.contains(&format!("ended with {code}")), "{text}");
    let words: Vec<&str> = text.split([' ', ';', '\n']).collect();
    for mode in ["icanon", "echo", "isig", "opost"] {
        assert!(words.contains(&mode), "{mode} is off: {text}");
    }
}

#[test]
fn from_an_empty_broker_to_a_query_of_ones_own() {
    let place = Place::new();
    let mut t = place.studio(100, 40);
    t.wait_for("State is a fold of the log.").wait_for("run the first demo");
    t.keys("r").wait_for("checks hold");
    t.keys("1").wait_for("account-events").wait_for("Configuration");
    t.keys(ENTER).wait_for("newest first").wait_for("\"accountId\"");
    t.keys("2").wait_for("account_balance").wait_for("applied");
    t.keys("r").wait_for("rebuilt account_balance");
    t.keys(ENTER)
        .wait_for("SELECT * FROM account_balance.")
        .wait_for("ORDER BY");
    t.keys("s")
        .keys(CTRL_U)
        .keys("SELECT 40 + 2 AS answer, count(*) > 0 AS many FROM account_balance.account");
    t.keys(ENTER).wait_for("answer").wait_for("42");
    t.keys("s")
        .keys(CTRL_U)
        .keys("SELECT balnce FROM account_balance.account")
        .keys(ENTER);
    // What was refused stands in the line, to be mended.
    t.wait_for("no such column: balnce");
    t.keys(CTRL_U).keys("SELECT * FROM acount").keys(ENTER);
    t.wait_for("no such table: acount")
        .wait_for("did you mean account_balance.account?");
    t.keys(ESC).wait_for("s sql").keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn an_endless_query_is_stopped_and_its_thread_ends() {
    const ENDLESS: &str = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT count(*) FROM t";
    let place = Place::new();
    let mut t = place.studio(80, 24);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    let studio = child_of(t.pid());
    for leave in ["x", "1"] {
        t.keys("3").wait_for("tables").keys("s").keys(CTRL_U).keys(ENDLESS);
        t.keys(ENTER).wait_for("asking SQLite");
        t.keys(leave).keys("3").wait_for("the query was stopped");
        eventually("the query's thread to end", || {
            let tasks = std::fs::read_dir(format!("/proc/{studio}/task")).unwrap();
            let names = tasks
                .flatten()
                .map(|t| std::fs::read_to_string(t.path().join("comm")).unwrap_or_default());
            (!names.into_iter().any(|name| name.starts_with("job-"))).then_some(())
        });
    }
    t.keys("s")
        .keys(CTRL_U)
        .keys("SELECT 40 + 2")
        .keys(ENTER)
        .wait_for("42");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn what_was_there_is_there_again() {
    let place = Place::new();
    let mut t = place.studio(80, 24);
    t.wait_for("run the first demo")
        .keys("r")
        .wait_for("checks hold")
        .keys("q");
    assert_put_back(&mut t, "0");
    let mut t = place.studio(80, 24);
    t.wait_for("account-events").wait_for("5,004");
    t.keys("3").wait_for("SELECT * FROM");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn records_that_arrive_are_seen() {
    let place = Place::new();
    let mut first = place.studio(100, 30);
    first.wait_for("run the first demo").keys("r").wait_for("checks hold");
    first
        .keys("1")
        .wait_for("next offset")
        .keys(ENTER)
        .wait_for("newest first");
    first.keys("f").wait_for("0 new");
    place.produce(br#"{"type":"Deposited","note":"seen live"}"#);
    first.wait_for("1 new").wait_for("seen live");
    first.keys(" ").wait_for("paused ").wait_for("0 new");
    first.keys("q");
    assert_put_back(&mut first, "0");
}

#[test]
fn a_place_that_is_nowhere_is_refused_with_what_there_is() {
    let place = Place::new();
    let mut t = place.studio(100, 30);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("1").wait_for("next offset").keys(ENTER).wait_for("2,114");
    for (typed, said) in [
        ("99999", "no offset 99,999: the partitions have 0 to 2,114"),
        ("1:99999", "no offset 99,999: partition 1 has 0 to 1,315"),
        ("3:5", "there is no such partition: the topic has 0 to 2"),
        ("2099-01-01", "no record is as new as that"),
    ] {
        t.keys("t").wait_for("go to").keys(typed).keys(ENTER).wait_for(said);
        // Refused by Kafka or on the spot, what was typed is there to be mended.
        assert!(t.text().contains(&format!("go to {typed}")), "{}", t.text());
        t.keys(ESC).wait_gone("go to");
        assert!(t.text().contains("2,114  "), "{typed}: {}", t.text());
        assert!(t.text().contains("newest first"), "{typed}: {}", t.text());
    }
    t.keys("t2:1572")
        .keys(ENTER)
        .wait_for("oldest first")
        .wait_for("offset    1572");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_poison_record_pauses_a_follow_and_is_one_key_away() {
    let place = Place::new();
    let mut t = place.studio(120, 50);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    place.produce(b"\x1b[31mnot json");
    t.keys("2").wait_for("account_balance").wait_for("applied");
    t.keys("f").wait_for("◼ paused").wait_for("Dead letters");
    t.keys("d")
        .wait_for("› dead letters")
        .wait_for("␛[31mnot json")
        .keys(ENTER)
        .wait_for("oldest first")
        .wait_for("␛[31mnot json");
    // What is applied in its place is no event that it knows; the follow that waits goes on.
    t.keys(ESC).wait_for("› dead letters").keys("e").wait_for("apply it as");
    // The editor of this place writes one value, whatever it is opened on.
    t.keys("\x0f").wait_for("{\"type\":\"Noted\"}").keys(ENTER);
    t.wait_for("with the other value")
        .wait_for("edited")
        .wait_for("edit by ");
    t.keys("2").wait_for("● live");
    place.produce(b"not json again");
    t.wait_for("◼ paused");
    t.keys("d")
        .wait_for("not json again")
        .keys("s")
        .wait_for("left out ")
        .wait_for("skip by ");
    t.keys("2")
        .wait_for("● live")
        .keys("x")
        .wait_for("no longer followed")
        .wait_for("applied");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_read_model_that_cannot_be_read_is_said_and_rebuilt_and_hides_no_other() {
    let place = Place::new();
    let mut t = place.studio(120, 40);
    t.wait_for("run the first demo")
        .keys("r")
        .wait_for("checks hold")
        .keys("q");
    assert_put_back(&mut t, "0");
    let file = place.build_in_use("account_balance");
    std::fs::write(&file, [b'?'; 8192]).unwrap();
    for beside in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(file.with_extension(beside));
    }
    let mut t = place.studio(120, 40);
    t.wait_for("account-events");
    t.keys("3").wait_for("audit_trail.movement");
    t.keys("2")
        .wait_for("✗ unreadable")
        .wait_for("r rebuilds it from the log");
    t.keys("r").wait_for("rebuilt account_balance").wait_gone("unreadable");
    t.keys(ENTER).wait_for("account_balance.account");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_broken_projection_file_shows_the_place_and_the_way_to_mend_it() {
    let place = Place::new();
    std::fs::write(
        place.dir.path().join("work/wrong.sql"),
        "-- projection: wrong\n-- topic: t\n-- type: $.type\n\nCREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER);\n\n-- on: *\nINSERT INTO a VALUES (@key, random());\n",
    )
    .unwrap();
    let mut t = place.studio(120, 30);
    t.wait_for("run the first demo");
    t.keys("2").wait_for("wrong.sql").wait_for("random()").wait_for("help:");
    t.keys("r").wait_for("the file must be mended first");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_put_back() {
    let place = Place::new();
    let mut t = place.studio(80, 24);
    t.wait_for("run the first demo");
    let studio = child_of(t.pid());
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &studio.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_put_back(&mut t, "143");
}

#[test]
fn whoever_takes_the_broker_over_is_attached_no_longer() {
    let place = Place::new();
    let broker = Embedded::open(&place.data(), None).unwrap();
    assert!(broker.is_owner());
    let mut t = place.studio(100, 24);
    t.wait_for("run the first demo").wait_for("attached");
    drop(broker);
    t.wait_gone("attached").wait_for("●").keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_panic_ends_it_and_the_terminal_is_put_back() {
    let place = Place::new();
    let mut t = place.studio(80, 60);
    t.wait_for("run the first demo");
    t.keys(":").wait_for("commands").keys("debug panic").keys(ENTER);
    assert_put_back(&mut t, "101");
    assert!(t.text().contains("asked for by the command"), "{}", t.text());
}

#[test]
fn a_broker_that_does_not_answer_is_said_and_asked_again() {
    let place = Place::new();
    let script = format!(
        "{} -b 127.0.0.1:1 --data {}",
        quoted(Path::new(env!("CARGO_BIN_EXE_foldlog"))),
        quoted(&place.data())
    );
    let mut t = Terminal::start(Path::new("/bin/sh"), &["-c", &script], &[], 100, 24);
    t.wait_for("connecting")
        .wait_for("foldlog  127.0.0.1:1 ")
        .wait_for("the cluster does not answer")
        .wait_for("^R tries again");
    t.keys("!")
        .wait_for("esc closes")
        .wait_for("127.0.0.1:1")
        .keys(ESC)
        .wait_gone("esc closes");
    t.keys("4").wait_for("event-sourcing").wait_for("Steps");
    t.keys("q");
    assert!(t.wait_exit().success());
}

#[test]
fn without_a_terminal_it_says_so() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_foldlog"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("needs a terminal"));
}

/// The process that the shell runs.
fn child_of(shell: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

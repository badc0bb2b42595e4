use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Lines of which nothing is lost are no longer than this.
const LONGEST: usize = 10;

/// What happens to a log.
#[derive(Debug, Clone)]
enum Deed {
    /// The service writes so many lines, some longer than they may be.
    Write(u8),
    /// The beginning of a line; what is written next ends it.
    Begin,
    /// The log is renamed and a new one begun. The service may not know at once, and write more into the old one.
    Rename { late: bool },
    /// The log is copied, and cut.
    CopyAndCut { look_between: bool },
    /// The agent looks, sends and remembers.
    Poll,
    /// The agent looks, sends, and is killed before it remembers.
    Crash,
    /// The agent ends and is started again.
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let one = prop_oneof![
        4 => (0..5u8).prop_map(Deed::Write),
        1 => Just(Deed::Begin),
        2 => any::<bool>().prop_map(|late| Deed::Rename { late }),
        2 => any::<bool>().prop_map(|look_between| Deed::CopyAndCut { look_between }),
        3 => Just(Deed::Poll),
        1 => Just(Deed::Crash),
        2 => Just(Deed::Restart),
    ];
    prop::collection::vec(one, 0..40)
}

struct Service {
    folder: TempDir,
    /// Into which file it writes.
    file: File,
    lines: usize,
    /// What it has written, each line once.
    written: BTreeSet<String>,
    begun: bool,
    rotated: usize,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::options()
            .create(true)
            .append(true)
            .open(folder.path().join("app.log"))
            .unwrap();
        Self {
            folder,
            file,
            lines: 0,
            written: BTreeSet::new(),
            begun: false,
            rotated: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    fn write(&mut self, count: u8) {
        for _ in 0..count {
            self.lines += 1;
            let mut line = format!("{:05}{}", self.lines, "x".repeat(self.lines % 9));
            if std::mem::take(&mut self.begun) {
                line.insert(0, '~');
            }
            writeln!(self.file, "{}", line.trim_start_matches('~')).unwrap();
            line.truncate(LONGEST);
            self.written.insert(line);
        }
    }

    fn begin(&mut self) {
        if !self.begun {
            write!(self.file, "~").unwrap();
            self.begun = true;
        }
    }

    fn rename(&mut self, late: bool) {
        self.rotated += 1;
        fs::rename(
            self.path(),
            self.folder.path().join(format!("app.log.{}", self.rotated)),
        )
        .unwrap();
        let new = File::options().create(true).append(true).open(self.path()).unwrap();
        if late {
            self.write(2);
        }
        // The half of a line would be in one file, and the other in the next.
        if self.begun {
            self.write(1);
        }
        self.file = new;
    }

    fn copy(&mut self) {
        if self.begun {
            self.write(1);
        }
        self.rotated += 1;
        fs::copy(
            self.path(),
            self.folder.path().join(format!("app.log.{}", self.rotated)),
        )
        .unwrap();
    }
}

fn tail(service: &Service, pattern: &str) -> Tail {
    let registry = Registry::open(&service.folder.path().join("registry/agent.json")).unwrap();
    Tail::new(vec![service.folder.path().join(pattern)], LONGEST, registry)
}

#[derive(Default)]
struct Topic {
    /// Each id with its line.
    lines: BTreeMap<String, String>,
    again: usize,
}

impl Topic {
    fn take(&mut self, lines: Vec<Line>) {
        for line in lines {
            let text = String::from_utf8(line.bytes).unwrap();
            if let Some(known) = self.lines.insert(line.id, text.clone()) {
                assert_eq!(known, text, "an id is one line's");
                self.again += 1;
            }
        }
    }
}

fn drain(tail: &mut Tail, topic: &mut Topic) {
    loop {
        let lines = tail.poll().unwrap();
        if lines.is_empty() {
            return;
        }
        topic.take(lines);
        tail.commit().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is written, rotated, cut and restarted: each full line is sent once, and after a crash again under the same id.
    #[test]
    fn each_full_line_is_sent_once(deeds in deeds(), all in any::<bool>()) {
        let pattern = if all { "app.log*" } else { "app.log" };
        let mut service = Service::new();
        let mut agent = Some(tail(&service, pattern));
        let mut topic = Topic::default();
        let mut crashed = false;
        for deed in deeds {
            let running = agent.as_mut().unwrap();
            // A rotated file that no pattern means is found only by who has seen it before.
            if !all && matches!(deed, Deed::Rename { .. } | Deed::CopyAndCut { .. }) {
                if service.begun {
                    service.write(1);
                }
                drain(running, &mut topic);
            }
            match deed {
                Deed::Write(count) => service.write(count),
                Deed::Begin => service.begin(),
                Deed::Rename { late } => service.rename(late),
                Deed::CopyAndCut { look_between } => {
                    service.copy();
                    if look_between {
                        topic.take(running.poll().unwrap());
                        running.commit().unwrap();
                    }
                    service.file.set_len(0).unwrap();
                }
                Deed::Poll => {
                    topic.take(running.poll().unwrap());
                    running.commit().unwrap();
                }
                Deed::Crash => {
                    topic.take(running.poll().unwrap());
                    crashed = true;
                    drop(agent.take());
                    agent = Some(tail(&service, pattern));
                }
                Deed::Restart => {
                    drop(agent.take());
                    agent = Some(tail(&service, pattern));
                }
            }
        }
        if service.begun {
            service.write(1);
        }
        drain(agent.as_mut().unwrap(), &mut topic);
        let sent: Vec<&String> = topic.lines.values().collect();
        let once: BTreeSet<&String> = sent.iter().copied().collect();
        prop_assert_eq!(sent.len(), once.len(), "two ids for one line: {:?}", topic.lines);
        prop_assert_eq!(once, service.written.iter().collect::<BTreeSet<_>>());
        prop_assert!(crashed || topic.again == 0);
    }
}

/// What was written between the agent's last look and the cut is in the copy, whichever files the pattern means.
#[test]
fn what_was_not_read_before_a_cut_is_read_from_the_copy() {
    for pattern in ["app.log", "app.log*"] {
        let mut service = Service::new();
        let mut agent = tail(&service, pattern);
        let mut topic = Topic::default();
        service.write(3);
        drain(&mut agent, &mut topic);
        service.write(4);
        service.copy();
        service.file.set_len(0).unwrap();
        service.write(2);
        drain(&mut agent, &mut topic);
        assert_eq!(topic.lines.len(), 9, "{pattern}");
        assert!(
            agent.notices().contains(&Notice::Truncated(service.path())),
            "{pattern}"
        );
    }
}

#[test]
fn a_deleted_file_is_read_to_its_end() {
    let mut service = Service::new();
    let mut agent = tail(&service, "*.log");
    let mut topic = Topic::default();
    service.write(1);
    drain(&mut agent, &mut topic);
    fs::remove_file(service.path()).unwrap();
    service.write(2);
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 3);
    for _ in 0..=LINGERS {
        assert!(agent.poll().unwrap().is_empty());
    }
    // Its room on the disk is free again, and the registry has forgotten it.
    assert_eq!(agent.files(), 0);
    agent.poll().unwrap();
    assert!(agent.registry.entries.is_empty());
}

/// Two services of one folder whose logs begin alike.
#[test]
fn a_short_file_that_begins_as_another_is_read_after_a_while() {
    let service = Service::new();
    fs::write(service.path(), "started\n").unwrap();
    let other = service.folder.path().join("other.log");
    fs::write(&other, "started\n").unwrap();
    let mut agent = tail(&service, "*.log");
    let mut topic = Topic::default();
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 1);
    assert!(agent.notices().contains(&Notice::Copy(other.clone(), service.path())));
    for _ in 0..=PRESUMED {
        topic.take(agent.poll().unwrap());
        agent.commit().unwrap();
    }
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 2);
    assert!(agent.notices().contains(&Notice::Found(other.clone())));
    // Whoever does not wait reads it at once; a long one is a copy.
    let long = "x".repeat(LONGEST - 1) + "\n";
    for name in ["a.log", "b.log"] {
        fs::write(service.folder.path().join(name), long.repeat(200)).unwrap();
    }
    drop(agent);
    let third = service.folder.path().join("third.log");
    fs::write(&third, "started\n").unwrap();
    let mut agent = tail(&service, "*.log");
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 202);
    assert!(agent.read_presumed_copies());
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 203);
    assert!(!agent.read_presumed_copies());
}

/// A large copy that lies beside its original is compared once, and then where it grows.
#[test]
fn a_copy_is_not_read_again_and_again() {
    let mut service = Service::new();
    service.write(200);
    let mut agent = tail(&service, "app.log*");
    let mut topic = Topic::default();
    drain(&mut agent, &mut topic);
    service.copy();
    drain(&mut agent, &mut topic);
    let copy = agent
        .registry
        .entries
        .iter()
        .find(|entry| entry.copy_of.is_some())
        .unwrap()
        .clone();
    // Another text of the same length and time is not looked at, so nothing of it was read.
    let path = service.folder.path().join("app.log.1");
    let meta = fs::metadata(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"other", 0).unwrap();
    file.set_modified(meta.modified().unwrap()).unwrap();
    drain(&mut agent, &mut topic);
    assert!(agent.registry.entries.contains(&copy));
    // What comes behind is.
    file.write_all_at(b"more\n", meta.len()).unwrap();
    drain(&mut agent, &mut topic);
    assert!(agent.registry.entries.iter().all(|entry| entry.copy_of.is_none()));
}

#[test]
fn a_file_with_another_device_or_inode_goes_on_where_it_was() {
    let mut service = Service::new();
    service.write(200);
    let mut agent = tail(&service, "*.log");
    let mut topic = Topic::default();
    drain(&mut agent, &mut topic);
    drop(agent);
    // As after a restart of the machine, and as from a backup.
    let mut agent = tail(&service, "*.log");
    agent.registry.entries[0].device += 1;
    drain(&mut agent, &mut topic);
    agent.registry.entries[0].inode += 1;
    agent.open.clear();
    service.write(3);
    drain(&mut agent, &mut topic);
    assert_eq!((topic.lines.len(), topic.again), (203, 0));
    assert_eq!(
        topic.lines.values().collect::<BTreeSet<_>>(),
        service.written.iter().collect()
    );
}

#[test]
fn a_link_is_no_other_file_and_changes_nothing() {
    let mut service = Service::new();
    service.write(1);
    std::os::unix::fs::symlink("app.log", service.folder.path().join("latest.log")).unwrap();
    fs::hard_link(service.path(), service.folder.path().join("zero.log")).unwrap();
    let mut agent = tail(&service, "*.log");
    let mut topic = Topic::default();
    drain(&mut agent, &mut topic);
    let before = agent.registry.entries.clone();
    assert_eq!((before.len(), topic.lines.len()), (1, 1));
    agent.poll().unwrap();
    assert!(!agent.changed && agent.registry.entries == before && before[0].path == service.path());
    // Nothing was written for it: the registry that was taken away does not come back.
    let registry = service.folder.path().join("registry/agent.json");
    fs::remove_file(&registry).unwrap();
    agent.poll().unwrap();
    assert!(!registry.exists());
}

#[test]
fn a_pattern_without_a_file_is_known() {
    let service = Service::new();
    let mut agent = tail(&service, "nothing*");
    agent.poll().unwrap();
    assert_eq!(agent.unmatched(), [service.folder.path().join("nothing*")]);
}

#[test]
fn compressed_files_are_left_alone_and_said_once() {
    let mut service = Service::new();
    let gz = service.folder.path().join("app.log.1.gz");
    fs::write(&gz, "no lines\n").unwrap();
    service.write(1);
    let mut agent = tail(&service, "app.log*");
    let mut topic = Topic::default();
    drain(&mut agent, &mut topic);
    assert_eq!(topic.lines.len(), 1);
    let said = agent
        .notices()
        .into_iter()
        .filter(|notice| *notice == Notice::Compressed(gz.clone()));
    assert_eq!(said.count(), 1);
}

#[test]
fn two_agents_do_not_share_a_registry() {
    let service = Service::new();
    let _first = tail(&service, "*.log");
    let second = Registry::open(&service.folder.path().join("registry/agent.json"));
    assert!(matches!(second, Err(AgentError::Locked { .. })));
}

#[test]
fn a_registry_that_is_none_is_said_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.json");
    fs::write(&path, "{\"next\":").unwrap();
    assert!(matches!(Registry::open(&path), Err(AgentError::Registry { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"next\":");
}

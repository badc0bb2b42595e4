//! Change capture: the rows of a SQLite database, and then every change of them, as records in the form in which Debezium writes them.
//!
//! First every row is read at one moment (`op` is `r`), then the changes after that moment: none is left out, none is there twice. What
//! was handed on is written down once the broker has acknowledged it, so a capture that is killed in between hands on the last changes
//! once more when it starts again: at least once, in order, as Debezium does.

mod envelope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::{NewRecord, Producer};
use crate::broker::topics::NewTopic;
use crate::readmodel::capture::hold::hold;
use crate::readmodel::capture::{Called, Op, RowChange, Source, SourceTable};
use crate::record::Timestamp;

use super::error::ReplayError;
use super::outage::{is_outage, pause};
use super::task::{Control, Task};
use super::watch::Watch;
use envelope::{Envelope, Part};

/// How many changes are handed on at a time.
const BATCH: usize = 1_000;
/// How soon is looked again for changes: a database file tells nobody that it was written.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the broker may take to acknowledge everything.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// How often a wait for that looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// What is captured, and how it is written.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// The name of the capture: topics are called `PREFIX.DATABASE.TABLE`, and every event says it.
    pub prefix: String,
    /// The database's name in topics and events; the file's where it is not given.
    pub database: Option<String>,
    /// One topic for all tables, instead of one for each.
    pub topic: Option<String>,
    /// The tables; all where none is named.
    pub tables: Vec<String>,
    /// Whether each key and value carries its schema.
    pub schemas: bool,
    /// How many partitions a topic gets that is not there yet; `None` for the cluster's default.
    pub partitions: Option<i32>,
    /// Whether it ends when nothing is left to hand on.
    pub once: bool,
    /// Times that do not depend on the clock: that of the first row, and a second more for each change.
    pub clock: Option<Timestamp>,
    /// What it has done so far, and what kills it.
    pub watch: Arc<Watch>,
}

/// What a capture did until it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The tables.
    pub tables: Vec<String>,
    /// Rows that were there first.
    pub rows: u64,
    /// Changes since.
    pub changes: u64,
    /// Records that were written, tombstones among them.
    pub records: u64,
    /// Changes that could not be written, because their table was gone by then, or had another name.
    pub passed_over: u64,
}

/// Captures the database at `path` until it is cancelled. It waits while the broker is away, or while somebody else writes to the
/// database for long; one that is to end by itself does not.
pub fn capture(client: Client, path: PathBuf, options: CaptureOptions) -> Task<Captured> {
    Task::start("capture", move |control| {
        client.check_write("capturing changes")?;
        let _held = hold(&path)?;
        let name = format!("`{}` on the cluster {}", options.prefix, client.cluster()?.id);
        // With one topic for all a key says its table.
        let called: Option<Called> = options.topic.is_none().then_some(in_topic);
        let source = Source::open_as(&path, &options.tables, &name, called)?;
        let mut capture = Capture {
            envelope: Envelope {
                prefix: options.prefix.clone(),
                database: options.database.clone().unwrap_or_else(|| name_of(&path)),
                together: options.topic.is_some(),
                schemas: options.schemas,
            },
            producer: client.producer()?,
            client,
            options,
            ready: BTreeSet::new(),
            done: Captured::default(),
        };
        capture.run(source, control)?;
        Ok(capture.done)
    })
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

struct Capture {
    client: Client,
    producer: Producer,
    options: CaptureOptions,
    envelope: Envelope,
    /// Topics that are there.
    ready: BTreeSet<String>,
    done: Captured,
}

impl Capture {
    fn run(&mut self, mut source: Source, control: &mut Control) -> Result<(), ReplayError> {
        let mut waits = false;
        loop {
            match self.round(&mut source, control, &mut waits) {
                Err(error) if is_passing(&error) && !self.options.once => {
                    // Once for each outage: it may last for days.
                    if !std::mem::replace(&mut waits, true) {
                        control.meter.notice(format!("the capture waits: {error}"));
                    }
                    if pause(control)? || self.is_over(control) {
                        return Ok(());
                    }
                    // One that has failed takes nothing more.
                    self.producer = self.client.producer()?;
                }
                ended => return ended,
            }
        }
    }

    /// Hands on what there is until it is cancelled or something fails, from what is written down as handed on.
    fn round(&mut self, source: &mut Source, control: &mut Control, waits: &mut bool) -> Result<(), ReplayError> {
        tell(source, control);
        self.make_topics(source.tables())?;
        let mut position = match source.position()? {
            Some(position) => position,
            None => match self.snapshot(source, control)? {
                Some(position) => position,
                None => return Ok(()),
            },
        };
        loop {
            if self.is_over(control) {
                return Ok(());
            }
            if source.refresh()? {
                self.make_topics(source.tables())?;
            }
            tell(source, control);
            let changes = source.changes(position, BATCH)?;
            let Some(last) = changes.last() else {
                if self.options.once {
                    return Ok(());
                }
                thread::sleep(AGAIN);
                continue;
            };
            self.pass_on(&changes, source, control)?;
            if !self.flush(control)? {
                return Ok(());
            }
            position = last.number;
            source.handed_on(position)?;
            *waits = false;
            self.done.changes += changes.len() as u64;
        }
    }

    fn pass_on(&mut self, changes: &[RowChange], source: &Source, control: &mut Control) -> Result<(), ReplayError> {
        let mut passed_over: BTreeMap<&str, u64> = BTreeMap::new();
        for change in changes {
            let part = if change.op == Op::Read {
                Part::Incremental
            } else {
                Part::None
            };
            match source.table(&change.table).filter(|table| !table.key.is_empty()) {
                Some(table) => self.write(change, table, part)?,
                // Nobody can tell its key any more.
                None => *passed_over.entry(&change.table).or_default() += 1,
            }
        }
        for (table, count) in passed_over {
            self.done.passed_over += count;
            control.meter.notice(format!(
                "{count} of the changes of {table} cannot be written: the table is gone, or has another name"
            ));
        }
        Ok(())
    }

    /// Waits until the broker has everything; `false` where it was cancelled before, so that nobody knows.
    fn flush(&self, control: &Control) -> Result<bool, ReplayError> {
        let began = Instant::now();
        loop {
            match self.producer.flush(LOOK) {
                Ok(_) => return Ok(!self.options.watch.is_killed()),
                Err(BrokerError::NotAcknowledged { .. }) if began.elapsed() < ACKNOWLEDGED => {
                    if self.is_over(control) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_over(&self, control: &Control) -> bool {
        control.cancel.is_cancelled() || self.options.watch.is_killed()
    }

    /// Hands on every row as it is now; `None` where it was killed before that was written down. One that is ended in the middle begins
    /// anew.
    fn snapshot(&mut self, source: &mut Source, control: &Control) -> Result<Option<i64>, ReplayError> {
        let tables = source.tables().to_vec();
        // What a row says of its place depends on the row after it.
        let mut held: Option<(RowChange, bool)> = None;
        let (mut rows, mut failed) = (0, None);
        let position = source.rows(&mut |row| {
            let begins = held.as_ref().is_none_or(|(before, _)| before.table != row.table);
            rows += 1;
            if let Some((before, began)) = held.replace((row, begins)) {
                let part = match (rows == 2, began, begins) {
                    (true, _, _) => Part::First,
                    (_, true, _) => Part::FirstOfTable,
                    (_, _, true) => Part::LastOfTable,
                    _ => Part::Row,
                };
                let table = tables.iter().find(|table| table.name == before.table);
                failed = table.and_then(|table| self.write(&before, table, part).err());
            }
            failed.is_none() && !self.is_over(control)
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if self.is_over(control) {
            return Err(ReplayError::Cancelled);
        }
        if let Some((last, _)) = held
            && let Some(table) = tables.iter().find(|table| table.name == last.table)
        {
            self.write(&last, table, Part::Last)?;
        }
        if !self.flush(control)? {
            let killed = self.options.watch.is_killed();
            return if killed { Ok(None) } else { Err(ReplayError::Cancelled) };
        }
        source.handed_on(position)?;
        self.done.rows = rows;
        Ok(Some(position))
    }

    fn write(&mut self, change: &RowChange, table: &SourceTable, part: Part) -> Result<(), ReplayError> {
        let timed;
        let change = match self.options.clock {
            None => change,
            Some(first) => {
                timed = RowChange {
                    at: Timestamp(first.0 + change.number * 1_000),
                    ..change.clone()
                };
                &timed
            }
        };
        let now = self.options.clock.map_or_else(Timestamp::now, |_| change.at);
        let written = self.envelope.records(change, table, part, now);
        let records = written.map_err(|error| ReplayError::Crashed(format!("a captured row is no JSON: {error}")))?;
        let topic = self.topic_of(table);
        self.make_topic(&topic)?;
        for record in records {
            self.producer.send(NewRecord {
                topic: &topic,
                partition: None,
                key: Some(&record.key),
                value: record.value.as_deref(),
                timestamp: Some(now),
                headers: &record.headers,
            })?;
            self.done.records += 1;
            self.options.watch.wrote(1);
        }
        Ok(())
    }

    fn topic_of(&self, table: &SourceTable) -> String {
        let own = || in_topic(&self.envelope.name_of(table));
        self.options.topic.clone().unwrap_or_else(own)
    }

    fn make_topics(&mut self, tables: &[SourceTable]) -> Result<(), ReplayError> {
        self.done.tables = tables.iter().map(|table| table.name.clone()).collect();
        tables
            .iter()
            .try_for_each(|table| self.make_topic(&self.topic_of(table)))
    }

    fn make_topic(&mut self, name: &str) -> Result<(), ReplayError> {
        if self.ready.contains(name) {
            return Ok(());
        }
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: self.options.partitions,
            ..NewTopic::default()
        };
        match self.client.create_topic(&topic) {
            Ok(()) | Err(BrokerError::TopicExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.ready.insert(name.to_owned());
        Ok(())
    }
}

/// What stands for a name in that of a topic: an underscore for each character that a topic's cannot have, as Debezium has it.
fn in_topic(name: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(fits).collect()
}

fn tell(source: &mut Source, control: &mut Control) {
    for notice in source.notices() {
        control.meter.notice(notice);
    }
}

/// Whether waiting helps: the broker is away, or somebody writes to the database for longer than one waits for a lock.
fn is_passing(error: &ReplayError) -> bool {
    match error {
        ReplayError::Broker(error) => is_outage(error),
        ReplayError::ReadModel(error) => error.is_busy(),
        _ => false,
    }
}

//! Whether something holds, and what was seen.

use std::collections::BTreeSet;

use crate::broker::error::BrokerError;
use crate::broker::groups::GroupDetail;
use crate::projection::parse::parse;
use crate::readmodel::alert::Alert;
use crate::readmodel::capture::waiting;
use crate::readmodel::compare::{Side, compare};
use crate::readmodel::query::{Cell, Session};
use crate::record::{Position, TopicPartition};
use crate::replay::rebuild::{RebuildOptions, rebuild};
use crate::replay::verify::{VerifyOptions, verify};

use super::connector;
use super::error::DemoError;
use super::scene::Scene;
use super::script::{Condition, Expected};
use super::snapshot::PartState;
use super::steps::{LOG, LOG_FILE};

/// The most rows of an answer that is only said.
const SHOWN: usize = 20;

/// What a condition came to: whether it holds, and what was seen, which a check says either way.
pub(super) struct Seen {
    pub(super) holds: bool,
    pub(super) found: String,
    /// What was expected, where it is another.
    pub(super) wanted: String,
}

impl Seen {
    pub(super) fn compare(found: String, wanted: String) -> Self {
        Self {
            holds: found == wanted,
            found,
            wanted,
        }
    }
}

impl Scene {
    /// Looks whether a condition holds now.
    pub(super) fn look(&self, condition: &Condition) -> Result<Seen, DemoError> {
        match condition {
            Condition::Sql { sql, expect } => self.query(sql, expect),
            Condition::Records { topic, records } => self.records(topic, *records),
            Condition::Kept { topic, at_most } => self.kept(topic, *at_most),
            Condition::Group {
                group,
                lag,
                members,
                split,
            } => self.group(group, *lag, *members, split.as_deref()),
            Condition::Part { part, state } => Ok(self.part(part, *state)),
            Condition::CaughtUp(parts) => self.caught_up(parts),
            Condition::Verified { read_model, rows } => self.verified(read_model, *rows),
            Condition::Mirrored { mirror, differ } => self.mirrored(mirror, *differ),
            Condition::Latency { part, under_ms } => Ok(self.latency(part, *under_ms)),
            Condition::Replica {
                source,
                read_model,
                rows,
            } => self.replica(source, read_model, *rows),
            Condition::Alerts {
                read_model,
                name,
                open,
                raised,
            } => self.alerts(read_model, name.as_deref(), *open, *raised),
            Condition::InLake { sink, records } => self.in_lake(sink, *records),
            Condition::InStep { sink, rows } => self.in_step(sink, *rows),
        }
    }

    fn query(&self, sql: &str, expect: &[Vec<Expected>]) -> Result<Seen, DemoError> {
        if asks_log(sql) {
            self.build_log()?;
        }
        let found = Session::open(&self.store)?.query(sql, expect.len() + 1)?;
        let equal = |row: &Vec<Cell>, wanted: &Vec<Expected>| {
            row.len() == wanted.len() && row.iter().zip(wanted).all(|(cell, wanted)| equal(cell, wanted))
        };
        let holds =
            found.rows.len() == expect.len() && found.rows.iter().zip(expect).all(|(row, wanted)| equal(row, wanted));
        let shown: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let wanted: Vec<Vec<String>> = expect.iter().map(|row| row.iter().map(wanted_cell).collect()).collect();
        Ok(Seen {
            holds,
            found: rows(&shown),
            wanted: rows(&wanted),
        })
    }

    /// What a query returns: a single row with the names of its columns.
    pub(super) fn answer(&self, sql: &str) -> Result<String, DemoError> {
        if asks_log(sql) {
            self.build_log()?;
        }
        let found = Session::open(&self.store)?.query(sql, SHOWN)?;
        let shown: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        if let [row] = &shown[..] {
            let named = found.columns.iter().zip(row);
            let named: Vec<String> = named.map(|(name, value)| format!("{name} {value}")).collect();
            return Ok(named.join(", "));
        }
        Ok(rows(&shown))
    }

    /// Folds every record of the demo's topics into a read model of its own, so that SQL can be asked of the log itself.
    fn build_log(&self) -> Result<(), DemoError> {
        let topics: String = self
            .demo
            .topics
            .iter()
            .map(|topic| format!("-- topic: {}\n", topic.name))
            .collect();
        let name = format!("substr(@topic, {})", self.demo.prefix.chars().count() + 1);
        let values = format!("({name}, @partition, @offset, @timestamp, @key, @value)");
        let text = format!(
            "-- projection: {LOG}\n{topics}\n\
             CREATE TABLE record (topic TEXT, partition INTEGER, \"offset\" INTEGER, timestamp INTEGER, key, value, \
             PRIMARY KEY (topic, partition, \"offset\")) WITHOUT ROWID;\n\n\
             -- on: *\nINSERT INTO record VALUES {values};\n\n-- on: tombstone\nINSERT INTO record VALUES {values};\n"
        );
        let projection = parse(&text, LOG_FILE)?;
        let options = RebuildOptions {
            // What is no JSON is in the dead letters, where its reason is.
            skip_poison: true,
            ..RebuildOptions::default()
        };
        let built = rebuild(self.client.clone(), self.store.clone(), projection, options).wait_unless(&self.cancel);
        self.check_cancelled()?;
        built?;
        Ok(())
    }

    fn records(&self, topic: &str, records: u64) -> Result<Seen, DemoError> {
        Ok(Seen::compare(self.count(topic)?.to_string(), records.to_string()))
    }

    fn kept(&self, topic: &str, at_most: u64) -> Result<Seen, DemoError> {
        let kept = self.count(topic)?;
        Ok(Seen {
            holds: kept <= at_most,
            found: self.say(&format!("{kept} records"), &format!("{kept} 条记录")),
            wanted: self.say(&format!("at most {at_most}"), &format!("最多 {at_most} 条")),
        })
    }

    /// How many records a topic really holds: they are read, because offsets count the markers of transactions, too, and say
    /// nothing of what compaction removed.
    fn count(&self, topic: &str) -> Result<u64, DemoError> {
        let mut kept = 0;
        self.each_record(&self.demo.topic(topic), &mut |_| {
            kept += 1;
            Ok(())
        })?;
        Ok(kept)
    }

    fn group(
        &self,
        group: &str,
        lag: Option<i64>,
        members: Option<usize>,
        split: Option<&[usize]>,
    ) -> Result<Seen, DemoError> {
        let detail = match self.client.group(&self.demo.topic(group)) {
            Ok(detail) => detail,
            Err(BrokerError::UnknownGroup { .. }) => {
                return Ok(Seen {
                    holds: false,
                    found: self.say("no such group yet", "还没有这个消费者组"),
                    wanted: group.to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        let mut wanted = Vec::new();
        if let Some(members) = members {
            found.push(self.members_word(detail.members.len()));
            wanted.push(self.members_word(members));
        }
        if let Some(split) = split {
            let mut shares: Vec<usize> = detail.members.iter().map(|member| member.assignment.len()).collect();
            shares.sort_unstable_by(|a, b| b.cmp(a));
            found.push(self.split_word(&shares));
            wanted.push(self.split_word(split));
        }
        if let Some(lag) = lag {
            found.push(self.lag_word(left(&detail)));
            wanted.push(self.lag_word(lag));
        }
        let comma = self.say(", ", "，");
        Ok(Seen::compare(found.join(&comma), wanted.join(&comma)))
    }

    fn members_word(&self, count: usize) -> String {
        self.say(&format!("{count} members"), &format!("{count} 个成员"))
    }

    fn split_word(&self, shares: &[usize]) -> String {
        let shares: Vec<String> = shares.iter().map(usize::to_string).collect();
        let shares = shares.join(" + ");
        self.say(&format!("{shares} partitions"), &format!("分区 {shares}"))
    }

    fn lag_word(&self, lag: i64) -> String {
        self.say(&format!("lag {lag}"), &format!("滞后 {lag}"))
    }

    fn part(&self, part: &str, state: PartState) -> Seen {
        let (found, reason) = self.board.state(part);
        let slow = found == PartState::Running && self.board.with(part, |running| running.pace.is_some()) == Some(true);
        let found = if slow { PartState::Slow } else { found };
        let why = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        Seen {
            holds: found == state,
            found: format!("{}{why}", found.said(self.language)),
            wanted: state.said(self.language).to_owned(),
        }
    }

    /// Whether groups are at the end of their topics, and what they published can be read. One that has failed or stands before a
    /// poison record never will be.
    pub(super) fn caught_up(&self, parts: &[String]) -> Result<Seen, DemoError> {
        let parts = if parts.is_empty() {
            let failed = self.board.failed();
            self.board.active().into_iter().chain(failed).collect()
        } else {
            parts.to_vec()
        };
        let topics = self.around(&parts);
        let written = self.ends(&topics, false)?;
        let mut behind = self.behind(&parts, &written)?;
        // Another may have published since for one that was looked at; and what a transaction wrote can only be read once its
        // markers are there, which is a moment after its end.
        if behind.is_empty() && self.ends(&topics, true)? != written {
            behind.push(self.say("more is on its way", "还有记录在路上"));
        }
        let caught_up = self.say("caught up", "已追上");
        Ok(Seen {
            holds: behind.is_empty(),
            found: if behind.is_empty() {
                caught_up.clone()
            } else {
                behind.join(", ")
            },
            wanted: caught_up,
        })
    }

    /// The topics that these read and write.
    fn around(&self, parts: &[String]) -> BTreeSet<&str> {
        let processors = self.demo.processors.iter().filter(|known| parts.contains(&known.name));
        let named = processors.flat_map(|known| {
            let written = known.projection.emits.iter().map(|emit| emit.topic.as_str());
            known.projection.topics.iter().map(String::as_str).chain(written)
        });
        named.collect()
    }

    /// Where topics end: for readers of committed records, or for all.
    fn ends(&self, topics: &BTreeSet<&str>, committed: bool) -> Result<Position, DemoError> {
        let client = self.client.reading(committed);
        let infos = topics.iter().map(|topic| client.topic(topic));
        let infos = infos.collect::<Result<Vec<_>, _>>()?;
        let mut ends = Position::new();
        for (topic, marks) in client.watermarks_of(&infos)? {
            for mark in marks? {
                ends.set(TopicPartition::new(topic.as_str(), mark.partition), mark.high);
            }
        }
        Ok(ends)
    }

    /// Which of these have something left to read up to these ends, or to publish, and how much.
    fn behind(&self, parts: &[String], ends: &Position) -> Result<Vec<String>, DemoError> {
        let mut behind = Vec::new();
        // What is captured comes before all that is read.
        if let Some((source, reason)) = self.board.failed_source() {
            behind.push(format!("{source} {}: {reason}", PartState::Failed.said(self.language)));
        }
        for (agent, waiting) in self.board.tailing()? {
            if waiting > 0 {
                let said = self.say(&format!("{waiting} to send"), &format!("待发送 {waiting}"));
                behind.push(format!("{agent} {said}"));
            }
        }
        for (capture, path) in self.board.capturing() {
            let waiting = waiting(&path)?;
            if waiting != Some(0) {
                let waiting = waiting.map_or_else(|| "?".to_owned(), |waiting| waiting.to_string());
                let said = self.say(&format!("{waiting} to capture"), &format!("待捕获 {waiting}"));
                behind.push(format!("{capture} {said}"));
            }
        }
        for part in parts {
            let (state, reason) = self.board.state(part);
            if !matches!(state, PartState::Running | PartState::Slow) {
                let why = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                behind.push(format!("{part} {}{why}", state.said(self.language)));
                continue;
            }
            if !self.board.is_live(part) {
                behind.push(self.say(&format!("{part} begins"), &format!("{part} 正在启动")));
                continue;
            }
            let lag = self.lag(part, ends)?;
            if lag != Some(0) {
                let lag = lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
                behind.push(format!(
                    "{part} {}",
                    self.say(&format!("lag {lag}"), &format!("滞后 {lag}"))
                ));
                continue;
            }
            let waiting = self.unpublished(part)?;
            if waiting > 0 {
                let said = self.say(&format!("{waiting} to publish"), &format!("待发布 {waiting}"));
                behind.push(format!("{part} {said}"));
            }
        }
        Ok(behind)
    }

    /// How many records a processor has emitted that are not published yet.
    fn unpublished(&self, part: &str) -> Result<u64, DemoError> {
        let Some(processor) = self.demo.processors.iter().find(|known| known.name == *part) else {
            return Ok(0);
        };
        let info = self.store.find(&processor.projection.name)?;
        Ok(info.and_then(|info| info.emitted).map_or(0, |emitted| emitted.waiting))
    }

    /// How far a processor's group is from these ends of its topics; `None` where it did not commit every partition yet.
    fn lag(&self, part: &str, ends: &Position) -> Result<Option<i64>, DemoError> {
        let Some(processor) = self.demo.processors.iter().find(|known| known.name == *part) else {
            return Ok(None);
        };
        let detail = match self.client.group(&processor.group) {
            Ok(detail) => detail,
            Err(BrokerError::UnknownGroup { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut lag = 0;
        let topics = &processor.projection.topics;
        for (at, end) in ends
            .iter()
            .filter(|(at, _)| topics.iter().any(|topic| **topic == *at.topic))
        {
            let mut offsets = detail.offsets.iter();
            let entry = offsets.find(|known| *known.topic == *at.topic && known.partition == at.partition);
            let Some(committed) = entry.and_then(|entry| entry.committed) else {
                return Ok(None);
            };
            lag += (end - committed).max(0);
        }
        Ok(Some(lag))
    }

    /// Whether a mirror is as its source is. A second cluster that cannot be reached differs in a way that nobody knows.
    fn mirrored(&self, mirror: &str, wanted: u64) -> Result<Seen, DemoError> {
        let word = |count: u64| self.say(&format!("{count} records differ"), &format!("{count} 条记录不同"));
        let found = match self.board.mirrors.compare(mirror, &|| self.cancel.is_cancelled()) {
            Ok(found) => found,
            Err(DemoError::Replay(error)) if self.board.mirrors.state(mirror).is_some() => {
                return Ok(Seen {
                    holds: false,
                    found: error.to_string(),
                    wanted: word(wanted),
                });
            }
            Err(error) => return Err(error),
        };
        let equal = found.equal;
        let mut said = word(found.unequal());
        said += &self.say(&format!(", {equal} are equal"), &format!("，{equal} 条相同"));
        if let Some(first) = &found.first
            && found.unequal() != wanted
        {
            said = format!("{said}: {first}");
        }
        Ok(Seen {
            holds: found.unequal() == wanted,
            found: said,
            wanted: word(wanted),
        })
    }

    /// The rows in which a read model is not what its source database has.
    fn replica(&self, source: &str, read_model: &str, wanted: u64) -> Result<Seen, DemoError> {
        let source = Side::database(&connector::path(&self.store, &self.demo.id, source))?;
        let tally = compare(&source, &Side::in_use(&self.store, read_model)?, &mut |_| true)?;
        let word = |rows: u64| self.say(&format!("{rows} rows differ"), &format!("{rows} 行不同"));
        let (same, shapes) = (tally.same, tally.shapes);
        let found = match shapes {
            0 => word(tally.rows()),
            _ => {
                let more = self.say(
                    &format!("{shapes} tables or columns differ"),
                    &format!("{shapes} 个表或列不同"),
                );
                format!("{}, {more}", word(tally.rows()))
            }
        };
        let alike = self.say(&format!("{same} are alike"), &format!("{same} 行相同"));
        Ok(Seen {
            holds: shapes == 0 && tally.rows() == wanted,
            found: format!("{found}, {alike}"),
            wanted: word(wanted),
        })
    }

    fn alerts(
        &self,
        read_model: &str,
        name: Option<&str>,
        open: Option<u64>,
        raised: Option<u64>,
    ) -> Result<Seen, DemoError> {
        let all = match self.store.find(read_model)? {
            Some(_) => self.store.alerts(read_model, true, usize::MAX)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let of = |alert: &&Alert| name.is_none_or(|name| alert.name == name);
        let ever = all.iter().filter(of).count();
        let now = all.iter().filter(of).filter(|alert| alert.resolved.is_none()).count();
        let words = |open: Option<u64>, raised: Option<u64>| {
            let open = open.map(|open| self.say(&format!("{open} open"), &format!("未解除 {open}")));
            let raised = raised.map(|raised| self.say(&format!("{raised} raised"), &format!("触发 {raised}")));
            open.into_iter()
                .chain(raised)
                .collect::<Vec<_>>()
                .join(&self.say(", ", "，"))
        };
        let found = words(open.map(|_| now as u64), raised.map(|_| ever as u64));
        Ok(Seen::compare(found, words(open, raised)))
    }

    fn verified(&self, read_model: &str, wanted: u64) -> Result<Seen, DemoError> {
        let options = VerifyOptions::default();
        let task = verify(self.client.clone(), self.store.clone(), read_model.to_owned(), options);
        let verified = task.wait_unless(&self.cancel);
        self.check_cancelled()?;
        let found = verified?.tally.rows();
        let word = |rows: u64| self.say(&format!("{rows} rows differ"), &format!("{rows} 行不同"));
        Ok(Seen::compare(word(found), word(wanted)))
    }
}

/// What a group has left to read. A partition of which it committed nothing counts whole.
fn left(detail: &GroupDetail) -> i64 {
    detail.offsets.iter().map(|at| at.lag.or(at.end).unwrap_or(0)).sum()
}

/// Whether a query names the read model of the log itself.
pub(super) fn asks_log(sql: &str) -> bool {
    let words: BTreeSet<&str> = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
        .collect();
    let table = format!("{LOG}.record");
    words.contains(table.as_str())
}

fn equal(cell: &Cell, expected: &Expected) -> bool {
    match (cell, expected) {
        (Cell::Integer(found), Expected::Integer(wanted)) => found == wanted,
        (Cell::Real(found), Expected::Real(wanted)) => found == wanted,
        (Cell::Text(found), Expected::Text(wanted)) => found == wanted,
        _ => false,
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(value) => value.clone(),
        Cell::Blob(value) => format!("{} bytes", value.len()),
    }
}

fn wanted_cell(expected: &Expected) -> String {
    match expected {
        Expected::Integer(value) => value.to_string(),
        Expected::Real(value) => format!("{value:?}"),
        Expected::Text(value) => value.clone(),
    }
}

/// Rows on one line: cells with spaces between them, rows with semicolons.
fn rows(rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "no row".to_owned();
    }
    let line = rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join("; ");
    crate::decode::printable::one_line(line.as_bytes(), 200).text
}

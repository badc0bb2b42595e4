//! What a lesson's steps do and what they check, as `demo.toml` says it.

use std::time::Duration;

use jiff::Timestamp as Time;
use serde::Deserialize;
use toml::Spanned;

use crate::record::Timestamp;

use super::snapshot::PartState;
use super::text::Text;

/// How long a wait may take unless it says so itself.
const WITHIN: Duration = Duration::from_secs(300);

/// A step as it is written: what to look at, what is done, and what must hold then.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) title: Text,
    #[serde(default)]
    pub(super) text: Text,
    #[serde(default)]
    pub(super) actions: Vec<Spanned<Action>>,
    #[serde(default)]
    pub(super) checks: Vec<Spanned<Question>>,
}

/// Something that a step does. Every fault has its way back among them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// Write the next events.
    Produce(Produce),
    /// Start a processor that was stopped, killed, or paused on poison.
    Start(String),
    /// Stop a processor: it commits, and leaves its group.
    Stop(String),
    /// Kill a processor: it commits nothing more, and its group misses it when its session is over.
    Kill(String),
    /// Let a processor apply only so many records a second.
    Slow(Slow),
    /// Let a processor be as fast as it can again.
    Fast(String),
    /// Keep what a processor emits in its outbox: rows are committed, nothing is published.
    Hold(String),
    /// Let a processor publish again.
    Release(String),
    /// Let the store of a processor take nothing more, as on a disk that is full.
    FillDisk(String),
    /// Make room again, and start the processor if that had ended it.
    FreeDisk(String),
    /// Start a processor that goes on past poison records and lists them.
    Skip(String),
    /// Let a processor have another number of members.
    Members(Members),
    /// Write a record that no handler can apply.
    Poison(Poison),
    /// Write the last records of a topic once more.
    Duplicate(Duplicate),
    /// Hold the next events back until later ones were written.
    Delay(Delay),
    /// Turn the order of the next events around.
    Reorder(Reorder),
    /// Give a topic more partitions.
    Partitions(Partitions),
    /// Fold the log into a read model anew.
    Rebuild(String),
    /// Delete a read model.
    Delete(String),
    /// Put another projection file in the place of one, and rebuild its read model from it.
    Use(Use),
    /// Cut the link to a mirror's cluster.
    Cut(String),
    /// Mend the link to a mirror's cluster.
    Join(String),
    /// Write events one at a time and measure how long each takes to be in every read model.
    Measure(Measure),
    /// Stop the broker, where it is ours.
    Lose(Broker),
    /// Start the broker again.
    BringBack(Broker),
    /// Rename the log file that an agent follows, so that the next line begins a new one.
    Rotate(String),
    /// Change the rows or the tables of a source database.
    Change(Change),
    /// Write what a lake has in its files, and has not been loaded before, into the topic for it.
    Load(String),
    /// Wait until something holds.
    Wait(Box<Question>),
    /// Say what a query returns, where a run may come to another answer than the one before: what was measured.
    Show(Show),
}

/// How much is written: all that is left unless something is said.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Produce {
    /// So many events.
    pub(super) records: Option<usize>,
    /// Events before this moment of theirs.
    pub(super) until: Option<Moment>,
    /// Events of this service alone.
    pub(super) service: Option<String>,
    /// Each only when the broker has acknowledged the one before; how long that took is said.
    #[serde(default, rename = "one-by-one")]
    pub(super) one_by_one: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slow {
    pub(super) part: String,
    /// Records a second.
    pub(super) rate: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    pub(super) part: String,
    pub(super) count: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Poison {
    pub(super) topic: String,
    pub(super) key: Option<String>,
    /// Its value; half a JSON object where nothing is said.
    #[serde(default = "half")]
    pub(super) value: String,
}

pub(super) fn half() -> String {
    "{\"type\":".to_owned()
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Duplicate {
    pub(super) topic: String,
    pub(super) records: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delay {
    pub(super) records: usize,
    /// How many events are written before them.
    pub(super) by: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reorder {
    pub(super) records: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partitions {
    pub(super) topic: String,
    pub(super) count: usize,
}

/// A query whose answer is said and not asserted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Show {
    pub(super) title: Text,
    pub(super) sql: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measure {
    /// The processor that stands at the end, for which it is noted.
    pub(super) part: String,
    /// How many events.
    pub(super) records: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Use {
    pub(super) file: String,
    /// Whether records that cannot be applied are listed and left out; else they end it.
    #[serde(default)]
    pub(super) skip: bool,
}

/// Statements, all or none of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) database: String,
    pub(super) sql: String,
}

/// The one thing that can be lost and brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Broker {
    Broker,
}

/// A moment as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Moment(pub(super) Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time: Time = text
            .parse()
            .map_err(|_| format!("`{text}` is not a time; write it as `2024-03-01T09:00:00Z`"))?;
        Ok(Self(Timestamp(time.as_millisecond())))
    }
}

/// A check, or what is waited for, as it is written: one of several forms, which [`Question::condition`] tells apart.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Question {
    #[serde(default)]
    pub(super) title: Text,
    sql: Option<String>,
    expect: Option<Vec<Vec<Expected>>>,
    topic: Option<String>,
    records: Option<u64>,
    at_most: Option<u64>,
    group: Option<String>,
    lag: Option<i64>,
    members: Option<usize>,
    split: Option<Vec<usize>>,
    part: Option<String>,
    state: Option<PartState>,
    caught_up: Option<Vec<String>>,
    verify: Option<String>,
    source: Option<String>,
    replica: Option<String>,
    sink: Option<String>,
    rows: Option<u64>,
    mirror: Option<String>,
    differ: Option<u64>,
    latency: Option<String>,
    under_ms: Option<u64>,
    alerts: Option<String>,
    alert: Option<String>,
    open: Option<u64>,
    raised: Option<u64>,
    /// How long it is waited for, in seconds.
    within: Option<u64>,
}

/// A value that a check expects in a cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Expected {
    Integer(i64),
    Real(f64),
    Text(String),
}

/// Something that holds or does not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// A query over read models, and over `log.record`, returns these rows.
    Sql { sql: String, expect: Vec<Vec<Expected>> },
    /// A topic has so many offsets: what compaction removed counts.
    Records { topic: String, records: u64 },
    /// A topic holds so many records at most, counted by reading them.
    Kept { topic: String, at_most: u64 },
    /// A group is so far behind, has so many members, whose partitions are so many each, most first.
    Group {
        group: String,
        lag: Option<i64>,
        members: Option<usize>,
        split: Option<Vec<usize>>,
    },
    /// A processor is in this state.
    Part { part: String, state: PartState },
    /// The groups of these processors, or of all that run, are at the end of their topics.
    CaughtUp(Vec<String>),
    /// A read model differs from a replay of its log in so many rows.
    Verified { read_model: String, rows: u64 },
    /// A mirror differs from its source in so many records.
    Mirrored { mirror: String, differ: u64 },
    /// Half of the events that were measured took a processor less than so many milliseconds.
    Latency { part: String, under_ms: u64 },
    /// A read model differs from the source database of which it is the replica in so many rows.
    Replica {
        source: String,
        read_model: String,
        rows: u64,
    },
    /// A read model's alerts, all or those of one name: how many are open, how many were ever raised.
    Alerts {
        read_model: String,
        name: Option<String>,
        open: Option<u64>,
        raised: Option<u64>,
    },
    /// A lake has so many records in its files.
    InLake { sink: String, records: u64 },
    /// A store outside differs from the read model that feeds it in so many rows.
    InStep { sink: String, rows: u64 },
}

/// How a check or a wait is written.
pub(super) const FORMS: &str = "one of: `sql` with `expect`; `topic` with `records` or `at-most`; `group` with `lag`, `members` or `split`; \
     `part` with `state`; `caught-up = [\"part\"]`, or `[]` for all; `verify` with `rows`; `mirror` with `differ`; \
     `latency` with `under-ms`; `source` with `replica` and `rows`; \
     `alerts` with `open` or `raised`, and `alert` for those of one name; \
     `sink` with `records` in its files, or `rows` that differ";

impl Question {
    /// Which of the forms it is; `None` where it is none of them.
    pub(super) fn condition(&self) -> Option<Condition> {
        let question = self.clone();
        let forms = [
            question.sql.is_some(),
            question.topic.is_some(),
            question.group.is_some(),
            question.part.is_some(),
            question.caught_up.is_some(),
            question.verify.is_some(),
            question.mirror.is_some(),
            question.latency.is_some(),
            question.source.is_some(),
            question.alerts.is_some(),
            question.sink.is_some(),
        ];
        if forms.into_iter().filter(|form| *form).count() != 1 {
            return None;
        }
        let strays = self.strays();
        match question {
            Question {
                sql: Some(sql),
                expect: Some(expect),
                ..
            } if strays == 1 => Some(Condition::Sql { sql, expect }),
            Question {
                topic: Some(topic),
                records: Some(records),
                ..
            } if strays == 1 => Some(Condition::Records { topic, records }),
            Question {
                topic: Some(topic),
                at_most: Some(at_most),
                ..
            } if strays == 1 => Some(Condition::Kept { topic, at_most }),
            Question {
                group: Some(group),
                lag,
                members,
                split,
                ..
            } if strays > 0
                && strays
                    == [lag.is_some(), members.is_some(), split.is_some()]
                        .iter()
                        .filter(|is| **is)
                        .count() =>
            {
                Some(Condition::Group {
                    group,
                    lag,
                    members,
                    split,
                })
            }
            Question {
                part: Some(part),
                state: Some(state),
                ..
            } if strays == 1 => Some(Condition::Part { part, state }),
            Question {
                caught_up: Some(parts), ..
            } if strays == 0 => Some(Condition::CaughtUp(parts)),
            Question {
                verify: Some(read_model),
                rows: Some(rows),
                ..
            } if strays == 1 => Some(Condition::Verified { read_model, rows }),
            Question {
                mirror: Some(mirror),
                differ: Some(differ),
                ..
            } if strays == 1 => Some(Condition::Mirrored { mirror, differ }),
            Question {
                latency: Some(part),
                under_ms: Some(under_ms),
                ..
            } if strays == 1 => Some(Condition::Latency { part, under_ms }),
            Question {
                source: Some(source),
                replica: Some(read_model),
                rows: Some(rows),
                ..
            } if strays == 2 => Some(Condition::Replica {
                source,
                read_model,
                rows,
            }),
            Question {
                alerts: Some(read_model),
                alert: name,
                open,
                raised,
                ..
            } if (open.is_some() || raised.is_some())
                && strays
                    == [name.is_some(), open.is_some(), raised.is_some()]
                        .iter()
                        .filter(|is| **is)
                        .count() =>
            {
                Some(Condition::Alerts {
                    read_model,
                    name,
                    open,
                    raised,
                })
            }
            Question {
                sink: Some(sink),
                records: Some(records),
                ..
            } if strays == 1 => Some(Condition::InLake { sink, records }),
            Question {
                sink: Some(sink),
                rows: Some(rows),
                ..
            } if strays == 1 => Some(Condition::InStep { sink, rows }),
            _ => None,
        }
    }

    /// How many fields it has that say what is expected.
    fn strays(&self) -> usize {
        let said = [
            self.expect.is_some(),
            self.records.is_some(),
            self.at_most.is_some(),
            self.lag.is_some(),
            self.members.is_some(),
            self.split.is_some(),
            self.state.is_some(),
            self.rows.is_some(),
            self.differ.is_some(),
            self.under_ms.is_some(),
            self.replica.is_some(),
            self.alert.is_some(),
            self.open.is_some(),
            self.raised.is_some(),
        ];
        said.into_iter().filter(|is| *is).count()
    }

    /// How long it is waited for.
    pub(super) fn within(&self) -> Duration {
        self.within.map_or(WITHIN, Duration::from_secs)
    }

    /// Whether a limit is said, which only a wait has.
    pub(super) fn is_limited(&self) -> bool {
        self.within.is_some()
    }
}

impl Action {
    /// Which processor it is about.
    pub(super) fn part(&self) -> Option<&str> {
        match self {
            Self::Start(part)
            | Self::Stop(part)
            | Self::Kill(part)
            | Self::Fast(part)
            | Self::Hold(part)
            | Self::Release(part)
            | Self::Skip(part)
            | Self::FillDisk(part)
            | Self::FreeDisk(part)
            | Self::Slow(Slow { part, .. })
            | Self::Measure(Measure { part, .. })
            | Self::Members(Members { part, .. }) => Some(part),
            _ => None,
        }
    }

    /// Which topic it is about.
    pub(super) fn topic(&self) -> Option<&str> {
        match self {
            Self::Poison(Poison { topic, .. })
            | Self::Duplicate(Duplicate { topic, .. })
            | Self::Partitions(Partitions { topic, .. }) => Some(topic),
            _ => None,
        }
    }

    /// Which read model it is about.
    pub(super) fn read_model(&self) -> Option<&str> {
        match self {
            Self::Rebuild(name) | Self::Delete(name) => Some(name),
            _ => None,
        }
    }

    /// What it does, in a few words.
    pub(super) fn title(&self) -> Text {
        let (en, zh) = match self {
            Self::Produce(produce) => match (&produce.service, produce.records) {
                (Some(service), Some(records)) => (
                    format!("write {} of {service}", counted(records, "event")),
                    format!("写入 {service} 的 {records} 个事件"),
                ),
                (None, Some(records)) => (
                    format!("write {}", counted(records, "event")),
                    format!("写入 {records} 个事件"),
                ),
                (Some(service), None) => (
                    format!("write the events of {service}"),
                    format!("写入 {service} 的事件"),
                ),
                (None, None) => ("write the events".to_owned(), "写入事件".to_owned()),
            },
            Self::Start(part) => (format!("start {part}"), format!("启动 {part}")),
            Self::Stop(part) => (format!("stop {part}"), format!("停止 {part}")),
            Self::Kill(part) => (format!("kill {part}"), format!("杀掉 {part}")),
            Self::Slow(slow) => (format!("slow {} down", slow.part), format!("放慢 {}", slow.part)),
            Self::Fast(part) => (format!("let {part} be fast again"), format!("让 {part} 恢复速度")),
            Self::Hold(part) => (
                format!("hold back what {part} publishes"),
                format!("扣住 {part} 要发布的记录"),
            ),
            Self::Release(part) => (format!("let {part} publish again"), format!("让 {part} 恢复发布")),
            Self::FillDisk(part) => (
                format!("fill the disk of {part}'s store"),
                format!("写满 {part} 存储的磁盘"),
            ),
            Self::FreeDisk(part) => (
                format!("make room on the disk of {part}'s store"),
                format!("给 {part} 存储的磁盘腾出空间"),
            ),
            Self::Skip(part) => (format!("let {part} go on past poison"), format!("让 {part} 跳过毒丸")),
            Self::Members(members) => {
                let Members { part, count } = members;
                (
                    format!("give {part} {}", counted(*count, "member")),
                    format!("让 {part} 有 {count} 个成员"),
                )
            }
            Self::Poison(poison) => (format!("poison {}", poison.topic), format!("向 {} 投毒", poison.topic)),
            Self::Duplicate(twice) => {
                let Duplicate { topic, records } = twice;
                (
                    format!("write {records} records of {topic} twice"),
                    format!("{topic} 的 {records} 条记录写两遍"),
                )
            }
            Self::Delay(late) => (
                format!("delay {} events", late.records),
                format!("推迟 {} 个事件", late.records),
            ),
            Self::Reorder(turned) => (
                format!("turn {} events around", turned.records),
                format!("颠倒 {} 个事件", turned.records),
            ),
            Self::Partitions(more) => (
                format!("add partitions to {}", more.topic),
                format!("给 {} 增加分区", more.topic),
            ),
            Self::Rebuild(name) => (format!("rebuild {name}"), format!("重建 {name}")),
            Self::Delete(name) => (format!("delete {name}"), format!("删除 {name}")),
            Self::Use(other) => (
                format!("rebuild from {}", other.file),
                format!("用 {} 重建", other.file),
            ),
            Self::Cut(mirror) => (format!("cut the link to {mirror}"), format!("切断到 {mirror} 的链路")),
            Self::Join(mirror) => (format!("mend the link to {mirror}"), format!("恢复到 {mirror} 的链路")),
            Self::Measure(measure) => {
                let Measure { part, records } = measure;
                (
                    format!("write {records} events and time {part}"),
                    format!("写入 {records} 个事件，为 {part} 计时"),
                )
            }
            Self::Lose(_) => ("stop the broker".to_owned(), "停掉 broker".to_owned()),
            Self::BringBack(_) => ("start the broker again".to_owned(), "恢复 broker".to_owned()),
            Self::Rotate(agent) => (format!("rotate the log of {agent}"), format!("轮转 {agent} 的日志文件")),
            Self::Change(change) => (
                format!("change rows of {}", change.database),
                format!("修改 {} 的数据", change.database),
            ),
            Self::Load(lake) => (format!("load {lake}"), format!("装载 {lake}")),
            Self::Wait(_) => ("wait".to_owned(), "等待".to_owned()),
            Self::Show(show) => return show.title.clone(),
        };
        Text {
            en: Some(en),
            zh: Some(zh),
        }
    }

    /// Whether it decides what is written when, so that nothing may be written before.
    pub(super) fn writes(&self) -> bool {
        matches!(
            self,
            Self::Produce(_)
                | Self::Measure(_)
                | Self::Poison(_)
                | Self::Duplicate(_)
                | Self::Delay(_)
                | Self::Reorder(_)
        )
    }
}

/// `1 event`, `2 events`.
fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

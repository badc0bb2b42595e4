//! A demo's scene at one moment, as pure data: whoever draws it asks nobody anything.

use serde::Deserialize;

use crate::record::Timestamp;

use super::graph::Graph;
use super::text::Language;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartState {
    /// It does what it is there for.
    Running,
    /// Nobody has started it, or it was stopped.
    #[default]
    Stopped,
    /// It was killed.
    Killed,
    /// It stands before a record that it cannot apply.
    Poisoned,
    /// It runs, and was slowed down.
    Slow,
    /// It ended with an error.
    Failed,
    /// A store that takes nothing more.
    Full,
}

impl PartState {
    /// What people call it.
    pub(super) fn said(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, state) => state.word(),
            (Language::Chinese, Self::Running) => "运行中",
            (Language::Chinese, Self::Stopped) => "已停止",
            (Language::Chinese, Self::Killed) => "已被杀掉",
            (Language::Chinese, Self::Poisoned) => "毒丸",
            (Language::Chinese, Self::Slow) => "变慢",
            (Language::Chinese, Self::Failed) => "失败",
            (Language::Chinese, Self::Full) => "磁盘已满",
        }
    }

    /// The word for it, as `demo.toml` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Poisoned => "poisoned",
            Self::Slow => "slow",
            Self::Failed => "failed",
            Self::Full => "full",
        }
    }
}

/// A part at one moment; its name and kind are in the graph, at the same place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartView {
    /// How it is.
    pub state: PartState,
    /// Why it is so, where there is more to say: the poison record, the error.
    pub reason: String,
    /// Records that came in.
    pub taken: u64,
    /// Records, or rows' events, that went out.
    pub given: u64,
    /// Records a second: out of a service, into everything else.
    pub rate: f64,
    /// Records that it has not seen yet; `None` for what is no processor.
    pub lag: Option<u64>,
    /// How many partitions each member of its group has.
    pub shares: Vec<usize>,
    /// Where it is, of a real system that is fed: its address without what is secret.
    pub place: String,
}

/// Records that went along an edge.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EdgeView {
    /// How many so far.
    pub records: u64,
    /// How many a second.
    pub rate: f64,
    /// How many are there and were not taken yet, where a group takes them.
    pub lag: Option<u64>,
}

/// The scene at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// What there is, the same at every moment of a run.
    pub graph: std::sync::Arc<Graph>,
    /// One for each part of the graph.
    pub parts: Vec<PartView>,
    /// One for each edge of the graph.
    pub edges: Vec<EdgeView>,
    /// The time of the newest event that was written.
    pub now: Option<Timestamp>,
    /// Events that are still to be written.
    pub upcoming: usize,
    /// Whether the broker was taken away by a step.
    pub broker_lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_a_word_of_its_own_in_every_language() {
        use PartState::{Failed, Full, Killed, Poisoned, Running, Slow, Stopped};
        for language in [Language::English, Language::Chinese] {
            let mut said = [Failed, Full, Killed, Poisoned, Running, Slow, Stopped].map(|state| state.said(language));
            let is_english = said.iter().all(|word| word.is_ascii());
            assert_eq!(is_english, language == Language::English, "{said:?}");
            said.sort_unstable();
            assert!(said.windows(2).all(|two| two[0] != two[1]), "{said:?}");
        }
    }
}

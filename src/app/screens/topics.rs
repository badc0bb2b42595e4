//! The topics: what there is, how much of it, how fast it grows.

use std::collections::{BTreeMap, VecDeque};

use crate::broker::topics::ConfigEntry;
use crate::record::Timestamp;

use super::super::job::{Job, TopicRow};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Level, Model};
use super::super::remote::Remote;
use super::scene;

/// Over how long a rate is measured.
const RATE_OVER_MS: i64 = 6_000;
/// How many rates the sparkline of the header has.
const PULSE: usize = 8;

/// The topics screen.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    /// The cursor and filter.
    pub list: List,
    /// The topics.
    pub remote: Remote<Vec<TopicRow>>,
    /// The configuration of the topic under the cursor, with the topic's name.
    pub config: Remote<Vec<ConfigEntry>>,
    /// Whose configuration was asked for.
    pub config_of: Option<String>,
    /// Whether Kafka's own topics are shown.
    pub internal: bool,
    /// The newest rates of the whole cluster, in records a second, oldest first.
    pub pulse: VecDeque<f64>,
    asked_at: Option<Timestamp>,
    looked_at: Option<Timestamp>,
    /// How long the last answer took.
    took_ms: i64,
    history: BTreeMap<String, VecDeque<(Timestamp, u64)>>,
}

impl Topics {
    /// The topic under the cursor.
    pub fn selected(&self) -> Option<&TopicRow> {
        self.remote.value.as_ref()?.get(self.list.selected()?)
    }

    /// A topic by name.
    pub fn get(&self, name: &str) -> Option<&TopicRow> {
        self.remote.value.as_ref()?.iter().find(|t| t.name == name)
    }

    /// How fast a topic grows, in records a second; `None` before two looks at it.
    pub fn rate(&self, name: &str) -> Option<f64> {
        let history = self.history.get(name)?;
        let (first, last) = (history.front()?, history.back()?);
        let ms = last.0.0 - first.0.0;
        (ms > 0).then(|| last.1.saturating_sub(first.1) as f64 * 1000.0 / ms as f64)
    }

    /// Whether the cluster is known to have no topic of its own.
    pub fn none(&self) -> bool {
        self.remote
            .value
            .as_ref()
            .is_some_and(|all| all.iter().all(|t| t.internal))
    }

    /// Takes the topics as they were at `at`.
    pub fn answer(&mut self, rows: Vec<TopicRow>, at: Timestamp) {
        let before: Option<String> = self.selected().map(|t| t.name.clone());
        let mut grown = 0.0;
        let looked_before = self.looked_at.replace(at);
        for row in rows.iter() {
            let history = self.history.entry(row.name.clone()).or_default();
            // A topic that was not there at the last look has grown from nothing since.
            if let (true, Some(before)) = (history.is_empty(), looked_before) {
                history.push_back((before, 0));
            }
            if let Some((then, written)) = history.back()
                && at > *then
                && !row.internal
            {
                grown += row.written().saturating_sub(*written) as f64 * 1000.0 / (at.0 - then.0) as f64;
            }
            history.push_back((at, row.written()));
            while history.len() > 2 && history.front().is_some_and(|(t, _)| at.0 - t.0 > RATE_OVER_MS) {
                history.pop_front();
            }
        }
        self.history.retain(|name, _| rows.iter().any(|row| row.name == *name));
        if self.remote.value.is_some() {
            self.pulse.push_back(grown);
            if self.pulse.len() > PULSE {
                self.pulse.pop_front();
            }
        }
        self.remote.answer(rows);
        self.refresh();
        if let Some(item) = before.and_then(|name| self.remote.value.as_ref()?.iter().position(|t| t.name == name)) {
            self.list.select(item);
        }
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let internal = self.internal;
        let rows = self.remote.value.as_deref().unwrap_or_default();
        self.list.refresh(rows.len(), |i, filter| {
            (internal || !rows[i].internal) && rows[i].name.to_lowercase().contains(filter)
        });
    }
}

/// Asks for the topics again, unless that is under way.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.value.is_some() && model.topics.remote.task.is_none() {
        model.topics.asked_at = Some(model.now);
        model.topics.remote.task = Some(model.start(Job::Topics, fx));
    }
}

/// Asks again once enough time has passed: 2 s, or five times what the last answer took, so that looking at a large
/// cluster is no load on it.
pub fn tick(model: &mut Model, fx: &mut Vec<Effect>) {
    let wait = (5 * model.topics.took_ms).max(2_000);
    // While a demo keeps the broker away nobody need be told that it does not answer.
    if !scene::broker_lost(model) && model.topics.asked_at.is_none_or(|at| model.now.0 - at.0 >= wait) {
        ask(model, fx);
    }
}

/// Takes the topics and asks for the configuration of the one under the cursor.
pub fn answer(model: &mut Model, rows: Vec<TopicRow>, at: Timestamp, fx: &mut Vec<Effect>) {
    if let Some(asked) = model.topics.asked_at {
        model.topics.took_ms = (model.now.0 - asked.0).max(0);
    }
    if model.topics.remote.error.is_some() {
        model.tell(Level::Done, "the cluster answers again");
    }
    model.topics.answer(rows, at);
    selected(model, fx);
}

/// Asks for the configuration of the topic under the cursor, if it is not the one that is known.
pub fn selected(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(name) = model.topics.selected().map(|t| t.name.clone()) else {
        return;
    };
    if model.topics.config_of.as_ref() != Some(&name) {
        if let Some(task) = model.topics.config.task {
            fx.push(Effect::Cancel(task));
        }
        model.topics.config = Remote {
            task: Some(model.start(Job::TopicConfig(name.clone()), fx)),
            ..Remote::default()
        };
        model.topics.config_of = Some(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::topics::Watermarks;

    fn row(name: &str, high: i64) -> TopicRow {
        TopicRow {
            name: name.into(),
            replication: 1,
            internal: false,
            watermarks: vec![Watermarks {
                partition: 0,
                low: 0,
                high,
            }],
        }
    }

    #[test]
    fn rates_come_from_watermarks_and_the_cursor_stays_on_its_topic() {
        let mut topics = Topics::default();
        topics.answer(vec![row("b", 100)], Timestamp(0));
        assert_eq!(topics.rate("b"), None);
        topics.answer(vec![row("a", 0), row("b", 2_100)], Timestamp(2_000));
        assert_eq!(topics.selected().map(|t| t.name.as_str()), Some("b"));
        assert_eq!(topics.rate("b"), Some(1_000.0));
        topics.answer(vec![row("a", 0), row("b", 2_100), row("c", 50)], Timestamp(4_000));
        assert_eq!(topics.rate("c"), Some(25.0));
        assert_eq!(topics.pulse, [1_000.0, 25.0]);
    }
}

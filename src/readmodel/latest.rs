//! Which record of a fold comes last by the rule of the replay's order, whichever was applied last.

use crate::record::{RecordRef, Timestamp, TopicPartition};

use super::store::ReadModelInfo;

/// The latest time of any record so far, and the partition of the last record that has it: a replay takes a record of the same
/// time after it only if its topic and partition are not smaller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latest {
    /// The time; `None` before the first record, and where no record has one.
    pub time: Option<Timestamp>,
    /// The partition; `None` before the first record.
    pub of: Option<TopicPartition>,
}

impl Latest {
    /// That of a read model.
    pub fn of(info: &ReadModelInfo) -> Self {
        Self {
            time: info.latest,
            of: info.latest_of.clone(),
        }
    }

    /// Whether a replay takes `record` after every record so far, if it is still to come.
    pub fn is_before(&self, record: &RecordRef<'_>) -> bool {
        let place = (record.timestamp, record.topic, record.partition);
        self.of
            .as_ref()
            .is_none_or(|of| (self.time, &*of.topic, of.partition) <= place)
    }

    pub(super) fn see(&mut self, record: &RecordRef<'_>) {
        if !self.is_before(record) {
            return;
        }
        self.time = record.timestamp;
        match &mut self.of {
            Some(of) if *of.topic == *record.topic => of.partition = record.partition,
            of => *of = Some(TopicPartition::new(record.topic, record.partition)),
        }
    }
}

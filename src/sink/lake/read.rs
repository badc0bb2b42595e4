//! Reading a lake back: the records of a topic, as its files have them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::decode::envelope::read::Envelope;
use crate::record::{Record, Timestamp};

use super::super::error::SinkError;
use super::folder::{counted, is_parquet, read_state};
use super::parquet;

/// The records that a topic has in a lake, those of each partition in their order; of a partition that `from` names, those from that
/// offset on. What is in place and not counted yet is left out. All of them are kept in memory.
pub fn read(dir: &Path, topic: &str, from: &BTreeMap<i32, i64>) -> Result<Vec<Record>, SinkError> {
    let path = dir.join(topic);
    let mut records = Vec::new();
    // First, so that no file is missed that it counts.
    let Some(state) = read_state(&path)? else {
        return Ok(records);
    };
    let wanted = |record: &Record| {
        let first = from.get(&record.partition).copied().unwrap_or(0);
        record.offset >= first && state.counts((record.partition, record.offset))
    };
    for file in counted(&path, &state)? {
        let found = match is_parquet(&file) {
            true => parquet::read(&file),
            false => lines(&file),
        };
        let found = found.map_err(|error| SinkError::io("cannot read", &file, error))?;
        records.extend(found.into_iter().filter(wanted));
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// The records of a file with a line each.
fn lines(path: &Path) -> io::Result<Vec<Record>> {
    let text = fs::read(path)?;
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| {
            record(line).map_err(|reason| {
                let reason = format!("line {} is no record: {reason}", at + 1);
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })
        })
        .collect()
}

fn record(line: &[u8]) -> Result<Record, String> {
    let envelope = Envelope::parse(line)?;
    let lacks = |what: &str| format!("it has no `{what}`");
    let time = envelope.time()?.map(|text| text.parse().map(Timestamp));
    Ok(Record {
        topic: envelope.topic.as_deref().ok_or_else(|| lacks("topic"))?.into(),
        partition: envelope.partition.ok_or_else(|| lacks("partition"))?,
        offset: envelope.offset.ok_or_else(|| lacks("offset"))?,
        timestamp: time
            .transpose()
            .map_err(|_| "`timestamp` is no number of milliseconds".to_owned())?,
        key: envelope.key()?.map(|key| key.into_owned()),
        value: envelope.value()?.map(|value| value.into_owned()),
        headers: envelope.headers,
    })
}

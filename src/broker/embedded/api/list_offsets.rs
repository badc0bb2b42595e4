//! `ListOffsets`: the beginning, the end, and the first record at or after a time.

use std::io;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::broker::embedded::log::Slice;
use crate::broker::embedded::log::batch::LEADER_EPOCH;
use crate::broker::embedded::log::records;
use crate::broker::embedded::log::scan::{SEEK, Scanner};
use crate::broker::embedded::partition::Partition;

use super::Call;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// No record: what a time after the last one is answered with, which clients take for the end.
const NONE: i64 = -1;

pub(super) async fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|p| one(call, &topic.name, p)).collect();
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions)
        })
        .collect();
    ListOffsetsResponse::default().with_topics(topics)
}

fn one(call: &Call<'_>, topic: &str, asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    match find(call, topic, asked) {
        Ok((timestamp, offset)) => {
            let response = response.with_timestamp(timestamp).with_offset(offset);
            if call.version >= 4 && offset != NONE {
                response.with_leader_epoch(LEADER_EPOCH)
            } else {
                response
            }
        }
        Err(error) => response
            .with_error_code(error.code())
            .with_timestamp(NONE)
            .with_offset(NONE),
    }
}

/// The timestamp and offset that answer the question.
fn find(call: &Call<'_>, topic: &str, asked: &ListOffsetsPartition) -> Result<(i64, i64), ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = call.broker.store.topic(topic).ok_or(unknown)?;
    let partition = topic.partition(asked.partition_index).ok_or(unknown)?;
    if asked.current_leader_epoch > LEADER_EPOCH {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    let answer = match asked.timestamp {
        LATEST => partition.reach().map(|reach| (NONE, reach.end)),
        EARLIEST => partition.reach().map(|reach| (NONE, reach.start)),
        MAX_TIMESTAMP => newest(&partition),
        time if time >= 0 => at_time(&partition, time),
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    answer.map_err(|error| {
        super::storage(&error);
        ResponseError::KafkaStorageError
    })
}

fn newest(partition: &Partition) -> io::Result<(i64, i64)> {
    match partition.max_timestamp()? {
        Some(time) => match at_time(partition, time)? {
            (NONE, NONE) => newest_left(partition),
            found => Ok(found),
        },
        None => Ok((NONE, NONE)),
    }
}

/// The newest record where compaction has removed the one that was the newest: looked for in all headers.
fn newest_left(partition: &Partition) -> io::Result<(i64, i64)> {
    let start = partition.reach()?.start;
    let mut newest = None;
    let mut slice = partition.slice(start)?.1;
    while let Some(candidate) = slice {
        let mut scanner = Scanner::new(&candidate.file, candidate.from, candidate.end, SEEK);
        while let Some(header) = scanner.seek(|header| header.count > 0 && header.next_offset() > start)? {
            newest = newest.max(Some(header.max_timestamp));
            scanner.advance(&header);
        }
        slice = match candidate.next_base {
            Some(base) => partition.slice(base)?.1,
            None => None,
        };
    }
    newest.map_or(Ok((NONE, NONE)), |time| at_time(partition, time))
}

/// The first record at or after `time`.
fn at_time(partition: &Partition, time: i64) -> io::Result<(i64, i64)> {
    let (reach, mut slice) = partition.slice_of_time(time)?;
    while let Some(candidate) = slice {
        if let Some(found) = in_segment(&candidate, time, reach.start)? {
            return Ok(found);
        }
        // The segment's greatest time was that of a record that has been deleted since.
        slice = match candidate.next_base {
            Some(base) => partition.slice(base)?.1,
            None => None,
        };
    }
    Ok((NONE, NONE))
}

fn in_segment(slice: &Slice, time: i64, start: i64) -> io::Result<Option<(i64, i64)>> {
    let mut scanner = Scanner::new(&slice.file, slice.from, slice.end, SEEK);
    while let Some(header) = scanner.seek(|h| h.max_timestamp >= time && h.next_offset() > start)? {
        if let Some(batch) = scanner.batch(&header)?
            && let Some(found) = records::first_at(batch, &header, time, start)
        {
            return Ok(Some(found));
        }
        scanner.advance(&header);
    }
    Ok(None)
}

//! `Fetch`: reading, with a wait for more where there is too little.
//!
//! The response is written here and not by `kafka-protocol`, so that records go from the file into the frame without a copy
//! between. Only whole batches are sent: a torn one at the end would be sent twice.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::{FetchRequest, TopicName};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::broker::embedded::limits::FREE_RESPONSE;
use crate::broker::embedded::log::Slice;
use crate::broker::embedded::log::batch::{BatchHeader, HEADER, LEADER_EPOCH};
use crate::broker::embedded::log::scan::read_at;
use crate::broker::embedded::partition::{Partition, Reach};
use crate::broker::embedded::schema;

use super::{Call, CallError, Raw};

/// The most that a response holds, whatever the client asks for, as Apache Kafka's `fetch.max.bytes`; one batch that is
/// greater still goes out alone.
const MAX_RESPONSE: usize = 55 * 1024 * 1024;
/// The longest wait for data. A client that asks for longer gets an empty response and asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);
const FLEXIBLE: i16 = 12;

/// What is asked of one partition and what was found there.
struct Part {
    number: i32,
    offset: i64,
    max_bytes: usize,
    partition: Result<Arc<Partition>, ResponseError>,
    found: Found,
}

#[derive(Default)]
struct Found {
    error: Option<ResponseError>,
    reach: Option<Reach>,
    slice: Option<Slice>,
}

struct Asked {
    topic: TopicName,
    parts: Vec<Part>,
}

pub(super) async fn handle(call: &Call<'_>, mut raw: Raw<'_>) -> Result<(), CallError> {
    let request: FetchRequest = raw.decode(&schema::FETCH)?;
    if request.session_id != 0 {
        // Sessions are never granted, so that a client that names one has mistaken this broker for another.
        write_head(&mut raw, Some(ResponseError::FetchSessionIdNotFound), 0);
        write_end(&mut raw);
        return Ok(());
    }
    let read_committed = request.isolation_level == 1;
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_RESPONSE);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0).min(max_bytes as u64);
    let mut asked = resolve(call, request);
    wait_for(&mut asked, min_bytes, wait).await;
    let max_bytes = permitted(call, &mut raw, &asked, max_bytes);
    write(&mut raw, &asked, max_bytes, read_committed);
    Ok(())
}

/// How much may be sent: what there is and was asked for, but a small response where others have great ones in flight.
fn permitted(call: &Call<'_>, raw: &mut Raw<'_>, asked: &[Asked], max_bytes: usize) -> usize {
    let available = |part: &Part| {
        let slice = part.found.slice.as_ref();
        let bytes = slice.map_or(0, |slice| slice.end - slice.from);
        part.max_bytes.min(usize::try_from(bytes).unwrap_or(usize::MAX))
    };
    let parts = asked.iter().flat_map(|topic| &topic.parts);
    let wanted = parts.map(available).fold(0, usize::saturating_add).min(max_bytes);
    if wanted <= FREE_RESPONSE {
        return max_bytes;
    }
    *raw.permit = call.broker.limits.responses.try_take(wanted);
    if raw.permit.is_some() { max_bytes } else { FREE_RESPONSE }
}

fn resolve(call: &Call<'_>, request: FetchRequest) -> Vec<Asked> {
    let topics = request.topics.into_iter().map(|topic| {
        let found = call.broker.store.topic(&topic.topic);
        let part = |asked: &FetchPartition| Part {
            number: asked.partition,
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
            partition: if asked.current_leader_epoch > LEADER_EPOCH {
                Err(ResponseError::UnknownLeaderEpoch)
            } else {
                let partition = found.as_ref().and_then(|topic| topic.partition(asked.partition));
                partition.ok_or(ResponseError::UnknownTopicOrPartition)
            },
            found: Found::default(),
        };
        Asked {
            parts: topic.partitions.iter().map(part).collect(),
            topic: topic.topic,
        }
    });
    topics.collect()
}

/// Looks until there are `min_bytes`, something went wrong, or the time is up.
async fn wait_for(asked: &mut [Asked], min_bytes: u64, wait: Duration) {
    let deadline = Instant::now() + wait;
    if look(asked) >= min_bytes || wait.is_zero() {
        return;
    }
    let watch = Watch::new(asked);
    loop {
        watch.arm();
        if look(asked) >= min_bytes || timeout_at(deadline, watch.notify.notified()).await.is_err() {
            return;
        }
    }
}

/// Registers for changes of partitions until it is dropped, which is also what happens when the client goes away.
struct Watch {
    notify: Arc<Notify>,
    partitions: Vec<Arc<Partition>>,
}

impl Watch {
    fn new(asked: &[Asked]) -> Self {
        let parts = asked.iter().flat_map(|topic| &topic.parts);
        Self {
            notify: Arc::default(),
            partitions: parts.filter_map(|part| part.partition.clone().ok()).collect(),
        }
    }

    fn arm(&self) {
        for partition in &self.partitions {
            partition.watch(&self.notify);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.unwatch(&self.notify);
        }
    }
}

/// Finds what there is to read now; answers with its size, which is infinite where a partition has an error to tell.
fn look(asked: &mut [Asked]) -> u64 {
    let mut bytes = 0u64;
    for part in asked.iter_mut().flat_map(|topic| &mut topic.parts) {
        part.found = find(part);
        if part.found.error.is_some() {
            bytes = u64::MAX;
        }
        if let Some(slice) = &part.found.slice {
            bytes = bytes.saturating_add(slice.end - slice.from + slice.beyond);
        }
    }
    bytes
}

fn find(part: &Part) -> Found {
    let partition = match &part.partition {
        Ok(partition) => partition,
        Err(error) => {
            return Found {
                error: Some(*error),
                ..Found::default()
            };
        }
    };
    match partition.slice(part.offset) {
        Ok((reach, slice)) => Found {
            error: (!reach.contains(part.offset)).then_some(ResponseError::OffsetOutOfRange),
            reach: Some(reach),
            slice,
        },
        Err(_) if partition.is_gone() => Found {
            error: Some(ResponseError::UnknownTopicOrPartition),
            ..Found::default()
        },
        Err(error) => {
            super::storage(&error);
            Found {
                error: Some(ResponseError::KafkaStorageError),
                ..Found::default()
            }
        }
    }
}

fn write(raw: &mut Raw<'_>, asked: &[Asked], max_bytes: usize, read_committed: bool) {
    write_head(raw, None, asked.len());
    let mut left = max_bytes;
    // The first batch goes out even where it is greater than every limit: otherwise nobody could ever read it.
    let mut first = true;
    for topic in asked {
        write_text(raw, &topic.topic);
        write_count(raw, topic.parts.len());
        for part in &topic.parts {
            let records = write_part(raw, part, left, first, read_committed);
            left = left.saturating_sub(records);
            first &= records == 0;
            write_end(raw);
        }
        write_end(raw);
    }
    write_end(raw);
}

/// Writes a partition; answers with how many bytes of records it holds.
fn write_part(raw: &mut Raw<'_>, part: &Part, left: usize, first: bool, read_committed: bool) -> usize {
    let head = raw.out.len();
    put_part_head(raw, part, part.found.error, read_committed);
    let at = raw.out.len();
    let limit = part.max_bytes.min(left);
    let records = match &part.found.slice {
        Some(slice) if part.found.error.is_none() => {
            // The length in flexible versions is written with all its five bytes, because it is known only afterwards.
            raw.out.put_bytes(0, length_size(raw.version));
            read_batches(slice, limit, first, raw.out)
        }
        _ => {
            raw.out.put_bytes(0, length_size(raw.version));
            Ok(0)
        }
    };
    match records {
        Ok(records) => {
            put_length(&mut raw.out[at..], raw.version, records);
            records
        }
        Err(error) => {
            super::storage(&error);
            raw.out.truncate(head);
            put_part_head(raw, part, Some(ResponseError::KafkaStorageError), read_committed);
            let at = raw.out.len();
            raw.out.put_bytes(0, length_size(raw.version));
            put_length(&mut raw.out[at..], raw.version, 0);
            0
        }
    }
}

fn put_part_head(raw: &mut Raw<'_>, part: &Part, error: Option<ResponseError>, read_committed: bool) {
    let version = raw.version;
    let reach = part.found.reach;
    raw.out.put_i32(part.number);
    raw.out.put_i16(error.map_or(0, |error| error.code()));
    let end = reach.map_or(-1, |reach| reach.end);
    raw.out.put_i64(end);
    // The last stable offset: there are no transactions that could hold it back.
    raw.out.put_i64(end);
    if version >= 5 {
        raw.out.put_i64(reach.map_or(-1, |reach| reach.start));
    }
    // Aborted transactions: none where they count, null where nobody asked.
    match (version >= FLEXIBLE, read_committed) {
        (true, true) => raw.out.put_u8(1),
        (true, false) => raw.out.put_u8(0),
        (false, true) => raw.out.put_i32(0),
        (false, false) => raw.out.put_i32(-1),
    }
    if version >= 11 {
        raw.out.put_i32(-1);
    }
}

/// Reads whole batches, up to `limit` bytes; one batch at least where `at_least_one` is set.
fn read_batches(slice: &Slice, limit: usize, at_least_one: bool, out: &mut Vec<u8>) -> io::Result<usize> {
    let at = out.len();
    let available = usize::try_from(slice.end - slice.from).unwrap_or(usize::MAX);
    let first = limit.max(if at_least_one { HEADER } else { 0 }).min(available);
    out.resize(at + first, 0);
    fill(slice, &mut out[at..], 0)?;
    let mut whole = whole_batches(&out[at..]);
    if whole == 0
        && at_least_one
        && let Some(header) = BatchHeader::parse(&out[at..])
    {
        whole = header.size.min(available);
        out.resize(at + whole, 0);
        fill(slice, &mut out[at + first.min(whole)..], first.min(whole))?;
    }
    out.truncate(at + whole);
    Ok(whole)
}

fn fill(slice: &Slice, into: &mut [u8], skip: usize) -> io::Result<()> {
    let got = read_at(&slice.file, into, slice.from + skip as u64)?;
    if got < into.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// How many bytes whole batches take at the start of `bytes`.
fn whole_batches(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(BatchHeader::parse) {
        if at + header.size > bytes.len() {
            break;
        }
        at += header.size;
    }
    at
}

fn write_head(raw: &mut Raw<'_>, error: Option<ResponseError>, topics: usize) {
    raw.out.put_i32(0);
    if raw.version >= 7 {
        raw.out.put_i16(error.map_or(0, |error| error.code()));
        raw.out.put_i32(0);
    }
    write_count(raw, topics);
}

fn write_count(raw: &mut Raw<'_>, count: usize) {
    // Both fit: the guard lets no request through with more than 100,000 elements.
    if raw.version >= FLEXIBLE {
        put_varint(raw.out, count as u32 + 1);
    } else {
        raw.out.put_i32(count as i32);
    }
}

fn write_text(raw: &mut Raw<'_>, text: &str) {
    // It came as a string of the same version, so that its length fits.
    if raw.version >= FLEXIBLE {
        put_varint(raw.out, text.len() as u32 + 1);
    } else {
        raw.out.put_i16(text.len() as i16);
    }
    raw.out.put_slice(text.as_bytes());
}

/// The tagged fields of a structure: none.
fn write_end(raw: &mut Raw<'_>) {
    if raw.version >= FLEXIBLE {
        raw.out.put_u8(0);
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn length_size(version: i16) -> usize {
    if version >= FLEXIBLE { 5 } else { 4 }
}

/// Writes the length of records into the bytes that were kept for it.
fn put_length(into: &mut [u8], version: i16, length: usize) {
    if version < FLEXIBLE {
        into[..4].copy_from_slice(&(length as i32).to_be_bytes());
        return;
    }
    let mut value = length as u32 + 1;
    for byte in &mut into[..4] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    into[4] = value as u8;
}

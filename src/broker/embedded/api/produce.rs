//! `Produce` and `InitProducerId`: writing, and the ids that make a retry recognisable.

use std::io;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use crate::broker::embedded::config::TopicConfig;
use crate::broker::embedded::log::AppendError;
use crate::broker::embedded::log::batch::{self, BatchHeader};
use crate::broker::embedded::log::records;
use crate::broker::embedded::schema;
use crate::record::Timestamp;

use super::{Call, CallError, Raw, text};

const NO_TIME: i64 = -1;
const ZSTD: i16 = 4;
/// The first version in which a client may send zstd.
const ZSTD_SINCE: i16 = 7;

/// Records that a refusal names; a batch may hold millions that are wrong.
const NAMED: usize = 100;

type Refusal = (ResponseError, String);

/// Why a batch was not appended, and which of its records are to blame.
struct Refused {
    why: Refusal,
    records: Vec<i32>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self {
            why,
            records: Vec::new(),
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().0
}

/// Appends what the request holds; `false` where the client wants no answer.
pub(super) fn handle(call: &Call<'_>, mut raw: Raw<'_>) -> Result<bool, CallError> {
    let request: ProduceRequest = raw.decode(&schema::PRODUCE)?;
    let refused = refuse_all(&request);
    let mut failed = None;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let response = of_topic(call, topic, refused.as_ref());
        failed = failed.or_else(|| {
            response
                .partition_responses
                .iter()
                .find_map(|p| (p.error_code != 0).then(|| format!("error {} for {}", p.error_code, &*response.name)))
        });
        responses.push(response);
    }
    if request.acks == 0 {
        // Nobody reads an answer; closing the connection is the only way to say that something was refused.
        return failed.map_or(Ok(false), |why| Err(CallError::Unacknowledged(why)));
    }
    raw.encode(&ProduceResponse::default().with_responses(responses))?;
    Ok(true)
}

fn refuse_all(request: &ProduceRequest) -> Option<Refusal> {
    if request.transactional_id.is_some() {
        return Some((
            ResponseError::TransactionalIdAuthorizationFailed,
            "the embedded broker has no transactions".to_owned(),
        ));
    }
    (!matches!(request.acks, -1..=1)).then(|| {
        (
            ResponseError::InvalidRequiredAcks,
            format!("acks is {}, and may be 0, 1 or -1", request.acks),
        )
    })
}

fn of_topic(call: &Call<'_>, topic: TopicProduceData, refused: Option<&Refusal>) -> TopicProduceResponse {
    let partitions = topic
        .partition_data
        .iter()
        .map(|data| {
            let response = PartitionProduceResponse::default()
                .with_index(data.index)
                .with_log_append_time_ms(NO_TIME);
            let appended = match refused {
                Some(refusal) => Err(refusal.clone().into()),
                None => append(call, &topic.name, data),
            };
            match appended {
                Ok(done) => {
                    let response = response
                        .with_base_offset(done.base_offset)
                        .with_log_append_time_ms(done.time);
                    if call.version >= 5 {
                        response.with_log_start_offset(done.log_start)
                    } else {
                        response
                    }
                }
                Err(Refused {
                    why: (error, message),
                    records,
                }) => {
                    tracing::debug!(topic = &**topic.name, partition = data.index, %error, message, "refused a batch");
                    let response = response.with_error_code(error.code()).with_base_offset(-1);
                    if call.version >= 8 {
                        let named = records.into_iter().map(|index| {
                            BatchIndexAndErrorMessage::default()
                                .with_batch_index(index)
                                .with_batch_index_error_message(text(NO_KEY.to_owned()))
                        });
                        response
                            .with_error_message(text(message))
                            .with_record_errors(named.collect())
                    } else {
                        response
                    }
                }
            }
        })
        .collect();
    TopicProduceResponse::default()
        .with_name(topic.name)
        .with_partition_responses(partitions)
}

struct Done {
    base_offset: i64,
    time: i64,
    log_start: i64,
}

fn append(call: &Call<'_>, topic: &str, data: &PartitionProduceData) -> Result<Done, Refused> {
    let unknown = || {
        (
            ResponseError::UnknownTopicOrPartition,
            "there is no such topic or partition".to_owned(),
        )
    };
    let topic = call.broker.store.topic(topic).ok_or_else(unknown)?;
    let partition = topic.partition(data.index).ok_or_else(unknown)?;
    let config = topic.config();
    let bytes: &[u8] = data.records.as_deref().unwrap_or_default();
    let now = now();
    let header = verify(bytes, &config, call.version, now)?;
    if config.compacts() {
        refuse_without_key(bytes, &header)?;
    }
    let stamped;
    let (bytes, header, time) = if config.is_log_append_time() {
        stamped = batch::with_append_time(bytes, &header, now);
        let header = BatchHeader::parse(&stamped).ok_or_else(|| corrupt("it is too short"))?;
        (&*stamped, header, now)
    } else {
        (bytes, header, NO_TIME)
    };
    let appended = partition.append(bytes, &header, config.roll());
    let (base_offset, reach) = appended.map_err(|error| -> Refusal {
        match error {
            AppendError::OutOfOrder => (ResponseError::OutOfOrderSequenceNumber, error.to_string()),
            AppendError::OldEpoch => (ResponseError::InvalidProducerEpoch, error.to_string()),
            AppendError::Storage(_) if partition.is_gone() => unknown(),
            AppendError::Storage(error) => {
                super::storage(&error);
                refused_by_disk(&error)
            }
        }
    })?;
    Ok(Done {
        base_offset,
        time,
        log_start: reach.start,
    })
}

/// What a client is told of a write that the disk refused. Clients try a storage error again, because another replica may take
/// over; here nobody does, and a full disk stays full until somebody frees space, so they are given an error that ends it.
fn refused_by_disk(error: &io::Error) -> Refusal {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => (
            ResponseError::UnknownServerError,
            format!(
                "the embedded broker's disk takes no more: {error}. Free space and write again; `foldlog.log` in the data \
                 directory says more"
            ),
        ),
        _ => (ResponseError::KafkaStorageError, error.to_string()),
    }
}

fn corrupt(why: &str) -> Refusal {
    (ResponseError::CorruptMessage, format!("the batch is corrupt: {why}"))
}

fn invalid(why: &str) -> Refusal {
    (ResponseError::InvalidRecord, format!("the batch is invalid: {why}"))
}

/// Checks all that can be checked without looking at the records: exactly one whole batch of format 2, as producers since
/// Apache Kafka 0.11 send it.
fn verify(bytes: &[u8], config: &TopicConfig, version: i16, now: i64) -> Result<BatchHeader, Refusal> {
    if bytes.get(16).is_some_and(|magic| *magic < 2) {
        return Err((
            ResponseError::UnsupportedForMessageFormat,
            "message formats before version 2 are not supported".to_owned(),
        ));
    }
    let header = BatchHeader::parse(bytes).ok_or_else(|| corrupt("it is too short"))?;
    if header.magic != 2 {
        return Err(corrupt("its format is not known"));
    }
    if header.size > config.max_message_bytes() {
        return Err((
            ResponseError::MessageTooLarge,
            format!(
                "the batch has {} bytes, and max.message.bytes of the topic is {}",
                header.size,
                config.max_message_bytes()
            ),
        ));
    }
    if header.size > bytes.len() {
        return Err(corrupt("it is shorter than it says"));
    }
    if header.size < bytes.len() {
        return Err(invalid(
            "a request may hold one batch for each partition, and something follows it",
        ));
    }
    if !batch::crc_matches(bytes, &header) {
        return Err(corrupt("its checksum is wrong"));
    }
    refuse_contents(&header, config, version, now).map_or(Ok(header), Err)
}

const NO_KEY: &str = "Compacted topic cannot accept message without key.";

/// Compaction goes by keys: a record without one could never be told from any other. The only place that looks at records
/// while they are written, and only of topics that are compacted.
fn refuse_without_key(bytes: &[u8], header: &BatchHeader) -> Result<(), Refused> {
    let mut at = 0;
    let mut records = Vec::new();
    let read = records::each(bytes, header, |record| {
        if record.key.is_none() && records.len() < NAMED {
            records.push(at);
        }
        at += 1;
    });
    read.map_err(|error| corrupt(&error.to_string()))?;
    if records.is_empty() {
        return Ok(());
    }
    let why = "the topic is compacted (cleanup.policy=compact), and a record has no key. Give every record a key";
    Err(Refused {
        why: (ResponseError::InvalidRecord, why.to_owned()),
        records,
    })
}

fn refuse_contents(header: &BatchHeader, config: &TopicConfig, version: i16, now: i64) -> Option<Refusal> {
    if header.count <= 0 || header.last_offset_delta != header.count - 1 {
        return Some(invalid("the number of records does not fit its offsets"));
    }
    if header.is_control() {
        return Some(invalid("clients do not write control batches"));
    }
    if header.is_transactional() {
        return Some(invalid("the embedded broker has no transactions"));
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Some(invalid("a producer with an id numbers its batches"));
    }
    if header.codec() > ZSTD {
        return Some(invalid("its codec is not known"));
    }
    if header.codec() == ZSTD && version < ZSTD_SINCE {
        return Some((
            ResponseError::UnsupportedCompressionType,
            "zstd needs version 7 of Produce".to_owned(),
        ));
    }
    let (before, after) = config.time_bounds();
    let old = header.base_timestamp.min(header.max_timestamp) < now.saturating_sub(before);
    let early = header.max_timestamp > now.saturating_add(after);
    (!config.is_log_append_time() && header.max_timestamp >= 0 && (old || early)).then(|| {
        (
            ResponseError::InvalidTimestamp,
            "a record's time is further from now than the topic allows".to_owned(),
        )
    })
}

pub(super) async fn init_producer_id(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let failed = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        // A fatal error to every client, with a name that people can look up; others are tried again until a timeout.
        return failed(ResponseError::TransactionalIdAuthorizationFailed);
    }
    match call.broker.store.new_producer_id() {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(error) => {
            super::storage(&error);
            failed(ResponseError::KafkaStorageError)
        }
    }
}

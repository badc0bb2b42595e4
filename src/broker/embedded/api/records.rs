//! `DeleteRecords`: everything before an offset.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::Call;

/// "Up to the end".
const END: i64 = -1;

pub(super) async fn delete(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let (code, low) = match delete_one(call, &topic.name, p) {
                    Ok(low) => (0, low),
                    Err(error) => (error.code(), -1),
                };
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(p.partition_index)
                    .with_low_watermark(low)
                    .with_error_code(code)
            });
            DeleteRecordsTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        })
        .collect();
    DeleteRecordsResponse::default().with_topics(topics)
}

fn delete_one(call: &Call<'_>, topic: &str, asked: &DeleteRecordsPartition) -> Result<i64, ResponseError> {
    let topic = call
        .broker
        .store
        .topic(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic
        .partition(asked.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let failed = |error| {
        super::storage(&error);
        ResponseError::KafkaStorageError
    };
    let reach = partition.reach().map_err(failed)?;
    let offset = if asked.offset == END { reach.end } else { asked.offset };
    if offset < 0 || offset > reach.end {
        return Err(ResponseError::OffsetOutOfRange);
    }
    Ok(partition.delete_before(offset).map_err(failed)?.start)
}

//! `ApiVersions`: what this broker speaks.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::Encodable;

use super::{Call, CallError, DATA, SUPPORTED};

fn response() -> ApiVersionsResponse {
    let mut keys: Vec<ApiVersion> = DATA
        .iter()
        .chain(SUPPORTED)
        .map(|line| {
            // librdkafka before 2.8 concludes from Produce versions 0 to 2 which codecs it may use (KAFKA-18659), so that Apache
            // Kafka 4 offers them too, and like it this broker refuses a client that uses them.
            let min = if line.api == ApiKey::Produce { 0 } else { line.min };
            ApiVersion::default()
                .with_api_key(line.api as i16)
                .with_min_version(min)
                .with_max_version(line.max)
        })
        .collect();
    keys.sort_by_key(|line| line.api_key);
    ApiVersionsResponse::default().with_api_keys(keys)
}

pub(super) async fn handle(_call: &Call<'_>, _request: ApiVersionsRequest) -> ApiVersionsResponse {
    response()
}

/// A version that is not known is answered in version 0, which every client reads, so that it can ask again.
pub(super) fn unsupported(out: &mut Vec<u8>) -> Result<(), CallError> {
    response()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .encode(out, 0)
        .map_err(|error| CallError::Unencodable {
            api: ApiKey::ApiVersions,
            why: error.to_string(),
        })
}

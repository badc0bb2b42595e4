//! The requests that the broker answers: one table of versions, layout and handler.

mod api_versions;
mod configs;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod produce;
mod records;
mod topics;

#[cfg(test)]
mod guard_tests;

pub(crate) use produce::now;

use std::net::SocketAddr;

use bytes::{BufMut, Bytes};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{self, ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use thiserror::Error;

use super::Broker;
use super::guard::{self, Malformed, Schema};
use super::limits::Permit;
use super::schema;

/// The only node's id.
pub(crate) const NODE: i32 = 1;

/// Why a request gets no answer and its connection is closed.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("API {0} is not supported")]
    UnknownApi(i16),
    #[error("version {version} of {api:?} is not supported")]
    UnknownVersion { api: ApiKey, version: i16 },
    #[error("malformed {api:?} request: {source}")]
    Malformed { api: ApiKey, source: Malformed },
    #[error("a {api:?} request cannot be decoded: {why}")]
    Undecodable { api: ApiKey, why: String },
    #[error("a {api:?} response cannot be encoded: {why}")]
    Unencodable { api: ApiKey, why: String },
    #[error("a record that nobody waits for was refused: {0}")]
    Unacknowledged(String),
}

/// Who asks, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub broker: &'a Broker,
    /// The address that the client connected to: what the broker calls itself towards it.
    pub local: SocketAddr,
    /// The client's address.
    pub peer: SocketAddr,
    pub client_id: Option<StrBytes>,
    pub version: i16,
}

/// A response on its way: its frame, and the permission for its memory where it is great.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub bytes: Vec<u8>,
    pub permit: Option<Permit>,
}

/// One line of the table as `ApiVersions` tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Supported {
    pub api: ApiKey,
    pub min: i16,
    pub max: i16,
}

struct Raw<'a> {
    api: ApiKey,
    version: i16,
    body: Bytes,
    out: &'a mut Vec<u8>,
    permit: &'a mut Option<Permit>,
}

impl Raw<'_> {
    fn decode<T: Decodable>(&mut self, schema: &Schema) -> Result<T, CallError> {
        let api = self.api;
        guard::check(schema, self.version, &self.body).map_err(|source| CallError::Malformed { api, source })?;
        T::decode(&mut self.body, self.version).map_err(|error| CallError::Undecodable {
            api,
            why: error.to_string(),
        })
    }

    fn encode(&mut self, response: &impl Encodable) -> Result<(), CallError> {
        response
            .encode(&mut self.out, self.version)
            .map_err(|error| CallError::Unencodable {
                api: self.api,
                why: error.to_string(),
            })
    }
}

macro_rules! table {
    ($($api:ident $min:literal..=$max:literal, $request:ident, $schema:ident => $handler:expr;)*) => {
        /// What is answered here. `ApiVersions` tells this table, so that nothing is offered that is not done.
        pub(crate) const SUPPORTED: &[Supported] = &[
            $(Supported { api: ApiKey::$api, min: $min, max: $max },)*
        ];

        async fn answer(call: &Call<'_>, mut raw: Raw<'_>) -> Result<bool, CallError> {
            match raw.api {
                ApiKey::Produce => return produce::handle(call, raw),
                ApiKey::Fetch => fetch::handle(call, raw).await?,
                $(ApiKey::$api => {
                    let request: messages::$request = raw.decode(&schema::$schema)?;
                    let response = $handler(call, request).await;
                    raw.encode(&response)?;
                })*
                _ => return Err(CallError::UnknownApi(raw.api as i16)),
            }
            Ok(true)
        }

        /// How the guard's tests reach the layout and the decoder of every line.
        #[cfg(test)]
        fn line_of(api: ApiKey) -> (&'static Schema, fn(&mut Bytes, i16) -> bool) {
            match api {
                ApiKey::Produce => (&schema::PRODUCE, |body, version| {
                    messages::ProduceRequest::decode(body, version).is_ok()
                }),
                ApiKey::Fetch => (&schema::FETCH, |body, version| {
                    messages::FetchRequest::decode(body, version).is_ok()
                }),
                $(ApiKey::$api => (&schema::$schema, |body, version| {
                    messages::$request::decode(body, version).is_ok()
                }),)*
                _ => unreachable!("{api:?} is not in the table"),
            }
        }
    };
}

// Produce and Fetch write their responses themselves and stand in `DATA`.
table! {
    ListOffsets 1..=7, ListOffsetsRequest, LIST_OFFSETS => list_offsets::handle;
    Metadata 0..=12, MetadataRequest, METADATA => metadata::handle;
    ApiVersions 0..=3, ApiVersionsRequest, API_VERSIONS => api_versions::handle;
    CreateTopics 2..=7, CreateTopicsRequest, CREATE_TOPICS => topics::create;
    DeleteTopics 1..=6, DeleteTopicsRequest, DELETE_TOPICS => topics::delete;
    CreatePartitions 0..=3, CreatePartitionsRequest, CREATE_PARTITIONS => topics::grow;
    DescribeConfigs 1..=4, DescribeConfigsRequest, DESCRIBE_CONFIGS => configs::describe;
    IncrementalAlterConfigs 0..=1, IncrementalAlterConfigsRequest, INCREMENTAL_ALTER_CONFIGS => configs::alter;
    DeleteRecords 0..=2, DeleteRecordsRequest, DELETE_RECORDS => records::delete;
    DescribeCluster 0..=1, DescribeClusterRequest, DESCRIBE_CLUSTER => metadata::cluster;
    InitProducerId 0..=4, InitProducerIdRequest, INIT_PRODUCER_ID => produce::init_producer_id;
    FindCoordinator 0..=6, FindCoordinatorRequest, FIND_COORDINATOR => groups::find;
    JoinGroup 0..=9, JoinGroupRequest, JOIN_GROUP => groups::join;
    SyncGroup 0..=5, SyncGroupRequest, SYNC_GROUP => groups::sync;
    Heartbeat 0..=4, HeartbeatRequest, HEARTBEAT => groups::heartbeat;
    LeaveGroup 0..=5, LeaveGroupRequest, LEAVE_GROUP => groups::leave;
    OffsetCommit 2..=9, OffsetCommitRequest, OFFSET_COMMIT => groups::commit;
    OffsetFetch 1..=9, OffsetFetchRequest, OFFSET_FETCH => groups::committed;
    OffsetDelete 0..=0, OffsetDeleteRequest, OFFSET_DELETE => groups::forget_offsets;
    ConsumerGroupHeartbeat 0..=1, ConsumerGroupHeartbeatRequest, CONSUMER_GROUP_HEARTBEAT => groups::refuse_new_protocol;
    ListGroups 0..=5, ListGroupsRequest, LIST_GROUPS => groups::list;
    DescribeGroups 0..=6, DescribeGroupsRequest, DESCRIBE_GROUPS => groups::describe;
    DeleteGroups 0..=2, DeleteGroupsRequest, DELETE_GROUPS => groups::delete;
}

/// The data path.
pub(crate) const DATA: &[Supported] = &[
    Supported {
        api: ApiKey::Produce,
        min: 3,
        max: 9,
    },
    Supported {
        api: ApiKey::Fetch,
        min: 4,
        max: 12,
    },
];

fn supported(api: ApiKey) -> Option<&'static Supported> {
    DATA.iter().chain(SUPPORTED).find(|line| line.api == api)
}

/// Answers one request into `reply`, length and header included; `false` where the client wants no answer.
pub(crate) async fn dispatch(
    broker: &Broker,
    (local, peer): (SocketAddr, SocketAddr),
    mut frame: Bytes,
    reply: &mut Reply,
) -> Result<bool, CallError> {
    let key = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let correlation: [u8; 4] = [frame[4], frame[5], frame[6], frame[7]];
    let api = ApiKey::try_from(key).map_err(|()| CallError::UnknownApi(key))?;
    let line = supported(api).ok_or(CallError::UnknownApi(key))?;
    let out = &mut reply.bytes;
    reply.permit = None;
    out.clear();
    out.put_slice(&[0; 4]);
    out.put_slice(&correlation);
    let wanted = if !(line.min..=line.max).contains(&version) {
        if api != ApiKey::ApiVersions {
            return Err(CallError::UnknownVersion { api, version });
        }
        api_versions::unsupported(out)?;
        true
    } else {
        let header_version = api.request_header_version(version);
        guard::check_header(header_version, &frame).map_err(|source| CallError::Malformed { api, source })?;
        let header = RequestHeader::decode(&mut frame, header_version).map_err(|error| CallError::Undecodable {
            api,
            why: error.to_string(),
        })?;
        if api.response_header_version(version) >= 1 {
            out.put_u8(0);
        }
        let call = Call {
            broker,
            local,
            peer,
            client_id: header.client_id,
            version,
        };
        let raw = Raw {
            api,
            version,
            body: frame,
            out,
            permit: &mut reply.permit,
        };
        answer(&call, raw).await?
    };
    let length = i32::try_from(reply.bytes.len() - 4).map_err(|_| CallError::Unencodable {
        api,
        why: "it is longer than a frame can be".to_owned(),
    })?;
    reply.bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(wanted)
}

/// A message for the client.
fn text(message: impl Into<String>) -> Option<StrBytes> {
    Some(StrBytes::from_string(message.into()))
}

/// The error code and message of a disk that refused something; the log says where.
fn storage(error: &std::io::Error) -> (i16, Option<StrBytes>) {
    tracing::error!(%error, "the broker's disk refused a request");
    (
        ResponseError::KafkaStorageError.code(),
        text(format!("the broker's disk refused it: {error}")),
    )
}

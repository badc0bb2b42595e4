//! A third client that says exactly what a test wants to be said: one request, one version, one connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ListOffsetsRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};

use super::PATIENCE;
use super::cluster::Cluster;

/// One connection to a broker.
pub struct Wire {
    stream: TcpStream,
    correlation: i32,
}

impl Wire {
    /// Connects.
    pub fn new(cluster: &Cluster) -> Self {
        let stream = TcpStream::connect(&cluster.bootstrap).expect("the broker accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, correlation: 0 }
    }

    /// Sends a request without waiting; returns its correlation id.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("contract-wire")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, R::header_version(version)).expect("a header");
        request
            .encode(&mut frame, version)
            .unwrap_or_else(|error| panic!("{:?} {version}: {error}", ApiKey::try_from(R::KEY)));
        self.send_frame(&frame);
        self.correlation
    }

    /// Sends bytes as one frame.
    pub fn send_frame(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("a frame's length");
        self.stream.write_all(&length.to_be_bytes()).expect("written");
        self.stream.write_all(frame).expect("written");
    }

    /// The next frame, or `None` where the broker closed the connection.
    pub fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("no answer: {error}"),
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut frame).expect("a whole frame");
        Some(frame.into())
    }

    /// The answer to a request of this kind: correlation id and body. Bytes left over fail the test.
    pub fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let what = (ApiKey::try_from(R::KEY), version);
        let mut frame = self
            .frame()
            .unwrap_or_else(|| panic!("{what:?}: the connection was closed"));
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version)).expect("a header");
        let response = R::Response::decode(&mut frame, version).unwrap_or_else(|error| panic!("{what:?}: {error}"));
        assert!(frame.is_empty(), "{what:?}: {} bytes too many", frame.len());
        (header.correlation_id, response)
    }

    /// Asks and waits for the answer.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let sent = self.send(request, version);
        let (correlation, response) = self.receive::<R>(version);
        assert_eq!(correlation, sent, "{:?} {version}", ApiKey::try_from(R::KEY));
        response
    }

    /// The versions of an API that both the broker and this client speak; empty where the broker does not serve it.
    pub fn versions<R: Request>(&mut self) -> std::ops::RangeInclusive<i16> {
        let served = self.ask(&ApiVersionsRequest::default(), 0);
        assert_eq!(served.error_code, 0);
        let Some(api) = served.api_keys.iter().find(|api| api.api_key == R::KEY) else {
            #[allow(clippy::reversed_empty_ranges, reason = "what an empty range looks like")]
            return 1..=0;
        };
        api.min_version.max(R::VERSIONS.min)..=api.max_version.min(R::VERSIONS.max)
    }
}

/// Whether the broker answers for these partitions of a topic: it may know of them and not serve them yet.
pub fn serves(cluster: &Cluster, topic: &str, partitions: &[i32]) -> bool {
    let end = |partition: &i32| {
        ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_timestamp(-1)
    };
    let asked = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions.iter().map(end).collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked]);
    let mut wire = Wire::new(cluster);
    let version = *wire.versions::<ListOffsetsRequest>().end();
    let answer = wire.ask(&request, version);
    let found = &answer.topics[0].partitions;
    found.len() == partitions.len() && found.iter().all(|partition| partition.error_code == 0)
}

/// A topic's name on the wire.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// Who writes a batch: producer id, epoch, first sequence number.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    pub producer: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// Nobody in particular.
pub const ANYBODY: Writing = Writing {
    producer: NO_PRODUCER_ID,
    epoch: NO_PRODUCER_EPOCH,
    sequence: NO_SEQUENCE,
};

/// A record batch with these values.
pub fn batch(values: &[&str], writing: Writing) -> Bytes {
    let records: Vec<Record> = values
        .iter()
        .zip(0..)
        .map(|(value, n)| Record {
            transactional: false,
            control: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: writing.producer,
            producer_epoch: writing.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(n),
            // The encoder begins a new batch wherever offsets and sequence numbers do not run side by side.
            sequence: writing.sequence + n,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Default::default(),
            delete_horizon: false,
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("a batch");
    bytes.freeze()
}

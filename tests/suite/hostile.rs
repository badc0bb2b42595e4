//! Hostile bytes at the embedded broker's port: whatever they are, its memory stays bounded and it goes on serving others.
//!
//! Each attack has a broker of its own, as a process, so that what it took can be measured and a crash is seen.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, FetchRequest};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::common::PATIENCE;
use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::process::{BrokerProcess, alone};
use crate::common::raw::{Admin, New, Writer, read_all, texts, write_values};
use crate::common::wire::{Wire, topic_name};

/// What the process may have held at once, everything counted. Each attack asks for many times that.
const BOUND: u64 = 500 << 20;

/// A broker under attack.
struct Victim {
    process: BrokerProcess,
    cluster: Cluster,
    _data: TempDir,
}

impl Victim {
    fn new() -> Self {
        let data = scratch();
        let process = BrokerProcess::start(data.path(), "127.0.0.1:0");
        Self {
            cluster: process.cluster(),
            process,
            _data: data,
        }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.cluster.bootstrap)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sends bytes on a connection of their own and waits until the broker has taken or refused them all.
    fn send(&self, bytes: &[u8]) {
        let mut stream = self.connect().expect("the broker accepts");
        // It may close the connection before it has read everything.
        let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        if sent.is_ok() {
            match stream.read_to_end(&mut Vec::new()) {
                Ok(_) => {}
                Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "it neither answers nor closes"),
            }
        }
    }

    /// A client that behaves writes and reads.
    fn serves(&self) {
        let topic = unique("good");
        Admin::new(&self.cluster).create_topic(&topic, 1, &[]).expect("created");
        write_values(&self.cluster, &topic, 0, &["a", "b", "c"]);
        assert_eq!(texts(&read_all(&self.cluster, &topic, 0)), ["a", "b", "c"]);
    }

    /// Still serves, and never took more than it may.
    fn survived(&self) {
        self.serves();
        // Only Linux tells it in a file.
        let path = format!("/proc/{}/status", self.process.pid());
        if let Ok(status) = std::fs::read_to_string(path) {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(kibibytes << 10 < BOUND, "it took {} MiB", kibibytes >> 10);
        }
    }

    /// Everything that it says it serves.
    fn lines(&self) -> Vec<(ApiKey, i16)> {
        let served = Wire::new(&self.cluster).ask(&ApiVersionsRequest::default(), 0);
        let line = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            let key = ApiKey::try_from(api.api_key).expect("a known API");
            (api.min_version..=api.max_version)
                .map(|version| (key, version))
                .collect::<Vec<_>>()
        };
        served.api_keys.iter().flat_map(line).collect()
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// A request with a good header and this body.
fn request(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (api as i16).to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 1]);
    if api.request_header_version(version) >= 1 {
        bytes.extend_from_slice(&[0xff, 0xff]);
    }
    if api.request_header_version(version) >= 2 {
        bytes.push(0);
    }
    bytes.extend_from_slice(body);
    framed(&bytes)
}

#[test]
fn random_bytes() {
    let victim = Victim::new();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for number in 0..600 {
        let mut bytes = vec![0; random.random_range(0..2000)];
        random.fill_bytes(&mut bytes);
        victim.send(&bytes);
        // As one frame, and as a request that exists.
        victim.send(&framed(&bytes));
        let api = ApiKey::try_from(number % 50).unwrap_or(ApiKey::Metadata);
        victim.send(&request(api, random.random_range(0..10), &bytes));
    }
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\x80\x00\x00\x00",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        victim.send(bytes);
    }
    victim.survived();
}

#[test]
fn lengths_of_two_thousand_million_in_every_request() {
    let victim = Victim::new();
    let huge: [&[u8]; 3] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    ];
    for (api, version) in victim.lines() {
        for huge in huge {
            for before in [0, 1, 2, 4, 6, 8, 11] {
                // Whatever stands before the length is empty, zero or one.
                for fill in [0, 1] {
                    let mut body = vec![fill; before];
                    (0..12).for_each(|_| body.extend_from_slice(huge));
                    victim.send(&request(api, version, &body));
                }
            }
        }
    }
    victim.survived();
}

#[test]
fn requests_cut_short_and_requests_of_nothing_but_elements() {
    let victim = Victim::new();
    for (api, version) in victim.lines() {
        let whole = request(api, version, &[1; 40]);
        for length in [4, 8, 11, 12, 14, 20, whole.len() - 1] {
            victim.send(&whole[..length]);
        }
        // Three million bytes, each an empty string, an empty array or a tagged field.
        for fill in [0, 1] {
            let mut body = vec![0xc1, 0x84, 0x3d];
            body.resize(3_000_000, fill);
            victim.send(&request(api, version, &body));
            let mut body = 1_000_000i32.to_be_bytes().to_vec();
            body.resize(3_000_000, fill);
            victim.send(&request(api, version, &body));
        }
    }
    // A million tagged fields in the header of a produce request, the only one that may be longer than 4 MiB.
    let mut head = vec![0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07];
    for tag in 0..4_000_000u32 {
        head.extend_from_slice(&[
            tag as u8 | 0x80,
            (tag >> 7) as u8 | 0x80,
            (tag >> 14) as u8 | 0x80,
            1,
            0,
        ]);
    }
    victim.send(&framed(&head));
    victim.survived();
}

#[test]
fn great_requests_that_never_end() {
    let victim = Victim::new();
    let mut claim = (90u32 << 20).to_be_bytes().to_vec();
    claim.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff]);
    claim.resize(100_000, 0);
    let mut open = Vec::new();
    for number in 0..400 {
        let mut stream = victim.connect().expect("the broker accepts");
        match number % 3 {
            // Half of a head, a whole one with some data, and a request that is one byte short.
            0 => stream.write_all(&claim[..7]).unwrap(),
            1 => stream.write_all(&claim).unwrap(),
            _ => {
                let whole = request(ApiKey::Metadata, 9, &vec![0; 60_000]);
                stream.write_all(&whole[..whole.len() - 1]).unwrap();
            }
        }
        open.push(stream);
    }
    // Others send as much as the broker takes: all that is taken beyond a bound waits for its turn.
    for stream in open.iter_mut().skip(1).step_by(3) {
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = stream.write(&vec![0; 8 << 20]);
    }
    victim.survived();
    drop(open);
    victim.survived();
}

#[test]
fn more_connections_than_anybody_needs() {
    // It opens files until it may open no more.
    if !alone("hostile::more_connections_than_anybody_needs") {
        return;
    }
    let victim = Victim::new();
    let mut open = Vec::new();
    for _ in 0..2000 {
        match victim.connect() {
            Ok(stream) => open.push(stream),
            // This process may not have more files open.
            Err(_) => break,
        }
        if open.len() == 900 {
            victim.serves();
        }
    }
    assert!(
        open.len() > 600,
        "only {} connections: raise the limit of open files",
        open.len()
    );
    // Room for the good client's own.
    open.truncate(open.len() - 50);
    victim.survived();
    // Those that were silent longest have made way.
    let closed = open[0].read(&mut [0]);
    assert!(matches!(closed, Ok(0)) || closed.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}

#[test]
fn great_responses_that_nobody_reads() {
    let victim = Victim::new();
    let topic = unique("great");
    Admin::new(&victim.cluster).create_topic(&topic, 1, &[]).unwrap();
    let mut writer = Writer::new(&victim.cluster, &[("acks", "1")]);
    let mut value = vec![0; 1 << 20];
    ChaCha8Rng::seed_from_u64(3).fill_bytes(&mut value);
    for _ in 0..80 {
        writer.send(
            &topic,
            New {
                partition: Some(0),
                ..New::value(&value)
            },
        );
    }
    writer.acknowledged();
    let wanted = FetchPartition::default()
        .with_partition_max_bytes(i32::MAX)
        .with_fetch_offset(0);
    let wanted = FetchTopic::default()
        .with_topic(topic_name(&topic))
        // The same partition a hundred times, too.
        .with_partitions(vec![wanted; 100]);
    let fetch = FetchRequest::default()
        .with_max_bytes(i32::MAX)
        .with_max_wait_ms(1000)
        .with_session_epoch(-1)
        .with_topics(vec![wanted]);
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut wire = Wire::new(&victim.cluster);
        wire.send(&fetch, 11);
        open.push(wire);
    }
    victim.survived();
    // Whoever reads gets a response that is whole.
    let (_, response) = open.pop().unwrap().receive::<FetchRequest>(11);
    assert!(response.responses[0].partitions[0].records.is_some());
    victim.survived();
}

#[test]
fn short_requests_for_long_answers() {
    let victim = Victim::new();
    Admin::new(&victim.cluster).create_topic("t", 1000, &[]).unwrap();
    // The same topic thirty thousand times: its thousand partitions, its configuration, its offsets.
    let times = 30_000u32;
    let mut names = times.to_be_bytes().to_vec();
    let mut resources = names.clone();
    let mut partitions = [&[0xff; 4][..], &1u32.to_be_bytes(), &[0, 1, b't'], &times.to_be_bytes()].concat();
    for _ in 0..times {
        names.extend_from_slice(&[0, 1, b't']);
        resources.extend_from_slice(&[2, 0, 1, b't', 0xff, 0xff, 0xff, 0xff]);
        partitions.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    }
    resources.push(1);
    for _ in 0..3 {
        victim.send(&request(ApiKey::Metadata, 1, &names));
        victim.send(&request(ApiKey::DescribeConfigs, 1, &resources));
        victim.send(&request(ApiKey::ListOffsets, 1, &partitions));
        victim.send(&request(ApiKey::DescribeGroups, 0, &names));
    }
    victim.survived();
}

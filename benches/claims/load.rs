//! What drives the load: a producer, a consumer, and the processes whose time or memory is taken.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use foldlog::broker::reader::{Order, Poll, Range, ReadPlan};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::common::PATIENCE;
use crate::common::cluster::{Cluster, Kind};
use crate::common::raw::{Admin, config_with};
use crate::data;

/// How many partitions the topics have.
pub const PARTITIONS: i32 = 4;

/// Writes events `0..count` of `size` bytes, keyed by their customer, and returns how long it took to have all acknowledged.
pub fn produce(cluster: &Cluster, topic: &str, count: u64, size: usize) -> Duration {
    produce_as(cluster, topic, "none", count, size, data::event)
}

/// Writes event `n` of a size into a buffer, and returns its key.
pub type Make = fn(u64, usize, &mut Vec<u8>) -> String;

/// The same, compressed with this codec.
fn produce_as(cluster: &Cluster, topic: &str, codec: &str, count: u64, size: usize, make: Make) -> Duration {
    let producer: BaseProducer = config_with(
        cluster,
        &[
            ("acks", "all"),
            ("linger.ms", "5"),
            ("compression.codec", codec),
            ("queue.buffering.max.messages", "1000000"),
            ("queue.buffering.max.kbytes", "1048576"),
        ],
    )
    .create()
    .expect("a producer");
    let mut event = Vec::new();
    let start = Instant::now();
    for n in 0..count {
        let key = make(n, size, &mut event);
        let mut record = BaseRecord::to(topic).key(key.as_bytes()).payload(&event[..]);
        while let Err((error, again)) = producer.send(record) {
            assert!(
                matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
                "{error}"
            );
            producer.poll(Duration::from_millis(1));
            record = again;
        }
        if n % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer
        .flush(Duration::from_secs(300))
        .expect("everything is acknowledged");
    start.elapsed()
}

/// A topic filled with events.
pub fn filled(cluster: &Cluster, topic: &str, count: u64, size: usize) {
    filled_as(cluster, topic, PARTITIONS, "none", count, size);
}

/// A topic filled with events of another kind.
pub fn filled_with(cluster: &Cluster, topic: &str, count: u64, size: usize, make: Make) {
    let admin = Admin::new(cluster);
    admin
        .create_topic(topic, PARTITIONS, &[])
        .expect("the topic is created");
    produce_as(cluster, topic, "none", count, size, make);
}

/// A topic of this many partitions, filled with events that are compressed with this codec.
pub fn filled_as(cluster: &Cluster, topic: &str, partitions: i32, codec: &str, count: u64, size: usize) {
    Admin::new(cluster)
        .create_topic(topic, partitions, &[])
        .expect("the topic is created");
    produce_as(cluster, topic, codec, count, size, data::event);
}

/// Reads the topic to its end through Foldlog's reader; returns how many records and bytes of values there were.
pub fn consume(cluster: &Cluster, topic: &str) -> (u64, u64) {
    let client = cluster.client();
    let info = client.topic(topic).expect("the topic");
    let ranges = client
        .watermarks(&info)
        .expect("watermarks")
        .iter()
        .map(|marks| Range {
            topic: topic.into(),
            partition: marks.partition,
            start: marks.low,
            end: Some(marks.high),
        })
        .collect();
    let mut reader = client
        .reader(ReadPlan {
            ranges,
            order: Order::Arrival,
        })
        .expect("a reader");
    let (mut records, mut bytes) = (0, 0);
    loop {
        match reader.poll(PATIENCE).expect("records") {
            Poll::Batch(batch) => {
                for record in batch.iter() {
                    records += 1;
                    bytes += record.value.map_or(0, <[u8]>::len) as u64;
                }
            }
            Poll::Idle => panic!("no record for {PATIENCE:?}"),
            Poll::End => return (records, bytes),
        }
    }
}

/// What this program does when it is started as a part of one of its own measurements.
pub fn child(role: &str, arguments: &[String]) -> ExitCode {
    match (role, arguments) {
        ("child-consume", [bootstrap, topic]) => {
            let (records, bytes) = consume(&Cluster::at(Kind::Embedded, bootstrap), topic);
            println!("{records} {bytes}");
            ExitCode::SUCCESS
        }
        // The program itself, in a process that can say what it used.
        ("child-memory", arguments) => {
            let cli = clap::Parser::parse_from(std::iter::once("foldlog".to_owned()).chain(arguments.iter().cloned()));
            if let Err(error) = foldlog::cli::run(cli) {
                eprintln!("{error:?}");
                return ExitCode::FAILURE;
            }
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            println!("\npeak {}", peak.unwrap_or("unknown").trim());
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

/// This program again, in a role.
pub fn myself(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.arg(role);
    command
}

/// The built `foldlog`.
pub fn foldlog() -> Command {
    Command::new(env!("CARGO_BIN_EXE_foldlog"))
}

/// Runs a process to its end; returns how long it lived and what it printed.
pub fn timed(command: &mut Command) -> (Duration, String) {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = start.elapsed();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    (took, String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// kcat as it is fastest: deep queues, and offsets that it need not look up. Prints every value to `/dev/null`.
pub fn kcat(cluster: &Cluster, topic: &str) -> Command {
    let mut command = Command::new("kcat");
    command
        .args(["-C", "-q", "-e", "-o", "0", "-b", &cluster.bootstrap, "-t", topic])
        .args([
            "-X",
            "queued.min.messages=1000000",
            "-X",
            "queued.max.messages.kbytes=1048576",
        ])
        .stdout(std::fs::File::create("/dev/null").expect("/dev/null"));
    command
}

/// How many lines of `-o json` output the query's single row of integers has, as numbers.
pub fn query_numbers(cluster: &Cluster, data: &Path, sql: &str) -> Vec<u64> {
    let (_, printed) = timed(
        foldlog()
            .args(["-b", &cluster.bootstrap, "--data"])
            .arg(data)
            .args(["query", "-o", "csv", sql]),
    );
    let row = printed
        .lines()
        .nth(1)
        .unwrap_or_else(|| panic!("no row in {printed:?}"));
    row.split(',')
        .map(|cell| cell.trim().parse().expect("a number"))
        .collect()
}

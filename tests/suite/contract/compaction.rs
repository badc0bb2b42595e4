//! Compaction: of each key the last record stays, at its offset, as it was written.

use foldlog::record::{Header, Record, Timestamp};
use rdkafka::Offset;
use rdkafka::error::RDKafkaErrorCode;

use crate::common::cluster::Cluster;
use crate::common::eventually;
use crate::common::java::tool;
use crate::common::raw::{New, Writer, read_all, read_from};

/// Segments are closed soon, and compacted as soon as there is anything to compact.
const SOON: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.001"),
];

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[test]
fn a_record_without_a_key_is_refused() {
    let cluster = Cluster::shared();
    // Not soon: two records here have one key, and both are to be seen.
    let topic = cluster.topic_with(1, &[("cleanup.policy", "compact")]);
    let mut writer = Writer::new(&cluster, &[]);
    writer.send(&topic, New::value(b"no key"));
    let refused = writer.finish();
    assert_eq!(refused, [Err(RDKafkaErrorCode::InvalidRecord)]);
    let mut writer = Writer::new(&cluster, &[]);
    for value in [Some(b"value".as_slice()), None] {
        let key = Some(b"".as_slice());
        writer.send(
            &topic,
            New {
                key,
                value,
                ..New::default()
            },
        );
    }
    writer.acknowledged();
    assert_eq!(read_all(&cluster, &topic, 0).len(), 2);
}

/// Rounds of records of twelve keys, by every codec in turn; of one key all records are tombstones.
struct Rounds<'a> {
    topic: &'a str,
    writers: Vec<Writer>,
    /// Everything that was written, by offset.
    written: Vec<Record>,
}

impl<'a> Rounds<'a> {
    fn new(cluster: &Cluster, topic: &'a str) -> Self {
        let writer = |codec| Writer::new(cluster, &[("compression.codec", codec), ("enable.idempotence", "true")]);
        Self {
            topic,
            writers: CODECS.map(writer).into(),
            written: Vec::new(),
        }
    }

    fn write(&mut self) {
        let round = self.written.len() / 12;
        let writer = &mut self.writers[round % CODECS.len()];
        for n in 0..12 {
            let offset = self.written.len() as i64;
            let (key, value) = (format!("k{n}"), format!("{{\"round\":{round},\"n\":{n}}}"));
            let record = Record {
                topic: self.topic.into(),
                partition: 0,
                offset,
                timestamp: Some(Timestamp(1_700_000_000_000 + offset * 1000)),
                key: Some(key.into_bytes()),
                value: (n != 7).then(|| value.clone().into_bytes()),
                headers: vec![Header {
                    key: "round".to_owned(),
                    value: Some(value.into_bytes()),
                }],
            };
            let headers = [("round", record.headers[0].value.as_deref())];
            writer.send(
                self.topic,
                New {
                    partition: Some(0),
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    timestamp: record.timestamp.map(|time| time.0),
                    headers: &headers,
                },
            );
            self.written.push(record);
        }
        writer.acknowledged();
    }
}

#[test]
fn the_last_record_of_each_key_stays_at_its_offset_as_it_was_written() {
    let cluster = Cluster::shared();
    let topic = cluster.topic_with(1, &SOON);
    let mut rounds = Rounds::new(&cluster, &topic);
    (0..20).for_each(|_| rounds.write());
    // A segment is closed by the first write after its time, and compacted some time after that.
    eventually("the compaction of 20 rounds", || {
        rounds.write();
        let left = read_all(&cluster, &topic, 0);
        (left.iter().filter(|record| record.offset < 240).count() < 12).then_some(())
    });
    // Compaction goes on by itself: what is seen counts where nothing changed meanwhile.
    let (left, on, by_time, java) = eventually("a moment without compaction", || {
        let left = read_all(&cluster, &topic, 0);
        let on = read_from(&cluster, &topic, 0, Offset::Offset(left[0].offset + 1));
        let info = cluster.client().topic(&topic).unwrap();
        let by_time = cluster.client().offsets_at(&info, left[1].timestamp.unwrap()).unwrap();
        let java = java_sees(&cluster, &topic);
        (read_all(&cluster, &topic, 0) == left).then_some((left, on, by_time, java))
    });
    // What is there is what was written there, by every codec, tombstones included.
    for record in &left {
        assert_eq!(*record, rounds.written[usize::try_from(record.offset).unwrap()]);
    }
    assert_eq!(left[left.len() - 12..], rounds.written[rounds.written.len() - 12..]);
    // Offsets stay what they were, so that a reader's position means the same before and after.
    let client = cluster.client();
    let marks = client.watermarks(&client.topic(&topic).unwrap()).unwrap()[0];
    assert_eq!((marks.low, marks.high), (0, rounds.written.len() as i64));
    assert_eq!(on, left[1..]);
    assert_eq!(by_time, [(0, left[1].offset)]);
    if let Some(printed) = java {
        assert_eq!(
            printed.lines().collect::<Vec<_>>(),
            left[..12].iter().map(line).collect::<Vec<_>>()
        );
    }
}

/// The first twelve records, of which there are never fewer: Java unpacks what a broker packed anew, too.
fn java_sees(cluster: &Cluster, topic: &str) -> Option<String> {
    let arguments = [
        "consume",
        "--bootstrap-server",
        &cluster.bootstrap,
        "--topic",
        topic,
        "--from-beginning",
        "--max-messages",
        "12",
        "--timeout-ms",
        "60000",
        "--formatter-property",
        "print.offset=true",
        "--formatter-property",
        "print.key=true",
    ];
    tool(&arguments, "")
}

/// A record as Java's consumer prints it.
fn line(record: &Record) -> String {
    let text =
        |bytes: Option<&Vec<u8>>| bytes.map_or("null".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let (key, value) = (text(record.key.as_ref()), text(record.value.as_ref()));
    format!("Offset:{}\t{key}\t{value}", record.offset)
}

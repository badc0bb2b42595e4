//! Kafka's own Java tools against the broker: what they print is what a Java service would see.

use crate::common::cluster::{Cluster, unique};
use crate::common::eventually;
use crate::common::java::tool;
use crate::common::raw::{Admin, New, Writer, read_all, texts, write_values};

#[test]
fn java_reads_what_librdkafka_wrote() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut writer = Writer::new(&cluster, &[("compression.codec", "lz4")]);
    for n in 0..500 {
        let (key, value) = (format!("k{n}"), format!("{{\"n\":{n}}}"));
        let headers: &[(&str, Option<&[u8]>)] = &[("h", Some(b"1")), ("h", Some(b"2"))];
        let (key, value) = (key.as_bytes(), value.as_bytes());
        writer.send(
            &topic,
            New {
                key: Some(key),
                headers,
                ..New::value(value)
            },
        );
    }
    writer.send(
        &topic,
        New {
            key: Some(b"gone"),
            ..New::default()
        },
    );
    writer.acknowledged();
    let Some(printed) = tool(
        &[
            "consume",
            "--bootstrap-server",
            &cluster.bootstrap,
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "501",
            "--timeout-ms",
            "60000",
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "print.headers=true",
            "--formatter-property",
            "print.offset=true",
        ],
        "",
    ) else {
        return;
    };
    let lines: Vec<&str> = printed.lines().collect();
    let mut expected: Vec<String> = (0..500)
        .map(|n| format!("Offset:{n}\th:1,h:2\tk{n}\t{{\"n\":{n}}}"))
        .collect();
    expected.push("Offset:500\tNO_HEADERS\tgone\tnull".to_owned());
    assert_eq!(lines, expected);
}

#[test]
fn librdkafka_reads_what_java_wrote() {
    let cluster = Cluster::shared();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = cluster.topic(1);
        let input: String = (0..200).map(|n| format!("k{n}\t{{\"n\":{n}}}\n")).collect();
        let sent = tool(
            &[
                "produce",
                "--bootstrap-server",
                &cluster.bootstrap,
                "--topic",
                &topic,
                "--compression-codec",
                codec,
                "--reader-property",
                "parse.key=true",
                "--command-property",
                "enable.idempotence=true",
                "--command-property",
                "acks=all",
            ],
            &input,
        );
        if sent.is_none() {
            return;
        }
        let records = read_all(&cluster, &topic, 0);
        let values: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(texts(&records), values, "{codec}");
        assert_eq!(records[199].key.as_deref(), Some(&b"k199"[..]));
    }
}

#[test]
fn java_makes_describes_and_removes_topics() {
    let cluster = Cluster::shared();
    let topic = unique("java");
    let topics = |arguments: &[&str]| {
        let mut all = vec!["topics", "--bootstrap-server", &cluster.bootstrap];
        all.extend_from_slice(arguments);
        tool(&all, "")
    };
    let create = [
        "--create",
        "--topic",
        &topic,
        "--partitions",
        "3",
        "--config",
        "cleanup.policy=compact",
    ];
    if topics(&create).is_none() {
        return;
    }
    // A controller answers before the broker has heard of it.
    let admin = Admin::new(&cluster);
    let has = |count: usize| {
        eventually("the broker to know", || {
            (admin.partitions(&topic).unwrap_or_default().len() == count).then_some(())
        });
    };
    has(3);
    assert!(topics(&["--list"]).unwrap().lines().any(|line| line == topic));
    let described = topics(&["--describe", "--topic", &topic]).unwrap();
    assert!(described.contains("PartitionCount: 3"), "{described}");
    assert!(described.contains("ReplicationFactor: 1"), "{described}");
    assert!(described.contains("cleanup.policy=compact"), "{described}");
    topics(&["--alter", "--topic", &topic, "--partitions", "5"]).unwrap();
    has(5);
    let described = topics(&["--describe", "--topic", &topic]).unwrap();
    assert!(described.contains("PartitionCount: 5"), "{described}");
    topics(&["--delete", "--topic", &topic]).unwrap();
    has(0);
    assert!(!topics(&["--list"]).unwrap().lines().any(|line| line == topic));
}

#[test]
fn java_groups_commit_and_show_their_lag() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let group = unique("java");
    let values: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    write_values(&cluster, &topic, 0, &values);
    write_values(&cluster, &topic, 1, &values);
    let consumed = tool(
        &[
            "consume",
            "--bootstrap-server",
            &cluster.bootstrap,
            "--topic",
            &topic,
            "--group",
            &group,
            "--from-beginning",
            "--max-messages",
            "20",
            "--timeout-ms",
            "60000",
        ],
        "",
    );
    let Some(consumed) = consumed else { return };
    assert_eq!(consumed.lines().count(), 20);
    write_values(&cluster, &topic, 1, &values[..3]);
    let groups = |arguments: &[&str]| {
        let mut all = vec!["groups", "--bootstrap-server", &cluster.bootstrap];
        all.extend_from_slice(arguments);
        tool(&all, "").unwrap()
    };
    assert!(groups(&["--list"]).lines().any(|line| line == group));
    let described = groups(&["--describe", "--group", &group]);
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
    let mut rows: Vec<Vec<&str>> = described
        .lines()
        .map(|line| line.split_whitespace().take(6).collect())
        .filter(|row: &Vec<&str>| row.first() == Some(&group.as_str()))
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            [group.as_str(), &topic, "0", "10", "10", "0"],
            [group.as_str(), &topic, "1", "10", "13", "3"],
        ],
        "{described}"
    );
}

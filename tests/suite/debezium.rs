//! Debezium itself, in Kafka Connect, on the cluster: what it writes of a PostgreSQL database is read as it is, and what
//! [`capture`] writes of a SQLite database with the same history is the same, record by record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use foldlog::projection::parse::parse;
use foldlog::readmodel::capture::execute;
use foldlog::readmodel::compare::{Side, compare};
use foldlog::readmodel::store::Store;
use foldlog::record::Record;
use foldlog::replay::capture::{CaptureOptions, capture};
use foldlog::replay::rebuild::{RebuildOptions, rebuild};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::port::Port;
use crate::common::raw::{Admin, read_all};
use crate::common::stores::PostgresServer;
use crate::common::{PATIENCE, within};

/// What both databases had before anybody looked.
const ROWS: &str = "INSERT INTO customer VALUES (1, 'Ada', 0.1), (2, 'Bo', 1e300), (3, NULL, NULL)";

/// What happened then, each in a transaction of its own. One that changes several rows has an order that is the database's.
const CHANGES: [&str; 8] = [
    "INSERT INTO customer VALUES (9007199254740993, '陈 \"Chen\" 🦀', -0.5)",
    "UPDATE customer SET name = 'Ada L.', credit = 0.30000000000000004 WHERE id = 1",
    "UPDATE customer SET id = 20 WHERE id = 2",
    "DELETE FROM customer WHERE id = 3",
    "INSERT INTO customer VALUES (3, 'a new one', 3.0), (4, '', 0.0)",
    "UPDATE customer SET credit = NULL WHERE id = 20",
    "DELETE FROM customer WHERE id = 4",
    "INSERT INTO customer VALUES (5, 'a last one', 5.0)",
];

/// And while nobody looked.
const MORE: [&str; 3] = [
    "UPDATE customer SET name = upper(name) WHERE id = 20",
    "DELETE FROM customer WHERE id = 3",
    "INSERT INTO customer VALUES (6, 'the last one', 5.5)",
];

const TABLE: &str = "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, credit REAL) STRICT";

/// As README has it.
const REPLICA: &str = "-- projection: replica
-- topic: TOPIC
-- type: $.payload.op

CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, credit REAL) STRICT;

-- on: *
INSERT INTO customer VALUES ($payload::after::id, $payload::after::name, $payload::after::credit)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, credit = excluded.credit;

-- on: d
DELETE FROM customer WHERE id = $payload::before::id;
";

/// A worker of Kafka Connect that runs the connector; killed when dropped.
struct Connect(Child);

impl Connect {
    fn script() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/debezium/debezium.sh")
    }

    /// Fetches it; false where it cannot be run, which is said.
    fn is_there() -> bool {
        let jars = Command::new(Self::script())
            .arg("jars")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&jars.stderr).into_owned();
        if jars.status.code() == Some(69) {
            crate::common::skip(said.trim());
            return false;
        }
        assert!(jars.status.success(), "{said}");
        true
    }

    fn start(folder: &Path) -> Self {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap();
        let child = Command::new(Self::script())
            .arg("run")
            .args([folder.join("worker.properties"), folder.join("connector.properties")])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A database that Debezium follows.
struct Source {
    server: PostgresServer,
    folder: TempDir,
    topic: String,
    // As long as workers are to listen there.
    _port: Port,
}

impl Source {
    fn new(cluster: &Cluster, prefix: &str) -> Option<Self> {
        if !Connect::is_there() {
            return None;
        }
        let server = PostgresServer::start_with(&["wal_level=logical"])?;
        server.psql(
            "CREATE TABLE customer (id BIGINT PRIMARY KEY, name TEXT, credit DOUBLE PRECISION);
             ALTER TABLE customer REPLICA IDENTITY FULL",
        );
        let (folder, port) = (scratch(), Port::hold());
        let worker = format!(
            "bootstrap.servers={}\nlisteners=http://{}\noffset.storage.file.filename={}\noffset.flush.interval.ms=100\n\
             plugin.discovery=only_scan\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\n",
            cluster.bootstrap,
            port.address(),
            folder.path().join("offsets").display(),
        );
        let connector = format!(
            "name=source\nconnector.class=io.debezium.connector.postgresql.PostgresConnector\nplugin.name=pgoutput\n\
             database.hostname=127.0.0.1\ndatabase.port={}\ndatabase.user=postgres\ndatabase.password=none\n\
             database.dbname=postgres\ntopic.prefix={prefix}\n",
            server.port(),
        );
        fs::write(folder.path().join("worker.properties"), worker).unwrap();
        fs::write(folder.path().join("connector.properties"), connector).unwrap();
        Some(Self {
            server,
            folder,
            topic: format!("{prefix}.public.customer"),
            _port: port,
        })
    }

    /// Waits until it has written down that it is beyond its first look at the rows: before that it would look once more, and not know
    /// what was deleted meanwhile.
    fn remembered(&self) {
        within(3 * PATIENCE, "Debezium to remember where it is", || {
            let offsets = fs::read(self.folder.path().join("offsets")).ok()?;
            let offsets = String::from_utf8_lossy(&offsets).into_owned();
            (offsets.contains("\"lsn\"") && !offsets.contains("\"snapshot\"")).then_some(())
        });
    }

    fn records(&self, cluster: &Cluster) -> Vec<Record> {
        let there = Admin::new(cluster)
            .partitions(&self.topic)
            .is_ok_and(|found| !found.is_empty());
        if there {
            read_all(cluster, &self.topic, 0)
        } else {
            Vec::new()
        }
    }

    /// Waits until its last event has these words.
    fn told(&self, cluster: &Cluster, words: &str) -> Vec<Record> {
        // Two Java programs, a server and a database begin here, beside all other tests.
        within(3 * PATIENCE, "Debezium to tell what happened", || {
            let records = self.records(cluster);
            let value = records.iter().rev().find_map(|record| record.value.as_ref())?;
            String::from_utf8_lossy(value).contains(words).then_some(records)
        })
    }
}

/// What a record says, without what differs from one database to another, and without times.
fn said(record: &Record, name: &str) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    let read = |bytes| text(bytes).map(|text| serde_json::from_str::<Value>(&text.replace(name, "NAME")).unwrap());
    let mut value = read(&record.value).unwrap_or_default();
    for (path, keep) in [("/payload/source", "snapshot"), ("/payload", "")] {
        let Some(fields) = value.pointer_mut(path).and_then(Value::as_object_mut) else {
            continue;
        };
        fields.retain(|field, _| keep.is_empty() || field == keep);
        for (field, value) in fields {
            if field.starts_with("ts_") {
                assert!(value.is_i64(), "{field} is {value}");
                *value = json!("a time");
            }
        }
    }
    if let Some(fields) = value.pointer_mut("/schema/fields").and_then(Value::as_array_mut) {
        fields.retain(|field| field["field"] != "source");
    }
    let headers: Vec<_> = record
        .headers
        .iter()
        .filter(|header| !header.key.starts_with("__debezium.context"))
        .collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|header| json!([header.key, text(&header.value).map(|text| text.replace(name, "NAME"))]))
        .collect();
    json!({"key": read(&record.key), "value": value, "headers": headers})
}

#[test]
fn what_is_captured_is_what_debezium_writes_and_that_is_read_as_it_is() {
    let (cluster, prefix) = (Cluster::shared(), unique("dbz"));
    let Some(source) = Source::new(&cluster, &prefix) else {
        return;
    };
    source.server.psql(ROWS);
    let connect = Connect::start(source.folder.path());
    source.told(&cluster, r#""snapshot":"last""#);
    for change in CHANGES {
        source.server.psql(change);
    }
    let theirs = source.told(&cluster, "a last one");
    same_as_captured(&cluster, &source.topic, &theirs);

    source.remembered();
    drop(connect);
    for change in MORE {
        source.server.psql(change);
    }
    let _connect = Connect::start(source.folder.path());
    source.told(&cluster, "the last one");
    same_as_replica(&cluster, &source.topic);
}

/// What is captured of a SQLite database with the same history is the same.
fn same_as_captured(cluster: &Cluster, topic: &str, theirs: &[Record]) {
    let (folder, ours) = (scratch(), unique("ours"));
    let database = folder.path().join("public.db");
    let options = || CaptureOptions {
        prefix: ours.clone(),
        schemas: true,
        once: true,
        partitions: Some(1),
        database: None,
        topic: None,
        tables: Vec::new(),
        clock: None,
        watch: Arc::default(),
    };
    execute(&database, TABLE).unwrap();
    execute(&database, ROWS).unwrap();
    capture(cluster.client(), database.clone(), options()).wait().unwrap();
    for change in CHANGES {
        execute(&database, change).unwrap();
    }
    capture(cluster.client(), database, options()).wait().unwrap();
    let name = format!("{ours}.public.customer");
    let ours: Vec<Value> = read_all(cluster, &name, 0)
        .iter()
        .map(|record| said(record, &name))
        .collect();
    let theirs: Vec<Value> = theirs.iter().map(|record| said(record, topic)).collect();
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "record {number}");
    }
    assert_eq!(ours.len(), theirs.len());
}

/// A projection of the topic has the rows that the history leaves.
fn same_as_replica(cluster: &Cluster, topic: &str) {
    let folder = scratch();
    let store = Store::open(folder.path(), "test").unwrap();
    let projection = parse(&REPLICA.replace("TOPIC", topic), "replica.sql").unwrap();
    rebuild(cluster.client(), store.clone(), projection, RebuildOptions::default())
        .wait()
        .unwrap();
    let database = folder.path().join("truth.db");
    execute(&database, TABLE).unwrap();
    for change in [ROWS].iter().chain(&CHANGES).chain(&MORE) {
        execute(&database, change).unwrap();
    }
    let (truth, replica) = (
        Side::database(&database).unwrap(),
        Side::in_use(&store, "replica").unwrap(),
    );
    let tally = compare(&truth, &replica, &mut |_| true).unwrap();
    assert!(tally.is_equal() && tally.same > 0, "{tally:?}");
}

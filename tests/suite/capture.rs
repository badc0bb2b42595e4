//! Change capture on a cluster: what a database has and what its topics say is the same, whatever is stopped and killed; and events as
//! Debezium writes them are read as they are.

use std::path::PathBuf;
use std::sync::Arc;

use foldlog::broker::client::Client;
use foldlog::broker::producer::NewRecord;
use foldlog::broker::topics::NewTopic;
use foldlog::projection::parse::parse;
use foldlog::readmodel::capture::{execute, waiting};
use foldlog::readmodel::compare::{Side, compare};
use foldlog::readmodel::query::Session;
use foldlog::readmodel::store::Store;
use foldlog::replay::capture::{CaptureOptions, Captured, capture};
use foldlog::replay::rebuild::{RebuildOptions, rebuild};
use foldlog::replay::task::Task;
use foldlog::replay::watch::Watch;
use tempfile::TempDir;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::eventually;

const REPLICA: &str = "-- projection: replica
-- topic: TOPIC
-- type: $.op

CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, credit REAL) STRICT;

-- on: *
INSERT INTO customer VALUES ($after::id, $after::name, $after::credit)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, credit = excluded.credit;

-- on: d
DELETE FROM customer WHERE id = $before::id;
";

struct Shop {
    // Before the client, which needs it.
    _cluster: Cluster,
    client: Client,
    folder: TempDir,
    topic: String,
}

impl Shop {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let shop = Self {
            client: cluster.client(),
            folder: scratch(),
            topic: unique("changes"),
            _cluster: cluster,
        };
        shop.change("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, credit REAL) STRICT");
        shop
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    fn change(&self, sql: &str) {
        execute(&self.path(), sql).unwrap();
    }

    fn capture(&self, schemas: bool, once: bool) -> (Task<Captured>, Arc<Watch>) {
        let (options, watch) = self.options(schemas, once, &[]);
        (capture(self.client.clone(), self.path(), options), watch)
    }

    fn options(&self, schemas: bool, once: bool, tables: &[&str]) -> (CaptureOptions, Arc<Watch>) {
        let watch = Arc::<Watch>::default();
        let options = CaptureOptions {
            prefix: "test".to_owned(),
            database: None,
            topic: Some(self.topic.clone()),
            tables: tables.iter().map(|name| (*name).to_owned()).collect(),
            schemas,
            partitions: Some(2),
            once,
            clock: None,
            watch: Arc::clone(&watch),
        };
        (options, watch)
    }

    fn rebuilt(&self, text: &str) -> Store {
        let store = Store::open(self.folder.path(), "test").unwrap();
        let projection = parse(&text.replace("TOPIC", &self.topic), "replica.sql").unwrap();
        rebuild(
            self.client.clone(),
            store.clone(),
            projection,
            RebuildOptions::default(),
        )
        .wait()
        .unwrap();
        store
    }

    /// How many rows of the source and its replica, folded anew from the topic, are alike; all must be.
    fn alike(&self) -> u64 {
        let store = self.rebuilt(REPLICA);
        let (source, replica) = (
            Side::database(&self.path()).unwrap(),
            Side::in_use(&store, "replica").unwrap(),
        );
        let mut found = Vec::new();
        let tally = compare(&source, &replica, &mut |difference| {
            found.push(difference);
            true
        })
        .unwrap();
        assert!(tally.is_equal(), "{found:?}");
        tally.same
    }

    fn records(&self) -> i64 {
        let info = self.client.topic(&self.topic).unwrap();
        let marks = self.client.watermarks(&info).unwrap();
        marks.iter().map(|mark| mark.high - mark.low).sum()
    }
}

#[test]
fn a_replica_is_its_source_whatever_is_stopped_and_killed() {
    let shop = Shop::new();
    shop.change("INSERT INTO customer VALUES (1, 'Ada', 0.1), (2, 'Bo', 1e300), (3, NULL, NULL)");
    let (task, _) = shop.capture(false, true);
    let first = task.wait().unwrap();
    assert_eq!((first.rows, first.changes, first.records, shop.alike()), (3, 0, 3, 3));

    // Live, with a key that changes: a deletion, its tombstone, a creation.
    let (task, _) = shop.capture(false, false);
    shop.change("UPDATE customer SET id = 9, credit = 0.30000000000000004 WHERE id = 1; INSERT INTO customer VALUES (4, 'Chen', -0.5)");
    eventually("the changes are handed on", || {
        (waiting(&shop.path()).unwrap() == Some(0)).then_some(())
    });
    task.cancel();
    let live = task.wait().unwrap();
    assert_eq!((live.rows, live.changes, live.records, shop.alike()), (0, 2, 4, 4));

    // Killed before it writes down what it has handed on: the next hands it on once more.
    shop.change("DELETE FROM customer WHERE id = 2; UPDATE customer SET name = 'Cleo' WHERE id = 3");
    let (task, watch) = shop.capture(false, false);
    watch.kill();
    task.wait().unwrap();
    let before = shop.records();
    shop.change("INSERT INTO customer VALUES (2, 'Bo again', 2.0)");
    let again = shop.capture(false, true).0.wait().unwrap();
    assert_eq!((again.changes, again.records, shop.alike()), (3, 4, 4));
    assert_eq!(shop.records(), before + 4);
    assert_eq!(shop.capture(false, true).0.wait().unwrap().records, 0);
}

#[test]
fn somebody_who_writes_for_long_is_waited_for() {
    let shop = Shop::new();
    shop.change("INSERT INTO customer VALUES (1, 'Ada', 0.5)");
    let (task, _) = shop.capture(false, false);
    eventually("the first row", || {
        (waiting(&shop.path()).unwrap() == Some(0)).then_some(())
    });
    // Longer than anybody waits for a lock, with a change behind it that the capture has to write down as handed on.
    let writer = rusqlite::Connection::open(shop.path()).unwrap();
    writer.busy_timeout(crate::common::PATIENCE).unwrap();
    let mut rows = 1_u64;
    eventually("a change that waits", || {
        rows += 1;
        writer
            .execute("INSERT INTO customer VALUES (?, 'Bo', 0.5)", [rows as i64])
            .unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let pending = "SELECT (SELECT max(number) FROM _foldlog_change) > (SELECT position FROM _foldlog_capture)";
        if writer.query_row(pending, [], |row| row.get(0)).unwrap() {
            return Some(());
        }
        writer.execute_batch("ROLLBACK").unwrap();
        None
    });
    let progress = task.progress();
    eventually("that it waits", || {
        assert!(!task.is_finished(), "it ended by itself");
        let said = progress
            .borrow()
            .notices
            .iter()
            .any(|notice| notice.starts_with("the capture waits: "));
        said.then_some(())
    });
    writer.execute_batch("COMMIT").unwrap();
    eventually("the others", || {
        (waiting(&shop.path()).unwrap() == Some(0)).then_some(())
    });
    task.cancel();
    task.wait().unwrap();
    assert_eq!(shop.alike(), rows);
}

#[test]
fn tables_that_are_left_out_and_come_back_are_told_whole() {
    let shop = Shop::new();
    shop.change("CREATE TABLE other (id INTEGER PRIMARY KEY, name TEXT, credit REAL) STRICT; INSERT INTO customer VALUES (1, 'Ada', 0.5)");
    let once = |tables: &[&str]| {
        let task = capture(shop.client.clone(), shop.path(), shop.options(false, true, tables).0);
        let progress = task.progress();
        let done = task.wait().unwrap();
        let notices: Vec<String> = progress.borrow().notices.to_vec();
        (done, notices)
    };
    once(&[]);
    shop.change("INSERT INTO customer VALUES (2, 'Bo', 1.5)");
    // What was noted while it was captured is written all the same.
    let (done, notices) = once(&["other"]);
    assert_eq!((done.changes, done.records, notices.len()), (1, 1, 1));
    shop.change("INSERT INTO customer VALUES (3, 'Chen', 2.5); UPDATE customer SET credit = 9 WHERE id = 1");
    assert_eq!(once(&["other"]).0.records, 0);
    let (done, notices) = once(&[]);
    assert_eq!((done.changes, notices.len()), (3, 1));
    assert!(notices[0].contains("left out for a while"), "{notices:?}");
    // A table that is gone cannot be told, which is said.
    shop.change("INSERT INTO other VALUES (1, 'x', 0); DROP TABLE other");
    let (done, notices) = once(&[]);
    assert_eq!((done.passed_over, done.records), (1, 0));
    assert!(
        notices
            .iter()
            .any(|notice| notice.contains("1 of the changes of other")),
        "{notices:?}"
    );
    assert_eq!(shop.alike(), 3);
}

#[test]
fn with_schemas_everything_lies_in_the_payload() {
    let shop = Shop::new();
    shop.change("INSERT INTO customer VALUES (1, 'Ada', 0.5)");
    shop.capture(true, true).0.wait().unwrap();
    shop.change("DELETE FROM customer");
    shop.capture(true, true).0.wait().unwrap();
    let text = REPLICA
        .replace("$.op", "$.payload.op")
        .replace("$after", "$payload::after")
        .replace("$before", "$payload::before");
    assert_eq!(shop.records(), 3);
    let store = shop.rebuilt(&text);
    let info = store.find("replica").unwrap().unwrap();
    // The tombstone has no handler, and the deletion has done all.
    assert_eq!((info.counts.applied, info.counts.ignored), (2, 1));
    let rows = Session::open(&store)
        .unwrap()
        .query("SELECT * FROM replica.customer", 10)
        .unwrap();
    assert!(rows.rows.is_empty());
}

/// Events of a MySQL and of a PostgreSQL connector, in the form that their documentation shows, with and without schemas.
#[test]
fn topics_of_debezium_are_read_as_they_are() {
    const PLAIN: &[(&str, Option<&str>)] = &[
        (
            r#"{"id":1001}"#,
            Some(
                r#"{"before":null,"after":{"id":1001,"name":"Sally","credit":1.5},"source":{"version":"3.0.0.Final","connector":"mysql","name":"dbserver1","ts_ms":1465491411815,"snapshot":"first","db":"inventory","sequence":null,"table":"customer","server_id":0,"gtid":null,"file":"mysql-bin.000003","pos":154,"row":0,"thread":null,"query":null},"transaction":null,"op":"r","ts_ms":1465491411815}"#,
            ),
        ),
        (
            r#"{"id":1002}"#,
            Some(
                r#"{"before":null,"after":{"id":1002,"name":"Anne","credit":null},"source":{"version":"3.0.0.Final","connector":"postgresql","name":"dbserver1","ts_ms":1559033904863,"snapshot":"false","db":"postgres","sequence":"[\"24023119\",\"24023128\"]","schema":"public","table":"customer","txId":555,"lsn":24023128,"xmin":null},"transaction":null,"op":"c","ts_ms":1559033904863}"#,
            ),
        ),
        (
            r#"{"id":1002}"#,
            Some(
                r#"{"before":{"id":1002,"name":"Anne","credit":null},"after":{"id":1002,"name":"Anne Marie","credit":2.25},"source":{"connector":"mysql","table":"customer","snapshot":"false"},"op":"u","ts_ms":1465581029523}"#,
            ),
        ),
        (
            r#"{"id":1001}"#,
            Some(
                r#"{"before":{"id":1001,"name":"Sally","credit":1.5},"after":null,"source":{"connector":"mysql","table":"customer","snapshot":"false"},"op":"d","ts_ms":1465581902461}"#,
            ),
        ),
        (r#"{"id":1001}"#, None),
    ];
    for wrapped in [false, true] {
        let shop = Shop::new();
        shop.client
            .create_topic(&NewTopic {
                name: shop.topic.clone(),
                partitions: Some(1),
                ..NewTopic::default()
            })
            .unwrap();
        let producer = shop.client.producer().unwrap();
        for (key, value) in PLAIN {
            let wrap = |text: &str| match wrapped {
                true => format!(r#"{{"schema":{{"type":"struct","fields":[],"optional":false}},"payload":{text}}}"#),
                false => text.to_owned(),
            };
            let (key, value) = (wrap(key), value.map(wrap));
            producer
                .send(NewRecord {
                    topic: &shop.topic,
                    key: Some(key.as_bytes()),
                    value: value.as_deref().map(str::as_bytes),
                    ..NewRecord::default()
                })
                .unwrap();
        }
        producer.flush(crate::common::PATIENCE).unwrap();
        let text = match wrapped {
            true => REPLICA
                .replace("$.op", "$.payload.op")
                .replace("$after", "$payload::after")
                .replace("$before", "$payload::before"),
            false => REPLICA.to_owned(),
        };
        let store = shop.rebuilt(&text);
        let sql = "SELECT group_concat(id || ' ' || name || ' ' || credit) FROM replica.customer";
        let rows = Session::open(&store).unwrap().query(sql, 1).unwrap().rows;
        assert_eq!(format!("{rows:?}"), r#"[[Text("1002 Anne Marie 2.25")]]"#);
    }
}

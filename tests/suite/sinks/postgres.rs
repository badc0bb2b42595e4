use super::*;
use crate::common::cluster::{Cluster, scratch};
use crate::common::stores::PostgresServer;
use foldlog::replay::rebuild::{RebuildOptions, rebuild};

/// First feeding, live changes, a new build with other columns, and a server that is gone and comes back.
#[test]
fn postgres_has_the_rows_whatever_happens() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic, url) = (cluster.client(), cluster.topic(2), server.url(""));
    let text = everything(&topic);
    some(&client, &topic, 0, 300);
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 300);
    equal(folder.path(), &url);
    some(&client, &topic, 300, 500);
    in_step(&task, folder.path(), 500);
    let checked = equal(folder.path(), &url);
    let rows = server.psql("SELECT (SELECT count(*) FROM accounts.account) + (SELECT count(*) FROM accounts.entry)");
    assert_eq!(rows, checked.same.to_string());
    let types = "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'accounts.account'::regclass AND attnum > 0";
    assert_eq!(server.psql(types), "text,bigint,double precision,text,bytea");
    // Somebody writes there.
    server.psql("UPDATE accounts.account SET balance = balance + 1; DELETE FROM accounts.entry");
    assert!(
        check(&store(folder.path()), "accounts", &address(&url), &mut |_| true)
            .unwrap()
            .differ()
            > 0
    );
    task.cancel();
    task.wait().unwrap();
    // A new build, with another column: its tables are made anew.
    let text = text.replace("photo BLOB)", "photo BLOB, more TEXT)").replace(
        "INSERT INTO account VALUES (:id",
        "INSERT INTO account (id, balance, share, note, photo) VALUES (:id",
    );
    rebuild(
        client.clone(),
        store(folder.path()),
        projection(&text),
        RebuildOptions::default(),
    )
    .wait()
    .unwrap();
    let task = following(&client, folder.path(), &text, &[&url]);
    in_step(&task, folder.path(), 500);
    equal(folder.path(), &url);
    assert_eq!(server.psql(types), "text,bigint,double precision,text,bytea,text");
    server.stop();
    some(&client, &topic, 500, 600);
    until(&task, folder.path(), "the server to be missed", |info, sink| {
        info.counts.total() == 600 && sink.trouble.is_some()
    });
    server.again();
    in_step(&task, folder.path(), 600);
    equal(folder.path(), &url);
    task.cancel();
    task.wait().unwrap();
}

/// A row that the server does not take is listed and not there, and the others are; a schema of somebody else is left alone.
#[test]
fn postgres_refuses_rows_one_by_one() {
    let Some(server) = PostgresServer::start() else { return };
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(1));
    let text = format!(
        "-- projection: accounts\n-- topic: {topic}\n\nCREATE TABLE note (id INTEGER PRIMARY KEY, text ANY, day NUMERIC) STRICT;\n\n\
         -- on: *\nINSERT INTO note VALUES (:id, :text, 1) ON CONFLICT DO UPDATE SET text = excluded.text;\n"
    )
    .replace(" day NUMERIC) STRICT", " day TEXT) STRICT");
    let each = |id: i64, text: &str| (&*topic, 0, 1, Some(format!(r#"{{"id": {id}, "text": "{text}"}}"#)));
    write(&client, [each(1, "good"), each(2, "a\\u0000b"), each(3, "good")]);
    server.psql("CREATE SCHEMA accounts; CREATE TABLE accounts.mine (n int)");
    let task = following(&client, folder.path(), &text, &[&server.url("")]);
    until(&task, folder.path(), "a refusal", |_, sink| {
        sink.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("accounts.mine"))
    });
    task.cancel();
    task.wait().unwrap();
    let url = server.url("?schema=ours");
    let task = following(&client, folder.path(), &text, &[&url]);
    let sink = in_step(&task, folder.path(), 3);
    assert_eq!(sink.refused, 1);
    assert!(sink.reason.unwrap().contains("NUL"), "no reason");
    assert_eq!(
        server.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM ours.note"),
        "1,3"
    );
    // What it has by another value is taken.
    write(&client, [each(2, "mended"), each(3, "a\\u0000b")]);
    let sink = in_step(&task, folder.path(), 5);
    assert_eq!(sink.refused, 1);
    assert_eq!(
        server.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM ours.note"),
        "1,2"
    );
    // One that only the server finds fault with.
    server.psql("ALTER TABLE ours.note ADD CHECK (text <> 'forbidden')");
    write(&client, [each(4, "forbidden"), each(5, "good"), each(3, "good")]);
    let sink = in_step(&task, folder.path(), 8);
    assert_eq!(sink.refused, 1);
    assert!(sink.reason.unwrap().contains("check constraint"));
    assert_eq!(
        server.psql("SELECT string_agg(id::text, ',' ORDER BY id) FROM ours.note"),
        "1,2,3,5"
    );
    assert_eq!(server.psql("SELECT count(*) FROM accounts.mine"), "0");
    task.cancel();
    task.wait().unwrap();
}

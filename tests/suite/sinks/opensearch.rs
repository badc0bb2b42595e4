//! OpenSearch: a real server behind Elasticsearch's `_bulk`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::*;
use crate::common::cluster::{Cluster, scratch};
use crate::common::opensearch::OpenSearchServer;
use crate::common::{PATIENCE, within};
use foldlog::readmodel::query::{Cell, Session};
use foldlog::replay::rebuild::{RebuildOptions, rebuild};

/// The accounts as the read model has them, as documents, by id.
fn accounts(folder: &Path) -> Vec<(String, Value)> {
    let session = Session::open(&store(folder)).unwrap();
    let sql = "SELECT id, balance, share, note, photo FROM accounts.account ORDER BY id";
    let document = |row: Vec<Cell>| {
        let names = ["id", "balance", "share", "note", "photo"];
        let cells = row.iter().map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Integer(n) => json!(n),
            Cell::Real(n) => json!(n),
            Cell::Text(text) => json!(text),
            Cell::Blob(bytes) => json!(BASE64.encode(bytes)),
        });
        let document: BTreeMap<&str, Value> = names.into_iter().zip(cells).collect();
        (document["id"].as_str().unwrap().to_owned(), json!(document))
    };
    session
        .query(sql, 10_000)
        .unwrap()
        .rows
        .into_iter()
        .map(document)
        .collect()
}

/// Both looks at it: the one that a user has, and one that knows nothing of how it is fed.
fn as_it_should_be(folder: &Path, server: &OpenSearchServer) {
    let checked = equal(folder, &server.url());
    let there = server.documents("accounts-account");
    assert_eq!(there, accounts(folder));
    let entries = server.documents("accounts-entry").len();
    assert_eq!((there.len() + entries) as u64, checked.same);
}

fn trouble(task: &Task<ReadModelInfo>, folder: &Path, words: &str) {
    until(task, folder, words, |_, sink| {
        sink.trouble.as_ref().is_some_and(|trouble| trouble.contains(words))
    });
}

/// One node for all of it, because its start is most of the time.
#[test]
fn opensearch_has_the_rows_whatever_happens() {
    let Some(mut server) = OpenSearchServer::start() else {
        return;
    };
    let cluster = Cluster::shared();
    follows_a_read_model(&cluster, &mut server);
    refuses_documents_one_by_one(&cluster, &server);
}

fn follows_a_read_model(cluster: &Cluster, server: &mut OpenSearchServer) {
    let folder = scratch();
    let folder = folder.path();
    let (client, topic, url) = (cluster.client(), cluster.topic(2), server.url());
    let text = everything(&topic);
    some(&client, &topic, 0, 300);
    let task = following(&client, folder, &text, &[&url]);
    in_step(&task, folder, 300);
    as_it_should_be(folder, server);
    let mapping = server.ask("GET", "/accounts-account/_mapping", None);
    let balance = &mapping["accounts-account"]["mappings"]["properties"]["balance"]["type"];
    assert_eq!(balance, "long");
    // Killed between two changes, and back with what it had.
    some(&client, &topic, 300, 400);
    server.kill();
    some(&client, &topic, 400, 500);
    trouble(&task, folder, "cannot be reached");
    server.again();
    // It takes long to start on a busy machine, and the pauses between tries have grown meanwhile.
    within(3 * PATIENCE, "the node to be fed again", || {
        let info = store(folder).info("accounts").ok()?;
        info.sinks.first()?.trouble.is_none().then_some(())
    });
    in_step(&task, folder, 500);
    as_it_should_be(folder, server);
    // Somebody takes one index away: all rows come again, and not only those that change, to one of the right types.
    server.ask("DELETE", "/accounts-account", None);
    some(&client, &topic, 500, 510);
    in_step_again(&task, folder, server, 510);
    as_it_should_be(folder, server);
    let mapping = server.ask("GET", "/accounts-account/_mapping", None);
    assert_eq!(
        balance,
        &mapping["accounts-account"]["mappings"]["properties"]["balance"]["type"]
    );
    // An index that may not be written refuses no document for good.
    let block = |on: bool| json!({ "index.blocks.write": on });
    server.ask("PUT", "/accounts-entry/_settings", Some(&block(true)));
    some(&client, &topic, 510, 530);
    trouble(&task, folder, "blocked");
    server.ask("PUT", "/accounts-entry/_settings", Some(&block(false)));
    let sink = in_step(&task, folder, 530);
    assert_eq!(sink.refused, 0);
    as_it_should_be(folder, server);
    task.cancel();
    task.wait().unwrap();
    // Somebody writes there; a new build puts it right.
    server.ask("PUT", "/accounts-account/_doc/stray", Some(&json!({ "balance": 1 })));
    server.ask("DELETE", "/accounts-account/_doc/a1", None);
    let differs = check(&store(folder), "accounts", &address(&url), &mut |_| true).unwrap();
    assert_eq!((differs.missing, differs.extra), (1, 1));
    let options = RebuildOptions::default();
    rebuild(client.clone(), store(folder), projection(&text), options)
        .wait()
        .unwrap();
    let task = following(&client, folder, &text, &[&url]);
    in_step(&task, folder, 530);
    as_it_should_be(folder, server);
    task.cancel();
    task.wait().unwrap();
}

/// Waits until it has everything, where it was in step before and has to find out first that it is not.
fn in_step_again(task: &Task<ReadModelInfo>, folder: &Path, server: &OpenSearchServer, records: u64) {
    eventually("the index to be there again", || {
        in_step(task, folder, records);
        let checked = check(&store(folder), "accounts", &address(&server.url()), &mut |_| true).unwrap();
        (checked.differ() == 0).then_some(())
    });
}

/// What it does not take is listed and not there, and the others are; what it takes later is no longer listed.
fn refuses_documents_one_by_one(cluster: &Cluster, server: &OpenSearchServer) {
    let folder = scratch();
    let folder = folder.path();
    let (client, topic, url) = (
        cluster.client(),
        cluster.topic(1),
        format!("{}?prefix=of-", server.url()),
    );
    let text = format!(
        "-- projection: accounts\n-- topic: {topic}\n\nCREATE TABLE note (id TEXT NOT NULL PRIMARY KEY, price NUMERIC);\n\n\
         -- on: *\nINSERT INTO note VALUES (:id, :price) ON CONFLICT DO UPDATE SET price = excluded.price;\n"
    );
    let each = |id: &str, price: &str| (&*topic, 0, 1, Some(format!(r#"{{"id": "{id}", "price": {price}}}"#)));
    let ids = || {
        let documents = server.documents("of-accounts-note");
        documents.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let long = "k".repeat(600);
    write(
        &client,
        [
            each("a", "1.5"),
            each("b", "\"dear\""),
            each("c", "2"),
            each(&long, "3"),
        ],
    );
    let task = following(&client, folder, &text, &[&url]);
    let sink = in_step(&task, folder, 4);
    assert_eq!(sink.refused, 2);
    assert_eq!(ids(), ["a", "c"]);
    write(&client, [each("b", "4"), each("c", "\"dear\"")]);
    let sink = in_step(&task, folder, 6);
    assert_eq!(sink.refused, 2);
    let reason = sink.reason.unwrap();
    assert!(reason.contains("512 bytes") || reason.contains("price"), "{reason}");
    assert_eq!(ids(), ["a", "b"]);
    task.cancel();
    task.wait().unwrap();
}

//! What a real server does not do on demand: a stand-in that answers as Elasticsearch does to what a feeding asks, is too busy when
//! it is told to, and strict about the form.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::common::cluster::{Cluster, scratch};
use foldlog::replay::rebuild::{RebuildOptions, rebuild};

#[derive(Default)]
struct Shelf {
    indices: BTreeMap<String, BTreeMap<String, Value>>,
    /// Each document's version, by index and id.
    versions: BTreeMap<(String, String), u64>,
    /// The id of each index.
    ids: BTreeMap<String, u64>,
    clock: u64,
    /// So many bulk requests find the server too busy for every third item.
    busy: usize,
    /// Requests that were not of the right form.
    wrong: BTreeSet<String>,
}

struct Standin {
    shelf: Arc<Mutex<Shelf>>,
    url: String,
}

impl Standin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("elasticsearch+http://{}", listener.local_addr().unwrap());
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let ours = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&ours);
                std::thread::spawn(move || serve(stream, &shelf));
            }
        });
        Self { shelf, url }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Shelf) -> T) -> T {
        look(&mut self.shelf.lock().unwrap())
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, shelf: &Mutex<Shelf>) {
    let mut out = stream.try_clone().unwrap();
    let mut from = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let (mut length, mut kind) = (0, String::new());
        loop {
            let mut header = String::new();
            from.read_line(&mut header).unwrap();
            let header = header.trim();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "content-type" => kind = value.trim().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).unwrap();
        let (status, answer) = shelf.lock().unwrap().answer(&method, &path, &kind, &body);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        if out.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

impl Shelf {
    fn answer(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let parsed = || serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        let wanted = if parts == ["_bulk"] {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        if !body.is_empty() && kind != wanted {
            self.wrong.insert(format!("{method} {path} as {kind}"));
            return (
                406,
                json!({ "error": { "type": "media_type_header_exception", "reason": kind } }),
            );
        }
        match (method, parts.as_slice()) {
            ("POST", ["_bulk"]) => self.bulk(body),
            ("GET", [index, "_doc", id]) => match self.indices.get(*index).and_then(|index| index.get(*id)) {
                Some(source) => {
                    let number = self.versions[&((*index).to_owned(), (*id).to_owned())];
                    (
                        200,
                        json!({ "found": true, "_source": source, "_seq_no": number, "_primary_term": 1 }),
                    )
                }
                None => (404, json!({ "found": false })),
            },
            ("PUT", [index, verb @ ("_doc" | "_create"), id]) => {
                let key = ((*index).to_owned(), (*id).to_owned());
                let there = self
                    .versions
                    .get(&key)
                    .filter(|_| self.indices.get(*index).is_some_and(|i| i.contains_key(*id)));
                let expected = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("if_seq_no="))
                    .map(|n| n.parse().unwrap());
                if there != expected.as_ref() || (*verb == "_create") != expected.is_none() {
                    return (
                        409,
                        json!({ "error": { "type": "version_conflict_engine_exception", "reason": "another" } }),
                    );
                }
                self.put(index, id, parsed());
                (200, json!({ "_seq_no": self.clock, "_primary_term": 1 }))
            }
            ("PUT", [index]) if self.indices.contains_key(*index) => (
                400,
                json!({ "error": { "type": "resource_already_exists_exception", "reason": "there" } }),
            ),
            ("PUT", [index]) => {
                self.make(index);
                (200, json!({ "acknowledged": true }))
            }
            ("GET", [names, "_settings", "index.uuid"]) if query.contains("ignore_unavailable=true") => {
                let there = names.split(',').filter(|name| self.indices.contains_key(*name));
                let told = there.map(|name| {
                    (
                        name.to_owned(),
                        json!({ "settings": { "index": { "uuid": self.ids[name] } } }),
                    )
                });
                (200, Value::Object(told.collect()))
            }
            ("GET", [index]) if self.indices.contains_key(*index) => (200, json!({})),
            ("DELETE", [index]) if self.indices.remove(*index).is_some() => (200, json!({})),
            ("POST", [index, "_refresh"]) if self.indices.contains_key(*index) => (200, json!({})),
            ("POST", [index, "_search"]) if self.indices.contains_key(*index) && query.contains("scroll=") => {
                let hits: Vec<Value> = self.indices[*index].keys().map(|id| json!({ "_id": id })).collect();
                (200, json!({ "_scroll_id": "one", "hits": { "hits": hits } }))
            }
            ("POST", ["_search", "scroll"]) => (200, json!({ "_scroll_id": "one", "hits": { "hits": [] } })),
            ("DELETE", ["_search", "scroll", "one"]) => (200, json!({})),
            ("POST", [index, "_mget"]) if self.indices.contains_key(*index) => {
                let ids = parsed()["ids"].as_array().unwrap().clone();
                let documents = ids
                    .iter()
                    .map(|id| match self.indices[*index].get(id.as_str().unwrap()) {
                        Some(source) => json!({ "_id": id, "found": true, "_source": source }),
                        None => json!({ "_id": id, "found": false }),
                    });
                (200, json!({ "docs": documents.collect::<Vec<_>>() }))
            }
            _ => (
                404,
                json!({ "error": { "type": "index_not_found_exception", "reason": path } }),
            ),
        }
    }

    fn make(&mut self, index: &str) {
        self.clock += 1;
        self.ids.insert(index.to_owned(), self.clock);
        self.indices.insert(index.to_owned(), BTreeMap::new());
    }

    fn put(&mut self, index: &str, id: &str, source: Value) {
        if !self.indices.contains_key(index) {
            self.make(index);
        }
        self.clock += 1;
        self.versions.insert((index.to_owned(), id.to_owned()), self.clock);
        self.indices.get_mut(index).unwrap().insert(id.to_owned(), source);
    }

    /// Item by item, as the server does it: some are taken, some refused, some not now.
    fn bulk(&mut self, body: &[u8]) -> (u16, Value) {
        let text = std::str::from_utf8(body).unwrap();
        if !text.ends_with('\n') {
            self.wrong.insert("a bulk without its last line break".to_owned());
            return (
                400,
                json!({ "error": { "type": "illegal_argument_exception", "reason": "must end with a newline" } }),
            );
        }
        let busy = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        let (mut items, mut lines) = (Vec::new(), text.lines());
        while let Some(line) = lines.next() {
            let action: Value = serde_json::from_str(line).unwrap();
            let (verb, meta) = action.as_object().unwrap().iter().next().unwrap();
            let (index, id) = (meta["_index"].as_str().unwrap(), meta["_id"].as_str().unwrap());
            let source = (verb == "index").then(|| serde_json::from_str::<Value>(lines.next().unwrap()).unwrap());
            let told = if busy && items.len() % 3 == 2 {
                json!({ "status": 429, "error": { "type": "es_rejected_execution_exception", "reason": "queue is full" } })
            } else {
                match source {
                    Some(source) if source["balance"].as_i64().is_some_and(|n| n % 10 == 7) => json!({
                        "status": 400, "error": { "type": "mapper_parsing_exception", "reason": "failed to parse field [balance]" }
                    }),
                    Some(source) => {
                        self.put(index, id, source);
                        json!({ "status": 201 })
                    }
                    None => match self.indices.get_mut(index).and_then(|index| index.remove(id)) {
                        Some(_) => json!({ "status": 200, "result": "deleted" }),
                        None => json!({ "status": 404, "result": "not_found" }),
                    },
                }
            };
            items.push(json!({ verb: told }));
        }
        let errors = items.iter().any(|item| item.to_string().contains("\"error\""));
        (200, json!({ "errors": errors, "items": items }))
    }
}

/// How many accounts the stand-in refuses.
fn odd(folder: &Path) -> u64 {
    let session = foldlog::readmodel::query::Session::open(&store(folder)).unwrap();
    let rows = session
        .query("SELECT count(*) FROM accounts.account WHERE balance % 10 = 7", 1)
        .unwrap();
    match rows.rows[0][0] {
        foldlog::readmodel::query::Cell::Integer(n) => n as u64,
        _ => panic!("no number"),
    }
}

/// Everything but what is refused is there, however often the server is too busy for a part.
fn as_it_should_be(folder: &Path, standin: &Standin) {
    let checked = check(&store(folder), "accounts", &address(&standin.url), &mut |_| true).unwrap();
    assert_eq!((checked.missing, checked.other, checked.extra), (odd(folder), 0, 0));
    assert!(checked.same > 10);
    assert_eq!(standin.with(|shelf| shelf.wrong.clone()), BTreeSet::new());
}

#[test]
fn elasticsearch_has_what_it_takes() {
    let standin = Standin::start();
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(2));
    let text = everything(&topic);
    some(&client, &topic, 0, 300);
    standin.with(|shelf| shelf.busy = 2);
    let task = following(&client, folder.path(), &text, &[&standin.url]);
    let sink = in_step(&task, folder.path(), 300);
    assert_eq!(sink.refused, odd(folder.path()));
    as_it_should_be(folder.path(), &standin);
    // Each account ends in 7 at some time, and then what there was of it is gone.
    for round in 0..6 {
        let from = 300 + round * 20;
        standin.with(|shelf| shelf.busy = 1);
        some(&client, &topic, from, from + 20);
        let sink = in_step(&task, folder.path(), from as u64 + 20);
        assert_eq!(sink.refused, odd(folder.path()));
        as_it_should_be(folder.path(), &standin);
    }
    assert!(
        task.progress()
            .borrow()
            .notices
            .iter()
            .any(|notice| notice.contains("too busy"))
    );
    let named = |shelf: &mut Shelf| {
        shelf.indices["accounts-entry"]
            .keys()
            .all(|id| id.contains("%3A") && id.contains(":%25a"))
    };
    assert!(standin.with(named));
    task.cancel();
    task.wait().unwrap();
    // A new build sweeps away what it does not have.
    standin.with(|shelf| shelf.put("accounts-account", "stray", json!({})));
    rebuild(
        client.clone(),
        store(folder.path()),
        projection(&text),
        RebuildOptions::default(),
    )
    .wait()
    .unwrap();
    let task = following(&client, folder.path(), &text, &[&standin.url]);
    in_step(&task, folder.path(), 420);
    as_it_should_be(folder.path(), &standin);
    // Emptied by somebody, which the next change finds.
    standin.with(|shelf| shelf.indices.clear());
    some(&client, &topic, 420, 421);
    eventually("it to be fed anew", || {
        let known = store(folder.path()).info("accounts").unwrap();
        let sink = known.sinks.first()?.clone();
        let there = standin.with(|shelf| shelf.indices.get("accounts-account").map_or(0, BTreeMap::len));
        (known.counts.total() == 421 && sink.whole && sink.waiting == 0 && there > 0).then_some(())
    });
    as_it_should_be(folder.path(), &standin);
    task.cancel();
    task.wait().unwrap();
}

/// An index of that name that somebody else has is not written.
#[test]
fn elasticsearch_of_somebody_else_is_left_alone() {
    let standin = Standin::start();
    let (cluster, folder) = (Cluster::shared(), scratch());
    let (client, topic) = (cluster.client(), cluster.topic(1));
    let text = everything(&topic);
    standin.with(|shelf| shelf.put("accounts-entry", "mine", json!({})));
    let task = following(&client, folder.path(), &text, &[&standin.url]);
    until(&task, folder.path(), "a refusal", |_, sink| {
        sink.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("accounts-entry"))
    });
    assert_eq!(standin.with(|shelf| shelf.indices.len()), 1);
    task.cancel();
    task.wait().unwrap();
}

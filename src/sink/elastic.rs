//! Elasticsearch, and what speaks its `_bulk`: a document for each row, in an index for each table.
//!
//! A bulk request is no transaction: each of its items is taken or not. What the server was too busy for is sent again with the
//! whole batch, which does no harm; what it refuses for good is listed and taken away, so that no older version stays. The mark is
//! written afterwards, and only if nobody wrote another since it was read.
//!
//! A server makes an index that is not there of the first document that comes for it. So the mark has the ids of the indices that
//! were fed: where one was deleted, or made anew, all rows are given again, to one that is made as it should be.

mod http;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::readmodel::feed::{FedColumn, FedRow, Mark, Type};
use crate::readmodel::query::Cell;

use super::address::Server;
use super::error::SinkError;
use super::{Held, Keep, Model, Refused, RowStore, Rows, row_name, text_of};
use http::{Http, reason_of};

/// Where marks are.
const MARKS: &str = "foldlog-sinks";
/// Bytes of a document's id at most.
const LONGEST: usize = 512;
/// Indices that are named in one request; a name has up to 255 bytes.
const NAMED: usize = 12;
/// Documents that are looked at together.
const PAGE: usize = 1000;

/// An Elasticsearch server that is fed with rows.
pub struct Elastic {
    server: Server,
    model: Model,
    http: Http,
    /// The index of each table.
    indices: Vec<String>,
    /// What the document of the mark is called.
    mark_id: String,
    /// Which version of the mark was read or written last.
    version: Option<(u64, u64)>,
    /// The ids of the indices when the mark was written, if that says them.
    made: Value,
    /// Indices of tables that the projection had once.
    old: Vec<String>,
}

impl Elastic {
    /// Nothing is asked before it is opened.
    pub fn new(server: Server, model: Model) -> Self {
        let prefix = server.option("prefix").unwrap_or_default().to_owned();
        let index = |table: &str| format!("{prefix}{}-{table}", model.name).to_lowercase();
        Self {
            indices: model.tables.iter().map(|table| index(&table.name)).collect(),
            mark_id: format!("{prefix}{}", model.name),
            http: Http::new(server.clone()),
            server,
            model,
            version: None,
            made: Value::Null,
            old: Vec::new(),
        }
    }

    /// The mark, with its version and the indices that it is about.
    fn read_mark(&mut self) -> Result<Option<Mark>, SinkError> {
        let (status, answer) = self.http.ask("GET", &format!("/{MARKS}/_doc/{}", self.mark_id), None)?;
        self.version = None;
        match status {
            404 => return Ok(None),
            200..=299 => {}
            status => return Err(self.http.says(status, &answer)),
        }
        self.version = answer["_seq_no"].as_u64().zip(answer["_primary_term"].as_u64());
        let source = &answer["_source"];
        self.made = source["made"].clone();
        let indices = source["indices"].as_array().into_iter().flatten();
        let known = indices.filter_map(Value::as_str).map(str::to_owned);
        self.old = known.filter(|index| !self.indices.contains(index)).collect();
        Ok(Some(Mark {
            epoch: source["epoch"].as_str().unwrap_or_default().to_owned(),
            through: source["through"].as_i64().unwrap_or(-1),
            whole: source["whole"].as_bool().unwrap_or(false),
        }))
    }

    fn write_mark(&mut self, mark: &Mark) -> Result<(), SinkError> {
        let path = match self.version {
            Some((number, term)) => format!("_doc/{}?if_seq_no={number}&if_primary_term={term}", self.mark_id),
            None => format!("_create/{}", self.mark_id),
        };
        let document = json!({
            "epoch": mark.epoch, "through": mark.through, "whole": mark.whole, "indices": self.indices, "made": self.made,
        });
        let body = document.to_string();
        let body = Some(("application/json", body.as_bytes()));
        match self.http.ask("PUT", &format!("/{MARKS}/{path}"), body)? {
            (200..=299, answer) => {
                self.version = answer["_seq_no"].as_u64().zip(answer["_primary_term"].as_u64());
                Ok(())
            }
            (409, _) => Err(SinkError::Lost),
            (status, answer) => Err(self.http.says(status, &answer)),
        }
    }

    /// Makes an index with the types of a table; one that is there stays as it is.
    fn make_index(&self, at: usize) -> Result<(), SinkError> {
        let (Some(index), Some(table)) = (self.indices.get(at), self.model.tables.get(at)) else {
            return Ok(());
        };
        let fields: Map<String, Value> = table.columns.iter().map(field).collect();
        let body = json!({ "mappings": { "date_detection": false, "properties": fields } }).to_string();
        match self
            .http
            .ask("PUT", &format!("/{index}"), Some(("application/json", body.as_bytes())))?
        {
            (200..=299, _) => Ok(()),
            (400, answer) if answer["error"]["type"] == "resource_already_exists_exception" => Ok(()),
            (status, answer) => Err(self.http.says(status, &answer)),
        }
    }

    /// The ids of the indices that are there.
    fn ids(&self) -> Result<Value, SinkError> {
        let mut ids = serde_json::Map::new();
        // The names stand in the first line of a request, which a server takes up to some thousand bytes.
        for some in self.indices.chunks(NAMED) {
            let path = format!(
                "/{}/_settings/index.uuid?ignore_unavailable=true&filter_path=**.uuid",
                some.join(",")
            );
            if let Value::Object(found) = self.http.expect("GET", &path, None)? {
                ids.extend(found);
            }
        }
        Ok(Value::Object(ids))
    }

    /// Whether its indices are those that were fed.
    fn has_what_was_fed(&self) -> Result<bool, SinkError> {
        let made = self.made.as_str().map(serde_json::from_str::<Value>);
        match made {
            Some(Ok(made)) => Ok(made == self.ids()?),
            // Marks of earlier versions do not say it.
            _ => Ok(true),
        }
    }

    /// Sends items together. Returns those that the server refuses for good, by their place, with the reason.
    fn bulk(&self, items: &[Item<'_>]) -> Result<BTreeMap<usize, String>, SinkError> {
        let mut body = Vec::new();
        for item in items {
            let verb = if item.document.is_some() { "index" } else { "delete" };
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut body, &json!({ verb: { "_index": item.index, "_id": item.id } }));
            body.push(b'\n');
            if let Some(document) = &item.document {
                let _ = serde_json::to_writer(&mut body, document);
                body.push(b'\n');
            }
        }
        let mut refused = BTreeMap::new();
        if items.is_empty() {
            return Ok(refused);
        }
        let answer = self
            .http
            .expect("POST", "/_bulk", Some(("application/x-ndjson", &body)))?;
        let answers = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if answers.len() != items.len() {
            return Err(self.http.says(
                200,
                &json!({ "error": "its answer to _bulk does not say what became of each item" }),
            ));
        }
        for (at, answer) in answers.iter().enumerate() {
            let Some(told) = answer.as_object().and_then(|verbs| verbs.values().next()) else {
                continue;
            };
            let deleted = items.get(at).is_some_and(|item| item.document.is_none());
            match told["status"].as_u64().unwrap_or(500) {
                200..=299 => {}
                // Nor can anything be deleted of an index that is not there.
                404 if deleted => {}
                404 => return Err(SinkError::Lost),
                408 | 429 | 500..=599 => {
                    let reason = format!("it is too busy: {}", reason_of(&told["error"]));
                    return Err(self.http.unreachable(&reason));
                }
                400 | 413 if !is_of_index(&told["error"]) => {
                    refused.insert(at, reason_of(&told["error"]));
                }
                status => return Err(self.http.says(status as u16, told)),
            }
        }
        Ok(refused)
    }

    fn document(&self, row: &FedRow) -> Option<Value> {
        let table = self.model.tables.get(row.table)?;
        let columns = table.columns.iter().zip(row.values.as_ref()?);
        Some(Value::Object(
            columns
                .map(|(column, cell)| (column.name.clone(), value(cell)))
                .collect(),
        ))
    }

    fn item(&self, row: &FedRow) -> Item<'_> {
        Item {
            index: self.indices.get(row.table).map_or("", String::as_str),
            id: row_name(&row.key),
            document: self.document(row),
        }
    }
}

/// A document to be written, or to be deleted.
struct Item<'e> {
    index: &'e str,
    id: String,
    document: Option<Value>,
}

/// Whether an error is the index's and not the document's: another document would meet it as well.
fn is_of_index(error: &Value) -> bool {
    let kind = error["type"].as_str().unwrap_or_default();
    kind.starts_with("index_") || kind.starts_with("cluster_") || kind == "invalid_index_name_exception"
}

fn field(column: &FedColumn) -> (String, Value) {
    let kind = match column.kind {
        Type::Integer => json!({ "type": "long" }),
        Type::Real | Type::Numeric => json!({ "type": "double" }),
        Type::Blob => json!({ "type": "binary" }),
        Type::Text | Type::Any => {
            json!({ "type": "text", "fields": { "keyword": { "type": "keyword", "ignore_above": 256 } } })
        }
    };
    (column.name.clone(), kind)
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(value) => (*value).into(),
        // What JSON has no number for is text.
        Cell::Real(value) => serde_json::Number::from_f64(*value).map_or_else(|| text_of(cell).into(), Value::Number),
        Cell::Text(text) => text.as_str().into(),
        Cell::Blob(bytes) => BASE64.encode(bytes).into(),
    }
}

impl RowStore for Elastic {
    fn open(&mut self) -> Result<Option<Mark>, SinkError> {
        let wrong = |index: &&String| {
            index.starts_with(['_', '-', '+'])
                || index.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'])
        };
        if let Some(index) = self.indices.iter().find(wrong) {
            return Err(SinkError::Says {
                store: self.server.to_string(),
                reason: format!("no index can be called `{}`", index.escape_debug()),
                help: Some("begin its name otherwise with ?prefix=NAME, or rename the table".to_owned()),
            });
        }
        let mark = self.read_mark()?;
        if mark.is_none() {
            for index in &self.indices {
                if let (200..=299, _) = self.http.ask("GET", &format!("/{index}"), None)? {
                    return Err(SinkError::NotOurs {
                        store: self.server.to_string(),
                        what: format!("the index `{index}`"),
                        help: "write the rows to other indices with ?prefix=NAME in the address, or delete it"
                            .to_owned(),
                    });
                }
            }
        }
        Ok(mark)
    }

    fn push(&mut self, rows: &[FedRow], before: Option<&Mark>, mark: &Mark) -> Result<Vec<Refused>, SinkError> {
        let there = self.read_mark()?;
        match before {
            Some(before) if there.as_ref() != Some(before) || !self.has_what_was_fed()? => return Err(SinkError::Lost),
            Some(_) => {}
            None => {
                for index in std::mem::take(&mut self.old) {
                    self.http.ask("DELETE", &format!("/{index}"), None)?;
                }
                (0..self.indices.len()).try_for_each(|at| self.make_index(at))?;
                self.made = Value::Null;
            }
        }
        if self.made.is_null() {
            // As text: its fields are the names of indices, of which every model has others.
            self.made = self.ids()?.to_string().into();
        }
        let (mut refused, mut items, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let item = self.item(row);
            if item.id.len() > LONGEST {
                let reason = format!("its key has more than the {LONGEST} bytes that an id may have");
                refused.push(Refused { row: at, reason });
            } else {
                items.push(item);
                places.push(at);
            }
        }
        let refusals = self.bulk(&items)?;
        // What it had of them is of an older version.
        let gone: Vec<Item<'_>> = refusals
            .keys()
            .filter_map(|at| items.get(*at))
            .map(|item| Item {
                index: item.index,
                id: item.id.clone(),
                document: None,
            })
            .collect();
        self.bulk(&gone)?;
        for (at, reason) in refusals {
            refused.extend(places.get(at).map(|row| Refused { row: *row, reason }));
        }
        if before != Some(mark) {
            self.write_mark(mark)?;
        }
        Ok(refused)
    }
}

impl Rows for Elastic {
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
        let at: usize = from.and_then(|from| from.parse().ok()).unwrap_or(0);
        let Some(index) = self.indices.get(at) else {
            return Ok(None);
        };
        // What was written is found from here on.
        self.http.ask("POST", &format!("/{index}/_refresh"), None)?;
        let body = json!({ "size": PAGE, "_source": false, "sort": ["_doc"] }).to_string();
        let path = format!("/{index}/_search?scroll=1m");
        let mut page = match self
            .http
            .ask("POST", &path, Some(("application/json", body.as_bytes())))?
        {
            (200..=299, page) => page,
            (404, _) => Value::Null,
            (status, answer) => return Err(self.http.says(status, &answer)),
        };
        loop {
            let hits = page["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
            if hits.is_empty() {
                break;
            }
            let mut gone = Vec::new();
            for id in hits.iter().filter_map(|hit| hit["_id"].as_str()) {
                if !keep(at, id)? {
                    gone.push(Item {
                        index,
                        id: id.to_owned(),
                        document: None,
                    });
                }
            }
            self.bulk(&gone)?;
            let scroll = json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] }).to_string();
            page = self
                .http
                .expect("POST", "/_search/scroll", Some(("application/json", scroll.as_bytes())))?;
        }
        if let Some(scroll) = page["_scroll_id"].as_str() {
            // It would end by itself a minute later.
            let _ = self.http.ask("DELETE", &format!("/_search/scroll/{scroll}"), None);
        }
        Ok((at + 1 < self.indices.len()).then(|| (at + 1).to_string()))
    }

    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
        let mut found: BTreeMap<(usize, String), Value> = BTreeMap::new();
        for (at, index) in self.indices.iter().enumerate() {
            let ids: Vec<String> = rows
                .iter()
                .filter(|row| row.table == at)
                .map(|row| row_name(&row.key))
                .collect();
            if ids.is_empty() {
                continue;
            }
            let body = json!({ "ids": ids }).to_string();
            let path = format!("/{index}/_mget");
            let answer = match self
                .http
                .ask("POST", &path, Some(("application/json", body.as_bytes())))?
            {
                (200..=299, answer) => answer,
                (404, _) => continue,
                (status, answer) => return Err(self.http.says(status, &answer)),
            };
            for document in answer["docs"].as_array().into_iter().flatten() {
                if let (Some(id), true) = (document["_id"].as_str(), document["found"] == true) {
                    found.insert((at, id.to_owned()), document["_source"].clone());
                }
            }
        }
        let held = |row: &FedRow| match found.remove(&(row.table, row_name(&row.key))) {
            Some(there) => held(self.document(row).unwrap_or_default(), &there),
            None => Held::Missing,
        };
        Ok(rows.iter().map(held).collect())
    }
}

fn held(wanted: Value, there: &Value) -> Held {
    let (Some(wanted), Some(there)) = (wanted.as_object(), there.as_object()) else {
        return Held::Missing;
    };
    let columns = wanted
        .keys()
        .chain(there.keys().filter(|name| !wanted.contains_key(*name)));
    let other: Vec<_> = columns
        .filter(|name| wanted.get(*name) != there.get(*name))
        .map(|name| {
            (
                name.clone(),
                there.get(name).map_or_else(|| "NULL".to_owned(), Value::to_string),
            )
        })
        .collect();
    if other.is_empty() {
        Held::Same
    } else {
        Held::Other(other)
    }
}

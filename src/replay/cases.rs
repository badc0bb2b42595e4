//! Replays as data: `tests/replay/NAME.sql` folds the records of `NAME.ndjson` and must give `NAME.snap`; a file of
//! `tests/replay/refused` must be refused with the report in its snapshot.
//!
//! A new case is a new pair of files; `INSTA_UPDATE=always cargo test --lib cases` writes its snapshot, to be read before it is
//! kept. A record is `{"topic", "partition", "timestamp", "key", "headers", "value"}`, of which all may be left out; a value that
//! is not JSON is `{"raw": "text"}` or `{"hex": "00ff"}`, a key likewise.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::Value;

use super::memory::Memory;
use super::rebuild::build;
use super::rebuild::tests::control;
use crate::broker::reader::Range;
use crate::projection::error::ProjectionError;
use crate::projection::parse::parse;
use crate::readmodel::compile::compile;
use crate::readmodel::dump::dump;
use crate::readmodel::store::Store;
use crate::record::Header;

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "sql"));
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (path.clone(), name(path))).collect()
}

fn snapshot(path: &Path, name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => path.parent().unwrap(), prepend_module_to_snapshot => false, omit_expression => true
    }, {
        insta::assert_snapshot!(name, text);
    });
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Object(object) if object.contains_key("raw") => {
            Some(object["raw"].as_str().unwrap().as_bytes().to_vec())
        }
        Value::Object(object) if object.contains_key("hex") => {
            let hex = object["hex"].as_str().unwrap();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            Some((0..hex.len()).step_by(2).map(byte).collect())
        }
        other => Some(other.to_string().into_bytes()),
    }
}

fn log_of(topics: &[String], ndjson: &str) -> Memory {
    let mut log = Memory::default();
    for topic in topics {
        log.add(topic, 1);
    }
    for (number, line) in ndjson.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        let topic = record["topic"].as_str().unwrap_or(&topics[0]);
        let partition = record["partition"].as_i64().unwrap_or(0) as i32;
        let time = record["timestamp"].as_i64().unwrap_or(1_000 + number as i64);
        let pushed = log.push_bytes(topic, partition, time, bytes(&record["value"]));
        pushed.key = match &record["key"] {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            key => bytes(key),
        };
        for header in record["headers"].as_array().into_iter().flatten() {
            pushed.headers.push(Header {
                key: header[0].as_str().unwrap().to_owned(),
                value: match &header[1] {
                    Value::String(text) => Some(text.as_bytes().to_vec()),
                    value => bytes(value),
                },
            });
        }
    }
    log
}

/// What a replay of `records` makes: counts, rows and dead letters.
fn replayed(source: &str, file: &str, records: &str) -> String {
    let definition = compile(&parse(source, file).unwrap()).unwrap();
    let projection = definition.projection();
    let log = log_of(&projection.topics, records);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "lab").unwrap();
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, &[3]));
    let ranges = log.ranges();
    let report = build(
        &store,
        &definition,
        &log.log().origin(),
        &ranges,
        open,
        true,
        &mut control(),
    )
    .unwrap();
    let mut text = format!("{:?}\n\n", report.info.counts);
    let mut rows = Vec::new();
    dump(&store, &projection.name, &mut rows).unwrap();
    text += &String::from_utf8(rows).unwrap();
    for broken in &report.info.broken {
        writeln!(text, "\nline {}: {broken}", broken.line).unwrap();
    }
    for letter in store.dead_letters(&projection.name, 100).unwrap() {
        let at = format!(
            "{}[{}] offset {}",
            letter.record.topic, letter.record.partition, letter.record.offset
        );
        writeln!(text, "\ndead letter: {at}, line {:?}\n  {}", letter.line, letter.reason).unwrap();
    }
    for field in &report.missing {
        writeln!(text, "\nmissing: {field}").unwrap();
    }
    text
}

#[test]
fn replays() {
    for (path, name) in files("tests/replay") {
        let source = fs::read_to_string(&path).unwrap();
        let records = fs::read_to_string(path.with_extension("ndjson")).unwrap();
        let text = replayed(&source, &name, &records);
        snapshot(&path, &name, &text);
        // A rebuild passes over the tests in a file.
        let tested = format!("{source}\n-- given: {{}}\n-- expect:\nSELECT 1 WHERE 0;\n-- = no rows\n");
        assert_eq!(replayed(&tested, &name, &records), text, "{name} with tests");
    }
}

fn drawn(error: &ProjectionError) -> String {
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    handler.render_report(&mut out, error).unwrap();
    out
}

/// What the parser lets through and SQLite, or what we ask of a table, does not.
#[test]
fn refusals() {
    for (path, name) in files("tests/replay/refused") {
        let projection = parse(&fs::read_to_string(&path).unwrap(), &format!("{name}.sql")).unwrap();
        let error = compile(&projection).expect_err(&name);
        snapshot(&path, &name, &drawn(&error));
    }
}

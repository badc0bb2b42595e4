//! Projection files as cases: each `good/*.sql` parses to the snapshot beside it, each `bad/*.sql` gives the report in its.
//!
//! A new case is a new file; `INSTA_UPDATE=always cargo test --test projection` writes its snapshot, to be read before it is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sqlite;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use foldlog::projection::error::ProjectionError;
use foldlog::projection::parse::{check_together, parse};
use foldlog::projection::{Projection, Statement, Step};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::json;

fn cases(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/projection")
        .join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "sql"));
    files.sort();
    assert!(!files.is_empty(), "no cases in {folder}");
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The report as a terminal of eighty columns shows it, without colour.
fn report(error: &ProjectionError) -> String {
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(80)
        .with_links(false);
    handler.render_report(&mut out, error).unwrap();
    out
}

fn statement(out: &mut String, projection: &Projection, statement: &Statement) {
    assert_eq!(
        projection.source.get(statement.span.clone()),
        Some(statement.sql.as_str())
    );
    writeln!(
        out,
        "  line {}: {}",
        statement.line,
        statement.sql.replace('\n', "\n          ")
    )
    .unwrap();
    for (number, binding) in statement.bindings.iter().enumerate() {
        writeln!(out, "    {}: {binding:?}", number + 1).unwrap();
    }
}

fn describe(projection: &Projection) -> String {
    let mut out = String::new();
    let fields: Vec<String> = projection.fields.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "projection {} of {}",
        projection.name,
        projection.topics.join(", ")
    )
    .unwrap();
    writeln!(out, "type {}, fields {}", projection.type_path, fields.join(" ")).unwrap();
    writeln!(out, "schema").unwrap();
    for each in &projection.schema {
        statement(&mut out, projection, each);
    }
    for upcast in &projection.upcasts {
        writeln!(
            out,
            "line {} upcast {:?} version {:?}",
            upcast.line, upcast.event, upcast.version
        )
        .unwrap();
        statement(&mut out, projection, &upcast.select);
    }
    for handler in &projection.handlers {
        writeln!(out, "line {} on {:?}", handler.line, handler.on).unwrap();
        for each in &handler.statements {
            statement(&mut out, projection, each);
        }
    }
    for invariant in &projection.invariants {
        writeln!(out, "line {} invariant {:?}", invariant.line, invariant.name).unwrap();
        statement(&mut out, projection, &invariant.select);
    }
    for emit in &projection.emits {
        writeln!(out, "line {} emit {:?} on {:?}", emit.line, emit.topic, emit.on).unwrap();
        statement(&mut out, projection, &emit.select);
    }
    for alert in &projection.alerts {
        writeln!(out, "line {} alert {:?}", alert.line, alert.name).unwrap();
        statement(&mut out, projection, &alert.select);
    }
    for test in &projection.tests {
        writeln!(out, "line {} test {:?}", test.line, test.name).unwrap();
        for step in &test.steps {
            match step {
                Step::Given(given) => {
                    assert_eq!(projection.source.get(given.span.clone()), Some(given.json.as_str()));
                    let what = if given.envelope { "record" } else { "event" };
                    writeln!(out, "  line {}: {what} {}", given.line, given.json).unwrap();
                    if let Some(words) = &given.poison {
                        writeln!(out, "    is poison: {words:?}").unwrap();
                    }
                }
                Step::Broken { name, line } => writeln!(out, "  line {line}: {name} is broken").unwrap(),
                Step::Expect(expect) => {
                    statement(&mut out, projection, &expect.select);
                    let rows = expect.rows.iter().flatten().map(|row| json!(row.cells).to_string());
                    let rows = expect.rows.as_ref().map(|_| rows.collect::<Vec<_>>());
                    writeln!(out, "    ordered {}, rows {rows:?}", expect.ordered).unwrap();
                }
            }
        }
    }
    out
}

fn settings(folder: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{folder}/expected"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn good_files_parse_to_what_they_say() {
    settings("good").bind(|| {
        for (name, source) in cases("good") {
            match parse(&source, &format!("{name}.sql")) {
                Ok(projection) => insta::assert_snapshot!(name.as_str(), describe(&projection)),
                Err(error) => panic!("{}", report(&error)),
            }
        }
    });
}

#[test]
fn bad_files_are_refused_with_the_line_and_the_way_to_mend_it() {
    settings("bad").bind(|| {
        for (name, source) in cases("bad") {
            let error = parse(&source, &format!("{name}.sql")).expect_err(&name);
            insta::assert_snapshot!(name.as_str(), report(&error));
        }
    });
}

fn projection(source: &str, file: &str) -> Projection {
    parse(source, file).unwrap_or_else(|error| panic!("{}", report(&error)))
}

const PLAIN: &str = "-- projection: p\n-- topic: a\n-- topic: b\n-- type: $.type\nCREATE TABLE t (id TEXT PRIMARY KEY);\n\
                     -- on: A\nINSERT INTO t VALUES (:id);\n-- on: *\nDELETE FROM t;\n";

#[test]
fn two_files_of_one_name_are_refused_together() {
    let first = projection(PLAIN, "first.sql");
    let other = projection(&PLAIN.replace("projection: p", "projection: q"), "other.sql");
    let again = projection(&PLAIN.replace("projection: p", "projection: P"), "again.sql");
    assert!(check_together(&[first.clone(), other.clone()]).is_ok());
    let error = check_together(&[first, other, again]).unwrap_err();
    settings("bad").bind(|| insta::assert_snapshot!("two_files_of_one_name", report(&error)));
}

#[test]
fn the_hash_is_of_what_decides_the_rows() {
    let hash = |source: &str| projection(source, "p.sql").hash;
    let plain = hash(PLAIN);
    for same in [
        PLAIN.replace("VALUES (:id)", "VALUES\r\n  ( /* the id */ :id ) -- done\n"),
        PLAIN.replace("-- topic: a\n-- topic: b", "-- topic: b, a"),
        format!("-- By nobody.\n\n{PLAIN}"),
        PLAIN.replace("DELETE FROM t;", "DELETE FROM t"),
        PLAIN.replace("-- type: $.type", "-- type: $.\"type\""),
        PLAIN.replace("-- on: A", "-- on: \"A\""),
        format!("{PLAIN}-- emit: out\nSELECT :id AS key, :n AS value;\n"),
        format!("{PLAIN}-- test: x\n-- given: {{}}\n-- expect:\nSELECT id FROM t;\n-- = no rows\n"),
    ] {
        assert_eq!(hash(&same), plain, "{same}");
    }
    let mut seen = vec![plain];
    for other in [
        PLAIN.replace("projection: p", "projection: q"),
        PLAIN.replace("topic: b", "topic: c"),
        PLAIN.replace("$.type", "$.kind"),
        PLAIN.replace("-- on: A", "-- on: B"),
        PLAIN.replace("-- on: *", "-- on: tombstone"),
        PLAIN.replace("-- on: *", "-- on: \"*\""),
        PLAIN.replace("-- on: A", "-- version: $.v\n-- on: A"),
        PLAIN.replace("-- on: A", "-- upcast: A\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- upcast: A\nSELECT '{}';\n-- on: A"),
        PLAIN.replace("-- on: A", "-- invariant: A\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- invariant: B\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- alert: A\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- alert: B\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- upcast: B\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- version: $.v\n-- upcast: B v1\nSELECT @value;\n-- on: A"),
        PLAIN.replace("-- on: A", "-- version: $.v\n-- upcast: B v2\nSELECT @value;\n-- on: A"),
        PLAIN.replace("VALUES (:id)", "VALUES (':id')"),
        PLAIN.replace("DELETE FROM t;", "DELETE FROM t; DELETE FROM t;"),
        PLAIN.replace(
            "INSERT INTO t VALUES (:id);\n-- on: *\n",
            "INSERT INTO t VALUES (:id);\n",
        ),
    ] {
        let hash = hash(&other);
        assert!(!seen.contains(&hash), "{other}");
        seen.push(hash);
    }
}

#[test]
fn schemas_are_read_beside_the_file_and_are_part_of_the_hash() {
    let text = PLAIN.replace("-- type: $.type\n", "-- type: $.type\n-- schema: A a.json\n");
    let read = |schema: &str| {
        let mut read = projection(&text, "p.sql");
        let error = read.read_schemas(|file| {
            assert_eq!(file, "a.json");
            match schema {
                "" => Err("no such file".to_owned()),
                text => Ok(text.to_owned()),
            }
        });
        error.map(|()| read.hash)
    };
    let one = read(r#"{"type": "object"}"#).unwrap();
    assert_eq!(one, read("{\"type\":\n\"object\"}").unwrap());
    assert_ne!(one, read(r#"{"type": "array"}"#).unwrap());
    assert_ne!(one, projection(PLAIN, "p.sql").hash);
    let mut plain = projection(PLAIN, "p.sql");
    let hash = plain.hash.clone();
    plain.read_schemas(|_| Err("nothing is read".to_owned())).unwrap();
    assert_eq!(plain.hash, hash);
    settings("bad").bind(|| {
        insta::assert_snapshot!("schema_not_there", report(&read("").unwrap_err()));
        insta::assert_snapshot!(
            "schema_that_is_none",
            report(&read(r#"{"type": "objekt"}"#).unwrap_err())
        );
        insta::assert_snapshot!(
            "schema_that_refers_elsewhere",
            report(&read(r#"{"$ref": "https://example.com/a.json"}"#).unwrap_err())
        );
    });
}

//! Charts, reports and metrics on the command line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::Shell;
use super::common::PATIENCE;

const ORDERS: &str = "-- projection: seen\n-- topic: events\n-- type: $.type\n\n\
CREATE TABLE seen (type TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\n\n\
-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n";

/// A shell with a read model of three types: 4, 2 and 1.
fn seen() -> (Shell, String) {
    let shell = Shell::new();
    let path = shell.home.path().join("seen.sql");
    std::fs::write(&path, ORDERS).unwrap();
    let events: String = ["Paid", "Paid", "Paid", "Paid", "下单", "下单", "</svg>"]
        .iter()
        .map(|kind| format!("{{\"type\":\"{kind}\"}}\n"))
        .collect();
    shell.ok(&["topics", "create", "events"], "");
    shell.ok(&["produce", "events"], &events);
    (shell, path.to_str().unwrap().to_owned())
}

#[test]
fn rows_of_a_query_are_drawn() {
    let (shell, file) = seen();
    shell.ok(&["rebuild", &file], "");
    let sql = "SELECT type, n FROM seen.seen ORDER BY n DESC";
    let drawn = shell.ok(&["query", sql, "--chart", "bar"], "");
    let lines: Vec<&str> = drawn.lines().collect();
    assert!(
        lines[0].starts_with("Paid   ████") && lines[0].ends_with("█ 4"),
        "{drawn}"
    );
    // 下单 takes four columns, as `Paid` does, so that the bars begin in one column.
    assert!(
        lines[1].starts_with("下单   ██") && lines[1].ends_with("▌ 2"),
        "{drawn}"
    );
    assert_eq!(shell.ok(&["query", sql, "--chart", "auto"], ""), drawn);
    assert!(drawn.lines().count() == 3, "no empty rows below: {drawn:?}");
    let nothing = shell.ok(
        &["query", "SELECT type, n FROM seen.seen WHERE n > 9", "--chart", "bar"],
        "",
    );
    assert_eq!(nothing, "");
    let said = shell.fails(&["query", sql, "--chart", "heat"], "");
    assert!(
        said.contains("made of the columns row, column, value; the query returns 2 columns"),
        "{said}"
    );
    let said = shell.fails(&["query", sql, "--chart", "pie"], "");
    assert!(said.contains("histogram"), "{said}");
    let said = shell.fails(&["query", "SELECT type FROM seen.seen", "--chart", "auto"], "");
    assert!(said.contains("no column of this query has numbers"), "{said}");
}

#[test]
fn a_run_is_reported_as_a_page_and_as_markdown() {
    let shell = Shell::new();
    let page = shell.home.path().join("run.html");
    let text = shell.home.path().join("run.md");
    let run = |file: &str| {
        shell.run(&[
            "demo",
            "run",
            "event-sourcing",
            "--headless",
            "--lang",
            "en",
            "--report",
            file,
        ])
    };
    let said = run(page.to_str().unwrap());
    assert!(said.code == Some(0) && said.err.contains("report: "), "{}", said.err);
    let page = std::fs::read_to_string(page).unwrap();
    for part in [
        "<!doctype html>",
        "checks hold",
        "What the bank holds",
        "949,960",
        "Break it: a wrong handler",
        "1400",
        "5,004",
        "prefers-color-scheme:dark",
        "</html>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.matches("<svg").count() >= 6, "the flow and five charts");
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("NaN"));
    let said = run(text.to_str().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let text = std::fs::read_to_string(text).unwrap();
    assert!(
        text.starts_with("# Event sourcing\n") && text.contains("```text\n") && text.contains('█'),
        "{text}"
    );

    let said = run("run.pdf");
    assert!(
        said.code != Some(0) && said.err.contains(".html or .md"),
        "{}",
        said.err
    );
    let said = run("/nowhere/at/all.html");
    assert!(
        said.code != Some(0) && said.err.contains("there is no folder"),
        "{}",
        said.err
    );
}

/// Sends bytes and returns all that comes back.
fn ask(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The samples of Prometheus' text format. Panics at whatever is none.
fn samples(answer: &str) -> Vec<(String, f64)> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"),
        "{head}"
    );
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    let mut kinds = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for line in body.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind) && kinds.insert(name.to_owned(), kind).is_none());
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            assert!(kinds.contains_key(family), "{line}");
            out.push((name.to_owned(), value.parse().unwrap()));
        }
    }
    out
}

#[test]
fn a_follow_tells_prometheus_how_it_is() {
    let (shell, file) = seen();
    let mut child = shell.spawn(&["follow", &file, "--metrics", "127.0.0.1:0"]);
    let mut err = child.stderr.take().unwrap();
    let (mut said, mut byte) = (String::new(), [0u8; 1]);
    while !said.contains("/metrics\n") {
        assert_eq!(err.read(&mut byte).unwrap(), 1, "{said}");
        said.push(byte[0] as char);
    }
    let address = said
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let scrape = || samples(&ask(&address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    let value = |name: &str| {
        scrape()
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    let applied = "foldlog_records_total{projection=\"seen\",outcome=\"applied\"}";
    let began = Instant::now();
    while value(applied) != Some(7.0) || value("foldlog_phase{projection=\"seen\",phase=\"live\"}") != Some(1.0) {
        assert!(began.elapsed() < PATIENCE, "{:?}", scrape());
    }
    assert_eq!(value("foldlog_lag_records{projection=\"seen\"}"), Some(0.0));
    assert_eq!(
        value("foldlog_records_total{projection=\"seen\",outcome=\"poisoned\"}"),
        Some(0.0)
    );
    assert_eq!(
        value("foldlog_next_offset{projection=\"seen\",topic=\"events\",partition=\"0\"}"),
        Some(7.0)
    );
    // Whoever asks for something else, or for nothing, is answered shortly and harms nobody.
    assert!(ask(&address, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask(&address, b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    let idle: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let mut long = TcpStream::connect(&address).unwrap();
    // The other side may close while this is still being sent.
    let _ = long.write_all(&vec![b'x'; 64 * 1024]);
    assert_eq!(value(applied), Some(7.0));
    drop((idle, long));
    child.kill().unwrap();
    child.wait().unwrap();

    let said = shell.fails(&["follow", &file, "--metrics", "0.0.0.0:9464"], "");
    assert!(said.contains("others could read them"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = shell.fails(
        &["follow", &file, "--metrics", &taken.local_addr().unwrap().to_string()],
        "",
    );
    assert!(said.contains("cannot serve metrics at"), "{said}");
}

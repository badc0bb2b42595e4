//! `foldlog produce`.

use super::{Shell, json};
use crate::common::process::BrokerProcess;

#[test]
fn values_are_written_as_they_stand_there() {
    let shell = Shell::new();
    shell.ok(&["topics", "create", "t"], "");
    let lines = "{\"id\": 12345678901234567890, \"x\":1.10}\n\n  [1, 2]  \n\"text\"\nnull\n7";
    let said = shell.run_with(&["produce", "t"], lines);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("5 records written"), "{}", said.err);
    let raw = shell.ok(&["read", "t", "-o", "raw"], "");
    assert_eq!(
        raw,
        "{\"id\": 12345678901234567890, \"x\":1.10}\n[1, 2]\n\"text\"\n\n7\n"
    );
    let records = json(&shell.ok(&["read", "t", "--json"], ""));
    assert!(records[3]["value"].is_null(), "a line `null` is a tombstone");
}

#[test]
fn fields_become_key_and_header() {
    let shell = Shell::new();
    shell.ok(&["topics", "create", "t"], "");
    let line = r#"{"order":{"id":17},"type":"Placed"}"#;
    shell.ok(
        &["produce", "t", "--key-field", "$.order.id", "--type-field", "type"],
        line,
    );
    let records = json(&shell.ok(&["read", "t", "-o", "json"], ""));
    assert_eq!(records[0]["key"], "17");
    assert_eq!(records[0]["headers"], serde_json::json!([["type", "Placed"]]));
    let error = shell.fails(&["produce", "t", "--key-field", "nr"], line);
    assert!(error.contains("line 1") && error.contains("`nr`"), "{error}");
}

#[test]
fn envelopes_make_their_topics_and_come_back_byte_for_byte() {
    let shell = Shell::new();
    let lines = [
        r#"{"topic":"a","timestamp":1700000000000,"key":"k","headers":[["h","1"],["h",null],["b",{"base64":"/w=="}]],"value":{"n":12345678901234567890.10}}"#,
        r#"{"topic":"a","timestamp":1700000000001,"key":null,"value":null}"#,
        r#"{"topic":"a","timestamp":1700000000002,"key":"/w==","keyEncoding":"base64","value":"plain","valueEncoding":"text"}"#,
        r#"{"topic":"b","timestamp":1700000000003,"key":"","value":"/wA=","valueEncoding":"base64"}"#,
        r#"{"topic":"b","timestamp":1700000000004,"key":"1","value":"null","valueEncoding":"text"}"#,
    ];
    let said = shell.run_with(&["produce", "--envelope"], &lines.join("\n"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("created a") && said.err.contains("created b"),
        "{}",
        said.err
    );
    let first = shell.ok(&["read", "a", "-o", "json"], "") + &shell.ok(&["read", "b", "-o", "json"], "");
    for (line, read) in lines.iter().zip(first.lines()) {
        let mut read: serde_json::Value = serde_json::from_str(read).unwrap();
        let object = read.as_object_mut().unwrap();
        object.remove("partition");
        object.remove("offset");
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap(), read);
    }
    assert!(first.contains("12345678901234567890.10"), "digits are kept: {first}");
    let other = Shell::new();
    other.ok(&["produce", "--envelope", "-"], &first);
    let second = other.ok(&["read", "a", "-o", "json"], "") + &other.ok(&["read", "b", "-o", "json"], "");
    assert_eq!(first, second);
}

#[test]
fn the_first_line_that_is_wrong_ends_it_and_is_named() {
    let shell = Shell::new();
    shell.ok(&["topics", "create", "t"], "");
    let error = shell.fails(&["produce", "t"], "{\"a\":1}\n{\"a\":2}\n{\"a\":\n{\"a\":4}\n");
    assert!(error.contains("line 3") && error.contains("not JSON"), "{error}");
    assert!(error.contains("2 records written before that"), "{error}");
    assert_eq!(shell.ok(&["read", "t", "-o", "raw"], ""), "{\"a\":1}\n{\"a\":2}\n");
    for (line, reason) in [
        (r#"{"value":1}"#, "`topic`"),
        (r#"{"topic":"t"}"#, "`value`"),
        (r#"{"topic":"t","value":1,"timestamp":"soon"}"#, "`timestamp`"),
        (r#"{"topic":"t","value":1,"keys":"x"}"#, "keys"),
        (r#"{"topic":"a/b","value":1}"#, "a/b"),
    ] {
        let error = shell.fails(&["produce", "--envelope"], line);
        assert!(error.contains("line 1") && error.contains(reason), "{line}: {error}");
    }
    let error = shell.fails(&["produce", "tt"], "{}");
    assert!(error.contains("no topic `tt`") && error.contains("`t`"), "{error}");
    assert!(
        shell
            .fails(&["produce", "t", "/no/such/file"], "")
            .contains("/no/such/file")
    );
}

#[test]
fn large_and_deep_values_pass() {
    let shell = Shell::new();
    shell.ok(&["topics", "create", "t", "--config", "max.message.bytes=20000000"], "");
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(10 * 1024 * 1024));
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    shell.ok(&["produce", "t"], &format!("{large}\n{deep}\n"));
    let raw = shell.ok(&["read", "t", "-o", "raw"], "");
    assert!(raw == format!("{large}\n{deep}\n"));
    let lines = shell.ok(&["read", "t", "-o", "json"], "");
    assert_eq!(lines.lines().count(), 2);
    let table = shell.ok(&["read", "t"], "");
    assert_eq!(table.lines().count(), 3);
}

#[test]
fn a_full_disk_of_the_embedded_broker_is_told_with_what_to_do() {
    let shell = Shell::new();
    let broker = BrokerProcess::start_with_small_files(shell.data.path(), "127.0.0.1:0");
    let produce = ["-b", &broker.address, "produce", "full"];
    shell.ok(&["-b", &broker.address, "topics", "create", "full", "-p", "1"], "");
    // Random enough that compression does not make it fit.
    let line: String = (0..60_000u64)
        .map(|n| format!("{:08x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32))
        .collect();
    let error = shell.fails(&produce, &format!("\"{line}\"\n"));
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(error.contains("its disk is full: free space"), "{error}");
    assert!(!error.contains("timed out"), "{error}");
    // What fits is written behind it.
    shell.ok(&produce, "1\n");
    let read = shell.ok(&["-b", &broker.address, "read", "full", "-o", "json"], "");
    assert_eq!(json(&read).len(), 1, "{read}");
}

//! `foldlog dead-letters`.

use serde_json::json;

use super::{Shell, json};

const PROJECTION: &str = "-- projection: order_view
-- topic: orders
-- type: $.type
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL) STRICT;

-- on: Placed
INSERT INTO orders VALUES (:id, :customer);
";

/// A good record, one that a constraint refuses, one that is text with an escape sequence in it, one of bytes.
const RECORDS: [&str; 4] = [
    r#"{"topic":"orders","timestamp":1777636800000,"key":"o1","value":{"type":"Placed","id":"o1","customer":"ada"}}"#,
    r#"{"topic":"orders","timestamp":1777636801000,"key":"o2","value":{"type":"Placed","id":"o2","n":12345678901234567890.10}}"#,
    r#"{"topic":"orders","timestamp":1777636802000,"key":"/w==","keyEncoding":"base64","headers":[["b",{"base64":"/w=="}]],"value":"\u001b[31mred","valueEncoding":"text"}"#,
    r#"{"topic":"orders","timestamp":1777636803000,"key":null,"value":"/wA=","valueEncoding":"base64"}"#,
];

fn shell(records: &[&str]) -> (Shell, String) {
    let shell = Shell::new();
    shell.ok(&["produce", "--envelope", "--partitions", "1"], &records.join("\n"));
    let file = shell.data.path().join("orders.sql");
    std::fs::write(&file, PROJECTION).unwrap();
    (shell, file.to_str().unwrap().to_owned())
}

#[test]
fn a_table_shows_position_reason_line_and_value() {
    let (shell, file) = shell(&RECORDS);
    let refused = shell.fails(&["rebuild", &file], "");
    assert!(refused.contains("foldlog dead-letters order_view"), "{refused}");
    assert!(
        shell
            .fails(&["dead-letters", "order_view"], "")
            .contains("no read model `order_view`")
    );
    let said = shell.ok(&["rebuild", &file, "--skip-poison"], "");
    assert!(said.contains("3 skipped (`foldlog dead-letters order_view`"), "{said}");

    let table = shell.ok(&["dead-letters", "order_view"], "");
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 5, "{table}");
    assert!(rows[0].contains("POSITION") && rows[0].contains("REASON"), "{table}");
    for part in [
        "orders[0] 1",
        "2026-05-01 12:00:01Z",
        "Placed",
        " 7 ",
        "orders.customer",
        "o2",
    ] {
        assert!(rows[2].contains(part), "{part}: {table}");
    }
    assert!(rows[3].contains("not JSON") && rows[3].contains("␛[31mred"), "{table}");
    assert!(rows[4].contains("not UTF-8") && rows[4].contains("⟨FF⟩␀"), "{table}");
    assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");

    let first = shell.run(&["dead-letters", "order_view", "--limit", "1"]);
    assert_eq!(first.out.lines().count(), 3, "{}", first.out);
    assert!(first.err.contains("the first 1; more with --limit"), "{}", first.err);
}

#[test]
fn json_has_the_record_as_read_prints_it_and_produce_takes_it_back() {
    let (shell, file) = shell(&RECORDS);
    shell.ok(&["rebuild", &file, "--skip-poison"], "");
    let text = shell.ok(&["--json", "dead-letters", "order_view"], "");
    let letters = json(&text);
    assert_eq!(letters.len(), 3);
    assert_eq!(
        (&letters[0]["line"], &letters[0]["type"], &letters[0]["held"]),
        (&json!(7), &json!("Placed"), &json!(false))
    );
    assert_eq!((&letters[1]["line"], &letters[1]["type"]), (&json!(null), &json!(null)));
    assert_eq!(letters[0]["reason"], "NOT NULL constraint failed: orders.customer");
    assert!(text.contains("12345678901234567890.10"), "digits are kept: {text}");
    let read = json(&shell.ok(&["read", "orders", "-o", "json", "--from", "1"], ""));
    let records: Vec<_> = letters.iter().map(|letter| letter["record"].clone()).collect();
    assert_eq!(records, read);
    assert_eq!(
        json(&shell.ok(&["--json", "dead-letters", "order_view", "-n", "2"], "")),
        letters[..2]
    );

    let other = Shell::new();
    let again: Vec<_> = records.iter().map(ToString::to_string).collect();
    other.ok(&["produce", "--envelope"], &again.join("\n"));
    assert_eq!(other.ok(&["topics", "--json"], "").matches("\"records\":3").count(), 1);
}

#[test]
fn none_is_said_and_the_one_that_is_held_is_told() {
    let (shell, file) = shell(&RECORDS[..1]);
    shell.ok(&["rebuild", &file], "");
    let none = shell.run(&["dead-letters", "order_view"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.contains("no dead letters"), "{}", none.err);

    shell.ok(&["produce", "--envelope"], RECORDS[1]);
    let paused = shell.run(&["follow", &file]);
    assert_eq!(paused.code, Some(1), "{}", paused.err);
    assert!(
        paused.err.contains("`foldlog dead-letters order_view`"),
        "{}",
        paused.err
    );
    let held = shell.run(&["dead-letters", "order_view"]);
    assert!(held.err.contains("paused before orders[0] 1"), "{}", held.err);
    assert_eq!(
        json(&shell.ok(&["--json", "dead-letters", "order_view"], ""))[0]["held"],
        true
    );
}

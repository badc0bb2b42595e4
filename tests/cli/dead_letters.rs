//! `foldlog dead-letters`.

use serde_json::json;

use std::io::{BufRead, BufReader};

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
        "orders:0:1",
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
        (&letters[0]["line"], &letters[0]["type"], &letters[0]["state"]),
        (&json!(7), &json!("Placed"), &json!("skipped"))
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
    assert_eq!(other.ok(&["topics", "--json"], "").matches("\"offsets\":3").count(), 1);
}

#[test]
fn none_is_said_and_the_one_that_is_held_is_told() {
    let (shell, file) = shell(&RECORDS[..1]);
    shell.ok(&["rebuild", &file], "");
    let none = shell.run(&["dead-letters", "order_view"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.contains("no dead letters"), "{}", none.err);

    shell.ok(&["produce", "--envelope"], RECORDS[1]);
    let paused = shell.fails(&["follow", &file, "--exit-when-paused"], "");
    assert!(paused.contains("`foldlog dead-letters order_view`"), "{paused}");
    assert_eq!(paused.matches("NOT NULL constraint failed").count(), 1, "{paused}");
    let held = shell.run(&["dead-letters", "order_view"]);
    assert!(held.err.contains("paused before orders:0:1"), "{}", held.err);
    assert_eq!(
        json(&shell.ok(&["--json", "dead-letters", "order_view"], ""))[0]["state"],
        "paused"
    );
}

/// A good record of o1, one of o2 that a constraint refuses, one of o2 that is good, and one of o3.
fn orders() -> [String; 4] {
    let event = |key: &str, id: &str, customer: &str| {
        format!(r#"{{"topic":"orders","key":"{key}","value":{{"type":"Placed","id":"{id}"{customer}}}}}"#)
    };
    [
        event("o1", "o1", r#","customer":"ada""#),
        event("o2", "o2", ""),
        event("o2", "o2b", r#","customer":"bo""#),
        event("o3", "o3", r#","customer":"cy""#),
    ]
}

/// Waits until a running follow says something with these words.
fn until_said(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) -> String {
    let mut all = String::new();
    for line in lines.by_ref() {
        all += &(line.unwrap() + "\n");
        if all.contains(words) {
            return all;
        }
    }
    panic!("the follow ended: {all}");
}

#[test]
fn a_paused_follow_goes_on_by_itself_when_somebody_decides() {
    let (shell, file) = shell(&[&orders()[0]]);
    shell.ok(&["rebuild", &file], "");
    let mut follower = shell.spawn(&["follow", &file]);
    let mut lines = BufReader::new(follower.stderr.take().unwrap()).lines();
    until_said(&mut lines, "live");
    shell.ok(&["produce", "--envelope"], &orders()[1..].join("\n"));
    let told = until_said(&mut lines, "goes on by itself");
    for words in [
        "paused at orders[0] offset 1: NOT NULL constraint failed: orders.customer",
        "foldlog dead-letters order_view retry",
        "foldlog dead-letters order_view skip",
        "foldlog dead-letters order_view edit",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let retried = shell.fails(&["dead-letters", "order_view", "retry"], "");
    assert!(
        retried.contains("1 record cannot be applied by `order_view` even so"),
        "{retried}"
    );

    let skip = ["dead-letters", "order_view", "skip", "--hold-key", "--as", "ada"];
    let done = shell.ok(&skip, "");
    assert!(
        done.contains("left out orders:0:1; what comes later of its key is held"),
        "{done}"
    );
    until_said(&mut lines, "live");
    let counts = || {
        let model = &json(&shell.ok(&["--json", "projections"], ""))[0];
        let count = |name: &str| model[name].as_u64().unwrap();
        (
            count("applied"),
            count("skipped"),
            count("held"),
            count("poisoned"),
            count("decisions"),
        )
    };
    super::common::eventually("the records after it", || (counts() == (2, 1, 1, 0, 1)).then_some(()));
    let listed = json(&shell.ok(&["--json", "dead-letters", "order_view"], ""));
    let states: Vec<_> = listed
        .iter()
        .map(|letter| (&letter["state"], &letter["record"]["offset"]))
        .collect();
    assert_eq!(states, [(&json!("skipped"), &json!(1)), (&json!("held"), &json!(2))]);
    let rows = || {
        shell.ok(
            &[
                "query",
                "-o",
                "csv",
                "SELECT id, customer FROM order_view.orders ORDER BY id",
            ],
            "",
        )
    };
    assert_eq!(rows(), "id,customer\no1,ada\no3,cy\n");

    // It holds the read model while it is live.
    let value = r#"{"type":"Placed","id":"o2","customer":"dee"}"#;
    let edit = [
        "dead-letters",
        "order_view",
        "edit",
        "0:1",
        "--value",
        value,
        "--as",
        "bo",
    ];
    let refused = shell.fails(&edit, "");
    assert!(refused.contains("is being written by process"), "{refused}");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let done = shell.ok(&edit, "");
    assert!(
        done.contains("applied orders:0:1 with the other value: folded order_view anew from 4 records"),
        "{done}"
    );
    assert_eq!(rows(), "id,customer\no1,ada\no2,dee\no2b,bo\no3,cy\n");
    assert_eq!(counts(), (4, 0, 0, 0, 1));

    let log = json(&shell.ok(&["--json", "dead-letters", "order_view", "log"], ""));
    let made: Vec<_> = log
        .iter()
        .map(|line| (&line["who"], &line["choice"], &line["offset"]))
        .collect();
    assert_eq!(
        made,
        [
            (&json!("ada"), &json!("skip and hold key"), &json!(1)),
            (&json!("bo"), &json!("edit"), &json!(1))
        ]
    );
    let table = shell.ok(&["dead-letters", "order_view", "log"], "");
    assert!(table.contains("skip and hold key") && table.contains("dee"), "{table}");

    // What was decided is part of what the read model is: for a rebuild, for verify, and for its past.
    let again = shell.run(&["rebuild", &file]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(
        again.err.contains("1 decision about single records amend"),
        "{}",
        again.err
    );
    assert_eq!(rows(), "id,customer\no1,ada\no2,dee\no2b,bo\no3,cy\n");
    let verified = shell.ok(&["verify", "order_view"], "");
    assert!(verified.contains("is what its log says"), "{verified}");
    let at = shell.run(&[
        "at",
        "order_view",
        "0:2",
        "-q",
        "SELECT customer FROM orders WHERE id = 'o2'",
    ]);
    assert!(
        at.out.contains("dee") && at.err.contains("1 decision amend"),
        "{}{}",
        at.out,
        at.err
    );
    let forgotten = shell.fails(&["rebuild", &file, "--forget-decisions"], "");
    assert!(forgotten.contains("1 record cannot be applied"), "{forgotten}");
    assert_eq!(counts(), (4, 0, 0, 0, 1));
    shell.ok(&["rebuild", &file, "--forget-decisions", "--skip-poison"], "");
    assert_eq!(counts(), (3, 1, 0, 0, 0));
}

#[test]
fn a_record_that_breaks_its_schema_is_told_apart() {
    let records = orders();
    let text = records.each_ref().map(String::as_str);
    let (shell, file) = shell(&[
        text[0],
        text[1],
        "{\"topic\":\"orders\",\"value\":{\"type\":\"Other\"}}",
    ]);
    let with_schema = PROJECTION.replace("-- type: $.type\n", "-- type: $.type\n-- schema: Placed placed.json\n");
    std::fs::write(&file, with_schema).unwrap();
    let missing = shell.fails(&["rebuild", &file], "");
    assert!(missing.contains("the schema placed.json cannot be read"), "{missing}");
    let schema = shell.data.path().join("placed.json");
    std::fs::write(
        &schema,
        r#"{"required": ["customer"], "properties": {"id": {"maxLength": 2}}}"#,
    )
    .unwrap();
    shell.ok(&["rebuild", &file, "--skip-poison"], "");
    let letters = json(&shell.ok(&["--json", "dead-letters", "order_view"], ""));
    assert_eq!(
        (letters.len(), &letters[0]["kind"], &letters[0]["line"]),
        (1, &json!("schema"), &json!(4))
    );
    assert_eq!(
        letters[0]["reason"],
        "breaks the schema placed.json: \"customer\" is a required property"
    );
    let model = &json(&shell.ok(&["--json", "projections"], ""))[0];
    assert_eq!(
        (&model["poison"], &model["ignored"]),
        (&json!({"schema": 1}), &json!(1))
    );
    let table = shell.ok(&["projections"], "");
    assert!(
        table.contains("order_view: could not be applied: 1 record (schema)"),
        "{table}"
    );
    // It is part of the definition; and the past has it, wherever the file is.
    std::fs::write(&schema, r#"{"required": ["id"]}"#).unwrap();
    assert_eq!(json(&shell.ok(&["--json", "projections"], ""))[0]["file_changed"], true);
    std::fs::remove_file(&schema).unwrap();
    let verified = shell.ok(&["verify", "order_view"], "");
    assert!(verified.contains("is what its log says"), "{verified}");
}

#[test]
fn a_mended_file_is_taken_by_retry_and_replay() {
    let (shell, file) = shell(&orders().each_ref().map(String::as_str));
    shell.ok(&["rebuild", &file, "--skip-poison"], "");
    let none = shell.fails(&["dead-letters", "order_view", "retry"], "");
    assert!(none.contains("not paused"), "{none}");
    let still = shell.fails(&["dead-letters", "order_view", "replay", "--all"], "");
    assert!(still.contains("nothing was changed"), "{still}");
    let nowhere = shell.fails(&["dead-letters", "order_view", "skip", "0:0"], "");
    assert!(
        nowhere.contains("no dead letter at orders:0:0") && nowhere.contains("orders:0:1"),
        "{nowhere}"
    );
    let other = shell.fails(&["dead-letters", "order_view", "skip", "payments:0:1"], "");
    assert!(other.contains("does not read the topic payments"), "{other}");
    let nothing = shell.fails(&["dead-letters", "order_view", "edit", "0:1"], "");
    assert!(nothing.contains("--value"), "{nothing}");

    std::fs::write(
        &file,
        PROJECTION.replace(":customer)", "coalesce(:customer, 'nobody'))"),
    )
    .unwrap();
    let said = shell.run(&["dead-letters", "order_view", "replay", "orders[0]:1"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("says something else"), "{}", said.err);
    assert!(
        said.out
            .contains("applied orders:0:1: folded order_view anew from 4 records"),
        "{}",
        said.out
    );
    let rows = shell.ok(
        &[
            "query",
            "-o",
            "csv",
            "SELECT customer FROM order_view.orders WHERE id = 'o2'",
        ],
        "",
    );
    assert_eq!(rows, "customer\nnobody\n");
    let none = shell.run(&["dead-letters", "order_view"]);
    assert!(none.err.contains("no dead letters"), "{}", none.err);
}

/// What was decided is about the log, and a build from before it holds the record as it was then.
#[test]
fn a_rollback_says_which_decisions_still_stand() {
    let records = orders();
    let (shell, file) = shell(&[&records[0], &records[1]]);
    shell.ok(&["rebuild", &file, "--skip-poison"], "");
    shell.ok(&["rebuild", &file, "--skip-poison"], "");
    let none = shell.run(&["rollback", "order_view"]);
    assert!(!none.err.contains("decided"), "{}", none.err);

    let value = r#"{"type":"Placed","id":"o2","customer":"eve"}"#;
    shell.ok(&["dead-letters", "order_view", "edit", "0:1", "--value", value], "");
    let said = shell.run(&["rollback", "order_view"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        err.contains(
            "what was decided still stands, about 1 record that this build folded otherwise: `foldlog rebuild"
        ) && err.contains("`foldlog dead-letters order_view log` lists it"),
        "{err}"
    );
    let names = || {
        shell.ok(
            &[
                "query",
                "SELECT customer FROM order_view.orders ORDER BY id",
                "-o",
                "csv",
            ],
            "",
        )
    };
    assert!(!names().contains("eve"), "{}", names());
    shell.ok(&["rebuild", &file], "");
    assert!(names().contains("eve"), "{}", names());
    let back = shell.run(&["rollback", "order_view"]);
    assert!(back.err.contains("still stands"), "{}", back.err);
    let forth = shell.run(&["rollback", "order_view"]);
    assert!(!forth.err.contains("still stands"), "{}", forth.err);
}

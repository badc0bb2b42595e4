//! `foldlog what-if`: what it prints and what it refuses.

use super::{Shell, json};

const SQL: &str = "-- projection: stock
-- topic: moves
-- type: $.type

CREATE TABLE item (id TEXT PRIMARY KEY, count INTEGER NOT NULL CHECK (count >= 0)) STRICT;

-- on: In
INSERT INTO item VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET count = count + excluded.count;

-- on: Out
UPDATE item SET count = count - :n WHERE id = :id;

-- invariant: an item is in
SELECT id FROM item WHERE id = :id AND count = 0;
";

const LOG: &str = r#"{"type":"In","id":"a","n":5}
{"type":"In","id":"b","n":2}
{"type":"Out","id":"a","n":3}
{"type":"Seen","id":"a"}
{"type":"Out","id":"a","n":1}
"#;

fn shell() -> Shell {
    let shell = Shell::new();
    let file = shell.data.path().join("stock.sql");
    std::fs::write(&file, SQL).unwrap();
    shell.ok(&["topics", "create", "moves"], "");
    shell.ok(&["produce", "moves", "--key-field", "id"], LOG);
    shell.ok(&["rebuild", file.to_str().unwrap()], "");
    shell
}

#[test]
fn what_would_have_been_is_told() {
    let shell = shell();
    let out = shell.ok(
        &["what-if", "stock", "--edit", r#"0:0={"type":"In","id":"a","n":3}"#],
        "",
    );
    assert!(
        out.starts_with(
            "item\n  ~ id 'a': count 1 → 0\n  0 added, 0 removed, 1 changed, 1 equal\nedited moves[0] offset 0 ("
        ),
        "{out}"
    );
    assert!(
        out.contains("type In, key a): applied\nevents: 4 → 3 applied, 1 ignored, 0 → 1 not applicable\n"),
        "{out}"
    );
    assert!(
        out.contains("moves[0] offset 4 could not be applied then: CHECK constraint failed"),
        "{out}"
    );
    assert!(
        out.contains("\nthen the invariant `an item is in` broke at moves[0] offset 2"),
        "{out}"
    );

    let lines = json(&shell.ok(&["--json", "what-if", "stock", "--without-key", "a"], ""));
    assert_eq!(lines[0]["before"]["count"], 1);
    assert_eq!(lines[0]["change"], "removed");
    let last = lines.last().unwrap();
    assert_eq!(
        last["changes"][0],
        serde_json::json!({ "change": "left out", "key": "a", "records": 4 })
    );
    assert_eq!(last["events"]["after"]["ignored"], 0);

    let condition = "type = 'Out' AND :n > 2";
    let out = shell.ok(&["what-if", "stock", "--without-where", condition], "");
    assert!(out.contains("~ id 'a': count 1 → 4"), "{out}");
    assert!(out.contains(&format!("left out 1 record where {condition}\n")), "{out}");
    let lines = json(&shell.ok(&["--json", "what-if", "stock", "--without-where", "key = 'b'"], ""));
    assert_eq!(
        lines.last().unwrap()["changes"][0],
        serde_json::json!({ "change": "left out", "where": "key = 'b'", "records": 1 })
    );

    let out = shell.ok(&["what-if", "stock", "--move", "0:4", "before", "0:0"], "");
    assert!(out.contains("~ id 'a': count 1 → 2"), "{out}");
    let out = shell.ok(&["what-if", "stock", "--without", "0:3"], "");
    assert!(
        out.starts_with("item: equal, 2 rows\nno row would be another\nleft out moves[0] offset 3 "),
        "{out}"
    );
    let file = shell.data.path().join("event.json");
    std::fs::write(&file, r#"{"key":"c","value":{"type":"In","id":"c","n":9}}"#).unwrap();
    let given = format!("@{}", file.display());
    let args = [
        "what-if",
        "stock",
        "--envelope",
        "--insert",
        "after",
        "0:1",
        &given,
        "-q",
        "SELECT count FROM item WHERE id = 'c'",
    ];
    assert!(shell.ok(&args, "").contains('9'));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let shell = shell();
    for (args, words) in [
        (&[][..], &["nothing is changed", "--without P:OFFSET"][..]),
        (&["--without", "0:9"], &["moves[0] has no offset 9", "it holds 0 to 4"]),
        (&["--without", "1:0"], &["moves has no partition 1"]),
        (&["--without", "x"], &["`x` is no record's place", "PARTITION:OFFSET"]),
        (
            &["--without", "others:0:1"],
            &["`stock` does not read the topic others", "it reads moves"],
        ),
        (
            &["--without", "0:1", "--edit", "0:1=null"],
            &["moves[0] offset 1 is changed twice"],
        ),
        (&["--edit", "0:1"], &["write P:OFFSET=JSON"]),
        (&["--edit", "0:1={\"type\":"], &["the value is no JSON"]),
        (&["--edit", "0:1=@/nowhere"], &["cannot read /nowhere"]),
        (
            &["--insert", "beside", "0:1", "1"],
            &["`beside` is neither before, after nor at"],
        ),
        (&["--insert", "at", "soon", "1"], &["that is no time"]),
        (
            &["--envelope", "--insert", "after", "0:1", "{\"vaule\":1}"],
            &["no envelope", "vaule"],
        ),
        (
            &["--without-type", "in"],
            &["no record has the type in", "upper and lower case"],
        ),
        (
            &["--without-where", "n > 2"],
            &["no such column: n", "`:name` is a field of the value"],
        ),
        (
            &["--without-where", ":n > 9"],
            &["no record is chosen by the condition"],
        ),
        (
            &["--without-where", "json_extract(value, 'n') = 1"],
            &["moves[0] offset 0", "JSON path"],
        ),
        (
            &["--without-where", ":n = 2", "--without", "0:1"],
            &["moves[0] offset 1 is changed twice"],
        ),
        (
            &["--without", "0:4", "--until", "0:2"],
            &["moves[0] offset 4 comes after the moment"],
        ),
        (&["--with", "/nowhere.sql"], &["/nowhere.sql"]),
    ] {
        let said = shell.fails(&[&["what-if", "stock"], args].concat(), "");
        for word in words {
            assert!(said.contains(word), "{args:?}: {said}");
        }
    }
}

/// Two topics of which both have a partition 0: a place says which is meant, in every command that takes one.
#[test]
fn places_name_their_topic_where_there_are_several() {
    let shell = Shell::new();
    let file = shell.data.path().join("stock.sql");
    std::fs::write(&file, SQL.replace("topic: moves", "topic: moves, returns")).unwrap();
    for topic in ["moves", "returns"] {
        shell.ok(&["topics", "create", topic], "");
    }
    shell.ok(&["produce", "moves", "--key-field", "id"], LOG);
    shell.ok(
        &["produce", "returns", "--key-field", "id"],
        &LOG.replace("\"a\"", "\"c\""),
    );
    let file = file.to_str().unwrap();
    shell.ok(&["rebuild", file], "");
    let told = |args: &[&str]| {
        let said = shell.run(args);
        [said.out, said.err]
            .concat()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };

    let refused = told(&["at", "stock", "0:1"]);
    assert!(
        refused.contains("0:1 could be in any of its topics: moves, returns")
            && refused.contains("write moves:0:1 or returns:0:1"),
        "{refused}"
    );
    let at = told(&["at", "stock", "moves:0:1,returns[0]:2"]);
    assert!(
        at.contains("stock after 3 records") && at.contains("at moves[0] 1, returns[0] 2"),
        "{at}"
    );
    let step = told(&["step", "stock", "moves:0:5,returns:0:1", "-n", "1"]);
    assert!(
        step.contains("returns[0] offset 1 ") && step.contains("moves[0] 5, returns[0] 2"),
        "{step}"
    );
    let blamed = shell.ok(&["--json", "blame", "stock", "item", "c", "--until", "returns:0:1"], "");
    assert_eq!(json(&blamed).len(), 1, "{blamed}");
    let differ = told(&["diff", "stock@returns:0:2", "stock@returns:0:3"]);
    assert!(
        differ.contains("~ id 'c': count 5 → 2") && !differ.contains("id 'a'"),
        "{differ}"
    );
    let until = told(&[
        "what-if",
        "stock",
        "--without",
        "returns[0]:0",
        "--until",
        "returns:0:1",
    ]);
    assert!(
        until.contains("- id 'c'") && until.contains("left out returns[0] offset 0"),
        "{until}"
    );
    let other = told(&["what-if", "stock", "--without", "returns[0]:0", "--until", "other:0:1"]);
    assert!(other.contains("does not read the topic other"), "{other}");
    let rebuilt = json(&shell.ok(&["--json", "rebuild", file, "--until", "moves:0:2,returns:0:0"], ""));
    assert_eq!(
        rebuilt[0]["position"],
        serde_json::json!({ "moves": { "0": 2 }, "returns": { "0": 0 } })
    );
    // A file that reads one of the topics alone: a place in the other says where the read model as it is ends.
    let one = shell.data.path().join("one.sql");
    std::fs::write(&one, SQL).unwrap();
    let args = [
        "what-if",
        "stock",
        "--with",
        one.to_str().unwrap(),
        "--until",
        "moves:0:2,returns:0:1",
    ];
    let with = told(&args);
    assert!(
        with.contains("stock after 3 records") && with.contains("stock after 2 records"),
        "{with}"
    );
    let verified = told(&["verify", "stock"]);
    assert!(verified.contains("moves[0] 2, returns[0] 0"), "{verified}");
}

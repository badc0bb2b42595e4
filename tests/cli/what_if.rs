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
        (&["--without", "x"], &["`x` names no record", "PARTITION:OFFSET"]),
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

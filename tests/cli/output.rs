//! `-o` and `--json`: the same for every command that prints data.

use super::{Shell, json};

const PROJECTION: &str = "-- projection: item_view\n-- topic: t\n-- type: $.type\n
CREATE TABLE item (id INTEGER PRIMARY KEY) STRICT;\n-- on: A\nINSERT INTO item VALUES (:id);\n";

#[test]
fn every_command_that_prints_data_takes_both_spellings_of_json() {
    let shell = Shell::new();
    let file = shell.data.path().join("items.sql");
    std::fs::write(&file, PROJECTION).unwrap();
    let file = file.to_str().unwrap();
    let records = r#"{"topic":"t","key":"k","value":{"type":"A","id":1}}
{"topic":"t","key":"k","value":{"type":"A","id":1}}"#;
    shell.ok(&["produce", "--envelope", "--partitions", "1"], records);
    let rebuild = ["rebuild", file, "--skip-poison", "-o", "json"];
    assert_eq!(json(&shell.ok(&rebuild, ""))[0]["skipped"], 1);
    let sql = "SELECT * FROM item_view.item";
    let commands: [&[&str]; 12] = [
        &["topics"],
        &["groups"],
        &["read", "t"],
        &["projections"],
        &["query", sql],
        &["dump", "item_view"],
        &["dead-letters", "item_view"],
        &["blame", "item_view", "item", "1"],
        &["at", "item_view", "0:1"],
        &["at", "item_view", "0:1", "-q", "SELECT * FROM item"],
        &["verify", "item_view"],
        &["demo", "list"],
    ];
    for command in commands {
        let with = |more: &[&str]| shell.ok(&[command, more].concat(), "");
        let lines = with(&["--json"]);
        json(&lines);
        assert_eq!(with(&["-o", "json"]), lines, "{command:?}");
        assert_eq!(with(&["--output", "json"]), lines, "{command:?}");
        assert_eq!(shell.ok(&[&["-o", "json"], command].concat(), ""), lines, "{command:?}");
        let table = with(&[]);
        assert_eq!(with(&["-o", "table"]), table, "{command:?}");
        assert!(table.is_empty() || table != lines, "{command:?}");
    }
    let refused = shell.fails(&["topics", "-o", "csv"], "");
    assert!(refused.contains("table, json"), "{refused}");
    let refused = shell.fails(&["at", "item_view", "0:1", "-o", "csv"], "");
    assert!(refused.contains("-q SQL"), "{refused}");
}

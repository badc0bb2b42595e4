//! `foldlog projections`.

use serde_json::{Value, json as value};

use super::{Shell, json};

const PROJECTION: &str = "-- projection: item_view\n-- topic: t\n-- type: $.type\n
CREATE TABLE item (id INTEGER PRIMARY KEY) STRICT;\n-- on: A\nINSERT INTO item VALUES (:id);\n";

fn written(shell: &Shell, count: usize) {
    let events: String = (0..count)
        .map(|n| format!("{{\"topic\":\"t\",\"value\":{{\"type\":\"A\",\"id\":{n}}}}}\n"))
        .collect();
    shell.ok(&["produce", "--envelope", "--partitions", "1"], &events);
}

fn listed(shell: &Shell) -> Value {
    json(&shell.ok(&["--json", "projections"], "")).remove(0)
}

#[test]
fn a_topic_that_is_gone_or_made_anew_needs_a_rebuild_and_says_why() {
    let shell = Shell::new();
    let file = shell.data.path().join("items.sql");
    std::fs::write(&file, PROJECTION).unwrap();
    written(&shell, 2);
    shell.ok(&["rebuild", file.to_str().unwrap()], "");
    written(&shell, 3);
    let model = listed(&shell);
    assert_eq!(
        (&model["state"], &model["lag"], &model["reason"]),
        (&value!("ready"), &value!(3), &Value::Null)
    );

    shell.ok(&["topics", "delete", "t"], "");
    let model = listed(&shell);
    assert_eq!(
        (&model["state"], &model["lag"]),
        (&value!("needs_rebuild"), &Value::Null)
    );
    assert_eq!(model["reason"], "the topic t is gone");

    // As long as before, so that the position alone shows nothing.
    written(&shell, 9);
    let model = listed(&shell);
    assert_eq!(
        (&model["state"], &model["lag"]),
        (&value!("needs_rebuild"), &Value::Null)
    );
    let reason = model["reason"].as_str().unwrap();
    assert!(reason.contains("the topic t was deleted and created again"), "{reason}");
    let table = shell.ok(&["projections"], "");
    assert!(
        table.contains("needs rebuild") && table.contains("created again"),
        "{table}"
    );

    shell.ok(&["rebuild", file.to_str().unwrap()], "");
    let table = shell.ok(&["projections"], "");
    assert!(table.contains("ready") && !table.contains("rebuild"), "{table}");

    std::fs::write(&file, PROJECTION.replace(":id", ":id + 1")).unwrap();
    assert_eq!(listed(&shell)["file_changed"], true);
    assert!(shell.ok(&["projections"], "").contains("says something else now"));
}

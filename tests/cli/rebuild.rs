//! `foldlog rebuild` and `follow`: which file a read model belongs to.

use std::path::Path;

use super::{Shell, json};

fn projection(name: &str, column: &str) -> String {
    format!(
        "-- projection: {name}\n-- topic: t\n-- type: $.type\n
         CREATE TABLE item ({column} INTEGER PRIMARY KEY) STRICT;
         -- on: A\nINSERT INTO item VALUES (:id);\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn another_file_does_not_take_a_read_models_name_unasked() {
    let shell = Shell::new();
    shell.ok(
        &["produce", "--envelope"],
        r#"{"topic":"t","value":{"type":"A","id":1}}"#,
    );
    let one = write(shell.data.path(), "one.sql", &projection("item_view", "id"));
    let two = write(shell.data.path(), "two.sql", &projection("ITEM_view", "number"));
    let copy = write(shell.data.path(), "copy.sql", &projection("item_view", "id"));
    shell.ok(&["rebuild", &one], "");
    // The same file by another way, and a file that says the same, are no other projection.
    let around = shell
        .data
        .path()
        .join("../")
        .join(shell.data.path().file_name().unwrap())
        .join("one.sql");
    for file in [&one, around.to_str().unwrap(), &copy, &one] {
        let said = shell.run(&["rebuild", file]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{file}");
    }

    let refused = shell.fails(&["rebuild", &two], "");
    assert!(
        refused.contains("one.sql has the projection `ITEM_view` too"),
        "{refused}"
    );
    assert!(refused.contains("--replace"), "{refused}");
    let follow = shell.fails(&["follow", &two], "");
    assert!(follow.contains("one.sql, which says something else than"), "{follow}");
    assert!(
        shell.ok(&["dump", "item_view"], "").contains("table item [\"id\"]"),
        "the first is untouched"
    );

    let said = shell.run(&["--json", "rebuild", &two, "--replace"]);
    assert!(
        said.err.contains("note: `ITEM_view` was built from ") && said.err.contains("one.sql before"),
        "{}",
        said.err
    );
    assert!(
        json(&said.out)[0]["notes"][0].as_str().unwrap().contains("two.sql"),
        "{}",
        said.out
    );

    // What was moved away needs no flag, and is said.
    std::fs::remove_file(&two).unwrap();
    let said = shell.run(&["rebuild", &one]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("note: ") && said.err.contains("two.sql before"),
        "{}",
        said.err
    );
}

//! `foldlog capture`: what it writes, what it says, and what it leaves behind.

use foldlog::readmodel::capture::execute;

use super::{Shell, json};

#[test]
fn a_database_becomes_topics_and_can_be_released() {
    let shell = Shell::new();
    let path = shell.home.path().join("shop.db");
    let file = path.to_str().unwrap();
    let change = |sql: &str| execute(&path, sql).unwrap();
    change(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); CREATE TABLE loose (x); INSERT INTO orders VALUES (1, 'a')",
    );

    let refused = shell.fails(&["capture", file, "--topic-prefix", "s", "--once"], "");
    assert!(
        refused.contains("loose has no primary key") && refused.contains("(orders)"),
        "{refused}"
    );
    let unnamed = shell.fails(&["capture", file], "");
    assert!(unnamed.contains("--topic-prefix"), "{unnamed}");
    let missing = shell.fails(&["capture", "none.db", "--topic-prefix", "s"], "");
    assert!(missing.contains("none.db"), "{missing}");
    assert!(!std::path::Path::new("none.db").exists());

    let capture = ["capture", file, "--topic-prefix", "s", "--table", "orders", "--once"];
    assert_eq!(
        shell.ok(&capture, ""),
        "1 row and 0 changes of orders captured: 1 record written\n"
    );
    change("INSERT INTO orders VALUES (2, 'b'); DELETE FROM orders WHERE id = 1");
    let told = json(&shell.ok(&[&capture[..], &["--json"]].concat(), "")).remove(0);
    assert_eq!(
        (&told["rows"], &told["changes"], &told["records"]),
        (&0.into(), &2.into(), &3.into())
    );
    assert_eq!(
        shell.ok(&capture, ""),
        "0 rows and 0 changes of orders captured: 0 records written\n"
    );

    let read = json(&shell.ok(&["read", "s.shop.orders", "-o", "json"], ""));
    let ops: Vec<String> = read.iter().map(|record| record["value"]["op"].to_string()).collect();
    assert_eq!(ops, ["\"r\"", "\"c\"", "\"d\"", "null"]);

    // Another one would believe that the rows were told.
    let other = shell.fails(
        &["capture", file, "--topic-prefix", "t", "--table", "orders", "--once"],
        "",
    );
    assert!(
        other.contains("captured as `s` on the cluster") && other.contains("--release"),
        "{other}"
    );
    assert_eq!(other.matches("on the cluster").count(), 1, "{other}");

    // Its rows are as they were, and a column can be dropped again.
    assert!(
        shell
            .ok(&["capture", file, "--release"], "")
            .contains("captured no more")
    );
    change("ALTER TABLE orders DROP COLUMN note");
}

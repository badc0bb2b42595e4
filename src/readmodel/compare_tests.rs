use super::*;

/// A read model of these statements.
fn side(folder: &Path, name: &str, sql: &str) -> Side {
    let path = folder.join(name);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    Side::open(&path).unwrap()
}

fn compared(before: &str, after: &str) -> (Tally, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (side(folder.path(), "a", before), side(folder.path(), "b", after));
    let mut said = Vec::new();
    let tally = compare(&before, &after, &mut |difference| {
        match difference {
            Difference::Row(row) => {
                let changed: Vec<_> = row.changed.iter().map(|at| row.shape.columns[*at].clone()).collect();
                said.push(format!("{:?} {:?} {changed:?}", row.before, row.after));
            }
            Difference::Compared { .. } => {}
            other => said.push(format!("{other:?}")),
        }
        true
    });
    (tally.unwrap(), said)
}

#[test]
fn rows_are_matched_by_key_and_compared_by_type() {
    let table = "CREATE TABLE t (id PRIMARY KEY, v);";
    let before =
        format!("{table} INSERT INTO t VALUES ('a', 1), ('b', 1), ('c', NULL), ('e', x'61'), (1, 2), ('same', 0.5);");
    let after =
        format!("{table} INSERT INTO t VALUES ('a', 1.0), ('c', 0), ('d', 1), ('e', 'a'), (1, 2), ('same', 0.5);");
    let (tally, said) = compared(&before, &after);
    let expected = Tally {
        added: 1,
        removed: 1,
        changed: 3,
        same: 2,
        shapes: 0,
    };
    assert_eq!(tally, expected);
    insta::assert_snapshot!(said.join("\n"), @r#"
    Some([Text("a"), Integer(1)]) Some([Text("a"), Real(1.0)]) ["v"]
    Some([Text("b"), Integer(1)]) None []
    Some([Text("c"), Null]) Some([Text("c"), Integer(0)]) ["v"]
    None Some([Text("d"), Integer(1)]) []
    Some([Text("e"), Blob([97])]) Some([Text("e"), Text("a")]) ["v"]
    "#);
    assert!(compared(&before, &before).0.is_equal());
}

/// Collations, descending keys, mixed types and doubles beside integers that they cannot hold: where the order of the cursors
/// were another than that of the comparison, equal rows would be found on one side only.
#[test]
fn the_order_of_a_key_is_the_same_on_both_sides_whatever_it_holds() {
    let rows = "
        CREATE TABLE t (a COLLATE NOCASE, b, v, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
        INSERT INTO t VALUES ('B', 1, 0), ('a', 1, 0), ('C', 1, 0), ('x', 9007199254740993, 0), ('x', 9007199254740992.0, 0),
          ('x', -0.5, 0), ('x', 0, 0), ('x', -1, 0), ('x', 9223372036854775807, 0), ('x', 9223372036854775808.0, 0),
          ('x', '1', 0), ('x', x'31', 0), ('é', 1, 0), (x'00', 1, 0), ('x', -1e300, 0), ('x', -9223372036854775808, 0);";
    let (tally, said) = compared(rows, rows);
    assert_eq!((tally.same, said), (16, Vec::new()));
    for key in [
        "a = 'a'",
        "a = 'B'",
        "b = 9007199254740993",
        "b = -0.5",
        "b = x'31'",
        "b = '1'",
        "b > 9.1e18 AND b < 1e300",
    ] {
        let less = format!("{rows} DELETE FROM t WHERE {key};");
        let (tally, _) = compared(rows, &less);
        assert_eq!((tally.rows(), tally.rows() + tally.same), (tally.removed, 16), "{key}");
        assert_eq!(tally.changed, 0, "{key}");
    }
}

#[test]
fn rows_that_share_a_key_with_a_null_are_matched_whole() {
    let table = "CREATE TABLE t (id TEXT PRIMARY KEY, v);";
    let before = format!("{table} INSERT INTO t VALUES (NULL, 1), (NULL, 2), (NULL, 3), ('a', 4);");
    let after = format!("{table} INSERT INTO t VALUES (NULL, 3), ('a', 4), (NULL, 1);");
    let (tally, said) = compared(&before, &after);
    assert_eq!((tally.same, tally.removed, tally.rows()), (3, 1, 1));
    assert_eq!(said, ["Some([Null, Integer(2)]) None []"]);
}

#[test]
fn tables_columns_and_keys_of_one_side_are_said() {
    let (tally, said) = compared(
        "CREATE TABLE gone (id PRIMARY KEY); INSERT INTO gone VALUES (1), (2);
         CREATE TABLE t (id PRIMARY KEY, old, v); INSERT INTO t VALUES (1, 2, 3);
         CREATE TABLE k (a, b, PRIMARY KEY (a)); CREATE TABLE _foldlog_x (id);",
        "CREATE TABLE came (id PRIMARY KEY);
         CREATE TABLE T (v, id PRIMARY KEY, new); INSERT INTO t VALUES (3, 1, 4);
         CREATE TABLE k (a, b, PRIMARY KEY (b));",
    );
    assert_eq!((tally.shapes, tally.same, tally.rows()), (5, 1, 0));
    assert!(!tally.is_equal());
    insta::assert_snapshot!(said.join("\n"), @r#"
    Table { table: "came", only: After, rows: 0 }
    Table { table: "gone", only: Before, rows: 2 }
    Key { table: "k" }
    Column { table: "t", column: "old", only: Before }
    Column { table: "t", column: "new", only: After }
    "#);
}

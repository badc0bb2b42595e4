use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const TABLE: &str = "CREATE TABLE item (id INTEGER PRIMARY KEY, name, price)";

fn database(sql: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    execute(&path, sql).unwrap();
    (folder, path)
}

fn all_rows(source: &mut Source) -> (Vec<RowChange>, i64) {
    let mut rows = Vec::new();
    let number = source
        .rows(&mut |row| {
            rows.push(row);
            true
        })
        .unwrap();
    (rows, number)
}

fn told(source: &Source, after: i64) -> Vec<(String, Option<String>, Option<String>)> {
    let changes = source.changes(after, 1_000).unwrap();
    let word = |change: RowChange| {
        (
            change.op.letter().to_owned() + " " + &change.table,
            change.before,
            change.after,
        )
    };
    changes.into_iter().map(word).collect()
}

#[test]
fn a_change_is_told_with_the_row_before_and_after_and_a_rollback_is_not() {
    let (_folder, path) = database(TABLE);
    let source = Source::open(&path, &[]).unwrap();
    execute(
        &path,
        "INSERT INTO item VALUES (1, 'lamp', 40); UPDATE item SET price = 35; DELETE FROM item",
    )
    .unwrap();
    execute(
        &path,
        "INSERT INTO item VALUES (2, 'mouse', 20); SELECT nothing FROM nowhere",
    )
    .unwrap_err();
    let (lamp, cheap) = (
        r#"{"id":1,"name":"lamp","price":40}"#,
        r#"{"id":1,"name":"lamp","price":35}"#,
    );
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        told(&source, 0),
        [
            ("c item".to_owned(), None, some(lamp)),
            ("u item".to_owned(), some(lamp), some(cheap)),
            ("d item".to_owned(), some(cheap), None),
        ]
    );
    assert_eq!(told(&source, 2).len(), 1);
}

#[test]
fn values_are_told_as_they_are() {
    let (_folder, path) = database("CREATE TABLE \"odd 'na\"\"me\" (\"a\"\"b'c\" PRIMARY KEY, value)");
    let source = Source::open(&path, &[]).unwrap();
    execute(
        &path,
        "INSERT INTO \"odd 'na\"\"me\" VALUES (1, 9223372036854775807), (2, 0.1), (3, 0.1 + 0.2), (4, 1e300), (5, x'00ff'), \
         (6, 'a \"quoted\"\nline ü'), (7, NULL), (8, 2.0), (9, -9e999), (10, '{\"no\": \"object\"}'), \
         (11, 'it''s' || char(0) || '''' || char(27)), (12, ''), (13, '\"\\')",
    )
    .unwrap();
    let expected = [
        "9223372036854775807",
        "0.1",
        "0.30000000000000004",
        "1.0e+300",
        "\"00FF\"",
        "\"a \\\"quoted\\\"\\nline ü\"",
        "null",
        "2.0",
        "\"-Inf\"",
        "\"{\\\"no\\\": \\\"object\\\"}\"",
        r#""it's\u0000'\u001b""#,
        "\"\"",
        r#""\"\\""#,
    ];
    let changes = source.changes(0, 100).unwrap();
    assert_eq!(changes.len(), expected.len());
    for (at, (change, value)) in changes.iter().zip(expected).enumerate() {
        let row = change.after.clone().unwrap();
        assert_eq!(row, format!("{{\"a\\\"b'c\":{},\"value\":{value}}}", at + 1));
        serde_json::from_str::<Value>(&row).unwrap();
    }
    let parsed: Value = serde_json::from_str(changes[2].after.as_ref().unwrap()).unwrap();
    assert_eq!(parsed["value"].as_f64(), Some(0.1 + 0.2));
}

#[test]
fn a_table_with_another_column_is_read_once_more() {
    let (_folder, path) = database(TABLE);
    execute(&path, "INSERT INTO item VALUES (1, 'lamp', 40), (2, 'mouse', 20)").unwrap();
    let mut source = Source::open(&path, &[]).unwrap();
    assert_eq!(waiting(&path).unwrap(), None);
    let (rows, number) = all_rows(&mut source);
    source.handed_on(number).unwrap();
    assert_eq!((rows.len(), waiting(&path).unwrap()), (2, Some(0)));
    assert!(!source.refresh().unwrap());
    // Written between the change of the table and the next look.
    execute(
        &path,
        "ALTER TABLE item ADD COLUMN tier DEFAULT 'basic'; UPDATE item SET tier = 'gold' WHERE id = 1",
    )
    .unwrap();
    assert_eq!(waiting(&path).unwrap(), None);
    assert!(source.refresh().unwrap());
    let after = told(&source, number);
    let rows: Vec<&str> = after
        .iter()
        .filter(|(word, ..)| word == "r item")
        .filter_map(|row| row.2.as_deref())
        .collect();
    assert_eq!(
        rows,
        [
            r#"{"id":1,"name":"lamp","price":40,"tier":"gold"}"#,
            r#"{"id":2,"name":"mouse","price":20,"tier":"basic"}"#
        ]
    );
    assert!(!Source::open(&path, &[]).unwrap().refresh().unwrap());
    assert_eq!(told(&source, number), after);
}

#[test]
fn the_last_changes_can_be_handed_on_once_more() {
    let (_folder, path) = database(TABLE);
    let mut source = Source::open(&path, &[]).unwrap();
    source.handed_on(0).unwrap();
    execute(&path, "INSERT INTO item (id) VALUES (1), (2), (3), (4), (5)").unwrap();
    source.handed_on(5).unwrap();
    assert_eq!(source.forget(2).unwrap(), 2);
    assert_eq!(
        (source.position().unwrap(), waiting(&path).unwrap()),
        (Some(3), Some(2))
    );
    assert_eq!(source.forget(100).unwrap(), 3);
    assert_eq!(source.position().unwrap(), Some(0));
}

/// Functions that every library has had since 3.8.3, built in whichever way: what runs in somebody else's program uses no other.
const OLD: &[&str] = &["abs", "hex", "julianday", "printf", "replace", "typeof"];

#[test]
fn whoever_writes_may_have_an_old_library() {
    let (_folder, path) = database(TABLE);
    let source = Source::open(&path, &[]).unwrap();
    let mut writer = Connection::open(&path).unwrap();
    writer
        .authorizer(Some(|asked: AuthContext<'_>| match asked.action {
            AuthAction::Function { function_name } if !OLD.contains(&function_name) => Authorization::Deny,
            _ => Authorization::Allow,
        }))
        .unwrap();
    writer.execute_batch("SELECT json_quote(1)").unwrap_err();
    writer
        .execute_batch(
            "INSERT INTO item VALUES (1, 'it''s', 0.1), (2, NULL, x'00'); UPDATE item SET price = 1e300; DELETE FROM item",
        )
        .unwrap();
    let changes = source.changes(0, 10).unwrap();
    assert_eq!(changes.len(), 6);
    assert_eq!(
        changes[0].after.as_deref(),
        Some(r#"{"id":1,"name":"it's","price":0.1}"#)
    );
    // The clock is the one that every library has.
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    assert!(
        changes
            .iter()
            .all(|change| (now - 3_600_000..=now + 3_600_000).contains(&change.at.0)),
        "{changes:?}"
    );
}

#[test]
fn what_was_noted_as_json_is_read_as_it_is() {
    for (noted, json) in [
        (
            r#"{"a":"it's \"so\" \\","b":'it''s "so"'}"#,
            r#"{"a":"it's \"so\" \\","b":"it's \"so\""}"#,
        ),
        ("{\"a'b\":'','c':1", "{\"a'b\":\"\",\"c\":1"),
        ("'never ends", "\"\""),
    ] {
        assert_eq!(sql::as_json(noted), json);
    }
}

fn begun(path: &Path, only: &[&str]) -> Source {
    let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
    let mut source = Source::open(path, &only).unwrap();
    if source.position().unwrap().is_none() {
        source.handed_on(0).unwrap();
    }
    source
}

fn triggers(path: &Path) -> i64 {
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'";
    let connection = Connection::open(path).unwrap();
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_table_that_is_left_out_and_comes_back_is_read_once_more_and_that_is_said() {
    let (_folder, path) = database("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)");
    assert!(begun(&path, &[]).notices().is_empty());
    execute(&path, "INSERT INTO b VALUES (1), (2)").unwrap();
    let mut source = begun(&path, &["a"]);
    assert!(source.notices()[0].starts_with("b is captured no more"));
    // What was noted when it was captured is not lost.
    let pending = told(&source, 0);
    assert_eq!((pending.len(), pending[0].0.as_str()), (2, "c b"));
    assert!(source.tables().len() == 1 && source.table("b").is_some());
    execute(&path, "INSERT INTO b VALUES (3); DELETE FROM b WHERE id = 1").unwrap();
    assert_eq!((triggers(&path), told(&source, 0).len()), (3, 2));
    let mut source = begun(&path, &[]);
    assert!(source.notices()[0].starts_with("b was made anew, or was left out"));
    let after: Vec<_> = told(&source, 2)
        .into_iter()
        .map(|(word, _, row)| word + " " + &row.unwrap())
        .collect();
    assert_eq!(after, [r#"r b {"id":2}"#, r#"r b {"id":3}"#]);
    assert!(begun(&path, &[]).notices().is_empty());
}

#[test]
fn a_table_that_is_renamed_dropped_or_made_anew_is_followed_and_said() {
    let (_folder, path) = database("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)");
    let mut source = begun(&path, &[]);
    execute(&path, "ALTER TABLE a RENAME TO c; INSERT INTO c VALUES (1)").unwrap();
    assert!(source.refresh().unwrap());
    assert_eq!(source.notices(), ["a is called c now"]);
    // Each change is noted once, under the new name.
    execute(&path, "INSERT INTO c VALUES (2)").unwrap();
    let words: Vec<String> = told(&source, 0).into_iter().map(|(word, ..)| word).collect();
    assert_eq!(
        (words, triggers(&path)),
        (["c a", "r c", "c c"].map(str::to_owned).into(), 6)
    );
    assert!(source.table("a").is_none());

    // As one changes what SQLite's ALTER TABLE cannot.
    execute(&path, "CREATE TABLE x (id INTEGER PRIMARY KEY, n); INSERT INTO x SELECT id, 0 FROM c; DROP TABLE c; ALTER TABLE x RENAME TO c")
        .unwrap();
    assert!(source.refresh().unwrap());
    assert!(source.notices()[0].starts_with("c was made anew"));
    execute(&path, "DROP TABLE b").unwrap();
    assert!(source.refresh().unwrap());
    assert_eq!(
        source.notices(),
        ["b is gone: the rows that it had are not told as deleted"]
    );
    assert!(!source.refresh().unwrap());
}

#[test]
fn a_capture_of_another_name_is_refused_before_anything_is_changed() {
    let (_folder, path) = database("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)");
    drop(Source::open_as(&path, &["a".to_owned()], "one", None).unwrap());
    let refused = Source::open_as(&path, &[], "two", None).unwrap_err().to_string();
    assert!(refused.contains("captured as one already"), "{refused}");
    assert_eq!(triggers(&path), 3);
    Source::open_as(&path, &[], "one", None).unwrap();
    assert_eq!(triggers(&path), 6);
}

#[test]
fn tables_that_are_called_alike_are_refused_before_anything_is_changed() {
    let (_folder, path) =
        database("CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY); CREATE TABLE a_b (id INTEGER PRIMARY KEY)");
    let called: Called = |name| name.replace(' ', "_");
    let refused = Source::open_as(&path, &[], "one", Some(called))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("`a b` and `a_b`"), "{refused}");
    assert_eq!(triggers(&path), 0);
    Source::open_as(&path, &["a b".to_owned()], "one", Some(called)).unwrap();
    Source::open_as(&path, &[], "one", None).unwrap();
    assert_eq!(triggers(&path), 6);
}

#[test]
fn a_database_has_one_capture_at_a_time_whose_position_never_goes_back() {
    let (_folder, path) = database(TABLE);
    let held = hold(&path).unwrap();
    let refused = hold(&path).unwrap_err().to_string();
    assert!(refused.ends_with("another capture of it is running"), "{refused}");
    assert!(release(&path).is_err());
    drop(held);
    let mut source = Source::open(&path, &[]).unwrap();
    source.handed_on(7).unwrap();
    source.handed_on(3).unwrap();
    assert_eq!(source.position().unwrap(), Some(7));
    release(&path).unwrap();
    assert!(!lock_of(&path).exists());
}

#[test]
fn a_table_without_a_key_that_comes_later_is_left_out_and_said() {
    let (_folder, path) = database(TABLE);
    let mut source = begun(&path, &[]);
    execute(&path, "CREATE TABLE loose (x)").unwrap();
    source.refresh().unwrap();
    assert!(source.notices()[0].starts_with("loose is not captured: it has no primary key"));
    assert_eq!(source.tables().len(), 1);
    assert_eq!(begun(&path, &[]).tables().len(), 1);
}

#[test]
fn writers_do_not_wait_for_whoever_takes_the_rows() {
    let (_folder, path) = database("CREATE TABLE item (id INTEGER PRIMARY KEY); INSERT INTO item VALUES (1), (2), (3)");
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "journal_mode", "delete")
        .unwrap();
    let mut source = Source::open(&path, &[]).unwrap();
    let mut rows = Vec::new();
    let writer = Connection::open(&path).unwrap();
    writer.busy_timeout(std::time::Duration::ZERO).unwrap();
    let number = source
        .rows(&mut |row| {
            writer.execute("INSERT INTO item VALUES (NULL)", []).unwrap();
            rows.push((row.table, row.after.unwrap()));
            rows.len() < 2
        })
        .unwrap();
    let row = |id: i64| ("item".to_owned(), format!("{{\"id\":{id}}}"));
    assert_eq!((number, rows), (0, vec![row(1), row(2)]));
}

#[test]
fn what_is_released_is_as_it_was() {
    let (_folder, path) = database(TABLE);
    let objects = || {
        let connection = Connection::open(&path).unwrap();
        let list = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'";
        connection.query_row(list, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = objects();
    Source::open(&path, &[]).unwrap();
    assert_eq!(objects(), before + 6);
    release(&path).unwrap();
    assert_eq!(objects(), before);
}

#[test]
fn what_cannot_be_captured_is_said() {
    let (_folder, path) = database("CREATE TABLE a (x); CREATE TABLE b (id PRIMARY KEY)");
    let said = |only: &[&str]| {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        Source::open(&path, &only).unwrap_err().to_string()
    };
    assert!(said(&[]).ends_with("the table a has no primary key, by which its rows could be told apart"));
    assert!(said(&["c"]).ends_with("the table c is not there"));
    assert_eq!(Source::open(&path, &["B".to_owned()]).unwrap().tables().len(), 1);
    let missing = Source::open(&path.with_file_name("none.db"), &[]).unwrap_err();
    assert!(missing.to_string().contains("cannot open"), "{missing}");
    std::fs::write(
        path.with_file_name("text.db"),
        "no database at all, and long enough to be looked at",
    )
    .unwrap();
    assert!(Source::open(&path.with_file_name("text.db"), &[]).is_err());
}

#[test]
fn statements_reach_no_other_file() {
    let (folder, path) = database(TABLE);
    let other = folder.path().join("other.db");
    for sql in ["ATTACH '{}' AS other; CREATE TABLE other.t (x)", "VACUUM INTO '{}'"] {
        execute(&path, &sql.replace("{}", &other.display().to_string())).unwrap_err();
    }
    assert!(!other.exists());
}

#[derive(Debug, Clone)]
enum Step {
    Put(i64, i64),
    Delete(i64),
    Move(i64, i64),
    Snapshot,
    Column,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0i64..8, 0i64..100).prop_map(|(id, value)| Step::Put(id, value)),
        2 => (0i64..8).prop_map(Step::Delete),
        1 => (0i64..8, 0i64..8).prop_map(|(from, to)| Step::Move(from, to)),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Column),
    ];
    prop::collection::vec(step, 1..40)
}

/// What is left of rows and changes is what the table has, wherever between the changes the rows are read.
fn folded(changes: &[RowChange]) -> BTreeMap<i64, Value> {
    let mut rows = BTreeMap::new();
    let id = |row: &Value| row["id"].as_i64().unwrap();
    let parsed = |row: &Option<String>| row.as_ref().map(|row| serde_json::from_str::<Value>(row).unwrap());
    for change in changes {
        if let Some(before) = parsed(&change.before) {
            rows.remove(&id(&before));
        }
        if let Some(after) = parsed(&change.after) {
            rows.insert(id(&after), after);
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn rows_and_then_changes_are_the_table(steps in steps()) {
        let (_folder, path) = database(TABLE);
        let mut source = Source::open(&path, &[]).unwrap();
        let (mut told, mut position, mut columns) = (Vec::new(), None, 0);
        for step in steps {
            match step {
                Step::Put(id, value) => execute(&path, &format!(
                    "INSERT INTO item (id, price) VALUES ({id}, {value}) ON CONFLICT DO UPDATE SET price = excluded.price")).unwrap(),
                Step::Delete(id) => execute(&path, &format!("DELETE FROM item WHERE id = {id}")).unwrap(),
                Step::Move(from, to) => execute(&path, &format!("UPDATE OR REPLACE item SET id = {to} WHERE id = {from}")).unwrap(),
                Step::Snapshot if position.is_none() => {
                    source.refresh().unwrap();
                    let (rows, number) = all_rows(&mut source);
                    source.handed_on(number).unwrap();
                    told = rows;
                    position = Some(number);
                }
                Step::Snapshot => {
                    // Started again: it goes on where it stood.
                    source = Source::open(&path, &[]).unwrap();
                    prop_assert_eq!(source.position().unwrap(), position);
                    let more = source.changes(position.unwrap(), 1_000).unwrap();
                    if let Some(last) = more.last() {
                        position = Some(last.number);
                        source.handed_on(last.number).unwrap();
                    }
                    told.extend(more);
                }
                Step::Column => {
                    columns += 1;
                    execute(&path, &format!("ALTER TABLE item ADD COLUMN c{columns} DEFAULT {columns}")).unwrap();
                }
            }
        }
        source.refresh().unwrap();
        let (rows, number) = all_rows(&mut source);
        match position {
            None => told = rows.clone(),
            Some(position) => told.extend(source.changes(position, 1_000).unwrap()),
        }
        prop_assert!(told.iter().all(|change| change.number <= number));
        prop_assert_eq!(folded(&told), folded(&rows));
    }
}

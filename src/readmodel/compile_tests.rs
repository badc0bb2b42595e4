use super::*;
use crate::projection::parse::parse;

const HEAD: &str = "-- projection: p\n-- topic: t\n-- type: $.type\n";

fn compiled(rest: &str) -> Result<Definition, Box<ProjectionError>> {
    compile(&parse(&format!("{HEAD}{rest}"), "p.sql").expect("the parser takes it"))
}

/// The message, and the text that is marked.
fn refusal(rest: &str) -> (String, String) {
    let error = compiled(rest).expect_err("must be refused");
    let source = error.source_code.inner();
    let marked = source[error.span.offset()..error.span.offset() + error.span.len()].to_owned();
    (error.message.clone(), marked)
}

#[test]
fn sqlite_points_into_the_file() {
    let (message, marked) =
        refusal("CREATE TABLE a (id TEXT PRIMARY KEY) STRICT;\n-- on: X\nINSERT INTO acount VALUES (:id);");
    assert_eq!((message.as_str(), marked.as_str()), ("no such table: acount", "acount"));
    let (message, marked) =
        refusal("CREATE TABLE a (id TEXT PRIMARY KEY) STRICT;\n-- on: X\nUPDATE a SET ident = :id WHERE id = :id;");
    assert_eq!((message.as_str(), marked.as_str()), ("no such column: ident", "ident"));
}

#[test]
fn a_table_needs_a_key_that_is_never_null() {
    let on = "\n-- on: X\nDELETE FROM a;";
    for (table, expected) in [
        ("CREATE TABLE a (id TEXT);", "the table `a` has no primary key"),
        (
            "CREATE TABLE a (id TEXT PRIMARY KEY);",
            "the primary key of `a` can be NULL: `id` is not NOT NULL",
        ),
        (
            "CREATE TABLE a (x INTEGER NOT NULL, y INTEGER, PRIMARY KEY (x, y));",
            "the primary key of `a` can be NULL: `y` is not NOT NULL",
        ),
        // An old quirk of SQLite: with DESC the column is no alias of the rowid, and NULL is stored.
        (
            "CREATE TABLE a (id INTEGER PRIMARY KEY DESC);",
            "the primary key of `a` can be NULL: `id` is not NOT NULL",
        ),
    ] {
        assert_eq!(refusal(&format!("{table}{on}")).0, expected, "{table}");
    }
    for table in [
        "CREATE TABLE a (id TEXT PRIMARY KEY) STRICT;",
        "CREATE TABLE a (id TEXT PRIMARY KEY) WITHOUT ROWID;",
        "CREATE TABLE a (id TEXT NOT NULL PRIMARY KEY);",
        "CREATE TABLE a (id INTEGER PRIMARY KEY);",
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);",
    ] {
        assert!(compiled(&format!("{table}{on}")).is_ok(), "{table}");
    }
}

#[test]
fn what_breaks_the_promises_is_refused() {
    let table = "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;";
    for (rest, expected) in [
        (
            format!("{table}\n-- on: X\nINSERT OR FAIL INTO a VALUES (:id, 1);"),
            "FAIL and ROLLBACK are refused",
        ),
        (
            format!("{table}\n-- on: X\nUPDATE OR ROLLBACK a SET n = 1;"),
            "FAIL and ROLLBACK are refused",
        ),
        (
            "CREATE TABLE a (id TEXT PRIMARY KEY ON CONFLICT ROLLBACK) STRICT;\n-- on: X\nDELETE FROM a;".to_owned(),
            "FAIL and ROLLBACK are refused",
        ),
        (
            format!(
                "{table} CREATE TABLE b (id TEXT PRIMARY KEY REFERENCES a DEFERRABLE INITIALLY DEFERRED) STRICT;\n\
                 -- on: X\nDELETE FROM a;"
            ),
            "deferred constraints are refused",
        ),
        (
            format!("{table}\n-- on: X\nINSERT INTO a VALUES (:id, 1) RETURNING n;"),
            "a handler returns no rows",
        ),
        (
            format!("{table}\n-- on: X\nINSERT INTO a SELECT name, 1 FROM pragma_table_list;"),
            "is refused",
        ),
    ] {
        let source = format!("{HEAD}{rest}");
        let message = match parse(&source, "p.sql") {
            Ok(projection) => compile(&projection).expect_err(&rest).message.clone(),
            // The first wall was faster; what counts is that it does not come through.
            Err(_) => continue,
        };
        assert!(message.contains(expected), "{rest}: {message}");
    }
}

/// The second wall alone, as SQLite sees it: text that no parser of ours has looked at.
#[test]
fn the_guard_refuses_without_the_parser() {
    let connection = || {
        let guard = Guard::new();
        let mut connection = Connection::open_in_memory().unwrap();
        guard.install(&mut connection).unwrap();
        connection
            .execute_batch("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE _foldlog_x (id INTEGER PRIMARY KEY)")
            .unwrap();
        (connection, guard)
    };
    for (stage, sql) in [
        (Stage::Handler, "INSERT INTO a VALUES (random())"),
        (Stage::Handler, "INSERT INTO a VALUES (CURRENT_TIMESTAMP)"),
        (Stage::Handler, "INSERT INTO a VALUES (last_insert_rowid())"),
        (Stage::Handler, "DELETE FROM _foldlog_x"),
        (Stage::Handler, "INSERT INTO a SELECT id FROM _FOLDLOG_X"),
        (Stage::Handler, "INSERT INTO a SELECT rootpage FROM sqlite_schema"),
        (Stage::Handler, "CREATE TABLE b (id INTEGER PRIMARY KEY)"),
        (Stage::Handler, "DROP TABLE a"),
        (Stage::Handler, "ATTACH DATABASE 'x' AS x"),
        (Stage::Handler, "PRAGMA journal_mode = OFF"),
        (Stage::Handler, "COMMIT"),
        (Stage::Handler, "SAVEPOINT s"),
        (Stage::Handler, "ALTER TABLE a ADD COLUMN b"),
        (
            Stage::Schema,
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END",
        ),
        (Stage::Schema, "CREATE TEMP TABLE b (id INTEGER PRIMARY KEY)"),
        (Stage::Schema, "CREATE VIRTUAL TABLE b USING rtree(id, x, y)"),
        (Stage::Handler, "CREATE VIRTUAL TABLE b USING fts5(x)"),
        (Stage::Schema, "CREATE TABLE _foldlog_y (id INTEGER PRIMARY KEY)"),
        (Stage::Schema, "INSERT INTO a VALUES (1)"),
        (Stage::Query, "DELETE FROM a"),
        (Stage::Query, "ATTACH DATABASE 'x' AS x"),
        (Stage::Query, "PRAGMA query_only = OFF"),
        (Stage::Query, "SELECT load_extension('x')"),
    ] {
        let (connection, guard) = connection();
        guard.enter(stage);
        let refused = connection.prepare(sql).is_err();
        assert!(
            refused && guard.refusal().is_some(),
            "{stage:?}: {sql}: {:?}",
            guard.refusal()
        );
    }
    for (stage, sql) in [
        (
            Stage::Schema,
            "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT, t TEXT UNIQUE)",
        ),
        (Stage::Schema, "CREATE UNIQUE INDEX i ON a (id)"),
        (Stage::Schema, "CREATE VIEW v AS SELECT id FROM a"),
        (
            Stage::Handler,
            "INSERT INTO a SELECT value FROM json_each(:x) WHERE abs(value) > 1",
        ),
        (
            Stage::Handler,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) INSERT INTO a SELECT i FROM n",
        ),
        (Stage::Query, "SELECT * FROM pragma_table_info('a')"),
        (Stage::Query, "EXPLAIN QUERY PLAN SELECT * FROM a"),
    ] {
        let (connection, guard) = connection();
        guard.enter(stage);
        let made = connection.prepare(sql).map(drop);
        assert!(made.is_ok(), "{stage:?}: {sql}: {made:?} {:?}", guard.refusal());
    }
}

#[test]
fn a_default_that_reads_the_clock_is_refused() {
    let projection = parse(
        &format!("{HEAD}CREATE TABLE a (id TEXT PRIMARY KEY, at TEXT) STRICT;\n-- on: X\nDELETE FROM a;"),
        "p.sql",
    )
    .unwrap();
    for default in ["CURRENT_TIMESTAMP", "(random())", "(unixepoch('now'))"] {
        let mut projection = projection.clone();
        let sql = format!("CREATE TABLE a (id TEXT PRIMARY KEY, at TEXT DEFAULT {default})  STRICT");
        projection.schema[0].sql = sql;
        let message = compile(&projection).expect_err(default).message.clone();
        assert!(
            message.contains("another result at every replay"),
            "{default}: {message}"
        );
    }
}

#[test]
fn a_view_is_held_against_its_tables() {
    let compiled = |view: &str| {
        let table = "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;";
        let handler = "-- on: X\nDELETE FROM a WHERE id IN (SELECT id FROM v);";
        let text = format!("{HEAD}{table}\nCREATE VIEW v AS {view};\n{handler}");
        parse(&text, "p.sql").and_then(|projection| compile(&projection).map(drop))
    };
    compiled("SELECT id, sum(n) OVER (ORDER BY id) FROM a").unwrap();
    for (view, message) in [
        ("SELECT id FROM b", "no such table"),
        ("SELECT id, m FROM a", "no such column"),
        ("SELECT id FROM a WHERE n > random()", "another value on every replay"),
        ("SELECT id FROM sqlite_schema", "SQLite, not of the log"),
    ] {
        let said = compiled(view).expect_err(view).message.clone();
        assert!(said.contains(message), "{view}: {said}");
    }
}

#[test]
fn only_indexes_that_no_handler_needs_are_built_late() {
    let definition = compiled(
        "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER, m INTEGER, o INTEGER, p TEXT) STRICT;
         CREATE INDEX by_n ON a (n);
         CREATE INDEX by_m ON a (m);
         CREATE UNIQUE INDEX one_o ON a (o);
         CREATE INDEX by_json ON a (p ->> 'x');
         CREATE INDEX some_n ON a (n, id) WHERE n > 1;
         -- on: X
         UPDATE a SET n = 1 WHERE m = :m;",
    )
    .unwrap();
    let late: Vec<_> = definition
        .schema()
        .iter()
        .filter(|step| step.after_load)
        .map(|step| step.sql.as_str())
        .collect();
    assert_eq!(late, ["CREATE INDEX by_n ON a (n)"]);
}

#[test]
fn handlers_of_a_type_run_in_file_order_and_others_fall_to_the_star() {
    let definition = compiled(
        "CREATE TABLE a (id TEXT PRIMARY KEY) STRICT;
         -- on: X
         DELETE FROM a;
         INSERT INTO a VALUES (:id);
         -- on: tombstone
         DELETE FROM a WHERE id = @key;
         -- on: *
         INSERT INTO a VALUES ($b::c);",
    )
    .unwrap();
    assert_eq!(definition.program("X").unwrap().steps, [0, 1]);
    assert_eq!(definition.program("Y").unwrap().steps, [3]);
    assert_eq!(definition.tombstone().unwrap().steps, [2]);
}

#[test]
fn an_emit_has_the_columns_of_a_record() {
    let on = "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;\n-- on: X\nDELETE FROM a;\n-- emit: out\n";
    for (select, expected, help) in [
        (
            "SELECT id AS key FROM a",
            "this emit has no column `value`",
            "a NULL is a tombstone",
        ),
        (
            "SELECT n AS value FROM a",
            "this emit has no column `key`",
            "NULL AS key",
        ),
        (
            "SELECT id AS key, n FROM a",
            "an emit has no column `n`",
            "name the columns",
        ),
        (
            "SELECT id AS key, n AS valeu FROM a",
            "an emit has no column `valeu`",
            "did you mean `AS value`?",
        ),
        (
            "SELECT id AS key, n AS value, 1 AS Key FROM a",
            "an emit has two columns `Key`",
            "leave one out",
        ),
        ("SELECT id AS key, m AS value FROM a", "no such column: m", ""),
        (
            "SELECT id AS key, name AS value FROM sqlite_master JOIN a",
            "not read SQLite's catalogue",
            "",
        ),
    ] {
        let Ok(projection) = parse(&format!("{HEAD}{on}{select};"), "p.sql") else {
            continue;
        };
        let error = compile(&projection).expect_err(select);
        assert!(error.message.contains(expected), "{select}: {}", error.message);
        let said = error.help.clone().unwrap_or_default();
        assert!(said.contains(help), "{select}: {said}");
    }
    let good = compiled(&format!(
        "{on}SELECT NULL AS \"Key\", n AS VALUE, '{{}}' AS headers, 0 AS partition, 1 AS timestamp FROM a WHERE id = :id;"
    ));
    let good = good.unwrap();
    let emit = &good.emits()[0];
    assert_eq!(
        (emit.key, emit.value, emit.headers, emit.partition, emit.timestamp),
        (0, 1, Some(2), Some(3), Some(4))
    );
    assert_eq!(emit.step.bindings.len(), 1);
}

use super::*;
use crate::projection::parse::parse;
use crate::readmodel::compile::compile;
use crate::readmodel::writer::{Building, Origin};
use crate::record::Position;

/// A read model of this name with one row in its one table.
fn build(store: &Store, name: &str) {
    build_of(store, name, "item");
}

fn build_of(store: &Store, name: &str, table: &str) {
    let text = format!(
        "-- projection: {name}\n-- topic: t\n-- type: $.type\n
         CREATE TABLE {table} (id INTEGER PRIMARY KEY, text ANY) STRICT;
         -- on: A\nINSERT INTO {table} VALUES (1, :x);"
    );
    let definition = compile(&parse(&text, "p.sql").unwrap()).unwrap();
    let origin = Origin {
        cluster_id: "c".to_owned(),
        topics: vec![("t".to_owned(), None)],
        amendments: Default::default(),
    };
    let building = Building::start(store, &definition, &origin).unwrap();
    let record = crate::record::RecordRef {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp: None,
        key: None,
        value: Some(br#"{"type": "A", "x": "hello"}"#),
        headers: &[],
    };
    let mut fold = building.fold(crate::readmodel::fold::OnPoison::Skip).unwrap();
    fold.apply(std::iter::once(record), &|| false).unwrap();
    let closed = fold.close().unwrap();
    building.finish(&closed, &Position::new()).unwrap();
}

fn store(folder: &Path, names: &[String]) -> Store {
    let store = Store::open(folder, "lab").unwrap();
    for name in names {
        build(&store, name);
    }
    store
}

#[test]
fn queries_read_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(&store(folder.path(), &["one".to_owned()])).unwrap();
    let rows = session.query("SELECT id, text FROM one.item -- all of it", 10).unwrap();
    assert_eq!(rows.columns, ["id", "text"]);
    assert_eq!(rows.rows, [vec![Cell::Integer(1), Cell::Text("hello".to_owned())]]);
    for sql in [
        "DELETE FROM one.item",
        "UPDATE one.item SET id = 2",
        "DROP TABLE one.item",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "ATTACH 'x' AS x",
        "DETACH one",
        "PRAGMA query_only = OFF",
        "BEGIN",
        "VACUUM INTO 'x'",
        "SELECT 1; DELETE FROM one.item",
        "-- nothing",
        "",
    ] {
        let error = session.query(sql, 10).expect_err(sql);
        assert!(matches!(error, ReadModelError::Query { .. }), "{sql}: {error}");
    }
    assert_eq!(
        session.query("SELECT count(*) FROM one.item", 1).unwrap().rows[0][0],
        Cell::Integer(1)
    );
}

#[test]
fn more_read_models_than_sqlite_attaches() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..13).map(|n| format!("model_{n}")).collect();
    let session = Session::open(&store(folder.path(), &names)).unwrap();
    for name in &names {
        let rows = session.query(&format!("SELECT count(*) FROM {name}.item"), 1).unwrap();
        assert_eq!(rows.rows[0][0], Cell::Integer(1), "{name}");
    }
    let join = |count: usize| {
        let list: Vec<_> = names[..count].iter().map(|name| format!("\"{name}\".item")).collect();
        format!("SELECT count(*) FROM {}", list.join(", "))
    };
    assert_eq!(session.query(&join(10), 1).unwrap().rows[0][0], Cell::Integer(1));
    let error = session.query(&join(11), 1).unwrap_err();
    assert_eq!(error.to_string(), "a query can name 10 read models at most");
    assert_eq!(session.tables("MODEL_12").unwrap()[0].primary_key, ["id"]);
    // A pragma takes the name as a string.
    let columns = "SELECT count(*) FROM pragma_table_info('item', 'model_11')";
    assert_eq!(session.query(columns, 1).unwrap().rows[0][0], Cell::Integer(2));
    let (message, _, help) = told(&session, "SELECT * FROM model_12.itme");
    assert!(help.contains("did you mean model_12.item?"), "{message}: {help}");
    let (message, _, help) = told(&session, "SELECT * FROM nix");
    assert!(help.contains("there are: model_0.item"), "{message}: {help}");
}

#[test]
fn a_bare_name_that_several_read_models_have_is_refused_and_one_that_only_one_has_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = vec!["one".to_owned(), "two".to_owned()];
    for many in [false, true] {
        if many {
            names.extend((0..13).map(|n| format!("model_{n}")));
        }
        let store = store(folder.path(), &names);
        build_of(&store, "special", "thing");
        let session = Session::open(&store).unwrap();
        let (message, at, help) = told(&session, "SELECT text FROM item");
        assert!(message.ends_with("read models have a table `item`"), "{message}");
        assert_eq!(at, "item");
        assert!(help.contains("write ") && help.contains(".item or "), "{help}");
        let thing = session.query("SELECT count(*) FROM thing", 1).unwrap();
        assert_eq!(thing.rows[0][0], Cell::Integer(1), "{many}");
        // A name that the query makes itself is its own.
        let own = session
            .query("WITH item AS (SELECT 7 AS n) SELECT n FROM item", 1)
            .unwrap();
        assert_eq!(own.rows[0][0], Cell::Integer(7));
        assert_eq!(
            session.query("SELECT count(*) FROM TWO.item", 1).unwrap().rows[0][0],
            Cell::Integer(1)
        );
    }
}

#[test]
fn a_limit_is_told_and_a_runaway_query_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(&store(folder.path(), &["one".to_owned()])).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let rows = session.query(endless, 3).unwrap();
    assert_eq!((rows.rows.len(), rows.truncated), (3, true));
    assert!(!session.query("SELECT 1", 1).unwrap().truncated);
    let interrupt = session.interrupt_handle();
    let mut seen = 0;
    let result = session.each(endless, &mut |_, row| {
        seen += usize::from(row.is_some());
        if seen == 5 {
            interrupt.interrupt();
        }
        true
    });
    assert!(matches!(result, Err(ReadModelError::Cancelled)), "{result:?}");
    assert_eq!(session.query("SELECT 1", 1).unwrap().rows.len(), 1);
}

#[test]
fn a_damaged_file_is_named_and_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &["good".to_owned(), "bad".to_owned()]);
    std::fs::write(
        store.current("bad").unwrap().path,
        b"this is no database, and long enough to be looked at".repeat(100),
    )
    .unwrap();
    let session = Session::open(&store).unwrap();
    assert_eq!(
        session.query("SELECT count(*) FROM good.item", 1).unwrap().rows[0][0],
        Cell::Integer(1)
    );
    let error = session.query("SELECT count(*) FROM bad.item", 1).unwrap_err();
    assert!(error.to_string().contains("bad.1.db"), "{error}");
    let states: Vec<_> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|info| (info.name, info.state))
        .collect();
    assert_eq!(states[1], ("good".to_owned(), crate::readmodel::store::State::Ready));
    assert!(
        matches!(states[0].1, crate::readmodel::store::State::Unreadable { .. }),
        "{states:?}"
    );
}

/// What a query is told: the message, the part of its text that is marked, and the help.
fn told(session: &Session, sql: &str) -> (String, String, String) {
    match session.query(sql, 10).expect_err(sql) {
        ReadModelError::Query { message, at, help, .. } => {
            let marked = at.map_or("", |at| &sql[at.offset()..at.offset() + at.len()]);
            (message, marked.to_owned(), help.unwrap_or_default())
        }
        error => panic!("{sql}: {error}"),
    }
}

#[test]
fn what_is_wrong_with_a_query_is_marked_and_names_what_is_near() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(&store(folder.path(), &["orders".to_owned(), "stock".to_owned()])).unwrap();
    for (sql, marked, help) in [
        ("SELECT * FORM orders.item", "FORM", ""),
        ("SELECT * FROM WHERE id = 1", "WHERE", ""),
        ("SELECT tetx FROM orders.item", "tetx", "did you mean text?"),
        ("SELECT i.idd FROM orders.item i", "i.idd", "did you mean id?"),
        (
            "SELECT whatever FROM stock.item",
            "whatever",
            "orders.item has id, text; stock.item has id, text",
        ),
        ("SELECT * FROM ordres.item", "ordres.item", "did you mean orders.item?"),
        ("SELECT * FROM itme", "itme", "did you mean orders.item?"),
        (
            "SELECT * FROM customer",
            "customer",
            "there are: orders.item, stock.item",
        ),
        ("SELECT id FROM item", "item", "write orders.item or stock.item"),
        ("SELECT id FROM orders.item WHERE id =  ", "=", "ends too early"),
        (
            "SELECT id FROM orders.item WHERE id = ?",
            "",
            "write the values themselves",
        ),
    ] {
        let (message, at, helped) = told(&session, sql);
        assert_eq!(at, marked, "{sql}: {message}");
        assert!(helped.contains(help), "{sql}: {message}: {helped}");
    }
    let empty = tempfile::tempdir().unwrap();
    let session = Session::open(&Store::open(empty.path(), "lab").unwrap()).unwrap();
    assert!(
        told(&session, "SELECT * FROM a.b")
            .2
            .contains("there are no read models yet")
    );
}

//! What is folded in memory is what SQL for every event makes: generated tables, handlers and logs.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use rusqlite::Connection;

use super::super::bookkeeping::each_dead_letter;
use super::super::compile::{Definition, compile};
use super::super::dump::of;
use super::super::fold::{Fold, OnPoison};
use super::super::store::{Counts, DeadLetter};
use super::super::writer::{Origin, create};
use crate::projection::parse::parse;
use crate::record::{Record, Timestamp};

/// Tables of every kind; all have the columns `k`, `p`, `n`, `r`, `s` and `a`.
const TABLES: &[(&str, &str)] = &[
    (
        "(k TEXT PRIMARY KEY, p INTEGER, n INTEGER NOT NULL, r REAL, s TEXT, a ANY) STRICT",
        "k",
    ),
    (
        "(k TEXT NOT NULL, p INT NOT NULL, n INTEGER, r NUMERIC, s VARCHAR(9) NOT NULL DEFAULT 'd', a, PRIMARY KEY (p, k)) WITHOUT ROWID",
        "p, k",
    ),
    (
        "(k INTEGER PRIMARY KEY, p DATETIME DEFAULT (1 + 1), n INTEGER, r REAL NOT NULL, s TEXT, a)",
        "k",
    ),
    (
        "(k INTEGER PRIMARY KEY, p TEXT, n INTEGER NOT NULL DEFAULT 7, r REAL, s TEXT, a ANY) STRICT, WITHOUT ROWID",
        "k",
    ),
    (
        "(k TEXT PRIMARY KEY, p INTEGER, n INTEGER CHECK (n < 50 AND n IS NOT NULL), r REAL, s TEXT, a ANY, \
         CHECK (s IS NULL OR s <> 'x')) STRICT",
        "k",
    ),
    (
        "(k TEXT NOT NULL PRIMARY KEY, p INTEGER, n NUMERIC, r DOUBLE, s CLOB, a BLOB)",
        "k",
    ),
    // Not to be kept in memory.
    (
        "(k TEXT PRIMARY KEY, p INTEGER, n INTEGER UNIQUE, r REAL, s TEXT COLLATE NOCASE, a ANY) STRICT",
        "k",
    ),
];

/// Values of events, as JSON.
const VALUES: &[&str] = &[
    "null",
    "0",
    "1",
    "-1",
    "7",
    "49",
    "9223372036854775807",
    "-9223372036854775808",
    "9007199254740993",
    "1.5",
    "-0.0",
    "2.0",
    "1e300",
    "-1e300",
    "0.1",
    "12345678901234567890",
    "\"\"",
    "\"a\"",
    "\"A\"",
    "\"x\"",
    "\"1\"",
    "\"-7\"",
    "\"007\"",
    "\"-0\"",
    "\"1.5\"",
    "\" 1 \"",
    "\"1e2\"",
    "\"0x10\"",
    "\"inf\"",
    "\"2024-01-31\"",
    "\"a\\u0000b\"",
    "\"é\"",
    "true",
    "[1,2]",
    "{\"b\":1}",
];

const KEYS: &[&str] = &[
    "\"a\"", "\"a\"", "\"b\"", "\"ab\"", "\"abc\"", "1", "1", "2", "\"1\"", "\"2\"", "-3", "10", "1.5", "2.0", "null",
    "\"\"", "\"x y\"", "true",
];

/// An expression over the columns that stand before it in SQL, `row` being whether there are any.
fn expression(columns: &'static [&'static str]) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(&[":v", ":w", "$b::c", "@offset", "@timestamp", "@key", "@partition", "@topic"][..])
            .prop_map(str::to_owned),
        3 => prop::sample::select(
            &["0", "1", "-3", "1.5", "'x'", "'12'", "NULL", "9223372036854775807", "0.1", "TRUE", "''", "x'00'"][..]
        )
        .prop_map(str::to_owned),
        6 => prop::sample::select(if columns.is_empty() { &[":v", ":w", "2", "'y'"][..] } else { columns })
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            6 => (prop::sample::select(&["+", "-", "*", "||"][..]), pair.clone()).prop_map(|(op, (a, b))| format!("{a} {op} {b}")),
            2 => (prop::sample::select(&["+", "-", "*", "||"][..]), pair.clone()).prop_map(|(op, (a, b))| format!("({a}) {op} ({b})")),
            3 => (prop::sample::select(&["=", "<>", "<", "<=", ">", ">=", "AND", "OR", "IS"][..]), pair.clone())
                .prop_map(|(op, (a, b))| format!("({a} {op} {b})")),
            2 => (prop::sample::select(&["coalesce", "max", "min", "ifnull", "MAX"][..]), pair.clone())
                .prop_map(|(name, (a, b))| format!("{name}({a}, {b})")),
            1 => (inner.clone(), pair.clone()).prop_map(|(c, (a, b))| format!("CASE WHEN {c} THEN {a} ELSE {b} END")),
            1 => (inner.clone(), pair).prop_map(|(c, (a, b))| format!("iif({c}, {a}, {b})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => inner.clone().prop_map(|a| format!("({a}) IS NOT NULL")),
            1 => inner.clone().prop_map(|a| format!("NOT ({a})")),
            1 => (prop::sample::select(&["abs", "length", "typeof", "lower"][..]), inner)
                .prop_map(|(name, a)| format!("{name}({a})")),
        ]
    })
    .boxed()
}

const OLD: &[&str] = &["n", "r", "s", "a", "p", "k", "n", "t.n"];
const BOTH: &[&str] = &[
    "n",
    "r",
    "s",
    "a",
    "n",
    "excluded.n",
    "excluded.r",
    "excluded.s",
    "excluded.a",
    "t.s",
];

/// A statement on the table `t` of a key.
fn statement(key: &'static str) -> impl Strategy<Value = String> {
    let columns = prop::sample::subsequence(vec!["n", "r", "s", "a"], 1..=4);
    let set = |of: &'static [&'static str]| {
        (columns.clone(), prop::collection::vec(expression(of), 4)).prop_map(|(columns, values)| {
            let set = columns
                .iter()
                .zip(values)
                .map(|(column, value)| format!("{column} = {value}"));
            set.collect::<Vec<_>>().join(", ")
        })
    };
    let found = move |columns: &'static [&'static str]| {
        prop_oneof![
            4 => Just(String::new()),
            2 => expression(columns).prop_map(|more| format!(" AND ({more})")),
        ]
        .prop_map(move |more| match key {
            "k" => format!("k = :k{more}"),
            _ => format!("(:k = k AND p = :p){more}"),
        })
    };
    let values = (expression(&[]), expression(&[]), expression(&[]), expression(&[]));
    let row = prop_oneof![
        3 => values.clone().prop_map(|(n, r, s, a)| format!("INTO t VALUES (:k, :p, {n}, {r}, {s}, {a})")),
        2 => values.prop_map(|(n, r, ..)| format!("INTO t (n, r, k, p) VALUES ({n}, {r}, :k, :p)")),
        6 => Just("INTO t VALUES (:k, :p, :v, :w, :s, :v)".to_owned()),
        1 => Just("INTO t (k, p, n, r, s) SELECT :k, :p, :v, :w, :s WHERE 1".to_owned()),
    ];
    let conflict = prop_oneof![
        2 => Just(("INSERT", String::new())),
        1 => Just(("INSERT OR IGNORE", String::new())),
        1 => Just(("INSERT OR REPLACE", String::new())),
        1 => Just(("REPLACE", String::new())),
        1 => Just(("INSERT", " ON CONFLICT DO NOTHING".to_owned())),
        5 => set(BOTH).prop_map(move |set| ("INSERT", format!(" ON CONFLICT ({key}) DO UPDATE SET {set}"))),
        2 => (set(BOTH), expression(BOTH))
            .prop_map(|(set, when)| ("INSERT", format!(" ON CONFLICT DO UPDATE SET {set} WHERE {when}"))),
    ];
    prop_oneof![
        6 => (row, conflict).prop_map(|(row, (verb, conflict))| format!("{verb} {row}{conflict}")),
        3 => (set(OLD), found(OLD)).prop_map(|(set, found)| format!("UPDATE t SET {set} WHERE {found}")),
        1 => found(OLD).prop_map(|found| format!("DELETE FROM t WHERE {found}")),
    ]
}

/// A statement that is not about one row of `t`, or about another table.
fn other() -> impl Strategy<Value = String> {
    prop::sample::select(
        &[
            "INSERT INTO log VALUES (@offset, :v)",
            "INSERT INTO log VALUES (@offset, :v) ON CONFLICT DO NOTHING",
            "INSERT INTO sums VALUES (:s, 1) ON CONFLICT (s) DO UPDATE SET n = n + 1",
            "DELETE FROM log WHERE at < @offset - 5",
            "INSERT INTO log SELECT @offset, count(*) FROM sums",
            "UPDATE t SET n = 1",
        ][..],
    )
    .prop_map(str::to_owned)
}

/// The text of a projection with four types of events.
fn projection() -> impl Strategy<Value = String> {
    prop::sample::select(TABLES).prop_flat_map(|(table, key)| {
        let program = prop_oneof![
            5 => prop::collection::vec(statement(key), 1..=1),
            2 => prop::collection::vec(statement(key), 2..=3),
            2 => (statement(key), other()).prop_map(|(one, two)| vec![one, two]),
            1 => (other(), statement(key)).prop_map(|(one, two)| vec![one, two]),
        ];
        prop::collection::vec(program, 4).prop_map(move |programs| {
            let mut text = format!(
                "-- projection: p\n-- topic: t\n-- type: $.type\nCREATE TABLE t {table};\n\
                 CREATE TABLE log (at INTEGER PRIMARY KEY, what ANY) STRICT;\n\
                 CREATE TABLE sums (s TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\nCREATE INDEX by_n ON t (n);\n"
            );
            for (number, program) in programs.iter().enumerate() {
                let _ = writeln!(text, "-- on: {number}");
                for statement in program {
                    let _ = writeln!(text, "{statement};");
                }
            }
            text
        })
    })
}

type Event = (usize, usize, usize, usize, usize, usize);

fn records(events: &[Event]) -> Vec<Record> {
    let value = |at: usize| VALUES[at % VALUES.len()];
    let record = |(offset, (kind, k, p, v, w, s)): (i64, &Event)| {
        let missing = if *p == 9 { "" } else { &format!(r#""p": {},"#, p % 3) };
        let json = format!(
            r#"{{"type": "{}", "k": {}, {missing} "v": {}, "w": {}, "s": {}, "b": {{"c": {}}}}}"#,
            kind % 5,
            KEYS[k % KEYS.len()],
            value(*v),
            value(*w),
            value(*s),
            value(v + s),
        );
        Record {
            topic: "t".into(),
            partition: 0,
            offset,
            timestamp: Some(Timestamp(1000 - offset)),
            key: (kind % 3 != 0).then(|| vec![b'k', if kind % 7 == 0 { 0xff } else { b'0' }]),
            value: (kind % 23 != 22).then(|| json.into_bytes()),
            headers: Vec::new(),
        }
    };
    (0..).zip(events).map(record).collect()
}

/// What a fold makes: the dump, counts, dead letters, and answers to what was asked in between.
type Made = (String, Counts, Vec<DeadLetter>, Vec<bool>);

fn folded(definition: &Definition, records: &[Record], pieces: &[usize], room: Option<usize>) -> Made {
    let connection = Connection::open_in_memory().unwrap();
    let origin = Origin {
        cluster_id: "c".to_owned(),
        topics: Vec::new(),
        amendments: Default::default(),
    };
    create(&connection, definition, &origin).unwrap();
    let mut fold = Fold::new(&connection, definition, OnPoison::Skip).unwrap();
    if let Some(room) = room {
        fold.keep_rows(room).unwrap();
    }
    let mut answers = Vec::new();
    let mut left = records;
    for piece in pieces.iter().cycle() {
        let (now, later) = left.split_at(*piece.min(&left.len()));
        fold.apply(now.iter().map(Record::view), &|| false).unwrap();
        if later.is_empty() {
            break;
        }
        left = later;
        match piece % 4 {
            0 => answers.push(fold.holds("SELECT sum(n IS NOT NULL) % 2 FROM t").unwrap()),
            1 => fold.commit().unwrap(),
            _ => {}
        }
    }
    let counts = fold.counts();
    fold.commit().unwrap();
    let mut text = Vec::new();
    of(&connection, Path::new("memory"), &mut text).unwrap();
    let mut letters = Vec::new();
    each_dead_letter(&connection, &mut |letter| {
        letters.push(letter);
        true
    })
    .unwrap();
    (String::from_utf8(text).unwrap(), counts, letters, answers)
}

fn compiled(text: &str) -> Option<Definition> {
    compile(&parse(text, "p.sql").ok()?).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    /// Rows, counts, reasons and answers are those of SQL for every event, however little room there is.
    #[test]
    fn folded_in_memory_is_folded_by_sql(
        text in projection(),
        events in prop::collection::vec((0..40usize, 0..40usize, 0..10usize, 0..40usize, 0..40usize, 0..40usize), 1..80),
        pieces in prop::collection::vec(1..40usize, 1..5),
        room in prop::sample::select(&[0, 200, 1000, super::ROOM][..]),
    ) {
        let definition = compiled(&text);
        prop_assume!(definition.is_some());
        let definition = definition.unwrap();
        let records = records(&events);
        let (sql, memory) = (
            folded(&definition, &records, &pieces, None),
            folded(&definition, &records, &pieces, Some(room)),
        );
        prop_assert_eq!(&sql.0, &memory.0, "{}\n{:?}", text, definition.plan().notes);
        prop_assert_eq!(sql, memory, "{}", text);
    }
}

/// What keeps each statement of a file out of memory, by its line.
fn notes(tables: &str, handlers: &[&str]) -> Vec<(usize, String)> {
    let text = format!(
        "-- projection: p\n-- topic: t\n{tables}\n-- on: *\n{};\n",
        handlers.join(";\n")
    );
    let definition = compiled(&text).expect(&text);
    let notes = definition.plan().notes.iter();
    notes.map(|note| (note.statement, note.reason.clone())).collect()
}

#[test]
fn what_is_about_the_row_of_one_key_is_recognised() {
    let table = "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0), s TEXT) STRICT;";
    for statement in [
        "INSERT INTO a VALUES (:id, 1, $x::y)",
        "INSERT INTO a (n, id) VALUES (coalesce(:n, 0), @key) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n WHERE a.n < 9",
        "INSERT INTO a VALUES (:id, 1, 'x') ON CONFLICT DO UPDATE SET id = excluded.id, s = CASE WHEN n > 1 THEN 'y' END",
        "INSERT OR IGNORE INTO a VALUES (:a || '-' || :b, 1, NULL)",
        "REPLACE INTO a VALUES (:id, @offset, @headers)",
        "UPDATE a SET n = max(n - :n, 0), s = 'paid' WHERE id = :id AND (s IS NULL OR s <> 'paid')",
        "DELETE FROM a WHERE :id = a.id",
    ] {
        assert_eq!(notes(table, &[statement]), [], "{statement}");
    }
}

#[test]
fn what_keeps_a_statement_out_of_memory_is_told() {
    let table = "CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER, s TEXT) STRICT;";
    for (tables, statement, reason) in [
        (table, "INSERT INTO a SELECT :id, 1, 'x'", "what a SELECT returns"),
        (
            table,
            "INSERT INTO a VALUES (:id, 1, 'x'), (:id2, 1, 'x')",
            "several rows",
        ),
        (table, "UPDATE a SET n = 1", "the whole primary key"),
        (table, "UPDATE a SET n = 1 WHERE id > :id", "the whole primary key"),
        (
            table,
            "UPDATE a SET id = :new WHERE id = :id",
            "which is in the primary key",
        ),
        (
            table,
            "UPDATE a SET n = n / 2 WHERE id = :id",
            "`n / 2` is not known in memory",
        ),
        (
            table,
            "UPDATE a SET n = (SELECT 1) WHERE id = :id",
            "is not known in memory",
        ),
        (
            table,
            "UPDATE a SET s = n + 1 || 'x' WHERE id = :id",
            "needs parentheses",
        ),
        (
            "CREATE TABLE a (id TEXT PRIMARY KEY, s TEXT UNIQUE) STRICT;",
            "DELETE FROM a WHERE id = :id",
            "UNIQUE",
        ),
        (
            "CREATE TABLE a (id TEXT PRIMARY KEY, s TEXT COLLATE NOCASE) STRICT;",
            "DELETE FROM a WHERE id = :id",
            "COLLATE",
        ),
        (
            "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT) STRICT;",
            "INSERT INTO a (s) VALUES (:s)",
            "AUTOINCREMENT",
        ),
        (
            "CREATE TABLE b (id TEXT PRIMARY KEY) STRICT;\nCREATE TABLE a (id TEXT PRIMARY KEY REFERENCES b) STRICT;",
            "INSERT INTO b VALUES (:s)",
            "foreign key",
        ),
    ] {
        let told = notes(tables, &[statement]);
        assert!(told.len() == 1 && told[0].1.contains(reason), "{statement}: {told:?}");
    }
    // One statement that only SQL knows takes its tables with it, and no others.
    let two = format!("{table}\nCREATE TABLE b (id TEXT PRIMARY KEY, n INTEGER) STRICT;");
    let told = notes(
        &two,
        &[
            "INSERT INTO a VALUES (:id, 1, 'x')",
            "INSERT INTO b VALUES (:id, 1) ON CONFLICT DO UPDATE SET n = n + 1",
            "UPDATE a SET n = 1",
        ],
    );
    let which: Vec<_> = told.iter().map(|(statement, _)| *statement).collect();
    assert_eq!(which, [0, 2], "{told:?}");
    assert!(told[0].1.contains("needs all of `a` on disk"), "{told:?}");
}

//! What is read from a file against what SQLite makes of the same text.

use std::fmt::Write as _;

use foldlog::projection::parse::parse;
use foldlog::projection::{Binding, Meta, Projection};
use proptest::prelude::*;
use rusqlite::Connection;

use super::{cases, report};

/// What a parameter's name binds, by a way of its own.
fn binds(projection: &Projection, name: &str) -> Binding {
    let meta = match name {
        "@topic" => Some(Meta::Topic),
        "@partition" => Some(Meta::Partition),
        "@offset" => Some(Meta::Offset),
        "@timestamp" => Some(Meta::Timestamp),
        "@key" => Some(Meta::Key),
        "@value" => Some(Meta::Value),
        "@headers" => Some(Meta::Headers),
        _ => None,
    };
    let path = || name[1..].split("::").collect::<Vec<_>>();
    meta.map(Binding::Meta).unwrap_or_else(|| {
        Binding::Field(
            projection
                .fields
                .iter()
                .position(|field| field.0 == path())
                .expect(name),
        )
    })
}

/// Every statement compiles, and its parameters are SQLite's, number by number.
fn compiles(projection: &Projection) {
    let database = Connection::open_in_memory().unwrap();
    for statement in &projection.schema {
        database.execute_batch(&statement.sql).unwrap();
    }
    let handlers = projection.handlers.iter().flat_map(|handler| &handler.statements);
    let invariants = projection.invariants.iter().map(|invariant| &invariant.select);
    let upcasts = projection.upcasts.iter().map(|upcast| &upcast.select);
    let alerts = projection.alerts.iter().map(|alert| &alert.select);
    let emits = projection.emits.iter().map(|emit| &emit.select);
    for statement in handlers.chain(upcasts).chain(invariants).chain(emits).chain(alerts) {
        let prepared = database
            .prepare(&statement.sql)
            .unwrap_or_else(|error| panic!("{error}: {}", statement.sql));
        assert_eq!(
            prepared.parameter_count(),
            statement.bindings.len(),
            "{}",
            statement.sql
        );
        for (at, binding) in statement.bindings.iter().enumerate() {
            let name = prepared.parameter_name(at + 1).unwrap();
            assert_eq!(*binding, binds(projection, name), "{name} in {}", statement.sql);
        }
    }
}

#[test]
fn good_files_compile_with_the_same_parameters() {
    for (name, source) in cases("good") {
        match parse(&source, &name) {
            Ok(projection) => compiles(&projection),
            Err(error) => panic!("{}", report(&error)),
        }
    }
}

/// An expression that SQLite takes, with all that could mislead whoever looks for parameters and ends of statements.
fn expression() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        "[a-z_][a-zA-Z0-9_$é]{0,3}".prop_map(|name| format!(":{name}")),
        "[a-z_][a-z0-9_]{0,2}(::[a-z0-9]{1,3}){0,3}".prop_map(|name| format!("${name}")),
        prop::sample::select(vec![
            "@topic",
            "@partition",
            "@offset",
            "@timestamp",
            "@key",
            "@value",
            "@headers"
        ])
        .prop_map(str::to_owned),
    ];
    let other = prop_oneof![
        "[a-z;:$@?'\"\\-/* \n{}é\\\\]{0,12}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        "[0-9a-f]{0,6}".prop_map(|hex| format!("x'{}'", &hex[..hex.len() / 2 * 2])),
        "(0|[1-9][0-9]{0,6})(\\.[0-9]{0,4})?(e[+-]?[0-9]{1,2})?",
        "0x[0-9a-fA-F]{1,8}",
        ("[a-z;:@'-]{1,6}", any::<bool>()).prop_map(|(name, tick)| {
            let quoted = if tick {
                format!("`{name}`")
            } else {
                format!("\"{name}\"")
            };
            format!("(SELECT 1 AS {quoted})")
        }),
        "[a-z ;:@'\"-]{1,6}".prop_map(|name| format!("(SELECT 1 AS [{name}])")),
        "[a-z ;:@'\"-]{0,8}".prop_map(|text| format!("/* {text} */ 1")),
        "[a-z ;:@'\"(]{0,8}".prop_map(|text| format!("-- {text}\n1")),
    ];
    let operator = prop::sample::select(vec!["||", "->>", "->", "<>", "!=", "==", "<<", ">=", "-", "+", " IS "]);
    let leaf = prop_oneof![2 => parameter, 3 => other];
    prop::collection::vec((leaf, operator), 1..8).prop_map(|parts| {
        let mut out = String::new();
        for (at, (leaf, operator)) in parts.iter().enumerate() {
            write!(out, "{}({leaf}\n)", if at > 0 { operator } else { "" }).unwrap();
        }
        out
    })
}

const FRAGMENTS: &[&str] = &[
    "-- projection: p\n",
    "-- topic: t\n",
    "-- type: $.type\n",
    "-- on: A\n",
    "-- on: *\n",
    "-- on:",
    "-- o: x\n",
    "\n",
    "CREATE TABLE a (id TEXT PRIMARY KEY)",
    "INSERT INTO a VALUES (:id)",
    "DELETE FROM a",
    "SELECT 1",
    "WITH x AS (SELECT 1)",
    "random()",
    "datetime('now')",
    "strftime(",
    "date()",
    ";",
    "(",
    ")",
    ",",
    "'",
    "\"",
    "[",
    "]",
    "`",
    "--",
    "/*",
    "*/",
    ":",
    "::",
    "$",
    "@",
    "?",
    "x'",
    "0x",
    "1e",
    "é",
    "\u{feff}",
    "\0",
    "\r\n",
    " ",
    "::a",
    "@key",
    "AS",
    "CREATE",
    "TRIGGER",
    "IF",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn parameters_are_sqlites(expressions in prop::collection::vec(expression(), 1..4)) {
        let mut source = "-- projection: p\n-- topic: t\n-- type: $.type\nCREATE TABLE a (id TEXT PRIMARY KEY);\n".to_owned();
        for expression in &expressions {
            write!(source, "-- on: A\nINSERT INTO a SELECT 1 WHERE {expression};\n").unwrap();
        }
        match parse(&source, "p.sql") {
            Ok(projection) => {
                prop_assert_eq!(projection.handlers.len(), expressions.len());
                compiles(&projection);
            }
            Err(error) => prop_assert!(false, "{}", report(&error)),
        }
    }

    #[test]
    fn no_text_breaks_the_parser(parts in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..40), noise in any::<String>()) {
        for source in [parts.concat(), format!("{}{noise}", parts.concat())] {
            match parse(&source, "p.sql") {
                Ok(projection) => {
                    let statements = projection.schema.iter().chain(projection.handlers.iter().flat_map(|h| &h.statements));
                    let mut end = 0;
                    for statement in statements {
                        prop_assert!(statement.span.start >= end);
                        end = statement.span.end;
                        prop_assert_eq!(projection.source.get(statement.span.clone()), Some(statement.sql.as_str()));
                    }
                }
                Err(error) => prop_assert!(report(&error).contains("p.sql")),
            }
        }
    }
}

//! What to write instead of what PostgreSQL does not take. Each is SQL that both know, because `foldlog verify` runs it in SQLite, too.

use super::super::token::{Kind, tokens};

/// Functions and operators of SQLite alone.
const INSTEAD: &[(&str, &str)] = &[
    ("if", "write CASE WHEN condition THEN a ELSE b END"),
    ("max", "of more than three values: write max(a, max(b, max(c, d)))"),
    ("min", "of more than three values: write min(a, min(b, min(c, d)))"),
    ("total", "write coalesce(sum(x), 0)"),
    (
        "group_concat",
        "keep the values as rows of a table of their own, and join their texts where they are read",
    ),
    ("printf", "join texts with ||, and numbers by CAST(x AS TEXT)"),
    ("char", "write the character itself, in single quotes"),
    ("hex", "keep the bytes in a BLOB column"),
    (
        "unhex",
        "keep the text in a TEXT column, or bind @key or @value as bytes",
    ),
    (
        "glob",
        "write LIKE; the two tell upper and lower case apart differently",
    ),
    ("typeof", "keep values of one type in a column"),
    (
        "json_object",
        "keep each field in a column of its own; `@value` in a TEXT column keeps the whole event",
    ),
    ("json_array", "keep each value as a row of a table of its own"),
    ("json_extract", "bind the field itself: $order::customer::id"),
    ("json_set", "keep each field in a column of its own"),
    ("json_patch", "keep each field in a column of its own"),
    (
        "json_each",
        "PostgreSQL takes JSON apart otherwise; keep `@value` in a TEXT column and take it apart where it is read",
    ),
    ("json", "keep `@value` in a TEXT column as it is"),
    (
        "strftime",
        "keep @timestamp, milliseconds since 1970, and make a date of it where it is read",
    ),
    (
        "datetime",
        "keep @timestamp, milliseconds since 1970, and make a date of it where it is read",
    ),
    (
        "date",
        "keep @timestamp, milliseconds since 1970, and make a date of it where it is read",
    ),
    (
        "time",
        "keep @timestamp, milliseconds since 1970, and make a time of it where it is read",
    ),
    ("julianday", "keep @timestamp, milliseconds since 1970"),
    (
        "unixepoch",
        "keep @timestamp, milliseconds since 1970; / 1000 makes seconds of it",
    ),
];

/// What is most often meant where a value has another type than PostgreSQL wants.
pub const HELP_TYPES: &str = "PostgreSQL tells numbers, texts and conditions apart: write CAST(x AS BIGINT) or CAST(x AS TEXT), `flag <> 0` \
                              for a condition, and CASE WHEN condition THEN 1 ELSE 0 END for a number";

/// What to write instead of what stands at a byte of a statement, or else of what the statement has anywhere that is SQLite's alone.
pub fn help(sql: &str, at: Option<usize>) -> Option<String> {
    let mut all = tokens(sql).unwrap_or_default();
    all.retain(|token| !matches!(token.kind, Kind::LineComment | Kind::BlockComment));
    let is = |at: usize, word: &str| all.get(at).is_some_and(|token| token.is(sql, word));
    for (number, token) in all.iter().enumerate() {
        if is(number, "INSERT") && is(number + 1, "OR") || is(number, "REPLACE") && is(number + 1, "INTO") {
            return Some(match is(number + 2, "IGNORE") {
                true => "write `INSERT … ON CONFLICT DO NOTHING`, which SQLite knows as well".to_owned(),
                false => "write `INSERT … ON CONFLICT (key) DO UPDATE SET column = excluded.column`, which SQLite knows as well".to_owned(),
            });
        }
        if is(number, "UPDATE") && is(number + 1, "OR") {
            return Some(
                "write the condition on which it is left out into the WHERE; PostgreSQL has no UPDATE OR".to_owned(),
            );
        }
        if token.is(sql, "rowid") {
            return Some("name the column of the primary key; PostgreSQL has no rowid".to_owned());
        }
    }
    let found = |text: &str| INSTEAD.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let here = all
        .iter()
        .position(|token| at.is_some_and(|at| token.span.contains(&at)));
    let near = here.and_then(|here| all.get(here)).map_or("", |token| token.text(sql));
    match near {
        "->" | "->>" => {
            return Some(
                "bind the field itself: $order::customer::id is `@value ->> '$.order.customer.id'`".to_owned(),
            );
        }
        _ if near.eq_ignore_ascii_case("IS") || here.is_some_and(|here| here > 0 && is(here - 1, "IS")) => {
            return Some("write `a IS NOT DISTINCT FROM b`, or `IS DISTINCT FROM` for IS NOT".to_owned());
        }
        _ if near.starts_with('"') => {
            return Some("text stands in single quotes: 'text'; in double quotes stands a name".to_owned());
        }
        _ => {}
    }
    let called = all
        .windows(2)
        .filter(|pair| pair[1].kind == Kind::Open || pair[0].is(sql, "GLOB"));
    let (name, instead) = found(near).or_else(|| called.map(|pair| pair[0].text(sql)).find_map(found))?;
    Some(format!("{name}: {instead}"))
}

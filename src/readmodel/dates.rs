//! SQLite's date functions without their clock. A handler may compute with times; what it may not do is ask what time it is or
//! where the machine stands, because the next replay would hear another answer.
//!
//! The words that ask (`now`, `localtime`) can come from an event, out of its JSON, or from a row that an earlier event
//! wrote, so looking at SQL text or at bound values finds some of them only. The functions themselves are therefore replaced:
//! each refuses what would read the clock and leaves the rest to SQLite's own.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result, params_from_iter};

/// Each function with the place of its first time value and how many of them it takes.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("date", 0, 1),
    ("time", 0, 1),
    ("datetime", 0, 1),
    ("julianday", 0, 1),
    ("unixepoch", 0, 1),
    ("strftime", 1, 1),
    ("timediff", 0, 2),
];

/// Whether a function is one of SQLite's date functions.
pub(super) fn is_one(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| name.eq_ignore_ascii_case(known))
}

/// Replaces the date functions of a connection that handlers run on.
pub(super) fn install(connection: &Connection) -> Result<()> {
    // One more connection, in memory and never written to, where the functions are still SQLite's own.
    let own = Arc::new(Mutex::new(Connection::open_in_memory()?));
    for &(name, first, times) in FUNCTIONS {
        let own = Arc::clone(&own);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        // SQLite prefers a function with the exact number of arguments, and `timediff` has one of its own.
        let arguments = if times == 2 { 2 } else { -1 };
        connection.create_scalar_function(name, arguments, flags, move |context| {
            refuse_clock(name, first, times, context)?;
            let own = own.lock().unwrap_or_else(PoisonError::into_inner);
            call(&own, name, context)
        })?;
    }
    Ok(())
}

fn refuse_clock(name: &str, first: usize, times: usize, context: &Context<'_>) -> Result<()> {
    if context.len() <= first {
        return Err(asks(name, "no time", "the clock"));
    }
    for at in first..context.len() {
        let Some(word) = word(context.get_raw(at)) else {
            continue;
        };
        let is = |list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
        let is_time = at < first + times;
        if is_time && is(&["now", "subsec", "subsecond"]) {
            return Err(asks(name, &String::from_utf8_lossy(word), "the clock"));
        }
        if !is_time && is(&["localtime", "utc"]) {
            return Err(asks(name, &String::from_utf8_lossy(word), "the machine's time zone"));
        }
    }
    Ok(())
}

/// An argument as SQLite's C code reads it: text or bytes up to the first zero.
fn word(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.split(|byte| *byte == 0).next(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}

fn asks(name: &str, word: &str, whom: &str) -> Error {
    let message = format!("{name}() was given `{word}`: it would ask {whom}, and the next replay would differ");
    Error::UserFunctionError(message.into())
}

fn call(own: &Connection, name: &str, context: &Context<'_>) -> Result<Value> {
    let places: Vec<String> = (1..=context.len()).map(|number| format!("?{number}")).collect();
    let arguments = (0..context.len())
        .map(|at| context.get::<Value>(at))
        .collect::<Result<Vec<_>>>()?;
    own.prepare_cached(&format!("SELECT {name}({})", places.join(", ")))?
        .query_row(params_from_iter(arguments), |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(sql: &str) -> Result<Value> {
        let connection = Connection::open_in_memory().unwrap();
        install(&connection).unwrap();
        connection.query_row(sql, [], |row| row.get(0))
    }

    #[test]
    fn what_reads_the_clock_or_the_zone_is_refused_wherever_the_word_comes_from() {
        for sql in [
            "SELECT julianday('subsec')",
            "SELECT datetime('NOW')",
            "SELECT datetime(CAST('now' AS BLOB))",
            "SELECT datetime('now' || char(0) || 'x')",
            "SELECT julianday('{\"at\":\"now\"}' ->> 'at')",
            "SELECT strftime('%f', at) FROM (SELECT 'now' AS at)",
            "SELECT datetime(0, 'unixepoch', zone) FROM (SELECT 'localtime' AS zone)",
            "SELECT datetime(0, 'unixepoch', 'utc')",
            "SELECT timediff('2020-01-01', 'now')",
            "SELECT unixepoch()",
            "SELECT strftime('%s')",
        ] {
            let error = asked(sql).expect_err(sql).to_string();
            assert!(error.contains("the next replay would differ"), "{sql}: {error}");
        }
    }

    #[test]
    fn the_rest_is_as_sqlite_has_it() {
        let plain = Connection::open_in_memory().unwrap();
        for sql in [
            "SELECT datetime(1709456400000 / 1000, 'unixepoch')",
            "SELECT strftime('now %Y-%m', '2024-03-06T02:19:01.091Z')",
            "SELECT unixepoch('2024-03-06', '+1 month', 'start of month')",
            "SELECT julianday(2460000.5), 1",
            "SELECT date('not a date')",
            "SELECT date(NULL)",
            "SELECT time('12:00', 'subsec')",
            "SELECT timediff('2024-03-06', '2023-01-01')",
        ] {
            let expected: Value = plain.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(asked(sql).unwrap(), expected, "{sql}");
        }
    }
}

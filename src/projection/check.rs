//! What would make two replays of the same log differ: clocks, chance, the connection's past, the machine.

use std::ops::Range;

use super::token::{Kind, Token};

/// A place that a replay cannot reproduce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
}

const CLOCK: &str = "the clock differs on every replay";
const USE_TIMESTAMP: &str = "the record's own time is `@timestamp`, in milliseconds since 1970; as text: \
                             `datetime(@timestamp / 1000, 'unixepoch')`";
const USE_EVENT: &str = "take it from the event, or make it of what is the same on every replay: `@topic`, `@partition`, \
                         `@offset`, `@key`";

/// The first place in a statement that a replay cannot reproduce.
pub(super) fn determinism(source: &str, tokens: &[Token]) -> Result<(), Finding> {
    for (at, token) in tokens.iter().enumerate() {
        let text = token.text(source);
        let name = match token.kind {
            Kind::Word => text.to_ascii_lowercase(),
            Kind::Quoted => unquoted(text).to_ascii_lowercase(),
            _ => continue,
        };
        if token.kind == Kind::Word && matches!(&*name, "current_timestamp" | "current_date" | "current_time") {
            return Err(finding(
                token,
                format!("`{text}` is the time of the replay"),
                CLOCK,
                USE_TIMESTAMP,
            ));
        }
        if name.starts_with("foldlog_") || name.starts_with("_foldlog") {
            return Err(finding(
                token,
                format!("`{text}` is a name that Foldlog keeps for its own tables"),
                "reserved",
                "position, counts and dead letters are kept there; choose another name",
            ));
        }
        if name.starts_with("sqlite_") || name.starts_with("pragma_") {
            return Err(finding(
                token,
                format!("`{text}` tells of SQLite, not of the log"),
                "it differs between versions",
                "a handler reads its own tables and the event only",
            ));
        }
        let called = tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Open);
        if called && !names_a_table(source, tokens, at) {
            call(source, tokens, at, &name)?;
        }
    }
    Ok(())
}

fn finding(token: &Token, message: String, label: &'static str, help: &'static str) -> Finding {
    Finding {
        span: token.span.clone(),
        message,
        label,
        help,
    }
}

fn unquoted(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

/// Whether the name before a parenthesis is a table's and no function's: `INSERT INTO date (…)`, `main.random (…)`,
/// `CREATE INDEX i ON changes (…)`, `WITH changes (n) AS (…)`.
fn names_a_table(source: &str, tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|i| tokens.get(i));
    let indexing = || tokens.iter().take(3).any(|t| t.is(source, "INDEX"));
    let placed = before.is_some_and(|t| {
        t.text(source) == "."
            || ["INTO", "TABLE", "REFERENCES", "EXISTS"]
                .iter()
                .any(|word| t.is(source, word))
            || (t.is(source, "ON") && indexing())
    });
    placed || names_a_common_table(source, tokens, at)
}

/// Whether `name (…) AS (` follows, which is how WITH names its tables.
fn names_a_common_table(source: &str, tokens: &[Token], at: usize) -> bool {
    let mut depth = 0_usize;
    let close = tokens.iter().skip(at + 1).position(|token| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    let Some(after) = close.and_then(|close| tokens.get(at + close + 2..)) else {
        return false;
    };
    match after {
        [is, next, ..] if is.is(source, "AS") => {
            next.kind == Kind::Open || next.is(source, "MATERIALIZED") || next.is(source, "NOT")
        }
        _ => false,
    }
}

/// The function call at `at`, whose parenthesis is the next token.
fn call(source: &str, tokens: &[Token], at: usize, name: &str) -> Result<(), Finding> {
    let Some(token) = tokens.get(at) else {
        return Ok(());
    };
    let refuse = |message: &str, label, help| Err(finding(token, format!("`{name}()` {message}"), label, help));
    match name {
        "random" | "randomblob" => refuse("gives another value on every replay", "chance", USE_EVENT),
        "changes" | "total_changes" => refuse(
            "counts what this connection did before",
            "it depends on what ran before",
            "count in the handler's own tables, such as `count(*)`",
        ),
        "last_insert_rowid" => refuse(
            "is what this connection inserted last",
            "it depends on what ran before",
            "select the row by its key, or make the key of the event",
        ),
        "load_extension" => refuse("loads code", "not in a projection", "projections are SQL alone"),
        "date" | "time" | "datetime" | "julianday" | "unixepoch" | "strftime" | "timediff" => {
            date_call(source, tokens, at, name, token)
        }
        _ => Ok(()),
    }
}

/// A date function reads the clock for `'now'`, for no time at all, and for a lone `'subsec'`; the machine's time zone for
/// `'localtime'` and `'utc'`.
fn date_call(source: &str, tokens: &[Token], at: usize, name: &str, token: &Token) -> Result<(), Finding> {
    let arguments = arguments(source, tokens, at + 1);
    let time_at = usize::from(name == "strftime");
    let is_text = |t: &Token, word: &str| {
        matches!(t.kind, Kind::Text | Kind::Quoted) && unquoted(t.text(source)).trim().eq_ignore_ascii_case(word)
    };
    if let Some(now) = arguments.iter().flatten().find(|t| is_text(t, "now")) {
        let message = format!("`{name}('now')` is the time of the replay");
        return Err(finding(now, message, CLOCK, USE_TIMESTAMP));
    }
    if let Some(zone) = arguments
        .iter()
        .flatten()
        .find(|t| is_text(t, "localtime") || is_text(t, "utc"))
    {
        let message = format!("`{name}` with {} depends on the machine", zone.text(source));
        let help = "keep times in UTC, and turn them into local time when you query";
        return Err(finding(zone, message, "this machine's time zone", help));
    }
    let time = arguments.get(time_at);
    let lone = |word| time.is_some_and(|t| matches!(t.as_slice(), [only] if is_text(only, word)));
    if name != "timediff" && (time.is_none() || lone("subsec") || lone("subsecond")) {
        let message = format!("`{name}()` without a time is the time of the replay");
        return Err(finding(token, message, CLOCK, USE_TIMESTAMP));
    }
    Ok(())
}

/// The tokens of each argument of the parenthesis at `open`.
fn arguments<'t>(source: &str, tokens: &'t [Token], open: usize) -> Vec<Vec<&'t Token>> {
    let mut out: Vec<Vec<&Token>> = Vec::new();
    let mut depth = 0;
    let mut begins = true;
    for token in tokens.iter().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && token.kind == Kind::Open {
            continue;
        }
        if depth == 1 && token.text(source) == "," {
            begins = true;
            continue;
        }
        if begins {
            out.push(Vec::new());
            begins = false;
        }
        if let Some(last) = out.last_mut() {
            last.push(token);
        }
    }
    out
}

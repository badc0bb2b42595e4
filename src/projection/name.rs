//! Names and paths as headers write them.

use crate::decode::fields::FieldPath;

/// The longest name: it is also a file's name.
const LONGEST: usize = 64;

/// SQLite's keywords that cannot name a schema without quotes; whoever queries the read model would have to know.
const KEYWORDS: &str = "add all alter and as autoincrement between case check collate commit constraint create \
    cross current_date current_time current_timestamp default deferrable delete distinct drop else escape except exists \
    foreign from full group having if in index indexed inner insert intersect into is isnull join left limit natural not \
    nothing notnull null on or order outer primary references returning right select set table then to transaction union \
    unique update using values when where";

/// What is wrong with a projection's name, with the way to mend it.
pub(super) fn check_projection(name: &str) -> Result<(), (String, String)> {
    let lower = name.to_ascii_lowercase();
    let wrong = |message: String, help: &str| Err((message, help.to_owned()));
    if name.is_empty() {
        return wrong(
            "the projection has no name".to_owned(),
            "write the schema's name after it: `-- projection: account_balance`",
        );
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return wrong(
            format!("`{name}` cannot name a schema"),
            "a name has letters, digits and `_`, and does not begin with a digit; queries say `SELECT * FROM name.table`",
        );
    }
    if name.len() > LONGEST {
        return wrong(
            format!("the name has {} characters, {LONGEST} is the most", name.len()),
            "it is also the name of the read model's file: choose a shorter one",
        );
    }
    if matches!(lower.as_str(), "main" | "temp" | "topic") || lower.starts_with("sqlite_") {
        return wrong(
            format!("`{name}` is a reserved name"),
            "`main` and `temp` are SQLite's own schemas, `topic` holds the topics; choose another name",
        );
    }
    if KEYWORDS.split_whitespace().any(|keyword| keyword == lower) {
        return wrong(
            format!("`{name}` is an SQL keyword"),
            "every query would have to quote it; add a word, such as `order_view`",
        );
    }
    Ok(())
}

/// What is wrong with a topic's name, by Kafka's own rule.
pub(super) fn check_topic(name: &str) -> Result<(), (String, String)> {
    let wrong = |message: String| {
        let help = "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ - and is neither `.` nor `..`; \
                    several topics are separated by commas";
        Err((message, help.to_owned()))
    };
    if name.is_empty() {
        return wrong("a topic has no name".to_owned());
    }
    if name.len() > 249 || name == "." || name == ".." {
        return wrong(format!("`{name}` cannot name a topic"));
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    {
        return wrong(format!("`{name}` cannot name a topic"));
    }
    Ok(())
}

/// Reads `$.a.b`, `$.a[0].b`, `$."a b"`; `$` is the value itself.
pub(super) fn parse_path(text: &str) -> Option<FieldPath> {
    let mut rest = text.strip_prefix('$')?;
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let (segment, left) = if let Some(after) = rest.strip_prefix(".\"") {
            let end = closing_quote(after)?;
            let name = serde_json::from_str(&format!("\"{}\"", after.get(..end)?)).ok()?;
            (name, after.get(end + 1..)?)
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', '"']).unwrap_or(after.len());
            (after.get(..end)?.to_owned(), after.get(end..)?)
        } else {
            let (index, left) = rest.strip_prefix('[')?.split_once(']')?;
            (index.parse::<usize>().ok()?.to_string(), left)
        };
        if segment.is_empty() || segment.contains(char::is_whitespace) && !rest.starts_with(".\"") {
            return None;
        }
        segments.push(segment);
        rest = left;
    }
    Some(FieldPath(segments))
}

/// Where the quote that ends a JSON string stands.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_shown_alike() {
        for (text, segments) in [
            ("$", vec![]),
            ("$.type", vec!["type"]),
            ("$.meta.event-type", vec!["meta", "event-type"]),
            ("$.items[0].type", vec!["items", "0", "type"]),
            ("$.\"a.b \\\"c\\\"\".d", vec!["a.b \"c\"", "d"]),
        ] {
            assert_eq!(parse_path(text).unwrap().0, segments, "{text}");
        }
        for text in [
            "", "type", "$type", "$.", "$..a", "$.a b", "$.a[", "$.a[x]", "$.\"a", "$.a.", "/type",
        ] {
            assert_eq!(parse_path(text), None, "{text}");
        }
    }

    #[test]
    fn names_that_a_query_or_kafka_would_trip_over_are_refused() {
        for name in ["account_balance", "_x1", "T"] {
            assert_eq!(check_projection(name), Ok(()));
        }
        for name in [
            "",
            "1a",
            "a b",
            "a-b",
            "../x",
            "main",
            "TEMP",
            "topic",
            "sqlite_x",
            "order",
            "é",
            &"x".repeat(65),
        ] {
            assert!(check_projection(name).is_err(), "{name}");
        }
        assert_eq!(check_topic("account-events.v1_x"), Ok(()));
        for name in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(250)] {
            assert!(check_topic(name).is_err(), "{name}");
        }
    }
}

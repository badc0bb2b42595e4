//! Which statements may stand where, and what their parameters bind.

use std::ops::Range;

use crate::decode::fields::FieldPath;

use super::header::nearest;
use super::token::{Kind, Token, tokens};
use super::{Binding, Meta};

/// Something that a statement may not be or have.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) help: String,
}

fn refuse<T>(span: Range<usize>, message: impl Into<String>, label: &str, help: &str) -> Result<T, Refusal> {
    Err(Refusal {
        span,
        message: message.into(),
        label: label.to_owned(),
        help: help.to_owned(),
    })
}

const TRIGGER_HELP: &str =
    "what a trigger would do, write as a statement of each handler: there it is seen, counted and replayed";

/// A statement before the first handler: CREATE TABLE, CREATE INDEX or CREATE VIEW.
pub(super) fn check_schema(source: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let Some(first) = tokens.first() else {
        return Ok(());
    };
    let verb = first.text(source).to_ascii_uppercase();
    if verb != "CREATE" {
        return match verb.as_str() {
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "WITH" => refuse(
                first.span.clone(),
                format!("this {verb} belongs to no handler"),
                "no `-- on:` stands above it",
                "write the type of the events it is for above it: `-- on: TYPE`, `-- on: *` or `-- on: tombstone`",
            ),
            "DROP" | "ALTER" => refuse(
                first.span.clone(),
                format!("a projection has no {verb}"),
                "every rebuild begins with an empty database",
                "write the table as it should be in its CREATE TABLE",
            ),
            _ => refuse_verb(first, &verb),
        };
    }
    let word = |i: usize, keyword: &str| tokens.get(i).is_some_and(|t| t.is(source, keyword));
    if let Some(trigger) = tokens.iter().take(3).find(|t| t.is(source, "TRIGGER")) {
        return refuse(
            trigger.span.clone(),
            "a projection has no triggers",
            "hidden from the replay",
            TRIGGER_HELP,
        );
    }
    if word(1, "TEMP") || word(1, "TEMPORARY") {
        let help = "leave the word out: a read model's tables are kept";
        return refuse(
            span_of(tokens, 1),
            "a projection has no temporary tables",
            "gone with the connection",
            help,
        );
    }
    if word(1, "VIRTUAL") {
        return check_full_text(source, tokens);
    }
    if word(1, "VIEW") {
        return Ok(());
    }
    if word(1, "TABLE") {
        return check_table(source, tokens);
    }
    if word(1, "INDEX") || (word(1, "UNIQUE") && word(2, "INDEX")) {
        return Ok(());
    }
    refuse(
        span_of(tokens, 1),
        "a projection creates tables, indexes and views only",
        "none of them",
        "write CREATE TABLE, CREATE INDEX, CREATE UNIQUE INDEX or CREATE VIEW",
    )
}

fn span_of(tokens: &[Token], at: usize) -> Range<usize> {
    tokens.get(at).or(tokens.first()).map_or(0..0, |t| t.span.clone())
}

/// What FTS5 may be told of an index: how it takes words apart and how it keeps them, all of which a replay does alike.
const FULL_TEXT_OPTIONS: &[&str] = &["tokenize", "prefix", "detail", "columnsize"];

/// `CREATE VIRTUAL TABLE name USING fts5(…)`, the one virtual table whose rows can be told, compared and undone.
fn check_full_text(source: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let Some(using) = tokens.iter().position(|token| token.is(source, "USING")) else {
        // SQLite says what is missing.
        return Ok(());
    };
    if let Some(dot) = tokens.iter().take(using).find(|token| token.text(source) == ".") {
        return refuse(
            dot.span.clone(),
            "a table is named without its schema",
            "the projection's name is its schema",
            "write the table's name alone",
        );
    }
    let module = tokens.get(using + 1);
    if let Some(module) = module.filter(|module| !module.is(source, "fts5")) {
        return refuse(
            module.span.clone(),
            format!("`{}` is not for a projection", module.text(source)),
            "not reproducible row by row",
            "of virtual tables a projection can have `fts5`, a full-text index; for all else use an ordinary table",
        );
    }
    for pair in tokens.windows(2).skip(using) {
        let [name, equals] = pair else { continue };
        if equals.text(source) != "=" || FULL_TEXT_OPTIONS.iter().any(|option| name.is(source, option)) {
            continue;
        }
        let own =
            "an index holds its own texts, so that its rows can be dumped, compared and undone; leave the option out";
        let (label, help) = match name.text(source).to_ascii_lowercase().as_str() {
            "content" | "content_rowid" | "contentless_delete" | "contentless_unindexed" => {
                ("the texts would lie elsewhere, or nowhere", own)
            }
            _ => ("not one of these", "there are tokenize, prefix, detail and columnsize"),
        };
        let message = format!(
            "a full-text index of a projection has no option `{}`",
            name.text(source)
        );
        return refuse(name.span.clone(), message, label, help);
    }
    Ok(())
}

fn check_table(source: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let at = if tokens.get(2).is_some_and(|t| t.is(source, "IF")) {
        5
    } else {
        2
    };
    if let Some(dot) = tokens.get(at + 1).filter(|t| t.text(source) == ".") {
        return refuse(
            dot.span.clone(),
            "a table is named without its schema",
            "the projection's name is its schema",
            "write the table's name alone",
        );
    }
    match tokens.get(at + 1) {
        Some(token) if token.is(source, "AS") => refuse(
            token.span.clone(),
            "a projection's table is not made of a SELECT",
            "it would have no primary key",
            "write its columns: `CREATE TABLE name (id TEXT PRIMARY KEY, …) STRICT`",
        ),
        _ => Ok(()),
    }
}

/// A statement of a handler: INSERT, UPDATE, DELETE or REPLACE, with WITH before it or not.
pub(super) fn check_handler(source: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let Some(first) = tokens.first() else {
        return Ok(());
    };
    let verb = first.text(source).to_ascii_uppercase();
    match verb.as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" => check_returning(source, tokens),
        "WITH" => {
            let main = outermost(tokens).find(|t| {
                ["INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "VALUES"]
                    .iter()
                    .any(|word| t.is(source, word))
            });
            match main {
                Some(t) if t.is(source, "SELECT") || t.is(source, "VALUES") => refuse_select(t),
                _ => check_returning(source, tokens),
            }
        }
        "SELECT" | "VALUES" => refuse_select(first),
        "CREATE" if tokens.iter().take(3).any(|t| t.is(source, "TRIGGER")) => refuse(
            first.span.clone(),
            "a projection has no triggers",
            "hidden from the replay",
            TRIGGER_HELP,
        ),
        "CREATE" => refuse(
            first.span.clone(),
            "a handler creates nothing",
            "runs for every event of its type",
            "move it up, before the first `-- on:`",
        ),
        "ALTER" | "DROP" => refuse(
            first.span.clone(),
            format!("a handler has no {verb}"),
            "tables do not change while events are applied",
            "write the table as it should be before the first `-- on:`; `DELETE FROM` empties one",
        ),
        _ => refuse_verb(first, &verb),
    }
}

/// A clause that only asks: one SELECT. `clause` is what it is called, such as `an expect`.
pub(super) fn check_select(source: &str, tokens: &[Token], clause: &str) -> Result<(), Refusal> {
    let Some(first) = tokens.first() else {
        return Ok(());
    };
    let asks = |t: &Token| t.is(source, "SELECT") || t.is(source, "VALUES");
    let writes = |t: &&Token| {
        ["INSERT", "UPDATE", "DELETE", "REPLACE"]
            .iter()
            .any(|word| t.is(source, word))
    };
    let main = match first.is(source, "WITH") {
        true => outermost(tokens).find(|t| asks(t) || writes(t)).unwrap_or(first),
        false => first,
    };
    if asks(main) {
        return Ok(());
    }
    refuse(
        main.span.clone(),
        format!("{clause} is a SELECT"),
        "does not ask",
        "write SELECT, VALUES, or WITH and a SELECT",
    )
}

/// Whether a SELECT says in which order its rows come.
pub(super) fn is_ordered(source: &str, tokens: &[Token]) -> bool {
    let outer: Vec<&Token> = outermost(tokens).collect();
    outer
        .windows(2)
        .any(|pair| pair[0].is(source, "ORDER") && pair[1].is(source, "BY"))
}

fn refuse_select<T>(token: &Token) -> Result<T, Refusal> {
    refuse(
        token.span.clone(),
        "a SELECT alone changes nothing",
        "its rows go nowhere",
        "write them to a table: `INSERT INTO … SELECT …`; to look at rows use `foldlog query`",
    )
}

fn check_returning(source: &str, tokens: &[Token]) -> Result<(), Refusal> {
    match outermost(tokens).find(|t| t.is(source, "RETURNING")) {
        Some(token) => refuse(
            token.span.clone(),
            "a handler returns no rows",
            "they go nowhere",
            "leave RETURNING out; a column of that name is written \"returning\"",
        ),
        None => Ok(()),
    }
}

/// The tokens outside all parentheses.
fn outermost(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |token| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

const VERBS: &[&str] = &["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "CREATE"];

fn refuse_verb<T>(first: &Token, verb: &str) -> Result<T, Refusal> {
    let (message, label, help) = match verb {
        "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => (
            format!("a projection has no {verb}"),
            "rows and position commit together",
            "leave it out: each batch of records is one transaction already",
        ),
        "PRAGMA" | "VACUUM" | "ANALYZE" | "REINDEX" => (
            format!("a projection has no {verb}"),
            "the database's settings are Foldlog's",
            "leave it out: a rebuild is tuned as a rebuild, a live read model as a live one",
        ),
        "ATTACH" | "DETACH" => (
            format!("a projection has no {verb}"),
            "another file would not be replayed",
            "a handler reads its own tables and the event only; to join read models, query them",
        ),
        "EXPLAIN" => (
            "a projection has no EXPLAIN".to_owned(),
            "it changes nothing",
            "ask the read model instead: `foldlog query \"EXPLAIN QUERY PLAN …\"`",
        ),
        "SELECT" | "VALUES" => return refuse_select(first),
        _ => {
            let help = match nearest(verb, VERBS.iter().copied()) {
                Some(word) => format!("did you mean {word}?"),
                None => {
                    "CREATE TABLE and CREATE INDEX stand before the first `-- on:`, INSERT, UPDATE, DELETE and REPLACE \
                         below one; a note is written `-- like this`"
                        .to_owned()
                }
            };
            return refuse(
                first.span.clone(),
                "this belongs to no clause",
                "not a statement of a projection",
                &help,
            );
        }
    };
    refuse(first.span.clone(), message, label, help)
}

/// Each parameter's name as written, in the order of SQLite's numbers: the same name again is the same number.
pub(super) fn parameters<'a>(source: &'a str, tokens: &[Token]) -> Vec<(&'a str, Range<usize>)> {
    let mut out: Vec<(&str, Range<usize>)> = Vec::new();
    for token in tokens.iter().filter(|t| t.kind == Kind::Parameter) {
        let name = token.text(source);
        if !out.iter().any(|(known, _)| *known == name) {
            out.push((name, token.span.clone()));
        }
    }
    out
}

/// A statement with each parameter as `?N`.
pub(super) fn numbered(sql: &str) -> String {
    let Ok(tokens) = tokens(sql) else {
        return sql.to_owned();
    };
    let known = parameters(sql, &tokens);
    let (mut out, mut from) = (String::new(), 0);
    for token in tokens.iter().filter(|token| token.kind == Kind::Parameter) {
        let name = token.text(sql);
        let number = known
            .iter()
            .position(|(known, _)| *known == name)
            .map_or(0, |at| at + 1);
        out += sql.get(from..token.span.start).unwrap_or_default();
        out += &format!("?{number}");
        from = token.span.end;
    }
    out + sql.get(from..).unwrap_or_default()
}

/// What `@name` may be.
const METAS: &[(&str, Meta)] = &[
    ("topic", Meta::Topic),
    ("partition", Meta::Partition),
    ("offset", Meta::Offset),
    ("timestamp", Meta::Timestamp),
    ("key", Meta::Key),
    ("value", Meta::Value),
    ("headers", Meta::Headers),
];

/// The slot of a path, a new one where it has none yet.
pub(super) fn slot(fields: &mut Vec<FieldPath>, path: FieldPath) -> usize {
    let known = fields.iter().position(|known| *known == path);
    known.unwrap_or_else(|| {
        fields.push(path);
        fields.len() - 1
    })
}

/// What a parameter binds; a path that is new is added to `fields`.
pub(super) fn binding(name: &str, span: Range<usize>, fields: &mut Vec<FieldPath>) -> Result<Binding, Refusal> {
    let rest = name.get(1..).unwrap_or_default();
    match name.as_bytes().first() {
        Some(b':') if !rest.contains("::") => Ok(Binding::Field(slot(fields, FieldPath(vec![rest.to_owned()])))),
        Some(b':') => refuse(
            span,
            format!("`{name}` is not how a nested field is bound"),
            "nested",
            &format!("write `${rest}`"),
        ),
        Some(b'$') => {
            let path: Vec<String> = rest.split("::").map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                return refuse(
                    span,
                    format!("`{name}` leaves out a name"),
                    "nothing between the colons",
                    "a nested field is bound by the names on its way: `$order::customer::id`",
                );
            }
            Ok(Binding::Field(slot(fields, FieldPath(path))))
        }
        Some(b'@') => match METAS.iter().find(|(known, _)| *known == rest) {
            Some((_, meta)) => Ok(Binding::Meta(*meta)),
            None => {
                let guess = nearest(rest, METAS.iter().map(|(known, _)| *known));
                let field = || format!("; the event's own field of that name is `:{rest}`");
                let help = match guess {
                    Some(guess) => format!("did you mean `@{guess}`?"),
                    None => format!(
                        "there are @topic @partition @offset @timestamp @key @value @headers{}",
                        field()
                    ),
                };
                refuse(span, format!("a record has no `{name}`"), "unknown", &help)
            }
        },
        _ => refuse(
            span,
            format!("`{name}` does not say what it binds"),
            "a parameter without a name",
            "`:name` binds a field of the event, `$a::b` a nested one, `@offset` the record's offset",
        ),
    }
}

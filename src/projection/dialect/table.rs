//! Tables, indexes and views.

use super::super::token::Kind;
use super::{Made, Shape, Writer, quoted};

/// Something of a table that would not be the same there.
pub(super) struct Refused {
    /// The byte of the statement.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// Words with which a constraint of a column begins, and its type ends.
const CONSTRAINTS: &[&str] = &[
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "GENERATED",
    "AS",
];

/// Words with which a constraint of the whole table begins.
const WHOLE: &[&str] = &["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

pub(super) fn render(sql: &str, shapes: &[Shape]) -> Result<Made, Refused> {
    let mut writer = Writer::new(sql, shapes);
    if writer.is(1, "VIRTUAL") {
        return Err(refused(
            &writer,
            1,
            "PostgreSQL has no virtual tables",
            "a full-text index is SQLite's own: leave it out, and search there with to_tsvector",
        ));
    }
    if !writer.is(1, "TABLE") {
        let decides = writer.is(1, "UNIQUE");
        for at in 0..writer.tokens.len() {
            if !collation(&mut writer, at)? {
                writer.token(at);
            }
        }
        let rendered = writer.finish();
        return Ok(match decides {
            true => Made::Table(rendered),
            false => Made::Aid(rendered),
        });
    }
    let name_at = if writer.is(2, "IF") { 5 } else { 2 };
    let name = writer.name(name_at);
    let Some(shape) = shapes.iter().find(|shape| shape.name == name) else {
        return Err(refused(
            &writer,
            name_at,
            "this table is not known",
            "this is a defect of Foldlog, please report it",
        ));
    };
    for at in 0..name_at {
        writer.token(at);
    }
    writer.put(name_at, &quoted(&name));
    body(&mut writer, name_at + 1, shape)?;
    Ok(Made::Table(writer.finish()))
}

/// What stands between the parentheses of a table; what comes behind them (STRICT, WITHOUT ROWID) is SQLite's own.
fn body(writer: &mut Writer<'_>, open: usize, shape: &Shape) -> Result<(), Refused> {
    writer.token(open);
    let (mut at, mut depth) = (open + 1, 1_usize);
    let mut begins = true;
    let mut in_key = false;
    while at < writer.tokens.len() {
        match writer.kind(at) {
            Some(Kind::Open) => depth += 1,
            Some(Kind::Close) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            writer.token(at);
            return Ok(());
        }
        if begins {
            begins = false;
            in_key = false;
            if !WHOLE.iter().any(|word| writer.is(at, word)) {
                at = column(writer, at, shape);
                continue;
            }
        }
        if depth == 1 && writer.text(at) == "," {
            begins = true;
        }
        unlike(writer, at)?;
        if writer.is(at, "PRIMARY") || writer.is(at, "UNIQUE") {
            in_key = true;
        } else if ["CHECK", "NOT", "DEFAULT", "REFERENCES", "CONSTRAINT"]
            .iter()
            .any(|word| writer.is(at, word))
        {
            in_key = false;
        }
        // An order within a key finds the same rows.
        if in_key && (writer.is(at, "ASC") || writer.is(at, "DESC")) {
            writer.skip(at);
        } else if !collation(writer, at)? {
            writer.token(at);
        }
        at += 1;
    }
    Ok(())
}

/// A column's name and type; where its constraints begin.
fn column(writer: &mut Writer<'_>, at: usize, shape: &Shape) -> usize {
    let name = writer.name(at);
    let kind = shape
        .columns
        .iter()
        .find(|(column, _)| *column == name)
        .map_or("text", |(_, kind)| *kind);
    // Texts are compared byte by byte, as SQLite does, whatever the language of the database.
    let collate = if kind == "text" { " COLLATE \"C\"" } else { "" };
    writer.put(at, &format!("{} {kind}{collate}", quoted(&name)));
    let (mut end, mut depth) = (at + 1, 0_usize);
    while let Some(next) = writer.kind(end) {
        let ends = depth == 0
            && (next == Kind::Close || writer.text(end) == "," || CONSTRAINTS.iter().any(|word| writer.is(end, word)));
        if ends {
            break;
        }
        match next {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        writer.skip(end);
        end += 1;
    }
    end
}

/// Refuses what means something else there, or nothing.
fn unlike(writer: &Writer<'_>, at: usize) -> Result<(), Refused> {
    if writer.is(at, "AUTOINCREMENT") {
        let help = "a number that the database gives out is another where a transaction is done again: bind one, such as @offset";
        return Err(refused(writer, at, "PostgreSQL has no AUTOINCREMENT", help));
    }
    if writer.is(at, "ON") && writer.is(at + 1, "CONFLICT") {
        let help = "write it into the handler: `INSERT … ON CONFLICT (key) DO NOTHING`";
        return Err(refused(
            writer,
            at,
            "a constraint of PostgreSQL has no ON CONFLICT",
            help,
        ));
    }
    Ok(())
}

/// Leaves `COLLATE BINARY` out, which is what texts have; whether it did. `at` is either word.
fn collation(writer: &mut Writer<'_>, at: usize) -> Result<bool, Refused> {
    let named = |at: usize, writer: &Writer<'_>| writer.is(at, "COLLATE");
    if named(at, writer) {
        if !writer.name(at + 1).eq_ignore_ascii_case("binary") {
            let message = format!("PostgreSQL has no collation {}", writer.text(at + 1));
            let help =
                "texts are compared byte by byte there: keep `lower(:name)` in the column where case is not to count";
            return Err(refused(writer, at, &message, help));
        }
        writer.skip(at);
        return Ok(true);
    }
    if at.checked_sub(1).is_some_and(|before| named(before, writer)) {
        writer.skip(at);
        return Ok(true);
    }
    Ok(false)
}

fn refused(writer: &Writer<'_>, at: usize, message: &str, help: &str) -> Refused {
    Refused {
        at: writer.tokens.get(at).map_or(0, |token| token.span.start),
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

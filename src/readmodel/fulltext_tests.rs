use super::*;
use crate::projection::parse::parse;
use crate::readmodel::compile::compile;

const HEAD: &str = "-- projection: p\n-- topic: t\n-- type: $.type\n";

fn refusal(rest: &str) -> String {
    let text = format!("{HEAD}{rest}");
    match parse(&text, "p.sql") {
        Ok(projection) => compile(&projection).expect_err(rest).message.clone(),
        Err(error) => error.message.clone(),
    }
}

fn accepted(rest: &str) {
    let projection = parse(&format!("{HEAD}{rest}"), "p.sql").unwrap();
    compile(&projection).unwrap();
}

#[test]
fn an_index_is_a_table_of_a_projection() {
    for options in [
        "",
        ", tokenize = 'porter unicode61 remove_diacritics 2'",
        ", tokenize=\"trigram\", detail=none, columnsize=0",
        ", prefix='2 3'",
    ] {
        let table = format!("CREATE VIRTUAL TABLE IF NOT EXISTS m USING fts5(body, level UNINDEXED{options});");
        accepted(&format!(
            "{table}\n-- on: X\nINSERT INTO m (rowid, body, level) VALUES (@offset, :text, :level);"
        ));
        accepted(&format!(
            "{table}\n-- on: X\nUPDATE m SET body = :text WHERE rowid = :id;\n-- on: Y\nDELETE FROM m WHERE m MATCH :text;"
        ));
        accepted(&format!(
            "{table}\n-- on: X\nINSERT INTO main.m SELECT :a, :b;\nINSERT INTO m VALUES (:m, :rank);"
        ));
    }
}

#[test]
fn what_cannot_be_replayed_row_by_row_is_refused() {
    let on = "\n-- on: X\nDELETE FROM m;";
    for (table, expected) in [
        ("rtree(id, a, b)", "`rtree` is not for a projection"),
        ("fts4(body)", "`fts4` is not for a projection"),
        (
            "fts5(body, content='')",
            "a full-text index of a projection has no option `content`",
        ),
        (
            "fts5(body, content='other', content_rowid='id')",
            "a full-text index of a projection has no option `content`",
        ),
        (
            "fts5(body, contentless_delete=1)",
            "a full-text index of a projection has no option `contentless_delete`",
        ),
        (
            "fts5(body, tokenise='porter')",
            "a full-text index of a projection has no option `tokenise`",
        ),
    ] {
        let text = format!("CREATE VIRTUAL TABLE m USING {table};{on}");
        assert_eq!(refusal(&text), expected, "{table}");
    }
}

/// An index is written through itself: its shadow tables and its commands change it without a row that could tell.
#[test]
fn an_index_is_written_by_its_rows_alone() {
    let table = "CREATE VIRTUAL TABLE m USING fts5(body);\nCREATE TABLE a (id INTEGER PRIMARY KEY) STRICT;\n-- on: X\n";
    for (statement, expected) in [
        (
            "INSERT INTO m (m) VALUES ('optimize');",
            "`m` is no column of the full-text index `m`, but a command to it",
        ),
        (
            "INSERT INTO main.\"m\" (M, rank) VALUES ('rank', 'bm25(2)');",
            "`M` is no column of the full-text index `m`, but a command to it",
        ),
        (
            "INSERT INTO m (rank, body) SELECT 1, 'x';",
            "`rank` is no column of the full-text index `m`, but a command to it",
        ),
        (
            "DELETE FROM m_data;",
            "`m_data` is where SQLite keeps the full-text index `m`",
        ),
        (
            "INSERT INTO a SELECT id FROM m_content;",
            "`m_content` is where SQLite keeps the full-text index `m`",
        ),
    ] {
        assert_eq!(refusal(&format!("{table}{statement}")), expected, "{statement}");
    }
    // A table of one's own may have such a name.
    accepted("CREATE TABLE m_data (id INTEGER PRIMARY KEY) STRICT;\n-- on: X\nDELETE FROM m_data;");
}

#[test]
fn a_shadow_table_is_told_by_its_name() {
    let indexes = ["Message".to_owned(), "m".to_owned()];
    for (table, expected) in [
        ("message_IDX", Some("Message")),
        ("m_config", Some("m")),
        ("message", None),
        ("message_other", None),
        ("mm_data", None),
        ("\u{e9}", None),
    ] {
        assert_eq!(owner(table, &indexes), expected, "{table}");
    }
}

use super::*;
use crate::projection::parse::parse;

const TABLES: &str = "CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, updatedAt INTEGER) STRICT;
CREATE TABLE entry (partition INTEGER NOT NULL, offset INTEGER NOT NULL, user TEXT, PRIMARY KEY (partition, offset));";

fn file(tables: &str, handler: &str) -> Projection {
    let text = format!("-- projection: p\n-- topic: t\n\n{tables}\n\n-- on: *\n{handler};\n");
    parse(&text, "p.sql").unwrap()
}

fn shapes() -> Vec<Shape> {
    let column = |name: &str, kind| (name.to_owned(), kind);
    vec![
        Shape {
            name: "account".to_owned(),
            columns: vec![
                column("id", "text"),
                column("balance", "bigint"),
                column("updatedAt", "bigint"),
            ],
            key: vec!["id".to_owned()],
        },
        Shape {
            name: "entry".to_owned(),
            columns: vec![
                column("partition", "bigint"),
                column("offset", "bigint"),
                column("user", "text"),
            ],
            key: vec!["partition".to_owned(), "offset".to_owned()],
        },
    ]
}

fn handler(sql: &str) -> Rendered {
    let projection = file(TABLES, sql);
    projection.to_postgres(&projection.handlers[0].statements[0], &shapes())
}

#[test]
fn handlers_become_what_postgresql_writes() {
    for (sql, wanted) in [
        // The very example of the design.
        (
            "INSERT INTO account (id, balance, updatedAt) VALUES (:accountId, :amount, @timestamp)
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, updatedAt = excluded.updatedAt",
            "INSERT INTO account (id, balance, \"updatedAt\") VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET balance = \"account\".\"balance\" + excluded.balance, \"updatedAt\" = excluded.\"updatedAt\"",
        ),
        (
            "UPDATE account SET balance = balance - :amount, updatedat = @timestamp WHERE id = $order::account::id",
            "UPDATE account SET balance = balance - $1, \"updatedAt\" = $2 WHERE id = $3",
        ),
        // Each place is a parameter of its own.
        (
            "UPDATE account SET balance = :a + :a WHERE id = :b OR id = :a",
            "UPDATE account SET balance = $1 + $2 WHERE id = $3 OR id = $4",
        ),
        // Only bare columns, and only of what the row is set to.
        (
            "INSERT INTO account AS A VALUES (:id, 1, 2) ON CONFLICT (id) DO UPDATE SET (balance, updatedAt) = (balance + 1, a.balance)
WHERE balance < (SELECT max(balance) FROM account b) AND coalesce(balance, 0) > 0",
            "INSERT INTO account AS A VALUES ($1, 1, 2) ON CONFLICT (id) DO UPDATE SET (balance, \"updatedAt\") = (\"a\".\"balance\" + 1, a.balance)
WHERE \"a\".\"balance\" < (SELECT max(balance) FROM account b) AND coalesce(\"a\".\"balance\", 0) > 0",
        ),
        (
            "INSERT INTO account VALUES (:id, 1, 2) ON CONFLICT DO UPDATE SET balance = CASE WHEN balance == 0 THEN 1 ELSE [Balance] END",
            "INSERT INTO account VALUES ($1, 1, 2) ON CONFLICT (\"id\") DO UPDATE SET balance = CASE WHEN \"account\".\"balance\" = 0 THEN 1 ELSE \
             \"account\".\"balance\" END",
        ),
        (
            "INSERT INTO account VALUES (:id, 1, 2) ON CONFLICT DO NOTHING",
            "INSERT INTO account VALUES ($1, 1, 2) ON CONFLICT DO NOTHING",
        ),
        // Words that PostgreSQL keeps to itself, where they are names.
        (
            "INSERT INTO entry (partition, offset, user) SELECT @partition, @offset, id FROM account ORDER BY id LIMIT 1 OFFSET 2",
            "INSERT INTO entry (partition, \"offset\", \"user\") SELECT $1, $2, id FROM account ORDER BY id LIMIT 1 OFFSET 2",
        ),
        // What is in quotes stays what it is.
        (
            "INSERT INTO account /* :no */ VALUES ('it''s :not balance', 0xff, x'0aFF') -- :neither",
            "INSERT INTO account VALUES ('it''s :not balance', (255), '\\x0aFF'::bytea)",
        ),
        ("DELETE FROM account WHERE id IN (SELECT id FROM account LIMIT:n)", "DELETE FROM account WHERE id IN (SELECT id FROM account LIMIT $1)"),
        (
            "UPDATE account SET balance = CAST(abs(:a) AS INTEGER) + cast(balance as real) WHERE id IN (SELECT 1 AS integer)",
            "UPDATE account SET balance = CAST(abs($1) AS bigint) + cast(balance as double precision) WHERE id IN (SELECT 1 AS integer)",
        ),
        ("DELETE FROM `Account` WHERE \"ID\" = :id", "DELETE FROM \"account\" WHERE \"id\" = $1"),
    ] {
        assert_eq!(handler(sql).sql, wanted, "{sql}");
    }
}

#[test]
fn a_parameter_has_the_number_of_its_binding() {
    let rendered = handler("UPDATE account SET balance = :a + :a WHERE id = :b OR id = :a");
    assert_eq!(rendered.parameters, [0, 0, 1, 0]);
}

#[test]
fn a_place_is_found_again_in_the_file() {
    let sql = "UPDATE account SET balance = /* ä */ :amount\n WHERE nothing(updatedAt) = 'é' OR oops";
    let rendered = handler(sql);
    for word in ["nothing", "oops", "balance"] {
        let at = rendered.sql.find(word).unwrap();
        let position = rendered.sql[..at].chars().count() + 1;
        assert_eq!(rendered.place(position), sql.find(word).unwrap(), "{word}");
    }
}

fn made(tables: &str) -> String {
    let projection = file(tables, "DELETE FROM account");
    match projection.schema_to_postgres(&projection.schema[0], &shapes()) {
        Ok(Made::Table(rendered)) => rendered.sql,
        Ok(Made::Aid(rendered)) => format!("aid: {}", rendered.sql),
        Err(error) => format!("! {error}: {}", error.help.clone().unwrap_or_default()),
    }
}

#[test]
fn tables_keep_what_postgresql_has_too() {
    for (sql, wanted) in [
        (
            "CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0), updatedAt INTEGER) STRICT;",
            "CREATE TABLE \"account\" (\"id\" text COLLATE \"C\" PRIMARY KEY, \"balance\" bigint NOT NULL DEFAULT 0 CHECK (balance >= 0), \
             \"updatedAt\" bigint)",
        ),
        (
            "CREATE TABLE IF NOT EXISTS entry (partition INT, offset UNSIGNED BIG INT (8), user VARCHAR(20) COLLATE BINARY, \
             PRIMARY KEY (partition, offset DESC), UNIQUE (user), CHECK (offset > 0)) WITHOUT ROWID;",
            "CREATE TABLE IF NOT EXISTS \"entry\" (\"partition\" bigint, \"offset\" bigint, \"user\" text COLLATE \"C\", \
             PRIMARY KEY (partition, \"offset\"), UNIQUE (\"user\"), CHECK (\"offset\" > 0))",
        ),
        (
            "CREATE UNIQUE INDEX one ON entry (user);",
            "CREATE UNIQUE INDEX one ON entry (\"user\")",
        ),
        (
            "CREATE INDEX some ON account(balance DESC, updatedAt);",
            "aid: CREATE INDEX some ON account(balance DESC, \"updatedAt\")",
        ),
    ] {
        assert_eq!(made(sql), wanted);
    }
}

#[test]
fn what_a_table_would_lose_is_refused() {
    for (sql, why) in [
        (
            "CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, balance INTEGER);",
            "bind one",
        ),
        (
            "CREATE TABLE account (id TEXT PRIMARY KEY COLLATE NOCASE, balance INTEGER);",
            "lower(:name)",
        ),
        (
            "CREATE TABLE account (id TEXT PRIMARY KEY ON CONFLICT REPLACE, balance INTEGER);",
            "into the handler",
        ),
        ("CREATE VIRTUAL TABLE account USING fts5(id);", "to_tsvector"),
    ] {
        let said = made(sql);
        assert!(said.starts_with("! ") && said.contains(why), "{sql}: {said}");
    }
}

#[test]
fn what_is_sqlites_alone_is_told_what_to_write_instead() {
    for (sql, near, wanted) in [
        ("INSERT OR REPLACE INTO account VALUES (1, 2)", "OR", "DO UPDATE SET"),
        ("INSERT OR IGNORE INTO account VALUES (1, 2)", "OR", "DO NOTHING"),
        ("REPLACE INTO account VALUES (1, 2)", "REPLACE", "DO UPDATE SET"),
        ("UPDATE account SET balance = total(:a)", "total", "coalesce"),
        (
            "UPDATE account SET balance = max(balance, :a, 1, 2)",
            "max",
            "max(b, max(c, d))",
        ),
        (
            "UPDATE account SET id = json_object('a', 1)",
            "json_object",
            "column of its own",
        ),
        (
            "UPDATE account SET id = @value ->> '$.a'",
            "->>",
            "$order::customer::id",
        ),
        (
            "UPDATE account SET id = strftime('%Y', 1, 'unixepoch')",
            "strftime",
            "@timestamp",
        ),
        ("DELETE FROM account WHERE id IS :id", ":id", "IS NOT DISTINCT FROM"),
        ("DELETE FROM account WHERE id = \"text\"", "\"text\"", "single quotes"),
        ("DELETE FROM account WHERE rowid = 1", "rowid", "primary key"),
    ] {
        let said = help(sql, sql.find(near)).unwrap_or_default();
        assert!(said.contains(wanted), "{sql}: {said}");
    }
    assert_eq!(help("DELETE FROM account WHERE nothing(1)", Some(26)), None);
}

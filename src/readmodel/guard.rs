//! What a projection's SQL may do, decided by SQLite's authorizer while it compiles a statement.
//!
//! The parser of the file refuses most of this first and with a better message; this is the second wall, which sees what
//! SQLite sees and not what the text looks like.

use std::sync::{Arc, Mutex};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::{dates, fulltext};

/// The prefix of the tables in which a read model remembers its position; no projection may touch them.
pub(super) const RESERVED: &str = "_foldlog_";

/// Functions whose result depends on the clock, on chance, on the connection or on the library's version.
const REFUSED_FUNCTIONS: &[&str] = &[
    "random",
    "randomblob",
    "current_time",
    "current_date",
    "current_timestamp",
    "changes",
    "total_changes",
    "last_insert_rowid",
    "load_extension",
    "sqlite_version",
    "sqlite_source_id",
    "sqlite_log",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_offset",
    "fts3_tokenizer",
];

/// Which statements are being compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The program's own: everything is allowed.
    Own,
    /// Tables, indexes and views of the projection.
    Schema,
    /// Handlers.
    Handler,
    /// Queries over read models: nothing but reading.
    Query,
}

/// What the authorizer saw of the last statement.
#[derive(Debug)]
struct Seen {
    stage: Stage,
    refused: Option<Refusal>,
    touched: Vec<String>,
    /// The full-text indexes that were made.
    indexes: Vec<String>,
}

/// Why a statement was refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Shared by a connection's authorizer and whoever compiles on it.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Mutex<Seen>>);

impl Guard {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Seen {
            stage: Stage::Own,
            refused: None,
            touched: Vec::new(),
            indexes: Vec::new(),
        })))
    }

    /// Puts the guard in front of a connection.
    pub(super) fn install(&self, connection: &mut rusqlite::Connection) -> rusqlite::Result<()> {
        let guard = self.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| guard.authorize(&context)))
    }

    /// Says what is compiled from here on and forgets what was seen.
    pub(super) fn enter(&self, stage: Stage) {
        self.with(|seen| {
            seen.stage = stage;
            seen.refused = None;
            seen.touched.clear();
        });
    }

    /// The tables that the statements since then read or write.
    pub(super) fn touched(&self) -> Vec<String> {
        self.with(|seen| seen.touched.clone())
    }

    /// The full-text indexes that the projection has made so far.
    pub(super) fn indexes(&self) -> Vec<String> {
        self.with(|seen| seen.indexes.clone())
    }

    /// Why the last statement was refused, if it was.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.with(|seen| seen.refused.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Seen) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        self.with(|seen| {
            if let AuthAction::Read { table_name, .. }
            | AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } = &context.action
                && !seen.touched.iter().any(|known| known == table_name)
            {
                seen.touched.push((*table_name).to_owned());
            }
            let refusal = match seen.stage {
                Stage::Own => None,
                Stage::Query => judge_query(&context.action),
                Stage::Schema => judge(&context.action, true, &seen.indexes),
                Stage::Handler => judge(&context.action, false, &seen.indexes),
            };
            if let (None, AuthAction::CreateVtable { table_name, .. }) = (&refusal, &context.action) {
                seen.indexes.push((*table_name).to_owned());
            }
            match refusal {
                None => Authorization::Allow,
                Some(refusal) => {
                    seen.refused.get_or_insert(refusal);
                    Authorization::Deny
                }
            }
        })
    }
}

fn refuse(message: impl Into<String>, help: &'static str) -> Option<Refusal> {
    Some(Refusal {
        message: message.into(),
        help,
    })
}

const HELP_SCHEMA: &str = "before the first handler a projection may say CREATE TABLE and CREATE INDEX";
const HELP_HANDLER: &str = "a handler may INSERT, UPDATE and DELETE rows of the projection's own tables";

fn reserved(name: &str) -> Option<Refusal> {
    name.get(..RESERVED.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(RESERVED))
        .then(|| Refusal {
            message: format!("`{name}` belongs to the bookkeeping of the read model"),
            help: "names that begin with `_foldlog_` are reserved; choose another",
        })
}

/// Whether a function gives, or may give, another result at every replay.
pub(super) fn varies(name: &str) -> bool {
    dates::is_one(name) || REFUSED_FUNCTIONS.iter().any(|f| name.eq_ignore_ascii_case(f))
}

/// What a query may ask SQLite about the tables that it can read.
const DESCRIBING_PRAGMAS: &[&str] = &[
    "table_list",
    "table_info",
    "table_xinfo",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "database_list",
    "function_list",
    "collation_list",
    "compile_options",
    // What a full-text index asks by itself before it answers.
    "data_version",
];

fn function(name: &str) -> Option<Refusal> {
    if REFUSED_FUNCTIONS.iter().any(|f| name.eq_ignore_ascii_case(f)) {
        return refuse(
            format!("`{name}` gives another result at every replay"),
            "take the value from the event, or use @timestamp, @partition and @offset",
        );
    }
    None
}

/// The table that an action reads or writes.
fn table_of<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    match action {
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => Some(table_name),
        _ => None,
    }
}

fn judge(action: &AuthAction<'_>, schema: bool, indexes: &[String]) -> Option<Refusal> {
    let help = if schema { HELP_SCHEMA } else { HELP_HANDLER };
    if let Some((table, index)) = table_of(action).and_then(|table| Some((table, fulltext::owner(table, indexes)?))) {
        // FTS5 fills them while it makes the index, and asks for leave to do so.
        return if schema {
            None
        } else {
            refuse(
                format!("`{table}` is where SQLite keeps the full-text index `{index}`"),
                "read and write the index itself",
            )
        };
    }
    // SQLite writes its own catalogue while it creates a table, and asks for leave to do so.
    let own = |name: &str| schema && name.eq_ignore_ascii_case("sqlite_master");
    match action {
        AuthAction::Select | AuthAction::Recursive => None,
        AuthAction::Read { table_name, .. } if !schema && table_name.eq_ignore_ascii_case("sqlite_master") => {
            refuse("a handler may not read SQLite's catalogue", help)
        }
        AuthAction::Read { table_name, .. } => reserved(table_name),
        AuthAction::Function { function_name } => function(function_name),
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => match reserved(table_name) {
            Some(refusal) => Some(refusal),
            None if schema && !own(table_name) => refuse("rows are written by handlers only", help),
            None => None,
        },
        AuthAction::CreateTable { table_name } if schema => reserved(table_name),
        AuthAction::CreateView { view_name } if schema => reserved(view_name),
        AuthAction::CreateIndex { index_name, table_name } if schema => {
            reserved(index_name).or_else(|| reserved(table_name))
        }
        AuthAction::Reindex { .. } if schema => None,
        AuthAction::CreateTrigger { .. } | AuthAction::CreateTempTrigger { .. } => refuse(
            "triggers are refused: what a row does to another would not be seen in any handler",
            "write the trigger's statements into the handlers that cause them",
        ),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            refuse("a projection reads and writes its own tables only", help)
        }
        // A full-text index asks it by itself.
        AuthAction::Pragma { pragma_name, .. } if pragma_name.eq_ignore_ascii_case("data_version") => None,
        AuthAction::Pragma { pragma_name, .. } => refuse(format!("PRAGMA {pragma_name} is refused"), help),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => refuse(
            "transactions are the read model's: rows and position commit together",
            "leave out BEGIN, COMMIT, ROLLBACK and SAVEPOINT; all statements of an event succeed or fail together",
        ),
        AuthAction::CreateVtable {
            table_name,
            module_name,
        } if schema && module_name.eq_ignore_ascii_case("fts5") => reserved(table_name),
        AuthAction::CreateVtable { module_name, .. } => refuse(
            format!("virtual tables of `{module_name}` cannot be dumped or compared"),
            "use an ordinary table; a full-text index is `CREATE VIRTUAL TABLE name USING fts5(column, …)`",
        ),
        AuthAction::CreateTempTable { .. } | AuthAction::CreateTempIndex { .. } | AuthAction::CreateTempView { .. } => {
            refuse(
                "temporary tables are gone at the next start, and with them the reproducibility",
                help,
            )
        }
        _ => refuse("this statement is not allowed here", help),
    }
}

fn judge_query(action: &AuthAction<'_>) -> Option<Refusal> {
    match action {
        AuthAction::Select | AuthAction::Recursive | AuthAction::Read { .. } => None,
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => None,
        AuthAction::Pragma { pragma_name, .. }
            if DESCRIBING_PRAGMAS.iter().any(|p| pragma_name.eq_ignore_ascii_case(p)) =>
        {
            None
        }
        _ => refuse(
            "a query may only read",
            "write a SELECT; to change a read model, change its projection and rebuild",
        ),
    }
}

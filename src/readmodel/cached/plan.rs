//! A handler's statement as what it does to one row, found by its primary key.

use std::fmt;

use crate::projection::{Meta, Statement};

/// What a projection's rebuild can do in memory.
#[derive(Debug, Default)]
pub struct Plan {
    /// The tables whose rows are kept in memory.
    pub(in super::super) tables: Vec<Table>,
    /// What each statement of the handlers does, in the order of the file.
    pub(in super::super) writes: Vec<Option<Write>>,
    /// The statements that run as SQL, with the reason.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Nothing in memory, for this reason.
    pub(in super::super) fn without<'s>(statements: impl Iterator<Item = &'s Statement>, reason: &str) -> Self {
        let note = |(statement, one): (usize, &Statement)| Note {
            statement,
            line: one.line,
            reason: reason.to_owned(),
        };
        let notes: Vec<_> = statements.enumerate().map(note).collect();
        Self {
            tables: Vec::new(),
            writes: notes.iter().map(|_| None).collect(),
            notes,
        }
    }

    /// Whether all that handlers do is done in memory.
    pub(in super::super) fn is_whole(&self) -> bool {
        self.notes.is_empty()
    }
}

/// Why a statement runs as SQL for every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which of the handlers' statements, in the order of the file, from 0.
    pub statement: usize,
    /// The statement's line in the file.
    pub line: usize,
    /// The reason, for people.
    pub reason: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// A table whose rows are kept in memory.
#[derive(Debug)]
pub(in super::super) struct Table {
    pub(in super::super) name: String,
    pub(in super::super) columns: Vec<Column>,
    /// Which columns are the primary key, in its order.
    pub(in super::super) key: Vec<usize>,
    /// Whether the key is the rowid, which SQLite chooses where it is NULL.
    pub(in super::super) rowid_key: bool,
    /// What must not be false of a row.
    pub(in super::super) checks: Vec<Expression>,
}

#[derive(Debug)]
pub(in super::super) struct Column {
    pub(in super::super) name: String,
    pub(in super::super) affinity: Affinity,
    /// Whether a value of another type is refused.
    pub(in super::super) strict: bool,
    pub(in super::super) not_null: bool,
    /// What it holds where an INSERT leaves it out; `None` where that is not a plain value.
    pub(in super::super) default: Option<Constant>,
}

/// What SQLite makes of a value that a column is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Affinity {
    Text,
    /// INTEGER and NUMERIC, which differ in nothing that is decided here.
    Number,
    Real,
    /// None: a value is kept as it comes.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Constant {
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<[u8]>),
}

/// What a statement does.
#[derive(Debug)]
pub(in super::super) enum Write {
    Insert {
        table: usize,
        /// A value for each column, in the table's order.
        values: Vec<Expression>,
        conflict: Conflict,
    },
    Update {
        table: usize,
        key: Vec<Expression>,
        condition: Option<Expression>,
        set: Vec<(usize, Expression)>,
    },
    Delete {
        table: usize,
        key: Vec<Expression>,
        condition: Option<Expression>,
    },
}

impl Write {
    pub(in super::super) fn table(&self) -> usize {
        match self {
            Self::Insert { table, .. } | Self::Update { table, .. } | Self::Delete { table, .. } => *table,
        }
    }

    pub(in super::super) fn table_mut(&mut self) -> &mut usize {
        match self {
            Self::Insert { table, .. } | Self::Update { table, .. } | Self::Delete { table, .. } => table,
        }
    }
}

/// What an INSERT does where a row has its key already.
#[derive(Debug)]
pub(in super::super) enum Conflict {
    /// Fails, as SQL words it.
    Abort,
    Nothing,
    Replace,
    Update {
        condition: Option<Expression>,
        set: Vec<(usize, Expression)>,
    },
}

#[derive(Debug)]
pub(in super::super) enum Expression {
    Constant(Constant),
    /// A slot of the event's fields.
    Field(usize),
    Meta(Meta),
    /// A column of the row that is there.
    Old(usize),
    /// A column of the row that an INSERT brings: `excluded`.
    New(usize),
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
    Concat(Box<Expression>, Box<Expression>),
    Compare {
        how: Comparison,
        left: Box<Expression>,
        right: Box<Expression>,
        /// Whether two texts are compared as they are; a numeric column would make a number of the other first.
        texts: bool,
    },
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsNull(Box<Expression>),
    Coalesce(Vec<Expression>),
    /// `max` of several, or `min`.
    Extreme {
        most: bool,
        of: Vec<Expression>,
    },
    Case {
        when: Vec<(Expression, Expression)>,
        otherwise: Option<Box<Expression>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

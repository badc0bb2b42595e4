//! Values as PostgreSQL has them: which type a column has, and what of SQLite fits into it.

use postgres::Row;
use postgres::types::ToSql;

use crate::readmodel::feed::Type;
use crate::readmodel::query::Cell;

use super::super::text_of;

/// A column as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A type of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bigint,
    Double,
    Text,
    Bytea,
    Numeric,
    /// Text of whatever it is.
    Any,
}

impl Kind {
    /// A number in a key stays text, because it must be found again by the very text that it had.
    pub(super) fn of(kind: Type, in_key: bool) -> Self {
        match kind {
            Type::Integer => Self::Bigint,
            Type::Real => Self::Double,
            Type::Text => Self::Text,
            Type::Blob => Self::Bytea,
            Type::Numeric if !in_key => Self::Numeric,
            Type::Numeric | Type::Any => Self::Any,
        }
    }

    /// What a CREATE TABLE and the catalogue call it.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Bigint => "bigint",
            Self::Double => "double precision",
            Self::Text | Self::Any => "text",
            Self::Bytea => "bytea",
            Self::Numeric => "numeric",
        }
    }

    /// The type in which it travels; what is none is cast by the server.
    pub(super) fn travels(self) -> &'static str {
        match self {
            Self::Numeric => "text",
            kind => kind.sql(),
        }
    }
}

/// A value on its way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// A value for a column; one that does not fit is an error that says why.
    pub(super) fn of(column: &Column, cell: &Cell) -> Result<Self, String> {
        let value = match (column.kind, cell) {
            (_, Cell::Null) => Self::Null,
            (Kind::Bigint, Cell::Integer(value)) => Self::Integer(*value),
            (Kind::Double, Cell::Real(value)) => Self::Double(*value),
            (Kind::Double, Cell::Integer(value)) => Self::Double(*value as f64),
            (Kind::Text, Cell::Text(text)) => Self::Text(text.clone()),
            (Kind::Bytea, Cell::Blob(bytes)) => Self::Bytes(bytes.clone()),
            (Kind::Numeric, Cell::Integer(value)) => Self::Text(value.to_string()),
            // Without an exponent, as the server writes it.
            (Kind::Numeric, Cell::Real(value)) => Self::Text(value.to_string()),
            (Kind::Any, cell) => Self::Text(text_of(cell)),
            (kind, cell) => {
                return Err(format!(
                    "the column {} is {} there, and has {} here; a STRICT table keeps types",
                    column.name,
                    kind.sql(),
                    word(cell)
                ));
            }
        };
        match &value {
            Self::Text(text) if text.contains('\0') => Err(format!(
                "the column {} has text with a NUL character, which PostgreSQL does not have",
                column.name
            )),
            _ => Ok(value),
        }
    }

    /// Reads the value of a result.
    pub(super) fn read(row: &Row, at: usize, kind: Kind) -> Result<Self, postgres::Error> {
        Ok(match kind {
            Kind::Bigint => row.try_get::<_, Option<i64>>(at)?.map_or(Self::Null, Self::Integer),
            Kind::Double => row.try_get::<_, Option<f64>>(at)?.map_or(Self::Null, Self::Double),
            Kind::Bytea => row.try_get::<_, Option<Vec<u8>>>(at)?.map_or(Self::Null, Self::Bytes),
            Kind::Text | Kind::Any => row.try_get::<_, Option<String>>(at)?.map_or(Self::Null, Self::Text),
            // 6.0 is 6: how many digits a number was written with is no part of it.
            Kind::Numeric => match row.try_get::<_, Option<String>>(at)? {
                Some(text) if text.contains('.') => {
                    Self::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned())
                }
                text => text.map_or(Self::Null, Self::Text),
            },
        })
    }

    /// For a key, which has the same name as the row here.
    pub(super) fn cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(value) => Cell::Integer(value),
            Self::Double(value) => Cell::Real(value),
            Self::Text(text) => Cell::Text(text),
            Self::Bytes(bytes) => Cell::Blob(bytes),
        }
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            value => text_of(&value.clone().cell()),
        }
    }
}

fn word(cell: &Cell) -> &'static str {
    match cell {
        Cell::Null => "NULL",
        Cell::Integer(_) => "an integer",
        Cell::Real(_) => "a double",
        Cell::Text(_) => "text",
        Cell::Blob(_) => "bytes",
    }
}

/// The values of one column, as one parameter.
pub(super) fn array(kind: Kind, values: &mut dyn Iterator<Item = &Value>) -> Box<dyn ToSql + Sync> {
    match kind {
        Kind::Bigint => {
            let integer = |value: &Value| match value {
                Value::Integer(value) => Some(*value),
                _ => None,
            };
            Box::new(values.map(integer).collect::<Vec<Option<i64>>>())
        }
        Kind::Double => {
            let double = |value: &Value| match value {
                Value::Double(value) => Some(*value),
                _ => None,
            };
            Box::new(values.map(double).collect::<Vec<Option<f64>>>())
        }
        Kind::Bytea => {
            let bytes = |value: &Value| match value {
                Value::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            };
            Box::new(values.map(bytes).collect::<Vec<Option<Vec<u8>>>>())
        }
        Kind::Text | Kind::Any | Kind::Numeric => {
            let text = |value: &Value| match value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            };
            Box::new(values.map(text).collect::<Vec<Option<String>>>())
        }
    }
}

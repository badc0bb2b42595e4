//! Values on their way to a handler, as text: what they become is decided by the type that PostgreSQL inferred for the place.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Statement};

use crate::readmodel::query::Cell;

/// A value as text; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param(pub Option<String>);

impl ToSql for Param {
    fn to_sql(&self, _type: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_type: &Type) -> bool {
        true
    }

    fn encode_format(&self, _type: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Runs a prepared statement.
pub(super) async fn run(client: &Client, statement: &Statement, params: &[Param]) -> Result<u64, Error> {
    client.execute_raw(statement, params).await
}

/// A value for a place of a type; one that SQLite would not store there either is an error that says why.
pub(super) fn param(cell: &Cell, kind: &Type) -> Result<Param, String> {
    let bytes = *kind == Type::BYTEA;
    let whole = [Type::INT8, Type::INT4, Type::INT2].contains(kind);
    let text = match cell {
        Cell::Null => return Ok(Param(None)),
        Cell::Blob(blob) if bytes => format!("\\x{}", super::super::super::text_of(&Cell::Blob(blob.clone()))),
        Cell::Blob(_) => return Err(format!("bytes cannot be stored as {}", kind.name())),
        _ if bytes => return Err("a BLOB column takes bytes only".to_owned()),
        Cell::Integer(value) if *kind == Type::BOOL => (*value != 0).to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => real(*value, kind, whole),
        Cell::Text(text) if text.contains('\0') => {
            return Err("text with a NUL character, which PostgreSQL cannot hold".to_owned());
        }
        // PostgreSQL takes more for a number than SQLite does: NaN, infinity, 0x10, 1_000.
        Cell::Text(text) if is_numeric(kind) && !is_number(text) => {
            return Err(format!("text that is no number cannot be stored as {}", kind.name()));
        }
        // A column of integers takes text that is a whole number, in whichever way it is written.
        Cell::Text(text) if whole && text.parse::<i64>().is_err() => match text.trim().parse::<f64>() {
            Ok(value) if is_exact(value) => format!("{value:.0}"),
            _ => text.clone(),
        },
        Cell::Text(text) => text.clone(),
    };
    Ok(Param(Some(text)))
}

fn real(value: f64, kind: &Type, whole: bool) -> String {
    if whole || *kind == Type::NUMERIC {
        return match is_exact(value) {
            true => format!("{value:.0}"),
            false => value.to_string(),
        };
    }
    if [Type::TEXT, Type::VARCHAR, Type::UNKNOWN].contains(kind) {
        return real_text(value);
    }
    value.to_string()
}

fn is_numeric(kind: &Type) -> bool {
    [
        Type::INT8,
        Type::INT4,
        Type::INT2,
        Type::FLOAT8,
        Type::FLOAT4,
        Type::NUMERIC,
    ]
    .contains(kind)
}

/// Whether SQLite would make a number of it in a column of numbers: its own way of writing literals, with blanks around.
fn is_number(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok()
}

/// Whether a double is a whole number that 64 bits hold.
fn is_exact(value: f64) -> bool {
    value.fract() == 0.0 && (-9.2e18..9.2e18).contains(&value)
}

/// A double as SQLite makes text of it: 15 digits, always with a point.
fn real_text(value: f64) -> String {
    let scientific = format!("{value:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits.replace('.', "")),
        None => ("", mantissa.replace('.', "")),
    };
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let rest = |from: usize| match digits.get(from..) {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => "0".to_owned(),
    };
    if (-4..15).contains(&exponent) {
        let point = usize::try_from(exponent + 1).unwrap_or(0);
        if point == 0 {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            return format!("{sign}0.{zeros}{digits}");
        }
        let whole: String = digits.chars().chain(std::iter::repeat('0')).take(point).collect();
        return format!("{sign}{whole}.{}", rest(point));
    }
    let first = digits.get(..1).unwrap_or("0");
    let mark = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}.{}e{mark}{:02}", rest(1), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_what_its_place_is() {
        let said = |cell: Cell, kind: Type| match param(&cell, &kind) {
            Ok(Param(Some(text))) => text,
            Ok(Param(None)) => "NULL".to_owned(),
            Err(reason) => format!("! {reason}"),
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        for (cell, kind, wanted) in [
            (Cell::Null, Type::INT8, "NULL"),
            (Cell::Integer(i64::MAX), Type::INT8, "9223372036854775807"),
            (Cell::Integer(1), Type::BOOL, "true"),
            (Cell::Integer(7), Type::TEXT, "7"),
            (Cell::Real(1.0), Type::INT8, "1"),
            (Cell::Real(-4e15), Type::INT8, "-4000000000000000"),
            (Cell::Real(1.5), Type::INT8, "1.5"),
            (Cell::Real(4.0), Type::NUMERIC, "4"),
            (Cell::Real(0.1), Type::FLOAT8, "0.1"),
            (Cell::Real(1.0), Type::TEXT, "1.0"),
            (text("12.0"), Type::INT8, "12"),
            (text("123456789012345678901"), Type::NUMERIC, "123456789012345678901"),
            (
                text("x"),
                Type::INT8,
                "! text that is no number cannot be stored as int8",
            ),
            (text(" 1.5e3 "), Type::FLOAT8, " 1.5e3 "),
            (
                text("NaN"),
                Type::FLOAT8,
                "! text that is no number cannot be stored as float8",
            ),
            (
                text("-inf"),
                Type::NUMERIC,
                "! text that is no number cannot be stored as numeric",
            ),
            (
                text("1_000"),
                Type::INT8,
                "! text that is no number cannot be stored as int8",
            ),
            (
                text("0x10"),
                Type::INT8,
                "! text that is no number cannot be stored as int8",
            ),
            (text("NaN"), Type::TEXT, "NaN"),
            (
                text("a\0b"),
                Type::TEXT,
                "! text with a NUL character, which PostgreSQL cannot hold",
            ),
            (text("a"), Type::BYTEA, "! a BLOB column takes bytes only"),
            (Cell::Blob(vec![0, 255]), Type::BYTEA, "\\x00ff"),
            (Cell::Blob(vec![0]), Type::TEXT, "! bytes cannot be stored as text"),
        ] {
            assert_eq!(said(cell.clone(), kind.clone()), wanted, "{cell:?} as {kind}");
        }
    }

    #[test]
    fn a_double_is_written_as_sqlite_writes_it() {
        for (value, wanted) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.25, "100.25"),
            (0.0001, "0.0001"),
            (0.000_01, "1.0e-05"),
            (1e14, "100000000000000.0"),
            (1e15, "1.0e+15"),
            (1.25e20, "1.25e+20"),
            (0.1 + 0.2, "0.3"),
        ] {
            assert_eq!(real_text(value), wanted);
        }
    }
}

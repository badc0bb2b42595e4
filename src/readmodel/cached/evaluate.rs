//! Expressions over one event and one row, with SQLite's results.
//!
//! Only what is certain is answered. Wherever SQLite would convert, overflow into another type, compare values of two types or
//! refuse a value, the answer is [`Unusual`], and SQLite is asked itself.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::decode::fields::Scalar;
use crate::projection::Meta;
use crate::record::RecordRef;

use super::super::apply::headers_json;
use super::plan::{Affinity, Arithmetic, Column, Comparison, Constant, Expression};
use super::rows::{Cells, Row};

/// Text longer than this is left to SQLite, which has a limit of its own.
const LONGEST: usize = 64 * 1024;
/// Integers up to here are doubles without loss.
const EXACT: u64 = 1 << 53;

/// Not a case that is decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusual;

type Result<T> = std::result::Result<T, Unusual>;

/// A value of an expression. Text is bytes, because SQL can cast any bytes to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, [u8]>),
}

/// What an expression is about.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) record: &'a RecordRef<'a>,
    pub(super) slots: &'a [Scalar<'a>],
    /// The row that is there.
    pub(super) old: Option<Row<'a>>,
    /// The row that an INSERT brings.
    pub(super) new: Option<&'a Cells>,
}

impl<'a> Scene<'a> {
    #[inline]
    pub(super) fn value(&self, of: &'a Expression) -> Result<Value<'a>> {
        match of {
            Expression::Constant(constant) => Ok(constant.value()),
            Expression::Field(slot) => field(self.slots.get(*slot)),
            Expression::Meta(meta) => self.meta(*meta),
            Expression::Old(column) => self.old.map(|row| row.value(*column)).ok_or(Unusual),
            Expression::New(column) => self.new.map(|new| new.value(*column)).ok_or(Unusual),
            Expression::Arithmetic(how, left, right) => arithmetic(*how, &self.value(left)?, &self.value(right)?),
            _ => self.rarer(of),
        }
    }

    fn rarer(&self, of: &'a Expression) -> Result<Value<'a>> {
        match of {
            Expression::Concat(left, right) => concat(self.value(left)?, self.value(right)?),
            Expression::Compare {
                how,
                left,
                right,
                texts,
            } => Ok(truth(
                compare(&self.value(left)?, &self.value(right)?, *texts)?.map(|order| how.holds(order)),
            )),
            Expression::And(left, right) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Ok(truth(match (left, right) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }))
            }
            Expression::Or(left, right) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Ok(truth(match (left, right) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }))
            }
            Expression::Not(inner) => Ok(truth(self.condition(inner)?.map(|holds| !holds))),
            Expression::IsNull(inner) => Ok(truth(Some(self.value(inner)? == Value::Null))),
            Expression::Coalesce(of) => {
                for one in of {
                    let value = self.value(one)?;
                    if value != Value::Null {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Expression::Extreme { most, of } => self.extreme(*most, of),
            Expression::Case { when, otherwise } => {
                for (condition, result) in when {
                    if self.condition(condition)? == Some(true) {
                        return self.value(result);
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |other| self.value(other))
            }
            // The common ones never come here.
            _ => Err(Unusual),
        }
    }

    fn extreme(&self, most: bool, of: &'a [Expression]) -> Result<Value<'a>> {
        let mut best = None;
        for one in of {
            let value = self.value(one)?;
            let Some(known) = best else {
                best = Some(value);
                continue;
            };
            // NULL as soon as any is; of equal ones the first.
            let Some(order) = compare(&known, &value, true)? else {
                return Ok(Value::Null);
            };
            let better = if most { Ordering::Less } else { Ordering::Greater };
            best = Some(if order == better { value } else { known });
        }
        best.ok_or(Unusual)
    }

    /// Whether a condition holds; `None` where it is NULL.
    pub(super) fn condition(&self, of: &'a Expression) -> Result<Option<bool>> {
        match self.value(of)? {
            Value::Null => Ok(None),
            Value::Integer(value) => Ok(Some(value != 0)),
            Value::Real(_) | Value::Text(_) => Err(Unusual),
        }
    }

    fn meta(&self, meta: Meta) -> Result<Value<'a>> {
        let record = self.record;
        match meta {
            Meta::Topic => Ok(Value::Text(Cow::Borrowed(record.topic.as_bytes()))),
            Meta::Partition => Ok(Value::Integer(record.partition.into())),
            Meta::Offset => Ok(Value::Integer(record.offset)),
            Meta::Timestamp => Ok(record.timestamp.map_or(Value::Null, |time| Value::Integer(time.0))),
            Meta::Key => whole(record.key),
            Meta::Value => whole(record.value),
            Meta::Headers => Ok(Value::Text(Cow::Owned(headers_json(record.headers).into_bytes()))),
        }
    }
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(*value),
            Self::Real(value) => Value::Real(*value),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[inline]
fn field<'a>(scalar: Option<&'a Scalar<'a>>) -> Result<Value<'a>> {
    match scalar {
        None | Some(Scalar::Null) => Ok(Value::Null),
        Some(Scalar::Integer(value)) => Ok(Value::Integer(*value)),
        Some(Scalar::Real(value)) => Ok(Value::Real(*value)),
        Some(Scalar::Text(text)) => Ok(Value::Text(Cow::Borrowed(text.as_bytes()))),
        Some(Scalar::Blob(_)) => Err(Unusual),
    }
}

/// A key or value bound whole.
fn whole(bytes: Option<&[u8]>) -> Result<Value<'_>> {
    match bytes {
        None => Ok(Value::Null),
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => Ok(Value::Text(Cow::Borrowed(bytes))),
        Some(_) => Err(Unusual),
    }
}

fn truth(holds: Option<bool>) -> Value<'static> {
    holds.map_or(Value::Null, |holds| Value::Integer(holds.into()))
}

#[inline]
fn arithmetic(how: Arithmetic, left: &Value<'_>, right: &Value<'_>) -> Result<Value<'static>> {
    let real = |left: f64, right: f64| {
        let result = match how {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
        };
        if result.is_finite() {
            Ok(Value::Real(result))
        } else {
            Err(Unusual)
        }
    };
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => {
            let result = match how {
                Arithmetic::Add => left.checked_add(*right),
                Arithmetic::Subtract => left.checked_sub(*right),
                Arithmetic::Multiply => left.checked_mul(*right),
            };
            result.map(Value::Integer).ok_or(Unusual)
        }
        (Value::Text(_), _) | (_, Value::Text(_)) => Err(Unusual),
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Real(left), Value::Real(right)) => real(*left, *right),
        (Value::Integer(left), Value::Real(right)) => real(*left as f64, *right),
        (Value::Real(left), Value::Integer(right)) => real(*left, *right as f64),
    }
}

fn concat<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>> {
    let text = |value: Value<'a>| match value {
        Value::Null => Ok(None),
        Value::Integer(value) => Ok(Some(Cow::Owned(value.to_string().into_bytes()))),
        Value::Text(text) => Ok(Some(text)),
        Value::Real(_) => Err(Unusual),
    };
    match (text(left)?, text(right)?) {
        (Some(left), Some(right)) if left.len() + right.len() <= LONGEST => {
            let mut joined = left.into_owned();
            joined.extend_from_slice(&right);
            Ok(Value::Text(Cow::Owned(joined)))
        }
        (Some(_), Some(_)) => Err(Unusual),
        _ => Ok(Value::Null),
    }
}

/// The order of two values of one type; `None` where either is NULL.
fn compare(left: &Value<'_>, right: &Value<'_>, texts: bool) -> Result<Option<Ordering>> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        (Value::Integer(left), Value::Integer(right)) => Ok(Some(left.cmp(right))),
        (Value::Real(left), Value::Real(right)) => left.partial_cmp(right).map(Some).ok_or(Unusual),
        (Value::Text(left), Value::Text(right)) if texts => Ok(Some(left.cmp(right))),
        _ => Err(Unusual),
    }
}

/// What a column holds that is given a value. `Unusual` also where SQLite would refuse it.
#[inline]
pub(super) fn stored<'a>(column: &Column, value: Value<'a>) -> Result<Value<'a>> {
    match value {
        Value::Null if column.not_null => Err(Unusual),
        Value::Null => Ok(Value::Null),
        // Some columns keep the sign of a zero and some do not.
        Value::Real(value) if value == 0.0 && value.is_sign_negative() => Err(Unusual),
        Value::Integer(number) => match column.affinity {
            Affinity::Number | Affinity::None => Ok(value),
            Affinity::Text => Ok(Value::Text(Cow::Owned(number.to_string().into_bytes()))),
            Affinity::Real if number.unsigned_abs() <= EXACT => Ok(Value::Real(number as f64)),
            Affinity::Real => Err(Unusual),
        },
        Value::Real(number) => match column.affinity {
            Affinity::Real | Affinity::None => Ok(value),
            Affinity::Number if !column.strict && number.fract() != 0.0 => Ok(value),
            Affinity::Number | Affinity::Text => Err(Unusual),
        },
        Value::Text(text) => match column.affinity {
            Affinity::Text | Affinity::None => Ok(Value::Text(text)),
            Affinity::Number if integer(&text).is_some() => integer(&text).map(Value::Integer).ok_or(Unusual),
            Affinity::Number | Affinity::Real if !column.strict && is_no_number(&text) => Ok(Value::Text(text)),
            Affinity::Number | Affinity::Real => Err(Unusual),
        },
    }
}

/// An integer in the one way that SQLite prints it.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Whether SQLite is sure to find no number in a text, by a byte that none has.
pub(super) fn is_no_number(text: &[u8]) -> bool {
    let belongs =
        |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte) || byte.is_ascii_whitespace() || *byte == 0x0b;
    !text.iter().all(belongs)
}

//! Expressions of which the result is known without SQLite.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    UnaryOperator, Value, ValueWithSpan,
};

use crate::projection::Binding;

use super::super::plan::{Affinity, Arithmetic, Comparison, Constant, Expression, Table};
use super::Recognised;

/// What names mean where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    connection: &'a Connection,
    table: &'a Table,
    bindings: &'a [Binding],
    /// What a bare column is.
    bare: Bare,
    /// Whether there is a row `excluded`.
    excluded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bare {
    Nothing,
    Old,
    New,
}

impl<'a> Scope<'a> {
    /// A CHECK, which sees the row as it would be.
    pub(super) fn checked(connection: &'a Connection, table: &'a Table) -> Self {
        Self {
            connection,
            table,
            bindings: &[],
            bare: Bare::New,
            excluded: false,
        }
    }

    /// The VALUES of an INSERT, which see the event alone.
    pub(super) fn event(connection: &'a Connection, table: &'a Table, bindings: &'a [Binding]) -> Self {
        Self {
            connection,
            table,
            bindings,
            bare: Bare::Nothing,
            excluded: false,
        }
    }

    /// The same with the row that is there.
    pub(super) fn with_row(self, excluded: bool) -> Self {
        Self {
            bare: Bare::Old,
            excluded,
            ..self
        }
    }

    pub(super) fn expression(&self, of: &Expr) -> Recognised<Expression> {
        match of {
            Expr::Nested(inner) => self.expression(inner),
            Expr::Value(ValueWithSpan { value, .. }) => self.value(value),
            Expr::Identifier(name) => self.column(name, self.bare),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [table, name] if table.value.eq_ignore_ascii_case(&self.table.name) && self.bare == Bare::Old => {
                    self.column(name, Bare::Old)
                }
                [table, name] if table.value.eq_ignore_ascii_case("excluded") && self.excluded => {
                    self.column(name, Bare::New)
                }
                _ => Err(unknown(of)),
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } if class(expr) == Class::Primary => {
                let inner = Box::new(self.expression(expr)?);
                let zero = Box::new(Expression::Constant(Constant::Integer(0)));
                Ok(Expression::Arithmetic(Arithmetic::Subtract, zero, inner))
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => Ok(Expression::Not(Box::new(self.expression(expr)?))),
            Expr::BinaryOp { left, op, right } => self.binary(of, left, op, right),
            Expr::IsNull(inner) => self.is_null(of, inner),
            Expr::IsNotNull(inner) => Ok(Expression::Not(Box::new(self.is_null(of, inner)?))),
            Expr::Case {
                case_token: _,
                end_token: _,
                operand: None,
                conditions,
                else_result,
            } => {
                let branch = |when: &sqlparser::ast::CaseWhen| {
                    Ok((self.expression(&when.condition)?, self.expression(&when.result)?))
                };
                let other = else_result.as_ref().map(|other| self.expression(other)).transpose()?;
                Ok(Expression::Case {
                    when: conditions.iter().map(branch).collect::<Recognised<_>>()?,
                    otherwise: other.map(Box::new),
                })
            }
            Expr::Function(function) => self.function(of, function),
            _ => Err(unknown(of)),
        }
    }

    fn value(&self, value: &Value) -> Recognised<Expression> {
        let constant = match value {
            Value::Null => Some(Constant::Null),
            Value::Boolean(value) => Some(Constant::Integer((*value).into())),
            Value::SingleQuotedString(text) => Some(Constant::Text(text.as_bytes().into())),
            Value::Number(text, false) => constant_of(self.connection, text),
            Value::Placeholder(name) => {
                let number: Option<usize> = name.strip_prefix('?').and_then(|number| number.parse().ok());
                let binding = number.and_then(|number| self.bindings.get(number.checked_sub(1)?));
                return match binding {
                    Some(Binding::Field(slot)) => Ok(Expression::Field(*slot)),
                    Some(Binding::Meta(meta)) => Ok(Expression::Meta(*meta)),
                    None => Err("a parameter that is not known".to_owned()),
                };
            }
            _ => None,
        };
        constant
            .map(Expression::Constant)
            .ok_or_else(|| format!("the value `{value}` is not known in memory"))
    }

    fn column(&self, name: &Ident, of: Bare) -> Recognised<Expression> {
        let columns = &self.table.columns;
        let at = columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(&name.value));
        match (at, of) {
            (Some(at), Bare::Old) => Ok(Expression::Old(at)),
            (Some(at), Bare::New) => Ok(Expression::New(at)),
            _ => Err(format!("`{}` is not a column here", name.value)),
        }
    }

    fn binary(&self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Recognised<Expression> {
        // SQLite and the parser bind some operators differently: where they stand side by side, parentheses must say what is meant.
        let own = class_of(op).ok_or_else(|| unknown(whole))?;
        let fits = |part: &Expr| match (own, class(part)) {
            (_, Class::Primary) | (Class::Logic, _) => true,
            (Class::Comparison, inner) => matches!(inner, Class::Arithmetic | Class::Concat),
            (own, inner) => own == inner,
        };
        if !fits(left) || !fits(right) {
            return Err(format!("`{whole}` needs parentheses to be understood"));
        }
        let (known, other) = (self.expression(left)?, self.expression(right)?);
        let texts = !self.is_numeric(&known) && !self.is_numeric(&other);
        let (left, right) = (Box::new(known), Box::new(other));
        let made = match op {
            BinaryOperator::Plus => Expression::Arithmetic(Arithmetic::Add, left, right),
            BinaryOperator::Minus => Expression::Arithmetic(Arithmetic::Subtract, left, right),
            BinaryOperator::Multiply => Expression::Arithmetic(Arithmetic::Multiply, left, right),
            BinaryOperator::StringConcat => Expression::Concat(left, right),
            BinaryOperator::And => Expression::And(left, right),
            BinaryOperator::Or => Expression::Or(left, right),
            _ => Expression::Compare {
                how: comparison(op).ok_or_else(|| unknown(whole))?,
                left,
                right,
                texts,
            },
        };
        Ok(made)
    }

    /// Whether it is a column that makes a number of the text that it is compared with.
    fn is_numeric(&self, of: &Expression) -> bool {
        match of {
            Expression::Old(at) | Expression::New(at) => self
                .table
                .columns
                .get(*at)
                .is_none_or(|column| matches!(column.affinity, Affinity::Number | Affinity::Real)),
            _ => false,
        }
    }

    fn is_null(&self, whole: &Expr, inner: &Expr) -> Recognised<Expression> {
        if matches!(class(inner), Class::Comparison | Class::Logic) {
            return Err(format!("`{whole}` needs parentheses to be understood"));
        }
        Ok(Expression::IsNull(Box::new(self.expression(inner)?)))
    }

    fn function(&self, whole: &Expr, function: &Function) -> Recognised<Expression> {
        let Function {
            name,
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args:
                FunctionArguments::List(FunctionArgumentList {
                    duplicate_treatment: None,
                    args,
                    clauses,
                }),
            filter: None,
            null_treatment: None,
            over: None,
            within_group,
        } = function
        else {
            return Err(unknown(whole));
        };
        if !clauses.is_empty() || !within_group.is_empty() {
            return Err(unknown(whole));
        }
        let argument = |argument: &FunctionArg| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => self.expression(argument),
            _ => Err(unknown(whole)),
        };
        let mut of: Vec<_> = args.iter().map(argument).collect::<Recognised<_>>()?;
        match (name.to_string().to_ascii_lowercase().as_str(), of.len()) {
            ("coalesce", 2..) | ("ifnull", 2) => Ok(Expression::Coalesce(of)),
            ("max", 2..) => Ok(Expression::Extreme { most: true, of }),
            ("min", 2..) => Ok(Expression::Extreme { most: false, of }),
            ("iif", 3) => {
                let otherwise = of.pop().map(Box::new);
                let when = of.pop().into_iter().zip(of.pop()).map(|(result, when)| (when, result));
                Ok(Expression::Case {
                    when: when.collect(),
                    otherwise,
                })
            }
            _ => Err(unknown(whole)),
        }
    }
}

/// A constant expression, as SQLite evaluates it; `None` where it is none.
pub(super) fn constant_of(connection: &Connection, sql: &str) -> Option<Constant> {
    connection
        .query_row(&format!("SELECT {sql}"), [], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Null => Some(Constant::Null),
                ValueRef::Integer(value) => Some(Constant::Integer(value)),
                ValueRef::Real(value) => Some(Constant::Real(value)),
                ValueRef::Text(text) => Some(Constant::Text(text.into())),
                ValueRef::Blob(_) => None,
            })
        })
        .ok()
        .flatten()
}

fn unknown(of: &Expr) -> String {
    let text: String = of.to_string().chars().take(60).collect();
    format!("`{text}` is not known in memory")
}

/// What kind of operator stands outermost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Primary,
    Arithmetic,
    Concat,
    Comparison,
    Logic,
}

fn class(of: &Expr) -> Class {
    match of {
        Expr::BinaryOp { op, .. } => class_of(op).unwrap_or(Class::Logic),
        Expr::IsNull(_) | Expr::IsNotNull(_) => Class::Comparison,
        Expr::UnaryOp {
            op: UnaryOperator::Not, ..
        } => Class::Logic,
        _ => Class::Primary,
    }
}

fn class_of(op: &BinaryOperator) -> Option<Class> {
    match op {
        BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply => Some(Class::Arithmetic),
        BinaryOperator::StringConcat => Some(Class::Concat),
        BinaryOperator::And | BinaryOperator::Or => Some(Class::Logic),
        _ => comparison(op).map(|_| Class::Comparison),
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    match op {
        BinaryOperator::Eq => Some(Comparison::Equal),
        BinaryOperator::NotEq => Some(Comparison::Unequal),
        BinaryOperator::Lt => Some(Comparison::Less),
        BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
        BinaryOperator::Gt => Some(Comparison::Greater),
        BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

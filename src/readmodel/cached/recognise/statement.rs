//! Statements that are about the row of one key.

use rusqlite::Connection;
use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Delete, Expr, FromTable, Insert, ObjectName,
    OnConflict, OnConflictAction, OnInsert, Query, SetExpr, SqliteOnConflict, Statement as Parsed, TableFactor,
    TableObject, TableWithJoins, Update, Values,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::projection::Statement;

use super::super::plan::{Conflict, Expression, Table, Write};
use super::expression::Scope;
use super::{Candidate, Recognised};

/// Recognises a statement. Every part of it is looked at: one that is not expected here is a reason to leave it to SQL.
pub(super) fn recognise(connection: &Connection, statement: &Statement, candidates: &[Candidate]) -> Recognised<Write> {
    let parsed = Parser::parse_sql(&SQLiteDialect {}, &statement.numbered());
    let look = Look {
        connection,
        statement,
        candidates,
    };
    match parsed.as_deref() {
        Ok([Parsed::Insert(insert)]) => look.insert(insert),
        Ok([Parsed::Update(update)]) => look.update(update),
        Ok([Parsed::Delete(delete)]) => look.delete(delete),
        _ => Err("it is not an INSERT, UPDATE or DELETE of one row".to_owned()),
    }
}

struct Look<'a> {
    connection: &'a Connection,
    statement: &'a Statement,
    candidates: &'a [Candidate],
}

/// What an UPDATE or DELETE says of its row.
struct Found {
    key: Vec<Expression>,
    condition: Option<Expression>,
}

impl<'a> Look<'a> {
    fn table(&self, name: &ObjectName) -> Recognised<(usize, &'a Table)> {
        let name = single(name).ok_or("its table has a schema")?;
        let mut candidates = self.candidates.iter().enumerate();
        match candidates.find(|(_, candidate)| candidate.name.eq_ignore_ascii_case(name)) {
            Some((number, candidate)) => match &candidate.table {
                Ok(table) => Ok((number, table)),
                Err(reason) => Err(reason.clone()),
            },
            None => Err(format!("`{name}` is not a table of this file")),
        }
    }

    fn scope(&self, table: &'a Table) -> Scope<'a> {
        Scope::event(self.connection, table, &self.statement.bindings)
    }

    fn insert(&self, insert: &Insert) -> Recognised<Write> {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore: false,
            into: _,
            table: TableObject::TableName(name),
            table_alias: None,
            columns,
            overwrite: false,
            source: Some(source),
            assignments,
            partitioned: None,
            after_columns,
            has_table_keyword: false,
            on,
            returning: None,
            output: None,
            replace_into,
            priority: None,
            insert_alias: None,
            settings: None,
            format_clause: None,
            multi_table_insert_type: None,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause: None,
        } = insert
        else {
            return Err("this form of INSERT is left to SQL".to_owned());
        };
        let extra = !optimizer_hints.is_empty()
            || !assignments.is_empty()
            || !after_columns.is_empty()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty();
        if extra {
            return Err("this form of INSERT is left to SQL".to_owned());
        }
        let (number, table) = self.table(name)?;
        let given = row_of(source)?;
        let places = places(table, columns)?;
        if places.len() != given.len() {
            return Err("it has not a value for each column".to_owned());
        }
        let scope = self.scope(table);
        let mut values = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            values.push(match places.iter().position(|place| *place == at) {
                Some(place) => scope.expression(&given[place])?,
                None => match &column.default {
                    Some(default) => Expression::Constant(default.clone()),
                    None => return Err(format!("the default of `{}` is left to SQL", column.name)),
                },
            });
        }
        let conflict = match (or, replace_into, on) {
            (None | Some(SqliteOnConflict::Abort), false, None) => Conflict::Abort,
            (Some(SqliteOnConflict::Ignore), false, None) => Conflict::Nothing,
            (Some(SqliteOnConflict::Replace), false, None) | (None, true, None) => Conflict::Replace,
            (None, false, Some(OnInsert::OnConflict(on))) => self.on_conflict(table, on)?,
            _ => return Err("this conflict clause is left to SQL".to_owned()),
        };
        Ok(Write::Insert {
            table: number,
            values,
            conflict,
        })
    }

    fn on_conflict(&self, table: &'a Table, on: &OnConflict) -> Recognised<Conflict> {
        match &on.conflict_target {
            None => {}
            Some(ConflictTarget::Columns(names)) => {
                let named = |at: &usize| {
                    let column = &table.columns[*at].name;
                    names.iter().any(|name| name.value.eq_ignore_ascii_case(column))
                };
                if names.len() != table.key.len() || !table.key.iter().all(named) {
                    return Err("its conflict is not that of the primary key".to_owned());
                }
            }
            Some(ConflictTarget::OnConstraint(_)) => return Err("this conflict clause is left to SQL".to_owned()),
        }
        match &on.action {
            OnConflictAction::DoNothing => Ok(Conflict::Nothing),
            OnConflictAction::DoUpdate(update) => {
                let scope = self.scope(table).with_row(true);
                let condition = update.selection.as_ref().map(|of| scope.expression(of));
                Ok(Conflict::Update {
                    condition: condition.transpose()?,
                    set: set_of(table, &update.assignments, &scope)?,
                })
            }
        }
    }

    fn update(&self, update: &Update) -> Recognised<Write> {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from: None,
            selection,
            returning: None,
            output: None,
            or: None | Some(SqliteOnConflict::Abort),
            order_by,
            limit: None,
        } = update
        else {
            return Err("this form of UPDATE is left to SQL".to_owned());
        };
        if !optimizer_hints.is_empty() || !order_by.is_empty() {
            return Err("this form of UPDATE is left to SQL".to_owned());
        }
        let (number, table) = self.table(plain_table(table)?)?;
        let Found { key, condition } = self.found(table, selection.as_ref())?;
        Ok(Write::Update {
            table: number,
            key,
            condition,
            set: set_of(table, assignments, &self.scope(table).with_row(false))?,
        })
    }

    fn delete(&self, delete: &Delete) -> Recognised<Write> {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from: FromTable::WithFromKeyword(from),
            using: None,
            selection,
            returning: None,
            output: None,
            order_by,
            limit: None,
        } = delete
        else {
            return Err("this form of DELETE is left to SQL".to_owned());
        };
        let ([from], true, true, true) = (
            from.as_slice(),
            optimizer_hints.is_empty(),
            tables.is_empty(),
            order_by.is_empty(),
        ) else {
            return Err("this form of DELETE is left to SQL".to_owned());
        };
        let (number, table) = self.table(plain_table(from)?)?;
        let Found { key, condition } = self.found(table, selection.as_ref())?;
        Ok(Write::Delete {
            table: number,
            key,
            condition,
        })
    }

    /// Takes the key out of a WHERE; what else it says is a condition.
    fn found(&self, table: &'a Table, selection: Option<&Expr>) -> Recognised<Found> {
        let mut parts = Vec::new();
        if let Some(selection) = selection {
            conjuncts(selection, &mut parts);
        }
        let event = self.scope(table);
        let row = event.with_row(false);
        let mut key: Vec<Option<Expression>> = table.key.iter().map(|_| None).collect();
        let mut condition: Option<Expression> = None;
        for part in parts {
            let keyed = key_part(table, part, &event);
            match keyed.and_then(|(place, value)| Some((key.get_mut(place).filter(|known| known.is_none())?, value))) {
                Some((known, value)) => *known = Some(value),
                None => {
                    let part = row.expression(part)?;
                    condition = Some(match condition {
                        Some(before) => Expression::And(Box::new(before), Box::new(part)),
                        None => part,
                    });
                }
            }
        }
        let key: Option<Vec<_>> = key.into_iter().collect();
        match key {
            Some(key) => Ok(Found { key, condition }),
            None => Err("its WHERE does not name the whole primary key".to_owned()),
        }
    }
}

/// The one row of VALUES.
fn row_of(source: &Query) -> Recognised<&[Expr]> {
    let Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = source
    else {
        return Err("it inserts more than VALUES".to_owned());
    };
    match &**body {
        SetExpr::Values(Values {
            explicit_row: false,
            value_keyword: false,
            rows,
        }) if locks.is_empty() && pipe_operators.is_empty() => match rows.as_slice() {
            [row] => Ok(&row.content),
            _ => Err("it inserts several rows".to_owned()),
        },
        _ => Err("it inserts what a SELECT returns".to_owned()),
    }
}

/// Which columns an INSERT names, each once.
fn places(table: &Table, names: &[ObjectName]) -> Recognised<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut places = Vec::new();
    for name in names {
        let place = single(name).and_then(|name| place(table, name));
        match place {
            Some(place) if !places.contains(&place) => places.push(place),
            _ => return Err(format!("`{name}` is not one column of its table")),
        }
    }
    Ok(places)
}

fn place(table: &Table, name: &str) -> Option<usize> {
    table
        .columns
        .iter()
        .position(|column| column.name.eq_ignore_ascii_case(name))
}

fn set_of(table: &Table, assignments: &[Assignment], scope: &Scope<'_>) -> Recognised<Vec<(usize, Expression)>> {
    let mut set: Vec<(usize, Expression)> = Vec::new();
    for Assignment { target, value } in assignments {
        let AssignmentTarget::ColumnName(name) = target else {
            return Err("it sets several columns at once".to_owned());
        };
        let at = single(name).and_then(|name| place(table, name));
        let Some(at) = at.filter(|at| set.iter().all(|(known, _)| known != at)) else {
            return Err(format!("`{name}` is not one column of its table"));
        };
        let value = scope.expression(value)?;
        if !table.key.contains(&at) {
            set.push((at, value));
        } else if !matches!(value, Expression::New(same) if same == at) {
            return Err(format!("it sets `{name}`, which is in the primary key"));
        }
    }
    Ok(set)
}

/// The parts of a WHERE that must all hold.
fn conjuncts<'e>(of: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match of {
        Expr::Nested(inner) => conjuncts(inner, parts),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        other => parts.push(other),
    }
}

/// A part that says what a column of the key is, from the event alone.
fn key_part(table: &Table, part: &Expr, event: &Scope<'_>) -> Option<(usize, Expression)> {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    } = part
    else {
        return None;
    };
    let of = |column: &Expr, value: &Expr| {
        let name = match column {
            Expr::Identifier(name) => name,
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [of, name] if of.value.eq_ignore_ascii_case(&table.name) => name,
                _ => return None,
            },
            _ => return None,
        };
        let at = place(table, &name.value)?;
        let place = table.key.iter().position(|key| *key == at)?;
        Some((place, event.expression(value).ok()?))
    };
    of(left, right).or_else(|| of(right, left))
}

fn plain_table(table: &TableWithJoins) -> Recognised<&ObjectName> {
    match table {
        TableWithJoins {
            relation:
                TableFactor::Table {
                    name,
                    alias: None,
                    args: None,
                    with_hints,
                    version: None,
                    with_ordinality: false,
                    partitions,
                    json_path: None,
                    sample: None,
                    index_hints,
                },
            joins,
        } if joins.is_empty() && with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => Ok(name),
        _ => Err("its table is not named alone".to_owned()),
    }
}

/// A name without a schema.
fn single(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.as_str()),
        _ => None,
    }
}

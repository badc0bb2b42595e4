//! Breakpoints: conditions in SQL on the rows and the event, to which the past is run forward or back.

use crate::readmodel::remembered::Remembered;
use crate::replay::step::{Goal, condition};

use super::super::super::job::Job;
use super::super::super::message::Effect;
use super::super::super::model::Model;
use super::super::super::moment::{Go, Shape};
use super::super::readmodel::quoted;
use super::go;

/// Conditions that are remembered.
const REMEMBERED: usize = 50;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What people typed, or what an invariant is called.
    pub text: String,
    /// The SELECT that says whether it holds.
    pub sql: String,
    /// Whether it is an invariant of the projection that is broken.
    pub invariant: bool,
}

impl Condition {
    /// A condition that was typed: a SELECT, or what might stand behind the WHERE of one over the table in view.
    pub fn typed(text: &str, table: Option<&Shape>) -> Self {
        Self {
            text: text.trim().trim_end_matches(';').trim_end().to_owned(),
            sql: condition(text, table.map(|table| quoted(&table.name)).as_deref()),
            invariant: false,
        }
    }

    fn remembered(&self) -> Remembered {
        Remembered {
            text: self.text.clone(),
            sql: self.sql.clone(),
        }
    }

    /// That an invariant does not hold.
    pub fn broken(name: &str, sql: &str) -> Self {
        Self {
            text: name.to_owned(),
            sql: format!("SELECT EXISTS ({sql})"),
            invariant: true,
        }
    }
}

impl From<Remembered> for Condition {
    fn from(one: Remembered) -> Self {
        Self {
            text: one.text,
            sql: one.sql,
            invariant: false,
        }
    }
}

/// Which way to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// The next event that makes it hold.
    End,
    /// The event before at which it held.
    Begin,
    /// The first of the whole log.
    First,
    /// The first after which it holds for good.
    FirstLasting,
}

/// Offers what was run to in earlier sessions, when another read model's past comes into view.
pub fn recall(model: &mut Model, read_model: String, remembered: Vec<Remembered>) {
    if model.conditions_of != read_model {
        model.conditions_of = read_model;
        model.conditions = remembered.into_iter().map(Condition::from).collect();
    }
}

/// Runs to a condition from here; one that is none is not kept at hand.
pub fn run(model: &mut Model, condition: Condition, towards: Towards, fx: &mut Vec<Effect>) {
    let sql = condition.sql.clone();
    let way = match towards {
        Towards::End => Go::Forward(Goal::Condition(sql)),
        Towards::Begin => Go::Back(Goal::Condition(sql)),
        Towards::First => Go::First(Goal::Condition(sql)),
        Towards::FirstLasting => Go::FirstLasting(sql),
    };
    go(model, way.clone(), fx);
    if let Some(time) = &mut model.time
        && time.way.as_ref() == Some(&way)
    {
        time.tried = Some(condition);
    }
}

/// Keeps the condition that was run to at hand: it was not refused.
pub(super) fn keep(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(condition) = model.time.as_mut().and_then(|time| time.tried.take()) else {
        return;
    };
    if !condition.invariant {
        model.conditions.retain(|known| known.text != condition.text);
        model.conditions.push(condition.clone());
        if model.conditions.len() > REMEMBERED {
            model.conditions.remove(0);
        }
        let all = model.conditions.iter().map(Condition::remembered).collect();
        model.start(Job::Remember(model.conditions_of.clone(), all), fx);
    }
    if let Some(time) = &mut model.time {
        time.condition = Some(condition);
    }
}

/// Runs to the condition that is at hand.
pub fn again(model: &mut Model, towards: Towards, fx: &mut Vec<Effect>) {
    if let Some(condition) = model.time.as_ref().and_then(|time| time.condition.clone()) {
        run(model, condition, towards, fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_a_select() {
        let table = Shape {
            name: "account".into(),
            columns: vec!["id".into()],
            key: vec![0],
        };
        let sql = |text: &str| Condition::typed(text, Some(&table)).sql;
        assert_eq!(sql(" SELECT 1 ; "), "SELECT 1");
        assert_eq!(
            sql("with t as (select 1) select * from t"),
            "with t as (select 1) select * from t"
        );
        assert_eq!(
            sql("balance < 0"),
            "SELECT EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN account WHERE balance < 0)"
        );
        assert!(sql("selected = 1").starts_with("SELECT EXISTS"));
        assert_eq!(Condition::typed(":amount > 5", None).sql, "SELECT :amount > 5");
    }
}

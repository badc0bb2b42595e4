//! The rows that a test expects against those that came.

use serde_json::Value;

use crate::projection::Expect;
use crate::readmodel::query::Rows;

use super::super::show;

/// Rows of a difference that are listed.
const LISTED: usize = 20;

/// How rows differ.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// What the rows alone do not say.
    pub(super) reason: Option<String>,
    /// Expected and not there.
    pub(super) missing: Vec<Value>,
    /// There and not expected.
    pub(super) unexpected: Vec<Value>,
}

impl Difference {
    /// A line each: `- ` what was expected, `+ ` what came.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.reason.iter().cloned().collect();
        for (sign, rows) in [('-', &self.missing), ('+', &self.unexpected)] {
            lines.extend(rows.iter().take(LISTED).map(|row| format!("{sign} {}", text(row))));
            if rows.len() > LISTED {
                lines.push(format!("{sign} … and {} more", rows.len() - LISTED));
            }
        }
        lines
    }
}

/// A row as people write it into a test.
fn text(row: &Value) -> String {
    match row {
        Value::Array(cells) => {
            let cells: Vec<String> = cells.iter().map(Value::to_string).collect();
            format!("[{}]", cells.join(", "))
        }
        other => other.to_string(),
    }
}

/// `None` where the rows are as expected.
pub(super) fn compare(expect: &Expect, rows: Rows) -> Option<Difference> {
    let truncated = rows.truncated;
    let came: Vec<Vec<Value>> = rows
        .rows
        .into_iter()
        .map(|row| row.into_iter().map(show::cell_json).collect())
        .collect();
    let Some(expected) = &expect.rows else {
        return truth(came);
    };
    let expected: Vec<Vec<Value>> = expected.iter().map(|row| row.cells.clone()).collect();
    let (missing, unexpected) = if expect.ordered {
        in_order(expected, came)
    } else {
        in_any_order(expected, came)
    };
    if missing.is_empty() && unexpected.is_empty() {
        return None;
    }
    let turned = expect.ordered && in_any_order(missing.clone(), unexpected.clone()) == (Vec::new(), Vec::new());
    let reason = if truncated {
        Some("there are more rows than are looked at".to_owned())
    } else {
        turned.then(|| "the same rows in another order".to_owned())
    };
    let values = |rows: Vec<Vec<Value>>| rows.into_iter().map(Value::Array).collect();
    Some(Difference {
        reason,
        missing: values(missing),
        unexpected: values(unexpected),
    })
}

/// Without rows to compare with: at least one row, and one that says something.
fn truth(came: Vec<Vec<Value>>) -> Option<Difference> {
    let failed = |reason: &str, unexpected| {
        Some(Difference {
            reason: Some(reason.to_owned()),
            missing: Vec::new(),
            unexpected,
        })
    };
    if came.is_empty() {
        return failed("no row was found, and at least one is expected", Vec::new());
    }
    let says_no = |row: &Vec<Value>| matches!(row.as_slice(), [only] if only.is_null() || same(only, &Value::from(0)));
    let no: Vec<Value> = came.into_iter().filter(says_no).map(Value::Array).collect();
    if no.is_empty() {
        return None;
    }
    failed(
        "0 and NULL are not true; if they are right, expect them with `-- =`",
        no,
    )
}

type Lists = (Vec<Vec<Value>>, Vec<Vec<Value>>);

fn in_order(mut expected: Vec<Vec<Value>>, mut came: Vec<Vec<Value>>) -> Lists {
    let same_at_start = expected.iter().zip(&came).take_while(|(a, b)| same_row(a, b)).count();
    expected.drain(..same_at_start);
    came.drain(..same_at_start);
    let same_at_end = expected
        .iter()
        .rev()
        .zip(came.iter().rev())
        .take_while(|(a, b)| same_row(a, b));
    let same_at_end = same_at_end.count();
    expected.truncate(expected.len() - same_at_end);
    came.truncate(came.len() - same_at_end);
    (expected, came)
}

fn in_any_order(expected: Vec<Vec<Value>>, mut came: Vec<Vec<Value>>) -> Lists {
    let mut missing = Vec::new();
    for row in expected {
        match came.iter().position(|other| same_row(&row, other)) {
            Some(at) => drop(came.remove(at)),
            None => missing.push(row),
        }
    }
    (missing, came)
}

fn same_row(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Numbers are equal as numbers, and `true` and `false` are 1 and 0, as SQLite has them.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(yes) => Value::from(u8::from(*yes)),
        other => other.clone(),
    };
    match (number(a), number(b)) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Step;
    use crate::projection::parse::parse;
    use crate::readmodel::query::Cell;

    fn expect(tests: &str) -> Expect {
        let source = format!("-- projection: p\n-- topic: t\nCREATE TABLE t (a);\n-- on: *\nDELETE FROM t;\n{tests}");
        let projection = parse(&source, "p.sql").unwrap();
        let step = projection.tests.into_iter().flat_map(|test| test.steps).next();
        let Some(Step::Expect(expect)) = step else {
            panic!("{tests}");
        };
        expect
    }

    fn rows(cells: &[&[Cell]]) -> Rows {
        Rows {
            columns: Vec::new(),
            rows: cells.iter().map(|row| row.to_vec()).collect(),
            truncated: false,
        }
    }

    fn lines(tests: &str, cells: &[&[Cell]]) -> Vec<String> {
        compare(&expect(tests), rows(cells)).map_or_else(Vec::new, |difference| difference.lines())
    }

    const ONE: &[Cell] = &[Cell::Integer(1)];
    const TWO: &[Cell] = &[Cell::Integer(2)];
    const ZERO: &[Cell] = &[Cell::Integer(0)];
    const NULL: &[Cell] = &[Cell::Null];

    #[test]
    fn without_rows_something_true_must_be_found() {
        let plain = "-- expect: SELECT a FROM t";
        assert!(lines(plain, &[ONE, TWO]).is_empty());
        assert!(lines(plain, &[&[Cell::Text("a".to_owned())]]).is_empty());
        assert!(lines(plain, &[&[Cell::Null, Cell::Integer(0)]]).is_empty());
        assert!(lines(plain, &[])[0].contains("no row"));
        assert_eq!(lines(plain, &[ONE, ZERO, NULL])[1..], ["+ [0]", "+ [null]"]);
        assert_eq!(lines(plain, &[&[Cell::Real(0.0)]]).len(), 2);
    }

    #[test]
    fn rows_are_compared_in_any_order_unless_the_select_has_one() {
        let both = "-- expect: SELECT a FROM t\n-- = 1\n-- = [2]";
        assert!(lines(both, &[TWO, ONE]).is_empty());
        assert_eq!(lines(both, &[TWO, TWO]), ["- [1]", "+ [2]"]);
        let ordered = both.replace("FROM t", "FROM t ORDER BY a");
        assert!(lines(&ordered, &[ONE, TWO]).is_empty());
        assert_eq!(lines(&ordered, &[TWO, ONE])[0], "the same rows in another order");
        assert_eq!(lines(&ordered, &[ONE, ZERO, TWO]), ["+ [0]"]);
        let within = both.replace("FROM t", "FROM (SELECT a FROM t ORDER BY a)");
        assert!(lines(&within, &[TWO, ONE]).is_empty());
    }

    #[test]
    fn values_are_those_of_a_dump() {
        let row: &[Cell] = &[
            Cell::Real(10.0),
            Cell::Integer(1),
            Cell::Text("x".to_owned()),
            Cell::Blob(vec![0, 255]),
            Cell::Null,
        ];
        assert!(
            lines(
                "-- expect: SELECT *\n-- = [10, true, \"x\", {\"blob\": \"00ff\"}, null]",
                &[row]
            )
            .is_empty()
        );
        assert_eq!(lines("-- expect: SELECT *\n-- = \"1\"", &[ONE]), ["- [\"1\"]", "+ [1]"]);
        assert_eq!(lines("-- expect: SELECT *\n-- = no rows", &[ONE]), ["+ [1]"]);
        assert!(lines("-- expect: SELECT *\n-- = no rows", &[]).is_empty());
        let big = [Cell::Integer(i64::MAX)];
        assert_eq!(lines("-- expect: SELECT *\n-- = 9223372036854775806", &[&big]).len(), 2);
    }
}

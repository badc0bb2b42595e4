//! What a chart shows, taken from the rows of a query. Bounded, whatever the rows hold: so many points, series, cells and
//! characters; what is left out is counted.

use std::collections::BTreeMap;

use crate::decode::printable::one_line;
use crate::readmodel::query::{Cell, Rows};

use super::{Kind, MAX_ROWS};

/// The most characters of a label.
const LABEL: usize = 80;
/// The most series of a line chart: more are not told apart.
const SERIES: usize = 8;
/// The most rows, and the most columns, of a heat map.
const SIDE: usize = 200;
/// The most columns of a histogram.
const BINS: usize = 24;
/// Whole numbers from here on are taken for milliseconds since 1970, as all do from March 1973 on.
const TIMES: f64 = 1e11;

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the numbers are; empty where nobody says.
    pub unit: String,
    /// How it is drawn.
    pub kind: Kind,
    /// What is drawn.
    pub data: Data,
    /// What is not.
    pub left: Left,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Values, each beside the most that it can be.
    Gauges(Vec<Dial>),
    /// Series of points, and whether they lie in time.
    Lines {
        /// Each with its points in the order of x.
        series: Vec<Series>,
        /// Whether x is milliseconds since 1970.
        time: bool,
    },
    /// How many values lie where.
    Bins(Vec<Bin>),
    /// A bar each.
    Bars(Vec<Bar>),
    /// A number for each row and column, where there is one.
    Heat(Shape),
}

/// A value of a gauge.
#[derive(Debug, Clone, PartialEq)]
pub struct Dial {
    /// What it is called; may be empty.
    pub label: String,
    /// The value.
    pub value: f64,
    /// The most that it can be, where that is known and more than 0.
    pub max: Option<f64>,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is called; empty where there is one without a name.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
}

/// Values that lie between two bounds: from the lower one on, and below the upper one but for the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The lower bound.
    pub from: f64,
    /// The upper bound.
    pub to: f64,
    /// How many.
    pub count: u64,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is called.
    pub label: String,
    /// How long it is.
    pub value: f64,
}

/// The cells of a heat map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape {
    /// What the rows are called.
    pub rows: Vec<String>,
    /// What the columns are called.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub cells: Vec<Vec<Option<f64>>>,
}

/// What a chart leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Whether the query has more rows than a chart is made of.
    pub rows: bool,
    /// Rows where no number stands that must.
    pub numberless: usize,
    /// Series, rows or columns beyond those that can be told apart.
    pub parts: usize,
}

impl Chart {
    /// A chart of the rows, or why they cannot be drawn so.
    pub fn of(kind: Kind, title: &str, unit: &str, rows: &Rows) -> Result<Self, String> {
        if let Some(why) = kind.refusal(rows.columns.len()) {
            return Err(why);
        }
        let mut left = Left {
            rows: rows.truncated || rows.rows.len() > MAX_ROWS,
            ..Left::default()
        };
        let all = &rows.rows[..rows.rows.len().min(MAX_ROWS)];
        let data = match kind {
            Kind::Gauge => Data::Gauges(numbered(all, 0, &mut left, dial)),
            Kind::Line => lines(all, &mut left),
            Kind::Histogram => Data::Bins(bins(numbered(all, 0, &mut left, |_, value| value))),
            Kind::Bar | Kind::Top => {
                let mut bars = numbered(all, 1, &mut left, |row, value| Bar {
                    label: label(&row[0]),
                    value,
                });
                if kind == Kind::Top {
                    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
                }
                Data::Bars(bars)
            }
            Kind::Heat => heat(all, &mut left),
        };
        Ok(Self {
            title: cut(title),
            unit: cut(unit),
            kind,
            data,
            left,
        })
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        match &self.data {
            Data::Gauges(dials) => dials.is_empty(),
            Data::Lines { series, .. } => series.is_empty(),
            Data::Bins(bins) => bins.is_empty(),
            Data::Bars(bars) => bars.is_empty(),
            Data::Heat(shape) => shape.cells.is_empty(),
        }
    }
}

/// What a cell is as a number; text that is one counts, as SQLite itself would take it.
pub(super) fn number(cell: &Cell) -> Option<f64> {
    let number = match cell {
        Cell::Integer(value) => *value as f64,
        Cell::Real(value) => *value,
        Cell::Text(text) => text.trim().parse().ok()?,
        Cell::Null | Cell::Blob(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// What a cell is as a label: one line, with nothing that a terminal would act on.
fn label(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:?}"),
        Cell::Text(text) => cut(text),
        Cell::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn cut(text: &str) -> String {
    let line = one_line(text.as_bytes(), LABEL);
    if line.cut { line.text + "…" } else { line.text }
}

/// What is made of each row that has a number in column `at`; the others are counted.
fn numbered<T>(rows: &[Vec<Cell>], at: usize, left: &mut Left, make: impl Fn(&[Cell], f64) -> T) -> Vec<T> {
    let made: Vec<T> = rows
        .iter()
        .filter_map(|row| Some(make(row, number(row.get(at)?)?)))
        .collect();
    left.numberless += rows.len() - made.len();
    made
}

fn dial(row: &[Cell], value: f64) -> Dial {
    Dial {
        label: row.get(2).map(label).unwrap_or_default(),
        value,
        max: row.get(1).and_then(number).filter(|max| *max > 0.0),
    }
}

fn lines(rows: &[Vec<Cell>], left: &mut Left) -> Data {
    let mut series: Vec<Series> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let mut time = true;
    for row in rows {
        let (Some(x), Some(y)) = (number(&row[0]), number(&row[1])) else {
            left.numberless += 1;
            continue;
        };
        let name = row.get(2).map(label).unwrap_or_default();
        let at = series.iter().position(|known| known.name == name);
        let at = match at {
            Some(at) => at,
            None if series.len() < SERIES => {
                series.push(Series {
                    name,
                    points: Vec::new(),
                });
                series.len() - 1
            }
            None => {
                if !others.contains(&name) {
                    others.push(name);
                }
                continue;
            }
        };
        time &= x >= TIMES && x.fract() == 0.0;
        series[at].points.push((x, y));
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    left.parts += others.len();
    Data::Lines { series, time }
}

/// Values counted between round bounds.
fn bins(values: Vec<f64>) -> Vec<Bin> {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
    if values.is_empty() {
        return Vec::new();
    }
    // Sturges' rule: few bins for few values, so that each says something.
    let wanted = ((values.len() as f64).log2().ceil() as usize + 1).clamp(1, BINS / 2);
    let mut step = super::scale::step(low, high, wanted);
    if values.iter().all(|value| value.fract() == 0.0) {
        step = step.max(1.0);
    }
    if high == low || !step.is_normal() {
        step = if high == 0.0 { 1.0 } else { high.abs() };
    }
    let first = (low / step).floor() * step;
    let count = ((((high - first) / step).floor() as usize).saturating_add(1)).min(BINS * 2);
    let mut bins: Vec<Bin> = (0..count)
        .map(|at| Bin {
            from: first + step * at as f64,
            to: first + step * (at + 1) as f64,
            count: 0,
        })
        .collect();
    for value in values {
        let at = (((value - first) / step).floor().max(0.0) as usize).min(count - 1);
        bins[at].count += 1;
    }
    bins
}

fn heat(rows: &[Vec<Cell>], left: &mut Left) -> Data {
    let mut shape = Shape::default();
    let mut places: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let find = |names: &mut Vec<String>, cell: &Cell, left: &mut Left| {
        let name = label(cell);
        if let Some(at) = names.iter().position(|known| *known == name) {
            return Some(at);
        }
        if names.len() == SIDE {
            left.parts += 1;
            return None;
        }
        names.push(name);
        Some(names.len() - 1)
    };
    for row in rows {
        // Where nothing stands, the place is there all the same, and empty.
        let value = number(&row[2]);
        left.numberless += usize::from(value.is_none() && row[2] != Cell::Null);
        let (at, column) = (
            find(&mut shape.rows, &row[0], left),
            find(&mut shape.columns, &row[1], left),
        );
        if let (Some(at), Some(column), Some(value)) = (at, column, value) {
            // A place that comes twice is the sum of both: nothing is dropped unseen.
            *places.entry((at, column)).or_default() += value;
        }
    }
    let order = order(&shape.columns, rows);
    shape.cells = vec![vec![None; shape.columns.len()]; shape.rows.len()];
    for ((row, column), value) in places {
        shape.cells[row][order[column]] = Some(value);
    }
    let mut columns = vec![String::new(); shape.columns.len()];
    for (name, at) in shape.columns.into_iter().zip(order) {
        columns[at] = name;
    }
    shape.columns = columns;
    Data::Heat(shape)
}

/// The place of each column: in the order of their names where the query has them so within each row, for then a row may lack some
/// that another has; else as they come.
fn order(columns: &[String], rows: &[Vec<Cell>]) -> Vec<usize> {
    let mut sorted = rows.windows(2).filter(|two| label(&two[0][0]) == label(&two[1][0]));
    if !sorted.all(|two| before(&label(&two[0][1]), &label(&two[1][1]))) {
        return (0..columns.len()).collect();
    }
    let mut by_name: Vec<usize> = (0..columns.len()).collect();
    by_name.sort_by(|a, b| compare(&columns[*a], &columns[*b]));
    let mut places = vec![0; columns.len()];
    for (place, column) in by_name.into_iter().enumerate() {
        places[column] = place;
    }
    places
}

fn before(a: &str, b: &str) -> bool {
    compare(a, b) != std::cmp::Ordering::Greater
}

/// Numbers as numbers, before all else; else as text.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

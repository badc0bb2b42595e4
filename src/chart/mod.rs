//! Charts as data: rows of a query in, what there is to draw out. Pure; the terminal, the reports and the metrics share it.

pub mod cells;
mod data;
mod guess;
pub mod scale;
pub mod svg;

use serde::Deserialize;

pub use data::{Bar, Bin, Chart, Data, Dial, Left, Series, Shape};
pub use guess::guess;

/// The most rows of a query that a chart is made of.
pub const MAX_ROWS: usize = 10_000;

/// How rows are drawn, which is also what their columns must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A value, of at most so much where a second column says that, called what a third one says; a gauge for each row.
    Gauge,
    /// A number over time or over another number; a third column tells series apart.
    Line,
    /// How often values come.
    Histogram,
    /// A bar for each row, in the query's order.
    Bar,
    /// A bar for each row, the largest first.
    Top,
    /// A number for each row and column.
    Heat,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Gauge,
        Self::Line,
        Self::Histogram,
        Self::Bar,
        Self::Top,
        Self::Heat,
    ];

    /// What it is called, in `demo.toml` and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Line => "line",
            Self::Histogram => "histogram",
            Self::Bar => "bar",
            Self::Top => "top",
            Self::Heat => "heat",
        }
    }

    /// What its columns hold, in their order; those that may be left out come last.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Gauge => &["value", "max", "label"],
            Self::Line => &["x", "y", "series"],
            Self::Histogram => &["value"],
            Self::Bar | Self::Top => &["label", "value"],
            Self::Heat => &["row", "column", "value"],
        }
    }

    /// How many columns it needs at least.
    pub fn needs(self) -> usize {
        match self {
            Self::Gauge => 1,
            Self::Line => 2,
            kind => kind.columns().len(),
        }
    }

    /// Why a query with `count` columns cannot be drawn so; `None` where it can.
    pub fn refusal(self, count: usize) -> Option<String> {
        let columns = self.columns();
        if (self.needs()..=columns.len()).contains(&count) {
            return None;
        }
        let (needed, more) = columns.split_at(self.needs());
        let mut wanted = needed.join(", ");
        if !more.is_empty() {
            wanted.push_str(&format!(" [, {}]", more.join(", ")));
        }
        let returned = if count == 1 { "1 column" } else { "columns" };
        let returned = if count == 1 {
            returned.to_owned()
        } else {
            format!("{count} {returned}")
        };
        Some(format!(
            "a chart of kind `{}` is made of the columns {wanted}; the query returns {returned}",
            self.word()
        ))
    }
}

#[cfg(test)]
mod tests;

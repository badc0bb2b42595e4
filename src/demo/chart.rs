//! `[[charts]]`: what people would rather look at than read. Checked when the demo is read, against the empty tables of its read
//! models.

use serde::Deserialize;
use toml::Spanned;

use crate::chart::{Chart, Kind, Left, MAX_ROWS};
use crate::decode::printable::grouped;
use crate::readmodel::blank::Blank;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::query::Session;

use super::catalog::Demo;
use super::error::DemoError;
use super::load::Loader;
use super::text::{Language, Text};

/// A chart as `demo.toml` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    title: Spanned<Text>,
    kind: Kind,
    sql: Spanned<String>,
    unit: Option<Unit>,
    /// The read model that it leads to; the first that its query names where it is not given.
    store: Option<Spanned<String>>,
}

/// What the numbers are: `"ms"`, or `{ en = "orders", zh = "单" }`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Unit {
    Same(String),
    Each(Text),
}

impl Unit {
    fn text(self) -> Text {
        match self {
            Self::Same(unit) => Text {
                en: Some(unit),
                zh: None,
            },
            Self::Each(text) => text,
        }
    }
}

/// A chart of a demo.
#[derive(Debug, Clone)]
pub struct DemoChart {
    /// What it shows.
    pub title: Text,
    /// How it is drawn.
    pub kind: Kind,
    /// The query that brings its numbers.
    pub sql: String,
    /// What the numbers are, where that is said.
    pub unit: Text,
    /// The read model that it leads to.
    pub store: String,
}

/// Reads the charts of `demo`, whose read models are there.
pub(super) fn read(loader: &Loader<'_>, written: Vec<Written>, demo: &Demo) -> Result<Vec<DemoChart>, DemoError> {
    written.into_iter().map(|chart| read_one(loader, chart, demo)).collect()
}

fn read_one(loader: &Loader<'_>, chart: Written, demo: &Demo) -> Result<DemoChart, DemoError> {
    if chart.title.get_ref().is_empty() {
        let help = "`title = { en = \"…\", zh = \"…\" }`: one of them is enough";
        return Err(loader.wrong(chart.title.span(), "this chart has no title", "empty", Some(help)));
    }
    let (sql, span) = (chart.sql.get_ref(), chart.sql.span());
    let models: Vec<_> = demo.read_models().collect();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let there = match names.as_slice() {
        [] => "the demo has no read model at all".to_owned(),
        names => format!("the demo's read models are {}", names.join(", ")),
    };
    let blank = Blank::of(&models, sql)?;
    let Some(first) = blank.named().first().cloned() else {
        let message = "this chart asks no read model of the demo";
        return Err(loader.wrong(span, message, "this query", Some(&there)));
    };
    let columns = blank.columns(sql).map_err(|error| match error {
        ReadModelError::Query { message, help, .. } => {
            loader.wrong(span.clone(), message, "this query", help.as_deref().or(Some(&there)))
        }
        error => error.into(),
    })?;
    if let Some(why) = chart.kind.refusal(columns.len()) {
        return Err(loader.wrong(span, why, "this query", None));
    }
    let store = match &chart.store {
        None => first,
        Some(store) if names.contains(&store.get_ref().as_str()) => store.get_ref().clone(),
        Some(store) => {
            let message = format!("the demo has no read model `{}`", store.get_ref());
            return Err(loader.wrong(store.span(), message, "named here", Some(&there)));
        }
    };
    Ok(DemoChart {
        title: chart.title.into_inner(),
        kind: chart.kind,
        sql: chart.sql.into_inner(),
        unit: chart.unit.map(Unit::text).unwrap_or_default(),
        store,
    })
}

/// A chart as it is now, or why there is none.
#[derive(Debug)]
pub struct Shown {
    /// What it shows.
    pub title: String,
    /// How it is drawn.
    pub kind: Kind,
    /// The read model that it leads to.
    pub store: String,
    /// What is drawn.
    pub chart: Result<Chart, ReadModelError>,
}

impl DemoChart {
    /// Asks for its numbers.
    pub fn ask(&self, session: &Session, language: Language) -> Shown {
        let title = self.title.get(language);
        let ask = || {
            let rows = session.query(&self.sql, MAX_ROWS)?;
            let chart = Chart::of(self.kind, title, self.unit.get(language), &rows);
            chart.map_err(|message| ReadModelError::Query {
                message,
                sql: self.sql.clone(),
                at: None,
                help: None,
            })
        };
        Shown {
            title: title.to_owned(),
            kind: self.kind,
            store: self.store.clone(),
            chart: ask(),
        }
    }
}

/// What a chart leaves out, in words; nothing where it shows all.
pub fn left_out(left: Left, language: Language) -> Vec<String> {
    let rows = grouped(MAX_ROWS as u64);
    let mut said = Vec::new();
    let mut say = |en: String, zh: String| {
        said.push(match language {
            Language::English => en,
            Language::Chinese => zh,
        });
    };
    if left.rows {
        say(format!("the first {rows} rows only"), format!("只有前 {rows} 行"));
    }
    if left.numberless > 0 {
        let count = grouped(left.numberless as u64);
        say(
            format!("rows without a number: {count}"),
            format!("没有数值的行：{count}"),
        );
    }
    if left.parts > 0 {
        let count = grouped(left.parts as u64);
        say(format!("not shown: {count} more"), format!("另有 {count} 个未显示"));
    }
    said
}

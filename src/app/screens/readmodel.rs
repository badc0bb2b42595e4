//! The read models: their tables, their rows, and SQL over all of them.

use crate::chart::{Chart, guess};
use crate::readmodel::query::Rows;

use super::super::job::{Failure, Job, TableRow};
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Model, Pane};
use super::super::remote::Remote;

/// How many rows a page of a table has.
pub const PAGE_ROWS: u64 = 500;
/// The most rows that a query of one's own brings.
pub const MAX_ROWS: usize = 1_000;
/// What stands where the rows of a query that was stopped would stand.
const STOPPED: &str = "the query was stopped\n\ns changes it, ^R runs it again";

/// The read-model screen.
#[derive(Debug, Clone, Default)]
pub struct ReadModel {
    /// The cursor and filter of the tables.
    pub list: List,
    /// The tables of every read model.
    pub tables: Remote<Vec<TableRow>>,
    /// The rows.
    pub rows: Remote<Rows>,
    /// The query that brings the rows.
    pub sql: String,
    /// The table whose pages are shown, with the first row of the page; `None` for a query of one's own.
    pub page: Option<(usize, u64)>,
    /// The row under the cursor.
    pub row: usize,
    /// The chart that the rows make, where that is shown instead of them.
    pub chart: Option<Chart>,
    /// Whether the row under the cursor is shown whole instead of all rows in columns.
    pub whole: bool,
    /// The column under the cursor.
    pub column: usize,
    /// Queries of one's own, oldest first.
    pub history: Vec<String>,
    /// The read model to show once the tables are known.
    pub wanted: Option<String>,
}

impl ReadModel {
    /// The table under the cursor.
    pub fn selected(&self) -> Option<&TableRow> {
        self.tables.value.as_ref()?.get(self.list.selected()?)
    }

    /// Recomputes what is shown.
    pub fn refresh(&mut self) {
        let rows = self.tables.value.as_deref().unwrap_or_default();
        self.list.refresh(rows.len(), |i, filter| {
            format!("{}.{}", rows[i].read_model, rows[i].table.name)
                .to_lowercase()
                .contains(filter)
        });
    }

    /// How many rows are in view.
    pub fn len(&self) -> usize {
        self.rows.value.as_ref().map_or(0, |r| r.rows.len())
    }

    /// Whether no row is in view.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A name as SQL takes it: quoted only where it must be.
pub(super) fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit()));
    if plain && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// What a SELECT of a table's columns says: `*`, unless the key is a rowid, which `*` leaves out where it is no column.
pub(super) fn all_of<'c>(columns: impl Iterator<Item = &'c str> + Clone) -> String {
    match columns.clone().next() {
        Some(first) if first.eq_ignore_ascii_case("rowid") => {
            // A column may have a keyword's name.
            let all: Vec<String> = columns
                .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
                .collect();
            all.join(", ")
        }
        _ => "*".to_owned(),
    }
}

/// Asks for the tables.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.cluster.value.is_some() && model.readmodel.tables.task.is_none() {
        model.readmodel.tables.task = Some(model.start(Job::Tables, fx));
    }
}

/// Takes the tables and shows the rows of the one that is wanted.
pub fn answer(model: &mut Model, tables: Vec<TableRow>, fx: &mut Vec<Effect>) {
    let before = model
        .readmodel
        .selected()
        .map(|t| (t.read_model.clone(), t.table.name.clone()));
    let state = &mut model.readmodel;
    state.tables.answer(tables);
    state.refresh();
    let all = state.tables.value.as_deref().unwrap_or_default();
    let wanted = state.wanted.take();
    let found = match (&wanted, &before) {
        (Some(name), _) => all.iter().position(|t| t.read_model == *name),
        (None, Some(b)) => all.iter().position(|t| t.read_model == b.0 && t.table.name == b.1),
        _ => None,
    };
    if let Some(item) = found {
        state.list.select(item);
    }
    let item = state.list.selected();
    match (state.page, item, wanted) {
        // The cursor stays where it stands: whoever comes back from elsewhere looks on.
        (Some((_, skip)), Some(item), None) if found == Some(item) => {
            let (row, whole) = (state.row, state.whole);
            show_page(model, item, skip, fx);
            (model.readmodel.row, model.readmodel.whole) = (row, whole);
        }
        (None, _, None) if !model.readmodel.sql.is_empty() => {}
        _ => show_table(model, fx),
    }
}

/// Shows the first rows of the table under the cursor.
pub fn show_table(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(item) = model.readmodel.list.selected() {
        if model.readmodel.page.is_none_or(|(shown, _)| shown != item) {
            model.readmodel.column = 0;
        }
        show_page(model, item, 0, fx);
    }
}

fn show_page(model: &mut Model, item: usize, skip: u64, fx: &mut Vec<Effect>) {
    let Some(table) = model.readmodel.tables.value.as_ref().and_then(|all| all.get(item)) else {
        return;
    };
    let mut sql = format!(
        "SELECT {} FROM {}.{}",
        all_of(table.table.columns.iter().map(|(name, _)| name.as_str())),
        quoted(&table.read_model),
        quoted(&table.table.name)
    );
    if !table.table.primary_key.is_empty() {
        let key: Vec<String> = table.table.primary_key.iter().map(|c| quoted(c)).collect();
        sql = format!("{sql} ORDER BY {}", key.join(", "));
    }
    sql = format!("{sql} LIMIT {PAGE_ROWS}");
    if skip > 0 {
        sql = format!("{sql} OFFSET {skip}");
    }
    query(model, sql, fx);
    model.readmodel.page = Some((item, skip));
}

/// Runs a query and shows what it brings.
pub fn query(model: &mut Model, sql: String, fx: &mut Vec<Effect>) {
    fx.extend(model.readmodel.rows.task.take().map(Effect::Cancel));
    let task = model.start(
        Job::Query {
            sql: sql.clone(),
            limit: MAX_ROWS,
        },
        fx,
    );
    let state = &mut model.readmodel;
    state.rows.task = Some(task);
    state.rows.error = None;
    state.sql = sql;
    state.page = None;
    state.row = 0;
    state.whole = false;
    model.detail = 0;
}

/// Runs a query of one's own and remembers it.
pub fn own_query(model: &mut Model, sql: &str, fx: &mut Vec<Effect>) {
    model.readmodel.history.retain(|q| q != sql);
    model.readmodel.history.push(sql.to_owned());
    query(model, sql.to_owned(), fx);
    model.readmodel.column = 0;
    // It may take long, and rows of another query under it would be taken for its answer.
    model.readmodel.rows.value = None;
    model.pane = Pane::Detail;
}

/// Asks again for what is in view.
pub fn again(model: &mut Model, fx: &mut Vec<Effect>) {
    ask(model, fx);
    if model.readmodel.page.is_none() && !model.readmodel.sql.is_empty() {
        query(model, model.readmodel.sql.clone(), fx);
    }
}

/// Stops the query that runs; false if none does.
pub fn stop(model: &mut Model, fx: &mut Vec<Effect>) -> bool {
    let Some(task) = model.readmodel.rows.task else {
        return false;
    };
    fx.push(Effect::Cancel(task));
    failed(model, Failure::new(STOPPED));
    true
}

/// Takes a failure. What an earlier query brought is no answer to this one.
pub fn failed(model: &mut Model, failure: Failure) {
    model.readmodel.rows.value = None;
    model.readmodel.rows.fail(failure);
}

/// Takes the rows.
pub fn rows(model: &mut Model, rows: Rows) {
    let state = &mut model.readmodel;
    if state.chart.is_some() {
        state.chart = drawn(&rows);
    }
    state.rows.answer(rows);
    state.row = state.row.min(state.len().saturating_sub(1));
    let last = state
        .rows
        .value
        .as_ref()
        .map_or(0, |rows| rows.columns.len().saturating_sub(1));
    state.column = state.column.min(last);
}

/// The chart that rows make.
fn drawn(rows: &Rows) -> Option<Chart> {
    let (kind, taken) = guess(rows)?;
    Chart::of(kind, "", "", &taken).ok()
}

/// Why the rows in view are no chart.
pub fn chart_refusal(model: &Model) -> Option<&'static str> {
    let state = &model.readmodel;
    match &state.rows.value {
        _ if state.chart.is_some() => None,
        None => Some("there are no rows"),
        Some(rows) if guess(rows).is_none() => Some("no column of these rows has numbers, which a chart is made of"),
        Some(_) => None,
    }
}

/// Shows the rows as a chart, or again as rows.
pub fn toggle_chart(model: &mut Model) {
    let state = &mut model.readmodel;
    state.chart = match state.chart {
        Some(_) => None,
        None => state.rows.value.as_ref().and_then(drawn),
    };
    state.whole = false;
}

/// Moves the row's cursor; past the end of a page the next one is read, and before its begin the one before.
pub fn step(model: &mut Model, by: isize, fx: &mut Vec<Effect>) {
    let state = &mut model.readmodel;
    let last = state.len().saturating_sub(1);
    if let Some((item, skip)) = state.page
        && state.rows.task.is_none()
    {
        let table = state.tables.value.as_ref().and_then(|t| t.get(item));
        let more = match table.map(|t| t.table.rows) {
            Some(Some(all)) => skip + PAGE_ROWS < all,
            // Nobody counted a view's rows: as long as a page is full there may be another.
            Some(None) => state.len() as u64 == PAGE_ROWS,
            None => false,
        };
        if by > 0 && state.row == last && more {
            show_page(model, item, skip + PAGE_ROWS, fx);
            return;
        }
        if by < 0 && state.row == 0 && skip > 0 {
            show_page(model, item, skip.saturating_sub(PAGE_ROWS), fx);
            model.readmodel.row = PAGE_ROWS as usize - 1;
            return;
        }
    }
    state.row = state.row.saturating_add_signed(by).min(last);
}

#[cfg(test)]
mod tests {
    use super::{all_of, quoted};

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(quoted("account_balance"), "account_balance");
        assert_eq!(quoted("2nd"), "\"2nd\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    /// A full-text index's rows are found by a rowid that is no column.
    #[test]
    fn a_key_that_is_no_column_is_asked_for_by_name() {
        assert_eq!(
            all_of(["rowid", "text", "from"].into_iter()),
            "\"rowid\", \"text\", \"from\""
        );
        assert_eq!(all_of(["id", "rowid"].into_iter()), "*");
    }
}

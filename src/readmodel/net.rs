//! What an event did in all: the rows as they were before it and as they are after it, however often it wrote them in between.

use std::collections::HashMap;
use std::sync::Arc;

use super::changes::{Change, Row, Watched};
use super::compare::{RowDifference, Shape};
use super::query::Cell;

/// Sums up the changes of a read model with these tables.
#[derive(Debug)]
pub struct Net {
    tables: Vec<Ordered>,
}

/// A table with its key first, and where each of its columns stands in a change.
#[derive(Debug)]
struct Ordered {
    shape: Arc<Shape>,
    at: Vec<usize>,
}

impl Net {
    /// For changes that count tables as these do.
    pub fn new(tables: &[Watched]) -> Self {
        let ordered = |table: &Watched| {
            let rest = (0..table.columns.len()).filter(|at| !table.key.contains(at));
            let at: Vec<usize> = table.key.iter().copied().chain(rest).collect();
            let columns = at.iter().filter_map(|at| table.columns.get(*at)).cloned().collect();
            Ordered {
                shape: Arc::new(Shape {
                    table: table.name.clone(),
                    columns,
                    key: table.key.len(),
                }),
                at,
            }
        };
        Self {
            tables: tables.iter().map(ordered).collect(),
        }
    }

    /// The tables, in the order in which changes count them.
    pub fn shapes(&self) -> impl Iterator<Item = &Arc<Shape>> {
        self.tables.iter().map(|table| &table.shape)
    }

    /// The rows that differ, in the order in which they were first written.
    pub fn rows(&self, changes: &[Change]) -> Vec<RowDifference> {
        let mut rows: Vec<RowDifference> = Vec::new();
        let mut known = HashMap::new();
        for change in changes {
            let Some(table) = self.tables.get(change.table) else {
                continue;
            };
            let [before, after] = [&change.before, &change.after].map(|row| row.as_ref().map(|row| table.cells(row)));
            // A row whose key changed is one that went and one that came.
            for (row, is_after) in [(before, false), (after, true)] {
                let Some(row) = row else { continue };
                let key = (change.table, name(row.get(..table.shape.key).unwrap_or_default()));
                let at = *known.entry(key).or_insert_with(|| {
                    rows.push(RowDifference {
                        shape: table.shape.clone(),
                        before: (!is_after).then(|| row.clone()),
                        after: None,
                        changed: Vec::new(),
                    });
                    rows.len() - 1
                });
                if let Some(known) = rows.get_mut(at) {
                    known.after = is_after.then_some(row);
                }
            }
        }
        rows.retain_mut(|row| {
            if let (Some(before), Some(after)) = (&row.before, &row.after) {
                row.changed = (0..before.len())
                    .filter(|at| before.get(*at) != after.get(*at))
                    .collect();
            }
            row.before != row.after
        });
        rows
    }
}

impl Ordered {
    fn cells(&self, row: &Row) -> Vec<Cell> {
        self.at.iter().map(|at| row.cell(*at)).collect()
    }
}

/// The values of a key as text that tells any two keys apart.
pub fn name(key: &[Cell]) -> String {
    format!("{key:?}")
}

//! How every command draws a table: columns that take what they need, numbers on the right, nothing that a terminal would act on.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use crate::decode::printable::printable;

/// Characters of a cell; the whole of it is in the JSON.
const WIDTH: usize = 500;

/// A rule below the header and no other line.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these column names and no rows yet.
pub(super) fn table<H: Into<Cell>>(header: impl IntoIterator<Item = H>) -> Table {
    let header: Vec<Cell> = header.into_iter().map(Into::into).collect();
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Text that somebody else chose.
pub(super) fn text(text: &str) -> Cell {
    Cell::new(printable(text.as_bytes(), WIDTH).text)
}

/// A number, already written for people.
pub(super) fn number(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

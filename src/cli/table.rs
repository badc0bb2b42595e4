//! How every command draws a table: columns that take what they need, numbers on the right, nothing that a terminal would act on.

use comfy_table::ColumnConstraint::LowerBoundary;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, Width};
use unicode_width::UnicodeWidthStr;

use crate::decode::printable::printable;

/// Characters of a cell; the whole of it is in the JSON.
const WIDTH: usize = 500;

/// Blanks within a column, behind its text.
const PADDING: u16 = 1;
/// Blanks between the text of two columns.
const GAP: u16 = PADDING + 1;

/// A rule below the header and no other line.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these column names and no rows yet.
pub(super) fn table<H: Into<Cell>>(header: impl IntoIterator<Item = H>) -> Table {
    let header: Vec<Cell> = header.into_iter().map(Into::into).collect();
    let names: Vec<u16> = header.iter().map(width).collect();
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, PADDING));
    }
    // In a pipe a row is one line, however long; on a terminal a cell is wrapped within its column.
    if let Some((width, _)) = terminal_size::terminal_size_of(std::io::stdout()) {
        table.set_width(width.0);
        if names.iter().map(|name| name + GAP).sum::<u16>() <= width.0 {
            // Where the names fit, none of them is broken to make room for a long cell.
            table.set_constraints(
                names
                    .into_iter()
                    .map(|name| LowerBoundary(Width::Fixed(name + PADDING))),
            );
        }
    }
    table
}

fn width(cell: &Cell) -> u16 {
    u16::try_from(cell.content().width()).unwrap_or(u16::MAX / 1000)
}

/// Text that somebody else chose.
pub(super) fn text(text: &str) -> Cell {
    Cell::new(printable(text.as_bytes(), WIDTH).text)
}

/// A number, already written for people.
pub(super) fn number(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

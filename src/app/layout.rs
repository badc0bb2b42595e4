//! What drawing found out about where things stand: so that a click finds its row and a page knows its height.
//!
//! Drawing borrows the model, so it hands this back as a value, and the next message carries it.

/// Columns of a table that a click can tell apart.
const COLUMNS: usize = 32;

/// A rectangle in cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Area {
    /// The left column.
    pub x: u16,
    /// The top row.
    pub y: u16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl Area {
    /// Whether a cell lies in it.
    pub fn holds(&self, x: u16, y: u16) -> bool {
        x >= self.x && y >= self.y && x - self.x < self.width && y - self.y < self.height
    }
}

/// A pane that scrolls: where its rows stand and how far it can go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Viewport {
    /// Where the rows stand, heading and border left out.
    pub area: Area,
    /// The first row in view.
    pub first: usize,
    /// The largest value that `first` can take.
    pub last_first: usize,
    /// Of a table with a cursor among its columns: the first column in view.
    pub column: usize,
    /// Where each of the columns from that one on ends; 0 where there is none. A terminal shows no more of them at once.
    pub ends: [u16; COLUMNS],
}

impl Viewport {
    /// The column of a table in which a cell of the terminal lies.
    pub fn column_at(&self, x: u16) -> Option<usize> {
        let at = self.ends.iter().position(|end| x < *end)?;
        Some(self.column + at)
    }
}

/// The panes of the last frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// The list on the left.
    pub list: Viewport,
    /// The detail on the right.
    pub detail: Viewport,
    /// The third pane, on the screen that has one.
    pub third: Viewport,
    /// The slider of the time machine: the cells that stand for moments.
    pub slider: Area,
    /// The overlay's text, while one is open.
    pub overlay: Viewport,
}

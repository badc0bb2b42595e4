//! A list of rows in columns: columns take what they need, the important one takes the rest, numbers stand on the right.

use std::borrow::Cow;

use ratatui::layout::Rect;

use crate::app::layout::Viewport;

use super::canvas::{Canvas, area_of, width};
use super::theme::Role;

/// The columns between two columns.
pub(super) const GAP: u16 = 2;
/// The column for the cursor's mark.
pub(super) const GUTTER: u16 = 2;

/// The least that a filling column asks for.
const LEAST_FILL: u16 = 12;
/// What a filling column of names asks for.
const NAMES: u16 = 26;

/// How wide a column is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    /// As wide as what stands in it, at most this.
    Fit(u16),
    /// What the others leave; columns that may go do so before it gets less than it needs, up to this.
    Fill(u16),
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) title: &'a str,
    pub(super) width: Width,
    pub(super) right: bool,
    /// Where room is short, columns with higher numbers go first; 0 stays.
    pub(super) drop: u8,
    /// Whether the text is a name in parts, whose last part and begin say most.
    pub(super) name: bool,
}

impl<'a> Column<'a> {
    pub(super) const fn fit(title: &'a str, most: u16) -> Self {
        Self {
            title,
            width: Width::Fit(most),
            right: false,
            drop: 0,
            name: false,
        }
    }

    pub(super) const fn fill(title: &'a str) -> Self {
        Self {
            title,
            width: Width::Fill(NAMES),
            right: false,
            drop: 0,
            name: false,
        }
    }

    /// A filling column that asks for no more than this.
    pub(super) const fn fill_from(title: &'a str, wanted: u16) -> Self {
        let mut column = Self::fill(title);
        column.width = Width::Fill(wanted);
        column
    }

    pub(super) const fn name(mut self) -> Self {
        self.name = true;
        self
    }

    pub(super) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    pub(super) const fn drop(mut self, order: u8) -> Self {
        self.drop = order;
        self
    }
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub(super) struct Cell<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) role: Role,
}

pub(super) fn cell<'a>(text: impl Into<Cow<'a, str>>, role: Role) -> Cell<'a> {
    Cell {
        text: text.into(),
        role,
    }
}

/// A table over rows that are made only when they are in view.
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Column<'a>],
    pub(super) rows: usize,
    /// The row under the cursor; `None` for a table that has no cursor.
    pub(super) cursor: Option<usize>,
    pub(super) focused: bool,
    /// Whether a mark says that columns were left out.
    pub(super) marks_hidden: bool,
    /// The first row of the last frame, so that the view moves only when it must.
    pub(super) first: usize,
    /// The column under the cursor, where a single cell is.
    pub(super) cell: Option<usize>,
}

/// A name that is too wide, cut in the middle: `account_balance.account` becomes `acc….account`. Its last part stays whole
/// where that leaves room for a few letters of the begin.
fn shortened(name: &str, most: u16) -> String {
    const BEGIN: usize = 3;
    let all: Vec<char> = name.chars().collect();
    let most = usize::from(most);
    let last = name.rsplit_once('.').map_or(0, |(_, part)| part.chars().count() + 1);
    let end = if last > 0 && last + 1 + BEGIN <= most {
        last
    } else {
        most / 2
    };
    let begin = most.saturating_sub(end + 1);
    let (begin, end) = (&all[..begin], &all[all.len().saturating_sub(end)..]);
    begin.iter().chain(&['…']).chain(end).collect()
}

/// The first row in view: moved no further than the cursor needs.
pub(super) fn keep_in_view(first: usize, cursor: usize, rows: usize, height: usize) -> usize {
    let first = first.min(rows.saturating_sub(height));
    if cursor < first {
        cursor
    } else if height > 0 && cursor >= first + height {
        cursor + 1 - height
    } else {
        first
    }
}

impl<'a> Table<'a> {
    /// Draws heading and rows.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, rect: Rect, row: impl Fn(usize) -> Vec<Cell<'a>>) -> Viewport {
        let body = Rect {
            y: rect.y + 1,
            height: rect.height.saturating_sub(1),
            ..rect
        };
        let height = usize::from(body.height);
        let first = keep_in_view(self.first, self.cursor.unwrap_or(self.first), self.rows, height);
        let shown: Vec<Vec<Cell<'a>>> = (first..self.rows.min(first + height)).map(row).collect();
        let widths = self.widths(&shown, rect.width);
        self.heading(canvas, rect, &widths);
        for (i, cells) in shown.iter().enumerate() {
            let y = body.y + i as u16;
            let mut x = rect.x + self.gutter();
            for ((cell, column), w) in cells.iter().zip(self.columns).zip(&widths) {
                if *w == 0 {
                    continue;
                }
                if column.right {
                    canvas.right(x + w, y, &cell.text, cell.role, *w);
                } else if column.name && width(&cell.text) > *w {
                    canvas.text(x, y, &shortened(&cell.text, *w), cell.role, *w);
                } else {
                    canvas.text(x, y, &cell.text, cell.role, *w);
                }
                x += w + GAP;
            }
            if widths.contains(&0) && self.marks_hidden {
                canvas.text(rect.right().saturating_sub(1), rect.y, "›", Role::Key, 1);
            }
            if self.cursor == Some(first + i) {
                self.mark(canvas, Rect { y, height: 1, ..rect }, &widths);
            }
        }
        let mut view = Viewport {
            area: area_of(body),
            first,
            last_first: self.rows.saturating_sub(height),
            ..Viewport::default()
        };
        let shown = self.places(rect, &widths).filter(|(_, _, w)| *w > 0);
        for (end, (_, x, w)) in view.ends.iter_mut().zip(shown) {
            *end = x + w + GAP;
        }
        view
    }

    /// Each column with the terminal's column at which it begins, and how wide it is.
    fn places(&self, rect: Rect, widths: &[u16]) -> impl Iterator<Item = (usize, u16, u16)> {
        let mut x = rect.x + self.gutter();
        widths.iter().enumerate().map(move |(at, w)| {
            let place = (at, x, *w);
            x += if *w > 0 { w + GAP } else { 0 };
            place
        })
    }

    fn gutter(&self) -> u16 {
        if self.cursor.is_some() { GUTTER } else { 0 }
    }

    fn mark(&self, canvas: &mut Canvas<'_>, rect: Rect, widths: &[u16]) {
        canvas.text(
            rect.x,
            rect.y,
            "▌",
            if self.focused { Role::Focus } else { Role::Muted },
            1,
        );
        let cell = self
            .cell
            .and_then(|at| self.places(rect, widths).find(|(i, ..)| *i == at));
        if let (true, Some((_, x, width))) = (self.focused, cell) {
            canvas.paint(rect, Role::CursorAway);
            canvas.bar(Rect { x, width, ..rect });
        } else if self.focused {
            // The row is one bar: what its cells mean is not lost, it stands in the detail.
            canvas.bar(rect);
        } else {
            canvas.paint(rect, Role::CursorAway);
        }
    }

    fn heading(&self, canvas: &mut Canvas<'_>, rect: Rect, widths: &[u16]) {
        let mut x = rect.x + self.gutter();
        for (column, w) in self.columns.iter().zip(widths) {
            if *w == 0 {
                continue;
            }
            if column.right {
                canvas.right(x + w, rect.y, column.title, Role::Muted, *w);
            } else {
                canvas.text(x, rect.y, column.title, Role::Muted, *w);
            }
            x += w + GAP;
        }
    }

    /// The width of each column; 0 for those that are left out.
    fn widths(&self, shown: &[Vec<Cell<'_>>], total: u16) -> Vec<u16> {
        let natural = |i: usize, column: &Column<'_>| {
            let cells = shown.iter().filter_map(|row| row.get(i));
            let widest = cells.map(|c| width(&c.text)).chain([width(column.title)]).max();
            widest.unwrap_or(0)
        };
        let mut widths: Vec<u16> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| match column.width {
                Width::Fill(wanted) => natural(i, column).clamp(LEAST_FILL, wanted.max(LEAST_FILL)),
                Width::Fit(most) => natural(i, column).clamp(1, most),
            })
            .collect();
        let used = |widths: &[u16]| {
            let columns = widths.iter().filter(|w| **w > 0).count() as u16;
            widths.iter().sum::<u16>() + columns.saturating_sub(1) * GAP + self.gutter()
        };
        while used(&widths) > total {
            let gone = (0..widths.len())
                .filter(|i| self.columns[*i].drop > 0 && widths[*i] > 0)
                .max_by_key(|i| self.columns[*i].drop);
            match gone {
                Some(i) => widths[i] = 0,
                None => break,
            }
        }
        let left = total.saturating_sub(used(&widths));
        let over = used(&widths).saturating_sub(total);
        let filling = |(i, c): (usize, &Column<'_>)| (matches!(c.width, Width::Fill(_)) && widths[i] > 0).then_some(i);
        if let Some(fill) = self.columns.iter().enumerate().find_map(filling) {
            widths[fill] = (widths[fill] + left).saturating_sub(over).max(1);
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::{keep_in_view, shortened};

    #[test]
    fn names_are_cut_where_they_say_least() {
        assert_eq!(shortened("account_balance.account", 15), "accoun….account");
        assert_eq!(shortened("account_balance.account", 12), "acc….account");
        assert_eq!(shortened("account_balance.monthly_statement", 12), "accou…tement");
        assert_eq!(shortened("order-fulfilment-service", 11), "order…rvice");
    }

    #[test]
    fn the_view_moves_no_further_than_the_cursor_needs() {
        assert_eq!(keep_in_view(0, 5, 100, 10), 0);
        assert_eq!(keep_in_view(0, 10, 100, 10), 1);
        assert_eq!(keep_in_view(50, 49, 100, 10), 49);
        assert_eq!(keep_in_view(95, 99, 100, 10), 90);
        assert_eq!(keep_in_view(7, 0, 0, 10), 0);
    }
}

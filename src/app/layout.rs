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

/// How many screens the header names.
pub const SCREENS: usize = 5;

/// How many parts of a scene a terminal shows at most.
const NODES: usize = 64;

/// Where the parts of a scene stand, on a plane of which the pane shows a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes([Area; NODES]);

impl Default for Nodes {
    fn default() -> Self {
        Self([Area::default(); NODES])
    }
}

impl Nodes {
    /// Takes note of where a part stands.
    pub fn set(&mut self, node: usize, area: Area) {
        if let Some(at) = self.0.get_mut(node) {
            *at = area;
        }
    }

    /// The part at a cell of the plane.
    pub fn at(&self, (x, y): (u16, u16)) -> Option<usize> {
        self.0.iter().position(|area| area.holds(x, y))
    }

    /// The nearest part in a direction: one column or row of it is (1, 0) or (0, 1). To the sides that is what is nearest in the
    /// next column of parts, up and down what lies straight ahead before what is nearer and aside.
    pub fn next(&self, from: usize, (dx, dy): (i32, i32)) -> Option<usize> {
        let here = *self.0.get(from)?;
        let others = self
            .0
            .iter()
            .enumerate()
            .filter(|(at, area)| *at != from && area.width > 0);
        // A cell is about twice as high as it is wide.
        let middle = |area: &Area| {
            (
                i32::from(area.y) * 2 + i32::from(area.height),
                i32::from(area.x) * 2 + i32::from(area.width),
            )
        };
        let (y, x) = middle(&here);
        let ahead = others.filter_map(|(at, area)| {
            let (ay, ax) = middle(area);
            let (rows, columns) = ((ay - y) * dy, (i32::from(area.x) - i32::from(here.x)) * dx);
            match dx {
                0 => (rows > 0 && (ax - x).abs() <= rows * 4).then_some((rows * 2 + (ax - x).abs() / 2, 0, at)),
                _ => (columns > 0).then_some((columns, (ay - y).abs(), at)),
            }
        });
        ahead.min().map(|(.., at)| at)
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
    /// The parts of a scene; the list is the piece of their plane that is in view.
    pub nodes: Nodes,
    /// The slider of the time machine: the cells that stand for moments.
    pub slider: Area,
    /// The overlay's text, while one is open.
    pub overlay: Viewport,
    /// Where the header names the screens that a key leads to, in the order of the keys; empty where it has no room for them.
    pub screens: [Area; SCREENS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_goes_to_the_next_column_and_along_its_own() {
        let mut nodes = Nodes::default();
        let area = |x, y| Area {
            x,
            y,
            width: 6,
            height: 1,
        };
        // A topic, three processors beside it, and under each what it writes.
        nodes.set(0, area(0, 3));
        for n in 0..3 {
            nodes.set(1 + n, area(20, 2 * n as u16));
            nodes.set(4 + n, area(22, 2 * n as u16 + 1));
        }
        assert_eq!(
            nodes.next(0, (1, 0)),
            Some(2),
            "the nearest of the column, not what stands under it"
        );
        assert_eq!(nodes.next(2, (-1, 0)), Some(0));
        assert_eq!(nodes.next(1, (0, 1)), Some(4));
        assert_eq!(nodes.next(4, (0, 1)), Some(2));
        assert_eq!(nodes.next(1, (0, -1)), None);
        assert_eq!(nodes.next(6, (0, 1)), None);
        assert_eq!(nodes.at((23, 1)), Some(4));
        assert_eq!(nodes.at((40, 1)), None);
    }
}

//! A list with a cursor and a filter: which items of a source are in view, and which of them is under the cursor.

/// The cursor of a list over items that live elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    cursor: usize,
    shown: Vec<usize>,
    filter: String,
    total: usize,
}

impl List {
    /// Recomputes what is shown: the items of `0..total` for which `matches(item, filter in lower case)` holds.
    /// The cursor stays on the item it was on, where that is still shown.
    pub fn refresh(&mut self, total: usize, matches: impl Fn(usize, &str) -> bool) {
        let on = self.selected();
        self.total = total;
        let filter = self.filter.to_lowercase();
        self.shown = (0..total).filter(|i| matches(*i, &filter)).collect();
        if let Some(at) = on.and_then(|on| self.shown.iter().position(|i| *i == on)) {
            self.cursor = at;
        }
        self.clamp();
    }

    /// Sets the filter's text; call [`List::refresh`] afterwards.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
    }

    /// The filter's text, empty for none.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The items in view, as indices into the source.
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// How many items there are, shown or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The item under the cursor, as an index into the source.
    pub fn selected(&self) -> Option<usize> {
        self.shown.get(self.cursor).copied()
    }

    /// The cursor's row among the shown.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether the cursor is on the last row, or there is none.
    pub fn at_last(&self) -> bool {
        self.cursor + 1 >= self.shown.len()
    }

    /// Puts the cursor on a row among the shown.
    pub fn set_cursor(&mut self, row: usize) {
        self.cursor = row;
        self.clamp();
    }

    /// Puts the cursor on an item of the source, where it is shown.
    pub fn select(&mut self, item: usize) {
        if let Some(row) = self.shown.iter().position(|i| *i == item) {
            self.cursor = row;
        }
    }

    /// Moves the cursor; stops at the ends.
    pub fn step(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.clamp();
    }

    fn clamp(&mut self) {
        self.cursor = self.cursor.min(self.shown.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_the_cursor_on_its_item() {
        let items = ["apple", "pear", "plum", "peach"];
        let mut list = List::default();
        list.refresh(items.len(), |i, f| items[i].contains(f));
        list.set_cursor(3);
        list.set_filter("PE");
        list.refresh(items.len(), |i, f| items[i].contains(f));
        assert_eq!(list.shown(), [1, 3]);
        assert_eq!(list.selected(), Some(3));
        list.set_filter("nothing");
        list.refresh(items.len(), |i, f| items[i].contains(f));
        assert_eq!(list.selected(), None);
    }

    #[test]
    fn the_cursor_stops_at_the_ends() {
        let mut list = List::default();
        list.refresh(3, |_, _| true);
        list.step(-5);
        assert_eq!(list.selected(), Some(0));
        list.step(isize::MAX);
        assert_eq!(list.selected(), Some(2));
    }
}

//! Drawing into cells: the frame's buffer with the theme at hand.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Widget};
use unicode_width::UnicodeWidthStr;

use crate::app::lang::Speaks;
use crate::app::layout::Area;
use crate::demo::text::Language;

use super::printable::printable;
use super::theme::{Role, Theme};

/// The cells to draw into, and how roles look.
pub(super) struct Canvas<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) theme: Theme,
    pub(super) language: Language,
}

impl Speaks for Canvas<'_> {
    fn language(&self) -> Language {
        self.language
    }
}

/// Text in a role, made safe to draw.
pub(super) fn span<'a>(text: &'a str, role: Role, theme: Theme) -> Span<'a> {
    Span::styled(printable(text), theme.style(role))
}

/// The columns that text takes.
pub(super) fn width(text: &str) -> u16 {
    UnicodeWidthStr::width(text).min(usize::from(u16::MAX)) as u16
}

/// An area as the model knows it.
pub(super) fn area_of(rect: Rect) -> Area {
    Area {
        x: rect.x,
        y: rect.y,
        width: rect.width,
        height: rect.height,
    }
}

impl Canvas<'_> {
    pub(super) fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Puts text at a cell, cut with `…` where it is wider than `max`. Returns the columns it took.
    pub(super) fn text(&mut self, x: u16, y: u16, text: &str, role: Role, max: u16) -> u16 {
        self.styled(x, y, text, self.theme.style(role), max)
    }

    pub(super) fn styled(&mut self, x: u16, y: u16, text: &str, style: Style, max: u16) -> u16 {
        if max == 0 || !self.buffer.area.contains((x, y).into()) {
            return 0;
        }
        let safe = printable(text);
        let (end, _) = self.buffer.set_stringn(x, y, &safe, usize::from(max), style);
        let taken = end.saturating_sub(x);
        // Measured only where the text may have been cut: a long value is not measured whole for one line of it.
        if taken >= max.saturating_sub(1) && wider(&safe, max) {
            let at = x + max - 1;
            let before = at.checked_sub(1).filter(|before| *before >= x);
            let hidden = before.filter(|before| self.buffer[(*before, y)].symbol().width() > 1);
            match hidden {
                // A wide character that ends here would hide what its second cell says.
                Some(before) => self.buffer.set_stringn(before, y, "… ", 2, style),
                None => self.buffer.set_stringn(at, y, "…", 1, style),
            };
            return max;
        }
        taken
    }

    /// Puts text that ends before column `end`.
    pub(super) fn right(&mut self, end: u16, y: u16, text: &str, role: Role, max: u16) -> u16 {
        let taken = width(text).min(max);
        self.text(end.saturating_sub(taken), y, text, role, taken);
        taken
    }

    pub(super) fn line(&mut self, x: u16, y: u16, line: &Line<'_>, max: u16) {
        if self.buffer.area.contains((x, y).into()) {
            self.buffer.set_line(x, y, line, max);
        }
    }

    /// Paints a style over cells that are drawn already.
    pub(super) fn paint(&mut self, rect: Rect, role: Role) {
        let style = self.style(role);
        self.buffer.set_style(rect, style);
    }

    /// Lays the cursor over cells that are drawn already, whatever they look like.
    pub(super) fn bar(&mut self, rect: Rect) {
        let bar = Style::reset().patch(self.style(Role::Cursor));
        for (x, y) in (rect.y..rect.bottom()).flat_map(|y| (rect.x..rect.right()).map(move |x| (x, y))) {
            if let Some(cell) = self.buffer.cell_mut((x, y)) {
                cell.set_style(bar);
            }
        }
    }

    /// A bordered pane with a title on the left and a note on the right. Returns what is inside.
    pub(super) fn pane(&mut self, rect: Rect, title: &str, note: &str, focused: bool) -> Rect {
        let theme = self.theme;
        let border = theme.style(if focused { Role::Focus } else { Role::Muted });
        let kind = match (focused, theme.has_color()) {
            (true, false) => BorderType::Thick,
            _ => BorderType::Plain,
        };
        let title_style = theme.style(if focused { Role::Strong } else { Role::Plain });
        let mut block = Block::bordered().border_type(kind).border_style(border);
        if !title.is_empty() {
            block = block.title(Span::styled(format!(" {} ", printable(title)), title_style));
        }
        if !note.is_empty() && note_fits(rect, title, note) {
            let note = Span::styled(format!(" {} ", printable(note)), theme.style(Role::Muted));
            block = block.title(Line::from(note).right_aligned());
        }
        let inner = block.inner(rect);
        block.render(rect, self.buffer);
        // One column of air on each side, so that text does not touch the border.
        Rect {
            x: inner.x + 1,
            width: inner.width.saturating_sub(2),
            ..inner
        }
    }
}

/// Whether a border has room for a note beside a title.
pub(super) fn note_fits(rect: Rect, title: &str, note: &str) -> bool {
    width(note) < rect.width.saturating_sub(width(title) + 7)
}

/// Text with space behind it, `columns` wide in all.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let space = columns.saturating_sub(usize::from(width(text)));
    format!("{text}{}", " ".repeat(space))
}

/// The begin of text that is too long, and `…`.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Whether text takes more than `max` columns; looks no further than it must.
fn wider(text: &str, max: u16) -> bool {
    let mut taken = 0;
    for c in text.chars() {
        taken += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if taken > usize::from(max) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_in_front_of_a_wide_character_too() {
        for (text, max, shown) in [
            ("abcdef", 4, "abc…"),
            ("ab值cd", 4, "ab… "),
            ("abc值d", 4, "abc…"),
            ("文值", 3, "文…"),
            ("值", 1, "…"),
            ("a值", 3, "a值"),
        ] {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
            let mut canvas = Canvas {
                buffer: &mut buffer,
                theme: Theme::COLOR,
                language: Language::English,
            };
            canvas.text(0, 0, text, Role::Plain, max);
            let cells = (0..max).map(|x| buffer[(x, 0)].symbol());
            let mut line = String::new();
            let mut hidden = false;
            for cell in cells {
                if !std::mem::take(&mut hidden) {
                    hidden = cell.width() > 1;
                    line.push_str(cell);
                }
            }
            assert_eq!(line, shown, "{text}");
        }
    }
}

//! A line that is being typed.

use std::ops::Range;

use ratatui::layout::{Position, Rect};
use tui_input::Input;
use unicode_width::UnicodeWidthChar;

use super::canvas::Canvas;
use super::theme::Role;

/// Draws it in one row, scrolled so that the cursor is in it. Returns the cursor's place.
pub(super) fn line(canvas: &mut Canvas<'_>, rect: Rect, input: &Input) -> Position {
    let all: Vec<char> = input.value().chars().collect();
    let cursor = input.cursor().min(all.len());
    // A column is kept for the cursor behind the last character.
    let room = rect.width.saturating_sub(1);
    let mut from = cursor;
    while from > 0 && wide(&all[from - 1..cursor]) <= room {
        from -= 1;
    }
    put(canvas, Rect { height: 1, ..rect }, &all[from..]);
    Position::new(rect.x + wide(&all[from..cursor]), rect.y)
}

/// How many rows it takes when it is `columns` wide.
pub(super) fn rows(input: &Input, columns: u16) -> u16 {
    let all: Vec<char> = input.value().chars().collect();
    wrapped(&all, columns).len().min(usize::from(u16::MAX)) as u16
}

/// Draws it in as many rows as there are, those around the cursor. Returns the cursor's place.
pub(super) fn lines(canvas: &mut Canvas<'_>, rect: Rect, input: &Input) -> Position {
    let all: Vec<char> = input.value().chars().collect();
    let rows = wrapped(&all, rect.width);
    let cursor = input.cursor().min(all.len());
    let at = rows.iter().rposition(|row| row.start <= cursor).unwrap_or(0);
    let first = (at + 1).saturating_sub(usize::from(rect.height.max(1)));
    for (y, row) in (rect.y..rect.bottom()).zip(&rows[first..]) {
        put(canvas, Rect { y, height: 1, ..rect }, &all[row.clone()]);
    }
    let column = wide(&all[rows[at].start..cursor]);
    Position::new(rect.x + column, rect.y + (at - first) as u16)
}

fn put(canvas: &mut Canvas<'_>, rect: Rect, text: &[char]) {
    let text: String = text.iter().collect();
    let style = canvas.style(Role::Plain);
    let safe = super::printable::printable(&text);
    let columns = usize::from(rect.width);
    canvas.buffer.set_stringn(rect.x, rect.y, &safe, columns, style);
}

fn wide(text: &[char]) -> u16 {
    let columns: usize = text.iter().map(|c| c.width().unwrap_or(0)).sum();
    columns.min(usize::from(u16::MAX)) as u16
}

/// Rows of at most `columns`, one of which is the cursor's; broken after a space where a row has one. There is always a row.
fn wrapped(all: &[char], columns: u16) -> Vec<Range<usize>> {
    let room = columns.saturating_sub(1).max(2);
    let mut rows = Vec::new();
    let mut start = 0;
    let mut space = 0;
    for (i, c) in all.iter().enumerate() {
        while wide(&all[start..=i]) > room {
            let end = if space > start { space } else { i };
            rows.push(start..end);
            start = end;
        }
        if *c == ' ' {
            space = i + 1;
        }
    }
    rows.push(start..all.len());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_every_character_and_fit() {
        let text: Vec<char> = "SELECT 文字, averyveryverylongname FROM t WHERE a = 1 "
            .chars()
            .collect();
        for columns in 3..40 {
            let rows = wrapped(&text, columns);
            assert!(rows.iter().all(|row| wide(&text[row.clone()]) < columns));
            let all: Vec<char> = rows.iter().flat_map(|row| text[row.clone()].to_vec()).collect();
            assert_eq!(all, text);
        }
        assert_eq!(wrapped(&[], 10).len(), 1);
    }
}

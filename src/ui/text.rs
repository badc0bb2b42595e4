//! Lines of text that scroll and wrap, and the designed states of a pane that has nothing to list.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;

use crate::app::job::Failure;
use crate::app::lang::Speaks;
use crate::app::layout::Viewport;
use crate::demo::text::Language;

use super::canvas::{Canvas, area_of, padded, span, width};
use super::theme::{Role, Theme};

/// Lines of a detail, built top down.
pub(super) struct Lines<'a> {
    pub(super) lines: Vec<Line<'a>>,
    theme: Theme,
    language: Language,
    label: usize,
}

impl<'a> Lines<'a> {
    /// No lines yet; labels of fields will be `label` columns wide.
    pub(super) fn new(canvas: &Canvas<'_>, label: usize) -> Self {
        Self {
            lines: Vec::new(),
            theme: canvas.theme,
            language: canvas.language,
            label,
        }
    }

    pub(super) fn text(&mut self, text: &'a str, role: Role) {
        self.lines.push(Line::from(span(text, role, self.theme)));
    }

    pub(super) fn owned(&mut self, text: String, role: Role) {
        let text = super::printable::printable(&text).into_owned();
        self.lines.push(Line::from(Span::styled(text, self.theme.style(role))));
    }

    /// The lines of a report: what is drawn is cut at the width, since wrapping would break the drawing; prose is wrapped.
    pub(super) fn report(&mut self, text: &str, columns: u16) {
        for line in text.lines().map(str::trim_end) {
            let drawn = line.contains(['│', '╭', '╰', '─', '·']);
            if drawn && width(line) > columns {
                let mut taken = 0;
                let fits = |c: &char| {
                    taken += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
                    taken < usize::from(columns)
                };
                let cut: String = line.chars().take_while(fits).collect();
                self.owned(format!("{cut}…"), Role::Plain);
            } else {
                self.owned(line.to_owned(), Role::Plain);
            }
        }
    }

    pub(super) fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    /// A heading of ours, with a line of air above it.
    pub(super) fn heading(&mut self, text: &'static str) {
        if !self.lines.is_empty() {
            self.blank();
        }
        self.text(self.language.tr(text), Role::Strong);
    }

    /// A label of ours and its value.
    pub(super) fn field(&mut self, label: &'static str, value: impl Into<String>, role: Role) {
        self.named(self.language.tr(label), value, role);
    }

    /// A name from the data and its value.
    pub(super) fn named(&mut self, name: &str, value: impl Into<String>, role: Role) {
        let value = super::printable::printable(&value.into()).into_owned();
        let label = format!("{} ", padded(name, self.label));
        self.lines.push(Line::from(vec![
            Span::styled(label, self.theme.style(Role::Muted)),
            Span::styled(value, self.theme.style(role)),
        ]));
    }

    /// Rows in columns as wide as what stands in them, the first on the left and numbers on the right. Where they do not fit
    /// into `most` columns, the columns in `spare` are left out, in this order.
    pub(super) fn grid(&mut self, heading: &[&'static str], rows: &[Vec<(String, Role)>], most: u16, spare: &[usize]) {
        let heading: Vec<&str> = heading.iter().map(|title| self.language.tr(title)).collect();
        let wide = |c: usize| {
            let cells = rows.iter().filter_map(|r| r.get(c)).map(|(t, _)| width(t));
            usize::from(cells.chain([width(heading[c])]).max().unwrap_or(0))
        };
        let mut columns: Vec<(usize, usize)> = (0..heading.len()).map(|c| (c, wide(c))).collect();
        for gone in spare {
            let all: usize = columns.iter().map(|(_, w)| w + 2).sum();
            if all > usize::from(most) + 2 {
                columns.retain(|(c, _)| c != gone);
            }
        }
        let mut put = |cells: &mut dyn Iterator<Item = (usize, usize, String, Role)>| {
            let spans = cells.map(|(i, w, text, role)| {
                let space = " ".repeat(w.saturating_sub(usize::from(width(&text))));
                let gap = if i == 0 { "" } else { "  " };
                let text = if i == 0 {
                    format!("{text}{space}")
                } else {
                    format!("{gap}{space}{text}")
                };
                (text, role)
            });
            let spans: Vec<_> = spans.collect();
            self.spans(spans);
        };
        let each = |c: usize, i: usize, w: usize, of: &dyn Fn(usize) -> (String, Role)| {
            let (text, role) = of(c);
            (i, w, text, role)
        };
        put(&mut columns
            .iter()
            .enumerate()
            .map(|(i, (c, w))| each(*c, i, *w, &|c| (heading[c].to_owned(), Role::Muted))));
        for row in rows {
            let of = |c: usize| row.get(c).cloned().unwrap_or((String::new(), Role::Plain));
            put(&mut columns.iter().enumerate().map(|(i, (c, w))| each(*c, i, *w, &of)));
        }
    }

    pub(super) fn spans(&mut self, spans: Vec<(String, Role)>) {
        let theme = self.theme;
        let spans = spans
            .into_iter()
            .map(|(text, role)| Span::styled(super::printable::printable(&text).into_owned(), theme.style(role)));
        self.lines.push(Line::from_iter(spans));
    }
}

/// Draws lines from line `first` on, wrapped to the width. Rows that are not in view are counted, not drawn.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, lines: &[Line<'_>], first: usize) -> Viewport {
    let columns = usize::from(rect.width.max(1));
    let height = usize::from(rect.height);
    let rows: usize = lines.iter().map(|line| rows_of(line, columns)).sum();
    let last_first = rows.saturating_sub(height);
    let first = first.min(last_first);
    let mut row = 0;
    for line in lines {
        let taken = rows_of(line, columns);
        if row + taken > first && row < first + height {
            if taken == 1 {
                canvas.line(rect.x, rect.y + (row - first) as u16, line, rect.width);
            } else {
                for (i, part) in wrapped(line, columns).iter().enumerate() {
                    if (first..first + height).contains(&(row + i)) {
                        canvas.line(rect.x, rect.y + (row + i - first) as u16, part, rect.width);
                    }
                }
            }
        }
        row += taken;
    }
    if last_first > 0 {
        thumb(canvas, rect, first, last_first);
    }
    Viewport {
        area: area_of(rect),
        first,
        last_first,
        ..Viewport::default()
    }
}

/// A mark on the right border that says how far down the view is.
fn thumb(canvas: &mut Canvas<'_>, rect: Rect, first: usize, last_first: usize) {
    let x = rect.right() + 1;
    let y = rect.y + (first * usize::from(rect.height.saturating_sub(1)) / last_first) as u16;
    canvas.text(x, y, "█", Role::Muted, 1);
}

fn rows_of(line: &Line<'_>, columns: usize) -> usize {
    // Bytes bound columns, and most lines are short: those are not measured.
    let bytes: usize = line.spans.iter().map(|s| s.content.len()).sum();
    if bytes <= columns || line.width() <= columns {
        1
    } else {
        breaks(line, columns).len() + 1
    }
}

/// Where a line is broken: the span and the byte in it at which each further row begins. Between words where that is
/// possible without wasting a row's half, else between any two characters.
fn breaks(line: &Line<'_>, columns: usize) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut taken = 0;
    // After the last space of this row: where, and how much stands before it.
    let mut space: Option<(usize, usize, usize)> = None;
    for (n, part) in line.spans.iter().enumerate() {
        for (at, grapheme) in part.content.grapheme_indices(true) {
            let w = usize::from(width(grapheme));
            // A space may hang over the edge: it is not seen there.
            if taken + w > columns && grapheme != " " {
                match space.take() {
                    Some((span, byte, before)) if before * 2 > columns => {
                        out.push((span, byte));
                        taken -= before;
                    }
                    _ => {
                        out.push((n, at));
                        taken = 0;
                    }
                }
            }
            taken += w;
            if grapheme == " " {
                space = Some((n, at + 1, taken));
            }
        }
    }
    out
}

fn wrapped<'a>(line: &'a Line<'_>, columns: usize) -> Vec<Line<'a>> {
    let mut out = Vec::new();
    let mut begin = (0, 0);
    let all = line.spans.len();
    for end in breaks(line, columns).into_iter().chain([(all, 0)]) {
        let mut row = Line::default();
        for n in begin.0..=end.0.min(all.saturating_sub(1)) {
            let text = &line.spans[n].content;
            let from = if n == begin.0 { begin.1 } else { 0 };
            let to = if n == end.0 { end.1 } else { text.len() };
            if from < to {
                row.push_span(Span::styled(&text[from..to], line.spans[n].style));
            }
        }
        out.push(row);
        begin = end;
    }
    out
}

/// Lines of ours in the middle of a pane: why there is nothing here, and what to press.
pub(super) fn middle(canvas: &mut Canvas<'_>, rect: Rect, lines: &[(&str, Role)]) {
    let mut y = rect.y + rect.height.saturating_sub(lines.len() as u16) / 3;
    for (text, role) in lines {
        for part in wrap_words(
            canvas.language.tr(text),
            usize::from(rect.width.saturating_sub(2)).max(1),
        ) {
            if y >= rect.bottom() {
                return;
            }
            let x = rect.x + rect.width.saturating_sub(width(&part)) / 2;
            canvas.text(x, y, &part, *role, rect.width);
            y += 1;
        }
    }
}

/// A failure in the middle of a pane.
pub(super) fn failed(canvas: &mut Canvas<'_>, rect: Rect, what: &str, failure: &Failure) {
    middle(
        canvas,
        rect,
        &[
            (what, Role::Bad),
            ("", Role::Plain),
            (&failure.summary, Role::Plain),
            ("", Role::Plain),
            ("^R tries again · ! shows all of it", Role::Muted),
        ],
    );
}

/// Text in lines of at most `columns`, broken between words where that is possible.
pub(super) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in text.split(' ') {
        let mut word = super::printable::printable(word).into_owned();
        let fits = |line: &str, word: &str| line.is_empty() || usize::from(width(line) + 1 + width(word)) <= columns;
        if !out.last().is_some_and(|line| fits(line, &word)) {
            out.push(String::new());
        }
        while usize::from(width(&word)) > columns {
            let at = word
                .grapheme_indices(true)
                .scan(0, |taken, (i, g)| {
                    *taken += usize::from(width(g));
                    Some((i, *taken))
                })
                .find(|(i, taken)| *taken > columns && *i > 0)
                .map_or(word.len(), |(i, _)| i);
            let rest = word.split_off(before_closing(&word, at));
            if let Some(line) = out.last_mut() {
                line.push_str(&word);
            }
            if rest.is_empty() {
                word = rest;
                break;
            }
            out.push(String::new());
            word = rest;
        }
        if let Some(line) = out.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    out
}

/// Text in lines of at most `columns`: between words, between any two characters of a script that has no spaces, and never so
/// that a line begins with what closes.
pub(super) fn wrap_text(text: &str, columns: usize) -> Vec<String> {
    const CLOSES: &str = "，。、；：！？）》」』】”’,.;:!?)";
    let text = super::printable::printable(text);
    let mut out = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut taken = 0;
        // Where the line may be broken: behind how many bytes.
        let mut space = 0;
        let mut wide_before = false;
        for grapheme in paragraph.graphemes(true) {
            let wide = usize::from(width(grapheme));
            let closes = CLOSES.contains(grapheme);
            if (wide_before || wide > 1) && !closes {
                space = line.len();
            }
            if taken + wide > columns && grapheme != " " && !line.is_empty() {
                let at = if space == 0 { line.len() } else { space };
                let rest = line.split_off(at);
                out.push(line.trim_end().to_owned());
                line = rest;
                taken = usize::from(width(&line));
                space = 0;
            }
            if !(grapheme == " " && line.is_empty()) {
                line.push_str(grapheme);
                taken += wide;
            }
            if grapheme == " " {
                space = line.len();
            }
            wide_before = wide > 1;
        }
        out.push(line.trim_end().to_owned());
    }
    out
}

/// Where a word without spaces is broken: a line begins with no mark that closes what stands before it.
fn before_closing(word: &str, at: usize) -> usize {
    const CLOSING: &str = "，。、；：？！）》」』”’";
    if !word[at..].starts_with(|c| CLOSING.contains(c)) {
        return at;
    }
    let last = word[..at].grapheme_indices(true).next_back();
    last.map(|(i, _)| i).filter(|i| *i > 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_and_long_ones_are_broken() {
        assert_eq!(wrap_words("the log is the truth", 9), ["the log", "is the", "truth"]);
        assert_eq!(wrap_words("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap_words("", 4), [""]);
        assert_eq!(wrap_words("日志里有事件。", 12), ["日志里有事", "件。"]);
        assert_eq!(wrap_words("，，，，", 2), ["，", "，", "，", "，"]);
    }

    #[test]
    fn a_wrapped_line_keeps_every_character() {
        let line = Line::from(vec![Span::raw("{\"name\": "), Span::raw("\"文字文字文字\"}")]);
        let parts = wrapped(&line, 7);
        let all: String = parts
            .iter()
            .flat_map(|l| l.spans.iter().map(|s| s.content.to_string()))
            .collect();
        assert_eq!(all, "{\"name\": \"文字文字文字\"}");
        assert!(parts.iter().all(|l| l.width() <= 7));
        assert_eq!(rows_of(&line, 7), parts.len());
        let prose = Line::from(vec![
            Span::raw("cannot store TEXT "),
            Span::raw("value in INTEGER column"),
        ]);
        let parts: Vec<String> = wrapped(&prose, 12).iter().map(|l| l.to_string()).collect();
        assert_eq!(parts, ["cannot store ", "TEXT value ", "in INTEGER ", "column"]);
    }

    #[test]
    fn text_without_spaces_wraps_and_no_line_begins_with_what_closes() {
        assert_eq!(wrap_text("the log is the truth", 9), ["the log", "is the", "truth"]);
        assert_eq!(
            wrap_text("订单只发布一次，别的不知道。", 14),
            ["订单只发布一", "次，别的不知", "道。"]
        );
        assert_eq!(wrap_text("每来一单，lag 加一", 10), ["每来一单，", "lag 加一"]);
        assert_eq!(wrap_text("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap_text("", 4), [""; 0]);
        for columns in 2..30 {
            let text = "支付系统停机，订单照样进来。Payment stops, 订单 keep coming。";
            let lines = wrap_text(text, columns);
            assert!(
                lines.iter().all(|line| usize::from(width(line)) <= columns.max(8)),
                "{columns}: {lines:?}"
            );
            let all: String = lines.concat().split(' ').collect();
            assert_eq!(all, text.split(' ').collect::<String>());
        }
    }
}

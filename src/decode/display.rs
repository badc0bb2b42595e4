//! A key or value as a person reads it: pretty JSON, text, or a hex dump, in lines of coloured pieces.
//!
//! The work is bounded by what is shown, not by the size of the value: ten megabytes cost what their first lines cost.

use super::pretty;
use super::printable::{is_hidden, push};

/// What bytes are to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// There are none: a null key, or a tombstone.
    Null,
    /// There are none, but it is not null.
    Empty,
    /// One JSON value.
    Json,
    /// UTF-8 text.
    Text,
    /// Anything else.
    Binary,
}

/// What a piece of a line is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text as it stands.
    Plain,
    /// The name of a JSON member, its quotes included.
    Key,
    /// A JSON string.
    String,
    /// A JSON number.
    Number,
    /// `true`, `false`.
    Bool,
    /// `null`.
    Null,
    /// Brackets, commas, colons.
    Punctuation,
    /// What stands for a character or byte that must not be sent, such as `␛`.
    Hidden,
    /// Offsets of a hex dump, and what Foldlog says of the value.
    Note,
}

/// A piece of a line. Its text is safe to send to a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// What is shown.
    pub text: String,
}

/// A line of pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// From left to right.
    pub pieces: Vec<Piece>,
}

impl Line {
    /// The line without its colours.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    pub(super) fn add(&mut self, kind: Kind, text: impl Into<String>) {
        self.pieces.push(Piece {
            kind,
            text: text.into(),
        });
    }

    /// Appends text, what must not be sent shown in pieces of their own.
    pub(super) fn add_text(&mut self, kind: Kind, text: &str) {
        let mut plain = String::new();
        for c in text.chars() {
            if c.is_control() || is_hidden(c) {
                if !plain.is_empty() {
                    self.add(kind, std::mem::take(&mut plain));
                }
                let mut shown = String::new();
                push(&mut shown, c);
                self.add(Kind::Hidden, shown);
            } else {
                plain.push(c);
            }
        }
        if !plain.is_empty() {
            self.add(kind, plain);
        }
    }
}

/// How much to show.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At most so many lines.
    pub lines: usize,
    /// At most so many bytes of the value, and of any one string in it an eighth of that.
    pub bytes: usize,
    /// Bytes in a line of a hex dump: 16 take 77 columns, 8 take 44.
    pub hex_columns: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lines: 5_000,
            bytes: 256 * 1024,
            hex_columns: 16,
        }
    }
}

/// A key or value, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the bytes are.
    pub shape: Shape,
    /// Its lines; the last says what is missing where the limits left something out.
    pub lines: Vec<Line>,
    /// Why bytes that begin like JSON are shown as text or hex.
    pub reason: Option<String>,
    /// Whether the limits left something out.
    pub cut: bool,
}

/// Values up to this size are checked whole before they are called JSON: a millisecond. Of larger ones the part that is shown
/// is checked.
const CHECKED: usize = 1024 * 1024;

/// Lays out a key or value within `limits`.
pub fn document(bytes: Option<&[u8]>, limits: Limits) -> Document {
    let plain = |shape, note: &str| {
        let mut line = Line::default();
        line.add(Kind::Note, note);
        Document {
            shape,
            lines: vec![line],
            reason: None,
            cut: false,
        }
    };
    let Some(bytes) = bytes else {
        return plain(Shape::Null, "null");
    };
    if bytes.is_empty() {
        return plain(Shape::Empty, "empty: no bytes, but not null");
    }
    let reason = match json(bytes, limits) {
        Ok(document) => return document,
        Err(reason) => reason,
    };
    let mut document = match text_of(bytes, limits).filter(|(text, _)| is_written(text)) {
        Some((text, cut)) => text_lines(text, cut, bytes.len(), limits),
        None => hex_lines(bytes, limits),
    };
    document.reason = reason;
    document
}

/// What `bytes` are, without laying them out. Large values are judged by their beginning.
pub fn shape(bytes: Option<&[u8]>) -> Shape {
    let limits = Limits {
        lines: 1,
        bytes: 4096,
        hex_columns: 16,
    };
    document(bytes, limits).shape
}

/// The value as JSON, or why it is none; no reason where it does not even begin like an object or array.
fn json(bytes: &[u8], limits: Limits) -> Result<Document, Option<String>> {
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let container = matches!(first, Some(b'{' | b'['));
    let why = |reason: String| container.then_some(reason);
    if bytes.len() <= CHECKED {
        let set = super::fields::FieldSet::new(&[]);
        set.extract(bytes, &mut Vec::new())
            .map_err(|error| why(error.to_string()))?;
    } else if !container {
        return Err(None);
    }
    let Some((text, _)) = text_of(bytes, limits) else {
        return Err(why("not UTF-8".to_owned()));
    };
    let (mut lines, ended) = pretty::lines(text, limits).map_err(|error| why(error.to_string()))?;
    if !ended {
        lines.push(missing(bytes.len()));
    }
    Ok(Document {
        shape: Shape::Json,
        lines,
        reason: None,
        cut: !ended,
    })
}

/// The value's beginning as text, cut between two characters, and whether it is cut; `None` where it is not UTF-8.
fn text_of(bytes: &[u8], limits: Limits) -> Option<(&str, bool)> {
    let Some(head) = bytes.get(..limits.bytes).filter(|head| head.len() < bytes.len()) else {
        return std::str::from_utf8(bytes).ok().map(|text| (text, false));
    };
    match std::str::from_utf8(head) {
        Ok(text) => Some((text, true)),
        // A character that the limit cut in two is no error.
        Err(error) if error.error_len().is_none() => {
            let valid = head.get(..error.valid_up_to())?;
            std::str::from_utf8(valid).ok().map(|text| (text, true))
        }
        Err(_) => None,
    }
}

/// Whether somebody wrote this: text full of NULs and the like is binary data that happens to be UTF-8.
fn is_written(text: &str) -> bool {
    let acts = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{1b}');
    text.chars().filter(acts).count() * 10 <= text.chars().count()
}

fn missing(size: usize) -> Line {
    let mut line = Line::default();
    line.add(Kind::Note, format!("… {size} bytes in all"));
    line
}

fn text_lines(text: &str, cut: bool, size: usize, limits: Limits) -> Document {
    let mut lines: Vec<Line> = Vec::new();
    let mut cut = cut;
    for row in text.split_inclusive('\n') {
        if lines.len() == limits.lines {
            cut = true;
            break;
        }
        let row = row.strip_suffix('\n').unwrap_or(row);
        let row = row.strip_suffix('\r').unwrap_or(row);
        let mut line = Line::default();
        line.add_text(Kind::Plain, &row.replace('\t', "    "));
        lines.push(line);
    }
    if cut {
        lines.push(missing(size));
    }
    Document {
        shape: Shape::Text,
        lines,
        reason: None,
        cut,
    }
}

fn hex_lines(bytes: &[u8], limits: Limits) -> Document {
    let columns = limits.hex_columns.clamp(1, 64);
    let mut lines: Vec<Line> = Vec::new();
    let mut shown = 0;
    for row in bytes.chunks(columns) {
        if lines.len() == limits.lines || shown >= limits.bytes {
            break;
        }
        let mut line = Line::default();
        line.add(Kind::Note, format!("{shown:08x}  "));
        let mut hex = String::new();
        for at in 0..columns {
            match row.get(at) {
                Some(byte) => hex.push_str(&format!("{byte:02x} ")),
                None => hex.push_str("   "),
            }
            if at % 8 == 7 && at + 1 < columns {
                hex.push(' ');
            }
        }
        line.add(Kind::Number, hex);
        let text: String = row
            .iter()
            .map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '·' })
            .collect();
        line.add(Kind::Plain, format!(" {text}"));
        lines.push(line);
        shown += row.len();
    }
    let cut = shown < bytes.len();
    if cut {
        lines.push(missing(bytes.len()));
    }
    Document {
        shape: Shape::Binary,
        lines,
        reason: None,
        cut,
    }
}

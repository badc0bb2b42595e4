//! What a record contains is shown, never sent: the one place where text becomes something to draw.

use std::borrow::Cow;

use crate::decode;

/// Text in which nothing can move the cursor, change the terminal, or turn the order of what is read.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Most text is this plain, and a frame looks at all of it.
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(decode::printable::printable(text.as_bytes(), usize::MAX).text)
}

/// The begin of some bytes on one line, `limit` characters at most.
pub fn one_line(bytes: &[u8], limit: usize) -> String {
    let mut line = decode::printable::one_line(bytes, limit);
    if line.cut {
        line.text.push('…');
    }
    line.text
}

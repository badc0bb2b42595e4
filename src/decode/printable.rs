//! Bytes as text that no terminal can be harmed by: what would act is shown instead.

use std::fmt::Write as _;

/// Text that is safe to send to a terminal, and whether all of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printable {
    /// The text: no control character, escape sequence or direction override is in it.
    pub text: String,
    /// Whether more followed than was asked for.
    pub cut: bool,
}

/// At most `limit` characters of `bytes`, on one line: a control character is its picture (`␛`, `␊`), what is invisible or
/// turns the direction of text is `⟨U+202E⟩`, a byte that is not UTF-8 is `⟨FF⟩`. Looks at no more bytes than it shows.
pub fn printable(bytes: &[u8], limit: usize) -> Printable {
    let mut text = String::new();
    let mut left = limit;
    // A character has four bytes at most; one more tells whether something follows.
    let head = bytes.get(..limit.saturating_mul(4).saturating_add(4)).unwrap_or(bytes);
    for chunk in head.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return Printable { text, cut: true };
            }
            left -= 1;
            push(&mut text, c);
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return Printable { text, cut: true };
            }
            left -= 1;
            // Writing to a string cannot fail.
            let _ = write!(text, "⟨{byte:02X}⟩");
        }
    }
    Printable {
        text,
        cut: head.len() < bytes.len(),
    }
}

/// One line for a list: like [`printable`], but white space of any length is one space, as in pretty-printed JSON.
pub fn one_line(bytes: &[u8], limit: usize) -> Printable {
    let window = bytes.get(..limit.saturating_mul(8).saturating_add(64)).unwrap_or(bytes);
    let mut squeezed = Vec::with_capacity(window.len().min(limit.saturating_mul(4)));
    let blank = |b: &u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
    for word in window.split(blank).filter(|word| !word.is_empty()) {
        if !squeezed.is_empty() {
            squeezed.push(b' ');
        }
        squeezed.extend_from_slice(word);
    }
    let mut line = printable(&squeezed, limit);
    line.cut |= window.len() < bytes.len();
    line
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Appends a character, or what stands for it.
pub(super) fn push(out: &mut String, c: char) {
    match c {
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('␀')),
        '\u{7f}' => out.push('␡'),
        c if is_hidden(c) => {
            let _ = write!(out, "⟨U+{:04X}⟩", c as u32);
        }
        c => out.push(c),
    }
}

/// Whether a character acts or hides rather than shows: C1 controls (`U+009B` begins an escape sequence), direction marks
/// and overrides, line separators, what has no width and joins nothing, and the tags that can carry unseen text.
pub(super) fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_act_is_shown() {
        for (bytes, shown) in [
            (&b"plain \xc3\xa9 \xe4\xb8\xad"[..], "plain é 中"),
            (b"\x1b[31mred\x07\x00\x7f\r\n\t", "␛[31mred␇␀␡␍␊␉"),
            (
                "a\u{202e}b\u{2066}\u{9b}2J\u{200b}".as_bytes(),
                "a⟨U+202E⟩b⟨U+2066⟩⟨U+009B⟩2J⟨U+200B⟩",
            ),
            (b"\xff\xc3(\xed\xa0\x80", "⟨FF⟩⟨C3⟩(⟨ED⟩⟨A0⟩⟨80⟩"),
        ] {
            let all = Printable {
                text: shown.to_owned(),
                cut: false,
            };
            assert_eq!(printable(bytes, 100), all);
        }
    }

    #[test]
    fn a_limit_counts_characters_and_says_that_it_cut() {
        assert_eq!(
            printable("ééé".as_bytes(), 2),
            Printable {
                text: "éé".into(),
                cut: true
            }
        );
        assert_eq!(
            printable("ééé".as_bytes(), 3),
            Printable {
                text: "ééé".into(),
                cut: false
            }
        );
        assert_eq!(
            printable(b"", 0),
            Printable {
                text: String::new(),
                cut: false
            }
        );
        assert_eq!(
            printable(b"a", 0),
            Printable {
                text: String::new(),
                cut: true
            }
        );
        assert_eq!(printable(&vec![b'a'; 10_000_000], 3).text, "aaa");
    }

    #[test]
    fn a_list_shows_pretty_json_on_one_line() {
        let line = one_line(b" {\n  \"a\": 1,\r\n\t\"b\": \"x\x1b\"\n}\n", 100);
        assert_eq!(
            line,
            Printable {
                text: "{ \"a\": 1, \"b\": \"x␛\" }".into(),
                cut: false
            }
        );
        assert!(one_line(&[b' '; 10_000_000], 10).cut);
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_through(bytes in proptest::collection::vec(any::<u8>(), 0..200), limit in 0usize..220) {
            for shown in [printable(&bytes, limit), one_line(&bytes, limit)] {
                prop_assert!(shown.text.chars().all(|c| !c.is_control() && !is_hidden(c)), "{shown:?}");
            }
        }

        #[test]
        fn nothing_that_acts_comes_through_from_text(text in any::<String>()) {
            let shown = printable(text.as_bytes(), usize::MAX);
            prop_assert!(shown.text.chars().all(|c| !c.is_control() && !is_hidden(c)), "{shown:?}");
            prop_assert!(!shown.cut);
        }
    }
}

//! The words of an SQL text: identifiers and keywords, with strings, comments and numbers left out.

use std::ops::Range;

/// A word of an SQL text; a quoted identifier without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
}

impl Word<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Every word of `sql` in order. Doubled quotes inside a quoted identifier stay doubled: no name that is looked for has any.
pub(super) fn words(sql: &str) -> Vec<Word<'_>> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = sql[at..].find('\n').map_or(bytes.len(), |end| at + end);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = sql[at + 2..].find("*/").map_or(bytes.len(), |end| at + end + 4);
            }
            b'\'' => at = quoted_end(bytes, at, b'\''),
            quote @ (b'"' | b'`') => {
                at = quoted_end(bytes, at, quote);
                push(sql, start + 1..at.saturating_sub(1).max(start + 1), &mut found);
            }
            b'[' => {
                at = sql[at..].find(']').map_or(bytes.len(), |end| at + end + 1);
                push(sql, start + 1..at.saturating_sub(1).max(start + 1), &mut found);
            }
            c if c.is_ascii_digit() || c == b':' || c == b'@' || c == b'$' => {
                at += 1;
                while at < bytes.len() && (is_word(bytes[at]) || bytes[at] == b':') {
                    at += 1;
                }
            }
            c if is_word(c) => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
                push(sql, start..at, &mut found);
            }
            _ => at += 1,
        }
    }
    found
}

fn push<'a>(sql: &'a str, span: Range<usize>, found: &mut Vec<Word<'a>>) {
    if let Some(text) = sql.get(span.clone()) {
        found.push(Word { text, span });
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'$' || c >= 0x80
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn strings_comments_and_parameters_are_no_words() {
        let sql =
            "SELECT \"a b\", [c], `d`, 'e ''f' /* g */ -- h\n FROM i.j WHERE :k = 1e5 AND $l::m <> @n AND ö = x'00'";
        let found: Vec<_> = words(sql).into_iter().map(|word| word.text).collect();
        assert_eq!(
            found,
            [
                "SELECT", "a b", "c", "d", "FROM", "i", "j", "WHERE", "AND", "AND", "ö", "x"
            ]
        );
    }

    #[test]
    fn an_unclosed_quote_ends_with_the_text() {
        for sql in ["'abc", "\"abc", "[abc", "/* abc", "\"", "'", "["] {
            words(sql);
        }
    }
}

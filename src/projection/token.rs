//! SQLite's tokens, cut exactly as SQLite cuts them (`tokenize.c`), so that statement boundaries, parameters and comments
//! here are the ones that it will see.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a bare identifier.
    Word,
    /// An identifier in `"…"`, `` `…` `` or `[…]`.
    Quoted,
    /// A string in `'…'`.
    Text,
    /// `x'…'`.
    Blob,
    Number,
    /// `:name`, `$name`, `@name`, `#name`, `?` or `?1`.
    Parameter,
    Semicolon,
    Open,
    Close,
    Operator,
    /// `-- …` to the end of the line.
    LineComment,
    /// `/* … */`.
    BlockComment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

impl Token {
    pub(super) fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.clone()).unwrap_or_default()
    }

    /// Whether the token is this keyword, in any case.
    pub(super) fn is(&self, source: &str, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text(source).eq_ignore_ascii_case(keyword)
    }
}

/// Text that is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadToken {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Every token of `source`, comments included, white space not.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, BadToken> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = source.as_bytes().get(at).copied() {
        if matches!(first, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c') {
            at += 1;
        } else if source.get(at..).is_some_and(|rest| rest.starts_with('\u{feff}')) {
            at += '\u{feff}'.len_utf8();
        } else {
            let (kind, end) = token(source, at)?;
            out.push(Token { kind, span: at..end });
            at = end;
        }
    }
    Ok(out)
}

/// Bytes that SQLite takes into a name: letters, digits, `_`, `$`, and all that is not ASCII.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn token(source: &str, at: usize) -> Result<(Kind, usize), BadToken> {
    let bytes = source.as_bytes();
    let byte = |i: usize| bytes.get(at + i).copied().unwrap_or(0);
    let operator = |length: usize| Ok((Kind::Operator, at + length));
    match byte(0) {
        b'-' if byte(1) == b'-' => {
            let end = source.get(at..).and_then(|rest| rest.find('\n'));
            Ok((Kind::LineComment, end.map_or(source.len(), |n| at + n)))
        }
        b'/' if byte(1) == b'*' => match source.get(at + 2..).and_then(|rest| rest.find("*/")) {
            Some(n) => Ok((Kind::BlockComment, at + n + 4)),
            None => Err(bad(
                at..at + 2,
                "this comment is never closed",
                Some("close it with `*/`"),
            )),
        },
        b'-' if byte(1) == b'>' => operator(if byte(2) == b'>' { 3 } else { 2 }),
        b'(' => Ok((Kind::Open, at + 1)),
        b')' => Ok((Kind::Close, at + 1)),
        b';' => Ok((Kind::Semicolon, at + 1)),
        b'<' if matches!(byte(1), b'=' | b'>' | b'<') => operator(2),
        b'>' if matches!(byte(1), b'=' | b'>') => operator(2),
        b'=' if byte(1) == b'=' => operator(2),
        b'!' if byte(1) == b'=' => operator(2),
        b'|' if byte(1) == b'|' => operator(2),
        b'.' if byte(1).is_ascii_digit() => number(source, at),
        b'-' | b'+' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'|' | b'&' | b'~' | b',' | b'.' => operator(1),
        b'0'..=b'9' => number(source, at),
        b'\'' => quoted(source, at, '\'', "this string is never closed").map(|end| (Kind::Text, end)),
        b'"' => quoted(source, at, '"', "this quoted name is never closed").map(|end| (Kind::Quoted, end)),
        b'`' => quoted(source, at, '`', "this quoted name is never closed").map(|end| (Kind::Quoted, end)),
        b'[' => match source.get(at..).and_then(|rest| rest.find(']')) {
            Some(n) => Ok((Kind::Quoted, at + n + 1)),
            None => Err(bad(
                at..at + 1,
                "this quoted name is never closed",
                Some("close it with `]`"),
            )),
        },
        b'x' | b'X' if byte(1) == b'\'' => blob(source, at),
        b'?' => Ok((Kind::Parameter, run(bytes, at + 1, |b| b.is_ascii_digit()))),
        b':' | b'$' | b'@' | b'#' => parameter(source, at),
        first if in_name(first) => Ok((Kind::Word, run(bytes, at, in_name))),
        _ => {
            let c = source.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('?');
            Err(bad(
                at..at + c.len_utf8(),
                format!("SQL has no {}", c.escape_default()),
                Some("text belongs in 'single quotes', a note in a `-- comment`"),
            ))
        }
    }
}

fn bad(span: Range<usize>, message: impl Into<String>, help: Option<&'static str>) -> BadToken {
    BadToken {
        span,
        message: message.into(),
        help,
    }
}

fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| belongs(**b)).count()
}

/// The end of what begins with the quote at `at`; a doubled quote stands for one.
fn quoted(source: &str, at: usize, quote: char, message: &str) -> Result<usize, BadToken> {
    let mut from = at + 1;
    while let Some(n) = source.get(from..).and_then(|rest| rest.find(quote)) {
        let end = from + n + 1;
        if source.get(end..).is_some_and(|rest| rest.starts_with(quote)) {
            from = end + 1;
        } else {
            return Ok(end);
        }
    }
    let line = source
        .get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(source.len(), |n| at + n);
    Err(bad(
        at..line,
        message,
        Some("close it with the same quote; a quote inside it is written twice"),
    ))
}

fn blob(source: &str, at: usize) -> Result<(Kind, usize), BadToken> {
    let end = quoted(source, at + 1, '\'', "this blob is never closed")?;
    let digits = source.get(at + 2..end - 1).unwrap_or_default();
    if digits.len() % 2 == 0 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok((Kind::Blob, end))
    } else {
        Err(bad(at..end, "a blob is an even number of hexadecimal digits", None))
    }
}

fn number(source: &str, at: usize) -> Result<(Kind, usize), BadToken> {
    let bytes = source.as_bytes();
    let digit = |b: u8| b.is_ascii_digit() || b == b'_';
    let is = |i: usize, set: &[u8]| bytes.get(i).is_some_and(|b| set.contains(b));
    let mut end;
    if is(at, b"0") && is(at + 1, b"xX") {
        end = run(bytes, at + 2, |b| b.is_ascii_hexdigit() || b == b'_');
    } else {
        end = run(bytes, at, digit);
        if is(end, b".") {
            end = run(bytes, end + 1, digit);
        }
        if is(end, b"eE") {
            let sign = usize::from(is(end + 1, b"+-"));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                end = run(bytes, end + 1 + sign, digit);
            }
        }
    }
    let word = run(bytes, end, in_name);
    if word > end {
        return Err(bad(
            at..word,
            format!(
                "`{}` is neither a number nor a name",
                source.get(at..word).unwrap_or_default()
            ),
            Some("a name that begins with a digit is written in \"double quotes\""),
        ));
    }
    Ok((Kind::Number, end))
}

fn parameter(source: &str, at: usize) -> Result<(Kind, usize), BadToken> {
    let bytes = source.as_bytes();
    let mut end = at + 1;
    let mut named = false;
    loop {
        let next = run(bytes, end, in_name);
        named |= next > end;
        end = next;
        if bytes.get(end..).is_some_and(|rest| rest.starts_with(b"::")) {
            end += 2;
        } else {
            break;
        }
    }
    if !named {
        return Err(bad(
            at..end,
            format!("`{}` binds nothing", source.get(at..end).unwrap_or_default()),
            Some("`:name` binds a field of the event, `$a::b` a nested one, `@offset` the record's offset"),
        ));
    }
    if bytes.get(end) == Some(&b'(') {
        return Err(bad(
            at..end + 1,
            "a parameter takes no parentheses",
            Some("put a space before the parenthesis if it belongs to something else"),
        ));
    }
    Ok((Kind::Parameter, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(source: &str) -> Vec<(Kind, &str)> {
        tokens(source)
            .unwrap()
            .iter()
            .map(|t| (t.kind, t.text(source)))
            .collect()
    }

    #[test]
    fn tokens_are_cut_as_sqlite_cuts_them() {
        use Kind::{
            Blob, BlockComment, Close, LineComment, Number, Open, Operator, Parameter, Quoted, Semicolon, Text, Word,
        };
        assert_eq!(
            cut(
                "SELECT 'it''s; --', \"a;\"\"b\", [x;], `y`,x'0f', 1_0.5e-3, .5, 0xFF; -- end;\n/* ; */ a->>'b'!=$c::d||:e@f (?1)"
            ),
            [
                (Word, "SELECT"),
                (Text, "'it''s; --'"),
                (Operator, ","),
                (Quoted, "\"a;\"\"b\""),
                (Operator, ","),
                (Quoted, "[x;]"),
                (Operator, ","),
                (Quoted, "`y`"),
                (Operator, ","),
                (Blob, "x'0f'"),
                (Operator, ","),
                (Number, "1_0.5e-3"),
                (Operator, ","),
                (Number, ".5"),
                (Operator, ","),
                (Number, "0xFF"),
                (Semicolon, ";"),
                (LineComment, "-- end;"),
                (BlockComment, "/* ; */"),
                (Word, "a"),
                (Operator, "->>"),
                (Text, "'b'"),
                (Operator, "!="),
                (Parameter, "$c::d"),
                (Operator, "||"),
                (Parameter, ":e"),
                (Parameter, "@f"),
                (Open, "("),
                (Parameter, "?1"),
                (Close, ")"),
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_place() {
        for (source, span) in [
            ("a 'b", 2..4),
            ("a \"b\nc", 2..4),
            ("a /* b", 2..4),
            ("a [b", 2..3),
            ("x'0'", 0..4),
            ("12ab", 0..4),
            ("1e", 0..2),
            (": a", 0..1),
            ("a \\ b", 2..3),
            ("a ! b", 2..3),
            ("{", 0..1),
        ] {
            assert_eq!(tokens(source).unwrap_err().span, span, "{source}");
        }
    }
}

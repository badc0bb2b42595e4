//! Header comments, `-- word: value` on a line of their own, and the statements between them.

use std::ops::Range;

use super::token::{Kind, Token};

/// Headers that this version runs.
pub(super) const HEADERS: &[&str] = &[
    "projection",
    "topic",
    "type",
    "version",
    "history",
    "schema",
    "upcast",
    "on",
    "invariant",
    "emit",
    "alert",
    "test",
    "given",
    "given envelope",
    "expect",
    "expect poison",
    "expect broken",
];

/// A piece of the file.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A header comment.
    Header(Header),
    /// A row that a test expects: a comment `-- = …` below `-- expect:`.
    Row(Text),
    /// The tokens of one statement, comments left out, never empty.
    Statement(Vec<Token>),
}

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) word: String,
    /// The word and its place.
    pub(super) span: Range<usize>,
    pub(super) value: String,
    pub(super) value_span: Range<usize>,
}

/// A part of a comment.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// Text that fits nowhere, with the place that explains it.
#[derive(Debug)]
pub(super) struct Unbalanced {
    pub(super) span: Range<usize>,
    pub(super) message: &'static str,
    pub(super) also: Option<(Range<usize>, &'static str)>,
}

/// Cuts the tokens into headers and statements. A statement ends at its semicolon, at the next header, or with the file.
/// Inside parentheses, and for words that are no header's also inside an unfinished statement, a comment is a comment.
pub(super) fn items(source: &str, tokens: &[Token]) -> Result<Vec<Item>, Unbalanced> {
    let mut items = Vec::new();
    let mut statement: Vec<Token> = Vec::new();
    let mut open: Vec<Range<usize>> = Vec::new();
    let mut expecting = false;
    for token in tokens {
        match token.kind {
            Kind::BlockComment => {}
            Kind::LineComment => {
                let outside = open.is_empty() && is_alone(source, token);
                if let Some(row) = (outside && expecting).then(|| row(source, token)).flatten() {
                    finish(&mut statement, &mut items);
                    items.push(Item::Row(row));
                    continue;
                }
                let header = outside.then(|| header(source, token)).flatten();
                if let Some(header) = header.filter(|h| statement.is_empty() || is_known(&h.word)) {
                    finish(&mut statement, &mut items);
                    expecting = header.word == "expect";
                    items.push(Item::Header(header));
                }
            }
            Kind::Semicolon => match open.pop() {
                Some(place) => {
                    return Err(Unbalanced {
                        span: place,
                        message: "this parenthesis is never closed",
                        also: Some((token.span.clone(), "the statement ends here")),
                    });
                }
                None => finish(&mut statement, &mut items),
            },
            Kind::Close if open.is_empty() => {
                return Err(Unbalanced {
                    span: token.span.clone(),
                    message: "this parenthesis closes nothing",
                    also: None,
                });
            }
            kind => {
                match kind {
                    Kind::Open => open.push(token.span.clone()),
                    Kind::Close => drop(open.pop()),
                    _ => {}
                }
                statement.push(token.clone());
            }
        }
    }
    if let Some(span) = open.pop() {
        return Err(Unbalanced {
            span,
            message: "this parenthesis is never closed",
            also: None,
        });
    }
    finish(&mut statement, &mut items);
    Ok(items)
}

fn finish(statement: &mut Vec<Token>, items: &mut Vec<Item>) {
    if !statement.is_empty() {
        items.push(Item::Statement(std::mem::take(statement)));
    }
}

fn is_known(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    HEADERS.contains(&&*word)
}

/// Whether nothing but white space stands before a comment on its line.
fn is_alone(source: &str, comment: &Token) -> bool {
    let before = source.get(..comment.span.start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let before = before.get(line_start..).unwrap_or_default();
    before.trim_start_matches('\u{feff}').trim().is_empty()
}

/// The row that a comment is: `-- = …`. A rule of equals signs is a comment.
fn row(source: &str, comment: &Token) -> Option<Text> {
    let rest = comment
        .text(source)
        .strip_prefix("--")?
        .trim_start()
        .strip_prefix('=')?;
    if rest.starts_with('=') {
        return None;
    }
    let start = comment.span.end - rest.trim_start().len();
    let text = rest.trim();
    Some(Text {
        text: text.to_owned(),
        // An empty row is marked at its sign, where there is something to see.
        span: if text.is_empty() {
            start.saturating_sub(rest.len() + 1)..comment.span.end
        } else {
            start..start + text.len()
        },
    })
}

/// The header that a comment is. A known word in any case is one; an unknown word is one where it is written as headers are,
/// in lower case and with its colon at once, so that a misspelt header is never taken for a remark.
fn header(source: &str, comment: &Token) -> Option<Header> {
    let text = comment.text(source).strip_prefix("--")?;
    let (word, value) = text.split_once(':')?;
    let trimmed = word.trim();
    let plain = trimmed.starts_with(|c: char| c.is_ascii_alphabetic())
        && trimmed
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let as_headers_are = trimmed.chars().all(|c| !c.is_ascii_uppercase())
        && word.ends_with(trimmed)
        && (value.is_empty() || value.starts_with(char::is_whitespace));
    if !(is_known(trimmed) || plain && as_headers_are) {
        return None;
    }
    let word_start = comment.span.start + 2 + (word.len() - word.trim_start().len());
    let value_at = comment.span.start + 2 + word.len() + 1 + (value.len() - value.trim_start().len());
    let value = value.trim();
    Some(Header {
        word: trimmed.to_owned(),
        span: word_start..word_start + trimmed.len(),
        value: value.to_owned(),
        // An empty value is marked at its word, where there is something to see.
        value_span: if value.is_empty() {
            word_start..word_start + trimmed.len() + 1
        } else {
            value_at..value_at + value.len()
        },
    })
}

/// The known word nearest to a misspelt one, where one is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 2).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(ca != cb);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *cb && b[j - 1] == *ca {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

//! JSON strings: where they end, how they begin, and what their escapes stand for.

/// From `at` on, where the first byte is that a string cannot hold as it is: a quote, a backslash or a control character.
#[inline]
pub(super) fn plain_run(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 128;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // A zero byte (or one below 0x20) borrows from its high bit; a borrow runs upwards only, so the lowest mark is true.
        let marks = ((quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGH;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// The first eight of the bytes from `start` to `end`, as a number; fewer are filled up with zeros.
#[inline(always)]
pub(super) fn head(bytes: &[u8], start: usize, end: usize) -> u64 {
    let word = match bytes.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            for (to, from) in chunk.iter_mut().zip(bytes.get(start..).unwrap_or_default()) {
                *to = *from;
            }
            u64::from_le_bytes(chunk)
        }
    };
    match end - start {
        length @ 0..8 => word & ((1 << (8 * length)) - 1),
        _ => word,
    }
}

/// The text of a string whose escapes have been checked, or the place of half a surrogate pair.
pub(super) fn unescape(text: &str) -> Result<String, usize> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(slash) = rest.find('\\') {
        let (plain, escape) = rest.split_at(slash);
        out.push_str(plain);
        let (c, used) = match escape.as_bytes().get(1) {
            Some(b'u') => unicode(escape).ok_or(text.len() - escape.len())?,
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(&other) => (char::from(other), 2),
            None => break,
        };
        out.push(c);
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The character of a `\u` escape, or of the two that make a surrogate pair, and how many bytes they took.
pub(super) fn unicode(escape: &str) -> Option<(char, usize)> {
    let unit = |from: usize| {
        let digits = escape.get(from..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(0).unwrap_or_default();
    if let Some(c) = char::from_u32(first) {
        return Some((c, 6));
    }
    let second = unit(6).unwrap_or_default();
    if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second) {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return char::from_u32(code).map(|c| (c, 12));
    }
    None
}

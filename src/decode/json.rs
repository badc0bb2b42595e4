//! A scanner over one JSON value: it checks every byte against RFC 8259 and keeps only places, no tree.
//!
//! Depth lives in [`Depth`], one bit a level, never on the stack: a value nested ten thousand deep is as harmless as a flat
//! one. The input has been checked as UTF-8 before, so that what lies between two places is text without another look.

use std::borrow::Cow;

use super::fields::DecodeError;
use super::string::{head, plain_run, unescape};

/// A string as it stands in the text: the bytes between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawString {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) escaped: bool,
}

/// A number as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawNumber {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it has neither fraction nor exponent.
    pub(super) integer: bool,
}

/// Which containers are open: a bit for each, set for an object. The first 128 need no memory.
#[derive(Debug, Default)]
pub(super) struct Depth {
    word: u128,
    open: u32,
    full: Vec<u128>,
}

impl Depth {
    #[inline(always)]
    pub(super) fn push(&mut self, object: bool) {
        if self.open == u128::BITS {
            self.full.push(self.word);
            self.open = 0;
        }
        self.word = (self.word << 1) | u128::from(object);
        self.open += 1;
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.word >>= 1;
        self.open = self.open.saturating_sub(1);
        if self.open == 0
            && let Some(word) = self.full.pop()
        {
            self.word = word;
            self.open = u128::BITS;
        }
    }

    /// Whether the innermost open container is an object; `None` where none is open.
    #[inline(always)]
    pub(super) fn top(&self) -> Option<bool> {
        (self.open > 0).then_some(self.word & 1 == 1)
    }
}

/// The scan came upon something that is not JSON; the scanner knows what and where. It weighs nothing, because it is in the
/// result of every step, and a result that carried a reason would be written to memory a hundred times for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault;

/// Where the scan stands.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    reason: &'static str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            reason: "",
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// The text between two places that the scanner gave.
    #[inline(always)]
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn head(&self, start: usize, end: usize) -> u64 {
        head(self.text.as_bytes(), start, end)
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte after white space.
    #[inline(always)]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                // Nearly every token follows at once: one comparison tells.
                Some(byte) if byte > b' ' => return Some(byte),
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Remembers what is wrong here.
    #[cold]
    pub(super) fn fault(&mut self, reason: &'static str) -> Fault {
        self.reason = reason;
        Fault
    }

    /// What the last fault was, in words.
    #[cold]
    pub(super) fn error(&self) -> DecodeError {
        let reason = if self.at >= self.text.len() {
            let missing = self.reason.strip_prefix("expected ").unwrap_or("more");
            format!("not JSON: it ends where {missing} should follow")
        } else {
            format!("not JSON: {}", self.reason)
        };
        DecodeError { reason, at: self.at }
    }

    /// Nothing but white space may follow the value.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the value")),
        }
    }

    /// The string whose opening quote is the next byte.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<RawString, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a string in double quotes"));
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = plain_run(self.text.as_bytes(), self.at);
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(RawString { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("a control character inside a string must be escaped")),
                None => return Err(self.fault("expected the quote that ends the string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.fault("expected four hexadecimal digits after \\u"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.fault("expected one of \" \\ / b f n r t u after a backslash")),
        }
        Ok(())
    }

    /// The text of a string: borrowed, unless escapes made it differ from what stands there.
    #[inline(always)]
    pub(super) fn unescape(&mut self, raw: RawString) -> Result<Cow<'a, str>, Fault> {
        if !raw.escaped {
            return Ok(Cow::Borrowed(self.slice(raw.start, raw.end)));
        }
        self.unescaped(raw).map(Cow::Owned).map_err(|at| {
            self.at = raw.start + at;
            self.fault("half of a surrogate pair, which no text can hold")
        })
    }

    /// The text of a string with escapes, or the place in it of half a surrogate pair.
    pub(super) fn unescaped(&self, raw: RawString) -> Result<String, usize> {
        unescape(self.slice(raw.start, raw.end))
    }

    /// The number that begins with the next byte.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<RawNumber, Fault> {
        let start = self.at;
        let mut integer = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fault("expected a digit")),
        }
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(RawNumber {
            start,
            end: self.at,
            integer,
        })
    }

    #[inline(always)]
    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.fault("expected a digit"));
        }
        self.digits();
        Ok(())
    }

    /// `true`, `false` or `null`.
    #[inline(always)]
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fault("expected a value"))
        }
    }

    /// A member's name and its colon.
    #[inline(always)]
    pub(super) fn name(&mut self) -> Result<RawString, Fault> {
        self.next_token();
        let name = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.fault("expected a colon"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Passes over the scalar that the next byte begins.
    #[inline(always)]
    pub(super) fn skip_scalar(&mut self, first: Option<u8>) -> Result<(), Fault> {
        match first {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// Passes over a value of any depth.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        match self.next_token() {
            Some(b'{' | b'[') => self.skip_container(),
            first => self.skip_scalar(first),
        }
    }

    fn skip_container(&mut self) -> Result<(), Fault> {
        let mut open = Depth::default();
        loop {
            match self.next_token() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(true);
                    if self.next_token() == Some(b'}') {
                        self.at += 1;
                        open.pop();
                    } else {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(false);
                    if self.next_token() == Some(b']') {
                        self.at += 1;
                        open.pop();
                    } else {
                        continue;
                    }
                }
                first => self.skip_scalar(first)?,
            }
            if !self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what closes here, and says whether another value follows in what is still open.
    #[inline(always)]
    fn close(&mut self, open: &mut Depth) -> Result<bool, Fault> {
        while let Some(object) = open.top() {
            if self.another(object)? {
                if object {
                    self.name()?;
                }
                return Ok(true);
            }
            open.pop();
        }
        Ok(false)
    }

    /// After a member or element: whether a comma announces another, or the container ends.
    #[inline(always)]
    pub(super) fn another(&mut self, object: bool) -> Result<bool, Fault> {
        match (self.next_token(), object) {
            (Some(b','), _) => {
                self.at += 1;
                Ok(true)
            }
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.at += 1;
                Ok(false)
            }
            (_, true) => Err(self.fault("expected a comma or the end of the object")),
            (_, false) => Err(self.fault("expected a comma or the end of the array")),
        }
    }
}

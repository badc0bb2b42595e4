//! JSON laid out over lines: one member or element a line, numbers digit for digit as they were written.

use super::display::{Kind, Limits, Line};
use super::fields::DecodeError;
use super::json::{Depth, Fault, RawString, Scanner};
use super::printable::is_hidden;

/// Deeper levels are not indented further: ten thousand of them would be a hundred megabytes of spaces.
const INDENTED: usize = 40;

/// The lines of the JSON in `text`, and whether they are all. `text` may be cut off at its end; what is there must be JSON.
pub(super) fn lines(text: &str, limits: Limits) -> Result<(Vec<Line>, bool), DecodeError> {
    let mut printer = Printer {
        scanner: Scanner::new(text),
        open: Depth::default(),
        depth: 0,
        lines: vec![Line::default()],
        limits,
    };
    match printer.run() {
        Ok(ended) => Ok((printer.lines, ended)),
        // Where the limit cut the text, its end is not the value's.
        Err(Fault) if text.len() >= limits.bytes.saturating_sub(3) && printer.scanner.peek().is_none() => {
            Ok((printer.lines, false))
        }
        Err(Fault) => Err(printer.scanner.error()),
    }
}

struct Printer<'a> {
    scanner: Scanner<'a>,
    open: Depth,
    depth: usize,
    lines: Vec<Line>,
    limits: Limits,
}

impl Printer<'_> {
    /// Whether all was laid out before the lines ran out.
    fn run(&mut self) -> Result<bool, Fault> {
        loop {
            let first = self.scanner.next_token();
            let (object, close) = match first {
                Some(b'{') => (true, "}"),
                Some(b'[') => (false, "]"),
                _ => {
                    self.scalar(first)?;
                    if !self.after_value()? {
                        return self.end();
                    }
                    continue;
                }
            };
            self.scanner.advance();
            self.add(Kind::Punctuation, if object { "{" } else { "[" });
            if self.scanner.next_token() == close.bytes().next() {
                self.scanner.advance();
                self.add(Kind::Punctuation, close);
                if !self.after_value()? {
                    return self.end();
                }
                continue;
            }
            self.open.push(object);
            self.depth += 1;
            if !self.member(object)? {
                return Ok(false);
            }
        }
    }

    fn end(&mut self) -> Result<bool, Fault> {
        if self.open.top().is_some() {
            return Ok(false);
        }
        self.scanner.finish().map(|()| true)
    }

    /// Begins the line of a member or element; `false` where the lines have run out.
    fn member(&mut self, object: bool) -> Result<bool, Fault> {
        if !self.new_line() {
            return Ok(false);
        }
        if object {
            let name = self.scanner.name()?;
            self.string(Kind::Key, name);
            self.add(Kind::Punctuation, ": ");
        }
        Ok(true)
    }

    /// Closes what closes after a value; `false` where nothing more follows, or the lines have run out.
    fn after_value(&mut self) -> Result<bool, Fault> {
        while let Some(object) = self.open.top() {
            if self.scanner.another(object)? {
                self.add(Kind::Punctuation, ",");
                return self.member(object);
            }
            self.open.pop();
            self.depth -= 1;
            if !self.new_line() {
                // Left open, so that `end` sees that something is missing.
                self.open.push(object);
                return Ok(false);
            }
            self.add(Kind::Punctuation, if object { "}" } else { "]" });
        }
        Ok(false)
    }

    fn scalar(&mut self, first: Option<u8>) -> Result<(), Fault> {
        match first {
            Some(b'"') => {
                let start = self.scanner.at();
                match self.scanner.string() {
                    Ok(raw) => self.string(Kind::String, raw),
                    Err(Fault) => {
                        // The beginning of a string that the limit cut in two is worth showing.
                        let begun = self.scanner.slice(start, self.scanner.at());
                        self.bounded(Kind::String, begun);
                        return Err(Fault);
                    }
                }
            }
            Some(b't' | b'f' | b'n') => {
                let (word, kind) = match first {
                    Some(b't') => ("true", Kind::Bool),
                    Some(b'f') => ("false", Kind::Bool),
                    _ => ("null", Kind::Null),
                };
                self.scanner.literal(word)?;
                self.add(kind, word);
            }
            _ => {
                let raw = self.scanner.number()?;
                let text = self.scanner.slice(raw.start, raw.end);
                self.bounded(Kind::Number, text);
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.add(kind, text);
        }
    }

    fn new_line(&mut self) -> bool {
        if self.lines.len() >= self.limits.lines {
            return false;
        }
        let mut line = Line::default();
        if self.depth > 0 {
            line.add(Kind::Plain, "  ".repeat(self.depth.min(INDENTED)));
        }
        self.lines.push(line);
        true
    }

    fn string(&mut self, kind: Kind, raw: RawString) {
        let written = self.scanner.slice(raw.start, raw.end);
        let text = if raw.escaped {
            format!("\"{}\"", readable(written))
        } else {
            format!("\"{written}\"")
        };
        self.bounded(kind, &text);
    }

    /// Adds text, cut where it is longer than a string may be.
    fn bounded(&mut self, kind: Kind, text: &str) {
        let most = (self.limits.bytes / 8).max(64);
        let Some(line) = self.lines.last_mut() else {
            return;
        };
        if text.len() <= most {
            line.add_text(kind, text);
            return;
        }
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        line.add_text(kind, text.get(..end).unwrap_or_default());
        line.add(Kind::Note, format!("… {} bytes", text.len()));
    }
}

/// A string with `\u` escapes of visible characters undone, so that what was written as `\u4e2d` reads as 中. Every other
/// escape stays as it is.
fn readable(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (c, used) = super::string::unicode(escape).unwrap_or(('\0', 0));
        let visible = used > 0 && !c.is_ascii() && !c.is_control() && !is_hidden(c);
        let used = if visible { used } else { escape.len().min(2) };
        match escape.get(..used) {
            Some(_) if visible => out.push(c),
            Some(kept) => out.push_str(kept),
            None => break,
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::super::display::{Limits, Shape, document, shape};
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> (Shape, Vec<String>, Option<String>) {
        let document = document(Some(bytes), Limits::default());
        (
            document.shape,
            document.lines.iter().map(Line::text).collect(),
            document.reason,
        )
    }

    #[test]
    fn json_is_laid_out_with_its_numbers_as_written() {
        let json = br#"{"id":"a\u4e2d\n\u001b","n":1.50,"big":12345678901234567890.10,"l":[1,{"x":null}],"e":{},"f":[],"t":true}"#;
        let (shape, lines, reason) = shown(json);
        assert_eq!((shape, reason), (Shape::Json, None));
        let expected = r#"{
  "id": "a中\n\u001b",
  "n": 1.50,
  "big": 12345678901234567890.10,
  "l": [
    1,
    {
      "x": null
    }
  ],
  "e": {},
  "f": [],
  "t": true
}"#;
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn what_is_not_json_is_text_or_hex_with_the_reason() {
        let (shape, lines, reason) = shown(b"{\"a\": \x1b[31m}\r\nsecond\tline\n");
        assert_eq!(shape, Shape::Text);
        assert_eq!(lines, ["{\"a\": ␛[31m}", "second    line"]);
        assert_eq!(reason.unwrap(), "not JSON: expected a value at byte 6");
        let (shape, lines, reason) = shown(b"\x00\x00\x00\x00\x05hello \xff, this is more than sixteen");
        assert_eq!((shape, reason), (Shape::Binary, None));
        assert_eq!(
            lines[0],
            "00000000  00 00 00 00 05 68 65 6c  6c 6f 20 ff 2c 20 74 68  ·····hello ·, th"
        );
        let (shape, _, reason) = shown(b"{\"a\":\"\xff\"}");
        assert_eq!((shape, reason.as_deref()), (Shape::Binary, Some("not UTF-8 at byte 6")));
        assert_eq!(shown(b"plain").0, Shape::Text);
        assert_eq!(shown(b"12").0, Shape::Json);
        assert_eq!(super::super::display::shape(None), Shape::Null);
        assert_eq!(shape_of(b""), Shape::Empty);
    }

    fn shape_of(bytes: &[u8]) -> Shape {
        shape(Some(bytes))
    }

    #[test]
    fn ten_megabytes_cost_what_is_shown_of_them() {
        let long = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(10_000_000));
        let many = format!("[{}1]", "1,".repeat(5_000_000));
        let deep = format!("{}{}", "[".repeat(5_000_000), "]".repeat(5_000_000));
        let text = "word ".repeat(2_000_000);
        let binary = vec![0_u8; 10_000_000];
        for (bytes, expected) in [
            (long.as_bytes(), Shape::Json),
            (many.as_bytes(), Shape::Json),
            (deep.as_bytes(), Shape::Json),
            (text.as_bytes(), Shape::Text),
            (&binary, Shape::Binary),
        ] {
            let document = document(Some(bytes), Limits::default());
            assert_eq!(document.shape, expected);
            assert!(document.cut);
            assert_eq!(
                document.lines.last().unwrap().text(),
                format!("… {} bytes in all", bytes.len())
            );
            let weight: usize = document.lines.iter().map(|line| line.text().len()).sum();
            assert!(weight < 4_000_000, "{expected:?} weighs {weight}");
            assert!(weight > 1_000, "{expected:?} shows {weight}");
        }
    }

    #[test]
    fn the_lines_that_are_missing_are_spoken_of() {
        let limits = Limits {
            lines: 3,
            ..Limits::default()
        };
        for json in ["[1,2,3]", "[1,[2]]", "{\"a\":{\"b\":{\"c\":1}}}", "[1,2]"] {
            let document = document(Some(json.as_bytes()), limits);
            assert!(document.cut, "{json}");
            assert!(document.lines.len() <= 4);
        }
        assert!(!document(Some(b"[1]"), limits).cut);
    }

    proptest! {
        #[test]
        fn pretty_json_is_the_same_json(value in "[a-c\u{e9}\u{1f600}\u{202e}\\\\\"\n]{0,6}", n in any::<f64>(), depth in 0usize..50) {
            prop_assume!(n.is_finite());
            let value = serde_json::json!({"k": [value, n, null, {"x": [], "y": {}}]});
            let json = format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth));
            let (shape, lines, _) = shown(json.as_bytes());
            prop_assert_eq!(shape, Shape::Json);
            if !json.contains('\u{202e}') {
                let again: serde_json::Value = serde_json::from_str(&lines.join("\n")).unwrap();
                prop_assert_eq!(again, serde_json::from_str::<serde_json::Value>(&json).unwrap());
            }
        }

        #[test]
        fn no_document_can_harm_a_terminal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for line in document(Some(&bytes), Limits::default()).lines {
                prop_assert!(line.text().chars().all(|c| !c.is_control() && !is_hidden(c)), "{line:?}");
            }
        }
    }
}

//! Text with `${name}` where something is to be put.

use std::fmt::Write as _;

/// A template, cut into its parts.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Name(String),
}

impl Template {
    /// Cuts `text`; a `${` that is never closed is an error.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, left) = after
                .split_once('}')
                .ok_or_else(|| "a `${` is never closed".to_owned())?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Name(name.to_owned()));
            rest = left;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// The names that it uses.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with every name replaced by its value, as it stands inside a JSON string.
    pub(super) fn fill(&self, json: bool, value: impl Fn(&str) -> Option<String>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => {
                    let value = value(name).unwrap_or_default();
                    if json {
                        escape(&mut out, &value);
                    } else {
                        out.push_str(&value);
                    }
                }
            }
        }
        out
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                // Writing to a string cannot fail; a control character has four hexadecimal digits at most.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_escaped_in_json() {
        let template = Template::parse("{\"a\":\"${x}\",\"n\":${y}}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["x", "y"]);
        let value = |name: &str| Some(if name == "x" { "a\"\\\n" } else { "7" }.to_owned());
        assert_eq!(template.fill(true, value), "{\"a\":\"a\\\"\\\\\\u000a\",\"n\":7}");
        assert_eq!(template.fill(false, value), "{\"a\":\"a\"\\\n\",\"n\":7}");
        assert!(Template::parse("${x").is_err());
    }
}

//! Prometheus' text format, version 0.0.4.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Metrics as they are written; a family's samples follow it.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    name: &'static str,
    written: BTreeSet<String>,
}

impl Exposition {
    /// Begins a family: what it is called, `counter` or `gauge`, and a line of help.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.name = name;
    }

    /// A sample of the family. One with the same labels as another is left out: a scrape with two is refused as a whole.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut line = self.name.to_owned();
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(line, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(text));
        }
        if !labels.is_empty() {
            line.push('}');
        }
        if self.written.insert(line.clone()) {
            let _ = writeln!(self.text, "{line} {value}");
        }
    }

    /// The text.
    pub(crate) fn done(self) -> String {
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

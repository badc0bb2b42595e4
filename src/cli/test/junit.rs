//! Results as JUnit XML, which most build servers read.

use std::fmt::Write as _;
use std::time::Duration;

use super::run::{Failure, Finding, Tested};

/// The whole report: a suite for each file. A file that cannot be tested is a suite with one error.
pub(super) fn xml(all: &[Tested]) -> String {
    let findings = || all.iter().flat_map(|tested| &tested.findings);
    let errors = all.iter().filter(|tested| tested.error.is_some()).count();
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuites name=\"foldlog\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" time=\"{}\">",
        findings().count() + errors,
        findings().filter(|finding| !finding.passed()).count(),
        seconds(findings().map(|finding| finding.took).sum())
    );
    for tested in all {
        suite(&mut out, tested);
    }
    out + "</testsuites>\n"
}

fn suite(out: &mut String, tested: &Tested) {
    let errors = usize::from(tested.error.is_some());
    let file = escaped(&tested.file);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" time=\"{}\">",
        tested.findings.len() + errors,
        tested.findings.iter().filter(|finding| !finding.passed()).count(),
        seconds(tested.findings.iter().map(|finding| finding.took).sum())
    );
    if let Some(error) = &tested.error {
        let _ = writeln!(
            out,
            "    <testcase name=\"{file}\" classname=\"{file}\"><error message=\"{}\"/></testcase>",
            escaped(&error.to_string())
        );
    }
    for finding in &tested.findings {
        case(out, &file, finding);
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, file: &str, finding: &Finding) {
    let _ = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{file}\" file=\"{file}\" line=\"{}\" time=\"{}\"",
        escaped(&finding.name),
        finding.line,
        seconds(finding.took)
    );
    if finding.passed() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    for failure in &finding.failures {
        let _ = writeln!(
            out,
            "      <failure message=\"{}\">{}</failure>",
            escaped(&message(failure)),
            escaped(&failure.lines().join("\n"))
        );
    }
    out.push_str("    </testcase>\n");
}

fn message(failure: &Failure) -> String {
    format!("line {}: {}", failure.line, failure.what)
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text for an element or an attribute in double quotes. XML has no way to write most control characters, not even escaped:
/// they are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader turns these into spaces in an attribute unless they are written as numbers.
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_cannot_break_the_report() {
        let finding = Finding {
            name: "a \"quoted\" <name> & \u{1b}[31m more".to_owned(),
            line: 7,
            failures: vec![Failure {
                line: 9,
                what: "SELECT '<x>' < 1".to_owned(),
                difference: None,
            }],
            notes: Vec::new(),
            took: Duration::from_millis(1_500),
        };
        let broken = Tested {
            file: "b.sql".to_owned(),
            findings: Vec::new(),
            error: Some(miette::miette!("]]> & \u{0}")),
        };
        let tested = Tested {
            file: "a&b.sql".to_owned(),
            findings: vec![finding],
            error: None,
        };
        insta::assert_snapshot!(xml(&[tested, broken]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="foldlog" tests="2" failures="1" errors="1" time="1.500">
          <testsuite name="a&amp;b.sql" tests="1" failures="1" errors="0" time="1.500">
            <testcase name="a &quot;quoted&quot; &lt;name&gt; &amp; �[31m more" classname="a&amp;b.sql" file="a&amp;b.sql" line="7" time="1.500">
              <failure message="line 9: SELECT '&lt;x&gt;' &lt; 1"></failure>
            </testcase>
          </testsuite>
          <testsuite name="b.sql" tests="1" failures="0" errors="1" time="0.000">
            <testcase name="b.sql" classname="b.sql"><error message="]]&gt; &amp; �"/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}

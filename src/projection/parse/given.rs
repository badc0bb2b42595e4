//! The tests at the end of a file: `-- test:`, `-- given:`, `-- expect:` and the rows `-- = …`.

use std::ops::Range;

use serde_json::Value;

use crate::projection::header::{Header, Text};
use crate::projection::token::{Kind, Token, tokens};
use crate::projection::{Expect, Given, Row, Step, Test, check, statement};

use super::{Asking, Parser, ProjectionError, Result, Section};

/// What stands for no row at all; it is no JSON, so no row is written like that.
const NO_ROWS: &str = "no rows";

impl Parser<'_> {
    pub(super) fn test(&mut self, header: &Header) -> Result<()> {
        self.check_last_test()?;
        if header.value.is_empty() {
            return Err(self
                .error(
                    header.value_span.clone(),
                    "this test has no name",
                    "the name is missing",
                )
                .with_help("say what it shows: `-- test: an overdraft is refused`; or begin with `-- given:`"));
        }
        self.begin(header, Some(header.value.clone()));
        Ok(())
    }

    fn begin(&mut self, header: &Header, name: Option<String>) {
        self.section = Section::Tests;
        self.tests.push(Test {
            name,
            line: self.line(header.span.start),
            span: header.span.clone(),
            steps: Vec::new(),
        });
    }

    pub(super) fn given(&mut self, header: &Header) -> Result<()> {
        // Without a name, events after what was expected are those of the next test.
        if self
            .tests
            .last()
            .is_none_or(|test| test.name.is_none() && expects(test))
        {
            self.begin(header, None);
        }
        let span = header.value_span.clone();
        let envelope = header.word == "given envelope";
        if header.value.is_empty() {
            let what = if envelope { "record" } else { "event" };
            return Err(self
                .error(span, format!("no {what} is given"), "nothing here")
                .with_help(r#"write its JSON on the same line: `-- given: {"type": "Deposited", "amount": 10}`"#));
        }
        self.json(&header.value, &span, "this event")?;
        let line = self.line(span.start);
        self.step(Step::Given(Given {
            json: header.value.clone(),
            envelope,
            span,
            line,
            poison: None,
        }));
        Ok(())
    }

    pub(super) fn expect_poison(&mut self, header: &Header) -> Result<()> {
        let given = self.tests.last_mut().and_then(|test| test.steps.last_mut());
        match given {
            Some(Step::Given(given)) if given.poison.is_none() => {
                given.poison = Some(header.value.clone());
                Ok(())
            }
            _ => Err(self
                .error(
                    header.span.clone(),
                    "no event stands above this",
                    "which one is poison?",
                )
                .with_help("write it below the `-- given:` whose event cannot be applied, with words of the reason")),
        }
    }

    /// A step that finds something out; it begins a test where nothing was given before it.
    pub(super) fn expected(&mut self, header: &Header, step: Step) {
        if self.tests.is_empty() {
            self.begin(header, None);
        }
        self.step(step);
    }

    pub(super) fn expect(&mut self, header: &Header) -> Result<()> {
        if self.tests.is_empty() {
            self.begin(header, None);
        }
        if header.value.is_empty() {
            self.asking = Some(Asking::Expect(header.span.start..header.value_span.end));
            return Ok(());
        }
        let start = header.value_span.start;
        let shift = |span: Range<usize>| span.start + start..span.end + start;
        let cut = tokens(&header.value).map_err(|bad| {
            let error = self.error(shift(bad.span), bad.message, "here");
            match bad.help {
                Some(help) => error.with_help(help),
                None => error,
            }
        })?;
        let cut: Vec<Token> = cut
            .into_iter()
            .filter(|token| !matches!(token.kind, Kind::LineComment | Kind::BlockComment))
            .map(|token| Token {
                kind: token.kind,
                span: shift(token.span),
            })
            .collect();
        let end = cut.iter().position(|token| token.kind == Kind::Semicolon);
        let (select, rest) = cut.split_at(end.unwrap_or(cut.len()));
        if let Some(more) = rest.iter().find(|token| token.kind != Kind::Semicolon) {
            return Err(self
                .error(more.span.clone(), "an expect is one SELECT", "a second statement")
                .with_help("write another `-- expect:` for it"));
        }
        self.ask(select, header.value_span.clone())
    }

    /// The SELECT of the `-- expect:` above it.
    pub(super) fn asked(&mut self, tokens: &[Token]) -> Result<()> {
        let span = tokens.first().map_or(0..0, |token| token.span.clone());
        self.ask(tokens, span)
    }

    /// A statement among the tests that is nobody's.
    pub(super) fn stray(&self, tokens: &[Token]) -> Box<ProjectionError> {
        let span = tokens.first().map_or(0..0, |token| token.span.clone());
        self.error(
            span,
            "this statement belongs to no test",
            "no `-- expect:` stands above it",
        )
        .with_help("tests end the file: tables and handlers stand above the first, a SELECT below its `-- expect:`")
    }

    fn ask(&mut self, tokens: &[Token], span: Range<usize>) -> Result<()> {
        if tokens.is_empty() {
            return Err(self.error(span, "an expect is one SELECT", "no statement here"));
        }
        statement::check_select(self.source, tokens, "an expect").map_err(|refusal| self.refused(refusal))?;
        check::determinism(self.source, tokens)
            .map_err(|found| self.error(found.span, found.message, found.label).with_help(found.help))?;
        if let Some((name, span)) = statement::parameters(self.source, tokens).into_iter().next() {
            return Err(self
                .error(
                    span,
                    "there is no event when this is asked",
                    format!("`{name}` binds nothing here"),
                )
                .with_help("write the value itself"));
        }
        let ordered = statement::is_ordered(self.source, tokens);
        let select = self.made(tokens, Vec::new());
        self.step(Step::Expect(Expect {
            select,
            ordered,
            rows: None,
        }));
        Ok(())
    }

    /// A row that the expect above must return.
    pub(super) fn row(&mut self, text: &Text) -> Result<()> {
        self.check_asked()?;
        let cells = match text.text.as_str() {
            NO_ROWS => None,
            json => Some(match self.json(json, &text.span, "this row")? {
                Value::Array(cells) if cells.is_empty() => {
                    return Err(self
                        .error(text.span.clone(), "a row has a value for each column", "no value")
                        .with_help(format!("write `-- = {NO_ROWS}` where nothing may be found")));
                }
                Value::Array(cells) => cells,
                cell => vec![cell],
            }),
        };
        let last = self.tests.last_mut().and_then(|test| test.steps.last_mut());
        let Some(Step::Expect(expect)) = last else {
            return Err(self.error(text.span.clone(), "this row belongs to no expect", "here"));
        };
        let contradicts = match (&expect.rows, &cells) {
            (Some(rows), Some(_)) => rows.is_empty(),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if contradicts {
            return Err(self.error(
                text.span.clone(),
                "rows and no rows are expected at once",
                "contradicts what stands above",
            ));
        }
        let rows = expect.rows.get_or_insert_default();
        rows.extend(cells.map(|cells| Row {
            cells,
            span: text.span.clone(),
        }));
        Ok(())
    }

    /// One JSON value on one line, with the place where it is none.
    fn json(&self, text: &str, span: &Range<usize>, what: &str) -> Result<Value> {
        serde_json::from_str(text).map_err(|error| {
            let at = (span.start + error.column().saturating_sub(1)).clamp(span.start, span.end.saturating_sub(1));
            let here = self.source.get(at..).and_then(|rest| rest.chars().next());
            let place = here.map_or(span.clone(), |c| at..at + c.len_utf8());
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            self.error(place, format!("{what} is not JSON: {said}"), "here")
                .with_help("one JSON value on one line: text stands in \"double quotes\", as do the names of fields")
        })
    }

    fn step(&mut self, step: Step) {
        if let Some(test) = self.tests.last_mut() {
            test.steps.push(step);
        }
    }

    pub(super) fn check_last_test(&self) -> Result<()> {
        match self.tests.last() {
            Some(test) if !expects(test) => Err(self
                .error(test.span.clone(), "this test expects nothing", "begins here")
                .with_help(
                    "write what must be found after its events: `-- expect: SELECT …`, then rows as `-- = [\"a\", 10]`",
                )),
            _ => Ok(()),
        }
    }

    /// Whatever is not about tests stands above the first.
    pub(super) fn check_before_tests(&self, span: &Range<usize>) -> Result<()> {
        match self.tests.first() {
            Some(first) => Err(self
                .error(span.clone(), "this stands below a test", "too late")
                .also(first.span.clone(), "the first test")
                .with_help("tests end the file: move it above the first")),
            None => Ok(()),
        }
    }
}

/// Whether a test has something to find out.
fn expects(test: &Test) -> bool {
    test.steps.iter().any(|step| match step {
        Step::Expect(_) | Step::Broken { .. } => true,
        Step::Given(given) => given.poison.is_some(),
    })
}

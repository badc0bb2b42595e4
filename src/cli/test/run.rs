//! The tests of one file, run one after the other, each on empty tables of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use miette::Report;
use serde_json::{Value, json};

use crate::projection::{Expect, Given, Projection, Step, Test};
use crate::readmodel::apply::{Outcome, Poison};
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::trial::{Running, Trial};
use crate::record::{Header, Record, Timestamp};

use super::super::envelope::{Envelope, timestamp};
use super::super::rebuild::load;
use super::compare::{Difference, compare};

/// What came of a file's tests.
pub(super) struct Tested {
    /// The file, as it was given.
    pub(super) file: String,
    /// Its tests in file order.
    pub(super) findings: Vec<Finding>,
    /// Why they could not be run.
    pub(super) error: Option<Report>,
}

/// What came of one test.
pub(super) struct Finding {
    /// Its name, or where it begins.
    pub(super) name: String,
    /// The line that it begins on.
    pub(super) line: usize,
    /// What was not as expected; nothing where it passed.
    pub(super) failures: Vec<Failure>,
    /// What may explain a failure.
    pub(super) notes: Vec<String>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Finding {
    pub(super) fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What was not as expected.
pub(super) struct Failure {
    /// The line in the file.
    pub(super) line: usize,
    /// The SELECT, or what happened.
    pub(super) what: String,
    /// How its rows differ.
    pub(super) difference: Option<Difference>,
}

impl Failure {
    fn of(line: usize, what: String) -> Self {
        Self {
            line,
            what,
            difference: None,
        }
    }

    /// What follows the first line.
    pub(super) fn lines(&self) -> Vec<String> {
        self.difference.as_ref().map_or_else(Vec::new, Difference::lines)
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.difference.as_ref();
        json!({
            "line": self.line,
            "what": self.what,
            "reason": rows.and_then(|d| d.reason.as_ref()),
            "missing": rows.map(|d| &d.missing),
            "unexpected": rows.map(|d| &d.unexpected),
        })
    }
}

/// Runs the tests of a file.
pub(super) fn file(path: &Path) -> Tested {
    let mut findings = Vec::new();
    let error = run(path, &mut findings).err();
    Tested {
        file: path.display().to_string(),
        findings,
        error,
    }
}

fn run(path: &Path, findings: &mut Vec<Finding>) -> miette::Result<()> {
    let projection = load(path)?;
    let definition = compile(&projection).map_err(|error| Report::new(*error))?;
    Trial::new(&definition)?.check().map_err(|error| Report::new(*error))?;
    let events = events(&projection)?;
    for (test, events) in projection.tests.iter().zip(&events) {
        findings.push(one(&definition, test, events)?);
    }
    Ok(())
}

/// The records of each test, all of them before the first is run, so that one that is none is told with its place.
fn events(projection: &Projection) -> miette::Result<Vec<Vec<Record>>> {
    let of_test = |test: &Test| {
        let mut next = HashMap::new();
        let given = test.steps.iter().filter_map(|step| match step {
            Step::Given(given) => Some(given),
            Step::Expect(_) | Step::Broken { .. } => None,
        });
        given
            .enumerate()
            .map(|(at, given)| {
                record(projection, given, at, &mut next).map_err(|reason| {
                    let message = format!("this is not a record: {reason}");
                    let error = projection.error_at(given.span.clone(), message, "here");
                    Report::new(*error.with_help(
                        "an envelope is {topic, partition, offset, timestamp, key, headers, value}, as `foldlog read -o json` \
                         prints it; only the value must be there",
                    ))
                })
            })
            .collect()
    };
    projection.tests.iter().map(of_test).collect()
}

/// The record that a test gives. What it leaves out is the projection's first topic, partition 0, the next offset, and a time
/// that goes up by a second for each event of the test.
fn record(
    projection: &Projection,
    given: &Given,
    at: usize,
    next: &mut HashMap<(String, i32), i64>,
) -> Result<Record, String> {
    let text = given.json.as_bytes();
    let mut record = Record {
        topic: projection.topics.first().map_or("", String::as_str).into(),
        partition: 0,
        offset: 0,
        timestamp: Some(Timestamp(i64::try_from(at).unwrap_or(0) * 1000)),
        key: None,
        value: (given.json != "null").then(|| text.to_vec()),
        headers: Vec::<Header>::new(),
    };
    let mut offset = None;
    if given.envelope {
        let envelope = Envelope::parse(text)?;
        record.value = envelope.value()?.map(|value| value.into_owned());
        record.key = envelope.key()?.map(|key| key.into_owned());
        record.timestamp = timestamp(&envelope)?.or(record.timestamp);
        record.partition = envelope.partition.unwrap_or(0);
        offset = envelope.offset;
        if let Some(topic) = &envelope.topic {
            if !projection.topics.iter().any(|known| known == topic) {
                return Err(format!("the projection does not read the topic `{topic}`"));
            }
            record.topic = (&**topic).into();
        }
        record.headers = envelope.headers;
    }
    let next = next.entry((record.topic.to_string(), record.partition)).or_insert(0);
    record.offset = offset.unwrap_or(*next);
    *next = record.offset + 1;
    Ok(record)
}

fn one(definition: &Definition, test: &Test, events: &[Record]) -> miette::Result<Finding> {
    let begun = Instant::now();
    let trial = Trial::new(definition)?;
    let mut running = trial.start()?;
    let mut events = events.iter();
    let mut broken = Vec::new();
    let foreseen = |name: &str| {
        let mut steps = test.steps.iter();
        steps.any(|step| matches!(step, Step::Broken { name: expected, .. } if expected == name))
    };
    let mut finding = Finding {
        name: test
            .name
            .clone()
            .unwrap_or_else(|| format!("the test at line {}", test.line)),
        line: test.line,
        failures: Vec::new(),
        notes: Vec::new(),
        took: Duration::ZERO,
    };
    for step in &test.steps {
        match step {
            Step::Given(given) => {
                if let Some(event) = events.next() {
                    let outcome = running.apply(&event.view())?;
                    finding.applied(given, outcome);
                    for found in running.take_broken() {
                        if !foreseen(&found.name) {
                            finding.failures.push(Failure::of(given.line, found.to_string()));
                        }
                        broken.push(found.name);
                    }
                }
            }
            Step::Expect(expect) => finding.failures.extend(asked(&running, expect)),
            Step::Broken { name, line } if !broken.contains(name) => {
                let what = format!("the invariant `{name}` is not broken");
                finding.failures.push(Failure::of(*line, what));
            }
            Step::Broken { .. } => {}
        }
    }
    finding.took = begun.elapsed();
    Ok(finding)
}

impl Finding {
    fn applied(&mut self, given: &Given, outcome: Outcome) {
        match (outcome, &given.poison) {
            (Outcome::Poison(poison), Some(words)) if poison.reason.contains(words.as_str()) => {}
            (Outcome::Poison(poison), None) => {
                let what = format!("the event is poison: {}", reason(&poison));
                self.failures.push(Failure::of(given.line, what));
            }
            (Outcome::Poison(poison), Some(words)) => {
                let what = format!(
                    "the event is poison for another reason than `{words}`: {}",
                    reason(&poison)
                );
                self.failures.push(Failure::of(given.line, what));
            }
            (Outcome::Applied | Outcome::Skipped | Outcome::Held, Some(_)) => {
                let what = "the event is not poison: it was applied".to_owned();
                self.failures.push(Failure::of(given.line, what));
            }
            (Outcome::Ignored, Some(_)) => {
                let what = "the event is not poison: it was ignored, no handler is for its type".to_owned();
                self.failures.push(Failure::of(given.line, what));
            }
            (Outcome::Ignored, None) => {
                let note = format!(
                    "the event at line {} was ignored: no handler is for its type",
                    given.line
                );
                self.notes.push(note);
            }
            // A test has no decisions about its events.
            (Outcome::Applied | Outcome::Skipped | Outcome::Held, None) => {}
        }
    }
}

fn reason(poison: &Poison) -> String {
    match poison.line {
        Some(line) => format!("{} (the statement at line {line})", poison.reason),
        None => poison.reason.clone(),
    }
}

fn asked(running: &Running<'_>, expect: &Expect) -> Option<Failure> {
    let what = || expect.select.sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = expect.select.line;
    match running.ask(&expect.select) {
        Ok(rows) => compare(expect, rows).map(|difference| Failure {
            line,
            what: what(),
            difference: Some(difference),
        }),
        Err(error) => Some(Failure::of(line, format!("{}: {error}", what()))),
    }
}

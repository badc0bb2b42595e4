//! `foldlog produce`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;
use serde_json::value::RawValue;

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::producer::{NewRecord, Producer};
use crate::broker::topics::NewTopic;
use crate::record::Header;

use super::context::Context;
use super::envelope::{Envelope, json_error, timestamp};
use super::interrupt::Interrupt;
use super::show;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog produce orders orders.ndjson --key-field id
  echo '{\"id\": 7}' | foldlog produce orders
  foldlog produce --envelope events.ndjson
  foldlog read orders -o json |
    foldlog -b other:9092 produce --envelope

NDJSON is one JSON value a line; values are written byte for byte as they stand there, and a line `null` is a tombstone. \
An envelope is {topic, key, timestamp, headers, value}: only topic and value must be there. A key is a string (or the text \
of any other JSON), a timestamp milliseconds since 1970 or a date and time, headers an object or an array of [name, value], \
and topics that do not exist are created. `valueEncoding` and `keyEncoding` are as `foldlog read -o json` writes them.

The first line that is wrong ends it: the error names the line, and how many records before it were written.")]
pub struct Args {
    /// The topic, which must exist; with --envelope the file comes here
    #[arg(value_name = "TOPIC", required_unless_present = "envelope")]
    topic: Option<String>,
    /// The file; `-` or nothing is standard input
    #[arg(value_name = "FILE", conflicts_with = "envelope")]
    file: Option<PathBuf>,
    /// Each line is an envelope that names its topic
    #[arg(long)]
    envelope: bool,
    /// The field whose text is the record's key, such as id or $.order.id
    #[arg(long, value_name = "FIELD", conflicts_with = "envelope")]
    key_field: Option<String>,
    /// The field whose text is also written as the header `type`
    #[arg(long, value_name = "FIELD", conflicts_with = "envelope")]
    type_field: Option<String>,
    /// Write each envelope to the partition that it names, instead of the one that its key decides
    #[arg(long, requires = "envelope")]
    keep_partitions: bool,
    /// How many partitions a topic gets that is created [default: what the cluster says]
    #[arg(short, long, value_name = "N", requires = "envelope")]
    partitions: Option<i32>,
}

/// How long the last records may take to be acknowledged; librdkafka gives up on them itself before.
const FLUSH: Duration = Duration::from_secs(60);

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let file = if args.envelope {
        args.topic.as_ref().map(PathBuf::from)
    } else {
        args.file.clone()
    };
    let input = open(file.as_ref())?;
    let format = Format::new(args)?;
    let connection = context.connect()?;
    let client = &connection.client;
    let producer = Arc::new(client.producer().into_diagnostic()?);
    if let Format::Values(values) = &format {
        // Before anything is read: a topic that is not there should not be found when a pipe has run for an hour.
        client.topic(&values.topic).into_diagnostic()?;
    }
    let ending = Arc::clone(&producer);
    let interrupt = Interrupt::listen(move || {
        // The main thread may wait for input for ever, so the end is made here.
        let written = ending.flush(FLUSH).unwrap_or_else(|_| ending.acknowledged());
        eprintln!("interrupted: {} written", show::counted(written, "record"));
        std::process::exit(130);
    });
    let mut job = Job {
        client,
        producer: &producer,
        format,
        known: HashSet::new(),
        created: Vec::new(),
        progress: progress(),
        start: Instant::now(),
    };
    let outcome = job.run(input, &interrupt);
    let flushed = producer.flush(FLUSH);
    job.progress.finish_and_clear();
    let written = producer.acknowledged();
    if let Err(error) = outcome {
        let told = format!("{} before that", written_so_far(written));
        return Err(match flushed {
            Ok(_) => error.wrap_err(told),
            Err(flush) => error.wrap_err(format!("{told}, and then {flush}")),
        });
    }
    flushed.into_diagnostic().wrap_err_with(|| written_so_far(written))?;
    job.report(context, written);
    Ok(())
}

fn written_so_far(written: u64) -> String {
    format!("{} written", show::counted(written, "record"))
}

fn open(file: Option<&PathBuf>) -> miette::Result<Box<dyn BufRead>> {
    match file.filter(|path| path.as_os_str() != "-") {
        None => {
            if io::stdin().is_terminal() {
                eprintln!("reading from the terminal: one JSON value a line, Ctrl-D ends");
            }
            Ok(Box::new(io::stdin().lock()))
        }
        Some(path) => {
            let file = File::open(path)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot open {}", path.display()))?;
            Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
        }
    }
}

fn progress() -> ProgressBar {
    // Hides itself where stderr is no terminal.
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// What a line is.
enum Format {
    Values(Values),
    Envelopes {
        keep_partitions: bool,
        partitions: Option<i32>,
    },
}

/// Lines that are values of one topic.
struct Values {
    topic: String,
    key: Option<Field>,
    kind: Option<Field>,
}

impl Format {
    fn new(args: Args) -> miette::Result<Self> {
        if args.envelope {
            return Ok(Self::Envelopes {
                keep_partitions: args.keep_partitions,
                partitions: args.partitions,
            });
        }
        let field = |text: Option<String>| text.map(|text| Field::parse(&text)).transpose();
        Ok(Self::Values(Values {
            topic: args.topic.ok_or_else(|| miette!("say which topic"))?,
            key: field(args.key_field)?,
            kind: field(args.type_field)?,
        }))
    }
}

/// A field of a value: names from the outside in.
struct Field(Vec<String>);

impl Field {
    fn parse(text: &str) -> miette::Result<Self> {
        let path = text.strip_prefix("$.").unwrap_or(text);
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(miette!(
                "`{text}` is no field: write a name such as id, or a path such as $.order.id"
            ));
        }
        Ok(Self(names))
    }

    /// The field's text: of a string its characters, of anything else its JSON; `None` where it is null.
    fn text<'a>(&self, json: &'a str) -> Result<Option<Cow<'a, str>>, String> {
        let mut here = json;
        for name in &self.0 {
            here = member(here, name).ok_or_else(|| format!("it has no field `{}`", self.0.join(".")))?;
        }
        match here {
            "null" => Ok(None),
            text if text.starts_with('"') => serde_json::from_str::<Text<'_>>(text)
                .map(|Text(text)| Some(text))
                .map_err(|error| json_error(&error)),
            text => Ok(Some(text.into())),
        }
    }
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The member of an object, the last of that name, as its JSON; `None` where there is none or it is no object.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    struct Find<'n>(&'n str);
    impl<'de> serde::de::Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                let value = map.next_value::<&'de RawValue>()?;
                if key == self.0 {
                    found = Some(value);
                }
            }
            Ok(found)
        }
    }
    let mut input = serde_json::Deserializer::from_str(json);
    let found = serde::de::Deserializer::deserialize_map(&mut input, Find(name)).ok()?;
    found.map(RawValue::get)
}

/// Lines on their way to the broker.
struct Job<'a> {
    client: &'a Client,
    producer: &'a Producer,
    format: Format,
    known: HashSet<String>,
    created: Vec<String>,
    progress: ProgressBar,
    start: Instant,
}

impl Job<'_> {
    fn run(&mut self, mut input: Box<dyn BufRead>, interrupt: &Interrupt) -> miette::Result<()> {
        let mut line = Vec::new();
        let mut sent = 0_u64;
        for number in 1_u64.. {
            line.clear();
            let size = input
                .read_until(b'\n', &mut line)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot read line {number}"))?;
            if size == 0 || interrupt.is_set() {
                break;
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(text)
                .map_err(|error| miette!("line {number} is not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
            self.send(text).map_err(|error| match error {
                LineError::Line(reason) => miette!("line {number}: {reason}"),
                LineError::Broker(error) => miette::Report::msg(error.to_string()).wrap_err(format!("line {number}")),
            })?;
            sent += 1;
            if sent.is_multiple_of(2048) {
                let rate = sent as f64 / self.start.elapsed().as_secs_f64();
                self.progress
                    .set_message(format!("{} {}", show::counted(sent, "record"), show::rate(rate)));
                self.progress.tick();
            }
        }
        Ok(())
    }

    fn send(&mut self, line: &str) -> Result<(), LineError> {
        if let Format::Envelopes {
            keep_partitions,
            partitions,
        } = self.format
        {
            let envelope = Envelope::parse(line.as_bytes())?;
            let topic = envelope
                .topic
                .as_deref()
                .ok_or_else(|| "there is no `topic`".to_owned())?;
            if !self.known.contains(topic) {
                self.ensure(topic, partitions)?;
            }
            let (key, value) = (envelope.key()?, envelope.value()?);
            return Ok(self.producer.send(NewRecord {
                topic,
                partition: envelope.partition.filter(|_| keep_partitions),
                key: key.as_deref(),
                value: value.as_deref(),
                timestamp: timestamp(&envelope)?,
                headers: &envelope.headers,
            })?);
        }
        let Format::Values(values) = &self.format else {
            return Ok(());
        };
        let raw: &RawValue = serde_json::from_str(line).map_err(|error| format!("not JSON: {}", json_error(&error)))?;
        let text = |field: &Option<Field>| match field {
            None => Ok(None),
            Some(field) => field.text(raw.get()),
        };
        let key = text(&values.key)?;
        let headers = text(&values.kind)?.map(|kind| Header {
            key: "type".to_owned(),
            value: Some(kind.into_owned().into_bytes()),
        });
        Ok(self.producer.send(NewRecord {
            topic: &values.topic,
            key: key.as_deref().map(str::as_bytes),
            value: (raw.get() != "null").then(|| raw.get().as_bytes()),
            headers: headers.as_slice(),
            ..NewRecord::default()
        })?)
    }

    /// Creates the topic of an envelope where it does not exist.
    fn ensure(&mut self, topic: &str, partitions: Option<i32>) -> Result<(), BrokerError> {
        match self.client.topic(topic) {
            Ok(_) => {}
            Err(BrokerError::UnknownTopic { .. }) => {
                self.client.create_topic(&NewTopic {
                    name: topic.to_owned(),
                    partitions,
                    ..NewTopic::default()
                })?;
                self.created.push(topic.to_owned());
            }
            Err(error) => return Err(error),
        }
        self.known.insert(topic.to_owned());
        Ok(())
    }

    fn report(&self, context: &Context, written: u64) {
        if context.json() {
            println!("{}", json!({ "written": written, "created": self.created }));
            return;
        }
        for topic in &self.created {
            eprintln!("created {topic}");
        }
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { written as f64 / seconds } else { 0.0 };
        eprintln!("{}, {}", written_so_far(written), show::rate(rate));
    }
}

/// Why a line was not written.
enum LineError {
    Line(String),
    Broker(BrokerError),
}

impl From<String> for LineError {
    fn from(reason: String) -> Self {
        Self::Line(reason)
    }
}

impl From<BrokerError> for LineError {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, json: &str) -> Result<Option<String>, String> {
        let field = Field::parse(path).unwrap();
        field.text(json).map(|text| text.map(Cow::into_owned))
    }

    #[test]
    fn a_field_is_its_text() {
        assert_eq!(text("id", r#"{"id":"a\nb"}"#), Ok(Some("a\nb".into())));
        assert_eq!(text("id", r#"{"id":1.50}"#), Ok(Some("1.50".into())));
        assert_eq!(
            text("$.order.id", r#"{"order":{"id":[1, 2]}}"#),
            Ok(Some("[1, 2]".into()))
        );
        assert_eq!(text("id", r#"{"id":null}"#), Ok(None));
        assert_eq!(text("id", r#"{"id":1,"id":2}"#), Ok(Some("2".into())));
        assert!(text("id", r#"{"Id":1}"#).unwrap_err().contains("`id`"));
        assert!(text("a.b", r#"{"a":1}"#).is_err());
        assert!(text("id", "[1]").is_err());
        assert!(Field::parse("a..b").is_err() && Field::parse("").is_err());
    }
}

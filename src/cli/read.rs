//! `foldlog read`.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};
use std::str::FromStr;
use std::time::Duration;

use miette::{IntoDiagnostic, miette};

use crate::broker::client::Client;
use crate::broker::error::BrokerError;
use crate::broker::place::Place;
use crate::broker::reader::{Order, Poll, Range, ReadPlan, Reader};
use crate::broker::topics::Watermarks;
use crate::decode::printable::{one_line, printable};
use crate::record::{RecordRef, Timestamp};

use super::context::Context;
use super::envelope;
use super::format::{Format, RECORDS, one_of};
use super::interrupt::Interrupt;
use super::place::PlaceArg;
use super::show;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The topic
    topic: String,
    /// Where to begin [default: begin; with --follow: end]
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    from: Option<Bound>,
    /// Where to stop: records from there on are not read [default: end]
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, conflicts_with = "follow")]
    to: Option<Bound>,
    /// Only this partition
    #[arg(short, long, value_name = "P")]
    partition: Option<i32>,
    /// Only records with this key
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with records as they are written, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// How records are printed [default: table; json with --json]
    #[arg(short, long, value_name = "FORMAT", value_parser = one_of(RECORDS))]
    output: Option<Format>,
}

const HELP: &str = "\
Places:
  begin          the first record that is still there
  end            behind the last
  -100           before the last 100 of each partition
  1234           an offset, the same in each partition
  2:1234         an offset of one partition, read alone; its
                 topic may stand before: orders:2:1234
  -15m -2h -3d   that long ago (s, m, h, d)
  2026-05-01     a date or time, in UTC where it names no
                 zone: 2026-05-01T12:30:00+02:00
  1777593600000  milliseconds since 1970, 12 digits or more

Order: by time, then partition, then offset, up to the end that the topic has when it is asked; the partitions' heads are \
merged, so each partition keeps its own order. With --follow records come as they arrive.

Examples:
  foldlog read orders --from -10
  foldlog read orders --key o-17 -o json
  foldlog read orders --from 2026-05-01 --to 2026-05-02
  foldlog read orders --json | jq .value.amount
  foldlog read orders -o raw -p 0 --from 100 --to 200
  foldlog read orders -o json |
    foldlog -b other:9092 produce --envelope";

/// A place in each partition, or a record of one.
#[derive(Debug, Clone)]
enum Bound {
    Place(Place),
    Record(PlaceArg),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let record = |wrong| text.parse().map(Self::Record).map_err(|_| wrong);
        text.parse().map(Self::Place).or_else(record)
    }
}

impl Bound {
    /// The place, in a topic of which `only` is read: a record's partition, where it is one.
    fn place(self, topic: &str, only: &mut Option<i32>) -> miette::Result<Place> {
        match self {
            Self::Place(place) => Ok(place),
            Self::Record(record) => {
                let (partition, offset) = record.within(topic)?;
                if only.is_some_and(|only| only != partition) {
                    return Err(miette!(
                        "one partition at a time can be read so: {partition} is another"
                    ));
                }
                *only = Some(partition);
                Ok(Place::Offset(offset))
            }
        }
    }
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let interrupt = Interrupt::listen(|| {});
    let connection = context.connect()?;
    let client = &connection.client;
    let plan = plan(client, &args)?;
    let ranges = plan.ranges.clone();
    let mut reader = client.reader(plan).into_diagnostic()?;
    let format = match args.output {
        Some(format) => format,
        None if context.json() => Format::Json,
        None => Format::Table,
    };
    let mut printer = Printer::new(format, &ranges);
    let filter = Filter {
        key: args.key.as_deref().map(str::as_bytes),
        limit: args.limit.unwrap_or(u64::MAX),
    };
    let scan = read(&mut reader, &mut printer, &filter, &interrupt, args.follow)?;
    if printer.flush()? && io::stderr().is_terminal() {
        eprintln!("{}", summary(&scan, &ranges));
    }
    if scan.interrupted && !args.follow {
        return Err(miette!("interrupted after {}", show::counted(scan.printed, "record")));
    }
    Ok(())
}

fn plan(client: &Client, args: &Args) -> miette::Result<ReadPlan> {
    let topic = client.topic(&args.topic).into_diagnostic()?;
    let mut marks: Vec<Watermarks> = client.watermarks(&topic).into_diagnostic()?;
    let mut only = args.partition;
    let mut bound = |bound: &Option<Bound>| {
        let place = bound.clone().map(|bound| bound.place(&topic.name, &mut only));
        place.transpose()
    };
    let (from, to) = (bound(&args.from)?, bound(&args.to)?);
    if let Some(wanted) = only {
        marks.retain(|mark| mark.partition == wanted);
        if marks.is_empty() {
            return Err(BrokerError::UnknownPartition {
                topic: topic.name.clone(),
                partition: wanted,
                count: topic.partitions.len(),
            })
            .into_diagnostic();
        }
    }
    let from = from.unwrap_or(if args.follow { Place::End } else { Place::Begin });
    let starts = client.resolve(&topic, &marks, from).into_diagnostic()?;
    let ends = client
        .resolve(&topic, &marks, stop(&topic.name, &marks, to))
        .into_diagnostic()?;
    let at_end = marks.iter().zip(&starts).all(|(mark, start)| *start >= mark.high);
    if let (Place::Offset(offset), true, false) = (from, at_end && !marks.is_empty(), args.follow) {
        eprintln!("nothing stands from offset {offset} on: {} ends there", topic.name);
    }
    let ranges = marks
        .iter()
        .zip(starts.iter().zip(&ends))
        .map(|(mark, (start, end))| Range {
            topic: topic.name.as_str().into(),
            partition: mark.partition,
            start: *start,
            end: (!args.follow).then_some((*end).max(*start)),
        });
    Ok(ReadPlan {
        ranges: ranges.collect(),
        order: if args.follow { Order::Arrival } else { Order::Merged },
    })
}

/// Where to stop. An offset that lies past every partition's end is no mistake, as it would be to begin at: what there is up to
/// it can be read, and that this is less than was asked for is said.
fn stop(topic: &str, marks: &[Watermarks], to: Option<Place>) -> Place {
    let Some(Place::Offset(offset)) = to else {
        return to.unwrap_or(Place::End);
    };
    let Some(last) = marks.iter().rev().max_by_key(|mark| mark.high) else {
        return Place::End;
    };
    if offset <= last.high {
        // Before the first record that is still there nothing is left to read, which is no mistake either.
        let first = marks.iter().map(|mark| mark.low).min().unwrap_or(offset);
        return Place::Offset(offset.max(first));
    }
    let (partition, high) = (last.partition, last.high);
    let longest = if marks.len() > 1 { " at most" } else { "" };
    eprintln!(
        "there is no offset {offset} yet: {topic} ends at {high}{longest} (partition {partition}), and reading stops there"
    );
    Place::End
}

/// Which records are printed.
struct Filter<'a> {
    key: Option<&'a [u8]>,
    limit: u64,
}

/// What was seen.
#[derive(Debug, Default)]
struct Scan {
    read: u64,
    printed: u64,
    /// The next offset of each partition.
    reached: Vec<(i32, i64)>,
    interrupted: bool,
}

/// How long a poll waits: how soon an interruption is noticed.
const WAIT: Duration = Duration::from_millis(100);

fn read(
    reader: &mut Reader,
    printer: &mut Printer,
    filter: &Filter<'_>,
    interrupt: &Interrupt,
    follow: bool,
) -> miette::Result<Scan> {
    let mut scan = Scan::default();
    let mut cut: Option<(i32, i64)> = None;
    let mut trouble = None;
    while !interrupt.is_set() && scan.printed < filter.limit {
        match reader.poll(WAIT).into_diagnostic()? {
            Poll::End => break,
            Poll::Idle => {
                if !printer.flush()? {
                    break;
                }
                // A reader without an end goes on trying for ever; somebody should know why nothing comes.
                let now = reader.trouble().filter(|_| follow);
                if now != trouble
                    && let Some(reason) = &now
                {
                    eprintln!("waiting for the broker: {}", printable(reason.as_bytes(), 300).text);
                }
                trouble = now;
            }
            Poll::Batch(batch) => {
                for record in batch.iter() {
                    scan.read += 1;
                    cut = Some((record.partition, record.offset + 1));
                    if filter.key.is_some_and(|key| record.key != Some(key)) {
                        continue;
                    }
                    if !printer.print(&record)? {
                        return Ok(scan);
                    }
                    scan.printed += 1;
                    if scan.printed == filter.limit {
                        break;
                    }
                }
                if follow && !printer.flush()? {
                    break;
                }
            }
        }
    }
    scan.interrupted = interrupt.is_set();
    scan.reached = reader
        .position()
        .iter()
        .map(|(at, next)| (at.partition, next))
        .collect();
    if scan.printed == filter.limit {
        // The reader has handed out more than was looked at, at least in the partition of the last record.
        scan.reached.clear();
        scan.reached.extend(cut);
    }
    Ok(scan)
}

/// What a scan covered, for people.
fn summary(scan: &Scan, ranges: &[Range]) -> String {
    let mut text = show::counted(scan.printed, "record");
    if scan.read != scan.printed {
        text += &format!(" of {} read", show::count(scan.read));
    }
    const LISTED: usize = 8;
    let covered: Vec<String> = scan
        .reached
        .iter()
        .filter_map(|(partition, next)| {
            let range = ranges.iter().find(|range| range.partition == *partition)?;
            (*next > range.start).then(|| format!("[{partition}] {}..{}", range.start, next - 1))
        })
        .collect();
    match covered.len() {
        0 => text += "; nothing to cover",
        count if count <= LISTED => text += &format!("; covered offsets {}", covered.join(", ")),
        count => text += &format!("; covered {count} partitions of {}", ranges.len()),
    }
    text
}

/// Writes records to standard output. Its functions say whether somebody still reads there.
struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    line: Vec<u8>,
    /// Columns of the terminal; `None` where lines may be as long as they are.
    width: Option<usize>,
    header: bool,
    /// Characters of the columns before the value.
    place: usize,
    key: usize,
}

/// Characters of a value in a table that is no terminal's.
const VALUE: usize = 100_000;

impl Printer {
    fn new(format: Format, ranges: &[Range]) -> Self {
        let width = io::stdout().is_terminal().then(|| terminal_width().max(60));
        // Offsets grow while one follows; their column begins with room for some more.
        let longest = |range: &Range| format!("{}:{}", range.partition, range.end.unwrap_or(range.start * 10)).len();
        Self {
            out: BufWriter::with_capacity(1 << 16, io::stdout()),
            format,
            line: Vec::new(),
            width,
            header: format == Format::Table,
            place: ranges.iter().map(longest).max().unwrap_or(0).max("P:OFFSET".len()),
            key: width.map_or(24, |width| (width / 6).clamp(8, 24)),
        }
    }

    fn print(&mut self, record: &RecordRef<'_>) -> miette::Result<bool> {
        self.line.clear();
        match self.format {
            Format::Json => envelope::write(&mut self.line, record),
            Format::Raw => self.raw(record.value.unwrap_or_default()),
            Format::Table | Format::Csv => self.row(record),
        }
        self.line.push(b'\n');
        if self.header {
            self.header = false;
            let header = self.columns("P:OFFSET", "TIME", "KEY") + "VALUE\n";
            if !still_read(self.out.write_all(header.as_bytes()))? {
                return Ok(false);
            }
        }
        still_read(self.out.write_all(&self.line))
    }

    fn raw(&mut self, value: &[u8]) {
        // On a terminal nothing that a record holds is sent raw; in a file it is what it is.
        if self.width.is_some() {
            let text = printable(value, usize::MAX / 8).text;
            self.line.extend_from_slice(text.as_bytes());
        } else {
            self.line.extend_from_slice(value);
        }
    }

    fn columns(&self, place: &str, time: &str, key: &str) -> String {
        format!("{place:<0$}  {time:<24}  {key:<1$}  ", self.place, self.key)
    }

    fn row(&mut self, record: &RecordRef<'_>) {
        let place = format!("{}:{}", record.partition, record.offset);
        let time = record.timestamp.map_or_else(|| "-".to_owned(), time);
        let key = match record.key {
            None => "∅".to_owned(),
            Some(key) => cut(printable(key, self.key - 1)),
        };
        let head = self.columns(&place, &time, &key);
        let room = self
            .width
            .map_or(VALUE, |width| width.saturating_sub(head.chars().count() + 1));
        let value = match record.value {
            None => "∅ tombstone".to_owned(),
            Some(value) => cut(one_line(value, room)),
        };
        self.line.extend_from_slice(head.as_bytes());
        self.line.extend_from_slice(value.as_bytes());
    }

    fn flush(&mut self) -> miette::Result<bool> {
        still_read(self.out.flush())
    }
}

/// A pipe that is closed is no error: whoever read has enough.
fn still_read(result: io::Result<()>) -> miette::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(miette!("cannot write to standard output: {error}")),
    }
}

fn cut(text: crate::decode::printable::Printable) -> String {
    if text.cut { text.text + "…" } else { text.text }
}

fn time(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        Err(_) => at.0.to_string(),
    }
}

fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}

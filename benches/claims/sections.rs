//! One section for each claim, or for claims that share their data.

use std::path::Path;
use std::time::{Duration, Instant};

use foldlog::app::message::Message;
use foldlog::app::update::update;
use foldlog::ui::theme::Theme;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::Board;
use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::process::BrokerProcess;
use crate::data;
use crate::load::{self, has, timed};
use crate::stats::{Claim, human, median, rate};

/// How often each side of a comparison runs, in turns.
pub const RUNS: usize = 5;

/// An event's size where the reference was measured on orders.
pub const ORDER: usize = 258;
/// An event's size in the comparison with Apache Kafka.
const SMALL: usize = 200;

/// Times both sides in turns, after one run of each that does not count; returns the medians of their rates.
pub fn in_turns(
    count: u64,
    runs: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> (f64, f64) {
    ours();
    theirs();
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        our_rates.push(rate(count, ours()));
        their_rates.push(rate(count, theirs()));
    }
    (median(&our_rates), median(&their_rates))
}

pub fn ratio(board: &mut Board, name: &str, claim: f64, (ours, theirs): (f64, f64), other: &str) {
    let how = format!("foldlog {}, {other} {}", human(ours), human(theirs));
    board.figure(name, ours / theirs, Claim::AtLeast(claim), &how);
}

/// Reading a topic to its end, against kcat.
pub fn consume(board: &mut Board) {
    let name = "consume / tuned kcat";
    if !has("kcat") {
        return board.missing(name, "kcat is missing (apt-get install kcat)");
    }
    let count = 3_000_000;
    let folder = scratch();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    load::filled(&cluster, "orders", count, ORDER);
    let ours = || {
        let (took, printed) = timed(load::myself("child-consume").args([&cluster.bootstrap, "orders"]));
        assert_eq!(printed.trim(), format!("{count} {}", count * ORDER as u64));
        took
    };
    let theirs = || timed(&mut load::kcat(&cluster, "orders")).0;
    ratio(board, name, 1.0, in_turns(count, RUNS, ours, theirs), "kcat");
}

/// Writing and reading through the same client, the embedded broker against Apache Kafka.
pub fn against_kafka(board: &mut Board) {
    let names = ["produce: embedded / Apache Kafka", "consume: embedded / Apache Kafka"];
    if !has("java") || !has("mvn") {
        for name in names {
            board.missing(
                name,
                "Java or Maven is missing (apt-get install openjdk-17-jre-headless maven)",
            );
        }
        return;
    }
    let count = 1_000_000;
    let folder = scratch();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
    let (ours, theirs) = (broker.cluster(), Cluster::kafka());
    let write = |cluster: &Cluster| {
        let topic = unique("written");
        let admin = crate::common::raw::Admin::new(cluster);
        admin
            .create_topic(&topic, load::PARTITIONS, &[])
            .expect("the topic is created");
        let took = load::produce(cluster, &topic, count, SMALL);
        admin.delete_topic(&topic).expect("the topic is deleted");
        took
    };
    let rates = in_turns(count, RUNS, || write(&ours), || write(&theirs));
    ratio(board, names[0], 1.0, rates, "Apache Kafka");

    let topic = unique("read");
    load::filled(&ours, &topic, count * 2, SMALL);
    load::filled(&theirs, &topic, count * 2, SMALL);
    let read = |cluster: &Cluster| {
        let start = Instant::now();
        assert_eq!(load::consume(cluster, &topic), (count * 2, count * 2 * SMALL as u64));
        start.elapsed()
    };
    let rates = in_turns(count * 2, RUNS, || read(&ours), || read(&theirs));
    ratio(board, names[1], 1.0, rates, "Apache Kafka");
}

/// What a replay needs at its peak, broker, reader and read model in one process: of five million records in few partitions,
/// and of more bytes than memory may take in many, compressed, of each of which a merge keeps some.
pub fn memory(board: &mut Board) {
    let few = |cluster: &Cluster, count| load::filled(cluster, "orders", count, ORDER);
    peak(board, "replay of 5M records, peak MB", 200.0, 5_000_000, few);
    let many = |cluster: &Cluster, count| load::filled_as(cluster, "orders", 100, "lz4", count, 800);
    peak(
        board,
        "replay of 1.5M in 100 partitions, peak MB",
        250.0,
        1_500_000,
        many,
    );
}

fn peak(board: &mut Board, name: &str, claim: f64, count: u64, fill: impl Fn(&Cluster, u64)) {
    if !Path::new("/proc/self/status").exists() {
        return board.missing(name, "only measured where /proc tells it");
    }
    let folder = scratch();
    {
        let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
        fill(&broker.cluster(), count);
    }
    let file = folder.path().join("spending.sql");
    std::fs::write(&file, data::projection("orders")).expect("the projection is written");
    let mut command = load::myself("child-memory");
    command.arg("--data").arg(folder.path()).arg("rebuild").arg(&file);
    let (took, printed) = timed(&mut command);
    let peak: f64 = printed
        .lines()
        .find_map(|line| line.strip_prefix("peak ")?.strip_suffix(" kB"))
        .and_then(|peak| peak.trim().parse().ok())
        .unwrap_or_else(|| panic!("no peak in {printed:?}"));
    let how = format!("{} with the broker in the same process", human(rate(count, took)));
    board.figure(name, peak / 1024.0, Claim::Below(claim), &how);
}

/// From nothing to an answering broker on a log of a million records.
pub fn start(board: &mut Board) {
    let folder = scratch();
    let count = 1_000_000;
    {
        let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
        load::filled(&broker.cluster(), "orders", count, ORDER);
    }
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let broker = foldlog::broker::embedded::Embedded::open(folder.path(), None).expect("it starts");
        std::net::TcpStream::connect(broker.address()).expect("it accepts");
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let how = format!("median of {RUNS}; {count} records");
    board.figure("embedded broker starts, ms", median(&times), Claim::Below(50.0), &how);
}

/// One whole screen of 200 by 50, every cell of it: drawn, compared with nothing, and written as a terminal gets it.
pub fn frame(board: &mut Board) {
    let (width, height) = (200, 50);
    let mut model = foldlog::ui::sample::records_screen((width, height));
    let options = TerminalOptions {
        viewport: Viewport::Fixed(Rect::new(0, 0, width, height)),
    };
    let mut written = Vec::new();
    let mut times = Vec::new();
    for _ in 0..500 {
        written.clear();
        // A new terminal knows of nothing on the screen, so that it writes every cell that is not blank.
        let mut terminal =
            Terminal::with_options(CrosstermBackend::new(&mut written), options.clone()).expect("a terminal");
        let start = Instant::now();
        let mut layout = Default::default();
        terminal
            .draw(|frame| layout = foldlog::ui::draw(frame, &model, Theme::COLOR))
            .expect("memory takes it");
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        drop(terminal);
        update(&mut model, Message::Laid(Box::new(layout)));
    }
    let how = format!("median of {}, {} bytes of escapes", times.len(), written.len());
    board.figure("a frame of 200x50, ms", median(&times), Claim::Below(1.0), &how);
}

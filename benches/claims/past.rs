//! Looks into the past of a read model: how far any moment is, and what a step costs.

use std::sync::mpsc::sync_channel;
use std::time::Instant;

use foldlog::readmodel::store::Store;
use foldlog::record::Timestamp;
use foldlog::replay::at::at;
use foldlog::replay::rebuild::Until;
use foldlog::replay::step::Goal;
use foldlog::replay::walk::{Move, Told, walk};

use crate::Board;
use crate::common::cluster::{Cluster, scratch};
use crate::common::process::BrokerProcess;
use crate::stats::{Claim, median, share};
use crate::{data, load};

/// How many events the log has.
const COUNT: u64 = 10_000_000;
/// Their size: 10 million of them are 2 GB.
const SIZE: usize = 200;
/// Moments that are gone to, evenly over the log.
const MOMENTS: u64 = 15;
/// Steps back, far beyond what is remembered at a moment, and forward again further than they lead back.
const STEPS: usize = 120_000;

/// Everything over one log.
pub fn past(board: &mut Board) {
    let folder = scratch();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    let begun = now();
    load::filled(&cluster, "orders", COUNT, SIZE);
    // The producer gives each record the time of its sending.
    let took = now() - begun;
    let time_of = |share: f64| Until::Time(Timestamp(begun + (took as f64 * share) as i64));
    let models = scratch();
    let file = models.path().join("spending.sql");
    std::fs::write(&file, data::projection("orders")).expect("the projection is written");
    let mut command = load::foldlog();
    command.args(["-b", &cluster.bootstrap, "--data"]).arg(models.path());
    load::timed(command.arg("rebuild").arg(&file));
    let store = only_store(models.path());
    let snapshots = store.snapshots("spending").expect("it was built").count();

    let mut times = Vec::new();
    for moment in 0..MOMENTS {
        let until = time_of((moment as f64 + 0.5) / MOMENTS as f64);
        let start = Instant::now();
        let there = at(cluster.client(), store.clone(), "spending".to_owned(), Some(until)).wait();
        assert!(there.expect("the moment is reached").info.counts.applied > 0);
        times.push(start.elapsed().as_secs_f64());
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let how = format!(
        "slowest of {MOMENTS} in 10M events, median {:.2}; {snapshots} snapshots",
        median(&times)
    );
    board.figure("any moment, s", slowest, Claim::Below(2.0), &how);

    let (forth, back) = steps(&cluster, &store, time_of(0.5));
    for (name, times) in [("forward", forth), ("back", back)] {
        let how = format!("median of {}, one after the other; 100k rows", times.len());
        board.figure(&format!("a step {name}, ms"), median(&times), Claim::Below(10.0), &how);
        // The slowest of so many, taken without a pause, says when the machine did something else.
        let worst = times.iter().copied().fold(0.0, f64::max);
        let how = format!("slowest {worst:.1}, without a pause between them");
        board.figure(
            &format!("99.9 % of steps {name}, ms"),
            share(&times, 0.999),
            Claim::Below(10.0),
            &how,
        );
    }
}

/// What keeping the history costs a rebuild, and how soon it tells what wrote a row. A history needs SQL for every event, so the
/// rebuild without one runs SQL for every event, too: the same file but for the header. What folding in memory saves is a claim of its own.
pub fn history(board: &mut Board) {
    let (count, runs) = (2_000_000, 5);
    let folder = scratch();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    load::filled(&cluster, "orders", count, SIZE);
    let models = scratch();
    let rebuilt = |header: &str| {
        let file = models.path().join("spending.sql");
        std::fs::write(&file, kept_on_disk("orders", header)).expect("the projection is written");
        let mut command = load::foldlog();
        command.args(["-b", &cluster.bootstrap, "--data"]).arg(models.path());
        load::timed(command.arg("rebuild").arg(&file)).0
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let (one, other) = (rebuilt(""), rebuilt("-- history: on\n"));
        // The first of each does not count.
        if run > 0 {
            without.push(one.as_secs_f64());
            with.push(other.as_secs_f64());
        }
    }
    let (without, with) = (median(&without), median(&with));
    let kept = only_store(models.path())
        .info("spending")
        .expect("it was built")
        .history;
    let bytes = kept.expect("it keeps one").bytes as f64 / count as f64;
    let how = format!("{with:.2} s and {without:.2} s for 2M events, SQL for each in both; {bytes:.0} bytes an event");
    board.figure(
        "rebuild with history / without",
        with / without,
        Claim::Below(2.0),
        &how,
    );

    let mut command = load::foldlog();
    command.args(["-b", &cluster.bootstrap, "--data"]).arg(models.path());
    let (took, told) = load::timed(command.args(["blame", "spending", "customer", "c00000001"]));
    let how = format!("{} events of 2M, the whole command", told.lines().count() / 2);
    board.figure("blame from the history, s", took.as_secs_f64(), Claim::Below(0.5), &how);
}

/// A projection whose rows are not folded in memory, because their key has a COLLATE. It is the one that a key has anyway, so that
/// SQLite does neither more nor less than without it.
fn kept_on_disk(topic: &str, header: &str) -> String {
    let text = data::projection_with(topic, header);
    text.replacen("id TEXT PRIMARY KEY", "id TEXT COLLATE BINARY PRIMARY KEY", 1)
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is right");
    i64::try_from(since.as_millis()).expect("it is not that late")
}

/// The one cluster's read models in a data directory.
fn only_store(data: &std::path::Path) -> Store {
    let entries = std::fs::read_dir(data.join("read-models")).expect("there are read models");
    let folder = entries.flatten().next().expect("of one cluster").file_name();
    Store::open(data, &folder.to_string_lossy()).expect("the store opens")
}

/// How long single steps take, there and back, in the middle of the log.
fn steps(cluster: &Cluster, store: &Store, middle: Until) -> (Vec<f64>, Vec<f64>) {
    let (moves, asked) = sync_channel(1);
    let (tell, told) = sync_channel(16);
    let task = walk(
        cluster.client(),
        store.clone(),
        "spending".to_owned(),
        Some(middle),
        false,
        asked,
        tell,
    );
    assert!(matches!(told.recv(), Ok(Told::Stands(_))));
    let timed = |step: Move, steps: usize| {
        let times = (0..steps).map(|_| {
            let start = Instant::now();
            moves.send(step.clone()).expect("the walk goes on");
            assert!(matches!(told.recv(), Ok(Told::Stands(_))));
            start.elapsed().as_secs_f64() * 1000.0
        });
        times.collect::<Vec<_>>()
    };
    let mut forth = timed(Move::Forward(Goal::Count(1)), STEPS / 10);
    let back = timed(Move::Back(Goal::Count(1)), STEPS);
    forth.extend(timed(Move::Forward(Goal::Count(1)), STEPS));
    drop(moves);
    task.wait().expect("the walk ends");
    (forth, back)
}

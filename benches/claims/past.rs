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
use crate::stats::{Claim, median};
use crate::{data, load};

/// How many events the log has.
const COUNT: u64 = 10_000_000;
/// Their size: 10 million of them are 2 GB.
const SIZE: usize = 200;
/// Moments that are gone to, evenly over the log.
const MOMENTS: u64 = 15;
/// Steps in each direction.
const STEPS: usize = 200;

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
    let how = format!("median of {STEPS}, 100k rows");
    board.figure("a step forward, ms", median(&forth), Claim::Below(10.0), &how);
    board.figure("a step back, ms", median(&back), Claim::Below(10.0), &how);
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
    let timed = |step: Move| {
        let times = (0..STEPS).map(|_| {
            let start = Instant::now();
            moves.send(step.clone()).expect("the walk goes on");
            assert!(matches!(told.recv(), Ok(Told::Stands(_))));
            start.elapsed().as_secs_f64() * 1000.0
        });
        times.collect::<Vec<_>>()
    };
    let forth = timed(Move::Forward(Goal::Count(1)));
    let back = timed(Move::Back(Goal::Count(1)));
    drop(moves);
    task.wait().expect("the walk ends");
    (forth, back)
}

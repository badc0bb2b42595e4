//! Rebuilds against what only reads, and against what people do today.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use foldlog::projection::parse::parse;
use foldlog::readmodel::store::Store;
use foldlog::replay::rebuild::{RebuildOptions, rebuild as start};

use crate::Board;
use crate::common::cluster::{Cluster, scratch};
use crate::common::process::BrokerProcess;
use crate::data;
use crate::load::{self, has, timed};
use crate::sections::{ORDER, RUNS, in_turns, ratio};
use crate::stats::{Claim, median, rate};

/// Events of each log.
const COUNT: u64 = 3_000_000;
/// Rebuilds that are cancelled, each at another moment.
const MOMENTS: u32 = 40;

/// A read model of few rows, of many, and of very many, against kcat, which only reads.
pub fn rebuild(board: &mut Board) {
    let names = [
        "rebuild of 120 groups / tuned kcat",
        "rebuild of 100k keys / tuned kcat",
        "rebuild of 1M keys / tuned kcat",
    ];
    let pipe = "rebuild of 100k keys / kcat | jq | sqlite3";
    if !has("kcat") {
        for name in names.into_iter().chain([pipe]) {
            board.missing(name, "kcat is missing (apt-get install kcat)");
        }
        return;
    }
    let folder = scratch();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0");
    let cluster = broker.cluster();
    load::filled(&cluster, "orders", COUNT, ORDER);
    load::filled_with(&cluster, "lives", COUNT, ORDER, data::life);
    let models = scratch();
    let built = |topic: &str, text: String| {
        let file = models.path().join(format!("{topic}.sql"));
        std::fs::write(&file, text).expect("the projection is written");
        let ours = || rebuild_once(&cluster, models.path(), &file);
        let theirs = || timed(&mut load::kcat(&cluster, topic)).0;
        in_turns(COUNT, RUNS, ours, theirs)
    };
    let holds = |sql: &str, truth: (u64, u64, u64)| {
        let numbers = load::query_numbers(&cluster, models.path(), sql);
        assert_eq!(numbers, [truth.0, truth.1, truth.2]);
    };
    let (rows, orders, total) = data::truth(COUNT);

    let rates = built("orders", data::by_shop("orders"));
    let sums = "SELECT count(*), sum(orders), sum(total) FROM sales.shop";
    holds(sums, (data::SHOPS, orders, total));
    ratio(board, names[0], 0.9, rates, "kcat");

    let rates = built("orders", data::projection("orders"));
    let sums = "SELECT count(*), sum(orders), sum(total) FROM spending.customer";
    holds(sums, (rows, orders, total));
    ratio(board, names[1], 0.6, rates, "kcat");

    let lives = built("lives", data::by_order("lives"));
    let sums = "SELECT count(*), sum(amount), sum(state = 'placed') FROM order_state.orders";
    holds(sums, data::truth_of_lives(COUNT));
    ratio(board, names[2], 0.2, lives, "kcat");

    waits(board, &cluster);

    if !has("jq") || !has("sqlite3") {
        return board.missing(pipe, "jq or sqlite3 is missing (apt-get install jq sqlite3)");
    }
    // Slow enough that one run of the pipeline is many of ours; its rate does not depend on when it runs.
    let mut pipeline = Vec::new();
    for _ in 0..3 {
        pipeline.push(rate(
            COUNT,
            pipeline_once(&cluster, models.path(), (rows, orders, total)),
        ));
    }
    ratio(board, pipe, 3.0, (rates.0, median(&pipeline)), "the pipeline");
}

fn rebuild_once(cluster: &Cluster, models: &Path, file: &Path) -> Duration {
    let mut command = load::foldlog();
    command
        .args(["-b", &cluster.bootstrap, "--data"])
        .arg(models)
        .arg("rebuild")
        .arg(file);
    timed(&mut command).0
}

/// How long it takes until a rebuild says that it has come further, and until it has stopped, whenever it is told to.
fn waits(board: &mut Board, cluster: &Cluster) {
    let models = scratch();
    let store = Store::open(models.path(), "bench").expect("the store opens");
    let projection = parse(&data::by_order("lives"), "orders.sql").expect("the projection is right");
    let begin = || {
        let options = RebuildOptions::default();
        start(cluster.client(), store.clone(), projection.clone(), options)
    };
    let begun = Instant::now();
    begin().wait().expect("it is built");
    let whole = begun.elapsed();

    let (mut first, mut cancelled) = (Vec::new(), Vec::new());
    for moment in 0..MOMENTS {
        let begun = Instant::now();
        let task = begin();
        let progress = task.progress();
        while progress.borrow().done == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        first.push(begun.elapsed().as_secs_f64() * 1000.0);
        // Every moment of it, the last ones too: indexes, the check, and making it durable.
        std::thread::sleep((whole * moment / MOMENTS).saturating_sub(begun.elapsed()));
        let told = Instant::now();
        task.cancel();
        let _ = task.wait();
        cancelled.push(told.elapsed().as_secs_f64() * 1000.0);
    }
    let slowest = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let how = format!("slowest of {MOMENTS}, median {:.0}; 1M keys", median(&first));
    let claim = Claim::Below(200.0);
    board.figure("first progress of a rebuild, ms", slowest(&first), claim, &how);
    let how = format!(
        "slowest of {MOMENTS} moments, median {:.0}; 1M keys, {:.1} s in all",
        median(&cancelled),
        whole.as_secs_f64()
    );
    board.figure("cancelling a rebuild, ms", slowest(&cancelled), claim, &how);
}

/// The same read model by the tools at hand, in one transaction.
fn pipeline_once(cluster: &Cluster, folder: &Path, truth: (u64, u64, u64)) -> Duration {
    let database = folder.join("pipeline.db");
    let _ = std::fs::remove_file(&database);
    let script = r#"set -euo pipefail
        { echo 'PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;'
          echo 'CREATE TABLE customer (id TEXT PRIMARY KEY, orders INTEGER NOT NULL, total INTEGER NOT NULL) STRICT, WITHOUT ROWID;'
          echo 'BEGIN;'
          kcat -C -q -e -o 0 -b "$1" -t orders -X queued.min.messages=1000000 -X queued.max.messages.kbytes=1048576 |
            jq -r '"INSERT INTO customer VALUES ('"'"'\(.customer)'"'"',1,\(.amount)) ON CONFLICT (id) DO UPDATE SET orders=orders+1,total=total+excluded.total;"'
          echo 'COMMIT;'; } | sqlite3 "$2" >/dev/null
        sqlite3 -separator , "$2" 'SELECT count(*), sum(orders), sum(total) FROM customer'"#;
    let (took, printed) = timed(
        Command::new("bash")
            .args(["-c", script, "pipeline", &cluster.bootstrap])
            .arg(&database),
    );
    assert_eq!(printed.trim(), format!("{},{},{}", truth.0, truth.1, truth.2));
    took
}

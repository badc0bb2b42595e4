//! `follow --sink`, `verify --sink`, and demos that feed a real store.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use crate::common::cluster::scratch;
use crate::common::eventually;
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::stores::RedisServer;

use super::{Shell, json};

const ACCOUNTS: &str = "-- projection: accounts
-- topic: events

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: *
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;
";

fn events(from: u64, to: u64) -> String {
    let event = |n: u64| format!("{{\"id\":\"a{}\",\"amount\":{n}}}\n", n % 7);
    (from..to).map(event).collect()
}

/// A broker, a shell with the projection in its home, and where that is.
fn place() -> (tempfile::TempDir, BrokerProcess, Shell, String) {
    let server = scratch();
    let broker = BrokerProcess::start(server.path(), "127.0.0.1:0");
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    shell.ok(&["-b", &broker.address, "topics", "create", "events", "-p", "2"], "");
    let path = path.to_str().unwrap().to_owned();
    (server, broker, shell, path)
}

#[test]
fn an_address_that_is_none_is_refused_without_repeating_it() {
    let shell = Shell::new();
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    for url in ["redis:hunter2", "cache?hunter2", "lake:/x?format=hunter2"] {
        for args in [["follow", path, "--sink", url], ["verify", "accounts", "--sink", url]] {
            let said = shell.fails(&args, "");
            assert!(said.contains("no address of a store"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn follow_feeds_a_store_and_verify_compares_it() {
    let Some(mut redis) = RedisServer::start(&[]) else {
        return;
    };
    let (_server, broker, shell, path) = place();
    let (at, url) = (broker.address.as_str(), redis.url());
    shell.ok(&["-b", at, "produce", "events", "--key-field", "id"], &events(0, 100));
    let sink = || {
        let models = json(&shell.ok(&["-b", at, "projections", "--json"], ""));
        models
            .first()
            .map(|model| (model["applied"].as_u64(), model["sinks"][0].clone()))
    };
    let in_step = |records: u64| {
        eventually("the store to be in step", || {
            let (applied, sink) = sink()?;
            (applied == Some(records) && sink["whole"] == true && sink["waiting"] == 0).then_some(())
        });
    };
    // Killed, and started again.
    for records in [100, 200] {
        if records > 100 {
            shell.ok(&["-b", at, "produce", "events", "--key-field", "id"], &events(100, 200));
        }
        let mut follow = shell.spawn(&["-b", at, "follow", &path, "--sink", &url]);
        in_step(records);
        follow.kill().unwrap();
        follow.wait().unwrap();
    }
    let equal = shell.ok(&["-b", at, "verify", "accounts", "--sink", &url], "");
    assert_eq!(equal, format!("{url} has what accounts has: 7 rows\n"));
    // Somebody writes there.
    redis.cli(&["HSET", "accounts:account:a3", "balance", "5"]);
    redis.cli(&["DEL", "accounts:account:a4"]);
    let other = shell.run(&["-b", at, "verify", "accounts", "--sink", &url]);
    assert_eq!(other.code, Some(1), "{}{}", other.out, other.err);
    assert!(other.out.contains("~ account a3: balance is 5 there"), "{}", other.out);
    assert!(other.out.contains("- account a4"), "{}", other.out);
    assert!(other.err.contains("1 missing, 1 other"), "{}", other.err);
    let told = shell.run(&["-b", at, "verify", "accounts", "--sink", &url, "--json"]);
    let told = json(&told.out);
    let last = told.last().unwrap();
    assert_eq!((&last["good"], &last["same"]), (&false.into(), &5.into()));
    // A store that is away is said to be, and what changes waits.
    redis.stop();
    let gone = shell.fails(&["-b", at, "verify", "accounts", "--sink", &url], "");
    assert!(gone.contains("cannot be reached"), "{gone}");
    let mut follow = shell.spawn(&["-b", at, "follow", &path, "--sink", &url]);
    eventually("the trouble to be listed", || {
        let (_, sink) = sink()?;
        let trouble = sink["trouble"].as_str()?;
        trouble.contains("cannot be reached").then_some(())
    });
    let listed = shell.ok(&["-b", at, "projections"], "");
    assert!(listed.contains("cannot be reached"), "{listed}");
    follow.kill().unwrap();
    follow.wait().unwrap();
}

/// Every record that is in the files of a lake: partition and offset. Half a file would be an error.
fn records(lake: &Path) -> Vec<(i32, i64)> {
    let mut found = Vec::new();
    let Ok(dates) = fs::read_dir(lake.join("events")) else {
        return found;
    };
    for date in dates.flatten().filter(|entry| entry.path().is_dir()) {
        for file in fs::read_dir(date.path()).unwrap().flatten() {
            // Those that are being made.
            if file.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // What a crash had left goes when it is started again, perhaps just now.
            let Ok(file) = File::open(file.path()) else { continue };
            let reader = SerializedFileReader::new(file).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                let row = row.unwrap();
                found.push((row.get_int(1).unwrap(), row.get_long(2).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_lake_of_parquet_has_each_record_once_whatever_is_killed() {
    let (_server, broker, shell, path) = place();
    let at = broker.address.as_str();
    let lake = scratch();
    let url = format!("lake:{}?format=parquet&every=20ms", lake.path().display());
    for round in 1..=3 {
        let mut follow = shell.spawn(&["-b", at, "follow", &path, "--sink", &url]);
        shell.ok(
            &["-b", at, "produce", "events", "--key-field", "id"],
            &events((round - 1) * 500, round * 500),
        );
        // Only what is killed last has written everything.
        let wanted = if round == 3 { 1500 } else { 1 };
        eventually("the lake to have them", || {
            assert!(follow.try_wait().unwrap().is_none(), "it ended");
            (records(lake.path()).len() >= wanted).then_some(())
        });
        follow.kill().unwrap();
        follow.wait().unwrap();
    }
    let found = records(lake.path());
    let once: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), once.len()), (1500, 1500));
}

/// A demo that waits for a store says what it waits for and why, while it does and when it gives up.
#[test]
fn a_demo_says_why_it_waits() {
    let shell = Shell::new();
    let dir = shell.home.path().join("views");
    shell.ok(&["demo", "new", "views", dir.to_str().unwrap()], "");
    let file = dir.join("demo.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("# Steps:").unwrap();
    let steps = "[[sinks]]\nname = \"cache\"\nstands-for = \"Redis\"\nstore = \"pages\"\n\
         [[steps]]\ntitle.en = \"all\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }, \
         { wait = { sink = \"cache\", rows = 0, within = 15 } }]\n";
    fs::write(&file, format!("{head}\n{steps}")).unwrap();
    let nobody = Port::hold();
    let run = [
        "demo",
        "--demos",
        dir.to_str().unwrap(),
        "run",
        "views",
        "--headless",
        "--sink",
        &format!("cache=redis://{}/0", nobody.address()),
    ];
    let said = shell.run(&run);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    // The wait before it may take long on a busy machine, and then says what it waits for, too.
    let mut waits = said.err.lines().filter(|line| line.contains("… wait"));
    assert!(
        waits.any(|line| line.contains("cannot be reached") && line.contains("0 rows differ")),
        "{}",
        said.err
    );
}

//! Living demos on a cluster: every demo with its faults, what each fault does, and what is left alone.

use std::path::Path;
use std::sync::Arc;

use foldlog::broker::client::Client;
use foldlog::broker::embedded::Embedded;
use foldlog::chart::Chart;
use foldlog::demo::catalog::{Catalog, Demo};
use foldlog::demo::chart::DemoChart;
use foldlog::demo::clean::clean;
use foldlog::demo::diary::Diary;
use foldlog::demo::error::DemoError;
use foldlog::demo::fault::{Fault, faults};
use foldlog::demo::graph::Kind;
use foldlog::demo::player::{Speed, Stands};
use foldlog::demo::prove::prove;
use foldlog::demo::report::Report;
use foldlog::demo::run::{Options, Outcome, StepState, StepView, run};
use foldlog::demo::snapshot::{PartState, PartView, Snapshot};
use foldlog::demo::starter;
use foldlog::demo::text::Language;
use foldlog::readmodel::query::Session;
use foldlog::readmodel::store::Store;
use foldlog::record::Timestamp;
use foldlog::replay::follow::{FollowOptions, follow};
use foldlog::replay::progress::Phase;
use foldlog::sink::address::Address;
use tempfile::TempDir;

use crate::common::cluster::{Cluster, scratch, unique};
use crate::common::stores::RedisServer;

/// A place to run demos in, with names that no other test has.
struct Place {
    cluster: Cluster,
    client: Client,
    store: Store,
    folder: TempDir,
    prefix: String,
}

impl Place {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let folder = scratch();
        Self {
            client: cluster.client(),
            store: Store::open(folder.path(), "test").unwrap(),
            cluster,
            folder,
            prefix: unique("d") + "-",
        }
    }

    fn options(&self) -> Options {
        Options {
            prefix: Some(self.prefix.clone()),
            ..Options::default()
        }
    }

    fn run(&self, demo: Demo) -> Outcome {
        run(self.client.clone(), self.store.clone(), demo, self.options())
            .wait()
            .unwrap()
    }

    /// The starter's demo, with other steps.
    fn demo(&self, steps: &str) -> Demo {
        let dir = self.folder.path().join("views");
        own(&dir, steps)
    }

    fn topics(&self) -> Vec<String> {
        let topics = self.client.topics().unwrap().into_iter().map(|topic| topic.name);
        topics.filter(|name| name.starts_with(&self.prefix)).collect()
    }
}

/// Writes the starter's demo with other steps into `dir`, and loads it.
fn own(dir: &Path, steps: &str) -> Demo {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    starter::begin("views", dir).unwrap();
    let file = dir.join("demo.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("# Steps:").unwrap();
    std::fs::write(&file, format!("{head}\n{steps}")).unwrap();
    let catalog = Catalog::load(&[dir.to_owned()]).unwrap();
    catalog.get("views").unwrap().clone()
}

fn failures(outcome: &Outcome) -> Vec<(&str, &str)> {
    let failed = outcome
        .steps
        .iter()
        .filter(|step| step.check && step.state == StepState::Failed);
    failed.map(|step| (step.title.as_str(), step.note.as_str())).collect()
}

#[test]
fn every_demo_runs_with_its_faults_and_is_cleaned_up() {
    for demo in Catalog::load(&[]).unwrap().demos() {
        let place = Place::new();
        let outcome = place.run(demo.clone());
        assert!(outcome.passed, "{}: {:?}", demo.id, failures(&outcome));
        let done = Diary::read(&place.store, &demo.id).done.unwrap();
        assert!(done.checks > 5 && done.held == done.checks, "{}: {done:?}", demo.id);
        assert_eq!(place.topics().len(), demo.topics.len());
        looks_right(&place, demo, &outcome);

        let cleaned = clean(&place.client, &place.store, demo).unwrap();
        assert!(cleaned.left.is_empty(), "{cleaned:?}");
        assert!(place.topics().is_empty());
        assert!(place.store.list().unwrap().is_empty());
        for processor in &demo.processors {
            assert!(
                place
                    .client
                    .group(&format!("{}{}", place.prefix, processor.group))
                    .is_err()
            );
        }
        assert_eq!(clean(&place.client, &place.store, demo).unwrap().removed, [""; 0]);
    }
}

/// What the demo has to be looked at after a run: its charts, and the report with them.
fn looks_right(place: &Place, demo: &Demo, outcome: &Outcome) {
    let session = Session::open(&place.store).unwrap();
    let shown = |chart: &DemoChart| chart.ask(&session, Language::Chinese).chart.unwrap();
    let charts: Vec<Chart> = demo.charts.iter().map(shown).collect();
    let some = charts.iter().any(|chart| !chart.is_empty());
    assert!(some || charts.is_empty(), "{}: no chart shows anything", demo.id);
    let at = (place.cluster.bootstrap.as_str(), Timestamp(0), Language::English);
    let report = Report::of(demo, outcome, Snapshot::default(), &place.store, at).unwrap();
    let (page, text) = (report.html(), report.markdown());
    assert_eq!(page.matches("<figure>").count(), demo.charts.len(), "{}", demo.id);
    assert!(!page.contains("<script") && page.contains(demo.steps[0].title.get(Language::English)));
    assert!(text.contains("checks hold") && !page.contains("NaN"));
}

/// What a demo feeds: a lake of its topic always, a real Redis where there is an address; both are looked at by checks, at every run.
#[test]
fn a_demo_feeds_lakes_and_real_stores() {
    let place = Place::new();
    let dir = place.folder.path().join("views");
    let steps = "[[sinks]]\nname = \"cache\"\ntitle.en = \"Cache\"\nstands-for = \"Redis\"\nstore = \"pages\"\n\
         [[sinks]]\nname = \"lake\"\nstands-for = \"HDFS\"\ntopic = \"views-views\"\n\
         [[steps]]\ntitle.en = \"all\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }, \
         { wait = { sink = \"lake\", records = 120 } }, { wait = { sink = \"cache\", rows = 0 } }]\n\
         [[steps.checks]]\ntitle.en = \"files\"\nsink = \"lake\"\nrecords = 120\n\
         [[steps.checks]]\ntitle.en = \"cache\"\nsink = \"cache\"\nrows = 0\n\
         [[steps.checks]]\ntitle.en = \"each once\"\nsql = \"SELECT sum(views) FROM pages.page\"\nexpect = [[120]]\n";
    let demo = own(&dir, steps);
    let server = RedisServer::start(&[]);
    let mut addresses = vec![Vec::new()];
    if let Some(server) = &server {
        let address = Address::parse(&server.url()).unwrap();
        addresses.push(vec![("cache".to_owned(), address)]);
    }
    for sinks in addresses {
        let fed = !sinks.is_empty();
        let options = Options {
            sinks,
            ..place.options()
        };
        let run = run(place.client.clone(), place.store.clone(), demo.clone(), options);
        let mut scene = run.scene();
        let outcome = run.wait().unwrap();
        assert!(outcome.passed, "{:?}", failures(&outcome));
        let last = scene.borrow_and_update().clone();
        let part = |name: &str| &last.parts[last.graph.find(Kind::Sink, name).unwrap()];
        assert_eq!(
            last.graph.parts[last.graph.find(Kind::Sink, "cache").unwrap()]
                .title
                .en
                .as_deref(),
            Some("Cache (Redis)")
        );
        assert!(part("lake").taken == 120 && part("cache").taken > 0, "{last:?}");
        assert!(part("lake").place.starts_with("lake:/"), "{last:?}");
        if let (true, Some(server)) = (fed, &server) {
            assert_ne!(server.cli(&["DBSIZE"]), "0");
        }
    }
    let wrong = Options {
        sinks: vec![("cash".to_owned(), Address::parse("redis://h").unwrap())],
        ..place.options()
    };
    let error = run(place.client.clone(), place.store.clone(), demo.clone(), wrong)
        .wait()
        .unwrap_err();
    assert!(error.to_string().contains("no sink `cash`"), "{error}");
    let cleaned = clean(&place.client, &place.store, &demo).unwrap();
    assert!(
        cleaned.removed.iter().any(|what| what.starts_with("files ")),
        "{cleaned:?}"
    );
}

/// A lake, a topic that it is loaded into, and a read model that learns from that.
const FROM_A_LAKE: &str = r#"
[[projections]]
file = "projections/learnt.sql"
[[topics]]
name = "history"
partitions = 2
config = { "retention.ms" = "-1" }
[[sinks]]
name = "lake"
stands-for = "HDFS"
topic = "views-views"
loads-into = "history"
[[steps]]
title.en = "write"
actions = [{ produce = { records = 80 } }, { wait = { sink = "lake", records = 80 } }]
[[steps]]
title.en = "learn"
actions = [{ load = "lake" }, { rebuild = "learnt" }]
[[steps.checks]]
title.en = "what the files say"
sql = "SELECT sum(views), sum(views) FILTER (WHERE name LIKE 'file-%') FROM learnt.page"
expect = [[80, 80]]
[[steps.checks]]
title.en = "the log says something else, at the same times of the same visitors"
sql = """
SELECT count(*), sum(l.value ->> 'page' LIKE 'file-%'), sum(h.value ->> 'page' = 'file-' || (l.value ->> 'page')) FROM log.record AS l
JOIN log.record AS h ON h.partition = l.partition AND h.key = l.key AND h.timestamp = l.timestamp
WHERE l.topic = 'views-views' AND h.topic = 'history'"""
expect = [[80, 0, 80]]
[[steps]]
title.en = "more"
actions = [{ produce = {} }, { wait = { sink = "lake", records = 120 } }, { rebuild = "learnt" }]
[[steps.checks]]
title.en = "what was not loaded is not learnt"
sql = "SELECT sum(views) FROM learnt.page"
expect = [[80]]
[[steps]]
title.en = "learn more"
actions = [{ load = "lake" }, { load = "lake" }, { rebuild = "learnt" }]
[[steps.checks]]
title.en = "each once"
sql = "SELECT sum(views), sum(views) FILTER (WHERE name LIKE 'file-%') FROM learnt.page"
expect = [[120, 80]]
"#;

/// What learns from a lake learns what its files say, which here is something else than the log, and each record once.
#[test]
fn what_is_loaded_from_a_lake_is_what_its_files_say() {
    let place = Place::new();
    let dir = place.folder.path().join("views");
    own(&dir, "");
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    let learnt = read("projections/pages.sql")
        .replace("-- projection: pages", "-- projection: learnt")
        .replace("-- topic: views-views", "-- topic: history");
    std::fs::write(dir.join("projections/learnt.sql"), learnt).unwrap();
    let manifest = read("demo.toml") + FROM_A_LAKE;
    std::fs::write(dir.join("demo.toml"), manifest).unwrap();
    let demo = Catalog::load(&[dir]).unwrap().get("views").unwrap().clone();
    let options = Options {
        by_step: true,
        ..place.options()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, steps) = (run.player(), run.steps());
    player.next_step();
    crate::common::eventually("the files", || {
        let written = |step: &StepView| step.title == "write" && step.state == StepState::Passed;
        steps.borrow().iter().any(written).then_some(())
    });
    let lake = format!("lakes/views/lake/{}views-views", place.prefix);
    let mut changed = 0;
    for date in std::fs::read_dir(place.store.root().join(lake)).unwrap().flatten() {
        for file in std::fs::read_dir(date.path()).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap();
            changed += text.matches("\"page\":\"").count();
            std::fs::write(file.path(), text.replace("\"page\":\"", "\"page\":\"file-")).unwrap();
        }
    }
    assert_eq!(changed, 80);
    crate::common::eventually("the run to be over", || {
        player.next_step();
        run.is_finished().then_some(())
    });
    let outcome = run.wait().unwrap();
    assert!(outcome.passed, "{:?}", failures(&outcome));
}

#[test]
fn a_second_run_begins_anew_and_a_topic_of_somebody_else_stops_it() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"all\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }]\n\
         [[steps.checks]]\ntitle.en = \"each once\"\nsql = \"SELECT sum(views) FROM pages.page\"\nexpect = [[120]]\n",
    );
    let unprefixed = demo.clone().with_prefix(&place.prefix).unwrap();
    let again = || {
        run(
            place.client.clone(),
            place.store.clone(),
            unprefixed.clone(),
            Options::default(),
        )
        .wait()
    };
    for _ in 0..2 {
        let outcome = again().unwrap();
        assert!(outcome.passed, "{:?}", failures(&outcome));
    }
    // What was made anew by somebody since is theirs.
    let topic = format!("{}views-views", place.prefix);
    place.client.delete_topic(&topic).unwrap();
    let theirs = foldlog::broker::topics::NewTopic {
        name: topic.clone(),
        partitions: Some(1),
        ..Default::default()
    };
    place.client.create_topic(&theirs).unwrap();
    let producer = place.client.producer().unwrap();
    let record = foldlog::broker::producer::NewRecord {
        topic: &topic,
        value: Some(b"{}"),
        ..Default::default()
    };
    producer.send(record).unwrap();
    producer.flush(crate::common::PATIENCE).unwrap();
    let error = again().unwrap_err();
    assert!(matches!(error, DemoError::NotOurs { .. }), "{error}");
    // So is a read model that they built under the name.
    let theirs = foldlog::projection::parse::parse(
        &format!(
            "-- projection: pages\n-- topic: {topic}\nCREATE TABLE own (id INTEGER PRIMARY KEY);\n-- on: *\nINSERT INTO own VALUES (@offset);\n"
        ),
        "own.sql",
    )
    .unwrap();
    foldlog::replay::rebuild::rebuild(
        place.client.clone(),
        place.store.clone(),
        theirs,
        foldlog::replay::rebuild::RebuildOptions::default(),
    )
    .wait()
    .unwrap();
    let cleaned = clean(&place.client, &place.store, &demo).unwrap();
    assert!(cleaned.left.iter().any(|left| left.contains(&topic)), "{cleaned:?}");
    assert!(
        cleaned
            .left
            .contains(&"read model pages: it was built from own.sql since".to_owned()),
        "{cleaned:?}"
    );
    assert!(place.store.find("pages").unwrap().is_some());
    assert_eq!(place.topics(), [topic]);
}

#[test]
fn what_another_demo_left_under_the_same_names_is_taken_over_and_cleaned_up_once() {
    let place = Place::new();
    let dir = place.folder.path().join("again");
    starter::begin("views", &dir).unwrap();
    let again = Catalog::load(&[dir]).unwrap().get("again").unwrap().clone();
    let go = |demo: &Demo| {
        let demo = demo.clone().with_prefix(&place.prefix).unwrap();
        run(place.client.clone(), place.store.clone(), demo, Options::default()).wait()
    };
    let steps = "[[steps]]\ntitle.en = \"all\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }]\n";
    let first = place.demo(steps);
    go(&first).unwrap();
    // The read model is of another file now, which is no demo's that is built in.
    let error = go(&again).unwrap_err();
    assert!(matches!(error, DemoError::NotOurs { .. }), "{error}");
    place.store.delete("pages").unwrap();
    for _ in 0..2 {
        let outcome = go(&again).unwrap();
        assert!(outcome.passed, "{:?}", failures(&outcome));
        place.store.delete("pages").unwrap();
        let outcome = go(&first).unwrap();
        assert!(outcome.passed);
        assert!(
            outcome.steps[0].note.ends_with(&format!(
                "is gone: {0}views-views, {0}counter, pages of again",
                place.prefix
            )),
            "{:?}",
            outcome.steps[0]
        );
        place.store.delete("pages").unwrap();
    }
    for demo in [&again, &first] {
        let cleaned = clean(&place.client, &place.store, demo).unwrap();
        assert!(cleaned.left.is_empty(), "{}: {cleaned:?}", demo.id);
    }
    assert!(place.topics().is_empty());
}

#[test]
fn faults_of_records_do_what_they_say_and_have_their_way_back() {
    let place = Place::new();
    let demo = place.demo(
        r#"
[[steps]]
title.en = "poison"
actions = [
  { produce = { records = 50 } },
  { wait = { caught-up = [] } },
  { poison = { topic = "views-views", key = "visitor-01" } },
  { wait = { part = "counter", state = "poisoned" } },
  { produce = { records = 10 } },
]
[[steps.checks]]
title.en = "the record is written and not passed"
topic = "views-views"
records = 61

[[steps]]
title.en = "the way back"
actions = [{ skip = "counter" }, { wait = { caught-up = ["counter"] } }]
[[steps.checks]]
title.en = "every view is counted, the poison is not"
sql = "SELECT sum(views) FROM pages.page"
expect = [[60]]

[[steps]]
title.en = "twice, late, turned around"
actions = [
  { duplicate = { topic = "views-views", records = 5 } },
  { delay = { records = 3, by = 4 } },
  { reorder = { records = 10 } },
  { produce = { records = 20 } },
  { wait = { caught-up = [] } },
]
[[steps.checks]]
title.en = "85 views"
sql = "SELECT sum(views) FROM pages.page"
expect = [[85]]
[[steps.checks]]
title.en = "the log has five keys and times twice"
sql = "SELECT count(*) - count(DISTINCT key || timestamp) FROM log.record"
expect = [[5]]

[[steps]]
title.en = "more partitions, more members"
actions = [
  { partitions = { topic = "views-views", count = 4 } },
  { members = { part = "counter", count = 2 } },
  { skip = "counter" },
  { wait = { group = "counter", members = 2, split = [2, 2], lag = 0 } },
  { produce = {} },
  { slow = { part = "counter", rate = 2000 } },
  { wait = { part = "counter", state = "slow" } },
  { fast = "counter" },
  { wait = { caught-up = [] } },
]
[[steps.checks]]
title.en = "all"
sql = "SELECT sum(views) FROM pages.page"
expect = [[125]]
"#,
    );
    let outcome = place.run(demo);
    assert!(outcome.passed, "{:?}", failures(&outcome));
}

/// A disk that is full ends the processor before its next commit; what it had stays, the scene says so, and it goes on when there is
/// room.
#[test]
fn a_store_whose_disk_is_full_stands_and_catches_up() {
    let place = Place::new();
    let demo = place.demo(
        r#"
[[steps]]
title.en = "some"
actions = [{ produce = { records = 60 } }, { wait = { caught-up = [] } }]

[[steps]]
title.en = "full"
actions = [
  { fill-disk = "counter" },
  { produce = { records = 30 } },
  { wait = { part = "counter", state = "failed" } },
]
[[steps.checks]]
title.en = "nothing more is in it, and nothing less"
sql = "SELECT sum(views) FROM pages.page"
expect = [[60]]

[[steps]]
title.en = "started while it is full"
actions = [{ start = "counter" }, { wait = { part = "counter", state = "failed" } }]
[[steps.checks]]
title.en = "the same"
sql = "SELECT sum(views) FROM pages.page"
expect = [[60]]

[[steps]]
title.en = "room"
actions = [{ free-disk = "counter" }, { produce = {} }, { wait = { caught-up = ["counter"] } }]
[[steps.checks]]
title.en = "each once"
sql = "SELECT sum(views) FROM pages.page"
expect = [[120]]
[[steps.checks]]
title.en = "as the log says"
verify = "pages"
rows = 0
"#,
    );
    let options = Options {
        by_step: true,
        ..place.options()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, scene, steps) = (run.player(), run.scene(), run.steps());
    let pages = |what: &str, holds: &dyn Fn(&PartView) -> bool| {
        crate::common::eventually(what, || {
            let scene = scene.borrow().clone();
            let at = scene.graph.find(Kind::Store, "pages")?;
            holds(&scene.parts[at]).then_some(())
        });
    };
    player.next_step();
    pages("the first records", &|store| store.taken == 60);
    player.next_step();
    pages("the store to be full, with the reason", &|store| {
        store.state == PartState::Full && store.reason.contains("database or disk is full")
    });
    player.next_step();
    crate::common::eventually("the step to be over", || {
        let over = |step: &StepView| step.title == "started while it is full" && step.state == StepState::Passed;
        steps.borrow().iter().any(over).then_some(())
    });
    player.next_step();
    let outcome = run.wait().unwrap();
    assert!(outcome.passed, "{:?}", failures(&outcome));
    pages("the store to run", &|store| {
        store.state == PartState::Running && store.taken == 120
    });
}

#[test]
fn a_wait_for_what_never_comes_says_what_it_waited_for() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"never\"\nactions = [{ produce = {} }, { wait = { group = \"counter\", members = 7, within = 1 } }]\n",
    );
    let error = run(place.client.clone(), place.store.clone(), demo, place.options())
        .wait()
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("7 members did not come about") && said.contains("1 members"),
        "{said}"
    );
}

#[test]
fn the_broker_is_lost_and_comes_back_where_it_is_ours() {
    let folder = scratch();
    let embedded = Arc::new(Embedded::open(folder.path(), None).unwrap());
    let store = Store::open(folder.path(), "lab").unwrap();
    let steps = r#"
[[steps]]
title.en = "gone"
actions = [{ produce = { records = 60 } }, { wait = { caught-up = [] } }, { lose = "broker" }]
[[steps.checks]]
title.en = "what was read can still be asked for"
sql = "SELECT sum(views) FROM pages.page"
expect = [[60]]

[[steps]]
title.en = "back"
actions = [{ bring-back = "broker" }, { produce = {} }, { wait = { caught-up = ["counter"] } }]
[[steps.checks]]
title.en = "nothing is lost or doubled"
sql = "SELECT sum(views) FROM pages.page"
expect = [[120]]
"#;
    let demo = own(&folder.path().join("views"), steps);
    let options = Options {
        embedded: Some(Arc::clone(&embedded)),
        ..Options::default()
    };
    let outcome = run(embedded.client().unwrap(), store.clone(), demo.clone(), options)
        .wait()
        .unwrap();
    assert!(outcome.passed, "{:?}", failures(&outcome));

    // A run that ends while the broker is away brings it back: others work with it, too.
    let first_step = Options {
        until: Some(1),
        embedded: Some(Arc::clone(&embedded)),
        ..Options::default()
    };
    let outcome = run(embedded.client().unwrap(), store.clone(), demo.clone(), first_step).wait();
    assert!(outcome.unwrap().passed);
    assert!(embedded.client().unwrap().topics().is_ok());

    let theirs = run(embedded.client().unwrap(), store, demo, Options::default()).wait();
    let error = theirs.unwrap_err();
    assert!(matches!(error, DemoError::NotOurs { .. }), "{error}");
}

#[test]
fn the_scene_says_what_flows_and_a_paused_run_writes_one_record_at_a_time() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"all\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }, { stop = \"counter\" }]\n",
    );
    let options = Options {
        by_step: true,
        speed: Speed::Times(1),
        ..place.options()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, scene) = (run.player(), run.scene());
    player.pause();
    player.next_step();
    let taken = |wanted: u64| {
        crate::common::eventually("the scene shows the record", || {
            let scene = scene.borrow().clone();
            let store = scene.graph.find(Kind::Store, "pages");
            store.filter(|at| scene.parts[*at].taken == wanted)
        });
    };
    player.one_record();
    taken(1);
    player.one_record();
    taken(2);
    player.set_speed(Speed::Fastest);
    player.play();
    run.wait().unwrap();
    let last = scene.borrow().clone();
    let part = |kind, name: &str| last.parts[last.graph.find(kind, name).unwrap()].clone();
    let counter = part(Kind::Processor, "counter");
    assert_eq!(
        (counter.taken, counter.lag, counter.state),
        (120, Some(0), PartState::Stopped)
    );
    assert_eq!(part(Kind::Service, "website").given, 120);
    assert!(last.edges.iter().all(|edge| edge.records == 120), "{last:?}");
    assert_eq!(last.upcoming, 0);
    assert!(place.cluster.bootstrap.contains(':'));
}

#[test]
fn whoever_publishes_is_held_back_killed_and_loses_nothing() {
    let place = Place::new();
    let dir = place.folder.path().join("views");
    own(&dir, "");
    let file = dir.join("projections/pages.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    let emit = "\n-- emit: views-seen\nSELECT :page AS key, json_object('type', 'Seen', 'page', :page) AS value;\n";
    std::fs::write(&file, text + emit).unwrap();
    let schemas = dir.join("schemas/views-seen");
    std::fs::create_dir_all(&schemas).unwrap();
    std::fs::write(schemas.join("Seen.json"), r#"{"required": ["page"]}"#).unwrap();
    let file = dir.join("demo.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let seen =
        "[[topics]]\nname = \"views-seen\"\npartitions = 1\nconfig = { \"retention.ms\" = \"-1\" }\n\n[[events]]";
    let steps = r#"
[[steps]]
title.en = "held"
actions = [
  { produce = { records = 5, one-by-one = true } },
  { wait = { caught-up = [] } },
  { hold = "counter" },
  { produce = { records = 30 } },
  { wait = { sql = "SELECT sum(views) FROM pages.page", expect = [[35]] } },
  { show = { title.en = "waiting", sql = "SELECT count(*) AS waits FROM pages._foldlog_outbox" } },
  { show = { title.en = "the log", sql = "SELECT topic LIKE '%seen', count(*) FROM log.record GROUP BY 1 ORDER BY 1" } },
  { kill = "counter" },
]
[[steps.checks]]
title.en = "committed, not published"
topic = "views-seen"
records = 5

[[steps]]
title.en = "back, many times"
actions = [
  { start = "counter" },
  { produce = { records = 5 } },
  { wait = { sql = "SELECT sum(views) FROM pages.page", expect = [[40]] } },
  { release = "counter" },
  { wait = { caught-up = [] } },
  { kill = "counter" },
  { start = "counter" },
  { stop = "counter" },
  { rebuild = "pages" },
  { start = "counter" },
  { produce = {} },
  { wait = { caught-up = [] } },
]
[[steps.checks]]
title.en = "each once"
sql = "SELECT count(*) FROM log.record WHERE topic = 'views-seen'"
expect = [[120]]
"#;
    std::fs::write(&file, text.replacen("[[events]]", seen, 1) + steps).unwrap();
    let demo = Catalog::load(&[dir]).unwrap().get("views").unwrap().clone();
    let outcome = place.run(demo);
    assert!(outcome.passed, "{:?}", failures(&outcome));
    let notes = |title: &str| {
        let step = outcome.steps.iter().find(|step| step.title == title);
        step.unwrap().note.clone()
    };
    assert_eq!(notes("waiting"), "waits 30");
    assert_eq!(notes("the log"), "0 35; 1 5");
    let acknowledged = notes("write 5 events");
    assert!(
        acknowledged.starts_with("5 records written, each acknowledged after "),
        "{acknowledged}"
    );
}

#[test]
fn a_processor_that_has_failed_is_not_taken_for_one_that_has_caught_up() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"gone\"\nactions = [{ produce = {} }, { wait = { caught-up = [] } }, { stop = \"counter\" }]\n\n\
         [[steps]]\ntitle.en = \"back\"\nactions = [{ start = \"counter\" }, { wait = { caught-up = [] } }]\n",
    );
    let demo = demo.with_prefix(&place.prefix).unwrap();
    let projection = demo.processors[0].projection.clone();
    let options = Options {
        by_step: true,
        ..Options::default()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, steps) = (run.player(), run.steps());
    player.next_step();
    crate::common::eventually("the processor has stopped", || {
        let steps = steps.borrow();
        let gone = |step: &StepView| step.title == "gone" && step.state == StepState::Passed;
        steps.iter().any(gone).then_some(())
    });
    // Somebody else writes the read model now.
    assert!(!place.store.is_held("pages").unwrap());
    let other = follow(
        place.client.clone(),
        place.store.clone(),
        projection,
        FollowOptions::default(),
    );
    let progress = other.progress();
    crate::common::eventually("the read model is held", || {
        (progress.borrow().phase == Phase::Live).then_some(())
    });
    assert!(place.store.is_held("pages").unwrap());
    player.next_step();
    let error = run.wait().unwrap_err().to_string();
    assert!(error.contains("counter failed: the read model `pages`"), "{error}");
    other.cancel();
    other.wait().unwrap();
}

#[test]
fn rows_that_were_measured_need_not_be_the_same_twice() {
    let folder = scratch();
    let dir = folder.path().join("views");
    starter::begin("views", &dir).unwrap();
    let change = |file: &str, from: &str, to: &str| {
        let file = dir.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
    };
    let stamped = "config = { \"message.timestamp.type\" = \"LogAppendTime\", ";
    change("demo.toml", "config = { ", stamped);
    let table = "CREATE TABLE last (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;\n\n-- on:";
    change("projections/pages.sql", "-- on:", table);
    let handler = "views = views + 1;\n\nINSERT INTO last VALUES (:page, @timestamp) ON CONFLICT (name) DO UPDATE SET at = @timestamp;";
    change("projections/pages.sql", "views = views + 1;", handler);
    let proof = prove(&dir, &Options::default(), &mut |_| {}).unwrap();
    assert!(proof.outcome.passed);
    assert_eq!(proof.unstable, ["the read model pages has other rows the second time"]);

    change("demo.toml", "name = \"counter\"", "name = \"counter\"\nmeasured = true");
    let proof = prove(&dir, &Options::default(), &mut |_| {}).unwrap();
    assert!(proof.is_good(), "{proof:?}");
}

#[test]
fn what_is_done_by_hand_is_what_a_step_would_do_and_what_runs_goes_on_until_the_run_is_cancelled() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"some\"\nactions = [{ produce = { records = 20 } }, { wait = { caught-up = [] } }]\n\
         [[steps]]\ntitle.en = \"never\"\nactions = [{ wait = { group = \"counter\", members = 7, within = 1 } }]\n",
    );
    let all = faults(&demo);
    let is = |fault: &&Fault, word: &str| fault.title().get(Language::English) == word;
    let options = Options {
        by_step: true,
        attended: true,
        ..place.options()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, scene, steps, by_hand) = (run.player(), run.scene(), run.steps(), run.by_hand());
    let ask = |word: &str| {
        let fault = all.iter().find(|fault| is(fault, word)).unwrap();
        assert!(player.ask(fault.clone()), "{word}");
    };
    let counter = |what: &str, holds: &dyn Fn(&PartView) -> bool| {
        crate::common::eventually(what, || {
            let scene = scene.borrow().clone();
            let at = scene.graph.find(Kind::Processor, "counter")?;
            holds(&scene.parts[at]).then_some(())
        });
    };
    let said = |line: usize, state: StepState| {
        crate::common::eventually("the line to be over", || {
            let step = steps.borrow()[line].clone();
            (step.state == state).then_some(step.note)
        })
    };
    player.next_step();
    said(2, StepState::Passed);
    ask("stop counter");
    ask("write 10 events");
    counter("ten to wait", &|part| {
        part.state == PartState::Stopped && part.lag == Some(10)
    });
    ask("start counter");
    counter("none to wait", &|part| part.taken == 30 && part.lag == Some(0));
    // The cluster is not this run's to take away, and that ends nothing.
    ask("stop the broker");
    let refused = crate::common::eventually("a refusal", || {
        let last = by_hand.borrow().last().cloned()?;
        (last.state == StepState::Failed).then_some(last)
    });
    assert!(refused.note.contains("not this process's own"), "{refused:?}");
    let done: Vec<String> = (by_hand.borrow().iter())
        .map(|done| done.title.get(Language::English).to_owned())
        .collect();
    assert_eq!(
        done,
        ["stop counter", "write 10 events", "start counter", "stop the broker"]
    );
    // What never comes about fails its step, and not the run.
    player.next_step();
    let why = said(6, StepState::Failed);
    assert!(why.contains("7 members did not come about"), "{why}");
    crate::common::eventually("the end of the lesson", || {
        (player.view().borrow().stands == Stands::Over).then_some(())
    });
    ask("kill counter");
    // What it has committed stays what it has taken.
    counter("it to be killed", &|part| {
        part.state == PartState::Killed && part.taken == 30
    });
    run.cancel();
    assert!(!run.wait().unwrap().passed);
}

/// Whoever has stopped a part by hand is told so where the lesson waits for it, and whoever has written records where one too many is
/// counted.
#[test]
fn what_was_done_by_hand_is_said_where_it_keeps_something_from_coming_about() {
    let place = Place::new();
    let demo = place.demo(
        "[[steps]]\ntitle.en = \"some\"\nactions = [{ produce = { records = 20 } }, { wait = { caught-up = [\"counter\"] } }]\n\
         [[steps]]\ntitle.en = \"more\"\nactions = [{ produce = { records = 10 } }, { wait = { caught-up = [\"counter\"] } }]\n\
         [[steps.checks]]\ntitle.en = \"each once\"\nsql = \"SELECT sum(views) FROM pages.page\"\nexpect = [[30]]\n",
    );
    let all = faults(&demo);
    let options = Options {
        by_step: true,
        attended: true,
        ..place.options()
    };
    let run = run(place.client.clone(), place.store.clone(), demo, options);
    let (player, steps) = (run.player(), run.steps());
    let ask = |word: &str| {
        let fault = all.iter().find(|fault| fault.title().get(Language::English) == word);
        assert!(player.ask(fault.unwrap().clone()), "{word}");
    };
    let note = |what: &str, wanted: &str, state: StepState| {
        crate::common::eventually(what, || {
            let steps = steps.borrow();
            let found = steps
                .iter()
                .any(|step| step.state == state && step.note.ends_with(wanted));
            found.then_some(())
        });
    };
    ask("stop counter");
    ask("write 10 events");
    player.next_step();
    note(
        "the wait to say what was done",
        "; done by hand: stop counter (b has the way back)",
        StepState::Running,
    );
    ask("start counter");
    note("the first step to be over", "caught up", StepState::Passed);
    player.next_step();
    note(
        "the check to say what was done",
        "40, expected 30; 10 records were written by hand",
        StepState::Failed,
    );
    run.cancel();
    assert!(!run.wait().unwrap().passed);
}

#[test]
fn what_a_processor_publishes_is_held_against_its_schema() {
    let place = Place::new();
    let dir = place.folder.path().join("totals");
    let catalog = Catalog::load(&[]).unwrap();
    catalog.get("stream-processing").unwrap().export(&dir).unwrap();
    let schemas = dir.join("schemas/user-spending-totals");
    std::fs::create_dir_all(&schemas).unwrap();
    std::fs::write(schemas.join("SpendingTotal.json"), r#"{"required": ["nobody"]}"#).unwrap();
    let catalog = Catalog::load(&[dir]).unwrap();
    let demo = catalog.get("totals").unwrap().clone();
    let run = run(place.client.clone(), place.store.clone(), demo, place.options());
    let error = run.wait().unwrap_err();
    assert!(matches!(&error, DemoError::Made { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("user-spending-totals[") && said.contains("\"nobody\" is a required property"),
        "{said}"
    );
}

#[test]
fn a_demo_is_proved_and_one_that_is_not_stable_is_not() {
    let folder = scratch();
    let dir = folder.path().join("views");
    starter::begin("views", &dir).unwrap();
    let proof = prove(&dir, &Options::default(), &mut |_| {}).unwrap();
    assert!(proof.is_good(), "{proof:?}");
    assert_eq!(proof.events, 120);

    // Twice as many: the checks do not hold.
    let file = dir.join("projections/pages.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("views = views + 1", "views = views + 2")).unwrap();
    let proof = prove(&dir, &Options::default(), &mut |_| {}).unwrap();
    assert!(!proof.is_good() && !proof.outcome.passed);
}

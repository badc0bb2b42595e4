#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::readmodel::compile::compile;

use super::catalog::{Catalog, Demo};
use super::error::DemoError;
use super::events::Event;
use super::graph::{Graph, Kind};
use super::text::Language;

fn event_sourcing() -> Vec<Event> {
    Catalog::load(&[])
        .unwrap()
        .get("event-sourcing")
        .unwrap()
        .events()
        .unwrap()
}

fn digest(events: &[Event]) -> String {
    let mut hash = Sha256::new();
    for event in events {
        hash.update(format!(
            "{} {:?} {:?} {}\n",
            event.topic, event.key, event.value, event.timestamp.0
        ));
    }
    hash.finalize().iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

#[test]
fn every_demo_loads_and_writes_what_its_schemas_describe() {
    let catalog = Catalog::load(&[]).unwrap();
    assert!(!catalog.demos().is_empty());
    for demo in catalog.demos() {
        let events = demo.events().unwrap();
        assert!(!events.is_empty() || !demo.databases.is_empty(), "{}", demo.id);
        demo.check_events(&events).unwrap();
        for language in [Language::English, Language::Chinese] {
            assert!(demo.lesson(language).starts_with("# "), "{} {language:?}", demo.id);
            assert!(!demo.title.get(language).is_empty() && !demo.summary.get(language).is_empty());
        }
        assert_ne!(demo.lesson(Language::English), demo.lesson(Language::Chinese));
        assert!(demo.title.en.is_some() && demo.title.zh.is_some());
    }
}

#[test]
fn what_is_compiled_in_is_what_is_on_disk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-data");
    let on_disk = Catalog::load(std::slice::from_ref(&root)).unwrap();
    let folders = fs::read_dir(root)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count();
    let compiled = Catalog::load(&[]).unwrap();
    assert_eq!(compiled.demos().len() + compiled.guides().len(), folders);
    for (a, b) in compiled.demos().iter().zip(on_disk.demos()) {
        assert_eq!((&a.id, a.events().unwrap()), (&b.id, b.events().unwrap()));
        assert_eq!(a.lesson(Language::Chinese), b.lesson(Language::Chinese));
        assert_eq!(a.origin(), "built in");
        assert_ne!(b.origin(), "built in");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let events = event_sourcing();
    assert_eq!(events.len(), 5004);
    assert_eq!(digest(&events), digest(&event_sourcing()));
    // Lessons state exact numbers: whoever changes this line has changed them.
    assert_eq!(
        digest(&events),
        "b4cb0018e0135f356c0c2de0264f31d75019c6e067687c3e7af36403a670568c"
    );
}

#[test]
fn accounts_are_opened_first_and_never_overdrawn() {
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    let mut last = 0;
    for event in event_sourcing() {
        let value: serde_json::Value = serde_json::from_slice(event.value.as_ref().unwrap()).unwrap();
        let account = value["accountId"].as_str().unwrap().to_owned();
        assert_eq!(event.key.as_deref(), Some(account.as_bytes()));
        assert!(event.timestamp.0 > last, "time goes on");
        last = event.timestamp.0;
        let at: jiff::Timestamp = value["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.as_millisecond(), last);
        let kind = value["type"].as_str().unwrap();
        kinds.insert(kind.to_owned());
        let amount = value["amount"].as_i64();
        if kind == "AccountOpened" {
            assert_eq!(balances.insert(account, 0), None);
            continue;
        }
        let balance = balances.get_mut(&account).expect("opened before anything else");
        match kind {
            "Deposited" => *balance += amount.unwrap(),
            "Withdrawn" => *balance -= amount.unwrap(),
            _ => assert_eq!(amount, None),
        }
        assert!(*balance >= 0);
    }
    assert_eq!(kinds.len(), 4);
    assert_eq!(balances["account-001"], 1000);
    assert_eq!((balances.len(), balances.values().sum::<i64>()), (147, 949_960));
}

#[test]
fn a_group_keeps_to_its_taste_and_sometimes_strays() {
    let demos = Catalog::load(&[]).unwrap();
    let events = demos.get("recommendations").unwrap().events().unwrap();
    let (mut own, mut all) = (0, 0);
    let number = |name: &serde_json::Value| {
        name.as_str()
            .unwrap()
            .split_once('-')
            .unwrap()
            .1
            .parse::<u32>()
            .unwrap()
    };
    for event in events {
        let value: serde_json::Value = serde_json::from_slice(event.value.as_ref().unwrap()).unwrap();
        // The newcomer and the bot are of no group.
        if value["type"] == "ItemClicked" && number(&value["userId"]) <= 60 {
            all += 1;
            own += u32::from((number(&value["userId"]) - 1) % 4 == (number(&value["itemId"]) - 1) / 10);
        }
    }
    // 85 of a hundred, and a quarter of those that stray come home by chance.
    assert_eq!(all, 900);
    assert!((760..840).contains(&own), "{own}");
}

#[test]
fn a_demo_that_cannot_be_meant_is_refused_with_its_place() {
    let base =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-data/event-sourcing/demo.toml")).unwrap();
    for (from, to, message, place) in [
        ("order = 0", "order = 0\ncolour = 1", "unknown field `colour`", "colour"),
        ("partitions = 3", "partitions = 0", "1 to 1000 partitions", "0"),
        ("seed = 7", "seed = \"x\"", "invalid type", "\"x\""),
        // What a stranger's demo may not ask for: all memory, a picture without an end, files of somebody else.
        (
            "partitions = 3",
            "partitions = 3\nat = [0, 65535]",
            "a column and a row, 200 at most",
            "[0, 65535]",
        ),
        (
            "count = 5000",
            "count = 1000000000000",
            "too large for a demo",
            "[events.generate]",
        ),
        (
            "[200, 60000]",
            "[200, 6000000000000]",
            "too large for a demo",
            "[events.generate]",
        ),
        ("2024-03-04T09:00:00Z", "yesterday", "not a time", "\"yesterday\""),
        (
            "${pages}",
            "${page}",
            "nothing is called `page`",
            "'{\"type\":\"StatementSent\"",
        ),
        ("to = 12", "to = 0", "nothing can be drawn", "{ from = 1, to = 0 }"),
        (
            "{ from = 1, to = 12 }",
            "{ by_group = [[\"a\"], []] }",
            "nothing can be drawn",
            "{ by_group",
        ),
        (
            "{ from = 1, to = 12 }",
            "{ by_group = [[\"a\"]], astray = 101 }",
            "nothing can be drawn",
            "{ by_group",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ change = { database = \"bank\", sql = \"\" } }",
            "no database `bank`",
            "{ change",
        ),
        (
            "topic = \"account-events\"\nrecords = 5004",
            "source = \"bank\"\nreplica = \"account_balance\"\nrows = 0",
            "no database `bank`",
            "[[steps.checks]]",
        ),
        (
            "spends = \"amount\"",
            "spends = \"channel\"",
            "no number that is drawn",
            "\"channel\"",
        ),
        (
            "file = \"events/first-account.ndjson\"",
            "",
            "where do these events come from",
            "\"account-events\"",
        ),
        (
            "topic = \"account-events\"\nfile",
            "topic = \"accounts\"\nfile",
            "no such topic",
            "\"accounts\"",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ delete = \"balances\" }",
            "no read model `balances`",
            "{ delete",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ start = \"bank\" }",
            "no processor `bank`",
            "{ start",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ explode = \"bank\" }",
            "unknown variant `explode`",
            "explode",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ produce = { until = \"noon\" } }",
            "`noon` is not a time",
            "\"noon\"",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ wait = { group = \"bank\" } }",
            "not clear what must hold",
            "{ wait",
        ),
        (
            "{ delete = \"account_balance\" }",
            "{ use = { file = \"projections/audit_trail.sql\", at = 1 } }",
            "unknown field `at`",
            "at",
        ),
        (
            "records = 5004",
            "rows = 5004",
            "not clear what must hold",
            "[[steps.checks]]",
        ),
        (
            "records = 5004",
            "records = 5004\nlag = 0",
            "not clear what must hold",
            "[[steps.checks]]",
        ),
        (
            "topic = \"account-events\"\nrecords = 5004",
            "alerts = \"account_balance\"",
            "not clear what must hold",
            "[[steps.checks]]",
        ),
        (
            "topic = \"account-events\"\nrecords = 5004",
            "alerts = \"account_balance\"\nalert = \"overdrawn\"\nopen = 0",
            "the demo has no alert `overdrawn`",
            "[[steps.checks]]",
        ),
        (
            "records = 5004",
            "records = 5004\nwithin = 5",
            "a check does not wait",
            "[[steps.checks]]",
        ),
        (
            "kind = \"histogram\"",
            "kind = \"pie\"",
            "unknown variant `pie`",
            "\"pie\"",
        ),
        (
            "kind = \"histogram\"",
            "kind = \"heat\"",
            "made of the columns row, column, value; the query returns 1 column",
            "\"SELECT balance",
        ),
        (
            "\"SELECT balance FROM account_balance.account\"\n",
            "\"SELECT balnce FROM account_balance.account\"\n",
            "no such column: balnce",
            "\"SELECT balnce",
        ),
        (
            "\"SELECT balance FROM account_balance.account\"\n",
            "\"SELECT 1\"\n",
            "asks no read model of the demo",
            "\"SELECT 1\"",
        ),
        (
            "\"SELECT balance FROM account_balance.account\"\n",
            "\"SELECT balance FROM account_balance.account\"\nstore = \"bank\"\n",
            "no read model `bank`",
            "\"bank\"",
        ),
        (
            "title = { en = \"Balances\", zh = \"余额分布\" }",
            "title = {}",
            "this chart has no title",
            "{}",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let demo = Catalog::load(&[]).unwrap();
        demo.get("event-sourcing").unwrap().export(dir.path()).unwrap();
        let changed = base.replacen(from, to, 1);
        assert!(changed != base, "{from}");
        fs::write(dir.path().join("demo.toml"), &changed).unwrap();
        match Catalog::load(&[dir.path().to_owned()]).unwrap_err() {
            DemoError::Invalid(wrong) => {
                let (said, span) = (wrong.message, wrong.span);
                assert!(said.contains(message), "{said}");
                let marked = &changed[span.offset()..span.offset() + span.len()];
                assert!(marked.starts_with(place), "{said}: {marked}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_demo_reads_no_file_outside_of_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine");
    let demo = Catalog::load(&[]).unwrap();
    demo.get("event-sourcing").unwrap().export(&mine).unwrap();
    let file = mine.join("demo.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(dir.path().join("secret.ndjson"), "{}").unwrap();
    for outside in [
        "../secret.ndjson".to_owned(),
        dir.path().join("secret.ndjson").display().to_string(),
    ] {
        fs::write(&file, text.replacen("events/first-account.ndjson", &outside, 1)).unwrap();
        let error = Catalog::load(std::slice::from_ref(&mine)).unwrap_err().to_string();
        assert!(error.contains("outside of the demo's folder"), "{error}");
    }
}

#[test]
fn charts_say_which_store_they_lead_to_and_what_their_numbers_are() {
    let catalog = Catalog::load(&[]).unwrap();
    for demo in catalog.demos() {
        for chart in &demo.charts {
            assert!(demo.read_models().any(|model| model.name == chart.store));
            assert!(chart.title.en.is_some() && chart.title.zh.is_some(), "{}", demo.id);
        }
    }
    let demo = catalog.get("messaging").unwrap();
    let gauge = &demo.charts[0];
    assert_eq!(
        (gauge.kind, gauge.store.as_str()),
        (crate::chart::Kind::Gauge, "payment")
    );
    assert_eq!(gauge.unit.get(Language::Chinese), "单");
    let dir = tempfile::tempdir().unwrap();
    demo.export(dir.path()).unwrap();
    let file = dir.path().join("demo.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace(
            "unit = { en = \"orders\", zh = \"单\" }",
            "unit = \"EUR\"\nstore = \"logistics\"",
        ),
    )
    .unwrap();
    let changed = Catalog::load(&[dir.path().to_owned()]).unwrap();
    let id = dir.path().file_name().unwrap().to_str().unwrap();
    let gauge = &changed.get(id).unwrap().charts[0];
    assert_eq!(
        (gauge.unit.get(Language::Chinese), gauge.store.as_str()),
        ("EUR", "logistics")
    );
}

#[test]
fn an_event_that_its_schema_does_not_allow_is_refused() {
    let catalog = Catalog::load(&[]).unwrap();
    let demo = catalog.get("event-sourcing").unwrap();
    let mut events = demo.events().unwrap();
    events.truncate(3);
    for (value, reason) in [
        (
            "{\"type\":\"Deposited\",\"accountId\":\"account-001\",\"amount\":-5,\"channel\":\"app\",\"at\":\"x\"}",
            "/amount: -5",
        ),
        ("{\"type\":\"Deposited\",\"accountId\":\"account-001\"}", "required"),
        ("{\"type\":\"Stolen\"}", "there is no such schema"),
        ("{}", "it has no type there"),
        ("{", "not JSON"),
    ] {
        events[2].value = Some(value.as_bytes().to_vec());
        let error = demo.check_events(&events).unwrap_err().to_string();
        assert!(
            error.starts_with("event 3 of account-events") && error.contains(reason),
            "{error}"
        );
    }
    events[2].value = None;
    demo.check_events(&events).unwrap();
}

#[test]
fn a_demo_is_found_by_its_id_or_the_others_are_named() {
    let catalog = Catalog::load(&[]).unwrap();
    let error = catalog.get("event-sorcery").unwrap_err();
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(help.contains("event-sourcing"), "{help}");
    let nowhere = tempfile::tempdir().unwrap();
    assert!(matches!(
        Catalog::load(&[nowhere.path().to_owned()]),
        Err(DemoError::File { .. })
    ));
}

#[test]
fn a_processor_that_cannot_be_meant_is_refused_with_its_place() {
    let catalog = Catalog::load(&[]).unwrap();
    for (from, to, message, place) in [
        (
            "name = \"logistics\"",
            "name = \"payment\"",
            "there twice",
            "\"payment\"",
        ),
        (
            "name = \"logistics\"",
            "name = \"logistics\"\ngroup = \"payment\"",
            "in the group `payment`",
            "\"logistics\"",
        ),
        (
            "name = \"logistics\"",
            "name = \"logistics\"\nmembers = 0",
            "1 to 16 members",
            "0",
        ),
        (
            "name = \"order-events\"",
            "name = \"orders\"",
            "no such topic",
            "\"order-events\"",
        ),
        (
            "service = \"order-service\"",
            "service = \"shop\"",
            "no such service",
            "\"shop\"",
        ),
        ("stop = \"payment\"", "stop = \"pay\"", "no processor `pay`", "{ stop"),
        (
            "members = 2\nsplit",
            "member = 2\nsplit",
            "unknown field `member`",
            "member",
        ),
    ] {
        refuses(catalog.get("messaging").unwrap(), from, to, message, place);
    }
}

/// What a demo's manifest is refused with where one thing is changed, and the place that is marked.
fn refuses(demo: &Demo, from: &str, to: &str, message: &str, place: &str) {
    let dir = tempfile::tempdir().unwrap();
    demo.export(dir.path()).unwrap();
    let file = dir.path().join("demo.toml");
    let base = fs::read_to_string(&file).unwrap();
    let changed = base.replacen(from, to, 1);
    assert!(changed != base, "{from}");
    fs::write(file, &changed).unwrap();
    match Catalog::load(&[dir.path().to_owned()]).unwrap_err() {
        DemoError::Invalid(wrong) => {
            let (said, span) = (wrong.message, wrong.span);
            assert!(said.contains(message), "{said}");
            let marked = &changed[span.offset()..span.offset() + span.len()];
            assert!(marked.starts_with(place), "{said}: {marked}");
        }
        other => panic!("{to}: {other}"),
    }
}

#[test]
fn a_mirror_that_cannot_be_meant_is_refused_with_its_place() {
    let catalog = Catalog::load(&[]).unwrap();
    for (from, to, message, place) in [
        (
            "topics = [\"sales\", ",
            "topics = [\"sale\", ",
            "no such topic",
            "\"sale\"",
        ),
        (
            "topics = [\"sales\", \"stock-rows\"]",
            "topics = []",
            "has no topic",
            "\"mirror\"",
        ),
        (
            "name = \"mirror\"",
            "name = \"dashboard\"",
            "there already",
            "\"dashboard\"",
        ),
        (
            "{ cut = \"mirror\" }",
            "{ cut = \"dashboard\" }",
            "no mirror `dashboard`",
            "{ cut",
        ),
        (
            "{ stop = \"mirror\" }",
            "{ fast = \"mirror\" }",
            "no processor `mirror`",
            "{ fast",
        ),
        ("under-ms = 10000", "under = 10000", "unknown field `under`", "under"),
        ("differ = 100", "rows = 100", "what must hold", "[[steps.checks]]"),
    ] {
        refuses(catalog.get("data-pipeline").unwrap(), from, to, message, place);
    }
}

#[test]
fn sql_that_sqlite_refuses_is_told_when_a_demo_is_read() {
    let catalog = Catalog::load(&[]).unwrap();
    for demo in catalog.demos() {
        for projection in demo.read_models().chain(&demo.spares) {
            compile(projection).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    catalog.get("messaging").unwrap().export(dir.path()).unwrap();
    let file = dir.path().join("projections/payment.sql");
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.replace("INSERT INTO payment ", "INSERT INTO payments ");
    assert!(changed != text);
    fs::write(&file, changed).unwrap();
    match Catalog::load(&[dir.path().to_owned()]).unwrap_err() {
        DemoError::Projection(error) => assert!(error.to_string().contains("payments"), "{error}"),
        other => panic!("{other}"),
    }
}

#[test]
fn an_agent_that_cannot_be_meant_is_refused_with_its_place() {
    let catalog = Catalog::load(&[]).unwrap();
    for (from, to, message, place) in [
        (
            "name = \"web-agent\"",
            "name = \"log-search\"",
            "another part",
            "\"log-search\"",
        ),
        (
            "name = \"web-agent\"",
            "name = \"../web\"",
            "an agent's name",
            "\"../web\"",
        ),
        (
            "file = \"/var/log/nginx/access.log\"",
            "file = \"/var/../../access.log\"",
            "not a log file's name",
            "\"/var/..",
        ),
        (
            "file = \"/var/log/nginx/access.log\"",
            "file = \"access.log\"",
            "not a log file's name",
            "\"access.log",
        ),
        (
            "log\"\ntopic = \"web-logs\"",
            "log\"\ntopic = \"web\"",
            "no such topic",
            "\"web\"",
        ),
        ("agent = \"web-agent\"", "agent = \"web\"", "no such agent", "\"web\""),
        (
            "agent = \"web-agent\"",
            "agent = \"web-agent\"\ntopic = \"web-logs\"",
            "where do these events go?",
            "\"web-logs\"",
        ),
        (
            "{ rotate = \"web-agent\" }",
            "{ rotate = \"web\" }",
            "no agent `web`",
            "{ rotate",
        ),
        (
            "{ kill = \"web-agent\" }",
            "{ slow = { part = \"web-agent\", rate = 5 } }",
            "no processor `web-agent`",
            "{ slow",
        ),
        (
            "parse = \"combined\"",
            "parse = \"text\"",
            "unknown variant `text`",
            "\"text\"",
        ),
    ] {
        refuses(catalog.get("log-analytics").unwrap(), from, to, message, place);
    }
}

#[test]
fn a_lake_is_loaded_into_a_topic_of_its_own_or_refused_with_its_place() {
    let catalog = Catalog::load(&[]).unwrap();
    let demo = catalog.get("recommendations").unwrap();
    let into = "loads-into = \"clicks-from-lake\"";
    for (from, to, message, place) in [
        (
            into,
            "loads-into = \"user-clicks\"",
            "fed with that again",
            "\"click-lake\"",
        ),
        (into, "loads-into = \"clicks\"", "no topic `clicks`", "\"click-lake\""),
        (
            into,
            "loads-into = \"product-info\"",
            "too few partitions",
            "\"click-lake\"",
        ),
        (
            "topic = \"user-clicks\"\nloads-into",
            "store = \"clicks\"\nloads-into",
            "rows are not loaded",
            "\"click-lake\"",
        ),
        (into, "", "no sink with `loads-into` `click-lake`", "{ load"),
    ] {
        refuses(demo, from, to, message, place);
    }
    let graph = Graph::of(&demo.clone().with_prefix("x-").unwrap());
    let lake = graph.find(Kind::Sink, "click-lake").unwrap();
    let edge = |at: (usize, usize)| graph.edges.iter().any(|edge| (edge.from, edge.to) == at);
    let topic = |name: &str| graph.find(Kind::Topic, name).unwrap();
    let model = graph.find(Kind::Store, "model").unwrap();
    assert!(edge((topic("x-user-clicks"), lake)) && edge((lake, topic("x-clicks-from-lake"))));
    assert!(edge((topic("x-clicks-from-lake"), model)) && !edge((topic("x-user-clicks"), model)));
}

#[test]
fn an_agent_stands_between_who_writes_the_log_and_the_topic_of_its_lines() {
    let catalog = Catalog::load(&[]).unwrap();
    let demo = catalog.get("log-analytics").unwrap().clone().with_prefix("x-").unwrap();
    let graph = Graph::of(&demo);
    let agent = graph.find(Kind::Processor, "web-agent").unwrap();
    let name = |at: usize| (graph.parts[at].kind, graph.parts[at].name.as_str());
    let into: Vec<_> = graph
        .edges
        .iter()
        .filter(|edge| edge.to == agent)
        .map(|edge| name(edge.from))
        .collect();
    let out: Vec<_> = graph
        .edges
        .iter()
        .filter(|edge| edge.from == agent)
        .map(|edge| name(edge.to))
        .collect();
    assert_eq!(into, [(Kind::Service, "web")]);
    assert_eq!(out, [(Kind::Topic, "x-web-logs")]);
    let web = graph.find(Kind::Service, "web").unwrap();
    assert_eq!(graph.edges.iter().filter(|edge| edge.from == web).count(), 1);
    // Its events are what the agent makes of the lines, each with the time that the line says.
    let events = demo.events().unwrap();
    let lines: Vec<&Event> = events.iter().filter(|event| event.topic == "x-web-logs").collect();
    assert_eq!((lines.len(), lines[0].timestamp.0), (240, 1_730_707_202_000));
    let value: serde_json::Value = serde_json::from_slice(lines[1].value.as_ref().unwrap()).unwrap();
    assert_eq!(
        (&value["log"]["offset"], &value["host"]["name"]),
        (&119.into(), &"web-1".into())
    );
}

#[test]
fn the_edges_follow_from_what_each_part_reads_and_writes() {
    let catalog = Catalog::load(&[]).unwrap();
    let graph = Graph::of(catalog.get("stream-processing").unwrap());
    let name = |at: usize| graph.parts[at].name.as_str();
    let edges: Vec<_> = graph
        .edges
        .iter()
        .map(|edge| (name(edge.from), name(edge.to)))
        .collect();
    assert_eq!(
        edges,
        [
            ("shop", "orders"),
            ("orders", "batch"),
            ("orders", "totals"),
            ("totals", "user-spending-totals"),
            ("totals", "totals"),
            ("user-spending-totals", "spending-table"),
            ("spending-table", "spending_table"),
            ("orders", "windows"),
            ("windows", "windows"),
        ]
    );
    let graph = Graph::of(&catalog.get("data-pipeline").unwrap().clone().with_prefix("x-").unwrap());
    let kind = |at: usize, name: &str| (graph.parts[at].kind, graph.parts[at].name == name);
    let into = graph
        .edges
        .iter()
        .filter(|edge| kind(edge.to, "mirror") == (Kind::Processor, true));
    assert_eq!(into.count(), 2);
    let out = graph
        .edges
        .iter()
        .filter(|edge| kind(edge.from, "mirror") == (Kind::Processor, true));
    assert!(out.map(|edge| kind(edge.to, "mirror")).eq([(Kind::Store, true)]));
}

#[test]
fn a_prefix_is_before_every_topic_and_group_and_in_no_schema() {
    let catalog = Catalog::load(&[]).unwrap();
    let demo = catalog
        .get("stream-processing")
        .unwrap()
        .clone()
        .with_prefix("x-")
        .unwrap();
    let events = demo.events().unwrap();
    demo.check_events(&events).unwrap();
    assert!(events.iter().all(|event| event.topic == "x-orders"));
    let totals = &demo.processors[0];
    assert_eq!(totals.projection.topics, ["x-orders"]);
    assert_eq!(totals.projection.emits[0].topic, "x-user-spending-totals");
    assert_eq!(totals.group, "x-totals");
    assert_eq!(demo.projections[0].topics, ["x-orders"]);
}

#[test]
fn a_demo_to_begin_with_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("page-views");
    let files = super::starter::begin("page-views", &folder).unwrap();
    assert_eq!(files.len(), 5);
    let catalog = Catalog::load(std::slice::from_ref(&folder)).unwrap();
    let demo = catalog.at(&folder).unwrap();
    let events = demo.events().unwrap();
    demo.check_events(&events).unwrap();
    assert_eq!((demo.id.as_str(), events.len()), ("page-views", 120));
    assert!(
        super::starter::begin("page-views", &folder).is_err(),
        "nothing is written over"
    );
    assert!(super::starter::begin("Page Views", dir.path()).is_err());
}

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::broker::reader::Range;
use crate::readmodel::alert::Alert;
use crate::readmodel::decision::Choice;
use crate::readmodel::fold::OnPoison;
use crate::readmodel::store::Store;
use crate::readmodel::writer::Live;
use crate::record::Record;
use crate::replay::decide::{Plan, Request};
use crate::replay::follow::tests::{PER_PARTITION, followed};
use crate::replay::memory::Memory;
use crate::replay::rebuild::build;
use crate::replay::rebuild::tests::{Event, control, definition, events, log_of};

fn alerting() -> String {
    format!(
        "{PER_PARTITION}
-- alert: overdrawn
SELECT topic || part || id AS who, balance FROM account WHERE topic = @topic AND part = @partition AND id = :id AND balance < 0;

-- alert: rich
SELECT topic || part || id AS who, balance FROM account WHERE balance > 150;
"
    )
}

fn store(folder: &Path) -> Store {
    Store::open(folder, "lab").unwrap()
}

fn rebuilt(store: &Store, text: &str, log: &Memory, sizes: &[usize]) {
    let open = |ranges: Vec<Range>| Ok(log.merged(&ranges, sizes));
    let origin = log.log().origin();
    build(
        store,
        &definition(text),
        &origin,
        &log.ranges(),
        open,
        true,
        &mut control(),
    )
    .unwrap();
}

fn alerts(store: &Store, name: &str, all: bool) -> Vec<Alert> {
    let mut alerts = store.alerts("accounts", all, usize::MAX).unwrap().unwrap();
    alerts.retain(|alert| alert.name == name);
    alerts
}

/// What the SELECTs say at the end.
fn expected(store: &Store, condition: &str) -> Vec<String> {
    let sql = format!("SELECT topic || part || id FROM accounts.account WHERE {condition} ORDER BY 1");
    let rows = crate::readmodel::query::Session::open(store)
        .unwrap()
        .query(&sql, 10_000)
        .unwrap();
    rows.rows.into_iter().map(|row| format!("{:?}", row[0])).collect()
}

fn open(store: &Store, name: &str) -> Vec<String> {
    let mut keys: Vec<String> = alerts(store, name, false)
        .iter()
        .map(|alert| format!("Text({})", alert.key))
        .collect();
    keys.sort();
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is open is what the SELECT returns; of alerts that bind an event all that ever was depends on the log alone, however it is
    /// batched, rebuilt or followed, stopped and killed.
    #[test]
    fn alerts_are_part_of_the_fold(
        events in events(),
        built in 0..60usize,
        sizes in prop::collection::vec(1..9usize, 1..4),
        stops in prop::collection::vec(0..12usize, 0..4),
    ) {
        let text = alerting();
        // A tombstone takes rows away without binding what tells which: nothing is said of their alerts.
        let events: Vec<Event> = events.into_iter().filter(|event| event.3 != 15).collect();
        let log = log_of(&events, 0);
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (whole, pieces) = (store(one.path()), store(two.path()));
        rebuilt(&whole, &text, &log, &[1]);
        rebuilt(&pieces, &text, &log_of(&events[..built.min(events.len())], 0), &sizes);
        for stop in stops {
            followed(&pieces, &text, &log, &sizes, &[1, 0, 2], true, Some(stop)).unwrap();
        }
        followed(&pieces, &text, &log, &sizes, &[0, 1], true, None).unwrap();
        for store in [&whole, &pieces] {
            prop_assert_eq!(open(store, "overdrawn"), expected(store, "balance < 0"));
            prop_assert_eq!(open(store, "rich"), expected(store, "balance > 150"));
            let all = store.alerts("accounts", true, usize::MAX).unwrap().unwrap();
            let (open, past): (Vec<_>, Vec<_>) = all.into_iter().rev().partition(|alert| alert.resolved.is_none());
            let counts = (open.len() as u64, past.len() as u64);
            let listed: Vec<_> = open.into_iter().chain(past).collect();
            for limit in [3, usize::MAX] {
                let found = store.latest_alerts("accounts", limit).unwrap().unwrap();
                prop_assert_eq!(&found.latest[..], &listed[..limit.min(listed.len())]);
                prop_assert_eq!((found.open, found.resolved), counts);
            }
            prop_assert_eq!(store.open_alerts("accounts").unwrap(), Some(counts.0));
        }
        let history = |store| {
            let mut all = alerts(store, "overdrawn", true);
            all.sort_by_key(|alert| (alert.key.clone(), alert.raised.offset));
            all
        };
        prop_assert_eq!(history(&whole), history(&pieces));
    }
}

const ORDERS: &str = "-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT NOT NULL, n INTEGER NOT NULL) STRICT;

-- on: Placed
INSERT INTO orders VALUES (:id, 'placed', 1);

-- on: Late
UPDATE orders SET state = 'late', n = n + 1 WHERE id = :order;

-- on: Sent
DELETE FROM orders WHERE id = :id;

-- alert: late
SELECT id, n FROM orders WHERE id = coalesce(:order, :id) AND state = 'late';

-- alert: many
SELECT count(*) AS n FROM orders HAVING count(*) > 1;

-- alert: odd
SELECT id, abs(-9223372036854775807 - (n = 3)) FROM orders WHERE id = coalesce(:order, :id) AND n = 3;
";

fn log(values: &[&str]) -> Memory {
    let mut log = Memory::new("events", 1);
    for (time, value) in (1..).zip(values) {
        log.push("events", 0, time, Some(value));
    }
    log
}

const PLACED: &str = r#"{"type": "Placed", "id": "a"}"#;
const OTHER: &str = r#"{"type": "Placed", "id": "b"}"#;
const LATE: &str = r#"{"type": "Late", "order": "a"}"#;
const SENT: &str = r#"{"type": "Sent", "id": "a"}"#;

/// Everybody who was told, and what of it could not be told.
type Heard = Arc<Mutex<Vec<Value>>>;

/// Says what it was told to say, then that it takes everything. What it takes is heard whether or not the answer arrives.
struct Fake {
    heard: Heard,
    says: VecDeque<Option<Said>>,
    answer: Option<Said>,
}

impl Messenger for Fake {
    fn give(&mut self, notice: &Notice) {
        let said = self.says.pop_front().unwrap_or(Some(Said::Taken));
        if matches!(said, Some(Said::Taken) | None) {
            let mut body: Value = serde_json::from_str(&notice.body).unwrap();
            assert_eq!(body["id"], notice.id.as_str());
            body["id"] = notice.id.as_str().into();
            self.heard.lock().unwrap().push(body);
        }
        self.answer = said;
    }

    fn answer(&mut self, _wait: Duration) -> Option<Said> {
        self.answer.take()
    }
}

/// Follows all of the log, an event a commit, and tells of its alerts. `None` among what is said is a process that dies there.
fn told(store: &Store, text: &str, log: &Memory, heard: &Heard, says: &[Option<Said>]) -> Vec<Alert> {
    let definition = definition(text);
    let live = Live::open(store, &definition).unwrap();
    let start = crate::replay::follow::start(definition.projection(), live.info(), live.topics(), &log.log()).unwrap();
    let mut fold = live.fold(OnPoison::Skip).unwrap();
    let mut notifier = Notifier::new(Fake {
        heard: Arc::clone(heard),
        says: says.iter().cloned().collect(),
        answer: None,
    });
    notifier.pauses = Pauses::new(Duration::ZERO, Duration::ZERO);
    fold.notify().unwrap();
    let meter = &mut control().meter;
    let records: Vec<Record> = log.arrival(&start.ranges, &[1], &[0]).rest();
    for record in &records {
        fold.apply([record.view()].into_iter(), &|| false).unwrap();
        fold.commit().unwrap();
        notifier.step(&mut fold, meter).unwrap();
    }
    for _ in 0..says.len() + 1 {
        notifier.doing = match notifier.doing {
            Doing::Resting(_) => Doing::Ready,
            doing => doing,
        };
        notifier.step(&mut fold, meter).unwrap();
    }
    fold.take_alerts()
}

fn short(heard: &Heard) -> Vec<String> {
    let heard = heard.lock().unwrap();
    heard
        .iter()
        .map(|body| {
            format!(
                "{} {} {} {}",
                body["alert"], body["state"], body["key"], body["position"]["offset"]
            )
        })
        .map(|line| line.replace('"', ""))
        .collect()
}

#[test]
fn an_alert_is_raised_with_its_row_and_resolved_when_the_row_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, heard) = (store(folder.path()), Heard::default());
    rebuilt(&store, ORDERS, &log(&[]), &[1]);
    let all = told(&store, ORDERS, &log(&[PLACED, LATE, LATE, OTHER, SENT]), &heard, &[]);
    let said = [
        "late raised a 1",
        "odd raised {error:true} 2",
        "many raised 2 3",
        // The event that sends it binds the same value by another field.
        "late resolved a 4",
        "odd resolved {error:true} 4",
        "many resolved 2 4",
    ];
    assert_eq!(short(&heard), said);
    assert_eq!(all.len(), said.len());
    assert_eq!(
        all[0].to_string(),
        r#"the alert `late` is raised at events[0] offset 1: {"id":"a","n":2}"#
    );
    // The row is the last that was seen of it.
    assert_eq!(all[3].row, r#"{"id":"a","n":3}"#);
    let body = heard.lock().unwrap()[0].clone();
    assert_eq!(body["row"], serde_json::json!({ "id": "a", "n": 2 }));
    assert_eq!(
        (&body["projection"], &body["time"]),
        (&"accounts".into(), &"1970-01-01T00:00:00.002Z".into())
    );
    // What a rebuild finds is the same, and nobody is told.
    rebuilt(
        &store,
        ORDERS,
        &log(&[PLACED, LATE, LATE, OTHER, SENT, PLACED, LATE]),
        &[3],
    );
    assert_eq!(
        told(
            &store,
            ORDERS,
            &log(&[PLACED, LATE, LATE, OTHER, SENT, PLACED, LATE]),
            &heard,
            &[]
        ),
        []
    );
    assert_eq!(short(&heard).len(), said.len());
    let open: Vec<String> = store
        .alerts("accounts", false, 9)
        .unwrap()
        .unwrap()
        .iter()
        .map(|a| a.name.clone())
        .collect();
    assert_eq!(open, ["late", "many"]);
}

#[test]
fn a_notice_is_delivered_in_order_once_it_is_taken_and_not_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, heard) = (store(folder.path()), Heard::default());
    rebuilt(&store, ORDERS, &log(&[]), &[1]);
    let not_now = || Some(Said::NotNow("busy".to_owned(), None));
    let log_of_two = log(&[PLACED, LATE, OTHER]);
    told(
        &store,
        ORDERS,
        &log_of_two,
        &heard,
        &[not_now(), not_now(), Some(Said::Taken), not_now()],
    );
    assert_eq!(short(&heard), ["late raised a 1", "many raised 2 2"]);
    told(&store, ORDERS, &log_of_two, &heard, &[]);
    assert_eq!(short(&heard).len(), 2);
    let state = store.info("accounts").unwrap().notified.unwrap();
    assert_eq!(
        (state.delivered, state.waiting, state.given_up, state.trouble),
        (2, 0, 0, None)
    );

    // The process dies before it hears that it was taken: it is told again, under the same id, and to whoever was refused never.
    let more = log(&[PLACED, LATE, OTHER, SENT]);
    told(&store, ORDERS, &more, &heard, &[None]);
    told(
        &store,
        ORDERS,
        &more,
        &heard,
        &[Some(Said::Taken), Some(Said::Refused("gone".to_owned()))],
    );
    assert_eq!(short(&heard)[2..], ["late resolved a 3", "late resolved a 3"]);
    let ids: Vec<Value> = heard.lock().unwrap().iter().map(|body| body["id"].clone()).collect();
    assert!(ids[2] == ids[3] && ids[0] != ids[2]);
    let state = store.info("accounts").unwrap().notified.unwrap();
    assert_eq!((state.delivered, state.waiting, state.given_up), (3, 0, 1));
    assert_eq!(state.trouble.as_deref(), Some("gone"));
}

#[test]
fn what_waits_to_be_told_outlives_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let (store, heard) = (store(folder.path()), Heard::default());
    rebuilt(&store, ORDERS, &log(&[]), &[1]);
    let all = log(&[PLACED, LATE]);
    {
        let definition = definition(ORDERS);
        let live = Live::open(&store, &definition).unwrap();
        let mut fold = live.fold(OnPoison::Skip).unwrap();
        fold.notify().unwrap();
        fold.apply(all.all().iter().map(Record::view), &|| false).unwrap();
        fold.commit().unwrap();
    }
    assert_eq!(store.info("accounts").unwrap().notified.unwrap().waiting, 1);
    rebuilt(&store, ORDERS, &all, &[1]);
    told(&store, ORDERS, &all, &heard, &[]);
    assert_eq!(short(&heard), ["late raised a 1"]);
}

/// A record that a follow is paused before, and that somebody decides about meanwhile: its alert is told where the follow told.
#[test]
fn what_is_decided_beside_a_follow_is_told_where_the_follow_told() {
    for tells in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (store, heard) = (store(folder.path()), Heard::default());
        rebuilt(&store, ORDERS, &log(&[]), &[1]);
        let all = log(&[PLACED, "{"]);
        {
            let definition = definition(ORDERS);
            let live = Live::open(&store, &definition).unwrap();
            let mut fold = live.fold(OnPoison::Pause).unwrap();
            fold.notify().unwrap();
            if !tells {
                fold.keep_quiet().unwrap();
            }
            fold.apply(all.all().iter().map(Record::view), &|| false).unwrap();
            fold.commit().unwrap();
        }
        let letter = store.dead_letters("accounts", 9).unwrap().pop().unwrap();
        let request = Request {
            name: "accounts".to_owned(),
            projection: None,
            choices: vec![(letter.place(), Choice::Edit(Some(LATE.as_bytes().to_vec())))],
            who: "ada@lab".to_owned(),
        };
        let plan = Plan::new(&store, &request).unwrap();
        assert!(plan.on_the_spot(&store).unwrap().is_some());
        assert_eq!(store.alerts("accounts", false, 9).unwrap().unwrap().len(), 1);
        assert_eq!(
            store.info("accounts").unwrap().notified.unwrap().waiting,
            u64::from(tells)
        );
        // A build in between does not forget it, and whoever follows next tells it once.
        rebuilt(&store, ORDERS, &log(&[PLACED, LATE]), &[1]);
        told(&store, ORDERS, &log(&[PLACED, LATE]), &heard, &[]);
        assert_eq!(short(&heard), if tells { vec!["late raised a 1"] } else { Vec::new() });
    }
}

#[test]
fn a_notice_is_given_up_after_a_day_and_pauses_are_bounded() {
    let day = 24 * 60 * 60 * 1000;
    let not_now = Said::NotNow("busy".to_owned(), Some(Duration::from_secs(7)));
    let waits = judged(not_now.clone(), Timestamp(0), Timestamp(day - 1));
    assert_eq!(
        waits,
        (Delivery::Waits("busy".to_owned()), Some(Duration::from_secs(7)))
    );
    let (given_up, _) = judged(not_now, Timestamp(0), Timestamp(day));
    assert_eq!(given_up, Delivery::GivenUp("busy; tried for 24 hours".to_owned()));
    for _ in 0..100 {
        let pause = shaken(LONGEST);
        assert!(pause <= LONGEST && pause >= LONGEST * 3 / 4, "{pause:?}");
    }
}

#[test]
fn a_webhook_keeps_its_address_and_header_to_itself() {
    let webhook = Webhook::new(
        "https://hooks.example.com/T0/secret?token=x",
        Some("Authorization: Bearer hunter2"),
    );
    let shown = format!("{:?}", webhook.unwrap());
    assert!(
        shown.contains("hooks.example.com") && !shown.contains("secret") && !shown.contains("hunter2"),
        "{shown}"
    );
    for wrong in [
        "",
        "hooks.example.com/secret",
        "ftp://h/secret",
        "https:///secret",
        "http://",
    ] {
        let error = Webhook::new(wrong, None).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{wrong}");
    }
    for wrong in ["secret", "na me: secret", "name: a\nb"] {
        assert_eq!(
            Webhook::new("http://h", Some(wrong)).unwrap_err(),
            WebhookError::Header,
            "{wrong}"
        );
    }
}
